//! The corpus of the fuzz targets, replayed through the same code without a fuzzer and without a nightly compiler.
//!
//! `cargo test --test fuzz_corpus -- --ignored` writes the genuine messages of the corpus (`real-*`) anew, as a change of
//! the wire format needs it; the rest of the corpus is what the fuzzer found, and stays as it is.

#![cfg(feature = "client")]
// Helpers of a test may stop it; clippy knows only functions marked #[test].
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use conclave::crypto::frame::{Kid, Sealer, Stream};
use conclave::crypto::{Identity, IdentityKey, Secret};
use conclave::protocol::envelope::{Envelope, MAX_HANDSHAKE};
use conclave::protocol::log::{Log, Record};
use conclave::protocol::media_header::{AudioCopy, AudioFrame, VideoHeader};
use conclave::protocol::roster::{Entry, Listed, MemberRole, NOBODY, Operation, Signed};
use conclave::protocol::wire::{Message, Request, Waiting};
use conclave::protocol::{Invite, RelayAddress};
use conclave::rendezvous::frames::{ClientFrame, EVERYONE, RefusedCode, ServerFrame, VERSION};
use conclave::transport::fragment::{MAX_PAYLOAD, split};

#[path = "../fuzz/bodies.rs"]
mod bodies;

/// The whole corpus, in bytes: what a repository can carry without being noticed.
const MOST: u64 = 200_000;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Names and bytes of a target's inputs, in a fixed order.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn no_input_of_the_corpus_breaks_a_parser() {
    let mut total = 0;
    for (target, _) in bodies::TARGETS {
        let inputs = corpus(target);
        assert!(inputs.len() >= 3, "{target} has {} inputs", inputs.len());
        for (name, data) in inputs {
            total += data.len() as u64;
            // A panic names the file, so that it can be run alone.
            let result = std::panic::catch_unwind(|| bodies::run(target, &data));
            assert!(result.is_ok(), "fuzz/corpus/{target}/{name}");
        }
    }
    assert!(total <= MOST, "the corpus has {total} bytes");
}

#[test]
fn what_is_genuine_in_the_corpus_is_accepted() {
    for (target, _) in bodies::TARGETS {
        let genuine: Vec<_> = corpus(target).into_iter().filter(|(name, _)| name.starts_with("real-")).collect();
        assert!(!genuine.is_empty(), "{target}");
        for (name, data) in genuine {
            assert!(
                bodies::run(target, &data),
                "fuzz/corpus/{target}/{name} is refused: write the genuine messages anew"
            );
        }
    }
}

