//! The mark of quality: three bars, of which fewer are full the worse it goes.

use egui::{Color32, Rect, Sense, Ui, pos2, vec2};

use super::text;
use crate::engine::view::Quality;
use crate::ui::theme::{Tokens, Weight, size, space, tokens};

/// How many bars are full.
fn full(quality: Quality) -> usize {
    match quality {
        Quality::Unknown => 0,
        Quality::Poor => 1,
        Quality::Fair => 2,
        Quality::Good => 3,
    }
}

/// The colour on a surface. The number of bars says the same, and so do words.
fn colour(quality: Quality, t: &Tokens) -> Color32 {
    match quality {
        Quality::Poor => t.danger_text,
        Quality::Fair => t.warning,
        Quality::Unknown | Quality::Good => t.secondary,
    }
}

/// The colour over a picture.
pub(super) fn colour_on_scrim(quality: Quality, t: &Tokens) -> Color32 {
    match quality {
        Quality::Poor => t.danger_on_scrim,
        Quality::Fair => t.warning_on_scrim,
        Quality::Unknown | Quality::Good => t.on_scrim,
    }
}

/// Paints the bars into `rect`: the full ones in `colour`, the others in `rest`.
pub(super) fn paint(ui: &Ui, quality: Quality, rect: Rect, colour: Color32, rest: Color32) {
    let (gap, count) = (rect.width() * 0.14, 3);
    let width = (rect.width() - gap * (count - 1) as f32) / count as f32;
    for bar in 0..count {
        let height = rect.height() * (0.5 + 0.25 * bar as f32);
        let left = rect.left() + bar as f32 * (width + gap);
        let place = Rect::from_min_max(pos2(left, rect.bottom() - height), pos2(left + width, rect.bottom()));
        let ink = if bar < full(quality) { colour } else { rest };
        ui.painter().rect_filled(place, 1.0, ink);
    }
}

/// The bars, and beside them a word and what explains it.
pub(crate) fn quality_lines(ui: &mut Ui, quality: Quality, word: &str, explained: &[String]) {
    let t = tokens(ui.ctx());
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let (rect, _) = ui.allocate_exact_size(vec2(16.0, 18.0), Sense::hover());
        paint(ui, quality, Rect::from_center_size(rect.center(), vec2(14.0, 13.0)), colour(quality, t), t.hairline);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            text(
                ui,
                word,
                size::BODY,
                Weight::Regular,
                if quality < Quality::Good { colour(quality, t) } else { t.text },
            );
            for sentence in explained {
                text(ui, sentence, size::CAPTION, Weight::Regular, t.secondary);
            }
        });
    });
}
