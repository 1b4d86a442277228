//! The roster as one member knows it: the entry in force, those before it, and what may follow.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use super::entry::{Entry, EntryError, EntryHash, Head, Listed, MemberRole, NOBODY, Operation, Signed};
use crate::crypto::identity::IdentityKey;

/// Entries kept: for members that fell behind, for keys bound to an older entry, and as the ground on which a succession
/// may stand.
pub const KEPT: usize = 64;
/// By how much a counter may rise at once: as much as can have been signed on a branch that was given up.
const MAX_JUMP: u64 = 1024;
/// Entries before the beginning of a term that are sent to somebody on another branch: theirs left ours at one of them.
const COMMON: usize = 8;

/// Why an entry is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Bytes that are no entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Not signed by whoever had the right to.
    #[error("the roster entry is not signed by the host")]
    Signature,
    /// It does not follow any entry known here.
    #[error("the roster entry does not follow any that is known")]
    Unconnected,
    /// It follows, but changes something else than it says, or something that may not change.
    #[error("the roster entry changes what it may not: {0}")]
    Change(&'static str),
    /// The first entry given to a newcomer does not list it as it is, or its host as the link has it.
    #[error("the first roster entry is not the link's: {0}")]
    First(&'static str),
}

/// What came of an entry that was well made.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in force now.
    Now,
    /// It has been known before, or stands on a branch that does not count.
    Already,
    /// It stands on a branch that takes precedence, by a succession. Whether the host is lost is for the caller to judge: see
    /// [`Roster::switch`].
    Succession,
}

/// What a branch that takes precedence says: somebody took over.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whoever took over first on it.
    pub identity: IdentityKey,
    /// Indices of those who would have come before them. They must be lost, too.
    pub before: Vec<u16>,
    /// Whose place they took.
    pub host: IdentityKey,
    /// Number of the entry that they took over from: the last that they knew of.
    pub known: u64,
    /// A succession has been believed here since, too, and only the better of two counts.
    pub rival: bool,
}

/// The roster of one meeting.
///
/// A host that is lost can still make entries that others do not see, and two members that do not hear each other can both
/// succeed. So there are branches. Of two, the one with the later term takes precedence; in one term that whose
/// succession stands on the longer chain, then that of whoever comes first in the line; last, that with the smaller hash.
pub struct Roster {
    meeting: [u8; 32],
    /// Entries in force one after the other; the last one is in force now. Never empty.
    entries: VecDeque<Signed>,
    /// Valid entries on branches that are not in force, or not yet.
    side: VecDeque<Signed>,
    /// Highest place of an entry that was given up: nobody may sign for one place twice.
    given_up: (u32, u64),
    /// Noise statics of those who were sent out on a branch that was given up: each stays out, and has to come in anew.
    barred: BTreeSet<[u8; 32]>,
}

impl Roster {
    /// A host's own beginning. `first` must be an [`Operation::Open`] signed by the host itself.
    pub fn open(meeting: [u8; 32], first: Signed) -> Self {
        let (entries, side) = (VecDeque::from([first]), VecDeque::new());
        Self { meeting, entries, side, given_up: (0, 0), barred: BTreeSet::new() }
    }

    /// A newcomer's beginning: the entry that came with its admission. `host` and `host_static` are those of the link,
    /// `own` is what the newcomer itself knows to be true of it.
    pub fn enter(
        meeting: [u8; 32],
        first: Signed,
        host: &IdentityKey,
        host_static: &[u8; 32],
        own: (&IdentityKey, &[u8; 32], u16),
    ) -> Result<Self, RosterError> {
        if !first.head().is_by(&meeting, host) {
            return Err(RosterError::Signature);
        }
        let listed = first.entry.host().ok_or(RosterError::First("no host"))?;
        if listed.identity != *host || listed.static_key != *host_static {
            return Err(RosterError::First("another host"));
        }
        let (identity, static_key, index) = own;
        let listed = first.entry.member(index).ok_or(RosterError::First("not listed"))?;
        if listed.identity != *identity || listed.static_key != *static_key || listed.role != MemberRole::Member {
            return Err(RosterError::First("listed as another"));
        }
        Ok(Self::open(meeting, first))
    }

    /// The entry in force.
    pub fn current(&self) -> &Entry {
        &self.last().entry
    }

    /// Hash of the entry in force.
    pub fn hash(&self) -> EntryHash {
        self.last().hash
    }

