//! Somebody who was let in and means harm: each attempt is refused, named and counted, and nobody honest pays for it.

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::StaticKey;
use conclave::crypto::secret::Secret;
use conclave::protocol::group_code::{CodeError, commitment};
use conclave::protocol::invite::Invite;
use conclave::protocol::meeting::{Departure, Event, Violation};
use conclave::protocol::roster::chain::enthrone;
use conclave::protocol::roster::{EntryError, MemberRole, Operation, RosterError, Signed};
use conclave::protocol::wire::{LeaveReason, Message, Request, Waiting, WireError};

use crate::raw_member::{RawMember, hear};
use crate::virtual_relay::{Network, guest, host, identity};
use crate::{left, secs};

/// A host (node 0), an honest member (node 1, index 1), and somebody else (index 2).
fn inside(seed: u64) -> (Network, Invite, RawMember) {
    let mut net = Network::new(seed);
    let (meeting, invite) = host(seed);
    net.add(meeting);
    net.nodes[0].admit_all = true;
    net.add(guest(&invite, 2, seed));
    net.run_for(secs(1));
    let mut mallory = RawMember::enter(&mut net, &invite, 9);
    mallory.wait(&mut net, secs(2));
    assert_eq!((mallory.index, mallory.roster.entry.members.len()), (2, 3));
    (net, invite, mallory)
}

/// For what the host sent Mallory out, if it did.
fn broke(net: &Network, at: usize) -> Option<Violation> {
    left(&net.nodes[at].events).iter().find_map(|(_, why)| match why {
        Departure::Broke(violation) => Some(*violation),
        _ => None,
    })
}

/// What a message to the host comes to.
fn told(make: impl FnOnce(&mut RawMember) -> Message) -> (Network, Option<Violation>) {
    let (mut net, _, mut mallory) = inside(100);
    let message = make(&mut mallory);
    mallory.say(&mut net, &message);
    net.run_for(secs(1));
    let why = broke(&net, 0);
    // The honest member stays, whatever was said, and hears that the other is gone.
    let members = net.nodes[0].meeting.roster().unwrap().current().members.len();
    assert_eq!(members, if why.is_some() { 2 } else { 3 });
    assert_eq!(net.nodes[0].meeting.counters().violations, u64::from(why.is_some()));
    assert!(!net.nodes[1].meeting.is_over());
    (net, why)
}

fn without(mallory: &RawMember, index: u16) -> Signed {
    mallory.entry(Operation::Remove, |entry| {
        entry.subject = index;
        entry.members.retain(|member| member.index != index);
        entry.heir = entry.natural_heir();
    })
}

#[test]
fn an_entry_that_the_host_did_not_sign_is_refused() {
    let forged: [fn(&RawMember) -> Signed; 4] = [
        |mallory| without(mallory, 1),
        |mallory| mallory.entry(Operation::Lock, |entry| entry.locked = true),
        |mallory| mallory.entry(Operation::HandOver, |entry| enthrone(entry, 2)),
        |mallory| {
            mallory.entry(Operation::Role, |entry| {
                entry.subject = 2;
                entry.members[2].role = MemberRole::CoHost;
            })
        },
    ];
    for forge in forged {
        let (net, why) = told(|mallory| Message::Roster(Box::new(forge(mallory))));
        assert_eq!(why, Some(Violation::Roster(RosterError::Signature)));
        assert_eq!(net.nodes[0].meeting.counters().bad_entries, 1);
    }
}

#[test]
fn an_entry_of_the_host_that_was_changed_is_refused() {
    let (_, why) = told(|mallory| {
        let mut signed = mallory.roster.clone();
        signed.entry.members[2].role = MemberRole::CoHost;
        Message::Roster(Box::new(Signed::parse(&signed.to_bytes()).unwrap()))
    });
    assert_eq!(why, Some(Violation::Roster(RosterError::Signature)));
}

