//! The figures of a whole call, second by second, to be read afterwards or shown to somebody who helps. Pure.
//!
//! It is made to be shared: it never learns names, addresses, fingerprints, keys, links or the room, so that it cannot
//! tell them. Its format is in `docs/REPORT.md`.

use std::time::Instant;

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

/// Version of the format.
const VERSION: u32 = 1;
/// Rows of one track at most: two hours of seconds. Past that each row stands for twice as long.
const ROWS: usize = 7_200;
/// Rows of all tracks together at most: eight people for two hours, some 9 MB.
const ALL_ROWS: usize = 8 * ROWS;
/// Peers at most: whoever comes and goes without end does not fill memory.
const PEERS: usize = 64;
/// Events of one peer at most.
const EVENTS: usize = 256;
/// What the report says about itself.
const PRIVACY: &str = "This report holds figures only: no names, addresses, fingerprints, keys, links or device names.";

/// How a figure of two intervals becomes one.
#[derive(Clone, Copy)]
enum Merge {
    /// Added up.
    Sum,
    /// The mean.
    Mean,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// That of the later.
    Last,
}

impl Merge {
    /// `a` stands for `weight` seconds, `b` for one. Not a number is unknown.
    fn apply(self, a: f32, b: f32, weight: f32, more: f32) -> f32 {
        match self {
            _ if a.is_nan() => b,
            _ if b.is_nan() => a,
            Self::Sum => a + b,
            Self::Mean => (a * weight + b * more) / (weight + more),
            Self::Max => a.max(b),
            Self::Min => a.min(b),
            Self::Last => b,
        }
    }
}

macro_rules! row {
    ($(#[$outer:meta])* $row:ident { $($(#[$doc:meta])* $name:ident: $merge:ident,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(crate) struct $row {
            $($(#[$doc])* pub(crate) $name: f32,)*
        }

        impl Default for $row {
            /// Everything is unknown.
            fn default() -> Self {
                Self { $($name: f32::NAN,)* }
            }
        }

        impl Row for $row {
            const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            fn merge(&self, later: &Self, weight: f32, more: f32) -> Self {
                Self { $($name: Merge::$merge.apply(self.$name, later.$name, weight, more),)* }
            }

            fn value(&self, column: usize) -> f32 {
                [$(self.$name,)*].get(column).copied().unwrap_or(f32::NAN)
            }
        }
    };
}

/// One line of a track.
trait Row: Copy + Default {
    const NAMES: &'static [&'static str];
    fn merge(&self, later: &Self, weight: f32, more: f32) -> Self;
    fn value(&self, column: usize) -> f32;
}

row! {
    /// One second with one peer. Unknown is not a number.
    PeerRow {
        /// Seconds since the meeting was entered, at the end of the interval.
        t: Last,
        /// Received, kbit/s.
        in_kbps: Mean,
        /// Sent, kbit/s.
        out_kbps: Mean,
        /// RTP packets received.
        in_packets: Sum,
        /// RTP packets sent.
        out_packets: Sum,
        /// Their packets lost before repair, percent.
        in_loss_percent: Mean,
        /// Own packets lost before repair, percent, as they report.
        out_loss_percent: Mean,
        /// Round trip, milliseconds.
        rtt_ms: Mean,
        /// What the path may carry in pictures, kbit/s.
        target_kbps: Mean,
        /// Estimated capacity, kbit/s.
        estimate_kbps: Mean,
        /// Acknowledged, kbit/s.
        acked_kbps: Mean,
        /// Waiting in the pacer, milliseconds.
        queue_ms: Max,
        /// 1 where the network is what limits sending, 0 where it is not.
        network_limited: Mean,
        /// Pictures decoded a second.
        in_fps: Mean,
        /// Pictures handed to the path a second.
        out_fps: Mean,
        /// Width of their picture.
        in_width: Last,
        /// Height of their picture.
        in_height: Last,
        /// Milliseconds in pauses of more than 200.
        freeze_ms: Sum,
        /// Pictures that never came whole.
        in_frames_lost: Sum,
        /// Pictures that came and were not shown.
        in_frames_dropped: Sum,
        /// Pictures refused because the queue to the network was full.
        out_frames_refused: Sum,
        /// Packets of sound that opened.
        in_sound_packets: Sum,
        /// Delay that the jitter buffer aims at, milliseconds.
        jitter_target_ms: Mean,
        /// Delay that it has, milliseconds.
        jitter_delay_ms: Mean,
        /// Blocks of 20 ms made up.
        concealed: Sum,
        /// Blocks put in to lengthen the delay.
        stretched: Sum,
        /// Packets left out to shorten it.
        skipped: Sum,
        /// Packets that came too late.
        late: Sum,
        /// Packets asked for again.
        nack_out: Sum,
        /// Packets they asked for again.
        nack_in: Sum,
        /// Retransmissions sent.
        rtx_out: Sum,
        /// Retransmissions received.
        rtx_in: Sum,
        /// Key frames asked for.
        pli_out: Sum,
        /// Key frames they asked for.
        pli_in: Sum,
        /// Frames that did not open.
        unopened: Sum,
        /// 1 poor, 2 fair, 3 good.
        quality: Min,
    }
}

row! {
    /// One second of this process.
    OwnRow {
        /// Seconds since the meeting was entered, at the end of the interval.
        t: Last,
        /// CPU time, percent of one core.
        cpu_percent: Mean,
        /// Resident memory, MB.
        memory_mb: Max,
        /// Pictures sealed a second.
        encoded_fps: Mean,
        /// Sealed pictures, kbit/s.
        encoded_kbps: Mean,
        /// Pictures given up.
        video_dropped: Sum,
        /// Packets of sound sealed.
        sound_packets: Sum,
    }
}

/// Rows in order, each for `each` seconds.
#[derive(Clone, Debug)]
struct Track<R> {
    rows: Vec<R>,
    each: u32,
    /// The row that is being made, and for how many seconds it stands so far.
    pending: Option<(R, u32)>,
}

impl<R> Default for Track<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), each: 1, pending: None }
    }
}

