//! A table of deadlines, a rate limit, and every duration of the protocol with its reason.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a guest repeats an unanswered handshake message.
pub const HANDSHAKE_RESEND: Duration = Duration::from_secs(1);
/// How long a guest tries to reach the host before it gives up.
pub const REACH: Duration = Duration::from_secs(30);
/// How long a guest waits for the host's proof before it begins a new handshake.
pub const ATTEMPT: Duration = Duration::from_secs(5);
/// How long a host keeps a handshake, or a session that has not knocked, waiting.
pub const HALF_OPEN: Duration = Duration::from_secs(10);
/// How long a knock waits for a person's answer.
pub const KNOCK: Duration = Duration::from_secs(600);
/// How long a closed session lingers so that its last message arrives.
pub const LINGER: Duration = Duration::from_secs(10);
/// Pause between pings.
pub const PING: Duration = Duration::from_secs(5);
/// Silence after which a peer is called silent: six pings lost in a row.
pub const SILENCE: Duration = Duration::from_secs(30);
/// The same, once the relay said that the peer's connection is gone.
pub const SILENCE_AFTER_LEAVING: Duration = Duration::from_secs(10);
/// Silence of the host after which others believe whoever it named as heir.
pub const HOST_QUIET: Duration = Duration::from_secs(10);
/// How long a member waits to be called by another before it calls itself.
pub const PAIR_WAIT: Duration = Duration::from_secs(2);
/// Pause before a member is called again after a session with it ended badly.
pub const PAIR_AGAIN: Duration = Duration::from_secs(5);
/// How long a members' secret that was renewed still opens a door: somebody with whom the host has no session yet has no other,
/// and gets the newest only once it has one. Longer than it takes to find a lost host's heir, and a session with it.
pub const SECRET_RETIRE: Duration = Duration::from_secs(120);
/// How long the list of people must stand before a code is agreed for it.
pub const CODE_SETTLE: Duration = Duration::from_secs(1);
/// After this long an agreement that did not come about is begun anew.
pub const CODE_AGAIN: Duration = Duration::from_secs(8);
/// First pause before an unacknowledged message is sent again.
pub const RESEND_FIRST: Duration = Duration::from_secs(1);
/// Longest such pause.
pub const RESEND_MOST: Duration = Duration::from_secs(8);
/// Age at which a sender replaces its key.
pub const KEY_LIFETIME: Duration = Duration::from_secs(300);
/// Changes that follow each other within this time get one key and not one each.
pub const KEY_COALESCE: Duration = Duration::from_millis(500);
/// How long a sender waits for acknowledgements before it seals with a new key all the same.
pub const KEY_SWITCH: Duration = Duration::from_secs(1);
/// How long a receiver still opens frames of an older key after a newer one has come.
pub const KEY_RETIRE: Duration = Duration::from_secs(10);

/// Deadlines by name. The smallest table that does: few entries, looked at often, changed often.
pub(crate) struct Timers<K> {
    table: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { table: BTreeMap::new() }
    }

    pub(crate) fn set(&mut self, timer: K, at: Instant) {
        self.table.insert(timer, at);
    }

    /// Brings a deadline forward; never puts it off.
    pub(crate) fn hasten(&mut self, timer: K, at: Instant) {
        self.table.entry(timer).and_modify(|old| *old = at.min(*old)).or_insert(at);
    }

    pub(crate) fn stop(&mut self, timer: K) {
        self.table.remove(&timer);
    }

    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.table.values().min().copied()
    }

    /// Removes and names one timer that is due, the earliest first.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (timer, at) = self.table.iter().min_by_key(|(_, at)| **at)?;
        if *at > now {
            return None;
        }
        let timer = *timer;
        self.table.remove(&timer);
        Some(timer)
    }
}

/// The earlier of two optional deadlines.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A token bucket: so many at once, then so many a second.
pub(crate) struct RateLimit {
    burst: u32,
    per_second: u32,
    /// Thousandths of a token.
    level: u64,
    at: Option<Instant>,
}

impl RateLimit {
    pub(crate) fn new(burst: u32, per_second: u32) -> Self {
        Self { burst, per_second, level: u64::from(burst) * 1000, at: None }
    }

    /// Takes a token; `false` when there is none.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let gained = elapsed.as_millis().saturating_mul(u128::from(self.per_second));
        let most = u64::from(self.burst) * 1000;
        // Only whole milliseconds are credited, so only they are used up.
        if self.at.is_none() || gained > 0 {
            self.at = Some(now);
        }
        self.level = self.level.saturating_add(u64::try_from(gained).unwrap_or(u64::MAX)).min(most);
        if self.level < 1000 {
            return false;
        }
        self.level -= 1000;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_due_in_order_and_once() {
        let start = Instant::now();
        let after = |s| start + Duration::from_secs(s);
        let mut timers = Timers::new();
        timers.set('b', after(2));
        timers.set('a', after(3));
        timers.set('c', after(1));
        timers.stop('c');
        timers.hasten('a', after(1));
        timers.hasten('b', after(9));
        assert_eq!(timers.next(), Some(after(1)));
        assert_eq!(timers.pop_due(start), None);
        assert_eq!(timers.pop_due(after(2)), Some('a'));
        assert_eq!(timers.pop_due(after(2)), Some('b'));
        assert_eq!(timers.pop_due(after(99)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_rate_limit_lets_a_burst_through_and_then_a_steady_flow() {
        let start = Instant::now();
        let mut limit = RateLimit::new(3, 10);
        assert_eq!((0..5).filter(|_| limit.allows(start)).count(), 3);
        let flowing = (1..=1000).filter(|ms| limit.allows(start + Duration::from_millis(*ms))).count();
        assert_eq!(flowing, 10);
        assert_eq!((0..9).filter(|_| limit.allows(start + Duration::from_secs(3600))).count(), 3);
    }
}
