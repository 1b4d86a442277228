//! Which sound system this machine has, what devices it offers, and how a device is opened and let go of.
//!
//! On Linux that is PulseAudio (or PipeWire in its clothes) where its server answers, else ALSA where there is anything
//! for ALSA to open; elsewhere the system's own. A sound system may hang at any call. So every call into it is made on
//! a thread of its own, and nobody waits for that thread longer than a bound.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait};

use super::device::DeviceInfo;
use super::frame::{BLOCK, SAMPLE_RATE};
use super::wav::WavError;

/// A running device that delivers or takes nothing for this long is lost.
pub const SILENT_DEVICE: Duration = Duration::from_secs(2);
/// What a device may take to begin: Bluetooth headsets switch their profile first.
pub const FIRST_SOUND: Duration = Duration::from_secs(5);
/// What opening may take before it is given up.
pub(crate) const OPENING: Duration = Duration::from_secs(6);
/// What closing may take before it is left to itself.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);
/// How often a device is looked for while it is open.
const PRESENCE: Duration = Duration::from_secs(1);
/// What a listing may take.
const LISTING: Duration = Duration::from_secs(2);
/// What a Pulse server may take to accept a connection before it counts as absent.
#[cfg(target_os = "linux")]
const PULSE_ANSWER: Duration = Duration::from_millis(200);

/// Why there is no sound from or to a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SoundError {
    /// This machine has no such device at all, or no sound system.
    #[error("no sound device")]
    NoDevice,
    /// The chosen device is not there (now).
    #[error("sound device not found: {0}")]
    NotFound(String),
    /// Another program holds it.
    #[error("sound device busy")]
    Busy,
    /// The system does not let us use it.
    #[error("no permission for the sound device")]
    Permission,
    /// It was there and is gone, or it stopped.
    #[error("sound device lost")]
    Lost,
    /// It offers no form of sound that is understood.
    #[error("sound device without a usable format")]
    Format,
    /// The chosen file cannot be played.
    #[error("sound file: {0}")]
    File(#[from] WavError),
    /// Something else; the text is the system's.
    #[error("sound system: {0}")]
    System(String),
}

/// How a source or sink of sound is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoundState {
    /// It is being opened.
    Opening,
    /// It works; the name is what a person reads.
    Running(String),
    /// It does not work and will not by itself: drop it, and open it or another one again.
    Failed(SoundError),
}

/// Called on every change of state, from the worker's thread. It must not block.
pub type StateCallback = Arc<dyn Fn(SoundState) + Send + Sync>;

/// Which way the sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Capture,
    Playback,
}

/// All microphones just now. Empty when there is no sound system, or it does not answer within 2 s.
/// Monitors of speakers are left out: what others say must not be sent back to them by mistake.
pub fn list_mics() -> Vec<DeviceInfo> {
    list(Direction::Capture)
}

/// All speakers just now. Empty when there is no sound system, or it does not answer within 2 s.
pub fn list_speakers() -> Vec<DeviceInfo> {
    list(Direction::Playback)
}

fn list(direction: Direction) -> Vec<DeviceInfo> {
    let listing = bounded("sound-list", LISTING, move || {
        let Some(place) = host() else { return Vec::new() };
        let Some(host) = place.get() else { return Vec::new() };
        let Ok(devices) = host.devices() else { return Vec::new() };
        let fits = |device: &cpal::Device| match direction {
            Direction::Capture => device.supports_input(),
            Direction::Playback => device.supports_output(),
        };
        let mut found: Vec<DeviceInfo> = Vec::new();
        for device in devices.filter(fits) {
            let Some(info) = info(&device) else { continue };
            if !is_hidden(&info.id) && found.iter().all(|other| other.id != info.id) {
                found.push(info);
            }
        }
        found
    });
    listing.unwrap_or_default()
}

/// Threads that are inside the sound system just now and may hang there.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// How many of them there may be: a server that hangs for an hour must not collect a thread for every look at it.
const MAX_INSIDE: usize = 12;

/// A place among the [`MAX_INSIDE`].
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let took = INSIDE.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < MAX_INSIDE).then_some(n + 1));
        took.ok().map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs `work` on a thread of its own and waits for it no longer than `bound`.
fn bounded<T: Send + 'static>(name: &str, bound: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let place = Place::take()?;
    let (done, result) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
        let _ = done.send(work());
        drop(place);
    });
    thread.ok()?;
    result.recv_timeout(bound).ok()
}

