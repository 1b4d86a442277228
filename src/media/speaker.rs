//! The speaker: pulls blocks of 20 ms when the device is about to need them.
//!
//! The device's callback only takes samples out of a ring and wakes the worker, which fills the ring up to a mark: what
//! the device takes at a time, and a little more after each time that this was not enough. So blocks are pulled at the
//! pace of the device's own clock, the ring cannot grow, and no second clock is at work here: what the sender's clock
//! differs from the device's is taken up in the jitter buffer, by leaving out or putting in blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample};
use rtrb::{Consumer, Producer, RingBuffer};

use super::device::SpeakerChoice;
use super::frame::{BLOCK, SAMPLE_RATE};
use super::resample::Resampler;
use super::sound_host::{
    CLOSING, Direction, Found, Kept, OPENING, Pacer, Pulse, SoundError, SoundState, StateCallback, Watchdog, find,
    opening,
};

pub use super::sound_host::list_speakers;

/// Fills a block of 20 ms, mono, on the worker's thread. It may lock and allocate, but should be done within 10 ms.
pub type BlockSource = Box<dyn FnMut(&mut [f32; BLOCK]) + Send>;

/// Samples in the ring: half a second at the highest rate in use.
const RING: usize = 96_000;
/// How often the worker looks after the ring if nothing wakes it.
const LOOK: Duration = Duration::from_millis(20);
/// How long the mark stays up after the ring last ran dry.
const CALM: Duration = Duration::from_secs(30);

/// An open sink of sound. Dropping it stops it and releases the device, within a second.
pub struct SpeakerSink {
    stop: Arc<AtomicBool>,
    underruns: Arc<AtomicU64>,
    worker: Option<Thread>,
    ended: mpsc::Receiver<()>,
}

impl SpeakerSink {
    /// Opens `choice` without blocking. `source` is asked for every block, `state` told every change:
    /// [`SoundState::Opening`] first, then `Running` or `Failed`. After `Failed` no block is asked for any more.
    ///
    /// With [`SpeakerChoice::None`] blocks are pulled at the pace of the clock and thrown away.
    pub fn open(choice: &SpeakerChoice, source: BlockSource, state: StateCallback) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let underruns = Arc::new(AtomicU64::new(0));
        let (end, ended) = mpsc::channel::<()>();
        let choice = choice.clone();
        let worker = Worker { stop: stop.clone(), underruns: underruns.clone(), source, state: state.clone() };
        let report = state.clone();
        state(SoundState::Opening);
        let thread = std::thread::Builder::new().name("speaker".into()).spawn(move || {
            let outcome = match choice {
                SpeakerChoice::Default => worker.run_device(None),
                SpeakerChoice::Device(name) => worker.run_device(Some(name)),
                SpeakerChoice::None => {
                    worker.run_clocked();
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                report(SoundState::Failed(error));
            }
            drop(end);
        });
        if let Err(error) = &thread {
            state(SoundState::Failed(SoundError::System(error.to_string())));
        }
        Self { stop, underruns, worker: thread.ok().map(|handle| handle.thread().clone()), ended }
    }

    /// Samples that were missing when the device wanted them.
    pub fn underruns(&self) -> u64 {
        self.underruns.load(Ordering::Relaxed)
    }
}

impl Drop for SpeakerSink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(worker) = self.worker.take() {
            worker.unpark();
            // A callback that drops its own sink must not wait for itself.
            if worker.id() != std::thread::current().id() {
                let _ = self.ended.recv_timeout(CLOSING + Duration::from_millis(200));
            }
        }
    }
}

struct Worker {
    stop: Arc<AtomicBool>,
    underruns: Arc<AtomicU64>,
    source: BlockSource,
    state: StateCallback,
}

impl Worker {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn run_clocked(mut self) {
        (self.state)(SoundState::Running("No speaker".into()));
        let mut pacer = Pacer::new(Instant::now());
        let mut block = [0.0; BLOCK];
        while !self.stopped() {
            let wait = pacer.wait(Instant::now());
            if wait.is_zero() {
                (self.source)(&mut block);
            } else {
                std::thread::park_timeout(wait);
            }
        }
    }

