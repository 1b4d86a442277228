//! Sessions between members: each with each other, made when one of the two has something to send.
//!
//! Whoever came later calls. Statics come from the roster, the door is opened by the members' secret, and both prove the
//! identity that the roster names: so a host that lists a key of its own for somebody else gains nothing unseen.

use std::collections::BTreeMap;
use std::time::Instant;

use super::answers::{Caller, Known};
use super::call::{Answer, Call, Callee};
use super::core::Core;
use super::event::{ConnId, Event, PeerNo, Transmit, Violation};
use super::keys::earliest;
use super::peer::{Peer, PeerTimer, Wire};
use crate::crypto::session::Session;
use crate::protocol::envelope::{Attempt, DoorKey, DoorTag, PROOF_CONTEXT, Roles, SUITE_NUMBER, proof_statement};
use crate::protocol::roster::Listed;
use crate::protocol::timers::{ATTEMPT, HALF_OPEN, RateLimit};
use crate::protocol::wire::Message;

/// Handshakes at once, and a second, that members can start here.
const CALLS_BURST: u32 = 32;
const CALLS_PER_SECOND: u32 = 16;

pub(super) struct Pairs {
    /// This side has a camera or a microphone: it wants a session with everyone. Without, it is called.
    pub(super) sends: bool,
    calls: BTreeMap<PeerNo, (Callee, Call)>,
    rate: RateLimit,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { sends: true, calls: BTreeMap::new(), rate: RateLimit::new(CALLS_BURST, CALLS_PER_SECOND) }
    }
}

impl Pairs {
    pub(super) fn forget(&mut self, no: PeerNo) {
        self.calls.remove(&no);
    }

    pub(super) fn clear(&mut self) {
        self.calls.clear();
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        earliest(self.calls.values().map(|(_, call)| call.timeout()))
    }
}

