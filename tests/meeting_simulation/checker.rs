//! What must be true at every step of every meeting, seen from outside: by the events that the programs raise, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use conclave::crypto::identity::IdentityKey;
use conclave::crypto::sender_keys::SenderKey;
use conclave::protocol::group_code::Code;
use conclave::protocol::meeting::{Departure, End, Event, Meeting, PeerNo, Violation};

/// By then whoever was sent out hears nothing of what is sealed.
pub(crate) const SWITCH: Duration = Duration::from_secs(1);
/// By then an older key is forgotten.
pub(crate) const RETIRE: Duration = Duration::from_secs(10);

/// A mistake that the checker must find. What a program does is altered on its way to the checker, as if it had done so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    /// A member's fresh key is handed to whoever has just gone, too.
    KeyForTheGone,
    /// A sender goes on with its old key when somebody has gone.
    NoSwitch,
    /// A newcomer is handed the key that was in use before it came.
    KeyOfBefore,
    /// A key arrives changed.
    ChangedKey,
    /// A key is taken from somebody who is not in the list.
    KeyOfAStranger,
    /// An honest member is accused.
    Accusation,
    /// An old key is kept.
    KeptKey,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Known {
    index: u16,
    identity: IdentityKey,
    static_key: Option<[u8; 32]>,
}

/// What is known of one program.
#[derive(Default)]
pub(crate) struct Seen {
    events: usize,
    pub(crate) own: Option<(u16, [u8; 32])>,
    peers: BTreeMap<PeerNo, Known>,
    pub(crate) in_use: Option<u32>,
    pub(crate) paired: BTreeSet<PeerNo>,
    pub(crate) code: Option<Code>,
    /// Open keys by peer and generation; with the time by which they must be gone, once a newer one has come.
    open: BTreeMap<(PeerNo, u32), Option<Instant>>,
}

struct Key {
    base: [u8; 32],
    first_use: Option<Instant>,
}

pub(crate) struct Checker {
    pub(crate) flaw: Flaw,
    pub(crate) nodes: Vec<Seen>,
    /// By sender and generation.
    keys: BTreeMap<(usize, u32), Key>,
    /// Sender, generation, and who was ever given it.
    holders: BTreeSet<(usize, u32, usize)>,
    /// Who is out, for whom, and since when.
    out: Vec<(usize, Known, Instant)>,
    /// When somebody with this static key was first in anyone's list.
    admissions: BTreeMap<[u8; 32], Instant>,
    pub(crate) faults: Vec<String>,
    /// Who leaves in the very step that is looked at: when the events are, the list no longer has them.
    parting: Vec<PeerNo>,
}

