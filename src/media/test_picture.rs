//! The built-in moving picture: a lake at dusk with a sailing boat, a wandering moon and a clock whose hand sweeps round.
//!
//! Everything that stands still is drawn once; a picture is a copy of that with what moves on top. Eight palettes tell callers
//! apart; the seed also moves the stars and bends the hills. Drawn in I420 for its height, so that nothing is converted.

use std::f32::consts::{PI, TAU};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::convert::Colours;
use super::frame::Picture;

type Rgb = [f32; 3];
type Point = (f32, f32);

/// Zenith, upper sky, lower sky, horizon, and the colour of the small sail.
const PALETTES: [[Rgb; 5]; 8] = [
    [[24., 26., 64.], [78., 58., 122.], [206., 110., 120.], [250., 186., 130.], [214., 84., 74.]],
    [[10., 34., 52.], [22., 88., 108.], [104., 172., 160.], [244., 222., 166.], [238., 150., 60.]],
    [[40., 24., 40.], [112., 52., 56.], [214., 116., 62.], [252., 204., 112.], [62., 116., 140.]],
    [[18., 14., 52.], [58., 38., 112.], [132., 92., 176.], [232., 170., 206.], [250., 196., 96.]],
    [[8., 20., 56.], [26., 66., 124.], [92., 140., 190.], [214., 214., 208.], [226., 92., 72.]],
    [[8., 28., 34.], [18., 74., 70.], [82., 148., 112.], [214., 226., 150.], [226., 110., 84.]],
    [[30., 14., 40.], [92., 28., 66.], [190., 70., 84.], [248., 168., 120.], [70., 130., 150.]],
    [[22., 28., 40.], [62., 76., 100.], [138., 150., 166.], [236., 206., 176.], [200., 90., 60.]],
];

const MOONLIGHT: Rgb = [255., 245., 222.];
/// Parts of the height: where the water begins and where the near bank does.
const WATER: f32 = 0.64;
const BANK: f32 = 0.915;

/// Draws the scene at any moment.
pub struct TestPicture {
    still: Picture,
    colours: Colours,
    palette: [Rgb; 5],
    /// For each column, the row where the sky ends.
    skyline: Vec<usize>,
    /// For each column, the row where the near bank or a pine on it begins.
    bank: Vec<usize>,
    glow: Vec<f32>,
    ripples: Vec<[f32; 5]>,
}

fn mix(a: Rgb, b: Rgb, part: f32) -> Rgb {
    [0, 1, 2].map(|channel| a[channel] + (b[channel] - a[channel]) * part)
}

/// Numbers from 0 up to 1 that look random, always the same for one seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ value >> 31) >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Y, U, V in limited range of an sRGB colour (0–255 a channel).
fn to_yuv([r, g, b]: Rgb, colours: Colours) -> Rgb {
    let (red, blue) = if colours.bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
    let y = (red * r + (1.0 - red - blue) * g + blue * b) / 255.0;
    let (u, v) = ((b / 255.0 - y) / (2.0 - 2.0 * blue), (r / 255.0 - y) / (2.0 - 2.0 * red));
    [16.0 + 219.0 * y, 128.0 + 224.0 * u, 128.0 + 224.0 * v]
}

