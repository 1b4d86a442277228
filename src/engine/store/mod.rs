//! What is kept on disk between meetings: the identity, and the people met.

pub mod contacts;
pub mod identity;

use std::io::{self, Write};
use std::path::Path;

/// Creates `folder` (and its parents), readable by its owner alone where the system knows such a thing.
pub(crate) fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Opens a file for its owner alone (0600); on systems without such modes the user's profile folder is what protects it.
fn private(options: &mut std::fs::OpenOptions) -> &mut std::fs::OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Writes a file that must not exist yet, 0600, and makes sure that it has reached the disk.
fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = private(std::fs::OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Replaces a file as a whole: a crash leaves either the old content or the new, never half of it.
pub(crate) fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = Path::new(&beside);
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_private(beside, content)?;
    std::fs::rename(beside, path)
}
