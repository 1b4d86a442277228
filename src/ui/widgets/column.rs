//! A column in the middle of the screen.

use egui::{Id, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use crate::ui::theme::space;

/// Lays `contents` out in a column of at most `width` points, in the middle both ways; it scrolls where it is too high.
pub(crate) fn centred<R>(ui: &mut Ui, name: &str, width: f32, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let area = ui.available_rect_before_wrap();
    let remembered = Id::unique(("column", name));
    let known = ui.ctx().data(|data| data.get_temp::<f32>(remembered));
    let width = width.min(area.width() - 2.0 * space::XL);
    let mut height = 0.0;
    let shown = ScrollArea::vertical()
        .id_salt(name)
        .auto_shrink(false)
        .show(ui, |ui| {
            let start = ui.cursor().min;
            let spare = (area.height() - known.unwrap_or(0.0)) / 2.0;
            let top = spare.max(space::XL);
            let place =
                Rect::from_min_size(pos2(area.center().x - width / 2.0, start.y + top), vec2(width, f32::INFINITY));
            let inner = ui.scope_builder(UiBuilder::new().max_rect(place), contents);
            height = inner.response.rect.height();
            ui.allocate_rect(
                Rect::from_min_size(start, vec2(area.width(), top + height + space::XL)),
                egui::Sense::hover(),
            );
            inner.inner
        })
        .inner;
    if known.is_none_or(|known| (known - height).abs() > 0.5) {
        ui.ctx().data_mut(|data| data.insert_temp(remembered, height));
        ui.ctx().request_discard("a column has found its height");
    }
    shown
}
