//! A counter and a time, written into a picture so that a machine at the far end can read them back.
//!
//! The strip lies along the bottom edge: 72 blocks of 16×16 pixels, each dark (0) or light (1), in as many rows as the
//! width asks for. Most significant bit first: 24 bits of counter, 40 bits of milliseconds, 8 bits of CRC
//! (polynomial 0x07, start 0xFF, over the eight bytes before it). It survives the video codec at a low bit rate;
//! it does not survive scaling, after which [`carry`] writes it anew. Only the built-in test picture carries one, and a film made for measuring: never a camera's.

use super::frame::Picture;

/// Side of one block in pixels: a macroblock, so that one block costs the codec one block.
const BLOCK: usize = 16;
/// Bits in a strip.
const BITS: usize = 72;
/// Luma of a 0 and of a 1. Far enough apart for the coarsest quantizer, dim enough not to catch the eye.
const LEVELS: [u8; 2] = [30, 118];
const COUNTER_MASK: u32 = (1 << 24) - 1;
const MILLIS_MASK: u64 = (1 << 40) - 1;

/// What a strip says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the picture, modulo 2^24.
    pub counter: u32,
    /// Milliseconds since the UNIX epoch at the moment of capture, modulo 2^40 (it wraps every 34.8 years).
    pub millis: u64,
}

impl Stamp {
    /// A stamp of `counter` and `millis`, each cut to the bits that a strip carries.
    pub fn new(counter: u32, millis: u64) -> Self {
        Self { counter: counter & COUNTER_MASK, millis: millis & MILLIS_MASK }
    }

    /// Milliseconds from this stamp to `now_millis` (UNIX epoch, not cut). Negative if the clock of the sender is ahead.
    pub fn age(&self, now_millis: u64) -> i64 {
        let forward = now_millis.wrapping_sub(self.millis) & MILLIS_MASK;
        if forward > MILLIS_MASK / 2 { forward as i64 - (MILLIS_MASK as i64 + 1) } else { forward as i64 }
    }

    fn to_bytes(self) -> [u8; 9] {
        let value = (u64::from(self.counter & COUNTER_MASK) << 40) | (self.millis & MILLIS_MASK);
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&value.to_be_bytes());
        bytes[8] = crc8(&bytes[..8]);
        bytes
    }

    fn from_bytes(bytes: [u8; 9]) -> Option<Self> {
        if crc8(&bytes[..8]) != bytes[8] {
            return None;
        }
        let value = bytes[..8].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        Some(Self { counter: (value >> 40) as u32, millis: value & MILLIS_MASK })
    }
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 })
    })
}

/// Left upper corner of each of the 72 blocks, or `None` if the picture is too small for a strip.
fn places(width: usize, height: usize) -> Option<impl Iterator<Item = (usize, usize)>> {
    let columns = (width / BLOCK).min(BITS);
    if columns == 0 {
        return None;
    }
    let rows = BITS.div_ceil(columns);
    let top = height.checked_sub(rows * BLOCK)?;
    let left = ((width - columns * BLOCK) / 2) & !1;
    Some((0..BITS).map(move |bit| (left + bit % columns * BLOCK, top + bit / columns * BLOCK)))
}

/// Writes `stamp` along the bottom edge. A picture that is too small for it stays as it is.
pub fn write(picture: &mut Picture, stamp: Stamp) {
    let (width, height) = (picture.width, picture.height);
    let Some(places) = places(width, height) else { return };
    let bytes = stamp.to_bytes();
    for (bit, (left, top)) in places.enumerate() {
        let level = LEVELS[usize::from(bytes[bit / 8] >> (7 - bit % 8) & 1)];
        for row in picture.y.chunks_exact_mut(width).skip(top).take(BLOCK) {
            row[left..left + BLOCK].fill(level);
        }
        for plane in [&mut picture.u, &mut picture.v] {
            for row in plane.chunks_exact_mut(width / 2).skip(top / 2).take(BLOCK / 2) {
                row[left / 2..left / 2 + BLOCK / 2].fill(128);
            }
        }
    }
}

