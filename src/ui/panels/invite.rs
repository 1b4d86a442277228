//! The invite link, to be scanned.

use egui::{Align, Layout, Ui};

use crate::engine::view::Stage;
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{control, space};
use crate::ui::widgets::{Button, Kind, Sheet, link_qr, note, sheet};

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
    let Stage::Meeting(meeting) = &cx.view.stage else { return true };
    let Some(link) = &meeting.link else { return true };
    let look = Sheet { title: strings::INVITE, width: 420.0, footer: control::HEIGHT };
    let room = ui.ctx().content_rect().height();
    let mut copy = false;
    let closed = sheet(
        ui,
        &look,
        |ui| {
            note(ui, strings::INVITE_EXPLAINED);
            ui.add_space(space::S);
            ui.with_layout(Layout::top_down(Align::Center), |ui| {
                link_qr(ui, link, (room - 280.0).clamp(180.0, 300.0), strings::INVITE);
            });
        },
        |ui| {
            let width = ui.available_width();
            copy = Button::new(Kind::Primary, strings::COPY_LINK).icon(Icon::Copy).width(width).show(ui).clicked();
        },
    );
    if copy {
        cx.copy_link(ui.ctx());
    }
    closed
}
