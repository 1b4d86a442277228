//! Keys, and nothing that reads a clock, a socket, a file or a random source.
//!
//! From the bottom up: [`secret`] holds bytes that must not leak, [`entropy`] is where randomness comes in, [`kdf`]
//! separates one secret into many. [`identity`] signs, [`kem`] and [`handshake`] agree on keys with one peer,
//! [`session`] carries messages under them. [`sender_keys`] and [`frame`] seal media. [`safety`] is what two people
//! compare aloud.
//!
//! Limits that a caller should know: `ring` and `snow` keep expanded keys in memory that this crate cannot wipe
//! without unsafe code. What is ours (seeds, base keys, private keys between messages) is wiped when dropped, and
//! states of `snow` live no longer than a handshake.

pub mod entropy;
pub mod frame;
mod frame_header;
pub mod handshake;
pub mod identity;
pub mod kdf;
pub mod kem;
mod noise;
mod replay;
pub mod safety;
pub mod secret;
pub mod sender_keys;
pub mod session;
#[cfg(test)]
mod vectors;

pub use entropy::Entropy;
pub use identity::{BadSignature, Identity, IdentityKey};
pub use secret::Secret;
pub use sender_keys::SenderKey;
