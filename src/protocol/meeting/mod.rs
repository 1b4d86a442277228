//! A meeting as a state machine: no socket, no clock, no random source of its own.
//!
//! # For the engine
//!
//! A host makes [`Meeting::host`] and [`create_invite`](Meeting::create_invite), a guest [`Meeting::join`]. Both connect to
//! the relay under [`room_id`](Meeting::room_id) and pass on what it says: [`handle_relay_up`](Meeting::handle_relay_up) on
//! *every* connect and reconnect (nothing is sent before the first), [`handle_relay`](Meeting::handle_relay) for payloads,
//! [`handle_relay_arrived`](Meeting::handle_relay_arrived) and [`handle_relay_left`](Meeting::handle_relay_left) for
//! others' connections. After *every* call, of whatever kind, drain [`poll_transmit`](Meeting::poll_transmit) and
//! [`poll_event`](Meeting::poll_event), then sleep until [`poll_timeout`](Meeting::poll_timeout) and call
//! [`handle_timeout`](Meeting::handle_timeout). While the relay is down transmits can be thrown away: what has to arrive is
//! sent again after `handle_relay_up`.
//!
//! What happens, in order:
//!
//! 1. The guest calls; the host's door drops whoever holds no invite ([`Event::RefusedAtDoor`]).
//! 2. The host proves its identity; then the guest proves its own and knocks. Guest: [`Event::Reached`], once the knock has
//!    arrived (the lobby; the safety number can be shown). It comes again, with a new number, if the host falls silent
//!    before it admits and the guest has to knock anew.
//! 3. Host and co-hosts: [`Event::Knocked`], until [`admit`](Meeting::admit) or [`decline`](Meeting::decline).
//! 4. Everyone: [`Event::Joined`] for each member that the roster names, [`Event::Entered`] for oneself,
//!    [`Event::Roster`] after every change of the roster.
//! 5. Members make a session with each other. [`Event::Paired`]: **the engine that is told to makes the WebRTC offer now** and
//!    sends it with [`send_offer`](Meeting::send_offer); the other's answers.
//! 6. [`Event::OpenKey`] (a peer's key; expect it before its frames) and, as soon as everyone has ours,
//!    [`Event::SendKey`]: seal with it, from its first frame on, a key frame first. Nothing is sealed before. Fresh keys
//!    follow each join and leave and every five minutes; [`Event::RetireKey`] ten seconds later.
//! 7. [`Event::Code`]: the words that everyone here can compare at once.
//! 8. [`Event::Left`] for one peer (forget its keys and path), [`Event::Ended`] for the whole meeting.
//!
//! The host can hand its part over ([`hand_over`](Meeting::hand_over)), and whoever the roster names as heir takes it over when
//! the host is lost. A host that has become one makes its own invites: the links of the one before lead nowhere.
//!
//! To leave: [`leave`](Meeting::leave), then keep driving the machine until [`is_settled`](Meeting::is_settled) or for as
//! long as one is willing to wait. A lost relay is no event here: members stay members ([`Event::Silent`] tells), because
//! media need no relay.

mod agreement;
mod answers;
mod call;
mod cohost;
mod core;
mod door;
mod event;
mod guest;
mod keys;
mod pairs;
mod peer;
mod seat;

use std::sync::Arc;
use std::time::Instant;

pub use event::{
    ConnId, Counters, Departure, End, Event, Heir, HostProof, MeetingError, PeerNo, RosterState, Transmit, Violation,
};

use self::answers::Caller;
use self::cohost::Vestibule;
use self::core::Core;
use self::door::Door;
use self::guest::Approach;
use self::seat::Seat;
use crate::crypto::entropy::{Entropy, secret};
use crate::crypto::identity::{Identity, IdentityKey};
use crate::crypto::secret::Secret;
use crate::protocol::envelope::Envelope;
use crate::protocol::invite::{Invite, InviteId};
use crate::protocol::relay_address::RelayAddress;
use crate::protocol::roster::chain::enthrone;
use crate::protocol::roster::{Entry, Listed, MemberRole, Operation, Roster, Signed};
use crate::protocol::timers::earlier;
use crate::protocol::wire::{DeclineReason, LeaveReason, Message, Request, clean_name};

pub use crate::protocol::roster::entry::MAX_MEMBERS;

