//! How loud it is.

use egui::accesskit::Role;
use egui::{CornerRadius, Rect, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::ui::theme::tokens;

const BARS: usize = 24;

/// A row of bars for `level` (0..=1). It is empty unless `live`.
pub(crate) fn level_meter(ui: &mut Ui, name: &str, level: f32, live: bool) {
    let t = tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 12.0), Sense::hover());
    let level = if live { level.clamp(0.0, 1.0) } else { 0.0 };
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Meter, true, name);
        info.value = Some(f64::from((level * 100.0).round()));
        info
    });
    let gap = 3.0;
    let width = (rect.width() - gap * (BARS - 1) as f32) / BARS as f32;
    for bar in 0..BARS {
        let left = rect.left() + bar as f32 * (width + gap);
        let place = Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        let reached = level * BARS as f32;
        let colour = if (bar as f32) < reached { t.accent_text } else { t.hairline };
        ui.painter().rect_filled(place, CornerRadius::same(2), colour);
    }
}

/// A thin bar of which `done` (0..=1) is full.
pub(crate) fn progress(ui: &mut Ui, name: &str, done: f32) {
    let t = tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 4.0), Sense::hover());
    let done = if done.is_finite() { done.clamp(0.0, 1.0) } else { 0.0 };
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, name);
        info.value = Some(f64::from((done * 100.0).round()));
        info
    });
    ui.painter().rect_filled(rect, CornerRadius::same(2), t.hairline);
    let full = Rect::from_min_size(rect.min, vec2(rect.width() * done, rect.height()));
    ui.painter().rect_filled(full, CornerRadius::same(2), t.accent_text);
}
