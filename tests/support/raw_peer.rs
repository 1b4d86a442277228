//! A peer written by hand from docs/PROTOCOL.md: it speaks bytes, not the crate's own state machine, and so can say what the
//! state machine never would, and see all that it says.
#![allow(dead_code)]

use conclave::crypto::entropy::Seeded;
use conclave::crypto::handshake::{Initiator, Responder, StaticKey};
use conclave::crypto::identity::Identity;
use conclave::crypto::kdf::derive;
use conclave::crypto::secret::Secret;
use conclave::crypto::session::Session;
use conclave::protocol::envelope::DoorKey;
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

fn prologue(room_id: &[u8; 32]) -> Vec<u8> {
    let suite = b"Noise_XKpsk0+psk2_25519_ChaChaPoly_SHA256 ML-KEM-768";
    [&b"Conclave v1"[..], room_id, b"host-guest", suite].concat()
}

pub(crate) struct RawCall {
    attempt: [u8; 8],
    initiator: Initiator,
    own_static: [u8; 32],
}

impl RawCall {
    /// The call and the first envelope.
    pub(crate) fn start(invite: &Invite, seed: u64) -> (Self, Vec<u8>) {
        let mut entropy = Seeded(seed);
        let room_id = *derive::<32>(invite.room_secret.expose(), b"", "room id").expose();
        let psk = derive::<32>(invite.secret.expose(), &room_id, "door");
        let static_key = StaticKey::from_entropy(&mut entropy);
        let (initiator, message) =
            Initiator::start(&prologue(&room_id), &static_key, &invite.host_static, &psk, &mut entropy).unwrap();
        let attempt = seed.to_be_bytes();
        let tag_key = derive::<32>(invite.secret.expose(), &room_id, "door tag");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, tag_key.expose());
        let tag = ring::hmac::sign(&key, &[&attempt[..], &message].concat());
        let envelope = [&[1][..], &attempt, &tag.as_ref()[..16], &message].concat();
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
    /// The answer to a first envelope, and the second one.
    pub(crate) fn start(invite: &Invite, static_key: &StaticKey, first: &[u8], seed: u64) -> (Self, Vec<u8>) {
        let room_id = invite.room_id();
        let door = DoorKey::new(&invite.secret, &room_id);
        let attempt: [u8; 8] = first[1..9].try_into().unwrap();
        let mut entropy = Seeded(seed);
        let (responder, message) =
            Responder::handle_first(&prologue(&room_id), static_key, door.psk(), &first[25..], &mut entropy).unwrap();
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
        let ordered = !matches!(message, Message::Ping { .. } | Message::Pong { .. });
        self.seal_bytes(ordered, &message.encode().unwrap())
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
        assert_eq!(plaintext.len() % 128, 0, "padded");
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

/// Another secret of the same shape.
pub(crate) fn other_secret() -> Secret<32> {
    Secret::new([0xee; 32])
}
