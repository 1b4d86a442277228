//! Where a rendezvous relay is reached: the part of an invite link that people can read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Port of a relay without TLS when a link or a setting names none.
pub const PLAIN_PORT: u16 = 7770;
/// Port of a relay behind TLS when a link or a setting names none.
pub const TLS_PORT: u16 = 443;
/// Longest DNS name in characters (RFC 1035 §2.3.4, as text without the final dot).
pub const MAX_NAME: usize = 253;

/// Why an address cannot be that of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayAddressError {
    /// Neither a DNS name nor an IP address.
    #[error("the host is neither a dns name nor an ip address")]
    BadHost,
    /// Not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
    /// An address at which nothing can listen: unspecified, multicast or broadcast.
    #[error("nothing can listen at this address")]
    Unreachable,
    /// A scheme other than `ws` or `wss`, a path, a query or a user name.
    #[error("only ws:// or wss:// with a host and a port name a relay")]
    BadForm,
}

/// A relay: host, port, and whether TLS is spoken there.
///
/// `host` is canonical (lower case; IP addresses in the shortest form, IPv6 without brackets), so two equal addresses
/// are equal as values.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayAddress {
    host: String,
    port: u16,
    tls: bool,
}

impl RelayAddress {
    /// Checks and normalises. `host` is a DNS name in ASCII (an international one in its `xn--` form), an IPv4 or an IPv6
    /// literal with or without brackets.
    pub fn new(host: &str, port: u16, tls: bool) -> Result<Self, RelayAddressError> {
        if port == 0 {
            return Err(RelayAddressError::BadPort);
        }
        Ok(Self { host: canonical_host(host)?, port, tls })
    }

    /// Reads what a person wrote in the settings: `host`, `host:port`, `ws://host[:port]` or `wss://host[:port]`, with or
    /// without a final slash. Without a scheme TLS is meant; without a port [`TLS_PORT`] or [`PLAIN_PORT`].
    pub fn from_setting(text: &str) -> Result<Self, RelayAddressError> {
        let text = text.trim();
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => (false, rest),
            Some(_) => return Err(RelayAddressError::BadForm),
            None => (true, text),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(RelayAddressError::BadForm);
        }
        let (host, port) = split_authority(authority)?;
        Self::new(host, port.unwrap_or(default_port(tls)), tls)
    }

    /// Canonical DNS name or IP literal; IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port of the WebSocket, UDP port of STUN.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken there.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The address as an IP, when it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The WebSocket URL: `ws://host:port/v1` or `wss://host:port/v1`.
    pub fn to_url(&self) -> String {
        format!("{}://{}:{}/v1", if self.tls { "wss" } else { "ws" }, self.bracketed(), self.port)
    }

    /// `host:port`, IPv6 in brackets: for name resolution and STUN.
    pub fn to_host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// Whether `authority`, the part of a link between `//` and the path, names this host and port.
    pub(crate) fn is_named_by(&self, authority: &str) -> bool {
        let Ok((host, port)) = split_authority(authority) else { return false };
        canonical_host(host).is_ok_and(|host| host == self.host) && port.unwrap_or(default_port(self.tls)) == self.port
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// As people read it and as it stands in a link: `relay.example`, `192.0.2.7:7770`, `[2001:db8::7]:7770`. A default TLS
/// port is left out; a port without TLS never is.
impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bracketed())?;
        if self.tls && self.port == TLS_PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Addresses stay out of logs.
impl fmt::Debug for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayAddress(..)")
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { TLS_PORT } else { PLAIN_PORT }
}

/// Splits `host[:port]`, knowing IPv6 brackets.
fn split_authority(text: &str) -> Result<(&str, Option<u16>), RelayAddressError> {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']').ok_or(RelayAddressError::BadHost)?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(RelayAddressError::BadHost);
        }
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(RelayAddressError::BadHost),
        }
    } else {
        match text.split_once(':') {
            // More than one colon outside brackets: a bare IPv6 literal, which can carry no port.
            Some((_, rest)) if rest.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        None => None,
        // `u16::from_str` would take a plus sign.
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0).ok_or(RelayAddressError::BadPort)?)
        }
        Some(_) => return Err(RelayAddressError::BadPort),
    };
    Ok((host, port))
}

fn canonical_host(text: &str) -> Result<String, RelayAddressError> {
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    if let Ok(v6) = bare.parse::<Ipv6Addr>() {
        if v6.is_unspecified() || v6.is_multicast() {
            return Err(RelayAddressError::Unreachable);
        }
        return Ok(v6.to_string());
    }
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        if v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() {
            return Err(RelayAddressError::Unreachable);
        }
        return Ok(v4.to_string());
    }
    let name = text.to_ascii_lowercase();
    let label_is_good = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    // A last label of digits alone would be read as an IPv4 address by some resolvers (WHATWG URL, "ends in a number").
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if name.len() > MAX_NAME || numeric || !name.split('.').all(label_is_good) {
        return Err(RelayAddressError::BadHost);
    }
    Ok(name)
}

const KIND_NAME: u8 = 0;
const KIND_V4: u8 = 1;
const KIND_V6: u8 = 2;
const FLAG_TLS: u8 = 0x80;

