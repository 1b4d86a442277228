//! A host that shows its guests different things: they find out, from each other if need be.

use std::sync::Arc;

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::StaticKey;
use conclave::crypto::identity::Identity;
use conclave::crypto::secret::Secret;
use conclave::protocol::group_code::{CodeError, sign_set};
use conclave::protocol::invite::Invite;
use conclave::protocol::meeting::{End, Event, Violation};
use conclave::protocol::roster::{Entry, Listed, MemberRole, Operation, RosterError, Signed};
use conclave::protocol::wire::Message;

use crate::raw_member::{entry, hear};
use crate::raw_peer::{RawAnswer, RawCall, RawDoor, RawSession, refusal};
use crate::virtual_relay::{Network, guest, host, identity};
use crate::{ended, events, payloads, secs};

const CONN: u64 = 2_000;
const MEETING: [u8; 32] = [5; 32];

/// A host written by hand. Its guests are the nodes of the network, in the order in which they came.
struct RawHost {
    identity: Arc<Identity>,
    static_key: StaticKey,
    invite: Invite,
    /// Each with how much of what was sent it has looked at.
    sessions: Vec<(RawSession, usize)>,
    roster: Signed,
}

fn members() -> Secret<32> {
    Secret::new([6; 32])
}

impl RawHost {
    fn new(seed: u64) -> Self {
        let (_, mut invite) = host(seed);
        let (identity, static_key) = (identity(1), StaticKey::from_entropy(&mut Seeded(seed ^ 0xabc)));
        invite.host_static = static_key.public();
        let own = Listed {
            index: 0,
            role: MemberRole::Host,
            identity: identity.key(),
            static_key: static_key.public(),
            name: "Hana".into(),
        };
        let first = Entry::open(own, 0);
        let roster = Signed::make(first, &MEETING, &identity);
        Self { identity, static_key, invite, sessions: Vec::new(), roster }
    }

    /// The entry in force, followed by one with a change.
    fn next(&self, operation: Operation, change: impl FnOnce(&mut Entry)) -> Signed {
        entry(&self.roster, operation, &MEETING, &self.identity, |entry| {
            change(entry);
            entry.heir = entry.natural_heir();
        })
    }

    /// A guest comes and is in the lobby. Gives what it is to be listed as.
    fn receive(&mut self, net: &mut Network, who: u8) -> Listed {
        let at = net.add(guest(&self.invite, who, u64::from(who)));
        let door = RawDoor::of_host(&self.invite);
        let first = net.overheard.iter().rev().find(|payload| RawAnswer::is_called(&door, payload)).unwrap().clone();
        let (answer, second) = RawAnswer::start_at(&door, &self.static_key, &first, u64::from(who));
        net.deliver(at, CONN, &second);
        let third = net.overheard.iter().rev().find(|payload| payload[0] == 3).unwrap().clone();
        let mut session = answer.finish(&third);
        let proof = session.proof(&self.identity);
        let proof = session.seal(&proof);
        let heard = net.overheard.len();
        net.deliver(at, CONN, &proof);
        let said = hear(&mut session, net, heard);
        let [Message::Proof { identity, .. }, Message::Knock { name }, ..] = &said[..] else { panic!("{said:?}") };
        let static_key = *session.session.remote_static();
        self.sessions.push((session, net.overheard.len()));
        let index = self.roster.entry.next_index;
        Listed { index, role: MemberRole::Member, identity: *identity, static_key, name: name.clone() }
    }

    fn admission(&self, listed: &Listed) -> Signed {
        self.next(Operation::Admit, |entry| {
            entry.subject = listed.index;
            entry.next_index += 1;
            entry.members.push(listed.clone());
        })
    }

    fn admit(&mut self, net: &mut Network, at: usize, index: u16, roster: &Signed) {
        let roster = Box::new(roster.clone());
        self.say(net, at, &Message::Admit { your_index: index, meeting: MEETING, secret: members(), roster });
    }

    fn say(&mut self, net: &mut Network, at: usize, message: &Message) {
        let envelope = self.sessions[at].0.seal(message);
        net.deliver(at, CONN, &envelope);
    }

    /// What a guest has said since the last time.
    fn hear(&mut self, net: &Network, at: usize) -> Vec<Message> {
        let (session, heard) = &mut self.sessions[at];
        let since = std::mem::replace(heard, net.overheard.len());
        hear(session, net, since)
    }

