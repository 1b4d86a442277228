//! The rate that the delay allows: up in large steps far from the limit, in small ones near it, down below what
//! arrives when the queue grows (draft-ietf-rmcat-gcc-02 section 5.5). Pure.

use std::time::{Duration, Instant};

use super::trendline::Usage;

/// A growing queue takes the rate to this share of what arrives.
const DECREASE: f64 = 0.85;
/// And by up to this much further while packets wait for long.
const DRAIN: f64 = 0.15;
const LONG: f64 = 0.25;
/// Growth per second far from the limit.
const GROWTH: f64 = 1.08;
/// And near it, at most.
const NEAR: f64 = 0.04;
/// Bits of one packet: one more of them for each response time near the limit.
const PACKET_BITS: f64 = 1200.0 * 8.0;
/// The rate stays below this many times what arrives: nobody knows what more would do.
const MAX_LEAD: f64 = 1.5;
const LEAD_BPS: f64 = 20_000.0;
/// Time from a change to its effect, beyond the round trip.
const RESPONSE: Duration = Duration::from_millis(100);

/// What the path carried when it was full: mean, and deviation relative to the mean.
#[derive(Debug, Clone, Copy, Default)]
struct Limit {
    mean: Option<f64>,
    variance: f64,
}

impl Limit {
    fn add(&mut self, kbps: f64) {
        let old = *self.mean.get_or_insert(kbps);
        let mean = old * 0.95 + kbps * 0.05;
        self.mean = Some(mean);
        let error = mean - kbps;
        self.variance = (0.95 * self.variance + 0.05 * error * error / mean.max(1.0)).clamp(0.4, 2.5);
    }

    fn spread(&self) -> Option<(f64, f64)> {
        let mean = self.mean?;
        let three = 3.0 * (self.variance.max(0.4) * mean).sqrt();
        Some((mean - three, mean + three))
    }
}

/// How the path stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    /// Smoothed round-trip time.
    pub(super) rtt: Duration,
    /// What packets wait on the way.
    pub(super) queueing: Duration,
    /// What arrives now, and at best lately, bit/s.
    pub(super) acked: Option<(f64, f64)>,
    /// Less was sent than the rate allows.
    pub(super) limited: bool,
}

/// The controller.
#[derive(Debug)]
pub(super) struct Aimd {
    rate: f64,
    limit: Limit,
    increasing: Option<Instant>,
    decreased: Option<Instant>,
}

impl Aimd {
    /// Starts with this rate, bit/s.
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, limit: Limit::default(), increasing: None, decreased: None }
    }

    /// The rate, bit/s.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// A probe, or silence, tells the rate.
    pub(super) fn set(&mut self, now: Instant, rate: f64) {
        self.rate = rate;
        self.increasing = Some(now);
        if self.limit.spread().is_some_and(|(_, above)| rate / 1e3 > above) {
            self.limit = Limit::default();
        }
    }

    /// Takes in the detector's word. True if the rate was lowered.
    pub(super) fn update(&mut self, now: Instant, usage: Usage, path: &Path) -> bool {
        match usage {
            Usage::Over => self.decrease(now, path),
            Usage::Under => {
                self.increasing = None;
                false
            }
            Usage::Normal => {
                self.increase(now, path);
                false
            }
        }
    }

    fn increase(&mut self, now: Instant, path: &Path) {
        let passed = self.increasing.replace(now).map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        let passed = passed.min(1.0);
        if let (Some((current, _)), Some((_, above))) = (path.acked, self.limit.spread())
            && current / 1e3 > above
        {
            self.limit = Limit::default();
        }
        let step = match self.limit.mean {
            Some(_) => (PACKET_BITS / (path.rtt + RESPONSE).as_secs_f64()).max(4000.0).min(self.rate * NEAR) * passed,
            None => (self.rate * (GROWTH.powf(passed) - 1.0)).max(1000.0 * passed),
        };
        let ceiling = path.acked.map_or(self.rate, |(_, peak)| MAX_LEAD * peak + LEAD_BPS);
        if self.rate < ceiling {
            self.rate = (self.rate + step).min(ceiling);
        }
    }

    fn decrease(&mut self, now: Instant, path: &Path) -> bool {
        let share = DECREASE - DRAIN * (path.queueing.as_secs_f64() / LONG).min(1.0);
        self.increasing = None;
        let pause = path.rtt.clamp(Duration::from_millis(10), Duration::from_millis(200));
        let early = self.decreased.is_some_and(|at| now.saturating_duration_since(at) < pause);
        let acked = path.acked.map(|(current, _)| current);
        let far = acked.is_some_and(|acked| acked < self.rate * 0.5);
        if early && (path.limited || !far) {
            return false;
        }
        self.decreased = Some(now);
        // What arrives is little because little was sent: it does not say what the path carries.
        let Some(acked) = acked.filter(|_| !path.limited) else {
            self.rate *= DECREASE;
            return true;
        };
        let mut rate = acked * share;
        if rate > self.rate
            && let Some(mean) = self.limit.mean
        {
            rate = mean * 1e3 * share;
        }
        if self.limit.spread().is_some_and(|(below, _)| acked / 1e3 < below) {
            self.limit = Limit::default();
        }
        self.limit.add(acked / 1e3);
        let lowered = rate < self.rate;
        self.rate = rate.min(self.rate);
        lowered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn path(acked: (f64, f64)) -> Path {
        Path { rtt: 50 * MS, queueing: Duration::ZERO, acked: Some(acked), limited: false }
    }

    #[test]
    fn it_grows_by_a_share_at_first_and_by_packets_once_it_knows_the_limit() {
        let (mut aimd, start) = (Aimd::new(1e6), Instant::now());
        for n in 0..=10 {
            aimd.update(start + 100 * n * MS, Usage::Normal, &path((1e6, 1e6)));
        }
        assert!((aimd.rate() - 1.08e6).abs() < 1e4, "{}", aimd.rate());
        assert!(aimd.update(start + 1100 * MS, Usage::Over, &path((1e6, 1e6))));
        assert_eq!(aimd.rate(), 0.85e6);
        for n in 12..=22 {
            aimd.update(start + 100 * n * MS, Usage::Normal, &path((0.85e6, 1e6)));
        }
        assert!((aimd.rate() - 0.885e6).abs() < 5e3, "{}", aimd.rate());
    }

    #[test]
    fn it_never_leads_far_beyond_what_arrives() {
        let (mut aimd, start) = (Aimd::new(1e6), Instant::now());
        for n in 0..1000 {
            aimd.update(start + 100 * n * MS, Usage::Normal, &path((0.9e6, 1e6)));
        }
        assert_eq!(aimd.rate(), 1.52e6);
        aimd.update(start + 100_100 * MS, Usage::Normal, &path((0.1e6, 0.1e6)));
        assert_eq!(aimd.rate(), 1.52e6, "a quiet sender keeps what it knows");
    }
}
