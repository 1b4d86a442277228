//! Home: start a meeting, or paste an invite link.

use egui::{Key, Rect, Sense, Ui, pos2, vec2};

use crate::engine::view::{Familiarity, LinkCheck, LinkFacts};
use crate::engine::{Command, Intent};
use crate::ui::app::{Cx, Sheet};
use crate::ui::icons::{self, Icon};
use crate::ui::shortcuts::Shortcut;
use crate::ui::theme::{Weight, control, font, size, space, tokens};
use crate::ui::widgets::{Button, Field, Kind, alert, card, centred, fact, field, icon_button, icon_line, note, text};
use crate::ui::{strings, when};

/// Longest text that the field takes: beyond what any invite needs, and short enough to check at every key.
const LINK_LIMIT: usize = 4096;

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>) -> f32 {
    let full = ui.max_rect();
    let foot = Rect::from_min_max(pos2(full.left(), full.bottom() - 56.0), full.max);
    let body = Rect::from_min_max(full.min, pos2(full.right(), foot.top()));
    ui.scope_builder(egui::UiBuilder::new().max_rect(body), |ui| {
        centred(ui, "home", control::COLUMN, |ui| column(ui, cx));
    });
    ui.scope_builder(egui::UiBuilder::new().max_rect(foot.shrink2(vec2(space::L, space::S))), |ui| footer(ui, cx));
    72.0
}

fn column(ui: &mut Ui, cx: &mut Cx<'_>) {
    let t = tokens(ui.ctx());
    ui.spacing_mut().item_spacing.y = space::S;
    brand(ui);
    ui.add_space(space::L);
    let width = ui.available_width();
    if Button::new(Kind::Primary, strings::START_MEETING).icon(Icon::Video).large().width(width).show(ui).clicked() {
        cx.send(Command::Prepare(Intent::Start));
    }
    ui.add_space(space::XS);
    divider(ui);
    ui.add_space(space::XS);

    let check = cx.link_check();
    let wrong = matches!(check, LinkCheck::Bad(_));
    let good = matches!(check, LinkCheck::Good(_));
    let trusted = matches!(&check, LinkCheck::Good(facts) if !doubtful(facts));
    let join_width = 104.0;
    text(ui, strings::PASTE_LINK, size::BODY, Weight::Medium, t.text);
    let (typed, pressed) = ui
        .horizontal(|ui| {
            let typed = ui
                .scope(|ui| {
                    ui.set_width(width - join_width - space::S);
                    let look = Field {
                        name: strings::PASTE_LINK,
                        hint: strings::LINK_HINT,
                        limit: LINK_LIMIT,
                        secret: false,
                        code: false,
                        wrong,
                    };
                    field(ui, &mut cx.local.link, &look)
                })
                .inner;
            let kind = if trusted { Kind::Primary } else { Kind::Secondary };
            let pressed = Button::new(kind, strings::JOIN).enabled(good).width(join_width).show(ui).clicked();
            (typed, pressed)
        })
        .inner;
    if typed.changed() {
        cx.local.link_check = None;
    }
    let entered = typed.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    if (pressed || entered || cx.shortcut == Some(Shortcut::Enter))
        && matches!(cx.check_link_again(), LinkCheck::Good(_))
    {
        let link = cx.local.link.clone();
        cx.send(Command::Prepare(Intent::Join(link)));
    }
    match cx.link_check() {
        LinkCheck::Empty => {
            text(ui, strings::DROP_HINT, size::CAPTION, Weight::Regular, t.muted);
        }
        LinkCheck::Bad(sentence) => {
            icon_line(ui, Icon::CircleAlert, sentence, t.danger_text);
        }
        LinkCheck::Good(facts) => {
            link_warning(ui, &facts);
            card(ui, |ui| link_facts(ui, &facts));
        }
    }
}

fn brand(ui: &mut Ui) {
    let t = tokens(ui.ctx());
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        let (rect, _) = ui.allocate_exact_size(vec2(52.0, 52.0), Sense::hover());
        mark(ui, rect);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            text(ui, strings::APP, size::DISPLAY, Weight::Strong, t.text);
            note(ui, strings::PROMISE);
        });
    });
}