#[test]
fn an_entry_that_names_two_hosts_is_no_entry() {
    let (net, why) = told(|mallory| {
        let two = mallory.entry(Operation::Role, |entry| {
            entry.subject = 2;
            entry.members[2].role = MemberRole::Host;
        });
        Message::Roster(Box::new(two))
    });
    assert_eq!(why, Some(Violation::Malformed(WireError::Entry(EntryError::Hosts))));
    assert_eq!(net.nodes[0].meeting.counters().violations, 1);
}

#[test]
fn a_forged_entry_that_is_passed_on_to_a_member_ends_the_session_with_it() {
    let (mut net, _, mut mallory) = inside(102);
    let mut session = mallory.pair(&mut net, 1, 1);
    net.run_for(secs(1));
    let forged = mallory.entry(Operation::Lock, |entry| entry.locked = true);
    let envelope = session.seal(&Message::Roster(Box::new(forged)));
    mallory.deliver(&mut net, 1, &envelope);
    assert_eq!(broke(&net, 1), Some(Violation::Roster(RosterError::Signature)));
    assert_eq!(net.nodes[1].meeting.roster().unwrap().current().members.len(), 3, "the list is the host's");
}

#[test]
fn whoever_is_not_the_heir_takes_over_from_nobody() {
    let (net, why) = told(|mallory| {
        let takes_over = mallory.entry(Operation::Succeed, |entry| {
            entry.term += 1;
            enthrone(entry, 2);
        });
        Message::Roster(Box::new(takes_over))
    });
    assert_eq!(why, Some(Violation::Roster(RosterError::Signature)));
    assert_eq!(net.nodes[0].meeting.counters().bad_entries, 1);
}

#[test]
fn an_heir_that_takes_over_from_a_host_that_is_heard_gains_nothing() {
    let (mut net, _, mut mallory) = inside(105);
    let joined = |event: &Event| if let Event::Joined { peer, index: 2, .. } = event { Some(*peer) } else { None };
    let peer = net.nodes[0].events.iter().find_map(joined).unwrap();
    net.with(0, |meeting, now| meeting.set_cohost(now, peer, true).unwrap());
    mallory.wait(&mut net, secs(1));
    assert_eq!(mallory.roster.entry.heir, 2);
    let takes_over = mallory.entry(Operation::Succeed, |entry| {
        entry.term += 1;
        enthrone(entry, 2);
    });
    let mut session = mallory.pair(&mut net, 1, 1);
    for _ in 0..5 {
        mallory.say(&mut net, &Message::Roster(Box::new(takes_over.clone())));
        let envelope = session.seal(&Message::Roster(Box::new(takes_over.clone())));
        mallory.deliver(&mut net, 1, &envelope);
    }
    mallory.wait(&mut net, secs(1));
    // The host says once that it is here, and that stands in the place of what the heir would have.
    assert!(net.nodes[0].meeting.counters().false_claims >= 1);
    for at in [0, 1] {
        let entry = net.nodes[at].meeting.roster().unwrap().current();
        assert_eq!((entry.term, entry.counter), (0, takes_over.entry.counter), "node {at}");
        assert_eq!(entry.operation, Operation::Unlock);
    }
    mallory.wait(&mut net, secs(30));
    assert!(net.nodes[0].meeting.is_host());
    assert_eq!(net.nodes[1].meeting.roster().unwrap().current().term, 0);
}

#[test]
fn a_member_believes_no_heir_while_it_hears_the_host() {
    let (mut net, _, mut mallory) = inside(103);
    let mut session = mallory.pair(&mut net, 1, 1);
    let takes_over = mallory.entry(Operation::Succeed, |entry| {
        entry.term += 1;
        enthrone(entry, 2);
    });
    let envelope = session.seal(&Message::Roster(Box::new(takes_over)));
    mallory.deliver(&mut net, 1, &envelope);
    mallory.wait(&mut net, secs(30));
    for at in [0, 1] {
        assert_eq!(net.nodes[at].meeting.roster().unwrap().current().term, 0);
    }
}

