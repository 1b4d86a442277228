//! One entry of the roster: who is in the meeting, in full, as of one change.
//!
//! ```text
//! entry  = term(4) ‖ counter(8) ‖ previous(32) ‖ time(8) ‖ operation(1) ‖ subject(2) ‖ flags(1) ‖ heir(2)
//!          ‖ next index(2) ‖ count(2) ‖ count × member
//! member = index(2) ‖ role(1) ‖ identity key(32) ‖ Noise static(32) ‖ length(2) ‖ name
//! ```
//!
//! Numbers are big-endian, members stand in the order of their indices, nothing follows the last. An entry holds the
//! whole list and not a difference, so that somebody new needs no history, and whoever reads one sees all that it says.

use ring::digest;

use crate::crypto::identity::{Identity, IdentityKey};
use crate::protocol::wire::{MAX_NAME_CHARS, is_name};

/// People in a meeting, the host among them. A mesh of more would have each send its picture too many times.
pub const MAX_MEMBERS: usize = 8;
/// Most members that an entry can be read with. Members refuse more than [`MAX_MEMBERS`]; the room beyond is for larger
/// meetings to come.
pub const MAX_LISTED: usize = 64;
/// Terms and counters are below this: no meeting comes near it, and nothing that is added to them can overflow.
pub const MAX_NUMBER: u32 = 1 << 31;
/// Longest entry in bytes.
pub const MAX_ENTRY: usize = HEADER + MAX_LISTED * (MEMBER + MAX_NAME_CHARS * 4);
/// Stands for nobody where a member's index is expected.
pub const NOBODY: u16 = u16::MAX;

const HEADER: usize = 4 + 8 + 32 + 8 + 1 + 2 + 1 + 2 + 2 + 2;
const MEMBER: usize = 2 + 1 + 32 + 32 + 2;
const FLAG_LOCKED: u8 = 0x01;
/// What a host signs an entry under; see [`statement`].
const CONTEXT: &str = "roster";

/// SHA-256 of `"Conclave v1 roster entry" ‖ 0x00 ‖ entry`.
pub type EntryHash = [u8; 32];

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberRole {
    /// Signs the roster. There is exactly one.
    Host = 0,
    /// May ask the host's program to admit, decline, remove and lock.
    CoHost = 1,
    /// Everyone else.
    Member = 2,
}

impl MemberRole {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Host, Self::CoHost, Self::Member].get(usize::from(code)).copied()
    }
}

/// Somebody in the meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Sender index, given once in a meeting.
    pub index: u16,
    /// What they may do.
    pub role: MemberRole,
    /// Long-term identity (Ed25519).
    pub identity: IdentityKey,
    /// Noise static key for this meeting (X25519), by which other members reach them.
    pub static_key: [u8; 32],
    /// As they called themselves at the door.
    pub name: String,
}

/// What an entry changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The first entry: the host alone.
    Open = 0,
    /// The subject came in.
    Admit = 1,
    /// The subject left, or was lost.
    Leave = 2,
    /// The subject was sent out.
    Remove = 3,
    /// The door was locked.
    Lock = 4,
    /// The door was opened again.
    Unlock = 5,
    /// The subject became a co-host, or an ordinary member again.
    Role = 6,
    /// The host made the subject the host.
    HandOver = 7,
    /// The subject took over, since the host was lost, and everyone before it in the [line](Entry::line) of the entry before.
    /// It signs this one itself.
    Succeed = 8,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::Open,
        Self::Admit,
        Self::Leave,
        Self::Remove,
        Self::Lock,
        Self::Unlock,
        Self::Role,
        Self::HandOver,
        Self::Succeed,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// The roster as of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Rises with each succession.
    pub term: u32,
    /// Rises with each entry, by one unless its signer has signed that number before, on a branch that was given up.
    pub counter: u64,
    /// Hash of the entry before; zeros in the first.
    pub previous: EntryHash,
    /// When, by the signer's clock, in seconds since 1970. For people; nothing depends on it.
    pub time: u64,
    /// What changed.
    pub operation: Operation,
    /// Whom it concerns, or [`NOBODY`].
    pub subject: u16,
    /// Nobody new comes in.
    pub locked: bool,
    /// Who takes over if the host is lost, or [`NOBODY`].
    pub heir: u16,
    /// The index that the next newcomer gets. None is ever given twice.
    pub next_index: u16,
    /// Everyone in the meeting, by rising index.
    pub members: Vec<Listed>,
}

