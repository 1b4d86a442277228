//! What a path measures of itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::bandwidth::LimitedBy;
use super::sdp::CandidateKind;

/// The ICE candidate pair that carries the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// At least one end is a TURN relay's address.
    pub relayed: bool,
    /// Our address on this path, as candidates name it.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// What our address is: relayed by us, if it is a relay's.
    pub local_kind: CandidateKind,
    /// What the peer's address is, as the peer says: relayed by the peer, if it is a relay's.
    pub remote_kind: CandidateKind,
}

impl Route {
    /// The route between two addresses of these kinds, ours first.
    pub fn new((local, local_kind): (SocketAddr, CandidateKind), remote: (SocketAddr, CandidateKind)) -> Self {
        let relayed = [local_kind, remote.1].contains(&CandidateKind::Relay);
        Self { relayed, local, remote: remote.0, local_kind, remote_kind: remote.1 }
    }
}

/// Figures of one path, from its start unless said otherwise. Bytes are RTP and RTCP, without SRTP, UDP and IP.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PathStats {
    /// Smoothed round-trip time, from reports of arrivals (RFC 8888) and of reception (RFC 3550 section 6.4.1, LSR and
    /// DLSR) or, before the first report, from ICE checks. `None` until one of them came back.
    pub rtt: Option<Duration>,
    /// Fraction of what we sent, sound and pictures, that the peer did not get, before repair, over the last second or
    /// so: 0 to 1.
    pub loss: f32,
    /// Fraction of the peer's video packets that did not come, before repair, over the last second or so: 0 to 1.
    pub loss_in: f32,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// RTP packets sent, retransmissions included.
    pub packets_out: u64,
    /// RTP packets received, retransmissions included.
    pub packets_in: u64,
    /// The peer's video packets that were lost before repair.
    pub packets_lost_in: u64,
    /// Retransmissions sent.
    pub retransmitted_out: u64,
    /// Retransmissions received.
    pub retransmitted_in: u64,
    /// Packets we asked for again.
    pub nacks_out: u64,
    /// Packets the peer asked for again.
    pub nacks_in: u64,
    /// Key frames we asked for.
    pub key_frame_requests_out: u64,
    /// Key frames the peer asked for.
    pub key_frame_requests_in: u64,
    /// Video frames handed to [`send_video`](super::Path::send_video) and accepted.
    pub frames_out: u64,
    /// Video frames put together.
    pub frames_in: u64,
    /// Video frames that never completed.
    pub frames_lost_in: u64,
    /// Video frames refused because the queue to the network was full.
    pub frames_refused_out: u64,
    /// Events dropped because nobody took them in time.
    pub events_dropped: u64,
    /// Candidates, ours and the peer's, left out because the policy does not allow them.
    pub candidates_refused: u64,
    /// Datagrams, to and from the network, dropped because the policy does not allow their way.
    pub datagrams_refused: u64,
    /// What our pictures may take now, encoded and not yet sealed, bit/s.
    pub target_bps: u32,
    /// What the path carries, as far as known, bit/s on the wire.
    pub estimate_bps: u32,
    /// What arrives at the peer, bit/s on the wire.
    pub acked_bps: u32,
    /// Time that video waits here before it leaves, milliseconds.
    pub queue_delay_ms: u32,
    /// What keeps our pictures from being better.
    pub limited_by: LimitedBy,
    /// Video frames left out because too much waited.
    pub frames_dropped_out: u64,
    /// The pair in use, once there is one.
    pub pair: Option<Route>,
    /// The SRTP protection profile that was negotiated (RFC 7714), once there is one.
    pub srtp_cipher: Option<String>,
}

