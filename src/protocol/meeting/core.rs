//! What everyone in a meeting does alike: the sessions, what members may say in them, and the keys that they hand each other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::Moment;
use super::agreement::Agreement;
use super::answers::Answers;
use super::event::{ConnId, Counters, Departure, End, Event, MeetingError, PeerNo, Transmit, Violation};
use super::keys::{Change, OwnKeys, earliest};
use super::pairs::Pairs;
use super::peer::{Peer, PeerTimer, Phase, SendError};
use super::seat::Seat;
use crate::crypto::entropy::{Entropy, secret};
use crate::crypto::handshake::StaticKey;
use crate::crypto::identity::Identity;
use crate::crypto::secret::Secret;
use crate::crypto::sender_keys::SenderKey;
use crate::protocol::envelope::Attempt;
use crate::protocol::invite::room_id;
use crate::protocol::link::LinkError;
use crate::protocol::log::{Log, Record, key_id};
use crate::protocol::roster::EntryHash;
use crate::protocol::timers::PING;
use crate::protocol::wire::{DeclineReason, LeaveReason, Message, Request, Waiting};

/// Sessions at a time, in whatever phase: everyone who can wait at the door and come through it, several times over.
const MAX_SESSIONS: usize = 64;

/// A message and whether it came in the ordered stream.
pub(super) struct Incoming {
    pub(super) ordered: bool,
    pub(super) message: Message,
}

pub(super) struct Core {
    pub(super) identity: Arc<Identity>,
    pub(super) name: String,
    pub(super) entropy: Box<dyn Entropy>,
    opened: Moment,
    pub(super) static_key: StaticKey,
    pub(super) room_secret: Secret<16>,
    pub(super) room_id: [u8; 32],
    pub(super) answers: Answers,
    pub(super) pairs: Pairs,
    pub(super) agreement: Agreement,
    /// Our place in the meeting; `None` before we are in it.
    pub(super) seat: Option<Seat>,
    pub(super) peers: BTreeMap<PeerNo, Peer>,
    next_peer: PeerNo,
    keys: OwnKeys,
    mic: bool,
    camera: bool,
    pub(super) events: VecDeque<Event>,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) counters: Counters,
    pub(super) log: Log,
    pub(super) over: bool,
    /// An entry has made us the host, perhaps again.
    pub(super) enthroned: bool,
    /// When it was last looked at whether there is a host.
    watched: Instant,
    /// A session that turned out to be that with a member: from now on under the member's number.
    pub(super) moved: Option<(PeerNo, PeerNo)>,
    /// What co-hosts ask for, for the door to act on.
    pub(super) requests: Vec<(PeerNo, Request)>,
    /// Who waits at the host's door, as the host told us as a co-host.
    pub(super) told_waiting: Option<Vec<Waiting>>,
    /// To be expelled at the next flush: found while something else was being done with them.
    broken: Vec<(PeerNo, Violation)>,
}

impl Core {
    pub(super) fn new(
        identity: Arc<Identity>,
        name: String,
        mut entropy: Box<dyn Entropy>,
        room_secret: Secret<16>,
        opened: Moment,
    ) -> Self {
        Self {
            identity,
            name,
            opened,
            static_key: StaticKey::from_entropy(entropy.as_mut()),
            room_id: room_id(&room_secret),
            room_secret,
            entropy,
            answers: Answers::default(),
            pairs: Pairs::default(),
            agreement: Agreement::default(),
            seat: None,
            peers: BTreeMap::new(),
            next_peer: 1,
            keys: OwnKeys::new(),
            mic: false,
            camera: false,
            events: VecDeque::new(),
            transmits: VecDeque::new(),
            counters: Counters::default(),
            log: Log::default(),
            over: false,
            enthroned: false,
            watched: opened.at,
            moved: None,
            requests: Vec::new(),
            told_waiting: None,
            broken: Vec::new(),
        }
    }

    /// The wall clock, in seconds since 1970.
    pub(super) fn unix(&self, now: Instant) -> u64 {
        self.opened.unix + now.saturating_duration_since(self.opened.at).as_secs()
    }

