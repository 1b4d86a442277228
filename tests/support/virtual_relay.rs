//! A relay and its members in virtual time: deterministic for a seed, and as hostile as a test asks for.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use conclave::crypto::entropy::{Entropy, Seeded};
use conclave::crypto::identity::{Identity, IdentityKey};
use conclave::crypto::secret::Secret;
use conclave::protocol::invite::Invite;
use conclave::protocol::meeting::{ConnId, Event, InviteOptions, Meeting, Moment, PeerNo};
use conclave::protocol::relay_address::RelayAddress;

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }
}

/// What the relay does to what it forwards; chances in percent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Malice {
    pub(crate) drop: u32,
    pub(crate) duplicate: u32,
    pub(crate) flip: u32,
    pub(crate) truncate: u32,
    /// Sends something seen before, by anyone, to anyone.
    pub(crate) replay: u32,
    /// Puts the content of something seen before under this envelope.
    pub(crate) splice: u32,
    /// Delivers to somebody else.
    pub(crate) misroute: u32,
    /// Invents an envelope with the right attempt and random content, or with another's handshake.
    pub(crate) invent: u32,
    /// Claims that a connection left.
    pub(crate) false_leave: u32,
    /// Longest delay, which reorders.
    pub(crate) delay: Duration,
}

pub(crate) struct Node {
    pub(crate) meeting: Meeting,
    pub(crate) conn: Option<ConnId>,
    pub(crate) events: Vec<Event>,
    pub(crate) admit_all: bool,
    /// Its program has ended without a word.
    pub(crate) crashed: bool,
    pub(crate) sent: usize,
    /// Sends this many numbered candidates to each peer with every session.
    pub(crate) candidates: usize,
}

struct Packet {
    to: ConnId,
    from: ConnId,
    payload: Vec<u8>,
}

pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) dice: Dice,
    pub(crate) malice: Malice,
    pub(crate) nodes: Vec<Node>,
    pub(crate) seen: Vec<Vec<u8>>,
    /// Everything that any node has sent, once each, to whomever: for those in the room who are no nodes.
    pub(crate) overheard: Vec<Vec<u8>>,
    pub(crate) latency: Duration,
    /// From which node nothing reaches which.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    queue: BTreeMap<(Instant, u64), Packet>,
    order: u64,
    next_conn: ConnId,
}

