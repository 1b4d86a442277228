//! The order in which packets leave, and how fast. Pure.
//!
//! Sound leaves at once and is only counted. Retransmissions come next, with a bounded share; then video, a frame at a
//! time. What waits is bounded in bytes and in time: a queue that would take too long takes nothing more until it is
//! short again, and then only from a key frame on, because what was left out is missing to all that follows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::repair::Repair;
use super::{Packet, Stream, WIRE_BYTES};
use crate::transport::fragment::{FragmentError, HEADER_LEN, MAX_FRAGMENTS, MAX_FRAME, MAX_PAYLOAD, split};

/// Video leaves this much faster than the estimate, so that frames larger than the mean do not wait for long.
const SPEED: f64 = 2.0;
/// What was not sent in this time is not made up for: bursts stay short.
const BURST: Duration = Duration::from_millis(6);
/// A probe's packets are to be spread evenly.
const PROBE_BURST: Duration = Duration::from_micros(1500);
/// A frame that would wait longer than this is not taken.
const LONGEST_WAIT: Duration = Duration::from_millis(300);
/// A key frame is called for when the wait is shorter than this again.
const SHORT_WAIT: Duration = Duration::from_millis(60);
const CALL_AGAIN: Duration = Duration::from_millis(500);
/// Frames not begun by this age are dropped.
const MAX_AGE: Duration = Duration::from_millis(400);
/// Bytes that may wait, whatever the rate.
const MAX_BYTES: usize = 2 << 20;
/// Share of what leaves that retransmissions may take.
const REPAIR_SHARE: f64 = 0.4;
const REPAIR_BURST: f64 = 6000.0;

/// A frame that is not cut yet.
struct Frame {
    sealed: Bytes,
    key: bool,
    timestamp: u32,
    since: Instant,
}

/// The pacer. See the module's text.
pub(super) struct Pacer {
    frames: VecDeque<Frame>,
    frames_bytes: usize,
    /// The frame that is being sent, cut.
    begun: VecDeque<Packet>,
    begun_bytes: usize,
    pieces: Vec<Bytes>,
    sequence: u16,
    number: u16,
    /// Bytes that may leave now; below zero after sound or a large packet.
    budget: f64,
    repair_budget: f64,
    filled: Option<Instant>,
    /// Frames were left out: nothing but a key frame may follow.
    broken: bool,
    /// When it was called for.
    called: Option<Instant>,
    dropped: u64,
}

/// How fast to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The estimate, bit/s.
    pub(super) bps: f64,
    /// The rate of the probe that is being sent.
    pub(super) probe_bps: Option<f64>,
    /// Bytes that may be sent before reports must come.
    pub(super) window: u64,
}

impl Pace {
    fn bytes_per_second(self) -> f64 {
        self.probe_bps.unwrap_or(self.bps * SPEED) / 8.0
    }
}

impl Pacer {
    pub(super) fn new() -> Self {
        Self {
            frames: VecDeque::new(),
            frames_bytes: 0,
            begun: VecDeque::new(),
            begun_bytes: 0,
            pieces: Vec::new(),
            sequence: 0,
            number: 0,
            budget: 0.0,
            repair_budget: REPAIR_BURST,
            filled: None,
            broken: false,
            called: None,
            dropped: 0,
        }
    }

    /// Frames left out since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes of video that wait.
    pub(super) fn waiting(&self) -> usize {
        self.frames_bytes + self.begun_bytes
    }

    /// Time until all that waits has left.
    pub(super) fn wait(&self, bps: f64) -> Duration {
        // Not at the pacer's own speed: in the long run no more than the estimate leaves.
        Duration::from_secs_f64((self.waiting() as f64 * 8.0 / bps.max(1.0)).min(60.0))
    }

    /// Takes a frame. False if there is no room: then nothing but a key frame is taken until [`Self::key_wanted`].
    pub(super) fn push(
        &mut self,
        now: Instant,
        sealed: Bytes,
        key: bool,
        timestamp: u32,
        bps: f64,
    ) -> Result<bool, FragmentError> {
        if sealed.is_empty() {
            return Err(FragmentError::Empty);
        }
        if sealed.len() > MAX_FRAME || sealed.len().div_ceil(MAX_PAYLOAD - HEADER_LEN) > MAX_FRAGMENTS {
            return Err(FragmentError::TooLarge(sealed.len()));
        }
        let wait = self.wait(bps);
        // A key frame is what all that follows needs: it is taken if it need not wait for long itself.
        let full = wait > LONGEST_WAIT || self.waiting() + sealed.len() > MAX_BYTES;
        if full || (self.broken && !(key && wait <= LONGEST_WAIT / 2)) {
            self.dropped += 1;
            self.broken = true;
            return Ok(false);
        }
        (self.broken, self.called) = (false, None);
        self.frames_bytes += sealed.len();
        self.frames.push_back(Frame { sealed, key, timestamp, since: now });
        Ok(true)
    }