impl TestPicture {
    /// A scene of `width × height` pixels, each rounded down to an even number of at least 16. Takes a few dozen milliseconds.
    /// Seeds that follow one another have different palettes.
    pub fn new(seed: u64, width: usize, height: usize) -> Self {
        let (width, height) = (width.max(16) & !1, height.max(16) & !1);
        let palette = PALETTES[(seed % PALETTES.len() as u64) as usize];
        let mut dice = Dice(seed);
        let bends = [0; 6].map(|_| dice.roll() * TAU);
        let (w, h) = (width as f32, height as f32);
        let waterline = (h * WATER) as usize;
        let hill = |x: f32, layer: usize| {
            let x = x / h;
            let [a, b] = [bends[layer * 2], bends[layer * 2 + 1]];
            let (low, high) = [(0.10, 0.075), (0.055, 0.05), (0.018, 0.03)][layer];
            let shape = (x * (2.1 + layer as f32) + a).sin() * 0.6 + (x * (5.3 + 2.0 * layer as f32) + b).sin() * 0.4;
            h * (WATER - low - high * (0.5 + 0.5 * shape))
        };
        let ridges: Vec<[f32; 3]> = (0..width).map(|x| [0, 1, 2].map(|layer| hill(x as f32, layer))).collect();
        let skyline = ridges.iter().map(|ridges| ridges.iter().copied().fold(h, f32::min).ceil() as usize).collect();
        let shore = |x: usize| {
            let x = x as f32 / h;
            (h * (BANK + 0.012 * (x * 2.7 + bends[0]).sin() + 0.006 * (x * 9.0 + bends[3]).sin())) as usize
        };
        let bank = (0..width).map(shore).collect();
        let radius = Self::moon_radius(h) * 4.5;
        let side = radius.ceil() as usize * 2;
        let glow = (0..side * side)
            .map(|at| {
                let (x, y) = ((at % side) as f32 + 0.5 - radius, (at / side) as f32 + 0.5 - radius);
                let near = (1.0 - (x * x + y * y).sqrt() / radius).max(0.0);
                near * near * 0.42
            })
            .collect();
        let ripples = (0..56).map(|_| [0; 5].map(|_| dice.roll())).collect();
        let still = Picture::black(width, height, Instant::now());
        let mut scene = Self { still, colours: Colours::of(height), palette, skyline, bank, glow, ripples };
        let rows = scene.paint_land(&ridges, waterline, w);
        scene.still = rows;
        scene.paint_details(&mut dice);
        scene
    }

    fn moon_radius(height: f32) -> f32 {
        height * 0.052
    }

    fn sky(&self, part: f32) -> Rgb {
        let [zenith, upper, lower, horizon, _] = self.palette;
        match part {
            part if part < 0.45 => mix(zenith, upper, part / 0.45),
            part if part < 0.82 => mix(upper, lower, (part - 0.45) / 0.37),
            part => mix(lower, horizon, ((part - 0.82) / 0.18).min(1.0)),
        }
    }

    /// Sky, hills, water and bank, pixel by pixel.
    fn paint_land(&self, ridges: &[[f32; 3]], waterline: usize, w: f32) -> Picture {
        // An ordered pattern instead of steps in the slow gradients (Bayer, 4×4).
        const DITHER: [f32; 16] = [0., 8., 2., 10., 12., 4., 14., 6., 3., 11., 1., 9., 15., 7., 13., 5.];
        let (width, height) = (self.still.width, self.still.height);
        let h = height as f32;
        let [zenith, upper, _, horizon, _] = self.palette;
        let hills = [mix(upper, horizon, 0.34), mix(upper, horizon, 0.10), mix(zenith, upper, 0.45)];
        let hills = hills.map(|colour| to_yuv(colour, self.colours));
        let ground = to_yuv(mix(mix(zenith, upper, 0.2), [6., 8., 10.], 0.55), self.colours);
        let sky: Vec<Rgb> =
            (0..waterline.max(1)).map(|y| to_yuv(self.sky(y as f32 / (h * (WATER - 0.10))), self.colours)).collect();
        let deep = to_yuv(mix(zenith, [0.; 3], 0.25), self.colours);
        let land = |x: usize, y: usize| {
            (0..3).fold(sky[y.min(sky.len() - 1)], |behind, layer| {
                let part = (y as f32 + 1.0 - ridges[x][layer]).clamp(0.0, 1.0);
                if part > 0.0 { mix(behind, hills[layer], part) } else { behind }
            })
        };
        let mut picture = self.still.clone();
        let chroma_width = width / 2;
        for y in 0..height {
            for x in 0..width {
                let mut colour = if y < waterline {
                    land(x, y)
                } else if y < self.bank[x] {
                    let depth = (y - waterline) as f32 / (h * (BANK - WATER));
                    let wave = ((y as f32 * 0.9 + (x as f32 / w * 40.0 + y as f32 * 0.31).sin() * 2.0).sin()) * depth;
                    let mirrored = (waterline as f32 - (y - waterline) as f32 * 1.55 + wave * 3.0 - 1.0).max(0.0);
                    let mut seen = mix(land(x, mirrored as usize), deep, 0.24 + 0.30 * depth);
                    seen[0] += wave * 1.6;
                    seen
                } else {
                    let below = (y - self.bank[x]) as f32 / h;
                    mix(ground, [16., 128., 128.], (below * 6.0).min(0.6))
                };
                colour[0] += (DITHER[y % 4 * 4 + x % 4] - 7.5) / 16.0;
                picture.y[y * width + x] = (colour[0] + 0.5) as u8;
                if y % 2 == 0 && x % 2 == 0 {
                    let at = y / 2 * chroma_width + x / 2;
                    picture.u[at] = (colour[1] + 0.5) as u8;
                    picture.v[at] = (colour[2] + 0.5) as u8;
                }
            }
        }
        picture
    }

