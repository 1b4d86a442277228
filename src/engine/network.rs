//! Whether this machine's network changed under a meeting: an address gone or new, or the machine asleep for a while.
//!
//! No system tells it in a way that all share, so the addresses are read twice a second while a meeting lasts.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinHandle;

use crate::engine::input::{Input, Inputs};
use crate::rendezvous::local;

/// How often the addresses are read: a third of a millisecond's work.
const LOOK: Duration = Duration::from_millis(500);
/// A pause this long between two looks means that the machine, or this program, slept.
const SLEPT: Duration = Duration::from_secs(3);

/// What changed since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkChange {
    /// Addresses that this machine had and has no more.
    pub(crate) gone: Vec<IpAddr>,
    /// Addresses are there that were not.
    pub(crate) came: bool,
    /// Nothing ran for a while.
    pub(crate) slept: bool,
}

impl NetworkChange {
    /// Whether a connection from `own` cannot be trusted to stand any more; `None` is an address that is not known.
    pub(crate) fn breaks(&self, own: Option<IpAddr>) -> bool {
        self.slept || own.map_or(!self.gone.is_empty(), |ip| self.gone.contains(&ip))
    }
}

/// The addresses and the clocks, as last seen.
pub(crate) struct NetworkWatch {
    own: Vec<IpAddr>,
    looked: (Instant, SystemTime),
}

impl NetworkWatch {
    /// Begins with the addresses `own`, sorted.
    pub(crate) fn new(now: Instant, wall: SystemTime, own: Vec<IpAddr>) -> Self {
        Self { own, looked: (now, wall) }
    }

    /// Looks again. Some systems stop the monotonic clock while they sleep, and the wall clock may be set back: whichever
    /// went further counts.
    pub(crate) fn look(&mut self, now: Instant, wall: SystemTime, own: Vec<IpAddr>) -> Option<NetworkChange> {
        let (before, wall_before) = std::mem::replace(&mut self.looked, (now, wall));
        let by_wall = wall.duration_since(wall_before).unwrap_or_default();
        let change = NetworkChange {
            gone: self.own.iter().filter(|ip| own.binary_search(ip).is_err()).copied().collect(),
            came: own.iter().any(|ip| self.own.binary_search(ip).is_err()),
            slept: now.saturating_duration_since(before).max(by_wall) >= SLEPT,
        };
        self.own = own;
        (change != NetworkChange::default()).then_some(change)
    }
}

/// Looks until it is dropped, and puts every change into the session's queue.
pub(crate) struct NetworkMonitor(JoinHandle<()>);

impl NetworkMonitor {
    pub(crate) fn start(inputs: Inputs) -> Self {
        Self(tokio::spawn(async move {
            let mut watch = NetworkWatch::new(Instant::now(), SystemTime::now(), addresses().await.unwrap_or_default());
            loop {
                tokio::time::sleep(LOOK).await;
                // A list that cannot be read says nothing.
                let own = addresses().await.unwrap_or_else(|| watch.own.clone());
                if let Some(change) = watch.look(Instant::now(), SystemTime::now(), own)
                    && inputs.send(Input::Network(change)).is_err()
                {
                    return;
                }
            }
        }))
    }
}

impl Drop for NetworkMonitor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn addresses() -> Option<Vec<IpAddr>> {
    match tokio::task::spawn_blocking(local::usable_addresses).await {
        Ok(Ok(own)) => Some(own),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(texts: &[&str]) -> Vec<IpAddr> {
        let mut list: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        list.sort_unstable();
        list
    }

    /// A watch, and a clock pair `n` milliseconds later.
    fn watch(texts: &[&str]) -> (NetworkWatch, impl Fn(u64, u64) -> (Instant, SystemTime)) {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        let after = move |mono, walled| (now + Duration::from_millis(mono), wall + Duration::from_millis(walled));
        (NetworkWatch::new(now, wall, own(texts)), after)
    }

    #[test]
    fn nothing_is_told_while_nothing_changes() {
        let (mut watch, after) = watch(&["192.0.2.5", "2001:db8::5"]);
        for n in 1..20 {
            let (now, wall) = after(n * 500, n * 500);
            assert_eq!(watch.look(now, wall, own(&["2001:db8::5", "192.0.2.5"])), None);
        }
    }

    #[test]
    fn an_address_that_goes_breaks_what_begins_there_and_nothing_else() {
        let (mut watch, after) = watch(&["192.0.2.5", "198.51.100.7"]);
        let (now, wall) = after(500, 500);
        let change = watch.look(now, wall, own(&["198.51.100.7"])).unwrap();
        assert!(change.breaks(Some("192.0.2.5".parse().unwrap())) && !change.came);
        assert!(!change.breaks(Some("198.51.100.7".parse().unwrap())));
        assert!(change.breaks(None), "a route whose own end is not known may be any");
    }

    #[test]
    fn an_address_that_comes_breaks_nothing() {
        let (mut watch, after) = watch(&["192.0.2.5"]);
        let (now, wall) = after(500, 500);
        let change = watch.look(now, wall, own(&["192.0.2.5", "192.0.2.6"])).unwrap();
        assert!(change.came && !change.breaks(Some("192.0.2.5".parse().unwrap())) && !change.breaks(None));
    }

    #[test]
    fn sleep_shows_on_either_clock_and_a_clock_set_back_is_no_sleep() {
        for (mono, wall, slept) in [(500, 6_000, true), (6_000, 500, true), (500, 2_000, false), (1_500, 1_500, false)]
        {
            let (mut watch, after) = watch(&["192.0.2.5"]);
            let (now, wall) = after(mono, wall);
            let change = watch.look(now, wall, own(&["192.0.2.5"]));
            assert_eq!(change.is_some_and(|change| change.breaks(Some("192.0.2.5".parse().unwrap()))), slept);
        }
        let (mut watch, after) = watch(&["192.0.2.5"]);
        let (now, wall) = after(500, 0);
        assert_eq!(watch.look(now, wall - Duration::from_secs(3600), own(&["192.0.2.5"])), None);
    }
}
