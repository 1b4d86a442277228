//! Who is here, and who is at the door.

use egui::{Rect, Sense, Slider, Ui, vec2};

use super::side;
use crate::engine::Command;
use crate::engine::view::{Knock, Meeting, Peer, PeerLink, Verification};
use crate::ui::app::{Cx, Sheet};
use crate::ui::icons::{self, Icon};
use crate::ui::screens::familiarity;
use crate::ui::strings;
use crate::ui::theme::{Weight, size, space, tokens};
use crate::ui::widgets::{Button, Kind, caption, card, icon_line, strong, text};

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, place: Rect) {
    let closed = side(ui, place, strings::PEOPLE, |ui| {
        if !meeting.knocks.is_empty() {
            caption(ui, strings::AT_THE_DOOR);
            for knock in &meeting.knocks {
                at_the_door(ui, cx, knock);
            }
            ui.add_space(space::S);
        }
        caption(ui, strings::IN_THE_MEETING);
        own(ui, cx, meeting);
        for peer in &meeting.peers {
            person(ui, cx, meeting, peer);
        }
        if meeting.link.is_some() {
            ui.add_space(space::XS);
            let width = ui.available_width();
            if Button::new(Kind::Secondary, strings::COPY_LINK).icon(Icon::Link).width(width).show(ui).clicked() {
                cx.copy_link(ui.ctx());
            }
        }
    });
    if closed {
        cx.local.panel = None;
    }
}

fn own(ui: &mut Ui, cx: &Cx<'_>, meeting: &Meeting) {
    card(ui, |ui| {
        let name = cx.view.settings.name.trim();
        let mut words = if name.is_empty() { strings::YOU.to_owned() } else { format!("{name} · {}", strings::YOU) };
        if meeting.hosting {
            words = format!("{words} · {}", strings::HOSTING);
        }
        line(ui, &words, cx.view.own.mic_on, cx.view.own.camera_on);
        text(ui, &cx.view.fingerprint, size::CAPTION, Weight::Code, tokens(ui.ctx()).muted);
    });
}

fn line(ui: &mut Ui, words: &str, mic_on: bool, camera_on: bool) {
    let t = tokens(ui.ctx());
    let width = ui.available_width();
    ui.horizontal(|ui| {
        ui.scope(|ui| {
            ui.set_width(width - 2.0 * (18.0 + space::S));
            strong(ui, words);
        });
        let states = [
            (mic_on, Icon::Mic, Icon::MicOff, strings::MIC_ON, strings::MIC_OFF),
            (camera_on, Icon::Video, Icon::VideoOff, strings::CAMERA_ON, strings::CAMERA_OFF),
        ];
        for (on, yes, no, on_words, off_words) in states {
            let (rect, response) = ui.allocate_exact_size(vec2(18.0, 18.0), Sense::hover());
            icons::paint(ui, if on { yes } else { no }, rect, if on { t.secondary } else { t.danger_text });
            let said = if on { on_words } else { off_words };
            response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Image, true, said));
            response.on_hover_text(said);
        }
    });
}

fn person(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, peer: &Peer) {
    let t = tokens(ui.ctx());
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let mut words = strings::shown_name(&peer.name);
        if !meeting.hosting {
            words = format!("{words} · {}", strings::HOSTING);
        }
        line(ui, &words, peer.mic_on, peer.camera_on);
        verification(ui, &peer.verification);
        ui.add_space(space::XS);
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(18.0, 24.0), Sense::hover());
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
        if peer.link != PeerLink::Connecting {
            ui.add_space(space::XS);
            let width = ui.available_width();
            let words = strings::verify_button(&peer.name);
            let kind =
                if matches!(peer.verification, Verification::Yes { .. }) { Kind::Quiet } else { Kind::Secondary };
            if Button::new(kind, &words).icon(Icon::Shield).compact().width(width).show(ui).clicked() {
                cx.local.sheet = Some(Sheet::Verify(peer.id));
            }
        }
    });
}

/// Whether somebody has been verified, in an icon and a word.
pub(super) fn verification(ui: &mut Ui, verification: &Verification) {
    let t = tokens(ui.ctx());
    match verification {
        Verification::No => icon_line(ui, Icon::Shield, strings::NOT_VERIFIED, t.secondary),
        Verification::Yes { since } => {
            icon_line(ui, Icon::ShieldCheck, strings::verified_on(&crate::ui::when::date(*since)), t.verified)
        }
        Verification::Mismatch => icon_line(ui, Icon::ShieldAlert, strings::VERIFICATION_MISMATCH, t.danger_text),
        Verification::Changed => icon_line(ui, Icon::ShieldAlert, strings::VERIFICATION_CHANGED, t.warning),
    };
}

fn at_the_door(ui: &mut Ui, cx: &mut Cx<'_>, knock: &Knock) {
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        strong(ui, &strings::shown_name(&knock.name));
        familiarity(ui, &knock.who);
        text(ui, &knock.fingerprint, size::CAPTION, Weight::Code, tokens(ui.ctx()).muted);
        ui.add_space(space::XS);
        ui.horizontal(|ui| {
            let width = (ui.available_width() - space::S) / 2.0;
            let in_list = |words: String| format!("{words} ({})", strings::AT_THE_DOOR.to_lowercase());
            let (no, yes) = (in_list(strings::decline(&knock.name)), in_list(strings::admit(&knock.name)));
            if Button::new(Kind::Secondary, strings::DECLINE).name(&no).compact().width(width).show(ui).clicked() {
                cx.send(Command::Decline(knock.id));
            }
            if Button::new(Kind::Primary, strings::ADMIT).name(&yes).compact().width(width).show(ui).clicked() {
                cx.send(Command::Admit(knock.id));
            }
        });
    });
}
