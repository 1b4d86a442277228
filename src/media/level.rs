//! How loud a block of sound is, on the scale that people hear by. Pure.

use std::time::{Duration, Instant};

/// The meter's lower end in dBFS: an empty bar.
pub const METER_FLOOR: f32 = -60.0;
/// Quieter than this, in dBFS, a block counts as near-silence: cutting it out is not heard.
pub const QUIET: f32 = -50.0;
/// A microphone that stays below this, in dBFS, is dead rather than in a quiet room: the noise of any converter lies
/// above it (16-bit dither is at about −93 dBFS).
pub const DEAD: f32 = -96.0;
/// How long a microphone must be dead before anyone is told.
pub const DEAD_AFTER: Duration = Duration::from_secs(3);

/// What a meter falls by in a second, in dB: slow enough to read, fast enough to follow speech.
const FALL_PER_SECOND: f32 = 40.0;

/// Root mean square of `samples` in dB relative to full scale, where a full-scale square wave is 0.
/// Silence, an empty slice and anything not finite give −120.
pub fn dbfs(samples: &[f32]) -> f32 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    let mean = sum / samples.len().max(1) as f64;
    if !mean.is_finite() || mean < 1e-12 { -120.0 } else { (10.0 * mean.log10()) as f32 }
}

/// Puts `dbfs` on a meter: 0 at [`METER_FLOOR`] and below, 1 at full scale, linear in dB between.
pub fn meter(dbfs: f32) -> f32 {
    if dbfs.is_nan() {
        return 0.0;
    }
    (1.0 - dbfs / METER_FLOOR).clamp(0.0, 1.0)
}

/// A meter's reading in the steps that can be told apart: what moves by less is no reason to draw it again.
pub fn in_steps(meter: f32) -> f32 {
    const STEPS: f32 = 24.0;
    (meter.clamp(0.0, 1.0) * STEPS).round() / STEPS
}

/// True for a block below [`QUIET`].
pub fn is_quiet(samples: &[f32]) -> bool {
    dbfs(samples) < QUIET
}

/// The bar beside a microphone: rises at once, falls slowly, and knows a dead microphone.
#[derive(Clone, Debug)]
pub struct LevelMeter {
    shown: f32,
    updated: Option<Instant>,
    alive: Option<Instant>,
}

impl Default for LevelMeter {
    fn default() -> Self {
        Self { shown: f32::NEG_INFINITY, updated: None, alive: None }
    }
}

impl LevelMeter {
    /// Takes in one block and returns the bar's length, 0 to 1.
    pub fn handle_block(&mut self, now: Instant, samples: &[f32]) -> f32 {
        let level = dbfs(samples);
        let passed = self.updated.map_or(0.0, |then| now.saturating_duration_since(then).as_secs_f32());
        self.updated = Some(now);
        if level > DEAD || self.alive.is_none() {
            self.alive = Some(now);
        }
        self.shown = level.max(self.shown - passed * FALL_PER_SECOND);
        self.value()
    }

    /// The bar's length, 0 to 1.
    pub fn value(&self) -> f32 {
        meter(self.shown)
    }

    /// True when blocks come but have held nothing at all for [`DEAD_AFTER`]: a hardware switch, a muted or dead device.
    pub fn is_dead(&self) -> bool {
        match (self.updated, self.alive) {
            (Some(updated), Some(alive)) => updated.saturating_duration_since(alive) >= DEAD_AFTER,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: f32) -> Vec<f32> {
        (0..960).map(|n| amplitude * (n as f32 * 0.1 * std::f32::consts::PI).sin()).collect()
    }

    #[test]
    fn levels_are_in_db_of_full_scale() {
        assert!((dbfs(&[1.0; 960])).abs() < 0.001);
        assert!((dbfs(&[-0.1; 960]) + 20.0).abs() < 0.001);
        assert!((dbfs(&tone(1.0)) + 3.01).abs() < 0.02);
        assert_eq!(dbfs(&[]), -120.0);
        assert_eq!(dbfs(&[0.0; 10]), -120.0);
        assert_eq!(dbfs(&[f32::NAN, 1.0]), -120.0);
        assert_eq!(dbfs(&[f32::INFINITY]), -120.0);
    }

    #[test]
    fn the_meter_is_linear_in_db() {
        assert_eq!(meter(0.0), 1.0);
        assert_eq!(meter(6.0), 1.0);
        assert!((meter(-30.0) - 0.5).abs() < 1e-6);
        assert_eq!(meter(-60.0), 0.0);
        assert_eq!(meter(f32::NEG_INFINITY), 0.0);
        assert_eq!(meter(f32::NAN), 0.0);
    }

    #[test]
    fn it_rises_at_once_and_falls_slowly() {
        let start = Instant::now();
        let mut meter = LevelMeter::default();
        assert_eq!(meter.handle_block(start, &[0.0; 960]), 0.0);
        let loud = meter.handle_block(start + Duration::from_millis(20), &tone(0.5));
        assert!(loud > 0.8);
        let after = meter.handle_block(start + Duration::from_millis(40), &[0.0; 960]);
        assert!(after < loud && after > loud - 0.05);
        assert_eq!(meter.handle_block(start + Duration::from_secs(3), &[0.0; 960]), 0.0);
    }

    #[test]
    fn a_microphone_is_dead_only_after_three_seconds_of_nothing() {
        let start = Instant::now();
        let mut meter = LevelMeter::default();
        let at = |n: u64| start + Duration::from_millis(20 * n);
        for n in 0..150 {
            meter.handle_block(at(n), &[0.0; 960]);
            assert!(!meter.is_dead(), "block {n}");
        }
        meter.handle_block(at(150), &[0.0; 960]);
        assert!(meter.is_dead());
        meter.handle_block(at(151), &tone(0.0001));
        assert!(!meter.is_dead(), "the faintest noise is life");
    }

    #[test]
    fn a_quiet_room_is_not_speech() {
        assert!(is_quiet(&tone(0.002)));
        assert!(!is_quiet(&tone(0.05)));
    }
}
