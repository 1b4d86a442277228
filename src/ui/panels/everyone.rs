//! The code that everybody here sees, to be read aloud: it verifies all at once.

use egui::accesskit::Role;
use egui::{Align, Align2, CornerRadius, Layout, Rect, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::engine::event::Tone;
use crate::engine::view::{Meeting, Stage};
use crate::engine::{Command, Verdict};
use crate::ui::app::{Cx, unix_now};
use crate::ui::icons::Icon;
use crate::ui::theme::{Weight, control, font, radius, size, space, tokens};
use crate::ui::widgets::{Button, Kind, Sheet, alert, caption, icon_line, note, sheet, spinner, text};
use crate::ui::{strings, when};

/// Height of a word's field in points.
const WORD: f32 = 64.0;
/// The same in a low window.
const LOW_WORD: f32 = 46.0;

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
    let Stage::Meeting(meeting) = &cx.view.stage else { return true };
    if meeting.peers.is_empty() {
        return true;
    }
    let ready = !meeting.code.words.is_empty() || meeting.code.differs;
    let footer_height = if ready { control::HEIGHT } else { 0.0 };
    let look = Sheet { title: strings::VERIFY_EVERYONE, width: 560.0, footer: footer_height };
    let mut done = false;
    let closed = sheet(
        ui,
        &look,
        |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            contents(ui, meeting);
        },
        |ui| done = footer(ui, cx, meeting),
    );
    closed || done
}

fn contents(ui: &mut Ui, meeting: &Meeting) {
    let t = tokens(ui.ctx());
    let code = &meeting.code;
    if code.differs {
        alert(ui, Icon::ShieldAlert, strings::CODE_DIFFERS_TITLE, strings::CODE_DIFFERS_EXPLAINED, t.danger_text);
        note(ui, strings::CODE_DIFFERS_ADVICE);
    } else if code.confirmed {
        icon_line(ui, Icon::ShieldCheck, strings::CODE_CONFIRMED, t.verified);
    } else if !code.words.is_empty() {
        note(ui, strings::CODE_EXPLAINED);
    }
    if code.words.is_empty() {
        ui.horizontal(|ui| {
            spinner(ui, control::ICON);
            note(ui, strings::CODE_PENDING);
        });
    } else {
        ui.add_space(space::XS);
        words(ui, &code.words);
        ui.add_space(space::S);
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            caption(ui, strings::CODE_DIGITS);
            text(ui, &code.digits, size::CODE, Weight::Code, t.text);
        });
    }
    if !code.unverified.is_empty() {
        ui.add_space(space::S);
        icon_line(ui, Icon::Shield, strings::not_yet_verified_names(&code.unverified), t.secondary);
    }
}

/// The words, two in a row, each with its place, so that nobody reads them in another order.
fn words(ui: &mut Ui, words: &[String]) {
    let t = tokens(ui.ctx());
    let width = (ui.available_width() - space::S) / 2.0;
    let rows = words.len().div_ceil(2);
    let word_height = if ui.ctx().content_rect().height() < 600.0 { LOW_WORD } else { WORD };
    let height = rows as f32 * (word_height + space::S) - space::S;
    let (all, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    for (index, word) in words.iter().enumerate() {
        let corner =
            all.min + vec2((index % 2) as f32 * (width + space::S), (index / 2) as f32 * (word_height + space::S));
        let place = Rect::from_min_size(corner, vec2(width, word_height));
        let response = ui.interact(place, ui.scope_id().with(("word", index)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, word));
        ui.painter().rect_filled(place, CornerRadius::same(radius::CARD), t.raised);
        let at = place.left_top() + vec2(space::M, space::S);
        let number = font(size::CAPTION, Weight::Code);
        ui.painter().text(at, Align2::LEFT_TOP, (index + 1).to_string(), number, t.muted);
        let middle = pos2(place.center().x, place.center().y);
        ui.painter().text(middle, Align2::CENTER_CENTER, word, font(size::DISPLAY, Weight::Medium), t.text);
    }
}

fn footer(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting) -> bool {
    let code = &meeting.code;
    let mut done = false;
    ui.horizontal(|ui| {
        let share = |count: f32| (ui.available_width() - (count - 1.0) * space::S) / count;
        if code.differs {
            let third = share(3.0);
            let copy = Button::new(Kind::Secondary, strings::COPY_EVIDENCE).icon(Icon::Copy).width(third);
            if copy.show(ui).clicked() {
                ui.ctx().copy_text(evidence(cx, meeting));
                cx.toast(ui.ctx(), Tone::Good, strings::COPIED);
            }
            if Button::new(Kind::Secondary, strings::READ_AGAIN).width(third).show(ui).clicked() {
                cx.send(Command::JudgeCode { digits: code.digits.clone(), verdict: Verdict::Withdrawn });
            }
            if Button::new(Kind::Danger, strings::LEAVE).icon(Icon::PhoneOff).width(third).show(ui).clicked() {
                cx.leave();
            }
            return;
        }
        let half = share(2.0);
        let different = Button::new(Kind::Refuse, strings::CODE_DIFFERENT).icon(Icon::ShieldAlert).width(half);
        if different.show(ui).clicked() {
            cx.send(Command::JudgeCode { digits: code.digits.clone(), verdict: Verdict::Mismatch });
        }
        if code.confirmed {
            if Button::new(Kind::Secondary, strings::WITHDRAW).width(half).show(ui).clicked() {
                cx.send(Command::JudgeCode { digits: code.digits.clone(), verdict: Verdict::Withdrawn });
            }
        } else {
            let same = Button::new(Kind::Primary, strings::CODE_SAME).icon(Icon::Check).width(half);
            if same.show(ui).clicked() {
                cx.send(Command::JudgeCode { digits: code.digits.clone(), verdict: Verdict::Match });
                done = true;
            }
        }
    });
    done
}

fn evidence(cx: &Cx<'_>, meeting: &Meeting) -> String {
    let others: Vec<_> = meeting.peers.iter().map(|peer| (peer.name.as_str(), peer.fingerprint.as_str())).collect();
    strings::Evidence {
        when: &when::date_and_time(unix_now()),
        own: &cx.view.fingerprint,
        others: &others,
        number: &format!("{} ({})", meeting.code.words.join(" "), meeting.code.digits),
        compared: "",
        roster: &strings::roster_entry(meeting.roster.entry, &meeting.roster.hash),
    }
    .of_code()
}
