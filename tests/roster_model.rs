//! The rules of the roster and of key rotation (docs/PROTOCOL.md), as a model that is searched exhaustively: four people of
//! whom one comes later, one host who admits, removes and hands over, one partition in any shape, one crash, and every order
//! in which news can travel between them. Each rule can be taken away, and the search must then find what breaks.
//!
//! What the model leaves out: signatures (nobody forges here); time but for one thing, a silence in which all news and all keys
//! have long reached whoever is in reach (and which counts alike for all whom one cut separates: others believe an heir after a
//! shorter silence than it waits itself, which gives the margin); a person who comes back under a new index; a host that lies; a
//! second partition, more than one or two changes at once, and an heir that takes over a third time.

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
    /// Changes nothing: the host is there.
    Assert,
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
    /// Entries known, whether they were ever in force here or not.
    seen: u16,
    /// Entries that were in force here, on whatever branch.
    held: u16,
    /// The host has been silent for as long as it takes to call it lost.
    lost: bool,
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
    Assert(u8),
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
    /// A host puts no succession in force that is from itself.
    host_keeps: bool,
    /// A host that learns of a succession on the entry in force makes an entry of its own.
    host_asserts: bool,
    /// An entry of the host stands in the place of a succession.
    host_stands: bool,
    /// Whoever was removed on any branch stays out.
    removed_stay_out: bool,
    /// Whoever has handed over signs nothing more.
    hand_over_ends: bool,
}

const RULES: Rules = Rules {
    rotate_on_removal: true,
    hand_to_drawn_for: true,
    heir_waits: true,
    host_keeps: true,
    host_asserts: true,
    host_stands: true,
    removed_stay_out: true,
    hand_over_ends: true,
};

#[derive(Clone, Copy)]
struct Meeting {
    rules: Rules,
    /// Whose keys are followed. Senders do not share keys, so one at a time is enough; or nobody's.
    sender: Option<u8>,
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

    /// Whose removal `who` has seen in force, on any branch; but not the host's of its list, by an heir that was given up.
    fn barred(&self, who: u8) -> Set {
        let host = self.head(who).map_or(0, |head| one(head.host));
        self.removed(self.device(who).held) & !host
    }

    /// Whom `who` shares the meeting with: its list, less those who are barred.
    fn company(&self, who: u8, rules: Rules) -> Set {
        let Some(head) = self.head(who) else { return 0 };
        if !has(head.members, who) {
            return 0;
        }
        let barred = if rules.removed_stay_out { self.barred(who) } else { 0 };
        head.members & !barred & !one(who)
    }

    fn is_host(&self, who: u8) -> bool {
        has(self.alive, who) && self.head(who).is_some_and(|head| head.host == who)
    }

    /// Whether the host of `who`'s list still says so to it.
    fn hears_host(&self, who: u8, rules: Rules) -> bool {
        let Some(head) = self.head(who) else { return true };
        let host = head.host;
        let together = has(self.company(who, rules), host) && has(self.company(host, rules), who);
        host == who || (together && self.reach(who, host) && self.is_host(host))
    }

    /// Whether in `who`'s chain somebody took over from `who` itself.
    fn is_unseated(&self, who: u8) -> bool {
        let Some(head) = self.device(who).head else { return false };
        self.entries(self.chain(head))
            .filter(|entry| entry.operation == Operation::Succeed)
            .any(|entry| entry.previous.is_some_and(|base| self.entry(base).host == who))
    }

    fn append(&mut self, entry: Entry) {
        let hash = self.log.len() as Hash;
        let signer = &mut self.devices[usize::from(entry.signer)];
        (signer.head, signer.lost) = (Some(hash), false);
        (signer.seen, signer.held) = (signer.seen | 1 << hash, signer.held | 1 << hash);
        let reign = if matches!(entry.operation, Operation::Succeed) { hash } else { entry.reign };
        self.log.push(Entry { reign, ..entry });
    }

