//! On the way in.

use egui::{Align, Layout, Ui};

use crate::engine::Command;
use crate::engine::view::Connecting;
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{control, space, tokens};
use crate::ui::widgets::{Button, Kind, centred, centred_line, note, spinner, title};

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, connecting: &Connecting) -> f32 {
    centred(ui, "connecting", control::COLUMN, |ui| {
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.y = space::M;
            spinner(ui, 48.0);
            ui.add_space(space::S);
            title(ui, strings::CONNECTING);
            note(ui, &connecting.step);
            ui.add_space(space::L);
            if Button::new(Kind::Secondary, strings::CANCEL).width(160.0).show(ui).clicked() {
                cx.send(Command::Leave);
            }
        });
        ui.add_space(space::XL);
        let t = tokens(ui.ctx());
        centred_line(ui, Icon::Lock, strings::CONNECTING_PROMISE, t.muted);
    });
    space::XL
}
