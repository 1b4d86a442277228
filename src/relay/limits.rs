//! Bounds on what a stranger can take: token buckets, and a table of addresses. Pure: `now` is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::settings::Rate;

/// A token bucket: `rate.burst` at once, `rate.per_second` in the long run.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), filled: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * f64::from(self.rate.per_second)).min(f64::from(self.rate.burst));
        self.filled = now;
    }

    /// Takes one token if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Takes `amount` even if that leaves a debt, and says how long to wait until the debt is paid.
    pub fn charge(&mut self, amount: usize, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= amount as f64;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        // A rate of zero would never pay: an hour stands for never.
        Duration::try_from_secs_f64(-self.tokens / f64::from(self.rate.per_second)).unwrap_or(Duration::from_secs(3600))
    }

    /// Whether nothing is owed, so that forgetting the bucket gives nothing away.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.rate.burst)
    }
}

/// What counts as one address: an IPv4 address, or the /64 that a host on IPv6 has to itself (RFC 4291 §2.5.4).
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// Why an address gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRefusal {
    /// As many connections as one address may have.
    TooMany,
    /// Connects too often, or the table is full of others who do.
    TooFast,
}

struct Entry {
    connections: usize,
    connects: TokenBucket,
    stun: TokenBucket,
}

/// Connections and rates by address. Holds at most `capacity` addresses and forgets those that owe nothing.
pub struct AddressTable {
    entries: HashMap<IpAddr, Entry>,
    capacity: usize,
    max_connections: usize,
    connects: Rate,
    stun: Rate,
    swept: Option<Instant>,
}

impl AddressTable {
    /// An empty table.
    pub fn new(capacity: usize, max_connections: usize, connects: Rate, stun: Rate) -> Self {
        Self { entries: HashMap::new(), capacity, max_connections, connects, stun, swept: None }
    }

    fn entry(&mut self, address: IpAddr, now: Instant) -> Option<&mut Entry> {
        let key = address_key(address);
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= self.capacity {
                // Sweeping costs time in proportion to the table: once a second is often enough.
                if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < Duration::from_secs(1)) {
                    return None;
                }
                self.swept = Some(now);
                self.sweep(now);
                if self.entries.len() >= self.capacity {
                    return None;
                }
            }
            let (connects, stun) = (TokenBucket::new(self.connects, now), TokenBucket::new(self.stun, now));
            self.entries.insert(key, Entry { connections: 0, connects, stun });
        }
        self.entries.get_mut(&key)
    }

    /// Counts a connection of this address.
    ///
    /// # Errors
    /// [`AddressRefusal`]; then nothing is counted and [`release`](Self::release) is not due.
    pub fn connect(&mut self, address: IpAddr, now: Instant) -> Result<(), AddressRefusal> {
        let max = self.max_connections;
        let entry = self.entry(address, now).ok_or(AddressRefusal::TooFast)?;
        if !entry.connects.take(now) {
            return Err(AddressRefusal::TooFast);
        }
        if entry.connections >= max {
            return Err(AddressRefusal::TooMany);
        }
        entry.connections += 1;
        Ok(())
    }

    /// A connection of this address has ended.
    pub fn release(&mut self, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&address_key(address)) {
            entry.connections = entry.connections.saturating_sub(1);
        }
    }

    /// Whether a STUN request of this address is to be answered.
    pub fn allow_stun(&mut self, address: IpAddr, now: Instant) -> bool {
        self.entry(address, now).is_some_and(|entry| entry.stun.take(now))
    }

    /// Forgets the addresses that have no connection and owe nothing.
    pub fn sweep(&mut self, now: Instant) {
        self.entries.retain(|_, e| e.connections > 0 || !e.connects.is_full(now) || !e.stun.is_full(now));
    }

    /// How many addresses are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Rate = Rate { per_second: 2, burst: 4 };

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_bucket_gives_the_burst_at_once_and_the_rate_after() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(SLOW, start);
        assert_eq!((0..10).filter(|_| bucket.take(start)).count(), 4);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 2);
        assert_eq!((0..10).filter(|_| bucket.take(start + Duration::from_secs(100))).count(), 4);
    }

    #[test]
    fn a_debt_is_paid_by_waiting() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(SLOW, start);
        assert_eq!(bucket.charge(4, start), Duration::ZERO);
        assert_eq!(bucket.charge(3, start), Duration::from_millis(1500));
        assert_eq!(bucket.charge(0, start + Duration::from_millis(1500)), Duration::ZERO);
        assert_eq!(TokenBucket::new(Rate { per_second: 0, burst: 0 }, start).charge(1, start).as_secs(), 3600);
    }

    #[test]
    fn an_address_is_bounded_in_connections_and_in_how_often_it_connects() {
        let now = Instant::now();
        let mut table = AddressTable::new(10, 2, SLOW, SLOW);
        assert_eq!(table.connect(v4(1), now), Ok(()));
        assert_eq!(table.connect(v4(1), now), Ok(()));
        assert_eq!(table.connect(v4(1), now), Err(AddressRefusal::TooMany));
        assert_eq!(table.connect(v4(2), now), Ok(()), "another address is not concerned");
        table.release(v4(1));
        assert_eq!(table.connect(v4(1), now), Ok(()));
        table.release(v4(1));
        assert_eq!(table.connect(v4(1), now), Err(AddressRefusal::TooFast), "four connects were the burst");
    }

    #[test]
    fn one_host_on_ipv6_counts_once_and_mapped_ipv4_counts_as_ipv4() {
        assert_eq!(address_key("2001:db8:1:2:3::4".parse().unwrap()), address_key("2001:db8:1:2::9".parse().unwrap()));
        assert_ne!(address_key("2001:db8:1:2::1".parse().unwrap()), address_key("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(address_key("::ffff:192.0.2.1".parse().unwrap()), v4(1));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_owes_nothing() {
        let start = Instant::now();
        let mut table = AddressTable::new(2, 2, SLOW, SLOW);
        assert!(table.allow_stun(v4(1), start));
        assert_eq!(table.connect(v4(2), start), Ok(()));
        assert!(!table.allow_stun(v4(3), start), "full of addresses that still owe");
        let later = start + Duration::from_secs(60);
        assert!(table.allow_stun(v4(3), later), "the first owes nothing by now");
        assert_eq!(table.len(), 2);
        assert!(!table.allow_stun(v4(4), later), "the second has a connection, the third owes");
    }
}
