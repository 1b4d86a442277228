//! A small window that stays above all others: who speaks, and the two buttons that cannot wait.

use egui::{Context, Rect, Ui, ViewportBuilder, ViewportClass, ViewportCommand, ViewportId, pos2, vec2};

use super::prejoin::{mic_tool, own_preview};
use super::stage::plain_tile;
use crate::engine::Command;
use crate::engine::view::{Meeting, Peer, PeerId};
use crate::ui::app::{Cx, Sheet};
use crate::ui::icons::Icon;
use crate::ui::shortcuts::{self, Shortcut};
use crate::ui::strings;
use crate::ui::theme::{control, radius, space, tokens};
use crate::ui::widgets::{lifted, over, tool_button};

/// The size that it opens with, in points.
const SIZE: [f32; 2] = [384.0, 216.0];
/// The least size that its buttons fit in, in points.
const LEAST: [f32; 2] = [256.0, 144.0];
/// Louder than this counts as speaking.
const SPEAKING: f32 = 0.35;

/// The name of its viewport.
pub(crate) fn id() -> ViewportId {
    ViewportId::from_hash_of("small window")
}

/// Shows it, if it is open.
pub(crate) fn show(ctx: &Context, cx: &mut Cx<'_>, meeting: &Meeting) {
    if !cx.local.pop_out {
        return;
    }
    let builder = ViewportBuilder::default()
        .with_title(strings::POP_OUT_TITLE)
        .with_inner_size(SIZE)
        .with_min_inner_size(LEAST)
        .with_always_on_top();
    ctx.show_viewport_immediate(id(), builder, |ui, class| contents(ui, cx, meeting, class));
}

fn contents(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, class: ViewportClass) {
    if class == ViewportClass::EmbeddedWindow {
        // Where there can be no second window, it stands in this one.
        ui.set_min_size(SIZE.into());
    } else {
        if ui.input(|input| input.viewport().close_requested()) {
            cx.local.pop_out = false;
        }
        match shortcuts::pressed(ui.ctx()) {
            Some(Shortcut::Mic) => cx.send(Command::SetMic(!cx.view.own.mic_on)),
            Some(Shortcut::Camera) => cx.send(Command::SetCamera(!cx.view.own.camera_on)),
            Some(Shortcut::Close | Shortcut::PopOut) => cx.local.pop_out = false,
            _ => {}
        }
    }
    let area = ui.max_rect();
    ui.painter().rect_filled(area, 0.0, tokens(ui.ctx()).background);
    cx.local.speaker = speaker(&meeting.peers, cx.local.speaker);
    match meeting.peers.iter().find(|peer| Some(peer.id) == cx.local.speaker) {
        Some(peer) => plain_tile(ui, cx, meeting, peer, area),
        None => own_preview(ui, cx, area, 0),
    }
    let width = 3.0 * control::TOOL + space::L + 4.0 * space::S;
    let height = control::TOOL + 2.0 * space::S;
    let bar =
        Rect::from_center_size(pos2(area.center().x, area.bottom() - space::S - height / 2.0), vec2(width, height));
    over(ui, bar.shrink(space::S), |ui| {
        lifted(ui, bar, radius::SHEET + 4);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            mic_tool(ui, cx);
            let back = tool_button(ui, Icon::X, strings::POP_OUT_CLOSE, strings::POP_OUT_CLOSE, None, false, false);
            if back.clicked() {
                cx.local.pop_out = false;
            }
            if tool_button(ui, Icon::PhoneOff, strings::LEAVE, strings::LEAVE, None, false, true).clicked() {
                cx.leave();
                // How is asked in the other window.
                if cx.local.sheet == Some(Sheet::Leave) {
                    cx.local.pop_out = false;
                    ui.ctx().send_viewport_cmd_to(ViewportId::ROOT, ViewportCommand::Minimized(false));
                    ui.ctx().send_viewport_cmd_to(ViewportId::ROOT, ViewportCommand::Focus);
                }
            }
        });
    });
}

/// Whom it shows: who was shown `before`, until they are silent and somebody else speaks.
fn speaker(peers: &[Peer], before: Option<PeerId>) -> Option<PeerId> {
    let heard = |peer: &&Peer| peer.mic_on && peer.level > SPEAKING;
    let shown = peers.iter().find(|peer| Some(peer.id) == before);
    let loudest = peers.iter().filter(heard).max_by(|a, b| a.level.total_cmp(&b.level));
    shown.filter(heard).or(loudest).or(shown).or(peers.first()).map(|peer| peer.id)
}
