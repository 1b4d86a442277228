//! The rules of the roster and of key rotation (docs/PROTOCOL.md), as a model that is searched exhaustively: four people of
//! whom one comes later, one host who admits, removes and hands over, one partition in any shape, one crash, and every order
//! in which news can travel between them. Each rule can be taken away, and the search must then find what breaks.
//!
//! What the model leaves out: signatures (nobody forges here), time (20 seconds of silence are one step, the same for all
//! whom the same cut separates; the rule that others believe an heir earlier than an heir acts gives that step its margin), a
//! person who comes back under a new index, and a host that lies.

use std::fmt;

use stateright::{Checker, HasDiscoveries, Model, Property};

/// People are 0 (opens the meeting), 1 (its first heir), 2, and 3, who may come later.
const PEOPLE: u8 = 4;
const NEWCOMER: u8 = 3;

/// A set of people.
type Set = u8;
/// Place of an entry in [`State::log`]: stands for its hash.
type Hash = u8;

fn one(who: u8) -> Set {
    1 << who
}

fn has(set: Set, who: u8) -> bool {
    set & one(who) != 0
}

fn people(set: Set) -> impl Iterator<Item = u8> {
    (0..PEOPLE).filter(move |who| has(set, *who))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Open,
    Admit,
    Remove(u8),
    HandOver,
    Succeed,
}

/// One roster entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    previous: Option<Hash>,
    term: u8,
    counter: u8,
    /// The entry with which this term's chain began.
    reign: Hash,
    operation: Operation,
    signer: u8,
    host: u8,
    members: Set,
}

impl Entry {
    /// Who takes over if the host is lost: the one longest in the meeting.
    fn heir(&self) -> Option<u8> {
        people(self.members & !one(self.host)).next()
    }
}

/// A person's program, as far as the roster goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Device {
    /// The entry in force.
    head: Option<Hash>,
    /// Entries seen, on whatever branch.
    seen: u16,
    /// The host has been silent for as long as it takes to call it lost.
    lost: bool,
    /// Whom this device has not heard for so long at some time.
    missed: Set,
}

/// A generation of the key of the one sender whose keys are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// For whom it was drawn.
    drawn_for: Set,
    /// Who was given it.
    holders: Set,
    /// Whose removal, and whose admission, the sender had seen when it drew it.
    removed: Set,
    admitted: Set,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    log: Vec<Entry>,
    devices: [Device; PEOPLE as usize],
    alive: Set,
    /// Who cannot reach whom: one row for each.
    cut: [Set; PEOPLE as usize],
    keys: Vec<Key>,
    /// The generation that the sender seals with, and the one it is about to switch to.
    sealing: Option<u8>,
    waiting: Option<u8>,
    operations: u8,
    splits: u8,
    crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Admit(u8),
    Remove(u8, u8),
    HandOver(u8, u8),
    Succeed(u8),
    /// The first learns what the second knows of the roster.
    Learn(u8, u8),
    /// Everyone in the set loses everyone outside it.
    Split(Set),
    /// Two people lose each other, and nobody else does.
    Cut(u8, u8),
    Heal,
    Crash(u8),
    /// Long enough without a word for everyone to call lost whom they do not hear.
    Silence,
    Draw,
    Switch,
    /// The sender's newest key reaches somebody.
    Hand(u8),
}

/// The rules, each of which can be taken away.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// A removal is a reason to draw a fresh key.
    rotate_on_removal: bool,
    /// A key goes to those it was drawn for, not to whoever is a member by now.
    hand_to_drawn_for: bool,
    /// An heir acts only when it has not heard the host for long enough.
    heir_waits: bool,
    /// A host that missed its heir gives way to it.
    host_yields: bool,
    /// Who is heir stands in the last entry known of the host's chain, not in any that once was.
    last_word_names_heir: bool,
    /// Whoever was removed on any branch stays out.
    removed_stay_out: bool,
    /// Whoever has handed over signs nothing more.
    hand_over_ends: bool,
}

const RULES: Rules = Rules {
    rotate_on_removal: true,
    hand_to_drawn_for: true,
    heir_waits: true,
    host_yields: true,
    last_word_names_heir: true,
    removed_stay_out: true,
    hand_over_ends: true,
};

#[derive(Clone, Copy)]
struct Meeting {
    rules: Rules,
    /// Whose keys are followed. Senders do not share keys, so one at a time is enough.
    sender: u8,
    first: Set,
    operations: u8,
    splits: u8,
    crashes: u8,
}

