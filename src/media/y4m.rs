//! YUV4MPEG2 files: uncompressed pictures one after the other, as `ffmpeg` and `mjpegtools` write them (yuv4mpeg(5)).
//!
//! Read: 8 bits, progressive, 4:2:0 in every siting, 4:2:2, 4:4:4 and mono, full range if `XCOLORRANGE=FULL` says so. Files come
//! from strangers: every length is bounded before memory is asked for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use super::convert::{Colours, MAX_HEIGHT, MAX_WIDTH, recolour, well_formed};
use super::frame::Picture;
use super::scale::Scaler;
use super::stamp;

/// Longest header line, and longest line before a picture, in bytes.
const MAX_LINE: u64 = 1024;

/// Why a file cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Y4mError {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// The file may not be read or written.
    #[error("the file may not be opened")]
    Permission,
    /// The system refused otherwise.
    #[error("the file cannot be read or written: {0}")]
    Io(io::ErrorKind),
    /// It does not begin with `YUV4MPEG2`.
    #[error("not a yuv4mpeg file")]
    NotY4m,
    /// The header lacks something or says something impossible.
    #[error("the header is damaged: {0}")]
    Header(&'static str),
    /// More pixels than are taken.
    #[error("a picture of {width}x{height} pixels is out of bounds")]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A way of storing pictures that is not read: more than 8 bits, alpha, interlaced.
    #[error("pictures stored as {0} are not supported")]
    Unsupported(String),
    /// The file ends inside a picture.
    #[error("the file ends inside a picture")]
    Truncated,
    /// There is no picture in it.
    #[error("there is no picture in the file")]
    Empty,
}

impl From<io::Error> for Y4mError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            kind => Self::Io(kind),
        }
    }
}

/// How chroma is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// A quarter of the samples (`C420`, `C420jpeg`, `C420mpeg2`, `C420paldv`).
    Yuv420,
    /// Half of them (`C422`).
    Yuv422,
    /// All (`C444`).
    Yuv444,
    /// None (`Cmono`).
    Mono,
}

/// What the first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Y4mHeader {
    /// Pixels in a row, as stored: may be odd.
    pub width: usize,
    /// Rows, as stored: may be odd.
    pub height: usize,
    /// Pictures a second, as a fraction; 30/1 if the file does not say.
    pub rate: (u32, u32),
    /// How chroma is stored.
    pub chroma: Chroma,
    /// Full range instead of limited.
    pub full_range: bool,
}

impl Y4mHeader {
    /// Pictures a second, between 1 and 240.
    pub fn fps(&self) -> f64 {
        (f64::from(self.rate.0) / f64::from(self.rate.1)).clamp(1.0, 240.0)
    }

    /// Samples in a row and rows of one chroma plane.
    fn chroma_size(&self) -> (usize, usize) {
        match self.chroma {
            Chroma::Yuv420 => (self.width.div_ceil(2), self.height.div_ceil(2)),
            Chroma::Yuv422 => (self.width.div_ceil(2), self.height),
            Chroma::Yuv444 => (self.width, self.height),
            Chroma::Mono => (0, 0),
        }
    }

    fn parse(line: &str) -> Result<Self, Y4mError> {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        if words.next() != Some("YUV4MPEG2") {
            return Err(Y4mError::NotY4m);
        }
        let (mut width, mut height, mut rate) = (None, None, (30, 1));
        let (mut chroma, mut full_range) = (Chroma::Yuv420, false);
        for word in words {
            let Some(value) = word.get(1..) else { return Err(Y4mError::Header("a parameter is not text")) };
            match word.as_bytes()[0] {
                b'W' => width = Some(value.parse().map_err(|_| Y4mError::Header("width"))?),
                b'H' => height = Some(value.parse().map_err(|_| Y4mError::Header("height"))?),
                b'F' => rate = parse_rate(value)?,
                b'I' if !matches!(value, "p" | "?") => return Err(Y4mError::Unsupported(short(word))),
                b'C' => {
                    chroma = match value {
                        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Chroma::Yuv420,
                        "422" => Chroma::Yuv422,
                        "444" => Chroma::Yuv444,
                        "mono" => Chroma::Mono,
                        _ => return Err(Y4mError::Unsupported(short(word))),
                    }
                }
                b'X' => full_range |= value == "COLORRANGE=FULL",
                _ => {}
            }
        }
        let width: usize = width.ok_or(Y4mError::Header("no width"))?;
        let height: usize = height.ok_or(Y4mError::Header("no height"))?;
        if width < 2 || height < 2 || width > MAX_WIDTH || height > MAX_HEIGHT {
            return Err(Y4mError::Size { width, height });
        }
        Ok(Self { width, height, rate, chroma, full_range })
    }
}

