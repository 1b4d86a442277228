//! Which relays and ways a meeting may use, as the settings say: settled before anybody is contacted, and kept for the
//! whole of it.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::engine::pins::{self, PinError, Pins};
use crate::engine::view;
use crate::protocol::relay_address::RelayAddress;
use crate::rendezvous::client::AddressGuard;
use crate::settings::Settings;
use crate::transport::sdp::CandidateKind;
use crate::transport::{self, RouteGuard, RoutePolicy, TurnServer, TurnTransport, TurnTrust};

/// Ports of a TURN server when the settings name none (RFC 8656 section 18): over UDP and TCP, and over TLS.
const TURN_PORT: u16 = 3478;
const TURNS_PORT: u16 = 5349;
/// Longest file with a certificate authority, in bytes, and most certificates in it.
const LONGEST_AUTHORITY: u64 = 256 * 1024;
const MAX_AUTHORITIES: usize = 32;

/// Why a meeting is not entered, with nobody contacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteDenied {
    /// A pin is not understood or cannot be kept.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The setting names no TURN server.
    #[error("{0:?} names no TURN server")]
    Turn(String),
    /// The file with the TURN server's certificate authority cannot be used.
    #[error("no certificate authority can be read from {0:?}")]
    TurnAuthority(PathBuf),
    /// The TURN server is not among the pinned relays.
    #[error("the TURN server {0} is not among the relays that may be used")]
    TurnNotPinned(String),
    /// The own address is to be hidden, and no TURN server is named that could do it.
    #[error("the address is to be hidden without a TURN server")]
    NoTurn,
    /// The relay inside the app is not among the pinned relays.
    #[error("the relay inside the app is not among the relays that may be used")]
    OwnRelayNotPinned,
    /// None of this machine's addresses may be used, so nobody could reach the relay inside the app.
    #[error("none of this machine's addresses may be used")]
    NoOwnAddress,
    /// The link to the relay inside the app would carry this machine's addresses.
    #[error("the relay inside the app would show the address that is to be hidden")]
    OwnRelayShows,
    /// The relay is this machine, so that the link would carry its address.
    #[error("the relay {0} is this machine, whose address is to be hidden")]
    RelayIsHere(String),
    /// No relay of the link, or not the one of the settings, is among the pinned ones.
    #[error("the relay {0} is not among the relays that may be used")]
    RelayNotPinned(String),
    /// No relay of the link can be reached without showing the own address to what is likely the host's own computer.
    #[error("the relay {0} is likely the host's own computer, which would see the address that is to be hidden")]
    RelayIsLikelyTheHost(String),
}

/// What the settings allow, for one meeting.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    hide: bool,
    turn: Vec<TurnServer>,
    pins: Arc<Pins>,
}

impl Routes {
    /// Reads the settings, and the table of countries if they name one.
    ///
    /// # Errors
    /// A [`RouteDenied`]: nothing may be contacted.
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, RouteDenied> {
        let pins = Arc::new(Pins::from_settings(settings)?);
        let mut turn = Vec::new();
        if let Some(wanted) = &settings.turn {
            let (host, port, transport) =
                turn_address(&wanted.server).ok_or_else(|| RouteDenied::Turn(wanted.server.clone()))?;
            if !pins.allows_relay(&host) {
                return Err(RouteDenied::TurnNotPinned(host));
            }
            let transport = match (transport, &wanted.authority) {
                (TurnTransport::Tls(_), Some(file)) => TurnTransport::Tls(authorities(file)?),
                (transport, _) => transport,
            };
            let password = Zeroizing::new(wanted.password.clone());
            turn.push(TurnServer { host, port, transport, user: wanted.user.clone(), password });
        }
        if settings.hide_address && turn.is_empty() {
            return Err(RouteDenied::NoTurn);
        }
        Ok(Self { hide: settings.hide_address, turn, pins })
    }

    /// What paths are held to.
    pub(crate) fn policy(&self) -> RoutePolicy {
        RoutePolicy { relay_only: self.hide, turn: self.turn.clone(), guard: self.guard() }
    }

    fn guard(&self) -> RouteGuard {
        pins::guard(&self.pins)
    }

    /// What the relay's client is held to.
    pub(crate) fn address_guard(&self) -> AddressGuard {
        let guard = self.guard();
        Arc::new(move |ip| guard.allows(ip))
    }

    /// Why no country is shown, though a table was named.
    pub(crate) fn table_fault(&self) -> Option<&crate::engine::countries::TableError> {
        self.pins.table_fault.as_ref()
    }

    /// The relays that may be used, for a sentence; empty if all may.
    pub(crate) fn pinned_relays(&self) -> &[String] {
        self.pins.relays()
    }