    fn run_device(mut self, wanted: Option<String>) -> Result<(), SoundError> {
        let pulse = Arc::new(Pulse::new(std::thread::current()));
        let shared = pulse.clone();
        let (kept, (mut ring, rate, name)) = Kept::open(pulse.clone(), move || open(wanted.as_deref(), shared))?;
        let mut resampler = Resampler::new(SAMPLE_RATE, rate).map_err(|_| SoundError::Format)?;
        let mut watchdog = Watchdog::new(Instant::now());
        let mut mark = Mark::new((rate / 50) as usize, Instant::now());
        let mut block = [0.0; BLOCK];
        (self.state)(SoundState::Running(name));
        while !self.stopped() {
            let now = Instant::now();
            let wanted = mark.handle(now, pulse.largest.load(Ordering::Relaxed), pulse.slips.load(Ordering::Relaxed));
            self.underruns.store(pulse.slips.load(Ordering::Relaxed), Ordering::Relaxed);
            while RING - ring.slots() < wanted && !self.stopped() {
                (self.source)(&mut block);
                resampler.push(&block, |made| {
                    // There is room: the mark lies far below the ring's size.
                    let _ = ring.push_partial_slice(made);
                });
            }
            watchdog.check(now, &pulse)?;
            std::thread::park_timeout(LOOK);
        }
        drop(kept);
        Ok(())
    }
}

/// How many samples the ring should hold.
#[derive(Debug)]
struct Mark {
    block: usize,
    margin: usize,
    slips: u64,
    begun: Instant,
    slipped: Instant,
}

impl Mark {
    fn new(block: usize, now: Instant) -> Self {
        Self { block, margin: 0, slips: 0, begun: now, slipped: now }
    }

    /// `largest` is what the device took at most at a time, in frames; `slips` what was missing so far.
    fn handle(&mut self, now: Instant, largest: usize, slips: u64) -> usize {
        if slips != self.slips {
            self.slips = slips;
            // A device fills its own buffer when it starts, and always finds too little then.
            if now.saturating_duration_since(self.begun) > Duration::from_secs(1) {
                self.margin = (self.margin + self.block / 2).min(6 * self.block);
            }
            self.slipped = now;
        } else if self.margin > 0 && now.saturating_duration_since(self.slipped) > CALM {
            self.margin -= self.block / 2;
            self.slipped = now;
        }
        largest.clamp(1, 8 * self.block) + self.margin
    }
}

type Opened = (Producer<f32>, u32, String);

fn open(wanted: Option<&str>, pulse: Arc<Pulse>) -> Result<(cpal::Stream, Found, Opened), SoundError> {
    let found = find(Direction::Playback, wanted)?;
    let (config, format) = found.configure()?;
    let (stream, ring) = match build_any(&found.device, config, format, &pulse) {
        Err(SoundError::Format) if config.buffer_size != cpal::BufferSize::Default => {
            let config = cpal::StreamConfig { buffer_size: cpal::BufferSize::Default, ..config };
            build_any(&found.device, config, format, &pulse)?
        }
        built => built?,
    };
    stream.play().map_err(|error| opening(&error, &found.name))?;
    let name = found.name.clone();
    Ok((stream, found, (ring, config.sample_rate, name)))
}

fn build_any(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    format: SampleFormat,
    pulse: &Arc<Pulse>,
) -> Result<(cpal::Stream, Producer<f32>), SoundError> {
    match format {
        SampleFormat::F32 => build::<f32>(device, config, pulse),
        SampleFormat::I16 => build::<i16>(device, config, pulse),
        SampleFormat::I32 => build::<i32>(device, config, pulse),
        SampleFormat::I24 => build::<cpal::I24>(device, config, pulse),
        SampleFormat::U8 => build::<u8>(device, config, pulse),
        SampleFormat::U16 => build::<u16>(device, config, pulse),
        SampleFormat::F64 => build::<f64>(device, config, pulse),
        _ => Err(SoundError::Format),
    }
}

