//! How others reach this device, through what, and what must not be used.

use egui::{Align, Layout, Ui};

use super::change;
use super::texts::{TextSetting, text_setting};
use crate::ui::app::Cx;
use crate::ui::files::FileKind;
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{Weight, control, size, space, tokens};
use crate::ui::widgets::{Button, Kind, caption, icon_button, icon_line, strong, switch, text};

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) {
    text_setting(ui, cx, TextSetting::Relay);
    explained(ui, strings::OWN_RELAY_EXPLAINED);
    ui.add_space(space::XS);
    let settings = cx.view.settings.clone();
    if switch(ui, strings::ANNOUNCE, strings::ANNOUNCE_EXPLAINED, settings.announce_on_lan).clicked() {
        change(cx, |new| new.announce_on_lan = !settings.announce_on_lan);
    }
    if switch(ui, strings::OPEN_PORT, strings::OPEN_PORT_EXPLAINED, settings.open_router_port).clicked() {
        change(cx, |new| new.open_router_port = !settings.open_router_port);
    }
    ui.add_space(space::S);
    turn(ui, cx);
    ui.add_space(space::S);
    allowed(ui, cx);
}

fn explained(ui: &mut Ui, words: &str) {
    let t = tokens(ui.ctx());
    text(ui, words, size::CAPTION, Weight::Regular, t.secondary);
}

/// The TURN server, and whether nothing else may be used.
fn turn(ui: &mut Ui, cx: &mut Cx<'_>) {
    text_setting(ui, cx, TextSetting::Turn);
    explained(ui, strings::TURN_EXPLAINED);
    text_setting(ui, cx, TextSetting::TurnUser);
    text_setting(ui, cx, TextSetting::TurnPassword);
    ui.add_space(space::XS);
    let settings = cx.view.settings.clone();
    if switch(ui, strings::HIDE_ADDRESS, strings::HIDE_ADDRESS_EXPLAINED, settings.hide_address).clicked() {
        change(cx, |new| new.hide_address = !settings.hide_address);
    }
    if settings.hide_address && settings.turn.is_none() {
        icon_line(ui, Icon::TriangleAlert, strings::HIDE_ADDRESS_NEEDS, tokens(ui.ctx()).warning);
    }
}

/// The only relays, networks and countries.
fn allowed(ui: &mut Ui, cx: &mut Cx<'_>) {
    strong(ui, strings::ONLY);
    explained(ui, strings::ONLY_EXPLAINED);
    for setting in [TextSetting::OnlyRelays, TextSetting::OnlyNetworks, TextSetting::OnlyCountries] {
        text_setting(ui, cx, setting);
    }
    let settings = cx.view.settings.clone();
    if !settings.only_countries.is_empty() && settings.country_table.is_none() {
        icon_line(ui, Icon::TriangleAlert, strings::COUNTRY_TABLE_NEEDED, tokens(ui.ctx()).warning);
    }
    caption(ui, strings::COUNTRY_TABLE);
    ui.horizontal(|ui| {
        let (choose, forget) = (148.0, if settings.country_table.is_some() { control::TARGET + space::S } else { 0.0 });
        let room = ui.available_width() - choose - forget - space::S;
        let name = settings.country_table.as_ref().and_then(|path| path.file_name());
        let name = name.map_or_else(|| strings::COUNTRY_TABLE_NONE.into(), |name| name.to_string_lossy());
        ui.vertical(|ui| {
            ui.set_width(room);
            ui.add_space((control::TARGET - control::ICON) / 2.0);
            icon_line(ui, Icon::MapPin, name, tokens(ui.ctx()).secondary);
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if settings.country_table.is_some() && icon_button(ui, Icon::X, strings::COUNTRY_TABLE_FORGET).clicked() {
                change(cx, |new| new.country_table = None);
            }
            let name = format!("{} · {}", strings::COUNTRY_TABLE, strings::CHOOSE_FILE);
            let button = Button::new(Kind::Secondary, strings::CHOOSE_FILE).name(&name).compact().width(choose);
            if button.show(ui).clicked() {
                cx.ask_for_file(FileKind::Countries);
            }
        });
    });
    explained(ui, strings::COUNTRY_TABLE_EXPLAINED);
}
