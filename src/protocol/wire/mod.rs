//! The messages inside a sealed session: `type(1) ‖ fields`, numbers big-endian, every length bounded.
//!
//! | type | message | fields |
//! |---|---|---|
//! | 0x01 | proof | identity key(32) ‖ signature(64) |
//! | 0x02 | knock | name |
//! | 0x03 | admit | your index(2) ‖ meeting id(32) ‖ member secret(32) ‖ signed roster entry |
//! | 0x04 | decline | reason(1) |
//! | 0x05 | leave | reason(1) |
//! | 0x06 | sender key | generation(4) ‖ roster hash(32) ‖ base key(32) |
//! | 0x07 | key acknowledgement | generation(4) |
//! | 0x08 | offer | text of 1 to 16384 bytes |
//! | 0x09 | answer | text of 1 to 16384 bytes |
//! | 0x0a | candidate | text of 0 to 512 bytes |
//! | 0x0b | media state | flags(1): 0x01 microphone on, 0x02 camera on; others zero |
//! | 0x0c | ping | token(8) |
//! | 0x0d | pong | token(8) |
//! | 0x0e | roster | signed roster entry |
//! | 0x0f | head | term(4) ‖ counter(8) ‖ entry hash(32) ‖ signature(64) |
//! | 0x10 | waiting | count(1) ‖ count × (number(4) ‖ identity key(32) ‖ name) |
//! | 0x11 | request | what(1) ‖ whom(4) |
//! | 0x12 | code open | round(16) ‖ people(32) |
//! | 0x13 | code commit | round(16) ‖ commitment(32) |
//! | 0x14 | code set | round(16) ‖ signature(64) ‖ count(2) ‖ count × (index(2) ‖ commitment(32)) |
//! | 0x15 | code reveal | round(16) ‖ value(32) |
//! | 0x16 | code values | round(16) ‖ count(2) ‖ count × (index(2) ‖ value(32)) |
//! | 0x17 | members' secret | secret(32) |
//! | 0x18 | video wish | height(2) |
//!
//! A text is `length(2) ‖ UTF-8` without control characters other than tab, carriage return and line feed. A name is a text
//! of 1 to 64 characters without any control or direction-changing character, without white space at its ends.
//! Nothing may follow the last field.

mod reason;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

pub use self::reason::{DeclineReason, LeaveReason};
pub use self::text::{MAX_NAME_CHARS, clean_name, is_name};
use self::text::{put_name, put_text, take, take_name, take_text};
use super::group_code::{Commitment, PeopleHash, Round};
use super::roster::entry::{EntryError, EntryHash, Head, MAX_LISTED, Signed};
use crate::crypto::identity::IdentityKey;
use crate::crypto::secret::Secret;

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
    /// A list is longer than it may be, or not in order.
    #[error("a list is too long or out of order")]
    List,
    /// A request that does not exist.
    #[error("an unknown request")]
    UnknownRequest,
    /// The roster entry inside is none.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// Most knocks that a host tells its co-hosts of.
pub const MAX_WAITING: usize = 16;

/// Somebody at the door, as a host tells its co-hosts.
#[derive(Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The host's number for them.
    pub number: u32,
    /// Proven to the host.
    pub identity: IdentityKey,
    /// As they call themselves.
    pub name: String,
}

/// What a co-host asks the host's program to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Let somebody at the door in.
    Admit(u32),
    /// Turn somebody at the door away.
    Decline(u32),
    /// Send the member with this index out.
    Remove(u16),
    /// Lock the door.
    Lock,
    /// Open it again.
    Unlock,
}

impl Request {
    fn encode(self) -> (u8, u32) {
        match self {
            Self::Admit(number) => (1, number),
            Self::Decline(number) => (2, number),
            Self::Remove(index) => (3, index.into()),
            Self::Lock => (4, 0),
            Self::Unlock => (5, 0),
        }
    }