fn build<T>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    pulse: &Arc<Pulse>,
) -> Result<(cpal::Stream, Producer<f32>), SoundError>
where
    T: SizedSample + FromSample<f32>,
{
    let (producer, mut consumer) = RingBuffer::new(RING);
    let (beats, errors) = (pulse.clone(), pulse.clone());
    let channels = usize::from(config.channels).max(1);
    let mut last = 0.0;
    let stream = device.build_output_stream(
        config,
        move |data: &mut [T], _: &cpal::OutputCallbackInfo| {
            let missing = play(&mut consumer, &mut last, channels, data);
            beats.beat(data.len() / channels, missing);
        },
        move |error| errors.handle_error(&error),
        Some(OPENING / 2),
    );
    stream.map(|stream| (stream, producer)).map_err(|error| opening(&error, "speaker"))
}

/// The body of the playback callback: spreads mono samples from the ring over interleaved frames. It neither locks nor
/// allocates. Where samples are missing the sound fades from `last`, the sample played before, so that nothing clicks.
///
/// Returns how many frames were missing.
pub fn play<T: FromSample<f32>>(ring: &mut Consumer<f32>, last: &mut f32, channels: usize, out: &mut [T]) -> usize {
    let channels = channels.max(1);
    let mut missing = 0;
    for frame in out.chunks_mut(channels) {
        *last = ring.pop().unwrap_or_else(|_| {
            missing += 1;
            *last * 0.98
        });
        for sample in frame {
            *sample = T::from_sample_(last.clamp(-1.0, 1.0));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn without_a_speaker_blocks_are_pulled_at_the_pace_of_the_clock() {
        let (pulled, seen) = mpsc::channel();
        let states: Arc<Mutex<Vec<SoundState>>> = Arc::default();
        let report = states.clone();
        let begun = Instant::now();
        let sink = SpeakerSink::open(
            &SpeakerChoice::None,
            Box::new(move |_| {
                let _ = pulled.send(());
            }),
            Arc::new(move |state| report.lock().unwrap().push(state)),
        );
        for _ in 0..20 {
            seen.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert!(begun.elapsed() >= Duration::from_millis(20 * 20 - 1), "never ahead of the clock");
        drop(sink);
        while seen.try_recv().is_ok() {}
        assert_eq!(seen.recv_timeout(Duration::from_secs(10)), Err(mpsc::RecvTimeoutError::Disconnected));
        assert_eq!(*states.lock().unwrap(), [SoundState::Opening, SoundState::Running("No speaker".into())]);
    }

    #[test]
    fn the_playback_callback_spreads_over_channels_and_fades_when_dry() {
        let (mut producer, mut consumer) = RingBuffer::new(8);
        let mut last = 0.0;
        for value in [0.5, -0.5, 7.0] {
            producer.push(value).unwrap();
        }
        let mut out = [0i16; 6];
        assert_eq!(play(&mut consumer, &mut last, 2, &mut out), 0);
        assert_eq!(out, [16_384, 16_384, -16_384, -16_384, i16::MAX, i16::MAX]);
        last = 0.5;
        let mut out = [1.0f32; 1_000];
        assert_eq!(play(&mut consumer, &mut last, 1, &mut out), 1_000);
        assert!(out[0] > 0.48 && out[999] < 1e-6);
        assert!(out.windows(2).all(|pair| pair[1] < pair[0]), "no step, no click");
    }

    #[test]
    fn the_ring_holds_what_the_device_takes_and_more_only_after_it_ran_dry() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut mark = Mark::new(960, start);
        assert_eq!(mark.handle(start, 0, 0), 1);
        assert_eq!(mark.handle(start, 960, 1_920), 960, "a start is no reason");
        assert_eq!(mark.handle(at(2), 960, 1_920), 960);
        assert_eq!(mark.handle(at(3), 960, 2_000), 1_440);
        assert_eq!(mark.handle(at(4), 960, 2_000), 1_440);
        assert_eq!(mark.handle(at(34), 960, 2_000), 960);
        for slips in 0..100 {
            mark.handle(at(40 + slips), 960, 3_000 + slips);
        }
        assert_eq!(mark.handle(at(140), 960, 3_099), 960 * 7, "bounded");
        assert!(mark.handle(at(141), usize::MAX, 3_099) <= 960 * 14, "whatever a device says");
    }
}
