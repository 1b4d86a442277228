//! Probes: a few packets sent faster than the rate, to see how fast they arrive. Pure.

use std::time::{Duration, Instant};

use super::history::Acked;

/// A probe lasts at least this long and has at least this many packets.
const DURATION: Duration = Duration::from_millis(25);
const LEAST_PACKETS: u32 = 5;
const LEAST_BYTES: u64 = 4500;
/// Answers that come later than this after a probe's end are not waited for.
const PATIENCE: Duration = Duration::from_millis(800);
/// A probe that was not sent within this time is given up.
const TIME_TO_SEND: Duration = Duration::from_millis(600);
/// Share of a probe that must arrive.
const LEAST_ARRIVED: f64 = 0.5;

/// A probe on its way.
#[derive(Debug)]
struct Flight {
    number: u32,
    rate: f64,
    wanted: u64,
    started: Instant,
    sent_bytes: u64,
    sent_packets: u32,
    sent_at: Option<(Instant, Instant)>,
    acked: Vec<Acked>,
}

/// Runs one probe at a time.
#[derive(Debug, Default)]
pub(super) struct Prober {
    flight: Option<Flight>,
    last_number: u32,
}

/// A probe's outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    /// The rate at which it was sent, bit/s.
    pub(super) rate: f64,
    /// What the path was seen to carry; `None` if that was not to be learned.
    pub(super) carried: Option<f64>,
}

impl Prober {
    /// Starts a probe at `rate` bit/s. Does nothing while another is under way.
    pub(super) fn start(&mut self, now: Instant, rate: f64) {
        self.start_of(now, rate, ((rate * DURATION.as_secs_f64() / 8.0) as u64).max(LEAST_BYTES));
    }

    /// Starts one of `wanted` bytes.
    pub(super) fn start_of(&mut self, now: Instant, rate: f64, wanted: u64) {
        if self.flight.is_some() {
            return;
        }
        self.last_number = self.last_number.wrapping_add(1).max(1);
        self.flight = Some(Flight {
            number: self.last_number,
            rate,
            wanted,
            started: now,
            sent_bytes: 0,
            sent_packets: 0,
            sent_at: None,
            acked: Vec::new(),
        });
    }

    /// Gives up the present probe.
    pub(super) fn stop(&mut self) {
        self.flight = None;
    }

    /// When the first and the last packet of the present probe left.
    pub(super) fn sent(&self) -> Option<(Instant, Instant)> {
        self.flight.as_ref()?.sent_at
    }

    /// Whether a probe is being sent or its answer awaited.
    pub(super) fn busy(&self) -> bool {
        self.flight.is_some()
    }

    /// The probe whose packets are to be sent now, and its rate.
    pub(super) fn sending(&self) -> Option<(u32, f64)> {
        self.flight.as_ref().filter(|flight| !flight.complete()).map(|flight| (flight.number, flight.rate))
    }

    /// A packet of the probe left.
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u32) {
        if let Some(flight) = self.flight.as_mut().filter(|flight| !flight.complete()) {
            flight.sent_bytes += u64::from(bytes);
            flight.sent_packets += 1;
            flight.sent_at = Some((flight.sent_at.map_or(now, |(first, _)| first), now));
        }
    }

    /// Takes in an arrival.
    pub(super) fn on_acked(&mut self, acked: &Acked) {
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.number == acked.probe)
            && flight.acked.len() < 512
        {
            flight.acked.push(*acked);
        }
    }

    /// The outcome, once: when everything arrived, or it has taken too long.
    pub(super) fn outcome(&mut self, now: Instant, rtt: Duration) -> Option<Outcome> {
        let flight = self.flight.as_ref()?;
        let arrived = flight.acked.len() as u32;
        let (finished, over) = match flight.sent_at {
            Some((_, last)) if flight.complete() => {
                (arrived >= flight.sent_packets, now.saturating_duration_since(last) > rtt + PATIENCE)
            }
            _ => (false, now.saturating_duration_since(flight.started) > TIME_TO_SEND),
        };
        // A lost packet would hold it up; a report after the next one says that it is lost.
        let most = flight.complete()
            && f64::from(arrived) >= f64::from(flight.sent_packets) * LEAST_ARRIVED
            && flight.sent_at.is_some_and(|(_, last)| now.saturating_duration_since(last) > rtt + 2 * DURATION * 3);
        if !finished && !over && !most {
            return None;
        }
        let flight = self.flight.take()?;
        let measured = flight.measured();
        // Sent more slowly than meant: a busy machine, or nothing to send.
        let rate = measured.map_or(flight.rate, |(sent, _)| sent.min(flight.rate));
        Some(Outcome { rate, carried: measured.map(|(_, carried)| carried) })
    }
}

