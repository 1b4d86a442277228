//! How large, how often and how finely pictures are encoded, for whom. Pure: the time is an argument.
//!
//! **Steps.** From the size of the source a ladder of steps leads down: a camera stays smooth and gets smaller first, and slower
//! at its smallest; a screen stays sharp and gets slower first. Each step needs so many bits a second to look right.
//! **One receiver.** A [`Chooser`] goes down at once when its path carries less than the step needs, and up when the path has
//! had room to spare for a while; a rise that did not last makes it wait twice as long for the next.
//! **Many receivers.** [`share_out`] makes at most [`LAYERS`] layers out of what they can use. Whoever is much slower than the
//! others of a layer moves to the one below: nobody sets the quality of the others.
//! **The processor.** [`Workload`] goes down when encoding takes most of the time there is, and comes back slowly.

use std::time::{Duration, Instant};

/// Layers made of one picture at most: about the full size, half and a quarter of it.
pub const LAYERS: usize = 3;
/// Fewest bits a second that an encoder is asked for.
pub const LEAST_BITRATE: u32 = 30_000;

/// Sizes of a ladder, in eighths of the source's width and height.
const EIGHTHS: [usize; 5] = [8, 6, 4, 3, 2];
/// Nothing is made smaller than this many lines, unless the source is.
const LEAST_LINES: usize = 90;
/// Rates of a ladder in pictures a second, below the source's own.
const RATES: [u32; 4] = [20, 15, 10, 5];
/// How long a path must have had room before a step up.
const UP_AFTER: Duration = Duration::from_secs(3);
/// The same while a path is new and its sender still finds out what it carries.
const FIRST_UP_AFTER: Duration = Duration::from_millis(700);
const NEW_FOR: Duration = Duration::from_secs(10);
/// The longest such wait after rises that did not last.
const UP_AFTER_AT_MOST: Duration = Duration::from_secs(24);
/// A rise that is taken back within this time did not last.
const TRIAL: Duration = Duration::from_secs(10);
/// What the wish of a receiver may change at most: each change can cost a key frame.
pub const WISH_INTERVAL: Duration = Duration::from_millis(250);

/// What is in the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// People: smooth before sharp.
    Camera,
    /// Text: sharp before smooth.
    Screen,
}

/// One way to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Pixels in a row, even.
    pub width: usize,
    /// Rows, even.
    pub height: usize,
    /// Pictures a second.
    pub fps: u32,
    /// Which of the layers it belongs to: 0 is the largest.
    slot: usize,
}

impl Step {
    /// Bits a second below which this step looks worse than the next. Small pictures need more for each pixel: the exponent is
    /// fitted to talking heads at 180, 360 and 720 lines.
    pub fn needs(self) -> u32 {
        let pixels = (self.width * self.height) as f64;
        let each = 0.0325 * (921_600.0 / pixels).powf(0.22);
        (pixels * f64::from(self.fps) * each) as u32
    }

    /// Bits a second above which nobody sees a difference.
    pub fn enough(self) -> u32 {
        (f64::from(self.needs()) * 2.2) as u32
    }
}

/// The steps from the largest down, for pictures of `source` pixels (width, height), `fps` times a second.
pub fn ladder(source: (usize, usize), fps: u32, content: Content) -> Vec<Step> {
    let even = |pixels: usize, eighths: usize| (pixels * eighths / 8 + 1) & !1;
    let sizes: Vec<usize> =
        EIGHTHS.into_iter().filter(|eighths| *eighths == 8 || source.1 * eighths / 8 >= LEAST_LINES).collect();
    let rates: Vec<u32> = std::iter::once(fps.max(1)).chain(RATES.into_iter().filter(|rate| *rate < fps)).collect();
    let step = |eighths: usize, fps: u32| {
        let slot = match eighths {
            6.. => 0,
            3..6 => 1,
            _ => 2,
        };
        Step { width: even(source.0, eighths).max(2), height: even(source.1, eighths).max(2), fps, slot }
    };
    let (smallest, slowest) = (sizes[sizes.len() - 1], rates[rates.len() - 1]);
    let (fast, first) = (rates[0], sizes[0]);
    match content {
        Content::Camera => {
            let sizes = sizes.iter().map(|eighths| step(*eighths, fast));
            sizes.chain(rates[1..].iter().map(|fps| step(smallest, *fps))).collect()
        }
        Content::Screen => {
            let rates = rates.iter().map(|fps| step(first, *fps));
            rates.chain(sizes[1..].iter().map(|eighths| step(*eighths, slowest))).collect()
        }
    }
}

