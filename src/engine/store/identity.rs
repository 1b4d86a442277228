//! The identity key on disk: one file, for its owner's eyes only, never replaced in silence.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::{create_private, make_private_folder};
use crate::crypto::entropy::{self, Entropy};
use crate::crypto::identity::Identity;
use crate::crypto::secret::Secret;

const FILE: &str = "identity.key";
const HEADER: &str = "conclave identity 1";
const CHECK_BYTES: usize = 4;
/// The file is one short line and one long one; anything larger is not ours.
const LARGEST: u64 = 512;

/// Why there is no identity to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is there but is not what was written.
    #[error("identity file is damaged")]
    Damaged(PathBuf),
    /// The file may be read or written by other users of this computer.
    #[error("identity file is open to others")]
    Exposed(PathBuf),
    /// The file or its folder could not be read or written.
    #[error("identity file cannot be used: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// Reads the identity kept in `folder`, or makes and keeps one on the first start.
///
/// A file that is there but cannot be read is an error: a new identity would look to everyone like somebody else.
pub fn load_or_create(folder: &Path, entropy: &mut dyn Entropy) -> Result<Identity, IdentityError> {
    let path = folder.join(FILE);
    let fail = |error| IdentityError::Io(path.clone(), error);
    match std::fs::metadata(&path) {
        Ok(facts) => {
            check_private(&path, &facts)?;
            if facts.len() > LARGEST {
                return Err(IdentityError::Damaged(path));
            }
            let bytes = Zeroizing::new(std::fs::read(&path).map_err(fail)?);
            let seed = std::str::from_utf8(&bytes).ok().and_then(decode);
            seed.map(Identity::from_seed).ok_or(IdentityError::Damaged(path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_private_folder(folder).map_err(fail)?;
            let seed = entropy::secret::<32>(entropy);
            create_private(&path, encode(&seed).as_bytes()).map_err(fail)?;
            Ok(Identity::from_seed(seed))
        }
        Err(error) => Err(fail(error)),
    }
}

#[cfg(unix)]
fn check_private(path: &Path, facts: &std::fs::Metadata) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    if facts.permissions().mode() & 0o077 != 0 { Err(IdentityError::Exposed(path.into())) } else { Ok(()) }
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &std::fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

fn encode(seed: &Secret<32>) -> Zeroizing<String> {
    let mut payload = Zeroizing::new(seed.expose().to_vec());
    payload.extend_from_slice(&check(seed));
    Zeroizing::new(format!("{HEADER}\n{}\n", &*Zeroizing::new(BASE32_NOPAD.encode(&payload))))
}

fn decode(text: &str) -> Option<Secret<32>> {
    let (header, line) = text.split_once('\n')?;
    if header.trim_end() != HEADER {
        return None;
    }
    let payload = Zeroizing::new(BASE32_NOPAD.decode(line.trim_end().as_bytes()).ok()?);
    let (seed, sum) = payload.split_at_checked(32)?;
    let seed = Secret::from_slice(seed)?;
    (sum == check(&seed)).then_some(seed)
}

/// Tells a damaged file from a good one; it protects against accidents, not against an attacker who can write the file.
fn check(seed: &Secret<32>) -> [u8; CHECK_BYTES] {
    let mut input = Zeroizing::new(Vec::from(HEADER.as_bytes()));
    input.extend_from_slice(seed.expose());
    let digest = ring::digest::digest(&ring::digest::SHA256, &input);
    let mut sum = [0; CHECK_BYTES];
    sum.copy_from_slice(&digest.as_ref()[..CHECK_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::Seeded;

    fn made() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conclave").join(FILE);
        (folder, path)
    }

    #[test]
    fn the_identity_is_the_same_at_the_next_start() {
        let (_folder, path) = made();
        let first = load_or_create(path.parent().unwrap(), &mut Seeded(1)).unwrap().key();
        let second = load_or_create(path.parent().unwrap(), &mut Seeded(2)).unwrap().key();
        assert_eq!(first, second);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_alone_and_an_exposed_one_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = made();
        load_or_create(path.parent().unwrap(), &mut Seeded(1)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = load_or_create(path.parent().unwrap(), &mut Seeded(2)).map(|_| ()).unwrap_err();
        assert!(matches!(error, IdentityError::Exposed(_)));
    }

    #[test]
    fn no_damage_to_the_file_goes_unnoticed_or_makes_a_new_identity() {
        let (_folder, path) = made();
        load_or_create(path.parent().unwrap(), &mut Seeded(1)).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let outcome = load_or_create(path.parent().unwrap(), &mut Seeded(2)).map(|_| ());
            assert!(matches!(outcome, Err(IdentityError::Damaged(_))), "byte {at}");
            assert_eq!(std::fs::read(&path).unwrap(), bad, "the file must be left as it is");
        }
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert!(load_or_create(path.parent().unwrap(), &mut Seeded(2)).is_err());
    }
}
