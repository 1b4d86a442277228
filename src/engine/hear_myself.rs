//! "What others hear": some seconds of the own sound, as processed and as coded, kept in memory and played once.
//!
//! It goes from the microphone's thread to the playout thread of this device and nowhere else.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::view::HearMyself;
use crate::media::frame::BLOCK;
use crate::media::opus::{OpusDecoder, OpusEncoder};

/// Blocks recorded at most: 5 s.
const LONGEST: usize = 250;

/// Records and plays. It is shared by the two threads and the session.
#[derive(Default)]
pub(crate) struct Mirror(Mutex<Stage>);

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    Recording {
        encoder: Box<OpusEncoder>,
        decoder: Box<OpusDecoder>,
        sound: Vec<[f32; BLOCK]>,
        level: f32,
    },
    Playing {
        sound: Vec<[f32; BLOCK]>,
        at: usize,
        /// Blocks that the microphone may still deliver before it is given up: the speaker may not be running.
        patience: usize,
    },
}

impl Stage {
    fn play(sound: Vec<[f32; BLOCK]>) -> Self {
        match sound.len() {
            0 => Self::Idle,
            length => Self::Playing { sound, at: 0, patience: 2 * length + 100 },
        }
    }
}

impl Mirror {
    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `true` begins a recording; `false` ends it and plays what there is, or ends the playing.
    pub(crate) fn set_on(&self, on: bool) {
        let mut stage = self.lock();
        *stage = match (std::mem::take(&mut *stage), on) {
            (Stage::Idle | Stage::Playing { .. }, true) => match (OpusEncoder::new(), OpusDecoder::new()) {
                (Ok(encoder), Ok(decoder)) => Stage::Recording {
                    encoder: Box::new(encoder),
                    decoder: Box::new(decoder),
                    sound: Vec::with_capacity(LONGEST),
                    level: 0.0,
                },
                _ => Stage::Idle,
            },
            (Stage::Recording { sound, .. }, false) => Stage::play(sound),
            (Stage::Idle | Stage::Playing { .. }, false) => Stage::Idle,
            (recording, true) => recording,
        };
    }

    /// Ends whatever goes on, and forgets what was recorded.
    pub(crate) fn cancel(&self) {
        *self.lock() = Stage::Idle;
    }

    /// Takes in the next 20 ms of the own sound, as it would be encoded, and how loud it is on the meter's scale.
    pub(crate) fn handle_block(&self, block: &[f32; BLOCK], loud: f32) {
        let mut stage = self.lock();
        match &mut *stage {
            Stage::Idle => return,
            Stage::Recording { encoder, decoder, sound, level } => {
                *level = loud;
                let (mut packet, mut heard) = (Vec::new(), [0.0; BLOCK]);
                if encoder.encode(block, &mut packet).and_then(|()| decoder.decode(&packet, &mut heard)).is_ok() {
                    sound.push(heard);
                }
                if sound.len() < LONGEST {
                    return;
                }
            }
            Stage::Playing { patience, .. } => {
                *patience = patience.saturating_sub(1);
                if *patience > 0 {
                    return;
                }
            }
        }
        *stage = match std::mem::take(&mut *stage) {
            Stage::Recording { sound, .. } => Stage::play(sound),
            _ => Stage::Idle,
        };
    }

    /// Writes the next 20 ms to be played to `out`; `false` if there is nothing to play.
    pub(crate) fn next_block(&self, out: &mut [f32; BLOCK]) -> bool {
        let mut stage = self.lock();
        let Stage::Playing { sound, at, .. } = &mut *stage else { return false };
        let Some(block) = sound.get(*at) else {
            *stage = Stage::Idle;
            return false;
        };
        out.copy_from_slice(block);
        *at += 1;
        true
    }

    /// What is shown of it.
    pub(crate) fn state(&self) -> HearMyself {
        match &*self.lock() {
            Stage::Idle => HearMyself::Idle,
            Stage::Recording { sound, level, .. } => {
                HearMyself::Recording { level: *level, done: sound.len() as f32 / LONGEST as f32 }
            }
            Stage::Playing { sound, at, .. } => HearMyself::Playing { done: *at as f32 / sound.len().max(1) as f32 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::level::dbfs;
    use crate::media::test_voice::TestVoice;

    fn speak(mirror: &Mirror, blocks: usize) {
        let mut voice = TestVoice::new();
        for _ in 0..blocks {
            let mut block = [0.0; BLOCK];
            voice.next_block(&mut block);
            mirror.handle_block(&block, 0.5);
        }
    }

    fn played(mirror: &Mirror) -> Vec<f32> {
        let (mut all, mut out) = (Vec::new(), [0.0; BLOCK]);
        while mirror.next_block(&mut out) {
            all.extend_from_slice(&out);
        }
        all
    }

    #[test]
    fn nothing_is_recorded_before_somebody_asks() {
        let mirror = Mirror::default();
        speak(&mirror, 50);
        assert_eq!(mirror.state(), HearMyself::Idle);
        assert!(played(&mirror).is_empty());
    }

    #[test]
    fn a_recording_ends_by_itself_and_is_played_once() {
        let mirror = Mirror::default();
        mirror.set_on(true);
        speak(&mirror, 100);
        assert_eq!(mirror.state(), HearMyself::Recording { level: 0.5, done: 0.4 });
        assert!(!mirror.next_block(&mut [0.0; BLOCK]), "not while it is being made");
        speak(&mirror, 200);
        assert!(matches!(mirror.state(), HearMyself::Playing { .. }));
        let heard = played(&mirror);
        assert_eq!(heard.len(), LONGEST * BLOCK);
        assert!(dbfs(&heard) > -35.0);
        assert_eq!(mirror.state(), HearMyself::Idle);
        assert!(played(&mirror).is_empty());
    }

    #[test]
    fn it_can_be_ended_early_and_cancelled() {
        let mirror = Mirror::default();
        mirror.set_on(true);
        speak(&mirror, 30);
        mirror.set_on(false);
        assert_eq!(played(&mirror).len(), 30 * BLOCK);
        mirror.set_on(true);
        mirror.set_on(false);
        assert_eq!(mirror.state(), HearMyself::Idle, "nothing was said");
        mirror.set_on(true);
        speak(&mirror, 30);
        mirror.cancel();
        assert_eq!(mirror.state(), HearMyself::Idle);
        assert!(played(&mirror).is_empty());
        mirror.set_on(true);
        speak(&mirror, 30);
        mirror.set_on(false);
        mirror.set_on(false);
        assert!(played(&mirror).is_empty(), "playing ends too");
    }

    #[test]
    fn without_a_speaker_playing_is_given_up() {
        let mirror = Mirror::default();
        mirror.set_on(true);
        speak(&mirror, 20);
        mirror.set_on(false);
        speak(&mirror, 200);
        assert_eq!(mirror.state(), HearMyself::Idle);
    }
}