/// A word of a file, made fit for a message.
fn short(word: &str) -> String {
    word.chars().filter(|character| character.is_ascii_graphic()).take(16).collect()
}

fn parse_rate(value: &str) -> Result<(u32, u32), Y4mError> {
    let (over, under) = value.split_once(':').ok_or(Y4mError::Header("frame rate"))?;
    let parse = |text: &str| text.parse::<u32>().map_err(|_| Y4mError::Header("frame rate"));
    match (parse(over)?, parse(under)?) {
        (0, 0) => Ok((30, 1)),
        (0, _) | (_, 0) => Err(Y4mError::Header("frame rate")),
        rate => Ok(rate),
    }
}

/// Reads pictures from a file, or from anything that can be read and rewound.
pub struct Y4mReader<R = BufReader<File>> {
    input: R,
    header: Y4mHeader,
    first: u64,
    scratch: Vec<u8>,
}

impl Y4mReader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// See [`Y4mError`].
    pub fn open(path: &Path) -> Result<Self, Y4mError> {
        Self::new(BufReader::with_capacity(1 << 16, File::open(path)?))
    }
}

impl<R: BufRead + Seek> Y4mReader<R> {
    /// Reads the header of `input`.
    ///
    /// # Errors
    /// See [`Y4mError`].
    pub fn new(mut input: R) -> Result<Self, Y4mError> {
        let line = match read_line(&mut input) {
            Ok(Some(line)) => line,
            Ok(None) | Err(Y4mError::Header(_) | Y4mError::Truncated) => return Err(Y4mError::NotY4m),
            Err(error) => return Err(error),
        };
        let header = Y4mHeader::parse(&line)?;
        let first = input.stream_position()?;
        Ok(Self { input, header, first, scratch: Vec::new() })
    }

    /// What the first line says.
    pub fn header(&self) -> &Y4mHeader {
        &self.header
    }

    /// Back to the first picture.
    ///
    /// # Errors
    /// If the input cannot be rewound.
    pub fn rewind(&mut self) -> Result<(), Y4mError> {
        self.input.seek(SeekFrom::Start(self.first))?;
        Ok(())
    }

    /// The next picture in the colours of [`Picture`], or `None` at the end. An odd last row or column is left out.
    ///
    /// # Errors
    /// [`Y4mError::Truncated`] if the file ends inside the picture, [`Y4mError::Header`] for a damaged line before it.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, Y4mError> {
        let Some(line) = read_line(&mut self.input)? else { return Ok(None) };
        if line.split(' ').next() != Some("FRAME") {
            return Err(Y4mError::Header("no FRAME where one must be"));
        }
        let mut picture = Picture::black(self.header.width, self.header.height, Instant::now());
        let (width, height) = (picture.width, picture.height);
        let (stored, chroma) = ((self.header.width, self.header.height), self.header.chroma_size());
        read_plane(&mut self.input, &mut self.scratch, stored, (1, 1), &mut picture.y, (width, height))?;
        let step = match self.header.chroma {
            Chroma::Yuv420 => (1, 1),
            Chroma::Yuv422 => (1, 2),
            Chroma::Yuv444 => (2, 2),
            Chroma::Mono => (0, 0),
        };
        if step != (0, 0) {
            for plane in [&mut picture.u, &mut picture.v] {
                read_plane(&mut self.input, &mut self.scratch, chroma, step, plane, (width / 2, height / 2))?;
            }
        }
        if self.header.full_range {
            let colours = Colours::of(height);
            recolour(&mut picture, Colours { full: true, ..colours }, colours);
        }
        picture.taken = Instant::now();
        Ok(Some(picture))
    }
}

/// A line without its end, or `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Result<Option<String>, Y4mError> {
    let mut line = Vec::new();
    input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => String::from_utf8(line).map(Some).map_err(|_| Y4mError::Header("not text")),
        Some(_) if line.len() as u64 + 1 == MAX_LINE => Err(Y4mError::Header("a line is too long")),
        Some(_) => Err(Y4mError::Truncated),
    }
}

