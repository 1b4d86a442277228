//! Eight people in one meeting: real processes, a real relay, live pictures and sound from each to each, one coming late, one
//! leaving and one sent out.
#![cfg(feature = "desktop")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, unreachable_pub)]

mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use conclave::protocol::roster::{Operation, Signed};
use processes::{Call, Relay};

/// How long the meeting lasts, from when the host sees the first of the others.
const SECONDS: u64 = 60;
/// Small pictures: two cores carry fifty-six streams of them.
const VIDEO: &str = "128x96@8";
const PATIENCE: Duration = Duration::from_secs(100);

/// What a member's log says, as far as this test asks.
struct Log {
    records: Vec<(u64, Vec<String>)>,
}

impl Log {
    fn read(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("meeting.log")).unwrap();
        let record = |line: &str| {
            let mut words = line.split(' ').skip(2);
            let time = words.next().unwrap().parse().unwrap();
            (time, words.map(str::to_owned).collect())
        };
        Self { records: text.lines().filter(|line| line.starts_with("record ")).map(record).collect() }
    }

    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (usize, u64, &'a [String])> {
        let records = self.records.iter().enumerate();
        records.filter(move |(_, (_, words))| words[0] == kind).map(|(at, (time, words))| (at, *time, &words[1..]))
    }

    /// Group codes by the people they are for.
    fn codes(&self) -> BTreeMap<&str, &str> {
        self.of("code").map(|(_, _, words)| (words[0].as_str(), words[1].as_str())).collect()
    }

    /// Where in the log and when somebody was sent out, and who it was.
    fn removal(&self) -> Option<(usize, u64, u16)> {
        self.of("entry").find_map(|(at, time, words)| {
            let signed = Signed::parse(&data_encoding::HEXLOWER.decode(words[0].as_bytes()).unwrap()).unwrap();
            (signed.entry.operation == Operation::Remove).then_some((at, time, signed.entry.subject))
        })
    }
}

#[test]
fn eight_meet_and_whoever_is_sent_out_hears_no_more_while_nobody_else_notices() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(None);
    let at = |name: &str| folder.path().join(name.to_lowercase());
    let start = |name: &str, seconds: u64, more: &[&str]| {
        let log = at(name).join("meeting.log");
        std::fs::create_dir_all(at(name)).unwrap();
        let seconds = seconds.to_string();
        #[rustfmt::skip]
        let mut arguments = vec![
            "--camera", "test", "--mic", "test", "--video", VIDEO, "--seconds", &seconds, "--log", log.to_str().unwrap(),
        ];
        arguments.extend(more);
        Call::start(name, &at(name), &arguments)
    };
    let mut host = start("Hana", SECONDS, &["--relay", &relay.address, "--admit-all", "--remove", "Eve@35"]);
    let link = host.process.line(PATIENCE);
    let began = Instant::now();
    let stay = ["Ana", "Ben", "Cem", "Dina"];
    let mut staying: Vec<Call> = stay.iter().map(|name| start(name, SECONDS + 20, &[&link])).collect();
    let leaving = start("Leo", 15, &[&link]);
    let removed = start("Eve", SECONDS + 20, &[&link]);
    std::thread::sleep(Duration::from_secs(22).saturating_sub(began.elapsed()));
    staying.push(start("Lale", SECONDS + 20, &[&link]));

    leaving.process.succeeds(PATIENCE);
    let said = removed.process.end(PATIENCE).1;
    assert!(said.contains("sent you out"), "{said}");
    host.process.succeeds(PATIENCE);
    for call in staying {
        call.process.succeeds(PATIENCE);
    }

    let stayed: Vec<&str> = ["Hana", "Lale"].into_iter().chain(stay).collect();
    let logs: BTreeMap<&str, Log> =
        stayed.iter().chain(&["Leo", "Eve"]).map(|name| (*name, Log::read(&at(name)))).collect();

    // Everyone's codes are equal, whenever two of them had one for the same people; and all who stayed had the last one.
    let mut codes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (people, code) in logs.values().flat_map(Log::codes) {
        codes.entry(people).or_default().insert(code);
    }
    assert!(codes.values().all(|same| same.len() == 1), "{codes:?}");
    let (removal, removed_at, eve) = logs["Hana"].removal().expect("Eve was sent out");
    let last = logs["Hana"].of("code").find(|(at, ..)| *at > removal).expect("a code without Eve").2[0].clone();
    for name in &stayed {
        assert!(logs[name].codes().contains_key(last.as_str()), "{name} has no code for those who stayed");
    }

    // No key is handed to her after that, and what she saw last was before the others' switch.
    let report = Call::report(&at("Eve"));
    for name in &stayed {
        let log = &logs[name];
        let (at, ..) = log.removal().unwrap_or_else(|| panic!("{name} does not know that Eve was sent out"));
        let to = |words: &[String]| words[3].split(',').any(|index| index == eve.to_string());
        assert!(log.of("drew").filter(|(drawn, ..)| *drawn > at).all(|(_, _, words)| !to(words)), "{name}");
        let switched = log.of("using").find(|(used, ..)| *used > at).expect("a key without Eve").1;
        assert!(switched <= removed_at + 2, "{name} switched {switched}, Eve was out {removed_at}");
        let seen = report["peers"].as_array().unwrap().iter().find(|peer| peer["name"] == *name).unwrap();
        let seen_at = seen["video"]["last_picture_unix_ms"].as_u64().expect("she saw everyone");
        // The log knows whole seconds, and what was sealed just before the switch is shown after the jitter buffer.
        assert!(seen_at <= (switched + 1) * 1000 + 500, "Eve saw {name} at {seen_at}, the switch was {switched}");
        assert!(seen["video"]["decoded"].as_u64().unwrap() > 50, "Eve saw {name}: {seen:#}");
    }

    // Nobody's picture stands still for a second, whoever comes, goes and changes keys.
    for name in &stayed {
        let report = Call::report(&at(name));
        assert_eq!(report["held"], true, "{name}: {report:#}");
        let peers = report["peers"].as_array().unwrap();
        assert!(peers.len() >= 6, "{name} met only {}", peers.len());
        for peer in peers {
            let video = &peer["video"];
            println!(
                "{name} saw {}: {} pictures, longest pause {} ms",
                peer["name"], video["decoded"], video["longest_pause_ms"]
            );
            // What was sealed before they came and arrives over the new path cannot be opened, and is not meant to be.
            let unopened = peer["unopened"].as_u64().unwrap();
            assert!(unopened < 150, "{name} and {}: {unopened}", peer["name"]);
            assert!(video["longest_pause_ms"].as_u64().unwrap() <= 1000, "{name} saw {}: {video:#}", peer["name"]);
        }
    }
}
