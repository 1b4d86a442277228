//! How fast packets arrive at the other end. Pure.

use std::collections::VecDeque;

/// Packets remembered.
const MAX_PACKETS: usize = 4096;
/// The time a rate is taken over, by the peer's clock.
const WINDOW_US: i64 = 350_000;
/// And how long a highest rate is remembered.
const PEAK_US: i64 = 1_500_000;
/// No rate is told before this much time is covered.
const LEAST_US: i64 = 120_000;
/// Times this far apart are no run of packets.
const GAP_US: i64 = 20_000_000;

/// The throughput the peer acknowledges.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    packets: VecDeque<(i64, u32)>,
    bytes: u64,
    since: Option<i64>,
    peaks: VecDeque<(i64, f64)>,
}

impl Throughput {
    /// A packet of `bytes` arrived at this time, microseconds on the peer's clock.
    pub(super) fn on_packet(&mut self, arrived_us: i64, bytes: u32) {
        let last = self.packets.back().map_or(arrived_us, |(at, _)| *at);
        if (arrived_us - last).abs() > GAP_US {
            *self = Self::default();
        }
        self.since.get_or_insert(arrived_us);
        // A late one counts as just arrived: the order stays.
        let at = self.packets.back().map_or(arrived_us, |(at, _)| arrived_us.max(*at));
        self.packets.push_back((at, bytes));
        self.bytes += u64::from(bytes);
        while let Some((first, bytes)) = self.packets.front().copied() {
            if first > at - WINDOW_US && self.packets.len() <= MAX_PACKETS {
                break;
            }
            self.packets.pop_front();
            self.bytes -= u64::from(bytes);
        }
        if let Some(rate) = self.bps() {
            while self.peaks.back().is_some_and(|(_, peak)| *peak <= rate) {
                self.peaks.pop_back();
            }
            self.peaks.push_back((at, rate));
            while self.peaks.front().is_some_and(|(peaked, _)| *peaked < at - PEAK_US) {
                self.peaks.pop_front();
            }
        }
    }

    /// Bits per second over the last 350 ms.
    pub(super) fn bps(&self) -> Option<f64> {
        let (last, _) = self.packets.back()?;
        let covered = (last - self.since?).min(WINDOW_US);
        (covered >= LEAST_US).then(|| self.bytes as f64 * 8e6 / covered as f64)
    }

    /// The highest of the last one and a half seconds.
    pub(super) fn peak_bps(&self) -> Option<f64> {
        self.peaks.front().map(|(_, peak)| *peak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_its_peak_outlives_a_pause() {
        let mut throughput = Throughput::default();
        for n in 0..200 {
            throughput.on_packet(n * 10_000, 1250);
            assert_eq!(throughput.bps().is_some(), n >= 12);
        }
        assert!((throughput.bps().unwrap() - 1e6).abs() < 5e4, "{:?}", throughput.bps());
        throughput.on_packet(2_700_000, 1250);
        assert!(throughput.bps().unwrap() < 1e5);
        assert!((throughput.peak_bps().unwrap() - 1e6).abs() < 5e4);
    }

    #[test]
    fn times_from_anywhere_do_no_harm() {
        let mut throughput = Throughput::default();
        for n in 0..20_000i64 {
            throughput.on_packet(if n % 7 == 0 { i64::MIN / 4 } else { n * n * 1000 }, u32::MAX / 2);
            assert!(throughput.packets.len() <= MAX_PACKETS + 1 && throughput.peaks.len() <= MAX_PACKETS);
        }
    }
}
