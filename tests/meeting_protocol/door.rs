//! Who gets in, who doesn't, and what each of them learns.

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::StaticKey;
use conclave::crypto::secret::Secret;
use conclave::protocol::meeting::{
    Departure, End, Event, HostProof, InviteOptions, Meeting, MeetingError, Moment, Violation,
};
use conclave::protocol::roster::{Entry, Listed, MemberRole, Signed};
use conclave::protocol::wire::{DeclineReason, LeaveReason, Message, Request};

use crate::raw_peer::{RawAnswer, RawCall, other_secret};
use crate::virtual_relay::{self, Network, entropy, guest, host, identity, open_invite, opened};
use crate::{ended, events, kinds, left, met, payloads, raw_knock, raw_session, secs};

#[test]
fn the_lobby_shows_the_host_and_nothing_else() {
    let mut network = Network::new(2);
    let (meeting, invite) = host(2);
    network.add(meeting);
    network.add(guest(&invite, 2, 2));
    network.run_for(secs(4));
    assert_eq!(network.kinds(0), ["entered", "knocked"]);
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
    assert_eq!(kinds(&said), ["admit", "media state", "members' secret", "sender key", "head"]);
}

#[test]
fn a_declined_guest_learns_only_that() {
    let network = Network::new(4);
    let (mut host, invite) = host(4);
    let (mut session, mut said) = raw_knock(&mut host, &invite, 2, &network);
    let knocked = events(&mut host);
    let [.., Event::Knocked { peer, returning: false, .. }] = &knocked[..] else { panic!("{knocked:?}") };
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
    assert_eq!(network.kinds(0), ["entered", "knocked", "knock gone"]);
}

#[test]
fn a_ninth_person_is_told_that_the_meeting_is_full() {
    let mut network = met(5);
    for who in 3..=8 {
        let invite = network.nodes[0].meeting.create_invite(open_invite()).unwrap();
        network.add(guest(&invite, who, 500 + u64::from(who)));
        network.run_for(secs(1));
    }
    network.run_for(secs(3));
    let before: Vec<usize> = network.nodes.iter().map(|node| left(&node.events).len()).collect();
    let invite = network.nodes[0].meeting.create_invite(open_invite()).unwrap();
    network.add(guest(&invite, 9, 55));
    network.run_for(secs(2));
    assert_eq!(ended(&network.nodes[8].events), Some(End::Declined(DeclineReason::Full)));
    assert_eq!(network.kinds(8), ["reached", "ended"]);
    let after: Vec<usize> = network.nodes[..8].iter().map(|node| left(&node.events).len()).collect();
    assert_eq!(before, after, "nobody is sent away for it");
    let refused = network.nodes[0].meeting.counters().refused_at_door;
    assert_eq!(refused, 0, "members who call each other are not strangers at the door");
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
    let opening = |event: &&Event| !matches!(event, Event::Entered { .. } | Event::Roster(_));
    let mut total = network.nodes[0].events.iter().filter(opening).map(|event| match event {
        Event::RefusedAtDoor { total } => *total,
        other => panic!("only the counter is raised, not {other:?}"),
    });
    assert_eq!(total.next_back(), Some(network.nodes[1].sent as u64));
    assert_eq!(ended(&network.nodes[1].events), Some(End::NoAnswer { forged: 0 }));
}

#[test]
fn a_revoked_or_expired_invite_is_answered_with_silence() {
    let mut network = Network::new(7);
    let (mut meeting, revoked) = host(7);
    let expires = Some(Moment { unix: 1, at: network.now + secs(5) });
    let expiring = meeting.create_invite(InviteOptions { expires, ..open_invite() }).unwrap();
    meeting.revoke_invite(network.now, &revoked.invite_id).unwrap();
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
    assert!(network.run_until(secs(2), |n| n.paired(1).is_some()));
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
    assert_eq!(network.kinds(0), ["entered"], "neither identity nor name came through");

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
    assert!(!events(&mut host).iter().any(|event| matches!(event, Event::Knocked { .. } | Event::Joined { .. })));
}

/// A first entry of a meeting that this identity hosts, alone.
fn entry(who: u8) -> Signed {
    let name = "Eve".into();
    let host = Listed { index: 0, role: MemberRole::Host, identity: identity(who).key(), static_key: [9; 32], name };
    let entry = Entry::open(host, 0);
    Signed::make(entry, &[0; 32], &identity(who))
}

