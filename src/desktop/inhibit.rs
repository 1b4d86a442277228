//! A computer that stays awake. Whichever of three services is there is asked: the screen saver (its idle inhibition
//! interface), the desktop portal, or the login manager. Each lets go by itself when this program ends.

use std::collections::HashMap;

use zbus::Connection;
use zbus::zvariant::{OwnedFd, OwnedObjectPath, Value};

use super::Buses;
use super::bus::{self, Which};

const SAVER: (&str, &str, &str) =
    ("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver");
const PORTAL: (&str, &str, &str) =
    ("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop", "org.freedesktop.portal.Inhibit");
const LOGIN: (&str, &str, &str) =
    ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager");
/// Flags of the portal's `Inhibit`: neither sleep (4) nor idle (8).
const SLEEP_AND_IDLE: u32 = 4 | 8;

/// What keeps it awake, and is to be given back.
pub(super) enum Held {
    /// A number of the screen saver's.
    Saver(u32),
    /// A request of the portal's.
    Portal(OwnedObjectPath),
    /// A descriptor of the login manager's: closed, it lets go.
    Login(#[expect(dead_code, reason = "it is held, not read")] OwnedFd),
}

impl Held {
    /// Asks each service in turn. `None` where there is none: the computer then sleeps as it always does.
    pub(super) async fn take(session: Option<&Connection>, buses: &Buses, reason: &str) -> Option<Self> {
        if let Some(session) = session {
            match Self::saver(session, reason).await {
                Ok(held) => return Some(held),
                Err(error) => tracing::debug!(%error, "no screen saver to hold off"),
            }
            match Self::portal(session, reason).await {
                Ok(held) => return Some(held),
                Err(error) => tracing::debug!(%error, "no portal to keep the computer awake"),
            }
        }
        match Self::login(buses, reason).await {
            Ok(held) => Some(held),
            Err(error) => {
                tracing::debug!(%error, "nothing here keeps the computer awake");
                None
            }
        }
    }

    async fn saver(session: &Connection, reason: &str) -> zbus::Result<Self> {
        let (name, path, interface) = SAVER;
        let answer = session.call_method(Some(name), path, Some(interface), "Inhibit", &("Conclave", reason)).await?;
        Ok(Self::Saver(answer.body().deserialize()?))
    }

    async fn portal(session: &Connection, reason: &str) -> zbus::Result<Self> {
        let (name, path, interface) = PORTAL;
        let options: HashMap<&str, Value<'_>> = HashMap::from([("reason", Value::from(reason))]);
        let content = ("", SLEEP_AND_IDLE, options);
        let answer = session.call_method(Some(name), path, Some(interface), "Inhibit", &content).await?;
        Ok(Self::Portal(answer.body().deserialize()?))
    }

    async fn login(buses: &Buses, reason: &str) -> zbus::Result<Self> {
        let system = bus::join(buses, Which::System).await?;
        let (name, path, interface) = LOGIN;
        let content = ("idle", "Conclave", reason, "block");
        let answer = system.call_method(Some(name), path, Some(interface), "Inhibit", &content).await?;
        Ok(Self::Login(answer.body().deserialize()?))
    }

    /// Whether it still holds when the session's bus is gone.
    pub(super) fn outlives_session(&self) -> bool {
        matches!(self, Self::Login(_))
    }

    /// Gives it back.
    pub(super) async fn release(self, session: Option<&Connection>) {
        let released = match (&self, session) {
            (Self::Saver(cookie), Some(session)) => {
                let (name, path, interface) = SAVER;
                session.call_method(Some(name), path, Some(interface), "UnInhibit", cookie).await
            }
            (Self::Portal(request), Some(session)) => {
                let interface = "org.freedesktop.portal.Request";
                session.call_method(Some(PORTAL.0), request, Some(interface), "Close", &()).await
            }
            _ => return,
        };
        if let Err(error) = released {
            tracing::debug!(%error, "what kept the computer awake could not be given back");
        }
    }
}