    /// True when frames were left out and there is room for a key frame again: once, and again if none comes.
    pub(super) fn key_wanted(&mut self, now: Instant, bps: f64) -> bool {
        let called = self.called.is_some_and(|at| now.saturating_duration_since(at) < CALL_AGAIN);
        let wanted = self.broken && !called && self.wait(bps) <= SHORT_WAIT;
        if wanted {
            self.called = Some(now);
        }
        wanted
    }

    /// A packet left by another way: sound.
    pub(super) fn on_sent(&mut self, bytes: u32) {
        self.budget -= f64::from(bytes);
    }

    fn fill(&mut self, now: Instant, rate: f64, burst: Duration) {
        let passed = self.filled.map_or(PROBE_BURST, |at| now.saturating_duration_since(at)).as_secs_f64();
        self.filled = Some(now);
        self.budget = (self.budget + passed * rate).min(rate * burst.as_secs_f64());
        self.repair_budget = (self.repair_budget + passed * rate * REPAIR_SHARE).min(REPAIR_BURST.max(rate * 0.02));
    }

    /// The next packet to leave now. `repair` has the retransmissions, and what a probe is filled up with.
    pub(super) fn poll(&mut self, now: Instant, pace: Pace, repair: &mut Repair) -> Option<Packet> {
        let burst = if pace.probe_bps.is_some() { PROBE_BURST } else { BURST };
        self.fill(now, pace.bytes_per_second(), burst);
        self.drop_old(now);
        if self.budget <= 0.0 || pace.window == 0 {
            return None;
        }
        let packet = if self.repair_budget > 0.0 { repair.poll(now) } else { None };
        let packet = match packet {
            Some(packet) => {
                self.repair_budget -= f64::from(packet.wire_bytes());
                Some(packet)
            }
            None => self.next_video(),
        };
        let packet = packet.or_else(|| pace.probe_bps.and_then(|_| repair.filler()))?;
        self.budget -= f64::from(packet.wire_bytes());
        Some(packet)
    }

    fn next_video(&mut self) -> Option<Packet> {
        if self.begun.is_empty() {
            let frame = self.frames.pop_front()?;
            self.frames_bytes -= frame.sealed.len();
            self.cut(&frame);
        }
        let packet = self.begun.pop_front()?;
        self.begun_bytes -= packet.payload.len();
        Some(packet)
    }

    /// Numbers are given here and not before: a frame left out leaves no hole in them.
    fn cut(&mut self, frame: &Frame) {
        // The size was checked when it was taken.
        if split(&frame.sealed, frame.key, self.number, MAX_PAYLOAD, &mut self.pieces).is_err() {
            return;
        }
        self.number = self.number.wrapping_add(1);
        let last = self.pieces.len().saturating_sub(1);
        for (at, payload) in self.pieces.drain(..).enumerate() {
            self.begun_bytes += payload.len();
            self.begun.push_back(Packet {
                stream: Stream::Video,
                sequence: self.sequence,
                timestamp: frame.timestamp,
                marker: at == last,
                payload,
            });
            self.sequence = self.sequence.wrapping_add(1);
        }
    }

    /// Leaves out the frames that waited too long, up to the next key frame that did not.
    fn drop_old(&mut self, now: Instant) {
        let old = |frame: &Frame| now.saturating_duration_since(frame.since) > MAX_AGE;
        if !self.frames.front().is_some_and(old) {
            return;
        }
        while let Some(frame) = self.frames.front() {
            if frame.key && !old(frame) {
                return;
            }
            self.frames_bytes -= frame.sealed.len();
            self.frames.pop_front();
            self.dropped += 1;
        }
        self.broken = true;
    }

    /// When [`Self::poll`] has a packet, if nothing else happens.
    pub(super) fn poll_timeout(&self, pace: Pace, repair: &Repair) -> Option<Instant> {
        let idle = self.waiting() == 0 && repair.is_empty() && (pace.probe_bps.is_none() || !repair.can_fill());
        if idle || pace.window == 0 {
            return None;
        }
        // A packet's worth, so that bursts stay as short as the timer allows.
        let rate = pace.bytes_per_second().max(1.0);
        let mut short = (1.0 - self.budget).max(0.0) / rate;
        if self.waiting() == 0 && pace.probe_bps.is_none() {
            // There are but retransmissions, and these have a share of their own.
            short = short.max((1.0 - self.repair_budget) / (rate * REPAIR_SHARE));
        }
        self.filled.map(|at| at + Duration::from_secs_f64(short.min(1.0)).max(Duration::from_micros(500)))
    }
}

