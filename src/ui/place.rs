//! Where the window was, to open it there again. No secret is in it, nor anything of a meeting.

use std::io;
use std::path::{Path, PathBuf};

use egui::{Context, Pos2, Rect, Vec2, pos2, vec2};
use serde::{Deserialize, Serialize};

use super::LEAST_SIZE;

/// Beside the settings.
const FILE: &str = "window.toml";
/// A file longer than this is not ours.
const LARGEST: u64 = 4 << 10;
/// So much of the window's upper edge must be on a monitor, in points: enough to take hold of it.
const HOLD: Vec2 = vec2(120.0, 24.0);
/// No screen is wider or higher, in points.
const MOST: f32 = 16_384.0;

/// Size and place of a window, in points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Width inside its frame.
    width: f32,
    /// Height inside its frame.
    height: f32,
    /// The upper left corner of its frame; nothing where the system does not say.
    at: Option<[f32; 2]>,
    /// It filled its monitor; size and place are then those it had before.
    maximised: bool,
}

impl Place {
    /// What was kept in `folder`; `None` if that is nothing, or not what this version writes.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        let path = folder.join(FILE);
        if std::fs::metadata(&path).ok()?.len() > LARGEST {
            return None;
        }
        let place: Self = toml::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        let good = |value: f32, least: f32| (least..=MOST).contains(&value);
        let [x, y] = place.at.unwrap_or_default();
        (good(place.width, 1.0) && good(place.height, 1.0) && good(x, -MOST) && good(y, -MOST)).then_some(place)
    }

    fn save(&self, folder: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let beside = folder.join(format!("{FILE}.{}.new", std::process::id()));
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, folder.join(FILE))
    }

    /// Its size, never below the least.
    pub(super) fn size(&self) -> Vec2 {
        vec2(self.width, self.height).max(LEAST_SIZE.into())
    }

    /// It filled its monitor.
    pub(super) fn maximised(&self) -> bool {
        self.maximised
    }

    /// Where it may be opened on these monitors: where it was, unless it could not be taken hold of there.
    pub(super) fn at(&self, monitors: &[Rect]) -> Option<Pos2> {
        let [x, y] = self.at?;
        let edge = Rect::from_min_size(pos2(x, y), vec2(self.size().x, 2.0 * HOLD.y));
        let held = |monitor: &Rect| {
            let seen = monitor.intersect(edge);
            seen.is_positive() && seen.width() >= HOLD.x && seen.height() >= HOLD.y
        };
        monitors.iter().any(held).then_some(pos2(x, y))
    }
}

/// Watches where the window is, and keeps it when the app ends.
pub(super) struct Keeper {
    folder: PathBuf,
    kept: Option<Place>,
    now: Option<Place>,
}

impl Keeper {
    /// Keeps it in `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        let kept = Place::load(&folder);
        Self { folder, kept, now: kept }
    }

    /// Where it was when the app ended before.
    pub(super) fn before(&self) -> Option<Place> {
        self.kept
    }

    /// Looks where the window is.
    pub(super) fn look(&mut self, ctx: &Context) {
        let (inner, outer, maximised, elsewhere) = ctx.input(|input| {
            let window = input.viewport();
            let elsewhere = window.fullscreen == Some(true) || window.minimized == Some(true);
            (window.inner_rect, window.outer_rect, window.maximized == Some(true), elsewhere)
        });
        let size = inner.map_or_else(|| ctx.content_rect().size(), |inner| inner.size());
        self.now = seen(self.now, size, outer.map(|outer| outer.min), maximised, elsewhere);
    }

    /// Keeps it, if it has changed.
    pub(super) fn keep(&mut self) {
        let Some(now) = self.now.filter(|now| self.kept != Some(*now)) else { return };
        match now.save(&self.folder) {
            Ok(()) => self.kept = Some(now),
            Err(error) => tracing::warn!(%error, "the place of the window is not kept"),
        }
    }
}

/// What is worth keeping: while the window fills its monitor, the size and place it had before that.
fn seen(before: Option<Place>, size: Vec2, at: Option<Pos2>, maximised: bool, elsewhere: bool) -> Option<Place> {
    let normal = Place { width: size.x, height: size.y, at: at.map(Into::into), maximised: false };
    match before {
        _ if elsewhere => before,
        Some(before) if maximised => Some(Place { maximised, ..before }),
        None if maximised => Some(Place { width: LEAST_SIZE[0], height: LEAST_SIZE[1], at: None, maximised }),
        _ => Some(normal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { width: 900.0, height: 600.0, at: Some([100.0, 50.0]), maximised: false };

    #[test]
    fn what_was_kept_is_read_again_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Place::load(folder.path()), None);
        PLACE.save(folder.path()).unwrap();
        assert_eq!(Place::load(folder.path()), Some(PLACE));
        for text in [
            "width = nan\nheight = 600.0\nmaximised = false\n".to_owned(),
            "width = 900.0\nheight = 1e9\nmaximised = false\n".to_owned(),
            "width = 900.0\nheight = 600.0\nat = [0.0, inf]\nmaximised = false\n".to_owned(),
            "width = 900.0\n".to_owned(),
            " ".repeat(5 << 10),
        ] {
            std::fs::write(folder.path().join(FILE), &text).unwrap();
            assert_eq!(Place::load(folder.path()), None, "{text}");
        }
    }

    #[test]
    fn a_window_is_never_opened_where_it_cannot_be_taken_hold_of() {
        let left = Rect::from_min_size(pos2(0.0, 0.0), vec2(1920.0, 1080.0));
        let right = Rect::from_min_size(pos2(1920.0, 0.0), vec2(1280.0, 720.0));
        let at = |x: f32, y: f32, monitors: &[Rect]| Place { at: Some([x, y]), ..PLACE }.at(monitors);
        assert_eq!(at(100.0, 50.0, &[left]), Some(pos2(100.0, 50.0)));
        assert_eq!(at(2000.0, 50.0, &[left, right]), Some(pos2(2000.0, 50.0)));
        // The second monitor is gone.
        assert_eq!(at(2000.0, 50.0, &[left]), None);
        for (x, y) in [(-850.0, 50.0), (1850.0, 50.0), (100.0, -40.0), (100.0, 1070.0)] {
            assert_eq!(at(x, y, &[left]), None, "{x}, {y}");
        }
        assert_eq!(at(100.0, 50.0, &[]), None);
        assert_eq!(Place { at: None, ..PLACE }.at(&[left]), None);
    }

    #[test]
    fn it_is_never_smaller_than_every_screen_needs() {
        let small = Place { width: 10.0, height: 10.0, ..PLACE };
        assert_eq!(small.size(), Vec2::from(LEAST_SIZE));
    }

    #[test]
    fn a_window_that_fills_its_monitor_remembers_what_it_was_before() {
        let size = vec2(900.0, 600.0);
        let normal = seen(None, size, Some(pos2(100.0, 50.0)), false, false);
        assert_eq!(normal, Some(PLACE));
        let filled = seen(normal, vec2(1920.0, 1080.0), Some(pos2(0.0, 0.0)), true, false);
        assert_eq!(filled, Some(Place { maximised: true, ..PLACE }));
        assert_eq!(seen(filled, vec2(1.0, 1.0), None, false, true), filled);
        assert_eq!(seen(filled, size, Some(pos2(100.0, 50.0)), false, false), Some(PLACE));
    }
}
