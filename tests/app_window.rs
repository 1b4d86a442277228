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

    /// Waits until no window has this title.
    fn no_window(&self, title: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.command("xdotool").args(["search", "--onlyvisible", "--name", title]).output().unwrap();
            if found.stdout.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "the window {title:?} stays");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// All colours on the screen now; the picture stays at `path`.
    fn shot(&self, path: &Path) -> HashSet<[u8; 3]> {
        self.pixels(path).chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    /// Red, green and blue of every pixel on the screen now; the picture stays at `path`.
    fn pixels(&self, path: &Path) -> Vec<u8> {
        let mut import = self.command("import");
        import.args(["-window", "root", "-depth", "8"]).arg(format!("png24:{}", path.display()));
        assert!(import.status().unwrap().success(), "no screenshot");
        let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    }

    /// Waits until the screen shows something else than `before`.
    fn changes(&self, path: &Path, before: &[u8]) {
        let until = Instant::now() + PATIENCE;
        while self.pixels(path) == before {
            assert!(Instant::now() < until, "the screen stays as it was: {}", path.display());
            std::thread::sleep(Duration::from_millis(100));
        }
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
    // The small window has keys of its own.
    screen.key(&window, "p");
    let small = screen.window("who is speaking");
    screen.shows_colours(&pictures().join("small-window.png"), 2_000);
    screen.key(&small, "Escape");
    screen.no_window("who is speaking");

    app.kill();
    let (status, said) = host.process.end(PATIENCE);
    assert!(status.success(), "the call was held; the host said:\n{said}");
    let report = Call::report(&ana);
    assert!(report["peers"][0]["video"]["decoded"].as_u64().unwrap() > 10, "{report:#}");
    assert!(report["peers"][0]["audio"]["received"].as_u64().unwrap() > 10, "{report:#}");
}

/// A picture that stands still: colours that run into each other, with hard edges between some.
fn still(path: &Path, width: usize, height: usize) {
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\nFRAME\n").into_bytes();
    let plane = |width: usize, height: usize, value: fn(f32, f32) -> f32| {
        let at = move |place: usize| ((place % width) as f32 / width as f32, (place / width) as f32 / height as f32);
        (0..width * height).map(move |place| value(at(place).0, at(place).1) as u8)
    };
    bytes.extend(plane(width, height, |x, y| {
        24.0 + 100.0 * x + 60.0 * y + if ((x * 8.0) as u8).is_multiple_of(2) { 40.0 } else { 0.0 }
    }));
    bytes.extend(plane(width / 2, height / 2, |x, _| 64.0 + 128.0 * x));
    bytes.extend(plane(width / 2, height / 2, |_, y| 64.0 + 128.0 * y));
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_picture_looks_the_same_whether_the_graphics_card_or_the_processor_converts_it() {
    // One in the colours of BT.601 and one in those of BT.709.
    for (width, height) in [(640, 360), (1280, 720)] {
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("still.y4m");
        still(&film, width, height);
        let camera = film.display();
        let settings = format!(
            "name = \"Ben\"\ncamera = \"{camera}\"\nmic = \"none\"\nspeaker = \"none\"\nappearance = \"dark\"\n"
        );
        std::fs::write(folder.path().join("settings.toml"), settings).unwrap();
        let shots = ["gpu", "cpu"].map(|by| {
            let screen = Screen::start();
            let mut app = screen.command(env!("CARGO_BIN_EXE_conclave"));
            app.env("RUST_LOG", "warn").arg("--config").arg(folder.path());
            if by == "cpu" {
                app.arg("--cpu-pictures");
            }
            let app = Process::start_with("the app", &mut app);
            let window = screen.window("Conclave");
            let shot = pictures().join(format!("still-{height}-{by}.png"));
            // What has the focus first is the button that starts a meeting.
            screen.shows_colours(&shot, 20);
            let before = settled(&screen, &shot);
            screen.key(&window, "Tab");
            // A key that comes before the button is seen to have the focus is for nobody.
            screen.changes(&shot, &before);
            screen.key(&window, "Return");
            screen.shows_colours(&shot, 2_000);
            let pixels = settled(&screen, &shot);
            let said = app.has_said();
            assert!(!said.contains("without the graphics card"), "{by}: {said}");
            pixels
        });
        let [gpu, cpu] = &shots;
        let apart = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b));
        let mean = gpu.iter().zip(cpu).map(apart).sum::<f64>() / gpu.len() as f64;
        let far = gpu.iter().zip(cpu).map(apart).filter(|apart| *apart > 12.0).count() as f64 / gpu.len() as f64;
        assert!(
            mean < 0.6 && far < 0.002,
            "{height} lines: {mean:.3} apart on average, {far:.5} of all by more than 12"
        );
    }
}

/// The screen, once two pictures of it in a row are the same.
fn settled(screen: &Screen, path: &Path) -> Vec<u8> {
    let until = Instant::now() + PATIENCE;
    let mut before = screen.pixels(path);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = screen.pixels(path);
        if now == before {
            return now;
        }
        assert!(Instant::now() < until, "the screen does not come to rest: {}", path.display());
        before = now;
    }
}