    pub(super) fn note(&mut self, now: Instant, record: &Record<'_>) {
        let time = self.unix(now);
        self.log.note(time, record);
    }

    /// Takes a finished session in and numbers it.
    pub(super) fn add(&mut self, peer: Peer) -> PeerNo {
        if self.peers.len() >= MAX_SESSIONS {
            let spare = |phase| self.peers.iter().find(|(_, peer)| peer.phase == phase).map(|(no, _)| *no);
            let oldest = spare(Phase::Closing).or_else(|| spare(Phase::Proving)).or_else(|| spare(Phase::Proven));
            if let Some(no) = oldest {
                self.peers.remove(&no);
            }
        }
        let no = self.number();
        self.peers.insert(no, peer);
        no
    }

    /// A number for somebody new.
    pub(super) fn number(&mut self) -> PeerNo {
        let no = self.next_peer;
        self.next_peer += 1;
        no
    }

    pub(super) fn has_session(&self, attempt: &Attempt) -> bool {
        self.peers.values().any(|peer| peer.wire.as_ref().is_some_and(|wire| wire.attempt == *attempt))
    }

    pub(super) fn conn_of(&self, no: PeerNo) -> Option<ConnId> {
        self.peers.get(&no)?.wire.as_ref()?.conn
    }

    /// Members to whom something can be said.
    pub(super) fn paired(&self) -> Vec<PeerNo> {
        self.peers.iter().filter(|(_, peer)| peer.is_paired()).map(|(no, _)| *no).collect()
    }

    /// Whether our part in the meeting stands and falls with this peer: the host before we are admitted, and after.
    fn depends_on(&self, no: PeerNo) -> bool {
        match &self.seat {
            None => true,
            Some(_) => self.host_peer() == Some(no),
        }
    }

