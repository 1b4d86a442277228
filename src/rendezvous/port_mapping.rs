//! Asking the router to let others in: PCP (RFC 6887), NAT-PMP (RFC 6886), then UPnP IGD.
//!
//! Only when the person has chosen so. One port number, TCP for members and, if the router gives the same number, UDP
//! for STUN. A mapping is renewed at half its lease and removed by [`PortMapping::close`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use crab_nat::{
    InternetProtocol, MappingFailure, PortMapping as NatMapping, PortMappingOptions, PortMappingType, TimeoutConfig,
    natpmp, pcp,
};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, GatewayIpVersion, PortMappingProtocol, RequestError, SearchError, SearchOptions};
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What is asked for; a router may give less.
const LEASE: Duration = Duration::from_secs(3600);
/// What the router's own list shows.
const DESCRIPTION: &str = "Conclave";
/// PCP and NAT-PMP: 250 ms, 500 ms, 1 s.
const NAT_TIMEOUT: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 2, max_retry_timeout: None };
/// UPnP: routers answer a search within the 2 s that it asks for (UDA 1.1 §1.3.2), then two or three HTTP requests.
const UPNP_SEARCH: Duration = Duration::from_secs(4);
/// Everything together.
const OVERALL: Duration = Duration::from_secs(20);
/// Removing a mapping may take this long.
const CLOSE: Duration = Duration::from_secs(4);
/// A renewal that failed is tried again after this long.
const RETRY: Duration = Duration::from_secs(30);

/// How the router was spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingMethod {
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
    /// UPnP Internet Gateway Device.
    Upnp,
}

impl std::fmt::Display for MappingMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// Why one method gave no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The router doesn't speak it.
    #[error("the router does not answer")]
    NoAnswer,
    /// The router is set not to allow it.
    #[error("the router does not allow it")]
    NotAuthorized,
    /// The router speaks the protocol but can't do this.
    #[error("the router cannot do it")]
    Unsupported,
    /// No mapping left, or a quota reached.
    #[error("the router has no mapping left")]
    OutOfResources,
    /// Someone else has the port.
    #[error("the port is taken")]
    PortTaken,
    /// The router itself has no connection, or no address of its own.
    #[error("the router has no connection")]
    RouterOffline,
    /// Another NAT stands between the router and the Internet.
    #[error("another router stands in between")]
    BehindAnotherNat,
    /// An answer that is not in the protocol.
    #[error("the router's answer makes no sense")]
    BadAnswer,
    /// Our own sockets.
    #[error("the network is not usable")]
    Network,
}

/// Why there is no mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortMappingError {
    /// Port 0 can't be mapped.
    #[error("port 0 cannot be mapped")]
    PortZero,
    /// This machine has no router: no default route.
    #[error("no router is known")]
    NoRouter,
    /// No method worked.
    #[error("no mapping: PCP/NAT-PMP: {nat_pmp}; UPnP: {upnp}")]
    Refused {
        /// What became of PCP and NAT-PMP.
        nat_pmp: Refusal,
        /// What became of UPnP.
        upnp: Refusal,
    },
    /// Removing the mapping failed; it ends with its lease.
    #[error("the mapping could not be removed: {0}")]
    NotRemoved(Refusal),
}

impl PortMappingError {
    /// The one reason that a person can do most about.
    pub fn reason(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { nat_pmp, upnp } => {
                let weight = |refusal: &Refusal| match refusal {
                    Refusal::BehindAnotherNat | Refusal::RouterOffline => 3,
                    Refusal::NotAuthorized => 2,
                    Refusal::NoAnswer | Refusal::Unsupported | Refusal::BadAnswer => 0,
                    _ => 1,
                };
                Some(if weight(nat_pmp) > weight(upnp) { nat_pmp } else { upnp })
            }
            Self::NotRemoved(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// What the mapping is now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MappingState {
    /// The address and TCP port that others reach; changes if the router's address does.
    pub external: SocketAddr,
    /// Whether the same port is mapped for UDP too.
    pub udp: bool,
    /// How long the router promised; zero if without end.
    pub lease: Duration,
    /// False while a renewal fails.
    pub alive: bool,
}

// The address is the person's own: not for logs.
impl std::fmt::Debug for MappingState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MappingState(udp {}, lease {:?}, alive {})", self.udp, self.lease, self.alive)
    }
}

