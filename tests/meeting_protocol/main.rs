//! Two people meet, on virtual time, over a relay that is fair or is not.
#![cfg(feature = "protocol")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod door;
mod door_rules;
mod hostile_host;
mod hostile_member;
mod hostile_relay;
#[path = "../support/raw_member.rs"]
mod raw_member;
#[path = "../support/raw_peer.rs"]
mod raw_peer;
mod timings;
#[path = "../support/virtual_relay.rs"]
mod virtual_relay;

use std::time::Duration;

use conclave::crypto::safety::pair_number;
use conclave::crypto::secret::Secret;
use conclave::protocol::Invite;
use conclave::protocol::meeting::{Departure, End, Event, Meeting, MeetingError, PeerNo, Transmit, Violation};
use conclave::protocol::wire::{LeaveReason, Message, WireError};

use raw_peer::{RawCall, RawSession};
use virtual_relay::{Network, guest, host, identity, open_invite};

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A host (node 0) that admits everyone and a guest (node 1), both in the meeting.
pub(crate) fn met(seed: u64) -> Network {
    let mut network = Network::new(seed);
    let (meeting, invite) = host(seed);
    network.add(meeting);
    network.nodes[0].admit_all = true;
    network.add(guest(&invite, 2, seed));
    assert!(network.run_until(secs(2), |n| !n.send_keys(0).is_empty() && !n.send_keys(1).is_empty()));
    network
}

pub(crate) fn payloads(meeting: &mut Meeting) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| meeting.poll_transmit()).map(|Transmit { payload, .. }| payload).collect()
}

pub(crate) fn events(meeting: &mut Meeting) -> Vec<Event> {
    std::iter::from_fn(|| meeting.poll_event()).collect()
}

pub(crate) fn ended(events: &[Event]) -> Option<End> {
    events.iter().find_map(|event| match event {
        Event::Ended { why } => Some(*why),
        _ => None,
    })
}

