//! Before the meeting: see, hear and name yourself, and find trouble early.

use egui::{Key, Rect, Ui, pos2, vec2};

use super::home::{doubtful, link_facts, link_warning};
use crate::engine::Command;
use crate::engine::view::{DeviceState, PreJoin, Quality};
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::layout::ASPECT;
use crate::ui::panels::devices;
use crate::ui::shortcuts::Shortcut;
use crate::ui::strings;
use crate::ui::textures::Source;
use crate::ui::theme::{Weight, radius, size, space, tokens};
use crate::ui::widgets::{
    Button, Field, Kind, Tile, caption, card, centred, field, icon_button, icon_line, level_meter, over, text, tile,
    tool_button, two_columns,
};

/// Names longer than this do not fit the wire.
const NAME_LIMIT: usize = 64;
/// A level that speech reaches and a quiet room does not.
const HEARD: f32 = 0.3;

pub(crate) fn show(ui: &mut Ui, cx: &mut Cx<'_>, prejoin: &PreJoin) -> f32 {
    match cx.shortcut {
        Some(Shortcut::Mic) => cx.send(Command::SetMic(!cx.view.own.mic_on)),
        Some(Shortcut::Camera) => cx.send(Command::SetCamera(!cx.view.own.camera_on)),
        _ => {}
    }
    centred(ui, "pre-join", 960.0, |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        ui.horizontal(|ui| {
            if icon_button(ui, Icon::ArrowLeft, strings::BACK).clicked() {
                cx.send(Command::GoHome);
            }
            let words = if prejoin.link.is_some() { strings::JOIN_MEETING } else { strings::NEW_MEETING };
            text(ui, words, size::TITLE, Weight::Strong, tokens(ui.ctx()).text);
        });
        if let Some(facts) = &prejoin.link {
            link_warning(ui, facts);
        }
        ui.add_space(space::S);
        let gap = space::XL;
        let left = ((ui.available_width() - gap) * 0.58).floor();
        two_columns(ui, left, gap, cx, |ui, cx| preview(ui, cx, prejoin), |ui, cx| controls(ui, cx, prejoin));
    });
    space::XL
}

fn preview(ui: &mut Ui, cx: &mut Cx<'_>, prejoin: &PreJoin) {
    let t = tokens(ui.ctx());
    ui.spacing_mut().item_spacing.y = space::M;
    let width = ui.available_width();
    let (rect, _) = ui.allocate_exact_size(vec2(width, (width / ASPECT).floor()), egui::Sense::hover());
    own_preview(ui, cx, rect, radius::TILE);
    let tools = Rect::from_center_size(pos2(rect.center().x, rect.bottom() - 24.0 - space::M), vec2(104.0, 48.0));
    over(ui, tools, |ui| {
        ui.horizontal(|ui| {
            mic_tool(ui, cx);
            camera_tool(ui, cx);
        });
    });

    let own = &cx.view.own;
    let running = matches!(own.mic, DeviceState::Running(_));
    level_meter(ui, strings::MIC_LEVEL, own.mic_level, running);
    if running && own.mic_level > HEARD {
        cx.local.heard = true;
    }
    match (&own.mic, own.mic_on, cx.local.heard) {
        (DeviceState::Failed(sentence), ..) => icon_line(ui, Icon::TriangleAlert, sentence, t.warning),
        (DeviceState::Opening, ..) => icon_line(ui, Icon::Mic, strings::MIC_OPENING, t.secondary),
        (_, false, _) => icon_line(ui, Icon::MicOff, strings::MIC_IS_OFF, t.secondary),
        (DeviceState::Off, ..) => icon_line(ui, Icon::MicOff, strings::MIC_NONE, t.secondary),
        (_, _, true) => icon_line(ui, Icon::Check, strings::WE_HEAR_YOU, t.text),
        (_, _, false) => icon_line(ui, Icon::Mic, strings::SAY_SOMETHING, t.secondary),
    };
    if let DeviceState::Failed(sentence) = &own.speaker {
        icon_line(ui, Icon::TriangleAlert, sentence, t.warning);
    }
    if let Some(facts) = &prejoin.link {
        card(ui, |ui| link_facts(ui, facts));
    }
}

