//! When a picture is to be shown so that it keeps to the sound. Pure: the time is an argument.
//!
//! Sound waits in its jitter buffer; a picture could be shown as soon as it is decoded, and would then run ahead of the lips'
//! sound. Both carry a time of capture on the sender's clock. From the fastest sound of the last seconds and the delay of its
//! jitter buffer follows when sound captured at a given time is played; a picture captured then is held back until
//! [`LEAD`] before that. A lead that small is noticed by nobody (ITU-R BT.1359-1: from 45 ms on with the picture late, 125 ms with
//! it early), so on a calm network no picture waits at all. A picture that is later than its sound is shown at once: it cannot
//! be helped here, and holding back the sound would make the talk slow.

use std::time::{Duration, Instant};

/// How far a picture may run ahead of its sound.
pub const LEAD: Duration = Duration::from_millis(40);
/// Longest time that a picture waits, whatever the capture times say: they come from a stranger.
pub const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Sound that came longer ago says nothing.
const SILENCE: Duration = Duration::from_millis(500);
/// The fastest packet is sought in the current and the last span of this length.
const SPAN: Duration = Duration::from_secs(5);
/// What the point of time at which pictures are shown may move from one picture to the next.
const SLEW_MS: i64 = 5;

/// The timing of one sender's sound, and of its pictures against it.
#[derive(Clone, Debug)]
pub struct LipSync {
    epoch: Instant,
    /// Least time from capture to arrival, on two clocks, in milliseconds: in the span before this one and in this one.
    fastest: [Option<i64>; 2],
    span_began: Instant,
    heard: Option<Instant>,
    buffered: Duration,
    /// What is added to a capture time to have the time of showing, smoothed.
    offset: Option<i64>,
}

impl LipSync {
    /// Nothing has come yet. `now` is any time not after the first packet's.
    pub fn new(now: Instant) -> Self {
        Self { epoch: now, fastest: [None; 2], span_began: now, heard: None, buffered: Duration::ZERO, offset: None }
    }

    /// Sound captured at `capture_ms` on the sender's clock arrived at `now`.
    pub fn handle_sound(&mut self, now: Instant, capture_ms: u32) {
        if now.saturating_duration_since(self.span_began) >= SPAN {
            self.fastest = [self.fastest[1], None];
            self.span_began = now;
        }
        let transit = self.transit(now, capture_ms);
        let fastest = self.fastest[1].map_or(transit, |fastest| fastest.min(transit));
        self.fastest[1] = Some(fastest);
        self.heard = Some(now);
    }

    /// Sound that was the fastest would be played so much after its arrival: the delay of the jitter buffer.
    pub fn set_buffered(&mut self, delay: Duration) {
        self.buffered = delay.min(Duration::from_secs(1));
    }

    /// When to show a picture captured at `capture_ms` that is ready at `now`: at once if no sound is being played.
    pub fn show_at(&mut self, now: Instant, capture_ms: u32) -> Instant {
        let playing = self.heard.is_some_and(|heard| now.saturating_duration_since(heard) < SILENCE);
        let fastest = self.fastest.iter().flatten().min().copied().filter(|_| playing);
        let Some(fastest) = fastest else {
            self.offset = None;
            return now;
        };
        let own = self.transit(now, capture_ms);
        let wanted = fastest + self.buffered.as_millis() as i64 - LEAD.as_millis() as i64;
        // The first picture after a break moves at once, from where it is; later ones little by little.
        let offset = match self.offset {
            Some(offset) => offset + (wanted - offset).clamp(-SLEW_MS, SLEW_MS),
            None => wanted.min(own + SLEW_MS),
        };
        // What has fallen far behind or ahead (another clock, nonsense) is not crept after.
        let offset = if (offset - wanted).abs() > LONGEST_WAIT.as_millis() as i64 { wanted } else { offset };
        self.offset = Some(offset);
        let wait = (offset - own).clamp(0, LONGEST_WAIT.as_millis() as i64);
        now + Duration::from_millis(wait.unsigned_abs())
    }

