//! What a peer's session description and candidates may say.
//!
//! Both come from outside: through an authenticated session, but the member at its other end may still be hostile. So
//! a text is measured, read line by line against what Conclave itself writes (RFC 8866; RFC 9429 section 5), and only
//! the lines that are understood are passed on to the WebRTC stack. What is essential and missing, or present and
//! wrong, is an error; what is unknown is left out.

use std::net::{IpAddr, SocketAddr};

/// Longest session description, in bytes.
pub const MAX_SDP: usize = 16 << 10;
/// Longest candidate line, in bytes.
pub const MAX_CANDIDATE: usize = 512;
/// Most candidates taken from a peer, in one description and after it.
pub const MAX_CANDIDATES: usize = 64;
const MAX_LINES: usize = 256;
const MAX_LINE: usize = 512;
const MAX_SSRC_LINES: usize = 16;

/// RTP payload type of Opus.
pub const PT_AUDIO: u8 = 111;
/// RTP payload type of video. It is announced as H.264, which is what is inside; what travels are our own fragments.
pub const PT_VIDEO: u8 = 125;
/// RTP payload type of retransmitted video (RFC 4588).
pub const PT_VIDEO_RTX: u8 = 105;

/// Why a session description is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// Longer than [`MAX_SDP`], too many lines, or too long a line.
    #[error("the session description is too long")]
    TooLong,
    /// A character that has no place in one, or a line that isn't `x=…`.
    #[error("the session description is not well-formed at line {0}")]
    Syntax(usize),
    /// Not exactly one audio and one video section, in this order.
    #[error("the session description has other media than one audio and one video")]
    Media,
    /// A section without exactly our payload types and codecs.
    #[error("the session description offers other codecs")]
    Codec,
    /// No certificate fingerprint.
    #[error("the session description names no certificate")]
    NoFingerprint,
    /// A hash other than SHA-256, a malformed one, or several that differ.
    #[error("the certificate fingerprint is unusable")]
    Fingerprint,
    /// A later description names another certificate than the first.
    #[error("the peer's certificate changed")]
    FingerprintChanged,
    /// ICE user fragment or password missing, or outside the lengths of RFC 8839 section 5.4.
    #[error("the ICE credentials are unusable")]
    Credentials,
    /// A candidate inside it is unusable.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
}

/// Why a candidate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// Longer than [`MAX_CANDIDATE`].
    #[error("the candidate is too long")]
    TooLong,
    /// Not the grammar of RFC 8839 section 5.1.
    #[error("the candidate is not well-formed")]
    Syntax,
    /// TCP, or another component than 1.
    #[error("the candidate's transport is not supported")]
    Transport,
    /// A name instead of an address, an address no media can be sent to, or a loopback address where none may be.
    #[error("the candidate's address cannot be used")]
    Address,
    /// More than [`MAX_CANDIDATES`].
    #[error("the peer sent too many candidates")]
    TooMany,
}

/// The kind of a candidate (RFC 8445 section 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of the machine itself.
    Host,
    /// An address that a STUN server or a check saw.
    Reflexive,
    /// An address on a TURN server.
    Relay,
}

/// A candidate that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it can be reached.
    pub address: SocketAddr,
    /// Its kind.
    pub kind: CandidateKind,
    /// The line as it is handed on, beginning with `candidate:`.
    pub line: String,
}

/// A session description that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The lines that were understood, in their order, with CRLF.
    pub sdp: String,
    /// SHA-256 of the peer's DTLS certificate.
    pub fingerprint: [u8; 32],
    /// Candidates inside it.
    pub candidates: usize,
}

impl Checked {
    /// Leaves out the candidates that `keep` refuses. [`Checked::candidates`] stays the number that was named.
    pub fn retain_candidates(&mut self, allow_loopback: bool, mut keep: impl FnMut(&Candidate) -> bool) {
        let mut out = String::with_capacity(self.sdp.len());
        for line in self.sdp.lines() {
            let kept = match line.starts_with("a=candidate:") {
                true => check_candidate(line, allow_loopback).is_ok_and(|candidate| keep(&candidate)),
                false => true,
            };
            if kept {
                out.push_str(line);
                out.push_str("\r\n");
            }
        }
        self.sdp = out;
    }
}

