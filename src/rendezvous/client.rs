//! A member's connection to a relay: finds the first address that answers, joins the room, comes back after a loss.
//!
//! The relay promises no delivery, and neither does the client: what is sent while the connection is down is gone.
//! The reliable link in [`protocol`](crate::protocol) sends again when it hears [`RelayEvent::Up`].

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::http::{StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frames::{ClientFrame, ConnId, EVERYONE, MAX_FRAME, MAX_PAYLOAD, RefusedCode, RoomId, ServerFrame, VERSION};
use super::local::still_stands;

/// Most targets that are tried, and most socket addresses that they may stand for.
const MAX_TARGETS: usize = 16;
const MAX_ADDRESSES: usize = 32;
/// Payloads that wait to be sent, and events that wait to be read.
const OUTGOING: usize = 256;
const EVENTS: usize = 1024;
/// One attempt is started this long after the one before (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);
/// For names, and for one attempt from TCP to the WebSocket.
const RESOLVE: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(8);
/// Until Joined comes.
const JOIN: Duration = Duration::from_secs(5);
/// The client pings this often, and gives up on a connection from which nothing came for so long.
const PING: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(25);
/// A race is not begun anew sooner than this.
const RACE: Duration = Duration::from_millis(500);
/// After [`RelayClient::hurry`] the relay has this long to answer a ping.
const PROBE: Duration = Duration::from_secs(2);
/// One write may block this long.
const WRITE: Duration = Duration::from_secs(15);
/// Waits between attempts: doubling from the first to the last, each with jitter.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_LAST: Duration = Duration::from_secs(8);
/// A connection that lasted this long starts the waits anew.
const STABLE: Duration = Duration::from_secs(10);

/// Which certificates a `wss://` relay may show.
#[derive(Clone)]
#[non_exhaustive]
pub enum TlsTrust {
    /// Those that chain to a public certificate authority.
    #[cfg(feature = "client")]
    Public,
    /// These, or those that they signed, and no others.
    Certificates(Vec<CertificateDer<'static>>),
}

/// Says whether an address may be connected to.
pub type AddressGuard = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayClientError {
    /// No target was given.
    #[error("no relay address")]
    NoTarget,
    /// A target is not `ws://host[:port]/v1` or `wss://host[:port]/v1`.
    #[error("not a relay address")]
    BadAddress,
    /// The name of no target could be resolved.
    #[error("the relay's name is not known")]
    UnknownName,
    /// Nothing listens at any address.
    #[error("nothing answers at the relay's address")]
    ConnectionRefused,
    /// No way leads to any address, or nothing came back in time.
    #[error("the relay cannot be reached")]
    Unreachable,
    /// The relay's certificate is not one that is trusted, or the other side speaks no TLS.
    #[error("the relay's certificate is not trusted")]
    Certificate,
    /// Something answers, but it is no relay.
    #[error("what answers there is not a relay")]
    NotARelay,
    /// The relay closed the connection and said why.
    #[error("refused: {0}")]
    Refused(RefusedCode),
    /// The connection broke.
    #[error("the connection to the relay broke")]
    Lost,
    /// The relay broke the protocol.
    #[error("the relay sent what is not in its protocol")]
    Protocol,
    /// The relay is known, and none of its addresses may be connected to.
    #[error("none of the relay's addresses may be used")]
    Forbidden,
    /// The given certificates cannot be used.
    #[error("the certificates to trust cannot be used")]
    BadTrust,
}

impl RelayClientError {
    /// Whether trying again can't help.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::NoTarget | Self::BadAddress | Self::BadTrust | Self::Forbidden | Self::Refused(RefusedCode::Version)
        )
    }

    /// How much an error tells a person, to report one of several attempts.
    fn weight(&self) -> u8 {
        match self {
            Self::Refused(_) => 6,
            Self::Certificate => 5,
            Self::NotARelay => 4,
            Self::Lost | Self::Protocol => 3,
            Self::ConnectionRefused => 2,
            Self::Unreachable => 1,
            _ => 0,
        }
    }
}

