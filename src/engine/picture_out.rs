//! Own pictures on their way out: the newest is encoded on a thread of its own, in as many layers as the [`Outbox`] asks for, and
//! handed to it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::engine::lock;
use crate::engine::outbox::{EncodedLayer, Outbox};
use crate::engine::recording::EncodedRecorder;
use crate::media::adapt::{Bucket, Content, LAYERS, Layer, Step, Workload, ladder};
use crate::media::frame::{Latest, Picture};
use crate::media::h264::{EncodeError, Encoded, H264Encoder};
use crate::media::scale::Scaler;
use crate::media::stamp;
use crate::protocol::media_header::VideoHeader;

/// A layer whose pictures stay too rich for its rate goes down this often at most.
const PUSH_DOWN: Duration = Duration::from_secs(1);
/// Ticks of the video RTP clock in a millisecond (RFC 6184 §5.1).
const VIDEO_TICKS_PER_MS: u32 = 90;

/// The thread that encodes pictures. Dropping it ends the thread.
pub(crate) struct VideoSender {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    newest: Latest<Picture>,
    /// Pictures that were overtaken by the next before they were taken.
    missed: AtomicU32,
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
    /// Pictures a second that the source gives at most.
    pub(crate) fps: u32,
    /// Bits a second for one layer at most.
    pub(crate) bitrate_bps: u32,
    /// The pictures carry stamps, which are to outlast a change of size.
    pub(crate) stamped: bool,
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
            if inbox.newest.put(picture) {
                inbox.missed.fetch_add(1, Ordering::Relaxed);
            }
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

fn encode_pictures(inbox: &Inbox, outbox: &Outbox, plan: VideoPlan, recorder: Option<EncodedRecorder>) {
    let mut studio = Studio::new(plan, recorder);
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
        studio.handle_picture(outbox, &picture, inbox.missed.swap(0, Ordering::Relaxed));
    }
}

/// The encoders, one for each layer that is made.
struct Studio {
    plan: VideoPlan,
    ladder: Vec<Step>,
    source: (usize, usize),
    load: Workload,
    /// By slot.
    encoders: [Option<LayerEncoder>; LAYERS],
    recorder: Option<EncodedRecorder>,
    /// The layer that is recorded.
    recorded: Option<usize>,
}

impl Studio {
    fn new(plan: VideoPlan, recorder: Option<EncodedRecorder>) -> Self {
        let encoders = std::array::from_fn(|_| None);
        let load = Workload::default();
        Self { plan, ladder: Vec::new(), source: (0, 0), load, encoders, recorder, recorded: None }
    }

    /// Encodes a picture for whoever is to have it. `missed` pictures before it were overtaken.
    fn handle_picture(&mut self, outbox: &Outbox, picture: &Picture, missed: u32) {
        let begun = Instant::now();
        if self.source != (picture.width, picture.height) {
            self.source = (picture.width, picture.height);
            self.ladder = ladder(self.source, self.plan.fps, Content::Camera);
        }
        let layers = outbox.plan(begun, &self.ladder, &self.load, self.plan.bitrate_bps);
        for (slot, encoder) in self.encoders.iter_mut().enumerate() {
            if !layers.iter().any(|layer| layer.slot == slot) {
                *encoder = None;
            }
        }
        let millis = outbox.millis(picture.taken);
        let mut encoded = Vec::with_capacity(layers.len());
        for layer in &layers {
            let Some(place) = self.encoders.get_mut(layer.slot) else { continue };
            match LayerEncoder::get(place, *layer) {
                Ok(encoder) => {
                    if let Some(frame) = encoder.handle_picture(outbox, picture, self.plan, millis) {
                        self.record(layer.slot, &frame);
                        let mut plaintext = Vec::new();
                        VideoHeader { key: frame.key, capture_ms: millis }.encode(&frame.data, &mut plaintext);
                        encoded.push(EncodedLayer { slot: layer.slot, key: frame.key, plaintext });
                    }
                }
                Err(error) => tracing::error!(%error, "no encoder for this picture"),
            }
        }
        if !encoded.is_empty() {
            outbox.send_picture(&encoded, millis.wrapping_mul(VIDEO_TICKS_PER_MS));
        }
        let interval = Duration::from_secs(1) / self.plan.fps.max(1);
        self.load.handle_encoded(Instant::now(), begun.elapsed(), interval, missed);
    }

