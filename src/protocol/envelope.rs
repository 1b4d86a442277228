//! What a relay carries for two members, and what is derived from an invite so that a host opens to those alone who hold it.
//!
//! | first byte | envelope | rest |
//! |---|---|---|
//! | 0x01 | first | attempt(8) ‖ door tag(16) ‖ suite(1) ‖ handshake message 1 |
//! | 0x02 | second | attempt(8) ‖ handshake message 2 |
//! | 0x03 | third | attempt(8) ‖ handshake message 3 |
//! | 0x04 | data | attempt(8) ‖ sealed session message |
//! | 0x05 | refused | attempt(8) ‖ door tag(16) ‖ the one suite that is spoken here(1) |
//!
//! `attempt` is drawn by whoever calls and names the session. The door tag lets the other drop strangers before any curve or
//! lattice arithmetic, and, being a MAC over fresh bytes, does not let the relay see that two guests hold one link.
//!
//! The suite is a statement and not an offer: whoever is called with another answers with what it speaks, so that both
//! people learn why there is no meeting, and nothing else comes of it.

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

/// The number of [`SUITE`] in envelopes. 0 stands for a suite without ML-KEM, which no Conclave speaks.
pub const SUITE_NUMBER: u8 = 1;
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
    /// Somebody calls: a guest, or one member another.
    First {
        /// Names the session to be.
        attempt: Attempt,
        /// See [`DoorKey::tag`].
        tag: DoorTag,
        /// What the message was made for: [`SUITE_NUMBER`].
        suite: u8,
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
    /// Whoever was called does not speak that suite.
    Refused {
        /// Of the first.
        attempt: Attempt,
        /// See [`DoorKey::refusal_tag`].
        tag: DoorTag,
        /// What is spoken instead.
        suite: u8,
    },
}

impl<'a> Envelope<'a> {
    /// Takes a payload apart. Never panics.
    pub fn parse(payload: &'a [u8]) -> Result<Self, EnvelopeError> {
        if payload.len() > MAX_ENVELOPE {
            return Err(EnvelopeError::TooLong);
        }
        let (kind, rest) = payload.split_first().ok_or(EnvelopeError::Truncated)?;
        if !(0x01..=0x05).contains(kind) {
            return Err(EnvelopeError::UnknownType(*kind));
        }
        let (attempt, rest) = rest.split_first_chunk::<8>().ok_or(EnvelopeError::Truncated)?;
        let attempt = *attempt;
        let (tag, message) = match kind {
            0x01 | 0x05 => {
                rest.split_first_chunk::<16>().map(|(tag, rest)| (*tag, rest)).ok_or(EnvelopeError::Truncated)?
            }
            _ => ([0; 16], rest),
        };
        let (suite, message) = match kind {
            0x01 | 0x05 => message.split_first().map(|(suite, rest)| (*suite, rest)).ok_or(EnvelopeError::Truncated)?,
            _ => (0, message),
        };
        if *kind == 0x05 {
            return if message.is_empty() {
                Ok(Self::Refused { attempt, tag, suite })
            } else {
                Err(EnvelopeError::TooLong)
            };
        }
        if message.is_empty() {
            return Err(EnvelopeError::Truncated);
        }
        if *kind != 0x04 && message.len() > MAX_HANDSHAKE {
            return Err(EnvelopeError::TooLong);
        }
        Ok(match kind {
            0x01 => Self::First { attempt, tag, suite, message },
            0x02 => Self::Second { attempt, message },
            0x03 => Self::Third { attempt, message },
            _ => Self::Data { attempt, message },
        })
    }

    /// The payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::First { attempt, tag, suite, message } => [&[0x01][..], attempt, tag, &[*suite], message].concat(),
            Self::Second { attempt, message } => [&[0x02][..], attempt, message].concat(),
            Self::Third { attempt, message } => [&[0x03][..], attempt, message].concat(),
            Self::Data { attempt, message } => [&[0x04][..], attempt, message].concat(),
            Self::Refused { attempt, tag, suite } => [&[0x05][..], attempt, tag, &[*suite]].concat(),
        }
    }
}

/// Who speaks with whom in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// A guest, by an invite, with the host.
    HostGuest,
    /// A member with another, by what the roster says of it.
    Members,
}

/// What is mixed into every handshake: `"Conclave v1" ‖ room id(32) ‖ "host-guest" or "member-member" ‖ suite`.
pub fn prologue(room_id: &[u8; 32], roles: Roles) -> Vec<u8> {
    let roles: &[u8] = match roles {
        Roles::HostGuest => b"host-guest",
        Roles::Members => b"member-member",
    };
    [&b"Conclave v1"[..], room_id, roles, SUITE.as_bytes()].concat()
}

/// What a side signs to prove its identity, under [`PROOF_CONTEXT`]: `role(1: 1 whoever called, 2 whoever was called) ‖ own Noise
/// static(32) ‖ handshake hash(32)`. The role keeps one side's proof from being handed back to it as the other's.
pub fn proof_statement(initiator: bool, own_static: &[u8; 32], handshake_hash: &[u8; 32]) -> Vec<u8> {
    let role = if initiator { 1 } else { 2 };
    [&[role][..], own_static, handshake_hash].concat()
}

