//! What somebody hears over networks of all kinds, on virtual time: the built-in voice through encoder, redundancy, loss,
//! jitter buffer, decoder and stretcher, laid against the same without a network.

// Figures, for whoever runs them with --nocapture.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use super::*;
use crate::media::opus::OpusEncoder;
use crate::media::redundancy::{Redundancy, SentPackets};
use crate::media::test_voice::TestVoice;
use crate::protocol::media_header::AudioCopy;

/// Samples in one value of an envelope: 5 ms.
const GRAIN: usize = 240;
/// Envelope values in one segment: 0.5 s.
const SEGMENT: usize = 100;
/// Blocks of a run: 40 s.
const BLOCKS: usize = 2_000;

struct Seeded(u64);

impl Seeded {
    /// A number in 0..1 (splitmix64).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What a network does.
#[derive(Clone, Copy)]
struct Network {
    loss: f64,
    /// Packets lost on end, on average.
    burst: f64,
    /// Delay varies by so many milliseconds.
    jitter: f64,
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    /// Share of the blocks that were made up, after the first ten seconds.
    concealed: f64,
    /// Likeness of the loudness to that without a network, 0 to 1, segment by segment.
    alike: f64,
    /// Delay in milliseconds beyond that of the fastest packet: in the middle, and of all but one segment in twenty.
    delay: (usize, usize),
}

/// Loudness of any piece of a sound.
struct Loudness(Vec<f64>);

impl Loudness {
    fn of(sound: &[f32]) -> Self {
        let mut sum = 0.0;
        let sums = sound.iter().map(|sample| {
            sum += f64::from(*sample).powi(2);
            sum
        });
        Self(std::iter::once(0.0).chain(sums).collect())
    }

