//! Notifications, tray icon and a computer that stays awake, on a private message bus with stand-ins for the services.
#![cfg(all(feature = "desktop", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(missing_docs, reason = "the macro makes a method for each signal")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use conclave::desktop::{Buses, Desktop, Event, Notice, Presence, Request, Topic, Tray};
use zbus::connection::Builder;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{OwnedFd, OwnedObjectPath, OwnedValue};
use zbus::{Connection, interface};

/// Far longer than anything here takes: a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message bus that nobody else uses.
struct Bus {
    daemon: Child,
    address: String,
}

impl Bus {
    fn start() -> Self {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { daemon, address: address.trim().to_owned() }
    }

    fn buses(&self) -> Buses {
        Buses { session: Some(self.address.clone()), system: Some(self.address.clone()) }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// What the stand-ins were told, in order.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Notified { id: u32, replaces: u32, title: String, body: String },
    Closed(u32),
    Awake(u32, String),
    Asleep(u32),
    Item(String),
}

struct Notifications {
    told: mpsc::Sender<Told>,
    last: u32,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    fn get_capabilities(&self) -> Vec<String> {
        vec!["actions".to_owned(), "body".to_owned(), "body-markup".to_owned()]
    }

    #[expect(clippy::too_many_arguments, reason = "the specification has them")]
    fn notify(
        &mut self,
        _app: &str,
        replaces: u32,
        _icon: &str,
        title: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expires: i32,
    ) -> u32 {
        assert_eq!(actions[0], "default");
        if replaces == 0 {
            self.last += 1;
        }
        let id = if replaces == 0 { self.last } else { replaces };
        self.told.send(Told::Notified { id, replaces, title, body }).unwrap();
        id
    }

    fn close_notification(&self, id: u32) {
        self.told.send(Told::Closed(id)).unwrap();
    }

    #[zbus(signal)]
    async fn action_invoked(emitter: &SignalEmitter<'_>, id: u32, action: &str) -> zbus::Result<()>;
}

struct Saver(mpsc::Sender<Told>);

#[interface(name = "org.freedesktop.ScreenSaver")]
impl Saver {
    fn inhibit(&self, app: &str, reason: String) -> u32 {
        assert_eq!(app, "Conclave");
        self.0.send(Told::Awake(77, reason)).unwrap();
        77
    }

