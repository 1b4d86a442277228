//! A sliding window over counters: each is accepted once (the algorithm of RFC 6479, one bit a counter).

/// Why a counter is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stale {
    /// This counter has been accepted before.
    Replayed,
    /// So far behind the newest that nobody remembers whether it was.
    TooOld,
}

/// Remembers which of the newest `64 × W` counters have been seen.
///
/// Asking ([`ReplayWindow::check`]) and moving ([`ReplayWindow::accept`]) are apart, because only what has been
/// authenticated may move a window: otherwise one forged packet with a high counter would shut out all real ones.
pub(super) struct ReplayWindow<const W: usize> {
    /// One more than the highest counter accepted; 0 at first.
    next: u64,
    seen: [u64; W],
}

impl<const W: usize> ReplayWindow<W> {
    const SIZE: u64 = 64 * W as u64;

    pub(super) const fn new() -> Self {
        Self { next: 0, seen: [0; W] }
    }

    /// Whether `counter` could be accepted. Changes nothing.
    pub(super) fn check(&self, counter: u64) -> Result<(), Stale> {
        if counter >= self.next {
            Ok(())
        } else if self.next - counter > Self::SIZE {
            Err(Stale::TooOld)
        } else if self.bit(counter) {
            Err(Stale::Replayed)
        } else {
            Ok(())
        }
    }

    /// Marks an authenticated `counter`, which must have passed [`Self::check`] and be below `u64::MAX`.
    pub(super) fn accept(&mut self, counter: u64) {
        if counter >= self.next {
            // Counters that were jumped over share their bits with ones a window ago, which are forgotten now.
            let skipped = (counter - self.next).min(Self::SIZE);
            for old in counter - skipped..counter {
                let (word, mask) = Self::place(old);
                self.seen[word] &= !mask;
            }
            self.next = counter.saturating_add(1);
        }
        let (word, mask) = Self::place(counter);
        self.seen[word] |= mask;
    }

    fn bit(&self, counter: u64) -> bool {
        let (word, mask) = Self::place(counter);
        self.seen[word] & mask != 0
    }

    fn place(counter: u64) -> (usize, u64) {
        let position = counter % Self::SIZE;
        ((position / 64) as usize, 1 << (position % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_counter_is_accepted_once() {
        let mut window = ReplayWindow::<2>::new();
        for counter in [0, 5, 3, 127, 128] {
            assert_eq!(window.check(counter), Ok(()));
            window.accept(counter);
            assert_eq!(window.check(counter), Err(Stale::Replayed));
        }
        assert_eq!(window.check(0), Err(Stale::TooOld));
        assert_eq!(window.check(1), Ok(()));
    }

    #[test]
    fn a_jump_of_more_than_a_window_forgets_everything_behind_it() {
        let mut window = ReplayWindow::<2>::new();
        for counter in 0..128 {
            window.accept(counter);
        }
        window.accept(u64::MAX - 1);
        assert_eq!(window.check(127), Err(Stale::TooOld));
        for counter in u64::MAX - 1 - 127..u64::MAX - 1 {
            assert_eq!(window.check(counter), Ok(()), "{counter}");
        }
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_of_everything_seen(steps in prop::collection::vec(0u64..600, 1..300)) {
            let mut window = ReplayWindow::<2>::new();
            let mut seen = BTreeSet::new();
            for counter in steps {
                let newest = seen.last().copied();
                let expected = match newest {
                    Some(newest) if newest >= counter && newest - counter >= 128 => Err(Stale::TooOld),
                    _ if seen.contains(&counter) => Err(Stale::Replayed),
                    _ => Ok(()),
                };
                prop_assert_eq!(window.check(counter), expected);
                if expected.is_ok() {
                    window.accept(counter);
                    seen.insert(counter);
                }
            }
        }
    }
}
