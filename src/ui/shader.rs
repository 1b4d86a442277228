//! The shader that makes a picture's three planes red, green and blue, and what it is told. No OpenGL is called here.

use crate::media::frame::Picture;

/// The four corners of the place, from their numbers; `at` counts from its upper left corner.
pub(super) const VERTEX: &str = "
out vec2 at;
void main() {
    vec2 corner = vec2(float(gl_VertexID & 1), float(gl_VertexID >> 1));
    at = vec2(corner.x, 1.0 - corner.y);
    gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}";

/// `part` is what is shown of the picture (left, top, width, height as shares of it), `place` the width and height of its
/// place and the radius of the corners in pixels, `weights` what [`weights`] says.
pub(super) const FRAGMENT: &str = "
in vec2 at;
out vec4 colour;
uniform sampler2D luma;
uniform sampler2D blue;
uniform sampler2D red;
uniform vec4 part;
uniform vec3 place;
uniform vec4 weights;
void main() {
    vec2 spot = part.xy + at * part.zw;
    float y = (texture(luma, spot).r * 255.0 - 16.0) / 219.0;
    float u = (texture(blue, spot).r * 255.0 - 128.0) / 224.0;
    float v = (texture(red, spot).r * 255.0 - 128.0) / 224.0;
    vec3 rgb = vec3(y + weights.x * v, y + weights.y * u + weights.z * v, y + weights.w * u);
    float cover = 1.0;
    if (place.z > 0.0) {
        vec2 out_of = abs(at - 0.5) * place.xy - 0.5 * place.xy + place.z;
        cover = clamp(0.5 + place.z - length(max(out_of, 0.0)), 0.0, 1.0);
    }
    colour = vec4(clamp(rgb, 0.0, 1.0), 1.0) * cover;
}";

/// How much of the red difference goes into red, of the blue and the red difference into green, and of the blue one into
/// blue: BT.709 (ITU-R BT.709-6 §3) from 720 lines up, BT.601 (ITU-R BT.601-7 §2.5.1) below, as [`Picture`] says.
pub(super) fn weights(height: usize) -> [f32; 4] {
    let (red, blue) = if height >= 720 { (0.2126, 0.0722) } else { (0.299, 0.114) };
    let green = 1.0 - red - blue;
    let (into_red, into_blue) = (2.0 * (1.0 - red), 2.0 * (1.0 - blue));
    [into_red, -into_blue * blue / green, -into_red * red / green, into_blue]
}

/// One plane: its bytes, row by row without gaps, its width and its height.
pub(super) type Plane<'a> = (&'a [u8], i32, i32);

/// The planes of `picture`, or `None` unless each has exactly as many bytes as its width and height ask for and none is
/// wider or higher than `most`.
pub(super) fn planes(picture: &Picture, most: usize) -> Option<[Plane<'_>; 3]> {
    fn plane(data: &[u8], width: usize, height: usize) -> Option<Plane<'_>> {
        let whole = width > 0 && height > 0 && width.checked_mul(height) == Some(data.len());
        whole.then_some((data, i32::try_from(width).ok()?, i32::try_from(height).ok()?))
    }
    let (width, height) = (picture.width, picture.height);
    if width > most || height > most {
        return None;
    }
    Some([
        plane(&picture.y, width, height)?,
        plane(&picture.u, width / 2, height / 2)?,
        plane(&picture.v, width / 2, height / 2)?,
    ])
}

/// Whether the planes of `picture` fit its size, and neither its width nor its height is above `most` pixels.
pub(super) fn whole(picture: &Picture, most: usize) -> bool {
    planes(picture, most).is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_plane_that_does_not_fit_its_size_never_reaches_the_driver() {
        let whole = Picture::black(64, 36, Instant::now());
        assert!(planes(&whole, 4096).is_some());
        assert!(planes(&whole, 63).is_none());
        for change in [
            |picture: &mut Picture| picture.y.truncate(64 * 36 - 1),
            |picture: &mut Picture| picture.u.truncate(10),
            |picture: &mut Picture| picture.v.push(0),
            |picture: &mut Picture| picture.width = 66,
            |picture: &mut Picture| picture.height = 38,
            |picture: &mut Picture| picture.width = 0,
            |picture: &mut Picture| (picture.width, picture.height) = (usize::MAX, usize::MAX),
        ] {
            let mut picture = whole.clone();
            change(&mut picture);
            assert!(planes(&picture, usize::MAX).is_none());
        }
    }

    #[test]
    fn each_texture_is_as_large_as_its_plane() {
        let picture = Picture::black(64, 36, Instant::now());
        let sizes = planes(&picture, 4096).unwrap().map(|(data, width, height)| (data.len(), width, height));
        assert_eq!(sizes, [(64 * 36, 64, 36), (32 * 18, 32, 18), (32 * 18, 32, 18)]);
    }

    #[test]
    fn the_sums_of_the_shader_give_the_colours_of_both_matrices() {
        for (height, [y, u, v], expected) in [
            (360, [16, 128, 128], [0.0, 0.0, 0.0]),
            (360, [235, 128, 128], [1.0, 1.0, 1.0]),
            // Pure colours: BT.601 red and blue, BT.709 red and green.
            (360, [81, 90, 240], [1.0, 0.0, 0.0]),
            (360, [41, 240, 110], [0.0, 0.0, 1.0]),
            (720, [63, 102, 240], [1.0, 0.0, 0.0]),
            (720, [173, 42, 26], [0.0, 1.0, 0.0]),
        ] {
            let [x, blue_green, red_green, w] = weights(height);
            let y = (f32::from(y as u8) - 16.0) / 219.0;
            let (u, v) = ((f32::from(u as u8) - 128.0) / 224.0, (f32::from(v as u8) - 128.0) / 224.0);
            let sums = [y + x * v, y + blue_green * u + red_green * v, y + w * u];
            for (sum, expected) in sums.into_iter().zip(expected) {
                let sum: f32 = sum;
                assert!((sum.clamp(0.0, 1.0) - expected).abs() < 0.012, "{height}: {sums:?}");
            }
        }
    }
}
