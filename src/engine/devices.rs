//! Own camera, microphone and speaker: opened when wanted, released when not, watched while they run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::input::{Input, Inputs};
use crate::engine::view::{DeviceState, Own};
use crate::engine::words;
use crate::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use crate::media::frame::{BLOCK, Latest, Picture};
use crate::media::level;
use crate::media::mic::MicSource;
use crate::media::source::{SourceState, VideoFormat, VideoSource};
use crate::media::speaker::SpeakerSink;

use super::outbox::Outbox;
use super::sound_out::{AudioSender, MicMonitor, SoundOutlet};

/// A device that failed is tried again after these waits, the last of them again and again: it may have been plugged in, or
/// given up by another program.
const RETRIES: [Duration; 4] =
    [Duration::from_secs(3), Duration::from_secs(6), Duration::from_secs(12), Duration::from_secs(30)];

/// Which device a report is about, and which of its openings: reports of a closed one are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceKind {
    Camera,
    Mic,
    Speaker,
}

/// A report from a device's thread.
pub(crate) struct DeviceReport {
    pub(crate) kind: DeviceKind,
    pub(crate) opening: u64,
    pub(crate) state: DeviceState,
}

/// Where pictures go besides the own tile.
pub(crate) type PictureInlet = Arc<dyn Fn(Arc<Picture>) + Send + Sync>;
/// Fills the next 20 ms for the speaker.
pub(crate) type Playback = Box<dyn FnMut(&mut [f32; BLOCK]) + Send>;

struct Slot<D> {
    device: Option<D>,
    opening: u64,
    state: DeviceState,
    /// Failures since it last ran.
    failures: usize,
    retry_at: Option<Instant>,
}

impl<D> Slot<D> {
    fn closed() -> Self {
        Self { device: None, opening: 0, state: DeviceState::Off, failures: 0, retry_at: None }
    }

    fn close(&mut self) {
        self.device = None;
        self.opening += 1;
        self.state = DeviceState::Off;
        self.failures = 0;
        self.retry_at = None;
    }

    /// Before another opening. While a failed device is tried again, its failure stays to be seen.
    fn reopen(&mut self) {
        self.device = None;
        self.opening += 1;
        self.retry_at = None;
        if !matches!(self.state, DeviceState::Failed(_)) {
            self.state = DeviceState::Opening;
        }
    }

    fn accept(&mut self, report: &DeviceReport, now: Instant) -> bool {
        if report.opening != self.opening || self.device.is_none() {
            return false;
        }
        match (&report.state, &self.state) {
            (DeviceState::Opening, DeviceState::Failed(_)) => return false,
            (DeviceState::Failed(_), _) => {
                self.retry_at = Some(now + RETRIES[self.failures.min(RETRIES.len() - 1)]);
                self.failures += 1;
            }
            (DeviceState::Running(_), _) => self.failures = 0,
            _ => {}
        }
        std::mem::replace(&mut self.state, report.state.clone()) != report.state
    }

    fn due(&mut self, now: Instant) -> bool {
        let due = self.retry_at.is_some_and(|at| now >= at);
        if due {
            self.retry_at = None;
        }
        due
    }

    fn is_running(&self) -> bool {
        matches!(self.state, DeviceState::Running(_))
    }
}

/// The three devices and whether they are on. Nothing here unmutes by itself: only `set_*` does.
pub(crate) struct Devices {
    inputs: Inputs,
    format: VideoFormat,
    pub(crate) camera_choice: CameraChoice,
    pub(crate) mic_choice: MicChoice,
    pub(crate) speaker_choice: SpeakerChoice,
    pub(crate) mic_on: bool,
    pub(crate) camera_on: bool,
    pub(crate) monitor: Arc<MicMonitor>,
    pub(crate) picture: Arc<Latest<Picture>>,
    /// Where pictures go besides the own tile: nowhere before somebody is admitted.
    picture_outlet: Arc<Mutex<Option<PictureInlet>>>,
    /// Where sound goes: nowhere before somebody is admitted.
    sound_outlet: SoundOutlet,
    camera: Slot<VideoSource>,
    mic: Slot<MicSource>,
    silence: Option<MicSource>,
    speaker: Slot<SpeakerSink>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Devices {
    pub(crate) fn new(inputs: Inputs, format: VideoFormat, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            inputs,
            format,
            camera_choice: CameraChoice::default(),
            mic_choice: MicChoice::default(),
            speaker_choice: SpeakerChoice::default(),
            mic_on: false,
            camera_on: false,
            monitor: Arc::default(),
            picture: Arc::default(),
            picture_outlet: Arc::default(),
            sound_outlet: SoundOutlet::default(),
            camera: Slot::closed(),
            mic: Slot::closed(),
            silence: None,
            speaker: Slot::closed(),
            wake,
        }
    }

    /// Pictures and sound go there from now on. Devices that run go on running.
    pub(crate) fn connect(&mut self, pictures: Option<PictureInlet>, sound: Option<Arc<Outbox>>) {
        *self.picture_outlet.lock().unwrap_or_else(PoisonError::into_inner) = pictures;
        self.sound_outlet.set(sound);
    }

