//! What protects the meeting, which way it takes, and what the relay can see of it.

use egui::{Rect, Ui};

use super::{people, side};
use crate::engine::view::{Encryption, Meeting, Peer, PeerStats};
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::screens::reachability;
use crate::ui::strings;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{caption, card, fact, heading, icon_line, note};

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, place: Rect) {
    let closed = side(ui, place, strings::SECURITY, |ui| {
        state(ui, meeting);
        for peer in &meeting.peers {
            route(ui, peer);
        }
        caption(ui, strings::RELAY);
        card(ui, |ui| reachability(ui, meeting));
        relay_knows(ui);
    });
    if closed {
        cx.local.panel = None;
    }
}

fn state(ui: &mut Ui, meeting: &Meeting) {
    let t = tokens(ui.ctx());
    caption(ui, strings::SECURITY_STATE);
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        match &meeting.encryption {
            Encryption::Alone => note(ui, strings::STATE_ALONE),
            Encryption::Agreeing => note(ui, strings::STATE_AGREEING),
            Encryption::Encrypted => icon_line(ui, Icon::Lock, strings::STATE_ENCRYPTED, t.text),
            Encryption::Verified => icon_line(ui, Icon::ShieldCheck, strings::STATE_VERIFIED, t.verified),
            Encryption::Warning(sentence) => icon_line(ui, Icon::ShieldAlert, sentence, t.warning),
        };
        // Without them there is no session at all, so with one they are a fact.
        if matches!(meeting.encryption, Encryption::Encrypted | Encryption::Verified) {
            fact(ui, strings::KEY_AGREEMENT, strings::KEY_AGREEMENT_VALUE, false);
            fact(ui, strings::MEDIA_CIPHER, strings::MEDIA_CIPHER_VALUE, false);
        }
    });
}

fn route(ui: &mut Ui, peer: &Peer) {
    caption(ui, &strings::shown_name(&peer.name));
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        people::verification(ui, &peer.verification);
        fact(ui, strings::FINGERPRINT, &peer.fingerprint, true);
        fact(ui, strings::KEY_GENERATION, peer.generation.to_string(), false);
        match &peer.route {
            None => fact(ui, strings::ROUTE, strings::ROUTE_NONE, false),
            Some(route) => {
                let words = if route.relayed { strings::ROUTE_RELAYED } else { strings::ROUTE_DIRECT };
                fact(ui, strings::ROUTE, words, false);
                fact(ui, strings::OWN_ADDRESS, &route.local, true);
                fact(ui, strings::THEIR_ADDRESS, &route.remote, true);
            }
        }
        figures(ui, &peer.stats);
    });
}

fn figures(ui: &mut Ui, stats: &PeerStats) {
    let rtt = stats.rtt_ms.map_or_else(|| strings::UNKNOWN.to_owned(), |ms| format!("{ms:.0} ms"));
    fact(ui, strings::ROUND_TRIP, rtt, false);
    fact(ui, strings::LOSS, format!("{:.1} %", stats.loss_percent), false);
    fact(ui, strings::RECEIVING, rate(stats.receive_kbps), false);
    fact(ui, strings::SENDING, rate(stats.send_kbps), false);
    if stats.width > 0 {
        fact(ui, strings::PICTURE, format!("{} × {} · {:.0} fps", stats.width, stats.height, stats.fps), false);
    }
    if stats.unopened > 0 {
        fact(ui, strings::UNOPENED, stats.unopened.to_string(), false);
    }
}

fn rate(kbps: f32) -> String {
    if kbps >= 1000.0 { format!("{:.1} Mbit/s", kbps / 1000.0) } else { format!("{kbps:.0} kbit/s") }
}

fn relay_knows(ui: &mut Ui) {
    let t = tokens(ui.ctx());
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        heading(ui, strings::RELAY_SEES);
        for words in [strings::RELAY_SEES_1, strings::RELAY_SEES_2] {
            icon_line(ui, Icon::Eye, words, t.secondary);
        }
        ui.add_space(space::XS);
        heading(ui, strings::RELAY_BLIND);
        for words in [strings::RELAY_BLIND_1, strings::RELAY_BLIND_2, strings::RELAY_BLIND_3] {
            icon_line(ui, Icon::EyeOff, words, t.secondary);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_change_their_unit_at_a_thousand() {
        assert_eq!(rate(999.0), "999 kbit/s");
        assert_eq!(rate(1850.0), "1.9 Mbit/s");
    }
}
