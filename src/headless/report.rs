//! What a headless call says about itself when it is over: JSON, one object.

use serde::Serialize;

use crate::engine::series::Series;

/// The report of one call. Milliseconds are measured from the process's own start of the call.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The call was held: a path to somebody stood, and pictures or sound of some peer arrived and opened.
    pub held: bool,
    /// From the start (joining) or the knock (hosting) to a connected path, in milliseconds.
    pub connect_ms: Option<f64>,
    /// From the same moment to the first decoded picture.
    pub first_frame_ms: Option<f64>,
    /// Frames this side encoded, sealed and handed to paths.
    pub sent: Sent,
    /// Each peer of the call.
    pub peers: Vec<PeerReport>,
    /// SFrame cipher suite (RFC 9605 §4.5) in use with every peer; null where no key was agreed with anyone.
    pub cipher_suite: Option<&'static str>,
    /// The handshakes mixed in ML-KEM-768 (there is no other kind); null where there was none.
    pub post_quantum: Option<bool>,
    /// Number of the roster entry in force at the end; null before admission.
    pub roster_entry: Option<u64>,
    /// Its hash, in hexadecimal.
    pub roster_hash: Option<String>,
    /// The last group code that was agreed: 14 digits.
    pub group_code: Option<String>,
    /// Attempts at the door that did not know an invite's secret (hosting only).
    pub refused_at_door: u64,
    /// CPU time used by this process, user and system; null where the system does not say.
    pub cpu_seconds: Option<f64>,
    /// Largest resident memory of this process; null where the system does not say.
    pub rss_peak_mb: Option<f64>,
    /// What went wrong, in sentences.
    pub errors: Vec<String>,
    /// Figures second by second, without names and addresses (`docs/REPORT.md`); null where the meeting was not entered.
    pub series: Option<Series>,
}

/// What this side sent.
#[derive(Debug, Default, Serialize)]
pub struct Sent {
    /// Pictures sealed.
    pub video: u64,
    /// Pictures given up because a path was full or the encoder skipped them.
    pub video_dropped: u64,
    /// Sealed video bytes.
    pub video_bytes: u64,
    /// Packets of sound sealed.
    pub audio: u64,
}

/// One peer as this side met it.
#[derive(Debug, Default, Serialize)]
pub struct PeerReport {
    /// The name they gave.
    pub name: String,
    /// Pair safety number, 60 digits.
    pub safety_number: String,
    /// Pictures from them.
    pub video: VideoReport,
    /// Sound from them.
    pub audio: AudioReport,
    /// How media travelled.
    pub route: Option<RouteReport>,
    /// Generation of the newest key received from them; 0 if none was.
    pub key_generation: u32,
    /// Frames that did not open.
    pub unopened: u64,
}

/// Pictures from a peer.
#[derive(Debug, Default, Serialize)]
pub struct VideoReport {
    /// Pictures that this side has sealed since the start of the call, whoever was there.
    pub sent: u64,
    /// Sealed pictures that arrived whole and opened.
    pub received: u64,
    /// Of those, decoded.
    pub decoded: u64,
    /// Of those, not decodable (a picture before them was lost) or too late.
    pub dropped: u64,
    /// Pixels in a row of the newest picture; 0 before the first.
    pub width: u32,
    /// Its rows.
    pub height: u32,
    /// The counter in the newest test picture, if they sent one.
    pub last_counter: Option<u64>,
    /// Pauses of more than 200 ms between two pictures, added up.
    pub freeze_ms: u64,
    /// The longest pause between two pictures.
    pub longest_pause_ms: u64,
    /// When the last picture was decoded, in milliseconds since 1970.
    pub last_picture_unix_ms: Option<u64>,
    /// From the time in the test picture to its decoding here (same clock on both sides assumed); null for other pictures.
    pub latency_ms: Option<Percentiles>,
}

/// Sound from a peer.
#[derive(Debug, Default, Serialize)]
pub struct AudioReport {
    /// Packets of sound that this side has sealed since the start of the call, whoever was there.
    pub sent: u64,
    /// Packets that arrived and opened.
    pub received: u64,
    /// Blocks of 20 ms that had to be made up.
    pub concealed: u64,
    /// Loudness of all that was played, dB below full scale; null for silence.
    pub rms_dbfs: Option<f64>,
}

/// How media travelled.
#[derive(Debug, Default, Serialize)]
pub struct RouteReport {
    /// Through a TURN relay.
    pub relayed: bool,
    /// How the own TURN server is reached: `udp`, `tcp` or `tls`; null if this side has nothing relayed.
    pub relay_transport: Option<&'static str>,
    /// Own address and port.
    pub local: String,
    /// Theirs.
    pub remote: String,
    /// What the own address is: `host`, `reflexive`, or `relay` if this side has media relayed.
    pub local_kind: &'static str,
    /// What theirs is, as they say.
    pub remote_kind: &'static str,
    /// Country of their address; null without a table, or where it does not say.
    pub country: Option<String>,
}

/// A distribution by three of its points.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are no larger.
    pub p50: f64,
    /// 95 in 100 are no larger.
    pub p95: f64,
    /// 99 in 100 are no larger.
    pub p99: f64,
}

impl Percentiles {
    /// Of all `values`; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted.get(((sorted.len().checked_sub(1)?) as f64 * part).round() as usize).copied();
        Some(Self { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_points_of_the_sorted_values() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Percentiles::of(&values), Some(Percentiles { p50: 50.0, p95: 95.0, p99: 99.0 }));
        assert_eq!(Percentiles::of(&[]), None);
    }
}