/// What a member hears from its relay.
#[derive(Clone, PartialEq, Eq)]
pub enum RelayEvent {
    /// Joined, for the first time or again.
    Up {
        /// The target that answered first.
        url: String,
        /// The id of this connection, a new one each time.
        you: ConnId,
        /// Who else is in the room.
        others: Vec<ConnId>,
    },
    /// Another member's payload.
    From {
        /// Who sent it, as the relay says.
        from: ConnId,
        /// The bytes.
        payload: Bytes,
    },
    /// Someone joined the room.
    Arrived(ConnId),
    /// Someone's connection ended.
    Left(ConnId),
    /// The connection broke, or an attempt failed. Another attempt follows.
    Down {
        /// Why.
        why: RelayClientError,
    },
    /// No further attempt follows: it couldn't help.
    GaveUp {
        /// Why.
        why: RelayClientError,
    },
}

// Addresses and payloads belong in no log.
impl std::fmt::Debug for RelayEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Up { others, .. } => write!(f, "Up({} others)", others.len()),
            Self::From { payload, .. } => write!(f, "From({} bytes)", payload.len()),
            Self::Arrived(_) => f.write_str("Arrived"),
            Self::Left(_) => f.write_str("Left"),
            Self::Down { why } => write!(f, "Down({why:?})"),
            Self::GaveUp { why } => write!(f, "GaveUp({why:?})"),
        }
    }
}

/// Why a payload was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It is empty or longer than [`MAX_PAYLOAD`].
    #[error("a payload of {0} bytes cannot be sent")]
    Size(usize),
    /// Too many payloads wait already.
    #[error("too many messages wait to be sent")]
    Full,
    /// The client gave up or its events are no longer read.
    #[error("the relay client has ended")]
    Ended,
}

/// A member's end of the connection. Dropping it closes the connection.
pub struct RelayClient {
    outgoing: mpsc::Sender<(ConnId, Bytes)>,
    hurry: Arc<Notify>,
}

impl RelayClient {
    /// Starts to connect, on the current tokio runtime. `targets` are URLs, `ws://host[:port]/v1` or `wss://…`, of
    /// one and the same relay; the first that answers is taken, attempts being started 250 ms apart in the order
    /// given, IPv6 and IPv4 in turn (RFC 8305).
    pub fn connect(targets: Vec<String>, room: RoomId, trust: TlsTrust) -> (Self, mpsc::Receiver<RelayEvent>) {
        Self::connect_guarded(targets, room, trust, Arc::new(|_| true))
    }

    /// The same, to addresses alone that `guard` allows. If the targets stand for none of these, nothing is contacted, and
    /// the client gives up with [`RelayClientError::Forbidden`].
    pub fn connect_guarded(
        targets: Vec<String>,
        room: RoomId,
        trust: TlsTrust,
        guard: AddressGuard,
    ) -> (Self, mpsc::Receiver<RelayEvent>) {
        let (outgoing, to_send) = mpsc::channel(OUTGOING);
        let (events, receiver) = mpsc::channel(EVENTS);
        let hurry = Arc::<Notify>::default();
        let driver = Driver { room, outgoing: to_send, events, hurry: hurry.clone(), guard };
        tokio::spawn(driver.run(targets, trust));
        (Self { outgoing, hurry }, receiver)
    }

    /// Queues a payload for one member, or with `None` for everyone else in the room. Never waits.
    ///
    /// # Errors
    /// [`SendError`]. Without one the payload may still be lost, as everything that a relay carries.
    pub fn send(&self, to: Option<ConnId>, payload: Vec<u8>) -> Result<(), SendError> {
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            return Err(SendError::Size(payload.len()));
        }
        self.outgoing.try_send((to.unwrap_or(EVERYONE), payload.into())).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Ended,
        })
    }

    /// The network has changed. A connection whose own address is gone, or from which nothing comes within two seconds, is
    /// given up for another; one that is being sought is sought at once instead of at the end of the wait.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }
}

