//! How well it goes with a peer, and why not better: from figures of both directions, one second at a time. Pure.
//!
//! Each cause is a gauge on a scale of its own: 1 is where people begin to notice, 2 where it gets in the way. A gauge is
//! raised only when it has stood there for some seconds, and falls only when it has been well below for longer, so that
//! neither a mark nor a sentence flickers.

use std::time::{Duration, Instant};

/// How well pictures and sound pass between this device and a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// Not known (yet): no path, or one that has just been found.
    #[default]
    Unknown,
    /// It gets in the way.
    Poor,
    /// It can be noticed.
    Fair,
    /// Nothing is in the way.
    Good,
}

/// Whose side of the way is the narrow one. A single path does not tell; several do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This device's: all paths suffer.
    Own,
    /// The peer's: other paths do not suffer.
    Theirs,
    /// There is no other path to compare with.
    Either,
}

impl Cause {
    /// Of `paths` paths, so many are `limited` in the same direction.
    pub fn of(limited: usize, paths: usize) -> Self {
        match paths {
            0 | 1 => Self::Either,
            _ if limited >= paths => Self::Own,
            _ => Self::Theirs,
        }
    }
}

/// Why it is not better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What they see of this person is limited on the way to them.
    Sending(Cause),
    /// What is seen of them is limited on the way from them.
    Receiving(Cause),
    /// Their picture stands still at times, and not for want of packets.
    Standing,
    /// So much of their sound has to be made up, in percent.
    SoundRepaired(u8),
    /// The way there and back takes so long, in milliseconds, that people talk over each other.
    Delay(u32),
    /// This computer is busy: own pictures are made smaller.
    Overloaded,
}

/// Figures of one second with one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Share of what was sent that they did not get, before repair: 0 to 1.
    pub(crate) loss_out: f32,
    /// Share of what they sent that did not come, before repair: 0 to 1.
    pub(crate) loss_in: f32,
    /// Round trip.
    pub(crate) rtt: Option<Duration>,
    /// What this side would send, as a multiple of what the network lets through; `None` if that is not what limits it.
    pub(crate) shortage: Option<f32>,
    /// Their pictures; `None` if none are to come (their camera is off, or nobody looks).
    pub(crate) pictures: Option<Pictures>,
    /// Share of their sound that was made up: 0 to 1; `None` if none was played.
    pub(crate) concealed: Option<f32>,
    /// The encoder cannot keep up with the camera.
    pub(crate) overloaded: bool,
}

/// Pictures of one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pictures {
    /// Decoded a second.
    pub(crate) fps: f32,
    /// Share of the time in pauses that a person notices: 0 to 1.
    pub(crate) frozen: f32,
}

/// After a path was found it settles for so long: estimators start low, and the first picture has to come.
const SETTLING: Duration = Duration::from_secs(5);
/// What is bad must have been so for this long.
const RAISE_AFTER: Duration = Duration::from_secs(3);
/// What is good again must have been so for this long.
const FALL_AFTER: Duration = Duration::from_secs(8);
/// Good again is this much below where it became bad.
const WELL_BELOW: f32 = 0.6;
/// Weight of the newest second in a figure.
const NEWEST: f32 = 0.35;

/// Loss that repair hides at the price of delay, and loss that it does not hide.
const LOSS: (f32, f32) = (0.05, 0.12);
/// A picture at half the wanted rate is visibly softer; at a fifth it is small or stutters.
const SHORTAGE: (f32, f32) = (2.0, 5.0);
/// Milliseconds there and back: ITU-T G.114 has 150 one way as the most that goes unnoticed, and 400 as the most that
/// should ever be.
const DELAY: (f32, f32) = (300.0, 800.0);
/// Share of sound made up.
const CONCEALED: (f32, f32) = (0.03, 0.10);
/// Share of the time in which the picture stands.
const FROZEN: (f32, f32) = (0.15, 0.4);
/// Milliseconds between pictures: ten a second still look like motion, four do not.
const INTERVAL: (f32, f32) = (100.0, 250.0);
/// With more loss than this, a picture that stands is the network's fault.
const LOSSY: f32 = 0.02;

/// Where `value` stands between what is noticed (1) and what gets in the way (2).
fn grade(value: f32, (noticed, bad): (f32, f32)) -> f32 {
    if value <= noticed { value / noticed } else { 1.0 + (value - noticed) / (bad - noticed) }
}

/// Something that is so, or not, and changes only after a while.
#[derive(Clone, Copy, Debug, Default)]
struct Latch {
    on: bool,
    /// Since when the opposite has held.
    opposed: Option<Instant>,
}

impl Latch {
    fn update(&mut self, now: Instant, value: f32, threshold: f32) {
        let (opposite, patience) =
            if self.on { (value < threshold * WELL_BELOW, FALL_AFTER) } else { (value >= threshold, RAISE_AFTER) };
        if !opposite {
            self.opposed = None;
            return;
        }
        let since = *self.opposed.get_or_insert(now);
        if now.saturating_duration_since(since) >= patience {
            *self = Self { on: !self.on, opposed: None };
        }
    }
}

