//! Agreeing on keys with one peer: `Noise_XKpsk0+psk2_25519_ChaChaPoly_SHA256` with ML-KEM-768 mixed in.
//!
//! ```text
//! initiator → responder   1,232 bytes   e, ENC(ML-KEM encapsulation key ek)            psk0, es
//! initiator ← responder   1,136 bytes   ML-KEM ciphertext ct ‖ e, ENC()                ee, psk2
//! initiator → responder      64 bytes   ENC(s), ENC()                                  s, se
//! ```
//!
//! * The prologue binds what both must agree on beforehand: version, room, roles, suite.
//! * `psk0` is a secret from the invite. Without it no message 1 is accepted, and none can be read.
//! * `psk2 = HKDF-SHA256(ikm = K, salt = SHA-256(ek) ‖ SHA-256(ct) ‖ SHA-256(prologue), info = "Conclave v1 psk2")`,
//!   where K is the shared secret of ML-KEM. It enters before message 2's payload, so that this payload, the
//!   initiator's static key and everything later stay secret from a quantum computer too. `ct` itself needs no
//!   authentication: another ciphertext gives another psk2, and message 2 does not open.
//! * There is one suite and no negotiation, so there is nothing to roll back to.
//!
//! Sources: the Noise Protocol Framework revision 34, §5 (processing), §7.5 (XK), §9 (PSKs); FIPS 203.
//!
//! Messages come through a relay that may forge, change, repeat and withhold them. A message that does not open
//! leaves [`Initiator`] and [`Responder`] as they were, ready for the real one.

use ring::digest;
use snow::HandshakeState;

use super::{
    entropy::{self, Entropy},
    kdf,
    kem::{self, CIPHERTEXT_LENGTH, ENCAPSULATION_KEY_LENGTH},
    noise,
    secret::Secret,
    session::Session,
};

/// The Noise protocol name (Noise §8). With ML-KEM-768 as psk2 it is the whole cipher suite.
pub const NOISE_NAME: &str = "Noise_XKpsk0+psk2_25519_ChaChaPoly_SHA256";

/// An X25519 public key in bytes.
const KEY_LENGTH: usize = 32;
/// A ChaCha20-Poly1305 tag in bytes.
const TAG_LENGTH: usize = 16;
/// Message 1: an ephemeral key and the encrypted encapsulation key.
pub const FIRST_LENGTH: usize = KEY_LENGTH + ENCAPSULATION_KEY_LENGTH + TAG_LENGTH;
/// Message 2: the ciphertext of ML-KEM, an ephemeral key and an empty encrypted payload.
pub const SECOND_LENGTH: usize = CIPHERTEXT_LENGTH + KEY_LENGTH + TAG_LENGTH;
/// Message 3: the encrypted static key and an empty encrypted payload.
pub const THIRD_LENGTH: usize = KEY_LENGTH + TAG_LENGTH + TAG_LENGTH;

/// Why a handshake did not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The message has not the one length that it can have.
    #[error("a handshake message of {got} bytes where {expected} are due")]
    WrongLength {
        /// The only length this message can have, in bytes.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// The message does not open: made with another secret, for another key or room, or changed on the way.
    #[error("a handshake message that does not open")]
    Forged,
    /// The message opened, but the ML-KEM key in it fails the check of FIPS 203 §7.2: the peer's software is broken.
    #[error("the peer's ML-KEM key is not valid")]
    BadEncapsulationKey,
    /// This handshake has already led to a session.
    #[error("the handshake is over")]
    Finished,
    /// The remote static key cannot be used, or the Noise library refused to begin. Not something a peer can cause
    /// with a message.
    #[error("the handshake cannot begin with these keys")]
    Setup,
}

/// One's own X25519 key for one meeting, used in Noise and nowhere else (Noise §14).
pub struct StaticKey {
    private: Secret<32>,
    public: [u8; 32],
}

impl StaticKey {
    /// A fresh key.
    pub fn from_entropy(entropy: &mut dyn Entropy) -> Self {
        Self::from_private(entropy::secret(entropy))
    }

    /// The key pair of a given X25519 private key.
    pub fn from_private(private: Secret<32>) -> Self {
        match noise::public_key(&private) {
            Some(public) => Self { private, public },
            None => unreachable!("the package always builds snow with X25519"),
        }
    }

    /// The public half, 32 bytes.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }
}

