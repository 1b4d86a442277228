//! Media frames sealed end to end: SFrame (RFC 9605) with suite 0x0005, `AES_256_GCM_SHA512_128`.
//!
//! A sealed frame is `header ‖ ciphertext ‖ tag (16 bytes)`; the header carries key id and counter (§4.3), and what is
//! authenticated beside the frame is `header ‖ metadata` (§4.4.3). Key and salt come from a base key by HKDF-SHA512
//! (§4.4.2), the nonce is the salt with the counter added by XOR (§4.4.3).
//!
//! A sender has one base key per generation ([`super::sender_keys::SenderKey`]) and three streams. The base key of a
//! stream is `derive(base, salt = "", "sframe audio" | "sframe camera" | "sframe screen")`, so streams share neither
//! key nor counter. The key id names sender, stream and generation ([`Kid`]): nothing is ever opened by trial.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};

use super::{
    frame_header as header, kdf,
    replay::{ReplayWindow, Stale},
    secret::Secret,
};

/// An AES-GCM tag in bytes; SFrame's suite 0x0005 sends it whole.
const TAG_LENGTH: usize = 16;
/// The most that sealing adds to a frame: the longest header and the tag, in bytes.
pub const MAX_OVERHEAD: usize = header::MAX_LENGTH + TAG_LENGTH;
/// `AES_256_GCM_SHA512_128` in the registry of RFC 9605 §8.1.
const CIPHER_SUITE: u16 = 0x0005;
/// Frames that one key may seal. SFrame's nonces would allow more; NIST SP 800-38D §8.3 sets this bound for GCM, and a
/// generation that lives minutes never comes near it.
const MAX_FRAMES: u64 = 1 << 32;
/// The longest frame, in bytes: over four times a key frame of 1080p at a generous bit rate. Bounds what a peer makes
/// us copy.
pub const MAX_PLAINTEXT: usize = 4 << 20;
/// Generations of one sender that are kept. Two are usual (the current one and the one before); a peer that hands out
/// more pushes out its own oldest.
pub const MAX_GENERATIONS: usize = 8;

/// Why a frame was not sealed or opened. All are counted, none is shown frame by frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Too short to hold a header and a tag.
    #[error("a sealed frame cut short")]
    TooShort,
    /// The frame is, or would be, longer than [`MAX_PLAINTEXT`].
    #[error("a frame of more than {MAX_PLAINTEXT} bytes")]
    TooLong,
    /// The header is cut short or not in its shortest form, or the key id names a stream that does not exist.
    #[error("a sealed frame whose header makes no sense")]
    BadHeader,
    /// No key for this key id: not yet handed over, or already retired.
    #[error("a frame sealed with an unknown key ({0:#x})")]
    UnknownKey(u64),
    /// The key id names another sender than the one whose keys these are.
    #[error("a frame that names another sender")]
    WrongSender,
    /// This very frame has been opened before.
    #[error("a frame that came before")]
    Replayed,
    /// So old that nobody remembers whether it has been opened.
    #[error("a frame too old to tell whether it came before")]
    TooOld,
    /// The frame or its metadata was not sealed with this key, or was changed on the way.
    #[error("a frame that does not open")]
    Forged,
    /// This key has sealed [`MAX_FRAMES`] frames: a new generation is due.
    #[error("the key has sealed as many frames as it may")]
    Exhausted,
}

/// What a frame belongs to. Streams of one sender have separate keys, counters and replay windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The microphone.
    Audio = 0,
    /// The camera.
    Camera = 1,
    /// A shared screen or window.
    Screen = 2,
}

impl Stream {
    /// All streams, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Audio, Self::Camera, Self::Screen];

    fn label(self) -> &'static str {
        match self {
            Self::Audio => "sframe audio",
            Self::Camera => "sframe camera",
            Self::Screen => "sframe screen",
        }
    }
}

/// An SFrame key id: `generation << 20 | sender << 4 | stream`.
///
/// ```text
/// bits 63..52  zero
/// bits 51..20  generation (32)
/// bits 19..4   sender's index in the meeting (16)
/// bits  3..0   stream (4): 0 audio, 1 camera, 2 screen
/// ```
///
/// The generation comes first, so that key ids stay short (one to three bytes) in a young meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(pub u64);

