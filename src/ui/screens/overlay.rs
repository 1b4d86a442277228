//! What lies over the pictures: the state of the encryption, banners, the toolbar.

use egui::accesskit::Role;
use egui::{CornerRadius, Rect, Sense, Ui, WidgetInfo, pos2, vec2};

use super::prejoin::{camera_tool, mic_tool};
use super::stage::TOOLBAR;
use crate::engine::view::{Encryption, Heir, Meeting, Notice};
use crate::ui::app::{Cx, Panel, Sheet};
use crate::ui::icons::{self, Icon};
use crate::ui::panels::door;
use crate::ui::panels::invites::Page;
use crate::ui::panels::security::broken;
use crate::ui::theme::{Weight, control, font, radius, size, space, tokens};
use crate::ui::widgets::{Banner, BannerTone, Entry, focus_ring, lifted, menu, over, overlay_chip, tool_button};
use crate::ui::{strings, when};

/// What stands top left: the state of the encryption with the clock, who is not verified, and whether the door is locked.
/// Returns its right edge.
pub(super) fn state_pills(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect) -> f32 {
    let mut right = state_pill(ui, cx, meeting, area);
    let unverified = meeting.code.unverified.len();
    if unverified > 0 {
        let words = strings::not_yet_verified(unverified);
        if let Some((place, pressed)) = pill(ui, area, right, Icon::Shield, &words, strings::VERIFY_EVERYONE) {
            right = place;
            if pressed {
                cx.local.sheet = Some(Sheet::Everyone);
            }
        }
    }
    if meeting.locked
        && let Some((place, pressed)) =
            pill(ui, area, right, Icon::DoorLocked, strings::LOCKED, strings::LOCKED_EXPLAINED)
    {
        right = place;
        if pressed {
            toggle(cx, Panel::People);
        }
    }
    right
}

/// A further pill, right of `left`, that can be pressed. Returns its right edge and whether it was; `None` where there is
/// no room for it.
fn pill(ui: &Ui, area: Rect, left: f32, icon: Icon, words: &str, tip: &str) -> Option<(f32, bool)> {
    let t = tokens(ui.ctx());
    let colour = t.on_scrim;
    let at = pos2(left + space::S, area.top() + space::L);
    let galley = ui.painter().layout_no_wrap(words.to_owned(), font(size::BODY, Weight::Medium), colour);
    let side = 16.0;
    let width = space::M + side + space::S + galley.size().x + space::M;
    let rect = Rect::from_min_size(at, vec2(width, control::TARGET));
    if rect.right() > area.right() - space::S {
        return None;
    }
    let response = ui.interact(rect, ui.scope_id().with(("pill", tip)), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, words));
    ui.painter().rect_filled(rect, CornerRadius::same(radius::ROUND), t.scrim);
    let mark = Rect::from_center_size(pos2(rect.left() + space::M + side / 2.0, rect.center().y), vec2(side, side));
    icons::paint(ui, icon, mark, colour);
    let words_at = pos2(mark.right() + space::S, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(words_at, galley, colour);
    focus_ring(ui, &response, (control::TARGET / 2.0) as u8);
    let pressed = response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(tip).clicked();
    Some((rect.right(), pressed))
}

