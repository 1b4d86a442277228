//! What must hold of a call over a bad link: it stays, sound is never starved, pictures keep coming, and nothing grows
//! without bounds. Figures are for `make lab`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::netns::{Actor, Namespace, PART, possible};
use super::processes::Process;

const PATIENCE: Duration = Duration::from_secs(60);
/// Length of a call once it is connected.
const SECONDS: usize = 12;
/// Samples of 20 ms at 48 kHz.
const BLOCK: usize = 960;
/// The built-in voice breathes, and whoever conceals fades out: a pause of sound that is longer than this was starved.
const LONGEST_SILENCE: usize = 50;
/// Largest part of all sound that may be made up. What is lost here is a twentieth; the rest is for a busy machine.
const MOST_CONCEALED: f64 = 0.5;
/// Far more than a call takes in a build for development.
const MEMORY_MB: f64 = 400.0;

/// A call over a link, as it went.
struct Held {
    ana: Value,
    ben: Value,
    /// What the link says of itself.
    link: Value,
    /// What Ben heard, 16 bit at 48 kHz.
    heard: Vec<i16>,
}

/// Ana starts a meeting, Ben joins over a link with `settings`; both send camera and microphone. `None` where this machine
/// cannot make namespaces.
fn hold(settings: &[&str]) -> Option<Held> {
    if !possible(&[]) || !has_tun_devices() {
        return None;
    }
    let (ana, ben) = (Namespace::new("ana"), Namespace::new("ben"));
    let mut link = link(&ana, &ben, settings);
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("heard.wav");
    let mut host = call(&ana, &folder, "Ana", &["--admit-all", "--seconds", "600"]);
    let invite = host.line(PATIENCE);
    let seconds = SECONDS.to_string();
    #[rustfmt::skip]
    let mut guest = call(&ben, &folder, "Ben", &[&invite, "--seconds", &seconds, "--record-audio", heard.to_str().unwrap()]);
    guest.says("Ana is here.", PATIENCE);
    link.tell("start");
    link.says("STARTED");
    guest.succeeds(PATIENCE);
    host.succeeds(PATIENCE);
    link.tell("stop");
    let link = serde_json::from_str(&link.says("STATISTICS")).unwrap();
    let report = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(format!("{name}.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let sound = std::fs::read(heard).unwrap();
    // The recorder writes a canonical header of 44 bytes and mono samples.
    let heard = sound[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    Some(Held { ana: report("Ana"), ben: report("Ben"), link, heard })
}

/// Whether there are TUN devices here, which the link is made of. In CI there have to be.
fn has_tun_devices() -> bool {
    let there = Path::new("/dev/net/tun").exists();
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(there || !in_ci, "This test must run in CI and cannot: there is no /dev/net/tun.");
    if !there {
        eprintln!("skipped: there is no /dev/net/tun");
    }
    there
}

/// This program again, as the link between the two.
fn link(ana: &Namespace, ben: &Namespace, settings: &[&str]) -> Actor {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "parts", "--ignored", "--nocapture"]);
    command.env(PART, format!("{} 10.9.0.1/24 {} 10.9.0.2/24 --seed 3 {}", ana.name(), ben.name(), settings.join(" ")));
    let actor = Actor::start(command);
    actor.says("UP");
    actor
}

fn call(place: &Namespace, folder: &TempDir, name: &str, arguments: &[&str]) -> Process {
    let config = folder.path().join(name);
    let report = folder.path().join(format!("{name}.json"));
    let mut command = place.command(env!("CARGO_BIN_EXE_conclave"));
    command.arg("--config").arg(config).args(["call", "--name", name, "--camera", "test", "--mic", "test"]);
    command.args(["--video", "640x360@15", "--wait", "60", "--report"]).arg(report).args(arguments);
    command.env_remove("PULSE_SERVER");
    Process::start_with(name, &mut command)
}

impl Held {
    /// What must hold whatever the link does.
    fn keeps_its_promises(&self) {
        for (name, report) in [("Ana", &self.ana), ("Ben", &self.ben)] {
            assert_eq!(report["held"], true, "{name}: {report:#}");
            assert_eq!(report["peers"].as_array().map(Vec::len), Some(1), "{name}: nobody came twice: {report:#}");
            let memory = report["rss_peak_mb"].as_f64().unwrap();
            assert!(memory < MEMORY_MB, "{name} used {memory} MB");
            let peer = &report["peers"][0];
            let concealed = peer["audio"]["concealed"].as_f64().unwrap() / (SECONDS * 50) as f64;
            assert!(concealed <= MOST_CONCEALED, "{name} made up {concealed:.2} of all sound: {report:#}");
            let decoded = peer["video"]["decoded"].as_u64().unwrap();
            assert!(decoded as usize >= SECONDS, "{name} saw {decoded} pictures only: {report:#}");
            let pause = peer["video"]["longest_pause_ms"].as_u64().unwrap();
            assert!(pause < 6_000, "{name} saw nothing new for {pause} ms: {report:#}");
            assert_eq!(peer["unopened"], 0, "{name}: {report:#}");
        }
        self.sound_is_never_starved();
    }

    /// No whole second without sound, from the first sound to the end of the call.
    fn sound_is_never_starved(&self) {
        let loud: Vec<bool> =
            self.heard.chunks(BLOCK).map(|block| block.iter().any(|sample| sample.unsigned_abs() > 100)).collect();
        let first = loud.iter().position(|loud| *loud).expect("Ben heard something");
        let called = &loud[first..];
        assert!(called.len() >= (SECONDS - 3) * 50, "{} blocks of sound were played", called.len());
        let longest = called.split(|loud| *loud).map(<[bool]>::len).max().unwrap();
        assert!(longest < LONGEST_SILENCE, "{longest} blocks of 20 ms without sound in a row");
    }

    /// Nothing waits for ever: neither in the link nor before it.
    fn nothing_piles_up(&self, queue_ms: f64) {
        for way in ["ab", "ba"] {
            let most = self.link[way]["queued_ms"]["most"].as_f64().unwrap();
            assert!(most < queue_ms, "{most} ms in the queue {way}");
        }
        for report in [&self.ana, &self.ben] {
            // A picture that was made smaller on its way carries no time any more.
            if let Some(late) = report["peers"][0]["video"]["latency_ms"]["p99"].as_f64() {
                assert!(late < 5_000.0, "pictures came {late} ms late: {report:#}");
            }
        }
    }
}

#[test]
fn a_call_over_a_link_that_loses_one_in_twenty_packets_holds() {
    let Some(held) = hold(&["--both", "delay=25,loss=5"]) else { return };
    for way in ["ab", "ba"] {
        let (lost, all) = (held.link[way]["lost"].as_f64().unwrap(), held.link[way]["packets"].as_f64().unwrap());
        assert!(all > 500.0 && lost / all > 0.02 && lost / all < 0.09, "{lost} of {all} lost {way}");
    }
    held.keeps_its_promises();
    held.nothing_piles_up(50.0);
}

#[test]
fn a_call_over_a_link_of_half_a_megabit_keeps_its_sound_and_its_bounds() {
    let Some(held) = hold(&["--both", "delay=20,rate=500,queue=300"]) else { return };
    held.keeps_its_promises();
    held.nothing_piles_up(500.0);
}

#[test]
fn a_call_survives_a_link_that_narrows_and_widens_again() {
    let Some(held) = hold(&[
        "--both",
        "delay=20,rate=2000,queue=300",
        "--at",
        "3",
        "both",
        "rate=300",
        "--at",
        "8",
        "both",
        "rate=2000",
    ]) else {
        return;
    };
    held.keeps_its_promises();
    // What waited for 300 ms at the old rate takes two seconds at the new one.
    held.nothing_piles_up(2_500.0);
}
