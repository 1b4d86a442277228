//! Reliable, ordered delivery over a sealed session, across a relay that may lose, repeat or reorder, and across a change
//! of relay connections.
//!
//! The plaintext of a session message is `acknowledged(8) ‖ sequence(8) ‖ length(2) ‖ message ‖ zeros`:
//!
//! * `sequence` counts the speaker's ordered messages from 1. 0 marks a plaintext outside the order: a bare acknowledgement
//!   when `length` is 0, else a ping or pong, which is never repeated.
//! * `acknowledged` is the highest sequence number up to which the speaker has everything.
//! * Zeros fill up to a multiple of 128 bytes (of 1024 from 1024 on), so that the relay cannot tell a muted microphone from
//!   an ICE candidate by its size.
//!
//! Up to [`WINDOW`] messages are under way at a time. What is not acknowledged is sent again after 1 s, doubling to 8 s, and
//! at once after a reconnect; each time sealed anew under a fresh nonce, so that a replayed ciphertext is always refused.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::timers::{RESEND_FIRST, RESEND_MOST};
use crate::crypto::session::{Session, SessionError};

/// Ordered messages under way at a time, and the furthest ahead of order that one may arrive.
pub const WINDOW: usize = 32;
/// Ordered messages waiting for acknowledgement, under way or not.
pub const MAX_QUEUE: usize = 256;
/// Longest message in bytes.
pub const MAX_MESSAGE: usize = 32 * 1024;

const HEADER: usize = 18;
/// Unordered messages waiting to be sent; more are dropped.
const MAX_UNORDERED: usize = 8;

/// What went wrong with a session message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It did not open: forged, damaged, replayed. It is dropped, and the session goes on.
    #[error("a session message did not open: {0}")]
    NotAuthentic(SessionError),
    /// It came from the peer and breaks the rules of this layer.
    #[error("a peer broke the rules of delivery: {0}")]
    Violation(&'static str),
    /// The peer has not acknowledged for so long that the queue is full.
    #[error("too many messages wait for acknowledgement")]
    QueueFull,
    /// A message longer than [`MAX_MESSAGE`].
    #[error("the message is too long")]
    TooLong,
    /// Nothing more can be sealed in this session.
    #[error("the session can seal no more: {0}")]
    Unusable(SessionError),
}

/// What one session message brought.
#[derive(Default)]
pub(crate) struct Received {
    /// It was sealed after everything that has come so far: where it came from is where the peer is now.
    pub(crate) newest: bool,
    /// Messages now due, in order.
    pub(crate) ordered: Vec<Zeroizing<Vec<u8>>>,
    /// A message outside the order.
    pub(crate) unordered: Option<Zeroizing<Vec<u8>>>,
}

struct Outgoing {
    sequence: u64,
    message: Zeroizing<Vec<u8>>,
}

/// One side of a session.
pub(crate) struct Link {
    session: Session,
    /// Highest nonce that opened.
    newest_nonce: Option<u64>,
    /// Sequence number of the next message to be queued.
    next: u64,
    /// Queued and not acknowledged, in order.
    queue: VecDeque<Outgoing>,
    /// How many at the front of `queue` have been sent since the last resend.
    under_way: usize,
    unordered: VecDeque<Zeroizing<Vec<u8>>>,
    resend_at: Option<Instant>,
    pause: Duration,
    /// Sequence number of the next message to be delivered.
    expected: u64,
    /// Ahead of their turn.
    early: BTreeMap<u64, Zeroizing<Vec<u8>>>,
    acknowledge: bool,
}

