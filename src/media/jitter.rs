//! The adaptive jitter buffer: packets come in as the network pleases and go out one every 20 ms. Pure.
//!
//! **What it measures.** A packet with sequence number *s* that arrives at time *t* has the transit *t − 20 ms · s*,
//! against the fastest packet of the last ten seconds. The spread of these is the jitter, and the *target* is the
//! delay that would have let in all but the two slowest of them, between [`MIN_TARGET`] and [`MAX_TARGET`].
//!
//! **How it grows.** When nothing is there to play, the place in the stream is held while the gap is concealed, so the
//! delay grows by just what was lacking; in near-silence it grows ahead of need.
//! **How it shrinks.** One block at a time is left out, in near-silence, or anywhere when the delay is far above the
//! target. The same rule takes up the drift between the sender's clock and ours: a faster sender fills the buffer
//! until a block is left out, a slower one empties it until one is stretched.
//!
//! Everything is bounded, whatever the numbers in the packets say: they come from a stranger.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::opus::MAX_PACKET;

/// Lower bound of the target delay.
pub const MIN_TARGET: Duration = Duration::from_millis(20);
/// Upper bound of the target delay. What arrives later than this is lost: beyond it people talk over each other.
pub const MAX_TARGET: Duration = Duration::from_millis(200);
/// Packets held at most: 1.28 s.
pub const CAPACITY: usize = 64;

/// One block of sound in microseconds.
const BLOCK_US: i64 = 20_000;
/// RTP clock ticks in one block (RFC 7587 §4.1: always 48 kHz).
const BLOCK_TICKS: u32 = 960;
/// Packets over which the spread is taken: ten seconds.
const HISTORY: usize = 500;
/// How many of the slowest packets of [`HISTORY`] the target leaves out.
const OUTLIERS: usize = 2;
/// What the target lies above the spread, so that timers that fire late do not starve the speaker.
const MARGIN_US: i64 = 5_000;
/// The target until [`SETTLED`] packets have come.
const FIRST_TARGET_US: i64 = 40_000;
/// Packets after which the measured spread is believed.
const SETTLED: usize = 50;
/// A sequence number further away than this is another stream, not another packet (RFC 3550 A.1): 1 s.
const JUMP: i64 = 50;
/// Blocks that are concealed on end before the buffer gives up and waits for the stream to come back: 0.5 s.
const MAX_DRY: u32 = 25;
/// Blocks between two changes of the delay: 0.2 s.
const CHANGE_EVERY: usize = 10;
/// What the delay must exceed the target by before a quiet block is left out.
const EXCESS_US: i64 = BLOCK_US + MARGIN_US;
/// What it must exceed the target by before any block is.
const FAR_EXCESS_US: i64 = 3 * BLOCK_US;
/// What it must exceed the target by before all of the excess is left out at once.
const ABSURD_EXCESS_US: i64 = 15 * BLOCK_US;

/// What to do for the next 20 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Decode this payload.
    Packet(Bytes),
    /// Make up for a missing block, from the redundancy in the packet after it where that is at hand.
    Conceal {
        /// The payload that follows the missing block.
        next: Option<Bytes>,
    },
    /// There is no stream just now.
    Silence,
}

/// What has happened so far, in packets or blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets handed in.
    pub received: u64,
    /// Packets handed out.
    pub played: u64,
    /// Packets that came after their place had been played, or from a place that makes no sense.
    pub late: u64,
    /// Packets that had not come when their place was played.
    pub lost: u64,
    /// Blocks made up.
    pub concealed: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Packets left out to shorten the delay.
    pub skipped: u64,
    /// Blocks put in to lengthen the delay.
    pub stretched: u64,
    /// Packets refused because they are longer than any Opus packet.
    pub refused: u64,
    /// Times the stream began anew.
    pub restarts: u64,
}

