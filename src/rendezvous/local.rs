//! The relay inside the app: start a meeting and nothing else need run.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use if_addrs::{IfOperStatus, Interface};

use crate::relay::{Counters, RelayConfig, RelayError, RelayServer};

/// Most addresses that go into a link.
const MAX_ADDRESSES: usize = 6;

/// A relay on every address of this machine.
pub struct LocalRelay {
    server: RelayServer,
}

impl LocalRelay {
    /// Starts on a free port, for one room: the host, who is the first to join, fills it. Strangers who find the port
    /// cannot hold meetings of their own at the host's expense.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn start() -> Result<Self, RelayError> {
        let mut config = RelayConfig::embedded(0);
        config.limits.rooms = 1;
        Self::start_with(config).await
    }

    /// Starts as told, on loopback alone for instance.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn start_with(config: RelayConfig) -> Result<Self, RelayError> {
        Ok(Self { server: RelayServer::start(config).await? })
    }

    /// The port, TCP for members and UDP for STUN.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// How the host itself reaches the relay.
    pub fn own_url(&self) -> String {
        let listens = |ip: IpAddr| self.server.addresses().iter().any(|address| address.ip() == ip);
        let (any_v4, any_v6) = (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED));
        let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        match self.server.addresses().first() {
            _ if listens(any_v4) || listens(v4) => url(v4, self.port()),
            _ if listens(any_v6) || listens(v6) => url(v6, self.port()),
            Some(address) => url(address.ip(), self.port()),
            None => url(v4, self.port()),
        }
    }

    /// How others may reach the relay: see [`reachable_addresses`]. If it listens on certain addresses only, those.
    ///
    /// # Errors
    /// The system doesn't tell its addresses.
    pub fn reachable_addresses(&self) -> io::Result<Vec<IpAddr>> {
        let listening = self.server.addresses();
        if listening.iter().all(|address| !address.ip().is_unspecified()) {
            return Ok(listening.iter().map(|address| address.ip()).take(MAX_ADDRESSES).collect());
        }
        let has = |v6: bool| listening.iter().any(|address| address.is_ipv6() == v6);
        // `[::]` alone takes IPv4 as well.
        let (v4, v6) = (has(false) || has(true) && listening.len() == 1, has(true));
        let usable = |ip: &IpAddr| if ip.is_ipv6() { v6 } else { v4 };
        Ok(reachable_addresses()?.into_iter().filter(usable).collect())
    }

    /// How much was carried.
    pub fn counters(&self) -> Counters {
        self.server.counters()
    }

    /// Stops the relay and waits until it has.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// The URL of a relay without TLS.
pub fn url(ip: IpAddr, port: u16) -> String {
    format!("ws://{}{}", std::net::SocketAddr::new(ip, port), super::frames::PATH)
}

/// The addresses of this machine that others may reach, best first, at most six: global IPv6, public IPv4, private
/// IPv4, unique local IPv6; those of bridges for containers and virtual machines last. No link-local ones: they need
/// a zone that means nothing to others. Loopback only if there is nothing else.
///
/// # Errors
/// The system doesn't tell its addresses.
pub fn reachable_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(rank(if_addrs::get_if_addrs()?))
}

/// Every address by which this machine can take part in a network now, sorted: the one list that tells whether the network
/// has changed. Neither loopback nor link-local ones are in it.
///
/// # Errors
/// The system doesn't tell its addresses.
pub fn usable_addresses() -> io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let mut found: Vec<IpAddr> = interfaces.iter().filter(|one| is_up(one)).map(Interface::ip).collect();
    found.retain(|ip| order(*ip).is_some());
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Whether a connection that began at `own` can still stand. An address that is gone takes its connections with it, and no
/// packet says so. What is not known counts as standing.
pub(super) fn still_stands(own: Option<IpAddr>) -> bool {
    match own {
        Some(own) if order(own).is_some() => usable_addresses().map_or(true, |all| all.contains(&own)),
        _ => true,
    }
}

/// An interface that is down keeps its addresses. Unix tells it by a flag that is missing (`IFF_RUNNING`), and the crate
/// calls that unknown.
fn is_up(interface: &Interface) -> bool {
    match interface.oper_status {
        IfOperStatus::Down => false,
        IfOperStatus::Unknown => !cfg!(unix),
        _ => true,
    }
}

