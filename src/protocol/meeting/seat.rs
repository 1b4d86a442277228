//! Our place in the meeting: the roster in force, what follows when it changes, and who hosts when the host is lost.

use std::collections::BTreeMap;
use std::time::Instant;

use super::core::Core;
use super::event::{Departure, End, Event, Heir, PeerNo, RosterState, Violation};
use super::peer::{Peer, PeerTimer, Phase};
use crate::crypto::identity::IdentityKey;
use crate::crypto::secret::Secret;
use crate::protocol::envelope::DoorKey;
use crate::protocol::log::Record;
use crate::protocol::roster::chain::enthrone;
use crate::protocol::roster::{Entry, Head, MemberRole, NOBODY, Operation, Roster, RosterError, Signed, Taken};
use crate::protocol::timers::{LINGER, PAIR_AGAIN, PAIR_WAIT, SILENCE};
use crate::protocol::wire::{LeaveReason, Message};

/// Entries sent at once to somebody who fell behind; the next head that they send asks for more.
const CATCH_UP: usize = 16;

pub(super) struct Seat {
    pub(super) own_index: u16,
    pub(super) meeting: [u8; 32],
    /// Opens the doors of all members.
    pub(super) members: Secret<32>,
    /// Our own door for other members.
    pub(super) door: DoorKey,
    pub(super) roster: Roster,
    /// The host signed two entries for one place: there is no list any more that could be trusted.
    pub(super) forked: bool,
    /// A valid succession, while the host is still heard.
    claimed: Option<Signed>,
}

impl Seat {
    pub(super) fn new(
        own_index: u16,
        meeting: [u8; 32],
        members: Secret<32>,
        room_id: &[u8; 32],
        own_static: &[u8; 32],
        roster: Roster,
    ) -> Self {
        let door = DoorKey::of_member(&members, room_id, own_static);
        Self { own_index, meeting, members, door, roster, forked: false, claimed: None }
    }

    pub(super) fn own_role(&self) -> MemberRole {
        self.roster.current().member(self.own_index).map_or(MemberRole::Member, |own| own.role)
    }
}

/// Whoever should take over from the host of `entry`: the first co-host, or whoever has been here longest, of those who are
/// heard. If nobody is, then whoever it would be.
fn heir_among(peers: &BTreeMap<PeerNo, Peer>, entry: &Entry) -> u16 {
    let heard = |index: &u16| {
        let here = |peer: &Peer| peer.is_paired() && !peer.silent && peer.index == *index;
        peers.values().any(here)
    };
    let natural = Entry { heir: entry.natural_heir(), ..entry.clone() };
    natural.line().into_iter().find(heard).unwrap_or(natural.heir)
}

impl Core {
    /// Who would take over from us now.
    pub(super) fn live_heir(&self) -> Option<u16> {
        let entry = self.seat.as_ref()?.roster.current();
        let heir = heir_among(&self.peers, entry);
        self.by_index(heir).and_then(|no| self.peers.get(&no)).filter(|peer| peer.is_paired()).map(|_| heir)
    }

