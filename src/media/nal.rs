//! What must be known of an H.264 byte stream before a decoder may see it (ITU-T H.264 §7.3, Annex B). Pure.
//!
//! The stream comes from another person. The decoder is a large C++ program that allocates whatever a parameter set asks for, so
//! that the kinds of NAL unit, the size of the picture and the number of reference pictures are checked here first.

use super::convert::{MAX_HEIGHT, MAX_WIDTH};

/// Longest access unit that is looked at, in bytes: what the transport reassembles at most.
pub const MAX_ACCESS_UNIT: usize = 1 << 20;
/// Most reference pictures a stream may ask for. A call needs one; a few more cost memory only.
const MAX_REFERENCES: u32 = 4;
/// Most NAL units in one access unit: parameter sets and slices.
const MAX_UNITS: usize = 128;

/// Why an access unit is not given to the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// No NAL unit, no slice in it, or more bytes or units than [`MAX_ACCESS_UNIT`] and the bound on units allow.
    #[error("not one access unit in byte stream format")]
    NotAnAccessUnit,
    /// A kind of NAL unit that no Conclave sends.
    #[error("nal unit of type {0}")]
    Unexpected(u8),
    /// A sequence parameter set that cannot be read, or that asks for something no Conclave sends.
    #[error("unusable sequence parameter set")]
    ParameterSet,
    /// A picture out of bounds.
    #[error("a picture of {width}x{height} pixels is out of bounds")]
    Size {
        /// Pixels in a row.
        width: u64,
        /// Rows.
        height: u64,
    },
}

/// What an access unit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessUnit {
    /// An IDR slice: decoding can begin here.
    pub key: bool,
    /// Size in the last sequence parameter set, before cropping, if there is one.
    pub size: Option<(usize, usize)>,
}

/// Goes through the NAL units of `data` (Annex B).
///
/// # Errors
/// See [`StreamError`]; the access unit must then be dropped whole.
pub fn inspect(data: &[u8]) -> Result<AccessUnit, StreamError> {
    if data.len() > MAX_ACCESS_UNIT {
        return Err(StreamError::NotAnAccessUnit);
    }
    let mut unit = AccessUnit::default();
    let mut slices = 0;
    for (index, nal) in units(data).enumerate() {
        let Some(header) = nal.first() else { return Err(StreamError::NotAnAccessUnit) };
        if index >= MAX_UNITS || header & 0x80 != 0 {
            return Err(StreamError::NotAnAccessUnit);
        }
        match header & 0x1f {
            1 => slices += 1,
            5 => {
                slices += 1;
                unit.key = true;
            }
            7 => unit.size = Some(sequence_size(&nal[1..])?),
            6 | 8 | 9 => {}
            other => return Err(StreamError::Unexpected(other)),
        }
    }
    if slices == 0 { Err(StreamError::NotAnAccessUnit) } else { Ok(unit) }
}

/// The NAL units between start codes. Bytes before the first start code belong to none.
fn units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(data);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = find_start_code(current).unwrap_or(current.len());
        rest = after_start_code(&current[end..]);
        let nal = &current[..end];
        let trimmed = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&nal[..trimmed])
    })
}

fn find_start_code(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at + 3 <= data.len() {
        match data[at + 2] {
            0 => at += 1,
            1 if data[at] == 0 && data[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    find_start_code(data).map(|at| &data[at + 3..])
}

/// Reads bits, most significant first, leaving out emulation prevention bytes (§7.4.1).
struct Bits<'a> {
    bytes: &'a [u8],
    zeros: u8,
    current: u8,
    left: u8,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let (mut byte, mut rest) = self.bytes.split_first()?;
            if self.zeros >= 2 && *byte == 3 {
                (byte, rest) = rest.split_first()?;
                self.zeros = 0;
            }
            self.zeros = if *byte == 0 { self.zeros.saturating_add(1) } else { 0 };
            (self.current, self.bytes, self.left) = (*byte, rest, 8);
        }
        self.left -= 1;
        Some(u32::from(self.current >> self.left & 1))
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// Exp-Golomb, unsigned (§9.1), up to 31 leading zeros.
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1u64 << zeros) - 1 + u64::from(self.bits(zeros)?)) as u32)
    }
}

/// Picture size of a sequence parameter set, in whole macroblocks (§7.3.2.1.1).
fn sequence_size(payload: &[u8]) -> Result<(usize, usize), StreamError> {
    let mut bits = Bits { bytes: payload, zeros: 0, current: 0, left: 0 };
    let (width, height, references) = read_sequence(&mut bits).ok_or(StreamError::ParameterSet)?;
    if width > MAX_WIDTH as u64 || height > MAX_HEIGHT as u64 {
        return Err(StreamError::Size { width, height });
    }
    if references > MAX_REFERENCES {
        return Err(StreamError::ParameterSet);
    }
    Ok((width as usize, height as usize))
}

