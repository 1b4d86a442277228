//! The host's door: who may call, who may knock, who comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::answers::{Caller, Known};
use super::core::Core;
use super::event::{ConnId, Departure, Event, MeetingError, PeerNo, Transmit, Violation};
use super::peer::{Peer, PeerTimer, Phase, Wire};
use super::{InviteOptions, MAX_MEMBERS};
use crate::crypto::entropy::secret;
use crate::crypto::identity::IdentityKey;
use crate::crypto::session::Session;
use crate::protocol::envelope::{Attempt, DoorKey, DoorTag, Envelope, PROOF_CONTEXT, SUITE_NUMBER, proof_statement};
use crate::protocol::invite::{Invite, InviteId, check_relay_count};
use crate::protocol::roster::{Listed, MemberRole, NOBODY, Operation};
use crate::protocol::timers::{HALF_OPEN, KNOCK, RateLimit};
use crate::protocol::wire::{DeclineReason, LeaveReason, Message, Request, Waiting};

/// Knocks that wait for an answer.
pub(super) const MAX_KNOCKS: usize = 16;
/// Of those, with one invite: a leaked one leaves room for the others.
pub(super) const MAX_KNOCKS_OF_INVITE: usize = 12;
/// Invites kept open. Each costs one MAC per stranger's call.
pub(super) const MAX_INVITES: usize = 64;
/// New handshakes at once, and a second, that one invite can start: so that a leaked one buries no other.
const CALLS_BURST: u32 = 16;
const CALLS_PER_SECOND: u32 = 8;

/// What a co-host may ask for at once, and a second.
const REQUESTS_BURST: u32 = 16;
const REQUESTS_PER_SECOND: u32 = 1;

struct HeldInvite {
    key: DoorKey,
    expires: Option<Instant>,
    single_use: bool,
    /// Who came in with it first.
    used_by: Option<IdentityKey>,
    rate: RateLimit,
}

#[derive(Default)]
pub(super) struct Door {
    invites: BTreeMap<InviteId, HeldInvite>,
    admitted: BTreeSet<IdentityKey>,
    /// Whose knocks are turned away unheard.
    pub(super) blocked: BTreeSet<IdentityKey>,
    /// Whose knocks are not crowded out by those of strangers.
    pub(super) known: BTreeSet<IdentityKey>,
    /// How much co-hosts ask for.
    requests: BTreeMap<PeerNo, RateLimit>,
    /// What the co-hosts have been told.
    told: Vec<(PeerNo, Vec<Waiting>)>,
}

impl Door {
    pub(super) fn create_invite(&mut self, core: &mut Core, options: InviteOptions) -> Result<Invite, MeetingError> {
        check_relay_count(options.relays.len()).map_err(|_| MeetingError::RelayCount)?;
        if self.invites.len() >= MAX_INVITES {
            return Err(MeetingError::TooManyInvites);
        }
        let mut invite_id = [0; 8];
        core.entropy.fill(&mut invite_id);
        let secret = secret::<32>(core.entropy.as_mut());
        let held = HeldInvite {
            key: DoorKey::new(&secret, &core.room_id),
            expires: options.expires.map(|expiry| expiry.at),
            single_use: options.single_use,
            used_by: None,
            rate: RateLimit::new(CALLS_BURST, CALLS_PER_SECOND),
        };
        self.invites.insert(invite_id, held);
        Ok(Invite {
            room_secret: core.room_secret.duplicate(),
            host_identity: core.identity.key(),
            host_static: core.static_key.public(),
            host_name: options.named.then(|| core.name.clone()),
            invite_id,
            secret,
            relays: options.relays,
            expires: options.expires.map(|expiry| expiry.unix),
        })
    }

    pub(super) fn revoke_invite(&mut self, core: &mut Core, now: Instant, invite: &InviteId) {
        self.invites.remove(invite);
        core.answers.forget(invite);
        let waiting = core.peers.iter().filter(|(_, peer)| peer.phase == Phase::Waiting && peer.invite == *invite);
        for no in waiting.map(|(no, _)| *no).collect::<Vec<_>>() {
            core.decline(now, no, DeclineReason::Declined);
        }
    }

