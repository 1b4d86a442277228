//! Messages under the keys of a finished handshake.
//!
//! ```text
//! nonce (8 bytes, big-endian) ‖ ChaCha20-Poly1305(plaintext) ‖ tag (16 bytes)
//! ```
//!
//! The nonce counts from 0 in each direction, which has its own key (Noise §5.2), and is that of Noise with explicit
//! nonces (Noise §11.4): messages may be lost and overtake one another.

use snow::{HandshakeState, StatelessTransportState};

use super::replay::{ReplayWindow, Stale};

/// The longest plaintext of one message, in bytes.
pub const MAX_PLAINTEXT: usize = 65_000;
/// What sealing adds to a plaintext: nonce and tag, in bytes.
pub const OVERHEAD: usize = NONCE_LENGTH + TAG_LENGTH;

const NONCE_LENGTH: usize = 8;
const TAG_LENGTH: usize = 16;
/// Nonces at and above this are neither used nor accepted. No meeting comes near it, and it leaves a wide margin to
/// 2^64 - 1, which Noise reserves (§5.1).
const LAST_NONCE: u64 = 1 << 48;

/// Why a message was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Too short to hold a nonce and a tag.
    #[error("a session message cut short")]
    Truncated,
    /// The plaintext is, or would be, longer than [`MAX_PLAINTEXT`].
    #[error("a session message of more than {MAX_PLAINTEXT} bytes")]
    TooLong,
    /// This message, or one so old that it cannot be told, has been opened before.
    #[error("a session message that came before")]
    Replayed,
    /// The message was not sealed by the peer of this session, or was changed on the way.
    #[error("a session message that does not open")]
    Forged,
    /// All nonces are used up: the session must be made anew.
    #[error("the session has no nonces left")]
    Exhausted,
}

/// A two-way channel with one peer: confidential, authentic, without loss or order guarantees.
pub struct Session {
    state: StatelessTransportState,
    hash: [u8; 32],
    remote_static: [u8; 32],
    initiator: bool,
    next_nonce: u64,
    /// 1,024 messages, far more than a relay's queue lets overtake.
    window: ReplayWindow<16>,
}

impl Session {
    /// `None` if the handshake is not finished.
    pub(super) fn from_handshake(state: HandshakeState) -> Option<Self> {
        let hash = state.get_handshake_hash().try_into().ok()?;
        let remote_static = state.get_remote_static()?.try_into().ok()?;
        let initiator = state.is_initiator();
        let state = state.into_stateless_transport_mode().ok()?;
        Some(Self { state, hash, remote_static, initiator, next_nonce: 0, window: ReplayWindow::new() })
    }

    /// The handshake hash (Noise §11.2): equal on both sides, unique to this session, not a secret.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The peer's X25519 static key. On the responder's side it is what the peer proved to hold; whose it is, a
    /// signature has to say.
    pub fn remote_static(&self) -> &[u8; 32] {
        &self.remote_static
    }

    /// Whether this side spoke first.
    pub fn is_initiator(&self) -> bool {
        self.initiator
    }