    /// Two guests who are in the meeting and have a session with each other.
    fn two(net: &mut Network, seed: u64) -> Self {
        let mut host = Self::new(seed);
        for at in 0..2 {
            let listed = host.receive(net, 2 + at as u8);
            host.roster = host.admission(&listed);
            let roster = host.roster.clone();
            host.admit(net, at, listed.index, &roster);
            if at == 1 {
                host.say(net, 0, &Message::Roster(Box::new(roster)));
            }
        }
        net.run_for(secs(3));
        for at in [0, 1] {
            assert!(net.kinds(at).iter().filter(|kind| **kind == "paired").count() == 2, "{:?}", net.kinds(at));
            assert!(!net.send_keys(at).is_empty());
        }
        host
    }
}

#[test]
fn a_host_that_signs_two_entries_for_one_place_is_found_out_by_those_it_deceives() {
    let mut net = Network::new(200);
    let mut host = RawHost::two(&mut net, 200);
    let one = host.next(Operation::Lock, |entry| entry.locked = true);
    let other = host.next(Operation::Role, |entry| {
        entry.subject = 2;
        entry.members[2].role = MemberRole::CoHost;
    });
    host.say(&mut net, 0, &Message::Roster(Box::new(one.clone())));
    host.say(&mut net, 1, &Message::Roster(Box::new(other.clone())));
    net.run_for(secs(6));
    let forked = [(0, &one, &other), (1, &other, &one)].map(|(at, own, theirs)| {
        let forked = net.nodes[at].events.iter().position(
            |event| matches!(event, Event::Forked { ours, other } if *ours == own.head() && *other == theirs.head()),
        );
        assert_eq!(net.kinds(at).iter().filter(|kind| **kind == "send key gone").count(), 1);
        forked.unwrap_or_else(|| panic!("{at} sees nothing: {:?}", net.kinds(at)))
    });
    // Whatever happens now, nothing is sealed any more, and nobody is accused of what the host did.
    net.run_for(secs(400));
    for at in [0, 1] {
        assert!(!net.nodes[at].events[forked[at]..].iter().any(|event| matches!(event, Event::SendKey(_))));
        assert!(net.nodes[at].meeting.log().unwrap().contains(" forked "));
        assert_eq!(net.nodes[at].meeting.counters().violations, 0);
    }
}

#[test]
fn a_host_that_lists_a_key_of_its_own_for_somebody_else_gains_no_session_in_their_name() {
    let mut net = Network::new(201);
    let mut host = RawHost::new(201);
    let ana = host.receive(&mut net, 2);
    host.roster = host.admission(&ana);
    let roster = host.roster.clone();
    host.admit(&mut net, 0, ana.index, &roster);
    // Ben, as Ana is shown him: his identity, and a Noise key that the host has drawn.
    let drawn = StaticKey::from_entropy(&mut Seeded(77));
    let key = drawn.public();
    let ben =
        Listed { index: 2, role: MemberRole::Member, identity: identity(3).key(), static_key: key, name: "Ben".into() };
    let shown = host.admission(&ben);
    host.say(&mut net, 0, &Message::Roster(Box::new(shown)));
    net.run_for(secs(4));
    let door = RawDoor::of_member(&members(), host.invite.room_id(), drawn.public());
    let called = |payload: &&Vec<u8>| RawAnswer::is_called(&door, payload);
    let first = net.overheard.iter().rev().find(called).unwrap().clone();
    let (answer, second) = RawAnswer::start_at(&door, &drawn, &first, 9);
    net.deliver(0, CONN, &second);
    let third = net.overheard.iter().rev().find(|payload| payload[0] == 3).unwrap().clone();
    let mut session = answer.finish(&third);
    let Message::Proof { signature, .. } = session.proof(&host.identity) else { panic!() };
    let heard = net.overheard.len();
    let proof = session.seal(&Message::Proof { identity: ben.identity, signature });
    net.deliver(0, CONN, &proof);
    let counters = net.nodes[0].meeting.counters();
    assert_eq!((counters.false_members, counters.violations), (1, 1));
    assert_eq!(net.kinds(0).iter().filter(|kind| **kind == "paired").count(), 1, "with the host alone");
    let said = hear(&mut session, &net, heard);
    assert!(said.iter().all(|said| !matches!(said, Message::SenderKey { .. } | Message::Proof { .. })), "{said:?}");
}

