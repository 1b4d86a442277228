//! Pictures brought to the size that was asked for, with their proportions kept.
//!
//! A picture of another shape is cropped around its middle as long as three quarters of it stay (a 4:3 camera in a 16:9 call);
//! past that (a phone held upright) it is set between black bars. Only [`Scaler::stretch`] enlarges: as a rule the receiver's
//! window does that without costing bits.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::convert::well_formed;
use super::frame::Picture;

/// Least part of a picture that a crop may leave. 4:3 into 16:9 leaves 0.75; the rest is for rounding to even sizes.
const KEPT: f64 = 0.74;

/// What becomes of a picture: all numbers even, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Part of the source that is used: left, top, width, height.
    pub crop: (usize, usize, usize, usize),
    /// Size that this part is brought to.
    pub scaled: (usize, usize),
    /// Size of the result.
    pub size: (usize, usize),
    /// Where in the result the part lies: left, top. The rest is black.
    pub place: (usize, usize),
}

fn even(value: f64) -> usize {
    ((value / 2.0).round() as usize * 2).max(2)
}

/// How a picture of `source` pixels becomes one of at most `wanted` pixels (width, height; both even and at least 2).
pub fn plan(source: (usize, usize), wanted: (usize, usize)) -> Plan {
    let (width, height) = (source.0 as f64, source.1 as f64);
    let shape = wanted.0 as f64 / wanted.1 as f64;
    let (crop_width, crop_height) = (width.min(height * shape), height.min(width / shape));
    if crop_width * crop_height >= KEPT * width * height {
        let (crop_width, crop_height) = (even(crop_width).min(source.0), even(crop_height).min(source.1));
        let left = (source.0 - crop_width) / 4 * 2;
        let top = (source.1 - crop_height) / 4 * 2;
        let size = if crop_width >= wanted.0 && crop_height >= wanted.1 { wanted } else { (crop_width, crop_height) };
        return Plan { crop: (left, top, crop_width, crop_height), scaled: size, size, place: (0, 0) };
    }
    let factor = (wanted.0 as f64 / width).min(wanted.1 as f64 / height).min(1.0);
    let scaled = (even(width * factor).min(wanted.0), even(height * factor).min(wanted.1));
    let size = if factor < 1.0 {
        wanted
    } else {
        (even(width.max(height * shape)).max(scaled.0), even(height.max(width / shape)).max(scaled.1))
    };
    let place = ((size.0 - scaled.0) / 4 * 2, (size.1 - scaled.1) / 4 * 2);
    Plan { crop: (0, 0, source.0, source.1), scaled, size, place }
}

/// Brings pictures to one size. Keeps its tables from picture to picture.
pub struct Scaler {
    wanted: (usize, usize),
    resizer: Resizer,
}

impl Scaler {
    /// A scaler to at most `width × height`, each rounded down to an even number of at least 2.
    pub fn new(width: usize, height: usize) -> Self {
        Self { wanted: ((width & !1).max(2), (height & !1).max(2)), resizer: Resizer::new() }
    }

    /// `picture` by [`plan`], untouched if it has the right size already. A malformed one becomes black.
    pub fn fit(&mut self, picture: Picture) -> Picture {
        if !well_formed(&picture) {
            return Picture::black(self.wanted.0, self.wanted.1, picture.taken);
        }
        let plan = plan((picture.width, picture.height), self.wanted);
        if plan.size == (picture.width, picture.height) && plan.scaled == plan.size {
            return picture;
        }
        self.copy(&picture, &plan)
    }

    /// As [`fit`](Self::fit), with `picture` left as it is.
    pub fn fit_copy(&mut self, picture: &Picture) -> Picture {
        if !well_formed(picture) {
            return Picture::black(self.wanted.0, self.wanted.1, picture.taken);
        }
        let plan = plan((picture.width, picture.height), self.wanted);
        self.copy(picture, &plan)
    }

    /// `picture` at exactly the size that was asked for, larger or smaller, as a window shows it. One of another shape is fitted
    /// as in [`fit`](Self::fit).
    pub fn stretch(&mut self, picture: &Picture) -> Picture {
        let (source, size) = ((picture.width, picture.height), self.wanted);
        let (one, other) = (source.0 * size.1, source.1 * size.0);
        // Rounding to even sizes changes a shape by a pixel or two.
        if !well_formed(picture) || one.abs_diff(other) * 25 > other {
            return self.fit_copy(picture);
        }
        self.copy(picture, &Plan { crop: (0, 0, source.0, source.1), scaled: size, size, place: (0, 0) })
    }

    fn copy(&mut self, picture: &Picture, plan: &Plan) -> Picture {
        let mut result = Picture::black(plan.size.0, plan.size.1, picture.taken);
        let planes = [(&picture.y, &mut result.y, 1), (&picture.u, &mut result.u, 2), (&picture.v, &mut result.v, 2)];
        for (from, to, part) in planes {
            self.plane(from, picture.width / part, to, plan.size.0 / part, plan, part);
        }
        result
    }

