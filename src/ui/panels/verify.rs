//! Comparing safety numbers.

use egui::accesskit::{Live, Role};
use egui::{Align, Align2, Layout, Rect, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::engine::compare::{SAFETY_DIGITS, safety_digits_in, safety_numbers_match};
use crate::engine::event::Tone;
use crate::engine::view::{Meeting, Peer, PeerId, PeerLink, Quality, Stage, Verification};
use crate::engine::{Command, Verdict};
use crate::ui::app::{Cx, unix_now};
use crate::ui::icons::{self, Icon};
use crate::ui::textures::Source;
use crate::ui::theme::{Weight, control, font, radius, size, space, tokens};
use crate::ui::widgets::{
    Button, Field, Kind, Sheet, Tile, caption, field, hairline, heading, icon_line, note, over, qr, sheet, text, tile,
    two_columns,
};
use crate::ui::{strings, when};

/// What a typed or pasted number turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Nothing,
    Partly(usize),
    Equal,
    Different,
}

/// Compares what was typed with the own number, whatever white space and hyphens stand between the digits. A scanned code's
/// text is understood too.
fn compare(typed: &str, own: &str) -> Compared {
    match safety_digits_in(typed) {
        0 => Compared::Nothing,
        count if count < SAFETY_DIGITS => Compared::Partly(count),
        _ if safety_numbers_match(typed, own) => Compared::Equal,
        _ => Compared::Different,
    }
}

/// Shows a number of sixty digits in three rows of four groups, so that a place is easily found again.
pub(crate) fn digits(ui: &mut Ui, number: &str, points: f32) {
    let t = tokens(ui.ctx());
    let font = font(points, Weight::Code);
    let groups: Vec<&str> = number.split_whitespace().collect();
    let letter = ui.ctx().fonts_mut(|fonts| fonts.glyph_width(&font, '0'));
    let (column, row) = (letter * 5.0 + letter, points * 1.5);
    let rows = groups.len().div_ceil(4).max(1);
    let wanted = vec2(column * 4.0 - letter, row * rows as f32);
    let (rect, response) = ui.allocate_exact_size(wanted, Sense::hover());
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::Label, true, number);
        info.current_text_value = Some(number.to_owned());
        info
    });
    for (index, group) in groups.iter().enumerate() {
        let at = pos2(rect.left() + (index % 4) as f32 * column, rect.top() + (index / 4) as f32 * row + row / 2.0);
        ui.painter().text(at, Align2::LEFT_CENTER, group, font.clone(), t.text);
    }
}

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>, id: PeerId) -> bool {
    let Stage::Meeting(meeting) = &cx.view.stage else { return true };
    let Some(peer) = meeting.peers.iter().find(|peer| peer.id == id) else { return true };
    let title = strings::verify_title(&peer.name);
    let look = Sheet { title: &title, width: 660.0, footer: control::HEIGHT };
    let compared = compare(&cx.local.compared, &peer.safety_number);
    let mut done = false;
    // Two closures need the same things, one after the other.
    let shared = std::cell::RefCell::new(cx);
    let closed = sheet(
        ui,
        &look,
        |ui| contents(ui, &mut shared.borrow_mut(), peer, compared),
        |ui| done = footer(ui, &mut shared.borrow_mut(), meeting, peer, compared),
    );
    closed || done
}

fn contents(ui: &mut Ui, cx: &mut Cx<'_>, peer: &Peer, compared: Compared) {
    let t = tokens(ui.ctx());
    ui.spacing_mut().item_spacing.y = space::S;
    who(ui, cx, peer);
    if peer.verification == Verification::Mismatch {
        note(ui, strings::MISMATCH_ADVICE);
        ui.add_space(space::XS);
        number(ui, cx, peer, false);
        return;
    }
    number(ui, cx, peer, true);
    ui.add_space(space::XS);
    // The outcome stands beside the label, so that it is in view whatever the height of the window.
    ui.horizontal_top(|ui| {
        let label = text(ui, strings::COMPARE_FIELD, size::BODY, Weight::Medium, t.text);
        let room = ui.available_width().max(0.0);
        let place = Rect::from_min_size(pos2(label.rect.right() + space::S, label.rect.top()), vec2(room, 18.0));
        over(ui, place, |ui| ui.with_layout(Layout::right_to_left(Align::Min), |ui| outcome(ui, compared)));
    });
    let look = Field {
        name: strings::COMPARE_FIELD,
        hint: strings::COMPARE_HINT,
        limit: 200,
        secret: false,
        code: true,
        wrong: compared == Compared::Different,
    };
    field(ui, &mut cx.local.compared, &look);
}

