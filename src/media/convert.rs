//! Pixels between the layouts that cameras, the codec and the window use.
//!
//! Everything inside Conclave is [`Picture`]: I420, limited range, BT.709 from 720 lines up and BT.601 below. USB cameras send
//! BT.601 at any size (USB Video Class 1.5 §3.9.2.6, the default) and JPEG is BT.601 in full range (JFIF 1.02), so that a large
//! picture from either has its colours moved, not only its bytes.

use std::time::Instant;

use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::frame::Picture;

/// Widest picture taken from a device, a file or a peer.
pub const MAX_WIDTH: usize = 4096;
/// Highest picture taken from a device, a file or a peer.
pub const MAX_HEIGHT: usize = 2304;

/// Why pixels could not be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// Fewer bytes than the size asks for.
    #[error("{got} bytes where a picture of this size takes {need}")]
    TooShort {
        /// Bytes needed.
        need: usize,
        /// Bytes found.
        got: usize,
    },
    /// No width, no height, or more than [`MAX_WIDTH`] × [`MAX_HEIGHT`].
    #[error("a picture of {width}x{height} pixels is out of bounds")]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The JPEG data is damaged.
    #[error("the jpeg data is damaged")]
    Jpeg,
    /// The planes of a picture do not fit its size.
    #[error("the planes do not fit the size of the picture")]
    Planes,
}

/// How the bytes of a camera are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelLayout {
    /// Packed 4:2:2, Y0 U Y1 V.
    Yuyv,
    /// Luma plane, then one plane of U and V in turn at a quarter of the pixels.
    Nv12,
    /// One JPEG per picture, possibly without Huffman tables and with bytes after its end.
    Mjpeg,
    /// Luma alone, full range.
    Gray,
    /// Packed R, G, B.
    Rgb,
    /// Packed B, G, R.
    Bgr,
}

/// One picture as a device hands it over. `data` may be longer than the picture.
#[derive(Clone, Copy)]
pub struct RawPicture<'a> {
    /// Layout of `data`.
    pub layout: PixelLayout,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The bytes, rows without padding.
    pub data: &'a [u8],
}

/// Which YCbCr: the matrix and the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// BT.709 if true, else BT.601.
    pub bt709: bool,
    /// 0–255 if true, else 16–235 (luma) and 16–240 (chroma).
    pub full: bool,
}

impl Colours {
    /// What a [`Picture`] of `height` lines holds.
    pub fn of(height: usize) -> Self {
        Self { bt709: height >= 720, full: false }
    }

    /// What USB cameras send.
    pub const CAMERA: Self = Self { bt709: false, full: false };

    fn weights(self) -> (f32, f32) {
        if self.bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) }
    }

    /// Offset of luma, span of luma, span of chroma.
    fn spans(self) -> (f32, f32, f32) {
        if self.full { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) }
    }

    fn matrix(self) -> YuvStandardMatrix {
        if self.bt709 { YuvStandardMatrix::Bt709 } else { YuvStandardMatrix::Bt601 }
    }
}

fn bounded(width: usize, height: usize) -> Result<(usize, usize), ConvertError> {
    if width < 2 || height < 2 || width > MAX_WIDTH || height > MAX_HEIGHT {
        return Err(ConvertError::Size { width, height });
    }
    Ok((width & !1, height & !1))
}

/// `data` cut to `need` bytes.
fn exactly(data: &[u8], need: usize) -> Result<&[u8], ConvertError> {
    data.get(..need).ok_or(ConvertError::TooShort { need, got: data.len() })
}

fn blank(width: usize, height: usize, taken: Instant) -> Picture {
    let chroma = width * height / 4;
    Picture { width, height, y: vec![0; width * height], u: vec![0; chroma], v: vec![0; chroma], taken }
}

fn planes_mut(picture: &mut Picture) -> YuvPlanarImageMut<'_, u8> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut picture.y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(&mut picture.u),
        u_stride: width / 2,
        v_plane: BufferStoreMut::Borrowed(&mut picture.v),
        v_stride: width / 2,
        width,
        height,
    }
}

fn planes(picture: &Picture) -> Result<YuvPlanarImage<'_, u8>, ConvertError> {
    let (width, height) = (picture.width, picture.height);
    if !well_formed(picture) {
        return Err(ConvertError::Planes);
    }
    Ok(YuvPlanarImage {
        y_plane: &picture.y,
        y_stride: width as u32,
        u_plane: &picture.u,
        u_stride: width as u32 / 2,
        v_plane: &picture.v,
        v_stride: width as u32 / 2,
        width: width as u32,
        height: height as u32,
    })
}

