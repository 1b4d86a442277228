//! One peer's sound on its way in: the jitter buffer, the decoder, and what is played of it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::media::frame::BLOCK;
use crate::media::jitter::{JitterBuffer, JitterStats, Play};
use crate::media::level::{self, LevelMeter};
use crate::media::opus::OpusDecoder;

/// One peer's sound. It is locked by whoever receives and by whoever plays.
pub(super) struct SoundIn {
    jitter: JitterBuffer,
    decoder: Option<OpusDecoder>,
    meter: LevelMeter,
    volume: f32,
    quiet: bool,
}

/// What a block turned out to be.
pub(super) struct Played {
    /// Volume to play it at.
    pub(super) volume: f32,
    /// How loud it is, 0..=1.
    pub(super) level: f32,
    /// It was made up for one that is missing.
    pub(super) concealed: bool,
}

impl SoundIn {
    pub(super) fn new() -> Self {
        Self {
            jitter: JitterBuffer::default(),
            decoder: OpusDecoder::new().inspect_err(|error| tracing::error!(%error, "no Opus decoder")).ok(),
            meter: LevelMeter::default(),
            volume: 1.0,
            quiet: true,
        }
    }

    pub(super) fn set_volume(&mut self, volume: f32) {
        self.volume = volume.clamp(0.0, 2.0);
    }

    /// What the jitter buffer has counted so far, the delay that it aims at, and the one that it has.
    pub(super) fn figures(&self) -> (JitterStats, Duration, Duration) {
        (self.jitter.stats(), self.jitter.target(), self.jitter.delay())
    }

    /// Takes in one Opus packet that arrived at `now`.
    pub(super) fn push(&mut self, now: Instant, seq: u16, rtp_ts: u32, packet: &[u8]) {
        self.jitter.push(now, seq, rtp_ts, Bytes::copy_from_slice(packet));
    }

    /// Writes the next 20 ms to `out`; silence once `stopped`.
    pub(super) fn next_block(&mut self, now: Instant, stopped: bool, out: &mut [f32; BLOCK]) -> Played {
        let mut concealed = false;
        match (&mut self.decoder, self.jitter.pop(now, self.quiet)) {
            (Some(decoder), Play::Packet(packet)) => {
                if let Err(error) = decoder.decode(&packet, out) {
                    tracing::debug!(%error, "a packet of sound did not decode");
                }
            }
            (Some(decoder), Play::Conceal { next }) => {
                concealed = true;
                decoder.conceal(next.as_deref(), out);
            }
            (_, Play::Silence) | (None, _) => out.fill(0.0),
        }
        if stopped {
            out.fill(0.0);
        }
        self.quiet = level::is_quiet(out);
        Played { volume: self.volume, level: self.meter.handle_block(now, out), concealed }
    }
}