/// The state of the encryption and the clock. Returns its right edge.
fn state_pill(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect) -> f32 {
    let t = tokens(ui.ctx());
    let (icon, word, colour) = match &meeting.encryption {
        Encryption::Alone => (Icon::Hourglass, strings::ALONE, t.on_scrim),
        Encryption::Agreeing => (Icon::Hourglass, strings::AGREEING, t.on_scrim),
        Encryption::Encrypted => (Icon::Lock, strings::ENCRYPTED, t.on_scrim),
        Encryption::Verified => (Icon::ShieldCheck, strings::VERIFIED, t.verified_on_scrim),
        Encryption::Warning(_) if broken(meeting) => (Icon::ShieldAlert, strings::WARNING, t.danger_on_scrim),
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
    let forked = meeting.roster.forked.is_some() || cx.view.notices.contains(&Notice::Forked);
    if forked {
        // Nothing else matters beside it.
        top = notice_banner(&Notice::Forked, cx, meeting).show(ui, left, right, top) + space::S;
    } else if let Encryption::Warning(sentence) = &meeting.encryption {
        let tone = if broken(meeting) { BannerTone::Danger } else { BannerTone::Warning };
        let banner = Banner { icon: Icon::ShieldAlert, tone, words: sentence.clone() };
        top = banner.show(ui, left, right, top) + space::S;
    }
    // The list of people has all who knock.
    let listed = cx.local.panel == Some(Panel::People);
    if let Some(first) = meeting.knocks.first().filter(|_| !forked && !listed) {
        let place = Rect::from_min_max(pos2(left, top), pos2(right, area.bottom()));
        top = door::banner(ui, cx, meeting, first, place) + space::S;
    }
    // The pill and its sentence say it already.
    let said = |notice: &&Notice| match notice {
        Notice::Forked => true,
        Notice::KeyChanged { .. } => matches!(meeting.encryption, Encryption::Warning(_)),
        _ => false,
    };
    for notice in cx.view.notices.iter().filter(|notice| !said(notice)).take(2) {
        top = notice_banner(notice, cx, meeting).show(ui, left, right, top) + space::S;
    }
    top.max(area.top() + space::L + control::TARGET + space::S)
}

fn notice_banner(notice: &Notice, cx: &Cx<'_>, meeting: &Meeting) -> Banner {
    let mic_on = cx.view.own.mic_on;
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
        Notice::Forked => {
            let words = meeting.roster.forked.clone().unwrap_or_else(|| strings::FORKED.to_owned());
            (Icon::ShieldAlert, BannerTone::Danger, words)
        }
        Notice::HostLost => {
            let words = match &meeting.heir {
                Some(Heir::Own) => strings::HOST_LOST_OWN.to_owned(),
                Some(Heir::Peer(name)) => strings::host_lost(name),
                None => strings::HOST_LOST.to_owned(),
            };
            (Icon::WifiOff, BannerTone::Warning, words)
        }
        Notice::KeyChanged { name } => (Icon::ShieldAlert, BannerTone::Warning, strings::key_changed(name)),
        Notice::WeakUpload { names, cause } => (Icon::Signal, BannerTone::Warning, strings::weak_upload(names, *cause)),
        Notice::WeakDownload { names, cause } => {
            (Icon::Signal, BannerTone::Warning, strings::weak_download(names, *cause))
        }
        Notice::Overloaded => (Icon::TriangleAlert, BannerTone::Neutral, strings::OVERLOADED.to_owned()),
    };
    Banner { icon, tone, words }
}

/// The toolbar at the lower edge, `shown` (0..=1) of it; where it is hidden, being muted is still said.
pub(super) fn toolbar(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect, shown: f32) {
    let buttons = 7 + usize::from(meeting.hosting);
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
            if meeting.hosting {
                invite_tool(ui, cx, meeting);
            }
            let panel = cx.local.panel;
            for (which, icon, name) in
                [(Panel::People, Icon::Users, strings::PEOPLE), (Panel::Security, Icon::Shield, strings::SECURITY)]
            {
                if tool_button(ui, icon, name, name, Some(panel == Some(which)), false, false).clicked() {
                    toggle(cx, which);
                }
            }
            let popped = Some(cx.local.pop_out);
            let (icon, name, tip) = (Icon::PictureInPicture, strings::POP_OUT, strings::POP_OUT_TIP);
            if tool_button(ui, icon, name, tip, popped, false, false).clicked() {
                cx.local.pop_out = !cx.local.pop_out;
            }
            if tool_button(ui, Icon::Settings, strings::SETTINGS, strings::SETTINGS, None, false, false).clicked() {
                cx.local.sheet = Some(Sheet::Settings);
            }
            ui.add_space(space::S);
            if tool_button(ui, Icon::PhoneOff, strings::LEAVE, strings::LEAVE, None, false, true).clicked() {
                cx.leave();
            }
        });
    });
}

/// The button of the toolbar for the invites, with its menu.
fn invite_tool(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting) {
    #[derive(Clone, Copy)]
    enum Invite {
        Copy,
        Code,
        Manage,
    }
    let name = strings::INVITE_PEOPLE;
    let button = tool_button(ui, Icon::UserPlus, name, name, None, false, false);
    let entry = |value, icon, words| Entry { value, icon, words, danger: false };
    let mut entries = Vec::new();
    if meeting.link.is_some() {
        entries.push(entry(Invite::Copy, Icon::Link, strings::COPY_LINK_TIP));
        entries.push(entry(Invite::Code, Icon::QrCode, strings::SHOW_QR));
    }
    entries.push(entry(Invite::Manage, Icon::Users, strings::MANAGE_INVITES));
    match menu(ui, &button, name, entries) {
        None => {}
        Some(Invite::Copy) => cx.copy_link(ui.ctx()),
        Some(Invite::Code) => cx.open_invites(Page::Code),
        Some(Invite::Manage) => cx.open_invites(Page::List),
    }
}
