//! A list to choose one from, folded into one line.

use egui::accesskit::Role;
use egui::{CornerRadius, Popup, Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::menu::popup_frame;
use super::{focus_ring, hover};
use crate::ui::icons::{self, Icon};
use crate::ui::theme::{self, Weight, control, font, radius, size, space, tokens};

/// One line of a picker.
pub(crate) struct Choice<T> {
    /// What choosing it means.
    pub(crate) value: T,
    /// What it says.
    pub(crate) words: String,
    /// It is the chosen one.
    pub(crate) chosen: bool,
}

/// A closed list that says `shown` and opens below. `name` is for screen readers. Returns the newly chosen value.
pub(crate) fn picker<T>(ui: &mut Ui, icon: Icon, name: &str, shown: &str, choices: Vec<Choice<T>>) -> Option<T> {
    let t = tokens(ui.ctx());
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, control::HEIGHT), Sense::click());
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ComboBox, true, name);
        info.current_text_value = Some(shown.to_owned());
        info
    });
    let fill = theme::mix(t.raised, t.text, 0.06 * hover(ui.ctx(), &response));
    let corner = CornerRadius::same(radius::CONTROL);
    ui.painter().rect(rect, corner, fill, Stroke::new(1.0, t.hairline), StrokeKind::Inside);
    let middle = rect.center().y;
    let icon_at = |x: f32| Rect::from_center_size(pos2(x, middle), vec2(control::ICON, control::ICON));
    icons::paint(ui, icon, icon_at(rect.left() + space::M + control::ICON / 2.0), t.secondary);
    icons::paint(ui, Icon::ChevronDown, icon_at(rect.right() - space::M - control::ICON / 2.0), t.muted);
    let room = width - 2.0 * (control::ICON + space::M + space::S);
    one_line(ui, shown, pos2(rect.left() + space::M + control::ICON + space::S, middle), room, t.text);
    focus_ring(ui, &response, radius::CONTROL);
    let response = response.on_hover_cursor(egui::CursorIcon::PointingHand);

    let mut picked = None;
    Popup::menu(&response).accessible_name(name).width(width).gap(space::XS).frame(popup_frame(t)).show(|ui| {
        ui.set_width(width - 2.0 * space::XS);
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical().max_height(280.0).show(ui, |ui| {
            for choice in choices {
                if line(ui, &choice.words, choice.chosen) {
                    picked = Some(choice.value);
                }
            }
        });
    });
    picked
}

fn line(ui: &mut Ui, words: &str, chosen: bool) -> bool {
    let t = tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), control::TARGET), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::MenuItemRadio, true, chosen, words));
    let over = if response.has_focus() { 1.0 } else { hover(ui.ctx(), &response) };
    let fill = theme::mix(egui::Color32::TRANSPARENT, t.raised, over);
    ui.painter().rect_filled(rect, CornerRadius::same(radius::CONTROL), fill);
    let tick = Rect::from_center_size(pos2(rect.left() + space::M + 6.0, rect.center().y), vec2(16.0, 16.0));
    if chosen {
        icons::paint(ui, Icon::Check, tick, t.accent_text);
    }
    one_line(ui, words, pos2(tick.right() + space::S, rect.center().y), rect.right() - tick.right() - space::M, t.text);
    focus_ring(ui, &response, radius::CONTROL);
    response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked()
}

fn one_line(ui: &Ui, words: &str, left_middle: egui::Pos2, room: f32, colour: egui::Color32) {
    let mut job = egui::text::LayoutJob::simple_singleline(words.to_owned(), font(size::BODY, Weight::Regular), colour);
    job.wrap = egui::text::TextWrapping::truncate_at_width(room);
    let galley = ui.painter().layout_job(job);
    ui.painter().galley(pos2(left_middle.x, left_middle.y - galley.size().y / 2.0), galley, colour);
}
