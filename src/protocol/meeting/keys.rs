//! Sender keys: ours, which every member must have before we seal with them, and a peer's, which we keep no longer than
//! frames under them can still be on the way.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::event::{PeerNo, Violation};
use crate::crypto::entropy::Entropy;
use crate::crypto::secret::Secret;
use crate::crypto::sender_keys::SenderKey;
use crate::protocol::timers::{KEY_LIFETIME, KEY_RETIRE, KEY_SWITCH, Timers, earlier};

/// Keys of one peer kept at a time. Three changes within ten seconds are rare; eight are a flood.
pub(super) const MAX_LIVE: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Rotate,
    Switch,
}

/// A key handed out and not yet used.
struct Pending {
    key: SenderKey,
    awaiting: BTreeSet<PeerNo>,
}

/// Our own sender keys.
pub(super) struct OwnKeys {
    /// Generation of the newest key handed out; 0 before the first.
    issued: u32,
    pending: Option<Pending>,
    /// A key is in use.
    sealing: bool,
    timers: Timers<Due>,
}

/// What to do after a change of our keys.
pub(super) enum Change {
    Nothing,
    /// Seal with this one.
    Use(SenderKey),
    /// Stop sealing.
    Stop,
}

impl OwnKeys {
    pub(super) fn new() -> Self {
        Self { issued: 0, pending: None, sealing: false, timers: Timers::new() }
    }

    /// Draws a fresh key for exactly these recipients. Whoever held a pending one before does not get to see it used.
    pub(super) fn rotate(&mut self, now: Instant, recipients: &[PeerNo], entropy: &mut dyn Entropy) -> Change {
        self.timers.stop(Due::Rotate);
        if recipients.is_empty() {
            self.pending = None;
            self.timers.clear();
            return if std::mem::take(&mut self.sealing) { Change::Stop } else { Change::Nothing };
        }
        self.issued += 1;
        let key = SenderKey::fresh(self.issued, entropy);
        self.pending = Some(Pending { key, awaiting: recipients.iter().copied().collect() });
        // A burst of changes must not put the switch off: the first change's deadline stands.
        self.timers.hasten(Due::Switch, now + KEY_SWITCH);
        self.timers.set(Due::Rotate, now + KEY_LIFETIME);
        Change::Nothing
    }

    /// The key to be handed out.
    pub(super) fn pending(&self) -> Option<&SenderKey> {
        self.pending.as_ref().map(|pending| &pending.key)
    }

    pub(super) fn acknowledge(&mut self, peer: PeerNo, generation: u32) -> Result<Change, Violation> {
        if generation == 0 || generation > self.issued {
            return Err(Violation::UnknownGeneration);
        }
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.key.generation == generation) {
            pending.awaiting.remove(&peer);
            if pending.awaiting.is_empty() {
                return Ok(self.switch());
            }
        }
        Ok(Change::Nothing)
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Whether it is time for a fresh key, and what else is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> (bool, Change) {
        let (mut rotate, mut change) = (false, Change::Nothing);
        while let Some(due) = self.timers.pop_due(now) {
            match due {
                Due::Rotate => rotate = true,
                Due::Switch => change = self.switch(),
            }
        }
        (rotate, change)
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
}

impl PeerKeys {
    pub(super) fn new() -> Self {
        Self { newest: None, older: VecDeque::new() }
    }

