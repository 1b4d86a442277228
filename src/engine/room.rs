//! One meeting as this engine lives it: the protocol's state machine, the relay, and a path for each peer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::crypto::identity::IdentityKey;
use crate::crypto::safety;
use crate::engine::hosting::own_addresses;
use crate::engine::input::{Input, Inputs};
use crate::engine::invites::Invites;
use crate::engine::measure::Measurements;
use crate::engine::member::{Member, Shown};
use crate::engine::network::{NetworkChange, NetworkMonitor};
use crate::engine::outbox::Outbox;
use crate::engine::picture_in::DecoderTap;
use crate::engine::picture_out::{VideoPlan, VideoSender};
use crate::engine::playout::Playout;
use crate::engine::quality::Monitor;
use crate::engine::receiving::Inbound;
use crate::engine::routes::Routes;
use crate::engine::series::What;
use crate::engine::start::Wake;
use crate::engine::statistics::Statistics;
use crate::engine::view::{self, PeerId, PeerLink, PeerStats, Verification};
use crate::media::source::VideoFormat;
use crate::protocol::group_code::Code;
use crate::protocol::meeting::{Event as Told, Meeting, MeetingError, RosterState};
use crate::protocol::relay_address::RelayAddress;
use crate::protocol::roster::MemberRole;
use crate::rendezvous::client::{RelayClient, RelayEvent};
use crate::rendezvous::lan;

/// Bits a second for 720 lines at 30 pictures a second; other sizes in proportion.
const BITRATE_720P30: u64 = 2_000_000;
const LEAST_BITRATE: u64 = 250_000;
/// How long the local network may take to answer.
const LAN_SEARCH: Duration = Duration::from_secs(4);

/// Somebody waiting to be let in.
pub(crate) struct Visitor {
    pub(crate) id: PeerId,
    pub(crate) identity: IdentityKey,
    pub(crate) name: String,
    /// For whom the invite was made that they used; empty for the general one.
    pub(crate) invite: String,
    /// Somebody else who used that invite before, if it was for one person.
    pub(crate) shared_with: Option<String>,
}

/// What the session must act on; everything else a room settles by itself.
pub(crate) enum Happened {
    /// The host has proven itself: at the door.
    Reached(IdentityKey),
    /// Somebody knocks.
    Knock(PeerId),
    /// We are in; devices must be bound to the meeting.
    Entered,
    /// The roster names somebody else who is in.
    Joined(PeerId),
    /// Somebody in the meeting has proven to this device who they are.
    Proven(PeerId),
    /// Somebody is out.
    Left { name: String, why: crate::protocol::meeting::Departure },
    /// The roster in force, and what it was before.
    Roster { before: Option<RosterState> },
    /// The host signed two lists.
    Forked,
    /// Somebody with one of our invites speaks another suite, and was refused.
    SuiteRefused,
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
    /// The meeting's relays, best first: what a link offers.
    pub(crate) relays: Vec<RelayAddress>,
    pub(crate) invites: Invites,
    /// The roster in force, once in the meeting.
    pub(crate) roster: Option<RosterState>,
    /// The code for everyone who is here, if there is one.
    pub(crate) code: Option<Code>,
    /// What this person said of that code.
    pub(crate) code_verdict: Option<bool>,
    pub(crate) forked: bool,
    pub(crate) reach: Reach,
    pub(crate) since: Option<Instant>,
    pub(crate) members: Vec<Member>,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) refused: u64,
    /// Names of all who were here, and whether each was verified when last seen.
    pub(crate) met: Vec<(IdentityKey, String, bool)>,
    /// The relay's URLs, as the link has them.
    pub(crate) targets: Vec<String>,
    pub(crate) outbox: Option<Arc<Outbox>>,
    pub(crate) video: Option<VideoSender>,
    pub(super) sought_on_lan: bool,
    pub(super) _network: NetworkMonitor,
    pub(super) own_identity: IdentityKey,
    pub(super) own_index: u16,
    /// What sealed frames are bound to.
    pub(super) meeting_id: [u8; 32],
    pub(super) paths: u64,
    pub(super) epoch: Instant,
    pub(super) format: VideoFormat,
    pub(super) playout: Playout,
    pub(super) inputs: Inputs,
    pub(super) wake: Wake,
    pub(super) measure: Option<Arc<Measurements>>,
    /// What is counted for the window and the report.
    pub(crate) statistics: Statistics,
}