/// A parsed target.
#[derive(Clone)]
struct Target {
    url: String,
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

impl Target {
    fn parse(url: &str) -> Result<Self, RelayClientError> {
        let uri: Uri = url.parse().map_err(|_| RelayClientError::BadAddress)?;
        let tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(RelayClientError::BadAddress),
        };
        let authority = uri.authority().ok_or(RelayClientError::BadAddress)?;
        if authority.as_str().contains('@') {
            return Err(RelayClientError::BadAddress);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(RelayClientError::BadAddress);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            // "host:99999" has a port that doesn't parse.
            None if authority.as_str().len() > authority.host().len() => return Err(RelayClientError::BadAddress),
            None if tls => 443,
            None => 80,
        };
        Ok(Self { url: url.to_owned(), uri, host, port, tls })
    }
}

/// IPv6 and IPv4 in turn, each in the order given (RFC 8305 §4).
fn interleave(addresses: Vec<(usize, SocketAddr)>) -> VecDeque<(usize, SocketAddr)> {
    let (mut v6, mut v4): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|(_, address)| address.is_ipv6());
    let mut out = VecDeque::new();
    while !(v6.is_empty() && v4.is_empty()) {
        out.extend(v6.pop_front());
        out.extend(v4.pop_front());
    }
    out.truncate(MAX_ADDRESSES);
    out
}

fn tls_connector(trust: &TlsTrust) -> Result<TlsConnector, RelayClientError> {
    let mut roots = rustls::RootCertStore::empty();
    match trust {
        #[cfg(feature = "client")]
        TlsTrust::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        TlsTrust::Certificates(certificates) => {
            for certificate in certificates {
                roots.add(certificate.clone()).map_err(|_| RelayClientError::BadTrust)?;
            }
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| RelayClientError::BadTrust)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// TCP with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}
type Socket = WebSocketStream<Box<dyn Stream>>;

/// The socket, and this machine's end of it.
type Opened = (Socket, Option<IpAddr>);

async fn attempt(target: &Target, address: SocketAddr, tls: &TlsConnector) -> Result<Opened, RelayClientError> {
    let tcp = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => RelayClientError::ConnectionRefused,
        _ => RelayClientError::Unreachable,
    })?;
    let _ = tcp.set_nodelay(true);
    let own = tcp.local_addr().ok().map(|own| own.ip().to_canonical());
    let stream: Box<dyn Stream> = if target.tls {
        let name = ServerName::try_from(target.host.clone()).map_err(|_| RelayClientError::BadAddress)?;
        let connected = tls.connect(name, tcp).await;
        Box::new(connected.map_err(|error| {
            let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
            if is_tls { RelayClientError::Certificate } else { RelayClientError::Lost }
        })?)
    } else {
        Box::new(tcp)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_FRAME)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    match tokio_tungstenite::client_async_with_config(target.uri.clone(), stream, Some(config)).await {
        Ok((socket, _)) => Ok((socket, own)),
        Err(Error::Http(response)) => Err(match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => RelayClientError::Refused(RefusedCode::TooManyConnections),
            StatusCode::TOO_MANY_REQUESTS => RelayClientError::Refused(RefusedCode::TooFast),
            _ => RelayClientError::NotARelay,
        }),
        Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed) => Err(RelayClientError::Lost),
        Err(_) => Err(RelayClientError::NotARelay),
    }
}

