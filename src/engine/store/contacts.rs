//! People met: which identity key goes with which name, and whether it was compared.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use super::{make_private_folder, replace_private};
use crate::crypto::identity::IdentityKey;
use crate::engine::view::{Blocked, Familiarity, Verification};

const FILE: &str = "contacts.toml";
/// People kept at most; past that the one met longest ago and never verified makes room.
const MOST: usize = 5_000;
const LARGEST: u64 = 4 << 20;

/// Why the saved people cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContactsError {
    /// The file is there but cannot be understood.
    #[error("contacts file is damaged")]
    Damaged(PathBuf),
    /// The file could not be read or written.
    #[error("contacts file cannot be used: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// One person, by the key that this device has seen them prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    /// Identity key, base32.
    key: String,
    name: String,
    /// Last seen, seconds since 1970.
    met: u64,
    /// Compared and found equal at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verified: Option<u64>,
    /// Compared and found different.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mismatch: bool,
    /// Their knocks are not heard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    blocked: bool,
    /// How loud they are played, in percent, if not as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    volume: Option<u16>,
}

impl Contact {
    fn identity(&self) -> Option<IdentityKey> {
        let bytes = BASE32_NOPAD.decode(self.key.as_bytes()).ok()?;
        Some(IdentityKey(bytes.try_into().ok()?))
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    #[serde(default)]
    contact: Vec<Contact>,
}

/// All the people this device has met.
pub struct Contacts {
    path: PathBuf,
    people: Vec<Contact>,
    /// A volume has changed and is not in the file yet.
    unsaved: bool,
}

impl Contacts {
    /// Reads the people kept in `folder`. A file that cannot be understood is an error: without it the app
    /// would show verified people as strangers.
    pub fn load(folder: &Path) -> Result<Self, ContactsError> {
        let path = folder.join(FILE);
        let people = match std::fs::metadata(&path) {
            Ok(facts) if facts.len() > LARGEST => return Err(ContactsError::Damaged(path)),
            Ok(_) => {
                let text = std::fs::read_to_string(&path).map_err(|error| ContactsError::Io(path.clone(), error))?;
                let book: Book = toml::from_str(&text).map_err(|_| ContactsError::Damaged(path.clone()))?;
                if book.contact.iter().any(|contact| BASE32_NOPAD.decode(contact.key.as_bytes()).is_err()) {
                    return Err(ContactsError::Damaged(path));
                }
                book.contact
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(ContactsError::Io(path, error)),
        };
        Ok(Self { path, people, unsaved: false })
    }

    /// Notes that `key` was met under `name` at `now` (seconds since 1970). The name of a verified person stays
    /// as it was when they were verified.
    ///
    /// # Errors
    /// The file could not be written; what was noted holds until the app ends.
    pub fn met(&mut self, key: &IdentityKey, name: &str, now: u64) -> Result<(), ContactsError> {
        self.take_in_others_notes();
        self.note(key, name, now);
        self.save()
    }

    /// Keeps what a comparison of safety numbers showed: `Some(true)` equal, `Some(false)` different, `None` taken back.
    ///
    /// # Errors
    /// The file could not be written; the verdict holds until the app ends.
    pub fn judge(
        &mut self,
        key: &IdentityKey,
        name: &str,
        verdict: Option<bool>,
        now: u64,
    ) -> Result<(), ContactsError> {
        self.take_in_others_notes();
        let person = self.note(key, name, now);
        person.verified = (verdict == Some(true)).then_some(now);
        person.mismatch = verdict == Some(false);
        self.save()
    }

    /// Does not hear somebody's knocks any more.
    ///
    /// # Errors
    /// The file could not be written; it holds until the app ends.
    pub fn block(&mut self, key: &IdentityKey, name: &str, now: u64) -> Result<(), ContactsError> {
        self.take_in_others_notes();
        self.note(key, name, now).blocked = true;
        self.save()
    }

    /// Notes how loud somebody who was met is played, 0..=2. It is written by the next [`keep_volumes`](Self::keep_volumes),
    /// for a slider that is moved changes it many times a second.
    pub fn set_volume(&mut self, key: &IdentityKey, volume: f32) {
        let text = encode(key);
        let Some(person) = self.people.iter_mut().find(|person| person.key == text) else { return };
        let percent = (volume.clamp(0.0, 2.0) * 100.0).round() as u16;
        let volume = (percent != 100).then_some(percent);
        self.unsaved |= person.volume != volume;
        person.volume = volume;
    }

    /// How loud somebody is played, 0..=2.
    pub fn volume(&self, key: &IdentityKey) -> f32 {
        let text = encode(key);
        let percent = self.people.iter().find(|person| person.key == text).and_then(|person| person.volume);
        percent.map_or(1.0, |percent| (f32::from(percent) / 100.0).min(2.0))
    }

    /// Writes the volumes that have changed.
    ///
    /// # Errors
    /// The file could not be written; it is not tried again before another volume changes.
    pub fn keep_volumes(&mut self) -> Result<(), ContactsError> {
        if !std::mem::take(&mut self.unsaved) {
            return Ok(());
        }
        self.take_in_others_notes();
        self.save()
    }

    /// Hears the knocks again of whoever has this fingerprint.
    ///
    /// # Errors
    /// As for [`block`](Self::block).
    pub fn unblock(&mut self, fingerprint: &str) -> Result<(), ContactsError> {
        self.take_in_others_notes();
        for person in &mut self.people {
            if person.identity().is_some_and(|key| key.fingerprint() == fingerprint) {
                person.blocked = false;
            }
        }
        self.save()
    }

    /// Whose knocks are not heard, for the window.
    pub fn blocked(&self) -> Arc<Vec<Blocked>> {
        let one = |person: &Contact| {
            let fingerprint = person.identity()?.fingerprint();
            person.blocked.then(|| Blocked { name: person.name.clone(), fingerprint })
        };
        Arc::new(self.people.iter().filter_map(one).collect())
    }

    /// Whose knocks are not heard.
    pub fn blocked_keys(&self) -> Vec<IdentityKey> {
        self.people.iter().filter(|person| person.blocked).filter_map(Contact::identity).collect()
    }

    /// Whose knocks strangers must not crowd out: all who were met and not found to be somebody else.
    pub fn known_keys(&self) -> Vec<IdentityKey> {
        let good = self.people.iter().filter(|person| !person.blocked && !person.mismatch);
        good.filter_map(Contact::identity).collect()
    }

    fn note(&mut self, key: &IdentityKey, name: &str, now: u64) -> &mut Contact {
        let text = encode(key);
        let at = match self.people.iter().position(|person| person.key == text) {
            Some(at) => {
                self.people[at].met = now;
                if self.people[at].verified.is_none() {
                    self.people[at].name = name.to_owned();
                }
                at
            }
            None => {
                self.make_room();
                self.people.push(Contact {
                    key: text,
                    name: name.into(),
                    met: now,
                    verified: None,
                    mismatch: false,
                    blocked: false,
                    volume: None,
                });
                self.people.len() - 1
            }
        };
        &mut self.people[at]
    }

    /// Forgets whoever was met longest ago, but nobody about whom a person has said something.
    fn make_room(&mut self) {
        if self.people.len() < MOST {
            return;
        }
        let oldest = (0..self.people.len())
            .filter(|&at| {
                let person = &self.people[at];
                person.verified.is_none() && !person.mismatch && !person.blocked
            })
            .min_by_key(|&at| self.people[at].met);
        if let Some(at) = oldest {
            self.people.remove(at);
        }
    }

    /// A second Conclave with the same folder may have noted something meanwhile. What it found is not overwritten: people
    /// only it has met are added, and of two opinions on one key the more careful one stays.
    fn take_in_others_notes(&mut self) {
        let Some(others) = self.path.parent().and_then(|folder| Self::load(folder).ok()) else { return };
        for other in others.people {
            match self.people.iter_mut().find(|person| person.key == other.key) {
                Some(person) if other.mismatch && other.met > person.met => *person = other,
                Some(person) if other.blocked && other.met > person.met => person.blocked = true,
                Some(_) => {}
                None => self.people.push(other),
            }
        }
    }

    /// The name under which this key was verified, if it was.
    pub fn verified_name(&self, key: &IdentityKey) -> Option<&str> {
        let text = encode(key);
        let person = self.people.iter().find(|person| person.key == text && person.verified.is_some())?;
        Some(&person.name)
    }

    /// What is known of a key that calls itself `name` (empty when no name was given yet).
    pub fn verification(&self, key: &IdentityKey, name: &str) -> Verification {
        let text = encode(key);
        match self.people.iter().find(|person| person.key == text) {
            Some(Contact { mismatch: true, .. }) => Verification::Mismatch,
            Some(Contact { verified: Some(since), .. }) => Verification::Yes { since: *since },
            _ if self.verified_namesake(&text, name) => Verification::Changed,
            _ => Verification::No,
        }
    }

    /// How well a key that calls itself `name` (empty when no name was given yet) is known.
    pub fn familiarity(&self, key: &IdentityKey, name: &str) -> Familiarity {
        let text = encode(key);
        match self.people.iter().find(|person| person.key == text) {
            Some(Contact { mismatch: true, name, .. }) => Familiarity::Mismatch(name.clone()),
            Some(Contact { verified: Some(_), name, .. }) => Familiarity::Verified(name.clone()),
            _ if self.namesake(&text, name) => Familiarity::LookAlike(name.to_owned()),
            Some(person) => Familiarity::Met(person.name.clone()),
            None => Familiarity::New,
        }
    }

    /// Somebody else saved here bears that name, or one that looks the same (Unicode TR 39 §4).
    fn namesake(&self, key: &str, name: &str) -> bool {
        self.people.iter().any(|person| person.key != key && look_alike(&person.name, name))
    }

    fn verified_namesake(&self, key: &str, name: &str) -> bool {
        let mut verified = self.people.iter().filter(|person| person.verified.is_some());
        verified.any(|person| person.key != key && look_alike(&person.name, name))
    }

    fn save(&self) -> Result<(), ContactsError> {
        let fail = |error| ContactsError::Io(self.path.clone(), error);
        if let Some(folder) = self.path.parent() {
            make_private_folder(folder).map_err(fail)?;
        }
        let book = Book { contact: self.people.clone() };
        let text = toml::to_string(&book).map_err(|error| fail(io::Error::other(error)))?;
        replace_private(&self.path, text.as_bytes()).map_err(fail)
    }
}

fn encode(key: &IdentityKey) -> String {
    BASE32_NOPAD.encode(&key.0)
}

/// Whether a hurried eye takes one name for the other: case, spaces and confusable letters are folded away.
///
/// Two folds are tried. Capital I is confusable with small l (as in "AIice"), which lowering the case first would hide;
/// and "IAN" is "Ian", which folding confusables first would hide.
fn look_alike(a: &str, b: &str) -> bool {
    use unicode_security::confusable_detection::skeleton;
    let plain = |name: &str| name.split_whitespace().collect::<String>();
    let lower_first = |name: &str| skeleton(&plain(name).to_lowercase()).collect::<String>().to_lowercase();
    let fold_first = |name: &str| skeleton(&plain(name)).collect::<String>().to_lowercase();
    !plain(a).is_empty() && (lower_first(a) == lower_first(b) || fold_first(a) == fold_first(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: IdentityKey = IdentityKey([1; 32]);
    const OTHER: IdentityKey = IdentityKey([2; 32]);

    #[test]
    fn a_verified_person_is_known_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        Contacts::load(folder.path()).unwrap().judge(&ANA, "Ana", Some(true), 7).unwrap();
        let book = Contacts::load(folder.path()).unwrap();
        assert_eq!(book.verification(&ANA, "Anything"), Verification::Yes { since: 7 });
        assert_eq!(book.familiarity(&ANA, ""), Familiarity::Verified("Ana".into()));
    }

    #[test]
    fn another_key_under_a_verified_name_is_a_change_even_when_spelt_with_look_alikes() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Contacts::load(folder.path()).unwrap();
        book.judge(&ANA, "Ana", Some(true), 7).unwrap();
        for name in ["Ana", " ana ", "Аna", "ANA"] {
            assert_eq!(book.verification(&OTHER, name), Verification::Changed, "{name}");
            assert_eq!(book.familiarity(&OTHER, name), Familiarity::LookAlike(name.into()));
        }
        assert_eq!(book.verification(&OTHER, "Anna"), Verification::No);
        book.judge(&ANA, "Alice", None, 8).unwrap();
        book.judge(&ANA, "Alice", Some(true), 9).unwrap();
        for name in ["AIice", "ALICE", "alice", "A1ice"] {
            assert_eq!(book.verification(&OTHER, name), Verification::Changed, "{name}");
        }
    }

    #[test]
    fn a_key_found_different_is_never_shown_as_an_acquaintance() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Contacts::load(folder.path()).unwrap();
        book.judge(&ANA, "Ana", Some(false), 7).unwrap();
        book.met(&ANA, "Ana", 8).unwrap();
        assert_eq!(book.familiarity(&ANA, "Anything"), Familiarity::Mismatch("Ana".into()));
    }

