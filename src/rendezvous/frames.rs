//! What a member and a relay say to each other: the rendezvous protocol, version 1.
//!
//! # Transport
//! A relay listens on one port number, on TCP and on UDP.
//!
//! * TCP, with or without TLS 1.3: a WebSocket (RFC 6455) at the path `/v1`. A request for another path is
//!   answered 404; a request that carries an `Origin` header is answered 403, because browsers send it and no web
//!   page has business with a relay; a relay with no room for another connection answers 503. There is no
//!   subprotocol and no extension. Every message is a *binary* message that holds exactly one frame, at most
//!   [`MAX_FRAME`] bytes long. A text message ends the connection.
//! * UDP: STUN binding requests (RFC 8489), answered with `XOR-MAPPED-ADDRESS`.
//!
//! # Frames
//! Integers are big-endian. The first byte is the type. A frame whose length does not fit its type is malformed.
//!
//! From member to relay:
//!
//! | frame | bytes |
//! |---|---|
//! | Join | `01` ‖ version (1) ‖ room id (32) |
//! | Send | `02` ‖ to (8) ‖ payload (1 … 65,600) |
//!
//! From relay to member:
//!
//! | frame | bytes |
//! |---|---|
//! | Joined | `81` ‖ your connection id (8) ‖ count (2) ‖ count × connection id (8) |
//! | From | `82` ‖ sender's connection id (8) ‖ payload (1 … 65,600) |
//! | Arrived | `83` ‖ connection id (8) |
//! | Left | `84` ‖ connection id (8) |
//! | Refused | `8F` ‖ code (1) |
//!
//! # Rules
//! * Join is the first frame of a connection, is sent once, and has to arrive within 5 s of the connection's start.
//!   The version is 1. The room id is any 32 bytes; to the relay it means nothing but equality.
//! * A connection id is 64 random bits, never zero, drawn by the relay for each connection. A member that connects
//!   again has a new one. `to` = 0 in Send means everyone else in the room.
//! * Joined lists who was in the room before. From then on each member hears Arrived and Left for every other, and
//!   From for what is sent to it. What one member sends to another arrives in order or not at all; delivery is not
//!   promised: a payload for an id that has left is dropped without a word, and so is whatever waited for a member
//!   that the relay disconnects.
//! * A relay does not look into a payload and keeps none once it is sent on.
//! * A member that sends faster than the relay allows is read more slowly. One that reads more slowly than others
//!   send to it is disconnected with Refused(TooSlow).
//! * After Refused the relay closes the connection. Codes: 1 Version, 2 RoomFull, 3 TooManyRooms,
//!   4 TooManyConnections, 5 TooFast, 6 TooLarge, 7 Malformed, 8 TooLate, 9 TooSlow, 10 Stopping. A receiver treats
//!   a code it doesn't know like Malformed.
//! * The relay sends a WebSocket ping every 20 s; it drops a connection from which nothing at all came for 60 s.

use bytes::{BufMut, Bytes};

/// The version that this build speaks, sent in Join.
pub const VERSION: u8 = 1;
/// The HTTP path of the WebSocket.
pub const PATH: &str = "/v1";
/// Longest payload of Send and From, in bytes: 64 KiB and room for an envelope.
pub const MAX_PAYLOAD: usize = 65_536 + 64;
/// Longest frame in either direction, in bytes.
pub const MAX_FRAME: usize = 1 + 8 + MAX_PAYLOAD;
/// Most members that a room can have on the wire; a relay's own limit is lower.
pub const MAX_MEMBERS: usize = 1024;
/// `to` of Send that names everyone else in the room.
pub const EVERYONE: u64 = 0;

const JOIN: u8 = 0x01;
const SEND: u8 = 0x02;
const JOINED: u8 = 0x81;
const FROM: u8 = 0x82;
const ARRIVED: u8 = 0x83;
const LEFT: u8 = 0x84;
const REFUSED: u8 = 0x8F;

/// Names a room at the relay: 32 bytes that mean nothing.
pub type RoomId = [u8; 32];

/// Names a connection at the relay: 64 random bits, never zero.
pub type ConnId = u64;

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No bytes at all.
    #[error("empty frame")]
    Empty,
    /// The first byte names no frame of this direction.
    #[error("unknown frame type {0:#04x}")]
    UnknownType(u8),
    /// The length does not fit the type.
    #[error("frame length {0} does not fit its type")]
    Length(usize),
    /// Longer than [`MAX_FRAME`].
    #[error("frame of {0} bytes is too large")]
    TooLarge(usize),
    /// A connection id of zero where one has to be named.
    #[error("connection id is zero")]
    ZeroId,
}

