//! The adaptive jitter buffer: packets come in as the network pleases and go out one every 20 ms. Pure.
//!
//! **What it measures.** A packet with sequence number *s* that arrives at time *t* has the transit *t − 20 ms · s*,
//! against the fastest packet of the last ten seconds. The spread of these is the jitter, and the *target* is the
//! delay that would have let in all but the two slowest of them, between [`MIN_TARGET`] and [`MAX_TARGET`].
//!
//! **How it grows.** When nothing is there to play, the place in the stream is held while the gap is concealed, so the
//! delay grows by just what was lacking; while it is below the target, blocks are lengthened ahead of need.
//! **How it shrinks.** Blocks are shortened while the delay is above the target by more than a block. Both happen by whole
//! periods of the voice ([`stretch`](super::stretch)), a few times a second at most, so that the delay glides and nothing is
//! left out. The same rules take up the drift between the sender's clock and ours.
//! **How it repairs.** Senders repeat packets where the network loses them. A copy fills its original's place if that is
//! still to be played, and says nothing about the network; where packets are lost, the target grows by what their copies
//! come later.
//!
//! Everything is bounded, whatever the numbers in the packets say: they come from a stranger.

mod spread;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::frame::BLOCK;
use super::opus::MAX_PACKET;
use spread::{MARGIN_US, Spread};

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
/// A sequence number further away than this is another stream, not another packet (RFC 3550 A.1): 1 s.
const JUMP: i64 = 50;
/// Blocks that are concealed on end before the buffer gives up and waits for the stream to come back: 0.5 s.
const MAX_DRY: u32 = 25;
/// Blocks over which the delay is looked at before it is shortened, and so the least between two such changes: 0.2 s.
const SHORTEN_EVERY: usize = 10;
/// The same while the delay is far above the target.
const HURRY_EVERY: usize = 3;
/// The same before it is lengthened: who comes too late is not heard.
const LENGTHEN_EVERY: usize = 4;
/// What the delay must exceed the target by before a block is shortened: a whole one, as blocks are pulled whole.
const EXCESS_US: i64 = BLOCK_US + MARGIN_US / 2;
/// What it must exceed the target by to be far above it.
const FAR_EXCESS_US: i64 = 3 * BLOCK_US;
/// What it must exceed the target by before all of the excess is left out at once.
const ABSURD_EXCESS_US: i64 = 15 * BLOCK_US;
/// Decoded sound that is carried over from block to block may be this long before it is shortened away: 5 ms.
const CARRIED: usize = BLOCK / 4;
/// How far back a copy may lie.
const MAX_REACH: u8 = 8;

/// How a decoded block is to be changed before it is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    Nothing,
    /// Made shorter if that is not heard, by at most so many samples.
    Shorten {
        /// Samples at 48 kHz.
        most: usize,
    },
    /// Made longer if that is not heard.
    Lengthen,
}

/// What to do for the next 20 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Decode this.
    Packet {
        /// One Opus packet.
        payload: Bytes,
        /// What to do with the sound then.
        change: Change,
    },
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
    /// Packets left out because the delay had become absurd.
    pub skipped: u64,
    /// Blocks put in to lengthen the delay, because nothing was there to play.
    pub stretched: u64,
    /// Packets played from a copy, because the original had not come.
    pub recovered: u64,
    /// Blocks that were asked to be made shorter.
    pub shortened: u64,
    /// Blocks that were asked to be made longer.
    pub lengthened: u64,
    /// Packets refused because they are longer than any Opus packet.
    pub refused: u64,
    /// Times the stream began anew.
    pub restarts: u64,
}

/// A packet in waiting.
#[derive(Debug)]
struct Waiting {
    payload: Bytes,
    copy: bool,
}

/// One sender's packets in waiting.
#[derive(Debug)]
pub struct JitterBuffer {
    origin: Option<Instant>,
    packets: BTreeMap<u64, Waiting>,
    /// The place to play next; none while the buffer fills.
    next: Option<u64>,
    highest: Option<u64>,
    /// RTP timestamp less sequence number in ticks: constant while the sender does not pause.
    ticks_offset: u32,
    /// The number that would confirm that the sender began anew.
    suspect: Option<u16>,
    spread: Spread,
    /// Delay at the newest plays, since it was last changed.
    delays: VecDeque<i64>,
    latest: i64,
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
            spread: Spread::new(),
            delays: VecDeque::with_capacity(SHORTEN_EVERY + 1),
            latest: 0,
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
        // A copy does not count as having come: the original takes its place.
        if self.packets.get(&place).is_some_and(|waiting| !waiting.copy) || self.spread.has(place) {
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
        self.spread.measure(place, now);
        self.spread.set_reach(0);
        if self.next.is_some_and(|next| place < next) {
            self.stats.late += 1;
            return;
        }
        self.packets.insert(place, Waiting { payload, copy: false });
        self.keep_within_bounds();
    }

