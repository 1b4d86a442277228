//! `conclave log verify`: what a saved meeting log proves, and whether two members saw the same meeting.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::crypto::identity::IdentityKey;
use crate::protocol::log_compare::{Compared, Comparison, Difference, EntryDifference, KeyFault, Side, compare};
use crate::protocol::log_reader::{Fact, LogError, MAX_LOG, VerifiedLog, verify};
use crate::protocol::roster::{Listed, MemberRole, NOBODY, Operation, RosterError};

/// Exit status: all logs are valid, and two of them show the same meeting.
const SAME: u8 = 0;
/// Exit status: both logs are valid, and show different meetings.
const DIFFERS: u8 = 1;
/// Exit status: a log cannot be read, or is not valid.
const INVALID: u8 = 2;
/// Differences that are told one by one; more are counted. The first ones say it.
const TOLD: usize = 20;

/// What to do with meeting logs.
#[derive(Args, Clone)]
pub struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Subcommand, Clone)]
enum LogCommand {
    /// Check saved meeting logs, and whether two members saw the same meeting
    #[command(after_help = HELP)]
    Verify(VerifyArgs),
}

#[derive(Args, Clone)]
struct VerifyArgs {
    /// Log that a member saved
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Log that another member of the same meeting saved
    #[arg(value_name = "B")]
    second: Option<PathBuf>,
}

const HELP: &str = "\
A meeting log is one member's own record: who came and went, which keys were used and which group codes came about, never what was said. It is \
signed by the member who saved it.

With one log, this checks that nothing in it was changed since it was signed, that its writer is the member the roster lists, and that every roster \
entry in it is signed by whoever hosted at the time.

With two logs, it also checks that both members were shown the same people at every moment that both know of, that each was given the very keys \
that the other handed out, and that both had the same group codes. If a host shows two members different lists, this finds it.

Exit status:
  0  every log is valid; two logs show the same meeting
  1  both logs are valid, and show different meetings or no moment that both know of
  2  a log cannot be read, or is not valid";

/// Does what the arguments ask for.
pub fn run(args: LogArgs) -> ExitCode {
    let LogCommand::Verify(VerifyArgs { first, second }) = args.command;
    let paths: Vec<PathBuf> = std::iter::once(first).chain(second).collect();
    let texts: Vec<(String, io::Result<Vec<u8>>)> =
        paths.iter().map(|path| (path.display().to_string(), read(path))).collect();
    let (report, status) = report(&texts);
    match io::stdout().write_all(report.as_bytes()) {
        Ok(()) => ExitCode::from(status),
        Err(_) => ExitCode::from(INVALID),
    }
}

/// A file of at most one byte more than a log may have: so that one too long is seen to be.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_LOG as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is to be said of one log or two, and the exit status.
fn report(texts: &[(String, io::Result<Vec<u8>>)]) -> (String, u8) {
    let (mut out, mut logs) = (String::new(), Vec::new());
    for (name, text) in texts {
        let said = match text.as_ref().map(|bytes| verify(bytes)) {
            Err(error) => format!("cannot be read: {error}"),
            Ok(Err(error)) => format!("is not valid. {}", fault(error)),
            Ok(Ok(log)) => {
                let said = format!("is valid.\n{}", description(&log));
                logs.push(log);
                said
            }
        };
        let _ = writeln!(out, "{name} {}", said.trim_end()); // writing to a text cannot fail
    }
    match logs.as_slice() {
        [first, second] => {
            let compared = compare(first, second);
            let _ = write!(out, "\n{}", verdict(&compared, [first, second]));
            let same = compared.outcome == Comparison::Same;
            (out, if same { SAME } else { DIFFERS })
        }
        logs if logs.len() == texts.len() => (out, SAME),
        _ => (out, INVALID),
    }
}

fn fault(error: LogError) -> String {
    match error {
        LogError::TooLong => "It is longer than any meeting log.".into(),
        LogError::NotALog => "It is not a meeting log.".into(),
        LogError::CutShort => "It has been cut short: its end is missing.".into(),
        LogError::TrailingText => "Something was added after its end.".into(),
        LogError::Malformed { record: 0 } => "The lines before its first record are damaged.".into(),
        LogError::Malformed { record } => {
            format!("Line {} is damaged, where record {record} or the end is due.", record + 3)
        }
        LogError::Broken { record } => {
            format!("Records were taken out, put in or moved: record {record} is not where it belongs.")
        }
        LogError::Changed => "It has been changed since its writer signed it.".into(),
        LogError::Signature => "It is not signed by the member that it names as its writer.".into(),
        LogError::NotAnEntry { record, .. } => format!("Record {record} holds no roster entry that could be one."),
        LogError::Entry { record, error: RosterError::Signature } => {
            format!("The roster entry in record {record} is not signed by whoever hosted.")
        }
        LogError::Entry { record, error: RosterError::Change(_) } => {
            format!("The roster entry in record {record} changes something else than it says.")
        }
        LogError::Entry { record, .. } => {
            format!("The roster entry in record {record} does not follow the one before.")
        }
        LogError::Beginning => "It does not begin with the entry by which its writer came into the meeting.".into(),
        LogError::Unknown { record } => {
            format!("Record {record} names somebody or something that the log does not know.")
        }
        LogError::Fork { record } => format!("Record {record} accuses a host without proof."),
    }
}