#[test]
fn nothing_but_proof_and_knock_is_taken_before_admission() {
    let early: [fn() -> Message; 11] = [
        || Message::MediaState { mic: true, camera: true },
        || Message::Offer { sdp: "v=0".into() },
        || Message::Candidate { line: "candidate".into() },
        || Message::KeyAck { generation: 1 },
        || Message::SenderKey { generation: 1, roster: [0; 32], base: Secret::new([1; 32]) },
        || Message::Admit { your_index: 1, meeting: [0; 32], secret: Secret::new([1; 32]), roster: Box::new(entry(9)) },
        || Message::Roster(Box::new(entry(9))),
        || Message::Head(entry(9).head()),
        || Message::Waiting(Vec::new()),
        || Message::Request(Request::Unlock),
        || Message::CodeCommit { round: [0; 16], commitment: [0; 32] },
    ];
    for message in early.into_iter().map(|make| make()) {
        let network = Network::new(13);
        let (mut host, invite) = host(13);
        let (mut session, _) = raw_knock(&mut host, &invite, 2, &network);
        assert!(matches!(events(&mut host)[..], [.., Event::Knocked { .. }]));
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
        Message::SenderKey { generation: 1, roster: [0; 32], base: Secret::new([1; 32]) },
        Message::Roster(Box::new(entry(1))),
        Message::CodeOpen { round: [0; 16], people: [0; 32] },
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
        let said: Vec<Message> = payloads(&mut joining).iter().filter_map(|payload| session.open(payload)).collect();
        assert_eq!(kinds(&said), ["proof", "knock"]);
        assert!(events(&mut joining).is_empty(), "the lobby is reached when the knock is acknowledged");
        let early = session.seal(&message);
        joining.handle_relay(network.now, 66, &early);
        let happened = events(&mut joining);
        assert_eq!(happened.iter().map(Event::kind).collect::<Vec<_>>(), ["reached", "ended"]);
        assert_eq!(ended(&happened), Some(End::HostBroke(Violation::OutOfPlace(message.kind()))));
    }
}

#[test]
fn the_same_identity_knocking_again_replaces_its_old_session() {
    let mut network = met(22);
    let before = network.peer_of(0, 1);
    network.nodes[0].admit_all = false;
    let invite = network.nodes[0].meeting.create_invite(open_invite()).unwrap();
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
    assert!(network.paired(2).is_some());
    let indices: Vec<u16> =
        network.nodes[0].meeting.roster().unwrap().current().members.iter().map(|m| m.index).collect();
    assert_eq!(indices, [0, 2], "an index is never given twice");
    // The old one, should it still run, is told.
    network.connect(1);
    network.run_for(secs(9));
    assert_eq!(ended(&network.nodes[1].events), Some(End::HostLeft(LeaveReason::Replaced)));
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
    assert_eq!((knocked, busy), (12, 8), "one invite leaves room for others");

    // Calls that are never completed: the rate of one invite bounds the work, and the oldest make room.
    let calls: Vec<Vec<u8>> = (0..60).map(|n| RawCall::start(&invite, 5000 + n).1).collect();
    now += secs(60);
    for first in &calls {
        host.handle_relay(now, 9, first);
    }
    assert_eq!(payloads(host).iter().filter(|payload| payload[0] == 2).count(), 16);
    // Another invite is not touched by that.
    let other = host.create_invite(open_invite()).unwrap();
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
    assert_eq!(network.kinds(0), ["entered", "knocked"]);
    network.run_for(secs(3));
    assert_eq!(network.kinds(0), ["entered", "knocked", "knock gone"]);
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
        assert_eq!(network.kinds(0), ["entered", "knocked", "knock gone"]);
    }
}

#[test]
fn a_guest_in_the_lobby_knocks_again_at_a_host_that_forgot_it() {
    let mut network = Network::new(30);
    let (meeting, invite) = host(30);
    network.add(meeting);
    network.add(guest(&invite, 2, 30));
    network.run_for(secs(1));
    network.disconnect(1);
    network.run_for(secs(25));
    assert_eq!(network.kinds(0), ["entered", "knocked", "knock gone"]);
    network.connect(1);
    network.run_for(secs(10));
    assert_eq!(network.kinds(0), ["entered", "knocked", "knock gone", "knocked"]);
    assert_eq!(network.kinds(1), ["reached", "silent", "reached"]);
    network.with(0, |meeting, now| meeting.admit(now, 2).unwrap());
    network.run_for(secs(1));
    assert_eq!(network.send_keys(1).len(), 1);
}

#[test]
fn ones_own_invite_is_refused() {
    let (_, invite) = host(28);
    let own = Meeting::join(&invite, identity(1), "Hana", entropy(1), opened());
    assert!(own.err() == Some(MeetingError::OwnInvite));
    // And a program that does not check for itself is told.
    let network = Network::new(28);
    let (mut host, invite) = host(28);
    let (_, said) = raw_knock(&mut host, &invite, 1, &network);
    assert!(said.contains(&Message::Decline { reason: DeclineReason::OwnIdentity.code() }));
    assert!(!events(&mut host).iter().any(|event| matches!(event, Event::Knocked { .. })));
}
