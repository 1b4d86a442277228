//! People met: which identity key goes with which name, and whether it was compared.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use super::{make_private_folder, replace_private};
use crate::crypto::identity::IdentityKey;
use crate::engine::view::{Familiarity, Verification};

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
        Ok(Self { path, people })
    }

    /// Notes that `key` was met under `name` at `now` (seconds since 1970). The name of a verified person stays
    /// as it was when they were verified.
    pub fn met(&mut self, key: &IdentityKey, name: &str, now: u64) -> Result<(), ContactsError> {
        let text = encode(key);
        match self.people.iter_mut().find(|person| person.key == text) {
            Some(person) => {
                person.met = now;
                if person.verified.is_none() {
                    person.name = name.to_owned();
                }
            }
            None => {
                if self.people.len() >= MOST {
                    let oldest = (0..self.people.len())
                        .filter(|&at| self.people[at].verified.is_none())
                        .min_by_key(|&at| self.people[at].met);
                    if let Some(at) = oldest {
                        self.people.remove(at);
                    }
                }
                self.people.push(Contact { key: text, name: name.into(), met: now, verified: None, mismatch: false });
            }
        }
        self.save()
    }

    /// Keeps what a comparison of safety numbers showed: `Some(true)` equal, `Some(false)` different, `None` taken back.
    pub fn judge(
        &mut self,
        key: &IdentityKey,
        name: &str,
        verdict: Option<bool>,
        now: u64,
    ) -> Result<(), ContactsError> {
        self.met(key, name, now)?;
        let text = encode(key);
        if let Some(person) = self.people.iter_mut().find(|person| person.key == text) {
            person.verified = (verdict == Some(true)).then_some(now);
            person.mismatch = verdict == Some(false);
        }
        self.save()
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
            Some(Contact { verified: Some(_), name, .. }) => Familiarity::Verified(name.clone()),
            _ if self.namesake(&text, name) => Familiarity::LookAlike(name.to_owned()),
            Some(person) => Familiarity::Met(person.name.clone()),
            None => Familiarity::New,
        }
    }

    /// Somebody else saved here bears that name, or one that looks the same (Unicode TR 39 §4).
    fn namesake(&self, key: &str, name: &str) -> bool {
        let looks = looks(name);
        !looks.is_empty() && self.people.iter().any(|person| person.key != key && self::looks(&person.name) == looks)
    }

    fn verified_namesake(&self, key: &str, name: &str) -> bool {
        let looks = looks(name);
        let same = |person: &&Contact| person.key != key && self::looks(&person.name) == looks;
        !looks.is_empty() && self.people.iter().filter(same).any(|person| person.verified.is_some())
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

/// What a name looks like to a hurried eye: case, spaces and confusable letters folded away.
fn looks(name: &str) -> String {
    let folded: String = name.split_whitespace().collect::<String>().to_lowercase();
    unicode_security::confusable_detection::skeleton(&folded).collect::<String>().to_lowercase()
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
    fn a_damaged_file_is_an_error_and_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "contact = 3").unwrap();
        assert!(matches!(Contacts::load(folder.path()), Err(ContactsError::Damaged(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "contact = 3");
    }
}