impl<R: Row> Track<R> {
    fn push(&mut self, row: R) {
        let (row, seconds) = match self.pending.take() {
            Some((earlier, seconds)) => (earlier.merge(&row, seconds as f32, 1.0), seconds + 1),
            None => (row, 1),
        };
        if seconds < self.each {
            self.pending = Some((row, seconds));
            return;
        }
        self.rows.push(row);
        if self.rows.len() >= ROWS {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let merged = self.rows.chunks(2).map(|pair| match pair {
            [a, b] => a.merge(b, 1.0, 1.0),
            _ => pair.first().copied().unwrap_or_default(),
        });
        self.rows = merged.collect();
        self.rows.shrink_to_fit();
        self.each = self.each.saturating_mul(2);
    }
}

/// One figure of a track, for all its rows.
struct Column<'a, R>(&'a Track<R>, usize);

impl<R: Row> Serialize for Column<'_, R> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(track, column) = self;
        let pending = track.pending.as_ref().map(|(row, _)| row);
        let mut list = to.serialize_seq(Some(track.rows.len() + usize::from(pending.is_some())))?;
        for row in track.rows.iter().chain(pending) {
            // Two places behind the point; what is not a number becomes `null`.
            let value = f64::from(row.value(*column));
            list.serialize_element(&((value * 100.0).round() / 100.0))?;
        }
        list.end()
    }
}

impl<R: Row> Serialize for Track<R> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(R::NAMES.len()))?;
        for (index, name) in R::NAMES.iter().enumerate() {
            map.serialize_entry(name, &Column(self, index))?;
        }
        map.end()
    }
}

/// Something that happened on the way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// They are in the meeting.
    Joined,
    /// Media can flow.
    Connected,
    /// The path broke.
    Disconnected,
    /// Media go directly.
    Direct,
    /// Media go through a TURN server.
    Relayed,
    /// They are out of the meeting.
    Left,
}

/// When and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Happened {
    t: u32,
    what: What,
}

#[derive(Clone, Debug, Serialize)]
struct PeerSeries {
    /// `peer 1`, in the order in which they came.
    peer: String,
    /// SRTP protection profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    srtp: Option<String>,
    events: Vec<Happened>,
    #[serde(rename = "seconds_per_row")]
    each: u32,
    columns: Track<PeerRow>,
    #[serde(skip)]
    id: u32,
}

/// What is in use of each kind; never a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DevicesInUse {
    /// `device`, `file`, `test` or `none`.
    pub(crate) camera: &'static str,
    /// The same.
    pub(crate) microphone: &'static str,
    /// `device` or `none`.
    pub(crate) speaker: &'static str,
    /// The camera is on.
    pub(crate) camera_on: bool,
    /// The microphone is on.
    pub(crate) microphone_on: bool,
}

