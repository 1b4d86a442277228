//! What lies over the pictures: the state of the encryption, banners, the toolbar.

use egui::accesskit::Role;
use egui::{CornerRadius, Rect, Sense, Ui, WidgetInfo, pos2, vec2};

use super::prejoin::{camera_tool, mic_tool};
use super::stage::TOOLBAR;
use crate::engine::Command;
use crate::engine::view::{Encryption, Familiarity, Knock, Meeting, Notice, Verification};
use crate::ui::app::{Cx, Panel, Sheet};
use crate::ui::icons::{self, Icon};
use crate::ui::theme::{Weight, control, font, radius, size, space, tokens};
use crate::ui::widgets::{
    Banner, BannerTone, Button, Kind, banner_frame, focus_ring, icon_line, lifted, note, over, overlay_chip, strong,
    text, tool_button,
};
use crate::ui::{strings, when};

/// The state of the encryption and the clock, top left. Returns its right edge.
pub(super) fn state_pill(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect) -> f32 {
    let t = tokens(ui.ctx());
    let mismatch = meeting.peers.iter().any(|peer| peer.verification == Verification::Mismatch);
    let (icon, word, colour) = match &meeting.encryption {
        Encryption::Alone => (Icon::Hourglass, strings::ALONE, t.on_scrim),
        Encryption::Agreeing => (Icon::Hourglass, strings::AGREEING, t.on_scrim),
        Encryption::Encrypted => (Icon::Lock, strings::ENCRYPTED, t.on_scrim),
        Encryption::Verified => (Icon::ShieldCheck, strings::VERIFIED, t.verified_on_scrim),
        Encryption::Warning(_) if mismatch => (Icon::ShieldAlert, strings::WARNING, t.danger_on_scrim),
        Encryption::Warning(_) => (Icon::ShieldAlert, strings::WARNING, t.warning_on_scrim),
    };
    let galley = ui.painter().layout_no_wrap(word.to_owned(), font(size::BODY, Weight::Medium), colour);
    let clock = when::clock(meeting.since.elapsed());
    let time = ui.painter().layout_no_wrap(clock.clone(), font(size::CAPTION, Weight::Code), t.on_scrim);
    let icon_side = 16.0;
    let width = space::M + icon_side + space::S + galley.size().x + space::M + time.size().x + space::M;
    let rect = Rect::from_min_size(area.min + vec2(space::L, space::L), vec2(width, control::TARGET));
    let response = ui.interact(rect, ui.scope_id().with("state of the encryption"), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, word));
    ui.painter().rect_filled(rect, CornerRadius::same(radius::ROUND), t.scrim);
    let middle = rect.center().y;
    let mark =
        Rect::from_center_size(pos2(rect.left() + space::M + icon_side / 2.0, middle), vec2(icon_side, icon_side));
    icons::paint(ui, icon, mark, colour);
    let word_at = pos2(mark.right() + space::S, middle - galley.size().y / 2.0);
    let line = word_at.x + galley.size().x + space::M / 2.0;
    ui.painter().galley(word_at, galley, colour);
    ui.painter().vline(line, middle - 8.0..=middle + 8.0, egui::Stroke::new(1.0, t.on_scrim.gamma_multiply(0.3)));
    let time_rect =
        Rect::from_min_size(pos2(rect.right() - space::M - time.size().x, middle - time.size().y / 2.0), time.size());
    let clock_seen = ui.interact(time_rect, ui.scope_id().with("meeting clock"), Sense::hover());
    clock_seen.widget_info(|| WidgetInfo::labeled(Role::Timer, true, &clock));
    ui.painter().galley(time_rect.min, time, t.on_scrim);
    focus_ring(ui, &response, (control::TARGET / 2.0) as u8);
    if response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(strings::SECURITY).clicked() {
        toggle(cx, Panel::Security);
    }
    rect.right()
}

fn toggle(cx: &mut Cx<'_>, panel: Panel) {
    cx.local.panel = if cx.local.panel == Some(panel) { None } else { Some(panel) };
}

