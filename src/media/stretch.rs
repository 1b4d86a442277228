//! Decoded sound on its way to the mixer, a little faster or slower than it was spoken, at the same pitch. Pure.
//!
//! A whole number of periods of the voice is taken out or put in, with a cross-fade over as long (WSOLA: Verhelst and
//! Roelands, ICASSP 1993). It is done where two neighbouring pieces are so alike that nobody hears the seam: in vowels, and
//! in near-silence. In everything else sound is left alone, and the next block is tried.

use super::frame::BLOCK;
use super::jitter::Change;
use super::level;

/// The shortest period looked for: 2.5 ms (400 Hz).
const SHORTEST: usize = 120;
/// The longest period looked for, and so the most that is put in or taken out at once: 15 ms (67 Hz).
const LONGEST: usize = 720;
/// Samples that are compared at least: 5 ms. Less, and a piece of one period resembles anything.
const COMPARED: usize = 240;
/// How alike two pieces must be (correlation, at most 1).
const ALIKE: f32 = 0.9;
/// Every so many samples are looked at in the first search.
const STRIDE: usize = 4;
/// Where in the sound that waits a seam may lie, from its beginning.
const PLACES: [usize; 4] = [0, 160, 320, 480];

/// One person's decoded sound, in waiting for the next block to be played.
#[derive(Clone, Debug)]
pub struct Stretcher {
    /// What was played last, [`LONGEST`] samples, and after it what is to be played.
    sound: Vec<f32>,
}

/// Where sound can be cut.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seam {
    /// The first of the two pieces that are alike begins here.
    at: usize,
    /// Both are that long.
    period: usize,
    alike: f32,
}

impl Default for Stretcher {
    fn default() -> Self {
        Self { sound: vec![0.0; LONGEST] }
    }
}

impl Stretcher {
    /// Samples that are decoded and not played yet.
    pub fn carried(&self) -> usize {
        self.sound.len() - LONGEST
    }

    /// Takes in a decoded block, changed as `change` says where that is not heard. Returns by how many samples it became
    /// longer (or, below zero, shorter).
    pub fn push(&mut self, block: &[f32; BLOCK], change: Change) -> isize {
        self.sound.extend(block.iter().map(|sample| if sample.is_finite() { *sample } else { 0.0 }));
        let seam = match change {
            Change::Nothing => None,
            // Nothing of what was played can be taken out any more.
            Change::Shorten { most } => self.find(LONGEST, most),
            // But it can be repeated.
            Change::Lengthen => self.find(0, LONGEST),
        };
        let Some(Seam { at, period, .. }) = seam else { return 0 };
        let (first, second) = (self.sound[at..at + period].to_vec(), self.sound[at + period..at + 2 * period].to_vec());
        let fade = |from: &[f32], to: &[f32]| -> Vec<f32> {
            let step = 1.0 / (period + 1) as f32;
            from.iter().zip(to).enumerate().map(|(n, (from, to))| from + (to - from) * step * (n + 1) as f32).collect()
        };
        if matches!(change, Change::Shorten { .. }) {
            self.sound.splice(at..at + 2 * period, fade(&first, &second));
            -(period as isize)
        } else {
            self.sound.splice(at + period..at + period, fade(&second, &first));
            period as isize
        }
    }

    /// Writes the next 20 ms to `out`; what is lacking is silence.
    pub fn pull(&mut self, out: &mut [f32; BLOCK]) {
        let ready = self.carried().min(BLOCK);
        out.fill(0.0);
        out[..ready].copy_from_slice(&self.sound[LONGEST..LONGEST + ready]);
        self.sound.resize(self.sound.len().max(LONGEST + BLOCK), 0.0);
        self.sound.drain(..BLOCK);
    }

