//! One meeting as this engine lives it: the protocol's state machine, the relay, and a path for each peer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::crypto::identity::IdentityKey;
use crate::crypto::safety;
use crate::engine::input::{Input, Inputs, PathNews};
use crate::engine::measure::Measurements;
use crate::engine::peer_path::{PathPlan, PeerPath};
use crate::engine::playout::Playout;
use crate::engine::receiving::{DecoderTap, Inbound};
use crate::engine::routes::Routes;
use crate::engine::sending::{Outbox, VideoPlan, VideoSender};
use crate::engine::start::Wake;
use crate::engine::view::{self, PeerId, PeerLink, PeerStats, Verification};
use crate::engine::words;
use crate::media::source::VideoFormat;
use crate::protocol::meeting::{Event as Told, Meeting, MeetingError};
use crate::rendezvous::client::{RelayClient, RelayEvent};
use crate::rendezvous::lan;
use crate::transport::{PathConfig, PathStats, Role};

/// Bits a second for 720 lines at 30 pictures a second; other sizes in proportion.
const BITRATE_720P30: u64 = 2_000_000;
const LEAST_BITRATE: u64 = 250_000;
/// A path that is not found by then probably will not be.
const PATH_PATIENCE: Duration = Duration::from_secs(12);
/// How long the local network may take to answer.
const LAN_SEARCH: Duration = Duration::from_secs(4);

/// Somebody admitted.
pub(crate) struct Member {
    pub(crate) id: PeerId,
    pub(crate) identity: IdentityKey,
    pub(crate) name: String,
    pub(crate) inbound: Arc<Inbound>,
    pub(crate) path: Option<PeerPath>,
    pub(crate) link: PeerLink,
    pub(crate) mic_on: bool,
    pub(crate) camera_on: bool,
    pub(crate) volume: f32,
    pub(crate) verification: Verification,
    pub(crate) safety_number: String,
    pub(crate) safety_qr: Arc<Vec<Vec<bool>>>,
    pub(crate) generation: u32,
    pub(crate) route: Option<view::Route>,
    /// Why no way to them is allowed, in a sentence.
    pub(crate) refused: Option<String>,
    pub(crate) stats: PeerStats,
    /// Since when a path to them is sought, or was found.
    pub(crate) since: Instant,
    /// Nothing has come through the relay for a while.
    pub(crate) silent: bool,
    last: Option<(Instant, PathStats, u64)>,
}

/// Somebody waiting to be let in.
pub(crate) struct Visitor {
    pub(crate) id: PeerId,
    pub(crate) identity: IdentityKey,
    pub(crate) name: String,
}

/// What the session must act on; everything else a room settles by itself.
pub(crate) enum Happened {
    /// The host has proven itself: at the door.
    Reached(IdentityKey),
    /// Somebody knocks.
    Knock,
    /// Somebody is in; devices must be bound to the meeting.
    Admitted(PeerId),
    /// Somebody is out.
    Left { name: String, why: crate::protocol::meeting::Departure },
    /// Over.
    Ended(crate::protocol::meeting::End),
}

/// How paths are looked for.
pub(crate) struct Reach {
    pub(crate) stun: Vec<String>,
    pub(crate) bind: Vec<IpAddr>,
    pub(crate) allow_loopback: bool,
    /// What the settings allow, as of entering.
    pub(crate) routes: Arc<Routes>,
}

pub(crate) struct Room {
    pub(crate) meeting: Meeting,
    pub(crate) relay: RelayClient,
    pub(crate) relay_events: mpsc::Receiver<RelayEvent>,
    pub(crate) relay_view: view::Relay,
    pub(crate) hosting: bool,
    pub(crate) link: Option<String>,
    pub(crate) reach: Reach,
    pub(crate) since: Option<Instant>,
    pub(crate) members: Vec<Member>,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) refused: u64,
    /// Names of all who were here, and whether each was verified when last seen.
    met: Vec<(IdentityKey, String, bool)>,
    /// The relay's URLs, as the link has them.
    pub(crate) targets: Vec<String>,
    pub(crate) outbox: Option<Arc<Outbox>>,
    pub(crate) video: Option<VideoSender>,
    sought_on_lan: bool,
    own_identity: IdentityKey,
    own_index: u16,
    paths: u64,
    epoch: Instant,
    format: VideoFormat,
    playout: Playout,
    inputs: Inputs,
    wake: Wake,
    measure: Option<Arc<Measurements>>,
}

