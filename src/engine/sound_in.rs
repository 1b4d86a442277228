//! One peer's sound on its way in: the jitter buffer, the decoder, the stretcher, and what is played of it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::media::frame::BLOCK;
use crate::media::jitter::{Change, JitterBuffer, JitterStats, Play};
use crate::media::level::LevelMeter;
use crate::media::opus::OpusDecoder;
use crate::media::stretch::Stretcher;
use crate::protocol::media_header::AudioFrame;

/// One peer's sound. It is locked by whoever receives and by whoever plays.
pub(super) struct SoundIn {
    jitter: JitterBuffer,
    decoder: Option<OpusDecoder>,
    stretcher: Stretcher,
    meter: LevelMeter,
    volume: f32,
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
            stretcher: Stretcher::default(),
            meter: LevelMeter::default(),
            volume: 1.0,
        }
    }

    pub(super) fn set_volume(&mut self, volume: f32) {
        self.volume = volume.clamp(0.0, 2.0);
    }

    /// How long the fastest packet waits before it is played.
    pub(super) fn delay(&self) -> Duration {
        self.jitter.delay()
    }

    /// What the jitter buffer has counted so far, the delay that it aims at, and the one that it has.
    pub(super) fn figures(&self) -> (JitterStats, Duration, Duration) {
        (self.jitter.stats(), self.jitter.target(), self.jitter.delay())
    }

    /// Takes in a frame that arrived at `now`: an Opus packet, and copies of earlier ones.
    pub(super) fn push(&mut self, now: Instant, seq: u16, rtp_ts: u32, frame: &AudioFrame<'_>) {
        self.jitter.push(now, seq, rtp_ts, Bytes::copy_from_slice(frame.packet));
        for copy in frame.copies() {
            self.jitter.push_copy(seq, copy.distance, Bytes::copy_from_slice(copy.packet));
        }
    }

    /// Writes the next 20 ms to `out`; silence once `stopped`.
    pub(super) fn next_block(&mut self, now: Instant, stopped: bool, out: &mut [f32; BLOCK]) -> Played {
        let mut concealed = false;
        // One packet as a rule; none or two where earlier blocks were made longer or shorter.
        while self.stretcher.carried() < BLOCK {
            let mut block = [0.0; BLOCK];
            let mut wanted = Change::Nothing;
            match (&mut self.decoder, self.jitter.pop(now, self.stretcher.carried())) {
                (Some(decoder), Play::Packet { payload, change }) => {
                    wanted = change;
                    if let Err(error) = decoder.decode(&payload, &mut block) {
                        tracing::debug!(%error, "a packet of sound did not decode");
                    }
                }
                (Some(decoder), Play::Conceal { next }) => {
                    concealed = true;
                    decoder.conceal(next.as_deref(), &mut block);
                }
                (_, Play::Silence) | (None, _) => {}
            }
            self.stretcher.push(&block, wanted);
        }
        self.stretcher.pull(out);
        if stopped {
            out.fill(0.0);
        }
        Played { volume: self.volume, level: self.meter.handle_block(now, out), concealed }
    }
}

#[cfg(test)]
mod tests;
