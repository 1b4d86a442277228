//! Meeting logs as members save them: of real meetings, held in this process on virtual time, read by the real
//! `conclave log verify`.
#![cfg(feature = "desktop")]
// Helpers of a test may stop it; clippy knows only functions marked #[test].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conclave::crypto::entropy::{Seeded, secret};
use conclave::crypto::identity::Identity;
use conclave::protocol::RelayAddress;
use conclave::protocol::log::{Log, Record};
use conclave::protocol::meeting::{Event, InviteOptions, Meeting, Moment, PeerNo};
use conclave::protocol::roster::chain::following;
use conclave::protocol::roster::{Entry, Listed, MemberRole, Operation, Signed};

const UNIX: u64 = 1_800_000_000;

/// Members and a relay that loses nothing; connection numbers are places in the list, from 1 on.
struct Room {
    start: Instant,
    now: Instant,
    members: Vec<(Meeting, Vec<Event>)>,
}

fn identity(seed: u64) -> Arc<Identity> {
    Arc::new(Identity::from_seed(secret(&mut Seeded(seed))))
}

impl Room {
    /// A host named Ana.
    fn new() -> Self {
        let start = Instant::now();
        let opened = Moment { unix: UNIX, at: start };
        let mut host = Meeting::host(identity(1), "Ana", Box::new(Seeded(101)), opened);
        host.handle_relay_up(start);
        Self { start, now: start, members: vec![(host, Vec::new())] }
    }

    /// Somebody comes in by an invite of its own, and stays for ten seconds.
    fn join(&mut self, seed: u64, name: &str) {
        let relays = vec![RelayAddress::from_setting("ws://127.0.0.1:7770").unwrap()];
        let options = InviteOptions { relays, expires: None, single_use: true, named: true };
        let invite = self.members[0].0.create_invite(options).unwrap();
        let opened = Moment { unix: UNIX + (self.now - self.start).as_secs(), at: self.now };
        let mut guest = Meeting::join(&invite, identity(seed), name, Box::new(Seeded(100 + seed)), opened).unwrap();
        guest.handle_relay_up(self.now);
        self.members.push((guest, Vec::new()));
        self.run(Duration::from_secs(2));
        let knock = self.members[0].1.iter().rev().find_map(|event| match event {
            Event::Knocked { peer, .. } => Some(*peer),
            _ => None,
        });
        self.members[0].0.admit(self.now, knock.expect("a knock")).unwrap();
        self.run(Duration::from_secs(10));
        assert!(self.members.last().unwrap().0.roster().is_some(), "{name} is in the meeting");
    }

    /// Delivers everything, and lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.deliver();
            let next = self.members.iter().filter_map(|(member, _)| member.poll_timeout()).min();
            self.now = next.map_or(end, |at| at.clamp(self.now, end));
            if self.now >= end {
                return;
            }
            let now = self.now;
            self.members.iter_mut().for_each(|(member, _)| member.handle_timeout(now));
        }
    }

    fn deliver(&mut self) {
        loop {
            let mut sent = Vec::new();
            for (at, (member, events)) in self.members.iter_mut().enumerate() {
                sent.extend(std::iter::from_fn(|| member.poll_transmit()).map(|transmit| (at as u64 + 1, transmit)));
                events.extend(std::iter::from_fn(|| member.poll_event()));
            }
            if sent.is_empty() {
                return;
            }
            for (from, transmit) in sent {
                for (at, (member, _)) in self.members.iter_mut().enumerate() {
                    let own = at as u64 + 1;
                    if own != from && transmit.to.is_none_or(|to| to == own) {
                        member.handle_relay(self.now, from, &transmit.payload);
                    }
                }
            }
        }
    }

    fn peer_named(&self, wanted: &str) -> PeerNo {
        let found = self.members[0].1.iter().rev().find_map(|event| match event {
            Event::Joined { peer, name, .. } if name == wanted => Some(*peer),
            _ => None,
        });
        found.expect("a member of this name")
    }

    fn save(&self, at: usize, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, self.members[at].0.log().unwrap()).unwrap();
        path
    }
}

/// `conclave log verify` with these files: exit status and what it said.
fn verify(paths: &[&Path]) -> (Option<i32>, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_conclave")).args(["log", "verify"]).args(paths).output().unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap())
}

