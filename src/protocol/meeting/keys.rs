//! Sender keys: ours, which every member must have before we seal with them, and a peer's, which we keep no longer than
//! frames under them can still be on the way.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::event::{PeerNo, Violation};
use crate::crypto::secret::Secret;
use crate::crypto::sender_keys::SenderKey;
use crate::protocol::roster::EntryHash;
use crate::protocol::timers::{KEY_COALESCE, KEY_LIFETIME, KEY_RETIRE, KEY_SWITCH, Timers, earlier};

/// Keys of one peer kept at a time. Three changes within ten seconds are rare; eight are a flood.
pub(super) const MAX_LIVE: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The key has been used for as long as one may be.
    Age,
    /// A change that waited for others to join it.
    Draw,
    /// Whoever has not acknowledged will not be waited for.
    Switch,
}

/// A key handed out and not yet used.
struct Pending {
    key: SenderKey,
    awaiting: BTreeSet<PeerNo>,
    acknowledged: bool,
    /// Somebody who holds the key in use must not hear any more: the switch waits for nobody.
    urgent: bool,
}

/// Our own sender keys.
pub(super) struct OwnKeys {
    /// Generation of the newest key handed out; 0 before the first.
    issued: u32,
    pending: Option<Pending>,
    /// A key is in use.
    sealing: bool,
    /// When the newest key was drawn.
    drawn: Option<Instant>,
    /// By when a key must be in use that is not drawn yet.
    deadline: Option<Instant>,
    timers: Timers<Due>,
}

/// What to do after a change of our keys.
pub(super) enum Change {
    Nothing,
    /// Draw a fresh one now.
    Draw,
    /// Seal with this one.
    Use(SenderKey),
    /// Stop sealing.
    Stop,
}

impl OwnKeys {
    pub(super) fn new() -> Self {
        Self { issued: 0, pending: None, sealing: false, drawn: None, deadline: None, timers: Timers::new() }
    }

    /// Somebody came or went, or (`urgent`) must not hear what is said from here on. [`Change::Draw`] when it is time,
    /// else the timer tells.
    pub(super) fn want(&mut self, now: Instant, urgent: bool) -> Change {
        if urgent {
            self.deadline = earlier(self.deadline, Some(now + KEY_SWITCH));
        }
        match self.drawn.map(|drawn| drawn + KEY_COALESCE) {
            Some(at) if at > now => {
                self.timers.hasten(Due::Draw, at);
                Change::Nothing
            }
            _ => Change::Draw,
        }
    }

    /// Nothing is sealed any more. What was handed out may still be acknowledged.
    pub(super) fn halt(&mut self) {
        (self.pending, self.deadline, self.sealing) = (None, None, false);
        self.timers.clear();
    }

    /// The number of the next key to be drawn.
    pub(super) fn next_generation(&self) -> u32 {
        self.issued + 1
    }

    /// Hands a fresh key out to exactly these recipients. Whoever held a pending one before does not get to see it used.
    pub(super) fn rotate(&mut self, now: Instant, recipients: &[PeerNo], base: Secret<32>) -> Change {
        self.timers.stop(Due::Age);
        self.timers.stop(Due::Draw);
        if recipients.is_empty() {
            self.pending = None;
            self.deadline = None;
            self.timers.clear();
            return if std::mem::take(&mut self.sealing) { Change::Stop } else { Change::Nothing };
        }
        self.issued += 1;
        self.drawn = Some(now);
        let key = SenderKey { generation: self.issued, base };
        let urgent = self.deadline.is_some() || self.pending.as_ref().is_some_and(|pending| pending.urgent);
        let awaiting = recipients.iter().copied().collect();
        self.pending = Some(Pending { key, awaiting, acknowledged: false, urgent });
        // A burst of changes must not put the switch off: the first one's deadline stands.
        self.timers.hasten(Due::Switch, self.deadline.take().unwrap_or(now + KEY_SWITCH));
        self.timers.set(Due::Age, now + KEY_LIFETIME);
        Change::Nothing
    }

