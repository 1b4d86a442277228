//! The session engine: it owns the meeting, the devices and the network, and tells the window what may be shown.

pub mod command;
pub mod compare;
pub mod countries;
mod devices;
mod entrance;
pub mod event;
mod hear_myself;
mod hosting;
mod input;
mod invites;
mod links;
pub mod measure;
mod member;
mod mending;
mod network;
mod outbox;
mod paths;
mod peer_path;
mod picture_in;
mod picture_out;
pub mod pins;
mod playout;
pub mod process;
mod publish;
pub mod quality;
mod receiving;
mod recording;
mod roles;
mod room;
pub mod routes;
pub mod series;
mod session;
mod sound_in;
mod sound_out;
mod start;
mod statistics;
pub mod store;
mod trust;
pub mod view;
pub mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

pub use command::{Command, Intent, InviteWish, Verdict};
pub use event::Event;
pub use links::link_checker;
pub use start::{EngineOptions, StartError, Wake, start};
pub use view::{LinkCheck, View};

/// The one thing a window (or a headless run) holds of the engine.
///
/// Nothing here waits: commands are queued, the view is read as it stands, and events are drained.
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<Event>,
    view: watch::Receiver<Arc<View>>,
    thread: Option<JoinHandle<()>>,
}

/// Locks, whatever became of the thread that held it before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At the end, the engine may take this long to say goodbye and release the devices.
const FAREWELL: Duration = Duration::from_secs(2);

impl Handle {
    /// Joins the three ends that a window holds. Whoever holds the other ends is the engine (or, in a window's test, a script).
    pub fn new(
        commands: mpsc::UnboundedSender<Command>,
        events: mpsc::UnboundedReceiver<Event>,
        view: watch::Receiver<Arc<View>>,
    ) -> Self {
        Self { commands, events, view, thread: None }
    }

    /// The same, with the engine's thread: dropping the handle ends the engine in good order, and waits for that.
    pub(crate) fn with_thread(mut self, thread: JoinHandle<()>) -> Self {
        self.thread = Some(thread);
        self
    }

    /// Queues a command. After the engine has stopped it does nothing.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// The newest truth.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The next thing that happened, if any.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Waits until the view has changed; `false` when the engine has stopped.
    pub async fn changed(&mut self) -> bool {
        self.view.changed().await.is_ok()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.send(Command::Quit);
        let until = Instant::now() + FAREWELL;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The system's random source (ring), for all keys of this program.
pub struct SystemEntropy;

impl crate::crypto::entropy::Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        use ring::rand::SecureRandom;
        // A system that gives no randomness gives no security either: there is no way on that would not be a lie.
        if ring::rand::SystemRandom::new().fill(out).is_err() {
            tracing::error!("the system's random source failed; ending at once");
            std::process::abort();
        }
    }
}

/// Seconds since 1970, as this computer's clock says.
pub(crate) fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
