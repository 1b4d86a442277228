//! The session engine: it owns the meeting, the devices and the network, and tells the window what may be shown.

pub mod command;
pub mod event;
pub mod view;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

pub use command::{Command, Intent, Verdict};
pub use event::Event;
pub use view::{LinkCheck, View};

/// The one thing a window (or a headless run) holds of the engine.
///
/// Nothing here waits: commands are queued, the view is read as it stands, and events are drained.
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<Event>,
    view: watch::Receiver<Arc<View>>,
}

impl Handle {
    /// Joins the three ends that a window holds. Whoever holds the other ends is the engine (or, in a window's test, a script).
    pub fn new(
        commands: mpsc::UnboundedSender<Command>,
        events: mpsc::UnboundedReceiver<Event>,
        view: watch::Receiver<Arc<View>>,
    ) -> Self {
        Self { commands, events, view }
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
