//! Settings that are typed: kept when their field is left, or the sheet closed.

use egui::Ui;

use super::change;
use crate::settings::Settings;
use crate::ui::app::{Cx, Draft};
use crate::ui::strings;
use crate::ui::widgets::{Field, caption, field};

/// A setting that is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TextSetting {
    /// The name shown to others.
    Name,
    /// A relay of one's own choice.
    Relay,
}

/// Longest host name (RFC 1035 §2.3.4) with room for scheme and port.
const RELAY_LIMIT: usize = 280;

impl TextSetting {
    fn look(self) -> Field<'static> {
        let (name, hint, limit) = match self {
            Self::Name => (strings::YOUR_NAME, strings::NAME_HINT, 64),
            Self::Relay => (strings::OWN_RELAY, strings::OWN_RELAY_HINT, RELAY_LIMIT),
        };
        Field { name, hint, limit, code: false, wrong: false }
    }

    fn of(self, settings: &Settings) -> String {
        match self {
            Self::Name => settings.name.clone(),
            Self::Relay => settings.relay.clone(),
        }
    }

    fn put(self, settings: &mut Settings, text: &str) {
        let text = text.trim().to_owned();
        match self {
            Self::Name => settings.name = text,
            Self::Relay => settings.relay = text,
        }
    }
}

/// The field of `setting` below its name.
pub(super) fn text_setting(ui: &mut Ui, cx: &mut Cx<'_>, setting: TextSetting) {
    let look = setting.look();
    caption(ui, look.name);
    let draft = cx.local.drafts.get(&setting);
    let mut text = draft.map_or_else(|| setting.of(&cx.view.settings), |draft| draft.text.clone());
    let typed = field(ui, &mut text, &look);
    if typed.changed() {
        cx.local.drafts.insert(setting, Draft { text, unsent: true });
    }
    if typed.lost_focus() {
        keep_texts(cx);
    }
}

/// Sends what was typed and not yet sent. Losing the focus can be seen in more than one pass; what was sent once is not sent
/// again.
pub(super) fn keep_texts(cx: &mut Cx<'_>) {
    let mut typed = Vec::new();
    for (setting, draft) in cx.local.drafts.iter_mut().filter(|(_, draft)| draft.unsent) {
        draft.unsent = false;
        typed.push((*setting, draft.text.clone()));
    }
    change(cx, |settings| {
        for (setting, text) in &typed {
            setting.put(settings, text);
        }
    });
}
