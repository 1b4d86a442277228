//! Cameras through nokhwa: V4L2, Media Foundation, AVFoundation.

use std::borrow::Cow;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nokhwa::utils::{CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType};
use nokhwa::{Camera, NokhwaError};

use super::camera::{CameraDevice, CameraError, CameraSystem, Captured};
use super::convert::PixelLayout;
use super::device::DeviceInfo;
use super::source::VideoFormat;

/// The platform's own cameras.
pub(super) struct Nokhwa;

const FORMATS: [FrameFormat; 6] = [
    FrameFormat::NV12,
    FrameFormat::YUYV,
    FrameFormat::MJPEG,
    FrameFormat::RAWRGB,
    FrameFormat::RAWBGR,
    FrameFormat::GRAY,
];

/// A camera as listed, and how nokhwa calls it.
struct Found {
    info: DeviceInfo,
    index: CameraIndex,
    /// Another name that a person may type.
    path: String,
}

impl CameraSystem for Nokhwa {
    fn list(&self) -> Vec<DeviceInfo> {
        found().into_iter().map(|found| found.info).collect()
    }

    fn open(&self, id: &str, format: VideoFormat) -> Result<Box<dyn CameraDevice>, CameraError> {
        allowed()?;
        let cameras = found();
        if cameras.is_empty() && id.is_empty() {
            return Err(CameraError::NoCamera);
        }
        let named = |pick: fn(&Found) -> &str| cameras.iter().find(|found| pick(found) == id);
        let found = named(|found| &found.info.id).or_else(|| named(|found| &found.info.name));
        let found = found.or_else(|| named(|found| &found.path)).ok_or_else(|| CameraError::NotFound(id.into()))?;

        let any = RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
        let mut camera = Camera::new(found.index.clone(), any).map_err(|error| opening(&error, id))?;
        let offered = camera.compatible_camera_formats().unwrap_or_default();
        if let Some(best) = choose(&offered, format).filter(|best| *best != camera.camera_format()) {
            let exactly = RequestedFormat::with_formats(RequestedFormatType::Exact(best), &FORMATS);
            if let Err(error) = camera.set_camera_requset(exactly) {
                // The format it opened with is still there.
                tracing::warn!(%error, "the camera refused a format that it offers");
            }
        }
        camera.open_stream().map_err(|error| opening(&error, id))?;
        let set = camera.camera_format();
        tracing::info!(width = set.width(), height = set.height(), fps = set.frame_rate(), layout = %set.format(), "camera open");
        Ok(Box::new(Open { camera, name: found.info.name.clone() }))
    }
}

struct Open {
    camera: Camera,
    name: String,
}

impl CameraDevice for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn capture(&mut self) -> Result<Captured<'_>, CameraError> {
        let buffer = self.camera.frame().map_err(|error| reading(&error))?;
        let age = buffer.capture_timestamp().and_then(age);
        let layout = match buffer.source_frame_format() {
            FrameFormat::MJPEG => PixelLayout::Mjpeg,
            FrameFormat::YUYV => PixelLayout::Yuyv,
            FrameFormat::NV12 => PixelLayout::Nv12,
            FrameFormat::GRAY => PixelLayout::Gray,
            FrameFormat::RAWRGB => PixelLayout::Rgb,
            FrameFormat::RAWBGR => PixelLayout::Bgr,
        };
        let size = buffer.resolution();
        let data = Cow::Owned(buffer.buffer().to_vec());
        Ok(Captured { layout, width: size.width() as usize, height: size.height() as usize, data, age })
    }
}

/// How long ago the wall clock showed `taken`. `None` if it makes no sense.
fn age(taken: Duration) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    now.checked_sub(taken).filter(|age| *age < Duration::from_secs(10))
}

/// Waits for the person's answer where the system asks one (macOS); elsewhere returns at once.
fn allowed() -> Result<(), CameraError> {
    if nokhwa::nokhwa_check() {
        return Ok(());
    }
    let (answer, answered) = mpsc::channel();
    nokhwa::nokhwa_initialize(move |yes| {
        let _ = answer.send(yes);
    });
    match answered.recv_timeout(Duration::from_secs(55)) {
        Ok(true) => Ok(()),
        _ => Err(CameraError::Permission),
    }
}

