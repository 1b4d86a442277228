//! Once a second: what a path and the counters beside it say becomes what the window shows, a mark of quality, and a row of
//! the call's report.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::engine::event::Tone;
use crate::engine::member::Member;
use crate::engine::outbox::Outbox;
use crate::engine::process;
use crate::engine::quality::{Figures, Monitor, Pictures, Quality};
use crate::engine::room::Room;
use crate::engine::series::{DevicesInUse, OwnRow, PeerRow, Series, What};
use crate::engine::session::Session;
use crate::engine::view::{PeerId, PeerLink, PeerStats};
use crate::engine::{store, words};
use crate::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use crate::media::jitter::JitterStats;
use crate::transport::{LimitedBy, PathStats};

/// Blocks of sound in a second.
const BLOCKS: f32 = 50.0;
/// Figures of this process are taken no more often than this, however many paths there are.
const OWN_EVERY: Duration = Duration::from_millis(950);

/// What is counted of a whole meeting.
pub(crate) struct Statistics {
    series: Series,
    own: Option<OwnReading>,
    /// The encoder cannot keep up with the camera.
    overloaded: bool,
}

/// Counters of this process at one moment.
#[derive(Clone, Copy, Default)]
struct OwnReading {
    at: Option<Instant>,
    cpu_seconds: Option<f64>,
    frames: u64,
    bytes: u64,
    dropped: u64,
    sound: u64,
}

/// A path's counters, and those beside it, at one moment.
pub(crate) struct Reading {
    at: Instant,
    path: PathStats,
    jitter: JitterStats,
    decoded: u64,
    dropped: u64,
    freeze_ms: u64,
    sound: u64,
    concealed: u64,
    unopened: u64,
}

/// What the bandwidth estimator says of a path, as far as there is one.
#[derive(Clone, Copy, Default)]
struct Estimate {
    target_bps: Option<u32>,
    estimate_bps: Option<u32>,
    acked_bps: Option<u32>,
    queue_ms: Option<f32>,
    /// The network, not the camera, is what limits sending.
    network_limited: Option<bool>,
}

/// The one place where the estimator's figures come in.
fn estimate(stats: &PathStats) -> Estimate {
    // Without an estimate nothing has been measured yet; with one, a target of zero says that there is no room for pictures.
    let known = (stats.estimate_bps > 0).then_some(());
    Estimate {
        target_bps: known.map(|()| stats.target_bps),
        estimate_bps: known.map(|()| stats.estimate_bps),
        acked_bps: (stats.acked_bps > 0).then_some(stats.acked_bps),
        queue_ms: known.map(|()| stats.queue_delay_ms as f32),
        network_limited: known.map(|()| stats.limited_by == LimitedBy::Network || stats.target_bps == 0),
    }
}

impl Statistics {
    /// Begins with the meeting.
    pub(crate) fn new(now: Instant) -> Self {
        Self { series: Series::new(now), own: None, overloaded: false }
    }

    /// Something happened on the way to a peer.
    pub(crate) fn note(&mut self, now: Instant, peer: PeerId, what: What) {
        self.series.note(now, peer, what);
    }

    /// Takes the figures of a path. `wanted_bps` is what pictures would take on it if nothing limited them; `None` if none are
    /// to be sent.
    pub(crate) fn handle_path(&mut self, now: Instant, member: &mut Member, stats: PathStats, wanted_bps: Option<u32>) {
        let reading = Reading::of(now, member, stats);
        if let Some(profile) = &reading.path.srtp_cipher {
            self.series.set_srtp(member.id, profile);
        }
        let Some(before) = member.last.replace(reading) else { return };
        let Some(after) = &member.last else { return };
        let estimate = estimate(&after.path);
        let row = row(&before, after, &estimate, member);
        member.stats = shown(&row, member);
        if member.link == PeerLink::Live {
            let figures = figures(&row, &estimate, member, wanted_bps, self.overloaded);
            member.monitor.update(now, &figures);
        } else {
            member.monitor = Monitor::default();
        }
        let quality = match member.monitor.quality() {
            Quality::Unknown => f32::NAN,
            known => f32::from(known as u8),
        };
        self.series.push_peer(now, member.id, PeerRow { quality, ..row });
    }

