//! At the door, seen from outside.

use std::time::Duration;

use egui::{Ui, vec2};

use super::prejoin::{camera_tool, mic_tool, own_preview};
use crate::engine::Command;
use crate::engine::view::Lobby;
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::layout::ASPECT;
use crate::ui::shortcuts::Shortcut;
use crate::ui::theme::{Weight, radius, size, space, tokens};
use crate::ui::widgets::{Button, Kind, caption, card, centred, note, spinner, text, two_columns};
use crate::ui::{panels, strings, when};

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, lobby: &Lobby) -> f32 {
    match cx.shortcut {
        Some(Shortcut::Mic) => cx.send(Command::SetMic(!cx.view.own.mic_on)),
        Some(Shortcut::Camera) => cx.send(Command::SetCamera(!cx.view.own.camera_on)),
        _ => {}
    }
    centred(ui, "lobby", 960.0, |ui| {
        let gap = space::XL;
        let left = ((ui.available_width() - gap) * 0.5).floor();
        two_columns(ui, left, gap, cx, own, |ui, _| facts(ui, lobby));
    });
    ui.ctx().request_repaint_after(Duration::from_secs(1));
    space::XL
}

fn own(ui: &mut Ui, cx: &mut Cx<'_>) {
    ui.spacing_mut().item_spacing.y = space::M;
    let width = ui.available_width();
    let (rect, _) = ui.allocate_exact_size(vec2(width, (width / ASPECT).floor()), egui::Sense::hover());
    own_preview(ui, cx, rect, radius::TILE);
    ui.horizontal(|ui| {
        mic_tool(ui, cx);
        camera_tool(ui, cx);
        ui.add_space(space::S);
        if Button::new(Kind::Danger, strings::LEAVE).icon(Icon::PhoneOff).large().show(ui).clicked() {
            cx.send(Command::Leave);
        }
    });
}

fn facts(ui: &mut Ui, lobby: &Lobby) {
    let t = tokens(ui.ctx());
    ui.spacing_mut().item_spacing.y = space::S;
    text(ui, strings::WAITING_FOR_HOST, size::TITLE, Weight::Strong, t.text);
    ui.horizontal(|ui| {
        spinner(ui, 18.0);
        text(ui, when::clock(lobby.since.elapsed()), size::BODY, Weight::Code, t.secondary);
    });
    note(ui, strings::LOBBY_EXPLAINED);
    ui.add_space(space::XS);
    card(ui, |ui| {
        caption(ui, strings::HOST_FINGERPRINT);
        text(ui, &lobby.host_fingerprint, size::BODY, Weight::Code, t.text);
        ui.add_space(space::XS);
        caption(ui, strings::LOBBY_NUMBER);
        panels::verify::digits(ui, &lobby.safety_number, size::LEAD);
        ui.add_space(space::XS);
        text(ui, strings::LOBBY_NUMBER_EXPLAINED, size::CAPTION, Weight::Regular, t.secondary);
    });
}
