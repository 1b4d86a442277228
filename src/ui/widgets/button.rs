//! Buttons: with words, with an icon alone, and those of the toolbar.

use egui::accesskit::Role;
use egui::{Color32, CornerRadius, Rect, Response, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};

use super::{focus_ring, hover};
use crate::ui::icons::{self, Icon};
use crate::ui::theme::{self, Tokens, Weight, control, font, radius, size, space, tokens};

/// What pressing a button means for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The one thing this screen is for.
    Primary,
    /// Another thing that can be done.
    Secondary,
    /// A side path: no ground until the pointer is over it.
    Quiet,
    /// Ends something.
    Danger,
    /// Refuses something, beside a primary action.
    Refuse,
}

struct Paint {
    fill: Color32,
    hovered: Color32,
    words: Color32,
    border: Option<Color32>,
}

fn paint(kind: Kind, t: &Tokens) -> Paint {
    let lift = |fill| theme::mix(fill, t.on_fill, 0.1);
    match kind {
        Kind::Primary => Paint { fill: t.accent_fill, hovered: lift(t.accent_fill), words: t.on_fill, border: None },
        Kind::Danger => Paint { fill: t.danger_fill, hovered: lift(t.danger_fill), words: t.on_fill, border: None },
        Kind::Secondary => Paint {
            fill: t.raised,
            hovered: theme::mix(t.raised, t.text, 0.08),
            words: t.text,
            border: Some(t.hairline),
        },
        Kind::Refuse => Paint { words: t.danger_text, ..paint(Kind::Secondary, t) },
        Kind::Quiet => Paint { fill: Color32::TRANSPARENT, hovered: t.raised, words: t.secondary, border: None },
    }
}

/// A button with words.
#[must_use = "show it"]
pub(crate) struct Button<'a> {
    words: &'a str,
    name: Option<&'a str>,
    icon: Option<Icon>,
    kind: Kind,
    enabled: bool,
    height: f32,
    width: Option<f32>,
}

impl<'a> Button<'a> {
    /// A button of `kind` that says `words`.
    pub(crate) fn new(kind: Kind, words: &'a str) -> Self {
        Self { words, name: None, icon: None, kind, enabled: true, height: control::HEIGHT, width: None }
    }

    /// With an icon before the words.
    pub(crate) fn icon(mut self, icon: Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// What a screen reader says, where the words alone do not tell buttons apart.
    pub(crate) fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Whether it can be pressed.
    pub(crate) fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// As high as the toolbar's, with larger words.
    pub(crate) fn large(mut self) -> Self {
        self.height = control::TOOL;
        self
    }

    /// No higher than it must be.
    pub(crate) fn compact(mut self) -> Self {
        self.height = control::TARGET;
        self
    }

    /// This wide.
    pub(crate) fn width(mut self, width: f32) -> Self {
        self.width = Some(width);
        self
    }

    /// Lays it out, paints it, and says whether it was pressed.
    pub(crate) fn show(self, ui: &mut Ui) -> Response {
        let t = tokens(ui.ctx());
        let large = self.height >= control::TOOL;
        let points = if large { size::LEAD } else { size::BODY };
        let look = paint(self.kind, t);
        let words_colour = if self.enabled { look.words } else { t.muted };
        let galley = ui.painter().layout_no_wrap(self.words.to_owned(), font(points, Weight::Medium), words_colour);
        let icon_space = match self.icon {
            Some(_) if self.words.is_empty() => control::ICON,
            Some(_) => control::ICON + space::S,
            None => 0.0,
        };
        let natural = galley.size().x + icon_space + 2.0 * if large { space::XL } else { space::L };
        let wanted = vec2(self.width.unwrap_or(natural), self.height);
        let (rect, response) =
            ui.allocate_exact_size(wanted, if self.enabled { Sense::click() } else { Sense::hover() });
        let (enabled, name) = (self.enabled, self.name.unwrap_or(self.words));
        response.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, name));
        if ui.is_rect_visible(rect) {
            let corner = CornerRadius::same(radius::CONTROL);
            let fill = if self.enabled {
                let over = if response.is_pointer_button_down_on() { 1.0 } else { hover(ui.ctx(), &response) };
                theme::mix(look.fill, look.hovered, over)
            } else if self.kind == Kind::Quiet {
                Color32::TRANSPARENT
            } else {
                t.raised
            };
            ui.painter().rect_filled(rect, corner, fill);
            if let Some(border) = look.border {
                ui.painter().rect_stroke(rect, corner, Stroke::new(1.0, border), StrokeKind::Inside);
            }
            let left = rect.center().x - (galley.size().x + icon_space) / 2.0;
            if let Some(icon) = self.icon {
                let place = Rect::from_center_size(
                    egui::pos2(left + control::ICON / 2.0, rect.center().y),
                    vec2(control::ICON, control::ICON),
                );
                icons::paint(ui, icon, place, words_colour);
            }
            let at = egui::pos2(left + icon_space, rect.center().y - galley.size().y / 2.0);
            ui.painter().with_clip_rect(rect.intersect(ui.clip_rect())).galley(at, galley, words_colour);
            focus_ring(ui, &response, radius::CONTROL);
        }
        if self.enabled { response.on_hover_cursor(egui::CursorIcon::PointingHand) } else { response }
    }
}

