//! One sealed frame cut into RTP payloads, and the header each piece carries.
//!
//! Ordinary video packetizers look for codec bytes, and a sealed frame has none. So a frame is cut blindly, and every
//! piece says where it belongs:
//!
//! ```text
//!  byte 0   shape    0x67 on the first fragment of a key frame, 0x61 on every other fragment
//!  byte 1   flags    V V K L 0 0 0 0    V: version, 0;  K: belongs to a key frame;  L: last fragment of its frame
//!  byte 2–3 frame    number of the frame, big endian, wraps after 65,535
//!  byte 4–5 index    number of the fragment within the frame, big endian, 0 to 1,023
//!  byte 6…  body     a piece of the sealed frame
//! ```
//!
//! Byte 0 is ours, but reads like an H.264 NAL unit header (RFC 6184 section 1.3: type 7 = sequence parameter set,
//! type 1 = slice). Media servers look at exactly these five bits, and ask for six bytes of payload, to learn where a
//! key frame begins; sealed bytes in that place would fool them about once in thirty packets. It tells a server
//! nothing that the sizes of frames don't tell it anyway.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of header on every fragment.
pub const HEADER_LEN: usize = 6;
/// Largest RTP payload, header included, in bytes: 1,160 + RTP 12 + SRTP tag 16 + UDP 8 + IPv6 40 stays below 1,280,
/// the least every IPv6 path carries (RFC 8200 section 5), with room for an RTX header and TURN's channel header.
pub const MAX_PAYLOAD: usize = 1160;
/// Largest sealed frame, in bytes.
pub const MAX_FRAME: usize = 1 << 20;
/// Most fragments one frame may have.
pub const MAX_FRAGMENTS: usize = 1024;
/// Byte 0 of the first fragment of a key frame.
pub const SHAPE_KEY: u8 = 0x67;
/// Byte 0 of every other fragment.
pub const SHAPE_OTHER: u8 = 0x61;

const VERSION_MASK: u8 = 0b1100_0000;
const FLAG_KEY: u8 = 0b0010_0000;
const FLAG_LAST: u8 = 0b0001_0000;
const RESERVED: u8 = 0b0000_1111;

/// Why a frame cannot be cut, or a fragment not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// A sealed frame is never empty.
    #[error("the frame is empty")]
    Empty,
    /// Larger than [`MAX_FRAME`], or more pieces than [`MAX_FRAGMENTS`].
    #[error("the frame of {0} bytes is too large")]
    TooLarge(usize),
    /// Shorter than its header, or without a body.
    #[error("the fragment is truncated")]
    Truncated,
    /// Made by a newer version.
    #[error("the fragment has version {0}")]
    Version(u8),
    /// Its header contradicts itself or an earlier fragment of the same frame.
    #[error("the fragment contradicts its frame")]
    Malformed,
    /// Its frame was delivered or given up already.
    #[error("the fragment came too late")]
    Late,
}

/// What the header of a fragment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The frame is a key frame.
    pub key: bool,
    /// No fragment follows in this frame.
    pub last: bool,
    /// Number of the frame, modulo 65,536.
    pub frame: u16,
    /// Number of the fragment within the frame, from 0.
    pub index: u16,
}

impl Header {
    /// Reads the header of `payload`; the body is what follows [`HEADER_LEN`].
    ///
    /// # Errors
    /// [`FragmentError::Truncated`], [`FragmentError::Version`] or [`FragmentError::Malformed`].
    pub fn parse(payload: &[u8]) -> Result<Self, FragmentError> {
        let Some((head, body)) = payload.split_first_chunk::<HEADER_LEN>() else {
            return Err(FragmentError::Truncated);
        };
        let [shape, flags, frame_hi, frame_lo, index_hi, index_lo] = *head;
        if flags & VERSION_MASK != 0 {
            return Err(FragmentError::Version(flags >> 6));
        }
        let header = Self {
            key: flags & FLAG_KEY != 0,
            last: flags & FLAG_LAST != 0,
            frame: u16::from_be_bytes([frame_hi, frame_lo]),
            index: u16::from_be_bytes([index_hi, index_lo]),
        };
        if flags & RESERVED != 0 || shape != header.shape() || usize::from(header.index) >= MAX_FRAGMENTS {
            return Err(FragmentError::Malformed);
        }
        if body.is_empty() {
            return Err(FragmentError::Truncated);
        }
        Ok(header)
    }

    fn shape(self) -> u8 {
        if self.key && self.index == 0 { SHAPE_KEY } else { SHAPE_OTHER }
    }

    fn put(self, out: &mut BytesMut) {
        out.put_u8(self.shape());
        let mut flags = 0;
        if self.key {
            flags |= FLAG_KEY;
        }
        if self.last {
            flags |= FLAG_LAST;
        }
        out.put_u8(flags);
        out.put_u16(self.frame);
        out.put_u16(self.index);
    }
}

