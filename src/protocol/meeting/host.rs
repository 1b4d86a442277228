//! The host's door: who may call, who may knock, who comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::event::{ConnId, Departure, Event, MeetingError, PeerNo, Transmit, Violation};
use super::members::Core;
use super::peer::{Peer, PeerTimer, Phase};
use super::{Expiry, MAX_MEMBERS};
use crate::crypto::entropy::{Entropy, secret};
use crate::crypto::handshake::{Responder, StaticKey};
use crate::crypto::identity::IdentityKey;
use crate::crypto::secret::Secret;
use crate::protocol::envelope::{Attempt, DoorKey, DoorTag, Envelope, PROOF_CONTEXT, prologue, proof_statement};
use crate::protocol::invite::{Invite, InviteId, check_relay_count, room_id};
use crate::protocol::relay_address::RelayAddress;
use crate::protocol::timers::{HALF_OPEN, KNOCK, RateLimit};
use crate::protocol::wire::{DeclineReason, LeaveReason, Message};

/// Handshakes begun and not finished. With the rate of one invite, the oldest of them is four seconds old or more.
pub(super) const MAX_HALF_OPEN: usize = 32;
/// Knocks that wait for an answer.
pub(super) const MAX_KNOCKS: usize = 16;
/// Invites kept open. Each costs one MAC per stranger's call.
pub(super) const MAX_INVITES: usize = 64;
/// New handshakes at once, and a second, that one invite can start: so that a leaked one buries no other.
const CALLS_BURST: u32 = 16;
const CALLS_PER_SECOND: u32 = 8;

struct HeldInvite {
    key: DoorKey,
    expires: Option<Instant>,
    rate: RateLimit,
}

struct HalfOpen {
    responder: Responder,
    first: Vec<u8>,
    second: Vec<u8>,
    invite: InviteId,
    since: Instant,
}

pub(super) struct Door {
    static_key: StaticKey,
    room_secret: Secret<16>,
    pub(super) room_id: [u8; 32],
    prologue: Vec<u8>,
    meeting: [u8; 32],
    invites: BTreeMap<InviteId, HeldInvite>,
    half_open: BTreeMap<Attempt, HalfOpen>,
    admitted: BTreeSet<IdentityKey>,
    next_index: u16,
}