/// Why bytes are not an entry, or an entry is none that could stand in any roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// A field is cut short.
    #[error("a roster entry is cut short")]
    Truncated,
    /// Something follows the last member.
    #[error("something follows a roster entry")]
    TrailingBytes,
    /// More members than [`MAX_LISTED`], or none.
    #[error("a roster entry lists none or too many")]
    Count,
    /// A role, an operation or a flag that does not exist.
    #[error("a roster entry holds an unknown {0}")]
    Unknown(&'static str),
    /// A term or counter that no meeting reaches.
    #[error("a roster entry's number is too high")]
    Number,
    /// A name that may not be one.
    #[error("a roster entry holds a text that is no name")]
    Name,
    /// Indices out of order, given twice, or not below the next one.
    #[error("a roster entry's indices are not distinct and rising")]
    Indices,
    /// Two members with one identity or one static key.
    #[error("a roster entry lists somebody twice")]
    Twice,
    /// Not exactly one host.
    #[error("a roster entry does not have exactly one host")]
    Hosts,
    /// The heir is no member, or is the host itself.
    #[error("a roster entry's heir cannot take over")]
    Heir,
}

impl Entry {
    /// The first of a meeting: `host` alone, at index 0. `time` in seconds since 1970.
    pub fn open(host: Listed, time: u64) -> Self {
        Self {
            term: 0,
            counter: 0,
            previous: [0; 32],
            time,
            operation: Operation::Open,
            subject: 0,
            locked: false,
            heir: NOBODY,
            next_index: 1,
            members: vec![host],
        }
    }

