//! How much the path carries, as the sender sees it: delay, loss and probes together.
//!
//! Pure. The delay's part is [`Aimd`] under [`Trendline`], the losses' is [`LossBased`], and the lower of the two
//! counts. Probes find the rate at the start and find it again after a drop, where small steps would take half a
//! minute. What a peer reports can lower the estimate to its floor and raise it to its ceiling, no further.

use std::time::{Duration, Instant};

use super::Stream;
use super::aimd::{Aimd, Path};
use super::feedback::Report;
use super::history::{Acked, History};
use super::loss_based::LossBased;
use super::probe::Prober;
use super::rival::Rival;
use super::throughput::Throughput;
use super::trendline::{Trendline, Usage};

/// Time between looks at what no report brings about.
const TICK: Duration = Duration::from_millis(50);
/// The first packets, sent at once as TCP sends its first window (RFC 6928), are the first probe.
const FIRST_PROBE_BPS: f64 = 10e6;
const FIRST_PROBE_BYTES: u64 = 12_000;
/// Bytes that may be under way before the first report.
const FIRST_WINDOW: u64 = 18_000;
/// Later: what the path carries in a round trip and this time, which covers the pause between reports.
const WINDOW_TIME: Duration = Duration::from_millis(400);
const LEAST_WINDOW: u64 = 12_000;
/// A rate below this share of the best one is a drop, and the best one is sought again.
const DROP: f64 = 0.75;
/// How long after the drop it is sought, and how much longer each further time, up to a longest pause.
const SEEK_FIRST: Duration = Duration::from_millis(2200);
const SEEK_SLOWER: f64 = 1.4;
const SEEK_LONGEST: Duration = Duration::from_millis(6500);
/// After this it is forgotten.
const FORGET: Duration = Duration::from_secs(120);
/// A sender with little to send looks this often whether more would go.
const IDLE_SEEK: Duration = Duration::from_secs(8);
/// Each probe that went through is followed by one of twice what it found.
const PROBE_STEP: f64 = 2.0;
/// A slower one would take too long.
const LEAST_PROBE: f64 = 150e3;
const PROBE_THROUGH: f64 = 0.7;
/// One of which less arrived met a full link, perhaps somebody else's share of it: it counts for half.
const PROBE_CLEAN: f64 = 0.85;
/// No probe while the queue is longer than this.
const QUIET_QUEUE: Duration = Duration::from_millis(35);
/// No report for this long, beyond the round trip, while packets are under way: less is sent.
const SILENCE: Duration = Duration::from_millis(600);
const SILENCE_STEP: Duration = Duration::from_millis(500);
const SILENCE_FACTOR: f64 = 0.7;
/// The least delay is looked for over this time, twice.
const BASE_WINDOW: Duration = Duration::from_secs(20);
/// A queue never shorter than this in half a second stands, and is drained.
const STANDING_WINDOW: Duration = Duration::from_millis(300);
const STANDING: Duration = Duration::from_millis(50);
const DRAIN_EVERY: Duration = Duration::from_millis(700);

/// What the estimate starts with and stays within, bit/s on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Before anything is known.
    pub start: f64,
    /// Never less.
    pub least: f64,
    /// Never more.
    pub most: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { start: 600e3, least: 40e3, most: 8e6 }
    }
}

/// The least one-way delay lately, and what is above it now.
#[derive(Debug, Default)]
struct Queue {
    /// Least of this window and of the one before, microseconds on no clock in particular.
    least: Option<(i64, i64)>,
    turned: Option<Instant>,
    above_us: i64,
    /// Least of what is above, in this short window and the one before.
    standing: (i64, i64),
    short: Option<Instant>,
}

impl Queue {
    fn on_delay(&mut self, now: Instant, delay_us: i64) {
        let turned = *self.turned.get_or_insert(now);
        let (this, before) = self.least.unwrap_or((delay_us, delay_us));
        self.least = match now.saturating_duration_since(turned) > BASE_WINDOW {
            true => {
                self.turned = Some(now);
                Some((delay_us, this))
            }
            false => Some((this.min(delay_us), before)),
        };
        self.above_us = delay_us - this.min(before).min(delay_us);
        let short = *self.short.get_or_insert(now);
        if now.saturating_duration_since(short) > STANDING_WINDOW {
            self.short = Some(now);
            self.standing = (self.above_us, self.standing.0);
        }
        self.standing.0 = self.standing.0.min(self.above_us);
    }