/// Resolves all targets and races the attempts to what the guard allows; the first open WebSocket wins.
async fn race(
    targets: &[Target],
    tls: &TlsConnector,
    guard: &AddressGuard,
) -> Result<(Opened, String), RelayClientError> {
    let lookups = targets.iter().enumerate().map(|(index, target)| async move {
        let found = timeout(RESOLVE, tokio::net::lookup_host((target.host.as_str(), target.port))).await;
        let found = found.ok().and_then(Result::ok).into_iter().flatten();
        found.map(|address| (index, address)).collect::<Vec<_>>()
    });
    let found: Vec<_> = futures_util::future::join_all(lookups).await.into_iter().flatten().collect();
    if found.is_empty() {
        return Err(RelayClientError::UnknownName);
    }
    let mut waiting = interleave(found.into_iter().filter(|(_, address)| guard(address.ip().to_canonical())).collect());
    if waiting.is_empty() {
        return Err(RelayClientError::Forbidden);
    }
    let mut running = FuturesUnordered::new();
    let mut worst = RelayClientError::Unreachable;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = sleep_until(next), if !waiting.is_empty() => {
                if let Some((index, address)) = waiting.pop_front() {
                    let target = &targets[index];
                    running.push(async move { (target, timeout(ATTEMPT, attempt(target, address, tls)).await) });
                    next = Instant::now() + STAGGER;
                }
            }
            Some((target, outcome)) = running.next() => match outcome.unwrap_or(Err(RelayClientError::Unreachable)) {
                Ok(socket) => return Ok((socket, target.url.clone())),
                Err(error) => {
                    if error.weight() > worst.weight() {
                        worst = error;
                    }
                    next = Instant::now();
                }
            },
            else => return Err(worst),
        }
    }
}

/// Waits between attempts.
struct Backoff(Duration);

impl Backoff {
    /// The next wait: half of it is certain, half is chance, so that members do not return all at once.
    fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(BACKOFF_LAST);
        let chance = getrandom::u32().unwrap_or(u32::MAX);
        wait / 2 + (wait / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    fn reset(&mut self) {
        self.0 = BACKOFF_FIRST;
    }
}

/// Why a connection's loop ended.
enum Stop {
    /// The connection; another attempt may follow.
    Down(RelayClientError),
    /// The network under the connection is gone: another attempt follows at once.
    Moved,
    /// Nobody wants it any more.
    Dropped,
}

impl From<RelayClientError> for Stop {
    fn from(why: RelayClientError) -> Self {
        Self::Down(why)
    }
}

struct Driver {
    room: RoomId,
    outgoing: mpsc::Receiver<(ConnId, Bytes)>,
    events: mpsc::Sender<RelayEvent>,
    hurry: Arc<Notify>,
    guard: AddressGuard,
}

impl Driver {
    async fn emit(&self, event: RelayEvent) -> Result<(), Stop> {
        self.events.send(event).await.map_err(|_| Stop::Dropped)
    }