    /// The entry's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.members.len() * (MEMBER + 16));
        out.extend(self.term.to_be_bytes());
        out.extend(self.counter.to_be_bytes());
        out.extend(self.previous);
        out.extend(self.time.to_be_bytes());
        out.push(self.operation as u8);
        out.extend(self.subject.to_be_bytes());
        out.push(if self.locked { FLAG_LOCKED } else { 0 });
        out.extend(self.heir.to_be_bytes());
        out.extend(self.next_index.to_be_bytes());
        out.extend((self.members.len() as u16).to_be_bytes());
        for member in &self.members {
            out.extend(member.index.to_be_bytes());
            out.push(member.role as u8);
            out.extend(member.identity.0);
            out.extend(member.static_key);
            out.extend((member.name.len() as u16).to_be_bytes());
            out.extend(member.name.as_bytes());
        }
        out
    }

    /// Reads an entry that fills `bytes`, and checks all that can be checked without the entry before it. Never panics.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut rest = bytes;
        let input = &mut rest;
        let term = u32::from_be_bytes(take(input)?);
        let counter = u64::from_be_bytes(take(input)?);
        let previous = take(input)?;
        let time = u64::from_be_bytes(take(input)?);
        let [operation] = take(input)?;
        let operation = Operation::from_code(operation).ok_or(EntryError::Unknown("operation"))?;
        let subject = u16::from_be_bytes(take(input)?);
        let [flags] = take(input)?;
        if flags & !FLAG_LOCKED != 0 {
            return Err(EntryError::Unknown("flag"));
        }
        let heir = u16::from_be_bytes(take(input)?);
        let next_index = u16::from_be_bytes(take(input)?);
        let count = usize::from(u16::from_be_bytes(take(input)?));
        if !(1..=MAX_LISTED).contains(&count) {
            return Err(EntryError::Count);
        }
        let members = (0..count).map(|_| Self::parse_member(input)).collect::<Result<Vec<_>, _>>()?;
        if !rest.is_empty() {
            return Err(EntryError::TrailingBytes);
        }
        let locked = flags & FLAG_LOCKED != 0;
        let entry = Self { term, counter, previous, time, operation, subject, locked, heir, next_index, members };
        entry.check()?;
        Ok(entry)
    }

    fn parse_member(input: &mut &[u8]) -> Result<Listed, EntryError> {
        let index = u16::from_be_bytes(take(input)?);
        let [role] = take(input)?;
        let role = MemberRole::from_code(role).ok_or(EntryError::Unknown("role"))?;
        let identity = IdentityKey(take(input)?);
        let static_key = take(input)?;
        let length = usize::from(u16::from_be_bytes(take(input)?));
        let (name, rest) = input.split_at_checked(length).ok_or(EntryError::Truncated)?;
        let name = std::str::from_utf8(name).map_err(|_| EntryError::Name)?;
        if !is_name(name) {
            return Err(EntryError::Name);
        }
        *input = rest;
        Ok(Listed { index, role, identity, static_key, name: name.to_owned() })
    }

    /// Checks all that can be checked without the entry before it.
    pub(super) fn check(&self) -> Result<(), EntryError> {
        if self.term >= MAX_NUMBER || self.counter >= MAX_NUMBER.into() {
            return Err(EntryError::Number);
        }
        let members = &self.members;
        let rising = members.windows(2).all(|pair| pair[0].index < pair[1].index);
        if !rising || members.last().is_none_or(|last| last.index >= self.next_index) {
            return Err(EntryError::Indices);
        }
        for (at, member) in members.iter().enumerate() {
            let same = |other: &Listed| other.identity == member.identity || other.static_key == member.static_key;
            if members[at + 1..].iter().any(same) {
                return Err(EntryError::Twice);
            }
        }
        if members.iter().filter(|member| member.role == MemberRole::Host).count() != 1 {
            return Err(EntryError::Hosts);
        }
        if self.heir != NOBODY && self.member(self.heir).is_none_or(|heir| heir.role == MemberRole::Host) {
            return Err(EntryError::Heir);
        }
        Ok(())
    }

    /// The member with this index.
    pub fn member(&self, index: u16) -> Option<&Listed> {
        self.members.iter().find(|member| member.index == index)
    }

    /// The member with this identity.
    pub fn by_identity(&self, identity: &IdentityKey) -> Option<&Listed> {
        self.members.iter().find(|member| member.identity == *identity)
    }

    /// Who is here, whatever they may do: SHA-256 of `"Conclave v1 people" ‖ 0x00` and, of each member, `index(2) ‖ identity
    /// key(32) ‖ Noise static(32) ‖ length(2) ‖ name`. It changes only when somebody comes or goes.
    pub fn people(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"Conclave v1 people\0");
        for member in &self.members {
            context.update(&member.index.to_be_bytes());
            context.update(&member.identity.0);
            context.update(&member.static_key);
            context.update(&(member.name.len() as u16).to_be_bytes());
            context.update(member.name.as_bytes());
        }
        let mut people = [0; 32];
        people.copy_from_slice(context.finish().as_ref());
        people
    }

    /// The one who signs what comes next. An entry that was parsed or made has one.
    pub fn host(&self) -> Option<&Listed> {
        self.members.iter().find(|member| member.role == MemberRole::Host)
    }

    /// Whom the host's program names as heir unless a person says otherwise: the first co-host, or whoever has been here
    /// longest.
    pub fn natural_heir(&self) -> u16 {
        let others = || self.members.iter().filter(|member| member.role != MemberRole::Host);
        let cohost = others().find(|member| member.role == MemberRole::CoHost);
        cohost.or_else(|| others().next()).map_or(NOBODY, |member| member.index)
    }
}

/// An entry with its hash and the signature of whoever had the right to make it.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub entry: Entry,
    /// Of its bytes.
    pub hash: EntryHash,
    /// Over [`statement`].
    pub signature: [u8; 64],
}

