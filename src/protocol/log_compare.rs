//! Whether two members saw the same meeting, by the [logs](super::log) that both saved.
//!
//! Entries are compared place by place, keys by what one member says that it gave and the other that it got, codes by whom they
//! are for. What only one of the two can know is no difference: a log may end before the other, and a key that was handed
//! out may never have arrived. The rules: `docs/PROTOCOL.md` §11.

use std::collections::{BTreeMap, BTreeSet};

use super::group_code::PeopleHash;
use super::log_reader::{Drawn, Fact, Given, VerifiedLog};
use super::roster::{EntryHash, Listed, MemberRole, Operation, Signed};
use crate::crypto::identity::IdentityKey;

/// One of the two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As given first.
    First,
    /// As given second.
    Second,
}

/// Whether two members saw the same meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// As far as both can tell.
    Same,
    /// They did not, or nothing shows that they did.
    Differs(Vec<Difference>),
}

/// Something that is not the same in both logs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// They are of two meetings.
    Meeting,
    /// They have no moment in common: one member had left before the other came.
    NothingShared,
    /// Two people had one place in the meeting.
    Writer {
        /// That both have.
        index: u16,
    },
    /// The first place at which they have different entries.
    Entry(Box<EntryDifference>),
    /// One log begins with an entry that does not follow the other's at the place before.
    Unconnected {
        /// Whose.
        side: Side,
        /// Of the entry.
        term: u32,
        /// Of the entry.
        counter: u64,
    },
    /// A member saw that the host signed two entries for one place.
    Forked {
        /// Who.
        side: Side,
        /// Of both entries.
        term: u32,
        /// Of both entries.
        counter: u64,
    },
    /// A key that one got from the other is not as the other gave it.
    Key {
        /// Who got it.
        receiver: Side,
        /// Of the key.
        generation: u32,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// The group codes for the same people have nothing in common.
    Code {
        /// Whom they are for.
        people: PeopleHash,
        /// Fourteen digits each.
        first: Vec<String>,
        /// Fourteen digits each.
        second: Vec<String>,
    },
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Its sender handed none of this number out.
    NeverDrawn,
    /// Its sender gave it to others.
    NotGiven,
    /// It is bound to another entry.
    OtherList,
    /// It is another key.
    OtherKey,
}

/// What two entries at one place differ in. Where all is the same it is what nobody sees: time, or what stands before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryDifference {
    /// Of both.
    pub term: u32,
    /// Of both.
    pub counter: u64,
    /// Who signed each. The same twice: the host showed two lists.
    pub signers: (IdentityKey, IdentityKey),
    /// What each says has changed.
    pub operations: (Operation, Operation),
    /// Members in the first and not, or not like this, in the second.
    pub only_first: Vec<Listed>,
    /// Members in the second and not, or not like this, in the first.
    pub only_second: Vec<Listed>,
    /// Members of both, and what they may do in each.
    pub roles: Vec<(Listed, MemberRole, MemberRole)>,
    /// Whether the door is locked in each.
    pub locked: (bool, bool),
    /// Who would take over in each.
    pub heirs: (u16, u16),
}

/// What comes of a comparison, and how much there was to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Whether it is the same.
    pub outcome: Comparison,
    /// Places of the roster at which both agree.
    pub entries: usize,
    /// Keys that one got as the other gave them.
    pub keys: usize,
    /// Keys that one gave and the other does not have: they may not have arrived, or after the log was saved.
    pub undelivered: usize,
    /// Group codes that both have.
    pub codes: usize,
}

