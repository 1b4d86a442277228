//! What each fuzz target does with its bytes: one parser of what strangers, peers or relays send, and what must be true of
//! its answer. Shared by the targets in `targets/` and by `tests/fuzz_corpus.rs`, which replays the corpus without a fuzzer.
//!
//! Only the crate's public interface is used. A parser that is added gets a line in [`TARGETS`], a file in `targets/`, a
//! `[[bin]]` in `Cargo.toml` and a folder in `corpus/`; the test says which of them is missing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use conclave::crypto::Secret;
use conclave::crypto::frame::{Kid, Opener, Sealer, Stream};
use conclave::protocol::envelope::Envelope;
use conclave::protocol::invite::LINK_VERSION;
use conclave::protocol::log_reader;
use conclave::protocol::media_header::{AudioFrame, VideoHeader};
use conclave::protocol::roster::Signed;
use conclave::protocol::roster::entry::MAX_LISTED;
use conclave::protocol::wire::Message;
use conclave::protocol::{Invite, InviteError};
use conclave::rendezvous::frames::{ClientFrame, MAX_MEMBERS, ServerFrame, VERSION};
use conclave::transport::fragment::{self, FragmentError, MAX_FRAME};
use conclave::transport::reassembly::{MAX_BYTES_IN_FLIGHT, Reassembler};
use conclave::transport::sdp;
use data_encoding::BASE64URL_NOPAD;
use ring::digest;

/// A target: takes any bytes, panics if something is untrue, and says whether the parser accepted them.
pub(crate) type Body = fn(&[u8]) -> bool;

/// Every target by name.
pub(crate) const TARGETS: &[(&str, Body)] = &[
    ("envelope", envelope),
    ("fragments", fragments),
    ("invite", invite),
    ("media_header", media_header),
    ("meeting_log", meeting_log),
    ("relay_frames", relay_frames),
    ("roster", roster),
    ("sdp", session_description),
    ("sframe", sframe),
    ("wire", wire),
];

/// Runs the target `name`.
pub(crate) fn run(name: &str, data: &[u8]) -> bool {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, body) = found.unwrap_or_else(|| panic!("there is no target {name}"));
    body(data)
}

/// A payload from the relay. What is accepted is written back as the same bytes.
fn envelope(data: &[u8]) -> bool {
    let Ok(envelope) = Envelope::parse(data) else { return false };
    assert_eq!(envelope.to_bytes(), data);
    true
}

/// A signed roster entry. Each has one encoding, and what is taken for one names exactly one host among distinct members.
fn roster(data: &[u8]) -> bool {
    let Ok(signed) = Signed::parse(data) else { return false };
    assert_eq!(signed.to_bytes(), data);
    let entry = &signed.entry;
    assert!(entry.host().is_some() && entry.members.len() <= MAX_LISTED);
    assert!(entry.members.windows(2).all(|pair| pair[0].index < pair[1].index));
    assert!(entry.members.iter().all(|member| entry.by_identity(&member.identity) == Some(member)));
    true
}

/// A meeting log as somebody else saved it.
fn meeting_log(data: &[u8]) -> bool {
    log_reader::verify(data).is_ok()
}

/// A message inside a session. Each has one encoding, so what is accepted is written back as the same bytes.
fn wire(data: &[u8]) -> bool {
    let Ok(message) = Message::decode(data) else { return false };
    let again = message.encode();
    assert!(again.is_ok_and(|again| again[..] == *data), "{message:?} is written differently");
    true
}

/// What a frame holds once it is opened.
fn media_header(data: &[u8]) -> bool {
    let mut out = Vec::new();
    let video = VideoHeader::decode(data);
    if let Ok((header, picture)) = video {
        header.encode(picture, &mut out);
        assert_eq!(out, data);
    }
    let audio = AudioFrame::decode(data);
    if let Ok(frame) = &audio {
        frame.encode(&mut out);
        assert_eq!(out, data);
    }
    video.is_ok() || audio.is_ok()
}