impl State {
    fn entry(&self, hash: Hash) -> &Entry {
        &self.log[usize::from(hash)]
    }

    fn device(&self, who: u8) -> &Device {
        &self.devices[usize::from(who)]
    }

    fn head(&self, who: u8) -> Option<&Entry> {
        self.device(who).head.map(|hash| self.entry(hash))
    }

    fn reach(&self, a: u8, b: u8) -> bool {
        has(self.alive, a) && has(self.alive, b) && !has(self.cut[usize::from(a)], b)
    }

    fn whole(&self) -> bool {
        self.cut.iter().all(|row| *row == 0)
    }

    /// The entry and all before it.
    fn chain(&self, hash: Hash) -> u16 {
        let mut found = 0;
        let mut next = Some(hash);
        while let Some(hash) = next {
            found |= 1 << hash;
            next = self.entry(hash).previous;
        }
        found
    }

    fn entries(&self, which: u16) -> impl Iterator<Item = &Entry> {
        self.log.iter().enumerate().filter(move |(at, _)| which & (1 << at) != 0).map(|(_, entry)| entry)
    }

    /// Whose removal is among these entries.
    fn removed(&self, which: u16) -> Set {
        self.entries(which).fold(0, |set, entry| match entry.operation {
            Operation::Remove(who) => set | one(who),
            _ => set,
        })
    }

    /// Whom `who` shares the meeting with: its list, less those who were removed on any branch it has seen.
    fn company(&self, who: u8, rules: Rules) -> Set {
        let Some(head) = self.head(who) else { return 0 };
        if !has(head.members, who) {
            return 0;
        }
        let barred = if rules.removed_stay_out { self.removed(self.device(who).seen) } else { 0 };
        head.members & !barred & !one(who)
    }

    fn is_host(&self, who: u8) -> bool {
        has(self.alive, who) && self.head(who).is_some_and(|head| head.host == who)
    }

    /// Whether the host of `who`'s list still says so to it.
    fn hears_host(&self, who: u8) -> bool {
        let Some(head) = self.head(who) else { return true };
        let host = head.host;
        host == who || (self.reach(who, host) && self.is_host(host) && self.head(host).is_some_and(|h| has(h.members, who)))
    }

    /// Whether a succession in this chain was by somebody who is not the heir by the last word of the reign it ended, as
    /// far as `seen` goes.
    fn void(&self, hash: Hash, seen: u16, rules: Rules) -> bool {
        rules.last_word_names_heir
            && self.entries(self.chain(hash)).filter(|entry| entry.operation == Operation::Succeed).any(|succession| {
                let Some(base) = succession.previous.map(|hash| self.entry(hash)) else { return false };
                let last = self.entries(seen).filter(|entry| entry.reign == base.reign).max_by_key(|entry| entry.counter);
                last.is_some_and(|last| last.counter > base.counter && last.heir() != Some(succession.signer))
            })
    }

    fn append(&mut self, entry: Entry) {
        let hash = self.log.len() as Hash;
        let signer = &mut self.devices[usize::from(entry.signer)];
        (signer.head, signer.seen, signer.lost) = (Some(hash), signer.seen | 1 << hash, false);
        let reign = if matches!(entry.operation, Operation::Succeed) { hash } else { entry.reign };
        self.log.push(Entry { reign, ..entry });
    }

    /// The entry that follows `who`'s, before anything is changed in it.
    fn following(&self, who: u8, operation: Operation) -> Option<Entry> {
        let previous = self.device(who).head?;
        let entry = *self.entry(previous);
        Some(Entry { previous: Some(previous), counter: entry.counter + 1, operation, signer: who, ..entry })
    }

    /// What `who` makes of the entry that is in force for `from`.
    fn would_take(&self, who: u8, from: u8, rules: Rules) -> Option<Hash> {
        let (device, new) = (self.device(who), self.device(from).head?);
        let entry = self.entry(new);
        if !has(entry.members, who) {
            return None;
        }
        let Some(old) = device.head else {
            // A newcomer's first entry comes from the host that admitted it.
            return (entry.host == from).then_some(new);
        };
        if old == new {
            return None;
        }
        let seen = device.seen | self.chain(new);
        if self.void(new, seen, rules) {
            return None;
        }
        let chain = self.chain(new);
        let own = self.entry(old);
        let follows = chain & (1 << old) != 0;
        if self.void(old, seen, rules) || (follows && entry.reign == own.reign) {
            return Some(new);
        }
        if entry.term <= own.term {
            return None;
        }
        // A later term. The first succession after what is in force here says who took over.
        let successor = self
            .entries(chain & !self.chain(old))
            .filter(|entry| entry.operation == Operation::Succeed)
            .min_by_key(|entry| entry.term)?
            .signer;
        let believed = match own.host {
            host if host == who => rules.host_yields && has(device.missed, successor),
            host => device.lost || from == host,
        };
        believed.then_some(new)
    }