/// Reads one candidate, with or without `a=` before it.
///
/// # Errors
/// A [`CandidateError`].
pub fn check_candidate(line: &str, allow_loopback: bool) -> Result<Candidate, CandidateError> {
    if line.len() > MAX_CANDIDATE {
        return Err(CandidateError::TooLong);
    }
    let text = line.strip_prefix("a=").unwrap_or(line);
    let text = text.strip_prefix("candidate:").ok_or(CandidateError::Syntax)?;
    if !text.bytes().all(|b| (0x20..0x7F).contains(&b)) {
        return Err(CandidateError::Syntax);
    }
    let words: Vec<&str> = text.split(' ').collect();
    let &[foundation, component, transport, priority, ip, port, typ, kind, ref rest @ ..] = &words[..] else {
        return Err(CandidateError::Syntax);
    };
    let grammar = (1..=32).contains(&foundation.len())
        && foundation.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        && priority.len() <= 10
        && priority.parse::<u32>().is_ok()
        && typ == "typ"
        && rest.len().is_multiple_of(2)
        && rest.iter().all(|word| !word.is_empty());
    if !grammar {
        return Err(CandidateError::Syntax);
    }
    if component != "1" || !transport.eq_ignore_ascii_case("udp") {
        return Err(CandidateError::Transport);
    }
    let kind = match kind {
        "host" => CandidateKind::Host,
        "srflx" | "prflx" => CandidateKind::Reflexive,
        "relay" => CandidateKind::Relay,
        _ => return Err(CandidateError::Syntax),
    };
    for pair in rest.chunks_exact(2) {
        let well_formed = match pair[0] {
            "raddr" => pair[1].parse::<IpAddr>().is_ok(),
            "rport" => pair[1].parse::<u16>().is_ok(),
            _ => true,
        };
        if !well_formed {
            return Err(CandidateError::Syntax);
        }
    }
    // A name would make us look it up for the peer: literals only.
    let ip: IpAddr = ip.parse().map_err(|_| CandidateError::Address)?;
    let port: u16 = port.parse().map_err(|_| CandidateError::Syntax)?;
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if port == 0 || ip.is_unspecified() || ip.is_multicast() || broadcast || (ip.is_loopback() && !allow_loopback) {
        return Err(CandidateError::Address);
    }
    Ok(Candidate { address: SocketAddr::new(ip, port), kind, line: format!("candidate:{text}") })
}

#[derive(Default)]
struct Section {
    audio: bool,
    maps: Vec<u8>,
    ssrc_lines: usize,
}