    /// Opens the camera if it is on, and releases it if it is off.
    pub(crate) fn apply_camera(&mut self) {
        if !self.camera_on || self.camera_choice == CameraChoice::None {
            self.camera.close();
            self.picture.clear();
            return;
        }
        self.camera.reopen();
        self.picture.clear();
        let (own, wake, outlet) = (self.picture.clone(), self.wake.clone(), self.picture_outlet.clone());
        let sink = move |picture: Arc<Picture>| {
            own.put(picture.clone());
            if let Some(inlet) = &*outlet.lock().unwrap_or_else(PoisonError::into_inner) {
                inlet(picture);
            }
            wake();
        };
        let report = self.reporter(DeviceKind::Camera, self.camera.opening);
        let state = move |state| {
            report(match state {
                SourceState::Off => DeviceState::Off,
                SourceState::Opening => DeviceState::Opening,
                SourceState::Running(name) => DeviceState::Running(name),
                SourceState::Failed(error) => DeviceState::Failed(words::camera_error(&error)),
            });
        };
        self.camera.device = Some(VideoSource::open(&self.camera_choice, self.format, Arc::new(sink), Arc::new(state)));
    }

    /// Opens the microphone. Muting does not close it: the meter still moves, and the packets' cadence does not change.
    /// Without one, silence goes out at the same cadence.
    pub(crate) fn apply_mic(&mut self) {
        self.mic.reopen();
        self.monitor.reset();
        self.monitor.set_on(self.mic_on);
        self.silence = None;
        if self.mic_choice == MicChoice::None {
            self.mic.close();
            self.keep_cadence();
            return;
        }
        let report = self.reporter(DeviceKind::Mic, self.mic.opening);
        let state = move |state| report(words::sound_state(state));
        let mut sender = AudioSender::new(self.monitor.clone(), self.sound_outlet.clone());
        let blocks = move |block: &[f32; BLOCK]| sender.handle_block(block);
        self.mic.device = Some(MicSource::open(&self.mic_choice, Box::new(blocks), Arc::new(state)));
    }

    /// Silence in place of a microphone that is not there.
    fn keep_cadence(&mut self) {
        let mut sender = AudioSender::new(self.monitor.clone(), self.sound_outlet.clone());
        let blocks = move |block: &[f32; BLOCK]| sender.handle_block(block);
        self.silence = Some(MicSource::open(&MicChoice::None, Box::new(blocks), Arc::new(|_| {})));
    }

    /// Whether sound and pictures of one's own really go out: what the others are told.
    pub(crate) fn live(&self) -> (bool, bool) {
        (self.mic_on && self.mic.is_running(), self.camera_on && self.camera.is_running())
    }

    /// Opens the speaker, which pulls from `playback`.
    pub(crate) fn apply_speaker(&mut self, playback: Playback) {
        self.speaker.reopen();
        let report = self.reporter(DeviceKind::Speaker, self.speaker.opening);
        let state = move |state| report(words::sound_state(state));
        self.speaker.device = Some(SpeakerSink::open(&self.speaker_choice, playback, Arc::new(state)));
    }

    /// Unmutes or mutes, at once.
    pub(crate) fn set_mic(&mut self, on: bool) {
        self.mic_on = on;
        self.monitor.set_on(on);
    }

    /// Releases everything and forgets that anything was on.
    pub(crate) fn release(&mut self) {
        self.set_mic(false);
        self.camera_on = false;
        self.camera.close();
        self.mic.close();
        self.silence = None;
        self.speaker.close();
        self.connect(None, None);
        self.picture.clear();
        self.monitor.reset();
    }

    /// Takes a report; true if it changed what is shown.
    pub(crate) fn handle(&mut self, report: &DeviceReport, now: Instant) -> bool {
        match report.kind {
            DeviceKind::Camera => {
                if matches!(report.state, DeviceState::Failed(_)) && report.opening == self.camera.opening {
                    self.picture.clear();
                }
                self.camera.accept(report, now)
            }
            DeviceKind::Mic => {
                let changed = self.mic.accept(report, now);
                if changed && matches!(self.mic.state, DeviceState::Failed(_)) {
                    self.keep_cadence();
                }
                changed
            }
            DeviceKind::Speaker => self.speaker.accept(report, now),
        }
    }

    /// Which devices failed a while ago and should be opened again.
    pub(crate) fn due_for_retry(&mut self, now: Instant) -> Vec<DeviceKind> {
        let mut due = Vec::new();
        for (kind, is_due) in [
            (DeviceKind::Camera, self.camera.due(now)),
            (DeviceKind::Mic, self.mic.due(now)),
            (DeviceKind::Speaker, self.speaker.due(now)),
        ] {
            if is_due {
                due.push(kind);
            }
        }
        due
    }

    /// What a window shows of them.
    pub(crate) fn own(&self) -> Own {
        Own {
            mic_on: self.mic_on,
            camera_on: self.camera_on,
            mic: self.mic.state.clone(),
            camera: self.camera.state.clone(),
            speaker: self.speaker.state.clone(),
            mic_level: level::in_steps(self.monitor.level()),
            picture: self.picture.clone(),
        }
    }

    fn reporter(&self, kind: DeviceKind, opening: u64) -> impl Fn(DeviceState) + Send + Sync + 'static {
        let inputs = self.inputs.clone();
        move |state| {
            let _ = inputs.send(Input::Device(DeviceReport { kind, opening, state }));
        }
    }
}
