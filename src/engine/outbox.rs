//! The way out to every peer: a frame is sealed once and handed to each peer's path.
//!
//! Nothing leaves without a key: while [`Outbox`] holds no sealers, or nobody listens, encoders do not even run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::crypto::frame::{Kid, Sealer, Stream};
use crate::crypto::sender_keys::SenderKey;
use crate::engine::lock;
use crate::engine::view::PeerId;

/// Frames that may wait for one peer's path. Past that the path is stuck, and old pictures are of no use.
const PATH_QUEUE: usize = 16;
/// However many ask, a key frame is made at most this often: it costs ten times a common frame.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);
/// To somebody who has just come, the first key frames may follow each other this fast: the one that opens their
/// picture can be lost while their side of the path is still being set up.
const FIRST_KEY_FRAME_INTERVAL: Duration = Duration::from_millis(60);
const FIRST_KEY_FRAMES: u32 = 4;

/// A sealed frame on its way to a peer.
#[derive(Clone)]
pub(crate) struct Outgoing {
    /// SFrame ciphertext (RFC 9605), whole.
    pub(crate) sealed: Bytes,
    /// RTP timestamp in the stream's own clock.
    pub(crate) rtp_ts: u32,
    /// The frame can be decoded without any before it.
    pub(crate) key: bool,
}

/// Where one peer's path takes its frames from.
pub(crate) struct PathInlet {
    pub(crate) video: mpsc::Receiver<Outgoing>,
    pub(crate) audio: mpsc::Receiver<Outgoing>,
}

struct Listener {
    peer: PeerId,
    video: mpsc::Sender<Outgoing>,
    audio: mpsc::Sender<Outgoing>,
    /// A frame for this peer was dropped: all until the next key frame would be undecodable.
    starved: bool,
}

struct Sealers {
    audio: Sealer,
    camera: Sealer,
}

/// What was sent, since the start.
#[derive(Default)]
pub(crate) struct SendCounters {
    pub(crate) video_frames: AtomicU64,
    pub(crate) video_bytes: AtomicU64,
    pub(crate) video_dropped: AtomicU64,
    pub(crate) audio_packets: AtomicU64,
}

/// The meeting's outgoing side, shared by the encoder thread, the microphone's thread and the session.
pub(crate) struct Outbox {
    meeting: [u8; 32],
    epoch: Instant,
    sealers: Mutex<Option<Sealers>>,
    listeners: Mutex<Vec<Listener>>,
    wanted_key: AtomicBool,
    first_key_frames: AtomicU32,
    pub(crate) counters: SendCounters,
}

impl Outbox {
    /// An outbox for the meeting with this id, which every sealed frame is bound to. `epoch` is where capture times count from.
    pub(crate) fn new(meeting: [u8; 32], epoch: Instant) -> Self {
        Self {
            meeting,
            epoch,
            sealers: Mutex::new(None),
            listeners: Mutex::default(),
            wanted_key: AtomicBool::new(true),
            first_key_frames: AtomicU32::new(0),
            counters: SendCounters::default(),
        }
    }

    /// Seals with `key` from now on, as the sender with this index. A key frame follows.
    pub(crate) fn use_key(&self, sender: u16, key: &SenderKey) {
        let sealer = |stream| Sealer::new(Kid::new(sender, stream, key.generation), &key.base);
        *lock(&self.sealers) = Some(Sealers { audio: sealer(Stream::Audio), camera: sealer(Stream::Camera) });
        self.want_key_frame();
    }

    /// Nothing can be sealed until [`Outbox::use_key`].
    pub(crate) fn forget_key(&self) {
        *lock(&self.sealers) = None;
    }

    /// Opens a way to `peer`, in place of an older one.
    pub(crate) fn add(&self, peer: PeerId) -> PathInlet {
        let ((video, video_out), (audio, audio_out)) = (mpsc::channel(PATH_QUEUE), mpsc::channel(PATH_QUEUE));
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.peer != peer);
        listeners.push(Listener { peer, video, audio, starved: false });
        drop(listeners);
        self.first_key_frames.store(FIRST_KEY_FRAMES, Ordering::Relaxed);
        self.want_key_frame();
        PathInlet { video: video_out, audio: audio_out }
    }

    /// Nothing more goes to `peer`.
    pub(crate) fn remove(&self, peer: PeerId) {
        lock(&self.listeners).retain(|listener| listener.peer != peer);
    }

    /// The next picture is to be a key frame.
    pub(crate) fn want_key_frame(&self) {
        self.wanted_key.store(true, Ordering::Release);
    }

    /// Whether the next picture must be a key frame, given when the last one was made. A true answer uses up the wish.
    pub(super) fn take_key_frame_wish(&self, last: Option<Instant>) -> bool {
        let first = self.first_key_frames.load(Ordering::Relaxed);
        let interval = if first > 0 { FIRST_KEY_FRAME_INTERVAL } else { KEY_FRAME_INTERVAL };
        let due = last.is_none_or(|last| last.elapsed() >= interval);
        let wished = due && self.wanted_key.swap(false, Ordering::AcqRel);
        if wished {
            self.first_key_frames.store(first.saturating_sub(1), Ordering::Relaxed);
        }
        wished
    }

    pub(super) fn anyone_listens(&self) -> bool {
        !lock(&self.listeners).is_empty() && lock(&self.sealers).is_some()
    }

    pub(super) fn millis(&self, at: Instant) -> u32 {
        // Wraps after 49 days, as RTP time does after 13 hours: only differences count.
        at.saturating_duration_since(self.epoch).as_millis() as u32
    }

    pub(super) fn send_video(&self, plaintext: &[u8], key: bool, rtp_ts: u32) {
        let Some(sealed) = self.seal(plaintext, |sealers| &mut sealers.camera) else { return };
        let frame = Outgoing { sealed, rtp_ts, key };
        self.counters.video_frames.fetch_add(1, Ordering::Relaxed);
        self.counters.video_bytes.fetch_add(frame.sealed.len() as u64, Ordering::Relaxed);
        for listener in lock(&self.listeners).iter_mut() {
            if listener.starved && !key {
                self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            listener.starved = listener.video.try_send(frame.clone()).is_err();
            if listener.starved {
                self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
                self.want_key_frame();
            }
        }
    }

    pub(super) fn send_audio(&self, plaintext: &[u8], rtp_ts: u32) {
        let Some(sealed) = self.seal(plaintext, |sealers| &mut sealers.audio) else { return };
        let frame = Outgoing { sealed, rtp_ts, key: false };
        self.counters.audio_packets.fetch_add(1, Ordering::Relaxed);
        for listener in lock(&self.listeners).iter() {
            let _ = listener.audio.try_send(frame.clone());
        }
    }

    fn seal(&self, plaintext: &[u8], pick: impl FnOnce(&mut Sealers) -> &mut Sealer) -> Option<Bytes> {
        let mut sealers = lock(&self.sealers);
        let mut out = Vec::with_capacity(plaintext.len() + 40);
        match pick(sealers.as_mut()?).seal(&self.meeting, plaintext, &mut out) {
            Ok(()) => Some(out.into()),
            Err(error) => {
                tracing::error!(%error, "a frame could not be sealed and is not sent");
                None
            }
        }
    }
}
