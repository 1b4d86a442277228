//! What a relay listens on and how much it lets strangers have.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A rate for a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, in units a second.
    pub per_second: u32,
    /// At once, in units.
    pub burst: u32,
}

/// Every bound of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time of one IPv4 address or IPv6 /64.
    pub connections_per_address: usize,
    /// How often one address may connect.
    pub connects: Rate,
    /// Addresses remembered for their rates.
    pub addresses: usize,
    /// Rooms at a time.
    pub rooms: usize,
    /// Members of one room at a time.
    pub members_per_room: usize,
    /// Bytes that one connection may send, TLS and framing included. Faster ones are read more slowly.
    pub bytes: Rate,
    /// Messages that one connection may send. Faster ones are read more slowly.
    pub messages: Rate,
    /// Messages that wait for a slow reader before it is disconnected.
    pub queue_messages: usize,
    /// Bytes that wait for a slow reader before it is disconnected.
    pub queue_bytes: usize,
    /// Bytes that wait for all readers together; past it nobody may have more than a sixteenth of `queue_bytes`.
    pub queue_bytes_total: usize,
    /// Bytes that a connection may send before the WebSocket stands (TLS handshake and HTTP request).
    pub preface_bytes: usize,
    /// How long TLS, HTTP and Join may take together.
    pub handshake: Duration,
    /// How often the relay pings.
    pub ping: Duration,
    /// After how long without any message a connection is dropped.
    pub silence: Duration,
    /// How long one write may block.
    pub write: Duration,
    /// STUN requests of one address that are answered.
    pub stun: Rate,
    /// STUN requests that are answered in all.
    pub stun_total: Rate,
}

impl Limits {
    /// For the relay inside the app: a meeting of friends.
    pub fn embedded() -> Self {
        Self {
            connections: 64,
            connections_per_address: 32,
            connects: Rate { per_second: 8, burst: 64 },
            addresses: 1024,
            rooms: 16,
            members_per_room: 64,
            bytes: Rate { per_second: 512 * 1024, burst: 2 * 1024 * 1024 },
            messages: Rate { per_second: 250, burst: 1000 },
            queue_messages: 1024,
            queue_bytes: 2 * 1024 * 1024,
            queue_bytes_total: 32 * 1024 * 1024,
            preface_bytes: 16 * 1024,
            handshake: Duration::from_secs(5),
            ping: Duration::from_secs(20),
            silence: Duration::from_secs(60),
            write: Duration::from_secs(20),
            stun: Rate { per_second: 20, burst: 100 },
            stun_total: Rate { per_second: 500, burst: 1000 },
        }
    }

    /// For a relay that serves many meetings.
    pub fn public() -> Self {
        Self {
            connections: 4096,
            // Offices and mobile networks put many people behind one IPv4 address.
            connections_per_address: 256,
            connects: Rate { per_second: 32, burst: 256 },
            addresses: 65_536,
            rooms: 2048,
            bytes: Rate { per_second: 256 * 1024, burst: 1024 * 1024 },
            queue_bytes: 1024 * 1024,
            queue_bytes_total: 256 * 1024 * 1024,
            stun: Rate { per_second: 50, burst: 200 },
            stun_total: Rate { per_second: 5000, burst: 10_000 },
            ..Self::embedded()
        }
    }
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the relay's own certificate first.
    pub certificates: PathBuf,
    /// The private key (PKCS #8, PKCS #1 or SEC1).
    pub key: PathBuf,
}

/// How to start a relay.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Addresses to listen on, TCP and UDP alike. Port 0 picks one port that is free on all of them. `[::]` takes
    /// IPv4 too unless an IPv4 address stands in the list.
    pub listen: Vec<SocketAddr>,
    /// Speak TLS; `None` is for loopback, the local network, or behind a proxy that does.
    pub tls: Option<TlsFiles>,
    /// The bounds.
    pub limits: Limits,
    /// Write all that the relay can see into this file: see [`record`](super::record).
    pub record: Option<PathBuf>,
}

impl RelayConfig {
    /// Every address of this machine, IPv6 and IPv4, on one port; 0 picks a free one. [`Limits::embedded`].
    pub fn embedded(port: u16) -> Self {
        let listen = vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
        Self { listen, tls: None, limits: Limits::embedded(), record: None }
    }

    /// Loopback alone, IPv4, a free port. [`Limits::embedded`].
    pub fn loopback() -> Self {
        Self { listen: vec![(Ipv4Addr::LOCALHOST, 0).into()], ..Self::embedded(0) }
    }
}