/// The step that is large enough for `lines` rows on a screen.
pub fn step_for_lines(ladder: &[Step], lines: u32) -> usize {
    let smallest = ladder.iter().map(|step| step.height).filter(|height| *height >= lines as usize).min();
    ladder.iter().position(|step| Some(step.height) == smallest).unwrap_or(0)
}

/// Which step one receiver's path carries.
#[derive(Clone, Debug)]
pub struct Chooser {
    step: Option<usize>,
    /// Since when there has been room, and the best step there was room for all the time.
    roomy: Option<(Instant, usize)>,
    raised: Option<Instant>,
    up_after: Duration,
    /// When it was first known what the path carries.
    begun: Option<Instant>,
}

impl Default for Chooser {
    fn default() -> Self {
        Self { step: None, roomy: None, raised: None, up_after: UP_AFTER, begun: None }
    }
}

impl Chooser {
    /// The step for a path that carries `budget` bits a second; `None` if that is not known.
    pub fn choose(&mut self, now: Instant, ladder: &[Step], budget: Option<u32>) -> usize {
        let last = ladder.len().saturating_sub(1);
        if budget.is_some() {
            self.begun.get_or_insert(now);
        }
        let carries = |part: u64| {
            let fits = |step: &Step| budget.is_none_or(|budget| u64::from(step.needs()) * part / 100 <= budget.into());
            ladder.iter().position(fits).unwrap_or(last)
        };
        let Some(step) = self.step.map(|step| step.min(last)) else {
            return *self.step.insert(carries(100));
        };
        let new = self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < NEW_FOR);
        // A rise that did not last has made the wait longer; that holds for a new path, too.
        let wait = if new && self.up_after == UP_AFTER { FIRST_UP_AFTER } else { self.up_after };
        let (at_most, with_room) = (carries(100), carries(115));
        if at_most > step {
            self.fall(now, at_most);
        } else if with_room < step {
            let (since, best) = self.roomy.get_or_insert((now, with_room));
            *best = with_room.max(*best);
            if now.saturating_duration_since(*since) >= wait {
                self.step = Some(*best);
                (self.roomy, self.raised) = (None, Some(now));
            }
        } else {
            self.roomy = None;
        }
        if self.raised.is_some_and(|raised| now.saturating_duration_since(raised) > TRIAL) {
            // The rise has lasted.
            (self.raised, self.up_after) = (None, UP_AFTER);
        }
        self.step.unwrap_or(last).min(last)
    }

    /// The pictures are too rich for the step, whatever the path carries: one step down.
    pub fn push_down(&mut self, now: Instant) {
        if let Some(step) = self.step {
            self.fall(now, step + 1);
        }
    }

    fn fall(&mut self, now: Instant, step: usize) {
        if self.raised.take().is_some_and(|raised| now.saturating_duration_since(raised) <= TRIAL) {
            self.up_after = (self.up_after * 2).min(UP_AFTER_AT_MOST);
        }
        (self.step, self.roomy) = (Some(step), None);
    }
}

/// What one receiver can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The step its path carries, from a [`Chooser`].
    pub carries: usize,
    /// The step it has a place for.
    pub asks: usize,
    /// Bits a second that its path carries, if known.
    pub budget: Option<u32>,
    /// The slot it had last.
    pub had: Option<usize>,
}

/// One encoded version of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Which, below [`LAYERS`]; 0 is the largest.
    pub slot: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Pictures a second.
    pub fps: u32,
    /// Bits a second.
    pub bitrate: u32,
}

/// Whether a path of `budget` would hold back a layer whose fastest receiver takes `best` bits a second. Whoever is `inside` may
/// stay with less than it takes to come in, so that nobody goes to and fro.
fn drags(budget: Option<u32>, best: u32, inside: bool) -> bool {
    let percent = if inside { 60 } else { 75 };
    budget.is_some_and(|budget| u64::from(budget) * 100 < u64::from(best) * percent)
}