fn info(device: &cpal::Device) -> Option<DeviceInfo> {
    let id = device.id().ok()?.to_string();
    let name = device.description().map_or_else(|_| id.clone(), |description| description.name().to_owned());
    Some(DeviceInfo { id, name })
}

/// True for what only looks like a device: the monitor of a speaker, and the sink that a Pulse server without any
/// hardware puts up.
fn is_hidden(id: &str) -> bool {
    id.starts_with("pulseaudio:") && (id.ends_with(".monitor") || id == "pulseaudio:auto_null")
}

/// A way to the sound system, for one user at a time.
pub(crate) struct Host {
    inner: Option<cpal::Host>,
}

#[cfg(not(target_os = "linux"))]
fn host() -> Option<Host> {
    Some(Host { inner: Some(cpal::default_host()) })
}

/// Connections to the Pulse server that nobody uses just now.
///
/// The client library never ends the thread behind a connection, so they are used again. But no two streams share one:
/// the library gives all of them the same synchronisation group, and the server takes no second player into that.
#[cfg(target_os = "linux")]
static IDLE: Mutex<Vec<cpal::Host>> = Mutex::new(Vec::new());

impl Drop for Host {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(host) = self.inner.take().filter(is_native) {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MAX_INSIDE {
                idle.push(host);
            }
        }
    }
}

impl Host {
    fn get(&self) -> Option<&cpal::Host> {
        self.inner.as_ref()
    }
}

#[cfg(target_os = "linux")]
fn host() -> Option<Host> {
    loop {
        let known = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Asked without the lock: a server that hangs keeps only this thread.
        match known {
            Some(host) if host.devices().is_ok() => return Some(Host { inner: Some(host) }),
            Some(dead) => drop(dead),
            None => break,
        }
    }
    let pulse = pulse_listens();
    if pulse {
        match cpal::host_from_id(cpal::HostId::PulseAudio) {
            Ok(host) => return Some(Host { inner: Some(host) }),
            // The client library looks for the cookie under $HOME/.config alone; ALSA's plugin may still get in.
            Err(error) => tracing::debug!(kind = ?error.kind(), "pulse server listens but does not let us in"),
        }
    }
    // The ALSA library writes to standard error when there is nothing to open, so it is not asked then.
    let alsa = (pulse || alsa_has_something()).then(|| cpal::host_from_id(cpal::HostId::Alsa).ok());
    alsa.flatten().map(|host| Host { inner: Some(host) })
}

/// True if something accepts connections where the Pulse server's socket should be.
#[cfg(target_os = "linux")]
fn pulse_listens() -> bool {
    // The same places, in the same order, as the client library looks at.
    let variable = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    let named = std::env::var("PULSE_SERVER").ok().and_then(|server| server.strip_prefix("unix:").map(Into::into));
    let runtime = variable("PULSE_RUNTIME_PATH").or_else(|| variable("XDG_RUNTIME_DIR"));
    let Some(path) = named.or_else(|| runtime.map(|folder| folder.join("pulse/native"))) else { return false };
    // A connection to a socket whose owner hangs blocks once its queue is full.
    bounded("pulse-probe", PULSE_ANSWER, move || std::os::unix::net::UnixStream::connect(path).is_ok()).unwrap_or(false)
}

/// True if there is a sound card, or a configuration that may lead ALSA to sound without one.
#[cfg(target_os = "linux")]
fn alsa_has_something() -> bool {
    let card = std::fs::read_dir("/dev/snd")
        .is_ok_and(|nodes| nodes.flatten().any(|node| node.file_name().to_string_lossy().starts_with("pcm")));
    let exists = |variable: &str, rest: &str| {
        std::env::var_os(variable).is_some_and(|folder| std::path::Path::new(&folder).join(rest).exists())
    };
    card || std::env::var_os("ALSA_CONFIG_PATH").is_some()
        || std::path::Path::new("/etc/asound.conf").exists()
        || exists("HOME", ".asoundrc")
        || exists("XDG_RUNTIME_DIR", "pipewire-0")
}

/// What the callbacks of a stream and its worker tell each other, without a lock.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Calls of the data callback.
    beats: AtomicU64,
    /// Samples that found no room (capture) or were missing (playback).
    pub(crate) slips: AtomicU64,
    /// Frames in the largest call of late.
    pub(crate) largest: AtomicUsize,
    failure: AtomicU8,
    worker: Thread,
}

impl Pulse {
    pub(crate) fn new(worker: Thread) -> Self {
        let zero = AtomicU64::new;
        let largest = AtomicUsize::new(0);
        Self { beats: zero(0), slips: zero(0), largest, failure: AtomicU8::new(0), worker }
    }