/// A mapping at the router, being renewed. Call [`close`](Self::close): a mapping that is only dropped stays until its
/// lease ends.
pub struct PortMapping {
    method: MappingMethod,
    state: watch::Receiver<MappingState>,
    held: Arc<Mutex<Held>>,
    renewal: JoinHandle<()>,
}

impl Drop for PortMapping {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl PortMapping {
    /// How the router was spoken to.
    pub fn method(&self) -> MappingMethod {
        self.method
    }

    /// What the mapping is now.
    pub fn state(&self) -> MappingState {
        *self.state.borrow()
    }

    /// Follows the mapping: a changed external address, a renewal that failed.
    pub fn watch(&self) -> watch::Receiver<MappingState> {
        self.state.clone()
    }

    /// Takes the mapping away from the router.
    ///
    /// # Errors
    /// [`PortMappingError::NotRemoved`]; the mapping then ends with its lease.
    pub async fn close(self) -> Result<(), PortMappingError> {
        self.renewal.abort();
        let removed = timeout(CLOSE, async { self.held.lock().await.remove().await }).await;
        removed.unwrap_or(Err(Refusal::NoAnswer)).map_err(PortMappingError::NotRemoved)
    }
}

/// Asks the router to map `port`, TCP and UDP, on this machine's IPv4 address. Takes at most 20 s.
///
/// # Errors
/// [`PortMappingError`] with what became of each method.
pub async fn open(port: u16) -> Result<PortMapping, PortMappingError> {
    let port = NonZeroU16::new(port).ok_or(PortMappingError::PortZero)?;
    let router = Router::find().await.ok_or(PortMappingError::NoRouter)?;
    let opened = timeout(OVERALL, async {
        let nat_pmp = match open_nat(&router, port).await {
            Ok(opened) => return Ok(opened),
            Err(refusal) => refusal,
        };
        tracing::debug!(reason = %nat_pmp, "no mapping by PCP or NAT-PMP");
        open_upnp(&router, port).await.map_err(|upnp| PortMappingError::Refused { nat_pmp, upnp })
    });
    let nothing = PortMappingError::Refused { nat_pmp: Refusal::NoAnswer, upnp: Refusal::NoAnswer };
    let (held, state) = opened.await.unwrap_or(Err(nothing))?;
    let method = held.method();
    tracing::info!(%method, udp = state.udp, lease = state.lease.as_secs(), "port mapped");
    let held = Arc::new(Mutex::new(held));
    let (changes, state) = watch::channel(state);
    let renewal = tokio::spawn(renew(held.clone(), changes));
    Ok(PortMapping { method, state, held, renewal })
}

/// As [`open`], with one family of methods only.
///
/// # Errors
/// [`PortMappingError`]; the other family counts as unsupported.
pub async fn open_with(method: MappingMethod, port: u16) -> Result<PortMapping, PortMappingError> {
    let port = NonZeroU16::new(port).ok_or(PortMappingError::PortZero)?;
    let router = Router::find().await.ok_or(PortMappingError::NoRouter)?;
    let opened = timeout(OVERALL, async {
        match method {
            MappingMethod::Pcp => open_nat(&router, port).await,
            MappingMethod::NatPmp => open_nat_pmp(&router, port).await,
            MappingMethod::Upnp => open_upnp(&router, port).await,
        }
    });
    let (held, state) = opened.await.unwrap_or(Err(Refusal::NoAnswer)).map_err(|refusal| match method {
        MappingMethod::Upnp => PortMappingError::Refused { nat_pmp: Refusal::Unsupported, upnp: refusal },
        _ => PortMappingError::Refused { nat_pmp: refusal, upnp: Refusal::Unsupported },
    })?;
    let method = held.method();
    let held = Arc::new(Mutex::new(held));
    let (changes, state) = watch::channel(state);
    let renewal = tokio::spawn(renew(held.clone(), changes));
    Ok(PortMapping { method, state, held, renewal })
}

/// The router and our own address towards it.
struct Router {
    gateway: Ipv4Addr,
    local: Ipv4Addr,
}

impl Router {
    async fn find() -> Option<Self> {
        let gateway = default_gateway().await?;
        // Connecting a UDP socket sends nothing; it asks the routing table.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
        socket.connect((gateway, crab_nat::GATEWAY_PORT)).await.ok()?;
        match socket.local_addr().ok()?.ip() {
            IpAddr::V4(local) => Some(Self { gateway, local }),
            IpAddr::V6(_) => None,
        }
    }
}

#[cfg(target_os = "linux")]
async fn default_gateway() -> Option<Ipv4Addr> {
    parse_routes(&tokio::fs::read_to_string("/proc/net/route").await.ok()?)
}

/// Where the system doesn't tell its routes in a file, the first address of the network that leads out is tried:
/// nearly every router at home has it, and UPnP finds the router by itself.
#[cfg(not(target_os = "linux"))]
async fn default_gateway() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    // A documentation address (RFC 5737): nothing is sent to it.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).await.ok()?;
    let IpAddr::V4(local) = socket.local_addr().ok()?.ip() else { return None };
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let netmask = interfaces.iter().find_map(|interface| match &interface.addr {
        if_addrs::IfAddr::V4(v4) if v4.ip == local => Some(v4.netmask),
        _ => None,
    })?;
    Some(Ipv4Addr::from_bits((local.to_bits() & netmask.to_bits()) + 1))
}

