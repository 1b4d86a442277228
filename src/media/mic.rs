//! The microphone: a device, a WAV file, the built-in voice or silence, in blocks of 20 ms.
//!
//! A device's callback only moves samples into a ring and wakes the worker. The worker converts the rate, cuts blocks
//! and hands them on; it empties the ring whenever it wakes, so the ring never holds more than the worker is late.
//! Blocks come at the pace of the device's own clock: what that differs from the listener's is taken up in the
//! listener's jitter buffer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::Thread;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample};
use rtrb::{Consumer, Producer, RingBuffer};

use super::device::MicChoice;
use super::frame::{BLOCK, SAMPLE_RATE};
use super::resample::Resampler;
use super::sound_host::{
    CLOSING, Direction, Found, Kept, OPENING, Pacer, Pulse, SoundError, SoundState, StateCallback, Watchdog, find,
    opening,
};
use super::test_voice::TestVoice;
use super::wav::WavLoop;

pub use super::sound_host::list_mics;

/// Takes blocks of 20 ms, mono, on the worker's thread. It may lock and allocate, but should be done within 20 ms.
pub type BlockSink = Box<dyn FnMut(&[f32; BLOCK]) + Send>;

/// Samples in the ring: half a second at the highest rate in use.
const RING: usize = 96_000;
/// How often the worker looks at the watchdog if nothing wakes it.
const LOOK: Duration = Duration::from_millis(100);

/// An open source of sound. Dropping it stops it and releases the device, within a second.
pub struct MicSource {
    stop: Arc<AtomicBool>,
    worker: Option<Thread>,
    ended: mpsc::Receiver<()>,
}

impl MicSource {
    /// Opens `choice` without blocking. `sink` gets every block, `state` every change: [`SoundState::Opening`] first,
    /// then `Running` or `Failed`. After `Failed` no block comes any more.
    ///
    /// [`MicChoice::None`] delivers silence at the pace of the clock: a stream that goes on as before does not tell
    /// anyone who watches the network that there is no microphone.
    pub fn open(choice: &MicChoice, sink: BlockSink, state: StateCallback) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::channel::<()>();
        let (choice, stopped, report) = (choice.clone(), stop.clone(), state.clone());
        state(SoundState::Opening);
        let worker = std::thread::Builder::new().name("microphone".into()).spawn(move || {
            let worker = Worker { stop: stopped, sink, state: report.clone() };
            let outcome = match choice {
                MicChoice::Default => worker.run_device(None),
                MicChoice::Device(name) => worker.run_device(Some(name)),
                MicChoice::None => worker.run_clocked("No microphone", |block| {
                    block.fill(0.0);
                    Ok(())
                }),
                MicChoice::Test => {
                    let mut voice = TestVoice::new();
                    worker.run_clocked("Built-in voice", move |block| {
                        voice.next_block(block);
                        Ok(())
                    })
                }
                MicChoice::File(path) => worker.run_file(path),
            };
            if let Err(error) = outcome {
                report(SoundState::Failed(error));
            }
            drop(end);
        });
        if let Err(error) = &worker {
            state(SoundState::Failed(SoundError::System(error.to_string())));
        }
        Self { stop, worker: worker.ok().map(|handle| handle.thread().clone()), ended }
    }
}

impl Drop for MicSource {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(worker) = self.worker.take() {
            worker.unpark();
            // A callback that drops its own source must not wait for itself.
            if worker.id() != std::thread::current().id() {
                let _ = self.ended.recv_timeout(CLOSING + Duration::from_millis(200));
            }
        }
    }
}

struct Worker {
    stop: Arc<AtomicBool>,
    sink: BlockSink,
    state: StateCallback,
}

impl Worker {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn run_file(self, path: PathBuf) -> Result<(), SoundError> {
        let mut wav = WavLoop::open(&path)?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        self.run_clocked(&name, move |block| Ok(wav.next_block(block)?))
    }

    fn run_clocked(
        mut self,
        name: &str,
        mut make: impl FnMut(&mut [f32; BLOCK]) -> Result<(), SoundError>,
    ) -> Result<(), SoundError> {
        (self.state)(SoundState::Running(name.to_owned()));
        let mut pacer = Pacer::new(Instant::now());
        let mut block = [0.0; BLOCK];
        while !self.stopped() {
            let wait = pacer.wait(Instant::now());
            if wait.is_zero() {
                make(&mut block)?;
                (self.sink)(&block);
            } else {
                std::thread::park_timeout(wait);
            }
        }
        Ok(())
    }

    fn run_device(mut self, wanted: Option<String>) -> Result<(), SoundError> {
        let pulse = Arc::new(Pulse::new(std::thread::current()));
        let shared = pulse.clone();
        let (kept, (mut ring, rate, name)) = Kept::open(pulse.clone(), move || open(wanted.as_deref(), shared))?;
        let mut resampler = Resampler::new(rate, SAMPLE_RATE).map_err(|_| SoundError::Format)?;
        let mut watchdog = Watchdog::new(Instant::now());
        let mut waiting: Vec<f32> = Vec::with_capacity(8 * BLOCK);
        let mut piece = [0.0; BLOCK];
        (self.state)(SoundState::Running(name));
        while !self.stopped() {
            loop {
                let (filled, _) = ring.pop_partial_slice(&mut piece);
                if filled.is_empty() {
                    break;
                }
                resampler.push(filled, |made| waiting.extend_from_slice(made));
                let mut done = 0;
                for block in waiting.as_chunks::<BLOCK>().0 {
                    if self.stopped() {
                        break;
                    }
                    (self.sink)(block);
                    done += BLOCK;
                }
                waiting.drain(..done);
            }
            watchdog.check(Instant::now(), &pulse)?;
            std::thread::park_timeout(LOOK);
        }
        drop(kept);
        Ok(())
    }
}

