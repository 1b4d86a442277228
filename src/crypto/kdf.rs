//! One secret into many: HKDF (RFC 5869) with labels of our own.

use ring::hkdf::{self, KeyType, Okm, Prk};

use super::secret::Secret;

/// What every label begins with, so that no key of ours equals a key that another protocol derives.
const PREFIX: &[u8] = b"Conclave v1 ";

/// The length asked of [`Prk::expand`], in bytes.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256 (RFC 5869 §2) of `secret` with `salt` and the info string `"Conclave v1 " ‖ label`.
///
/// `salt` may be public and of any length, empty included. `N` is at most 8,160 bytes (255 blocks), checked when the
/// crate is compiled.
pub fn derive<const N: usize>(secret: &[u8], salt: &[u8], label: &str) -> Secret<N> {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    fill(&prk, &[PREFIX, label.as_bytes()])
}

/// HKDF-Expand into `N` bytes.
pub(super) fn fill<const N: usize>(prk: &Prk, info: &[&[u8]]) -> Secret<N> {
    const { assert!(N > 0 && N <= 255 * 32, "HKDF-SHA256 gives at most 255 blocks of 32 bytes") };
    let mut out = Secret::new([0; N]);
    if expand(prk, info, Length(N)).fill(out.expose_mut()).is_err() {
        unreachable!("the length asked for and the length of the buffer are the same constant")
    }
    out
}

/// HKDF-Expand for a key type whose length is known to be within RFC 5869's bound of 255 blocks.
pub(super) fn expand<'a, L: KeyType>(prk: &'a Prk, info: &'a [&'a [u8]], length: L) -> Okm<'a, L> {
    match prk.expand(info, length) {
        Ok(okm) => okm,
        Err(ring::error::Unspecified) => unreachable!("every length asked of this function is below 255 blocks"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn expansion_agrees_with_rfc_5869_appendix_a() {
        // A.1, A.2 and A.3, all SHA-256.
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &hex("000102030405060708090a0b0c")).extract(&[0x0b; 22]);
        assert_eq!(
            fill::<42>(&prk, &[&hex("f0f1f2f3f4f5f6f7f8f9")]).expose()[..],
            hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        );
        let run = |from: u8| (0..80).map(|i| from + i).collect::<Vec<u8>>();
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &run(0x60)).extract(&run(0));
        assert_eq!(
            fill::<82>(&prk, &[&run(0xb0)]).expose()[..],
            hex(concat!(
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09",
                "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ))
        );
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&[0x0b; 22]);
        assert_eq!(
            fill::<42>(&prk, &[]).expose()[..],
            hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        );
    }

    #[test]
    fn every_input_separates_keys() {
        let base = derive::<32>(b"secret", b"salt", "label");
        assert!(base == derive::<32>(b"secret", b"salt", "label"));
        assert!(base != derive::<32>(b"secreT", b"salt", "label"));
        assert!(base != derive::<32>(b"secret", b"salT", "label"));
        assert!(base != derive::<32>(b"secret", b"salt", "labeL"));
    }
}