/// Reads a plane of `stored` samples and averages `step.0 × step.1` of them into each one of `to`.
fn read_plane(
    input: &mut impl Read,
    scratch: &mut Vec<u8>,
    stored: (usize, usize),
    step: (usize, usize),
    to: &mut [u8],
    size: (usize, usize),
) -> Result<(), Y4mError> {
    if step == (1, 1) && stored == size {
        return Ok(input.read_exact(to)?);
    }
    scratch.resize(stored.0 * stored.1, 0);
    input.read_exact(scratch)?;
    let share = (step.0 * step.1) as u32;
    for (row, to) in to.chunks_exact_mut(size.0).enumerate() {
        for (column, to) in to.iter_mut().enumerate() {
            let mut sum = share / 2;
            for from in scratch.chunks_exact(stored.0).skip(row * step.1).take(step.1) {
                sum += from[column * step.0..][..step.0].iter().map(|sample| u32::from(*sample)).sum::<u32>();
            }
            *to = (sum / share) as u8;
        }
    }
    Ok(())
}

/// Writes pictures to a file, or to anything that can be written. All get the size of the first.
pub struct Y4mWriter<W: Write = BufWriter<File>> {
    output: W,
    fps: u32,
    scaler: Option<(Scaler, (usize, usize))>,
    pictures: u64,
}

impl Y4mWriter {
    /// Creates the file, in place of one that was there.
    ///
    /// # Errors
    /// See [`Y4mError`].
    pub fn create(path: &Path, fps: u32) -> Result<Self, Y4mError> {
        Ok(Self::new(BufWriter::with_capacity(1 << 16, File::create(path)?), fps))
    }
}

impl<W: Write> Y4mWriter<W> {
    /// A writer of `fps` pictures a second. The header is written with the first picture.
    pub fn new(output: W, fps: u32) -> Self {
        Self { output, fps: fps.max(1), scaler: None, pictures: 0 }
    }

    /// Writes one picture. One of another size than the first is brought to that, as a window would show it.
    ///
    /// # Errors
    /// If writing fails, or for a malformed picture.
    pub fn write(&mut self, picture: &Picture) -> Result<(), Y4mError> {
        let (width, height) = (picture.width, picture.height);
        if !well_formed(picture) {
            return Err(Y4mError::Size { width, height });
        }
        let (scaler, size) = match &mut self.scaler {
            Some(begun) => begun,
            none => {
                writeln!(self.output, "YUV4MPEG2 W{width} H{height} F{}:1 Ip A1:1 C420mpeg2", self.fps)?;
                none.insert((Scaler::new(width, height), (width, height)))
            }
        };
        let mut fitted;
        let picture = if *size == (width, height) {
            picture
        } else {
            fitted = centred(scaler.stretch(picture), *size);
            stamp::carry(picture, &mut fitted);
            &fitted
        };
        self.output.write_all(b"FRAME\n")?;
        for plane in [&picture.y, &picture.u, &picture.v] {
            self.output.write_all(plane)?;
        }
        self.pictures += 1;
        Ok(())
    }

    /// Pictures written so far.
    pub fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Writes what is still in memory and hands the output back.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> Result<W, Y4mError> {
        self.output.flush()?;
        Ok(self.output)
    }
}

