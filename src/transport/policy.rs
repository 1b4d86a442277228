//! Which ways media may take: through a TURN server only, or only over addresses that a guard lets pass.
//!
//! A policy is kept in three places, so that none of them has to be trusted alone: what leaves for the peer names no
//! other address ([`RoutePolicy::leaving`]), what the peer names is not even tried ([`RoutePolicy::admits`]), and the
//! sockets carry nothing to or from any other address (`guarded`). The pair in use is looked at besides, because a TURN
//! server passes on what the sockets cannot see. Whatever is in doubt is refused.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::sdp::{CandidateKind, check_candidate};
use super::stats::Route;
use super::turn_stream::TurnTransport;

/// A TURN server (RFC 8656).
#[derive(Clone, PartialEq, Eq)]
pub struct TurnServer {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How it is reached.
    pub transport: TurnTransport,
    /// Long-term user name (RFC 8489 section 9.2).
    pub user: String,
    /// Its password.
    pub password: Zeroizing<String>,
}

impl TurnServer {
    /// `host:port` as the crate `webrtc` asks for it to be looked up: without brackets, IPv6 or not.
    pub(super) fn lookup_name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The URL of RFC 7065. The crate `webrtc` speaks TURN over UDP alone: for it every server is one, and its datagrams to a
    /// server that is reached otherwise go into a stream (`turn_stream`).
    pub(super) fn url(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("turn:{host}:{}?transport=udp", self.port)
    }
}

/// Addresses and passwords belong in no log.
impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnServer(..)")
    }
}

/// Says whether an address may be part of a route. Without a rule, every address may.
#[derive(Clone, Default)]
pub struct RouteGuard(Option<Arc<dyn Fn(IpAddr) -> bool + Send + Sync>>);

impl RouteGuard {
    /// A guard that asks `rule`. It is asked for every datagram, so it should answer fast.
    pub fn new(rule: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    /// Whether `ip` may be part of a route.
    pub fn allows(&self, ip: IpAddr) -> bool {
        // ::ffff:192.0.2.1 is 192.0.2.1 in another dress.
        self.0.as_ref().is_none_or(|rule| rule(ip.to_canonical()))
    }

    /// Whether there is a rule at all.
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for RouteGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "RouteGuard(set)" } else { "RouteGuard(open)" })
    }
}

/// Which ways a path may take. The default forbids nothing and knows no TURN server.
#[derive(Debug, Clone, Default)]
pub struct RoutePolicy {
    /// Media leave this machine to a TURN server only, and nothing handed to the peer names an address of this machine.
    /// STUN servers are not asked.
    pub relay_only: bool,
    /// TURN servers to ask for a relayed address.
    pub turn: Vec<TurnServer>,
    /// Addresses outside it are neither offered, nor tried, nor listened to: this machine's own, the peer's, and those of
    /// STUN and TURN servers.
    pub guard: RouteGuard,
}

/// Why a path is not even begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Everything is to be relayed, and there is nothing to relay it.
    #[error("the path must be relayed, and no TURN server is named")]
    NoTurn,
    /// The guard refuses all of this machine's addresses, and there is no TURN server either.
    #[error("none of this machine's addresses may be used")]
    NoOwnAddress,
}

/// Why a route is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RouteRefusal {
    /// The pair in use does not begin at a TURN server, and it must. The path is closed.
    #[error("the route is not relayed on this side")]
    NotRelayed,
    /// The guard refuses our address of the pair in use. The path is closed.
    #[error("the route uses an own address that may not be used")]
    OwnAddress,
    /// The guard refuses the peer's address of the pair in use. The path is closed.
    #[error("the route leads to an address that may not be used")]
    PeerAddress,
    /// The guard refuses every address that the peer has named so far. The path stays: the peer may name others.
    #[error("none of the peer's addresses may be used")]
    NoPeerAddress,
    /// No TURN server gave a relayed address, and the path must be relayed. The path stays: it can be tried again.
    #[error("no TURN server gave an address")]
    NoRelay,
    /// The TURN server's certificate is not trusted, so nothing was sent to it. The path stays.
    #[error("the TURN server's certificate is not trusted")]
    TurnCertificate,
}

