//! Whether the queue on the way grows: groups of packets, the gradient of their delay, an adaptive threshold.
//!
//! Pure. It follows "A Google Congestion Control Algorithm for Real-Time Communication"
//! (draft-ietf-rmcat-gcc-02 sections 5.2 to 5.4), with a line fitted through the delays in place of the Kalman filter,
//! as browsers do it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets sent within this time are one group: a pacer sends in small bursts.
const GROUP: Duration = Duration::from_millis(5);
/// Packets that arrive this close behind each other, faster than they were sent, were held up together.
const BURST_US: i64 = 5_000;
const MAX_BURST_US: i64 = 100_000;
/// Delays the line is fitted through.
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
const MAX_DELTAS: f64 = 60.0;
const OVERUSE_MS: f64 = 10.0;
/// The threshold, ms, and how fast it follows.
const THRESHOLD: f64 = 12.5;
const THRESHOLD_RANGE: (f64, f64) = (6.0, 600.0);
const RISE: f64 = 0.0087;
const FALL: f64 = 0.039;
/// A peak higher above the threshold than this does not move it.
const PEAK: f64 = 15.0;

/// What the queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Usage {
    /// It stays as it is.
    #[default]
    Normal,
    /// It grows: more is sent than the path carries.
    Over,
    /// It drains.
    Under,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    first_arrived: i64,
    last_arrived: i64,
}

/// The detector. See the module's text.
#[derive(Debug)]
pub(super) struct Trendline {
    current: Option<Group>,
    before: Option<Group>,
    /// Time of arrival and smoothed delay, ms.
    line: VecDeque<(f64, f64)>,
    first_arrival: Option<i64>,
    delay: f64,
    smoothed: f64,
    deltas: f64,
    trend: f64,
    threshold: f64,
    updated: Option<i64>,
    over_for: Option<f64>,
    over_count: u32,
    usage: Usage,
}

impl Default for Trendline {
    fn default() -> Self {
        Self {
            current: None,
            before: None,
            line: VecDeque::new(),
            first_arrival: None,
            delay: 0.0,
            smoothed: 0.0,
            deltas: 0.0,
            trend: 0.0,
            threshold: THRESHOLD,
            updated: None,
            over_for: None,
            over_count: 0,
            usage: Usage::Normal,
        }
    }
}

impl Trendline {
    /// What the queue does now.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Forgets all but the threshold: what comes cannot be compared with what came.
    pub(super) fn restart(&mut self) {
        *self = Self { threshold: self.threshold, ..Self::default() };
    }

    /// Leaves out what comes between the last packet and the next: it says nothing of the queue.
    pub(super) fn cut(&mut self) {
        (self.current, self.before) = (None, None);
    }

    /// Takes in a packet, in the order of sending; `arrived_us` is on the peer's clock.
    pub(super) fn on_packet(&mut self, sent: Instant, arrived_us: i64) {
        let Some(current) = &mut self.current else {
            self.current =
                Some(Group { first_sent: sent, last_sent: sent, first_arrived: arrived_us, last_arrived: arrived_us });
            return;
        };
        let send_gap = sent.saturating_duration_since(current.last_sent).as_micros() as i64;
        let arrival_gap = arrived_us - current.last_arrived;
        let burst =
            arrival_gap <= BURST_US && arrival_gap - send_gap < 0 && arrived_us - current.first_arrived < MAX_BURST_US;
        if sent.saturating_duration_since(current.first_sent) <= GROUP || burst {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrived = current.last_arrived.max(arrived_us);
            return;
        }
        let done = *current;
        self.current =
            Some(Group { first_sent: sent, last_sent: sent, first_arrived: arrived_us, last_arrived: arrived_us });
        if let Some(before) = self.before.replace(done) {
            let sent_ms = done.last_sent.saturating_duration_since(before.last_sent).as_secs_f64() * 1e3;
            let arrived_ms = (done.last_arrived - before.last_arrived) as f64 / 1e3;
            self.on_delta(sent_ms, arrived_ms, done.last_arrived);
        }
    }