/// Reads a session description.
///
/// `pinned` is the fingerprint of the path's first description: a later one must name the same certificate. Candidates
/// that could not be used are left out, among them those on loopback unless `allow_loopback`.
///
/// # Errors
/// An [`SdpError`].
pub fn check(sdp: &str, pinned: Option<&[u8; 32]>, allow_loopback: bool) -> Result<Checked, SdpError> {
    if sdp.len() > MAX_SDP {
        return Err(SdpError::TooLong);
    }
    let mut out = String::with_capacity(sdp.len());
    let mut sections: Vec<Section> = Vec::new();
    let mut fingerprint: Option<[u8; 32]> = None;
    let (mut ufrag, mut pwd, mut candidates) = (false, false, 0);
    for (at, line) in sdp.lines().enumerate() {
        let number = at + 1;
        if at >= MAX_LINES || line.len() > MAX_LINE {
            return Err(SdpError::TooLong);
        }
        // Before empty lines are passed over: one in front would let a description begin with anything.
        if at == 0 && line != "v=0" {
            return Err(SdpError::Syntax(number));
        }
        if line.is_empty() {
            continue;
        }
        if !line.bytes().all(|b| (0x20..0x7F).contains(&b)) {
            return Err(SdpError::Syntax(number));
        }
        let (kind, value) = line.split_once('=').ok_or(SdpError::Syntax(number))?;
        let keep = match kind {
            "v" | "o" | "s" | "t" => sections.is_empty(),
            "c" => true,
            "m" => {
                sections.push(media(value, sections.len())?);
                true
            }
            "a" => {
                let (name, argument) = value.split_once(':').unwrap_or((value, ""));
                match name {
                    "fingerprint" => {
                        let found = parse_fingerprint(argument).ok_or(SdpError::Fingerprint)?;
                        if fingerprint.is_some_and(|earlier| earlier != found) {
                            return Err(SdpError::Fingerprint);
                        }
                        fingerprint = Some(found);
                        true
                    }
                    "ice-ufrag" => {
                        ufrag |= credential(argument, 4)?;
                        true
                    }
                    "ice-pwd" => {
                        pwd |= credential(argument, 22)?;
                        true
                    }
                    "candidate" => match check_candidate(line, allow_loopback) {
                        // WebRTC stacks also name RTCP's component, TCP and, by mistake, loopback addresses.
                        Err(CandidateError::Address | CandidateError::Transport) => false,
                        Err(error) => return Err(error.into()),
                        Ok(_) => {
                            candidates += 1;
                            if candidates > MAX_CANDIDATES {
                                return Err(CandidateError::TooMany.into());
                            }
                            true
                        }
                    },
                    _ => attribute(name, argument, sections.last_mut())?,
                }
            }
            _ => false,
        };
        if keep {
            out.push_str(line);
            out.push_str("\r\n");
        }
    }
    let fingerprint = fingerprint.ok_or(SdpError::NoFingerprint)?;
    if sections.len() != 2 {
        return Err(SdpError::Media);
    }
    for section in &mut sections {
        section.maps.sort_unstable();
        let wanted: &[u8] = if section.audio { &[PT_AUDIO] } else { &[PT_VIDEO_RTX, PT_VIDEO] };
        if section.maps != wanted {
            return Err(SdpError::Codec);
        }
    }
    if !ufrag || !pwd {
        return Err(SdpError::Credentials);
    }
    if pinned.is_some_and(|pinned| *pinned != fingerprint) {
        return Err(SdpError::FingerprintChanged);
    }
    Ok(Checked { sdp: out, fingerprint, candidates })
}

/// `m=audio 9 UDP/TLS/RTP/SAVPF 111`
fn media(value: &str, before: usize) -> Result<Section, SdpError> {
    let mut words = value.split(' ');
    let audio = match (words.next(), before) {
        (Some("audio"), 0) => true,
        (Some("video"), 1) => false,
        _ => return Err(SdpError::Media),
    };
    let port = words.next().and_then(|port| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) || words.next() != Some("UDP/TLS/RTP/SAVPF") {
        return Err(SdpError::Media);
    }
    let mut formats: Vec<u8> = Vec::new();
    for word in words {
        formats.push(word.parse().map_err(|_| SdpError::Codec)?);
    }
    formats.sort_unstable();
    let wanted: &[u8] = if audio { &[PT_AUDIO] } else { &[PT_VIDEO_RTX, PT_VIDEO] };
    if formats != wanted {
        return Err(SdpError::Codec);
    }
    Ok(Section { audio, ..Section::default() })
}

