//! The messages inside a sealed session: `type(1) ‖ fields`, numbers big-endian, every length bounded.
//!
//! | type | message | fields |
//! |---|---|---|
//! | 0x01 | proof | identity key(32) ‖ signature(64) |
//! | 0x02 | knock | name |
//! | 0x03 | admit | name ‖ your index(2) ‖ my index(2) ‖ meeting id(32) |
//! | 0x04 | decline | reason(1) |
//! | 0x05 | leave | reason(1) |
//! | 0x06 | sender key | generation(4) ‖ base key(32) |
//! | 0x07 | key acknowledgement | generation(4) |
//! | 0x08 | offer | text of 1 to 16384 bytes |
//! | 0x09 | answer | text of 1 to 16384 bytes |
//! | 0x0a | candidate | text of 0 to 512 bytes |
//! | 0x0b | media state | flags(1): 0x01 microphone on, 0x02 camera on; others zero |
//! | 0x0c | ping | token(8) |
//! | 0x0d | pong | token(8) |
//!
//! A text is `length(2) ‖ UTF-8` without control characters other than tab, carriage return and line feed. A name is a text
//! of 1 to 64 characters without any control or direction-changing character, without white space at its ends.
//! Nothing may follow the last field.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto::identity::IdentityKey;
use crate::crypto::secret::Secret;

/// Longest name in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Longest session description in bytes. Two media sections with a few dozen candidates stay far below.
pub const MAX_SDP: usize = 16 * 1024;
/// Longest ICE candidate line in bytes.
pub const MAX_CANDIDATE: usize = 512;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A field is cut short.
    #[error("the message is cut short")]
    Truncated,
    /// Something follows the last field.
    #[error("something follows the message's last field")]
    TrailingBytes,
    /// No message has this type.
    #[error("no message has type {0:#04x}")]
    UnknownType(u8),
    /// A text is longer, or a name has more characters, than allowed; or an empty text where one is needed.
    #[error("a text's length is out of bounds")]
    TextLength,
    /// A text is not UTF-8 or holds characters that it may not.
    #[error("a text holds what it may not")]
    TextContent,
    /// A flag without a meaning is set.
    #[error("an unknown flag is set")]
    UnknownFlag,
}

/// One message. Secrets inside: no `Clone`, and `Debug` gives the kind alone.
#[derive(PartialEq)]
pub enum Message {
    /// Who speaks: a signature that binds the identity to this session.
    Proof {
        /// The speaker's identity key.
        identity: IdentityKey,
        /// See [`proof`](super::envelope::proof_statement).
        signature: [u8; 64],
    },
    /// A guest asks to be let in.
    Knock {
        /// The name it goes by.
        name: String,
    },
    /// The host lets a guest in.
    Admit {
        /// The host's name.
        name: String,
        /// The guest's sender index.
        your_index: u16,
        /// The host's sender index.
        my_index: u16,
        /// The meeting's id, which every sealed frame is bound to.
        meeting: [u8; 32],
    },
    /// The host does not.
    Decline {
        /// See [`DeclineReason`].
        reason: u8,
    },
    /// The speaker ends this session.
    Leave {
        /// See [`LeaveReason`].
        reason: u8,
    },
    /// A key that the speaker will seal with.
    SenderKey {
        /// Rises with every key of this sender.
        generation: u32,
        /// SFrame base key.
        base: Secret<32>,
    },
    /// A sender key has arrived.
    KeyAck {
        /// Which.
        generation: u32,
    },
    /// WebRTC session description (offer).
    Offer {
        /// RFC 8866 text.
        sdp: String,
    },
    /// WebRTC session description (answer).
    Answer {
        /// RFC 8866 text.
        sdp: String,
    },
    /// An ICE candidate; an empty line ends the candidates.
    Candidate {
        /// RFC 8839 `candidate:` line.
        line: String,
    },
    /// What the speaker is sending.
    MediaState {
        /// Microphone on.
        mic: bool,
        /// Camera on.
        camera: bool,
    },
    /// Asks for a [`Message::Pong`].
    Ping {
        /// Returned as it is.
        token: u64,
    },
    /// Answers a [`Message::Ping`].
    Pong {
        /// From the ping.
        token: u64,
    },
}

/// Why a guest was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeclineReason {
    /// A person said no.
    Declined,
    /// The meeting has no free seat.
    Full,
    /// Too many are waiting at the door.
    Busy,
    /// Nobody answered the knock in time.
    Unanswered,
    /// The guest has the host's own identity.
    OwnIdentity,
    /// A reason this program does not know.
    Other(u8),
}

