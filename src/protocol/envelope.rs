//! What a relay carries for two members, and what is derived from an invite so that a host opens to those alone who hold it.
//!
//! | first byte | envelope | rest |
//! |---|---|---|
//! | 0x01 | first | attempt(8) ‖ door tag(16) ‖ handshake message 1 |
//! | 0x02 | second | attempt(8) ‖ handshake message 2 |
//! | 0x03 | third | attempt(8) ‖ handshake message 3 |
//! | 0x04 | data | attempt(8) ‖ sealed session message |
//!
//! `attempt` is drawn by the guest and names the session. The door tag lets a host drop strangers before any curve or
//! lattice arithmetic, and, being a MAC over fresh bytes, does not let the relay see that two guests hold one link.

use ring::hmac;
use subtle::ConstantTimeEq;

use crate::crypto::handshake::FIRST_LENGTH;
use crate::crypto::kdf::derive;
use crate::crypto::secret::Secret;

/// Names a session; drawn at random by the guest.
pub type Attempt = [u8; 8];
/// Proves that whoever calls holds an invite.
pub type DoorTag = [u8; 16];

/// Longest envelope in bytes: what a relay forwards.
pub const MAX_ENVELOPE: usize = 65_536;
/// Longest handshake message in bytes: the first.
pub const MAX_HANDSHAKE: usize = FIRST_LENGTH;

/// The roles in a handshake, as they stand in its prologue.
const ROLES: &[u8] = b"host-guest";
/// The one suite. It stands in the prologue, so that two programs which disagree never finish a handshake.
pub const SUITE: &str = "Noise_XKpsk0+psk2_25519_ChaChaPoly_SHA256 ML-KEM-768";
/// What an identity signs to prove itself: see [`proof_statement`].
pub const PROOF_CONTEXT: &str = "proof";

/// Why a payload from the relay is not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A field is cut short.
    #[error("the envelope is cut short")]
    Truncated,
    /// Longer than any envelope of its kind.
    #[error("the envelope is too long")]
    TooLong,
    /// No envelope begins like this.
    #[error("no envelope has type {0:#04x}")]
    UnknownType(u8),
}

/// One payload between two members, as the relay sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope<'a> {
    /// A guest opens.
    First {
        /// Names the session to be.
        attempt: Attempt,
        /// See [`DoorKey::tag`].
        tag: DoorTag,
        /// Handshake message 1.
        message: &'a [u8],
    },
    /// The host answers.
    Second {
        /// Of the first.
        attempt: Attempt,
        /// KEM ciphertext and handshake message 2.
        message: &'a [u8],
    },
    /// The guest completes.
    Third {
        /// Of the first.
        attempt: Attempt,
        /// Handshake message 3.
        message: &'a [u8],
    },
    /// A message within a session.
    Data {
        /// Which session.
        attempt: Attempt,
        /// Sealed; see [`link`](super::link).
        message: &'a [u8],
    },
}

impl<'a> Envelope<'a> {
    /// Takes a payload apart. Never panics.
    pub fn parse(payload: &'a [u8]) -> Result<Self, EnvelopeError> {
        if payload.len() > MAX_ENVELOPE {
            return Err(EnvelopeError::TooLong);
        }
        let (kind, rest) = payload.split_first().ok_or(EnvelopeError::Truncated)?;
        if !(0x01..=0x04).contains(kind) {
            return Err(EnvelopeError::UnknownType(*kind));
        }
        let (attempt, rest) = rest.split_first_chunk::<8>().ok_or(EnvelopeError::Truncated)?;
        let attempt = *attempt;
        let (tag, message) = match kind {
            0x01 => rest.split_first_chunk::<16>().map(|(tag, rest)| (*tag, rest)).ok_or(EnvelopeError::Truncated)?,
            _ => ([0; 16], rest),
        };
        if message.is_empty() {
            return Err(EnvelopeError::Truncated);
        }
        if *kind != 0x04 && message.len() > MAX_HANDSHAKE {
            return Err(EnvelopeError::TooLong);
        }
        Ok(match kind {
            0x01 => Self::First { attempt, tag, message },
            0x02 => Self::Second { attempt, message },
            0x03 => Self::Third { attempt, message },
            _ => Self::Data { attempt, message },
        })
    }

    /// The payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::First { attempt, tag, message } => [&[0x01][..], attempt, tag, message].concat(),
            Self::Second { attempt, message } => [&[0x02][..], attempt, message].concat(),
            Self::Third { attempt, message } => [&[0x03][..], attempt, message].concat(),
            Self::Data { attempt, message } => [&[0x04][..], attempt, message].concat(),
        }
    }
}

/// What is mixed into every handshake at this door: `"Conclave v1" ‖ room id(32) ‖ "host-guest" ‖ suite`.
pub fn prologue(room_id: &[u8; 32]) -> Vec<u8> {
    [&b"Conclave v1"[..], room_id, ROLES, SUITE.as_bytes()].concat()
}