/// What the comparison showed, laid out from the right.
fn outcome(ui: &mut Ui, compared: Compared) {
    let t = tokens(ui.ctx());
    let (icon, words, colour) = match compared {
        Compared::Nothing => return,
        Compared::Partly(count) => {
            text(ui, strings::digits_so_far(count), size::CAPTION, Weight::Regular, t.muted);
            return;
        }
        Compared::Equal => (Icon::Check, strings::NUMBERS_EQUAL, t.text),
        Compared::Different => (Icon::ShieldAlert, strings::NUMBERS_DIFFER, t.danger_text),
    };
    let said = text(ui, words, size::BODY, Weight::Medium, colour);
    ui.ctx().accesskit_node_builder(said.id, |node| node.set_live(Live::Assertive));
    let (rect, _) = ui.allocate_exact_size(vec2(16.0, 18.0), Sense::hover());
    icons::paint(ui, icon, Rect::from_center_size(rect.center(), vec2(16.0, 16.0)), colour);
}

/// Their picture and the task, always in view.
fn who(ui: &mut Ui, cx: &mut Cx<'_>, peer: &Peer) {
    let t = tokens(ui.ctx());
    let name = strings::shown_name(&peer.name);
    let visible = peer.camera_on && peer.link != PeerLink::Stopped;
    let picture = if visible { cx.textures.newest(ui.ctx(), Source::Peer(peer.id), &peer.picture) } else { None };
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        let (rect, _) =
            ui.allocate_exact_size(if short(ui) { vec2(96.0, 54.0) } else { vec2(128.0, 72.0) }, Sense::hover());
        let shown = Tile {
            name: &name,
            initials: &name,
            chip: "",
            chip_room: 0.0,
            picture,
            mirrored: false,
            mic_on: peer.mic_on,
            camera_on: peer.camera_on,
            speaking: false,
            quality: Quality::Unknown,
            quality_word: "",
            quality_why: &[],
            verified: false,
            message: None,
            corner: radius::CONTROL,
        };
        tile(ui, rect, &shown);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = space::XS;
            match &peer.verification {
                Verification::No => {
                    note(ui, strings::COMPARE_EXPLAINED);
                }
                Verification::Mismatch => {
                    heading(ui, strings::MISMATCH_TITLE);
                    icon_line(ui, Icon::ShieldAlert, strings::MISMATCH_EXPLAINED, t.danger_text);
                }
                Verification::Yes { since } => {
                    icon_line(ui, Icon::ShieldCheck, strings::verified_on(&when::date(*since)), t.verified);
                    note(ui, strings::ALREADY_VERIFIED);
                }
                Verification::Changed => {
                    icon_line(ui, Icon::ShieldAlert, strings::CHANGED_TITLE, t.warning);
                    note(ui, strings::CHANGED_EXPLAINED);
                }
            }
        });
    });
    ui.add_space(space::XS);
    hairline(ui);
    ui.add_space(space::XS);
}

/// The window is too low for the sheet's usual measures.
fn short(ui: &Ui) -> bool {
    ui.ctx().content_rect().height() < 600.0
}

fn number(ui: &mut Ui, cx: &mut Cx<'_>, peer: &Peer, code: bool) {
    let t = tokens(ui.ctx());
    let side = if short(ui) { 124.0 } else { 148.0 };
    let column = |ui: &mut Ui, cx: &mut Cx<'_>| {
        ui.horizontal(|ui| {
            caption(ui, strings::SAFETY_NUMBER);
            let button = Button::new(Kind::Quiet, strings::COPY_NUMBER).icon(Icon::Copy).compact();
            if button.show(ui).clicked() {
                ui.ctx().copy_text(peer.safety_number.clone());
                cx.toast(ui.ctx(), Tone::Good, strings::COPIED);
            }
        });
        digits(ui, &peer.safety_number, size::CODE);
    };
    if !code {
        column(ui, cx);
        return;
    }
    let left = ui.available_width() - side - space::L;
    two_columns(ui, left, space::L, cx, column, |ui, _| {
        qr(ui, &peer.safety_qr, side, strings::SAFETY_NUMBER);
        if !short(ui) {
            text(ui, strings::SCAN, size::CAPTION, Weight::Regular, t.muted);
        }
    });
}

