//! Discovery on the local network by multicast DNS (RFC 6762, RFC 6763), so that a link still works when addresses
//! have changed.
//!
//! The service type is `_conclave._tcp.local.`; instance and host name are a tag derived from the room id. Someone
//! on the network sees that a meeting is being held and where; without the link the tag says nothing more, and the
//! machine's own name is not told. What is found is only an address to try: who answers there proves itself in the
//! handshake.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};
use ring::digest;
use tokio::time::{Instant, timeout_at};

use super::frames::RoomId;

const SERVICE: &str = "_conclave._tcp.local.";
/// Most addresses taken from the network for one room.
const MAX_FOUND: usize = 8;
/// Once one address is known, others that are on their way get this long.
const SETTLE: Duration = Duration::from_millis(200);

/// Why discovery doesn't work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LanError {
    /// The system refuses multicast sockets, or another program holds the port for itself.
    #[error("discovery on the local network is not available: {0}")]
    Unavailable(#[from] mdns_sd::Error),
}

/// The name of a room on the local network: the first 10 bytes of SHA-256(room id ‖ "lan"), in hex.
pub fn room_tag(room: &RoomId) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(room);
    context.update(b"lan");
    data_encoding::HEXLOWER.encode(&context.finish().as_ref()[..10])
}

/// A room being announced, until dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
    fullname: String,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Says goodbye to the network (RFC 6762 §10.1); whoever misses it forgets the name by itself.
        let _ = self.daemon.unregister(&self.fullname);
        let _ = self.daemon.shutdown();
    }
}

fn daemon() -> Result<ServiceDaemon, mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    // Others on this machine have the link's loopback address or none; the network is what this is for.
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    Ok(daemon)
}

/// Announces the room and the port of its relay on every network of this machine, following its addresses.
///
/// # Errors
/// [`LanError`] if the system doesn't allow it.
pub fn announce(room: &RoomId, port: u16) -> Result<Announcement, LanError> {
    let tag = room_tag(room);
    let daemon = daemon()?;
    let no_properties: &[(&str, &str)] = &[];
    let info = ServiceInfo::new(SERVICE, &tag, &format!("{tag}.local."), "", port, no_properties)?.enable_addr_auto();
    let fullname = info.get_fullname().to_owned();
    daemon.register(info)?;
    Ok(Announcement { daemon, fullname })
}

/// Looks for the room's relay on the local network for at most `wait`; returns soon after the first answer. Nothing
/// found is an empty list. At most eight addresses, IPv4 first, none that is link-local or loopback.
///
/// # Errors
/// [`LanError`] if the system doesn't allow it.
pub async fn find(room: &RoomId, wait: Duration) -> Result<Vec<SocketAddr>, LanError> {
    let tag = room_tag(room);
    let daemon = daemon()?;
    let fullname = format!("{tag}.{SERVICE}");
    let found = browse(&daemon, &fullname, wait).await;
    let _ = daemon.shutdown();
    found
}

async fn browse(daemon: &ServiceDaemon, fullname: &str, wait: Duration) -> Result<Vec<SocketAddr>, LanError> {
    let events = daemon.browse(SERVICE)?;
    let mut until = Instant::now() + wait;
    let mut found = BTreeSet::new();
    while let Ok(Ok(event)) = timeout_at(until, events.recv_async()).await {
        let ServiceEvent::ServiceResolved(service) = event else { continue };
        if !service.fullname.eq_ignore_ascii_case(fullname) || service.port == 0 {
            continue;
        }
        let usable = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr).filter(|ip| is_usable(*ip));
        for ip in usable {
            if found.len() < MAX_FOUND {
                found.insert(SocketAddr::new(ip, service.port));
            }
        }
        if !found.is_empty() {
            until = until.min(Instant::now() + SETTLE);
        }
    }
    Ok(found.into_iter().collect())
}

/// What a stranger on the network may send us to: no loopback, nothing that needs a zone.
fn is_usable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            !(v4.is_loopback() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_link_local())
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_twenty_hex_digits_of_the_room_and_says_nothing_else() {
        let tag = room_tag(&[7; 32]);
        assert_eq!(tag.len(), 20);
        assert!(tag.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(tag, room_tag(&[8; 32]));
        assert!(!data_encoding::HEXLOWER.encode(&[7; 32]).contains(&tag));
    }

    #[test]
    fn a_stranger_cannot_send_us_to_ourselves() {
        for ip in ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.251", "fe80::1", "169.254.0.1", "255.255.255.255"] {
            assert!(!is_usable(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["192.168.1.5", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(is_usable(ip.parse().unwrap()), "{ip}");
        }
    }
}
