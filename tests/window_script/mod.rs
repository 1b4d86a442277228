//! A scripted engine: it holds the other ends of the window's handle, shows views and collects commands.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use conclave::desktop::{Desktop, Events, Request};
use conclave::engine::view::{
    DeviceState, Encryption, Familiarity, GroupCode, HearMyself, InviteLink, InviteNo, InviteState, Knock, LinkCheck,
    LinkFacts, Meeting, Own, Peer, PeerId, PeerLink, PeerStats, PortMapping, Quality, Relay, RelaySight, Role as Part,
    Roster, Route, RouteKind, Stage, Verification,
};
use conclave::engine::{Command, Event, Handle, View};
use conclave::media::device::{DeviceInfo, DeviceList};
use conclave::media::frame::{Latest, Picture};
use conclave::settings::{Appearance, Settings};
use conclave::ui::{App, FileKind, WindowOptions};
use egui::accesskit::{Role, Toggled};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use tokio::sync::{mpsc, watch};

/// A link that the scripted check takes for good.
pub(crate) const GOOD_LINK: &str = "conclave://relay.example:7770/#AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";

/// A window and the ends of its engine.
pub(crate) struct Script {
    pub(crate) window: Harness<'static, App>,
    view: watch::Sender<Arc<View>>,
    events: mpsc::UnboundedSender<Event>,
    commands: mpsc::UnboundedReceiver<Command>,
    watched: Vec<(PeerId, u32)>,
    check: Rc<RefCell<Option<LinkCheck>>>,
    copied: Arc<Mutex<Option<String>>>,
    asked: mpsc::Receiver<Request>,
    outside: Events,
}

/// How large, and in which appearance.
pub(crate) struct Look {
    pub(crate) size: [f32; 2],
    pub(crate) theme: egui::Theme,
    pub(crate) drawn: bool,
}

impl Script {
    pub(crate) fn new(stage: Stage) -> Self {
        Self::build(stage, None, Look { size: [1280.0, 800.0], theme: egui::Theme::Dark, drawn: false })
    }

    pub(crate) fn with_link(stage: Stage, link: &str) -> Self {
        let look = Look { size: [1280.0, 800.0], theme: egui::Theme::Dark, drawn: false };
        Self::build(stage, Some(link.to_owned()), look)
    }

    pub(crate) fn build(stage: Stage, link: Option<String>, look: Look) -> Self {
        let mut first = view(stage);
        Arc::make_mut(&mut first.settings).appearance = match look.theme {
            egui::Theme::Dark => Appearance::Dark,
            egui::Theme::Light => Appearance::Light,
        };
        let (view, seen) = watch::channel(Arc::new(first));
        let (events, happened) = mpsc::unbounded_channel();
        let (sent, commands) = mpsc::unbounded_channel();
        let check: Rc<RefCell<Option<LinkCheck>>> = Rc::default();
        let asked = check.clone();
        let mut options = WindowOptions::new(Box::new(move |text| {
            asked.borrow().clone().unwrap_or_else(|| match text.trim() {
                "" => LinkCheck::Empty,
                GOOD_LINK => LinkCheck::Good(good_facts()),
                _ => LinkCheck::Bad("This is not a Conclave link.".to_owned()),
            })
        }));
        options.link = link;
        let (desktop, asked, outside) = Desktop::ends(Arc::new(|| {}));
        options.desktop = Some(desktop);
        options.pick_file = Some(Box::new(|_, kind| {
            let (answer, answered) = std_mpsc::channel();
            let file = match kind {
                FileKind::Video => "films/talk.y4m",
                FileKind::Sound => "films/talk.wav",
                FileKind::Log => "logs/meeting.log",
                FileKind::Report => "logs/call.json",
                FileKind::Countries => "tables/countries.csv",
            };
            answer.send(Some(PathBuf::from(file))).unwrap();
            answered
        }));
        let handle = Handle::new(sent, happened, seen);
        let copied: Arc<Mutex<Option<String>>> = Arc::default();
        let clipboard = copied.clone();
        let mut builder = Harness::builder().with_size(look.size).with_theme(look.theme).with_max_steps(8);
        if look.drawn {
            builder = builder.with_render_cursor(false).wgpu();
        }
        let mut window = builder.build_eframe(move |creation| {
            let keep = move |ui: &mut egui::Ui| {
                ui.ctx().output(|output| {
                    for command in &output.commands {
                        if let egui::OutputCommand::CopyText(text) = command {
                            *clipboard.lock().unwrap() = Some(text.clone());
                        }
                    }
                });
            };
            creation.egui_ctx.on_end_pass("keep what is copied", Arc::new(keep));
            App::new(&creation.egui_ctx, options, handle)
        });
        window.run();
        Self { window, view, events, commands, watched: Vec::new(), check, copied, asked, outside }
    }

