//! What protects the meeting, which way it takes, and what the relay can see of it.

use egui::{Rect, Ui};

use super::{person, relay_sight, side};
use crate::engine::view::{
    Encryption, Meeting, Peer, PeerStats, Quality, RelayTransport, Route, RouteKind, Verification,
};
use crate::ui::app::{Cx, Sheet};
use crate::ui::files::FileKind;
use crate::ui::icons::Icon;
use crate::ui::screens::reachability;
use crate::ui::strings;
use crate::ui::theme::{Weight, size, space, tokens};
use crate::ui::widgets::{Button, Kind, alert, caption, card, fact, fact_note, icon_line, note, strong, text};

/// With more people than this, the figures of each are folded away until they are asked for.
const UNFOLDED: usize = 2;

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, place: Rect) {
    let closed = side(ui, place, strings::SECURITY, |ui| {
        state(ui, cx, meeting);
        if !meeting.peers.is_empty() {
            caption(ui, strings::IN_THE_MEETING);
        }
        for peer in &meeting.peers {
            card(ui, |ui| route(ui, cx, meeting, peer));
        }
        if !meeting.peers.is_empty() {
            report(ui, cx);
        }
        caption(ui, strings::RELAY);
        card(ui, |ui| reachability(ui, meeting));
        relay_sight::show(ui, &meeting.relay.sees);
    });
    if closed {
        cx.local.panel = None;
    }
}

/// What the call was like so far, for somebody who helps.
fn report(ui: &mut Ui, cx: &mut Cx<'_>) {
    caption(ui, strings::CALL_REPORT);
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        let width = ui.available_width();
        let save = Button::new(Kind::Secondary, strings::SAVE_REPORT).icon(Icon::FileDown);
        if save.compact().width(width).show(ui).clicked() {
            cx.ask_for_file(FileKind::Report);
        }
        text(ui, strings::SAVE_REPORT_EXPLAINED, size::CAPTION, Weight::Regular, tokens(ui.ctx()).secondary);
    });
}

/// Something was compared and found different, or the host was caught lying.
pub(crate) fn broken(meeting: &Meeting) -> bool {
    let mismatch = meeting.peers.iter().any(|peer| peer.verification == Verification::Mismatch);
    mismatch || meeting.code.differs || meeting.roster.forked.is_some()
}

fn state(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting) {
    let t = tokens(ui.ctx());
    caption(ui, strings::SECURITY_STATE);
    if let Some(sentence) = &meeting.roster.forked {
        alert(ui, Icon::ShieldAlert, sentence, "", t.danger_text);
    }
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        match &meeting.encryption {
            Encryption::Alone => note(ui, strings::STATE_ALONE),
            Encryption::Agreeing => note(ui, strings::STATE_AGREEING),
            Encryption::Encrypted => icon_line(ui, Icon::Lock, strings::STATE_ENCRYPTED, t.text),
            Encryption::Verified => icon_line(ui, Icon::ShieldCheck, strings::STATE_VERIFIED, t.verified),
            Encryption::Warning(sentence) => {
                let colour = if broken(meeting) { t.danger_text } else { t.warning };
                icon_line(ui, Icon::ShieldAlert, sentence, colour)
            }
        };
        if !meeting.roster.hash.is_empty() {
            let entry = strings::roster_entry(meeting.roster.entry, &meeting.roster.hash);
            fact(ui, strings::ROSTER, entry, true);
        }
        if !meeting.code.unverified.is_empty() {
            icon_line(ui, Icon::Shield, strings::not_yet_verified_names(&meeting.code.unverified), t.secondary);
        }
        if !meeting.peers.is_empty() {
            ui.add_space(space::XS);
            let width = ui.available_width();
            let verify = Button::new(Kind::Secondary, strings::VERIFY_EVERYONE_MORE).icon(Icon::Shield);
            if verify.compact().width(width).show(ui).clicked() {
                cx.local.sheet = Some(Sheet::Everyone);
            }
        }
    });
}