    fn standing(&self) -> Duration {
        Duration::from_micros(self.standing.0.min(self.standing.1).max(0) as u64)
    }
}

/// The best rate that was known to be carried, while the present one is far below it.
#[derive(Debug, Clone, Copy)]
struct Goal {
    rate: f64,
    since: Instant,
    next: Instant,
    pause: Duration,
}

/// The estimator. See the module's text.
#[derive(Debug)]
pub(super) struct Estimator {
    limits: Limits,
    start: Instant,
    history: History,
    trend: Trendline,
    throughput: Throughput,
    aimd: Aimd,
    loss: LossBased,
    rival: Rival,
    prober: Prober,
    queue: Queue,
    rtt: Option<Duration>,
    best: f64,
    goal: Option<Goal>,
    /// Packets sent in this time say nothing of the queue at the present rate: they were a probe, or behind one.
    quiet: Option<(Instant, Instant)>,
    first_sent: Option<Instant>,
    reported: Option<Instant>,
    silence_at: Option<Instant>,
    ticked: Option<Instant>,
    idle_since: Option<Instant>,
    over_at: Option<Instant>,
    drained_at: Option<Instant>,
    probed: bool,
    limited: bool,
}

impl Estimator {
    /// Knows nothing yet. `ssrcs` are those of sound, video and retransmissions.
    pub(super) fn new(now: Instant, limits: Limits, ssrcs: [u32; 3]) -> Self {
        Self {
            limits,
            start: now,
            history: History::new(ssrcs),
            trend: Trendline::default(),
            throughput: Throughput::default(),
            aimd: Aimd::new(limits.start),
            loss: LossBased::default(),
            rival: Rival::default(),
            prober: Prober::default(),
            queue: Queue::default(),
            rtt: None,
            best: 0.0,
            goal: None,
            quiet: None,
            first_sent: None,
            reported: None,
            silence_at: None,
            ticked: None,
            idle_since: None,
            over_at: None,
            drained_at: None,
            probed: false,
            limited: false,
        }
    }

    /// Packets take another way from now on: what is known of the old one says nothing.
    pub(super) fn restart(&mut self, now: Instant) {
        self.history.forget();
        self.prober.stop();
        let fresh = Self::new(self.start, self.limits, [0; 3]);
        let (history, prober) =
            (std::mem::replace(&mut self.history, History::new([0; 3])), std::mem::take(&mut self.prober));
        *self = Self { history, prober, ticked: Some(now), ..fresh };
    }

    /// The estimate, bit/s on the wire.
    pub(super) fn bps(&self) -> f64 {
        let alone = || self.loss.bound().map_or(self.aimd.rate(), |bound| bound.min(self.aimd.rate()));
        let rate = self.rival.rate().unwrap_or_else(alone);
        rate.clamp(self.limits.least, self.limits.most)
    }

    /// What arrives at the peer, bit/s.
    pub(super) fn acked_bps(&self) -> Option<f64> {
        self.throughput.bps()
    }

    /// Smoothed round-trip time from reports.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Fraction of the packets lost of late, 0 to 1.
    pub(super) fn loss(&self) -> f64 {
        self.loss.loss()
    }

    /// Time that packets wait on the way beyond the least seen lately.
    pub(super) fn queueing(&self) -> Duration {
        Duration::from_micros(self.queue.above_us.max(0) as u64)
    }

    /// Somebody else keeps the queue full.
    #[cfg(test)]
    pub(super) fn contested(&self) -> bool {
        self.rival.rate().is_some()
    }

    /// The probe to send packets for now, and its rate in bit/s.
    pub(super) fn probe(&self) -> Option<(u32, f64)> {
        self.prober.sending()
    }

    /// Bytes that may still be sent before reports must come.
    pub(super) fn window(&self) -> u64 {
        let window = match self.reported {
            None => FIRST_WINDOW,
            Some(_) => {
                let time = self.rtt.unwrap_or_default().min(Duration::from_secs(1)) + WINDOW_TIME;
                ((self.bps() * time.as_secs_f64() / 8.0) as u64).max(LEAST_WINDOW)
            }
        };
        window.saturating_sub(self.history.in_flight())
    }

    /// The sender has video to send: the first time, it is the first probe.
    pub(super) fn on_video(&mut self, now: Instant) {
        if self.first_sent.is_none() {
            self.first_sent = Some(now);
            self.prober.start_of(now, FIRST_PROBE_BPS.min(self.limits.most * 1.25), FIRST_PROBE_BYTES);
        }
    }