/// How own pictures and sound are made.
#[derive(Clone, Copy, Debug, Serialize)]
struct Codecs {
    video: &'static str,
    sound: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct OwnSeries {
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<DevicesInUse>,
    codecs: Codecs,
    #[serde(rename = "seconds_per_row")]
    each: u32,
    columns: Track<OwnRow>,
}

/// The figures of a call. Bounded, whatever happens in it.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    format: &'static str,
    version: u32,
    privacy: &'static str,
    program: &'static str,
    system: String,
    cores: usize,
    /// How long the meeting has lasted, in seconds.
    seconds: u32,
    own: OwnSeries,
    peers: Vec<PeerSeries>,
    /// Peers that came when as many were recorded as can be.
    peers_left_out: u32,
    #[serde(skip)]
    began: Instant,
}

impl Series {
    /// Begins with the meeting.
    pub(crate) fn new(began: Instant) -> Self {
        Self {
            format: "conclave-call-report",
            version: VERSION,
            privacy: PRIVACY,
            program: concat!("conclave ", env!("CARGO_PKG_VERSION")),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            seconds: 0,
            own: OwnSeries {
                devices: None,
                codecs: Codecs { video: "H.264", sound: "Opus" },
                each: 1,
                columns: Track::default(),
            },
            peers: Vec::new(),
            peers_left_out: 0,
            began,
        }
    }

    /// Seconds since it began.
    pub(crate) fn seconds_at(&self, now: Instant) -> f32 {
        now.saturating_duration_since(self.began).as_secs_f32()
    }

    /// What this device uses now.
    pub(crate) fn set_devices(&mut self, devices: DevicesInUse) {
        self.own.devices = Some(devices);
    }

    /// The protection of the path to a peer.
    pub(crate) fn set_srtp(&mut self, peer: u32, profile: &str) {
        if let Some(series) = self.peers.iter_mut().find(|series| series.id == peer)
            && series.srtp.as_deref() != Some(profile)
        {
            series.srtp = Some(profile.to_owned());
        }
    }

    /// A second of this process.
    pub(crate) fn push_own(&mut self, now: Instant, mut row: OwnRow) {
        row.t = self.seconds_at(now);
        self.seconds = row.t as u32;
        self.own.columns.push(row);
        self.own.each = self.own.columns.each;
    }

    /// A second with a peer.
    pub(crate) fn push_peer(&mut self, now: Instant, peer: u32, mut row: PeerRow) {
        row.t = self.seconds_at(now);
        self.seconds = row.t as u32;
        let Some(series) = self.of(peer) else { return };
        series.columns.push(row);
        series.each = series.columns.each;
        while self.peers.iter().map(|series| series.columns.rows.len()).sum::<usize>() > ALL_ROWS {
            let Some(longest) = self.peers.iter_mut().max_by_key(|series| series.columns.rows.len()) else { return };
            longest.columns.halve();
            longest.each = longest.columns.each;
        }
    }

    /// Something happened on the way to a peer. The same twice on end counts once.
    pub(crate) fn note(&mut self, now: Instant, peer: u32, what: What) {
        let t = self.seconds_at(now) as u32;
        let Some(series) = self.of(peer) else { return };
        let routes = [What::Direct, What::Relayed];
        let same_kind = |event: &&Happened| routes.contains(&event.what) == routes.contains(&what);
        let repeated = series.events.iter().rev().find(same_kind).is_some_and(|event| event.what == what);
        if !repeated && series.events.len() < EVENTS {
            series.events.push(Happened { t, what });
        }
    }

    fn of(&mut self, peer: u32) -> Option<&mut PeerSeries> {
        if let Some(at) = self.peers.iter().position(|series| series.id == peer) {
            return self.peers.get_mut(at);
        }
        if self.peers.len() >= PEERS {
            self.peers_left_out = self.peers_left_out.saturating_add(1);
            return None;
        }
        self.peers.push(PeerSeries {
            peer: format!("peer {}", self.peers.len() + 1),
            srtp: None,
            events: Vec::new(),
            each: 1,
            columns: Track::default(),
            id: peer,
        });
        self.peers.last_mut()
    }

