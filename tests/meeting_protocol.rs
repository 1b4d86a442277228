//! Two people meet, on virtual time, over a relay that is fair or is not.
#![cfg(feature = "protocol")]

#[path = "support/raw_peer.rs"]
mod raw_peer;
#[path = "support/virtual_relay.rs"]
mod virtual_relay;

use std::time::Duration;

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::StaticKey;
use conclave::crypto::safety::pair_number;
use conclave::crypto::secret::Secret;
use conclave::protocol::meeting::{
    Departure, End, Event, Expiry, HostProof, Meeting, MeetingError, PeerNo, Transmit, Violation,
};
use conclave::protocol::wire::{DeclineReason, LeaveReason, Message, WireError};

use raw_peer::{RawAnswer, RawCall, RawSession, other_secret};
use virtual_relay::{Network, entropy, guest, host, identity, relays};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A host (node 0) that admits everyone and a guest (node 1), both in the meeting.
fn met(seed: u64) -> Network {
    let mut network = Network::new(seed);
    let (meeting, invite) = host(seed);
    network.add(meeting);
    network.nodes[0].admit_all = true;
    network.add(guest(&invite, 2, seed));
    assert!(network.run_until(secs(2), |n| !n.send_keys(0).is_empty() && !n.send_keys(1).is_empty()));
    network
}

fn payloads(meeting: &mut Meeting) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| meeting.poll_transmit()).map(|Transmit { payload, .. }| payload).collect()
}

fn events(meeting: &mut Meeting) -> Vec<Event> {
    std::iter::from_fn(|| meeting.poll_event()).collect()
}

fn ended(events: &[Event]) -> Option<End> {
    events.iter().find_map(|event| match event {
        Event::Ended { why } => Some(*why),
        _ => None,
    })
}

