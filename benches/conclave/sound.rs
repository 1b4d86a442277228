//! The voice codec, against raw Opus.

use std::hint::black_box;

use conclave::media::frame::{BLOCK, SAMPLE_RATE};
use conclave::media::opus::{BITRATE, OpusDecoder, OpusEncoder, PACKET};
use conclave::media::test_voice::TestVoice;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};

use crate::pair::Bench;

/// Blocks that are encoded over and over: four seconds of the test voice.
const BLOCKS: usize = 200;

pub(crate) fn run(bench: &mut Bench) {
    let mut voice = TestVoice::new();
    let blocks: Vec<[f32; BLOCK]> = (0..BLOCKS)
        .map(|_| {
            let mut block = [0.0; BLOCK];
            voice.next_block(&mut block);
            block
        })
        .collect();

    let mut ours = OpusEncoder::new().unwrap();
    // The settings of the app's own encoder, so that both do the same work.
    let mut raw = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).unwrap();
    raw.set_bitrate(Bitrate::Bits(BITRATE as i32)).unwrap();
    raw.set_vbr(false).unwrap();
    raw.set_dtx(false).unwrap();
    raw.set_inband_fec(true).unwrap();
    raw.set_packet_loss_perc(10).unwrap();
    let (mut packet, mut raw_packet) = (Vec::new(), [0; PACKET]);
    bench.pair_of(
        "Opus encode, 20 ms",
        "libopus, same settings",
        BLOCKS,
        || {
            for block in &blocks {
                ours.encode(block, &mut packet).unwrap();
                black_box(&packet);
            }
        },
        || {
            for block in &blocks {
                black_box(raw.encode_float(block, &mut raw_packet).unwrap());
            }
        },
    );

    let mut encoder = OpusEncoder::new().unwrap();
    let packets: Vec<Vec<u8>> = blocks
        .iter()
        .map(|block| {
            let mut packet = Vec::new();
            encoder.encode(block, &mut packet).unwrap();
            packet
        })
        .collect();
    let mut ours = OpusDecoder::new().unwrap();
    let mut raw = Decoder::new(SAMPLE_RATE, Channels::Mono).unwrap();
    let (mut out, mut raw_out) = ([0.0; BLOCK], [0.0; BLOCK]);
    bench.pair_of(
        "Opus decode, 20 ms",
        "libopus",
        BLOCKS,
        || {
            for packet in &packets {
                ours.decode(packet, &mut out).unwrap();
                black_box(&out);
            }
        },
        || {
            for packet in &packets {
                black_box(raw.decode_float(packet, &mut raw_out, false).unwrap());
            }
        },
    );
}
