//! The invites of a meeting: who each is for, who used it, and making and taking back.

use std::time::Duration;

use egui::{Align, Layout, Ui};

use crate::engine::Command;
use crate::engine::command::InviteWish;
use crate::engine::view::{InviteLink, InviteNo, InviteState, Meeting, Stage};
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::theme::{Weight, control, size, space, tokens};
use crate::ui::widgets::{
    Button, Field, Kind, Sheet, caption, card, field, icon_line, link_qr, note, segments, sheet, strong, switch, text,
};
use crate::ui::{strings, when};

/// Longest label, in characters: as long as a name.
const LABEL_LIMIT: usize = 64;

/// Which page of the sheet is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Page {
    /// All invites.
    #[default]
    List,
    /// The first open invite as a code to scan.
    Code,
    /// A certain one as a code.
    CodeOf(InviteNo),
}

/// What is being done in the sheet.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) page: Page,
    draft: Option<Draft>,
    revoking: Option<InviteNo>,
}

impl Desk {
    /// Nothing is being done, with `page` open.
    pub(crate) fn at(page: Page) -> Self {
        Self { page, ..Self::default() }
    }
}

/// An invite being made.
#[derive(Default)]
struct Draft {
    label: String,
    lasts: Lasts,
    any_number: bool,
    /// The field for the label has had the focus.
    begun: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Lasts {
    Hour,
    #[default]
    Day,
    Meeting,
}

impl Lasts {
    fn duration(self) -> Option<Duration> {
        match self {
            Self::Hour => Some(Duration::from_secs(3600)),
            Self::Day => Some(Duration::from_secs(24 * 3600)),
            Self::Meeting => None,
        }
    }
}

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>) -> bool {
    let Stage::Meeting(meeting) = &cx.view.stage else { return true };
    if !meeting.hosting {
        return true;
    }
    let by_id = |id| meeting.invites.iter().find(|invite| invite.id == id && invite.state == InviteState::Open);
    match cx.local.invites.page {
        Page::List => list(ui, cx, meeting),
        Page::Code => match &meeting.link {
            Some(link) => code(ui, cx, strings::INVITE, link),
            None => list(ui, cx, meeting),
        },
        Page::CodeOf(id) => match by_id(id) {
            Some(invite) => code(ui, cx, &strings::invite_for(&invite.label), &invite.link),
            None => list(ui, cx, meeting),
        },
    }
}

/// One link, to be scanned.
fn code(ui: &mut Ui, cx: &mut Cx<'_>, title: &str, link: &str) -> bool {
    let look = Sheet { title, width: 420.0, footer: control::HEIGHT };
    let room = ui.ctx().content_rect().height();
    let (mut copy, mut back) = (false, false);
    let closed = sheet(
        ui,
        &look,
        |ui| {
            note(ui, strings::INVITE_EXPLAINED);
            ui.add_space(space::S);
            ui.with_layout(Layout::top_down(Align::Center), |ui| {
                link_qr(ui, link, (room - 280.0).clamp(180.0, 300.0), title);
            });
        },
        |ui| {
            ui.horizontal(|ui| {
                let half = (ui.available_width() - space::S) / 2.0;
                back = Button::new(Kind::Secondary, strings::ALL_INVITES).width(half).show(ui).clicked();
                copy = Button::new(Kind::Primary, strings::COPY_LINK).icon(Icon::Copy).width(half).show(ui).clicked();
            });
        },
    );
    if copy {
        cx.copy_this_link(ui.ctx(), link);
    }
    if back {
        cx.local.invites.page = Page::List;
    }
    closed
}

fn list(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting) -> bool {
    let look = Sheet { title: strings::INVITES, width: 560.0, footer: control::HEIGHT };
    // Two closures need the same things, one after the other.
    let shared = std::cell::RefCell::new(cx);
    sheet(
        ui,
        &look,
        |ui| {
            let cx = &mut **shared.borrow_mut();
            ui.spacing_mut().item_spacing.y = space::S;
            // While one is being made, the others step back.
            if let Some(draft) = &mut cx.local.invites.draft {
                form(ui, draft);
                return;
            }
            note(ui, strings::INVITES_EXPLAINED);
            ui.add_space(space::XS);
            if !meeting.invites.iter().any(|invite| invite.state == InviteState::Open) {
                icon_line(ui, Icon::Unlink, strings::INVITES_GONE, tokens(ui.ctx()).secondary);
            }
            for invite in &meeting.invites {
                line(ui, cx, invite);
            }
        },
        |ui| footer(ui, &mut shared.borrow_mut()),
    )
}

fn footer(ui: &mut Ui, cx: &mut Cx<'_>) {
    let width = ui.available_width();
    let half = (width - space::S) / 2.0;
    ui.horizontal(|ui| match &cx.local.invites.draft {
        None => {
            let new = Button::new(Kind::Primary, strings::NEW_INVITE).icon(Icon::Plus).width(width);
            if new.show(ui).clicked() {
                cx.local.invites = Desk { draft: Some(Draft::default()), ..Desk::default() };
            }
        }
        Some(draft) => {
            let label = draft.label.trim().to_owned();
            let wish =
                InviteWish { label: label.clone(), lasts: draft.lasts.duration(), single_use: !draft.any_number };
            if Button::new(Kind::Secondary, strings::CANCEL).width(half).show(ui).clicked() {
                cx.local.invites.draft = None;
            }
            let create = Button::new(Kind::Primary, strings::CREATE_INVITE).width(half).enabled(!label.is_empty());
            if create.show(ui).clicked() {
                cx.send(Command::CreateInvite(wish));
                cx.local.invites.draft = None;
            }
        }
    });
}

