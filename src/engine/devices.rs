//! Own camera, microphone and speaker: opened when wanted, released when not, watched while they run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::input::{Input, Inputs};
use crate::engine::view::{DeviceState, Own};
use crate::engine::words;
use crate::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use crate::media::frame::{BLOCK, Latest, Picture};
use crate::media::mic::MicSource;
use crate::media::source::{SourceState, VideoFormat, VideoSource};
use crate::media::speaker::SpeakerSink;

use super::sending::{AudioSender, MicMonitor};

/// A device that failed is tried again this often: it may have been plugged in, or given up by another program.
const RETRY: Duration = Duration::from_secs(3);

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
    retry_at: Option<Instant>,
}

impl<D> Slot<D> {
    fn closed() -> Self {
        Self { device: None, opening: 0, state: DeviceState::Off, retry_at: None }
    }

    fn close(&mut self) {
        self.device = None;
        self.opening += 1;
        self.state = DeviceState::Off;
        self.retry_at = None;
    }

    fn accept(&mut self, report: &DeviceReport, now: Instant) -> bool {
        if report.opening != self.opening || self.device.is_none() {
            return false;
        }
        self.retry_at = matches!(report.state, DeviceState::Failed(_)).then_some(now + RETRY);
        std::mem::replace(&mut self.state, report.state.clone()) != report.state
    }

    fn due(&mut self, now: Instant) -> bool {
        let due = self.retry_at.is_some_and(|at| now >= at);
        if due {
            self.retry_at = None;
        }
        due
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
    camera: Slot<VideoSource>,
    mic: Slot<MicSource>,
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
            camera: Slot::closed(),
            mic: Slot::closed(),
            speaker: Slot::closed(),
            wake,
        }
    }

    /// Opens the camera if it is on, with pictures going to `inlet` and to the own tile; releases it if it is off.
    pub(crate) fn apply_camera(&mut self, inlet: Option<PictureInlet>) {
        self.camera.close();
        self.picture.clear();
        if !self.camera_on || self.camera_choice == CameraChoice::None {
            return;
        }
        self.camera.state = DeviceState::Opening;
        let (own, wake) = (self.picture.clone(), self.wake.clone());
        let sink = move |picture: Arc<Picture>| {
            own.put(picture.clone());
            if let Some(inlet) = &inlet {
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

    /// Opens the microphone, with its blocks going through `sender`. Muting does not close it: the meter still moves,
    /// and the packets' cadence does not change.
    pub(crate) fn apply_mic(&mut self, mut sender: AudioSender) {
        self.mic.close();
        self.monitor.reset();
        self.monitor.set_on(self.mic_on);
        if self.mic_choice == MicChoice::None {
            return;
        }
        self.mic.state = DeviceState::Opening;
        let report = self.reporter(DeviceKind::Mic, self.mic.opening);
        let state = move |state| report(words::sound_state(state));
        let blocks = move |block: &[f32; BLOCK]| sender.handle_block(block);
        self.mic.device = Some(MicSource::open(&self.mic_choice, Box::new(blocks), Arc::new(state)));
    }

    /// Opens the speaker, which pulls from `playback`.
    pub(crate) fn apply_speaker(&mut self, playback: Playback) {
        self.speaker.close();
        self.speaker.state = DeviceState::Opening;
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
        self.speaker.close();
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
            DeviceKind::Mic => self.mic.accept(report, now),
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
            mic_level: self.monitor.level(),
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