/// Every input cut short, lengthened and with single bits changed: what the fuzzer would try first.
#[test]
fn no_damage_to_the_corpus_breaks_a_parser() {
    for (target, _) in bodies::TARGETS {
        for (_, data) in corpus(target) {
            for keep in (0..data.len()).step_by(1 + data.len() / 16) {
                bodies::run(target, &data[..keep]);
            }
            bodies::run(target, &[&data[..], &[0]].concat());
            for place in (0..data.len()).step_by(1 + data.len() / 32) {
                let mut damaged = data.clone();
                damaged[place] ^= 1 << (place % 8);
                bodies::run(target, &damaged);
            }
        }
    }
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let programs: Vec<&str> =
        manifest["bin"].as_array().unwrap().iter().map(|program| program["name"].as_str().unwrap()).collect();
    let targets: Vec<&str> = bodies::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(programs, targets, "fuzz/Cargo.toml names other programs than bodies.rs has targets");
    for target in targets {
        let program = fs::read_to_string(root.join(format!("targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("bodies::run(\"{target}\", data)")), "{target}");
        assert!(folder(target).is_dir(), "{target}");
    }
}

fn put(target: &str, name: &str, data: impl AsRef<[u8]>) {
    fs::create_dir_all(folder(target)).unwrap();
    fs::write(folder(target).join(format!("real-{name}")), data).unwrap();
}

#[test]
#[ignore = "writes into fuzz/corpus"]
fn write_the_genuine_messages() {
    for (target, _) in bodies::TARGETS {
        for (name, _) in corpus(target).iter().filter(|(name, _)| name.starts_with("real-")) {
            fs::remove_file(folder(target).join(name)).unwrap();
        }
    }
    write_links();
    write_envelopes_and_frames();
    write_messages();
    write_roster_and_log();
    write_descriptions();
    write_media();
}

fn write_links() {
    let invite = |relays: &[&str], name: Option<&str>, expires| Invite {
        room_secret: Secret::new([1; 16]),
        host_identity: IdentityKey([2; 32]),
        host_static: [3; 32],
        host_name: name.map(str::to_owned),
        invite_id: [4; 8],
        secret: Secret::new([5; 32]),
        relays: relays.iter().map(|relay| RelayAddress::from_setting(relay).unwrap()).collect(),
        expires,
    };
    let plain = invite(&["relay.example"], None, None).to_link();
    put("invite", "one-relay", &plain);
    put("invite", "as-pasted", format!(" <{}\n{}> ", &plain[..60], &plain[60..]));
    put("invite", "https", plain.replace("conclave://relay.example/", "https://relay.example/join"));
    let many = invite(&["ws://192.0.2.7:9", "ws://[2001:db8::1]", "relay.example:1"], Some("Zoë 🦊"), Some(u64::MAX));
    put("invite", "three-relays-expiring", many.to_link());
    // As the target takes it: a zero byte, then the body between length and checksum (docs/PROTOCOL.md §1).
    for (name, link) in [("body", plain), ("body-expiring", many.to_link())] {
        let fragment = link.split_once('#').unwrap().1;
        let payload = data_encoding::BASE64URL_NOPAD.decode(fragment.as_bytes()).unwrap();
        put("invite", name, [&[0], &payload[3..payload.len() - 4]].concat());
    }
}

fn write_envelopes_and_frames() {
    let (attempt, message) = ([9; 8], vec![0xab; MAX_HANDSHAKE]);
    // Byte by byte after docs/PROTOCOL.md §3.
    put("envelope", "first", [&[0x01][..], &attempt, &[7; 16], &[1], &message].concat());
    put("envelope", "refused", [&[0x05][..], &attempt, &[7; 16], &[1]].concat());
    put("envelope", "second", [&[0x02][..], &attempt, &message[..1136]].concat());
    put("envelope", "third", [&[0x03][..], &attempt, &message[..64]].concat());
    let data = [&[0x04][..], &attempt, &message[..152]].concat();
    assert!(Envelope::parse(&data).is_ok());
    put("envelope", "data", &data);

    put("relay_frames", "join", ClientFrame::Join { version: VERSION, room: [7; 32] }.encode());
    let payload = Bytes::from(data);
    put("relay_frames", "send", ClientFrame::Send { to: EVERYONE, payload: payload.clone() }.encode());
    put("relay_frames", "from", ServerFrame::From { from: 5, payload }.encode());
    put("relay_frames", "joined", ServerFrame::Joined { you: 1, others: vec![2, 3, u64::MAX] }.encode());
    put("relay_frames", "arrived", ServerFrame::Arrived(4).encode());
    put("relay_frames", "left", ServerFrame::Left(4).encode());
    put("relay_frames", "refused", ServerFrame::Refused(RefusedCode::from_code(5)).encode());
}

/// The entry by which somebody came in.
fn entry() -> Signed {
    let identity = |who: u8| Identity::from_seed(Secret::new([who; 32]));
    let listed = |index: u16, role, name: &str| {
        let who = index as u8 + 1;
        Listed { index, role, identity: identity(who).key(), static_key: [who; 32], name: name.into() }
    };
    let entry = Entry {
        term: 0,
        counter: 1,
        previous: [9; 32],
        time: 1_800_000_000,
        operation: Operation::Admit,
        subject: 1,
        locked: false,
        heir: 1,
        next_index: 2,
        members: vec![listed(0, MemberRole::Host, "Zoë 🦊"), listed(1, MemberRole::Member, "Ben")],
    };
    Signed::make(entry, &[6; 32], &identity(1))
}

fn write_roster_and_log() {
    let admitted = entry();
    put("roster", "admit", admitted.to_bytes());
    let locked = Entry { operation: Operation::Lock, subject: NOBODY, locked: true, ..admitted.entry.clone() };
    let host = Identity::from_seed(Secret::new([1; 32]));
    put("roster", "locked", Signed::make(locked, &[6; 32], &host).to_bytes());
    let open = Entry::open(admitted.entry.members[0].clone(), admitted.entry.time);
    let open = Signed::make(open, &[6; 32], &host);
    put("roster", "alone", open.to_bytes());
    let second = Signed::make(Entry { previous: open.hash, ..admitted.entry }, &[6; 32], &host);

    let mut log = Log::default();
    log.note(1_800_000_000, &Record::Entry(&open));
    put("meeting_log", "begun", log.sign(&[6; 32], 0, &host));
    log.note(1_800_000_001, &Record::Entry(&second));
    log.note(1_800_000_001, &Record::Drew { generation: 1, roster: &second.hash, key: [1; 8], to: &[1] });
    log.note(1_800_000_002, &Record::Using { generation: 1 });
    log.note(1_800_000_003, &Record::Got { from: 1, generation: 1, roster: &second.hash, key: [2; 8] });
    log.note(1_800_000_004, &Record::Code { people: &second.entry.people(), digits: "0000 12345 67890" });
    put("meeting_log", "with-keys", log.sign(&[6; 32], 0, &host));
    let mut small = Log::default();
    small.note(1_800_000_000, &Record::Entry(&open));
    small.note(1_800_000_001, &Record::Full);
    put("meeting_log", "full", small.sign(&[6; 32], 0, &host));
}

fn write_messages() {
    let sdp = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n".to_owned();
    let line = "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host".to_owned();
    for message in [
        Message::Proof { identity: IdentityKey([1; 32]), signature: [2; 64] },
        Message::Knock { name: "Zoë 🦊".into() },
        Message::Decline { reason: 1 },
        Message::Leave { reason: 2 },
        Message::SenderKey { generation: 3, roster: [5; 32], base: Secret::new([4; 32]) },
        Message::Admit { your_index: 1, meeting: [6; 32], secret: Secret::new([7; 32]), roster: Box::new(entry()) },
        Message::Roster(Box::new(entry())),
        Message::Head(entry().head()),
        Message::Waiting(vec![Waiting { number: 70_000, identity: IdentityKey([8; 32]), name: "Ben".into() }]),
        Message::Request(Request::Remove(3)),
        Message::Request(Request::Admit(70_000)),
        Message::CodeOpen { round: [1; 16], people: [2; 32] },
        Message::CodeCommit { round: [1; 16], commitment: [3; 32] },
        Message::CodeSet { round: [1; 16], signature: [4; 64], set: [(0, [5; 32]), (7, [6; 32])].into() },
        Message::CodeReveal { round: [1; 16], value: Secret::new([7; 32]) },
        Message::CodeValues { round: [1; 16], values: [(0, Secret::new([8; 32]))].into() },
        Message::KeyAck { generation: u32::MAX },
        Message::Offer { sdp: sdp.clone() },
        Message::Answer { sdp },
        Message::Candidate { line },
        Message::Candidate { line: String::new() },
        Message::MediaState { mic: true, camera: false },
        Message::VideoWish { height: 360 },
        Message::Ping { token: 5 },
        Message::Pong { token: u64::MAX },
    ] {
        let bytes = message.encode().unwrap();
        put("wire", &format!("{}-{}", message.kind().replace(' ', "-"), bytes.len()), &bytes[..]);
    }
}

fn write_descriptions() {
    let fingerprint = vec!["AB"; 32].join(":");
    let ice = "a=ice-ufrag:abcdEFGH\r\na=ice-pwd:abcdefghijklmnopqrstuvwxyz\r\n";
    // After docs/PROTOCOL.md §8, with what a WebRTC stack adds and this program leaves out.
    let sound = format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\n{ice}a=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=ssrc:1 cname:c\r\na=sendrecv\r\n"
    );
    let pictures = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 125 105\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n{ice}a=rtpmap:125 H264/90000\r\n\
         a=rtpmap:105 rtx/90000\r\na=fmtp:105 apt=125\r\na=rtcp-fb:125 nack pli\r\na=ssrc-group:FID 2 3\r\na=sendrecv\r\n"
    );
    let head = format!(
        "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 {fingerprint}\r\na=group:BUNDLE 0 1\r\n"
    );
    let candidates = "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host\r\n\
                      a=candidate:2 1 udp 1694498815 2001:db8::7 5001 typ srflx raddr 192.0.2.7 rport 5000\r\n\
                      a=candidate:3 1 udp 1 127.0.0.1 5002 typ host\r\na=candidate:4 2 tcp 1 192.0.2.7 9 typ relay\r\n";
    put("sdp", "offer", format!("{head}{sound}{candidates}{pictures}"));
    put("sdp", "without-candidates", format!("{head}{sound}{pictures}").replace("\r\n", "\n"));
    put("sdp", "candidates", candidates);
    put("sdp", "candidate-bare", "candidate:4 1 UDP 1 198.51.100.4 6 typ prflx raddr :: rport 0 generation 0");
    let added = "a=extmap:1 urn:x\r\nb=AS:1\r\na=rid:q send\r\na=simulcast:send q\r\n";
    put("sdp", "with-more", format!("{head}{sound}{candidates}{pictures}{added}"));
}

