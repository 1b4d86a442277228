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
//! 3. Host: [`Event::Knocked`], until [`admit`](Meeting::admit) or
//!    [`decline`](Meeting::decline).
//! 4. Both: [`Event::Admitted`], with sender indices and meeting id. **The guest's engine makes the WebRTC offer now** and
//!    sends it with [`send_offer`](Meeting::send_offer); the host's answers.
//! 5. Both: [`Event::OpenKey`] (the peer's key; expect it before its frames) and, as soon as everyone has ours,
//!    [`Event::SendKey`]: seal with it, from its first frame on, a key frame first. Nothing is sealed before. A fresh pair of these
//!    follows each join and leave and every five minutes; [`Event::RetireKey`] ten seconds later.
//! 6. [`Event::Left`] for one peer (forget its keys and path), [`Event::Ended`] for the whole meeting.
//!
//! To leave: [`leave`](Meeting::leave), then keep driving the machine until [`is_settled`](Meeting::is_settled) or for as
//! long as one is willing to wait. A lost relay is no event here: members stay members ([`Event::Silent`] tells), because
//! media need no relay.

mod event;
mod guest;
mod host;
mod keys;
mod members;
mod peer;

use std::sync::Arc;
use std::time::Instant;

pub use event::{ConnId, Counters, Departure, End, Event, HostProof, MeetingError, PeerNo, Transmit, Violation};

use self::guest::Approach;
use self::host::Door;
use self::members::Core;
use crate::crypto::entropy::Entropy;
use crate::crypto::identity::Identity;
use crate::protocol::envelope::Envelope;
use crate::protocol::invite::{Invite, InviteId};
use crate::protocol::relay_address::RelayAddress;
use crate::protocol::timers::earlier;
use crate::protocol::wire::{LeaveReason, Message, clean_name};

/// People in a meeting, the host among them. Everything below counts peers in maps; this constant is the limit.
pub const MAX_MEMBERS: usize = 2;

/// When an invite ends, on both clocks: the wall clock for the link, the steady one for the host's own door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Seconds since 1970.
    pub unix: u64,
    /// The same moment.
    pub at: Instant,
}

enum Role {
    Host(Box<Door>),
    Guest(Box<Approach>),
}

/// One person's side of one meeting. See the [module](self) for how to drive it.
pub struct Meeting {
    core: Core,
    role: Role,
}

impl Meeting {
    /// A new meeting, hosted here, with a room secret, a meeting id and a Noise static key of its own.
    ///
    /// `name` is what members will see; it is [cleaned](clean_name).
    pub fn host(identity: Arc<Identity>, name: &str, entropy: Box<dyn Entropy>) -> Self {
        let mut core = Core::new(identity, clean_name(name), entropy, false);
        let door = Door::new(core.entropy.as_mut());
        Self { core, role: Role::Host(Box::new(door)) }
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
    ) -> Result<Self, MeetingError> {
        let mut core = Core::new(identity, clean_name(name), entropy, true);
        let approach = Approach::new(&mut core, invite)?;
        Ok(Self { core, role: Role::Guest(Box::new(approach)) })
    }

    // What comes in.

    /// The connection to the relay stands, for the first time or again (with a new connection id, perhaps). Everything
    /// unacknowledged is sent again, to the whole room, since nobody's place in it is known any more.
    pub fn handle_relay_up(&mut self, now: Instant) {
        if let Role::Guest(approach) = &mut self.role
            && !self.core.over
        {
            approach.handle_relay_up(&mut self.core, now);
        }
        self.core.connection_new(now);
        self.core.flush(now);
    }

    /// The relay forwards a payload. Hostile bytes are counted and dropped.
    pub fn handle_relay(&mut self, now: Instant, from: ConnId, payload: &[u8]) {
        match (Envelope::parse(payload), &mut self.role) {
            (Err(_), _) => self.core.counters.malformed += 1,
            (Ok(Envelope::Data { attempt, message }), _) => {
                if let Some((no, messages)) = self.core.receive(now, from, &attempt, message) {
                    if let Role::Guest(approach) = &mut self.role {
                        approach.check_knock(&mut self.core);
                    }
                    self.handle_messages(now, no, messages);
                }
            }
            (Ok(_), _) if self.core.over => {}
            (Ok(Envelope::First { attempt, tag, message }), Role::Host(door)) => {
                door.handle_first(&mut self.core, now, from, attempt, &tag, message);
            }
            (Ok(Envelope::Third { attempt, message }), Role::Host(door)) => {
                door.handle_third(&mut self.core, now, from, attempt, message);
            }
            (Ok(Envelope::Second { attempt, message }), Role::Guest(approach)) => {
                approach.handle_second(&mut self.core, now, from, attempt, message);
            }
            // Broadcasts reach those they are not meant for.
            (Ok(_), _) => {}
        }
        self.core.flush(now);
    }

    /// The relay says that a connection came into the room.
    pub fn handle_relay_arrived(&mut self, now: Instant, conn: ConnId) {
        if let Role::Guest(approach) = &mut self.role
            && !self.core.over
        {
            approach.handle_relay_arrived(&mut self.core, now, conn);
        }
        self.core.flush(now);
    }

