//! Sentences that come and go.

use std::time::Duration;

use egui::accesskit::{Live, Role};
use egui::{Align2, Area, CornerRadius, Frame, Id, Margin, Order, Stroke, Ui, vec2};

use super::icons::{self, Icon};
use super::theme::{self, Weight, radius, size, space, tokens};
use super::widgets::text;
use crate::engine::event::Tone;

/// How long a toast stays, in seconds: long enough to read two sentences.
const STAY: f64 = 5.0;
/// More than this many at once would cover the meeting: the oldest goes.
const MOST: usize = 3;

struct Toast {
    tone: Tone,
    text: String,
    until: f64,
}

/// The toasts on the screen, oldest first.
#[derive(Default)]
pub(crate) struct Toasts(Vec<Toast>);

impl Toasts {
    /// Adds one at `now` (the window's time in seconds). The same sentence again only stays longer.
    pub(crate) fn add(&mut self, now: f64, tone: Tone, text: impl Into<String>) {
        let text = text.into();
        self.0.retain(|toast| toast.text != text);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(Toast { tone, text, until: now + STAY });
    }

    /// Paints them above `lift` points from the lower edge.
    pub(crate) fn show(&mut self, ui: &Ui, lift: f32) {
        let now = ui.input(|input| input.time);
        self.0.retain(|toast| toast.until > now);
        let Some(next) = self.0.iter().map(|toast| toast.until).reduce(f64::min) else { return };
        let t = tokens(ui.ctx());
        let width = 420.0_f32.min(ui.ctx().content_rect().width() - 2.0 * space::XL);
        Area::new(Id::unique("toasts"))
            .order(Order::Tooltip)
            .interactable(false)
            .anchor(Align2::CENTER_BOTTOM, vec2(0.0, -lift))
            .show(ui.ctx(), |ui| {
                ui.set_width(width);
                for toast in &self.0 {
                    let (icon, colour) = match toast.tone {
                        Tone::Neutral => (Icon::Info, t.secondary),
                        Tone::Good => (Icon::Check, t.accent_text),
                        Tone::Warning => (Icon::TriangleAlert, t.warning),
                        Tone::Danger => (Icon::CircleAlert, t.danger_text),
                    };
                    Frame::new()
                        .fill(t.surface)
                        .stroke(Stroke::new(1.0, t.hairline))
                        .corner_radius(CornerRadius::same(radius::CARD))
                        .inner_margin(Margin::symmetric(space::L as i8, space::M as i8))
                        .shadow(theme::shadow(t))
                        .show(ui, |ui| {
                            ui.set_width(ui.available_width());
                            ui.horizontal_top(|ui| {
                                let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), egui::Sense::hover());
                                icons::paint(ui, icon, rect, colour);
                                let said = text(ui, &toast.text, size::BODY, Weight::Medium, t.text);
                                ui.ctx().accesskit_node_builder(said.id, |node| {
                                    node.set_role(Role::Status);
                                    node.set_label(toast.text.as_str());
                                    node.set_live(Live::Polite);
                                });
                            });
                        });
                }
            });
        ui.ctx().request_repaint_after(Duration::from_secs_f64((next - now).max(0.05)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sentence_is_shown_once_and_the_oldest_makes_room() {
        let mut toasts = Toasts::default();
        for text in ["a", "b", "a", "c", "d"] {
            toasts.add(0.0, Tone::Neutral, text);
        }
        let texts: Vec<_> = toasts.0.iter().map(|toast| toast.text.as_str()).collect();
        assert_eq!(texts, ["a", "c", "d"]);
    }
}
