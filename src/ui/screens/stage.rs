//! The pictures of a meeting, or what to do while there are none.

use egui::{Rect, ScrollArea, Ui, pos2, vec2};

use super::prejoin::{own_preview, own_tile};
use crate::engine::view::{Meeting, Peer, PeerLink, PortMapping, Verification};
use crate::ui::app::Cx;
use crate::ui::icons::Icon;
use crate::ui::panels::invites::Page;
use crate::ui::textures::Source;
use crate::ui::theme::{Weight, control, radius, size, space, tokens};
use crate::ui::watching::drawn_height;
use crate::ui::widgets::{Button, Kind, MOST_CUT, Tile, card, hairline, icon_line, note, over, text, tile};
use crate::ui::{layout, strings};

/// Height that the toolbar takes at the lower edge, with its distance from it.
pub(super) const TOOLBAR: f32 = control::TOOL + 2.0 * space::S + space::L;

/// Whoever speaks is shown as speaking while they are louder than this.
const SPEAKING: f32 = 0.35;

pub(super) fn show(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect) {
    match meeting.peers.as_slice() {
        [] => own_view(ui, cx, area),
        [peer] => {
            peer_tile(ui, cx, (meeting, peer), area, 0);
            own_view(ui, cx, area);
        }
        peers => {
            // Between the pills and the toolbar: nobody's face is covered by what is said about all.
            let top = area.top() + space::L + control::TARGET;
            let bottom = area.bottom() - TOOLBAR;
            let inside = Rect::from_min_max(pos2(area.left(), top), pos2(area.right(), bottom)).shrink(space::S);
            let places = layout::grid(inside, peers.len() + 1, space::S);
            for (peer, place) in peers.iter().zip(&places) {
                peer_tile(ui, cx, (meeting, peer), *place, radius::TILE);
            }
            if let Some(place) = places.last() {
                own_tile(ui, cx, *place, radius::TILE, strings::YOU);
            }
        }
    }
}

fn own_view(ui: &mut Ui, cx: &mut Cx<'_>, area: Rect) {
    let place = layout::self_view(area, TOOLBAR - space::L, space::L);
    own_preview(ui, cx, place, radius::TILE);
    let t = tokens(ui.ctx());
    let edge = egui::Stroke::new(1.0, t.hairline);
    let corner = egui::CornerRadius::same(radius::TILE);
    ui.painter().rect_stroke(place, corner, edge, egui::StrokeKind::Outside);
}

/// A peer's tile with nothing to press.
pub(super) fn plain_tile(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, peer: &Peer, place: Rect) {
    picture_tile(ui, cx, (meeting, peer), place, 0, place.width());
}

fn peer_tile(ui: &mut Ui, cx: &mut Cx<'_>, (meeting, peer): (&Meeting, &Peer), place: Rect, corner: u8) {
    // Clear of the toolbar, which stands in the middle, or of the button beside it.
    let chip_room =
        if corner == 0 { (place.width() - 516.0).max(240.0) / 2.0 } else { place.width() - control::TARGET - space::S };
    picture_tile(ui, cx, (meeting, peer), place, corner, chip_room);
    let verified = matches!(peer.verification, Verification::Yes { .. });
    if verified || peer.link == PeerLink::Connecting {
        return;
    }
    verify_corner(ui, cx, peer, place, corner);
}

fn picture_tile(
    ui: &mut Ui,
    cx: &mut Cx<'_>,
    (meeting, peer): (&Meeting, &Peer),
    place: Rect,
    corner: u8,
    chip_room: f32,
) {
    let name = strings::shown_name(&peer.name);
    let height = drawn_height(place.size(), MOST_CUT) * ui.ctx().pixels_per_point();
    cx.local.watching.see(peer.id, height);
    let visible = peer.camera_on && peer.link != PeerLink::Stopped;
    let picture = if visible { cx.textures.newest(ui.ctx(), Source::Peer(peer.id), &peer.picture) } else { None };
    let message = match peer.link {
        PeerLink::Connecting => Some((strings::CONNECTING_PEER, false)),
        PeerLink::Reconnecting => Some((strings::RECONNECTING_PEER, false)),
        PeerLink::Stopped => Some((strings::STOPPED_PEER, true)),
        PeerLink::Live => None,
    };
    let verified = matches!(peer.verification, Verification::Yes { .. });
    let shown = Tile {
        name: &name,
        initials: &name,
        chip: &name,
        chip_room,
        picture,
        mirrored: false,
        mic_on: peer.mic_on,
        camera_on: peer.camera_on,
        speaking: meeting.speaking == Some(peer.id) && peer.level > SPEAKING,
        quality: peer.quality,
        quality_word: &strings::connection(&peer.name, peer.quality),
        quality_why: &strings::reasons(&peer.name, &peer.reasons),
        verified,
        message,
        corner,
    };
    tile(ui, place, &shown);
}

