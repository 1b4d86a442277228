//! When each packet arrived: what the receiver notes, and the report of it (RFC 8888).
//!
//! Pure. Every report also covers the packets of the one before it, so that a report lost on the way leaves no hole.
//! The times in it count from the path's start, not from a wall clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Stream, extend};

/// Packets of one stream that a report covers at most.
pub const MAX_COVERED: usize = 240;
/// The largest arrival offset a report can name (RFC 8888 section 3.1), in 1/1024 s.
pub const MAX_OFFSET: u16 = 0x1FFD;
/// Pause between reports.
const INTERVAL: Duration = Duration::from_millis(50);
const LONGEST_INTERVAL: Duration = Duration::from_millis(150);
/// The first reports follow faster: the sender knows nothing of the path yet.
const FIRST_INTERVAL: Duration = Duration::from_millis(6);
const FIRST_REPORTS: u32 = 20;
/// Reports may take this share of what comes in.
const SHARE: f64 = 0.04;
/// Bytes of a report besides its entries: RTCP, blocks, SRTCP, UDP and IP.
const REPORT_BYTES: f64 = 96.0;

/// What one report says of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The stream's synchronisation source.
    pub ssrc: u32,
    /// Sequence number of the first packet covered.
    pub begin: u16,
    /// For each packet from `begin` on: `None` if it did not arrive, else how long before the report's time it did, in
    /// 1/1024 s. Values above [`MAX_OFFSET`] mean that the time is not known.
    pub arrivals: Vec<Option<u16>>,
}

/// One report of arrivals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The report's time, 1/65,536 s, wrapping.
    pub time: u32,
    /// One block for each stream.
    pub blocks: Vec<Block>,
}

#[derive(Debug)]
struct StreamLog {
    ssrc: u32,
    /// Extended number of the first entry of `arrivals`, which is where the next report begins.
    begin: u64,
    /// Where the next report's news begin.
    news: u64,
    arrivals: VecDeque<Option<Instant>>,
    fresh: bool,
}

impl StreamLog {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let begin = (1 << 16) + u64::from(sequence);
        Self { ssrc, begin, news: begin, arrivals: VecDeque::new(), fresh: false }
    }

    fn on_packet(&mut self, now: Instant, sequence: u16) {
        let end = self.begin + self.arrivals.len() as u64;
        let number = extend(end, sequence);
        if number < self.begin {
            return;
        }
        if number >= end + MAX_COVERED as u64 {
            // A jump: what is between will never be reported.
            *self = Self::new(self.ssrc, sequence);
            return self.on_packet(now, sequence);
        }
        let at = (number - self.begin) as usize;
        if self.arrivals.len() <= at {
            self.arrivals.resize(at + 1, None);
        }
        self.arrivals[at].get_or_insert(now);
        self.fresh = true;
        while self.arrivals.len() > MAX_COVERED {
            self.arrivals.pop_front();
            self.begin += 1;
        }
        self.news = self.news.max(self.begin);
    }

    fn report(&mut self, start: Instant, ticks: u64) -> Option<Block> {
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        let offset = |at: &Instant| ticks.saturating_sub(to_ticks(start, *at)).min(u64::from(MAX_OFFSET)) as u16;
        let arrivals = self.arrivals.iter().map(|at| at.as_ref().map(offset)).collect();
        let block = Block { ssrc: self.ssrc, begin: self.begin as u16, arrivals };
        let old = (self.news - self.begin) as usize;
        self.arrivals.drain(..old);
        self.begin = self.news;
        self.news = self.begin + self.arrivals.len() as u64;
        Some(block)
    }
}

fn to_ticks(start: Instant, at: Instant) -> u64 {
    (at.saturating_duration_since(start).as_micros() as u64).saturating_mul(1024) / 1_000_000
}

/// Notes arrivals, and says when and what to report.
#[derive(Debug)]
pub struct ArrivalLog {
    start: Instant,
    streams: [Option<StreamLog>; 3],
    due: Option<Instant>,
    last: Option<Instant>,
    pause: Duration,
    reports: u32,
    bytes: u64,
}

impl ArrivalLog {
    /// An empty log. Report times count from `start`.
    pub fn new(start: Instant) -> Self {
        Self { start, streams: [const { None }; 3], due: None, last: None, pause: FIRST_INTERVAL, reports: 0, bytes: 0 }
    }

