//! The SFrame header: key id and counter in 1 to 17 bytes (RFC 9605 §4.3).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! |X|  K  |Y|  C  |   X = 0: K is the key id; X = 1: K + 1 bytes of key id follow
//! +-+-+-+-+-+-+-+-+   Y = 0: C is the counter; Y = 1: C + 1 bytes of counter follow, after the key id
//! ```

/// The longest header in bytes.
pub(super) const MAX_LENGTH: usize = 17;

/// Writes a header and gives its length in bytes.
pub(super) fn encode(kid: u64, counter: u64, out: &mut [u8; MAX_LENGTH]) -> usize {
    let mut length = 1;
    let mut put = |value: u64| {
        if value < 8 {
            return value as u8;
        }
        let bytes = value.to_be_bytes();
        let used = &bytes[value.leading_zeros() as usize / 8..];
        out[length..length + used.len()].copy_from_slice(used);
        length += used.len();
        8 | (used.len() - 1) as u8
    };
    let config = put(kid) << 4;
    let config = config | put(counter);
    out[0] = config;
    length
}

/// Reads a header: key id, counter and the header's length in bytes. `None` if it is cut short, or longer than its
/// values need, which no sender writes.
pub(super) fn decode(bytes: &[u8]) -> Option<(u64, u64, usize)> {
    let (&config, mut rest) = bytes.split_first()?;
    let mut take = |field: u8| -> Option<u64> {
        if field & 8 == 0 {
            return Some(u64::from(field));
        }
        let (used, after) = rest.split_at_checked(usize::from(field & 7) + 1)?;
        rest = after;
        let value = used.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let shortest = used[0] != 0 && value >= 8;
        shortest.then_some(value)
    };
    let kid = take(config >> 4)?;
    let counter = take(config & 15)?;
    Some((kid, counter, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(kid in any::<u64>(), shift in 0u32..64, counter in any::<u64>(), tail in 0usize..9) {
            let (kid, counter) = (kid >> shift, counter >> (63 - shift));
            let mut out = [0xff; MAX_LENGTH];
            let length = encode(kid, counter, &mut out);
            prop_assert_eq!(decode(&out[..length]), Some((kid, counter, length)));
            let mut longer = out[..length].to_vec();
            longer.resize(length + tail, 0xaa);
            prop_assert_eq!(decode(&longer), Some((kid, counter, length)));
            prop_assert_eq!(decode(&out[..length - 1]), None);
        }

        #[test]
        fn every_header_that_is_read_is_the_one_that_would_be_written(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some((kid, counter, length)) = decode(&bytes) {
                let mut out = [0; MAX_LENGTH];
                prop_assert_eq!(encode(kid, counter, &mut out), length);
                prop_assert_eq!(&out[..length], &bytes[..length]);
            }
        }
    }

    #[test]
    fn a_header_longer_than_needed_is_refused() {
        assert_eq!(decode(&[0x80, 7]), None);
        assert_eq!(decode(&[0x08, 7]), None);
        assert_eq!(decode(&[0x90, 0, 200]), None);
        assert_eq!(decode(&[0x80, 8]), Some((8, 0, 2)));
    }
}