/// One cause on its scale.
#[derive(Clone, Copy, Debug, Default)]
struct Gauge {
    smooth: f32,
    noticed: Latch,
    bad: Latch,
}

impl Gauge {
    fn update(&mut self, now: Instant, value: f32) {
        // What comes from a peer's reports may be anything.
        let value = if value.is_finite() { value.clamp(0.0, 10.0) } else { 0.0 };
        self.smooth += (value - self.smooth) * NEWEST;
        self.noticed.update(now, self.smooth, 1.0);
        self.bad.update(now, self.smooth, 2.0);
    }

    fn quality(&self) -> Quality {
        match (self.bad.on, self.noticed.on) {
            (true, _) => Quality::Poor,
            (_, true) => Quality::Fair,
            _ => Quality::Good,
        }
    }
}

/// Watches one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Monitor {
    began: Option<Instant>,
    settled: bool,
    sending: Gauge,
    receiving: Gauge,
    standing: Gauge,
    sound: Gauge,
    delay: Gauge,
    busy: Gauge,
    /// Share of sound made up, smoothed.
    concealed: f32,
    /// Round trip in milliseconds, smoothed.
    rtt_ms: f32,
}

impl Monitor {
    /// Takes in the figures of the last second.
    pub(crate) fn update(&mut self, now: Instant, figures: &Figures) {
        let began = *self.began.get_or_insert(now);
        self.settled = now.saturating_duration_since(began) >= SETTLING;
        if !self.settled {
            return;
        }
        let shortage = figures.shortage.map_or(0.0, |shortage| grade(shortage, SHORTAGE));
        self.sending.update(now, grade(figures.loss_out, LOSS).max(shortage));
        let stands = figures.pictures.map_or(0.0, |pictures| {
            let interval = grade(1000.0 / pictures.fps.max(0.5), INTERVAL);
            grade(pictures.frozen, FROZEN).max(interval)
        });
        // A picture that stands is blamed on the network only where packets are missing.
        let lossy = figures.loss_in > LOSSY;
        let missing = grade(figures.loss_in, LOSS);
        self.receiving.update(now, if lossy { missing.max(stands) } else { missing });
        self.standing.update(now, if lossy { 0.0 } else { stands });
        self.sound.update(now, figures.concealed.map_or(0.0, |share| grade(share, CONCEALED)));
        self.concealed += (figures.concealed.unwrap_or(0.0).clamp(0.0, 1.0) - self.concealed) * NEWEST;
        if let Some(rtt) = figures.rtt {
            let ms = rtt.as_secs_f32() * 1e3;
            self.rtt_ms = if self.rtt_ms == 0.0 { ms } else { self.rtt_ms + (ms - self.rtt_ms) * NEWEST };
        }
        self.delay.update(now, grade(self.rtt_ms, DELAY));
        self.busy.update(now, if figures.overloaded { 1.5 } else { 0.0 });
    }

    /// The worst of all causes.
    pub(crate) fn quality(&self) -> Quality {
        if !self.settled {
            return Quality::Unknown;
        }
        let gauges = [&self.sending, &self.receiving, &self.standing, &self.sound, &self.delay, &self.busy];
        gauges.into_iter().map(Gauge::quality).min().unwrap_or_default()
    }

    /// How the way to them is.
    pub(crate) fn sending(&self) -> Quality {
        self.sending.quality()
    }

    /// How the way from them is.
    pub(crate) fn receiving(&self) -> Quality {
        self.receiving.quality()
    }

