//! Who is let in, who is not heard, and what a link gives away.

use egui::{Align, Layout, Ui};

use super::change;
use crate::engine::Command;
use crate::ui::app::Cx;
use crate::ui::strings;
use crate::ui::theme::{Weight, size, space, tokens};
use crate::ui::widgets::{Button, Kind, caption, note, strong, switch, text};

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) {
    let settings = cx.view.settings.clone();
    if switch(ui, strings::ADMIT_VERIFIED, strings::ADMIT_VERIFIED_EXPLAINED, settings.admit_verified).clicked() {
        change(cx, |new| new.admit_verified = !settings.admit_verified);
    }
    if switch(ui, strings::HIDE_NAME, strings::HIDE_NAME_EXPLAINED, settings.hide_name_in_links).clicked() {
        change(cx, |new| new.hide_name_in_links = !settings.hide_name_in_links);
    }
    ui.add_space(space::XS);
    blocked(ui, cx);
}

fn blocked(ui: &mut Ui, cx: &mut Cx<'_>) {
    let t = tokens(ui.ctx());
    caption(ui, strings::BLOCKED);
    if cx.view.blocked.is_empty() {
        note(ui, strings::NOBODY_BLOCKED);
    }
    for person in cx.view.blocked.clone().iter() {
        ui.horizontal(|ui| {
            let button = 104.0;
            let words = ui.available_width() - button - space::S;
            ui.vertical(|ui| {
                ui.set_width(words);
                ui.spacing_mut().item_spacing.y = 0.0;
                strong(ui, &strings::shown_name(&person.name));
                text(ui, &person.fingerprint, size::CAPTION, Weight::Code, t.muted);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let name = strings::unblock(&person.name);
                let unblock = Button::new(Kind::Secondary, strings::UNBLOCK).name(&name).compact().width(button);
                if unblock.show(ui).clicked() {
                    cx.send(Command::Unblock(person.fingerprint.clone()));
                }
            });
        });
    }
}
