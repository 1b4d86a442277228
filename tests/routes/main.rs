//! Routes that keep to their policy, over a real TURN server (Debian's coturn) in network namespaces that the test makes:
//! two home networks with a router between them that would let them talk directly, and a server beyond it.
//! Needs root, iproute2, nftables, coturn and tcpdump.
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

mod internet;
#[allow(dead_code)]
#[path = "../netns/mod.rs"]
mod netns;
mod player;
#[path = "../processes/mod.rs"]
mod processes;

use std::time::{Duration, Instant};

use internet::{ANA, BEN, Internet, SERVER};
use netns::Actor;
use processes::{Call, Process};

const LONG: Duration = Duration::from_secs(40);

/// Two players and all that they were told of each other.
struct Pair {
    actors: [Actor; 2],
    /// What each one handed over.
    handed: [String; 2],
    /// What each one said of itself.
    said: [Vec<String>; 2],
}

impl Pair {
    /// Ana offers. `rules` are the policies of the two, as [`player`] reads them.
    fn new(internet: &Internet, rules: [&str; 2]) -> Self {
        let play = |who: usize, role: &str, own: &str| {
            [&internet.ana, &internet.ben][who].play("path", &format!("{role} {own} {}", rules[who]))
        };
        let mut pair = Self {
            actors: [play(0, "offerer", ANA), play(1, "answerer", BEN)],
            handed: Default::default(),
            said: Default::default(),
        };
        pair.actors[0].tell("OFFER");
        pair
    }

    /// Carries what they hand each other until `done` is content with what they said; fails after a long while.
    fn until(&mut self, what: &str, done: impl Fn(&[Vec<String>; 2]) -> bool) {
        let deadline = Instant::now() + LONG;
        while !done(&self.said) {
            assert!(Instant::now() < deadline, "{what} never came; they said {:#?}", self.said);
            for at in [0, 1] {
                while let Some(line) = self.actors[at].line(Duration::from_millis(5)) {
                    self.handle(at, &line);
                }
            }
        }
    }

    fn handle(&mut self, at: usize, line: &str) {
        let Some((word, rest)) = line.split_once(' ') else {
            self.said[at].push(line.to_owned());
            return;
        };
        let told = match word {
            "OFFERED" => format!("ACCEPT {rest}"),
            "ANSWERED" => format!("ANSWER {rest}"),
            "FOUND" => format!("CANDIDATE {rest}"),
            _ => {
                self.said[at].push(line.to_owned());
                return;
            }
        };
        self.handed[at] += rest;
        self.actors[1 - at].tell(&told);
    }

    fn until_both_say(&mut self, line: &str) {
        self.until(line, |said| said.iter().all(|lines| lines.iter().any(|said| said.starts_with(line))));
    }

    /// What somebody says when asked for figures, as `name=value` words.
    fn stats(&mut self, at: usize) -> String {
        self.said[at].retain(|line| !line.starts_with("STATS"));
        self.actors[at].tell("STATS");
        self.until("STATS", |said| said[at].iter().any(|line| line.starts_with("STATS")));
        self.said[at].iter().find(|line| line.starts_with("STATS")).unwrap().clone()
    }

    /// Asks for figures until `done` is content.
    fn until_stats(&mut self, at: usize, what: &str, done: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            let stats = self.stats(at);
            if done(&stats) {
                return stats;
            }
            assert!(Instant::now() < deadline, "{what}: {stats}; {:#?}", self.said);
        }
    }
}

fn figure(stats: &str, name: &str) -> u64 {
    let value = stats.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {stats}")).parse().unwrap()
}

fn media_flow(pair: &mut Pair) -> [String; 2] {
    pair.until_both_say("CONNECTED");
    [0, 1].map(|at| pair.until_stats(at, "fifty pictures", |stats| figure(stats, "frames_in") > 50))
}

#[test]
fn two_who_hide_meet_at_the_turn_server_and_never_learn_each_others_address() {
    let Some(internet) = Internet::new("hide") else { return };
    let (to_ana, to_ben) = (internet.listen(&internet.ana), internet.listen(&internet.ben));
    let rules = format!("relay_only turn={SERVER}:3478");
    let mut pair = Pair::new(&internet, [&rules, &rules]);
    for stats in media_flow(&mut pair) {
        assert!(stats.contains(" local=203.0.113.10/Relay remote=203.0.113.10/Relay relayed=true"), "{stats}");
    }
    for (handed, own) in pair.handed.iter().zip([ANA, BEN]) {
        assert!(handed.contains("typ relay raddr 0.0.0.0 rport 0"), "{handed}");
        for secret in [own, "192.168.", "127.0.0.1", "typ host", "typ srflx"] {
            assert!(!handed.contains(secret), "{secret} in {handed}");
        }
    }
    drop(pair);
    assert_eq!(internet.datagrams_between_homes(), 0);
    assert!(!to_ben.names(ANA));
    assert!(!to_ana.names(BEN));
}