#[test]
fn nobody_takes_over_from_an_entry_that_another_follows() {
    let (mut net, _, mut mallory) = inside(104);
    let old = mallory.roster.clone();
    // The host hands over to the honest member, and the other says that it knows.
    let peer = net.peer_of(0, 1);
    net.with(0, |meeting, now| meeting.hand_over(now, peer).unwrap());
    mallory.wait(&mut net, secs(1));
    let mut session = mallory.pair(&mut net, 1, 1);
    let envelope = session.seal(&Message::Head(mallory.roster.head()));
    mallory.deliver(&mut net, 1, &envelope);
    mallory.roster = old;
    let takes_over = mallory.entry(Operation::Succeed, |entry| {
        entry.term += 1;
        enthrone(entry, 2);
    });
    let envelope = session.seal(&Message::Roster(Box::new(takes_over)));
    mallory.deliver(&mut net, 1, &envelope);
    assert_eq!(broke(&net, 1), Some(Violation::Roster(RosterError::Signature)));
    assert!(net.nodes[1].meeting.is_host());
}

/// As [`inside`], but Mallory came first and is the heir; the honest member is node 1 and has index 2.
fn with_heir(seed: u64) -> (Network, RawMember) {
    let mut net = Network::new(seed);
    let (meeting, invite) = host(seed);
    net.add(meeting);
    net.nodes[0].admit_all = true;
    let mut mallory = RawMember::enter(&mut net, &invite, 9);
    mallory.wait(&mut net, secs(1));
    net.add(guest(&invite, 2, seed));
    mallory.wait(&mut net, secs(2));
    assert_eq!((mallory.index, mallory.roster.entry.heir, mallory.roster.entry.members.len()), (1, 1, 3));
    (net, mallory)
}

fn takes_over(mallory: &RawMember) -> Message {
    let signed = mallory.entry(Operation::Succeed, |entry| {
        entry.term += 1;
        let own = mallory.index;
        enthrone(entry, own);
    });
    Message::Roster(Box::new(signed))
}

#[test]
fn an_heir_of_an_older_entry_does_not_take_over_from_there() {
    let (mut net, mut mallory) = with_heir(104);
    let claim = takes_over(&mallory);
    // The host hands over to the honest member.
    let peer = net.peer_of(0, 1);
    net.with(0, |meeting, now| meeting.hand_over(now, peer).unwrap());
    mallory.wait(&mut net, secs(1));
    let mut session = mallory.answer(&mut net, 1);
    let envelope = session.seal(&claim);
    mallory.deliver(&mut net, 1, &envelope);
    mallory.wait(&mut net, secs(10));
    assert!(net.nodes[1].meeting.is_host());
    assert_eq!(net.nodes[1].meeting.roster().unwrap().current().term, 0);
}

#[test]
fn what_only_a_host_may_say_is_counted_and_not_heard_from_others() {
    let waiting = Waiting { number: 9, identity: identity(7).key(), name: "Nobody".into() };
    let said: [fn(&Waiting) -> Message; 5] = [
        |waiting| Message::Waiting(vec![waiting.clone()]),
        |_| Message::Request(Request::Remove(1)),
        |_| Message::Request(Request::Lock),
        |_| Message::CodeOpen { round: [1; 16], people: [0; 32] },
        |_| Message::CodeValues { round: [1; 16], values: Default::default() },
    ];
    for message in said {
        let (net, why) = told(|_| message(&waiting));
        assert_eq!(why, None);
        assert_eq!(net.nodes[0].meeting.counters().out_of_turn, 1, "{:?}", message(&waiting));
        let entry = net.nodes[0].meeting.roster().unwrap().current();
        assert!(!entry.locked && entry.members.len() == 3);
        assert!(!net.kinds(0).iter().rev().take(3).any(|kind| *kind == "knocked"));
    }
}