/// A square button with an icon alone; `name` is its tooltip and what a screen reader says.
pub(crate) fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    let t = tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(control::TARGET, control::TARGET), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
    let over = hover(ui.ctx(), &response);
    ui.painter().rect_filled(
        rect,
        CornerRadius::same(radius::CONTROL),
        theme::mix(Color32::TRANSPARENT, t.raised, over),
    );
    icons::paint(ui, icon, Rect::from_center_size(rect.center(), vec2(control::ICON, control::ICON)), t.secondary);
    focus_ring(ui, &response, radius::CONTROL);
    response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(name)
}

/// How a button of the toolbar looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Plain,
    Open,
    Off,
    Leave,
}

/// A button of the toolbar. `state` is `Some` for what is on or off; what is off stands out in red if `alarm` is set.
pub(crate) fn tool_button(
    ui: &mut Ui,
    icon: Icon,
    name: &str,
    tip: &str,
    state: Option<bool>,
    alarm: bool,
    danger: bool,
) -> Response {
    let t = tokens(ui.ctx());
    let look = match (danger, state, alarm) {
        (true, _, _) => Tool::Leave,
        (false, Some(false), true) => Tool::Off,
        (false, Some(true), false) => Tool::Open,
        _ => Tool::Plain,
    };
    let width = if look == Tool::Leave { control::TOOL + space::L } else { control::TOOL };
    let (rect, response) = ui.allocate_exact_size(vec2(width, control::TOOL), Sense::click());
    response.widget_info(|| match state {
        Some(on) => WidgetInfo::selected(Role::Switch, true, on, name),
        None => WidgetInfo::labeled(Role::Button, true, name),
    });
    let (fill, hovered, ink) = match look {
        Tool::Leave => (t.danger_fill, theme::mix(t.danger_fill, t.on_fill, 0.1), t.on_fill),
        Tool::Off => {
            (theme::mix(t.surface, t.danger_fill, 0.18), theme::mix(t.surface, t.danger_fill, 0.3), t.danger_text)
        }
        Tool::Open => (theme::mix(t.raised, t.accent_fill, 0.25), theme::mix(t.raised, t.accent_fill, 0.35), t.text),
        Tool::Plain => (t.raised, theme::mix(t.raised, t.text, 0.1), t.text),
    };
    let over = if response.is_pointer_button_down_on() { 1.0 } else { hover(ui.ctx(), &response) };
    ui.painter().rect_filled(rect, CornerRadius::same(radius::TILE), theme::mix(fill, hovered, over));
    let place = Rect::from_center_size(rect.center(), vec2(control::TOOL_ICON, control::TOOL_ICON));
    icons::paint(ui, icon, place, ink);
    focus_ring(ui, &response, radius::TILE);
    response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(tip)
}
