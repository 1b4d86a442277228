//! Our handshake against a second implementation: Python's `noiseprotocol`, `kyber-py` and `cryptography`.
//!
//! The test stands in for the relay: it passes lines of hexadecimal digits between the Python process and the Rust
//! side in this process. The Python packages come from `tests/interop/setup.sh`.
#![cfg(feature = "protocol")]
// Helpers of a test may stop it; clippy knows only functions marked #[test].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod interop;

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use conclave::crypto::{
    Entropy, Secret, entropy,
    entropy::Seeded,
    handshake::{Initiator, Responder, StaticKey},
    session::Session,
};

const PROLOGUE: &[u8] = b"Conclave v1 interoperability";
/// How long the other side may take for one line. Pure Python needs a fraction of a second; a busy machine more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Python process that plays one side.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
}

impl Peer {
    fn start(script: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(interop::python())
            .arg(root.join("tests/interop").join(script))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let (output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let complaints = Some(thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        }));
        Self { input: child.stdin.take(), child, lines, complaints }
    }

    fn send(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        let line = data_encoding::HEXLOWER.encode(bytes) + "\n";
        if input.write_all(line.as_bytes()).and_then(|()| input.flush()).is_err() {
            self.give_up("no longer listens");
        }
    }

    fn receive(&mut self) -> Vec<u8> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => data_encoding::HEXLOWER.decode(line.as_bytes()).expect("a line of hexadecimal digits"),
            Err(error) => self.give_up(&error.to_string()),
        }
    }

    /// Fails the test with what Python said.
    fn give_up(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        let said = self.complaints.take().map(|thread| thread.join().unwrap()).unwrap_or_default();
        panic!("the Python side: {why}\n{said}")
    }

    /// Waits for a clean end.
    fn finish(mut self) {
        self.input = None;
        let said = self.complaints.take().map(|thread| thread.join().unwrap()).unwrap_or_default();
        assert!(self.child.wait().unwrap().success(), "the Python side failed\n{said}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three messages each way, of very different lengths.
fn talk(session: &mut Session, peer: &mut Peer) {
    let longest: Vec<u8> = (0..60_000).map(|n| (n % 251) as u8).collect();
    for text in [&b"from the other side"[..], b"", &longest] {
        peer.send(&session.seal(text).unwrap());
        assert_eq!(peer.receive(), text);
        let reversed: Vec<u8> = text.iter().rev().copied().collect();
        assert_eq!(session.open(&peer.receive()).unwrap(), reversed);
    }
}

#[test]
fn a_rust_guest_and_a_python_host_hold_the_same_session() {
    let mut entropy = Seeded(1);
    let psk0: Secret<32> = entropy::secret(&mut entropy);
    let guest = StaticKey::from_entropy(&mut entropy);
    let mut peer = Peer::start("handshake_responder.py");
    peer.send(PROLOGUE);
    peer.send(psk0.expose());
    let host: [u8; 32] = peer.receive().try_into().unwrap();

    let (mut initiator, first) = Initiator::start(PROLOGUE, &guest, &host, &psk0, &mut entropy).unwrap();
    peer.send(&first);
    let second = peer.receive();
    let (mut session, third) = initiator.handle_second(&second).unwrap();
    peer.send(&third);
    assert_eq!(peer.receive(), session.hash());
    assert_eq!(peer.receive(), guest.public(), "the host has learnt the guest's key");
    assert_eq!(session.remote_static(), &host);
    talk(&mut session, &mut peer);
    peer.finish();
}

#[test]
fn a_python_guest_and_a_rust_host_hold_the_same_session() {
    let mut entropy = Seeded(2);
    let psk0: Secret<32> = entropy::secret(&mut entropy);
    let host = StaticKey::from_entropy(&mut entropy);
    let mut peer = Peer::start("handshake_initiator.py");
    peer.send(PROLOGUE);
    peer.send(psk0.expose());
    peer.send(&host.public());
    let guest = peer.receive();

    let first = peer.receive();
    let (mut responder, second) = Responder::handle_first(PROLOGUE, &host, &psk0, &first, &mut entropy).unwrap();
    peer.send(&second);
    let third = peer.receive();
    let mut session = responder.handle_third(&third).unwrap();
    assert_eq!(peer.receive(), session.hash());
    assert_eq!(session.remote_static()[..], guest);
    talk(&mut session, &mut peer);
    peer.finish();
}

#[test]
fn a_python_guest_with_another_secret_is_refused() {
    let mut entropy = Seeded(3);
    let (ours, theirs): (Secret<32>, Secret<32>) = (entropy::secret(&mut entropy), entropy::secret(&mut entropy));
    let host = StaticKey::from_entropy(&mut entropy);
    let mut peer = Peer::start("handshake_initiator.py");
    peer.send(PROLOGUE);
    peer.send(theirs.expose());
    peer.send(&host.public());
    let _guest = peer.receive();
    let first = peer.receive();
    let entropy: &mut dyn Entropy = &mut entropy;
    let refused = Responder::handle_first(PROLOGUE, &host, &ours, &first, entropy).map(|_| ());
    assert_eq!(refused, Err(conclave::crypto::handshake::HandshakeError::Forged));
}