impl Flight {
    fn complete(&self) -> bool {
        self.sent_packets >= LEAST_PACKETS && self.sent_bytes >= self.wanted
    }

    /// The rates at which it left and arrived.
    fn measured(&self) -> Option<(f64, f64)> {
        if !self.complete() || (self.acked.len() as f64) < f64::from(self.sent_packets) * LEAST_ARRIVED {
            return None;
        }
        let first_sent = self.acked.iter().map(|acked| acked.sent).min()?;
        let last_sent = self.acked.iter().map(|acked| acked.sent).max()?;
        let first = self.acked.iter().min_by_key(|acked| acked.arrived_us)?;
        let last = self.acked.iter().max_by_key(|acked| acked.arrived_us)?;
        let last_sent_bytes = self.acked.iter().max_by_key(|acked| acked.number)?.bytes;
        let total: u64 = self.acked.iter().map(|acked| u64::from(acked.bytes)).sum();
        let bps = |bytes: u64, us: i64| bytes as f64 * 8e6 / us as f64;
        let send_us = last_sent.saturating_duration_since(first_sent).as_micros() as i64;
        let arrival_us = last.arrived_us - first.arrived_us;
        // The clocks' grain makes shorter times meaningless.
        if send_us < 4_000 || arrival_us < 2_000 {
            return None;
        }
        let sent = bps(total - u64::from(last_sent_bytes), send_us);
        let arrived = bps(total - u64::from(first.bytes), arrival_us);
        if arrived / sent > 2.0 {
            return None;
        }
        // The path was full: a little below what it carried, so that no queue stands.
        let carried = if arrived < 0.9 * sent { 0.95 * arrived } else { arrived.min(sent) };
        Some((sent, carried.min(self.rate * 1.2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A probe at 4 Mbit/s over a link of `link` bit/s that loses the packets `lost`.
    fn probe(link: f64, lost: &[u32]) -> Option<Outcome> {
        let (mut prober, start) = (Prober::default(), Instant::now());
        prober.start(start, 4e6);
        let (mut at, mut free, mut packets) = (start, 0.0f64, Vec::new());
        while let Some((probe, rate)) = prober.sending() {
            prober.on_sent(at, 1200);
            let sent_us = at.saturating_duration_since(start).as_micros() as f64;
            free = free.max(sent_us) + 9600.0 / link * 1e6;
            let number = packets.len() as u64;
            packets.push(Acked { sent: at, arrived_us: free as i64, bytes: 1200, probe, number });
            at += Duration::from_secs_f64(9600.0 / rate);
        }
        for (n, acked) in packets.iter().enumerate().filter(|(n, _)| !lost.contains(&(*n as u32))) {
            assert_eq!(prober.outcome(at, 50 * MS), None, "before packet {n}");
            prober.on_acked(acked);
        }
        prober.outcome(at + 400 * MS, 50 * MS)
    }

    #[test]
    fn a_probe_tells_what_the_path_carried() {
        let carried = |link, lost: &[u32]| probe(link, lost).unwrap().carried;
        assert!((carried(50e6, &[]).unwrap() - 4e6).abs() < 0.1e6);
        assert!((carried(1e6, &[]).unwrap() - 0.95e6).abs() < 0.02e6);
        assert!((carried(1e6, &[3]).unwrap() - 0.87e6).abs() < 0.03e6, "{:?}", carried(1e6, &[3]));
    }

    #[test]
    fn a_probe_that_nobody_answers_tells_nothing() {
        let (mut prober, start) = (Prober::default(), Instant::now());
        prober.start(start, 4e6);
        for n in 0..20 {
            prober.on_sent(start + n * MS, 1200);
        }
        assert_eq!(prober.outcome(start + 500 * MS, 50 * MS), None);
        assert_eq!(prober.outcome(start + 900 * MS, 50 * MS), Some(Outcome { rate: 4e6, carried: None }));
        assert!(!prober.busy());
    }
}