    /// Why it is not better, what people notice first at the front. `sending` and `receiving` are whose side the narrow one
    /// is, if there is one.
    pub(crate) fn reasons(&self, sending: Cause, receiving: Cause) -> Vec<Reason> {
        let percent = (self.concealed * 100.0).round().clamp(1.0, 100.0) as u8;
        // In steps, so that the sentence does not change each second.
        let delay = (self.rtt_ms / 50.0).round() as u32 * 50;
        let all = [
            (&self.receiving, Reason::Receiving(receiving)),
            (&self.standing, Reason::Standing),
            (&self.sound, Reason::SoundRepaired(percent)),
            (&self.delay, Reason::Delay(delay)),
            (&self.sending, Reason::Sending(sending)),
            (&self.busy, Reason::Overloaded),
        ];
        all.into_iter().filter(|(gauge, _)| gauge.quality() < Quality::Good).map(|(_, reason)| reason).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A path with a clock of its own.
    struct Run {
        monitor: Monitor,
        now: Instant,
        changes: usize,
    }

    fn good() -> Figures {
        Figures {
            rtt: Some(Duration::from_millis(40)),
            pictures: Some(Pictures { fps: 30.0, frozen: 0.0 }),
            concealed: Some(0.0),
            ..Figures::default()
        }
    }

    impl Run {
        /// One that has gone well for a while.
        fn new() -> Self {
            let mut run = Self { monitor: Monitor::default(), now: Instant::now(), changes: 0 };
            run.for_seconds(10, |_| good());
            assert_eq!(run.monitor.quality(), Quality::Good);
            run.changes = 0;
            run
        }

        fn for_seconds(&mut self, seconds: u32, figures: impl Fn(u32) -> Figures) {
            for second in 0..seconds {
                let before = self.monitor.quality();
                self.monitor.update(self.now, &figures(second));
                self.changes += usize::from(before != self.monitor.quality());
                self.now += SECOND;
            }
        }

        fn reasons(&self) -> Vec<Reason> {
            self.monitor.reasons(Cause::Either, Cause::Either)
        }
    }

    #[test]
    fn nothing_is_said_before_a_path_has_settled() {
        let mut run = Run { monitor: Monitor::default(), now: Instant::now(), changes: 0 };
        let bad = Figures { loss_in: 0.5, loss_out: 0.5, shortage: Some(20.0), ..good() };
        run.for_seconds(5, |_| bad);
        assert_eq!((run.monitor.quality(), run.reasons()), (Quality::Unknown, vec![]));
    }

    #[test]
    fn each_reason_arises_from_what_it_says_and_only_then() {
        let standing = Some(Pictures { fps: 2.0, frozen: 0.8 });
        for (figures, reason) in [
            (Figures { loss_out: 0.2, ..good() }, Reason::Sending(Cause::Either)),
            (Figures { shortage: Some(8.0), ..good() }, Reason::Sending(Cause::Either)),
            (Figures { loss_in: 0.2, ..good() }, Reason::Receiving(Cause::Either)),
            (Figures { loss_in: 0.03, pictures: standing, ..good() }, Reason::Receiving(Cause::Either)),
            (Figures { pictures: standing, ..good() }, Reason::Standing),
            (Figures { concealed: Some(0.2), ..good() }, Reason::SoundRepaired(20)),
            (Figures { rtt: Some(SECOND), ..good() }, Reason::Delay(1000)),
            (Figures { overloaded: true, ..good() }, Reason::Overloaded),
        ] {
            let mut run = Run::new();
            run.for_seconds(20, |_| figures);
            assert_eq!(run.reasons(), [reason], "{figures:?}");
            assert!(run.monitor.quality() < Quality::Good);
            run.for_seconds(20, |_| good());
            assert_eq!((run.reasons(), run.monitor.quality()), (vec![], Quality::Good), "{reason:?} is over");
        }
    }

    #[test]
    fn what_people_notice_is_fair_and_what_gets_in_the_way_is_poor() {
        for (loss, quality) in [(0.01, Quality::Good), (0.07, Quality::Fair), (0.25, Quality::Poor)] {
            let mut run = Run::new();
            run.for_seconds(20, |_| Figures { loss_out: loss, ..good() });
            assert_eq!((run.monitor.sending(), run.monitor.quality()), (quality, quality), "{loss}");
            assert_eq!(run.monitor.receiving(), Quality::Good);
        }
    }

    #[test]
    fn a_single_bad_second_changes_nothing() {
        let mut run = Run::new();
        run.for_seconds(60, |second| if second % 20 == 0 { Figures { loss_in: 0.15, ..good() } } else { good() });
        assert_eq!(run.changes, 0);
    }

    #[test]
    fn figures_that_swing_around_a_threshold_change_the_mark_once() {
        let mut run = Run::new();
        let swing = |second: u32| Figures { loss_in: if second.is_multiple_of(2) { 0.04 } else { 0.08 }, ..good() };
        run.for_seconds(300, swing);
        assert_eq!((run.changes, run.monitor.quality()), (1, Quality::Fair));
        // In bursts, with pauses shorter than what it takes to be believed again.
        let mut run = Run::new();
        let bursts = |second: u32| Figures { loss_out: if second % 10 < 6 { 0.09 } else { 0.0 }, ..good() };
        run.for_seconds(300, bursts);
        assert_eq!(run.changes, 1);
    }

    #[test]
    fn it_is_noticed_within_seconds_and_forgiven_within_twice_as_many() {
        let mut run = Run::new();
        run.for_seconds(7, |_| Figures { loss_in: 0.3, ..good() });
        assert!(run.monitor.quality() < Quality::Good);
        run.for_seconds(25, |_| good());
        assert_eq!(run.monitor.quality(), Quality::Good);
    }

    #[test]
    fn a_camera_that_is_off_is_no_picture_that_stands() {
        let mut run = Run::new();
        run.for_seconds(60, |_| Figures { pictures: None, concealed: None, ..good() });
        assert_eq!((run.changes, run.reasons()), (0, vec![]));
    }

    #[test]
    fn nonsense_from_a_peer_does_no_harm() {
        let mut run = Run::new();
        for nonsense in [f32::NAN, f32::INFINITY, -1.0] {
            run.for_seconds(5, |_| Figures { loss_out: nonsense, shortage: Some(nonsense), ..good() });
        }
        run.for_seconds(30, |_| good());
        assert_eq!(run.monitor.quality(), Quality::Good);
    }

    #[test]
    fn the_narrow_side_is_told_by_comparing_paths() {
        assert_eq!(Cause::of(1, 1), Cause::Either);
        assert_eq!(Cause::of(3, 3), Cause::Own);
        assert_eq!(Cause::of(1, 3), Cause::Theirs);
    }
}