/// Why a relay closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusedCode {
    /// Join asked for a version that the relay doesn't speak.
    Version,
    /// The room holds as many members as it may.
    RoomFull,
    /// The relay holds as many rooms as it may.
    TooManyRooms,
    /// The relay, or this address at the relay, has as many connections as it may.
    TooManyConnections,
    /// This address connects too often.
    TooFast,
    /// A message was longer than [`MAX_FRAME`].
    TooLarge,
    /// A message was not a frame, or not one that was due.
    Malformed,
    /// Join did not come in time, or nothing came for too long.
    TooLate,
    /// The member read more slowly than others sent to it.
    TooSlow,
    /// The relay is being stopped.
    Stopping,
    /// A code of a later version.
    Other(u8),
}

impl RefusedCode {
    /// The byte on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Version => 1,
            Self::RoomFull => 2,
            Self::TooManyRooms => 3,
            Self::TooManyConnections => 4,
            Self::TooFast => 5,
            Self::TooLarge => 6,
            Self::Malformed => 7,
            Self::TooLate => 8,
            Self::TooSlow => 9,
            Self::Stopping => 10,
            Self::Other(code) => code,
        }
    }

    /// The meaning of a byte on the wire.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::RoomFull,
            3 => Self::TooManyRooms,
            4 => Self::TooManyConnections,
            5 => Self::TooFast,
            6 => Self::TooLarge,
            7 => Self::Malformed,
            8 => Self::TooLate,
            9 => Self::TooSlow,
            10 => Self::Stopping,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for RefusedCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Version => "the relay speaks another version",
            Self::RoomFull => "the room is full",
            Self::TooManyRooms => "the relay has no room for another meeting",
            Self::TooManyConnections => "the relay has no room for another connection",
            Self::TooFast => "too many connections in a short time",
            Self::TooLarge => "a message was too large",
            Self::Malformed => "a message was malformed",
            Self::TooLate => "nothing came in time",
            Self::TooSlow => "messages were read too slowly",
            Self::Stopping => "the relay is stopping",
            Self::Other(code) => return write!(f, "the relay refused with code {code}"),
        })
    }
}

/// From member to relay.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// The first frame: which version, which room.
    Join {
        /// [`VERSION`].
        version: u8,
        /// The room.
        room: RoomId,
    },
    /// Carry a payload to one member or, with [`EVERYONE`], to all others.
    Send {
        /// Whom to.
        to: ConnId,
        /// 1 to [`MAX_PAYLOAD`] opaque bytes.
        payload: Bytes,
    },
}

/// From relay to member.
#[derive(Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The answer to Join.
    Joined {
        /// The id of this connection.
        you: ConnId,
        /// Who else is in the room, at most [`MAX_MEMBERS`].
        others: Vec<ConnId>,
    },
    /// What another member sent.
    From {
        /// Who sent it, as the relay says.
        from: ConnId,
        /// 1 to [`MAX_PAYLOAD`] opaque bytes.
        payload: Bytes,
    },
    /// Someone joined the room.
    Arrived(ConnId),
    /// Someone's connection ended.
    Left(ConnId),
    /// The relay closes this connection, and why.
    Refused(RefusedCode),
}

// Neither room ids nor payloads belong in a log, so Debug shows shapes only.
impl std::fmt::Debug for ClientFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Join { version, .. } => write!(f, "Join(version {version})"),
            Self::Send { payload, .. } => write!(f, "Send({} bytes)", payload.len()),
        }
    }
}

impl std::fmt::Debug for ServerFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Joined { others, .. } => write!(f, "Joined({} others)", others.len()),
            Self::From { payload, .. } => write!(f, "From({} bytes)", payload.len()),
            Self::Arrived(_) => f.write_str("Arrived"),
            Self::Left(_) => f.write_str("Left"),
            Self::Refused(code) => write!(f, "Refused({code:?})"),
        }
    }
}

fn id(bytes: &[u8]) -> Option<ConnId> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn one_id(bytes: &[u8]) -> Result<ConnId, FrameError> {
    match id(bytes) {
        None => Err(FrameError::Length(bytes.len() + 1)),
        Some(0) => Err(FrameError::ZeroId),
        Some(id) => Ok(id),
    }
}

fn with_payload(kind: u8, id: ConnId, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(9 + payload.len());
    out.put_u8(kind);
    out.put_u64(id);
    out.put_slice(payload);
    out.into()
}

