//! A picture of somebody, with what must be known about them.

use egui::accesskit::Role;
use egui::{Align2, Color32, CornerRadius, Rect, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::{bars, text};
use crate::engine::view::Quality;
use crate::ui::icons::{self, Icon};
use crate::ui::layout;
use crate::ui::strings;
use crate::ui::textures::Drawable;
use crate::ui::theme::{self, Weight, font, radius, size, space, tokens};

/// Cutting away more of a picture than this share is worse than showing bars beside it.
pub(crate) const MOST_CUT: f32 = 0.3;

/// Width of what explains a mark, in points.
const WHY_WIDTH: f32 = 300.0;

/// What a tile shows.
pub(crate) struct Tile<'a> {
    /// Whose it is.
    pub(crate) name: &'a str,
    /// The name whose initials stand in for a picture.
    pub(crate) initials: &'a str,
    /// What stands in the lower corner; empty for nothing.
    pub(crate) chip: &'a str,
    /// At most this wide may it be.
    pub(crate) chip_room: f32,
    /// The newest picture.
    pub(crate) picture: Option<Drawable>,
    /// Left and right are exchanged, as in a mirror.
    pub(crate) mirrored: bool,
    /// Their microphone is on.
    pub(crate) mic_on: bool,
    /// Their camera is on.
    pub(crate) camera_on: bool,
    /// They are the one who speaks.
    pub(crate) speaking: bool,
    /// How well pictures and sound pass; it is shown where it could be better.
    pub(crate) quality: Quality,
    /// The same in words.
    pub(crate) quality_word: &'a str,
    /// Why it is not better, a sentence each.
    pub(crate) quality_why: &'a [String],
    /// They have been verified.
    pub(crate) verified: bool,
    /// Something to say instead of, or over, the picture.
    pub(crate) message: Option<(&'a str, bool)>,
    /// Corner radius.
    pub(crate) corner: u8,
}

/// Paints a tile into `rect`.
pub(crate) fn tile(ui: &mut Ui, rect: Rect, tile: &Tile<'_>) {
    let t = tokens(ui.ctx());
    let response = ui.interact(rect, ui.scope_id().with(("tile", tile.name, tile.mirrored)), Sense::hover());
    let said = strings::tile(tile.name, tile.mic_on, tile.camera_on, tile.verified, tile.speaking);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &said));
    let corner = CornerRadius::same(tile.corner);
    if tile.picture.is_none() || !tile.camera_on {
        ui.painter().rect_filled(rect, corner, t.raised);
    }
    match (tile.picture.as_ref().filter(|_| tile.camera_on), tile.message) {
        (Some(picture), message) => {
            paint_picture(ui, rect, picture, tile.mirrored, tile.corner);
            if let Some((message, danger)) = message {
                ui.painter().rect_filled(rect, corner, t.backdrop);
                let ink = if danger { t.danger_on_scrim } else { t.on_scrim };
                chip(ui, rect.center(), Align2::CENTER_CENTER, &[], message, ink, rect.width() - 2.0 * space::S);
            }
        }
        (None, Some((message, danger))) => paint_message(ui, rect, message, danger),
        (None, None) => paint_initials(ui, rect, tile.initials),
    }
    if tile.mic_on && tile.speaking {
        ui.painter().rect_stroke(rect, corner, Stroke::new(3.0, t.speaking), StrokeKind::Inside);
    }
    if !tile.chip.is_empty() {
        let at = pos2(rect.left() + space::S, rect.bottom() - space::S);
        let mut marks = Vec::new();
        if !tile.mic_on {
            marks.push((Mark::Icon(Icon::MicOff), t.danger_on_scrim));
        }
        if tile.verified {
            marks.push((Mark::Icon(Icon::ShieldCheck), t.verified_on_scrim));
        }
        let weak = matches!(tile.quality, Quality::Fair | Quality::Poor);
        if weak {
            marks.push((Mark::Bars(tile.quality), bars::colour_on_scrim(tile.quality, t)));
        }
        let room = tile.chip_room.min(rect.width() - 2.0 * space::S);
        let place = chip(ui, at, Align2::LEFT_BOTTOM, &marks, tile.chip, t.on_scrim, room);
        if weak {
            let mark = ui.interact(place, response.id.with("quality"), Sense::hover());
            let said = strings::with_reasons(tile.quality_word, tile.quality_why);
            mark.widget_info(|| WidgetInfo::labeled(Role::Image, true, &said));
            mark.on_hover_ui(|ui| {
                ui.set_max_width(WHY_WIDTH);
                egui::Frame::new().inner_margin(space::S).show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = space::XS;
                    text(ui, tile.quality_word, size::BODY, Weight::Medium, t.text);
                    for sentence in tile.quality_why {
                        text(ui, sentence, size::CAPTION, Weight::Regular, t.secondary);
                    }
                });
            });
        }
    }
}