impl Kid {
    /// The key id of one stream of one sender in one generation.
    pub fn new(sender: u16, stream: Stream, generation: u32) -> Self {
        Self(u64::from(generation) << 20 | u64::from(sender) << 4 | stream as u64)
    }

    /// The sender's index.
    pub fn sender(self) -> u16 {
        (self.0 >> 4) as u16
    }

    /// The stream, or `None` if the number stands for none.
    pub fn stream(self) -> Option<Stream> {
        Stream::ALL.get((self.0 & 15) as usize).copied()
    }

    /// The generation, or `None` if bits are set that no generation reaches.
    pub fn generation(self) -> Option<u32> {
        u32::try_from(self.0 >> 20).ok()
    }
}

/// Key and salt of one key id (RFC 9605 §4.4.2).
struct StreamKey {
    key: LessSafeKey,
    salt: Secret<NONCE_LEN>,
}

impl StreamKey {
    /// From a sender's base key.
    fn of_sender(kid: Kid, stream: Stream, base_key: &Secret<32>) -> Self {
        Self::new(kid.0, kdf::derive::<32>(base_key.expose(), &[], stream.label()).expose())
    }

    /// From the SFrame base key itself.
    fn new(kid: u64, base_key: &[u8]) -> Self {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA512, &[]).extract(base_key);
        let (kid, suite) = (kid.to_be_bytes(), CIPHER_SUITE.to_be_bytes());
        let key_info: [&[u8]; 3] = [b"SFrame 1.0 Secret key ", &kid, &suite];
        let key = LessSafeKey::new(UnboundKey::from(kdf::expand(&prk, &key_info, &AES_256_GCM)));
        Self { key, salt: kdf::fill(&prk, &[b"SFrame 1.0 Secret salt ", &kid, &suite]) }
    }

    /// Salt XOR counter (RFC 9605 §4.4.3).
    fn nonce(&self, counter: u64) -> Nonce {
        let mut nonce = *self.salt.expose();
        for (byte, counter) in nonce[NONCE_LEN - 8..].iter_mut().zip(counter.to_be_bytes()) {
            *byte ^= counter;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(
        &self,
        kid: u64,
        counter: u64,
        metadata: &[u8],
        plaintext: &[u8],
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let mut head = [0; header::MAX_LENGTH];
        let head_length = header::encode(kid, counter, &mut head);
        let head = &head[..head_length];
        out.clear();
        out.reserve(head_length + plaintext.len() + TAG_LENGTH);
        out.extend_from_slice(head);
        out.extend_from_slice(plaintext);
        let aad = authenticated(head, metadata, scratch);
        let tag = self.key.seal_in_place_separate_tag(self.nonce(counter), aad, &mut out[head_length..]);
        match tag {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            Err(_) => {
                // Nothing unsealed may be left where the caller would send it from.
                out.clear();
                Err(FrameError::TooLong)
            }
        }
    }

    fn open(
        &self,
        counter: u64,
        head: &[u8],
        metadata: &[u8],
        ciphertext: &[u8],
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        out.clear();
        out.extend_from_slice(ciphertext);
        let aad = authenticated(head, metadata, scratch);
        let opened = self.key.open_in_place(self.nonce(counter), aad, out).map(|plaintext| plaintext.len());
        out.truncate(opened.unwrap_or(0));
        opened.map(|_| ()).map_err(|_| FrameError::Forged)
    }
}

/// `header ‖ metadata` in a buffer that is used again for every frame.
fn authenticated<'a>(head: &[u8], metadata: &[u8], scratch: &'a mut Vec<u8>) -> Aad<&'a [u8]> {
    scratch.clear();
    scratch.extend_from_slice(head);
    scratch.extend_from_slice(metadata);
    Aad::from(scratch)
}

/// Seals the frames of one stream under one generation of a sender's key.
pub struct Sealer {
    kid: Kid,
    key: StreamKey,
    counter: u64,
    scratch: Vec<u8>,
}