    /// Stars, pines and the face of the clock.
    fn paint_details(&mut self, dice: &mut Dice) {
        let mut picture = self.still.clone();
        let (w, h) = (picture.width as f32, picture.height as f32);
        let mut canvas = Canvas { picture: &mut picture, colours: self.colours };
        for _ in 0..90 {
            let (x, y, size) = (dice.roll() * w, dice.roll() * dice.roll() * h * 0.42, 0.5 + dice.roll() * 0.9);
            let fade = (1.0 - y / (h * 0.45)) * (0.35 + 0.6 * dice.roll());
            canvas.disc((x, y), size * (h / 720.0).max(0.6), MOONLIGHT, fade, |_| true);
        }
        let dark = mix(self.palette[0], [4., 6., 8.], 0.62);
        for index in 0..11 {
            let left = index < 7;
            let x = if left { dice.roll() * 0.17 } else { 0.90 + dice.roll() * 0.09 } * w;
            let foot = self.bank[(x as usize).min(self.bank.len() - 1)] as f32 + h * 0.012;
            let tall = h * (0.10 + 0.13 * dice.roll()) * if left { 1.0 } else { 0.7 };
            for tier in 0..5 {
                let up = tier as f32 / 5.0;
                let (base, half) = (foot - tall * up * 0.86, tall * (0.20 - 0.15 * up));
                canvas.polygon(
                    &[(x, base - tall * 0.36 * (1.0 - up * 0.4)), (x + half, base), (x - half, base)],
                    dark,
                    1.0,
                );
            }
        }
        let (bare, dark_rows) = (&self.still, (h * WATER) as usize..picture.height);
        for (x, bank) in self.bank.iter_mut().enumerate() {
            let at = |y: usize| y * bare.width + x;
            *bank = dark_rows.clone().find(|y| picture.y[at(*y)] != bare.y[at(*y)]).unwrap_or(*bank).min(*bank);
        }
        let mut canvas = Canvas { picture: &mut picture, colours: self.colours };
        let (centre, radius) = clock(w, h);
        canvas.disc(centre, radius, mix(self.palette[0], [0.; 3], 0.3), 0.30, |_| true);
        canvas.ring(centre, radius, h * 0.0035, MOONLIGHT, 0.75);
        for hour in 0..12 {
            let inner = if hour % 3 == 0 { 0.78 } else { 0.86 };
            let angle = hour as f32 / 12.0 * TAU;
            canvas.line(
                spoke(centre, radius * inner, angle),
                spoke(centre, radius * 0.94, angle),
                h * 0.003,
                MOONLIGHT,
                0.7,
            );
        }
        self.still = picture;
    }

