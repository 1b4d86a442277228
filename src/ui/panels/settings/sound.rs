//! What is done to the own sound before it is sent.

use egui::Ui;

use super::change;
use crate::settings::Settings;
use crate::ui::app::Cx;
use crate::ui::strings;
use crate::ui::theme::{Weight, size, tokens};
use crate::ui::widgets::{switch, text};

/// One of the switches.
type Field = fn(&mut Settings) -> &mut bool;

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) {
    let switches: [(&str, &str, Field); 4] = [
        (strings::ECHO, strings::ECHO_EXPLAINED, |new| &mut new.sound.echo_cancellation),
        (strings::NOISE, strings::NOISE_EXPLAINED, |new| &mut new.sound.noise_suppression),
        (strings::GAIN, strings::GAIN_EXPLAINED, |new| &mut new.sound.automatic_gain),
        (strings::CONSTANT_RATE, strings::CONSTANT_RATE_EXPLAINED, |new| &mut new.sound.constant_bitrate),
    ];
    for (name, explained, field) in switches {
        let on = *field(&mut (*cx.view.settings).clone());
        if switch(ui, name, explained, on).clicked() {
            change(cx, |new| *field(new) = !on);
        }
    }
    text(ui, strings::HEAR_WHERE, size::CAPTION, Weight::Regular, tokens(ui.ctx()).secondary);
}
