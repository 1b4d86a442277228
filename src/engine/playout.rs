//! What the speaker plays: everyone who is here, mixed, and now and then a chime.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::devices::Playback;
use crate::engine::receiving::Inbound;
use crate::engine::recording::SoundRecorder;
use crate::engine::view::PeerId;
use crate::media::chime::Chime;
use crate::media::frame::BLOCK;
use crate::media::mixer::Mixer;

/// Who is heard. Shared by the session, which adds and removes, and the playout thread, which pulls.
#[derive(Clone, Default)]
pub(crate) struct Playout(Arc<Mutex<Sources>>);

#[derive(Default)]
struct Sources {
    peers: Vec<(PeerId, Arc<Inbound>)>,
    chime: Option<Chime>,
    recorder: Option<SoundRecorder>,
}

impl Playout {
    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, recorder: SoundRecorder) {
        self.lock().recorder = Some(recorder);
    }

    pub(crate) fn add(&self, peer: PeerId, inbound: Arc<Inbound>) {
        self.remove(peer);
        self.lock().peers.push((peer, inbound));
    }

    pub(crate) fn remove(&self, peer: PeerId) {
        self.lock().peers.retain(|(id, _)| *id != peer);
    }

    pub(crate) fn clear(&self) {
        self.lock().peers.clear();
    }

    /// Plays the test sound once.
    pub(crate) fn chime(&self) {
        self.lock().chime = Some(Chime::default());
    }

    /// What a speaker pulls its blocks from. It runs on a playout thread, not in the device's callback, so it may lock.
    pub(crate) fn playback(&self) -> Playback {
        let playout = self.clone();
        let mut mixer = Mixer::default();
        let mut blocks: Vec<([f32; BLOCK], f32)> = Vec::new();
        Box::new(move |out| {
            let now = Instant::now();
            let mut sources = playout.lock();
            blocks.clear();
            for (_, inbound) in &sources.peers {
                let mut block = [0.0; BLOCK];
                let volume = inbound.next_block(now, &mut block);
                blocks.push((block, volume));
            }
            if let Some(chime) = &mut sources.chime {
                let mut block = [0.0; BLOCK];
                if chime.next_block(&mut block) {
                    blocks.push((block, 1.0));
                } else {
                    sources.chime = None;
                }
            }
            mixer.mix(blocks.iter().map(|(block, volume)| (block, *volume)), out);
            if let Some(recorder) = &sources.recorder {
                recorder.write(out);
            }
        })
    }
}