impl RouteRefusal {
    /// Whether the path was closed for it.
    pub fn closes(self) -> bool {
        matches!(self, Self::NotRelayed | Self::OwnAddress | Self::PeerAddress)
    }
}

impl RoutePolicy {
    /// Whether anything is forbidden.
    pub fn restricts(&self) -> bool {
        self.relay_only || self.guard.is_set()
    }

    /// Whether datagrams may go straight between the peer and this machine's address `own`.
    pub fn direct_from(&self, own: IpAddr) -> bool {
        !self.relay_only && self.guard.allows(own)
    }

    /// Whether a path that would gather on `bind` can exist at all.
    ///
    /// # Errors
    /// A [`PolicyError`].
    pub fn check_start(&self, bind: &[IpAddr]) -> Result<(), PolicyError> {
        match (self.turn.is_empty(), self.relay_only) {
            (false, _) => Ok(()),
            (true, true) => Err(PolicyError::NoTurn),
            (true, false) if bind.iter().any(|ip| self.direct_from(*ip)) => Ok(()),
            (true, false) => Err(PolicyError::NoOwnAddress),
        }
    }

    /// Whether a candidate of the peer's may be tried.
    pub fn admits(&self, peer: IpAddr) -> bool {
        self.guard.allows(peer)
    }

    /// Whether media may take this pair.
    ///
    /// # Errors
    /// The first of [`RouteRefusal::NotRelayed`], [`RouteRefusal::OwnAddress`] and [`RouteRefusal::PeerAddress`] that is
    /// the case.
    pub fn check_route(&self, route: &Route) -> Result<(), RouteRefusal> {
        if self.relay_only && route.local_kind != CandidateKind::Relay {
            Err(RouteRefusal::NotRelayed)
        } else if !self.guard.allows(route.local.ip()) {
            Err(RouteRefusal::OwnAddress)
        } else if !self.guard.allows(route.remote.ip()) {
            Err(RouteRefusal::PeerAddress)
        } else {
            Ok(())
        }
    }

    /// An own candidate as it may be told to the peer; `None` if it may not.
    ///
    /// The address that it was derived from (`raddr`, RFC 8839 section 5.1) is for diagnosis alone, and would name this
    /// machine's address behind a relay or a router: it is always blanked. Extensions are left out.
    pub fn leaving(&self, line: &str) -> Option<String> {
        let candidate = check_candidate(line, true).ok()?;
        let allowed = match candidate.kind {
            CandidateKind::Relay => true,
            CandidateKind::Host => self.direct_from(candidate.address.ip()),
            // Useful only with the socket behind it, which then must be allowed to send straight to the peer.
            CandidateKind::Reflexive => {
                !self.relay_only && related(&candidate.line).is_none_or(|base| self.direct_from(base))
            }
        };
        if !allowed || !self.guard.allows(candidate.address.ip()) {
            return None;
        }
        let mut text = candidate.line.split(' ').take(8).collect::<Vec<_>>().join(" ");
        if candidate.kind != CandidateKind::Host {
            let blank = if candidate.address.is_ipv4() { "0.0.0.0" } else { "::" };
            text += &format!(" raddr {blank} rport 0");
        }
        Some(text)
    }