/// One moment on both clocks: the wall clock for what people read, the steady one for what the program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix: u64,
    /// The same moment.
    pub at: Instant,
}

/// What an invite is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteOptions {
    /// Best first, 1 to 8. When they change, use [`Invite::with_relays`].
    pub relays: Vec<RelayAddress>,
    /// When it stops working.
    pub expires: Option<Moment>,
    /// It lets in one person (who may come back).
    pub single_use: bool,
    /// It says what the host calls itself.
    pub named: bool,
}

/// One person's side of one meeting. See the [module](self) for how to drive it.
pub struct Meeting {
    core: Core,
    /// On the way in; over once we are in.
    approach: Option<Box<Approach>>,
    /// While we host.
    door: Option<Box<Door>>,
    /// What a co-host sees of the door.
    vestibule: Vestibule,
    blocked: Vec<IdentityKey>,
    known: Vec<IdentityKey>,
}

impl Meeting {
    /// A new meeting, hosted here, with a room secret, a meeting id and a Noise static key of its own.
    ///
    /// `name` is what members will see; it is [cleaned](clean_name).
    pub fn host(identity: Arc<Identity>, name: &str, mut entropy: Box<dyn Entropy>, opened: Moment) -> Self {
        let room_secret = secret::<16>(entropy.as_mut());
        let mut core = Core::new(identity, clean_name(name), entropy, room_secret, opened);
        let mut meeting = [0; 32];
        core.entropy.fill(&mut meeting);
        let members: Secret<32> = secret(core.entropy.as_mut());
        let own = Listed {
            index: 0,
            role: MemberRole::Host,
            identity: core.identity.key(),
            static_key: core.static_key.public(),
            name: core.name.clone(),
        };
        let entry = Entry::open(own, opened.unix);
        let first = Signed::make(entry, &meeting, &core.identity);
        let roster = Roster::open(meeting, first.clone());
        let own_static = core.static_key.public();
        core.seat = Some(Seat::new(0, meeting, members, &core.room_id, &own_static, roster));
        core.events.push_back(Event::Entered { own_index: 0, meeting });
        core.live_by(opened.at, &first);
        let door = Some(Box::new(Door::default()));
        let (blocked, known) = (Vec::new(), Vec::new());
        Self { core, approach: None, door, vestibule: Vestibule::default(), blocked, known }
    }

    /// The way into somebody's meeting.
    ///
    /// Errors: [`MeetingError::OwnInvite`] when the invite was made by this identity, [`MeetingError::UnusableKey`] when the
    /// link's Noise key is no key.
    pub fn join(
        invite: &Invite,
        identity: Arc<Identity>,
        name: &str,
        entropy: Box<dyn Entropy>,
        opened: Moment,
    ) -> Result<Self, MeetingError> {
        let mut core = Core::new(identity, clean_name(name), entropy, invite.room_secret.duplicate(), opened);
        let approach = Some(Box::new(Approach::new(&mut core, invite)?));
        let (blocked, known) = (Vec::new(), Vec::new());
        Ok(Self { core, approach, door: None, vestibule: Vestibule::default(), blocked, known })
    }

    // What comes in.

    /// The connection to the relay stands, for the first time or again (with a new connection id, perhaps). Everything
    /// unacknowledged is sent again, to the whole room, since nobody's place in it is known any more.
    pub fn handle_relay_up(&mut self, now: Instant) {
        if let Some(approach) = self.approach.as_mut().filter(|_| !self.core.over) {
            approach.handle_relay_up(&mut self.core, now);
        }
        self.core.connection_new(now);
        self.settle(now);
    }

