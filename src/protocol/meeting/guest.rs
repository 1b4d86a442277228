//! The guest's way in: call, check who answers, knock, wait.

use std::time::Instant;

use super::call::{Answer, Call, Callee};
use super::core::Core;
use super::event::{ConnId, End, Event, HostProof, MeetingError, PeerNo, Violation};
use super::peer::{Peer, Phase, Wire};
use super::seat::Seat;
use crate::crypto::identity::IdentityKey;
use crate::protocol::envelope::{Attempt, DoorKey, DoorTag, PROOF_CONTEXT, Roles, proof_statement};
use crate::protocol::invite::{Invite, InviteId};
use crate::protocol::roster::Roster;
use crate::protocol::timers::{ATTEMPT, HALF_OPEN, REACH, Timers};
use crate::protocol::wire::{DeclineReason, Message};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum GuestTimer {
    /// This attempt leads nowhere.
    Attempt,
    /// The host cannot be reached.
    Reach,
}

enum Stage {
    /// The handshake is under way, or done and the host's proof still due.
    Calling(Box<Call>),
    /// The host has proven its identity; it has yet to acknowledge our proof and knock.
    Knocking { peer: PeerNo },
    /// In the lobby or beyond.
    Reached { peer: PeerNo },
    /// Nothing is to be done any more.
    Over,
}

pub(super) struct Approach {
    host_identity: IdentityKey,
    invite: InviteId,
    callee: Callee,
    stage: Stage,
    /// The relay has been reached once, and the time runs.
    begun: bool,
    timers: Timers<GuestTimer>,
    forged: u32,
}

impl Approach {
    pub(super) fn new(core: &mut Core, invite: &Invite) -> Result<Self, MeetingError> {
        if invite.host_identity == core.identity.key() {
            return Err(MeetingError::OwnInvite);
        }
        let door = DoorKey::new(&invite.secret, &core.room_id);
        let callee = Callee { static_key: invite.host_static, door, roles: Roles::HostGuest };
        let call = Call::draw(&callee, &core.room_id, &core.static_key, core.entropy.as_mut())
            .map_err(|_| MeetingError::UnusableKey)?;
        Ok(Self {
            host_identity: invite.host_identity,
            invite: invite.invite_id,
            callee,
            stage: Stage::Calling(Box::new(call)),
            begun: false,
            timers: Timers::new(),
            forged: 0,
        })
    }

    /// The session that this stage stands on.
    fn peer(&self) -> Option<PeerNo> {
        match &self.stage {
            Stage::Calling(call) => call.proving(),
            Stage::Knocking { peer } | Stage::Reached { peer } => Some(*peer),
            Stage::Over => None,
        }
    }

    /// Begins again, with a handshake that has nothing in common with the one before.
    fn call_anew(&mut self, core: &mut Core, now: Instant) {
        if let Some(peer) = self.peer() {
            core.peers.remove(&peer);
        }
        match Call::draw(&self.callee, &core.room_id, &core.static_key, core.entropy.as_mut()) {
            Ok(call) => self.stage = Stage::Calling(Box::new(call)),
            // What worked at the start does not fail now; and if it does, the deadline for reaching the host stands.
            Err(_) => return,
        }
        self.timers.stop(GuestTimer::Attempt);
        self.send_handshake(core, now, None);
    }

    fn send_handshake(&mut self, core: &mut Core, now: Instant, to: Option<ConnId>) {
        if let Stage::Calling(call) = &mut self.stage {
            call.send(core, now, to);
        }
    }

    pub(super) fn handle_relay_up(&mut self, core: &mut Core, now: Instant) {
        if !std::mem::replace(&mut self.begun, true) {
            self.timers.set(GuestTimer::Reach, now + REACH);
        }
        self.send_handshake(core, now, None);
    }

    /// Somebody came into the room: perhaps the host.
    pub(super) fn handle_relay_arrived(&mut self, core: &mut Core, now: Instant, conn: ConnId) {
        if let Stage::Calling(call) = &mut self.stage
            && self.begun
            && call.is_calling()
        {
            call.send(core, now, Some(conn));
        }
    }

    pub(super) fn handle_second(
        &mut self,
        core: &mut Core,
        now: Instant,
        from: ConnId,
        attempt: Attempt,
        message: &[u8],
    ) {
        let Stage::Calling(call) = &mut self.stage else { return };
        if call.attempt != attempt {
            return;
        }
        match call.handle_second(now, message) {
            (Answer::Nothing, _) => {}
            (Answer::Forged, _) => {
                core.counters.forged_handshakes += 1;
                self.forged = self.forged.saturating_add(1);
            }
            (Answer::Session(session), third) => {
                let peer = core.add(Peer::new(now, Wire::new(attempt, *session, from, true), self.invite));
                call.proves(peer, &third);
                self.timers.set(GuestTimer::Attempt, now + ATTEMPT);
                call.send(core, now, None);
            }
        }
    }

