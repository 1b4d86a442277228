//! WAV files: as a microphone, read in a loop, and as a record of what was heard.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind};
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::frame::{BLOCK, SAMPLE_RATE};
use super::resample::{RATES, Resampler};

/// Channels let in at most.
pub const MAX_CHANNELS: u16 = 32;
/// Samples a recording may hold: the length field of the format is 32 bits of bytes (about twelve hours).
const MAX_SAMPLES: u64 = (u32::MAX as u64 - 1_024) / 2;
/// Blocks between two updates of a recording's header (5 s), so that little is lost if the program ends badly.
const FLUSH_EVERY: u64 = 250;
/// Frames read from a file in one go.
const PIECE: usize = 2_048;

/// What is wrong with a sound file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// The system does not let us read or write it.
    #[error("no permission for the file")]
    Permission,
    /// It is not a WAV file, or a broken one.
    #[error("not a wav file")]
    NotWav,
    /// It is a WAV file of a kind that is not understood (compressed, more than 32 bits, 64-bit float).
    #[error("a wav file of an unknown kind")]
    Unsupported,
    /// Its sample rate lies outside 4 to 384 kHz.
    #[error("a wav file at {0} Hz")]
    Rate(u32),
    /// It has no or more than 32 channels.
    #[error("a wav file of {0} channels")]
    Channels(u16),
    /// It holds no sound.
    #[error("an empty wav file")]
    Empty,
    /// A recording has reached the length that the format can hold.
    #[error("a recording as long as a wav file can be")]
    Full,
    /// Reading or writing failed: a disk is full or gone.
    #[error("reading or writing the file failed: {0}")]
    Io(ErrorKind),
}

impl From<hound::Error> for WavError {
    fn from(error: hound::Error) -> Self {
        match error {
            hound::Error::IoError(error) => error.into(),
            hound::Error::Unsupported | hound::Error::TooWide | hound::Error::InvalidSampleFormat => Self::Unsupported,
            _ => Self::NotWav,
        }
    }
}

impl From<std::io::Error> for WavError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied => Self::Permission,
            // A header that ends too soon reads like this, whatever the library calls it.
            ErrorKind::UnexpectedEof | ErrorKind::Other | ErrorKind::InvalidData => Self::NotWav,
            kind => Self::Io(kind),
        }
    }
}

/// A WAV file that plays in a loop as 48 kHz mono.
///
/// 8, 16, 24 and 32-bit integers and 32-bit floats at any rate in [`RATES`]; channels are averaged. A file cut short
/// plays as far as it goes.
pub struct WavLoop {
    reader: WavReader<BufReader<File>>,
    spec: WavSpec,
    scale: f32,
    resampler: Resampler,
    ready: Vec<f32>,
    /// Frames read since the file was last at its beginning.
    read: u64,
}

