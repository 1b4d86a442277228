//! The meeting: pictures edge to edge, and over them what must be known and pressed.

use std::time::Duration;

use egui::{Rect, Ui, pos2};

use super::{overlay, stage};
use crate::engine::Command;
use crate::engine::view::{Meeting, PeerLink};
use crate::ui::app::{Cx, Panel};
use crate::ui::panels;
use crate::ui::shortcuts::Shortcut;
use crate::ui::theme::{self, control, space};

/// Where the window is at least this wide, a panel stands beside the pictures; else it lies over them.
const BESIDE: f32 = 1000.0;
/// The toolbar hides after this many seconds without a movement or a key.
const TOOLBAR_STAYS: f64 = 4.0;

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting) -> f32 {
    match cx.shortcut {
        Some(Shortcut::Mic) => cx.send(Command::SetMic(!cx.view.own.mic_on)),
        Some(Shortcut::Camera) => cx.send(Command::SetCamera(!cx.view.own.camera_on)),
        Some(Shortcut::CopyLink) => cx.copy_link(ui.ctx()),
        Some(Shortcut::PopOut) => cx.local.pop_out = !cx.local.pop_out,
        Some(Shortcut::Close) => cx.local.panel = None,
        _ => {}
    }
    let full = ui.max_rect();
    let panel = cx.local.panel.map(|which| {
        // Lying over the pictures it leaves the toolbar free: leaving and muting are never covered.
        let below = if full.width() >= BESIDE { full.bottom() } else { full.bottom() - stage::TOOLBAR - space::S };
        (which, Rect::from_min_max(pos2(full.right() - control::PANEL, full.top()), pos2(full.right(), below)))
    });
    let area = match panel {
        Some((_, place)) if full.width() >= BESIDE => Rect::from_min_max(full.min, pos2(place.left(), full.bottom())),
        _ => full,
    };

    let shown = toolbar_shown(ui, cx, meeting);
    stage::show(ui, cx, meeting, area);
    overlay::toolbar(ui, cx, meeting, area, shown);
    // What lies over the pictures stays clear of a panel that does so too.
    let clear = match panel {
        Some((_, place)) => Rect::from_min_max(area.min, pos2(place.left(), area.bottom())),
        None => area,
    };
    let pill = overlay::state_pills(ui, cx, meeting, clear);
    let below = overlay::banners(ui, cx, meeting, clear, pill);
    if meeting.peers.is_empty() {
        stage::alone(ui, cx, meeting, area, below);
    }
    if let Some((which, place)) = panel {
        match which {
            Panel::People => panels::people::show(ui, cx, meeting, place),
            Panel::Security => panels::security::show(ui, cx, meeting, place),
        }
    }
    // The clock in the pill moves on once a second; nothing else here moves by itself.
    let into_second = meeting.since.elapsed().subsec_millis();
    ui.ctx().request_repaint_after(Duration::from_millis(u64::from(1005 - into_second.min(1000))));
    control::TOOL + 3.0 * space::L
}

/// How much of the toolbar is to be seen, 0..=1: all of it unless people are talking and nothing was touched for a while.
fn toolbar_shown(ui: &Ui, cx: &mut Cx<'_>, meeting: &Meeting) -> f32 {
    let (now, active) = ui.input(|input| {
        let active = input.pointer.is_moving() || input.pointer.any_down() || !input.events.is_empty();
        (input.time, active)
    });
    if active || cx.local.last_activity == 0.0 {
        cx.local.last_activity = now;
    }
    let talking = meeting.peers.iter().any(|peer| peer.link == PeerLink::Live);
    let focused = ui.memory(|memory| memory.focused().is_some());
    let idle = now - cx.local.last_activity;
    let wanted = !talking || focused || cx.local.panel.is_some() || !meeting.knocks.is_empty() || idle < TOOLBAR_STAYS;
    if wanted && talking && idle < TOOLBAR_STAYS {
        ui.ctx().request_repaint_after(Duration::from_secs_f64((TOOLBAR_STAYS - idle).max(0.05)));
    }
    ui.ctx().animate_bool_with_time(egui::Id::unique("toolbar shown"), wanted, theme::motion(ui.ctx()))
}