/// Where the virtual time of all tests of this program begins, on both clocks.
pub(crate) fn opened() -> Moment {
    static AT: OnceLock<Instant> = OnceLock::new();
    Moment { unix: 1_800_000_000, at: *AT.get_or_init(Instant::now) }
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        let now = opened().at;
        Self {
            now,
            start: now,
            dice: Dice::new(seed),
            malice: Malice::default(),
            nodes: Vec::new(),
            seen: Vec::new(),
            overheard: Vec::new(),
            latency: Duration::from_millis(10),
            cut: BTreeSet::new(),
            queue: BTreeMap::new(),
            order: 0,
            next_conn: 1,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Nothing passes between the two any more, in either direction.
    pub(crate) fn part(&mut self, one: usize, other: usize) {
        self.cut.extend([(one, other), (other, one)]);
    }

    /// Everybody hears everybody again.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Adds a member and connects it.
    pub(crate) fn add(&mut self, meeting: Meeting) -> usize {
        let node =
            Node { meeting, conn: None, events: Vec::new(), admit_all: false, crashed: false, sent: 0, candidates: 0 };
        self.nodes.push(node);
        let at = self.nodes.len() - 1;
        self.connect(at);
        at
    }

    /// Connects (again) under a new connection id.
    pub(crate) fn connect(&mut self, at: usize) {
        self.disconnect(at);
        let conn = self.next_conn;
        self.next_conn += 1;
        self.nodes[at].conn = Some(conn);
        for other in 0..self.nodes.len() {
            if other != at && self.nodes[other].conn.is_some() {
                self.nodes[other].meeting.handle_relay_arrived(self.now, conn);
                self.drain(other);
            }
        }
        self.nodes[at].meeting.handle_relay_up(self.now);
        self.drain(at);
    }

    /// The program of a member ends without a word.
    pub(crate) fn crash(&mut self, at: usize) {
        self.nodes[at].crashed = true;
        self.disconnect(at);
    }

    /// Cuts the connection; what is on the way to or from it is lost.
    pub(crate) fn disconnect(&mut self, at: usize) {
        let Some(conn) = self.nodes[at].conn.take() else { return };
        self.queue.retain(|_, packet| packet.to != conn && packet.from != conn);
        for other in 0..self.nodes.len() {
            if self.nodes[other].conn.is_some() {
                self.nodes[other].meeting.handle_relay_left(self.now, conn);
                self.drain(other);
            }
        }
    }

    /// The relay itself dies, with everything on the way, and nobody is told who has gone.
    pub(crate) fn die(&mut self) {
        self.queue.clear();
        self.nodes.iter_mut().for_each(|node| node.conn = None);
    }

    pub(crate) fn with(&mut self, at: usize, act: impl FnOnce(&mut Meeting, Instant)) {
        act(&mut self.nodes[at].meeting, self.now);
        self.drain(at);
    }

    /// Hands a payload to a node as if the relay had forwarded it.
    pub(crate) fn deliver(&mut self, at: usize, from: ConnId, payload: &[u8]) {
        self.nodes[at].meeting.handle_relay(self.now, from, payload);
        self.drain(at);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until something holds, at most for `time`; whether it came to hold.
    pub(crate) fn run_until(&mut self, time: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + time;
        loop {
            if holds(self) {
                return true;
            }
            if !self.step(end) {
                self.now = end;
                return holds(self);
            }
        }
    }

    /// One delivery or one timeout, not later than `end`.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        let delivery = self.queue.keys().next().copied();
        let running = (0..self.nodes.len()).filter(|at| !self.nodes[*at].crashed);
        let timer = running.filter_map(|at| Some((self.nodes[at].meeting.poll_timeout()?, at))).min();
        let due = [delivery.map(|(at, _)| at), timer.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(due) = due.filter(|due| *due <= end) else { return false };
        self.now = self.now.max(due);
        match delivery {
            Some(key) if key.0 <= due => {
                let Some(packet) = self.queue.remove(&key) else { return false };
                let at_conn = |conn| self.nodes.iter().position(|node| node.conn == Some(conn));
                let from = at_conn(packet.from);
                if let Some(at) = at_conn(packet.to)
                    && from.is_none_or(|from| !self.cut.contains(&(from, at)))
                {
                    self.deliver(at, packet.from, &packet.payload);
                }
            }
            _ => {
                let Some((_, at)) = timer else { return false };
                self.nodes[at].meeting.handle_timeout(self.now);
                let next = self.nodes[at].meeting.poll_timeout();
                assert!(
                    next.is_none_or(|next| next > self.now),
                    "a timer of {at} that is due again would spin forever"
                );
                self.drain(at);
            }
        }
        true
    }

    fn drain(&mut self, at: usize) {
        loop {
            while let Some(transmit) = self.nodes[at].meeting.poll_transmit() {
                assert!(transmit.payload.len() <= 65_536);
                let Some(from) = self.nodes[at].conn else { continue };
                self.nodes[at].sent += 1;
                self.overheard.push(transmit.payload.clone());
                let others = self.nodes.iter().filter_map(|node| node.conn).filter(|conn| *conn != from);
                let to: Vec<ConnId> = others.filter(|conn| transmit.to.is_none_or(|to| to == *conn)).collect();
                for to in to {
                    self.forward(from, to, transmit.payload.clone());
                }
            }
            let mut acted = false;
            while let Some(event) = self.nodes[at].meeting.poll_event() {
                acted |= self.react(at, &event);
                self.nodes[at].events.push(event);
            }
            if !acted {
                return;
            }
        }
    }

    fn react(&mut self, at: usize, event: &Event) -> bool {
        let (now, node) = (self.now, &mut self.nodes[at]);
        match event {
            Event::Knocked { peer, .. } if node.admit_all => node.meeting.admit(now, *peer).is_ok(),
            Event::Paired { peer, .. } => {
                for number in 0..node.candidates {
                    node.meeting.send_candidate(now, *peer, format!("candidate {number}")).unwrap();
                }
                node.candidates > 0
            }
            _ => false,
        }
    }

    fn forward(&mut self, from: ConnId, to: ConnId, payload: Vec<u8>) {
        let malice = self.malice;
        let mut payload = payload;
        self.seen.push(payload.clone());
        let any_conn = |network: &mut Self| {
            let at = network.dice.below(network.nodes.len());
            network.nodes[at].conn.unwrap_or(0)
        };
        if self.dice.chance(malice.replay) {
            let old = self.seen[self.dice.below(self.seen.len())].clone();
            let (from, to) = (any_conn(self), any_conn(self));
            self.enqueue(from, to, old);
        }
        if self.dice.chance(malice.invent) {
            let mut invented = payload.clone();
            invented[0] = 1 + self.dice.below(4) as u8;
            for byte in invented.iter_mut().skip(9) {
                *byte = self.dice.roll() as u8;
            }
            let (from, to) = (any_conn(self), any_conn(self));
            self.enqueue(from, to, invented);
        }
        if self.dice.chance(malice.splice) {
            let other = self.seen[self.dice.below(self.seen.len())].clone();
            let kept = payload.len().min(9);
            payload.truncate(kept);
            payload.extend(other.iter().skip(9));
        }
        if self.dice.chance(malice.flip) {
            let at = self.dice.below(payload.len());
            payload[at] ^= 1 << self.dice.below(8);
        }
        if self.dice.chance(malice.truncate) {
            let length = self.dice.below(payload.len());
            payload.truncate(length);
        }
        if self.dice.chance(malice.false_leave) {
            let (conn, at) = (any_conn(self), self.dice.below(self.nodes.len()));
            // Its answer goes out with whatever the node does next.
            self.nodes[at].meeting.handle_relay_left(self.now, conn);
        }
        let to = if self.dice.chance(malice.misroute) { any_conn(self) } else { to };
        if self.dice.chance(malice.duplicate) {
            self.enqueue(from, to, payload.clone());
        }
        if !self.dice.chance(malice.drop) {
            self.enqueue(from, to, payload);
        }
    }

    fn enqueue(&mut self, from: ConnId, to: ConnId, payload: Vec<u8>) {
        let delay = self.dice.below(self.malice.delay.as_millis() as usize + 1);
        self.order += 1;
        let at = self.now + self.latency + Duration::from_millis(delay as u64);
        self.queue.insert((at, self.order), Packet { to, from, payload });
    }

    /// The member with whom a session came about last.
    pub(crate) fn paired(&self, at: usize) -> Option<PeerNo> {
        self.nodes[at].events.iter().rev().find_map(|event| match event {
            Event::Paired { peer, .. } => Some(*peer),
            _ => None,
        })
    }

    /// The number under which one node knows another, by the identity that the list names.
    pub(crate) fn peer_of(&self, at: usize, other: usize) -> PeerNo {
        let who = self.identity_of(other);
        let find = |event: &Event| match event {
            Event::Joined { peer, identity, .. } if *identity == who => Some(*peer),
            _ => None,
        };
        self.nodes[at].events.iter().rev().find_map(find).unwrap_or_else(|| panic!("{at} does not know {other}"))
    }

    /// As others have it in their list.
    pub(crate) fn identity_of(&self, at: usize) -> IdentityKey {
        let roster = self.nodes[at].meeting.roster().unwrap_or_else(|| panic!("{at} is in no meeting"));
        let own = self.nodes[at].events.iter().find_map(|event| match event {
            Event::Entered { own_index, .. } => Some(*own_index),
            _ => None,
        });
        let listed = own.and_then(|own| roster.current().member(own));
        listed.map(|listed| listed.identity).unwrap_or_else(|| panic!("{at} is not in its own list"))
    }

    /// What happened, without the pulse of a meeting: round trips, states of the list, codes.
    pub(crate) fn kinds(&self, at: usize) -> Vec<&'static str> {
        let quiet = ["round trip", "roster", "code"];
        self.nodes[at].events.iter().map(Event::kind).filter(|kind| !quiet.contains(kind)).collect()
    }

    /// Generations sealed with, each with its key.
    pub(crate) fn send_keys(&self, at: usize) -> Vec<(u32, [u8; 32])> {
        let key = |event: &Event| match event {
            Event::SendKey(key) => Some((key.generation, *key.base.expose())),
            _ => None,
        };
        self.nodes[at].events.iter().filter_map(key).collect()
    }

    /// Keys opened with: peer, generation, key.
    pub(crate) fn open_keys(&self, at: usize) -> Vec<(PeerNo, u32, [u8; 32])> {
        let key = |event: &Event| match event {
            Event::OpenKey { peer, key, .. } => Some((*peer, key.generation, *key.base.expose())),
            _ => None,
        };
        self.nodes[at].events.iter().filter_map(key).collect()
    }

    pub(crate) fn candidates(&self, at: usize) -> Vec<&str> {
        let mut lines = Vec::new();
        for event in &self.nodes[at].events {
            if let Event::Candidate { line, .. } = event {
                lines.push(line.as_str());
            }
        }
        lines
    }
}

pub(crate) fn entropy(seed: u64) -> Box<dyn Entropy> {
    Box::new(Seeded(seed))
}

pub(crate) fn identity(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed(Secret::new([seed; 32])))
}

pub(crate) fn relays() -> Vec<RelayAddress> {
    vec![RelayAddress::new("relay.example", 443, true).unwrap()]
}

/// An invite that never expires and that anyone may use.
pub(crate) fn open_invite() -> InviteOptions {
    InviteOptions { relays: relays(), expires: None, single_use: false, named: false }
}

/// A host (identity 1, called Hana) and an invite of its.
pub(crate) fn host(seed: u64) -> (Meeting, Invite) {
    let mut host = Meeting::host(identity(1), "Hana", entropy(seed), opened());
    let invite = host.create_invite(open_invite()).unwrap();
    (host, invite)
}

/// A guest with this identity.
pub(crate) fn guest(invite: &Invite, who: u8, seed: u64) -> Meeting {
    Meeting::join(invite, identity(who), &format!("Guest {who}"), entropy(seed ^ 0xface_0000), opened()).unwrap()
}
