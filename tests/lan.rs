//! Discovery by multicast DNS between two machines: two network namespaces and a cable that the test makes.
//! Needs root and iproute2.
#![cfg(all(feature = "client", target_os = "linux"))]
// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, unreachable_pub)]
mod netns;

use std::time::Duration;

use conclave::rendezvous::lan;
use netns::{Namespace, say, wait};

const ROOM: [u8; 32] = [1; 32];
const OTHER_ROOM: [u8; 32] = [2; 32];

#[test]
fn a_meeting_announced_on_one_machine_is_found_from_another_and_no_other_room_is() {
    if !netns::possible(&[]) {
        return;
    }
    let (host, guest) = (Namespace::new("host"), Namespace::new("guest"));
    host.cable("eth0", "192.168.78.1/24", &guest, "eth0", "192.168.78.2/24");
    // Multicast goes where a route leads.
    host.ip("route add default via 192.168.78.2");
    guest.ip("route add default via 192.168.78.1");
    let mut announcer = host.play("announce", "40123");
    announcer.says("ANNOUNCED");
    assert_eq!(guest.play("find", "1").says("FOUND"), "192.168.78.1:40123");
    assert_eq!(guest.play("find", "2").says("FOUND"), "", "nobody announced that room");
    announcer.go_on();
    announcer.says("ENDED");
    assert_eq!(guest.play("find", "1").says("FOUND"), "", "what is no longer announced is not found");
}

/// The parts played inside the namespaces.
#[tokio::test]
#[ignore = "played by the other tests inside a namespace"]
async fn parts() {
    let part = std::env::var(netns::PART).expect("a part to play");
    match part.split_once(' ').unwrap() {
        ("announce", port) => {
            let announcement = lan::announce(&ROOM, port.parse().unwrap()).unwrap();
            say("ANNOUNCED");
            tokio::task::spawn_blocking(wait).await.unwrap();
            drop(announcement);
            say("ENDED");
        }
        ("find", room) => {
            let (room, wait) = if room == "1" { (ROOM, 6) } else { (OTHER_ROOM, 2) };
            let found = lan::find(&room, Duration::from_secs(wait)).await.unwrap();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            say(&format!("FOUND {}", found.join(" ")));
        }
        other => panic!("no such part: {other:?}"),
    }
}