    /// The best seam whose first piece begins at `from` or later and whose second is still to be played.
    fn find(&self, from: usize, most: usize) -> Option<Seam> {
        let end = self.sound.len();
        let quiet = level::is_quiet(&self.sound[LONGEST.max(end.saturating_sub(BLOCK + LONGEST))..]);
        let mut best: Option<Seam> = None;
        for place in PLACES {
            for period in (SHORTEST..=most.min(LONGEST)).step_by(STRIDE) {
                // The piece that comes second begins in what is to be played.
                let at = (LONGEST + place).saturating_sub(if from == 0 { period } else { 0 });
                if at < from || at + period + period.max(COMPARED) > end {
                    continue;
                }
                let alike = self.alike(at, period, STRIDE);
                if best.is_none_or(|best| alike > best.alike) {
                    best = Some(Seam { at, period, alike });
                }
            }
        }
        let coarse = best?;
        let mut best = Seam { alike: -1.0, ..coarse };
        for period in coarse.period.saturating_sub(STRIDE - 1).max(SHORTEST)..coarse.period + STRIDE {
            let at = if from == 0 { coarse.at + coarse.period - period } else { coarse.at };
            if period > most || period > LONGEST || at + period + period.max(COMPARED) > end {
                continue;
            }
            let alike = self.alike(at, period, 1);
            if alike > best.alike {
                best = Seam { at, period, alike };
            }
        }
        (best.alike >= ALIKE || quiet).then_some(best)
    }

    /// Correlation of what begins at `at` with what follows a period later, looking at every `stride`th sample.
    fn alike(&self, at: usize, period: usize, stride: usize) -> f32 {
        let length = period.max(COMPARED);
        let (first, second) = (&self.sound[at..at + length], &self.sound[at + period..at + period + length]);
        let (mut product, mut one, mut other) = (0.0f32, 1e-9f32, 1e-9f32);
        for (a, b) in first.iter().step_by(stride).zip(second.iter().step_by(stride)) {
            product += a * b;
            one += a * a;
            other += b * b;
        }
        // Two pieces of one shape and different loudness are not alike either.
        product / one.max(other)
    }
}

#[cfg(test)]
mod tests {
    // Figures, for whoever runs them with --nocapture.
    #![allow(clippy::print_stdout)]

    use super::*;
    use crate::media::test_voice::TestVoice;

    fn run(
        blocks: impl IntoIterator<Item = [f32; BLOCK]>,
        mut change: impl FnMut(usize) -> Change,
    ) -> (Vec<f32>, Vec<isize>) {
        let mut stretcher = Stretcher::default();
        let (mut heard, mut changes) = (Vec::new(), Vec::new());
        for (n, block) in blocks.into_iter().enumerate() {
            changes.push(stretcher.push(&block, change(n)));
            while stretcher.carried() >= BLOCK {
                let mut out = [0.0; BLOCK];
                stretcher.pull(&mut out);
                heard.extend_from_slice(&out);
            }
            assert!(stretcher.carried() < BLOCK);
        }
        (heard, changes)
    }

    fn speech(count: usize) -> Vec<[f32; BLOCK]> {
        let mut voice = TestVoice::new();
        (0..count)
            .map(|_| {
                let mut block = [0.0; BLOCK];
                voice.next_block(&mut block);
                block
            })
            .collect()
    }

    /// A vowel: harmonics of `hz` that fall by 6 dB an octave.
    fn vowel(hz: f32, count: usize) -> Vec<[f32; BLOCK]> {
        let sample = |n: usize| {
            (1..12).map(move |k| (n as f32 * hz * k as f32 * std::f32::consts::TAU / 48_000.0).sin() / k as f32)
        };
        (0..count).map(|block| std::array::from_fn(|n| 0.1 * sample(block * BLOCK + n).sum::<f32>())).collect()
    }

    fn sharpest(sound: &[f32]) -> f32 {
        sound.windows(3).fold(0.0, |most, w| most.max((w[2] - 2.0 * w[1] + w[0]).abs()))
    }

    /// Energy above about 8 kHz in pieces of 5 ms, loudest first.
    fn edges(sound: &[f32]) -> Vec<f32> {
        let bent: Vec<f32> = sound.windows(3).map(|w| w[2] - 2.0 * w[1] + w[0]).collect();
        let mut edges: Vec<f32> = bent.chunks_exact(240).map(|piece| piece.iter().map(|s| s * s).sum()).collect();
        edges.sort_by(|a, b| b.total_cmp(a));
        edges
    }

