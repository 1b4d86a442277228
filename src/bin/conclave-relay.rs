//! `conclave-relay`: a rendezvous relay on a server of one's own.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use conclave::relay::{Limits, Rate, RelayConfig, RelayServer, TlsFiles};

/// How often the counters go to the log.
const REPORT: Duration = Duration::from_secs(300);

/// Carries sealed messages between the members of Conclave meetings, and answers STUN binding requests.
///
/// It sees addresses, times, sizes and a room id that means nothing. It stores nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address and port to listen on, TCP and UDP; may be given several times. `[::]` takes IPv4 too unless an IPv4
    /// address is given as well.
    #[arg(long, value_name = "ADDRESS:PORT", default_values = ["[::]:7770", "0.0.0.0:7770"])]
    listen: Vec<SocketAddr>,
    /// Certificate chain, PEM, the relay's own certificate first. Without it the relay speaks no TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Write everything the relay can see into this file, to check what that is. It grows without bound.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Connections at a time.
    #[arg(long, value_name = "N", default_value_t = Limits::public().connections, value_parser = at_least_one)]
    max_connections: usize,
    /// Connections at a time of one IPv4 address or IPv6 /64. Behind a proxy all share one.
    #[arg(long, value_name = "N", default_value_t = Limits::public().connections_per_address, value_parser = at_least_one)]
    max_connections_per_address: usize,
    /// Rooms at a time.
    #[arg(long, value_name = "N", default_value_t = Limits::public().rooms, value_parser = at_least_one)]
    max_rooms: usize,
    /// Members of one room at a time.
    #[arg(long, value_name = "N", default_value_t = Limits::public().members_per_room, value_parser = members)]
    max_members: usize,
    /// Bytes a second that one connection may send in the long run; four times that at once.
    #[arg(long, value_name = "N", default_value_t = Limits::public().bytes.per_second, value_parser = clap::value_parser!(u32).range(1024..=1 << 29))]
    max_bytes_per_second: u32,
    /// Messages a second that one connection may send in the long run; four times that at once.
    #[arg(long, value_name = "N", default_value_t = Limits::public().messages.per_second, value_parser = clap::value_parser!(u32).range(1..=1 << 29))]
    max_messages_per_second: u32,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) if number <= 1 << 24 => Ok(number),
        Ok(_) => Err(format!("must be at most {}", 1 << 24)),
        Err(_) => Err("not a number".into()),
    }
}

fn members(text: &str) -> Result<usize, String> {
    let most = conclave::rendezvous::frames::MAX_MEMBERS;
    at_least_one(text).and_then(|n| if n <= most { Ok(n) } else { Err(format!("must be at most {most}")) })
}

impl Arguments {
    fn config(self) -> RelayConfig {
        let rate = |per_second: u32| Rate { per_second, burst: per_second.saturating_mul(4) };
        let limits = Limits {
            connections: self.max_connections,
            connections_per_address: self.max_connections_per_address,
            rooms: self.max_rooms,
            members_per_room: self.max_members,
            bytes: rate(self.max_bytes_per_second),
            messages: rate(self.max_messages_per_second),
            ..Limits::public()
        };
        let tls = self.tls_cert.zip(self.tls_key).map(|(certificates, key)| TlsFiles { certificates, key });
        RelayConfig { listen: self.listen, tls, limits, record: self.record }
    }
}

fn say(line: &str) {
    // Whoever started the relay may have closed its output: no reason to stop.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(arguments.config()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("conclave-relay: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(config: RelayConfig) -> Result<(), Box<dyn std::error::Error>> {
    let mut stop = std::pin::pin!(stop_signal()?);
    let recording = config.record.is_some();
    let server = RelayServer::start(config).await?;
    if recording {
        tracing::warn!("everything that this relay can see is being recorded");
    }
    for address in server.addresses() {
        say(&format!("listening on {address}"));
    }
    let mut report = tokio::time::interval(REPORT);
    report.tick().await;
    loop {
        tokio::select! {
            _ = report.tick() => tracing::info!(counters = ?server.counters(), "still running"),
            () = &mut stop => break,
        }
    }
    tracing::info!(counters = ?server.counters(), "stopping");
    server.stop().await;
    Ok(())
}

#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
