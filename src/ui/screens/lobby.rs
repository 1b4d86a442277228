//! At the door, seen from outside.

use std::time::Duration;

use egui::{Rect, Ui, UiBuilder, pos2, vec2};

use super::prejoin::{camera_tool, mic_tool, own_preview};
use crate::engine::Command;
use crate::engine::view::Lobby;
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::layout::ASPECT;
use crate::ui::shortcuts::Shortcut;
use crate::ui::theme::{Weight, radius, size, space, tokens};
use crate::ui::widgets::{Button, Kind, caption, card, centred, note, spinner, text};
use crate::ui::{panels, strings, when};

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, lobby: &Lobby) -> f32 {
    match cx.shortcut {
        Some(Shortcut::Mic) => cx.send(Command::SetMic(!cx.view.own.mic_on)),
        Some(Shortcut::Camera) => cx.send(Command::SetCamera(!cx.view.own.camera_on)),
        _ => {}
    }
    centred(ui, "lobby", 960.0, |ui| {
        let area = ui.available_rect_before_wrap();
        let gap = space::XL;
        let left_width = ((area.width() - gap) * 0.5).floor();
        let left = Rect::from_min_size(area.min, vec2(left_width, f32::INFINITY));
        let right = Rect::from_min_max(pos2(left.right() + gap, area.top()), pos2(area.right(), f32::INFINITY));
        let a = ui
            .scope_builder(UiBuilder::new().max_rect(left), |ui| {
                ui.spacing_mut().item_spacing.y = space::M;
                let (rect, _) =
                    ui.allocate_exact_size(vec2(left_width, (left_width / ASPECT).floor()), egui::Sense::hover());
                own_preview(ui, cx, rect, radius::TILE);
                ui.horizontal(|ui| {
                    mic_tool(ui, cx);
                    camera_tool(ui, cx);
                    ui.add_space(space::S);
                    if Button::new(Kind::Danger, strings::LEAVE).icon(Icon::PhoneOff).large().show(ui).clicked() {
                        cx.send(Command::Leave);
                    }
                });
            })
            .response
            .rect;
        let b = ui.scope_builder(UiBuilder::new().max_rect(right), |ui| facts(ui, lobby)).response.rect;
        ui.expand_to_include_rect(a.union(b));
    });
    ui.ctx().request_repaint_after(Duration::from_secs(1));
    space::XL
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
