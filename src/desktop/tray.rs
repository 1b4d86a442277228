//! The tray icon (StatusNotifierItem), there during a meeting only. It has a connection of its own: a host takes the icon
//! away when that ends.

use std::sync::{Arc, Mutex, PoisonError};

use zbus::connection::Builder;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::ObjectPath;
use zbus::{Connection, MatchRule, MessageStream, interface, message};

use super::menu::{self, Menu};
use super::{APP_ID, Buses, Event, Events, Tray, bus};

const ITEM: &str = "/StatusNotifierItem";
const WATCHER: &str = "org.kde.StatusNotifierWatcher";

/// Width, height, and pixels as alpha, red, green, blue, row by row.
type Pixmap = (i32, i32, Vec<u8>);

/// What icon and menu show now.
pub(super) type Now = Arc<Mutex<Tray>>;

/// A copy of what is shown now.
pub(super) fn read(now: &Now) -> Tray {
    now.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The icon, as long as it is shown.
pub(super) struct Icon {
    connection: Connection,
    now: Now,
    /// Says when a tray host has come or gone.
    pub(super) hosts: MessageStream,
}

impl Icon {
    /// Puts the icon on the bus and tells the host, if there is one. One that comes later is told then.
    pub(super) async fn show(buses: &Buses, tray: Tray, events: Events) -> zbus::Result<Self> {
        let now: Now = Arc::new(Mutex::new(tray));
        let builder = match &buses.session {
            Some(address) => Builder::address(address.as_str())?,
            None => Builder::session()?,
        };
        let item = Item { now: now.clone(), events: events.clone(), open: pixmap(false), muted: pixmap(true) };
        let builder = builder.serve_at(ITEM, item)?.serve_at(menu::PATH, Menu::new(now.clone(), events))?;
        let connection = bus::finish(builder).await?;
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender("org.freedesktop.DBus")?
            .interface("org.freedesktop.DBus")?
            .member("NameOwnerChanged")?
            .arg(0, WATCHER)?
            .build();
        let hosts = MessageStream::for_match_rule(rule, &connection, Some(8)).await?;
        let icon = Self { connection, now, hosts };
        icon.register().await;
        Ok(icon)
    }

    /// Tells the host that there is an icon.
    pub(super) async fn register(&self) {
        let Some(own) = self.connection.unique_name() else { return };
        let told = self
            .connection
            .call_method(
                Some(WATCHER),
                "/StatusNotifierWatcher",
                Some(WATCHER),
                "RegisterStatusNotifierItem",
                &own.as_str(),
            )
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, "no host for a tray icon");
        }
    }

    /// Shows something else.
    pub(super) async fn change(&self, tray: Tray) {
        {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            if *now == tray {
                return;
            }
            *now = tray;
        }
        let changed = async {
            let emitter = SignalEmitter::new(&self.connection, ITEM)?;
            Item::new_icon(&emitter).await?;
            Item::new_tool_tip(&emitter).await?;
            Menu::changed(&self.connection).await
        };
        if let Err(error) = changed.await {
            tracing::debug!(%error, "the tray icon could not be changed");
        }
    }

    /// Takes the icon away.
    pub(super) async fn remove(self) {
        let Self { connection, hosts, .. } = self;
        drop(hosts);
        let _ = connection.close().await;
    }
}

struct Item {
    now: Now,
    events: Events,
    open: Vec<Pixmap>,
    muted: Vec<Pixmap>,
}

#[interface(name = "org.kde.StatusNotifierItem")]
impl Item {
    fn activate(&self, _x: i32, _y: i32) {
        self.events.send(Event::Show);
    }

    fn secondary_activate(&self, _x: i32, _y: i32) {
        self.events.send(Event::ToggleMute);
    }

    fn context_menu(&self, _x: i32, _y: i32) {}

    fn scroll(&self, _delta: i32, _orientation: &str) {}

    #[zbus(property)]
    fn category(&self) -> &str {
        "Communications"
    }

    #[zbus(property)]
    fn id(&self) -> &str {
        APP_ID
    }

    #[zbus(property)]
    fn title(&self) -> &str {
        "Conclave"
    }

    #[zbus(property)]
    fn status(&self) -> &str {
        "Active"
    }

    #[zbus(property)]
    fn window_id(&self) -> i32 {
        0
    }

    /// None by name: the pixels are there even where the icon was not installed.
    #[zbus(property)]
    fn icon_name(&self) -> &str {
        ""
    }

    #[zbus(property)]
    fn icon_pixmap(&self) -> Vec<Pixmap> {
        if read(&self.now).muted { self.muted.clone() } else { self.open.clone() }
    }

    #[zbus(property)]
    fn overlay_icon_name(&self) -> &str {
        ""
    }

    #[zbus(property)]
    fn attention_icon_name(&self) -> &str {
        ""
    }

    #[zbus(property)]
    fn tool_tip(&self) -> (String, Vec<Pixmap>, String, String) {
        (String::new(), Vec::new(), read(&self.now).title, String::new())
    }

    #[zbus(property)]
    fn item_is_menu(&self) -> bool {
        false
    }

    #[zbus(property)]
    fn menu(&self) -> ObjectPath<'_> {
        ObjectPath::from_static_str_unchecked(menu::PATH)
    }

    #[zbus(signal)]
    async fn new_icon(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn new_tool_tip(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// The mark at the sizes of trays; muted, with a red disc in its lower corner.
fn pixmap(muted: bool) -> Vec<Pixmap> {
    let files: [&[u8]; 3] = [
        include_bytes!("../../assets/desktop/icons/22.png"),
        include_bytes!("../../assets/desktop/icons/32.png"),
        include_bytes!("../../assets/desktop/icons/64.png"),
    ];
    files.into_iter().filter_map(|file| pixels(file, muted)).collect()
}

/// `None` for a file that is no picture of eight bits with alpha.
fn pixels(file: &[u8], muted: bool) -> Option<Pixmap> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let facts = reader.next_frame(&mut pixels).ok()?;
    if (facts.color_type, facts.bit_depth) != (png::ColorType::Rgba, png::BitDepth::Eight) {
        return None;
    }
    let side = facts.width as usize;
    // In halves of a pixel, so that centre and edge lie between pixels.
    let (centre, radius) = (2 * side - side / 2, side / 2);
    for (place, pixel) in pixels.chunks_exact_mut(4).enumerate() {
        let (x, y) = (2 * (place % side) + 1, 2 * (place / side) + 1);
        if muted && x.abs_diff(centre).pow(2) + y.abs_diff(centre).pow(2) <= radius.pow(2) {
            pixel.copy_from_slice(&[0xE0, 0x3B, 0x3B, 0xFF]);
        }
        pixel.rotate_right(1);
    }
    Some((i32::try_from(facts.width).ok()?, i32::try_from(facts.height).ok()?, pixels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_is_there_at_the_sizes_of_trays_and_shows_that_one_is_muted() {
        let (open, muted) = (pixmap(false), pixmap(true));
        for (icons, disc) in [(&open, false), (&muted, true)] {
            let sizes: Vec<_> = icons.iter().map(|icon| (icon.0, icon.1)).collect();
            assert_eq!(sizes, [(22, 22), (32, 32), (64, 64)]);
            for (width, height, pixels) in icons {
                assert_eq!(pixels.len(), usize::try_from(width * height * 4).unwrap());
                let red = pixels.chunks_exact(4).filter(|pixel| **pixel == [0xFF, 0xE0, 0x3B, 0x3B]).count();
                assert_eq!(red > pixels.len() / 4 / 8, disc, "{width}: {red}");
            }
        }
    }
}