    /// The relay forwards a payload. Hostile bytes are counted and dropped.
    pub fn handle_relay(&mut self, now: Instant, from: ConnId, payload: &[u8]) {
        match Envelope::parse(payload) {
            Err(_) => self.core.counters.malformed += 1,
            Ok(Envelope::Data { attempt, message }) => {
                if let Some((no, messages)) = self.core.receive(now, from, &attempt, message) {
                    if let Some(approach) = &mut self.approach {
                        approach.check_knock(&mut self.core);
                    }
                    self.handle_messages(now, no, messages);
                }
            }
            Ok(_) if self.core.over => {}
            Ok(Envelope::First { attempt, tag, suite, message }) => {
                let by_invite = self
                    .door
                    .as_mut()
                    .is_some_and(|door| door.handle_first(&mut self.core, now, from, attempt, (&tag, suite, message)));
                let known = by_invite || self.core.handle_pair_first(now, from, attempt, &tag, suite, message);
                // To others than the host, whatever is not for them is a broadcast meant for somebody else.
                if !known && self.door.is_some() && !self.core.is_for_member(&attempt, &tag, suite, message) {
                    door::refuse(&mut self.core);
                }
            }
            Ok(Envelope::Third { attempt, message }) => match self.core.answers.finish(&attempt, message) {
                None => {}
                Some(Err(_)) => self.core.counters.forged_handshakes += 1,
                Some(Ok((session, Caller::Member))) => self.core.handle_pair_session(now, from, attempt, session),
                Some(Ok((session, Caller::Guest(invite)))) if self.door.is_some() => {
                    Door::handle_session(&mut self.core, now, from, attempt, session, invite);
                }
                Some(Ok(_)) => {}
            },
            Ok(Envelope::Second { attempt, message }) => {
                if !self.core.handle_pair_second(now, from, attempt, message)
                    && let Some(approach) = &mut self.approach
                {
                    approach.handle_second(&mut self.core, now, from, attempt, message);
                }
            }
            Ok(Envelope::Refused { attempt, tag, suite }) => {
                if let Some(approach) = &mut self.approach {
                    approach.handle_refused(&mut self.core, now, &attempt, &tag, suite);
                }
            }
        }
        self.settle(now);
    }

    /// The relay says that a connection came into the room.
    pub fn handle_relay_arrived(&mut self, now: Instant, conn: ConnId) {
        if let Some(approach) = self.approach.as_mut().filter(|_| !self.core.over) {
            approach.handle_relay_arrived(&mut self.core, now, conn);
        }
        self.settle(now);
    }

