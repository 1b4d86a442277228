//! [`Path`]: offer, answer, candidates, frames.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::rtp;
use tokio::sync::{Notify, mpsc};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionEventHandler, RTCIceCandidateInit, RTCIceGatheringState, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, RTCSdpType, RTCSessionDescription, StatsSelector,
};
use webrtc::rtp_transceiver::RtpSender;

use super::bandwidth::{Limits, Target};
use super::fragment::{FragmentError, MAX_PAYLOAD};
use super::interceptors::Shared;
use super::policy::{PolicyError, RoutePolicy, RouteRefusal};
use super::rtc::{BindList, Ssrcs, Ways, build};
use super::sdp::{self, Candidate, CandidateError, CandidateKind, MAX_CANDIDATES, PT_AUDIO, PT_VIDEO, SdpError};
use super::stats::{PathStats, Route, add};
use super::watch::{Watch, check_rtt, route};

/// How long an offer or answer waits for this machine's own addresses, so that they travel inside it. Asking for them
/// takes a millisecond or two.
const GATHER_WAIT: Duration = Duration::from_millis(100);
/// A TURN server that has given no address by then is taken to be out of reach. It takes two round trips.
const TURN_WAIT: Duration = Duration::from_secs(8);
/// Least time between two key-frame requests of ours.
const KEY_FRAME_REQUEST_EVERY: Duration = Duration::from_millis(250);

/// What a path needs to know beforehand.
#[derive(Debug, Clone, Default)]
pub struct PathConfig {
    /// STUN servers, `host:port` each. Empty: only this machine's own addresses are offered.
    pub stun: Vec<String>,
    /// Addresses to gather on.
    pub bind: Vec<IpAddr>,
    /// Also gather on 127.0.0.1, and talk to a peer there: for a peer on this machine. Implied when `bind` holds
    /// nothing but loopback addresses.
    pub allow_loopback: bool,
    /// Which ways the path may take.
    pub policy: RoutePolicy,
    /// What the estimate of the path's capacity starts with and stays within.
    pub limits: Limits,
}

/// Which side speaks first, and gives way when both do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Makes the first offer. If both sides offer at once, its offer stands.
    Offerer,
    /// Answers the first offer, and takes back its own if both sides offer at once.
    Answerer,
}

/// What a path reports. Sound and pictures come in the queue's order of arrival; pictures never take more than half of
/// the queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PathEvent {
    /// A candidate to hand to the peer, found after the offer or answer was made.
    Candidate(String),
    /// Media can flow: ICE and DTLS are through.
    Connected,
    /// Media came steadily, and for a second none did, though ICE is content: a sign sooner than [`PathEvent::Disconnected`].
    /// If they come again by themselves, [`PathEvent::Connected`] follows.
    Quiet,
    /// Nothing came for a while, and nothing is sent. It may recover by itself or by [`Path::restart`].
    Disconnected,
    /// The path will not recover by itself.
    Failed,
    /// A sealed video frame, in order.
    Video {
        /// The sealed bytes.
        frame: Bytes,
        /// RTP timestamp, 90 kHz.
        rtp_ts: u32,
        /// When it was complete.
        arrived: Instant,
        /// Frames before it were lost: decode only from a key frame, and ask for one.
        gap_before: bool,
    },
    /// A sealed audio frame, as it arrived: order and losses are the jitter buffer's business.
    Audio {
        /// The sealed bytes.
        payload: Bytes,
        /// RTP timestamp, 48 kHz.
        rtp_ts: u32,
        /// RTP sequence number.
        seq: u16,
        /// When it arrived.
        arrived: Instant,
    },
    /// A key frame is needed: the peer asks for one, or frames were left out and there is room again.
    KeyFrameWanted,
    /// What the path may carry now: told when it changes, and every half second.
    Target(Target),
    /// Media takes another pair of addresses now.
    RouteChanged(Route),
    /// The policy forbids the way. If [`RouteRefusal::closes`], the path is closed, and no event follows.
    RouteRefused(RouteRefusal),
}