    /// Seals one message of at most [`MAX_PLAINTEXT`] bytes; the result is longer by [`OVERHEAD`].
    ///
    /// # Errors
    /// [`SessionError::TooLong`] or [`SessionError::Exhausted`]; neither uses up a nonce.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, SessionError> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SessionError::TooLong);
        }
        if self.next_nonce >= LAST_NONCE {
            return Err(SessionError::Exhausted);
        }
        let nonce = self.next_nonce;
        let mut out = vec![0; OVERHEAD + plaintext.len()];
        out[..NONCE_LENGTH].copy_from_slice(&nonce.to_be_bytes());
        self.next_nonce += 1;
        match self.state.write_message(nonce, plaintext, &mut out[NONCE_LENGTH..]) {
            Ok(_) => Ok(out),
            Err(_) => Err(SessionError::Exhausted),
        }
    }

    /// Opens one message of the peer, each at most once.
    ///
    /// # Errors
    /// [`SessionError::Truncated`], [`SessionError::TooLong`], [`SessionError::Replayed`] or
    /// [`SessionError::Forged`]. None of them changes the session.
    pub fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, SessionError> {
        let (nonce, sealed) = message.split_first_chunk::<NONCE_LENGTH>().ok_or(SessionError::Truncated)?;
        let length = sealed.len().checked_sub(TAG_LENGTH).ok_or(SessionError::Truncated)?;
        if length > MAX_PLAINTEXT {
            return Err(SessionError::TooLong);
        }
        let nonce = u64::from_be_bytes(*nonce);
        if nonce >= LAST_NONCE {
            return Err(SessionError::Forged);
        }
        self.window.check(nonce).map_err(|(Stale::Replayed | Stale::TooOld)| SessionError::Replayed)?;
        let mut plaintext = vec![0; length];
        self.state.read_message(nonce, sealed, &mut plaintext).map_err(|_| SessionError::Forged)?;
        self.window.accept(nonce);
        Ok(plaintext)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::handshake::tests::Pair;
    use proptest::prelude::*;

    #[test]
    fn each_message_opens_once_in_any_order() {
        let (mut a, mut b) = Pair::new(1).sessions();
        let sealed: Vec<Vec<u8>> = (0..100u8).map(|n| a.seal(&[n]).unwrap()).collect();
        for n in (0..100).rev() {
            assert_eq!(b.open(&sealed[n]).unwrap(), [n as u8]);
        }
        for message in &sealed {
            assert_eq!(b.open(message), Err(SessionError::Replayed));
        }
    }

    #[test]
    fn a_message_is_not_accepted_by_the_side_that_sealed_it() {
        let (mut a, _) = Pair::new(1).sessions();
        let sealed = a.seal(b"to the other").unwrap();
        assert_eq!(a.open(&sealed), Err(SessionError::Forged));
    }

    #[test]
    fn a_forged_message_does_not_move_the_window() {
        let (mut a, mut b) = Pair::new(1).sessions();
        let real = a.seal(b"real").unwrap();
        let mut forged = real.clone();
        forged[..8].copy_from_slice(&(LAST_NONCE - 1).to_be_bytes());
        assert_eq!(b.open(&forged), Err(SessionError::Forged));
        let mut flipped = real.clone();
        flipped[8] ^= 1;
        assert_eq!(b.open(&flipped), Err(SessionError::Forged));
        assert_eq!(b.open(&real).unwrap(), b"real");
    }

    #[test]
    fn a_message_older_than_the_window_counts_as_a_replay() {
        let (mut a, mut b) = Pair::new(1).sessions();
        let old = a.seal(b"old").unwrap();
        let kept = a.seal(b"kept").unwrap();
        for _ in 0..1023 {
            let message = a.seal(b"").unwrap();
            b.open(&message).unwrap();
        }
        assert_eq!(b.open(&old), Err(SessionError::Replayed));
        assert_eq!(b.open(&kept).unwrap(), b"kept");
    }

    #[test]
    fn lengths_are_bounded_both_ways() {
        let (mut a, mut b) = Pair::new(1).sessions();
        let longest = a.seal(&vec![7; MAX_PLAINTEXT]).unwrap();
        assert_eq!(longest.len(), MAX_PLAINTEXT + OVERHEAD);
        assert_eq!(b.open(&longest).unwrap().len(), MAX_PLAINTEXT);
        assert_eq!(a.seal(&vec![7; MAX_PLAINTEXT + 1]), Err(SessionError::TooLong));
        assert_eq!(b.open(&vec![7; MAX_PLAINTEXT + OVERHEAD + 1]), Err(SessionError::TooLong));
        let empty = a.seal(b"").unwrap();
        for length in 0..OVERHEAD {
            assert_eq!(b.open(&empty[..length]), Err(SessionError::Truncated));
        }
        assert_eq!(b.open(&empty).unwrap(), b"");
    }

    #[test]
    fn no_nonce_is_used_past_the_last() {
        let (mut a, mut b) = Pair::new(1).sessions();
        a.next_nonce = LAST_NONCE - 1;
        let last = a.seal(b"last").unwrap();
        assert_eq!(a.seal(b"one more"), Err(SessionError::Exhausted));
        assert_eq!(b.open(&last).unwrap(), b"last");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_a_relay_does_to_messages_is_taken_for_the_peers(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..12),
            steps in prop::collection::vec((any::<prop::sample::Index>(), any::<usize>(), 0..=255u8, any::<bool>()), 0..60),
        ) {
            let (mut a, mut b) = Pair::new(1).sessions();
            let sealed: Vec<_> = texts.iter().map(|text| a.seal(text).unwrap()).collect();
            let mut opened = vec![false; texts.len()];
            for (index, position, mask, cut) in steps {
                let which = index.index(sealed.len());
                let mut message = sealed[which].clone();
                let at = position % message.len();
                message[at] ^= mask;
                if cut {
                    message.truncate(at);
                }
                let untouched = mask == 0 && !cut;
                match b.open(&message) {
                    Ok(text) => {
                        prop_assert!(untouched && !opened[which]);
                        prop_assert_eq!(&text, &texts[which]);
                        opened[which] = true;
                    }
                    Err(_) => prop_assert!(!untouched || opened[which]),
                }
            }
            for which in 0..sealed.len() {
                let expected = if opened[which] { Err(SessionError::Replayed) } else { Ok(texts[which].clone()) };
                prop_assert_eq!(b.open(&sealed[which]), expected);
            }
        }
    }
}
