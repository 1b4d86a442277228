//! Sealing, opening and the handshake, against raw ring and against snow without the KEM.

use std::hint::black_box;

use conclave::crypto::entropy::Seeded;
use conclave::crypto::frame::{Kid, Opener, Sealer, Stream};
use conclave::crypto::handshake::{Initiator, NOISE_NAME, Responder, StaticKey};
use conclave::crypto::secret::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};

use crate::pair::Bench;

/// As long as what a call binds to its frames.
const METADATA: [u8; 32] = [0x4d; 32];

pub(crate) fn run(bench: &mut Bench) {
    for (what, stream, size) in [
        ("sound, 80 B", Stream::Audio, 80),
        ("picture, 8 kB", Stream::Camera, 8_000),
        ("key picture, 60 kB", Stream::Camera, 60_000),
    ] {
        seal(bench, what, stream, size);
        open(bench, what, stream, size);
    }
    handshake(bench);
}

fn raw_key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap())
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn seal(bench: &mut Bench, what: &str, stream: Stream, size: usize) {
    let plain = vec![0x5a; size];
    let mut sealer = Sealer::new(Kid::new(1, stream, 3), &Secret::new([9; 32]));
    let mut out = Vec::new();
    let (key, mut counter, mut raw) = (raw_key(), 0, Vec::new());
    bench.pair(
        &format!("seal {what}"),
        "ring AES-256-GCM",
        || {
            sealer.seal(&METADATA, black_box(&plain), &mut out).unwrap();
            black_box(&out);
        },
        || {
            raw.clear();
            raw.extend_from_slice(black_box(&plain));
            counter += 1;
            key.seal_in_place_append_tag(nonce(counter), Aad::from(METADATA), &mut raw).unwrap();
            black_box(&raw);
        },
    );
}

/// Frames to open: a frame opens once, so that many are made beforehand, and a fresh opener begins them again.
fn open(bench: &mut Bench, what: &str, stream: Stream, size: usize) {
    let name = format!("open {what}");
    if !bench.wants(&name) {
        return;
    }
    let base = Secret::new([9; 32]);
    let count = ((16 << 20) / size).clamp(64, 4096);
    let plain = vec![0x5a; size];
    let mut sealer = Sealer::new(Kid::new(1, stream, 3), &base);
    let sealed: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            let mut out = Vec::new();
            sealer.seal(&METADATA, &plain, &mut out).unwrap();
            // Equally dense in memory on both sides: past the caches, that is what counts.
            out.shrink_to_fit();
            out
        })
        .collect();
    let key = raw_key();
    let raw_sealed: Vec<Vec<u8>> = (0..count as u64)
        .map(|counter| {
            let mut out = plain.clone();
            key.seal_in_place_append_tag(nonce(counter), Aad::from(METADATA), &mut out).unwrap();
            out.shrink_to_fit();
            out
        })
        .collect();
    let (mut opener, mut next, mut out) = (Opener::new(1), count, Vec::new());
    let (mut raw_next, mut raw) = (0, Vec::new());
    bench.pair(
        &name,
        "ring AES-256-GCM",
        || {
            if next == count {
                opener = Opener::new(1);
                opener.insert(3, &base);
                next = 0;
            }
            opener.open(&METADATA, black_box(&sealed[next]), &mut out).unwrap();
            next += 1;
            black_box(&out);
        },
        || {
            raw.clear();
            raw.extend_from_slice(black_box(&raw_sealed[raw_next]));
            key.open_in_place(nonce(raw_next as u64), Aad::from(METADATA), &mut raw).unwrap();
            raw_next = (raw_next + 1) % count;
            black_box(&raw);
        },
    );
}

/// Hands snow one random key after the other; their quality does not matter to the time.
struct Counting(u8);

impl Random for Counting {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        self.0 = self.0.wrapping_add(1);
        out.fill(self.0);
        Ok(())
    }
}

struct WithRandom(u8);

impl CryptoResolver for WithRandom {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Counting(self.0)))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

const PROLOGUE: &[u8] = b"a prologue as long as that of a real meeting, with its room and its roles";

fn handshake(bench: &mut Bench) {
    let mut entropy = Seeded(11);
    let (guest, host) = (StaticKey::from_entropy(&mut entropy), StaticKey::from_entropy(&mut entropy));
    let (host_public, psk0) = (host.public(), Secret::new([3; 32]));

    let (guest_private, host_private) = ([0x21; 32], [0x42; 32]);
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).unwrap();
    dh.set(&host_private);
    let snow_host_public = dh.pubkey().to_vec();
    let builder = |seed: u8| {
        Builder::with_resolver(NOISE_NAME.parse().unwrap(), Box::new(WithRandom(seed)))
            .prologue(PROLOGUE)
            .and_then(|builder| builder.psk(0, &[3; 32]))
            .and_then(|builder| builder.psk(2, &[4; 32]))
            .unwrap()
    };

    bench.pair(
        "handshake, both sides, with ML-KEM-768",
        "snow, the same Noise pattern, no KEM",
        || {
            let (mut initiator, first) = Initiator::start(PROLOGUE, &guest, &host_public, &psk0, &mut entropy).unwrap();
            let (mut responder, second) =
                Responder::handle_first(PROLOGUE, &host, &psk0, &first, &mut entropy).unwrap();
            let (session, third) = initiator.handle_second(&second).unwrap();
            let other = responder.handle_third(&third).unwrap();
            assert_eq!(session.hash(), other.hash());
        },
        || {
            let mut initiator = builder(1)
                .local_private_key(&guest_private)
                .and_then(|builder| builder.remote_public_key(&snow_host_public))
                .and_then(Builder::build_initiator)
                .unwrap();
            let mut responder =
                builder(128).local_private_key(&host_private).and_then(Builder::build_responder).unwrap();
            let (mut wire, mut payload) = ([0; 2048], [0; 2048]);
            let mut pass = |from: &mut HandshakeState, to: &mut HandshakeState| {
                let length = from.write_message(&[], &mut wire).unwrap();
                to.read_message(&wire[..length], &mut payload).unwrap();
            };
            pass(&mut initiator, &mut responder);
            pass(&mut responder, &mut initiator);
            pass(&mut initiator, &mut responder);
            assert_eq!(initiator.get_handshake_hash(), responder.get_handshake_hash());
            black_box((
                initiator.into_stateless_transport_mode().unwrap(),
                responder.into_stateless_transport_mode().unwrap(),
            ));
        },
    );
}
