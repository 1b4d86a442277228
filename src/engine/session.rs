//! The session task: it alone holds the truth, takes one thing at a time, and publishes what may be shown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::crypto::identity::Identity;
use crate::engine::devices::{DeviceKind, Devices, PictureInlet};
use crate::engine::event::Tone;
use crate::engine::hosting::{self, OwnRelay};
use crate::engine::input::{Input, Inputs};
use crate::engine::playout::Playout;
use crate::engine::room::{Happened, Room};
use crate::engine::routes::Routes;
use crate::engine::series::Series;
use crate::engine::sound_out::SoundLine;
use crate::engine::start::{EngineOptions, Wake};
use crate::engine::store::contacts::Contacts;
use crate::engine::view::{self, Connecting, Ended, Lobby, PreJoin, Stage, View};
use crate::engine::{Command, Event, Intent, links, unix_now, words};
use crate::media;
use crate::media::device::{CameraChoice, DeviceList, MicChoice};
use crate::protocol::invite::Invite;
use crate::protocol::meeting::{Departure, End, Meeting};
use crate::rendezvous::client::{RelayClient, RelayClientError, RelayEvent, TlsTrust};
use crate::rendezvous::local;
use crate::settings::Settings;

/// Levels and device states are looked at this often while anything runs; at rest nothing is.
const PULSE: Duration = Duration::from_millis(80);
/// Devices come and go without notice (cpal and V4L2 give none): the lists are read this often while someone may look.
const DEVICE_POLL: Duration = Duration::from_secs(2);
/// At the end, goodbyes may take this long to leave.
const GOODBYE: Duration = Duration::from_millis(400);

/// Where the person is; the window's [`Stage`] is made from it.
pub(super) enum Place {
    Home,
    PreJoin { intent: Intent, facts: Option<view::LinkFacts> },
    Starting { step: String, routes: Arc<Routes> },
    Connecting { room: Box<Room>, step: String },
    Lobby { room: Box<Room>, lobby: Lobby },
    Meeting(Box<Room>),
    Ended(Ended),
}

/// The engine's heart.
pub(crate) struct Session {
    pub(super) options: EngineOptions,
    pub(super) identity: Arc<Identity>,
    pub(super) contacts: Contacts,
    pub(super) settings: Arc<Settings>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) wake: Wake,
    pub(super) inputs: Inputs,
    pub(super) queue: Option<mpsc::UnboundedReceiver<Input>>,
    pub(super) devices: Devices,
    pub(super) device_list: Arc<DeviceList>,
    pub(super) playout: Playout,
    pub(super) place: Place,
    pub(super) intent: Option<Intent>,
    pub(super) name: String,
    pub(super) own_relay: Option<OwnRelay>,
    /// The relay inside the app, being ended: it gives a mapped port back.
    pub(super) closing: Option<JoinHandle<()>>,
    /// The signed log of the meeting that ended last.
    pub(super) last_log: Option<String>,
    /// Its figures.
    pub(super) last_series: Option<Series>,
    pub(super) quitting: bool,
}

impl Session {
    pub(crate) fn new(
        options: EngineOptions,
        identity: Identity,
        contacts: Contacts,
        settings: Settings,
        events: mpsc::UnboundedSender<Event>,
        wake: Wake,
    ) -> Self {
        let (inputs, queue) = mpsc::unbounded_channel();
        let line = SoundLine::default();
        line.switches.set(&settings.sound);
        let playout = Playout::new(line.reference.clone(), line.mirror.clone());
        let mut devices = Devices::new(inputs.clone(), options.video, line, wake.clone());
        let chosen = |text: &Option<String>| text.clone().unwrap_or_else(|| "default".into());
        devices.camera_choice = chosen(&settings.camera).parse().unwrap_or_default();
        devices.mic_choice = chosen(&settings.mic).parse().unwrap_or_default();
        devices.speaker_choice = chosen(&settings.speaker).parse().unwrap_or_default();
        if let Some(measure) = &options.measure {
            playout.record(measure.sound());
        }
        let name = settings.name.clone();
        Self {
            options,
            identity: Arc::new(identity),
            contacts,
            settings: Arc::new(settings),
            events,
            wake,
            inputs,
            queue: Some(queue),
            devices,
            device_list: Arc::default(),
            playout,
            place: Place::Home,
            intent: None,
            name,
            own_relay: None,
            closing: None,
            last_log: None,
            last_series: None,
            quitting: false,
        }
    }

