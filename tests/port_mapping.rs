//! Debian's miniupnpd as the router, in network namespaces that the test makes: home – router – Internet.
//! Needs root, iproute2, nftables and miniupnpd-nftables.
#![cfg(all(feature = "client", target_os = "linux"))]
// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[allow(dead_code, unreachable_pub)]
mod netns;

use std::net::SocketAddr;

use conclave::rendezvous::client::{RelayClient, RelayEvent, TlsTrust};
use conclave::rendezvous::local::LocalRelay;
use conclave::rendezvous::port_mapping::{self, MappingMethod, PortMappingError, Refusal};
use netns::{Actor, Namespace, say, wait};

const WAN: &str = "11.22.33.44";
const ALLOW: &str = "allow 1024-65535 192.168.77.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n";
const DENY: &str = "deny 0-65535 0.0.0.0/0 0-65535\n";
const RULES: &str = "
table inet filter {
  chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}";

struct Home {
    lan: Namespace,
    internet: Namespace,
    router: Namespace,
    _folder: tempfile::TempDir,
    _daemon: Option<Actor>,
}

impl Home {
    /// `options` and `rules` go into miniupnpd's configuration; without options no daemon runs.
    fn new(wan: &str, options: Option<&str>, rules: &str) -> Self {
        let (lan, router, internet) = (Namespace::new("lan"), Namespace::new("router"), Namespace::new("net"));
        router.cable("lan0", "192.168.77.1/24", &lan, "eth0", "192.168.77.2/24");
        router.cable("wan0", &format!("{wan}/24"), &internet, "eth0", "11.22.33.1/24");
        lan.ip("route add default via 192.168.77.1");
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(file("rules"), RULES).unwrap();
        router.shell(&format!("echo 1 > /proc/sys/net/ipv4/ip_forward; nft -f {}", file("rules")));
        let daemon = options.map(|options| {
            let config = format!(
                "ext_ifname=wan0\nlistening_ip=lan0\nsecure_mode=yes\nsystem_uptime=yes\nipv6_disable=yes\n\
                 uuid=00000000-0000-0000-0000-000000000001\n{options}\n{rules}"
            );
            std::fs::write(file("conf"), config).unwrap();
            let mut command = router.command("miniupnpd");
            command.args(["-d", "-f", &file("conf"), "-P", &file("pid")]);
            let daemon = Actor::start(command);
            let ready = if options.contains("enable_natpmp=yes") { "Listening for NAT-PMP" } else { "HTTP listening" };
            daemon.says(ready);
            daemon
        });
        Self { lan, internet, router, _folder: folder, _daemon: daemon }
    }

    fn rules(&self) -> String {
        self.router.output("nft", &["list", "ruleset"])
    }
}

fn possible() -> bool {
    netns::possible(&["miniupnpd", "nft"])
}

/// Opens, looks at the router, comes in from outside, closes, looks again.
fn a_mapping_lets_the_internet_in(method: &str, options: &str) {
    if !possible() {
        return;
    }
    let home = Home::new(WAN, Some(options), ALLOW);
    let mut host = home.lan.play("host", method);
    let opened = host.says("OPENED ");
    let [by, external, udp, lease] = opened.split(' ').collect::<Vec<_>>()[..] else { panic!("{opened}") };
    let external: SocketAddr = external.parse().unwrap();
    assert_eq!((by, udp), (method, "udp=true"));
    assert_eq!(external.ip().to_string(), WAN);
    assert!(lease.parse::<u64>().unwrap() > 0);

    let rules = home.rules();
    // nft prints what miniupnpd writes as raw bytes: the protocol's number in the IPv4 header.
    for protocol in ["0x6", "0x11"] {
        let to = format!("dnat ip to 192.168.77.2:{}", external.port());
        let shown = rules.lines().any(|line| line.contains(&to) && line.split(' ').any(|word| word == protocol));
        assert!(shown, "the router shows no mapping of protocol {protocol}:\n{rules}");
    }
    let guest = home.internet.play("guest", &format!("ws://{external}/v1"));
    assert_eq!(guest.says("GUEST "), "joined");

    host.go_on();
    host.says("CLOSED ok");
    let rules = home.rules();
    assert!(!rules.contains("dnat"), "the mapping is still there:\n{rules}");
}