    /// A first message; whether it was made with an invite of ours.
    pub(super) fn handle_first(
        &mut self,
        core: &mut Core,
        now: Instant,
        from: ConnId,
        attempt: Attempt,
        (tag, suite, message): (&DoorTag, u8, &[u8]),
    ) -> bool {
        match core.answers.known(&attempt, message) {
            Known::Again(second) => {
                let payload = second.to_vec();
                core.transmits.push_back(Transmit { to: Some(from), payload });
                return true;
            }
            Known::Other => return false,
            Known::New => {}
        }
        if core.has_session(&attempt) {
            return true;
        }
        // Every invite is tried, whether or not one has fitted: time tells nothing about which.
        let mut found = None;
        for (id, invite) in &mut self.invites {
            if invite.key.accepts(&attempt, suite, message, tag) {
                found = Some((*id, invite));
            }
        }
        let open = |invite: &HeldInvite| invite.expires.is_none_or(|at| now < at);
        let Some((id, invite)) = found.filter(|(_, invite)| open(invite)) else { return false };
        if !invite.rate.allows(now) {
            return false;
        }
        if suite != SUITE_NUMBER {
            let tag = invite.key.refusal_tag(&attempt, SUITE_NUMBER);
            let payload = Envelope::Refused { attempt, tag, suite: SUITE_NUMBER }.to_bytes();
            core.transmits.push_back(Transmit { to: Some(from), payload });
            core.counters.suites_refused += 1;
            core.events.push_back(Event::SuiteRefused { suite });
            return true;
        }
        let begun = core.answers.begin(
            now,
            attempt,
            &core.room_id,
            &core.static_key,
            &invite.key,
            Caller::Guest(id),
            message,
            core.entropy.as_mut(),
        );
        match begun {
            Ok(payload) => core.transmits.push_back(Transmit { to: Some(from), payload }),
            Err(_) => core.counters.forged_handshakes += 1,
        }
        true
    }

    pub(super) fn handle_session(
        core: &mut Core,
        now: Instant,
        from: ConnId,
        attempt: Attempt,
        session: Session,
        invite: InviteId,
    ) {
        let statement = proof_statement(false, &core.static_key.public(), session.hash());
        let signature = core.identity.sign(PROOF_CONTEXT, &statement);
        let mut peer = Peer::new(now, Wire::new(attempt, session, from, false), invite);
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
                let Some(session) = peer.wire.as_ref().map(|wire| wire.link.session()) else { return Ok(()) };
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
        if let Err(reason) = self.may_knock(core, &identity, &invite) {
            return core.decline(now, no, reason);
        }
        let same = core.peers.iter().filter(|(other, peer)| {
            **other != no && peer.identity == Some(identity) && matches!(peer.phase, Phase::Waiting | Phase::Member)
        });
        for old in same.map(|(old, _)| *old).collect::<Vec<_>>() {
            core.part(now, old, Departure::Replaced, Some(LeaveReason::Replaced));
        }
        if is_full(core) {
            return core.decline(now, no, DeclineReason::Full);
        }
        if !self.makes_room(core, now, &identity, &invite) {
            return core.decline(now, no, DeclineReason::Busy);
        }
        if let Some(peer) = core.peers.get_mut(&no) {
            peer.phase = Phase::Waiting;
            peer.timers.set(PeerTimer::Phase, now + KNOCK);
            peer.ping(now);
        }
        let returning = self.admitted.contains(&identity);
        core.events.push_back(Event::Knocked { peer: no, identity, name, invite: Some(invite), returning });
    }

    fn may_knock(&self, core: &Core, identity: &IdentityKey, invite: &InviteId) -> Result<(), DeclineReason> {
        if *identity == core.identity.key() {
            return Err(DeclineReason::OwnIdentity);
        }
        if core.seat.as_ref().is_none_or(|seat| seat.roster.current().locked || seat.forked) {
            return Err(DeclineReason::Locked);
        }
        if self.blocked.contains(identity) {
            return Err(DeclineReason::Declined);
        }
        let spent = |held: &HeldInvite| held.single_use && held.used_by.is_some_and(|by| by != *identity);
        // Revoked between the call and the knock, it is as good as spent.
        if self.invites.get(invite).is_none_or(spent) {
            return Err(DeclineReason::Spent);
        }
        Ok(())
    }

