//! What host and guest do alike: the sessions, what members may say, and the keys that they hand each other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::event::{ConnId, Counters, Departure, End, Event, MeetingError, PeerNo, Transmit, Violation};
use super::keys::{Change, OwnKeys, earliest};
use super::peer::{Peer, PeerTimer, Phase, SendError};
use crate::crypto::entropy::Entropy;
use crate::crypto::identity::Identity;
use crate::crypto::secret::Secret;
use crate::protocol::envelope::Attempt;
use crate::protocol::link::LinkError;
use crate::protocol::wire::{DeclineReason, LeaveReason, Message};

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
    guest: bool,
    pub(super) own_index: u16,
    pub(super) peers: BTreeMap<PeerNo, Peer>,
    next_peer: PeerNo,
    keys: OwnKeys,
    mic: bool,
    camera: bool,
    pub(super) events: VecDeque<Event>,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) counters: Counters,
    pub(super) over: bool,
    /// To be expelled at the next flush: found while something else was being done with them.
    broken: Vec<(PeerNo, Violation)>,
}

impl Core {
    pub(super) fn new(identity: Arc<Identity>, name: String, entropy: Box<dyn Entropy>, guest: bool) -> Self {
        Self {
            identity,
            name,
            entropy,
            guest,
            own_index: 0,
            peers: BTreeMap::new(),
            next_peer: 1,
            keys: OwnKeys::new(),
            mic: false,
            camera: false,
            events: VecDeque::new(),
            transmits: VecDeque::new(),
            counters: Counters::default(),
            over: false,
            broken: Vec::new(),
        }
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
        let no = self.next_peer;
        self.next_peer += 1;
        self.peers.insert(no, peer);
        no
    }

    pub(super) fn has_session(&self, attempt: &Attempt) -> bool {
        self.peers.values().any(|peer| peer.attempt == *attempt)
    }

    pub(super) fn members(&self) -> usize {
        self.peers.values().filter(|peer| peer.is_member()).count()
    }