/// One sender's packets in waiting.
#[derive(Debug)]
pub struct JitterBuffer {
    origin: Option<Instant>,
    packets: BTreeMap<u64, Bytes>,
    /// The place to play next; none while the buffer fills.
    next: Option<u64>,
    highest: Option<u64>,
    /// RTP timestamp less sequence number in ticks: constant while the sender does not pause.
    ticks_offset: u32,
    /// The number that would confirm that the sender began anew.
    suspect: Option<u16>,
    /// Place and transit in microseconds of the newest packets, by arrival.
    history: VecDeque<(u64, i64)>,
    fastest: i64,
    target: i64,
    /// Delay at the newest plays, since it was last changed.
    delays: VecDeque<i64>,
    /// Blocks concealed while holding the place.
    held: u64,
    dry: u32,
    stats: JitterStats,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self {
            origin: None,
            packets: BTreeMap::new(),
            next: None,
            highest: None,
            ticks_offset: 0,
            suspect: None,
            history: VecDeque::with_capacity(HISTORY + 1),
            fastest: 0,
            target: FIRST_TARGET_US,
            delays: VecDeque::with_capacity(CHANGE_EVERY + 1),
            held: 0,
            dry: 0,
            stats: JitterStats::default(),
        }
    }

    /// Takes in a packet that arrived at `now`, with its RTP sequence number and timestamp.
    pub fn push(&mut self, now: Instant, sequence: u16, rtp_timestamp: u32, payload: Bytes) {
        self.stats.received += 1;
        if payload.is_empty() || payload.len() > MAX_PACKET {
            self.stats.refused += 1;
            return;
        }
        let Some(place) = self.place(sequence) else {
            self.stats.late += 1;
            return;
        };
        if self.packets.contains_key(&place) || self.history.iter().any(|(seen, _)| *seen == place) {
            self.stats.duplicates += 1;
            return;
        }
        // A sender that paused counts on in sequence numbers but not in time (RFC 3550 §5.1): its packets after the
        // pause say nothing about the network unless measured afresh.
        let offset = rtp_timestamp.wrapping_sub((place as u32).wrapping_mul(BLOCK_TICKS));
        if offset != self.ticks_offset {
            self.ticks_offset = offset;
            if self.packets.is_empty() {
                self.restart();
            }
        }
        let now = self.micros(now);
        self.measure(place, now);
        if self.next.is_some_and(|next| place < next) {
            self.stats.late += 1;
            return;
        }
        self.packets.insert(place, payload);
        while self.packets.len() > CAPACITY {
            self.packets.pop_first();
            self.stats.skipped += 1;
            if let (Some(next), Some((first, _))) = (&mut self.next, self.packets.first_key_value()) {
                *next = (*next).max(*first);
            }
        }
    }

    /// Says what to play in the 20 ms that begin at `now`. `quiet` tells whether what was played last was near-silence,
    /// where a block more or less is not heard.
    pub fn pop(&mut self, now: Instant, quiet: bool) -> Play {
        let now = self.micros(now);
        let Some(first) = self.packets.first_key_value().map(|(place, _)| *place) else {
            return self.starve();
        };
        let mut next = match self.next {
            Some(next) => next,
            None => {
                let full = self.packets.len() as i64 * BLOCK_US >= self.target + BLOCK_US;
                if self.delay_at(now, first) < self.target && !full {
                    return Play::Silence;
                }
                self.delays.clear();
                first
            }
        };
        if first > next {
            // Some of the missing blocks may have been concealed while the place was held.
            let gap = first - next;
            let made_up = gap.min(self.held);
            self.held -= made_up;
            next += made_up;
            self.stats.lost += made_up;
            if gap - made_up > MAX_DRY.into() {
                self.stats.lost += first - next;
                next = first;
            }
        }
        let delay = self.delay_at(now, next);
        self.delays.push_back(delay);
        if self.delays.len() > CHANGE_EVERY {
            self.delays.pop_front();
        }
        if first > next {
            self.dry = 0;
            self.stats.concealed += 1;
            if delay < self.target && self.held < MAX_DRY.into() {
                // By our own target it may still come.
                self.held += 1;
                self.next = Some(next);
                return Play::Conceal { next: None };
            }
            self.stats.lost += 1;
            self.next = Some(next + 1);
            return Play::Conceal { next: self.packets.get(&(next + 1)).cloned() };
        }
        if self.may_change() {
            let least = self.delays.iter().copied().min().unwrap_or(delay);
            if least < self.target && quiet {
                self.delays.clear();
                self.stats.stretched += 1;
                self.next = Some(next);
                return Play::Conceal { next: None };
            }
            let excess = least - self.target;
            let leave_out = if excess > ABSURD_EXCESS_US {
                excess / BLOCK_US
            } else {
                i64::from(excess > FAR_EXCESS_US || (excess > EXCESS_US && quiet))
            };
            for _ in 0..leave_out {
                if self.packets.contains_key(&(next + 1)) {
                    self.packets.remove(&next);
                    self.stats.skipped += 1;
                    self.delays.clear();
                    next += 1;
                }
            }
        }
        self.stats.stretched += self.held;
        self.held = 0;
        self.dry = 0;
        self.next = Some(next + 1);
        match self.packets.remove(&next) {
            Some(payload) => {
                self.stats.played += 1;
                Play::Packet(payload)
            }
            None => Play::Silence,
        }
    }

    /// The delay aimed for.
    pub fn target(&self) -> Duration {
        Duration::from_micros(self.target.unsigned_abs())
    }

    /// The delay of the newest block played against the fastest packet.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.delays.back().copied().unwrap_or(0).max(0).unsigned_abs())
    }

    /// Packets in waiting, at most [`CAPACITY`].
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// True when no packet is in waiting.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The counters.
    pub fn stats(&self) -> JitterStats {
        self.stats
    }

    /// Nothing to play: hold the place for a while, then wait for the stream to come back.
    fn starve(&mut self) -> Play {
        if self.next.is_none() {
            return Play::Silence;
        }
        self.dry += 1;
        if self.dry > MAX_DRY {
            self.next = None;
            self.held = 0;
            self.dry = 0;
            return Play::Silence;
        }
        self.held += 1;
        self.stats.concealed += 1;
        Play::Conceal { next: None }
    }

    /// Puts a 16-bit sequence number on a line that does not wrap (RFC 3550 A.1, in our words).
    fn place(&mut self, sequence: u16) -> Option<u64> {
        let Some(highest) = self.highest else {
            // One turn above zero, so that a packet from just before the first has a place too.
            let place = (1 << 16) | u64::from(sequence);
            self.highest = Some(place);
            return Some(place);
        };
        let ahead = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        if ahead < -JUMP {
            // Very old, or a sender that began anew: the next in line confirms it.
            if self.suspect != Some(sequence) {
                self.suspect = Some(sequence.wrapping_add(1));
                return None;
            }
            let place = ((highest >> 16) + 1) << 16 | u64::from(sequence);
            self.restart();
            self.highest = Some(place);
            return Some(place);
        }
        self.suspect = None;
        if ahead > JUMP {
            self.restart();
        }
        let place = highest.saturating_add_signed(ahead);
        self.highest = Some(highest.max(place));
        Some(place)
    }

    fn restart(&mut self) {
        if self.history.is_empty() {
            return;
        }
        self.stats.restarts += 1;
        self.stats.skipped += self.packets.len() as u64;
        self.packets.clear();
        self.history.clear();
        self.delays.clear();
        self.next = None;
        self.held = 0;
        self.dry = 0;
        self.suspect = None;
    }

    fn measure(&mut self, place: u64, now: i64) {
        let transit = now - place as i64 * BLOCK_US;
        self.history.push_back((place, transit));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        let mut fastest = i64::MAX;
        let mut slowest = [i64::MIN; OUTLIERS + 1];
        for (_, transit) in &self.history {
            fastest = fastest.min(*transit);
            // Insertion into the few slowest, slowest first.
            let mut candidate = *transit;
            for slot in &mut slowest {
                if candidate > *slot {
                    std::mem::swap(&mut candidate, slot);
                }
            }
        }
        self.fastest = fastest;
        let spread = (slowest[OUTLIERS].max(fastest) - fastest).saturating_add(MARGIN_US);
        let floor = if self.history.len() < SETTLED { FIRST_TARGET_US } else { MIN_TARGET.as_micros() as i64 };
        self.target = spread.clamp(floor, MAX_TARGET.as_micros() as i64);
    }

    /// How long after the fastest packet would have come `place` is played if it is played at `now`.
    fn delay_at(&self, now: i64, place: u64) -> i64 {
        now - place as i64 * BLOCK_US - self.fastest
    }

    fn may_change(&self) -> bool {
        self.delays.len() >= CHANGE_EVERY
    }

    fn micros(&mut self, now: Instant) -> i64 {
        let origin = *self.origin.get_or_insert(now);
        now.saturating_duration_since(origin).as_micros().min(i64::MAX as u128 / 4) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Seeded(u64);

    impl Seeded {
        /// A number in 0..1 (splitmix64).
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// Virtual time: packets leave every 20 ms from `first`, arrive after `delay(n)` ms (none: lost), and a speaker
    /// pulls every `pull` µs.
    struct Line {
        buffer: JitterBuffer,
        start: Instant,
        heard: Vec<(u64, Play)>,
    }

    impl Line {
        fn run(first: u16, count: u64, pull: u64, quiet: bool, mut arrivals: impl FnMut(u64) -> Vec<f64>) -> Self {
            let start = Instant::now();
            let mut events: Vec<(u64, u64)> = Vec::new();
            for n in 0..count {
                for delay in arrivals(n) {
                    events.push((n * 20_000 + (delay * 1_000.0) as u64, n));
                }
            }
            events.sort_unstable();
            let mut line = Self { buffer: JitterBuffer::new(), start, heard: Vec::new() };
            let (mut at, mut event) = (7_000, 0);
            while at < count * 20_000 + 100_000 {
                while event < events.len() && events[event].0 <= at {
                    let (when, n) = events[event];
                    line.push(when, first, n);
                    event += 1;
                }
                let play = line.buffer.pop(start + Duration::from_micros(at), quiet);
                line.heard.push((at, play));
                assert!(line.buffer.len() <= CAPACITY);
                at += pull;
            }
            line
        }

        fn push(&mut self, micros: u64, first: u16, n: u64) {
            let sequence = first.wrapping_add(n as u16);
            let payload = Bytes::from(n.to_be_bytes().to_vec());
            let timestamp = (n as u32).wrapping_mul(BLOCK_TICKS).wrapping_add(77);
            self.buffer.push(self.start + Duration::from_micros(micros), sequence, timestamp, payload);
        }

        fn numbers(&self) -> Vec<u64> {
            self.heard
                .iter()
                .filter_map(|(_, play)| match play {
                    Play::Packet(payload) => Some(u64::from_be_bytes(payload[..].try_into().unwrap())),
                    _ => None,
                })
                .collect()
        }

        fn not_played_between(&self, from_s: u64, to_s: u64) -> usize {
            let inside = self.heard.iter().filter(|(at, _)| (from_s * 1_000_000..to_s * 1_000_000).contains(at));
            inside.filter(|(_, play)| !matches!(play, Play::Packet(_))).count()
        }
    }

    #[test]
    fn a_steady_stream_is_played_whole_in_order_and_with_little_delay() {
        let line = Line::run(65_500, 1_000, 20_000, true, |_| vec![30.0]);
        // Once the network is known to be quiet the first, careful delay is shortened by a block.
        let settled: Vec<u64> = line.numbers().into_iter().filter(|n| *n >= 70).collect();
        assert_eq!(settled, (70..1_000).collect::<Vec<_>>());
        assert!(line.buffer.stats().skipped <= 1);
        let stats = line.buffer.stats();
        assert_eq!((stats.lost, stats.late, stats.duplicates), (0, 0, 0));
        assert_eq!(line.not_played_between(2, 19), 0);
        assert_eq!(line.buffer.target(), MIN_TARGET);
        // 30 ms on the way; the packet played must be younger than that and three blocks.
        let (at, last) = line.heard.iter().rev().find(|(_, play)| matches!(play, Play::Packet(_))).unwrap();
        let Play::Packet(payload) = last else { unreachable!() };
        let number = u64::from_be_bytes(payload[..].try_into().unwrap());
        assert!(at - number * 20_000 <= 30_000 + 60_000);
    }

    #[test]
    fn it_never_starves_once_it_knows_a_bounded_jitter() {
        for (seed, bound) in [(1, 15.0), (2, 40.0), (3, 60.0), (4, 120.0), (5, 180.0)] {
            for quiet in [false, true] {
                let mut random = Seeded(seed);
                let line = Line::run(1, 3_000, 20_000, quiet, |_| vec![20.0 + bound * random.next()]);
                assert_eq!(line.not_played_between(10, 59), 0, "jitter {bound} ms, quiet {quiet}");
                let target = line.buffer.target().as_secs_f64() * 1e3;
                assert!(target <= (bound + 6.0).max(20.0), "jitter {bound} ms, target {target}");
            }
        }
    }

    #[test]
    fn it_grows_within_a_second_and_shrinks_within_fifteen() {
        let mut random = Seeded(9);
        let line = Line::run(1, 3_000, 20_000, true, |n| {
            let bound = if (1_000..1_500).contains(&n) { 100.0 } else { 4.0 };
            vec![20.0 + bound * random.next()]
        });
        // Jitter from 20 s to 30 s; one second later it must be carried, from 45 s on it must be gone.
        assert!(line.not_played_between(20, 21) <= 9);
        assert!(line.not_played_between(22, 29) <= 2);
        let delays_at = |s: u64| {
            let (at, play) =
                line.heard.iter().find(|(at, play)| *at >= s * 1_000_000 && matches!(play, Play::Packet(_))).unwrap();
            let Play::Packet(payload) = play else { unreachable!() };
            *at as i64 - u64::from_be_bytes(payload[..].try_into().unwrap()) as i64 * 20_000
        };
        assert!(delays_at(18) <= 80_000);
        assert!(delays_at(25) >= 100_000);
        assert!(delays_at(45) <= 80_000, "{}", delays_at(45));
    }

    #[test]
    fn a_lost_packet_is_concealed_once_with_the_next_at_hand() {
        let line = Line::run(1, 500, 20_000, false, |n| if n % 10 == 5 { vec![] } else { vec![20.0] });
        let stats = line.buffer.stats();
        assert_eq!(stats.lost, 50);
        let settled: Vec<_> = line.heard.iter().filter(|(at, _)| (2_000_000..9_000_000).contains(at)).collect();
        let concealed = settled.iter().filter(|(_, p)| matches!(p, Play::Conceal { next: Some(_) })).count();
        assert_eq!(concealed, 35);
        assert_eq!(
            settled.iter().filter(|(_, p)| matches!(p, Play::Conceal { next: None } | Play::Silence)).count(),
            0
        );
        assert!(line.numbers().windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn loss_reordering_and_duplicates_at_once_keep_the_order() {
        for seed in 0..20 {
            let mut random = Seeded(seed);
            let line = Line::run(65_000, 2_000, 20_000, false, |_| {
                let copies = if random.next() < 0.1 { 2 } else { 1 };
                let lost = random.next() < 0.1;
                (0..if lost { 0 } else { copies }).map(|_| 20.0 + 70.0 * random.next()).collect()
            });
            let numbers = line.numbers();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}");
            let stats = line.buffer.stats();
            assert!(numbers.len() as u64 > 1_700, "seed {seed}: {} {stats:?}", numbers.len());
            assert!(stats.duplicates > 100, "seed {seed}");
            let accounted = stats.played + stats.late + stats.duplicates + stats.skipped + line.buffer.len() as u64;
            assert_eq!(stats.received, accounted, "seed {seed}: {stats:?}");
        }
    }

    #[test]
    fn a_sender_with_another_clock_is_followed_for_hours() {
        for pull in [19_990, 20_010, 19_900, 20_100] {
            let line = Line::run(1, 30_000, pull, false, |_| vec![20.0]);
            let stats = line.buffer.stats();
            let ideal = (line.heard.len() as i64 - 30_000).unsigned_abs();
            assert!(stats.skipped + stats.concealed <= ideal + 20, "pull {pull}: {stats:?}");
            assert!(line.buffer.len() <= 12, "pull {pull}: {}", line.buffer.len());
            assert!(stats.played > 29_000);
        }
    }

    #[test]
    fn a_speaker_that_pulls_two_blocks_at_a_time_is_served() {
        let start = Instant::now();
        let mut line = Line { buffer: JitterBuffer::new(), start, heard: Vec::new() };
        let mut concealed_late = 0;
        for n in 0..2_000u64 {
            line.push(n * 20_000, 5, n);
            if n % 2 == 1 {
                for _ in 0..2 {
                    let play = line.buffer.pop(start + Duration::from_micros(n * 20_000 + 3_000), true);
                    if n > 500 && !matches!(play, Play::Packet(_)) {
                        concealed_late += 1;
                    }
                }
            }
        }
        assert_eq!(concealed_late, 0);
    }

    #[test]
    fn after_an_outage_it_picks_up_again() {
        let line = Line::run(1, 1_500, 20_000, false, |n| if (500..700).contains(&n) { vec![] } else { vec![20.0] });
        assert!(line.heard.iter().any(|(at, p)| (10_700_000..13_900_000).contains(at) && matches!(p, Play::Silence)));
        assert_eq!(line.not_played_between(15, 29), 0);
        let concealed = line.heard.iter().filter(|(_, p)| matches!(p, Play::Conceal { .. })).count();
        assert!(concealed <= MAX_DRY as usize + 2, "an outage is not concealed for four seconds");
    }

    #[test]
    fn a_burst_after_a_stall_does_not_leave_the_delay_behind() {
        // 600 ms of nothing, then everything at once.
        let line = Line::run(1, 2_000, 20_000, false, |n| {
            vec![if (500..530).contains(&n) { 20.0 + (530 - n) as f64 * 20.0 } else { 20.0 }]
        });
        assert_eq!(line.not_played_between(25, 39), 0);
        let (at, play) = line.heard.iter().rev().find(|(_, p)| matches!(p, Play::Packet(_))).unwrap();
        let Play::Packet(payload) = play else { unreachable!() };
        let delay = *at as i64 - u64::from_be_bytes(payload[..].try_into().unwrap()) as i64 * 20_000;
        assert!(delay <= 120_000, "{delay}");
    }

    #[test]
    fn a_sender_that_begins_anew_is_heard_after_two_packets() {
        let start = Instant::now();
        let mut line = Line { buffer: JitterBuffer::new(), start, heard: Vec::new() };
        for n in 0..100 {
            line.push(n * 20_000, 40_000, n);
            line.buffer.pop(start + Duration::from_micros(n * 20_000 + 5_000), false);
        }
        let played = line.buffer.stats().played;
        for n in 100..150 {
            line.push(n * 20_000, 20_000u16.wrapping_sub(100), n);
            line.buffer.pop(start + Duration::from_micros(n * 20_000 + 5_000), false);
        }
        assert!(line.buffer.stats().played >= played + 40, "{:?}", line.buffer.stats());
        assert_eq!(line.buffer.stats().restarts, 1);
    }

    #[test]
    fn packets_no_opus_encoder_makes_are_refused() {
        let mut buffer = JitterBuffer::new();
        buffer.push(Instant::now(), 1, 960, Bytes::new());
        buffer.push(Instant::now(), 1, 960, Bytes::from(vec![0; MAX_PACKET + 1]));
        assert_eq!((buffer.stats().refused, buffer.len()), (2, 0));
    }

    proptest! {
        #[test]
        fn hostile_numbers_and_times_stay_bounded(
            packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0u64..400_000, any::<bool>()), 0..600),
        ) {
            let start = Instant::now();
            let mut buffer = JitterBuffer::new();
            let mut at = 0;
            for (sequence, timestamp, wait, quiet) in packets {
                at += wait;
                buffer.push(start + Duration::from_micros(at), sequence, timestamp, Bytes::from_static(b"x"));
                buffer.pop(start + Duration::from_micros(at / 2), quiet);
                prop_assert!(buffer.len() <= CAPACITY);
                prop_assert!(buffer.history.len() <= HISTORY);
                prop_assert!((MIN_TARGET..=MAX_TARGET).contains(&buffer.target()));
            }
            // An honest stream after that is heard again.
            let played = buffer.stats().played;
            for n in 0..200u64 {
                let now = start + Duration::from_micros(at + n * 20_000);
                buffer.push(now, n as u16, n as u32 * BLOCK_TICKS, Bytes::from_static(b"y"));
                buffer.pop(now, true);
            }
            prop_assert!(buffer.stats().played > played + 60, "{:?}", buffer.stats());
        }
    }
}