    fn decode(what: u8, whom: u32) -> Option<Self> {
        match (what, whom) {
            (1, number) => Some(Self::Admit(number)),
            (2, number) => Some(Self::Decline(number)),
            (3, index) => u16::try_from(index).ok().map(Self::Remove),
            (4, 0) => Some(Self::Lock),
            (5, 0) => Some(Self::Unlock),
            _ => None,
        }
    }
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
        /// The guest's sender index.
        your_index: u16,
        /// The meeting's id, which every sealed frame is bound to.
        meeting: [u8; 32],
        /// Opens the doors of the other members: see [`envelope`](super::envelope).
        secret: Secret<32>,
        /// Who is in the meeting, the guest included.
        roster: Box<Signed>,
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
        /// The roster entry whose members get this key.
        roster: EntryHash,
        /// What the SFrame base key is derived from.
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
    /// A roster entry, from whoever has it to whoever lacks it.
    Roster(Box<Signed>),
    /// Which entry the speaker holds. From the host it is the meeting's heartbeat.
    Head(Head),
    /// Who is at the door: the host to its co-hosts, the whole list each time.
    Waiting(Vec<Waiting>),
    /// What a co-host asks for.
    Request(Request),
    /// Step 1 of a [group code](super::group_code). From a member, with zeros for the round: it has none for these people.
    CodeOpen {
        /// Which.
        round: Round,
        /// Whom it is for.
        people: PeopleHash,
    },
    /// Step 2.
    CodeCommit {
        /// Which.
        round: Round,
        /// The speaker's.
        commitment: Commitment,
    },
    /// Step 3.
    CodeSet {
        /// Which.
        round: Round,
        /// The host's.
        signature: [u8; 64],
        /// Everyone's, by index.
        set: BTreeMap<u16, Commitment>,
    },
    /// Step 4.
    CodeReveal {
        /// Which.
        round: Round,
        /// The speaker's.
        value: Secret<32>,
    },
    /// What opens members' doors from now on: the host, when somebody is no longer in the meeting.
    MembersSecret {
        /// As in [`Message::Admit`].
        secret: Secret<32>,
    },
    /// How large the speaker shows the listener's camera.
    VideoWish {
        /// Rows of pixels that it has a place for; 0: no pictures are to be sent.
        height: u16,
    },
    /// Step 5.
    CodeValues {
        /// Which.
        round: Round,
        /// Everyone's, by index.
        values: BTreeMap<u16, Secret<32>>,
    },
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
            Self::Roster(_) => "roster",
            Self::Head(_) => "head",
            Self::Waiting(_) => "waiting",
            Self::Request(_) => "request",
            Self::CodeOpen { .. } => "code open",
            Self::CodeCommit { .. } => "code commit",
            Self::CodeSet { .. } => "code set",
            Self::CodeReveal { .. } => "code reveal",
            Self::CodeValues { .. } => "code values",
            Self::MembersSecret { .. } => "members' secret",
            Self::VideoWish { .. } => "video wish",
        }
    }

    /// Whether this kind travels outside the ordered stream (see [`link`](super::link)): pings, pongs and heads do,
    /// of which only the newest counts.
    pub fn is_unordered(&self) -> bool {
        matches!(self, Self::Ping { .. } | Self::Pong { .. } | Self::Head(_))
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
            Self::Admit { your_index, meeting, secret, roster } => {
                let roster = roster.to_bytes();
                // The whole length at once: a vector that grows leaves copies of the secret behind.
                out.reserve(1 + 2 + 32 + 32 + roster.len());
                out.push(0x03);
                out.extend(your_index.to_be_bytes());
                out.extend(meeting);
                out.extend(secret.expose());
                out.extend(roster);
            }
            Self::Decline { reason } => out.extend([0x04, *reason]),
            Self::Leave { reason } => out.extend([0x05, *reason]),
            Self::SenderKey { generation, roster, base } => {
                out.push(0x06);
                out.extend(generation.to_be_bytes());
                out.extend(roster);
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
            Self::Roster(signed) => {
                out.push(0x0e);
                out.extend(signed.to_bytes());
            }
            Self::Head(head) => {
                out.push(0x0f);
                out.extend(head.term.to_be_bytes());
                out.extend(head.counter.to_be_bytes());
                out.extend(head.hash);
                out.extend(head.signature);
            }
            Self::Waiting(list) => {
                let count = u8::try_from(list.len()).ok().filter(|count| usize::from(*count) <= MAX_WAITING);
                out.extend([0x10, count.ok_or(WireError::List)?]);
                for one in list {
                    out.extend(one.number.to_be_bytes());
                    out.extend(one.identity.0);
                    put_name(&mut out, &one.name)?;
                }
            }
            Self::Request(request) => {
                let (what, whom) = request.encode();
                out.extend([0x11, what]);
                out.extend(whom.to_be_bytes());
            }
            Self::CodeOpen { round, people } => {
                out.push(0x12);
                out.extend(round);
                out.extend(people);
            }
            Self::CodeCommit { round, commitment } => {
                out.push(0x13);
                out.extend(round);
                out.extend(commitment);
            }
            Self::CodeSet { round, signature, set } => {
                out.push(0x14);
                out.extend(round);
                out.extend(signature);
                put_table(&mut out, set.iter().map(|(index, value)| (*index, value)))?;
            }
            Self::CodeReveal { round, value } => {
                out.push(0x15);
                out.extend(round);
                out.extend(value.expose());
            }
            Self::MembersSecret { secret } => {
                out.push(0x17);
                out.extend(secret.expose());
            }
            Self::VideoWish { height } => {
                out.push(0x18);
                out.extend(height.to_be_bytes());
            }
            Self::CodeValues { round, values } => {
                out.reserve(1 + 16 + 2 + values.len() * 34);
                out.push(0x16);
                out.extend(round);
                put_table(&mut out, values.iter().map(|(index, value)| (*index, value.expose())))?;
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
                your_index: u16::from_be_bytes(take(input)?),
                meeting: take(input)?,
                secret: Secret::new(take(input)?),
                roster: take_roster(input)?,
            },
            0x04 => Self::Decline { reason: u8::from_be_bytes(take(input)?) },
            0x05 => Self::Leave { reason: u8::from_be_bytes(take(input)?) },
            0x06 => Self::SenderKey {
                generation: u32::from_be_bytes(take(input)?),
                roster: take(input)?,
                base: Secret::new(take(input)?),
            },
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
            0x0e => Self::Roster(take_roster(input)?),
            0x0f => Self::Head(Head {
                term: u32::from_be_bytes(take(input)?),
                counter: u64::from_be_bytes(take(input)?),
                hash: take(input)?,
                signature: take(input)?,
            }),
            0x10 => Self::Waiting(take_waiting(input)?),
            0x11 => {
                let [what] = take(input)?;
                let request = Request::decode(what, u32::from_be_bytes(take(input)?));
                Self::Request(request.ok_or(WireError::UnknownRequest)?)
            }
            0x12 => Self::CodeOpen { round: take(input)?, people: take(input)? },
            0x13 => Self::CodeCommit { round: take(input)?, commitment: take(input)? },
            0x14 => {
                Self::CodeSet { round: take(input)?, signature: take(input)?, set: take_table(input, |value| value)? }
            }
            0x15 => Self::CodeReveal { round: take(input)?, value: Secret::new(take(input)?) },
            0x17 => Self::MembersSecret { secret: Secret::new(take(input)?) },
            0x18 => Self::VideoWish { height: u16::from_be_bytes(take(input)?) },
            0x16 => Self::CodeValues { round: take(input)?, values: take_table(input, Secret::new)? },
            other => return Err(WireError::UnknownType(other)),
        };
        if rest.is_empty() { Ok(message) } else { Err(WireError::TrailingBytes) }
    }
}