impl RelayAddress {
    /// Appends the binary form: flags(1: 0x80 TLS, low bits 0 name, 1 IPv4, 2 IPv6) ‖ port(2 BE) ‖ address (4, 16, or
    /// length(1) ‖ name).
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let tls = if self.tls { FLAG_TLS } else { 0 };
        let port = self.port.to_be_bytes();
        match self.ip() {
            Some(IpAddr::V4(v4)) => {
                out.push(tls | KIND_V4);
                out.extend(port);
                out.extend(v4.octets());
            }
            Some(IpAddr::V6(v6)) => {
                out.push(tls | KIND_V6);
                out.extend(port);
                out.extend(v6.octets());
            }
            None => {
                out.push(tls | KIND_NAME);
                out.extend(port);
                out.push(self.host.len() as u8);
                out.extend(self.host.as_bytes());
            }
        }
    }

    /// Takes one address off the front of `input`. `None` when it is cut short or not in canonical form.
    pub(crate) fn decode(input: &mut &[u8]) -> Option<Self> {
        let (flags, rest) = input.split_first()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let (host, rest) = match flags & !FLAG_TLS {
            KIND_V4 => rest.split_first_chunk::<4>().map(|(a, r)| (Ipv4Addr::from(*a).to_string(), r))?,
            KIND_V6 => rest.split_first_chunk::<16>().map(|(a, r)| (Ipv6Addr::from(*a).to_string(), r))?,
            KIND_NAME => {
                let (length, rest) = rest.split_first()?;
                let (name, rest) = rest.split_at_checked(usize::from(*length))?;
                (std::str::from_utf8(name).ok()?.to_owned(), rest)
            }
            _ => return None,
        };
        let address = Self::new(&host, u16::from_be_bytes(*port), flags & FLAG_TLS != 0).ok()?;
        let is_name = flags & !FLAG_TLS == KIND_NAME;
        if address.host != host || address.ip().is_none() != is_name {
            return None;
        }
        *input = rest;
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_stands_in_a_link() {
        let show = |host, port, tls| RelayAddress::new(host, port, tls).unwrap().to_string();
        assert_eq!(show("Relay.Example", 443, true), "relay.example");
        assert_eq!(show("relay.example", 443, false), "relay.example:443");
        assert_eq!(show("192.0.2.7", 7770, false), "192.0.2.7:7770");
        assert_eq!(show("2001:DB8:0::7", 7770, false), "[2001:db8::7]:7770");
    }

    #[test]
    fn the_url_carries_scheme_port_and_version() {
        let url = |host, port, tls| RelayAddress::new(host, port, tls).unwrap().to_url();
        assert_eq!(url("relay.example", 443, true), "wss://relay.example:443/v1");
        assert_eq!(url("::1", 9, false), "ws://[::1]:9/v1");
    }

    #[test]
    fn a_setting_without_a_scheme_means_tls() {
        let read = |text| RelayAddress::from_setting(text).unwrap();
        assert_eq!(read(" relay.example "), RelayAddress::new("relay.example", 443, true).unwrap());
        assert_eq!(read("relay.example:8443"), RelayAddress::new("relay.example", 8443, true).unwrap());
        assert_eq!(read("ws://192.0.2.7/"), RelayAddress::new("192.0.2.7", 7770, false).unwrap());
        assert_eq!(read("WSS://[::1]:99"), RelayAddress::new("::1", 99, true).unwrap());
        assert_eq!(read("::1"), RelayAddress::new("::1", 443, true).unwrap());
    }

    #[test]
    fn what_cannot_be_a_relay_is_refused_with_its_reason() {
        use RelayAddressError::*;
        for (text, reason) in [
            ("", BadHost),
            ("ftp://relay.example", BadForm),
            ("wss://user@relay.example", BadForm),
            ("wss://relay.example/path", BadForm),
            ("relay.example:0", BadPort),
            ("relay.example:65536", BadPort),
            ("relay.example:+80", BadPort),
            ("relay..example", BadHost),
            ("-relay.example", BadHost),
            ("rélay.example", BadHost),
            ("1.2.3", BadHost),
            ("0x7f.1", BadHost),
            ("a.0x10", BadHost),
            ("0.0.0.0", Unreachable),
            ("224.0.0.1", Unreachable),
            ("[::]", Unreachable),
            ("[ff02::1]:7", Unreachable),
            ("[::1", BadHost),
            ("[relay]", BadHost),
        ] {
            assert_eq!(RelayAddress::from_setting(text), Err(reason), "{text}");
        }
        assert_eq!(RelayAddress::new(&"a.".repeat(127), 1, true), Err(BadHost));
        assert_eq!(RelayAddress::new(&"a".repeat(64), 1, true), Err(BadHost));
        assert!(RelayAddress::new(&"a".repeat(63), 1, true).is_ok());
    }

    #[test]
    fn the_binary_form_is_canonical() {
        for (host, port, tls) in [("relay.example", 443, true), ("10.0.0.1", 1, false), ("fd00::1", 65535, true)] {
            let address = RelayAddress::new(host, port, tls).unwrap();
            let mut bytes = Vec::new();
            address.encode(&mut bytes);
            assert_eq!(RelayAddress::decode(&mut bytes.as_slice()), Some(address));
            for cut in 0..bytes.len() {
                assert_eq!(RelayAddress::decode(&mut &bytes[..cut]), None, "cut at {cut}");
            }
        }
        let name_of_an_ip = [&[KIND_NAME, 0, 1, 8][..], b"10.0.0.1"].concat();
        assert_eq!(RelayAddress::decode(&mut name_of_an_ip.as_slice()), None);
        let upper = [&[KIND_NAME, 0, 1, 3][..], b"ABC"].concat();
        assert_eq!(RelayAddress::decode(&mut upper.as_slice()), None);
        assert_eq!(RelayAddress::decode(&mut &[3u8, 0, 1, 1, 1, 1, 1][..]), None);
    }
}
