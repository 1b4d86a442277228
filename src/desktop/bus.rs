//! Takes the window's requests to the session's message bus (D-Bus), one by one. A service that is not there, or does not
//! answer, costs seconds of this thread and nothing else.

use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::{Connection, Message, MessageStream};

use super::inhibit::Held;
use super::notify::Shown;
use super::tray::Icon;
use super::{Buses, Event, Events, Presence, Request};

/// A service may take so long to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// One of the two buses.
#[derive(Clone, Copy)]
pub(super) enum Which {
    Session,
    System,
}

/// Joins a bus; waits three seconds at most.
pub(super) async fn join(buses: &Buses, which: Which) -> zbus::Result<Connection> {
    let builder = match (which, &buses.session, &buses.system) {
        (Which::Session, Some(address), _) | (Which::System, _, Some(address)) => Builder::address(address.as_str())?,
        (Which::Session, ..) => Builder::session()?,
        (Which::System, ..) => Builder::system()?,
    };
    finish(builder).await
}

/// Builds a connection, with a bound on that and on every call over it.
pub(super) async fn finish(builder: Builder<'_>) -> zbus::Result<Connection> {
    match timeout(ANSWER, builder.method_timeout(ANSWER).build()).await {
        Ok(joined) => joined,
        Err(_) => Err(zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::TimedOut.into()))),
    }
}

/// The next message of a stream, if there is a stream. `None`: its connection has ended.
pub(super) async fn next(stream: Option<&mut MessageStream>) -> Option<Message> {
    let Some(stream) = stream else { return pending().await };
    loop {
        match stream.next().await {
            Some(Ok(message)) => return Some(message),
            Some(Err(_)) => {}
            None => return None,
        }
    }
}

/// What is held of the desktop just now.
struct Bus {
    buses: Buses,
    events: Events,
    session: Option<Session>,
    present: Option<Presence>,
    held: Option<Held>,
    icon: Option<Icon>,
}

struct Session {
    connection: Connection,
    shown: Shown,
}

/// Serves until the window is gone, and lets go of everything then.
pub(super) async fn serve(buses: Buses, mut asked: Receiver<Request>, events: Events) {
    let mut bus = Bus { buses, events, session: None, present: None, held: None, icon: None };
    loop {
        let Bus { session, icon, .. } = &mut bus;
        tokio::select! {
            request = asked.recv() => match request {
                Some(Request::Meeting(present)) => bus.meeting(present).await,
                Some(Request::Notify(notice)) => {
                    if let Some(session) = bus.session().await {
                        session.shown.show(&session.connection, &notice).await;
                    }
                }
                Some(Request::Withdraw) => {
                    if let Some(session) = &mut bus.session {
                        session.shown.withdraw(&session.connection).await;
                    }
                }
                None => break,
            },
            signal = next(session.as_mut().map(|session| &mut session.shown.signals)) => bus.heard(signal.as_ref()),
            host = next(icon.as_mut().map(|icon| &mut icon.hosts)) => match (host, &bus.icon) {
                (Some(_), Some(icon)) => icon.register().await,
                _ => bus.icon = None,
            },
        }
    }
    bus.meeting(None).await;
    if let Some(session) = &mut bus.session {
        session.shown.withdraw(&session.connection).await;
    }
}

impl Bus {
    /// The session's bus, joined when something is first asked of it.
    async fn session(&mut self) -> Option<&mut Session> {
        if self.session.is_none() {
            let joined = match join(&self.buses, Which::Session).await {
                Ok(connection) => Shown::new(&connection).await.map(|shown| Session { connection, shown }),
                Err(error) => Err(error),
            };
            match joined {
                Ok(session) => self.session = Some(session),
                Err(error) => tracing::debug!(%error, "no session bus"),
            }
        }
        self.session.as_mut()
    }

    fn heard(&mut self, signal: Option<&Message>) {
        match (signal, &mut self.session) {
            (Some(signal), Some(session)) => {
                if session.shown.is_click(signal) {
                    self.events.send(Event::Show);
                }
            }
            // The bus is gone, and with it whatever was held over it.
            _ => {
                self.session = None;
                self.held = self.held.take().filter(Held::outlives_session);
            }
        }
    }

    async fn meeting(&mut self, present: Option<Presence>) {
        match &present {
            Some(presence) => {
                if self.held.is_none() {
                    let connection = self.session().await.map(|session| session.connection.clone());
                    self.held = Held::take(connection.as_ref(), &self.buses, &presence.reason).await;
                }
            }
            None => {
                if let Some(held) = self.held.take() {
                    held.release(self.session.as_ref().map(|session| &session.connection)).await;
                }
            }
        }
        match (present.as_ref().and_then(|presence| presence.tray.clone()), &self.icon) {
            (None, _) => {
                if let Some(icon) = self.icon.take() {
                    icon.remove().await;
                }
            }
            (Some(tray), Some(icon)) => icon.change(tray).await,
            (Some(tray), None) => match Icon::show(&self.buses, tray, self.events.clone()).await {
                Ok(icon) => self.icon = Some(icon),
                Err(error) => tracing::debug!(%error, "no tray icon"),
            },
        }
        self.present = present;
    }
}
