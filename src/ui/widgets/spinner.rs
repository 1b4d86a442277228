//! Something is going on.

use std::time::Duration;

use egui::{Sense, Ui, vec2};

use crate::ui::theme::{self, tokens};

/// Twelve dots, the brightest going round once a second; they stand still where motion is unwanted.
pub(crate) fn spinner(ui: &mut Ui, side: f32) {
    let t = tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
    let still = theme::motion(ui.ctx()) == 0.0;
    let step = if still { 0 } else { (ui.input(|input| input.time) * 12.0) as usize % 12 };
    for dot in 0..12 {
        let angle = dot as f32 / 12.0 * std::f32::consts::TAU - std::f32::consts::FRAC_PI_2;
        let age = (step + 12 - dot) % 12;
        let strength = if still { 0.6 } else { 1.0 - age as f32 / 12.0 };
        let at = rect.center() + vec2(angle.cos(), angle.sin()) * (side * 0.4);
        ui.painter().circle_filled(at, side * 0.055, theme::mix(t.hairline, t.accent_text, strength));
    }
    if !still {
        ui.ctx().request_repaint_after(Duration::from_millis(83));
    }
}
