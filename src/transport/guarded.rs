//! Sockets that keep to a [`RoutePolicy`]: the last place where a datagram could take a way that it must not.
//!
//! Everything the crate `webrtc` sends, looks up or receives goes through its [`Runtime`]. This one passes on what the
//! policy allows, and drops and counts the rest. A check from a forbidden address is hence never answered, and no
//! peer-reflexive candidate (RFC 8445 section 7.3.1.3) comes of it.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, Transmit,
};

use super::interceptors::Shared;
use super::path::PathEvent;
use super::policy::{RoutePolicy, RouteRefusal};
use super::stats::add;
use super::turn_stream::{StreamFault, StreamServer, Streams};

/// Addresses of TURN servers that are remembered; one name stands for a few.
const MAX_SERVERS: usize = 64;

struct Rules {
    policy: RoutePolicy,
    /// Where the TURN servers are, as far as the guard allows it, and how those are reached that are not over UDP.
    turn: RwLock<Vec<(SocketAddr, Option<StreamServer>)>>,
    shared: Arc<Shared>,
    /// A fault of a certificate was told.
    told: AtomicBool,
}

impl Rules {
    /// Whether a datagram may pass between a socket on `own` and `other`.
    fn passes(&self, own: IpAddr, other: SocketAddr) -> bool {
        self.policy.guard.allows(other.ip())
            && (self.policy.direct_from(own)
                || self.turn.read().unwrap_or_else(PoisonError::into_inner).iter().any(|(turn, _)| *turn == other))
    }

    /// The server at this address, if it is reached by a stream.
    fn stream_server(&self, other: SocketAddr) -> Option<StreamServer> {
        let turn = self.turn.read().unwrap_or_else(PoisonError::into_inner);
        turn.iter().find(|(address, _)| *address == other)?.1.clone()
    }

    /// A certificate that is not trusted is for a person to know; what cannot be reached shows as what it is, no address.
    fn handle_fault(&self, fault: StreamFault) {
        if fault == StreamFault::Certificate && !self.told.swap(true, Ordering::Relaxed) {
            let _ = self.shared.events.try_send(PathEvent::RouteRefused(RouteRefusal::TurnCertificate));
        }
    }

    fn refuse(&self) {
        add(&self.shared.counters.datagrams_refused, 1);
    }

    /// Of what a name stands for, the addresses that may be used.
    fn learn(&self, host: &str, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        found.retain(|address| self.policy.guard.allows(address.ip()));
        if let Some(server) = self.policy.turn.iter().find(|server| server.lookup_name() == host) {
            let Ok(stream) = StreamServer::new(&server.host, &server.transport) else {
                // Without certificates to trust there is no server.
                self.handle_fault(StreamFault::Certificate);
                return Vec::new();
            };
            let mut turn = self.turn.write().unwrap_or_else(PoisonError::into_inner);
            found.retain(|address| {
                let known = turn.iter().any(|(turn, _)| turn == address);
                let room = turn.len() < MAX_SERVERS;
                if !known && room {
                    turn.push((*address, stream.clone()));
                }
                known || room
            });
        } else if self.policy.relay_only {
            found.clear();
        }
        found
    }
}

/// The runtime that the driver of one path runs on.
pub(super) struct GuardedRuntime {
    inner: Arc<dyn Runtime>,
    rules: Arc<Rules>,
    /// Where streams to TURN servers run.
    tokio: tokio::runtime::Handle,
}

impl GuardedRuntime {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(inner: Arc<dyn Runtime>, policy: RoutePolicy, shared: Arc<Shared>) -> Self {
        let rules = Rules { policy, turn: RwLock::default(), shared, told: AtomicBool::new(false) };
        Self { inner, rules: Arc::new(rules), tokio: tokio::runtime::Handle::current() }
    }
}

impl fmt::Debug for GuardedRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardedRuntime")
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Runtime for GuardedRuntime {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn(future)
    }

    fn spawn_reactor(&self, pool: usize, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn_reactor(pool, future)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let own = socket.local_addr()?.ip();
        let inner = self.inner.wrap_udp_socket(socket)?;
        let rules = Arc::clone(&self.rules);
        let streams = Streams::new(own, self.tokio.clone(), Arc::new(move |fault| rules.handle_fault(fault)));
        Ok(Arc::new(GuardedSocket { inner, own, rules: Arc::clone(&self.rules), streams }))
    }

    fn wrap_tcp_listener(&self, _: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        // Paths are UDP alone.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn connect_tcp<'a>(&'a self, _: SocketAddr) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            // The crate leaves out the brackets of IPv6, which a resolver wants.
            let literal = host.rsplit_once(':').and_then(|(ip, port)| {
                Some(SocketAddr::new(ip.trim_matches(['[', ']']).parse().ok()?, port.parse().ok()?))
            });
            let found = match literal {
                Some(address) => vec![address],
                None => self.inner.resolve_host(host).await?,
            };
            Ok(self.rules.learn(host, found))
        })
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        self.inner.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        self.inner.yield_now()
    }

    fn name(&self) -> &'static str {
        "guarded"
    }
}

struct GuardedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    own: IpAddr,
    rules: Arc<Rules>,
    streams: Streams,
}

impl fmt::Debug for GuardedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardedSocket")
    }
}

