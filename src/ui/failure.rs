//! The window that says why there is no app: for whoever started it from a menu and sees no terminal.

use super::{UiError, strings, theme};
use crate::settings::Appearance;

const SIZE: [f32; 2] = [520.0, 260.0];

/// Shows `sentence` until the window is closed. It must be called on the main thread.
///
/// # Errors
/// [`UiError::NoWindow`] if the system gives none.
pub fn run_failure(sentence: String) -> Result<(), UiError> {
    let viewport =
        egui::ViewportBuilder::default().with_title(strings::APP).with_inner_size(SIZE).with_resizable(false);
    let renderer = eframe::Renderer::Glow;
    let native = eframe::NativeOptions { viewport, renderer, centered: true, ..Default::default() };
    eframe::run_native(
        strings::APP,
        native,
        Box::new(move |creation| {
            theme::install(&creation.egui_ctx);
            theme::apply(&creation.egui_ctx, Appearance::System);
            Ok(Box::new(Failure { sentence }))
        }),
    )
    .map_err(|error| UiError::NoWindow(error.to_string()))
}

struct Failure {
    sentence: String,
}

impl eframe::App for Failure {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let tokens = theme::tokens(ui.ctx());
        let frame = egui::Frame::new().fill(tokens.background).inner_margin(theme::space::XXL as i8);
        egui::CentralPanel::default().frame(frame).show(ui, |ui| {
            ui.label(
                egui::RichText::new(strings::CANNOT_START)
                    .font(theme::font(theme::size::TITLE, theme::Weight::Strong))
                    .color(tokens.text),
            );
            ui.add_space(theme::space::M);
            ui.label(
                egui::RichText::new(&self.sentence)
                    .font(theme::font(theme::size::BODY, theme::Weight::Regular))
                    .color(tokens.secondary),
            );
        });
    }
}
