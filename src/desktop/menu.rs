//! The menu of the tray icon, as `com.canonical.dbusmenu` (version 3) has it: show, mute, leave.

use std::collections::HashMap;

use zbus::object_server::SignalEmitter;
use zbus::zvariant::{OwnedValue, Value};
use zbus::{Connection, fdo, interface};

use super::tray::{Now, read};
use super::{Event, Events, Tray};

/// Where it lies on the bus.
pub(super) const PATH: &str = "/MenuBar";

const ROOT: i32 = 0;
const SHOW: i32 = 1;
const MUTE: i32 = 2;
const LINE: i32 = 3;
const LEAVE: i32 = 4;
/// All entries, in their order.
const ENTRIES: [i32; 4] = [SHOW, MUTE, LINE, LEAVE];

/// Most events that one call may bring.
const EVENTS: usize = 16;

type Properties = HashMap<String, OwnedValue>;
/// An entry, what it looks like, and the entries below it.
type Layout = (i32, Properties, Vec<OwnedValue>);

pub(super) struct Menu {
    now: Now,
    events: Events,
}

/// What an entry looks like.
fn properties(tray: &Tray, id: i32) -> Option<Properties> {
    let pairs = match id {
        ROOT => vec![("children-display", Value::from("submenu"))],
        SHOW => vec![("label", label(&tray.show))],
        MUTE => vec![("label", label(&tray.mute))],
        LINE => vec![("type", Value::from("separator"))],
        LEAVE => vec![("label", label(&tray.leave))],
        _ => return None,
    };
    pairs.into_iter().map(|(name, value)| Some((name.to_owned(), value.try_into_owned().ok()?))).collect()
}

/// A single underscore would mark the next letter as a key.
fn label(words: &str) -> Value<'static> {
    Value::from(words.replace('_', "__"))
}

impl Menu {
    pub(super) fn new(now: Now, events: Events) -> Self {
        Self { now, events }
    }

    /// Tells whoever shows the menu to read it anew.
    pub(super) async fn changed(connection: &Connection) -> zbus::Result<()> {
        let emitter = SignalEmitter::new(connection, PATH)?;
        Self::layout_updated(&emitter, 1, ROOT).await
    }

    fn happened(&self, id: i32, what: &str) -> bool {
        if what == "clicked" {
            match id {
                SHOW => self.events.send(Event::Show),
                MUTE => self.events.send(Event::ToggleMute),
                LEAVE => self.events.send(Event::Leave),
                _ => false,
            };
        }
        id == ROOT || ENTRIES.contains(&id)
    }
}

fn unknown() -> fdo::Error {
    fdo::Error::InvalidArgs("there is no such entry".into())
}

#[interface(name = "com.canonical.dbusmenu")]
impl Menu {
    /// Every entry is directly below the root, whatever depth was asked for.
    fn get_layout(&self, parent: i32, _depth: i32, _names: Vec<String>) -> fdo::Result<(u32, Layout)> {
        let tray = read(&self.now);
        let own = properties(&tray, parent).ok_or_else(unknown)?;
        let below = if parent == ROOT { ENTRIES.as_slice() } else { &[] };
        let children = below.iter().filter_map(|id| {
            let entry = (*id, properties(&tray, *id)?, Vec::<OwnedValue>::new());
            Value::from(entry).try_into_owned().ok()
        });
        Ok((1, (parent, own, children.collect())))
    }

    fn get_group_properties(&self, ids: Vec<i32>, _names: Vec<String>) -> Vec<(i32, Properties)> {
        let tray = read(&self.now);
        let wanted = ENTRIES.iter().filter(|id| ids.is_empty() || ids.contains(id));
        wanted.filter_map(|id| Some((*id, properties(&tray, *id)?))).collect()
    }

    fn get_property(&self, id: i32, name: &str) -> fdo::Result<OwnedValue> {
        properties(&read(&self.now), id).and_then(|mut all| all.remove(name)).ok_or_else(unknown)
    }

    fn event(&self, id: i32, what: &str, _data: Value<'_>, _time: u32) -> fdo::Result<()> {
        if self.happened(id, what) { Ok(()) } else { Err(unknown()) }
    }

    fn event_group(&self, events: Vec<(i32, String, OwnedValue, u32)>) -> Vec<i32> {
        let bounded = events.into_iter().take(EVENTS);
        bounded.filter_map(|(id, what, ..)| (!self.happened(id, &what)).then_some(id)).collect()
    }

    fn about_to_show(&self, _id: i32) -> bool {
        false
    }

    fn about_to_show_group(&self, _ids: Vec<i32>) -> (Vec<i32>, Vec<i32>) {
        (Vec::new(), Vec::new())
    }

    #[zbus(property)]
    fn version(&self) -> u32 {
        3
    }

    #[zbus(property)]
    fn text_direction(&self) -> &str {
        "ltr"
    }

    #[zbus(property)]
    fn status(&self) -> &str {
        "normal"
    }

    #[zbus(property)]
    fn icon_theme_path(&self) -> Vec<String> {
        Vec::new()
    }

    #[zbus(signal)]
    async fn layout_updated(emitter: &SignalEmitter<'_>, revision: u32, parent: i32) -> zbus::Result<()>;
}
