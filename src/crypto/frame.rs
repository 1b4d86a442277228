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