impl Sealer {
    /// For `kid`, with the sender's base key of that generation. The counter begins at 0, so there must be one sealer
    /// for a key id and base key, ever: a second one would use every nonce again.
    ///
    /// A key id whose stream has no name is sealed with the key of audio's label, and no [`Opener`] opens it; key ids
    /// made by [`Kid::new`] always have one.
    pub fn new(kid: Kid, base_key: &Secret<32>) -> Self {
        let key = StreamKey::of_sender(kid, kid.stream().unwrap_or(Stream::Audio), base_key);
        Self { kid, key, counter: 0, scratch: Vec::new() }
    }

    /// The key id in the header of every frame.
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// Seals `plaintext`, binding `metadata`, into `out`, which is cleared first. Allocates nothing once `out` has
    /// room for the plaintext and [`MAX_OVERHEAD`].
    ///
    /// # Errors
    /// [`FrameError::TooLong`] or [`FrameError::Exhausted`] (after 2^32 frames); `out` is then empty.
    pub fn seal(&mut self, metadata: &[u8], plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        out.clear();
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(FrameError::TooLong);
        }
        if self.counter >= MAX_FRAMES {
            return Err(FrameError::Exhausted);
        }
        let counter = self.counter;
        // Moves on whatever happens: a nonce is never used twice.
        self.counter += 1;
        self.key.seal(self.kid.0, counter, metadata, plaintext, &mut self.scratch, out)
    }
}

/// What an opened frame was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The stream it belongs to.
    pub stream: Stream,
    /// The generation of the sender's key.
    pub generation: u32,
    /// The sender's count of frames in this stream and generation, from 0.
    pub counter: u64,
}

/// 512 frames of sound, ten seconds at 20 ms, far beyond any jitter buffer.
type AudioWindow = ReplayWindow<8>;
/// 1,024 pictures, half a minute at 30 a second.
type VideoWindow = ReplayWindow<16>;

/// One generation of one sender: a key and a replay window for each stream.
struct Generation {
    number: u32,
    keys: [StreamKey; 3],
    audio: AudioWindow,
    camera: VideoWindow,
    screen: VideoWindow,
}

impl Generation {
    fn new(sender: u16, number: u32, base_key: &Secret<32>) -> Self {
        let keys = Stream::ALL.map(|stream| StreamKey::of_sender(Kid::new(sender, stream, number), stream, base_key));
        Self { number, keys, audio: AudioWindow::new(), camera: VideoWindow::new(), screen: VideoWindow::new() }
    }

    fn check(&self, stream: Stream, counter: u64) -> Result<(), Stale> {
        match stream {
            Stream::Audio => self.audio.check(counter),
            Stream::Camera => self.camera.check(counter),
            Stream::Screen => self.screen.check(counter),
        }
    }

    fn accept(&mut self, stream: Stream, counter: u64) {
        match stream {
            Stream::Audio => self.audio.accept(counter),
            Stream::Camera => self.camera.accept(counter),
            Stream::Screen => self.screen.accept(counter),
        }
    }
}

/// Opens the frames of one sender: all its streams, and every generation that has not been retired.
pub struct Opener {
    sender: u16,
    generations: Vec<Generation>,
    /// Generations below this are over and never come back: their replay windows are gone.
    floor: u64,
    scratch: Vec<u8>,
}

impl Opener {
    /// For the member with the index `sender`, without any key yet.
    pub fn new(sender: u16) -> Self {
        Self { sender, generations: Vec::with_capacity(2), floor: 0, scratch: Vec::new() }
    }

    /// The sender whose frames these are.
    pub fn sender(&self) -> u16 {
        self.sender
    }

    /// Adds the sender's base key of a generation. `false`, and nothing happens, if that generation is already here or
    /// has been retired: taking a key twice would forget which of its frames came before.
    ///
    /// Of more than [`MAX_GENERATIONS`] the lowest is retired.
    pub fn insert(&mut self, generation: u32, base_key: &Secret<32>) -> bool {
        if u64::from(generation) < self.floor || self.generations.iter().any(|g| g.number == generation) {
            return false;
        }
        self.generations.push(Generation::new(self.sender, generation, base_key));
        if self.generations.len() > MAX_GENERATIONS
            && let Some(lowest) = self.generations.iter().map(|g| g.number).min()
        {
            self.retire(lowest);
        }
        true
    }

