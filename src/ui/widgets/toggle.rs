//! Things that are on or off, or one of a few.

use egui::accesskit::Role;
use egui::{CornerRadius, Rect, Response, Sense, Ui, WidgetInfo, pos2, vec2};

use super::{focus_ring, hover};
use crate::ui::theme::{self, Weight, control, font, radius, size, space, tokens};

/// A switch with its name on the left; the whole line can be pressed. Returns whether it was.
pub(crate) fn switch(ui: &mut Ui, name: &str, explained: &str, on: bool) -> Response {
    let t = tokens(ui.ctx());
    let words_width = ui.available_width() - 44.0 - space::L;
    let name_galley = ui.painter().layout(name.to_owned(), font(size::BODY, Weight::Medium), t.text, words_width);
    let note =
        ui.painter().layout(explained.to_owned(), font(size::CAPTION, Weight::Regular), t.secondary, words_width);
    let height = (name_galley.size().y + 2.0 + note.size().y).max(control::TARGET);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Switch, true, on, name));
    let below = rect.top() + name_galley.size().y + 2.0;
    ui.painter().galley(rect.left_top(), name_galley, t.text);
    ui.painter().galley(pos2(rect.left(), below), note, t.secondary);

    let track = Rect::from_center_size(pos2(rect.right() - 20.0, rect.top() + 12.0), vec2(40.0, 22.0));
    let ctx = ui.ctx();
    let share = ctx.animate_bool_with_time(response.id, on, theme::motion(ctx));
    let over = hover(ctx, &response) * 0.15;
    let fill = theme::mix(theme::mix(t.control_border, t.accent_fill, share), t.on_fill, over);
    ui.painter().rect_filled(track, CornerRadius::same(11), fill);
    let knob = pos2(egui::lerp(track.left() + 11.0..=track.right() - 11.0, share), track.center().y);
    ui.painter().circle_filled(knob, 8.0, t.on_fill);
    focus_ring(ui, &response, radius::CONTROL);
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}

/// One of a few, side by side. Returns the newly chosen one.
pub(crate) fn segments<T: Copy + PartialEq>(ui: &mut Ui, options: &[(T, &str)], chosen: T) -> Option<T> {
    let t = tokens(ui.ctx());
    let width = ui.available_width();
    let (rect, _) = ui.allocate_exact_size(vec2(width, control::HEIGHT), Sense::hover());
    ui.painter().rect_filled(rect, CornerRadius::same(radius::CONTROL), t.raised);
    let part = width / options.len().max(1) as f32;
    let mut picked = None;
    for (index, (value, name)) in options.iter().enumerate() {
        let place = Rect::from_min_size(pos2(rect.left() + index as f32 * part, rect.top()), vec2(part, rect.height()));
        let response = ui.interact(place, ui.scope_id().with(("segment", index, *name)), Sense::click());
        let on = *value == chosen;
        response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, name));
        let inner = place.shrink(3.0);
        if on {
            ui.painter().rect_filled(inner, CornerRadius::same(radius::CONTROL - 2), t.accent_fill);
        }
        let ink = if on { t.on_fill } else { theme::mix(t.secondary, t.text, hover(ui.ctx(), &response)) };
        let galley = ui.painter().layout_no_wrap((*name).to_owned(), font(size::BODY, Weight::Medium), ink);
        ui.painter().galley(inner.center() - galley.size() / 2.0, galley, ink);
        focus_ring(ui, &response, radius::CONTROL);
        if response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked() {
            picked = Some(*value);
        }
    }
    picked
}
