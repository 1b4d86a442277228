//! Own camera, microphone and speaker: opened when wanted, released when not, watched while they run.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engine::input::{Input, Inputs};
use crate::engine::lock;
use crate::engine::view::{DeviceState, Own};
use crate::engine::words;
use crate::media::device::{CameraChoice, DeviceInfo, DeviceList, MicChoice, SpeakerChoice};
use crate::media::frame::{BLOCK, Latest, Picture};
use crate::media::level;
use crate::media::mic::MicSource;
use crate::media::source::{SourceState, VideoFormat, VideoSource};
use crate::media::speaker::SpeakerSink;
use crate::settings::Sound;

use super::hear_myself::Mirror;
use super::outbox::Outbox;
use super::sound_out::{AudioSender, MicMonitor, SoundLine};

/// A device that failed is tried again after these waits, the last of them again and again: it may have been plugged in, or
/// given up by another program.
const RETRIES: [Duration; 4] =
    [Duration::from_secs(3), Duration::from_secs(6), Duration::from_secs(12), Duration::from_secs(30)];

/// A device that has just failed may stand in a list that was read before.
const SETTLED: Duration = Duration::from_secs(1);

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

/// What became of a device that somebody chose, for a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceNote {
    /// It is gone; the system's default is used meanwhile.
    Gone(DeviceKind, String),
    /// It is back, and used again.
    Back(DeviceKind, String),
}

/// The system's default stands in for the chosen device.
#[derive(Clone, Copy, Debug)]
struct Instead {
    since: Instant,
    /// The chosen one has been missing from a list since then: if it shows up again, it was plugged in.
    missed: bool,
}

struct Slot<D> {
    device: Option<D>,
    opening: u64,
    state: DeviceState,
    /// Failures since it last ran.
    failures: usize,
    retry_at: Option<Instant>,
    instead: Option<Instead>,
    /// The newest list has what was chosen.
    listed: bool,
    /// The name of what was chosen, since it ran.
    name: Option<String>,
}

impl<D> Slot<D> {
    fn closed() -> Self {
        Self {
            device: None,
            opening: 0,
            state: DeviceState::Off,
            failures: 0,
            retry_at: None,
            instead: None,
            listed: false,
            name: None,
        }
    }

    fn close(&mut self) {
        self.device = None;
        self.opening += 1;
        self.state = DeviceState::Off;
        self.failures = 0;
        self.retry_at = None;
        self.instead = None;
    }

    /// The chosen device has failed: the system's default stands in for it, at once. Returns its name; `None` if nothing
    /// failed, or the default it is already.
    fn fall_back(&mut self, now: Instant, chosen: Option<&str>) -> Option<String> {
        let chosen = chosen.filter(|_| self.instead.is_none() && matches!(self.state, DeviceState::Failed(_)))?;
        self.instead = Some(Instead { since: now, missed: false });
        self.retry_at = Some(now);
        Some(self.name.take().unwrap_or_else(|| chosen.to_owned()))
    }

