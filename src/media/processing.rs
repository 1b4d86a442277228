//! What a microphone's sound goes through before anyone hears it: the speaker's echo is taken out, then noise, and the
//! level is evened. WebRTC's audio processing (AEC3, noise suppressor, AGC2), by the crate `sonora`. Pure.
//!
//! The echo canceller compares with what the speaker was given. It finds out by itself how late that comes back (up to
//! about half a second, and it follows a clock that drifts), so nothing here depends on what a device says of its delay.
//!
//! Sound must never fail because its refinement does: whatever goes wrong in here, the block goes through as it came.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate, NoiseSuppression,
    NoiseSuppressionLevel, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

use super::frame::{BLOCK, SAMPLE_RATE};

/// Samples that are processed at a time: 10 ms.
const STEP: usize = BLOCK / 2;
/// Blocks of the speaker's sound that may wait for the microphone's next: 0.2 s. Past that the microphone stands still,
/// and the oldest are of no use.
const WAITING: usize = 10;
/// Gain that a voice begins with, in dB. AGC2 begins at 15: too much for a microphone that is set well.
const FIRST_GAIN: f32 = 6.0;
/// Gain at most, in dB: what whispering into a laptop from a metre away needs.
const MOST_GAIN: f32 = 30.0;

/// Which parts are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processing {
    /// Take out what the speaker plays.
    pub echo: bool,
    /// Take out what is steady: fans, hum, hiss.
    pub noise: bool,
    /// Raise quiet voices and lower loud ones.
    pub gain: bool,
}

impl Processing {
    /// Nothing is changed.
    pub const NONE: Self = Self { echo: false, noise: false, gain: false };
    /// Everything is on.
    pub const ALL: Self = Self { echo: true, noise: true, gain: true };
}

/// What the speaker was given, on its way to the echo canceller. It is written on the playout thread and read on the
/// microphone's, neither of which is a device's callback.
#[derive(Clone, Default)]
pub struct EchoReference(Arc<Mutex<VecDeque<[f32; BLOCK]>>>);

impl EchoReference {
    fn lock(&self) -> MutexGuard<'_, VecDeque<[f32; BLOCK]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The speaker plays this next. Of what nobody fetches only the newest 0.2 s are kept.
    pub fn put(&self, block: &[f32; BLOCK]) {
        let mut waiting = self.lock();
        while waiting.len() >= WAITING {
            waiting.pop_front();
        }
        waiting.push_back(*block);
    }

    /// The oldest block that was not fetched yet.
    pub fn take(&self) -> Option<[f32; BLOCK]> {
        self.lock().pop_front()
    }

    /// Forgets what waits.
    pub fn clear(&self) {
        self.lock().clear();
    }
}

/// One microphone's processing. It learns the room while it runs, so it is kept running, muted or not.
pub struct SoundProcessor {
    wanted: Processing,
    inner: Option<Box<AudioProcessing>>,
    broken: bool,
}

impl SoundProcessor {
    /// A processor that knows nothing of the room yet.
    pub fn new(wanted: Processing) -> Self {
        let mut made = Self { wanted, inner: None, broken: false };
        made.build();
        made
    }

    fn build(&mut self) {
        let wanted = self.wanted;
        self.inner = None;
        if wanted == Processing::NONE || self.broken {
            return;
        }
        let made = catch_unwind(|| {
            AudioProcessing::builder()
                .config(config(wanted))
                .capture_config(StreamConfig::new(SAMPLE_RATE, 1))
                .render_config(StreamConfig::new(SAMPLE_RATE, 1))
                .build()
        });
        match made {
            Ok(inner) => self.inner = Some(Box::new(inner)),
            Err(_) => self.broken = true,
        }
    }

    /// Switches parts on or off, from the next block on. What was learnt of the room is forgotten if anything changes.
    pub fn set(&mut self, wanted: Processing) {
        if wanted != self.wanted {
            self.wanted = wanted;
            self.build();
        }
    }

    /// True once processing has failed. Sound goes through as it is from then on.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Takes note of 20 ms that the speaker plays.
    pub fn handle_far(&mut self, block: &[f32; BLOCK]) {
        if !self.wanted.echo {
            return;
        }
        self.run(|inner| {
            let mut ignored = [0.0; STEP];
            block.as_chunks::<STEP>().0.iter().all(|half| {
                let half = half.map(sane);
                inner.process_render_f32(&[&half], &mut [&mut ignored]).is_ok()
            })
        });
    }