    pub(super) fn acknowledge(&mut self, peer: PeerNo, generation: u32) -> Result<Change, Violation> {
        if generation == 0 || generation > self.issued {
            return Err(Violation::UnknownGeneration);
        }
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.key.generation == generation) {
            pending.awaiting.remove(&peer);
            pending.acknowledged = true;
            if pending.awaiting.is_empty() {
                return Ok(self.switch());
            }
        }
        Ok(Change::Nothing)
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// One thing that is due; `None` when nothing is.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Change> {
        let due = self.timers.pop_due(now)?;
        Some(match due {
            Due::Age | Due::Draw => Change::Draw,
            Due::Switch if self.nobody_has_it() => {
                self.timers.set(Due::Switch, now + KEY_SWITCH);
                Change::Nothing
            }
            Due::Switch => self.switch(),
        })
    }

    /// The way to everyone is interrupted (the relay is gone, say), and nothing is won by losing the picture too. Unless
    /// somebody who has the key in use is to hear no more.
    fn nobody_has_it(&self) -> bool {
        self.sealing && self.pending.as_ref().is_some_and(|pending| !pending.acknowledged && !pending.urgent)
    }

    fn switch(&mut self) -> Change {
        self.timers.stop(Due::Switch);
        match self.pending.take() {
            Some(pending) => {
                self.sealing = true;
                Change::Use(pending.key)
            }
            None => Change::Nothing,
        }
    }
}

/// The sender keys of one peer.
pub(super) struct PeerKeys {
    /// The newest, kept so that opening can be taken up again after a pause.
    newest: Option<SenderKey>,
    /// Older ones that are still open, and until when.
    older: VecDeque<(u32, Instant)>,
    /// One that is bound to a roster entry not known yet: generation, entry and what was handed out.
    held: Option<(u32, EntryHash, Secret<32>)>,
}

impl PeerKeys {
    pub(super) fn new() -> Self {
        Self { newest: None, older: VecDeque::new(), held: None }
    }

    /// Takes a new key in; returns generations to be retired at once, because there are too many.
    pub(super) fn receive(&mut self, now: Instant, key: SenderKey) -> Result<Vec<u32>, Violation> {
        self.check(key.generation)?;
        let before = self.newest.as_ref().map(|key| key.generation);
        self.older.extend(before.map(|before| (before, now + KEY_RETIRE)));
        // One that waits is overtaken: its entry has taken longer than this one's.
        self.held.take_if(|(held, ..)| *held <= key.generation);
        self.newest = Some(key);
        let surplus = (self.older.len() + 1).saturating_sub(MAX_LIVE);
        Ok(self.older.drain(..surplus).map(|(generation, _)| generation).collect())
    }

    /// Keeps a key whose roster entry is not known yet, in place of one kept before.
    pub(super) fn hold(&mut self, generation: u32, roster: EntryHash, base: Secret<32>) -> Result<(), Violation> {
        self.check(generation)?;
        if self.held.as_ref().is_some_and(|(held, ..)| generation <= *held) {
            return Err(Violation::StaleGeneration);
        }
        self.held = Some((generation, roster, base));
        Ok(())
    }

    /// The key kept by [`hold`](Self::hold), to be tried again.
    pub(super) fn take_held(&mut self) -> Option<(u32, EntryHash, Secret<32>)> {
        self.held.take()
    }

    fn check(&self, generation: u32) -> Result<(), Violation> {
        let newest = self.newest.as_ref().map_or(0, |key| key.generation);
        if generation <= newest { Err(Violation::StaleGeneration) } else { Ok(()) }
    }

    /// A copy of the newest key.
    pub(super) fn newest(&self) -> Option<SenderKey> {
        self.newest.as_ref().map(SenderKey::duplicate)
    }

    /// All generations that are open; none is afterwards but the newest, when taken up again.
    pub(super) fn close_all(&mut self) -> Vec<u32> {
        let older = self.older.drain(..).map(|(generation, _)| generation);
        older.chain(self.newest.as_ref().map(|key| key.generation)).collect()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.older.front().map(|(_, at)| *at)
    }