    /// The scene `elapsed` after its beginning. Deterministic but for `taken`, which is now.
    pub fn draw(&self, elapsed: Duration) -> Picture {
        let mut picture = self.still.clone();
        let (w, h) = (picture.width as f32, picture.height as f32);
        // In f64, so that the motion stays smooth in a call of many hours.
        let at = |period: f64| (elapsed.as_secs_f64() / period).fract() as f32;
        let mut canvas = Canvas { picture: &mut picture, colours: self.colours };

        let across = 0.5 - 0.5 * (at(120.0) * TAU).cos();
        let moon = (w * (0.20 + 0.50 * across), h * (0.30 - 0.13 * (across * PI).sin()));
        self.moon(&mut canvas, moon);
        self.water(&mut canvas, moon.0, &at);
        self.birds(&mut canvas, &at);
        self.boat(&mut canvas, &at);

        let (centre, radius) = clock(w, h);
        let angle = at(60.0) * TAU;
        let tail = spoke(centre, radius * 0.20, angle + PI);
        canvas.line(tail, spoke(centre, radius * 0.80, angle), h * 0.0045, self.palette[3], 1.0);
        canvas.disc(centre, h * 0.0065, self.palette[3], 1.0, |_| true);
        let bead = spoke(centre, radius, at(4.0) * TAU);
        canvas.disc(bead, h * 0.0075, self.palette[4], 1.0, |_| true);
        picture.taken = Instant::now();
        picture
    }

    /// The moon and its glow, behind the hills.
    fn moon(&self, canvas: &mut Canvas<'_>, centre: Point) {
        let radius = Self::moon_radius(canvas.picture.height as f32);
        let reach = radius * 4.5;
        let side = reach.ceil() as usize * 2;
        let (left, top) = ((centre.0 - reach) as isize, (centre.1 - reach) as isize);
        let [luma, u, v] = to_yuv(MOONLIGHT, self.colours);
        let Picture { width, height, y: lumas, u: us, v: vs, .. } = canvas.picture;
        let columns = left.max(0) as usize..((left + side as isize).max(0) as usize).min(*width);
        for y in top.max(0) as usize..((top + side as isize).max(0) as usize).min(*height) {
            let row = (y as isize - top) as usize * side;
            for x in columns.clone() {
                let strength = self.glow[row + (x as isize - left) as usize];
                if strength < 0.004 || y >= self.skyline[x] {
                    continue;
                }
                let at = y * *width + x;
                let old = f32::from(lumas[at]);
                lumas[at] = (old + (luma - old) * strength + 0.5) as u8;
                if y % 2 == 0 && x % 2 == 0 {
                    let at = y / 2 * (*width / 2) + x / 2;
                    for (plane, to) in [(&mut *us, u), (&mut *vs, v)] {
                        let old = f32::from(plane[at]);
                        plane[at] = (old + (to - old) * strength + 0.5) as u8;
                    }
                }
            }
        }
        let skyline = &self.skyline;
        let in_sky = |(x, y): Point| skyline.get(x as usize).is_some_and(|end| (y as usize) < *end);
        canvas.disc(centre, radius, MOONLIGHT, 0.96, in_sky);
        let shade = mix(MOONLIGHT, self.palette[2], 0.35);
        for (x, y, size) in [(-0.30, -0.22, 0.24), (0.28, 0.10, 0.17), (-0.08, 0.42, 0.20), (0.22, -0.45, 0.11)] {
            canvas.disc((centre.0 + x * radius, centre.1 + y * radius), size * radius, shade, 0.55, in_sky);
        }
    }

    /// The moon's path on the water and the small waves.
    fn water(&self, canvas: &mut Canvas<'_>, moon: f32, at: &dyn Fn(f64) -> f32) {
        let (w, h) = (canvas.picture.width as f32, canvas.picture.height as f32);
        let (top, bottom) = ((h * WATER) as usize + 1, (h * (BANK - 0.02)) as usize);
        let radius = Self::moon_radius(h);
        let (slow, quick) = (at(5.0) * TAU, at(2.4) * TAU);
        for y in top..bottom {
            let depth = (y - top) as f32 / (bottom - top) as f32;
            let down = (y - top) as f32 * 720.0 / h;
            let half = radius * (0.30 + 1.1 * depth) * (0.62 + 0.38 * (down * 0.55 - slow).sin());
            let strength =
                0.50 * (1.0 - 0.65 * depth) * (0.55 + 0.45 * (down * 0.9 + down * down * 0.004 - quick).sin());
            let middle = moon + radius * 0.22 * (down * 0.33 + slow).sin() * (0.3 + depth);
            canvas.streak(y, middle, half, MOONLIGHT, strength, &self.bank);
        }
        for [x, y, length, speed, phase] in &self.ripples {
            let row = top as f32 + y * (bottom - top) as f32;
            let half = (10.0 + 34.0 * length) * h / 720.0 * (0.4 + y);
            let swell = (at(6.0 + 5.0 * f64::from(*phase)) + phase).fract();
            let drift = (x + at(160.0 + 160.0 * f64::from(*speed))).fract() * (w + 2.0 * half) - half;
            canvas.streak(row as usize, drift, half, self.palette[3], 0.22 * (swell * PI).sin(), &self.bank);
        }
    }