fn left(events: &[Event]) -> Vec<(PeerNo, Departure)> {
    let one = |event: &Event| match event {
        Event::Left { peer, why } => Some((*peer, *why)),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

/// A guest written by hand, up to and including its knock. Also everything the host has said to it.
fn raw_knock(
    host: &mut Meeting,
    invite: &conclave::protocol::Invite,
    who: u8,
    n: &Network,
) -> (RawSession, Vec<Message>) {
    let (mut session, mut said) = raw_session(host, invite, u64::from(who) + 1000, n);
    let proof = session.proof(&identity(who));
    let proof = session.seal(&proof);
    host.handle_relay(n.now, 9, &proof);
    let knock = session.seal(&Message::Knock { name: format!("Raw {who}") });
    host.handle_relay(n.now, 9, &knock);
    said.extend(payloads(host).iter().filter_map(|payload| session.open(payload)));
    (session, said)
}

fn raw_session(
    host: &mut Meeting,
    invite: &conclave::protocol::Invite,
    seed: u64,
    n: &Network,
) -> (RawSession, Vec<Message>) {
    let (call, first) = RawCall::start(invite, seed);
    host.handle_relay(n.now, 9, &first);
    let second = payloads(host).pop().unwrap();
    let (mut session, third) = call.finish(&second);
    host.handle_relay(n.now, 9, &third);
    let said = payloads(host).iter().filter_map(|payload| session.open(payload)).collect();
    (session, said)
}

fn kinds(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(Message::kind).filter(|kind| !["ping", "pong"].contains(kind)).collect()
}

#[test]
fn two_people_meet() {
    let mut network = met(1);
    let (at_host, at_guest) = (network.admitted(0).unwrap(), network.admitted(1).unwrap());
    let find = |network: &Network, at: usize| {
        network.nodes[at].events.iter().find_map(|event| match event {
            Event::Admitted { identity, name, own_index, peer_index, meeting, .. } => {
                Some((*identity, name.clone(), *own_index, *peer_index, *meeting))
            }
            _ => None,
        })
    };
    let (guest_key, guest_name, host_index, guest_index, meeting) = find(&network, 0).unwrap();
    let (host_key, host_name, own_index, its_index, same_meeting) = find(&network, 1).unwrap();
    assert_eq!((guest_key, guest_name.as_str()), (identity(2).key(), "Guest 2"));
    assert_eq!((host_key, host_name.as_str()), (identity(1).key(), "Hana"));
    assert_eq!((host_index, guest_index, meeting), (its_index, own_index, same_meeting));
    assert_ne!(host_index, guest_index);
    assert_eq!(pair_number(&identity(1).key(), &guest_key), pair_number(&identity(2).key(), &host_key));

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
fn the_lobby_shows_the_host_and_nothing_else() {
    let mut network = Network::new(2);
    let (meeting, invite) = host(2);
    network.add(meeting);
    network.add(guest(&invite, 2, 2));
    network.run_for(secs(4));
    assert_eq!(network.kinds(0), ["knocked"]);
    assert_eq!(network.kinds(1), ["reached"]);
    assert_eq!(network.nodes[1].meeting.send_offer(network.now, 1, "v=0".into()), Err(MeetingError::NotAdmitted));
}

#[test]
fn before_admission_the_host_says_its_proof_and_nothing_else() {
    let network = Network::new(3);
    let (mut host, invite) = host(3);
    host.send_media_state(network.now, true, true);
    let (mut session, mut said) = raw_knock(&mut host, &invite, 2, &network);
    for second in 1..60 {
        host.handle_timeout(network.now + secs(second));
        for payload in payloads(&mut host) {
            said.extend(session.open(&payload));
        }
        let ping = session.seal(&Message::Ping { token: second });
        host.handle_relay(network.now + secs(second), 9, &ping);
    }
    assert_eq!(kinds(&said), ["proof"]);
    let peer =
        events(&mut host).iter().find_map(|e| if let Event::Knocked { peer, .. } = e { Some(*peer) } else { None });
    host.admit(network.now + secs(60), peer.unwrap()).unwrap();
    let said: Vec<Message> = payloads(&mut host).iter().filter_map(|payload| session.open(payload)).collect();
    assert_eq!(kinds(&said), ["admit", "media state", "sender key"]);
}

#[test]
fn a_declined_guest_learns_only_that() {
    let network = Network::new(4);
    let (mut host, invite) = host(4);
    let (mut session, mut said) = raw_knock(&mut host, &invite, 2, &network);
    let knocked = events(&mut host);
    let [Event::Knocked { peer, returning: false, .. }] = &knocked[..] else { panic!("{knocked:?}") };
    host.decline(network.now, *peer).unwrap();
    said.extend(payloads(&mut host).iter().filter_map(|payload| session.open(payload)));
    assert_eq!(kinds(&said), ["proof", "decline"]);
    assert_eq!(host.decline(network.now, *peer), Err(MeetingError::NoSuchPeer));

    let mut network = Network::new(4);
    let (meeting, invite) = virtual_relay::host(4);
    network.add(meeting);
    network.add(guest(&invite, 2, 4));
    network.run_for(secs(1));
    network.with(0, |meeting, now| meeting.decline(now, 1).unwrap());
    network.run_for(secs(1));
    assert_eq!(network.kinds(1), ["reached", "ended"]);
    assert_eq!(ended(&network.nodes[1].events), Some(End::Declined(DeclineReason::Declined)));
    assert_eq!(network.kinds(0), ["knocked", "knock gone"]);
}

#[test]
fn a_third_person_is_told_that_the_meeting_is_full() {
    let mut network = met(5);
    let invite = network.nodes[0].meeting.create_invite(relays(), None).unwrap();
    network.add(guest(&invite, 3, 55));
    network.run_for(secs(2));
    assert_eq!(ended(&network.nodes[2].events), Some(End::Declined(DeclineReason::Full)));
    assert_eq!(network.kinds(2), ["reached", "ended"]);
    assert!(left(&network.nodes[0].events).is_empty() && left(&network.nodes[1].events).is_empty());
}

#[test]
fn whoever_does_not_know_the_invite_is_answered_with_silence() {
    let mut network = Network::new(6);
    let (mut meeting, mut invite) = host(6);
    invite.secret = other_secret();
    meeting.handle_relay_up(network.now);
    assert!(meeting.poll_transmit().is_none());
    network.add(meeting);
    network.add(guest(&invite, 2, 6));
    network.run_for(secs(40));
    assert_eq!(network.nodes[0].sent, 0, "not one byte");
    assert!(network.nodes[1].sent >= 30);
    let total = network.nodes[0].events.iter().map(|event| match event {
        Event::RefusedAtDoor { total } => *total,
        other => panic!("only the counter is raised, not {other:?}"),
    });
    assert_eq!(total.last(), Some(network.nodes[1].sent as u64));
    assert_eq!(ended(&network.nodes[1].events), Some(End::NoAnswer { forged: 0 }));
}

#[test]
fn a_revoked_or_expired_invite_is_answered_with_silence() {
    let mut network = Network::new(7);
    let (mut meeting, revoked) = host(7);
    let expiry = Expiry { unix: 1, at: network.now + secs(5) };
    let expiring = meeting.create_invite(relays(), Some(expiry)).unwrap();
    meeting.revoke_invite(&revoked.invite_id).unwrap();
    network.add(meeting);
    network.add(guest(&revoked, 2, 7));
    network.run_for(secs(31));
    network.add(guest(&expiring, 3, 77));
    network.run_for(secs(31));
    assert_eq!(network.nodes[0].sent, 0);
    for at in [1, 2] {
        assert_eq!(ended(&network.nodes[at].events), Some(End::NoAnswer { forged: 0 }));
    }
}

#[test]
fn a_host_without_the_key_in_the_link_never_gets_a_session() {
    let mut network = Network::new(8);
    let (meeting, mut invite) = host(8);
    invite.host_static = StaticKey::from_entropy(&mut Seeded(99)).public();
    network.add(meeting);
    network.nodes[0].admit_all = true;
    network.add(guest(&invite, 2, 8));
    network.run_for(secs(40));
    assert_eq!(network.nodes[0].sent, 0);
    assert!(network.nodes[0].meeting.counters().forged_handshakes > 0);
    assert_eq!(network.kinds(1), ["ended"]);
}

#[test]
fn answers_that_are_not_the_hosts_are_counted_and_the_true_one_still_counts() {
    let mut network = Network::new(9);
    let (meeting, invite) = host(9);
    let mut joining = guest(&invite, 2, 9);
    joining.handle_relay_up(network.now);
    let first = payloads(&mut joining).remove(0);
    for noise in 0..20u8 {
        let forged = [&[2][..], &first[1..9], &[noise; 1136]].concat();
        joining.handle_relay(network.now, 66, &forged);
        joining.handle_relay(network.now, 66, &forged[..200]);
    }
    assert!(payloads(&mut joining).is_empty());
    assert!(joining.counters().forged_handshakes >= 20);
    network.add(meeting);
    network.nodes[0].admit_all = true;
    network.add(joining);
    assert!(network.run_until(secs(2), |n| n.admitted(1).is_some()));
}

#[test]
fn a_guest_says_nothing_to_a_host_that_is_not_whom_the_link_names() {
    // Somebody hands out a link with Hana's identity and a Noise key of their own.
    let mut network = Network::new(10);
    let (meeting, mut invite) = host(10);
    invite.host_identity = identity(7).key();
    network.add(meeting);
    network.nodes[0].admit_all = true;
    network.add(guest(&invite, 2, 10));
    network.run_for(secs(3));
    assert_eq!(ended(&network.nodes[1].events), Some(End::WrongHost(HostProof::OtherIdentity)));
    assert_eq!(network.kinds(1), ["ended"]);
    assert!(network.nodes[0].events.is_empty(), "neither identity nor name came through");

    // The same, with a proof that names Hana and that Hana never signed.
    let (_, mut invite) = host(11);
    let static_key = StaticKey::from_entropy(&mut Seeded(5));
    invite.host_static = static_key.public();
    let mut joining = guest(&invite, 2, 11);
    joining.handle_relay_up(network.now);
    let (answer, second) = RawAnswer::start(&invite, &static_key, &payloads(&mut joining)[0], 6);
    joining.handle_relay(network.now, 66, &second);
    let mut session = answer.finish(&payloads(&mut joining)[0]);
    let Message::Proof { signature, .. } = session.proof(&identity(9)) else { panic!() };
    let proof = session.seal(&Message::Proof { identity: invite.host_identity, signature });
    joining.handle_relay(network.now, 66, &proof);
    assert_eq!(ended(&events(&mut joining)), Some(End::WrongHost(HostProof::BadSignature)));
    let said: Vec<Message> = payloads(&mut joining).iter().filter_map(|payload| session.open(payload)).collect();
    assert_eq!(kinds(&said), [] as [&str; 0]);
}

#[test]
fn a_guest_cannot_reflect_the_hosts_proof_or_use_another_sessions() {
    let network = Network::new(12);
    let (mut host, invite) = host(12);
    let (mut session, said) = raw_session(&mut host, &invite, 1, &network);
    let reflected = session.seal(&said[0]);
    host.handle_relay(network.now, 9, &reflected);
    assert_eq!(host.counters().violations, 1);
    let (other, _) = raw_session(&mut host, &invite, 2, &network);
    let (mut session, _) = raw_session(&mut host, &invite, 3, &network);
    let borrowed = session.seal(&other.proof(&identity(2)));
    host.handle_relay(network.now, 9, &borrowed);
    assert_eq!(host.counters().violations, 2);
    assert!(events(&mut host).is_empty());
}

#[test]
fn nothing_but_proof_and_knock_is_taken_before_admission() {
    let key = || Message::SenderKey { generation: 1, base: Secret::new([1; 32]) };
    let early: [fn() -> Message; 5] = [
        || Message::MediaState { mic: true, camera: true },
        || Message::Offer { sdp: "v=0".into() },
        || Message::Candidate { line: "candidate".into() },
        || Message::KeyAck { generation: 1 },
        || Message::Admit { name: "Eve".into(), your_index: 1, my_index: 2, meeting: [0; 32] },
    ];
    for message in early.into_iter().map(|make| make()).chain([key()]) {
        let network = Network::new(13);
        let (mut host, invite) = host(13);
        let (mut session, _) = raw_knock(&mut host, &invite, 2, &network);
        assert_eq!(events(&mut host).len(), 1);
        let early = session.seal(&message);
        host.handle_relay(network.now, 9, &early);
        assert_eq!(host.counters().violations, 1, "{message:?}");
        let now = events(&mut host);
        assert!(matches!(now[..], [Event::KnockGone { .. }]), "{message:?}: {now:?}");
        let said: Vec<Message> = payloads(&mut host).iter().filter_map(|payload| session.open(payload)).collect();
        assert!(said == [Message::Leave { reason: LeaveReason::Violation.code() }]);
    }
}

#[test]
fn a_guest_in_the_lobby_takes_no_keys_and_no_media_state() {
    let network = Network::new(14);
    let (_, mut invite) = host(14);
    let static_key = StaticKey::from_entropy(&mut Seeded(5));
    invite.host_static = static_key.public();
    for message in [
        Message::MediaState { mic: true, camera: true },
        Message::SenderKey { generation: 1, base: Secret::new([1; 32]) },
        Message::Answer { sdp: "v=0".into() },
    ] {
        let mut joining = guest(&invite, 2, 14);
        joining.handle_relay_up(network.now);
        let (answer, second) = RawAnswer::start(&invite, &static_key, &payloads(&mut joining)[0], 6);
        joining.handle_relay(network.now, 66, &second);
        let mut session = answer.finish(&payloads(&mut joining)[0]);
        let proof = session.proof(&identity(1));
        let proof = session.seal(&proof);
        joining.handle_relay(network.now, 66, &proof);
        assert!(matches!(events(&mut joining)[..], [Event::Reached { .. }]));
        let early = session.seal(&message);
        joining.handle_relay(network.now, 66, &early);
        let kind = message.kind();
        assert_eq!(ended(&events(&mut joining)), Some(End::HostBroke(Violation::OutOfPlace(kind))));
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
    network.run_for(secs(8));
    assert!(retired(&network));

    network.with(1, |meeting, now| meeting.leave(now));
    network.run_for(secs(1));
    assert!(network.nodes[1].meeting.is_settled());
    assert_eq!(left(&network.nodes[0].events)[0].1, Departure::Said(LeaveReason::Left));
    assert_eq!(network.kinds(0).last(), Some(&"send key gone"));

    let invite = network.nodes[0].meeting.create_invite(relays(), None).unwrap();
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
    for (message, rule) in [
        (Message::SenderKey { generation: 5, base: Secret::new([1; 32]) }, Violation::StaleGeneration),
        (Message::KeyAck { generation: 99 }, Violation::UnknownGeneration),
    ] {
        let network = Network::new(19);
        let (mut host, invite) = host(19);
        let (mut session, _) = raw_knock(&mut host, &invite, 2, &network);
        host.admit(network.now, 1).unwrap();
        let good = session.seal(&Message::SenderKey { generation: 5, base: Secret::new([1; 32]) });
        host.handle_relay(network.now, 9, &good);
        let bad = session.seal(&message);
        host.handle_relay(network.now, 9, &bad);
        assert_eq!(left(&events(&mut host)), [(1, Departure::Broke(rule))]);
    }
}

#[test]
fn after_a_relay_restart_nothing_is_lost_and_nothing_comes_twice() {
    let mut network = met(20);
    let (at_host, at_guest) = (network.admitted(0).unwrap(), network.admitted(1).unwrap());
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
        network.disconnect(first);
        network.disconnect(second);
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
    let peer = network.admitted(0).unwrap();
    network.with(0, |meeting, now| meeting.drop_peer(now, peer).unwrap());
    network.run_for(secs(1));
    assert_eq!(left(&network.nodes[0].events), [(peer, Departure::Dropped)]);
    assert_eq!(ended(&network.nodes[1].events), Some(End::HostLeft(LeaveReason::Dropped)));
}

#[test]
fn the_same_identity_knocking_again_replaces_its_old_session() {
    let mut network = met(22);
    let before = network.admitted(0).unwrap();
    network.nodes[0].admit_all = false;
    let invite = network.nodes[0].meeting.create_invite(relays(), None).unwrap();
    network.disconnect(1);
    network.add(guest(&invite, 2, 2222));
    network.run_for(secs(1));
    assert_eq!(left(&network.nodes[0].events), [(before, Departure::Replaced)]);
    let knock = network.nodes[0].events.iter().rev().find_map(|event| match event {
        Event::Knocked { peer, returning: true, .. } => Some(*peer),
        _ => None,
    });
    network.with(0, |meeting, now| meeting.admit(now, knock.unwrap()).unwrap());
    network.run_for(secs(1));
    assert!(network.admitted(2).is_some());
    // The old one, should it still run, is told.
    network.connect(1);
    network.run_for(secs(9));
    assert_eq!(ended(&network.nodes[1].events), Some(End::HostLeft(LeaveReason::Replaced)));
    // And a third identity finds no seat.
    let invite = network.nodes[0].meeting.create_invite(relays(), None).unwrap();
    network.add(guest(&invite, 3, 3333));
    network.run_for(secs(1));
    assert_eq!(ended(&network.nodes[3].events), Some(End::Declined(DeclineReason::Full)));
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
    assert!(network.nodes[0].meeting.create_invite(relays(), None).is_err());
    network.run_for(secs(20));
    assert!(network.nodes.iter().all(|node| node.meeting.poll_timeout().is_none()), "nothing is left to do");
}

#[test]
fn stopping_a_peer_takes_its_keys_away_and_resuming_gives_new_ones() {
    let mut network = met(24);
    let (at_host, at_guest) = (network.admitted(0).unwrap(), network.admitted(1).unwrap());
    network.run_for(secs(1));
    let before = network.nodes[0].events.len();
    network.with(0, |meeting, now| meeting.stop(now, at_host).unwrap());
    network.with(1, |meeting, now| meeting.send_candidate(now, at_guest, "candidate".into()).unwrap());
    network.run_for(secs(301));
    let kinds: Vec<&str> =
        network.nodes[0].events[before..].iter().map(Event::kind).filter(|k| *k != "round trip").collect();
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
fn knocks_and_half_open_handshakes_are_bounded() {
    let mut network = Network::new(25);
    let (meeting, invite) = host(25);
    network.add(meeting);
    let mut now = network.now;
    let (mut knocked, mut busy) = (0, 0);
    let host = &mut network.nodes[0].meeting;
    for who in 10..30u8 {
        now += secs(1);
        let (call, first) = RawCall::start(&invite, u64::from(who));
        host.handle_relay(now, 9, &first);
        let second = payloads(host).pop().unwrap();
        let (mut session, third) = call.finish(&second);
        host.handle_relay(now, 9, &third);
        let proof = session.proof(&identity(who));
        for message in [proof, Message::Knock { name: "N".into() }] {
            let bytes = session.seal(&message);
            host.handle_relay(now, 9, &bytes);
        }
        let said: Vec<Message> = payloads(host).iter().filter_map(|payload| session.open(payload)).collect();
        busy += usize::from(said.contains(&Message::Decline { reason: DeclineReason::Busy.code() }));
        knocked += events(host).iter().filter(|event| matches!(event, Event::Knocked { .. })).count();
    }
    assert_eq!((knocked, busy), (16, 4));

    // Calls that are never completed: the rate of one invite bounds the work, and the oldest make room.
    let calls: Vec<Vec<u8>> = (0..60).map(|n| RawCall::start(&invite, 5000 + n).1).collect();
    now += secs(60);
    for first in &calls {
        host.handle_relay(now, 9, first);
    }
    assert_eq!(payloads(host).iter().filter(|payload| payload[0] == 2).count(), 16);
    // Another invite is not touched by that.
    let other = host.create_invite(relays(), None).unwrap();
    host.handle_relay(now, 9, &RawCall::start(&other, 9999).1);
    assert_eq!(payloads(host).iter().filter(|payload| payload[0] == 2).count(), 1);
    // The same call again costs no new handshake and gets the same answer.
    let again = RawCall::start(&other, 9999).1;
    host.handle_relay(now, 9, &again);
    host.handle_relay(now, 9, &again);
    let answers = payloads(host);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn an_unanswered_knock_ends_after_ten_minutes() {
    let mut network = Network::new(26);
    let (meeting, invite) = host(26);
    network.add(meeting);
    network.add(guest(&invite, 2, 26));
    network.run_for(secs(599));
    assert_eq!(network.kinds(0), ["knocked"]);
    network.run_for(secs(3));
    assert_eq!(network.kinds(0), ["knocked", "knock gone"]);
    assert_eq!(ended(&network.nodes[1].events), Some(End::Declined(DeclineReason::Unanswered)));
}

#[test]
fn a_knocker_who_leaves_or_vanishes_is_gone() {
    for vanish in [false, true] {
        let mut network = Network::new(27);
        let (meeting, invite) = host(27);
        network.add(meeting);
        network.add(guest(&invite, 2, 27));
        network.run_for(secs(1));
        if vanish {
            network.disconnect(1);
        } else {
            network.with(1, |meeting, now| meeting.leave(now));
        }
        network.run_for(secs(11));
        assert_eq!(network.kinds(0), ["knocked", "knock gone"]);
    }
}

#[test]
fn ones_own_invite_is_refused() {
    let (_, invite) = host(28);
    let own = Meeting::join(&invite, identity(1), "Hana", entropy(1));
    assert!(own.err() == Some(MeetingError::OwnInvite));
    // And a program that does not check for itself is told.
    let network = Network::new(28);
    let (mut host, invite) = host(28);
    let (_, said) = raw_knock(&mut host, &invite, 1, &network);
    assert!(said.contains(&Message::Decline { reason: DeclineReason::OwnIdentity.code() }));
    assert!(events(&mut host).is_empty());
}

#[test]
fn a_guest_who_comes_before_the_host_meets_it_as_soon_as_it_is_there() {
    let mut network = Network::new(29);
    let (meeting, invite) = host(29);
    network.add(guest(&invite, 2, 29));
    network.run_for(Duration::from_millis(20_300));
    network.add(meeting);
    network.nodes[1].admit_all = true;
    assert!(network.run_until(Duration::from_millis(200), |n| n.admitted(0).is_some()));
}

/// What must be true of every meeting, whatever the relay does.
fn assert_right_keys(network: &Network, seed: u64) {
    let keys = [identity(1).key(), identity(2).key()];
    for at in [0, 1] {
        let other = 1 - at;
        for event in &network.nodes[at].events {
            match event {
                Event::Admitted { identity, .. }
                | Event::Knocked { identity, .. }
                | Event::Reached { identity, .. } => {
                    assert_eq!(*identity, keys[other], "seed {seed}: a session with somebody else");
                }
                Event::Left { why: Departure::Broke(rule), .. } => panic!("seed {seed}: an honest peer broke {rule}"),
                Event::Ended { why: End::HostBroke(rule) } => panic!("seed {seed}: an honest host broke {rule}"),
                _ => {}
            }
        }
        let sealed = network.send_keys(other);
        for (_, generation, key) in network.open_keys(at) {
            for (sealing, with) in &sealed {
                assert!(*sealing != generation || *with == key, "seed {seed}: a wrong key for generation {generation}");
            }
        }
    }
}

fn schedule(seed: u64) {
    let mut network = Network::new(seed);
    let (meeting, invite) = host(seed);
    network.add(meeting);
    network.nodes[0].admit_all = true;
    network.nodes[0].candidates = 12;
    let (stranger, _) = (Meeting::host(identity(3), "Stranger", entropy(seed ^ 3)), ());
    let dice = &mut network.dice;
    // Each schedule draws its own mixture, from an almost fair relay to one that spoils nearly everything.
    let heat = 1 + dice.below(40);
    let mut up_to = || dice.below(heat + 1) as u32;
    network.malice = virtual_relay::Malice {
        drop: up_to(),
        duplicate: up_to(),
        flip: up_to(),
        truncate: up_to(),
        replay: up_to(),
        splice: up_to(),
        misroute: up_to(),
        invent: up_to(),
        false_leave: up_to(),
        delay: Duration::from_millis(u64::from(up_to()) * 50),
    };
    let joining = guest(&invite, 2, seed);
    network.add(joining);
    network.nodes[1].candidates = 12;
    // Another host stands in the same room, to whom things are misrouted and whose messages are mixed in.
    network.add(stranger);
    network.run_for(secs(10));
    assert_right_keys(&network, seed);
    // From now on the relay is fair; both meet, or had already met.
    network.malice = virtual_relay::Malice::default();
    let connected = network.run_until(secs(25), |n| {
        n.candidates(0).len() == 12
            && n.candidates(1).len() == 12
            && !n.send_keys(0).is_empty()
            && !n.send_keys(1).is_empty()
    });
    assert_right_keys(&network, seed);
    let wanted: Vec<String> = (0..12).map(|number| format!("candidate {number}")).collect();
    assert!(connected, "seed {seed}: {:?} {:?}", network.kinds(0), network.kinds(1));
    for at in [0, 1] {
        assert_eq!(network.candidates(at), wanted, "seed {seed}: exactly once and in order");
        let admissions = network.kinds(at).iter().filter(|kind| **kind == "admitted").count();
        assert_eq!(admissions, 1, "seed {seed}");
    }
    assert_eq!(network.nodes[0].meeting.counters().violations, 0, "seed {seed}");
    assert!(network.kinds(2).iter().all(|kind| *kind == "refused at the door"), "seed {seed}");
}

#[test]
fn a_hostile_relay_delays_a_meeting_and_never_changes_who_meets_schedules_0_to_999() {
    (0..1000).for_each(schedule);
}

#[test]
fn a_hostile_relay_delays_a_meeting_and_never_changes_who_meets_schedules_1000_to_1999() {
    (1000..2000).for_each(schedule);
}

#[test]
fn a_hostile_relay_delays_a_meeting_and_never_changes_who_meets_schedules_2000_to_2999() {
    (2000..3000).for_each(schedule);
}

#[test]
fn a_relay_that_stays_hostile_leaves_a_reason_and_no_session() {
    for seed in 0..300 {
        let mut network = Network::new(seed);
        let (meeting, invite) = host(seed);
        network.add(meeting);
        network.nodes[0].admit_all = true;
        // Every payload is damaged, in one way or another.
        network.malice = match seed % 3 {
            0 => virtual_relay::Malice { flip: 100, duplicate: 30, replay: 30, ..Default::default() },
            1 => virtual_relay::Malice { truncate: 100, invent: 50, ..Default::default() },
            _ => virtual_relay::Malice { drop: 100, ..Default::default() },
        };
        // Replays of what was seen undamaged are the only true copies; none is given before both have called.
        network.malice.replay = 0;
        network.add(guest(&invite, 2, seed));
        network.run_for(secs(31));
        assert!(matches!(ended(&network.nodes[1].events), Some(End::NoAnswer { .. })), "seed {seed}");
        assert_eq!(network.kinds(1), ["ended"]);
        assert!(network.admitted(0).is_none());
    }
}
