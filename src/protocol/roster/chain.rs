//! The roster as one member knows it: the entry in force, those before it, and what may follow.

use std::collections::{BTreeSet, VecDeque};

use super::entry::{Entry, EntryError, EntryHash, Head, Listed, MemberRole, NOBODY, Operation, Signed};
use crate::crypto::identity::IdentityKey;

/// Entries kept: for members that fell behind, for keys bound to an older entry, and as the ground on which a succession
/// may stand.
pub const KEPT: usize = 64;

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
    /// It has been known before, or a later one is in force.
    Already,
    /// It is a succession, and whether the host is lost is for the caller to judge: see [`Roster::succeed`].
    Succession,
}

/// The roster of one meeting.
pub struct Roster {
    meeting: [u8; 32],
    /// Entries in force one after the other; the last one is in force now. Never empty.
    entries: VecDeque<Signed>,
    /// Whoever was sent out, on a branch that others may not have seen, stays out until an entry lets them in again.
    barred: BTreeSet<IdentityKey>,
}

impl Roster {
    /// A host's own beginning. `first` must be an [`Operation::Open`] signed by the host itself.
    pub fn open(meeting: [u8; 32], first: Signed) -> Self {
        Self { meeting, entries: VecDeque::from([first]), barred: BTreeSet::new() }
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

    /// The kept entry with this hash.
    pub fn find(&self, hash: &EntryHash) -> Option<&Signed> {
        self.entries.iter().find(|signed| signed.hash == *hash)
    }

    /// Somebody who may be given keys: in the list in force, and not sent out on any branch that was seen here.
    pub fn may_hear(&self, identity: &IdentityKey) -> bool {
        self.current().by_identity(identity).is_some() && !self.barred.contains(identity)
    }

    /// Whether somebody was sent out on a branch that was given up, and has not been let in again.
    pub fn is_barred(&self, identity: &IdentityKey) -> bool {
        self.barred.contains(identity)
    }

    /// Members of the list in force who are barred: whoever hosts now should send them out.
    pub fn barred_members(&self) -> Vec<u16> {
        let barred = self.current().members.iter().filter(|member| self.barred.contains(&member.identity));
        barred.map(|member| member.index).collect()
    }

    /// Whether this member is or was the host under an entry that is still kept.
    pub fn has_been_hosted_by(&self, index: u16) -> bool {
        self.entries.iter().any(|signed| signed.entry.host().is_some_and(|host| host.index == index))
    }

    /// Entries that somebody with this head lacks, oldest first; empty if they lack none or nothing here would help.
    pub fn after(&self, head: &Head) -> Vec<&Signed> {
        if let Some(at) = self.entries.iter().position(|signed| signed.hash == head.hash) {
            return self.entries.iter().skip(at + 1).collect();
        }
        // An unknown head of an earlier term: another branch, which ends where this term began.
        let own = self.current().term;
        if head.term < own { self.entries.iter().filter(|s| s.entry.term == own).collect() } else { Vec::new() }
    }

    /// The kept head that, with `head`, proves that one signer put two different entries at one place.
    pub fn contradiction(&self, head: &Head) -> Option<Head> {
        let own = self.entries.iter().map(Signed::head).find(|own| own.contradicts(head))?;
        let mut identities: Vec<IdentityKey> = Vec::new();
        for member in self.entries.iter().flat_map(|signed| &signed.entry.members) {
            if !identities.contains(&member.identity) {
                identities.push(member.identity);
            }
        }
        let signer = identities.into_iter().find(|identity| own.is_by(&self.meeting, identity))?;
        head.is_by(&self.meeting, &signer).then_some(own)
    }

    /// Takes an entry that follows the one in force. A succession is not taken yet: [`Taken::Succession`] says that it
    /// would be valid, and the caller decides by what it hears of the host.
    pub fn take(&mut self, signed: &Signed) -> Result<Taken, RosterError> {
        let entry = &signed.entry;
        if self.find(&signed.hash).is_some_and(|known| known.signature == signed.signature) {
            return Ok(Taken::Already);
        }
        if entry.operation == Operation::Succeed {
            return self.judge_succession(signed);
        }
        let current = self.last();
        if entry.previous != current.hash {
            // Old ones come late through other members; what is ahead of us comes again in order. Who might have signed
            // what follows an entry that we do not have, we cannot know.
            let base = self.find(&entry.previous).ok_or(RosterError::Unconnected)?;
            let host = base.entry.host().ok_or(RosterError::Signature)?;
            let signed_by_host = signed.head().is_by(&self.meeting, &host.identity);
            return if signed_by_host { Ok(Taken::Already) } else { Err(RosterError::Signature) };
        }
        let host = current.entry.host().ok_or(RosterError::Signature)?;
        if !signed.head().is_by(&self.meeting, &host.identity) {
            return Err(RosterError::Signature);
        }
        check_change(&current.entry, entry).map_err(RosterError::Change)?;
        self.push(signed.clone());
        Ok(Taken::Now)
    }

    fn judge_succession(&self, signed: &Signed) -> Result<Taken, RosterError> {
        let base = self.base_of(signed)?;
        let entry = &signed.entry;
        let heir = base.entry.member(base.entry.heir).ok_or(RosterError::Change("there is no heir"))?;
        if !signed.head().is_by(&self.meeting, &heir.identity) {
            return Err(RosterError::Signature);
        }
        check_succession(&base.entry, entry).map_err(RosterError::Change)?;
        if entry.term <= self.current().term {
            return Ok(Taken::Already);
        }
        Ok(Taken::Succession)
    }

    fn base_of(&self, signed: &Signed) -> Result<&Signed, RosterError> {
        self.find(&signed.entry.previous).ok_or(RosterError::Unconnected)
    }

    /// Puts a succession in force that [`take`](Self::take) found valid. Entries after the one it stands on are given up;
    /// whoever they sent out stays barred.
    pub fn succeed(&mut self, signed: &Signed) -> Result<(), RosterError> {
        if self.judge_succession(signed)? != Taken::Succession {
            return Err(RosterError::Unconnected);
        }
        while self.hash() != signed.entry.previous {
            let Some(given_up) = self.entries.pop_back() else { return Err(RosterError::Unconnected) };
            if matches!(given_up.entry.operation, Operation::Remove | Operation::Leave)
                && let Some(base) = self.entries.back()
                && let Some(gone) = base.entry.member(given_up.entry.subject)
            {
                self.barred.insert(gone.identity);
            }
        }
        self.push(signed.clone());
        Ok(())
    }

    fn push(&mut self, signed: Signed) {
        if signed.entry.operation == Operation::Admit
            && let Some(member) = signed.entry.member(signed.entry.subject)
        {
            self.barred.remove(&member.identity);
        }
        self.entries.push_back(signed);
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
    }
}

/// What an entry after `before` looks like before anything is changed in it.
pub fn following(before: &Signed, time: u64) -> Entry {
    let mut entry = before.entry.clone();
    (entry.counter, entry.previous, entry.time, entry.subject) =
        (before.entry.counter + 1, before.hash, time.max(before.entry.time), NOBODY);
    entry
}

/// Whether `after` is `before` with exactly the change that it names. The words say what is wrong.
fn check_change(before: &Entry, after: &Entry) -> Result<(), &'static str> {
    if after.counter != before.counter.wrapping_add(1) {
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
    if after.subject != before.heir || !kept || !hands_over(before, after, before.heir) {
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
        let mut entry = following(roster.last(), 0);
        entry.operation = Operation::Succeed;
        entry.term += 1;
        let heir = entry.heir;
        enthrone(&mut entry, heir);
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
            (Operation::Unlock, |e| e.counter += 1),
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
    fn only_the_named_heir_succeeds() {
        let mut roster = roster();
        let by_other = succession(&roster, 3);
        assert_eq!(roster.take(&by_other), Err(RosterError::Signature));
        let by_heir = succession(&roster, 2);
        assert_eq!(roster.take(&by_heir), Ok(Taken::Succession));
        assert_eq!(roster.current(), &entry(), "not before somebody judged that the host is lost");
        roster.succeed(&by_heir).unwrap();
        assert_eq!((roster.current().term, roster.current().host().unwrap().index), (1, 1));
        assert_eq!(roster.take(&by_heir), Ok(Taken::Already));
        let by_old_host = remove(&roster, 1, 2);
        assert_eq!(roster.take(&by_old_host), Err(RosterError::Signature));
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
        roster.succeed(&heir_takes_over).unwrap();
        let out = identity(3).key();
        assert!(roster.current().by_identity(&out).is_some() && !roster.may_hear(&out));
        assert_eq!(roster.barred_members(), [2]);
        let removed = remove(&roster, 2, 2);
        roster.take(&removed).unwrap();
        let again = next(&roster, 2, Operation::Admit, |entry| {
            (entry.subject, entry.next_index) = (3, 4);
            entry.members.push(listed(3, 3, MemberRole::Member));
        });
        roster.take(&again).unwrap();
        assert!(roster.may_hear(&out));
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
        roster.succeed(&takes_over).unwrap();
        assert_eq!(roster.after(&unknown).len(), 1, "another branch is given the beginning of this term");
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
