//! Pictures on their way to the screen: the newest of each, converted only when it is new and its tile is drawn, by the
//! graphics card where it can.

use std::collections::HashMap;
use std::sync::Arc;

use egui::epaint::RectShape;
use egui::{
    Color32, ColorImage, Context, CornerRadius, Rect, Shape, TextureHandle, TextureId, TextureOptions, Ui, Vec2, vec2,
};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgba};

use super::gpu_pictures::{Gpu, GpuPicture};
use super::shader;
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

/// A picture that can be painted.
#[derive(Clone)]
pub(crate) struct Drawable {
    size: Vec2,
    by: By,
}

#[derive(Clone)]
enum By {
    Texture(TextureId),
    Gpu(Arc<GpuPicture>),
}

impl Drawable {
    /// Its width and height in pixels.
    pub(crate) fn size(&self) -> Vec2 {
        self.size
    }

    /// `part` of it (shares of its width and height; left and right may be exchanged) in `place`, with round corners.
    pub(crate) fn shape(&self, place: Rect, part: Rect, corner: u8) -> Shape {
        match &self.by {
            By::Gpu(picture) => picture.shape(place, part, f32::from(corner)),
            By::Texture(texture) => {
                RectShape::filled(place, CornerRadius::same(corner), Color32::WHITE).with_texture(*texture, part).into()
            }
        }
    }
}

enum Kept {
    Nothing,
    Texture(TextureHandle),
    Gpu(Arc<GpuPicture>, Vec2),
}

struct Shown {
    serial: u64,
    kept: Kept,
    drawn: bool,
}

/// The textures of all tiles.
#[derive(Default)]
pub(crate) struct Textures {
    gpu: Option<Gpu>,
    shown: HashMap<Source, Shown>,
    converted: u64,
}

impl Textures {
    /// Pictures are converted by the graphics card from now on.
    pub(crate) fn use_gpu(&mut self, gpu: Gpu) {
        self.gpu = Some(gpu);
    }

    /// The newest picture of `source`; `None` if there is none.
    pub(crate) fn newest(&mut self, ctx: &Context, source: Source, latest: &Latest<Picture>) -> Option<Drawable> {
        if self.gpu.as_ref().is_some_and(Gpu::failed) {
            self.gpu = None;
            self.shown.clear();
        }
        // Read before the picture: one that arrives in between is then converted at the next call, not missed.
        let serial = latest.serial();
        let shown = self.shown.entry(source).or_insert(Shown { serial: 0, kept: Kept::Nothing, drawn: true });
        shown.drawn = true;
        if shown.serial != serial || matches!(shown.kept, Kept::Nothing) {
            shown.serial = serial;
            let most = ctx.input(|input| input.max_texture_side);
            let picture = latest.peek().filter(|picture| shader::whole(picture, most));
            let before = std::mem::replace(&mut shown.kept, Kept::Nothing);
            shown.kept = match (picture, &self.gpu) {
                (None, _) => Kept::Nothing,
                (Some(picture), Some(gpu)) => {
                    let size = vec2(picture.width as f32, picture.height as f32);
                    match before {
                        Kept::Gpu(kept, _) => {
                            kept.put(picture);
                            Kept::Gpu(kept, size)
                        }
                        _ => Kept::Gpu(Arc::new(gpu.picture(picture)), size),
                    }
                }
                (Some(picture), None) => match (rgba(&picture), before) {
                    (None, _) => Kept::Nothing,
                    (Some(image), Kept::Texture(mut texture)) => {
                        texture.set(image, TextureOptions::LINEAR);
                        Kept::Texture(texture)
                    }
                    (Some(image), _) => {
                        let name = format!("picture {source:?}");
                        Kept::Texture(ctx.load_texture(name, image, TextureOptions::LINEAR))
                    }
                },
            };
            self.converted += u64::from(!matches!(shown.kept, Kept::Nothing));
        }
        match &shown.kept {
            Kept::Nothing => None,
            Kept::Texture(texture) => Some(Drawable { size: texture.size_vec2(), by: By::Texture(texture.id()) }),
            Kept::Gpu(picture, size) => Some(Drawable { size: *size, by: By::Gpu(picture.clone()) }),
        }
    }

    /// Gives back the textures that no tile has asked for since the last call. Call it once at the end of a pass.
    pub(crate) fn sweep(&mut self, ui: &Ui) {
        self.shown.retain(|_, shown| std::mem::take(&mut shown.drawn));
        if let Some(shape) = self.gpu.as_ref().and_then(|gpu| gpu.sweep(ui.max_rect())) {
            ui.painter().add(shape);
        }
    }

    /// Pictures converted so far.
    #[cfg(test)]
    pub(crate) fn converted(&self) -> u64 {
        self.converted
    }
}

/// `picture` in RGBA, or `None` if its planes do not fit its size.
fn rgba(picture: &Picture) -> Option<ColorImage> {
    let (width, height) = (picture.width, picture.height);
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
            let image = rgba(&plain(64, 36, [luma, 128, 128])).unwrap();
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
        assert!(near(&rgba(&plain(1280, 720, [63, 102, 240])).unwrap()));
        assert!(near(&rgba(&plain(640, 360, [81, 90, 240])).unwrap()));
        assert!(!near(&rgba(&plain(640, 360, [63, 102, 240])).unwrap()));
    }

    #[test]
    fn a_picture_whose_planes_are_short_is_not_shown() {
        let mut picture = plain(64, 36, [16, 128, 128]);
        picture.u.truncate(10);
        assert!(rgba(&picture).is_none());
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
    fn a_picture_larger_than_a_texture_can_be_is_not_shown() {
        let ctx = Context::default();
        let most = ctx.input(|input| input.max_texture_side);
        let latest = Latest::default();
        latest.put(Arc::new(plain(most + 2, 2, [100, 128, 128])));
        assert!(Textures::default().newest(&ctx, Source::Own, &latest).is_none());
    }

    #[test]
    fn textures_of_tiles_that_are_gone_are_given_back() {
        let ctx = Context::default();
        let mut textures = Textures::default();
        let latest = Latest::default();
        latest.put(Arc::new(plain(64, 36, [100, 128, 128])));
        let mut left = Vec::new();
        for drawn in [true, false] {
            let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
                if drawn {
                    textures.newest(ui.ctx(), Source::Peer(1), &latest);
                }
                textures.sweep(ui);
                left.push(textures.shown.len());
            });
            output.textures_delta.clear();
        }
        assert_eq!(left.first(), Some(&1));
        assert_eq!(left.last(), Some(&0));
    }
}