/// The keys shared with a peer and the way to them.
fn route(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, peer: &Peer) {
    ui.spacing_mut().item_spacing.y = space::S;
    strong(ui, &strings::shown_name(&peer.name));
    person::verification(ui, &peer.verification);
    if peer.quality != Quality::Unknown {
        person::quality(ui, peer);
    }
    if meeting.peers.len() > UNFOLDED {
        let unfolded = cx.local.unfolded.contains(&peer.id);
        let words = peer.route.as_ref().map_or_else(|| strings::ROUTE_NONE.to_owned(), |r| in_short(r, &peer.stats));
        let (width, name) = (ui.available_width(), strings::details_of(&peer.name));
        let icon = if unfolded { Icon::ChevronUp } else { Icon::ChevronDown };
        let fold = Button::new(Kind::Secondary, &words).name(&name).icon(icon).compact().width(width);
        if fold.show(ui).clicked() {
            // What was folded unfolds, and the other way round.
            if !cx.local.unfolded.remove(&peer.id) {
                cx.local.unfolded.insert(peer.id);
            }
        }
        if !unfolded {
            return;
        }
    }
    fact(ui, strings::FINGERPRINT, &peer.fingerprint, true);
    // Without them there is no session at all, so with one they are a fact.
    if peer.generation > 0 {
        fact(ui, strings::KEY_AGREEMENT, strings::KEY_AGREEMENT_VALUE, false);
        fact(ui, strings::POST_QUANTUM, strings::POST_QUANTUM_VALUE, false);
        fact(ui, strings::MEDIA_CIPHER, strings::MEDIA_CIPHER_VALUE, false);
        fact(ui, strings::KEY_GENERATION, peer.generation.to_string(), false);
    }
    match &peer.route {
        None => fact(ui, strings::ROUTE, strings::ROUTE_NONE, false),
        Some(route) => {
            fact(ui, strings::ROUTE, kind(route), false);
            address(ui, strings::OWN_ADDRESS, &route.local, route.local_kind);
            address(ui, strings::THEIR_ADDRESS, &route.remote, route.remote_kind);
            if let Some(country) = &route.country {
                fact(ui, strings::COUNTRY, country, false);
            }
        }
    }
    figures(ui, &peer.stats);
}

fn address(ui: &mut Ui, name: &str, address: &str, kind: RouteKind) {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        fact(ui, name, address, true);
        fact_note(
            ui,
            match kind {
                RouteKind::Host => strings::ADDRESS_HOST,
                RouteKind::Reflexive => strings::ADDRESS_REFLEXIVE,
                RouteKind::Relay => strings::ADDRESS_RELAY,
            },
        );
    });
}

fn kind(route: &Route) -> &'static str {
    match (route.relayed, route.local_kind, route.remote_kind) {
        (false, ..) => strings::ROUTE_DIRECT,
        (true, RouteKind::Relay, RouteKind::Relay) => strings::ROUTE_RELAYED_BOTH,
        (true, RouteKind::Relay, _) if route.relay_transport == Some(RelayTransport::Tcp) => strings::ROUTE_RELAYED_TCP,
        (true, RouteKind::Relay, _) if route.relay_transport == Some(RelayTransport::Tls) => strings::ROUTE_RELAYED_TLS,
        (true, RouteKind::Relay, _) => strings::ROUTE_RELAYED_OWN,
        (true, _, RouteKind::Relay) => strings::ROUTE_RELAYED_THEIRS,
        (true, ..) => strings::ROUTE_RELAYED,
    }
}

fn in_short(route: &Route, stats: &PeerStats) -> String {
    strings::route_in_short(kind(route), &round_trip(stats), &loss(stats))
}

fn round_trip(stats: &PeerStats) -> String {
    stats.rtt_ms.map_or_else(|| strings::UNKNOWN.to_owned(), |ms| format!("{ms:.0} ms"))
}

fn loss(stats: &PeerStats) -> String {
    format!("{:.1} %", stats.loss_percent)
}

fn figures(ui: &mut Ui, stats: &PeerStats) {
    fact(ui, strings::ROUND_TRIP, round_trip(stats), false);
    let lost = strings::both_ways(&loss(stats), &format!("{:.1} %", stats.send_loss_percent));
    fact(ui, strings::LOSS, lost, false);
    fact(ui, strings::RECEIVING, rate(stats.receive_kbps), false);
    fact(ui, strings::SENDING, rate(stats.send_kbps), false);
    if let Some(target) = stats.target_kbps {
        fact(ui, strings::ROOM_FOR_PICTURES, rate(target), false);
    }
    if let Some(delay) = stats.jitter_ms {
        fact(ui, strings::SOUND_DELAY, format!("{delay:.0} ms"), false);
    }
    if stats.concealed_percent >= 0.5 {
        fact(ui, strings::SOUND_REPAIRED, format!("{:.0} %", stats.concealed_percent), false);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_change_their_unit_at_a_thousand() {
        assert_eq!(rate(999.0), "999 kbit/s");
        assert_eq!(rate(1850.0), "1.9 Mbit/s");
    }
}