    /// One plane; `part` is 2 for chroma, whose plane has half the width and height.
    fn plane(&mut self, from: &[u8], from_width: usize, to: &mut [u8], to_width: usize, plan: &Plan, part: usize) {
        let (left, top, width, height) =
            (plan.crop.0 / part, plan.crop.1 / part, plan.crop.2 / part, plan.crop.3 / part);
        let (scaled_width, scaled_height) = (plan.scaled.0 / part, plan.scaled.1 / part);
        let (x, y) = (plan.place.0 / part, plan.place.1 / part);
        if (width, height) == (scaled_width, scaled_height) {
            let rows = from.chunks_exact(from_width).skip(top).take(height);
            for (to, from) in to.chunks_exact_mut(to_width).skip(y).zip(rows) {
                to[x..x + width].copy_from_slice(&from[left..left + width]);
            }
            return;
        }
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
            left as f64,
            top as f64,
            width as f64,
            height as f64,
        );
        let from_height = from.len() / from_width;
        let Ok(source) = ImageRef::new(from_width as u32, from_height as u32, from, PixelType::U8) else { return };
        let mut scaled = Image::new(scaled_width as u32, scaled_height as u32, PixelType::U8);
        if self.resizer.resize(&source, &mut scaled, &options).is_err() {
            return;
        }
        let rows = scaled.buffer().chunks_exact(scaled_width);
        for (to, from) in to.chunks_exact_mut(to_width).skip(y).zip(rows) {
            to[x..x + scaled_width].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_is_stretched_fills_the_size_whether_it_was_smaller_or_larger() {
        let mut small = Picture::black(640, 360, Instant::now());
        small.y.fill(99);
        for wanted in [(1280, 720), (320, 180)] {
            let stretched = Scaler::new(wanted.0, wanted.1).stretch(&small);
            assert_eq!((stretched.width, stretched.height), wanted);
            assert!(stretched.y.iter().all(|luma| *luma == 99));
        }
    }

    #[test]
    fn a_four_to_three_camera_is_cropped_and_an_upright_phone_is_not() {
        let wanted = (1280, 720);
        let webcam = plan((1280, 960), wanted);
        assert_eq!(webcam, Plan { crop: (0, 120, 1280, 720), scaled: wanted, size: wanted, place: (0, 0) });
        let phone = plan((720, 1280), wanted);
        assert_eq!((phone.size, phone.crop), (wanted, (0, 0, 720, 1280)));
        assert_eq!(phone.scaled, (406, 720));
    }

    #[test]
    fn nothing_is_enlarged_and_every_number_is_even_and_inside() {
        for width in (2..2000).step_by(62) {
            for height in (2..2000).step_by(58) {
                for wanted in [(1280, 720), (640, 360), (320, 240), (2, 2)] {
                    let plan = plan((width, height), wanted);
                    let (left, top, crop_width, crop_height) = plan.crop;
                    assert!(left + crop_width <= width && top + crop_height <= height, "{plan:?}");
                    assert!(plan.scaled.0 <= crop_width && plan.scaled.1 <= crop_height, "{plan:?}");
                    assert!(plan.place.0 + plan.scaled.0 <= plan.size.0, "{plan:?}");
                    assert!(plan.place.1 + plan.scaled.1 <= plan.size.1, "{plan:?}");
                    let numbers = [left, top, crop_width, crop_height, plan.scaled.0, plan.scaled.1, plan.size.0];
                    assert!(numbers.iter().chain([&plan.size.1]).all(|number| number % 2 == 0), "{plan:?}");
                }
            }
        }
    }

    #[test]
    fn a_picture_of_the_right_size_is_passed_on_untouched() {
        let mut picture = Picture::black(640, 360, Instant::now());
        picture.y.iter_mut().enumerate().for_each(|(index, luma)| *luma = index as u8);
        let before = picture.y.clone();
        let after = Scaler::new(640, 360).fit(picture);
        assert_eq!(after.y, before);
    }

    #[test]
    fn halving_a_gradient_keeps_its_proportions_within_two() {
        let mut picture = Picture::black(1280, 720, Instant::now());
        for (index, luma) in picture.y.iter_mut().enumerate() {
            *luma = (16 + index % 1280 * 219 / 1280) as u8;
        }
        picture.u.fill(90);
        let half = Scaler::new(640, 360).fit(picture);
        assert_eq!((half.width, half.height, half.u.len()), (640, 360, 320 * 180));
        for (index, luma) in half.y.iter().enumerate() {
            let want = 16 + (2 * (index % 640) + 1) * 219 / 1280;
            assert!((i32::from(*luma) - want as i32).abs() <= 2, "column {}", index % 640);
        }
        assert!(half.u.iter().all(|chroma| *chroma == 90));
    }

    #[test]
    fn bars_are_black_and_the_middle_is_not() {
        let mut picture = Picture::black(360, 640, Instant::now());
        picture.y.fill(200);
        let fitted = Scaler::new(1280, 720).fit(picture);
        let (width, height) = (fitted.width, fitted.height);
        assert!(width as f64 / height as f64 > 1.7);
        assert_eq!(fitted.y[height / 2 * width], 16);
        assert_eq!(fitted.y[height / 2 * width + width / 2], 200);
    }
}