    /// Processes 20 ms from the microphone in place. What comes out is finite and within ±1; it lags behind what went in
    /// by 10 to 15 ms.
    pub fn process(&mut self, block: &mut [f32; BLOCK]) {
        let raw = block.map(sane);
        let mut made = [0.0; BLOCK];
        self.run(|inner| {
            let halves = raw.as_chunks::<STEP>().0.iter().zip(made.as_chunks_mut::<STEP>().0);
            let mut fine = true;
            for (from, to) in halves {
                fine &= inner.process_capture_f32(&[from], &mut [to]).is_ok();
            }
            fine && made.iter().all(|sample| sample.is_finite())
        });
        *block = if self.inner.is_some() { made.map(sane) } else { raw };
    }

    /// Runs a piece of the library's code. If it fails it is not trusted again.
    fn run(&mut self, work: impl FnOnce(&mut AudioProcessing) -> bool) {
        let Some(inner) = &mut self.inner else { return };
        if !catch_unwind(AssertUnwindSafe(|| work(inner))).unwrap_or(false) {
            self.inner = None;
            self.broken = true;
        }
    }
}

fn sane(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 }
}

fn config(wanted: Processing) -> Config {
    Config {
        pipeline: Pipeline {
            maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
            multi_channel_render: false,
            multi_channel_capture: false,
            ..Pipeline::default()
        },
        high_pass_filter: Some(HighPassFilter::default()),
        echo_canceller: wanted.echo.then(EchoCanceller::default),
        noise_suppression: wanted
            .noise
            .then(|| NoiseSuppression { level: NoiseSuppressionLevel::Moderate, ..NoiseSuppression::default() }),
        gain_controller2: wanted.gain.then(|| GainController2 {
            adaptive_digital: Some(AdaptiveDigital {
                initial_gain_db: FIRST_GAIN,
                max_gain_db: MOST_GAIN,
                ..AdaptiveDigital::default()
            }),
            ..GainController2::default()
        }),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    // Figures, for whoever runs them with --nocapture.
    #![allow(clippy::print_stdout)]

    use super::*;
    use crate::media::level::dbfs;
    use crate::media::test_voice::TestVoice;

    /// A room as a microphone hears a loudspeaker in it: a loudspeaker that bends what is loud, the way through the
    /// air, and an exponentially dying tail.
    struct SimulatedRoom {
        delay: usize,
        /// Lag in samples and weight of each way.
        ways: Vec<(usize, f32)>,
        played: Vec<f32>,
    }

    impl SimulatedRoom {
        /// `delay_ms` until the first sound arrives, `tail_ms` until the echo has died by 60 dB; `level_db` is what the
        /// echo has against what was played.
        fn new(seed: u64, delay_ms: usize, tail_ms: usize, level_db: f32) -> Self {
            let mut random = seed;
            let mut noise = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((random >> 40) as f32 / (1u32 << 23) as f32) - 1.0
            };
            let (delay, length) = (delay_ms * 48, tail_ms * 48);
            let mut ways = vec![(0, 1.0)];
            ways.extend(
                (13..length).step_by(13).map(|lag| (lag, 0.4 * noise() * 0.001f32.powf(lag as f32 / length as f32))),
            );
            let energy: f32 = ways.iter().map(|(_, weight)| weight * weight).sum();
            let factor = 10f32.powf(level_db / 20.0) / energy.sqrt();
            ways.iter_mut().for_each(|(_, weight)| *weight *= factor);
            Self { delay, ways, played: vec![0.0; delay + length] }
        }

        fn hear(&mut self, played: &[f32; BLOCK]) -> [f32; BLOCK] {
            let begin = self.played.len() - self.delay;
            self.played.extend(played.iter().map(|sample| sample - 0.03 * sample.powi(3)));
            let mut heard = [0.0; BLOCK];
            for (lag, weight) in &self.ways {
                let from = &self.played[begin - lag..];
                heard.iter_mut().zip(from).for_each(|(sum, sample)| *sum += weight * sample);
            }
            heard
        }
    }

    fn next(voice: &mut TestVoice) -> [f32; BLOCK] {
        let mut block = [0.0; BLOCK];
        voice.next_block(&mut block);
        block
    }

    fn power(blocks: &[f32]) -> f64 {
        blocks.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / blocks.len() as f64
    }

    fn db(ratio: f64) -> f64 {
        10.0 * ratio.max(1e-12).log10()
    }

    /// The faintest of noises, which every microphone adds.
    struct Hiss(u32);
    impl Hiss {
        fn next(&mut self) -> f32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((self.0 >> 8) as f32 / (1u32 << 23) as f32 - 1.0) * 1.7e-5
        }
    }

    /// Far-end speech alone: what is left of the echo after three seconds, against the echo, in dB.
    fn erle(room: &mut SimulatedRoom, wanted: Processing) -> f64 {
        let (mut voice, mut hiss) = (TestVoice::new(), Hiss(1));
        let mut processor = SoundProcessor::new(wanted);
        let (mut echo, mut left) = (Vec::new(), Vec::new());
        for n in 0..500 {
            let played = next(&mut voice);
            processor.handle_far(&played);
            let mut heard = room.hear(&played).map(|s| s + hiss.next());
            if n >= 150 {
                echo.extend_from_slice(&heard);
            }
            processor.process(&mut heard);
            if n >= 150 {
                left.extend_from_slice(&heard);
            }
        }
        assert!(!processor.is_broken());
        db(power(&echo) / power(&left))
    }

    /// Both speak from the fourth second on: what the near voice loses while both are loud, in dB.
    fn double_talk_loss(room: &mut SimulatedRoom) -> f64 {
        let (mut far, mut near) = (TestVoice::new(), TestVoice::another(77, 1.45));
        let mut processor = SoundProcessor::new(Processing { gain: false, noise: false, echo: true });
        let mut alone = SoundProcessor::new(Processing { gain: false, noise: false, echo: true });
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for n in 0..900 {
            let played = next(&mut far);
            processor.handle_far(&played);
            alone.handle_far(&[0.0; BLOCK]);
            let said = if n >= 200 { next(&mut near) } else { [0.0; BLOCK] };
            let mut heard = room.hear(&played);
            heard.iter_mut().zip(&said).for_each(|(heard, said)| *heard += said);
            let mut clean = said;
            let both = dbfs(&played) > -35.0 && dbfs(&said) > -35.0;
            processor.process(&mut heard);
            alone.process(&mut clean);
            if n >= 250 && both {
                with.extend_from_slice(&heard);
                without.extend_from_slice(&clean);
            }
        }
        assert!(with.len() > 100 * BLOCK, "they do speak at once");
        // The part of what came out that is the near voice: its projection on the voice as processed alone.
        let product: f64 = with.iter().zip(&without).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let share = product / (power(&without) * without.len() as f64);
        -db(share * share)
    }

    const ECHO: Processing = Processing { echo: true, noise: false, gain: false };

    #[test]
    fn the_echo_of_a_room_is_gone_after_three_seconds() {
        for (seed, delay, tail, level) in [(1, 20, 100, -6.0), (2, 60, 150, -10.0), (4, 150, 200, -20.0)] {
            for wanted in [ECHO, Processing::ALL] {
                let gone = erle(&mut SimulatedRoom::new(seed, delay, tail, level), wanted);
                println!("room {seed}, {wanted:?}: {gone:.1} dB of echo taken out");
                assert!(gone >= 40.0, "room {seed}, {wanted:?}: {gone:.1} dB");
            }
        }
    }

    #[test]
    fn devices_that_deliver_in_bursts_and_whose_clocks_differ_make_no_echo() {
        let (mut voice, mut hiss) = (TestVoice::new(), Hiss(1));
        let mut room = SimulatedRoom::new(2, 60, 120, -10.0);
        let (reference, mut processor) = (EchoReference::default(), SoundProcessor::new(Processing::ALL));
        let (mut echo, mut left) = (Vec::new(), Vec::new());
        let (mut air, mut captured, mut done) = (Vec::new(), Vec::new(), 0);
        for n in 0..750usize {
            // The speaker takes three blocks at a time, well before they are heard.
            if n % 3 == 0 {
                for _ in 0..3 {
                    let played = next(&mut voice);
                    reference.put(&played);
                    air.extend(room.hear(&played));
                }
            }
            // The microphone's clock is 100 ppm slow, and it delivers two blocks at a time.
            while captured.len() < (n + 1) * BLOCK {
                let at = captured.len() + captured.len() / 10_000;
                match air.get(at) {
                    Some(sample) => captured.push(sample + hiss.next()),
                    None => break,
                }
            }
            if n % 2 == 0 {
                continue;
            }
            while done + BLOCK <= captured.len() {
                let mut block: [f32; BLOCK] = std::array::from_fn(|k| captured[done + k]);
                done += BLOCK;
                while let Some(played) = reference.take() {
                    processor.handle_far(&played);
                }
                if n > 200 {
                    echo.extend_from_slice(&block);
                }
                processor.process(&mut block);
                if n > 200 {
                    left.extend_from_slice(&block);
                }
            }
        }
        let gone = db(power(&echo) / power(&left));
        println!("bursts and drift: {gone:.1} dB of echo taken out");
        assert!(gone >= 30.0, "{gone:.1} dB");
    }

    #[test]
    fn who_speaks_against_the_speaker_is_still_heard() {
        for (seed, delay, tail, level) in [(2, 60, 150, -10.0), (3, 100, 200, -14.0)] {
            let loss = double_talk_loss(&mut SimulatedRoom::new(seed, delay, tail, level));
            println!("room {seed}: {loss:.2} dB of the near voice lost");
            assert!(loss <= 2.0, "room {seed}: {loss:.2} dB");
        }
    }

    #[test]
    fn with_everything_off_nothing_is_changed() {
        let mut voice = TestVoice::new();
        let mut processor = SoundProcessor::new(Processing::NONE);
        for _ in 0..100 {
            let said = next(&mut voice);
            let mut block = said;
            processor.handle_far(&said);
            processor.process(&mut block);
            assert_eq!(block, said);
        }
    }

    #[test]
    fn parts_are_switched_while_sound_runs() {
        let mut voice = TestVoice::new();
        let mut processor = SoundProcessor::new(Processing::ALL);
        for n in 0..64u8 {
            processor.set(Processing { echo: n & 1 == 0, noise: n & 2 == 0, gain: n & 4 == 0 });
            let mut block = next(&mut voice);
            processor.handle_far(&block);
            processor.process(&mut block);
            assert!(block.iter().all(|s| s.abs() <= 1.0));
        }
        processor.set(Processing::NONE);
        let mut block = [0.25; BLOCK];
        processor.process(&mut block);
        assert_eq!(block, [0.25; BLOCK]);
    }

    #[test]
    fn a_quiet_voice_is_raised_and_a_fan_is_not() {
        let mut voice = TestVoice::new();
        let mut hiss = Hiss(3);
        let mut processor = SoundProcessor::new(Processing::ALL);
        let (mut said, mut heard, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..1_500 {
            let quiet = next(&mut voice).map(|s| 0.06 * s);
            let mut block = quiet.map(|s| s + 40.0 * hiss.next());
            processor.process(&mut block);
            if n > 750 && dbfs(&quiet) > -60.0 {
                said.extend_from_slice(&quiet);
                heard.extend_from_slice(&block);
            } else if n > 750 && dbfs(&quiet) < -85.0 {
                pauses.extend_from_slice(&block);
            }
        }
        let raised = db(power(&heard) / power(&said));
        println!("a voice at {:.1} dBFS comes out at {:.1}, pauses at {:.1}", dbfs(&said), dbfs(&heard), dbfs(&pauses));
        assert!(raised > 10.0, "{raised}");
        assert!(pauses.is_empty() || dbfs(&heard) - dbfs(&pauses) > 20.0);
    }

    #[test]
    fn whatever_a_device_or_a_decoder_says_comes_out_finite() {
        let mut processor = SoundProcessor::new(Processing::ALL);
        for n in 0..60 {
            let strange = [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, -3.0][n % 5];
            let mut block = [strange; BLOCK];
            processor.handle_far(&block);
            processor.process(&mut block);
            assert!(block.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
        }
        assert!(!processor.is_broken());
    }

    #[test]
    fn when_processing_fails_sound_goes_through_as_it_is() {
        let mut processor = SoundProcessor::new(Processing::ALL);
        processor.run(|_| false);
        assert!(processor.is_broken());
        let mut block = [0.5; BLOCK];
        processor.handle_far(&[0.1; BLOCK]);
        processor.process(&mut block);
        assert_eq!(block, [0.5; BLOCK]);
        processor.set(ECHO);
        processor.process(&mut block);
        assert_eq!(block, [0.5; BLOCK], "and it is not trusted again");
    }

    #[test]
    fn what_nobody_fetches_does_not_pile_up() {
        let reference = EchoReference::default();
        for n in 0..100 {
            reference.put(&[n as f32; BLOCK]);
        }
        let kept: Vec<f32> = std::iter::from_fn(|| reference.take()).map(|block| block[0]).collect();
        assert_eq!(kept, (90..100).map(|n| n as f32).collect::<Vec<_>>());
    }
}