/// The one place for banners: who is at the door, and what gets in the way. Returns where the room below them begins.
pub(super) fn banners(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect, pill: f32) -> f32 {
    let (left, right) = (area.left() + space::L, area.right() - space::L);
    let beside_pill = area.center().x - 280.0 > pill + space::M && area.center().x + 280.0 < area.right() - 160.0;
    let mut top = area.top() + space::L + if beside_pill { 0.0 } else { control::TARGET + space::S };
    if let Encryption::Warning(sentence) = &meeting.encryption {
        let mismatch = meeting.peers.iter().any(|peer| peer.verification == Verification::Mismatch);
        let tone = if mismatch { BannerTone::Danger } else { BannerTone::Warning };
        let banner = Banner { icon: Icon::ShieldAlert, tone, words: sentence.clone() };
        top = banner.show(ui, left, right, top) + space::S;
    }
    if let Some((first, others)) = meeting.knocks.split_first() {
        top = knock(ui, cx, first, others.len(), left, right, top) + space::S;
    }
    for notice in cx.view.notices.iter().take(2) {
        // The pill and its sentence say it already.
        if matches!((notice, &meeting.encryption), (Notice::KeyChanged { .. }, Encryption::Warning(_))) {
            continue;
        }
        top = notice_banner(notice, cx.view.own.mic_on).show(ui, left, right, top) + space::S;
    }
    top.max(area.top() + space::L + control::TARGET + space::S)
}

fn notice_banner(notice: &Notice, mic_on: bool) -> Banner {
    let (icon, tone, words) = match notice {
        Notice::Reconnecting { name } => (Icon::WifiOff, BannerTone::Warning, strings::reconnecting(name, mic_on)),
        Notice::NoPath { name } => (Icon::WifiOff, BannerTone::Warning, strings::no_path(name)),
        Notice::RouteRefused { name, why } => {
            (Icon::ShieldAlert, BannerTone::Warning, strings::route_refused(name, why))
        }
        Notice::RelayLost => (Icon::Server, BannerTone::Warning, strings::RELAY_LOST.to_owned()),
        Notice::CameraLost(why) => (Icon::VideoOff, BannerTone::Warning, strings::camera_lost(why)),
        Notice::MicLost(why) => (Icon::MicOff, BannerTone::Warning, strings::mic_lost(why)),
        Notice::SpeakerLost(why) => (Icon::Volume, BannerTone::Warning, strings::speaker_lost(why)),
        Notice::MicSilent => (Icon::MicOff, BannerTone::Warning, strings::MIC_SILENT.to_owned()),
        Notice::SpeakingWhileMuted => (Icon::MicOff, BannerTone::Neutral, strings::SPEAKING_MUTED.to_owned()),
        Notice::Forked => (Icon::ShieldAlert, BannerTone::Danger, strings::FORKED.to_owned()),
        Notice::HostLost => (Icon::WifiOff, BannerTone::Warning, strings::HOST_LOST.to_owned()),
        Notice::KeyChanged { name } => (Icon::ShieldAlert, BannerTone::Warning, strings::key_changed(name)),
    };
    Banner { icon, tone, words }
}

fn knock(ui: &mut Ui, cx: &mut Cx<'_>, knock: &Knock, others: usize, left: f32, right: f32, top: f32) -> f32 {
    let t = tokens(ui.ctx());
    let suspicious = matches!(knock.who, Familiarity::LookAlike(_) | Familiarity::Mismatch(_));
    let edge = if suspicious { t.warning } else { t.accent_text };
    banner_frame(ui, left, right, top, 560.0, edge, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let buttons = 2.0 * 92.0 + space::S;
        let width = ui.available_width();
        ui.horizontal_top(|ui| {
            ui.scope(|ui| {
                ui.set_width(width - buttons - space::M);
                ui.vertical(|ui| {
                    let said = strong(ui, &strings::wants_to_join(&knock.name));
                    ui.ctx().accesskit_node_builder(said.id, |node| node.set_live(egui::accesskit::Live::Polite));
                    familiarity(ui, &knock.who);
                    text(ui, &knock.fingerprint, size::CAPTION, Weight::Code, t.muted);
                });
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Min), |ui| {
                let (yes, no) = (strings::admit(&knock.name), strings::decline(&knock.name));
                let (yes_kind, no_kind) =
                    if suspicious { (Kind::Secondary, Kind::Primary) } else { (Kind::Primary, Kind::Secondary) };
                if Button::new(yes_kind, strings::ADMIT).name(&yes).width(92.0).show(ui).clicked() {
                    cx.send(Command::Admit(knock.id));
                }
                if Button::new(no_kind, strings::DECLINE).name(&no).width(92.0).show(ui).clicked() {
                    cx.send(Command::Decline(knock.id));
                }
            });
        });
        if others > 0 {
            ui.horizontal(|ui| {
                note(ui, &strings::more_knocks(others));
                if Button::new(Kind::Quiet, strings::MORE_WAITING).compact().show(ui).clicked() {
                    cx.local.panel = Some(Panel::People);
                }
            });
        }
    })
}

