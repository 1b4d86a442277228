//! What the speaker plays: everyone who is here, mixed, and now and then a chime.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::engine::devices::Playback;
use crate::engine::hear_myself::Mirror;
use crate::engine::receiving::Inbound;
use crate::engine::recording::SoundRecorder;
use crate::engine::view::PeerId;
use crate::media::chime::Chime;
use crate::media::frame::BLOCK;
use crate::media::level::dbfs;
use crate::media::mixer::Mixer;
use crate::media::processing::EchoReference;
use crate::media::speakers::ActiveSpeaker;

/// Who is heard. Shared by the session, which adds and removes, and the playout thread, which pulls.
#[derive(Clone, Default)]
pub(crate) struct Playout {
    sources: Arc<Mutex<Sources>>,
    /// What is played, for the echo canceller.
    reference: EchoReference,
    /// The own voice, when the person wants to hear it.
    mirror: Arc<Mirror>,
    /// Who has the floor, plus one; 0 for nobody.
    speaking: Arc<AtomicU64>,
}

#[derive(Default)]
struct Sources {
    peers: Vec<(PeerId, Arc<Inbound>)>,
    chime: Option<Chime>,
    recorder: Option<SoundRecorder>,
}

impl Playout {
    /// A playout whose speaker is heard by the microphone behind these.
    pub(crate) fn new(reference: EchoReference, mirror: Arc<Mirror>) -> Self {
        Self { reference, mirror, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.speaking.store(0, Ordering::Relaxed);
    }

    /// Who has the floor: who spoke last, as long as nobody else does.
    pub(crate) fn speaking(&self) -> Option<PeerId> {
        self.speaking.load(Ordering::Relaxed).checked_sub(1).and_then(|id| PeerId::try_from(id).ok())
    }

    /// Plays the test sound once.
    pub(crate) fn chime(&self) {
        self.lock().chime = Some(Chime::default());
    }

    /// What a speaker pulls its blocks from. It runs on a playout thread, not in the device's callback, so it may lock.
    pub(crate) fn playback(&self) -> Playback {
        let playout = self.clone();
        let mut mixer = Mixer::default();
        let mut speakers = ActiveSpeaker::default();
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
            // However loud one plays them: the floor is theirs who speak.
            let levels = sources.peers.iter().zip(&blocks).map(|((id, _), (block, _))| (*id, dbfs(block)));
            let floor = speakers.handle_levels(levels).map_or(0, |id| u64::from(id) + 1);
            playout.speaking.store(floor, Ordering::Relaxed);
            let mut own = [0.0; BLOCK];
            if playout.mirror.next_block(&mut own) {
                blocks.push((own, 1.0));
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
            playout.reference.put(out);
            if let Some(recorder) = &sources.recorder {
                recorder.write(out);
            }
        })
    }
}
