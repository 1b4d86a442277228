//! Takes a copied invite off the clipboard after a while: a secret should not lie where the next paste, or the next program,
//! finds it. Whatever else was copied meanwhile stays.

use std::time::{Duration, Instant};

use egui::Event;

/// How long a copied invite can be pasted.
pub(crate) const KEPT: Duration = Duration::from_secs(60);

/// The answer takes two or three passes; after this there is none: nothing that can be pasted, or no permission to look.
const ANSWER: Duration = Duration::from_secs(1);
/// Then it is asked again after this,
const AGAIN: Duration = Duration::from_secs(10);
/// and so many times in all.
const TRIES: u32 = 6;

/// What becomes of the invite that was copied last.
#[derive(Default)]
pub(crate) enum Clipboard {
    /// Nothing of ours is on it.
    #[default]
    Free,
    /// This invite, until then; it was asked for so many times already.
    Holds(String, Instant, u32),
    /// The system was asked what is on it: an input brings the answer before then.
    Asked(String, Instant, u32),
    /// It is still the invite.
    ToClear,
}

impl Clipboard {
    /// An invite was copied at `now`.
    pub(crate) fn copied(&mut self, link: String, now: Instant) {
        *self = Self::Holds(link, now + KEPT, 0);
    }

    /// How long until [`due`](Self::due) is to be called, if ever.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Holds(_, until, _) => Some(until.saturating_duration_since(now)),
            // Each pass takes the answer a step further.
            Self::Asked(..) => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Whether the system is to be asked now what is on the clipboard.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        match std::mem::take(self) {
            Self::Holds(link, until, tries) if now >= until => {
                *self = Self::Asked(link, now + ANSWER, tries + 1);
                true
            }
            Self::Asked(link, until, tries) if now >= until && tries < TRIES => {
                *self = Self::Holds(link, now + AGAIN, tries);
                false
            }
            Self::Asked(_, until, _) if now >= until => false,
            other => {
                *self = other;
                false
            }
        }
    }

    /// Takes the answer out of an input, so that nothing is pasted anywhere. If the person pastes at that very moment there are
    /// two alike, and one of them stays.
    pub(crate) fn read(&mut self, events: &mut Vec<Event>) {
        let Self::Asked(link, ..) = self else { return };
        let Some(at) = events.iter().rposition(|event| matches!(event, Event::Paste(_) | Event::PasteImage(_))) else {
            return;
        };
        let still = matches!(events.remove(at), Event::Paste(text) if text.trim() == *link);
        *self = if still { Self::ToClear } else { Self::Free };
    }

    /// Whether the clipboard is to be emptied now.
    pub(crate) fn take_clear(&mut self) -> bool {
        let clear = matches!(self, Self::ToClear);
        if clear {
            *self = Self::Free;
        }
        clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "conclave://relay.example/#secret";

    /// What is left of `events` when the answer came with them, and whether the clipboard is emptied.
    fn after_a_minute(mut events: Vec<Event>) -> (Vec<Event>, bool) {
        let start = Instant::now();
        let mut clipboard = Clipboard::default();
        clipboard.copied(LINK.to_owned(), start);
        assert!(!clipboard.due(start + KEPT - Duration::from_millis(1)));
        assert_eq!(clipboard.wait(start), Some(KEPT));
        assert!(clipboard.due(start + KEPT));
        assert!(!clipboard.due(start + KEPT), "it is asked once");
        // The answer is not in the very next input.
        clipboard.read(&mut vec![Event::Copy]);
        clipboard.read(&mut events);
        (events, clipboard.take_clear())
    }

    fn paste(text: &str) -> Event {
        Event::Paste(text.to_owned())
    }

    #[test]
    fn an_invite_is_taken_off_after_a_minute_if_it_is_still_there() {
        assert_eq!(after_a_minute(vec![Event::Copy, paste(LINK)]), (vec![Event::Copy], true));
    }

    #[test]
    fn what_was_copied_meanwhile_stays_and_is_pasted_nowhere() {
        assert_eq!(after_a_minute(vec![paste("a recipe")]), (vec![], false));
        assert_eq!(after_a_minute(vec![Event::Copy]), (vec![Event::Copy], false));
    }

    #[test]
    fn what_the_person_pastes_at_that_moment_is_pasted() {
        assert_eq!(after_a_minute(vec![paste("mine"), paste("mine")]), (vec![paste("mine")], false));
    }

    #[test]
    fn an_invite_copied_again_has_its_own_minute() {
        let start = Instant::now();
        let mut clipboard = Clipboard::default();
        clipboard.copied(LINK.to_owned(), start);
        clipboard.copied(LINK.to_owned(), start + KEPT / 2);
        assert!(!clipboard.due(start + KEPT));
        assert!(clipboard.due(start + KEPT + KEPT / 2));
    }

    #[test]
    fn without_an_answer_it_is_asked_again_and_then_no_more() {
        let mut now = Instant::now();
        let mut clipboard = Clipboard::default();
        clipboard.copied(LINK.to_owned(), now);
        let mut asked = 0;
        while let Some(wait) = clipboard.wait(now) {
            now += wait.max(ANSWER);
            asked += u32::from(clipboard.due(now));
        }
        assert_eq!(asked, TRIES);
        let mut events = vec![paste(LINK)];
        clipboard.read(&mut events);
        assert_eq!(events, [paste(LINK)], "a paste long after is the person's own");
    }

    #[test]
    fn no_paste_is_touched_while_nothing_was_asked() {
        let mut clipboard = Clipboard::default();
        let mut events = vec![paste(LINK)];
        clipboard.read(&mut events);
        assert_eq!(events, [paste(LINK)]);
        assert!(!clipboard.take_clear());
    }
}