#[test]
fn where_datagrams_are_blocked_media_take_a_stream_to_the_turn_server() {
    let Some(internet) = Internet::new("stream") else { return };
    internet.block_datagrams();
    let authority = internet.file("authority.pem");
    let rules = [
        format!("relay_only turn={SERVER}:3478 over=tcp"),
        format!("relay_only turn={SERVER}:5349 over=tls authority={authority}"),
        // Nothing is hidden here: it is the one way left.
        format!("turn={SERVER}:5349 over=tls authority={authority}"),
    ];
    for rules in &rules {
        let mut pair = Pair::new(&internet, [rules, rules]);
        for stats in media_flow(&mut pair) {
            assert!(stats.contains(&format!(" local={SERVER}/Relay remote={SERVER}/Relay relayed=true")), "{stats}");
        }
        if rules.contains("relay_only") {
            for (handed, own) in pair.handed.iter().zip([ANA, BEN]) {
                assert!(handed.contains("typ relay raddr 0.0.0.0 rport 0"), "{handed}");
                assert!(!handed.contains(own) && !handed.contains("127.0.0.1"), "{handed}");
            }
            assert_eq!(internet.datagrams_between_homes(), 0, "{rules}");
        }
        // Sought anew, it finds the same way.
        let before = figure(&pair.stats(0), "port");
        pair.actors[0].tell("RESTART");
        let moved =
            pair.until_stats(0, "another port at the server", |stats| ![0, before].contains(&figure(stats, "port")));
        let mark = figure(&moved, "frames_in");
        pair.until_stats(0, "more pictures", |stats| figure(stats, "frames_in") > mark + 20);
    }
}

#[test]
fn a_turn_server_whose_certificate_is_not_trusted_hears_nothing() {
    let Some(internet) = Internet::new("certificate") else { return };
    let stranger = internet.file("stranger.pem");
    for trust in [String::new(), format!("authority={stranger}")] {
        let rules = format!("relay_only turn={SERVER}:5349 over=tls {trust}");
        let mut pair = Pair::new(&internet, [rules.trim(), "open"]);
        pair.until("a refusal", |said| said[0].iter().any(|line| line == "REFUSED TurnCertificate"));
        pair.until("the end of the search", |said| said[0].iter().any(|line| line == "REFUSED NoRelay"));
        assert!(pair.said.iter().flatten().all(|line| line != "CONNECTED"), "{:?}", pair.said);
        assert!(!pair.handed[0].contains("candidate:"), "{}", pair.handed[0]);
    }
    assert_eq!(internet.datagrams_between_homes(), 0, "no direct way was tried");
}

#[test]
fn a_path_that_is_sought_anew_stays_hidden() {
    let Some(internet) = Internet::new("again") else { return };
    let (to_ana, to_ben) = (internet.listen(&internet.ana), internet.listen(&internet.ben));
    let rules = format!("relay_only turn={SERVER}:3478");
    let mut pair = Pair::new(&internet, [&rules, &rules]);
    let before = media_flow(&mut pair).map(|stats| figure(&stats, "port"));
    pair.actors[0].tell("RESTART");
    for at in [0, 1] {
        let moved = pair
            .until_stats(at, "another port at the relay", |stats| ![0, before[at]].contains(&figure(stats, "port")));
        assert!(moved.contains(" local=203.0.113.10/Relay remote=203.0.113.10/Relay relayed=true"), "{moved}");
        let mark = figure(&moved, "frames_in");
        pair.until_stats(at, "more pictures", |stats| figure(stats, "frames_in") > mark + 20);
        assert!(!pair.handed[at].contains("192.168."), "{}", pair.handed[at]);
    }
    drop(pair);
    assert_eq!(internet.datagrams_between_homes(), 0);
    assert!(!to_ben.names(ANA) && !to_ana.names(BEN));
}

#[test]
fn who_relays_is_told_truthfully_on_both_sides() {
    let Some(internet) = Internet::new("one") else { return };
    let to_ben = internet.listen(&internet.ben);
    let mut pair = Pair::new(&internet, [&format!("relay_only turn={SERVER}:3478"), "open"]);
    let [ana, ben] = media_flow(&mut pair);
    assert!(ana.contains(&format!(" local={SERVER}/Relay remote={BEN}/Host relayed=true")), "{ana}");
    assert!(ben.contains(&format!(" local={BEN}/Host remote={SERVER}/Relay relayed=true")), "{ben}");
    drop(pair);
    assert_eq!(internet.datagrams_between_homes(), 0);
    assert!(!to_ben.names(ANA));
}

