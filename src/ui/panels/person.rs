//! One person of the list, and what can be done about them.

use egui::{Align, Layout, Rect, Sense, Slider, Ui, vec2};

use crate::engine::Command;
use crate::engine::view::{Meeting, Peer, PeerLink, Quality, Role, Verification};
use crate::ui::app::{Cx, Sheet};
use crate::ui::icons::{self, Icon};
use crate::ui::theme::{Weight, control, size, space, tokens};
use crate::ui::widgets::{Button, Entry, Kind, card, icon_line, more_button, quality_lines, strong, text};
use crate::ui::{strings, when};

/// Side of the marks that say what somebody's devices do.
const MARK: f32 = 18.0;

pub(super) fn own(ui: &mut Ui, cx: &Cx<'_>, meeting: &Meeting) {
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let name = cx.view.settings.name.trim();
        let words = if name.is_empty() {
            strings::YOU.to_owned()
        } else {
            format!("{} · {}", strings::shown_name(name), strings::YOU)
        };
        ui.spacing_mut().interact_size.y = size::TITLE;
        line(ui, &words, cx.view.own.mic_on, cx.view.own.camera_on, |_| ());
        role(ui, if meeting.hosting { Role::Host } else { meeting.role });
        text(ui, &cx.view.fingerprint, size::CAPTION, Weight::Code, tokens(ui.ctx()).muted);
    });
}

/// The name, the state of the devices, and room for a menu at the right.
fn line(ui: &mut Ui, words: &str, mic_on: bool, camera_on: bool, menu: impl FnOnce(&mut Ui)) {
    let t = tokens(ui.ctx());
    ui.horizontal(|ui| {
        let width = ui.available_width();
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            menu(ui);
            let states = [
                (camera_on, Icon::Video, Icon::VideoOff, strings::CAMERA_ON, strings::CAMERA_OFF),
                (mic_on, Icon::Mic, Icon::MicOff, strings::MIC_ON, strings::MIC_OFF),
            ];
            for (on, yes, no, on_words, off_words) in states {
                let (rect, response) = ui.allocate_exact_size(vec2(MARK, MARK), Sense::hover());
                icons::paint(ui, if on { yes } else { no }, rect, if on { t.secondary } else { t.danger_text });
                let said = if on { on_words } else { off_words };
                response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Image, true, said));
                response.on_hover_text(said);
            }
            let room = ui.available_width().min(width);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.set_width(room);
                strong(ui, words);
            });
        });
    });
}

/// What somebody may do, where it is more than others may.
fn role(ui: &mut Ui, role: Role) {
    let t = tokens(ui.ctx());
    match role {
        Role::Host => icon_line(ui, Icon::Crown, strings::HOSTING, t.text),
        Role::CoHost => icon_line(ui, Icon::UserStar, strings::COHOST, t.text),
        Role::Member => return,
    };
}

pub(super) fn other(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, peer: &Peer) {
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let name = strings::shown_name(&peer.name);
        ui.spacing_mut().interact_size.y = size::TITLE;
        line(ui, &name, peer.mic_on, peer.camera_on, |ui| actions(ui, cx, meeting, peer));
        role(ui, peer.role);
        trust(ui, cx, peer);
        if matches!(peer.quality, Quality::Fair | Quality::Poor) {
            quality(ui, peer);
        }
        volume(ui, cx, peer);
    });
}

#[derive(Clone, Copy)]
enum Action {
    Verify,
    CoHost(bool),
    HandOver,
    Remove,
}

