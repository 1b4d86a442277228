//! The real app in a real window: opened by a link, driven by its keys, seen on a screen.
#![cfg(all(feature = "desktop", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod processes;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use processes::{Call, Process, Relay};

const PATIENCE: Duration = Duration::from_secs(60);

/// An X server without a screen of glass.
struct Screen {
    _server: Process,
    display: String,
}

impl Screen {
    fn start() -> Self {
        let arguments = ["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"];
        let mut server = Process::start("Xvfb", "Xvfb", &arguments);
        let number = server.line(PATIENCE);
        Self { _server: server, display: format!(":{number}") }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.display).env_remove("WAYLAND_DISPLAY").env("LIBGL_ALWAYS_SOFTWARE", "1");
        command
    }

    fn key(&self, window: &str, key: &str) {
        let pressed = self.command("xdotool").args(["windowfocus", "--sync", window, "key", key]).status().unwrap();
        assert!(pressed.success(), "the key {key} could not be pressed");
    }

    /// The number of the window with this title, once it is there.
    fn window(&self, title: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.command("xdotool").args(["search", "--onlyvisible", "--name", title]).output().unwrap();
            if let Some(number) = String::from_utf8_lossy(&found.stdout).lines().next() {
                return number.to_owned();
            }
            assert!(Instant::now() < until, "no window {title:?} appears");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// All colours on the screen now; the picture stays at `path`.
    fn shot(&self, path: &Path) -> HashSet<[u8; 3]> {
        let mut import = self.command("import");
        import.args(["-window", "root", "-depth", "8"]).arg(format!("png24:{}", path.display()));
        assert!(import.status().unwrap().success(), "no screenshot");
        let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    /// Waits until the screen shows at least so many colours: a picture of a scene, not a plain surface.
    fn shows_colours(&self, path: &Path, least: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let colours = self.shot(path).len();
            if colours >= least {
                return;
            }
            assert!(Instant::now() < until, "only {colours} colours on the screen: {}", path.display());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Where the pictures of this run stay, to be looked at.
fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("app-window");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_link_opens_the_window_with_everything_off_and_the_keys_bring_picture_and_sound() {
    let folder = tempfile::tempdir().unwrap();
    let (ana, ben) = (folder.path().join("ana"), folder.path().join("ben"));
    let relay = Relay::start(None);
    #[rustfmt::skip]
    let mut host = Call::start("Ana", &ana, &[
        "--relay", &relay.address, "--camera", "test", "--mic", "test", "--admit-all", "--seconds", "600", "--wait", "90",
    ]);
    let link = host.process.line(PATIENCE);
    std::fs::create_dir_all(&ben).unwrap();
    let settings = "name = \"Ben\"\ncamera = \"test\"\nmic = \"test\"\nspeaker = \"none\"\nappearance = \"dark\"\n";
    std::fs::write(ben.join("settings.toml"), settings).unwrap();

    let screen = Screen::start();
    let mut app = screen.command(env!("CARGO_BIN_EXE_conclave"));
    let mut app = Process::start_with("the app", app.arg("--config").arg(&ben).arg(&link));
    let window = screen.window("Conclave");
    screen.shows_colours(&pictures().join("prejoin.png"), 40);
    screen.key(&window, "Return");
    host.process.says("Ben is here.", PATIENCE);
    // The host's moving picture is on the guest's screen; the guest has shown nothing yet.
    screen.shows_colours(&pictures().join("meeting.png"), 2_000);
    assert!(!host.process.has_said().contains("1280×720"), "a camera must be off until its owner turns it on");
    screen.key(&window, "v");
    host.process.says("1280×720", PATIENCE);
    screen.key(&window, "m");
    screen.shows_colours(&pictures().join("both.png"), 2_000);

    app.kill();
    let (status, said) = host.process.end(PATIENCE);
    assert!(status.success(), "the call was held; the host said:\n{said}");
    let report = Call::report(&ana);
    assert!(report["peers"][0]["video"]["decoded"].as_u64().unwrap() > 10, "{report:#}");
    assert!(report["peers"][0]["audio"]["received"].as_u64().unwrap() > 10, "{report:#}");
}