impl Signed {
    /// Signs an entry.
    pub fn make(entry: Entry, meeting: &[u8; 32], identity: &Identity) -> Self {
        let hash = hash(&entry.to_bytes());
        let signature = identity.sign(CONTEXT, &statement(meeting, entry.term, entry.counter, &hash));
        Self { entry, hash, signature }
    }

    /// Reads `signature(64) ‖ entry`. The signature is not checked here: see [`Head::is_by`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let (signature, bytes) = bytes.split_first_chunk::<64>().ok_or(EntryError::Truncated)?;
        Ok(Self { entry: Entry::parse(bytes)?, hash: hash(bytes), signature: *signature })
    }

    /// `signature(64) ‖ entry`.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.signature[..], &self.entry.to_bytes()].concat()
    }

    /// What is signed, in short.
    pub fn head(&self) -> Head {
        Head { term: self.entry.term, counter: self.entry.counter, hash: self.hash, signature: self.signature }
    }
}

/// A signed statement that an entry of this hash stands at this place: the heartbeat of a meeting, and the proof against a
/// host that signs two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Of the entry.
    pub term: u32,
    /// Of the entry.
    pub counter: u64,
    /// Of the entry.
    pub hash: EntryHash,
    /// Over [`statement`].
    pub signature: [u8; 64],
}

impl Head {
    /// Whether `signer` signed this for `meeting`.
    pub fn is_by(&self, meeting: &[u8; 32], signer: &IdentityKey) -> bool {
        let statement = statement(meeting, self.term, self.counter, &self.hash);
        signer.verify(CONTEXT, &statement, &self.signature).is_ok()
    }

    /// Later in the meeting than `other`.
    pub fn is_after(&self, other: &Self) -> bool {
        (self.term, self.counter) > (other.term, other.counter)
    }

    /// At one place of the chain with `other`, and not the same.
    pub fn contradicts(&self, other: &Self) -> bool {
        (self.term, self.counter) == (other.term, other.counter) && self.hash != other.hash
    }
}

/// What a signature covers: `meeting id(32) ‖ term(4) ‖ counter(8) ‖ entry hash(32)`.
pub fn statement(meeting: &[u8; 32], term: u32, counter: u64, hash: &EntryHash) -> Vec<u8> {
    [&meeting[..], &term.to_be_bytes(), &counter.to_be_bytes(), hash].concat()
}