    /// Whether a further knock can wait. Where too many do, strangers of the most crowded invite give way to whoever is known,
    /// and to those of invites that fewer wait with.
    fn makes_room(&self, core: &mut Core, now: Instant, identity: &IdentityKey, invite: &InviteId) -> bool {
        let mut crowds: BTreeMap<InviteId, Vec<PeerNo>> = BTreeMap::new();
        for (no, peer) in core.peers.iter().filter(|(_, peer)| peer.phase == Phase::Waiting) {
            crowds.entry(peer.invite).or_default().push(*no);
        }
        let waiting: usize = crowds.values().map(Vec::len).sum();
        let own = crowds.get(invite).map_or(0, Vec::len);
        if waiting < MAX_KNOCKS && own < MAX_KNOCKS_OF_INVITE {
            return true;
        }
        let known = self.known.contains(identity) || self.admitted.contains(identity);
        let crowded = match own >= MAX_KNOCKS_OF_INVITE {
            true => crowds.get(invite),
            false => crowds.values().max_by_key(|crowd| crowd.len()).filter(|crowd| known || crowd.len() > own + 1),
        };
        if own >= MAX_KNOCKS_OF_INVITE && !known {
            return false;
        }
        let is_stranger = |no: &&PeerNo| {
            let who = core.peers.get(no).and_then(|peer| peer.identity);
            who.is_none_or(|who| !self.known.contains(&who) && !self.admitted.contains(&who))
        };
        // The newest: whoever has waited longest did not come with the flood.
        let Some(stranger) = crowded.and_then(|crowd| crowd.iter().rev().find(is_stranger)).copied() else {
            return false;
        };
        core.decline(now, stranger, DeclineReason::Busy);
        true
    }

    pub(super) fn admit(&mut self, core: &mut Core, now: Instant, no: PeerNo) -> Result<(), MeetingError> {
        if core.live(no)?.phase != Phase::Waiting {
            return Err(MeetingError::NotWaiting);
        }
        if is_full(core) {
            return Err(MeetingError::Full);
        }
        let Some(seat) = core.seat.as_ref().filter(|seat| !seat.forked) else { return Err(MeetingError::Over) };
        if seat.roster.current().locked {
            return Err(MeetingError::Locked);
        }
        let spent = |peer: &Peer| {
            let held = self.invites.get(&peer.invite).filter(|held| held.single_use)?;
            held.used_by.filter(|by| Some(*by) != peer.identity)
        };
        if core.peers.get(&no).and_then(spent).is_some() {
            core.decline(now, no, DeclineReason::Spent);
            return Err(MeetingError::NotWaiting);
        }
        let index = seat.roster.current().next_index;
        let (meeting, members) = (seat.meeting, seat.members.duplicate());
        let Some(listed) = core.peers.get(&no).and_then(|peer| {
            let static_key = *peer.wire.as_ref()?.link.session().remote_static();
            let (identity, name) = (peer.identity?, peer.name.clone());
            Some(Listed { index, role: MemberRole::Member, identity, static_key, name })
        }) else {
            return Err(MeetingError::NotWaiting);
        };
        // Two who share a key between them would make a list that every member refuses.
        let is_listed = |member: &Listed| member.identity == listed.identity || member.static_key == listed.static_key;
        if seat.roster.current().members.iter().any(is_listed) {
            core.decline(now, no, DeclineReason::Declined);
            return Err(MeetingError::Unlistable);
        }
        let (identity, name, static_key) = (listed.identity, listed.name.clone(), listed.static_key);
        let signed = core.certify(now, Operation::Admit, index, |entry| {
            entry.members.push(listed);
            entry.next_index += 1;
        });
        let Some(signed) = signed else { return Err(MeetingError::Unlistable) };
        self.admitted.insert(identity);
        let Some(peer) = core.peers.get_mut(&no) else { return Err(MeetingError::NoSuchPeer) };
        (peer.phase, peer.index, peer.static_key) = (Phase::Member, index, static_key);
        peer.timers.stop(PeerTimer::Phase);
        let invite = peer.invite;
        if let Some(held) = self.invites.get_mut(&invite) {
            held.used_by.get_or_insert(identity);
            if held.single_use {
                let rest = core.peers.iter().filter(|(_, peer)| peer.phase == Phase::Waiting && peer.invite == invite);
                for other in rest.map(|(other, _)| *other).collect::<Vec<_>>() {
                    core.decline(now, other, DeclineReason::Spent);
                }
            }
        }
        let roster = Box::new(signed.clone());
        core.send(no, &Message::Admit { your_index: index, meeting, secret: members, roster });
        core.events.push_back(Event::Joined { peer: no, identity, name, index });
        core.publish(now, &signed);
        core.greet(now, no, false);
        Ok(())
    }