impl WavLoop {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// Any [`WavError`] but `Full`.
    pub fn open(path: &Path) -> Result<Self, WavError> {
        // A pipe or a device would be waited on for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(WavError::NotWav);
        }
        let reader = WavReader::new(BufReader::new(File::open(path)?))?;
        let spec = reader.spec();
        if !RATES.contains(&spec.sample_rate) {
            return Err(WavError::Rate(spec.sample_rate));
        }
        if spec.channels == 0 || spec.channels > MAX_CHANNELS {
            return Err(WavError::Channels(spec.channels));
        }
        let scale = match (spec.sample_format, spec.bits_per_sample) {
            (SampleFormat::Float, 32) => 1.0,
            (SampleFormat::Int, bits @ (8 | 16 | 24 | 32)) => 0.5f32.powi(i32::from(bits) - 1),
            _ => return Err(WavError::Unsupported),
        };
        let resampler = Resampler::new(spec.sample_rate, SAMPLE_RATE).map_err(|bad| WavError::Rate(bad.0))?;
        let mut wav = Self { reader, spec, scale, resampler, ready: Vec::with_capacity(4 * BLOCK), read: 0 };
        // One piece now, so that a file without sound is told at once.
        wav.read_piece()?;
        if wav.read == 0 {
            return Err(WavError::Empty);
        }
        Ok(wav)
    }

    /// Fills `out` with the next 20 ms, from the beginning again after the end.
    ///
    /// # Errors
    /// [`WavError::Io`] and the like when the file can no longer be read; then `out` holds silence.
    pub fn next_block(&mut self, out: &mut [f32; BLOCK]) -> Result<(), WavError> {
        out.fill(0.0);
        while self.ready.len() < BLOCK {
            if self.read_piece()? < PIECE {
                if self.read == 0 {
                    return Err(WavError::Empty);
                }
                self.reader.seek(0)?;
                self.read = 0;
            }
        }
        out.copy_from_slice(&self.ready[..BLOCK]);
        self.ready.drain(..BLOCK);
        Ok(())
    }

    /// Reads up to [`PIECE`] frames and returns how many there were.
    fn read_piece(&mut self) -> Result<usize, WavError> {
        let wanted = PIECE * usize::from(self.spec.channels);
        let samples = match self.spec.sample_format {
            SampleFormat::Float => gather(self.reader.samples::<f32>().take(wanted))?,
            SampleFormat::Int => {
                let scale = self.scale;
                gather(self.reader.samples::<i32>().take(wanted).map(|s| s.map(|s| s as f32 * scale)))?
            }
        };
        let share = 1.0 / f32::from(self.spec.channels);
        let finite = |s: &f32| if s.is_finite() { s.clamp(-4.0, 4.0) } else { 0.0 };
        let mono: Vec<f32> = samples
            .chunks_exact(usize::from(self.spec.channels))
            .map(|frame| frame.iter().map(finite).sum::<f32>() * share)
            .collect();
        self.read += mono.len() as u64;
        let ready = &mut self.ready;
        self.resampler.push(&mono, |made| ready.extend_from_slice(made));
        Ok(mono.len())
    }
}

