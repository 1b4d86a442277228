//! What stands in front of the codec's bytes inside a sealed frame.
//!
//! Video: `flags(1) ‖ capture time(4 BE) ‖ H.264 Annex B`, flag 0x01 for a key frame, others zero.
//! Audio: `capture time(4 BE) ‖ one Opus packet`.
//!
//! Capture time is in milliseconds on the sender's own clock, from an origin of its choosing that is the same for its
//! sound and its picture; it wraps after 49.7 days. Receivers use differences only (lip sync, pacing).

/// Bytes in front of a picture.
pub const VIDEO_HEADER: usize = 5;
/// Bytes in front of a sound packet.
pub const AUDIO_HEADER: usize = 4;

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

/// In front of a sound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioHeader {
    /// Milliseconds on the sender's clock.
    pub capture_ms: u32,
}

impl AudioHeader {
    /// Replaces `out` by header and packet (Opus).
    pub fn encode(self, packet: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend(self.capture_ms.to_be_bytes());
        out.extend(packet);
    }

    /// Header and packet (Opus) of an opened frame.
    pub fn decode(opened: &[u8]) -> Result<(Self, &[u8]), MediaHeaderError> {
        match opened.split_first_chunk::<AUDIO_HEADER>() {
            Some((time, packet)) if !packet.is_empty() => Ok((Self { capture_ms: u32::from_be_bytes(*time) }, packet)),
            _ => Err(MediaHeaderError::TooShort),
        }
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
        let audio = AudioHeader { capture_ms: u32::MAX };
        audio.encode(b"sound", &mut out);
        assert_eq!(out, b"\xff\xff\xff\xffsound");
        assert_eq!(AudioHeader::decode(&out), Ok((audio, &b"sound"[..])));
    }

    #[test]
    fn short_or_strange_frames_are_refused() {
        for length in 0..=VIDEO_HEADER {
            assert_eq!(VideoHeader::decode(&vec![0; length]), Err(MediaHeaderError::TooShort));
        }
        for length in 0..=AUDIO_HEADER {
            assert_eq!(AudioHeader::decode(&vec![0; length]), Err(MediaHeaderError::TooShort));
        }
        assert_eq!(VideoHeader::decode(&[2, 0, 0, 0, 0, 1]), Err(MediaHeaderError::UnknownFlag));
    }
}
