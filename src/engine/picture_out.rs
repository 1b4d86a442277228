//! Own pictures on their way out: the newest is encoded on a thread of its own, and handed to the [`Outbox`].

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::engine::lock;
use crate::engine::outbox::Outbox;
use crate::engine::recording::EncodedRecorder;
use crate::media::frame::{Latest, Picture};
use crate::media::h264::H264Encoder;
use crate::protocol::media_header::VideoHeader;

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