    /// Milliseconds from capture to `now` plus a constant that is the same for all of this sender's media.
    fn transit(&self, now: Instant, capture_ms: u32) -> i64 {
        let arrived = now.saturating_duration_since(self.epoch).as_millis() as u32;
        i64::from(arrived.wrapping_sub(capture_ms) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// A call of ten seconds in which sound takes `sound(n)` and pictures `picture(n)` from capture to readiness, and the jitter
    /// buffer adds `buffered`; the sender's clock starts at `clock`. Wait and lead of the last picture, in milliseconds.
    fn call(clock: u32, sound: impl Fn(u64) -> u64, picture: impl Fn(u64) -> u64, buffered: u64) -> (i64, i64) {
        let start = Instant::now();
        let mut sync = LipSync::new(start);
        sync.set_buffered(ms(buffered));
        let capture = |at: u64| clock.wrapping_add(at as u32);
        let mut last = (0, 0);
        let mut events: Vec<(u64, bool, u64)> = (0..500).map(|n| (n * 20 + sound(n), true, n * 20)).collect();
        events.extend((0..300).map(|n| (n * 33 + picture(n), false, n * 33)));
        events.sort();
        for (at, is_sound, taken) in events {
            let now = start + ms(at);
            if is_sound {
                sync.handle_sound(now, capture(taken));
                continue;
            }
            let shown = sync.show_at(now, capture(taken));
            let fastest = (0..500).map(&sound).min().unwrap_or(0);
            let played = (taken + fastest + buffered) as i64;
            last = ((shown - now).as_millis() as i64, played - (shown - start).as_millis() as i64);
        }
        last
    }

    #[test]
    fn on_a_calm_network_no_picture_waits() {
        assert_eq!(call(0, |_| 10, |_| 20, 40), (0, 30));
        assert_eq!(call(0, |_| 60, |_| 75, 20), (0, 5));
    }

    #[test]
    fn a_picture_waits_for_sound_that_its_buffer_holds_back_and_keeps_within_45_ms_of_it() {
        for buffered in [60, 100, 140, 200] {
            let (wait, lead) = call(0, |_| 30, |_| 35, buffered);
            assert!(wait > 0 && (0..=45).contains(&lead), "{buffered}: wait {wait}, lead {lead}");
        }
    }

    #[test]
    fn jitter_of_sound_and_pictures_is_evened_out() {
        let (_, lead) = call(0, |n| 30 + n * 7919 % 80, |n| 30 + n * 104_729 % 60, 120);
        assert!((0..=45).contains(&lead), "{lead}");
    }

    #[test]
    fn the_sender_s_clock_may_start_anywhere_and_wrap() {
        for clock in [0, 5_000, u32::MAX - 3_000, 1 << 31, (1 << 31) - 2_000] {
            assert_eq!(call(clock, |_| 30, |_| 35, 140), call(0, |_| 30, |_| 35, 140));
        }
    }

    #[test]
    fn a_picture_later_than_its_sound_is_shown_at_once() {
        assert_eq!(call(0, |_| 30, |_| 250, 60).0, 0);
    }

    #[test]
    fn without_sound_nothing_waits() {
        let start = Instant::now();
        let mut sync = LipSync::new(start);
        sync.set_buffered(ms(200));
        assert_eq!(sync.show_at(start + ms(50), 7), start + ms(50));
        sync.handle_sound(start + ms(60), 20);
        assert!(sync.show_at(start + ms(61), 60) > start + ms(61));
        assert_eq!(sync.show_at(start + ms(700), 80), start + ms(700), "the sound has ended");
    }

    #[test]
    fn no_capture_time_whatever_holds_a_picture_for_more_than_a_fifth_of_a_second() {
        let start = Instant::now();
        let mut sync = LipSync::new(start);
        sync.set_buffered(Duration::from_secs(100));
        let mut state = 0x1234_5678u32;
        for at in 0..5000u64 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let now = start + ms(at * 7);
            sync.handle_sound(now, state);
            let shown = sync.show_at(now, state.rotate_left(9));
            assert!(shown >= now && shown - now <= LONGEST_WAIT);
        }
    }
}