impl AsyncUdpSocket for GuardedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if self.rules.passes(self.own, transmit.destination) {
            let Some(server) = self.rules.stream_server(transmit.destination) else {
                return self.inner.poll_send(cx, transmit);
            };
            let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
            for datagram in transmit.contents.chunks(size) {
                if !self.streams.send(transmit.destination, &server, datagram) {
                    self.rules.refuse();
                }
            }
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        self.rules.refuse();
        // Lost, as datagrams may be. An error would be taken for a broken socket.
        Poll::Ready(Ok(transmit.contents.len()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if let (Some(buffer), Some(one)) = (bufs.first_mut(), meta.first_mut())
            && let Poll::Ready((from, message)) = self.streams.poll_recv(cx)
        {
            *one = RecvMeta::default();
            (one.addr, one.stride) = (from, 1);
            match buffer.get_mut(..message.len()).filter(|_| self.rules.passes(self.own, from)) {
                Some(place) => {
                    place.copy_from_slice(&message);
                    (one.len, one.stride) = (message.len(), message.len().max(1));
                }
                None => self.rules.refuse(),
            }
            return Poll::Ready(Ok(1));
        }
        let received = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &received {
            for one in meta.iter_mut().take(*count) {
                // Nor does a server that is spoken to by a stream answer by datagram.
                if !self.rules.passes(self.own, one.addr) || self.rules.stream_server(one.addr).is_some() {
                    self.rules.refuse();
                    // An empty datagram goes no further than the driver.
                    (one.len, one.stride) = (0, 1);
                }
            }
        }
        received
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::policy::{RouteGuard, TurnServer};
    use super::super::stats::get;
    use super::super::turn_stream::TurnTransport;
    use super::*;
    use crate::transport::Limits;
    use crate::transport::rtc::Ssrcs;

    /// A TURN server has a port of its own here: each test names another address, because tests run side by side.
    fn runtime(turn: &str, relay_only: bool, guard: RouteGuard) -> (GuardedRuntime, Arc<Shared>) {
        let turn = TurnServer {
            host: turn.into(),
            port: 3478,
            transport: TurnTransport::Udp,
            user: String::new(),
            password: Zeroizing::new(String::new()),
        };
        let ssrcs = Ssrcs { audio: 1, video: 2, rtx: 3 };
        let events = tokio::sync::mpsc::channel(1).0;
        let shared = Arc::new(Shared::new(events, ssrcs, std::time::Instant::now(), Limits::default()));
        let policy = RoutePolicy { relay_only, turn: vec![turn], guard };
        let inner = webrtc::runtime::default_runtime().unwrap();
        (GuardedRuntime::new(inner, policy, Arc::clone(&shared)), shared)
    }

    /// Whether a datagram from the guarded socket arrives there, and one from there here.
    async fn passes(runtime: &GuardedRuntime, other: &str) -> (bool, bool) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let own = socket.local_addr().unwrap();
        let socket = runtime.wrap_udp_socket(socket).unwrap();
        let other = tokio::net::UdpSocket::bind(other).await.unwrap();
        assert_eq!(socket.send_to(b"out", other.local_addr().unwrap()).await.unwrap(), 3);
        other.send_to(b"in", own).await.unwrap();
        let mut buffer = [0; 16];
        let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
        assert_eq!(from, other.local_addr().unwrap());
        // On loopback what was sent has arrived.
        (other.try_recv(&mut [0; 16]).is_ok(), len == 2)
    }

    #[tokio::test]
    async fn a_relayed_path_talks_to_its_turn_server_alone() {
        let (runtime, shared) = runtime("127.0.0.9", true, RouteGuard::default());
        assert_eq!(passes(&runtime, "127.0.0.9:3478").await, (false, false), "not looked up yet");
        assert_eq!(runtime.resolve_host("127.0.0.9:3478").await.unwrap().len(), 1);
        assert_eq!(passes(&runtime, "127.0.0.9:3478").await, (true, true));
        assert_eq!(passes(&runtime, "127.0.0.9:0").await, (false, false));
        assert_eq!(passes(&runtime, "127.0.0.8:0").await, (false, false));
        assert!(runtime.resolve_host("127.0.0.7:3478").await.unwrap().is_empty(), "no STUN server is asked");
        assert_eq!(get(&shared.counters.datagrams_refused), 6);
    }

    #[tokio::test]
    async fn nothing_goes_to_or_comes_from_an_address_outside_the_guard() {
        let allowed: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "127.0.0.8".parse().unwrap()];
        let (runtime, _) = runtime("127.0.0.10", false, RouteGuard::new(move |ip| allowed.contains(&ip)));
        assert_eq!(passes(&runtime, "127.0.0.8:0").await, (true, true));
        assert_eq!(passes(&runtime, "127.0.0.7:0").await, (false, false));
        assert!(
            runtime.resolve_host("127.0.0.10:3478").await.unwrap().is_empty(),
            "a TURN server outside is no server"
        );
        assert_eq!(runtime.resolve_host("127.0.0.8:3478").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_socket_whose_own_address_is_refused_may_only_reach_turn_servers() {
        let (runtime, _) = runtime("127.0.0.11", false, RouteGuard::new(|ip| ip != IpAddr::from([127, 0, 0, 1])));
        runtime.resolve_host("127.0.0.11:3478").await.unwrap();
        assert_eq!(passes(&runtime, "127.0.0.11:3478").await, (true, true));
        assert_eq!(passes(&runtime, "127.0.0.8:0").await, (false, false));
    }

    #[tokio::test]
    async fn ipv6_servers_are_found_with_and_without_brackets() {
        let (runtime, _) = runtime("127.0.0.9", false, RouteGuard::default());
        for name in ["::1:3478", "[::1]:3478"] {
            assert_eq!(runtime.resolve_host(name).await.unwrap(), ["[::1]:3478".parse::<SocketAddr>().unwrap()]);
        }
    }
}