    /// One generation whose time has come.
    pub(super) fn pop_retired(&mut self, now: Instant) -> Option<u32> {
        match self.older.front() {
            Some((generation, at)) if *at <= now => {
                let generation = *generation;
                self.older.pop_front();
                Some(generation)
            }
            _ => None,
        }
    }
}

/// The earliest of several deadlines.
pub(super) fn earliest(deadlines: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    deadlines.into_iter().fold(None, earlier)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn generation(change: Option<Change>) -> Option<u32> {
        match change {
            Some(Change::Use(key)) => Some(key.generation),
            _ => None,
        }
    }

    fn draw(keys: &mut OwnKeys, now: Instant, to: &[PeerNo]) -> Change {
        keys.rotate(now, to, Secret::new([1; 32]))
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_key_is_used_when_everyone_has_acknowledged_it() {
        let (now, mut keys) = (Instant::now(), OwnKeys::new());
        assert!(matches!(keys.want(now, false), Change::Draw));
        assert!(matches!(draw(&mut keys, now, &[7, 8]), Change::Nothing));
        let mut acknowledge = |peer| generation(keys.acknowledge(peer, 1).ok());
        assert_eq!((acknowledge(7), acknowledge(7), acknowledge(8), acknowledge(8)), (None, None, Some(1), None));
    }

    #[test]
    fn changes_in_a_burst_get_one_key_and_the_first_switch_is_not_put_off() {
        let (now, mut keys) = (Instant::now(), OwnKeys::new());
        draw(&mut keys, now, &[7, 8, 9]);
        keys.acknowledge(7, 1).unwrap();
        assert!(matches!(keys.want(now + ms(100), true), Change::Nothing), "a key was drawn just now");
        assert!(matches!(keys.want(now + ms(200), true), Change::Nothing));
        assert!(keys.handle_timeout(now + ms(499)).is_none());
        assert!(matches!(keys.handle_timeout(now + ms(500)), Some(Change::Draw)));
        draw(&mut keys, now + ms(500), &[7]);
        assert_eq!(keys.timeout(), Some(now + ms(1000)), "the deadline of the first key stands");
        assert_eq!(generation(keys.handle_timeout(now + ms(1000))), Some(2));
    }

    #[test]
    fn whoever_left_hears_no_more_after_a_second_however_others_come_and_go() {
        let (now, mut keys) = (Instant::now(), OwnKeys::new());
        draw(&mut keys, now, &[6, 7, 8]);
        for peer in [6, 7, 8] {
            keys.acknowledge(peer, 1).unwrap();
        }
        let at = |millis| now + Duration::from_secs(60) + ms(millis);
        assert!(matches!(keys.want(at(0), true), Change::Draw));
        draw(&mut keys, at(0), &[7, 8]);
        // A second one leaves, 900 ms later: the key without the first is used at its own second all the same.
        assert!(matches!(keys.want(at(900), true), Change::Draw));
        draw(&mut keys, at(900), &[7]);
        assert_eq!(generation(keys.handle_timeout(at(1000))), Some(3));
    }

    #[test]
    fn a_key_is_not_used_as_long_as_nobody_has_it_unless_somebody_left() {
        let (now, mut keys) = (Instant::now(), OwnKeys::new());
        draw(&mut keys, now, &[7, 8]);
        keys.acknowledge(7, 1).unwrap();
        assert_eq!(generation(keys.acknowledge(8, 1).ok()), Some(1));
        let later = now + KEY_LIFETIME;
        assert!(matches!(keys.handle_timeout(later), Some(Change::Draw)));
        draw(&mut keys, later, &[7, 8]);
        for second in 1..20 {
            assert_eq!(generation(keys.handle_timeout(later + Duration::from_secs(second))), None);
        }
        keys.acknowledge(7, 2).unwrap();
        assert_eq!(generation(keys.handle_timeout(later + Duration::from_secs(20))), Some(2));
        let gone = later + Duration::from_secs(30);
        assert!(matches!(keys.want(gone, true), Change::Draw));
        draw(&mut keys, gone, &[7]);
        assert_eq!(generation(keys.handle_timeout(gone + KEY_SWITCH)), Some(3));
    }

    #[test]
    fn a_key_lives_five_minutes() {
        let (now, mut keys) = (Instant::now(), OwnKeys::new());
        draw(&mut keys, now, &[7]);
        keys.acknowledge(7, 1).unwrap();
        assert_eq!(keys.timeout(), Some(now + KEY_LIFETIME));
        assert!(keys.handle_timeout(now + KEY_LIFETIME - ms(1)).is_none());
        assert!(matches!(keys.handle_timeout(now + KEY_LIFETIME), Some(Change::Draw)));
    }

    #[test]
    fn with_nobody_left_nothing_is_sealed() {
        let (now, mut keys) = (Instant::now(), OwnKeys::new());
        assert!(matches!(draw(&mut keys, now, &[]), Change::Nothing));
        draw(&mut keys, now, &[7]);
        keys.acknowledge(7, 1).unwrap();
        assert!(matches!(draw(&mut keys, now, &[]), Change::Stop));
        assert_eq!(keys.timeout(), None);
    }

    #[test]
    fn an_acknowledgement_of_a_key_never_sent_is_a_violation() {
        let (now, mut keys) = (Instant::now(), OwnKeys::new());
        draw(&mut keys, now, &[7]);
        assert!(keys.acknowledge(7, 2).err() == Some(Violation::UnknownGeneration));
        assert!(keys.acknowledge(7, 0).err() == Some(Violation::UnknownGeneration));
    }

    #[test]
    fn an_older_key_of_a_peer_is_retired_within_ten_seconds() {
        let (now, mut keys) = (Instant::now(), PeerKeys::new());
        let key = |generation| SenderKey { generation, base: Secret::new([1; 32]) };
        keys.receive(now, key(4)).unwrap();
        assert_eq!(keys.timeout(), None);
        keys.receive(now, key(5)).unwrap();
        assert_eq!(keys.receive(now, key(5)), Err(Violation::StaleGeneration));
        assert_eq!(keys.receive(now, key(3)), Err(Violation::StaleGeneration));
        assert_eq!(keys.timeout(), Some(now + KEY_RETIRE));
        assert_eq!(keys.pop_retired(now + KEY_RETIRE - Duration::from_millis(1)), None);
        assert_eq!(keys.pop_retired(now + KEY_RETIRE), Some(4));
        assert_eq!(keys.pop_retired(now + KEY_RETIRE), None);
    }

    #[test]
    fn a_flood_of_keys_keeps_only_the_newest_few() {
        let (now, mut keys) = (Instant::now(), PeerKeys::new());
        let retired: Vec<u32> = (1..=20)
            .flat_map(|n| keys.receive(now, SenderKey { generation: n, base: Secret::new([1; 32]) }).unwrap())
            .collect();
        assert_eq!(retired, (1..=12).collect::<Vec<_>>());
        assert_eq!(keys.close_all(), (13..=20).collect::<Vec<_>>());
    }

    #[test]
    fn a_key_for_an_entry_to_come_waits_and_only_the_newest_does() {
        let mut keys = PeerKeys::new();
        let hold =
            |keys: &mut PeerKeys, generation| keys.hold(generation, [generation as u8; 32], Secret::new([1; 32]));
        assert_eq!(hold(&mut keys, 2), Ok(()));
        assert_eq!(hold(&mut keys, 2), Err(Violation::StaleGeneration));
        assert_eq!(hold(&mut keys, 3), Ok(()));
        assert!(keys.take_held().is_some_and(|(generation, roster, _)| (generation, roster) == (3, [3; 32])));
        assert!(keys.take_held().is_none());
        assert_eq!(hold(&mut keys, 4), Ok(()));
        let overtaking = SenderKey { generation: 5, base: Secret::new([1; 32]) };
        assert_eq!(keys.receive(Instant::now(), overtaking), Ok(Vec::new()));
        assert!(keys.take_held().is_none(), "it would no longer rise");
    }
}
