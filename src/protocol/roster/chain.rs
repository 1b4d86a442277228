//! The roster as one member knows it: the entry in force, those before it, and what may follow.

use std::collections::{BTreeSet, VecDeque};

use super::entry::{Entry, EntryError, EntryHash, Head, Listed, MAX_MEMBERS, MemberRole, NOBODY, Operation, Signed};
use crate::crypto::identity::IdentityKey;

/// Entries kept: for members that fell behind, for keys bound to an older entry, and as the ground on which a succession
/// may stand.
pub const KEPT: usize = 64;
/// Entries that are sent to somebody whose head is not known here: their branch left ours at one of them.
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
    /// It has been known before, or an entry of the host stands where it would.
    Already,
    /// It is a succession on the entry in force, and whether the host is lost is for the caller to judge: see
    /// [`Roster::succeed`].
    Succession,
}

/// The roster of one meeting.
///
/// There is one chain of entries, and one place where it can branch: on an entry after which the heir believed that the host
/// was lost, and the host was not. Then the host's own next entry stands, and what the heir began is given up. So whoever
/// is not the host can never unseat one that goes on, and all who exchange what they have end with the same chain.
pub struct Roster {
    meeting: [u8; 32],
    /// Entries in force one after the other; the last one is in force now. Never empty.
    entries: VecDeque<Signed>,
    /// Highest term seen, on whatever branch: nobody may sign for one place twice.
    latest_term: u32,
    /// Noise statics of those who were sent out on a branch that was given up: each stays out, and has to come in anew.
    barred: BTreeSet<[u8; 32]>,
}