/// Puts a new time into the strip of a picture that came from a file, so that a film with stamps tells when it was played.
/// Only a strip as [`write`] left it, pixel by pixel, is taken for one: no other film is touched. True if there was one.
pub fn renew(picture: &mut Picture, millis: u64) -> bool {
    let Some(old) = read(picture) else { return false };
    let mut anew = picture.clone();
    write(&mut anew, old);
    if anew.y != picture.y {
        return false;
    }
    write(picture, Stamp::new(old.counter, millis));
    true
}

/// Reads the strip at the bottom edge. `None` if there is none, or if it does not check out.
pub fn read(picture: &Picture) -> Option<Stamp> {
    let (width, height) = (picture.width, picture.height);
    if picture.y.len() != width * height {
        return None;
    }
    let threshold = (u32::from(LEVELS[0]) + u32::from(LEVELS[1])) / 2;
    let mut bytes = [0u8; 9];
    for (bit, (left, top)) in places(width, height)?.enumerate() {
        // The middle 8×8: deblocking and ringing stay at the rim.
        let sum: u32 = (top + 4..top + 12)
            .flat_map(|row| &picture.y[row * width + left + 4..row * width + left + 12])
            .map(|luma| u32::from(*luma))
            .sum();
        bytes[bit / 8] |= u8::from(sum / 64 > threshold) << (7 - bit % 8);
    }
    Stamp::from_bytes(bytes)
}

/// Writes the stamp of `picture`, if it has one, into `scaled`, the same picture in another size.
pub fn carry(picture: &Picture, scaled: &mut Picture) {
    if let Some(stamp) = read(picture) {
        write(scaled, stamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_is_written_is_read_at_every_common_size() {
        for (width, height) in [(1280, 720), (640, 360), (320, 180), (1920, 1080), (854, 480), (480, 640)] {
            let mut picture = Picture::black(width, height, Instant::now());
            let stamp = Stamp::new(0x00ab_cdef, 1_790_000_000_123);
            write(&mut picture, stamp);
            assert_eq!(read(&picture), Some(stamp), "{width}x{height}");
        }
    }

    #[test]
    fn a_picture_without_a_strip_has_no_stamp() {
        let mut picture = Picture::black(1280, 720, Instant::now());
        assert_eq!(read(&picture), None);
        picture.y.fill(235);
        assert_eq!(read(&picture), None);
        let mut small = Picture::black(16, 16, Instant::now());
        write(&mut small, Stamp::new(1, 2));
        assert_eq!(read(&small), None);
    }

    #[test]
    fn one_wrong_block_is_noticed() {
        let mut picture = Picture::black(1280, 720, Instant::now());
        write(&mut picture, Stamp::new(77, 1_790_000_000_123));
        for row in 704..720 {
            for luma in &mut picture.y[row * 1280 + 320..row * 1280 + 336] {
                *luma = if *luma > 70 { 30 } else { 118 };
            }
        }
        assert_eq!(read(&picture), None);
    }

    #[test]
    fn a_film_with_a_strip_gets_a_new_time_and_any_other_film_stays_as_it_is() {
        let mut picture = Picture::black(1280, 720, Instant::now());
        write(&mut picture, Stamp::new(77, 0));
        assert!(renew(&mut picture, 1_790_000_000_123));
        assert_eq!(read(&picture), Some(Stamp::new(77, 1_790_000_000_123)));
        // Something that reads as a strip by chance is none.
        picture.y[1279] ^= 1;
        picture.y[719 * 1280 + 640] ^= 1;
        let before = picture.clone();
        assert!(read(&picture).is_some());
        assert!(!renew(&mut picture, 5));
        assert_eq!(picture.y, before.y);
        assert!(!renew(&mut Picture::black(1280, 720, Instant::now()), 5));
    }

    #[test]
    fn age_is_right_across_the_wrap_and_for_a_clock_that_is_ahead() {
        let now = 1_790_000_000_123u64;
        assert_eq!(Stamp::new(0, now).age(now + 42), 42);
        assert_eq!(Stamp::new(0, now + 7).age(now), -7);
        assert_eq!(Stamp::new(0, (1 << 41) - 1).age(1 << 41), 1);
    }
}