    /// A packet of `bytes` on the wire leaves. `probe` names the probe it belongs to, 0 for none.
    pub(super) fn on_sent(&mut self, now: Instant, stream: Stream, sequence: u16, bytes: u32, probe: u32) {
        self.history.on_sent(now, stream, sequence, bytes, probe);
        if self.prober.sending().is_some_and(|(number, _)| number == probe) {
            self.prober.on_sent(now, bytes);
            self.silence_around_probe();
        }
        if self.silence_at.is_none() {
            self.silence_at = Some(now + self.patience());
        }
    }

    fn silence_around_probe(&mut self) {
        if let Some((first, last)) = self.prober.sent() {
            // What the probe puts on top of the present rate drains in about this time.
            self.quiet = Some((first, last + (last - first) * 2 + Duration::from_millis(30)));
        }
    }

    fn patience(&self) -> Duration {
        SILENCE + self.rtt.unwrap_or_default()
    }

    /// Takes in a report. Says the round trip it shows, if it shows one.
    pub(super) fn on_report(&mut self, now: Instant, report: &Report) -> Option<Duration> {
        let news = self.history.on_report(now, report);
        if news.restarted {
            self.trend.restart();
            (self.throughput, self.queue) = (Throughput::default(), Queue::default());
        }
        if news.acked.is_empty() && news.lost == 0 {
            return None;
        }
        self.reported = Some(now);
        self.silence_at = (self.history.in_flight() > 0).then(|| now + self.patience());
        if let Some(rtt) = news.rtt {
            self.rtt = Some(self.rtt.map_or(rtt, |old| (old * 7 + rtt) / 8));
        }
        for acked in &news.acked {
            self.on_acked(now, acked);
        }
        let acked = self.acked_bps();
        self.loss.on_report(
            now,
            news.acked.len() as u32,
            news.lost,
            self.bps(),
            acked.filter(|_| !self.limited),
            self.queue.standing(),
        );
        self.rival.on_report(now, news.lost, self.rtt.unwrap_or(Duration::from_millis(100)), acked);
        self.on_outcome(now);
        self.follow_delay(now);
        news.rtt
    }

    fn on_acked(&mut self, now: Instant, acked: &Acked) {
        self.throughput.on_packet(acked.arrived_us, acked.bytes);
        self.prober.on_acked(acked);
        let sent_us = acked.sent.saturating_duration_since(self.start).as_micros() as i64;
        self.queue.on_delay(now, acked.arrived_us.saturating_sub(sent_us));
        let quiet = self.quiet.is_some_and(|(from, until)| acked.sent >= from && acked.sent <= until);
        if quiet || acked.probe != 0 {
            self.trend.cut();
        } else {
            self.trend.on_packet(acked.sent, acked.arrived_us);
        }
    }

    fn follow_delay(&mut self, now: Instant) {
        let mut usage = self.trend.usage();
        let rtt = self.rtt.unwrap_or(Duration::from_millis(100));
        let acked = self.throughput.bps().zip(self.throughput.peak_bps());
        let standing = self.queue.standing();
        let contested = self.rival.rate().is_some();
        self.rival.on_queue(now, standing);
        if contested {
            match self.rival.rate() {
                Some(rate) => self.aimd.set(now, rate),
                // The rival is gone, and the lull has emptied the queue.
                None => self.over_at = Some(now),
            }
            return self.remember_best(now);
        }
        if usage == Usage::Over {
            self.over_at = Some(now);
        }
        // A full queue no longer grows, and the gradient is blind to it.
        let drained = self.drained_at.is_some_and(|at| now.saturating_duration_since(at) < DRAIN_EVERY);
        if standing > STANDING && !drained && !self.limited {
            self.rival.on_drain(now, self.aimd.rate(), standing);
            self.drained_at = Some(now);
            usage = Usage::Over;
        }
        // While losses set the bound, the delay's part has nothing to raise.
        let bound = self.loss.bound().is_some_and(|bound| bound < self.aimd.rate());
        if !(bound && usage == Usage::Normal) {
            let limited = self.limited;
            self.aimd.update(now, usage, &Path { rtt, queueing: self.queueing(), acked, limited });
        }
        if self.aimd.rate() > self.limits.most {
            self.aimd.set(now, self.limits.most);
        }
        if self.aimd.rate() < self.limits.least {
            self.aimd.set(now, self.limits.least);
        }
        self.remember_best(now);
    }