    /// The entry that follows `who`'s, before anything is changed in it.
    fn following(&self, who: u8, operation: Operation) -> Option<Entry> {
        let previous = self.device(who).head?;
        let entry = *self.entry(previous);
        Some(Entry { previous: Some(previous), counter: entry.counter + 1, operation, signer: who, ..entry })
    }

    /// The entry that a device puts in force next, of those it has seen.
    fn next_in_force(&self, who: u8, device: &Device, rules: Rules) -> Option<Hash> {
        let head = device.head.filter(|head| has(self.entry(*head).members, who))?;
        let chain = self.chain(head);
        let seen = || (0..self.log.len() as Hash).filter(|hash| device.seen & (1 << hash) != 0);
        let is_succession = |hash: Hash| self.entry(hash).operation == Operation::Succeed;
        // Of the host, in the place of a succession.
        let instead = seen().filter(|hash| chain & (1 << hash) == 0 && !is_succession(*hash)).find(|hash| {
            let base = self.entry(*hash).previous;
            (0..self.log.len() as Hash)
                .any(|next| chain & (1 << next) != 0 && is_succession(next) && self.entry(next).previous == base)
        });
        let follows = |hash: &Hash| self.entry(*hash).previous == Some(head);
        let after = || seen().filter(follows).find(|hash| !is_succession(*hash));
        let hosts = self.entry(head).host == who;
        let believes = if hosts { !rules.host_keeps } else { device.lost };
        let heirs = || seen().filter(follows).find(|hash| is_succession(*hash) && believes);
        instead.filter(|_| rules.host_stands).or_else(after).or_else(heirs)
    }

    /// `who` after `from` has told it all that it knows.
    fn taught(&self, who: u8, from: u8, rules: Rules) -> Device {
        let mut device = *self.device(who);
        device.seen |= self.device(from).seen;
        if device.head.is_none() {
            // A newcomer's first entry is that of its admission, and whoever admitted it sends it.
            let admits = |hash: &Hash| {
                let entry = self.entry(*hash);
                entry.operation == Operation::Admit && entry.signer == from
            };
            device.head = (0..self.log.len() as Hash).filter(|hash| device.seen & (1 << hash) != 0).find(admits);
            device.held |= device.head.map_or(0, |hash| 1 << hash);
        }
        while let Some(new) = self.next_in_force(who, &device, rules) {
            let host = device.head.map(|hash| self.entry(hash).host);
            device.lost &= host == Some(self.entry(new).host);
            (device.head, device.held) = (Some(new), device.held | 1 << new);
        }
        device
    }

    /// Whether the sender's newest key is for other people than it should be.
    fn rotation_due(&self, meeting: &Meeting) -> bool {
        let Some(sender) = meeting.sender else { return false };
        let company = self.company(sender, meeting.rules);
        let Some(key) = self.keys.last() else { return company != 0 };
        let came = company & !key.drawn_for != 0;
        let went = key.drawn_for & !company != 0;
        came || (went && meeting.rules.rotate_on_removal)
    }

    /// Who would be handed the sender's newest key now.
    fn to_be_handed(&self, meeting: &Meeting) -> Set {
        let (Some(key), Some(sender)) = (self.keys.last(), meeting.sender) else { return 0 };
        let company = self.company(sender, meeting.rules);
        let allowed = if meeting.rules.hand_to_drawn_for { key.drawn_for & company } else { company };
        people(allowed & !key.holders).filter(|who| self.reach(sender, *who)).fold(0, |set, who| set | one(who))
    }
}

