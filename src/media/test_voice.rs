//! The built-in voice: somebody speaking in a small hall, in no language.
//!
//! A source-filter synthesiser in the manner of Klatt (JASA 67, 1980): a glottal pulse train with a pitch that falls
//! over each phrase, noise for fricatives and bursts, a cascade of four formants that glide from sound to sound, and a
//! little reverberation. What is said comes from a fixed seed: every run says the same, and nothing repeats, so that a
//! recording can be laid against it and the delay read off.

use std::f32::consts::{PI, TAU};

use super::frame::{BLOCK, SAMPLE_RATE};

const RATE: f32 = SAMPLE_RATE as f32;
/// Sets the mean level while speaking to −23 dBFS, which is where loudness standards put speech.
const GAIN: f32 = 0.21;
/// Samples between two updates of the filters (1 ms).
const STEP: usize = 48;

/// First to fourth formant in Hz of vowels as in: heed, hid, head, had, hod, hawed, hood, who'd, hud, heard
/// (rounded from Peterson and Barney, JASA 24, 1952, men).
const VOWELS: [[f32; 4]; 10] = [
    [270.0, 2290.0, 3010.0, 3500.0],
    [390.0, 1990.0, 2550.0, 3500.0],
    [530.0, 1840.0, 2480.0, 3500.0],
    [660.0, 1720.0, 2410.0, 3500.0],
    [730.0, 1090.0, 2440.0, 3400.0],
    [570.0, 840.0, 2410.0, 3300.0],
    [440.0, 1020.0, 2240.0, 3300.0],
    [300.0, 870.0, 2240.0, 3300.0],
    [640.0, 1190.0, 2390.0, 3400.0],
    [490.0, 1350.0, 1690.0, 3300.0],
];
/// Bandwidths in Hz that go with the four formants.
const WIDTHS: [f32; 4] = [70.0, 90.0, 140.0, 220.0];

/// One speech sound.
#[derive(Clone, Copy, Debug)]
struct Sound {
    samples: usize,
    formants: [f32; 4],
    voicing: f32,
    hiss: f32,
    hiss_hz: f32,
    pitch: f32,
}

/// A two-pole resonator with gain 1 at zero frequency.
#[derive(Clone, Copy, Debug, Default)]
struct Resonator {
    a: f32,
    b: f32,
    c: f32,
    y1: f32,
    y2: f32,
}

impl Resonator {
    fn tune(&mut self, hz: f32, width: f32) {
        let radius = (-PI * width / RATE).exp();
        self.c = -radius * radius;
        self.b = 2.0 * radius * (TAU * hz / RATE).cos();
        self.a = 1.0 - self.b - self.c;
    }

