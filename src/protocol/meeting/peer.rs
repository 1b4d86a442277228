//! One other person: how far they have come, the session with them, and what is due with it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::event::{ConnId, PeerNo, Transmit};
use super::keys::{PeerKeys, earliest};
use crate::crypto::identity::IdentityKey;
use crate::crypto::secret::Secret;
use crate::crypto::session::Session;
use crate::protocol::envelope::{Attempt, Envelope};
use crate::protocol::invite::InviteId;
use crate::protocol::link::{Link, LinkError};
use crate::protocol::roster::{Listed, NOBODY};
use crate::protocol::timers::{HOST_QUIET, LINGER, PING, RateLimit, SILENCE, SILENCE_AFTER_LEAVING, Timers};
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
    /// In the meeting, as the roster in force says.
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
    /// Time to call a member with whom there is no session.
    Pair,
}

/// The session with a peer, and where the peer is.
pub(super) struct Wire {
    pub(super) attempt: Attempt,
    pub(super) link: Link,
    /// Where the peer is at the relay; `None`: somewhere in the room.
    pub(super) conn: Option<ConnId>,
    /// This side called.
    pub(super) called: bool,
    pings: VecDeque<(u64, Instant)>,
    next_ping: u64,
}

impl Wire {
    pub(super) fn new(attempt: Attempt, session: Session, conn: ConnId, called: bool) -> Self {
        Self { attempt, link: Link::new(session), conn: Some(conn), called, pings: VecDeque::new(), next_ping: 0 }
    }
}

pub(super) struct Peer {
    /// `None` for a member with whom there is no session (yet, or any more).
    pub(super) wire: Option<Wire>,
    pub(super) phase: Phase,
    /// Proven, from [`Phase::Proven`] on; of a member without a session as the roster has it.
    pub(super) identity: Option<IdentityKey>,
    pub(super) name: String,
    pub(super) index: u16,
    /// Of a member, as the roster has it.
    pub(super) static_key: [u8; 32],
    /// Host: the invite used.
    pub(super) invite: InviteId,
    /// A session between members whose proof is still due: the member that it claims to be with.
    pub(super) claims: Option<PeerNo>,
    /// No key of ours goes there and none from there is opened: safety numbers differed, or a rule was broken.
    pub(super) stopped: bool,
    /// They said goodbye, or broke a rule; the roster may not say so yet.
    pub(super) gone: bool,
    pub(super) silent: bool,
    /// The engine no longer waits for them to be heard again.
    pub(super) given_up: bool,
    /// The members' secret that they gave us before the entry came by which they host.
    pub(super) offered: Option<Secret<32>>,
    pub(super) keys: PeerKeys,
    pub(super) timers: Timers<PeerTimer>,
    /// When something authentic last came.
    pub(super) heard: Instant,
    rate: RateLimit,
}

impl Peer {
    pub(super) fn new(now: Instant, wire: Wire, invite: InviteId) -> Self {
        let mut peer = Self::without_session(now);
        peer.wire = Some(wire);
        peer.invite = invite;
        peer.timers.set(PeerTimer::Silence, now + SILENCE);
        peer
    }

    /// A member that the roster names.
    pub(super) fn listed(now: Instant, listed: &Listed) -> Self {
        Self {
            phase: Phase::Member,
            identity: Some(listed.identity),
            name: listed.name.clone(),
            index: listed.index,
            static_key: listed.static_key,
            ..Self::without_session(now)
        }
    }

    fn without_session(now: Instant) -> Self {
        Self {
            wire: None,
            phase: Phase::Proving,
            identity: None,
            name: String::new(),
            index: NOBODY,
            static_key: [0; 32],
            invite: [0; 8],
            claims: None,
            stopped: false,
            gone: false,
            silent: false,
            given_up: false,
            offered: None,
            keys: PeerKeys::new(),
            timers: Timers::new(),
            heard: now,
            rate: RateLimit::new(BURST, PER_SECOND),
        }
    }

    /// Still wanted: knocking, in the lobby or in the meeting.
    pub(super) fn is_live(&self) -> bool {
        self.phase != Phase::Closing
    }

