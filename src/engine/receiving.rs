//! The way in: a sealed frame is opened, or dropped and counted; only what opened is ever decoded.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::crypto::frame::{Opener, Stream};
use crate::crypto::secret::Secret;
use crate::engine::lock;
use crate::engine::picture_in::{Decoder, DecoderTap, Job, Latencies, Pauses};
use crate::engine::sound_in::SoundIn;
use crate::media::frame::{BLOCK, Latest, Picture};
use crate::media::jitter::JitterStats;
use crate::media::lipsync::LipSync;
use crate::protocol::media_header::{AudioFrame, VideoHeader};

/// Opened frames that may wait for the decoder: half a second. Past that the decoder has lost touch and starts afresh.
const DECODER_QUEUE: usize = 16;
/// What was received from one peer, since the start.
#[derive(Default)]
pub(crate) struct ReceiveCounters {
    pub(crate) video_opened: AtomicU64,
    pub(crate) video_decoded: AtomicU64,
    pub(crate) video_dropped: AtomicU64,
    pub(crate) video_bytes: AtomicU64,
    pub(crate) audio_received: AtomicU64,
    pub(crate) audio_concealed: AtomicU64,
    pub(crate) unopened: AtomicU64,
    pub(crate) width: AtomicU32,
    pub(crate) height: AtomicU32,
    pub(crate) freeze_ms: AtomicU64,
    pub(crate) longest_pause_ms: AtomicU64,
    /// Milliseconds since 1970; 0 before the first.
    pub(crate) last_picture: AtomicU64,
    pub(crate) last_counter: AtomicU64,
}

/// Everything that comes from one peer.
pub(crate) struct Inbound {
    meeting: [u8; 32],
    opener: Mutex<Opener>,
    sound: Mutex<SoundIn>,
    video: SyncSender<Job>,
    stopped: AtomicBool,
    wants_key: Arc<AtomicBool>,
    lips: Arc<Mutex<LipSync>>,
    /// Grows when what came so far is no longer to be shown.
    era: Arc<AtomicU64>,
    pauses: Arc<Pauses>,
    overflowed: AtomicBool,
    level: AtomicU32,
    /// The newest decoded picture.
    pub(crate) picture: Arc<Latest<Picture>>,
    pub(crate) counters: Arc<ReceiveCounters>,
    pub(crate) latencies: Arc<Mutex<Latencies>>,
    /// The newest decoded picture, kept after the camera went off (only while measuring).
    pub(crate) last_shown: Arc<Mutex<Option<Arc<Picture>>>>,
    /// When the first picture was decoded.
    pub(crate) first_picture: Arc<Mutex<Option<Instant>>>,
}

