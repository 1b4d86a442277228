//! The way out to every peer: a frame is sealed once and handed to each peer's path.
//!
//! Nothing leaves without a key: while [`Outbox`] holds no sealers, or nobody listens, encoders do not even run.
//! A picture may be encoded in several sizes, its layers: [`Outbox::plan`] says which, by what each peer's path carries and what
//! it asked for, and [`Outbox::send_picture`] gives each peer one of them. A peer changes over at a key frame of its new layer.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::crypto::frame::{Kid, Sealer, Stream};
use crate::crypto::sender_keys::SenderKey;
use crate::engine::lock;
use crate::engine::view::PeerId;
use crate::media::adapt::{Chooser, LAYERS, Layer, Step, WISH_INTERVAL, Want, Workload, share_out, step_for_lines};
use crate::media::redundancy::LossLedger;

/// A path that leaves pictures less than this has no room for sound to be sent three times, bit/s.
const NARROW_BPS: u32 = 120_000;
/// Frames that may wait for one peer's path. Past that the path is stuck, and old pictures are of no use.
const PATH_QUEUE: usize = 16;
/// However many ask, a key frame is made at most this often: it costs ten times a common frame.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);
/// To somebody who has just come, the first key frames may follow each other this fast: the one that opens their
/// picture can be lost while their side of the path is still being set up.
const FIRST_KEY_FRAME_INTERVAL: Duration = Duration::from_millis(60);
const FIRST_KEY_FRAMES: u32 = 4;
/// What was planned longer ago says nothing: the camera gives no pictures.
const PLANNED_LATELY: Duration = Duration::from_secs(2);

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
    /// Bits a second of pictures that its path carries, once known.
    target: Option<u32>,
    chooser: Chooser,
    /// The layer that it is to have; none while it wants no pictures.
    wanted: Option<usize>,
    /// The layer that it has.
    current: Option<usize>,
    /// It asked for a key frame, or lost something.
    wants_key: bool,
    first_key_frames: u32,
    /// Bits a second that it would be sent if its path carried anything; 0: it wants no pictures.
    worth: u32,
}

impl Listener {
    /// Whether only a key frame is of use to it. Into a queue that nobody empties none is made: the others would pay for it.
    fn needs_key(&self, slot: usize) -> bool {
        let stuck = self.starved && self.video.capacity() < PATH_QUEUE / 2;
        self.wanted == Some(slot) && !stuck && (self.wants_key || self.starved || self.current != Some(slot))
    }
}

/// How many rows a peer has a place for: the newest wish, and the one that is in force.
#[derive(Clone, Copy)]
struct Wish {
    newest: u32,
    height: u32,
    since: Option<Instant>,
}

impl Wish {
    /// The wish in force. A newer one comes into force when the one before has been for a while.
    fn height(&mut self, now: Instant) -> u32 {
        let due = self.since.is_none_or(|since| now.saturating_duration_since(since) >= WISH_INTERVAL);
        if self.newest != self.height && due {
            (self.height, self.since) = (self.newest, Some(now));
        }
        self.height
    }
}

