//! A sheet: one task over the screen, with the rest set back.

use egui::accesskit::Role;
use egui::{CornerRadius, Frame, Id, Modal, ScrollArea, Stroke, Ui};

use super::{icon_button, text};
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{self, Weight, control, radius, size, space, tokens};

/// How a sheet is to be.
pub(crate) struct Sheet<'a> {
    /// Its title.
    pub(crate) title: &'a str,
    /// At most this wide.
    pub(crate) width: f32,
    /// Height of what stands below the scrolled part; 0 for none.
    pub(crate) footer: f32,
}

/// Shows a sheet; `contents` scroll, `footer` does not. Returns true when it should close (Esc, the cross, a click outside).
pub(crate) fn sheet(ui: &Ui, sheet: &Sheet<'_>, contents: impl FnOnce(&mut Ui), footer: impl FnOnce(&mut Ui)) -> bool {
    let ctx = ui.ctx();
    let t = tokens(ctx);
    let screen = ctx.content_rect();
    let width = sheet.width.min(screen.width() - 2.0 * space::XL);
    let inner = width - 2.0 * space::XL;
    let footer_height = if sheet.footer > 0.0 { sheet.footer + space::L } else { 0.0 };
    // In a low window the sheet comes nearer to the edges.
    let margin = if screen.height() < 600.0 { space::S } else { space::XL };
    let room = screen.height() - 2.0 * margin - 2.0 * space::L - control::TARGET - space::M - footer_height;
    let frame = Frame::new()
        .fill(t.surface)
        .stroke(Stroke::new(1.0, t.hairline))
        .corner_radius(CornerRadius::same(radius::SHEET))
        .inner_margin(egui::Margin::symmetric(space::XL as i8, space::L as i8))
        .shadow(theme::shadow(t));
    let mut closed = false;
    let id = Id::unique(("sheet", sheet.title));
    // As high as the screen: egui's own first guess would keep a long sheet low for ever.
    let area = Modal::default_area(id).default_size(screen.size());
    let shown = Modal::new(id).area(area).frame(frame).backdrop_color(t.backdrop).show(ctx, |ui| {
        ui.set_width(inner);
        ui.ctx().accesskit_node_builder(ui.unique_id(), |node| {
            node.set_role(Role::Dialog);
            node.set_label(sheet.title);
            node.set_modal();
        });
        ui.horizontal(|ui| {
            ui.set_height(control::TARGET);
            let words = ui.available_width() - control::TARGET - space::S;
            ui.scope(|ui| {
                ui.set_width(words);
                text(ui, sheet.title, size::TITLE, Weight::Strong, t.text);
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                closed |= icon_button(ui, Icon::X, strings::CLOSE).clicked();
            });
        });
        ui.add_space(space::M - space::S);
        // The bar stands beside what it scrolls, in the sheet's margin.
        ui.spacing_mut().scroll.bar_outer_margin = -space::M;
        ScrollArea::vertical().max_height(room.max(80.0)).auto_shrink([false, true]).show(ui, |ui| {
            ui.set_width(inner);
            contents(ui);
        });
        if sheet.footer > 0.0 {
            ui.add_space(space::S);
            footer(ui);
        }
    });
    // The place of a centred area follows from the size it had before: after a change of size it needs another pass.
    let known = id.with("size");
    let found = shown.response.rect.size();
    if ctx.data(|data| data.get_temp::<egui::Vec2>(known)).is_none_or(|before| (before - found).abs().max_elem() > 0.5)
    {
        ctx.data_mut(|data| data.insert_temp(known, found));
        ctx.request_repaint();
    }
    closed || shown.should_close()
}
