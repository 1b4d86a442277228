//! The sending end of a path: estimator, pacer and retransmissions together, and what they leave for pictures.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::estimator::{Estimator, Limits};
use super::feedback::Report;
use super::pacer::{Pace, Pacer};
use super::repair::Repair;
use super::{Packet, Stream, WIRE_BYTES};
use crate::transport::fragment::{FragmentError, HEADER_LEN, MAX_PAYLOAD};

/// A target is told at least this often, and at once when it changed by a twentieth.
const TELL_EVERY: Duration = Duration::from_millis(500);
const TELL_CHANGE: f64 = 0.05;
/// Below the first, bit/s, no encoder goes, and what it sends all the same is taken from sound; from the second on there is room
/// for pictures again.
const VIDEO_STOPS: f64 = 30e3;
const VIDEO_STARTS: f64 = 45e3;
/// Set aside for our own reports, bit/s.
const REPORTS_BPS: f64 = 8e3;
/// Set aside for sound until it is measured, bit/s on the wire.
const SOUND_BPS: f64 = 50e3;
/// Retransmissions take at most this share from pictures.
const MAX_AGAIN: f64 = 0.4;
/// Bytes that sealing adds to a frame, header included.
const SEALING: f64 = 30.0;
const MAX_FPS: f64 = 30.0;
/// A sender that sends less than this share of the estimate is limited by itself.
const LIMITED_SHARE: f64 = 0.7;
/// Video counts as flowing for this long after a frame.
const FLOWING: Duration = Duration::from_secs(1);
/// And this long while the path carries none.
const STOPPED: Duration = Duration::from_secs(120);
/// A path that carries no pictures is tried with a few for so long, after this pause and longer ones: it may carry them again,
/// and sound alone does not show it.
const TRY: Duration = Duration::from_secs(1);
const TRY_AFTER: Duration = Duration::from_secs(10);
const TRY_AFTER_AT_MOST: Duration = Duration::from_secs(60);
/// When more than this waits here, the encoder is to fall below the estimate until it has left.
const WAIT: Duration = Duration::from_millis(80);
const WAIT_SHARE: f64 = 0.85;

/// What keeps a path's pictures from being better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LimitedBy {
    /// The path carries no more.
    Network,
    /// Nothing: the sender has no more to send.
    #[default]
    Application,
}

/// What a path may carry now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Encoded pictures before sealing, bit/s: sound, overheads and retransmissions are taken off already. 0: none.
    pub video_bps: u32,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Fraction of the packets lost before repair, 0 to 1.
    pub loss: f32,
}

/// Figures for statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::transport) struct Figures {
    pub(in crate::transport) target_bps: u32,
    pub(in crate::transport) estimate_bps: u32,
    pub(in crate::transport) acked_bps: u32,
    /// Time that video waits in the pacer.
    pub(in crate::transport) queue_delay: Duration,
    pub(in crate::transport) limited_by: LimitedBy,
    pub(in crate::transport) frames_dropped: u64,
}

/// A rate over windows of half a second.
#[derive(Debug, Default)]
struct Meter {
    since: Option<Instant>,
    sum: f64,
    rate: Option<f64>,
}

impl Meter {
    const WINDOW: Duration = Duration::from_millis(500);

    fn add(&mut self, now: Instant, amount: f64) {
        self.turn(now);
        self.sum += amount;
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(*self.since.get_or_insert(now));
        if passed >= Self::WINDOW {
            let rate = self.sum / passed.as_secs_f64();
            self.rate = Some(self.rate.map_or(rate, |old| (old + rate) / 2.0));
            (self.since, self.sum) = (Some(now), 0.0);
        }
    }
}