    fn run(&mut self, x: f32) -> f32 {
        let y = self.a * x + self.b * self.y1 + self.c * self.y2;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

/// Echoes: delays in samples that share no factor, so that they do not ring together.
#[derive(Clone, Debug)]
struct Hall {
    lines: [(Vec<f32>, usize, f32); 4],
}

impl Hall {
    fn new() -> Self {
        let line = |samples| (vec![0.0; samples], 0, 0.0);
        Self { lines: [line(1_427), line(1_783), line(2_137), line(2_593)] }
    }

    fn run(&mut self, x: f32) -> f32 {
        let mut wet = 0.0;
        for (line, at, dull) in &mut self.lines {
            let echo = line[*at];
            *dull += 0.35 * (echo - *dull);
            line[*at] = x + 0.55 * *dull;
            *at = (*at + 1) % line.len();
            wet += echo;
        }
        x + 0.05 * wet
    }
}

/// A voice that never ends and never repeats; see the module.
#[derive(Clone, Debug)]
pub struct TestVoice {
    random: u64,
    /// Pitch against that of [`TestVoice::new`].
    height: f32,
    /// What is still to be said, last first.
    plan: Vec<Sound>,
    now: Sound,
    left: usize,
    formants: [f32; 4],
    voicing: f32,
    hiss: f32,
    hiss_hz: f32,
    pitch: f32,
    phase: f32,
    flow: f32,
    period_gain: f32,
    step: usize,
    tract: [Resonator; 4],
    fricative: Resonator,
    hiss_last: f32,
    hall: Hall,
}

impl Default for TestVoice {
    fn default() -> Self {
        Self::new()
    }
}

impl TestVoice {
    /// The voice at the beginning of what it says.
    pub fn new() -> Self {
        Self::another(0x05EE_D0F5_EEC4, 1.0)
    }

    /// Somebody else: what they say comes from `seed`, and their pitch is `height` times (0.5 to 2) that of the first voice.
    pub fn another(seed: u64, height: f32) -> Self {
        let pause = silence(0.15);
        Self {
            random: seed,
            height: height.clamp(0.5, 2.0),
            plan: Vec::new(),
            now: pause,
            left: pause.samples,
            formants: pause.formants,
            voicing: 0.0,
            hiss: 0.0,
            hiss_hz: 3_000.0,
            pitch: 120.0,
            phase: 0.0,
            flow: 0.0,
            period_gain: 1.0,
            step: 0,
            tract: [Resonator::default(); 4],
            fricative: Resonator::default(),
            hiss_last: 0.0,
            hall: Hall::new(),
        }
    }

    /// Fills `out` with the next 20 ms.
    pub fn next_block(&mut self, out: &mut [f32; BLOCK]) {
        for sample in out {
            *sample = self.next_sample();
        }
    }

    fn next_sample(&mut self) -> f32 {
        if self.left == 0 {
            if self.plan.is_empty() {
                self.plan_phrase();
            }
            self.now = self.plan.pop().unwrap_or_else(|| silence(0.3));
            self.left = self.now.samples;
        }
        self.left -= 1;
        if self.step == 0 {
            self.step = STEP;
            self.glide();
        }
        self.step -= 1;

        self.phase += self.pitch * self.height / RATE;
        if self.phase >= 1.0 {
            self.phase -= 1.0;
            // No two periods of a living voice are alike.
            self.period_gain = 1.0 + 0.12 * (self.uniform() - 0.5);
            self.pitch *= 1.0 + 0.012 * (self.uniform() - 0.5);
        }
        let flow = glottal_flow(self.phase) * self.period_gain;
        let pulse = (flow - self.flow) * (RATE / 3_000.0);
        self.flow = flow;
        let noise = 2.0 * self.uniform() - 1.0;
        let mut voice = self.voicing * (pulse + 0.02 * noise);
        for resonator in &mut self.tract {
            voice = resonator.run(voice);
        }
        // Differencing takes the low end out of the hiss, which no fricative has.
        let hiss = self.fricative.run(noise);
        let bright = hiss - self.hiss_last;
        self.hiss_last = hiss;
        (GAIN * self.hall.run(voice + self.hiss * bright)).clamp(-0.98, 0.98)
    }

    /// Moves every parameter some of the way to where the present sound wants it: that is what makes speech of beeps.
    fn glide(&mut self) {
        let towards = |value: &mut f32, goal: f32, share: f32| *value += (goal - *value) * share;
        for (index, resonator) in self.tract.iter_mut().enumerate() {
            towards(&mut self.formants[index], self.now.formants[index], 0.07);
            resonator.tune(self.formants[index], WIDTHS[index]);
        }
        towards(&mut self.voicing, self.now.voicing, 0.12);
        towards(&mut self.hiss, self.now.hiss, 0.2);
        towards(&mut self.pitch, self.now.pitch, 0.03);
        self.hiss_hz = self.now.hiss_hz;
        self.fricative.tune(self.hiss_hz, 0.35 * self.hiss_hz);
    }

    fn plan_phrase(&mut self) {
        let words = 2 + self.below(5);
        let mut sounds = Vec::new();
        let question = self.below(6) == 0;
        let top = 128.0 + 24.0 * self.uniform();
        for word in 0..words {
            let syllables = 1 + self.below(3);
            let stressed = self.below(syllables);
            for syllable in 0..syllables {
                let way = (word as f32 + syllable as f32 / syllables as f32) / words as f32;
                let mut pitch = top - 34.0 * way;
                if syllable == stressed {
                    pitch *= 1.14;
                }
                if question && word + 1 == words {
                    pitch *= 1.0 + 0.35 * (syllable + 1) as f32 / syllables as f32;
                }
                self.plan_syllable(&mut sounds, pitch, syllable == stressed);
            }
            if self.below(5) == 0 {
                sounds.push(silence(0.04 + 0.06 * self.uniform()));
            }
        }
        sounds.push(silence(0.35 + 0.5 * self.uniform()));
        sounds.reverse();
        self.plan = sounds;
    }

    fn plan_syllable(&mut self, sounds: &mut Vec<Sound>, pitch: f32, stressed: bool) {
        let vowel = VOWELS[self.below(VOWELS.len())];
        let sound = |seconds: f32, formants, voicing, hiss, hiss_hz| Sound {
            samples: (seconds * RATE) as usize,
            formants,
            voicing,
            hiss,
            hiss_hz,
            pitch,
        };
        match self.below(9) {
            // Stops: a closure, then a burst of their own colour.
            0..=2 => {
                let hz = [1_000.0, 3_800.0, 2_000.0][self.below(3)];
                sounds.push(sound(0.05, vowel, 0.0, 0.0, hz));
                sounds.push(sound(0.014, vowel, 0.1, 0.5, hz));
            }
            // Fricatives.
            3 => sounds.push(sound(0.09 + 0.03 * self.uniform(), vowel, 0.0, 0.10, 5_200.0)),
            4 => sounds.push(sound(0.09, vowel, 0.0, 0.16, 2_700.0)),
            5 => sounds.push(sound(0.07, vowel, 0.35, 0.10, 3_600.0)),
            // Nasals and liquids.
            6 => sounds.push(sound(0.07, [250.0, 1_150.0, 2_200.0, 3_300.0], 0.5, 0.0, 3_000.0)),
            7 => sounds.push(sound(0.06, [360.0, 1_300.0, 2_700.0, 3_400.0], 0.7, 0.0, 3_000.0)),
            _ => {}
        }
        let length = if stressed { 0.13 } else { 0.08 } + 0.06 * self.uniform();
        let strength = if stressed { 1.0 } else { 0.75 };
        sounds.push(sound(length, vowel, strength, 0.0, 3_000.0));
        match self.below(6) {
            // A diphthong.
            0 => {
                let glide = VOWELS[[0, 7][self.below(2)]];
                sounds.push(sound(0.08, glide, 0.8 * strength, 0.0, 3_000.0));
            }
            1 => sounds.push(sound(0.06, [250.0, 1_500.0, 2_400.0, 3_300.0], 0.45, 0.0, 3_000.0)),
            2 => sounds.push(sound(0.08, vowel, 0.0, 0.09, 5_000.0)),
            _ => {}
        }
    }

    /// A number in 0..1 (splitmix64).
    fn uniform(&mut self) -> f32 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.uniform() * bound as f32) as usize).min(bound.saturating_sub(1))
    }
}

