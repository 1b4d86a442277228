//! Side panels and sheets.

mod confirm;
pub(crate) mod devices;
pub(crate) mod door;
mod everyone;
pub(crate) mod invites;
pub(crate) mod people;
mod person;
mod relay_sight;
pub(crate) mod security;
pub(crate) mod settings;
pub(crate) mod verify;

use egui::{Rect, ScrollArea, Sense, Stroke, Ui, UiBuilder, vec2};

use super::app::{Cx, Sheet};
use super::icons::Icon;
use super::strings;
use super::theme::{self, Weight, control, size, space, tokens};
use super::widgets::{icon_button, text};

/// Shows the open sheet, if any.
pub(crate) fn sheets(ui: &mut Ui, cx: &mut Cx<'_>) {
    let closed = match cx.local.sheet {
        None => return,
        Some(Sheet::Verify(peer)) => verify::show(ui, cx, peer),
        Some(Sheet::Everyone) => everyone::show(ui, cx),
        Some(Sheet::Invites) => invites::show(ui, cx),
        Some(Sheet::Settings) => settings::show(ui, cx),
        Some(Sheet::Leave) => confirm::leave(ui, cx),
        Some(Sheet::Remove(peer)) => confirm::remove(ui, cx, peer),
        Some(Sheet::HandOver(peer)) => confirm::hand_over(ui, cx, peer),
    };
    if closed {
        cx.local.sheet = None;
        cx.local.compared.clear();
        cx.local.drafts.clear();
        cx.local.invites = invites::Desk::default();
    }
}

/// A panel at the right with a title and a cross. Returns true when it should close.
fn side(ui: &mut Ui, place: Rect, title: &str, contents: impl FnOnce(&mut Ui)) -> bool {
    let t = tokens(ui.ctx());
    ui.interact(place, ui.scope_id().with(("panel", title)), Sense::click());
    ui.painter().add(theme::shadow(t).as_shape(place, 0));
    ui.painter().rect_filled(place, 0.0, t.surface);
    ui.painter().vline(place.left(), place.y_range(), Stroke::new(1.0, t.hairline));
    let mut closed = false;
    ui.scope_builder(UiBuilder::new().max_rect(place.shrink2(vec2(space::L, space::M))), |ui| {
        ui.horizontal(|ui| {
            ui.set_height(control::TARGET);
            text(ui, title, size::LEAD, Weight::Strong, t.text);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                closed = icon_button(ui, Icon::X, strings::CLOSE).clicked();
            });
        });
        ui.add_space(space::XS);
        // The bar stands beside what it scrolls, in the panel's margin.
        ui.spacing_mut().scroll.bar_outer_margin = -space::M;
        ScrollArea::vertical().id_salt(title).auto_shrink(false).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = space::S;
            contents(ui);
            ui.add_space(space::L);
        });
    });
    closed
}
