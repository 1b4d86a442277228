//! What drawing a meeting costs: the real window with one picture of 1280×720 and nine of 640×360, each moving thirty times
//! a second, in the tiles of a meeting.
//!
//! `cargo bench --bench window` runs it with the graphics card (or what stands in for one) converting the pictures, and then
//! with the processor doing so. `-- --gpu` or `-- --cpu` runs one of them, `-- --seconds 20` says for how long it is
//! measured, `-- --still` shows the pictures without moving them. It needs a display: without one, run it under `xvfb-run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../../tests/window_script/mod.rs"]
mod window_script;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conclave::engine::view::PeerId;
use conclave::engine::{Handle, LinkCheck};
use conclave::media::frame::{Latest, Picture};
use conclave::ui::{self, WindowOptions};
use tokio::sync::{mpsc, watch};

/// Pictures of one tile until they repeat.
const ROUND: usize = 8;
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// What happens in the first moments is not what is measured.
const WARM_UP: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let begun = Instant::now();
    let (mut which, mut seconds, mut still) = (None, 15, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--gpu" | "--cpu" => which = Some(argument),
            "--still" => still = true,
            "--seconds" => seconds = arguments.next().and_then(|text| text.parse().ok()).expect("--seconds NUMBER"),
            other => panic!("{other} is not an option"),
        }
    }
    let display =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if !display {
        eprintln!("There is no display to open a window on. Run it under xvfb-run.");
        return ExitCode::SUCCESS;
    }
    let Some(which) = which else {
        // Each in a process of its own: memory and start are those of one window.
        println!("1 × 1280×720 and 9 × 640×360 at 30 pictures a second, window of 1120×720 points");
        for which in ["--gpu", "--cpu"] {
            let program = std::env::current_exe().unwrap();
            let done = Command::new(program).args([which, "--seconds", &seconds.to_string()]).status().unwrap();
            assert!(done.success(), "the window with {which} ended badly");
        }
        return ExitCode::SUCCESS;
    };
    show(begun, which == "--cpu", Duration::from_secs(seconds), still)
}

/// Pictures that move, so that every pixel of every one differs from the one before.
fn film(width: usize, height: usize, seed: usize) -> Vec<Arc<Picture>> {
    let picture = |step: usize| {
        let mut picture = Picture::black(width, height, Instant::now());
        for (row, line) in picture.y.chunks_exact_mut(width).enumerate() {
            for (column, luma) in line.iter_mut().enumerate() {
                *luma = 16 + ((column + row / 2 + seed * 40 + step * 27) % 220) as u8;
            }
        }
        for (row, (u, v)) in
            picture.u.chunks_exact_mut(width / 2).zip(picture.v.chunks_exact_mut(width / 2)).enumerate()
        {
            for (column, (u, v)) in u.iter_mut().zip(v).enumerate() {
                *u = (64 + (column * 128) / (width / 2)) as u8;
                *v = (64 + (row * 128) / (height / 2)) as u8;
            }
        }
        Arc::new(picture)
    };
    (0..ROUND).map(picture).collect()
}

fn show(begun: Instant, cpu_pictures: bool, measured: Duration, still: bool) -> ExitCode {
    let films: Vec<_> =
        (0..10).map(|tile| if tile == 0 { film(1280, 720, tile) } else { film(640, 360, tile) }).collect();
    let tiles: Vec<Arc<Latest<Picture>>> = films.iter().map(|_| Arc::default()).collect();
    let peers = tiles.iter().zip(1..).map(|(picture, number)| {
        let mut peer = window_script::peer(&format!("Person {number}"));
        (peer.id, peer.picture) = (number as PeerId, picture.clone());
        peer
    });
    let mut first = window_script::view(window_script::meeting(peers.collect()));
    first.own.camera_on = false;
    for (tile, film) in tiles.iter().zip(&films) {
        tile.put(film[0].clone());
    }
    // The ends of the engine, which here does nothing; they live as long as the window.
    let (_view, seen) = watch::channel(Arc::new(first));
    let (_events, happened) = mpsc::unbounded_channel();
    let (sent, _commands) = mpsc::unbounded_channel();
    let handle = Handle::new(sent, happened, seen);

    let put = Arc::new(AtomicU64::new(0));
    let counted = put.clone();
    let mut options = WindowOptions::new(Box::new(|_| LinkCheck::Empty));
    options.cpu_pictures = cpu_pictures;
    let (mut passes, mut opened, mut start) = (0_u64, None::<Duration>, None::<(Instant, f64, u64, u64)>);
    options.on_pass = Some(Box::new(move |_| {
        passes += 1;
        // The second pass begins when the first has been shown.
        if passes == 2 {
            opened = Some(begun.elapsed());
        }
        let Some((since, cpu, pictures, before)) = start else {
            if begun.elapsed() > WARM_UP {
                start = Some((Instant::now(), cpu_seconds(), counted.load(Ordering::Relaxed), passes));
            }
            return;
        };
        let took = since.elapsed();
        if took >= measured && !still {
            let seconds = took.as_secs_f64();
            println!(
                "{}: {:.1} % of one core, {:.1} passes a second for {:.0} pictures, {:.0} ms to the first frame, {:.0} MiB resident",
                if cpu_pictures { "processor" } else { "shader   " },
                (cpu_seconds() - cpu) / seconds * 100.0,
                (passes - before) as f64 / seconds,
                (counted.load(Ordering::Relaxed) - pictures) as f64 / seconds,
                opened.unwrap_or_default().as_secs_f64() * 1e3,
                resident_mib(),
            );
            std::process::exit(0);
        }
    }));
    let outcome = ui::run(options, move |wake| {
        if !still {
            std::thread::spawn(move || {
                let start = Instant::now();
                // Each sender has a clock of its own: their pictures come one after another, not all at once.
                for turn in 0_u32.. {
                    let (tile, step) = (turn as usize % films.len(), turn as usize / films.len());
                    let due = start + PERIOD * turn / films.len() as u32;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    tiles[tile].put(films[tile][step % ROUND].clone());
                    put.fetch_add(1, Ordering::Relaxed);
                    wake();
                }
            });
        }
        handle
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Processor time of this process so far, where Linux says it (`proc(5)`: fields 14 and 15, hundredths of a second).
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>()).unwrap_or_default();
    let field = |number: usize| fields.get(number).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (field(11) + field(12)) / 100.0
}

fn resident_mib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or_default() / 1024.0
}
