//! TURN over TCP and TLS (RFC 8656 section 2.1). The crate `webrtc` speaks it over UDP alone, and the messages are the same: what
//! it sends to such a server as a datagram goes into a stream, and what the stream brings reaches it as a datagram.
//!
//! This happens inside the path's own socket ([`guarded`](super::guarded)): there is no port on loopback that another program
//! could use, and the policy sees the server's real address. Each socket has a stream of its own, because an allocation
//! belongs to one pair of addresses.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

/// Longest message either way, header included: what fits a datagram on any network, and more than media need.
const MAX_MESSAGE: usize = 4096;
/// Messages that may wait for the network. A stream that is stuck must not keep old media: beyond it they are lost, as
/// datagrams would be.
const OUTGOING: usize = 64;
/// Messages that may wait to be read. Past that the stream waits.
const INCOMING: usize = 256;
/// Bytes that the system may keep on the way out, for the same reason.
const SEND_BUFFER: u32 = 64 * 1024;
/// From the first packet to the end of the TLS handshake.
const CONNECT: Duration = Duration::from_secs(8);
/// One message may take this long to leave: a stream that is stuck for longer is given up, and so is one that nobody reads
/// any more.
const WRITE: Duration = Duration::from_secs(5);
/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(1);

/// STUN's header and its fixed value (RFC 8489 section 5).
const STUN_HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
/// ChannelData's header (RFC 8656 section 12.4).
const CHANNEL_HEADER: usize = 4;

/// How a TURN server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnTransport {
    /// Datagrams.
    #[default]
    Udp,
    /// A TCP stream in the clear. (Media in it are encrypted all the same; user name and addresses are not.)
    Tcp,
    /// A TLS stream, whose certificate must be for the server's name.
    Tls(TurnTrust),
}

/// Which certificates a TURN server may show.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnTrust {
    /// Those that chain to a public certificate authority.
    #[default]
    Public,
    /// Those that chain to one of these, and no others.
    Authorities(Arc<Vec<CertificateDer<'static>>>),
}

impl std::fmt::Debug for TurnTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Public { "Public" } else { "Authorities(..)" })
    }
}

/// A stream server that a path may use.
#[derive(Clone)]
pub(super) struct StreamServer {
    host: String,
    /// `None`: in the clear.
    tls: Option<TlsConnector>,
}

impl StreamServer {
    /// `None` for a server that is reached over UDP.
    ///
    /// # Errors
    /// The certificates to trust cannot be used.
    pub(super) fn new(host: &str, transport: &TurnTransport) -> Result<Option<Self>, rustls::Error> {
        let tls = match transport {
            TurnTransport::Udp => return Ok(None),
            TurnTransport::Tcp => None,
            TurnTransport::Tls(trust) => Some(connector(trust)?),
        };
        Ok(Some(Self { host: host.to_owned(), tls }))
    }
}