    /// Takes the figures of this process, if it is time.
    pub(crate) fn handle_own(&mut self, now: Instant, outbox: Option<&Outbox>) {
        self.overloaded = outbox.is_some_and(|outbox| outbox.is_overloaded(now));
        let before = self.own.unwrap_or_default();
        if before.at.is_some_and(|at| now.saturating_duration_since(at) < OWN_EVERY) {
            return;
        }
        let mut after = OwnReading { at: Some(now), cpu_seconds: process::cpu_seconds(), ..OwnReading::default() };
        if let Some(outbox) = outbox {
            let counters = &outbox.counters;
            after.frames = counters.video_frames.load(Relaxed);
            after.bytes = counters.video_bytes.load(Relaxed);
            after.dropped = counters.video_dropped.load(Relaxed);
            after.sound = counters.audio_packets.load(Relaxed);
        }
        self.own = Some(after);
        let Some(then) = before.at else { return };
        let seconds = (now - then).as_secs_f32();
        let cpu = after.cpu_seconds.zip(before.cpu_seconds).map(|(after, before)| (after - before) as f32);
        let row = OwnRow {
            t: 0.0,
            cpu_percent: cpu.map_or(f32::NAN, |cpu| cpu / seconds * 100.0),
            memory_mb: process::memory_mb().map_or(f32::NAN, |mb| mb as f32),
            encoded_fps: since(after.frames, before.frames) / seconds,
            encoded_kbps: since(after.bytes, before.bytes) * 0.008 / seconds,
            video_dropped: since(after.dropped, before.dropped),
            sound_packets: since(after.sound, before.sound),
        };
        self.series.push_own(now, row);
    }
}

impl Reading {
    fn of(at: Instant, member: &Member, path: PathStats) -> Self {
        let counters = &member.inbound.counters;
        Self {
            at,
            path,
            jitter: member.inbound.sound_figures().0,
            decoded: counters.video_decoded.load(Relaxed),
            dropped: counters.video_dropped.load(Relaxed),
            freeze_ms: counters.freeze_ms.load(Relaxed),
            sound: counters.audio_received.load(Relaxed),
            concealed: counters.audio_concealed.load(Relaxed),
            unopened: counters.unopened.load(Relaxed),
        }
    }
}

/// What a counter has grown by; a path that was made anew counts from the start.
fn since(after: u64, before: u64) -> f32 {
    after.checked_sub(before).unwrap_or(after) as f32
}

fn or_nan(value: Option<f32>) -> f32 {
    value.unwrap_or(f32::NAN)
}

fn kbit(bps: Option<u32>) -> f32 {
    or_nan(bps.map(|bps| bps as f32 / 1000.0))
}