/// A signed entry fills the rest of a message.
fn take_roster(input: &mut &[u8]) -> Result<Box<Signed>, WireError> {
    let signed = Signed::parse(input)?;
    *input = &[];
    Ok(Box::new(signed))
}

fn take_waiting(input: &mut &[u8]) -> Result<Vec<Waiting>, WireError> {
    let [count] = take(input)?;
    if usize::from(count) > MAX_WAITING {
        return Err(WireError::List);
    }
    let one = |input: &mut &[u8]| {
        let number = u32::from_be_bytes(take(input)?);
        Ok(Waiting { number, identity: IdentityKey(take(input)?), name: take_name(input)? })
    };
    (0..count).map(|_| one(input)).collect()
}

fn put_table<'a>(
    out: &mut Vec<u8>,
    table: impl ExactSizeIterator<Item = (u16, &'a [u8; 32])>,
) -> Result<(), WireError> {
    if table.len() > MAX_LISTED {
        return Err(WireError::List);
    }
    out.extend((table.len() as u16).to_be_bytes());
    for (index, value) in table {
        out.extend(index.to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

/// A table by rising index: one way to write each.
fn take_table<T>(input: &mut &[u8], make: impl Fn([u8; 32]) -> T) -> Result<BTreeMap<u16, T>, WireError> {
    let count = usize::from(u16::from_be_bytes(take(input)?));
    if count > MAX_LISTED {
        return Err(WireError::List);
    }
    let mut table = BTreeMap::new();
    for _ in 0..count {
        let index = u16::from_be_bytes(take(input)?);
        if table.last_key_value().is_some_and(|(last, _)| *last >= index) {
            return Err(WireError::List);
        }
        table.insert(index, make(take(input)?));
    }
    Ok(table)
}

#[cfg(test)]
mod tests;