/// One layer of a picture, encoded and with its header in front.
pub(super) struct EncodedLayer {
    pub(super) slot: usize,
    pub(super) key: bool,
    pub(super) plaintext: Vec<u8>,
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
    wishes: Mutex<HashMap<PeerId, Wish>>,
    /// The layers made last.
    layers: Mutex<Vec<Layer>>,
    overloaded: AtomicBool,
    /// When there last was a picture to plan for.
    planned: Mutex<Option<Instant>>,
    /// What the networks lose of the own sound.
    pub(super) losses: Mutex<LossLedger>,
    /// Grows whenever somebody new listens or the key changes.
    pub(super) audience: AtomicU64,
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
            wishes: Mutex::default(),
            layers: Mutex::default(),
            overloaded: AtomicBool::new(false),
            planned: Mutex::default(),
            losses: Mutex::default(),
            audience: AtomicU64::new(0),
            counters: SendCounters::default(),
        }
    }

    /// Seals with `key` from now on, as the sender with this index. A key frame follows.
    pub(crate) fn use_key(&self, sender: u16, key: &SenderKey) {
        let sealer = |stream| Sealer::new(Kid::new(sender, stream, key.generation), &key.base);
        self.audience.fetch_add(1, Ordering::Release);
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
        self.audience.fetch_add(1, Ordering::Release);
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.peer != peer);
        listeners.push(Listener {
            peer,
            video,
            audio,
            starved: false,
            target: None,
            chooser: Chooser::default(),
            wanted: None,
            current: None,
            wants_key: true,
            first_key_frames: FIRST_KEY_FRAMES,
            worth: 0,
        });
        PathInlet { video: video_out, audio: audio_out }
    }

    /// Nothing more goes to `peer`, and what it wished for is forgotten.
    pub(crate) fn remove(&self, peer: PeerId) {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.peer != peer);
        lock(&self.wishes).remove(&peer);
        // While nobody can be added: what is heard of a path that ends must not stay.
        lock(&self.losses).forget(Instant::now(), peer);
    }

    /// The path to `peer` carries so many bits of pictures a second; 0: none.
    pub(crate) fn set_target(&self, peer: PeerId, video_bps: u32) {
        // What comes from a path that is being closed is not kept: nobody would ever take it back.
        for listener in lock(&self.listeners).iter_mut().filter(|listener| listener.peer == peer) {
            listener.target = Some(video_bps);
            lock(&self.losses).set_narrow(Instant::now(), peer, video_bps < NARROW_BPS);
        }
    }

    /// A peer's side reports that `loss` (0 to 1) of what is sent to it does not arrive: it decides how often sound is repeated.
    pub(crate) fn set_loss(&self, peer: PeerId, loss: f32) {
        let listeners = lock(&self.listeners);
        if listeners.iter().any(|listener| listener.peer == peer) {
            lock(&self.losses).handle_loss(Instant::now(), peer, loss);
        }
    }

    /// Whoever's path has ended by itself is no listener any more.
    fn prune(&self, listeners: &mut Vec<Listener>) {
        listeners.retain(|listener| {
            let gone = listener.audio.is_closed() || listener.video.is_closed();
            if gone {
                lock(&self.losses).forget(Instant::now(), listener.peer);
            }
            !gone
        });
    }

    /// `peer` has a place for pictures of `height` rows; 0: it wants none. Whatever it says, it has an effect at most four
    /// times a second.
    pub(crate) fn set_wish(&self, peer: PeerId, height: u32) {
        let mut wishes = lock(&self.wishes);
        let wish = wishes.entry(peer).or_insert(Wish { newest: height, height, since: None });
        wish.newest = height;
    }

    /// The next picture of every layer is to be a key frame.
    pub(crate) fn want_key_frame(&self) {
        lock(&self.listeners).iter_mut().for_each(|listener| listener.wants_key = true);
    }

    /// The next picture of the layer that `peer` has is to be a key frame.
    pub(crate) fn want_key_frame_for(&self, peer: PeerId) {
        for listener in lock(&self.listeners).iter_mut().filter(|listener| listener.peer == peer) {
            listener.wants_key = true;
        }
    }

    /// Whether the next picture of the layer `slot` must be a key frame, given when the last one was made. A true answer uses
    /// up the wish.
    pub(super) fn take_key_frame_wish(&self, slot: usize, now: Instant, last: Option<Instant>) -> bool {
        let mut listeners = lock(&self.listeners);
        let wishes = |listener: &&mut Listener| listener.needs_key(slot);
        let first = listeners.iter_mut().filter(wishes).any(|listener| listener.first_key_frames > 0);
        let interval = if first { FIRST_KEY_FRAME_INTERVAL } else { KEY_FRAME_INTERVAL };
        if last.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            return false;
        }
        let mut wished = false;
        for listener in listeners.iter_mut().filter(wishes) {
            listener.wants_key = false;
            listener.first_key_frames = listener.first_key_frames.saturating_sub(1);
            wished = true;
        }
        wished
    }

    /// The layers to make of a picture that has the sizes of `ladder`, at most `most` bits a second each. Empty if nobody is to
    /// have it.
    pub(super) fn plan(&self, now: Instant, ladder: &[Step], load: &Workload, most: u32) -> Vec<Layer> {
        if lock(&self.sealers).is_none() {
            return Vec::new();
        }
        self.overloaded.store(load.is_overloaded(), Ordering::Relaxed);
        *lock(&self.planned) = Some(now);
        let mut listeners = lock(&self.listeners);
        self.prune(&mut listeners);
        let mut wishes = lock(&self.wishes);
        let (mut wants, mut who) = (Vec::new(), Vec::new());
        let first = load.first_step(ladder);
        for (at, listener) in listeners.iter_mut().enumerate() {
            let carries = listener.chooser.choose(now, ladder, listener.target);
            let height = wishes.get_mut(&listener.peer).map_or(u32::MAX, |wish| wish.height(now));
            let asks = step_for_lines(ladder, height);
            let worth = ladder.get(asks.max(first)).map_or(0, |step| step.enough().min(most));
            listener.worth = if height == 0 { 0 } else { worth };
            // A path that has no room for pictures has room for sound as long as it gets none.
            if height == 0 || listener.target == Some(0) {
                (listener.wanted, listener.current) = (None, None);
                continue;
            }
            wants.push(Want { carries, asks, budget: listener.target, had: listener.wanted });
            who.push(at);
        }
        let (mut layers, slots) = share_out(&wants, ladder, first, most);
        for (at, slot) in who.into_iter().zip(slots) {
            listeners[at].wanted = Some(slot);
        }
        for layer in &mut layers {
            layer.fps = layer.fps.min(load.most_fps());
        }
        let mut made = lock(&self.layers);
        // Until the key frame of their new layer, those who change over have the old one.
        for slot in 0..LAYERS {
            let needed = listeners.iter().any(|listener| listener.current == Some(slot));
            let old = made.iter().find(|layer| layer.slot == slot);
            if let (true, false, Some(old)) = (needed, layers.iter().any(|layer| layer.slot == slot), old) {
                layers.push(*old);
            }
        }
        made.clone_from(&layers);
        layers
    }

    /// The pictures are too rich for the layer `slot`, whatever the paths carry: those who have it go a step down.
    pub(super) fn push_down(&self, slot: usize, now: Instant) {
        for listener in lock(&self.listeners).iter_mut().filter(|listener| listener.wanted == Some(slot)) {
            listener.chooser.push_down(now);
        }
    }

    /// Whether the processor cannot encode as much as the paths would carry. Not if there is nothing to encode.
    pub(crate) fn is_overloaded(&self, now: Instant) -> bool {
        self.planned_lately(now) && self.overloaded.load(Ordering::Relaxed)
    }

    /// Bits of pictures a second that `peer` would be sent if its path carried anything; `None` if it is to have none: there
    /// are none, or it wants none.
    pub(crate) fn worth_bps(&self, now: Instant, peer: PeerId) -> Option<u32> {
        let worth = lock(&self.listeners).iter().find(|listener| listener.peer == peer).map(|listener| listener.worth);
        worth.filter(|worth| *worth > 0 && self.planned_lately(now))
    }

    fn planned_lately(&self, now: Instant) -> bool {
        lock(&self.planned).is_some_and(|at| now.saturating_duration_since(at) < PLANNED_LATELY)
    }

    pub(super) fn anyone_listens(&self) -> bool {
        !lock(&self.listeners).is_empty() && lock(&self.sealers).is_some()
    }

    pub(super) fn millis(&self, at: Instant) -> u32 {
        // Wraps after 49 days, as RTP time does after 13 hours: only differences count.
        at.saturating_duration_since(self.epoch).as_millis() as u32
    }

    /// Gives each listener one layer of a picture: the one it is to have, or, until a key frame of that one, the one it has.
    pub(super) fn send_picture(&self, layers: &[EncodedLayer], rtp_ts: u32) {
        let mut sealed: Vec<Option<Bytes>> = vec![None; layers.len()];
        let mut listeners = lock(&self.listeners);
        for listener in listeners.iter_mut() {
            let find = |slot: Option<usize>| layers.iter().position(|layer| Some(layer.slot) == slot);
            let new = find(listener.wanted).filter(|at| layers[*at].key || listener.current == listener.wanted);
            let Some(at) = new.or_else(|| find(listener.current)) else { continue };
            let layer = &layers[at];
            if listener.starved && !layer.key {
                self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if sealed[at].is_none() {
                sealed[at] = self.seal(&layer.plaintext, |sealers| &mut sealers.camera);
                let Some(sealed) = &sealed[at] else { return };
                self.counters.video_frames.fetch_add(1, Ordering::Relaxed);
                self.counters.video_bytes.fetch_add(sealed.len() as u64, Ordering::Relaxed);
            }
            let Some(sealed) = sealed[at].clone() else { return };
            listener.current = Some(layer.slot);
            listener.starved = listener.video.try_send(Outgoing { sealed, rtp_ts, key: layer.key }).is_err();
            if listener.starved {
                self.counters.video_dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn send_audio(&self, plaintext: &[u8], rtp_ts: u32) {
        let Some(sealed) = self.seal(plaintext, |sealers| &mut sealers.audio) else { return };
        let frame = Outgoing { sealed, rtp_ts, key: false };
        self.counters.audio_packets.fetch_add(1, Ordering::Relaxed);
        let mut listeners = lock(&self.listeners);
        self.prune(&mut listeners);
        for listener in listeners.iter() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::secret::Secret;
    use crate::media::adapt::{Content, ladder};

    const MOST: u32 = 2_000_000;

    /// An outbox with a key, and the far ends of the paths to so many peers, numbered from 1.
    fn outbox(peers: u32) -> (Outbox, Vec<PathInlet>, Instant) {
        let outbox = Outbox::new([1; 32], Instant::now());
        outbox.use_key(0, &SenderKey { generation: 1, base: Secret::new([2; 32]) });
        let inlets = (1..=peers).map(|peer| outbox.add(peer)).collect();
        (outbox, inlets, Instant::now())
    }

    /// Sends one picture in all layers that are asked for, as an encoder would that makes key frames whenever they are wished
    /// for. Gives the layers' slots and heights, and which were key frames.
    fn send(outbox: &Outbox, now: Instant, last_keys: &mut [Option<Instant>; LAYERS]) -> Vec<(usize, usize, bool)> {
        let ladder = ladder((1280, 720), 30, Content::Camera);
        let layers = outbox.plan(now, &ladder, &Workload::default(), MOST);
        let mut made = Vec::new();
        let mut encoded = Vec::new();
        for layer in &layers {
            let key = outbox.take_key_frame_wish(layer.slot, now, last_keys[layer.slot]);
            if key {
                last_keys[layer.slot] = Some(now);
            }
            made.push((layer.slot, layer.height, key));
            encoded.push(EncodedLayer { slot: layer.slot, key, plaintext: vec![0; 100 + 100 * layer.slot] });
        }
        outbox.send_picture(&encoded, 0);
        made
    }

    /// What came since: the slot, by the length, and whether it was a key frame.
    fn received(inlet: &mut PathInlet) -> Vec<(usize, bool)> {
        let next = || inlet.video.try_recv().ok().map(|frame| (frame.sealed.len() / 100 - 1, frame.key));
        std::iter::from_fn(next).collect()
    }

    fn slots(inlet: &mut PathInlet) -> Vec<usize> {
        received(inlet).into_iter().map(|(slot, _)| slot).collect()
    }

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_slow_path_gets_a_lower_layer_while_another_keeps_the_full_size() {
        let (outbox, mut inlets, start) = outbox(2);
        let mut keys = [None; LAYERS];
        outbox.set_target(1, 2_500_000);
        outbox.set_target(2, 2_500_000);
        assert_eq!(send(&outbox, start, &mut keys), [(0, 720, true)]);
        assert_eq!(send(&outbox, start + ms(33), &mut keys), [(0, 720, false)]);
        outbox.set_target(2, 320_000);
        let made = send(&outbox, start + ms(500), &mut keys);
        assert_eq!(made, [(0, 720, false), (1, 360, true)]);
        assert_eq!(send(&outbox, start + ms(533), &mut keys), [(0, 720, false), (1, 360, false)]);
        assert_eq!(slots(&mut inlets[0]), [0, 0, 0, 0]);
        assert_eq!(slots(&mut inlets[1]), [0, 0, 1, 1]);
    }

    #[test]
    fn a_peer_has_its_old_layer_until_a_key_frame_of_the_new_one() {
        let (outbox, mut inlets, start) = outbox(3);
        let mut keys = [None; LAYERS];
        outbox.set_wish(3, 360);
        for tick in 0..6 {
            send(&outbox, start + ms(tick * 100), &mut keys);
        }
        inlets.iter_mut().for_each(|inlet| drop(received(inlet)));
        // The smaller layer has just made a key frame for somebody: another is not due yet.
        keys[1] = Some(start + ms(590));
        outbox.set_target(2, 320_000);
        outbox.set_target(3, 320_000);
        let made: Vec<Vec<usize>> = (0..5)
            .map(|tick| send(&outbox, start + ms(600 + tick * 20), &mut keys).iter().map(|made| made.0).collect())
            .collect();
        assert!(made.iter().all(|made| made[..] == [0, 1]), "{made:?}");
        let got = received(&mut inlets[1]);
        let switched = got.iter().position(|(_, key)| *key).unwrap();
        assert_eq!(switched, 3, "{got:?}");
        assert_eq!(got.len(), 5, "a picture each time, and no more than one: {got:?}");
        assert_eq!(got.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
    }

    #[test]
    fn whoever_shows_no_pictures_is_sent_none_and_begins_again_with_a_key_frame() {
        let (outbox, mut inlets, start) = outbox(1);
        let mut keys = [None; LAYERS];
        send(&outbox, start, &mut keys);
        outbox.set_wish(1, 0);
        assert!(send(&outbox, start + ms(400), &mut keys).is_empty(), "nothing is even encoded");
        outbox.set_wish(1, 720);
        assert_eq!(send(&outbox, start + ms(800), &mut keys), [(0, 720, true)]);
        assert_eq!(received(&mut inlets[0]).iter().map(|got| got.1).collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn a_path_that_carries_sound_alone_gets_no_pictures_and_begins_again_with_a_key_frame() {
        let (outbox, mut inlets, start) = outbox(2);
        let mut keys = [None; LAYERS];
        outbox.set_target(1, 2_500_000);
        send(&outbox, start, &mut keys);
        outbox.set_target(2, 0);
        assert_eq!(send(&outbox, start + ms(400), &mut keys), [(0, 720, false)]);
        inlets.iter_mut().for_each(|inlet| drop(received(inlet)));
        send(&outbox, start + ms(433), &mut keys);
        assert_eq!((received(&mut inlets[0]).len(), received(&mut inlets[1]).len()), (1, 0));
        outbox.set_target(2, 90_000);
        send(&outbox, start + ms(800), &mut keys);
        assert_eq!(received(&mut inlets[1]), [(2, true)]);
    }

    #[test]
    fn a_small_wish_gets_the_small_layer_and_nobody_else_is_touched() {
        let (outbox, mut inlets, start) = outbox(2);
        let mut keys = [None; LAYERS];
        outbox.set_wish(2, 100);
        assert_eq!(send(&outbox, start, &mut keys), [(0, 720, true), (2, 180, true)]);
        assert_eq!((received(&mut inlets[0]).len(), received(&mut inlets[1]).len()), (1, 1));
    }

    #[test]
    fn hostile_wishes_and_key_frame_requests_cost_a_few_key_frames_a_second_at_most() {
        let (outbox, mut inlets, start) = outbox(2);
        let mut keys = [None; LAYERS];
        let mut made_keys = [0; LAYERS];
        let mut changes = 0;
        let mut before = Vec::new();
        for tick in 0..1000u64 {
            outbox.set_wish(2, [u32::MAX, 1, 300, 0][tick as usize % 4]);
            outbox.want_key_frame_for(2);
            let made = send(&outbox, start + ms(tick * 10), &mut keys);
            for (slot, _, key) in &made {
                made_keys[*slot] += u32::from(*key);
            }
            let sizes: Vec<usize> = made.iter().map(|made| made.1).collect();
            changes += u32::from(sizes != before);
            before = sizes;
            inlets.iter_mut().for_each(|inlet| drop(received(inlet)));
        }
        assert!(made_keys.iter().all(|keys| *keys <= 34 + 2 * FIRST_KEY_FRAMES), "{made_keys:?} in ten seconds");
        assert!(changes <= 90, "{changes} changes in ten seconds");
        outbox.set_wish(99, 5);
        outbox.remove(99);
    }

    #[test]
    fn what_a_peer_would_be_sent_follows_its_wish_and_ends_with_the_pictures() {
        let (outbox, _inlets, start) = outbox(2);
        let mut keys = [None; LAYERS];
        assert_eq!(outbox.worth_bps(start, 1), None, "no picture has come");
        outbox.set_target(1, 100_000);
        outbox.set_wish(2, 180);
        send(&outbox, start, &mut keys);
        let worth = |peer| outbox.worth_bps(start + ms(10), peer).unwrap();
        assert!(worth(1) > 1_800_000 && worth(2) < 300_000, "{} {}", worth(1), worth(2));
        outbox.set_wish(2, 0);
        send(&outbox, start + ms(300), &mut keys);
        assert_eq!(outbox.worth_bps(start + ms(300), 2), None, "it looks elsewhere");
        assert_eq!(outbox.worth_bps(start + ms(3000), 1), None, "the camera is off");
    }

    #[test]
    fn a_busy_processor_is_told_of_while_there_are_pictures_only() {
        let (outbox, _inlets, start) = outbox(1);
        let mut load = Workload::default();
        for picture in 0..600 {
            load.handle_encoded(start + ms(picture * 33), ms(40), ms(33), 1);
        }
        outbox.plan(start, &ladder((1280, 720), 30, Content::Camera), &load, MOST);
        assert!(outbox.is_overloaded(start + ms(100)));
        assert!(!outbox.is_overloaded(start + ms(3000)), "the camera is off");
    }

    #[test]
    fn a_path_that_ended_by_itself_is_no_listener_and_leaves_nothing_behind() {
        let (outbox, mut inlets, start) = outbox(2);
        let mut keys = [None; LAYERS];
        send(&outbox, start, &mut keys);
        outbox.set_loss(2, 0.5);
        drop(inlets.pop());
        for tick in 1..20 {
            assert!(
                send(&outbox, start + ms(tick * 400), &mut keys).iter().all(|made| !made.2),
                "no key frame for nobody"
            );
        }
        outbox.set_loss(2, 0.5);
        assert_eq!(lock(&outbox.losses).worst(), None);
        drop(inlets);
        outbox.send_audio(&[0; 50], 0);
        assert!(!outbox.anyone_listens());
    }

    #[test]
    fn a_peer_that_takes_nothing_costs_the_others_no_key_frames() {
        let (outbox, mut inlets, start) = outbox(2);
        let mut keys = [None; LAYERS];
        let mut made_keys = 0;
        for tick in 0..300u64 {
            let made = send(&outbox, start + ms(tick * 33), &mut keys);
            made_keys += made.iter().filter(|made| made.2).count();
            received(&mut inlets[0]);
        }
        assert!(made_keys <= 4, "{made_keys}");
        assert!(outbox.counters.video_dropped.load(Ordering::Relaxed) > 250);
    }
}
