//! What stands in front of the codec's bytes inside a sealed frame.
//!
//! Video: `flags(1) ‖ capture time(4 BE) ‖ H.264 Annex B`, flag 0x01 for a key frame, others zero.
//! Audio: `copies(1: 0 to 2) ‖ capture time(4 BE) ‖ copies × { distance(1) ‖ length(2 BE) ‖ Opus packet } ‖ Opus packet`. A
//! copy is the packet that was sent `distance` packets before; distance 0 is padding, which keeps the size as it is where
//! there is no such packet.
//!
//! Capture time is in milliseconds on the sender's own clock, from an origin of its choosing that is the same for its
//! sound and its picture; it wraps after 49.7 days. Receivers use differences only (lip sync, pacing).

/// Bytes in front of a picture.
pub const VIDEO_HEADER: usize = 5;
/// Bytes in front of a sound packet without copies.
pub const AUDIO_HEADER: usize = 5;
/// Copies of earlier packets that a sound packet carries at most.
pub const MAX_COPIES: usize = 2;
/// How many packets back a copy may lie.
pub const MAX_DISTANCE: u8 = 8;
/// The longest copy in bytes (RFC 6716 §3.4: one frame of 1275 bytes and its TOC).
pub const MAX_COPY: usize = 1276;

const FLAG_KEY: u8 = 0x01;

/// Why an opened frame is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaHeaderError {
    /// No room for the header, or nothing behind it.
    #[error("the frame is shorter than its header and one byte")]
    TooShort,
    /// A flag without a meaning is set.
    #[error("an unknown flag is set")]
    UnknownFlag,
    /// There are more copies than allowed, or one is longer or lies further back than allowed.
    #[error("a copy of an earlier packet is out of bounds")]
    Copies,
}

/// In front of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoHeader {
    /// It can be decoded without any picture before it.
    pub key: bool,
    /// Milliseconds on the sender's clock.
    pub capture_ms: u32,
}

impl VideoHeader {
    /// Replaces `out` by header and picture (Annex B bytes).
    pub fn encode(self, annex_b: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.push(if self.key { FLAG_KEY } else { 0 });
        out.extend(self.capture_ms.to_be_bytes());
        out.extend(annex_b);
    }

    /// Header and picture (Annex B bytes) of an opened frame.
    pub fn decode(opened: &[u8]) -> Result<(Self, &[u8]), MediaHeaderError> {
        let ([flags, time @ ..], picture) =
            opened.split_first_chunk::<VIDEO_HEADER>().ok_or(MediaHeaderError::TooShort)?;
        if flags & !FLAG_KEY != 0 {
            return Err(MediaHeaderError::UnknownFlag);
        }
        if picture.is_empty() {
            return Err(MediaHeaderError::TooShort);
        }
        Ok((Self { key: flags & FLAG_KEY != 0, capture_ms: u32::from_be_bytes(*time) }, picture))
    }
}

/// An earlier packet, repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioCopy<'a> {
    /// How many packets back it was sent first, 1 to [`MAX_DISTANCE`]; 0 is padding.
    pub distance: u8,
    /// Opus packet, or the padding's bytes.
    pub packet: &'a [u8],
}

/// A sound packet, and copies of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFrame<'a> {
    /// Milliseconds on the sender's clock.
    pub capture_ms: u32,
    copies: [AudioCopy<'a>; MAX_COPIES],
    count: usize,
    /// Opus packet.
    pub packet: &'a [u8],
}

impl<'a> AudioFrame<'a> {
    /// A packet (Opus) without copies.
    pub fn new(capture_ms: u32, packet: &'a [u8]) -> Self {
        Self { capture_ms, copies: [AudioCopy::default(); MAX_COPIES], count: 0, packet }
    }

    /// Adds a copy, where there is room for one more and it is within bounds; else it is left out.
    pub fn add(&mut self, copy: AudioCopy<'a>) {
        if copy.distance <= MAX_DISTANCE
            && copy.packet.len() <= MAX_COPY
            && let Some(place) = self.copies.get_mut(self.count)
        {
            *place = copy;
            self.count += 1;
        }
    }

