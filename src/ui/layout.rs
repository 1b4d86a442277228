//! Where tiles go: plain geometry, no drawing.

use egui::{Pos2, Rect, Vec2, pos2, vec2};

/// Width to height of a tile.
pub const ASPECT: f32 = 16.0 / 9.0;

/// The rectangles of `count` tiles of 16:9 in `area`, as large as they can be, `gap` points apart, in reading order.
///
/// The block is centred, and so is a last row that is not full. Adding a tile never reorders the others.
pub fn grid(area: Rect, count: usize, gap: f32) -> Vec<Rect> {
    if count == 0 || area.width() <= 0.0 || area.height() <= 0.0 {
        return Vec::new();
    }
    let columns = best_columns(area.size(), count, gap);
    let rows = count.div_ceil(columns);
    let tile = tile_size(area.size(), columns, rows, gap);
    let height = rows as f32 * tile.y + (rows - 1) as f32 * gap;
    let top = area.center().y - height / 2.0;
    (0..count)
        .map(|index| {
            let (row, column) = (index / columns, index % columns);
            let in_row = if row + 1 == rows { count - row * columns } else { columns };
            let width = in_row as f32 * tile.x + (in_row - 1) as f32 * gap;
            let left = area.center().x - width / 2.0;
            let corner = pos2(left + column as f32 * (tile.x + gap), top + row as f32 * (tile.y + gap));
            Rect::from_min_size(corner, tile)
        })
        .collect()
}

/// The number of columns that makes tiles largest; of equals, the one with fewer empty places.
fn best_columns(area: Vec2, count: usize, gap: f32) -> usize {
    let mut best = (1, 0.0_f32, usize::MAX);
    for columns in 1..=count {
        let rows = count.div_ceil(columns);
        let width = tile_size(area, columns, rows, gap).x;
        let empty = rows * columns - count;
        let clearly_larger = width > best.1 + 0.5;
        let as_large = (width - best.1).abs() <= 0.5;
        if clearly_larger || (as_large && empty < best.2) {
            best = (columns, width, empty);
        }
    }
    best.0
}

fn tile_size(area: Vec2, columns: usize, rows: usize, gap: f32) -> Vec2 {
    let width = ((area.x - (columns - 1) as f32 * gap) / columns as f32).max(1.0);
    let height = ((area.y - (rows - 1) as f32 * gap) / rows as f32).max(1.0);
    if width / height > ASPECT { vec2(height * ASPECT, height) } else { vec2(width, width / ASPECT) }
}

/// The part of a picture (0..=1 both ways) that fills a tile of size `tile` without distortion: its middle.
pub fn cover(picture: Vec2, tile: Vec2) -> Rect {
    let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
    if picture.x <= 0.0 || picture.y <= 0.0 || tile.x <= 0.0 || tile.y <= 0.0 {
        return whole;
    }
    let (have, want) = (picture.x / picture.y, tile.x / tile.y);
    let share = if have > want { vec2(want / have, 1.0) } else { vec2(1.0, have / want) };
    Rect::from_center_size(whole.center(), share)
}

/// The largest rectangle with the proportions of `picture` inside `area`, centred.
pub fn contain(picture: Vec2, area: Rect) -> Rect {
    if picture.x <= 0.0 || picture.y <= 0.0 {
        return area;
    }
    let scale = (area.width() / picture.x).min(area.height() / picture.y);
    Rect::from_center_size(area.center(), picture * scale)
}

/// Whether covering `tile` with `picture` would cut away more than `most` (0..=1) of it.
pub fn cuts_more_than(picture: Vec2, tile: Vec2, most: f32) -> bool {
    let kept = cover(picture, tile);
    kept.width() * kept.height() < 1.0 - most
}

