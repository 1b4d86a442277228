//! Microphone and speaker against a real PulseAudio server, which each test starts and stops.
//!
//! Needs the programs `pulseaudio`, `pactl`, `paplay` and `parec` (Debian: pulseaudio, pulseaudio-utils). The server has
//! a runtime folder of its own, so that it neither finds nor disturbs another. The client library reads its place from
//! the environment; so each test runs itself again as a child with that environment.
#![cfg(all(feature = "client", target_os = "linux"))]
// Helpers outside test functions end the test with a panic just the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use conclave::engine::view::{DeviceState, Stage};
use conclave::engine::{self, Command as Tell, EngineOptions, Handle, Intent};
use conclave::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use conclave::media::frame::BLOCK;
use conclave::media::mic::{MicSource, list_mics};
use conclave::media::sound_host::{SoundError, SoundState};
use conclave::media::speaker::{SpeakerSink, list_speakers};
use conclave::media::test_voice::TestVoice;
use conclave::media::wav::WavRecorder;

/// Holds the server's process id in the child.
const INSIDE: &str = "CONCLAVE_TEST_PULSE";
/// Beyond this something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the server is started.
const SERVER: [&str; 7] = [
    "-n",
    "--daemonize=no",
    "--exit-idle-time=-1",
    "--use-pid-file=no",
    "--disable-shm=yes",
    "--high-priority=no",
    "--realtime=no",
];
/// Without norewinds a null sink keeps two seconds in hand, and every measure of delay is off by them.
const MODULES: [&str; 4] = [
    "module-native-protocol-unix",
    "module-null-sink sink_name=spk sink_properties=device.description=Speaker rate=48000 norewinds=1",
    "module-null-sink sink_name=mic_feed sink_properties=device.description=MicFeed rate=48000 norewinds=1",
    "module-remap-source source_name=mic master=mic_feed.monitor source_properties=device.description=Microphone",
];

/// Ends a process with its scope.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Leads sound programs to `folder` and nowhere else.
fn lead(command: &mut Command, folder: &Path) {
    for variable in ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "PULSE_COOKIE", "ALSA_CONFIG_PATH", "DISPLAY"] {
        command.env_remove(variable);
    }
    command.env_remove("XDG_CONFIG_HOME").env("XDG_RUNTIME_DIR", folder).env("HOME", folder);
}

