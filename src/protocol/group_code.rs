//! One short code that verifies everyone at once, by commit and reveal.
//!
//! ```text
//! 1. host → all     open    round(16), hash of the people that the code is for
//! 2. all  → host    commit  SHA-256("Conclave v1 code commit" ‖ 0 ‖ round ‖ people ‖ identity key ‖ value(32))
//! 3. host → all     set     everyone's commitment, by rising index, signed by the host
//! 4. all  → host    reveal  value, once the set was found to be for one's own roster and to hold one's own commitment
//! 5. host → all     values  everyone's value, by rising index
//! code = the first 44 bits of HKDF(ikm = values, salt = people, "group code")
//! ```
//!
//! A host that gives two members different lists wants their codes to be equal all the same. Each member's code depends on
//! its own random value, which it keeps until everything else that goes into the code is fixed by hashes: so the host
//! has one chance in 2⁴⁴ a round, and each try is a round that people see fail. Without the commitment it would choose
//! its own value last and simply search for one that fits (see the tests).

use std::collections::BTreeMap;

use bip39::Language;
use ring::digest;
use subtle::ConstantTimeEq;

use super::roster::Entry;
use crate::crypto::identity::{Identity, IdentityKey};
use crate::crypto::kdf::derive;
use crate::crypto::secret::Secret;

/// Who a code is for: [`Entry::people`], so that locking a meeting changes nobody's code.
pub type PeopleHash = [u8; 32];
/// Names one agreement; drawn by the host.
pub type Round = [u8; 16];
/// Hash that binds a member to its value.
pub type Commitment = [u8; 32];

/// Bits of a code: four words of eleven.
pub const CODE_BITS: u32 = 44;
/// Words in a code.
pub const CODE_WORDS: usize = 4;
/// Digits of the same code in decimal: 2⁴⁴ has 14.
pub const CODE_DIGITS: usize = 14;

const WORD_BITS: u32 = CODE_BITS / CODE_WORDS as u32;
/// What the host signs the set of commitments under.
const CONTEXT: &str = "code set";

/// Why a step of the agreement is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// A step of another round, or one that is not due.
    #[error("a step of the group code is out of turn")]
    OutOfTurn,
    /// The set is not for exactly the members of the list in force.
    #[error("the commitments are not those of the members")]
    Members,
    /// One's own commitment in the set is another than the one that was sent.
    #[error("one's own commitment was changed")]
    OwnCommitment,
    /// The set is not signed by the host.
    #[error("the set of commitments is not signed by the host")]
    Signature,
    /// A value is not the one committed to.
    #[error("a revealed value does not fit its commitment")]
    Reveal,
}

/// The code as people compare it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code {
    bits: u64,
    /// The people that it is for.
    pub people: PeopleHash,
}

impl Code {
    fn of(values: &BTreeMap<u16, Secret<32>>, people: PeopleHash) -> Self {
        let joined: Vec<u8> = values.values().flat_map(|value| *value.expose()).collect();
        let derived = derive::<32>(&joined, &people, "group code");
        let first = derived.expose().iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        Self { bits: first >> (64 - CODE_BITS), people }
    }

    /// Four words of the English list of BIP 39, the most significant first.
    pub fn words(&self) -> [&'static str; CODE_WORDS] {
        let list = Language::English.word_list();
        std::array::from_fn(|at| {
            let shift = CODE_BITS - WORD_BITS * (at as u32 + 1);
            list[(self.bits >> shift) as usize % list.len()]
        })
    }

    /// The same as fourteen digits, in groups of four, five and five.
    pub fn digits(&self) -> String {
        let digits = format!("{:0width$}", self.bits, width = CODE_DIGITS);
        format!("{} {} {}", &digits[..4], &digits[4..9], &digits[9..])
    }
}