    pub(super) fn is_host(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.own_role() == MemberRole::Host)
    }

    /// The host, if it is somebody else.
    pub(super) fn host_peer(&self) -> Option<PeerNo> {
        self.by_index(self.seat.as_ref()?.roster.current().host()?.index)
    }

    pub(super) fn by_index(&self, index: u16) -> Option<PeerNo> {
        self.peers.iter().find(|(_, peer)| peer.is_member() && peer.index == index).map(|(no, _)| *no)
    }

    /// What a member may do, as the list in force says.
    pub(super) fn role_of(&self, no: PeerNo) -> MemberRole {
        let role = || {
            let index = self.peers.get(&no)?.index;
            Some(self.seat.as_ref()?.roster.current().member(index)?.role)
        };
        role().unwrap_or(MemberRole::Member)
    }

    /// Makes and signs the next entry, and takes it as in force here. Others are told by [`publish`](Self::publish).
    pub(super) fn certify(
        &mut self,
        now: Instant,
        operation: Operation,
        subject: u16,
        change: impl FnOnce(&mut Entry),
    ) -> Option<Signed> {
        let time = self.unix(now);
        let seat = self.seat.as_mut().filter(|seat| !seat.forked)?;
        let mut entry = seat.roster.following(time);
        (entry.operation, entry.subject) = (operation, subject);
        change(&mut entry);
        entry.heir = heir_among(&self.peers, &entry);
        let signed = Signed::make(entry, &seat.meeting, &self.identity);
        match seat.roster.take(&signed) {
            Ok(Taken::Now) => Some(signed),
            outcome => {
                debug_assert!(false, "an entry of our own making is refused: {outcome:?}");
                None
            }
        }
    }

    /// Tells everyone of an entry that is in force here, and lives by it.
    pub(super) fn publish(&mut self, now: Instant, signed: &Signed) {
        let message = Message::Roster(Box::new(signed.clone()));
        let newcomer = (signed.entry.operation == Operation::Admit).then_some(signed.entry.subject);
        for no in self.paired() {
            // A newcomer has it from its admission.
            if self.peers.get(&no).is_some_and(|peer| Some(peer.index) != newcomer) {
                self.send(no, &message);
            }
        }
        self.live_by(now, signed);
        if self.is_host() {
            self.bar(now);
        }
    }

    /// Sends out whoever was sent out on a branch that was given up.
    fn bar(&mut self, now: Instant) {
        let Some(seat) = &self.seat else { return };
        if let Some(index) = seat.roster.barred_members().into_iter().find(|index| *index != seat.own_index)
            && let Some(signed) = self.certify(now, Operation::Remove, index, |entry| {
                entry.members.retain(|member| member.index != index);
            })
        {
            self.publish(now, &signed);
        }
    }

    /// An entry is in force here: whoever it names is in the meeting, and nobody else is.
    pub(super) fn live_by(&mut self, now: Instant, signed: &Signed) {
        self.note(now, &Record::Entry(signed));
        let entry = &signed.entry;
        let own = self.seat.as_ref().map_or(NOBODY, |seat| seat.own_index);
        if entry.member(own).is_none() {
            return self.end(now, End::HostLeft(LeaveReason::Removed), None);
        }
        let left: Vec<PeerNo> = self
            .peers
            .iter()
            .filter(|(_, peer)| {
                peer.is_member() && !entry.member(peer.index).is_some_and(|listed| peer.is_listed_as(listed))
            })
            .map(|(no, _)| *no)
            .collect();
        for no in &left {
            let why = if entry.operation == Operation::Remove { Departure::Removed } else { Departure::Listed };
            // Whoever came in on a branch that is given up cannot follow us: it is to know.
            let given_up = !matches!(entry.operation, Operation::Leave | Operation::Remove);
            self.dismiss(now, *no, why, given_up.then_some(LeaveReason::Dropped));
        }
        for listed in entry.members.iter().filter(|listed| listed.index != own) {
            if self.by_index(listed.index).is_some() {
                continue;
            }
            let no = self.add(Peer::listed(now, listed));
            let (identity, name, index) = (listed.identity, listed.name.clone(), listed.index);
            self.events.push_back(Event::Joined { peer: no, identity, name, index });
            self.plan_call(now, no);
        }
        if let Some(seat) = &mut self.seat {
            seat.claimed = None;
        }
        self.watch_host(now);
        self.tell_roster();
        self.take_held_keys(now);
        self.renew_agreement(now);
        if !left.is_empty() {
            self.want_key(now, true);
        }
    }

    /// The engine's picture of the roster.
    pub(super) fn tell_roster(&mut self) {
        let Some(seat) = &self.seat else { return };
        let entry = seat.roster.current();
        let heir = match entry.heir {
            NOBODY => Heir::Nobody,
            index if index == seat.own_index => Heir::Own,
            index => self.by_index(index).map_or(Heir::Nobody, Heir::Peer),
        };
        let members = self.peers.iter().filter(|(_, peer)| peer.is_member());
        let roles = members.filter_map(|(no, peer)| Some((*no, entry.member(peer.index)?.role))).collect();
        let state = RosterState {
            counter: entry.counter,
            hash: seat.roster.hash(),
            locked: entry.locked,
            own_role: seat.own_role(),
            roles,
            heir,
        };
        self.events.push_back(Event::Roster(state));
    }

    /// A member is no longer in the meeting, or somebody at the door no longer there.
    pub(super) fn part(&mut self, now: Instant, no: PeerNo, why: Departure, goodbye: Option<LeaveReason>) {
        let host = self.is_host();
        let Some(peer) = self.peers.get_mut(&no) else { return };
        match peer.phase {
            Phase::Closing => {}
            Phase::Member if host => {
                let index = peer.index;
                let operation = match why {
                    Departure::Removed | Departure::Broke(_) => Operation::Remove,
                    _ => Operation::Leave,
                };
                // Before the list changes, so that the goodbye and its reason are ours.
                self.dismiss(now, no, why, goodbye);
                let without = |entry: &mut Entry| entry.members.retain(|member| member.index != index);
                if let Some(signed) = self.certify(now, operation, index, without) {
                    self.publish(now, &signed);
                }
                self.want_key(now, true);
            }
            Phase::Member => {
                // The list is the host's. Until it says so, this much is ours: nothing goes there, and nothing is taken.
                if std::mem::replace(&mut peer.gone, true) {
                    return;
                }
                let generations = peer.keys.close_all();
                peer.stopped = true;
                self.events.extend(generations.into_iter().map(|generation| Event::RetireKey { peer: no, generation }));
                self.retire_wire(now, no, goodbye);
                self.events.push_back(Event::Left { peer: no, why });
                self.want_key(now, true);
                if self.host_peer() == Some(no) {
                    self.consider_succession(now);
                }
            }
            phase => {
                peer.close(now, goodbye.map(|reason| Message::Leave { reason: reason.code() }));
                if phase == Phase::Waiting && self.seat.is_some() {
                    self.events.push_back(Event::KnockGone { peer: no });
                }
            }
        }
    }

    fn dismiss(&mut self, now: Instant, no: PeerNo, why: Departure, goodbye: Option<LeaveReason>) {
        self.pairs.forget(no);
        let Some(peer) = self.peers.get_mut(&no) else { return };
        let told = std::mem::replace(&mut peer.gone, true);
        peer.close(now, goodbye.map(|reason| Message::Leave { reason: reason.code() }));
        if !told {
            self.events.push_back(Event::Left { peer: no, why });
        }
    }

    /// Ends the session with a member that stays in the list; what was said last is still delivered.
    pub(super) fn retire_wire(&mut self, now: Instant, no: PeerNo, goodbye: Option<LeaveReason>) {
        self.pairs.forget(no);
        let Some(peer) = self.peers.get_mut(&no) else { return };
        peer.timers.clear();
        let Some(wire) = peer.wire.take() else { return };
        let mut closing = Peer::new(now, wire, [0; 8]);
        closing.close(now, goodbye.map(|reason| Message::Leave { reason: reason.code() }));
        closing.timers.set(PeerTimer::Phase, now + LINGER);
        self.add(closing);
    }

    /// A session with a member is over, and the member is in the meeting all the same.
    pub(super) fn unpair(&mut self, now: Instant, no: PeerNo, goodbye: Option<LeaveReason>) {
        self.retire_wire(now, no, goodbye);
        self.events.push_back(Event::Unpaired { peer: no });
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.timers.set(PeerTimer::Pair, now + PAIR_AGAIN);
        }
        self.want_key(now, true);
    }

    /// When to call a member: whoever came later calls, and the other only if nothing comes of that. The host calls at once.
    pub(super) fn plan_call(&mut self, now: Instant, no: PeerNo) {
        let Some(own) = self.seat.as_ref().map(|seat| seat.own_index) else { return };
        let hosting = self.is_host() || self.host_peer() == Some(no);
        let wanted = self.pairs.sends || hosting;
        let Some(peer) = self.peers.get_mut(&no).filter(|peer| peer.is_member() && !peer.gone) else { return };
        if !wanted || peer.wire.is_some() {
            return;
        }
        let wait = if own > peer.index || hosting { now } else { now + PAIR_WAIT };
        peer.timers.hasten(PeerTimer::Pair, wait);
    }

    // The chain.

    /// Tells a member which entry is in force here.
    pub(super) fn tell_head(&mut self, no: PeerNo) {
        if let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) {
            let head = seat.roster.head();
            self.send(no, &Message::Head(head));
        }
    }

    /// A member says which entry is in force there: what it lacks is sent, what contradicts is a proof.
    pub(super) fn handle_head(&mut self, now: Instant, no: PeerNo, head: &Head) {
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) else { return };
        if let Some(ours) = seat.roster.contradiction(head) {
            return self.fork(now, ours, *head);
        }
        if let Some(peer) = self.peers.get_mut(&no) {
            peer.told = seat.roster.place_of(head);
        }
        // What has not arrived yet is not sent a second time.
        if !self.peers.get(&no).is_some_and(Peer::is_drained) {
            return;
        }
        let lacking: Vec<Signed> = seat.roster.after(head).into_iter().take(CATCH_UP).cloned().collect();
        for signed in lacking {
            self.send(no, &Message::Roster(Box::new(signed)));
        }
    }

    pub(super) fn handle_entry(&mut self, now: Instant, no: PeerNo, signed: Signed) -> Result<(), Violation> {
        let host = self.is_host();
        let Some(seat) = self.seat.as_mut().filter(|seat| !seat.forked) else { return Ok(()) };
        if let Some(ours) = seat.roster.contradiction(&signed.head()) {
            self.fork(now, ours, signed.head());
            return Ok(());
        }
        match seat.roster.take(&signed) {
            Ok(Taken::Now) => self.live_by(now, &signed),
            Ok(Taken::Already) if host => {
                seat.roster.bar(&signed);
                self.bar(now);
            }
            Ok(Taken::Already) => {}
            Ok(Taken::Succession) => return self.handle_claim(now, no, signed),
            // One that is ahead of us comes again in its turn, when our next head says what we lack.
            Err(RosterError::Unconnected) => self.counters.bad_entries += 1,
            Err(error) => {
                self.counters.bad_entries += 1;
                return Err(Violation::Roster(error));
            }
        }
        Ok(())
    }

    fn fork(&mut self, now: Instant, ours: Head, other: Head) {
        if let Some(seat) = &mut self.seat {
            seat.forked = true;
        }
        self.note(now, &Record::Forked(&ours, &other));
        self.agreement.clear();
        self.events.push_back(Event::Code(None));
        self.stop_sealing();
        self.events.push_back(Event::Forked { ours, other });
    }

    // Losing a host.

    /// The host has left the meeting to its heir.
    pub(super) fn lose_host(&mut self, now: Instant, no: PeerNo) {
        self.part(now, no, Departure::Said(LeaveReason::Left), None);
    }

    /// Whoever hosts is listened for, whether or not there is a session yet.
    fn watch_host(&mut self, now: Instant) {
        let Some(no) = self.host_peer() else { return };
        let Some(peer) = self.peers.get_mut(&no) else { return };
        if peer.wire.is_none() && !peer.gone {
            peer.timers.hasten(PeerTimer::Silence, now + SILENCE);
        }
        self.plan_call(now, no);
    }

    /// Takes the word of whoever is next in the line that the host is lost, or takes over as the next, if nothing is heard
    /// of the host here either, and of nobody who would come before.
    pub(super) fn consider_succession(&mut self, now: Instant) {
        if self.over || self.is_host() {
            return;
        }
        let Some(host) = self.host_peer().and_then(|no| self.peers.get(&no)) else { return };
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) else { return };
        let all_before = |before: &[u16], lost: fn(&Peer, Instant) -> bool| {
            let peers = before.iter().filter_map(|index| self.peers.get(&self.by_index(*index)?));
            peers.into_iter().all(|peer| lost(peer, now))
        };
        // Whoever was sent out, and whom others took for the host all the same, is none.
        let barred = seat.roster.barred_members().contains(&host.index);
        if let Some(claimed) = &seat.claimed
            && let Some(claim) = seat.roster.claim(claimed)
            && (barred || host.is_quiet(now))
            && all_before(&claim.before, Peer::is_quiet)
        {
            let claimed = claimed.clone();
            return self.adopt(now, &claimed);
        }
        // Who hears nobody at all is more likely cut off itself than the last one there.
        let lost = barred || host.gone || host.is_lost(now) && self.hears_anyone(now);
        let line = seat.roster.current().line();
        let before: Vec<u16> = line.into_iter().take_while(|index| *index != seat.own_index).collect();
        if lost && all_before(&before, Peer::is_lost) {
            self.succeed(now);
        }
    }

    fn hears_anyone(&self, now: Instant) -> bool {
        self.peers.values().any(|peer| peer.is_paired() && !peer.is_quiet(now))
    }

    /// The host is lost, and everyone with whom there was a session is, too.
    pub(super) fn is_alone(&self, now: Instant) -> bool {
        let lost = |no: &PeerNo| self.peers.get(no).is_some_and(|peer| peer.is_lost(now));
        self.host_peer().is_some_and(|host| lost(&host)) && self.paired().iter().all(lost)
    }

    fn succeed(&mut self, now: Instant) {
        let time = self.unix(now);
        let Some(seat) = &mut self.seat else { return };
        let mut entry = seat.roster.following(time);
        entry.operation = Operation::Succeed;
        // In a new term no place has been signed for yet.
        (entry.term, entry.counter) = (entry.term.saturating_add(1), seat.roster.current().counter.saturating_add(1));
        enthrone(&mut entry, seat.own_index);
        entry.heir = heir_among(&self.peers, &entry);
        let signed = Signed::make(entry, &seat.meeting, &self.identity);
        if seat.roster.take(&signed) == Ok(Taken::Succession) && seat.roster.switch(&signed).is_some() {
            self.publish(now, &signed);
        }
    }

    /// A branch is in force from now on that takes precedence.
    fn adopt(&mut self, now: Instant, signed: &Signed) {
        let Some(path) = self.seat.as_mut().and_then(|seat| seat.roster.switch(signed)) else { return };
        let Some((last, before)) = path.split_last() else { return };
        for signed in before {
            self.note(now, &Record::Entry(signed));
        }
        self.live_by(now, last);
        if self.over {
            return;
        }
        // Keys that were bound to what is given up are no use to whoever never knew of it.
        self.want_key(now, false);
        for no in self.paired() {
            self.tell_head(no);
        }
        self.tell_removals();
    }

    /// Shows the host whom we know to have been sent out, if it has them in its list.
    pub(super) fn tell_removals(&mut self) {
        let (Some(host), Some(seat)) = (self.host_peer(), &self.seat) else { return };
        if !self.peers.get(&host).is_some_and(Peer::is_drained) {
            return;
        }
        for signed in seat.roster.removals().into_iter().take(CATCH_UP) {
            self.send(host, &Message::Roster(Box::new(signed)));
        }
    }

    /// What is looked at every few seconds by whoever does not host.
    pub(super) fn watch(&mut self, now: Instant) {
        let given_up = self.host_peer().and_then(|no| self.peers.get(&no)).is_some_and(|host| host.given_up);
        if given_up && self.is_alone(now) {
            return self.end(now, End::HostLost, Some(LeaveReason::Dropped));
        }
        self.consider_succession(now);
    }

    /// We host now: whoever has been silent is the engine's to judge anew, and those who said goodbye leave the list.
    pub(super) fn take_charge(&mut self, now: Instant) {
        let members = || self.peers.iter().filter(|(_, peer)| peer.is_member());
        let gone: Vec<PeerNo> = members().filter(|(_, peer)| peer.gone).map(|(no, _)| *no).collect();
        let silent: Vec<PeerNo> = members().filter(|(_, peer)| peer.silent && !peer.gone).map(|(no, _)| *no).collect();
        let unheard: Vec<PeerNo> = members().filter(|(_, peer)| peer.wire.is_none()).map(|(no, _)| *no).collect();
        for no in gone {
            self.part(now, no, Departure::Listed, None);
        }
        self.bar(now);
        self.events.extend(silent.into_iter().map(|peer| Event::Silent { peer }));
        for no in unheard {
            self.plan_call(now, no);
            if let Some(peer) = self.peers.get_mut(&no).filter(|peer| peer.is_member()) {
                peer.timers.hasten(PeerTimer::Silence, now + SILENCE);
            }
        }
    }

    /// Somebody has taken over. If it is our place that they took, and if they could not hear us for a while, they are right:
    /// there is one host, and we are not it. If they could, or if they have told us that they know of later entries, they lie.
    /// Others believe it when they do not hear the host either, or when the host does.
    fn handle_claim(&mut self, now: Instant, no: PeerNo, signed: Signed) -> Result<(), Violation> {
        let (host, by_host) = (self.is_host(), self.host_peer() == Some(no));
        let own = self.identity.key();
        let Some(seat) = &mut self.seat else { return Ok(()) };
        let Some(claim) = seat.roster.claim(&signed) else { return Ok(()) };
        if claim.rival || by_host {
            self.adopt(now, &signed);
            return Ok(());
        }
        if !host {
            seat.claimed = Some(signed);
            self.consider_succession(now);
            self.ask_host(no);
            return Ok(());
        }
        let is_claimant = |peer: &Peer| peer.is_member() && !peer.gone && peer.identity == Some(claim.identity);
        let claimant = self.peers.iter().find(|(_, peer)| is_claimant(peer));
        let lies = |peer: &Peer| {
            let heard_us = claim.host == own && !peer.was_out_of_reach(now);
            heard_us || peer.told.is_some_and(|told| told > claim.known)
        };
        match claimant {
            // Whoever merely passes it on may have believed it.
            Some((claimant, peer)) if lies(peer) => {
                if *claimant == no {
                    return Err(Violation::FalseSuccession);
                }
            }
            _ => self.adopt(now, &signed),
        }
        Ok(())
    }

    /// Somebody else is said to host, and our host is heard: it is for the host to say.
    fn ask_host(&mut self, from: PeerNo) {
        let Some(host) = self.host_peer().filter(|host| *host != from) else { return };
        if !self.peers.get(&host).is_some_and(Peer::is_drained) {
            return;
        }
        let Some(seat) = &self.seat else { return };
        let branch = seat.claimed.as_ref().map(|claimed| seat.roster.branch_for(claimed)).unwrap_or_default();
        for signed in branch.into_iter().take(CATCH_UP) {
            self.send(host, &Message::Roster(Box::new(signed)));
        }
    }

    /// The identities of all who are in the meeting with us, ourselves left out.
    pub(super) fn other_members(&self) -> Vec<(PeerNo, IdentityKey)> {
        let members = self.peers.iter().filter(|(_, peer)| peer.is_member() && !peer.gone);
        members.filter_map(|(no, peer)| Some((*no, peer.identity?))).collect()
    }
}
