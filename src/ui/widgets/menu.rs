//! A short list of things to do, behind a button.

use egui::accesskit::Role;
use egui::{Color32, CornerRadius, Frame, Margin, Popup, Rect, Response, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::{focus_ring, hover, icon_button};
use crate::ui::icons::{self, Icon};
use crate::ui::theme::{self, Tokens, Weight, control, font, radius, size, space, tokens};

/// Width of a menu in points.
const WIDTH: f32 = 232.0;

/// One line of a menu.
pub(crate) struct Entry<'a, T> {
    /// What choosing it means.
    pub(crate) value: T,
    /// What stands before the words.
    pub(crate) icon: Icon,
    /// What it says.
    pub(crate) words: &'a str,
    /// It takes something away from somebody.
    pub(crate) danger: bool,
}

/// The ground of whatever opens over the rest.
pub(super) fn popup_frame(t: &Tokens) -> Frame {
    Frame::new()
        .fill(t.surface)
        .stroke(Stroke::new(1.0, t.hairline))
        .corner_radius(CornerRadius::same(radius::CARD))
        .inner_margin(Margin::same(space::XS as i8))
        .shadow(theme::shadow(t))
}

/// A button with three dots, named `name`, and its menu. Returns what was chosen.
pub(crate) fn more_button<T>(ui: &mut Ui, name: &str, entries: Vec<Entry<'_, T>>) -> Option<T> {
    let button = icon_button(ui, Icon::More, name);
    menu(ui, &button, name, entries)
}

/// The menu of a button already shown; a press on the button opens and closes it. Returns what was chosen.
pub(crate) fn menu<T>(ui: &Ui, button: &Response, name: &str, entries: Vec<Entry<'_, T>>) -> Option<T> {
    let mut chosen = None;
    Popup::menu(button).accessible_name(name).width(WIDTH).gap(space::XS).frame(popup_frame(tokens(ui.ctx()))).show(
        |ui| {
            ui.set_width(WIDTH - 2.0 * space::XS);
            ui.spacing_mut().item_spacing.y = 0.0;
            for entry in entries {
                if line(ui, &entry) {
                    chosen = Some(entry.value);
                }
            }
        },
    );
    chosen
}

fn line<T>(ui: &mut Ui, entry: &Entry<'_, T>) -> bool {
    let t = tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), control::TARGET), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::MenuItem, true, entry.words));
    let over = if response.has_focus() { 1.0 } else { hover(ui.ctx(), &response) };
    let fill = theme::mix(Color32::TRANSPARENT, t.raised, over);
    ui.painter().rect_filled(rect, CornerRadius::same(radius::CONTROL), fill);
    let (ink, mark) = if entry.danger { (t.danger_text, t.danger_text) } else { (t.text, t.secondary) };
    let middle = rect.center().y;
    let place = Rect::from_center_size(pos2(rect.left() + space::M + 8.0, middle), vec2(16.0, 16.0));
    icons::paint(ui, entry.icon, place, mark);
    let galley = ui.painter().layout_no_wrap(entry.words.to_owned(), font(size::BODY, Weight::Regular), ink);
    ui.painter().with_clip_rect(rect.intersect(ui.clip_rect())).galley(
        pos2(place.right() + space::S, middle - galley.size().y / 2.0),
        galley,
        ink,
    );
    focus_ring(ui, &response, radius::CONTROL);
    response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked()
}