    /// Takes a new key in; returns generations to be retired at once, because there are too many.
    pub(super) fn receive(&mut self, now: Instant, generation: u32, base: Secret<32>) -> Result<Vec<u32>, Violation> {
        let before = self.newest.as_ref().map(|key| key.generation);
        if generation == 0 || before.is_some_and(|before| generation <= before) {
            return Err(Violation::StaleGeneration);
        }
        self.older.extend(before.map(|before| (before, now + KEY_RETIRE)));
        self.newest = Some(SenderKey { generation, base });
        let surplus = (self.older.len() + 1).saturating_sub(MAX_LIVE);
        Ok(self.older.drain(..surplus).map(|(generation, _)| generation).collect())
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
    use crate::crypto::entropy::Seeded;

    fn generation(change: Change) -> Option<u32> {
        match change {
            Change::Use(key) => Some(key.generation),
            Change::Nothing | Change::Stop => None,
        }
    }

    #[test]
    fn a_key_is_used_when_everyone_has_acknowledged_it() {
        let (now, mut entropy, mut keys) = (Instant::now(), Seeded(1), OwnKeys::new());
        assert!(matches!(keys.rotate(now, &[7, 8], &mut entropy), Change::Nothing));
        assert_eq!(generation(keys.acknowledge(7, 1).unwrap()), None);
        assert_eq!(generation(keys.acknowledge(7, 1).unwrap()), None);
        assert_eq!(generation(keys.acknowledge(8, 1).unwrap()), Some(1));
        assert_eq!(generation(keys.acknowledge(8, 1).unwrap()), None);
    }

    #[test]
    fn a_key_is_used_after_a_second_at_the_latest_even_in_a_burst() {
        let (now, mut entropy, mut keys) = (Instant::now(), Seeded(1), OwnKeys::new());
        let after = |ms| now + Duration::from_millis(ms);
        keys.rotate(now, &[7], &mut entropy);
        keys.rotate(after(900), &[7, 8], &mut entropy);
        assert_eq!(keys.timeout(), Some(after(1000)));
        assert_eq!(generation(keys.handle_timeout(after(999)).1), None);
        assert_eq!(generation(keys.handle_timeout(after(1000)).1), Some(2));
    }

    #[test]
    fn a_key_lives_five_minutes() {
        let (now, mut entropy, mut keys) = (Instant::now(), Seeded(1), OwnKeys::new());
        keys.rotate(now, &[7], &mut entropy);
        keys.acknowledge(7, 1).unwrap();
        assert_eq!(keys.timeout(), Some(now + KEY_LIFETIME));
        assert!(!keys.handle_timeout(now + KEY_LIFETIME - Duration::from_millis(1)).0);
        assert!(keys.handle_timeout(now + KEY_LIFETIME).0);
    }

    #[test]
    fn with_nobody_left_nothing_is_sealed() {
        let (now, mut entropy, mut keys) = (Instant::now(), Seeded(1), OwnKeys::new());
        assert!(matches!(keys.rotate(now, &[], &mut entropy), Change::Nothing));
        keys.rotate(now, &[7], &mut entropy);
        keys.acknowledge(7, 1).unwrap();
        assert!(matches!(keys.rotate(now, &[], &mut entropy), Change::Stop));
        assert_eq!(keys.timeout(), None);
    }

    #[test]
    fn an_acknowledgement_of_a_key_never_sent_is_a_violation() {
        let (now, mut entropy, mut keys) = (Instant::now(), Seeded(1), OwnKeys::new());
        keys.rotate(now, &[7], &mut entropy);
        assert!(keys.acknowledge(7, 2).err() == Some(Violation::UnknownGeneration));
        assert!(keys.acknowledge(7, 0).err() == Some(Violation::UnknownGeneration));
    }

    #[test]
    fn an_older_key_of_a_peer_is_retired_within_ten_seconds() {
        let (now, mut keys) = (Instant::now(), PeerKeys::new());
        let base = || Secret::new([1; 32]);
        keys.receive(now, 4, base()).unwrap();
        assert_eq!(keys.timeout(), None);
        keys.receive(now, 5, base()).unwrap();
        assert_eq!(keys.receive(now, 5, base()), Err(Violation::StaleGeneration));
        assert_eq!(keys.receive(now, 3, base()), Err(Violation::StaleGeneration));
        assert_eq!(keys.timeout(), Some(now + KEY_RETIRE));
        assert_eq!(keys.pop_retired(now + KEY_RETIRE - Duration::from_millis(1)), None);
        assert_eq!(keys.pop_retired(now + KEY_RETIRE), Some(4));
        assert_eq!(keys.pop_retired(now + KEY_RETIRE), None);
    }

    #[test]
    fn a_flood_of_keys_keeps_only_the_newest_few() {
        let (now, mut keys) = (Instant::now(), PeerKeys::new());
        let retired: Vec<u32> =
            (1..=20).flat_map(|generation| keys.receive(now, generation, Secret::new([1; 32])).unwrap()).collect();
        assert_eq!(retired, (1..=12).collect::<Vec<_>>());
        assert_eq!(keys.close_all(), (13..=20).collect::<Vec<_>>());
    }
}