/// Who wrote a log, and what is in it.
fn description(log: &VerifiedLog) -> String {
    let name = log.writer().map_or("", |writer| &writer.name);
    let mut out = format!("  Written by {name} (member {}, fingerprint {})\n", log.index, log.identity.fingerprint());
    let [first, last] = [log.records.first(), log.records.last()].map(|noted| noted.map_or(0, |noted| noted.time));
    let _ = writeln!(out, "  Meeting {}", short(&log.meeting));
    let _ = writeln!(out, "  From {} to {}, by the writer's clock", moment(first), moment(last));
    let keys = log.drawn().count() + log.given().count();
    let what = [
        count(log.records.len(), "record"),
        count(log.entries().count(), "roster entry"),
        count(keys, "key"),
        count(log.codes().count(), "group code"),
    ];
    let _ = writeln!(out, "  {}: {}", what[0], what[1..].join(", "));
    if log.records.iter().any(|noted| matches!(noted.fact, Fact::Forked { .. })) {
        out += "  It proves that a host showed two different lists.\n";
    }
    if log.is_full() {
        out += "  It was full before the meeting ended: what came after is not in it.\n";
    }
    out
}

fn verdict(compared: &Compared, logs: [&VerifiedLog; 2]) -> String {
    let agreed =
        [count(compared.entries, "roster entry"), count(compared.keys, "key"), count(compared.codes, "group code")]
            .join(", ");
    let mut out = match &compared.outcome {
        Comparison::Same => format!("Both saw the same meeting. Equal in both: {agreed}.\n"),
        Comparison::Differs(found) => {
            let mut out = match found.as_slice() {
                [Difference::NothingShared] => String::new(),
                _ => "They did not see the same meeting.\n".into(),
            };
            for difference in found.iter().take(TOLD) {
                let _ = writeln!(out, "{}", sentence(difference, logs));
            }
            if let Some(more) = found.len().checked_sub(TOLD).filter(|more| *more > 0) {
                let _ = writeln!(out, "There is more: {}.", count(more, "further difference"));
            }
            if compared.entries > 0 {
                let _ = writeln!(out, "Equal in both: {agreed}.");
            }
            out
        }
    };
    if compared.undelivered > 0 {
        let keys = count(compared.undelivered, "key");
        let _ =
            writeln!(out, "Handed out by one and not in the other's log: {keys}. They may have come too late for it.");
    }
    out
}

fn sentence(difference: &Difference, logs: [&VerifiedLog; 2]) -> String {
    let writer = |side: &Side| {
        let log = logs[usize::from(*side == Side::Second)];
        log.writer().map_or_else(|| format!("member {}", log.index), |writer| writer.name.clone())
    };
    let other = |side: &Side| writer(if *side == Side::First { &Side::Second } else { &Side::First });
    match difference {
        Difference::Meeting => "They are logs of two different meetings.".into(),
        Difference::NothingShared => {
            "The logs have no moment in common, so nothing shows whether they saw the same meeting.".into()
        }
        Difference::Writer { index } => {
            format!(
                "Place {index} in the meeting was given to two people: {} and {}.",
                writer(&Side::First),
                writer(&Side::Second)
            )
        }
        Difference::Entry(entry) => entry_sentences(entry, [writer(&Side::First), writer(&Side::Second)], logs),
        Difference::Unconnected { side, term, counter } => format!(
            "{} came in by roster entry {}, which does not follow the one that {} has before it.",
            writer(side),
            place(*term, *counter),
            other(side)
        ),
        Difference::Forked { side, term, counter } => {
            format!(
                "{} holds proof that a host signed two lists as roster entry {}.",
                writer(side),
                place(*term, *counter)
            )
        }
        Difference::Key { receiver, generation, fault } => {
            let (to, from) = (writer(receiver), other(receiver));
            match fault {
                KeyFault::NeverDrawn => {
                    format!("{to} was given key {generation} of {from}, who handed out no such key.")
                }
                KeyFault::NotGiven => {
                    format!("{to} was given key {generation} of {from}, who did not give it to {to}.")
                }
                KeyFault::OtherList => {
                    format!("{to} was given key {generation} of {from} for another list of members than {from} used.")
                }
                KeyFault::OtherKey => {
                    format!("{to} was given another key {generation} of {from} than {from} handed out.")
                }
            }
        }
        Difference::Code { first, second, .. } => format!(
            "For the same people {} had the group code {}, and {} had {}.",
            writer(&Side::First),
            codes(first),
            writer(&Side::Second),
            codes(second)
        ),
    }
}

