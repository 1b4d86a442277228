//! H.264 by OpenH264: one encoder for what is sent, one decoder for each stream that comes in.
//!
//! Constrained Baseline, one slice, no periodic key frames: the first picture is one, and any picture on request. The encoder
//! never leaves out a picture to hold its bit rate; it coarsens instead. Rates may change from one picture to the next. Access units are in byte stream format (ITU-T H.264
//! Annex B), parameter sets stand before each key frame.

use std::time::Instant;

use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, RateControlMode, UsageType,
    VuiConfig,
};
use openh264::formats::{YUVSlices, YUVSource};
use openh264::{OpenH264API, Timestamp};

use super::convert::{MAX_HEIGHT, MAX_WIDTH, well_formed};
use super::frame::Picture;
use super::nal::{self, StreamError};
use super::openh264_tuning;

/// Bits a second that make a good picture of a talking head at this size and rate: about 0.07 a pixel, at least 300 kbit/s.
pub fn good_bitrate(width: usize, height: usize, fps: u32) -> u32 {
    let bits = width as u64 * height as u64 * u64::from(fps) * 72 / 1000;
    bits.clamp(300_000, 6_000_000) as u32
}

/// Why nothing was encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The picture's planes do not fit its size, or the size is out of bounds.
    #[error("the picture cannot be encoded")]
    Picture,
    /// The encoder refused.
    #[error("the h.264 encoder failed: {0}")]
    Encoder(String),
}

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// One access unit, Annex B.
    pub data: Vec<u8>,
    /// Whether decoding can begin here.
    pub key: bool,
}

/// Encodes pictures one at a time, on the calling thread.
pub struct H264Encoder {
    encoder: Encoder,
    size: (usize, usize),
    fps: u32,
    bitrate: u32,
    /// It has encoded a picture: only then can its settings be changed in the run.
    begun: bool,
    skipped: u64,
}

impl H264Encoder {
    /// An encoder for pictures of `width × height` at most `fps` times a second, aiming at `bitrate` bits a second.
    ///
    /// # Errors
    /// If the encoder cannot be made.
    pub fn new(width: usize, height: usize, fps: u32, bitrate: u32) -> Result<Self, EncodeError> {
        let (fps, bitrate) = (fps.clamp(1, 60), clamp_bitrate(bitrate));
        let encoder = build(height, fps, bitrate)?;
        Ok(Self { encoder, size: (width, height), fps, bitrate, begun: false, skipped: 0 })
    }

    /// Aims at another bit rate, in bits a second, from the next picture on. The stream goes on without a key frame.
    ///
    /// # Errors
    /// If the encoder refuses, or cannot be made; the old one then goes on.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), EncodeError> {
        let bitrate = clamp_bitrate(bitrate);
        if bitrate == self.bitrate {
            return Ok(());
        }
        if self.begun {
            openh264_tuning::set_bitrate(&mut self.encoder, bitrate).map_err(refused)?;
        } else {
            self.encoder = build(self.size.1, self.fps, bitrate)?;
        }
        self.bitrate = bitrate;
        Ok(())
    }

    /// Expects this many pictures a second from the next one on: the bit rate is shared out among them.
    ///
    /// # Errors
    /// If the encoder refuses, or cannot be made; the old one then goes on.
    pub fn set_frame_rate(&mut self, fps: u32) -> Result<(), EncodeError> {
        let fps = fps.clamp(1, 60);
        if fps == self.fps {
            return Ok(());
        }
        if self.begun {
            openh264_tuning::set_frame_rate(&mut self.encoder, fps as f32).map_err(refused)?;
        } else {
            self.encoder = build(self.size.1, fps, self.bitrate)?;
        }
        self.fps = fps;
        Ok(())
    }

    /// The bit rate aimed at.
    pub fn bitrate(&self) -> u32 {
        self.bitrate
    }

    /// Pictures that the encoder chose not to encode. Stays 0: see the module.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Encodes one picture taken at `timestamp_ms` (any origin, never going back). `force_key` makes it a key frame. A picture of
    /// another size than the one before begins anew with a key frame. `None` if the encoder skipped it.
    ///
    /// # Errors
    /// [`EncodeError::Picture`] for a malformed picture, [`EncodeError::Encoder`] if the encoder refuses.
    pub fn encode(
        &mut self,
        picture: &Picture,
        force_key: bool,
        timestamp_ms: u64,
    ) -> Result<Option<Encoded>, EncodeError> {
        if !well_formed(picture) || picture.width < 16 || picture.height < 16 {
            return Err(EncodeError::Picture);
        }
        let size = (picture.width, picture.height);
        if size != self.size {
            self.encoder = build(size.1, self.fps, self.bitrate)?;
            self.begun = false;
            self.size = size;
        }
        if force_key {
            self.encoder.force_intra_frame();
        }
        let planes = (&picture.y[..], &picture.u[..], &picture.v[..]);
        let source = YUVSlices::new(planes, size, (size.0, size.0 / 2, size.0 / 2));
        let timestamp = Timestamp::from_millis(timestamp_ms & (i64::MAX as u64));
        let stream = self.encoder.encode_at(&source, timestamp).map_err(|error| encoder_error(&error))?;
        self.begun = true;
        let key = stream.frame_type() == FrameType::IDR;
        let data = stream.to_vec();
        if data.is_empty() {
            self.skipped += 1;
            return Ok(None);
        }
        Ok(Some(Encoded { data, key }))
    }
}

