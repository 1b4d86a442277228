//! The emulated link at work: a TUN device in each of two network namespaces, and two [`Link`]s between them.
//!
//! Each device is made outside and moved into its namespace, which needs root. Commands come on standard input: `start`
//! (schedule and statistics begin) and `stop` (the statistics are printed as one line of JSON after `STATISTICS`). The link
//! carries on until standard input ends.

use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tun_rs::{DeviceBuilder, SyncDevice};

use super::link::{Link, Settings};

/// Largest packet; the devices' MTU is the usual 1500.
const LARGEST: usize = 2048;
/// Name of the device inside each namespace.
const DEVICE: &str = "link0";
/// What the directions are called: from the first namespace to the second, and back.
const DIRECTIONS: [&str; 2] = ["ab", "ba"];

/// What to emulate.
pub struct Options {
    /// Two namespaces, each with the address and prefix length that it has on the link.
    pub ends: [(String, String); 2],
    /// Where all chance comes from.
    pub seed: u64,
    /// From the first end to the second, and back.
    pub settings: [Settings; 2],
    /// Changes, for each direction.
    pub schedule: [Vec<(Duration, String)>; 2],
    /// Every packet goes here when the statistics are printed, as CSV.
    pub log: Option<PathBuf>,
}

impl Options {
    /// Reads `NAMESPACE ADDRESS NAMESPACE ADDRESS [--seed N] [--ab|--ba|--both SETTINGS] [--at SECONDS ab|ba|both SETTINGS]
    /// [--log FILE]`.
    ///
    /// # Errors
    /// A sentence.
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut next = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
        let first = (next("a namespace")?, next("its address")?);
        let second = (next("the other namespace")?, next("its address")?);
        let mut options = Self {
            ends: [first, second],
            seed: 1,
            settings: Default::default(),
            schedule: Default::default(),
            log: None,
        };
        while let Ok(word) = next("") {
            match word.as_str() {
                "--seed" => options.seed = next("the seed")?.parse().map_err(|_| "the seed is a number")?,
                "--log" => options.log = Some(next("the log")?.into()),
                "--at" => {
                    let at: f64 = next("a moment")?.parse().map_err(|_| "the moment is a number of seconds")?;
                    let at = Duration::try_from_secs_f64(at).map_err(|_| "the moment is out of bounds")?;
                    let (way, change) = (next("a direction")?, next("what changes")?);
                    for index in which(&way)? {
                        options.schedule[index].push((at, change.clone()));
                    }
                }
                way => {
                    let settings = next("what the link does")?;
                    for index in which(way.trim_start_matches('-'))? {
                        options.settings[index].apply(&settings)?;
                    }
                }
            }
        }
        Ok(options)
    }
}

fn which(way: &str) -> Result<Vec<usize>, String> {
    match way {
        "ab" => Ok(vec![0]),
        "ba" => Ok(vec![1]),
        "both" => Ok(vec![0, 1]),
        _ => Err(format!("{way} is neither ab, ba nor both")),
    }
}

/// One direction, shared by the thread that takes packets in and the one that gives them out.
struct Direction {
    link: Mutex<Link>,
    changed: Condvar,
    epoch: Instant,
}

impl Direction {
    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn take_in(&self, from: &SyncDevice) -> io::Result<()> {
        let mut packet = vec![0; LARGEST];
        loop {
            let length = from.recv(&mut packet)?;
            self.lock().handle_packet(self.now(), packet[..length].to_vec());
            self.changed.notify_one();
        }
    }

    fn give_out(&self, to: &SyncDevice) {
        let mut link = self.lock();
        loop {
            if let Some(packet) = link.poll_packet(self.now()) {
                drop(link);
                // The far end may refuse what it does not know (an interface that is not up yet): that is a loss.
                let _ = to.send(&packet);
                link = self.lock();
                continue;
            }
            let until = link.poll_timeout().map_or(Duration::from_secs(1), |at| at.saturating_sub(self.now()));
            link = self.changed.wait_timeout(link, until).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Emulates until standard input ends; prints `UP` when packets can pass.
///
/// # Errors
/// A sentence.
pub fn emulate(options: Options) -> Result<(), String> {
    let Options { ends, seed, settings, schedule, log } = options;
    let mut devices = Vec::new();
    for (index, (namespace, address)) in ends.iter().enumerate() {
        let device = device(index, namespace, address).map_err(|error| format!("no device in {namespace}: {error}"))?;
        devices.push(Arc::new(device));
    }
    let epoch = Instant::now();
    let mut directions = Vec::new();
    for (index, (settings, schedule)) in settings.into_iter().zip(schedule).enumerate() {
        let link = Link::new(seed.wrapping_mul(2).wrapping_add(index as u64), settings, schedule)?;
        directions.push(Arc::new(Direction { link: Mutex::new(link), changed: Condvar::new(), epoch }));
    }
    for (index, direction) in directions.iter().enumerate() {
        let (from, to) = (devices[index].clone(), devices[1 - index].clone());
        let (taking, giving) = (direction.clone(), direction.clone());
        std::thread::spawn(move || {
            if let Err(error) = taking.take_in(&from) {
                let _ = writeln!(io::stderr(), "The link is cut: {error}");
            }
        });
        std::thread::spawn(move || giving.give_out(&to));
    }
    say("UP");
    let mut began = unix_millis();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match line.trim() {
            "start" => {
                began = unix_millis();
                directions.iter().for_each(|direction| direction.lock().begin(direction.now()));
                say("STARTED");
            }
            "stop" => {
                let mut statistics = json!({ "began_unix_ms": began });
                for (name, direction) in DIRECTIONS.iter().zip(&directions) {
                    statistics[*name] = direction.lock().records().summary(direction.now());
                }
                if let Some(path) = &log {
                    write_log(path, &directions).map_err(|error| format!("{}: {error}", path.display()))?;
                }
                say(&format!("STATISTICS {statistics}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every packet, as CSV.
fn write_log(path: &Path, directions: &[Arc<Direction>]) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    for (name, direction) in DIRECTIONS.iter().zip(directions) {
        direction.lock().records().write_csv(name, &mut file)?;
    }
    file.flush()
}

/// A TUN device, moved into its namespace and up there with its address.
fn device(index: usize, namespace: &str, address: &str) -> io::Result<SyncDevice> {
    let outside = format!("cvlink{}{}", std::process::id(), DIRECTIONS[index].chars().next().unwrap_or('x'));
    let device = DeviceBuilder::new().name(&outside).enable(false).build_sync()?;
    ip(&["link", "set", &outside, "netns", namespace, "name", DEVICE])?;
    ip(&["-n", namespace, "addr", "add", address, "dev", DEVICE])?;
    ip(&["-n", namespace, "link", "set", DEVICE, "mtu", "1500", "txqueuelen", "1000", "up"])?;
    ip(&["-n", namespace, "route", "add", "default", "dev", DEVICE])?;
    Ok(device)
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