/// How a meeting was entered.
pub(crate) struct Entry {
    pub(crate) meeting: Meeting,
    pub(crate) relay: RelayClient,
    pub(crate) relay_events: mpsc::Receiver<RelayEvent>,
    pub(crate) relay_view: view::Relay,
    /// The relay's URLs, as the link has them.
    pub(crate) targets: Vec<String>,
    /// The invite link to hand out: the host has one.
    pub(crate) link: Option<String>,
    pub(crate) reach: Reach,
}

/// What a room needs of the session.
pub(crate) struct Around {
    pub(crate) own_identity: IdentityKey,
    pub(crate) format: VideoFormat,
    pub(crate) playout: Playout,
    pub(crate) inputs: Inputs,
    pub(crate) wake: Wake,
    pub(crate) measure: Option<Arc<Measurements>>,
}

impl Room {
    pub(crate) fn new(entry: Entry, around: Around, now: Instant) -> Self {
        Self {
            meeting: entry.meeting,
            relay: entry.relay,
            relay_events: entry.relay_events,
            relay_view: entry.relay_view,
            hosting: entry.link.is_some(),
            link: entry.link,
            reach: entry.reach,
            since: None,
            members: Vec::new(),
            visitors: Vec::new(),
            refused: 0,
            met: Vec::new(),
            targets: entry.targets,
            outbox: None,
            video: None,
            sought_on_lan: false,
            own_identity: around.own_identity,
            own_index: 0,
            paths: 0,
            epoch: now,
            format: around.format,
            playout: around.playout,
            inputs: around.inputs,
            wake: around.wake,
            measure: around.measure,
        }
    }

