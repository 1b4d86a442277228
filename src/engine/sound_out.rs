//! Own sound on its way out: processed, measured, silenced when muted, encoded, and handed to the [`Outbox`].

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::engine::hear_myself::Mirror;
use crate::engine::lock;
use crate::engine::outbox::Outbox;
use crate::media::frame::{BLOCK, SAMPLE_RATE};
use crate::media::level::LevelMeter;
use crate::media::opus::{OpusEncoder, PACKET};
use crate::media::processing::{EchoReference, Processing, SoundProcessor};
use crate::media::redundancy::{Redundancy, SentPackets};
use crate::protocol::media_header::{AudioCopy, AudioFrame};
use crate::settings::Sound;

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
    unprocessed: AtomicBool,
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

    /// Processing has failed, and sound goes out as the device delivers it. True once for each time it failed.
    pub(crate) fn take_unprocessed(&self) -> bool {
        self.unprocessed.swap(false, Ordering::Relaxed)
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

/// What the person has chosen for the own sound. It can be changed while the microphone runs.
pub(crate) struct SoundSwitches(AtomicU8);

impl Default for SoundSwitches {
    fn default() -> Self {
        let switches = Self(AtomicU8::new(0));
        switches.set(&Sound::default());
        switches
    }
}

impl SoundSwitches {
    pub(crate) fn set(&self, sound: &Sound) {
        let bits = [sound.echo_cancellation, sound.noise_suppression, sound.automatic_gain, sound.constant_bitrate];
        let byte = bits.iter().enumerate().map(|(n, on)| u8::from(*on) << n).sum();
        self.0.store(byte, Ordering::Relaxed);
    }

    fn is_on(&self, bit: u8) -> bool {
        (self.0.load(Ordering::Relaxed) >> bit) & 1 == 1
    }

    fn processing(&self) -> Processing {
        Processing { echo: self.is_on(0), noise: self.is_on(1), gain: self.is_on(2) }
    }

    fn constant_bitrate(&self) -> bool {
        self.is_on(3)
    }
}

/// What every opening of a microphone shares with the window and with the speaker's side.
#[derive(Clone, Default)]
pub(crate) struct SoundLine {
    pub(crate) monitor: Arc<MicMonitor>,
    pub(crate) outlet: SoundOutlet,
    pub(crate) switches: Arc<SoundSwitches>,
    /// What the speaker plays.
    pub(crate) reference: EchoReference,
    /// Where the person hears what others would.
    pub(crate) mirror: Arc<Mirror>,
}

impl Outbox {
    /// How sound is to be repeated, and what loss the codec is to expect, in percent.
    fn redundancy(&self) -> (Redundancy, u8) {
        let losses = lock(&self.losses);
        (losses.mode(), losses.percent())
    }
}

/// What happens to each block of sound from the microphone: processed, measured, silenced when muted, encoded, sealed, sent.
///
/// While muted, packets of silence go out at the same cadence and of the same size, so that nobody who counts packets
/// learns who speaks. Processing goes on meanwhile, so that it knows the room when the person unmutes.
pub(crate) struct AudioSender {
    line: SoundLine,
    /// Files and the built-in voice are sent as they are: there is no room around them, and what is measured by them is
    /// the rest of the way.
    processor: Option<SoundProcessor>,
    encoder: Option<OpusEncoder>,
    /// As the device delivers it: a dead one is known by that.
    raw: LevelMeter,
    /// As others would hear it.
    meter: LevelMeter,
    /// Blocks of speech-like loudness while muted, less those of silence.
    spoken: u32,
    packet: Vec<u8>,
    plaintext: Vec<u8>,
    clock: BlockClock,
    sent: SentPackets,
    /// Who was there, and at which rate, when `sent` began.
    sent_to: (u64, bool),
    told: bool,
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
    /// While the line's outlet leads nowhere, as in a preview, sound is measured and goes nowhere. `in_a_room`: it comes
    /// from a device, and is processed.
    pub(crate) fn new(line: SoundLine, in_a_room: bool) -> Self {
        let encoder =
            OpusEncoder::new().inspect_err(|error| tracing::error!(%error, "no Opus encoder: no sound is sent")).ok();
        line.reference.clear();
        Self {
            processor: in_a_room.then(|| SoundProcessor::new(line.switches.processing())),
            line,
            encoder,
            raw: LevelMeter::default(),
            meter: LevelMeter::default(),
            spoken: 0,
            packet: Vec::new(),
            plaintext: Vec::new(),
            clock: BlockClock::default(),
            sent: SentPackets::default(),
            sent_to: (0, true),
            told: false,
        }
    }

    /// Takes out echo and noise, and evens the level.
    fn process(&mut self, block: &mut [f32; BLOCK]) {
        let Some(processor) = &mut self.processor else { return };
        processor.set(self.line.switches.processing());
        while let Some(played) = self.line.reference.take() {
            processor.handle_far(&played);
        }
        processor.process(block);
        if processor.is_broken() && !self.told {
            self.told = true;
            self.line.monitor.unprocessed.store(true, Ordering::Relaxed);
            tracing::error!("sound processing failed: sound goes out as it comes from the device");
        }
    }

    /// Half a second of loud sound while muted is somebody speaking; three seconds of quiet end it.
    fn notice_speech_while_muted(&mut self) {
        let muted = !self.line.monitor.on.load(Ordering::Acquire);
        self.spoken = match muted && self.meter.value() > SPEECH {
            true => (self.spoken + 6).min(SPOKEN_FULL),
            false if muted => self.spoken.saturating_sub(1),
            false => 0,
        };
        let noticed = self.line.monitor.speaking_muted.load(Ordering::Relaxed);
        let speaks = if noticed { self.spoken > 0 } else { self.spoken >= SPOKEN_FULL };
        self.line.monitor.speaking_muted.store(speaks, Ordering::Relaxed);
    }

    /// Takes the next 20 ms.
    pub(crate) fn handle_block(&mut self, block: &[f32; BLOCK]) {
        let now = Instant::now();
        self.raw.handle_block(now, block);
        let mut sound = *block;
        self.process(&mut sound);
        let monitor = &self.line.monitor;
        monitor.level.store(self.meter.handle_block(now, &sound).to_bits(), Ordering::Relaxed);
        monitor.silent.store(self.raw.is_dead(), Ordering::Relaxed);
        self.line.mirror.handle_block(&sound, self.meter.value());
        self.notice_speech_while_muted();
        if !self.line.monitor.on.load(Ordering::Acquire) {
            sound = [0.0; BLOCK];
        }
        self.send(now, &sound);
    }

    fn send(&mut self, now: Instant, sound: &[f32; BLOCK]) {
        let Some(outbox) = lock(&self.line.outlet.0).clone() else { return };
        let Some(encoder) = &mut self.encoder else { return };
        if !outbox.anyone_listens() {
            return;
        }
        let constant = self.line.switches.constant_bitrate();
        let (redundancy, loss) = outbox.redundancy();
        // Nobody gets what was said before they were let in, not even 60 ms of it.
        let sent_to = (outbox.audience.load(Ordering::Acquire), constant);
        if sent_to != self.sent_to {
            self.sent_to = sent_to;
            self.sent.clear();
        }
        encoder.set_constant(constant);
        encoder.set_expected_loss(loss);
        if let Err(error) = encoder.encode(sound, &mut self.packet) {
            tracing::warn!(%error, "a block of sound could not be encoded");
            return;
        }
        let millis = outbox.millis(now);
        let stamp = self.clock.stamp(millis);
        let padding: &[u8] = if constant { &[0; PACKET] } else { &[] };
        let mut frame = AudioFrame::new(millis, &self.packet);
        for distance in redundancy.distances() {
            frame.add(match self.sent.before(stamp, *distance) {
                Some(packet) => AudioCopy { distance: *distance, packet },
                None => AudioCopy { distance: 0, packet: padding },
            });
        }
        frame.encode(&mut self.plaintext);
        outbox.send_audio(&self.plaintext, stamp);
        self.sent.push(stamp, &self.packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::secret::Secret;
    use crate::crypto::sender_keys::SenderKey;
    use crate::engine::outbox::PathInlet;
    use crate::media::level::dbfs;
    use crate::media::test_voice::TestVoice;

    fn line(outbox: &Arc<Outbox>) -> SoundLine {
        let line = SoundLine::default();
        line.outlet.set(Some(outbox.clone()));
        line.monitor.set_on(true);
        line
    }

    fn keyed() -> (Arc<Outbox>, PathInlet) {
        let outbox = Arc::new(Outbox::new([1; 32], Instant::now()));
        outbox.use_key(1, &SenderKey { generation: 1, base: Secret::new([2; 32]) });
        let inlet = outbox.add(7);
        (outbox, inlet)
    }

    /// Sizes of the sealed packets of so many blocks of speech.
    fn sizes(sender: &mut AudioSender, voice: &mut TestVoice, inlet: &mut PathInlet, blocks: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        for _ in 0..blocks {
            let mut block = [0.0; BLOCK];
            voice.next_block(&mut block);
            sender.handle_block(&block);
            sizes.extend(std::iter::from_fn(|| inlet.audio.try_recv().ok()).map(|packet| packet.sealed.len()));
        }
        assert_eq!(sizes.len(), blocks, "one packet for each block, whatever happens");
        sizes
    }

    #[test]
    fn the_size_of_a_packet_tells_the_networks_loss_and_nothing_of_what_is_said() {
        let (outbox, mut inlet) = keyed();
        let line = line(&outbox);
        let (mut sender, mut voice) = (AudioSender::new(line.clone(), true), TestVoice::new());
        let mut seen = Vec::new();
        for loss in [0.0, 0.04, 0.2] {
            for _ in 0..4 {
                outbox.set_loss(7, loss);
            }
            let mut all = sizes(&mut sender, &mut voice, &mut inlet, 100);
            line.monitor.set_on(false);
            all.extend(sizes(&mut sender, &mut voice, &mut inlet, 50));
            // Somebody comes, and nothing of what was said before is repeated to them: the size stays.
            outbox.add(8);
            all.extend(sizes(&mut sender, &mut voice, &mut inlet, 20));
            line.monitor.set_on(true);
            // The counter in the header of a sealed frame grows by a byte now and then, for reasons of its own.
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(most - least <= 2, "loss {loss}: {least} to {most}");
            seen.push(*least);
        }
        assert!(seen[1] >= seen[0] + PACKET && seen[2] >= seen[1] + PACKET, "{seen:?}");
    }

    #[test]
    fn sizes_vary_only_if_the_person_wants_it() {
        let (outbox, mut inlet) = keyed();
        let line = line(&outbox);
        line.switches.set(&Sound { constant_bitrate: false, ..Sound::default() });
        let (mut sender, mut voice) = (AudioSender::new(line.clone(), false), TestVoice::new());
        let varied = sizes(&mut sender, &mut voice, &mut inlet, 200);
        assert!(varied.iter().max().unwrap() - varied.iter().min().unwrap() > 20);
        line.switches.set(&Sound::default());
        let steady = sizes(&mut sender, &mut voice, &mut inlet, 100);
        assert!(steady.iter().max().unwrap() - steady.iter().min().unwrap() <= 2);
    }

    #[test]
    fn a_device_is_processed_and_a_file_is_not() {
        let heard = |in_a_room: bool| {
            let line = SoundLine::default();
            line.mirror.set_on(true);
            let mut sender = AudioSender::new(line.clone(), in_a_room);
            for n in 0..100 {
                // A fan.
                sender.handle_block(&std::array::from_fn(|k| ((n * BLOCK + k) as f32 * 0.05).sin() * 0.02));
            }
            // Not the meter: it falls by the clock, and the blocks come faster than that here.
            line.mirror.set_on(false);
            let mut all = Vec::new();
            let mut block = [0.0; BLOCK];
            while line.mirror.next_block(&mut block) {
                all.extend_from_slice(&block);
            }
            dbfs(&all[all.len() - 20 * BLOCK..])
        };
        assert!(heard(true) < heard(false) - 6.0, "{} {}", heard(true), heard(false));
    }
}