    fn on_delta(&mut self, sent_ms: f64, arrived_ms: f64, arrived_us: i64) {
        if !(-1000.0..=10_000.0).contains(&arrived_ms) {
            return self.restart();
        }
        self.deltas = (self.deltas + 1.0).min(1000.0);
        let first = *self.first_arrival.get_or_insert(arrived_us);
        self.delay += arrived_ms - sent_ms;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        self.line.push_back(((arrived_us - first) as f64 / 1e3, self.smoothed));
        if self.line.len() > WINDOW {
            self.line.pop_front();
        }
        let trend = if self.line.len() == WINDOW { slope(&self.line).unwrap_or(self.trend) } else { self.trend };
        self.detect(trend, sent_ms, arrived_us);
    }

    fn detect(&mut self, trend: f64, sent_ms: f64, arrived_us: i64) {
        if self.deltas < 2.0 {
            return;
        }
        let modified = self.deltas.min(MAX_DELTAS) * trend * GAIN;
        if modified > self.threshold {
            let over = self.over_for.map_or(sent_ms / 2.0, |over| over + sent_ms);
            self.over_for = Some(over);
            self.over_count += 1;
            if over > OVERUSE_MS && self.over_count > 1 && trend >= self.trend {
                self.over_for = Some(0.0);
                self.over_count = 0;
                self.usage = Usage::Over;
            }
        } else {
            (self.over_for, self.over_count) = (None, 0);
            self.usage = if modified < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.trend = trend;
        self.adapt(modified.abs(), arrived_us);
    }

    fn adapt(&mut self, modified: f64, arrived_us: i64) {
        let last = self.updated.replace(arrived_us).unwrap_or(arrived_us);
        if modified > self.threshold + PEAK {
            return;
        }
        let rate = if modified < self.threshold { FALL } else { RISE };
        let passed = ((arrived_us - last) as f64 / 1e3).clamp(0.0, 100.0);
        self.threshold =
            (self.threshold + rate * (modified - self.threshold) * passed).clamp(THRESHOLD_RANGE.0, THRESHOLD_RANGE.1);
    }
}

/// The slope of the line through the points by least squares; `None` if they stand above each other.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let n = points.len() as f64;
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x).powi(2);
    }
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets each 10 ms; each arrives `growth_us` later than the one before.
    fn run(line: &mut Trendline, at: &mut (Instant, i64), packets: usize, growth_us: i64) -> Vec<Usage> {
        let mut seen = Vec::new();
        for _ in 0..packets {
            at.0 += Duration::from_millis(10);
            at.1 += 10_000 + growth_us;
            line.on_packet(at.0, at.1);
            seen.push(line.usage());
        }
        seen
    }

    #[test]
    fn a_growing_queue_is_over_use_a_draining_one_under_use_and_a_still_one_neither() {
        let (mut line, mut at) = (Trendline::default(), (Instant::now(), 0));
        assert!(run(&mut line, &mut at, 100, 0).iter().all(|usage| *usage == Usage::Normal));
        assert!(run(&mut line, &mut at, 40, 2_000).contains(&Usage::Over));
        assert!(run(&mut line, &mut at, 60, -2_000).contains(&Usage::Under));
        assert_eq!(run(&mut line, &mut at, 100, 0).last(), Some(&Usage::Normal));
    }

    #[test]
    fn jitter_alone_is_no_over_use() {
        let (mut line, start) = (Trendline::default(), Instant::now());
        let mut seed = 1u32;
        for n in 0..2000u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let jitter = i64::from(seed >> 20); // below 4.1 ms
            line.on_packet(start + Duration::from_millis(10) * n, i64::from(n) * 10_000 + jitter);
            assert_ne!(line.usage(), Usage::Over, "packet {n}");
        }
    }

    #[test]
    fn times_out_of_all_reason_start_it_anew() {
        let (mut line, mut at) = (Trendline::default(), (Instant::now(), 0));
        run(&mut line, &mut at, 50, 0);
        at.1 = i64::MAX / 4;
        run(&mut line, &mut at, 50, 0);
        at.1 = i64::MIN / 4;
        assert!(run(&mut line, &mut at, 50, 0).iter().all(|usage| *usage != Usage::Over));
    }
}