fn wait_for(what: &str, bound: Duration, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < bound, "{what} did not happen within {bound:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the test `name` of this file again with [`INSIDE`] set, and returns what it wrote to standard error.
fn run_inside(name: &str, folder: &Path, value: &str) -> String {
    let (out, err) = (folder.join("stdout"), folder.join("stderr"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, value).stdin(Stdio::null());
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    lead(&mut command, folder);
    let mut child = Ended(command.spawn().unwrap());
    let mut status = None;
    wait_for(name, 4 * PATIENCE, || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    let (out, err) = (std::fs::read_to_string(out).unwrap(), std::fs::read_to_string(err).unwrap());
    assert!(status.unwrap().success(), "inside:\n{out}\n{err}");
    assert!(out.contains("1 passed"), "{name} names no test:\n{out}");
    err
}

/// Runs `body` in a child process that finds a PulseAudio server with the speaker `spk` and the microphone `mic`, which
/// hears what is played to `mic_feed`.
fn with_pulse(name: &str, body: impl FnOnce(Pulse)) {
    if let Ok(server) = std::env::var(INSIDE) {
        return body(Pulse { server });
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("pulseaudio");
    lead(&mut command, folder.path());
    command.args(SERVER);
    for module in MODULES {
        command.args(["-L", module]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.path().join("server")).unwrap());
    let server = command.spawn().expect("pulseaudio is installed (Debian: pulseaudio, pulseaudio-utils)");
    let server = Ended(server);
    wait_for("the server's answer", PATIENCE, || {
        let mut ask = Command::new("pactl");
        lead(&mut ask, folder.path());
        ask.args(["list", "short", "sources"]).output().unwrap().stdout.windows(5).any(|text| text == b"\tmic\t")
    });
    run_inside(name, folder.path(), &server.0.id().to_string());
}

struct Pulse {
    server: String,
}

impl Pulse {
    fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("pactl").args(arguments).output().unwrap();
        assert!(output.status.success(), "pactl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Unloads every module whose line in the list holds `text`.
    fn unplug(&self, text: &str) {
        for line in self.ctl(&["list", "short", "modules"]).lines().filter(|line| line.contains(text)) {
            self.ctl(&["unload-module", line.split('\t').next().unwrap()]);
        }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.server]).status().unwrap().success());
    }
}

/// The states so far, and whether a given one has come.
#[derive(Clone, Default)]
struct States(Arc<Mutex<Vec<SoundState>>>);

impl States {
    fn callback(&self) -> Arc<dyn Fn(SoundState) + Send + Sync> {
        let states = self.0.clone();
        Arc::new(move |state| states.lock().unwrap().push(state))
    }

    fn last(&self) -> SoundState {
        self.0.lock().unwrap().last().cloned().unwrap()
    }

    fn wait(&self, state: &SoundState) {
        let begun = Instant::now();
        while self.last() != *state {
            assert!(begun.elapsed() < PATIENCE, "{state:?} did not come: {:?}", self.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn running(name: &str) -> SoundState {
    SoundState::Running(name.into())
}

fn open_mic(choice: &MicChoice) -> (MicSource, mpsc::Receiver<[f32; BLOCK]>, States) {
    let states = States::default();
    let (blocks, received) = mpsc::channel();
    let sink = Box::new(move |block: &[f32; BLOCK]| {
        let _ = blocks.send(*block);
    });
    (MicSource::open(choice, sink, states.callback()), received, states)
}

fn open_speaker(choice: &SpeakerChoice) -> (SpeakerSink, mpsc::Receiver<()>, States) {
    let states = States::default();
    let (pulled, pulls) = mpsc::channel();
    let mut voice = TestVoice::new();
    let source = Box::new(move |block: &mut [f32; BLOCK]| {
        voice.next_block(block);
        let _ = pulled.send(());
    });
    (SpeakerSink::open(choice, source, states.callback()), pulls, states)
}

fn drop_quickly(what: &str, thing: impl Sized) {
    let begun = Instant::now();
    drop(thing);
    assert!(begun.elapsed() < Duration::from_secs(3), "dropping {what} took {:?}", begun.elapsed());
}

fn voice(seconds: usize) -> Vec<f32> {
    let mut voice = TestVoice::new();
    let mut all = Vec::new();
    for _ in 0..seconds * 50 {
        let mut block = [0.0; BLOCK];
        voice.next_block(&mut block);
        all.extend_from_slice(&block);
    }
    all
}

/// The highest normalised cross-correlation of `piece` with any stretch of `heard`.
fn likeness(piece: &[f32], heard: &[f32]) -> f64 {
    // First at 6 kHz, then at full rate around the best place.
    let thin = |sound: &[f32]| sound.chunks_exact(8).map(|c| c.iter().sum::<f32>() / 8.0).collect::<Vec<f32>>();
    let (small, wide) = (thin(piece), thin(heard));
    let at = |piece: &[f32], heard: &[f32], lag: usize| {
        let Some(other) = heard.get(lag..lag + piece.len()) else { return 0.0 };
        let (mut product, mut a, mut b) = (0.0f32, 1e-9f32, 1e-9f32);
        for (x, y) in piece.iter().zip(other) {
            product += x * y;
            a += x * x;
            b += y * y;
        }
        f64::from(product) / (f64::from(a) * f64::from(b)).sqrt()
    };
    let lags = 0..wide.len().saturating_sub(small.len());
    let coarse =
        lags.map(|lag| (at(&small, &wide, lag), lag)).max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |best| best.1);
    let fine = (coarse * 8).saturating_sub(16)..coarse * 8 + 16;
    fine.map(|lag| at(piece, heard, lag)).fold(0.0, f64::max)
}

/// Asserts that what was said was heard: of three stretches of 1.5 s at least two without a flaw (a machine under load
/// may drop something somewhere).
fn assert_heard(said: &[f32], heard: &[f32]) {
    let found: Vec<f64> = [1, 2, 3].map(|s| likeness(&said[s * 48_000..s * 48_000 + 72_000], heard)).into();
    let good = found.iter().filter(|likeness| **likeness > 0.95).count();
    assert!(good >= 2, "{found:?} in {} samples", heard.len());
}

#[test]
fn what_is_said_into_the_microphone_arrives() {
    with_pulse("what_is_said_into_the_microphone_arrives", |_| {
        let said = voice(6);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("said.wav");
        let mut recorder = WavRecorder::create(&path).unwrap();
        for block in said.as_chunks::<BLOCK>().0 {
            recorder.write(block).unwrap();
        }
        recorder.finish().unwrap();

        let (mic, blocks, states) = open_mic(&MicChoice::Device("mic".into()));
        states.wait(&running("Microphone"));
        blocks.recv_timeout(PATIENCE).unwrap();
        let mut player = Ended(Command::new("paplay").arg("--device=mic_feed").arg(&path).spawn().unwrap());
        let mut heard = Vec::new();
        wait_for("the end of the file", PATIENCE, || {
            heard.extend(blocks.try_iter().flatten());
            player.0.try_wait().unwrap().is_some()
        });
        drop_quickly("the microphone", mic);
        heard.extend(blocks.try_iter().flatten());
        assert_heard(&said, &heard);
    });
}

#[test]
fn what_is_played_arrives_at_the_speaker() {
    with_pulse("what_is_played_arrives_at_the_speaker", |_| {
        let mut recorder = Command::new("parec");
        recorder.args(["--device=spk.monitor", "--rate=48000", "--channels=1", "--format=float32le", "--raw"]);
        let mut recorder = Ended(recorder.arg("--latency-msec=20").stdout(Stdio::piped()).spawn().unwrap());
        let mut pipe = recorder.0.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![0; 4 * 48_000 * 7];
            pipe.read_exact(&mut bytes).unwrap();
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<f32>>()
        });
        let (speaker, _pulls, states) = open_speaker(&SpeakerChoice::Device("pulseaudio:spk".into()));
        states.wait(&running("Speaker"));
        let heard = reader.join().unwrap();
        drop_quickly("the speaker", speaker);
        assert_heard(&voice(6), &heard);
    });
}

#[test]
fn the_lists_name_devices_and_defaults_open_them() {
    with_pulse("the_lists_name_devices_and_defaults_open_them", |pulse| {
        let names = |list: Vec<conclave::media::device::DeviceInfo>| {
            list.into_iter().map(|device| format!("{}={}", device.id, device.name)).collect::<Vec<_>>()
        };
        assert_eq!(names(list_mics()), ["pulseaudio:mic=Microphone"], "no monitors");
        assert_eq!(names(list_speakers()), ["pulseaudio:spk=Speaker", "pulseaudio:mic_feed=MicFeed"]);
        pulse.ctl(&["set-default-sink", "spk"]);
        // Even a monitor as the system's default is not taken for a microphone.
        pulse.ctl(&["set-default-source", "spk.monitor"]);
        let (mic, _blocks, mic_states) = open_mic(&MicChoice::Default);
        let (speaker, _pulls, speaker_states) = open_speaker(&SpeakerChoice::Default);
        mic_states.wait(&running("Microphone"));
        speaker_states.wait(&running("Speaker"));
        let (_gone, _, states) = open_mic(&MicChoice::Device("no such thing".into()));
        states.wait(&SoundState::Failed(SoundError::NotFound("no such thing".into())));
        // By the name that people read, too.
        let (_named, _more, states) = open_speaker(&SpeakerChoice::Device("Speaker".into()));
        states.wait(&running("Speaker"));
        drop_quickly("the microphone", mic);
        drop_quickly("the speaker", speaker);
    });
}

#[test]
fn dropping_releases_the_device_and_every_thread() {
    with_pulse("dropping_releases_the_device_and_every_thread", |pulse| {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let streams = || {
            let used = ["source-outputs", "sink-inputs"].map(|kind| pulse.ctl(&["list", "short", kind]));
            // The remapped source holds a stream on its master itself.
            used.iter().flat_map(|list| list.lines()).filter(|line| !line.contains("module-remap-source")).count()
        };
        let idle_streams = streams();
        let mut before = usize::MAX;
        for round in 0..4 {
            let (mic, blocks, _) = open_mic(&MicChoice::Device("mic".into()));
            let (speaker, pulls, _) = open_speaker(&SpeakerChoice::Device("spk".into()));
            blocks.recv_timeout(PATIENCE).unwrap();
            pulls.recv_timeout(PATIENCE).unwrap();
            wait_for("two streams", PATIENCE, || streams() == idle_streams + 2);
            drop_quickly("the microphone", mic);
            drop_quickly("the speaker", speaker);
            wait_for("release", PATIENCE, || streams() == idle_streams);
            if round == 0 {
                // Connections to the server stay and are used again; nothing else may.
                before = threads();
            }
        }
        for _ in 0..30 {
            assert_eq!(list_mics().len(), 1);
        }
        wait_for("the end of every thread", PATIENCE, || threads() <= before);
    });
}

#[test]
fn an_unplugged_device_is_told_and_hangs_nobody() {
    with_pulse("an_unplugged_device_is_told_and_hangs_nobody", |pulse| {
        let (mic, blocks, mic_states) = open_mic(&MicChoice::Device("mic".into()));
        let (speaker, pulls, speaker_states) = open_speaker(&SpeakerChoice::Device("spk".into()));
        blocks.recv_timeout(PATIENCE).unwrap();
        pulls.recv_timeout(PATIENCE).unwrap();
        pulse.unplug("source_name=mic");
        pulse.unplug("sink_name=spk");
        mic_states.wait(&SoundState::Failed(SoundError::Lost));
        speaker_states.wait(&SoundState::Failed(SoundError::Lost));
        drop_quickly("the microphone", mic);
        drop_quickly("the speaker", speaker);
        assert_eq!(list_mics(), []);
        let (_mic, _, states) = open_mic(&MicChoice::Default);
        states.wait(&SoundState::Failed(SoundError::NoDevice));
    });
}

#[test]
fn a_sound_server_that_dies_is_told() {
    with_pulse("a_sound_server_that_dies_is_told", |pulse| {
        let (mic, blocks, mic_states) = open_mic(&MicChoice::Device("mic".into()));
        let (speaker, pulls, speaker_states) = open_speaker(&SpeakerChoice::Device("spk".into()));
        blocks.recv_timeout(PATIENCE).unwrap();
        pulls.recv_timeout(PATIENCE).unwrap();
        pulse.signal("-KILL");
        mic_states.wait(&SoundState::Failed(SoundError::Lost));
        speaker_states.wait(&SoundState::Failed(SoundError::Lost));
        drop_quickly("the microphone", mic);
        drop_quickly("the speaker", speaker);
    });
}

/// The engine before a meeting, with a microphone and a speaker that somebody chose.
fn engine(folder: &Path, mic: &str, speaker: &str) -> Handle {
    let handle = engine::start(EngineOptions::for_window(folder.to_path_buf()), Arc::new(|| {})).unwrap();
    handle.send(Tell::ChooseCamera(CameraChoice::None));
    handle.send(Tell::ChooseMic(mic.parse().unwrap()));
    handle.send(Tell::ChooseSpeaker(speaker.parse().unwrap()));
    handle.send(Tell::Prepare(Intent::Start));
    handle.send(Tell::SetMic(false));
    // A meeting of one's own begins unmuted.
    wait_for("to be muted", PATIENCE, || {
        let view = handle.view();
        matches!(view.stage, Stage::PreJoin(_)) && !view.own.mic_on
    });
    handle
}

/// Waits until microphone and speaker run under these names.
fn runs(handle: &Handle, what: &str, mic: &str, speaker: &str) {
    let wanted = [mic, speaker].map(|name| DeviceState::Running(name.into()));
    wait_for(what, PATIENCE, || {
        let own = handle.view().own.clone();
        assert!(!own.mic_on, "{what}: nothing is ever unmuted");
        [own.mic, own.speaker] == wanted
    });
}

#[test]
fn a_headset_that_is_unplugged_gives_way_to_the_default_and_is_used_again_when_it_is_back() {
    with_pulse("a_headset_that_is_unplugged_gives_way_to_the_default_and_is_used_again_when_it_is_back", |pulse| {
        // Bluetooth headsets come back at another rate.
        let plug = |rate: &str| {
            let sink = "sink_properties=device.description=Headset";
            pulse.ctl(&["load-module", "module-null-sink", "sink_name=ear", sink, rate, "norewinds=1"]);
            let source = "source_properties=device.description=Boom";
            pulse.ctl(&[
                "load-module",
                "module-remap-source",
                "source_name=boom",
                "master=mic_feed.monitor",
                source,
                rate,
            ]);
        };
        plug("rate=48000");
        pulse.ctl(&["set-default-sink", "spk"]);
        pulse.ctl(&["set-default-source", "mic"]);
        let folder = tempfile::tempdir().unwrap();
        let handle = engine(folder.path(), "Boom", "Headset");
        runs(&handle, "the headset", "Boom", "Headset");
        for rate in ["rate=16000", "rate=48000"] {
            pulse.unplug("sink_name=ear");
            pulse.unplug("source_name=boom");
            runs(&handle, "the default instead", "Microphone", "Speaker");
            // Lists are read every two seconds: this one must have been missed in one.
            wait_for("a list without it", PATIENCE, || {
                handle.view().devices.speakers.iter().all(|speaker| speaker.name != "Headset")
                    && handle.view().devices.mics.iter().all(|mic| mic.name != "Boom")
            });
            plug(rate);
            let begun = Instant::now();
            runs(&handle, "the headset again", "Boom", "Headset");
            eprintln!("back at {rate} after {:?}", begun.elapsed());
        }
    });
}

#[test]
fn sound_follows_the_default_to_a_device_of_another_rate_and_back() {
    with_pulse("sound_follows_the_default_to_a_device_of_another_rate_and_back", |pulse| {
        pulse.ctl(&["set-default-sink", "spk"]);
        let (sink, pulled, states) = open_speaker(&SpeakerChoice::Default);
        wait_for("sound", PATIENCE, || pulled.try_recv().is_ok());
        let headset = "sink_properties=device.description=Headset";
        pulse.ctl(&["load-module", "module-null-sink", "sink_name=ear", headset, "rate=16000", "norewinds=1"]);
        let numbers = |name: &str| {
            let sinks = pulse.ctl(&["list", "short", "sinks"]);
            let line = sinks.lines().find(|line| line.contains(&format!("\t{name}\t"))).unwrap().to_owned();
            line.split('\t').next().unwrap().to_owned()
        };
        for name in ["ear", "spk"] {
            pulse.ctl(&["set-default-sink", name]);
            let number = numbers(name);
            wait_for("the stream's move", PATIENCE, || {
                let inputs = pulse.ctl(&["list", "short", "sink-inputs"]);
                inputs.lines().any(|line| line.split('\t').nth(1) == Some(number.as_str()))
            });
            while pulled.try_recv().is_ok() {}
            let mut blocks = 0;
            wait_for("half a second of sound", PATIENCE, || {
                blocks += pulled.try_iter().count();
                blocks > 25
            });
        }
        assert!(matches!(states.last(), SoundState::Running(_)), "{:?}", states.last());
        drop_quickly("speaker", sink);
    });
}

#[test]
fn devices_are_opened_again_when_the_sound_server_is_back() {
    with_pulse("devices_are_opened_again_when_the_sound_server_is_back", |pulse| {
        let folder = tempfile::tempdir().unwrap();
        let handle = engine(folder.path(), "default", "default");
        runs(&handle, "the defaults", "Microphone", "Speaker");
        pulse.signal("-KILL");
        wait_for("the failure of both", PATIENCE, || {
            let own = handle.view().own.clone();
            matches!((own.mic, own.speaker), (DeviceState::Failed(_), DeviceState::Failed(_)))
        });
        let mut command = Command::new("pulseaudio");
        command.args(SERVER).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for module in MODULES {
            command.args(["-L", module]);
        }
        let _server = Ended(command.spawn().unwrap());
        let begun = Instant::now();
        runs(&handle, "the defaults again", "Microphone", "Speaker");
        eprintln!("back {:?} after the server was started", begun.elapsed());
    });
}

#[test]
fn a_sound_server_that_hangs_hangs_nobody_else() {
    with_pulse("a_sound_server_that_hangs_hangs_nobody_else", |pulse| {
        let (mic, blocks, mic_states) = open_mic(&MicChoice::Device("mic".into()));
        let (speaker, pulls, speaker_states) = open_speaker(&SpeakerChoice::Device("spk".into()));
        blocks.recv_timeout(PATIENCE).unwrap();
        pulls.recv_timeout(PATIENCE).unwrap();
        pulse.signal("-STOP");
        mic_states.wait(&SoundState::Failed(SoundError::Lost));
        speaker_states.wait(&SoundState::Failed(SoundError::Lost));
        let (late, _, late_states) = open_mic(&MicChoice::Default);
        wait_for("a failure to open", PATIENCE, || matches!(late_states.last(), SoundState::Failed(_)));
        assert_eq!(list_speakers(), []);
        drop_quickly("the microphone", mic);
        drop_quickly("the speaker", speaker);
        drop_quickly("the late one", late);
        pulse.signal("-CONT");
    });
}

#[test]
fn a_machine_without_sound_says_so_at_once_and_quietly() {
    const NAME: &str = "a_machine_without_sound_says_so_at_once_and_quietly";
    if std::env::var(INSIDE).is_ok() {
        let begun = Instant::now();
        let (_mic, _, mic_states) = open_mic(&MicChoice::Default);
        let (_speaker, _, speaker_states) = open_speaker(&SpeakerChoice::Default);
        wait_for("an answer about the microphone", PATIENCE, || matches!(mic_states.last(), SoundState::Failed(_)));
        wait_for("an answer about the speaker", PATIENCE, || matches!(speaker_states.last(), SoundState::Failed(_)));
        if !Path::new("/dev/snd").exists() {
            mic_states.wait(&SoundState::Failed(SoundError::NoDevice));
            speaker_states.wait(&SoundState::Failed(SoundError::NoDevice));
            assert_eq!((list_mics(), list_speakers()), (vec![], vec![]));
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let noise = run_inside(NAME, folder.path(), "none");
    assert!(Path::new("/dev/snd").exists() || !noise.contains("ALSA"), "{noise}");
}
