//! Opus, at a constant bit rate unless somebody asks for the other (RFC 6716, RFC 7587).
//!
//! A variable rate tells whoever watches the packets when a person speaks, and with patience what they say. At the
//! constant rate every packet has the same size: no discontinuous transmission, and in-band forward error correction inside
//! the same budget. At a variable rate the pace stays the same and the sizes follow what is said.

use ::opus::{Application, Bitrate, Channels, Decoder, Encoder};

use super::frame::{BLOCK, SAMPLE_RATE};

/// Bits a second.
pub const BITRATE: u32 = 32_000;
/// Bytes of every packet: 20 ms at [`BITRATE`].
pub const PACKET: usize = 80;
/// The longest packet that may come from another implementation (RFC 6716 §3.4: one frame of 1275 bytes and its TOC).
pub const MAX_PACKET: usize = 1276;
/// The longest packet at a variable rate, in bytes: with two copies it still fits into one datagram.
pub const LONGEST: usize = 240;
/// How much loss the redundancy in the packets is dimensioned for until [`OpusEncoder::set_expected_loss`], in percent.
const EXPECTED_LOSS: u8 = 10;

/// Why a block could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpusError {
    /// The codec could not be set up.
    #[error("the opus codec did not start")]
    Start,
    /// The encoder refused a block.
    #[error("opus could not encode a block")]
    Encode,
    /// A packet is not Opus, is empty or too long.
    #[error("not an opus packet")]
    Broken,
    /// A packet holds something else than one block of 20 ms.
    #[error("an opus packet of another length than 20 ms")]
    Length,
}

/// Turns blocks of 20 ms into packets, of [`PACKET`] bytes each at a constant rate.
pub struct OpusEncoder {
    inner: Encoder,
    constant: bool,
    expected_loss: u8,
}

impl OpusEncoder {
    /// An encoder for one mono voice.
    ///
    /// # Errors
    /// [`OpusError::Start`].
    pub fn new() -> Result<Self, OpusError> {
        let start = || -> ::opus::Result<Encoder> {
            let mut inner = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
            inner.set_bitrate(Bitrate::Bits(BITRATE as i32))?;
            inner.set_vbr(false)?;
            inner.set_dtx(false)?;
            inner.set_inband_fec(true)?;
            inner.set_packet_loss_perc(EXPECTED_LOSS.into())?;
            Ok(inner)
        };
        Ok(Self { inner: start().map_err(|_| OpusError::Start)?, constant: true, expected_loss: EXPECTED_LOSS })
    }

    /// Constant or variable rate, from the next block on.
    pub fn set_constant(&mut self, constant: bool) {
        if constant != self.constant && self.inner.set_vbr(!constant).is_ok() {
            self.constant = constant;
        }
    }

    /// How much loss the redundancy in the packets is to be dimensioned for, in percent, from the next block on.
    pub fn set_expected_loss(&mut self, percent: u8) {
        let percent = percent.min(100);
        if percent != self.expected_loss && self.inner.set_packet_loss_perc(percent.into()).is_ok() {
            self.expected_loss = percent;
        }
    }

    /// Encodes one block into `packet`, which is cleared first and holds exactly [`PACKET`] bytes afterwards; at a variable
    /// rate 1 to [`LONGEST`].
    ///
    /// # Errors
    /// [`OpusError::Encode`]; then `packet` is empty.
    pub fn encode(&mut self, block: &[f32; BLOCK], packet: &mut Vec<u8>) -> Result<(), OpusError> {
        packet.clear();
        packet.resize(if self.constant { PACKET } else { LONGEST }, 0);
        match self.inner.encode_float(block, packet) {
            Ok(length @ 1..) if !self.constant => {
                packet.truncate(length);
                Ok(())
            }
            // A packet of another size would leak what the constant rate hides, so it is not sent at all.
            Ok(PACKET) => Ok(()),
            _ => {
                packet.clear();
                Err(OpusError::Encode)
            }
        }
    }

    /// Samples by which the decoded sound lags behind what went in.
    pub fn lookahead(&mut self) -> usize {
        self.inner.get_lookahead().map_or(0, |samples| samples.max(0) as usize)
    }
}

/// Turns one person's packets into blocks, and makes up for those that are missing.
pub struct OpusDecoder {
    inner: Decoder,
}

impl OpusDecoder {
    /// A decoder for one mono voice. It keeps state between blocks: one for each sender.
    ///
    /// # Errors
    /// [`OpusError::Start`].
    pub fn new() -> Result<Self, OpusError> {
        Ok(Self { inner: Decoder::new(SAMPLE_RATE, Channels::Mono).map_err(|_| OpusError::Start)? })
    }