    pub(crate) fn member(&mut self, id: PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// Nothing more is sent to anyone, nor taken from anyone.
    pub(crate) fn stop_everything(&mut self) {
        if let Some(outbox) = &self.outbox {
            outbox.forget_key();
        }
        self.playout.clear();
        for member in &mut self.members {
            member.inbound.stop();
            member.path = None;
        }
    }

    /// Takes news of the relay.
    pub(crate) fn handle_relay(&mut self, now: Instant, event: RelayEvent) {
        match event {
            RelayEvent::Up { url, .. } => {
                self.relay_view.connected = true;
                if self.relay_view.address.is_empty() {
                    self.relay_view.address = url;
                }
                self.meeting.handle_relay_up(now);
            }
            RelayEvent::From { from, payload } => self.meeting.handle_relay(now, from, &payload),
            RelayEvent::Arrived(conn) => self.meeting.handle_relay_arrived(now, conn),
            RelayEvent::Left(conn) => self.meeting.handle_relay_left(now, conn),
            RelayEvent::Down { .. } | RelayEvent::GaveUp { .. } => self.relay_view.connected = false,
        }
    }

    /// The link's addresses do not answer: asks the local network, once, where the meeting's relay is. It is asked only
    /// then, because the question tells everyone on it that somebody looks for a meeting.
    pub(crate) fn seek_on_lan(&mut self) {
        // A relay that proves itself by TLS is not to be replaced by whoever answers on the local network.
        let elsewhere = self.targets.iter().any(|target| target.starts_with("wss:"));
        let allowed = self.reach.routes.may_seek_on_lan();
        if self.hosting || elsewhere || !allowed || std::mem::replace(&mut self.sought_on_lan, true) {
            return;
        }
        let (room, inputs) = (self.meeting.room_id(), self.inputs.clone());
        tokio::spawn(async move {
            match lan::find(&room, LAN_SEARCH).await {
                Ok(addresses) => drop(inputs.send(Input::FoundOnLan(addresses))),
                Err(error) => tracing::debug!(%error, "the local network could not be asked"),
            }
        });
    }

    /// Hands the relay what the protocol wants sent, and settles what it says. Call after every call into `meeting`.
    pub(crate) fn settle(&mut self, now: Instant) -> Vec<Happened> {
        let mut happened = Vec::new();
        loop {
            while let Some(transmit) = self.meeting.poll_transmit() {
                // What does not fit is lost, as on any network: the protocol sends it again.
                let _ = self.relay.send(transmit.to, transmit.payload);
            }
            let Some(told) = self.meeting.poll_event() else { break };
            tracing::debug!(event = told.kind(), "meeting");
            if let Some(one) = self.handle_told(now, told) {
                happened.push(one);
            }
        }
        happened
    }

    fn handle_told(&mut self, now: Instant, told: Told) -> Option<Happened> {
        match told {
            Told::Reached { identity, .. } => return Some(Happened::Reached(identity)),
            Told::Knocked { peer, identity, name, .. } => {
                if let Some(measure) = &self.measure {
                    measure.begin(now);
                }
                self.visitors.push(Visitor { id: peer, identity, name });
                return Some(Happened::Knock);
            }
            Told::KnockGone { peer } => self.visitors.retain(|visitor| visitor.id != peer),
            Told::RefusedAtDoor { total } => {
                self.refused = total;
                if let Some(measure) = &self.measure {
                    measure.set_refused(total);
                }
            }
            Told::Admitted { peer, identity, name, own_index, peer_index, meeting } => {
                self.visitors.retain(|visitor| visitor.id != peer);
                self.own_index = own_index;
                self.ensure_outbox(meeting);
                match self.add_member(now, peer, identity, name, peer_index, meeting) {
                    Ok(()) => return Some(Happened::Admitted(peer)),
                    Err(error) => {
                        tracing::error!(%error, "no thread for a peer's pictures; the peer is let go");
                        let _ = self.meeting.drop_peer(now, peer);
                    }
                }
            }
            Told::Offer { peer, sdp } => self.with_path(peer, |path| path.handle_offer(sdp)),
            Told::Answer { peer, sdp } => self.with_path(peer, |path| path.handle_answer(sdp)),
            Told::Candidate { peer, line } => self.with_path(peer, |path| path.handle_candidate(line)),
            Told::MediaState { peer, mic, camera } => {
                if let Some(member) = self.member(peer) {
                    (member.mic_on, member.camera_on) = (mic, camera);
                    if !camera {
                        member.inbound.clear_picture();
                    }
                }
            }
            Told::SendKey(key) => {
                if let Some(outbox) = &self.outbox {
                    outbox.use_key(self.own_index, &key);
                }
            }
            Told::SendKeyGone => {
                if let Some(outbox) = &self.outbox {
                    outbox.forget_key();
                }
            }
            Told::OpenKey { peer, key, .. } => {
                if let Some(member) = self.member(peer) {
                    member.inbound.insert_key(key.generation, &key.base);
                    member.generation = key.generation;
                }
            }
            Told::RetireKey { peer, generation } => {
                if let Some(member) = self.member(peer) {
                    member.inbound.retire_key(generation);
                }
            }
            Told::Rtt { .. } => {}
            Told::Silent { peer } => self.set_silent(now, peer, true),
            Told::HeardAgain { peer } => self.set_silent(now, peer, false),
            Told::Left { peer, why } => return self.remove_member(peer).map(|name| Happened::Left { name, why }),
            Told::Ended { why } => return Some(Happened::Ended(why)),
        }
        None
    }

    fn set_silent(&mut self, now: Instant, peer: PeerId, silent: bool) {
        let Some(member) = self.member(peer) else { return };
        member.silent = silent;
        // Silence at the relay alone is no reason to part while media flow directly.
        if silent && member.link != PeerLink::Live {
            let _ = self.meeting.drop_peer(now, peer);
        }
    }

    fn ensure_outbox(&mut self, meeting: [u8; 32]) {
        if self.outbox.is_some() {
            return;
        }
        let outbox = Arc::new(Outbox::new(meeting, self.epoch));
        let recorder = match self.measure.as_ref().map_or(Ok(None), |measure| measure.encoded_recorder()) {
            Ok(recorder) => recorder,
            Err(error) => {
                tracing::error!(%error, "the encoded stream is not recorded");
                None
            }
        };
        if let Some(measure) = &self.measure {
            measure.set_outbox(outbox.clone());
        }
        let plan = VideoPlan { fps: self.format.fps, bitrate_bps: bitrate(self.format) };
        match VideoSender::start(outbox.clone(), plan, recorder) {
            Ok(video) => self.video = Some(video),
            Err(error) => tracing::error!(%error, "no thread to encode pictures"),
        }
        self.outbox = Some(outbox);
    }

    fn add_member(
        &mut self,
        now: Instant,
        id: PeerId,
        identity: IdentityKey,
        name: String,
        index: u16,
        meeting: [u8; 32],
    ) -> std::io::Result<()> {
        let recorder = match &self.measure {
            Some(measure) => measure.picture_recorder(self.format.fps)?,
            None => None,
        };
        let tap = DecoderTap { wake: self.wake.clone(), recorder, measure: self.measure.is_some() };
        let (inbound, decoder) = Inbound::start(meeting, index, tap)?;
        self.playout.add(id, inbound.clone());
        let safety_number = safety::pair_number(&self.own_identity, &identity);
        let safety_qr = Arc::new(safety::pair_qr(&safety_number).unwrap_or_default());
        if let Some(measure) = &self.measure {
            measure.add_peer(id, &name, &safety_number, &inbound, decoder);
        }
        let mut member = Member {
            id,
            identity,
            name,
            inbound,
            path: None,
            link: PeerLink::Connecting,
            mic_on: false,
            camera_on: false,
            volume: 1.0,
            verification: Verification::No,
            safety_number,
            safety_qr,
            generation: 0,
            route: None,
            refused: None,
            stats: PeerStats::default(),
            since: now,
            silent: false,
            last: None,
        };
        member.path = self.new_path(&member);
        self.members.push(member);
        Ok(())
    }

    /// Starts a path to a member. The guest offers: the host has shown nothing of its network before.
    fn new_path(&mut self, member: &Member) -> Option<PeerPath> {
        let outbox = self.outbox.as_ref()?;
        self.paths += 1;
        let plan = PathPlan {
            peer: member.id,
            number: self.paths,
            role: if self.hosting { Role::Answerer } else { Role::Offerer },
            config: PathConfig {
                stun: self.reach.stun.clone(),
                bind: self.reach.bind.clone(),
                allow_loopback: self.reach.allow_loopback,
                policy: self.reach.routes.policy(),
            },
        };
        Some(PeerPath::start(plan, member.inbound.clone(), outbox, self.inputs.clone()))
    }

    fn with_path(&mut self, peer: PeerId, act: impl FnOnce(&PeerPath)) {
        if let Some(path) = self.member(peer).and_then(|member| member.path.as_ref()) {
            act(path);
        }
    }

    /// Ends media with a member whose safety number differed; the session stays, so that it can be taken back.
    pub(crate) fn stop_media(&mut self, now: Instant, peer: PeerId) {
        if let Err(error) = self.meeting.stop(now, peer) {
            tracing::debug!(%error, "nobody to stop");
        }
        if let Some(outbox) = &self.outbox {
            outbox.remove(peer);
        }
        self.playout.remove(peer);
        if let Some(member) = self.member(peer) {
            member.inbound.stop();
            member.path = None;
            member.link = PeerLink::Stopped;
            (member.route, member.stats) = (None, PeerStats::default());
        }
    }

    fn remove_member(&mut self, peer: PeerId) -> Option<String> {
        let at = self.members.iter().position(|member| member.id == peer)?;
        let member = self.members.remove(at);
        if let Some(outbox) = &self.outbox {
            outbox.remove(peer);
        }
        self.playout.remove(peer);
        member.inbound.stop();
        self.note_met(&member);
        Some(member.name.clone())
    }

    fn note_met(&mut self, member: &Member) {
        let verified = matches!(member.verification, Verification::Yes { .. });
        match self.met.iter_mut().find(|(identity, ..)| *identity == member.identity) {
            Some(entry) => entry.2 = verified,
            None => self.met.push((member.identity, member.name.clone(), verified)),
        }
    }

    /// All who were here, those still here included.
    pub(crate) fn everyone_met(&mut self) -> Vec<(String, bool)> {
        for member in std::mem::take(&mut self.members) {
            self.note_met(&member);
        }
        self.met.iter().map(|(_, name, verified)| (name.clone(), *verified)).collect()
    }

    /// Takes news of a path.
    pub(crate) fn handle_path(&mut self, now: Instant, peer: PeerId, number: u64, news: PathNews) {
        let Some(at) = self.members.iter().position(|member| member.id == peer) else { return };
        let member = &mut self.members[at];
        if member.path.as_ref().is_none_or(|path| path.number != number) {
            return;
        }
        match news {
            PathNews::Offer(sdp) => tell(self.meeting.send_offer(now, peer, sdp)),
            PathNews::Answer(sdp) => tell(self.meeting.send_answer(now, peer, sdp)),
            PathNews::Candidate(line) => tell(self.meeting.send_candidate(now, peer, line)),
            PathNews::Connected => {
                member.link = PeerLink::Live;
                member.refused = None;
                if let Some(measure) = &self.measure {
                    measure.connected(now);
                }
            }
            PathNews::Disconnected | PathNews::Failed => {
                if member.link == PeerLink::Live {
                    member.link = PeerLink::Reconnecting;
                }
                // The network may have changed: the relay, through which a new path is agreed, should be back at once.
                self.relay.hurry();
                if member.silent && matches!(news, PathNews::Failed) {
                    let _ = self.meeting.drop_peer(now, peer);
                }
            }
            PathNews::Route(route) => member.route = Some(self.reach.routes.shown(&route)),
            PathNews::Refused(why) => {
                member.refused = Some(words::route_refusal(why));
                if why.closes() && member.link == PeerLink::Live {
                    member.link = PeerLink::Reconnecting;
                }
            }
            PathNews::Ruled(why) => member.refused = Some(words::policy_error(why)),
            PathNews::Stats(stats) => member.update_stats(now, stats),
        }
        if let Some(measure) = &self.measure
            && let Some(member) = self.members.get(at)
        {
            measure.update_peer(peer, member.generation, member.route.as_ref());
        }
    }
}

impl Member {
    /// A path has been sought for so long that something must be in its way.
    pub(crate) fn finds_no_path(&self) -> bool {
        self.link == PeerLink::Connecting && self.since.elapsed() > PATH_PATIENCE
    }