/// What a secret gives its holders at one door: an invite's at the host's, or that of all members at one member's.
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

    /// The door of the member with this Noise static key, for those who were given the members' secret: as
    /// [`new`](Self::new), with `room id ‖ static key` for the room id and the labels "member door" and "member door tag".
    pub fn of_member(members: &Secret<32>, room_id: &[u8; 32], static_key: &[u8; 32]) -> Self {
        let salt = [&room_id[..], static_key].concat();
        let tag_key = derive::<32>(members.expose(), &salt, "member door tag");
        Self {
            psk: derive(members.expose(), &salt, "member door"),
            tag_key: hmac::Key::new(hmac::HMAC_SHA256, tag_key.expose()),
        }
    }

    /// The handshake's first pre-shared key.
    pub fn psk(&self) -> &Secret<32> {
        &self.psk
    }

    /// First 16 bytes of HMAC-SHA256(tag key, attempt ‖ suite ‖ handshake message 1).
    pub fn tag(&self, attempt: &Attempt, suite: u8, message: &[u8]) -> DoorTag {
        self.mac(&[attempt, &[suite], message])
    }

    /// Whether `tag` was made with this key, in constant time.
    pub fn accepts(&self, attempt: &Attempt, suite: u8, message: &[u8], tag: &DoorTag) -> bool {
        self.tag(attempt, suite, message).ct_eq(tag).into()
    }

    /// First 16 bytes of HMAC-SHA256(tag key, "refused" ‖ attempt ‖ suite). No message 1 is that short.
    pub fn refusal_tag(&self, attempt: &Attempt, suite: u8) -> DoorTag {
        self.mac(&[b"refused", attempt, &[suite]])
    }

    /// Whether a refusal was made with this key, in constant time.
    pub fn accepts_refusal(&self, attempt: &Attempt, suite: u8, tag: &DoorTag) -> bool {
        self.refusal_tag(attempt, suite).ct_eq(tag).into()
    }

    fn mac(&self, parts: &[&[u8]]) -> DoorTag {
        let mut context = hmac::Context::with_key(&self.tag_key);
        parts.iter().for_each(|part| context.update(part));
        let mut tag = [0; 16];
        tag.copy_from_slice(&context.sign().as_ref()[..16]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_parse_without_panic_and_back_to_themselves(bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0u8..7) {
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
        assert_eq!(of(6, 100), Err(EnvelopeError::UnknownType(6)));
        assert_eq!(
            (of(5, 25), of(5, 26), of(5, 27)),
            (Err(EnvelopeError::Truncated), Ok(()), Err(EnvelopeError::TooLong))
        );
        for (kind, header) in [(1, 26), (2, 9), (3, 9)] {
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
        let tag = key(1, 1).tag(&[1; 8], 1, b"message");
        assert!(key(1, 1).accepts(&[1; 8], 1, b"message", &tag));
        assert!(!key(2, 1).accepts(&[1; 8], 1, b"message", &tag));
        assert!(!key(1, 2).accepts(&[1; 8], 1, b"message", &tag));
        assert!(!key(1, 1).accepts(&[2; 8], 1, b"message", &tag));
        assert!(!key(1, 1).accepts(&[1; 8], 1, b"massage", &tag));
        assert!(!key(1, 1).accepts(&[1; 8], 0, b"message", &tag));
        let refusal = key(1, 1).refusal_tag(&[1; 8], 1);
        assert!(key(1, 1).accepts_refusal(&[1; 8], 1, &refusal));
        assert!(!key(1, 1).accepts_refusal(&[1; 8], 0, &refusal) && !key(2, 1).accepts_refusal(&[1; 8], 1, &refusal));
        let member = |who: u8| DoorKey::of_member(&Secret::new([1; 32]), &[1; 32], &[who; 32]);
        assert!(member(1).psk() != member(2).psk() && member(1).psk() != key(1, 1).psk());
        assert!(!member(2).accepts(&[1; 8], 1, b"message", &member(1).tag(&[1; 8], 1, b"message")));
        assert!(key(1, 1).psk() != key(2, 1).psk());
        assert!(key(1, 1).psk() != key(1, 2).psk());
    }

    #[test]
    fn the_prologue_and_the_proof_are_laid_out_as_documented() {
        assert_ne!(prologue(&[7; 32], Roles::Members), prologue(&[7; 32], Roles::HostGuest));
        let prologue = prologue(&[7; 32], Roles::HostGuest);
        assert!(prologue.starts_with(b"Conclave v1\x07"));
        assert!(prologue.ends_with(b"\x07host-guestNoise_XKpsk0+psk2_25519_ChaChaPoly_SHA256 ML-KEM-768"));
        assert_ne!(proof_statement(true, &[1; 32], &[2; 32]), proof_statement(false, &[1; 32], &[2; 32]));
    }
}
