//! A picture as a PNG file.

use super::convert::{self, ConvertError};
use super::frame::Picture;

/// Why no PNG came out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The picture's planes do not fit its size.
    #[error(transparent)]
    Picture(#[from] ConvertError),
    /// The encoder refused.
    #[error("png: {0}")]
    Encode(#[from] png::EncodingError),
}

/// `picture` as the bytes of an 8-bit RGB PNG in sRGB.
///
/// # Errors
/// If the planes do not fit the size. Writing into memory does not fail otherwise.
pub fn png(picture: &Picture) -> Result<Vec<u8>, SnapshotError> {
    let rgb = convert::to_rgb(picture)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn colour_of(width: usize, height: usize, (y, u, v): (u8, u8, u8)) -> [u8; 3] {
        let mut picture = Picture::black(width, height, Instant::now());
        picture.y.fill(y);
        picture.u.fill(u);
        picture.v.fill(v);
        let bytes = png(&picture).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        assert_eq!((reader.info().width as usize, reader.info().height as usize), (width, height));
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut rgb).unwrap();
        [rgb[0], rgb[1], rgb[2]]
    }

    #[test]
    fn red_is_red_in_either_matrix() {
        // Pure red by BT.709 at 720 lines and by BT.601 below, limited range (ITU-R BT.709-6 §3, BT.601-7 §2.5).
        for (rgb, width, height) in
            [(colour_of(1280, 720, (63, 102, 240)), 1280, 720), (colour_of(640, 360, (82, 90, 240)), 640, 360)]
        {
            assert!(rgb[0] >= 252 && rgb[1] <= 4 && rgb[2] <= 4, "{width}x{height}: {rgb:?}");
        }
    }

    #[test]
    fn black_and_white_take_the_whole_range() {
        assert_eq!(colour_of(64, 48, (16, 128, 128)), [0, 0, 0]);
        assert_eq!(colour_of(64, 48, (235, 128, 128)), [255, 255, 255]);
    }

    #[test]
    fn a_picture_whose_planes_do_not_fit_is_refused() {
        let mut picture = Picture::black(64, 48, Instant::now());
        picture.u.pop();
        assert!(matches!(png(&picture), Err(SnapshotError::Picture(_))));
    }
}
