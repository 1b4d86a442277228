//! A handshake that this side began: the same bytes again until they are answered, and a new attempt when they are not.

use std::time::Instant;

use super::core::Core;
use super::event::{ConnId, PeerNo, Transmit};
use crate::crypto::entropy::Entropy;
use crate::crypto::handshake::{HandshakeError, Initiator, StaticKey};
use crate::crypto::session::Session;
use crate::protocol::envelope::{Attempt, DoorKey, DoorTag, Envelope, Roles, SUITE_NUMBER, prologue};
use crate::protocol::timers::{HANDSHAKE_RESEND, RateLimit};

/// Answers at once, and a second, that are looked at. Each forged one costs a decapsulation.
const ANSWERS_BURST: u32 = 32;
const ANSWERS_PER_SECOND: u32 = 16;

/// Whom to call, and how: what stays the same over all attempts.
pub(super) struct Callee {
    pub(super) static_key: [u8; 32],
    pub(super) door: DoorKey,
    pub(super) roles: Roles,
}

enum Stage {
    /// The first message is ready, or out and unanswered.
    Calling { initiator: Box<Initiator>, first: Vec<u8> },
    /// The handshake is done for us; the other has yet to get the third message and to prove its identity.
    Proving { peer: PeerNo, third: Vec<u8> },
}

/// One attempt.
pub(super) struct Call {
    pub(super) attempt: Attempt,
    stage: Stage,
    resend: Option<Instant>,
    answers: RateLimit,
}

/// What came of an answer.
pub(super) enum Answer {
    /// Not ours, or not to be looked at now.
    Nothing,
    /// It did not open.
    Forged,
    /// The session; the third message goes out with the next [`Call::send`].
    Session(Box<Session>),
}

impl Call {
    /// A first message with fresh keys, under a fresh attempt.
    pub(super) fn draw(
        callee: &Callee,
        room_id: &[u8; 32],
        own: &StaticKey,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, HandshakeError> {
        let mut attempt = [0; 8];
        entropy.fill(&mut attempt);
        let prologue = prologue(room_id, callee.roles);
        let (initiator, message) = Initiator::start(&prologue, own, &callee.static_key, callee.door.psk(), entropy)?;
        let tag = callee.door.tag(&attempt, SUITE_NUMBER, &message);
        let first = Envelope::First { attempt, tag, suite: SUITE_NUMBER, message: &message }.to_bytes();
        let stage = Stage::Calling { initiator: Box::new(initiator), first };
        Ok(Self { attempt, stage, resend: None, answers: RateLimit::new(ANSWERS_BURST, ANSWERS_PER_SECOND) })
    }

    pub(super) fn is_calling(&self) -> bool {
        matches!(self.stage, Stage::Calling { .. })
    }

    /// The session under way, once there is one.
    pub(super) fn proving(&self) -> Option<PeerNo> {
        match &self.stage {
            Stage::Proving { peer, .. } => Some(*peer),
            Stage::Calling { .. } => None,
        }
    }

    /// Sends the handshake message that awaits an answer, the same bytes each time.
    pub(super) fn send(&mut self, core: &mut Core, now: Instant, to: Option<ConnId>) {
        let (to, payload) = match &self.stage {
            Stage::Calling { first, .. } => (to, first.clone()),
            Stage::Proving { peer, third } => (core.conn_of(*peer), third.clone()),
        };
        core.transmits.push_back(Transmit { to, payload });
        self.resend = Some(now + HANDSHAKE_RESEND);
    }

    /// Takes message 2. After a session the caller numbers it and says so by [`proves`](Self::proves).
    pub(super) fn handle_second(&mut self, now: Instant, message: &[u8]) -> (Answer, Vec<u8>) {
        let Stage::Calling { initiator, .. } = &mut self.stage else { return (Answer::Nothing, Vec::new()) };
        if !self.answers.allows(now) {
            return (Answer::Nothing, Vec::new());
        }
        match initiator.handle_second(message) {
            Ok((session, third)) => (Answer::Session(Box::new(session)), third),
            Err(_) => (Answer::Forged, Vec::new()),
        }
    }

    pub(super) fn proves(&mut self, peer: PeerNo, third: &[u8]) {
        let third = Envelope::Third { attempt: self.attempt, message: third }.to_bytes();
        self.stage = Stage::Proving { peer, third };
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.resend
    }

    /// Whether it is time to repeat.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.resend.is_some_and(|at| at <= now)
    }

    /// Whether a refusal answers this call.
    pub(super) fn is_refused(&self, door: &DoorKey, attempt: &Attempt, suite: u8, tag: &DoorTag) -> bool {
        self.is_calling() && self.attempt == *attempt && door.accepts_refusal(attempt, suite, tag)
    }
}
