//! Settings. Changes apply at once; a text when its field is left.

use egui::Ui;

use super::devices;
use crate::engine::Command;
use crate::settings::{Appearance, Settings};
use crate::ui::app::{Cx, Draft};
use crate::ui::strings;
use crate::ui::theme::{Weight, control, size, space, tokens};
use crate::ui::widgets::{
    Button, Field, Kind, Sheet, caption, fact, field, hairline, heading, icon_line, segments, sheet, switch, text,
};

/// Longest host name (RFC 1035 §2.3.4) with room for scheme and port.
const RELAY_LIMIT: usize = 280;

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
    let look = Sheet { title: strings::SETTINGS, width: 560.0, footer: 0.0 };
    let closed = sheet(ui, &look, |ui| contents(ui, cx), |_| ());
    if closed {
        keep_texts(cx);
    }
    closed
}

fn change(cx: &mut Cx<'_>, change: impl FnOnce(&mut Settings)) {
    let mut settings = (*cx.view.settings).clone();
    change(&mut settings);
    if settings != *cx.view.settings {
        cx.send(Command::ChangeSettings(Box::new(settings)));
    }
}

fn keep_texts(cx: &mut Cx<'_>) {
    // Losing the focus can be seen in more than one pass; what was sent once is not sent again.
    let unsent = |draft: &mut Option<Draft>| {
        let draft = draft.as_mut().filter(|draft| draft.unsent)?;
        draft.unsent = false;
        Some(draft.text.trim().to_owned())
    };
    let (name, relay) = (unsent(&mut cx.local.own_name), unsent(&mut cx.local.own_relay));
    change(cx, |settings| {
        settings.name = name.unwrap_or_else(|| settings.name.clone());
        settings.relay = relay.unwrap_or_else(|| settings.relay.clone());
    });
}

fn section(ui: &mut Ui, name: &str) {
    ui.add_space(space::M);
    hairline(ui);
    ui.add_space(space::XS);
    heading(ui, name);
}

fn contents(ui: &mut Ui, cx: &mut Cx<'_>) {
    let t = tokens(ui.ctx());
    ui.spacing_mut().item_spacing.y = space::S;
    heading(ui, strings::PROFILE);
    caption(ui, strings::YOUR_NAME);
    let mut name = cx.local.own_name.as_ref().map_or(&cx.view.settings.name, |draft| &draft.text).clone();
    let look = Field { name: strings::YOUR_NAME, hint: strings::NAME_HINT, limit: 64, code: false, wrong: false };
    let typed = field(ui, &mut name, &look);
    if typed.changed() {
        cx.local.own_name = Some(Draft { text: name, unsent: true });
    }
    if typed.lost_focus() {
        keep_texts(cx);
    }
    fact(ui, strings::OWN_FINGERPRINT, &cx.view.fingerprint, true);

    section(ui, strings::DEVICES);
    devices::camera(ui, cx);
    devices::mic(ui, cx);
    devices::speaker(ui, cx);
    if Button::new(Kind::Quiet, strings::TEST_SOUND).icon(crate::ui::icons::Icon::Volume).compact().show(ui).clicked() {
        cx.send(Command::TestSound);
    }

    section(ui, strings::NETWORK);
    caption(ui, strings::OWN_RELAY);
    let mut relay = cx.local.own_relay.as_ref().map_or(&cx.view.settings.relay, |draft| &draft.text).clone();
    let look = Field {
        name: strings::OWN_RELAY,
        hint: strings::OWN_RELAY_HINT,
        limit: RELAY_LIMIT,
        code: false,
        wrong: false,
    };
    let typed = field(ui, &mut relay, &look);
    if typed.changed() {
        cx.local.own_relay = Some(Draft { text: relay, unsent: true });
    }
    if typed.lost_focus() {
        keep_texts(cx);
    }
    text(ui, strings::OWN_RELAY_EXPLAINED, size::CAPTION, Weight::Regular, t.secondary);
    ui.add_space(space::XS);
    let settings = cx.view.settings.clone();
    if switch(ui, strings::ANNOUNCE, strings::ANNOUNCE_EXPLAINED, settings.announce_on_lan).clicked() {
        change(cx, |new| new.announce_on_lan = !settings.announce_on_lan);
    }
    if switch(ui, strings::OPEN_PORT, strings::OPEN_PORT_EXPLAINED, settings.open_router_port).clicked() {
        change(cx, |new| new.open_router_port = !settings.open_router_port);
    }

    section(ui, strings::APPEARANCE);
    let options =
        [(Appearance::System, strings::SYSTEM), (Appearance::Dark, strings::DARK), (Appearance::Light, strings::LIGHT)];
    if let Some(appearance) = segments(ui, &options, settings.appearance) {
        change(cx, |new| new.appearance = appearance);
    }

    section(ui, strings::SHORTCUTS);
    for (key, meaning) in [
        (strings::KEY_MIC, strings::SHORTCUT_MIC),
        (strings::KEY_CAMERA, strings::SHORTCUT_CAMERA),
        (strings::KEY_COPY, strings::SHORTCUT_COPY),
        (strings::KEY_ENTER, strings::SHORTCUT_ENTER),
        (strings::KEY_CLOSE, strings::SHORTCUT_CLOSE),
    ] {
        fact(ui, key, meaning, false);
    }

    section(ui, strings::ABOUT);
    icon_line(ui, crate::ui::icons::Icon::Info, strings::version(env!("CARGO_PKG_VERSION")), t.text);
    text(ui, strings::LICENCES, size::CAPTION, Weight::Regular, t.secondary);
    ui.add_space(control::ICON);
}