    /// The signed head of the entry in force.
    pub fn head(&self) -> Head {
        self.last().head()
    }

    /// The entry in force, with its signature.
    pub fn last(&self) -> &Signed {
        // Never empty: it begins with one entry, and the oldest goes only when there are more than KEPT.
        &self.entries[self.entries.len() - 1]
    }

    /// The meeting that all signatures are for.
    pub fn meeting(&self) -> &[u8; 32] {
        &self.meeting
    }

    /// The kept entry with this hash, if it is or was in force.
    pub fn find(&self, hash: &EntryHash) -> Option<&Signed> {
        self.entries.iter().find(|signed| signed.hash == *hash)
    }

    /// The kept entry with this hash, on whatever branch.
    fn known(&self, hash: &EntryHash) -> Option<&Signed> {
        self.find(hash).or_else(|| self.side.iter().find(|signed| signed.hash == *hash))
    }

    /// Somebody who may be given keys: in the list in force, and not sent out on any branch that was seen here.
    pub fn may_hear(&self, identity: &IdentityKey) -> bool {
        self.current().by_identity(identity).is_some_and(|member| !self.barred.contains(&member.static_key))
    }

    /// Members of the list in force who were sent out on a branch that was given up: whoever hosts now should send them out.
    pub fn barred_members(&self) -> Vec<u16> {
        let barred = self.current().members.iter().filter(|member| self.barred.contains(&member.static_key));
        barred.map(|member| member.index).collect()
    }

    /// The proofs of that, each with the entries that lead to it, oldest first: for a host that has not seen them.
    pub fn removals(&self) -> Vec<Signed> {
        let removes = |signed: &&Signed| self.removed_by(signed).is_some_and(|key| self.barred.contains(&key));
        let mut proofs: Vec<Signed> = Vec::new();
        for signed in
            self.side.iter().filter(removes).filter_map(|signed| self.branch(signed)).flat_map(|(_, path)| path)
        {
            if !proofs.contains(&signed) {
                proofs.push(signed);
            }
        }
        proofs
    }

    /// Takes the word of a valid entry on another branch that somebody was sent out.
    pub fn bar(&mut self, signed: &Signed) {
        if self.side.contains(signed) {
            self.barred.extend(self.removed_by(signed));
        }
    }

    /// The static key of the member of our list whom an entry on another branch sent out.
    fn removed_by(&self, signed: &Signed) -> Option<[u8; 32]> {
        let base = self.known(&signed.entry.previous).filter(|_| signed.entry.operation == Operation::Remove)?;
        let key = base.entry.member(signed.entry.subject)?.static_key;
        self.current().members.iter().any(|member| member.static_key == key).then_some(key)
    }

    /// What the next entry looks like before anything is changed in it.
    pub fn following(&self, time: u64) -> Entry {
        let mut entry = following(self.last(), time);
        if self.given_up.0 == entry.term {
            entry.counter = entry.counter.max(self.given_up.1.saturating_add(1));
        }
        entry
    }

    /// Entries that somebody with this head lacks, oldest first; empty if they lack none or nothing here would help.
    pub fn after(&self, head: &Head) -> Vec<&Signed> {
        // Where their branch leaves ours, if it is known here.
        let mut at = head.hash;
        while self.find(&at).is_none() {
            match self.known(&at) {
                Some(signed) => at = signed.entry.previous,
                None => break,
            }
        }
        if let Some(at) = self.entries.iter().position(|signed| signed.hash == at) {
            return self.entries.iter().skip(at + 1).collect();
        }
        // An unknown branch of this term or an earlier one: ours left it somewhere before this term began.
        let term = self.current().term;
        let began = self.entries.iter().position(|signed| signed.entry.term == term).unwrap_or(0);
        if term > 0 && head.term <= term {
            self.entries.iter().skip(began.saturating_sub(COMMON)).collect()
        } else {
            Vec::new()
        }
    }

    /// The kept head that, with `head`, proves that one signer put two different entries at one place.
    pub fn contradiction(&self, head: &Head) -> Option<Head> {
        let all = || self.entries.iter().chain(&self.side);
        let mut identities: Vec<IdentityKey> = Vec::new();
        for own in all().map(Signed::head).filter(|own| own.contradicts(head)) {
            if identities.is_empty() {
                for member in all().flat_map(|signed| &signed.entry.members) {
                    if !identities.contains(&member.identity) {
                        identities.push(member.identity);
                    }
                }
            }
            let signer = identities.iter().find(|identity| own.is_by(&self.meeting, identity));
            if signer.is_some_and(|signer| head.is_by(&self.meeting, signer)) {
                return Some(own);
            }
        }
        None
    }

