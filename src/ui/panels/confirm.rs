//! What is asked before something that cannot be taken back: leaving as the host, sending somebody out, handing over.

use egui::Ui;

use crate::engine::Command;
use crate::engine::view::{Heir, Peer, PeerId, Stage};
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{control, space};
use crate::ui::widgets::{Button, Kind, Sheet, note, sheet};

const WIDTH: f32 = 440.0;

/// How a host with others present wants to leave.
pub(super) fn leave(ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
    let Stage::Meeting(meeting) = &cx.view.stage else { return true };
    if !meeting.hosting || meeting.peers.is_empty() {
        return true;
    }
    let heir = match &meeting.heir {
        Some(Heir::Peer(name)) => Some(name.as_str()),
        _ => None,
    };
    let buttons = if heir.is_some() { 2.0 * control::TOOL + space::S } else { control::TOOL };
    let look = Sheet { title: strings::LEAVE_TITLE, width: WIDTH, footer: buttons };
    let mut sent = None;
    let closed = sheet(
        ui,
        &look,
        |ui| {
            match heir {
                Some(name) => note(ui, &strings::leave_to_explained(name)),
                None => note(ui, strings::LEAVE_NO_HEIR),
            };
        },
        |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            let width = ui.available_width();
            if let Some(name) = heir {
                let words = strings::leave_to(name);
                if Button::new(Kind::Primary, &words).large().width(width).show(ui).clicked() {
                    sent = Some(Command::LeaveToHeir);
                }
            }
            let end = Button::new(Kind::Danger, strings::END_FOR_EVERYONE).icon(Icon::PhoneOff).large().width(width);
            if end.show(ui).clicked() {
                sent = Some(Command::Leave);
            }
        },
    );
    let done = sent.is_some();
    if let Some(command) = sent {
        cx.send(command);
    }
    closed || done
}

/// Whether somebody is really to be sent out.
pub(super) fn remove(ui: &mut Ui, cx: &mut Cx<'_>, id: PeerId) -> bool {
    ask(ui, cx, id, |peer| Question {
        title: strings::remove_title(&peer.name),
        explained: strings::remove_explained(&peer.name),
        yes: strings::REMOVE_NOW,
        kind: Kind::Danger,
        icon: Icon::UserMinus,
        command: Command::Remove(id),
    })
}

/// Whether somebody is really to be made the host.
pub(super) fn hand_over(ui: &mut Ui, cx: &mut Cx<'_>, id: PeerId) -> bool {
    ask(ui, cx, id, |peer| Question {
        title: strings::hand_over_title(&peer.name),
        explained: strings::hand_over_explained(&peer.name),
        yes: strings::MAKE_HOST_NOW,
        kind: Kind::Primary,
        icon: Icon::Crown,
        command: Command::HandOver(id),
    })
}

struct Question {
    title: String,
    explained: String,
    yes: &'static str,
    kind: Kind,
    icon: Icon,
    command: Command,
}

/// Asks about a peer who is still there.
fn ask(ui: &mut Ui, cx: &mut Cx<'_>, id: PeerId, question: impl FnOnce(&Peer) -> Question) -> bool {
    let Stage::Meeting(meeting) = &cx.view.stage else { return true };
    let Some(peer) = meeting.peers.iter().find(|peer| peer.id == id) else { return true };
    let question = question(peer);
    let look = Sheet { title: &question.title, width: WIDTH, footer: control::HEIGHT };
    let (mut yes, mut no) = (false, false);
    let closed = sheet(
        ui,
        &look,
        |ui| {
            note(ui, &question.explained);
        },
        |ui| {
            ui.horizontal(|ui| {
                let half = (ui.available_width() - space::S) / 2.0;
                no = Button::new(Kind::Secondary, strings::CANCEL).width(half).show(ui).clicked();
                yes = Button::new(question.kind, question.yes).icon(question.icon).width(half).show(ui).clicked();
            });
        },
    );
    if yes {
        cx.send(question.command);
    }
    closed || yes || no
}