impl Link {
    pub(crate) fn new(session: Session) -> Self {
        Self {
            session,
            newest_nonce: None,
            next: 1,
            queue: VecDeque::new(),
            under_way: 0,
            unordered: VecDeque::new(),
            resend_at: None,
            pause: RESEND_FIRST,
            expected: 1,
            early: BTreeMap::new(),
            acknowledge: false,
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Queues a message for ordered delivery.
    pub(crate) fn send(&mut self, message: Zeroizing<Vec<u8>>) -> Result<(), LinkError> {
        if message.len() > MAX_MESSAGE {
            return Err(LinkError::TooLong);
        }
        if self.queue.len() >= MAX_QUEUE {
            return Err(LinkError::QueueFull);
        }
        self.queue.push_back(Outgoing { sequence: self.next, message });
        self.next += 1;
        Ok(())
    }

    /// Sends a message once, outside the order.
    pub(crate) fn send_unordered(&mut self, message: Zeroizing<Vec<u8>>) {
        if self.unordered.len() < MAX_UNORDERED {
            self.unordered.push_back(message);
        }
    }

    /// Everything queued has been acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes a sealed session message in.
    pub(crate) fn handle(&mut self, now: Instant, sealed: &[u8]) -> Result<Received, LinkError> {
        let plaintext = Zeroizing::new(self.session.open(sealed).map_err(LinkError::NotAuthentic)?);
        let (acknowledged, sequence, message) = unpack(&plaintext)?;
        if acknowledged >= self.next {
            return Err(LinkError::Violation("something that was never sent is acknowledged"));
        }
        let mut received = Received { newest: self.is_newest(sealed), ..Received::default() };
        self.take_acknowledgement(now, acknowledged);
        if sequence == 0 {
            received.unordered = (!message.is_empty()).then(|| Zeroizing::new(message.to_vec()));
            return Ok(received);
        }
        if message.is_empty() {
            return Err(LinkError::Violation("an ordered message is empty"));
        }
        if sequence >= self.expected.saturating_add(WINDOW as u64) {
            return Err(LinkError::Violation("a message is too far ahead"));
        }
        self.acknowledge = true;
        if sequence >= self.expected {
            self.early.entry(sequence).or_insert_with(|| Zeroizing::new(message.to_vec()));
            while let Some(message) = self.early.remove(&self.expected) {
                received.ordered.push(message);
                self.expected += 1;
            }
        }
        Ok(received)
    }

    /// The next session message to be sent, sealed. Call until `None` after every other call.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Result<Option<Vec<u8>>, LinkError> {
        let sealed = if self.under_way < self.queue.len().min(WINDOW) {
            let Outgoing { sequence, message } = &self.queue[self.under_way];
            let plaintext = pack(self.expected - 1, *sequence, message);
            self.under_way += 1;
            if self.resend_at.is_none() {
                self.resend_at = Some(now + self.pause);
            }
            self.session.seal(&plaintext)
        } else if let Some(message) = self.unordered.pop_front() {
            self.session.seal(&pack(self.expected - 1, 0, &message))
        } else if self.acknowledge {
            self.session.seal(&pack(self.expected - 1, 0, &[]))
        } else {
            return Ok(None);
        };
        self.acknowledge = false;
        sealed.map(Some).map_err(LinkError::Unusable)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.resend_at
    }

    /// Sends what has gone unacknowledged for too long again.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.under_way = 0;
            self.resend_at = None;
            self.pause = (self.pause * 2).min(RESEND_MOST);
        }
    }

    /// The way to the peer is a new one: sends everything unacknowledged again, now.
    pub(crate) fn resend(&mut self) {
        self.under_way = 0;
        self.resend_at = None;
        self.pause = RESEND_FIRST;
    }

    fn take_acknowledgement(&mut self, now: Instant, acknowledged: u64) {
        let before = self.queue.len();
        while self.queue.front().is_some_and(|outgoing| outgoing.sequence <= acknowledged) {
            self.queue.pop_front();
        }
        let done = before - self.queue.len();
        if done == 0 {
            return;
        }
        self.under_way = self.under_way.saturating_sub(done);
        self.pause = RESEND_FIRST;
        self.resend_at = (self.under_way > 0).then(|| now + self.pause);
    }

    /// The nonce stands in clear in front of the ciphertext and has just been authenticated with it.
    fn is_newest(&mut self, sealed: &[u8]) -> bool {
        let nonce = sealed.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
        let newest = nonce > self.newest_nonce;
        if newest {
            self.newest_nonce = nonce;
        }
        newest
    }
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(if length < 1024 { 128 } else { 1024 })
}