    async fn run(mut self, targets: Vec<String>, trust: TlsTrust) {
        let prepared = targets.iter().take(MAX_TARGETS).map(|url| Target::parse(url)).collect::<Result<Vec<_>, _>>();
        let prepared = match prepared {
            Ok(targets) if targets.is_empty() => Err(RelayClientError::NoTarget),
            Ok(targets) => tls_connector(&trust).map(|tls| (targets, tls)),
            Err(error) => Err(error),
        };
        let (targets, tls) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                let _ = self.emit(RelayEvent::GaveUp { why }).await;
                return;
            }
        };
        let mut backoff = Backoff(BACKOFF_FIRST);
        loop {
            let started = Instant::now();
            let Err(stop) = self.session(&targets, &tls).await;
            let why = match stop {
                Stop::Dropped => return,
                Stop::Down(why) => why,
                Stop::Moved => {
                    backoff.reset();
                    RelayClientError::Lost
                }
            };
            tracing::debug!(?why, "relay connection is down");
            if why.is_final() {
                let _ = self.emit(RelayEvent::GaveUp { why }).await;
                return;
            }
            if self.emit(RelayEvent::Down { why }).await.is_err() {
                return;
            }
            if started.elapsed() > STABLE {
                backoff.reset();
            }
            let hurry = self.hurry.clone();
            let until = Instant::now() + backoff.next();
            loop {
                tokio::select! {
                    () = sleep_until(until) => break,
                    () = hurry.notified() => { backoff.reset(); break }
                    () = self.events.closed() => return,
                    // Nothing is kept for later: ids change, and the link above sends again.
                    sent = self.outgoing.recv() => if sent.is_none() { return },
                }
            }
        }
    }

    /// One connection, from the race to its end.
    async fn session(&mut self, targets: &[Target], tls: &TlsConnector) -> Result<std::convert::Infallible, Stop> {
        let ((socket, own), url) = {
            let events = self.events.clone();
            let (guard, hurry) = (self.guard.clone(), self.hurry.clone());
            let mut raced = std::pin::pin!(race(targets, tls, &guard));
            let mut began = Instant::now();
            loop {
                tokio::select! {
                    won = &mut raced => break won?,
                    // Attempts that began on the network of before would wait for their whole time.
                    () = hurry.notified() => if began.elapsed() >= RACE {
                        raced.set(race(targets, tls, &guard));
                        began = Instant::now();
                    },
                    () = events.closed() => return Err(Stop::Dropped),
                    sent = self.outgoing.recv() => if sent.is_none() { return Err(Stop::Dropped) },
                }
            }
        };
        let (mut sink, mut stream) = socket.split();
        let join = ClientFrame::Join { version: VERSION, room: self.room }.encode();
        let joined = timeout(JOIN, async {
            sink.send(Message::Binary(join)).await.map_err(|_| RelayClientError::Lost)?;
            match next_frame(&mut stream).await? {
                Some(ServerFrame::Joined { you, others }) => Ok((you, others)),
                Some(ServerFrame::Refused(code)) => Err(RelayClientError::Refused(code)),
                _ => Err(RelayClientError::Protocol),
            }
        });
        let (you, others) = joined.await.map_err(|_| RelayClientError::Lost)??;
        // What was queued for a connection that is gone is gone with it.
        while self.outgoing.try_recv().is_ok() {}
        self.emit(RelayEvent::Up { url, you, others }).await?;

        let Self { outgoing, events, hurry, .. } = self;
        let (pinged, (heard, last)) = (Notify::new(), watch::channel(Instant::now()));
        let read = async {
            loop {
                let frame = next_frame(&mut stream).await?;
                heard.send_replace(Instant::now());
                let Some(frame) = frame else { continue };
                let event = match frame {
                    ServerFrame::From { from, payload } => RelayEvent::From { from, payload },
                    ServerFrame::Arrived(id) => RelayEvent::Arrived(id),
                    ServerFrame::Left(id) => RelayEvent::Left(id),
                    ServerFrame::Refused(code) => return Err(RelayClientError::Refused(code).into()),
                    ServerFrame::Joined { .. } => return Err(RelayClientError::Protocol.into()),
                };
                events.send(event).await.map_err(|_| Stop::Dropped)?;
            }
        };
        let listen = async {
            loop {
                sleep(PING).await;
                if last.borrow().elapsed() >= SILENCE {
                    return Err(Stop::Down(RelayClientError::Lost));
                }
                pinged.notify_one();
            }
        };
        // The network has changed: whether this connection still stands, its own address tells, or an answer.
        let probe = async {
            loop {
                hurry.notified().await;
                let asked = Instant::now();
                pinged.notify_one();
                loop {
                    if !still_stands(own) {
                        return Err(Stop::Moved);
                    }
                    tokio::select! {
                        () = sleep_until(asked + PROBE) => break,
                        () = hurry.notified() => {}
                    }
                }
                if *last.borrow() < asked {
                    return Err(Stop::Moved);
                }
            }
        };
        let write = async {
            loop {
                let message = tokio::select! {
                    sent = outgoing.recv() => match sent {
                        Some((to, payload)) => Message::Binary(ClientFrame::Send { to, payload }.encode()),
                        None => {
                            let _ = timeout(JOIN, sink.close()).await;
                            return Err(Stop::Dropped);
                        }
                    },
                    () = pinged.notified() => Message::Ping(Bytes::new()),
                };
                match timeout(WRITE, sink.send(message)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => {
                        // The relay may have said why before it closed: let the reader have a moment to find it.
                        sleep(Duration::from_secs(1)).await;
                        return Err(Stop::Down(RelayClientError::Lost));
                    }
                }
            }
        };
        tokio::select! {
            end = read => end,
            end = write => end,
            end = listen => end,
            end = probe => end,
            () = events.closed() => Err(Stop::Dropped),
        }
    }
}

