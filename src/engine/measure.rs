//! What a headless run counts and keeps beyond what a window shows.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::engine::lock;
use crate::engine::outbox::Outbox;
use crate::engine::picture_in::Latencies;
use crate::engine::receiving::{Inbound, ReceiveCounters};
use crate::engine::recording::{EncodedRecorder, PictureRecorder, SoundRecorder};
use crate::engine::series::Series;
use crate::engine::view::{PeerId, Route};
use crate::media::frame::Picture;
use crate::media::snapshot;
use crate::media::source::VideoFormat;
use crate::protocol::group_code::Code;
use crate::protocol::meeting::RosterState;

/// Recordings may take this long to be completed.
const CLOSING: Duration = Duration::from_secs(10);
/// Peers that a report tells of: whoever comes and goes without end does not fill memory.
const PEERS: usize = 64;

/// Files to leave behind.
#[derive(Clone, Debug, Default)]
pub struct Recordings {
    /// Every decoded picture of the first peer, at the size of the call's format (Y4M).
    pub video: Option<PathBuf>,
    /// All that is heard (WAV).
    pub audio: Option<PathBuf>,
    /// The encoded pictures as sent, before sealing (H.264 Annex B).
    pub encoded: Option<PathBuf>,
}

/// Figures of a whole call, filled by the engine and read by the report.
pub struct Measurements {
    wanted: Recordings,
    sound: SoundRecorder,
    state: Mutex<State>,
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    began: Option<Instant>,
    connected: Option<Instant>,
    outbox: Option<Arc<Outbox>>,
    peers: Vec<PeerProbe>,
    recorded_first_peer: bool,
    errors: Vec<String>,
    roster: Option<(u64, [u8; 32])>,
    code: Option<String>,
    log: Option<String>,
    series: Option<Series>,
}

struct PeerProbe {
    id: PeerId,
    name: String,
    safety_number: String,
    generation: u32,
    route: Option<Route>,
    counters: Arc<ReceiveCounters>,
    latencies: Arc<Mutex<Latencies>>,
    first_picture: Arc<Mutex<Option<Instant>>>,
    last_shown: Arc<Mutex<Option<Arc<Picture>>>>,
    /// The decoder's thread, which also closes the recording; it ends when the peer's side of the engine is dropped.
    decoder: Option<JoinHandle<()>>,
}

/// What this side has sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentFigures {
    /// Pictures sealed.
    pub video: u64,
    /// Pictures given up.
    pub video_dropped: u64,
    /// Sealed video bytes.
    pub video_bytes: u64,
    /// Packets of sound sealed.
    pub audio: u64,
}

/// What came from one peer.
#[derive(Clone, Debug)]
pub struct PeerFigures {
    /// Their name.
    pub name: String,
    /// 60 digits.
    pub safety_number: String,
    /// Generation of the newest key received from them.
    pub generation: u32,
    /// How media travelled.
    pub route: Option<Route>,
    /// Sealed pictures that opened.
    pub video_received: u64,
    /// Pictures decoded.
    pub video_decoded: u64,
    /// Pictures dropped after opening, or for want of a key frame.
    pub video_dropped: u64,
    /// Counter in the newest test picture.
    pub last_counter: Option<u64>,
    /// Width and height of the newest picture in pixels.
    pub size: (u32, u32),
    /// Pauses of more than 200 ms, added up, in milliseconds.
    pub freeze_ms: u64,
    /// The longest pause between two pictures, in milliseconds.
    pub longest_pause_ms: u64,
    /// When the last picture was decoded, in milliseconds since 1970.
    pub last_picture_unix_ms: Option<u64>,
    /// Capture to decoding, milliseconds each.
    pub latencies: Vec<f64>,
    /// Packets of sound that opened.
    pub audio_received: u64,
    /// Blocks of sound made up.
    pub audio_concealed: u64,
    /// Frames that did not open.
    pub unopened: u64,
}

impl Measurements {
    /// Creates the sound file, if one is wanted. The others are created when there is something to write.
    pub fn new(wanted: Recordings) -> io::Result<Self> {
        let sound = SoundRecorder::create(wanted.audio.as_deref())?;
        Ok(Self { wanted, sound, state: Mutex::default(), refused: AtomicU64::new(0) })
    }

    /// Keeps an error for the report.
    pub fn note_error(&self, sentence: &str) {
        lock(&self.state).errors.push(sentence.to_owned());
    }

    /// Errors so far.
    pub fn errors(&self) -> Vec<String> {
        lock(&self.state).errors.clone()
    }

    /// Number and hash of the last roster entry in force.
    pub fn roster(&self) -> Option<(u64, [u8; 32])> {
        lock(&self.state).roster
    }

    /// The last group code that was agreed, as digits.
    pub fn code(&self) -> Option<String> {
        lock(&self.state).code.clone()
    }

    /// The signed log of the meeting, once it is over.
    pub fn log(&self) -> Option<String> {
        lock(&self.state).log.clone()
    }

    /// The figures second by second, once the meeting is over.
    pub fn series(&self) -> Option<Series> {
        lock(&self.state).series.clone()
    }

    /// Attempts at the door that did not know the secret.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// From the start of joining, or from the knock, to a connected path.
    pub fn connect_ms(&self) -> Option<f64> {
        let state = lock(&self.state);
        Some((state.connected? - state.began?).as_secs_f64() * 1e3)
    }

    /// From the same moment to the first decoded picture of any peer.
    pub fn first_frame_ms(&self) -> Option<f64> {
        let state = lock(&self.state);
        let first = state.peers.iter().filter_map(|peer| *lock(&peer.first_picture)).min()?;
        Some(first.saturating_duration_since(state.began?).as_secs_f64() * 1e3)
    }