    /// Whether the relay inside the app may be offered to others.
    ///
    /// # Errors
    /// [`RouteDenied::OwnRelayShows`] or [`RouteDenied::OwnRelayNotPinned`].
    pub(crate) fn check_own_relay(&self) -> Result<(), RouteDenied> {
        if self.hide {
            Err(RouteDenied::OwnRelayShows)
        } else if !self.pins.relays().is_empty() {
            Err(RouteDenied::OwnRelayNotPinned)
        } else {
            Ok(())
        }
    }

    /// Of the addresses of the relay inside the app, those that a link may offer.
    pub(crate) fn offered(&self, mut addresses: Vec<RelayAddress>) -> Vec<RelayAddress> {
        addresses.retain(|address| address.ip().is_none_or(|ip| self.pins.allows(ip)));
        addresses
    }

    /// Whether a meeting may be hosted through this relay. `own` are this machine's addresses.
    ///
    /// # Errors
    /// [`RouteDenied::RelayNotPinned`] or [`RouteDenied::RelayIsHere`].
    pub(crate) fn check_relay(&self, relay: &RelayAddress, own: &[IpAddr]) -> Result<(), RouteDenied> {
        if !self.pins.allows_relay(relay.host()) {
            return Err(RouteDenied::RelayNotPinned(relay.to_host_and_port()));
        }
        match relay.ip() {
            Some(ip) if self.hide && !ip.is_loopback() && own.contains(&ip) => {
                Err(RouteDenied::RelayIsHere(relay.to_host_and_port()))
            }
            _ => Ok(()),
        }
    }

    /// Of a link's relays, those that may be contacted: all, or the pinned ones.
    ///
    /// A relay sees the address of whoever connects to it, and a link's relay is the choice of whoever made the link: their own
    /// computer, perhaps. If the address is to be hidden, the relay must be one that the person named.
    ///
    /// # Errors
    /// [`RouteDenied::RelayNotPinned`] or [`RouteDenied::RelayIsLikelyTheHost`], if none is left.
    pub(crate) fn usable(&self, relays: &[RelayAddress]) -> Result<Vec<RelayAddress>, RouteDenied> {
        let pinned = |relay: &&RelayAddress| self.pins.allows_relay(relay.host());
        let hidden = |relay: &&RelayAddress| !self.hide || self.pins.names_relay(relay.host());
        let usable: Vec<RelayAddress> = relays.iter().filter(pinned).filter(hidden).cloned().collect();
        if !usable.is_empty() {
            return Ok(usable);
        }
        let shown = relays.first().map(RelayAddress::to_host_and_port).unwrap_or_default();
        match relays.iter().any(|relay| self.pins.allows_relay(relay.host())) {
            true => Err(RouteDenied::RelayIsLikelyTheHost(shown)),
            false => Err(RouteDenied::RelayNotPinned(shown)),
        }
    }

    /// Whether the local network may be asked where a meeting's relay is: the answer would be a relay that nobody pinned,
    /// and the question itself shows this machine.
    pub(crate) fn may_seek_on_lan(&self) -> bool {
        !self.hide && self.pins.relays().is_empty() && !self.pins.restricts_addresses()
    }

    /// How the TURN server of this side is reached.
    fn relay_transport(&self) -> Option<view::RelayTransport> {
        Some(match self.turn.first()?.transport {
            TurnTransport::Tcp => view::RelayTransport::Tcp,
            TurnTransport::Tls(_) => view::RelayTransport::Tls,
            _ => view::RelayTransport::Udp,
        })
    }

    /// A route as it is shown.
    pub(crate) fn shown(&self, route: &transport::Route) -> view::Route {
        view::Route {
            relayed: route.relayed,
            relay_transport: (route.local_kind == CandidateKind::Relay).then(|| self.relay_transport()).flatten(),
            local: route.local.to_string(),
            remote: route.remote.to_string(),
            local_kind: kind(route.local_kind),
            remote_kind: kind(route.remote_kind),
            country: self.pins.country(route.remote.ip()).map(|country| country.to_string()),
        }
    }
}

fn kind(kind: CandidateKind) -> view::RouteKind {
    match kind {
        CandidateKind::Host => view::RouteKind::Host,
        CandidateKind::Reflexive => view::RouteKind::Reflexive,
        CandidateKind::Relay => view::RouteKind::Relay,
    }
}