#[test]
fn two_who_do_not_hide_take_the_direct_way_even_with_a_turn_server() {
    let Some(internet) = Internet::new("direct") else { return };
    let to_ben = internet.listen(&internet.ben);
    let rules = format!("turn={SERVER}:3478");
    let mut pair = Pair::new(&internet, [&rules, &rules]);
    let [ana, _] = media_flow(&mut pair);
    assert!(ana.contains(&format!(" local={ANA}/Host remote={BEN}/Host relayed=false")), "{ana}");
    // What the other tests do not find is found here.
    assert!(internet.datagrams_between_homes() > 0 && to_ben.names(ANA));
}

#[test]
fn without_a_turn_server_that_answers_a_hidden_path_does_not_exist() {
    let Some(internet) = Internet::new("none") else { return };
    // The first refuses the password, the second is nobody.
    for server in [format!("turn={SERVER}:3478 password=wrong"), "turn=203.0.113.99:3478".to_owned()] {
        let mut pair = Pair::new(&internet, [&format!("relay_only {server}"), "open"]);
        pair.until(&format!("a refusal with {server}"), |said| said[0].iter().any(|line| line == "REFUSED NoRelay"));
        let stats = pair.stats(0);
        assert!(stats.contains("route=none") && figure(&stats, "frames_in") == 0, "{stats}");
        assert!(pair.said.iter().flatten().all(|line| line != "CONNECTED"), "{:?}", pair.said);
        assert!(!pair.handed[0].contains("candidate:"), "{}", pair.handed[0]);
    }
    assert_eq!(internet.datagrams_between_homes(), 0, "no direct way was tried");
}

#[test]
fn a_network_pin_that_excludes_the_peer_lets_no_media_through_in_either_direction() {
    let Some(internet) = Internet::new("pin") else { return };
    let mut pair = Pair::new(&internet, [&format!("allow={ANA}"), "open"]);
    pair.until("a refusal", |said| said[0].iter().any(|line| line == "REFUSED NoPeerAddress"));
    // Ben knows Ana's address and sends checks there, one every 50 ms: they arrive, and are not listened to.
    let ana = pair.until_stats(0, "twenty refused", |stats| figure(stats, "datagrams_refused") > 20);
    assert!(figure(&ana, "candidates_refused") >= 1 && figure(&ana, "frames_in") == 0, "{ana}");
    let ben = pair.stats(1);
    assert_eq!(figure(&ben, "frames_in"), 0, "{ben}");
    assert!(pair.said.iter().flatten().all(|line| line != "CONNECTED"), "{:?}", pair.said);
    assert_eq!(internet.datagrams_from_ana_to_ben(), 0, "not even an answer leaves");
}

#[test]
fn a_pin_on_the_turn_servers_network_sends_media_there_and_nowhere_else() {
    let Some(internet) = Internet::new("relaypin") else { return };
    // Ana's own address is not in it, nor is Ben's: both are reached through the server alone.
    let rules = format!("turn={SERVER}:3478 allow={SERVER}");
    let mut pair = Pair::new(&internet, [&rules, &rules]);
    for stats in media_flow(&mut pair) {
        assert!(stats.contains(&format!(" local={SERVER}/Relay remote={SERVER}/Relay ")), "{stats}");
    }
    assert_eq!(internet.datagrams_between_homes(), 0);
}

#[test]
fn a_route_that_leaves_what_is_allowed_closes_the_path() {
    let Some(internet) = Internet::new("close") else { return };
    // The rule changes under the path: as if another pair had been chosen, which ICE is free to do at any time.
    let mut pair = Pair::new(&internet, [&format!("allow={ANA},{BEN} revocable"), "open"]);
    media_flow(&mut pair);
    pair.actors[0].tell("REVOKE");
    pair.until("a refusal", |said| said[0].iter().any(|line| line == "REFUSED PeerAddress"));
    pair.actors[0].tell("SEND");
    pair.until("an error", |said| said[0].iter().any(|line| line == "SENT RouteRefused(PeerAddress)"));
}

/// `conclave call` in a home.
fn call(internet: &Internet, home: usize, name: &str, arguments: &[&str]) -> Process {
    let folder = internet.folder().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = [&internet.ana, &internet.ben][home].command(env!("CARGO_BIN_EXE_conclave"));
    command
        .arg("--config")
        .arg(folder.join("config"))
        .args(["call", "--name", name, "--mic", "test", "--camera", "test"]);
    command.args(["--video", "320x180@15", "--report"]).arg(folder.join("report.json")).args(arguments);
    Process::start_with(name, &mut command)
}

