//! The rate that losses allow. Pure.
//!
//! A full queue loses packets; so does a poor radio link, whatever is sent. Only the first asks for a lower rate. What
//! tells them apart is an experiment: lower the rate once, and see whether the loss goes away. Loss that stays is the
//! path's own, and is borne from then on.

use std::time::{Duration, Instant};

/// A window of measurement has at least so many packets, and lasts at least so long.
const LEAST_PACKETS: u32 = 60;
const LEAST_TIME: Duration = Duration::from_millis(400);
/// Or lasts this long with some packets.
const LONGEST: Duration = Duration::from_secs(3);
const FEW_PACKETS: u32 = 20;
/// Loss that is nothing to think of.
const IGNORED: f64 = 0.02;
/// Loss at which a rate is too high in any case.
const UNBEARABLE: f64 = 0.35;
/// With packets waiting this long on the way, losses are the queue's.
const LONG_QUEUE: Duration = Duration::from_millis(80);
/// Growth of the bound in one window without too much loss.
const GROWTH: f64 = 1.12;
/// How fast the path's own loss is forgotten when less is seen.
const FORGET: f64 = 0.25;

/// An experiment under way: the loss that was seen before the rate was lowered.
#[derive(Debug, Clone, Copy)]
struct Trial {
    loss: f64,
    windows: u8,
}

/// The controller.
#[derive(Debug, Default)]
pub(super) struct LossBased {
    since: Option<Instant>,
    lost: u32,
    received: u32,
    /// The rate losses allow, bit/s; `None` if they set no bound.
    bound: Option<f64>,
    /// The path's own loss.
    own: f64,
    trial: Option<Trial>,
    /// The rate was just lowered because of a full queue.
    cooling: bool,
    loss: f64,
}

impl LossBased {
    /// The bound, bit/s.
    pub(super) fn bound(&self) -> Option<f64> {
        self.bound
    }

    /// Fraction of the packets lost in the last window, 0 to 1.
    pub(super) fn loss(&self) -> f64 {
        self.loss
    }

    /// Fraction of the packets the path loses whatever is sent, as far as known.
    #[cfg(test)]
    pub(super) fn own_loss(&self) -> f64 {
        self.own
    }

    /// Takes in a report. `rate` is the rate in force, `acked` what arrives, if that says what the path carries, bit/s;
    /// `queueing` is how long packets wait on the way.
    pub(super) fn on_report(
        &mut self,
        now: Instant,
        received: u32,
        lost: u32,
        rate: f64,
        acked: Option<f64>,
        queueing: Duration,
    ) {
        let since = *self.since.get_or_insert(now);
        self.received = self.received.saturating_add(received);
        self.lost = self.lost.saturating_add(lost);
        let (packets, passed) = (self.received.saturating_add(self.lost), now.saturating_duration_since(since));
        let full = packets >= LEAST_PACKETS && passed >= LEAST_TIME || packets >= FEW_PACKETS && passed >= LONGEST;
        if !full {
            return;
        }
        let loss = f64::from(self.lost) / f64::from(packets);
        (self.since, self.received, self.lost) = (Some(now), 0, 0);
        self.on_window(loss, f64::from(packets), rate, acked, queueing >= LONG_QUEUE);
    }

    fn on_window(&mut self, loss: f64, packets: f64, rate: f64, acked: Option<f64>, queue: bool) {
        self.loss = loss;
        // What chance alone may add to the path's own loss in so few packets.
        let chance = 2.0 * (self.own.max(IGNORED) * (1.0 - self.own) / packets).sqrt();
        let too_much = loss > self.own + IGNORED + chance;
        if queue && loss > IGNORED {
            // No experiment is needed: it is full. What was sent before the rate fell is still being lost for a while.
            self.trial = None;
            self.cooling = !self.cooling;
            if self.cooling {
                self.bound = Some(acked.map_or(rate * 0.9, |acked| (acked * 0.85).clamp(rate * 0.5, rate)));
            }
            return;
        }
        self.cooling = false;
        if let Some(trial) = self.trial.take() {
            if loss < trial.loss * 0.6 || loss <= self.own + IGNORED {
                // Less was sent and less was lost: that was the queue.
                self.grow(rate);
            } else if trial.windows > 0 {
                self.trial = Some(Trial { windows: trial.windows - 1, ..trial });
            } else {
                // It made no difference.
                self.own = loss.min(trial.loss).min(UNBEARABLE);
                self.grow(rate);
            }
            return;
        }
        if loss > UNBEARABLE {
            self.bound = Some(acked.map_or(rate * 0.7, |acked| acked.clamp(rate * 0.5, rate * 0.85)));
        } else if too_much {
            let lowered = acked.map_or(rate, |acked| acked.min(rate)).max(rate * 0.5) * 0.95;
            self.bound = Some(lowered);
            self.trial = Some(Trial { loss, windows: 1 });
        } else {
            if loss < self.own {
                self.own += (loss - self.own) * FORGET;
            }
            self.grow(rate);
        }
    }

    fn grow(&mut self, rate: f64) {
        // Far above the rate in force it bounds nothing.
        self.bound = self.bound.map(|bound| bound * GROWTH).filter(|bound| *bound < rate * 1.5);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five minutes of windows of 100 packets, where `loss` tells the loss at a rate. The rates, and the own loss.
    fn run(start: f64, loss: impl Fn(f64) -> f64) -> (Vec<f64>, f64) {
        let (mut based, mut now) = (LossBased::default(), Instant::now());
        let mut rates = Vec::new();
        let mut delay_based = start;
        for _ in 0..600 {
            let rate = based.bound().map_or(delay_based, |bound| bound.min(delay_based));
            let lost = (loss(rate) * 100.0).round() as u32;
            now += Duration::from_millis(500);
            based.on_report(now, 100 - lost, lost, rate, Some(rate * f64::from(100 - lost) / 100.0), Duration::ZERO);
            delay_based = (delay_based * 1.04).min(start);
            rates.push(rate);
        }
        (rates, based.own_loss())
    }

    #[test]
    fn random_loss_does_not_lower_the_rate_for_long() {
        for loss in [0.02, 0.05, 0.1, 0.2] {
            let (rates, own) = run(2e6, |_| loss);
            let late = &rates[20..];
            assert!(late.iter().all(|rate| *rate > 1.9e6), "{loss}: {:?}", &rates[..30]);
            assert!(loss <= 0.02 || (own - loss).abs() < 0.01);
        }
    }

    #[test]
    fn a_policer_that_drops_without_delay_is_obeyed() {
        let (rates, _) = run(2e6, |rate| (1.0 - 1e6 / rate).max(0.0));
        let late: f64 = rates[20..].iter().sum::<f64>() / 580.0;
        assert!((0.85e6..1.12e6).contains(&late), "{late}");
    }
}