impl DeclineReason {
    /// On the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Declined => 1,
            Self::Full => 2,
            Self::Busy => 3,
            Self::Unanswered => 4,
            Self::OwnIdentity => 5,
            Self::Other(code) => code,
        }
    }

    /// From the wire.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Declined,
            2 => Self::Full,
            3 => Self::Busy,
            4 => Self::Unanswered,
            5 => Self::OwnIdentity,
            other => Self::Other(other),
        }
    }
}

/// Why a session was ended by the one who ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The person left.
    Left,
    /// The host ended the meeting for everyone.
    MeetingOver,
    /// The receiver of this message broke the protocol.
    Violation,
    /// The same identity came in anew.
    Replaced,
    /// The speaker had not heard from the receiver for too long, or removed it.
    Dropped,
    /// A reason this program does not know.
    Other(u8),
}

impl LeaveReason {
    /// On the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::MeetingOver => 2,
            Self::Violation => 3,
            Self::Replaced => 4,
            Self::Dropped => 5,
            Self::Other(code) => code,
        }
    }

    /// From the wire.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Left,
            2 => Self::MeetingOver,
            3 => Self::Violation,
            4 => Self::Replaced,
            5 => Self::Dropped,
            other => Self::Other(other),
        }
    }
}

/// Makes any text usable as a name: forbidden characters and white space at the ends go, what is too long is cut, and
/// nothing becomes "Guest".
pub fn clean_name(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !is_forbidden_in_name(*c)).collect();
    let cut: String = kept.trim().chars().take(MAX_NAME_CHARS).collect();
    match cut.trim_end() {
        "" => "Guest".to_owned(),
        name => name.to_owned(),
    }
}

/// Control characters, and those that reorder or hide the text around them (UAX #9 §2, zero-width ones), with which a name
/// could pretend to be another or to be part of the window.
fn is_forbidden_in_name(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl Message {
    /// The name of the message's kind, for errors and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Proof { .. } => "proof",
            Self::Knock { .. } => "knock",
            Self::Admit { .. } => "admit",
            Self::Decline { .. } => "decline",
            Self::Leave { .. } => "leave",
            Self::SenderKey { .. } => "sender key",
            Self::KeyAck { .. } => "key acknowledgement",
            Self::Offer { .. } => "offer",
            Self::Answer { .. } => "answer",
            Self::Candidate { .. } => "candidate",
            Self::MediaState { .. } => "media state",
            Self::Ping { .. } => "ping",
            Self::Pong { .. } => "pong",
        }
    }

    /// Whether this kind travels outside the ordered stream (see [`link`](super::link)): only pings and pongs do.
    pub fn is_unordered(&self) -> bool {
        matches!(self, Self::Ping { .. } | Self::Pong { .. })
    }

    /// The bytes. Errors: a text out of bounds, checked here so that nothing is sent that a peer would refuse.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, WireError> {
        let mut out = Zeroizing::new(Vec::with_capacity(128));
        match self {
            Self::Proof { identity, signature } => {
                out.push(0x01);
                out.extend(identity.0);
                out.extend(signature);
            }
            Self::Knock { name } => {
                out.push(0x02);
                put_name(&mut out, name)?;
            }
            Self::Admit { name, your_index, my_index, meeting } => {
                out.push(0x03);
                put_name(&mut out, name)?;
                out.extend(your_index.to_be_bytes());
                out.extend(my_index.to_be_bytes());
                out.extend(meeting);
            }
            Self::Decline { reason } => out.extend([0x04, *reason]),
            Self::Leave { reason } => out.extend([0x05, *reason]),
            Self::SenderKey { generation, base } => {
                out.push(0x06);
                out.extend(generation.to_be_bytes());
                out.extend(base.expose());
            }
            Self::KeyAck { generation } => {
                out.push(0x07);
                out.extend(generation.to_be_bytes());
            }
            Self::Offer { sdp } => {
                out.push(0x08);
                put_text(&mut out, sdp, 1, MAX_SDP)?;
            }
            Self::Answer { sdp } => {
                out.push(0x09);
                put_text(&mut out, sdp, 1, MAX_SDP)?;
            }
            Self::Candidate { line } => {
                out.push(0x0a);
                put_text(&mut out, line, 0, MAX_CANDIDATE)?;
            }
            Self::MediaState { mic, camera } => out.extend([0x0b, u8::from(*mic) | u8::from(*camera) << 1]),
            Self::Ping { token } => {
                out.push(0x0c);
                out.extend(token.to_be_bytes());
            }
            Self::Pong { token } => {
                out.push(0x0d);
                out.extend(token.to_be_bytes());
            }
        }
        Ok(out)
    }

    /// Reads one message that fills `bytes`. Never panics, whatever they are.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut rest = bytes;
        let input = &mut rest;
        let message = match u8::from_be_bytes(take(input)?) {
            0x01 => Self::Proof { identity: IdentityKey(take(input)?), signature: take(input)? },
            0x02 => Self::Knock { name: take_name(input)? },
            0x03 => Self::Admit {
                name: take_name(input)?,
                your_index: u16::from_be_bytes(take(input)?),
                my_index: u16::from_be_bytes(take(input)?),
                meeting: take(input)?,
            },
            0x04 => Self::Decline { reason: u8::from_be_bytes(take(input)?) },
            0x05 => Self::Leave { reason: u8::from_be_bytes(take(input)?) },
            0x06 => Self::SenderKey { generation: u32::from_be_bytes(take(input)?), base: Secret::new(take(input)?) },
            0x07 => Self::KeyAck { generation: u32::from_be_bytes(take(input)?) },
            0x08 => Self::Offer { sdp: take_text(input, 1, MAX_SDP)? },
            0x09 => Self::Answer { sdp: take_text(input, 1, MAX_SDP)? },
            0x0a => Self::Candidate { line: take_text(input, 0, MAX_CANDIDATE)? },
            0x0b => {
                let flags = u8::from_be_bytes(take(input)?);
                if flags & !0x03 != 0 {
                    return Err(WireError::UnknownFlag);
                }
                Self::MediaState { mic: flags & 1 != 0, camera: flags & 2 != 0 }
            }
            0x0c => Self::Ping { token: u64::from_be_bytes(take(input)?) },
            0x0d => Self::Pong { token: u64::from_be_bytes(take(input)?) },
            other => return Err(WireError::UnknownType(other)),
        };
        if rest.is_empty() { Ok(message) } else { Err(WireError::TrailingBytes) }
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(*head)
}