/// Cuts `frame` into payloads of at most `max` bytes (header included) and appends them to `out`.
///
/// One allocation holds all of them. `key` says that the frame is a key frame, `number` is the frame's number modulo
/// 65,536. On error nothing is appended.
///
/// # Errors
/// [`FragmentError::Empty`] or [`FragmentError::TooLarge`].
pub fn split(frame: &[u8], key: bool, number: u16, max: usize, out: &mut Vec<Bytes>) -> Result<(), FragmentError> {
    if frame.is_empty() {
        return Err(FragmentError::Empty);
    }
    let body = max.clamp(HEADER_LEN + 1, MAX_PAYLOAD) - HEADER_LEN;
    let count = frame.len().div_ceil(body);
    if frame.len() > MAX_FRAME || count > MAX_FRAGMENTS {
        return Err(FragmentError::TooLarge(frame.len()));
    }
    let mut buffer = BytesMut::with_capacity(frame.len() + count * HEADER_LEN);
    out.reserve(count);
    for (index, piece) in frame.chunks(body).enumerate() {
        Header { key, last: index + 1 == count, frame: number, index: index as u16 }.put(&mut buffer);
        buffer.extend_from_slice(piece);
        out.push(buffer.split().freeze());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(frame: &[u8], key: bool) -> Vec<Bytes> {
        let mut out = Vec::new();
        split(frame, key, 0x1234, MAX_PAYLOAD, &mut out).unwrap();
        out
    }

    #[test]
    fn a_key_frame_shows_0x67_on_its_first_fragment_only() {
        let shapes: Vec<u8> = pieces(&[7; 4000], true).iter().map(|p| p[0]).collect();
        assert_eq!(shapes, [0x67, 0x61, 0x61, 0x61]);
        let shapes: Vec<u8> = pieces(&[7; 4000], false).iter().map(|p| p[0]).collect();
        assert_eq!(shapes, [0x61; 4]);
        // What a media server looks for: NAL type 7 in at least six bytes.
        assert_eq!(pieces(&[7; 1], true)[0][0] & 31, 7);
        assert!(pieces(&[7; 1], true)[0].len() >= 6);
    }

    #[test]
    fn the_header_is_laid_out_as_documented() {
        let out = pieces(&[0xAB; 1155], true);
        assert_eq!(&out[0][..6], &[0x67, 0b0010_0000, 0x12, 0x34, 0, 0]);
        assert_eq!(&out[1][..], &[0x61, 0b0011_0000, 0x12, 0x34, 0, 1, 0xAB]);
        assert_eq!(Header::parse(&out[1]), Ok(Header { key: true, last: true, frame: 0x1234, index: 1 }));
    }

    #[test]
    fn no_payload_is_larger_than_allowed() {
        for size in [1, 1153, 1154, 1155, 300_000, MAX_FRAME] {
            let out = pieces(&vec![1; size], false);
            assert!(out.iter().all(|p| p.len() <= MAX_PAYLOAD && p.len() > HEADER_LEN));
            assert_eq!(out.iter().map(|p| p.len() - HEADER_LEN).sum::<usize>(), size);
        }
    }

    #[test]
    fn frames_that_cannot_be_cut_are_refused_and_leave_nothing_behind() {
        let mut out = Vec::new();
        assert_eq!(split(&[], true, 0, MAX_PAYLOAD, &mut out), Err(FragmentError::Empty));
        let large = vec![0; MAX_FRAME + 1];
        assert_eq!(split(&large, true, 0, MAX_PAYLOAD, &mut out), Err(FragmentError::TooLarge(MAX_FRAME + 1)));
        assert_eq!(split(&[0; 5000], true, 0, 0, &mut out), Err(FragmentError::TooLarge(5000)));
        assert!(out.is_empty());
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        let good = [0x67, FLAG_KEY, 0, 0, 0, 0, 1];
        assert!(Header::parse(&good).is_ok());
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            Header::parse(&bytes)
        };
        assert_eq!(with(0, 0x61), Err(FragmentError::Malformed), "a key frame's first fragment must look like one");
        assert_eq!(with(0, 0x00), Err(FragmentError::Malformed));
        assert_eq!(with(1, 0), Err(FragmentError::Malformed), "0x67 without the key flag");
        assert_eq!(with(1, FLAG_KEY | 1), Err(FragmentError::Malformed), "reserved bits");
        assert_eq!(with(1, 0x40), Err(FragmentError::Version(1)));
        assert_eq!(with(4, 4), Err(FragmentError::Malformed), "index 1024");
        assert_eq!(Header::parse(&good[..6]), Err(FragmentError::Truncated));
        assert_eq!(Header::parse(&[]), Err(FragmentError::Truncated));
    }
}
