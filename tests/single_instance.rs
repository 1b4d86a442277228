//! Two starts of the real app with the same folder: one window, and the second start's link in it.
#![cfg(all(feature = "desktop", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod processes;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use processes::{Call, Process, Relay};

const PATIENCE: Duration = Duration::from_secs(60);

fn command(program: &str, display: &str, runtime: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("DISPLAY", display).env_remove("WAYLAND_DISPLAY").env("LIBGL_ALWAYS_SOFTWARE", "1");
    command.env("XDG_RUNTIME_DIR", runtime).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    command.env("RUST_LOG", "trace");
    command
}

/// Numbers of all windows with the app's title.
fn windows(display: &str, runtime: &Path) -> Vec<String> {
    let found =
        command("xdotool", display, runtime).args(["search", "--onlyvisible", "--name", "Conclave"]).output().unwrap();
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

fn press(display: &str, runtime: &Path, window: &str, key: &str) {
    let pressed = command("xdotool", display, runtime).args(["windowfocus", "--sync", window, "key", key]).status();
    assert!(pressed.unwrap().success(), "the key {key} could not be pressed");
}

#[test]
fn a_second_start_hands_its_link_to_the_first_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben, runtime) = (folder.path().join("ana"), folder.path().join("ben"), folder.path().join("run"));
    let relay = Relay::start(None);
    #[rustfmt::skip]
    let mut host = Call::start("Ana", &ana, &[
        "--relay", &relay.address, "--camera", "test", "--mic", "test", "--admit-all", "--seconds", "600", "--wait", "300",
    ]);
    let link = host.process.line(PATIENCE);
    for place in [&ben, &runtime] {
        std::fs::create_dir_all(place).unwrap();
    }
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).unwrap();
    let settings = "name = \"Ben\"\ncamera = \"none\"\nmic = \"test\"\nspeaker = \"none\"\nappearance = \"dark\"\n";
    std::fs::write(ben.join("settings.toml"), settings).unwrap();

    let arguments = ["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"];
    let mut server = Process::start("Xvfb", "Xvfb", &arguments);
    let display = format!(":{}", server.line(PATIENCE));
    let app = || {
        let mut app = command(env!("CARGO_BIN_EXE_conclave"), &display, &runtime);
        app.arg("--config").arg(&ben);
        app
    };
    let mut first = Process::start_with("the first start", &mut app());
    let until = Instant::now() + PATIENCE;
    while windows(&display, &runtime).is_empty() {
        assert!(Instant::now() < until, "no window appears");
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = folder.path().join("second.log");
    let second = Process::start_with("the second start", app().arg("--log-file").arg(&log).arg(&link));
    second.succeeds(PATIENCE);
    let open = windows(&display, &runtime);
    assert_eq!(open.len(), 1, "there is one window, and no second");

    // It stands where a link that was opened leads to: Enter asks to come in, under the name in the settings. A key that
    // comes before the window has drawn that screen goes nowhere; it is pressed until somebody hears it.
    let until = Instant::now() + PATIENCE;
    while !host.process.has_said().contains("Ben is here.") {
        assert!(Instant::now() < until, "the link did not reach the window");
        press(&display, &runtime, &open[0], "Return");
        std::thread::sleep(Duration::from_millis(500));
    }

    // In a meeting a further link ends nothing: the same window stays, and Ben stays in it.
    let other = link.replacen("conclave://", "conclave://elsewhere.example/", 1);
    Process::start_with("the third start", app().arg(&other)).succeeds(PATIENCE);
    assert_eq!(windows(&display, &runtime), open);
    assert!(!host.process.has_said().contains("Ben left"), "{}", host.process.has_said());

    // The socket is the owner's alone, and a link is in no log.
    let socket = std::fs::read_dir(runtime.join("conclave")).unwrap().next().unwrap().unwrap();
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(runtime.join("conclave")).unwrap().permissions().mode() & 0o777, 0o700);
    let secret = link.split('#').nth(1).unwrap();
    first.kill();
    for said in [first.has_said(), std::fs::read_to_string(&log).unwrap_or_default()] {
        assert!(!said.contains(secret), "a link is a secret");
    }

    // A start after one that was killed finds what it left, and takes its place.
    let until = Instant::now() + PATIENCE;
    while !windows(&display, &runtime).is_empty() {
        assert!(Instant::now() < until, "the window of a killed process stays");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut next = Process::start_with("the next start", &mut app());
    let until = Instant::now() + PATIENCE;
    while windows(&display, &runtime).is_empty() {
        assert!(Instant::now() < until, "no window appears after the first was killed");
        std::thread::sleep(Duration::from_millis(100));
    }
    Process::start_with("one more start", &mut app()).succeeds(PATIENCE);
    assert_eq!(windows(&display, &runtime).len(), 1);
    next.kill();
}
