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
//! | 1 | flags: 0x01 expiry present, 0x02 the host's name present; others zero |
//! | 16 | room secret |
//! | 32 | host's identity key (Ed25519) |
//! | 32 | host's Noise static key for this meeting (X25519) |
//! | 8 | invite id |
//! | 32 | invite secret |
//! | 1 | number of relays, 1 to 8 |
//! | … | relays, see [`RelayAddress`] |
//! | 8 | expiry, seconds since 1970 BE, when flagged |
//! | 2 + … | length BE and UTF-8 of the host's name, when flagged |

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::digest;

use super::relay_address::RelayAddress;
use super::wire::{MAX_NAME_CHARS, is_name};
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
const FLAG_NAME: u8 = 0x02;
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
    /// What the host calls itself. The link is all that says so; whoever pastes it can be told when somebody they know goes
    /// by that name and has another key.
    pub host_name: Option<String>,
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
            host_name: self.host_name.clone(),
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
        let name = self.host_name.as_deref().filter(|name| is_name(name));
        out.push(if self.expires.is_some() { FLAG_EXPIRY } else { 0 } | if name.is_some() { FLAG_NAME } else { 0 });
        out.extend(self.room_secret.expose());
        out.extend(self.host_identity.0);
        out.extend(self.host_static);
        out.extend(self.invite_id);
        out.extend(self.secret.expose());
        out.push(self.relays.len() as u8);
        self.relays.iter().for_each(|relay| relay.encode(&mut out));
        out.extend(self.expires.map(u64::to_be_bytes).into_iter().flatten());
        if let Some(name) = name {
            out.extend((name.len() as u16).to_be_bytes());
            out.extend(name.as_bytes());
        }
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
        if flags & !(FLAG_EXPIRY | FLAG_NAME) != 0 {
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
        let host_name = match flags & FLAG_NAME {
            0 => None,
            _ => Some(take_name(&mut rest)?),
        };
        if !rest.is_empty() {
            return Err(InviteError::Invalid("something follows the last field"));
        }
        Ok(Self { room_secret, host_identity, host_static, host_name, invite_id, secret, relays, expires })
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

fn take_name(input: &mut &[u8]) -> Result<String, InviteError> {
    const BAD: InviteError = InviteError::Invalid("the host's name is none");
    let length = usize::from(u16::from_be_bytes(take(input).ok_or(BAD)?));
    if length > MAX_NAME_CHARS * 4 {
        return Err(BAD);
    }
    let (name, rest) = input.split_at_checked(length).ok_or(BAD)?;
    let name = std::str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or(BAD)?;
    *input = rest;
    Ok(name.to_owned())
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn invite(relays: &[&str], expires: Option<u64>) -> Invite {
        Invite {
            room_secret: Secret::new([1; 16]),
            host_identity: IdentityKey([2; 32]),
            host_static: [3; 32],
            host_name: None,
            invite_id: [4; 8],
            secret: Secret::new([5; 32]),
            relays: relays.iter().map(|relay| RelayAddress::from_setting(relay).unwrap()).collect(),
            expires,
        }
    }

    fn error(text: &str) -> InviteError {
        Invite::parse(text, NOW).unwrap_err()
    }

    /// A link whose payload has been changed and whose checksum is right again.
    fn forged(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut payload = invite(&["relay.example"], None).to_payload();
        payload.truncate(payload.len() - CHECKSUM);
        change(&mut payload);
        let length = (payload.len() + CHECKSUM) as u16;
        payload[1..3].copy_from_slice(&length.to_be_bytes());
        let sum = checksum(&payload);
        payload.extend(sum);
        format!("conclave://relay.example/#{}", BASE64URL_NOPAD.encode(&payload))
    }

    #[test]
    fn a_link_reads_back_as_the_invite_it_was_made_from() {
        for relays in [&["relay.example"][..], &["ws://192.0.2.7:9"], &["ws://[2001:db8::1]", "relay.example:1"]] {
            for expires in [None, Some(NOW + 1)] {
                for host_name in [None, Some("Ana Lindqvist".to_owned()), Some("\u{1f600}".repeat(64))] {
                    let invite = Invite { host_name, ..invite(relays, expires) };
                    assert_eq!(Invite::parse(&invite.to_link(), NOW), Ok(invite));
                }
            }
        }
    }

    #[test]
    fn a_link_shows_the_first_relay() {
        assert!(invite(&["relay.example"], None).to_link().starts_with("conclave://relay.example/#AQ"));
        assert!(invite(&["ws://[::1]:7770"], None).to_link().starts_with("conclave://[::1]:7770/#AQ"));
    }

    #[test]
    fn a_link_is_read_as_people_paste_it() {
        let good = invite(&["relay.example"], None);
        let link = good.to_link();
        let (front, fragment) = link.split_once('#').unwrap();
        for text in [
            format!("  \n<{link}>\t "),
            format!("{}#{}\r\n {}", front, &fragment[..50], &fragment[50..]),
            format!("CONCLAVE://RELAY.EXAMPLE/#{fragment}"),
            format!("conclave://relay.example:443#{fragment}"),
            format!("https://relay.example/join?from=mail#{fragment}"),
            format!("https://relay.example#{fragment}"),
        ] {
            assert!(Invite::parse(&text, NOW).as_ref() == Ok(&good), "{text}");
        }
    }

    #[test]
    fn each_kind_of_bad_link_has_its_own_error() {
        let link = invite(&["relay.example"], None).to_link();
        let fragment = link.split_once('#').unwrap().1;
        assert_eq!(error(""), InviteError::Empty);
        assert_eq!(error(" <> "), InviteError::Empty);
        assert_eq!(error(&"x".repeat(MAX_TEXT + 1)), InviteError::TooLong);
        assert_eq!(error("see you at five"), InviteError::NotALink);
        assert_eq!(error("://x"), InviteError::NotALink);
        for foreign in [
            "https://zoom.us/j/1234567890?pwd=abc",
            "https://meet.google.com/abc-defg-hij",
            "https://meet.example/Room#config.startWithAudioMuted=true",
            "https://app.example/#success",
            "zoommtg://zoom.us/join?confno=1",
            "http://relay.example/",
        ] {
            assert_eq!(error(foreign), InviteError::OtherProduct, "{foreign}");
        }
        assert_eq!(error("conclave:"), InviteError::Truncated);
        assert_eq!(error("concl"), InviteError::Truncated);
        assert_eq!(error("conclave://relay.example/"), InviteError::Truncated);
        assert_eq!(error("conclave://relay.example/#"), InviteError::Truncated);
        assert_eq!(error(&link[..link.len() - 1]), InviteError::Truncated);
        assert_eq!(error(&format!("https://relay.example/#{}", &fragment[..100])), InviteError::Truncated);
        assert_eq!(error(&format!("{link}A")), InviteError::Mistyped);
        assert_eq!(error(&link.replace("conclave:", "conclav:")), InviteError::Mistyped);
        assert_eq!(error(&link.replace('#', "")), InviteError::Mistyped);
        assert_eq!(error(&link.replace("/#", "/x#")), InviteError::Mistyped);
        assert_eq!(error(&format!("{}*", &link[..link.len() - 1])), InviteError::Mistyped);
        assert_eq!(error(&forged(|payload| payload[0] = 2)), InviteError::NewerVersion(2));
        assert_eq!(error(&invite(&["relay.example"], Some(NOW)).to_link()), InviteError::Expired { at: NOW });
    }

    #[test]
    fn a_link_that_shows_another_relay_than_it_contacts_is_refused() {
        let link = invite(&["relay.example"], None).to_link();
        for shown in ["bank.example", "relay.example:8443", "relay.example@evil.example", "relay.example.", ""] {
            let text = link.replace("relay.example/", &format!("{shown}/"));
            let expected = InviteError::AddressMismatch { shown: shown.into(), actual: "relay.example".into() };
            assert_eq!(error(&text), expected);
        }
    }

    #[test]
    fn content_that_was_made_wrongly_is_refused_with_a_right_checksum_too() {
        use InviteError::Invalid;
        assert_eq!(error(&forged(|payload| payload[0] = 0)), Invalid("version 0 does not exist"));
        assert_eq!(error(&forged(|payload| payload[3] = 4)), Invalid("an unknown flag is set"));
        assert_eq!(error(&forged(|payload| payload[3] = 2)), Invalid("the host's name is none"));
        for name in [&b"\x00\x00"[..], b"\x00\x05Ana", b"\x00\x04 Ana", b"\x00\x02\xff\xfe", b"\xff\xffAna"] {
            let with_name = forged(|payload| {
                payload[3] = 2;
                payload.extend(name);
            });
            assert_eq!(error(&with_name), Invalid("the host's name is none"), "{name:?}");
        }
        assert_eq!(error(&forged(|payload| payload.push(0))), Invalid("something follows the last field"));
        assert_eq!(error(&forged(|payload| payload.truncate(60))), Invalid("a field is missing"));
        let count = 3 + 1 + 16 + 32 + 32 + 8 + 32;
        assert_eq!(error(&forged(|payload| payload[count] = 0)), Invalid("no relay is named"));
        assert_eq!(error(&forged(|payload| payload[count] = 9)), Invalid("too many relays are named"));
        assert_eq!(error(&forged(|payload| payload[count] = 2)), Invalid("a relay address is not valid"));
        assert_eq!(error(&forged(|payload| payload[count + 1] = 0x83)), Invalid("a relay address is not valid"));
    }

    #[test]
    fn a_link_has_room_for_eight_long_names() {
        let long = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        let mut invite = invite(&[long.as_str(); MAX_RELAYS], Some(u64::MAX));
        invite.host_name = Some("\u{1f600}".repeat(MAX_NAME_CHARS));
        assert!(invite.to_link().len() < MAX_TEXT);
        assert_eq!(Invite::parse(&invite.to_link(), NOW).as_ref(), Ok(&invite));
        let one_more = vec![RelayAddress::from_setting("relay.example").unwrap(); MAX_RELAYS + 1];
        assert!(invite.with_relays(one_more).is_err());
        assert!(invite.with_relays(Vec::new()).is_err());
    }

    #[test]
    fn the_room_id_depends_on_the_room_secret_alone_and_does_not_show_it() {
        let (a, mut b) = (invite(&["relay.example"], None), invite(&["other.example"], Some(NOW)));
        assert_eq!(a.room_id(), b.room_id());
        b.room_secret = Secret::new([9; 16]);
        assert_ne!(a.room_id(), b.room_id());
    }

    #[test]
    fn every_cut_of_a_link_is_refused() {
        let link = invite(&["relay.example"], Some(NOW + 1)).to_link();
        for cut in 0..link.len() {
            assert!(Invite::parse(&link[..cut], NOW).is_err(), "cut at {cut}");
        }
        let fragment_at = link.find('#').unwrap();
        for cut in fragment_at..link.len() {
            assert_eq!(error(&link[..cut]), InviteError::Truncated, "cut at {cut}");
        }
    }

    #[test]
    fn every_change_of_one_character_is_refused_or_means_the_same() {
        let good = invite(&["ws://192.0.2.7:7770", "relay.example"], Some(NOW + 1));
        let link: Vec<char> = good.to_link().chars().collect();
        let read = |text: Vec<char>| Invite::parse(&text.into_iter().collect::<String>(), NOW);
        for at in 0..link.len() {
            let mut without = link.clone();
            without.remove(at);
            assert!(
                read(without).is_ok_and(|invite| invite == good)
                    || read([&link[..at], &link[at + 1..]].concat()).is_err()
            );
            for other in "AZaz09-_#/:.<>@%? \u{e9}".chars() {
                let mut changed = link.clone();
                changed[at] = other;
                let mut longer = link.clone();
                longer.insert(at, other);
                for text in [changed, longer] {
                    let shown: String = text.iter().collect();
                    assert!(read(text).map_or(true, |invite| invite == good), "{shown}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,300}") {
            let _ = Invite::parse(&text, NOW);
        }

        #[test]
        fn anything_behind_our_scheme_is_read_without_panic(text in "(conclave|https)://[a-z.:0-9\\[\\]]{0,20}/?#[A-Za-z0-9_-]{0,300}") {
            let _ = Invite::parse(&text, NOW);
        }

        #[test]
        fn any_body_under_a_right_checksum_is_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Invite::parse(&forged(|payload| { payload.truncate(3); payload.extend(&body); }), NOW);
        }
    }
}
