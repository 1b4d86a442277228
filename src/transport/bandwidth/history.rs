//! What was sent and not yet answered for. Pure and bounded.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::feedback::{MAX_OFFSET, Report};
use super::{Stream, extend};

/// Packets remembered.
pub(super) const MAX_SENT: usize = 8192;
/// A packet nobody reported on by then never counts.
const MAX_AGE: Duration = Duration::from_secs(3);
/// One that others passed on the way is lost by then.
const PASSED_AGE: Duration = Duration::from_millis(900);
/// A report's time may differ from the one before by this much; else the peer's clock starts anew.
const MAX_STEP_TICKS: i64 = 65_536 * 20;

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    bytes: u32,
    probe: u32,
    number: u64,
    /// A report said that it did not arrive. It may have been overtaken: the second one decides.
    missed: bool,
}

/// A packet the peer says it received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Acked {
    /// When it left.
    pub(super) sent: Instant,
    /// When it arrived, microseconds on the peer's clock.
    pub(super) arrived_us: i64,
    /// Its size on the wire.
    pub(super) bytes: u32,
    /// The probe it belongs to, 0 for none.
    pub(super) probe: u32,
    /// Its place in the order of sending.
    pub(super) number: u64,
}

/// What a report told that was not known.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Packets that arrived, in the order they were sent.
    pub(super) acked: Vec<Acked>,
    /// Packets lost.
    pub(super) lost: u32,
    /// The round trip of the newest packet, without the time the peer kept it.
    pub(super) rtt: Option<Duration>,
    /// The peer's clock jumped: times before and after cannot be compared.
    pub(super) restarted: bool,
}

fn to_micros(ticks: i64) -> i64 {
    (i128::from(ticks) * 1_000_000 / 65_536) as i64
}

/// The packets under way.
#[derive(Debug)]
pub(super) struct History {
    ssrcs: [u32; 3],
    sent: [BTreeMap<u64, Sent>; 3],
    highest: [u64; 3],
    next: u64,
    /// The newest packet that arrived, in the order of sending.
    newest: u64,
    in_flight: u64,
    /// The peer's clock: its last report time, and that in ticks of 1/65,536 s without wrapping.
    clock: Option<(u32, i64)>,
}

impl History {
    /// Nothing sent. `ssrcs` are those of sound, video and retransmissions.
    pub(super) fn new(ssrcs: [u32; 3]) -> Self {
        Self { ssrcs, sent: Default::default(), highest: [1 << 16; 3], next: 1, newest: 0, in_flight: 0, clock: None }
    }

    /// Bytes sent and not answered for.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Forgets what is under way: it went another way.
    pub(super) fn forget(&mut self) {
        self.sent.iter_mut().for_each(BTreeMap::clear);
        self.in_flight = 0;
    }

    /// A packet of `bytes` on the wire leaves.
    pub(super) fn on_sent(&mut self, now: Instant, stream: Stream, sequence: u16, bytes: u32, probe: u32) {
        let at = stream as usize;
        let number = extend(self.highest[at], sequence);
        self.highest[at] = self.highest[at].max(number);
        let sent = Sent { at: now, bytes, probe, number: self.next, missed: false };
        self.next += 1;
        self.in_flight += u64::from(bytes);
        if let Some(old) = self.sent[at].insert(number, sent) {
            self.in_flight -= u64::from(old.bytes);
        }
        if self.sent[at].len() > MAX_SENT
            && let Some((_, first)) = self.sent[at].pop_first()
        {
            self.in_flight -= u64::from(first.bytes);
        }
    }

    /// Forgets what nobody reports on any more. A stream's last packets, when lost, are never reported: they count as
    /// lost when later ones of other streams arrived. Says how many those are.
    pub(super) fn expire(&mut self, now: Instant) -> u32 {
        let mut lost = 0;
        for sent in &mut self.sent {
            while let Some(first) = sent.first_entry() {
                let Sent { at, bytes, number, .. } = *first.get();
                let age = now.saturating_duration_since(at);
                let passed = number < self.newest && age > PASSED_AGE;
                if !passed && age <= MAX_AGE {
                    break;
                }
                lost += u32::from(passed);
                first.remove();
                self.in_flight -= u64::from(bytes);
            }
        }
        lost
    }