/// How a meeting was entered.
pub(crate) struct Entry {
    pub(crate) meeting: Meeting,
    pub(crate) relay: RelayClient,
    pub(crate) relay_events: mpsc::Receiver<RelayEvent>,
    pub(crate) relay_view: view::Relay,
    /// The relay's URLs, as the link has them.
    pub(crate) targets: Vec<String>,
    /// The same as a link has them.
    pub(crate) relays: Vec<RelayAddress>,
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
        let mut entry = entry;
        let sees = &mut entry.relay_view.sees;
        sees.room = entry.meeting.room_id()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        sees.own_address = !entry.relay_view.embedded;
        Self {
            meeting: entry.meeting,
            relay: entry.relay,
            relay_events: entry.relay_events,
            relay_view: entry.relay_view,
            relays: entry.relays,
            invites: Invites::default(),
            roster: None,
            code: None,
            code_verdict: None,
            forked: false,
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
            _network: NetworkMonitor::start(around.inputs.clone()),
            own_identity: around.own_identity,
            own_index: 0,
            meeting_id: [0; 32],
            paths: 0,
            epoch: now,
            format: around.format,
            playout: around.playout,
            inputs: around.inputs,
            wake: around.wake,
            measure: around.measure,
            statistics: Statistics::new(now),
        }
    }

    pub(crate) fn is_hosting(&self) -> bool {
        self.meeting.is_host()
    }

    /// What this person may do.
    pub(crate) fn own_role(&self) -> MemberRole {
        self.roster.as_ref().map_or(MemberRole::Member, |roster| roster.own_role)
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
            RelayEvent::Up { url, others, .. } => {
                self.relay_view.connected = true;
                self.sought_on_lan = false;
                self.relay_view.tls = url.starts_with("wss:");
                self.relay_view.sees.others = others.len();
                // Of several in a link, the one that is in use.
                if !self.relay_view.embedded {
                    self.relay_view.address = shown_address(&url);
                }
                self.meeting.handle_relay_up(now);
            }
            RelayEvent::From { from, payload } => {
                self.relay_view.sees.messages_in += 1;
                self.relay_view.sees.bytes_in += payload.len() as u64;
                self.meeting.handle_relay(now, from, &payload);
            }
            RelayEvent::Arrived(conn) => {
                self.relay_view.sees.others += 1;
                self.meeting.handle_relay_arrived(now, conn);
            }
            RelayEvent::Left(conn) => {
                let others = &mut self.relay_view.sees.others;
                *others = others.saturating_sub(1);
                self.meeting.handle_relay_left(now, conn);
            }
            RelayEvent::Down { .. } | RelayEvent::GaveUp { .. } => {
                self.relay_view.connected = false;
                self.relay_view.sees.others = 0;
            }
        }
    }

    /// The link's addresses do not answer: asks the local network, once, where the meeting's relay is. It is asked only
    /// then, because the question tells everyone on it that somebody looks for a meeting.
    pub(crate) fn seek_on_lan(&mut self) {
        // A relay that proves itself by TLS is not to be replaced by whoever answers on the local network.
        let elsewhere = self.targets.iter().any(|target| target.starts_with("wss:"));
        let allowed = self.reach.routes.may_seek_on_lan();
        if self.is_hosting() || elsewhere || !allowed || std::mem::replace(&mut self.sought_on_lan, true) {
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

    /// This machine's network is another than before: the relay and every path whose way is gone are sought at once. What is
    /// muted stays muted: nothing here touches a device.
    pub(crate) fn handle_network(&mut self, change: &NetworkChange) {
        tracing::info!(gone = change.gone.len(), came = change.came, slept = change.slept, "the network changed");
        self.reach.bind = own_addresses();
        // A machine that moved may be where the host is.
        self.sought_on_lan = false;
        self.relay.hurry();
        for path in self.members.iter().filter_map(|member| member.path.as_ref()) {
            path.handle_network(change.clone());
        }
    }

    /// Hands the relay what the protocol wants sent, and settles what it says. Call after every call into `meeting`.
    pub(crate) fn settle(&mut self, now: Instant) -> Vec<Happened> {
        let mut happened = Vec::new();
        loop {
            while let Some(transmit) = self.meeting.poll_transmit() {
                self.relay_view.sees.messages_out += 1;
                self.relay_view.sees.bytes_out += transmit.payload.len() as u64;
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
            Told::Knocked { peer, identity, name, invite, .. } => {
                if let Some(measure) = &self.measure {
                    measure.begin(now);
                }
                let used = invite.map(|invite| self.invites.used(&invite, &identity, &name));
                let (invite, shared_with) = used.map_or_else(Default::default, |used| (used.label, used.shared_with));
                self.visitors.push(Visitor { id: peer, identity, name, invite, shared_with });
                return Some(Happened::Knock(peer));
            }
            Told::KnockGone { peer } => self.visitors.retain(|visitor| visitor.id != peer),
            Told::RefusedAtDoor { total } => {
                self.refused = total;
                if let Some(measure) = &self.measure {
                    measure.set_refused(total);
                }
            }
            Told::SuiteRefused { .. } => return Some(Happened::SuiteRefused),
            Told::Entered { own_index, meeting } => {
                (self.own_index, self.meeting_id) = (own_index, meeting);
                if self.outbox.is_none() {
                    self.statistics = Statistics::new(now);
                }
                self.ensure_outbox(meeting);
                return Some(Happened::Entered);
            }
            Told::Joined { peer, identity, name, index } => {
                self.visitors.retain(|visitor| visitor.id != peer);
                self.invites.entered(&identity);
                match self.add_member(now, peer, identity, name, index) {
                    Ok(()) => return Some(Happened::Joined(peer)),
                    Err(error) => {
                        tracing::error!(%error, "no thread for a peer's pictures; the peer is let go");
                        let _ = self.meeting.drop_peer(now, peer);
                    }
                }
            }
            Told::Paired { peer, offers } => {
                self.open_path(now, peer, offers);
                return Some(Happened::Proven(peer));
            }
            Told::Unpaired { peer } => self.close_path(peer),
            Told::Roster(state) => {
                for (peer, role) in &state.roles {
                    if let Some(member) = self.member(*peer) {
                        member.role = *role;
                    }
                }
                if let Some(measure) = &self.measure {
                    measure.set_roster(&state);
                }
                return Some(Happened::Roster { before: self.roster.replace(state) });
            }
            Told::Code(code) => {
                if let Some(measure) = &self.measure {
                    measure.set_code(code.as_ref());
                }
                self.code = code;
                // That the codes differed is not mended by another code.
                self.code_verdict = self.code_verdict.filter(|same| !same);
            }
            Told::Forked { .. } => {
                self.forked = true;
                return Some(Happened::Forked);
            }
            Told::Offer { peer, sdp } => self.with_path(peer, |path| path.handle_offer(sdp)),
            Told::Answer { peer, sdp } => self.with_path(peer, |path| path.handle_answer(sdp)),
            Told::Candidate { peer, line } => self.with_path(peer, |path| path.handle_candidate(line)),
            Told::MediaState { peer, mic, camera } => {
                if let Some(member) = self.member(peer) {
                    (member.mic_on, member.camera_on) = (mic, camera);
                    member.expect_pictures();
                    if !camera {
                        member.inbound.clear_picture();
                    }
                }
            }
            Told::VideoWish { peer, height } => {
                if let Some(outbox) = self.outbox.as_ref().filter(|_| self.members.iter().any(|one| one.id == peer)) {
                    outbox.set_wish(peer, height.into());
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
            Told::Left { peer, why } => {
                self.statistics.note(now, peer, What::Left);
                return self.remove_member(peer).map(|name| Happened::Left { name, why });
            }
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
        let (fps, stamped) = (self.format.fps, self.measure.is_some());
        let plan = VideoPlan { fps, bitrate_bps: bitrate(self.format), stamped };
        match VideoSender::start(outbox.clone(), plan, recorder) {
            Ok(video) => self.video = Some(video),
            Err(error) => tracing::error!(%error, "no thread to encode pictures"),
        }
        self.outbox = Some(outbox);
    }

    pub(super) fn add_member(
        &mut self,
        now: Instant,
        id: PeerId,
        identity: IdentityKey,
        name: String,
        index: u16,
    ) -> std::io::Result<()> {
        let recorder = match &self.measure {
            Some(measure) => measure.picture_recorder(self.format)?,
            None => None,
        };
        let tap = DecoderTap { wake: self.wake.clone(), recorder, measure: self.measure.is_some() };
        let (inbound, decoder) = Inbound::start(self.meeting_id, index, tap)?;
        self.playout.add(id, inbound.clone());
        self.statistics.note(now, id, What::Joined);
        let safety_number = safety::pair_number(&self.own_identity, &identity);
        let safety_qr = Arc::new(safety::pair_qr(&safety_number).unwrap_or_default());
        if let Some(measure) = &self.measure {
            measure.add_peer(id, &name, &safety_number, &inbound, decoder);
        }
        self.members.push(Member {
            id,
            identity,
            name,
            index,
            role: MemberRole::Member,
            proven: false,
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
            monitor: Monitor::default(),
            last: None,
            shown: Shown::default(),
        });
        Ok(())
    }

    /// The host's name, if it is somebody else.
    pub(crate) fn host_name(&self) -> Option<String> {
        self.members.iter().find(|member| member.role == MemberRole::Host).map(|member| member.name.clone())
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
}

/// Host and port of a relay's URL, as a person reads them.
fn shown_address(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// A message that could not be handed over: the peer has just gone, or what was to be said is too long.
pub(super) fn tell(said: Result<(), MeetingError>) {
    if let Err(error) = said {
        tracing::warn!(%error, "not said to a peer");
    }
}

/// Bits a second where nothing limits them.
fn bitrate(format: VideoFormat) -> u32 {
    let pixels = (format.width * format.height) as u64 * u64::from(format.fps);
    (BITRATE_720P30 * pixels / (1280 * 720 * 30)).clamp(LEAST_BITRATE, 2 * BITRATE_720P30) as u32
}
