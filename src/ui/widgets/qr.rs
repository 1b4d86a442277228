//! QR codes.

use egui::accesskit::Role;
use egui::{CornerRadius, Id, Rect, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::ui::theme::{radius, tokens};

/// Light modules around a code (ISO/IEC 18004 §6.3.8).
const QUIET: usize = 4;

/// Draws the modules of a code (row by row, true is dark, without a quiet zone) in a square of `side` points.
pub(crate) fn qr(ui: &mut Ui, modules: &[Vec<bool>], side: f32, name: &str) {
    let t = tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
    ui.painter().rect_filled(rect, CornerRadius::same(radius::CONTROL), t.paper);
    if modules.is_empty() {
        return;
    }
    let module = side / (modules.len() + 2 * QUIET) as f32;
    let mut mesh = egui::Mesh::default();
    for (y, row) in modules.iter().enumerate() {
        let mut x = 0;
        while x < row.len() {
            // One rectangle for each run of dark modules: no seams, and few triangles.
            let run = row[x..].iter().take_while(|dark| **dark).count();
            if run > 0 {
                let corner = rect.min + vec2((x + QUIET) as f32, (y + QUIET) as f32) * module;
                let dark = Rect::from_min_max(corner, pos2(corner.x + run as f32 * module, corner.y + module));
                mesh.add_colored_rect(dark, t.ink);
            }
            x += run.max(1);
        }
    }
    ui.painter().add(mesh);
}

/// The QR code of a link, computed once for each link.
pub(crate) fn link_qr(ui: &mut Ui, link: &str, side: f32, name: &str) {
    type Kept = (String, std::sync::Arc<Vec<Vec<bool>>>);
    let id = Id::unique("qr of the invite link");
    let kept = ui.data(|data| data.get_temp::<Kept>(id)).filter(|(of, _)| of == link);
    let modules = match kept {
        Some((_, modules)) => modules,
        None => {
            let modules = std::sync::Arc::new(modules_of(link));
            ui.data_mut(|data| data.insert_temp::<Kept>(id, (link.to_owned(), modules.clone())));
            modules
        }
    };
    qr(ui, &modules, side, name);
}

fn modules_of(text: &str) -> Vec<Vec<bool>> {
    let Ok(code) = qrcode::QrCode::with_error_correction_level(text.as_bytes(), qrcode::EcLevel::L) else {
        return Vec::new();
    };
    let width = code.width();
    code.to_colors().chunks(width).map(|row| row.iter().map(|c| *c == qrcode::Color::Dark).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_three_corners() {
        let modules = modules_of("conclave://192.0.2.7:7770/#abcdefgh");
        assert!(modules.len() >= 21 && modules.iter().all(|row| row.len() == modules.len()));
        let last = modules.len() - 1;
        for (y, x) in [(0, 0), (0, last), (last, 0)] {
            assert!(modules[y][x]);
        }
    }

    #[test]
    fn a_text_too_long_for_a_code_gives_none() {
        assert!(modules_of(&"x".repeat(10_000)).is_empty());
    }
}
