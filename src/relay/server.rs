//! The relay's sockets: TCP for members, UDP for STUN, one port number.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::connection::{self, Shared};
use super::hall::Hall;
use super::limits::{AddressRefusal, AddressTable, TokenBucket};
use super::metrics::{Counters, Metrics};
use super::record::{Kind, Record};
use super::settings::RelayConfig;
use super::stun::{BindingRequest, MAX_REQUEST};
use super::tls::{self, TlsError};
use crate::rendezvous::frames::ConnId;

/// How often a free port is looked for when port 0 is asked for on several sockets.
const PORT_TRIES: usize = 32;
/// Connections that are told in HTTP that there is no room; more are closed at once.
const TURNED_AWAY_AT_A_TIME: usize = 32;
/// How long connections may take to say goodbye when the relay stops.
const STOP: Duration = Duration::from_secs(3);

/// Why a relay can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// No address to listen on.
    #[error("no address to listen on")]
    NoAddress,
    /// Another program listens there.
    #[error("port {0} is in use")]
    PortInUse(u16),
    /// The address is not this machine's, or the port is privileged.
    #[error("cannot listen: {0}")]
    Listen(#[source] io::Error),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The record can't be opened.
    #[error("cannot open the record: {0}")]
    Record(#[source] io::Error),
}

/// A running relay. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
pub struct RelayServer {
    addresses: Vec<SocketAddr>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

struct Bound {
    tcp: TcpListener,
    udp: Arc<UdpSocket>,
}

fn bind_one(address: SocketAddr, only_v6: bool) -> io::Result<Bound> {
    let tcp = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    let udp = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    for socket in [&tcp, &udp] {
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        socket.set_nonblocking(true)?;
    }
    // So that a relay can start again on its port while old connections linger in TIME_WAIT. On Windows the same
    // option would let two programs share a port.
    #[cfg(unix)]
    tcp.set_reuse_address(true)?;
    tcp.bind(&address.into())?;
    tcp.listen(1024)?;
    let tcp = TcpListener::from_std(tcp.into())?;
    udp.bind(&SocketAddr::new(address.ip(), tcp.local_addr()?.port()).into())?;
    Ok(Bound { tcp, udp: Arc::new(UdpSocket::from_std(udp.into())?) })
}

/// Binds every address on one port. An IPv6 wildcard that this machine can't do is left out if anything else works.
fn bind_all(listen: &[SocketAddr]) -> io::Result<Vec<Bound>> {
    let only_v6 = listen.iter().any(SocketAddr::is_ipv4);
    let mut bound: Vec<Bound> = Vec::new();
    let mut no_ipv6 = None;
    for address in listen {
        let mut address = *address;
        if let (0, Some(first)) = (address.port(), bound.first()) {
            address.set_port(first.tcp.local_addr()?.port());
        }
        match bind_one(address, only_v6) {
            Ok(one) => bound.push(one),
            Err(error) if address.is_ipv6() && address.ip().is_unspecified() && !in_use(&error) => {
                no_ipv6 = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match no_ipv6 {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

fn in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn bind(listen: &[SocketAddr]) -> Result<Vec<Bound>, RelayError> {
    let port = listen.first().ok_or(RelayError::NoAddress)?.port();
    let mut tries = if listen.iter().any(|address| address.port() == 0) { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_all(listen) {
            Ok(bound) => return Ok(bound),
            Err(error) if in_use(&error) && tries > 0 => {}
            Err(error) if in_use(&error) => return Err(RelayError::PortInUse(port)),
            Err(error) => return Err(RelayError::Listen(error)),
        }
    }
}

impl RelayServer {
    /// Binds the sockets and starts to serve on the current tokio runtime.
    ///
    /// # Errors
    /// [`RelayError`]; then nothing is left running.
    pub async fn start(config: RelayConfig) -> Result<Self, RelayError> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let record = Record::open(config.record.as_deref()).await.map_err(RelayError::Record)?;
        let bound = bind(&config.listen)?;
        let limits = config.limits;
        let metrics = Arc::<Metrics>::default();
        let table = AddressTable::new(limits.addresses, limits.connections_per_address, limits.connects, limits.stun);
        let door = Arc::new(Door {
            addresses: Mutex::new(table),
            stun: Mutex::new(TokenBucket::new(limits.stun_total, Instant::now())),
            connections: Arc::new(Semaphore::new(limits.connections)),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_AT_A_TIME)),
        });
        let hall = Hall::new(limits.clone(), metrics.clone());
        let shared = Arc::new(Shared { limits, metrics: metrics.clone(), hall, record, tls });
        let (stop, stopped) = watch::channel(false);
        let mut addresses = Vec::new();
        let mut tasks = JoinSet::new();
        for Bound { tcp, udp } in bound {
            addresses.push(tcp.local_addr().map_err(RelayError::Listen)?);
            tasks.spawn(accept(shared.clone(), door.clone(), tcp, stopped.clone()));
            tasks.spawn(answer_stun(shared.clone(), door.clone(), udp, stopped.clone()));
        }
        tracing::info!(sockets = addresses.len(), tls = shared.tls.is_some(), "relay started");
        Ok(Self { addresses, metrics, stop, tasks })
    }

    /// The addresses that the relay listens on, all with the same port.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// The port, TCP and UDP.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }

    /// How much was carried.
    pub fn counters(&self) -> Counters {
        self.metrics.read()
    }

    /// Tells every member that the relay stops, closes all sockets, and returns when they are closed.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        tracing::info!("relay stopped");
    }
}

impl Drop for RelayServer {
    fn drop(&mut self) {
        // The tasks see it and end by themselves; the set must not cut their goodbyes short.
        let _ = self.stop.send(true);
        self.tasks.detach_all();
    }
}

/// Waits until the relay is to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which comes to the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Who may come in.
struct Door {
    addresses: Mutex<AddressTable>,
    stun: Mutex<TokenBucket>,
    connections: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
}

impl Door {
    fn connect(&self, address: IpAddr) -> Result<(), AddressRefusal> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).connect(address, Instant::now())
    }

    fn release(&self, address: IpAddr) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).release(address);
    }

    fn allow_stun(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        self.stun.lock().unwrap_or_else(PoisonError::into_inner).take(now)
            && self.addresses.lock().unwrap_or_else(PoisonError::into_inner).allow_stun(address, now)
    }
}