    fn learn(&mut self, who: u8, from: u8, rules: Rules) {
        let taken = self.would_take(who, from, rules);
        let chain = self.device(from).head.map_or(0, |head| self.chain(head));
        let device = &mut self.devices[usize::from(who)];
        device.seen |= chain;
        if let Some(new) = taken {
            (device.head, device.lost) = (Some(new), false);
        }
    }

    /// Whether the sender's newest key is for other people than it should be.
    fn rotation_due(&self, meeting: &Meeting) -> bool {
        let company = self.company(meeting.sender, meeting.rules);
        let Some(key) = self.keys.last() else { return company != 0 };
        let came = company & !key.drawn_for != 0;
        let went = key.drawn_for & !company != 0;
        came || (went && meeting.rules.rotate_on_removal)
    }

    /// Who would be handed the sender's newest key now.
    fn to_be_handed(&self, meeting: &Meeting) -> Set {
        let Some(key) = self.keys.last() else { return 0 };
        let company = self.company(meeting.sender, meeting.rules);
        let allowed = if meeting.rules.hand_to_drawn_for { key.drawn_for & company } else { company };
        people(allowed & !key.holders).filter(|who| self.reach(meeting.sender, *who)).fold(0, |set, who| set | one(who))
    }
}

impl Meeting {
    /// What happens of itself, if nobody does anything and nothing breaks.
    fn own_course(&self, state: &State, actions: &mut Vec<Action>) {
        for who in people(state.alive) {
            for from in people(state.alive & !one(who)) {
                let together = has(state.company(from, self.rules), who)
                    && (state.device(who).head.is_none() || has(state.company(who, self.rules), from));
                let news = state.device(from).head.map_or(0, |head| state.chain(head)) & !state.device(who).seen != 0;
                if state.reach(who, from) && together && (news || state.would_take(who, from, self.rules).is_some()) {
                    actions.push(Action::Learn(who, from));
                }
            }
        }
        if self.after_silence(state) != *state {
            actions.push(Action::Silence);
        }
        if has(state.alive, self.sender) {
            if state.rotation_due(self) {
                actions.push(Action::Draw);
            }
            if state.waiting.is_some() {
                actions.push(Action::Switch);
            }
            actions.extend(people(state.to_be_handed(self)).map(Action::Hand));
        }
    }

    fn after_silence(&self, state: &State) -> State {
        let mut after = state.clone();
        for who in people(state.alive) {
            let missing = people(state.company(who, self.rules)).filter(|other| !state.reach(who, *other));
            let device = &mut after.devices[usize::from(who)];
            device.missed |= missing.fold(0, |set, other| set | one(other));
            device.lost = !state.hears_host(who);
        }
        after
    }
}