/// The next frame; `None` for pings and pongs.
async fn next_frame<S>(stream: &mut S) -> Result<Option<ServerFrame>, RelayClientError>
where
    S: futures_util::Stream<Item = Result<Message, Error>> + Unpin,
{
    match stream.next().await {
        Some(Ok(Message::Binary(bytes))) => {
            ServerFrame::parse(&bytes).map(Some).map_err(|_| RelayClientError::Protocol)
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(
            Ok(Message::Text(_) | Message::Frame(_)) | Err(Error::Capacity(_) | Error::Protocol(_) | Error::Utf8(_)),
        ) => Err(RelayClientError::Protocol),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(RelayClientError::Lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_urls_of_relays_and_nothing_else() {
        let of = |url: &str| Target::parse(url).map(|t| (t.host, t.port, t.tls));
        assert_eq!(of("ws://192.0.2.1:7770/v1"), Ok(("192.0.2.1".into(), 7770, false)));
        assert_eq!(of("wss://relay.example/v1"), Ok(("relay.example".into(), 443, true)));
        assert_eq!(of("ws://[2001:db8::1]:7770/v1"), Ok(("2001:db8::1".into(), 7770, false)));
        for bad in ["", "relay.example", "http://relay.example/v1", "ws://user@relay.example/v1", "ws://h:99999/v1"] {
            assert_eq!(of(bad), Err(RelayClientError::BadAddress), "{bad}");
        }
    }

    #[test]
    fn families_take_turns() {
        let v4 = |n| SocketAddr::from(([192, 0, 2, n], 1));
        let v6: SocketAddr = "[2001:db8::1]:1".parse().unwrap();
        let order: Vec<_> = interleave(vec![(0, v4(1)), (1, v4(2)), (2, v6)]).into_iter().map(|(i, _)| i).collect();
        assert_eq!(order, [2, 0, 1]);
        assert_eq!(interleave(vec![(0, v6); 100]).len(), MAX_ADDRESSES);
    }

    #[test]
    fn waits_double_up_to_the_last_and_never_leave_their_bounds() {
        let mut backoff = Backoff(BACKOFF_FIRST);
        for most in [250, 500, 1000, 2000, 4000, 8000, 8000, 8000] {
            let wait = backoff.next().as_millis();
            assert!((most / 2..=most).contains(&wait), "{wait} of {most}");
        }
        backoff.reset();
        assert!(backoff.next() <= BACKOFF_FIRST);
    }

    #[tokio::test]
    async fn an_address_outside_the_guard_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let target = format!("ws://{}/v1", listener.local_addr().unwrap());
        let trust = TlsTrust::Certificates(Vec::new());
        let guard: AddressGuard = Arc::new(|ip| ip != IpAddr::from([127, 0, 0, 1]));
        let (_client, mut events) = RelayClient::connect_guarded(vec![target], [0; 32], trust, guard);
        assert_eq!(events.recv().await, Some(RelayEvent::GaveUp { why: RelayClientError::Forbidden }));
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody came");
    }

    #[tokio::test]
    async fn what_cannot_work_is_given_up_at_once() {
        let trust = TlsTrust::Certificates(Vec::new());
        for (targets, why) in [
            (vec![], RelayClientError::NoTarget),
            (vec!["https://relay.example".to_owned()], RelayClientError::BadAddress),
        ] {
            let (client, mut events) = RelayClient::connect(targets, [0; 32], trust.clone());
            assert_eq!(events.recv().await, Some(RelayEvent::GaveUp { why }));
            assert_eq!(events.recv().await, None);
            assert_eq!(client.send(None, vec![1]), Err(SendError::Ended));
        }
    }
}