fn pack(acknowledged: u64, sequence: u64, message: &[u8]) -> Zeroizing<Vec<u8>> {
    // The whole length at once: a vector that grows leaves copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(padded(HEADER + message.len())));
    out.extend(acknowledged.to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend((message.len() as u16).to_be_bytes());
    out.extend(message);
    out.resize(padded(HEADER + message.len()), 0);
    out
}

fn unpack(plaintext: &[u8]) -> Result<(u64, u64, &[u8]), LinkError> {
    const SHORT: LinkError = LinkError::Violation("a session message is cut short");
    let (acknowledged, rest) = plaintext.split_first_chunk::<8>().ok_or(SHORT)?;
    let (sequence, rest) = rest.split_first_chunk::<8>().ok_or(SHORT)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(SHORT)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (message, padding) = rest.split_at_checked(length).ok_or(SHORT)?;
    if length > MAX_MESSAGE || plaintext.len() != padded(HEADER + length) || padding.iter().any(|byte| *byte != 0) {
        return Err(LinkError::Violation("a session message is not padded as it should be"));
    }
    Ok((u64::from_be_bytes(*acknowledged), u64::from_be_bytes(*sequence), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::Seeded;
    use crate::crypto::handshake::{Initiator, Responder, StaticKey};
    use crate::crypto::secret::Secret;

    fn pair() -> (Link, Link) {
        let mut entropy = Seeded(1);
        let (a, b) = (StaticKey::from_entropy(&mut entropy), StaticKey::from_entropy(&mut entropy));
        let psk = Secret::new([1; 32]);
        let (mut initiator, first) = Initiator::start(b"p", &a, &b.public(), &psk, &mut entropy).unwrap();
        let (mut responder, second) = Responder::handle_first(b"p", &b, &psk, &first, &mut entropy).unwrap();
        let (session, third) = initiator.handle_second(&second).unwrap();
        (Link::new(session), Link::new(responder.handle_third(&third).unwrap()))
    }

    fn message(number: u32) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(number.to_be_bytes().to_vec())
    }

    fn drain(link: &mut Link, now: Instant) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| link.poll_transmit(now).unwrap()).collect()
    }

    #[test]
    fn messages_come_once_and_in_order_whatever_order_they_arrive_in() {
        let (now, (mut a, mut b)) = (Instant::now(), pair());
        (0..20).for_each(|number| a.send(message(number)).unwrap());
        let mut sealed = drain(&mut a, now);
        sealed.reverse();
        let again = sealed.clone();
        let mut got = Vec::new();
        for bytes in &sealed {
            got.extend(b.handle(now, bytes).unwrap().ordered);
        }
        assert_eq!(got, (0..20).map(message).collect::<Vec<_>>());
        for bytes in &again {
            let replayed = b.handle(now, bytes).err();
            assert_eq!(replayed, Some(LinkError::NotAuthentic(SessionError::Replayed)));
        }
        // One acknowledgement answers them all.
        let answers = drain(&mut b, now);
        assert_eq!(answers.len(), 1);
        a.handle(now, &answers[0]).unwrap();
        assert!(a.is_drained() && a.timeout().is_none());
        assert!(drain(&mut a, now).is_empty(), "an acknowledgement is not acknowledged");
    }

    #[test]
    fn what_is_lost_is_sent_again_after_1_2_4_8_and_8_seconds() {
        let (start, (mut a, mut b)) = (Instant::now(), pair());
        a.send(message(1)).unwrap();
        assert_eq!(drain(&mut a, start).len(), 1);
        let mut now = start;
        for pause in [1, 2, 4, 8, 8] {
            let due = a.timeout().unwrap();
            assert_eq!(due - now, Duration::from_secs(pause));
            a.handle_timeout(due - Duration::from_millis(1));
            assert!(drain(&mut a, due).is_empty());
            now = due;
            a.handle_timeout(now);
            let sealed = drain(&mut a, now);
            assert_eq!(sealed.len(), 1);
            let expected = usize::from(pause == 1);
            assert_eq!(b.handle(now, &sealed[0]).unwrap().ordered.len(), expected, "delivered once");
            assert!(b.early.is_empty(), "nothing is kept of what was delivered");
        }
        a.resend();
        assert_eq!(drain(&mut a, now).len(), 1, "at once after a reconnect");
    }

    #[test]
    fn the_window_and_the_queue_are_bounded() {
        let (now, (mut a, mut b)) = (Instant::now(), pair());
        (0..MAX_QUEUE as u32).for_each(|number| a.send(message(number)).unwrap());
        assert_eq!(a.send(message(0)), Err(LinkError::QueueFull));
        assert_eq!(a.send(Zeroizing::new(vec![1; MAX_MESSAGE + 1])), Err(LinkError::TooLong));
        (0..20).for_each(|number| a.send_unordered(message(number)));
        let sealed = drain(&mut a, now);
        assert_eq!(sealed.len(), WINDOW + MAX_UNORDERED);
        // All the rest follows as the first ones are acknowledged, each one once.
        let (mut got, mut sealed) = (0, sealed);
        while !sealed.is_empty() {
            for bytes in sealed.drain(..) {
                got += b.handle(now, &bytes).unwrap().ordered.len();
            }
            for bytes in drain(&mut b, now) {
                a.handle(now, &bytes).unwrap();
            }
            sealed = drain(&mut a, now);
        }
        assert_eq!(got, MAX_QUEUE);
        assert!(a.is_drained());
    }

    #[test]
    fn messages_of_like_size_cannot_be_told_apart() {
        let (now, (mut a, _)) = (Instant::now(), pair());
        let mut length = |bytes: usize| {
            a.send(Zeroizing::new(vec![1; bytes])).unwrap();
            drain(&mut a, now)[0].len()
        };
        assert_eq!(length(2), length(110));
        assert_eq!(length(111), length(200));
        assert_eq!(length(1100), length(2000));
    }

    #[test]
    fn only_the_newest_message_says_where_a_peer_is() {
        let (now, (mut a, mut b)) = (Instant::now(), pair());
        (0..3).for_each(|number| a.send(message(number)).unwrap());
        let sealed = drain(&mut a, now);
        assert!(b.handle(now, &sealed[0]).unwrap().newest);
        assert!(b.handle(now, &sealed[2]).unwrap().newest);
        assert!(!b.handle(now, &sealed[1]).unwrap().newest, "it was held up");
    }

    #[test]
    fn damaged_bytes_change_nothing() {
        let (now, (mut a, mut b)) = (Instant::now(), pair());
        a.send(message(7)).unwrap();
        let sealed = drain(&mut a, now).remove(0);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(matches!(b.handle(now, &damaged), Err(LinkError::NotAuthentic(_))), "byte {at}");
            assert!(b.handle(now, &sealed[..at]).is_err());
        }
        assert_eq!(b.handle(now, &sealed).unwrap().ordered, [message(7)]);
    }
}