fn form(ui: &mut Ui, draft: &mut Draft) {
    caption(ui, strings::INVITE_FOR);
    let look = Field {
        name: strings::INVITE_FOR,
        hint: strings::INVITE_FOR_HINT,
        limit: LABEL_LIMIT,
        secret: false,
        code: false,
        wrong: false,
    };
    let typed = field(ui, &mut draft.label, &look);
    // The one thing that must be typed; whoever uses the keyboard is there at once.
    if !draft.begun {
        draft.begun = true;
        typed.request_focus();
    }
    ui.add_space(space::XS);
    caption(ui, strings::INVITE_LASTS);
    let options =
        [(Lasts::Hour, strings::ONE_HOUR), (Lasts::Day, strings::ONE_DAY), (Lasts::Meeting, strings::UNTIL_END)];
    if let Some(lasts) = segments(ui, &options, draft.lasts) {
        draft.lasts = lasts;
    }
    ui.add_space(space::S);
    if switch(ui, strings::SINGLE_USE, strings::SINGLE_USE_EXPLAINED, !draft.any_number).clicked() {
        draft.any_number = !draft.any_number;
    }
}

/// An invite for one person, whether by its name or by its rule.
pub(super) fn personal(invite: &InviteLink) -> bool {
    invite.single_use || !invite.label.trim().is_empty()
}

fn line(ui: &mut Ui, cx: &mut Cx<'_>, invite: &InviteLink) {
    let t = tokens(ui.ctx());
    let open = invite.state == InviteState::Open;
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        // Lines of words, not of controls.
        ui.spacing_mut().interact_size.y = size::TITLE;
        ui.horizontal(|ui| {
            let words = match invite.state {
                InviteState::Open => strings::INVITE_OPEN,
                InviteState::Used => strings::INVITE_USED,
                InviteState::Revoked => strings::INVITE_REVOKED,
                InviteState::Expired => strings::INVITE_EXPIRED,
            };
            let room = ui.available_width() - 80.0;
            ui.scope(|ui| {
                ui.set_width(room);
                strong(ui, &strings::invite_for(&invite.label));
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                text(ui, words, size::CAPTION, Weight::Medium, if open { t.accent_text } else { t.muted });
            });
        });
        if open {
            let until = invite.expires.map(when::date_and_time);
            let words = strings::invite_works(until.as_deref(), invite.single_use);
            text(ui, words, size::CAPTION, Weight::Regular, t.secondary);
        }
        match invite.used_by.len() {
            0 if open => {
                text(ui, strings::NOBODY_USED_IT, size::CAPTION, Weight::Regular, t.secondary);
            }
            0 => {}
            2.. if personal(invite) => {
                let words = strings::invite_passed_on(&invite.used_by);
                icon_line(ui, Icon::TriangleAlert, words, t.warning);
            }
            _ => {
                icon_line(ui, Icon::Users, strings::invite_used_by(&invite.used_by), t.secondary);
            }
        }
        if open {
            ui.add_space(space::XS);
            if cx.local.invites.revoking == Some(invite.id) {
                confirm(ui, cx, invite);
            } else {
                actions(ui, cx, invite);
            }
        }
    });
}

fn actions(ui: &mut Ui, cx: &mut Cx<'_>, invite: &InviteLink) {
    ui.horizontal(|ui| {
        let third = (ui.available_width() - 2.0 * space::S) / 3.0;
        let (copy, show) = (strings::copy_invite(&invite.label), strings::show_invite(&invite.label));
        let revoke = strings::revoke_invite(&invite.label);
        let button = |kind, words, name, icon| Button::new(kind, words).name(name).icon(icon).compact().width(third);
        if button(Kind::Secondary, strings::COPY_SHORT, copy.as_str(), Icon::Copy).show(ui).clicked() {
            cx.copy_this_link(ui.ctx(), &invite.link);
        }
        if button(Kind::Secondary, strings::QR_SHORT, show.as_str(), Icon::QrCode).show(ui).clicked() {
            cx.local.invites.page = Page::CodeOf(invite.id);
        }
        if button(Kind::Quiet, strings::REVOKE, revoke.as_str(), Icon::Unlink).show(ui).clicked() {
            cx.local.invites.revoking = Some(invite.id);
        }
    });
}

fn confirm(ui: &mut Ui, cx: &mut Cx<'_>, invite: &InviteLink) {
    note(ui, strings::REVOKE_QUESTION);
    ui.add_space(space::XS);
    ui.horizontal(|ui| {
        let half = (ui.available_width() - space::S) / 2.0;
        if Button::new(Kind::Secondary, strings::KEEP).compact().width(half).show(ui).clicked() {
            cx.local.invites.revoking = None;
        }
        let revoke = Button::new(Kind::Danger, strings::REVOKE_NOW).icon(Icon::Unlink).compact().width(half);
        if revoke.show(ui).clicked() {
            cx.send(Command::RevokeInvite(invite.id));
            cx.local.invites.revoking = None;
        }
    });
}