    /// Does something outside of the window.
    pub(crate) fn outside(&mut self, act: impl FnOnce(&Events)) {
        act(&self.outside);
        self.window.run();
    }

    /// What the window has asked of the desktop since the last call.
    pub(crate) fn asked(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }

    /// Turns to something else, or back to the window.
    pub(crate) fn look_at_it(&mut self, focused: bool) {
        self.window.input_mut().focused = focused;
        self.window.run();
    }

    /// Shows another view.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut View)) {
        let mut view = (**self.view.borrow()).clone();
        change(&mut view);
        self.view.send_replace(Arc::new(view));
        self.window.run();
    }

    /// Changes the meeting that is shown.
    pub(crate) fn in_meeting(&mut self, change: impl FnOnce(&mut Meeting)) {
        self.change(|view| match &mut view.stage {
            Stage::Meeting(meeting) => change(meeting),
            _ => panic!("no meeting is shown"),
        });
    }

    /// Lets something happen.
    pub(crate) fn event(&mut self, event: Event) {
        self.events.send(event).unwrap();
        self.window.run();
    }

    /// From now on every link is this.
    pub(crate) fn set_check(&mut self, check: LinkCheck) {
        *self.check.borrow_mut() = Some(check);
    }

    /// What a person has asked for since the last call. What the window says of itself is in [`watched`](Self::watched).
    pub(crate) fn commands(&mut self) -> Vec<Command> {
        let mut asked = Vec::new();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::WatchPeer { peer, height } => self.watched.push((peer, height)),
                command => asked.push(command),
            }
        }
        asked
    }

    /// The sizes in which the window has said it shows peers, since the last call.
    pub(crate) fn watched(&mut self) -> Vec<(PeerId, u32)> {
        let asked = self.commands();
        assert!(asked.is_empty(), "something else was asked for, too");
        std::mem::take(&mut self.watched)
    }

    /// Presses whatever can be pressed and has this name.
    pub(crate) fn press(&mut self, name: &str) {
        let pressable =
            [Role::Button, Role::Switch, Role::ComboBox, Role::MenuItem, Role::MenuItemRadio, Role::RadioButton];
        self.window.get_by(|node| node.label().as_deref() == Some(name) && pressable.contains(&node.role())).click();
        self.window.run();
    }

    /// Opens the menu of the button `name` and chooses `entry`.
    pub(crate) fn choose(&mut self, name: &str, entry: &str) {
        self.find_and_press(name);
        self.window.get_by_role_and_label(Role::MenuItem, entry).click();
        self.window.run();
    }

    /// Whether a switch of this name is on.
    pub(crate) fn toggled(&self, name: &str) -> Option<Toggled> {
        self.window.get_by_role_and_label(Role::Switch, name).accesskit_node().toggled()
    }

    /// Brings whatever has this name into view, and presses it.
    pub(crate) fn find_and_press(&mut self, name: &str) {
        self.window.get_by_label(name).scroll_to_me();
        self.window.run();
        self.press(name);
    }

    /// The field of this name.
    pub(crate) fn field<'a>(&'a self, name: &'a str) -> egui_kittest::Node<'a> {
        let fields = [Role::TextInput, Role::PasswordInput];
        self.window.get_by(move |node| node.label().as_deref() == Some(name) && fields.contains(&node.role()))
    }

    /// Types into the field of this name.
    pub(crate) fn type_into(&mut self, name: &str, text: &str) {
        self.field(name).focus();
        self.window.run();
        self.field(name).type_text(text);
        self.window.run();
    }

    /// Whether these words are on the screen.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.window
            .query_all_by(|node| node.label().as_deref() == Some(words) || node.value().as_deref() == Some(words))
            .next()
            .is_some()
    }

    /// What was copied since the last call.
    pub(crate) fn copied(&mut self) -> Option<String> {
        self.copied.lock().unwrap().take()
    }
}

