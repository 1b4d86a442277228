//! How others reach this device, and through what.

use egui::Ui;

use super::change;
use super::texts::{TextSetting, text_setting};
use crate::ui::app::Cx;
use crate::ui::strings;
use crate::ui::theme::{Weight, size, space, tokens};
use crate::ui::widgets::{switch, text};

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) {
    let t = tokens(ui.ctx());
    text_setting(ui, cx, TextSetting::Relay);
    text(ui, strings::OWN_RELAY_EXPLAINED, size::CAPTION, Weight::Regular, t.secondary);
    ui.add_space(space::XS);
    let settings = cx.view.settings.clone();
    if switch(ui, strings::ANNOUNCE, strings::ANNOUNCE_EXPLAINED, settings.announce_on_lan).clicked() {
        change(cx, |new| new.announce_on_lan = !settings.announce_on_lan);
    }
    if switch(ui, strings::OPEN_PORT, strings::OPEN_PORT_EXPLAINED, settings.open_router_port).clicked() {
        change(cx, |new| new.open_router_port = !settings.open_router_port);
    }
}
