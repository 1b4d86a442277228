//! Pins: only these relays, only these networks, only these countries. What is not certain to be allowed is refused.
//!
//! Relays are pinned by name, and a pin holds for rendezvous relays and TURN servers alike. Networks and countries are
//! pinned by address, and hold for every address that a route uses: the relay's, a TURN server's, the peer's and this
//! device's own. An address passes if a pinned network has it, or a pinned country.

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::countries::{Country, CountryTable, TableError};
use crate::protocol::relay_address::RelayAddress;
use crate::settings::Settings;
use crate::transport::RouteGuard;

/// Most entries of one list.
const MOST: usize = 256;

/// Why pins cannot be kept, and hence nothing may be contacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// This is neither the name nor the address of a relay.
    #[error("{0:?} names no relay")]
    Relay(String),
    /// This is no network: `192.0.2.0/24` and `2001:db8::/32` are.
    #[error("{0:?} is no network")]
    Network(String),
    /// This is no two-letter country code.
    #[error("{0:?} is no country code")]
    Country(String),
    /// No range of the table belongs to this country, so nothing could ever pass.
    #[error("the table of countries does not know {0}")]
    CountryNotInTable(Country),
    /// Countries are pinned, and no table says what lies in them.
    #[error("countries are pinned without a table of countries")]
    NoTable,
    /// Countries are pinned, and the table that says what lies in them cannot be used.
    #[error("the table of countries cannot be used: {0}")]
    Table(TableError),
    /// A list is far longer than a person would write.
    #[error("too many pins")]
    TooMany,
}

/// A network, in CIDR notation (RFC 4632 section 3.1, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    /// Leading bits that count: at most 32 or 128.
    prefix: u32,
}

impl Network {
    /// Reads `192.0.2.0/24` or `2001:db8::/32`; an address alone is a network of one.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            // `u32::from_str` would take a plus sign.
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= most)?
            }
            Some(_) => return None,
        };
        Some(Self { base, prefix })
    }

    /// Whether the address is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let differ = match (self.base, ip.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => u128::from(base.to_bits() ^ ip.to_bits()) << 96,
            (IpAddr::V6(base), IpAddr::V6(ip)) => base.to_bits() ^ ip.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= self.prefix
    }
}

/// The pins in force.
#[derive(Debug, Default)]
pub struct Pins {
    relays: Vec<String>,
    networks: Vec<Network>,
    countries: Vec<Country>,
    table: Option<CountryTable>,
    /// The table could not be used. Without pinned countries that only means that none is shown.
    pub(crate) table_fault: Option<TableError>,
}

impl Pins {
    /// Reads the pins, and the table of countries if one is named.
    ///
    /// # Errors
    /// A [`PinError`], with the word that is not understood. Nothing may be contacted then.
    pub fn from_settings(settings: &Settings) -> Result<Self, PinError> {
        let Settings { only_relays, only_networks, only_countries, country_table, .. } = settings;
        if [only_relays, only_networks, only_countries].iter().any(|list| list.len() > MOST) {
            return Err(PinError::TooMany);
        }
        let relay = |text: &String| match RelayAddress::from_setting(text) {
            Ok(address) => Ok(address.host().to_owned()),
            Err(_) => Err(PinError::Relay(text.clone())),
        };
        let network = |text: &String| Network::parse(text.trim()).ok_or_else(|| PinError::Network(text.clone()));
        let country = |text: &String| Country::parse(text.trim()).ok_or_else(|| PinError::Country(text.clone()));
        let mut pins = Self {
            relays: only_relays.iter().map(relay).collect::<Result<_, _>>()?,
            networks: only_networks.iter().map(network).collect::<Result<_, _>>()?,
            countries: only_countries.iter().map(country).collect::<Result<_, _>>()?,
            ..Self::default()
        };
        match country_table.as_deref().map(CountryTable::read) {
            None if pins.countries.is_empty() => {}
            None => return Err(PinError::NoTable),
            Some(Ok(table)) => match pins.countries.iter().find(|country| !table.has(**country)) {
                Some(country) => return Err(PinError::CountryNotInTable(*country)),
                None => pins.table = Some(table),
            },
            Some(Err(error)) if pins.countries.is_empty() => pins.table_fault = Some(error),
            Some(Err(error)) => return Err(PinError::Table(error)),
        }
        Ok(pins)
    }