fn silence(seconds: f32) -> Sound {
    Sound {
        samples: (seconds * RATE) as usize,
        formants: [500.0, 1_500.0, 2_500.0, 3_500.0],
        voicing: 0.0,
        hiss: 0.0,
        hiss_hz: 3_000.0,
        pitch: 115.0,
    }
}

/// Air through the glottis over one period (Rosenberg, JASA 49, 1971): opens for 40 % of it, closes in 16 %.
fn glottal_flow(phase: f32) -> f32 {
    const OPEN: f32 = 0.40;
    const CLOSE: f32 = 0.16;
    if phase < OPEN {
        0.5 * (1.0 - (PI * phase / OPEN).cos())
    } else if phase < OPEN + CLOSE {
        (0.5 * PI * (phase - OPEN) / CLOSE).cos()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::level::{QUIET, dbfs};

    fn seconds(count: usize) -> Vec<f32> {
        let mut voice = TestVoice::new();
        let mut block = [0.0; BLOCK];
        let mut all = Vec::new();
        for _ in 0..count * 50 {
            voice.next_block(&mut block);
            all.extend_from_slice(&block);
        }
        all
    }

    /// Sums the power of a one-pole band split at `hz`: below, above.
    fn split(samples: &[f32], hz: f32) -> (f64, f64) {
        let share = 1.0 - (-TAU * hz / RATE).exp();
        let (mut stages, mut low, mut high) = ([0.0f32; 4], 0.0f64, 0.0f64);
        for sample in samples {
            let mut x = *sample;
            for stage in &mut stages {
                *stage += share * (x - *stage);
                x = *stage;
            }
            low += f64::from(x).powi(2);
            high += f64::from(sample - x).powi(2);
        }
        (low, high)
    }

    #[test]
    fn it_says_the_same_every_time() {
        assert_eq!(seconds(3), seconds(3));
    }

    #[test]
    fn it_speaks_at_minus_23_dbfs_with_pauses_and_never_clips() {
        let all = seconds(60);
        assert!(
            all.iter().all(|s| s.is_finite() && s.abs() < 0.97),
            "{}",
            all.iter().fold(0.0f32, |m, s| m.max(s.abs()))
        );
        let levels: Vec<f32> = all.chunks_exact(BLOCK).map(dbfs).collect();
        let speaking: Vec<f32> = levels.iter().copied().filter(|level| *level > -40.0).collect();
        let power = speaking.iter().map(|level| 10f64.powf(f64::from(*level) / 10.0)).sum::<f64>();
        let mean = 10.0 * (power / speaking.len() as f64).log10();
        assert!((mean + 23.0).abs() < 1.0, "{mean}");
        let share = speaking.len() as f64 / levels.len() as f64;
        assert!((0.5..0.9).contains(&share), "{share}");
        let pauses = levels.windows(8).filter(|w| w.iter().all(|level| *level < QUIET)).count();
        assert!(pauses > 20, "{pauses}");
    }

    #[test]
    fn its_energy_lies_where_speech_has_it() {
        let all = seconds(30);
        let (below, above) = split(&all, 5_500.0);
        assert!(above / below < 0.15, "little above 5.5 kHz: {}", above / below);
        let (rumble, rest) = split(&all, 45.0);
        assert!(rumble / rest < 0.1, "little rumble: {}", rumble / rest);
        let (low, high) = split(&all, 1_000.0);
        assert!(high / low > 0.03, "formants above 1 kHz are there: {}", high / low);
    }

    #[test]
    fn its_loudness_moves_at_the_pace_of_syllables() {
        let all = seconds(30);
        let levels: Vec<f64> = all.chunks_exact(480).map(|c| f64::from(dbfs(c).max(-60.0))).collect();
        let mean = levels.iter().sum::<f64>() / levels.len() as f64;
        // Power of the envelope (100 values a second) between 1 and 12 Hz against 12 to 40 Hz.
        let band = |from: usize, to: usize| {
            (from * 30..to * 30)
                .map(|k| {
                    let (mut re, mut im) = (0.0, 0.0);
                    for (n, level) in levels.iter().enumerate() {
                        let phase = std::f64::consts::TAU * k as f64 * n as f64 / levels.len() as f64;
                        re += (level - mean) * phase.cos();
                        im += (level - mean) * phase.sin();
                    }
                    re * re + im * im
                })
                .sum::<f64>()
        };
        assert!(band(1, 12) > 3.0 * band(12, 40));
    }

    #[test]
    fn nothing_repeats_within_ten_seconds() {
        // 8 kHz is enough to tell, and keeps the search short.
        let all: Vec<f32> = seconds(20).chunks_exact(6).map(|c| c.iter().sum::<f32>() / 6.0).collect();
        let piece = &all[8_000..16_000];
        let energy: f32 = piece.iter().map(|s| s * s).sum();
        for lag in (800..80_000).step_by(2) {
            let other = &all[8_000 + lag..16_000 + lag];
            let product: f32 = piece.iter().zip(other).map(|(a, b)| a * b).sum();
            let power: f32 = other.iter().map(|s| s * s).sum();
            assert!(product.abs() < 0.5 * (energy * power).sqrt().max(1e-6), "lag {lag}");
        }
    }
}