impl Inbound {
    /// Starts a peer's decoder. Frames are bound to `meeting`; `sender` is the peer's index in it.
    pub(crate) fn start(
        meeting: [u8; 32],
        sender: u16,
        tap: DecoderTap,
    ) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let (video, jobs) = sync_channel(DECODER_QUEUE);
        let inbound = Arc::new(Self {
            meeting,
            opener: Mutex::new(Opener::new(sender)),
            sound: Mutex::new(SoundIn::new()),
            video,
            stopped: AtomicBool::new(false),
            wants_key: Arc::default(),
            era: Arc::default(),
            pauses: Arc::default(),
            lips: Arc::new(Mutex::new(LipSync::new(Instant::now()))),
            overflowed: AtomicBool::new(false),
            level: AtomicU32::new(0),
            picture: Arc::default(),
            counters: Arc::default(),
            latencies: Arc::default(),
            last_shown: Arc::default(),
            first_picture: Arc::default(),
        });
        let decoder = Decoder {
            picture: inbound.picture.clone(),
            counters: inbound.counters.clone(),
            latencies: inbound.latencies.clone(),
            first_picture: inbound.first_picture.clone(),
            last_shown: inbound.last_shown.clone(),
            wants_key: inbound.wants_key.clone(),
            lips: inbound.lips.clone(),
            era: inbound.era.clone(),
            pauses: inbound.pauses.clone(),
            tap,
            shown_at: None,
        };
        // The thread holds the queue's far end only: it ends when the last `Inbound` is dropped.
        let thread = std::thread::Builder::new().name("video-decoder".into()).spawn(move || decoder.run(&jobs))?;
        Ok((inbound, thread))
    }

    /// Frames of this generation can be opened from now on.
    pub(crate) fn insert_key(&self, generation: u32, base: &Secret<32>) {
        lock(&self.opener).insert(generation, base);
    }

    /// Frames of this generation are refused from now on.
    pub(crate) fn retire_key(&self, generation: u32) {
        lock(&self.opener).retire(generation);
    }

    /// Nothing of this peer is opened, shown or heard any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.clear_picture();
    }

    /// Their camera went off: the last picture must not stand still as if they were there.
    pub(crate) fn clear_picture(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
        self.picture.clear();
    }

    /// Whether pictures are to come; while they are not, a pause between two is none.
    pub(crate) fn expect_pictures(&self, expected: bool) {
        self.pauses.set_expected(expected);
    }

    /// How loud they are, 0..=1.
    pub(crate) fn level(&self) -> f32 {
        f32::from_bits(self.level.load(Ordering::Relaxed))
    }

    /// Playback volume, 0..=2.
    pub(crate) fn set_volume(&self, volume: f32) {
        lock(&self.sound).set_volume(volume);
    }

    /// What the jitter buffer has counted so far, the delay that it aims at, and the one that it has.
    pub(crate) fn sound_figures(&self) -> (JitterStats, Duration, Duration) {
        lock(&self.sound).figures()
    }

    /// A sealed picture arrived. `gap_before`: at least one before it is lost for good.
    pub(crate) fn handle_video(&self, sealed: &[u8], gap_before: bool) {
        let mut data = Vec::with_capacity(sealed.len());
        if !self.open(sealed, Stream::Camera, &mut data) {
            self.overflowed.store(true, Ordering::Relaxed);
            return;
        }
        self.counters.video_opened.fetch_add(1, Ordering::Relaxed);
        self.counters.video_bytes.fetch_add(sealed.len() as u64, Ordering::Relaxed);
        let Ok((header, body)) = VideoHeader::decode(&data) else {
            self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let gap_before = self.overflowed.swap(false, Ordering::Relaxed) || gap_before;
        let era = self.era.load(Ordering::Acquire);
        let job = Job { data: body.to_vec(), key: header.key, gap_before, capture_ms: header.capture_ms, era };
        if let Err(TrySendError::Full(_)) = self.video.try_send(job) {
            self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
            self.overflowed.store(true, Ordering::Relaxed);
        }
    }

    /// A sealed packet of sound arrived.
    pub(crate) fn handle_audio(&self, now: Instant, sealed: &[u8], seq: u16, rtp_ts: u32) {
        let mut data = Vec::with_capacity(sealed.len());
        if !self.open(sealed, Stream::Audio, &mut data) {
            return;
        }
        let Ok(frame) = AudioFrame::decode(&data) else { return };
        lock(&self.lips).handle_sound(now, frame.capture_ms);
        self.counters.audio_received.fetch_add(1, Ordering::Relaxed);
        lock(&self.sound).push(now, seq, rtp_ts, &frame);
    }

    fn open(&self, sealed: &[u8], expected: Stream, out: &mut Vec<u8>) -> bool {
        if self.stopped.load(Ordering::Acquire) {
            return false;
        }
        match lock(&self.opener).open(&self.meeting, sealed, out) {
            // A picture's key does not open sound, but a member could still send one stream's frame on the other's track.
            Ok(opened) if opened.stream == expected => true,
            Ok(_) => {
                self.counters.unopened.fetch_add(1, Ordering::Relaxed);
                false
            }
            Err(error) => {
                tracing::debug!(%error, "a frame did not open");
                self.counters.unopened.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Writes the next 20 ms of this peer to `out` and returns the volume it is to be played at.
    pub(crate) fn next_block(&self, now: Instant, out: &mut [f32; BLOCK]) -> f32 {
        let mut sound = lock(&self.sound);
        let played = sound.next_block(now, self.stopped.load(Ordering::Acquire), out);
        let buffered = sound.delay();
        drop(sound);
        lock(&self.lips).set_buffered(buffered);
        if played.concealed {
            self.counters.audio_concealed.fetch_add(1, Ordering::Relaxed);
        }
        self.level.store(played.level.to_bits(), Ordering::Relaxed);
        played.volume
    }

    /// Whether a key frame has been wanted since the last call.
    pub(crate) fn take_key_frame_wish(&self) -> bool {
        self.wants_key.swap(false, Ordering::AcqRel)
    }
}