/// The best of the formats on offer: enough pictures a second first, then the smallest that is not too small, then the layout
/// that costs least.
fn choose(offered: &[CameraFormat], wanted: VideoFormat) -> Option<CameraFormat> {
    let cost = |format: &CameraFormat| {
        let (width, height, fps) = (format.width() as usize, format.height() as usize, format.frame_rate());
        // A webcam's 25 is fine for a wanted 30; 10 is not.
        let slow = u64::from((wanted.fps * 4 / 5).saturating_sub(fps));
        let missing = (wanted.width.saturating_sub(width) + wanted.height.saturating_sub(height)) as u64;
        let beyond = (width.saturating_sub(wanted.width) + height.saturating_sub(wanted.height)) as u64;
        let fast = u64::from(fps.saturating_sub(wanted.fps));
        let layout = match format.format() {
            FrameFormat::NV12 => 0,
            FrameFormat::YUYV => 1,
            FrameFormat::RAWRGB | FrameFormat::RAWBGR => 2,
            FrameFormat::MJPEG => 3,
            FrameFormat::GRAY => 1_000_000,
        };
        slow * 150 + missing * 4 + beyond + fast + layout
    };
    let usable = |format: &&CameraFormat| {
        let (width, height) = (format.width() as usize, format.height() as usize);
        (16..=super::convert::MAX_WIDTH).contains(&width)
            && (16..=super::convert::MAX_HEIGHT).contains(&height)
            && format.frame_rate() > 0
    };
    offered.iter().filter(usable).min_by_key(|format| cost(format)).copied()
}

/// The number in "(os error 16)".
fn os_error(text: &str) -> Option<i32> {
    let number = &text[text.rfind("os error ")? + 9..];
    number.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn opening(error: &NokhwaError, id: &str) -> CameraError {
    let text = error.to_string();
    // errno(3) on Linux; Media Foundation and AVFoundation put their reasons in words and HRESULTs.
    match os_error(&text) {
        Some(1 | 13) => return CameraError::Permission,
        Some(16) => return CameraError::Busy,
        Some(2 | 6 | 19) => return CameraError::NotFound(id.into()),
        _ => {}
    }
    let lower = text.to_lowercase();
    if ["0x80070005", "denied", "permission", "authoriz"].iter().any(|word| lower.contains(word)) {
        CameraError::Permission
    } else if ["0xc00d3704", "0xc00d3ea3", "busy", "in use"].iter().any(|word| lower.contains(word)) {
        CameraError::Busy
    } else if ["fufill", "fulfill", "frameformat", "unsupported", "not whole"].iter().any(|word| lower.contains(word)) {
        CameraError::Format
    } else {
        CameraError::System(text.chars().take(200).collect())
    }
}

fn reading(error: &NokhwaError) -> CameraError {
    match os_error(&error.to_string()) {
        Some(16) => CameraError::Busy,
        _ => CameraError::Lost,
    }
}

#[cfg(target_os = "linux")]
fn found() -> Vec<Found> {
    scan(Path::new("/"))
}

/// V4L2 nodes under `root`, by number. Of the nodes of one device only the first captures; the others carry metadata.
#[cfg(target_os = "linux")]
fn scan(root: &Path) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(root.join("dev")) else { return Vec::new() };
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("video")?.parse().ok()).collect();
    numbers.sort_unstable();
    let ids: Vec<(String, String)> = std::fs::read_dir(root.join("dev/v4l/by-id"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let node = std::fs::read_link(entry.path()).ok()?.file_name()?.to_str()?.to_owned();
            Some((node, entry.file_name().to_str()?.to_owned()))
        })
        .collect();
    let mut cameras = Vec::new();
    for number in numbers {
        let node = format!("video{number}");
        let about = |file: &str| {
            let text = std::fs::read_to_string(root.join("sys/class/video4linux").join(&node).join(file)).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        if about("index").is_some_and(|index| index != "0") {
            continue;
        }
        let id = ids.iter().find(|(of, _)| *of == node).map_or_else(|| node.clone(), |(_, id)| id.clone());
        let name = about("name").unwrap_or_else(|| node.clone());
        let path = format!("/dev/{node}");
        cameras.push(Found { info: DeviceInfo { id, name }, index: CameraIndex::Index(number), path });
    }
    cameras
}