/// Compares two logs, each of which is [verified](super::log_reader::verify).
pub fn compare(first: &VerifiedLog, second: &VerifiedLog) -> Compared {
    let mut compared = Compared { outcome: Comparison::Same, entries: 0, keys: 0, undelivered: 0, codes: 0 };
    if first.meeting != second.meeting {
        compared.outcome = Comparison::Differs(vec![Difference::Meeting]);
        return compared;
    }
    let mut found = Vec::new();
    if first.index == second.index && first.identity != second.identity {
        found.push(Difference::Writer { index: first.index });
    }
    compare_entries(first, second, &mut compared, &mut found);
    found
        .extend([(Side::First, first), (Side::Second, second)].into_iter().filter_map(|(side, log)| forked(side, log)));
    if compared.entries == 0 && found.is_empty() {
        found.push(Difference::NothingShared);
    }
    if first.index != second.index {
        compare_keys(Side::Second, first, second, &mut compared, &mut found);
        compare_keys(Side::First, second, first, &mut compared, &mut found);
    }
    compare_codes(first, second, &mut compared, &mut found);
    if !found.is_empty() {
        compared.outcome = Comparison::Differs(found);
    }
    compared
}

type Place = (u32, u64);
type Entries<'a> = BTreeMap<Place, (&'a Signed, &'a IdentityKey)>;

fn place(signed: &Signed) -> Place {
    (signed.entry.term, signed.entry.counter)
}

fn compare_entries(first: &VerifiedLog, second: &VerifiedLog, compared: &mut Compared, found: &mut Vec<Difference>) {
    let ours: Entries<'_> = first.entries().map(|pair| (place(pair.0), pair)).collect();
    let theirs: Entries<'_> = second.entries().map(|pair| (place(pair.0), pair)).collect();
    for (place, one) in &ours {
        let Some(other) = theirs.get(place) else { continue };
        if one.0.hash != other.0.hash {
            // Those after it differ because it does.
            found.push(Difference::Entry(Box::new(entry_difference(*one, *other))));
            return;
        }
        compared.entries += 1;
    }
    for (side, log, entries) in [(Side::First, first, &theirs), (Side::Second, second, &ours)] {
        let Some((begins, _)) = log.entries().next() else { continue };
        let (term, counter) = place(begins);
        let before = counter.checked_sub(1).and_then(|counter| entries.get(&(term, counter)));
        match before.filter(|_| !entries.contains_key(&(term, counter))) {
            Some((before, _)) if before.hash == begins.entry.previous => compared.entries += 1,
            Some(_) => found.push(Difference::Unconnected { side, term, counter }),
            None => {}
        }
    }
}

fn entry_difference(first: (&Signed, &IdentityKey), second: (&Signed, &IdentityKey)) -> EntryDifference {
    let (one, other) = (&first.0.entry, &second.0.entry);
    let same = |a: &Listed, b: &Listed| Listed { role: b.role, ..a.clone() } == *b;
    let only = |here: &[Listed], there: &[Listed]| -> Vec<Listed> {
        here.iter().filter(|a| !there.iter().any(|b| same(a, b))).cloned().collect()
    };
    let role = |a: &Listed| {
        let b = other.members.iter().find(|b| same(a, b) && a.role != b.role)?;
        Some((a.clone(), a.role, b.role))
    };
    EntryDifference {
        term: one.term,
        counter: one.counter,
        signers: (*first.1, *second.1),
        operations: (one.operation, other.operation),
        only_first: only(&one.members, &other.members),
        only_second: only(&other.members, &one.members),
        roles: one.members.iter().filter_map(role).collect(),
        locked: (one.locked, other.locked),
        heirs: (one.heir, other.heir),
    }
}

fn forked(side: Side, log: &VerifiedLog) -> Option<Difference> {
    log.records.iter().find_map(|noted| match &noted.fact {
        Fact::Forked { ours, .. } => Some(Difference::Forked { side, term: ours.term, counter: ours.counter }),
        _ => None,
    })
}