/// Whether the size is even and in bounds and the planes fit it.
pub fn well_formed(picture: &Picture) -> bool {
    let (width, height) = (picture.width, picture.height);
    bounded(width, height) == Ok((width, height))
        && picture.y.len() == width * height
        && picture.u.len() == width * height / 4
        && picture.v.len() == width * height / 4
}

/// A device's picture as I420 in the colours of [`Picture`]. An odd last row or column is left out.
///
/// # Errors
/// [`ConvertError::TooShort`] for missing bytes, [`ConvertError::Size`] out of bounds, [`ConvertError::Jpeg`] for damaged JPEG.
pub fn to_picture(raw: RawPicture<'_>, taken: Instant) -> Result<Picture, ConvertError> {
    if raw.layout == PixelLayout::Mjpeg {
        return from_jpeg(raw.data, taken);
    }
    let (width, height) = bounded(raw.width, raw.height)?;
    let full_width = raw.width;
    let mut picture = blank(width, height, taken);
    match raw.layout {
        PixelLayout::Yuyv => {
            let stride = full_width.next_multiple_of(2) * 2;
            from_yuyv(exactly(raw.data, stride * height)?, stride, &mut picture);
            recolour(&mut picture, camera_colours(height), Colours::of(height));
        }
        PixelLayout::Nv12 => {
            let chroma_stride = full_width.next_multiple_of(2);
            let luma_bytes = full_width * raw.height;
            let data = exactly(raw.data, luma_bytes + chroma_stride * (height / 2))?;
            let (luma, chroma) = data.split_at(luma_bytes);
            for (to, from) in picture.y.chunks_exact_mut(width).zip(luma.chunks_exact(full_width)) {
                to.copy_from_slice(&from[..width]);
            }
            let rows = picture.u.chunks_exact_mut(width / 2).zip(picture.v.chunks_exact_mut(width / 2));
            for ((u, v), from) in rows.zip(chroma.chunks_exact(chroma_stride)) {
                for ((u, v), pair) in u.iter_mut().zip(v).zip(from.chunks_exact(2)) {
                    *u = pair[0];
                    *v = pair[1];
                }
            }
            recolour(&mut picture, camera_colours(height), Colours::of(height));
        }
        PixelLayout::Gray => {
            let data = exactly(raw.data, full_width * height)?;
            for (to, from) in picture.y.chunks_exact_mut(width).zip(data.chunks_exact(full_width)) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = (16 + (u32::from(*from) * 219 + 127) / 255) as u8;
                }
            }
            picture.u.fill(128);
            picture.v.fill(128);
        }
        PixelLayout::Rgb | PixelLayout::Bgr => {
            let data = exactly(raw.data, full_width * 3 * height)?;
            fill_from_rgb(&mut picture, data, full_width * 3, raw.layout == PixelLayout::Bgr)?;
        }
        PixelLayout::Mjpeg => return Err(ConvertError::Jpeg),
    }
    Ok(picture)
}

/// By hand, because crate `yuv` takes the chroma of one row of two instead of the mean.
fn from_yuyv(data: &[u8], stride: usize, picture: &mut Picture) {
    let width = picture.width;
    let rows = picture.y.chunks_exact_mut(width * 2).zip(data.chunks_exact(stride * 2));
    let chroma = picture.u.chunks_exact_mut(width / 2).zip(picture.v.chunks_exact_mut(width / 2));
    for ((luma, packed), (u, v)) in rows.zip(chroma) {
        let (upper, lower) = luma.split_at_mut(width);
        let (above, below) = packed.split_at(stride);
        let luma = upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2));
        let packed = above.chunks_exact(4).zip(below.chunks_exact(4));
        for (((upper, lower), (above, below)), (u, v)) in luma.zip(packed).zip(u.iter_mut().zip(v)) {
            (upper[0], upper[1], lower[0], lower[1]) = (above[0], above[2], below[0], below[2]);
            *u = above[1].midpoint(below[1]);
            *v = above[3].midpoint(below[3]);
        }
    }
}

/// Apple's cameras say BT.709 for large pictures; everything else is USB Video Class.
fn camera_colours(height: usize) -> Colours {
    if cfg!(target_os = "macos") { Colours::of(height) } else { Colours::CAMERA }
}