/// A view with running devices and nothing in the way.
pub(crate) fn view(stage: Stage) -> View {
    let device = |id: &str, name: &str| DeviceInfo { id: id.to_owned(), name: name.to_owned() };
    let picture = Arc::new(Latest::default());
    picture.put(Arc::new(scene(640, 360, 0.62)));
    View {
        stage,
        fingerprint: "3RTB-K7QD-2M4P-9XWA".to_owned(),
        settings: Arc::new(Settings::default()),
        devices: Arc::new(DeviceList {
            cameras: vec![device("v4l:/dev/video0", "Integrated Camera")],
            mics: vec![device("mic-1", "Built-in Microphone"), device("mic-2", "USB Headset")],
            speakers: vec![device("out-1", "Built-in Speakers")],
        }),
        own: Own {
            mic_on: true,
            camera_on: true,
            mic: DeviceState::Running("Built-in Microphone".to_owned()),
            camera: DeviceState::Running("Integrated Camera".to_owned()),
            speaker: DeviceState::Running("Built-in Speakers".to_owned()),
            mic_level: 0.0,
            picture,
            hear_myself: HearMyself::Idle,
        },
        notices: Vec::new(),
        blocked: Arc::default(),
    }
}

/// What the good link says.
pub(crate) fn good_facts() -> LinkFacts {
    LinkFacts {
        host_name: Some("Chloé Martin".to_owned()),
        host_fingerprint: "K7QD-2M4P-9XWA-3RTB".to_owned(),
        host: Familiarity::New,
        relay: "relay.example".to_owned(),
        expires: Some(1_795_467_900),
    }
}

/// A safety number.
pub(crate) fn number() -> String {
    "12345 67890 24680 13579 11223 34455 66778 89900 10203 40506 70809 98765".to_owned()
}

/// A meeting hosted here, with these people.
pub(crate) fn meeting(peers: Vec<Peer>) -> Stage {
    let unverified = peers.iter().filter(|peer| !matches!(peer.verification, Verification::Yes { .. }));
    let unverified: Vec<String> = unverified.map(|peer| peer.name.clone()).collect();
    Stage::Meeting(Box::new(Meeting {
        hosting: true,
        role: Part::Host,
        link: Some(GOOD_LINK.to_owned()),
        invites: vec![invite(1, "")],
        locked: false,
        heir: None,
        roster: Roster { entry: peers.len() as u64, hash: "3fa29c01".to_owned(), forked: None },
        code: if peers.is_empty() { GroupCode::default() } else { code_for(unverified) },
        encryption: if peers.is_empty() { Encryption::Alone } else { Encryption::Encrypted },
        since: Instant::now() - Duration::from_secs(187),
        peers,
        speaking: None,
        knocks: Vec::new(),
        refused: 0,
        relay: Relay {
            address: "192.168.1.20:7770".to_owned(),
            embedded: true,
            connected: true,
            reachable: vec!["192.168.1.20".to_owned(), "2001:db8::20".to_owned()],
            port_mapping: Some(PortMapping::Refused("It does not answer.".to_owned())),
            announced: true,
            tls: false,
            sees: RelaySight {
                room: "7c1e90ab".to_owned(),
                own_address: true,
                messages_out: 41,
                bytes_out: 18_400,
                messages_in: 1,
                bytes_in: 812,
                others: 2,
            },
        },
    }))
}

/// Somebody else's meeting, in which this person is an ordinary member.
pub(crate) fn guest(script: &mut Script) {
    script.in_meeting(|meeting| {
        meeting.hosting = false;
        meeting.role = Part::Member;
        meeting.link = None;
        meeting.invites.clear();
        meeting.peers[0].role = Part::Host;
    });
}

/// The code of a meeting in which these are not verified.
fn code_for(unverified: Vec<String>) -> GroupCode {
    GroupCode {
        words: ["harbour", "violet", "window", "ladder"].map(str::to_owned).to_vec(),
        digits: "40217 88530 1946".to_owned(),
        unverified,
        ..GroupCode::default()
    }
}

/// An open invite; the general one without a label.
pub(crate) fn invite(id: InviteNo, label: &str) -> InviteLink {
    InviteLink {
        id,
        label: label.to_owned(),
        link: format!("{GOOD_LINK}{id}"),
        expires: None,
        single_use: !label.is_empty(),
        state: InviteState::Open,
        used_by: Vec::new(),
    }
}

