//! One peer's pictures on their way in: opened frames are decoded on a thread of its own; the newest picture is shown, when its
//! sound is played.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engine::lock;
use crate::engine::receiving::ReceiveCounters;
use crate::engine::recording::PictureRecorder;
use crate::media::decodable::{Advice, Decodable};
use crate::media::frame::{Latest, Picture};
use crate::media::h264::H264Decoder;
use crate::media::lipsync::LipSync;
use crate::media::{source, stamp};

/// A pause between two shown pictures that a person notices.
const FREEZE: Duration = Duration::from_millis(200);
/// Decoded pictures that may wait for their sound: as long as any may wait, at thirty a second.
const WAITING: usize = 8;
/// Latencies kept for a report: ten minutes at thirty pictures a second.
const LATENCIES: usize = 18_000;

/// Picture-in to picture-out times, known only for the built-in test picture, which carries its time of capture.
#[derive(Default)]
pub(crate) struct Latencies {
    /// Milliseconds, in order of arrival.
    pub(crate) millis: Vec<f64>,
}

/// An opened frame.
pub(super) struct Job {
    pub(super) data: Vec<u8>,
    pub(super) key: bool,
    pub(super) gap_before: bool,
    /// On the sender's clock.
    pub(super) capture_ms: u32,
    /// Of the time when it came.
    pub(super) era: u64,
}

/// A decoded picture that waits for its sound.
struct Waiting {
    show_at: Instant,
    era: u64,
    picture: Picture,
}

/// Which pauses between pictures count: those in which some were to come.
#[derive(Default)]
pub(super) struct Pauses {
    expected: AtomicBool,
    /// There was a time without since the last picture.
    rested: AtomicBool,
}

impl Pauses {
    pub(super) fn set_expected(&self, expected: bool) {
        if expected && !self.expected.load(Ordering::Acquire) {
            self.rested.store(true, Ordering::Release);
        }
        self.expected.store(expected, Ordering::Release);
    }

    /// The pause that ends with a picture at `now`, if the last was shown at `shown`.
    fn ended(&self, now: Instant, shown: Option<Instant>) -> Duration {
        // A picture may come before word that there will be some, or after word that there will be none.
        let rested = self.rested.swap(false, Ordering::AcqRel) || !self.expected.load(Ordering::Acquire);
        shown.filter(|_| !rested).map_or(Duration::ZERO, |shown| now.saturating_duration_since(shown))
    }
}

/// What the decoder thread needs besides the frames.
pub(crate) struct DecoderTap {
    /// Called after each picture.
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
    /// Keeps every decoded picture, if asked to.
    pub(crate) recorder: Option<PictureRecorder>,
    /// Read the time of capture out of test pictures.
    pub(crate) measure: bool,
}

/// The far end of the queue of opened frames.
pub(super) struct Decoder {
    pub(super) picture: Arc<Latest<Picture>>,
    pub(super) counters: Arc<ReceiveCounters>,
    pub(super) latencies: Arc<Mutex<Latencies>>,
    pub(super) first_picture: Arc<Mutex<Option<Instant>>>,
    pub(super) last_shown: Arc<Mutex<Option<Arc<Picture>>>>,
    pub(super) wants_key: Arc<AtomicBool>,
    pub(super) lips: Arc<Mutex<LipSync>>,
    /// Grows when what came so far is no longer to be shown.
    pub(super) era: Arc<AtomicU64>,
    pub(super) pauses: Arc<Pauses>,
    pub(super) tap: DecoderTap,
    pub(super) shown_at: Option<Instant>,
}

