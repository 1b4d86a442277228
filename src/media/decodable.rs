//! Whether a frame can be decoded, and when to ask for a key frame. Pure: the time is an argument.
//!
//! After a gap or a decode error every frame up to the next key frame is left out: decoding it would paint over what is missing.
//! The key frame is asked for at once, and again after 250 ms, 500 ms, and then every second, until one is decoded.

use std::time::{Duration, Instant};

/// Waits between requests; the last one repeats.
const BACK_OFF: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Give it to the decoder, then report by [`Decodable::handle_decoded`] or [`Decodable::handle_failed`].
    Decode,
    /// Leave it out: what it builds on is missing.
    Skip,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodableCounters {
    /// Frames decoded.
    pub decoded: u64,
    /// Frames left out or lost in decoding.
    pub dropped: u64,
    /// Times that the picture stood still for want of a key frame.
    pub freezes: u64,
    /// How long it stood still, counted from the last decoded picture to the next.
    pub frozen: Duration,
    /// Key frames asked for.
    pub requests: u64,
}

/// The state of one incoming stream.
#[derive(Clone, Debug, Default)]
pub struct Decodable {
    /// Whether only a key frame helps.
    waiting: bool,
    last_decoded: Option<Instant>,
    /// When to ask next, while waiting.
    ask_at: Option<Instant>,
    asked: usize,
    counters: DecodableCounters,
}

impl Decodable {
    /// A stream that has not begun: it can only begin with a key frame.
    pub fn new() -> Self {
        Self { waiting: true, ..Self::default() }
    }

    fn wait(&mut self, now: Instant) {
        if !self.waiting {
            self.waiting = true;
            self.ask_at = None;
            self.asked = 0;
            self.counters.freezes += 1;
        }
        self.ask_at.get_or_insert(now);
    }

    /// Frames are missing between the last one and the next.
    pub fn handle_gap(&mut self, now: Instant) {
        self.wait(now);
    }

    /// A frame has come. `key`: it is a key frame. `gap_before`: frames before it are missing.
    pub fn handle_frame(&mut self, now: Instant, key: bool, gap_before: bool) -> Advice {
        if key {
            return Advice::Decode;
        }
        if gap_before || self.waiting {
            self.wait(now);
            self.counters.dropped += 1;
            return Advice::Skip;
        }
        Advice::Decode
    }

    /// The frame was decoded and gave a picture.
    pub fn handle_decoded(&mut self, now: Instant) {
        if self.waiting {
            if let Some(last) = self.last_decoded {
                self.counters.frozen += now.saturating_duration_since(last);
            }
            self.waiting = false;
            self.ask_at = None;
            self.asked = 0;
        }
        self.last_decoded = Some(now);
        self.counters.decoded += 1;
    }

    /// The frame could not be decoded.
    pub fn handle_failed(&mut self, now: Instant) {
        self.counters.dropped += 1;
        self.wait(now);
    }

    /// True if a key frame must be asked for now. Each true answer is counted as a request made.
    pub fn poll_request(&mut self, now: Instant) -> bool {
        match self.ask_at {
            Some(at) if at <= now => {
                self.ask_at = Some(now + BACK_OFF[self.asked.min(BACK_OFF.len() - 1)]);
                self.asked += 1;
                self.counters.requests += 1;
                true
            }
            _ => false,
        }
    }

    /// When [`Decodable::poll_request`] has something to say, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Whether a key frame is needed before anything can be shown.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// What has happened so far, with a freeze that lasts counted up to `now`.
    pub fn counters(&self, now: Instant) -> DecodableCounters {
        let mut counters = self.counters;
        if let (true, Some(last)) = (self.waiting, self.last_decoded) {
            counters.frozen += now.saturating_duration_since(last);
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// A stream whose first key frame was decoded at the returned time.
    fn running() -> (Decodable, Instant) {
        let (mut stream, start) = (Decodable::new(), Instant::now());
        assert_eq!(stream.handle_frame(start, true, false), Advice::Decode);
        stream.handle_decoded(start);
        (stream, start)
    }

    #[test]
    fn a_stream_begins_with_a_key_frame_and_asks_for_it_once_frames_come() {
        let (mut stream, now) = (Decodable::new(), Instant::now());
        assert!(!stream.poll_request(now), "nothing is sent yet: nothing to ask for");
        assert_eq!(stream.handle_frame(now, false, false), Advice::Skip);
        assert!(stream.poll_request(now));
        assert_eq!(stream.handle_frame(now + ms(33), true, false), Advice::Decode);
        stream.handle_decoded(now + ms(33));
        assert_eq!(stream.handle_frame(now + ms(66), false, false), Advice::Decode);
        let counters = stream.counters(now + ms(66));
        assert_eq!((counters.freezes, counters.frozen, counters.dropped), (0, Duration::ZERO, 1));
    }

    #[test]
    fn after_a_gap_everything_up_to_a_key_frame_is_left_out() {
        let (mut stream, start) = running();
        assert_eq!(stream.handle_frame(start + ms(100), false, true), Advice::Skip);
        assert_eq!(stream.handle_frame(start + ms(133), false, false), Advice::Skip);
        assert_eq!(stream.handle_frame(start + ms(166), true, false), Advice::Decode);
        stream.handle_decoded(start + ms(170));
        assert_eq!(stream.handle_frame(start + ms(200), false, false), Advice::Decode);
        let counters = stream.counters(start + ms(200));
        assert_eq!((counters.dropped, counters.freezes, counters.frozen), (2, 1, ms(170)));
    }

    #[test]
    fn requests_go_out_at_once_and_then_at_growing_distances() {
        let (mut stream, start) = running();
        stream.handle_gap(start);
        let asked: Vec<u64> = (0..4000).filter(|at| stream.poll_request(start + ms(*at))).collect();
        assert_eq!(asked, [0, 250, 750, 1750, 2750, 3750]);
        assert_eq!(stream.counters(start).requests, 6);
        assert_eq!(stream.poll_timeout(), Some(start + ms(4750)));
    }

    #[test]
    fn a_key_frame_ends_the_requests_and_the_next_break_asks_at_once_again() {
        let (mut stream, start) = running();
        stream.handle_gap(start);
        assert!(stream.poll_request(start));
        assert!(stream.poll_request(start + ms(250)));
        stream.handle_decoded(start + ms(300));
        assert_eq!(stream.poll_timeout(), None);
        stream.handle_failed(start + ms(310));
        assert!(stream.poll_request(start + ms(310)));
        assert_eq!(stream.poll_timeout(), Some(start + ms(560)));
    }

    #[test]
    fn a_key_frame_that_does_not_decode_does_not_end_the_wait() {
        let (mut stream, start) = running();
        stream.handle_gap(start);
        assert_eq!(stream.handle_frame(start + ms(50), true, false), Advice::Decode);
        stream.handle_failed(start + ms(50));
        assert!(stream.is_waiting());
        assert_eq!(stream.handle_frame(start + ms(83), false, false), Advice::Skip);
        assert_eq!(stream.counters(start + ms(83)).freezes, 1);
    }

    #[test]
    fn a_freeze_that_lasts_is_counted_while_it_lasts() {
        let (mut stream, start) = running();
        stream.handle_gap(start + ms(40));
        assert_eq!(stream.counters(start + ms(1040)).frozen, ms(1040));
        stream.handle_decoded(start + ms(1100));
        assert_eq!(stream.counters(start + ms(2000)).frozen, ms(1100));
    }
}