/// The gateway of the default route with the smallest metric, from the kernel's table: name, destination, gateway,
/// flags, reference count, use, metric, mask, …, addresses in hex as the processor stores them.
#[cfg(any(target_os = "linux", test))]
fn parse_routes(table: &str) -> Option<Ipv4Addr> {
    const UP_AND_GATEWAY: u16 = 3;
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, gateway, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let flags = u16::from_str_radix(flags, 16).ok()?;
        if destination != "00000000" || mask != "00000000" || flags & UP_AND_GATEWAY != UP_AND_GATEWAY {
            return None;
        }
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        Some((metric.parse::<u32>().ok()?, Ipv4Addr::from(gateway.to_ne_bytes())))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

/// What is held at the router.
enum Held {
    Nat { method: MappingMethod, tcp: Box<NatMapping>, udp: Option<Box<NatMapping>> },
    Upnp { gateway: Box<Gateway<Tokio>>, local: SocketAddr, port: u16, udp: bool, lease: u32 },
}

impl Held {
    fn method(&self) -> MappingMethod {
        match self {
            Self::Nat { method, .. } => *method,
            Self::Upnp { .. } => MappingMethod::Upnp,
        }
    }

    /// Renews and says what holds now.
    async fn renew(&mut self) -> Result<MappingState, Refusal> {
        match self {
            Self::Nat { method, tcp, udp } => {
                tcp.renew().await.map_err(nat_refusal)?;
                if let Some(mapping) = udp
                    && (mapping.renew().await.is_err() || mapping.external_port() != tcp.external_port())
                {
                    *udp = None;
                }
                nat_state(*method, tcp, udp.is_some()).await
            }
            Self::Upnp { gateway, local, port, udp, lease } => {
                let add = |protocol| gateway.add_port(protocol, *port, *local, *lease, DESCRIPTION);
                add(PortMappingProtocol::TCP).await.map_err(upnp_refusal)?;
                if *udp {
                    *udp = add(PortMappingProtocol::UDP).await.is_ok();
                }
                upnp_state(gateway, *port, *udp, *lease).await
            }
        }
    }

    async fn remove(&mut self) -> Result<(), Refusal> {
        match self {
            Self::Nat { tcp, udp, .. } => {
                if let Some(udp) = udp.take() {
                    let _ = udp.try_drop().await;
                }
                (**tcp).clone().try_drop().await.map_err(|(failure, _)| nat_refusal(failure))
            }
            Self::Upnp { gateway, port, udp, .. } => {
                if *udp {
                    let _ = gateway.remove_port(PortMappingProtocol::UDP, *port).await;
                }
                gateway.remove_port(PortMappingProtocol::TCP, *port).await.map_err(|error| match error {
                    igd_next::RemovePortError::ActionNotAuthorized => Refusal::NotAuthorized,
                    igd_next::RemovePortError::NoSuchPortMapping => Refusal::BadAnswer,
                    igd_next::RemovePortError::RequestError(error) => request_refusal(&error),
                })
            }
        }
    }
}

async fn renew(held: Arc<Mutex<Held>>, changes: watch::Sender<MappingState>) {
    loop {
        let state = *changes.borrow();
        let wait = match state {
            MappingState { alive: false, .. } => RETRY,
            // Without end: only a changed address has to be noticed.
            MappingState { lease: Duration::ZERO, .. } => LEASE / 2,
            MappingState { lease, .. } => lease / 2,
        };
        sleep(wait.max(Duration::from_secs(1))).await;
        let renewed = held.lock().await.renew().await;
        if let Err(reason) = &renewed {
            tracing::info!(%reason, "port mapping could not be renewed");
        }
        changes.send_replace(renewed.unwrap_or(MappingState { alive: false, ..state }));
    }
}

/// PCP, and NAT-PMP where the router says that it speaks only that or doesn't understand PCP.
async fn open_nat(router: &Router, port: NonZeroU16) -> Result<(Held, MappingState), Refusal> {
    let first =
        match NatMapping::new(router.gateway.into(), router.local.into(), InternetProtocol::Tcp, port, options(port))
            .await
        {
            Ok(tcp) => tcp,
            // Old routers say nothing to PCP, or something else than they should.
            Err(MappingFailure::Pcp(pcp::Failure::InvalidResponse(_) | pcp::Failure::UnsupportedVersion(_))) => {
                return open_nat_pmp(router, port).await;
            }
            Err(failure) => return Err(because_of_address_nat(router, nat_refusal(failure)).await),
        };
    let method = match first.mapping_type() {
        PortMappingType::NatPmp => MappingMethod::NatPmp,
        PortMappingType::Pcp { .. } => MappingMethod::Pcp,
    };
    finish_nat(router, method, first, port).await
}

async fn open_nat_pmp(router: &Router, port: NonZeroU16) -> Result<(Held, MappingState), Refusal> {
    let tcp = natpmp::port_mapping(router.gateway.into(), InternetProtocol::Tcp, port, options(port)).await;
    let tcp = match tcp {
        Ok(tcp) => tcp,
        Err(failure) => return Err(because_of_address_nat(router, nat_refusal(failure.into())).await),
    };
    finish_nat(router, MappingMethod::NatPmp, tcp, port).await
}

/// Routers that have no public address refuse with all kinds of codes; the address says what it is about.
async fn because_of_address_nat(router: &Router, refusal: Refusal) -> Refusal {
    if matches!(refusal, Refusal::NoAnswer | Refusal::Network) {
        return refusal;
    }
    match natpmp::external_address(router.gateway.into(), Some(NAT_TIMEOUT)).await {
        Ok(ip) => check_external(ip.into()).err().unwrap_or(refusal),
        Err(natpmp::Failure::NetworkFailure) => Refusal::RouterOffline,
        Err(_) => refusal,
    }
}

fn options(external: NonZeroU16) -> PortMappingOptions {
    PortMappingOptions {
        external_port: Some(external),
        lifetime_seconds: Some(LEASE.as_secs() as u32),
        timeout_config: Some(NAT_TIMEOUT),
    }
}

/// Adds UDP on the same external port, and asks for the external address.
async fn finish_nat(
    router: &Router,
    method: MappingMethod,
    tcp: NatMapping,
    port: NonZeroU16,
) -> Result<(Held, MappingState), Refusal> {
    let gateway = router.gateway.into();
    let udp = match method {
        MappingMethod::Pcp => {
            let request = pcp::BaseMapRequest::new(gateway, router.local.into(), InternetProtocol::Udp, port);
            pcp::port_mapping(request, None, None, options(tcp.external_port())).await.ok()
        }
        _ => natpmp::port_mapping(gateway, InternetProtocol::Udp, port, options(tcp.external_port())).await.ok(),
    };
    let udp = match udp {
        Some(udp) if udp.external_port() == tcp.external_port() => Some(Box::new(udp)),
        Some(other) => {
            // Another number is of no use: the link has one.
            let _ = other.try_drop().await;
            None
        }
        None => None,
    };
    let mut held = Held::Nat { method, tcp: Box::new(tcp), udp };
    let state = match &held {
        Held::Nat { tcp, udp, .. } => nat_state(method, tcp, udp.is_some()).await,
        Held::Upnp { .. } => Err(Refusal::BadAnswer),
    };
    match state {
        Ok(state) => Ok((held, state)),
        Err(refusal) => {
            let _ = held.remove().await;
            Err(refusal)
        }
    }
}

async fn nat_state(method: MappingMethod, tcp: &NatMapping, udp: bool) -> Result<MappingState, Refusal> {
    let ip = match tcp.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => external_ip.to_canonical(),
        PortMappingType::NatPmp => natpmp::external_address(tcp.gateway(), Some(NAT_TIMEOUT))
            .await
            .map_err(|failure| nat_refusal(failure.into()))?
            .into(),
    };
    check_external(ip)?;
    let external = SocketAddr::new(ip, tcp.external_port().get());
    tracing::debug!(%method, "external address known");
    Ok(MappingState { external, udp, lease: Duration::from_secs(tcp.lifetime().into()), alive: true })
}