impl Model for Meeting {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let open = Entry {
            previous: None,
            term: 0,
            counter: 0,
            reign: 0,
            operation: Operation::Open,
            signer: 0,
            host: 0,
            members: self.first,
        };
        let nobody = Device { head: None, seen: 0, lost: false, missed: 0 };
        let mut devices = [nobody; PEOPLE as usize];
        for who in people(self.first) {
            devices[usize::from(who)] = Device { head: Some(0), seen: 1, ..nobody };
        }
        vec![State {
            log: vec![open],
            devices,
            alive: (1 << PEOPLE) - 1,
            cut: [0; PEOPLE as usize],
            keys: Vec::new(),
            sealing: None,
            waiting: None,
            operations: self.operations,
            splits: self.splits,
            crashes: self.crashes,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.own_course(state, actions);
        for who in people(state.alive) {
            let Some(head) = state.head(who) else { continue };
            let handed_over = !self.rules.hand_over_ends
                && state.entries(state.chain(state.device(who).head.unwrap_or(0))).any(|entry| {
                    entry.operation == Operation::HandOver && entry.signer == who
                });
            if state.operations > 0 && (head.host == who || handed_over) && has(head.members, who) {
                let admitted = state.log.iter().any(|entry| entry.operation == Operation::Admit);
                if !has(head.members, NEWCOMER) && !admitted && state.reach(who, NEWCOMER) {
                    actions.push(Action::Admit(who));
                }
                for other in people(head.members & !one(who) & !one(head.host)) {
                    actions.push(Action::Remove(who, other));
                    if head.host == who {
                        actions.push(Action::HandOver(who, other));
                    }
                }
            }
            let due = state.device(who).lost || !self.rules.heir_waits;
            let mut reigns = state.log.iter();
            let done = reigns.any(|entry| entry.operation == Operation::Succeed && entry.signer == who);
            if head.heir() == Some(who) && has(head.members, who) && due && !done {
                actions.push(Action::Succeed(who));
            }
        }
        if state.splits > 0 && state.whole() {
            // Halves of which one has person 0: each shape once.
            let everyone = (1 << PEOPLE) - 1;
            actions.extend((1..everyone).filter(|set| has(*set, 0)).map(Action::Split));
            actions.push(Action::Cut(0, 1));
            actions.push(Action::Cut(0, 2));
        }
        if !state.whole() {
            actions.push(Action::Heal);
        }
        if state.crashes > 0 {
            actions.extend(people(state.alive).take(2).map(Action::Crash));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Admit(who) => {
                let mut entry = state.following(who, Operation::Admit)?;
                entry.members |= one(NEWCOMER);
                state.append(entry);
                state.operations -= 1;
            }
            Action::Remove(who, other) => {
                let mut entry = state.following(who, Operation::Remove(other))?;
                entry.members &= !one(other);
                state.append(entry);
                state.operations -= 1;
            }
            Action::HandOver(who, other) => {
                let entry = state.following(who, Operation::HandOver)?;
                state.append(Entry { host: other, ..entry });
                state.operations -= 1;
            }
            Action::Succeed(who) => {
                let entry = state.following(who, Operation::Succeed)?;
                state.append(Entry { host: who, term: entry.term + 1, ..entry });
            }
            Action::Learn(who, from) => state.learn(who, from, self.rules),
            Action::Split(set) => {
                for who in 0..PEOPLE {
                    state.cut[usize::from(who)] = if has(set, who) { !set & ((1 << PEOPLE) - 1) } else { set };
                }
                state.splits -= 1;
            }
            Action::Cut(a, b) => {
                (state.cut[usize::from(a)], state.cut[usize::from(b)]) = (one(b), one(a));
                state.splits -= 1;
            }
            Action::Heal => {
                state.cut = [0; PEOPLE as usize];
                for who in people(state.alive) {
                    state.devices[usize::from(who)].lost &= !state.hears_host(who);
                }
            }
            Action::Crash(who) => {
                state.alive &= !one(who);
                state.crashes -= 1;
            }
            Action::Silence => state = self.after_silence(last),
            Action::Draw => {
                let seen = state.device(self.sender).seen;
                let admitted = state.entries(seen).fold(0, |set, entry| set | entry.members);
                state.keys.push(Key {
                    drawn_for: state.company(self.sender, self.rules),
                    holders: 0,
                    removed: state.removed(seen),
                    admitted,
                });
                state.waiting = Some(state.keys.len() as u8 - 1);
            }
            Action::Switch => (state.sealing, state.waiting) = (state.waiting, None),
            Action::Hand(who) => state.keys.last_mut()?.holders |= one(who),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(REMOVED_HOLDS_NOTHING_LATER, |_, state| {
                state.keys.iter().all(|key| key.holders & key.removed == 0)
            }),
            Property::always(NEWCOMER_HOLDS_NOTHING_EARLIER, |_, state| {
                state.keys.iter().all(|key| key.holders & !key.admitted == 0)
            }),
            Property::always(REMOVED_HEARS_NOTHING, |meeting: &Self, state| {
                let settled = !state.rotation_due(meeting) && state.waiting.is_none();
                let Some(key) = state.sealing.filter(|_| settled).map(|at| &state.keys[usize::from(at)]) else { return true };
                let removed = state.removed(state.device(meeting.sender).seen);
                let head = state.head(meeting.sender);
                head.is_none_or(|head| !has(head.members, meeting.sender)) || key.holders & removed == 0
            }),
            Property::always(ONE_CHAIN, |_, state| {
                state.log.iter().enumerate().all(|(at, entry)| {
                    let others = &state.log[at + 1..];
                    others.iter().all(|other| (other.reign, other.counter) != (entry.reign, entry.counter))
                })
            }),
            Property::always(ALL_AGREE, |meeting, state| {
                !meeting.is_quiet(state)
                    || people(state.alive).all(|a| {
                        people(state.company(a, meeting.rules) & state.alive)
                            .filter(|b| has(state.company(*b, meeting.rules), a))
                            .all(|b| state.device(a).head == state.device(b).head)
                    })
            }),
            Property::always(ALL_HEAR, |meeting, state| {
                let company = state.company(meeting.sender, meeting.rules);
                let key = state.sealing.map(|at| &state.keys[usize::from(at)]);
                !has(state.alive, meeting.sender)
                    || !meeting.is_quiet(state)
                    || company == 0
                    || key.is_some_and(|key| key.holders & state.alive == company & state.alive)
            }),
            Property::always(NO_REMOVED_HOST, |meeting, state| {
                people(state.alive).all(|who| {
                    let removed = state.removed(state.device(who).seen);
                    let host = state.head(who).filter(|head| has(head.members, who)).map(|head| head.host);
                    host.is_none_or(|host| host == who || !has(removed, host) || !meeting.is_quiet(state))
                })
            }),
            // The bounds are wide enough for what the rules are about.
            Property::sometimes(SUCCESSION_HEALED, |meeting, state| {
                meeting.is_quiet(state)
                    && people(state.alive).count() == usize::from(PEOPLE)
                    && people(meeting.first).all(|who| state.head(who).is_some_and(|head| head.term == 1))
            }),
            Property::sometimes(REMOVED_ON_A_LOST_BRANCH, |_, state| {
                people(state.alive).any(|who| {
                    let removed = state.removed(state.device(who).seen);
                    state.head(who).is_some_and(|head| head.term == 1 && has(head.members, who) && head.members & removed != 0)
                })
            }),
        ]
    }
}

impl Meeting {
    /// Whole, and nothing more happens of itself.
    fn is_quiet(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.own_course(state, &mut actions);
        state.whole() && actions.is_empty()
    }
}

const REMOVED_HOLDS_NOTHING_LATER: &str = "nobody holds a key drawn after the sender saw their removal";
const NEWCOMER_HOLDS_NOTHING_EARLIER: &str = "nobody holds a key drawn before the sender saw their admission";
const REMOVED_HEARS_NOTHING: &str = "once the switch is over, nobody who was removed holds the key in use";
const ONE_CHAIN: &str = "no two entries of one reign stand at one place";
const ALL_AGREE: &str = "when all is quiet, all who share a meeting have one list";
const ALL_HEAR: &str = "when all is quiet, all who should hear the sender do";
const NO_REMOVED_HOST: &str = "when all is quiet, nobody follows a host whose removal they saw";
const SUCCESSION_HEALED: &str = "a succession after which everyone is together again";
const REMOVED_ON_A_LOST_BRANCH: &str = "somebody removed on a branch that was given up";

impl fmt::Debug for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys of {}, {:?}", self.sender, self.rules)
    }
}

