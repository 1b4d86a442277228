//! Which RTP packets are missing, and when to ask for them again (generic NACK, RFC 4585 section 6.2.1).
//!
//! Pure. A hole is asked for after a short pause, because packets overtake each other, then again once per round trip,
//! a bounded number of times: on a full bottleneck, endless requests are what keeps it full. Retransmissions come on a
//! stream of their own (RFC 4588) and are reported here by their original number, so that nothing is asked for twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Pause before the first request: packets that merely overtook each other arrive within it.
const REORDER_PAUSE: Duration = Duration::from_millis(4);
/// Pause between requests while the round-trip time is unknown.
const UNKNOWN_RTT_PAUSE: Duration = Duration::from_millis(60);
const LEAST_PAUSE: Duration = Duration::from_millis(20);
/// Requests for one packet before it is given up.
pub const MAX_REQUESTS: u8 = 5;
/// Age at which a packet is no longer worth asking for.
const MAX_AGE: Duration = Duration::from_millis(600);
/// Most packets missing at once. A larger hole is a broken path: only a key frame helps, and the frames' gap asks for it.
pub const MAX_MISSING: usize = 512;

#[derive(Debug)]
struct Hole {
    since: Instant,
    due: Instant,
    requests: u8,
}

/// The holes in one stream's sequence numbers.
#[derive(Debug, Default)]
pub struct LossLog {
    highest: Option<u64>,
    first: u64,
    holes: BTreeMap<u64, Hole>,
    received: u64,
    window: (u64, u64),
    fraction: f32,
}

impl LossLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet of the stream itself came in.
    pub fn on_packet(&mut self, now: Instant, sequence: u16) {
        let Some(highest) = self.highest else {
            let number = (1 << 16) + u64::from(sequence);
            (self.first, self.highest, self.received) = (number, Some(number), 1);
            self.window = (number.saturating_sub(1), 0);
            return;
        };
        self.received += 1;
        let number = extend(highest, sequence);
        if number <= highest {
            self.holes.remove(&number);
            return;
        }
        self.highest = Some(number);
        if number - highest - 1 > MAX_MISSING as u64 {
            self.holes.clear();
            return;
        }
        for missing in highest + 1..number {
            self.holes.insert(missing, Hole { since: now, due: now + REORDER_PAUSE, requests: 0 });
        }
        while self.holes.len() > MAX_MISSING {
            self.holes.pop_first();
        }
    }

    /// A retransmission brought the packet with this number.
    pub fn on_repaired(&mut self, sequence: u16) {
        if let Some(highest) = self.highest {
            self.holes.remove(&extend(highest, sequence));
        }
    }

    /// The packets to ask for now, in order. `rtt` sets when they would be asked for again.
    pub fn requests(&mut self, now: Instant, rtt: Option<Duration>) -> Vec<u16> {
        let pause = rtt.map_or(UNKNOWN_RTT_PAUSE, |rtt| (rtt + rtt / 4 + REORDER_PAUSE).max(LEAST_PAUSE));
        let mut out = Vec::new();
        self.holes.retain(|&number, hole| {
            if hole.due > now {
                return true;
            }
            if hole.requests >= MAX_REQUESTS || now.saturating_duration_since(hole.since) > MAX_AGE {
                return false;
            }
            hole.requests += 1;
            hole.due = now + pause;
            out.push(number as u16);
            true
        });
        out
    }

    /// When [`Self::requests`] has something to say.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.holes.values().map(|hole| hole.due).min()
    }

    /// Closes a window of measurement: the fraction of packets lost before repair since the last call (RFC 3550 section
    /// 6.4.1 by another clock), 0 to 1.
    pub fn measure(&mut self) -> f32 {
        if let Some(highest) = self.highest {
            let expected = highest - self.window.0;
            let received = self.received - self.window.1;
            if expected > 0 {
                self.fraction = (expected.saturating_sub(received) as f32 / expected as f32).clamp(0.0, 1.0);
                self.window = (highest, self.received);
            }
        }
        self.fraction
    }

    /// Packets lost before repair since the start.
    pub fn lost(&self) -> u64 {
        self.highest.map_or(0, |highest| (highest + 1 - self.first).saturating_sub(self.received))
    }
}

/// The extended number nearest to `reference` whose low 16 bits are `sequence` (RFC 3711 section 3.3.1 in spirit).
fn extend(reference: u64, sequence: u16) -> u64 {
    reference.wrapping_add_signed(i64::from(sequence.wrapping_sub(reference as u16).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_hole_is_asked_for_after_a_pause_and_then_once_per_round_trip() {
        let (mut log, start) = (LossLog::new(), Instant::now());
        log.on_packet(start, 10);
        log.on_packet(start, 13);
        assert!(log.requests(start, None).is_empty());
        assert_eq!(log.poll_timeout(), Some(start + REORDER_PAUSE));
        let at = start + REORDER_PAUSE;
        assert_eq!(log.requests(at, Some(40 * MS)), [11, 12]);
        assert!(log.requests(at + 53 * MS, Some(40 * MS)).is_empty());
        assert_eq!(log.requests(at + 54 * MS, Some(40 * MS)), [11, 12]);
    }

    #[test]
    fn what_came_late_or_repaired_is_not_asked_for() {
        let (mut log, start) = (LossLog::new(), Instant::now());
        for sequence in [65_534, 2, 65_535] {
            log.on_packet(start, sequence);
        }
        log.on_repaired(0);
        assert_eq!(log.requests(start + REORDER_PAUSE, None), [1]);
        log.on_repaired(1);
        assert_eq!(log.poll_timeout(), None);
    }

    #[test]
    fn requests_for_one_packet_end() {
        let (mut log, start) = (LossLog::new(), Instant::now());
        log.on_packet(start, 0);
        log.on_packet(start, 2);
        let asked: usize = (0..100).map(|i| log.requests(start + 20 * i * MS, Some(MS)).len()).sum();
        assert_eq!(asked, usize::from(MAX_REQUESTS));
        assert_eq!(log.poll_timeout(), None);
    }

    #[test]
    fn a_jump_asks_for_nothing_and_holds_nothing() {
        let (mut log, start) = (LossLog::new(), Instant::now());
        log.on_packet(start, 0);
        log.on_packet(start, 20_000);
        assert_eq!(log.poll_timeout(), None);
        for i in 0..2000u16 {
            log.on_packet(start, 20_000u16.wrapping_add(i * 5));
            assert!(log.holes.len() <= MAX_MISSING);
        }
    }

    #[test]
    fn loss_is_measured_before_repair() {
        let (mut log, start) = (LossLog::new(), Instant::now());
        for sequence in (0..100).filter(|s| s % 10 != 5) {
            log.on_packet(start, sequence);
        }
        log.on_repaired(5);
        assert!((log.measure() - 0.1).abs() < 0.011, "{}", log.measure());
        assert_eq!(log.lost(), 10);
        for sequence in 100..200 {
            log.on_packet(start, sequence);
        }
        assert_eq!(log.measure(), 0.0);
    }
}