async fn open_upnp(router: &Router, port: NonZeroU16) -> Result<(Held, MappingState), Refusal> {
    let mut options = SearchOptions::default();
    options.bind_addr = (router.local, 0).into();
    options.timeout = Some(UPNP_SEARCH);
    options.single_search_timeout = Some(UPNP_SEARCH);
    options.gateway_ip_version = GatewayIpVersion::V4;
    let gateway = search_gateway(options).await.map_err(|error| match error {
        SearchError::NoResponseWithinTimeout => Refusal::NoAnswer,
        SearchError::IoError(_) => Refusal::Network,
        _ => Refusal::BadAnswer,
    })?;
    let local = SocketAddr::from((router.local, port.get()));
    let port = port.get();
    let mut lease = LEASE.as_secs() as u32;
    let mut added = gateway.add_port(PortMappingProtocol::TCP, port, local, lease, DESCRIPTION).await;
    if matches!(added, Err(AddPortError::OnlyPermanentLeasesSupported)) {
        lease = 0;
        added = gateway.add_port(PortMappingProtocol::TCP, port, local, lease, DESCRIPTION).await;
    }
    if let Err(error) = added {
        let refusal = upnp_refusal(error);
        return Err(match gateway.get_external_ip().await {
            Ok(ip) => check_external(ip).err().unwrap_or(refusal),
            Err(_) => refusal,
        });
    }
    let udp = gateway.add_port(PortMappingProtocol::UDP, port, local, lease, DESCRIPTION).await.is_ok();
    let state = upnp_state(&gateway, port, udp, lease).await;
    let mut held = Held::Upnp { gateway: Box::new(gateway), local, port, udp, lease };
    match state {
        Ok(state) => Ok((held, state)),
        Err(refusal) => {
            let _ = held.remove().await;
            Err(refusal)
        }
    }
}

