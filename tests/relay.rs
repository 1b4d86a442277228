//! A real relay on loopback, real clients and real troublemakers.
#![cfg(feature = "relay")]
// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use conclave::relay::{Limits, Rate, RelayConfig, RelayError, RelayServer, TlsFiles};
use conclave::rendezvous::client::{RelayClient, RelayClientError, RelayEvent, TlsTrust};
use conclave::rendezvous::frames::{ClientFrame, MAX_FRAME, MAX_PAYLOAD, RefusedCode, ServerFrame, VERSION};
use conclave::rendezvous::local::LocalRelay;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Far longer than anything here takes; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const ROOM: [u8; 32] = [1; 32];
const OTHER_ROOM: [u8; 32] = [2; 32];

type Raw = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it happens in time")
}

async fn relay_with(change: impl FnOnce(&mut Limits)) -> RelayServer {
    let mut config = RelayConfig::loopback();
    change(&mut config.limits);
    RelayServer::start(config).await.unwrap()
}

async fn relay() -> RelayServer {
    relay_with(|_| {}).await
}

fn url(relay: &RelayServer) -> String {
    format!("ws://127.0.0.1:{}/v1", relay.port())
}

fn no_tls() -> TlsTrust {
    TlsTrust::Certificates(Vec::new())
}

struct Member {
    client: RelayClient,
    events: Receiver<RelayEvent>,
    id: u64,
    others: Vec<u64>,
}

impl Member {
    async fn join(url: String, room: [u8; 32]) -> Self {
        Self::join_trusting(url, room, no_tls()).await
    }

    async fn join_trusting(url: String, room: [u8; 32], trust: TlsTrust) -> Self {
        let (client, mut events) = RelayClient::connect(vec![url], room, trust);
        match soon(events.recv()).await {
            Some(RelayEvent::Up { you, others, .. }) => Self { client, events, id: you, others },
            other => panic!("not up but {other:?}"),
        }
    }

    async fn next(&mut self) -> RelayEvent {
        soon(self.events.recv()).await.expect("the client lives")
    }

    /// The next payload and whom it came from; other events are passed over.
    async fn payload(&mut self) -> (u64, Vec<u8>) {
        loop {
            if let RelayEvent::From { from, payload } = self.next().await {
                return (from, payload.to_vec());
            }
        }
    }
}

/// A WebSocket without the client's manners.
async fn raw(url: &str) -> Raw {
    soon(tokio_tungstenite::connect_async(url)).await.expect("the relay accepts").0
}

async fn raw_joined(url: &str, room: [u8; 32]) -> Raw {
    let mut socket = raw(url).await;
    socket.send(Message::Binary(ClientFrame::Join { version: VERSION, room }.encode())).await.unwrap();
    assert!(matches!(frame(&mut socket).await, Some(ServerFrame::Joined { .. })));
    socket
}

/// The next frame; `None` when the relay has closed.
async fn frame(socket: &mut Raw) -> Option<ServerFrame> {
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Binary(bytes))) => return Some(ServerFrame::parse(&bytes).expect("relays send frames")),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

async fn refused(socket: &mut Raw) -> Option<RefusedCode> {
    loop {
        match frame(socket).await {
            Some(ServerFrame::Refused(code)) => return Some(code),
            Some(_) => {}
            None => return None,
        }
    }
}

/// Proof of life: two members meet in a fresh room and one hears the other.
async fn lives(url: String) {
    let mut a = Member::join(url.clone(), [99; 32]).await;
    let b = Member::join(url, [99; 32]).await;
    b.client.send(None, b"still there?".to_vec()).unwrap();
    assert_eq!(a.payload().await, (b.id, b"still there?".to_vec()));
}

