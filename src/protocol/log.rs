//! A member's own record of a meeting: who came and went and which keys were used, never what was said.
//!
//! ```text
//! conclave meeting log 1
//! meeting  MEETING-ID
//! member   INDEX IDENTITY-KEY
//! record   NUMBER TIME KIND FIELD…
//! …
//! end      COUNT HASH SIGNATURE
//! ```
//!
//! All but the numbers is in lower-case hexadecimal. Each record is bound to those before it: `hash(0) = SHA-256("Conclave
//! v1 log" ‖ 0x00 ‖ the first three lines)` and `hash(n) = SHA-256(hash(n-1) ‖ line n)`, line ends included. The signature
//! of the member's identity key covers meeting id, count and last hash. So nobody but the member could have written it, and the
//! member cannot change it without writing all of it anew; two members' logs are then compared by
//! `log_compare`.

use data_encoding::HEXLOWER;
use ring::digest;

use super::group_code::PeopleHash;
use super::roster::{EntryHash, Head, Signed};
use crate::crypto::identity::{Identity, IdentityKey};
use crate::crypto::secret::Secret;

/// Records kept. A meeting of eight that changes its keys every five minutes makes some two hundred an hour; past this
/// nothing more is recorded, and the log says so.
pub const MAX_RECORDS: usize = 20_000;
/// Bytes kept, for the same reason: a host could make entries without end.
const MAX_BYTES: usize = 24 << 20;
/// First line of a log.
pub(super) const TITLE: &str = "conclave meeting log 1";
/// What a member signs a log under.
pub(super) const CONTEXT: &str = "meeting log";

/// Names a key without giving it away: the first 8 bytes of SHA-256("Conclave v1 key id" ‖ 0x00 ‖ key).
pub type KeyId = [u8; 8];

/// One thing worth recording.
pub enum Record<'a> {
    /// A roster entry came into force.
    Entry(&'a Signed),
    /// Own key handed out.
    Drew {
        /// Of the key.
        generation: u32,
        /// The entry in force.
        roster: &'a EntryHash,
        /// Of the key.
        key: KeyId,
        /// Indices of those who were given it.
        to: &'a [u16],
    },
    /// Own key taken into use.
    Using {
        /// Of the key.
        generation: u32,
    },
    /// Another member's key.
    Got {
        /// Whose.
        from: u16,
        /// Of the key.
        generation: u32,
        /// The entry that it is bound to.
        roster: &'a EntryHash,
        /// Of the key.
        key: KeyId,
    },
    /// The group code came about.
    Code {
        /// Whom it is for.
        people: &'a PeopleHash,
        /// As people read it.
        digits: &'a str,
    },
    /// The host signed two entries for one place.
    Forked(&'a Head, &'a Head),
    /// The log is full: from here on nothing is recorded.
    Full,
}

/// The record as it grows.
#[derive(Default)]
pub struct Log {
    lines: Vec<String>,
    bytes: usize,
    full: bool,
}

impl Log {
    /// Adds a record made at `time`, in seconds since 1970.
    pub fn note(&mut self, time: u64, record: &Record<'_>) {
        if self.full {
            return;
        }
        let mut words = text(record);
        self.full = self.lines.len() + 1 >= MAX_RECORDS || self.bytes + words.len() > MAX_BYTES;
        if self.full {
            words = text(&Record::Full);
        }
        let line = format!("record {} {time} {words}\n", self.lines.len() + 1);
        self.bytes += line.len();
        self.lines.push(line);
    }

    /// The whole log, signed.
    pub fn sign(&self, meeting: &[u8; 32], index: u16, identity: &Identity) -> String {
        let head = head(meeting, index, &identity.key());
        let last = self.lines.iter().fold(begin(&head), |hash, line| next(&hash, line));
        let signature = identity.sign(CONTEXT, &statement(meeting, self.lines.len(), &last));
        let end = format!("end {} {} {}\n", self.lines.len(), hex(&last), hex(&signature));
        [head.as_str(), &self.lines.concat(), &end].concat()
    }
}

/// Names a key without giving it away.
pub fn key_id(key: &Secret<32>) -> KeyId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"Conclave v1 key id\0");
    context.update(key.expose());
    let mut id = [0; 8];
    id.copy_from_slice(&context.finish().as_ref()[..8]);
    id
}

pub(super) fn head(meeting: &[u8; 32], index: u16, identity: &IdentityKey) -> String {
    format!("{TITLE}\nmeeting {}\nmember {index} {}\n", hex(meeting), hex(&identity.0))
}

pub(super) fn begin(head: &str) -> [u8; 32] {
    sha256(&[b"Conclave v1 log\0", head.as_bytes()])
}

pub(super) fn next(hash: &[u8; 32], line: &str) -> [u8; 32] {
    sha256(&[hash, line.as_bytes()])
}

/// What a log's signature covers: `meeting id(32) ‖ count(8) ‖ last hash(32)`.
pub(super) fn statement(meeting: &[u8; 32], count: usize, last: &[u8; 32]) -> Vec<u8> {
    [&meeting[..], &(count as u64).to_be_bytes(), last].concat()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn text(record: &Record<'_>) -> String {
    match record {
        Record::Entry(signed) => format!("entry {}", hex(&signed.to_bytes())),
        Record::Drew { generation, roster, key, to } => {
            let to: Vec<String> = to.iter().map(u16::to_string).collect();
            format!("drew {generation} {} {} {}", hex(*roster), hex(key), to.join(","))
        }
        Record::Using { generation } => format!("using {generation}"),
        Record::Got { from, generation, roster, key } => {
            format!("got {from} {generation} {} {}", hex(*roster), hex(key))
        }
        Record::Code { people, digits } => format!("code {} {}", hex(*people), digits.replace(' ', "")),
        Record::Forked(one, other) => format!("forked {} {}", head_text(one), head_text(other)),
        Record::Full => "full".into(),
    }
}

fn head_text(head: &Head) -> String {
    format!("{}.{}.{}.{}", head.term, head.counter, hex(&head.hash), hex(&head.signature))
}
