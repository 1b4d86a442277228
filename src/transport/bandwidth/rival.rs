//! A flow beside ours that fills the queue and does not mind, as TCP does. Pure.
//!
//! Whoever keeps the queue short starves beside one who keeps it full. So when the queue stands although we sent less
//! and less, it is not ours: then the rate follows losses as TCP's does (RFC 5681, one packet more each round trip, a
//! part less on loss), until a lull shows that the queue empties when we hold back.

use std::time::{Duration, Instant};

/// So many times in a row the rate is lowered to drain the queue before somebody else is taken to fill it.
const DRAINS: u32 = 4;
/// The queue is this much shorter than at the first of them: it empties.
const SHRUNK: f64 = 0.7;
/// Within this time of each other.
const IN_A_ROW: Duration = Duration::from_millis(1500);
const PACKET_BITS: f64 = 1200.0 * 8.0;
/// Share of the rate that is left after a loss.
const AFTER_LOSS: f64 = 0.7;
/// The first lull comes soon: the verdict may be wrong.
const FIRST_LULL: Duration = Duration::from_millis(1500);
/// How often, how long and how deep the lull is.
const LULL_EVERY: Duration = Duration::from_secs(10);
const LULL: Duration = Duration::from_millis(900);
const LULL_SHARE: f64 = 0.45;
/// A queue this short is empty.
const EMPTY: Duration = Duration::from_millis(25);

/// While a rival is there.
#[derive(Debug, Clone, Copy)]
struct Contest {
    rate: f64,
    updated: Instant,
    cut: Instant,
    lull_at: Instant,
    lull: Option<Instant>,
}

/// Finds out whether there is a rival, and sets the rate beside it.
#[derive(Debug, Default)]
pub(super) struct Rival {
    drains: u32,
    last: Option<Instant>,
    /// The rate before the first of them.
    before: f64,
    /// How long the queue was then.
    first: Duration,
    contest: Option<Contest>,
}

impl Rival {
    /// The rate beside the rival, bit/s, if there is one.
    pub(super) fn rate(&self) -> Option<f64> {
        let contest = self.contest?;
        Some(if contest.lull.is_some() { contest.rate * LULL_SHARE } else { contest.rate })
    }

    /// The rate is about to be lowered from `rate`, because the queue stands this long.
    pub(super) fn on_drain(&mut self, now: Instant, rate: f64, standing: Duration) {
        if self.contest.is_some() {
            return;
        }
        if self.last.replace(now).is_none_or(|last| now.saturating_duration_since(last) > IN_A_ROW) {
            self.drains = 0;
        }
        // A queue that shrinks is being drained: nobody fills it.
        if self.drains == 0 || standing < self.first.mul_f64(SHRUNK) {
            (self.drains, self.before, self.first) =
                (0, rate.max(self.before * f64::from(self.drains.min(1))), standing);
        }
        self.drains += 1;
        if self.drains > DRAINS {
            let rate = self.before * AFTER_LOSS;
            self.contest = Some(Contest { rate, updated: now, cut: now, lull_at: now + FIRST_LULL, lull: None });
        }
    }

    /// The queue is this long at its shortest.
    pub(super) fn on_queue(&mut self, now: Instant, standing: Duration) {
        if standing < EMPTY {
            self.drains = 0;
        }
        let Some(contest) = &mut self.contest else { return };
        match contest.lull {
            None if now >= contest.lull_at => contest.lull = Some(now + LULL),
            Some(_) if standing < EMPTY => self.contest = None,
            Some(until) if now >= until => {
                (contest.lull, contest.lull_at, contest.updated) = (None, now + LULL_EVERY, now);
            }
            _ => {}
        }
    }

    /// Takes in a report: packets lost, the round trip, what arrives in bit/s.
    pub(super) fn on_report(&mut self, now: Instant, lost: u32, rtt: Duration, acked: Option<f64>) {
        let Some(contest) = self.contest.as_mut().filter(|contest| contest.lull.is_none()) else { return };
        let passed = now.saturating_duration_since(contest.updated).as_secs_f64().min(0.5);
        contest.updated = now;
        if lost == 0 {
            let rtt = rtt.as_secs_f64().clamp(0.05, 1.0);
            let ceiling = acked.map_or(contest.rate, |acked| acked * 1.5 + 20e3).max(contest.rate);
            contest.rate = (contest.rate + PACKET_BITS / (rtt * rtt) * passed).min(ceiling);
        } else if now.saturating_duration_since(contest.cut) > rtt + Duration::from_millis(100) {
            contest.rate *= AFTER_LOSS;
            contest.cut = now;
        }
    }
}