    /// Pictures or sound of some peer have been opened.
    pub fn media_arrived(&self) -> bool {
        lock(&self.state).peers.iter().any(|peer| {
            let counters = &peer.counters;
            counters.video_opened.load(Ordering::Relaxed) + counters.audio_received.load(Ordering::Relaxed) > 0
        })
    }

    /// What this side has sent.
    pub fn sent(&self) -> SentFigures {
        let state = lock(&self.state);
        state.outbox.as_ref().map_or_else(SentFigures::default, |outbox| SentFigures {
            video: outbox.counters.video_frames.load(Ordering::Relaxed),
            video_dropped: outbox.counters.video_dropped.load(Ordering::Relaxed),
            video_bytes: outbox.counters.video_bytes.load(Ordering::Relaxed),
            audio: outbox.counters.audio_packets.load(Ordering::Relaxed),
        })
    }

    /// What came from each peer.
    pub fn peers(&self) -> Vec<PeerFigures> {
        let figures = |peer: &PeerProbe| {
            let counters = &peer.counters;
            let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            PeerFigures {
                name: peer.name.clone(),
                safety_number: peer.safety_number.clone(),
                generation: peer.generation,
                route: peer.route.clone(),
                video_received: get(&counters.video_opened),
                video_decoded: get(&counters.video_decoded),
                video_dropped: get(&counters.video_dropped),
                size: (counters.width.load(Ordering::Relaxed), counters.height.load(Ordering::Relaxed)),
                last_counter: Some(get(&counters.last_counter)).filter(|counter| *counter > 0),
                freeze_ms: get(&counters.freeze_ms),
                longest_pause_ms: get(&counters.longest_pause_ms),
                last_picture_unix_ms: Some(get(&counters.last_picture)).filter(|millis| *millis > 0),
                latencies: lock(&peer.latencies).millis.clone(),
                audio_received: get(&counters.audio_received),
                audio_concealed: get(&counters.audio_concealed),
                unopened: get(&counters.unopened),
            }
        };
        lock(&self.state).peers.iter().map(figures).collect()
    }

    /// Loudness of all that was played, dB below full scale.
    pub fn heard_dbfs(&self) -> Option<f64> {
        self.sound.rms_dbfs()
    }

    /// The newest picture of the first peer, as PNG.
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        let picture = lock(&self.state).peers.iter().find_map(|peer| lock(&peer.last_shown).clone())?;
        snapshot::png(&picture).ok()
    }

    /// Completes the files. Called when the engine has let go of every peer.
    pub fn finish(&self) {
        self.sound.finish();
        let decoders: Vec<_> = lock(&self.state).peers.iter_mut().filter_map(|peer| peer.decoder.take()).collect();
        let until = Instant::now() + CLOSING;
        for decoder in decoders {
            // Bounded: a disk that hangs must not hold up the end of the program.
            while !decoder.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    pub(crate) fn sound(&self) -> SoundRecorder {
        self.sound.clone()
    }

    /// The clock of `connect_ms` starts at the first of these calls.
    pub(crate) fn begin(&self, now: Instant) {
        lock(&self.state).began.get_or_insert(now);
    }

    pub(crate) fn connected(&self, now: Instant) {
        lock(&self.state).connected.get_or_insert(now);
    }

    pub(crate) fn set_outbox(&self, outbox: Arc<Outbox>) {
        lock(&self.state).outbox = Some(outbox);
    }

    pub(crate) fn set_refused(&self, refused: u64) {
        self.refused.store(refused, Ordering::Relaxed);
    }

    pub(crate) fn set_roster(&self, state: &RosterState) {
        lock(&self.state).roster = Some((state.counter, state.hash));
    }

    /// A code that no longer holds stays in the report: it was that of the people who were there last.
    pub(crate) fn set_code(&self, code: Option<&Code>) {
        if let Some(code) = code {
            lock(&self.state).code = Some(code.digits());
        }
    }

    pub(crate) fn set_series(&self, series: &Series) {
        lock(&self.state).series = Some(series.clone());
    }

    pub(crate) fn set_log(&self, log: &str) {
        lock(&self.state).log = Some(log.to_owned());
    }

    pub(crate) fn add_peer(
        &self,
        id: PeerId,
        name: &str,
        safety_number: &str,
        inbound: &Inbound,
        decoder: JoinHandle<()>,
    ) {
        let mut state = lock(&self.state);
        if state.peers.len() >= PEERS {
            return;
        }
        state.peers.push(PeerProbe {
            id,
            name: name.to_owned(),
            safety_number: safety_number.to_owned(),
            generation: 0,
            route: None,
            counters: inbound.counters.clone(),
            latencies: inbound.latencies.clone(),
            first_picture: inbound.first_picture.clone(),
            last_shown: inbound.last_shown.clone(),
            decoder: Some(decoder),
        });
    }

    pub(crate) fn update_peer(&self, id: PeerId, generation: u32, route: Option<&Route>) {
        if let Some(peer) = lock(&self.state).peers.iter_mut().find(|peer| peer.id == id) {
            peer.generation = generation;
            if let Some(route) = route {
                peer.route = Some(route.clone());
            }
        }
    }

    /// A recorder for the first peer's pictures, if wanted; `None` for all later ones.
    pub(crate) fn picture_recorder(&self, format: VideoFormat) -> io::Result<Option<PictureRecorder>> {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.recorded_first_peer, true) {
            return Ok(None);
        }
        self.wanted.video.as_deref().map(|path| PictureRecorder::create(path, format)).transpose()
    }

    pub(crate) fn encoded_recorder(&self) -> io::Result<Option<EncodedRecorder>> {
        self.wanted.encoded.as_deref().map(EncodedRecorder::create).transpose()
    }
}