impl Packet {
    /// Bytes on the wire: with RTP's header, SRTP's tag, UDP's and IPv4's headers.
    pub(super) fn wire_bytes(&self) -> u32 {
        self.payload.len() as u32 + WIRE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const PACE: Pace = Pace { bps: 1e6, probe_bps: None, window: 1 << 20 };

    fn frame(bytes: usize) -> Bytes {
        Bytes::from(vec![3; bytes])
    }

    fn drain(pacer: &mut Pacer, repair: &mut Repair, from: Instant, ms: u32) -> Vec<(u32, Packet)> {
        let mut out = Vec::new();
        for at in 0..ms {
            out.extend(std::iter::from_fn(|| pacer.poll(from + at * MS, PACE, repair)).map(|packet| (at, packet)));
        }
        out
    }

    #[test]
    fn a_large_frame_leaves_evenly_at_twice_the_estimate() {
        let (mut pacer, mut repair, start) = (Pacer::new(), Repair::new(), Instant::now());
        assert_eq!(pacer.push(start, frame(25_000), true, 0, PACE.bps), Ok(true));
        let sent = drain(&mut pacer, &mut repair, start, 200);
        let last = sent.last().unwrap();
        assert!((95..125).contains(&last.0), "{}", last.0);
        assert!(last.1.marker && sent.len() == 22);
        for at in 0..190 {
            assert!(sent.iter().filter(|(t, _)| (at..at + 10).contains(t)).count() <= 4, "a burst at {at} ms");
        }
    }

    #[test]
    fn a_full_queue_takes_nothing_but_a_key_frame_when_it_is_short_again() {
        let (mut pacer, mut repair, start) = (Pacer::new(), Repair::new(), Instant::now());
        assert_eq!(pacer.push(start, frame(40_000), true, 0, PACE.bps), Ok(true), "one frame is always taken");
        assert_eq!(pacer.push(start, frame(2000), false, 1, PACE.bps), Ok(false));
        assert!(!pacer.key_wanted(start, PACE.bps));
        let sent = drain(&mut pacer, &mut repair, start, 300);
        assert_eq!(sent.len(), 35);
        let now = start + 300 * MS;
        assert!(pacer.key_wanted(now, PACE.bps) && !pacer.key_wanted(now, PACE.bps));
        assert!(pacer.key_wanted(now + CALL_AGAIN, PACE.bps), "none came: it is called for again");
        assert_eq!(pacer.push(now, frame(2000), false, 2, PACE.bps), Ok(false), "its reference is missing");
        assert_eq!(pacer.push(now, frame(2000), true, 3, PACE.bps), Ok(true));
        assert_eq!(pacer.push(now, frame(2000), false, 4, PACE.bps), Ok(true));
        let sent = drain(&mut pacer, &mut repair, now, 100);
        assert_eq!(sent[0].1.sequence, 35, "what was left out leaves no hole");
    }

    #[test]
    fn retransmissions_go_first_with_a_bounded_share_and_sound_is_counted() {
        let (mut pacer, mut repair, start) = (Pacer::new(), Repair::new(), Instant::now());
        for n in 0..30u32 {
            let _ = pacer.push(start, frame(1000), n == 0, n, PACE.bps);
        }
        for (_, packet) in drain(&mut pacer, &mut repair, start, 400) {
            repair.on_sent(&packet);
        }
        let now = start + 500 * MS;
        assert_eq!(pacer.poll(now, PACE, &mut repair), None);
        (0..30).for_each(|sequence| repair.on_missing(now, sequence));
        pacer.on_sent(10_000);
        let _ = pacer.push(now, frame(20_000), true, 99, PACE.bps);
        let sent = drain(&mut pacer, &mut repair, now, 100);
        assert!(sent[0].0 >= 30, "the sound before it is paid for: {}", sent[0].0);
        let bytes = |stream| sent.iter().filter(|(_, p)| p.stream == stream).map(|(_, p)| p.wire_bytes()).sum::<u32>();
        let (again, video) = (bytes(Stream::Rtx), bytes(Stream::Video));
        assert!(again > 5000 && video > 3000, "{again} and {video} bytes");
    }

    #[test]
    fn a_peer_that_asks_again_and_again_does_not_keep_the_timer_busy() {
        let (mut pacer, mut repair, start) = (Pacer::new(), Repair::new(), Instant::now());
        let slow = Pace { bps: 40e3, ..PACE };
        let (mut now, mut number, mut turns) = (start, 0, 0);
        while now < start + 10_000 * MS {
            if number < 200 {
                let payload = frame(1000);
                repair.on_sent(&Packet {
                    stream: Stream::Video,
                    sequence: number,
                    timestamp: 0,
                    marker: true,
                    payload,
                });
                number += 1;
            }
            (0..number).for_each(|sequence| repair.on_missing(now, sequence));
            while pacer.poll(now, slow, &mut repair).is_some() {}
            turns += 1;
            now = pacer.poll_timeout(slow, &repair).unwrap_or(now + 10 * MS).max(now);
        }
        assert!(turns < 400, "{turns} turns in ten seconds");
    }

    #[test]
    fn nothing_leaves_beyond_the_window() {
        let (mut pacer, mut repair, start) = (Pacer::new(), Repair::new(), Instant::now());
        let _ = pacer.push(start, frame(5000), true, 0, PACE.bps);
        let closed = Pace { window: 0, ..PACE };
        assert_eq!(pacer.poll(start, closed, &mut repair), None);
        assert_eq!(pacer.poll_timeout(closed, &repair), None);
        assert_eq!(pacer.push(start, Bytes::new(), true, 0, PACE.bps), Err(FragmentError::Empty));
    }
}