    /// For the data callback: counts, and wakes the worker (which neither locks nor allocates).
    pub(crate) fn beat(&self, frames: usize, slipped: usize) {
        self.largest.fetch_max(frames, Ordering::Relaxed);
        if slipped > 0 {
            self.slips.fetch_add(slipped as u64, Ordering::Relaxed);
        }
        self.beats.fetch_add(1, Ordering::Release);
        self.worker.unpark();
    }

    /// For the error callback.
    pub(crate) fn handle_error(&self, error: &cpal::Error) {
        use cpal::ErrorKind as Kind;
        let code = match error.kind() {
            // The stream goes on after these.
            Kind::Xrun | Kind::DeviceChanged | Kind::RealtimeDenied => return,
            Kind::PermissionDenied => 2,
            Kind::DeviceBusy => 3,
            _ => 1,
        };
        tracing::debug!(kind = ?error.kind(), "sound stream failed");
        self.failure.store(code, Ordering::Release);
        self.worker.unpark();
    }

    /// For the keeper: the device is gone.
    fn lose(&self) {
        self.failure.store(1, Ordering::Release);
        self.worker.unpark();
    }

    fn failure(&self) -> Option<SoundError> {
        match self.failure.load(Ordering::Acquire) {
            0 => None,
            2 => Some(SoundError::Permission),
            3 => Some(SoundError::Busy),
            _ => Some(SoundError::Lost),
        }
    }
}

/// Says when a device has been silent for too long.
pub(crate) struct Watchdog {
    seen: u64,
    since: Instant,
}

impl Watchdog {
    pub(crate) fn new(now: Instant) -> Self {
        Self { seen: 0, since: now }
    }

    /// Looks at the beats so far. [`SoundError::Lost`] if the device failed, or has not called for too long.
    pub(crate) fn check(&mut self, now: Instant, pulse: &Pulse) -> Result<(), SoundError> {
        if let Some(failure) = pulse.failure() {
            return Err(failure);
        }
        let beats = pulse.beats.load(Ordering::Acquire);
        if beats != self.seen {
            self.seen = beats;
            self.since = now;
        }
        let bound = if beats == 0 { FIRST_SOUND } else { SILENT_DEVICE };
        if now.saturating_duration_since(self.since) >= bound { Err(SoundError::Lost) } else { Ok(()) }
    }
}

/// A stream in the care of a thread of its own, so that a sound system that hangs harms nobody else.
pub(crate) struct Kept {
    close: Option<mpsc::Sender<()>>,
    closed: mpsc::Receiver<()>,
}

impl Kept {
    /// Runs `open` on a new thread, and keeps what it opened there until dropped. Every second it looks whether the
    /// device is still there, and tells `pulse` if it is not.
    pub(crate) fn open<T: Send + 'static>(
        pulse: Arc<Pulse>,
        open: impl FnOnce() -> Result<(cpal::Stream, Found, T), SoundError> + Send + 'static,
    ) -> Result<(Self, T), SoundError> {
        let place = Place::take().ok_or(SoundError::Lost)?;
        let (opened, result) = mpsc::sync_channel(1);
        let (close, closing) = mpsc::channel::<()>();
        let (done, closed) = mpsc::channel::<()>();
        let keeper = move || {
            match open() {
                Ok((stream, found, extra)) => {
                    drop(place);
                    if opened.send(Ok(extra)).is_ok() {
                        while closing.recv_timeout(PRESENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                            if !found.is_present() {
                                pulse.lose();
                            }
                        }
                    }
                    // In this order: what is given back must be free.
                    drop(stream);
                    drop(found);
                }
                Err(error) => drop(opened.send(Err(error))),
            }
            drop(done);
        };
        let thread = std::thread::Builder::new().name("sound-device".into()).spawn(keeper);
        thread.map_err(|error| SoundError::System(error.to_string()))?;
        match result.recv_timeout(OPENING) {
            Ok(extra) => Ok((Self { close: Some(close), closed }, extra?)),
            Err(_) => Err(SoundError::Lost),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.close.take());
        // It ends with a "disconnected" once the device is released.
        let _ = self.closed.recv_timeout(CLOSING);
    }
}

/// A device that was found.
pub(crate) struct Found {
    host: Host,
    pub(crate) device: cpal::Device,
    /// What a person reads.
    pub(crate) name: String,
    direction: Direction,
    /// True if a sound server stands before the device and converts what is asked for.
    native: bool,
}

