//! Into a meeting: as its host, with the relay inside the app or another, or by somebody's link.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::hosting::{self, OwnRelay};
use crate::engine::room::{Around, Entry, Reach, Room};
use crate::engine::routes::{RouteDenied, Routes};
use crate::engine::session::{Place, Session};
use crate::engine::view;
use crate::engine::{InviteWish, SystemEntropy, unix_now, words};
use crate::protocol::invite::Invite;
use crate::protocol::meeting::{Meeting, Moment};
use crate::protocol::relay_address::RelayAddress;
use crate::rendezvous::client::{AddressGuard, RelayClient, TlsTrust};

/// An invite stops working a day after it was made.
pub(super) const INVITE_LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

impl Session {
    /// What the settings allow, read before anybody is contacted.
    fn routes(&mut self) -> Result<Arc<Routes>, RouteDenied> {
        let routes = Routes::from_settings(&self.settings)?;
        if let Some(fault) = routes.table_fault() {
            let sentence = words::no_country_shown(fault);
            self.warn(sentence);
        }
        Ok(Arc::new(routes))
    }

    pub(super) fn start_hosting(&mut self, now: Instant) {
        let routes = match self.routes() {
            Ok(routes) => routes,
            Err(denied) => return self.fail(words::route_denied(&denied, &self.settings.only_relays)),
        };
        let chosen = self.options.relay.clone().unwrap_or_else(|| self.settings.relay.clone());
        if chosen.trim().is_empty() {
            if let Err(denied) = routes.check_own_relay() {
                return self.fail(words::route_denied(&denied, routes.pinned_relays()));
            }
            self.place = Place::Starting { step: "Starting the relay inside Conclave…".into(), routes };
            hosting::start_own_relay(self.inputs.clone());
            return;
        }
        match RelayAddress::from_setting(&chosen) {
            Ok(address) => {
                if let Err(denied) = routes.check_relay(&address, &hosting::own_addresses()) {
                    return self.fail(words::route_denied(&denied, routes.pinned_relays()));
                }
                let relay_view = view::Relay { address: address.to_host_and_port(), ..view::Relay::default() };
                let reach = hosting::reach_through(&address, routes.clone());
                let step = format!("Reaching the relay {}…", address.to_host_and_port());
                let urls = vec![address.to_url()];
                let guard = routes.address_guard();
                self.open_room_as_host(now, vec![address], (urls, guard), relay_view, reach, Some(step));
            }
            Err(error) => self.fail(words::relay_address_error(&error)),
        }
    }

    pub(super) fn handle_own_relay(&mut self, now: Instant, started: Result<OwnRelay, String>) {
        let Place::Starting { routes, .. } = &self.place else { return };
        let routes = routes.clone();
        match started {
            Ok(relay) => {
                let addresses = routes.offered(relay.addresses());
                if addresses.is_empty() {
                    self.own_relay = Some(relay);
                    return self.fail(words::route_denied(&RouteDenied::NoOwnAddress, routes.pinned_relays()));
                }
                let relay_view = relay.view(&addresses);
                let (urls, reach) = (vec![relay.own_url()], relay.reach(routes));
                self.own_relay = Some(relay);
                // On this machine, and nobody else's: no pin is about it.
                let guard: AddressGuard = Arc::new(|ip| ip.is_loopback());
                self.open_room_as_host(now, addresses, (urls, guard), relay_view, reach, None);
                self.apply_reachability();
            }
            Err(sentence) => self.fail(sentence),
        }
    }