#[test]
fn a_sender_key_is_taken_for_a_list_that_has_its_sender_and_for_no_other() {
    let key = |roster| Message::SenderKey { generation: 1, roster, base: Secret::new([1; 32]) };
    let opened = |net: &Network| net.open_keys(0).iter().filter(|(peer, ..)| *peer == net_peer(net)).count();
    fn net_peer(net: &Network) -> u32 {
        net.nodes[0]
            .events
            .iter()
            .rev()
            .find_map(|e| if let Event::Joined { peer, .. } = e { Some(*peer) } else { None })
            .unwrap()
    }
    // The list before Mallory came.
    let (net, why) = told(|mallory| key(mallory.roster.entry.previous));
    assert_eq!((why, opened(&net)), (Some(Violation::OutOfPlace("sender key")), 0));
    // A list that there is not.
    let (net, why) = told(|_| key([0xaa; 32]));
    assert_eq!((why, opened(&net)), (None, 0));
    // The list in force.
    let (net, why) = told(|mallory| key(mallory.roster.hash));
    assert_eq!((why, opened(&net)), (None, 1));
}

#[test]
fn what_is_too_long_is_no_message() {
    let long = |kind: u8, length: usize| [&[kind][..], &(length as u16).to_be_bytes(), &vec![b'x'; length]].concat();
    let mut waiting = vec![0x10, 17];
    (0..17u8).for_each(|n| waiting.extend([&[0, 0, 0, n][..], &[n; 32], &[0, 1, b'x']].concat()));
    let mut values = [&[0x16][..], &[1; 16], &65u16.to_be_bytes()].concat();
    (0..65u16).for_each(|n| values.extend([&n.to_be_bytes()[..], &[0; 32]].concat()));
    for (bytes, error) in [
        (long(0x08, 16_385), WireError::TextLength),
        (long(0x0a, 513), WireError::TextLength),
        (waiting, WireError::List),
        (values, WireError::List),
        (vec![0x05, 1, 1], WireError::TrailingBytes),
        (vec![0x06, 0, 0], WireError::Truncated),
    ] {
        let (mut net, _, mut mallory) = inside(105);
        mallory.say_bytes(&mut net, &bytes);
        assert_eq!(broke(&net, 0), Some(Violation::Malformed(error)));
        assert_eq!(net.nodes[0].meeting.counters().violations, 1);
    }
}

#[test]
fn a_session_message_is_taken_once() {
    let (mut net, _, mut mallory) = inside(106);
    let envelope = mallory.host.seal(&Message::MediaState { mic: true, camera: true });
    let before = net.nodes[0].meeting.counters().not_authentic;
    let states = |net: &Network| net.kinds(0).iter().filter(|kind| **kind == "media state").count();
    mallory.deliver(&mut net, 0, &envelope);
    let once = states(&net);
    for _ in 0..3 {
        mallory.deliver(&mut net, 0, &envelope);
    }
    assert_eq!(states(&net), once);
    assert_eq!(net.nodes[0].meeting.counters().not_authentic, before + 3);
    assert_eq!(broke(&net, 0), None);
}

/// The round that the host has opened, and whom it is for.
fn open_round(net: &mut Network, mallory: &mut RawMember) -> ([u8; 16], [u8; 32]) {
    let find = |message: Message| match message {
        Message::CodeOpen { round, people } => Some((round, people)),
        _ => None,
    };
    for _ in 0..20 {
        if let Some(open) = mallory.wait(net, secs(1)).into_iter().find_map(find) {
            return open;
        }
    }
    panic!("the host opens no round");
}