type Opened = (Consumer<f32>, u32, String);

fn open(wanted: Option<&str>, pulse: Arc<Pulse>) -> Result<(cpal::Stream, Found, Opened), SoundError> {
    let found = find(Direction::Capture, wanted)?;
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
) -> Result<(cpal::Stream, Consumer<f32>), SoundError> {
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
) -> Result<(cpal::Stream, Consumer<f32>), SoundError>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let (mut producer, consumer) = RingBuffer::new(RING);
    let (beats, errors) = (pulse.clone(), pulse.clone());
    let channels = usize::from(config.channels).max(1);
    let stream = device.build_input_stream(
        config,
        move |data: &[T], _: &cpal::InputCallbackInfo| {
            let slipped = capture(data, channels, &mut producer);
            beats.beat(data.len() / channels, slipped);
        },
        move |error| errors.handle_error(&error),
        Some(OPENING / 2),
    );
    stream.map(|stream| (stream, consumer)).map_err(|error| opening(&error, "microphone"))
}

/// The body of the capture callback: turns interleaved frames into mono samples in the ring. It neither locks nor
/// allocates. Of more than two channels the first two count: that is where interfaces have their microphones.
///
/// Returns how many frames found no room, which is only when the worker stands still for half a second.
pub fn capture<T>(data: &[T], channels: usize, ring: &mut Producer<f32>) -> usize
where
    T: Copy,
    f32: FromSample<T>,
{
    let channels = channels.max(1);
    let used = channels.min(2);
    let share = 1.0 / used as f32;
    let frames = data.len() / channels;
    let room = frames.min(ring.slots());
    let Ok(chunk) = ring.write_chunk_uninit(room) else { return frames };
    let mono = data.chunks_exact(channels).map(|frame| {
        let sum: f32 = frame.iter().take(used).map(|sample| f32::from_sample_(*sample)).sum();
        if sum.is_finite() { sum * share } else { 0.0 }
    });
    frames - chunk.fill_from_iter(mono)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::level::dbfs;
    use std::sync::Mutex;

    type Seen = Arc<Mutex<Vec<SoundState>>>;

    fn opened(choice: MicChoice) -> (MicSource, mpsc::Receiver<[f32; BLOCK]>, Seen) {
        let (blocks, received) = mpsc::channel();
        let seen: Seen = Arc::default();
        let states = seen.clone();
        let sink = Box::new(move |block: &[f32; BLOCK]| {
            let _ = blocks.send(*block);
        });
        let source = MicSource::open(&choice, sink, Arc::new(move |state| states.lock().unwrap().push(state)));
        (source, received, seen)
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn the_built_in_voice_arrives_as_it_is_made() {
        let (source, received, seen) = opened(MicChoice::Test);
        let mut voice = TestVoice::new();
        for _ in 0..25 {
            let mut block = [0.0; BLOCK];
            voice.next_block(&mut block);
            assert_eq!(received.recv_timeout(PATIENCE).unwrap(), block);
        }
        drop(source);
        while received.try_recv().is_ok() {}
        assert_eq!(received.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected), "the sink is let go of");
        assert_eq!(*seen.lock().unwrap(), [SoundState::Opening, SoundState::Running("Built-in voice".into())]);
    }

    #[test]
    fn no_microphone_is_a_steady_silence() {
        let (_source, received, _) = opened(MicChoice::None);
        for _ in 0..5 {
            assert_eq!(received.recv_timeout(PATIENCE).unwrap(), [0.0; BLOCK]);
        }
    }

    #[test]
    fn a_file_is_a_microphone_and_a_bad_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("said.wav");
        let mut recorder = crate::media::wav::WavRecorder::create(&path).unwrap();
        recorder.write(&[0.25; BLOCK]).unwrap();
        recorder.finish().unwrap();
        let (_source, received, seen) = opened(MicChoice::File(path));
        for _ in 0..4 {
            assert!((dbfs(&received.recv_timeout(PATIENCE).unwrap()) + 12.04).abs() < 0.01);
        }
        assert_eq!(seen.lock().unwrap()[1], SoundState::Running("said.wav".into()));

        let (_source, received, seen) = opened(MicChoice::File(folder.path().join("none.wav")));
        assert_eq!(received.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
        let failed = SoundState::Failed(SoundError::File(crate::media::wav::WavError::NotFound));
        let begun = Instant::now();
        while seen.lock().unwrap().len() < 2 && begun.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        assert_eq!(*seen.lock().unwrap(), [SoundState::Opening, failed]);
    }

    #[test]
    fn the_capture_callback_mixes_down_and_counts_what_finds_no_room() {
        let (mut producer, mut consumer) = RingBuffer::new(4);
        assert_eq!(capture(&[i16::MAX, 0, i16::MIN, i16::MIN], 2, &mut producer), 0);
        assert!((consumer.pop().unwrap() - 0.5).abs() < 1e-3);
        assert!((consumer.pop().unwrap() + 1.0).abs() < 1e-3);
        assert_eq!(capture(&[0.5f32, 0.25, 9.0, 9.0, 0.1, 0.2, 0.3, f32::NAN], 4, &mut producer), 0);
        assert!((consumer.pop().unwrap() - 0.375).abs() < 1e-6, "further channels do not count");
        assert_eq!(capture(&[f32::NAN; 6], 1, &mut producer), 3);
        assert_eq!(consumer.slots(), 4);
        assert_eq!(capture(&[1u8; 3], 1, &mut producer), 3);
        assert_eq!(capture::<f32>(&[], 0, &mut producer), 0);
    }
}