/// What stands before the words of a chip.
#[derive(Clone, Copy)]
enum Mark {
    Icon(Icon),
    Bars(Quality),
}

fn paint_picture(ui: &Ui, rect: Rect, picture: &Drawable, mirrored: bool, corner: u8) {
    let pixels = picture.size();
    let (place, mut part) = if layout::cuts_more_than(pixels, rect.size(), MOST_CUT) {
        let t = tokens(ui.ctx());
        ui.painter().rect_filled(rect, CornerRadius::same(corner), t.ink);
        (layout::contain(pixels, rect), Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)))
    } else {
        (rect, layout::cover(pixels, rect.size()))
    };
    if mirrored {
        (part.min.x, part.max.x) = (part.max.x, part.min.x);
    }
    let corner = if place == rect { corner } else { 0 };
    ui.painter().add(picture.shape(place, part, corner));
}

fn paint_initials(ui: &Ui, rect: Rect, name: &str) {
    let t = tokens(ui.ctx());
    let radius = (rect.height() * 0.22).clamp(18.0, 56.0);
    ui.painter().circle_filled(rect.center(), radius, theme::mix(t.raised, t.text, 0.12));
    ui.painter().text(
        rect.center(),
        Align2::CENTER_CENTER,
        strings::initials(name),
        font(radius * 0.8, Weight::Medium),
        t.text,
    );
}

/// A sentence in place of a picture.
fn paint_message(ui: &Ui, rect: Rect, message: &str, danger: bool) {
    let t = tokens(ui.ctx());
    let ink = if danger { t.danger_text } else { t.secondary };
    let points = if rect.width() < 320.0 { size::CAPTION } else { size::BODY };
    let room = (rect.width() * 0.8).min(420.0);
    let mut job = egui::text::LayoutJob::simple(message.to_owned(), font(points, Weight::Medium), ink, room);
    job.halign = egui::Align::Center;
    let galley = ui.painter().layout_job(job);
    let at = pos2(rect.center().x, rect.center().y - galley.size().y / 2.0);
    ui.painter().with_clip_rect(rect).galley(at, galley, ink);
}

/// Words on a dark ground over a picture; returns where they are.
fn overlay_words(
    ui: &Ui,
    at: egui::Pos2,
    anchor: Align2,
    icon: Option<(Icon, Color32)>,
    words: &str,
    ink: Color32,
) -> Rect {
    let marks: Vec<_> = icon.into_iter().map(|(icon, colour)| (Mark::Icon(icon), colour)).collect();
    chip(ui, at, anchor, &marks, words, ink, 360.0)
}

/// A small dark label over a picture, as for a state word; returns where it is.
pub(crate) fn overlay_chip(ui: &Ui, at: egui::Pos2, icon: Icon, colour: Color32, words: &str) -> Rect {
    overlay_words(ui, at, Align2::LEFT_TOP, Some((icon, colour)), words, tokens(ui.ctx()).on_scrim)
}

fn chip(
    ui: &Ui,
    at: egui::Pos2,
    anchor: Align2,
    marks: &[(Mark, Color32)],
    words: &str,
    ink: Color32,
    room: f32,
) -> Rect {
    let t = tokens(ui.ctx());
    let mark = 14.0;
    let marks_width = marks.len() as f32 * (mark + space::XS);
    let mut job = egui::text::LayoutJob::simple_singleline(words.to_owned(), font(size::CAPTION, Weight::Medium), ink);
    job.wrap = egui::text::TextWrapping::truncate_at_width(room - marks_width - 2.0 * space::S);
    let galley = ui.painter().layout_job(job);
    let size = vec2(galley.size().x + marks_width + 2.0 * space::S, 26.0);
    let rect = anchor.anchor_size(at, size);
    ui.painter().rect_filled(rect, CornerRadius::same(radius::CONTROL), t.scrim);
    let mut x = rect.left() + space::S;
    for (kind, colour) in marks {
        let place = Rect::from_center_size(pos2(x + mark / 2.0, rect.center().y), vec2(mark, mark));
        match kind {
            Mark::Icon(icon) => icons::paint(ui, *icon, place, *colour),
            Mark::Bars(quality) => {
                bars::paint(ui, *quality, place.shrink(1.0), *colour, theme::mix(t.scrim, t.on_scrim, 0.35))
            }
        }
        x += mark + space::XS;
    }
    ui.painter().galley(pos2(x, rect.center().y - galley.size().y / 2.0), galley, ink);
    rect
}