    /// The relay says that a connection left the room.
    pub fn handle_relay_left(&mut self, now: Instant, conn: ConnId) {
        self.core.connection_gone(now, conn);
        self.core.flush(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.role {
            Role::Host(door) => door.handle_timeout(now),
            Role::Guest(approach) if !self.core.over => approach.handle_timeout(&mut self.core, now),
            Role::Guest(_) => {}
        }
        self.core.handle_timeout(now);
        if let Role::Guest(approach) = &mut self.role
            && !self.core.over
        {
            approach.check_silence(&mut self.core, now);
        }
        self.core.flush(now);
    }

    fn handle_messages(&mut self, now: Instant, no: PeerNo, messages: Vec<members::Incoming>) {
        for incoming in messages {
            let outcome = match (self.core.handle(now, no, incoming), &mut self.role) {
                (Ok(Some(message)), Role::Host(door)) => door.handle_early(&mut self.core, now, no, message),
                (Ok(Some(message)), Role::Guest(approach)) => approach.handle_early(&mut self.core, now, no, message),
                (Ok(None), _) => Ok(()),
                (Err(violation), _) => Err(violation),
            };
            if let Err(violation) = outcome {
                self.core.expel(now, no, violation);
            }
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
        let own = match &self.role {
            _ if self.core.over => None,
            Role::Host(door) => door.timeout(),
            Role::Guest(approach) => approach.timeout(),
        };
        earlier(own, self.core.timeout())
    }

    // What the host asks for.

    /// Opens an invite of its own secret. Relays are best first, 1 to 8; when they change, use
    /// [`Invite::with_relays`]. At most 64 invites are open at a time.
    pub fn create_invite(
        &mut self,
        relays: Vec<RelayAddress>,
        expires: Option<Expiry>,
    ) -> Result<Invite, MeetingError> {
        let door = Self::door(&mut self.role, &self.core)?;
        door.create_invite(&mut self.core, relays, expires)
    }

    /// Calls with this invite are answered with silence from now on. Who came in with it stays.
    pub fn revoke_invite(&mut self, invite: &InviteId) -> Result<(), MeetingError> {
        Self::door(&mut self.role, &self.core)?.revoke_invite(invite);
        Ok(())
    }

    /// Lets a knocker in. Errors: [`MeetingError::Full`] (the knock goes on waiting), [`MeetingError::NotWaiting`].
    pub fn admit(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = Self::door(&mut self.role, &self.core)?.admit(&mut self.core, now, peer);
        self.core.flush(now);
        done
    }

    /// Turns a knocker away; [`Event::KnockGone`] follows.
    pub fn decline(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = Self::door(&mut self.role, &self.core)?.decline(&mut self.core, now, peer);
        self.core.flush(now);
        done
    }

    fn door<'a>(role: &'a mut Role, core: &Core) -> Result<&'a mut Door, MeetingError> {
        match role {
            _ if core.over => Err(MeetingError::Over),
            Role::Host(door) => Ok(door),
            Role::Guest(_) => Err(MeetingError::NotHost),
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

    fn send(&mut self, now: Instant, peer: PeerNo, message: &Message) -> Result<(), MeetingError> {
        let done = self.core.send_to_member(now, peer, message);
        self.core.flush(now);
        done
    }

    /// Tells all members, now and later ones, what this side is sending. Both are off at first.
    pub fn send_media_state(&mut self, now: Instant, mic: bool, camera: bool) {
        if !self.core.over {
            self.core.set_media_state(mic, camera);
            self.core.flush(now);
        }
    }

    /// Cuts a member off because safety numbers differed: it gets no further key of ours (with others present the switch
    /// takes at most a second; stop sending to its path at once), its keys are retired, and what it sends is not passed on.
    /// The session stays, so that [`resume`](Self::resume) can take it back.
    pub fn stop(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = self.core.stop(now, peer);
        self.core.flush(now);
        done
    }

    /// Takes a [`stop`](Self::stop) back: its newest key comes again as [`Event::OpenKey`], and it gets a fresh one of ours.
    pub fn resume(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        let done = self.core.resume(now, peer);
        self.core.flush(now);
        done
    }

    /// Gives a peer up (it fell silent, and media no longer flow), or, as the host, sends somebody out. For a guest giving
    /// up the host this ends the meeting.
    pub fn drop_peer(&mut self, now: Instant, peer: PeerNo) -> Result<(), MeetingError> {
        self.core.live(peer)?;
        match &mut self.role {
            Role::Host(_) => self.core.remove(now, peer, Departure::Dropped, Some(LeaveReason::Dropped)),
            Role::Guest(approach) => approach.drop_host(&mut self.core, now),
        }
        self.core.flush(now);
        Ok(())
    }

    /// Leaves; a host ends the meeting for everyone. [`Event::Ended`] follows at once, the goodbyes as transmits.
    pub fn leave(&mut self, now: Instant) {
        let reason = match &mut self.role {
            Role::Host(door) => {
                door.close();
                LeaveReason::MeetingOver
            }
            Role::Guest(approach) => {
                approach.close();
                LeaveReason::Left
            }
        };
        self.core.end(now, End::Left, Some(reason));
        self.core.flush(now);
    }

    // What can be looked at.

    /// The room's name at the relay.
    pub fn room_id(&self) -> [u8; 32] {
        match &self.role {
            Role::Host(door) => door.room_id,
            Role::Guest(approach) => approach.room_id,
        }
    }

    /// Whether this side hosts.
    pub fn is_host(&self) -> bool {
        matches!(self.role, Role::Host(_))
    }

    /// [`Event::Ended`] has been raised.
    pub fn is_over(&self) -> bool {
        self.core.over
    }

    /// Everything said to anyone has been acknowledged: after [`leave`](Self::leave), the goodbyes have arrived.
    pub fn is_settled(&self) -> bool {
        self.core.peers.values().all(|peer| peer.link.is_drained())
    }

    /// What was dropped or refused so far.
    pub fn counters(&self) -> Counters {
        self.core.counters
    }
}