/// Whether an attribute is passed on; an error if it says what must not be said.
fn attribute(name: &str, argument: &str, section: Option<&mut Section>) -> Result<bool, SdpError> {
    let Some(section) = section else {
        return Ok(match name {
            "group" => argument.starts_with("BUNDLE ") && argument.len() <= 64,
            "setup" => role(argument),
            "ice-options" => argument.len() <= 32,
            _ => false,
        });
    };
    Ok(match name {
        "rtpmap" => {
            let (pt, codec) = argument.split_once(' ').ok_or(SdpError::Codec)?;
            let pt: u8 = pt.parse().map_err(|_| SdpError::Codec)?;
            let expected = match (pt, section.audio) {
                (PT_AUDIO, true) => "opus/48000/2",
                (PT_VIDEO, false) => "H264/90000",
                (PT_VIDEO_RTX, false) => "rtx/90000",
                _ => return Err(SdpError::Codec),
            };
            if !codec.eq_ignore_ascii_case(expected) {
                return Err(SdpError::Codec);
            }
            section.maps.push(pt);
            true
        }
        "fmtp" => {
            let pt = argument.split(' ').next().and_then(|pt| pt.parse::<u8>().ok());
            let ours = pt.is_some_and(|pt| [PT_AUDIO, PT_VIDEO, PT_VIDEO_RTX].contains(&pt));
            if pt == Some(PT_VIDEO_RTX) && argument != format!("{PT_VIDEO_RTX} apt={PT_VIDEO}") {
                return Err(SdpError::Codec);
            }
            ours
        }
        "rtcp-fb" => {
            let (pt, feedback) = argument.split_once(' ').ok_or(SdpError::Codec)?;
            pt == PT_VIDEO.to_string() && ["nack", "nack pli", "ccm fir"].contains(&feedback.trim_end())
        }
        "ssrc" | "ssrc-group" => {
            section.ssrc_lines += 1;
            if section.ssrc_lines > MAX_SSRC_LINES {
                return Err(SdpError::Media);
            }
            let mut words = argument.split(' ');
            if name == "ssrc" {
                words.next().is_some_and(|word| word.parse::<u32>().is_ok())
            } else {
                words.next() == Some("FID")
                    && words.clone().count() == 2
                    && words.all(|word| word.parse::<u32>().is_ok())
            }
        }
        "setup" => role(argument),
        "mid" => (1..=16).contains(&argument.len()) && argument.bytes().all(|b| b.is_ascii_alphanumeric()),
        "msid" => argument.len() <= 128,
        "rtcp-mux" | "rtcp-rsize" | "sendrecv" | "end-of-candidates" => argument.is_empty(),
        _ => false,
    })
}

fn role(argument: &str) -> bool {
    ["actpass", "active", "passive"].contains(&argument)
}

fn credential(argument: &str, least: usize) -> Result<bool, SdpError> {
    let ice_char = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    if (least..=256).contains(&argument.len()) && argument.bytes().all(ice_char) {
        Ok(true)
    } else {
        Err(SdpError::Credentials)
    }
}