/// All that a side needs to build its Noise state, as often as it takes.
struct Inputs {
    prologue: Vec<u8>,
    local: Secret<32>,
    ephemeral: Secret<32>,
    psk0: Secret<32>,
}

impl Inputs {
    fn new(prologue: &[u8], local: &StaticKey, psk0: &Secret<32>, entropy: &mut dyn Entropy) -> Self {
        Self {
            prologue: prologue.to_vec(),
            local: local.private.duplicate(),
            ephemeral: entropy::secret(entropy),
            psk0: psk0.duplicate(),
        }
    }

    fn build(&self, remote_static: Option<&[u8; 32]>) -> Result<HandshakeState, snow::Error> {
        let builder = noise::builder(NOISE_NAME, &self.ephemeral)?
            .prologue(&self.prologue)?
            .local_private_key(self.local.expose())?
            .psk(0, self.psk0.expose())?;
        match remote_static {
            Some(key) => builder.remote_public_key(key)?.build_initiator(),
            None => builder.build_responder(),
        }
    }

    fn psk2(
        &self,
        shared: &Secret<32>,
        encapsulation_key: &[u8; ENCAPSULATION_KEY_LENGTH],
        ciphertext: &[u8; CIPHERTEXT_LENGTH],
    ) -> Secret<32> {
        let mut salt = [0; 96];
        for (part, bytes) in salt.chunks_mut(32).zip([&encapsulation_key[..], &ciphertext[..], &self.prologue[..]]) {
            part.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        }
        kdf::derive(shared.expose(), &salt, "psk2")
    }
}

/// The side that knows the other's static key and speaks first.
pub struct Initiator {
    /// Gone once the handshake is over.
    waiting: Option<InitiatorWaiting>,
}

struct InitiatorWaiting {
    inputs: Inputs,
    remote_static: [u8; 32],
    kem: kem::KeyPair,
    /// The state after message 1; built anew after a message that did not open.
    state: Option<HandshakeState>,
}

impl Initiator {
    /// Begins a handshake and gives message 1 ([`FIRST_LENGTH`] bytes), which may be sent again as it is.
    ///
    /// `prologue` must be the same on both sides. `remote_static` is the responder's X25519 key from an invite or a
    /// roster. Draws 96 bytes of `entropy`.
    ///
    /// # Errors
    /// [`HandshakeError::Setup`] if `remote_static` is a point of small order.
    pub fn start(
        prologue: &[u8],
        local: &StaticKey,
        remote_static: &[u8; 32],
        psk0: &Secret<32>,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let mut waiting = InitiatorWaiting {
            inputs: Inputs::new(prologue, local, psk0, entropy),
            remote_static: *remote_static,
            kem: kem::KeyPair::generate(entropy),
            state: None,
        };
        let (state, first) = waiting.after_first().map_err(|_| HandshakeError::Setup)?;
        waiting.state = Some(state);
        Ok((Self { waiting: Some(waiting) }, first))
    }

    /// Takes message 2 and gives the session and message 3 ([`THIRD_LENGTH`] bytes). The caller keeps message 3 to
    /// send it again if it gets lost.
    ///
    /// # Errors
    /// [`HandshakeError::WrongLength`] or [`HandshakeError::Forged`] for a message that is not the answer to ours: it
    /// changes nothing, the real one can still come. [`HandshakeError::Finished`] after a session was given.
    pub fn handle_second(&mut self, message: &[u8]) -> Result<(Session, Vec<u8>), HandshakeError> {
        let waiting = self.waiting.as_mut().ok_or(HandshakeError::Finished)?;
        let (session, third) = waiting.handle_second(message)?;
        self.waiting = None;
        Ok((session, third))
    }
}

impl InitiatorWaiting {
    /// The Noise state after message 1, and that message; always the same, as all its inputs are kept.
    fn after_first(&self) -> Result<(HandshakeState, Vec<u8>), snow::Error> {
        let mut state = self.inputs.build(Some(&self.remote_static))?;
        let mut first = vec![0; FIRST_LENGTH];
        let length = state.write_message(self.kem.encapsulation_key(), &mut first)?;
        first.truncate(length);
        Ok((state, first))
    }

