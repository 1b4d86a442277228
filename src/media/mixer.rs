//! Many voices into one block, never louder than full scale. Pure.
//!
//! **Headroom.** A voice lies at about −23 dBFS with peaks 15 dB above that. Two at once add 3 dB, ten 10 dB, so that a lively
//! group of four just reaches full scale; what goes beyond is the limiter's, and nothing is turned down ahead of need.
//!
//! **Limiter.** It looks [`LOOK_AHEAD`] samples ahead: the gain is down before a peak arrives, along a smooth curve, so that no
//! waveform is bent. It comes up again quickly after a single peak, and slowly after half a second of them, so that neither a
//! click makes a hole nor a crowd makes it pump.

use super::frame::BLOCK;

/// The loudest that comes out (−1 dBFS): converters overshoot between samples.
const CEILING: f32 = 0.891;
/// Samples that the limiter looks ahead, and that sound is delayed by for it: 1.5 ms.
pub const LOOK_AHEAD: usize = 72;
/// Samples in which the gain comes up by 63 % after a single peak: 40 ms.
const RELEASE_FAST: f32 = 1_920.0;
/// The same when the gain has been down for long: 0.5 s.
const RELEASE_SLOW: f32 = 24_000.0;
/// Above this a single voice cannot be turned up.
const MAX_VOLUME: f32 = 4.0;

/// Adds voices up and holds back what is too loud.
#[derive(Clone, Debug)]
pub struct Mixer {
    /// What was mixed and is not out yet.
    ahead: [f32; LOOK_AHEAD],
    /// The gain each of these needs, oldest first, as it comes in.
    needs: [f32; LOOK_AHEAD],
    /// What the window of needs would have, with its release.
    held: f32,
    /// The newest values of `held`: their mean is the gain, which so takes [`LOOK_AHEAD`] samples to come down.
    recent: [f32; LOOK_AHEAD],
    at: usize,
    /// Samples since the gain was last not 1.
    calm: usize,
    /// How far the gain has been down of late, as a gain: it sets the pace of the release.
    depth: f32,
}

impl Default for Mixer {
    fn default() -> Self {
        Self {
            ahead: [0.0; LOOK_AHEAD],
            needs: [1.0; LOOK_AHEAD],
            held: 1.0,
            recent: [1.0; LOOK_AHEAD],
            at: 0,
            calm: usize::MAX,
            depth: 1.0,
        }
    }
}

impl Mixer {
    /// Writes the sum of all `voices`, each times its volume (0 to 4, where 1 leaves it alone), to `out`.
    ///
    /// Every sample of `out` is finite and within −1 dBFS. As long as the sum is so too nothing is altered, and comes out
    /// [`LOOK_AHEAD`] samples later.
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
        for sample in block {
            let loud = sample.abs();
            self.needs[self.at] = if loud > CEILING { CEILING / loud } else { 1.0 };
            let late = std::mem::replace(&mut self.ahead[self.at], *sample);
            if loud <= CEILING && self.calm > LOOK_AHEAD {
                self.recent[self.at] = 1.0;
                self.at = (self.at + 1) % LOOK_AHEAD;
                self.depth += (1.0 - self.depth) / RELEASE_SLOW;
                *sample = late;
                continue;
            }
            // The gain must be down to the least need in the window by the time that the peak leaves it, and no sooner
            // may it come up.
            let least = self.needs.iter().copied().fold(1.0, f32::min);
            // 1 while it has not been down, 0 while it has been far down for long.
            let fresh = ((self.depth - 0.5) * 2.0).clamp(0.0, 1.0);
            let release = RELEASE_SLOW + (RELEASE_FAST - RELEASE_SLOW) * fresh;
            self.held = if least < self.held { least } else { self.held + (least - self.held) / release };
            if self.held > 0.999_9 {
                self.held = 1.0;
            }
            self.depth += (self.held - self.depth) / RELEASE_SLOW;
            self.recent[self.at] = self.held;
            self.at = (self.at + 1) % LOOK_AHEAD;
            let gain = self.recent.iter().sum::<f32>() / LOOK_AHEAD as f32;
            self.calm = if self.held == 1.0 { self.calm + 1 } else { 0 };
            // Rounding may leave a hair above.
            *sample = (late * gain).clamp(-CEILING, CEILING);
        }
    }
}

#[cfg(test)]
mod tests {
    // Figures, for whoever runs them with --nocapture.
    #![allow(clippy::print_stdout)]

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