    /// As JSON, one object.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn value(series: &Series) -> serde_json::Value {
        serde_json::from_str(&series.to_json()).unwrap()
    }

    fn filled(seconds: u64, peers: u32) -> Series {
        let start = Instant::now();
        let mut series = Series::new(start);
        for second in 1..=seconds {
            let now = start + Duration::from_secs(second);
            for peer in 0..peers {
                series.push_peer(now, peer, PeerRow { in_packets: 10.0, rtt_ms: 40.0, ..PeerRow::default() });
            }
            series.push_own(now, OwnRow { cpu_percent: 50.0, ..OwnRow::default() });
        }
        series
    }

    fn sum(column: &serde_json::Value) -> f64 {
        column.as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).sum()
    }

    #[test]
    fn each_second_is_a_row_and_what_is_unknown_is_null() {
        let json = value(&filled(60, 2));
        let columns = &json["peers"][1]["columns"];
        assert_eq!(columns["t"].as_array().unwrap().len(), 60);
        assert_eq!((columns["t"][59].as_f64(), columns["rtt_ms"][0].as_f64()), (Some(60.0), Some(40.0)));
        assert!(columns["target_kbps"][0].is_null());
        assert_eq!((json["seconds"].as_u64(), json["peers"][0]["peer"].as_str()), (Some(60), Some("peer 1")));
        assert_eq!(json["own"]["columns"]["cpu_percent"][3], 50.0);
    }

    #[test]
    fn after_two_hours_rows_become_coarser_and_nothing_is_lost_or_unbounded() {
        let series = filled(30_000, 1);
        let (track, json) = (&series.peers[0].columns, value(&series));
        assert!(track.rows.len() < ROWS && track.rows.capacity() <= 2 * ROWS, "{}", track.rows.len());
        assert_eq!(json["peers"][0]["seconds_per_row"], 8);
        assert_eq!(sum(&json["peers"][0]["columns"]["in_packets"]), 300_000.0);
        assert!(json["peers"][0]["columns"]["rtt_ms"].as_array().unwrap().iter().all(|rtt| *rtt == 40.0));
    }

    #[test]
    fn all_tracks_together_are_bounded_too_and_so_are_peers_and_events() {
        let start = Instant::now();
        let mut series = Series::new(start);
        for peer in 0..200 {
            for second in 0..2_000 {
                let now = start + Duration::from_secs(second);
                series.push_peer(now, peer, PeerRow { in_packets: 1.0, ..PeerRow::default() });
                series.note(now, peer, if second % 2 == 0 { What::Connected } else { What::Disconnected });
            }
        }
        assert!(series.peers.iter().map(|series| series.columns.rows.len()).sum::<usize>() <= ALL_ROWS);
        assert_eq!(series.peers.len(), PEERS);
        assert!(series.peers.iter().all(|series| series.events.len() <= EVENTS));
        let json = value(&series);
        assert_eq!(sum(&json["peers"][0]["columns"]["in_packets"]), 2_000.0);
        assert!(json["peers_left_out"].as_u64().unwrap() > 0);
    }

    #[test]
    fn a_row_for_two_seconds_adds_counts_and_averages_levels() {
        let mut track = Track { each: 2, ..Track::default() };
        track.push(PeerRow { in_packets: 3.0, rtt_ms: 10.0, queue_ms: 5.0, quality: 3.0, ..PeerRow::default() });
        track.push(PeerRow { in_packets: 4.0, rtt_ms: 30.0, queue_ms: 2.0, quality: 1.0, ..PeerRow::default() });
        let row = track.rows[0];
        assert_eq!((row.in_packets, row.rtt_ms, row.queue_ms, row.quality), (7.0, 20.0, 5.0, 1.0));
        assert!(row.target_kbps.is_nan());
    }

    #[test]
    fn what_is_said_again_is_one_event() {
        let start = Instant::now();
        let mut series = Series::new(start);
        for what in [What::Joined, What::Connected, What::Direct, What::Direct, What::Connected, What::Relayed] {
            series.note(start, 7, what);
        }
        let events: Vec<_> = series.peers[0].events.iter().map(|event| event.what).collect();
        assert_eq!(events, [What::Joined, What::Connected, What::Direct, What::Relayed]);
    }

    #[test]
    fn every_column_is_in_the_documents() {
        let documents = include_str!("../../docs/REPORT.md");
        for name in PeerRow::NAMES.iter().chain(OwnRow::NAMES) {
            assert!(documents.contains(&format!("`{name}`")), "{name} is not in docs/REPORT.md");
        }
    }
}