    fn handle_second(&mut self, message: &[u8]) -> Result<(Session, Vec<u8>), HandshakeError> {
        check_length(message, SECOND_LENGTH)?;
        let (ciphertext, message) = message.split_first_chunk().ok_or(HandshakeError::Forged)?;
        // snow puts its hashes back after a message that does not open, but not its cipher key: such a state is not
        // to be trusted again. It is dropped on every way out but the last.
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.after_first().map_err(|_| HandshakeError::Setup)?.0,
        };
        let shared = self.kem.decapsulate(ciphertext);
        let psk2 = self.inputs.psk2(&shared, self.kem.encapsulation_key(), ciphertext);
        let mut third = vec![0; THIRD_LENGTH];
        let mut finish = || {
            state.set_psk(2, psk2.expose())?;
            state.read_message(message, &mut [0; TAG_LENGTH])?;
            state.write_message(&[], &mut third)
        };
        let outcome = finish();
        noise::forget_psks(&mut state);
        let length = outcome.map_err(|_| HandshakeError::Forged)?;
        third.truncate(length);
        Ok((Session::from_handshake(state).ok_or(HandshakeError::Setup)?, third))
    }
}

/// The side that answers.
pub struct Responder {
    /// Gone once the handshake is over.
    waiting: Option<ResponderWaiting>,
}

struct ResponderWaiting {
    inputs: Inputs,
    first: Vec<u8>,
    psk2: Secret<32>,
    /// The state after message 2; built anew after a message that did not open.
    state: Option<HandshakeState>,
}

impl Responder {
    /// Takes message 1 and gives message 2 ([`SECOND_LENGTH`] bytes), which may be sent again as it is.
    ///
    /// Nothing is known about the peer yet but that it has `psk0`. Draws 64 bytes of `entropy`.
    ///
    /// # Errors
    /// [`HandshakeError::WrongLength`], [`HandshakeError::Forged`] (wrong secret, key or prologue) or
    /// [`HandshakeError::BadEncapsulationKey`]. None of them calls for an answer.
    pub fn handle_first(
        prologue: &[u8],
        local: &StaticKey,
        psk0: &Secret<32>,
        message: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        check_length(message, FIRST_LENGTH)?;
        let inputs = Inputs::new(prologue, local, psk0, entropy);
        let m = entropy::secret(entropy);
        let mut state = inputs.build(None).map_err(|_| HandshakeError::Setup)?;
        let mut encapsulation_key = [0; ENCAPSULATION_KEY_LENGTH];
        if state.read_message(message, &mut encapsulation_key).is_err() {
            noise::forget_psks(&mut state);
            return Err(HandshakeError::Forged);
        }
        let (ciphertext, shared) =
            kem::encapsulate_with(&encapsulation_key, &m).map_err(|_| HandshakeError::BadEncapsulationKey)?;
        let psk2 = inputs.psk2(&shared, &encapsulation_key, &ciphertext);
        let mut second = vec![0; SECOND_LENGTH];
        second[..CIPHERTEXT_LENGTH].copy_from_slice(&ciphertext);
        let written = write_second(&mut state, &psk2, &mut second[CIPHERTEXT_LENGTH..]);
        let length = written.map_err(|_| HandshakeError::Setup)?;
        second.truncate(CIPHERTEXT_LENGTH + length);
        let waiting = ResponderWaiting { inputs, first: message.to_vec(), psk2, state: Some(state) };
        Ok((Self { waiting: Some(waiting) }, second))
    }

    /// Takes message 3 and gives the session.
    ///
    /// # Errors
    /// [`HandshakeError::WrongLength`] or [`HandshakeError::Forged`]: it changes nothing, the real message can still
    /// come. [`HandshakeError::Finished`] after a session was given.
    pub fn handle_third(&mut self, message: &[u8]) -> Result<Session, HandshakeError> {
        let waiting = self.waiting.as_mut().ok_or(HandshakeError::Finished)?;
        let session = waiting.handle_third(message)?;
        self.waiting = None;
        Ok(session)
    }
}

impl ResponderWaiting {
    fn after_second(&self) -> Result<HandshakeState, snow::Error> {
        let mut state = self.inputs.build(None)?;
        state.read_message(&self.first, &mut [0; ENCAPSULATION_KEY_LENGTH])?;
        write_second(&mut state, &self.psk2, &mut [0; KEY_LENGTH + TAG_LENGTH])?;
        Ok(state)
    }

