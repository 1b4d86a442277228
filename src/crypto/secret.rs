//! Bytes that must not be printed, copied by accident or left behind in memory.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `N` secret bytes: wiped when dropped, compared in constant time.
///
/// It has no `Debug`, `Display`, `Clone` or `Copy` on purpose. A copy is made with [`Secret::duplicate`], so that
/// every copy in the source can be found by that name.
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes over `bytes`. The caller's own array, if it was copied here, is the caller's to wipe.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Copies a slice of exactly `N` bytes; any other length gives `None`.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// The bytes themselves. Whoever calls this answers for where they go.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, to be filled in place. Used by the key derivation and the entropy source.
    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// A second copy of the same secret.
    pub fn duplicate(&self) -> Self {
        Self(self.0)
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    /// Takes the same time wherever the first difference is.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Fails to compile if `$type` implements `$trait`: both impls of the helper trait then fit, and the call is ambiguous.
#[cfg(test)]
macro_rules! assert_not_impl {
    ($($type:ty),+ ; $($trait:path),+) => {
        assert_not_impl!(@types [$($type),+] [$($trait),+]);
    };
    (@types [$($type:ty),+] $traits:tt) => { $(assert_not_impl!(@one $type, $traits);)+ };
    (@one $type:ty, [$($trait:path),+]) => { $(
        const _: fn() = || {
            trait Ambiguous<A> {
                fn probe() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Found;
            impl<T: ?Sized + $trait> Ambiguous<Found> for T {}
            let _ = <$type as Ambiguous<_>>::probe;
        };
    )+ };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{frame, handshake, identity, kem, sender_keys, session};

    // Checked by the compiler: this file does not build if one of these can be printed or copied without being seen.
    assert_not_impl!(
        Secret<32>, Secret<64>, identity::Identity, kem::KeyPair, handshake::StaticKey, handshake::Initiator,
        handshake::Responder, session::Session, sender_keys::SenderKey, frame::Sealer, frame::Opener;
        std::fmt::Debug, std::fmt::Display, Clone
    );

    #[test]
    fn secrets_compare_by_value() {
        assert!(Secret::new([7; 32]) == Secret::new([7; 32]));
        let mut other = [7; 32];
        other[31] = 8;
        assert!(Secret::new([7; 32]) != Secret::new(other));
    }

    #[test]
    fn a_secret_is_made_only_from_a_slice_of_its_length() {
        assert!(Secret::<4>::from_slice(&[1, 2, 3]).is_none());
        assert!(Secret::<4>::from_slice(&[1, 2, 3, 4, 5]).is_none());
        let made = Secret::<4>::from_slice(&[1, 2, 3, 4]).unwrap();
        assert_eq!(made.expose(), &[1, 2, 3, 4]);
        assert!(made.duplicate() == made);
    }
}
