//! Banners: what gets in the way, and who is at the door.

use egui::accesskit::{Live, Role};
use egui::{Color32, CornerRadius, Frame, Margin, Rect, Stroke, Ui, pos2, vec2};

use super::text;
use crate::ui::icons::{self, Icon};
use crate::ui::theme::{self, Tokens, Weight, radius, size, space, tokens};

/// How serious a banner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BannerTone {
    /// For information.
    Neutral,
    /// Needs attention.
    Warning,
    /// Something is wrong.
    Danger,
}

impl BannerTone {
    fn colour(self, t: &Tokens) -> Color32 {
        match self {
            Self::Neutral => t.secondary,
            Self::Warning => t.warning,
            Self::Danger => t.danger_text,
        }
    }
}

/// One line of the banner place.
pub(crate) struct Banner {
    /// What stands before the words.
    pub(crate) icon: Icon,
    /// How serious.
    pub(crate) tone: BannerTone,
    /// The sentence.
    pub(crate) words: String,
}

impl Banner {
    /// Shows it with its top at `top`, in the middle between `left` and `right`. Returns its lower edge.
    pub(crate) fn show(&self, ui: &mut Ui, left: f32, right: f32, top: f32) -> f32 {
        let t = tokens(ui.ctx());
        framed(ui, left, right, top, 560.0, self.tone.colour(t), |ui| {
            ui.horizontal_top(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), egui::Sense::hover());
                icons::paint(ui, self.icon, rect, self.tone.colour(t));
                let said = text(ui, &self.words, size::BODY, Weight::Medium, t.text);
                ui.ctx().accesskit_node_builder(said.id, |node| {
                    node.set_role(Role::Status);
                    node.set_label(self.words.as_str());
                    node.set_live(if self.tone == BannerTone::Danger { Live::Assertive } else { Live::Polite });
                });
            });
        })
    }
}

/// A raised box of at most `width` points, with an edge of `colour`. Returns its lower edge.
pub(crate) fn framed(
    ui: &mut Ui,
    left: f32,
    right: f32,
    top: f32,
    width: f32,
    colour: Color32,
    contents: impl FnOnce(&mut Ui),
) -> f32 {
    let t = tokens(ui.ctx());
    let width = width.min(right - left);
    let place = Rect::from_min_size(pos2((left + right - width) / 2.0, top), vec2(width, f32::INFINITY));
    super::over(ui, place, |ui| {
        Frame::new()
            .fill(t.surface)
            .stroke(Stroke::new(1.0, theme::mix(t.hairline, colour, 0.6)))
            .corner_radius(CornerRadius::same(radius::CARD))
            .inner_margin(Margin::symmetric(space::L as i8, space::M as i8))
            .shadow(theme::shadow(t))
            .show(ui, |ui| {
                ui.set_width(ui.available_width());
                contents(ui);
            })
            .response
            .rect
            .bottom()
    })
}
