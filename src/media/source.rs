//! Where pictures come from: a camera, the built-in test picture or a file. All take the same path.
//!
//! A source runs on its own thread and hands each picture to a sink as soon as it has it. There is no queue: a sink that takes
//! long holds the next picture up, so that it should only put the picture into a [`Latest`](super::frame::Latest).

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::camera::{self, CameraSystem, Patience};
use super::camera_nokhwa::Nokhwa;
use super::convert::{MAX_HEIGHT, MAX_WIDTH};
use super::device::CameraChoice;
use super::frame::Picture;
use super::scale::Scaler;
use super::stamp::{self, Stamp};
use super::test_picture::TestPicture;
use super::y4m::{Y4mError, Y4mReader};

pub use super::camera::{CameraError, list_cameras};

/// What is asked of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// Pixels in a row, at most.
    pub width: usize,
    /// Rows, at most.
    pub height: usize,
    /// Pictures a second, at most.
    pub fps: u32,
}

impl VideoFormat {
    /// 1280×720 at 30 pictures a second.
    pub const HD: Self = Self { width: 1280, height: 720, fps: 30 };

    fn bounded(self) -> Self {
        Self {
            width: self.width.clamp(16, MAX_WIDTH) & !1,
            height: self.height.clamp(16, MAX_HEIGHT) & !1,
            fps: self.fps.clamp(1, 60),
        }
    }
}

/// How a source is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// No pictures are wanted ([`CameraChoice::None`]).
    Off,
    /// The device is being opened.
    Opening,
    /// Pictures come. The name is what a person reads.
    Running(String),
    /// It ended, or never began. The device is released.
    Failed(CameraError),
}

/// Takes pictures. Called on the source's thread; must not block.
pub type PictureSink = Arc<dyn Fn(Arc<Picture>) + Send + Sync>;
/// Takes states. Called on the source's thread; must not block.
pub type StateSink = Arc<dyn Fn(SourceState) + Send + Sync>;

/// The way out of a source, and the sign to stop.
pub(super) struct Outlet {
    sink: PictureSink,
    state: StateSink,
    stopped: Mutex<bool>,
    wake: Condvar,
    delivered: AtomicU64,
    dropped: AtomicU64,
}

impl Outlet {
    fn new(sink: PictureSink, state: StateSink) -> Self {
        let (delivered, dropped) = Default::default();
        Self { sink, state, stopped: Mutex::new(false), wake: Condvar::new(), delivered, dropped }
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Sleeps until `at`. True if the source is to stop.
    fn sleep_until(&self, at: Instant) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let Some(left) = at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            stopped = self.wake.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *stopped
    }

    pub(super) fn picture(&self, picture: Arc<Picture>) {
        if !self.is_stopped() {
            self.delivered.fetch_add(1, Ordering::Relaxed);
            (self.sink)(picture);
        }
    }

    pub(super) fn running(&self, name: String) {
        self.say(SourceState::Running(name));
    }

    pub(super) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn say(&self, state: SourceState) {
        if !self.is_stopped() {
            (self.state)(state);
        }
    }
}

/// A running source. Dropping it stops it and releases the device; after that the sinks are not called any more (a device that
/// hangs is left to its own thread after one second, and reaches no sink either).
pub struct VideoSource {
    outlet: Arc<Outlet>,
    thread: Option<JoinHandle<()>>,
    done: mpsc::Receiver<()>,
}

impl VideoSource {
    /// Opens a source. Returns at once; what comes of it is told to `state`, beginning with [`SourceState::Opening`].
    ///
    /// The test picture takes its look from this process's id, so that two callers on one machine can be told apart.
    /// Pictures are at most as large and as frequent as `format` asks; smaller ones are not enlarged.
    pub fn open(choice: &CameraChoice, format: VideoFormat, sink: PictureSink, state: StateSink) -> Self {
        Self::open_with(Arc::new(Nokhwa), Patience::default(), choice, format, sink, state)
    }