#[tokio::test]
async fn messages_reach_the_named_member_in_order_and_nobody_else() {
    let relay = relay().await;
    let mut a = Member::join(url(&relay), ROOM).await;
    let mut b = Member::join(url(&relay), ROOM).await;
    let mut c = Member::join(url(&relay), ROOM).await;
    let mut stranger = Member::join(url(&relay), OTHER_ROOM).await;
    assert_eq!((a.others.len(), b.others.clone(), c.others.clone()), (0, vec![a.id], vec![a.id, b.id]));
    assert!(stranger.others.is_empty());
    assert_eq!(a.next().await, RelayEvent::Arrived(b.id));
    assert_eq!(a.next().await, RelayEvent::Arrived(c.id));

    for n in 0..200u8 {
        a.client.send(Some(b.id), vec![n; 1 + usize::from(n)]).unwrap();
    }
    for n in 0..200u8 {
        assert_eq!(b.payload().await, (a.id, vec![n; 1 + usize::from(n)]));
    }
    // To an id of another room: nobody gets it.
    a.client.send(Some(stranger.id), b"not for you".to_vec()).unwrap();
    a.client.send(None, b"everyone".to_vec()).unwrap();
    assert_eq!(b.payload().await, (a.id, b"everyone".to_vec()));
    assert_eq!(c.payload().await, (a.id, b"everyone".to_vec()), "c heard none of what went to b");
    // The first thing that the stranger hears comes from its own room.
    let friend = Member::join(url(&relay), OTHER_ROOM).await;
    assert_eq!(stranger.next().await, RelayEvent::Arrived(friend.id));

    let gone = c.id;
    drop(c);
    loop {
        match b.next().await {
            RelayEvent::Left(id) => break assert_eq!(id, gone),
            RelayEvent::Arrived(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let counters = relay.counters();
    assert_eq!((counters.messages_in, counters.messages_out, counters.undeliverable), (202, 202, 1));
    assert_eq!((counters.rooms, counters.members), (2, 4));
}

#[tokio::test]
async fn the_largest_payload_passes_and_a_larger_one_is_refused() {
    let relay = relay().await;
    let mut a = Member::join(url(&relay), ROOM).await;
    let b = Member::join(url(&relay), ROOM).await;
    b.client.send(Some(a.id), vec![7; MAX_PAYLOAD]).unwrap();
    assert_eq!(a.payload().await.1.len(), MAX_PAYLOAD);
    assert!(b.client.send(None, vec![7; MAX_PAYLOAD + 1]).is_err(), "the client doesn't even try");

    let mut rude = raw_joined(&url(&relay), ROOM).await;
    let _ = rude.send(Message::Binary(vec![2; MAX_FRAME + 1].into())).await;
    assert_eq!(refused(&mut rude).await, Some(RefusedCode::TooLarge));
    assert_eq!(relay.counters().too_large, 1);
    lives(url(&relay)).await;
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection_with_a_reason() {
    let relay = relay().await;
    let join = ClientFrame::Join { version: VERSION, room: ROOM }.encode();
    let cases: [(Message, RefusedCode); 6] = [
        (Message::Text("hello".into()), RefusedCode::Malformed),
        (Message::Binary(vec![].into()), RefusedCode::Malformed),
        (Message::Binary(vec![0xFF; 50].into()), RefusedCode::Malformed),
        (Message::Binary(vec![1, 1, 5].into()), RefusedCode::Malformed),
        (Message::Binary(vec![1, 2].into()), RefusedCode::Version),
        (Message::Binary(ClientFrame::Send { to: 0, payload: vec![1].into() }.encode()), RefusedCode::Malformed),
    ];
    for (message, code) in cases {
        let mut socket = raw(&url(&relay)).await;
        socket.send(message).await.unwrap();
        assert_eq!(frame(&mut socket).await, Some(ServerFrame::Refused(code)));
        assert_eq!(frame(&mut socket).await, None);
    }
    let mut twice = raw_joined(&url(&relay), ROOM).await;
    twice.send(Message::Binary(join)).await.unwrap();
    assert_eq!(refused(&mut twice).await, Some(RefusedCode::Malformed));
    lives(url(&relay)).await;
}

#[tokio::test]
async fn who_does_not_finish_the_handshake_is_dropped() {
    let relay = relay_with(|limits| limits.handshake = Duration::from_millis(300)).await;
    let address = relay.addresses()[0];
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /v1 HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let mut without_join = raw(&url(&relay)).await;
    assert_eq!(refused(&mut without_join).await, Some(RefusedCode::TooLate));
    let mut rest = Vec::new();
    assert_eq!(soon(silent.read_to_end(&mut rest)).await.unwrap_or(0), 0);
    assert_eq!(soon(half.read_to_end(&mut rest)).await.unwrap_or(0), 0);
    lives(url(&relay)).await;
}

#[tokio::test]
async fn garbage_and_endless_headers_are_cut_off() {
    let relay = relay().await;
    let address = relay.addresses()[0];
    let mut garbage = TcpStream::connect(address).await.unwrap();
    garbage.write_all(&[0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5, b'\r', b'\n', b'\r', b'\n']).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(garbage.read_to_end(&mut rest)).await;

    let mut endless = TcpStream::connect(address).await.unwrap();
    endless.write_all(b"GET /v1 HTTP/1.1\r\n").await.unwrap();
    let mut sent = 0;
    let cut = soon(async {
        while endless.write_all(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").await.is_ok() {
            sent += 1;
            tokio::task::yield_now().await;
        }
    });
    cut.await;
    assert!(sent > 0);
    lives(url(&relay)).await;
}

#[tokio::test]
async fn only_the_one_path_is_served_and_no_web_page_may_use_it() {
    let relay = relay().await;
    let status = |result: Result<_, Error>| match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        Ok(_) => 101,
        Err(other) => panic!("{other}"),
    };
    let base = format!("ws://127.0.0.1:{}", relay.port());
    for (path, expected) in [("/", 404), ("/v2", 404), ("/v1/", 404), ("/v1", 101)] {
        let answer = soon(tokio_tungstenite::connect_async(format!("{base}{path}"))).await;
        assert_eq!(status(answer), expected, "{path}");
    }
    let mut request = format!("{base}/v1").into_client_request().unwrap();
    request.headers_mut().insert("Origin", HeaderValue::from_static("https://example.com"));
    assert_eq!(status(soon(tokio_tungstenite::connect_async(request)).await), 403);
}

#[tokio::test]
async fn a_sender_that_is_too_fast_is_slowed_down() {
    let relay = relay_with(|limits| limits.messages = Rate { per_second: 50, burst: 10 }).await;
    let mut a = Member::join(url(&relay), ROOM).await;
    let b = Member::join(url(&relay), ROOM).await;
    let start = Instant::now();
    for n in 0..60u8 {
        b.client.send(Some(a.id), vec![n]).unwrap();
    }
    for n in 0..60u8 {
        assert_eq!(a.payload().await.1, [n], "slowed down, not dropped");
    }
    // 60 messages less the burst of 10 at 50 a second cannot take less than a second, however fast the machine.
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
    assert!(relay.counters().throttled > 0);
}

#[tokio::test]
async fn bytes_are_limited_too() {
    let relay = relay_with(|limits| limits.bytes = Rate { per_second: 100_000, burst: 20_000 }).await;
    let mut a = Member::join(url(&relay), ROOM).await;
    let b = Member::join(url(&relay), ROOM).await;
    let start = Instant::now();
    for _ in 0..4 {
        b.client.send(Some(a.id), vec![1; 40_000]).unwrap();
    }
    for _ in 0..4 {
        assert_eq!(a.payload().await.1.len(), 40_000);
    }
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[tokio::test]
async fn rooms_members_and_connections_are_bounded() {
    let relay = relay_with(|limits| {
        limits.rooms = 1;
        limits.members_per_room = 2;
        limits.connections_per_address = 3;
    })
    .await;
    let a = Member::join(url(&relay), ROOM).await;
    let _b = Member::join(url(&relay), ROOM).await;
    let down = |url: String, room| async move {
        let (_client, mut events) = RelayClient::connect(vec![url], room, no_tls());
        soon(events.recv()).await
    };
    let refused = |code| Some(RelayEvent::Down { why: RelayClientError::Refused(code) });
    assert_eq!(down(url(&relay), ROOM).await, refused(RefusedCode::RoomFull));
    assert_eq!(down(url(&relay), OTHER_ROOM).await, refused(RefusedCode::TooManyRooms));
    // Those two may still be saying goodbye: the third place is taken by a connection that stays.
    let _third = soon(async {
        loop {
            if let Ok((socket, _)) = tokio_tungstenite::connect_async(url(&relay)).await {
                break socket;
            }
        }
    })
    .await;
    assert_eq!(down(url(&relay), ROOM).await, refused(RefusedCode::TooManyConnections));
    assert!(relay.counters().refused_connections >= 1);
    // The room goes with its members, and its place is free again.
    drop(a);
    drop(_b);
    soon(async {
        while relay.counters().rooms > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(Member::join(url(&relay), OTHER_ROOM).await.others.is_empty());
}

#[tokio::test]
async fn who_connects_too_often_is_turned_away_for_a_while() {
    let relay = relay_with(|limits| limits.connects = Rate { per_second: 1, burst: 3 }).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(soon(tokio_tungstenite::connect_async(url(&relay))).await);
    }
    let turned_away =
        answers.iter().filter(|answer| matches!(answer, Err(Error::Http(r)) if r.status() == 429)).count();
    assert!(turned_away >= 1, "five at once with a burst of three");
    assert_eq!(relay.counters().refused_rate, turned_away as u64);
    // The client waits and comes in by itself.
    let (_client, mut events) = RelayClient::connect(vec![url(&relay)], ROOM, no_tls());
    while !matches!(soon(events.recv()).await.unwrap(), RelayEvent::Up { .. }) {}
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_dropped_and_the_others_are_not_held_up() {
    let relay = relay_with(|limits| {
        limits.queue_bytes = 256 * 1024;
        limits.bytes = Rate { per_second: 1 << 30, burst: 1 << 30 };
        limits.messages = Rate { per_second: 1 << 30, burst: 1 << 30 };
    })
    .await;
    // Joins and then never reads again.
    let slow = raw_joined(&url(&relay), ROOM).await;
    let mut fast = Member::join(url(&relay), ROOM).await;
    let sender = Member::join(url(&relay), ROOM).await;
    let mut rounds = 0u32;
    soon(async {
        while relay.counters().too_slow == 0 {
            rounds += 1;
            while sender.client.send(None, vec![3; 60_000]).is_err() {
                tokio::task::yield_now().await;
            }
            assert_eq!(fast.payload().await.0, sender.id);
        }
    })
    .await;
    assert!(rounds > 4, "the queue has to fill first");
    loop {
        if matches!(fast.next().await, RelayEvent::Left(_)) {
            break;
        }
    }
    drop(slow);
    lives(url(&relay)).await;
}

#[tokio::test]
async fn who_says_nothing_for_too_long_is_dropped_and_who_answers_pings_is_not() {
    let relay = relay_with(|limits| {
        limits.ping = Duration::from_millis(50);
        limits.silence = Duration::from_millis(400);
    })
    .await;
    let mut polite = Member::join(url(&relay), ROOM).await;
    // Never polled after joining, so it never answers a ping.
    let _dead = raw_joined(&url(&relay), ROOM).await;
    assert!(matches!(polite.next().await, RelayEvent::Arrived(_)));
    assert!(matches!(polite.next().await, RelayEvent::Left(_)));
    assert_eq!(relay.counters().members, 1);
}

fn stun_request() -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    request.extend(*b"twelve bytes");
    request
}

/// Asks over a real socket and undoes the XOR by hand.
async fn stun(server: SocketAddr) -> (SocketAddr, SocketAddr) {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.unwrap();
    socket.send_to(&stun_request(), server).await.unwrap();
    let mut answer = [0; 100];
    let (length, from) = soon(socket.recv_from(&mut answer)).await.unwrap();
    assert_eq!(from, server);
    assert_eq!(answer[..2], [1, 1]);
    assert_eq!(answer[4..20], stun_request()[4..20]);
    assert_eq!(answer[20..22], [0, 0x20]);
    let mask = &answer[4..20];
    let bytes: Vec<u8> = answer[28..length].iter().zip(mask).map(|(a, b)| a ^ b).collect();
    let port = u16::from_be_bytes([answer[26] ^ 0x21, answer[27] ^ 0x12]);
    let ip = match answer[25] {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap()).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap()).into(),
        other => panic!("family {other}"),
    };
    (SocketAddr::new(ip, port), socket.local_addr().unwrap())
}

#[tokio::test]
async fn stun_on_the_same_port_tells_each_its_own_address() {
    let mut config = RelayConfig::loopback();
    config.listen.push((Ipv6Addr::LOCALHOST, 0).into());
    let relay = RelayServer::start(config).await.unwrap();
    assert_eq!(relay.addresses().len(), 2, "this test needs IPv6 on loopback");
    for address in relay.addresses() {
        assert_eq!(address.port(), relay.port());
        let (seen, own) = stun(address).await;
        assert_eq!(seen, own);
    }
    assert_eq!(relay.counters().stun_answered, 2);
    // The same over a socket that takes both families.
    let both =
        RelayServer::start(RelayConfig { listen: vec![(Ipv6Addr::UNSPECIFIED, 0).into()], ..RelayConfig::loopback() });
    let both = both.await.unwrap();
    let (seen, own) = stun((Ipv4Addr::LOCALHOST, both.port()).into()).await;
    assert_eq!(seen, own, "mapped IPv4 is told as IPv4");
}

#[tokio::test]
async fn stun_ignores_what_is_no_request_and_who_asks_too_much() {
    let relay = relay_with(|limits| limits.stun = Rate { per_second: 1, burst: 3 }).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(b"not stun", relay.addresses()[0]).await.unwrap();
    for _ in 0..20 {
        socket.send_to(&stun_request(), relay.addresses()[0]).await.unwrap();
    }
    soon(async {
        while relay.counters().stun_answered + relay.counters().stun_ignored < 21 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!((3..=5).contains(&relay.counters().stun_answered), "{:?}", relay.counters());
}

struct Certificate {
    folder: tempfile::TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, der: made.cert.der().clone() }
    }

    fn config(&self) -> RelayConfig {
        let file = |name| self.folder.path().join(name);
        let tls = Some(TlsFiles { certificates: file("cert.pem"), key: file("key.pem") });
        RelayConfig { tls, ..RelayConfig::loopback() }
    }
}

#[tokio::test]
async fn tls_carries_messages_for_those_who_trust_the_certificate_and_for_nobody_else() {
    let certificate = Certificate::new(&["localhost", "127.0.0.1"]);
    let relay = RelayServer::start(certificate.config()).await.unwrap();
    let trust = TlsTrust::Certificates(vec![certificate.der.clone()]);
    let by_name = format!("wss://localhost:{}/v1", relay.port());
    let by_address = format!("wss://127.0.0.1:{}/v1", relay.port());
    let mut a = Member::join_trusting(by_name, ROOM, trust.clone()).await;
    let b = Member::join_trusting(by_address.clone(), ROOM, trust).await;
    b.client.send(Some(a.id), b"over TLS".to_vec()).unwrap();
    assert_eq!(a.payload().await, (b.id, b"over TLS".to_vec()));

    let why = |url: String, trust| async move {
        let (_client, mut events) = RelayClient::connect(vec![url], ROOM, trust);
        match soon(events.recv()).await {
            Some(RelayEvent::Down { why }) => why,
            other => panic!("{other:?}"),
        }
    };
    let stranger = Certificate::new(&["localhost", "127.0.0.1"]);
    let other_trust = TlsTrust::Certificates(vec![stranger.der.clone()]);
    assert_eq!(why(by_address.clone(), other_trust).await, RelayClientError::Certificate);
    #[cfg(feature = "client")]
    assert_eq!(why(by_address, TlsTrust::Public).await, RelayClientError::Certificate);

    // Half-open and not TLS at all.
    let mut half = TcpStream::connect(relay.addresses()[0]).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    let mut plain = TcpStream::connect(relay.addresses()[0]).await.unwrap();
    plain.write_all(b"GET /v1 HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(plain.read_to_end(&mut rest)).await;
    let _ = soon(half.read_to_end(&mut rest)).await;
    b.client.send(Some(a.id), b"still there".to_vec()).unwrap();
    assert_eq!(a.payload().await.1, b"still there");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_said_at_the_start() {
    let certificate = Certificate::new(&["localhost"]);
    let stranger = Certificate::new(&["localhost"]);
    let mut config = certificate.config();
    config.tls.as_mut().unwrap().key = stranger.folder.path().join("key.pem");
    assert!(matches!(RelayServer::start(config).await, Err(RelayError::Tls(_))));
    let mut config = certificate.config();
    config.tls.as_mut().unwrap().certificates = certificate.folder.path().join("missing.pem");
    assert!(matches!(RelayServer::start(config).await, Err(RelayError::Tls(_))));
}

#[tokio::test]
async fn a_port_in_use_is_said_at_the_start() {
    let relay = relay().await;
    let config = RelayConfig { listen: relay.addresses(), ..RelayConfig::loopback() };
    assert!(matches!(RelayServer::start(config).await, Err(RelayError::PortInUse(port)) if port == relay.port()));
    let nothing = RelayConfig { listen: Vec::new(), ..RelayConfig::loopback() };
    assert!(matches!(RelayServer::start(nothing).await, Err(RelayError::NoAddress)));
}

#[tokio::test]
async fn a_stopped_relay_says_so_and_a_member_comes_back_when_it_starts_again() {
    let relay = relay().await;
    let (address, target) = (relay.addresses()[0], url(&relay));
    let mut a = Member::join(target.clone(), ROOM).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    soon(relay.stop()).await;
    assert_eq!(a.next().await, RelayEvent::Down { why: RelayClientError::Refused(RefusedCode::Stopping) });
    let mut rest = Vec::new();
    let _ = soon(silent.read_to_end(&mut rest)).await;
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
    a.client.send(None, b"lost".to_vec()).unwrap();

    let again = RelayServer::start(RelayConfig { listen: vec![address], ..RelayConfig::loopback() }).await.unwrap();
    a.client.hurry();
    let old = a.id;
    loop {
        match a.next().await {
            RelayEvent::Up { you, others, .. } => {
                assert!(you != old && others.is_empty());
                a.id = you;
                break;
            }
            RelayEvent::Down { why } => assert_eq!(why, RelayClientError::ConnectionRefused),
            other => panic!("{other:?}"),
        }
    }
    let mut b = Member::join(target, ROOM).await;
    a.client.send(Some(b.id), b"after".to_vec()).unwrap();
    assert_eq!(b.payload().await, (a.id, b"after".to_vec()), "what was sent while down is gone");
    drop(again);
    // The other member's connection may end a moment before one's own.
    let mut event = b.next().await;
    while matches!(event, RelayEvent::Left(_)) {
        event = b.next().await;
    }
    assert!(matches!(event, RelayEvent::Down { .. }), "dropping a relay stops it too");
}

#[tokio::test]
async fn the_first_address_that_answers_is_taken() {
    let relay = relay().await;
    // Nothing listens at the first; the second is no relay; a listener that never answers is the third.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets = vec![
        format!("ws://127.0.0.1:{closed}/v1"),
        format!("ws://127.0.0.1:{}/elsewhere", relay.port()),
        format!("ws://{}/v1", mute.local_addr().unwrap()),
        url(&relay),
    ];
    let (_client, mut events) = RelayClient::connect(targets, ROOM, no_tls());
    match soon(events.recv()).await {
        Some(RelayEvent::Up { url: taken, .. }) => assert_eq!(taken, url(&relay)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn why_a_relay_cannot_be_reached_is_told_apart() {
    let relay = relay().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (format!("ws://127.0.0.1:{closed}/v1"), RelayClientError::ConnectionRefused),
        (format!("ws://127.0.0.1:{}/elsewhere", relay.port()), RelayClientError::NotARelay),
        ("ws://name.invalid:1/v1".to_owned(), RelayClientError::UnknownName),
    ];
    for (url, expected) in cases {
        let (client, mut events) = RelayClient::connect(vec![url], ROOM, no_tls());
        assert_eq!(soon(events.recv()).await, Some(RelayEvent::Down { why: expected }));
        drop(client);
        soon(async { while events.recv().await.is_some() {} }).await;
    }
}

#[tokio::test]
async fn the_record_holds_what_a_member_said_in_plain_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let config = RelayConfig { record: Some(path.clone()), ..RelayConfig::loopback() };
    let relay = RelayServer::start(config).await.unwrap();
    let room = std::array::from_fn(|n| 0xA0 + n as u8);
    let mut a = Member::join(url(&relay), room).await;
    let b = Member::join(url(&relay), room).await;
    b.client.send(Some(a.id), b"a planted sentence".to_vec()).unwrap();
    assert_eq!(a.payload().await.1, b"a planted sentence");
    let (_, own) = stun(relay.addresses()[0]).await;
    assert_eq!(own.ip(), Ipv4Addr::LOCALHOST);
    soon(relay.stop()).await;
    let record = std::fs::read(&path).unwrap();
    let times = |needle: &[u8]| record.windows(needle.len()).filter(|window| *window == needle).count();
    assert_eq!(times(b"a planted sentence"), 2, "once in, once out");
    assert_eq!(times(&room), 2, "two joins");
    assert_eq!(times(b"twelve bytes"), 2, "the STUN request and its answer");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn the_relay_inside_the_app_is_reachable_where_it_says() {
    let relay = LocalRelay::start().await.unwrap();
    lives(relay.own_url()).await;
    let reachable = relay.reachable_addresses().unwrap();
    assert!(!reachable.is_empty());
    for ip in reachable {
        lives(conclave::rendezvous::local::url(ip, relay.port())).await;
    }
    assert!(relay.counters().messages_in >= 2);
    relay.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_says_where_it_listens_serves_and_ends_cleanly_on_sigterm() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_conclave-relay"))
        .args(["--listen", "127.0.0.1:0", "--max-members", "2"])
        .env("RUST_LOG", "info")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon(lines.next_line()).await.unwrap().expect("a line");
    let address: SocketAddr = line.strip_prefix("listening on ").expect("the promised words").parse().unwrap();
    lives(format!("ws://{address}/v1")).await;
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = soon(child.wait_with_output()).await.unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("relay stopped"), "{log}");
    assert!(!log.contains("127.0.0.1") && !log.contains(&address.port().to_string()), "no address in the log: {log}");
}
