//! How others get here: the relay inside the app, the addresses it can be reached at, and which way paths are looked for.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::engine::input::{Input, Inputs};
use crate::engine::room::Reach;
use crate::engine::routes::Routes;
use crate::engine::view::{self, PortMapping};
use crate::engine::words;
use crate::protocol::invite::MAX_RELAYS;
use crate::protocol::relay_address::RelayAddress;
use crate::rendezvous::client::{RelayClientError, RelayEvent};
use crate::rendezvous::lan::{self, Announcement};
use crate::rendezvous::local::{self, LocalRelay};
use crate::rendezvous::port_mapping;
use crate::settings::Settings;

/// The router may take this long to take a port back.
const CLOSING: std::time::Duration = std::time::Duration::from_secs(1);

/// The relay that runs inside this app while it hosts.
pub(crate) struct OwnRelay {
    server: LocalRelay,
    here: Vec<IpAddr>,
    mapping: Option<Mapping>,
    announcement: Option<Announcement>,
}

/// A port that the router was asked for. Dropping it gives the port back.
struct Mapping {
    held: oneshot::Sender<()>,
    task: JoinHandle<()>,
    state: PortMapping,
}

/// Neither the router nor the local network is told anything: the address is to be hidden, or only certain networks and
/// countries may be contacted, and who would hear it is not known.
fn stays_silent(settings: &Settings) -> bool {
    settings.hide_address || !settings.only_networks.is_empty() || !settings.only_countries.is_empty()
}

/// Starts the relay on a free port of every address of this machine; the outcome comes as [`Input::RelayStarted`].
pub(crate) fn start_own_relay(inputs: Inputs) {
    tokio::spawn(async move {
        let started = match LocalRelay::start().await {
            Ok(server) => Ok(OwnRelay { server, here: own_addresses(), mapping: None, announcement: None }),
            Err(error) => Err(words::relay_error(&error)),
        };
        let _ = inputs.send(Input::RelayStarted(started));
    });
}

impl OwnRelay {
    /// What the link offers, best first: the router's address if it opened a port, then this machine's own.
    pub(crate) fn addresses(&self) -> Vec<RelayAddress> {
        let mapped = match self.mapping.as_ref().map(|mapping| &mapping.state) {
            Some(PortMapping::Open(address)) => RelayAddress::from_setting(&format!("ws://{address}")).ok(),
            _ => None,
        };
        let own = self.here.iter().filter_map(|ip| RelayAddress::new(&ip.to_string(), self.server.port(), false).ok());
        mapped.into_iter().chain(own).take(MAX_RELAYS).collect()
    }

    /// How the app itself reaches it.
    pub(crate) fn own_url(&self) -> String {
        self.server.own_url()
    }

    pub(crate) fn view(&self, addresses: &[RelayAddress]) -> view::Relay {
        let reachable: Vec<String> = addresses.iter().map(RelayAddress::to_host_and_port).collect();
        view::Relay {
            address: reachable.first().cloned().unwrap_or_default(),
            embedded: true,
            connected: true,
            reachable,
            port_mapping: self.mapping.as_ref().map(|mapping| mapping.state.clone()),
            announced: self.announcement.is_some(),
            ..view::Relay::default()
        }
    }

    /// Paths from here: over this machine's own addresses. The own relay has nothing to say about how the world sees them.
    pub(crate) fn reach(&self, routes: Arc<Routes>) -> Reach {
        reach(Vec::new(), self.here.iter().all(IpAddr::is_loopback), routes)
    }