    /// Takes in a copy of an earlier packet that came with the packet `sequence`, which was pushed just before. It is
    /// kept only if its original has neither come nor been made up for.
    pub fn push_copy(&mut self, sequence: u16, distance: u8, payload: Bytes) {
        let fits = !payload.is_empty() && payload.len() <= MAX_PACKET && (1..=MAX_REACH).contains(&distance);
        let (Some(highest), true) = (self.highest, fits) else { return };
        let carrier = highest.saturating_add_signed(i64::from(sequence.wrapping_sub(highest as u16) as i16));
        if !self.spread.has(carrier) {
            return;
        }
        self.spread.set_reach(self.spread.reach().max(distance.into()));
        let place = carrier.saturating_sub(distance.into());
        let gone = self.next.is_some_and(|next| place < next);
        if gone || self.packets.contains_key(&place) || self.spread.has(place) {
            return;
        }
        self.packets.insert(place, Waiting { payload, copy: true });
        self.keep_within_bounds();
    }

    fn keep_within_bounds(&mut self) {
        while self.packets.len() > CAPACITY {
            self.packets.pop_first();
            self.stats.skipped += 1;
            if let (Some(next), Some((first, _))) = (&mut self.next, self.packets.first_key_value()) {
                *next = (*next).max(*first);
            }
        }
    }

    /// Says what to decode next, at `now`, when the next 20 ms are to be played. `carried` samples are decoded and not
    /// played yet (fewer than a block, or nothing would be asked for).
    pub fn pop(&mut self, now: Instant, carried: usize) -> Play {
        let now = self.micros(now);
        let Some(first) = self.packets.first_key_value().map(|(place, _)| *place) else {
            return self.starve();
        };
        let target = self.spread.target();
        let mut next = match self.next {
            Some(next) => next,
            None => {
                let full = self.packets.len() as i64 * BLOCK_US >= target + BLOCK_US;
                if self.delay_at(now, first) < target && !full {
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
        if self.delays.len() > SHORTEN_EVERY {
            self.delays.pop_front();
        }
        self.latest = delay + (carried.min(2 * BLOCK) as i64) * BLOCK_US / BLOCK as i64;
        if first > next {
            self.dry = 0;
            self.stats.concealed += 1;
            if delay < target && self.held < MAX_DRY.into() {
                // By our own target it may still come.
                self.held += 1;
                self.next = Some(next);
                return Play::Conceal { next: None };
            }
            self.stats.lost += 1;
            self.next = Some(next + 1);
            return Play::Conceal { next: self.packets.get(&(next + 1)).map(|waiting| waiting.payload.clone()) };
        }
        let excess = self.delays.iter().copied().min().unwrap_or(delay) - target;
        let change = self.decide(excess, carried);
        if change != Change::Nothing {
            self.delays.clear();
        } else if self.delays.len() >= SHORTEN_EVERY && excess > ABSURD_EXCESS_US {
            for _ in 0..excess / BLOCK_US {
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
            Some(waiting) => {
                self.stats.played += 1;
                self.stats.recovered += u64::from(waiting.copy);
                Play::Packet { payload: waiting.payload, change }
            }
            None => Play::Silence,
        }
    }

    /// Whether the block about to be played is to be changed. `excess` is what the least of the newest delays lies above
    /// the target.
    fn decide(&mut self, excess: i64, carried: usize) -> Change {
        let seen = self.delays.len();
        if excess < 0 && seen >= LENGTHEN_EVERY {
            self.stats.lengthened += 1;
            return Change::Lengthen;
        }
        let patience = if excess > FAR_EXCESS_US { HURRY_EVERY } else { SHORTEN_EVERY };
        if seen < patience || excess > ABSURD_EXCESS_US {
            return Change::Nothing;
        }
        let most = if excess >= EXCESS_US {
            BLOCK
        } else if excess >= 0 && carried >= CARRIED {
            // What is carried over is delay too, and shortening by no more than that asks nothing of the network.
            carried
        } else {
            return Change::Nothing;
        };
        self.stats.shortened += 1;
        Change::Shorten { most }
    }

    /// The delay aimed for.
    pub fn target(&self) -> Duration {
        Duration::from_micros(self.spread.target().unsigned_abs())
    }

    /// The delay of the newest block played against the fastest packet, with what was carried over.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.latest.max(0).unsigned_abs())
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
        if self.spread.is_empty() {
            return;
        }
        self.stats.restarts += 1;
        self.stats.skipped += self.packets.len() as u64;
        self.packets.clear();
        self.spread.clear();
        self.delays.clear();
        self.next = None;
        self.held = 0;
        self.dry = 0;
        self.suspect = None;
    }

    /// How long after the fastest packet would have come `place` is played if it is played at `now`.
    fn delay_at(&self, now: i64, place: u64) -> i64 {
        now - place as i64 * BLOCK_US - self.spread.fastest()
    }

    fn micros(&mut self, now: Instant) -> i64 {
        let origin = *self.origin.get_or_insert(now);
        now.saturating_duration_since(origin).as_micros().min(i64::MAX as u128 / 4) as i64
    }
}
