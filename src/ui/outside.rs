//! What the window tells the desktop around it, and what it is told: notifications while nobody looks, the tray icon, and
//! links that another start of the program hands over. None of it knows more than the view says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use egui::{Context, RawInput, ViewportCommand};

use super::clipboard::Clipboard;
use super::strings;
use crate::desktop::{Desktop, Event, Notice, Presence, Request, Topic, Tray};
use crate::engine::View;
use crate::engine::view::{Meeting, PeerLink, Stage};

/// At most one notification about the same in this time: knocks come from strangers.
const GAP: Duration = Duration::from_secs(5);

/// The window's side of the desktop.
#[derive(Default)]
pub(crate) struct Outside {
    desktop: Option<Desktop>,
    /// The meeting as the desktop knows it.
    told: Option<Presence>,
    /// The connection to everyone is lost.
    lost: bool,
    /// When something was last notified, while it may still be on the screen.
    notified: BTreeMap<Topic, Instant>,
    clipboard: Clipboard,
}

impl Outside {
    pub(crate) fn new(desktop: Option<Desktop>) -> Self {
        Self { desktop, ..Self::default() }
    }

    /// The next thing that a person did outside of the window.
    pub(crate) fn next_event(&self) -> Option<Event> {
        self.desktop.as_ref().and_then(Desktop::next_event)
    }

    /// Tells the desktop what has changed. Nothing here waits.
    pub(crate) fn follow(&mut self, ctx: &Context, view: &View, now: Instant) {
        let present = presence(view);
        if present != self.told && self.ask(Request::Meeting(present.clone())) {
            self.told = present;
        }
        if !is_away(ctx) && !self.notified.is_empty() && self.ask(Request::Withdraw) {
            self.notified.clear();
        }
        let lost = matches!(&view.stage, Stage::Meeting(meeting) if is_lost(meeting));
        if lost != self.lost {
            self.lost = lost;
            let title = if lost { strings::NOTICE_LOST } else { strings::NOTICE_BACK };
            // A meeting that has ended is not a connection that is back.
            if lost || matches!(view.stage, Stage::Meeting(_)) {
                self.notify(ctx, view, now, Topic::Connection, title.to_owned(), String::new());
            }
        }
        self.clear_clipboard(ctx, now);
    }

    /// Somebody is at the door.
    pub(crate) fn knock(&mut self, ctx: &Context, view: &View, now: Instant) {
        let name = match &view.stage {
            Stage::Meeting(meeting) if view.settings.desktop.notification_content => {
                meeting.knocks.last().map(|knock| knock.name.as_str())
            }
            _ => None,
        };
        let title = name.map_or_else(|| strings::NOTICE_KNOCK.to_owned(), strings::notice_knock);
        self.notify(ctx, view, now, Topic::Knock, title, strings::NOTICE_KNOCK_EXPLAINED.to_owned());
    }

    fn notify(&mut self, ctx: &Context, view: &View, now: Instant, topic: Topic, title: String, body: String) {
        let soon = self.notified.get(&topic).is_some_and(|last| now < *last + GAP);
        // That it is back replaces that it was lost, however short it was.
        let soon = soon && topic != Topic::Connection;
        let wanted = view.settings.desktop.notifications && is_away(ctx) && !soon;
        if wanted && self.ask(Request::Notify(Notice { topic, title, body })) {
            self.notified.insert(topic, now);
        }
    }

    fn ask(&self, request: Request) -> bool {
        self.desktop.as_ref().is_some_and(|desktop| desktop.ask(request))
    }

    /// An invite was copied.
    pub(crate) fn copied(&mut self, link: String, view: &View, now: Instant) {
        if view.settings.desktop.clear_clipboard {
            self.clipboard.copied(link, now);
        }
    }

    fn clear_clipboard(&mut self, ctx: &Context, now: Instant) {
        // A window that is not drawn gets no answer: it asks when it is seen again.
        if is_hidden(ctx) {
            return;
        }
        if self.clipboard.due(now) {
            ctx.send_viewport_cmd(ViewportCommand::RequestPaste);
        } else if self.clipboard.take_clear() {
            ctx.copy_text(String::new());
        }
        if let Some(wait) = self.clipboard.wait(now) {
            ctx.request_repaint_after(wait);
        }
    }

    /// Sees an input before the window does.
    pub(crate) fn read_input(&mut self, input: &mut RawInput) {
        self.clipboard.read(&mut input.events);
    }
}

/// Brings the window to the front, as far as the desktop allows a program to.
pub(crate) fn raise(ctx: &Context) {
    ctx.send_viewport_cmd(ViewportCommand::Minimized(false));
    ctx.send_viewport_cmd(ViewportCommand::Visible(true));
    ctx.send_viewport_cmd(ViewportCommand::Focus);
    if is_away(ctx) {
        let attention = egui::UserAttentionType::Informational;
        ctx.send_viewport_cmd(ViewportCommand::RequestUserAttention(attention));
    }
    ctx.request_repaint();
}

/// Whether the person looks at something else.
fn is_away(ctx: &Context) -> bool {
    is_hidden(ctx) || !ctx.input(|input| input.focused)
}

/// Whether nothing of the window is to be seen.
fn is_hidden(ctx: &Context) -> bool {
    ctx.input(|input| input.viewport().minimized == Some(true) || input.viewport().occluded == Some(true))
}

/// Nobody of those who were there can be reached.
fn is_lost(meeting: &Meeting) -> bool {
    !meeting.peers.is_empty() && meeting.peers.iter().all(|peer| peer.link == PeerLink::Reconnecting)
}

fn presence(view: &View) -> Option<Presence> {
    if !matches!(view.stage, Stage::Meeting(_)) {
        return None;
    }
    let muted = !view.own.mic_on;
    let tray = view.settings.desktop.tray.then(|| Tray {
        title: if muted { strings::TRAY_MUTED } else { strings::TRAY_HEARD }.to_owned(),
        muted,
        show: strings::TRAY_SHOW.to_owned(),
        mute: if muted { strings::TRAY_UNMUTE } else { strings::TRAY_MUTE }.to_owned(),
        leave: strings::TRAY_LEAVE.to_owned(),
    });
    Some(Presence { reason: strings::STAYS_AWAKE.to_owned(), tray })
}
