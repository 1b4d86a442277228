//! How uneven packets arrive, and the delay that takes. Pure.

use std::collections::VecDeque;

use super::{BLOCK_US, MAX_TARGET, MIN_TARGET};

/// Packets over which the spread is taken: ten seconds.
pub(super) const HISTORY: usize = 500;
/// How many of the slowest packets of [`HISTORY`] the target leaves out.
const OUTLIERS: usize = 2;
/// What the target lies above the spread, so that timers that fire late do not starve the speaker.
pub(super) const MARGIN_US: i64 = 5_000;
/// The target until [`SETTLED`] packets have come.
const FIRST_TARGET_US: i64 = 40_000;
/// Packets after which the measured spread is believed.
const SETTLED: usize = 50;
/// Packets of the newest [`HISTORY`] that must be missing before it pays to wait for copies of them.
const LOSSY: u64 = 4;

/// The newest packets' places and transits, and what follows from them.
#[derive(Debug)]
pub(super) struct Spread {
    /// Place and transit in microseconds, by arrival.
    history: VecDeque<(u64, i64)>,
    fastest: i64,
    target: i64,
    /// How many packets after the original its last copy comes; 0: there are none.
    reach: u64,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self { history: VecDeque::with_capacity(HISTORY + 1), fastest: 0, target: FIRST_TARGET_US, reach: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.history.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.history.is_empty()
    }

    /// Whether the packet of this place has come within the last ten seconds.
    pub(super) fn has(&self, place: u64) -> bool {
        self.history.iter().any(|(seen, _)| *seen == place)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.history.len()
    }

    /// Transit of the fastest packet, in microseconds.
    pub(super) fn fastest(&self) -> i64 {
        self.fastest
    }

    /// The delay to aim for, in microseconds.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// How far back the newest packet's copies lie, in packets.
    pub(super) fn reach(&self) -> u64 {
        self.reach
    }

    /// The newest packet has copies that lie up to this many packets back.
    pub(super) fn set_reach(&mut self, reach: u64) {
        self.reach = reach;
    }

    /// A packet came at `now` in microseconds.
    pub(super) fn measure(&mut self, place: u64, now: i64) {
        let transit = now - place as i64 * BLOCK_US;
        self.history.push_back((place, transit));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        let mut fastest = i64::MAX;
        let mut slowest = [i64::MIN; OUTLIERS + 1];
        let (mut first, mut last) = (u64::MAX, 0);
        for (place, transit) in &self.history {
            fastest = fastest.min(*transit);
            first = first.min(*place);
            last = last.max(*place);
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
        // A copy comes later than its original. Waiting for it pays only where originals go missing.
        let missing = (last.saturating_sub(first) + 1).saturating_sub(self.history.len() as u64);
        let wait = if missing >= LOSSY { self.reach as i64 * BLOCK_US } else { 0 };
        let floor = if self.history.len() < SETTLED { FIRST_TARGET_US } else { MIN_TARGET.as_micros() as i64 };
        self.target = spread.saturating_add(wait).clamp(floor, MAX_TARGET.as_micros() as i64);
    }
}