    fn birds(&self, canvas: &mut Canvas<'_>, at: &dyn Fn(f64) -> f32) {
        let (w, h) = (canvas.picture.width as f32, canvas.picture.height as f32);
        let dark = mix(self.palette[0], [0.; 3], 0.35);
        for (index, (behind, below)) in
            [(0.0, 0.0), (0.035, 0.018), (0.06, -0.012), (0.085, 0.022)].into_iter().enumerate()
        {
            let x = (1.1 - 1.2 * (at(75.0) + behind).fract()) * w;
            let y = h * (0.335 + below + 0.012 * (at(9.0) * TAU + index as f32).sin());
            let flap = (at(0.9) * TAU + index as f32 * 1.7).sin();
            let (span, lift) = (h * 0.0125, h * 0.0065 * flap);
            for side in [-1.0, 1.0] {
                canvas.line((x, y), (x + side * span, y - h * 0.003 - lift), h * 0.0028, dark, 0.9);
            }
        }
    }

    fn boat(&self, canvas: &mut Canvas<'_>, at: &dyn Fn(f64) -> f32) {
        let (w, h) = (canvas.picture.width as f32, canvas.picture.height as f32);
        let unit = h * 0.155;
        let roll = 0.035 * (at(3.7) * TAU).sin();
        let x = (at(90.0) + 0.38).fract() * (w + 2.0 * unit) - unit;
        let y = h * (WATER + 0.105) + unit * 0.012 * (at(2.9) * TAU).sin();
        let place = |(dx, dy): Point| (x + unit * (dx - dy * roll), y + unit * (dy + dx * roll));
        let mirror = |(dx, dy): Point| (x + unit * (dx + dy * roll * 0.5), y + unit * (0.16 - dy * 0.55));
        let hull = [(-0.42, -0.04), (0.50, -0.06), (0.34, 0.12), (-0.30, 0.12)];
        let main = [(0.02, -1.0), (0.05, -0.10), (-0.40, -0.10)];
        let jib = [(0.09, -0.86), (0.46, -0.10), (0.10, -0.10)];
        let cream = mix([250., 240., 224.], self.palette[3], 0.25);
        let wood = mix(self.palette[0], [20., 14., 12.], 0.5);
        for (shape, colour, strength) in [(&main[..], cream, 0.30), (&jib, self.palette[4], 0.30), (&hull, wood, 0.45)]
        {
            let corners: Vec<Point> = shape.iter().map(|corner| mirror(*corner)).collect();
            canvas.polygon(&corners, colour, strength);
        }
        canvas.line(place((0.06, -1.04)), place((0.06, 0.0)), unit * 0.022, wood, 1.0);
        for (shape, colour) in [(&main[..], cream), (&jib, self.palette[4]), (&hull, wood)] {
            let corners: Vec<Point> = shape.iter().map(|corner| place(*corner)).collect();
            canvas.polygon(&corners, colour, 1.0);
        }
        let lantern = place((-0.40, -0.10));
        let flicker = 0.85 + 0.15 * (at(1.3) * TAU).sin();
        canvas.disc(lantern, unit * 0.10, [255., 190., 90.], 0.30 * flicker, |_| true);
        canvas.disc(lantern, unit * 0.035, [255., 226., 150.], flicker, |_| true);
    }
}

/// Centre and radius of the clock.
fn clock(w: f32, h: f32) -> (Point, f32) {
    ((w - h * 0.155, h * 0.16), h * 0.085)
}

/// The point at `distance` from `centre` in the direction of `angle`, clockwise from twelve.
fn spoke(centre: Point, distance: f32, angle: f32) -> Point {
    (centre.0 + distance * angle.sin(), centre.1 - distance * angle.cos())
}