/// Why a path cannot do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No address to gather on.
    #[error("there is no network address to use")]
    NoAddress,
    /// None of the addresses could be bound.
    #[error("no network address could be bound")]
    Bind,
    /// A part of the machinery could not be set up.
    #[error("the {0} could not be set up")]
    Setup(&'static str),
    /// The peer's session description is refused.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// The peer's candidate is refused.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// The WebRTC stack refused at this step. (Its own text may quote addresses and passwords: it stays inside.)
    #[error("the WebRTC stack refused the {0}")]
    Refused(&'static str),
    /// Both sides offered at once, and ours stands: drop the peer's offer.
    #[error("both sides made an offer at once")]
    Glare,
    /// Media cannot be sent yet.
    #[error("the path is not connected yet")]
    NotConnected,
    /// Too much video waits to be sent; the frame was dropped. [`PathEvent::KeyFrameWanted`] follows when there is room
    /// for a key frame, and no other frame is taken before one.
    #[error("too much video waits to be sent")]
    Congested,
    /// The frame cannot be cut into packets.
    #[error(transparent)]
    Frame(#[from] FragmentError),
    /// The path is closed.
    #[error("the path is closed")]
    Closed,
    /// The policy leaves no way that the path could take.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The path is closed, because its route was outside the policy.
    #[error(transparent)]
    RouteRefused(#[from] RouteRefusal),
}

/// Candidates found, until the description that carries them is out.
#[derive(Default)]
pub(super) struct Gathering {
    since: Option<Instant>,
    found: Vec<String>,
    /// How many there were, told to the peer or about to be.
    count: usize,
    complete: bool,
    trickle: bool,
    told: bool,
}

impl Gathering {
    /// True once if there is nothing to tell the peer, and will not be. A TURN server that keeps silent never completes
    /// the gathering, so time decides too.
    pub(super) fn found_nothing(&mut self, now: Instant) -> bool {
        let over = self.complete || self.since.is_some_and(|since| now.saturating_duration_since(since) > TURN_WAIT);
        over && self.count == 0 && !std::mem::replace(&mut self.told, true)
    }
}

struct Callbacks {
    gathering: Arc<Mutex<Gathering>>,
    gathered: Arc<Notify>,
    policy: RoutePolicy,
    shared: Arc<Shared>,
    lifecycle: mpsc::UnboundedSender<PathEvent>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Callbacks {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let Ok(candidate) = event.candidate.to_json() else { return };
        if candidate.candidate.is_empty() || sdp::check_candidate(&candidate.candidate, true).is_err() {
            return;
        }
        let Some(line) = self.policy.leaving(&candidate.candidate) else {
            add(&self.shared.counters.candidates_refused, 1);
            return;
        };
        let mut gathering = lock(&self.gathering);
        gathering.count += 1;
        if gathering.trickle {
            let _ = self.lifecycle.send(PathEvent::Candidate(line));
        } else {
            gathering.found.push(line);
            self.gathered.notify_one();
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        let mut gathering = lock(&self.gathering);
        gathering.complete = state == RTCIceGatheringState::Complete;
        if gathering.complete && self.policy.restricts() && gathering.found_nothing(Instant::now()) {
            let _ = self.lifecycle.send(PathEvent::RouteRefused(RouteRefusal::NoRelay));
        }
        self.gathered.notify_one();
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let event = match state {
            RTCPeerConnectionState::Connected => PathEvent::Connected,
            RTCPeerConnectionState::Disconnected => PathEvent::Disconnected,
            RTCPeerConnectionState::Failed => PathEvent::Failed,
            _ => return,
        };
        let _ = self.lifecycle.send(event);
    }
}

#[derive(Default)]
struct Peer {
    fingerprint: Option<[u8; 32]>,
    /// Candidates taken and refused since its last description.
    candidates: usize,
    refused: usize,
}

/// The addresses that the peer has named, and what it says they are. The newest stay.
#[derive(Default)]
pub(super) struct Named(VecDeque<(SocketAddr, CandidateKind)>);

impl Named {
    fn add(&mut self, candidate: &Candidate) {
        self.0.retain(|(address, _)| *address != candidate.address);
        // A restart names others while media still take the old ones.
        if self.0.len() >= 2 * MAX_CANDIDATES {
            self.0.pop_front();
        }
        self.0.push_back((candidate.address, candidate.kind));
    }

    pub(super) fn kind(&self, address: SocketAddr) -> Option<CandidateKind> {
        self.0.iter().find(|(known, _)| *known == address).map(|(_, kind)| *kind)
    }
}

/// A path of media to one other member.
///
/// Dropping it closes it in the background; [`Path::close`] waits until its sockets are released.
pub struct Path {
    connection: Arc<dyn PeerConnection>,
    audio: Arc<TrackLocalStaticRTP>,
    video: Arc<TrackLocalStaticRTP>,
    /// Leads to the transports below.
    sender: Arc<dyn RtpSender>,
    ssrcs: Ssrcs,
    role: Role,
    loopback: bool,
    bind: BindList,
    policy: RoutePolicy,
    refusal: Arc<OnceLock<RouteRefusal>>,
    shared: Arc<Shared>,
    gathering: Arc<Mutex<Gathering>>,
    gathered: Arc<Notify>,
    connected: Arc<AtomicBool>,
    closed: AtomicBool,
    audio_seq: AtomicU16,
    peer: Mutex<Peer>,
    named: Arc<Mutex<Named>>,
    key_asked: Mutex<Option<Instant>>,
    /// One negotiation at a time; true while an offer of ours waits for its answer.
    negotiation: tokio::sync::Mutex<bool>,
    lifecycle: mpsc::UnboundedSender<PathEvent>,
    supervisor: tokio::task::JoinHandle<()>,
    runtime: tokio::runtime::Handle,
}

impl Path {
    /// Binds sockets and makes a certificate for one path. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// [`PathError::NoAddress`], [`PathError::Policy`], [`PathError::Bind`] or [`PathError::Setup`].
    pub async fn new(config: PathConfig, role: Role, events: mpsc::Sender<PathEvent>) -> Result<Self, PathError> {
        let loopback = config.allow_loopback || config.bind.iter().all(IpAddr::is_loopback) && !config.bind.is_empty();
        let addresses = bind_addresses(config.bind, loopback);
        if addresses.is_empty() {
            return Err(PathError::NoAddress);
        }
        let policy = config.policy;
        policy.check_start(&addresses)?;
        let bind = BindList::new(addresses);
        let ssrcs = Ssrcs::random()?;
        let shared = Arc::new(Shared::new(events.clone(), ssrcs, Instant::now(), config.limits));
        shared.held.store(policy.restricts(), Ordering::Release);
        let (lifecycle, lifecycle_rx) = mpsc::unbounded_channel();
        let (gathering, gathered) = (Arc::new(Mutex::new(Gathering::default())), Arc::new(Notify::new()));
        let connected = Arc::new(AtomicBool::new(false));
        let callbacks = Callbacks {
            gathering: Arc::clone(&gathering),
            gathered: Arc::clone(&gathered),
            policy: policy.clone(),
            shared: Arc::clone(&shared),
            lifecycle: lifecycle.clone(),
        };
        let ways = Ways { stun: &config.stun, bind: bind.clone(), loopback, policy: &policy };
        let parts = build(ways, ssrcs, &shared, Arc::new(callbacks)).await?;
        let (named, refusal) = (Arc::<Mutex<Named>>::default(), Arc::<OnceLock<RouteRefusal>>::default());
        let watch = Watch {
            connection: Arc::clone(&parts.connection),
            sender: Arc::clone(&parts.sender),
            video: Arc::clone(&parts.video),
            video_ssrc: ssrcs.video,
            policy: policy.clone(),
            shared: Arc::clone(&shared),
            named: Arc::clone(&named),
            gathering: Arc::clone(&gathering),
            connected: Arc::clone(&connected),
            refusal: Arc::clone(&refusal),
            events,
        };
        let supervisor = tokio::spawn(watch.run(lifecycle_rx));
        Ok(Self {
            connection: parts.connection,
            audio: parts.audio,
            video: parts.video,
            sender: parts.sender,
            ssrcs,
            role,
            loopback,
            bind,
            policy,
            refusal,
            shared,
            gathering,
            gathered,
            connected,
            closed: AtomicBool::new(false),
            audio_seq: AtomicU16::new(0),
            peer: Mutex::default(),
            named,
            key_asked: Mutex::new(None),
            negotiation: tokio::sync::Mutex::new(false),
            lifecycle,
            supervisor,
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// Makes an offer with this machine's addresses in it, for the peer's [`Path::accept_offer`].
    ///
    /// # Errors
    /// [`PathError::Closed`] or [`PathError::Refused`].
    pub async fn offer(&self) -> Result<String, PathError> {
        let mut offered = self.negotiation.lock().await;
        self.make_offer(&mut offered).await
    }

    /// Makes an offer that restarts ICE (RFC 8445 section 2.4): new sockets on the addresses as they are now, new
    /// checks, same certificate and keys. For when the network changed or the path is [`PathEvent::Disconnected`].
    ///
    /// # Errors
    /// As for [`Path::offer`].
    pub async fn restart(&self) -> Result<String, PathError> {
        let mut offered = self.negotiation.lock().await;
        self.check_open()?;
        *lock(&self.gathering) = Gathering::default();
        {
            let mut peer = lock(&self.peer);
            (peer.candidates, peer.refused) = (0, 0);
        }
        self.connection.restart_ice().await.map_err(|_| PathError::Refused("ICE restart"))?;
        self.make_offer(&mut offered).await
    }

    /// The addresses to gather on at the next [`Path::restart`] (ours or the peer's).
    pub fn set_bind(&self, addresses: Vec<IpAddr>) {
        self.bind.set(bind_addresses(addresses, self.loopback));
    }

    /// Takes the peer's offer, the first or a later one, and makes the answer to it.
    ///
    /// # Errors
    /// [`PathError::Sdp`] if it is not what a Conclave peer offers, [`PathError::Glare`] if our own offer stands,
    /// [`PathError::Refused`] or [`PathError::Closed`].
    pub async fn accept_offer(&self, sdp: &str) -> Result<String, PathError> {
        let mut offered = self.negotiation.lock().await;
        let checked = self.check_description(sdp)?;
        if *offered {
            if self.role == Role::Offerer {
                return Err(PathError::Glare);
            }
            let mut back = RTCSessionDescription::default();
            back.sdp_type = RTCSdpType::Rollback;
            self.connection.set_local_description(back).await.map_err(|_| PathError::Refused("rollback"))?;
            *offered = false;
        }
        *lock(&self.gathering) = Gathering::default();
        let offer = RTCSessionDescription::offer(checked.sdp.clone()).map_err(|_| PathError::Refused("offer"))?;
        self.connection.set_remote_description(offer).await.map_err(|_| PathError::Refused("offer"))?;
        self.remember(&checked);
        self.tell_if_none_is_left();
        let answer = self.connection.create_answer(None).await.map_err(|_| PathError::Refused("answer"))?;
        self.connection.set_local_description(answer).await.map_err(|_| PathError::Refused("answer"))?;
        self.gathered_description().await
    }

    /// Takes the peer's answer to our offer.
    ///
    /// # Errors
    /// [`PathError::Sdp`], [`PathError::Refused`] (also when no offer is open) or [`PathError::Closed`].
    pub async fn accept_answer(&self, sdp: &str) -> Result<(), PathError> {
        let mut offered = self.negotiation.lock().await;
        let checked = self.check_description(sdp)?;
        if !*offered {
            return Err(PathError::Refused("answer without an offer"));
        }
        let answer = RTCSessionDescription::answer(checked.sdp.clone()).map_err(|_| PathError::Refused("answer"))?;
        self.connection.set_remote_description(answer).await.map_err(|_| PathError::Refused("answer"))?;
        self.remember(&checked);
        self.tell_if_none_is_left();
        *offered = false;
        Ok(())
    }

    /// Takes a candidate of the peer's, as its [`PathEvent::Candidate`] gave it. One that the policy refuses is counted
    /// and left out.
    ///
    /// # Errors
    /// [`PathError::Candidate`], or [`PathError::Refused`] before any description of the peer's.
    pub async fn add_candidate(&self, line: &str) -> Result<(), PathError> {
        self.check_open()?;
        let candidate = sdp::check_candidate(line, self.loopback)?;
        {
            let mut peer = lock(&self.peer);
            if peer.candidates >= MAX_CANDIDATES {
                return Err(CandidateError::TooMany.into());
            }
            peer.candidates += 1;
        }
        if !self.admit(&candidate) {
            self.tell_if_none_is_left();
            return Ok(());
        }
        let init = RTCIceCandidateInit {
            candidate: candidate.line,
            sdp_mid: Some("0".into()),
            sdp_mline_index: Some(0),
            ..Default::default()
        };
        self.connection.add_ice_candidate(init).await.map_err(|_| PathError::Refused("candidate"))?;
        // The driver sleeps until its next timer; a new candidate deserves a check at once.
        self.kick().await
    }

    /// Sends a sealed video frame. `key` says that it is a key frame, `rtp_ts` is its time at 90 kHz.
    ///
    /// The frame is queued, and cut and sent at the rate the path carries.
    ///
    /// # Errors
    /// [`PathError::NotConnected`], [`PathError::Congested`], [`PathError::Frame`] or [`PathError::Closed`].
    pub async fn send_video(&self, sealed: &[u8], key: bool, rtp_ts: u32) -> Result<(), PathError> {
        self.check_connected()?;
        let frame = Bytes::copy_from_slice(sealed);
        if !lock(&self.shared.sender).push_video(Instant::now(), frame, key, rtp_ts)? {
            add(&self.shared.counters.frames_refused_out, 1);
            return Err(PathError::Congested);
        }
        add(&self.shared.counters.frames_out, 1);
        self.kick().await
    }

    /// Sends a sealed audio frame; `rtp_ts` is its time at 48 kHz. It never waits behind video.
    ///
    /// # Errors
    /// [`PathError::NotConnected`], [`PathError::Frame`] if it does not fit one packet, or [`PathError::Closed`].
    pub async fn send_audio(&self, sealed: &[u8], rtp_ts: u32) -> Result<(), PathError> {
        self.check_connected()?;
        match sealed.len() {
            0 => return Err(FragmentError::Empty.into()),
            n if n > MAX_PAYLOAD => return Err(FragmentError::TooLarge(n).into()),
            _ => {}
        }
        let seq = self.audio_seq.fetch_add(1, Ordering::Relaxed);
        let header = header(self.ssrcs.audio, PT_AUDIO, seq, rtp_ts);
        let packet = rtp::Packet { header, payload: Bytes::copy_from_slice(sealed) };
        self.audio.write_rtp(packet).await.map_err(|_| PathError::Closed)
    }

    /// Asks the peer for a key frame (PLI, RFC 4585 section 6.3.1). The request is repeated until a key frame comes;
    /// asking again within 250 ms does nothing.
    ///
    /// # Errors
    /// [`PathError::NotConnected`] or [`PathError::Closed`].
    pub async fn request_key_frame(&self) -> Result<(), PathError> {
        self.check_connected()?;
        let now = Instant::now();
        {
            let mut asked = lock(&self.key_asked);
            if asked.is_some_and(|at| now.saturating_duration_since(at) < KEY_FRAME_REQUEST_EVERY) {
                return Ok(());
            }
            *asked = Some(now);
        }
        self.shared.ask_key.store(true, Ordering::Release);
        self.kick().await
    }

    /// The figures so far.
    pub async fn stats(&self) -> PathStats {
        let mut stats = self.shared.counters.snapshot();
        let figures = lock(&self.shared.sender).figures();
        (stats.target_bps, stats.estimate_bps) = (figures.target_bps, figures.estimate_bps);
        (stats.acked_bps, stats.limited_by) = (figures.acked_bps, figures.limited_by);
        stats.queue_delay_ms = figures.queue_delay.as_millis() as u32;
        stats.frames_dropped_out = figures.frames_dropped;
        let report = self.connection.get_stats(Instant::now(), StatsSelector::None).await;
        stats.pair = route(&self.sender, &self.named).await;
        stats.rtt = stats.rtt.or_else(|| check_rtt(&report));
        stats.srtp_cipher = report.transport().map(|t| t.srtp_cipher.clone()).filter(|name| !name.is_empty());
        stats
    }

    /// Closes the path and releases its sockets. Closing twice does nothing.
    pub async fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.supervisor.abort();
        // Closing tears everything down whatever it reports.
        let _ = self.connection.close().await;
    }

    fn check_open(&self) -> Result<(), PathError> {
        match self.refusal.get() {
            Some(refusal) => Err((*refusal).into()),
            None if self.closed.load(Ordering::Acquire) => Err(PathError::Closed),
            None => Ok(()),
        }
    }

    fn check_connected(&self) -> Result<(), PathError> {
        self.check_open()?;
        if self.connected.load(Ordering::Acquire) { Ok(()) } else { Err(PathError::NotConnected) }
    }

    fn check_description(&self, sdp: &str) -> Result<sdp::Checked, PathError> {
        self.check_open()?;
        let pinned = lock(&self.peer).fingerprint;
        let mut checked = sdp::check(sdp, pinned.as_ref(), self.loopback)?;
        lock(&self.peer).refused = 0;
        checked.retain_candidates(self.loopback, |candidate| self.admit(candidate));
        Ok(checked)
    }

    /// Whether a candidate of the peer's may be tried. If so its kind is remembered, otherwise it is counted.
    fn admit(&self, candidate: &Candidate) -> bool {
        let admitted = self.policy.admits(candidate.address.ip());
        if admitted {
            lock(&self.named).add(candidate);
        } else {
            lock(&self.peer).refused += 1;
            add(&self.shared.counters.candidates_refused, 1);
        }
        admitted
    }

    /// Says so if the peer has named addresses, and none of them may be used.
    fn tell_if_none_is_left(&self) {
        let peer = lock(&self.peer);
        if peer.refused > 0 && peer.refused >= peer.candidates {
            let _ = self.lifecycle.send(PathEvent::RouteRefused(RouteRefusal::NoPeerAddress));
        }
    }

    fn remember(&self, checked: &sdp::Checked) {
        let mut peer = lock(&self.peer);
        peer.fingerprint = Some(checked.fingerprint);
        peer.candidates = checked.candidates;
    }

    async fn make_offer(&self, offered: &mut bool) -> Result<String, PathError> {
        self.check_open()?;
        let offer = self.connection.create_offer(None).await.map_err(|_| PathError::Refused("offer"))?;
        self.connection.set_local_description(offer).await.map_err(|_| PathError::Refused("offer"))?;
        *offered = true;
        self.gathered_description().await
    }

    /// Waits a moment for this machine's own addresses, and returns the description with them. Those that come later
    /// are reported as events.
    async fn gathered_description(&self) -> Result<String, PathError> {
        let wanted = self.bind.len();
        lock(&self.gathering).since.get_or_insert_with(Instant::now);
        let enough = async {
            loop {
                {
                    let gathering = lock(&self.gathering);
                    if gathering.complete || gathering.found.len() >= wanted {
                        break;
                    }
                }
                self.gathered.notified().await;
            }
        };
        // Late addresses are no failure: they trickle.
        let _ = tokio::time::timeout(GATHER_WAIT, enough).await;
        let description = self.connection.local_description().await.ok_or(PathError::Refused("description"))?;
        let found = {
            let mut gathering = lock(&self.gathering);
            gathering.trickle = true;
            std::mem::take(&mut gathering.found)
        };
        // What we say is held to what we accept: the stack writes more than a peer needs.
        let leaving = self.policy.leaving_description(&description.sdp);
        let ours = sdp::check(&leaving, None, self.loopback).map_err(|_| PathError::Refused("description"))?;
        for line in found {
            let text = line.strip_prefix("candidate:").unwrap_or(&line);
            if !ours.sdp.contains(text) && sdp::check_candidate(&line, self.loopback).is_ok() {
                // Not into the queue itself: whoever empties it may be waiting for this description.
                let _ = self.lifecycle.send(PathEvent::Candidate(line));
            }
        }
        Ok(ours.sdp)
    }

    /// Wakes the driver with a packet that [`MediaTap`](super::interceptors::MediaTap) swallows.
    async fn kick(&self) -> Result<(), PathError> {
        let header = header(self.ssrcs.video, PT_VIDEO, 0, 0);
        self.video.write_rtp(rtp::Packet { header, payload: Bytes::new() }).await.map_err(|_| PathError::Closed)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.supervisor.abort();
        if !*self.closed.get_mut() {
            let connection = Arc::clone(&self.connection);
            self.runtime.spawn(async move {
                let _ = connection.close().await;
            });
        }
    }
}

pub(super) fn header(ssrc: u32, payload_type: u8, sequence_number: u16, timestamp: u32) -> rtp::header::Header {
    rtp::header::Header { version: 2, ssrc, payload_type, sequence_number, timestamp, ..Default::default() }
}

/// The addresses to bind: none twice, none that candidates cannot name, loopback only where allowed.
fn bind_addresses(addresses: Vec<IpAddr>, loopback: bool) -> Vec<IpAddr> {
    let mut out: Vec<IpAddr> = Vec::new();
    let wanted = loopback.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    for ip in addresses.into_iter().chain(wanted) {
        if (ip.is_loopback() && !loopback) || ip.is_unspecified() || ip.is_multicast() || out.contains(&ip) {
            continue;
        }
        out.push(ip);
    }
    out
}
