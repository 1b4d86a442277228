//! The door: who knocks, and whether it is open at all.

use egui::accesskit::Live;
use egui::{Align, Layout, Rect, Ui, vec2};

use super::invites::Page;
use crate::engine::Command;
use crate::engine::view::{Familiarity, Knock, Meeting, Role};
use crate::ui::app::{Cx, Panel};
use crate::ui::icons::Icon;
use crate::ui::strings;
use crate::ui::theme::{Weight, control, size, space, tokens};
use crate::ui::widgets::{
    Button, Entry, Kind, banner_frame, caption, card, icon_line, more_button, note, strong, switch, text,
};

/// Width of the buttons of a knock banner.
const ANSWER: f32 = 88.0;
/// In a banner at least this wide, they stand beside the words.
const BESIDE: f32 = 440.0;

/// Whether this person may answer knocks and lock the door.
pub(crate) fn keeps_the_door(meeting: &Meeting) -> bool {
    meeting.hosting || meeting.role != Role::Member
}

/// The part of the panel that is about the door.
pub(super) fn section(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting) {
    let t = tokens(ui.ctx());
    if !keeps_the_door(meeting) {
        if meeting.locked {
            icon_line(ui, Icon::DoorLocked, strings::LOCKED_EXPLAINED, t.secondary);
            ui.add_space(space::S);
        }
        return;
    }
    if !meeting.knocks.is_empty() {
        caption(ui, strings::AT_THE_DOOR);
        for knock in &meeting.knocks {
            card(ui, |ui| at_the_door(ui, cx, meeting, knock));
        }
        ui.add_space(space::S);
    }
    caption(ui, strings::THE_DOOR);
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        if switch(ui, strings::LOCK_MEETING, strings::LOCK_EXPLAINED, meeting.locked).clicked() {
            cx.send(Command::SetLocked(!meeting.locked));
        }
        if meeting.hosting {
            ui.add_space(space::XS);
            ui.horizontal(|ui| {
                let width = if meeting.link.is_some() {
                    let width = (ui.available_width() - space::S) / 2.0;
                    let copy = Button::new(Kind::Secondary, strings::COPY_SHORT).name(strings::COPY_LINK);
                    if copy.icon(Icon::Link).compact().width(width).show(ui).clicked() {
                        cx.copy_link(ui.ctx());
                    }
                    width
                } else {
                    ui.available_width()
                };
                let invites = Button::new(Kind::Secondary, strings::INVITES).name(strings::MANAGE_INVITES);
                if invites.icon(Icon::UserPlus).compact().width(width).show(ui).clicked() {
                    cx.open_invites(Page::List);
                }
            });
        }
    });
    ui.add_space(space::S);
}

/// What is known of somebody at the door, besides the name.
fn facts(ui: &mut Ui, meeting: &Meeting, knock: &Knock) {
    let t = tokens(ui.ctx());
    familiarity(ui, &knock.who);
    if let Some(first) = &knock.shared_with {
        icon_line(ui, Icon::TriangleAlert, strings::passed_on_to_knock(first), t.warning);
    }
    if meeting.hosting || !knock.invite.is_empty() {
        text(ui, strings::knocked_with(&knock.invite), size::CAPTION, Weight::Regular, t.secondary);
    }
    text(ui, &knock.fingerprint, size::CAPTION, Weight::Code, t.muted);
}

/// Whether letting somebody in should not be the obvious thing to press.
fn suspicious(knock: &Knock) -> bool {
    matches!(knock.who, Familiarity::LookAlike(_) | Familiarity::Mismatch(_)) || knock.shared_with.is_some()
}

fn at_the_door(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, knock: &Knock) {
    ui.spacing_mut().item_spacing.y = space::XS;
    strong(ui, &strings::shown_name(&knock.name));
    facts(ui, meeting, knock);
    ui.add_space(space::XS);
    let in_list = |words: String| format!("{words} ({})", strings::AT_THE_DOOR.to_lowercase());
    let (no, yes) = (in_list(strings::decline(&knock.name)), in_list(strings::admit(&knock.name)));
    let never = in_list(strings::block(&knock.name));
    let (yes_kind, no_kind) = kinds(knock);
    ui.horizontal(|ui| {
        let width = (ui.available_width() - space::S) / 2.0;
        if Button::new(no_kind, strings::DECLINE).name(&no).compact().width(width).show(ui).clicked() {
            cx.send(Command::Decline(knock.id));
        }
        if Button::new(yes_kind, strings::ADMIT).name(&yes).compact().width(width).show(ui).clicked() {
            cx.send(Command::Admit(knock.id));
        }
    });
    if meeting.hosting {
        let width = ui.available_width();
        let block = Button::new(Kind::Quiet, strings::BLOCK).name(&never).icon(Icon::Ban).compact().width(width);
        if block.show(ui).clicked() {
            cx.send(Command::Block(knock.id));
        }
    }
}