/// Smooth-edged shapes on a picture.
struct Canvas<'a> {
    picture: &'a mut Picture,
    colours: Colours,
}

impl Canvas<'_> {
    /// Blends `colour` into all pixels of a box by what `cover` says of their middles (0 to 1).
    fn fill(&mut self, low: Point, high: Point, colour: Rgb, cover: impl Fn(Point) -> f32) {
        let [luma, u, v] = to_yuv(colour, self.colours);
        let width = self.picture.width;
        let range = |low: f32, high: f32, size: usize| {
            (low.floor().max(0.0) as usize).min(size)..(high.ceil().max(0.0) as usize).min(size)
        };
        let (columns, rows): (Range<usize>, Range<usize>) =
            (range(low.0, high.0, width), range(low.1, high.1, self.picture.height));
        for y in rows.clone() {
            for x in columns.clone() {
                let part = cover((x as f32 + 0.5, y as f32 + 0.5));
                if part > 0.0 {
                    blend(&mut self.picture.y[y * width + x], luma, part);
                }
            }
        }
        for y in rows.start / 2..rows.end.div_ceil(2).min(self.picture.height / 2) {
            for x in columns.start / 2..columns.end.div_ceil(2).min(width / 2) {
                let part = cover((x as f32 * 2.0 + 1.0, y as f32 * 2.0 + 1.0));
                if part > 0.0 {
                    blend(&mut self.picture.u[y * (width / 2) + x], u, part);
                    blend(&mut self.picture.v[y * (width / 2) + x], v, part);
                }
            }
        }
    }

    fn disc(&mut self, centre: Point, radius: f32, colour: Rgb, strength: f32, inside: impl Fn(Point) -> bool) {
        let reach = radius + 1.0;
        let (low, high) = ((centre.0 - reach, centre.1 - reach), (centre.0 + reach, centre.1 + reach));
        self.fill(low, high, colour, |point| {
            let (x, y) = (point.0 - centre.0, point.1 - centre.1);
            let edge = radius + 0.5 - (x * x + y * y).sqrt();
            if edge <= 0.0 || !inside(point) { 0.0 } else { edge.min(1.0) * strength }
        });
    }

    fn ring(&mut self, centre: Point, radius: f32, thick: f32, colour: Rgb, strength: f32) {
        let reach = radius + thick + 1.0;
        let (low, high) = ((centre.0 - reach, centre.1 - reach), (centre.0 + reach, centre.1 + reach));
        self.fill(low, high, colour, |(x, y)| {
            let off = ((x - centre.0).hypot(y - centre.1) - radius).abs();
            (thick / 2.0 + 0.5 - off).clamp(0.0, 1.0) * strength
        });
    }

    fn line(&mut self, from: Point, to: Point, thick: f32, colour: Rgb, strength: f32) {
        let reach = thick + 1.0;
        let low = (from.0.min(to.0) - reach, from.1.min(to.1) - reach);
        let high = (from.0.max(to.0) + reach, from.1.max(to.1) + reach);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let square = (dx * dx + dy * dy).max(1e-6);
        self.fill(low, high, colour, |(x, y)| {
            let along = (((x - from.0) * dx + (y - from.1) * dy) / square).clamp(0.0, 1.0);
            let (x, y) = (x - from.0 - along * dx, y - from.1 - along * dy);
            (thick / 2.0 + 0.5 - (x * x + y * y).sqrt()).clamp(0.0, 1.0) * strength
        });
    }

    /// A convex polygon, corners in either direction.
    fn polygon(&mut self, corners: &[Point], colour: Rgb, strength: f32) {
        let area: f32 = edges(corners).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
        // Each edge as a line whose value is the distance inside.
        let sides: Vec<[f32; 3]> = edges(corners)
            .map(|(a, b)| {
                let (dx, dy) = (b.0 - a.0, b.1 - a.1);
                let scale = area.signum() / dx.hypot(dy).max(1e-6);
                [-dy * scale, dx * scale, (dy * a.0 - dx * a.1) * scale]
            })
            .collect();
        let bound = |pick: fn(&Point) -> f32, choose: fn(f32, f32) -> f32, from: f32| {
            corners.iter().map(pick).fold(from, choose)
        };
        let low = (bound(|p| p.0, f32::min, f32::MAX) - 1.0, bound(|p| p.1, f32::min, f32::MAX) - 1.0);
        let high = (bound(|p| p.0, f32::max, f32::MIN) + 1.0, bound(|p| p.1, f32::max, f32::MIN) + 1.0);
        self.fill(low, high, colour, |(x, y)| {
            let mut inside = 0.5f32;
            for [a, b, c] in &sides {
                inside = inside.min(a * x + b * y + c);
            }
            (inside + 0.5).max(0.0) * strength
        });
    }

    /// A horizontal line one pixel high that fades to both ends and is hidden from row `ends[x]` down.
    fn streak(&mut self, y: usize, middle: f32, half: f32, colour: Rgb, strength: f32, ends: &[usize]) {
        if strength > 0.01 && half > 0.5 {
            let row = y as f32;
            self.fill((middle - half, row), (middle + half, row + 1.0), colour, |(x, _)| {
                let off = ((x - middle) / half).abs();
                let hidden = ends.get(x as usize).is_none_or(|end| y >= *end);
                if hidden { 0.0 } else { (1.0 - off * off).max(0.0) * strength }
            });
        }
    }
}