fn rank(interfaces: Vec<Interface>) -> Vec<IpAddr> {
    let within = |interface: &&Interface| order(interface.ip()).is_some();
    // A carrier can be told a second late. Where none runs yet, those that are not down are better than nothing.
    let none_runs = !interfaces.iter().filter(within).any(is_up);
    let mut ranked: Vec<(u8, IpAddr)> = interfaces
        .iter()
        .filter(|interface| is_up(interface) || none_runs && interface.oper_status != IfOperStatus::Down)
        .filter_map(|interface| {
            let order = order(interface.ip())?;
            Some((if is_bridge(&interface.name) { order + 10 } else { order }, interface.ip()))
        })
        .collect();
    ranked.sort_by_key(|(order, _)| *order);
    let mut out: Vec<IpAddr> = Vec::new();
    for (_, ip) in ranked {
        if !out.contains(&ip) && out.len() < MAX_ADDRESSES {
            out.push(ip);
        }
    }
    if out.is_empty() {
        out.push(Ipv4Addr::LOCALHOST.into());
    }
    out
}

/// Networks that exist within one machine, by the names their programs give them.
fn is_bridge(name: &str) -> bool {
    ["docker", "br-", "virbr", "vboxnet", "vmnet", "lxcbr", "lxdbr", "podman", "cni"]
        .iter()
        .any(|b| name.starts_with(b))
}

/// Smaller is better; `None` is of no use to others.
fn order(ip: IpAddr) -> Option<u8> {
    match ip {
        IpAddr::V4(v4) => {
            if v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() {
                return None;
            }
            // Carrier-grade NAT (RFC 6598) is as private as the rest.
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64;
            Some(if v4.is_private() || shared { 2 } else { 1 })
        }
        IpAddr::V6(v6) => {
            if v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast() {
                return None;
            }
            Some(if v6.is_unique_local() { 3 } else { 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfAddr, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(name: &str, ip: &str) -> Interface {
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => IfAddr::V4(Ifv4Addr { ip, netmask: Ipv4Addr::BROADCAST, prefixlen: 32, broadcast: None }),
            IpAddr::V6(ip) => {
                let netmask = Ipv6Addr::from_bits(u128::MAX);
                IfAddr::V6(Ifv6Addr { ip, netmask, prefixlen: 128, broadcast: None })
            }
        };
        Interface { name: name.into(), addr, index: None, oper_status: IfOperStatus::Up, is_p2p: false }
    }

    #[test]
    fn addresses_come_best_first_and_useless_ones_not_at_all() {
        let found = rank(vec![
            interface("lo", "127.0.0.1"),
            interface("lo", "::1"),
            interface("docker0", "172.17.0.1"),
            interface("eth0", "fd00::5"),
            interface("eth0", "192.168.1.5"),
            interface("eth0", "fe80::5"),
            interface("eth0", "169.254.1.1"),
            interface("wan", "203.0.113.5"),
            interface("eth0", "2001:db8::5"),
            interface("eth1", "2001:db8::5"),
        ]);
        let expected = ["2001:db8::5", "203.0.113.5", "192.168.1.5", "fd00::5", "172.17.0.1"];
        assert_eq!(found, expected.map(|ip| ip.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn an_interface_that_is_down_offers_nothing() {
        let down = Interface { oper_status: IfOperStatus::Down, ..interface("eth0", "192.168.1.5") };
        let not_running = Interface { oper_status: IfOperStatus::Unknown, ..interface("wlan0", "192.168.2.5") };
        let found = rank(vec![down, not_running, interface("eth1", "192.168.3.5")]);
        assert_eq!(found.last(), Some(&IpAddr::from([192, 168, 3, 5])));
        assert!(!found.contains(&IpAddr::from([192, 168, 1, 5])));
        assert_eq!(found.len(), if cfg!(unix) { 1 } else { 2 });
        let early = Interface { oper_status: IfOperStatus::Unknown, ..interface("wlan0", "192.168.2.5") };
        assert_eq!(rank(vec![early]), [IpAddr::from([192, 168, 2, 5])], "its carrier may be told late");
    }

    #[test]
    fn loopback_is_given_only_when_there_is_nothing_else() {
        assert_eq!(rank(vec![interface("lo", "127.0.0.1")]), [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(rank(Vec::new()), [IpAddr::from([127, 0, 0, 1])]);
    }

    #[test]
    fn a_link_does_not_grow_with_the_machine() {
        let many = (0..50).map(|n| interface("eth0", &format!("10.0.0.{n}"))).collect();
        assert_eq!(rank(many).len(), MAX_ADDRESSES);
    }

    #[test]
    fn an_ipv6_url_has_brackets() {
        assert_eq!(url("2001:db8::1".parse().unwrap(), 7), "ws://[2001:db8::1]:7/v1");
        assert_eq!(url("192.0.2.1".parse().unwrap(), 7), "ws://192.0.2.1:7/v1");
    }
}