    /// Mixes `blocks` of one voice and returns what comes out, without the look-ahead's delay.
    fn mixed(mixer: &mut Mixer, voice: impl IntoIterator<Item = [f32; BLOCK]>) -> Vec<f32> {
        let mut heard = Vec::new();
        for block in voice {
            let mut out = [0.0; BLOCK];
            mixer.mix([(&block, 1.0)], &mut out);
            heard.extend_from_slice(&out);
        }
        heard[LOOK_AHEAD..].to_vec()
    }

    fn peak(sound: &[f32]) -> f32 {
        sound.iter().fold(0.0, |peak, s| peak.max(s.abs()))
    }

    #[test]
    fn voices_below_the_ceiling_are_added_exactly() {
        let (a, b) = (tone(0.3, 0.05), tone(0.2, 0.11));
        let mut mixer = Mixer::default();
        let mut out = [0.0; BLOCK];
        for round in 0..3 {
            mixer.mix([(&a, 1.0), (&b, 0.5)], &mut out);
            for n in LOOK_AHEAD..BLOCK {
                let sum = a[n - LOOK_AHEAD] + 0.5 * b[n - LOOK_AHEAD];
                assert!((out[n] - sum).abs() < 1e-6, "round {round}");
            }
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
            assert!(peak(&out) <= CEILING);
        }
        assert!(peak(&out) > 0.8, "held back, not thrown away");
        let soft = tone(0.1, 0.07);
        let heard = mixed(&mut mixer, vec![soft; 250]);
        let late = &heard[248 * BLOCK..249 * BLOCK];
        assert!(late.iter().zip(&soft).all(|(out, soft)| (out - soft).abs() < 1e-5), "the limiter lets go");
    }

    #[test]
    fn a_held_gain_bends_no_waveform() {
        let long: Vec<f32> = (0..40 * BLOCK).map(|n| 2.0 * (n as f32 * 0.02).sin()).collect();
        let mut mixer = Mixer::default();
        let heard = mixed(&mut mixer, long.as_chunks::<BLOCK>().0.iter().copied());
        let (from, to) = (20 * BLOCK, 38 * BLOCK);
        let product: f64 = (from..to).map(|n| f64::from(heard[n]) * f64::from(long[n])).sum();
        let power = |v: &[f32]| v[from..to].iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
        let share = product / power(&long);
        let rest: f64 = (from..to).map(|n| (f64::from(heard[n]) - share * f64::from(long[n])).powi(2)).sum();
        let distortion = 10.0 * (rest / power(&heard)).log10();
        println!("distortion {distortion:.1} dB");
        assert!(distortion < -35.0, "{distortion}");
    }

    #[test]
    fn a_peak_is_met_by_a_gain_that_is_down_already_and_makes_no_hole() {
        let mut voice = [tone(0.2, 0.05); 60].concat();
        voice[20 * BLOCK + 500] = 2.5;
        let mut mixer = Mixer::default();
        let heard = mixed(&mut mixer, voice.as_chunks::<BLOCK>().0.iter().copied());
        let gains: Vec<f32> =
            heard.iter().zip(&voice).map(|(out, said)| if said.abs() > 0.05 { out / said } else { 1.0 }).collect();
        let at = 20 * BLOCK + 500;
        assert!(gains.iter().take(at - LOOK_AHEAD).all(|gain| (gain - 1.0).abs() < 1e-4), "nothing before its time");
        assert!(peak(&heard[at - 2..at + 3]) > 0.85, "the peak itself is at the ceiling");
        let after = at + 12 * BLOCK;
        assert!(gains[after..after + BLOCK].iter().all(|gain| *gain > 0.95), "a quarter of a second later it is over");
    }

    #[test]
    fn a_lasting_crowd_does_not_make_it_pump() {
        // Syllables four times a second, twice too loud.
        let sound: Vec<f32> = (0..400 * BLOCK)
            .map(|n| {
                let syllable = if (n / 6_000) % 2 == 0 { 1.8 } else { 0.18 };
                syllable * (n as f32 * 0.03).sin()
            })
            .collect();
        let mut mixer = Mixer::default();
        let heard = mixed(&mut mixer, sound.as_chunks::<BLOCK>().0.iter().copied());
        let gain_at = |n: usize| peak(&heard[n..n + 300]) / peak(&sound[n..n + 300]);
        // Just after a syllable, and just before the next.
        let (after, before) = (gain_at(360_000 + 6_500), gain_at(360_000 + 11_500));
        println!("gain {after:.3} after a syllable, {before:.3} before the next");
        assert!(20.0 * (before / after).log10() < 3.0, "{after} {before}");
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
        assert_eq!(out[LOOK_AHEAD..], fine[..BLOCK - LOOK_AHEAD]);
        mixer.mix([(&broken, 1.0), (&fine, 1.0)], &mut out);
        assert!(out.iter().all(|s| s.is_finite() && s.abs() <= CEILING));
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
