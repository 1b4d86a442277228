//! ML-KEM-768 (FIPS 203), the post-quantum half of every handshake.

use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PublicKey};
use zeroize::Zeroize;

use super::{entropy, entropy::Entropy, secret::Secret};

/// Length of an encapsulation key in bytes (FIPS 203 table 3).
pub const ENCAPSULATION_KEY_LENGTH: usize = 1184;
/// Length of a ciphertext in bytes (FIPS 203 table 3).
pub const CIPHERTEXT_LENGTH: usize = 1088;

/// The encapsulation key is not one: a coefficient is not reduced modulo q (FIPS 203 §7.2, modulus check).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ML-KEM encapsulation key is not valid")]
pub struct BadEncapsulationKey;

/// A key pair for one handshake, kept as its 64-byte seed `d ‖ z` (FIPS 203 §7.1), which is wiped when dropped.
pub struct KeyPair {
    seed: Secret<64>,
    public: Box<[u8; ENCAPSULATION_KEY_LENGTH]>,
}

impl KeyPair {
    /// A fresh key pair.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self::from_seed(entropy::secret(entropy))
    }

    /// The key pair of the seed `d ‖ z` (FIPS 203 algorithm 16).
    pub fn from_seed(seed: Secret<64>) -> Self {
        let pair = mlkem768::generate_key_pair(*seed.expose());
        Self { public: Box::new(*pair.pk()), seed }
    }

    /// The encapsulation key, to be sent to the peer.
    pub fn encapsulation_key(&self) -> &[u8; ENCAPSULATION_KEY_LENGTH] {
        &self.public
    }

    /// The shared secret in `ciphertext` (FIPS 203 algorithm 21).
    ///
    /// A ciphertext made for another key or changed on the way gives a secret that nobody else has (implicit
    /// rejection), never an error.
    pub fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT_LENGTH]) -> Secret<32> {
        // The expanded key is rebuilt for the one time it is used, so that only the seed has to be kept and wiped.
        let pair = mlkem768::generate_key_pair(*self.seed.expose());
        let mut shared = mlkem768::decapsulate(pair.private_key(), &MlKem768Ciphertext::from(ciphertext));
        let secret = Secret::new(shared);
        shared.zeroize();
        secret
    }
}

/// A fresh shared secret for the holder of `encapsulation_key`, and the ciphertext that carries it (FIPS 203
/// algorithm 20).
///
/// # Errors
/// [`BadEncapsulationKey`] if the key fails the modulus check of FIPS 203 §7.2.
pub fn encapsulate(
    encapsulation_key: &[u8; ENCAPSULATION_KEY_LENGTH],
    entropy: &mut dyn Entropy,
) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), BadEncapsulationKey> {
    encapsulate_with(encapsulation_key, &entropy::secret(entropy))
}

/// As [`encapsulate`], with the 32 random bytes `m` given.
pub(super) fn encapsulate_with(
    encapsulation_key: &[u8; ENCAPSULATION_KEY_LENGTH],
    m: &Secret<32>,
) -> Result<([u8; CIPHERTEXT_LENGTH], Secret<32>), BadEncapsulationKey> {
    let key = MlKem768PublicKey::from(encapsulation_key);
    if !mlkem768::validate_public_key(&key) {
        return Err(BadEncapsulationKey);
    }
    let (ciphertext, mut shared) = mlkem768::encapsulate(&key, *m.expose());
    let secret = Secret::new(shared);
    shared.zeroize();
    Ok((*ciphertext.as_slice(), secret))
}
