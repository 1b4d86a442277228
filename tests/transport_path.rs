//! Two real paths in one process, over loopback: real sockets, ICE, DTLS, SRTP.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use conclave::transport::{Limits, Path, PathConfig, PathError, PathEvent, Role};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const LONG: Duration = Duration::from_secs(20);

struct End {
    path: Arc<Path>,
    events: mpsc::Receiver<PathEvent>,
}

/// What these tests send is no call: the rate is not to hold it back.
const WIDE: Limits = Limits { start: 50e6, least: 50e6, most: 50e6 };

async fn end(role: Role) -> End {
    end_within(role, WIDE).await
}

async fn end_within(role: Role, limits: Limits) -> End {
    let config = PathConfig { bind: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], limits, ..PathConfig::default() };
    let (sender, events) = mpsc::channel(1024);
    End { path: Arc::new(Path::new(config, role, sender).await.unwrap()), events }
}

impl End {
    /// The first event that `pick` takes; others are passed over.
    async fn wait<T>(&mut self, mut pick: impl FnMut(PathEvent) -> Option<T>) -> T {
        timeout(LONG, async {
            loop {
                let event = self.events.recv().await.expect("the path is alive");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        })
        .await
        .expect("the event comes")
    }

    async fn connected(&mut self) {
        self.wait(|event| matches!(event, PathEvent::Connected).then_some(())).await;
    }

    async fn video(&mut self) -> (Bytes, u32, bool) {
        self.wait(|event| match event {
            PathEvent::Video { frame, rtp_ts, gap_before, .. } => Some((frame, rtp_ts, gap_before)),
            _ => None,
        })
        .await
    }
}

/// Joins the two, each description passed through `edit` on its way.
async fn join(a: &End, b: &End, edit: impl Fn(Role, String) -> String) -> Result<(), PathError> {
    let offer = edit(Role::Offerer, a.path.offer().await?);
    let answer = edit(Role::Answerer, b.path.accept_offer(&offer).await?);
    a.path.accept_answer(&answer).await
}

async fn connected_pair() -> (End, End) {
    let (mut a, mut b) = (end(Role::Offerer).await, end(Role::Answerer).await);
    join(&a, &b, |_, sdp| sdp).await.unwrap();
    a.connected().await;
    b.connected().await;
    (a, b)
}

/// Bytes that no codec made, different for every frame.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

fn frame_len(n: u64) -> usize {
    match n % 20 {
        0 => 60_000,
        7 => 1,
        13 => 1154,
        k => 400 + 331 * k as usize,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_frames_arrive_whole_and_in_order() {
    let (a, mut b) = connected_pair().await;
    let sender = {
        let path = Arc::clone(&a.path);
        tokio::spawn(async move {
            for n in 0..200u64 {
                let len = if n % 50 == 0 { 300_000 } else { frame_len(n) };
                path.send_video(&noise(n, len), n % 50 == 0, n as u32 * 3000).await.unwrap();
                sleep(Duration::from_millis(if len > 100_000 { 40 } else { 5 })).await;
            }
        })
    };
    for n in 0..200u64 {
        let len = if n % 50 == 0 { 300_000 } else { frame_len(n) };
        let (frame, rtp_ts, gap) = b.video().await;
        assert_eq!((rtp_ts, frame.len(), gap), (n as u32 * 3000, len, false));
        assert_eq!(frame, noise(n, len), "frame {n}");
    }
    sender.await.unwrap();
    let stats = b.path.stats().await;
    assert_eq!((stats.frames_in, stats.frames_lost_in, stats.events_dropped), (200, 0, 0));
    assert!(stats.bytes_in > 4 * 300_000);
    assert_eq!(a.path.stats().await.frames_out, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_arrives_both_ways_with_its_numbers() {
    let (mut a, mut b) = connected_pair().await;
    for n in 0..50u32 {
        a.path.send_audio(&noise(u64::from(n), 100), n * 960).await.unwrap();
        b.path.send_audio(&noise(u64::from(n) + 1000, 100), n * 960).await.unwrap();
    }
    for (end, base) in [(&mut b, 0), (&mut a, 1000)] {
        let mut first = None;
        for n in 0..50u32 {
            let (payload, rtp_ts, seq) = end
                .wait(|event| match event {
                    PathEvent::Audio { payload, rtp_ts, seq, .. } => Some((payload, rtp_ts, seq)),
                    _ => None,
                })
                .await;
            assert_eq!((rtp_ts, &payload[..]), (n * 960, &noise(u64::from(n) + base, 100)[..]));
            assert_eq!(seq.wrapping_sub(*first.get_or_insert(seq)), n as u16);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_is_delivered_while_nobody_takes_the_pictures() {
    let (a, b) = connected_pair().await;
    // 1,024 events fit; far more pictures are sent than half of that.
    for n in 0..800u32 {
        a.path.send_video(&noise(u64::from(n), 50), false, n).await.unwrap();
        if n % 50 == 49 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    let deadline = Instant::now() + LONG;
    while b.path.stats().await.frames_in < 800 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(10)).await;
    }
    a.path.send_audio(b"sound", 7).await.unwrap();
    let mut b = b;
    let (mut pictures, mut sound) = (0, false);
    while !sound {
        match timeout(LONG, b.events.recv()).await.unwrap().unwrap() {
            PathEvent::Video { .. } => pictures += 1,
            PathEvent::Audio { .. } => sound = true,
            _ => {}
        }
    }
    assert!((400..=512).contains(&pictures), "{pictures}");
    assert!(b.path.stats().await.events_dropped >= 800 - 512);
    // What was dropped shows as a gap.
    a.path.send_video(b"next", false, 9).await.unwrap();
    assert!(b.video().await.2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_a_key_frame_reaches_the_sender_until_one_comes() {
    let (mut a, mut b) = connected_pair().await;
    a.path.send_video(b"first", false, 0).await.unwrap();
    b.video().await;
    b.path.request_key_frame().await.unwrap();
    b.path.request_key_frame().await.unwrap();
    for _ in 0..2 {
        a.wait(|event| matches!(event, PathEvent::KeyFrameWanted).then_some(())).await;
    }
    a.path.send_video(b"key", true, 3000).await.unwrap();
    assert_eq!(&b.video().await.0[..], b"key");
    let asked = b.path.stats().await.key_frame_requests_out;
    assert!((2..=4).contains(&asked), "{asked}");
}

/// Forwards datagrams between two paths that know only its addresses.
struct Proxy {
    loss: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    forwarded: Arc<AtomicU64>,
    /// What stands for A in B's eyes, and for B in A's.
    for_a: SocketAddr,
    for_b: SocketAddr,
    a: Arc<std::sync::OnceLock<SocketAddr>>,
    b: Arc<std::sync::OnceLock<SocketAddr>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Proxy {
    async fn new(seed: u64, percent: u64, delay: Duration) -> Self {
        let bind = || async { Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap()) };
        let (to_b, to_a) = (bind().await, bind().await);
        let (for_a, for_b) = (to_b.local_addr().unwrap(), to_a.local_addr().unwrap());
        let (a, b) = (Arc::new(std::sync::OnceLock::new()), Arc::new(std::sync::OnceLock::new()));
        let loss = Arc::new(AtomicBool::new(false));
        let (dropped, forwarded) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        // What A sends arrives on `to_a`'s port and leaves to B from `to_b`, and the other way round.
        for (at, input, output, target) in [(1, &to_a, &to_b, &b), (2, &to_b, &to_a, &a)] {
            let (input, output, target) = (Arc::clone(input), Arc::clone(output), Arc::clone(target));
            let (loss, dropped, forwarded) = (Arc::clone(&loss), Arc::clone(&dropped), Arc::clone(&forwarded));
            let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
            tasks.push(tokio::spawn(async move {
                let (mut state, mut buffer) = (seed * 2 + at, vec![0; 2048]);
                while let Ok((len, _)) = input.recv_from(&mut buffer).await {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    if loss.load(Ordering::Relaxed) && (state >> 16) % 100 < percent {
                        dropped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    forwarded.fetch_add(1, Ordering::Relaxed);
                    let _ = queue.send((Instant::now() + delay, buffer[..len].to_vec())).await;
                }
            }));
            tasks.push(tokio::spawn(async move {
                while let Some((due, datagram)) = queued.recv().await {
                    if !delay.is_zero() {
                        sleep_until(due).await;
                    }
                    if let Some(target) = target.get() {
                        let _ = output.send_to(&datagram, *target).await;
                    }
                }
            }));
        }
        Self { loss, dropped, forwarded, for_a, for_b, a, b, tasks }
    }

    /// Puts the proxy's address in the place of the candidate, and remembers the true one.
    fn rewrite(&self, from: Role, sdp: &str) -> String {
        let (stand_in, truth) = match from {
            Role::Offerer => (self.for_a, &self.a),
            Role::Answerer => (self.for_b, &self.b),
        };
        let mut out = String::new();
        for line in sdp.lines() {
            if line.starts_with("a=candidate:") {
                let words: Vec<&str> = line.split(' ').collect();
                let address = SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap());
                assert_eq!(*truth.get_or_init(|| address), address, "one address in the test");
                let line = line.replace(
                    &format!(" {} {} ", words[4], words[5]),
                    &format!(" {} {} ", stand_in.ip(), stand_in.port()),
                );
                out.push_str(&line);
            } else {
                out.push_str(line);
            }
            out.push_str("\r\n");
        }
        assert!(truth.get().is_some(), "the description carries its candidate");
        out
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_percent_loss_is_repaired() {
    let proxy = Proxy::new(42, 5, Duration::from_millis(10)).await;
    let (mut a, mut b) = (end(Role::Offerer).await, end(Role::Answerer).await);
    join(&a, &b, |role, sdp| proxy.rewrite(role, &sdp)).await.unwrap();
    a.connected().await;
    b.connected().await;
    proxy.loss.store(true, Ordering::Relaxed);
    const FRAMES: u64 = 300;
    let path = Arc::clone(&a.path);
    let sender = tokio::spawn(async move {
        for n in 0..FRAMES + 10 {
            path.send_video(&noise(n, 500 + (n as usize * 977) % 12_000), n == 0, n as u32).await.unwrap();
            sleep(Duration::from_millis(15)).await;
        }
    });
    let (mut whole, mut last) = (0u64, None);
    while last.is_none_or(|n| n < FRAMES - 1) {
        let (frame, rtp_ts, _) = b.video().await;
        let n = u64::from(rtp_ts);
        assert!(last.is_none_or(|last| n > last), "in order");
        assert_eq!(frame, noise(n, 500 + (n as usize * 977) % 12_000));
        last = Some(n);
        if n < FRAMES {
            whole += 1;
        }
    }
    sender.await.unwrap();
    let (dropped, forwarded) = (proxy.dropped.load(Ordering::Relaxed), proxy.forwarded.load(Ordering::Relaxed));
    assert!(dropped * 100 > forwarded * 3, "{dropped} of {forwarded} were lost: the test tests something");
    assert!(whole * 100 >= FRAMES * 99, "{whole} of {FRAMES} frames");
    let (sent, got) = (a.path.stats().await, b.path.stats().await);
    assert!(got.nacks_out > 0 && got.retransmitted_in > 0 && got.packets_lost_in > 0, "{got:?}");
    // One retransmission per loss and little more: what was repaired is not asked for again.
    assert!(sent.retransmitted_out < got.packets_lost_in * 2 + 20, "{sent:?} {got:?}");
    assert!(got.loss_in < 0.2 && sent.loss < 0.2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_round_trip_is_measured_and_not_guessed() {
    let proxy = Proxy::new(1, 0, Duration::from_millis(20)).await;
    let (mut a, mut b) = (end(Role::Offerer).await, end(Role::Answerer).await);
    join(&a, &b, |role, sdp| proxy.rewrite(role, &sdp)).await.unwrap();
    a.connected().await;
    b.connected().await;
    let deadline = Instant::now() + LONG;
    let mut n = 0;
    // Two reports there and back.
    while a.path.stats().await.rtt.is_none() || n < 100 {
        a.path.send_video(&noise(n, 2000), false, n as u32).await.unwrap();
        a.path.send_audio(&noise(n, 80), n as u32).await.unwrap();
        n += 1;
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20)).await;
    }
    let rtt = a.path.stats().await.rtt.unwrap();
    assert!(rtt >= Duration::from_millis(40) && rtt < Duration::from_millis(400), "{rtt:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_arrivals_come_back_and_tell_what_pictures_may_take() {
    let (mut a, mut b) =
        (end_within(Role::Offerer, Limits::default()).await, end_within(Role::Answerer, Limits::default()).await);
    join(&a, &b, |_, sdp| sdp).await.unwrap();
    a.connected().await;
    b.connected().await;
    let path = Arc::clone(&a.path);
    let sender = tokio::spawn(async move {
        for n in 0..u32::MAX {
            // A busy machine may be taken for a narrow path.
            let _ = path.send_video(&noise(u64::from(n), 3000), true, n * 3000).await;
            let _ = path.send_audio(&noise(u64::from(n), 100), n * 960).await;
            sleep(Duration::from_millis(20)).await;
        }
    });
    let deadline = Instant::now() + LONG;
    loop {
        let target = a.wait(|event| if let PathEvent::Target(target) = event { Some(target) } else { None }).await;
        let stats = a.path.stats().await;
        if target.rtt.is_some() && stats.acked_bps > 0 {
            assert!(f64::from(stats.estimate_bps) <= Limits::default().most && stats.target_bps <= stats.estimate_bps);
            break;
        }
        assert!(Instant::now() < deadline, "{target:?} {stats:?}");
    }
    sender.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_route_and_cipher_are_named_truly() {
    let (mut a, b) = connected_pair().await;
    let route = a.wait(|event| if let PathEvent::RouteChanged(route) = event { Some(route) } else { None }).await;
    let (sa, sb) = (a.path.stats().await, b.path.stats().await);
    assert!(!route.relayed);
    assert_eq!(sa.pair, Some(route));
    let other = sb.pair.unwrap();
    assert_eq!((route.local, route.remote), (other.remote, other.local));
    assert!(route.local.ip().is_loopback());
    for stats in [sa, sb] {
        let cipher = stats.srtp_cipher.unwrap().to_uppercase();
        assert!(cipher.contains("GCM"), "{cipher}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_certificate_fingerprint_never_connects() {
    for swapped in [Role::Offerer, Role::Answerer] {
        let (a, b) = (end(Role::Offerer).await, end(Role::Answerer).await);
        join(&a, &b, |role, sdp| {
            if role != swapped {
                return sdp;
            }
            let at = sdp.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
            let old = &sdp[at..at + 95];
            let flipped = if old.starts_with('0') { "1" } else { "0" };
            sdp.replace(old, &format!("{flipped}{}", &old[1..]))
        })
        .await
        .unwrap();
        // The side that was lied to is the one that must never connect; a connection takes a fraction of this.
        let lied_to = if swapped == Role::Offerer { b } else { a };
        let mut lied_to = lied_to;
        let verdict = timeout(Duration::from_secs(4), async {
            loop {
                match lied_to.events.recv().await.unwrap() {
                    PathEvent::Connected => return "connected",
                    PathEvent::Failed => return "failed",
                    _ => {}
                }
            }
        })
        .await
        .unwrap_or("still trying");
        assert_ne!(verdict, "connected");
        assert_eq!(lied_to.path.send_audio(b"x", 0).await, Err(PathError::NotConnected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_refused_with_a_reason_and_harms_nothing() {
    let (mut a, mut b) = (end(Role::Offerer).await, end(Role::Answerer).await);
    assert!(matches!(b.path.accept_offer("hello").await, Err(PathError::Sdp(_))));
    assert!(matches!(b.path.accept_offer(&"v=0\r\n".repeat(9999)).await, Err(PathError::Sdp(_))));
    assert!(matches!(a.path.add_candidate("candidate:oops").await, Err(PathError::Candidate(_))));
    assert!(matches!(a.path.add_candidate(&"x".repeat(9999)).await, Err(PathError::Candidate(_))));
    assert_eq!(a.path.send_video(b"x", true, 0).await, Err(PathError::NotConnected));
    assert_eq!(a.path.request_key_frame().await, Err(PathError::NotConnected));
    let offer = a.path.offer().await.unwrap();
    assert!(matches!(a.path.accept_answer(&offer.replace("H264", "VP8")).await, Err(PathError::Sdp(_))));
    // A session description that is ours in form, with a body cut at every hundredth byte.
    for cut in (0..offer.len()).step_by(100) {
        let probe = end(Role::Answerer).await;
        let _ = probe.path.accept_offer(&offer[..cut]).await;
        probe.path.close().await;
    }
    let answer = b.path.accept_offer(&offer).await.unwrap();
    assert!(matches!(b.path.accept_answer(&offer).await, Err(PathError::Refused(_))));
    a.path.accept_answer(&answer).await.unwrap();
    a.connected().await;
    b.connected().await;
    assert!(matches!(a.path.send_audio(&[0; 5000], 0).await, Err(PathError::Frame(_))));
    assert!(matches!(a.path.send_video(&[], true, 0).await, Err(PathError::Frame(_))));
    let other = end(Role::Offerer).await.path.offer().await.unwrap();
    assert!(
        matches!(b.path.accept_offer(&other).await, Err(PathError::Sdp(_))),
        "another certificate cannot take over the path"
    );
    a.path.send_video(b"still fine", true, 0).await.unwrap();
    assert_eq!(&b.video().await.0[..], b"still fine");
    for _ in 0..200 {
        let _ = a.path.add_candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host").await;
    }
    assert!(matches!(
        a.path.add_candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host").await,
        Err(PathError::Candidate(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_and_dropping_release_the_sockets() {
    let (a, b) = connected_pair().await;
    let (port_a, port_b) = (a.path.stats().await.pair.unwrap().local, b.path.stats().await.pair.unwrap().local);
    assert!(UdpSocket::bind(port_a).is_err() && UdpSocket::bind(port_b).is_err(), "in use while open");
    a.path.close().await;
    a.path.close().await;
    UdpSocket::bind(port_a).expect("released by close");
    assert_eq!(a.path.send_audio(b"x", 0).await, Err(PathError::Closed));
    assert_eq!(a.path.offer().await, Err(PathError::Closed));
    drop(b);
    let deadline = Instant::now() + LONG;
    while UdpSocket::bind(port_b).is_err() {
        assert!(Instant::now() < deadline, "released by drop");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ice_restart_moves_to_new_sockets_and_media_goes_on() {
    for restarter in [Role::Offerer, Role::Answerer] {
        let (a, mut b) = connected_pair().await;
        let before = a.path.stats().await.pair.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let (path, stop) = (Arc::clone(&a.path), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut n = 0u32;
                while !stop.load(Ordering::Relaxed) {
                    path.send_video(&noise(u64::from(n), 3000), true, n).await.unwrap();
                    n += 1;
                    sleep(Duration::from_millis(10)).await;
                }
            })
        };
        while b.video().await.1 < 20 {}
        let (first, second) = if restarter == Role::Offerer { (&a, &b) } else { (&b, &a) };
        let offer = first.path.restart().await.unwrap();
        let answer = second.path.accept_offer(&offer).await.unwrap();
        first.path.accept_answer(&answer).await.unwrap();
        let deadline = Instant::now() + LONG;
        loop {
            let pair = a.path.stats().await.pair;
            if pair.is_some_and(|pair| pair.local != before.local && pair.remote != before.remote) {
                break;
            }
            assert!(Instant::now() < deadline, "{pair:?}");
            sleep(Duration::from_millis(10)).await;
        }
        let mark = a.path.stats().await.frames_out as u32;
        while b.video().await.1 < mark + 20 {}
        stop.store(true, Ordering::Relaxed);
        sender.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_both_offer_at_once_the_offerers_offer_stands() {
    let (mut a, mut b) = connected_pair().await;
    let (from_a, from_b) = (a.path.restart().await.unwrap(), b.path.restart().await.unwrap());
    assert_eq!(a.path.accept_offer(&from_b).await, Err(PathError::Glare));
    let answer = b.path.accept_offer(&from_a).await.unwrap();
    a.path.accept_answer(&answer).await.unwrap();
    a.wait(|event| matches!(event, PathEvent::RouteChanged(_)).then_some(())).await;
    let path = Arc::clone(&a.path);
    let sender = tokio::spawn(async move {
        for n in 0..2000u32 {
            if path.send_video(b"after", true, 1_000_000 + n).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
    while b.video().await.1 < 1_000_000 {}
    sender.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_address_there_is_no_path() {
    let (sender, _events) = mpsc::channel(8);
    let none = Path::new(PathConfig::default(), Role::Offerer, sender.clone()).await;
    assert_eq!(none.err(), Some(PathError::NoAddress));
    let foreign = PathConfig { bind: vec!["192.0.2.77".parse().unwrap()], ..PathConfig::default() };
    assert_eq!(Path::new(foreign, Role::Offerer, sender).await.err(), Some(PathError::Bind));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_that_come_after_the_descriptions_connect_too() {
    let (mut a, mut b) = (end(Role::Offerer).await, end(Role::Answerer).await);
    let strip = |sdp: &str| {
        let (candidates, rest): (Vec<&str>, Vec<&str>) = sdp.lines().partition(|line| line.contains("candidate"));
        let candidate = candidates.iter().find(|line| line.starts_with("a=candidate:")).unwrap();
        (rest.join("\r\n") + "\r\n", (*candidate).to_owned())
    };
    let (offer, from_a) = strip(&a.path.offer().await.unwrap());
    let (answer, from_b) = strip(&b.path.accept_offer(&offer).await.unwrap());
    a.path.accept_answer(&answer).await.unwrap();
    a.path.add_candidate(&from_b).await.unwrap();
    b.path.add_candidate(&from_a).await.unwrap();
    a.connected().await;
    b.connected().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stun_server_that_never_answers_does_not_hold_up_the_offer() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = PathConfig {
        stun: vec![silent.local_addr().unwrap().to_string()],
        bind: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        ..PathConfig::default()
    };
    let (sender, events) = mpsc::channel(64);
    let mut a = End { path: Arc::new(Path::new(config, Role::Offerer, sender).await.unwrap()), events };
    let mut b = end(Role::Answerer).await;
    join(&a, &b, |_, sdp| sdp).await.unwrap();
    a.connected().await;
    b.connected().await;
    // It was asked: the address an observer saw is what a path behind a NAT needs.
    silent.set_read_timeout(Some(LONG)).unwrap();
    let mut request = [0; 128];
    let (len, _) = silent.recv_from(&mut request).unwrap();
    assert!(len >= 20 && request[..2] == [0, 1] && request[4..8] == [0x21, 0x12, 0xA4, 0x42]);
}
