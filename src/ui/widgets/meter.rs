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
