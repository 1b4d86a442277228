//! `conclave call`: a whole meeting from the command line, on the engine that the window drives.

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::engine::event::Tone;
use crate::engine::measure::{Measurements, Recordings};
use crate::engine::process;
use crate::engine::view::{DeviceState, Notice, PeerLink, RelayTransport, RouteKind, Stage};
use crate::engine::{self, Command, EngineOptions, Event, Handle, Intent, View};
use crate::headless::report::{AudioReport, PeerReport, Percentiles, Report, RouteReport, Sent, VideoReport};
use crate::headless::route_args::RouteArgs;
use crate::media::device::{CameraChoice, MicChoice, SpeakerChoice};
use crate::media::source::VideoFormat;

/// The one suite there is (RFC 9605 §4.5, 0x0005).
const SUITE: &str = "AES_256_GCM_SHA512_128";
/// Ends a run in which nobody ever came.
const DEFAULT_WAIT: u64 = 60;

/// A meeting without a window.
#[derive(Args, Clone)]
pub struct CallArgs {
    /// Invite link to join, or `-` to read it from standard input, where other users of this computer cannot see it; without one, a meeting is started and its link printed alone on the first line of standard output
    pub link: Option<String>,
    /// Name that the others see
    #[arg(long, default_value = "Guest")]
    pub name: String,
    /// `test` (built-in moving picture), a .y4m file, a device's name, or `none`
    #[arg(long, default_value = "none", value_name = "SOURCE")]
    pub camera: String,
    /// `test` (built-in voice), a .wav file, a device's name, or `none`
    #[arg(long, default_value = "none", value_name = "SOURCE")]
    pub mic: String,
    /// `default`, a device's name, or `none`
    #[arg(long, default_value = "none", value_name = "DEVICE")]
    pub speaker: String,
    /// How long the call lasts once it is connected
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub seconds: u64,
    /// How long to wait for it to connect
    #[arg(long, default_value_t = DEFAULT_WAIT, value_name = "N")]
    pub wait: u64,
    /// Let everyone in who knows the link (hosting only); without it nobody is let in
    #[arg(long)]
    pub admit_all: bool,
    /// Use this relay instead of the one inside the app (hosting only): `wss://host` or `host:port` with TLS, `ws://host:port` without
    #[arg(long, value_name = "ADDRESS")]
    pub relay: Option<String>,
    /// Size and rate of the picture
    #[arg(long, default_value = "1280x720@30", value_name = "WxH@FPS", value_parser = video_format)]
    pub video: VideoFormat,
    /// Ask the others for pictures of no more rows than this many need; 0: for none
    #[arg(long, value_name = "ROWS")]
    pub watch_height: Option<u32>,
    /// Write a JSON report here
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the last picture of the first peer here, as PNG
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Write every decoded picture of the first peer here, as Y4M
    #[arg(long, value_name = "FILE")]
    pub record_video: Option<PathBuf>,
    /// Write all that is heard here, as WAV
    #[arg(long, value_name = "FILE")]
    pub record_audio: Option<PathBuf>,
    /// Write the encoded pictures as sent, before sealing, here (H.264 Annex B)
    #[arg(long, value_name = "FILE")]
    pub record_encoded: Option<PathBuf>,
    /// Write the signed meeting log here (`conclave log verify` reads it)
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Send out whoever has this name, so many seconds after the first came in (hosting only)
    #[arg(long, value_name = "NAME@SECONDS", value_parser = removal)]
    pub remove: Vec<Removal>,
    /// Leave the meeting to whoever takes over, instead of ending it for everyone (hosting only)
    #[arg(long)]
    pub hand_over: bool,
    /// Relays and ways that it may use
    #[command(flatten)]
    pub routes: RouteArgs,
}

/// Somebody who is to be sent out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    name: String,
    after: Duration,
}

/// Reads a removal such as `Dina@30`.
fn removal(text: &str) -> Result<Removal, String> {
    let parse = || {
        let (name, seconds) = text.rsplit_once('@')?;
        let after = Duration::from_secs(seconds.parse().ok()?);
        (!name.is_empty()).then(|| Removal { name: name.to_owned(), after })
    };
    parse().ok_or_else(|| "write it as a name, @ and a number of seconds: Dina@30".into())
}

/// Reads a size such as `1280x720@30`.
fn video_format(text: &str) -> Result<VideoFormat, String> {
    let parse = || {
        let (size, fps) = text.split_once('@').unwrap_or((text, "30"));
        let (width, height) = size.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?, fps.parse().ok()?))
    };
    match parse() {
        Some((width @ 64..=1920, height @ 64..=1088, fps @ 1..=60)) => Ok(VideoFormat { width, height, fps }),
        _ => Err("write it as 1280x720@30, at most 1920x1088@60".into()),
    }
}