impl Meeting {
    /// What happens of itself, if nobody does anything and nothing breaks.
    fn own_course(&self, state: &State, actions: &mut Vec<Action>) {
        for who in people(state.alive) {
            for from in people(state.alive & !one(who)) {
                let together = has(state.company(from, self.rules), who)
                    && (state.device(who).head.is_none() || has(state.company(who, self.rules), from));
                if state.reach(who, from) && together && state.taught(who, from, self.rules) != *state.device(who) {
                    actions.push(Action::Learn(who, from));
                }
            }
        }
        if self.sender.is_some_and(|sender| has(state.alive, sender)) {
            if state.rotation_due(self) {
                actions.push(Action::Draw);
            }
            if state.waiting.is_some() {
                actions.push(Action::Switch);
            }
            actions.extend(people(state.to_be_handed(self)).map(Action::Hand));
        }
        actions.extend(people(state.alive).filter(|who| self.takes_over(state, *who)).map(Action::Succeed));
        actions.extend(people(state.alive).filter(|who| self.asserts(state, *who)).map(Action::Assert));
        // All this is faster than a silence.
        if actions.is_empty() && self.after_silence(state) != *state {
            actions.push(Action::Silence);
        }
    }

    /// Whether `who` is the heir, has lost the host and not everyone, and has not taken over from here before.
    fn takes_over(&self, state: &State, who: u8) -> bool {
        let Some(head) = state.head(who) else { return false };
        let before = || state.log.iter().filter(|entry| entry.operation == Operation::Succeed && entry.signer == who);
        let done = before().count() > 1 || before().any(|entry| entry.previous == state.device(who).head);
        let hears = |other| state.reach(who, other) && has(state.company(other, self.rules), who);
        let due = state.device(who).lost && people(state.company(who, self.rules)).any(hears);
        head.heir() == Some(who) && has(head.members, who) && (due || !self.rules.heir_waits) && !done
    }

    /// Whether `who` hosts, and knows that somebody took over from here.
    fn asserts(&self, state: &State, who: u8) -> bool {
        let device = state.device(who);
        let mut seen = state.entries(device.seen);
        let claimed = seen.any(|entry| entry.operation == Operation::Succeed && entry.previous == device.head);
        self.rules.host_asserts && state.is_host(who) && claimed
    }