fn fill_from_rgb(picture: &mut Picture, rgb: &[u8], stride: usize, bgr: bool) -> Result<(), ConvertError> {
    let matrix = Colours::of(picture.height).matrix();
    let convert = if bgr { yuv::bgr_to_yuv420 } else { yuv::rgb_to_yuv420 };
    let mut target = planes_mut(picture);
    convert(&mut target, rgb, stride as u32, YuvRange::Limited, matrix, YuvConversionMode::Balanced)
        .map_err(|_| ConvertError::Planes)
}

fn from_jpeg(data: &[u8], taken: Instant) -> Result<Picture, ConvertError> {
    // Cameras leave the Huffman tables out; the marker of AVI files makes the decoder put the usual ones in.
    const AVI_MARKER: [u8; 9] = [0xff, 0xe0, 0, 7, b'A', b'V', b'I', b'1', 0];
    let with_marker;
    let data = if lacks_huffman_tables(data) {
        with_marker = [&data[..2], &AVI_MARKER, &data[2..]].concat();
        &with_marker
    } else {
        data
    };
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(MAX_WIDTH)
        .set_max_height(MAX_HEIGHT);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
    let rgb = decoder.decode().map_err(|_| ConvertError::Jpeg)?;
    let info = decoder.info().ok_or(ConvertError::Jpeg)?;
    let full_width = usize::from(info.width);
    let (width, height) = bounded(full_width, usize::from(info.height))?;
    let rgb = exactly(&rgb, full_width * 3 * height)?;
    let mut picture = blank(width, height, taken);
    fill_from_rgb(&mut picture, rgb, full_width * 3, false)?;
    Ok(picture)
}

/// Whether the JPEG begins rightly and no DHT segment comes before its first scan (ITU-T T.81 §B.1.1.3).
fn lacks_huffman_tables(data: &[u8]) -> bool {
    if !data.starts_with(&[0xff, 0xd8]) {
        return false;
    }
    let mut rest = &data[2..];
    loop {
        match rest {
            [0xff, 0xc4, ..] => return false,
            [0xff, 0xda, ..] => return true,
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, _, high, low, ..] => match rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..) {
                Some(next) => rest = next,
                None => return false,
            },
            _ => return false,
        }
    }
}

/// Moves the colours of `picture` from one YCbCr to another, in place.
pub fn recolour(picture: &mut Picture, from: Colours, to: Colours) {
    if from == to || !well_formed(picture) {
        return;
    }
    let ((from_red, from_blue), (red, blue)) = (from.weights(), to.weights());
    let ((from_black, from_luma, from_chroma), (black, luma, chroma)) = (from.spans(), to.spans());
    // The target's luma and chroma for a unit of the source's Cb and Cr; luma alone maps to luma alone.
    let unit = |cb: f32, cr: f32| {
        let (r, b) = (2.0 * (1.0 - from_red) * cr, 2.0 * (1.0 - from_blue) * cb);
        let g = -(from_red * r + from_blue * b) / (1.0 - from_red - from_blue);
        let y = red * r + blue * b + (1.0 - red - blue) * g;
        (y, (b - y) / (2.0 * (1.0 - blue)), (r - y) / (2.0 * (1.0 - red)))
    };
    let fixed = |value: f32| (value * 16384.0).round() as i32;
    let (from_cb, from_cr) = (unit(1.0, 0.0), unit(0.0, 1.0));
    let (to_luma, to_chroma) = (luma / from_chroma, chroma / from_chroma);
    let (y_cb, y_cr) = (fixed(from_cb.0 * to_luma), fixed(from_cr.0 * to_luma));
    let (u_cb, u_cr) = (fixed(from_cb.1 * to_chroma), fixed(from_cr.1 * to_chroma));
    let (v_cb, v_cr) = (fixed(from_cb.2 * to_chroma), fixed(from_cr.2 * to_chroma));
    let gain = fixed(luma / from_luma);
    let base = fixed(black - from_black * luma / from_luma) + 8192;
    let half = (128 << 14) + 8192;

    let width = picture.width;
    let chroma_rows = picture.u.chunks_exact_mut(width / 2).zip(picture.v.chunks_exact_mut(width / 2));
    let mut shares = vec![0i32; width / 2];
    for (rows, (u, v)) in picture.y.chunks_exact_mut(width * 2).zip(chroma_rows) {
        for (share, (u, v)) in shares.iter_mut().zip(u.iter_mut().zip(v)) {
            let (cb, cr) = (i32::from(*u) - 128, i32::from(*v) - 128);
            *share = base + y_cb * cb + y_cr * cr;
            *u = ((half + u_cb * cb + u_cr * cr) >> 14).clamp(0, 255) as u8;
            *v = ((half + v_cb * cb + v_cr * cr) >> 14).clamp(0, 255) as u8;
        }
        for row in rows.chunks_exact_mut(width) {
            for (pair, share) in row.chunks_exact_mut(2).zip(&shares) {
                pair[0] = ((i32::from(pair[0]) * gain + share) >> 14).clamp(0, 255) as u8;
                pair[1] = ((i32::from(pair[1]) * gain + share) >> 14).clamp(0, 255) as u8;
            }
        }
    }
}