fn footer(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, peer: &Peer, compared: Compared) -> bool {
    let mut done = false;
    let judge = |verdict| Command::Judge { peer: peer.id, verdict };
    ui.horizontal(|ui| {
        let half = (ui.available_width() - space::S) / 2.0;
        match &peer.verification {
            Verification::No | Verification::Changed => {
                let no = Button::new(Kind::Refuse, strings::THEY_DIFFER).icon(Icon::ShieldAlert).width(half);
                if no.show(ui).clicked() {
                    cx.send(judge(Verdict::Mismatch));
                }
                // What the app has found to differ cannot be called equal by a slip.
                let right = compared != Compared::Different;
                let yes = Button::new(Kind::Primary, strings::THEY_MATCH).icon(Icon::Check).width(half).enabled(right);
                if yes.show(ui).clicked() {
                    cx.send(judge(Verdict::Match));
                    done = true;
                }
            }
            Verification::Yes { .. } => {
                let withdraw = Button::new(Kind::Secondary, strings::WITHDRAW).width(half);
                if withdraw.show(ui).clicked() {
                    cx.send(judge(Verdict::Withdrawn));
                }
                if Button::new(Kind::Refuse, strings::THEY_DIFFER).width(half).show(ui).clicked() {
                    cx.send(judge(Verdict::Mismatch));
                }
            }
            Verification::Mismatch => {
                let third = (ui.available_width() - 2.0 * space::S) / 3.0;
                let copy = Button::new(Kind::Secondary, strings::COPY_EVIDENCE).icon(Icon::Copy).width(third);
                if copy.show(ui).clicked() {
                    let evidence = strings::Evidence {
                        when: &when::date_and_time(unix_now()),
                        own: &cx.view.fingerprint,
                        others: &[(&peer.name, &peer.fingerprint)],
                        number: &peer.safety_number,
                        compared: cx.local.compared.trim(),
                        roster: &strings::roster_entry(meeting.roster.entry, &meeting.roster.hash),
                    }
                    .of_numbers();
                    ui.ctx().copy_text(evidence);
                    cx.toast(ui.ctx(), Tone::Good, strings::COPIED);
                }
                if Button::new(Kind::Secondary, strings::COMPARE_AGAIN).width(third).show(ui).clicked() {
                    cx.local.compared.clear();
                    cx.send(judge(Verdict::Withdrawn));
                }
                if Button::new(Kind::Danger, strings::LEAVE).icon(Icon::PhoneOff).width(third).show(ui).clicked() {
                    cx.leave();
                }
            }
        }
    });
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "12345 67890 12345 67890 12345 67890 12345 67890 12345 67890 12345 67890";

    #[test]
    fn spaces_lines_and_the_text_of_a_scanned_code_do_not_matter() {
        let run = OWN.replace(' ', "");
        let scanned = format!(" conclave:verify:1:{run} ");
        for typed in [OWN.to_owned(), run, OWN.replace(' ', "\n"), OWN.replace(' ', "-"), scanned] {
            assert_eq!(compare(&typed, OWN), Compared::Equal, "{typed}");
        }
    }

    #[test]
    fn one_wrong_or_missing_or_extra_digit_is_not_equal() {
        assert_eq!(compare(&OWN.replacen('1', "2", 1), OWN), Compared::Different);
        assert_eq!(compare(&format!("{OWN}1"), OWN), Compared::Different);
        assert_eq!(compare(&OWN[..OWN.len() - 1], OWN), Compared::Partly(59));
        assert_eq!(compare(&format!("{OWN} or so"), OWN), Compared::Different);
        assert_eq!(compare("conclave:verify:1:12", OWN), Compared::Partly(2));
        assert_eq!(compare("", OWN), Compared::Nothing);
        assert_eq!(compare("hello", OWN), Compared::Nothing);
    }

    #[test]
    fn nothing_is_equal_to_a_number_that_is_not_there() {
        assert_eq!(compare(OWN, ""), Compared::Different);
    }
}