    /// The copies, padding left out.
    pub fn copies(&self) -> impl Iterator<Item = AudioCopy<'a>> {
        self.copies.into_iter().take(self.count).filter(|copy| copy.distance > 0)
    }

    /// Replaces `out` by the frame's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(self.count as u8);
        out.extend(self.capture_ms.to_be_bytes());
        for copy in &self.copies[..self.count] {
            out.push(copy.distance);
            out.extend((copy.packet.len() as u16).to_be_bytes());
            out.extend(copy.packet);
        }
        out.extend(self.packet);
    }

    /// Reads an opened frame.
    ///
    /// # Errors
    /// [`MediaHeaderError::TooShort`] where something is missing, [`MediaHeaderError::Copies`] where a count, a length or a
    /// distance is out of bounds.
    pub fn decode(opened: &'a [u8]) -> Result<Self, MediaHeaderError> {
        let ([count, time @ ..], mut rest) =
            opened.split_first_chunk::<AUDIO_HEADER>().ok_or(MediaHeaderError::TooShort)?;
        if usize::from(*count) > MAX_COPIES {
            return Err(MediaHeaderError::Copies);
        }
        let mut frame = Self::new(u32::from_be_bytes(*time), &[]);
        for _ in 0..*count {
            let ([distance, length @ ..], after) = rest.split_first_chunk::<3>().ok_or(MediaHeaderError::TooShort)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_COPY || *distance > MAX_DISTANCE || (*distance > 0 && length == 0) {
                return Err(MediaHeaderError::Copies);
            }
            let (packet, after) = after.split_at_checked(length).ok_or(MediaHeaderError::TooShort)?;
            frame.add(AudioCopy { distance: *distance, packet });
            rest = after;
        }
        frame.packet = rest;
        if rest.is_empty() { Err(MediaHeaderError::TooShort) } else { Ok(frame) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_as_written() {
        let mut out = vec![9; 3];
        let video = VideoHeader { key: true, capture_ms: 0x0102_0304 };
        video.encode(b"picture", &mut out);
        assert_eq!(out, b"\x01\x01\x02\x03\x04picture");
        assert_eq!(VideoHeader::decode(&out), Ok((video, &b"picture"[..])));
        let mut audio = AudioFrame::new(u32::MAX, b"sound");
        audio.encode(&mut out);
        assert_eq!(out, b"\0\xff\xff\xff\xffsound");
        assert_eq!(AudioFrame::decode(&out), Ok(audio));
        audio.add(AudioCopy { distance: 0, packet: b"\0\0" });
        audio.add(AudioCopy { distance: 3, packet: b"said" });
        audio.add(AudioCopy { distance: 4, packet: b"no room" });
        audio.encode(&mut out);
        assert_eq!(out, b"\x02\xff\xff\xff\xff\0\0\x02\0\0\x03\0\x04saidsound");
        assert_eq!(AudioFrame::decode(&out), Ok(audio));
        let copies: Vec<_> = audio.copies().collect();
        assert_eq!(copies, [AudioCopy { distance: 3, packet: b"said" }], "padding is no copy");
    }

    #[test]
    fn copies_out_of_bounds_are_refused() {
        let refused = AudioFrame::decode;
        assert_eq!(refused(b"\x030000\x01\0\x01a\x01\0\x01b\x01\0\x01cd"), Err(MediaHeaderError::Copies));
        assert_eq!(refused(b"\xff0000rest"), Err(MediaHeaderError::Copies));
        assert_eq!(refused(b"\x010000\x09\0\x01ab"), Err(MediaHeaderError::Copies));
        assert_eq!(refused(b"\x010000\x01\0\0ab"), Err(MediaHeaderError::Copies), "an empty copy");
        assert_eq!(refused(b"\x010000\x01\x05\0ab"), Err(MediaHeaderError::Copies), "longer than any packet");
        assert_eq!(refused(b"\x010000\x01\0\x03ab"), Err(MediaHeaderError::TooShort));
        assert_eq!(refused(b"\x010000\x01\0\x02ab"), Err(MediaHeaderError::TooShort), "copies and no packet");
        assert_eq!(refused(b"\x010000\x01\0"), Err(MediaHeaderError::TooShort));
        assert!(refused(b"\x010000\0\0\0a").is_ok(), "padding may be empty");
    }

    #[test]
    fn short_or_strange_frames_are_refused() {
        for length in 0..=VIDEO_HEADER {
            assert_eq!(VideoHeader::decode(&vec![0; length]), Err(MediaHeaderError::TooShort));
        }
        for length in 0..=AUDIO_HEADER {
            assert_eq!(AudioFrame::decode(&vec![0; length]), Err(MediaHeaderError::TooShort));
        }
        assert_eq!(VideoHeader::decode(&[2, 0, 0, 0, 0, 1]), Err(MediaHeaderError::UnknownFlag));
    }
}