    fn remember_best(&mut self, now: Instant) {
        let rate = self.bps();
        let proven = self.throughput.peak_bps().map_or(rate, |peak| rate.min(peak * 1.3));
        self.best = self.best.max(proven);
        match self.goal {
            None if rate < self.best * DROP && self.first_sent.is_some() && self.best > self.limits.start * 0.5 => {
                self.goal = Some(Goal { rate: self.best, since: now, next: now + SEEK_FIRST / 2, pause: SEEK_FIRST });
            }
            None => {
                // A best rate that is not held fades.
                self.best = self.best.min(rate / DROP);
            }
            Some(goal) if rate >= goal.rate * 0.93 || now.saturating_duration_since(goal.since) > FORGET => {
                (self.goal, self.best) = (None, rate);
            }
            Some(_) => {}
        }
    }

    fn on_outcome(&mut self, now: Instant) {
        let rtt = self.rtt.unwrap_or(Duration::from_millis(200));
        let Some(outcome) = self.prober.outcome(now, rtt) else { return };
        let first = !std::mem::replace(&mut self.probed, true);
        let Some(carried) = outcome.carried else {
            if first {
                self.prober.start(now, self.bps() * 3.0);
            }
            return;
        };
        let carried = carried.min(self.limits.most);
        let rate = self.aimd.rate();
        let through = carried / outcome.rate.min(self.limits.most);
        let found = match through {
            _ if first => carried.max(self.limits.least),
            PROBE_CLEAN.. => carried,
            PROBE_THROUGH.. => (carried + rate) / 2.0,
            _ => 0.0,
        };
        if first || found > rate {
            self.aimd.set(now, found);
        }
        self.remember_best(now);
        let wanted = self.goal.map_or(self.limits.most, |goal| goal.rate * 1.05).min(self.limits.most);
        if through >= PROBE_CLEAN && carried.max(self.bps()) < wanted * 0.93 {
            self.prober.start(now, (carried * PROBE_STEP).min(wanted * 1.1));
        }
    }

    /// Looks at what time brings about: silence, probes that are due. `hungry` says that there was video lately, and
    /// `limited` that the sender has less to send than the estimate allows.
    pub(super) fn handle_timeout(&mut self, now: Instant, hungry: bool, limited: bool) {
        if self.ticked.is_some_and(|at| now.saturating_duration_since(at) < TICK) {
            return;
        }
        self.ticked = Some(now);
        let lost = self.history.expire(now);
        if lost > 0 {
            self.loss.on_report(now, 0, lost, self.bps(), None, self.queue.standing());
        }
        self.on_outcome(now);
        if self.silence_at.is_some_and(|at| at <= now) {
            self.on_silence(now);
        }
        self.limited = limited;
        match limited {
            true => _ = self.idle_since.get_or_insert(now),
            false => self.idle_since = None,
        }
        let since = |at: Option<Instant>| at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        let calm = self.trend.usage() == Usage::Normal
            && self.queueing() < QUIET_QUEUE
            && since(self.over_at) > Duration::from_millis(700)
            && since(self.reported) < SILENCE;
        if !hungry || self.prober.busy() || !calm || self.rival.rate().is_some() {
            return;
        }
        let rate = self.bps();
        if let Some(goal) = self.goal.filter(|goal| goal.next <= now) {
            let pause = goal.pause.mul_f64(SEEK_SLOWER).min(SEEK_LONGEST);
            self.goal = Some(Goal { next: now + goal.pause, pause, ..goal });
            self.prober.start(now, (rate * PROBE_STEP).max(LEAST_PROBE).min(goal.rate * 1.1));
        } else if self.goal.is_none() && since(self.idle_since) != Duration::MAX && since(self.idle_since) > IDLE_SEEK {
            self.idle_since = Some(now);
            let enough = self.throughput.peak_bps().is_some_and(|peak| rate > peak * 2.0);
            if !enough && rate < self.limits.most * 0.93 {
                self.prober.start(now, (rate * PROBE_STEP).min(self.limits.most * 1.1));
            }
        }
    }

    fn on_silence(&mut self, now: Instant) {
        self.silence_at = Some(now + SILENCE_STEP);
        // A peer that never reported may not be there yet.
        let least = if self.reported.is_none() { self.limits.start / 2.0 } else { self.limits.least };
        let rate = self.bps();
        if rate > least {
            self.aimd.set(now, (rate * SILENCE_FACTOR).max(least));
            self.remember_best(now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` before the first packet.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.silence_at.or(self.first_sent)?;
        Some(self.ticked.map_or(self.start, |at| at + TICK))
    }
}
