//! A network that changes under a meeting, in network namespaces that the test makes: two homes, each with two cables to a
//! router, and a relay beyond it. Engines as the window drives them, in processes of their own.
//! Needs root and iproute2.
#![cfg(all(feature = "desktop", target_os = "linux"))]
// A test may panic: that is how it fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub
)]

#[allow(dead_code)]
#[path = "../netns/mod.rs"]
mod netns;
mod player;
#[path = "../processes/mod.rs"]
mod processes;

use std::time::Duration;

use netns::{Actor, Namespace};
use processes::Process;

/// The goal is 3 s on a quiet machine, and the figure is printed. Before anybody looked for changes it took half a minute.
const BACK_WITHIN: u64 = 12_000;

/// Long enough for the other side to notice as well.
const SETTLED: Duration = Duration::from_secs(4);

/// Ana hosts, Ben came by her link; the pictures and sound of both flow.
struct Meeting {
    homes: [Namespace; 2],
    people: [Actor; 2],
    muted: bool,
    _router: Namespace,
    _server: Namespace,
    _relay: Process,
    _folder: tempfile::TempDir,
}

impl Meeting {
    /// `None` where it cannot be made, which is said.
    fn new(what: &str) -> Option<Self> {
        if !netns::possible(&[]) {
            return None;
        }
        let [ana, ben, server, router] = ["a", "b", "s", "r"].map(|part| Namespace::new(&format!("{what}-{part}")));
        router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
        router.cable("srv", "203.0.113.1/24", &server, "eth0", "203.0.113.10/24");
        server.ip("route add default via 203.0.113.1");
        for (home, name, net) in [(&ana, "ana", 11), (&ben, "ben", 12)] {
            router.cable(&format!("{name}0"), &format!("10.{net}.0.1/24"), home, "eth0", &format!("10.{net}.0.2/24"));
            router.cable(&format!("{name}1"), &format!("10.{net}.1.1/24"), home, "eth1", &format!("10.{net}.1.2/24"));
            home.ip("link set eth1 down");
            home.ip(&format!("route add default via 10.{net}.0.1"));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = server.command(env!("CARGO_BIN_EXE_conclave-relay"));
        command.args(["--listen", "203.0.113.10:7770"]);
        let mut relay = Process::start_with("relay", &mut command);
        relay.line(Duration::from_secs(20));
        let own = |name: &str| folder.path().join(name).display().to_string();
        let host = ana.play("meet", &format!("{} host ws://203.0.113.10:7770", own("ana")));
        let link = host.says("LINK");
        let guest = ben.play("meet", &format!("{} join {link}", own("ben")));
        let people = [host, guest];
        for person in &people {
            person.says("MEDIA FLOW");
        }
        Some(Self {
            homes: [ana, ben],
            people,
            muted: false,
            _router: router,
            _server: server,
            _relay: relay,
            _folder: folder,
        })
    }

    /// Ben mutes himself, something happens, and media come back on both sides, Ben still muted and Ana not.
    fn survives(&mut self, what: &str, happen: impl FnOnce(&mut Self)) {
        if !std::mem::replace(&mut self.muted, true) {
            self.people[1].tell("MUTE");
            self.people[0].says("PEER MUTED");
        }
        for person in &mut self.people {
            person.tell("MARK");
        }
        let began = player::unix_millis();
        happen(self);
        let over = player::unix_millis();
        for person in &mut self.people {
            person.tell(&format!("SINCE {over}"));
        }
        let back = self.people.each_ref().map(|person| person.says("BACK ").parse::<u64>().unwrap());
        // A restart that was still to come would show as another pause.
        std::thread::sleep(SETTLED);
        let own = ["mic=true camera=true peer_mic=false pause=", "mic=false camera=true peer_mic=true pause="];
        let pause = [0, 1].map(|at| {
            self.people[at].tell("STATE");
            let state = self.people[at].says("STATE ");
            let pause = state.strip_prefix(own[at]).unwrap_or_else(|| panic!("{what}: {state}"));
            pause.parse::<u64>().unwrap().saturating_sub(over - began)
        });
        println!("{what}: pictures back after {back:?} ms, longest pause beyond the outage {pause:?} ms (host, guest)");
        assert!(back.iter().chain(&pause).all(|millis| *millis < BACK_WITHIN), "{what}: {back:?} {pause:?}");
    }

    /// The other cable is plugged in, and the one in use pulled.
    fn moves_to_the_other_cable(&self, home: usize) {
        let (home, net) = (&self.homes[home], [11, 12][home]);
        home.ip("link set eth0 down");
        home.ip("link set eth1 up");
        home.ip(&format!("route add default via 10.{net}.1.1"));
    }
}

#[test]
fn media_come_back_when_a_cable_is_pulled_and_another_is_there_on_either_side() {
    let Some(mut meeting) = Meeting::new("cable") else { return };
    for (home, who) in [(0, "the host's cable"), (1, "the guest's cable")] {
        meeting.survives(who, |meeting| meeting.moves_to_the_other_cable(home));
    }
}

#[test]
fn media_come_back_when_an_address_is_replaced_on_either_side() {
    let Some(mut meeting) = Meeting::new("address") else { return };
    for (home, who, net) in [(0, "the host's address", 11), (1, "the guest's address", 12)] {
        meeting.survives(who, |meeting| {
            let home = &meeting.homes[home];
            home.ip(&format!("addr del 10.{net}.0.2/24 dev eth0"));
            home.ip(&format!("addr add 10.{net}.0.77/24 dev eth0"));
            home.ip(&format!("route add default via 10.{net}.0.1"));
        });
    }
}

#[test]
fn media_come_back_when_there_was_no_network_at_all_for_a_while() {
    let Some(mut meeting) = Meeting::new("none") else { return };
    meeting.survives("five seconds without a network", |meeting| {
        meeting.homes[1].ip("link set eth0 down");
        std::thread::sleep(Duration::from_secs(5));
        meeting.homes[1].ip("link set eth0 up");
        meeting.homes[1].ip("route add default via 10.12.0.1");
    });
}

#[test]
fn media_come_back_after_sleep_and_nothing_has_piled_up() {
    let Some(mut meeting) = Meeting::new("sleep") else { return };
    for (who, name) in [(0, "the host slept"), (1, "the guest slept")] {
        meeting.survives(name, |meeting| {
            // `ip netns exec` becomes the program that it runs.
            let id = meeting.people[who].id().to_string();
            let signal = |signal: &str| {
                assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
            };
            signal("-STOP");
            std::thread::sleep(Duration::from_secs(6));
            signal("-CONT");
        });
    }
}

/// The part that this program plays inside a namespace.
#[test]
#[ignore = "a part of the other tests"]
fn parts() {
    let Ok(part) = std::env::var(netns::PART) else { return };
    let arguments = part.strip_prefix("meet ").expect("the one part there is");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(player::play(arguments));
}