    /// Takes in whether what was chosen is there. True if it has come back and is to be used again.
    fn handle_listed(&mut self, now: Instant, listed: bool) -> bool {
        let came = listed && !std::mem::replace(&mut self.listed, listed);
        match &mut self.instead {
            Some(instead) if !listed => instead.missed = true,
            // A list may be as old as the failure itself.
            Some(instead) if instead.missed && now.saturating_duration_since(instead.since) >= SETTLED => {
                self.instead = None;
                self.retry_at = Some(now);
                return true;
            }
            // Plugged in again: no reason to wait for the next try.
            None if came && self.retry_at.is_some() => self.retry_at = Some(now),
            _ => {}
        }
        false
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

    /// Whether the report says that the present opening has failed.
    fn has_failed_by(&self, report: &DeviceReport) -> bool {
        matches!(report.state, DeviceState::Failed(_)) && report.opening == self.opening && self.device.is_some()
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
            (DeviceState::Running(name), _) => {
                self.failures = 0;
                if self.instead.is_none() {
                    self.name = Some(name.clone());
                }
            }
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

/// The device that a choice names, if it names one.
macro_rules! named {
    ($kind:ident, $choice:expr) => {
        match $choice {
            $kind::Device(name) => Some(name.as_str()),
            _ => None,
        }
    };
}

/// A device as a person reads it.
fn shown(list: &[DeviceInfo], chosen: Option<&str>) -> String {
    let chosen = chosen.unwrap_or_default();
    list.iter().find(|one| one.id == chosen).map_or_else(|| chosen.to_owned(), |one| one.name.clone())
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
    /// Where sound goes (nowhere before somebody is admitted), and what happens to it on the way.
    line: SoundLine,
    camera: Slot<VideoSource>,
    mic: Slot<MicSource>,
    silence: Option<MicSource>,
    speaker: Slot<SpeakerSink>,
    notes: Vec<DeviceNote>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Devices {
    pub(crate) fn new(inputs: Inputs, format: VideoFormat, line: SoundLine, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            inputs,
            format,
            camera_choice: CameraChoice::default(),
            mic_choice: MicChoice::default(),
            speaker_choice: SpeakerChoice::default(),
            mic_on: false,
            camera_on: false,
            monitor: line.monitor.clone(),
            picture: Arc::default(),
            picture_outlet: Arc::default(),
            line,
            camera: Slot::closed(),
            mic: Slot::closed(),
            silence: None,
            speaker: Slot::closed(),
            notes: Vec::new(),
            wake,
        }
    }

    /// Pictures and sound go there from now on. Devices that run go on running.
    pub(crate) fn connect(&mut self, pictures: Option<PictureInlet>, sound: Option<Arc<Outbox>>) {
        *lock(&self.picture_outlet) = pictures;
        self.line.outlet.set(sound);
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
            if let Some(inlet) = &*lock(&outlet) {
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
        let in_a_room = matches!(self.mic_choice, MicChoice::Default | MicChoice::Device(_));
        let mut sender = AudioSender::new(self.line.clone(), in_a_room);
        let blocks = move |block: &[f32; BLOCK]| sender.handle_block(block);
        let choice = if self.mic.instead.is_some() { &MicChoice::Default } else { &self.mic_choice };
        self.mic.device = Some(MicSource::open(choice, Box::new(blocks), Arc::new(state)));
    }

    /// Silence in place of a microphone that is not there.
    fn keep_cadence(&mut self) {
        let mut sender = AudioSender::new(self.line.clone(), false);
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
        let choice = if self.speaker.instead.is_some() { &SpeakerChoice::Default } else { &self.speaker_choice };
        self.speaker.device = Some(SpeakerSink::open(choice, playback, Arc::new(state)));
    }

    /// Another microphone was chosen.
    pub(crate) fn choose_mic(&mut self, choice: MicChoice) {
        (self.mic_choice, self.mic.instead, self.mic.name) = (choice, None, None);
    }

    /// Another speaker was chosen.
    pub(crate) fn choose_speaker(&mut self, choice: SpeakerChoice) {
        (self.speaker_choice, self.speaker.instead, self.speaker.name) = (choice, None, None);
    }

    /// Takes in which devices there are. A chosen microphone or speaker that is back is used again; whatever failed and is
    /// there again is tried at once ([`due_for_retry`](Self::due_for_retry)). Nothing is switched on or off by it.
    pub(crate) fn handle_list(&mut self, now: Instant, list: &DeviceList) {
        let has = |found: &[DeviceInfo], chosen: Option<&str>| match chosen {
            Some(chosen) => found.iter().any(|one| one.id == chosen || one.name == chosen),
            None => !found.is_empty(),
        };
        let camera = named!(CameraChoice, &self.camera_choice);
        self.camera.handle_listed(now, has(&list.cameras, camera));
        let mic = named!(MicChoice, &self.mic_choice);
        if self.mic.handle_listed(now, has(&list.mics, mic)) {
            self.notes.push(DeviceNote::Back(DeviceKind::Mic, shown(&list.mics, mic)));
        }
        let speaker = named!(SpeakerChoice, &self.speaker_choice);
        if self.speaker.handle_listed(now, has(&list.speakers, speaker)) {
            self.notes.push(DeviceNote::Back(DeviceKind::Speaker, shown(&list.speakers, speaker)));
        }
    }

    /// What became of chosen devices since it was last asked.
    pub(crate) fn take_notes(&mut self) -> Vec<DeviceNote> {
        std::mem::take(&mut self.notes)
    }

    /// Unmutes or mutes, at once.
    pub(crate) fn set_mic(&mut self, on: bool) {
        self.mic_on = on;
        self.monitor.set_on(on);
    }

    /// What happens to the own sound, from the next block on.
    pub(crate) fn set_sound(&self, sound: &Sound) {
        self.line.switches.set(sound);
    }

    /// Where the person hears what others would.
    pub(crate) fn mirror(&self) -> &Mirror {
        &self.line.mirror
    }

    /// Releases everything and forgets that anything was on.
    pub(crate) fn release(&mut self) {
        self.line.mirror.cancel();
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
                let failed = self.mic.has_failed_by(report);
                let changed = self.mic.accept(report, now);
                // It may have failed for the same reason as before: that changes nothing to be seen.
                if failed {
                    self.keep_cadence();
                    if let Some(name) = self.mic.fall_back(now, named!(MicChoice, &self.mic_choice)) {
                        self.notes.push(DeviceNote::Gone(DeviceKind::Mic, name));
                    }
                }
                changed
            }
            DeviceKind::Speaker => {
                let failed = self.speaker.has_failed_by(report);
                let changed = self.speaker.accept(report, now);
                if failed && let Some(name) = self.speaker.fall_back(now, named!(SpeakerChoice, &self.speaker_choice)) {
                    self.notes.push(DeviceNote::Gone(DeviceKind::Speaker, name));
                }
                changed
            }
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
            hear_myself: self.line.mirror.state(),
        }
    }

    fn reporter(&self, kind: DeviceKind, opening: u64) -> impl Fn(DeviceState) + Send + Sync + 'static {
        let inputs = self.inputs.clone();
        move |state| {
            let _ = inputs.send(Input::Device(DeviceReport { kind, opening, state }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> Devices {
        let (inputs, _) = tokio::sync::mpsc::unbounded_channel();
        Devices::new(inputs, VideoFormat { width: 320, height: 180, fps: 15 }, SoundLine::default(), Arc::new(|| {}))
    }

    fn report(devices: &Devices, state: DeviceState) -> DeviceReport {
        DeviceReport { kind: DeviceKind::Mic, opening: devices.mic.opening, state }
    }

    fn list(mics: &[&str]) -> DeviceList {
        let info = |name: &&str| DeviceInfo { id: format!("id of {name}"), name: (*name).to_owned() };
        DeviceList { mics: mics.iter().map(info).collect(), ..DeviceList::default() }
    }

    /// A microphone that was chosen, and runs.
    fn headset(now: Instant) -> Devices {
        let mut devices = devices();
        devices.set_mic(false);
        devices.choose_mic(MicChoice::Device("Headset".into()));
        devices.apply_mic();
        assert!(devices.handle(&report(&devices, DeviceState::Running("Headset".into())), now));
        devices.handle_list(now, &list(&["Built in", "Headset"]));
        devices
    }

    #[test]
    fn a_chosen_microphone_that_goes_is_replaced_by_the_default_and_taken_again_when_it_is_back() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut devices = headset(now);
        assert!(devices.handle(&report(&devices, DeviceState::Failed("gone".into())), after(5)));
        assert_eq!(devices.take_notes(), [DeviceNote::Gone(DeviceKind::Mic, "Headset".into())]);
        assert_eq!(devices.due_for_retry(after(5)), [DeviceKind::Mic], "the default is opened at once");
        devices.apply_mic();
        assert!(devices.handle(&report(&devices, DeviceState::Running("Built in".into())), after(5)));
        assert!(!devices.own().mic_on, "nothing was unmuted");
        // A list that is older than the loss brings nothing back.
        devices.handle_list(after(5), &list(&["Built in", "Headset"]));
        devices.handle_list(after(7), &list(&["Built in"]));
        assert!(devices.due_for_retry(after(7)).is_empty() && devices.take_notes().is_empty());
        devices.handle_list(after(60), &list(&["Built in", "Headset"]));
        assert_eq!(devices.take_notes(), [DeviceNote::Back(DeviceKind::Mic, "Headset".into())]);
        assert_eq!(devices.due_for_retry(after(60)), [DeviceKind::Mic]);
        devices.apply_mic();
        assert!(devices.mic.instead.is_none() && !devices.own().mic_on);
    }

    #[test]
    fn a_chosen_microphone_that_is_there_and_does_not_work_is_not_tried_back_and_forth() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut devices = headset(now);
        devices.handle(&report(&devices, DeviceState::Failed("busy".into())), after(1));
        devices.due_for_retry(after(1));
        devices.apply_mic();
        devices.handle(&report(&devices, DeviceState::Running("Built in".into())), after(1));
        devices.take_notes();
        for n in 2..100 {
            devices.handle_list(after(n), &list(&["Built in", "Headset"]));
            assert!(devices.due_for_retry(after(n)).is_empty() && devices.take_notes().is_empty());
        }
        devices.choose_mic(MicChoice::Device("Headset".into()));
        assert!(devices.mic.instead.is_none(), "choosing it again tries it again");
    }

    #[test]
    fn a_microphone_that_fails_again_for_the_same_reason_leaves_silence_in_its_place() {
        let now = Instant::now();
        let mut devices = devices();
        devices.choose_mic(MicChoice::Default);
        for attempt in 0..3 {
            devices.apply_mic();
            let changed = devices.handle(&report(&devices, DeviceState::Failed("no server".into())), now);
            assert_eq!(changed, attempt == 0, "the same is to be seen");
            assert!(devices.silence.is_some(), "attempt {attempt}: packets go out at the same pace");
        }
        // Another that was chosen and fails alike is replaced all the same.
        devices.choose_mic(MicChoice::Device("Headset".into()));
        devices.apply_mic();
        devices.handle(&report(&devices, DeviceState::Failed("no server".into())), now);
        assert_eq!(devices.take_notes(), [DeviceNote::Gone(DeviceKind::Mic, "Headset".into())]);
    }

    #[test]
    fn a_default_that_fails_is_tried_as_soon_as_there_is_a_device_again() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut devices = devices();
        devices.choose_mic(MicChoice::Default);
        devices.apply_mic();
        devices.handle_list(now, &list(&[]));
        devices.handle(&report(&devices, DeviceState::Failed("no server".into())), now);
        assert!(devices.take_notes().is_empty() && devices.due_for_retry(after(1)).is_empty());
        devices.handle_list(after(1), &list(&["Built in"]));
        assert_eq!(devices.due_for_retry(after(1)), [DeviceKind::Mic]);
    }
}
