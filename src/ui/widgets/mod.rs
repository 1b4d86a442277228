//! What screens are made of. Everything painted here tells AccessKit its role, name and state.

mod banner;
mod bars;
mod button;
mod column;
mod field;
mod menu;
mod meter;
mod picker;
mod qr;
mod sheet;
mod spinner;
mod text;
mod tile;
mod toggle;

pub(crate) use banner::framed as banner_frame;
pub(crate) use banner::{Banner, BannerTone};
pub(crate) use bars::quality_lines;
pub(crate) use button::{Button, Kind, icon_button, tool_button};
pub(crate) use column::centred;
pub(crate) use field::{Field, field};
pub(crate) use menu::{Entry, menu, more_button};
pub(crate) use meter::{level_meter, progress};
pub(crate) use picker::{Choice, picker};
pub(crate) use qr::{link_qr, qr};
pub(crate) use sheet::{Sheet, sheet};
pub(crate) use spinner::spinner;
pub(crate) use text::{
    caption, centred_line, fact, fact_note, heading, icon_line, marked_line, note, strong, text, title,
};
pub(crate) use tile::{MOST_CUT, Tile, overlay_chip, tile};
pub(crate) use toggle::{segments, switch};

use egui::{Color32, Context, CornerRadius, Rect, Response, Stroke, StrokeKind, Ui};

use super::icons::Icon;
use super::theme::{self, radius, tokens};

/// Paints the ring around whatever has the keyboard's focus.
pub(crate) fn focus_ring(ui: &Ui, response: &Response, corner: u8) {
    if response.has_focus() {
        let t = tokens(ui.ctx());
        ui.painter().rect_stroke(
            response.rect.expand(2.0),
            CornerRadius::same(corner.saturating_add(2)),
            Stroke::new(2.0, t.accent_text),
            StrokeKind::Outside,
        );
    }
}

/// 0 to 1 while the pointer comes to rest over `response`, and back.
pub(crate) fn hover(ctx: &Context, response: &Response) -> f32 {
    ctx.animate_bool_with_time(response.id.with("hover"), response.hovered() && response.enabled(), theme::motion(ctx))
}

/// A card: a surface with a hairline.
pub(crate) fn card<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let t = tokens(ui.ctx());
    egui::Frame::new()
        .fill(t.surface)
        .stroke(Stroke::new(1.0, t.hairline))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(theme::space::L)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            contents(ui)
        })
        .inner
}

/// A box in `colour` for a sentence that must not be missed.
pub(crate) fn alert(ui: &mut Ui, icon: Icon, words: &str, advice: &str, colour: Color32) {
    let t = tokens(ui.ctx());
    egui::Frame::new()
        .fill(theme::mix(t.surface, colour, 0.1))
        .stroke(Stroke::new(1.0, theme::mix(t.hairline, colour, 0.6)))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(egui::Margin::symmetric(theme::space::L as i8, theme::space::M as i8))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = theme::space::XS;
            let said = marked_line(ui, icon, colour, words, t.text);
            ui.ctx().accesskit_node_builder(said.id, |node| node.set_live(egui::accesskit::Live::Polite));
            if !advice.is_empty() {
                ui.horizontal_top(|ui| {
                    ui.add_space(16.0 + theme::space::S);
                    ui.vertical(|ui| note(ui, advice));
                });
            }
        });
}

/// A line across.
pub(crate) fn hairline(ui: &mut Ui) {
    let t = tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(egui::vec2(ui.available_width(), 1.0), egui::Sense::hover());
    ui.painter().rect_filled(rect, 0.0, t.hairline);
}

/// Fills `rect` with a surface that stands over what is below it.
pub(crate) fn lifted(ui: &Ui, rect: Rect, corner: u8) {
    let t = tokens(ui.ctx());
    let corner = CornerRadius::same(corner);
    ui.painter().add(theme::shadow(t).as_shape(rect, corner));
    ui.painter().rect(rect, corner, t.surface, Stroke::new(1.0, t.hairline), StrokeKind::Inside);
}

/// Shows `contents` in `place`, over whatever is there, without moving on.
pub(crate) fn over<R>(ui: &mut Ui, place: Rect, contents: impl FnOnce(&mut Ui) -> R) -> R {
    contents(&mut ui.new_child(egui::UiBuilder::new().max_rect(place)))
}

/// Two columns side by side, as high as the higher one; `left` is the width of the first.
pub(crate) fn two_columns<C>(
    ui: &mut Ui,
    left: f32,
    gap: f32,
    shared: &mut C,
    first: impl FnOnce(&mut Ui, &mut C),
    second: impl FnOnce(&mut Ui, &mut C),
) {
    let area = ui.available_rect_before_wrap();
    let bottom = f32::INFINITY;
    let one = Rect::from_min_max(area.min, egui::pos2(area.left() + left, bottom));
    let two = Rect::from_min_max(egui::pos2(one.right() + gap, area.top()), egui::pos2(area.right(), bottom));
    let mut a = ui.new_child(egui::UiBuilder::new().max_rect(one));
    first(&mut a, shared);
    let mut b = ui.new_child(egui::UiBuilder::new().max_rect(two));
    second(&mut b, shared);
    let used = a.min_rect().union(b.min_rect());
    ui.allocate_rect(Rect::from_min_max(area.min, used.max), egui::Sense::hover());
}