/// What this person may do about `peer`, behind one button; no button where that is nothing.
fn actions(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, peer: &Peer) {
    let verify = strings::verify_button(&peer.name);
    let entry = |value, icon, words, danger| Entry { value, icon, words, danger };
    let mut entries: Vec<Entry<'_, Action>> = Vec::new();
    if verifiable(peer) {
        entries.push(entry(Action::Verify, Icon::Shield, &verify, false));
    }
    if meeting.hosting {
        let (icon, words, make) = match peer.role {
            Role::CoHost => (Icon::Users, strings::MAKE_MEMBER, false),
            _ => (Icon::UserStar, strings::MAKE_COHOST, true),
        };
        entries.push(entry(Action::CoHost(make), icon, words, false));
        entries.push(entry(Action::HandOver, Icon::Crown, strings::MAKE_HOST, false));
    }
    if meeting.hosting || meeting.role == Role::CoHost && peer.role == Role::Member {
        entries.push(entry(Action::Remove, Icon::UserMinus, strings::REMOVE, true));
    }
    if entries.is_empty() {
        return;
    }
    match more_button(ui, &strings::more_about(&peer.name), entries) {
        None => {}
        Some(Action::Verify) => cx.open_verify(peer.id),
        Some(Action::CoHost(cohost)) => cx.send(Command::SetCoHost { peer: peer.id, cohost }),
        Some(Action::HandOver) => cx.local.sheet = Some(Sheet::HandOver(peer.id)),
        Some(Action::Remove) => cx.local.sheet = Some(Sheet::Remove(peer.id)),
    }
}

/// Their key is known, so there is something to compare.
fn verifiable(peer: &Peer) -> bool {
    peer.link != PeerLink::Connecting
}

/// Whether they have been verified, and the way there if not.
fn trust(ui: &mut Ui, cx: &mut Cx<'_>, peer: &Peer) {
    if matches!(peer.verification, Verification::Yes { .. }) || !verifiable(peer) {
        verification(ui, &peer.verification);
        return;
    }
    ui.horizontal(|ui| {
        ui.set_height(control::TARGET);
        let width = ui.available_width();
        let button = 84.0;
        ui.vertical(|ui| {
            ui.set_width(width - button - space::S);
            ui.add_space((control::TARGET - MARK) / 2.0);
            verification(ui, &peer.verification);
        });
        let name = strings::verify_button(&peer.name);
        if Button::new(Kind::Secondary, strings::VERIFY).name(&name).compact().width(button).show(ui).clicked() {
            cx.open_verify(peer.id);
        }
    });
}

/// Whether somebody has been verified, in an icon and a word.
pub(super) fn verification(ui: &mut Ui, verification: &Verification) {
    let t = tokens(ui.ctx());
    match verification {
        Verification::No => icon_line(ui, Icon::Shield, strings::NOT_VERIFIED, t.secondary),
        Verification::Yes { since } => {
            icon_line(ui, Icon::ShieldCheck, strings::verified_on(&when::date(*since)), t.verified)
        }
        Verification::Mismatch => icon_line(ui, Icon::ShieldAlert, strings::VERIFICATION_MISMATCH, t.danger_text),
        Verification::Changed => icon_line(ui, Icon::ShieldAlert, strings::VERIFICATION_CHANGED, t.warning),
    };
}

/// How well it goes with them, and why not better.
pub(super) fn quality(ui: &mut Ui, peer: &Peer) {
    let why = strings::reasons(&peer.name, &peer.reasons);
    let word = format!("{} · {}", strings::CONNECTION, strings::quality(peer.quality).to_lowercase());
    quality_lines(ui, peer.quality, &word, &why);
}

/// How loud they are played.
fn volume(ui: &mut Ui, cx: &mut Cx<'_>, peer: &Peer) {
    let t = tokens(ui.ctx());
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(16.0, 24.0), Sense::hover());
        icons::paint(ui, Icon::Volume, Rect::from_center_size(rect.center(), vec2(16.0, 16.0)), t.secondary);
        let mut percent = peer.volume * 100.0;
        ui.spacing_mut().slider_width = ui.available_width() - 64.0;
        let slider = ui
            .add(Slider::new(&mut percent, 0.0..=200.0).show_value(false).step_by(5.0))
            .accessible_name(strings::volume_of(&peer.name));
        if slider.changed() {
            cx.send(Command::SetVolume { peer: peer.id, volume: percent / 100.0 });
        }
        text(ui, format!("{percent:.0} %"), size::CAPTION, Weight::Regular, t.secondary);
    });
}