fn controls(ui: &mut Ui, cx: &mut Cx<'_>, prejoin: &PreJoin) {
    let t = tokens(ui.ctx());
    ui.spacing_mut().item_spacing.y = space::S;
    caption(ui, strings::YOUR_NAME);
    let look = Field {
        name: strings::YOUR_NAME,
        hint: strings::NAME_HINT,
        limit: NAME_LIMIT,
        secret: false,
        code: false,
        wrong: false,
    };
    let typed = field(ui, &mut cx.local.name, &look);
    let entered = typed.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    ui.add_space(space::XS);
    devices::camera(ui, cx);
    devices::mic(ui, cx);
    devices::speaker(ui, cx);
    if Button::new(Kind::Quiet, strings::TEST_SOUND).icon(Icon::Volume).compact().show(ui).clicked() {
        cx.send(Command::TestSound);
    }
    devices::hear_myself(ui, cx);
    ui.add_space(space::S);
    let name = cx.local.name.trim().to_owned();
    let words = if prejoin.link.is_some() { strings::ASK_TO_JOIN } else { strings::START_MEETING };
    let width = ui.available_width();
    let ready = !name.is_empty();
    let kind = if prejoin.link.as_ref().is_some_and(doubtful) { Kind::Secondary } else { Kind::Primary };
    let pressed = Button::new(kind, words).large().width(width).enabled(ready).show(ui).clicked();
    if ready && (pressed || entered || cx.shortcut == Some(Shortcut::Enter)) {
        cx.send(Command::Enter { name });
    }
    if !ready {
        icon_line(ui, Icon::Info, strings::NAME_MISSING, t.secondary);
    }
    let relay = match (&prejoin.link, cx.view.settings.relay.as_str()) {
        (Some(facts), _) => facts.relay.as_str(),
        (None, "") => strings::RELAY_IN_APP,
        (None, own) => own,
    };
    icon_line(ui, Icon::Lock, strings::encrypted_via(relay), t.muted);
}

/// Own picture, mirrored, with what keeps it from being shown.
pub(super) fn own_preview(ui: &mut Ui, cx: &mut Cx<'_>, rect: Rect, corner: u8) {
    own_tile(ui, cx, rect, corner, "");
}

/// The same with `chip` in its corner.
pub(super) fn own_tile(ui: &mut Ui, cx: &mut Cx<'_>, rect: Rect, corner: u8, chip: &str) {
    let own = &cx.view.own;
    let picture = if own.camera_on { cx.textures.newest(ui.ctx(), Source::Own, &own.picture) } else { None };
    let message = match (&own.camera, own.camera_on) {
        (DeviceState::Failed(sentence), true) => Some((sentence.as_str(), true)),
        (DeviceState::Opening, true) if picture.is_none() => Some((strings::CAMERA_OPENING, false)),
        (DeviceState::Off, true) => Some((strings::CAMERA_NONE, false)),
        (_, false) => Some((strings::CAMERA_IS_OFF, false)),
        _ => None,
    };
    let name = if cx.local.name.trim().is_empty() { strings::YOU } else { cx.local.name.trim() };
    let shown = Tile {
        name: strings::YOUR_PICTURE,
        initials: name,
        chip,
        chip_room: rect.width(),
        picture,
        mirrored: true,
        mic_on: own.mic_on,
        camera_on: own.camera_on,
        speaking: false,
        quality: Quality::Unknown,
        quality_word: "",
        quality_why: &[],
        verified: false,
        message,
        corner,
    };
    tile(ui, rect, &shown);
}

/// The button for the microphone.
pub(super) fn mic_tool(ui: &mut Ui, cx: &mut Cx<'_>) {
    let on = cx.view.own.mic_on;
    let (icon, tip) = if on { (Icon::Mic, strings::MUTE) } else { (Icon::MicOff, strings::UNMUTE) };
    if tool_button(ui, icon, strings::MICROPHONE, tip, Some(on), true, false).clicked() {
        cx.send(Command::SetMic(!on));
    }
}

/// The button for the camera.
pub(super) fn camera_tool(ui: &mut Ui, cx: &mut Cx<'_>) {
    let on = cx.view.own.camera_on;
    let (icon, tip) =
        if on { (Icon::Video, strings::CAMERA_TURN_OFF) } else { (Icon::VideoOff, strings::CAMERA_TURN_ON) };
    if tool_button(ui, icon, strings::CAMERA, tip, Some(on), true, false).clicked() {
        cx.send(Command::SetCamera(!on));
    }
}