/// A frame of the relay's protocol, read as the relay does and as a member does.
fn relay_frames(data: &[u8]) -> bool {
    let frame = Bytes::copy_from_slice(data);
    let from_member = ClientFrame::parse(&frame);
    match &from_member {
        // Of another version's Join nothing but the version is read.
        Ok(ClientFrame::Join { version, .. }) if *version != VERSION => {}
        Ok(read) => assert_eq!(read.encode(), frame),
        Err(_) => {}
    }
    let from_relay = ServerFrame::parse(&frame);
    if let Ok(read) = &from_relay {
        assert_eq!(read.encode(), frame);
        if let ServerFrame::Joined { others, .. } = read {
            assert!(others.len() <= MAX_MEMBERS);
        }
    }
    assert!(from_member.is_err() || from_relay.is_err(), "a frame goes in one direction");
    from_member.is_ok() || from_relay.is_ok()
}

/// A pasted link. Beginning with a zero byte: the body of a payload, to which length, checksum and the right address are
/// added here, since no fuzzer guesses a checksum.
fn invite(data: &[u8]) -> bool {
    let text = match data {
        [0, body @ ..] => match framed(body) {
            Some(link) => link,
            None => return false,
        },
        _ => match std::str::from_utf8(data) {
            Ok(text) => text.to_owned(),
            Err(_) => return false,
        },
    };
    let Ok(invite) = Invite::parse(&text, 0) else { return false };
    assert!((1..=8).contains(&invite.relays.len()));
    // One invite, one link: reading what was written gives the same again, and so does writing it.
    let link = invite.to_link();
    let again = Invite::parse(&link, 0);
    assert!(again.as_ref() == Ok(&invite), "{link}");
    assert_eq!(again.map(|again| again.to_link()), Ok(link));
    if let Some(at) = invite.expires {
        assert_eq!(Invite::parse(&text, at), Err(InviteError::Expired { at }));
    }
    true
}

/// The link with this body, shown at the address that the body names first.
fn framed(body: &[u8]) -> Option<String> {
    let length = u16::try_from(body.len() + 7).ok()?.to_be_bytes();
    let mut payload = [&[LINK_VERSION][..], &length, body].concat();
    let sum = digest::digest(&digest::SHA256, &payload);
    payload.extend(&sum.as_ref()[..4]);
    let fragment = BASE64URL_NOPAD.encode(&payload);
    match Invite::parse(&format!("conclave://elsewhere.invalid/#{fragment}"), 0) {
        Err(InviteError::AddressMismatch { actual, .. }) => Some(format!("conclave://{actual}/#{fragment}")),
        _ => None,
    }
}

/// A session description, or the lines of candidates.
fn session_description(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let mut accepted = false;
    for line in text.lines() {
        if let Ok(candidate) = sdp::check_candidate(line, false) {
            let ip = candidate.address.ip();
            assert!(!ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && candidate.address.port() != 0);
            assert_eq!(sdp::check_candidate(&candidate.line, false), Ok(candidate));
            accepted = true;
        }
    }
    if let Ok(checked) = sdp::check(text, None, false) {
        // Lines may have become a byte longer each: LF is handed on as CRLF.
        assert!(checked.sdp.len() <= sdp::MAX_SDP + 256 && checked.candidates <= sdp::MAX_CANDIDATES);
        assert!(checked.sdp.bytes().all(|byte| (0x20..0x7f).contains(&byte) || byte == b'\r' || byte == b'\n'));
        // What was handed on holds nothing more to leave out, and its certificate is the one that was found.
        if checked.sdp.len() <= sdp::MAX_SDP {
            assert_eq!(sdp::check(&checked.sdp, Some(&checked.fingerprint), false), Ok(checked.clone()));
        }
        let mut other = checked.fingerprint;
        other[0] ^= 1;
        assert!(sdp::check(&checked.sdp, Some(&other), false).is_err());
        accepted = true;
    }
    accepted
}

/// The sender in the target `sframe`, its base keys by generation, and what its frames are bound to.
pub(crate) const SENDER: u16 = 7;
/// See [`SENDER`].
pub(crate) const GENERATIONS: [(u32, [u8; 32]); 2] = [(1, [0x11; 32]), (2, [0x22; 32])];
/// See [`SENDER`].
pub(crate) const METADATA: &[u8] = b"meeting";

fn opener() -> Opener {
    let mut opener = Opener::new(SENDER);
    for (generation, base) in GENERATIONS {
        assert!(opener.insert(generation, &Secret::new(base)));
    }
    opener
}

