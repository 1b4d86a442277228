//! Thousands of meetings over a relay that damages, repeats, reorders, withholds, invents and misroutes.

use std::time::Duration;

use conclave::protocol::meeting::{Departure, End, Event, Meeting};

use crate::virtual_relay::{self, Network, entropy, guest, host, identity, opened};
use crate::{ended, secs};

/// What must be true of every meeting, whatever the relay does.
fn assert_right_keys(network: &Network, seed: u64) {
    let keys = [identity(1).key(), identity(2).key()];
    for at in [0, 1] {
        let other = 1 - at;
        for event in &network.nodes[at].events {
            match event {
                Event::Joined { identity, .. } | Event::Knocked { identity, .. } | Event::Reached { identity, .. } => {
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
    let (stranger, _) = (Meeting::host(identity(3), "Stranger", entropy(seed ^ 3), opened()), ());
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
    }
    // A guest whose knock went unacknowledged for too long has knocked again and been admitted again, in place of itself.
    let count = |at: usize, wanted: &str| network.kinds(at).iter().filter(|kind| **kind == wanted).count();
    assert_eq!(count(1, "entered"), 1, "seed {seed}");
    assert_eq!(count(0, "joined"), 1 + count(0, "left"), "seed {seed}");
    assert_eq!(network.nodes[0].meeting.counters().violations, 0, "seed {seed}");
    let strange = |kind: &&str| !["entered", "refused at the door"].contains(kind);
    assert!(!network.kinds(2).iter().any(strange), "seed {seed}");
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
        assert!(network.paired(0).is_none());
    }
}
