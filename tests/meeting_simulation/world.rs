//! Meetings as they go: people come and go, programs crash, the network breaks in every way, and then it is whole again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use conclave::protocol::meeting::{Event, Meeting, PeerNo};
use conclave::protocol::roster::MemberRole;

use crate::checker::{Checker, Flaw};
use crate::virtual_relay::{Dice, Malice, Network, guest, host, open_invite};

/// How long a program waits for somebody silent before it gives them up: as an engine does when media has stopped, too.
const PATIENCE: Duration = Duration::from_secs(15);
/// By then, after the network has become whole, everyone agrees: the longest silence (30 s), [`PATIENCE`], and a few rounds.
pub(crate) const SETTLED: Duration = Duration::from_secs(90);
/// So long they go on agreeing.
const STEADY: Duration = Duration::from_secs(4);
/// People at a time, in the meeting or on the way in.
const MOST: usize = 8;
/// Programs that take part in one schedule.
const MOST_NODES: usize = 13;

/// What may happen in a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weather {
    /// People come and go over a relay that does its work.
    Calm,
    /// A relay that loses, repeats, reorders, delays and mixes up.
    Rough,
    /// And connections that break, parts of the room that do not hear each other, programs that crash.
    Storm,
}

pub(crate) struct World {
    pub(crate) net: Network,
    pub(crate) checker: Checker,
    dice: Dice,
    seed: u64,
    weather: Weather,
    /// Identity of each node.
    who: Vec<u8>,
    /// Members that fell silent: given up at this time.
    silent: BTreeMap<(usize, PeerNo), Instant>,
    seen: Vec<usize>,
    /// Somebody was given up.
    pub(crate) dropped: bool,
    pub(crate) story: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather, flaw: Flaw) -> Self {
        let mut dice = Dice::new(seed ^ 0x005e_ed0f_1dea);
        let mut net = Network::new(seed);
        net.latency = Duration::from_millis(5 + dice.below(80) as u64);
        let (meeting, _) = host(seed);
        let mut world = Self {
            net,
            checker: Checker::new(flaw),
            dice,
            seed,
            weather,
            who: vec![1],
            silent: BTreeMap::new(),
            seen: vec![0],
            dropped: false,
            story: Vec::new(),
        };
        world.net.add(meeting);
        world.net.nodes[0].admit_all = true;
        world.observe();
        world
    }

    fn tell(&mut self, what: String) {
        let at = self.net.elapsed().as_millis();
        self.story.push(format!("{at} ms: {what}"));
    }

    fn is_running(&self, at: usize) -> bool {
        !self.net.nodes[at].crashed && !self.net.nodes[at].meeting.is_over()
    }

    pub(crate) fn is_in(&self, at: usize) -> bool {
        self.is_running(at) && self.net.nodes[at].meeting.roster().is_some()
    }

    pub(crate) fn members(&self) -> Vec<usize> {
        (0..self.net.nodes.len()).filter(|at| self.is_in(*at)).collect()
    }

    fn pick(&mut self, from: &[usize]) -> Option<usize> {
        (!from.is_empty()).then(|| from[self.dice.below(from.len())])
    }

    fn hosts(&self) -> Vec<usize> {
        self.members().into_iter().filter(|at| self.net.nodes[*at].meeting.is_host()).collect()
    }

    /// Another member that this one can talk to.
    fn companion(&mut self, at: usize) -> Option<PeerNo> {
        let paired: Vec<PeerNo> = self.checker.nodes[at].paired.iter().copied().collect();
        (!paired.is_empty()).then(|| paired[self.dice.below(paired.len())])
    }

    // Time passes.

    fn observe(&mut self) {
        let now = self.net.now;
        for at in 0..self.net.nodes.len() {
            let node = &self.net.nodes[at];
            for event in &node.events[self.seen[at]..] {
                match event {
                    Event::Silent { peer } => drop(self.silent.insert((at, *peer), now + PATIENCE)),
                    Event::HeardAgain { peer } | Event::Left { peer, .. } => drop(self.silent.remove(&(at, *peer))),
                    _ => {}
                }
            }
            self.seen[at] = node.events.len();
            self.checker.observe(now, at, &node.meeting, &node.events);
        }
        let nodes = &self.net.nodes;
        self.checker.check_moment(now, |at| nodes[at].crashed);
    }

    /// What programs do by themselves: they give up whoever has been silent for too long.
    fn lose_patience(&mut self) {
        let now = self.net.now;
        let due: Vec<(usize, PeerNo)> =
            self.silent.iter().filter(|(_, until)| **until <= now).map(|(which, _)| *which).collect();
        for (at, peer) in due {
            self.silent.remove(&(at, peer));
            if self.is_in(at) {
                self.dropped = true;
                self.tell(format!("{at} gives {peer} up"));
                self.net.with(at, |meeting, now| {
                    let _ = meeting.drop_peer(now, peer); // it may just have gone
                });
                self.observe();
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.checker.faults.is_empty()
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.net.now + time;
        while self.net.now < end && self.is_whole() {
            let slice = (self.net.now + Duration::from_millis(500)).min(end);
            while self.is_whole() && self.net.step(slice) {
                self.observe();
            }
            self.net.now = slice;
            self.lose_patience();
            self.observe();
        }
    }

    // What happens.

    /// One thing, at random.
    pub(crate) fn act(&mut self) {
        let calm = 14;
        let kinds = if self.weather == Weather::Storm { calm + 9 } else { calm };
        match self.dice.below(kinds) {
            0..=4 => self.join(),
            5 => self.leave(),
            6 => self.remove(),
            7 => self.hand_over(),
            8 => self.lock(),
            9 | 10 => self.cohost(),
            11 => self.by_cohost(),
            12 => self.media(),
            13 => self.leave_to_heir(),
            14 => self.crash(),
            15 => self.reconnect(),
            16 | 17 => self.part_two(),
            18 => self.part_groups(),
            19 => self.part_one_way(),
            20 => self.relay_dies(),
            _ => self.heal(),
        }
        self.observe();
    }

    pub(crate) fn join(&mut self) {
        let hosts = self.hosts();
        let there = (0..self.net.nodes.len()).filter(|at| self.is_running(*at)).count();
        let Some(at) = self.pick(&hosts).filter(|_| there < MOST && self.net.nodes.len() < MOST_NODES) else { return };
        let number = self.net.nodes.len();
        // Sometimes somebody who was there before, and whose program may still be running.
        let again = self.dice.chance(15).then(|| 1 + self.dice.below(number));
        let who = match again.map(|at| self.who[at - 1]) {
            Some(who) if who != self.who[at] => who,
            _ => 2 + number as u8,
        };
        let Ok(invite) = self.net.nodes[at].meeting.create_invite(open_invite()) else { return };
        self.tell(format!("{number}, who is {who}, calls {at}"));
        let joining = guest(&invite, who, self.seed.wrapping_mul(64) + number as u64);
        self.who.push(who);
        self.seen.push(0);
        self.net.add(joining);
        self.net.nodes[number].admit_all = true;
        self.observe();
    }

    fn leave(&mut self) {
        let others: Vec<usize> =
            self.members().into_iter().filter(|at| !self.net.nodes[*at].meeting.is_host()).collect();
        if let Some(at) = self.pick(&others) {
            self.tell(format!("{at} leaves"));
            self.net.with(at, Meeting::leave);
        }
    }

    fn leave_to_heir(&mut self) {
        let hosts = self.hosts();
        if let Some(at) = self.pick(&hosts).filter(|_| self.members().len() > 2) {
            self.tell(format!("{at} leaves the meeting to its heir"));
            self.net.with(at, Meeting::leave_to_heir);
        }
    }

    fn remove(&mut self) {
        let hosts = self.hosts();
        let Some(at) = self.pick(&hosts).filter(|_| self.members().len() > 2) else { return };
        if let Some(peer) = self.companion(at) {
            self.tell(format!("{at} sends {peer} out"));
            self.net.with(at, |meeting, now| meeting.remove(now, peer).unwrap());
        }
    }

    fn hand_over(&mut self) {
        let hosts = self.hosts();
        let Some(at) = self.pick(&hosts) else { return };
        if let Some(peer) = self.companion(at) {
            self.tell(format!("{at} hands over to {peer}"));
            self.net.with(at, |meeting, now| meeting.hand_over(now, peer).unwrap());
        }
    }

    fn lock(&mut self) {
        let hosts = self.hosts();
        let Some(at) = self.pick(&hosts) else { return };
        let locked = self.dice.chance(30);
        self.tell(format!("{at} sets locked to {locked}"));
        self.net.with(at, |meeting, now| meeting.set_locked(now, locked).unwrap());
    }

    fn cohost(&mut self) {
        let hosts = self.hosts();
        let Some(at) = self.pick(&hosts) else { return };
        let yes = self.dice.chance(70);
        if let Some(peer) = self.companion(at) {
            self.tell(format!("{at} makes {peer} a co-host: {yes}"));
            self.net.with(at, |meeting, now| meeting.set_cohost(now, peer, yes).unwrap());
        }
    }

    fn by_cohost(&mut self) {
        let role = |world: &Self, at: usize| {
            let (index, _) = world.checker.nodes[at].own?;
            Some(world.net.nodes[at].meeting.roster()?.current().member(index)?.role)
        };
        let cohosts: Vec<usize> =
            self.members().into_iter().filter(|at| role(self, *at) == Some(MemberRole::CoHost)).collect();
        let Some(at) = self.pick(&cohosts) else { return };
        let (remove, locked) = (self.dice.chance(50), self.dice.chance(30));
        match self.companion(at).filter(|_| remove) {
            Some(peer) => {
                self.tell(format!("{at} asks to send {peer} out"));
                self.net.with(at, |meeting, now| {
                    let _ = meeting.remove(now, peer); // it may no longer be a co-host
                });
            }
            None => {
                self.tell(format!("{at} asks to set locked to {locked}"));
                self.net.with(at, |meeting, now| {
                    let _ = meeting.set_locked(now, locked); // it may no longer be a co-host
                });
            }
        }
    }

    fn media(&mut self) {
        let members = self.members();
        let Some(at) = self.pick(&members) else { return };
        let (mic, camera) = (self.dice.chance(50), self.dice.chance(50));
        self.net.with(at, |meeting, now| meeting.send_media_state(now, mic, camera));
    }

    pub(crate) fn crash(&mut self) {
        let members = self.members();
        if let Some(at) = self.pick(&members).filter(|_| members.len() > 2) {
            self.tell(format!("{at} crashes"));
            self.net.crash(at);
        }
    }

    fn reconnect(&mut self) {
        let all: Vec<usize> = (0..self.net.nodes.len()).filter(|at| self.is_running(*at)).collect();
        let Some(at) = self.pick(&all) else { return };
        self.tell(format!("{at} reconnects, or is cut off"));
        if self.net.nodes[at].conn.is_some() && self.dice.chance(50) {
            self.net.disconnect(at);
        } else {
            self.net.connect(at);
        }
    }

    fn part_two(&mut self) {
        let (one, other) = (self.dice.below(self.net.nodes.len()), self.dice.below(self.net.nodes.len()));
        self.tell(format!("{one} and {other} do not hear each other"));
        self.net.part(one, other);
    }

    fn part_groups(&mut self) {
        let nodes = self.net.nodes.len();
        let group: BTreeSet<usize> = (0..nodes).filter(|_| self.dice.chance(50)).collect();
        self.tell(format!("{group:?} and the others do not hear each other"));
        for one in &group {
            (0..nodes).filter(|other| !group.contains(other)).for_each(|other| self.net.part(*one, other));
        }
    }

    fn part_one_way(&mut self) {
        let (one, other) = (self.dice.below(self.net.nodes.len()), self.dice.below(self.net.nodes.len()));
        self.tell(format!("{other} does not hear {one}"));
        self.net.cut.insert((one, other));
    }

    fn relay_dies(&mut self) {
        self.tell("the relay dies and comes back".into());
        self.net.die();
        for at in 0..self.net.nodes.len() {
            if self.is_running(at) {
                self.net.connect(at);
            }
        }
    }

    fn heal(&mut self) {
        self.net.heal();
        for at in 0..self.net.nodes.len() {
            if self.is_running(at) && self.net.nodes[at].conn.is_none() {
                self.net.connect(at);
            }
        }
        self.tell("everyone hears everyone".into());
    }

    pub(crate) fn worsen(&mut self) {
        if self.weather == Weather::Calm {
            return;
        }
        let heat = 1 + self.dice.below(30);
        let mut up_to = || self.dice.below(heat + 1) as u32;
        self.net.malice = Malice {
            drop: up_to(),
            duplicate: up_to(),
            replay: up_to(),
            misroute: up_to() / 3,
            flip: up_to() / 3,
            invent: up_to() / 3,
            false_leave: up_to() / 6,
            delay: Duration::from_millis(u64::from(up_to()) * 30),
            ..Malice::default()
        };
    }

    /// The network is whole from now on.
    pub(crate) fn clear(&mut self) {
        self.net.malice = Malice::default();
        self.heal();
        self.observe();
    }

    /// Each member's list, for whoever has to find out what went wrong.
    pub(crate) fn picture(&self) -> String {
        let one = |at: usize| {
            let entry = self.net.nodes[at].meeting.roster()?.current();
            let (own, _) = self.checker.nodes[at].own?;
            let members: Vec<u16> = entry.members.iter().map(|member| member.index).collect();
            let paired: Vec<Option<usize>> =
                self.checker.nodes[at].paired.iter().map(|peer| self.checker.peer_node(at, *peer)).collect();
            let (term, counter, host) = (entry.term, entry.counter, entry.host()?.index);
            Some(format!(
                "{at} is {own} in {members:?}, hosted by {host}, term {term}, entry {counter} ({:?}), heir {}, sessions {paired:?}, {:?}",
                entry.operation,
                entry.heir,
                self.net.nodes[at].meeting.counters(),
            ))
        };
        self.members().into_iter().filter_map(one).collect::<Vec<_>>().join("\n")
    }

    // How it ends.

    /// What is still missing until everyone agrees; `None`: everyone does.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let members = self.members();
        for at in &members {
            let meeting = &self.net.nodes[*at].meeting;
            let (Some(roster), Some((own, _))) = (meeting.roster(), self.checker.nodes[*at].own) else { continue };
            // Cut off from the host and from its heir, or left by both, nobody may change the list: it stays as it is.
            if !self.has_somebody_in_charge(*at) {
                continue;
            }
            let others: Vec<u16> =
                roster.current().members.iter().map(|member| member.index).filter(|index| *index != own).collect();
            for index in &others {
                let Some(peer) = self.checker.number(*at, *index) else {
                    return Some(format!("{at} has no number for {index}"));
                };
                let Some(other) = self.checker.peer_node(*at, peer).filter(|other| self.is_in(*other)) else {
                    return Some(format!("{at} lists {index}, who is not there"));
                };
                let theirs = self.net.nodes[other].meeting.roster();
                let own_key = roster.current().member(own).map(|one| one.static_key);
                let counts_us = theirs.is_some_and(|theirs| {
                    theirs.current().members.iter().any(|member| Some(member.static_key) == own_key)
                });
                if self.dropped && !counts_us {
                    // They gave us up, on a list of their own; we shall give them up, too.
                    continue;
                }
                if theirs.map(|roster| roster.hash()) != Some(roster.hash()) {
                    return Some(format!("{at} and {other} have different lists"));
                }
                if !self.checker.nodes[*at].paired.contains(&peer) {
                    return Some(format!("{at} has no session with {other}"));
                }
                let Some(generation) = self.checker.nodes[other].in_use else {
                    return Some(format!("{other} seals nothing"));
                };
                if !self.checker.is_open(*at, peer, generation) {
                    return Some(format!("{at} cannot open generation {generation} of {other}"));
                }
                let (own_code, code) = (&self.checker.nodes[*at].code, &self.checker.nodes[other].code);
                if own_code.is_none() || own_code != code {
                    return Some(format!("{at} and {other} have no code in common"));
                }
            }
        }
        let lists: BTreeSet<[u8; 32]> =
            members.iter().filter_map(|at| Some(self.net.nodes[*at].meeting.roster()?.hash())).collect();
        (lists.len() > 1 && !self.dropped).then(|| format!("{} lists, though nobody was given up", lists.len()))
    }

    /// Whether the host of somebody's list, or the heir that it names, is in the meeting and has them in its own list.
    fn has_somebody_in_charge(&self, at: usize) -> bool {
        let (Some(roster), Some((own, _))) = (self.net.nodes[at].meeting.roster(), self.checker.nodes[at].own) else {
            return false;
        };
        let entry = roster.current();
        let counts = |index: u16| {
            if index == own {
                return true;
            }
            let node = self.checker.number(at, index).and_then(|peer| self.checker.peer_node(at, peer));
            node.filter(|node| self.is_in(*node)).is_some_and(|node| {
                let theirs = self.net.nodes[node].meeting.roster();
                theirs.is_some_and(|theirs| {
                    theirs.current().member(own).map(|one| one.static_key)
                        == entry.member(own).map(|one| one.static_key)
                })
            })
        };
        entry.host().is_some_and(|host| counts(host.index)) || counts(entry.heir)
    }

    /// Runs until everyone agrees, at most for [`SETTLED`]; how long it took.
    pub(crate) fn settle(&mut self) -> Result<Duration, String> {
        let since = self.net.now;
        let mut agreed = None;
        // It holds for a while: whoever is on the way in must not change that.
        while agreed.is_none_or(|agreed| self.net.now < agreed + STEADY) {
            if !self.is_whole() {
                return Err(self.checker.faults.join("; "));
            }
            match self.unsettled() {
                Some(what) if self.net.now - since > SETTLED => return Err(format!("unsettled: {what}")),
                Some(_) => agreed = None,
                None => agreed = agreed.or(Some(self.net.now)),
            }
            self.run_for(Duration::from_millis(500));
        }
        for at in 0..self.net.nodes.len() {
            let violations = self.net.nodes[at].meeting.counters().violations;
            if violations > 0 {
                return Err(format!("accused: {at} counts {violations} violations of the honest"));
            }
        }
        Ok(agreed.map_or(SETTLED, |agreed| agreed - since))
    }
}