    #[zbus(name = "UnInhibit")]
    fn uninhibit(&self, cookie: u32) {
        self.0.send(Told::Asleep(cookie)).unwrap();
    }
}

struct Portal(mpsc::Sender<Told>);

#[interface(name = "org.freedesktop.portal.Inhibit")]
impl Portal {
    fn inhibit(&self, window: &str, flags: u32, options: HashMap<String, OwnedValue>) -> OwnedObjectPath {
        assert_eq!(window, "");
        let reason = options["reason"].downcast_ref::<String>().unwrap();
        self.0.send(Told::Awake(flags, reason)).unwrap();
        OwnedObjectPath::try_from("/request/1").unwrap()
    }
}

struct PortalRequest(mpsc::Sender<Told>);

#[interface(name = "org.freedesktop.portal.Request")]
impl PortalRequest {
    fn close(&self) {
        self.0.send(Told::Asleep(0)).unwrap();
    }
}

/// Gives out one end of a socket and keeps the other: it ends when what was given out is closed.
struct Login(mpsc::Sender<std::os::unix::net::UnixStream>);

#[interface(name = "org.freedesktop.login1.Manager")]
impl Login {
    fn inhibit(&self, what: &str, _who: &str, _why: &str, mode: &str) -> OwnedFd {
        assert_eq!((what, mode), ("idle", "block"));
        let (kept, given) = std::os::unix::net::UnixStream::pair().unwrap();
        self.0.send(kept).unwrap();
        std::os::fd::OwnedFd::from(given).into()
    }
}

struct Watcher(mpsc::Sender<Told>);

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        self.0.send(Told::Item(service)).unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn builder(bus: &Bus) -> Builder<'_> {
    Builder::address(bus.address.as_str()).unwrap()
}

fn heard(told: &mpsc::Receiver<Told>) -> Told {
    told.recv_timeout(PATIENCE).expect("the service is told")
}

/// A desktop on this bus, and a bell that rings when it has an event.
fn desktop(bus: &Bus) -> (Desktop, mpsc::Receiver<()>) {
    let (ring, bell) = mpsc::channel();
    let ring = std::sync::Mutex::new(ring);
    let wake = Arc::new(move || {
        let _ = ring.lock().unwrap().send(());
    });
    (Desktop::start(bus.buses(), None, wake), bell)
}

fn event(desktop: &Desktop, bell: &mpsc::Receiver<()>) -> Event {
    bell.recv_timeout(PATIENCE).expect("something happens");
    desktop.next_event().unwrap()
}

fn notice(topic: Topic, title: &str, body: &str) -> Request {
    Request::Notify(Notice { topic, title: title.to_owned(), body: body.to_owned() })
}

fn tray(muted: bool) -> Tray {
    let mute = if muted { "Unmute" } else { "Mute" };
    Tray {
        title: "In a meeting".to_owned(),
        muted,
        show: "Show".to_owned(),
        mute: mute.to_owned(),
        leave: "Leave".to_owned(),
    }
}

fn presence(tray: Option<Tray>) -> Request {
    Request::Meeting(Some(Presence { reason: "In a meeting".to_owned(), tray }))
}

#[test]
fn a_notice_takes_the_place_of_the_last_brings_the_window_when_clicked_and_is_withdrawn() {
    let bus = Bus::start();
    let (tell, told) = mpsc::channel();
    let runtime = runtime();
    let server = Notifications { told: tell, last: 0 };
    let service = builder(&bus).serve_at("/org/freedesktop/Notifications", server).unwrap();
    let service = service.name("org.freedesktop.Notifications").unwrap();
    let service: Connection = runtime.block_on(service.build()).unwrap();
    let (desktop, bell) = desktop(&bus);

    assert!(desktop.ask(notice(Topic::Knock, "Somebody asks to join", "<i>Ana</i> & co")));
    let body = "&lt;i&gt;Ana&lt;/i&gt; &amp; co".to_owned();
    let title = "Somebody asks to join".to_owned();
    assert_eq!(heard(&told), Told::Notified { id: 1, replaces: 0, title, body });
    assert!(desktop.ask(notice(Topic::Connection, "Lost", "")));
    assert!(matches!(heard(&told), Told::Notified { id: 2, replaces: 0, .. }));
    assert!(desktop.ask(notice(Topic::Knock, "Again", "")));
    assert!(matches!(heard(&told), Told::Notified { id: 1, replaces: 1, .. }));

    let click = |id: u32, action: &str| {
        let emitter = SignalEmitter::new(&service, "/org/freedesktop/Notifications").unwrap();
        runtime.block_on(Notifications::action_invoked(&emitter, id, action)).unwrap();
    };
    // Those of other programs are none of ours; the one click that is, is the one event.
    click(9, "default");
    click(1, "other");
    click(1, "default");
    assert!(matches!(event(&desktop, &bell), Event::Show));
    assert!(desktop.ask(Request::Withdraw));
    assert_eq!([heard(&told), heard(&told)], [Told::Closed(1), Told::Closed(2)]);
    assert!(desktop.next_event().is_none());
}

#[test]
fn the_computer_stays_awake_for_as_long_as_a_meeting_lasts() {
    let bus = Bus::start();
    let (tell, told) = mpsc::channel();
    let service = builder(&bus).serve_at("/org/freedesktop/ScreenSaver", Saver(tell)).unwrap();
    let service = service.name("org.freedesktop.ScreenSaver").unwrap();
    let _service = runtime().block_on(service.build()).unwrap();
    let (desktop, _bell) = desktop(&bus);

    assert!(desktop.ask(presence(None)));
    assert_eq!(heard(&told), Told::Awake(77, "In a meeting".to_owned()));
    // Something about the meeting changes: it is held once.
    assert!(desktop.ask(presence(Some(tray(true)))));
    assert!(desktop.ask(Request::Meeting(None)));
    assert_eq!(heard(&told), Told::Asleep(77));
    // The window closes in the middle of the next.
    assert!(desktop.ask(presence(None)));
    assert!(matches!(heard(&told), Told::Awake(77, _)));
    drop(desktop);
    assert_eq!(heard(&told), Told::Asleep(77));
}

#[test]
fn without_a_screen_saver_the_portal_is_asked() {
    let bus = Bus::start();
    let (tell, told) = mpsc::channel();
    let service = builder(&bus).serve_at("/org/freedesktop/portal/desktop", Portal(tell.clone())).unwrap();
    let service = service.serve_at("/request/1", PortalRequest(tell)).unwrap();
    let service = service.name("org.freedesktop.portal.Desktop").unwrap();
    let _service = runtime().block_on(service.build()).unwrap();
    let (desktop, _bell) = desktop(&bus);

    assert!(desktop.ask(presence(None)));
    assert_eq!(heard(&told), Told::Awake(12, "In a meeting".to_owned()));
    assert!(desktop.ask(Request::Meeting(None)));
    assert_eq!(heard(&told), Told::Asleep(0));
}

#[test]
fn without_either_the_login_manager_is_asked() {
    let bus = Bus::start();
    let (tell, told) = mpsc::channel();
    let service = builder(&bus).serve_at("/org/freedesktop/login1", Login(tell)).unwrap();
    let service = service.name("org.freedesktop.login1").unwrap();
    let _service = runtime().block_on(service.build()).unwrap();
    let (desktop, _bell) = desktop(&bus);

    assert!(desktop.ask(presence(None)));
    let mut kept = told.recv_timeout(PATIENCE).expect("the login manager is asked");
    kept.set_nonblocking(true).unwrap();
    let open = std::io::Read::read(&mut kept, &mut [0]).unwrap_err();
    assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock, "it is held");
    kept.set_nonblocking(false).unwrap();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(desktop.ask(Request::Meeting(None)));
    assert_eq!(std::io::Read::read(&mut kept, &mut [0]).unwrap(), 0, "it was let go");
}