#[test]
fn two_programs_that_hide_hold_a_call_and_report_its_route() {
    let Some(internet) = Internet::new("call") else { return };
    let (to_ana, to_ben) = (internet.listen(&internet.ana), internet.listen(&internet.ben));
    let relay = internet.rendezvous();
    let (table, password) = (internet.folder().join("table"), internet.folder().join("password"));
    std::fs::write(&table, "203.0.113.0,203.0.113.255,NL\n").unwrap();
    std::fs::write(&password, "secret\n").unwrap();
    let turn = format!("{SERVER}:3478");
    let mut hiding = vec!["--hide-address", "--turn", &turn, "--turn-user", "conclave", "--turn-password-file"];
    hiding.extend([password.to_str().unwrap(), "--only-relay", SERVER, "--only-country", "NL", "--country-table"]);
    hiding.extend([table.to_str().unwrap(), "--seconds", "5"]);
    let mut host = call(&internet, 0, "Ana", &[&hiding[..], &["--relay", &relay, "--admit-all"]].concat());
    let link = host.line(LONG);
    let guest = call(&internet, 1, "Ben", &[&[link.as_str()], &hiding[..]].concat());
    guest.succeeds(LONG);
    host.succeeds(LONG);
    for name in ["Ana", "Ben"] {
        let report = Call::report(&internet.folder().join(name));
        let (peer, route) = (&report["peers"][0], &report["peers"][0]["route"]);
        assert!(peer["video"]["decoded"].as_u64().unwrap() > 20, "{report:#}");
        assert_eq!((route["relayed"].as_bool(), route["country"].as_str()), (Some(true), Some("NL")), "{report:#}");
        assert_eq!((&route["local_kind"], &route["remote_kind"]), (&"relay".into(), &"relay".into()), "{report:#}");
        assert!(!report.to_string().contains("192.168."), "{report:#}");
    }
    assert_eq!(internet.datagrams_between_homes(), 0);
    assert!(!to_ben.names(ANA));
    assert!(!to_ana.names(BEN));
}

#[test]
fn a_program_refuses_before_it_contacts_anybody() {
    let Some(internet) = Internet::new("refuse") else { return };
    let relay = internet.rendezvous();
    let mut host = call(&internet, 0, "Ana", &["--relay", &relay, "--admit-all", "--seconds", "60"]);
    let link = host.line(LONG);
    let cases: [(&[&str], &str); 6] = [
        (&["--only-relay", "relay.example"], "is not among those that you allow (relay.example)"),
        (&["--only-network", "192.168.12.0/24"], "lies outside the networks and countries that you allow"),
        (&["--only-network", "home"], "“home”, among the networks that you allow"),
        (&["--only-country", "NL"], "no file says which addresses belong to them"),
        (&["--hide-address"], "needs a TURN server"),
        (&["--hide-address", "--turn", SERVER], "You hide your address, and the relay of this link"),
    ];
    for (arguments, sentence) in cases {
        let guest = call(&internet, 1, "Ben", &[&[link.as_str(), "--wait", "20"], arguments].concat());
        let (status, said) = guest.end(LONG);
        assert!(!status.success() && said.contains(sentence), "{arguments:?}: {said}");
    }
    assert_eq!(internet.packets_from_ben(), 0, "nobody was contacted");
    let hosting: [(&[&str], &str); 2] = [
        (&["--hide-address", "--turn", SERVER], "a link to the relay inside Conclave would show it"),
        (&["--only-relay", "relay.example"], "the relay inside Conclave is not one of them"),
    ];
    for (arguments, sentence) in hosting {
        let (status, said) = call(&internet, 1, "Ben", &[&["--wait", "20"], arguments].concat()).end(LONG);
        assert!(!status.success() && said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[test]
fn a_call_that_pins_exclude_the_other_from_shows_why_and_carries_nothing() {
    let Some(internet) = Internet::new("excluded") else { return };
    let relay = internet.rendezvous();
    let mut host = call(&internet, 0, "Ana", &["--relay", &relay, "--admit-all", "--seconds", "60"]);
    let link = host.line(LONG);
    let arguments = [link.as_str(), "--wait", "8", "--only-network", "192.168.12.0/24", "--only-network", SERVER];
    let (status, said) = call(&internet, 1, "Ben", &arguments).end(LONG);
    assert!(!status.success(), "{said}");
    assert!(said.contains("No way to Ana is used. All their addresses lie outside"), "{said}");
    let report = Call::report(&internet.folder().join("Ben"));
    assert_eq!(report["held"], false, "{report:#}");
    let peer = &report["peers"][0];
    assert_eq!(
        (peer["video"]["received"].as_u64(), peer["audio"]["received"].as_u64()),
        (Some(0), Some(0)),
        "{report:#}"
    );
}

/// The parts that this program plays inside a namespace.
#[test]
#[ignore = "a part of the other tests"]
fn parts() {
    let Ok(part) = std::env::var(netns::PART) else { return };
    let arguments = part.strip_prefix("path ").expect("the one part there is");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(player::play(arguments));
}
