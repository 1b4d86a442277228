//! STUN binding (RFC 8489): reading a request and writing the answer. Pure.
//!
//! The relay tells a member its own address as seen from outside, so that no third party's server has to be asked.
//! There are no credentials; the answer says nothing that the sender of the datagram did not show.

use std::net::{IpAddr, SocketAddr};

/// RFC 8489 §5.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;
/// Largest request that is read, in bytes: what IPv6 always carries, less headers (RFC 8489 §6.1 says 548 for IPv4).
pub const MAX_REQUEST: usize = 1280;

const HEADER: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
/// RFC 8489 §14.7.
const FINGERPRINT_XOR: u32 = 0x5354_554E;
/// An answer stays about as small as a request, so that nothing is gained by a forged source address.
const MAX_UNKNOWN_LISTED: usize = 4;

/// Why a datagram is not a binding request. None of these is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StunError {
    /// Shorter than a header or longer than [`MAX_REQUEST`].
    #[error("{0} bytes are no STUN request")]
    Size(usize),
    /// The first two bits, the cookie or the length are not STUN's.
    #[error("not STUN")]
    NotStun,
    /// STUN, but not a binding request.
    #[error("STUN type {0:#06x} is no binding request")]
    NotBindingRequest(u16),
    /// An attribute runs over the end.
    #[error("attribute runs over the end")]
    Attribute,
    /// FINGERPRINT does not fit, or is not last.
    #[error("fingerprint does not fit")]
    Fingerprint,
}

/// A binding request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRequest {
    transaction: [u8; 12],
    fingerprint: bool,
    unknown: Vec<u16>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes)
}

/// CRC-32 of ITU-T V.42, as FINGERPRINT wants it. Bit by bit: a request is short and rare.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

impl BindingRequest {
    /// Reads a datagram (RFC 8489 §5, §6.3, §14).
    ///
    /// # Errors
    /// [`StunError`] if it is not a well-formed binding request.
    pub fn parse(datagram: &[u8]) -> Result<Self, StunError> {
        if !(HEADER..=MAX_REQUEST).contains(&datagram.len()) {
            return Err(StunError::Size(datagram.len()));
        }
        let (kind, length) = (u16_at(datagram, 0), u16_at(datagram, 2));
        let (Some(kind), Some(length)) = (kind, length) else { return Err(StunError::NotStun) };
        let length = usize::from(length);
        if kind & 0xC000 != 0 || u32_at(datagram, 4) != Some(MAGIC_COOKIE) {
            return Err(StunError::NotStun);
        }
        if length % 4 != 0 || length + HEADER != datagram.len() {
            return Err(StunError::NotStun);
        }
        if kind != BINDING_REQUEST {
            return Err(StunError::NotBindingRequest(kind));
        }
        let transaction = datagram[8..HEADER].try_into().map_err(|_| StunError::NotStun)?;
        let mut request = Self { transaction, fingerprint: false, unknown: Vec::new() };
        let mut at = HEADER;
        while at < datagram.len() {
            let (Some(kind), Some(length)) = (u16_at(datagram, at), u16_at(datagram, at + 2)) else {
                return Err(StunError::Attribute);
            };
            let end = at + 4 + usize::from(length).next_multiple_of(4);
            if end > datagram.len() {
                return Err(StunError::Attribute);
            }
            if kind == FINGERPRINT {
                let right = Some(crc32(&datagram[..at]) ^ FINGERPRINT_XOR);
                if length != 4 || end != datagram.len() || u32_at(datagram, at + 4) != right {
                    return Err(StunError::Fingerprint);
                }
                request.fingerprint = true;
            } else if kind < 0x8000 && request.unknown.len() < MAX_UNKNOWN_LISTED {
                // Without credentials no comprehension-required attribute means anything in a binding request.
                request.unknown.push(kind);
            }
            at = end;
        }
        Ok(request)
    }

    /// The answer for a request that came from `source`: a success with XOR-MAPPED-ADDRESS (§14.2) or, if the
    /// request has a comprehension-required attribute, error 420 (§6.3.1). With FINGERPRINT if the request had it.
    pub fn answer(&self, source: SocketAddr) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let kind = if self.unknown.is_empty() { BINDING_SUCCESS } else { BINDING_ERROR };
        out.extend(kind.to_be_bytes());
        out.extend([0, 0]);
        out.extend(MAGIC_COOKIE.to_be_bytes());
        out.extend(self.transaction);
        if self.unknown.is_empty() {
            self.put_xor_mapped_address(&mut out, source);
        } else {
            put_attribute(&mut out, ERROR_CODE, &[0, 0, 4, 20]);
            let unknown: Vec<u8> = self.unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            put_attribute(&mut out, UNKNOWN_ATTRIBUTES, &unknown);
        }
        if self.fingerprint {
            // The length that the CRC covers includes the fingerprint itself (§14.7).
            set_length(&mut out, 8);
            let crc = crc32(&out) ^ FINGERPRINT_XOR;
            put_attribute(&mut out, FINGERPRINT, &crc.to_be_bytes());
        }
        set_length(&mut out, 0);
        out
    }

    fn put_xor_mapped_address(&self, out: &mut Vec<u8>, source: SocketAddr) {
        let port = (source.port() ^ (MAGIC_COOKIE >> 16) as u16).to_be_bytes();
        let mut value = vec![0];
        match source.ip().to_canonical() {
            IpAddr::V4(v4) => {
                value.push(1);
                value.extend(port);
                value.extend((v4.to_bits() ^ MAGIC_COOKIE).to_be_bytes());
            }
            IpAddr::V6(v6) => {
                value.push(2);
                value.extend(port);
                let mut mask = [0; 16];
                mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
                mask[4..].copy_from_slice(&self.transaction);
                value.extend((v6.to_bits() ^ u128::from_be_bytes(mask)).to_be_bytes());
            }
        }
        put_attribute(out, XOR_MAPPED_ADDRESS, &value);
    }
}