/// Somebody at the door.
pub(crate) fn knock(id: PeerId, name: &str, who: Familiarity) -> Knock {
    Knock {
        id,
        name: name.to_owned(),
        fingerprint: "9XWA-3RTB-K7QD-2M4P".to_owned(),
        who,
        invite: String::new(),
        shared_with: None,
    }
}

/// As many as asked for, numbered from 1, of up to eight.
pub(crate) fn people(count: usize) -> Vec<Peer> {
    let names = ["Ben Okafor", "Chloé", "Dina Petrova", "Emil", "Farida Haddad", "Goran", "Hana Sato", "Ingrid"];
    let mut peers: Vec<Peer> = names.iter().take(count).map(|name| peer(name)).collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.id = index as PeerId + 1;
    }
    peers
}

/// Somebody whose picture and sound arrive, not yet verified.
pub(crate) fn peer(name: &str) -> Peer {
    let picture = Arc::new(Latest::default());
    picture.put(Arc::new(scene(1280, 720, 0.15 + 0.2 * (name.len() % 4) as f32)));
    Peer {
        id: 1,
        name: name.to_owned(),
        fingerprint: "9XWA-3RTB-K7QD-2M4P".to_owned(),
        picture,
        level: 0.2,
        volume: 1.0,
        mic_on: true,
        camera_on: true,
        role: Part::Member,
        link: PeerLink::Live,
        verification: Verification::No,
        safety_number: number(),
        safety_qr: Arc::new(code()),
        generation: 3,
        route: Some(Route {
            relayed: false,
            relay_transport: None,
            local: "192.168.1.20:41234".to_owned(),
            remote: "192.0.2.7:50000".to_owned(),
            local_kind: RouteKind::Host,
            remote_kind: RouteKind::Reflexive,
            country: None,
        }),
        stats: PeerStats {
            rtt_ms: Some(24.0),
            fps: 30.0,
            width: 1280,
            height: 720,
            receive_kbps: 1800.0,
            send_kbps: 1750.0,
            loss_percent: 0.2,
            send_loss_percent: 0.1,
            target_kbps: None,
            send_fps: 30.0,
            jitter_ms: Some(40.0),
            concealed_percent: 0.0,
            unopened: 0,
        },
        quality: Quality::Good,
        reasons: Vec::new(),
    }
}

fn code() -> Vec<Vec<bool>> {
    let text = format!("conclave:verify:1:{}", number().replace(' ', ""));
    let code = qrcode::QrCode::new(text).unwrap();
    let width = code.width();
    code.to_colors().chunks(width).map(|row| row.iter().map(|c| *c == qrcode::Color::Dark).collect()).collect()
}

/// A head and shoulders before a soft ground; `hue` (0..=1) tells people apart.
pub(crate) fn scene(width: usize, height: usize, hue: f32) -> Picture {
    let mut picture = Picture::black(width, height, Instant::now());
    let (cx, shoulder) = (width as f32 * 0.5, height as f32);
    let inside = |x: f32, y: f32| {
        let (dx, dy) = ((x - cx) / height as f32, (y - height as f32 * 0.42) / height as f32);
        let head = (dx / 0.15).powi(2) + (dy / 0.2).powi(2) < 1.0;
        let (sx, sy) = ((x - cx) / height as f32, (y - shoulder) / height as f32);
        let body = (sx / 0.36).powi(2) + (sy / 0.36).powi(2) < 1.0;
        (head, body)
    };
    for y in 0..height {
        for x in 0..width {
            let ground = 70.0 + 70.0 * (y as f32 / height as f32) + 20.0 * (x as f32 / width as f32);
            let (head, body) = inside(x as f32, y as f32);
            picture.y[y * width + x] = if head {
                172
            } else if body {
                60
            } else {
                ground as u8
            };
        }
    }
    let angle = hue * std::f32::consts::TAU;
    for y in 0..height / 2 {
        for x in 0..width / 2 {
            let (head, body) = inside(x as f32 * 2.0, y as f32 * 2.0);
            let (u, v) = if head {
                (112.0, 148.0)
            } else {
                let strength = if body { 34.0 } else { 16.0 };
                (128.0 + strength * angle.cos(), 128.0 + strength * angle.sin())
            };
            let at = y * (width / 2) + x;
            (picture.u[at], picture.v[at]) = (u as u8, v as u8);
        }
    }
    picture
}
