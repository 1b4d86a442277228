//! Handshakes that others began with this side, until they are sessions.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::crypto::entropy::Entropy;
use crate::crypto::handshake::{HandshakeError, Responder, StaticKey};
use crate::crypto::session::Session;
use crate::protocol::envelope::{Attempt, DoorKey, Envelope, Roles, prologue};
use crate::protocol::invite::InviteId;
use crate::protocol::timers::HALF_OPEN;

/// Handshakes begun by guests, and by members, and not finished. With the rate of one invite, the oldest of them is four seconds old or more.
pub(super) const MAX_HALF_OPEN: usize = 32;

/// By which door somebody came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caller {
    /// By an invite.
    Guest(InviteId),
    /// By the members' secret.
    Member,
}

struct HalfOpen {
    responder: Responder,
    first: Vec<u8>,
    second: Vec<u8>,
    caller: Caller,
    since: Instant,
}

/// What a first message under an attempt already known is.
pub(super) enum Known<'a> {
    /// Not known.
    New,
    /// The same message again: the same answer goes out.
    Again(&'a [u8]),
    /// Another message under the same attempt.
    Other,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Answers {
    half_open: BTreeMap<Attempt, HalfOpen>,
}

impl Answers {
    pub(super) fn known(&self, attempt: &Attempt, first: &[u8]) -> Known<'_> {
        match self.half_open.get(attempt) {
            None => Known::New,
            Some(known) if known.first == first => Known::Again(&known.second),
            Some(_) => Known::Other,
        }
    }

    /// Answers a first message whose tag was right; gives the envelope to send back.
    #[expect(clippy::too_many_arguments, reason = "each is a different thing that a handshake needs")]
    pub(super) fn begin(
        &mut self,
        now: Instant,
        attempt: Attempt,
        room_id: &[u8; 32],
        own: &StaticKey,
        door: &DoorKey,
        caller: Caller,
        first: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, HandshakeError> {
        let roles = match caller {
            Caller::Guest(_) => Roles::HostGuest,
            Caller::Member => Roles::Members,
        };
        let (responder, message) = Responder::handle_first(&prologue(room_id, roles), own, door.psk(), first, entropy)?;
        // Guests and members do not push each other out.
        let same_door = |half_open: &HalfOpen| (half_open.caller == Caller::Member) == (caller == Caller::Member);
        let alike = || self.half_open.iter().filter(|(_, half_open)| same_door(half_open));
        if alike().count() >= MAX_HALF_OPEN {
            let oldest = alike().min_by_key(|(_, half_open)| half_open.since).map(|(attempt, _)| *attempt);
            oldest.and_then(|attempt| self.half_open.remove(&attempt));
        }
        let second = Envelope::Second { attempt, message: &message }.to_bytes();
        let half_open = HalfOpen { responder, first: first.to_vec(), second: second.clone(), caller, since: now };
        self.half_open.insert(attempt, half_open);
        Ok(second)
    }

    /// Takes message 3. `None`: no such attempt. An error changes nothing.
    pub(super) fn finish(
        &mut self,
        attempt: &Attempt,
        message: &[u8],
    ) -> Option<Result<(Session, Caller), HandshakeError>> {
        let half_open = self.half_open.get_mut(attempt)?;
        let done = half_open.responder.handle_third(message).map(|session| (session, half_open.caller));
        if done.is_ok() {
            self.half_open.remove(attempt);
        }
        Some(done)
    }

    /// Forgets what came by one invite.
    pub(super) fn forget(&mut self, invite: &InviteId) {
        self.half_open.retain(|_, half_open| half_open.caller != Caller::Guest(*invite));
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.half_open.values().map(|half_open| half_open.since + HALF_OPEN).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.half_open.retain(|_, half_open| now < half_open.since + HALF_OPEN);
    }
}
