//! The way out: a picture or a block of sound is encoded once, sealed once, and handed to every peer's path.
//!
//! Nothing leaves without a key: while [`Outbox`] holds no sealers, or nobody listens, encoders do not even run.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::crypto::frame::{Kid, Sealer, Stream};
use crate::crypto::sender_keys::SenderKey;
use crate::engine::recording::EncodedRecorder;
use crate::engine::view::PeerId;
use crate::media::frame::{BLOCK, Latest, Picture, SAMPLE_RATE};
use crate::media::h264::H264Encoder;
use crate::media::level::LevelMeter;
use crate::media::opus::OpusEncoder;
use crate::protocol::media_header::{AudioHeader, VideoHeader};

/// Frames that may wait for one peer's path. Past that the path is stuck, and old pictures are of no use.
const PATH_QUEUE: usize = 16;
/// However many ask, a key frame is made at most this often: it costs ten times a common frame.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);
/// To somebody who has just come, the first key frames may follow each other this fast: the one that opens their
/// picture can be lost while their side of the path is still being set up.
const FIRST_KEY_FRAME_INTERVAL: Duration = Duration::from_millis(60);
const FIRST_KEY_FRAMES: u32 = 4;
/// Level, on the meter's scale, above which sound may be speech.
const SPEECH: f32 = 0.55;
/// Where the count of speech-like blocks is full: 25 blocks (half a second) at six each.
const SPOKEN_FULL: u32 = 150;
/// Ticks of the video RTP clock in a millisecond (RFC 6184 §5.1).
const VIDEO_TICKS_PER_MS: u32 = 90;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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
    fn take_key_frame_wish(&self, last: Option<Instant>) -> bool {
        let first = self.first_key_frames.load(Ordering::Relaxed);
        let interval = if first > 0 { FIRST_KEY_FRAME_INTERVAL } else { KEY_FRAME_INTERVAL };
        let due = last.is_none_or(|last| last.elapsed() >= interval);
        let wished = due && self.wanted_key.swap(false, Ordering::AcqRel);
        if wished {
            self.first_key_frames.store(first.saturating_sub(1), Ordering::Relaxed);
        }
        wished
    }

    fn anyone_listens(&self) -> bool {
        !lock(&self.listeners).is_empty() && lock(&self.sealers).is_some()
    }

    fn millis(&self, at: Instant) -> u32 {
        // Wraps after 49 days, as RTP time does after 13 hours: only differences count.
        at.saturating_duration_since(self.epoch).as_millis() as u32
    }

    fn send_video(&self, plaintext: &[u8], key: bool, rtp_ts: u32) {
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

    fn send_audio(&self, plaintext: &[u8], rtp_ts: u32) {
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

/// The thread that encodes pictures. Dropping it ends the thread.
pub(crate) struct VideoSender {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    newest: Latest<Picture>,
    state: Mutex<InboxState>,
    signal: Condvar,
}

#[derive(Default)]
struct InboxState {
    fresh: bool,
    stopped: bool,
}

/// How pictures are encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VideoPlan {
    pub(crate) fps: u32,
    pub(crate) bitrate_bps: u32,
}

impl VideoSender {
    /// Starts the thread.
    pub(crate) fn start(
        outbox: Arc<Outbox>,
        plan: VideoPlan,
        recorder: Option<EncodedRecorder>,
    ) -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let thread = std::thread::Builder::new().name("video-encoder".into()).spawn({
            let inbox = inbox.clone();
            move || encode_pictures(&inbox, &outbox, plan, recorder)
        })?;
        Ok(Self { inbox, thread: Some(thread) })
    }

    /// A handle through which the camera hands over its pictures; the newest wins.
    pub(crate) fn inlet(&self) -> impl Fn(Arc<Picture>) + Send + Sync + 'static {
        let inbox = self.inbox.clone();
        move |picture| {
            inbox.newest.put(picture);
            lock(&inbox.state).fresh = true;
            inbox.signal.notify_one();
        }
    }
}