    fn open_room_as_host(
        &mut self,
        now: Instant,
        relays: Vec<RelayAddress>,
        (targets, guard): (Vec<String>, AddressGuard),
        relay_view: view::Relay,
        reach: Reach,
        step: Option<String>,
    ) {
        let opened = Moment { unix: unix_now(), at: now };
        let meeting = Meeting::host(self.identity.clone(), &self.name, Box::new(SystemEntropy), opened);
        let (relay, relay_events) =
            RelayClient::connect_guarded(targets.clone(), meeting.room_id(), TlsTrust::Public, guard);
        let entry = Entry { meeting, relay, relay_events, relay_view, targets, relays, reach };
        let room = self.new_room(now, entry);
        self.place = match step {
            Some(step) => Place::Connecting { room, step },
            None => self.in_meeting(now, room),
        };
        self.create_invite(now, InviteWish { label: String::new(), lasts: Some(INVITE_LIFE), single_use: false });
        self.tell_known();
        self.settle(now);
    }

    pub(super) fn in_meeting(&self, now: Instant, mut room: Box<Room>) -> Place {
        room.since = Some(now);
        Place::Meeting(room)
    }

    pub(super) fn start_joining(&mut self, now: Instant, link: &str) {
        let invite = match Invite::parse(link, unix_now()) {
            Ok(invite) => invite,
            Err(error) => return self.fail(words::invite_error(&error)),
        };
        let (routes, relays) = match self.routes() {
            Ok(routes) => match routes.usable(&invite.relays) {
                Ok(relays) => (routes, relays),
                Err(denied) => return self.fail(words::route_denied(&denied, routes.pinned_relays())),
            },
            Err(denied) => return self.fail(words::route_denied(&denied, &self.settings.only_relays)),
        };
        if let Some(measure) = &self.options.measure {
            measure.begin(now);
        }
        let targets: Vec<String> = relays.iter().map(RelayAddress::to_url).collect();
        let shown = relays.first().map(|relay| relay.to_host_and_port()).unwrap_or_default();
        let reach = hosting::reach_for_guest(&relays, routes.clone());
        let opened = Moment { unix: unix_now(), at: now };
        let joined = Meeting::join(&invite, self.identity.clone(), &self.name, Box::new(SystemEntropy), opened);
        let meeting = match joined {
            Ok(meeting) => meeting,
            Err(error) => return self.fail(words::meeting_error(&error)),
        };
        let guard = routes.address_guard();
        let (relay, relay_events) =
            RelayClient::connect_guarded(targets.clone(), invite.room_id(), TlsTrust::Public, guard);
        let relay_view = view::Relay { address: shown.clone(), ..view::Relay::default() };
        let entry = Entry { meeting, relay, relay_events, relay_view, targets, relays, reach };
        let room = self.new_room(now, entry);
        self.place = Place::Connecting { room, step: format!("Reaching the relay {shown}…") };
        self.settle(now);
    }

    fn new_room(&self, now: Instant, entry: Entry) -> Box<Room> {
        let around = Around {
            own_identity: self.identity.key(),
            format: self.options.video,
            playout: self.playout.clone(),
            inputs: self.inputs.clone(),
            wake: self.wake.clone(),
            measure: self.options.measure.clone(),
        };
        Box::new(Room::new(entry, around, now))
    }

    /// Brings port mapping, announcement and link in line with the settings and with what the router said.
    pub(super) fn apply_reachability(&mut self) {
        let Some(relay) = &mut self.own_relay else { return };
        relay.apply(&self.settings, &self.inputs);
        let (Place::Connecting { room, .. } | Place::Lobby { room, .. } | Place::Meeting(room)) = &mut self.place
        else {
            return;
        };
        relay.announce(&self.settings, &room.meeting.room_id());
        let addresses = room.reach.routes.offered(relay.addresses());
        let (connected, sees) = (room.relay_view.connected, room.relay_view.sees.clone());
        room.relay_view = view::Relay { connected, sees, ..relay.view(&addresses) };
        room.invites.move_to(&addresses);
        room.relays = addresses;
    }

    /// Ends the relay inside the app, beside whatever else goes on.
    pub(super) fn stop_own_relay(&mut self) {
        if let Some(relay) = self.own_relay.take() {
            self.closing = Some(tokio::spawn(relay.stop()));
        }
    }
}
