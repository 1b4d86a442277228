//! Counters: how much, how often, never who.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A reading of all counters. Since the start, unless said otherwise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counters { $($(#[$doc])* pub $name: u64),* }

        /// The counters themselves.
        #[derive(Default)]
        pub(crate) struct Metrics { $(pub(crate) $name: Counter),* }

        impl Metrics {
            /// Reads all.
            pub(crate) fn read(&self) -> Counters {
                Counters { $($name: self.$name.get()),* }
            }
        }
    };
}

counters! {
    /// TCP connections accepted by the system.
    accepted,
    /// Connections open now.
    open,
    /// Members in rooms now.
    members,
    /// Rooms now.
    rooms,
    /// Connections turned away because there were too many, or too many of one address.
    refused_connections,
    /// Connections turned away because one address connects too often.
    refused_rate,
    /// Connections that failed in TLS, HTTP or before Join.
    failed_handshakes,
    /// Joins turned away because the room or the relay was full, or the version another.
    refused_joins,
    /// Messages that were no frame, or not one that was due.
    malformed,
    /// Messages that were too large.
    too_large,
    /// Times that a fast sender was slowed down.
    throttled,
    /// Readers disconnected because they were too slow.
    too_slow,
    /// Payloads received.
    messages_in,
    /// Payloads put into queues.
    messages_out,
    /// Payloads for nobody: the other had left.
    undeliverable,
    /// Bytes of payloads received.
    bytes_in,
    /// Bytes of payloads put into queues.
    bytes_out,
    /// STUN requests answered.
    stun_answered,
    /// Datagrams that were not answered: no STUN request, or too many.
    stun_ignored,
}

/// One counter.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub(crate) fn up(&self) {
        self.add(1);
    }

    /// Counts `n` more.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts one less, for what is counted "now".
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sets what is counted elsewhere.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Reads it.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
