//! From one sample rate to another, as the sound flows.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Async, FixedAsync, Resampler as _, SincInterpolationParameters, WindowFunction};

/// Rates that are let in, in Hz. They span everything sold as a sound device or found in a WAV file.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// The two rates are outside [`RATES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sample rate of {0} Hz")]
pub struct BadRate(pub u32);

/// Converts one mono stream between two rates; equal rates pass through untouched.
pub struct Resampler {
    inner: Option<Async<f32>>,
    waiting: Vec<f32>,
    made: Vec<f32>,
}

impl Resampler {
    /// A converter from `from` to `to` Hz. It delays the sound by half a filter (64 samples at the lower rate).
    ///
    /// # Errors
    /// [`BadRate`].
    pub fn new(from: u32, to: u32) -> Result<Self, BadRate> {
        for rate in [from, to] {
            if !RATES.contains(&rate) {
                return Err(BadRate(rate));
            }
        }
        if from == to {
            return Ok(Self { inner: None, waiting: Vec::new(), made: Vec::new() });
        }
        let ratio = f64::from(to) / f64::from(from);
        let filter = SincInterpolationParameters::new(128, WindowFunction::BlackmanHarris2);
        // 5 ms a step: short beside a block, long enough that the overhead of a step does not count.
        let inner = Async::new_sinc(ratio, 1.0, &filter, (from / 200) as usize, 1, FixedAsync::Input)
            .map_err(|_| BadRate(from))?;
        let made = vec![0.0; inner.output_frames_max()];
        Ok(Self { inner: Some(inner), waiting: Vec::new(), made })
    }

    /// Takes in `samples` and hands what can be converted by now to `take`, in order, in pieces of any length.
    pub fn push(&mut self, samples: &[f32], mut take: impl FnMut(&[f32])) {
        let Some(inner) = &mut self.inner else {
            take(samples);
            return;
        };
        self.waiting.extend_from_slice(samples);
        let mut used = 0;
        loop {
            let wanted = inner.input_frames_next();
            let Some(input) = self.waiting.get(used..used + wanted) else { break };
            let room = self.made.len();
            let (Ok(input), Ok(mut output)) =
                (SequentialSlice::new(input, 1, wanted), SequentialSlice::new_mut(&mut self.made, 1, room))
            else {
                break;
            };
            used += wanted;
            if let Ok((_, made)) = inner.process_into_buffer(&input, &mut output, None) {
                take(&self.made[..made]);
            }
        }
        self.waiting.drain(..used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hz: f32, seconds: f32) -> Vec<f32> {
        let samples = (rate as f32 * seconds) as usize;
        (0..samples).map(|n| 0.5 * (std::f32::consts::TAU * hz * n as f32 / rate as f32).sin()).collect()
    }

    fn converted(from: u32, to: u32, input: &[f32], piece: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(from, to).unwrap();
        let mut out = Vec::new();
        for samples in input.chunks(piece) {
            resampler.push(samples, |made| out.extend_from_slice(made));
        }
        out
    }

    #[test]
    fn a_tone_keeps_its_pitch_length_and_strength() {
        for from in [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000] {
            let out = converted(from, 48_000, &tone(from, 1_000.0, 1.0), 441);
            assert!((out.len() as i64 - 48_000).abs() < 1_000, "{from}: {}", out.len());
            let middle = &out[4_800..43_200];
            let (mut re, mut im, mut power) = (0.0f64, 0.0f64, 0.0f64);
            for (n, s) in middle.iter().enumerate() {
                let phase = std::f64::consts::TAU * 1_000.0 * n as f64 / 48_000.0;
                re += f64::from(*s) * phase.cos();
                im += f64::from(*s) * phase.sin();
                power += f64::from(*s).powi(2);
            }
            let n = middle.len() as f64;
            let in_tone = 2.0 * (re * re + im * im) / n;
            assert!(in_tone / power > 0.999, "{from}: {}", in_tone / power);
            assert!((power / n - 0.125).abs() < 0.003, "{from}: {}", power / n);
        }
    }

    #[test]
    fn equal_rates_pass_through_untouched() {
        let input = tone(48_000, 440.0, 0.1);
        assert_eq!(converted(48_000, 48_000, &input, 100), input);
    }

    #[test]
    fn the_size_of_the_pieces_does_not_matter() {
        let input = tone(44_100, 700.0, 0.3);
        assert_eq!(converted(44_100, 48_000, &input, 7), converted(44_100, 48_000, &input, 4_000));
    }

    #[test]
    fn absurd_rates_are_refused() {
        for (from, to, bad) in [(0, 48_000, 0), (48_000, 3_999, 3_999), (u32::MAX, 48_000, u32::MAX)] {
            assert_eq!(Resampler::new(from, to).err(), Some(BadRate(bad)));
        }
    }
}
