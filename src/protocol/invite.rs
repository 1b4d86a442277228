//! The invite link: everything a guest needs in order to reach one host, and nothing that a server ever receives.
//!
//! `conclave://RELAY/#PAYLOAD` or `https://RELAY/…#PAYLOAD`. What stands in front of `#` must name the first relay in the
//! payload, so that the address people read is the one that is contacted. The payload is base64url (RFC 4648 §5, no
//! padding) of `version(1) ‖ length(2 BE, of the whole) ‖ body ‖ checksum(4)`, where the checksum is the beginning of the
//! SHA-256 of all that precedes it. This frame stays the same in all versions, so that a slip of the finger is told from a
//! link of a newer program. The body of version 1:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | flags: 0x01 expiry present; others zero |
//! | 16 | room secret |
//! | 32 | host's identity key (Ed25519) |
//! | 32 | host's Noise static key for this meeting (X25519) |
//! | 8 | invite id |
//! | 32 | invite secret |
//! | 1 | number of relays, 1 to 8 |
//! | … | relays, see [`RelayAddress`] |
//! | 8 | expiry, seconds since 1970 BE, when flagged |

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::digest;

use super::relay_address::RelayAddress;
use crate::crypto::identity::IdentityKey;
use crate::crypto::kdf::derive;
use crate::crypto::secret::Secret;

/// The version of link that this program writes, and the highest that it reads.
pub const LINK_VERSION: u8 = 1;
/// Longest text that is looked at, in bytes. A link with eight long relay names fits.
pub const MAX_TEXT: usize = 4096;
/// Most relays in a link.
pub const MAX_RELAYS: usize = 8;

const FRAME: usize = 3;
const CHECKSUM: usize = 4;
const FLAG_EXPIRY: u8 = 0x01;
/// A fragment of this many base64url characters in an `https` link is taken for a damaged one of ours. The shortest
/// version 1 payload has 185.
const OURS_FROM: usize = 64;

/// Names an invite within its meeting; the host knows by it which link was used.
pub type InviteId = [u8; 8];

/// Why a text is not a usable invite link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// Longer than any link.
    #[error("the text is longer than any invite link")]
    TooLong,
    /// Not a link at all.
    #[error("the text is not a link")]
    NotALink,
    /// A link, but not one of Conclave's.
    #[error("the link belongs to another program")]
    OtherProduct,
    /// The end is missing.
    #[error("the link has been cut short")]
    Truncated,
    /// Characters were changed, added or lost: the checksum does not fit.
    #[error("the link's checksum does not match")]
    Mistyped,
    /// Made by a newer program.
    #[error("the link has version {0}, which this program does not know")]
    NewerVersion(u8),
    /// No longer valid.
    #[error("the link expired at {at} seconds since 1970")]
    Expired {
        /// Seconds since 1970.
        at: u64,
    },
    /// What stands in front of `#` is not the relay that the link would contact.
    #[error("the link shows {shown} but leads to {actual}")]
    AddressMismatch {
        /// The authority as written in the link, cut to 100 characters.
        shown: String,
        /// The relay inside the payload.
        actual: String,
    },
    /// The checksum is right and the content is not: made wrongly, not damaged.
    #[error("the link's content is not valid: {0}")]
    Invalid(&'static str),
}

/// An invite: a secret that opens one door. It has no `Debug` beyond its name and no `Clone`.
#[derive(PartialEq)]
pub struct Invite {
    /// Known to all invited to a meeting; the relay's room id is derived from it.
    pub room_secret: Secret<16>,
    /// The host's long-term identity, pinned by the link.
    pub host_identity: IdentityKey,
    /// The host's Noise static key (X25519) for this meeting.
    pub host_static: [u8; 32],
    /// Which invite this is.
    pub invite_id: InviteId,
    /// Known to the host and to whom the link was given.
    pub secret: Secret<32>,
    /// Where the host is met, best first; 1 to [`MAX_RELAYS`].
    pub relays: Vec<RelayAddress>,
    /// When the link stops working, seconds since 1970.
    pub expires: Option<u64>,
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(..)")
    }
}

