//! Comparing safety numbers: what a window shows while somebody types the other's number.

use crate::crypto::safety;

/// Digits in a whole safety number.
pub const SAFETY_DIGITS: usize = safety::DIGITS;

/// Whether what somebody typed, pasted or scanned is the safety number `own`. White space and hyphens do not matter, nor
/// does the prefix of a scanned code; anything else does. Compared in constant time.
pub fn safety_numbers_match(typed: &str, own: &str) -> bool {
    safety::pair_number_matches(typed, own)
}

/// How many digits of a safety number stand in what was typed so far, those in the prefix of a scanned code not counted.
pub fn safety_digits_in(typed: &str) -> usize {
    let typed = typed.trim();
    let number = typed.strip_prefix(safety::QR_PREFIX).unwrap_or(typed);
    number.chars().filter(char::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_counted_without_those_of_the_prefix() {
        for (typed, count) in [("", 0), ("hello", 0), (" 12345 6-7\n", 7), ("conclave:verify:1:12345 ", 5)] {
            assert_eq!(safety_digits_in(typed), count, "{typed:?}");
        }
        assert_eq!(safety_digits_in(&"7".repeat(SAFETY_DIGITS)), SAFETY_DIGITS);
    }

    #[test]
    fn numbers_match_only_digit_for_digit() {
        let own = "12345 ".repeat(12);
        assert!(safety_numbers_match(&own.replace(' ', "-"), &own));
        assert!(!safety_numbers_match(&own.replacen('1', "2", 1), &own));
        assert!(!safety_numbers_match("", ""));
    }
}