/// A meeting of three in which one is sent out, and the logs of all.
fn meeting(folder: &Path) -> [PathBuf; 3] {
    let mut room = Room::new();
    room.join(2, "Ben");
    room.join(3, "Eve");
    let eve = room.peer_named("Eve");
    room.members[0].0.remove(room.now, eve).unwrap();
    room.run(Duration::from_secs(10));
    [room.save(0, folder, "ana.log"), room.save(1, folder, "ben.log"), room.save(2, folder, "eve.log")]
}

#[test]
fn members_of_one_meeting_saw_the_same_and_one_who_was_sent_out_saw_it_up_to_then() {
    let folder = tempfile::tempdir().unwrap();
    let [ana, ben, eve] = meeting(folder.path());
    let (status, said) = verify(&[&ana]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("Written by Ana (member 0, fingerprint "), "{said}");
    for (one, other) in [(&ana, &ben), (&ben, &ana), (&ana, &eve), (&eve, &ben)] {
        let (status, said) = verify(&[one, other]);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("Both saw the same meeting."), "{said}");
    }
    let (_, said) = verify(&[&ana, &ben]);
    // Ben's admission, Eve's, her removal; a code for two, for three and for two again.
    assert!(said.contains("Equal in both: 3 roster entries, "), "{said}");
    assert!(!said.contains(" 0 keys") && !said.contains(" 0 group codes"), "{said}");
}

#[test]
fn a_log_that_was_changed_by_one_byte_is_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    let [ana, ben, _] = meeting(folder.path());
    let text = std::fs::read(&ana).unwrap();
    let changed = folder.path().join("changed.log");
    for at in (0..text.len()).step_by(text.len() / 25) {
        let mut bytes = text.clone();
        bytes[at] ^= 1;
        std::fs::write(&changed, bytes).unwrap();
        let (status, said) = verify(&[&changed, &ben]);
        assert_eq!(status, Some(2), "byte {at}: {said}");
        assert!(said.contains("changed.log is not valid. "), "{said}");
        assert!(said.contains("ben.log is valid."), "{said}");
    }
    std::fs::write(&changed, &text[..text.len() - 40]).unwrap();
    assert!(verify(&[&changed]).1.contains("It has been cut short"));
    let (status, said) = verify(&[&folder.path().join("none.log")]);
    assert_eq!((status, said.contains("cannot be read")), (Some(2), true), "{said}");
}

#[test]
fn logs_of_two_meetings_are_not_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [ana, ..] = meeting(folder.path());
    let start = Instant::now();
    let other = Meeting::host(identity(7), "Zoe", Box::new(Seeded(9)), Moment { unix: UNIX, at: start });
    let zoe = folder.path().join("zoe.log");
    std::fs::write(&zoe, other.log().unwrap()).unwrap();
    let (status, said) = verify(&[&ana, &zoe]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("two different meetings"), "{said}");
}

#[test]
fn a_host_that_showed_two_lists_is_found_out_with_who_was_in_which() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room::new();
    room.join(2, "Ben");
    let ben = room.save(1, folder.path(), "ben.log");
    // The host keeps another log, in which somebody else came in at the same moment.
    let first = room.members[0].0.roster().unwrap();
    let (meeting, shown) = (*first.meeting(), first.last().clone());
    let host = identity(1);
    let open = Entry::open(shown.entry.members[0].clone(), shown.entry.time);
    let open = Signed::make(open, &meeting, &host);
    let mut other = following(&open, UNIX);
    let (role, index) = (MemberRole::Member, 1);
    let guest = Listed { index, role, identity: identity(5).key(), static_key: [5; 32], name: "Mallory".into() };
    (other.operation, other.subject, other.next_index) = (Operation::Admit, 1, 2);
    other.members.push(guest);
    let other = Signed::make(other, &meeting, &host);
    let mut log = Log::default();
    log.note(UNIX, &Record::Entry(&open));
    log.note(UNIX, &Record::Entry(&other));
    let ana = folder.path().join("ana.log");
    std::fs::write(&ana, log.sign(&meeting, 0, &host)).unwrap();
    let (status, said) = verify(&[&ana, &ben]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("From roster entry 1 on they were shown different lists."), "{said}");
    assert!(said.contains("signed both."), "{said}");
    assert!(said.contains("Mallory (member 1, fingerprint "), "{said}");
    assert!(said.contains("is in the list that Ben saw, and not so in the one that Ana saw."), "{said}");
}
