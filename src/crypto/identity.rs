//! Long-term identity: an Ed25519 key (RFC 8032) and what it signs.

use std::fmt;

use ring::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

use super::secret::Secret;

/// What every signed message begins with, so that no signature of ours is valid anywhere else.
const PREFIX: &[u8] = b"Conclave v1 ";

/// Thirty-two symbols without 0, 1, I and O, which are mistaken for one another when read aloud or copied by hand.
const FINGERPRINT_ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// The signature does not belong to this key, context and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not by this identity")]
pub struct BadSignature;

/// The public half of an identity: a 32-byte Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey(pub [u8; 32]);

impl IdentityKey {
    /// Checks that this identity signed `message` for the purpose `context` (RFC 8032 §5.1.7; malleable and
    /// non-canonical signatures are refused).
    ///
    /// # Errors
    /// [`BadSignature`], whatever was wrong.
    pub fn verify(&self, context: &str, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.verify_bytes(&signed_bytes(context, message), signature)
    }

    /// Ed25519 itself, without our prefix and context.
    pub(super) fn verify_bytes(&self, bytes: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, signature).map_err(|_| BadSignature)
    }

    /// Sixteen symbols in four groups, such as `K7QD-2M4P-9XWA-3RTB`: the first 80 bits of SHA-256 of
    /// `"Conclave v1 fingerprint" ‖ 0x00 ‖ key`, five bits a symbol, most significant first.
    ///
    /// Short enough to recognise a contact by. To verify one, people compare [`super::safety::pair_number`].
    pub fn fingerprint(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(PREFIX);
        context.update(b"fingerprint\0");
        context.update(&self.0);
        let hash = context.finish();
        let bits = hash.as_ref()[..10].iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        let mut text = String::with_capacity(19);
        for symbol in 0..16 {
            if symbol > 0 && symbol % 4 == 0 {
                text.push('-');
            }
            text.push(char::from(FINGERPRINT_ALPHABET[(bits >> (75 - 5 * symbol) & 31) as usize]));
        }
        text
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IdentityKey({})", self.fingerprint())
    }
}

/// A person's own identity: the private key and its public half.
pub struct Identity {
    seed: Secret<32>,
    pair: Ed25519KeyPair,
}

impl Identity {
    /// The identity that belongs to a 32-byte private key (RFC 8032 §5.1.5).
    pub fn from_seed(seed: Secret<32>) -> Self {
        match Ed25519KeyPair::from_seed_unchecked(seed.expose()) {
            Ok(pair) => Self { seed, pair },
            Err(_) => unreachable!("every 32 bytes are an Ed25519 private key"),
        }
    }

    /// The private key, for safekeeping.
    pub fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// The public half.
    pub fn key(&self) -> IdentityKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        IdentityKey(key)
    }

    /// Signs `b"Conclave v1 " ‖ context ‖ 0x00 ‖ message` (RFC 8032 §5.1.6). `context` names the purpose, has no NUL
    /// in it and is never chosen by a peer.
    pub fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.sign_bytes(&signed_bytes(context, message))
    }

    /// Ed25519 itself, without our prefix and context.
    pub(super) fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        signature
    }
}

/// The bytes under a signature: the context ends at the first NUL, so two contexts never give the same bytes.
fn signed_bytes(context: &str, message: &[u8]) -> Vec<u8> {
    debug_assert!(!context.contains('\0'));
    [PREFIX, context.as_bytes(), &[0], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::{self, Seeded};

    fn identity(seed: u64) -> Identity {
        Identity::from_seed(entropy::secret(&mut Seeded(seed)))
    }

    #[test]
    fn a_signature_holds_for_its_key_context_and_message_alone() {
        let (alice, bob) = (identity(1), identity(2));
        let signature = alice.sign("proof", b"message");
        assert_eq!(alice.key().verify("proof", b"message", &signature), Ok(()));
        assert_eq!(bob.key().verify("proof", b"message", &signature), Err(BadSignature));
        assert_eq!(alice.key().verify("card", b"message", &signature), Err(BadSignature));
        assert_eq!(alice.key().verify("proof", b"massage", &signature), Err(BadSignature));
        // The border between context and message cannot be moved.
        assert_eq!(alice.key().verify("proofm", b"essage", &signature), Err(BadSignature));
        for bit in 0..512 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(alice.key().verify("proof", b"message", &changed), Err(BadSignature), "bit {bit}");
        }
    }

    #[test]
    fn the_same_seed_is_the_same_identity() {
        let first = identity(1);
        assert_eq!(Identity::from_seed(first.seed().duplicate()).key(), first.key());
        assert_ne!(identity(2).key(), first.key());
    }

    #[test]
    fn a_fingerprint_is_sixteen_symbols_that_nobody_mistakes() {
        for seed in 0..50 {
            let text = identity(seed).key().fingerprint();
            let groups: Vec<&str> = text.split('-').collect();
            assert_eq!(groups.len(), 4, "{text}");
            assert!(groups.iter().all(|g| g.len() == 4 && g.bytes().all(|b| FINGERPRINT_ALPHABET.contains(&b))));
        }
        assert!(FINGERPRINT_ALPHABET.iter().all(|symbol| !b"01IO".contains(symbol)));
        // Computed apart from this code: SHA-256("Conclave v1 fingerprint" ‖ 00 ‖ 32 × 07), first ten bytes in base 32.
        assert_eq!(IdentityKey([7; 32]).fingerprint(), "6RU7-LFCH-EHJD-SQGF");
        assert_ne!(IdentityKey([7; 32]).fingerprint(), IdentityKey([8; 32]).fingerprint());
    }

    #[test]
    fn debug_output_shows_the_fingerprint_and_not_the_key() {
        let key = IdentityKey([7; 32]);
        assert_eq!(format!("{key:?}"), format!("IdentityKey({})", key.fingerprint()));
    }
}