/// The app's sign, drawn: a door with its keyhole.
fn mark(ui: &Ui, rect: Rect) {
    let t = tokens(ui.ctx());
    let unit = rect.width() / 52.0;
    let door = Rect::from_min_max(
        pos2(rect.left() + 10.0 * unit, rect.top() + 5.0 * unit),
        pos2(rect.right() - 10.0 * unit, rect.bottom() - 6.0 * unit),
    );
    let top = egui::CornerRadius { nw: 16, ne: 16, sw: 0, se: 0 };
    ui.painter().rect_filled(door, top, t.accent_fill);
    let step = Rect::from_center_size(pos2(door.center().x, door.bottom() + unit), vec2(42.0, 4.0) * unit);
    ui.painter().rect_filled(step, 2.0, t.accent_text);
    let hole = door.center() + vec2(0.0, -unit);
    ui.painter().circle_filled(hole, 4.5 * unit, t.on_fill);
    ui.painter().add(egui::Shape::convex_polygon(
        vec![
            hole + vec2(-2.0, 1.0) * unit,
            hole + vec2(2.0, 1.0) * unit,
            hole + vec2(4.0, 11.0) * unit,
            hole + vec2(-4.0, 11.0) * unit,
        ],
        t.on_fill,
        egui::Stroke::NONE,
    ));
}

fn divider(ui: &mut Ui) {
    let t = tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::hover());
    let galley = ui.painter().layout_no_wrap(strings::OR.to_owned(), font(size::CAPTION, Weight::Regular), t.muted);
    let half = galley.size().x / 2.0 + space::M;
    let line = egui::Stroke::new(1.0, t.hairline);
    ui.painter().hline(rect.left()..=rect.center().x - half, rect.center().y, line);
    ui.painter().hline(rect.center().x + half..=rect.right(), rect.center().y, line);
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, t.muted);
}

/// The warning that a link's host is not who it may be taken for, if there is one.
pub(super) fn link_warning(ui: &mut Ui, facts: &LinkFacts) {
    let t = tokens(ui.ctx());
    match &facts.host {
        Familiarity::LookAlike(known) => {
            let name = facts.host_name.as_deref().unwrap_or(known);
            let (words, advice) = (strings::host_look_alike(name, known), strings::host_look_alike_advice(known));
            alert(ui, Icon::TriangleAlert, &words, &advice, t.warning);
        }
        Familiarity::Mismatch(name) => alert(ui, Icon::ShieldAlert, &strings::did_not_match(name), "", t.danger_text),
        Familiarity::New | Familiarity::Met(_) | Familiarity::Verified(_) => {}
    }
}

/// Joining should not be the obvious thing to press.
pub(super) fn doubtful(facts: &LinkFacts) -> bool {
    matches!(facts.host, Familiarity::LookAlike(_) | Familiarity::Mismatch(_))
}

/// What a link says about the host, the relay and its end.
pub(super) fn link_facts(ui: &mut Ui, facts: &LinkFacts) {
    let t = tokens(ui.ctx());
    ui.spacing_mut().item_spacing.y = space::S;
    match &facts.host {
        Familiarity::New => drop(icon_line(ui, Icon::Info, strings::HOST_NEW, t.secondary)),
        Familiarity::Met(name) => drop(icon_line(ui, Icon::Users, strings::host_met(name), t.text)),
        Familiarity::Verified(name) => {
            drop(icon_line(ui, Icon::ShieldCheck, strings::host_verified(name), t.verified));
        }
        Familiarity::Mismatch(_) | Familiarity::LookAlike(_) => {}
    }
    if let Some(name) = &facts.host_name {
        fact(ui, strings::HOST, strings::shown_name(name), false);
    }
    fact(ui, strings::FINGERPRINT, &facts.host_fingerprint, true);
    fact(ui, strings::RELAY, &facts.relay, false);
    let until = facts.expires.map_or_else(|| strings::NEVER_EXPIRES.to_owned(), when::date_and_time);
    fact(ui, strings::EXPIRES, until, false);
}

fn footer(ui: &mut Ui, cx: &mut Cx<'_>) {
    let t = tokens(ui.ctx());
    ui.horizontal_centered(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), Sense::hover());
        icons::paint(ui, Icon::Fingerprint, rect, t.muted);
        text(ui, strings::OWN_FINGERPRINT, size::CAPTION, Weight::Regular, t.muted);
        text(ui, &cx.view.fingerprint, size::CAPTION, Weight::Code, t.secondary)
            .on_hover_text(strings::OWN_FINGERPRINT_EXPLAINED);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if icon_button(ui, Icon::Settings, strings::SETTINGS).clicked() {
                cx.local.sheet = Some(Sheet::Settings);
            }
        });
    });
}