/// The layers to make, and the slot of each receiver's. `at_least` is the first step that the processor can afford, `most`
/// the most bits a second for any layer.
pub fn share_out(wants: &[Want], ladder: &[Step], at_least: usize, most: u32) -> (Vec<Layer>, Vec<usize>) {
    let last = ladder.len().saturating_sub(1);
    let step = |want: &Want| want.carries.max(want.asks).max(at_least).min(last);
    let affords = |want: &Want, other: usize| want.budget.is_none_or(|budget| ladder[other].needs() <= budget);
    let mut slots: Vec<usize> = wants.iter().map(|want| ladder[step(want)].slot).collect();
    let lowest = ladder.iter().map(|step| step.slot).max().unwrap_or(0);
    raise_fast(wants, ladder, at_least, &mut slots);
    for slot in 0..lowest {
        let members = |slots: &[usize]| (0..wants.len()).filter(|at| slots[*at] == slot).collect::<Vec<_>>();
        let Some(top) = members(&slots).into_iter().map(|at| within(ladder, slot, step(&wants[at]))).min() else {
            continue;
        };
        let enough = ladder[top].enough().min(most);
        let takes = |want: &Want| want.budget.map_or(enough, |budget| budget.min(enough));
        let fits_size = |want: &Want| {
            ladder[within(ladder, slot, step(want))].height == ladder[top].height
                || (want.carries <= top && affords(want, top))
        };
        let fitting = members(&slots).into_iter().filter(|at| fits_size(&wants[*at]));
        let best = fitting.map(|at| takes(&wants[at])).max().unwrap_or(enough);
        for at in members(&slots) {
            if !fits_size(&wants[at]) || drags(wants[at].budget, best, wants[at].had.is_none_or(|had| had <= slot)) {
                slots[at] = slot + 1;
            }
        }
    }
    let layers = (0..LAYERS).filter_map(|slot| {
        let members = || (0..wants.len()).filter(|at| slots[*at] == slot).map(|at| &wants[at]);
        let largest = members().map(|want| within(ladder, slot, step(want))).min()?;
        let size = ladder[largest];
        // Among steps of this size, the rate that the slowest of them carries.
        let slowest = members().map(|want| within(ladder, slot, step(want))).max()?;
        let fps = if ladder[slowest].height == size.height { ladder[slowest].fps } else { size.fps };
        let chosen = Step { fps, ..size };
        let budget = members().filter_map(|want| want.budget).min().unwrap_or(u32::MAX);
        let bitrate = budget.min(chosen.enough()).min(most).max(LEAST_BITRATE);
        Some(Layer { slot, width: size.width, height: size.height, fps, bitrate })
    });
    (layers.collect(), slots)
}

/// The step nearest to `step` that belongs to `slot`.
fn within(ladder: &[Step], slot: usize, step: usize) -> usize {
    let belongs = |at: &usize| ladder[*at].slot == slot;
    (0..ladder.len()).filter(belongs).min_by_key(|at| at.abs_diff(step)).unwrap_or(step)
}

/// In the lowest layer nobody can move further down: whoever is held back there and can carry the layer above moves up.
fn raise_fast(wants: &[Want], ladder: &[Step], at_least: usize, slots: &mut [usize]) {
    let Some(lowest) = ladder.iter().map(|step| step.slot).max().filter(|lowest| *lowest > 0) else { return };
    let above = (0..ladder.len()).rev().find(|at| ladder[*at].slot == lowest - 1).filter(|above| *above >= at_least);
    let Some(above) = above else { return };
    let slowest = (0..wants.len()).filter(|at| slots[*at] == lowest).filter_map(|at| wants[at].budget).min();
    for (want, slot) in wants.iter().zip(slots.iter_mut()) {
        let can = *slot == lowest && want.carries <= above;
        let enough = ladder[within(ladder, lowest, want.asks)].enough();
        if can && drags(slowest, want.budget.unwrap_or(u32::MAX).min(enough), want.had == Some(lowest)) {
            *slot = lowest - 1;
        }
    }
}

/// How the processor bears the encoding.
#[derive(Clone, Debug)]
pub struct Workload {
    level: usize,
    /// Part of the time between two pictures that encoding takes, smoothed.
    busy: f32,
    /// Part of the pictures that the next one overtook, smoothed.
    missed: f32,
    changed: Option<Instant>,
    /// When the load was last raised again, after a relief.
    eased: Option<Instant>,
    calm_since: Option<Instant>,
    calm_for: Duration,
}

