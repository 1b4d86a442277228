//! Who may knock, who sees it, and what a flood of knocks does to the others.

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::StaticKey;
use conclave::protocol::invite::Invite;
use conclave::protocol::meeting::{End, Event, InviteOptions, Meeting, MeetingError, PeerNo};
use conclave::protocol::wire::{DeclineReason, Message};

use crate::raw_peer::{RawCall, RawDoor, RawSession};
use crate::virtual_relay::{Network, guest, host, identity, open_invite};
use crate::{ended, events, payloads, secs};

fn knocks(events: &[Event]) -> Vec<PeerNo> {
    let knock = |event: &Event| if let Event::Knocked { peer, .. } = event { Some(*peer) } else { None };
    events.iter().filter_map(knock).collect()
}

/// A knock with this invite by somebody with this identity; what the host says to it at once.
fn knock(net: &mut Network, invite: &Invite, who: u8) -> (RawSession, Vec<Message>) {
    net.now += secs(1);
    let (now, conn) = (net.now, 3_000 + u64::from(who));
    let host = &mut net.nodes[0].meeting;
    let (call, first) = RawCall::start(invite, 9_000 + u64::from(who));
    host.handle_relay(now, conn, &first);
    let second = payloads(host).into_iter().rev().find(|payload| payload[0] == 2).unwrap();
    let (mut session, third) = call.finish(&second);
    host.handle_relay(now, conn, &third);
    let proof = session.proof(&identity(who));
    for message in [proof, Message::Knock { name: format!("Raw {who}") }] {
        let envelope = session.seal(&message);
        host.handle_relay(now, conn, &envelope);
    }
    let said = payloads(host).iter().filter_map(|payload| session.open(payload)).collect();
    let happened = events(host);
    net.nodes[0].events.extend(happened);
    (session, said)
}

fn declined(said: &[Message], reason: DeclineReason) -> bool {
    said.contains(&Message::Decline { reason: reason.code() })
}

fn hosting(seed: u64) -> (Network, Invite) {
    let mut net = Network::new(seed);
    let (meeting, invite) = host(seed);
    net.add(meeting);
    (net, invite)
}

#[test]
fn an_invite_for_one_lets_one_person_in_and_that_person_again() {
    let (mut net, _) = hosting(300);
    net.nodes[0].admit_all = true;
    let single = InviteOptions { single_use: true, ..open_invite() };
    let invite = net.nodes[0].meeting.create_invite(single).unwrap();
    net.add(guest(&invite, 2, 300));
    net.run_for(secs(2));
    assert!(net.paired(1).is_some());
    net.add(guest(&invite, 3, 301));
    net.run_for(secs(2));
    assert_eq!(ended(&net.nodes[2].events), Some(End::Declined(DeclineReason::Spent)));
    assert_eq!(knocks(&net.nodes[0].events).len(), 1, "nobody is shown it");
    net.crash(1);
    net.add(guest(&invite, 2, 302));
    net.run_for(secs(2));
    assert!(net.paired(3).is_some(), "the same person comes back with it");
}

#[test]
fn revoking_an_invite_turns_whoever_knocks_with_it_away_and_nobody_else() {
    let (mut net, invite) = hosting(303);
    let other = net.nodes[0].meeting.create_invite(open_invite()).unwrap();
    net.add(guest(&invite, 2, 303));
    net.add(guest(&other, 3, 304));
    net.run_for(secs(1));
    assert_eq!(knocks(&net.nodes[0].events).len(), 2);
    net.with(0, |meeting, now| meeting.revoke_invite(now, &invite.invite_id).unwrap());
    net.run_for(secs(1));
    assert_eq!(ended(&net.nodes[1].events), Some(End::Declined(DeclineReason::Declined)));
    assert_eq!(ended(&net.nodes[2].events), None);
    assert_eq!(net.kinds(0).iter().filter(|kind| **kind == "knock gone").count(), 1);
}