fn connector(trust: &TurnTrust) -> Result<TlsConnector, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    match trust {
        TurnTrust::Public => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        TurnTrust::Authorities(authorities) => {
            for authority in authorities.iter() {
                roots.add(authority.clone())?;
            }
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        // Debian's coturn (4.6) speaks no 1.3. Of 1.2, rustls has forward secrecy and authenticated ciphers only.
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamFault {
    /// The server's certificate is not trusted, or not for its name.
    Certificate,
    /// No connection, or not in time.
    Unreachable,
    /// It broke, or carried what is not TURN.
    Lost,
}

/// Hears of faults.
pub(super) type OnFault = Arc<dyn Fn(StreamFault) + Send + Sync>;

/// The streams of one socket.
pub(super) struct Streams {
    own: IpAddr,
    runtime: tokio::runtime::Handle,
    on_fault: OnFault,
    open: Mutex<HashMap<SocketAddr, mpsc::Sender<Bytes>>>,
    inlet: mpsc::Sender<(SocketAddr, Bytes)>,
    inbox: Mutex<mpsc::Receiver<(SocketAddr, Bytes)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    /// Streams that begin at this machine's address `own`. Nothing is opened before something is sent.
    pub(super) fn new(own: IpAddr, runtime: tokio::runtime::Handle, on_fault: OnFault) -> Self {
        let (inlet, inbox) = mpsc::channel(INCOMING);
        Self { own, runtime, on_fault, open: Mutex::default(), inlet, inbox: Mutex::new(inbox) }
    }

    /// Puts a datagram for `address` into the stream to it. False if it is no message of TURN's, or there is no room.
    pub(super) fn send(&self, address: SocketAddr, server: &StreamServer, datagram: &[u8]) -> bool {
        let Some(framed) = frame(datagram) else { return false };
        let mut open = lock(&self.open);
        let outgoing = open.entry(address).or_insert_with(|| {
            let (outgoing, to_send) = mpsc::channel(OUTGOING);
            let stream = Stream {
                own: self.own,
                address,
                server: server.clone(),
                inlet: self.inlet.clone(),
                on_fault: Arc::clone(&self.on_fault),
            };
            self.runtime.spawn(stream.run(to_send));
            outgoing
        });
        outgoing.try_send(framed).is_ok()
    }

    /// The next message that a stream brought, and from where.
    pub(super) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<(SocketAddr, Bytes)> {
        // One sender lives here, so that the queue never ends.
        lock(&self.inbox).poll_recv(cx).map(|message| message.unwrap_or((self.nowhere(), Bytes::new())))
    }

    fn nowhere(&self) -> SocketAddr {
        SocketAddr::new(self.own, 0)
    }
}

/// One stream, for as long as its socket lives.
struct Stream {
    own: IpAddr,
    address: SocketAddr,
    server: StreamServer,
    inlet: mpsc::Sender<(SocketAddr, Bytes)>,
    on_fault: OnFault,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Stream {
    async fn run(self, mut outgoing: mpsc::Receiver<Bytes>) {
        // Nothing is opened again before there is something to say.
        while let Some(first) = outgoing.recv().await {
            let fault = match timeout(CONNECT, self.connect()).await {
                Ok(Ok(stream)) => match self.carry(stream, first, &mut outgoing).await {
                    Some(fault) => fault,
                    None => return,
                },
                Ok(Err(fault)) => fault,
                Err(_) => StreamFault::Unreachable,
            };
            tracing::info!(?fault, "no stream to the TURN server");
            (self.on_fault)(fault);
            sleep(AGAIN).await;
            // What waited meanwhile is old.
            while outgoing.try_recv().is_ok() {}
        }
    }

    async fn connect(&self) -> Result<Box<dyn Duplex>, StreamFault> {
        let tcp = self.connect_tcp().await.map_err(|_| StreamFault::Unreachable)?;
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.server.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(self.server.host.clone()).map_err(|_| StreamFault::Certificate)?;
        match tls.connect(name, tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                    Err(StreamFault::Certificate)
                }
                _ => Err(StreamFault::Lost),
            },
        }
    }

    /// From the socket's own address, so that the stream takes the way that the datagrams would.
    async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(SocketAddr::new(self.own, 0))?;
        socket.connect(self.address).await
    }

    /// Carries messages both ways until the stream breaks, or until nobody wants it any more (`None`).
    async fn carry(
        &self,
        stream: Box<dyn Duplex>,
        first: Bytes,
        outgoing: &mut mpsc::Receiver<Bytes>,
    ) -> Option<StreamFault> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let write = async {
            let mut next = first;
            loop {
                let written = timeout(WRITE, async {
                    writer.write_all(&next).await?;
                    writer.flush().await
                });
                if !matches!(written.await, Ok(Ok(()))) {
                    return Some(StreamFault::Lost);
                }
                match outgoing.recv().await {
                    Some(message) => next = message,
                    None => return None,
                }
            }
        };
        let read = async {
            let mut buffer = BytesMut::with_capacity(2 * MAX_MESSAGE);
            loop {
                loop {
                    match unframe(&mut buffer) {
                        Ok(Some(message)) => {
                            if self.inlet.send((self.address, message)).await.is_err() {
                                return None;
                            }
                        }
                        Ok(None) => break,
                        Err(NotTurn) => return Some(StreamFault::Lost),
                    }
                }
                match reader.read_buf(&mut buffer).await {
                    Ok(1..) => {}
                    _ => return Some(StreamFault::Lost),
                }
            }
        };
        tokio::select! {
            end = write => end,
            end = read => end,
        }
    }
}

/// The stream carries something else than TURN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTurn;

/// Length of the message that begins with `head`, and the bytes that follow it in a stream as padding.
fn extent(head: &[u8]) -> Result<(usize, usize), NotTurn> {
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (message, padding) = match head[0] >> 6 {
        // RFC 8489 section 5: attributes are padded, so the length is a multiple of four.
        0 if length.is_multiple_of(4) => (STUN_HEADER + length, 0),
        // RFC 8656 section 12.5: padded in a stream, and the length does not count it. Channels are 0x4000 to 0x4FFF.
        1 if head[0] < 0x50 => (CHANNEL_HEADER + length, (4 - length % 4) % 4),
        _ => return Err(NotTurn),
    };
    if message > MAX_MESSAGE { Err(NotTurn) } else { Ok((message, padding)) }
}

fn is_stun(head: &[u8]) -> bool {
    head[0] >> 6 == 0
}