#[test]
fn a_guest_takes_no_first_list_that_shows_it_as_another() {
    let wrong: [fn(&mut Listed); 3] =
        [|own| own.static_key = [9; 32], |own| own.role = MemberRole::CoHost, |own| own.identity = identity(8).key()];
    for change in wrong {
        let mut net = Network::new(202);
        let mut host = RawHost::new(202);
        let mut own = host.receive(&mut net, 2);
        change(&mut own);
        let roster = host.admission(&own);
        host.admit(&mut net, 0, own.index, &roster);
        let why = End::HostBroke(Violation::Roster(RosterError::First("listed as another")));
        assert_eq!(ended(&net.nodes[0].events), Some(why));
        assert_eq!(net.nodes[0].meeting.counters().bad_entries, 1);
    }
}

#[test]
fn a_guest_reveals_nothing_to_a_set_without_its_commitment_and_takes_no_value_that_does_not_fit() {
    for honest in [false, true] {
        let mut net = Network::new(203);
        let mut host = RawHost::new(203);
        let ana = host.receive(&mut net, 2);
        host.roster = host.admission(&ana);
        let roster = host.roster.clone();
        host.admit(&mut net, 0, ana.index, &roster);
        let (round, people) = ([4; 16], host.roster.entry.people());
        host.say(&mut net, 0, &Message::CodeOpen { round, people });
        let commitment = host.hear(&net, 0).into_iter().find_map(|message| match message {
            Message::CodeCommit { commitment, .. } => Some(commitment),
            _ => None,
        });
        let commitment = if honest { commitment.unwrap() } else { [1; 32] };
        let set = [(0, [2; 32]), (ana.index, commitment)].into();
        let signature = sign_set(&MEETING, &round, &people, &set, &host.identity);
        host.say(&mut net, 0, &Message::CodeSet { round, signature, set });
        let revealed = host.hear(&net, 0).into_iter().find_map(|message| match message {
            Message::CodeReveal { value, .. } => Some(value),
            _ => None,
        });
        assert_eq!(revealed.is_some(), honest);
        let expected = match revealed {
            None => CodeError::OwnCommitment,
            Some(value) => {
                let values = [(0, Secret::new([3; 32])), (ana.index, value)].into();
                host.say(&mut net, 0, &Message::CodeValues { round, values });
                CodeError::Reveal
            }
        };
        assert_eq!(ended(&net.nodes[0].events), Some(End::HostBroke(Violation::Code(expected))));
        assert_eq!(net.nodes[0].meeting.counters().bad_codes, 1);
    }
}

#[test]
fn a_suite_without_ml_kem_is_refused_where_both_can_see_it() {
    // At the host: a caller whose link is right and whose suite is not.
    let mut net = Network::new(204);
    let (meeting, invite) = host(204);
    let at = net.add(meeting);
    let door = RawDoor::of_host(&invite);
    let static_key = StaticKey::from_entropy(&mut Seeded(1));
    let (_, first) = RawCall::start_at(&door, &static_key, 5, 0);
    net.deliver(at, CONN, &first);
    assert!(net.nodes[at].events.iter().any(|event| matches!(event, Event::SuiteRefused { suite: 0 })));
    assert_eq!(net.overheard.last(), Some(&refusal(&door, &first[1..9], 1)), "and the caller is told what is spoken");
    let counters = net.nodes[at].meeting.counters();
    assert_eq!((counters.suites_refused, counters.refused_at_door), (1, 0));
    // The number is covered by the tag: the relay cannot make it another.
    let (_, mut first) = RawCall::start_at(&door, &static_key, 6, 1);
    first[25] = 0;
    net.deliver(at, CONN, &first);
    let counters = net.nodes[at].meeting.counters();
    assert_eq!((counters.suites_refused, counters.refused_at_door), (1, 1));

    // At the guest: whoever holds the invite can say it, and nobody else.
    let mut joining = guest(&invite, 2, 204);
    joining.handle_relay_up(net.now);
    let first = payloads(&mut joining).remove(0);
    let mut forged = refusal(&door, &first[1..9], 0);
    forged[20] ^= 1;
    joining.handle_relay(net.now, CONN, &forged);
    assert_eq!(ended(&events(&mut joining)), None);
    joining.handle_relay(net.now, CONN, &refusal(&door, &first[1..9], 0));
    assert_eq!(ended(&events(&mut joining)), Some(End::SuiteRefused { suite: 0 }));
    assert!(payloads(&mut joining).is_empty());
}