/// Collects samples up to the end of the file, however it comes.
fn gather(samples: impl Iterator<Item = hound::Result<f32>>) -> Result<Vec<f32>, WavError> {
    let mut all = Vec::new();
    for sample in samples {
        match sample {
            Ok(sample) => all.push(sample),
            Err(hound::Error::IoError(error))
                if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::Other) =>
            {
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// A recording: 48 kHz mono in 16 bits.
pub struct WavRecorder {
    writer: WavWriter<BufWriter<File>>,
    blocks: u64,
}

impl WavRecorder {
    /// Creates `path`, or empties it.
    ///
    /// # Errors
    /// [`WavError::NotFound`] (no such folder), [`WavError::Permission`], [`WavError::Io`].
    pub fn create(path: &Path) -> Result<Self, WavError> {
        let spec =
            WavSpec { channels: 1, sample_rate: SAMPLE_RATE, bits_per_sample: 16, sample_format: SampleFormat::Int };
        Ok(Self { writer: WavWriter::create(path, spec)?, blocks: 0 })
    }

    /// Appends one block. Samples outside ±1 are held at full scale.
    ///
    /// # Errors
    /// [`WavError::Full`], [`WavError::Io`].
    pub fn write(&mut self, block: &[f32; BLOCK]) -> Result<(), WavError> {
        if (self.blocks + 1) * BLOCK as u64 > MAX_SAMPLES {
            return Err(WavError::Full);
        }
        for sample in block {
            let sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
            self.writer.write_sample((sample * f32::from(i16::MAX)).round() as i16)?;
        }
        self.blocks += 1;
        if self.blocks.is_multiple_of(FLUSH_EVERY) {
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Completes the file. Dropping the recorder does the same, without telling whether it worked.
    ///
    /// # Errors
    /// [`WavError::Io`].
    pub fn finish(self) -> Result<(), WavError> {
        Ok(self.writer.finalize()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    fn write(path: &Path, spec: WavSpec, seconds: f32, hz: f32) {
        let mut writer = WavWriter::create(path, spec).unwrap();
        for n in 0..(spec.sample_rate as f32 * seconds) as usize {
            let value = 0.5 * (TAU * hz * n as f32 / spec.sample_rate as f32).sin();
            for channel in 0..spec.channels {
                // A second channel of the same tone, so that the average is the tone again.
                let value = if channel % 2 == 0 { value } else { value * 0.999 };
                match spec.sample_format {
                    SampleFormat::Float => writer.write_sample(value).unwrap(),
                    SampleFormat::Int => {
                        let full = ((1u64 << (spec.bits_per_sample - 1)) - 1) as f64;
                        writer.write_sample((f64::from(value) * full) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
    }

    fn read(wav: &mut WavLoop, blocks: usize) -> Vec<f32> {
        let mut all = Vec::new();
        let mut block = [0.0; BLOCK];
        for _ in 0..blocks {
            wav.next_block(&mut block).unwrap();
            all.extend_from_slice(&block);
        }
        all
    }

    /// Share of the power that lies in a tone, and the tone's amplitude.
    fn tone(samples: &[f32], hz: f32) -> (f64, f64) {
        let (mut re, mut im, mut power) = (0.0f64, 0.0f64, 0.0f64);
        for (n, s) in samples.iter().enumerate() {
            let phase = std::f64::consts::TAU * f64::from(hz) * n as f64 / 48_000.0;
            re += f64::from(*s) * phase.cos();
            im += f64::from(*s) * phase.sin();
            power += f64::from(*s).powi(2);
        }
        let n = samples.len() as f64;
        (2.0 * (re * re + im * im) / n / power, 2.0 * (re * re + im * im).sqrt() / n)
    }

    #[test]
    fn every_common_kind_of_file_plays_at_pitch_and_strength() {
        let folder = tempfile::tempdir().unwrap();
        for sample_rate in [8_000, 16_000, 44_100, 48_000] {
            for (bits_per_sample, sample_format) in [
                (8, SampleFormat::Int),
                (16, SampleFormat::Int),
                (24, SampleFormat::Int),
                (32, SampleFormat::Int),
                (32, SampleFormat::Float),
            ] {
                for channels in [1, 2] {
                    let spec = WavSpec { channels, sample_rate, bits_per_sample, sample_format };
                    let path = folder.path().join("tone.wav");
                    write(&path, spec, 1.0, 500.0);
                    let all = read(&mut WavLoop::open(&path).unwrap(), 40);
                    let (pure, amplitude) = tone(&all[4_800..28_800], 500.0);
                    assert!(pure > if bits_per_sample == 8 { 0.995 } else { 0.9999 }, "{spec:?}: {pure}");
                    assert!((amplitude - 0.5).abs() < 0.015, "{spec:?}: {amplitude}");
                }
            }
        }
    }

    #[test]
    fn a_short_file_is_played_over_and_over_without_a_hole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop.wav");
        let spec = WavSpec { channels: 1, sample_rate: 44_100, bits_per_sample: 16, sample_format: SampleFormat::Int };
        // 100 whole periods in 0.1 s: the seam fits.
        write(&path, spec, 0.1, 1_000.0);
        let all = read(&mut WavLoop::open(&path).unwrap(), 200);
        let (pure, _) = tone(&all[4_800..], 1_000.0);
        assert!(pure > 0.999, "{pure}");
    }

    #[test]
    fn a_file_cut_short_plays_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.wav");
        let spec = WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
        write(&path, spec, 1.0, 500.0);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2 + 1]).unwrap();
        let all = read(&mut WavLoop::open(&path).unwrap(), 20);
        assert!(tone(&all, 500.0).0 > 0.999);
        assert_eq!(read(&mut WavLoop::open(&path).unwrap(), 100).len(), 96_000);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let open = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            WavLoop::open(&path).err()
        };
        assert_eq!(WavLoop::open(&folder.path().join("none.wav")).err(), Some(WavError::NotFound));
        assert_eq!(WavLoop::open(folder.path()).err(), Some(WavError::NotWav));
        assert_eq!(open(b""), Some(WavError::NotWav));
        assert_eq!(open(b"RIFF"), Some(WavError::NotWav));
        assert_eq!(open(&[0xFF; 5_000]), Some(WavError::NotWav));

        let header = |tag: u16, channels: u16, rate: u32, bits: u16, length: u32| {
            let align = channels.wrapping_mul(bits / 8);
            let mut bytes = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0".to_vec();
            bytes.extend(tag.to_le_bytes());
            bytes.extend(channels.to_le_bytes());
            bytes.extend(rate.to_le_bytes());
            bytes.extend(rate.wrapping_mul(align.into()).to_le_bytes());
            bytes.extend(align.to_le_bytes());
            bytes.extend(bits.to_le_bytes());
            bytes.extend(b"data");
            bytes.extend(length.to_le_bytes());
            bytes
        };
        assert_eq!(open(&header(1, 1, 48_000, 16, 0)), Some(WavError::Empty));
        assert_eq!(open(&header(1, 1, 48_000, 16, 0xFFFF_FFFE)), Some(WavError::Empty));
        assert_eq!(open(&header(1, 0, 48_000, 16, 0)), Some(WavError::NotWav));
        assert_eq!(open(&header(1, 33, 48_000, 16, 0)), Some(WavError::Channels(33)));
        assert_eq!(open(&header(1, 1, 0, 16, 0)), Some(WavError::Rate(0)));
        assert_eq!(open(&header(1, 1, 1_000_000, 16, 0)), Some(WavError::Rate(1_000_000)));
        assert_eq!(open(&header(7, 1, 8_000, 8, 100)), Some(WavError::Unsupported));
        assert_eq!(open(&header(3, 1, 8_000, 64, 100)), Some(WavError::NotWav));
        assert_eq!(open(&header(1, 1, 8_000, 0, 100)), Some(WavError::NotWav));
    }

    #[test]
    fn no_header_brings_the_reader_down() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.wav");
        let spec = WavSpec { channels: 2, sample_rate: 16_000, bits_per_sample: 24, sample_format: SampleFormat::Int };
        write(&path, spec, 0.05, 500.0);
        let good = std::fs::read(&path).unwrap();
        for position in 0..good.len().min(100) {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut bad = good.clone();
                bad[position] = value;
                std::fs::write(&path, &bad).unwrap();
                if let Ok(mut wav) = WavLoop::open(&path) {
                    let mut block = [0.0; BLOCK];
                    for _ in 0..3 {
                        let _ = wav.next_block(&mut block);
                        assert!(block.iter().all(|s| s.is_finite()));
                    }
                }
            }
        }
    }

    #[test]
    fn a_float_file_full_of_nonsense_stays_finite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nan.wav");
        let spec =
            WavSpec { channels: 1, sample_rate: 44_100, bits_per_sample: 32, sample_format: SampleFormat::Float };
        let mut writer = WavWriter::create(&path, spec).unwrap();
        for n in 0..5_000 {
            writer.write_sample([f32::NAN, f32::INFINITY, f32::MAX, -1.0][n % 4]).unwrap();
        }
        writer.finalize().unwrap();
        assert!(read(&mut WavLoop::open(&path).unwrap(), 20).iter().all(|s| s.is_finite()));
    }

    #[test]
    fn what_is_recorded_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("got.wav");
        let mut recorder = WavRecorder::create(&path).unwrap();
        let block: [f32; BLOCK] = std::array::from_fn(|n| 0.8 * (n as f32 * 0.05).sin());
        for _ in 0..10 {
            recorder.write(&block).unwrap();
        }
        recorder.write(&[9.0; BLOCK]).unwrap();
        recorder.write(&[f32::NAN; BLOCK]).unwrap();
        recorder.finish().unwrap();
        let all = read(&mut WavLoop::open(&path).unwrap(), 12);
        for n in 0..BLOCK {
            assert!((all[9 * BLOCK + n] - block[n]).abs() < 1e-4);
        }
        assert!(all[10 * BLOCK..11 * BLOCK].iter().all(|s| (s - 1.0).abs() < 1e-4));
        assert!(all[11 * BLOCK..].iter().all(|s| *s == 0.0));
        assert_eq!(WavRecorder::create(&folder.path().join("no/folder.wav")).err(), Some(WavError::NotFound));
    }
}