fn row(before: &Reading, after: &Reading, estimate: &Estimate, member: &Member) -> PeerRow {
    let seconds = (after.at - before.at).max(Duration::from_millis(1)).as_secs_f32();
    let (old, new) = (&before.path, &after.path);
    let kbps = |after, before| since(after, before) * 0.008 / seconds;
    let (_, target, delay) = member.inbound.sound_figures();
    let (size, sounds) = (&member.inbound.counters, after.sound > 0);
    PeerRow {
        t: 0.0,
        in_kbps: kbps(new.bytes_in, old.bytes_in),
        out_kbps: kbps(new.bytes_out, old.bytes_out),
        in_packets: since(new.packets_in, old.packets_in),
        out_packets: since(new.packets_out, old.packets_out),
        in_loss_percent: new.loss_in * 100.0,
        out_loss_percent: new.loss * 100.0,
        rtt_ms: or_nan(new.rtt.map(|rtt| rtt.as_secs_f32() * 1e3)),
        target_kbps: kbit(estimate.target_bps),
        estimate_kbps: kbit(estimate.estimate_bps),
        acked_kbps: kbit(estimate.acked_bps),
        queue_ms: or_nan(estimate.queue_ms),
        network_limited: or_nan(estimate.network_limited.map(|limited| f32::from(u8::from(limited)))),
        in_fps: since(after.decoded, before.decoded) / seconds,
        out_fps: since(new.frames_out, old.frames_out) / seconds,
        in_width: size.width.load(Relaxed) as f32,
        in_height: size.height.load(Relaxed) as f32,
        freeze_ms: since(after.freeze_ms, before.freeze_ms),
        in_frames_lost: since(new.frames_lost_in, old.frames_lost_in),
        in_frames_dropped: since(after.dropped, before.dropped),
        out_frames_refused: since(new.frames_refused_out, old.frames_refused_out),
        in_sound_packets: since(after.sound, before.sound),
        jitter_target_ms: if sounds { target.as_secs_f32() * 1e3 } else { f32::NAN },
        jitter_delay_ms: if sounds { delay.as_secs_f32() * 1e3 } else { f32::NAN },
        concealed: since(after.concealed, before.concealed),
        stretched: since(after.jitter.stretched, before.jitter.stretched),
        skipped: since(after.jitter.skipped, before.jitter.skipped),
        late: since(after.jitter.late, before.jitter.late),
        nack_out: since(new.nacks_out, old.nacks_out),
        nack_in: since(new.nacks_in, old.nacks_in),
        rtx_out: since(new.retransmitted_out, old.retransmitted_out),
        rtx_in: since(new.retransmitted_in, old.retransmitted_in),
        pli_out: since(new.key_frame_requests_out, old.key_frame_requests_out),
        pli_in: since(new.key_frame_requests_in, old.key_frame_requests_in),
        unopened: since(after.unopened, before.unopened),
        quality: f32::NAN,
    }
}

/// Share of the sound of a second that was made up.
fn concealed(row: &PeerRow) -> Option<f32> {
    let played = row.in_sound_packets.max(BLOCKS);
    (row.in_sound_packets + row.concealed > 0.0).then(|| (row.concealed / played).clamp(0.0, 1.0))
}

fn shown(row: &PeerRow, member: &Member) -> PeerStats {
    let counters = &member.inbound.counters;
    let known = |value: f32| (!value.is_nan()).then_some(value);
    PeerStats {
        rtt_ms: known(row.rtt_ms),
        fps: row.in_fps,
        width: counters.width.load(Relaxed),
        height: counters.height.load(Relaxed),
        receive_kbps: row.in_kbps,
        send_kbps: row.out_kbps,
        loss_percent: row.in_loss_percent,
        send_loss_percent: row.out_loss_percent,
        target_kbps: known(row.target_kbps),
        send_fps: row.out_fps,
        jitter_ms: known(row.jitter_delay_ms),
        concealed_percent: concealed(row).unwrap_or(0.0) * 100.0,
        unopened: counters.unopened.load(Relaxed),
    }
}

/// What pictures would take as a multiple of what the network lets through, if it is the network that limits them.
fn shortage(estimate: &Estimate, wanted_bps: Option<u32>) -> Option<f32> {
    let target = estimate.target_bps.filter(|_| estimate.network_limited != Some(false))?;
    wanted_bps.map(|wanted| wanted as f32 / target.max(1) as f32)
}

fn figures(row: &PeerRow, estimate: &Estimate, member: &Member, wanted_bps: Option<u32>, overloaded: bool) -> Figures {
    // Before their first picture it is the camera that is slow, or the path, and the tile says so itself.
    let pictures =
        member.camera_on && member.shown.height != Some(0) && member.inbound.counters.video_decoded.load(Relaxed) > 0;
    Figures {
        loss_out: row.out_loss_percent / 100.0,
        loss_in: row.in_loss_percent / 100.0,
        rtt: (!row.rtt_ms.is_nan()).then(|| Duration::from_secs_f32(row.rtt_ms.clamp(0.0, 60_000.0) / 1e3)),
        shortage: shortage(estimate, wanted_bps),
        pictures: pictures.then(|| Pictures { fps: row.in_fps, frozen: (row.freeze_ms / 1e3).clamp(0.0, 1.0) }),
        concealed: concealed(row),
        overloaded,
    }
}