    fn handle_third(&mut self, message: &[u8]) -> Result<Session, HandshakeError> {
        check_length(message, THIRD_LENGTH)?;
        // See `InitiatorWaiting::handle_second`. Here it would be fatal: after a message 3 whose first part is real
        // and whose tag is not, the state holds the key of the second part and refuses the real message.
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.after_second().map_err(|_| HandshakeError::Setup)?,
        };
        let read = state.read_message(message, &mut [0; TAG_LENGTH]);
        noise::forget_psks(&mut state);
        read.map_err(|_| HandshakeError::Forged)?;
        Session::from_handshake(state).ok_or(HandshakeError::Setup)
    }
}

/// Sets psk2 and writes the Noise part of message 2.
fn write_second(state: &mut HandshakeState, psk2: &Secret<32>, out: &mut [u8]) -> Result<usize, snow::Error> {
    state.set_psk(2, psk2.expose())?;
    state.write_message(&[], out)
}

fn check_length(message: &[u8], expected: usize) -> Result<(), HandshakeError> {
    if message.len() == expected { Ok(()) } else { Err(HandshakeError::WrongLength { expected, got: message.len() }) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::crypto::entropy::Seeded;
    use proptest::prelude::*;

    const PROLOGUE: &[u8] = b"prologue";

    /// Both sides of a handshake, and what each has sent so far.
    pub(in crate::crypto) struct Pair {
        host: StaticKey,
        guest: StaticKey,
        psk0: Secret<32>,
        entropy: Seeded,
    }

    impl Pair {
        pub(in crate::crypto) fn new(seed: u64) -> Self {
            let mut entropy = Seeded(seed);
            Self {
                host: StaticKey::from_entropy(&mut entropy),
                guest: StaticKey::from_entropy(&mut entropy),
                psk0: entropy::secret(&mut entropy),
                entropy,
            }
        }

        fn start(&mut self) -> (Initiator, Vec<u8>) {
            Initiator::start(PROLOGUE, &self.guest, &self.host.public, &self.psk0, &mut self.entropy).unwrap()
        }

        fn answer(&mut self, first: &[u8]) -> Result<(Responder, Vec<u8>), HandshakeError> {
            Responder::handle_first(PROLOGUE, &self.host, &self.psk0, first, &mut self.entropy)
        }

        /// The initiator's and the responder's session.
        pub(in crate::crypto) fn sessions(&mut self) -> (Session, Session) {
            let (mut initiator, first) = self.start();
            let (mut responder, second) = self.answer(&first).unwrap();
            let (guest, third) = initiator.handle_second(&second).unwrap();
            (guest, responder.handle_third(&third).unwrap())
        }
    }

    fn error<T>(result: Result<T, HandshakeError>) -> HandshakeError {
        match result {
            Ok(_) => panic!("accepted"),
            Err(error) => error,
        }
    }

    /// Every message of both sides opens on the other.
    fn assert_talk(a: &mut Session, b: &mut Session) {
        for text in [&b"first"[..], b"", b"third"] {
            assert_eq!(b.open(&a.seal(text).unwrap()).unwrap(), text);
            assert_eq!(a.open(&b.seal(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn both_sides_agree_on_the_session_and_on_each_other() {
        let mut pair = Pair::new(1);
        let (mut initiator, first) = pair.start();
        let (mut responder, second) = pair.answer(&first).unwrap();
        let (mut guest, third) = initiator.handle_second(&second).unwrap();
        let mut host = responder.handle_third(&third).unwrap();
        assert_eq!([first.len(), second.len(), third.len()], [FIRST_LENGTH, SECOND_LENGTH, THIRD_LENGTH]);
        assert_eq!([FIRST_LENGTH, SECOND_LENGTH, THIRD_LENGTH], [1232, 1136, 64]);
        assert_eq!(guest.hash(), host.hash());
        assert_eq!(guest.remote_static(), &pair.host.public());
        assert_eq!(host.remote_static(), &pair.guest.public());
        assert!(guest.is_initiator() && !host.is_initiator());
        assert_talk(&mut guest, &mut host);
        assert_eq!(error(initiator.handle_second(&second)), HandshakeError::Finished);
        assert_eq!(error(responder.handle_third(&third)), HandshakeError::Finished);
    }

    #[test]
    fn no_two_sessions_are_alike() {
        let mut pair = Pair::new(1);
        let ((mut one, _), (_, mut other)) = (pair.sessions(), pair.sessions());
        assert_ne!(one.hash(), other.hash());
        assert_eq!(other.open(&one.seal(b"for another").unwrap()), Err(crate::crypto::session::SessionError::Forged));
    }

    #[test]
    fn a_wrong_secret_room_or_host_key_is_met_with_silence() {
        let mut pair = Pair::new(1);
        let mut entropy = Seeded(9);
        let other = StaticKey::from_entropy(&mut entropy);
        let wrong: Secret<32> = entropy::secret(&mut entropy);
        for (prologue, host, psk0) in [
            (PROLOGUE, &pair.host.public, &wrong),
            (b"another", &pair.host.public, &pair.psk0),
            (PROLOGUE, &other.public, &pair.psk0),
        ] {
            let (_, first) = Initiator::start(prologue, &pair.guest, host, psk0, &mut entropy).unwrap();
            let refused = Responder::handle_first(PROLOGUE, &pair.host, &pair.psk0, &first, &mut entropy).map(|_| ());
            assert_eq!(refused, Err(HandshakeError::Forged));
        }
        assert!(pair.start().0.waiting.is_some());
    }

    #[test]
    fn whoever_has_the_invite_but_not_the_hosts_key_cannot_answer_for_the_host() {
        let mut pair = Pair::new(1);
        let (mut initiator, first) = pair.start();
        let impostor = StaticKey::from_entropy(&mut Seeded(5));
        assert_eq!(
            error(Responder::handle_first(PROLOGUE, &impostor, &pair.psk0, &first, &mut Seeded(6))),
            HandshakeError::Forged
        );
        // An answer to an attempt made towards the impostor does not fit this one either.
        let (_, theirs) =
            Initiator::start(PROLOGUE, &pair.guest, &impostor.public, &pair.psk0, &mut Seeded(7)).unwrap();
        let (_, second) = Responder::handle_first(PROLOGUE, &impostor, &pair.psk0, &theirs, &mut Seeded(6)).unwrap();
        assert_eq!(error(initiator.handle_second(&second)), HandshakeError::Forged);
        let (mut responder, second) = pair.answer(&first).unwrap();
        let (mut guest, third) = initiator.handle_second(&second).unwrap();
        assert_talk(&mut guest, &mut responder.handle_third(&third).unwrap());
    }

    #[test]
    fn the_kem_ciphertext_is_bound_to_the_handshake() {
        // A real ciphertext for the same key, from another answer, in front of this answer's Noise message.
        let mut pair = Pair::new(1);
        let (mut initiator, first) = pair.start();
        let (_, one) = pair.answer(&first).unwrap();
        let (mut responder, other) = pair.answer(&first).unwrap();
        let mixed = [&one[..CIPHERTEXT_LENGTH], &other[CIPHERTEXT_LENGTH..]].concat();
        assert_eq!(error(initiator.handle_second(&mixed)), HandshakeError::Forged);
        let (mut guest, third) = initiator.handle_second(&other).unwrap();
        assert_talk(&mut guest, &mut responder.handle_third(&third).unwrap());
    }

    #[test]
    fn an_encapsulation_key_out_of_range_is_refused_by_name() {
        let mut pair = Pair::new(1);
        let inputs = Inputs::new(PROLOGUE, &pair.guest, &pair.psk0, &mut pair.entropy);
        let mut first = vec![0; FIRST_LENGTH];
        inputs.build(Some(&pair.host.public)).unwrap().write_message(&[0xff; 1184], &mut first).unwrap();
        assert_eq!(error(pair.answer(&first)), HandshakeError::BadEncapsulationKey);
    }

    #[test]
    fn a_host_key_of_small_order_is_refused_at_the_start() {
        let pair = Pair::new(1);
        let refused = Initiator::start(PROLOGUE, &pair.guest, &[0; 32], &pair.psk0, &mut Seeded(2));
        assert_eq!(error(refused), HandshakeError::Setup);
    }

    #[test]
    fn a_message_of_another_length_says_so_and_changes_nothing() {
        let mut pair = Pair::new(1);
        let (mut initiator, first) = pair.start();
        for length in [0, 1, FIRST_LENGTH - 1, FIRST_LENGTH + 1, 70_000] {
            let mut message = first.clone();
            message.resize(length, 0);
            let expected = HandshakeError::WrongLength { expected: FIRST_LENGTH, got: length };
            assert_eq!(error(pair.answer(&message)), expected);
        }
        let (mut responder, second) = pair.answer(&first).unwrap();
        for length in [0, CIPHERTEXT_LENGTH, SECOND_LENGTH - 1, SECOND_LENGTH + 1] {
            let mut message = second.clone();
            message.resize(length, 0);
            let expected = HandshakeError::WrongLength { expected: SECOND_LENGTH, got: length };
            assert_eq!(error(initiator.handle_second(&message)), expected);
        }
        let (mut guest, third) = initiator.handle_second(&second).unwrap();
        for length in [0, THIRD_LENGTH - 1, THIRD_LENGTH + 1] {
            let mut message = third.clone();
            message.resize(length, 0);
            let expected = HandshakeError::WrongLength { expected: THIRD_LENGTH, got: length };
            assert_eq!(error(responder.handle_third(&message)), expected);
        }
        assert_talk(&mut guest, &mut responder.handle_third(&third).unwrap());
    }

    #[test]
    fn every_flipped_bit_of_the_third_message_is_refused_and_the_real_one_still_accepted() {
        let mut pair = Pair::new(1);
        let (mut initiator, first) = pair.start();
        let (mut responder, second) = pair.answer(&first).unwrap();
        let (mut guest, third) = initiator.handle_second(&second).unwrap();
        for bit in 0..8 * THIRD_LENGTH {
            let mut changed = third.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(error(responder.handle_third(&changed)), HandshakeError::Forged, "bit {bit}");
        }
        assert_talk(&mut guest, &mut responder.handle_third(&third).unwrap());
    }

    /// What a hostile relay does to a message on its way.
    #[derive(Debug, Clone)]
    enum Tampering {
        Flip(usize, u8),
        Truncate(usize),
        Replace(Vec<u8>),
        /// A message of the same place in another handshake of the same two people.
        Foreign,
        /// The message of another place in this handshake.
        OutOfPlace,
    }

    fn tampering() -> impl Strategy<Value = Tampering> {
        prop_oneof![
            (any::<usize>(), 1..=255u8).prop_map(|(position, mask)| Tampering::Flip(position, mask)),
            any::<usize>().prop_map(Tampering::Truncate),
            prop::collection::vec(any::<u8>(), 0..1500).prop_map(Tampering::Replace),
            Just(Tampering::Foreign),
            Just(Tampering::OutOfPlace),
        ]
    }

    fn tamper(tampering: &Tampering, message: &[u8], foreign: &[u8], elsewhere: &[u8]) -> Vec<u8> {
        let mut changed = message.to_vec();
        match tampering {
            Tampering::Flip(position, mask) => changed[position % message.len()] ^= mask,
            Tampering::Truncate(length) => changed.truncate(length % message.len()),
            Tampering::Replace(bytes) => changed.clone_from(bytes),
            Tampering::Foreign => changed = foreign.to_vec(),
            Tampering::OutOfPlace => changed = elsewhere.to_vec(),
        }
        changed
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_a_relay_does_each_side_refuses_it_and_then_takes_the_real_message(
            seed in any::<u64>(),
            at_first in prop::collection::vec(tampering(), 0..4),
            at_second in prop::collection::vec(tampering(), 0..4),
            at_third in prop::collection::vec(tampering(), 0..4),
        ) {
            let mut pair = Pair::new(seed);
            let (mut other_initiator, other_first) = pair.start();
            let (_, other_second) = pair.answer(&other_first).unwrap();
            let (_, other_third) = other_initiator.handle_second(&other_second).unwrap();

            let (mut initiator, first) = pair.start();
            for step in at_first {
                let changed = tamper(&step, &first, &first[1..], &other_second);
                prop_assert!(pair.answer(&changed).is_err(), "{step:?}");
            }
            let (mut responder, second) = pair.answer(&first).unwrap();
            for step in at_second {
                let changed = tamper(&step, &second, &other_second, &first);
                prop_assert!(initiator.handle_second(&changed).is_err(), "{step:?}");
            }
            let (mut guest, third) = initiator.handle_second(&second).unwrap();
            for step in at_third {
                let changed = tamper(&step, &third, &other_third, &second);
                prop_assert!(responder.handle_third(&changed).is_err(), "{step:?}");
            }
            let mut host = responder.handle_third(&third).unwrap();
            prop_assert_eq!(guest.hash(), host.hash());
            prop_assert_eq!(host.remote_static(), &pair.guest.public());
            assert_talk(&mut guest, &mut host);
        }
    }
}