/// How the buttons to admit and to decline look.
fn kinds(knock: &Knock) -> (Kind, Kind) {
    if suspicious(knock) { (Kind::Secondary, Kind::Primary) } else { (Kind::Primary, Kind::Secondary) }
}

/// The banner for the first of those at the door. Returns its lower edge.
pub(crate) fn banner(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, knock: &Knock, place: Rect) -> f32 {
    let t = tokens(ui.ctx());
    let edge = if suspicious(knock) { t.warning } else { t.accent_text };
    let others = meeting.knocks.len().saturating_sub(1);
    banner_frame(ui, place.left(), place.right(), place.top(), 560.0, edge, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let more = if meeting.hosting { control::TARGET + space::XS } else { 0.0 };
        let buttons = 2.0 * ANSWER + space::S + more;
        let width = ui.available_width();
        let words = |ui: &mut Ui| {
            let said = strong(ui, &strings::wants_to_join(&knock.name));
            ui.ctx().accesskit_node_builder(said.id, |node| node.set_live(Live::Polite));
            facts(ui, meeting, knock);
        };
        if width < BESIDE {
            words(ui);
            ui.allocate_ui_with_layout(vec2(width, control::TARGET), Layout::right_to_left(Align::Min), |ui| {
                answers(ui, cx, meeting, knock);
            });
        } else {
            ui.horizontal_top(|ui| {
                ui.scope(|ui| {
                    ui.set_width(width - buttons - space::M);
                    ui.vertical(words);
                });
                ui.with_layout(Layout::right_to_left(Align::Min), |ui| answers(ui, cx, meeting, knock));
            });
        }
        if others > 0 {
            ui.horizontal(|ui| {
                note(ui, &strings::more_knocks(others));
                if Button::new(Kind::Quiet, strings::MORE_WAITING).compact().show(ui).clicked() {
                    cx.local.panel = Some(Panel::People);
                }
            });
        }
    })
}

/// The buttons of the banner, laid out from the right.
fn answers(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, knock: &Knock) {
    let (yes, no) = (strings::admit(&knock.name), strings::decline(&knock.name));
    let (yes_kind, no_kind) = kinds(knock);
    if meeting.hosting {
        let block = Entry { value: (), icon: Icon::Ban, words: strings::BLOCK, danger: true };
        ui.spacing_mut().item_spacing.x = space::XS;
        if more_button(ui, &strings::more_about(&knock.name), vec![block]).is_some() {
            cx.send(Command::Block(knock.id));
        }
        ui.spacing_mut().item_spacing.x = space::S;
    }
    if Button::new(yes_kind, strings::ADMIT).name(&yes).compact().width(ANSWER).show(ui).clicked() {
        cx.send(Command::Admit(knock.id));
    }
    if Button::new(no_kind, strings::DECLINE).name(&no).compact().width(ANSWER).show(ui).clicked() {
        cx.send(Command::Decline(knock.id));
    }
}

/// Whether somebody at the door is known.
fn familiarity(ui: &mut Ui, who: &Familiarity) {
    let t = tokens(ui.ctx());
    match who {
        Familiarity::New => icon_line(ui, Icon::Info, strings::NEW_PERSON, t.secondary),
        Familiarity::Met(name) => icon_line(ui, Icon::Users, strings::knock_met(name), t.secondary),
        Familiarity::Verified(name) => icon_line(ui, Icon::ShieldCheck, strings::knock_verified(name), t.verified),
        Familiarity::Mismatch(name) => icon_line(ui, Icon::TriangleAlert, strings::did_not_match(name), t.danger_text),
        Familiarity::LookAlike(name) => icon_line(ui, Icon::TriangleAlert, strings::look_alike(name), t.warning),
    };
}