    /// An own session description as it may be told to the peer: candidates as [`RoutePolicy::leaving`] has them, and no
    /// address in the origin and connection lines (RFC 8866 sections 5.2 and 5.7).
    pub fn leaving_description(&self, sdp: &str) -> String {
        let mut out = String::with_capacity(sdp.len());
        for line in sdp.lines() {
            let line = if let Some(candidate) = line.strip_prefix("a=").filter(|text| text.starts_with("candidate:")) {
                let Some(candidate) = self.leaving(candidate) else { continue };
                format!("a={candidate}")
            } else if let Some(origin) = line.strip_prefix("o=") {
                let [user, id, version] = [0, 1, 2].map(|at| origin.split(' ').nth(at).unwrap_or("-"));
                format!("o={user} {id} {version} IN IP4 0.0.0.0")
            } else if line.starts_with("c=") {
                "c=IN IP4 0.0.0.0".to_owned()
            } else {
                line.to_owned()
            };
            out.push_str(&line);
            out.push_str("\r\n");
        }
        out
    }
}

/// The address after `raddr`.
fn related(line: &str) -> Option<IpAddr> {
    let mut words = line.split(' ').skip_while(|word| *word != "raddr");
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    const LAN: &str = "192.168.7.2";
    const HOST: &str = "candidate:1 1 udp 2130706431 192.168.7.2 5000 typ host";
    const REFLEXIVE: &str = "candidate:2 1 udp 1694498815 203.0.113.5 6000 typ srflx raddr 192.168.7.2 rport 5000";
    const RELAY: &str =
        "candidate:3 1 udp 16777215 198.51.100.9 7000 typ relay raddr 192.168.7.2 rport 5000 ufrag abcd";

    fn turn() -> TurnServer {
        TurnServer {
            host: "turn.example".into(),
            port: 3478,
            transport: TurnTransport::Udp,
            user: "u".into(),
            password: Zeroizing::new("hush".into()),
        }
    }

    fn relayed() -> RoutePolicy {
        RoutePolicy { relay_only: true, turn: vec![turn()], guard: RouteGuard::default() }
    }

    fn guarded(allowed: &'static [&'static str]) -> RoutePolicy {
        let guard = RouteGuard::new(move |ip| allowed.iter().any(|text| text.parse() == Ok(ip)));
        RoutePolicy { guard, ..RoutePolicy::default() }
    }

    fn route(local: &str, local_kind: CandidateKind, remote: &str) -> Route {
        let address = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 9);
        Route::new((address(local), local_kind), (address(remote), CandidateKind::Host))
    }

    #[test]
    fn a_relayed_path_names_the_relay_and_nothing_else() {
        let policy = relayed();
        assert_eq!(policy.leaving(HOST), None);
        assert_eq!(policy.leaving(REFLEXIVE), None);
        let relay = policy.leaving(RELAY).unwrap();
        assert_eq!(relay, "candidate:3 1 udp 16777215 198.51.100.9 7000 typ relay raddr 0.0.0.0 rport 0");
        assert!(check_candidate(&relay, false).is_ok());
    }

    #[test]
    fn the_address_behind_a_candidate_is_told_under_no_policy() {
        let open = RoutePolicy::default();
        assert_eq!(open.leaving(HOST).as_deref(), Some(HOST));
        assert!(!open.leaving(REFLEXIVE).unwrap().contains(LAN));
        let v6 = "candidate:3 1 udp 1 2001:db8::9 7000 typ relay raddr fd00::2 rport 5000";
        assert_eq!(open.leaving(v6).unwrap(), "candidate:3 1 udp 1 2001:db8::9 7000 typ relay raddr :: rport 0");
    }

    #[test]
    fn a_guard_keeps_own_addresses_and_what_hangs_on_them_back() {
        let policy = guarded(&["203.0.113.5", "198.51.100.9"]);
        assert_eq!(policy.leaving(HOST), None);
        assert_eq!(policy.leaving(REFLEXIVE), None, "the socket behind it may not send to the peer");
        assert!(policy.leaving(RELAY).is_some());
        let policy = guarded(&["203.0.113.5", LAN]);
        assert!(policy.leaving(HOST).is_some() && policy.leaving(REFLEXIVE).is_some());
        assert_eq!(policy.leaving(RELAY), None);
    }

    #[test]
    fn a_path_that_could_only_break_its_policy_is_not_begun() {
        let own = [LAN.parse().unwrap()];
        assert_eq!(RoutePolicy::default().check_start(&own), Ok(()));
        assert_eq!(RoutePolicy { turn: vec![], ..relayed() }.check_start(&own), Err(PolicyError::NoTurn));
        assert_eq!(relayed().check_start(&own), Ok(()));
        assert_eq!(guarded(&["203.0.113.5"]).check_start(&own), Err(PolicyError::NoOwnAddress));
        assert_eq!(guarded(&[LAN]).check_start(&own), Ok(()));
        assert_eq!(RoutePolicy { turn: vec![turn()], ..guarded(&[]) }.check_start(&own), Ok(()));
    }

    #[test]
    fn the_pair_in_use_is_held_to_the_policy_at_both_ends() {
        use CandidateKind::{Host, Reflexive, Relay};
        assert_eq!(relayed().check_route(&route(LAN, Host, LAN)), Err(RouteRefusal::NotRelayed));
        assert_eq!(relayed().check_route(&route(LAN, Reflexive, LAN)), Err(RouteRefusal::NotRelayed));
        assert_eq!(relayed().check_route(&route("198.51.100.9", Relay, LAN)), Ok(()));
        let policy = guarded(&[LAN, "192.0.2.1"]);
        assert_eq!(policy.check_route(&route(LAN, Host, "192.0.2.1")), Ok(()));
        assert_eq!(policy.check_route(&route("10.0.0.1", Host, "192.0.2.1")), Err(RouteRefusal::OwnAddress));
        assert_eq!(policy.check_route(&route(LAN, Host, "192.0.2.2")), Err(RouteRefusal::PeerAddress));
    }

    #[test]
    fn an_address_in_another_dress_is_the_same_address() {
        let policy = guarded(&["192.0.2.1"]);
        assert!(policy.admits("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!policy.admits("::ffff:192.0.2.2".parse().unwrap()));
    }

    #[test]
    fn nothing_that_is_printed_holds_a_password_or_an_address() {
        let shown = format!("{:?}", relayed());
        assert!(!shown.contains("hush") && !shown.contains("turn.example"), "{shown}");
    }

    #[test]
    fn origin_and_connection_lines_are_blank() {
        let sdp =
            format!("v=0\r\no=- 7 2 IN IP4 {LAN}\r\ns=-\r\nc=IN IP4 {LAN}\r\na={HOST}\r\na={RELAY}\r\na=mid:0\r\n");
        let left = relayed().leaving_description(&sdp);
        assert!(!left.contains(LAN), "{left}");
        assert!(left.starts_with("v=0\r\no=- 7 2 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\na=candidate:3 "));
        assert!(left.ends_with("a=mid:0\r\n"));
    }

    proptest! {
        #[test]
        fn no_candidate_of_a_relayed_path_carries_more_than_its_relay(
            ip in any::<[u8; 4]>(), base in any::<[u8; 4]>(), kind in 0usize..4, port in 1u16.., tail in "( [a-z]{1,9} [a-z0-9.:]{1,20}){0,3}",
        ) {
            let kind = ["host", "srflx", "prflx", "relay"][kind];
            let (ip, base) = (IpAddr::from(ip), IpAddr::from(base));
            let line = format!("candidate:1 1 udp 7 {ip} {port} typ {kind} raddr {base} rport {port}{tail}");
            match relayed().leaving(&line) {
                Some(left) => prop_assert_eq!(left, format!("candidate:1 1 udp 7 {ip} {port} typ relay raddr 0.0.0.0 rport 0")),
                None => prop_assert!(kind != "relay" || check_candidate(&line, true).is_err()),
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,300}") {
            let _ = relayed().leaving(&text);
            let _ = relayed().leaving_description(&text);
        }
    }
}
