//! What is done to the own sound before it is sent.

use egui::Ui;

use super::{change, devices};
use crate::settings::SoundSettings;
use crate::ui::app::Cx;
use crate::ui::strings;
use crate::ui::widgets::switch;

/// One of the switches.
type Field = fn(&mut SoundSettings) -> &mut bool;

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) {
    let switches: [(&str, &str, Field); 4] = [
        (strings::ECHO, strings::ECHO_EXPLAINED, |sound| &mut sound.echo_cancellation),
        (strings::NOISE, strings::NOISE_EXPLAINED, |sound| &mut sound.noise_suppression),
        (strings::GAIN, strings::GAIN_EXPLAINED, |sound| &mut sound.automatic_gain),
        (strings::CONSTANT_RATE, strings::CONSTANT_RATE_EXPLAINED, |sound| &mut sound.constant_bitrate),
    ];
    for (name, explained, field) in switches {
        let mut sound = cx.view.settings.sound;
        let on = *field(&mut sound);
        if switch(ui, name, explained, on).clicked() {
            *field(&mut sound) = !on;
            change(cx, |new| new.sound = sound);
        }
    }
    devices::hear_myself(ui, cx);
}