/// The certificates of a file: those to trust, in place of the public ones.
fn authorities(file: &Path) -> Result<TurnTrust, RouteDenied> {
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(file).ok()?.take(LONGEST_AUTHORITY).read_to_end(&mut bytes).ok()?;
        let found: Vec<_> =
            CertificateDer::pem_slice_iter(&bytes).take(MAX_AUTHORITIES).collect::<Result<_, _>>().ok()?;
        (!found.is_empty()).then(|| TurnTrust::Authorities(Arc::new(found)))
    };
    read().ok_or_else(|| RouteDenied::TurnAuthority(file.to_owned()))
}

/// Reads a URL of RFC 7065, `turn:HOST[:PORT][?transport=udp|tcp]` or `turns:HOST[:PORT][?transport=tcp]`, or the part after
/// the scheme alone: `turn.example`, `turn.example:3478`, `192.0.2.1:3478` or `[2001:db8::1]:3478`, over UDP.
fn turn_address(text: &str) -> Option<(String, u16, TurnTransport)> {
    let text = text.trim();
    let scheme = |name: &str| {
        let (head, rest) = text.split_at_checked(name.len())?;
        head.eq_ignore_ascii_case(name).then_some(rest)
    };
    let (tls, rest) = match (scheme("turns:"), scheme("turn:")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => (false, text),
    };
    let (place, transport) = match rest.split_once('?') {
        None => (rest, None),
        Some((place, query)) => (place, Some(query.strip_prefix("transport=")?)),
    };
    let (transport, default) = match (tls, transport) {
        (false, None | Some("udp")) => (TurnTransport::Udp, TURN_PORT),
        (false, Some("tcp")) => (TurnTransport::Tcp, TURN_PORT),
        (true, None | Some("tcp")) => (TurnTransport::Tls(TurnTrust::Public), TURNS_PORT),
        _ => return None,
    };
    let (host, port) = if let Ok(address) = place.parse::<SocketAddr>() {
        (address.ip().to_string(), address.port())
    } else if place.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        (place.to_owned(), default)
    } else {
        match place.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host.to_owned(), port.parse().ok()?)
            }
            Some(_) => return None,
            None => (place.to_owned(), default),
        }
    };
    let address = RelayAddress::new(&host, port, false).ok()?;
    Some((address.host().to_owned(), address.port(), transport))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Turn;

    fn turn(server: &str) -> Option<Turn> {
        Some(Turn { server: server.into(), user: "u".into(), password: "p".into(), authority: None })
    }

    fn hiding(only_relays: &[&str]) -> Settings {
        let only_relays = only_relays.iter().map(|relay| (*relay).to_owned()).collect();
        Settings { hide_address: true, turn: turn("turn.example"), only_relays, ..Settings::default() }
    }

    fn relays(texts: &[&str]) -> Vec<RelayAddress> {
        texts.iter().map(|text| RelayAddress::from_setting(text).unwrap()).collect()
    }

    #[test]
    fn a_turn_server_is_a_host_and_a_port() {
        let of = |text: &str| turn_address(text);
        let udp = |host: &str, port: u16| Some((host.to_owned(), port, TurnTransport::Udp));
        assert_eq!(of("Turn.Example"), udp("turn.example", 3478));
        assert_eq!(of(" turn.example:5000 "), udp("turn.example", 5000));
        assert_eq!(of("192.0.2.1"), udp("192.0.2.1", 3478));
        assert_eq!(of("[2001:db8::1]:99"), udp("2001:db8::1", 99));
        assert_eq!(of("2001:db8::1"), udp("2001:db8::1", 3478));
        assert_eq!(of("turn:turn.example?transport=udp"), udp("turn.example", 3478));
        assert_eq!(of("turn:turn.example?transport=tcp"), Some(("turn.example".into(), 3478, TurnTransport::Tcp)));
        let tls = TurnTransport::Tls(TurnTrust::Public);
        assert_eq!(of("turns:turn.example"), Some(("turn.example".into(), 5349, tls.clone())));
        assert_eq!(of("TURNS:[2001:db8::1]:443?transport=tcp"), Some(("2001:db8::1".into(), 443, tls)));
        for bad in [
            "",
            "turns:",
            "turns:turn.example?transport=udp",
            "turn:turn.example?transport=sctp",
            "turn:turn.example?password=x",
            "turns://turn.example",
            "turn.example:0",
            "turn.example:x",
            "a b",
            "turn.example:99999",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn hiding_without_a_turn_server_is_refused_before_anything_begins() {
        let settings = Settings { turn: None, ..hiding(&[]) };
        assert!(matches!(Routes::from_settings(&settings), Err(RouteDenied::NoTurn)));
        let settings = Settings { turn: turn("turn:x:y"), ..hiding(&[]) };
        assert!(matches!(Routes::from_settings(&settings), Err(RouteDenied::Turn(_))));
        let policy = Routes::from_settings(&hiding(&[])).unwrap().policy();
        assert!(policy.relay_only && policy.turn.len() == 1);
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_no_reason_to_trust_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        let with = |server: &str| {
            let turn = turn(server).map(|turn| Turn { authority: Some(file.clone()), ..turn });
            Routes::from_settings(&Settings { turn, ..Settings::default() })
        };
        assert!(matches!(with("turns:turn.example"), Err(RouteDenied::TurnAuthority(_))), "no file");
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(with("turns:turn.example"), Err(RouteDenied::TurnAuthority(_))), "no certificate");
        assert!(with("turn.example").is_ok(), "without TLS there is nothing to trust");
        let certificate = rcgen::generate_simple_self_signed(vec!["turn.example".into()]).unwrap().cert;
        std::fs::write(&file, certificate.pem()).unwrap();
        let trust = TurnTrust::Authorities(Arc::new(vec![certificate.der().clone()]));
        assert_eq!(with("turns:turn.example").unwrap().policy().turn[0].transport, TurnTransport::Tls(trust));
    }

    #[test]
    fn a_pin_on_relays_holds_for_turn_servers_too() {
        let settings = hiding(&["relay.example"]);
        assert!(
            matches!(Routes::from_settings(&settings), Err(RouteDenied::TurnNotPinned(host)) if host == "turn.example")
        );
        assert!(Routes::from_settings(&hiding(&["relay.example", "turn.example"])).is_ok());
    }

    #[test]
    fn whoever_hides_offers_no_address_of_this_machine() {
        let routes = Routes::from_settings(&hiding(&[])).unwrap();
        let own = ["192.0.2.5".parse().unwrap()];
        assert!(matches!(routes.check_own_relay(), Err(RouteDenied::OwnRelayShows)));
        let here = &relays(&["ws://192.0.2.5:7770"])[0];
        assert!(matches!(routes.check_relay(here, &own), Err(RouteDenied::RelayIsHere(_))));
        assert!(routes.check_relay(&relays(&["relay.example"])[0], &own).is_ok());
        assert!(!routes.may_seek_on_lan());
        let open = Routes::default();
        assert!(open.check_own_relay().is_ok() && open.check_relay(here, &own).is_ok() && open.may_seek_on_lan());
    }

    #[test]
    fn whoever_hides_does_not_show_up_at_a_hosts_own_relay() {
        let routes = Routes::from_settings(&hiding(&[])).unwrap();
        let own = relays(&["ws://192.0.2.7:7770", "ws://[2001:db8::7]:7770"]);
        assert!(
            matches!(routes.usable(&own), Err(RouteDenied::RelayIsLikelyTheHost(shown)) if shown == "192.0.2.7:7770")
        );
        let mixed = relays(&["ws://192.0.2.7:7770", "wss://relay.example", "ws://relay.example"]);
        assert!(routes.usable(&mixed).is_err(), "a name and a certificate say who a relay is, not whose");
        let named = Routes::from_settings(&hiding(&["relay.example", "turn.example"])).unwrap();
        assert_eq!(named.usable(&mixed).unwrap(), mixed[1..]);
        let vouched = Routes::from_settings(&hiding(&["192.0.2.7", "turn.example"])).unwrap();
        assert_eq!(vouched.usable(&own).unwrap(), own[..1]);
    }

    #[test]
    fn a_link_offers_own_addresses_in_pinned_networks_alone() {
        let settings = Settings { only_networks: vec!["10.8.0.0/16".into()], ..Settings::default() };
        let routes = Routes::from_settings(&settings).unwrap();
        let own = relays(&["ws://192.168.1.5:7770", "ws://10.8.0.2:7770"]);
        assert_eq!(routes.offered(own.clone()), own[1..]);
        assert_eq!(Routes::default().offered(own.clone()), own);
    }

    #[test]
    fn a_link_is_followed_to_pinned_relays_alone() {
        let settings = Settings { only_relays: vec!["relay.example".into()], ..Settings::default() };
        let routes = Routes::from_settings(&settings).unwrap();
        let link = relays(&["wss://other.example", "wss://relay.example"]);
        assert_eq!(routes.usable(&link).unwrap(), link[1..]);
        assert!(
            matches!(routes.usable(&link[..1]), Err(RouteDenied::RelayNotPinned(shown)) if shown == "other.example:443")
        );
        assert!(matches!(routes.check_relay(&link[0], &[]), Err(RouteDenied::RelayNotPinned(_))));
        assert!(matches!(routes.check_own_relay(), Err(RouteDenied::OwnRelayNotPinned)));
        assert!(!routes.may_seek_on_lan());
        assert_eq!(Routes::default().usable(&link).unwrap(), link);
    }
}