/// The button that leads to comparing numbers with somebody.
fn verify_corner(ui: &mut Ui, cx: &mut Cx<'_>, peer: &Peer, place: Rect, corner: u8) {
    let one_of_many = corner > 0;
    let (said, width) = if one_of_many { ("", control::TARGET) } else { (strings::VERIFY, 116.0) };
    let corner = if one_of_many {
        place.right_bottom() - vec2(width + space::S, control::TARGET + space::S)
    } else {
        place.right_top() + vec2(-width - space::S, space::S)
    };
    let button = Rect::from_min_size(corner, vec2(width, control::TARGET));
    // Among many it is only unseen until it is wanted: a screen reader and the keyboard find it at any time.
    let wanted = !one_of_many
        || peer.verification != Verification::No
        || ui.rect_contains_pointer(place)
        || ui.memory(|memory| memory.focused().is_some());
    over(ui, button, |ui| {
        if !wanted {
            ui.set_opacity(0.0);
        }
        let words = strings::verify_button(&peer.name);
        let button = Button::new(Kind::Secondary, said).icon(Icon::Shield).name(&words).compact().width(width);
        if button.show(ui).clicked() {
            cx.open_verify(peer.id);
        }
    });
}

/// Nobody else is here: the link first, then what is known about reaching this device.
pub(super) fn alone(ui: &mut Ui, cx: &mut Cx<'_>, meeting: &Meeting, area: Rect, top: f32) {
    let t = tokens(ui.ctx());
    let room = Rect::from_min_max(
        pos2(area.left() + space::L, top),
        pos2(area.right() - space::L, area.bottom() - TOOLBAR - space::S),
    );
    let width = control::COLUMN.min(room.width());
    let id = egui::Id::unique("height of the card for who is alone");
    let height = ui.data(|data| data.get_temp::<f32>(id)).unwrap_or(room.height()).min(room.height());
    // Left of the own picture where both do not fit beside each other in the middle.
    let own = layout::self_view(area, TOOLBAR - space::L, space::L);
    let middle = room.center().x.min(own.left() - space::L - width / 2.0).max(room.left() + width / 2.0);
    let place = Rect::from_center_size(pos2(middle, room.center().y), vec2(width, height));
    over(ui, place, |ui| {
        let shown = ScrollArea::vertical().id_salt("alone").max_height(height).show(ui, |ui| {
            card(ui, |ui| {
                ui.spacing_mut().item_spacing.y = space::S;
                text(ui, strings::ALONE_TITLE, size::TITLE, Weight::Strong, t.text);
                if !meeting.hosting {
                    note(ui, strings::ALONE_GUEST);
                    return;
                }
                let manage = Button::new(Kind::Quiet, strings::MANAGE_INVITES).icon(Icon::Users);
                if meeting.link.is_none() {
                    note(ui, strings::INVITES_GONE);
                    ui.add_space(space::XS);
                    if manage.show(ui).clicked() {
                        cx.open_invites(Page::List);
                    }
                    return;
                }
                note(ui, strings::ALONE_EXPLAINED);
                ui.add_space(space::XS);
                let half = (ui.available_width() - space::S) / 2.0;
                ui.horizontal(|ui| {
                    let copy = Button::new(Kind::Primary, strings::COPY_LINK).icon(Icon::Link).large().width(half);
                    if copy.show(ui).clicked() {
                        cx.copy_link(ui.ctx());
                    }
                    let code = Button::new(Kind::Secondary, strings::SHOW_QR).icon(Icon::QrCode).large().width(half);
                    if code.show(ui).clicked() {
                        cx.open_invites(Page::Code);
                    }
                });
                if manage.compact().width(2.0 * half + space::S).show(ui).clicked() {
                    cx.open_invites(Page::List);
                }
                hairline(ui);
                reachability(ui, meeting);
            });
        });
        let found = shown.content_size.y;
        if (found - height).abs() > 0.5 && (found <= room.height() || height < room.height()) {
            ui.data_mut(|data| data.insert_temp(id, found.min(room.height())));
            ui.ctx().request_discard("the card has found its height");
        }
    });
}

/// What is known about how others can reach this device.
pub(crate) fn reachability(ui: &mut Ui, meeting: &Meeting) {
    let t = tokens(ui.ctx());
    let relay = &meeting.relay;
    if relay.embedded {
        icon_line(ui, Icon::Server, strings::RELAY_EMBEDDED, t.secondary);
    } else {
        let state = if relay.connected { strings::RELAY_CONNECTED } else { strings::RELAY_DISCONNECTED };
        icon_line(ui, Icon::Server, format!("{} · {state}", relay.address), t.secondary);
    }
    if relay.embedded {
        if relay.reachable.is_empty() {
            icon_line(ui, Icon::TriangleAlert, strings::NOT_REACHABLE, t.warning);
        } else {
            let line = format!("{} {}", strings::REACHABLE, relay.reachable.join(", "));
            icon_line(ui, Icon::Network, line, t.secondary);
        }
    }
    match &relay.port_mapping {
        None => {}
        Some(PortMapping::Asking) => {
            icon_line(ui, Icon::Router, strings::ROUTER_ASKING, t.secondary);
        }
        Some(PortMapping::Open(address)) => {
            icon_line(ui, Icon::Router, strings::router_open(address), t.secondary);
        }
        Some(PortMapping::Refused(why)) => {
            icon_line(ui, Icon::Router, strings::router_refused(why), t.warning);
        }
    }
    if relay.announced {
        icon_line(ui, Icon::RadioTower, strings::ANNOUNCED, t.secondary);
    }
    if meeting.refused > 0 {
        icon_line(ui, Icon::DoorOpen, strings::refused(meeting.refused), t.secondary);
    }
}