    /// The host does not speak this suite; it could say so because it holds the invite.
    pub(super) fn handle_refused(
        &mut self,
        core: &mut Core,
        now: Instant,
        attempt: &Attempt,
        tag: &DoorTag,
        suite: u8,
    ) {
        if let Stage::Calling(call) = &self.stage
            && call.is_refused(&self.callee.door, attempt, suite, tag)
        {
            self.close();
            core.end(now, End::SuiteRefused { suite }, None);
        }
    }

    /// Something authentic came: perhaps the acknowledgement of the knock, which alone makes sure that the host knows of it.
    pub(super) fn check_knock(&mut self, core: &mut Core) {
        if let Stage::Knocking { peer: no } = self.stage
            && let Some(peer) = core.peers.get(&no)
            && peer.is_drained()
        {
            self.stage = Stage::Reached { peer: no };
            self.timers.clear();
            core.events.extend(peer.identity.map(|identity| Event::Reached { peer: no, identity }));
        }
    }

    /// A host that has fallen silent before admitting us may have forgotten us: knock again.
    pub(super) fn check_silence(&mut self, core: &mut Core, now: Instant) {
        if let Stage::Reached { peer } = self.stage
            && core.peers.get(&peer).is_some_and(|peer| peer.phase == Phase::Waiting && peer.silent)
        {
            self.timers.set(GuestTimer::Reach, now + REACH);
            self.call_anew(core, now);
        }
    }

    /// The host speaks, and we are not in the meeting.
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
                let statement = proof_statement(false, session.remote_static(), session.hash());
                let own_statement = proof_statement(true, &core.static_key.public(), session.hash());
                let fault = if identity != self.host_identity {
                    Some(HostProof::OtherIdentity)
                } else {
                    let valid = identity.verify(PROOF_CONTEXT, &statement, &signature);
                    valid.is_err().then_some(HostProof::BadSignature)
                };
                if let Some(fault) = fault {
                    // Not a word to whoever this is: neither who we are nor what we are called.
                    core.end(now, End::WrongHost(fault), None);
                    return Ok(());
                }
                peer.identity = Some(identity);
                peer.phase = Phase::Waiting;
                peer.ping(now);
                self.stage = Stage::Knocking { peer: no };
                // As long as the host waits for the knock before it forgets this session.
                self.timers.set(GuestTimer::Attempt, now + HALF_OPEN);
                let signature = core.identity.sign(PROOF_CONTEXT, &own_statement);
                core.send(no, &Message::Proof { identity: core.identity.key(), signature });
                let name = core.name.clone();
                core.send(no, &Message::Knock { name });
                Ok(())
            }
            (Phase::Waiting, Message::Admit { your_index, meeting, secret, roster }) => {
                let own = (&core.identity.key(), &core.static_key.public(), your_index);
                let entered = Roster::enter(meeting, *roster, &self.host_identity, &self.callee.static_key, own);
                let entered = entered.map_err(|error| {
                    core.counters.bad_entries += 1;
                    Violation::Roster(error)
                })?;
                let own_static = core.static_key.public();
                let host = entered.current().host().cloned();
                let first = entered.last().clone();
                core.seat = Some(Seat::new(your_index, meeting, secret, &core.room_id, &own_static, entered));
                core.events.push_back(Event::Entered { own_index: your_index, meeting });
                if let (Some(host), Some(peer)) = (host, core.peers.get_mut(&no)) {
                    peer.phase = Phase::Member;
                    (peer.index, peer.name, peer.static_key) = (host.index, host.name.clone(), host.static_key);
                    let (identity, name, index) = (host.identity, host.name, host.index);
                    core.events.push_back(Event::Joined { peer: no, identity, name, index });
                }
                core.live_by(now, &first);
                core.greet(now, no, true);
                Ok(())
            }
            (Phase::Waiting, Message::Decline { reason }) => {
                core.end(now, End::Declined(DeclineReason::from_code(reason)), None);
                Ok(())
            }
            (_, other) => Err(Violation::OutOfPlace(other.kind())),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let resend = match &self.stage {
            Stage::Calling(call) => call.timeout(),
            _ => None,
        };
        super::keys::earliest([self.timers.next(), resend])
    }

    pub(super) fn handle_timeout(&mut self, core: &mut Core, now: Instant) {
        if let Stage::Calling(call) = &mut self.stage
            && call.is_due(now)
        {
            call.send(core, now, None);
        }
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                GuestTimer::Attempt => self.call_anew(core, now),
                GuestTimer::Reach => {
                    self.close();
                    core.end(now, End::NoAnswer { forged: self.forged }, None);
                }
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.stage = Stage::Over;
        self.timers.clear();
    }
}