impl Drop for VideoSender {
    fn drop(&mut self) {
        lock(&self.inbox.state).stopped = true;
        self.inbox.signal.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn encode_pictures(inbox: &Inbox, outbox: &Outbox, plan: VideoPlan, mut recorder: Option<EncodedRecorder>) {
    let mut encoder: Option<(usize, usize, H264Encoder)> = None;
    let mut last_key: Option<Instant> = None;
    let mut plaintext = Vec::new();
    loop {
        let state = lock(&inbox.state);
        let mut state = inbox
            .signal
            .wait_while(state, |state| !state.fresh && !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return;
        }
        state.fresh = false;
        drop(state);
        let Some(picture) = inbox.newest.take() else { continue };
        if !outbox.anyone_listens() {
            continue;
        }
        if encoder.as_ref().is_none_or(|(width, height, _)| (*width, *height) != (picture.width, picture.height)) {
            match H264Encoder::new(picture.width, picture.height, plan.fps, plan.bitrate_bps) {
                Ok(made) => encoder = Some((picture.width, picture.height, made)),
                Err(error) => {
                    tracing::error!(%error, "no encoder for this picture");
                    continue;
                }
            }
        }
        let Some((_, _, encoder)) = &mut encoder else { continue };
        let force = outbox.take_key_frame_wish(last_key);
        let millis = outbox.millis(picture.taken);
        match encoder.encode(&picture, force, millis.into()) {
            Ok(Some(encoded)) => {
                if encoded.key {
                    last_key = Some(Instant::now());
                }
                if let Some(recorder) = &mut recorder {
                    recorder.write(&encoded.data);
                }
                VideoHeader { key: encoded.key, capture_ms: millis }.encode(&encoded.data, &mut plaintext);
                outbox.send_video(&plaintext, encoded.key, millis.wrapping_mul(VIDEO_TICKS_PER_MS));
            }
            Ok(None) => {
                outbox.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
                if force {
                    outbox.want_key_frame();
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a picture could not be encoded");
                outbox.want_key_frame();
            }
        }
    }
}

/// What the microphone's thread and the window both look at.
#[derive(Default)]
pub(crate) struct MicMonitor {
    /// Not muted.
    on: AtomicBool,
    level: AtomicU32,
    silent: AtomicBool,
    speaking_muted: AtomicBool,
}

impl MicMonitor {
    /// Unmutes or mutes. The block being captured is the last of the old state.
    pub(crate) fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Release);
    }

    /// Loudness now, 0..=1, whether muted or not.
    pub(crate) fn level(&self) -> f32 {
        f32::from_bits(self.level.load(Ordering::Relaxed))
    }

    /// The device has delivered nothing but zeros for some seconds.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Somebody speaks into a muted microphone.
    pub(crate) fn is_speaking_muted(&self) -> bool {
        self.speaking_muted.load(Ordering::Relaxed)
    }

    /// Forgets what an earlier device delivered.
    pub(crate) fn reset(&self) {
        self.level.store(0, Ordering::Relaxed);
        self.silent.store(false, Ordering::Relaxed);
        self.speaking_muted.store(false, Ordering::Relaxed);
    }
}

/// Where sound goes once somebody is there to hear it. It can be changed while the microphone runs.
#[derive(Clone, Default)]
pub(crate) struct SoundOutlet(Arc<Mutex<Option<Arc<Outbox>>>>);

impl SoundOutlet {
    pub(crate) fn set(&self, outbox: Option<Arc<Outbox>>) {
        *lock(&self.0) = outbox;
    }
}

/// What happens to each block of sound from the microphone: measured, silenced when muted, encoded, sealed, sent.
///
/// While muted, packets of silence go out at the same cadence and of the same size, so that nobody who counts
/// packets learns who speaks.
pub(crate) struct AudioSender {
    monitor: Arc<MicMonitor>,
    outlet: SoundOutlet,
    encoder: Option<OpusEncoder>,
    meter: LevelMeter,
    /// Blocks of speech-like loudness while muted, less those of silence.
    spoken: u32,
    packet: Vec<u8>,
    plaintext: Vec<u8>,
    clock: BlockClock,
}

/// RTP time of consecutive blocks: it counts samples, and leaps only when capture has paused.
#[derive(Default)]
struct BlockClock {
    next: Option<u32>,
}

impl BlockClock {
    /// The stamp of a block captured at `millis`.
    fn stamp(&mut self, millis: u32) -> u32 {
        let wall = millis.wrapping_mul(SAMPLE_RATE / 1000);
        let stamp = match self.next {
            // A thread that wakes late delivers two blocks at once: that is no pause.
            Some(next) if wall.wrapping_sub(next) as i32 <= (SAMPLE_RATE / 10) as i32 => next,
            _ => wall,
        };
        self.next = Some(stamp.wrapping_add(BLOCK as u32));
        stamp
    }
}

impl AudioSender {
    /// While `outlet` leads nowhere, as in a preview, sound is measured and goes nowhere.
    pub(crate) fn new(monitor: Arc<MicMonitor>, outlet: SoundOutlet) -> Self {
        let encoder =
            OpusEncoder::new().inspect_err(|error| tracing::error!(%error, "no Opus encoder: no sound is sent")).ok();
        Self {
            monitor,
            outlet,
            encoder,
            meter: LevelMeter::default(),
            spoken: 0,
            packet: Vec::new(),
            plaintext: Vec::new(),
            clock: BlockClock::default(),
        }
    }

    /// Half a second of loud sound while muted is somebody speaking; three seconds of quiet end it.
    fn notice_speech_while_muted(&mut self) {
        let muted = !self.monitor.on.load(Ordering::Acquire);
        self.spoken = match muted && self.meter.value() > SPEECH {
            true => (self.spoken + 6).min(SPOKEN_FULL),
            false if muted => self.spoken.saturating_sub(1),
            false => 0,
        };
        let noticed = self.monitor.speaking_muted.load(Ordering::Relaxed);
        let speaks = if noticed { self.spoken > 0 } else { self.spoken >= SPOKEN_FULL };
        self.monitor.speaking_muted.store(speaks, Ordering::Relaxed);
    }

    /// Takes the next 20 ms.
    pub(crate) fn handle_block(&mut self, block: &[f32; BLOCK]) {
        let now = Instant::now();
        self.monitor.level.store(self.meter.handle_block(now, block).to_bits(), Ordering::Relaxed);
        self.monitor.silent.store(self.meter.is_dead(), Ordering::Relaxed);
        self.notice_speech_while_muted();
        let Some(outbox) = lock(&self.outlet.0).clone() else { return };
        let Some(encoder) = &mut self.encoder else { return };
        if !outbox.anyone_listens() {
            return;
        }
        let on = self.monitor.on.load(Ordering::Acquire);
        let heard = if on { block } else { &[0.0; BLOCK] };
        if let Err(error) = encoder.encode(heard, &mut self.packet) {
            tracing::warn!(%error, "a block of sound could not be encoded");
            return;
        }
        let millis = outbox.millis(now);
        AudioHeader { capture_ms: millis }.encode(&self.packet, &mut self.plaintext);
        outbox.send_audio(&self.plaintext, self.clock.stamp(millis));
    }
}
