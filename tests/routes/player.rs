//! A path driven line by line: what it hands over and what happens to it is said, what the other hands over is read.

use std::io::BufRead;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave::transport::{
    Path, PathConfig, PathError, PathEvent, Role, RouteGuard, RoutePolicy, TurnServer, TurnTransport, TurnTrust,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::netns::say;

/// Plays `ROLE OWN-ADDRESS RULE…`, rules being `open`, `relay_only`, `turn=HOST:PORT`, `over=tcp|tls`, `authority=FILE`, `password=…`, `allow=IP,…` and
/// `revocable` (nothing but the own address is allowed any more once REVOKE was said).
pub async fn play(arguments: &str) {
    let mut words = arguments.split(' ');
    let role = if words.next() == Some("offerer") { Role::Offerer } else { Role::Answerer };
    let own: IpAddr = words.next().unwrap().parse().unwrap();
    let revoked = Arc::new(AtomicBool::new(false));
    let policy = policy(words.collect(), own, &revoked);
    let (sender, mut events) = mpsc::channel(1024);
    let config = PathConfig { bind: vec![own], policy, ..PathConfig::default() };
    let path = Arc::new(Path::new(config, role, sender).await.unwrap());
    let (lines_in, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = lines_in.send(line);
        }
    });
    loop {
        tokio::select! {
            Some(event) = events.recv() => handle_event(&path, event),
            line = lines.recv() => match line {
                Some(line) => handle_line(&path, &line, &revoked).await,
                None => return,
            },
        }
    }
}

fn policy(rules: Vec<&str>, own: IpAddr, revoked: &Arc<AtomicBool>) -> RoutePolicy {
    let value = |name: &str| rules.iter().find_map(|rule| rule.strip_prefix(name)?.strip_prefix('='));
    let password = value("password").unwrap_or("secret");
    let transport = match (value("over"), value("authority")) {
        (Some("tcp"), _) => TurnTransport::Tcp,
        (Some("tls"), None) => TurnTransport::Tls(TurnTrust::Public),
        (Some("tls"), Some(file)) => {
            let found = CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect();
            TurnTransport::Tls(TurnTrust::Authorities(Arc::new(found)))
        }
        _ => TurnTransport::Udp,
    };
    let turn = value("turn").map(|server| {
        let (host, port) = server.rsplit_once(':').unwrap();
        TurnServer {
            host: host.into(),
            port: port.parse().unwrap(),
            transport,
            user: "conclave".into(),
            password: Zeroizing::new(password.into()),
        }
    });
    let guard = value("allow").map_or_else(RouteGuard::default, |list| {
        let allowed: Vec<IpAddr> = list.split(',').map(|ip| ip.parse().unwrap()).collect();
        let revoked = revoked.clone();
        RouteGuard::new(move |ip| allowed.contains(&ip) && (ip == own || !revoked.load(Ordering::Relaxed)))
    });
    RoutePolicy { relay_only: rules.contains(&"relay_only"), turn: turn.into_iter().collect(), guard }
}

fn handle_event(path: &Arc<Path>, event: PathEvent) {
    match event {
        PathEvent::Candidate(line) => say(&format!("FOUND {line}")),
        PathEvent::Connected => {
            say("CONNECTED");
            let path = path.clone();
            tokio::spawn(async move {
                for n in 0..u32::MAX {
                    // A path that was silent for a while takes less at first.
                    match path.send_video(&[7; 500], n % 10 == 0, n * 1800).await {
                        Ok(()) | Err(PathError::Congested) => {}
                        Err(_) => return,
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        PathEvent::RouteRefused(why) => say(&format!("REFUSED {why:?}")),
        _ => {}
    }
}

async fn handle_line(path: &Arc<Path>, line: &str, revoked: &AtomicBool) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let lines = |sdp: String| sdp.replace("\r\n", "|");
    match word {
        "RESTART" => say(&format!("OFFERED {}", lines(path.restart().await.unwrap()))),
        "OFFER" => say(&format!("OFFERED {}", lines(path.offer().await.unwrap()))),
        "ACCEPT" => say(&format!("ANSWERED {}", lines(path.accept_offer(&rest.replace('|', "\r\n")).await.unwrap()))),
        "ANSWER" => path.accept_answer(&rest.replace('|', "\r\n")).await.unwrap(),
        "CANDIDATE" => path.add_candidate(rest).await.unwrap(),
        "REVOKE" => revoked.store(true, Ordering::Relaxed),
        "SEND" => match path.send_audio(b"sound", 0).await {
            Ok(()) => say("SENT well"),
            Err(error) => say(&format!("SENT {error:?}")),
        },
        "STATS" => {
            let stats = path.stats().await;
            let route = stats.pair.map_or_else(
                || "route=none port=0".to_owned(),
                |route| {
                    let (local, remote) = (route.local.ip(), route.remote.ip());
                    let (local_kind, remote_kind) = (route.local_kind, route.remote_kind);
                    format!(
                        "local={local}/{local_kind:?} remote={remote}/{remote_kind:?} relayed={} port={}",
                        route.relayed,
                        route.local.port()
                    )
                },
            );
            say(&format!(
                "STATS {route} frames_in={} candidates_refused={} datagrams_refused={}",
                stats.frames_in, stats.candidates_refused, stats.datagrams_refused
            ));
        }
        _ => {}
    }
}