/// `sha-256 AB:CD:…` (RFC 8122 section 5).
fn parse_fingerprint(argument: &str) -> Option<[u8; 32]> {
    let (hash, hex) = argument.split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") || hex.len() != 32 * 3 - 1 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(hex.split(':')) {
        if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> String {
        let fingerprint = vec!["AB"; 32].join(":");
        [
            "v=0",
            "o=- 1 2 IN IP4 0.0.0.0",
            "s=-",
            "t=0 0",
            &format!("a=fingerprint:sha-256 {fingerprint}"),
            "a=group:BUNDLE 0 1",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "c=IN IP4 0.0.0.0",
            "a=setup:actpass",
            "a=mid:0",
            "a=ice-ufrag:abcdEFGH",
            "a=ice-pwd:abcdefghijklmnopqrstuvwxyz",
            "a=rtcp-mux",
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 minptime=10;useinbandfec=1",
            "a=ssrc:1 cname:c",
            "a=sendrecv",
            "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host",
            "m=video 9 UDP/TLS/RTP/SAVPF 125 105",
            "c=IN IP4 0.0.0.0",
            "a=mid:1",
            "a=ice-ufrag:abcdEFGH",
            "a=ice-pwd:abcdefghijklmnopqrstuvwxyz",
            "a=rtpmap:125 H264/90000",
            "a=rtpmap:105 rtx/90000",
            "a=fmtp:105 apt=125",
            "a=rtcp-fb:125 nack pli",
            "a=ssrc-group:FID 2 3",
            "a=sendrecv",
            "",
        ]
        .join("\r\n")
    }

    fn refused(from: &str, to: &str) -> SdpError {
        let text = sample();
        assert!(text.contains(from), "{from}");
        check(&text.replace(from, to), None, false).unwrap_err()
    }

    #[test]
    fn a_description_of_our_own_kind_passes_whole() {
        let checked = check(&sample(), None, false).unwrap();
        assert_eq!(checked.sdp, sample());
        assert_eq!((checked.fingerprint, checked.candidates), ([0xAB; 32], 1));
    }

    /// Found by fuzzing.
    #[test]
    fn nothing_comes_before_the_version_not_even_an_empty_line() {
        for front in ["\r\n", "\n", "s=-\r\n"] {
            assert_eq!(check(&format!("{front}{}", sample()), None, false), Err(SdpError::Syntax(1)));
            let without = sample().replace("v=0\r\n", front);
            assert_eq!(check(&without, None, false), Err(SdpError::Syntax(1)));
        }
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let text =
            sample().replace("a=mid:1", "a=mid:1\r\na=extmap:1 urn:x\r\nb=AS:1\r\na=rid:q send\r\na=simulcast:send q");
        let text = text.replace("a=group", "a=identity:xyz\r\nk=clear:1\r\na=group");
        assert_eq!(check(&text, None, false).unwrap().sdp, sample());
    }

    #[test]
    fn other_media_and_codecs_are_refused() {
        assert_eq!(refused("m=audio", "m=video"), SdpError::Media);
        assert_eq!(refused("m=video", "m=application"), SdpError::Media);
        assert_eq!(refused("m=audio 9 ", "m=audio 0 "), SdpError::Media);
        assert_eq!(refused("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"), SdpError::Media);
        assert_eq!(refused("SAVPF 111", "SAVPF 111 0"), SdpError::Codec);
        assert_eq!(refused("SAVPF 125 105", "SAVPF 125"), SdpError::Codec);
        assert_eq!(refused("opus/48000/2", "PCMU/8000"), SdpError::Codec);
        assert_eq!(refused("a=rtpmap:105 rtx/90000\r\n", ""), SdpError::Codec);
        assert_eq!(refused("apt=125", "apt=111"), SdpError::Codec);
        let more = sample() + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
        assert_eq!(check(&more, None, false), Err(SdpError::Media));
        let fewer = sample().split("m=video").next().unwrap().to_owned();
        assert_eq!(check(&fewer, None, false), Err(SdpError::Media));
    }

    #[test]
    fn a_certificate_must_be_named_once_with_sha_256_and_stay() {
        assert_eq!(refused("sha-256", "sha-1"), SdpError::Fingerprint);
        assert_eq!(refused("AB:AB", "AB:A"), SdpError::Fingerprint);
        assert_eq!(refused("AB:AB:AB", "AB:GG:AB"), SdpError::Fingerprint);
        let line = sample().lines().nth(4).unwrap().to_owned();
        assert_eq!(refused(&format!("{line}\r\n"), ""), SdpError::NoFingerprint);
        let other = line.replacen("AB", "00", 1);
        assert_eq!(refused("a=mid:1", &format!("a=mid:1\r\n{other}")), SdpError::Fingerprint);
        assert_eq!(check(&sample(), Some(&[0xAB; 32]), false).map(|c| c.candidates), Ok(1));
        assert_eq!(check(&sample(), Some(&[0; 32]), false), Err(SdpError::FingerprintChanged));
    }

    #[test]
    fn credentials_must_be_there_and_in_bounds() {
        assert_eq!(refused("a=ice-ufrag:abcdEFGH\r\n", ""), SdpError::Credentials);
        assert_eq!(refused("abcdEFGH", "abc"), SdpError::Credentials);
        assert_eq!(refused("abcdefghijklmnopqrstuvwxyz", "short"), SdpError::Credentials);
        assert_eq!(refused("abcdEFGH", "abcd EFGH"), SdpError::Credentials);
    }

    #[test]
    fn sizes_and_characters_are_bounded() {
        assert_eq!(check(&"a=x\r\n".repeat(10_000), None, false), Err(SdpError::TooLong));
        assert_eq!(refused("a=mid:0", &format!("a={}", "x".repeat(600))), SdpError::TooLong);
        assert_eq!(refused("a=mid:0", &"a=x\r\n".repeat(300)), SdpError::TooLong);
        assert_eq!(refused("a=mid:0", "a=\u{e9}"), SdpError::Syntax(10));
        assert_eq!(refused("a=mid:0", "\0"), SdpError::Syntax(10));
        assert_eq!(refused("v=0", "v=1"), SdpError::Syntax(1));
        assert_eq!(refused("a=sendrecv", &"a=ssrc:1 x:y\r\n".repeat(20)), SdpError::Media);
        let many = "a=candidate:1 1 udp 1 192.0.2.7 5000 typ host\r\n".repeat(MAX_CANDIDATES);
        assert_eq!(refused("a=mid:0", many.trim_end()), SdpError::Candidate(CandidateError::TooMany));
        assert_eq!(check("", None, false), Err(SdpError::NoFingerprint));
    }

    #[test]
    fn candidates_are_addresses_that_media_can_be_sent_to() {
        let with = |ip: &str, loopback| check_candidate(&format!("candidate:1 1 udp 1 {ip} 9 typ host"), loopback);
        assert_eq!(with("192.0.2.7", false).unwrap().address, "192.0.2.7:9".parse::<SocketAddr>().unwrap());
        assert_eq!(with("2001:db8::1", false).unwrap().address, "[2001:db8::1]:9".parse::<SocketAddr>().unwrap());
        assert!(with("127.0.0.1", true).is_ok());
        for bad in
            ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "x.local", "evil.example"]
        {
            assert_eq!(with(bad, false), Err(CandidateError::Address), "{bad}");
        }
    }

    #[test]
    fn malformed_candidates_are_named_as_such() {
        let bad = |line: &str| check_candidate(line, true).unwrap_err();
        for line in [
            "",
            "candidate:",
            "1 1 udp 1 192.0.2.7 9 typ host",
            "candidate:1 1 udp x 192.0.2.7 9 typ host",
            "candidate:1 1 udp 1 192.0.2.7 99999 typ host",
            "candidate:1 1 udp 1 192.0.2.7 9 typ guest",
            "candidate:1 1 udp 1 192.0.2.7 9 typ host raddr",
            "candidate:1 1 udp 1 192.0.2.7 9 typ srflx raddr evil.example rport 9",
            "candidate:1 1 udp 1 192.0.2.7 9 typ host\r\na=setup:active",
        ] {
            assert_eq!(bad(line), CandidateError::Syntax, "{line}");
        }
        assert_eq!(bad("candidate:1 1 tcp 1 192.0.2.7 9 typ host tcptype passive"), CandidateError::Transport);
        assert_eq!(bad("candidate:1 2 udp 1 192.0.2.7 9 typ host"), CandidateError::Transport);
        assert_eq!(bad(&format!("candidate:{}", "1".repeat(600))), CandidateError::TooLong);
        let relay =
            check_candidate("a=candidate:1 1 UDP 1 192.0.2.7 9 typ relay raddr 0.0.0.0 rport 0", false).unwrap();
        assert_eq!((relay.kind, relay.line.starts_with("candidate:1 ")), (CandidateKind::Relay, true));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,600}") {
            let _ = check(&text, None, true);
            let _ = check_candidate(&text, true);
        }

        #[test]
        fn a_damaged_description_never_panics_and_never_grows(at in 0usize..900, byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = sample().into_bytes();
            if at < bytes.len() {
                if cut { bytes.truncate(at); } else { bytes[at] = byte; }
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Ok(checked) = check(&text, None, true) {
                prop_assert!(checked.sdp.len() <= text.len() + 2 * MAX_LINES);
            }
        }
    }
}