#[test]
fn at_a_locked_door_nobody_is_shown_and_whoever_waits_is_turned_away() {
    let (mut net, invite) = hosting(305);
    net.add(guest(&invite, 2, 305));
    net.run_for(secs(1));
    net.with(0, |meeting, now| meeting.set_locked(now, true).unwrap());
    net.add(guest(&invite, 3, 306));
    net.run_for(secs(2));
    for at in [1, 2] {
        assert_eq!(ended(&net.nodes[at].events), Some(End::Declined(DeclineReason::Locked)));
    }
    assert_eq!(knocks(&net.nodes[0].events).len(), 1);
    net.with(0, |meeting, now| meeting.set_locked(now, false).unwrap());
    net.add(guest(&invite, 4, 307));
    net.run_for(secs(1));
    assert_eq!(knocks(&net.nodes[0].events).len(), 2);
}

#[test]
fn a_blocked_identity_is_told_what_anyone_is_told_and_is_not_shown() {
    let (mut net, invite) = hosting(308);
    net.add(guest(&invite, 2, 308));
    net.run_for(secs(1));
    // One that waits already is turned away, too.
    net.with(0, |meeting, now| meeting.set_blocked(now, vec![identity(2).key(), identity(3).key()]));
    net.add(guest(&invite, 3, 309));
    net.add(guest(&invite, 4, 310));
    net.run_for(secs(1));
    for at in [1, 2] {
        assert_eq!(ended(&net.nodes[at].events), Some(End::Declined(DeclineReason::Declined)));
    }
    assert_eq!(knocks(&net.nodes[0].events).len(), 2, "the first, and whoever is not blocked");
}

#[test]
fn a_leaked_invite_crowds_out_no_other_and_nobody_who_is_known() {
    let (mut net, leaked) = hosting(311);
    let other = net.nodes[0].meeting.create_invite(open_invite()).unwrap();
    net.nodes[0].meeting.set_known(vec![identity(70).key()]);
    let mut waiting: Vec<(u8, RawSession)> = Vec::new();
    for who in 10..40 {
        let (session, said) = knock(&mut net, &leaked, who);
        if !declined(&said, DeclineReason::Busy) {
            waiting.push((who, session));
        }
        // Sessions of those who wait are kept alive.
        for (_, session) in &mut waiting {
            let ping = session.seal(&Message::Ping { token: 1 });
            net.nodes[0].meeting.handle_relay(net.now, 3_000, &ping);
        }
        let happened = events(&mut net.nodes[0].meeting);
        net.nodes[0].events.extend(happened);
        payloads(&mut net.nodes[0].meeting);
    }
    assert_eq!(waiting.len(), 12, "a leaked invite takes twelve places");
    let before = knocks(&net.nodes[0].events).len();
    for who in 50..56 {
        let (_, said) = knock(&mut net, &other, who);
        assert!(!declined(&said, DeclineReason::Busy), "{who} came with another invite");
    }
    let (_, said) = knock(&mut net, &leaked, 70);
    assert!(!declined(&said, DeclineReason::Busy), "a person who is known came with the leaked one");
    assert_eq!(knocks(&net.nodes[0].events).len(), before + 7);
    let gone = net.kinds(0).iter().filter(|kind| **kind == "knock gone").count();
    assert_eq!(before + 7 - gone, 16, "the most that wait; strangers with the leaked one gave way");
    let (_, said) = knock(&mut net, &leaked, 71);
    assert!(declined(&said, DeclineReason::Busy), "one more stranger with it does not");
}

/// A host that admits nobody by itself, a co-host (node 1) and an ordinary member (node 2).
fn with_cohost(seed: u64) -> (Network, Invite) {
    let (mut net, invite) = hosting(seed);
    net.nodes[0].admit_all = true;
    for at in [1u8, 2] {
        net.add(guest(&invite, 1 + at, seed + u64::from(at)));
        net.run_for(secs(2));
    }
    net.nodes[0].admit_all = false;
    let cohost = net.peer_of(0, 1);
    net.with(0, |meeting, now| meeting.set_cohost(now, cohost, true).unwrap());
    net.run_for(secs(1));
    (net, invite)
}

fn act(net: &mut Network, at: usize, what: impl FnOnce(&mut Meeting) -> Result<(), MeetingError>) {
    let mut done = Err(MeetingError::Over);
    net.with(at, |meeting, _| done = what(meeting));
    assert_eq!(done, Ok(()));
    net.run_for(secs(1));
}

