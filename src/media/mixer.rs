//! Many voices into one block, never louder than full scale. Pure.

use super::frame::BLOCK;

/// Where the limiter begins to hold back, as a share of full scale (−1 dBFS).
const THRESHOLD: f32 = 0.891;
/// Samples over which the gain comes down to its new value (1 ms).
const ATTACK: usize = 48;
/// What the gain may rise by from one block to the next (about 1 dB in 20 ms), so that nobody hears it breathe.
const RELEASE: f32 = 1.12;
/// Above this a single voice cannot be turned up.
const MAX_VOLUME: f32 = 4.0;

/// Adds voices up and holds back what is too loud.
#[derive(Clone, Debug)]
pub struct Mixer {
    gain: f32,
}

impl Default for Mixer {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Mixer {
    /// Writes the sum of all `voices`, each times its volume (0 to 4, where 1 leaves it alone), to `out`.
    ///
    /// Every sample of `out` is finite and within ±1. As long as the sum stays below −1 dBFS nothing is altered.
    pub fn mix<'a>(&mut self, voices: impl IntoIterator<Item = (&'a [f32; BLOCK], f32)>, out: &mut [f32; BLOCK]) {
        out.fill(0.0);
        for (voice, volume) in voices {
            let volume = if volume.is_finite() { volume.clamp(0.0, MAX_VOLUME) } else { 0.0 };
            for (sum, sample) in out.iter_mut().zip(voice) {
                // A decoder fed by a stranger may say anything; one sample must not silence everyone else.
                let sample = if sample.is_finite() { sample.clamp(-64.0, 64.0) } else { 0.0 };
                *sum += volume * sample;
            }
        }
        self.limit(out);
    }

    fn limit(&mut self, block: &mut [f32; BLOCK]) {
        let peak = block.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        let wanted = if peak > THRESHOLD { THRESHOLD / peak } else { 1.0 };
        let (from, to) = (self.gain, wanted.min(self.gain * RELEASE));
        if from >= 1.0 && to >= 1.0 {
            return;
        }
        let ramp = if to < from { ATTACK } else { BLOCK };
        for (index, sample) in block.iter_mut().enumerate() {
            let way = ((index + 1) as f32 / ramp as f32).min(1.0);
            *sample = knee(*sample * (from + (to - from) * way));
        }
        self.gain = to;
    }
}

/// Bends what is left above the threshold so that it reaches full scale only in the limit.
fn knee(sample: f32) -> f32 {
    let over = sample.abs() - THRESHOLD;
    if over <= 0.0 {
        return sample;
    }
    let room = 1.0 - THRESHOLD;
    (THRESHOLD + room * (over / room).tanh()).copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tone(amplitude: f32, step: f32) -> [f32; BLOCK] {
        std::array::from_fn(|n| amplitude * (n as f32 * step).sin())
    }

    #[test]
    fn nothing_but_silence_comes_from_nobody() {
        let mut out = [1.0; BLOCK];
        Mixer::default().mix([], &mut out);
        assert_eq!(out, [0.0; BLOCK]);
    }

    #[test]
    fn voices_below_the_threshold_are_added_exactly() {
        let (a, b) = (tone(0.3, 0.05), tone(0.2, 0.11));
        let mut out = [0.0; BLOCK];
        Mixer::default().mix([(&a, 1.0), (&b, 0.5)], &mut out);
        for n in 0..BLOCK {
            assert!((out[n] - (a[n] + 0.5 * b[n])).abs() < 1e-6);
        }
    }

    #[test]
    fn a_crowd_shouting_never_clips_and_comes_back() {
        let mut mixer = Mixer::default();
        let shout = tone(1.0, 0.07);
        let crowd: Vec<_> = (0..20).map(|_| (&shout, 1.0)).collect();
        let mut out = [0.0; BLOCK];
        for _ in 0..5 {
            mixer.mix(crowd.iter().copied(), &mut out);
            assert!(out.iter().all(|s| s.abs() <= 1.0));
        }
        assert!(out.iter().fold(0.0f32, |m, s| m.max(s.abs())) > 0.8, "held back, not thrown away");
        let soft = tone(0.1, 0.07);
        for _ in 0..60 {
            mixer.mix([(&soft, 1.0)], &mut out);
        }
        assert!((out[100] - soft[100]).abs() < 1e-6, "the limiter lets go");
    }

    #[test]
    fn the_held_gain_is_flat_within_a_block() {
        let mut mixer = Mixer::default();
        let loud = tone(3.0, 0.07);
        let mut out = [0.0; BLOCK];
        for _ in 0..3 {
            mixer.mix([(&loud, 1.0)], &mut out);
        }
        let ratio = out[100] / loud[100];
        for n in 0..BLOCK {
            assert!((out[n] - loud[n] * ratio).abs() < 1e-3, "a limiter, not a distortion");
        }
    }

    #[test]
    fn one_broken_voice_does_not_silence_the_others() {
        let mut broken = [0.0; BLOCK];
        broken[5] = f32::NAN;
        broken[6] = f32::INFINITY;
        broken[7] = f32::MAX;
        let fine = tone(0.2, 0.05);
        let mut out = [0.0; BLOCK];
        let mut mixer = Mixer::default();
        mixer.mix([(&broken, f32::NAN), (&fine, 1.0)], &mut out);
        assert_eq!(out, fine);
        mixer.mix([(&broken, 1.0), (&fine, 1.0)], &mut out);
        assert!(out.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
    }

    proptest! {
        #[test]
        fn whatever_comes_in_stays_within_full_scale(
            seed in proptest::collection::vec(any::<f32>(), 1..40),
            volumes in proptest::collection::vec(any::<f32>(), 1..6),
        ) {
            let mut mixer = Mixer::default();
            let voice: [f32; BLOCK] = std::array::from_fn(|n| seed[n % seed.len()]);
            let mut out = [0.0; BLOCK];
            for _ in 0..3 {
                mixer.mix(volumes.iter().map(|volume| (&voice, *volume)), &mut out);
                prop_assert!(out.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
            }
        }
    }
}