impl Checker {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            nodes: Vec::new(),
            keys: BTreeMap::new(),
            holders: BTreeSet::new(),
            out: Vec::new(),
            admissions: BTreeMap::new(),
            faults: Vec::new(),
            parting: Vec::new(),
        }
    }

    fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// The program that stands behind an entry of a list.
    fn node_of(&self, known: &Known) -> Option<usize> {
        let fits =
            |seen: &Seen| seen.own.is_some_and(|(index, key)| index == known.index && Some(key) == known.static_key);
        self.nodes.iter().position(fits)
    }

    pub(crate) fn peer_node(&self, at: usize, peer: PeerNo) -> Option<usize> {
        self.node_of(self.nodes[at].peers.get(&peer)?)
    }

    /// The number under which `at` knows the member with this index of its list.
    pub(crate) fn number(&self, at: usize, index: u16) -> Option<PeerNo> {
        self.nodes[at].peers.iter().rev().find(|(_, known)| known.index == index).map(|(no, _)| *no)
    }

    /// Whether `at` can open what this member seals under this generation.
    pub(crate) fn is_open(&self, at: usize, peer: PeerNo, generation: u32) -> bool {
        self.nodes[at].open.contains_key(&(peer, generation))
    }

    /// Takes in what a program has said since the last time.
    pub(crate) fn observe(&mut self, now: Instant, at: usize, meeting: &Meeting, events: &[Event]) {
        while self.nodes.len() <= at {
            self.nodes.push(Seen::default());
        }
        let begin = self.nodes[at].events;
        self.nodes[at].events = events.len();
        let parted = |event: &Event| if let Event::Left { peer, .. } = event { Some(*peer) } else { None };
        self.parting = events[begin..].iter().filter_map(parted).collect();
        for event in &events[begin..] {
            self.take(now, at, meeting, event);
        }
    }

    fn take(&mut self, now: Instant, at: usize, meeting: &Meeting, event: &Event) {
        match event {
            Event::Entered { own_index, .. } => {
                let listed = meeting.roster().and_then(|roster| roster.current().member(*own_index));
                self.nodes[at].own = listed.map(|listed| (*own_index, listed.static_key));
                if let (Flaw::KeyOfBefore, Some(before)) = (self.flaw, self.nodes[0].in_use) {
                    self.hold(0, before, at);
                }
            }
            Event::Joined { peer, identity, index, .. } => {
                let listed = meeting.roster().and_then(|roster| roster.current().member(*index));
                let static_key = listed.filter(|listed| listed.identity == *identity).map(|listed| listed.static_key);
                let known = Known { index: *index, identity: *identity, static_key };
                self.nodes[at].peers.insert(*peer, known);
                if let Some(key) = static_key {
                    self.admissions.entry(key).or_insert(now);
                }
                self.out
                    .retain(|(who, old, _)| *who != at || (old.index, old.identity) != (known.index, known.identity));
            }
            Event::Paired { peer, .. } => {
                self.nodes[at].paired.insert(*peer);
            }
            Event::Unpaired { peer } => {
                self.nodes[at].paired.remove(peer);
            }
            Event::Code(code) => self.nodes[at].code = code.clone(),
            Event::SendKey(key) => self.take_send_key(now, at, key.generation, *key.base.expose()),
            Event::SendKeyGone => self.nodes[at].in_use = None,
            Event::OpenKey { peer, key, .. } => self.take_open_key(now, at, meeting, *peer, key),
            Event::RetireKey { peer, generation } if self.flaw != Flaw::KeptKey => {
                self.nodes[at].open.remove(&(*peer, *generation));
            }
            Event::Left { peer, why } => {
                let why = if self.flaw == Flaw::Accusation { &Departure::Broke(Violation::UsedUp) } else { why };
                if let Departure::Broke(rule) = why {
                    self.fault(format!("accused: {at} says that {peer} broke {rule}"));
                }
                self.nodes[at].paired.remove(peer);
                self.nodes[at].open.retain(|(of, _), _| of != peer);
                let known = self.nodes[at].peers.get(peer).copied();
                self.out.extend(known.map(|known| (at, known, now)));
            }
            Event::Forked { .. } => self.fault(format!("accused: {at} sees two lists of an honest host")),
            Event::Ended { why } => {
                self.nodes[at].in_use = None;
                self.nodes[at].open.clear();
                if matches!(why, End::HostBroke(_) | End::WrongHost(_) | End::SuiteRefused { .. }) {
                    self.fault(format!("accused: the meeting ended for {at}: {why:?}"));
                }
            }
            _ => {}
        }
    }

    fn take_send_key(&mut self, now: Instant, at: usize, generation: u32, base: [u8; 32]) {
        if self.flaw == Flaw::NoSwitch && self.out.iter().any(|(who, ..)| *who == at) {
            return;
        }
        let key = self.keys.entry((at, generation)).or_insert(Key { base, first_use: None });
        key.first_use.get_or_insert(now);
        if key.base != base {
            self.fault(format!("changed: {at} seals generation {generation} with another key than was opened with"));
        }
        if self.nodes[at].in_use.is_some_and(|before| before >= generation) {
            self.fault(format!("changed: the generation of {at} does not rise"));
        }
        self.nodes[at].in_use = Some(generation);
        if self.flaw == Flaw::KeyForTheGone {
            let gone: Vec<usize> = self
                .out
                .iter()
                .filter(|(who, ..)| *who == at)
                .filter_map(|(_, known, _)| self.node_of(known))
                .collect();
            self.holders.extend(gone.into_iter().map(|gone| (at, generation, gone)));
        }
    }

    fn take_open_key(&mut self, now: Instant, at: usize, meeting: &Meeting, peer: PeerNo, key: &SenderKey) {
        let known = self.nodes[at].peers.get(&peer).copied();
        let listed = |known: &Known| {
            let member = meeting.roster().and_then(|roster| roster.current().member(known.index));
            member.is_some_and(|member| member.identity == known.identity)
        };
        let Some(known) =
            known.filter(|known| (listed(known) || self.parting.contains(&peer)) && self.flaw != Flaw::KeyOfAStranger)
        else {
            return self.fault(format!("stranger: {at} takes a key of {peer}, who is not in its list"));
        };
        let Some(sender) = self.node_of(&known) else {
            return self.fault(format!("stranger: {at} takes a key of {peer}, whom nobody is"));
        };
        let mut base = *key.base.expose();
        if self.flaw == Flaw::ChangedKey {
            base[0] ^= 1;
        }
        let sealed = self.keys.entry((sender, key.generation)).or_insert(Key { base, first_use: None });
        if sealed.base != base {
            self.fault(format!("changed: {at} opens generation {} of {sender} with another key", key.generation));
        }
        self.hold(sender, key.generation, at);
        for ((of, _), until) in &mut self.nodes[at].open {
            if *of == peer {
                until.get_or_insert(now + RETIRE);
            }
        }
        self.nodes[at].open.insert((peer, key.generation), None);
    }

    /// Whoever is given a key must have been let in before anything was sealed with it.
    fn hold(&mut self, sender: usize, generation: u32, at: usize) {
        let first_use = self.keys.get(&(sender, generation)).and_then(|key| key.first_use);
        let admitted = self.nodes[at].own.map(|(_, key)| self.admissions.get(&key).copied());
        let before = match admitted {
            // Whoever opened the meeting was never admitted.
            Some(admitted) if at != 0 => first_use.is_some_and(|used| admitted.is_none_or(|admitted| used < admitted)),
            Some(_) => false,
            None => true,
        };
        if before {
            self.fault(format!("before: {at} holds generation {generation} of {sender}, used before it was admitted"));
        }
        self.holders.insert((sender, generation, at));
    }

    /// What must be true at every moment.
    pub(crate) fn check_moment(&mut self, now: Instant, crashed: impl Fn(usize) -> bool) {
        let mut faults = Vec::new();
        for (at, known, since) in &self.out {
            if now <= *since + SWITCH || crashed(*at) {
                continue;
            }
            if let (Some(gone), Some(generation)) = (self.node_of(known), self.nodes[*at].in_use)
                && self.holders.contains(&(*at, generation, gone))
            {
                faults.push(format!("hears: {gone} is gone and holds generation {generation} that {at} seals with"));
            }
        }
        for (at, seen) in self.nodes.iter().enumerate().filter(|(at, _)| !crashed(*at)) {
            for ((peer, generation), until) in &seen.open {
                if until.is_some_and(|until| now > until) {
                    faults.push(format!("kept: {at} still opens generation {generation} of {peer}"));
                }
            }
        }
        self.faults.extend(faults);
    }
}