fn write_media() {
    for (name, stream, generation, text) in [
        ("sound", Stream::Audio, 1, &[1; 84][..]),
        ("camera", Stream::Camera, 2, &[2; 300][..]),
        ("screen", Stream::Screen, 1, &[][..]),
    ] {
        let (_, base) = bodies::GENERATIONS[generation as usize - 1];
        let mut sealer = Sealer::new(Kid::new(bodies::SENDER, stream, generation), &Secret::new(base));
        let mut sealed = Vec::new();
        // The tenth frame: a counter with a byte of its own in the header.
        for _ in 0..10 {
            sealer.seal(bodies::METADATA, text, &mut sealed).unwrap();
        }
        put("sframe", name, &sealed);
    }

    let mut out = Vec::new();
    VideoHeader { key: true, capture_ms: 0x0102_0304 }.encode(&[0, 0, 0, 1, 0x67, 0x42], &mut out);
    put("media_header", "key-frame", &out);
    VideoHeader { key: false, capture_ms: u32::MAX }.encode(&[0, 0, 0, 1, 0x41], &mut out);
    put("media_header", "picture", &out);
    let mut sound = AudioFrame::new(7, &[0xf8, 0xff, 0xfe]);
    sound.encode(&mut out);
    put("media_header", "sound", &out);
    sound.add(AudioCopy { distance: 1, packet: &[0xf8, 0xff, 0xfe] });
    sound.add(AudioCopy { distance: 0, packet: &[0; 3] });
    sound.encode(&mut out);
    put("media_header", "sound-repeated", &out);

    // `1 ‖ (length ‖ pause ‖ piece)…`: two small pictures, in order and the other way round.
    let mut pieces = Vec::new();
    split(&[0x11; 300], true, 0, 150, &mut pieces).unwrap();
    split(&[0x22; 100], false, 1, MAX_PAYLOAD, &mut pieces).unwrap();
    let script = |pieces: &[Bytes]| -> Vec<u8> {
        let steps = pieces.iter().flat_map(|piece| [&[piece.len() as u8, 1][..], piece].concat());
        [1].into_iter().chain(steps).collect()
    };
    put("fragments", "in-order", script(&pieces));
    pieces.reverse();
    put("fragments", "reversed", script(&pieces));
    // `0 ‖ three sizes(u16) ‖ which piece next…`.
    put("fragments", "own-in-order", [0, 4, 0, 0x10, 0, 0, 9, 0, 1, 2, 3, 4, 5, 6]);
    put("fragments", "own-reversed", [2, 4, 0, 0x10, 0, 0, 9, 6, 5, 4, 3, 2, 1, 0]);
}