fn take_text(input: &mut &[u8], least: usize, most: usize) -> Result<String, WireError> {
    let length = usize::from(u16::from_be_bytes(take(input)?));
    if !(least..=most).contains(&length) {
        return Err(WireError::TextLength);
    }
    let (text, rest) = input.split_at_checked(length).ok_or(WireError::Truncated)?;
    let text = std::str::from_utf8(text).map_err(|_| WireError::TextContent)?;
    check_text(text, least, most)?;
    *input = rest;
    Ok(text.to_owned())
}

fn put_text(out: &mut Vec<u8>, text: &str, least: usize, most: usize) -> Result<(), WireError> {
    check_text(text, least, most)?;
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

fn check_text(text: &str, least: usize, most: usize) -> Result<(), WireError> {
    if !(least..=most).contains(&text.len()) {
        return Err(WireError::TextLength);
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')) {
        return Err(WireError::TextContent);
    }
    Ok(())
}

fn take_name(input: &mut &[u8]) -> Result<String, WireError> {
    let name = take_text(input, 1, MAX_NAME_CHARS * 4)?;
    check_name(&name)?;
    Ok(name)
}

fn put_name(out: &mut Vec<u8>, name: &str) -> Result<(), WireError> {
    check_name(name)?;
    put_text(out, name, 1, MAX_NAME_CHARS * 4)
}

fn check_name(name: &str) -> Result<(), WireError> {
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(WireError::TextLength);
    }
    if name.trim() != name || name.chars().any(is_forbidden_in_name) {
        return Err(WireError::TextContent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_message() -> impl Strategy<Value = Message> {
        let name = || "\\PC{1,64}".prop_map(|text| clean_name(&text));
        prop_oneof![
            (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(key, a, b)| {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&a);
                signature[32..].copy_from_slice(&b);
                Message::Proof { identity: IdentityKey(key), signature }
            }),
            name().prop_map(|name| Message::Knock { name }),
            (name(), any::<u16>(), any::<u16>(), any::<[u8; 32]>()).prop_map(
                |(name, your_index, my_index, meeting)| { Message::Admit { name, your_index, my_index, meeting } }
            ),
            any::<u8>().prop_map(|reason| Message::Decline { reason }),
            any::<u8>().prop_map(|reason| Message::Leave { reason }),
            (any::<u32>(), any::<[u8; 32]>())
                .prop_map(|(generation, base)| Message::SenderKey { generation, base: Secret::new(base) }),
            any::<u32>().prop_map(|generation| Message::KeyAck { generation }),
            "[ -~\r\n\t]{1,2000}".prop_map(|sdp| Message::Offer { sdp }),
            "[ -~\r\n\t]{1,2000}".prop_map(|sdp| Message::Answer { sdp }),
            "[ -~]{0,512}".prop_map(|line| Message::Candidate { line }),
            any::<(bool, bool)>().prop_map(|(mic, camera)| Message::MediaState { mic, camera }),
            any::<u64>().prop_map(|token| Message::Ping { token }),
            any::<u64>().prop_map(|token| Message::Pong { token }),
        ]
    }

    proptest! {
        #[test]
        fn every_message_reads_back_as_it_was_written(message in any_message()) {
            let bytes = message.encode().unwrap();
            prop_assert!(Message::decode(&bytes).unwrap() == message);
        }

        #[test]
        fn a_cut_or_lengthened_message_is_refused(message in any_message(), cut in any::<prop::sample::Index>()) {
            let bytes = message.encode().unwrap();
            prop_assert!(Message::decode(&bytes[..cut.index(bytes.len())]).is_err());
            let longer = [&bytes[..], &[0]].concat();
            prop_assert!(Message::decode(&longer) == Err(WireError::TrailingBytes));
        }

        #[test]
        fn random_bytes_never_panic_and_what_they_mean_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..16) {
            let mut bytes = bytes;
            for first in [bytes.first().copied().unwrap_or(0), kind] {
                if let Some(byte) = bytes.first_mut() { *byte = first; }
                if let Ok(message) = Message::decode(&bytes) {
                    prop_assert_eq!(&message.encode().unwrap()[..], &bytes[..]);
                }
            }
        }

        #[test]
        fn any_text_becomes_a_name_that_the_wire_takes(text in ".{0,200}") {
            let name = clean_name(&text);
            let encoded = Message::Knock { name: name.clone() }.encode();
            prop_assert!(encoded.is_ok());
            prop_assert_eq!(clean_name(&name), name);
        }
    }

    #[test]
    fn every_text_has_a_bound_and_keeps_it() {
        let encode = |message: Message| message.encode().map(|bytes| bytes.len());
        let x = |n: usize| "x".repeat(n);
        assert_eq!(encode(Message::Offer { sdp: x(MAX_SDP) }), Ok(3 + MAX_SDP));
        assert_eq!(encode(Message::Offer { sdp: x(MAX_SDP + 1) }), Err(WireError::TextLength));
        assert_eq!(encode(Message::Offer { sdp: String::new() }), Err(WireError::TextLength));
        assert_eq!(encode(Message::Answer { sdp: x(MAX_SDP + 1) }), Err(WireError::TextLength));
        assert_eq!(encode(Message::Candidate { line: x(MAX_CANDIDATE) }), Ok(3 + MAX_CANDIDATE));
        assert_eq!(encode(Message::Candidate { line: x(MAX_CANDIDATE + 1) }), Err(WireError::TextLength));
        assert_eq!(encode(Message::Candidate { line: String::new() }), Ok(3));
        assert_eq!(encode(Message::Knock { name: x(64) }), Ok(3 + 64));
        assert_eq!(encode(Message::Knock { name: "\u{1f600}".repeat(64) }), Ok(3 + 256));
        assert_eq!(encode(Message::Knock { name: x(65) }), Err(WireError::TextLength));
        assert_eq!(encode(Message::Knock { name: String::new() }), Err(WireError::TextLength));
    }

    #[test]
    fn the_same_bounds_hold_for_what_arrives() {
        let text = |kind: u8, length: usize| {
            let mut bytes = vec![kind];
            bytes.extend((length as u16).to_be_bytes());
            bytes.resize(3 + length, b'x');
            Message::decode(&bytes).map(|_| ())
        };
        for (kind, most) in [(0x08, MAX_SDP), (0x09, MAX_SDP), (0x0a, MAX_CANDIDATE), (0x02, MAX_NAME_CHARS)] {
            assert_eq!(text(kind, most), Ok(()), "{kind:#x}");
            assert_eq!(text(kind, most + 1), Err(WireError::TextLength), "{kind:#x}");
        }
        for kind in [0x08, 0x09, 0x02] {
            assert_eq!(text(kind, 0), Err(WireError::TextLength), "{kind:#x}");
        }
        assert_eq!(Message::decode(&[]), Err(WireError::Truncated));
        assert_eq!(Message::decode(&[0x0e]), Err(WireError::UnknownType(0x0e)));
        assert_eq!(Message::decode(&[0x0b, 4]), Err(WireError::UnknownFlag));
    }

    #[test]
    fn a_name_cannot_reorder_or_hide_text() {
        for name in ["Ana\u{202e}", "\u{2066}Ana", "A\u{200b}na", "Ana\n", " Ana", "Ana ", "\u{feff}Ana", "\u{7f}"] {
            assert_eq!(Message::Knock { name: name.into() }.encode(), Err(WireError::TextContent), "{name:?}");
        }
        assert_eq!(clean_name(" \u{202e}Ana\u{0} B.\t "), "Ana B.");
        assert_eq!(clean_name("\u{200b}"), "Guest");
    }

    #[test]
    fn reasons_keep_their_codes() {
        for code in 0..=255 {
            assert_eq!(DeclineReason::from_code(code).code(), code);
            assert_eq!(LeaveReason::from_code(code).code(), code);
        }
    }

    #[test]
    fn debug_shows_no_field() {
        assert_eq!(format!("{:?}", Message::Knock { name: "Ana".into() }), "knock");
    }
}
