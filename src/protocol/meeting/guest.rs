//! The guest's way in: call, check who answers, knock, wait.

use std::time::Instant;

use super::event::{ConnId, End, Event, HostProof, MeetingError, PeerNo, Transmit, Violation};
use super::members::Core;
use super::peer::{Peer, Phase};
use crate::crypto::handshake::{Initiator, StaticKey};
use crate::crypto::identity::IdentityKey;
use crate::protocol::envelope::{Attempt, DoorKey, Envelope, PROOF_CONTEXT, prologue, proof_statement};
use crate::protocol::invite::{Invite, InviteId};
use crate::protocol::timers::{ATTEMPT, HALF_OPEN, HANDSHAKE_RESEND, REACH, RateLimit, Timers};
use crate::protocol::wire::{DeclineReason, LeaveReason, Message};

/// Answers at once, and a second, that are looked at. Each forged one costs a decapsulation.
const ANSWERS_BURST: u32 = 32;
const ANSWERS_PER_SECOND: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum GuestTimer {
    /// Repeat the handshake message.
    Resend,
    /// This attempt leads nowhere.
    Attempt,
    /// The host cannot be reached.
    Reach,
}

enum Stage {
    /// The first message is ready, or out and unanswered.
    Calling { attempt: Attempt, initiator: Box<Initiator>, first: Vec<u8> },
    /// The handshake is done for us; the host has yet to get the third message and to prove its identity.
    Proving { peer: PeerNo, third: Vec<u8> },
    /// The host has proven its identity; it has yet to acknowledge our proof and knock.
    Knocking { peer: PeerNo },
    /// In the lobby or beyond.
    Reached { peer: PeerNo },
    /// Nothing is to be done any more.
    Over,
}

pub(super) struct Approach {
    static_key: StaticKey,
    host_identity: IdentityKey,
    host_static: [u8; 32],
    invite: InviteId,
    pub(super) room_id: [u8; 32],
    prologue: Vec<u8>,
    door: DoorKey,
    stage: Stage,
    /// The relay has been reached once, and the time runs.
    begun: bool,
    timers: Timers<GuestTimer>,
    answers: RateLimit,
    forged: u32,
}

impl Approach {
    pub(super) fn new(core: &mut Core, invite: &Invite) -> Result<Self, MeetingError> {
        if invite.host_identity == core.identity.key() {
            return Err(MeetingError::OwnInvite);
        }
        let room_id = invite.room_id();
        let static_key = StaticKey::from_entropy(core.entropy.as_mut());
        let prologue = prologue(&room_id);
        let door = DoorKey::new(&invite.secret, &room_id);
        let stage = draw(core, &static_key, &invite.host_static, &prologue, &door)?;
        Ok(Self {
            static_key,
            host_identity: invite.host_identity,
            host_static: invite.host_static,
            invite: invite.invite_id,
            room_id,
            prologue,
            door,
            stage,
            begun: false,
            timers: Timers::new(),
            answers: RateLimit::new(ANSWERS_BURST, ANSWERS_PER_SECOND),
            forged: 0,
        })
    }

    /// Begins again, with a handshake that has nothing in common with the one before.
    fn call_anew(&mut self, core: &mut Core, now: Instant) {
        if let Stage::Proving { peer, .. } | Stage::Knocking { peer } | Stage::Reached { peer } = self.stage {
            core.peers.remove(&peer);
        }
        match draw(core, &self.static_key, &self.host_static, &self.prologue, &self.door) {
            Ok(stage) => self.stage = stage,
            // What worked at the start does not fail now; and if it does, the deadline for reaching the host stands.
            Err(_) => return,
        }
        self.timers.stop(GuestTimer::Attempt);
        self.send_handshake(core, now, None);
    }

    /// Sends the handshake message that awaits an answer, the same bytes each time.
    fn send_handshake(&mut self, core: &mut Core, now: Instant, to: Option<ConnId>) {
        let (to, payload) = match &self.stage {
            Stage::Calling { first, .. } => (to, first.clone()),
            Stage::Proving { peer, third } => (core.peers.get(peer).and_then(|peer| peer.conn), third.clone()),
            Stage::Knocking { .. } | Stage::Reached { .. } | Stage::Over => return,
        };
        core.transmits.push_back(Transmit { to, payload });
        self.timers.set(GuestTimer::Resend, now + HANDSHAKE_RESEND);
    }