/// SHA-256 of `"Conclave v1 roster entry" ‖ 0x00 ‖ entry`.
pub fn hash(entry: &[u8]) -> EntryHash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"Conclave v1 roster entry\0");
    context.update(entry);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], EntryError> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(EntryError::Truncated)?;
    *input = rest;
    Ok(*head)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::secret::Secret;

    pub(crate) fn identity(who: u8) -> Identity {
        Identity::from_seed(Secret::new([who; 32]))
    }

    pub(crate) fn listed(index: u16, who: u8, role: MemberRole) -> Listed {
        Listed { index, role, identity: identity(who).key(), static_key: [who; 32], name: format!("Member {who}") }
    }

    pub(crate) fn entry() -> Entry {
        Entry {
            term: 0,
            counter: 3,
            previous: [9; 32],
            time: 1_800_000_000,
            operation: Operation::Admit,
            subject: 2,
            locked: false,
            heir: 1,
            next_index: 3,
            members: vec![
                listed(0, 1, MemberRole::Host),
                listed(1, 2, MemberRole::CoHost),
                listed(2, 3, MemberRole::Member),
            ],
        }
    }

    /// Like [`entry`], with something changed.
    fn changed(change: impl FnOnce(&mut Entry)) -> Entry {
        let mut entry = entry();
        change(&mut entry);
        entry
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let bytes = entry().to_bytes();
        assert_eq!(Entry::parse(&bytes), Ok(entry()));
        let signed = Signed::make(entry(), &[7; 32], &identity(1));
        let read = Signed::parse(&signed.to_bytes()).unwrap();
        assert!(read == signed);
        assert!(read.head().is_by(&[7; 32], &identity(1).key()));
        assert!(!read.head().is_by(&[8; 32], &identity(1).key()));
        assert!(!read.head().is_by(&[7; 32], &identity(2).key()));
    }

    #[test]
    fn every_cut_and_every_addition_is_refused() {
        let bytes = entry().to_bytes();
        for cut in 0..bytes.len() {
            assert!(Entry::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(Entry::parse(&[&bytes[..], &[0]].concat()), Err(EntryError::TrailingBytes));
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused_with_the_reason() {
        let read = |entry: Entry| Entry::parse(&entry.to_bytes());
        assert_eq!(read(changed(|e| e.members.swap(0, 1))), Err(EntryError::Indices));
        assert_eq!(read(changed(|e| e.next_index = 2)), Err(EntryError::Indices));
        assert_eq!(read(changed(|e| e.members[2].identity = e.members[1].identity)), Err(EntryError::Twice));
        assert_eq!(read(changed(|e| e.members[2].static_key = e.members[0].static_key)), Err(EntryError::Twice));
        assert_eq!(read(changed(|e| e.members[1].role = MemberRole::Host)), Err(EntryError::Hosts));
        assert_eq!(read(changed(|e| e.members[0].role = MemberRole::Member)), Err(EntryError::Hosts));
        assert_eq!(read(changed(|e| e.heir = 0)), Err(EntryError::Heir));
        assert_eq!(read(changed(|e| e.heir = 9)), Err(EntryError::Heir));
        assert_eq!(read(changed(|e| e.members.clear())), Err(EntryError::Count));
        assert_eq!(read(changed(|e| e.members[1].name = " spaced ".into())), Err(EntryError::Name));
        assert_eq!(read(changed(|e| e.members[1].name = "x".repeat(65))), Err(EntryError::Name));
        assert!(read(changed(|e| e.heir = NOBODY)).is_ok());
        let many = |count: u16| {
            changed(|e| {
                e.heir = NOBODY;
                e.members = (0..count)
                    .map(|n| Listed { identity: IdentityKey([n as u8; 32]), ..listed(n, n as u8, MemberRole::Member) })
                    .collect();
                e.members[0].role = MemberRole::Host;
                e.next_index = count;
            })
        };
        assert!(read(many(MAX_LISTED as u16)).is_ok());
        assert_eq!(read(many(MAX_LISTED as u16 + 1)), Err(EntryError::Count));
    }

    #[test]
    fn people_are_the_same_until_somebody_comes_or_goes() {
        let people = entry().people();
        assert_eq!(
            changed(|e| (e.counter, e.locked, e.members[1].role) = (9, true, MemberRole::Member)).people(),
            people
        );
        assert_ne!(changed(|e| drop(e.members.pop())).people(), people);
        assert_ne!(changed(|e| e.members[1].name = "Another".into()).people(), people);
        assert_ne!(changed(|e| e.members[1].static_key = [99; 32]).people(), people);
        assert_ne!(changed(|e| e.members[1].identity = identity(9).key()).people(), people);
    }

    #[test]
    fn two_heads_contradict_only_at_one_place() {
        let head = |term, counter, hash| Head { term, counter, hash: [hash; 32], signature: [0; 64] };
        assert!(head(0, 5, 1).contradicts(&head(0, 5, 2)));
        assert!(!head(0, 5, 1).contradicts(&head(0, 5, 1)));
        assert!(!head(1, 5, 1).contradicts(&head(0, 5, 2)));
        assert!(head(1, 2, 1).is_after(&head(0, 5, 2)) && !head(0, 5, 1).is_after(&head(0, 5, 2)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(entry) = Entry::parse(&bytes) {
                prop_assert_eq!(entry.to_bytes(), bytes);
            }
        }

        #[test]
        fn any_change_of_one_byte_is_refused_or_is_another_entry(at in 0usize..300, xor in 1u8..) {
            let mut bytes = entry().to_bytes();
            let at = at % bytes.len();
            bytes[at] ^= xor;
            if let Ok(other) = Entry::parse(&bytes) {
                prop_assert_ne!(other, entry());
            }
        }
    }
}
