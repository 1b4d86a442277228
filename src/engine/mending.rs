//! When a path is to be sought anew (ICE restart, RFC 8445 section 2.4), and which answer belongs to which offer.
//!
//! Both sides may offer: whoever's network changed knows first. A restart gives up the sockets in use, so it is only asked for
//! when media have stopped or their way is known to be gone.

use std::time::{Duration, Instant};

/// The side that did not make the first offer leaves the other this long, unless it was its own network that changed: two
/// offers at once cost a round trip.
const AFTER_YOU: Duration = Duration::from_millis(1500);
/// After an offer, ICE may take this long before another; each further one waits twice as long, so that slow signalling
/// is not overtaken.
const RETRY: Duration = Duration::from_secs(3);
const RETRY_AT_MOST: Duration = Duration::from_secs(16);
/// Signalling may be away as well: an offer that is not answered waits for it this long before another is made.
const UNANSWERED: Duration = Duration::from_secs(10);
/// Offers of the peer's that are taken at once, and the pause after which one more may be. Each has new sockets bound and the TURN
/// server asked anew; a peer whose network changes again and again needs no more.
const OFFERS: u32 = 6;
const OFFER_EVERY: Duration = Duration::from_secs(2);

/// The plan of one path.
pub(super) struct Mending {
    /// This side made the first offer.
    first: bool,
    broken: bool,
    next: Option<Instant>,
    wait: Duration,
    /// When our last offer was made, if no answer to it has come.
    asked: Option<Instant>,
    /// Offers of ours that answers may still come for.
    unanswered: u32,
    /// The newest answer was to an older offer; one to the newest should follow.
    skipped: bool,
    /// The network changed after the offer was made.
    again: bool,
    /// Offers that the peer has left, and since when.
    offers: (u32, Option<Instant>),
}

impl Mending {
    pub(super) fn new(first: bool) -> Self {
        Self {
            first,
            broken: false,
            next: None,
            wait: RETRY,
            asked: None,
            unanswered: 0,
            skipped: false,
            again: false,
            offers: (OFFERS, None),
        }
    }

    /// Media flow.
    pub(super) fn handle_connected(&mut self) {
        (self.broken, self.wait) = (false, RETRY);
        if !self.again {
            self.next = None;
        }
    }

