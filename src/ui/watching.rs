//! How large each peer's picture is on the screen, so that nobody sends more of it than can be seen. Pure.

use std::collections::BTreeMap;

use egui::Vec2;

use super::layout::{self, ASPECT};
use crate::engine::view::PeerId;

/// Heights that are asked for, in pixels.
const CLASSES: [u32; 5] = [180, 360, 540, 720, 1080];
/// A picture may be drawn this much larger than it is before it looks soft.
const SOFT: f32 = 1.15;
/// Past this a larger one is asked for.
const TOO_SOFT: f32 = 1.25;
/// Only when a smaller one would be drawn at most this much larger, it is enough.
const AMPLE: f32 = 1.05;
/// The class for a peer changes at most this often, in seconds; becoming visible or invisible is told at once.
const EVERY: f64 = 1.0;

#[derive(Clone, Copy, Debug)]
struct Told {
    height: u32,
    at: f64,
}

/// What the engine has been told, and what is on the screen in this pass.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    told: BTreeMap<PeerId, Told>,
    seen: BTreeMap<PeerId, f32>,
}

/// What is to be told now, and in how many seconds something more may be.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tell {
    pub(crate) now: Vec<(PeerId, u32)>,
    pub(crate) later: Option<f64>,
}

/// The height in pixels that a whole picture has when it covers a tile of `size` pixels; it may be cut at its edges.
pub(crate) fn drawn_height(size: Vec2, most_cut: f32) -> f32 {
    let whole = egui::vec2(ASPECT, 1.0);
    let by_width = size.x / ASPECT;
    if layout::cuts_more_than(whole, size, most_cut) { by_width.min(size.y) } else { by_width.max(size.y) }
}

/// The class for a picture drawn `height` pixels high, when `current` is the one in force (0 for none).
fn class(height: f32, current: u32) -> u32 {
    let natural = || CLASSES.into_iter().find(|class| *class as f32 * SOFT >= height).unwrap_or(CLASSES[4]);
    let Some(at) = CLASSES.iter().position(|class| *class == current) else { return natural() };
    let below = at.checked_sub(1).and_then(|at| CLASSES.get(at)).map_or(0.0, |class| *class as f32);
    let stays = height <= current as f32 * TOO_SOFT && height > below * AMPLE;
    if stays { current } else { natural() }
}

impl Watching {
    /// A peer's picture is drawn `height` pixels high in this pass.
    pub(crate) fn see(&mut self, peer: PeerId, height: f32) {
        self.seen.insert(peer, height);
    }

    /// Nothing of this pass can be seen.
    pub(crate) fn see_nothing(&mut self) {
        self.seen.clear();
    }

    /// Ends the pass at `now` (seconds). Of the `peers` in the meeting, those not seen in it are out of sight.
    pub(crate) fn settle(&mut self, now: f64, peers: impl Iterator<Item = PeerId>) -> Tell {
        let seen = std::mem::take(&mut self.seen);
        let mut tell = Tell::default();
        let mut here = BTreeMap::new();
        for peer in peers {
            let told = self.told.get(&peer).copied();
            let current = told.map_or(0, |told| told.height);
            let wanted = seen.get(&peer).map_or(0, |height| class(*height, current));
            let kept = match told {
                Some(told) if told.height == wanted => told,
                // From one size to another it can wait; a window that is being dragged would tell each pass.
                Some(told) if wanted > 0 && told.height > 0 && now - told.at < EVERY => {
                    let rest = EVERY - (now - told.at);
                    tell.later = Some(tell.later.map_or(rest, |later: f64| later.min(rest)));
                    told
                }
                _ => {
                    tell.now.push((peer, wanted));
                    Told { height: wanted, at: now }
                }
            };
            here.insert(peer, kept);
        }
        self.told = here;
        tell
    }
}

#[cfg(test)]
mod tests {
    use egui::vec2;

    use super::*;

    #[test]
    fn a_class_is_large_enough_and_not_larger() {
        for (height, wanted) in
            [(40.0, 180), (207.0, 180), (208.0, 360), (500.0, 540), (700.0, 720), (900.0, 1080), (4000.0, 1080)]
        {
            assert_eq!(class(height, 0), wanted, "{height}");
        }
    }

    #[test]
    fn around_a_boundary_the_class_stays() {
        let mut current = class(400.0, 0);
        assert_eq!(current, 360);
        for height in [410.0, 440.0, 400.0, 449.0, 390.0] {
            current = class(height, current);
            assert_eq!(current, 360, "{height}");
        }
        current = class(460.0, current);
        assert_eq!(current, 540);
        for height in [440.0, 400.0, 379.0] {
            current = class(height, current);
            assert_eq!(current, 540, "{height}");
        }
        assert_eq!(class(370.0, current), 360);
    }

    #[test]
    fn what_is_not_drawn_is_out_of_sight_at_once_and_back_at_once() {
        let mut watching = Watching::default();
        watching.see(1, 700.0);
        assert_eq!(watching.settle(0.0, [1, 2].into_iter()).now, [(1, 720), (2, 0)]);
        assert_eq!(watching.settle(0.1, [1, 2].into_iter()).now, [(1, 0)]);
        watching.see(1, 700.0);
        assert_eq!(watching.settle(0.2, [1].into_iter()).now, [(1, 720)]);
        watching.see(1, 700.0);
        assert_eq!(watching.settle(9.0, [1].into_iter()), Tell::default());
    }

    #[test]
    fn sizes_are_told_once_a_second_at_most_and_the_last_is_not_forgotten() {
        let mut watching = Watching::default();
        watching.see(1, 180.0);
        watching.settle(0.0, [1].into_iter());
        let mut told = Vec::new();
        for pass in 1..60 {
            watching.see(1, 180.0 + f32::from(pass as u8) * 15.0);
            let tell = watching.settle(f64::from(pass) / 60.0, [1].into_iter());
            told.extend(tell.now);
        }
        assert_eq!(told, []);
        watching.see(1, 1065.0);
        assert_eq!(watching.settle(1.0, [1].into_iter()).now, [(1, 1080)]);
        watching.see(1, 180.0);
        assert_eq!(watching.settle(1.75, [1].into_iter()), Tell { now: vec![], later: Some(0.25) });
    }

    #[test]
    fn a_picture_that_covers_its_tile_is_as_high_as_its_width_demands() {
        assert_eq!(drawn_height(vec2(1280.0, 720.0), 0.3), 720.0);
        assert_eq!(drawn_height(vec2(1280.0, 600.0), 0.3), 720.0);
        // Cut too much, it is shown whole beside bars.
        assert_eq!(drawn_height(vec2(1600.0, 300.0), 0.3), 300.0);
    }
}