impl Found {
    /// False once a sound server has lost the device.
    ///
    /// A server moves the streams of a device that is unplugged to another one, and for a microphone that may be the
    /// monitor of a speaker: everybody would hear themselves. Without a server the stream itself tells of its end.
    fn is_present(&self) -> bool {
        let listed =
            |host: &cpal::Host| host.devices().is_ok_and(|mut devices| devices.any(|other| other == self.device));
        !self.native || self.host.get().is_some_and(listed)
    }

    /// Chooses the form of sound to ask the device for: 48 kHz mono floats from a server that converts, else the
    /// device's own form, at 48 kHz if it can.
    pub(crate) fn configure(&self) -> Result<(cpal::StreamConfig, cpal::SampleFormat), SoundError> {
        configure(&self.device, self.direction, self.native)
    }
}

/// Finds the device that `wanted` names by id or name, or the default one for none.
pub(crate) fn find(direction: Direction, wanted: Option<&str>) -> Result<Found, SoundError> {
    let way = host().ok_or(SoundError::NoDevice)?;
    let host = way.get().ok_or(SoundError::NoDevice)?;
    let native = is_native(host);
    let devices = || match direction {
        Direction::Capture => host.input_devices().map(|devices| devices.collect::<Vec<_>>()).unwrap_or_default(),
        Direction::Playback => host.output_devices().map(|devices| devices.collect::<Vec<_>>()).unwrap_or_default(),
    };
    let shown = |device: &cpal::Device| info(device).is_some_and(|info| !is_hidden(&info.id));
    let device = match wanted {
        None => {
            let default = match direction {
                Direction::Capture => host.default_input_device(),
                Direction::Playback => host.default_output_device(),
            };
            default.filter(shown).or_else(|| devices().into_iter().find(shown)).ok_or(SoundError::NoDevice)?
        }
        Some(wanted) => {
            let named: Vec<_> = devices().into_iter().filter_map(|d| info(&d).map(|info| (d, info))).collect();
            let by = |same: &dyn Fn(&DeviceInfo) -> bool| named.iter().find(|(_, info)| same(info));
            let found = by(&|info| info.id == wanted)
                .or_else(|| by(&|info| info.id.split_once(':').is_some_and(|(_, id)| id == wanted)))
                .or_else(|| by(&|info| info.name == wanted))
                .or_else(|| by(&|info| info.name.to_lowercase() == wanted.to_lowercase()));
            found.map(|(device, _)| device.clone()).ok_or_else(|| SoundError::NotFound(wanted.to_owned()))?
        }
    };
    let name = info(&device).map_or_else(String::new, |info| info.name);
    Ok(Found { host: way, device, name, direction, native })
}

#[cfg(target_os = "linux")]
fn is_native(host: &cpal::Host) -> bool {
    host.id() == cpal::HostId::PulseAudio
}

#[cfg(not(target_os = "linux"))]
fn is_native(_: &cpal::Host) -> bool {
    false
}

fn configure(
    device: &cpal::Device,
    direction: Direction,
    native: bool,
) -> Result<(cpal::StreamConfig, cpal::SampleFormat), SoundError> {
    let fixed = cpal::BufferSize::Fixed(BLOCK as u32);
    if native {
        let config = cpal::StreamConfig { channels: 1, sample_rate: SAMPLE_RATE, buffer_size: fixed };
        return Ok((config, cpal::SampleFormat::F32));
    }
    let (default, ranges): (_, Vec<_>) = match direction {
        Direction::Capture => (
            device.default_input_config().map_err(|error| opening(&error, ""))?,
            device.supported_input_configs().map(Iterator::collect).unwrap_or_default(),
        ),
        Direction::Playback => (
            device.default_output_config().map_err(|error| opening(&error, ""))?,
            device.supported_output_configs().map(Iterator::collect).unwrap_or_default(),
        ),
    };
    let ours = ranges.iter().any(|range| {
        range.channels() == default.channels()
            && range.sample_format() == default.sample_format()
            && (range.min_sample_rate()..=range.max_sample_rate()).contains(&SAMPLE_RATE)
    });
    let sample_rate = if ours { SAMPLE_RATE } else { default.sample_rate() };
    let frames = (sample_rate / 50).max(1);
    let buffer_size = match default.buffer_size() {
        cpal::SupportedBufferSize::Range { min, max } if (*min..=*max).contains(&frames) => {
            cpal::BufferSize::Fixed(frames)
        }
        _ => cpal::BufferSize::Default,
    };
    Ok((cpal::StreamConfig { channels: default.channels(), sample_rate, buffer_size }, default.sample_format()))
}

