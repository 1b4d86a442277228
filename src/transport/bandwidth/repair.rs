//! Packets sent, kept for a while in case they must be sent again (RFC 4588). Pure and bounded.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};

use super::{Packet, Stream};

/// Video packets kept.
const KEPT: usize = 1024;
/// Packets that wait to be sent again; what is asked for beyond that is not sent.
const MAX_WAITING: usize = 256;
/// A packet asked for is worth nothing after this.
const MAX_AGE: Duration = Duration::from_millis(500);
/// A packet is not sent again within this time, however often it is asked for: its copy is still on the way.
const AGAIN: Duration = Duration::from_millis(15);

/// The copies, and what of them is to be sent again.
pub(super) struct Repair {
    kept: VecDeque<(Packet, Option<Instant>)>,
    waiting: VecDeque<(u16, Instant)>,
    sequence: u16,
    filler: usize,
}

impl Repair {
    pub(super) fn new() -> Self {
        Self { kept: VecDeque::new(), waiting: VecDeque::new(), sequence: 0, filler: 0 }
    }

    /// A video packet left.
    pub(super) fn on_sent(&mut self, packet: &Packet) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((packet.clone(), None));
        self.filler = 0;
    }

    /// Nothing waits to be sent again.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// There is something to fill up a probe with.
    pub(super) fn can_fill(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The peer misses the packet with this number.
    pub(super) fn on_missing(&mut self, now: Instant, sequence: u16) {
        let asked = self.waiting.iter().any(|(waiting, _)| *waiting == sequence);
        if asked || self.waiting.len() >= MAX_WAITING {
            return;
        }
        let Some(at) = self.index(sequence) else { return };
        let (_, again) = &mut self.kept[at];
        if again.is_some_and(|again| now.saturating_duration_since(again) < AGAIN) {
            return;
        }
        *again = Some(now);
        self.waiting.push_back((sequence, now));
    }

    /// Where the packet with this number is: they are kept in their order without a hole.
    fn index(&self, sequence: u16) -> Option<usize> {
        let first = self.kept.front()?.0.sequence;
        let at = usize::from(sequence.wrapping_sub(first));
        self.kept.get(at).filter(|(packet, _)| packet.sequence == sequence).map(|_| at)
    }

    /// The next retransmission.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Packet> {
        loop {
            let (sequence, since) = self.waiting.pop_front()?;
            if now.saturating_duration_since(since) > MAX_AGE {
                continue;
            }
            if let Some(at) = self.index(sequence) {
                return Some(self.copy(at));
            }
        }
    }

    /// A copy of a recent packet: it fills up a probe, and repairs a loss if there was one.
    pub(super) fn filler(&mut self) -> Option<Packet> {
        let recent = self.kept.len().min(32);
        let at = self.kept.len().checked_sub(1 + self.filler % recent.max(1))?;
        self.filler += 1;
        Some(self.copy(at))
    }

    /// RFC 4588 section 4: the original number before the original payload, on a stream of its own.
    fn copy(&mut self, at: usize) -> Packet {
        let original = &self.kept[at].0;
        let mut payload = BytesMut::with_capacity(2 + original.payload.len());
        payload.put_u16(original.sequence);
        payload.extend_from_slice(&original.payload);
        let packet = Packet {
            stream: Stream::Rtx,
            sequence: self.sequence,
            timestamp: original.timestamp,
            marker: original.marker,
            payload: payload.freeze(),
        };
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn video(sequence: u16) -> Packet {
        let payload = Bytes::from(sequence.to_be_bytes().repeat(10));
        Packet { stream: Stream::Video, sequence, timestamp: 9, marker: true, payload }
    }

    #[test]
    fn what_is_missing_is_sent_again_once_on_its_own_stream() {
        let (mut repair, now) = (Repair::new(), Instant::now());
        for n in 0..2000u16 {
            repair.on_sent(&video(n.wrapping_add(65_000)));
        }
        for sequence in [600, 600, 500, 65_000] {
            repair.on_missing(now, sequence);
        }
        let sent: Vec<Packet> = std::iter::from_fn(|| repair.poll(now)).collect();
        assert_eq!(sent.iter().map(|p| p.sequence).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((sent[1].stream, &sent[1].payload[..4]), (Stream::Rtx, &[1, 244, 1, 244][..]));
        repair.on_missing(now + Duration::from_millis(5), 600);
        assert!(repair.is_empty(), "its copy is under way");
        repair.on_missing(now + Duration::from_millis(50), 600);
        assert!(!repair.is_empty());
        assert!(repair.poll(now + Duration::from_secs(1)).is_none(), "too late to be of use");
    }

    #[test]
    fn a_peer_that_asks_for_everything_gets_a_bounded_part() {
        let (mut repair, now) = (Repair::new(), Instant::now());
        for n in 0..1000u16 {
            repair.on_sent(&video(n));
        }
        for sequence in 0..=u16::MAX {
            repair.on_missing(now, sequence);
        }
        assert_eq!(std::iter::from_fn(|| repair.poll(now)).count(), MAX_WAITING);
    }
}