/// Gives back an address's place, however the connection's task ends.
struct Place<'a>(&'a Door, IpAddr);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

async fn accept(shared: Arc<Shared>, door: Arc<Door>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let for_connections = stop.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => {
                    shared.metrics.accepted.up();
                    connections.spawn(admit(shared.clone(), door.clone(), tcp, peer, for_connections.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, mostly: trying again at once would spin.
                    tracing::warn!(kind = ?error.kind(), "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP, async { while connections.join_next().await.is_some() {} }).await;
}

async fn admit(shared: Arc<Shared>, door: Arc<Door>, tcp: TcpStream, peer: SocketAddr, stop: watch::Receiver<bool>) {
    let _ = tcp.set_nodelay(true);
    let Some(conn) = connection_id() else { return };
    if shared.record.is_on() && shared.record.write(Kind::Address, conn, peer.to_string().as_bytes()).await.is_err() {
        return;
    }
    let refusal = match door.connect(peer.ip()) {
        Ok(()) => {
            let _place = Place(&door, peer.ip());
            if let Ok(_permit) = door.connections.clone().try_acquire_owned() {
                shared.metrics.open.up();
                connection::serve(&shared, tcp, conn, None, stop).await;
                shared.metrics.open.down();
                return;
            }
            shared.metrics.refused_connections.up();
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(AddressRefusal::TooMany) => {
            shared.metrics.refused_connections.up();
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(AddressRefusal::TooFast) => {
            shared.metrics.refused_rate.up();
            StatusCode::TOO_MANY_REQUESTS
        }
    };
    if let Ok(_permit) = door.turned_away.clone().try_acquire_owned() {
        connection::serve(&shared, tcp, conn, Some(refusal), stop).await;
    }
}

/// 64 random bits, not zero. Two alike among the few that live at a time: one in 2^50 or so, and then the second
/// is refused when it joins.
fn connection_id() -> Option<ConnId> {
    getrandom::u64().ok().filter(|id| *id != 0)
}

async fn answer_stun(shared: Arc<Shared>, door: Arc<Door>, socket: Arc<UdpSocket>, mut stop: watch::Receiver<bool>) {
    let mut buffer = [0; MAX_REQUEST + 1];
    loop {
        let (length, source) = tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(_) => {
                    // Windows reports another's ICMP error here; anything that lasts must not spin.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            },
            () = stopped(&mut stop) => return,
        };
        let Ok(request) = BindingRequest::parse(&buffer[..length]) else {
            shared.metrics.stun_ignored.up();
            continue;
        };
        if !door.allow_stun(source.ip()) {
            shared.metrics.stun_ignored.up();
            continue;
        }
        let answer = request.answer(source);
        let recorded = async {
            shared.record.write(Kind::StunIn, 0, &buffer[..length]).await?;
            shared.record.write(Kind::StunOut, 0, &answer).await
        };
        if recorded.await.is_ok() && socket.send_to(&answer, source).await.is_ok() {
            shared.metrics.stun_answered.up();
        }
    }
}