fn clamp_bitrate(bitrate: u32) -> u32 {
    bitrate.clamp(30_000, 20_000_000)
}

fn refused(error: openh264_tuning::Refused) -> EncodeError {
    EncodeError::Encoder(format!("code {}", error.0))
}

fn encoder_error(error: &openh264::Error) -> EncodeError {
    EncodeError::Encoder(format!("code {}", error.native_code()))
}

fn build(height: usize, fps: u32, bitrate: u32) -> Result<Encoder, EncodeError> {
    let config = EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .complexity(Complexity::Low)
        .rate_control_mode(RateControlMode::Bitrate)
        .bitrate(BitRate::from_bps(bitrate))
        .max_frame_rate(FrameRate::from_hz(fps as f32))
        .skip_frames(false)
        // A cut in the scene must not cost a key frame that nobody asked for.
        .scene_change_detect(false)
        .intra_frame_period(IntraFramePeriod::from_num_frames(0))
        .num_threads(1)
        .vui(if height >= 720 { VuiConfig::bt709() } else { VuiConfig::bt601() });
    Encoder::with_api_config(OpenH264API::from_source(), config).map_err(|error| encoder_error(&error))
}

/// Why no picture came out of the decoder. After any of these only a key frame helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame builds on one that is missing, or nothing has been decoded yet.
    #[error("a key frame is needed")]
    NeedsKeyFrame,
    /// The decoder could not make sense of the frame.
    #[error("the frame is damaged")]
    Broken,
    /// The frame was kept from the decoder.
    #[error(transparent)]
    Refused(#[from] StreamError),
}

/// Decodes one stream, on the calling thread.
pub struct H264Decoder {
    decoder: Option<Decoder>,
    waiting: bool,
}

impl Default for H264Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl H264Decoder {
    /// A decoder that waits for a key frame.
    pub fn new() -> Self {
        Self { decoder: None, waiting: true }
    }

    /// Decodes one access unit. `None` if it was taken but gave no picture. Pictures are at most [`MAX_WIDTH`] × [`MAX_HEIGHT`].
    ///
    /// # Errors
    /// See [`DecodeError`]. Every later frame that is not a key frame gives [`DecodeError::NeedsKeyFrame`]; a key frame begins
    /// with a new decoder, so that nothing of the damage stays.
    pub fn decode(&mut self, data: &[u8]) -> Result<Option<Picture>, DecodeError> {
        let result = self.try_decode(data);
        if result.is_err() {
            self.waiting = true;
            self.decoder = None;
        }
        result
    }

    fn try_decode(&mut self, data: &[u8]) -> Result<Option<Picture>, DecodeError> {
        let unit = match nal::inspect(data) {
            Ok(unit) => unit,
            Err(_) if self.waiting => return Err(DecodeError::NeedsKeyFrame),
            Err(error) => return Err(error.into()),
        };
        if self.waiting && !unit.key {
            return Err(DecodeError::NeedsKeyFrame);
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                // No flushing: one access unit gives its picture at once, and waiting frames would be latency.
                let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
                let decoder = Decoder::with_api_config(OpenH264API::from_source(), config);
                none.insert(decoder.map_err(|_| DecodeError::Broken)?)
            }
        };
        let Some(decoded) = decoder.decode(data).map_err(|_| DecodeError::Broken)? else {
            // A whole key frame always gives a picture; anything else would leave the stream hanging.
            return if self.waiting { Err(DecodeError::NeedsKeyFrame) } else { Ok(None) };
        };
        let picture = copy(&decoded).ok_or(DecodeError::Broken)?;
        self.waiting = false;
        Ok(Some(picture))
    }
}