    /// A packet of `bytes` came. A stream whose source changes starts anew.
    pub fn on_packet(&mut self, now: Instant, stream: Stream, ssrc: u32, sequence: u16, bytes: usize) {
        let log = &mut self.streams[stream as usize];
        if log.as_ref().is_none_or(|log| log.ssrc != ssrc) {
            *log = Some(StreamLog::new(ssrc, sequence));
        }
        if let Some(log) = log {
            log.on_packet(now, sequence);
        }
        self.bytes += bytes as u64;
        if self.due.is_none() {
            self.due = Some(self.last.map_or(now + FIRST_INTERVAL, |last| now.max(last + self.pause)));
        }
    }

    /// The pause after this report, so that reports keep to their share of what came since the last one.
    fn pause(&self, now: Instant, entries: usize) -> Duration {
        if self.reports < FIRST_REPORTS {
            return FIRST_INTERVAL;
        }
        let cost = REPORT_BYTES + 2.0 * entries as f64;
        let passed = self.last.map_or(INTERVAL, |last| now.saturating_duration_since(last)).max(FIRST_INTERVAL);
        let rate = self.bytes as f64 / passed.as_secs_f64();
        Duration::from_secs_f64((cost / (rate * SHARE).max(1.0)).min(1.0)).clamp(INTERVAL, LONGEST_INTERVAL)
    }

    /// When [`Self::report`] has something to say.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The report that is due, if one is.
    pub fn report(&mut self, now: Instant) -> Option<Report> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let ticks = to_ticks(self.start, now);
        let blocks: Vec<Block> =
            self.streams.iter_mut().flatten().filter_map(|log| log.report(self.start, ticks)).collect();
        self.pause = self.pause(now, blocks.iter().map(|block| block.arrivals.len()).sum());
        (self.due, self.last, self.bytes) = (None, Some(now), 0);
        self.reports = self.reports.saturating_add(1);
        // A whole number of 1/1024 s, so that the same arrival is rounded the same way in each report.
        (!blocks.is_empty()).then_some(Report { time: (ticks << 6) as u32, blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_report_covers_what_came_and_what_is_missing_twice() {
        let start = Instant::now();
        let mut log = ArrivalLog::new(start);
        for (at, seq) in [(0, 65_534), (1, 65_535), (3, 1)] {
            log.on_packet(start + at * MS, Stream::Video, 7, seq, 1000);
        }
        assert_eq!(log.report(start), None);
        let due = log.poll_timeout().unwrap();
        let report = log.report(due).unwrap();
        let Block { ssrc, begin, arrivals } = &report.blocks[0];
        assert_eq!((*ssrc, *begin, arrivals.len()), (7, 65_534, 4));
        assert_eq!(arrivals[2], None);
        log.on_packet(due + MS, Stream::Video, 7, 0, 1000);
        log.on_packet(due + MS, Stream::Video, 7, 2, 1000);
        let report = log.report(due + 200 * MS).unwrap();
        assert_eq!(report.blocks[0].begin, 65_534);
        assert!(report.blocks[0].arrivals.iter().all(Option::is_some), "{report:?}");
        log.on_packet(due + 300 * MS, Stream::Video, 7, 3, 1000);
        assert_eq!(log.report(due + 600 * MS).unwrap().blocks[0].begin, 2);
    }

    #[test]
    fn reports_keep_to_their_share_and_their_pace() {
        for (bps, least, most) in [(50_000u64, 5, 9), (2_000_000, 17, 21), (20_000_000, 17, 21)] {
            let start = Instant::now();
            let mut log = ArrivalLog::new(start);
            let (mut seq, mut reports, mut bytes) = (0u16, 0, 0u64);
            for ms in 0..10_000u32 {
                let now = start + ms * MS;
                while u64::from(ms) * bps / 8000 > bytes {
                    log.on_packet(now, Stream::Video, 7, seq, 1200);
                    (seq, bytes) = (seq.wrapping_add(1), bytes + 1200);
                }
                if let Some(report) = log.report(now) {
                    reports += 1;
                    assert!(report.blocks[0].arrivals.len() <= MAX_COVERED);
                }
            }
            assert!((least * 10..=most * 10 + 20).contains(&reports), "{bps} bit/s: {reports} reports in 10 s");
        }
    }

    #[test]
    fn a_jump_or_a_new_source_starts_anew() {
        let start = Instant::now();
        let mut log = ArrivalLog::new(start);
        for (ssrc, seq) in [(7, 0), (7, 20_000), (8, 5)] {
            log.on_packet(start, Stream::Audio, ssrc, seq, 100);
        }
        let report = log.report(start + 100 * MS).unwrap();
        assert_eq!(report.blocks, [Block { ssrc: 8, begin: 5, arrivals: report.blocks[0].arrivals.clone() }]);
        assert_eq!(report.blocks[0].arrivals.len(), 1);
    }
}
