//! The two notes behind "Test speaker".

use std::f32::consts::TAU;

use super::frame::{BLOCK, SAMPLE_RATE};

/// Fundamental of the first note, a D5.
const FIRST_HZ: f32 = 587.33;
/// Fundamental of the second note, the A5 above it: a fifth, which ears of most traditions hear as settled.
const SECOND_HZ: f32 = 880.0;
/// When the second note begins, in seconds.
const SECOND_AT: f32 = 0.22;
/// Length of the whole sound in seconds.
const LENGTH: f32 = 1.2;

/// A short sound that tells a person which speaker is chosen. Hand out its blocks until one comes back as `false`.
#[derive(Clone, Debug, Default)]
pub struct Chime {
    played: usize,
}

impl Chime {
    /// A chime that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples of the whole sound at [`SAMPLE_RATE`].
    pub fn samples() -> usize {
        (LENGTH * SAMPLE_RATE as f32) as usize
    }

    /// Fills `out` with the next 20 ms. Returns false, with silence in `out`, once the sound is over.
    pub fn next_block(&mut self, out: &mut [f32; BLOCK]) -> bool {
        if self.played >= Self::samples() {
            out.fill(0.0);
            return false;
        }
        for (index, sample) in out.iter_mut().enumerate() {
            let t = (self.played + index) as f32 / SAMPLE_RATE as f32;
            let end = ((LENGTH - t) / 0.05).clamp(0.0, 1.0);
            *sample = 0.22 * end * (note(FIRST_HZ, t) + note(SECOND_HZ, t - SECOND_AT));
        }
        self.played += BLOCK;
        true
    }
}

/// A struck bar: a soft start, partials that fade the sooner the higher they are.
fn note(hz: f32, t: f32) -> f32 {
    if t < 0.0 {
        return 0.0;
    }
    let attack = (t / 0.006).min(1.0);
    let partial = |multiple: f32, gain: f32, decay: f32| gain * (TAU * hz * multiple * t).sin() * (-t * decay).exp();
    attack * (partial(1.0, 1.0, 5.0) + partial(2.0, 0.25, 9.0) + partial(3.01, 0.08, 16.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_heard_does_not_clip_and_ends() {
        let mut chime = Chime::new();
        let mut block = [0.0; BLOCK];
        let mut all = Vec::new();
        while chime.next_block(&mut block) {
            all.extend_from_slice(&block);
            assert!(all.len() <= Chime::samples() + BLOCK);
        }
        assert!(block.iter().all(|s| *s == 0.0));
        assert!(all.iter().all(|s| s.abs() < 0.6));
        let loudest = all.iter().fold(0.0f32, |m, s| m.max(s.abs()));
        assert!(loudest > 0.15, "{loudest}");
        assert!(all[all.len() - 200..].iter().all(|s| s.abs() < 0.01), "it ends without a click");
    }

    #[test]
    fn it_has_two_notes() {
        let mut chime = Chime::new();
        let mut block = [0.0; BLOCK];
        let mut all = Vec::new();
        while chime.next_block(&mut block) {
            all.extend_from_slice(&block);
        }
        let power = |range: std::ops::Range<usize>, hz: f32| {
            let (mut re, mut im) = (0.0f32, 0.0f32);
            for (n, s) in all[range].iter().enumerate() {
                let phase = TAU * hz * n as f32 / SAMPLE_RATE as f32;
                re += s * phase.cos();
                im += s * phase.sin();
            }
            re * re + im * im
        };
        let early = 0..9_600;
        let late = 12_000..24_000;
        assert!(power(early.clone(), FIRST_HZ) > 20.0 * power(early, SECOND_HZ));
        assert!(power(late.clone(), SECOND_HZ) > 2.0 * power(late, FIRST_HZ));
    }
}
