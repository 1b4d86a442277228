//! One peer's pictures on their way in: opened frames are decoded on a thread of its own; the newest picture is shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engine::lock;
use crate::engine::receiving::ReceiveCounters;
use crate::engine::recording::PictureRecorder;
use crate::media::decodable::{Advice, Decodable};
use crate::media::frame::{Latest, Picture};
use crate::media::h264::H264Decoder;
use crate::media::{source, stamp};

/// A pause between two shown pictures that a person notices.
const FREEZE: Duration = Duration::from_millis(200);
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
    pub(super) tap: DecoderTap,
    pub(super) shown_at: Option<Instant>,
}

impl Decoder {
    /// Decodes until nobody sends frames any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut decoder = H264Decoder::new();
        let mut gate = Decodable::new();
        while let Ok(job) = jobs.recv() {
            let now = Instant::now();
            match gate.handle_frame(now, job.key, job.gap_before) {
                Advice::Skip => {
                    self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
                }
                Advice::Decode => match decoder.decode(&job.data) {
                    Ok(Some(picture)) => {
                        gate.handle_decoded(now);
                        self.show(picture);
                    }
                    Ok(None) => {}
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
        }
    }

    fn show(&mut self, picture: Picture) {
        let now = Instant::now();
        self.counters.video_decoded.fetch_add(1, Ordering::Relaxed);
        self.counters.width.store(picture.width as u32, Ordering::Relaxed);
        self.counters.height.store(picture.height as u32, Ordering::Relaxed);
        lock(&self.first_picture).get_or_insert(now);
        self.counters.last_picture.store(source::unix_millis(), Ordering::Relaxed);
        let pause = self.shown_at.replace(now).map_or(Duration::ZERO, |last| now - last);
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
