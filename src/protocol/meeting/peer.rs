//! One session with one peer: where it is, how far it has come, and what is due with it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::event::{ConnId, Transmit};
use super::keys::{PeerKeys, earliest};
use crate::crypto::identity::IdentityKey;
use crate::crypto::session::Session;
use crate::protocol::envelope::{Attempt, Envelope};
use crate::protocol::invite::InviteId;
use crate::protocol::link::{Link, LinkError};
use crate::protocol::timers::{LINGER, PING, RateLimit, SILENCE, SILENCE_AFTER_LEAVING, Timers};
use crate::protocol::wire::{Message, WireError};

/// Pings whose answer is awaited.
const MAX_PINGS: usize = 8;
/// Messages at once, and a second, that a peer may send: candidates come in bursts of dozens, all else is rare.
const BURST: u32 = 512;
const PER_SECOND: u32 = 64;

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The handshake is done; the peer's identity is not proven.
    Proving,
    /// Host: proven, has not knocked. Guest: never.
    Proven,
    /// Host: knocks. Guest: in the lobby.
    Waiting,
    /// In the meeting.
    Member,
    /// Over, but for the delivery of what was said last.
    Closing,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum PeerTimer {
    /// The phase has lasted too long.
    Phase,
    /// Time for a ping.
    Ping,
    /// Nothing was heard for too long.
    Silence,
}

pub(super) struct Peer {
    pub(super) attempt: Attempt,
    pub(super) link: Link,
    /// Where the peer is at the relay; `None`: somewhere in the room.
    pub(super) conn: Option<ConnId>,
    pub(super) phase: Phase,
    /// Proven, from [`Phase::Proven`] on.
    pub(super) identity: Option<IdentityKey>,
    pub(super) name: String,
    pub(super) index: u16,
    /// Host: the invite used.
    pub(super) invite: InviteId,
    /// No key of ours goes there and none from there is opened: safety numbers differed.
    pub(super) stopped: bool,
    pub(super) silent: bool,
    pub(super) keys: PeerKeys,
    pub(super) timers: Timers<PeerTimer>,
    pings: VecDeque<(u64, Instant)>,
    next_ping: u64,
    rate: RateLimit,
}

impl Peer {
    pub(super) fn new(now: Instant, attempt: Attempt, session: Session, conn: ConnId, invite: InviteId) -> Self {
        let mut timers = Timers::new();
        timers.set(PeerTimer::Silence, now + SILENCE);
        Self {
            attempt,
            link: Link::new(session),
            conn: Some(conn),
            phase: Phase::Proving,
            identity: None,
            name: String::new(),
            index: 0,
            invite,
            stopped: false,
            silent: false,
            keys: PeerKeys::new(),
            timers,
            pings: VecDeque::new(),
            next_ping: 0,
            rate: RateLimit::new(BURST, PER_SECOND),
        }
    }

    /// Still wanted: knocking, in the lobby or in the meeting.
    pub(super) fn is_live(&self) -> bool {
        self.phase != Phase::Closing
    }

    pub(super) fn is_member(&self) -> bool {
        self.phase == Phase::Member
    }

    /// Queues a message. Errors: its text is out of bounds, or the peer acknowledges nothing.
    pub(super) fn send(&mut self, message: &Message) -> Result<(), SendError> {
        let bytes = message.encode().map_err(SendError::Wire)?;
        if message.is_unordered() {
            self.link.send_unordered(bytes);
            return Ok(());
        }
        self.link.send(bytes).map_err(SendError::Link)
    }

    /// Something authentic came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.timers.set(PeerTimer::Silence, now + SILENCE);
    }

    /// The relay says that the peer's connection is gone. It may be back under another number, so this hastens and no more.
    pub(super) fn connection_gone(&mut self, now: Instant) {
        self.conn = None;
        if self.is_live() && !self.silent {
            self.timers.hasten(PeerTimer::Silence, now + SILENCE_AFTER_LEAVING);
        }
    }

    /// Our own connection is new: we do not know where anybody is.
    pub(super) fn connection_new(&mut self, now: Instant) {
        self.conn = None;
        self.link.resend();
        // Even with nothing to say: so the peer learns where we are.
        if self.is_live() {
            self.ping(now);
        }
    }

    pub(super) fn allows(&mut self, now: Instant) -> bool {
        self.rate.allows(now)
    }

    pub(super) fn ping(&mut self, now: Instant) {
        let token = self.next_ping;
        self.next_ping += 1;
        if self.pings.len() >= MAX_PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back((token, now));
        self.timers.set(PeerTimer::Ping, now + PING);
        // A ping has no text that could be out of bounds.
        let _ = self.send(&Message::Ping { token });
    }

    /// How long the ping with this token was on its way there and back.
    pub(super) fn pong(&mut self, now: Instant, token: u64) -> Option<Duration> {
        let at = self.pings.iter().position(|(sent, _)| *sent == token)?;
        let (_, sent) = self.pings.remove(at)?;
        Some(now.saturating_duration_since(sent))
    }

    /// Nothing more is wanted of this peer; what was said last is still delivered.
    pub(super) fn close(&mut self, now: Instant, goodbye: Option<Message>) {
        self.phase = Phase::Closing;
        self.timers.clear();
        self.timers.set(PeerTimer::Phase, now + LINGER);
        self.pings.clear();
        self.keys = PeerKeys::new();
        if let Some(message) = goodbye {
            // With a full queue nobody has been listening for long.
            let _ = self.send(&message);
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        earliest([self.timers.next(), self.link.timeout(), self.keys.timeout()])
    }

    /// Moves everything sendable into `out`.
    pub(super) fn transmit(&mut self, now: Instant, out: &mut VecDeque<Transmit>) -> Result<(), LinkError> {
        while let Some(message) = self.link.poll_transmit(now)? {
            let payload = Envelope::Data { attempt: self.attempt, message: &message }.to_bytes();
            out.push_back(Transmit { to: self.conn, payload });
        }
        Ok(())
    }
}

/// Why a message was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SendError {
    Wire(WireError),
    Link(LinkError),
}
