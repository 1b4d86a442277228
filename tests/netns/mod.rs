//! Network namespaces that a test makes for itself, and the test's own program run again inside one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(40);
/// Names the part that the program plays when it is run again.
pub const PART: &str = "CONCLAVE_TEST_PART";

/// Whether this machine lets the test make namespaces; says so if not. In CI, where nobody reads what was skipped, that is a
/// failure: everything that must hold is to be run there.
pub fn possible(programs: &[&str]) -> bool {
    let name = unique("probe");
    let made = Command::new("ip").args(["netns", "add", &name]).stderr(Stdio::null()).status();
    let made = made.is_ok_and(|status| status.success());
    let _ = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
    let missing = programs.iter().find(|program| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        !found.is_ok_and(|status| status.success())
    });
    let why = match missing {
        _ if !made => "network namespaces cannot be made here (needs root and iproute2)".to_owned(),
        Some(program) => format!("{program} is not installed"),
        None => return true,
    };
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "This test must run in CI and cannot: {why}.");
    eprintln!("skipped: {why}");
    false
}

fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("cv-{}-{}-{what}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A namespace, deleted with everything in it when dropped.
pub struct Namespace(String);

impl Namespace {
    pub fn new(what: &str) -> Self {
        let name = unique(what);
        run("ip", &["netns", "add", &name]);
        let this = Self(name);
        this.ip("link set lo up");
        this
    }

    /// What `ip netns` calls it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// `ip` inside the namespace.
    pub fn ip(&self, arguments: &str) {
        let mut all = vec!["-n", &self.0];
        all.extend(arguments.split_whitespace());
        run("ip", &all);
    }

    /// A cable to another namespace; both ends up with their addresses.
    pub fn cable(&self, name: &str, address: &str, other: &Namespace, other_name: &str, other_address: &str) {
        self.ip(&format!("link add {name} type veth peer name {other_name} netns {}", other.0));
        self.ip(&format!("addr add {address} dev {name}"));
        other.ip(&format!("addr add {other_address} dev {other_name}"));
        self.ip(&format!("link set {name} up"));
        other.ip(&format!("link set {other_name} up"));
    }

    /// A program inside the namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// What a program inside the namespace prints.
    pub fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A shell script inside the namespace.
    pub fn shell(&self, script: &str) {
        self.output("sh", &["-ec", script]);
    }

    /// This test program again, inside the namespace, playing a part in the ignored test `parts`.
    pub fn play(&self, part: &str, arguments: &str) -> Actor {
        let program = std::env::current_exe().unwrap();
        let mut command = self.command(program.to_str().unwrap());
        command.args(["--exact", "parts", "--ignored", "--nocapture"]).env(PART, format!("{part} {arguments}"));
        Actor::start(command)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A process whose lines are read, and who goes on when told.
pub struct Actor {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Actor {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }

    /// Process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The rest of the first line that starts with `word`.
    pub fn says(&self, word: &str) -> String {
        let mut seen = Vec::new();
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => match line.find(word) {
                    Some(at) => return line[at + word.len()..].trim().to_owned(),
                    None => seen.push(line),
                },
                Err(_) => panic!("never said {word:?} but:\n{}", seen.join("\n")),
            }
        }
    }

    /// Lets the actor go on.
    pub fn go_on(&mut self) {
        self.tell("");
    }

    /// Gives the actor a line on its standard input.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
    }

    /// The next line, if one comes so soon.
    pub fn line(&self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Inside: says a line that [`Actor::says`] finds.
pub fn say(line: &str) {
    println!("\n{line}");
}

/// Inside: waits until told to go on.
pub fn wait() {
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}