/// What a side signs to prove its identity, under [`PROOF_CONTEXT`]: `role(1: 1 guest, 2 host) ‖ own Noise static(32) ‖
/// handshake hash(32)`. The role keeps one side's proof from being handed back to it as the other's.
pub fn proof_statement(initiator: bool, own_static: &[u8; 32], handshake_hash: &[u8; 32]) -> Vec<u8> {
    let role = if initiator { 1 } else { 2 };
    [&[role][..], own_static, handshake_hash].concat()
}

/// What an invite secret gives its holders at the door of one room.
pub struct DoorKey {
    /// `psk0` of the handshake: HKDF(invite secret, salt room id, "door").
    psk: Secret<32>,
    tag_key: hmac::Key,
}

impl DoorKey {
    /// Derives both keys.
    pub fn new(invite_secret: &Secret<32>, room_id: &[u8; 32]) -> Self {
        let tag_key = derive::<32>(invite_secret.expose(), room_id, "door tag");
        Self {
            psk: derive(invite_secret.expose(), room_id, "door"),
            tag_key: hmac::Key::new(hmac::HMAC_SHA256, tag_key.expose()),
        }
    }

    /// The handshake's first pre-shared key.
    pub fn psk(&self) -> &Secret<32> {
        &self.psk
    }

    /// First 16 bytes of HMAC-SHA256(HKDF(invite secret, salt room id, "door tag"), attempt ‖ handshake message 1).
    pub fn tag(&self, attempt: &Attempt, message: &[u8]) -> DoorTag {
        let mut context = hmac::Context::with_key(&self.tag_key);
        context.update(attempt);
        context.update(message);
        let mut tag = [0; 16];
        tag.copy_from_slice(&context.sign().as_ref()[..16]);
        tag
    }

    /// Whether `tag` was made with this key, in constant time.
    pub fn accepts(&self, attempt: &Attempt, message: &[u8], tag: &DoorTag) -> bool {
        self.tag(attempt, message).ct_eq(tag).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_parse_without_panic_and_back_to_themselves(bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0u8..6) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = kind; }
            if let Ok(envelope) = Envelope::parse(&bytes) {
                prop_assert_eq!(envelope.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn every_length_has_a_bound() {
        let of = |kind: u8, length: usize| {
            let mut bytes = vec![0; length];
            bytes[0] = kind;
            Envelope::parse(&bytes).map(|_| ())
        };
        assert_eq!(Envelope::parse(&[]), Err(EnvelopeError::Truncated));
        assert_eq!(of(0, 100), Err(EnvelopeError::UnknownType(0)));
        assert_eq!(of(5, 100), Err(EnvelopeError::UnknownType(5)));
        for (kind, header) in [(1, 25), (2, 9), (3, 9)] {
            assert_eq!(of(kind, header), Err(EnvelopeError::Truncated));
            assert_eq!(of(kind, header + 1), Ok(()));
            assert_eq!(of(kind, header + MAX_HANDSHAKE), Ok(()));
            assert_eq!(of(kind, header + MAX_HANDSHAKE + 1), Err(EnvelopeError::TooLong));
        }
        assert_eq!(of(4, MAX_ENVELOPE), Ok(()));
        assert_eq!(of(4, MAX_ENVELOPE + 1), Err(EnvelopeError::TooLong));
    }

    #[test]
    fn a_door_tag_fits_one_secret_one_room_one_attempt_and_one_message() {
        let key = |secret: u8, room: u8| DoorKey::new(&Secret::new([secret; 32]), &[room; 32]);
        let tag = key(1, 1).tag(&[1; 8], b"message");
        assert!(key(1, 1).accepts(&[1; 8], b"message", &tag));
        assert!(!key(2, 1).accepts(&[1; 8], b"message", &tag));
        assert!(!key(1, 2).accepts(&[1; 8], b"message", &tag));
        assert!(!key(1, 1).accepts(&[2; 8], b"message", &tag));
        assert!(!key(1, 1).accepts(&[1; 8], b"massage", &tag));
        assert!(key(1, 1).psk() != key(2, 1).psk());
        assert!(key(1, 1).psk() != key(1, 2).psk());
    }

    #[test]
    fn the_prologue_and_the_proof_are_laid_out_as_documented() {
        let prologue = prologue(&[7; 32]);
        assert!(prologue.starts_with(b"Conclave v1\x07"));
        assert!(prologue.ends_with(b"\x07host-guestNoise_XKpsk0+psk2_25519_ChaChaPoly_SHA256 ML-KEM-768"));
        assert_ne!(proof_statement(true, &[1; 32], &[2; 32]), proof_statement(false, &[1; 32], &[2; 32]));
    }
}