/// Splits `type ‖ id ‖ payload`; the payload is not copied.
fn payload_of(frame: &Bytes) -> Result<(ConnId, Bytes), FrameError> {
    match frame.get(1..9).and_then(id) {
        Some(id) if frame.len() > 9 => Ok((id, frame.slice(9..))),
        _ => Err(FrameError::Length(frame.len())),
    }
}

impl ClientFrame {
    /// The bytes on the wire.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Join { version, room } => {
                let mut out = Vec::with_capacity(34);
                out.put_u8(JOIN);
                out.put_u8(*version);
                out.put_slice(room);
                out.into()
            }
            Self::Send { to, payload } => with_payload(SEND, *to, payload),
        }
    }

    /// Reads one frame. A payload shares the memory of `frame`.
    ///
    /// # Errors
    /// [`FrameError`] if `frame` is not exactly one frame of this direction.
    pub fn parse(frame: &Bytes) -> Result<Self, FrameError> {
        if frame.len() > MAX_FRAME {
            return Err(FrameError::TooLarge(frame.len()));
        }
        match *frame.first().ok_or(FrameError::Empty)? {
            JOIN => {
                let version = *frame.get(1).ok_or(FrameError::Length(frame.len()))?;
                // A later version's Join may be longer: it is the version that has to be refused, not the length.
                if version != VERSION {
                    return Ok(Self::Join { version, room: [0; 32] });
                }
                let room = frame[2..].try_into().map_err(|_| FrameError::Length(frame.len()))?;
                Ok(Self::Join { version, room })
            }
            SEND => payload_of(frame).map(|(to, payload)| Self::Send { to, payload }),
            other => Err(FrameError::UnknownType(other)),
        }
    }
}