/// Four people from the start: removals, hand-overs, partitions and successions.
const TOGETHER: Meeting = Meeting { rules: RULES, sender: 2, first: 0b1111, operations: 2, splits: 1, crashes: 0 };
/// Three people, and a fourth who comes later.
const ARRIVAL: Meeting = Meeting { rules: RULES, sender: 2, first: 0b0111, operations: 2, splits: 1, crashes: 0 };

/// Searches everything and fails on a property that does not hold, or on an example that was not found.
fn holds(meeting: Meeting) -> usize {
    let checker = meeting.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

/// Searches until `property` is broken, and fails if it never is.
fn breaks(meeting: Meeting, property: &'static str) {
    let finish = HasDiscoveries::AllOf([property].into_iter().collect());
    let checker = meeting.checker().threads(2).finish_when(finish).spawn_bfs().join();
    assert!(checker.discovery(property).is_some(), "not caught by the search: {meeting:?}");
}

#[test]
fn the_rules_hold_when_all_are_there_from_the_start() {
    for sender in 0..3 {
        let n = holds(Meeting { sender, ..TOGETHER });
        eprintln!("{n}");
    }
}

#[test]
fn the_rules_hold_when_somebody_comes_later() {
    for sender in 0..3 {
        let n = holds(Meeting { sender, ..ARRIVAL });
        eprintln!("{n}");
    }
}
