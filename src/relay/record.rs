//! The record: all that a relay can see, written to a file, so that anyone can check what that is.
//!
//! A relay started with `--record FILE` appends an entry for everything that it reads or writes above TCP, UDP, TLS
//! and WebSocket framing (a WebSocket masks what a member sends, so raw bytes would hide plaintext from a search).
//! Nothing is carried unrecorded: when an entry can't be written, the connection ends.
//!
//! An entry is kind (1) ‖ connection id (8, zero for datagrams) ‖ length (4) ‖ bytes, integers big-endian. Kinds:
//! `a` the address a connection comes from, as text; `h` an HTTP request, path and headers; `>` a message from a
//! member; `<` a message to a member; `s` a datagram received; `S` a datagram sent.

use std::io;
use std::path::Path;

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::rendezvous::frames::ConnId;

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Address = b'a',
    Http = b'h',
    In = b'>',
    Out = b'<',
    StunIn = b's',
    StunOut = b'S',
}

/// An open record, or none.
pub(crate) struct Record(Option<Mutex<File>>);

impl Record {
    /// Opens the file to append to, readable by its owner alone; `None` records nothing.
    pub(crate) async fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        options.mode(0o600);
        Ok(Self(Some(Mutex::new(options.open(path).await?))))
    }

    /// Writes one entry and waits until the system has it.
    pub(crate) async fn write(&self, kind: Kind, conn: ConnId, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut entry = Vec::with_capacity(13 + bytes.len());
        entry.push(kind as u8);
        entry.extend(conn.to_be_bytes());
        entry.extend(length.to_be_bytes());
        entry.extend(bytes);
        let mut file = file.lock().await;
        file.write_all(&entry).await?;
        file.flush().await
    }

    /// Whether anything is recorded.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }
}