fn put_attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn set_length(out: &mut [u8], more: usize) {
    let length = (out.len() - HEADER + more) as u16;
    out[2..4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 5769 §2.1, a request with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY, FINGERPRINT.
    const RFC5769_REQUEST: [u8; 108] = [
        0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87,
        0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c,
        0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f,
        0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76,
        0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e,
        0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
    ];
    /// RFC 5769 §2.2 and §2.3: XOR-MAPPED-ADDRESS of 192.0.2.1:32853 and [2001:db8:1234:5678:11:2233:4455:6677]:32853
    /// under the same transaction id.
    const RFC5769_V4: [u8; 12] = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
    const RFC5769_V6: [u8; 24] = [
        0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
        0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
    ];

    fn bare_request() -> Vec<u8> {
        let mut request = RFC5769_REQUEST[..HEADER].to_vec();
        request[2..4].copy_from_slice(&[0, 0]);
        request
    }

    #[test]
    fn the_published_request_is_read_and_its_fingerprint_holds() {
        let request = BindingRequest::parse(&RFC5769_REQUEST).unwrap();
        assert!(request.fingerprint);
        assert_eq!(request.unknown, [0x0024, 0x0006, 0x0008]);
        let mut wrong = RFC5769_REQUEST;
        wrong[30] ^= 1;
        assert_eq!(BindingRequest::parse(&wrong), Err(StunError::Fingerprint));
    }

    #[test]
    fn answers_carry_the_published_mapped_addresses() {
        let request = BindingRequest::parse(&bare_request()).unwrap();
        let v4 = request.answer("192.0.2.1:32853".parse().unwrap());
        assert_eq!(&v4[..4], [0x01, 0x01, 0, 12]);
        assert_eq!(&v4[4..20], &RFC5769_REQUEST[4..20]);
        assert_eq!(&v4[20..], RFC5769_V4);
        let v6 = request.answer("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap());
        assert_eq!(&v6[20..], RFC5769_V6);
        assert_eq!(request.answer("[::ffff:192.0.2.1]:32853".parse().unwrap()), v4, "mapped IPv4 is IPv4");
    }

    #[test]
    fn an_attribute_that_must_be_understood_is_answered_420() {
        let answer = BindingRequest::parse(&RFC5769_REQUEST).unwrap().answer("192.0.2.1:1".parse().unwrap());
        assert_eq!(&answer[..2], BINDING_ERROR.to_be_bytes());
        assert_eq!(&answer[20..28], [0, 9, 0, 4, 0, 0, 4, 20]);
        assert_eq!(&answer[28..40], [0, 10, 0, 6, 0, 0x24, 0, 6, 0, 8, 0, 0]);
        let (at, crc) = (answer.len() - 8, answer[answer.len() - 4..].to_vec());
        assert_eq!(crc, (crc32(&answer[..at]) ^ FINGERPRINT_XOR).to_be_bytes(), "its own fingerprint holds");
        assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])), answer.len() - HEADER);
    }

    #[test]
    fn what_is_no_binding_request_is_told_apart() {
        assert_eq!(BindingRequest::parse(&[]), Err(StunError::Size(0)));
        assert_eq!(BindingRequest::parse(&[0; MAX_REQUEST + 1]), Err(StunError::Size(MAX_REQUEST + 1)));
        assert_eq!(BindingRequest::parse(&[0; 20]), Err(StunError::NotStun));
        let mut answer = bare_request();
        answer[0] = 1;
        assert_eq!(BindingRequest::parse(&answer), Err(StunError::NotBindingRequest(0x0101)));
        let mut long = bare_request();
        long.extend([0, 6, 0, 200]);
        long[3] = 4;
        assert_eq!(BindingRequest::parse(&long), Err(StunError::Attribute));
    }

    proptest! {
        #[test]
        fn no_datagram_panics_and_answers_stay_small(
            attributes in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            tail in prop::collection::vec(any::<u8>(), 0..8),
            source in any::<[u8; 16]>(),
        ) {
            let mut datagram = bare_request();
            for (kind, value) in &attributes {
                put_attribute(&mut datagram, *kind, value);
            }
            datagram.extend(&tail);
            set_length(&mut datagram, 0);
            if let Ok(request) = BindingRequest::parse(&datagram) {
                let answer = request.answer((source, 1).into());
                prop_assert!(answer.len() <= 60);
                prop_assert_eq!(answer.len() % 4, 0);
            }
        }

        #[test]
        fn raw_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = BindingRequest::parse(&bytes);
        }
    }
}