impl Core {
    /// Calls a member, or begins anew when a call has led nowhere.
    pub(super) fn begin_call(&mut self, now: Instant, no: PeerNo) {
        let wanted = |peer: &&Peer| peer.is_member() && !peer.gone && (peer.wire.is_none() || peer.silent);
        let Some(index) = self.peers.get(&no).filter(wanted).map(|peer| peer.index) else { return };
        let Some(seat) = &self.seat else { return };
        let Some(listed) = seat.roster.current().member(index) else { return };
        let static_key = listed.static_key;
        if let Some((_, call)) = self.pairs.calls.remove(&no)
            && let Some(proving) = call.proving()
        {
            self.peers.remove(&proving);
        }
        let door = DoorKey::of_member(&seat.members, &self.room_id, &static_key);
        let callee = Callee { static_key, door, roles: Roles::Members };
        // A static that is no key: the host listed nonsense, and nobody can be reached by it.
        let Ok(mut call) = Call::draw(&callee, &self.room_id, &self.static_key, self.entropy.as_mut()) else { return };
        call.send(self, now, None);
        self.pairs.calls.insert(no, (callee, call));
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.timers.set(PeerTimer::Pair, now + ATTEMPT);
        }
    }

    pub(super) fn handle_pairs_timeout(&mut self, now: Instant) {
        let due: Vec<PeerNo> =
            self.pairs.calls.iter().filter(|(_, (_, call))| call.is_due(now)).map(|(no, _)| *no).collect();
        for no in due {
            if let Some((callee, mut call)) = self.pairs.calls.remove(&no) {
                call.send(self, now, None);
                self.pairs.calls.insert(no, (callee, call));
            }
        }
    }

    /// A member answers a call of ours; whether it was one.
    pub(super) fn handle_pair_second(&mut self, now: Instant, from: ConnId, attempt: Attempt, message: &[u8]) -> bool {
        let found = self.pairs.calls.iter().find(|(_, (_, call))| call.attempt == attempt).map(|(no, _)| *no);
        let Some((no, (callee, mut call))) = found.and_then(|no| Some((no, self.pairs.calls.remove(&no)?))) else {
            return false;
        };
        match call.handle_second(now, message) {
            (Answer::Nothing, _) => {}
            (Answer::Forged, _) => self.counters.forged_handshakes += 1,
            (Answer::Session(session), third) => {
                let proving = self.add_proving(now, attempt, *session, from, no, true);
                call.proves(proving, &third);
                call.send(self, now, None);
            }
        }
        self.pairs.calls.insert(no, (callee, call));
        true
    }

    fn add_proving(
        &mut self,
        now: Instant,
        attempt: Attempt,
        session: Session,
        from: ConnId,
        claims: PeerNo,
        called: bool,
    ) -> PeerNo {
        let mut peer = Peer::new(now, Wire::new(attempt, session, from, called), [0; 8]);
        peer.claims = Some(claims);
        peer.timers.set(PeerTimer::Phase, now + HALF_OPEN);
        self.add(peer)
    }

    /// Somebody calls with the members' secret; whether it was that.
    pub(super) fn handle_pair_first(
        &mut self,
        now: Instant,
        from: ConnId,
        attempt: Attempt,
        tag: &DoorTag,
        suite: u8,
        message: &[u8],
    ) -> bool {
        let Some(seat) = &self.seat else { return false };
        let old = seat.old_doors.iter().filter(|(_, until)| now < *until).map(|(door, _)| door);
        let Some(door) =
            std::iter::once(&seat.door).chain(old).find(|door| door.accepts(&attempt, suite, message, tag))
        else {
            return false;
        };
        if let Known::Again(second) = self.answers.known(&attempt, message) {
            let payload = second.to_vec();
            self.transmits.push_back(Transmit { to: Some(from), payload });
            return true;
        }
        if self.has_session(&attempt) || !self.pairs.rate.allows(now) {
            return true;
        }
        if suite != SUITE_NUMBER {
            self.counters.suites_refused += 1;
            return true;
        }
        let begun = self.answers.begin(
            now,
            attempt,
            &self.room_id,
            &self.static_key,
            door,
            Caller::Member,
            message,
            self.entropy.as_mut(),
        );
        match begun {
            Ok(payload) => self.transmits.push_back(Transmit { to: Some(from), payload }),
            Err(_) => self.counters.forged_handshakes += 1,
        }
        true
    }

    /// Whether a first message is one member's call to another, which reaches us only because the whole room hears it.
    pub(super) fn is_for_member(&self, attempt: &Attempt, tag: &DoorTag, suite: u8, message: &[u8]) -> bool {
        let Some(seat) = &self.seat else { return false };
        let is_door_of = |member: &Listed| {
            let door = DoorKey::of_member(&seat.members, &self.room_id, &member.static_key);
            door.accepts(attempt, suite, message, tag)
        };
        seat.roster.current().members.iter().filter(|member| member.index != seat.own_index).any(is_door_of)
    }

    /// The handshake with somebody who has the members' secret is done: by its static key it is one of those in the list.
    pub(super) fn handle_pair_session(&mut self, now: Instant, from: ConnId, attempt: Attempt, session: Session) {
        let Some(seat) = &self.seat else { return };
        let listed = seat.roster.current().members.iter().find(|member| member.static_key == *session.remote_static());
        let (own, index) = (seat.own_index, listed.map(|listed| listed.index));
        let Some(no) = index.and_then(|index| self.by_index(index)) else {
            // Perhaps somebody whose admission is still on its way here: it calls again.
            self.counters.false_members += 1;
            return;
        };
        let Some(peer) = self.peers.get(&no).filter(|peer| !peer.gone) else { return };
        // Both called at once: the call of whoever came later stands.
        if own > peer.index && self.pairs.calls.contains_key(&no) {
            return;
        }
        let statement = proof_statement(false, &self.static_key.public(), session.hash());
        let signature = self.identity.sign(PROOF_CONTEXT, &statement);
        let proving = self.add_proving(now, attempt, session, from, no, false);
        let identity = self.identity.key();
        self.send(proving, &Message::Proof { identity, signature });
    }

    /// The other end of a new session says who it is.
    pub(super) fn handle_pair_proof(
        &mut self,
        now: Instant,
        proving: PeerNo,
        message: Message,
    ) -> Result<(), Violation> {
        let Message::Proof { identity, signature } = message else {
            return Err(Violation::OutOfPlace(message.kind()));
        };
        let Some((claims, wire)) = self.peers.get(&proving).and_then(|peer| Some((peer.claims?, peer.wire.as_ref()?)))
        else {
            return Ok(());
        };
        let session = wire.link.session();
        let theirs = proof_statement(!wire.called, session.remote_static(), session.hash());
        let ours = proof_statement(true, &self.static_key.public(), session.hash());
        let called = wire.called;
        let Some(member) = self.peers.get(&claims).filter(|peer| peer.is_member() && !peer.gone) else {
            // Gone while they called.
            self.peers.remove(&proving);
            return Ok(());
        };
        let right = member.identity == Some(identity) && identity.verify(PROOF_CONTEXT, &theirs, &signature).is_ok();
        if !right {
            self.counters.false_members += 1;
            return Err(Violation::BadProof);
        }
        if called {
            let signature = self.identity.sign(PROOF_CONTEXT, &ours);
            let identity = self.identity.key();
            self.send(proving, &Message::Proof { identity, signature });
        }
        self.attach(now, proving, claims);
        Ok(())
    }

    /// The session is that with the member from now on.
    fn attach(&mut self, now: Instant, proving: PeerNo, no: PeerNo) {
        let Some(wire) = self.peers.remove(&proving).and_then(|peer| peer.wire) else { return };
        // Both called, and both calls came through: on both sides the one of whoever came later stands.
        let own = self.seat.as_ref().map_or(0, |seat| seat.own_index);
        let by_later = |called: bool, peer: &Peer| called == (own > peer.index);
        let stands = |peer: &Peer| {
            let before = peer.wire.as_ref().filter(|_| !peer.silent);
            before.is_some_and(|before| by_later(before.called, peer) && !by_later(wire.called, peer))
        };
        let unwanted = self.peers.get(&no).is_none_or(stands);
        self.pairs.forget(no);
        if unwanted {
            return;
        }
        let offers = wire.called;
        if self.peers.get(&no).is_some_and(|peer| peer.wire.is_some()) {
            self.retire_wire(now, no, None);
            self.events.push_back(Event::Unpaired { peer: no });
        }
        let Some(peer) = self.peers.get_mut(&no) else { return };
        peer.wire = Some(wire);
        peer.timers.stop(PeerTimer::Pair);
        peer.heard(now);
        if std::mem::take(&mut peer.silent) {
            self.events.push_back(Event::HeardAgain { peer: no });
        }
        self.moved = Some((proving, no));
        self.greet(now, no, offers);
    }

    /// A session with a member stands: what it has to know at once.
    pub(super) fn greet(&mut self, now: Instant, no: PeerNo, offers: bool) {
        self.events.push_back(Event::Paired { peer: no, offers });
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.ping(now);
            if !peer.stopped {
                let state = self.media_state();
                self.send(no, &state);
            }
        }
        self.tell_head(no);
        self.tell_members_secret(no);
        self.want_key(now, false);
        self.renew_agreement_with(now);
    }
}