/// Whether somebody at the door is known.
pub(crate) fn familiarity(ui: &mut Ui, who: &Familiarity) {
    let t = tokens(ui.ctx());
    match who {
        Familiarity::New => icon_line(ui, Icon::Info, strings::NEW_PERSON, t.secondary),
        Familiarity::Met(name) => icon_line(ui, Icon::Users, strings::knock_met(name), t.secondary),
        Familiarity::Verified(name) => icon_line(ui, Icon::ShieldCheck, strings::knock_verified(name), t.verified),
        Familiarity::Mismatch(name) => icon_line(ui, Icon::TriangleAlert, strings::did_not_match(name), t.danger_text),
        Familiarity::LookAlike(name) => icon_line(ui, Icon::TriangleAlert, strings::look_alike(name), t.warning),
    };
}

/// The toolbar at the lower edge, `shown` (0..=1) of it; where it is hidden, being muted is still said.
pub(super) fn toolbar(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect, shown: f32) {
    let buttons = 6 + usize::from(meeting.link.is_some());
    let gaps = space::S * (buttons - 1) as f32 + 2.0 * space::S;
    let width = control::TOOL * buttons as f32 + space::L + gaps + 2.0 * space::S;
    let bar = Rect::from_center_size(
        pos2(area.center().x, area.bottom() - TOOLBAR + (control::TOOL + 2.0 * space::S) / 2.0),
        vec2(width, control::TOOL + 2.0 * space::S),
    );
    if shown < 0.5 && !cx.view.own.mic_on {
        let t = tokens(ui.ctx());
        let at = pos2(area.center().x - 44.0, area.bottom() - space::L - 26.0);
        overlay_chip(ui, at, Icon::MicOff, t.danger_on_scrim, strings::MUTED);
    }
    // Hidden it is only unseen: a screen reader and the keyboard still find it, and focus brings it back.
    over(ui, bar.shrink(space::S), |ui| {
        ui.multiply_opacity(shown);
        lifted(ui, bar, radius::SHEET + 4);
        ui.interact(bar, ui.scope_id().with("toolbar ground"), Sense::click());
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            mic_tool(ui, cx);
            camera_tool(ui, cx);
            ui.add_space(space::S);
            if meeting.link.is_some()
                && tool_button(ui, Icon::UserPlus, strings::COPY_LINK, strings::COPY_LINK_TIP, None, false, false)
                    .clicked()
            {
                cx.copy_link(ui.ctx());
            }
            let panel = cx.local.panel;
            for (which, icon, name) in
                [(Panel::People, Icon::Users, strings::PEOPLE), (Panel::Security, Icon::Shield, strings::SECURITY)]
            {
                if tool_button(ui, icon, name, name, Some(panel == Some(which)), false, false).clicked() {
                    toggle(cx, which);
                }
            }
            if tool_button(ui, Icon::Settings, strings::SETTINGS, strings::SETTINGS, None, false, false).clicked() {
                cx.local.sheet = Some(Sheet::Settings);
            }
            ui.add_space(space::S);
            if tool_button(ui, Icon::PhoneOff, strings::LEAVE, strings::LEAVE, None, false, true).clicked() {
                cx.send(Command::Leave);
            }
        });
    });
}