/// Counters that the taps in the packet chain write and [`Path::stats`](super::Path::stats) reads.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) bytes_out: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) packets_out: AtomicU64,
    pub(super) packets_in: AtomicU64,
    pub(super) packets_lost_in: AtomicU64,
    pub(super) retransmitted_out: AtomicU64,
    pub(super) retransmitted_in: AtomicU64,
    pub(super) nacks_out: AtomicU64,
    pub(super) nacks_in: AtomicU64,
    pub(super) key_frame_requests_out: AtomicU64,
    pub(super) key_frame_requests_in: AtomicU64,
    pub(super) frames_out: AtomicU64,
    pub(super) frames_in: AtomicU64,
    pub(super) frames_lost_in: AtomicU64,
    pub(super) frames_refused_out: AtomicU64,
    pub(super) events_dropped: AtomicU64,
    pub(super) candidates_refused: AtomicU64,
    pub(super) datagrams_refused: AtomicU64,
    /// Micro-units: 1,000,000 is everything lost.
    loss_out: AtomicU64,
    loss_in: AtomicU64,
    /// Microseconds, 0 = unknown.
    rtt: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(super) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(super) fn set_loss_out(&self, fraction: f32) {
        self.loss_out.store((fraction * 1e6) as u64, Ordering::Relaxed);
    }

    pub(super) fn set_loss_in(&self, fraction: f32) {
        self.loss_in.store((fraction * 1e6) as u64, Ordering::Relaxed);
    }

    /// The smoothed round-trip time from reports.
    pub(super) fn rtt(&self) -> Option<Duration> {
        match get(&self.rtt) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Takes in one measurement, smoothed as TCP does it (RFC 6298 section 2: 7/8 old, 1/8 new).
    pub(super) fn on_rtt(&self, sample: Duration) {
        let sample = (sample.as_micros() as u64).max(1);
        let smoothed = match get(&self.rtt) {
            0 => sample,
            old => (old * 7 + sample) / 8,
        };
        self.rtt.store(smoothed.max(1), Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> PathStats {
        PathStats {
            rtt: self.rtt(),
            loss: get(&self.loss_out) as f32 / 1e6,
            loss_in: get(&self.loss_in) as f32 / 1e6,
            bytes_out: get(&self.bytes_out),
            bytes_in: get(&self.bytes_in),
            packets_out: get(&self.packets_out),
            packets_in: get(&self.packets_in),
            packets_lost_in: get(&self.packets_lost_in),
            retransmitted_out: get(&self.retransmitted_out),
            retransmitted_in: get(&self.retransmitted_in),
            nacks_out: get(&self.nacks_out),
            nacks_in: get(&self.nacks_in),
            key_frame_requests_out: get(&self.key_frame_requests_out),
            key_frame_requests_in: get(&self.key_frame_requests_in),
            frames_out: get(&self.frames_out),
            frames_in: get(&self.frames_in),
            frames_lost_in: get(&self.frames_lost_in),
            frames_refused_out: get(&self.frames_refused_out),
            events_dropped: get(&self.events_dropped),
            candidates_refused: get(&self.candidates_refused),
            datagrams_refused: get(&self.datagrams_refused),
            ..PathStats::default()
        }
    }
}

/// Turns the reports of RFC 3550 section 6.4.1 into round-trip times: remembers when a sender report left, and takes
/// off the time the peer says it kept it.
#[derive(Default)]
pub(super) struct RttMeter {
    sent: Mutex<VecDeque<(u32, u32, Instant)>>,
}

/// Sender reports remembered: two streams for over ten seconds.
const REPORTS_KEPT: usize = 64;

impl RttMeter {
    /// A sender report with this NTP time leaves for stream `ssrc`.
    pub(super) fn on_sender_report(&self, now: Instant, ssrc: u32, ntp_time: u64) {
        let Ok(mut sent) = self.sent.lock() else { return };
        if sent.len() == REPORTS_KEPT {
            sent.pop_front();
        }
        sent.push_back((ssrc, (ntp_time >> 16) as u32, now));
    }

    /// A report block about stream `ssrc` came. `lsr` is the middle of the NTP time it answers, `dlsr` the peer's delay
    /// in 1/65,536 s. `None` if it answers no report of ours.
    pub(super) fn on_report_block(&self, now: Instant, ssrc: u32, lsr: u32, dlsr: u32) -> Option<Duration> {
        let sent = self.sent.lock().ok()?;
        let (.., at) = sent.iter().rev().find(|(s, ntp, _)| *s == ssrc && *ntp == lsr)?;
        let kept = Duration::from_nanos(u64::from(dlsr) * 1_000_000_000 / 65_536);
        now.checked_duration_since(*at)?.checked_sub(kept).or(Some(Duration::from_micros(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_round_trip_is_what_remains_without_the_peers_delay() {
        let (meter, start) = (RttMeter::default(), Instant::now());
        meter.on_sender_report(start, 7, 0x1111_2222_3333_4444);
        let rtt = meter.on_report_block(start + 540 * MS, 7, 0x2222_3333, 32_768).unwrap();
        assert_eq!(rtt, 40 * MS);
        assert_eq!(meter.on_report_block(start + 540 * MS, 8, 0x2222_3333, 0), None, "another stream");
        assert_eq!(meter.on_report_block(start + 540 * MS, 7, 0, 0), None, "no report seen yet");
    }

    #[test]
    fn a_peer_that_claims_too_long_a_delay_yields_no_negative_time() {
        let (meter, start) = (RttMeter::default(), Instant::now());
        meter.on_sender_report(start, 7, 1 << 16);
        assert_eq!(meter.on_report_block(start + MS, 7, 1, u32::MAX), Some(Duration::from_micros(1)));
    }

    #[test]
    fn old_reports_are_forgotten() {
        let (meter, start) = (RttMeter::default(), Instant::now());
        for n in 0..1000u64 {
            meter.on_sender_report(start, 7, n << 16);
        }
        assert_eq!(meter.sent.lock().unwrap().len(), REPORTS_KEPT);
        assert_eq!(meter.on_report_block(start, 7, 5, 0), None);
    }

    #[test]
    fn measurements_are_smoothed() {
        let counters = Counters::default();
        assert_eq!(counters.rtt(), None);
        counters.on_rtt(80 * MS);
        counters.on_rtt(160 * MS);
        assert_eq!(counters.rtt(), Some(90 * MS));
    }
}
