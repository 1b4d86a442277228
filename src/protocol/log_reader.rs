//! Reads a [log](super::log) that somebody saved, and believes nothing in it that is not proven.
//!
//! Hash chain and signature prove that the writer wrote it, every word of it. The entries prove themselves: each is signed by whoever
//! had the right to make it, and follows those before it by the rules of the [roster](super::roster). What the writer says of its
//! own keys, and of those that it was given, is its word alone until another member's log agrees:
//! [`log_compare`](super::log_compare).
//!
//! Layout, hashes and signature: `docs/PROTOCOL.md` §11.

use data_encoding::HEXLOWER;

use super::group_code::{CODE_DIGITS, PeopleHash};
use super::log::{CONTEXT, KeyId, MAX_RECORDS, TITLE, begin, head, next, statement};
use super::roster::entry::MAX_LISTED;
use super::roster::{EntryError, EntryHash, Head, Listed, Operation, Roster, RosterError, Signed, Taken};
use crate::crypto::identity::IdentityKey;

/// Longest log that is looked at, in bytes. One with as many records as are ever kept, all of them entries that list a full
/// mesh, stays below.
pub const MAX_LOG: usize = 32 * 1024 * 1024;

/// Why a text is not a log that can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Longer than [`MAX_LOG`].
    #[error("the text is longer than any log")]
    TooLong,
    /// It does not begin like one.
    #[error("the text is not a meeting log")]
    NotALog,
    /// Its end is missing, or records before it.
    #[error("the log has been cut short")]
    CutShort,
    /// Something follows its end.
    #[error("something follows the end of the log")]
    TrailingText,
    /// A line is not written as it should be.
    #[error("record {record} of the log is not one")]
    Malformed {
        /// Which; 0 stands for the lines before the first, and one more than there are for the last line.
        record: usize,
    },
    /// Records were taken out, put in or moved: their numbers do not follow each other.
    #[error("the chain of the log is broken at record {record}")]
    Broken {
        /// The first that is out of place.
        record: usize,
    },
    /// Something was changed since it was signed: the last hash is not that of the records.
    #[error("the log has been changed: its last hash does not fit")]
    Changed,
    /// The signature is not the writer's.
    #[error("the log is not signed by its writer")]
    Signature,
    /// A roster entry in it is none.
    #[error("record {record} of the log holds no roster entry: {error}")]
    NotAnEntry {
        /// Which.
        record: usize,
        /// What is wrong.
        error: EntryError,
    },
    /// A roster entry in it is not signed by whoever had the right to, or does not follow the one before.
    #[error("record {record} of the log: {error}")]
    Entry {
        /// Which.
        record: usize,
        /// What is wrong.
        error: RosterError,
    },
    /// It does not begin with the entry by which its writer came to be in the meeting.
    #[error("the log does not begin with its writer's own entry")]
    Beginning,
    /// A record tells of a roster entry, or of somebody, that no entry before it makes known.
    #[error("record {record} of the log names what the log does not know")]
    Unknown {
        /// Which.
        record: usize,
    },
    /// Two heads that are said to contradict each other do not, or one signer did not sign both.
    #[error("record {record} of the log tells of a fork that is none")]
    Fork {
        /// Which.
        record: usize,
    },
}

/// What one record says.
#[derive(Clone, PartialEq, Eq)]
pub enum Fact {
    /// A roster entry came into force.
    Entry {
        /// With its signature, which is valid.
        signed: Box<Signed>,
        /// Who signed it.
        by: IdentityKey,
    },
    /// The writer handed a key of its own out.
    Drew(Drawn),
    /// The writer took a key of its own into use.
    Using {
        /// Of the key.
        generation: u32,
    },
    /// The writer was given a key.
    Got(Given),
    /// A group code came about.
    Code {
        /// Whom it is for.
        people: PeopleHash,
        /// Fourteen of them.
        digits: String,
    },
    /// Two entries for one place, both signed by one member.
    Forked {
        /// In force at the writer's.
        ours: Head,
        /// What came.
        other: Head,
    },
    /// Nothing more was recorded.
    Full,
}

/// A key that the writer handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Of the key.
    pub generation: u32,
    /// The entry that it is bound to.
    pub roster: EntryHash,
    /// Of the key.
    pub key: KeyId,
    /// Indices of those who were given it.
    pub to: Vec<u16>,
}