    /// Decodes one packet of exactly 20 ms.
    ///
    /// # Errors
    /// [`OpusError::Broken`] or [`OpusError::Length`]; then `out` holds silence and the decoder goes on as before.
    pub fn decode(&mut self, packet: &[u8], out: &mut [f32; BLOCK]) -> Result<(), OpusError> {
        out.fill(0.0);
        self.check(packet)?;
        match self.inner.decode_float(packet, out, false) {
            Ok(BLOCK) => Ok(()),
            _ => {
                out.fill(0.0);
                Err(OpusError::Broken)
            }
        }
    }

    /// Makes up for one missing block: from the redundancy in the packet after it, where that is at hand and carries
    /// any, else by continuing what was heard (it fades to silence within about 100 ms).
    pub fn conceal(&mut self, next: Option<&[u8]>, out: &mut [f32; BLOCK]) {
        out.fill(0.0);
        let from_next = next.filter(|packet| self.check(packet).is_ok());
        let made = match from_next {
            Some(packet) => self.inner.decode_float(packet, out, true),
            None => self.inner.decode_float(&[], out, false),
        };
        if !matches!(made, Ok(BLOCK)) {
            out.fill(0.0);
        }
    }

    fn check(&self, packet: &[u8]) -> Result<(), OpusError> {
        // An empty packet means "lost" to the library, so it must never come from outside.
        if packet.is_empty() || packet.len() > MAX_PACKET {
            return Err(OpusError::Broken);
        }
        match self.inner.get_nb_samples(packet) {
            Ok(BLOCK) => Ok(()),
            Ok(_) => Err(OpusError::Length),
            Err(_) => Err(OpusError::Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    // Figures, for whoever runs them with --nocapture.
    #![allow(clippy::print_stdout)]

    use super::*;
    use crate::media::level::dbfs;
    use crate::media::test_voice::TestVoice;

    fn speech(blocks: usize) -> Vec<[f32; BLOCK]> {
        let mut voice = TestVoice::new();
        (0..blocks)
            .map(|_| {
                let mut block = [0.0; BLOCK];
                voice.next_block(&mut block);
                block
            })
            .collect()
    }

    fn encoded(blocks: &[[f32; BLOCK]]) -> Vec<Vec<u8>> {
        let mut encoder = OpusEncoder::new().unwrap();
        blocks
            .iter()
            .map(|block| {
                let mut packet = Vec::new();
                encoder.encode(block, &mut packet).unwrap();
                packet
            })
            .collect()
    }

    /// Correlation of the loudness of 10 ms pieces: indifferent to phase, as ears mostly are.
    fn envelope_correlation(a: &[f32], b: &[f32]) -> f64 {
        let envelope = |v: &[f32]| v.chunks_exact(480).map(|c| f64::from(dbfs(c).max(-60.0))).collect::<Vec<_>>();
        let (x, y) = (envelope(a), envelope(b));
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let (mx, my) = (mean(&x), mean(&y));
        let (mut c, mut vx, mut vy) = (0.0, 0.0, 0.0);
        for (p, q) in x.iter().zip(&y) {
            c += (p - mx) * (q - my);
            vx += (p - mx).powi(2);
            vy += (q - my).powi(2);
        }
        c / (vx * vy).sqrt()
    }

    #[test]
    fn every_packet_has_the_same_size_whatever_is_said() {
        let mut encoder = OpusEncoder::new().unwrap();
        let mut packet = Vec::new();
        let mut noise = 1u32;
        let mut blocks = speech(300);
        blocks.extend([[0.0; BLOCK]; 150]);
        blocks.extend((0..100).map(|_| {
            std::array::from_fn(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 8) as f32 / 8_388_608.0 - 1.0
            })
        }));
        blocks.extend([[1.0; BLOCK], [-1.0; BLOCK], [1e-9; BLOCK]]);
        blocks.extend([[f32::NAN; BLOCK], [f32::INFINITY; BLOCK], [1e30; BLOCK]]);
        blocks.extend(speech(50));
        for (n, block) in blocks.iter().enumerate() {
            encoder.encode(block, &mut packet).unwrap();
            assert_eq!(packet.len(), PACKET, "block {n}");
        }
    }

    #[test]
    fn the_size_stays_the_same_while_the_expected_loss_changes() {
        let mut encoder = OpusEncoder::new().unwrap();
        let mut packet = Vec::new();
        for (n, block) in speech(200).iter().enumerate() {
            encoder.set_expected_loss([0, 2, 10, 20, 255][n / 40]);
            encoder.encode(block, &mut packet).unwrap();
            assert_eq!(packet.len(), PACKET, "block {n}");
        }
    }

    #[test]
    fn a_variable_rate_saves_something_and_shows_who_speaks() {
        let blocks = speech(1_500);
        let mut encoder = OpusEncoder::new().unwrap();
        encoder.set_constant(false);
        let mut packet = Vec::new();
        let (mut spoken, mut quiet) = (Vec::new(), Vec::new());
        for block in &blocks {
            encoder.encode(block, &mut packet).unwrap();
            assert!((1..=LONGEST).contains(&packet.len()));
            if dbfs(block) > -40.0 { &mut spoken } else { &mut quiet }.push(packet.len());
        }
        let mean = |sizes: &[usize]| sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
        let all = mean(&[&spoken[..], &quiet[..]].concat());
        // A listener's share: silence costs next to nothing.
        let mut silent = Vec::new();
        for _ in 0..500 {
            encoder.encode(&[0.0; BLOCK], &mut packet).unwrap();
            silent.push(packet.len());
        }
        println!(
            "{all:.1} bytes a packet: spoken {:.1}, pauses {:.1}, silence {:.1}",
            mean(&spoken),
            mean(&quiet),
            mean(&silent[50..])
        );
        assert!(all < 0.95 * PACKET as f64 && mean(&quiet) < 0.9 * mean(&spoken));
        encoder.set_constant(true);
        encoder.encode(&blocks[0], &mut packet).unwrap();
        assert_eq!(packet.len(), PACKET, "and back");
    }

    #[test]
    fn speech_survives_the_round_trip() {
        let blocks = speech(500);
        let mut encoder = OpusEncoder::new().unwrap();
        let lag = encoder.lookahead();
        let mut decoder = OpusDecoder::new().unwrap();
        let (mut heard, mut packet) = (Vec::new(), Vec::new());
        for block in &blocks {
            let mut out = [0.0; BLOCK];
            encoder.encode(block, &mut packet).unwrap();
            decoder.decode(&packet, &mut out).unwrap();
            heard.extend_from_slice(&out);
        }
        let said: Vec<f32> = blocks.concat();
        let alike = envelope_correlation(&said[..said.len() - lag], &heard[lag..]);
        assert!(alike > 0.97, "{alike}");
    }

    #[test]
    fn the_next_packet_makes_up_for_a_lost_one_better_than_guessing() {
        let blocks = speech(600);
        let packets = encoded(&blocks);
        let listen = |redundant: bool| {
            let mut decoder = OpusDecoder::new().unwrap();
            let mut heard = Vec::new();
            for n in 0..packets.len() {
                let mut out = [0.0; BLOCK];
                if n % 5 == 4 {
                    decoder.conceal(packets.get(n + 1).filter(|_| redundant).map(Vec::as_slice), &mut out);
                } else {
                    decoder.decode(&packets[n], &mut out).unwrap();
                }
                heard.extend_from_slice(&out);
            }
            heard
        };
        let mut decoder = OpusDecoder::new().unwrap();
        let whole: Vec<f32> = packets
            .iter()
            .flat_map(|packet| {
                let mut out = [0.0; BLOCK];
                decoder.decode(packet, &mut out).unwrap();
                out
            })
            .collect();
        let (guessed, redundant) =
            (envelope_correlation(&whole, &listen(false)), envelope_correlation(&whole, &listen(true)));
        assert!(redundant > guessed, "{redundant} against {guessed}");
        assert!(redundant > 0.95, "{redundant}");
    }

    #[test]
    fn concealment_continues_speech_and_fades() {
        let blocks = speech(200);
        let packets = encoded(&blocks);
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = [0.0; BLOCK];
        let mut last = -120.0;
        for packet in &packets {
            decoder.decode(packet, &mut out).unwrap();
            last = dbfs(&out);
            if last > -26.0 {
                break;
            }
        }
        assert!(last > -26.0, "there is loud speech within 4 s");
        decoder.conceal(None, &mut out);
        assert!(dbfs(&out) > last - 12.0, "the first lost block is not a hole");
        for _ in 0..50 {
            decoder.conceal(None, &mut out);
        }
        assert!(dbfs(&out) < -45.0, "and it does not drone on: {}", dbfs(&out));
    }

    #[test]
    fn hostile_packets_are_refused_and_harm_nothing() {
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = [1.0; BLOCK];
        assert_eq!(decoder.decode(&[], &mut out), Err(OpusError::Broken));
        assert_eq!(out, [0.0; BLOCK]);
        assert_eq!(decoder.decode(&[0; MAX_PACKET + 1], &mut out), Err(OpusError::Broken));
        // A 60 ms SILK frame (configuration 3) and a 10 ms one (configuration 0): RFC 6716 §3.1.
        assert_eq!(decoder.decode(&[3 << 3; 40], &mut out), Err(OpusError::Length));
        assert_eq!(decoder.decode(&[0; 40], &mut out), Err(OpusError::Length));
        let mut noise = 7u32;
        for length in 1..400usize {
            let packet: Vec<u8> = (0..length)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 24) as u8
                })
                .collect();
            let _ = decoder.decode(&packet, &mut out);
            assert!(out.iter().all(|s| s.is_finite()));
            decoder.conceal(Some(&packet), &mut out);
            assert!(out.iter().all(|s| s.is_finite()));
        }
        let packets = encoded(&speech(20));
        for packet in &packets {
            decoder.decode(packet, &mut out).unwrap();
        }
    }
}