    /// The envelope of the segment that begins at this sample, in dBFS.
    fn segment(&self, from: usize) -> Vec<f64> {
        let mean = |at: usize| (self.0[at + GRAIN] - self.0[at]) / GRAIN as f64;
        (0..SEGMENT).map(|n| 10.0 * mean(from + n * GRAIN).max(1e-6).log10()).collect()
    }
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let (mut c, mut vx, mut vy) = (0.0, 1e-9, 1e-9);
    for (p, q) in x.iter().zip(y) {
        c += (p - mx) * (q - my);
        vx += (p - mx).powi(2);
        vy += (q - my).powi(2);
    }
    c / (vx * vy).sqrt()
}

fn listen(network: Network, redundancy: Redundancy, seed: u64) -> Outcome {
    let start = Instant::now();
    let at = |micros: u64| start + Duration::from_micros(micros);
    let (mut voice, mut random) = (TestVoice::new(), Seeded(seed));
    let (mut encoder, mut sent, mut packet) = (OpusEncoder::new().unwrap(), SentPackets::default(), Vec::new());
    encoder.set_expected_loss((network.loss * 100.0).ceil() as u8);
    let mut plain = OpusDecoder::new().unwrap();
    let (mut clean, mut arrivals, mut losing) = (Vec::new(), Vec::new(), false);
    for n in 0..BLOCKS as u32 {
        let (mut block, mut decoded) = ([0.0; BLOCK], [0.0; BLOCK]);
        voice.next_block(&mut block);
        encoder.encode(&block, &mut packet).unwrap();
        plain.decode(&packet, &mut decoded).unwrap();
        clean.extend_from_slice(&decoded);
        let stamp = n * BLOCK as u32;
        let mut frame = AudioFrame::new(0, &packet);
        for distance in redundancy.distances() {
            if let Some(packet) = sent.before(stamp, *distance) {
                frame.add(AudioCopy { distance: *distance, packet });
            }
        }
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        sent.push(stamp, &packet);
        let stay = 1.0 - 1.0 / network.burst;
        let begin = network.loss / network.burst / (1.0 - network.loss);
        // Independent losses follow each other by chance, too.
        let chance = if network.burst == 1.0 {
            network.loss
        } else if losing {
            stay
        } else {
            begin
        };
        losing = random.next() < chance;
        let delay = 20_000 + (network.jitter * 1_000.0 * random.next()) as u64;
        if !losing {
            arrivals.push((u64::from(n) * 20_000 + delay, n, bytes));
        }
    }
    arrivals.sort_by_key(|(when, n, _)| (*when, *n));
    let mut arrivals = arrivals.into_iter().peekable();
    let mut sound = SoundIn::new();
    let (mut heard, mut concealed) = (Vec::new(), 0);
    for n in 0..BLOCKS as u64 {
        let now = n * 20_000 + 7_000;
        while let Some((when, n, bytes)) = arrivals.next_if(|(when, ..)| *when <= now) {
            sound.push(at(when), n as u16, n * BLOCK as u32, &AudioFrame::decode(&bytes).unwrap());
        }
        let mut out = [0.0; BLOCK];
        concealed += u32::from(sound.next_block(at(now), false, &mut out).concealed && n > 500);
        heard.extend_from_slice(&out);
    }
    // Where each half second of the clean sound is found again, and how like itself.
    let (clean, heard) = (Loudness::of(&clean), Loudness::of(&heard));
    let (mut likeness, mut lags) = (Vec::new(), Vec::new());
    for from in (10 * 48_000..39 * 48_000).step_by(SEGMENT * GRAIN / 2) {
        let piece = clean.segment(from);
        if piece.iter().filter(|level| **level > -40.0).count() > SEGMENT / 2 {
            let best = |lags: &mut dyn Iterator<Item = usize>| {
                let alike = lags.map(|lag| (correlation(&piece, &heard.segment(from + lag)), lag));
                alike.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
            };
            let (_, coarse) = best(&mut (0..80).map(|lag| lag * GRAIN));
            let (alike, lag) = best(&mut (0..21).map(|n| (coarse + n * 24).saturating_sub(240)));
            likeness.push(alike);
            lags.push(lag / 48);
        }
    }
    lags.sort_unstable();
    // The fastest packet takes 20 ms and waits 7 ms for its turn.
    let delay = |share: usize| lags[lags.len() * share / 100].saturating_sub(20);
    Outcome {
        concealed: f64::from(concealed) / (BLOCKS - 501) as f64,
        alike: likeness.iter().sum::<f64>() / likeness.len() as f64,
        delay: (delay(50), delay(95)),
    }
}

fn tell(name: &str, outcome: &Outcome) {
    println!(
        "{name:<44} made up {:5.2} %  alike {:.3}  delay {} ms ({} ms)",
        outcome.concealed * 100.0,
        outcome.alike,
        outcome.delay.0,
        outcome.delay.1
    );
}

#[test]
fn over_a_quiet_network_nothing_is_made_up_and_little_is_waited_for() {
    let outcome = listen(Network { loss: 0.0, burst: 1.0, jitter: 0.0 }, Redundancy::Off, 1);
    tell("no loss, no jitter", &outcome);
    assert_eq!(outcome.concealed, 0.0);
    assert!(outcome.alike > 0.99, "{outcome:?}");
    assert!(outcome.delay.1 <= 50, "{outcome:?}");
}

#[test]
fn jitter_alone_is_not_heard() {
    let outcome = listen(Network { loss: 0.0, burst: 1.0, jitter: 60.0 }, Redundancy::Off, 2);
    tell("no loss, jitter 60 ms", &outcome);
    assert!(outcome.concealed <= 0.002, "{outcome:?}");
    assert!(outcome.alike > 0.97, "{outcome:?}");
    assert!(outcome.delay.1 <= 110, "{outcome:?}");
}

#[test]
fn bursts_of_three_percent_are_nearly_inaudible_with_a_copy() {
    let network = Network { loss: 0.03, burst: 2.0, jitter: 20.0 };
    let (without, with) = (listen(network, Redundancy::Off, 3), listen(network, Redundancy::One, 3));
    tell("3 % in bursts of 2, jitter 20 ms, no copy", &without);
    tell("3 % in bursts of 2, jitter 20 ms, one copy", &with);
    assert!(without.concealed > 0.02 && with.concealed <= 0.015, "{with:?}");
    assert!(with.alike > without.alike && with.alike > 0.97, "{with:?}");
    assert!(with.delay.1 <= 130, "{with:?}");
}

#[test]
fn five_percent_of_loss_are_nearly_inaudible_with_a_copy() {
    let network = Network { loss: 0.05, burst: 1.0, jitter: 20.0 };
    let with = listen(network, Redundancy::One, 4);
    tell("5 % at random, jitter 20 ms, one copy", &with);
    assert!(with.concealed <= 0.01, "{with:?}");
    assert!(with.alike > 0.97, "{with:?}");
}

#[test]
fn ten_percent_of_loss_are_nearly_inaudible_with_two_copies() {
    for (name, network) in [
        ("10 % at random, no jitter, two copies", Network { loss: 0.1, burst: 1.0, jitter: 0.0 }),
        ("10 % at random, jitter 60 ms, two copies", Network { loss: 0.1, burst: 1.0, jitter: 60.0 }),
        ("10 % in bursts of 2, jitter 20 ms, two", Network { loss: 0.1, burst: 2.0, jitter: 20.0 }),
    ] {
        let (without, with) = (listen(network, Redundancy::Off, 5), listen(network, Redundancy::Two, 5));
        tell(&format!("{name} (none)"), &without);
        tell(name, &with);
        assert!(with.concealed <= if network.burst > 1.0 { 0.02 } else { 0.01 }, "{name}: {with:?}");
        assert!(with.alike > 0.97, "{name}: {with:?}");
        assert!(with.delay.1 <= 180, "{name}: {with:?}");
    }
}