    fn open_with(
        system: Arc<dyn CameraSystem>,
        patience: Patience,
        choice: &CameraChoice,
        format: VideoFormat,
        sink: PictureSink,
        state: StateSink,
    ) -> Self {
        let (outlet, format) = (Arc::new(Outlet::new(sink, state)), format.bounded());
        let (alive, done) = mpsc::channel();
        let (choice, outside) = (choice.clone(), outlet.clone());
        let work = move || {
            let _alive: mpsc::Sender<()> = alive;
            if choice == CameraChoice::None {
                return outlet.say(SourceState::Off);
            }
            outlet.say(SourceState::Opening);
            let result = match choice {
                CameraChoice::None => Ok(()),
                CameraChoice::Test => run_test(format, &outlet),
                CameraChoice::File(path) => {
                    run_file(&path, format, &outlet).map_err(|why| CameraError::File { path, why })
                }
                CameraChoice::Default => camera::run(system, None, format, &outlet, patience),
                CameraChoice::Device(id) => camera::run(system, Some(id), format, &outlet, patience),
            };
            if let Err(error) = result {
                tracing::warn!(%error, "video source ended");
                outlet.say(SourceState::Failed(error));
            }
        };
        let thread = std::thread::Builder::new().name("video-source".into()).spawn(work);
        let thread = thread
            .inspect_err(|error| outside.say(SourceState::Failed(CameraError::System(error.kind().to_string()))))
            .ok();
        Self { outlet: outside, thread, done }
    }

    /// Pictures handed to the sink so far.
    pub fn delivered(&self) -> u64 {
        self.outlet.delivered.load(Ordering::Relaxed)
    }

    /// Pictures left out so far: damaged, too old, or more than were asked for.
    pub fn dropped(&self) -> u64 {
        self.outlet.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for VideoSource {
    fn drop(&mut self) {
        self.outlet.stop();
        let Some(thread) = self.thread.take() else { return };
        // A sink may hold the last handle to its own source.
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        if self.done.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Disconnected) {
            let _ = thread.join();
        }
    }
}

/// Beats at a steady rate; after a long pause it goes on from now instead of hurrying.
struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    fn new(fps: f64) -> Self {
        Self { next: Instant::now(), period: Duration::from_secs_f64(1.0 / fps) }
    }

    /// Waits for the next beat. True if the source is to stop.
    fn wait(&mut self, outlet: &Outlet) -> bool {
        let stop = outlet.sleep_until(self.next);
        let now = Instant::now();
        self.next += self.period;
        if self.next < now {
            self.next = now + self.period;
        }
        stop
    }
}

fn run_test(format: VideoFormat, outlet: &Outlet) -> Result<(), CameraError> {
    let scene = TestPicture::new(u64::from(std::process::id()), format.width, format.height);
    outlet.running("Test picture".into());
    let (begin, mut pace) = (Instant::now(), Pace::new(f64::from(format.fps)));
    for counter in 0u32.. {
        if pace.wait(outlet) {
            break;
        }
        let mut picture = scene.draw(begin.elapsed());
        // The moment of capture is when the drawing is done: a camera's exposure is not counted either.
        picture.taken = Instant::now();
        stamp::write(&mut picture, Stamp::new(counter, unix_millis()));
        outlet.picture(Arc::new(picture));
    }
    Ok(())
}