async fn upnp_state(gateway: &Gateway<Tokio>, port: u16, udp: bool, lease: u32) -> Result<MappingState, Refusal> {
    let ip = gateway.get_external_ip().await.map_err(|error| match error {
        igd_next::GetExternalIpError::ActionNotAuthorized => Refusal::NotAuthorized,
        igd_next::GetExternalIpError::RequestError(error) => request_refusal(&error),
    })?;
    check_external(ip)?;
    let lease = Duration::from_secs(lease.into());
    Ok(MappingState { external: SocketAddr::new(ip, port), udp, lease, alive: true })
}

/// A router whose outer address is private is no way in from the Internet.
fn check_external(ip: IpAddr) -> Result<(), Refusal> {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Err(Refusal::RouterOffline),
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64;
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared {
                return Err(Refusal::BehindAnotherNat);
            }
            Ok(())
        }
        IpAddr::V6(v6) if v6.is_unspecified() => Err(Refusal::RouterOffline),
        IpAddr::V6(_) => Ok(()),
    }
}

fn nat_refusal(failure: MappingFailure) -> Refusal {
    let socket = |error: io::Error| match error.kind() {
        // The router's "port unreachable".
        io::ErrorKind::ConnectionRefused => Refusal::NoAnswer,
        _ => Refusal::Network,
    };
    match failure {
        MappingFailure::NatPmp(failure) => match failure {
            natpmp::Failure::Socket(error) => socket(error),
            natpmp::Failure::Timeout => Refusal::NoAnswer,
            natpmp::Failure::NotAuthorized => Refusal::NotAuthorized,
            natpmp::Failure::NetworkFailure => Refusal::RouterOffline,
            natpmp::Failure::OutOfResources => Refusal::OutOfResources,
            natpmp::Failure::UnsupportedVersion(_) | natpmp::Failure::UnsupportedOpcode => Refusal::Unsupported,
            natpmp::Failure::InvalidResponse(_) => Refusal::BadAnswer,
        },
        MappingFailure::Pcp(failure) => match failure {
            pcp::Failure::Socket(error) => socket(error),
            pcp::Failure::Timeout => Refusal::NoAnswer,
            pcp::Failure::NotAuthorized(_) => Refusal::NotAuthorized,
            pcp::Failure::NetworkFailure(_) => Refusal::RouterOffline,
            pcp::Failure::NoResources(_) | pcp::Failure::UserExceededQuota(_) => Refusal::OutOfResources,
            pcp::Failure::CannotProvideExternal(_) => Refusal::PortTaken,
            pcp::Failure::AddressMismatch => Refusal::BehindAnotherNat,
            pcp::Failure::Nonce | pcp::Failure::InvalidResponse(_) => Refusal::BadAnswer,
            _ => Refusal::Unsupported,
        },
    }
}

