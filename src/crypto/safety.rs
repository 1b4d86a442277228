//! What two people compare to know that nobody sits between them.
//!
//! The pair number follows Signal's numeric fingerprint (fingerprint version 0, 5,200 rounds of SHA-512): each side is
//! hashed to 30 digits, the smaller half comes first, so both people see the same sixty digits. Our inputs are the raw
//! 32-byte identity key, which also stands in for Signal's stable identifier.

use qrcode::{EcLevel, QrCode};
use ring::digest::{self, SHA512};
use subtle::ConstantTimeEq;

use super::identity::IdentityKey;

/// Rounds of SHA-512 for one half, as in Signal: they make searching for a key with a similar number slower.
const ROUNDS: u32 = 5200;
/// Digits of a whole pair number.
pub const DIGITS: usize = 60;
/// What stands before the digits in a QR code: program, purpose, format.
pub const QR_PREFIX: &str = "conclave:verify:1:";

/// The sixty digits of the two identities, the same whoever of the two computes them: twelve groups of five, joined by
/// single spaces. Takes some milliseconds, on purpose.
pub fn pair_number(a: &IdentityKey, b: &IdentityKey) -> String {
    let digits = numeric_fingerprint(&a.0, &a.0, &b.0, &b.0);
    let mut text = String::with_capacity(DIGITS + DIGITS / 5 - 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 5 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Whether what somebody typed, pasted or scanned is the pair number `own`. White space and hyphens between digits do
/// not matter, nor does the prefix of a scanned code; anything else does. Compared in constant time.
pub fn pair_number_matches(typed: &str, own: &str) -> bool {
    match (digits_of(typed), digits_of(own)) {
        (Some(typed), Some(own)) => typed.ct_eq(&own).into(),
        _ => false,
    }
}

/// The QR code of a pair number: rows of modules, `true` is dark, without the quiet zone of four modules. `None` if
/// `number` is not sixty digits.
pub fn pair_qr(number: &str) -> Option<Vec<Vec<bool>>> {
    let digits = digits_of(number)?;
    qr(&format!("{QR_PREFIX}{}", std::str::from_utf8(&digits).ok()?))
}

/// The QR code (ISO/IEC 18004, error correction level M) of any text that fits in one, such as an invite link: rows of
/// modules, `true` is dark, without the quiet zone. `None` if the text is too long.
pub fn qr(text: &str) -> Option<Vec<Vec<bool>>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let dark: Vec<bool> = code.to_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect();
    Some(dark.chunks(code.width()).map(<[bool]>::to_vec).collect())
}

/// The sixty ASCII digits in `text`, or `None` if there are more, fewer or anything else.
fn digits_of(text: &str) -> Option<[u8; DIGITS]> {
    let text = text.trim();
    let text = text.strip_prefix(QR_PREFIX).unwrap_or(text);
    let mut digits = [0; DIGITS];
    let mut count = 0;
    for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        if !character.is_ascii_digit() || count == DIGITS {
            return None;
        }
        digits[count] = character as u8;
        count += 1;
    }
    (count == DIGITS).then_some(digits)
}

/// Signal's numeric fingerprint of two parties with arbitrary keys and stable identifiers.
fn numeric_fingerprint(key_a: &[u8], id_a: &[u8], key_b: &[u8], id_b: &[u8]) -> String {
    let (a, b) = (half(key_a, id_a), half(key_b, id_b));
    if a <= b { a + &b } else { b + &a }
}

/// Thirty digits for one party: `SHA-512(0x0000 ‖ key ‖ id ‖ key)`, then `SHA-512(hash ‖ key)` until there were 5,200
/// hashes; the first 30 bytes as six big-endian numbers of five bytes, each modulo 100,000.
fn half(key: &[u8], id: &[u8]) -> String {
    let mut hash = digest::digest(&SHA512, &[&[0, 0], key, id, key].concat());
    for _ in 1..ROUNDS {
        let mut context = digest::Context::new(&SHA512);
        context.update(hash.as_ref());
        context.update(key);
        hash = context.finish();
    }
    let mut digits = String::with_capacity(DIGITS / 2);
    for chunk in hash.as_ref()[..30].chunks(5) {
        let number = chunk.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)) % 100_000;
        digits.push_str(&format!("{number:05}"));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_number_agrees_with_libsignal() {
        // libsignal, rust/protocol/src/fingerprint.rs: the keys, identifiers and number of its own tests.
        let alice = hex("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868");
        let bob = hex("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b");
        let number = "300354477692869396892869876765458257569162576843440918079131";
        assert_eq!(numeric_fingerprint(&alice, b"+14152222222", &bob, b"+14153333333"), number);
        assert_eq!(numeric_fingerprint(&bob, b"+14153333333", &alice, b"+14152222222"), number);
    }

    #[test]
    fn both_people_see_the_same_twelve_groups_of_five() {
        let (a, b, c) = (IdentityKey([1; 32]), IdentityKey([2; 32]), IdentityKey([3; 32]));
        let number = pair_number(&a, &b);
        assert_eq!(number, pair_number(&b, &a));
        assert_ne!(number, pair_number(&a, &c));
        let groups: Vec<&str> = number.split(' ').collect();
        assert_eq!(groups.len(), 12);
        assert!(groups.iter().all(|group| group.len() == 5 && group.bytes().all(|b| b.is_ascii_digit())));
    }

    #[test]
    fn a_typed_number_matches_whatever_its_spacing_and_only_if_every_digit_is_right() {
        let number = pair_number(&IdentityKey([1; 32]), &IdentityKey([2; 32]));
        let bare: String = number.split(' ').collect();
        assert!(pair_number_matches(&number, &number));
        assert!(pair_number_matches(&format!("  {bare}\n"), &number));
        assert!(pair_number_matches(&number.replace(' ', "-"), &number));
        assert!(pair_number_matches(&format!("{QR_PREFIX}{bare}"), &number));
        for position in 0..60 {
            let mut wrong = bare.clone().into_bytes();
            wrong[position] = if wrong[position] == b'9' { b'0' } else { wrong[position] + 1 };
            assert!(!pair_number_matches(&String::from_utf8(wrong).unwrap(), &number));
        }
        assert!(!pair_number_matches(&bare[..59], &number));
        assert!(!pair_number_matches(&format!("{bare}0"), &number));
        assert!(!pair_number_matches(&bare.replacen(|_| true, "x", 1), &number));
        assert!(!pair_number_matches("", ""));
        assert!(!pair_number_matches("", &number));
    }

    #[test]
    fn the_code_to_scan_is_square_and_depends_on_the_number() {
        let first = pair_qr(&pair_number(&IdentityKey([1; 32]), &IdentityKey([2; 32]))).unwrap();
        let second = pair_qr(&pair_number(&IdentityKey([1; 32]), &IdentityKey([3; 32]))).unwrap();
        assert!(first.iter().all(|row| row.len() == first.len()));
        // A finder pattern is in the corner: a dark border of seven modules and a light one inside.
        assert!(first[0][..7].iter().all(|dark| *dark) && !first[1][1] && first[2][2]);
        assert_ne!(first, second);
        assert!(pair_qr("12345").is_none());
        assert!(qr(&"x".repeat(4000)).is_none());
    }
}