fn entry_sentences(entry: &EntryDifference, [first, second]: [String; 2], logs: [&VerifiedLog; 2]) -> String {
    let (one, other) = entry.signers;
    let signers = if one == other {
        format!("{} signed both.", named(&one, logs))
    } else {
        format!("{} signed the first, {} the second.", named(&one, logs), named(&other, logs))
    };
    let at = place(entry.term, entry.counter);
    let mut out = format!("From roster entry {at} on they were shown different lists. {signers}");
    let mut say = |sentence: String| out = format!("{out}\n  {sentence}");
    for (list, has, lacks) in [(&entry.only_first, &first, &second), (&entry.only_second, &second, &first)] {
        for listed in list {
            say(format!("{} is in the list that {has} saw, and not so in the one that {lacks} saw.", person(listed)));
        }
    }
    for (listed, one, other) in &entry.roles {
        say(format!("{} is {} to {first}, and {} to {second}.", person(listed), role(*one), role(*other)));
    }
    if entry.operations.0 != entry.operations.1 {
        let (one, other) = (operation(entry.operations.0), operation(entry.operations.1));
        say(format!("{first} was told that {one}, {second} that {other}."));
    }
    if entry.locked.0 != entry.locked.1 {
        let state = |locked| if locked { "locked" } else { "open" };
        say(format!("The door is {} to {first}, and {} to {second}.", state(entry.locked.0), state(entry.locked.1)));
    }
    if entry.heirs.0 != entry.heirs.1 {
        let heir = |index: u16| if index == NOBODY { "nobody".to_owned() } else { format!("member {index}") };
        let (one, other) = (heir(entry.heirs.0), heir(entry.heirs.1));
        say(format!("If the host is lost, {one} takes over by what {first} saw, and {other} by what {second} saw."));
    }
    out
}

/// Name and fingerprint of whoever has this identity in either log.
fn named(identity: &IdentityKey, logs: [&VerifiedLog; 2]) -> String {
    let entries = logs.into_iter().flat_map(VerifiedLog::entries);
    let listed = entries.into_iter().find_map(|(signed, _)| signed.entry.by_identity(identity));
    listed.map_or_else(|| identity.fingerprint(), person)
}

fn person(listed: &Listed) -> String {
    format!("{} (member {}, fingerprint {})", listed.name, listed.index, listed.identity.fingerprint())
}

fn role(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Host => "the host",
        MemberRole::CoHost => "a co-host",
        MemberRole::Member => "an ordinary member",
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Open => "the meeting was opened",
        Operation::Admit => "somebody came in",
        Operation::Leave => "somebody left",
        Operation::Remove => "somebody was sent out",
        Operation::Lock => "the door was locked",
        Operation::Unlock => "the door was opened again",
        Operation::Role => "somebody's role changed",
        Operation::HandOver => "the host handed over",
        Operation::Succeed => "the heir took over",
    }
}

/// `7`, or `7 of term 2` after a succession.
fn place(term: u32, counter: u64) -> String {
    if term == 0 { counter.to_string() } else { format!("{counter} of term {term}") }
}

fn codes(codes: &[String]) -> String {
    let spaced = |digits: &String| match (digits.get(..4), digits.get(4..9), digits.get(9..)) {
        (Some(a), Some(b), Some(c)) => format!("{a} {b} {c}"),
        _ => digits.clone(),
    };
    codes.iter().map(spaced).collect::<Vec<_>>().join(" and ")
}

fn count(number: usize, one: &str) -> String {
    match (number, one.strip_suffix('y').filter(|stem| !stem.ends_with('e'))) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {one}s"),
    }
}

/// The first half of a meeting's id: enough to tell one from another.
fn short(meeting: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(&meeting[..16])
}

/// `2026-11-23 21:05:09 UTC`, of seconds since 1970. Days to date: proleptic Gregorian calendar, by its 400-year cycle from
/// 1 March of year 0 on.
fn moment(unix: u64) -> String {
    // The year 9999: what a clock says beyond is no time.
    let unix = unix.min(253_402_300_799);
    let days = unix / 86_400 + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let date = day - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = cycle * 400 + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{date:02} {:02}:{:02}:{:02} UTC", unix / 3600 % 24, unix / 60 % 60, unix % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        // By `date -u -d @N`.
        for (unix, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_800_000_000, "2027-01-15 08:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (u64::MAX, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(moment(unix), text);
        }
    }

    #[test]
    fn numbers_go_with_their_words() {
        assert_eq!(count(1, "roster entry"), "1 roster entry");
        assert_eq!(count(0, "roster entry"), "0 roster entries");
        assert_eq!(count(2, "key"), "2 keys");
    }

    #[test]
    fn what_cannot_be_read_ends_with_status_two() {
        let missing = ("a.log".to_owned(), Err(io::Error::from(io::ErrorKind::NotFound)));
        let letter = ("b.log".to_owned(), Ok(b"Dear all,\n".to_vec()));
        let (said, status) = report(&[missing, letter]);
        assert_eq!(status, INVALID);
        assert!(said.starts_with("a.log cannot be read: "), "{said}");
        assert!(said.ends_with("b.log is not valid. It is not a meeting log.\n"), "{said}");
    }
}