fn upnp_refusal(error: AddPortError) -> Refusal {
    match error {
        AddPortError::ActionNotAuthorized => Refusal::NotAuthorized,
        AddPortError::PortInUse => Refusal::PortTaken,
        AddPortError::RequestError(error) => request_refusal(&error),
        _ => Refusal::Unsupported,
    }
}

fn request_refusal(error: &RequestError) -> Refusal {
    match error {
        // UPnP: not authorized; IGD 2: NoPortMapsAvailable; action failed.
        RequestError::ErrorCode(606, _) => Refusal::NotAuthorized,
        RequestError::ErrorCode(728, _) => Refusal::OutOfResources,
        RequestError::ErrorCode(718, _) => Refusal::PortTaken,
        RequestError::ErrorCode(_, _) | RequestError::UnsupportedAction(_) => Refusal::Unsupported,
        RequestError::IoError(_) => Refusal::Network,
        _ => Refusal::BadAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_smallest_metric_is_the_router() {
        let hex = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let table = format!(
            "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
             eth0 {net} 00000000 0001 0 0 0 {mask} 0 0 0\n\
             wlan0 00000000 {far} 0003 0 0 600 00000000 0 0 0\n\
             eth0 00000000 {near} 0003 0 0 100 00000000 0 0 0\n\
             down 00000000 {down} 0002 0 0 0 00000000 0 0 0\n",
            net = hex([192, 168, 1, 0]),
            mask = hex([255, 255, 255, 0]),
            far = hex([10, 0, 0, 1]),
            near = hex([192, 168, 1, 1]),
            down = hex([10, 9, 9, 9]),
        );
        assert_eq!(parse_routes(&table), Some(Ipv4Addr::new(192, 168, 1, 1)));
        for nothing in ["", "header\n", "header\ngarbage\n", "header\na b c d e f g h\n"] {
            assert_eq!(parse_routes(nothing), None);
        }
    }

    #[test]
    fn a_router_behind_another_is_recognised() {
        for ip in ["192.168.0.2", "10.1.1.1", "100.64.0.1", "172.16.0.1", "169.254.0.1"] {
            assert_eq!(check_external(ip.parse().unwrap()), Err(Refusal::BehindAnotherNat), "{ip}");
        }
        assert_eq!(check_external("0.0.0.0".parse().unwrap()), Err(Refusal::RouterOffline));
        assert_eq!(check_external("100.128.0.1".parse().unwrap()), Ok(()));
        assert_eq!(check_external("203.0.113.7".parse().unwrap()), Ok(()));
    }

    #[test]
    fn the_reason_shown_is_the_one_a_person_can_act_on() {
        let of = |nat_pmp, upnp| PortMappingError::Refused { nat_pmp, upnp }.reason().cloned();
        assert_eq!(of(Refusal::NotAuthorized, Refusal::NoAnswer), Some(Refusal::NotAuthorized));
        assert_eq!(of(Refusal::NoAnswer, Refusal::NotAuthorized), Some(Refusal::NotAuthorized));
        assert_eq!(of(Refusal::NoAnswer, Refusal::NoAnswer), Some(Refusal::NoAnswer));
    }
}