/// A key that the writer was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// By whom.
    pub from: u16,
    /// Of the key.
    pub generation: u32,
    /// The entry that it is bound to.
    pub roster: EntryHash,
    /// Of the key.
    pub key: KeyId,
}

/// One record.
#[derive(Clone, PartialEq, Eq)]
pub struct Noted {
    /// Seconds since 1970, by the writer's clock.
    pub time: u64,
    /// What it says.
    pub fact: Fact,
}

/// A log that its writer signed, whose entries were signed by whoever had the right to.
pub struct VerifiedLog {
    /// Of the meeting.
    pub meeting: [u8; 32],
    /// The writer's, as the entries have it.
    pub index: u16,
    /// The writer's.
    pub identity: IdentityKey,
    /// In order. The first is an entry that lists the writer.
    pub records: Vec<Noted>,
}

impl VerifiedLog {
    /// The entries in the order in which they came into force, and who signed each.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&Signed, &IdentityKey)> {
        self.records.iter().filter_map(|noted| match &noted.fact {
            Fact::Entry { signed, by } => Some((&**signed, by)),
            _ => None,
        })
    }

    /// The keys that the writer handed out.
    pub fn drawn(&self) -> impl Iterator<Item = &Drawn> {
        self.records.iter().filter_map(|noted| match &noted.fact {
            Fact::Drew(drawn) => Some(drawn),
            _ => None,
        })
    }

    /// The keys that the writer was given.
    pub fn given(&self) -> impl Iterator<Item = &Given> {
        self.records.iter().filter_map(|noted| match &noted.fact {
            Fact::Got(given) => Some(given),
            _ => None,
        })
    }

    /// The group codes, and whom each is for.
    pub fn codes(&self) -> impl Iterator<Item = (&PeopleHash, &str)> {
        self.records.iter().filter_map(|noted| match &noted.fact {
            Fact::Code { people, digits } => Some((people, digits.as_str())),
            _ => None,
        })
    }

    /// What the host certified about the writer.
    pub fn writer(&self) -> Option<&Listed> {
        self.entries().next()?.0.entry.member(self.index)
    }

    /// More happened than was recorded.
    pub fn is_full(&self) -> bool {
        self.records.last().is_some_and(|noted| noted.fact == Fact::Full)
    }
}