/// What binds a member to a value: see the [module](self).
pub fn commitment(round: &Round, people: &PeopleHash, identity: &IdentityKey, value: &Secret<32>) -> Commitment {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [&b"Conclave v1 code commit\0"[..], round, people, &identity.0, value.expose()] {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// What the host signs: `meeting id(32) ‖ round(16) ‖ people(32) ‖ SHA-256 of (index(2) ‖ commitment(32))…`.
fn set_statement(meeting: &[u8; 32], round: &Round, people: &PeopleHash, set: &BTreeMap<u16, Commitment>) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    for (index, commitment) in set {
        context.update(&index.to_be_bytes());
        context.update(commitment);
    }
    [&meeting[..], round, people, context.finish().as_ref()].concat()
}

/// Signs the set that everyone committed to.
pub fn sign_set(
    meeting: &[u8; 32],
    round: &Round,
    people: &PeopleHash,
    set: &BTreeMap<u16, Commitment>,
    host: &Identity,
) -> [u8; 64] {
    host.sign(CONTEXT, &set_statement(meeting, round, people, set))
}

/// One member's part in one round.
pub struct Participant {
    /// Of the host.
    pub round: Round,
    people: PeopleHash,
    own_index: u16,
    value: Secret<32>,
    own: Commitment,
    set: Option<BTreeMap<u16, Commitment>>,
}

impl Participant {
    /// Draws nothing itself: `value` are 32 fresh random bytes.
    pub fn new(round: Round, people: PeopleHash, own_index: u16, identity: &IdentityKey, value: Secret<32>) -> Self {
        let own = commitment(&round, &people, identity, &value);
        Self { round, people, own_index, value, own, set: None }
    }

    /// Step 2.
    pub fn commitment(&self) -> &Commitment {
        &self.own
    }

    /// The people that the code will be for.
    pub fn people(&self) -> &PeopleHash {
        &self.people
    }

    /// Step 3: checks the set and gives the value to be revealed. A second set is refused, whatever it says.
    pub fn handle_set(
        &mut self,
        meeting: &[u8; 32],
        entry: &Entry,
        round: &Round,
        set: BTreeMap<u16, Commitment>,
        signature: &[u8; 64],
    ) -> Result<Secret<32>, CodeError> {
        if *round != self.round || self.set.is_some() {
            return Err(CodeError::OutOfTurn);
        }
        let host = entry.host().ok_or(CodeError::Signature)?;
        let statement = set_statement(meeting, round, &self.people, &set);
        host.identity.verify(CONTEXT, &statement, signature).map_err(|_| CodeError::Signature)?;
        if !set.keys().copied().eq(entry.members.iter().map(|member| member.index)) {
            return Err(CodeError::Members);
        }
        if !set.get(&self.own_index).is_some_and(|own| bool::from(own.ct_eq(&self.own))) {
            return Err(CodeError::OwnCommitment);
        }
        self.set = Some(set);
        Ok(self.value.duplicate())
    }

    /// Step 5: checks every value against its commitment and gives the code.
    pub fn handle_values(
        &self,
        entry: &Entry,
        round: &Round,
        values: &BTreeMap<u16, Secret<32>>,
    ) -> Result<Code, CodeError> {
        let set = self.set.as_ref().filter(|_| *round == self.round).ok_or(CodeError::OutOfTurn)?;
        if !values.keys().eq(set.keys()) {
            return Err(CodeError::Members);
        }
        for member in &entry.members {
            let value = values.get(&member.index).ok_or(CodeError::Members)?;
            let expected = set.get(&member.index).ok_or(CodeError::Members)?;
            if !bool::from(commitment(round, &self.people, &member.identity, value).ct_eq(expected)) {
                return Err(CodeError::Reveal);
            }
        }
        Ok(Code::of(values, self.people))
    }
}

/// The host's part: it gathers what members send and knows nothing that they do not.
pub struct Collector {
    /// Drawn by the host.
    pub round: Round,
    people: PeopleHash,
    members: Vec<(u16, IdentityKey)>,
    commitments: BTreeMap<u16, Commitment>,
    values: BTreeMap<u16, Secret<32>>,
}

impl Collector {
    /// A round for the entry in force.
    pub fn new(round: Round, people: PeopleHash, entry: &Entry) -> Self {
        let members = entry.members.iter().map(|member| (member.index, member.identity)).collect();
        Self { round, people, members, commitments: BTreeMap::new(), values: BTreeMap::new() }
    }

    /// The people that the code will be for.
    pub fn people(&self) -> &PeopleHash {
        &self.people
    }

    /// A member's commitment. Gives the whole set once everyone's is there. A second one of the same member is refused.
    pub fn handle_commit(
        &mut self,
        index: u16,
        round: &Round,
        commitment: Commitment,
    ) -> Result<Option<&BTreeMap<u16, Commitment>>, CodeError> {
        if *round != self.round || self.is_complete() || self.commitments.contains_key(&index) {
            return Err(CodeError::OutOfTurn);
        }
        if !self.members.iter().any(|(member, _)| *member == index) {
            return Err(CodeError::Members);
        }
        self.commitments.insert(index, commitment);
        Ok(self.is_complete().then_some(&self.commitments))
    }

    /// A member's value. Gives all values once everyone's is there.
    pub fn handle_reveal(
        &mut self,
        index: u16,
        round: &Round,
        value: Secret<32>,
    ) -> Result<Option<&BTreeMap<u16, Secret<32>>>, CodeError> {
        if *round != self.round || !self.is_complete() || self.values.contains_key(&index) {
            return Err(CodeError::OutOfTurn);
        }
        let known = self.members.iter().find(|(member, _)| *member == index);
        let (_, identity) = known.ok_or(CodeError::Members)?;
        let expected = self.commitments.get(&index).ok_or(CodeError::Members)?;
        if !bool::from(commitment(round, &self.people, identity, &value).ct_eq(expected)) {
            return Err(CodeError::Reveal);
        }
        self.values.insert(index, value);
        Ok((self.values.len() == self.members.len()).then_some(&self.values))
    }

    /// Everyone's value that has come, by rising index.
    pub fn values(&self) -> impl Iterator<Item = (u16, &Secret<32>)> {
        self.values.iter().map(|(index, value)| (*index, value))
    }

    fn is_complete(&self) -> bool {
        self.commitments.len() == self.members.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::{self, Seeded};
    use crate::protocol::roster::MemberRole;
    use crate::protocol::roster::entry::tests::{entry, identity};

    const MEETING: [u8; 32] = [7; 32];
    const ROUND: Round = [5; 16];

    struct Table {
        entry: Entry,
        hash: PeopleHash,
        members: Vec<Participant>,
        host: Collector,
        set: BTreeMap<u16, Commitment>,
        signature: [u8; 64],
    }

    /// Three members who have all committed; the set is signed.
    fn committed(seed: u64) -> Table {
        let entry = entry();
        let hash = entry.people();
        let mut random = Seeded(seed);
        let member = |listed: &crate::protocol::roster::Listed| {
            let value = entropy::secret(&mut random);
            Participant::new(ROUND, hash, listed.index, &listed.identity, value)
        };
        let members: Vec<Participant> = entry.members.iter().map(member).collect();
        let mut host = Collector::new(ROUND, hash, &entry);
        let mut set = None;
        for member in &members {
            set = host.handle_commit(member.own_index, &ROUND, *member.commitment()).unwrap().cloned();
        }
        let set = set.unwrap();
        let signature = sign_set(&MEETING, &ROUND, &hash, &set, &identity(1));
        Table { entry, hash, members, host, set, signature }
    }

    fn revealed(table: &mut Table) -> BTreeMap<u16, Secret<32>> {
        for member in &mut table.members {
            let set = table.set.clone();
            let value = member.handle_set(&MEETING, &table.entry, &ROUND, set, &table.signature).unwrap();
            table.host.handle_reveal(member.own_index, &ROUND, value).unwrap();
        }
        table.host.values.iter().map(|(index, value)| (*index, value.duplicate())).collect()
    }

    #[test]
    fn everyone_gets_the_same_words_and_another_round_gives_others() {
        let mut codes = Vec::new();
        for seed in [1, 2] {
            let mut table = committed(seed);
            let values = revealed(&mut table);
            let all: Vec<Code> =
                table.members.iter().map(|m| m.handle_values(&table.entry, &ROUND, &values).unwrap()).collect();
            assert!(all.iter().all(|code| code == &all[0] && code.words() == all[0].words()));
            codes.push(all[0].clone());
        }
        assert_ne!(codes[0], codes[1]);
    }

    #[test]
    fn words_and_digits_are_two_ways_to_say_one_number() {
        let code = |bits| Code { bits, people: [0; 32] };
        assert_eq!(code(0).words(), ["abandon"; 4]);
        assert_eq!(code((1 << CODE_BITS) - 1).words(), ["zoo"; 4]);
        assert_eq!(code(1).words(), ["abandon", "abandon", "abandon", "ability"]);
        assert_eq!(code(0).digits(), "0000 00000 00000");
        assert_eq!(code((1 << CODE_BITS) - 1).digits(), "1759 21860 44415");
    }

    #[test]
    fn nothing_is_revealed_to_a_set_that_is_not_ones_own() {
        let refused = |change: &dyn Fn(&mut Table), resign: bool| {
            let mut table = committed(3);
            change(&mut table);
            if resign {
                table.signature = sign_set(&MEETING, &ROUND, &table.hash, &table.set, &identity(1));
            }
            let (set, signature) = (table.set.clone(), table.signature);
            table.members[1].handle_set(&MEETING, &table.entry, &ROUND, set, &signature).err()
        };
        assert_eq!(refused(&|_| {}, false), None);
        let swapped: &dyn Fn(&mut Table) = &|table| {
            table.set.insert(1, [0; 32]);
        };
        assert_eq!(refused(swapped, false), Some(CodeError::Signature));
        assert_eq!(refused(swapped, true), Some(CodeError::OwnCommitment));
        let fewer: &dyn Fn(&mut Table) = &|table| {
            table.set.remove(&2);
        };
        let more: &dyn Fn(&mut Table) = &|table| {
            table.set.insert(9, [0; 32]);
        };
        assert_eq!((refused(fewer, true), refused(more, true)), (Some(CodeError::Members), Some(CodeError::Members)));
        assert_eq!(
            refused(&|t| t.signature = sign_set(&MEETING, &ROUND, &t.hash, &t.set, &identity(2)), false),
            Some(CodeError::Signature)
        );
        assert_eq!(
            refused(&|t| t.signature = sign_set(&[8; 32], &ROUND, &t.hash, &t.set, &identity(1)), false),
            Some(CodeError::Signature)
        );
    }

    #[test]
    fn a_second_set_and_steps_out_of_turn_are_refused() {
        let mut table = committed(4);
        let none = BTreeMap::new();
        assert_eq!(table.members[0].handle_values(&table.entry, &ROUND, &none).err(), Some(CodeError::OutOfTurn));
        let early = committed(4).members.remove(0);
        let mut host = Collector::new(ROUND, table.hash, &table.entry);
        assert_eq!(host.handle_reveal(0, &ROUND, early.value.duplicate()).err(), Some(CodeError::OutOfTurn));
        host.handle_commit(0, &ROUND, *early.commitment()).unwrap();
        assert_eq!(host.handle_commit(0, &ROUND, [1; 32]).err(), Some(CodeError::OutOfTurn));
        assert_eq!(host.handle_commit(9, &ROUND, [1; 32]).err(), Some(CodeError::Members));
        assert_eq!(host.handle_commit(1, &[0; 16], [1; 32]).err(), Some(CodeError::OutOfTurn));
        revealed(&mut table);
        let (set, signature) = (table.set.clone(), table.signature);
        let again = table.members[1].handle_set(&MEETING, &table.entry, &ROUND, set, &signature);
        assert_eq!(again.err(), Some(CodeError::OutOfTurn));
    }

    #[test]
    fn a_value_changed_after_it_was_committed_to_is_refused_by_host_and_members() {
        let mut table = committed(5);
        let mut host = committed(5).host;
        let other = Secret::new([9; 32]);
        assert_eq!(host.handle_reveal(1, &ROUND, other.duplicate()).err(), Some(CodeError::Reveal));
        let mut values = revealed(&mut table);
        values.insert(1, other);
        assert_eq!(table.members[0].handle_values(&table.entry, &ROUND, &values).err(), Some(CodeError::Reveal));
        values.remove(&1);
        assert_eq!(table.members[0].handle_values(&table.entry, &ROUND, &values).err(), Some(CodeError::Members));
    }

    /// A host that shows Ana and Ben different lists, each with a key of its own in the other's place, wants both to read
    /// the same code. The codes are cut to 16 bits, so that a search takes a moment and not a year.
    #[test]
    fn a_grinding_host_wins_without_the_commitment_and_loses_with_it() {
        let short = |code: &Code| code.bits >> (CODE_BITS - 16);
        let list = |mallory: usize| {
            let mut entry = entry();
            entry.members[mallory].identity = identity(90 + mallory as u8).key();
            entry.members[1].role = MemberRole::Member;
            let hash = entry.people();
            (entry, hash)
        };
        let ((_, hash_of_ana), (_, hash_of_ben)) = (list(2), list(1));
        let values = |host: u64, ana: u64, ben: u64| {
            let secret = |seed| entropy::secret::<32>(&mut Seeded(seed));
            BTreeMap::from([(0, secret(host)), (1, secret(ana)), (2, secret(ben))])
        };
        // Without: both have revealed, and the host chooses its own value last.
        let target = short(&Code::of(&values(1, 2, 3), hash_of_ana));
        let found = (0..2_000_000).find(|guess| short(&Code::of(&values(*guess, 4, 5), hash_of_ben)) == target);
        assert!(found.is_some(), "a search over 16 bits finds a value that makes the codes equal");
        // With: what the host puts in is fixed by its set before Ana's and Ben's values are known. A thousand rounds,
        // each the one chance it has, of 1 in 65,536.
        let mut wins = 0;
        for round in 0..1000 {
            let (ana, ben) = (10_000 + round, 20_000 + round);
            // All that the host chose: committed to blindly. It cannot change one of them later.
            let to_ana = values(3 * round, ana, 3 * round + 1);
            let to_ben = values(3 * round + 2, 3 * round + 1, ben);
            wins += u32::from(short(&Code::of(&to_ana, hash_of_ana)) == short(&Code::of(&to_ben, hash_of_ben)));
            let committed: BTreeMap<u16, Commitment> = to_ana
                .iter()
                .map(|(index, value)| {
                    (*index, commitment(&ROUND, &hash_of_ana, &list(2).0.members[usize::from(*index)].identity, value))
                })
                .collect();
            let (entry, hash) = list(2);
            let own = to_ana.get(&1).unwrap().duplicate();
            let mut member = Participant::new(ROUND, hash, 1, &entry.members[1].identity, own);
            let signature = sign_set(&MEETING, &ROUND, &hash, &committed, &identity(1));
            member.handle_set(&MEETING, &entry, &ROUND, committed, &signature).unwrap();
            let mut ground = to_ana;
            ground.insert(0, entropy::secret(&mut Seeded(found.unwrap() + round)));
            assert_eq!(member.handle_values(&entry, &ROUND, &ground).err(), Some(CodeError::Reveal));
        }
        assert!(wins <= 2, "{wins} of 1000 rounds");
    }
}