    /// Forgets the keys of `generation` and of every one below it. Their frames no longer open, and they cannot be
    /// inserted again.
    pub fn retire(&mut self, generation: u32) {
        self.floor = self.floor.max(u64::from(generation) + 1);
        self.generations.retain(|g| u64::from(g.number) >= self.floor);
    }

    /// Opens one sealed frame with its `metadata` into `out`, which is cleared first. Allocates nothing once `out` has
    /// room for the sealed frame.
    ///
    /// # Errors
    /// See [`FrameError`]. `out` is then empty, and no replay window has moved.
    pub fn open(&mut self, metadata: &[u8], sealed: &[u8], out: &mut Vec<u8>) -> Result<Opened, FrameError> {
        out.clear();
        if sealed.len() <= TAG_LENGTH {
            return Err(FrameError::TooShort);
        }
        let (kid, counter, head_length) = header::decode(sealed).ok_or(FrameError::BadHeader)?;
        let (head, ciphertext) = sealed.split_at(head_length);
        let length = ciphertext.len().checked_sub(TAG_LENGTH).ok_or(FrameError::TooShort)?;
        if length > MAX_PLAINTEXT {
            return Err(FrameError::TooLong);
        }
        let kid = Kid(kid);
        let stream = kid.stream().ok_or(FrameError::BadHeader)?;
        let number = kid.generation().ok_or(FrameError::BadHeader)?;
        if kid.sender() != self.sender {
            return Err(FrameError::WrongSender);
        }
        let generation =
            self.generations.iter_mut().find(|g| g.number == number).ok_or(FrameError::UnknownKey(kid.0))?;
        if counter >= MAX_FRAMES {
            return Err(FrameError::Forged);
        }
        generation.check(stream, counter).map_err(|stale| match stale {
            Stale::Replayed => FrameError::Replayed,
            Stale::TooOld => FrameError::TooOld,
        })?;
        generation.keys[stream as usize].open(counter, head, metadata, ciphertext, &mut self.scratch, out)?;
        generation.accept(stream, counter);
        Ok(Opened { stream, generation: number, counter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{
        entropy::{self, Seeded},
        vectors::{hex, package_file},
    };
    use proptest::prelude::*;
    use serde_json::Value;

    fn base(seed: u64) -> Secret<32> {
        entropy::secret(&mut Seeded(seed))
    }

    fn pair(stream: Stream) -> (Sealer, Opener) {
        let sealer = Sealer::new(Kid::new(3, stream, 7), &base(1));
        let mut opener = Opener::new(3);
        assert!(opener.insert(7, &base(1)));
        (sealer, opener)
    }

    fn seal(sealer: &mut Sealer, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal(b"meta", text, &mut out).unwrap();
        out
    }

    fn open(opener: &mut Opener, sealed: &[u8]) -> Result<(Opened, Vec<u8>), FrameError> {
        let mut out = b"left over".to_vec();
        let opened = opener.open(b"meta", sealed, &mut out);
        assert!(opened.is_ok() || out.is_empty(), "an error leaves nothing behind");
        Ok((opened?, out))
    }

    fn published() -> Value {
        serde_json::from_str(&package_file("sframe", "src/test_vectors/test-vectors.json")).unwrap()
    }

    #[test]
    fn headers_agree_with_rfc_9605_appendix_c() {
        let vectors = published();
        let cases = vectors["header"].as_array().unwrap();
        assert!(cases.len() >= 280, "{} cases", cases.len());
        for case in cases {
            let (kid, counter) = (case["kid"].as_u64().unwrap(), case["ctr"].as_u64().unwrap());
            let expected = hex(&case["encoded"]);
            let mut out = [0; header::MAX_LENGTH];
            let length = header::encode(kid, counter, &mut out);
            assert_eq!(out[..length], expected);
            assert_eq!(header::decode(&expected), Some((kid, counter, expected.len())));
        }
    }

    #[test]
    fn keys_and_frames_agree_with_rfc_9605_appendix_c() {
        let vectors = published();
        let cases = vectors["sframe"].as_array().unwrap();
        let case = cases.iter().find(|case| case["cipher_suite"] == CIPHER_SUITE).unwrap();
        let (kid, counter) = (case["kid"].as_u64().unwrap(), case["ctr"].as_u64().unwrap());
        let (metadata, plaintext) = (hex(&case["metadata"]), hex(&case["pt"]));
        let key = StreamKey::new(kid, &hex(&case["base_key"]));
        assert_eq!(key.salt.expose()[..], hex(&case["sframe_salt"]));
        assert_eq!(key.nonce(counter).as_ref()[..], hex(&case["nonce"]));
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        key.seal(kid, counter, &metadata, &plaintext, &mut scratch, &mut out).unwrap();
        assert_eq!(out, hex(&case["ct"]));
        let (head, ciphertext) = out.split_at(out.len() - plaintext.len() - TAG_LENGTH);
        let mut opened = Vec::new();
        key.open(counter, head, &metadata, ciphertext, &mut scratch, &mut opened).unwrap();
        assert_eq!(opened, plaintext);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_second_implementation_agrees_in_both_directions(
            secret in any::<[u8; 32]>(),
            sender in any::<u16>(),
            generation in any::<u32>(),
            which in 0usize..3,
            skipped in 0u64..MAX_FRAMES,
            metadata in prop::collection::vec(any::<u8>(), 0..60),
            plaintext in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            use sframe::{CipherSuite, frame, key::{DecryptionKey, EncryptionKey}};
            let stream = Stream::ALL[which];
            let kid = Kid::new(sender, stream, generation);
            let suite = CipherSuite::AesGcm256Sha512;
            // The derivation of a stream's key is ours; from there on it is RFC 9605.
            let stream_base = kdf::derive::<32>(&secret, &[], stream.label());
            let theirs = DecryptionKey::derive_from(suite, kid.0, stream_base.expose()).unwrap();
            let secret = Secret::new(secret);
            let mut sealer = Sealer::new(kid, &secret);
            sealer.counter = skipped;
            let mut sealed = Vec::new();
            sealer.seal(&metadata, &plaintext, &mut sealed).unwrap();
            let view = frame::EncryptedFrameView::try_with_meta_data(&sealed, &metadata).unwrap();
            let opened = view.decrypt(&theirs).unwrap();
            prop_assert_eq!(opened.payload(), &plaintext[..]);

            let their_key = EncryptionKey::derive_from(suite, kid.0, stream_base.expose()).unwrap();
            let mut counter = frame::MonotonicCounter::with_start_value(skipped, u64::MAX);
            let media = frame::MediaFrameView::try_with_meta_data(&mut counter, &plaintext, &metadata).unwrap();
            let encrypted = media.encrypt(&their_key).unwrap();
            prop_assert_eq!(encrypted.sframe_cipher_text(), &sealed[..]);
            let mut opener = Opener::new(sender);
            opener.insert(generation, &secret);
            let mut out = Vec::new();
            let opened = opener.open(&metadata, encrypted.sframe_cipher_text(), &mut out).unwrap();
            prop_assert_eq!(opened, Opened { stream, generation, counter: skipped });
            prop_assert_eq!(out, plaintext);
        }

        #[test]
        fn a_key_id_gives_back_what_it_was_made_of(sender in any::<u16>(), generation in any::<u32>(), which in 0usize..3) {
            let kid = Kid::new(sender, Stream::ALL[which], generation);
            prop_assert_eq!(
                (kid.sender(), kid.stream(), kid.generation()),
                (sender, Some(Stream::ALL[which]), Some(generation))
            );
        }

        #[test]
        fn no_bytes_make_the_opener_panic_or_open(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let (_, mut opener) = pair(Stream::Audio);
            prop_assert!(open(&mut opener, &bytes).is_err());
        }

        #[test]
        fn a_changed_frame_never_opens_and_the_real_one_still_does(
            text in prop::collection::vec(any::<u8>(), 0..100),
            changes in prop::collection::vec((any::<usize>(), 1..=255u8, any::<bool>()), 1..20),
        ) {
            let (mut sealer, mut opener) = pair(Stream::Camera);
            let sealed = seal(&mut sealer, &text);
            for (position, mask, cut) in changes {
                let mut changed = sealed.clone();
                let at = position % changed.len();
                changed[at] ^= mask;
                if cut {
                    changed.truncate(at);
                }
                prop_assert!(open(&mut opener, &changed).is_err());
            }
            prop_assert_eq!(open(&mut opener, &sealed).unwrap().1, text);
        }
    }

    #[test]
    fn a_frame_opens_once_whatever_the_order() {
        for stream in Stream::ALL {
            let (mut sealer, mut opener) = pair(stream);
            let sealed: Vec<_> = (0..200u8).map(|n| seal(&mut sealer, &[n])).collect();
            for n in (0..200).rev() {
                let (opened, text) = open(&mut opener, &sealed[n]).unwrap();
                assert_eq!(opened, Opened { stream, generation: 7, counter: n as u64 });
                assert_eq!(text, [n as u8]);
            }
            assert!(sealed.iter().all(|frame| open(&mut opener, frame) == Err(FrameError::Replayed)));
        }
    }

    #[test]
    fn windows_hold_512_frames_of_sound_and_1024_pictures() {
        for (stream, size) in [(Stream::Audio, 512), (Stream::Camera, 1024), (Stream::Screen, 1024)] {
            let (mut sealer, mut opener) = pair(stream);
            let sealed: Vec<_> = (0..=size).map(|_| seal(&mut sealer, b"")).collect();
            open(&mut opener, &sealed[size]).unwrap();
            assert_eq!(open(&mut opener, &sealed[0]), Err(FrameError::TooOld));
            assert!(open(&mut opener, &sealed[1]).is_ok());
        }
    }

    #[test]
    fn a_forged_frame_does_not_move_the_window() {
        let (mut sealer, mut opener) = pair(Stream::Audio);
        let real = seal(&mut sealer, b"real");
        sealer.counter = MAX_FRAMES - 1;
        let mut far_ahead = seal(&mut sealer, b"far ahead");
        let last = far_ahead.len() - 1;
        far_ahead[last] ^= 1;
        assert_eq!(open(&mut opener, &far_ahead), Err(FrameError::Forged));
        assert_eq!(open(&mut opener, &real).unwrap().1, b"real");
    }

    #[test]
    fn metadata_is_bound() {
        let (mut sealer, mut opener) = pair(Stream::Audio);
        let sealed = seal(&mut sealer, b"text");
        let mut out = Vec::new();
        assert_eq!(opener.open(b"mate", &sealed, &mut out), Err(FrameError::Forged));
        assert_eq!(opener.open(b"", &sealed, &mut out), Err(FrameError::Forged));
        assert!(opener.open(b"meta", &sealed, &mut out).is_ok());
    }

    #[test]
    fn a_frame_of_another_sender_stream_or_generation_is_refused_by_name() {
        let (_, mut opener) = pair(Stream::Audio);
        let frame = |sender, stream, generation, seed| {
            seal(&mut Sealer::new(Kid::new(sender, stream, generation), &base(seed)), b"text")
        };
        assert_eq!(open(&mut opener, &frame(4, Stream::Audio, 7, 1)), Err(FrameError::WrongSender));
        let later = Kid::new(3, Stream::Audio, 8).0;
        assert_eq!(open(&mut opener, &frame(3, Stream::Audio, 8, 1)), Err(FrameError::UnknownKey(later)));
        assert_eq!(open(&mut opener, &frame(3, Stream::Audio, 7, 2)), Err(FrameError::Forged));

        // A frame of one stream under the name of another: streams do not share keys.
        let mut renamed = Sealer::new(Kid::new(3, Stream::Camera, 7), &base(1));
        renamed.kid = Kid::new(3, Stream::Audio, 7);
        assert_eq!(open(&mut opener, &seal(&mut renamed, b"text")), Err(FrameError::Forged));

        for senseless in [Kid(Kid::new(3, Stream::Audio, 7).0 | 3), Kid(1 << 52 | 3 << 4)] {
            let mut sealer = Sealer::new(senseless, &base(1));
            assert_eq!(open(&mut opener, &seal(&mut sealer, b"text")), Err(FrameError::BadHeader));
        }
        assert_eq!(open(&mut opener, &[]), Err(FrameError::TooShort));
        assert_eq!(open(&mut opener, &[0; 16]), Err(FrameError::TooShort));
    }

    #[test]
    fn a_retired_generation_neither_opens_nor_comes_back() {
        let (mut sealer, mut opener) = pair(Stream::Audio);
        let (before, after) = (seal(&mut sealer, b"before"), seal(&mut sealer, b"after"));
        assert!(opener.insert(8, &base(2)));
        assert!(open(&mut opener, &before).is_ok(), "the old generation stays until it is retired");
        opener.retire(7);
        let unknown = FrameError::UnknownKey(sealer.kid().0);
        assert_eq!(open(&mut opener, &after), Err(unknown));
        assert!(!opener.insert(7, &base(1)), "its replay window is gone");
        assert_eq!(open(&mut opener, &before), Err(unknown));
        let mut next = Sealer::new(Kid::new(3, Stream::Audio, 8), &base(2));
        assert!(open(&mut opener, &seal(&mut next, b"text")).is_ok());
    }

    #[test]
    fn handing_out_the_same_generation_again_does_not_forget_what_came_before() {
        let (mut sealer, mut opener) = pair(Stream::Audio);
        let sealed = seal(&mut sealer, b"text");
        open(&mut opener, &sealed).unwrap();
        assert!(!opener.insert(7, &base(1)));
        assert!(!opener.insert(7, &base(2)));
        assert_eq!(open(&mut opener, &sealed), Err(FrameError::Replayed));
    }

    #[test]
    fn a_sender_cannot_make_us_keep_more_than_a_few_generations() {
        let mut opener = Opener::new(1);
        for generation in 0..1000 {
            assert!(opener.insert(generation, &base(1)));
            assert!(opener.generations.len() <= MAX_GENERATIONS);
        }
        opener.retire(u32::MAX);
        assert!(!opener.insert(u32::MAX, &base(1)));
    }

    #[test]
    fn a_sealer_stops_before_a_nonce_is_used_twice() {
        let (mut sealer, mut opener) = pair(Stream::Audio);
        sealer.counter = MAX_FRAMES - 1;
        let last = seal(&mut sealer, b"last");
        let mut out = b"left over".to_vec();
        assert_eq!(sealer.seal(b"meta", b"one more", &mut out), Err(FrameError::Exhausted));
        assert!(out.is_empty());
        assert_eq!(open(&mut opener, &last).unwrap().1, b"last");
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_both_ways() {
        let (mut sealer, mut opener) = pair(Stream::Camera);
        let mut out = Vec::new();
        assert_eq!(sealer.seal(b"", &vec![0; MAX_PLAINTEXT + 1], &mut out), Err(FrameError::TooLong));
        let mut long = seal(&mut sealer, b"");
        long.resize(MAX_PLAINTEXT + MAX_OVERHEAD + 1, 0);
        assert_eq!(open(&mut opener, &long), Err(FrameError::TooLong));
    }

    #[test]
    fn sealing_and_opening_reuse_the_callers_buffer() {
        let (mut sealer, mut opener) = pair(Stream::Camera);
        let text = vec![5; 10_000];
        let (mut sealed, mut opened) = (Vec::with_capacity(text.len() + MAX_OVERHEAD), Vec::with_capacity(11_000));
        let places = (sealed.as_ptr(), opened.as_ptr());
        for _ in 0..300 {
            sealer.seal(b"meta", &text, &mut sealed).unwrap();
            opener.open(b"meta", &sealed, &mut opened).unwrap();
            assert_eq!((sealed.as_ptr(), opened.as_ptr()), places);
            assert_eq!(opened, text);
        }
    }
}