/// Where one's own picture lies over a single other one: bottom right, clear of a bar `below` points high.
pub fn self_view(area: Rect, below: f32, margin: f32) -> Rect {
    let width = (area.width() * 0.2).clamp(144.0, 256.0);
    let size = vec2(width, width / ASPECT);
    Rect::from_min_size(pos2(area.right() - margin - size.x, area.bottom() - margin - below - size.y), size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREAS: [Vec2; 6] = [
        Vec2::new(720.0, 480.0),
        Vec2::new(1280.0, 800.0),
        Vec2::new(1920.0, 1080.0),
        Vec2::new(400.0, 1000.0),
        Vec2::new(3000.0, 300.0),
        Vec2::new(960.0, 480.0),
    ];

    fn each(mut check: impl FnMut(Rect, usize, &[Rect])) {
        for area in AREAS {
            for count in 1..=25 {
                let area = Rect::from_min_size(pos2(7.0, 11.0), area);
                check(area, count, &grid(area, count, 8.0));
            }
        }
    }

    #[test]
    fn one_to_twenty_five_tiles_lie_inside_the_area_and_apart() {
        each(|area, count, tiles| {
            assert_eq!(tiles.len(), count);
            for (index, tile) in tiles.iter().enumerate() {
                assert!(area.expand(0.01).contains_rect(*tile), "{count} in {area:?}: {tile:?}");
                for other in &tiles[..index] {
                    assert!(!tile.shrink(0.01).intersects(*other), "{count} in {area:?}: {tile:?} over {other:?}");
                }
            }
        });
    }

    #[test]
    fn tiles_are_sixteen_to_nine_and_of_one_size() {
        each(|_, _, tiles| {
            for tile in tiles {
                assert!((tile.width() / tile.height() - ASPECT).abs() < 0.01);
                assert!((tile.width() - tiles[0].width()).abs() < 0.01);
            }
        });
    }

    #[test]
    fn no_number_of_columns_would_make_tiles_larger() {
        each(|area, count, tiles| {
            let best = (1..=count)
                .map(|columns| tile_size(area.size(), columns, count.div_ceil(columns), 8.0).x)
                .fold(0.0, f32::max);
            assert!(tiles[0].width() >= best - 0.51);
        });
    }

    #[test]
    fn tiles_stand_in_reading_order_whatever_their_number() {
        each(|_, _, tiles| {
            for pair in tiles.windows(2) {
                let same_row = (pair[0].top() - pair[1].top()).abs() < 0.01;
                assert!(if same_row { pair[0].left() < pair[1].left() } else { pair[0].top() < pair[1].top() });
            }
        });
    }

    #[test]
    fn one_tile_touches_the_edges_that_limit_it() {
        let area = Rect::from_min_size(Pos2::ZERO, vec2(1600.0, 900.0));
        assert_eq!(grid(area, 1, 8.0), vec![area]);
    }

    #[test]
    fn no_room_or_nobody_makes_no_tiles() {
        assert!(grid(Rect::from_min_size(Pos2::ZERO, vec2(0.0, 100.0)), 3, 8.0).is_empty());
        assert!(grid(Rect::from_min_size(Pos2::ZERO, vec2(100.0, 100.0)), 0, 8.0).is_empty());
    }

    #[test]
    fn covering_keeps_the_middle_and_the_proportions() {
        let kept = cover(vec2(640.0, 480.0), vec2(160.0, 90.0));
        assert!((kept.width() - 1.0).abs() < 1e-5 && (kept.height() - 0.75).abs() < 1e-5);
        assert_eq!(kept.center(), pos2(0.5, 0.5));
        assert_eq!(cover(vec2(1280.0, 720.0), vec2(320.0, 180.0)), Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0)));
        assert!(cuts_more_than(vec2(480.0, 640.0), vec2(160.0, 90.0), 0.3));
        assert!(!cuts_more_than(vec2(1280.0, 720.0), vec2(1280.0, 800.0), 0.3));
    }

    #[test]
    fn a_tall_picture_is_shown_whole_where_covering_would_cut_it() {
        let area = Rect::from_min_size(Pos2::ZERO, vec2(160.0, 90.0));
        let shown = contain(vec2(480.0, 640.0), area);
        assert!((shown.height() - 90.0).abs() < 1e-3 && (shown.width() - 67.5).abs() < 1e-3);
    }

    #[test]
    fn the_own_picture_stays_inside_and_above_the_bar() {
        for area in AREAS {
            let area = Rect::from_min_size(Pos2::ZERO, area);
            let own = self_view(area, 72.0, 16.0);
            assert!(area.contains_rect(own));
            assert!(own.bottom() <= area.bottom() - 72.0 - 16.0 + 0.01);
        }
    }
}