/// Milliseconds since the UNIX epoch.
pub fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn run_file(path: &Path, format: VideoFormat, outlet: &Outlet) -> Result<(), Y4mError> {
    let mut reader = Y4mReader::open(path)?;
    let fps = reader.header().fps();
    let mut scaler = Scaler::new(format.width, format.height);
    // Of a file with more pictures a second than are wanted, every so-many-th is taken.
    let every = (fps / f64::from(format.fps) - 0.01).ceil().max(1.0) as u64;
    let mut pace = Pace::new(fps / every as f64);
    let (mut number, mut in_this_round, mut begun) = (0u64, 0u64, false);
    loop {
        let picture = match reader.next_picture() {
            Ok(Some(picture)) => picture,
            Ok(None) if in_this_round == 0 => return Err(Y4mError::Empty),
            Err(error) if !begun => return Err(error),
            // The end, or a damaged end of a file whose beginning can be played: from the beginning.
            Ok(None) | Err(_) => {
                if in_this_round == 0 {
                    return Err(Y4mError::Truncated);
                }
                in_this_round = 0;
                reader.rewind()?;
                continue;
            }
        };
        in_this_round += 1;
        number += 1;
        if (number - 1) % every != 0 {
            outlet.count_dropped();
            continue;
        }
        if !begun {
            begun = true;
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            outlet.running(name);
        }
        let mut picture = scaler.fit(picture);
        if pace.wait(outlet) {
            return Ok(());
        }
        picture.taken = Instant::now();
        stamp::renew(&mut picture, unix_millis());
        outlet.picture(Arc::new(picture));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::camera::{CameraDevice, Captured};
    use super::super::convert::PixelLayout;
    use super::super::device::DeviceInfo;
    use super::super::y4m::Y4mWriter;
    use super::*;

    const SMALL: VideoFormat = VideoFormat { width: 320, height: 180, fps: 30 };

    enum Seen {
        Picture(Arc<Picture>),
        State(SourceState),
    }

    fn sinks() -> (PictureSink, StateSink, mpsc::Receiver<Seen>) {
        let (pictures, seen) = mpsc::channel();
        let states = pictures.clone();
        let picture = move |picture| drop(pictures.send(Seen::Picture(picture)));
        let state = move |state| drop(states.send(Seen::State(state)));
        (Arc::new(picture), Arc::new(state), seen)
    }

    fn open(choice: &CameraChoice, format: VideoFormat) -> (VideoSource, mpsc::Receiver<Seen>) {
        let (picture, state, seen) = sinks();
        (VideoSource::open(choice, format, picture, state), seen)
    }

    const LONG: Duration = Duration::from_secs(20);

    fn next_picture(seen: &mpsc::Receiver<Seen>) -> Arc<Picture> {
        loop {
            if let Seen::Picture(picture) = seen.recv_timeout(LONG).expect("a picture in time") {
                return picture;
            }
        }
    }

    fn states_until_failure(seen: &mpsc::Receiver<Seen>) -> Vec<SourceState> {
        let mut states = Vec::new();
        loop {
            if let Seen::State(state) = seen.recv_timeout(LONG).expect("a state in time") {
                states.push(state);
                if matches!(states.last(), Some(SourceState::Failed(_))) {
                    return states;
                }
            }
        }
    }

    #[test]
    fn the_test_picture_comes_about_thirty_times_a_second_with_an_advancing_counter() {
        let (source, seen) = open(&CameraChoice::Test, SMALL);
        let first = next_picture(&seen);
        let mut last = first.clone();
        for number in 1..=45 {
            let next = next_picture(&seen);
            let (stamp, before) = (stamp::read(&next).unwrap(), stamp::read(&last).unwrap());
            assert_eq!((stamp.counter, before.counter), (number, number - 1));
            assert!(stamp.age(before.millis) <= 0 && stamp.age(unix_millis()) < 20_000);
            last = next;
        }
        // Never faster; slower only as far as a busy machine makes it.
        let took = last.taken.duration_since(first.taken).as_secs_f64();
        assert!((1.35..6.0).contains(&took), "45 pictures in {took} s");
        drop(source);
    }

    #[test]
    fn nothing_comes_after_a_source_is_dropped() {
        let (source, seen) = open(&CameraChoice::Test, SMALL);
        next_picture(&seen);
        drop(source);
        while seen.try_recv().is_ok() {}
        // The sinks are gone with the thread: the channel is closed, not only quiet.
        assert!(matches!(seen.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected)));
    }

    #[test]
    fn a_source_may_be_dropped_by_its_own_sink() {
        let holder = Arc::new(Mutex::new(None::<VideoSource>));
        let (dropped, gone) = mpsc::channel();
        let inside = holder.clone();
        let sink: PictureSink = Arc::new(move |_| {
            if inside.lock().unwrap().take().is_some() {
                dropped.send(()).unwrap();
            }
        });
        *holder.lock().unwrap() = Some(VideoSource::open(&CameraChoice::Test, SMALL, sink, Arc::new(|_| {})));
        gone.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn no_pictures_are_wanted_is_not_an_error() {
        let (_source, seen) = open(&CameraChoice::None, SMALL);
        assert!(matches!(seen.recv_timeout(LONG), Ok(Seen::State(SourceState::Off))));
    }

    #[test]
    fn a_file_plays_in_a_loop_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("three.y4m");
        let mut writer = Y4mWriter::create(&path, 60).unwrap();
        for luma in [40, 80, 120] {
            let mut picture = Picture::black(64, 36, Instant::now());
            picture.y.fill(luma);
            writer.write(&picture).unwrap();
        }
        writer.finish().unwrap();
        let (source, seen) = open(&CameraChoice::File(path.clone()), VideoFormat { fps: 60, ..SMALL });
        let lumas: Vec<u8> = (0..8).map(|_| next_picture(&seen).y[0]).collect();
        assert_eq!(lumas, [40, 80, 120, 40, 80, 120, 40, 80]);
        drop(source);
        // At half the rate every second picture is taken.
        let (_source, seen) = open(&CameraChoice::File(path), SMALL);
        let lumas: Vec<u8> = (0..4).map(|_| next_picture(&seen).y[0]).collect();
        assert_eq!(lumas, [40, 120, 80, 40]);
    }

    #[test]
    fn a_file_that_is_missing_empty_foreign_or_cut_short_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let missing = folder.path().join("none.y4m");
        for (path, why) in [
            (missing, Y4mError::NotFound),
            (write("empty.y4m", b"YUV4MPEG2 W4 H2\n"), Y4mError::Empty),
            (write("foreign.y4m", b"\x1aE\xdf\xa3 matroska"), Y4mError::NotY4m),
            (write("short.y4m", b"YUV4MPEG2 W4 H2\nFRAME\n1234"), Y4mError::Truncated),
        ] {
            let (_source, seen) = open(&CameraChoice::File(path.clone()), SMALL);
            let failed = SourceState::Failed(CameraError::File { path, why });
            assert_eq!(states_until_failure(&seen), [SourceState::Opening, failed]);
        }
    }

    /// A camera of the test's own making.
    #[derive(Default)]
    struct Rig {
        cameras: Vec<DeviceInfo>,
        refusal: Option<CameraError>,
        /// Pictures before it does what `then` says.
        pictures: u32,
        then: Then,
        released: Arc<AtomicBool>,
    }

    #[derive(Clone, Copy, Default)]
    enum Then {
        #[default]
        GoOn,
        Hang,
        Unplugged,
        Panic,
    }

    impl CameraSystem for Rig {
        fn list(&self) -> Vec<DeviceInfo> {
            self.cameras.clone()
        }

        fn open(&self, id: &str, _: VideoFormat) -> Result<Box<dyn CameraDevice>, CameraError> {
            if let Some(error) = self.refusal.clone() {
                return Err(error);
            }
            if !self.cameras.iter().any(|camera| camera.id == id) {
                return Err(CameraError::NotFound(id.into()));
            }
            Ok(Box::new(RigDevice { left: self.pictures, then: self.then, released: self.released.clone() }))
        }
    }

    struct RigDevice {
        left: u32,
        then: Then,
        released: Arc<AtomicBool>,
    }

    impl CameraDevice for RigDevice {
        fn name(&self) -> String {
            "Rig".into()
        }

        fn capture(&mut self) -> Result<Captured<'_>, CameraError> {
            std::thread::sleep(Duration::from_millis(40));
            if self.left == 0 {
                match self.then {
                    Then::GoOn => {}
                    Then::Hang => std::thread::sleep(Duration::from_secs(4)),
                    Then::Unplugged => return Err(CameraError::Lost),
                    Then::Panic => panic!("the driver's wrapper"),
                }
            }
            self.left = self.left.saturating_sub(1);
            let data = vec![128; 640 * 480 * 2].into();
            Ok(Captured { layout: PixelLayout::Yuyv, width: 640, height: 480, data, age: None })
        }
    }

    impl Drop for RigDevice {
        fn drop(&mut self) {
            self.released.store(true, Ordering::Release);
        }
    }

    fn rig(then: Then) -> Rig {
        let cameras = vec![DeviceInfo { id: "rig0".into(), name: "Rig".into() }];
        Rig { cameras, pictures: 3, then, ..Rig::default() }
    }

    fn open_rig(rig: Rig, choice: &CameraChoice) -> (VideoSource, mpsc::Receiver<Seen>) {
        let (picture, state, seen) = sinks();
        let patience = Patience { open: Duration::from_secs(5), picture: Duration::from_millis(700) };
        (VideoSource::open_with(Arc::new(rig), patience, choice, SMALL, picture, state), seen)
    }

    #[test]
    fn a_camera_is_cropped_to_the_wanted_shape_and_released_when_the_source_is_dropped() {
        let rig = rig(Then::GoOn);
        let released = rig.released.clone();
        let (source, seen) = open_rig(rig, &CameraChoice::Default);
        let picture = next_picture(&seen);
        assert_eq!((picture.width, picture.height), (320, 180));
        assert!(!released.load(Ordering::Acquire));
        drop(source);
        assert!(released.load(Ordering::Acquire));
    }

    #[test]
    fn a_camera_that_hangs_breaks_or_is_unplugged_is_lost() {
        for then in [Then::Hang, Then::Unplugged, Then::Panic] {
            let (_source, seen) = open_rig(rig(then), &CameraChoice::Device("rig0".into()));
            let states = states_until_failure(&seen);
            let running = SourceState::Running("Rig".into());
            assert_eq!(states, [SourceState::Opening, running, SourceState::Failed(CameraError::Lost)]);
        }
    }

    #[test]
    fn no_camera_an_unknown_one_a_busy_one_and_a_forbidden_one_are_told_apart() {
        let failed = |rig: Rig, choice: &CameraChoice| {
            let (_source, seen) = open_rig(rig, choice);
            states_until_failure(&seen).pop()
        };
        let error = |error| Some(SourceState::Failed(error));
        assert_eq!(failed(Rig::default(), &CameraChoice::Default), error(CameraError::NoCamera));
        let other = CameraChoice::Device("other".into());
        assert_eq!(failed(rig(Then::GoOn), &other), error(CameraError::NotFound("other".into())));
        for refusal in [CameraError::Busy, CameraError::Permission, CameraError::Format] {
            let rig = Rig { refusal: Some(refusal.clone()), ..rig(Then::GoOn) };
            assert_eq!(failed(rig, &CameraChoice::Default), error(refusal));
        }
    }

    #[test]
    fn a_machine_without_cameras_says_so() {
        let cameras = list_cameras();
        let (_source, seen) = open(&CameraChoice::Device("no such camera".into()), SMALL);
        let not_found = SourceState::Failed(CameraError::NotFound("no such camera".into()));
        assert_eq!(states_until_failure(&seen).pop(), Some(not_found));
        if cameras.is_empty() {
            let (_source, seen) = open(&CameraChoice::Default, SMALL);
            assert_eq!(states_until_failure(&seen).pop(), Some(SourceState::Failed(CameraError::NoCamera)));
        }
    }
}