/// Weight of the newest picture in the averages: about two seconds at thirty pictures a second.
const WEIGHT: f32 = 1.0 / 60.0;
const TOO_BUSY: f32 = 0.85;
const TOO_MANY_MISSED: f32 = 0.4;
const CALM: f32 = 0.45;
const RELIEF_INTERVAL: Duration = Duration::from_secs(3);
const CALM_FOR: Duration = Duration::from_secs(10);
const CALM_FOR_AT_MOST: Duration = Duration::from_secs(160);
/// The deepest relief.
const LEVELS: usize = 4;

impl Default for Workload {
    fn default() -> Self {
        Self { level: 0, busy: 0.0, missed: 0.0, changed: None, eased: None, calm_since: None, calm_for: CALM_FOR }
    }
}

impl Workload {
    /// A picture was encoded: it took `spent` of the `interval` between two pictures, and `missed` others were overtaken
    /// while it lasted.
    pub fn handle_encoded(&mut self, now: Instant, spent: Duration, interval: Duration, missed: u32) {
        let busy = spent.as_secs_f32() / interval.as_secs_f32().max(0.001);
        self.busy += (busy.min(4.0) - self.busy) * WEIGHT;
        let part = missed as f32 / (missed as f32 + 1.0);
        self.missed += (part - self.missed) * WEIGHT;
        let settled = self.changed.is_none_or(|at| now.saturating_duration_since(at) >= RELIEF_INTERVAL);
        if (self.busy > TOO_BUSY || self.missed > TOO_MANY_MISSED) && settled {
            // It came back too soon: the next attempt waits longer.
            self.calm_for = match self.eased.take() {
                Some(at) if now.saturating_duration_since(at) < 2 * self.calm_for => {
                    (self.calm_for * 2).min(CALM_FOR_AT_MOST)
                }
                Some(_) => CALM_FOR,
                None => self.calm_for,
            };
            self.level = (self.level + 1).min(LEVELS);
            (self.changed, self.calm_since) = (Some(now), None);
            return;
        }
        if self.busy > CALM || self.missed > TOO_MANY_MISSED / 2.0 {
            self.calm_since = None;
        } else if self.level > 0 && now.saturating_duration_since(*self.calm_since.get_or_insert(now)) >= self.calm_for
        {
            self.level -= 1;
            (self.changed, self.eased, self.calm_since) = (Some(now), Some(now), None);
        }
    }

    /// Whether less is sent than could be, to spare the processor.
    pub fn is_overloaded(&self) -> bool {
        self.level > 0
    }

    /// Most pictures a second that are affordable.
    pub fn most_fps(&self) -> u32 {
        match self.level {
            0 => u32::MAX,
            1 => 20,
            _ => 15,
        }
    }

    /// The first step of `ladder` that is affordable.
    pub fn first_step(&self, ladder: &[Step]) -> usize {
        let slot = self.level.saturating_sub(2).min(LAYERS - 1);
        ladder.iter().position(|step| step.slot >= slot).unwrap_or(ladder.len().saturating_sub(1))
    }
}

/// What a layer has sent beyond its rate: the encoder's own control holds the rate of common pictures; this catches what it
/// cannot, pictures that are too rich at its coarsest, by leaving some out.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// Bits above the rate.
    debt: f64,
    at: Option<Instant>,
}

impl Bucket {
    /// Whether the picture at `now` is to be left out at `bitrate` bits a second.
    pub fn is_full(&mut self, now: Instant, bitrate: u32) -> bool {
        let passed = self.at.replace(now).map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        // A key frame may take half a second's bits; nothing is saved up for long.
        self.debt = (self.debt - passed * f64::from(bitrate)).max(0.0);
        self.debt > f64::from(bitrate) * 0.5
    }

    /// A picture of so many bytes was sent.
    pub fn add(&mut self, bytes: usize) {
        self.debt += bytes as f64 * 8.0;
    }

    /// Whether so much was sent that it takes seconds to make good.
    pub fn is_hopeless(&self, bitrate: u32) -> bool {
        self.debt > f64::from(bitrate) * 1.5
    }
}

#[cfg(test)]
mod tests;
