//! The seam to `snow`: its randomness is what we hand it, and what it holds is wiped as far as its traits allow.

use snow::{
    Builder, Error, HandshakeState,
    params::{CipherChoice, DHChoice, HashChoice, NoiseParams},
    resolvers::{CryptoResolver, DefaultResolver},
    types::{Cipher, Dh, Hash, Random},
};
use subtle::ConstantTimeEq;

use super::secret::Secret;

/// Resolves the algorithms of `snow`, with these differences from its default: the only random bytes are one ephemeral
/// private key drawn beforehand, an X25519 result of zero is refused (RFC 7748 §6.1), and keys are overwritten when
/// dropped.
struct Resolver {
    ephemeral: Secret<32>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneKey(Some(self.ephemeral.duplicate()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(CheckedDh(DefaultResolver.resolve_dh(choice)?)))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(WipedCipher(DefaultResolver.resolve_cipher(choice)?)))
    }
}

/// Gives the one ephemeral key of a handshake, once. A second request would mean that a key is used twice: it fails.
struct OneKey(Option<Secret<32>>);

impl Random for OneKey {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let key = self.0.take().ok_or(Error::Rng)?;
        if out.len() != key.expose().len() {
            return Err(Error::Rng);
        }
        out.copy_from_slice(key.expose());
        Ok(())
    }
}

struct CheckedDh(Box<dyn Dh>);

impl Dh for CheckedDh {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn pub_len(&self) -> usize {
        self.0.pub_len()
    }
    fn priv_len(&self) -> usize {
        self.0.priv_len()
    }
    fn set(&mut self, private: &[u8]) {
        self.0.set(private);
    }
    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        self.0.generate(rng)
    }
    fn pubkey(&self) -> &[u8] {
        self.0.pubkey()
    }
    fn privkey(&self) -> &[u8] {
        self.0.privkey()
    }
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        self.0.dh(public, out)?;
        // A peer that sends a point of small order takes this exchange out of the key. The other exchanges would still
        // protect it, but nobody honest sends one.
        let result = out.get(..32).ok_or(Error::Dh)?;
        if bool::from(result.ct_eq(&[0; 32])) { Err(Error::Dh) } else { Ok(()) }
    }
}

impl Drop for CheckedDh {
    fn drop(&mut self) {
        self.0.set(&[0; 32]);
    }
}

struct WipedCipher(Box<dyn Cipher>);

impl Cipher for WipedCipher {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn set(&mut self, key: &[u8; 32]) {
        self.0.set(key);
    }
    fn encrypt(&self, nonce: u64, ad: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        self.0.encrypt(nonce, ad, plaintext, out)
    }
    fn decrypt(&self, nonce: u64, ad: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        self.0.decrypt(nonce, ad, ciphertext, out)
    }
    fn rekey(&mut self) {
        self.0.rekey();
    }
}

impl Drop for WipedCipher {
    fn drop(&mut self) {
        self.0.set(&[0; 32]);
    }
}

/// A builder for the protocol called `name` whose ephemeral private key, if it needs one, is `ephemeral`.
pub(super) fn builder<'a>(name: &str, ephemeral: &Secret<32>) -> Result<Builder<'a>, Error> {
    let params: NoiseParams = name.parse()?;
    Ok(Builder::with_resolver(params, Box::new(Resolver { ephemeral: ephemeral.duplicate() })))
}

/// The X25519 public key of `private` (RFC 7748 §6.1); `None` only if `snow` is built without the curve.
pub(super) fn public_key(private: &Secret<32>) -> Option<[u8; 32]> {
    let mut dh = CheckedDh(DefaultResolver.resolve_dh(&DHChoice::Curve25519)?);
    dh.set(private.expose());
    dh.pubkey().try_into().ok()
}

/// Overwrites the pre-shared keys in a state that is about to be dropped or turned into a session.
pub(super) fn forget_psks(state: &mut HandshakeState) {
    for location in [0, 2] {
        // Cannot fail: the length and both locations are within the bounds of `snow`.
        let _ = state.set_psk(location, &[0; 32]);
    }
}
