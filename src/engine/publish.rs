//! From the truth to what may be shown.

use crate::engine::room::{Member, Room};
use crate::engine::session::Session;
use crate::engine::view::{
    DeviceState, Encryption, Familiarity, GroupCode, Knock, Meeting, Notice, Peer, PeerLink, Role, Roster, Verification,
};

impl Session {
    /// The meeting as its window shows it.
    pub(super) fn publish(&self, room: &Room) -> Meeting {
        Meeting {
            hosting: room.hosting,
            role: if room.hosting { Role::Host } else { Role::Member },
            link: room.link.clone(),
            invites: Vec::new(),
            locked: false,
            heir: None,
            roster: Roster::default(),
            code: GroupCode::default(),
            encryption: encryption(&room.members),
            since: room.since.unwrap_or_else(std::time::Instant::now),
            peers: room.members.iter().map(peer).collect(),
            knocks: room
                .visitors
                .iter()
                .map(|visitor| Knock {
                    id: visitor.id,
                    name: visitor.name.clone(),
                    fingerprint: visitor.identity.fingerprint(),
                    who: self.familiarity(visitor),
                    invite: String::new(),
                    shared_with: None,
                })
                .collect(),
            refused: room.refused,
            relay: room.relay_view.clone(),
        }
    }

    fn familiarity(&self, visitor: &crate::engine::room::Visitor) -> Familiarity {
        self.contacts().familiarity(&visitor.identity, &visitor.name)
    }

    /// What gets in the way, most serious first.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        let Some((room, own)) = self.meeting_and_own() else { return notices };
        for member in &room.members {
            if member.verification == Verification::Changed {
                notices.push(Notice::KeyChanged { name: member.name.clone() });
            }
        }
        for member in room.members.iter().filter(|member| member.link == PeerLink::Reconnecting) {
            notices.push(Notice::Reconnecting { name: member.name.clone() });
        }
        for member in room.members.iter().filter(|member| member.finds_no_path()) {
            notices.push(Notice::NoPath { name: member.name.clone() });
        }
        for member in &room.members {
            if let Some(why) = member.refused.clone() {
                notices.push(Notice::RouteRefused { name: member.name.clone(), why });
            }
        }
        if let DeviceState::Failed(why) = &own.mic {
            notices.push(Notice::MicLost(why.clone()));
        }
        if let (true, DeviceState::Failed(why)) = (own.camera_on, &own.camera) {
            notices.push(Notice::CameraLost(why.clone()));
        }
        if let DeviceState::Failed(why) = &own.speaker {
            notices.push(Notice::SpeakerLost(why.clone()));
        }
        if own.mic_on && self.monitor().is_silent() {
            notices.push(Notice::MicSilent);
        }
        if self.monitor().is_speaking_muted() {
            notices.push(Notice::SpeakingWhileMuted);
        }
        if !room.relay_view.connected {
            notices.push(Notice::RelayLost);
        }
        notices
    }
}

/// The word in the pill, from the state of the code: encrypted is said only when keys are in use with everyone.
fn encryption(members: &[Member]) -> Encryption {
    let find = |wanted: Verification| members.iter().find(|member| member.verification == wanted);
    if let Some(member) = find(Verification::Mismatch) {
        return Encryption::Warning(format!(
            "{}’s safety number did not match. Nothing is sent to them or shown from them.",
            member.name
        ));
    }
    if let Some(member) = find(Verification::Changed) {
        return Encryption::Warning(format!("{} has another key than the one you verified.", member.name));
    }
    let keyed = |member: &Member| member.generation > 0 && member.link != PeerLink::Connecting;
    if members.is_empty() {
        Encryption::Alone
    } else if !members.iter().all(keyed) {
        Encryption::Agreeing
    } else if members.iter().all(|member| matches!(member.verification, Verification::Yes { .. })) {
        Encryption::Verified
    } else {
        Encryption::Encrypted
    }
}

fn peer(member: &Member) -> Peer {
    Peer {
        id: member.id,
        name: member.name.clone(),
        fingerprint: member.identity.fingerprint(),
        picture: member.inbound.picture.clone(),
        level: member.inbound.level(),
        volume: member.volume,
        mic_on: member.mic_on,
        camera_on: member.camera_on,
        role: Role::Member,
        link: member.link,
        verification: member.verification.clone(),
        safety_number: member.safety_number.clone(),
        safety_qr: member.safety_qr.clone(),
        generation: member.generation,
        route: member.route.clone(),
        stats: member.stats,
    }
}