impl Room {
    /// How many paths there are, how many of them are limited on the way out, and how many on the way in.
    pub(crate) fn limited_paths(&self) -> (usize, usize, usize) {
        let live = self.members.iter().filter(|member| member.link == PeerLink::Live);
        live.fold((0, 0, 0), |(all, sending, receiving), member| {
            let less = |quality| usize::from(quality < Quality::Good);
            let monitor = &member.monitor;
            (all + 1, sending + less(monitor.sending()), receiving + less(monitor.receiving()))
        })
    }
}

impl Session {
    /// The figures of the meeting so far, or of the one that has just ended.
    pub(super) fn series(&mut self) -> Option<Series> {
        let devices = self.devices_in_use();
        let Some(room) = self.room() else { return self.last_series.clone() };
        room.since?;
        let mut series = room.statistics.series.clone();
        series.set_devices(devices);
        Some(series)
    }

    fn devices_in_use(&self) -> DevicesInUse {
        let devices = &self.devices;
        DevicesInUse {
            camera: match devices.camera_choice {
                CameraChoice::None => "none",
                CameraChoice::Test => "test",
                CameraChoice::File(_) => "file",
                _ => "device",
            },
            microphone: match devices.mic_choice {
                MicChoice::None => "none",
                MicChoice::Test => "test",
                MicChoice::File(_) => "file",
                _ => "device",
            },
            speaker: if devices.speaker_choice == SpeakerChoice::None { "none" } else { "device" },
            camera_on: devices.camera_on,
            microphone_on: devices.mic_on,
        }
    }

    /// Writes the report of the call where the person wants it.
    pub(super) fn save_report(&mut self, path: &Path) {
        let Some(series) = self.series() else { return };
        match store::replace_private(path, series.to_json().as_bytes()) {
            Ok(()) => self.toast(Tone::Good, words::report_saved(path)),
            Err(error) => self.warn(words::report_not_saved(path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_begins_anew_counts_from_its_start() {
        assert_eq!((since(7, 5), since(3, 5)), (2.0, 3.0));
    }

    #[test]
    fn pictures_that_need_little_or_are_not_there_are_not_short_of_anything() {
        let path = |target_bps, limited_by| {
            let mut stats = PathStats { estimate_bps: 300_000, target_bps, limited_by, ..PathStats::default() };
            stats.acked_bps = 250_000;
            estimate(&stats)
        };
        let network = path(200_000, LimitedBy::Network);
        assert_eq!(shortage(&network, Some(2_000_000)), Some(10.0));
        assert_eq!(shortage(&network, Some(200_000)), Some(1.0), "they show it small");
        assert_eq!(shortage(&network, None), None, "the camera is off, or nobody looks");
        assert_eq!(shortage(&path(200_000, LimitedBy::Application), Some(2_000_000)), None);
        assert!(shortage(&path(0, LimitedBy::Application), Some(200_000)) > Some(10.0), "no room for any");
        assert_eq!(shortage(&estimate(&PathStats::default()), Some(200_000)), None, "nothing is known");
    }

    #[test]
    fn the_share_of_sound_made_up_is_of_what_a_second_holds() {
        let row =
            |came: f32, made_up: f32| PeerRow { in_sound_packets: came, concealed: made_up, ..PeerRow::default() };
        assert_eq!(concealed(&row(0.0, 0.0)), None);
        assert_eq!(concealed(&row(45.0, 5.0)), Some(0.1));
        assert_eq!(concealed(&row(0.0, 50.0)), Some(1.0));
    }
}
