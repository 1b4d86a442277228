//! Own sound on its way out: measured, silenced when muted, encoded, and handed to the [`Outbox`].

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::engine::lock;
use crate::engine::outbox::Outbox;
use crate::media::frame::{BLOCK, SAMPLE_RATE};
use crate::media::level::LevelMeter;
use crate::media::opus::OpusEncoder;
use crate::protocol::media_header::AudioHeader;

/// Level, on the meter's scale, above which sound may be speech.
const SPEECH: f32 = 0.55;
/// Where the count of speech-like blocks is full: 25 blocks (half a second) at six each.
const SPOKEN_FULL: u32 = 150;

/// What the microphone's thread and the window both look at.
#[derive(Default)]
pub(crate) struct MicMonitor {
    /// Not muted.
    on: AtomicBool,
    level: AtomicU32,
    silent: AtomicBool,
    speaking_muted: AtomicBool,
}

impl MicMonitor {
    /// Unmutes or mutes. The block being captured is the last of the old state.
    pub(crate) fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Release);
    }

    /// Loudness now, 0..=1, whether muted or not.
    pub(crate) fn level(&self) -> f32 {
        f32::from_bits(self.level.load(Ordering::Relaxed))
    }

    /// The device has delivered nothing but zeros for some seconds.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Somebody speaks into a muted microphone.
    pub(crate) fn is_speaking_muted(&self) -> bool {
        self.speaking_muted.load(Ordering::Relaxed)
    }

    /// Forgets what an earlier device delivered.
    pub(crate) fn reset(&self) {
        self.level.store(0, Ordering::Relaxed);
        self.silent.store(false, Ordering::Relaxed);
        self.speaking_muted.store(false, Ordering::Relaxed);
    }
}

/// Where sound goes once somebody is there to hear it. It can be changed while the microphone runs.
#[derive(Clone, Default)]
pub(crate) struct SoundOutlet(Arc<Mutex<Option<Arc<Outbox>>>>);

impl SoundOutlet {
    pub(crate) fn set(&self, outbox: Option<Arc<Outbox>>) {
        *lock(&self.0) = outbox;
    }
}

/// What happens to each block of sound from the microphone: measured, silenced when muted, encoded, sealed, sent.
///
/// While muted, packets of silence go out at the same cadence and of the same size, so that nobody who counts
/// packets learns who speaks.
pub(crate) struct AudioSender {
    monitor: Arc<MicMonitor>,
    outlet: SoundOutlet,
    encoder: Option<OpusEncoder>,
    meter: LevelMeter,
    /// Blocks of speech-like loudness while muted, less those of silence.
    spoken: u32,
    packet: Vec<u8>,
    plaintext: Vec<u8>,
    clock: BlockClock,
}

/// RTP time of consecutive blocks: it counts samples, and leaps only when capture has paused.
#[derive(Default)]
struct BlockClock {
    next: Option<u32>,
}

impl BlockClock {
    /// The stamp of a block captured at `millis`.
    fn stamp(&mut self, millis: u32) -> u32 {
        let wall = millis.wrapping_mul(SAMPLE_RATE / 1000);
        let stamp = match self.next {
            // A thread that wakes late delivers two blocks at once: that is no pause.
            Some(next) if wall.wrapping_sub(next) as i32 <= (SAMPLE_RATE / 10) as i32 => next,
            _ => wall,
        };
        self.next = Some(stamp.wrapping_add(BLOCK as u32));
        stamp
    }
}

impl AudioSender {
    /// While `outlet` leads nowhere, as in a preview, sound is measured and goes nowhere.
    pub(crate) fn new(monitor: Arc<MicMonitor>, outlet: SoundOutlet) -> Self {
        let encoder =
            OpusEncoder::new().inspect_err(|error| tracing::error!(%error, "no Opus encoder: no sound is sent")).ok();
        Self {
            monitor,
            outlet,
            encoder,
            meter: LevelMeter::default(),
            spoken: 0,
            packet: Vec::new(),
            plaintext: Vec::new(),
            clock: BlockClock::default(),
        }
    }

    /// Half a second of loud sound while muted is somebody speaking; three seconds of quiet end it.
    fn notice_speech_while_muted(&mut self) {
        let muted = !self.monitor.on.load(Ordering::Acquire);
        self.spoken = match muted && self.meter.value() > SPEECH {
            true => (self.spoken + 6).min(SPOKEN_FULL),
            false if muted => self.spoken.saturating_sub(1),
            false => 0,
        };
        let noticed = self.monitor.speaking_muted.load(Ordering::Relaxed);
        let speaks = if noticed { self.spoken > 0 } else { self.spoken >= SPOKEN_FULL };
        self.monitor.speaking_muted.store(speaks, Ordering::Relaxed);
    }

    /// Takes the next 20 ms.
    pub(crate) fn handle_block(&mut self, block: &[f32; BLOCK]) {
        let now = Instant::now();
        self.monitor.level.store(self.meter.handle_block(now, block).to_bits(), Ordering::Relaxed);
        self.monitor.silent.store(self.meter.is_dead(), Ordering::Relaxed);
        self.notice_speech_while_muted();
        let Some(outbox) = lock(&self.outlet.0).clone() else { return };
        let Some(encoder) = &mut self.encoder else { return };
        if !outbox.anyone_listens() {
            return;
        }
        let on = self.monitor.on.load(Ordering::Acquire);
        let heard = if on { block } else { &[0.0; BLOCK] };
        if let Err(error) = encoder.encode(heard, &mut self.packet) {
            tracing::warn!(%error, "a block of sound could not be encoded");
            return;
        }
        let millis = outbox.millis(now);
        AudioHeader { capture_ms: millis }.encode(&self.packet, &mut self.plaintext);
        outbox.send_audio(&self.plaintext, self.clock.stamp(millis));
    }
}