    /// Nothing comes any more.
    pub(super) fn handle_broken(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.broken, true) && self.next.is_none() {
            self.next = Some(if self.first { now } else { now + AFTER_YOU });
        }
    }

    /// This machine's network changed. True if the path is to be sought anew.
    pub(super) fn handle_network(&mut self, now: Instant, breaks: bool) -> bool {
        if !breaks && !self.broken {
            return false;
        }
        (self.broken, self.wait) = (true, RETRY);
        match self.asked {
            // That offer names addresses of before. Its answer is waited for, because it would be taken for one to the next.
            Some(_) => self.again = true,
            None => self.next = Some(now),
        }
        true
    }

    /// An offer of ours was made; `first` negotiation or restart.
    pub(super) fn handle_offer_made(&mut self, now: Instant) {
        self.asked = Some(now);
        self.unanswered += 1;
        self.again = false;
        self.next = self.broken.then_some(now + self.wait.max(UNANSWERED));
    }

    /// No offer could be made: there is no network, perhaps.
    pub(super) fn handle_no_offer(&mut self, now: Instant) {
        self.next = Some(now + self.step());
    }

    /// The peer answers. False if the answer belongs to an older offer, and is of no use.
    pub(super) fn handle_answer(&mut self, now: Instant) -> bool {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered > 0 {
            self.skipped = true;
            self.next = Some(now + self.step());
            return false;
        }
        (self.asked, self.skipped) = (None, false);
        self.settle(now);
        true
    }

    /// Whether the peer, who offers now, has not offered too often.
    pub(super) fn may_take_offer(&mut self, now: Instant) -> bool {
        let (left, since) = &mut self.offers;
        let since = since.get_or_insert(now);
        while *left < OFFERS && now.saturating_duration_since(*since) >= OFFER_EVERY {
            *left += 1;
            *since += OFFER_EVERY;
        }
        if *left == OFFERS {
            *since = now;
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    /// The peer's offer was taken, and ours, if there was one, taken back.
    pub(super) fn handle_offer(&mut self, now: Instant) {
        (self.asked, self.unanswered, self.skipped) = (None, 0, false);
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        self.next = match std::mem::take(&mut self.again) {
            true => Some(now),
            false => self.broken.then(|| now + self.step()),
        };
    }

    fn step(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(RETRY_AT_MOST);
        wait
    }

    /// When [`is_due`](Self::is_due) may be true.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether an offer is to be made now; true once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|at| now >= at);
        if due {
            self.next = None;
            if std::mem::take(&mut self.skipped) {
                // One of them is never answered, then: the count starts anew.
                self.unanswered = 0;
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    /// A path that stands: offered, answered, connected.
    fn standing(first: bool, start: Instant) -> Mending {
        let mut mending = Mending::new(first);
        if first {
            mending.handle_offer_made(start);
            assert!(mending.handle_answer(start));
        } else {
            mending.handle_offer(start);
        }
        mending.handle_connected();
        assert_eq!(mending.deadline(), None);
        mending
    }

    #[test]
    fn whoever_offered_first_offers_at_once_and_the_other_a_moment_later() {
        let start = Instant::now();
        let (mut offerer, mut answerer) = (standing(true, start), standing(false, start));
        offerer.handle_broken(start);
        answerer.handle_broken(start);
        assert!(offerer.is_due(start) && !offerer.is_due(start));
        assert!(!answerer.is_due(at(start, 1499)) && answerer.is_due(at(start, 1500)));
    }

    #[test]
    fn whose_network_changed_offers_at_once_whichever_part_it_played() {
        let start = Instant::now();
        for first in [true, false] {
            let mut mending = standing(first, start);
            assert!(!mending.handle_network(start, false), "a way that stands is left alone");
            assert!(!mending.is_due(at(start, 60_000)));
            assert!(mending.handle_network(start, true) && mending.is_due(start));
        }
    }

    #[test]
    fn an_address_that_comes_hastens_a_broken_path() {
        let start = Instant::now();
        let mut mending = standing(false, start);
        mending.handle_broken(start);
        assert!(mending.handle_network(at(start, 100), false) && mending.is_due(at(start, 100)));
    }

    #[test]
    fn a_network_that_changes_while_an_answer_is_out_is_seen_to_right_after_it() {
        let start = Instant::now();
        let mut mending = standing(true, start);
        mending.handle_network(start, true);
        assert!(mending.is_due(start));
        mending.handle_offer_made(start);
        mending.handle_network(at(start, 500), true);
        assert!(!mending.is_due(at(start, 900)));
        assert!(mending.handle_answer(at(start, 1000)));
        assert!(mending.is_due(at(start, 1000)));
    }

    #[test]
    fn an_answer_to_an_older_offer_is_not_taken_for_one_to_the_newest() {
        let start = Instant::now();
        let mut mending = standing(true, start);
        mending.handle_broken(start);
        assert!(mending.is_due(start));
        mending.handle_offer_made(start);
        assert!(mending.is_due(at(start, 10_000)), "signalling was away");
        mending.handle_offer_made(at(start, 10_000));
        assert!(!mending.handle_answer(at(start, 11_000)));
        assert!(mending.handle_answer(at(start, 11_100)));
    }

    #[test]
    fn an_offer_that_is_never_answered_does_not_spoil_the_count_for_good() {
        let start = Instant::now();
        let mut mending = standing(true, start);
        mending.handle_broken(start);
        let (mut now, mut taken) = (start, false);
        // The peer could make nothing of the first, and answers each of the others at once.
        for n in 0..8 {
            now = mending.deadline().unwrap();
            assert!(mending.is_due(now));
            mending.handle_offer_made(now);
            if n > 0 {
                taken = mending.handle_answer(now + Duration::from_millis(100));
            }
            if taken {
                break;
            }
        }
        assert!(taken && now < start + Duration::from_secs(90), "{:?}", now - start);
    }

    #[test]
    fn a_peer_that_offers_without_end_is_answered_now_and_then() {
        let start = Instant::now();
        let mut mending = standing(false, start);
        let taken = (0..60_000).step_by(15).filter(|millis| mending.may_take_offer(at(start, *millis))).count();
        assert!((30..=36).contains(&taken), "{taken} in a minute");
        assert!((0..OFFERS).all(|_| mending.may_take_offer(at(start, 120_000))), "that is forgotten after a while");
    }

    #[test]
    fn attempts_go_on_ever_more_slowly_and_stop_when_media_flow() {
        let start = Instant::now();
        let mut mending = standing(false, start);
        mending.handle_broken(start);
        let (mut now, mut gaps) = (start, Vec::new());
        for _ in 0..6 {
            let next = mending.deadline().unwrap();
            gaps.push(next.saturating_duration_since(now).as_millis());
            now = next;
            assert!(mending.is_due(now));
            mending.handle_no_offer(now);
        }
        assert_eq!(gaps, [1500, 3000, 6000, 12_000, 16_000, 16_000]);
        mending.handle_connected();
        assert_eq!(mending.deadline(), None);
    }
}
