//! Our place in the meeting: the roster in force, what follows when it changes, and who hosts when the host is lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::core::Core;
use super::event::{Departure, End, Event, Heir, PeerNo, RosterState, Violation};
use super::peer::{Peer, PeerTimer, Phase};
use crate::crypto::identity::IdentityKey;
use crate::crypto::secret::Secret;
use crate::protocol::envelope::DoorKey;
use crate::protocol::log::Record;
use crate::protocol::roster::{Entry, Head, MemberRole, NOBODY, Operation, Roster, RosterError, Signed, Taken};
use crate::protocol::timers::{HOST_QUIET, LINGER, PAIR_AGAIN, PAIR_WAIT, SECRET_RETIRE, SILENCE};
use crate::protocol::wire::{LeaveReason, Message};

/// Entries sent at once to somebody who fell behind; the next head that they send asks for more.
const CATCH_UP: usize = 16;

/// Doors of secrets that were renewed: each costs a stranger's call one MAC more.
const MAX_OLD_DOORS: usize = 8;

pub(super) struct Seat {
    pub(super) own_index: u16,
    pub(super) meeting: [u8; 32],
    /// Opens the doors of all members.
    pub(super) members: Secret<32>,
    /// Our own door for other members.
    pub(super) door: DoorKey,
    /// The doors before it, the oldest first, and until when each still opens.
    pub(super) old_doors: VecDeque<(DoorKey, Instant)>,
    pub(super) roster: Roster,
    /// The host signed two entries for one place: there is no list any more that could be trusted.
    pub(super) forked: bool,
    /// The two heads that prove it: others are to see them, too.
    proof: Option<(Head, Head)>,
    /// A valid succession, while the host is still heard, and since when.
    claimed: Option<(Signed, Instant)>,
    /// When we last said that we are here, to an heir that believed us lost.
    asserted: Option<Instant>,
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
        Self {
            own_index,
            meeting,
            members,
            door,
            old_doors: VecDeque::new(),
            roster,
            forked: false,
            proof: None,
            claimed: None,
            asserted: None,
        }
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
    let mut others: Vec<_> = entry.members.iter().filter(|member| member.role != MemberRole::Host).collect();
    others.sort_by_key(|member| (member.role, member.index));
    others.into_iter().map(|member| member.index).find(heard).unwrap_or_else(|| entry.natural_heir())
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
                self.tell_members_secret(no);
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
        self.enthroned |= matches!(entry.operation, Operation::HandOver | Operation::Succeed) && self.is_host();
        self.watch_host(now);
        let offered = self.host_peer().and_then(|no| self.peers.get_mut(&no)?.offered.take());
        if let Some(secret) = offered {
            self.take_members_secret(now, secret);
        }
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
                let without = |entry: &mut Entry| entry.members.retain(|member| member.index != index);
                let signed = self.certify(now, operation, index, without);
                // Before the others learn of it, so that the goodbye and its reason are ours.
                self.dismiss(now, no, why, goodbye);
                if let Some(signed) = signed {
                    self.publish(now, &signed);
                    self.renew_members_secret(now);
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

    /// Tells a member which entry is in force here; or, after a fork, the two that prove it.
    pub(super) fn tell_head(&mut self, no: PeerNo) {
        let Some(seat) = &self.seat else { return };
        let heads = match seat.proof {
            Some((ours, other)) => vec![ours, other],
            None => vec![seat.roster.head()],
        };
        for head in heads {
            self.send(no, &Message::Head(head));
        }
    }

    /// A member says which entry is in force there: what it lacks is sent, what contradicts is a proof.
    pub(super) fn handle_head(&mut self, now: Instant, no: PeerNo, head: &Head) {
        let Some(seat) = self.seat.as_ref().filter(|seat| !seat.forked) else { return };
        if let Some(ours) = seat.roster.contradiction(head) {
            return self.fork(now, ours, *head);
        }
        // What has not arrived yet is not sent a second time.
        if !self.peers.get(&no).is_some_and(Peer::is_drained) {
            return;
        }
        // After a succession that was given up, it may still have the secret of that branch.
        if seat.roster.head() == *head {
            return self.tell_members_secret(no);
        }
        let lacking: Vec<Signed> = seat.roster.after(head).into_iter().take(CATCH_UP).cloned().collect();
        for signed in lacking {
            self.send(no, &Message::Roster(Box::new(signed)));
        }
    }

    pub(super) fn handle_entry(&mut self, now: Instant, signed: Signed) -> Result<(), Violation> {
        let host = self.is_host();
        let Some(seat) = self.seat.as_mut().filter(|seat| !seat.forked) else { return Ok(()) };
        let proof = seat.roster.contradiction(&signed.head()).or_else(|| seat.roster.taken_over_twice(&signed));
        if let Some(ours) = proof {
            self.fork(now, ours, signed.head());
            return Ok(());
        }
        let before = seat.roster.hash();
        match seat.roster.take(&signed) {
            Ok(Taken::Now) => {
                self.live_by(now, &signed);
                if signed.entry.previous != before {
                    self.return_to_host(now);
                }
            }
            Ok(Taken::Already) => {}
            Ok(Taken::Succession) if host => self.assert_presence(now),
            Ok(Taken::Succession) => {
                seat.claimed = Some((signed.clone(), now));
                self.consider_succession(now);
                self.tell_host_of(&signed);
            }
            // One that is ahead of us comes again in its turn, when our next head says what we lack.
            Err(RosterError::Unconnected) => self.counters.bad_entries += 1,
            Err(error) => {
                self.counters.bad_entries += 1;
                return Err(Violation::Roster(error));
            }
        }
        Ok(())
    }

    /// Lets the host know that somebody believes it lost, if it is not: the heir may have given it up, and not say so to it.
    fn tell_host_of(&mut self, claim: &Signed) {
        let claimed = self.seat.as_ref().is_some_and(|seat| seat.claimed.is_some());
        let host = self.host_peer().filter(|_| claimed);
        if let Some(no) = host.filter(|no| self.peers.get(no).is_some_and(Peer::is_drained)) {
            self.send(no, &Message::Roster(Box::new(claim.clone())));
        }
    }

    fn fork(&mut self, now: Instant, ours: Head, other: Head) {
        if let Some(seat) = &mut self.seat {
            seat.forked = true;
            seat.proof = Some((ours, other));
        }
        self.note(now, &Record::Forked(&ours, &other));
        self.agreement.clear();
        self.events.push_back(Event::Code(None));
        self.stop_sealing();
        self.events.push_back(Event::Forked { ours, other });
        for no in self.paired() {
            self.tell_head(no);
        }
    }

    /// Whoever is no longer in the meeting is not to knock at members' doors any more: the host draws another secret.
    pub(super) fn renew_members_secret(&mut self, now: Instant) {
        if !self.is_host() {
            return;
        }
        let secret: Secret<32> = crate::crypto::entropy::secret(self.entropy.as_mut());
        self.take_members_secret(now, secret);
        for no in self.paired() {
            self.tell_members_secret(no);
        }
    }

    /// As the host, tells a member what opens members' doors: it may have had no session with us when that changed.
    pub(super) fn tell_members_secret(&mut self, no: PeerNo) {
        if let Some(seat) = self.seat.as_ref().filter(|seat| seat.own_role() == MemberRole::Host) {
            let secret = seat.members.duplicate();
            self.send(no, &Message::MembersSecret { secret });
        }
    }

    pub(super) fn take_members_secret(&mut self, now: Instant, secret: Secret<32>) {
        let Some(seat) = self.seat.as_mut().filter(|seat| seat.members != secret) else { return };
        let door = DoorKey::of_member(&secret, &self.room_id, &self.static_key.public());
        seat.old_doors.retain(|(_, until)| now < *until);
        if seat.old_doors.len() >= MAX_OLD_DOORS {
            seat.old_doors.pop_front();
        }
        seat.old_doors.push_back((std::mem::replace(&mut seat.door, door), now + SECRET_RETIRE));
        seat.members = secret;
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

    /// Takes the heir's word that the host is lost, or takes over as its heir, if nothing is heard of the host here either.
    pub(super) fn consider_succession(&mut self, now: Instant) {
        if self.over || self.is_host() {
            return;
        }
        let Some(host) = self.host_peer().and_then(|no| self.peers.get(&no)) else { return };
        let (quiet, gone, lost) = (host.is_quiet(now), host.gone, host.is_lost(now));
        let heard = self.hears_anyone(now);
        let Some(seat) = self.seat.as_mut().filter(|seat| !seat.forked) else { return };
        // Said once, it is not believed for ever: the next silence of the host is another.
        if seat.claimed.as_ref().is_some_and(|(_, since)| now.saturating_duration_since(*since) > HOST_QUIET) {
            seat.claimed = None;
        }
        if quiet && let Some((claimed, _)) = seat.claimed.take() {
            if seat.roster.succeed(&claimed) {
                self.live_by(now, &claimed);
            }
            return;
        }
        // Who hears nobody at all is more likely cut off itself than the last one there.
        if (gone || lost && heard) && seat.roster.current().heir == seat.own_index {
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
        let mut entry = seat.roster.succession(time);
        entry.heir = heir_among(&self.peers, &entry);
        let signed = Signed::make(entry, &seat.meeting, &self.identity);
        if seat.roster.succeed(&signed) {
            self.publish(now, &signed);
        }
    }

    /// Our heir believes that we are lost. An entry that changes nothing says that we are not, and stands in the place of what
    /// the heir began. Not more often than an heir can come to believe it.
    fn assert_presence(&mut self, now: Instant) {
        self.counters.false_claims += 1;
        let Some(seat) = &mut self.seat else { return };
        if seat.asserted.is_some_and(|at| now.saturating_duration_since(at) < HOST_QUIET) {
            return;
        }
        seat.asserted = Some(now);
        let operation = if seat.roster.current().locked { Operation::Lock } else { Operation::Unlock };
        if let Some(signed) = self.certify(now, operation, NOBODY, |_| {}) {
            self.publish(now, &signed);
            // The heir may have given the others one of its own.
            self.renew_members_secret(now);
        }
    }

    /// Somebody had taken over, and the host was not lost: what was given up binds no key any more.
    fn return_to_host(&mut self, now: Instant) {
        if self.over {
            return;
        }
        self.enthroned |= self.is_host();
        self.want_key(now, false);
        for no in self.paired() {
            self.tell_head(no);
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
        // Not all may have the secret that we have: it may be that of a branch which was given up.
        for no in self.paired() {
            self.tell_members_secret(no);
        }
        self.events.extend(silent.into_iter().map(|peer| Event::Silent { peer }));
        for no in unheard {
            self.plan_call(now, no);
            if let Some(peer) = self.peers.get_mut(&no).filter(|peer| peer.is_member()) {
                peer.timers.hasten(PeerTimer::Silence, now.max(peer.heard + SILENCE));
            }
        }
    }

    /// The identities of all who are in the meeting with us, ourselves left out.
    pub(super) fn other_members(&self) -> Vec<(PeerNo, IdentityKey)> {
        let members = self.peers.iter().filter(|(_, peer)| peer.is_member() && !peer.gone);
        members.filter_map(|(no, peer)| Some((*no, peer.identity?))).collect()
    }
}
