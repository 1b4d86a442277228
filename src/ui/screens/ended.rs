//! After the meeting.

use egui::Ui;

use crate::engine::Command;
use crate::engine::view::Ended;
use crate::ui::app::Cx;
use crate::ui::files::FileKind;
use crate::ui::icons::Icon;
use crate::ui::shortcuts::Shortcut;
use crate::ui::theme::{Weight, control, size, space, tokens};
use crate::ui::widgets::{Button, Kind, caption, card, centred, fact, icon_line, note, text, title};
use crate::ui::{strings, when};

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, ended: &Ended) -> f32 {
    let t = tokens(ui.ctx());
    centred(ui, "ended", control::COLUMN, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        title(
            ui,
            match (ended.failed, ended.lasted.is_some()) {
                (false, _) => strings::ENDED,
                (true, true) => strings::ENDED_FAILED,
                (true, false) => strings::ENDED_NEVER,
            },
        );
        if ended.failed {
            icon_line(ui, Icon::CircleAlert, &ended.reason, t.danger_text);
        } else {
            note(ui, &ended.reason);
        }
        ui.add_space(space::S);
        if ended.lasted.is_some() || !ended.met.is_empty() {
            card(ui, |ui| {
                if let Some(lasted) = ended.lasted {
                    fact(ui, strings::LASTED, when::spoken(lasted), false);
                }
                if !ended.met.is_empty() {
                    ui.add_space(space::XS);
                    caption(ui, strings::WHO_WAS_THERE);
                    for (name, verified) in &ended.met {
                        let name = strings::shown_name(name);
                        if *verified {
                            let line = format!("{name} · {}", strings::VERIFIED);
                            icon_line(ui, Icon::ShieldCheck, line, t.verified);
                        } else {
                            let line = format!("{name} · {}", strings::NOT_VERIFIED);
                            icon_line(ui, Icon::Shield, line, t.secondary);
                        }
                    }
                }
            });
            ui.add_space(space::S);
        }
        save(ui, cx, ended);
        let again = cx.last_intent().filter(|_| ended.rejoin);
        ui.horizontal(|ui| {
            let width = (ui.available_width() - space::S) / 2.0;
            if let Some(intent) = again {
                let pressed = Button::new(Kind::Primary, strings::REJOIN).large().width(width).show(ui).clicked();
                if pressed || cx.shortcut == Some(Shortcut::Enter) {
                    cx.send(Command::Prepare(intent));
                }
                if Button::new(Kind::Secondary, strings::HOME).large().width(width).show(ui).clicked() {
                    cx.send(Command::GoHome);
                }
            } else {
                let width = ui.available_width();
                let pressed = Button::new(Kind::Primary, strings::HOME).large().width(width).show(ui).clicked();
                if pressed || cx.shortcut == Some(Shortcut::Enter) {
                    cx.send(Command::GoHome);
                }
            }
        });
    });
    space::XL
}

/// What can be kept of it, side by side.
fn save(ui: &mut Ui, cx: &mut Cx<'_>, ended: &Ended) {
    let files = [
        (ended.log, FileKind::Log, strings::SAVE_LOG, strings::SAVE_LOG_EXPLAINED),
        (ended.report, FileKind::Report, strings::SAVE_REPORT, strings::SAVE_REPORT_EXPLAINED),
    ];
    let files: Vec<_> = files.into_iter().filter(|(there, ..)| *there).collect();
    if files.is_empty() {
        return;
    }
    let t = tokens(ui.ctx());
    let width = (ui.available_width() - space::S * (files.len() - 1) as f32) / files.len() as f32;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        for (_, kind, words, explained) in files {
            ui.vertical(|ui| {
                ui.set_width(width);
                if Button::new(Kind::Secondary, words).width(width).show(ui).clicked() {
                    cx.ask_for_file(kind);
                }
                text(ui, explained, size::CAPTION, Weight::Regular, t.secondary);
            });
        }
    });
    ui.add_space(space::S);
}