    /// Opens a session message: who said it, and what. Whoever breaks a rule here is expelled.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: ConnId,
        attempt: &Attempt,
        sealed: &[u8],
    ) -> Option<(PeerNo, Vec<Incoming>)> {
        let found = self.peers.iter_mut().find_map(|(no, peer)| {
            let wire = peer.wire.as_mut().filter(|wire| wire.attempt == *attempt)?;
            Some((*no, wire.link.handle(now, sealed)))
        });
        let Some((no, received)) = found else {
            self.counters.unknown_session += 1;
            return None;
        };
        let received = match received {
            Ok(received) => received,
            Err(LinkError::Violation(rule)) => {
                self.expel(now, no, Violation::Delivery(rule));
                return None;
            }
            Err(_) => {
                self.counters.not_authentic += 1;
                return None;
            }
        };
        let peer = self.peers.get_mut(&no)?;
        let wire = peer.wire.as_mut()?;
        // An older message that was held up says where the peer used to be, not where it is.
        if received.newest && wire.conn != Some(from) {
            wire.conn = Some(from);
            wire.link.resend();
        }
        if !peer.is_live() {
            return None;
        }
        peer.heard(now);
        if std::mem::take(&mut peer.silent) {
            peer.timers.stop(PeerTimer::Pair);
            self.pairs.forget(no);
            self.events.push_back(Event::HeardAgain { peer: no });
        }
        let ordered = received.ordered.into_iter().map(|bytes| (true, bytes));
        let unordered = received.unordered.into_iter().map(|bytes| (false, bytes));
        let mut incoming = Vec::new();
        for (ordered, bytes) in ordered.chain(unordered) {
            let decoded = if peer.allows(now) {
                Message::decode(&bytes).map_err(Violation::Malformed)
            } else {
                Err(Violation::TooFast)
            };
            match decoded {
                Ok(message) => incoming.push(Incoming { ordered, message }),
                Err(violation) => {
                    // What came before it in order still counts; the expulsion follows at the flush.
                    self.broken.push((no, violation));
                    break;
                }
            }
        }
        Some((no, incoming))
    }

    /// What everyone may say at any time, and what members may. Gives back what is for the door to judge.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        no: PeerNo,
        incoming: Incoming,
    ) -> Result<Option<Message>, Violation> {
        let Incoming { ordered, message } = incoming;
        if ordered == message.is_unordered() {
            return Err(Violation::OutOfPlace(message.kind()));
        }
        let Some(peer) = self.peers.get_mut(&no).filter(|peer| peer.is_live()) else { return Ok(None) };
        match message {
            Message::Ping { token } => {
                let _ = peer.send(&Message::Pong { token });
            }
            Message::Pong { token } => {
                if let Some(rtt) = peer.pong(now, token) {
                    self.events.push_back(Event::Rtt { peer: no, rtt });
                }
            }
            Message::Leave { reason } => self.handle_leave(now, no, LeaveReason::from_code(reason)),
            message if peer.is_member() => self.handle_member(now, no, message)?,
            // It travels outside the order, and so may overtake the admission or the proof before it. Another follows.
            Message::Head(_) if peer.claims.is_some() || self.seat.is_none() => {}
            message if peer.claims.is_some() => self.handle_pair_proof(now, no, message)?,
            message => return Ok(Some(message)),
        }
        Ok(None)
    }

    fn handle_leave(&mut self, now: Instant, no: PeerNo, reason: LeaveReason) {
        let Some(peer) = self.peers.get(&no) else { return };
        let host = self.depends_on(no);
        match (peer.phase, reason) {
            _ if peer.claims.is_some() => drop(self.peers.remove(&no)),
            // A host that leaves a meeting to its heir says goodbye like anyone.
            (Phase::Member, LeaveReason::Left) if host => self.lose_host(now, no),
            _ if host => self.end(now, End::HostLeft(reason), None),
            (Phase::Member, LeaveReason::Left) => self.part(now, no, Departure::Said(reason), None),
            // Between two who are no hosts this ends their session and nobody's part in the meeting.
            (Phase::Member, _) if !self.is_host() => self.unpair(now, no, None),
            _ => self.part(now, no, Departure::Said(reason), None),
        }
    }

    fn handle_member(&mut self, now: Instant, no: PeerNo, message: Message) -> Result<(), Violation> {
        let Some(peer) = self.peers.get_mut(&no) else { return Ok(()) };
        let stopped = peer.stopped;
        let event = match message {
            Message::SenderKey { generation, roster, base } => {
                return self.handle_sender_key(now, no, generation, roster, base);
            }
            Message::KeyAck { generation } => {
                let change = self.keys.acknowledge(no, generation)?;
                self.apply(now, change);
                return Ok(());
            }
            Message::Roster(signed) => return self.handle_entry(now, *signed),
            Message::Head(head) => {
                self.handle_head(now, no, &head);
                return Ok(());
            }
            Message::MembersSecret { secret } => {
                if self.host_peer() == Some(no) {
                    self.take_members_secret(now, secret);
                } else {
                    // Perhaps they host as of an entry that is still on its way here.
                    self.counters.out_of_turn += 1;
                    if let Some(peer) = self.peers.get_mut(&no) {
                        peer.offered = Some(secret);
                    }
                }
                return Ok(());
            }
            Message::Waiting(list) => {
                self.handle_waiting(no, list);
                return Ok(());
            }
            Message::Request(request) => {
                self.requests.push((no, request));
                return Ok(());
            }
            Message::Offer { sdp } => Event::Offer { peer: no, sdp },
            Message::Answer { sdp } => Event::Answer { peer: no, sdp },
            Message::Candidate { line } => Event::Candidate { peer: no, line },
            Message::MediaState { mic, camera } => Event::MediaState { peer: no, mic, camera },
            Message::VideoWish { height } => Event::VideoWish { peer: no, height },
            message => return self.handle_code(now, no, message),
        };
        if !stopped {
            self.events.push_back(event);
        }
        Ok(())
    }

    fn handle_sender_key(
        &mut self,
        now: Instant,
        no: PeerNo,
        generation: u32,
        roster: EntryHash,
        base: Secret<32>,
    ) -> Result<(), Violation> {
        let (Some(peer), Some(seat)) = (self.peers.get_mut(&no), &self.seat) else { return Ok(()) };
        let Some(entry) = seat.roster.find(&roster) else {
            // Bound to an entry that has yet to arrive: it waits, unacknowledged, and an older one that waited is forgotten.
            peer.keys.hold(generation, roster, base).inspect_err(|_| self.counters.stale_keys += 1)?;
            return Ok(());
        };
        if entry.entry.member(peer.index).map(|member| member.identity) != peer.identity {
            return Err(Violation::OutOfPlace("sender key"));
        }
        let key = SenderKey::bound(generation, &base, &roster);
        let id = key_id(&key.base);
        let retired = peer.keys.receive(now, key).inspect_err(|_| self.counters.stale_keys += 1)?;
        let (sender, stopped) = (peer.index, peer.stopped);
        if !stopped {
            self.events.extend(peer.keys.newest().map(|key| Event::OpenKey { peer: no, sender, key }));
            self.events.extend(retired.into_iter().map(|generation| Event::RetireKey { peer: no, generation }));
        }
        self.send(no, &Message::KeyAck { generation });
        self.note(now, &Record::Got { from: sender, generation, roster: &roster, key: id });
        Ok(())
    }

    /// Keys that waited for the entry that is in force now.
    pub(super) fn take_held_keys(&mut self, now: Instant) {
        let held: Vec<_> = self.peers.iter_mut().filter_map(|(no, peer)| Some((*no, peer.keys.take_held()?))).collect();
        for (no, (generation, roster, base)) in held {
            if let Err(violation) = self.handle_sender_key(now, no, generation, roster, base) {
                self.broken.push((no, violation));
            }
        }
    }

    /// Somebody came, or (`urgent`) somebody must not hear what is said from here on.
    pub(super) fn want_key(&mut self, now: Instant, urgent: bool) {
        let change = self.keys.want(now, urgent);
        self.apply(now, change);
    }

    /// A fresh key of ours for everyone who may have it now.
    fn rotate(&mut self, now: Instant) {
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) else { return };
        let hears = |peer: &Peer| peer.identity.is_some_and(|identity| seat.roster.may_hear(&identity));
        let members = self.peers.iter().filter(|(_, peer)| peer.is_paired() && !peer.stopped && hears(peer));
        let (recipients, indices): (Vec<PeerNo>, Vec<u16>) = members.map(|(no, peer)| (*no, peer.index)).unzip();
        let roster = seat.roster.hash();
        let handed_out = secret::<32>(self.entropy.as_mut());
        let generation = self.keys.next_generation();
        let key = SenderKey::bound(generation, &handed_out, &roster);
        let id = key_id(&key.base);
        let change = self.keys.rotate(now, &recipients, key.base);
        self.apply(now, change);
        if recipients.is_empty() {
            return;
        }
        self.note(now, &Record::Drew { generation, roster: &roster, key: id, to: &indices });
        let message = Message::SenderKey { generation, roster, base: handed_out };
        for no in recipients {
            self.send(no, &message);
        }
    }

    fn apply(&mut self, now: Instant, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Draw => self.rotate(now),
            Change::Use(key) => {
                self.note(now, &Record::Using { generation: key.generation });
                self.events.push_back(Event::SendKey(key));
            }
            Change::Stop => self.events.push_back(Event::SendKeyGone),
        }
    }

    /// Nothing is sealed any more, and no key is drawn.
    pub(super) fn stop_sealing(&mut self) {
        self.keys.halt();
        self.events.push_back(Event::SendKeyGone);
    }

    /// Queues a message of our own making.
    pub(super) fn send(&mut self, no: PeerNo, message: &Message) {
        if let Some(peer) = self.peers.get_mut(&no)
            && peer.send(message).is_err()
        {
            self.broken.push((no, Violation::Unresponsive));
        }
    }

    /// Queues a message for everyone in the meeting with whom there is a session.
    pub(super) fn send_to_all(&mut self, message: &Message) {
        for no in self.paired() {
            self.send(no, message);
        }
    }

    /// Queues a message for the engine.
    pub(super) fn send_to_member(&mut self, now: Instant, no: PeerNo, message: &Message) -> Result<(), MeetingError> {
        let peer = self.live(no)?;
        if !peer.is_paired() {
            return Err(MeetingError::NotAdmitted);
        }
        match peer.send(message) {
            Ok(()) => Ok(()),
            Err(SendError::Wire(error)) => Err(MeetingError::Unsendable(error)),
            Err(SendError::Link(_)) => {
                self.expel(now, no, Violation::Unresponsive);
                Err(MeetingError::NoSuchPeer)
            }
        }
    }

    pub(super) fn live(&mut self, no: PeerNo) -> Result<&mut Peer, MeetingError> {
        if self.over {
            return Err(MeetingError::Over);
        }
        self.peers.get_mut(&no).filter(|peer| peer.is_live()).ok_or(MeetingError::NoSuchPeer)
    }

    pub(super) fn media_state(&self) -> Message {
        Message::MediaState { mic: self.mic, camera: self.camera }
    }

    pub(super) fn set_media_state(&mut self, mic: bool, camera: bool) {
        if (self.mic, self.camera) == (mic, camera) {
            return;
        }
        (self.mic, self.camera) = (mic, camera);
        let members = self.peers.iter().filter(|(_, peer)| peer.is_paired() && !peer.stopped);
        for no in members.map(|(no, _)| *no).collect::<Vec<_>>() {
            self.send(no, &Message::MediaState { mic, camera });
        }
    }

    pub(super) fn stop(&mut self, now: Instant, no: PeerNo) -> Result<(), MeetingError> {
        let peer = self.live(no)?;
        if !peer.is_member() {
            return Err(MeetingError::NotAdmitted);
        }
        if std::mem::replace(&mut peer.stopped, true) {
            return Ok(());
        }
        let generations = peer.keys.close_all();
        self.events.extend(generations.into_iter().map(|generation| Event::RetireKey { peer: no, generation }));
        self.send(no, &Message::MediaState { mic: false, camera: false });
        self.want_key(now, true);
        Ok(())
    }

    pub(super) fn resume(&mut self, now: Instant, no: PeerNo) -> Result<(), MeetingError> {
        let peer = self.live(no)?;
        if !std::mem::replace(&mut peer.stopped, false) {
            return Ok(());
        }
        let sender = peer.index;
        let newest = peer.keys.newest();
        self.events.extend(newest.map(|key| Event::OpenKey { peer: no, sender, key }));
        let state = self.media_state();
        self.send(no, &state);
        self.want_key(now, false);
        Ok(())
    }

    /// Ends a session with somebody who broke a rule.
    pub(super) fn expel(&mut self, now: Instant, no: PeerNo, violation: Violation) {
        let Some(peer) = self.peers.get(&no).filter(|peer| peer.is_live()) else { return };
        self.counters.violations += 1;
        let goodbye = Some(LeaveReason::Violation);
        if peer.claims.is_some() {
            self.peers.remove(&no);
        } else if self.depends_on(no) {
            self.end(now, End::HostBroke(violation), goodbye);
        } else {
            self.part(now, no, Departure::Broke(violation), goodbye);
        }
    }

    /// Ends everything.
    pub(super) fn end(&mut self, now: Instant, why: End, goodbye: Option<LeaveReason>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        for peer in self.peers.values_mut().filter(|peer| peer.is_live()) {
            // Someone who has not yet proven who they are is owed no word.
            let reason = goodbye.filter(|_| matches!(peer.phase, Phase::Waiting | Phase::Member));
            peer.close(now, reason.map(|reason| Message::Leave { reason: reason.code() }));
        }
        self.keys = OwnKeys::new();
        self.pairs.clear();
        self.agreement.clear();
        self.events.push_back(Event::Ended { why });
    }

    pub(super) fn connection_gone(&mut self, now: Instant, conn: ConnId) {
        for peer in self.peers.values_mut() {
            peer.connection_gone(now, conn);
        }
    }

    pub(super) fn connection_new(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.connection_new(now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.answers.handle_timeout(now);
        // What comes of one deadline may make another due at once: a new host is called, say. Twice is enough, and a
        // third time is the caller's.
        for _ in 0..2 {
            self.handle_deadlines(now);
            if self.timeout().is_none_or(|at| at > now) {
                return;
            }
        }
    }

    fn handle_deadlines(&mut self, now: Instant) {
        for no in self.peers.keys().copied().collect::<Vec<_>>() {
            self.handle_peer_timeout(now, no);
        }
        while let Some(change) = self.keys.handle_timeout(now) {
            self.apply(now, change);
        }
        if self.over {
            return;
        }
        self.handle_pairs_timeout(now);
        self.handle_agreement_timeout(now);
        if self.watch_due().is_some_and(|at| at <= now) {
            self.watched = now;
            self.watch(now);
        }
    }

    fn watch_due(&self) -> Option<Instant> {
        (self.seat.is_some() && !self.is_host()).then(|| self.watched + PING)
    }

    fn handle_peer_timeout(&mut self, now: Instant, no: PeerNo) {
        let Some(peer) = self.peers.get_mut(&no) else { return };
        if let Some(wire) = &mut peer.wire {
            wire.link.handle_timeout(now);
        }
        while let Some(generation) = peer.keys.pop_retired(now) {
            self.events.push_back(Event::RetireKey { peer: no, generation });
        }
        while let Some(peer) = self.peers.get_mut(&no)
            && let Some(timer) = peer.timers.pop_due(now)
        {
            match (timer, peer.phase) {
                (PeerTimer::Ping, Phase::Waiting) => peer.ping(now),
                (PeerTimer::Ping, Phase::Member) => {
                    peer.ping(now);
                    self.tell_head(no);
                }
                (PeerTimer::Silence, Phase::Waiting) if self.seat.is_some() => {
                    self.part(now, no, Departure::Dropped, None);
                }
                (PeerTimer::Silence, Phase::Waiting | Phase::Member) => {
                    peer.silent = true;
                    // Perhaps each of the two holds on to another session.
                    if peer.is_member() && !peer.gone {
                        peer.timers.hasten(PeerTimer::Pair, now);
                    }
                    self.events.push_back(Event::Silent { peer: no });
                    self.consider_succession(now);
                }
                (PeerTimer::Pair, Phase::Member) => self.begin_call(now, no),
                (PeerTimer::Phase, Phase::Closing | Phase::Proving | Phase::Proven) => {
                    self.peers.remove(&no);
                }
                (PeerTimer::Phase, Phase::Waiting) => self.decline(now, no, DeclineReason::Unanswered),
                _ => {}
            }
        }
    }

    /// Turns somebody at the door away: they learn this and nothing else.
    pub(super) fn decline(&mut self, now: Instant, no: PeerNo, reason: DeclineReason) {
        let Some(peer) = self.peers.get_mut(&no).filter(|peer| peer.is_live()) else { return };
        let waiting = peer.phase == Phase::Waiting;
        peer.close(now, Some(Message::Decline { reason: reason.code() }));
        if waiting {
            self.events.push_back(Event::KnockGone { peer: no });
        }
    }

    /// Seals and queues all that is due, and expels whoever turned out to be in the way.
    pub(super) fn flush(&mut self, now: Instant) {
        loop {
            let mut used_up = Vec::new();
            for (no, peer) in &mut self.peers {
                if peer.transmit(now, &mut self.transmits).is_err() {
                    used_up.push(*no);
                }
            }
            for no in used_up {
                self.expel(now, no, Violation::UsedUp);
                if let Some(peer) = self.peers.get_mut(&no) {
                    peer.wire = None;
                }
            }
            if self.broken.is_empty() {
                return;
            }
            for (no, violation) in std::mem::take(&mut self.broken) {
                self.expel(now, no, violation);
            }
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let own = [self.keys.timeout(), self.answers.timeout()];
        let meeting = match self.over {
            true => [None; 3],
            false => [self.pairs.timeout(), self.agreement.timeout(), self.watch_due()],
        };
        earliest(self.peers.values().map(Peer::timeout).chain(own).chain(meeting))
    }
}