    /// Takes an entry that follows one that is known. What stands on another branch than that in force is kept, and
    /// [`Taken::Succession`] says that it would take precedence.
    pub fn take(&mut self, signed: &Signed) -> Result<Taken, RosterError> {
        if self.find(&signed.hash).is_some_and(|known| known.signature == signed.signature) {
            return Ok(Taken::Already);
        }
        if !self.side.contains(signed) {
            self.judge(signed)?;
            self.set_aside(signed.clone());
        }
        if signed.entry.previous == self.hash() && signed.entry.operation != Operation::Succeed {
            self.side.retain(|known| known.hash != signed.hash);
            self.push(signed.clone());
            return Ok(Taken::Now);
        }
        Ok(if self.precedes(signed) { Taken::Succession } else { Taken::Already })
    }

    /// Whether an entry follows one that is known, with a change that its signer may make.
    fn judge(&self, signed: &Signed) -> Result<(), RosterError> {
        // What is ahead of us comes again in order. Who might have signed what follows an entry that we do not have, we
        // cannot know.
        let base = self.known(&signed.entry.previous).ok_or(RosterError::Unconnected)?;
        let signer = match signed.entry.operation {
            Operation::Succeed => base.entry.member(signed.entry.subject),
            _ => base.entry.host(),
        };
        let signer = signer.ok_or(RosterError::Signature)?;
        if !signed.head().is_by(&self.meeting, &signer.identity) {
            return Err(RosterError::Signature);
        }
        signed.entry.check()?;
        check_change(&base.entry, &signed.entry).map_err(RosterError::Change)
    }

    fn set_aside(&mut self, signed: Signed) {
        self.side.push_back(signed);
        if self.side.len() > KEPT {
            self.side.pop_front();
        }
    }

    /// The succession by which the term of an entry began, and the entry that it stands on.
    fn succession_of<'a>(&'a self, signed: &'a Signed) -> Option<(&'a Signed, &'a Signed)> {
        let mut at = signed;
        while at.entry.operation != Operation::Succeed {
            at = self.known(&at.entry.previous)?;
        }
        Some((at, self.known(&at.entry.previous)?))
    }

    /// Whether an entry that is known stands on a branch that takes precedence over the one in force.
    fn precedes(&self, signed: &Signed) -> bool {
        let current = self.last();
        if signed.entry.term != current.entry.term {
            return signed.entry.term > current.entry.term && self.succession_of(signed).is_some();
        }
        let Some((theirs, their_base)) = self.succession_of(signed) else { return false };
        // Whoever came in later than this term's succession cannot compare, and stays.
        let Some((ours, our_base)) = self.succession_of(current) else { return false };
        let place = |start: &Signed, base: &Signed| base.entry.line().iter().position(|at| *at == start.entry.subject);
        let rank = |start: &Signed, base: &Signed| (start.entry.counter, Reverse((place(start, base), start.hash)));
        theirs.hash != ours.hash && rank(theirs, their_base) > rank(ours, our_base)
    }

    /// What the branch says that ends with an entry which [`take`](Self::take) found to take precedence.
    pub fn claim(&self, signed: &Signed) -> Option<Claim> {
        let (fork, path) = self.branch(signed)?;
        let start = path.iter().find(|signed| signed.entry.operation == Operation::Succeed)?;
        let base = &self.known(&start.entry.previous)?.entry;
        let subject = start.entry.subject;
        let identity = base.member(subject)?.identity;
        let before = base.line().into_iter().take_while(|index| *index != subject).collect();
        let rival = self.entries.iter().skip(fork + 1).any(|given_up| given_up.entry.operation == Operation::Succeed);
        Some(Claim { identity, before, host: base.host()?.identity, known: base.counter, rival })
    }

    /// Whether a head is that of an entry in force, and which number that has.
    pub fn place_of(&self, head: &Head) -> Option<u64> {
        self.find(&head.hash).map(|signed| signed.entry.counter)
    }

    /// Position of the last entry in force that a branch stands on, and what follows it up to this entry, oldest first.
    fn branch(&self, signed: &Signed) -> Option<(usize, Vec<Signed>)> {
        let mut path = vec![signed.clone()];
        loop {
            let previous = path.last()?.entry.previous;
            if let Some(fork) = self.entries.iter().position(|known| known.hash == previous) {
                path.reverse();
                return Some((fork, path));
            }
            path.push(self.known(&previous)?.clone());
        }
    }

    /// A branch that takes precedence, as it follows what is in force here, oldest first.
    pub fn branch_for(&self, signed: &Signed) -> Vec<Signed> {
        self.branch(signed).map(|(_, path)| path).unwrap_or_default()
    }

    /// Puts the branch in force that ends with an entry which [`take`](Self::take) found to take precedence, and gives its
    /// entries, oldest first. Those in force after the fork are given up; whoever they sent out stays barred.
    pub fn switch(&mut self, signed: &Signed) -> Option<Vec<Signed>> {
        let (fork, path) = self.branch(signed).filter(|_| self.precedes(signed))?;
        while self.entries.len() > fork + 1 {
            let Some(given_up) = self.entries.pop_back() else { break };
            // Whoever was lost is lost no longer, perhaps; whoever was sent out is.
            if given_up.entry.operation == Operation::Remove
                && let Some(before) = self.entries.back()
                && let Some(gone) = before.entry.member(given_up.entry.subject)
            {
                self.barred.insert(gone.static_key);
            }
            self.given_up = self.given_up.max((given_up.entry.term, given_up.entry.counter));
            self.set_aside(given_up);
        }
        self.side.retain(|known| path.iter().all(|signed| signed.hash != known.hash));
        path.iter().cloned().for_each(|signed| self.push(signed));
        Some(path)
    }

    fn push(&mut self, signed: Signed) {
        self.entries.push_back(signed);
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }
}