fn compare_keys(
    receiver: Side,
    giver: &VerifiedLog,
    taker: &VerifiedLog,
    compared: &mut Compared,
    found: &mut Vec<Difference>,
) {
    let drawn: BTreeMap<u32, &Drawn> = giver.drawn().map(|drawn| (drawn.generation, drawn)).collect();
    let given: BTreeMap<u32, &Given> =
        taker.given().filter(|given| given.from == giver.index).map(|given| (given.generation, given)).collect();
    let newest = drawn.keys().next_back().copied().unwrap_or(0);
    for (generation, given) in &given {
        let fault = match drawn.get(generation) {
            None if *generation > newest && ends_by(giver, &given.roster) => continue,
            None => KeyFault::NeverDrawn,
            Some(drawn) if drawn.roster != given.roster => KeyFault::OtherList,
            Some(drawn) if drawn.key != given.key => KeyFault::OtherKey,
            Some(drawn) if !drawn.to.contains(&taker.index) => KeyFault::NotGiven,
            Some(_) => {
                compared.keys += 1;
                continue;
            }
        };
        found.push(Difference::Key { receiver, generation: *generation, fault });
    }
    let lacking = |drawn: &&&Drawn| drawn.to.contains(&taker.index) && !given.contains_key(&drawn.generation);
    compared.undelivered += drawn.values().filter(lacking).count();
}

/// Whether keys bound to this entry may have been drawn after the log ends: no later entry is in it.
fn ends_by(log: &VerifiedLog, roster: &EntryHash) -> bool {
    let last = log.entries().next_back().map(|(signed, _)| signed.hash);
    log.is_full() || last == Some(*roster) || log.entries().all(|(signed, _)| signed.hash != *roster)
}

