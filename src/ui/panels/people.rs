//! Who is here, and who is at the door.

use egui::{Rect, Ui};

use super::{door, person, side};
use crate::engine::view::{Heir, Meeting};
use crate::ui::app::{Cx, Sheet};
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{Button, Kind, caption, icon_line};

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, place: Rect) {
    let closed = side(ui, place, strings::PEOPLE, |ui| {
        door::section(ui, cx, meeting);
        caption(ui, &strings::in_the_meeting(meeting.peers.len() + 1));
        person::own(ui, cx, meeting);
        for peer in &meeting.peers {
            person::other(ui, cx, meeting, peer);
        }
        if meeting.peers.is_empty() {
            return;
        }
        ui.add_space(space::XS);
        let width = ui.available_width();
        let verify = Button::new(Kind::Secondary, strings::VERIFY_EVERYONE_MORE).icon(Icon::Shield).width(width);
        if verify.show(ui).clicked() {
            cx.local.sheet = Some(Sheet::Everyone);
        }
        ui.add_space(space::XS);
        heir(ui, meeting);
    });
    if closed {
        cx.local.panel = None;
    }
}

/// Who takes over if the host is lost.
fn heir(ui: &mut Ui, meeting: &Meeting) {
    let words = match &meeting.heir {
        Some(Heir::Own) => strings::YOU_TAKE_OVER.to_owned(),
        Some(Heir::Peer(name)) => strings::takes_over(name),
        None => strings::NOBODY_TAKES_OVER.to_owned(),
    };
    icon_line(ui, Icon::Crown, words, tokens(ui.ctx()).secondary);
}
