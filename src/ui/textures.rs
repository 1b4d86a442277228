//! Pictures on their way to the screen: the newest of each, converted only when it is new and its tile is drawn.

use std::collections::HashMap;

use egui::{ColorImage, Context, TextureHandle, TextureId, TextureOptions, Vec2};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgba};

use crate::engine::view::PeerId;
use crate::media::frame::{Latest, Picture};

/// Whose picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// One's own.
    Own,
    /// A peer's.
    Peer(PeerId),
}

struct Shown {
    serial: u64,
    texture: Option<TextureHandle>,
    drawn: bool,
}

/// The textures of all tiles.
#[derive(Default)]
pub(crate) struct Textures {
    shown: HashMap<Source, Shown>,
    converted: u64,
}

impl Textures {
    /// The newest picture of `source` as a texture, with its size in pixels; `None` if there is none.
    pub(crate) fn newest(
        &mut self,
        ctx: &Context,
        source: Source,
        latest: &Latest<Picture>,
    ) -> Option<(TextureId, Vec2)> {
        // Read before the picture: one that arrives in between is then converted at the next call, not missed.
        let serial = latest.serial();
        let shown = self.shown.entry(source).or_insert(Shown { serial: 0, texture: None, drawn: true });
        shown.drawn = true;
        if shown.serial != serial || shown.texture.is_none() {
            shown.serial = serial;
            let most = ctx.input(|input| input.max_texture_side);
            match latest.peek().as_deref().and_then(|picture| rgba(picture, most)) {
                None => shown.texture = None,
                Some(image) => {
                    self.converted += 1;
                    match &mut shown.texture {
                        Some(texture) => texture.set(image, TextureOptions::LINEAR),
                        None => {
                            let name = format!("picture {source:?}");
                            shown.texture = Some(ctx.load_texture(name, image, TextureOptions::LINEAR));
                        }
                    }
                }
            }
        }
        shown.texture.as_ref().map(|texture| (texture.id(), texture.size_vec2()))
    }

    /// Gives back the textures that no tile has asked for since the last call. Call it once at the end of a pass.
    pub(crate) fn sweep(&mut self) {
        self.shown.retain(|_, shown| std::mem::take(&mut shown.drawn));
    }

    /// Pictures converted so far.
    #[cfg(test)]
    pub(crate) fn converted(&self) -> u64 {
        self.converted
    }
}

/// `picture` in RGBA, or `None` if its planes do not fit its size or it is wider or higher than `most` pixels.
fn rgba(picture: &Picture, most: usize) -> Option<ColorImage> {
    let (width, height) = (picture.width, picture.height);
    if width == 0 || height == 0 || width > most || height > most {
        return None;
    }
    let planes = YuvPlanarImage {
        y_plane: &picture.y,
        y_stride: u32::try_from(width).ok()?,
        u_plane: &picture.u,
        u_stride: u32::try_from(width / 2).ok()?,
        v_plane: &picture.v,
        v_stride: u32::try_from(width / 2).ok()?,
        width: u32::try_from(width).ok()?,
        height: u32::try_from(height).ok()?,
    };
    let matrix = if height >= 720 { YuvStandardMatrix::Bt709 } else { YuvStandardMatrix::Bt601 };
    let mut image = ColorImage::filled([width, height], egui::Color32::BLACK);
    yuv420_to_rgba(&planes, image.as_raw_mut(), planes.width * 4, YuvRange::Limited, matrix).ok()?;
    Some(image)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    fn plain(width: usize, height: usize, [y, u, v]: [u8; 3]) -> Picture {
        let mut picture = Picture::black(width, height, Instant::now());
        picture.y.fill(y);
        picture.u.fill(u);
        picture.v.fill(v);
        picture
    }

    #[test]
    fn limited_range_black_and_white_are_black_and_white() {
        for (luma, expected) in [(16, 0), (235, 255)] {
            let image = rgba(&plain(64, 36, [luma, 128, 128]), 4096).unwrap();
            for pixel in &image.pixels {
                assert_eq!((pixel.r(), pixel.g(), pixel.b(), pixel.a()), (expected, expected, expected, 255));
            }
        }
    }

    #[test]
    fn large_pictures_use_the_other_matrix() {
        // Pure red in BT.709 (63, 102, 240) and in BT.601 (81, 90, 240).
        let near = |image: &ColorImage| {
            let pixel = image.pixels[0];
            pixel.r() >= 252 && pixel.g() <= 3 && pixel.b() <= 3
        };
        assert!(near(&rgba(&plain(1280, 720, [63, 102, 240]), 4096).unwrap()));
        assert!(near(&rgba(&plain(640, 360, [81, 90, 240]), 4096).unwrap()));
        assert!(!near(&rgba(&plain(640, 360, [63, 102, 240]), 4096).unwrap()));
    }

    #[test]
    fn a_picture_whose_planes_are_short_is_not_shown() {
        let mut picture = plain(64, 36, [16, 128, 128]);
        picture.u.truncate(10);
        assert!(rgba(&picture, 4096).is_none());
        assert!(rgba(&plain(64, 36, [16, 128, 128]), 32).is_none());
    }

    #[test]
    fn a_picture_is_converted_once_however_often_it_is_drawn() {
        let ctx = Context::default();
        let mut textures = Textures::default();
        let latest = Latest::default();
        assert!(textures.newest(&ctx, Source::Own, &latest).is_none());
        latest.put(Arc::new(plain(64, 36, [100, 128, 128])));
        for _ in 0..3 {
            assert!(textures.newest(&ctx, Source::Own, &latest).is_some());
        }
        assert_eq!(textures.converted(), 1);
        latest.put(Arc::new(plain(64, 36, [120, 128, 128])));
        assert!(textures.newest(&ctx, Source::Own, &latest).is_some());
        assert_eq!(textures.converted(), 2);
        latest.clear();
        assert!(textures.newest(&ctx, Source::Own, &latest).is_none());
    }

    #[test]
    fn textures_of_tiles_that_are_gone_are_given_back() {
        let ctx = Context::default();
        let mut textures = Textures::default();
        let latest = Latest::default();
        latest.put(Arc::new(plain(64, 36, [100, 128, 128])));
        textures.newest(&ctx, Source::Peer(1), &latest);
        textures.sweep();
        assert_eq!(textures.shown.len(), 1);
        textures.sweep();
        assert!(textures.shown.is_empty());
    }
}