    /// Takes in what the peer reports. What was never sent, or was answered for already, counts for nothing.
    pub(super) fn on_report(&mut self, now: Instant, report: &Report) -> News {
        let mut news = News::default();
        let base = match self.clock {
            None => 0,
            Some((last, ticks)) => {
                let step = i64::from(report.time.wrapping_sub(last).cast_signed());
                news.restarted = step.abs() > MAX_STEP_TICKS;
                if news.restarted { 0 } else { ticks + step }
            }
        };
        if self.clock.is_none_or(|(_, ticks)| base > ticks) || news.restarted {
            self.clock = Some((report.time, base));
        }
        for block in &report.blocks {
            let Some(at) = self.ssrcs.iter().position(|ssrc| *ssrc == block.ssrc) else { continue };
            let begin = extend(self.highest[at], block.begin);
            for (number, arrival) in (begin..).zip(&block.arrivals) {
                let Some(sent) = self.sent[at].get_mut(&number) else { continue };
                let bytes = u64::from(sent.bytes);
                match arrival {
                    None if !sent.missed => {
                        sent.missed = true;
                        continue;
                    }
                    None => news.lost += 1,
                    Some(offset) if *offset <= MAX_OFFSET => {
                        let arrived_us = to_micros(base - i64::from(*offset) * 64);
                        let Sent { at: left, bytes, probe, number, .. } = *sent;
                        news.acked.push(Acked { sent: left, arrived_us, bytes, probe, number });
                        let kept = Duration::from_micros(u64::from(*offset) * 1_000_000 / 1024);
                        let rtt = now.saturating_duration_since(left).saturating_sub(kept);
                        news.rtt = Some(news.rtt.map_or(rtt, |least| least.min(rtt)).max(Duration::from_micros(1)));
                    }
                    Some(_) => {}
                }
                self.in_flight -= bytes;
                self.sent[at].remove(&number);
            }
        }
        news.acked.sort_unstable_by_key(|acked| acked.number);
        self.newest = news.acked.last().map_or(self.newest, |acked| acked.number.max(self.newest));
        news
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.sent.iter().map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::feedback::Block;
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn report(time_ms: u32, ssrc: u32, begin: u16, arrivals: &[Option<u16>]) -> Report {
        let blocks = vec![Block { ssrc, begin, arrivals: arrivals.to_vec() }];
        Report { time: (time_ms * 1024 / 1000) << 6, blocks }
    }

    #[test]
    fn arrivals_come_back_once_with_times_and_the_true_round_trip() {
        let (mut history, start) = (History::new([1, 2, 3]), Instant::now());
        for seq in [65_535, 0, 1] {
            history.on_sent(start, Stream::Video, seq, 1000, 0);
        }
        assert_eq!(history.in_flight(), 3000);
        let news = history.on_report(start + 140 * MS, &report(1000, 2, 65_535, &[Some(102), None, Some(20)]));
        assert_eq!((news.acked.len(), news.lost), (2, 0));
        assert_eq!((news.acked[1].arrived_us - news.acked[0].arrived_us + 500) / 1000, 80);
        assert!((news.rtt.unwrap().as_millis() as i64 - 40).abs() <= 1, "{:?}", news.rtt);
        let again = history.on_report(start + 190 * MS, &report(1050, 2, 65_535, &[Some(102), None, Some(20)]));
        assert_eq!((again.acked.len(), again.lost, history.in_flight()), (0, 1, 0));
    }

    #[test]
    fn what_was_never_sent_counts_for_nothing() {
        let (mut history, start) = (History::new([1, 2, 3]), Instant::now());
        history.on_sent(start, Stream::Audio, 10, 100, 0);
        for (ssrc, begin) in [(9, 10), (2, 10), (1, 11)] {
            let news = history.on_report(start, &report(5, ssrc, begin, &[Some(0); 200]));
            assert!(news.acked.is_empty() && news.lost == 0);
        }
        assert_eq!(history.in_flight(), 100);
    }

    #[test]
    fn memory_is_bounded_with_nobody_reporting() {
        let (mut history, start) = (History::new([1, 2, 3]), Instant::now());
        for n in 0..50_000u32 {
            history.on_sent(start, Stream::Video, n as u16, 1000, 0);
        }
        assert_eq!(history.len(), MAX_SENT);
        assert_eq!(history.expire(start + 10_000 * MS), 0);
        assert_eq!((history.len(), history.in_flight()), (0, 0));
    }

    #[test]
    fn lost_packets_at_the_end_of_a_stream_are_lost_once_others_came_through() {
        let (mut history, start) = (History::new([1, 2, 3]), Instant::now());
        history.on_sent(start, Stream::Video, 1, 1000, 0);
        history.on_sent(start, Stream::Audio, 1, 100, 0);
        history.on_report(start + 50 * MS, &report(50, 1, 1, &[Some(0)]));
        assert_eq!((history.expire(start + 500 * MS), history.in_flight()), (0, 1000));
        assert_eq!((history.expire(start + 1000 * MS), history.in_flight()), (1, 0));
    }

    proptest! {
        #[test]
        fn any_report_is_taken_without_harm(
            reports in prop::collection::vec((any::<u32>(), 0u32..5, any::<u16>(), prop::collection::vec(prop::option::of(any::<u16>()), 0..300)), 0..20),
        ) {
            let (mut history, start) = (History::new([1, 2, 3]), Instant::now());
            for seq in 0..500u16 {
                history.on_sent(start + u32::from(seq) * MS, Stream::Video, seq.wrapping_mul(131), 1200, 0);
            }
            let before = history.in_flight();
            let mut answered = 0;
            for (time, ssrc, begin, arrivals) in reports {
                let blocks = vec![Block { ssrc, begin, arrivals }];
                let news = history.on_report(start + 600 * MS, &Report { time, blocks });
                answered += news.acked.iter().map(|a| u64::from(a.bytes)).sum::<u64>();
            }
            prop_assert!(history.in_flight() + answered <= before);
        }
    }
}