/// Holds the call. Exit status 0 only if it was held.
pub fn run(args: CallArgs, config: PathBuf) -> ExitCode {
    let say = |line: &str| {
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    let mut args = args;
    if let Err(sentence) = check_outputs(&args, &config) {
        say(&sentence);
        return ExitCode::FAILURE;
    }
    if args.link.as_deref() == Some("-") {
        let mut line = String::new();
        if let Err(error) = std::io::stdin().lock().take(8192).read_line(&mut line) {
            say(&format!("The link could not be read from standard input: {error}"));
            return ExitCode::FAILURE;
        }
        args.link = Some(line);
    }
    let wanted = Recordings {
        video: args.record_video.clone(),
        audio: args.record_audio.clone(),
        encoded: args.record_encoded.clone(),
    };
    let measurements = match Measurements::new(wanted) {
        Ok(measurements) => Arc::new(measurements),
        Err(error) => {
            say(&format!("A recording cannot be written: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let changed = Arc::new(tokio::sync::Notify::new());
    let options = EngineOptions {
        config,
        video: args.video,
        keep_settings: false,
        relay: args.relay.clone(),
        measure: Some(measurements.clone()),
    };
    let wake = {
        let changed = changed.clone();
        Arc::new(move || changed.notify_one())
    };
    let handle = match engine::start(options, wake) {
        Ok(handle) => handle,
        Err(error) => {
            say(&engine::words::start_error(&error));
            return ExitCode::FAILURE;
        }
    };
    match args.routes.applied_to(&handle.view().settings) {
        Ok(settings) => handle.send(Command::ChangeSettings(Box::new(settings))),
        Err(sentence) => {
            say(&sentence);
            return ExitCode::FAILURE;
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("This program could not start its timers: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let held = runtime.block_on(hold(&args, handle, &measurements, &say));
    let report = report(&measurements, held);
    if let Some(path) = &args.snapshot {
        match measurements.snapshot() {
            Some(png) => {
                if let Err(error) = std::fs::write(path, png) {
                    say(&format!("The snapshot could not be written to {}: {error}", path.display()));
                }
            }
            None => say("There is no snapshot: no picture arrived."),
        }
    }
    if let Some(path) = &args.log {
        let written = match measurements.log() {
            Some(log) => std::fs::write(path, log).map_err(|error| error.to_string()),
            None => Err("the meeting was not entered".into()),
        };
        if let Err(why) = written {
            say(&format!("The meeting log could not be written to {}: {why}.", path.display()));
        }
    }
    if let Some(path) = &args.report {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        if let Err(error) = std::fs::write(path, text + "\n") {
            say(&format!("The report could not be written to {}: {error}", path.display()));
            return ExitCode::FAILURE;
        }
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Files to be written are made before the call, so that a mistake is told while nothing is lost by it.
fn check_outputs(args: &CallArgs, config: &Path) -> Result<(), String> {
    let outputs =
        [&args.report, &args.snapshot, &args.record_video, &args.record_audio, &args.record_encoded, &args.log];
    let config = config.canonicalize().unwrap_or_else(|_| config.to_owned());
    let mut seen: Vec<PathBuf> = Vec::new();
    for path in outputs.into_iter().flatten() {
        let shown = path.display();
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(|error| format!("{shown} cannot be written: {error}."))?;
        if folder.starts_with(&config) {
            return Err(format!("{shown} lies in the folder of identity and contacts. Name a file elsewhere."));
        }
        let whole = folder.join(path.file_name().unwrap_or_default());
        if seen.contains(&whole) {
            return Err(format!("{shown} is named for two different things. Give each a file of its own."));
        }
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| format!("{shown} cannot be written: {error}."))?;
        seen.push(whole);
    }
    Ok(())
}

/// Somebody who is gone may come back: after a crash, for example.
const ALONE: Duration = Duration::from_secs(3);

/// Waits until the system or a person asks for the end.
async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// What has been said already, so that each thing is said once.
#[derive(Default)]
struct Told {
    link: bool,
    step: Option<String>,
    peers: Vec<u32>,
    knocks: Vec<u32>,
    devices: Vec<String>,
    refused: Vec<String>,
}

async fn hold(args: &CallArgs, mut handle: Handle, measurements: &Measurements, say: &dyn Fn(&str)) -> bool {
    handle.send(Command::ChooseCamera(args.camera.parse().unwrap_or(CameraChoice::None)));
    handle.send(Command::ChooseMic(args.mic.parse().unwrap_or(MicChoice::None)));
    handle.send(Command::ChooseSpeaker(args.speaker.parse().unwrap_or(SpeakerChoice::None)));
    handle.send(Command::Prepare(args.link.clone().map_or(Intent::Start, Intent::Join)));
    handle.send(Command::SetMic(args.mic != "none"));
    handle.send(Command::SetCamera(args.camera != "none"));
    handle.send(Command::Enter { name: args.name.clone() });

    let give_up = Instant::now() + Duration::from_secs(args.wait);
    let mut until: Option<Instant> = None;
    let mut began: Option<Instant> = None;
    let mut removals = args.remove.clone();
    let mut told = Told::default();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut held = false;
    let mut alone_since: Option<Instant> = None;
    let mut end = std::pin::pin!(asked_to_end());
    loop {
        let second = tokio::select! {
            alive = handle.changed() => { if !alive { break } false }
            _ = seconds.tick() => true,
            () = &mut end => break,
        };
        while let Some(event) = handle.next_event() {
            if let Event::Toast { tone, text } = event {
                if matches!(tone, Tone::Warning | Tone::Danger) {
                    measurements.note_error(&text);
                }
                say(&text);
            }
        }
        let view = handle.view();
        narrate(&view, &mut told, args, &handle, measurements, say);
        match &view.stage {
            Stage::Ended(ended) => {
                say(&ended.reason);
                if ended.failed {
                    measurements.note_error(&ended.reason);
                }
                break;
            }
            Stage::Meeting(meeting) => {
                let live = meeting.peers.iter().any(|peer| peer.link == PeerLink::Live);
                if live && began.is_none() {
                    began = Some(Instant::now());
                }
                remove_when_due(&mut removals, began, meeting, &handle);
                if live && until.is_none() {
                    until = Some(Instant::now() + Duration::from_secs(args.seconds));
                }
                held |= live && measurements.media_arrived();
                if second && until.is_some() {
                    say(&statistics(&view));
                }
                if until.is_some() && meeting.peers.is_empty() {
                    if alone_since.get_or_insert_with(Instant::now).elapsed() > ALONE {
                        say("Everyone else has left.");
                        break;
                    }
                } else {
                    alone_since = None;
                }
            }
            _ => {}
        }
        let now = Instant::now();
        if until.is_some_and(|until| now >= until) {
            break;
        }
        if until.is_none() && now >= give_up {
            let sentence = match told.step.as_deref() {
                Some("lobby") => format!("The host did not let you in within {} seconds.", args.wait),
                Some(step) => format!("Nobody was connected within {} seconds. {step}", args.wait),
                None => format!("Nobody was connected within {} seconds.", args.wait),
            };
            say(&sentence);
            measurements.note_error(&sentence);
            break;
        }
    }
    handle.send(if args.hand_over { Command::LeaveToHeir } else { Command::Leave });
    handle.send(Command::Quit);
    // The engine says goodbye to the others before it stops; it bounds that time itself.
    while handle.changed().await {}
    held
}

/// Sends out whoever is due, once.
fn remove_when_due(
    removals: &mut Vec<Removal>,
    began: Option<Instant>,
    meeting: &crate::engine::view::Meeting,
    handle: &Handle,
) {
    let Some(began) = began else { return };
    removals.retain(|removal| {
        let peer = meeting.peers.iter().find(|peer| peer.name == removal.name);
        match peer.filter(|_| began.elapsed() >= removal.after) {
            Some(peer) => {
                handle.send(Command::Remove(peer.id));
                false
            }
            None => true,
        }
    });
}

fn narrate(
    view: &View,
    told: &mut Told,
    args: &CallArgs,
    handle: &Handle,
    measurements: &Measurements,
    say: &dyn Fn(&str),
) {
    for (what, state) in [("camera", &view.own.camera), ("microphone", &view.own.mic), ("speaker", &view.own.speaker)] {
        if let DeviceState::Failed(sentence) = state {
            let line = format!("No {what}: {sentence}");
            if !told.devices.contains(&line) {
                say(&line);
                measurements.note_error(&line);
                told.devices.push(line);
            }
        }
    }
    for notice in &view.notices {
        if let Notice::RouteRefused { name, why } = notice {
            let line = format!("No way to {name} is used. {why}");
            if !told.refused.contains(&line) {
                say(&line);
                measurements.note_error(&line);
                told.refused.push(line);
            }
        }
    }
    match &view.stage {
        Stage::Connecting(connecting) if told.step.as_ref() != Some(&connecting.step) => {
            say(&connecting.step);
            told.step = Some(connecting.step.clone());
        }
        Stage::Lobby(lobby) if told.step.as_deref() != Some("lobby") => {
            say("Waiting for the host to let you in.");
            say(&format!("Safety number  {}", lobby.safety_number));
            told.step = Some("lobby".into());
        }
        Stage::Meeting(meeting) => {
            if let (Some(link), false) = (&meeting.link, told.link) {
                let mut out = std::io::stdout();
                let _ = writeln!(out, "{link}").and_then(|()| out.flush());
                told.link = true;
            }
            for knock in &meeting.knocks {
                if told.knocks.contains(&knock.id) {
                    continue;
                }
                told.knocks.push(knock.id);
                if args.admit_all {
                    handle.send(Command::Admit(knock.id));
                } else {
                    say(&format!(
                        "{} is at the door ({}), and stays there: --admit-all was not given.",
                        knock.name, knock.fingerprint
                    ));
                }
            }
            for peer in &meeting.peers {
                if !told.peers.contains(&peer.id) {
                    say(&format!("{} is here.", peer.name));
                    say(&format!("Safety number  {}", peer.safety_number));
                    told.peers.push(peer.id);
                    if let Some(height) = args.watch_height {
                        handle.send(Command::WatchPeer { peer: peer.id, height });
                    }
                }
            }
        }
        _ => {}
    }
}

fn statistics(view: &View) -> String {
    let Stage::Meeting(meeting) = &view.stage else { return String::new() };
    let mut line = format!("{:>4} s", meeting.since.elapsed().as_secs());
    for peer in &meeting.peers {
        let stats = &peer.stats;
        let rtt = stats.rtt_ms.map_or_else(|| "–".to_owned(), |rtt| format!("{rtt:.1}"));
        line += &format!(
            "   {}  {}×{} {:.0} fps   in {:.0} kbit/s   out {:.0} kbit/s   rtt {rtt} ms   loss {:.1} %   key {}",
            peer.name,
            stats.width,
            stats.height,
            stats.fps,
            stats.receive_kbps,
            stats.send_kbps,
            stats.loss_percent,
            peer.generation,
        );
    }
    line
}

fn report(measurements: &Measurements, held: bool) -> Report {
    let sent = measurements.sent();
    let peers = measurements.peers();
    let keyed = peers.iter().any(|peer| peer.generation > 0);
    Report {
        held,
        connect_ms: measurements.connect_ms(),
        first_frame_ms: measurements.first_frame_ms(),
        peers: peers
            .into_iter()
            .map(|peer| PeerReport {
                name: peer.name,
                safety_number: peer.safety_number,
                video: VideoReport {
                    sent: sent.video,
                    received: peer.video_received,
                    decoded: peer.video_decoded,
                    dropped: peer.video_dropped,
                    width: peer.size.0,
                    height: peer.size.1,
                    last_counter: peer.last_counter,
                    freeze_ms: peer.freeze_ms,
                    longest_pause_ms: peer.longest_pause_ms,
                    last_picture_unix_ms: peer.last_picture_unix_ms,
                    latency_ms: Percentiles::of(&peer.latencies),
                },
                audio: AudioReport {
                    sent: sent.audio,
                    received: peer.audio_received,
                    concealed: peer.audio_concealed,
                    rms_dbfs: measurements.heard_dbfs(),
                },
                route: peer.route.map(|route| RouteReport {
                    relayed: route.relayed,
                    relay_transport: route.relay_transport.map(transport),
                    local: route.local,
                    remote: route.remote,
                    local_kind: kind(route.local_kind),
                    remote_kind: kind(route.remote_kind),
                    country: route.country,
                }),
                key_generation: peer.generation,
                unopened: peer.unopened,
            })
            .collect(),
        sent: Sent {
            video: sent.video,
            video_dropped: sent.video_dropped,
            video_bytes: sent.video_bytes,
            audio: sent.audio,
        },
        cipher_suite: keyed.then_some(SUITE),
        post_quantum: keyed.then_some(true),
        roster_entry: measurements.roster().map(|(entry, _)| entry),
        roster_hash: measurements.roster().map(|(_, hash)| hash.iter().map(|byte| format!("{byte:02x}")).collect()),
        group_code: measurements.code().map(|code| code.replace(' ', "")),
        refused_at_door: measurements.refused(),
        cpu_seconds: process::cpu_seconds(),
        rss_peak_mb: process::peak_memory_mb(),
        errors: measurements.errors(),
        series: measurements.series(),
    }
}

fn transport(transport: RelayTransport) -> &'static str {
    match transport {
        RelayTransport::Udp => "udp",
        RelayTransport::Tcp => "tcp",
        RelayTransport::Tls => "tls",
    }
}

fn kind(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Host => "host",
        RouteKind::Reflexive => "reflexive",
        RouteKind::Relay => "relay",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_size_is_bounded() {
        assert_eq!(video_format("640x360@15"), Ok(VideoFormat { width: 640, height: 360, fps: 15 }));
        assert_eq!(video_format("640x360"), Ok(VideoFormat { width: 640, height: 360, fps: 30 }));
        for bad in ["", "x", "640", "1x1", "99999x720@30", "640x360@0", "640x360@1000"] {
            assert!(video_format(bad).is_err(), "{bad}");
        }
    }
}