/// A datagram as it goes into a stream; `None` if it is no message of TURN's.
pub fn frame(datagram: &[u8]) -> Option<Bytes> {
    if datagram.len() < CHANNEL_HEADER {
        return None;
    }
    let (length, padding) = extent(datagram).ok()?;
    // Over UDP, ChannelData may be padded or not.
    let whole =
        if is_stun(datagram) { datagram.len() == length } else { (length..length + 4).contains(&datagram.len()) };
    if !whole || is_stun(datagram) && datagram[4..8] != MAGIC_COOKIE {
        return None;
    }
    let mut framed = Vec::with_capacity(length + padding);
    framed.extend_from_slice(&datagram[..length]);
    framed.resize(length + padding, 0);
    Some(framed.into())
}

/// The next message of a stream, as a datagram would bring it; `Ok(None)` if it is not all there yet.
///
/// # Errors
/// [`NotTurn`]: the stream is of no use any more.
pub fn unframe(buffer: &mut BytesMut) -> Result<Option<Bytes>, NotTurn> {
    if buffer.len() < CHANNEL_HEADER {
        return Ok(None);
    }
    let (length, padding) = extent(buffer)?;
    if is_stun(buffer) && buffer.len() >= 8 && buffer[4..8] != MAGIC_COOKIE {
        return Err(NotTurn);
    }
    if buffer.len() < length + padding {
        return Ok(None);
    }
    let message = buffer.split_to(length).freeze();
    buffer.advance(padding);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stun(length: u16) -> Vec<u8> {
        let mut message = vec![0, 3];
        message.extend(length.to_be_bytes());
        message.extend(MAGIC_COOKIE);
        message.extend([9; 12]);
        message.resize(STUN_HEADER + usize::from(length), 7);
        message
    }

    fn channel(number: u16, data: &[u8]) -> Vec<u8> {
        let mut message = number.to_be_bytes().to_vec();
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
        message
    }

    #[test]
    fn channel_data_is_padded_in_a_stream_and_nowhere_else() {
        let framed = frame(&channel(0x4001, b"media")).unwrap();
        assert_eq!(framed.len(), 12);
        assert_eq!(framed[9..], [0; 3]);
        let mut padded = channel(0x4001, b"media");
        padded.extend([1, 2, 3]);
        assert_eq!(frame(&padded).unwrap(), framed, "what a datagram is padded with does not travel");
        let mut stream = BytesMut::from(&framed[..]);
        assert_eq!(unframe(&mut stream), Ok(Some(channel(0x4001, b"media").into())));
        assert!(stream.is_empty());
        assert_eq!(frame(&stun(8)).unwrap(), stun(8));
    }

    #[test]
    fn what_is_not_turn_goes_neither_way() {
        let mut cookie = stun(8);
        cookie[5] ^= 1;
        let mut long = stun(8);
        long.push(0);
        let bad = [
            vec![],
            vec![0, 1, 0],
            cookie.clone(),
            long,
            stun(6),
            channel(0x5000, b"x"),
            vec![0x80; 40],
            vec![0x16, 3, 1, 0],
        ];
        for datagram in &bad {
            assert_eq!(frame(datagram), None, "{datagram:?}");
        }
        for start in [
            cookie,
            vec![0x80; 4],
            vec![0x50, 0, 0, 4],
            vec![0, 1, 0xff, 0xfc],
            vec![0x40, 0, 0xff, 0xff],
            b"HTTP".to_vec(),
        ] {
            assert_eq!(unframe(&mut BytesMut::from(&start[..])), Err(NotTurn), "{start:?}");
        }
    }

    #[test]
    fn a_bad_authority_is_no_authority() {
        let trust = TurnTrust::Authorities(Arc::new(vec![CertificateDer::from(vec![1, 2, 3])]));
        assert!(StreamServer::new("turn.example", &TurnTransport::Tls(trust)).is_err());
        assert!(StreamServer::new("turn.example", &TurnTransport::Udp).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn messages_come_out_of_a_stream_as_they_went_in_however_it_is_cut(
            sizes in proptest::collection::vec((any::<bool>(), 0usize..1500), 1..20),
            cut in 1usize..700,
        ) {
            let messages: Vec<Vec<u8>> = sizes
                .iter()
                .map(|(is_stun, size)| if *is_stun { stun((size / 4 * 4) as u16) } else { channel(0x4fff, &vec![5; *size]) })
                .collect();
            let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message).unwrap()).collect();
            let (mut buffer, mut out) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(message) = unframe(&mut buffer).unwrap() {
                    out.push(message.to_vec());
                }
                prop_assert!(buffer.len() <= MAX_MESSAGE + 3);
            }
            prop_assert_eq!(out, messages);
        }

        #[test]
        fn nothing_that_a_server_sends_is_kept_without_bound(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(message)) = unframe(&mut buffer) {
                prop_assert!(message.len() <= MAX_MESSAGE);
            }
        }
    }
}
