//! What the relay can see of the meeting and what it cannot, as counted by this program.

use egui::Ui;

use crate::engine::view::RelaySight;
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{space, tokens};
use crate::ui::widgets::{card, heading, icon_line};

/// The card. Before anything has been counted it says what holds for any relay.
pub(super) fn show(ui: &mut Ui, sees: &RelaySight) {
    let t = tokens(ui.ctx());
    let live = !sees.room.is_empty();
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        heading(ui, strings::RELAY_SEES);
        if live {
            if sees.own_address {
                icon_line(ui, Icon::Eye, strings::RELAY_SEES_ADDRESS, t.secondary);
            }
            icon_line(ui, Icon::Eye, strings::relay_sees_room(&sees.room, sees.others), t.secondary);
            let counted =
                strings::relay_sees_messages(sees.messages_out, sees.bytes_out, sees.messages_in, sees.bytes_in);
            icon_line(ui, Icon::Eye, counted, t.secondary);
        } else {
            for words in [strings::RELAY_SEES_1, strings::RELAY_SEES_2] {
                icon_line(ui, Icon::Eye, words, t.secondary);
            }
        }
        ui.add_space(space::S);
        heading(ui, strings::RELAY_BLIND);
        if live && !sees.own_address {
            icon_line(ui, Icon::EyeOff, strings::RELAY_BLIND_ADDRESS, t.secondary);
        }
        for words in [strings::RELAY_BLIND_1, strings::RELAY_BLIND_2, strings::RELAY_BLIND_3] {
            icon_line(ui, Icon::EyeOff, words, t.secondary);
        }
    });
}