impl ServerFrame {
    /// The bytes on the wire. Of `others` no more than [`MAX_MEMBERS`] are written.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Joined { you, others } => {
                let others = &others[..others.len().min(MAX_MEMBERS)];
                let mut out = Vec::with_capacity(11 + 8 * others.len());
                out.put_u8(JOINED);
                out.put_u64(*you);
                out.put_u16(others.len() as u16);
                for other in others {
                    out.put_u64(*other);
                }
                out.into()
            }
            Self::From { from, payload } => with_payload(FROM, *from, payload),
            Self::Arrived(id) => with_payload(ARRIVED, *id, &[]),
            Self::Left(id) => with_payload(LEFT, *id, &[]),
            Self::Refused(code) => Bytes::copy_from_slice(&[REFUSED, code.code()]),
        }
    }

    /// Reads one frame. A payload shares the memory of `frame`.
    ///
    /// # Errors
    /// [`FrameError`] if `frame` is not exactly one frame of this direction.
    pub fn parse(frame: &Bytes) -> Result<Self, FrameError> {
        if frame.len() > MAX_FRAME {
            return Err(FrameError::TooLarge(frame.len()));
        }
        let length = FrameError::Length(frame.len());
        match *frame.first().ok_or(FrameError::Empty)? {
            JOINED => {
                let you = one_id(frame.get(1..9).ok_or(length)?)?;
                let count = frame.get(9..11).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes).ok_or(length)?;
                let ids = &frame[11..];
                if usize::from(count) > MAX_MEMBERS || ids.len() != 8 * usize::from(count) {
                    return Err(length);
                }
                let others = ids.chunks_exact(8).map(one_id).collect::<Result<_, _>>()?;
                Ok(Self::Joined { you, others })
            }
            FROM => match payload_of(frame)? {
                (0, _) => Err(FrameError::ZeroId),
                (from, payload) => Ok(Self::From { from, payload }),
            },
            ARRIVED => one_id(&frame[1..]).map(Self::Arrived),
            LEFT => one_id(&frame[1..]).map(Self::Left),
            REFUSED if frame.len() == 2 => Ok(Self::Refused(RefusedCode::from_code(frame[1]))),
            REFUSED => Err(length),
            other => Err(FrameError::UnknownType(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_the_bytes_that_the_table_says() {
        let mut join = vec![1, 1];
        join.extend([7; 32]);
        assert_eq!(ClientFrame::Join { version: 1, room: [7; 32] }.encode(), join);
        let send = ClientFrame::Send { to: 0x0102, payload: Bytes::from_static(b"hi") };
        assert_eq!(&send.encode()[..], b"\x02\0\0\0\0\0\0\x01\x02hi");
        let joined = ServerFrame::Joined { you: 5, others: vec![6] };
        assert_eq!(&joined.encode()[..], b"\x81\0\0\0\0\0\0\0\x05\0\x01\0\0\0\0\0\0\0\x06");
        let from = ServerFrame::From { from: 5, payload: Bytes::from_static(b"hi") };
        assert_eq!(&from.encode()[..], b"\x82\0\0\0\0\0\0\0\x05hi");
        assert_eq!(&ServerFrame::Arrived(5).encode()[..], b"\x83\0\0\0\0\0\0\0\x05");
        assert_eq!(&ServerFrame::Left(5).encode()[..], b"\x84\0\0\0\0\0\0\0\x05");
        assert_eq!(&ServerFrame::Refused(RefusedCode::TooSlow).encode()[..], b"\x8F\x09");
    }

    #[test]
    fn malformed_frames_have_typed_errors() {
        let client = |b: &'static [u8]| ClientFrame::parse(&Bytes::from_static(b)).unwrap_err();
        assert_eq!(client(b""), FrameError::Empty);
        assert_eq!(client(b"\x81"), FrameError::UnknownType(0x81));
        assert_eq!(client(b"\x01"), FrameError::Length(1));
        assert_eq!(client(b"\x01\x01short"), FrameError::Length(7));
        assert_eq!(client(b"\x02\0\0\0\0\0\0\0\0"), FrameError::Length(9));
        let large = Bytes::from(vec![2; MAX_FRAME + 1]);
        assert_eq!(ClientFrame::parse(&large).unwrap_err(), FrameError::TooLarge(MAX_FRAME + 1));
        let server = |b: &'static [u8]| ServerFrame::parse(&Bytes::from_static(b)).unwrap_err();
        assert_eq!(server(b"\x81\0\0\0\0\0\0\0\x05\0\x02\0\0\0\0\0\0\0\x06"), FrameError::Length(19));
        assert_eq!(server(b"\x83\0\0\0\0\0\0\0\0"), FrameError::ZeroId);
        assert_eq!(server(b"\x8F"), FrameError::Length(1));
        assert_eq!(server(b"\x01"), FrameError::UnknownType(1));
    }

    #[test]
    fn a_later_version_is_seen_even_if_its_join_is_longer() {
        let frame = Bytes::from(vec![1, 2, 3, 4]);
        assert!(matches!(ClientFrame::parse(&frame), Ok(ClientFrame::Join { version: 2, .. })));
    }

    #[test]
    fn debug_shows_neither_rooms_nor_payloads() {
        let shown = format!(
            "{:?} {:?}",
            ClientFrame::Join { version: 1, room: [0xAB; 32] },
            ClientFrame::Send { to: 9, payload: Bytes::from_static(b"secret") }
        );
        assert_eq!(shown, "Join(version 1) Send(6 bytes)");
    }

    fn payload() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 1..300).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn any_bytes_parse_to_the_same_bytes_or_to_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            if let Ok(frame) = ClientFrame::parse(&bytes) && !matches!(frame, ClientFrame::Join { version, .. } if version != VERSION) {
                prop_assert_eq!(frame.encode(), bytes.clone());
            }
            if let Ok(frame) = ServerFrame::parse(&bytes) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }

        #[test]
        fn typed_bytes_parse_to_the_same_bytes_or_to_an_error(
            kind in prop::sample::select(vec![JOIN, SEND, JOINED, FROM, ARRIVED, LEFT, REFUSED]),
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut bytes = vec![kind];
            bytes.extend(rest);
            let bytes = Bytes::from(bytes);
            if let Ok(frame) = ServerFrame::parse(&bytes) {
                prop_assert_eq!(frame.encode(), bytes.clone());
            }
            if let Ok(ClientFrame::Send { to, payload }) = ClientFrame::parse(&bytes) {
                prop_assert_eq!(ClientFrame::Send { to, payload }.encode(), bytes);
            }
        }

        #[test]
        fn every_frame_survives_the_wire(
            room in any::<[u8; 32]>(), to in any::<u64>(), from in 1u64.., others in prop::collection::vec(1u64.., 0..80),
            payload in payload(), code in any::<u8>(),
        ) {
            for frame in [ClientFrame::Join { version: VERSION, room }, ClientFrame::Send { to, payload: payload.clone() }] {
                prop_assert_eq!(ClientFrame::parse(&frame.encode()).unwrap(), frame);
            }
            for frame in [
                ServerFrame::Joined { you: from, others },
                ServerFrame::From { from, payload },
                ServerFrame::Arrived(from),
                ServerFrame::Left(from),
                ServerFrame::Refused(RefusedCode::from_code(code)),
            ] {
                prop_assert_eq!(ServerFrame::parse(&frame.encode()).unwrap(), frame);
            }
        }
    }
}
