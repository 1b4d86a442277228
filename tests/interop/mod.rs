//! The Python of the second implementation, for the tests that run it.

use std::path::{Path, PathBuf};

/// The interpreter with the packages of `tests/interop/requirements.txt`. Panics with what to do if there is none.
pub(crate) fn python() -> PathBuf {
    let python = match std::env::var_os("CONCLAVE_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop-venv/bin/python"),
    };
    assert!(
        python.exists(),
        "no Python at {}: run tests/interop/setup.sh once, or set CONCLAVE_PYTHON to a Python that has the packages of \
         tests/interop/requirements.txt",
        python.display()
    );
    python
}