/// `picture` as R, G, B, A (255) rows without padding, into `rgba`, whose memory is used again.
///
/// # Errors
/// [`ConvertError::Planes`] if the planes do not fit the size; `rgba` is then left as it was.
pub fn to_rgba_into(picture: &Picture, rgba: &mut Vec<u8>) -> Result<(), ConvertError> {
    let image = planes(picture)?;
    rgba.resize(picture.width * picture.height * 4, 255);
    let matrix = Colours::of(picture.height).matrix();
    yuv::yuv420_to_rgba(&image, rgba, picture.width as u32 * 4, YuvRange::Limited, matrix)
        .map_err(|_| ConvertError::Planes)
}

/// `picture` as R, G, B, A (255) rows without padding.
///
/// # Errors
/// [`ConvertError::Planes`] if the planes do not fit the size.
pub fn to_rgba(picture: &Picture) -> Result<Vec<u8>, ConvertError> {
    let mut rgba = Vec::new();
    to_rgba_into(picture, &mut rgba)?;
    Ok(rgba)
}

/// `picture` as R, G, B rows without padding.
///
/// # Errors
/// [`ConvertError::Planes`] if the planes do not fit the size.
pub fn to_rgb(picture: &Picture) -> Result<Vec<u8>, ConvertError> {
    let image = planes(picture)?;
    let mut rgb = vec![0; picture.width * picture.height * 3];
    let matrix = Colours::of(picture.height).matrix();
    yuv::yuv420_to_rgb(&image, &mut rgb, picture.width as u32 * 3, YuvRange::Limited, matrix)
        .map_err(|_| ConvertError::Planes)?;
    Ok(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, seed: u32) -> Vec<u8> {
        let mut state = seed | 1;
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 9) as u8
            })
            .collect()
    }

    /// Colours that change slowly, in range, so that rounding and not clipping is what is measured.
    fn smooth(width: usize, height: usize) -> Picture {
        let mut picture = blank(width, height, Instant::now());
        for (index, luma) in picture.y.iter_mut().enumerate() {
            *luma = (60 + index % width * 120 / width) as u8;
        }
        for index in 0..picture.u.len() {
            picture.u[index] = (108 + index % (width / 2) * 40 / (width / 2)) as u8;
            picture.v[index] = (112 + index / (width / 2) * 36 / (height / 2)) as u8;
        }
        picture
    }

    fn to_rgb_slowly(y: u8, u: u8, v: u8, colours: Colours) -> [f64; 3] {
        let (red, blue) = if colours.bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
        let (y, u, v) = if colours.full {
            (f64::from(y) / 255.0, (f64::from(u) - 128.0) / 255.0, (f64::from(v) - 128.0) / 255.0)
        } else {
            ((f64::from(y) - 16.0) / 219.0, (f64::from(u) - 128.0) / 224.0, (f64::from(v) - 128.0) / 224.0)
        };
        let (r, b) = (y + 2.0 * (1.0 - red) * v, y + 2.0 * (1.0 - blue) * u);
        [r, (y - red * r - blue * b) / (1.0 - red - blue), b].map(|channel| channel.clamp(0.0, 1.0) * 255.0)
    }

    fn to_yuv_slowly([r, g, b]: [f64; 3], colours: Colours) -> [f64; 3] {
        let (red, blue) = if colours.bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
        let y = (red * r + (1.0 - red - blue) * g + blue * b) / 255.0;
        let (u, v) = ((b / 255.0 - y) / (2.0 * (1.0 - blue)), (r / 255.0 - y) / (2.0 * (1.0 - red)));
        [16.0 + 219.0 * y, 128.0 + 224.0 * u, 128.0 + 224.0 * v]
    }

    fn near(got: u8, want: f64, tolerance: f64, what: &str) {
        assert!((f64::from(got) - want).abs() <= tolerance, "{what}: {got} for {want:.2}");
    }

    #[test]
    fn yuyv_below_720_lines_keeps_every_luma_and_averages_chroma() {
        let (width, height) = (64, 48);
        let data = noise(width * height * 2, 7);
        let picture =
            to_picture(RawPicture { layout: PixelLayout::Yuyv, width, height, data: &data }, Instant::now()).unwrap();
        for (index, luma) in picture.y.iter().enumerate() {
            assert_eq!(*luma, data[index * 2]);
        }
        for row in 0..height / 2 {
            for column in 0..width / 2 {
                for (plane, offset) in [(&picture.u, 1), (&picture.v, 3)] {
                    let upper = data[row * 2 * width * 2 + column * 4 + offset];
                    let lower = data[(row * 2 + 1) * width * 2 + column * 4 + offset];
                    let want = (f64::from(upper) + f64::from(lower)) / 2.0;
                    near(plane[row * width / 2 + column], want, 1.0, "chroma");
                }
            }
        }
    }

    #[test]
    fn nv12_is_taken_apart_exactly_even_from_a_longer_buffer_of_odd_size() {
        let (width, height) = (67, 49);
        let data = noise(width * height + 68 * 24 + 100, 3);
        let picture =
            to_picture(RawPicture { layout: PixelLayout::Nv12, width, height, data: &data }, Instant::now()).unwrap();
        assert_eq!((picture.width, picture.height), (66, 48));
        for row in 0..48 {
            assert_eq!(picture.y[row * 66..row * 66 + 66], data[row * 67..row * 67 + 66]);
        }
        for row in 0..24 {
            for column in 0..33 {
                let at = 67 * 49 + row * 68 + column * 2;
                assert_eq!((picture.u[row * 33 + column], picture.v[row * 33 + column]), (data[at], data[at + 1]));
            }
        }
    }

    #[test]
    fn a_large_camera_picture_keeps_its_colours_when_the_matrix_changes() {
        let (width, height) = (1280, 720);
        let source = smooth(width, height);
        let mut moved = source.clone();
        recolour(&mut moved, Colours::CAMERA, Colours::of(720));
        for at in (0..width * height).step_by(997) {
            let chroma = at / width / 2 * (width / 2) + at % width / 2;
            let rgb = to_rgb_slowly(source.y[at], source.u[chroma], source.v[chroma], Colours::CAMERA);
            let want = to_yuv_slowly(rgb, Colours::of(720));
            near(moved.y[at], want[0], 1.0, "luma");
            near(moved.u[chroma], want[1], 1.0, "u");
            near(moved.v[chroma], want[2], 1.0, "v");
        }
    }

    #[test]
    fn full_range_becomes_limited_range() {
        let mut picture = blank(4, 2, Instant::now());
        picture.y.copy_from_slice(&[0, 255, 128, 64, 0, 255, 128, 64]);
        picture.u.fill(128);
        picture.v.fill(128);
        recolour(&mut picture, Colours { bt709: false, full: true }, Colours::of(2));
        assert_eq!(picture.y[..4], [16, 235, 126, 71]);
        assert_eq!((picture.u[0], picture.v[0]), (128, 128));
    }

    #[test]
    fn rgb_and_bgr_agree_with_the_slow_way_within_two() {
        for height in [360, 720] {
            let width = 64;
            let mut rgb = Vec::new();
            for row in 0..height {
                for column in 0..width {
                    rgb.extend([(40 + column / 2 * 6) as u8, (200 - row / 2 % 64 * 2) as u8, 90]);
                }
            }
            let bgr: Vec<u8> = rgb.chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
            for (layout, data) in [(PixelLayout::Rgb, &rgb), (PixelLayout::Bgr, &bgr)] {
                let picture = to_picture(RawPicture { layout, width, height, data }, Instant::now()).unwrap();
                for at in (0..width * height).step_by(13) {
                    let pixel = &rgb[at * 3..at * 3 + 3];
                    let want = to_yuv_slowly([pixel[0], pixel[1], pixel[2]].map(f64::from), Colours::of(height));
                    let chroma = at / width / 2 * (width / 2) + at % width / 2;
                    near(picture.y[at], want[0], 1.5, "luma");
                    near(picture.u[chroma], want[1], 2.0, "u");
                    near(picture.v[chroma], want[2], 2.0, "v");
                }
            }
        }
    }

    #[test]
    fn the_window_gets_the_colours_of_the_slow_way_within_two() {
        for (width, height) in [(640, 360), (1280, 720), (66, 50)] {
            let picture = smooth(width, height);
            let (rgba, rgb) = (to_rgba(&picture).unwrap(), to_rgb(&picture).unwrap());
            for at in (0..width * height).step_by(211) {
                let chroma = at / width / 2 * (width / 2) + at % width / 2;
                let want = to_rgb_slowly(picture.y[at], picture.u[chroma], picture.v[chroma], Colours::of(height));
                for channel in 0..3 {
                    near(rgba[at * 4 + channel], want[channel], 2.0, "rgba");
                    assert_eq!(rgba[at * 4 + channel], rgb[at * 3 + channel]);
                }
                assert_eq!(rgba[at * 4 + 3], 255);
            }
        }
    }

    #[test]
    fn gray_fills_the_limited_range_without_colour() {
        let data: Vec<u8> = (0..=255).collect();
        let raw = RawPicture { layout: PixelLayout::Gray, width: 16, height: 16, data: &data };
        let picture = to_picture(raw, Instant::now()).unwrap();
        assert_eq!((picture.y[0], picture.y[255]), (16, 235));
        assert!(picture.u.iter().chain(&picture.v).all(|chroma| *chroma == 128));
    }

    #[test]
    fn short_data_and_impossible_sizes_are_typed() {
        let convert = |layout, width, height, length: usize| {
            let data = vec![0; length];
            to_picture(RawPicture { layout, width, height, data: &data }, Instant::now()).err()
        };
        for (layout, need) in [
            (PixelLayout::Yuyv, 64 * 48 * 2),
            (PixelLayout::Nv12, 64 * 48 * 3 / 2),
            (PixelLayout::Gray, 64 * 48),
            (PixelLayout::Rgb, 64 * 48 * 3),
        ] {
            assert_eq!(convert(layout, 64, 48, need - 1), Some(ConvertError::TooShort { need, got: need - 1 }));
            assert_eq!(convert(layout, 64, 48, need), None);
            assert_eq!(convert(layout, 0, 48, 0), Some(ConvertError::Size { width: 0, height: 48 }));
            assert!(matches!(convert(layout, 100_000, 100_000, 16), Some(ConvertError::Size { .. })));
        }
        assert_eq!(convert(PixelLayout::Mjpeg, 64, 48, 100), Some(ConvertError::Jpeg));
        for length in 0..40 {
            let data = noise(length, length as u32);
            let data = [&[0xff, 0xd8][..], &data].concat();
            let raw = RawPicture { layout: PixelLayout::Mjpeg, width: 64, height: 48, data: &data };
            assert!(to_picture(raw, Instant::now()).is_err());
        }
    }

    /// An 8×8 grey JPEG (DC only) written out by hand, with the first DC table of ITU-T T.81 §K.3.1 or without any.
    fn small_jpeg(tables: bool) -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
        jpeg.extend([1; 64]);
        jpeg.extend([0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
        if tables {
            jpeg.extend([0xff, 0xc4, 0, 31, 0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
            jpeg.extend(0..12);
            // The four shortest codes of §K.3.2; end of block is 1010.
            jpeg.extend([0xff, 0xc4, 0, 23, 0x10, 0, 2, 1, 1]);
            jpeg.extend([0; 12]);
            jpeg.extend([1, 2, 3, 0]);
        }
        // DC difference of category 8 (code 111110), value 240; then end of block 1010; ones to the end of the byte.
        jpeg.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
        jpeg.extend([0b1111_1011, 0b1100_0010, 0b1011_1111, 0xff, 0xd9]);
        jpeg
    }

    #[test]
    fn a_jpeg_is_read_with_and_without_tables_and_with_bytes_after_its_end() {
        for tables in [true, false] {
            let mut data = small_jpeg(tables);
            assert_eq!(lacks_huffman_tables(&data), !tables);
            data.extend([0; 500]);
            let raw = RawPicture { layout: PixelLayout::Mjpeg, width: 8, height: 8, data: &data };
            let picture = to_picture(raw, Instant::now()).unwrap_or_else(|error| panic!("tables {tables}: {error}"));
            assert_eq!((picture.width, picture.height), (8, 8));
            // DC 240 / 8 + 128 = 158 in full range.
            for luma in &picture.y {
                near(*luma, 16.0 + 158.0 * 219.0 / 255.0, 1.5, "luma");
            }
        }
    }
}