impl Roster {
    /// A host's own beginning. `first` must be an [`Operation::Open`] signed by the host itself.
    pub fn open(meeting: [u8; 32], first: Signed) -> Self {
        let latest_term = first.entry.term;
        Self { meeting, entries: VecDeque::from([first]), latest_term, barred: BTreeSet::new() }
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

    /// Somebody who may be given keys: in the list in force, and not sent out on any branch that was seen here.
    pub fn may_hear(&self, identity: &IdentityKey) -> bool {
        self.current().by_identity(identity).is_some_and(|member| !self.barred.contains(&member.static_key))
    }

    /// Members of the list in force who were sent out on a branch that was given up: whoever hosts now should send them out.
    pub fn barred_members(&self) -> Vec<u16> {
        let barred = self.current().members.iter().filter(|member| self.barred.contains(&member.static_key));
        barred.map(|member| member.index).collect()
    }

    /// What the next entry looks like before anything is changed in it.
    pub fn following(&self, time: u64) -> Entry {
        following(self.last(), time)
    }

    /// What the entry looks like by which the heir takes over: in a term in which no place has been signed for yet.
    pub fn succession(&self, time: u64) -> Entry {
        let mut entry = self.following(time);
        (entry.operation, entry.term) = (Operation::Succeed, self.latest_term + 1);
        let heir = self.current().heir;
        enthrone(&mut entry, heir);
        entry
    }

    /// Entries that somebody with this head lacks, oldest first; empty if they lack none.
    pub fn after(&self, head: &Head) -> Vec<&Signed> {
        let from = match self.entries.iter().position(|signed| signed.hash == head.hash) {
            Some(at) => at + 1,
            // Ahead of us, or on a branch that left ours at one of the last.
            None => self.entries.len().saturating_sub(COMMON),
        };
        self.entries.iter().skip(from).collect()
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

    /// The kept head that, with that of `signed`, proves that an heir took over from one entry twice, in two terms.
    pub fn taken_over_twice(&self, signed: &Signed) -> Option<Head> {
        let at = self.entries.iter().position(|known| known.hash == signed.entry.previous)?;
        let ours = self.entries.get(at + 1)?;
        let both = ours.entry.operation == Operation::Succeed && signed.entry.operation == Operation::Succeed;
        let heir = self.entries[at].entry.member(self.entries[at].entry.heir)?;
        let proof = both && ours.hash != signed.hash && signed.head().is_by(&self.meeting, &heir.identity);
        proof.then(|| ours.head())
    }

    /// Takes an entry that follows the one in force, or one of the host's that stands in the place of a succession. A
    /// succession is not taken yet: [`Taken::Succession`] says that it would be valid.
    pub fn take(&mut self, signed: &Signed) -> Result<Taken, RosterError> {
        let entry = &signed.entry;
        if self.find(&signed.hash).is_some_and(|known| known.signature == signed.signature) {
            return Ok(Taken::Already);
        }
        let at = self.entries.iter().position(|known| known.hash == entry.previous).ok_or(RosterError::Unconnected)?;
        self.judge(&self.entries[at].entry, signed)?;
        self.latest_term = self.latest_term.max(entry.term);
        let next = self.entries.get(at + 1).map(|next| next.entry.operation);
        match (entry.operation, next) {
            (Operation::Succeed, None) => Ok(Taken::Succession),
            (Operation::Succeed, Some(_)) => Ok(Taken::Already),
            (_, None) => {
                self.push(signed.clone());
                Ok(Taken::Now)
            }
            // The host was not lost.
            (_, Some(Operation::Succeed)) => {
                self.give_up_after(at);
                self.push(signed.clone());
                Ok(Taken::Now)
            }
            (_, Some(_)) => Ok(Taken::Already),
        }
    }

    /// Whether an entry follows `base` with a change that its signer may make.
    fn judge(&self, base: &Entry, signed: &Signed) -> Result<(), RosterError> {
        let signer = match signed.entry.operation {
            Operation::Succeed => base.member(base.heir),
            _ => base.host(),
        };
        let signer = signer.ok_or(RosterError::Signature)?;
        if !signed.head().is_by(&self.meeting, &signer.identity) {
            return Err(RosterError::Signature);
        }
        signed.entry.check()?;
        if signed.entry.members.len() > MAX_MEMBERS {
            return Err(RosterError::Change("more members than a meeting holds"));
        }
        check_change(base, &signed.entry).map_err(RosterError::Change)
    }

    /// Puts a succession in force that [`take`](Self::take) found valid; `false` if it no longer is.
    pub fn succeed(&mut self, signed: &Signed) -> bool {
        let valid = signed.entry.previous == self.hash() && self.take(signed) == Ok(Taken::Succession);
        if valid {
            self.push(signed.clone());
        }
        valid
    }

    /// Gives up what stands after an entry. Whoever was lost on it is lost no longer, perhaps; whoever was sent out is.
    fn give_up_after(&mut self, at: usize) {
        while self.entries.len() > at + 1 {
            let Some(given_up) = self.entries.pop_back() else { return };
            if given_up.entry.operation == Operation::Remove
                && let Some(before) = self.entries.back()
                && let Some(gone) = before.entry.member(given_up.entry.subject)
            {
                self.barred.insert(gone.static_key);
            }
        }
        // Not by its own heir.
        if let Some(host) = self.current().host().map(|host| host.static_key) {
            self.barred.remove(&host);
        }
    }

    fn push(&mut self, signed: Signed) {
        self.latest_term = self.latest_term.max(signed.entry.term);
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
    if after.operation == Operation::Succeed {
        return check_succession(before, after);
    }
    if before.counter.checked_add(1) != Some(after.counter) {
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
    if before.counter.checked_add(1) != Some(after.counter) {
        return Err("the counter");
    }
    if after.term <= before.term {
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
        let mut entry = roster.following(0);
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
        signed(roster.succession(0), who)
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
    fn only_the_named_heir_succeeds() {
        let mut roster = roster();
        let forged = succession(&roster, 3);
        assert_eq!(roster.take(&forged), Err(RosterError::Signature));
        let by_heir = succession(&roster, 2);
        assert_eq!(roster.take(&by_heir), Ok(Taken::Succession));
        assert_eq!(roster.current(), &entry(), "not before somebody judged that the host is lost");
        assert!(roster.succeed(&by_heir));
        assert_eq!((roster.current().term, roster.current().host().unwrap().index), (1, 1));
        assert_eq!(roster.take(&by_heir), Ok(Taken::Already));
        assert!(!roster.succeed(&by_heir));
        let by_old_host = remove(&roster, 1, 2);
        assert_eq!(roster.take(&by_old_host), Err(RosterError::Signature));
    }

    #[test]
    fn a_succession_changes_who_hosts_and_nothing_else() {
        let cases: [fn(&mut Entry); 5] = [
            |entry| drop(entry.members.pop()),
            |entry| entry.locked = true,
            |entry| entry.term = 0,
            |entry| entry.counter += 1,
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
    fn the_hosts_own_entry_stands_in_the_place_of_a_succession_and_what_the_heir_began_is_given_up() {
        let (mut here, mut there) = (roster(), roster());
        let by_heir = succession(&there, 2);
        assert!(there.succeed(&by_heir));
        let out = remove(&there, 2, 2);
        assert_eq!(there.take(&out), Ok(Taken::Now));
        let by_host = next(&here, 1, Operation::Lock, |entry| entry.locked = true);
        assert_eq!(here.take(&by_host), Ok(Taken::Now));
        // The host goes on, and nobody who has its entry believes the heir.
        assert_eq!(here.take(&by_heir), Ok(Taken::Already));
        assert_eq!(here.take(&out), Err(RosterError::Unconnected));
        assert_eq!(there.take(&by_host), Ok(Taken::Now));
        assert_eq!(there.hash(), here.hash());
        // Whoever was sent out meanwhile stays out where that was seen, until let in again.
        let member = identity(3).key();
        assert!(there.current().by_identity(&member).is_some() && !there.may_hear(&member));
        assert_eq!((there.barred_members(), here.barred_members()), (vec![2], vec![]));
        // The heir, should it ever take over again, signs for no place a second time.
        assert!(there.succession(0).term > by_heir.entry.term);
    }

    #[test]
    fn an_heir_that_takes_over_twice_from_one_entry_is_found_out() {
        let mut roster = roster();
        let one = succession(&roster, 2);
        let other = signed(Entry { term: 5, ..one.entry.clone() }, 2);
        assert!(roster.succeed(&one));
        assert_eq!(roster.taken_over_twice(&one), None);
        assert_eq!(roster.taken_over_twice(&other), Some(one.head()));
        let forged = signed(Entry { term: 5, ..one.entry.clone() }, 3);
        assert_eq!(roster.taken_over_twice(&forged), None);
    }

    #[test]
    fn whoever_fell_behind_is_given_what_it_lacks_and_whoever_is_elsewhere_the_last_of_ours() {
        let mut roster = roster();
        let before = roster.head();
        let gone = remove(&roster, 1, 2);
        assert_eq!(roster.take(&gone), Ok(Taken::Now));
        assert_eq!(roster.after(&before).len(), 1);
        assert!(roster.after(&roster.head()).is_empty());
        let unknown = Head { term: 3, counter: 9, hash: [1; 32], signature: [0; 64] };
        assert_eq!(roster.after(&unknown).len(), 2);
    }

    #[test]
    fn more_than_a_meeting_holds_are_refused() {
        let mut full = Roster::open(MEETING, signed(entry(), 1));
        for index in 3..MAX_MEMBERS as u16 + 1 {
            let admit = next(&full, 1, Operation::Admit, |entry| {
                (entry.subject, entry.next_index) = (index, index + 1);
                entry.members.push(listed(index, index as u8 + 1, MemberRole::Member));
            });
            let fits = usize::from(index) < MAX_MEMBERS;
            assert_eq!(full.take(&admit).is_ok(), fits, "{index}");
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