/// Calls the tray icon as a host does.
struct Host {
    connection: Connection,
    item: String,
}

impl Host {
    async fn call<B: serde::Serialize + zbus::zvariant::DynamicType>(
        &self,
        at: (&str, &str),
        what: &str,
        with: &B,
    ) -> zbus::Result<zbus::Message> {
        self.connection.call_method(Some(self.item.as_str()), at.0, Some(at.1), what, with).await
    }

    /// The words of the menu, in order.
    async fn menu(&self) -> Vec<String> {
        let answer = self.call(MENU, "GetLayout", &(0_i32, -1_i32, Vec::<String>::new())).await.unwrap();
        type Properties = HashMap<String, OwnedValue>;
        let (_, (_, _, children)): (u32, (i32, Properties, Vec<OwnedValue>)) = answer.body().deserialize().unwrap();
        let entries = children.into_iter().map(|child| <(i32, Properties, Vec<OwnedValue>)>::try_from(child).unwrap());
        entries.filter_map(|(_, all, _)| all.get("label")?.downcast_ref::<String>().ok()).collect()
    }
}

const ITEM: (&str, &str) = ("/StatusNotifierItem", "org.kde.StatusNotifierItem");
const MENU: (&str, &str) = ("/MenuBar", "com.canonical.dbusmenu");

#[test]
fn the_tray_icon_is_there_during_a_meeting_shows_mutes_and_leaves() {
    let bus = Bus::start();
    let (tell, told) = mpsc::channel();
    let runtime = runtime();
    let (desktop, bell) = desktop(&bus);

    // There is no tray yet: no error. It comes later and is told.
    assert!(desktop.ask(presence(Some(tray(false)))));
    let watcher = builder(&bus).serve_at("/StatusNotifierWatcher", Watcher(tell)).unwrap();
    let watcher = watcher.name("org.kde.StatusNotifierWatcher").unwrap();
    let connection = runtime.block_on(watcher.build()).unwrap();
    let Told::Item(item) = heard(&told) else { panic!("the icon is told of") };
    let host = Host { connection, item };
    runtime.block_on(async {
        assert_eq!(host.menu().await, ["Show", "Mute", "Leave"]);
        let properties = ("/StatusNotifierItem", "org.freedesktop.DBus.Properties");
        let answer = host.call(properties, "Get", &(ITEM.1, "Menu")).await.unwrap();
        let path: OwnedObjectPath = answer.body().deserialize::<OwnedValue>().unwrap().try_into().unwrap();
        assert_eq!(path.as_str(), MENU.0);
        assert!(host.call(properties, "GetAll", &ITEM.1).await.is_ok());

        host.call(ITEM, "Activate", &(3_i32, 4_i32)).await.unwrap();
    });
    assert!(matches!(event(&desktop, &bell), Event::Show));
    let click = |entry: i32| {
        let data = zbus::zvariant::Value::from(0_i32);
        runtime.block_on(host.call(MENU, "Event", &(entry, "clicked", data, 0_u32)))
    };
    click(2).unwrap();
    assert!(matches!(event(&desktop, &bell), Event::ToggleMute));
    click(4).unwrap();
    assert!(matches!(event(&desktop, &bell), Event::Leave));
    assert!(click(5).is_err(), "there is no such entry");

    assert!(desktop.ask(presence(Some(tray(true)))));
    // Requests are served in order, yet without an answer: wait until the host would see it.
    let until = std::time::Instant::now() + PATIENCE;
    while runtime.block_on(host.menu()) != ["Show", "Unmute", "Leave"] {
        assert!(std::time::Instant::now() < until, "the menu says what the window does");
    }
    assert!(desktop.ask(Request::Meeting(None)));
    while runtime.block_on(host.call(ITEM, "Activate", &(0_i32, 0_i32))).is_ok() {
        assert!(std::time::Instant::now() < until, "after the meeting there is no icon");
    }
}

#[test]
fn a_desktop_without_a_bus_is_no_error() {
    let nowhere = Some("unix:path=/nonexistent/bus".to_owned());
    let desktop = Desktop::start(Buses { session: nowhere.clone(), system: nowhere }, None, Arc::new(|| {}));
    assert!(desktop.ask(presence(Some(tray(false)))));
    assert!(desktop.ask(notice(Topic::Knock, "Somebody", "")));
    assert!(desktop.ask(Request::Meeting(None)));
    assert!(desktop.next_event().is_none());
}
