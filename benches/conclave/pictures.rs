//! The codec, the conversions and the fragments, against raw OpenH264 and plain loops.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conclave::media::convert::{PixelLayout, RawPicture, to_picture, to_rgba_into};
use conclave::media::frame::Picture;
use conclave::media::h264::{H264Decoder, H264Encoder, good_bitrate};
use conclave::media::test_picture::TestPicture;
use conclave::transport::fragment::{MAX_PAYLOAD, split};
use conclave::transport::reassembly::Reassembler;
use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::{YUVSlices, YUVSource};
use openh264::{OpenH264API, Timestamp};

use crate::pair::Bench;

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const FPS: u32 = 30;
/// Pictures that are encoded over and over: a second of the moving test picture.
const PICTURES: usize = 30;

pub(crate) fn run(bench: &mut Bench) {
    let scene = TestPicture::new(1, WIDTH, HEIGHT);
    let pictures: Vec<Picture> =
        (0..PICTURES).map(|number| scene.draw(Duration::from_millis(number as u64 * 33))).collect();
    encode(bench, &pictures);
    decode(bench, &pictures);
    from_camera(bench);
    to_window(bench, &pictures[0]);
    fragments(bench, "picture, 8 kB", 8_000);
    fragments(bench, "key picture, 60 kB", 60_000);
}

/// The settings of the app's own encoder, so that both do the same work.
fn raw_encoder() -> Encoder {
    let config = EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        .rate_control_mode(RateControlMode::Bitrate)
        .bitrate(BitRate::from_bps(good_bitrate(WIDTH, HEIGHT, FPS)))
        .max_frame_rate(FrameRate::from_hz(FPS as f32))
        .skip_frames(false)
        .scene_change_detect(false)
        .intra_frame_period(IntraFramePeriod::from_num_frames(0))
        .num_threads(1)
        .vui(VuiConfig::bt709());
    Encoder::with_api_config(OpenH264API::from_source(), config).unwrap()
}

fn encode(bench: &mut Bench, pictures: &[Picture]) {
    let mut ours = H264Encoder::new(WIDTH, HEIGHT, FPS, good_bitrate(WIDTH, HEIGHT, FPS)).unwrap();
    let mut raw = raw_encoder();
    let (mut number, mut raw_number) = (0, 0);
    bench.pair_of(
        "H.264 encode, 720p",
        "openh264, same settings",
        PICTURES,
        || {
            for picture in pictures {
                black_box(ours.encode(picture, false, number * 33).unwrap());
                number += 1;
            }
        },
        || {
            for picture in pictures {
                let planes = (&picture.y[..], &picture.u[..], &picture.v[..]);
                let source = YUVSlices::new(planes, (WIDTH, HEIGHT), (WIDTH, WIDTH / 2, WIDTH / 2));
                let stream = raw.encode_at(&source, Timestamp::from_millis(raw_number * 33)).unwrap();
                black_box(stream.to_vec());
                raw_number += 1;
            }
        },
    );
}

fn decode(bench: &mut Bench, pictures: &[Picture]) {
    if !bench.wants("H.264 decode, 720p") {
        return;
    }
    let mut encoder = H264Encoder::new(WIDTH, HEIGHT, FPS, good_bitrate(WIDTH, HEIGHT, FPS)).unwrap();
    // The stream begins with a key frame, and so does every round through it.
    let stream: Vec<Vec<u8>> = (0..)
        .zip(pictures)
        .map(|(number, picture)| {
            let encoded = encoder.encode(picture, number == 0, number * 33);
            encoded.unwrap().expect("the encoder skips nothing").data
        })
        .collect();
    let mut ours = H264Decoder::new();
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let mut raw = Decoder::with_api_config(OpenH264API::from_source(), config).unwrap();
    bench.pair_of(
        "H.264 decode, 720p, into planes of our own",
        "openh264, planes left in the decoder",
        PICTURES,
        || {
            for unit in &stream {
                black_box(ours.decode(unit).unwrap());
            }
        },
        || {
            for unit in &stream {
                if let Some(decoded) = raw.decode(unit).unwrap() {
                    black_box(decoded.y().len());
                }
            }
        },
    );
}

/// Weights of red and blue in luma: BT.601 (cameras), BT.709 (720 lines and more).
const CAMERA: (f32, f32) = (0.299, 0.114);
const HD: (f32, f32) = (0.2126, 0.0722);