#[test]
fn a_commitment_cannot_be_changed_and_a_value_must_fit_it() {
    let value = || Secret::new([3; 32]);
    for case in 0..3 {
        let (mut net, _, mut mallory) = inside(107);
        let (round, people) = open_round(&mut net, &mut mallory);
        let commitment = commitment(&round, &people, &mallory.identity.key(), &value());
        mallory.say(&mut net, &Message::CodeCommit { round, commitment });
        let expected = match case {
            0 => {
                mallory.say(&mut net, &Message::CodeCommit { round, commitment: [9; 32] });
                Some(Violation::Code(CodeError::OutOfTurn))
            }
            1 => {
                mallory.wait(&mut net, secs(1));
                mallory.say(&mut net, &Message::CodeReveal { round, value: Secret::new([4; 32]) });
                Some(Violation::Code(CodeError::Reveal))
            }
            _ => {
                mallory.wait(&mut net, secs(1));
                mallory.say(&mut net, &Message::CodeReveal { round, value: value() });
                None
            }
        };
        net.run_for(secs(1));
        assert_eq!(broke(&net, 0), expected, "case {case}");
        assert_eq!(net.nodes[0].meeting.counters().bad_codes, u64::from(expected.is_some()));
        let code = |at: usize| {
            net.nodes[at]
                .events
                .iter()
                .rev()
                .find_map(|e| if let Event::Code(code) = e { Some(code.clone()) } else { None })
        };
        if expected.is_none() {
            assert!(code(0).flatten().is_some() && code(0) == code(1), "an honest value gives everyone the code");
        }
    }
}

#[test]
fn a_member_cannot_pass_for_another() {
    let (mut net, _, mut mallory) = inside(108);
    let mut session = mallory.call(&mut net, 1, 1);
    let heard = net.overheard.len();
    // Its own static key, and a proof in the name of the host.
    let Message::Proof { signature, .. } = session.proof(&mallory.identity) else { panic!() };
    let envelope = session.seal(&Message::Proof { identity: identity(1).key(), signature });
    mallory.deliver(&mut net, 1, &envelope);
    let counters = net.nodes[1].meeting.counters();
    assert_eq!((counters.false_members, counters.violations), (1, 1));
    let paired = net.kinds(1).iter().filter(|kind| **kind == "paired").count();
    assert_eq!(paired, 1, "with the host alone");
    assert!(hear(&mut session, &net, heard).iter().all(|said| !matches!(said, Message::SenderKey { .. })));
    // Its own proof in a session with a static key that is not in the list.
    mallory.static_key = StaticKey::from_entropy(&mut Seeded(4));
    let callee = mallory.roster.entry.member(1).unwrap().static_key;
    let door = crate::raw_peer::RawDoor::of_member(&mallory.secret, mallory.room_id, callee);
    let (call, first) = crate::raw_peer::RawCall::start_at(&door, &mallory.static_key, 77, 1);
    mallory.deliver(&mut net, 1, &first);
    let (mut session, third) = call.finish(&net.overheard.last().unwrap().clone());
    let heard = net.overheard.len();
    mallory.deliver(&mut net, 1, &third);
    assert!(hear(&mut session, &net, heard).is_empty(), "it says nothing to a stranger, its own identity least of all");
    assert_eq!(net.nodes[1].meeting.counters().false_members, 2);
}

#[test]
fn whoever_was_sent_out_is_told_why_and_finds_no_door() {
    let (mut net, _, mut mallory) = inside(109);
    let peer = left_peer(&net);
    net.with(0, |meeting, now| meeting.remove(now, peer).unwrap());
    let said = mallory.hear(&mut net);
    assert!(said.contains(&Message::Leave { reason: LeaveReason::Removed.code() }));
    net.run_for(secs(1));
    let callee = mallory.roster.entry.member(1).unwrap().static_key;
    let door = crate::raw_peer::RawDoor::of_member(&mallory.secret, mallory.room_id, callee);
    let (call, first) = crate::raw_peer::RawCall::start_at(&door, &mallory.static_key, 78, 1);
    mallory.deliver(&mut net, 1, &first);
    let (mut session, third) = call.finish(&net.overheard.last().unwrap().clone());
    let heard = net.overheard.len();
    mallory.deliver(&mut net, 1, &third);
    assert!(hear(&mut session, &net, heard).is_empty());
    assert_eq!(net.nodes[1].meeting.counters().false_members, 1);
}

fn left_peer(net: &Network) -> u32 {
    let joined = |event: &Event| if let Event::Joined { peer, .. } = event { Some(*peer) } else { None };
    net.nodes[0].events.iter().rev().find_map(joined).unwrap()
}