/// The sending end.
pub(in crate::transport) struct Sender {
    estimator: Estimator,
    pacer: Pacer,
    repair: Repair,
    sound: Meter,
    again: Meter,
    frames: Meter,
    all: Meter,
    last_frame: Option<Instant>,
    stopped: bool,
    /// When pictures are tried next, or since when they are; and the pause before.
    try_at: Option<Instant>,
    pause: Duration,
    told: Option<(Instant, u32)>,
}

impl Sender {
    /// `ssrcs` are those of sound, video and retransmissions.
    pub(in crate::transport) fn new(now: Instant, limits: Limits, ssrcs: [u32; 3]) -> Self {
        Self {
            estimator: Estimator::new(now, limits, ssrcs),
            pacer: Pacer::new(),
            repair: Repair::new(),
            sound: Meter::default(),
            again: Meter::default(),
            frames: Meter::default(),
            all: Meter::default(),
            last_frame: None,
            stopped: false,
            try_at: None,
            pause: TRY_AFTER,
            told: None,
        }
    }

    /// Packets take another way from now on.
    pub(in crate::transport) fn restart(&mut self, now: Instant) {
        self.estimator.restart(now);
    }

    /// Takes a sealed frame. False if too much waits already; see [`Pacer::push`].
    pub(in crate::transport) fn push_video(
        &mut self,
        now: Instant,
        sealed: Bytes,
        key: bool,
        timestamp: u32,
    ) -> Result<bool, FragmentError> {
        let taken = self.pacer.push(now, sealed, key, timestamp, self.estimator.bps())?;
        self.last_frame = Some(now);
        self.frames.add(now, 1.0);
        self.estimator.on_video(now);
        Ok(taken)
    }

    /// A packet of sound with a payload of so many bytes leaves: sound never waits.
    pub(in crate::transport) fn on_sound(&mut self, now: Instant, sequence: u16, payload: usize) {
        let bytes = payload as u32 + WIRE_BYTES;
        self.sound.add(now, f64::from(bytes));
        self.all.add(now, f64::from(bytes));
        self.pacer.on_sent(bytes);
        let probe = self.estimator.probe().map_or(0, |(number, _)| number);
        self.estimator.on_sent(now, Stream::Audio, sequence, bytes, probe);
    }

    /// The peer asks for a video packet again.
    pub(in crate::transport) fn on_missing(&mut self, now: Instant, sequence: u16) {
        self.repair.on_missing(now, sequence);
    }

    /// Takes in a report. Says the round trip it shows.
    pub(in crate::transport) fn on_report(&mut self, now: Instant, report: &Report) -> Option<Duration> {
        self.estimator.on_report(now, report)
    }

    fn pace(&self) -> Pace {
        let probe_bps = self.estimator.probe().map(|(_, rate)| rate);
        Pace { bps: self.estimator.bps(), probe_bps, window: self.estimator.window() }
    }

    /// The next packet to leave now.
    pub(in crate::transport) fn poll(&mut self, now: Instant) -> Option<Packet> {
        let probe = self.estimator.probe().map_or(0, |(number, _)| number);
        let packet = self.pacer.poll(now, self.pace(), &mut self.repair)?;
        match packet.stream {
            Stream::Video => self.repair.on_sent(&packet),
            // What fills up a probe is not sent again when the probe is over.
            _ if probe == 0 => self.again.add(now, f64::from(packet.wire_bytes())),
            _ => {}
        }
        self.all.add(now, f64::from(packet.wire_bytes()));
        self.estimator.on_sent(now, packet.stream, packet.sequence, packet.wire_bytes(), probe);
        Some(packet)
    }

    /// True when a key frame is needed because frames were left out, and there is room for it.
    pub(in crate::transport) fn key_wanted(&mut self, now: Instant) -> bool {
        self.pacer.key_wanted(now, self.estimator.bps())
    }

    fn limited(&self) -> bool {
        let sent = self.all.rate.unwrap_or(0.0) * 8.0;
        self.pacer.waiting() == 0 && sent < self.estimator.bps() * LIMITED_SHARE
    }

