//! Words on their own.

use egui::{Color32, Label, Response, RichText, Sense, Ui, vec2};

use crate::ui::icons::{self, Icon};
use crate::ui::theme::{Weight, font, size, space, tokens};

/// Words of any size, weight and colour. They wrap.
pub(crate) fn text(ui: &mut Ui, words: impl Into<String>, size: f32, weight: Weight, colour: Color32) -> Response {
    ui.add(Label::new(RichText::new(words).font(font(size, weight)).color(colour)).wrap())
}

/// The title of a screen.
pub(crate) fn title(ui: &mut Ui, words: &str) -> Response {
    let colour = tokens(ui.ctx()).text;
    text(ui, words, size::DISPLAY, Weight::Strong, colour)
}

/// The title of a sheet, a panel or a card.
pub(crate) fn heading(ui: &mut Ui, words: &str) -> Response {
    let colour = tokens(ui.ctx()).text;
    text(ui, words, size::LEAD, Weight::Strong, colour)
}

/// A line that matters.
pub(crate) fn strong(ui: &mut Ui, words: &str) -> Response {
    let colour = tokens(ui.ctx()).text;
    text(ui, words, size::BODY, Weight::Medium, colour)
}

/// A line that explains.
pub(crate) fn note(ui: &mut Ui, words: &str) -> Response {
    let colour = tokens(ui.ctx()).secondary;
    text(ui, words, size::BODY, Weight::Regular, colour)
}

/// The name of what follows.
pub(crate) fn caption(ui: &mut Ui, words: &str) -> Response {
    let colour = tokens(ui.ctx()).muted;
    text(ui, words, size::CAPTION, Weight::Medium, colour)
}

/// An icon, and words beside it that wrap without running under it.
pub(crate) fn icon_line(ui: &mut Ui, icon: Icon, words: impl Into<String>, colour: Color32) -> Response {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let (rect, _) = ui.allocate_exact_size(vec2(16.0, 18.0), Sense::hover());
        icons::paint(ui, icon, egui::Rect::from_center_size(rect.center(), vec2(16.0, 16.0)), colour);
        text(ui, words, size::BODY, Weight::Regular, colour)
    })
    .inner
}

/// A name on the left, its value on the right.
pub(crate) fn fact(ui: &mut Ui, name: &str, value: impl Into<String>, code: bool) {
    let t = tokens(ui.ctx());
    ui.horizontal_top(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(112.0, 18.0), Sense::hover());
        let place = egui::UiBuilder::new().max_rect(rect);
        ui.scope_builder(place, |ui| text(ui, name, size::CAPTION, Weight::Regular, t.muted));
        let (points, weight) = if code { (size::CAPTION, Weight::Code) } else { (size::BODY, Weight::Regular) };
        text(ui, value, points, weight, t.text);
    });
}