impl Invite {
    /// The `conclave://` link. Whoever reads it can knock: it is a secret.
    ///
    /// An invite without a relay cannot be parsed back; [`Meeting::create_invite`](super::Meeting::create_invite) makes none.
    pub fn to_link(&self) -> String {
        let authority = self.relays.first().map(ToString::to_string).unwrap_or_default();
        format!("conclave://{authority}/#{}", BASE64URL_NOPAD.encode(&self.to_payload()))
    }

    /// The same invite offering other relays, best first (addresses change while a meeting stands).
    ///
    /// Errors: [`InviteError::Invalid`] for none or more than [`MAX_RELAYS`].
    pub fn with_relays(&self, relays: Vec<RelayAddress>) -> Result<Self, InviteError> {
        check_relay_count(relays.len())?;
        Ok(Self {
            room_secret: self.room_secret.duplicate(),
            host_identity: self.host_identity,
            host_static: self.host_static,
            invite_id: self.invite_id,
            secret: self.secret.duplicate(),
            relays,
            expires: self.expires,
        })
    }

    /// The room's name at the relay: HKDF of the room secret. It means nothing to anyone without the link.
    pub fn room_id(&self) -> [u8; 32] {
        room_id(&self.room_secret)
    }

    /// Reads a link as people paste it: surrounded by white space or angle brackets, broken over lines, in upper or lower
    /// case where that does not matter. `now` is in seconds since 1970.
    pub fn parse(text: &str, now: u64) -> Result<Self, InviteError> {
        if text.len() > MAX_TEXT {
            return Err(InviteError::TooLong);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let text = text.strip_prefix('<').unwrap_or(&text);
        let text = text.strip_suffix('>').unwrap_or(text);
        if text.is_empty() {
            return Err(InviteError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let lower = text.to_ascii_lowercase();
            return Err(if "conclave://".starts_with(&lower) || lower.starts_with("conclave:") {
                InviteError::Truncated
            } else {
                InviteError::NotALink
            });
        };
        let (front, fragment) = match rest.split_once('#') {
            Some((front, fragment)) => (front, Some(fragment)),
            None => (rest, None),
        };
        let path_at = front.find(['/', '?']).unwrap_or(front.len());
        let (authority, path) = front.split_at(path_at);

        if scheme.eq_ignore_ascii_case("conclave") {
            let Some(fragment) = fragment else {
                // What follows the host belongs behind `#`; without it the rest is missing, or `#` is.
                return Err(if path.len() > 1 { InviteError::Mistyped } else { InviteError::Truncated });
            };
            if !matches!(path, "" | "/") {
                return Err(InviteError::Mistyped);
            }
            Self::from_fragment(fragment)?.shown_at(authority)?.unless_expired(now)
        } else if scheme.eq_ignore_ascii_case("https") {
            let fragment = fragment.filter(|fragment| looks_like_ours(fragment)).ok_or(InviteError::OtherProduct)?;
            Self::from_fragment(fragment)?.shown_at(authority)?.unless_expired(now)
        } else if fragment.is_some_and(|fragment| Self::from_fragment(fragment).is_ok()) {
            Err(InviteError::Mistyped)
        } else if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            Err(InviteError::NotALink)
        } else {
            Err(InviteError::OtherProduct)
        }
    }

    fn to_payload(&self) -> Vec<u8> {
        let mut out = vec![LINK_VERSION, 0, 0];
        out.push(if self.expires.is_some() { FLAG_EXPIRY } else { 0 });
        out.extend(self.room_secret.expose());
        out.extend(self.host_identity.0);
        out.extend(self.host_static);
        out.extend(self.invite_id);
        out.extend(self.secret.expose());
        out.push(self.relays.len() as u8);
        self.relays.iter().for_each(|relay| relay.encode(&mut out));
        out.extend(self.expires.map(u64::to_be_bytes).into_iter().flatten());
        let length = ((out.len() + CHECKSUM) as u16).to_be_bytes();
        out[1..FRAME].copy_from_slice(&length);
        let sum = checksum(&out);
        out.extend(sum);
        out
    }

    fn from_fragment(fragment: &str) -> Result<Self, InviteError> {
        if !fragment.bytes().all(is_base64url) {
            return Err(InviteError::Mistyped);
        }
        // The first four characters tell how many there should be; only then is "cut short" more than a guess.
        let head = fragment.as_bytes().first_chunk::<4>().ok_or(InviteError::Truncated)?;
        let head = BASE64URL_NOPAD.decode(head).map_err(|_| InviteError::Mistyped)?;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let characters = BASE64URL_NOPAD.encode_len(length);
        if fragment.len() < characters {
            return Err(InviteError::Truncated);
        }
        if fragment.len() > characters || length < FRAME + CHECKSUM {
            return Err(InviteError::Mistyped);
        }
        let payload = BASE64URL_NOPAD.decode(fragment.as_bytes()).map_err(|_| InviteError::Mistyped)?;
        let (content, sum) = payload.split_last_chunk::<CHECKSUM>().ok_or(InviteError::Mistyped)?;
        if checksum(content) != *sum {
            return Err(InviteError::Mistyped);
        }
        match content[0] {
            0 => Err(InviteError::Invalid("version 0 does not exist")),
            LINK_VERSION => Self::from_body(&content[FRAME..]),
            newer => Err(InviteError::NewerVersion(newer)),
        }
    }

    fn from_body(body: &[u8]) -> Result<Self, InviteError> {
        const SHORT: InviteError = InviteError::Invalid("a field is missing");
        let mut rest = body;
        let [flags] = take::<1>(&mut rest).ok_or(SHORT)?;
        if flags & !FLAG_EXPIRY != 0 {
            return Err(InviteError::Invalid("an unknown flag is set"));
        }
        let room_secret = Secret::new(take(&mut rest).ok_or(SHORT)?);
        let host_identity = IdentityKey(take(&mut rest).ok_or(SHORT)?);
        let host_static = take(&mut rest).ok_or(SHORT)?;
        let invite_id = take(&mut rest).ok_or(SHORT)?;
        let secret = Secret::new(take(&mut rest).ok_or(SHORT)?);
        let [count] = take::<1>(&mut rest).ok_or(SHORT)?;
        check_relay_count(usize::from(count))?;
        let relays = (0..count)
            .map(|_| RelayAddress::decode(&mut rest).ok_or(InviteError::Invalid("a relay address is not valid")))
            .collect::<Result<_, _>>()?;
        let expires = match flags & FLAG_EXPIRY {
            0 => None,
            _ => Some(u64::from_be_bytes(take(&mut rest).ok_or(SHORT)?)),
        };
        if !rest.is_empty() {
            return Err(InviteError::Invalid("something follows the last field"));
        }
        Ok(Self { room_secret, host_identity, host_static, invite_id, secret, relays, expires })
    }

    fn shown_at(self, authority: &str) -> Result<Self, InviteError> {
        match self.relays.first() {
            Some(relay) if relay.is_named_by(authority) => Ok(self),
            other => Err(InviteError::AddressMismatch {
                shown: authority.chars().take(100).collect(),
                actual: other.map(ToString::to_string).unwrap_or_default(),
            }),
        }
    }

    fn unless_expired(self, now: u64) -> Result<Self, InviteError> {
        match self.expires {
            Some(at) if at <= now => Err(InviteError::Expired { at }),
            _ => Ok(self),
        }
    }
}

/// HKDF of a room secret: the name under which a room stands at the relay.
pub(crate) fn room_id(room_secret: &Secret<16>) -> [u8; 32] {
    *derive::<32>(room_secret.expose(), b"", "room id").expose()
}

pub(crate) fn check_relay_count(count: usize) -> Result<(), InviteError> {
    match count {
        0 => Err(InviteError::Invalid("no relay is named")),
        1..=MAX_RELAYS => Ok(()),
        _ => Err(InviteError::Invalid("too many relays are named")),
    }
}

fn looks_like_ours(fragment: &str) -> bool {
    // "AQ" is how every version 1 payload begins.
    (fragment.len() >= OURS_FROM || fragment.starts_with("AQ")) && fragment.bytes().all(is_base64url)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest::digest(&digest::SHA256, content).as_ref()[..CHECKSUM]);
    sum
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}
