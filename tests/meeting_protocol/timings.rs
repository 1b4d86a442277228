//! How long things take that people rely on.

use std::time::Duration;

use conclave::protocol::meeting::Event;

use crate::secs;
use crate::virtual_relay::{Network, guest, host};

fn four(seed: u64) -> Network {
    let mut net = Network::new(seed);
    let (meeting, invite) = host(seed);
    net.add(meeting);
    net.nodes[0].admit_all = true;
    for who in 2..5u8 {
        net.add(guest(&invite, who, seed * 10 + u64::from(who)));
        net.run_for(secs(2));
    }
    net.run_for(secs(15));
    net
}

fn sealed(net: &Network, at: usize) -> Option<u32> {
    net.send_keys(at).last().map(|(generation, _)| *generation)
}

#[test]
fn after_a_removal_everyone_seals_with_a_key_that_the_removed_one_never_had_within_a_second() {
    let mut net = four(400);
    let peer = net.peer_of(0, 3);
    // The worst of it: those who stay hear each other only after it, so that nobody acknowledges anything.
    let before: Vec<_> = [0, 1, 2].map(|at| sealed(&net, at)).into();
    net.with(0, |meeting, now| meeting.remove(now, peer).unwrap());
    net.part(0, 1);
    net.part(0, 2);
    net.run_for(secs(1));
    assert!(sealed(&net, 0) > before[0], "the host switches, acknowledged or not");
    net.heal();
    // The others from the moment in which they know.
    net.run_for(secs(8));
    for at in [1, 2] {
        assert!(sealed(&net, at) > before[at]);
    }
    let had: Vec<[u8; 32]> = net.open_keys(3).into_iter().map(|(_, _, key)| key).collect();
    for at in [0, 1, 2] {
        let (_, key) = net.send_keys(at).last().copied().unwrap();
        assert!(!had.contains(&key));
    }
}

#[test]
fn an_older_key_is_forgotten_ten_seconds_after_a_newer_one_came() {
    let mut net = four(401);
    let peer = net.peer_of(0, 3);
    net.with(0, |meeting, now| meeting.remove(now, peer).unwrap());
    net.run_for(secs(1));
    let retired = |net: &Network| net.kinds(1).iter().filter(|kind| **kind == "retire key").count();
    let before = retired(&net);
    net.run_for(Duration::from_millis(8_800));
    assert_eq!(retired(&net), before, "what is still on its way can be opened");
    net.run_for(Duration::from_millis(1_500));
    assert_eq!(retired(&net), before + 2, "one of each of the two who stay");
}

#[test]
fn seven_who_join_within_a_second_cost_few_generations() {
    let mut net = Network::new(402);
    let (meeting, invite) = host(402);
    net.add(meeting);
    net.nodes[0].admit_all = true;
    for who in 2..9u8 {
        net.add(guest(&invite, who, 4020 + u64::from(who)));
        net.run_for(Duration::from_millis(140));
    }
    net.run_for(secs(5));
    for at in 0..8 {
        let newest = sealed(&net, at).unwrap();
        assert!(newest <= 6, "{at} has drawn {newest} keys");
        let paired = net.nodes[at].events.iter().filter(|event| matches!(event, Event::Paired { .. })).count();
        assert_eq!(paired, 7);
        for other in (0..8).filter(|other| *other != at) {
            let peer = net.peer_of(other, at);
            assert!(net.open_keys(other).iter().any(|(of, generation, _)| *of == peer && *generation == newest));
        }
    }
}
