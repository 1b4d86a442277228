//! The desktop around the window: a second start that hands its link over, notifications, a tray icon, and a computer that
//! does not fall asleep during a meeting.
//!
//! Nothing here decides anything of a meeting. The window says what is to be seen outside of it ([`Request`]) and hears what
//! a person did there ([`Event`]). A desktop that offers none of it is no error: everything is then simply not shown.

pub mod instance;

#[cfg(target_os = "linux")]
mod bus;
#[cfg(target_os = "linux")]
mod inhibit;
#[cfg(target_os = "linux")]
mod menu;
#[cfg(target_os = "linux")]
mod notify;
#[cfg(target_os = "linux")]
mod tray;

use std::sync::{Arc, mpsc};

use tokio::sync::{mpsc as queue, oneshot};

use self::instance::First;

/// The name by which desktops know this program: of its `.desktop` file, its icons and its windows.
pub const APP_ID: &str = "io.github.conclave_meet.Conclave";

/// Wakes the window from any thread: an [`Event`] waits.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What waits for the desktop at most. More is refused: the window tries again, or lets it be.
const REQUESTS: usize = 16;
/// What waits for the window at most. More is dropped: nobody clicks that fast.
const EVENTS: usize = 16;

/// What a notification is about. Each has one place on the screen: a new one takes the place of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Somebody is at the door.
    Knock,
    /// The connection to the others was lost, or is there again.
    Connection,
}

/// A notification, in words for the person.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub topic: Topic,
    /// The line that stands out.
    pub title: String,
    /// The rest. What others wrote may be in it: it is shown as plain text.
    pub body: String,
}

/// The tray icon and its menu, in words for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tray {
    /// What the icon says when it is pointed at.
    pub title: String,
    /// The icon shows that the microphone is muted.
    pub muted: bool,
    /// Entry that brings the window to the front.
    pub show: String,
    /// Entry that mutes or unmutes.
    pub mute: String,
    /// Entry that leaves the meeting.
    pub leave: String,
}

/// A meeting, as far as the desktop has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Why the computer stays awake, in words for the person: some desktops show it.
    pub reason: String,
    /// The tray icon, if one is wanted.
    pub tray: Option<Tray>,
}

/// What the window asks of the desktop.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Shows a notification.
    Notify(Notice),
    /// Takes all notifications back: the person has come.
    Withdraw,
    /// In a meeting (the computer stays awake, the tray icon is there), or in none.
    Meeting(Option<Presence>),
}

/// What a person did outside of the window. It may hold a link: it has no `Debug`.
pub enum Event {
    /// The window is wanted in front.
    Show,
    /// The tray's entry that mutes or unmutes was chosen.
    ToggleMute,
    /// The tray's entry that leaves was chosen.
    Leave,
    /// The program was started again.
    Started(Started),
}

/// A second start of the program.
pub struct Started {
    /// The link it was given, if any. Anybody who can run programs as this person can send one: it is shown, never followed.
    pub link: Option<String>,
    taken: oneshot::Sender<()>,
}

impl Started {
    /// The link, and word to the second start that it may end.
    pub fn take(self) -> Option<String> {
        let _ = self.taken.send(());
        self.link
    }
}

/// Where the window's events go.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::SyncSender<Event>,
    wake: Wake,
}

impl Events {
    /// Queues an event and wakes the window; `false` when it is full or gone.
    pub fn send(&self, event: Event) -> bool {
        let sent = self.sender.try_send(event).is_ok();
        if sent {
            (self.wake)();
        }
        sent
    }

    /// Tells the window of a second start. The answer says that the window has seen it, or, by its end, that it never will.
    pub fn started(&self, link: Option<String>) -> Option<oneshot::Receiver<()>> {
        let (taken, seen) = oneshot::channel();
        self.send(Event::Started(Started { link, taken })).then_some(seen)
    }
}

/// The window's ends: requests go in, events come out, and nothing waits.
pub struct Desktop {
    requests: queue::Sender<Request>,
    events: mpsc::Receiver<Event>,
}

impl Desktop {
    /// Both ends without anything between them; what [`Desktop::start`] joins, and what a test holds.
    pub fn ends(wake: Wake) -> (Self, queue::Receiver<Request>, Events) {
        let (requests, asked) = queue::channel(REQUESTS);
        let (sender, events) = mpsc::sync_channel(EVENTS);
        (Self { requests, events }, asked, Events { sender, wake })
    }

    /// Starts the thread that talks to the desktop and, with `first`, listens for further starts of the program. Nothing is
    /// contacted before something is asked for.
    pub fn start(buses: Buses, first: Option<First>, wake: Wake) -> Self {
        let (desktop, asked, events) = Self::ends(wake);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    tokio::join!(serve(buses, asked, events.clone()), listen(first, events));
                }),
                Err(error) => tracing::warn!(%error, "nothing of the desktop is used"),
            }
        };
        if let Err(error) = std::thread::Builder::new().name("desktop".into()).spawn(run) {
            tracing::warn!(%error, "nothing of the desktop is used");
        }
        desktop
    }

    /// Queues a request; `false` when it was not taken.
    pub fn ask(&self, request: Request) -> bool {
        self.requests.try_send(request).is_ok()
    }

    /// The next thing that a person did outside of the window, if any.
    pub fn next_event(&self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// The message buses to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buses {
    /// Address of the session's bus (D-Bus specification, "Server Addresses"); `None` for the one that the environment names.
    pub session: Option<String>,
    /// Address of the system's bus; `None` likewise.
    pub system: Option<String>,
}

#[cfg(target_os = "linux")]
async fn serve(buses: Buses, asked: queue::Receiver<Request>, events: Events) {
    bus::serve(buses, asked, events).await;
}

/// Elsewhere the window asks for attention by its own means, and nothing more.
#[cfg(not(target_os = "linux"))]
async fn serve(_buses: Buses, mut asked: queue::Receiver<Request>, _events: Events) {
    while asked.recv().await.is_some() {}
}

async fn listen(first: Option<First>, events: Events) {
    if let Some(first) = first {
        first.serve(events).await;
    }
}
