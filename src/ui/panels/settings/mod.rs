//! Settings. Changes apply at once; a text when its field is left.

mod desktop;
mod network;
mod privacy;
mod sound;
mod texts;

use egui::Ui;

pub(crate) use texts::TextSetting;

use self::texts::{keep_texts, text_setting};
use super::devices;
use crate::engine::Command;
use crate::settings::{Appearance, Settings};
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{Weight, control, size, space, tokens};
use crate::ui::widgets::{Button, Kind, Sheet, fact, hairline, heading, icon_line, segments, sheet, text};

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
    text_setting(ui, cx, TextSetting::Name);
    fact(ui, strings::OWN_FINGERPRINT, &cx.view.fingerprint, true);

    section(ui, strings::DEVICES);
    devices::camera(ui, cx);
    devices::mic(ui, cx);
    devices::speaker(ui, cx);
    if Button::new(Kind::Quiet, strings::TEST_SOUND).icon(Icon::Volume).compact().show(ui).clicked() {
        cx.send(Command::TestSound);
    }

    section(ui, strings::SOUND);
    sound::show(ui, cx);

    section(ui, strings::NETWORK);
    network::show(ui, cx);

    section(ui, strings::PRIVACY);
    privacy::show(ui, cx);

    section(ui, strings::DESKTOP);
    desktop::show(ui, cx);

    section(ui, strings::APPEARANCE);
    let options =
        [(Appearance::System, strings::SYSTEM), (Appearance::Dark, strings::DARK), (Appearance::Light, strings::LIGHT)];
    if let Some(appearance) = segments(ui, &options, cx.view.settings.appearance) {
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
    icon_line(ui, Icon::Info, strings::version(env!("CARGO_PKG_VERSION")), t.text);
    text(ui, strings::LICENCES, size::CAPTION, Weight::Regular, t.secondary);
    ui.add_space(control::ICON);
}