    fn after_silence(&self, state: &State) -> State {
        let mut after = state.clone();
        for who in people(state.alive) {
            let device = &mut after.devices[usize::from(who)];
            device.lost = !state.hears_host(who, self.rules);
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
        let nobody = Device { head: None, seen: 0, held: 0, lost: false };
        let mut devices = [nobody; PEOPLE as usize];
        for who in people(self.first) {
            devices[usize::from(who)] = Device { head: Some(0), seen: 1, held: 1, ..nobody };
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
                && state
                    .entries(state.chain(state.device(who).head.unwrap_or(0)))
                    .any(|entry| entry.operation == Operation::HandOver && entry.signer == who);
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
            Action::Assert(who) => {
                let entry = state.following(who, Operation::Assert)?;
                state.append(entry);
            }
            Action::Learn(who, from) => state.devices[usize::from(who)] = last.taught(who, from, self.rules),
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
                    state.devices[usize::from(who)].lost &= !state.hears_host(who, self.rules);
                }
            }
            Action::Crash(who) => {
                state.alive &= !one(who);
                state.crashes -= 1;
            }
            Action::Silence => state = self.after_silence(last),
            Action::Draw => {
                let sender = self.sender?;
                let held = state.device(sender).held;
                let admitted = state.entries(held).fold(0, |set, entry| set | entry.members);
                state.keys.push(Key {
                    drawn_for: state.company(sender, self.rules),
                    holders: 0,
                    removed: state.barred(sender),
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
            Property::always(REMOVED_HOLDS_NOTHING_LATER, |_, state: &State| {
                state.keys.iter().all(|key| key.holders & key.removed == 0)
            }),
            Property::always(NEWCOMER_HOLDS_NOTHING_EARLIER, |_, state: &State| {
                state.keys.iter().all(|key| key.holders & !key.admitted == 0)
            }),
            Property::always(REMOVED_HEARS_NOTHING, |meeting: &Self, state: &State| {
                let settled = !state.rotation_due(meeting) && state.waiting.is_none();
                let (Some(sender), Some(at), true) = (meeting.sender, state.sealing, settled) else { return true };
                let inside = state.head(sender).is_some_and(|head| has(head.members, sender));
                !inside || state.keys[usize::from(at)].holders & state.barred(sender) == 0
            }),
            Property::always(ONE_CHAIN, |_, state: &State| {
                state.log.iter().enumerate().all(|(at, entry)| {
                    let others = &state.log[at + 1..];
                    others.iter().all(|other| (other.reign, other.counter) != (entry.reign, entry.counter))
                })
            }),
            Property::always(ALL_AGREE, |meeting: &Self, state: &State| {
                !meeting.is_quiet(state)
                    || people(state.alive).all(|a| {
                        people(state.company(a, meeting.rules) & state.alive)
                            .filter(|b| has(state.company(*b, meeting.rules), a))
                            .all(|b| state.device(a).head == state.device(b).head)
                    })
            }),
            Property::always(ALL_HEAR, |meeting: &Self, state: &State| {
                let Some(sender) = meeting.sender.filter(|sender| has(state.alive, *sender)) else { return true };
                let company = state.company(sender, meeting.rules);
                let key = state.sealing.map(|at| &state.keys[usize::from(at)]);
                let hear = key.is_some_and(|key| key.holders & state.alive == company & state.alive);
                company == 0 || hear || !meeting.is_quiet(state)
            }),
            Property::always(HOST_STAYS, |_, state: &State| people(state.alive).all(|who| !state.is_unseated(who))),
            Property::always(UNDISTURBED, |meeting: &Self, state: &State| {
                let undisturbed = (state.splits, state.crashes) == (meeting.splits, meeting.crashes);
                let is_usurper = |entry: &Entry| {
                    let host = entry.previous.map(|base| state.entry(base).host).and_then(|host| state.head(host));
                    entry.operation == Operation::Succeed && host.is_some_and(|list| has(list.members, entry.signer))
                };
                !undisturbed || !state.log.iter().any(is_usurper)
            }),
            // The bounds are wide enough for what the rules are about.
            Property::sometimes(SUCCESSION_STANDS, |meeting: &Self, state: &State| {
                meeting.is_quiet(state)
                    && people(state.alive).all(|who| state.head(who).is_some_and(|head| head.term > 0))
            }),
            Property::sometimes(SUCCESSION_GIVEN_UP, |meeting: &Self, state: &State| {
                meeting.is_quiet(state)
                    && state.log.iter().filter(|entry| entry.operation == Operation::Succeed).count() > 1
                    && people(meeting.first).all(|who| state.head(who).is_some_and(|head| head.term == 0))
            }),
            Property::sometimes(REMOVED_ON_A_LOST_BRANCH, |_, state: &State| {
                people(state.alive).any(|who| {
                    let barred = state.barred(who);
                    state
                        .head(who)
                        .is_some_and(|head| head.term == 0 && has(head.members, who) && head.members & barred != 0)
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
const HOST_STAYS: &str = "nobody follows somebody who took over from themselves";
const UNDISTURBED: &str = "while nothing breaks, nobody takes over from a host that lists them";
const SUCCESSION_STANDS: &str = "a host that is lost, and an heir whom everyone follows";
const SUCCESSION_GIVEN_UP: &str = "successions after which everyone follows the host again";
const REMOVED_ON_A_LOST_BRANCH: &str = "somebody removed on a branch that was given up";

impl fmt::Debug for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys of {:?}, {:?}", self.sender, self.rules)
    }
}

/// Four people from the start, who part once in any shape.
const TOGETHER: Meeting = Meeting { rules: RULES, sender: None, first: 0b1111, operations: 1, splits: 1, crashes: 0 };
/// Three people, and a fourth who may come later; nobody parts.
const ARRIVAL: Meeting = Meeting { rules: RULES, sender: None, first: 0b0111, operations: 2, splits: 0, crashes: 0 };

/// Searches everything; fails on a rule that does not hold. Returns the number of states, and the examples found.
fn holds(meeting: Meeting) -> (usize, Vec<&'static str>) {
    let checker = meeting.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    for property in meeting.properties() {
        if property.expectation.discovery_is_failure() {
            checker.assert_no_discovery(property.name);
        }
    }
    (checker.unique_state_count(), checker.discoveries().into_keys().collect())
}

/// Searches until `property` is broken, and fails if it never is.
fn breaks(meeting: Meeting, property: &'static str) {
    let finish = HasDiscoveries::AllOf([property].into_iter().collect());
    let checker = meeting.checker().threads(2).finish_when(finish).spawn_bfs().join();
    assert!(checker.discovery(property).is_some(), "the search did not break \"{property}\": {meeting:?}");
}

#[test]
fn one_list_comes_of_every_partition_and_crash() {
    let (states, examples) = holds(Meeting { crashes: 1, ..TOGETHER });
    assert!(states > 50_000, "{states} states are not what these bounds hold");
    // The bounds are wide enough for what the rules are about.
    assert!(
        [SUCCESSION_STANDS, SUCCESSION_GIVEN_UP, REMOVED_ON_A_LOST_BRANCH].iter().all(|one| examples.contains(one)),
        "{examples:?}"
    );
}

#[test]
fn one_list_comes_of_two_changes_while_people_come_and_part() {
    holds(Meeting { operations: 2, splits: 1, ..ARRIVAL });
}

#[test]
fn one_list_comes_of_two_changes_a_partition_and_a_crash() {
    holds(Meeting { operations: 2, ..TOGETHER });
    holds(Meeting { splits: 1, crashes: 1, ..ARRIVAL });
}

#[test]
fn keys_reach_those_they_are_for_and_nobody_else() {
    for sender in [0, 1, 2].map(Some) {
        holds(Meeting { sender, ..TOGETHER });
        holds(Meeting { sender, ..ARRIVAL });
    }
}

#[test]
fn without_a_fresh_key_after_a_removal_the_removed_listen_on() {
    let rules = Rules { rotate_on_removal: false, ..RULES };
    breaks(Meeting { rules, sender: Some(2), ..TOGETHER }, REMOVED_HEARS_NOTHING);
}

#[test]
fn a_key_given_to_whoever_is_a_member_by_now_tells_newcomers_the_past() {
    let rules = Rules { hand_to_drawn_for: false, ..RULES };
    breaks(Meeting { rules, sender: Some(2), ..ARRIVAL }, NEWCOMER_HOLDS_NOTHING_EARLIER);
}

#[test]
fn an_heir_that_does_not_wait_takes_over_from_a_host_that_is_there() {
    breaks(Meeting { rules: Rules { heir_waits: false, ..RULES }, ..TOGETHER }, UNDISTURBED);
}

#[test]
fn a_host_that_gives_way_is_unseated_though_it_is_there() {
    breaks(Meeting { rules: Rules { host_keeps: false, ..RULES }, ..TOGETHER }, HOST_STAYS);
}

#[test]
fn a_host_that_does_not_say_that_it_is_there_leaves_the_meeting_split() {
    breaks(Meeting { rules: Rules { host_asserts: false, ..RULES }, ..TOGETHER }, ALL_AGREE);
}

#[test]
fn a_succession_that_stands_against_an_entry_of_the_host_splits_the_meeting() {
    breaks(Meeting { rules: Rules { host_stands: false, ..RULES }, ..TOGETHER }, ALL_AGREE);
}

#[test]
fn a_removal_forgotten_with_its_branch_gives_the_removed_later_keys() {
    let rules = Rules { removed_stay_out: false, ..RULES };
    breaks(Meeting { rules, sender: Some(2), ..TOGETHER }, REMOVED_HOLDS_NOTHING_LATER);
}

#[test]
fn a_host_that_goes_on_after_handing_over_makes_two_chains() {
    let rules = Rules { hand_over_ends: false, ..RULES };
    breaks(Meeting { rules, operations: 3, splits: 0, ..TOGETHER }, ONE_CHAIN);
}
