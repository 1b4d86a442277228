//! Real cameras.
//!
//! The devices are reached through nokhwa, behind [`CameraSystem`] and [`CameraDevice`], so that a platform where it is weak can
//! be served another way, and so that tests can bring a device that hangs or breaks. A device lives on a thread of its own: its
//! read has no timeout. Another thread watches it and says [`CameraError::Lost`] when no picture comes for three seconds.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::camera_nokhwa::Nokhwa;
use super::convert::{self, PixelLayout, RawPicture};
use super::device::DeviceInfo;
use super::scale::Scaler;
use super::source::{Outlet, VideoFormat};
use super::y4m::Y4mError;

/// Why there are no pictures from a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CameraError {
    /// There is no camera.
    #[error("there is no camera")]
    NoCamera,
    /// The chosen camera is not there (any more).
    #[error("the camera {0:?} is not there")]
    NotFound(String),
    /// Another program has it.
    #[error("the camera is used by another program")]
    Busy,
    /// The system does not let this program use it.
    #[error("the camera may not be used")]
    Permission,
    /// It offers no format that can be used.
    #[error("the camera offers no usable format")]
    Format,
    /// It was unplugged, or it stopped sending.
    #[error("the camera stopped sending pictures")]
    Lost,
    /// A file cannot be played.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: Y4mError,
    },
    /// Something else, in the system's words.
    #[error("the camera failed: {0}")]
    System(String),
}

/// One picture from a device.
pub struct Captured<'a> {
    /// Layout of `data`.
    pub layout: PixelLayout,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The bytes.
    pub data: Cow<'a, [u8]>,
    /// How long it has lain in the system's queue, if the system says.
    pub age: Option<Duration>,
}

/// An open camera. Dropping it releases the device.
pub trait CameraDevice {
    /// What a person knows it by.
    fn name(&self) -> String;
    /// Waits for the next picture. May block for as long as the device likes.
    ///
    /// # Errors
    /// [`CameraError::Lost`] once the device is gone.
    fn capture(&mut self) -> Result<Captured<'_>, CameraError>;
}

/// A way to find and open cameras.
pub trait CameraSystem: Send + Sync {
    /// The cameras that are there, in a stable order. Opens none of them.
    fn list(&self) -> Vec<DeviceInfo>;
    /// Opens the camera with this id or name, in the format nearest to the wanted one.
    ///
    /// # Errors
    /// See [`CameraError`].
    fn open(&self, id: &str, format: VideoFormat) -> Result<Box<dyn CameraDevice>, CameraError>;
}

/// The cameras that are there. Opens none of them.
pub fn list_cameras() -> Vec<DeviceInfo> {
    Nokhwa.list()
}

/// How long is waited for a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To open. A person may be answering the system's question meanwhile.
    pub(super) open: Duration,
    /// For the next picture.
    pub(super) picture: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { open: Duration::from_secs(60), picture: Duration::from_secs(3) }
    }
}

/// How often the watching thread looks up.
const TICK: Duration = Duration::from_millis(25);
/// How long the device's thread is waited for at the end. Most devices give a picture, and with it a chance to stop, sooner.
const FAREWELL: Duration = Duration::from_millis(900);
/// A picture that lay this long is left out, so that a slow moment does not become a lasting delay.
const STALE: Duration = Duration::from_millis(150);

/// From the device's thread to the one that watches it.
enum Report {
    Opened(String),
    Picture,
    Ended(CameraError),
}

/// Plays the camera `id` (or the first) into `outlet` until that stops. Returns why it ended, if not by being stopped.
pub(super) fn run(
    system: Arc<dyn CameraSystem>,
    id: Option<String>,
    format: VideoFormat,
    outlet: &Arc<Outlet>,
    patience: Patience,
) -> Result<(), CameraError> {
    let (reports, inbox) = mpsc::channel();
    let abandoned = Arc::new(AtomicBool::new(false));
    let thread = {
        let (outlet, abandoned) = (outlet.clone(), abandoned.clone());
        std::thread::Builder::new().name("camera-device".into()).spawn(move || {
            let work = || play(&*system, id, format, &outlet, &abandoned, &reports);
            // Drivers' wrappers panic at odd moments, an unplugged device among them.
            let error = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Some(CameraError::Lost));
            if let Some(error) = error {
                let _ = reports.send(Report::Ended(error));
            }
        })
    };
    let thread = thread.map_err(|error| CameraError::System(error.kind().to_string()))?;

    let mut deadline = Instant::now() + patience.open;
    let result = loop {
        if outlet.is_stopped() {
            break Ok(());
        }
        match inbox.recv_timeout(TICK) {
            Ok(Report::Opened(name)) => {
                deadline = Instant::now() + patience.picture;
                outlet.running(name);
            }
            Ok(Report::Picture) => deadline = Instant::now() + patience.picture,
            Ok(Report::Ended(error)) => break Err(error),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => break Err(CameraError::Lost),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
    };
    abandoned.store(true, Ordering::Release);
    let give_up = Instant::now() + FAREWELL;
    while !thread.is_finished() && Instant::now() < give_up {
        match inbox.recv_timeout(TICK) {
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if Instant::now() < give_up {
        let _ = thread.join();
    } else {
        tracing::warn!("a camera does not answer; its thread is left to itself");
    }
    result
}

/// The device's thread: opens, converts, hands on. Returns why it ended, if not by being told to.
fn play(
    system: &dyn CameraSystem,
    id: Option<String>,
    format: VideoFormat,
    outlet: &Outlet,
    abandoned: &AtomicBool,
    reports: &mpsc::Sender<Report>,
) -> Option<CameraError> {
    let Some(id) = id.or_else(|| system.list().into_iter().next().map(|device| device.id)) else {
        return Some(CameraError::NoCamera);
    };
    let mut device = match system.open(&id, format) {
        Ok(device) => device,
        Err(error) => return Some(error),
    };
    if reports.send(Report::Opened(device.name())).is_err() {
        return None;
    }
    let mut scaler = Scaler::new(format.width, format.height);
    let least_gap = Duration::from_secs_f64(0.7 / f64::from(format.fps.max(1)));
    let (mut last, mut damaged) = (None::<Instant>, 0u32);
    while !abandoned.load(Ordering::Acquire) && !outlet.is_stopped() {
        let captured = match device.capture() {
            Ok(captured) => captured,
            Err(error) => return Some(error),
        };
        let now = Instant::now();
        let age = captured.age.unwrap_or_default();
        let too_soon = last.is_some_and(|last| now.duration_since(last) < least_gap);
        if too_soon || (STALE..Duration::from_secs(2)).contains(&age) {
            outlet.count_dropped();
            let _ = reports.send(Report::Picture);
            continue;
        }
        let taken = if age < STALE { now.checked_sub(age).unwrap_or(now) } else { now };
        let Captured { layout, width, height, data, .. } = captured;
        match convert::to_picture(RawPicture { layout, width, height, data: &data }, taken) {
            Ok(picture) => {
                damaged = 0;
                last = Some(now);
                let _ = reports.send(Report::Picture);
                if abandoned.load(Ordering::Acquire) {
                    break;
                }
                outlet.picture(Arc::new(scaler.fit(picture)));
            }
            Err(error) => {
                // A damaged picture now and then is usual after opening; nothing but damage is not.
                damaged += 1;
                outlet.count_dropped();
                tracing::debug!(%error, "a picture from the camera is damaged");
                if damaged >= 100 {
                    return Some(CameraError::Format);
                }
            }
        }
    }
    None
}