/// What an error while opening the device `name` means.
pub(crate) fn opening(error: &cpal::Error, name: &str) -> SoundError {
    use cpal::ErrorKind as Kind;
    match error.kind() {
        Kind::DeviceBusy => SoundError::Busy,
        Kind::PermissionDenied => SoundError::Permission,
        Kind::DeviceNotAvailable => SoundError::NotFound(name.to_owned()),
        Kind::HostUnavailable => SoundError::NoDevice,
        Kind::StreamInvalidated => SoundError::Lost,
        Kind::UnsupportedConfig | Kind::UnsupportedOperation => SoundError::Format,
        _ => SoundError::System(error.to_string().chars().take(200).collect()),
    }
}

/// Waits for moments 20 ms apart, for sources and sinks that have no clock of their own.
pub(crate) struct Pacer {
    next: Instant,
}

impl Pacer {
    /// What may be caught up on after a hold-up; beyond it (the machine slept) the clock begins anew.
    const CATCH_UP: Duration = Duration::from_millis(200);
    const STEP: Duration = Duration::from_millis(20);

    pub(crate) fn new(now: Instant) -> Self {
        Self { next: now + Self::STEP }
    }

    /// How long to wait at `now` for the next moment; zero when it has come, which uses it up.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        if now > self.next + Self::CATCH_UP {
            self.next = now;
        }
        let wait = self.next.saturating_duration_since(now);
        if wait.is_zero() {
            self.next += Self::STEP;
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_a_pulse_is_lost_after_two_seconds_and_five_at_first() {
        let start = Instant::now();
        let pulse = Pulse::new(std::thread::current());
        let mut watchdog = Watchdog::new(start);
        assert_eq!(watchdog.check(start + Duration::from_millis(4_999), &pulse), Ok(()));
        assert_eq!(watchdog.check(start + FIRST_SOUND, &pulse), Err(SoundError::Lost));
        pulse.beat(960, 0);
        assert_eq!(watchdog.check(start + FIRST_SOUND, &pulse), Ok(()));
        let later = start + FIRST_SOUND + SILENT_DEVICE;
        assert_eq!(watchdog.check(later - Duration::from_millis(1), &pulse), Ok(()));
        assert_eq!(watchdog.check(later, &pulse), Err(SoundError::Lost));
    }

    #[test]
    fn an_error_ends_a_stream_but_an_underrun_does_not() {
        let pulse = Pulse::new(std::thread::current());
        for kind in [cpal::ErrorKind::Xrun, cpal::ErrorKind::DeviceChanged, cpal::ErrorKind::RealtimeDenied] {
            pulse.handle_error(&kind.into());
            assert_eq!(pulse.failure(), None);
        }
        pulse.handle_error(&cpal::ErrorKind::PermissionDenied.into());
        assert_eq!(pulse.failure(), Some(SoundError::Permission));
        pulse.handle_error(&cpal::ErrorKind::DeviceNotAvailable.into());
        assert_eq!(pulse.failure(), Some(SoundError::Lost));
    }

    #[test]
    fn the_pacer_keeps_the_mean_rate_and_forgets_a_sleep() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        let (mut now, mut blocks) = (start, 0);
        while now < start + Duration::from_secs(10) {
            let wait = pacer.wait(now);
            if wait.is_zero() {
                blocks += 1;
            }
            // Timers that fire up to 7 ms late.
            now += wait + Duration::from_millis(u64::from(!wait.is_zero()) * (blocks % 8));
        }
        assert!((498..=500).contains(&blocks), "{blocks}");
        now += Duration::from_secs(3_600);
        let burst = (0..100).take_while(|_| pacer.wait(now).is_zero()).count();
        assert_eq!(burst, 1, "an hour of sleep is not made up for");
    }

    #[test]
    fn a_hung_sound_system_holds_nobody_up() {
        let begun = Instant::now();
        let (release, held) = mpsc::channel::<()>();
        let result: Option<()> = bounded("hung", Duration::from_millis(30), move || {
            let _ = held.recv();
        });
        assert_eq!(result, None);
        assert!(begun.elapsed() < OPENING);
        drop(release);
    }

    #[test]
    fn a_monitor_is_not_a_microphone() {
        assert!(is_hidden("pulseaudio:spk.monitor"));
        assert!(is_hidden("pulseaudio:auto_null"));
        assert!(!is_hidden("pulseaudio:mic"));
        assert!(!is_hidden("alsa:hw:0,0"));
    }
}
