//! Two homes, a router between them that counts what passes, and a server beyond it with a TURN server.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::netns::{self, Actor, Namespace};
use crate::processes::Process;

/// Ana's address at home.
pub const ANA: &str = "192.168.11.2";
/// Ben's address at home.
pub const BEN: &str = "192.168.12.2";
/// The server's.
pub const SERVER: &str = "203.0.113.10";

const COUNTERS: &str = "
table inet count {
  counter ana_to_ben { }
  counter ben_to_ana { }
  counter from_ben { }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr 192.168.11.0/24 ip daddr 192.168.12.0/24 counter name ana_to_ben
    ip saddr 192.168.12.0/24 ip daddr 192.168.11.0/24 counter name ben_to_ana
    ip saddr 192.168.12.0/24 counter name from_ben
  }
}";

/// The whole of it, gone when dropped.
pub struct Internet {
    pub ana: Namespace,
    pub ben: Namespace,
    server: Namespace,
    router: Namespace,
    folder: tempfile::TempDir,
    _turn: Actor,
    rendezvous: std::cell::OnceCell<Process>,
}

impl Internet {
    /// `None` where it cannot be made, which is said.
    pub fn new(what: &str) -> Option<Self> {
        if !netns::possible(&["turnserver", "nft", "tcpdump"]) {
            return None;
        }
        let [ana, ben, server, router] = ["a", "b", "s", "r"].map(|part| Namespace::new(&format!("{what}-{part}")));
        router.cable("ana", "192.168.11.1/24", &ana, "eth0", &format!("{ANA}/24"));
        router.cable("ben", "192.168.12.1/24", &ben, "eth0", &format!("{BEN}/24"));
        router.cable("srv", "203.0.113.1/24", &server, "eth0", &format!("{SERVER}/24"));
        ana.ip("route add default via 192.168.11.1");
        ben.ip("route add default via 192.168.12.1");
        server.ip("route add default via 203.0.113.1");
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(file("counters"), COUNTERS).unwrap();
        router.shell(&format!("echo 1 > /proc/sys/net/ipv4/ip_forward; nft -f {}", file("counters")));
        std::fs::write(file("turn.conf"), "").unwrap();
        // One authority that signed the server's certificate, and one that did not.
        let authority = |name: &str| {
            let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().unwrap();
            std::fs::write(file(name), parameters.self_signed(&key).unwrap().pem()).unwrap();
            rcgen::Issuer::new(parameters, key)
        };
        let (issuer, _) = (authority("authority.pem"), authority("stranger.pem"));
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![SERVER.to_owned()]).unwrap();
        std::fs::write(file("turn.pem"), parameters.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        std::fs::write(file("turn.key"), key.serialize_pem()).unwrap();
        let mut command = server.command("turnserver");
        command.args(["-c", &file("turn.conf"), "--userdb", &file("turndb"), "--pidfile", &file("pid")]);
        command.args(["--log-file", "stdout", "--simple-log", "--no-cli", "--no-dtls"]);
        command.args(["--cert", &file("turn.pem"), "--pkey", &file("turn.key"), "--tls-listening-port", "5349"]);
        command.args(["--listening-ip", SERVER, "--relay-ip", SERVER, "--listening-port", "3478"]);
        command.args(["--lt-cred-mech", "--realm", "turn.test", "--user", "conclave:secret", "--fingerprint"]);
        let turn = Actor::start(command);
        turn.says("Total General servers");
        Some(Self { ana, ben, server, router, folder, _turn: turn, rendezvous: std::cell::OnceCell::new() })
    }

    /// Where the test keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a rendezvous relay on the server; returns its address.
    pub fn rendezvous(&self) -> String {
        let process = self.rendezvous.get_or_init(|| {
            let mut command = self.server.command(env!("CARGO_BIN_EXE_conclave-relay"));
            command.args(["--listen", &format!("{SERVER}:7770")]);
            let mut relay = Process::start_with("relay", &mut command);
            relay.line(Duration::from_secs(20));
            relay
        });
        assert!(process.id() > 0);
        format!("ws://{SERVER}:7770")
    }

    fn packets(&self, counter: &str) -> u64 {
        let text = self.router.output("nft", &["list", "counter", "inet", "count", counter]);
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "packets").unwrap();
        words[at + 1].parse().unwrap()
    }

    /// Packets that went straight from one home to the other, either way.
    pub fn datagrams_between_homes(&self) -> u64 {
        self.packets("ana_to_ben") + self.packets("ben_to_ana")
    }

    /// From now on neither home can send or get a datagram beyond its own network: TCP alone passes.
    pub fn block_datagrams(&self) {
        self.router.shell("nft add rule inet count forward meta l4proto udp drop");
    }

    /// A file that the test keeps.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn datagrams_from_ana_to_ben(&self) -> u64 {
        self.packets("ana_to_ben")
    }

    /// All packets that left Ben's home.
    pub fn packets_from_ben(&self) -> u64 {
        self.packets("from_ben")
    }

    /// Keeps every packet that comes to a home.
    pub fn listen(&self, home: &Namespace) -> Ear {
        let which = if std::ptr::eq(home, &self.ana) { "ana" } else { "ben" };
        let file = self.folder().join(format!("{which}.pcap"));
        let mut command = home.command("tcpdump");
        command.args(["-i", "eth0", "-Q", "in", "-s", "0", "-U", "--immediate-mode", "-Z", "root", "-w"]).arg(&file);
        let tcpdump = Actor::start(command);
        tcpdump.says("listening on");
        Ear { file, _tcpdump: tcpdump }
    }
}

/// What came to a home.
pub struct Ear {
    file: PathBuf,
    _tcpdump: Actor,
}

impl Ear {
    /// Whether any packet names this address: in a header, in a message of STUN (RFC 8489 section 14.2: XORed with the
    /// magic cookie) or as text.
    pub fn names(&self, address: &str) -> bool {
        let heard = std::fs::read(&self.file).unwrap();
        assert!(heard.len() > 20_000, "media was heard: {} bytes", heard.len());
        let bits = address.parse::<Ipv4Addr>().unwrap().to_bits();
        let traces = [bits.to_be_bytes().to_vec(), (bits ^ 0x2112_A442).to_be_bytes().to_vec(), address.into()];
        traces.iter().any(|trace| heard.windows(trace.len()).any(|window| window == trace))
    }
}