    /// Whether a relay or TURN server of this name or address may be used. (Its address must pass besides.)
    pub fn allows_relay(&self, host: &str) -> bool {
        self.relays.is_empty() || self.names_relay(host)
    }

    /// Whether the person named this relay themselves.
    pub fn names_relay(&self, host: &str) -> bool {
        self.relays.iter().any(|relay| relay == host)
    }

    /// Whether only certain relays may be used, and which.
    pub(crate) fn relays(&self) -> &[String] {
        &self.relays
    }

    /// Whether an address may be part of a route.
    pub fn allows(&self, ip: IpAddr) -> bool {
        if !self.restricts_addresses() {
            return true;
        }
        self.networks.iter().any(|network| network.contains(ip))
            || !self.countries.is_empty() && self.country(ip).is_some_and(|country| self.countries.contains(&country))
    }

    /// The country of an address, if the table has it.
    pub fn country(&self, ip: IpAddr) -> Option<Country> {
        self.table.as_ref()?.country(ip)
    }

    /// Whether there is a pin on addresses at all.
    pub fn restricts_addresses(&self) -> bool {
        !self.networks.is_empty() || !self.countries.is_empty()
    }
}

/// The pins as the transport asks them.
pub fn guard(pins: &Arc<Pins>) -> RouteGuard {
    if !pins.restricts_addresses() {
        return RouteGuard::default();
    }
    let pins = Arc::clone(pins);
    RouteGuard::new(move |ip| pins.allows(ip))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn allows(pins: &Pins, ip: &str) -> bool {
        pins.allows(ip.parse().unwrap())
    }

    #[test]
    fn without_pins_everything_passes() {
        let pins = Pins::from_settings(&Settings::default()).unwrap();
        assert!(allows(&pins, "192.0.2.1") && allows(&pins, "::1") && pins.allows_relay("relay.example"));
        assert!(!guard(&Arc::new(pins)).is_set());
    }

    #[test]
    fn only_what_a_network_has_passes() {
        let settings = Settings {
            only_networks: words(&["192.0.2.0/24", "2001:db8::/33", "198.51.100.7"]),
            ..Settings::default()
        };
        let pins = Arc::new(Pins::from_settings(&settings).unwrap());
        let guard = guard(&pins);
        for ip in ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9", "2001:db8:7fff::1", "198.51.100.7"] {
            assert!(allows(&pins, ip) && guard.allows(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["192.0.3.0", "192.0.1.255", "2001:db8:8000::", "2001:db7::", "198.51.100.8", "127.0.0.1", "::1"] {
            assert!(!allows(&pins, ip) && !guard.allows(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_unknown_country_is_refused_and_a_local_address_needs_a_network() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, "192.0.2.0,192.0.2.255,DE\n198.51.100.0,198.51.100.255,FR\n10.0.0.0,10.255.255.255,DE\n")
            .unwrap();
        let mut settings =
            Settings { only_countries: words(&["de"]), country_table: Some(path), ..Settings::default() };
        let pins = Pins::from_settings(&settings).unwrap();
        assert!(allows(&pins, "192.0.2.1"));
        for ip in ["198.51.100.1", "203.0.113.1", "10.0.0.1", "127.0.0.1", "2001:db8::1"] {
            assert!(!allows(&pins, ip), "{ip}");
        }
        assert_eq!(pins.country("198.51.100.1".parse().unwrap()), Country::parse("FR"));
        settings.only_networks = words(&["10.0.0.0/24"]);
        let pins = Pins::from_settings(&settings).unwrap();
        assert!(allows(&pins, "10.0.0.1") && allows(&pins, "192.0.2.1") && !allows(&pins, "10.0.1.1"));
        settings.only_countries = words(&["DE", "XX"]);
        assert!(
            matches!(Pins::from_settings(&settings), Err(PinError::CountryNotInTable(country)) if country.to_string() == "XX")
        );
    }

    #[test]
    fn pinned_countries_without_a_table_are_no_pins_but_an_error() {
        let mut settings = Settings { only_countries: words(&["DE"]), ..Settings::default() };
        assert!(matches!(Pins::from_settings(&settings), Err(PinError::NoTable)));
        settings.country_table = Some("/nonexistent".into());
        assert!(matches!(Pins::from_settings(&settings), Err(PinError::Table(TableError::Io(_)))));
        settings.only_countries.clear();
        let pins = Pins::from_settings(&settings).unwrap();
        assert!(
            pins.table_fault.is_some() && allows(&pins, "192.0.2.1"),
            "a table that is only for show stops nothing"
        );
    }

    #[test]
    fn relays_are_pinned_by_name_and_nothing_else() {
        let settings = Settings {
            only_relays: words(&["Relay.Example", "wss://192.0.2.7:7770", "[2001:DB8::7]"]),
            ..Settings::default()
        };
        let pins = Pins::from_settings(&settings).unwrap();
        for host in ["relay.example", "192.0.2.7", "2001:db8::7"] {
            assert!(pins.allows_relay(host), "{host}");
        }
        for host in ["evil.relay.example", "relay.example.evil", "192.0.2.70", ""] {
            assert!(!pins.allows_relay(host), "{host}");
        }
    }

    #[test]
    fn the_word_that_is_not_understood_is_named() {
        let networks = |word: &str| Settings { only_networks: words(&["10.0.0.0/8", word]), ..Settings::default() };
        for word in ["10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "home", ""] {
            let error = Pins::from_settings(&networks(word)).unwrap_err();
            assert!(matches!(&error, PinError::Network(named) if named == word), "{error}");
        }
        let settings = Settings { only_relays: words(&["a b"]), ..Settings::default() };
        assert!(matches!(Pins::from_settings(&settings), Err(PinError::Relay(named)) if named == "a b"));
        let settings = Settings { only_countries: words(&["Germany"]), ..Settings::default() };
        assert!(matches!(Pins::from_settings(&settings), Err(PinError::Country(named)) if named == "Germany"));
        let settings = Settings { only_relays: words(&["a"; 300]), ..Settings::default() };
        assert!(matches!(Pins::from_settings(&settings), Err(PinError::TooMany)));
    }

    proptest! {
        #[test]
        fn a_network_has_the_addresses_that_share_its_leading_bits(base in any::<u32>(), ip in any::<u32>(), prefix in 0u32..=32, near in any::<bool>()) {
            let ip = if near && prefix < 32 { base ^ (ip >> prefix) } else { ip };
            let network = Network::parse(&format!("{}/{prefix}", Ipv4Addr::from(base))).unwrap();
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            prop_assert_eq!(network.contains(Ipv4Addr::from(ip).into()), base & mask == ip & mask);
        }

        #[test]
        fn so_it_is_with_ipv6(base in any::<u128>(), ip in any::<u128>(), prefix in 0u32..=128) {
            let ip = if prefix < 128 { base ^ (ip >> prefix) } else { base };
            let network = Network::parse(&format!("{}/{prefix}", Ipv6Addr::from(base))).unwrap();
            // What shares the leading bits is in it, unless it is an IPv4 address in another dress.
            let dressed = Ipv6Addr::from(ip).to_ipv4_mapped().is_some();
            prop_assert_eq!(network.contains(Ipv6Addr::from(ip).into()), !dressed);
        }

        #[test]
        fn arbitrary_words_never_panic(word in ".{0,60}") {
            let _ = Network::parse(&word);
            let _ = Country::parse(&word);
        }
    }
}