    /// Does what time brings about.
    pub(in crate::transport) fn handle_timeout(&mut self, now: Instant) {
        for meter in [&mut self.sound, &mut self.again, &mut self.frames, &mut self.all] {
            meter.turn(now);
        }
        // A sender that was told to send no video would send some, if it could.
        let pause = if self.stopped { STOPPED } else { FLOWING };
        let flowing = self.last_frame.is_some_and(|at| now.saturating_duration_since(at) < pause);
        self.estimator.handle_timeout(now, flowing, self.limited());
    }

    /// When [`Self::handle_timeout`] and [`Self::poll`] have something to do.
    pub(in crate::transport) fn poll_timeout(&self) -> Option<Instant> {
        let pacer = self.pacer.poll_timeout(self.pace(), &self.repair);
        [pacer, self.estimator.poll_timeout()].into_iter().flatten().min()
    }

    fn video_bps(&mut self, now: Instant) -> u32 {
        let sound = self.sound.rate.map_or(SOUND_BPS, |rate| rate * 8.0);
        let wire = self.estimator.bps() - sound - REPORTS_BPS;
        let again = wire - (self.again.rate.unwrap_or(0.0) * 8.0).min(wire * MAX_AGAIN);
        // A frame ends, on average, in the middle of a packet.
        let packet = f64::from(WIRE_BYTES) + HEADER_LEN as f64;
        let body = (MAX_PAYLOAD - HEADER_LEN) as f64;
        let fps = self.frames.rate.unwrap_or(MAX_FPS).clamp(1.0, MAX_FPS);
        let bytes = (again / 8.0 - fps * (SEALING + packet / 2.0)) / (1.0 + packet / body);
        let mut bps = bytes.max(0.0) * 8.0;
        if self.pacer.wait(self.estimator.bps()) > WAIT {
            bps *= WAIT_SHARE;
        }
        self.stopped = bps < if self.stopped { VIDEO_STARTS } else { VIDEO_STOPS };
        if !self.stopped {
            (self.try_at, self.pause) = (None, TRY_AFTER);
            return bps as u32;
        }
        let begins = *self.try_at.get_or_insert(now + self.pause);
        if now < begins {
            return 0;
        }
        if now < begins + TRY {
            return VIDEO_STARTS as u32;
        }
        self.pause = (self.pause * 2).min(TRY_AFTER_AT_MOST);
        self.try_at = Some(now + self.pause);
        0
    }

    /// The target, when it is time to tell it.
    pub(in crate::transport) fn target(&mut self, now: Instant) -> Option<Target> {
        let video_bps = self.video_bps(now);
        let due = self.told.is_none_or(|(at, told)| {
            let changed = (f64::from(video_bps) - f64::from(told)).abs() > f64::from(told) * TELL_CHANGE;
            changed || now.saturating_duration_since(at) >= TELL_EVERY
        });
        if !due {
            return None;
        }
        self.told = Some((now, video_bps));
        Some(Target { video_bps, rtt: self.estimator.rtt(), loss: self.estimator.loss() as f32 })
    }

    /// Fraction of the packets lost of late, 0 to 1.
    pub(in crate::transport) fn loss(&self) -> f32 {
        self.estimator.loss() as f32
    }

    /// How things stand.
    pub(in crate::transport) fn figures(&self) -> Figures {
        Figures {
            target_bps: self.told.map_or(0, |(_, bps)| bps),
            estimate_bps: self.estimator.bps() as u32,
            acked_bps: self.estimator.acked_bps().unwrap_or(0.0) as u32,
            queue_delay: self.pacer.wait(self.estimator.bps()),
            limited_by: if self.limited() { LimitedBy::Application } else { LimitedBy::Network },
            frames_dropped: self.pacer.dropped(),
        }
    }

    #[cfg(test)]
    pub(super) fn estimator(&self) -> &Estimator {
        &self.estimator
    }
}