    /// The member that an entry lists under our number for it is this one, and not somebody whom another branch let in.
    pub(super) fn is_listed_as(&self, listed: &Listed) -> bool {
        self.index == listed.index && self.static_key == listed.static_key && self.identity == Some(listed.identity)
    }

    pub(super) fn is_member(&self) -> bool {
        self.phase == Phase::Member
    }

    /// A member to whom something can be said.
    pub(super) fn is_paired(&self) -> bool {
        self.is_member() && !self.gone && self.wire.is_some()
    }

    /// Queues a message. Errors: its text is out of bounds, or the peer acknowledges nothing. Without a session nothing
    /// happens: what matters is said when there is one.
    pub(super) fn send(&mut self, message: &Message) -> Result<(), SendError> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        let bytes = message.encode().map_err(SendError::Wire)?;
        if message.is_unordered() {
            wire.link.send_unordered(bytes);
            return Ok(());
        }
        wire.link.send(bytes).map_err(SendError::Link)
    }

    /// Something authentic came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.given_up = false;
        self.timers.set(PeerTimer::Silence, now + SILENCE);
    }

    /// Nothing has been heard for a while.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        self.gone || now.saturating_duration_since(self.heard) >= HOST_QUIET
    }

    /// Nothing has been heard for so long that nothing more is to be expected.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.gone || self.silent || now.saturating_duration_since(self.heard) >= SILENCE
    }

    /// The relay says that the peer's connection is gone. It may be back under another number, so this hastens and no more.
    pub(super) fn connection_gone(&mut self, now: Instant, conn: ConnId) {
        let Some(wire) = self.wire.as_mut().filter(|wire| wire.conn == Some(conn)) else { return };
        wire.conn = None;
        if self.is_live() && !self.silent {
            self.timers.hasten(PeerTimer::Silence, now + SILENCE_AFTER_LEAVING);
        }
    }

    /// Our own connection is new: we do not know where anybody is.
    pub(super) fn connection_new(&mut self, now: Instant) {
        let Some(wire) = &mut self.wire else { return };
        wire.conn = None;
        wire.link.resend();
        // Even with nothing to say: so the peer learns where we are.
        if self.is_live() {
            self.ping(now);
        }
    }

    pub(super) fn allows(&mut self, now: Instant) -> bool {
        self.rate.allows(now)
    }

    pub(super) fn ping(&mut self, now: Instant) {
        self.timers.set(PeerTimer::Ping, now + PING);
        let Some(wire) = &mut self.wire else { return };
        let token = wire.next_ping;
        wire.next_ping += 1;
        if wire.pings.len() >= MAX_PINGS {
            wire.pings.pop_front();
        }
        wire.pings.push_back((token, now));
        // A ping has no text that could be out of bounds.
        let _ = self.send(&Message::Ping { token });
    }

    /// How long the ping with this token was on its way there and back.
    pub(super) fn pong(&mut self, now: Instant, token: u64) -> Option<Duration> {
        let pings = &mut self.wire.as_mut()?.pings;
        let at = pings.iter().position(|(sent, _)| *sent == token)?;
        let (_, sent) = pings.remove(at)?;
        Some(now.saturating_duration_since(sent))
    }

    /// Nothing more is wanted of this peer; what was said last is still delivered.
    pub(super) fn close(&mut self, now: Instant, goodbye: Option<Message>) {
        self.phase = Phase::Closing;
        self.timers.clear();
        self.timers.set(PeerTimer::Phase, now + LINGER);
        self.keys = PeerKeys::new();
        if let Some(message) = goodbye {
            // With a full queue nobody has been listening for long.
            let _ = self.send(&message);
        }
    }

    /// Everything said has arrived.
    pub(super) fn is_drained(&self) -> bool {
        self.wire.as_ref().is_none_or(|wire| wire.link.is_drained())
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let link = self.wire.as_ref().and_then(|wire| wire.link.timeout());
        earliest([self.timers.next(), link, self.keys.timeout()])
    }

    /// Moves everything sendable into `out`.
    pub(super) fn transmit(&mut self, now: Instant, out: &mut VecDeque<Transmit>) -> Result<(), LinkError> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        while let Some(message) = wire.link.poll_transmit(now)? {
            let payload = Envelope::Data { attempt: wire.attempt, message: &message }.to_bytes();
            out.push_back(Transmit { to: wire.conn, payload });
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