    fn update_stats(&mut self, now: Instant, stats: PathStats) {
        use std::sync::atomic::Ordering::Relaxed;
        let counters = &self.inbound.counters;
        let decoded = counters.video_decoded.load(Relaxed);
        if let Some((then, before, decoded_before)) = &self.last {
            let seconds = (now - *then).max(Duration::from_millis(1)).as_secs_f32();
            let kbps = |now: u64, then: u64| now.saturating_sub(then) as f32 * 8.0 / 1000.0 / seconds;
            self.stats = PeerStats {
                rtt_ms: stats.rtt.map(|rtt| rtt.as_secs_f32() * 1e3),
                fps: (decoded - decoded_before) as f32 / seconds,
                width: counters.width.load(Relaxed),
                height: counters.height.load(Relaxed),
                receive_kbps: kbps(stats.bytes_in, before.bytes_in),
                send_kbps: kbps(stats.bytes_out, before.bytes_out),
                loss_percent: stats.loss_in * 100.0,
                unopened: counters.unopened.load(Relaxed),
            };
        }
        self.last = Some((now, stats, decoded));
    }
}

/// A message that could not be handed over: the peer has just gone, or what was to be said is too long.
fn tell(said: Result<(), MeetingError>) {
    if let Err(error) = said {
        tracing::warn!(%error, "not said to a peer");
    }
}

fn bitrate(format: VideoFormat) -> u32 {
    let pixels = (format.width * format.height) as u64 * u64::from(format.fps);
    (BITRATE_720P30 * pixels / (1280 * 720 * 30)).clamp(LEAST_BITRATE, 2 * BITRATE_720P30) as u32
}