/// What an entry after `before` looks like before anything is changed in it, on a chain that never had another branch.
fn following(before: &Signed, time: u64) -> Entry {
    let mut entry = before.entry.clone();
    (entry.counter, entry.previous, entry.time, entry.subject) =
        (before.entry.counter + 1, before.hash, time.max(before.entry.time), NOBODY);
    entry
}

/// Whether `after` is `before` with exactly the change that it names. The words say what is wrong.
fn check_change(before: &Entry, after: &Entry) -> Result<(), &'static str> {
    if after.operation == Operation::Succeed {
        return check_succession(before, after);
    }
    if !(1..=MAX_JUMP).contains(&after.counter.saturating_sub(before.counter)) {
        return Err("the counter");
    }
    if after.term != before.term {
        return Err("the term");
    }
    let subject = after.subject;
    let old = before.member(subject);
    let new = after.member(subject);
    let rest_is_same = || {
        let others = |entry: &Entry| -> Vec<Listed> {
            entry.members.iter().filter(|member| member.index != subject).cloned().collect()
        };
        others(before) == others(after)
    };
    let indices_kept = after.next_index == before.next_index;
    let lock_kept = after.locked == before.locked;
    let fits = match after.operation {
        Operation::Open | Operation::Succeed => false,
        Operation::Admit => {
            let is_next = subject == before.next_index && subject != NOBODY && after.next_index == subject + 1;
            let fresh = old.is_none() && new.is_some_and(|new| new.role == MemberRole::Member);
            is_next && fresh && rest_is_same() && lock_kept
        }
        Operation::Leave | Operation::Remove => {
            let goes = old.is_some_and(|old| old.role != MemberRole::Host) && new.is_none();
            goes && rest_is_same() && indices_kept && lock_kept
        }
        Operation::Lock | Operation::Unlock => {
            let locked = after.operation == Operation::Lock;
            subject == NOBODY && before.members == after.members && indices_kept && after.locked == locked
        }
        Operation::Role => {
            let same_person = match (old, new) {
                (Some(old), Some(new)) => {
                    old.role != MemberRole::Host
                        && new.role != MemberRole::Host
                        && *old == Listed { role: old.role, ..new.clone() }
                }
                _ => false,
            };
            same_person && rest_is_same() && indices_kept && lock_kept
        }
        Operation::HandOver => hands_over(before, after, subject) && indices_kept && lock_kept,
    };
    if fits { Ok(()) } else { Err("the list") }
}