    /// Records one layer, the largest there is, changing over at a key frame.
    fn record(&mut self, slot: usize, frame: &Encoded) {
        let Some(recorder) = &mut self.recorder else { return };
        let largest = self.encoders.iter().position(Option::is_some);
        if frame.key && Some(slot) == largest {
            self.recorded = largest;
        }
        if self.recorded == Some(slot) {
            recorder.write(&frame.data);
        }
    }
}

/// One layer's encoder.
struct LayerEncoder {
    layer: Layer,
    encoder: H264Encoder,
    scaler: Scaler,
    bucket: Bucket,
    last_key: Option<Instant>,
    /// When the next picture is due, if the layer has fewer than the source.
    due: Option<Instant>,
    pushed: Option<Instant>,
}

impl LayerEncoder {
    /// The encoder in `place`, brought to what `layer` asks; a new one for another size.
    fn get(place: &mut Option<Self>, layer: Layer) -> Result<&mut Self, EncodeError> {
        let size = (layer.width, layer.height);
        let fits = |had: &Self| (had.layer.width, had.layer.height) == size;
        let mut had = match place.take().filter(fits) {
            Some(had) => had,
            None => Self {
                layer,
                encoder: H264Encoder::new(size.0, size.1, layer.fps, layer.bitrate)?,
                scaler: Scaler::new(size.0, size.1),
                bucket: Bucket::default(),
                last_key: None,
                due: None,
                pushed: None,
            },
        };
        had.layer = layer;
        had.encoder.set_frame_rate(layer.fps)?;
        had.encoder.set_bitrate(layer.bitrate)?;
        Ok(place.insert(had))
    }

    /// Whether a picture taken at this time has a place in the layer's rate.
    fn is_due(&mut self, taken: Instant, source_fps: u32) -> bool {
        if self.layer.fps >= source_fps {
            self.due = None;
            return true;
        }
        let interval = Duration::from_secs(1) / self.layer.fps.max(1);
        let tolerance = Duration::from_secs(1) / source_fps.max(1) / 2;
        let due = self.due.unwrap_or(taken);
        if taken + tolerance < due {
            return false;
        }
        self.due = Some((due + interval).max(taken));
        true
    }

    fn handle_picture(&mut self, outbox: &Outbox, picture: &Picture, plan: VideoPlan, millis: u32) -> Option<Encoded> {
        let now = Instant::now();
        if !self.is_due(picture.taken, plan.fps) {
            return None;
        }
        let force = outbox.take_key_frame_wish(self.layer.slot, now, self.last_key);
        let full = self.bucket.is_full(now, self.layer.bitrate);
        if full && !force && self.last_key.is_some() {
            outbox.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let scaled = ((picture.width, picture.height) != (self.layer.width, self.layer.height)).then(|| {
            let mut scaled = self.scaler.fit_copy(picture);
            if plan.stamped {
                stamp::carry(picture, &mut scaled);
            }
            scaled
        });
        match self.encoder.encode(scaled.as_ref().unwrap_or(picture), force, millis.into()) {
            Ok(Some(frame)) => {
                if frame.key {
                    self.last_key = Some(now);
                }
                self.bucket.add(frame.data.len());
                self.relieve(outbox, now);
                return Some(frame);
            }
            Ok(None) => {
                outbox.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!(%error, "a picture could not be encoded");
            }
        }
        if force {
            outbox.want_key_frame();
        }
        None
    }

    /// Pictures that are far too rich for the rate get smaller.
    fn relieve(&mut self, outbox: &Outbox, now: Instant) {
        let rested = self.pushed.is_none_or(|pushed| now.saturating_duration_since(pushed) >= PUSH_DOWN);
        if rested && self.bucket.is_hopeless(self.layer.bitrate) {
            self.pushed = Some(now);
            outbox.push_down(self.layer.slot, now);
        }
    }
}
