//! Words on their own.

use egui::{Color32, Label, Response, RichText, Sense, Ui, vec2};

use crate::ui::icons::{self, Icon};
use crate::ui::theme::{Weight, font, size, space, tokens};

/// Width of the names of facts.
const FACT_NAME: f32 = 104.0;

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
    marked_line(ui, icon, colour, words, colour)
}

/// The same with the icon in a colour of its own.
pub(crate) fn marked_line(
    ui: &mut Ui,
    icon: Icon,
    mark: Color32,
    words: impl Into<String>,
    colour: Color32,
) -> Response {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let (rect, _) = ui.allocate_exact_size(vec2(16.0, 18.0), Sense::hover());
        icons::paint(ui, icon, egui::Rect::from_center_size(rect.center(), vec2(16.0, 16.0)), mark);
        text(ui, words, size::BODY, Weight::Regular, colour)
    })
    .inner
}

/// A name on the left, its value on the right.
pub(crate) fn fact(ui: &mut Ui, name: &str, value: impl Into<String>, code: bool) {
    let t = tokens(ui.ctx());
    let value = value.into();
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let (rect, _) = ui.allocate_exact_size(vec2(FACT_NAME, 18.0), Sense::hover());
        let mut place = ui.new_child(egui::UiBuilder::new().max_rect(rect.translate(vec2(0.0, 1.5))));
        text(&mut place, name, size::CAPTION, Weight::Regular, t.muted);
        ui.vertical(|ui| {
            if code {
                ui.add_space(2.0);
            }
            let (points, weight) = if code { (size::CAPTION, Weight::Code) } else { (size::BODY, Weight::Regular) };
            text(ui, value, points, weight, t.text);
        });
    });
}

/// What explains the value of the fact before it, below that value.
pub(crate) fn fact_note(ui: &mut Ui, words: &str) {
    let t = tokens(ui.ctx());
    ui.horizontal_top(|ui| {
        ui.spacing_mut().interact_size.y = size::CAPTION;
        ui.add_space(FACT_NAME + space::S);
        text(ui, words, size::CAPTION, Weight::Regular, t.secondary);
    });
}

/// An icon and words on one line, in the middle.
pub(crate) fn centred_line(ui: &mut Ui, icon: Icon, words: &str, colour: Color32) {
    let galley = ui.painter().layout_no_wrap(words.to_owned(), font(size::BODY, Weight::Regular), colour);
    let width = 16.0 + space::S + galley.size().x;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Label, true, words));
    let left = rect.center().x - width / 2.0;
    let mark = egui::Rect::from_center_size(egui::pos2(left + 8.0, rect.center().y), vec2(16.0, 16.0));
    icons::paint(ui, icon, mark, colour);
    let at = egui::pos2(mark.right() + space::S, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, colour);
}
