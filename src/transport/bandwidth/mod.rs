//! How much a path may carry, and sending no more: congestion control and pacing of one path.
//!
//! All of it is pure: `now` is passed in, and a driver moves the packets.
//!
//! ```text
//! receiver: ArrivalLog → report every 50 ms or so (RFC 8888)
//! sender:   report → History → Trendline → Aimd ┐
//!                            → LossBased        ├→ Estimator → Sender → target for the encoder
//!                            → Prober           ┘                └→ Pacer → packets, Repair → retransmissions
//! ```

mod aimd;
mod estimator;
pub mod feedback;
mod history;
mod loss_based;
mod pacer;
mod probe;
mod repair;
mod rival;
mod sender;
#[cfg(test)]
mod simulation;
mod throughput;
mod trendline;

use bytes::Bytes;

pub use estimator::Limits;
pub(super) use sender::Sender;
pub use sender::{LimitedBy, Target};

/// Bytes of a packet on the wire beside its RTP payload: RTP 12, SRTP's tag 16 (RFC 7714), UDP 8, IPv4 20.
pub const WIRE_BYTES: u32 = 12 + 16 + 8 + 20;

/// The streams of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Pictures sent again (RFC 4588).
    Rtx,
}

/// A packet on its way out, as far as it is this module's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) stream: Stream,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: Bytes,
}

/// The extended number nearest to `reference` whose low 16 bits are `sequence` (RFC 3711 section 3.3.1 in spirit).
fn extend(reference: u64, sequence: u16) -> u64 {
    reference.saturating_add_signed(i64::from(sequence.wrapping_sub(reference as u16).cast_signed()))
}