    pub(super) fn decline(core: &mut Core, now: Instant, no: PeerNo) -> Result<(), MeetingError> {
        if core.live(no)?.phase != Phase::Waiting {
            return Err(MeetingError::NotWaiting);
        }
        core.decline(now, no, DeclineReason::Declined);
        Ok(())
    }

    pub(super) fn set_locked(core: &mut Core, now: Instant, locked: bool) {
        let operation = if locked { Operation::Lock } else { Operation::Unlock };
        if core.seat.as_ref().is_some_and(|seat| seat.roster.current().locked == locked) {
            return;
        }
        if let Some(signed) = core.certify(now, operation, NOBODY, |entry| entry.locked = locked) {
            core.publish(now, &signed);
        }
        if locked {
            turn_away(core, now, DeclineReason::Locked);
        }
    }

    /// Acts on what a co-host asks for, if it still is one. What can no longer be done is not an error: it was asked in time.
    pub(super) fn handle_request(&mut self, core: &mut Core, now: Instant, from: PeerNo, request: Request) {
        if core.role_of(from) != MemberRole::CoHost {
            core.counters.out_of_turn += 1;
            return;
        }
        // Each can make an entry that goes to everyone.
        let rate = self.requests.entry(from).or_insert_with(|| RateLimit::new(REQUESTS_BURST, REQUESTS_PER_SECOND));
        if !rate.allows(now) {
            core.counters.out_of_turn += 1;
            return;
        }
        match request {
            Request::Admit(no) => drop(self.admit(core, now, no)),
            Request::Decline(no) => drop(Self::decline(core, now, no)),
            Request::Lock => Self::set_locked(core, now, true),
            Request::Unlock => Self::set_locked(core, now, false),
            Request::Remove(index) => {
                if let Some(no) = core.by_index(index).filter(|no| core.role_of(*no) == MemberRole::Member) {
                    core.part(now, no, Departure::Removed, Some(LeaveReason::Removed));
                }
            }
        }
    }

    /// Tells the co-hosts who waits, if that has changed.
    pub(super) fn tell_cohosts(&mut self, core: &mut Core) {
        let one = |(no, peer): (&PeerNo, &Peer)| {
            let waits = peer.phase == Phase::Waiting;
            Some(Waiting { number: *no, identity: peer.identity.filter(|_| waits)?, name: peer.name.clone() })
        };
        let waiting: Vec<Waiting> = core.peers.iter().filter_map(one).collect();
        let cohosts: Vec<PeerNo> =
            core.paired().into_iter().filter(|no| core.role_of(*no) == MemberRole::CoHost).collect();
        self.told.retain(|(no, _)| cohosts.contains(no));
        for no in cohosts {
            let told = self.told.iter_mut().find(|(told, _)| *told == no);
            match told {
                Some((_, list)) if *list == waiting => continue,
                Some((_, list)) => *list = waiting.clone(),
                None if waiting.is_empty() => continue,
                None => self.told.push((no, waiting.clone())),
            }
            core.send(no, &Message::Waiting(waiting.clone()));
        }
    }

    /// Nobody new comes in.
    pub(super) fn close(&mut self, core: &mut Core, now: Instant) {
        for invite in std::mem::take(&mut self.invites).into_keys() {
            core.answers.forget(&invite);
        }
        turn_away(core, now, DeclineReason::Unanswered);
    }
}

/// Everyone at the door is told this and nothing else.
fn turn_away(core: &mut Core, now: Instant, reason: DeclineReason) {
    let waiting = core.peers.iter().filter(|(_, peer)| peer.phase == Phase::Waiting);
    for no in waiting.map(|(no, _)| *no).collect::<Vec<_>>() {
        core.decline(now, no, reason);
    }
}

/// No seat is free, or no sender index: one is never given twice, for frames under it may still be on the way.
fn is_full(core: &Core) -> bool {
    core.seat.as_ref().is_none_or(|seat| {
        let entry = seat.roster.current();
        entry.members.len() >= MAX_MEMBERS || entry.next_index >= NOBODY - 1
    })
}

/// Counts a call that is answered with silence. One event stands for many: a flood must not flood the engine.
pub(super) fn refuse(core: &mut Core) {
    core.counters.refused_at_door += 1;
    let total = core.counters.refused_at_door;
    match core.events.iter_mut().find(|event| matches!(event, Event::RefusedAtDoor { .. })) {
        Some(event) => *event = Event::RefusedAtDoor { total },
        None => core.events.push_back(Event::RefusedAtDoor { total }),
    }
}