/// R, G, B in 0–1 of limited-range Y, Cb, Cr, straight from the definition (ITU-T H.273 §8.3).
fn rgb(y: u8, cb: u8, cr: u8, (red, blue): (f32, f32)) -> [f32; 3] {
    let y = (f32::from(y) - 16.0) / 219.0;
    let (cb, cr) = ((f32::from(cb) - 128.0) / 224.0, (f32::from(cr) - 128.0) / 224.0);
    let (r, b) = (y + 2.0 * (1.0 - red) * cr, y + 2.0 * (1.0 - blue) * cb);
    [r, (y - red * r - blue * b) / (1.0 - red - blue), b]
}

fn yuv([r, g, b]: [f32; 3], (red, blue): (f32, f32)) -> [u8; 3] {
    let y = red * r + (1.0 - red - blue) * g + blue * b;
    let (cb, cr) = ((b - y) / (2.0 * (1.0 - blue)), (r - y) / (2.0 * (1.0 - red)));
    [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr].map(|value| value.round().clamp(0.0, 255.0) as u8)
}

fn from_camera(bench: &mut Bench) {
    let yuyv: Vec<u8> = (0..WIDTH * HEIGHT * 2).map(|at| (at * 7 + at / 2560) as u8).collect();
    let now = Instant::now();
    let mut plain = Picture::black(WIDTH, HEIGHT, now);
    bench.pair(
        "YUYV to I420 with BT.601 to BT.709, 720p",
        "plain loop by the definition",
        || {
            let raw = RawPicture { layout: PixelLayout::Yuyv, width: WIDTH, height: HEIGHT, data: black_box(&yuyv) };
            black_box(to_picture(raw, now).unwrap());
        },
        || {
            let yuyv = black_box(&yuyv);
            for row in (0..HEIGHT).step_by(2) {
                for pair in 0..WIDTH / 2 {
                    let upper = (row * WIDTH + pair * 2) * 2;
                    let lower = upper + WIDTH * 2;
                    let cb = yuyv[upper + 1].midpoint(yuyv[lower + 1]);
                    let cr = yuyv[upper + 3].midpoint(yuyv[lower + 3]);
                    for (from, to) in [(upper, row * WIDTH), (lower, (row + 1) * WIDTH)] {
                        for x in 0..2 {
                            let [y, u, v] = yuv(rgb(yuyv[from + x * 2], cb, cr, CAMERA), HD);
                            plain.y[to + pair * 2 + x] = y;
                            plain.u[row / 2 * WIDTH / 2 + pair] = u;
                            plain.v[row / 2 * WIDTH / 2 + pair] = v;
                        }
                    }
                }
            }
            black_box(&plain);
        },
    );
}

fn to_window(bench: &mut Bench, picture: &Picture) {
    let (mut ours, mut plain) = (Vec::new(), vec![255; WIDTH * HEIGHT * 4]);
    bench.pair(
        "I420 to RGBA, 720p",
        "plain loop by the definition",
        || {
            to_rgba_into(black_box(picture), &mut ours).unwrap();
            black_box(&ours);
        },
        || {
            let picture = black_box(picture);
            for row in 0..HEIGHT {
                for x in 0..WIDTH {
                    let chroma = row / 2 * WIDTH / 2 + x / 2;
                    let pixel = rgb(picture.y[row * WIDTH + x], picture.u[chroma], picture.v[chroma], HD);
                    for (to, from) in plain[(row * WIDTH + x) * 4..].iter_mut().zip(pixel) {
                        *to = (from * 255.0).round().clamp(0.0, 255.0) as u8;
                    }
                }
            }
            black_box(&plain);
        },
    );
}

fn fragments(bench: &mut Bench, what: &str, size: usize) {
    let frame = vec![0x67; size];
    let now = Instant::now();
    let (mut reassembler, mut number, mut out) = (Reassembler::new(), 0_u16, Vec::new());
    bench.pair(
        &format!("cut up and put together, {what}"),
        "copies into packets and back",
        || {
            out.clear();
            split(black_box(&frame), false, number, MAX_PAYLOAD, &mut out).unwrap();
            for payload in &out {
                reassembler.push(now, payload, u32::from(number) * 3000).unwrap();
            }
            let whole = reassembler.poll().expect("nothing was lost");
            assert_eq!(whole.data.len(), frame.len());
            number = number.wrapping_add(1);
        },
        || {
            let packets: Vec<Bytes> = black_box(&frame).chunks(MAX_PAYLOAD).map(Bytes::copy_from_slice).collect();
            let mut whole = Vec::with_capacity(size);
            packets.iter().for_each(|packet| whole.extend_from_slice(packet));
            assert_eq!(black_box(whole).len(), frame.len());
        },
    );
}
