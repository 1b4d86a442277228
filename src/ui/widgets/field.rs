//! A field to type into.

use egui::{CornerRadius, Frame, Margin, Response, RichText, Stroke, StrokeKind, TextEdit, Ui, vec2};

use crate::ui::theme::{Weight, control, font, radius, size, space, tokens};

/// How a field is to be.
pub(crate) struct Field<'a> {
    /// What a screen reader calls it.
    pub(crate) name: &'a str,
    /// Shown while it is empty.
    pub(crate) hint: &'a str,
    /// Characters at most.
    pub(crate) limit: usize,
    /// Shown as dots.
    pub(crate) secret: bool,
    /// Fixed width letters.
    pub(crate) code: bool,
    /// Something is wrong with what it holds.
    pub(crate) wrong: bool,
}

/// A line of text that can be changed.
pub(crate) fn field(ui: &mut Ui, value: &mut String, field: &Field<'_>) -> Response {
    let t = tokens(ui.ctx());
    let weight = if field.code { Weight::Code } else { Weight::Regular };
    let hint = RichText::new(field.hint.to_owned()).font(font(size::BODY, Weight::Regular)).color(t.muted);
    let width = ui.available_width();
    let response = ui
        .add(
            TextEdit::singleline(value)
                .password(field.secret)
                .hint_text(hint)
                .font(font(size::BODY, weight))
                .text_color(t.text)
                .char_limit(field.limit)
                .desired_width(width)
                .min_size(vec2(width, control::HEIGHT))
                .align(egui::Align2::LEFT_CENTER)
                .frame(
                    Frame::new()
                        .fill(t.raised)
                        .corner_radius(CornerRadius::same(radius::CONTROL))
                        .inner_margin(Margin::symmetric(space::M as i8, 0)),
                ),
        )
        .accessible_name(field.name);
    let (thick, colour) = match (field.wrong, response.has_focus()) {
        (true, _) => (1.5, t.danger_text),
        (false, true) => (2.0, t.accent_text),
        (false, false) => (1.0, t.control_border),
    };
    ui.painter().rect_stroke(
        response.rect,
        CornerRadius::same(radius::CONTROL),
        Stroke::new(thick, colour),
        StrokeKind::Inside,
    );
    response
}
