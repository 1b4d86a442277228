//! A second implementation in a real meeting: a Python member, written from docs/PROTOCOL.md, knocks at a real host through the
//! real relay, is let in, and knows the same list and the same code.
//!
//! The Python packages come from `tests/interop/setup.sh`.
#![cfg(feature = "desktop")]
// Helpers of a test may stop it; clippy knows only functions marked #[test].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod interop;
mod processes;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use interop::python;
use processes::{Call, Process, Relay};

/// Pure Python needs seconds for what takes others microseconds; a busy machine more.
const PATIENCE: Duration = Duration::from_secs(90);

fn member(name: &str, link: &str) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/member.py");
    let mut command = Command::new(python());
    command.arg(script).args(["--seconds", "120", "--name", name, link]).env("PYTHONDONTWRITEBYTECODE", "1");
    Process::start_with(name, &mut command)
}

/// Asks a host to end its meeting, as a person would.
fn end(host: &Process) {
    assert!(Command::new("kill").args(["-TERM", &host.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_member_written_from_the_document_knows_the_same_list_and_the_same_code() {
    let folder = tempfile::tempdir().unwrap();
    let ana = folder.path().join("ana");
    let log = folder.path().join("ana.log");
    let relay = Relay::start(None);
    #[rustfmt::skip]
    let mut host = Call::start("Ana", &ana, &[
        "--relay", &relay.address, "--mic", "test", "--admit-all", "--wait", "100", "--log", log.to_str().unwrap(),
    ]);
    let link = host.process.line(PATIENCE);
    let mut guest = member("Pia", &link);
    let known: serde_json::Value = serde_json::from_str(&guest.line(PATIENCE)).unwrap();
    end(&host.process);
    host.process.end(PATIENCE);
    let said = guest.succeeds(PATIENCE);
    assert_eq!(said, "leave 2\n", "the host ended the meeting");

    let report = Call::report(&ana);
    assert_eq!(known["members"], serde_json::json!(["Ana", "Pia"]));
    assert_eq!(known["roster_entry"], 1);
    assert_eq!(known["roster_entry"], report["roster_entry"], "{report:#}");
    assert_eq!(known["roster_hash"], report["roster_hash"], "{report:#}");
    assert_eq!(known["group_code"], report["group_code"], "{report:#}");
    assert_eq!(known["group_code"].as_str().map(str::len), Some(14));

    // The host's own record has the member, and the very keys that the member was given.
    let log = std::fs::read_to_string(log).unwrap();
    let drew = |generation: &str, key: &str| {
        log.lines().any(|line| {
            let fields: Vec<&str> = line.split(' ').skip(3).collect();
            fields.first() == Some(&"drew") && fields.get(1) == Some(&generation) && fields.get(3) == Some(&key)
        })
    };
    let keys = known["sender_keys"].as_object().unwrap();
    assert!(!keys.is_empty());
    for (generation, key) in keys {
        assert!(
            drew(generation, key.as_str().unwrap()),
            "key {generation} is not one that the host handed out:\n{log}"
        );
    }
}

#[test]
fn a_member_written_from_the_document_waits_in_the_lobby_until_it_is_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(None);
    let mut host =
        Call::start("Ana", &folder.path().join("ana"), &["--relay", &relay.address, "--mic", "test", "--wait", "100"]);
    let link = host.process.line(PATIENCE);
    let guest = member("Pia", &link);
    // Nobody lets it in, and in the end the host closes the door.
    host.process.says("Pia", PATIENCE);
    end(&host.process);
    host.process.end(PATIENCE);
    let (status, said) = guest.end(PATIENCE);
    assert_eq!((status.success(), said.as_str()), (false, "declined 4\n"));
}