/// A picture in the middle of a black one of `size`, which is not smaller.
fn centred(picture: Picture, size: (usize, usize)) -> Picture {
    if (picture.width, picture.height) == size {
        return picture;
    }
    let mut result = Picture::black(size.0, size.1, picture.taken);
    let (left, top) = (size.0.saturating_sub(picture.width) / 4 * 2, size.1.saturating_sub(picture.height) / 4 * 2);
    let planes = [(&picture.y, &mut result.y, 1), (&picture.u, &mut result.u, 2), (&picture.v, &mut result.v, 2)];
    for (from, to, part) in planes {
        let width = picture.width / part;
        for (to, from) in to.chunks_exact_mut(size.0 / part).skip(top / part).zip(from.chunks_exact(width)) {
            to[left / part..left / part + width].copy_from_slice(from);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn picture(width: usize, height: usize, seed: usize) -> Picture {
        let mut picture = Picture::black(width, height, Instant::now());
        for plane in [&mut picture.y, &mut picture.u, &mut picture.v] {
            plane.iter_mut().enumerate().for_each(|(index, sample)| *sample = (index * 7 + seed * 31) as u8);
        }
        picture
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<Picture>, Y4mError> {
        let mut reader = Y4mReader::new(Cursor::new(bytes))?;
        std::iter::from_fn(|| reader.next_picture().transpose()).collect()
    }

    #[test]
    fn what_is_written_is_read_back_bit_by_bit_and_again_after_rewinding() {
        let pictures: Vec<Picture> = (0..5).map(|seed| picture(64, 48, seed)).collect();
        let mut writer = Y4mWriter::new(Vec::new(), 30);
        pictures.iter().for_each(|picture| writer.write(picture).unwrap());
        let bytes = writer.finish().unwrap();
        let mut reader = Y4mReader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(reader.header().rate, (30, 1));
        for _ in 0..2 {
            for want in &pictures {
                let got = reader.next_picture().unwrap().unwrap();
                assert!(got.y == want.y && got.u == want.u && got.v == want.v);
            }
            assert!(reader.next_picture().unwrap().is_none());
            reader.rewind().unwrap();
        }
    }

    #[test]
    fn a_picture_of_another_size_is_fitted_into_the_first_ones() {
        let mut writer = Y4mWriter::new(Vec::new(), 30);
        for (width, height) in [(64, 48), (32, 24), (128, 48), (48, 64)] {
            writer.write(&picture(width, height, 1)).unwrap();
        }
        let pictures = read(writer.finish().unwrap()).unwrap();
        assert_eq!(pictures.len(), 4);
        assert!(pictures.iter().all(|picture| (picture.width, picture.height) == (64, 48)));
    }

    #[test]
    fn a_picture_that_comes_in_fewer_pixels_is_recorded_as_large_as_before() {
        let mut small = picture(32, 24, 1);
        small.y.fill(200);
        let mut writer = Y4mWriter::new(Vec::new(), 30);
        [picture(64, 48, 0), small].iter().for_each(|picture| writer.write(picture).unwrap());
        let got = read(writer.finish().unwrap()).unwrap();
        assert_eq!((got[1].width, got[1].height), (64, 48));
        assert!(got[1].y.iter().all(|luma| *luma == 200));
    }

    #[test]
    fn every_chroma_variant_of_four_two_zero_is_the_same() {
        for chroma in ["", " C420", " C420jpeg", " C420mpeg2", " C420paldv"] {
            let mut bytes = format!("YUV4MPEG2 W4 H2 F25:1 Ip A1:1{chroma}\nFRAME Xany\n").into_bytes();
            bytes.extend(0..12);
            let pictures = read(bytes).unwrap();
            assert_eq!(
                (&pictures[0].y[..], &pictures[0].u[..]),
                (&[0, 1, 2, 3, 4, 5, 6, 7][..], &[8, 9][..]),
                "{chroma}"
            );
        }
    }

    #[test]
    fn odd_sizes_and_denser_chroma_are_brought_to_i420() {
        let mut odd = b"YUV4MPEG2 W5 H3\nFRAME\n".to_vec();
        odd.extend(0..15);
        odd.extend([50, 51, 52, 53, 54, 55, 60, 61, 62, 63, 64, 65]);
        let got = read(odd).unwrap().remove(0);
        assert_eq!((got.width, got.height), (4, 2));
        assert_eq!((&got.y[..], &got.u[..], &got.v[..]), (&[0, 1, 2, 3, 5, 6, 7, 8][..], &[50, 51][..], &[60, 61][..]));
        let mut dense = b"YUV4MPEG2 W2 H2 C444\nFRAME\n".to_vec();
        dense.extend([1, 2, 3, 4, 10, 20, 30, 40, 100, 100, 101, 101]);
        let got = read(dense).unwrap().remove(0);
        assert_eq!((got.u[0], got.v[0]), (25, 101));
        let mut mono = b"YUV4MPEG2 W2 H2 Cmono\nFRAME\n".to_vec();
        mono.extend([1, 2, 3, 4]);
        assert_eq!(read(mono).unwrap().remove(0).u, [128]);
        let mut full = b"YUV4MPEG2 W2 H2 Cmono XCOLORRANGE=FULL\nFRAME\n".to_vec();
        full.extend([0, 255, 0, 255]);
        assert_eq!(read(full).unwrap().remove(0).y, [16, 235, 16, 235]);
    }

    #[test]
    fn hostile_headers_are_typed_and_ask_for_no_memory() {
        let header = |text: &str| Y4mReader::new(Cursor::new(text.as_bytes().to_vec())).err();
        for text in ["", "\n", "RIFF", "YUV4MPEG W2 H2\n", "YUV4MPEG2", &"Y".repeat(5000)] {
            assert_eq!(header(text), Some(Y4mError::NotY4m), "{text:.20}");
        }
        assert_eq!(header("YUV4MPEG2 H2\n"), Some(Y4mError::Header("no width")));
        assert_eq!(header("YUV4MPEG2 W2\n"), Some(Y4mError::Header("no height")));
        assert_eq!(header("YUV4MPEG2 W-4 H2\n"), Some(Y4mError::Header("width")));
        assert_eq!(header("YUV4MPEG2 W99999999999999999999 H2\n"), Some(Y4mError::Header("width")));
        assert_eq!(header("YUV4MPEG2 W65536 H65536\n"), Some(Y4mError::Size { width: 65536, height: 65536 }));
        assert_eq!(header("YUV4MPEG2 W0 H0\n"), Some(Y4mError::Size { width: 0, height: 0 }));
        assert_eq!(header("YUV4MPEG2 W2 H2 F30:0\n"), Some(Y4mError::Header("frame rate")));
        assert_eq!(header("YUV4MPEG2 W2 H2 F30\n"), Some(Y4mError::Header("frame rate")));
        assert_eq!(header("YUV4MPEG2 W2 H2 C420p10\n"), Some(Y4mError::Unsupported("C420p10".into())));
        assert_eq!(header("YUV4MPEG2 W2 H2 It\n"), Some(Y4mError::Unsupported("It".into())));
        assert_eq!(header("YUV4MPEG2 W2 H2 é\n"), Some(Y4mError::Header("a parameter is not text")));
    }

    #[test]
    fn a_file_that_ends_inside_a_picture_is_truncated_and_a_missing_frame_mark_is_noticed() {
        let mut bytes = b"YUV4MPEG2 W4 H2\nFRAME\n".to_vec();
        bytes.extend(0..11);
        assert_eq!(read(bytes.clone()).err(), Some(Y4mError::Truncated));
        bytes.extend(b"xFRAM");
        assert_eq!(read(bytes).err(), Some(Y4mError::Truncated));
        let mut other = b"YUV4MPEG2 W4 H2\nFRAMES\n".to_vec();
        other.extend(0..12);
        assert_eq!(read(other).err(), Some(Y4mError::Header("no FRAME where one must be")));
        let long = [b"YUV4MPEG2 W4 H2\nFRAME ".to_vec(), vec![b'x'; 5000]].concat();
        assert_eq!(read(long).err(), Some(Y4mError::Header("a line is too long")));
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Y4mReader::open(&folder.path().join("none.y4m")).err(), Some(Y4mError::NotFound));
        assert_eq!(Y4mWriter::create(&folder.path().join("none/none.y4m"), 30).err(), Some(Y4mError::NotFound));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_after_the_magic_are_answered_without_a_panic(rest in "[ WHFCIX0-9:p\\nFRAME]{0,60}") {
            for picture in read(format!("YUV4MPEG2 {rest}").into_bytes()).unwrap_or_default() {
                assert!(well_formed(&picture));
            }
        }
    }

    #[test]
    fn a_stamp_outlasts_the_change_to_the_size_of_the_first() {
        let mut writer = Y4mWriter::new(Vec::new(), 30);
        let stamped = |width, height, counter| {
            let mut picture = Picture::black(width, height, std::time::Instant::now());
            stamp::write(&mut picture, stamp::Stamp::new(counter, 1_000));
            picture
        };
        writer.write(&stamped(1280, 720, 7)).unwrap();
        writer.write(&stamped(640, 360, 8)).unwrap();
        let mut reader = Y4mReader::new(std::io::Cursor::new(writer.finish().unwrap())).unwrap();
        for counter in [7, 8] {
            let picture = reader.next_picture().unwrap().unwrap();
            assert_eq!((picture.width, picture.height), (1280, 720));
            assert_eq!(stamp::read(&picture).map(|stamp| stamp.counter), Some(counter));
        }
    }
}