fn read_sequence(bits: &mut Bits<'_>) -> Option<(u64, u64, u32)> {
    let profile = bits.bits(8)?;
    bits.bits(16)?;
    bits.unsigned()?;
    // Only profiles with 4:2:0 and eight bits pass, so that the part for others is four known values.
    if profile == 100 {
        let (chroma, luma_depth, chroma_depth) = (bits.unsigned()?, bits.unsigned()?, bits.unsigned()?);
        if (chroma, luma_depth, chroma_depth) != (1, 0, 0) || bits.bits(2)? != 0 {
            return None;
        }
    } else if !matches!(profile, 66 | 77) {
        return None;
    }
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => drop(bits.unsigned()?),
        2 => {}
        _ => return None,
    }
    let references = bits.unsigned()?;
    bits.bit()?;
    let width = (u64::from(bits.unsigned()?) + 1) * 16;
    let map_units = u64::from(bits.unsigned()?) + 1;
    // frame_mbs_only_flag: no Conclave sends fields.
    if bits.bit()? != 1 {
        return None;
    }
    Some((width, map_units * 16, references))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a baseline sequence parameter set with these sizes in macroblocks.
    fn sequence(profile: u8, width: u32, height: u32, references: u32) -> Vec<u8> {
        let mut bits = String::new();
        let golomb = |value: u64| {
            let binary = format!("{:b}", value + 1);
            "0".repeat(binary.len() - 1) + &binary
        };
        for byte in [profile, 0, 31] {
            bits += &format!("{byte:08b}");
        }
        // seq_parameter_set_id, log2_max_frame_num_minus4, pic_order_cnt_type, max_num_ref_frames.
        for value in [0, 0, 2, references] {
            bits += &golomb(u64::from(value));
        }
        // gaps_in_frame_num_value_allowed_flag
        bits.push('0');
        bits += &golomb(u64::from(width) - 1);
        bits += &golomb(u64::from(height) - 1);
        bits += "1100";
        bits.push('1');
        while !bits.len().is_multiple_of(8) {
            bits.push('0');
        }
        let mut nal = vec![0, 0, 0, 1, 0x67];
        let mut zeros = 0;
        for at in (0..bits.len()).step_by(8) {
            let byte = u8::from_str_radix(&bits[at..at + 8], 2).unwrap();
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }

    const IDR: [u8; 6] = [0, 0, 1, 0x65, 0x88, 0x80];

    #[test]
    fn a_parameter_set_gives_its_size_and_an_idr_slice_makes_a_key_frame() {
        let data = [sequence(66, 80, 45, 1), IDR.to_vec()].concat();
        assert_eq!(inspect(&data), Ok(AccessUnit { key: true, size: Some((1280, 720)) }));
        assert_eq!(inspect(&[0, 0, 0, 1, 0x41, 0x9a]), Ok(AccessUnit { key: false, size: None }));
    }

    #[test]
    fn sizes_and_reference_counts_out_of_bounds_never_reach_the_decoder() {
        let unit = |nal: Vec<u8>| inspect(&[nal, IDR.to_vec()].concat());
        assert_eq!(unit(sequence(66, 257, 45, 1)), Err(StreamError::Size { width: 4112, height: 720 }));
        assert_eq!(unit(sequence(66, 80, 145, 1)), Err(StreamError::Size { width: 1280, height: 2320 }));
        assert!(matches!(unit(sequence(66, 1 << 30, 1 << 30, 1)), Err(StreamError::Size { .. })));
        assert_eq!(unit(sequence(66, 80, 45, 16)), Err(StreamError::ParameterSet));
        assert_eq!(unit(sequence(122, 80, 45, 1)), Err(StreamError::ParameterSet));
        assert_eq!(unit(vec![0, 0, 1, 0x67, 66]), Err(StreamError::ParameterSet));
    }

    #[test]
    fn other_kinds_of_unit_and_no_unit_at_all_are_refused() {
        assert_eq!(inspect(&[0, 0, 1, 0x6f, 1, 2]), Err(StreamError::Unexpected(15)));
        assert_eq!(inspect(&[0, 0, 1, 0x74, 1, 2]), Err(StreamError::Unexpected(20)));
        for nothing in [&[][..], &[1, 2, 3], &[0, 0, 1], &[0, 0, 1, 0xe5, 1], &[0, 0, 1, 0x68, 0x80]] {
            assert_eq!(inspect(nothing), Err(StreamError::NotAnAccessUnit), "{nothing:?}");
        }
        assert_eq!(inspect(&[0, 0, 1, 0x41, 7].repeat(MAX_UNITS + 1)), Err(StreamError::NotAnAccessUnit));
        assert_eq!(inspect(&vec![0; MAX_ACCESS_UNIT + 1]), Err(StreamError::NotAnAccessUnit));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered_without_a_panic(data in proptest::collection::vec(0u8..8, 0..200), start in 0usize..3) {
            let header = [&[0, 0, 1, 0x67][..], &[0, 0, 1, 0x65], &[]][start];
            if let Ok(unit) = inspect(&[header, &data].concat())
                && let Some((width, height)) = unit.size
            {
                assert!(width <= MAX_WIDTH && height <= MAX_HEIGHT);
            }
        }
    }
}
