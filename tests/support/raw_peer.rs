//! A peer written by hand from docs/PROTOCOL.md: it speaks bytes, not the crate's own state machine, and so can say what the
//! state machine never would, and see all that it says.
#![allow(dead_code)]

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::{Initiator, Responder, StaticKey};
use conclave::crypto::identity::Identity;
use conclave::crypto::kdf::derive;
use conclave::crypto::secret::Secret;
use conclave::crypto::session::Session;
use conclave::protocol::invite::Invite;
use conclave::protocol::wire::Message;

pub(crate) struct RawSession {
    pub(crate) attempt: [u8; 8],
    pub(crate) session: Session,
    pub(crate) own_static: [u8; 32],
    pub(crate) initiator: bool,
    pub(crate) next: u64,
    pub(crate) acknowledged: u64,
}

fn prologue(room_id: &[u8; 32], roles: &[u8]) -> Vec<u8> {
    let suite = b"Noise_XKpsk0+psk2_25519_ChaChaPoly_SHA256 ML-KEM-768";
    [&b"Conclave v1"[..], room_id, roles, suite].concat()
}

/// What opens one door: an invite's secret at the host's, or that of all members at one member's.
pub(crate) struct RawDoor {
    roles: &'static [u8],
    room_id: [u8; 32],
    callee: [u8; 32],
    psk: Secret<32>,
    tag_key: Secret<32>,
}

impl RawDoor {
    pub(crate) fn of_host(invite: &Invite) -> Self {
        let room_id = *derive::<32>(invite.room_secret.expose(), b"", "room id").expose();
        Self {
            roles: b"host-guest",
            room_id,
            callee: invite.host_static,
            psk: derive(invite.secret.expose(), &room_id, "door"),
            tag_key: derive(invite.secret.expose(), &room_id, "door tag"),
        }
    }

    pub(crate) fn of_member(members: &Secret<32>, room_id: [u8; 32], callee: [u8; 32]) -> Self {
        let salt = [room_id, callee].concat();
        Self {
            roles: b"member-member",
            room_id,
            callee,
            psk: derive(members.expose(), &salt, "member door"),
            tag_key: derive(members.expose(), &salt, "member door tag"),
        }
    }

    fn tag(&self, attempt: &[u8; 8], suite: u8, message: &[u8]) -> Vec<u8> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.tag_key.expose());
        let tag = ring::hmac::sign(&key, &[&attempt[..], &[suite], message].concat());
        tag.as_ref()[..16].to_vec()
    }
}

pub(crate) struct RawCall {
    attempt: [u8; 8],
    initiator: Initiator,
    own_static: [u8; 32],
}

impl RawCall {
    /// A guest's call and the first envelope, with a static key of its own.
    pub(crate) fn start(invite: &Invite, seed: u64) -> (Self, Vec<u8>) {
        Self::start_at(&RawDoor::of_host(invite), &StaticKey::from_entropy(&mut Seeded(seed)), seed, 1)
    }

    /// A call at any door, with any static key and for any suite.
    pub(crate) fn start_at(door: &RawDoor, static_key: &StaticKey, seed: u64, suite: u8) -> (Self, Vec<u8>) {
        let mut entropy = Seeded(seed ^ 0x5eed);
        let prologue = prologue(&door.room_id, door.roles);
        let (initiator, message) =
            Initiator::start(&prologue, static_key, &door.callee, &door.psk, &mut entropy).unwrap();
        let attempt = seed.to_be_bytes();
        let tag = door.tag(&attempt, suite, &message);
        let envelope = [&[1][..], &attempt, &tag, &[suite], &message].concat();
        (Self { attempt, initiator, own_static: static_key.public() }, envelope)
    }

    /// The session and the third envelope.
    pub(crate) fn finish(mut self, second: &[u8]) -> (RawSession, Vec<u8>) {
        assert_eq!((second[0], &second[1..9]), (2, &self.attempt[..]));
        let (session, third) = self.initiator.handle_second(&second[9..]).unwrap();
        let envelope = [&[3][..], &self.attempt, &third].concat();
        let (attempt, own_static) = (self.attempt, self.own_static);
        (RawSession { attempt, session, own_static, initiator: true, next: 1, acknowledged: 0 }, envelope)
    }
}

/// A host's side of the handshake, for a host whose static key is known.
pub(crate) struct RawAnswer {
    attempt: [u8; 8],
    responder: Responder,
    own_static: [u8; 32],
}

