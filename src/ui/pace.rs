//! How often the engine may have the window drawn anew.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two passes that the engine asks for lies at least this. It is a little less than the time between two pictures
/// of thirty a second: one that comes a moment early is not held back until the next.
const APART: Duration = Duration::from_millis(30);
/// The least that can be asked for: egui takes no time at all for two passes.
const AT_ONCE: Duration = Duration::from_nanos(1);

/// When the window was drawn last, for those who want it drawn again. Many pictures and many voices cost one pass.
pub(super) struct Pace {
    begun: Instant,
    /// Nanoseconds from `begun`; 0 before the first pass.
    last: AtomicU64,
    small_window: AtomicBool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0), small_window: AtomicBool::new(false) }
    }
}

impl Pace {
    /// A pass begins.
    pub(super) fn drawn(&self) {
        let since = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Whether it is the small window that is to be drawn.
    pub(super) fn wake_small_window(&self, small: bool) {
        self.small_window.store(small, Ordering::Relaxed);
    }

    /// See [`Pace::wake_small_window`].
    pub(super) fn wakes_small_window(&self) -> bool {
        self.small_window.load(Ordering::Relaxed)
    }

    /// In how long the next pass may be.
    pub(super) fn wait(&self) -> Duration {
        wait(Duration::from_nanos(self.last.load(Ordering::Relaxed)), self.begun.elapsed())
    }
}

fn wait(last: Duration, now: Duration) -> Duration {
    (last + APART).saturating_sub(now).max(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_comes_soon_after_a_pass_waits_and_what_comes_late_does_not() {
        assert_eq!(wait(100 * MS, 100 * MS), APART);
        assert_eq!(wait(100 * MS, 112 * MS), APART - 12 * MS);
        for late in [130, 131, 5_000] {
            assert_eq!(wait(100 * MS, late * MS), AT_ONCE);
        }
    }

    #[test]
    fn thirty_pictures_a_second_from_many_are_about_thirty_passes_and_none_of_one_is_held_back() {
        // Ten senders, three milliseconds apart, for three seconds.
        let (mut last, mut passes, mut due) = (Duration::ZERO, 0, None::<Duration>);
        for tick in 1..=1_000_u32 {
            let now = tick * 3 * MS;
            if due.is_some_and(|at| at <= now) {
                (last, due, passes) = (now, None, passes + 1);
            }
            due.get_or_insert(now + wait(last, now));
        }
        assert!((85..=105).contains(&passes), "{passes} passes in three seconds");
        // One sender: each picture is drawn as it comes, early or late by two milliseconds.
        let mut last = Duration::ZERO;
        for (picture, late) in (1..=90_u32).zip([0, 2, 1, 2, 0].into_iter().cycle()) {
            let now = picture * Duration::from_micros(33_333) + late * MS;
            assert!(wait(last, now) <= AT_ONCE, "picture {picture} waits");
            last = now;
        }
    }
}