impl Door {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        let room_secret = secret::<16>(entropy);
        let room_id = room_id(&room_secret);
        let mut meeting = [0; 32];
        entropy.fill(&mut meeting);
        Self {
            static_key: StaticKey::from_entropy(entropy),
            room_secret,
            room_id,
            prologue: prologue(&room_id),
            meeting,
            invites: BTreeMap::new(),
            half_open: BTreeMap::new(),
            admitted: BTreeSet::new(),
            // 0 is the host's own.
            next_index: 1,
        }
    }

    pub(super) fn create_invite(
        &mut self,
        core: &mut Core,
        relays: Vec<RelayAddress>,
        expires: Option<Expiry>,
    ) -> Result<Invite, MeetingError> {
        check_relay_count(relays.len()).map_err(|_| MeetingError::RelayCount)?;
        if self.invites.len() >= MAX_INVITES {
            return Err(MeetingError::TooManyInvites);
        }
        let mut invite_id = [0; 8];
        core.entropy.fill(&mut invite_id);
        let secret = secret::<32>(core.entropy.as_mut());
        let held = HeldInvite {
            key: DoorKey::new(&secret, &self.room_id),
            expires: expires.map(|expiry| expiry.at),
            rate: RateLimit::new(CALLS_BURST, CALLS_PER_SECOND),
        };
        self.invites.insert(invite_id, held);
        Ok(Invite {
            room_secret: self.room_secret.duplicate(),
            host_identity: core.identity.key(),
            host_static: self.static_key.public(),
            invite_id,
            secret,
            relays,
            expires: expires.map(|expiry| expiry.unix),
        })
    }

    pub(super) fn revoke_invite(&mut self, invite: &InviteId) {
        self.invites.remove(invite);
        self.half_open.retain(|_, half_open| half_open.invite != *invite);
    }

    pub(super) fn handle_first(
        &mut self,
        core: &mut Core,
        now: Instant,
        from: ConnId,
        attempt: Attempt,
        tag: &DoorTag,
        message: &[u8],
    ) {
        if let Some(known) = self.half_open.get(&attempt) {
            if known.first == message {
                let second = Envelope::Second { attempt, message: &known.second }.to_bytes();
                core.transmits.push_back(Transmit { to: Some(from), payload: second });
            } else {
                refuse(core);
            }
            return;
        }
        if core.has_session(&attempt) {
            return;
        }
        // Every invite is tried, whether or not one has fitted: time tells nothing about which.
        let mut found = None;
        for (id, invite) in &mut self.invites {
            if invite.key.accepts(&attempt, message, tag) {
                found = Some((*id, invite));
            }
        }
        let Some((id, invite)) = found.filter(|(_, invite)| invite.expires.is_none_or(|at| now < at)) else {
            refuse(core);
            return;
        };
        if !invite.rate.allows(now) {
            refuse(core);
            return;
        }
        let begun =
            Responder::handle_first(&self.prologue, &self.static_key, invite.key.psk(), message, core.entropy.as_mut());
        let Ok((responder, second)) = begun else {
            core.counters.forged_handshakes += 1;
            return;
        };
        while self.half_open.len() >= MAX_HALF_OPEN {
            let oldest = self.half_open.iter().min_by_key(|(_, half_open)| half_open.since).map(|(a, _)| *a);
            oldest.and_then(|attempt| self.half_open.remove(&attempt));
        }
        let payload = Envelope::Second { attempt, message: &second }.to_bytes();
        core.transmits.push_back(Transmit { to: Some(from), payload });
        let half_open = HalfOpen { responder, first: message.to_vec(), second, invite: id, since: now };
        self.half_open.insert(attempt, half_open);
    }

    pub(super) fn handle_third(
        &mut self,
        core: &mut Core,
        now: Instant,
        from: ConnId,
        attempt: Attempt,
        message: &[u8],
    ) {
        let Some(half_open) = self.half_open.get_mut(&attempt) else { return };
        let Ok(session) = half_open.responder.handle_third(message) else {
            core.counters.forged_handshakes += 1;
            return;
        };
        let invite = half_open.invite;
        self.half_open.remove(&attempt);
        let statement = proof_statement(false, &self.static_key.public(), session.hash());
        let signature = core.identity.sign(PROOF_CONTEXT, &statement);
        let mut peer = Peer::new(now, attempt, session, from, invite);
        peer.timers.set(PeerTimer::Phase, now + HALF_OPEN);
        let no = core.add(peer);
        core.send(no, &Message::Proof { identity: core.identity.key(), signature });
    }

    /// Somebody who is not a member speaks.
    pub(super) fn handle_early(
        &mut self,
        core: &mut Core,
        now: Instant,
        no: PeerNo,
        message: Message,
    ) -> Result<(), Violation> {
        let Some(peer) = core.peers.get_mut(&no) else { return Ok(()) };
        match (peer.phase, message) {
            (Phase::Proving, Message::Proof { identity, signature }) => {
                let session = peer.link.session();
                let statement = proof_statement(true, session.remote_static(), session.hash());
                identity.verify(PROOF_CONTEXT, &statement, &signature).map_err(|_| Violation::BadProof)?;
                peer.identity = Some(identity);
                peer.phase = Phase::Proven;
                Ok(())
            }
            (Phase::Proven, Message::Knock { name }) => {
                peer.name = name;
                self.handle_knock(core, now, no);
                Ok(())
            }
            (_, other) => Err(Violation::OutOfPlace(other.kind())),
        }
    }

    fn handle_knock(&mut self, core: &mut Core, now: Instant, no: PeerNo) {
        let Some((identity, invite, name)) =
            core.peers.get(&no).and_then(|peer| Some((peer.identity?, peer.invite, peer.name.clone())))
        else {
            return;
        };
        if identity == core.identity.key() {
            core.decline(now, no, DeclineReason::OwnIdentity);
            return;
        }
        let same = core.peers.iter().filter(|(other, peer)| {
            **other != no && peer.identity == Some(identity) && matches!(peer.phase, Phase::Waiting | Phase::Member)
        });
        for old in same.map(|(old, _)| *old).collect::<Vec<_>>() {
            core.remove(now, old, Departure::Replaced, Some(LeaveReason::Replaced));
        }
        if self.is_full(core) {
            core.decline(now, no, DeclineReason::Full);
            return;
        }
        if core.peers.values().filter(|peer| peer.phase == Phase::Waiting).count() >= MAX_KNOCKS {
            core.decline(now, no, DeclineReason::Busy);
            return;
        }
        if let Some(peer) = core.peers.get_mut(&no) {
            peer.phase = Phase::Waiting;
            peer.timers.set(PeerTimer::Phase, now + KNOCK);
            peer.ping(now);
        }
        let returning = self.admitted.contains(&identity);
        core.events.push_back(Event::Knocked { peer: no, identity, name, invite, returning });
    }

    pub(super) fn admit(&mut self, core: &mut Core, now: Instant, no: PeerNo) -> Result<(), MeetingError> {
        if core.live(no)?.phase != Phase::Waiting {
            return Err(MeetingError::NotWaiting);
        }
        if self.is_full(core) {
            return Err(MeetingError::Full);
        }
        let index = self.next_index;
        self.next_index += 1;
        let admit = Message::Admit { name: core.name.clone(), your_index: index, my_index: 0, meeting: self.meeting };
        self.admitted.extend(core.live(no)?.identity);
        core.send(no, &admit);
        core.admit(now, no, index, self.meeting);
        Ok(())
    }

    pub(super) fn decline(&mut self, core: &mut Core, now: Instant, no: PeerNo) -> Result<(), MeetingError> {
        if core.live(no)?.phase != Phase::Waiting {
            return Err(MeetingError::NotWaiting);
        }
        core.decline(now, no, DeclineReason::Declined);
        Ok(())
    }

    /// No seat is free, or no sender index: one is never given twice, for frames under it may still be on the way.
    fn is_full(&self, core: &Core) -> bool {
        core.members() + 1 >= MAX_MEMBERS || self.next_index == u16::MAX
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.half_open.values().map(|half_open| half_open.since + HALF_OPEN).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.half_open.retain(|_, half_open| now < half_open.since + HALF_OPEN);
    }

    /// Nobody new comes in.
    pub(super) fn close(&mut self) {
        self.invites.clear();
        self.half_open.clear();
    }
}

/// Counts a call that is answered with silence. One event stands for many: a flood must not flood the engine.
fn refuse(core: &mut Core) {
    core.counters.refused_at_door += 1;
    let total = core.counters.refused_at_door;
    match core.events.iter_mut().find(|event| matches!(event, Event::RefusedAtDoor { .. })) {
        Some(event) => *event = Event::RefusedAtDoor { total },
        None => core.events.push_back(Event::RefusedAtDoor { total }),
    }
}