impl RawAnswer {
    /// A host's answer to a first envelope, and the second one.
    pub(crate) fn start(invite: &Invite, static_key: &StaticKey, first: &[u8], seed: u64) -> (Self, Vec<u8>) {
        Self::start_at(&RawDoor::of_host(invite), static_key, first, seed)
    }

    /// Whether this door's secret made the first envelope.
    pub(crate) fn is_called(door: &RawDoor, envelope: &[u8]) -> bool {
        let attempt = envelope.get(1..9).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        envelope[0] == 1
            && attempt.is_some_and(|attempt| door.tag(&attempt, envelope[25], &envelope[26..]) == envelope[9..25])
    }

    /// The answer to a call at any door.
    pub(crate) fn start_at(door: &RawDoor, static_key: &StaticKey, first: &[u8], seed: u64) -> (Self, Vec<u8>) {
        let attempt: [u8; 8] = first[1..9].try_into().unwrap();
        let mut entropy = Seeded(seed);
        let prologue = prologue(&door.room_id, door.roles);
        let (responder, message) =
            Responder::handle_first(&prologue, static_key, &door.psk, &first[26..], &mut entropy).unwrap();
        let envelope = [&[2][..], &attempt, &message].concat();
        (Self { attempt, responder, own_static: static_key.public() }, envelope)
    }

    pub(crate) fn finish(mut self, third: &[u8]) -> RawSession {
        let session = self.responder.handle_third(&third[9..]).unwrap();
        let (attempt, own_static) = (self.attempt, self.own_static);
        RawSession { attempt, session, own_static, initiator: false, next: 1, acknowledged: 0 }
    }
}

impl RawSession {
    /// A data envelope of exactly this plaintext.
    pub(crate) fn seal_plaintext(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let sealed = self.session.seal(plaintext).unwrap();
        [&[4][..], &self.attempt, &sealed].concat()
    }

    /// A data envelope of these bytes as an ordered (or unordered) message.
    pub(crate) fn seal_bytes(&mut self, ordered: bool, message: &[u8]) -> Vec<u8> {
        let sequence = if ordered { self.next } else { 0 };
        self.next += u64::from(ordered);
        let mut plaintext = [&self.acknowledged.to_be_bytes()[..], &sequence.to_be_bytes()].concat();
        plaintext.extend((message.len() as u16).to_be_bytes());
        plaintext.extend(message);
        let step = if plaintext.len() < 1024 { 128 } else { 1024 };
        plaintext.resize(plaintext.len().next_multiple_of(step), 0);
        self.seal_plaintext(&plaintext)
    }

    pub(crate) fn seal(&mut self, message: &Message) -> Vec<u8> {
        let unordered = matches!(message, Message::Ping { .. } | Message::Pong { .. } | Message::Head(_));
        self.seal_bytes(!unordered, &message.encode().unwrap())
    }

    pub(crate) fn proof(&self, identity: &Identity) -> Message {
        let role = if self.initiator { 1 } else { 2 };
        let statement = [&[role][..], &self.own_static, self.session.hash()].concat();
        Message::Proof { identity: identity.key(), signature: identity.sign("proof", &statement) }
    }

    /// What a data envelope says, if it is one of this session and new.
    pub(crate) fn open(&mut self, envelope: &[u8]) -> Option<Message> {
        if envelope[0] != 4 || envelope[1..9] != self.attempt {
            return None;
        }
        let plaintext = self.session.open(&envelope[9..]).ok()?;
        assert_eq!(plaintext.len() % if plaintext.len() < 1024 { 128 } else { 1024 }, 0, "padded");
        let sequence = u64::from_be_bytes(plaintext[8..16].try_into().unwrap());
        let length = usize::from(u16::from_be_bytes(plaintext[16..18].try_into().unwrap()));
        assert!(plaintext[18 + length..].iter().all(|byte| *byte == 0));
        if sequence != 0 {
            if sequence <= self.acknowledged {
                return None;
            }
            assert_eq!(sequence, self.acknowledged + 1, "in order on a perfect relay");
            self.acknowledged = sequence;
        }
        (length > 0).then(|| Message::decode(&plaintext[18..18 + length]).unwrap())
    }
}

/// A refusal of a suite, as whoever holds the door's secret can make it.
pub(crate) fn refusal(door: &RawDoor, attempt: &[u8], suite: u8) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, door.tag_key.expose());
    let tag = ring::hmac::sign(&key, &[&b"refused"[..], attempt, &[suite]].concat());
    [&[5][..], attempt, &tag.as_ref()[..16], &[suite]].concat()
}

/// Another secret of the same shape.
pub(crate) fn other_secret() -> Secret<32> {
    Secret::new([0xee; 32])
}