impl Decoder {
    /// Decodes until nobody sends frames any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut decoder = H264Decoder::new();
        let mut gate = Decodable::new();
        // Oldest first.
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        loop {
            let job = match waiting.front() {
                Some(next) => match jobs.recv_timeout(next.show_at.saturating_duration_since(Instant::now())) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match jobs.recv() {
                    Ok(job) => Some(job),
                    Err(_) => return,
                },
            };
            if let Some(job) = job
                && let Some(picture) = self.decode(&mut decoder, &mut gate, &job)
            {
                let show_at = lock(&self.lips).show_at(Instant::now(), job.capture_ms);
                waiting.push_back(Waiting { show_at, era: job.era, picture });
            }
            let now = Instant::now();
            while waiting.front().is_some_and(|next| next.show_at <= now) || waiting.len() > WAITING {
                let Some(next) = waiting.pop_front() else { break };
                // The camera may have gone off meanwhile: its last picture must not come back.
                if next.era == self.era.load(Ordering::Acquire) {
                    self.show(next.picture);
                }
            }
        }
    }

    fn decode(&self, decoder: &mut H264Decoder, gate: &mut Decodable, job: &Job) -> Option<Picture> {
        let now = Instant::now();
        let mut picture = None;
        match gate.handle_frame(now, job.key, job.gap_before) {
            Advice::Skip => {
                self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
            }
            Advice::Decode => match decoder.decode(&job.data) {
                Ok(decoded) => {
                    if decoded.is_some() {
                        gate.handle_decoded(now);
                    }
                    picture = decoded;
                }
                Err(error) => {
                    tracing::debug!(%error, "a picture did not decode");
                    self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
                    gate.handle_failed(now);
                }
            },
        }
        if gate.poll_request(now) {
            self.wants_key.store(true, Ordering::Release);
        }
        picture
    }

    fn show(&mut self, picture: Picture) {
        let now = Instant::now();
        self.counters.video_decoded.fetch_add(1, Ordering::Relaxed);
        self.counters.width.store(picture.width as u32, Ordering::Relaxed);
        self.counters.height.store(picture.height as u32, Ordering::Relaxed);
        lock(&self.first_picture).get_or_insert(now);
        self.counters.last_picture.store(source::unix_millis(), Ordering::Relaxed);
        let pause = self.pauses.ended(now, self.shown_at.replace(now));
        self.counters.longest_pause_ms.fetch_max(pause.as_millis() as u64, Ordering::Relaxed);
        if pause > FREEZE {
            self.counters.freeze_ms.fetch_add(pause.as_millis() as u64, Ordering::Relaxed);
        }
        if self.tap.measure
            && let Some(stamp) = stamp::read(&picture)
        {
            self.counters.last_counter.store(stamp.counter.into(), Ordering::Relaxed);
            let mut latencies = lock(&self.latencies);
            if latencies.millis.len() < LATENCIES {
                latencies.millis.push(stamp.age(source::unix_millis()) as f64);
            }
        }
        let picture = Arc::new(picture);
        if let Some(recorder) = &mut self.tap.recorder {
            recorder.write(&picture);
        }
        if self.tap.measure {
            *lock(&self.last_shown) = Some(picture.clone());
        }
        self.picture.put(picture);
        (self.tap.wake)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_was_off_and_a_window_that_was_hidden_are_no_pauses() {
        let pauses = Pauses::default();
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(
            pauses.ended(start + second, Some(start)),
            Duration::ZERO,
            "nobody has said that pictures will come"
        );
        pauses.set_expected(true);
        assert_eq!(pauses.ended(start + 2 * second, Some(start + second)), Duration::ZERO);
        assert_eq!(pauses.ended(start + 4 * second, Some(start + 2 * second)), 2 * second);
        pauses.set_expected(false);
        assert_eq!(pauses.ended(start + 5 * second, Some(start + 4 * second)), Duration::ZERO, "a late one");
        pauses.set_expected(true);
        pauses.set_expected(true);
        assert_eq!(pauses.ended(start + 60 * second, Some(start + 5 * second)), Duration::ZERO);
        assert_eq!(pauses.ended(start + 61 * second, Some(start + 60 * second)), second);
    }
}