#[cfg(not(target_os = "linux"))]
fn found() -> Vec<Found> {
    let query = || nokhwa::query(nokhwa::utils::ApiBackend::Auto);
    let Ok(Ok(cameras)) = std::panic::catch_unwind(query) else { return Vec::new() };
    cameras
        .into_iter()
        .map(|camera| {
            let name = camera.human_name();
            // The identifier that lasts is in `misc` on Windows and macOS.
            let id = if camera.misc().is_empty() { name.clone() } else { camera.misc() };
            Found { info: DeviceInfo { id, name }, index: camera.index().clone(), path: camera.index().to_string() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: VideoFormat = VideoFormat { width: 1280, height: 720, fps: 30 };

    fn format(width: u32, height: u32, layout: FrameFormat, fps: u32) -> CameraFormat {
        CameraFormat::new_from(width, height, layout, fps)
    }

    #[test]
    fn a_fast_compressed_format_beats_a_slow_raw_one_and_raw_beats_compressed_at_equal_speed() {
        let slow = format(1280, 720, FrameFormat::YUYV, 10);
        let fast = format(1280, 720, FrameFormat::MJPEG, 30);
        let small = format(640, 480, FrameFormat::YUYV, 30);
        assert_eq!(choose(&[slow, small, fast], WANTED), Some(fast));
        let raw = format(1280, 720, FrameFormat::YUYV, 30);
        assert_eq!(choose(&[fast, raw], WANTED), Some(raw));
        let planar = format(1280, 720, FrameFormat::NV12, 30);
        assert_eq!(choose(&[planar, fast, raw], WANTED), Some(planar));
    }

    #[test]
    fn no_more_pixels_than_wanted_are_taken_when_the_wanted_size_is_there() {
        let right = format(1280, 720, FrameFormat::MJPEG, 30);
        let large = format(3840, 2160, FrameFormat::NV12, 30);
        let huge = format(8000, 6000, FrameFormat::NV12, 30);
        assert_eq!(choose(&[large, right, huge], WANTED), Some(right));
        assert_eq!(choose(&[large, huge], WANTED), Some(large));
        assert_eq!(choose(&[huge], WANTED), None);
        assert_eq!(choose(&[], WANTED), None);
    }

    #[test]
    fn what_the_system_says_is_told_apart() {
        let open = |text: &str| opening(&NokhwaError::OpenDeviceError("0".into(), text.into()), "cam");
        assert_eq!(open("V4L2 Error: Permission denied (os error 13)"), CameraError::Permission);
        assert_eq!(open("V4L2 Error: No such file or directory (os error 2)"), CameraError::NotFound("cam".into()));
        let busy = NokhwaError::OpenStreamError("Device or resource busy (os error 16)".into());
        assert_eq!(opening(&busy, "cam"), CameraError::Busy);
        let none = NokhwaError::GetPropertyError { property: "CameraFormat".into(), error: "Failed to Fufill".into() };
        assert_eq!(opening(&none, "cam"), CameraError::Format);
        assert!(matches!(open("something else"), CameraError::System(_)));
        assert_eq!(reading(&NokhwaError::ReadFrameError("No such device (os error 19)".into())), CameraError::Lost);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn metadata_nodes_are_not_cameras_and_ids_last_from_start_to_start() {
        let root = tempfile::tempdir().unwrap();
        let node = |number: u32, index: &str, name: &str| {
            std::fs::create_dir_all(root.path().join("dev")).unwrap();
            std::fs::write(root.path().join(format!("dev/video{number}")), "").unwrap();
            let about = root.path().join(format!("sys/class/video4linux/video{number}"));
            std::fs::create_dir_all(&about).unwrap();
            std::fs::write(about.join("index"), format!("{index}\n")).unwrap();
            std::fs::write(about.join("name"), format!("{name}\n")).unwrap();
        };
        node(10, "0", "Second");
        node(2, "0", "First");
        node(3, "1", "First");
        let by_id = root.path().join("dev/v4l/by-id");
        std::fs::create_dir_all(&by_id).unwrap();
        std::os::unix::fs::symlink("../../video2", by_id.join("usb-First-video-index0")).unwrap();
        let list: Vec<DeviceInfo> = scan(root.path()).into_iter().map(|found| found.info).collect();
        let info = |id: &str, name: &str| DeviceInfo { id: id.into(), name: name.into() };
        assert_eq!(list, [info("usb-First-video-index0", "First"), info("video10", "Second")]);
    }
}