fn edges(corners: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    (0..corners.len()).map(|at| (corners[at], corners[(at + 1) % corners.len()]))
}

fn blend(sample: &mut u8, to: f32, part: f32) {
    let old = f32::from(*sample);
    *sample = (old + (to - old) * part + 0.5) as u8;
}

#[cfg(test)]
mod tests {
    use super::super::convert::well_formed;
    use super::*;

    fn difference(a: &Picture, b: &Picture) -> usize {
        a.y.iter().zip(&b.y).filter(|(a, b)| a.abs_diff(**b) > 4).count()
    }

    #[test]
    fn the_picture_moves_and_is_the_same_at_the_same_moment() {
        let scene = TestPicture::new(1, 640, 360);
        let (first, again) = (scene.draw(Duration::from_secs(5)), scene.draw(Duration::from_secs(5)));
        assert!(first.y == again.y && first.u == again.u && first.v == again.v);
        let mut last = first;
        for frame in 1..30 {
            let next = scene.draw(Duration::from_secs(5) + Duration::from_millis(33 * frame));
            assert!(difference(&last, &next) > 20, "frame {frame}");
            last = next;
        }
    }

    #[test]
    fn two_callers_look_different_to_the_eye() {
        let mean = |picture: &Picture| {
            let mean = |plane: &[u8]| plane.iter().map(|sample| f64::from(*sample)).sum::<f64>() / plane.len() as f64;
            [mean(&picture.u), mean(&picture.v)]
        };
        let looks: Vec<[f64; 2]> =
            (100..108).map(|seed| mean(&TestPicture::new(seed, 320, 180).draw(Duration::ZERO))).collect();
        for pair in looks.windows(2) {
            let far = (pair[0][0] - pair[1][0]).hypot(pair[0][1] - pair[1][1]);
            assert!(far > 4.0, "{looks:?}");
        }
    }

    #[test]
    fn every_size_and_moment_gives_a_whole_picture() {
        for (width, height) in [(16, 16), (1, 1), (90, 160), (320, 180), (1281, 721), (64, 1080)] {
            let scene = TestPicture::new(9, width, height);
            for second in [0, 1, 37, 3_600, 86_400 * 30] {
                assert!(well_formed(&scene.draw(Duration::from_secs(second))), "{width}x{height} at {second}");
            }
        }
    }

    /// Writes the scene as a PNG to the path in the variable, to look at it.
    #[test]
    fn a_snapshot_of_the_scene_is_a_png() {
        let mut picture = TestPicture::new(4, 1280, 720).draw(Duration::from_secs(20));
        super::super::stamp::write(&mut picture, super::super::stamp::Stamp::new(600, 1_790_000_000_000));
        let bytes = super::super::snapshot::png(&picture).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"));
        if let Some(path) = std::env::var_os("CONCLAVE_TEST_PICTURE") {
            std::fs::write(path, &bytes).unwrap();
        }
    }
}