    pub(super) fn handle_relay_up(&mut self, core: &mut Core, now: Instant) {
        if !std::mem::replace(&mut self.begun, true) {
            self.timers.set(GuestTimer::Reach, now + REACH);
        }
        self.send_handshake(core, now, None);
    }

    /// Somebody came into the room: perhaps the host.
    pub(super) fn handle_relay_arrived(&mut self, core: &mut Core, now: Instant, conn: ConnId) {
        if self.begun && matches!(self.stage, Stage::Calling { .. }) {
            self.send_handshake(core, now, Some(conn));
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
        let Stage::Calling { attempt: own, initiator, .. } = &mut self.stage else { return };
        if *own != attempt || !self.answers.allows(now) {
            return;
        }
        let Ok((session, third)) = initiator.handle_second(message) else {
            core.counters.forged_handshakes += 1;
            self.forged = self.forged.saturating_add(1);
            return;
        };
        let peer = core.add(Peer::new(now, attempt, session, from, self.invite));
        let third = Envelope::Third { attempt, message: &third }.to_bytes();
        self.stage = Stage::Proving { peer, third };
        self.timers.set(GuestTimer::Attempt, now + ATTEMPT);
        self.send_handshake(core, now, None);
    }

    /// Something authentic came: perhaps the acknowledgement of the knock, which alone makes sure that the host knows of it.
    pub(super) fn check_knock(&mut self, core: &mut Core) {
        if let Stage::Knocking { peer: no } = self.stage
            && let Some(peer) = core.peers.get(&no)
            && peer.link.is_drained()
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
                let session = peer.link.session();
                let statement = proof_statement(false, session.remote_static(), session.hash());
                let own_statement = proof_statement(true, &self.static_key.public(), session.hash());
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
                self.timers.stop(GuestTimer::Resend);
                // As long as the host waits for the knock before it forgets this session.
                self.timers.set(GuestTimer::Attempt, now + HALF_OPEN);
                let signature = core.identity.sign(PROOF_CONTEXT, &own_statement);
                core.send(no, &Message::Proof { identity: core.identity.key(), signature });
                let name = core.name.clone();
                core.send(no, &Message::Knock { name });
                Ok(())
            }
            (Phase::Waiting, Message::Admit { name, your_index, my_index, meeting }) => {
                if your_index == my_index {
                    return Err(Violation::IndexCollision);
                }
                peer.name = name;
                core.own_index = your_index;
                core.admit(now, no, my_index, meeting);
                Ok(())
            }
            (Phase::Waiting, Message::Decline { reason }) => {
                core.end(now, End::Declined(DeclineReason::from_code(reason)), None);
                Ok(())
            }
            (_, other) => Err(Violation::OutOfPlace(other.kind())),
        }
    }

    /// The engine gives a host up that has fallen silent.
    pub(super) fn drop_host(&mut self, core: &mut Core, now: Instant) {
        core.end(now, End::HostLost, Some(LeaveReason::Dropped));
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(super) fn handle_timeout(&mut self, core: &mut Core, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                GuestTimer::Resend => self.send_handshake(core, now, None),
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

/// A first message with fresh keys, under a fresh attempt.
fn draw(
    core: &mut Core,
    static_key: &StaticKey,
    host_static: &[u8; 32],
    prologue: &[u8],
    door: &DoorKey,
) -> Result<Stage, MeetingError> {
    let mut attempt = [0; 8];
    core.entropy.fill(&mut attempt);
    let (initiator, message) = Initiator::start(prologue, static_key, host_static, door.psk(), core.entropy.as_mut())
        .map_err(|_| MeetingError::UnusableKey)?;
    let tag = door.tag(&attempt, &message);
    let first = Envelope::First { attempt, tag, message: &message }.to_bytes();
    Ok(Stage::Calling { attempt, initiator: Box::new(initiator), first })
}