#[test]
fn pcp_lets_the_internet_in_and_leaves_nothing_behind() {
    a_mapping_lets_the_internet_in("PCP", "enable_natpmp=yes\nenable_upnp=no");
}

#[test]
fn nat_pmp_lets_the_internet_in_and_leaves_nothing_behind() {
    a_mapping_lets_the_internet_in("NAT-PMP", "enable_natpmp=yes\nenable_upnp=no");
}

#[test]
fn upnp_lets_the_internet_in_and_leaves_nothing_behind() {
    a_mapping_lets_the_internet_in("UPnP", "enable_natpmp=no\nenable_upnp=yes");
}

fn refusal(home: &Home, method: &str) -> String {
    let actor = home.lan.play("refused", method);
    eprintln!("{}", actor.says("ERROR "));
    actor.says("REFUSED ")
}

#[test]
fn without_being_told_how_the_way_that_works_is_found() {
    if !possible() {
        return;
    }
    let home = Home::new(WAN, Some("enable_natpmp=no\nenable_upnp=yes"), ALLOW);
    let mut host = home.lan.play("host", "any");
    assert!(host.says("OPENED ").starts_with("UPnP "));
    host.go_on();
    host.says("CLOSED ok");
}

#[test]
fn a_router_that_refuses_says_so() {
    if !possible() {
        return;
    }
    // By UPnP alone: miniupnpd 2.3.1 answers PCP only after it has tried all 65,535 external ports.
    let home = Home::new(WAN, Some("enable_natpmp=no\nenable_upnp=yes"), DENY);
    assert_eq!(refusal(&home, "any"), "NotAuthorized");
    assert!(!home.rules().contains("dnat"), "{}", home.rules());
}

#[test]
fn a_router_behind_another_router_says_so_and_nothing_stays_mapped() {
    if !possible() {
        return;
    }
    let home = Home::new("10.9.9.9", Some("enable_natpmp=yes\nenable_upnp=yes"), ALLOW);
    let reason = refusal(&home, "any");
    assert!(["BehindAnotherNat", "RouterOffline"].contains(&reason.as_str()), "{reason}");
    assert!(!home.rules().contains("dnat"), "{}", home.rules());
}

#[test]
fn a_router_that_speaks_none_of_it_and_no_router_are_told_apart() {
    if !possible() {
        return;
    }
    let home = Home::new(WAN, None, "");
    assert_eq!(refusal(&home, "any"), "NoAnswer");
    home.lan.ip("route del default");
    assert_eq!(refusal(&home, "any"), "NoRouter");
}

/// The parts played inside the namespaces.
#[tokio::test]
#[ignore = "played by the other tests inside a namespace"]
async fn parts() {
    let part = std::env::var(netns::PART).expect("a part to play");
    let (part, argument) = part.split_once(' ').unwrap();
    let open = async |port: u16| match argument {
        "PCP" => port_mapping::open_with(MappingMethod::Pcp, port).await,
        "NAT-PMP" => port_mapping::open_with(MappingMethod::NatPmp, port).await,
        "UPnP" => port_mapping::open_with(MappingMethod::Upnp, port).await,
        _ => port_mapping::open(port).await,
    };
    match part {
        "host" => {
            let relay = LocalRelay::start().await.unwrap();
            let mapping = open(relay.port()).await.unwrap();
            let state = mapping.state();
            let lease = state.lease.as_secs();
            say(&format!("OPENED {} {} udp={} {lease}", mapping.method(), state.external, state.udp));
            tokio::task::spawn_blocking(wait).await.unwrap();
            match mapping.close().await {
                Ok(()) => say("CLOSED ok"),
                Err(error) => say(&format!("CLOSED {error}")),
            }
            relay.stop().await;
        }
        "guest" => {
            let trust = TlsTrust::Certificates(Vec::new());
            let (_client, mut events) = RelayClient::connect(vec![argument.to_owned()], [5; 32], trust);
            match events.recv().await {
                Some(RelayEvent::Up { .. }) => say("GUEST joined"),
                other => say(&format!("GUEST {other:?}")),
            }
        }
        "refused" => match open(40_000).await {
            Ok(_) => say("REFUSED not"),
            Err(PortMappingError::NoRouter) => say("ERROR none\nREFUSED NoRouter"),
            Err(error) => say(&format!("ERROR {error}\nREFUSED {:?}", error.reason().unwrap_or(&Refusal::Network))),
        },
        other => panic!("no such part: {other}"),
    }
}