/// The members of `after` are those of `before`, but that `subject` is the host and the old host an ordinary member.
fn hands_over(before: &Entry, after: &Entry, subject: u16) -> bool {
    let Some(old_host) = before.host().map(|host| host.index) else { return false };
    subject != old_host
        && before.members.len() == after.members.len()
        && before.members.iter().zip(&after.members).all(|(old, new)| {
            let role = match old.index {
                index if index == subject => MemberRole::Host,
                index if index == old_host => MemberRole::Member,
                _ => old.role,
            };
            *new == Listed { role, ..old.clone() }
        })
}

fn check_succession(before: &Entry, after: &Entry) -> Result<(), &'static str> {
    if after.counter != before.counter.wrapping_add(1) {
        return Err("the counter");
    }
    if after.term != before.term.wrapping_add(1) {
        return Err("the term");
    }
    let kept = after.next_index == before.next_index && after.locked == before.locked;
    if before.member(after.subject).is_none() || !kept || !hands_over(before, after, after.subject) {
        return Err("the list");
    }
    Ok(())
}

/// Makes `subject` the host of `entry`, and the host an ordinary member.
pub fn enthrone(entry: &mut Entry, subject: u16) {
    for member in &mut entry.members {
        member.role = match (member.index == subject, member.role) {
            (true, _) => MemberRole::Host,
            (false, MemberRole::Host) => MemberRole::Member,
            (false, role) => role,
        };
    }
    entry.subject = subject;
    entry.heir = entry.natural_heir();
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{entry, identity, listed};
    use super::*;

    const MEETING: [u8; 32] = [7; 32];

    /// An operation, and what it does to the list.
    type Step = (Operation, fn(&mut Entry));

    fn signed(entry: Entry, who: u8) -> Signed {
        Signed::make(entry, &MEETING, &identity(who))
    }

    fn roster() -> Roster {
        Roster::open(MEETING, signed(entry(), 1))
    }

    /// The entry in force, followed by one with a change, signed by `who`.
    fn next(roster: &Roster, who: u8, operation: Operation, change: impl FnOnce(&mut Entry)) -> Signed {
        let mut entry = following(roster.last(), 0);
        entry.operation = operation;
        change(&mut entry);
        entry.heir = entry.natural_heir();
        signed(entry, who)
    }

    fn remove(roster: &Roster, who: u8, index: u16) -> Signed {
        next(roster, who, Operation::Remove, |entry| {
            entry.subject = index;
            entry.members.retain(|member| member.index != index);
        })
    }

    fn succession(roster: &Roster, who: u8) -> Signed {
        succession_of(roster, who, roster.current().heir)
    }

    fn succession_of(roster: &Roster, who: u8, index: u16) -> Signed {
        let mut entry = following(roster.last(), 0);
        entry.operation = Operation::Succeed;
        entry.term += 1;
        enthrone(&mut entry, index);
        signed(entry, who)
    }

    #[test]
    fn the_host_admits_removes_locks_promotes_and_hands_over() {
        let mut roster = roster();
        let steps: [Step; 6] = [
            (Operation::Admit, |entry| {
                entry.subject = 3;
                entry.next_index = 4;
                entry.members.push(listed(3, 4, MemberRole::Member));
            }),
            (Operation::Lock, |entry| entry.locked = true),
            (Operation::Unlock, |entry| entry.locked = false),
            (Operation::Role, |entry| {
                entry.subject = 3;
                entry.members[3].role = MemberRole::CoHost;
            }),
            (Operation::Leave, |entry| {
                entry.subject = 1;
                entry.members.remove(1);
            }),
            (Operation::HandOver, |entry| enthrone(entry, 3)),
        ];
        for (operation, change) in steps {
            let entry = next(&roster, 1, operation, change);
            assert_eq!(roster.take(&entry), Ok(Taken::Now), "{operation:?}");
            assert_eq!(roster.take(&entry), Ok(Taken::Already));
        }
        assert_eq!(roster.current().host().map(|host| host.index), Some(3));
        // The old host has nothing more to say, the new one has.
        let lock = |roster: &Roster, who| next(roster, who, Operation::Lock, |entry| entry.locked = true);
        let by_old = lock(&roster, 1);
        assert_eq!(roster.take(&by_old), Err(RosterError::Signature));
        let by_new = lock(&roster, 4);
        assert_eq!(roster.take(&by_new), Ok(Taken::Now));
    }

    #[test]
    fn only_the_host_signs() {
        let mut roster = roster();
        for who in [2, 3, 9] {
            let forged = remove(&roster, who, 2);
            assert_eq!(roster.take(&forged), Err(RosterError::Signature));
        }
        let mut other_meeting = remove(&roster, 1, 2);
        other_meeting.signature = Signed::make(other_meeting.entry.clone(), &[8; 32], &identity(1)).signature;
        assert_eq!(roster.take(&other_meeting), Err(RosterError::Signature));
        assert_eq!(roster.current(), &entry());
    }

    #[test]
    fn an_entry_that_changes_more_than_it_says_is_refused() {
        let base = roster();
        let cases: [Step; 14] = [
            (Operation::Open, |_| {}),
            (Operation::Admit, |e| e.subject = 3),
            (Operation::Admit, |e| {
                (e.subject, e.next_index) = (3, 4);
                e.members.push(listed(3, 4, MemberRole::CoHost));
            }),
            (Operation::Admit, |e| {
                (e.subject, e.next_index) = (4, 5);
                e.members.push(listed(4, 4, MemberRole::Member));
            }),
            (Operation::Admit, |e| {
                (e.subject, e.next_index) = (3, 4);
                e.members.push(listed(3, 4, MemberRole::Member));
                e.members.remove(1);
            }),
            (Operation::Admit, |e| {
                (e.subject, e.next_index) = (3, 4);
                e.members.push(listed(3, 4, MemberRole::Member));
                e.members[1].static_key = [99; 32];
            }),
            (Operation::Remove, |e| e.subject = 2),
            (Operation::Remove, |e| {
                e.subject = 2;
                e.members.truncate(1);
            }),
            (Operation::Lock, |_| {}),
            (Operation::Lock, |e| {
                e.locked = true;
                e.members.truncate(2);
            }),
            (Operation::Role, |e| {
                e.subject = 2;
                e.members[2].name = "Another".into();
            }),
            (Operation::HandOver, |e| e.subject = 2),
            (Operation::Unlock, |e| e.counter -= 1),
            (Operation::Unlock, |e| e.term += 1),
        ];
        for (number, (operation, change)) in cases.into_iter().enumerate() {
            let mut roster = roster();
            let bad = next(&base, 1, operation, change);
            assert!(matches!(roster.take(&bad), Err(RosterError::Change(_))), "case {number}");
            assert_eq!(roster.current(), &entry());
        }
    }

    #[test]
    fn an_entry_out_of_the_chain_is_refused_and_an_old_one_ignored() {
        let mut roster = roster();
        let first = remove(&roster, 1, 2);
        let mut ahead = first.entry.clone();
        ahead.counter += 1;
        ahead.previous = [1; 32];
        assert_eq!(roster.take(&signed(ahead, 1)), Err(RosterError::Unconnected));
        let late = next(&roster, 1, Operation::Lock, |entry| entry.locked = true);
        assert_eq!(roster.take(&first), Ok(Taken::Now));
        // Signed by the host and at a place already taken: not in force, whatever it is evidence of.
        assert_eq!(roster.take(&late), Ok(Taken::Already));
    }

    #[test]
    fn whoever_is_next_in_the_line_succeeds_and_nobody_else() {
        let mut roster = roster();
        let forged = succession(&roster, 3);
        assert_eq!(roster.take(&forged), Err(RosterError::Signature));
        let by_heir = succession(&roster, 2);
        assert_eq!(roster.take(&by_heir), Ok(Taken::Succession));
        assert_eq!(roster.current(), &entry(), "not before somebody judged that the host is lost");
        let claim =
            Claim { identity: identity(2).key(), before: vec![], host: identity(1).key(), known: 3, rival: false };
        assert_eq!(roster.claim(&by_heir), Some(claim));
        let by_next = succession_of(&roster, 3, 2);
        assert_eq!(roster.take(&by_next), Ok(Taken::Succession));
        let claim =
            Claim { identity: identity(3).key(), before: vec![1], host: identity(1).key(), known: 3, rival: false };
        assert_eq!(roster.claim(&by_next), Some(claim));
        assert!(roster.switch(&by_heir).is_some_and(|path| path.len() == 1));
        assert_eq!((roster.current().term, roster.current().host().unwrap().index), (1, 1));
        assert_eq!(roster.take(&by_heir), Ok(Taken::Already));
        assert_eq!(roster.take(&by_next), Ok(Taken::Already), "the heir comes first");
        let by_old_host = remove(&roster, 1, 2);
        assert_eq!(roster.take(&by_old_host), Err(RosterError::Signature));
    }

    /// What two sides took for the meeting while they did not hear each other, each as the other learns of it.
    fn meet_again(one: &mut Roster, other: &mut Roster) {
        for _ in 0..2 {
            let (from_one, from_other): (Vec<Signed>, Vec<Signed>) = (
                one.after(&other.head()).into_iter().cloned().collect(),
                other.after(&one.head()).into_iter().cloned().collect(),
            );
            for (roster, entries) in [(&mut *other, from_one), (&mut *one, from_other)] {
                for signed in entries {
                    if roster.take(&signed) == Ok(Taken::Succession) {
                        roster.switch(&signed).unwrap();
                    }
                }
            }
        }
    }

    #[test]
    fn two_who_both_succeeded_agree_on_one_when_they_meet_again() {
        // The heir succeeds where it last heard of the meeting; the next one after an entry that the heir never saw.
        let (mut heir, mut next_one) = (roster(), roster());
        let by_heir = succession(&heir, 2);
        heir.take(&by_heir).unwrap();
        heir.switch(&by_heir).unwrap();
        let locked = next(&next_one, 1, Operation::Lock, |entry| entry.locked = true);
        assert_eq!(next_one.take(&locked), Ok(Taken::Now));
        let by_next = succession_of(&next_one, 3, 2);
        next_one.take(&by_next).unwrap();
        next_one.switch(&by_next).unwrap();
        // Both go on.
        for (roster, who) in [(&mut heir, 2), (&mut next_one, 3)] {
            for locked in [false, true] {
                let operation = if locked { Operation::Lock } else { Operation::Unlock };
                let entry = next(roster, who, operation, |entry| entry.locked = locked);
                assert_eq!(roster.take(&entry), Ok(Taken::Now));
            }
        }
        meet_again(&mut heir, &mut next_one);
        assert_eq!(heir.hash(), next_one.hash());
        assert_eq!(
            heir.current().host().map(|host| host.index),
            Some(2),
            "the longer chain had more of the host's entries"
        );
        // Were the first to host this term again, it would not sign for a place twice.
        assert_eq!(heir.following(0).counter, next_one.following(0).counter);
        let hands_over = next(&heir, 3, Operation::HandOver, |entry| enthrone(entry, 1));
        heir.take(&hands_over).unwrap();
        assert!(heir.following(0).counter > 7, "{}", heir.following(0).counter);
    }

    #[test]
    fn a_counter_may_skip_what_was_given_up_and_no_more() {
        let base = roster();
        let locked = |jump: u64| {
            next(&base, 1, Operation::Lock, |entry| {
                entry.locked = true;
                entry.counter = base.current().counter.wrapping_add(jump);
            })
        };
        assert_eq!(roster().take(&locked(MAX_JUMP)), Ok(Taken::Now));
        for jump in [0, MAX_JUMP + 1, u64::MAX] {
            assert_eq!(roster().take(&locked(jump)), Err(RosterError::Change("the counter")));
        }
    }

    #[test]
    fn a_list_that_no_member_could_read_is_not_taken_by_its_maker_either() {
        let mut roster = roster();
        let twice = next(&roster, 1, Operation::Admit, |entry| {
            (entry.subject, entry.next_index) = (3, 4);
            entry.members.push(Listed { identity: identity(4).key(), ..listed(3, 2, MemberRole::Member) });
        });
        assert_eq!(roster.take(&twice), Err(RosterError::Entry(EntryError::Twice)));
    }

    #[test]
    fn a_succession_changes_who_hosts_and_nothing_else() {
        let cases: [fn(&mut Entry); 4] = [
            |entry| drop(entry.members.pop()),
            |entry| entry.locked = true,
            |entry| entry.term += 1,
            |entry| entry.members[2].static_key = [99; 32],
        ];
        for change in cases {
            let mut entry = succession(&roster(), 2).entry;
            change(&mut entry);
            entry.heir = entry.natural_heir();
            assert!(matches!(roster().take(&signed(entry, 2)), Err(RosterError::Change(_))));
        }
    }

    #[test]
    fn whoever_was_sent_out_on_a_branch_given_up_stays_barred_until_let_in_again() {
        let mut roster = roster();
        let heir_takes_over = succession(&roster, 2);
        let gone = remove(&roster, 1, 2);
        assert_eq!(roster.take(&gone), Ok(Taken::Now));
        assert_eq!(roster.take(&heir_takes_over), Ok(Taken::Succession));
        assert!(roster.switch(&heir_takes_over).is_some());
        let out = identity(3).key();
        assert!(roster.current().by_identity(&out).is_some() && !roster.may_hear(&out));
        assert_eq!(roster.barred_members(), [2]);
        // A host that never saw it is shown.
        let mut host = self::roster();
        host.take(&heir_takes_over).unwrap();
        host.switch(&heir_takes_over).unwrap();
        assert!(host.may_hear(&out));
        for proof in roster.removals() {
            assert_eq!(host.take(&proof), Ok(Taken::Already));
            host.bar(&proof);
        }
        assert_eq!(host.barred_members(), [2]);
        let removed = remove(&roster, 2, 2);
        roster.take(&removed).unwrap();
        let again = next(&roster, 2, Operation::Admit, |entry| {
            (entry.subject, entry.next_index) = (3, 4);
            entry.members.push(Listed { static_key: [33; 32], ..listed(3, 3, MemberRole::Member) });
        });
        roster.take(&again).unwrap();
        assert!(roster.may_hear(&out), "under another key, as whoever comes in anew has");
    }

    #[test]
    fn a_newcomer_accepts_only_the_links_host_and_itself_as_it_is() {
        let enter = |entry: Entry, signer: u8| {
            let (host, own) = (identity(1).key(), identity(3).key());
            Roster::enter(MEETING, signed(entry, signer), &host, &[1; 32], (&own, &[3; 32], 2)).map(|_| ())
        };
        assert_eq!(enter(entry(), 1), Ok(()));
        assert_eq!(enter(entry(), 2), Err(RosterError::Signature));
        let with = |change: fn(&mut Entry)| {
            let mut entry = entry();
            change(&mut entry);
            enter(entry, 1)
        };
        assert_eq!(with(|e| e.members[0].static_key = [99; 32]), Err(RosterError::First("another host")));
        assert_eq!(with(|e| enthrone(e, 1)), Err(RosterError::First("another host")));
        assert_eq!(with(|e| drop(e.members.pop())), Err(RosterError::First("not listed")));
        assert_eq!(with(|e| e.members[2].static_key = [99; 32]), Err(RosterError::First("listed as another")));
        assert_eq!(with(|e| e.members[2].identity = identity(9).key()), Err(RosterError::First("listed as another")));
    }

    #[test]
    fn whoever_fell_behind_is_given_what_it_lacks() {
        let mut roster = roster();
        let before = roster.head();
        let steps = [remove(&roster, 1, 2)];
        steps.iter().for_each(|step| assert_eq!(roster.take(step), Ok(Taken::Now)));
        assert_eq!(roster.after(&before).len(), 1);
        assert!(roster.after(&roster.head()).is_empty());
        let unknown = Head { term: 0, counter: 9, hash: [1; 32], signature: [0; 64] };
        assert!(roster.after(&unknown).is_empty());
        let takes_over = succession(&roster, 2);
        roster.take(&takes_over).unwrap();
        assert!(roster.switch(&takes_over).is_some());
        assert_eq!(
            roster.after(&unknown).len(),
            3,
            "another branch is given the beginning of this term and what it stands on"
        );
    }

    #[test]
    fn two_entries_of_one_signer_at_one_place_are_a_proof_and_a_forged_one_is_not() {
        let mut roster = roster();
        let (one, other) = (remove(&roster, 1, 2), remove(&roster, 1, 1));
        let forged = remove(&roster, 3, 1);
        assert_eq!(roster.contradiction(&one.head()), None);
        roster.take(&one).unwrap();
        assert_eq!(roster.contradiction(&one.head()), None);
        assert_eq!(roster.contradiction(&other.head()), Some(one.head()));
        assert_eq!(roster.contradiction(&forged.head()), None);
    }

    #[test]
    fn no_more_entries_are_kept_than_needed() {
        let mut roster = roster();
        for round in 0..2 * KEPT {
            let operation = if round % 2 == 0 { Operation::Lock } else { Operation::Unlock };
            let entry = next(&roster, 1, operation, |entry| entry.locked = round % 2 == 0);
            assert_eq!(roster.take(&entry), Ok(Taken::Now));
        }
        assert_eq!(roster.entries.len(), KEPT);
    }
}
