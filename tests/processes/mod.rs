//! Real processes for tests: relays and calls, each with a folder of its own, none outliving its test.
#![allow(dead_code, unreachable_pub)] // each test binary uses its part

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// A process that is killed when the test is over, whichever way it ends.
pub struct Process {
    child: Child,
    name: String,
    lines: mpsc::Receiver<String>,
    errors: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Process {
    /// Starts a program; its standard output can be read line by line.
    pub fn start(name: &str, program: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, Command::new(program).args(arguments))
    }

    /// Starts a prepared command.
    pub fn start_with(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let err = BufReader::new(child.stderr.take().unwrap());
        let errors = Arc::<Mutex<String>>::default();
        let said = errors.clone();
        let reader = std::thread::spawn(move || {
            for line in err.split(b'\n').map_while(Result::ok) {
                *said.lock().unwrap() += &format!("{}\n", String::from_utf8_lossy(&line));
            }
        });
        Self { child, name: name.into(), lines, errors, reader: Some(reader) }
    }

    /// The next line of standard output.
    pub fn line(&mut self, within: Duration) -> String {
        match self.lines.recv_timeout(within) {
            Ok(line) => line,
            Err(_) => {
                let _ = self.child.kill();
                let said = self.said();
                panic!("{} printed no line within {within:?}; it said:\n{said}", self.name)
            }
        }
    }

    /// Waits for the end; fails the test if it does not come in time. Returns the status and all of standard error.
    pub fn end(mut self, within: Duration) -> (ExitStatus, String) {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.said());
            }
            if Instant::now() > until {
                let _ = self.child.kill();
                let said = self.said();
                panic!("{} did not end within {within:?}; it said:\n{said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end and fails the test unless it was a success.
    pub fn succeeds(self, within: Duration) -> String {
        let name = self.name.clone();
        let (status, said) = self.end(within);
        assert!(status.success(), "{name} ended with {status}; it said:\n{said}");
        said
    }

    /// Process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn said(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.errors.lock().unwrap().clone()
    }

    /// Waits until standard error holds `text`; fails the test if it does not come in time.
    pub fn says(&mut self, text: &str, within: Duration) {
        let until = Instant::now() + within;
        loop {
            if self.errors.lock().unwrap().contains(text) {
                return;
            }
            if Instant::now() > until || self.child.try_wait().unwrap().is_some() {
                let _ = self.child.kill();
                let said = self.said();
                panic!("{} never said {text:?} (within {within:?}), but:\n{said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What standard error holds so far.
    pub fn has_said(&self) -> String {
        self.errors.lock().unwrap().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A relay on a port of loopback that the system chose.
pub struct Relay {
    pub process: Process,
    pub address: String,
}

impl Relay {
    /// Starts the real `conclave-relay`, recording all it sees if asked to.
    pub fn start(record: Option<&Path>) -> Self {
        let mut arguments = vec!["--listen".to_owned(), "127.0.0.1:0".to_owned()];
        if let Some(path) = record {
            arguments.extend(["--record".to_owned(), path.display().to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Process::start("relay", env!("CARGO_BIN_EXE_conclave-relay"), &arguments);
        let line = process.line(Duration::from_secs(20));
        let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).map(str::to_owned);
        Self { address: format!("ws://{}", address.unwrap_or_else(|| panic!("no address in {line:?}"))), process }
    }
}

/// `conclave call` under way.
pub struct Call {
    pub process: Process,
    pub folder: PathBuf,
}

impl Call {
    /// Starts a call whose identity and files live in `folder`.
    pub fn start(name: &str, folder: &Path, arguments: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let config = folder.join("config");
        let report = folder.join("report.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
        command.arg("--config").arg(config).args(["call", "--name", name]).arg("--report").arg(report).args(arguments);
        command.env_remove("PULSE_SERVER");
        Self { process: Process::start_with(name, &mut command), folder: folder.into() }
    }

    /// The report that the call left.
    pub fn report(folder: &Path) -> serde_json::Value {
        let text = std::fs::read_to_string(folder.join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}