/// A sealed frame, and the same bytes as a plaintext that is sealed, damaged and opened.
fn sframe(data: &[u8]) -> bool {
    let mut out = vec![0xee; 9];
    let mut receiver = opener();
    let accepted = match receiver.open(METADATA, data, &mut out) {
        Ok(_) => {
            assert!(out.len() < data.len());
            assert!(receiver.open(METADATA, data, &mut out).is_err(), "a frame opens once");
            assert!(out.is_empty());
            assert!(opener().open(b"another meeting", data, &mut out).is_err());
            true
        }
        Err(_) => false,
    };
    if !accepted {
        assert!(out.is_empty(), "what does not open leaves nothing behind");
    }
    let [at, flip, plaintext @ ..] = data else { return accepted };
    let (generation, base) = GENERATIONS[usize::from(*at) % GENERATIONS.len()];
    let kid = Kid::new(SENDER, Stream::ALL[usize::from(*flip) % 3], generation);
    let mut sealed = Vec::new();
    assert_eq!(Sealer::new(kid, &Secret::new(base)).seal(METADATA, plaintext, &mut sealed), Ok(()));
    let place = usize::from(*at) % sealed.len();
    sealed[place] ^= flip;
    let opened = opener().open(METADATA, &sealed, &mut out);
    assert_eq!(opened.is_ok(), *flip == 0, "a frame opens if, and only if, no bit of it was changed");
    assert!(out == if *flip == 0 { plaintext } else { &[] });
    accepted
}

/// Pieces of pictures. Beginning with an odd byte: pieces as the bytes say, each `length(1) ‖ pause(1) ‖ piece`. With an
/// even one: three pictures cut by ourselves, the bytes saying which piece arrives next.
fn fragments(data: &[u8]) -> bool {
    match data {
        [mode, rest @ ..] if mode % 2 == 1 => any_pieces(rest),
        [_, rest @ ..] if rest.len() > 6 => own_pieces(rest),
        _ => false,
    }
}

fn any_pieces(mut script: &[u8]) -> bool {
    let mut now = Instant::now();
    let mut reassembler = Reassembler::new();
    let mut delivered = false;
    let mut number = 0;
    while let [length, pause, rest @ ..] = script {
        let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        script = rest;
        number += 1;
        let _ = reassembler.push(now, &Bytes::copy_from_slice(piece), number);
        delivered |= drain(&mut reassembler).next().is_some();
        now += Duration::from_millis(u64::from(*pause) * 8);
        reassembler.handle_timeout(now);
        delivered |= drain(&mut reassembler).next().is_some();
        assert!(reassembler.bytes_in_flight() <= MAX_BYTES_IN_FLIGHT);
    }
    // Everything that waits is given up or handed out in the end.
    for _ in 0..1_000 {
        let Some(due) = reassembler.poll_timeout() else { break };
        now = now.max(due);
        reassembler.handle_timeout(now);
        delivered |= drain(&mut reassembler).next().is_some();
    }
    assert_eq!((reassembler.poll_timeout(), reassembler.bytes_in_flight()), (None, 0));
    delivered
}

fn drain(reassembler: &mut Reassembler) -> impl Iterator<Item = Bytes> {
    let mut frames = Vec::new();
    while let Some(frame) = reassembler.poll() {
        assert!((1..=MAX_FRAME).contains(&frame.data.len()));
        frames.push(frame.data);
    }
    frames.into_iter()
}

fn own_pieces(script: &[u8]) -> bool {
    let mut pictures = Vec::new();
    let mut pieces = Vec::new();
    for (number, size) in script[..6].chunks_exact(2).enumerate() {
        let size = usize::from(u16::from_be_bytes([size[0], size[1]])).max(1);
        let picture = vec![number as u8 + 1; size];
        let cut = fragment::split(&picture, number == 0, number as u16, fragment::MAX_PAYLOAD, &mut pieces);
        assert_eq!(cut, Ok(()));
        pictures.push(picture);
    }
    let now = Instant::now();
    let mut reassembler = Reassembler::new();
    let mut delivered = 0;
    for choice in &script[6..] {
        let piece = &pieces[usize::from(*choice) % pieces.len()];
        assert!(matches!(reassembler.push(now, piece, 0), Ok(()) | Err(FragmentError::Late)));
        for frame in drain(&mut reassembler) {
            // In order, each once, whole and unchanged, however its pieces arrived.
            assert!(frame == pictures[delivered]);
            delivered += 1;
        }
    }
    delivered > 0
}