/// Reads and checks a log. Never panics, whatever the bytes are.
pub fn verify(bytes: &[u8]) -> Result<VerifiedLog, LogError> {
    if bytes.len() > MAX_LOG {
        return Err(LogError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| LogError::NotALog)?;
    let mut lines = text.split_inclusive('\n');
    if lines.next().and_then(|line| line.strip_suffix('\n')) != Some(TITLE) {
        return Err(LogError::NotALog);
    }
    let (meeting, index, identity) = read_head(&mut lines)?;
    let mut reader = Reader { meeting, index, identity, roster: None, known: Vec::new() };
    let mut hash = begin(&head(&meeting, index, &identity));
    let mut records: Vec<Noted> = Vec::new();
    loop {
        let line = lines.next().ok_or(LogError::CutShort)?;
        let fields: Vec<&str> = line.strip_suffix('\n').ok_or(LogError::CutShort)?.split(' ').collect();
        let number = records.len() + 1;
        let malformed = LogError::Malformed { record: number };
        match *fields.as_slice() {
            ["end", count, last, signature] => {
                let count: usize = decimal(count).ok_or(malformed)?;
                let last: [u8; 32] = hex(last).ok_or(malformed)?;
                let signature: [u8; 64] = hex(signature).ok_or(malformed)?;
                if lines.next().is_some() {
                    return Err(LogError::TrailingText);
                }
                if count != records.len() {
                    let fewer = LogError::Broken { record: count.saturating_add(1) };
                    return Err(if count > records.len() { LogError::CutShort } else { fewer });
                }
                if last != hash {
                    return Err(LogError::Changed);
                }
                let statement = statement(&meeting, count, &last);
                identity.verify(CONTEXT, &statement, &signature).map_err(|_| LogError::Signature)?;
                break;
            }
            ["record", counted, time, kind, ref fields @ ..] => {
                if decimal(counted) != Some(number) {
                    return Err(LogError::Broken { record: number });
                }
                let time = decimal(time).ok_or(malformed)?;
                if number > MAX_RECORDS || records.last().is_some_and(|noted| noted.fact == Fact::Full) {
                    return Err(malformed);
                }
                hash = next(&hash, line);
                records.push(Noted { time, fact: read_fact(kind, fields, number)? });
            }
            _ => return Err(malformed),
        }
    }
    // Only now: what the writer did not sign is not worth the arithmetic.
    for (at, noted) in records.iter_mut().enumerate() {
        reader.check(&mut noted.fact, at + 1)?;
    }
    if records.is_empty() {
        return Err(LogError::Beginning);
    }
    Ok(VerifiedLog { meeting, index, identity, records })
}

type Author = ([u8; 32], u16, IdentityKey);

fn read_head<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Author, LogError> {
    let mut line = || {
        let line = lines.next().and_then(|line| line.strip_suffix('\n'));
        line.map(|line| line.split(' ').collect::<Vec<_>>()).ok_or(LogError::CutShort)
    };
    let malformed = LogError::Malformed { record: 0 };
    let meeting = match *line()?.as_slice() {
        ["meeting", meeting] => hex(meeting),
        _ => None,
    };
    let member = match *line()?.as_slice() {
        ["member", index, identity] => decimal(index).zip(hex(identity)),
        _ => None,
    };
    let (meeting, (index, identity)) = meeting.zip(member).ok_or(malformed)?;
    Ok((meeting, index, IdentityKey(identity)))
}

fn read_fact(kind: &str, fields: &[&str], record: usize) -> Result<Fact, LogError> {
    if let ("entry", [entry]) = (kind, fields) {
        let bytes = HEXLOWER.decode(entry.as_bytes()).map_err(|_| LogError::Malformed { record })?;
        let signed = Signed::parse(&bytes).map_err(|error| LogError::NotAnEntry { record, error })?;
        // Whoever signed it is found when the chain is checked.
        return Ok(Fact::Entry { signed: Box::new(signed), by: IdentityKey([0; 32]) });
    }
    let fact = || match (kind, fields) {
        ("drew", [generation, roster, key, to]) => {
            let to = to.split(',').map(decimal).collect::<Option<Vec<u16>>>()?;
            let drawn = Drawn { generation: decimal(generation)?, roster: hex(roster)?, key: hex(key)?, to };
            (drawn.to.len() <= MAX_LISTED).then_some(Fact::Drew(drawn))
        }
        ("using", [generation]) => Some(Fact::Using { generation: decimal(generation)? }),
        ("got", [from, generation, roster, key]) => Some(Fact::Got(Given {
            from: decimal(from)?,
            generation: decimal(generation)?,
            roster: hex(roster)?,
            key: hex(key)?,
        })),
        ("code", [people, digits]) => {
            let is_code = digits.len() == CODE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_code.then_some(Fact::Code { people: hex(people)?, digits: (*digits).to_owned() })
        }
        ("forked", [ours, other]) => Some(Fact::Forked { ours: read_place(ours)?, other: read_place(other)? }),
        ("full", []) => Some(Fact::Full),
        _ => None,
    };
    fact().ok_or(LogError::Malformed { record })
}

fn read_place(text: &str) -> Option<Head> {
    let mut fields = text.split('.');
    let mut field = || fields.next();
    let head =
        Head { term: decimal(field()?)?, counter: decimal(field()?)?, hash: hex(field()?)?, signature: hex(field()?)? };
    field().is_none().then_some(head)
}

/// A number in the one way that it can be written.
fn decimal<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// What the records so far have made known.
struct Reader {
    meeting: [u8; 32],
    index: u16,
    identity: IdentityKey,
    roster: Option<Roster>,
    /// Every entry so far, and who is in it.
    known: Vec<(EntryHash, Vec<u16>)>,
}

impl Reader {
    fn check(&mut self, fact: &mut Fact, record: usize) -> Result<(), LogError> {
        match fact {
            Fact::Entry { signed, by } => *by = self.check_entry(signed, record)?,
            Fact::Drew(drawn) => self.check_known(&drawn.roster, &drawn.to, record)?,
            Fact::Got(given) => self.check_known(&given.roster, &[given.from], record)?,
            Fact::Code { people, .. } => {
                let current = self.roster.as_ref().map(|roster| roster.current().people());
                if current != Some(*people) {
                    return Err(LogError::Unknown { record });
                }
            }
            Fact::Forked { ours, other } => {
                let proven = self.roster.as_ref().and_then(|roster| roster.contradiction(other));
                if proven != Some(*ours) {
                    return Err(LogError::Fork { record });
                }
            }
            Fact::Using { .. } | Fact::Full => {}
        }
        if self.roster.is_none() { Err(LogError::Beginning) } else { Ok(()) }
    }

    fn check_known(&self, roster: &EntryHash, members: &[u16], record: usize) -> Result<(), LogError> {
        let known = self.known.iter().rev().find(|(hash, _)| hash == roster);
        let all = known.is_some_and(|(_, listed)| members.iter().all(|index| listed.contains(index)));
        if all { Ok(()) } else { Err(LogError::Unknown { record }) }
    }

    /// Takes an entry as the writer must have taken it, and gives who signed it.
    fn check_entry(&mut self, signed: &Signed, record: usize) -> Result<IdentityKey, LogError> {
        let entry = &signed.entry;
        let refuse = |error| LogError::Entry { record, error };
        let host = entry.host().ok_or(refuse(RosterError::Signature))?.identity;
        if entry.member(self.index).is_some_and(|writer| writer.identity != self.identity) {
            return Err(LogError::Unknown { record });
        }
        let Some(roster) = &mut self.roster else {
            let own = entry.member(self.index).is_some();
            let begins = match entry.operation {
                Operation::Open => host == self.identity && (entry.term, entry.counter) == (0, 0),
                Operation::Admit => entry.subject == self.index && host != self.identity,
                _ => false,
            };
            if !own || !begins {
                return Err(LogError::Beginning);
            }
            if !signed.head().is_by(&self.meeting, &host) {
                return Err(refuse(RosterError::Signature));
            }
            self.roster = Some(Roster::open(self.meeting, signed.clone()));
            self.remember(signed);
            return Ok(host);
        };
        // Where a succession is given up for an entry of the host, it is the host before it that signed.
        let before = roster.find(&entry.previous).and_then(|base| base.entry.host()).map(|host| host.identity);
        let by = match roster.take(signed).map_err(refuse)? {
            Taken::Now => before.unwrap_or(host),
            // It takes over by itself, and so its host is its signer.
            Taken::Succession => {
                if !roster.succeed(signed) {
                    return Err(refuse(RosterError::Unconnected));
                }
                host
            }
            Taken::Already => return Err(refuse(RosterError::Unconnected)),
        };
        self.remember(signed);
        Ok(by)
    }

    fn remember(&mut self, signed: &Signed) {
        self.known.push((signed.hash, signed.entry.members.iter().map(|member| member.index).collect()));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::super::log::{Log, Record, key_id};
    use super::super::roster::entry::tests::{identity, listed};
    use super::super::roster::{Entry, MemberRole, NOBODY};
    use super::*;
    use crate::crypto::secret::Secret;

    pub(crate) const MEETING: [u8; 32] = [7; 32];
    pub(crate) const TIME: u64 = 1_800_000_000;

    /// A meeting of member 1 (the host, index 0) and others by their number, each with the index one lower.
    pub(crate) fn opened() -> Signed {
        let entry = Entry::open(listed(0, 1, MemberRole::Host), TIME);
        Signed::make(entry, &MEETING, &identity(1))
    }

    /// The entry that follows `before` by a change that `signer` makes.
    pub(crate) fn changed(
        before: &Signed,
        signer: u8,
        operation: Operation,
        subject: u16,
        change: impl FnOnce(&mut Entry),
    ) -> Signed {
        let mut entry = super::super::roster::chain::following(before, TIME + 1);
        (entry.operation, entry.subject) = (operation, subject);
        change(&mut entry);
        Signed::make(entry, &MEETING, &identity(signer))
    }

    pub(crate) fn admitted(before: &Signed, who: u8) -> Signed {
        let index = before.entry.next_index;
        changed(before, 1, Operation::Admit, index, |entry| {
            entry.members.push(listed(index, who, MemberRole::Member));
            entry.next_index += 1;
            entry.heir = entry.natural_heir();
        })
    }

    pub(crate) fn log(index: u16, who: u8, records: &[Record<'_>]) -> String {
        let mut log = Log::default();
        records.iter().enumerate().for_each(|(at, record)| log.note(TIME + at as u64, record));
        log.sign(&MEETING, index, &identity(who))
    }

    /// The host's log of a meeting into which 2 came.
    fn ordinary() -> String {
        let open = opened();
        let admit = admitted(&open, 2);
        let key = key_id(&Secret::new([3; 32]));
        log(
            0,
            1,
            &[
                Record::Entry(&open),
                Record::Entry(&admit),
                Record::Drew { generation: 1, roster: &admit.hash, key, to: &[1] },
                Record::Using { generation: 1 },
                Record::Got { from: 1, generation: 1, roster: &admit.hash, key },
                Record::Code { people: &admit.entry.people(), digits: "0123 45678 90123" },
            ],
        )
    }

    fn error(text: &str) -> LogError {
        verify(text.as_bytes()).map(|_| ()).unwrap_err()
    }

    /// A log with its end rewritten by its writer, as if that had lied from the start.
    fn signed_anew(text: &str, who: u8) -> String {
        let body = &text[..text.find("end ").unwrap()];
        let at = body.match_indices('\n').nth(2).unwrap().0 + 1;
        let lines: Vec<&str> = body[at..].split_inclusive('\n').collect();
        let last = lines.iter().fold(begin(&body[..at]), |hash, line| next(&hash, line));
        let signature = identity(who).sign(CONTEXT, &statement(&MEETING, lines.len(), &last));
        format!("{body}end {} {} {}\n", lines.len(), HEXLOWER.encode(&last), HEXLOWER.encode(&signature))
    }

    #[test]
    fn a_log_reads_back_as_it_was_written() {
        let log = verify(ordinary().as_bytes()).map_err(|error| error.to_string()).unwrap();
        assert_eq!((log.meeting, log.index, log.identity), (MEETING, 0, identity(1).key()));
        assert_eq!(log.writer().map(|writer| writer.name.as_str()), Some("Member 1"));
        assert_eq!(log.records.len(), 6);
        assert_eq!(
            log.entries().map(|(signed, by)| (signed.entry.counter, *by)).collect::<Vec<_>>(),
            [(0, identity(1).key()), (1, identity(1).key())]
        );
        assert_eq!(log.drawn().map(|drawn| (drawn.generation, drawn.to.clone())).collect::<Vec<_>>(), [(1, vec![1])]);
        assert_eq!(log.given().map(|given| (given.from, given.generation)).collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(log.codes().map(|(_, digits)| digits).collect::<Vec<_>>(), ["01234567890123"]);
        assert!(!log.is_full());
    }

    #[test]
    fn what_is_wrong_with_a_log_is_said() {
        let text = ordinary();
        assert_eq!(error("Dear all,\n"), LogError::NotALog);
        assert_eq!(error(&text.replacen("log 1", "log 2", 1)), LogError::NotALog);
        assert_eq!(verify(&vec![b'x'; MAX_LOG + 1]).map(|_| ()), Err(LogError::TooLong));
        assert_eq!(error(&format!("{text}and more\n")), LogError::TrailingText);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let without =
            |at: usize| lines.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| *line).collect::<String>();
        assert_eq!(error(&without(4)), LogError::Broken { record: 2 });
        assert_eq!(error(&without(8)), LogError::CutShort, "the last record is missing");
        assert_eq!(error(&without(9)), LogError::CutShort, "the end is missing");
        assert_eq!(error(&text.replacen("using 1", "using 2", 1)), LogError::Changed);
        assert_eq!(error(&text.replacen("using 1", "using 01", 1)), LogError::Malformed { record: 4 });
        assert_eq!(error(&signed_anew(&text, 2)), LogError::Signature);
        for cut in 0..text.len() {
            let wrong = verify(&text.as_bytes()[..cut]).map(|_| ()).unwrap_err();
            assert!(matches!(wrong, LogError::NotALog | LogError::CutShort), "cut at {cut}: {wrong:?}");
        }
    }

    #[test]
    fn entries_that_no_host_signed_are_found() {
        let open = opened();
        let stranger = changed(&open, 9, Operation::Lock, NOBODY, |entry| entry.locked = true);
        let refused = LogError::Entry { record: 2, error: RosterError::Signature };
        assert_eq!(error(&log(0, 1, &[Record::Entry(&open), Record::Entry(&stranger)])), refused);
        let silent = changed(&open, 1, Operation::Lock, NOBODY, |_| {});
        let refused = LogError::Entry { record: 2, error: RosterError::Change("the list") };
        assert_eq!(error(&log(0, 1, &[Record::Entry(&open), Record::Entry(&silent)])), refused);
        let lock = changed(&open, 1, Operation::Lock, NOBODY, |entry| entry.locked = true);
        let gap = changed(&lock, 1, Operation::Unlock, NOBODY, |entry| entry.locked = false);
        let refused = LogError::Entry { record: 2, error: RosterError::Unconnected };
        assert_eq!(error(&log(0, 1, &[Record::Entry(&open), Record::Entry(&gap)])), refused);
        assert_eq!(error(&log(0, 1, &[Record::Entry(&open), Record::Entry(&open)])), refused, "twice");
        let admit = admitted(&open, 2);
        let bytes = HEXLOWER.encode(&admit.to_bytes());
        let cut = signed_anew(&log(1, 2, &[Record::Entry(&admit)]).replacen(&bytes, &bytes[..200], 1), 2);
        assert_eq!(error(&cut), LogError::NotAnEntry { record: 1, error: EntryError::Truncated });
    }

    #[test]
    fn a_log_begins_with_its_writers_own_entry() {
        let open = opened();
        let (admit, other) = (admitted(&open, 2), admitted(&open, 3));
        assert!(verify(log(1, 2, &[Record::Entry(&admit)]).as_bytes()).is_ok());
        assert_eq!(error(&log(0, 1, &[])), LogError::Beginning);
        assert_eq!(error(&log(0, 1, &[Record::Using { generation: 1 }])), LogError::Beginning);
        assert_eq!(error(&log(1, 2, &[Record::Entry(&open), Record::Entry(&admit)])), LogError::Beginning);
        assert_eq!(error(&log(1, 2, &[Record::Entry(&other)])), LogError::Unknown { record: 1 }, "another's index");
        assert_eq!(error(&log(2, 2, &[Record::Entry(&admit)])), LogError::Beginning, "an index that nobody has");
    }

    #[test]
    fn records_name_only_what_entries_made_known() {
        let open = opened();
        let admit = admitted(&open, 2);
        let key = [1; 8];
        let with = |record: Record<'_>| error(&log(0, 1, &[Record::Entry(&open), Record::Entry(&admit), record]));
        let unknown = LogError::Unknown { record: 3 };
        assert_eq!(with(Record::Drew { generation: 1, roster: &[9; 32], key, to: &[1] }), unknown);
        assert_eq!(with(Record::Drew { generation: 1, roster: &admit.hash, key, to: &[2] }), unknown);
        assert_eq!(with(Record::Got { from: 1, generation: 1, roster: &open.hash, key }), unknown);
        assert_eq!(with(Record::Code { people: &[1; 32], digits: "01234567890123" }), unknown);
        let (ours, same) = (admit.head(), admit.head());
        assert_eq!(with(Record::Forked(&ours, &same)), LogError::Fork { record: 3 });
        let forged = Head { hash: [5; 32], ..ours };
        assert_eq!(with(Record::Forked(&ours, &forged)), LogError::Fork { record: 3 });
        let other = admitted(&open, 3).head();
        let told = log(0, 1, &[Record::Entry(&open), Record::Entry(&admit), Record::Forked(&ours, &other)]);
        assert!(verify(told.as_bytes()).is_ok());
    }

    #[test]
    fn a_succession_is_followed_and_its_signer_known() {
        let open = opened();
        let admit = admitted(&open, 2);
        let there = changed(&admit, 1, Operation::Lock, NOBODY, |entry| entry.locked = true);
        let succeed = changed(&admit, 2, Operation::Succeed, 1, |entry| {
            entry.term += 1;
            super::super::roster::chain::enthrone(entry, 1);
        });
        let text = log(1, 2, &[Record::Entry(&admit), Record::Entry(&succeed), Record::Entry(&there)]);
        let log = verify(text.as_bytes()).map_err(|error| error.to_string()).unwrap();
        let signers: Vec<IdentityKey> = log.entries().map(|(_, by)| *by).collect();
        assert_eq!(signers, [identity(1).key(), identity(2).key(), identity(1).key()], "the host was not lost");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(verify(&bytes).is_err());
        }

        #[test]
        fn any_lines_after_a_true_head_are_read_without_panic(lines in prop::collection::vec("(record|end|entry) [0-9]{1,3} [0-9a-f,. ]{0,40}( (drew|got|code|forked|full|entry) [0-9a-f., ]{0,80})?", 0..6)) {
            let text = ordinary();
            let head: String = text.split_inclusive('\n').take(3).collect();
            let full = format!("{head}{}\n", lines.join("\n"));
            prop_assert!(verify(full.as_bytes()).is_err());
        }

        #[test]
        fn any_change_of_one_byte_is_noticed(at in any::<prop::sample::Index>(), xor in 1u8..) {
            let mut bytes = ordinary().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= xor;
            prop_assert!(verify(&bytes).is_err());
        }
    }
}