    #[test]
    fn a_verdict_holds_even_when_it_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Contacts::load(&folder.path().join("conclave")).unwrap();
        book.judge(&ANA, "Ana", Some(true), 7).unwrap();
        // A folder in the place of the file cannot be replaced by one.
        std::fs::remove_file(folder.path().join("conclave").join(FILE)).unwrap();
        std::fs::create_dir_all(folder.path().join("conclave").join(FILE).join("in the way")).unwrap();
        assert!(book.judge(&ANA, "Ana", Some(false), 8).is_err());
        assert_eq!(book.verification(&ANA, "Ana"), Verification::Mismatch);
    }

    #[test]
    fn what_another_running_app_found_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = Contacts::load(folder.path()).unwrap();
        let mut other = Contacts::load(folder.path()).unwrap();
        one.met(&ANA, "Ana", 7).unwrap();
        other.judge(&ANA, "Ana", Some(false), 8).unwrap();
        other.met(&OTHER, "Ben", 8).unwrap();
        one.met(&OTHER, "Ben", 9).unwrap();
        let kept = Contacts::load(folder.path()).unwrap();
        assert_eq!(kept.verification(&ANA, "Ana"), Verification::Mismatch);
        assert_eq!(kept.familiarity(&OTHER, "Ben"), Familiarity::Met("Ben".into()));
    }

    #[test]
    fn a_verdict_can_be_taken_back_and_a_mismatch_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Contacts::load(folder.path()).unwrap();
        book.judge(&ANA, "Ana", Some(false), 7).unwrap();
        assert_eq!(Contacts::load(folder.path()).unwrap().verification(&ANA, "Ana"), Verification::Mismatch);
        book.judge(&ANA, "Ana", None, 8).unwrap();
        assert_eq!(book.verification(&ANA, "Ana"), Verification::No);
    }

    #[test]
    fn whoever_is_blocked_stays_so_until_unblocked_and_is_nobody_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Contacts::load(folder.path()).unwrap();
        book.met(&OTHER, "Ben", 6).unwrap();
        book.block(&ANA, "Ana", 7).unwrap();
        let mut book = Contacts::load(folder.path()).unwrap();
        assert_eq!((book.blocked_keys(), book.known_keys()), (vec![ANA], vec![OTHER]));
        assert_eq!(book.blocked()[0].name, "Ana");
        book.unblock(&ANA.fingerprint()).unwrap();
        assert!(Contacts::load(folder.path()).unwrap().blocked_keys().is_empty());
    }

    #[test]
    fn how_loud_somebody_is_played_is_remembered_for_their_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Contacts::load(folder.path()).unwrap();
        book.set_volume(&ANA, 0.5);
        assert_eq!(book.volume(&ANA), 1.0, "nobody who was met");
        book.met(&ANA, "Ana", 6).unwrap();
        book.set_volume(&ANA, 0.4);
        book.keep_volumes().unwrap();
        let mut book = Contacts::load(folder.path()).unwrap();
        assert_eq!((book.volume(&ANA), book.volume(&OTHER)), (0.4, 1.0));
        book.set_volume(&ANA, 1.0);
        book.keep_volumes().unwrap();
        assert!(!std::fs::read_to_string(folder.path().join(FILE)).unwrap().contains("volume"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "contact = 3").unwrap();
        assert!(matches!(Contacts::load(folder.path()), Err(ContactsError::Damaged(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "contact = 3");
    }
}