pub(crate) fn left(events: &[Event]) -> Vec<(PeerNo, Departure)> {
    let one = |event: &Event| match event {
        Event::Left { peer, why } => Some((*peer, *why)),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

/// A guest written by hand, up to and including its knock. Also everything the host has said to it.
pub(crate) fn raw_knock(host: &mut Meeting, invite: &Invite, who: u8, n: &Network) -> (RawSession, Vec<Message>) {
    let (mut session, mut said) = raw_session(host, invite, u64::from(who) + 1000, n);
    let proof = session.proof(&identity(who));
    let proof = session.seal(&proof);
    host.handle_relay(n.now, 9, &proof);
    let knock = session.seal(&Message::Knock { name: format!("Raw {who}") });
    host.handle_relay(n.now, 9, &knock);
    said.extend(payloads(host).iter().filter_map(|payload| session.open(payload)));
    (session, said)
}

pub(crate) fn raw_session(host: &mut Meeting, invite: &Invite, seed: u64, n: &Network) -> (RawSession, Vec<Message>) {
    let (call, first) = RawCall::start(invite, seed);
    host.handle_relay(n.now, 9, &first);
    let second = payloads(host).pop().unwrap();
    let (mut session, third) = call.finish(&second);
    host.handle_relay(n.now, 9, &third);
    let said = payloads(host).iter().filter_map(|payload| session.open(payload)).collect();
    (session, said)
}

pub(crate) fn kinds(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(Message::kind).filter(|kind| !["ping", "pong"].contains(kind)).collect()
}

#[test]
fn two_people_meet() {
    let mut network = met(1);
    let (at_host, at_guest) = (network.paired(0).unwrap(), network.paired(1).unwrap());
    let joined = |at: usize| {
        let find = |event: &Event| match event {
            Event::Joined { identity, name, index, .. } => Some((*identity, name.clone(), *index)),
            _ => None,
        };
        network.nodes[at].events.iter().find_map(find).unwrap()
    };
    let entered = |at: usize| {
        let find = |event: &Event| match event {
            Event::Entered { own_index, meeting } => Some((*own_index, *meeting)),
            _ => None,
        };
        network.nodes[at].events.iter().find_map(find).unwrap()
    };
    assert_eq!(joined(0), (identity(2).key(), "Guest 2".into(), entered(1).0));
    assert_eq!(joined(1), (identity(1).key(), "Hana".into(), entered(0).0));
    assert_eq!(entered(0).1, entered(1).1);
    assert_ne!(entered(0).0, entered(1).0);
    assert_eq!(pair_number(&identity(1).key(), &joined(0).0), pair_number(&identity(2).key(), &joined(1).0));
    let offers = |at: usize| network.nodes[at].events.iter().any(|e| matches!(e, Event::Paired { offers: true, .. }));
    assert!(!offers(0) && offers(1), "exactly one of the two makes the offer");

    // Each opens with what the other seals with.
    for (sealer, opener, peer) in [(0, 1, at_guest), (1, 0, at_host)] {
        let (generation, key) = network.send_keys(sealer)[0];
        assert!(network.open_keys(opener).contains(&(peer, generation, key)));
    }
    assert_ne!(network.send_keys(0)[0].1, network.send_keys(1)[0].1);

    network.with(1, |meeting, now| {
        meeting.send_offer(now, at_guest, "v=0 offer".into()).unwrap();
        meeting.send_media_state(now, true, false);
    });
    network.run_for(secs(1));
    network.with(0, |meeting, now| {
        meeting.send_answer(now, at_host, "v=0 answer".into()).unwrap();
        meeting.send_candidate(now, at_host, "candidate:1".into()).unwrap();
        meeting.send_candidate(now, at_host, String::new()).unwrap();
    });
    network.run_for(secs(1));
    let has = |at: usize, wanted: fn(&Event) -> bool| network.nodes[at].events.iter().any(wanted);
    assert!(has(0, |e| matches!(e, Event::Offer { sdp, .. } if sdp == "v=0 offer")));
    assert!(has(0, |e| matches!(e, Event::MediaState { mic: true, camera: false, .. })));
    assert!(has(1, |e| matches!(e, Event::Answer { sdp, .. } if sdp == "v=0 answer")));
    assert_eq!(network.candidates(1), ["candidate:1", ""]);
    network.run_for(secs(6));
    let rtt = network.nodes[0].events.iter().find_map(|event| match event {
        Event::Rtt { rtt, .. } => Some(*rtt),
        _ => None,
    });
    assert_eq!(rtt, Some(network.latency * 2));
    for node in &network.nodes {
        let counters = node.meeting.counters();
        assert_eq!((counters.violations, counters.not_authentic, counters.forged_handshakes), (0, 0, 0));
    }
}

#[test]
fn broken_messages_from_an_authentic_peer_close_its_session_and_name_the_rule() {
    let broken: [fn(&mut RawSession) -> Vec<u8>; 8] = [
        |s| s.seal_bytes(true, &[0x7f]),
        |s| s.seal_bytes(true, &[]),
        |s| s.seal_bytes(true, &Message::Ping { token: 1 }.encode().unwrap()),
        |s| s.seal_bytes(false, &Message::Leave { reason: 1 }.encode().unwrap()),
        |s| s.seal_plaintext(&[0; 17]),
        |s| s.seal_plaintext(&[0; 130]),
        |s| {
            s.acknowledged = 1 << 40;
            s.seal(&Message::KeyAck { generation: 1 })
        },
        |s| {
            s.next += 32;
            s.seal(&Message::KeyAck { generation: 1 })
        },
    ];
    for (number, make) in broken.into_iter().enumerate() {
        let network = Network::new(15);
        let (mut host, invite) = host(15);
        let (mut session, _) = raw_knock(&mut host, &invite, 2, &network);
        host.admit(network.now, 1).unwrap();
        events(&mut host);
        for payload in payloads(&mut host) {
            session.open(&payload);
        }
        let bytes = make(&mut session);
        host.handle_relay(network.now, 9, &bytes);
        let happened = events(&mut host);
        let broke = matches!(left(&happened)[..], [(1, Departure::Broke(_))]);
        assert!(broke, "case {number}: {happened:?}");
        if number == 0 {
            let rule = Violation::Malformed(WireError::UnknownType(0x7f));
            assert_eq!(left(&happened), [(1, Departure::Broke(rule))]);
        }
    }
}

#[test]
fn a_flood_of_authentic_messages_closes_the_session() {
    let network = Network::new(16);
    let (mut host, invite) = host(16);
    let (mut session, _) = raw_knock(&mut host, &invite, 2, &network);
    for token in 0..600 {
        let ping = session.seal(&Message::Ping { token });
        host.handle_relay(network.now, 9, &ping);
    }
    assert_eq!(host.counters().violations, 1);
}

#[test]
fn sender_keys_are_fresh_on_join_on_leave_and_every_five_minutes() {
    let mut network = met(17);
    network.run_for(secs(2));
    let first = network.send_keys(0);
    assert_eq!(first.len(), 1);
    let settled = network.elapsed();
    network.run_for(secs(299) - settled);
    assert_eq!(network.send_keys(0).len(), 1);
    network.run_for(secs(3));
    let keys = network.send_keys(0);
    assert_eq!(keys.iter().map(|key| key.0).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(keys[0].1, keys[1].1);
    assert_eq!(network.open_keys(1).len(), 2);

    // The old one goes ten seconds after the new one came.
    let retired = |n: &Network| n.kinds(1).contains(&"retire key");
    assert!(!retired(&network));
    network.run_for(secs(9));
    assert!(retired(&network));

    network.with(1, |meeting, now| meeting.leave(now));
    network.run_for(secs(1));
    assert!(network.nodes[1].meeting.is_settled());
    assert_eq!(left(&network.nodes[0].events)[0].1, Departure::Said(LeaveReason::Left));
    assert_eq!(network.kinds(0).last(), Some(&"send key gone"));

    let invite = network.nodes[0].meeting.create_invite(open_invite()).unwrap();
    network.add(guest(&invite, 3, 1717));
    network.run_for(secs(2));
    let keys = network.send_keys(0);
    assert_eq!(keys.len(), 3);
    assert!(keys[2].0 > keys[1].0 && keys[2].1 != keys[1].1);
    assert_eq!(network.open_keys(2).len(), 1, "who joins gets the newest key alone");
}

#[test]
fn a_key_is_switched_to_within_a_second_even_if_nobody_acknowledges_it() {
    let network = Network::new(18);
    let (mut host, invite) = host(18);
    raw_knock(&mut host, &invite, 2, &network);
    host.admit(network.now, 1).unwrap();
    let sealing = |host: &mut Meeting| events(host).iter().any(|event| matches!(event, Event::SendKey(_)));
    assert!(!sealing(&mut host));
    host.handle_timeout(network.now + Duration::from_millis(999));
    assert!(!sealing(&mut host));
    host.handle_timeout(network.now + secs(1));
    assert!(sealing(&mut host));
}

#[test]
fn a_key_that_does_not_rise_or_was_never_sent_closes_the_session() {
    for (generation, rule) in
        [(5, Violation::StaleGeneration), (4, Violation::StaleGeneration), (99, Violation::UnknownGeneration)]
    {
        let network = Network::new(19);
        let (mut host, invite) = host(19);
        let (mut session, _) = raw_knock(&mut host, &invite, 2, &network);
        host.admit(network.now, 1).unwrap();
        let roster = host.roster().unwrap().hash();
        let key = |generation| Message::SenderKey { generation, roster, base: Secret::new([1; 32]) };
        let good = session.seal(&key(5));
        host.handle_relay(network.now, 9, &good);
        let bad = match generation {
            99 => Message::KeyAck { generation },
            _ => key(generation),
        };
        let bad = session.seal(&bad);
        host.handle_relay(network.now, 9, &bad);
        assert_eq!(left(&events(&mut host)), [(1, Departure::Broke(rule))]);
        assert_eq!(host.counters().stale_keys, u64::from(generation < 99));
    }
}

#[test]
fn after_a_relay_restart_nothing_is_lost_and_nothing_comes_twice() {
    let mut network = met(20);
    let (at_host, at_guest) = (network.paired(0).unwrap(), network.paired(1).unwrap());
    let mut sent = 0;
    for round in 0..5u64 {
        for _ in 0..10 {
            sent += 1;
            let line = format!("candidate {sent}");
            network.with(0, |meeting, now| meeting.send_candidate(now, at_host, line.clone()).unwrap());
            network.with(1, |meeting, now| meeting.send_candidate(now, at_guest, line).unwrap());
            network.run_for(Duration::from_millis(3));
        }
        // Both connections break with messages under way, and come back under new numbers, in one order or the other.
        let (first, second) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
        if round < 2 {
            network.disconnect(first);
            network.disconnect(second);
        } else {
            network.die();
        }
        network.run_for(secs(round * 7));
        network.connect(first);
        network.run_for(Duration::from_millis(500));
        network.connect(second);
        network.run_for(Duration::from_millis(200));
    }
    network.run_for(secs(2));
    let wanted: Vec<String> = (1..=sent).map(|number| format!("candidate {number}")).collect();
    assert_eq!(network.candidates(0), wanted);
    assert_eq!(network.candidates(1), wanted);
    assert!(network.nodes.iter().all(|node| node.meeting.is_settled()));
}

#[test]
fn a_session_follows_its_peer_to_a_new_connection_and_not_back() {
    let network = Network::new(31);
    let (mut host, invite) = host(31);
    let (mut session, _) = raw_knock(&mut host, &invite, 2, &network);
    host.admit(network.now, 1).unwrap();
    let send = |host: &mut Meeting, from: u64, envelope: &[u8]| {
        host.handle_relay(network.now, from, envelope);
        let _ = payloads(host);
        host.send_candidate(network.now, 1, "candidate".into()).unwrap();
        std::iter::from_fn(|| host.poll_transmit()).map(|transmit| transmit.to).collect::<Vec<_>>()
    };
    let held_up = session.seal(&Message::Ping { token: 1 });
    let newer = session.seal(&Message::Ping { token: 2 });
    let mut forged = session.seal(&Message::Ping { token: 3 });
    forged[30] ^= 1;
    assert_eq!(send(&mut host, 10, &newer).last(), Some(&Some(10)));
    assert_eq!(send(&mut host, 9, &held_up).last(), Some(&Some(10)), "older");
    assert_eq!(send(&mut host, 11, &newer).last(), Some(&Some(10)), "replayed");
    assert_eq!(send(&mut host, 12, &forged).last(), Some(&Some(10)), "forged");
    host.handle_relay_left(network.now, 10);
    host.send_candidate(network.now, 1, "candidate".into()).unwrap();
    assert!(host.poll_transmit().is_some_and(|transmit| transmit.to.is_none()), "somewhere in the room");
}

#[test]
fn silence_is_reported_and_so_is_its_end() {
    let mut network = met(21);
    network.disconnect(1);
    network.run_for(secs(9));
    assert!(!network.kinds(0).contains(&"silent"));
    network.run_for(secs(2));
    assert!(network.kinds(0).contains(&"silent"));
    network.run_for(secs(120));
    assert!(left(&network.nodes[0].events).is_empty(), "the engine decides");
    network.connect(1);
    network.run_for(secs(1));
    assert_eq!(network.kinds(0).last(), Some(&"heard again"));
    let peer = network.paired(0).unwrap();
    network.with(0, |meeting, now| meeting.drop_peer(now, peer).unwrap());
    network.run_for(secs(1));
    assert_eq!(left(&network.nodes[0].events), [(peer, Departure::Dropped)]);
    assert_eq!(ended(&network.nodes[1].events), Some(End::HostLeft(LeaveReason::Dropped)));
}

#[test]
fn when_the_host_leaves_the_meeting_is_over() {
    let mut network = met(23);
    network.with(0, |meeting, now| meeting.leave(now));
    assert!(network.nodes[0].meeting.is_over() && !network.nodes[0].meeting.is_settled());
    network.run_for(secs(1));
    assert!(network.nodes[0].meeting.is_settled());
    assert_eq!(ended(&network.nodes[0].events), Some(End::Left));
    assert_eq!(ended(&network.nodes[1].events), Some(End::HostLeft(LeaveReason::MeetingOver)));
    assert_eq!(network.nodes[0].meeting.admit(network.now, 1), Err(MeetingError::Over));
    assert!(network.nodes[0].meeting.create_invite(open_invite()).is_err());
    network.run_for(secs(20));
    assert!(network.nodes.iter().all(|node| node.meeting.poll_timeout().is_none()), "nothing is left to do");
}

#[test]
fn stopping_a_peer_takes_its_keys_away_and_resuming_gives_new_ones() {
    let mut network = met(24);
    let (at_host, at_guest) = (network.paired(0).unwrap(), network.paired(1).unwrap());
    network.run_for(secs(1));
    let before = network.nodes[0].events.len();
    network.with(0, |meeting, now| meeting.stop(now, at_host).unwrap());
    network.with(1, |meeting, now| meeting.send_candidate(now, at_guest, "candidate".into()).unwrap());
    network.run_for(secs(301));
    let quiet = ["round trip", "code"];
    let kinds: Vec<&str> =
        network.nodes[0].events[before..].iter().map(Event::kind).filter(|kind| !quiet.contains(kind)).collect();
    assert_eq!(kinds, ["retire key", "send key gone"]);
    assert_eq!(network.send_keys(0).len(), 1);
    network.with(0, |meeting, now| meeting.resume(now, at_host).unwrap());
    network.run_for(secs(1));
    assert_eq!(network.send_keys(0).len(), 2);
    let newest_of_guest = network.send_keys(1).last().copied().unwrap();
    let open = network.open_keys(0).last().copied().unwrap();
    assert_eq!((open.1, open.2), newest_of_guest);
    assert_ne!(network.send_keys(0)[0].1, network.send_keys(0)[1].1);
}

#[test]
fn a_guest_who_comes_before_the_host_meets_it_as_soon_as_it_is_there() {
    let mut network = Network::new(29);
    let (meeting, invite) = host(29);
    network.add(guest(&invite, 2, 29));
    network.run_for(Duration::from_millis(20_300));
    network.add(meeting);
    network.nodes[1].admit_all = true;
    assert!(network.run_until(Duration::from_millis(200), |n| n.paired(0).is_some()));
}