fn compare_codes(first: &VerifiedLog, second: &VerifiedLog, compared: &mut Compared, found: &mut Vec<Difference>) {
    let codes = |log: &VerifiedLog| {
        let mut codes: BTreeMap<PeopleHash, BTreeSet<String>> = BTreeMap::new();
        for (people, digits) in log.codes() {
            codes.entry(*people).or_default().insert(digits.to_owned());
        }
        codes
    };
    let theirs = codes(second);
    for (people, one) in codes(first) {
        let Some(other) = theirs.get(&people) else { continue };
        let shared = one.intersection(other).count();
        compared.codes += shared;
        if shared == 0 {
            let (first, second) = (one.into_iter().collect(), other.iter().cloned().collect());
            found.push(Difference::Code { people, first, second });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::Record;
    use super::super::log_reader::tests::{admitted, changed, log, opened};
    use super::super::log_reader::verify;
    use super::super::roster::NOBODY;
    use super::super::roster::entry::tests::identity;
    use super::*;

    const KEY: [u8; 8] = [3; 8];
    const CODE: &str = "01234567890123";

    fn verified(text: &str) -> VerifiedLog {
        verify(text.as_bytes()).map_err(|error| error.to_string()).unwrap()
    }

    fn compared(first: &str, second: &str) -> Compared {
        let (first, second) = (verified(first), verified(second));
        let there = compare(&first, &second);
        let back = compare(&second, &first);
        assert_eq!((there.entries, there.keys, there.codes), (back.entries, back.keys, back.codes), "either way round");
        assert_eq!(there.outcome == Comparison::Same, back.outcome == Comparison::Same, "either way round");
        there
    }

    fn differences(first: &str, second: &str) -> Vec<Difference> {
        match compared(first, second).outcome {
            Comparison::Same => Vec::new(),
            Comparison::Differs(differences) => differences,
        }
    }

    fn drew<'a>(signed: &'a Signed, generation: u32, to: &'a [u16]) -> Record<'a> {
        Record::Drew { generation, roster: &signed.hash, key: KEY, to }
    }

    fn got(signed: &Signed, from: u16, generation: u32) -> Record<'_> {
        Record::Got { from, generation, roster: &signed.hash, key: KEY }
    }

    #[test]
    fn two_who_saw_the_same_agree_in_all_that_both_can_know() {
        let open = opened();
        let admit = admitted(&open, 2);
        let (people, digits) = (&admit.entry.people(), CODE);
        let entries = [Record::Entry(&open), Record::Entry(&admit)];
        let [open_entry, admit_entry] = entries;
        let host = log(
            0,
            1,
            &[
                open_entry,
                admit_entry,
                drew(&admit, 1, &[1]),
                got(&admit, 1, 1),
                Record::Code { people, digits },
                drew(&admit, 2, &[1]),
            ],
        );
        let guest = log(
            1,
            2,
            &[Record::Entry(&admit), drew(&admit, 1, &[0]), got(&admit, 0, 1), Record::Code { people, digits }],
        );
        let same = Compared { outcome: Comparison::Same, entries: 1, keys: 2, undelivered: 1, codes: 1 };
        assert_eq!(compared(&host, &guest), same);
        assert_eq!(compared(&host, &host).outcome, Comparison::Same);
    }

    #[test]
    fn two_lists_for_one_place_are_told_with_who_is_in_which() {
        let open = opened();
        let (shown, other) = (admitted(&open, 2), admitted(&open, 3));
        let host = log(0, 1, &[Record::Entry(&open), Record::Entry(&other)]);
        let guest = log(1, 2, &[Record::Entry(&shown)]);
        let found = differences(&host, &guest);
        let [Difference::Entry(difference)] = found.as_slice() else { panic!("{found:?}") };
        let names = |listed: &[Listed]| listed.iter().map(|listed| listed.name.clone()).collect::<Vec<_>>();
        assert_eq!((difference.term, difference.counter), (0, 1));
        assert_eq!(names(&difference.only_first), ["Member 3"]);
        assert_eq!(names(&difference.only_second), ["Member 2"]);
        assert_eq!(difference.signers, (identity(1).key(), identity(1).key()), "one host, two lists");
        // Two who were given different lists under one index say so as well.
        let fooled = log(1, 3, &[Record::Entry(&other)]);
        assert!(differences(&guest, &fooled).contains(&Difference::Writer { index: 1 }));
    }

    #[test]
    fn roles_lock_and_heir_are_told_apart() {
        let admit = admitted(&opened(), 2);
        let locked = changed(&admit, 1, Operation::Lock, NOBODY, |entry| entry.locked = true);
        let promoted = changed(&admit, 1, Operation::Role, 1, |entry| {
            entry.members[1].role = MemberRole::CoHost;
            entry.heir = NOBODY;
        });
        let of = |signed: &Signed| log(1, 2, &[Record::Entry(&admit), Record::Entry(signed)]);
        let found = differences(&of(&locked), &of(&promoted));
        let [Difference::Entry(difference)] = found.as_slice() else { panic!("{found:?}") };
        assert!(difference.only_first.is_empty() && difference.only_second.is_empty());
        assert_eq!(difference.operations, (Operation::Lock, Operation::Role));
        assert_eq!(difference.locked, (true, false));
        assert_eq!(difference.heirs, (1, NOBODY));
        let roles: Vec<_> = difference.roles.iter().map(|(who, a, b)| (who.index, *a, *b)).collect();
        assert_eq!(roles, [(1, MemberRole::Member, MemberRole::CoHost)]);
    }

    #[test]
    fn logs_of_two_meetings_and_logs_without_a_common_moment_are_not_the_same() {
        let open = opened();
        let admit = admitted(&open, 2);
        let host = log(0, 1, &[Record::Entry(&open)]);
        let guest = log(1, 2, &[Record::Entry(&admit)]);
        // The host's log was saved before the guest came, but it joins on to the guest's.
        assert_eq!(compared(&host, &guest).entries, 1);
        assert_eq!(differences(&host, &guest), []);
        let later = admitted(&admit, 3);
        let third = log(2, 3, &[Record::Entry(&later)]);
        assert_eq!(differences(&host, &third), [Difference::NothingShared]);
        let forked = changed(&open, 1, Operation::Lock, NOBODY, |entry| entry.locked = true);
        let other = log(0, 1, &[Record::Entry(&open), Record::Entry(&forked)]);
        let third = log(2, 3, &[Record::Entry(&later)]);
        let side = Side::Second;
        assert_eq!(differences(&other, &third), [Difference::Unconnected { side, term: 0, counter: 2 }]);
        let mut elsewhere = verified(&guest);
        elsewhere.meeting = [8; 32];
        let found = compare(&verified(&host), &elsewhere).outcome;
        assert_eq!(found, Comparison::Differs(vec![Difference::Meeting]));
    }

    #[test]
    fn a_key_that_is_not_as_it_was_given_is_told_with_what_is_wrong() {
        let open = opened();
        let admit = admitted(&open, 2);
        let third = admitted(&admit, 3);
        let host = |record: Record<'_>| {
            log(
                0,
                1,
                &[Record::Entry(&open), Record::Entry(&admit), record, Record::Entry(&third), drew(&third, 5, &[2])],
            )
        };
        let guest = |record: Record<'_>| log(1, 2, &[Record::Entry(&admit), Record::Entry(&third), record]);
        let fault = |first: &str, second: &str| match differences(first, second).as_slice() {
            [Difference::Key { receiver: Side::Second, fault, .. }] => Some(*fault),
            [] => None,
            other => panic!("{other:?}"),
        };
        let drawn = || host(drew(&admit, 1, &[1]));
        assert_eq!(fault(&drawn(), &guest(got(&admit, 0, 1))), None);
        assert_eq!(fault(&drawn(), &guest(got(&third, 0, 1))), Some(KeyFault::OtherList));
        let other = Record::Got { from: 0, generation: 1, roster: &admit.hash, key: [4; 8] };
        assert_eq!(fault(&drawn(), &guest(other)), Some(KeyFault::OtherKey));
        assert_eq!(fault(&drawn(), &guest(got(&admit, 0, 2))), Some(KeyFault::NeverDrawn));
        assert_eq!(fault(&drawn(), &guest(got(&admit, 0, 6))), Some(KeyFault::NeverDrawn), "the host went on after it");
        assert_eq!(fault(&drawn(), &guest(got(&third, 0, 6))), None, "the host's log may end before");
        assert_eq!(fault(&drawn(), &guest(got(&third, 0, 5))), Some(KeyFault::NotGiven));
    }

    #[test]
    fn codes_for_the_same_people_must_have_one_in_common() {
        let admit = admitted(&opened(), 2);
        let people = &admit.entry.people();
        let of = |codes: &[&str]| {
            let codes = codes.iter().map(|digits| Record::Code { people, digits });
            let records: Vec<Record<'_>> = std::iter::once(Record::Entry(&admit)).chain(codes).collect();
            log(1, 2, &records)
        };
        assert_eq!(differences(&of(&[CODE]), &of(&[CODE])), []);
        assert_eq!(differences(&of(&["11111111111111", CODE]), &of(&[CODE])), []);
        assert_eq!(differences(&of(&[CODE]), &of(&[])), []);
        let found = differences(&of(&[CODE]), &of(&["11111111111111"]));
        let (first, second) = (vec![CODE.to_owned()], vec!["11111111111111".to_owned()]);
        assert_eq!(found, [Difference::Code { people: *people, first, second }]);
    }

    #[test]
    fn a_fork_that_somebody_saw_is_told() {
        let open = opened();
        let (admit, other) = (admitted(&open, 2), admitted(&open, 3));
        let saw = log(1, 2, &[Record::Entry(&admit), Record::Forked(&admit.head(), &other.head())]);
        let calm = log(0, 1, &[Record::Entry(&open), Record::Entry(&admit)]);
        assert_eq!(differences(&saw, &calm), [Difference::Forked { side: Side::First, term: 0, counter: 1 }]);
    }
}