#[test]
fn a_co_host_sees_who_knocks_and_lets_them_in_or_not() {
    let (mut net, invite) = with_cohost(320);
    for who in [5u8, 6] {
        net.add(guest(&invite, who, 320 + u64::from(who)));
    }
    net.run_for(secs(1));
    let seen = knocks(&net.nodes[1].events);
    assert_eq!(seen.len(), 2);
    assert!(knocks(&net.nodes[2].events).is_empty(), "a member who is none sees nobody");
    let now = net.now;
    let names: Vec<&str> = net.nodes[1]
        .events
        .iter()
        .filter_map(|e| if let Event::Knocked { name, invite: None, .. } = e { Some(name.as_str()) } else { None })
        .collect();
    assert_eq!(names, ["Guest 5", "Guest 6"], "and not by which invite they came");
    act(&mut net, 1, |meeting| meeting.admit(now, seen[0]));
    act(&mut net, 1, |meeting| meeting.decline(now, seen[1]));
    assert!(net.paired(3).is_some());
    assert_eq!(ended(&net.nodes[4].events), Some(End::Declined(DeclineReason::Declined)));
    assert_eq!(net.kinds(1).iter().filter(|kind| **kind == "knock gone").count(), 2);
    // It locks, opens again, and sends an ordinary member out.
    act(&mut net, 1, |meeting| meeting.set_locked(now, true));
    assert!(net.nodes[0].meeting.roster().unwrap().current().locked);
    act(&mut net, 1, |meeting| meeting.set_locked(now, false));
    let member = net.peer_of(1, 2);
    act(&mut net, 1, |meeting| meeting.remove(now, member));
    assert!(net.nodes[2].meeting.is_over());
    // Not the host.
    let of_host = net.peer_of(1, 0);
    act(&mut net, 1, |meeting| meeting.remove(now, of_host));
    assert!(!net.nodes[0].meeting.is_over() && net.nodes[0].meeting.is_host());
}

#[test]
fn who_is_no_longer_a_co_host_sees_nobody_and_is_not_asked() {
    let (mut net, invite) = with_cohost(330);
    net.add(guest(&invite, 5, 335));
    net.run_for(secs(1));
    let seen = knocks(&net.nodes[1].events);
    let cohost = net.peer_of(0, 1);
    net.with(0, |meeting, now| meeting.set_cohost(now, cohost, false).unwrap());
    // Asked in the moment in which it no longer is one: the host has the last word.
    net.with(1, |meeting, now| meeting.admit(now, seen[0]).unwrap());
    net.run_for(secs(1));
    assert_eq!(net.nodes[0].meeting.counters().out_of_turn, 1);
    assert!(net.paired(3).is_none());
    assert_eq!(net.kinds(1).iter().filter(|kind| **kind == "knock gone").count(), 1);
    let now = net.now;
    assert_eq!(net.nodes[1].meeting.admit(now, seen[0]), Err(MeetingError::NotInCharge));
    assert_eq!(net.nodes[1].meeting.set_locked(now, true), Err(MeetingError::NotInCharge));
    assert_eq!(net.nodes[1].meeting.set_cohost(now, cohost, true), Err(MeetingError::NotHost));
}

#[test]
fn two_who_share_a_key_are_not_both_let_in() {
    let (mut net, invite) = hosting(340);
    let (now, door, key) = (net.now, RawDoor::of_host(&invite), StaticKey::from_entropy(&mut Seeded(1)));
    let host = &mut net.nodes[0].meeting;
    let mut outcomes = Vec::new();
    for who in [2u8, 3] {
        let (call, first) = RawCall::start_at(&door, &key, 600 + u64::from(who), 1);
        host.handle_relay(now, 9, &first);
        let second = payloads(host).into_iter().rev().find(|payload| payload[0] == 2).unwrap();
        let (mut session, third) = call.finish(&second);
        host.handle_relay(now, 9, &third);
        let proof = session.proof(&identity(who));
        for message in [proof, Message::Knock { name: "Twin".into() }] {
            let envelope = session.seal(&message);
            host.handle_relay(now, 9, &envelope);
        }
        let peer = knocks(&events(host))[0];
        outcomes.push(host.admit(now, peer));
    }
    assert_eq!(outcomes, [Ok(()), Err(MeetingError::Unlistable)], "every member would refuse such a list");
    assert!(matches!(events(host)[..], [Event::KnockGone { .. }]));
    assert_eq!(host.roster().unwrap().current().members.len(), 2);
}
