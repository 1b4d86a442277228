//! Settings that are typed: kept when their field is left, or the sheet closed.

use egui::Ui;

use super::change;
use crate::engine::countries::Country;
use crate::engine::pins::{Network, Pins};
use crate::settings::Settings;
use crate::ui::app::{Cx, Draft};
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::tokens;
use crate::ui::widgets::{Field, caption, field, icon_line};

/// A setting that is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TextSetting {
    /// The name shown to others.
    Name,
    /// A relay of one's own choice.
    Relay,
    /// A TURN server.
    Turn,
    /// The user name there.
    TurnUser,
    /// The password there.
    TurnPassword,
    /// The only relays that may be used.
    OnlyRelays,
    /// The only networks.
    OnlyNetworks,
    /// The only countries.
    OnlyCountries,
}

/// Longest host name (RFC 1035 section 2.3.4) with room for scheme and port.
const HOST_LIMIT: usize = 280;
/// Longest user name and password of a TURN server (RFC 8489 section 14.3: below 509 bytes).
const CREDENTIAL_LIMIT: usize = 508;
/// Longest list of pins: more than anybody writes by hand.
const LIST_LIMIT: usize = 4096;

impl TextSetting {
    fn look(self) -> Field<'static> {
        let (name, hint, limit) = match self {
            Self::Name => (strings::YOUR_NAME, strings::NAME_HINT, 64),
            Self::Relay => (strings::OWN_RELAY, strings::OWN_RELAY_HINT, HOST_LIMIT),
            Self::Turn => (strings::TURN, strings::TURN_HINT, HOST_LIMIT),
            Self::TurnUser => (strings::TURN_USER, "", CREDENTIAL_LIMIT),
            Self::TurnPassword => (strings::TURN_PASSWORD, "", CREDENTIAL_LIMIT),
            Self::OnlyRelays => (strings::ONLY_RELAYS, strings::ONLY_RELAYS_HINT, LIST_LIMIT),
            Self::OnlyNetworks => (strings::ONLY_NETWORKS, strings::ONLY_NETWORKS_HINT, LIST_LIMIT),
            Self::OnlyCountries => (strings::ONLY_COUNTRIES, strings::ONLY_COUNTRIES_HINT, LIST_LIMIT),
        };
        Field { name, hint, limit, secret: self == Self::TurnPassword, code: false, wrong: false }
    }

    fn of(self, settings: &Settings) -> String {
        let turn = settings.turn.clone().unwrap_or_default();
        match self {
            Self::Name => settings.name.clone(),
            Self::Relay => settings.relay.clone(),
            Self::Turn => turn.server,
            Self::TurnUser => turn.user,
            Self::TurnPassword => turn.password,
            Self::OnlyRelays => settings.only_relays.join(", "),
            Self::OnlyNetworks => settings.only_networks.join(", "),
            Self::OnlyCountries => settings.only_countries.join(", "),
        }
    }

    fn put(self, settings: &mut Settings, text: &str) {
        let text = text.trim().to_owned();
        match self {
            Self::Name => settings.name = text,
            Self::Relay => settings.relay = text,
            Self::Turn => settings.turn.get_or_insert_default().server = text,
            Self::TurnUser => settings.turn.get_or_insert_default().user = text,
            Self::TurnPassword => settings.turn.get_or_insert_default().password = text,
            Self::OnlyRelays => settings.only_relays = words(&text),
            Self::OnlyNetworks => settings.only_networks = words(&text),
            Self::OnlyCountries => settings.only_countries = words(&text.to_uppercase()),
        }
    }

    /// What is wrong with a list as it is typed, in a sentence. The engine refuses to contact anybody while it is so.
    fn fault(self, text: &str) -> Option<String> {
        let list = words(text);
        let relay = |word: &String| {
            let alone = Settings { only_relays: vec![word.clone()], ..Settings::default() };
            Pins::from_settings(&alone).is_ok()
        };
        match self {
            Self::OnlyRelays => list.iter().find(|word| !relay(word)).map(|word| strings::no_relay(word)),
            Self::OnlyNetworks => {
                list.iter().find(|word| Network::parse(word).is_none()).map(|word| strings::no_network(word))
            }
            Self::OnlyCountries => {
                list.iter().find(|word| Country::parse(word).is_none()).map(|word| strings::no_country(word))
            }
            _ => None,
        }
    }
}

/// The words of a list, whatever stands between them.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c == ';' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The field of `setting` below its name, and below it what is wrong with it.
pub(super) fn text_setting(ui: &mut Ui, cx: &mut Cx<'_>, setting: TextSetting) {
    let mut look = setting.look();
    caption(ui, look.name);
    let draft = cx.local.drafts.get(&setting);
    let mut text = draft.map_or_else(|| setting.of(&cx.view.settings), |draft| draft.text.clone());
    let fault = setting.fault(&text);
    look.wrong = fault.is_some();
    let typed = field(ui, &mut text, &look);
    if let Some(fault) = fault.filter(|_| !typed.has_focus()) {
        icon_line(ui, Icon::CircleAlert, fault, tokens(ui.ctx()).danger_text);
    }
    if typed.changed() {
        cx.local.drafts.insert(setting, Draft { text, unsent: true });
    }
    if typed.lost_focus() {
        keep_texts(cx);
    }
}

/// Sends what is typed, if some of it has not been sent. Losing the focus can be seen in more than one pass; what was sent
/// once is not sent again.
pub(super) fn keep_texts(cx: &mut Cx<'_>) {
    if !cx.local.drafts.values().any(|draft| draft.unsent) {
        return;
    }
    let typed: Vec<_> = cx
        .local
        .drafts
        .iter_mut()
        .map(|(setting, draft)| {
            draft.unsent = false;
            (*setting, draft.text.clone())
        })
        .collect();
    change(cx, |settings| {
        for (setting, text) in &typed {
            setting.put(settings, text);
        }
        // A user name without a server is nothing yet; it waits in its field.
        settings.turn = settings.turn.take().filter(|turn| !turn.server.is_empty());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_its_words_whatever_stands_between_them() {
        assert_eq!(words(" a.example,b.example ;\tc "), ["a.example", "b.example", "c"]);
        assert!(words(" , ").is_empty());
    }

    #[test]
    fn the_first_wrong_word_of_a_list_is_named() {
        for (setting, text, wrong) in [
            (TextSetting::OnlyNetworks, "192.0.2.0/24, 300.0.0.0/8", Some("300.0.0.0/8")),
            (TextSetting::OnlyNetworks, "192.0.2.0/24 2001:db8::/32", None),
            (TextSetting::OnlyCountries, "de, Germany", Some("Germany")),
            (TextSetting::OnlyCountries, "", None),
            (TextSetting::OnlyRelays, "relay.example, [2001:db8::7]", None),
            (TextSetting::OnlyRelays, "relay.example http://", Some("http://")),
        ] {
            let fault = setting.fault(text);
            assert_eq!(fault.is_some(), wrong.is_some(), "{text}");
            assert!(fault.unwrap_or_default().contains(wrong.unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn what_is_put_is_what_is_shown() {
        let mut settings = Settings::default();
        for (setting, text) in [
            (TextSetting::Turn, "turn.example"),
            (TextSetting::TurnUser, "ana"),
            (TextSetting::OnlyNetworks, "192.0.2.0/24, 10.0.0.0/8"),
            (TextSetting::OnlyCountries, "DE, AT"),
        ] {
            setting.put(&mut settings, text);
            assert_eq!(setting.of(&settings), text);
        }
    }
}