/// The decoder's planes without their padding. `None` if the numbers do not fit together.
fn copy(decoded: &impl YUVSource) -> Option<Picture> {
    let (width, height) = decoded.dimensions();
    if width < 2 || height < 2 || width > MAX_WIDTH || height > MAX_HEIGHT {
        return None;
    }
    let (width, height) = (width & !1, height & !1);
    let plane = |from: &[u8], stride: usize, width: usize, height: usize| {
        if stride < width || from.len() < stride * (height - 1) + width {
            return None;
        }
        let mut to = Vec::with_capacity(width * height);
        from.chunks(stride).take(height).for_each(|row| to.extend_from_slice(&row[..width]));
        Some(to)
    };
    let (luma, cb, cr) = decoded.strides();
    Some(Picture {
        width,
        height,
        y: plane(decoded.y(), luma, width, height)?,
        u: plane(decoded.u(), cb, width / 2, height / 2)?,
        v: plane(decoded.v(), cr, width / 2, height / 2)?,
        taken: Instant::now(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stamp::{self, Stamp};
    use super::super::test_picture::TestPicture;
    use super::*;

    fn pictures(width: usize, height: usize, count: usize) -> Vec<Picture> {
        let scene = TestPicture::new(3, width, height);
        (0..count).map(|number| scene.draw(Duration::from_millis(number as u64 * 33))).collect()
    }

    fn encode(pictures: &[Picture], bitrate: u32) -> Vec<Encoded> {
        let mut encoder = H264Encoder::new(pictures[0].width, pictures[0].height, 30, bitrate).unwrap();
        let frames: Vec<Encoded> = pictures
            .iter()
            .enumerate()
            .map(|(number, picture)| encoder.encode(picture, false, number as u64 * 33).unwrap().unwrap())
            .collect();
        assert_eq!(encoder.skipped(), 0);
        frames
    }

    fn psnr(a: &[u8], b: &[u8]) -> f64 {
        let error: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
        10.0 * (255.0f64.powi(2) * a.len() as f64 / error.max(1e-9)).log10()
    }

    #[test]
    fn two_decoders_agree_bit_by_bit_and_the_picture_is_close_to_what_went_in() {
        let pictures = pictures(640, 360, 45);
        let (mut one, mut other) = (H264Decoder::new(), H264Decoder::new());
        for (picture, frame) in pictures.iter().zip(encode(&pictures, 800_000)) {
            let got = one.decode(&frame.data).unwrap().expect("one picture for each frame, at once");
            let same = other.decode(&frame.data).unwrap().unwrap();
            assert!(got.y == same.y && got.u == same.u && got.v == same.v);
            assert_eq!((got.width, got.height), (640, 360));
            assert!(psnr(&picture.y, &got.y) > 30.0 && psnr(&picture.u, &got.u) > 30.0);
        }
    }

    #[test]
    fn the_stamp_survives_two_seconds_of_720p_at_500_kbit() {
        let mut pictures = pictures(1280, 720, 60);
        for (number, picture) in pictures.iter_mut().enumerate() {
            stamp::write(picture, Stamp::new(number as u32, 1_790_000_000_000 + number as u64 * 33));
        }
        let frames = encode(&pictures, 500_000);
        let mut decoder = H264Decoder::new();
        for (number, frame) in frames.iter().enumerate() {
            let got = decoder.decode(&frame.data).unwrap().unwrap();
            let want = Stamp::new(number as u32, 1_790_000_000_000 + number as u64 * 33);
            assert_eq!(stamp::read(&got), Some(want), "picture {number}");
        }
    }

    #[test]
    fn key_frames_come_first_and_on_request_and_never_else() {
        let mut pictures = pictures(320, 180, 90);
        // A cut in the scene is no reason for one.
        pictures[50..].iter_mut().for_each(|picture| picture.y.iter_mut().for_each(|luma| *luma = 235 - *luma / 2));
        let mut encoder = H264Encoder::new(320, 180, 30, 300_000).unwrap();
        let keys: Vec<usize> = (0..90)
            .filter(|number| {
                encoder.encode(&pictures[*number], *number == 30, *number as u64 * 33).unwrap().unwrap().key
            })
            .collect();
        assert_eq!(keys, [0, 30]);
        encoder.set_bitrate(600_000).unwrap();
        encoder.set_frame_rate(15).unwrap();
        assert!(!encoder.encode(&pictures[0], false, 3_000).unwrap().unwrap().key, "a new rate needs none");
    }

    /// Bits of so many pictures from an encoder that has been running for a while, against what its rate allows.
    fn share_of_rate(encoder: &mut H264Encoder, pictures: &[Picture], from: u64, fps: u64, bitrate: u32) -> f64 {
        let step = 30 / fps as usize;
        let frames = pictures.iter().step_by(step).enumerate();
        let bytes: usize = frames
            .map(|(number, picture)| {
                encoder.encode(picture, false, from + number as u64 * 1000 / fps).unwrap().unwrap().data.len()
            })
            .sum();
        bytes as f64 * 8.0 / (f64::from(bitrate) * pictures.len() as f64 / 30.0)
    }

    #[test]
    fn each_rate_is_kept_over_two_seconds_and_right_after_each_change() {
        // What the picture cannot use is not filled up: at each size only rates that it can use are tried.
        for (size, rates) in [
            ((320, 180), &[90_000, 50_000, 120_000][..]),
            ((640, 360), &[300_000, 60_000, 240_000, 120_000]),
            ((1280, 720), &[600_000, 240_000, 800_000, 300_000]),
        ] {
            let pictures = pictures(size.0, size.1, 60);
            let mut encoder = H264Encoder::new(size.0, size.1, 30, rates[0]).unwrap();
            for (number, rate) in rates.iter().enumerate() {
                encoder.set_bitrate(*rate).unwrap();
                let share = share_of_rate(&mut encoder, &pictures, number as u64 * 2_000, 30, *rate);
                assert!((0.8..1.15).contains(&share), "{size:?} at {rate}: {share:.2}");
            }
            let rate = rates[rates.len() - 1];
            encoder.set_frame_rate(10).unwrap();
            let share = share_of_rate(&mut encoder, &pictures, 100_000, 10, rate);
            assert!(share < 1.15, "{size:?} at {rate} and ten pictures a second: {share:.2}");
        }
    }

    #[test]
    fn a_key_frame_takes_less_than_half_a_second_of_a_slow_link() {
        for (width, height, rate) in [(1280, 720, 900_000), (640, 360, 300_000), (320, 180, 80_000)] {
            let pictures = pictures(width, height, 90);
            let mut encoder = H264Encoder::new(width, height, 30, rate).unwrap();
            for (number, picture) in pictures.iter().enumerate() {
                let frame = encoder.encode(picture, number % 30 == 0, number as u64 * 33).unwrap().unwrap();
                let bits = frame.data.len() as u32 * 8;
                assert!(!frame.key || bits < rate / 2, "{width}x{height}: {bits} bits at {rate}");
            }
        }
    }

    #[test]
    fn a_picture_of_another_size_begins_anew_and_decodes_at_that_size() {
        let mut encoder = H264Encoder::new(320, 180, 30, 300_000).unwrap();
        let mut decoder = H264Decoder::new();
        for (number, (width, height)) in [(320, 180), (640, 360), (640, 360), (320, 240)].into_iter().enumerate() {
            let picture = &pictures(width, height, 1)[0];
            let frame = encoder.encode(picture, false, number as u64 * 33).unwrap().unwrap();
            assert_eq!(frame.key, number != 2);
            let got = decoder.decode(&frame.data).unwrap().unwrap();
            assert_eq!((got.width, got.height), (width, height));
        }
    }

    #[test]
    fn a_malformed_picture_is_refused_and_does_not_stop_the_encoder() {
        let mut encoder = H264Encoder::new(320, 180, 30, 300_000).unwrap();
        let good = pictures(320, 180, 1).remove(0);
        let mut bad = good.clone();
        bad.v.pop();
        assert_eq!(encoder.encode(&bad, false, 0), Err(EncodeError::Picture));
        assert!(encoder.encode(&good, false, u64::MAX).unwrap().unwrap().key);
    }

    #[test]
    fn no_picture_is_left_out_at_high_or_low_bit_rates() {
        let pictures = pictures(640, 360, 60);
        for bitrate in [60_000, 2_500_000, 8_000_000] {
            assert_eq!(encode(&pictures, bitrate).len(), 60);
        }
    }

    #[test]
    fn a_stream_begins_with_a_key_frame() {
        let frames = encode(&pictures(320, 180, 3), 300_000);
        let mut decoder = H264Decoder::new();
        assert_eq!(decoder.decode(&frames[1].data).err(), Some(DecodeError::NeedsKeyFrame));
        assert!(decoder.decode(&frames[0].data).unwrap().is_some());
        assert!(decoder.decode(&frames[1].data).unwrap().is_some());
    }

    #[test]
    fn after_damage_only_a_key_frame_helps_and_it_leaves_no_trace() {
        let pictures = pictures(320, 180, 12);
        let mut encoder = H264Encoder::new(320, 180, 30, 300_000).unwrap();
        let frames: Vec<Encoded> = (0..12)
            .map(|number| encoder.encode(&pictures[number], number == 8, number as u64 * 33).unwrap().unwrap())
            .collect();
        for damage in
            [vec![], vec![0; 40], vec![0xff; 500], b"\0\0\0\x01\x41garbage".to_vec(), frames[2].data[..6].to_vec()]
        {
            let mut decoder = H264Decoder::new();
            decoder.decode(&frames[0].data).unwrap();
            decoder.decode(&frames[1].data).unwrap();
            // Whether the decoder notices at once or at the frame after, it must not go on showing nonsense for ever.
            let noticed = decoder.decode(&damage).is_err();
            if noticed {
                assert_eq!(decoder.decode(&frames[2].data).err(), Some(DecodeError::NeedsKeyFrame), "{damage:?}");
            }
            let mut fresh = H264Decoder::new();
            for frame in &frames[8..] {
                let (got, want) =
                    (decoder.decode(&frame.data).unwrap().unwrap(), fresh.decode(&frame.data).unwrap().unwrap());
                assert!(got.y == want.y && got.u == want.u && got.v == want.v);
            }
        }
    }

    #[test]
    fn truncated_and_bit_flipped_frames_never_panic_and_the_next_key_frame_is_shown() {
        let pictures = pictures(160, 96, 6);
        let frames = encode(&pictures, 150_000);
        let mut state = 0x1234_5678u32;
        let mut roll = |below: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % below
        };
        let mut decoder = H264Decoder::new();
        let mut refused = 0;
        for round in 0..400 {
            let mut data = frames[roll(frames.len())].data.clone();
            if round % 2 == 0 {
                data.truncate(roll(data.len()));
            } else {
                for _ in 0..1 + roll(6) {
                    let at = roll(data.len());
                    data[at] ^= 1 << roll(8);
                }
            }
            match decoder.decode(&data) {
                Ok(Some(picture)) => assert!(well_formed(&picture)),
                Ok(None) => {}
                Err(_) => {
                    refused += 1;
                    assert_eq!(decoder.decode(&frames[1].data).err(), Some(DecodeError::NeedsKeyFrame));
                }
            }
        }
        assert!(refused > 100, "only {refused} of 400 damaged frames were refused");
        assert!(decoder.decode(&frames[0].data).unwrap().is_some());
    }

    #[test]
    fn a_picture_out_of_bounds_never_reaches_the_decoder() {
        // A baseline parameter set for 8192×4320 written by hand, then an IDR slice header.
        let mut bits = String::from("010000100000000000011111") + "1" + "1" + "011" + "010" + "0";
        for value in [512u32, 270] {
            let binary = format!("{value:b}");
            bits += &("0".repeat(binary.len() - 1) + &binary);
        }
        bits += "11001";
        bits += &"0".repeat((8 - bits.len() % 8) % 8);
        let mut data = vec![0, 0, 0, 1, 0x67];
        data.extend((0..bits.len()).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()));
        data.extend([0, 0, 0, 1, 0x65, 0x88]);
        let mut decoder = H264Decoder::new();
        decoder.decode(&encode(&pictures(320, 180, 1), 300_000)[0].data).unwrap();
        let refused = DecodeError::Refused(StreamError::Size { width: 8192, height: 4320 });
        assert_eq!(decoder.decode(&data).err(), Some(refused));
    }
}
