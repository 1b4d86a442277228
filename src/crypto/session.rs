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