    /// Opens a session message: who said it, and what. Whoever breaks a rule here is expelled.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: ConnId,
        attempt: &Attempt,
        sealed: &[u8],
    ) -> Option<(PeerNo, Vec<Incoming>)> {
        let Some((&no, peer)) = self.peers.iter_mut().find(|(_, peer)| peer.attempt == *attempt) else {
            self.counters.unknown_session += 1;
            return None;
        };
        let received = match peer.link.handle(now, sealed) {
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
        // An older message that was held up says where the peer used to be, not where it is.
        if received.newest && peer.conn != Some(from) {
            peer.conn = Some(from);
            peer.link.resend();
        }
        if !peer.is_live() {
            return None;
        }
        peer.heard(now);
        if std::mem::take(&mut peer.silent) {
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
            message => return Ok(Some(message)),
        }
        Ok(None)
    }

    fn handle_leave(&mut self, now: Instant, no: PeerNo, reason: LeaveReason) {
        if self.guest {
            self.end(now, End::HostLeft(reason), None);
        } else {
            self.remove(now, no, Departure::Said(reason), None);
        }
    }

    fn handle_member(&mut self, now: Instant, no: PeerNo, message: Message) -> Result<(), Violation> {
        let Some(peer) = self.peers.get_mut(&no) else { return Ok(()) };
        let stopped = peer.stopped;
        let event = match message {
            Message::SenderKey { generation, base } => return self.handle_sender_key(now, no, generation, base),
            Message::KeyAck { generation } => {
                let change = self.keys.acknowledge(no, generation)?;
                self.apply(change);
                return Ok(());
            }
            Message::Offer { sdp } => Event::Offer { peer: no, sdp },
            Message::Answer { sdp } => Event::Answer { peer: no, sdp },
            Message::Candidate { line } => Event::Candidate { peer: no, line },
            Message::MediaState { mic, camera } => Event::MediaState { peer: no, mic, camera },
            other => return Err(Violation::OutOfPlace(other.kind())),
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
        base: Secret<32>,
    ) -> Result<(), Violation> {
        let Some(peer) = self.peers.get_mut(&no) else { return Ok(()) };
        let retired = peer.keys.receive(now, generation, base)?;
        if !peer.stopped {
            let sender = peer.index;
            self.events.extend(peer.keys.newest().map(|key| Event::OpenKey { peer: no, sender, key }));
            self.events.extend(retired.into_iter().map(|generation| Event::RetireKey { peer: no, generation }));
        }
        self.send(no, &Message::KeyAck { generation });
        Ok(())
    }

    /// Makes a peer a member: from here on it is sent keys.
    pub(super) fn admit(&mut self, now: Instant, no: PeerNo, index: u16, meeting: [u8; 32]) {
        let Some(peer) = self.peers.get_mut(&no) else { return };
        let Some(identity) = peer.identity else { return };
        peer.phase = Phase::Member;
        peer.index = index;
        peer.timers.stop(PeerTimer::Phase);
        self.events.push_back(Event::Admitted {
            peer: no,
            identity,
            name: peer.name.clone(),
            own_index: self.own_index,
            peer_index: index,
            meeting,
        });
        self.send(no, &Message::MediaState { mic: self.mic, camera: self.camera });
        self.rotate(now);
    }

    /// A fresh key of ours for everyone who is a member now.
    fn rotate(&mut self, now: Instant) {
        let members = self.peers.iter().filter(|(_, peer)| peer.is_member() && !peer.stopped);
        let recipients: Vec<PeerNo> = members.map(|(no, _)| *no).collect();
        let change = self.keys.rotate(now, &recipients, self.entropy.as_mut());
        self.apply(change);
        let Some(key) = self.keys.pending() else { return };
        let message = Message::SenderKey { generation: key.generation, base: key.base.duplicate() };
        for no in recipients {
            self.send(no, &message);
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Use(key) => self.events.push_back(Event::SendKey(key)),
            Change::Stop => self.events.push_back(Event::SendKeyGone),
        }
    }

    /// Queues a message of our own making.
    pub(super) fn send(&mut self, no: PeerNo, message: &Message) {
        if let Some(peer) = self.peers.get_mut(&no)
            && peer.send(message).is_err()
        {
            self.broken.push((no, Violation::Unresponsive));
        }
    }

    /// Queues a message for the engine.
    pub(super) fn send_to_member(&mut self, now: Instant, no: PeerNo, message: &Message) -> Result<(), MeetingError> {
        let peer = self.live(no)?;
        if !peer.is_member() {
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

    pub(super) fn set_media_state(&mut self, mic: bool, camera: bool) {
        if (self.mic, self.camera) == (mic, camera) {
            return;
        }
        (self.mic, self.camera) = (mic, camera);
        let members = self.peers.iter().filter(|(_, peer)| peer.is_member() && !peer.stopped);
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
        self.rotate(now);
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
        let state = Message::MediaState { mic: self.mic, camera: self.camera };
        self.send(no, &state);
        self.rotate(now);
        Ok(())
    }

    /// Ends a session with somebody who broke a rule.
    pub(super) fn expel(&mut self, now: Instant, no: PeerNo, violation: Violation) {
        if self.peers.get(&no).is_none_or(|peer| !peer.is_live()) {
            return;
        }
        self.counters.violations += 1;
        let goodbye = Some(LeaveReason::Violation);
        if self.guest {
            self.end(now, End::HostBroke(violation), goodbye);
        } else {
            self.remove(now, no, Departure::Broke(violation), goodbye);
        }
    }

    /// Ends a session for whatever reason, tells the engine what it has to know, and renews our key for those who stay.
    pub(super) fn remove(&mut self, now: Instant, no: PeerNo, why: Departure, goodbye: Option<LeaveReason>) {
        let Some(peer) = self.peers.get_mut(&no) else { return };
        let phase = peer.phase;
        if phase == Phase::Closing {
            return;
        }
        peer.close(now, goodbye.map(|reason| Message::Leave { reason: reason.code() }));
        match phase {
            Phase::Member => {
                self.events.push_back(Event::Left { peer: no, why });
                self.rotate(now);
            }
            Phase::Waiting if !self.guest => self.events.push_back(Event::KnockGone { peer: no }),
            _ => {}
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
        self.events.push_back(Event::Ended { why });
    }

    pub(super) fn connection_gone(&mut self, now: Instant, conn: ConnId) {
        for peer in self.peers.values_mut().filter(|peer| peer.conn == Some(conn)) {
            peer.connection_gone(now);
        }
    }

    pub(super) fn connection_new(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.connection_new(now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for no in self.peers.keys().copied().collect::<Vec<_>>() {
            self.handle_peer_timeout(now, no);
        }
        let (rotate, change) = self.keys.handle_timeout(now);
        self.apply(change);
        if rotate {
            self.rotate(now);
        }
    }

    fn handle_peer_timeout(&mut self, now: Instant, no: PeerNo) {
        let Some(peer) = self.peers.get_mut(&no) else { return };
        peer.link.handle_timeout(now);
        while let Some(generation) = peer.keys.pop_retired(now) {
            self.events.push_back(Event::RetireKey { peer: no, generation });
        }
        while let Some(peer) = self.peers.get_mut(&no)
            && let Some(timer) = peer.timers.pop_due(now)
        {
            match (timer, peer.phase) {
                (PeerTimer::Ping, Phase::Waiting | Phase::Member) => peer.ping(now),
                (PeerTimer::Silence, Phase::Waiting) if !self.guest => {
                    self.remove(now, no, Departure::Dropped, None);
                }
                (PeerTimer::Silence, Phase::Waiting | Phase::Member) => {
                    peer.silent = true;
                    self.events.push_back(Event::Silent { peer: no });
                }
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
                self.peers.remove(&no);
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
        earliest(self.peers.values().map(Peer::timeout).chain([self.keys.timeout()]))
    }
}