    fn upward_crossings(sound: &[f32]) -> usize {
        sound.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0).count()
    }

    const SHORTEN: Change = Change::Shorten { most: BLOCK };

    #[test]
    fn unchanged_sound_comes_out_as_it_came() {
        let blocks = speech(100);
        let (heard, changes) = run(blocks.clone(), |_| Change::Nothing);
        assert_eq!(heard, blocks.concat());
        assert!(changes.iter().all(|change| *change == 0));
    }

    #[test]
    fn a_vowel_becomes_shorter_or_longer_at_the_same_pitch_and_without_an_edge() {
        for hz in [110.0, 143.0, 220.0, 310.0] {
            for change in [SHORTEN, Change::Lengthen] {
                let blocks = vowel(hz, 200);
                let (heard, changes) = run(blocks.clone(), |n| if n % 4 == 3 { change } else { Change::Nothing });
                let done = changes.iter().filter(|change| **change != 0).count();
                assert!(done > 40, "{hz} Hz, {change:?}: {done} of 50");
                let moved = changes.iter().sum::<isize>().unsigned_abs() as f32 / (200 * BLOCK) as f32;
                let pitch = upward_crossings(&heard) as f32 * 48_000.0 / heard.len() as f32;
                println!("{hz} Hz, {change:?}: by {:.1} %, now {pitch:.1} Hz", 100.0 * moved);
                assert!((0.05..0.2).contains(&moved), "{moved}");
                assert!((pitch / hz - 1.0).abs() < 0.01, "{hz} Hz became {pitch}");
                assert!(sharpest(&heard) <= 1.05 * sharpest(&blocks.concat()));
            }
        }
    }

    #[test]
    fn speech_is_changed_often_enough_and_without_a_click() {
        let blocks = speech(1_500);
        let plain = edges(&blocks.concat());
        for change in [SHORTEN, Change::Lengthen] {
            let (heard, changes) = run(blocks.clone(), |n| if n % 10 == 9 { change } else { Change::Nothing });
            let done = changes.iter().filter(|change| **change != 0).count();
            let moved = changes.iter().sum::<isize>().abs() / 48;
            println!("{change:?}: {done} of 150 blocks changed, {moved} ms in 30 s");
            assert!(done >= 75, "{change:?}: {done} of 150");
            assert!(moved > 500, "{moved} ms");
            assert_eq!(
                heard.len() / BLOCK,
                ((1_500 * BLOCK) as isize + changes.iter().sum::<isize>()) as usize / BLOCK
            );
            let changed = edges(&heard);
            // A click would be an edge that the voice itself does not have.
            assert!(changed[0] <= 1.05 * plain[0], "{} against {}", changed[0], plain[0]);
            for rank in [10, 50, 200] {
                assert!(changed[rank] < 1.15 * plain[rank], "rank {rank}: {} against {}", changed[rank], plain[rank]);
            }
        }
    }

    #[test]
    fn silence_can_always_be_changed_and_noise_never() {
        let (_, changes) = run(vec![[0.0; BLOCK]; 20], |n| if n % 2 == 0 { SHORTEN } else { Change::Lengthen });
        assert!(changes.iter().all(|change| *change != 0));
        let mut random = 1u32;
        let noise: Vec<[f32; BLOCK]> = (0..50)
            .map(|_| {
                std::array::from_fn(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 8) as f32 / (1u32 << 25) as f32 - 0.25
                })
            })
            .collect();
        let (heard, changes) = run(noise.clone(), |n| if n % 2 == 0 { SHORTEN } else { Change::Lengthen });
        assert!(changes.iter().all(|change| *change == 0));
        assert_eq!(heard, noise.concat());
    }

    #[test]
    fn no_more_is_taken_out_than_was_allowed() {
        let (_, changes) = run(vowel(200.0, 60), |_| Change::Shorten { most: 300 });
        assert!(changes.iter().all(|change| (-300..=0).contains(change)), "{changes:?}");
        let (_, changes) = run(vec![[0.0; BLOCK]; 20], |_| Change::Shorten { most: 100 });
        assert!(changes.iter().all(|change| *change == 0), "less than the shortest period is not worth a seam");
    }

    #[test]
    fn whatever_a_decoder_says_nothing_breaks() {
        for strange in [f32::NAN, f32::INFINITY, f32::MAX, -f32::MAX] {
            let (heard, _) = run(vec![[strange; BLOCK]; 10], |n| if n % 2 == 0 { SHORTEN } else { Change::Lengthen });
            assert!(heard.iter().all(|sample| !sample.is_nan()));
        }
        let mut out = [1.0; BLOCK];
        Stretcher::default().pull(&mut out);
        assert_eq!(out, [0.0; BLOCK]);
    }
}
