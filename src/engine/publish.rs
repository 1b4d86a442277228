//! From the truth to what may be shown.

use crate::engine::member::Member;
use crate::engine::quality::{Cause, Monitor, Quality};
use crate::engine::room::Room;
use crate::engine::session::Session;
use crate::engine::view::{
    DeviceState, Encryption, Familiarity, GroupCode, Heir, Knock, Meeting, Notice, Peer, PeerLink, Role, Roster,
    Verification,
};
use crate::engine::words;
use crate::media::level;
use crate::protocol::meeting::Heir as HeirOf;
use crate::protocol::roster::MemberRole;

impl Session {
    /// The meeting as its window shows it.
    pub(super) fn publish(&self, room: &Room) -> Meeting {
        let now = std::time::Instant::now();
        Meeting {
            hosting: room.is_hosting(),
            role: role(room.own_role()),
            link: room.invites.general(now),
            invites: room.invites.view(now),
            locked: room.roster.as_ref().is_some_and(|roster| roster.locked),
            heir: heir(room),
            roster: roster(room),
            code: group_code(room),
            encryption: encryption(room),
            since: room.since.unwrap_or(now),
            peers: peers(room),
            speaking: self.playout.speaking(),
            knocks: room
                .visitors
                .iter()
                .map(|visitor| Knock {
                    id: visitor.id,
                    name: visitor.name.clone(),
                    fingerprint: visitor.identity.fingerprint(),
                    who: self.familiarity(room.is_hosting(), visitor),
                    invite: visitor.invite.clone(),
                    shared_with: visitor.shared_with.clone(),
                })
                .collect(),
            refused: room.refused,
            relay: room.relay_view.clone(),
        }
    }

    fn familiarity(&self, hosting: bool, visitor: &crate::engine::room::Visitor) -> Familiarity {
        match self.contacts().familiarity(&visitor.identity, &visitor.name) {
            // A co-host has it from the host, and no proof of its own.
            Familiarity::Verified(name) if !hosting => Familiarity::Met(name),
            known => known,
        }
    }

    /// What gets in the way, most serious first.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let (now, mut notices) = (std::time::Instant::now(), Vec::new());
        let Some((room, own)) = self.meeting_and_own() else { return notices };
        if room.forked {
            notices.push(Notice::Forked);
        }
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
        if room.outbox.as_ref().is_some_and(|outbox| own.camera_on && outbox.is_overloaded(now)) {
            notices.push(Notice::Overloaded);
        }
        if self.monitor().is_speaking_muted() {
            notices.push(Notice::SpeakingWhileMuted);
        }
        notices.extend(weak(room));
        if !room.relay_view.connected {
            notices.push(Notice::RelayLost);
        } else if room.members.iter().any(|member| member.role == MemberRole::Host && member.silent) {
            notices.push(Notice::HostLost);
        }
        notices
    }
}

/// The word in the pill, from the state of the code: encrypted is said only when keys are in use with everyone.
fn encryption(room: &Room) -> Encryption {
    let members = &room.members;
    if room.forked {
        return Encryption::Warning(words::forked());
    }
    if room.code_verdict == Some(false) {
        return Encryption::Warning(words::code_differs());
    }
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
    let keyed = |member: &Member| member.proven && member.generation > 0 && member.link != PeerLink::Connecting;
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

fn role(role: MemberRole) -> Role {
    match role {
        MemberRole::Host => Role::Host,
        MemberRole::CoHost => Role::CoHost,
        MemberRole::Member => Role::Member,
    }
}

fn heir(room: &Room) -> Option<Heir> {
    match room.roster.as_ref()?.heir {
        HeirOf::Nobody => None,
        HeirOf::Own => Some(Heir::Own),
        HeirOf::Peer(peer) => {
            room.members.iter().find(|member| member.id == peer).map(|member| Heir::Peer(member.name.clone()))
        }
    }
}

fn roster(room: &Room) -> Roster {
    let Some(state) = &room.roster else { return Roster::default() };
    let hash = state.hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    Roster { entry: state.counter, hash, forked: room.forked.then(words::forked) }
}

fn group_code(room: &Room) -> GroupCode {
    let unverified = |member: &&Member| !matches!(member.verification, Verification::Yes { .. });
    let unverified = room.members.iter().filter(unverified).map(|member| member.name.clone()).collect();
    match &room.code {
        None => GroupCode { unverified, ..GroupCode::default() },
        Some(code) => GroupCode {
            words: code.words().map(str::to_owned).to_vec(),
            digits: code.digits(),
            confirmed: room.code_verdict == Some(true),
            differs: room.code_verdict == Some(false),
            unverified,
        },
    }
}

/// Whose pictures suffer so much from the network that it is to be said.
fn weak(room: &Room) -> Vec<Notice> {
    let (paths, sending, receiving) = room.limited_paths();
    let names = |poor: fn(&Monitor) -> Quality| -> Vec<String> {
        let live = room.members.iter().filter(|member| member.link == PeerLink::Live);
        live.filter(|member| poor(&member.monitor) == Quality::Poor).map(|member| member.name.clone()).collect()
    };
    let up = Notice::WeakUpload { names: names(Monitor::sending), cause: Cause::of(sending, paths) };
    let down = Notice::WeakDownload { names: names(Monitor::receiving), cause: Cause::of(receiving, paths) };
    let tells = |notice: &Notice| match notice {
        Notice::WeakUpload { names, .. } | Notice::WeakDownload { names, .. } => !names.is_empty(),
        _ => true,
    };
    [down, up].into_iter().filter(tells).collect()
}

fn peers(room: &Room) -> Vec<Peer> {
    let (paths, sending, receiving) = room.limited_paths();
    let causes = (Cause::of(sending, paths), Cause::of(receiving, paths));
    room.members.iter().map(|member| peer(member, causes)).collect()
}

fn peer(member: &Member, (sending, receiving): (Cause, Cause)) -> Peer {
    let live = member.link == PeerLink::Live;
    Peer {
        id: member.id,
        name: member.name.clone(),
        fingerprint: member.identity.fingerprint(),
        picture: member.inbound.picture.clone(),
        level: level::in_steps(member.inbound.level()),
        volume: member.volume,
        mic_on: member.mic_on,
        camera_on: member.camera_on,
        role: role(member.role),
        link: member.link,
        verification: member.verification.clone(),
        safety_number: member.safety_number.clone(),
        safety_qr: member.safety_qr.clone(),
        generation: member.generation,
        route: member.route.clone(),
        stats: member.stats,
        quality: if live { member.monitor.quality() } else { Quality::Unknown },
        reasons: if live { member.monitor.reasons(sending, receiving) } else { Vec::new() },
    }
}