    /// Asks the router for a port, or gives it back, as the settings say.
    pub(crate) fn apply(&mut self, settings: &Settings, inputs: &Inputs) {
        if !settings.open_router_port || stays_silent(settings) {
            self.mapping = None;
            return;
        }
        if self.mapping.is_none() {
            let (port, inputs) = (self.server.port(), inputs.clone());
            let (given_back, mut back) = oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                let tell = |state| drop(inputs.send(Input::PortMapping(state)));
                // Not cut short when it is no longer wanted: a mapping made half way would stay. It is closed below.
                let mapped = match port_mapping::open(port).await {
                    Ok(mapped) => mapped,
                    Err(error) => return tell(PortMapping::Refused(words::port_mapping_error(&error))),
                };
                let mut states = mapped.watch();
                loop {
                    let state = *states.borrow_and_update();
                    tell(match state.alive {
                        true => PortMapping::Open(state.external.to_string()),
                        false => PortMapping::Refused(words::mapping_not_renewed()),
                    });
                    tokio::select! {
                        changed = states.changed() => if changed.is_err() { break },
                        _ = &mut back => break,
                    }
                }
                if let Err(error) = mapped.close().await {
                    tracing::info!(%error, "the router keeps the port open until its lease ends");
                }
            });
            self.mapping = Some(Mapping { held: given_back, task, state: PortMapping::Asking });
        }
    }

    /// The addresses of this machine are others than before: links offer the new ones, and router and local network are told
    /// anew. (The relay listens on every address there is.)
    pub(crate) fn handle_network(&mut self) {
        let here = own_addresses();
        if here != self.here {
            self.here = here;
            (self.mapping, self.announcement) = (None, None);
        }
    }

    pub(crate) fn set_mapping(&mut self, state: PortMapping) {
        if let Some(mapping) = &mut self.mapping {
            mapping.state = state;
        }
    }

    /// Announces the meeting on the local network, or stops, as the settings say.
    pub(crate) fn announce(&mut self, settings: &Settings, room: &[u8; 32]) {
        if !settings.announce_on_lan || stays_silent(settings) {
            self.announcement = None;
        } else if self.announcement.is_none() {
            match lan::announce(room, self.server.port()) {
                Ok(announcement) => self.announcement = Some(announcement),
                Err(error) => tracing::warn!(%error, "the meeting is not announced on the local network"),
            }
        }
    }

    /// Ends it in good order.
    pub(crate) async fn stop(self) {
        let Self { server, mapping, announcement, .. } = self;
        drop(announcement);
        if let Some(Mapping { held, task, .. }) = mapping {
            drop(held);
            // A router that does not answer keeps the port until its lease ends.
            let _ = tokio::time::timeout(CLOSING, task).await;
        }
        server.stop().await;
    }
}

/// Paths of a host that uses a relay of its own choice: it tells how the world sees this machine (STUN).
pub(crate) fn reach_through(relay: &RelayAddress, routes: Arc<Routes>) -> Reach {
    reach(vec![relay.to_host_and_port()], relay.ip().is_some_and(|ip| ip.is_loopback()), routes)
}

/// Paths of a guest: the relay of the link is asked how the world sees this machine.
pub(crate) fn reach_for_guest(relays: &[RelayAddress], routes: Arc<Routes>) -> Reach {
    let loopback = relays.iter().all(|relay| relay.ip().is_some_and(|ip| ip.is_loopback()));
    reach(relays.iter().take(2).map(RelayAddress::to_host_and_port).collect(), loopback, routes)
}

fn reach(stun: Vec<String>, allow_loopback: bool, routes: Arc<Routes>) -> Reach {
    Reach { stun, bind: own_addresses(), allow_loopback, routes }
}

/// This machine's addresses that others may reach; loopback when there is nothing else.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    match local::reachable_addresses() {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => vec![IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)],
        Err(error) => {
            tracing::warn!(%error, "this machine's addresses could not be listed");
            vec![IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)]
        }
    }
}

/// The reason, if the event says that the relay could not be reached.
pub(crate) fn why_unreachable(event: &RelayEvent) -> Option<RelayClientError> {
    match event {
        RelayEvent::Down { why } | RelayEvent::GaveUp { why } => Some(why.clone()),
        _ => None,
    }
}