    /// Tells the person something that needs attention.
    pub(crate) fn warn(&mut self, text: String) {
        self.toast(Tone::Warning, text);
    }

    pub(super) fn toast(&self, tone: Tone, text: String) {
        let _ = self.events.send(Event::Toast { tone, text });
        (self.wake)();
    }

    /// Runs until told to quit, or until nobody holds the handle any more.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>, view: watch::Sender<Arc<View>>) {
        let Some(mut queue) = self.queue.take() else { return };
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut looked = None;
        while !self.quitting {
            let deadline = self.room().and_then(|room| room.meeting.poll_timeout());
            let busy = !matches!(self.place, Place::Home | Place::Ended(_));
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.handle_command(Instant::now(), command).await,
                    None => self.quitting = true,
                },
                input = queue.recv() => {
                    if let Some(input) = input {
                        self.handle_input(Instant::now(), input);
                    }
                }
                event = next_relay_event(&mut self.place) => self.handle_relay(Instant::now(), event),
                () = sleep_until(deadline), if deadline.is_some() => {
                    let now = Instant::now();
                    if let Some(room) = self.room() {
                        room.meeting.handle_timeout(now);
                    }
                    self.settle(now);
                }
                _ = pulse.tick(), if busy => self.handle_pulse(Instant::now(), &mut looked),
            }
            let now = self.view();
            let changed = view.send_if_modified(|shown| {
                let changed = **shown != now;
                if changed {
                    *shown = Arc::new(now);
                }
                changed
            });
            if changed {
                (self.wake)();
            }
        }
        self.leave(Instant::now()).await;
        self.devices.release();
        if let Some(measure) = &self.options.measure {
            measure.finish();
        }
        self.stop_own_relay();
        if let Some(closing) = self.closing.take() {
            let _ = closing.await;
        }
    }

    pub(super) fn room(&mut self) -> Option<&mut Room> {
        match &mut self.place {
            Place::Connecting { room, .. } | Place::Lobby { room, .. } | Place::Meeting(room) => Some(room),
            _ => None,
        }
    }

    async fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Prepare(intent) => self.prepare(intent),
            Command::Enter { name } => self.enter(now, name),
            Command::GoHome => {
                if !matches!(self.place, Place::Meeting(_) | Place::Lobby { .. }) {
                    self.place = Place::Home;
                    self.intent = None;
                    self.devices.release();
                    self.stop_own_relay();
                }
            }
            Command::Leave => self.leave(now).await,
            Command::SetMic(on) => {
                self.devices.set_mic(on);
                self.announce_media(now);
            }
            Command::SetCamera(on) => {
                self.devices.camera_on = on;
                self.bind_camera();
                self.announce_media(now);
            }
            Command::ChooseCamera(choice) => {
                self.change_settings(|settings| settings.camera = Some(choice.to_string()));
                self.devices.camera_choice = choice;
                self.bind_camera();
                self.announce_media(now);
            }
            Command::ChooseMic(choice) => {
                self.change_settings(|settings| settings.mic = Some(choice.to_string()));
                self.devices.choose_mic(choice);
                self.bind_mic();
                self.announce_media(now);
            }
            Command::ChooseSpeaker(choice) => {
                self.change_settings(|settings| settings.speaker = Some(choice.to_string()));
                self.devices.choose_speaker(choice);
                self.bind_speaker();
            }
            Command::RefreshDevices => self.look_for_devices(),
            Command::TestSound => self.playout.chime(),
            Command::HearMyself(on) => {
                if matches!(self.place, Place::PreJoin { .. }) {
                    self.devices.mirror().set_on(on);
                }
            }
            Command::Admit(peer) => self.with_meeting(now, |meeting| meeting.admit(now, peer)),
            Command::Decline(peer) => {
                if let Some(room) = self.room() {
                    let _ = room.meeting.decline(now, peer); // gone already is as good
                }
                self.settle(now);
            }
            Command::Judge { peer, verdict } => self.judge(now, peer, verdict),
            Command::WatchPeer { peer, height } => {
                if let Some(room) = self.room() {
                    room.watch(now, peer, height);
                }
                self.settle(now);
            }
            Command::SetVolume { peer, volume } => self.set_volume(peer, volume),
            Command::ChangeSettings(new) => {
                let new = *new;
                self.change_settings(|settings| *settings = new);
            }
            Command::Block(visitor) => self.block(now, visitor),
            Command::Unblock(fingerprint) => self.unblock(now, &fingerprint),
            Command::CreateInvite(wish) => self.create_invite(now, wish),
            Command::RevokeInvite(no) => self.revoke_invite(now, no),
            Command::Remove(peer) => self.with_meeting(now, |meeting| meeting.remove(now, peer)),
            Command::SetLocked(locked) => self.with_meeting(now, |meeting| meeting.set_locked(now, locked)),
            Command::SetCoHost { peer, cohost } => {
                self.with_meeting(now, |meeting| meeting.set_cohost(now, peer, cohost));
            }
            Command::HandOver(peer) => self.with_meeting(now, |meeting| meeting.hand_over(now, peer)),
            Command::LeaveToHeir => self.leave_to_heir(now).await,
            Command::JudgeCode { digits, verdict } => self.judge_code(now, &digits, verdict),
            Command::SaveLog(path) => self.save_log(&path),
            Command::SaveReport(path) => self.save_report(&path),
            Command::Quit => self.quitting = true,
        }
    }

    fn prepare(&mut self, intent: Intent) {
        if self.room().is_some() {
            return;
        }
        let facts = match &intent {
            Intent::Start => None,
            Intent::Join(link) => match Invite::parse(link, unix_now()) {
                Ok(invite) => Some(links::facts(&invite, &self.contacts)),
                Err(error) => {
                    let reason = words::invite_error(&error);
                    self.devices.release();
                    self.place = Place::Ended(never_began(reason, false));
                    return;
                }
            },
        };
        // A link may have been opened by a page or another program: nothing of this room is shown before a person says so.
        self.devices.set_mic(matches!(intent, Intent::Start));
        self.devices.camera_on = matches!(intent, Intent::Start);
        self.place = Place::PreJoin { intent, facts };
        self.look_for_devices();
        self.bind_camera();
        self.bind_mic();
        self.bind_speaker();
    }

    fn enter(&mut self, now: Instant, name: String) {
        let Place::PreJoin { intent, .. } = &self.place else { return };
        self.devices.mirror().cancel();
        let intent = intent.clone();
        self.name = crate::protocol::wire::clean_name(&name);
        let kept = self.name.clone();
        self.change_settings(|settings| settings.name = kept);
        self.intent = Some(intent.clone());
        match intent {
            Intent::Start => self.start_hosting(now),
            Intent::Join(link) => self.start_joining(now, &link),
        }
    }

    fn handle_relay(&mut self, now: Instant, event: RelayEvent) {
        let (up, lost) = (matches!(event, RelayEvent::Up { .. }), hosting::why_unreachable(&event));
        let final_word = matches!(event, RelayEvent::GaveUp { .. });
        if let Some(room) = self.room() {
            room.handle_relay(now, event);
        }
        // The host's app may have moved to another address, and its relay with it. A connection that broke says nothing yet;
        // an attempt that failed does.
        if let (Some(error), Place::Meeting(room)) = (&lost, &mut self.place)
            && *error != RelayClientError::Lost
        {
            room.seek_on_lan();
        }
        if up {
            self.handle_relay_up(now);
        } else if let (Some(error), Place::Connecting { room, step }) = (lost, &mut self.place) {
            // Said while it is being tried further: the person may wait, or see that the address cannot be right.
            let sentence = words::relay_client_error(&error, &room.relay_view.address);
            if final_word {
                return self.fail(sentence);
            }
            *step = sentence;
            room.seek_on_lan();
        }
        self.settle(now);
    }

    /// The host's addresses have changed since the link was made, and the local network knows the new ones.
    fn handle_found_on_lan(&mut self, addresses: Vec<std::net::SocketAddr>) {
        if let Place::Connecting { room, .. } | Place::Meeting(room) = &mut self.place
            && !room.relay_view.connected
            && !addresses.is_empty()
        {
            let found = addresses.iter().map(|address| local::url(address.ip(), address.port()));
            let urls = found.chain(room.targets.iter().cloned()).collect();
            let guard = room.reach.routes.address_guard();
            (room.relay, room.relay_events) =
                RelayClient::connect_guarded(urls, room.meeting.room_id(), TlsTrust::Public, guard);
        }
    }

    fn handle_relay_up(&mut self, now: Instant) {
        self.place = match std::mem::replace(&mut self.place, Place::Home) {
            Place::Connecting { room, .. } if room.is_hosting() => self.in_meeting(now, room),
            Place::Connecting { room, .. } => Place::Connecting { room, step: "Knocking at the host's door…".into() },
            other => other,
        };
    }

    pub(super) fn settle(&mut self, now: Instant) {
        let Some(room) = self.room() else { return };
        for one in room.settle(now) {
            self.handle_happened(now, one);
        }
    }

    fn handle_happened(&mut self, now: Instant, happened: Happened) {
        match happened {
            Happened::Reached(host) => {
                self.place = match std::mem::replace(&mut self.place, Place::Home) {
                    Place::Connecting { room, .. } => {
                        let safety_number = crate::crypto::safety::pair_number(&self.identity.key(), &host);
                        Place::Lobby {
                            room,
                            lobby: Lobby { host_fingerprint: host.fingerprint(), safety_number, since: now },
                        }
                    }
                    other => other,
                };
            }
            Happened::Knock(visitor) => self.handle_knock(now, visitor),
            Happened::Entered => self.handle_entered(now),
            Happened::Joined(peer) => self.handle_joined(now, peer),
            Happened::Proven(peer) => self.handle_proven(now, peer),
            Happened::Roster { before } => self.handle_roster(now, before),
            Happened::Forked => self.handle_fork(),
            Happened::SuiteRefused => self.warn(words::suite_refused_here()),
            Happened::Left { name, why } => {
                let _ = self.events.send(Event::Left);
                let text = match why {
                    Departure::Said(reason) => format!("{name} {}.", words::left(reason)),
                    Departure::Broke(_) => {
                        format!("{name}'s program did not keep to the protocol, and the session with it was closed.")
                    }
                    Departure::Replaced => format!("{name} is coming in anew."),
                    Departure::Removed => format!("{name} was sent out by the host."),
                    Departure::Listed => format!("{name} is no longer in the meeting."),
                    _ => format!("The connection to {name} was lost."),
                };
                self.toast(Tone::Neutral, text);
            }
            Happened::Ended(why) => self.handle_end(why),
        }
    }

    fn handle_end(&mut self, why: End) {
        let (reason, failed) = match why {
            End::Left => ("You left the meeting.".to_owned(), false),
            End::HostLeft(reason) => (format!("The host {}.", words::left(reason)), false),
            End::Declined(reason) => (words::declined(reason), true),
            End::NoAnswer { forged } => (words::no_answer(forged), true),
            End::WrongHost(_) => (words::wrong_host(), true),
            End::HostBroke(_) => (
                "The host's program did not keep to the protocol, so the session was closed. It may be another version.".into(),
                true,
            ),
            End::HostLost => ("The connection to the host was lost.".into(), true),
            End::SuiteRefused { .. } => (words::suite_refused_there(), true),
        };
        self.end(reason, failed);
    }

    fn end(&mut self, reason: String, failed: bool) {
        let (mut lasted, mut met) = (None, Vec::new());
        self.last_series = self.series().filter(|_| self.room().is_some());
        self.last_log = None;
        if let Some(room) = self.room() {
            lasted = room.since.map(|since| since.elapsed());
            met = room.everyone_met();
            self.last_log = room.meeting.log();
        }
        if let (Some(measure), Some(log)) = (&self.options.measure, &self.last_log) {
            measure.set_log(log);
        }
        if let (Some(measure), Some(series)) = (&self.options.measure, &self.last_series) {
            measure.set_series(series);
        }
        self.devices.release();
        self.playout.clear();
        self.keep_volumes();
        let ended = Ended {
            reason,
            failed,
            lasted,
            met,
            rejoin: self.intent.take().is_some(),
            log: self.last_log.is_some(),
            report: self.last_series.is_some(),
        };
        self.place = Place::Ended(ended);
        self.stop_own_relay();
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.end(reason, true);
    }

    async fn leave(&mut self, now: Instant) {
        self.leave_by(now, Meeting::leave).await;
    }

    pub(super) async fn leave_by(&mut self, now: Instant, goodbye: impl FnOnce(&mut Meeting, Instant)) {
        let Some(room) = self.room() else {
            if matches!(self.place, Place::Starting { .. }) {
                self.end("You left before the meeting began.".into(), false);
            }
            return;
        };
        // What is said or shown after the click reaches nobody, however long the goodbyes take.
        room.stop_everything();
        goodbye(&mut room.meeting, now);
        self.devices.release();
        self.settle_goodbyes(now).await;
        if let Some(room) = self.room() {
            let reason =
                if room.since.is_some() { "You left the meeting." } else { "You left before the meeting began." };
            self.end(reason.into(), false);
        }
    }

    /// Gives the goodbyes time to arrive: without them the others would wait for somebody who is gone.
    async fn settle_goodbyes(&mut self, now: Instant) {
        let until = now + GOODBYE;
        let Some(room) = self.room() else { return };
        let _ = room.settle(now);
        while !room.meeting.is_settled() {
            match tokio::time::timeout_at(until.into(), room.relay_events.recv()).await {
                Ok(Some(event)) => room.handle_relay(Instant::now(), event),
                _ => break,
            }
            let _ = room.settle(Instant::now());
        }
    }

    fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Device(report) => {
                if self.devices.handle(&report, now) {
                    self.announce_media(now);
                }
                self.tell_of_devices();
            }
            Input::DeviceList(list) => {
                self.devices.handle_list(now, &list);
                self.device_list = Arc::new(list);
                self.tell_of_devices();
            }
            Input::Path { peer, path, news } => {
                if let Some(room) = self.room() {
                    room.handle_path(now, peer, path, news);
                }
                self.settle(now);
            }
            Input::PortMapping(mapping) => {
                if let Some(relay) = &mut self.own_relay {
                    relay.set_mapping(mapping);
                }
                self.apply_reachability();
            }
            Input::Network(change) => {
                if let Some(room) = self.room() {
                    room.handle_network(&change);
                }
                if let Some(relay) = &mut self.own_relay {
                    relay.handle_network();
                }
                self.apply_reachability();
            }
            Input::FoundOnLan(addresses) => self.handle_found_on_lan(addresses),
            Input::RelayStarted(started) => self.handle_own_relay(now, started),
        }
    }

    fn handle_pulse(&mut self, now: Instant, looked: &mut Option<Instant>) {
        if self.room().is_some_and(|room| room.send_wishes(now)) {
            self.settle(now);
        }
        if self.devices.monitor.take_unprocessed() {
            self.warn(words::sound_unprocessed());
        }
        for kind in self.devices.due_for_retry(now) {
            match kind {
                DeviceKind::Camera => self.bind_camera(),
                DeviceKind::Mic => self.bind_mic(),
                DeviceKind::Speaker => self.bind_speaker(),
            }
        }
        if looked.is_none_or(|at| now - at >= DEVICE_POLL) {
            *looked = Some(now);
            self.look_for_devices();
            self.keep_volumes();
        }
    }

    fn tell_of_devices(&mut self) {
        for note in self.devices.take_notes() {
            self.toast(Tone::Neutral, words::device_note(&note));
        }
    }

    fn look_for_devices(&self) {
        let inputs = self.inputs.clone();
        tokio::task::spawn_blocking(move || {
            let _ = inputs.send(Input::DeviceList(media::list_devices()));
        });
    }

    /// Devices run from pre-join to the end of the meeting, and at no other time.
    fn wants_devices(&self) -> bool {
        !matches!(self.place, Place::Home | Place::Ended(_))
    }

    fn bind_camera(&mut self) {
        if self.wants_devices() {
            self.devices.apply_camera();
        }
    }

    fn bind_mic(&mut self) {
        if self.wants_devices() {
            self.devices.apply_mic();
        }
    }

    fn bind_speaker(&mut self) {
        if self.wants_devices() {
            self.devices.apply_speaker(self.playout.playback());
        }
    }

    /// Leads own pictures and sound into the meeting.
    pub(super) fn connect_devices(&mut self) {
        let Some(room) = self.room() else { return };
        let pictures = room.video.as_ref().map(|video| Arc::new(video.inlet()) as PictureInlet);
        let sound = room.outbox.clone();
        self.devices.connect(pictures, sound);
    }

    pub(super) fn announce_media(&mut self, now: Instant) {
        let (mic, camera) = self.devices.live();
        let sends = self.devices.mic_choice != MicChoice::None || self.devices.camera_choice != CameraChoice::None;
        if let Some(room) = self.room() {
            room.meeting.set_sends(now, sends);
            room.meeting.send_media_state(now, mic, camera);
        }
        self.settle(now);
    }

    fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        if settings == *self.settings {
            return;
        }
        self.devices.set_sound(&settings.sound);
        self.settings = Arc::new(settings);
        if self.options.keep_settings
            && let Err(error) = self.settings.save(&self.options.config)
        {
            self.warn(words::settings_error(&error));
        }
        self.apply_reachability();
    }

    /// Everything that may be shown, as of now.
    pub(crate) fn view(&self) -> View {
        View {
            stage: self.stage(),
            fingerprint: self.identity.key().fingerprint(),
            settings: self.settings.clone(),
            devices: self.device_list.clone(),
            own: self.devices.own(),
            notices: self.notices(),
            blocked: self.contacts.blocked(),
        }
    }

    fn stage(&self) -> Stage {
        match &self.place {
            Place::Home => Stage::Home,
            Place::PreJoin { facts, .. } => Stage::PreJoin(PreJoin { link: facts.clone() }),
            Place::Starting { step, .. } | Place::Connecting { step, .. } => {
                Stage::Connecting(Connecting { step: step.clone() })
            }
            Place::Lobby { lobby, .. } => Stage::Lobby(lobby.clone()),
            Place::Meeting(room) => Stage::Meeting(Box::new(self.publish(room))),
            Place::Ended(ended) => Stage::Ended(ended.clone()),
        }
    }
}

impl Session {
    pub(super) fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// The meeting and the own devices, while in one.
    pub(super) fn meeting_and_own(&self) -> Option<(&Room, view::Own)> {
        match &self.place {
            Place::Meeting(room) => Some((room, self.devices.own())),
            _ => None,
        }
    }

    pub(super) fn monitor(&self) -> &crate::engine::sound_out::MicMonitor {
        &self.devices.monitor
    }
}

fn never_began(reason: String, rejoin: bool) -> Ended {
    Ended { reason, failed: true, lasted: None, met: Vec::new(), rejoin, log: false, report: false }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn next_relay_event(place: &mut Place) -> RelayEvent {
    let room = match place {
        Place::Connecting { room, .. } | Place::Lobby { room, .. } | Place::Meeting(room) => room,
        _ => return std::future::pending().await,
    };
    match room.relay_events.recv().await {
        Some(event) => event,
        None => std::future::pending().await,
    }
}