    /// The relay says that a connection left the room.
    pub fn handle_relay_left(&mut self, now: Instant, conn: ConnId) {
        self.core.connection_gone(now, conn);
        self.settle(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(approach) = self.approach.as_mut().filter(|_| !self.core.over) {
            approach.handle_timeout(&mut self.core, now);
        }
        self.core.handle_timeout(now);
        if let Some(approach) = self.approach.as_mut().filter(|_| !self.core.over) {
            approach.check_silence(&mut self.core, now);
        }
        self.settle(now);
    }

    fn handle_messages(&mut self, now: Instant, no: PeerNo, messages: Vec<core::Incoming>) {
        let mut no = no;
        for incoming in messages {
            let outcome = match self.core.handle(now, no, incoming) {
                Ok(Some(message)) => self.handle_early(now, no, message),
                Ok(None) => Ok(()),
                Err(violation) => Err(violation),
            };
            if let Err(violation) = outcome {
                self.core.expel(now, no, violation);
            }
            if let Some((from, to)) = self.core.moved.take()
                && from == no
            {
                no = to;
            }
        }
    }

    fn handle_early(&mut self, now: Instant, no: PeerNo, message: Message) -> Result<(), Violation> {
        if let Some(door) = &mut self.door {
            return door.handle_early(&mut self.core, now, no, message);
        }
        match &mut self.approach {
            Some(approach) => {
                let outcome = approach.handle_early(&mut self.core, now, no, message);
                if self.core.seat.is_some() {
                    self.approach = None;
                }
                outcome
            }
            // Somebody who knocks at a door that we have handed over.
            None => {
                self.core.decline(now, no, DeclineReason::Unanswered);
                Ok(())
            }
        }
    }

    /// Ends every call from outside: what follows from it, and everything sealed and queued.
    fn settle(&mut self, now: Instant) {
        self.settle_role(now);
        let requests = std::mem::take(&mut self.core.requests);
        if let Some(door) = &mut self.door {
            for (from, request) in requests {
                door.handle_request(&mut self.core, now, from, request);
            }
            door.tell_cohosts(&mut self.core);
        }
        self.core.flush(now);
    }

    /// A door for whoever has become the host, and none for whoever is no longer.
    fn settle_role(&mut self, now: Instant) {
        if self.core.over {
            return;
        }
        let enthroned = std::mem::take(&mut self.core.enthroned);
        match (self.core.is_host(), &mut self.door) {
            (true, door) if enthroned || door.is_none() => {
                let door = door.get_or_insert_default();
                door.blocked.extend(self.blocked.iter().copied());
                door.known.extend(self.known.iter().copied());
                self.vestibule.update(&mut self.core, Vec::new());
                self.core.take_charge(now);
                self.core.renew_agreement(now);
                // Whoever is to be called is called now.
                self.core.handle_timeout(now);
            }
            (false, Some(door)) => {
                door.close(&mut self.core, now);
                self.door = None;
            }
            _ => {}
        }
        let cohost = self.core.seat.as_ref().is_some_and(|seat| seat.own_role() == MemberRole::CoHost);
        match self.core.told_waiting.take() {
            Some(list) if cohost => self.vestibule.update(&mut self.core, list),
            _ if !cohost && !self.vestibule.is_empty() => self.vestibule.update(&mut self.core, Vec::new()),
            _ => {}
        }
    }

    // What goes out.

    /// The next payload for the relay.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.core.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next; it may be called earlier.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.approach {
            Some(approach) if !self.core.over => approach.timeout(),
            _ => None,
        };
        earlier(own, self.core.timeout())
    }

    // What the host asks for.

    /// Opens an invite of its own secret. At most 64 are open at a time.
    pub fn create_invite(&mut self, options: InviteOptions) -> Result<Invite, MeetingError> {
        let door = Self::door(&mut self.door, &self.core)?;
        door.create_invite(&mut self.core, options)
    }

    /// Calls with this invite are answered with silence from now on, and whoever knocks with it is turned away. Who came in
    /// with it stays.
    pub fn revoke_invite(&mut self, now: Instant, invite: &InviteId) -> Result<(), MeetingError> {
        Self::door(&mut self.door, &self.core)?.revoke_invite(&mut self.core, now, invite);
        self.settle(now);
        Ok(())
    }

    /// Whose knocks are turned away unheard, now and if this program becomes the host later.
    pub fn set_blocked(&mut self, now: Instant, blocked: Vec<IdentityKey>) {
        if let Some(door) = &mut self.door {
            door.blocked = blocked.iter().copied().collect();
            let knows = |peer: &peer::Peer| peer.identity.is_some_and(|who| blocked.contains(&who));
            let known: Vec<PeerNo> =
                self.core.peers.iter().filter(|(_, peer)| knows(peer)).map(|(no, _)| *no).collect();
            for no in known {
                let _ = Door::decline(&mut self.core, now, no); // a member is not at the door
            }
        }
        self.blocked = blocked;
        self.settle(now);
    }

    /// Whose knocks strangers do not crowd out.
    pub fn set_known(&mut self, known: Vec<IdentityKey>) {
        if let Some(door) = &mut self.door {
            door.known = known.iter().copied().collect();
        }
        self.known = known;
    }

    /// Lets a knocker in. A co-host's wish goes to the host. Errors: [`MeetingError::Full`] (the knock goes on waiting),
    /// [`MeetingError::Locked`], [`MeetingError::NotWaiting`], [`MeetingError::NotInCharge`].
    pub fn admit(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = match &mut self.door {
            _ if self.core.over => Err(MeetingError::Over),
            Some(door) => door.admit(&mut self.core, now, peer),
            None => self.ask_about(peer, Request::Admit),
        };
        self.settle(now);
        done
    }

    /// Turns a knocker away; [`Event::KnockGone`] follows. A co-host's wish goes to the host.
    pub fn decline(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = match &self.door {
            _ if self.core.over => Err(MeetingError::Over),
            Some(_) => Door::decline(&mut self.core, now, peer),
            None => self.ask_about(peer, Request::Decline),
        };
        self.settle(now);
        done
    }

    /// Sends a member out. A co-host's wish goes to the host, who grants it for ordinary members.
    pub fn remove(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let index = self.core.live(peer)?.index;
        if self.core.by_index(index) != Some(peer) {
            return Err(MeetingError::NotAdmitted);
        }
        let done = if self.core.is_host() {
            self.core.part(now, peer, Departure::Removed, Some(LeaveReason::Removed));
            Ok(())
        } else {
            self.ask(Request::Remove(index))
        };
        self.settle(now);
        done
    }

    /// Locks the door, or opens it again. Whoever waits at a door that is locked is turned away, and knocks are not heard.
    pub fn set_locked(&mut self, now: Instant, locked: bool) -> Result<(), MeetingError> {
        let done = if self.core.over {
            Err(MeetingError::Over)
        } else if self.core.is_host() {
            Door::set_locked(&mut self.core, now, locked);
            Ok(())
        } else {
            self.ask(if locked { Request::Lock } else { Request::Unlock })
        };
        self.settle(now);
        done
    }

    /// Makes a member a co-host, or an ordinary member again.
    pub fn set_cohost(&mut self, now: Instant, peer: PeerNo, cohost: bool) -> Result<(), MeetingError> {
        let role = if cohost { MemberRole::CoHost } else { MemberRole::Member };
        self.change_member(now, peer, Operation::Role, |entry, index| {
            if let Some(member) = entry.members.iter_mut().find(|member| member.index == index) {
                member.role = role;
            }
        })
    }

    /// Makes a member the host. This program stays as an ordinary member's, and its invites are closed.
    pub fn hand_over(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        if !self.core.live(peer)?.is_paired() {
            return Err(MeetingError::NotAdmitted);
        }
        self.change_member(now, peer, Operation::HandOver, enthrone)
    }

    fn change_member(
        &mut self,
        now: Instant,
        peer: PeerNo,
        operation: Operation,
        change: impl FnOnce(&mut Entry, u16),
    ) -> Result<(), MeetingError> {
        Self::door(&mut self.door, &self.core)?;
        let index = self.core.live(peer)?.index;
        if self.core.by_index(index) != Some(peer) {
            return Err(MeetingError::NotAdmitted);
        }
        if let Some(signed) = self.core.certify(now, operation, index, |entry| change(entry, index)) {
            self.core.publish(now, &signed);
        }
        self.settle(now);
        Ok(())
    }

    /// Leaves the meeting to whoever is to take over. Without an heir it ends for everyone, as by [`leave`](Self::leave).
    pub fn leave_to_heir(&mut self, now: Instant) {
        let heir = self.core.live_heir().filter(|_| self.core.is_host());
        if let Some(heir) = heir.and_then(|index| self.core.by_index(index))
            && self.hand_over(now, heir).is_ok()
        {
            self.core.end(now, End::Left, Some(LeaveReason::Left));
            self.core.flush(now);
            return;
        }
        self.leave(now);
    }

    fn ask_about(&mut self, peer: PeerNo, request: impl FnOnce(u32) -> Request) -> Result<(), MeetingError> {
        let number = self.vestibule.number(peer).ok_or(MeetingError::NotInCharge)?;
        self.ask(request(number))
    }

    fn ask(&mut self, request: Request) -> Result<(), MeetingError> {
        let cohost = self.core.seat.as_ref().is_some_and(|seat| seat.own_role() == MemberRole::CoHost);
        let host = self.core.host_peer().filter(|_| cohost).ok_or(MeetingError::NotInCharge)?;
        self.core.send(host, &Message::Request(request));
        Ok(())
    }

    fn door<'a>(door: &'a mut Option<Box<Door>>, core: &Core) -> Result<&'a mut Door, MeetingError> {
        match door {
            _ if core.over => Err(MeetingError::Over),
            Some(door) => Ok(door),
            None => Err(MeetingError::NotHost),
        }
    }

    // What both ask for.

    /// Sends a session description of at most 16 KiB.
    pub fn send_offer(&mut self, now: Instant, peer: PeerNo, sdp: String) -> Result<(), MeetingError> {
        self.send(now, peer, &Message::Offer { sdp })
    }

    /// Sends a session description of at most 16 KiB.
    pub fn send_answer(&mut self, now: Instant, peer: PeerNo, sdp: String) -> Result<(), MeetingError> {
        self.send(now, peer, &Message::Answer { sdp })
    }

    /// Sends an ICE candidate line of at most 512 bytes; an empty one ends them.
    pub fn send_candidate(&mut self, now: Instant, peer: PeerNo, line: String) -> Result<(), MeetingError> {
        self.send(now, peer, &Message::Candidate { line })
    }

    /// Tells a member how many rows of pixels there is a place for; 0: its pictures are not shown. Before this it may send any.
    pub fn send_video_wish(&mut self, now: Instant, peer: PeerNo, height: u16) -> Result<(), MeetingError> {
        self.send(now, peer, &Message::VideoWish { height })
    }

    fn send(&mut self, now: Instant, peer: PeerNo, message: &Message) -> Result<(), MeetingError> {
        let done = self.core.send_to_member(now, peer, message);
        self.settle(now);
        done
    }

    /// Tells all members, now and later ones, what this side is sending. Both are off at first.
    pub fn send_media_state(&mut self, now: Instant, mic: bool, camera: bool) {
        if !self.core.over {
            self.core.set_media_state(mic, camera);
            self.settle(now);
        }
    }

    /// Cuts a member off because safety numbers differed: it gets no further key of ours (with others present the switch
    /// takes at most a second; stop sending to its path at once), its keys are retired, and what it sends is not passed on.
    /// The session stays, so that [`resume`](Self::resume) can take it back.
    pub fn stop(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = self.core.stop(now, peer);
        self.settle(now);
        done
    }

    /// Takes a [`stop`](Self::stop) back: its newest key comes again as [`Event::OpenKey`], and it gets a fresh one of ours.
    pub fn resume(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = self.core.resume(now, peer);
        self.settle(now);
        done
    }

    /// Whether this side has anything to send. Without camera and microphone it makes no sessions with other members of its
    /// own accord; those who send make one with it.
    pub fn set_sends(&mut self, now: Instant, sends: bool) {
        if std::mem::replace(&mut self.core.pairs.sends, sends) != sends && sends {
            for (no, _) in self.core.other_members() {
                self.core.plan_call(now, no);
            }
        }
        self.settle(now);
    }

    /// Gives a peer up: it fell silent, and media no longer flow. A host takes it off the list. For others the list is the
    /// host's; but if the host is lost, and nobody else is heard either, the meeting is over for them.
    pub fn drop_peer(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        self.core.live(peer)?;
        if self.core.seat.is_none() {
            self.core.end(now, End::HostLost, Some(LeaveReason::Dropped));
        } else if self.core.is_host() {
            self.core.part(now, peer, Departure::Dropped, Some(LeaveReason::Dropped));
        } else {
            self.core.live(peer)?.given_up = true;
            self.core.watch(now);
        }
        self.settle(now);
        Ok(())
    }

    /// Ends the session with a member and makes a new one. Not for the session with the host, on which the meeting stands, nor
    /// for the host itself: [`drop_peer`](Self::drop_peer) has the peer knock again.
    pub fn renew(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        if !self.core.live(peer)?.is_member() || self.core.is_host() || self.core.host_peer() == Some(peer) {
            return Err(MeetingError::NotAdmitted);
        }
        self.core.unpair(now, peer, Some(LeaveReason::Dropped));
        self.settle(now);
        Ok(())
    }

    /// Leaves; a host ends the meeting for everyone. [`Event::Ended`] follows at once, the goodbyes as transmits.
    pub fn leave(&mut self, now: Instant) {
        let reason = match &mut self.door {
            Some(door) => {
                door.close(&mut self.core, now);
                LeaveReason::MeetingOver
            }
            None => LeaveReason::Left,
        };
        if let Some(approach) = &mut self.approach {
            approach.close();
        }
        self.core.end(now, End::Left, Some(reason));
        self.core.flush(now);
    }

    // What can be looked at.

    /// The room's name at the relay.
    pub fn room_id(&self) -> [u8; 32] {
        self.core.room_id
    }

    /// Whether this side hosts.
    pub fn is_host(&self) -> bool {
        self.core.is_host()
    }

    /// The roster in force, once in the meeting.
    pub fn roster(&self) -> Option<&Roster> {
        self.core.seat.as_ref().map(|seat| &seat.roster)
    }

    /// The log of this meeting so far, signed; `None` before we are in it.
    pub fn log(&self) -> Option<String> {
        let seat = self.core.seat.as_ref()?;
        Some(self.core.log.sign(&seat.meeting, seat.own_index, &self.core.identity))
    }

    /// [`Event::Ended`] has been raised.
    pub fn is_over(&self) -> bool {
        self.core.over
    }

    /// Everything said to anyone has been acknowledged: after [`leave`](Self::leave), the goodbyes have arrived.
    pub fn is_settled(&self) -> bool {
        self.core.peers.values().all(peer::Peer::is_drained)
    }

    /// What was dropped or refused so far.
    pub fn counters(&self) -> Counters {
        self.core.counters
    }
}
