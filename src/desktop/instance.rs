//! One window for each folder of settings: a second start hands its link to the first, and ends.
//!
//! A lock on a file in that folder says who is first; the system takes it away when a process ends, however it ends. The
//! first listens on a socket for its owner alone. A link is a secret: both sides make sure that the other belongs to the same
//! person before anything is said, and nothing that was said is logged. Where there are no such sockets each start stands for itself.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest link that is handed over, in bytes: more than any invite has, and less than the window would look at.
pub const LONGEST: usize = 1 << 13;

/// A second start waits so long for the first to take its link, or to have ended.
const PATIENCE: Duration = Duration::from_secs(8);

/// What this start of the program is.
pub enum Claim {
    /// The first: it opens a window.
    First(First),
    /// Another one is running, and has what this one was given.
    HandedOver,
}

/// Why a start can neither be the first nor hand over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// One is running and does not take it.
    #[error("Conclave is already running, but does not answer. Close it first")]
    Silent,
    /// The link is too long for any invite.
    #[error("This link is too long to be an invite")]
    TooLong,
    /// The folder of settings cannot be written, or the like.
    #[error("cannot find out whether Conclave is already running: {0}")]
    Io(#[from] io::Error),
}

/// The right to be the only window, for as long as it lives.
#[derive(Default)]
pub struct First {
    _lock: Option<File>,
    #[cfg(unix)]
    socket: Option<unix::Socket>,
}

/// Finds out whether this start is the first for this folder of settings. If not, gives `link` to the first.
///
/// `runtime` is the folder that the system offers for sockets (`XDG_RUNTIME_DIR`). Waits twelve seconds at most.
///
/// # Errors
/// [`ClaimError`]; only [`ClaimError::Io`] means that there may be no other.
pub fn claim(config: &Path, runtime: Option<&Path>, link: Option<&str>) -> Result<Claim, ClaimError> {
    if link.is_some_and(|link| link.len() > LONGEST) {
        return Err(ClaimError::TooLong);
    }
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if !cfg!(unix) {
            return Ok(Claim::First(First::default()));
        }
        if let Some(lock) = try_lock(config)? {
            return Ok(Claim::First(First::new(lock, config, runtime)));
        }
        if hand_over(config, runtime, link) {
            return Ok(Claim::HandedOver);
        }
        // It may be on its way up, or down: then the lock is free in a moment.
        if std::time::Instant::now() > until {
            return Err(ClaimError::Silent);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The lock of this folder, unless another process has it.
fn try_lock(config: &Path) -> io::Result<Option<File>> {
    std::fs::create_dir_all(config)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(config.join("window.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The socket's name, from the folder of settings it stands for.
fn name(config: &Path) -> String {
    let whole = std::fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let hash = ring::digest::digest(&ring::digest::SHA256, whole.as_os_str().as_encoded_bytes());
    format!("{}.socket", data_encoding::HEXLOWER.encode(&hash.as_ref()[..8]))
}

#[cfg(unix)]
fn hand_over(config: &Path, runtime: Option<&Path>, link: Option<&str>) -> bool {
    unix::places(config, runtime).iter().any(|folder| unix::hand_over(folder, &name(config), link))
}

#[cfg(not(unix))]
fn hand_over(_config: &Path, _runtime: Option<&Path>, _link: Option<&str>) -> bool {
    false
}

#[cfg(unix)]
impl First {
    fn new(lock: File, config: &Path, runtime: Option<&Path>) -> Self {
        let open = |folder: &PathBuf| match unix::Socket::open(folder, &name(config)) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::info!(%error, "no socket for further starts here");
                None
            }
        };
        Self { _lock: Some(lock), socket: unix::places(config, runtime).iter().find_map(open) }
    }

    /// Tells the window of every further start. Never returns: the lock is held until the process ends, as the engine may
    /// still be at work in the folder when the window is gone.
    pub(super) async fn serve(self, events: super::Events) {
        if let Some(socket) = &self.socket {
            unix::serve(socket, &events).await;
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(not(unix))]
impl First {
    fn new(lock: File, _config: &Path, _runtime: Option<&Path>) -> Self {
        Self { _lock: Some(lock) }
    }

    pub(super) async fn serve(self, _events: super::Events) {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
mod unix {
    //! Sockets in the file system, by owner.

    use std::io::{self, Read, Write};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixStream as Blocking;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::time::{sleep, timeout};

    use super::LONGEST;
    use crate::desktop::Events;

    /// First bytes of each greeting; the digit is the version.
    const GREETING: &[u8; 10] = b"conclave 1";
    /// The answer of a window that has taken the link.
    const TAKEN: u8 = 1;
    /// The answer of one that cannot.
    const BUSY: u8 = 0;
    /// One greeting may take so long, from its first byte to the answer.
    const GREETING_TIME: Duration = Duration::from_secs(2);
    /// Greetings are heard one by one, and no faster than this.
    const PACE: Duration = Duration::from_millis(200);
    /// Longest path of a socket on all systems (`sun_path` of macOS has 104 bytes with its end).
    const LONGEST_PATH: usize = 103;

    pub(super) struct Socket {
        listener: std::os::unix::net::UnixListener,
        owner: u32,
    }

    /// Folders that the socket may lie in, in the order in which they are tried: by both sides alike.
    pub(super) fn places(config: &Path, runtime: Option<&Path>) -> Vec<PathBuf> {
        let system = runtime.filter(|folder| folder.is_absolute()).map(|folder| folder.join("conclave"));
        system.into_iter().chain([config.join("window")]).collect()
    }

    /// Whether this folder, itself and not what it may point at, is there, belongs to `owner`, and is open to nobody else.
    fn is_private(folder: &Path, owner: u32) -> bool {
        std::fs::symlink_metadata(folder).is_ok_and(|facts| {
            facts.is_dir() && facts.uid() == owner && facts.permissions().mode().trailing_zeros() >= 6
        })
    }

    /// Who we are: the owner of what we make.
    fn own_id(folder: &Path) -> io::Result<u32> {
        let probe = folder.join(format!("probe-{}", std::process::id()));
        match std::fs::remove_file(&probe) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = std::fs::File::create_new(&probe)?;
        let owner = file.metadata()?.uid();
        std::fs::remove_file(&probe)?;
        Ok(owner)
    }

    fn path_in(folder: &Path, name: &str) -> io::Result<PathBuf> {
        let path = folder.join(name);
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is too long for a socket"));
        }
        Ok(path)
    }

    impl Socket {
        /// Only the holder of the lock comes here: what lies there already is left over from one that has ended.
        pub(super) fn open(folder: &Path, name: &str) -> io::Result<Self> {
            let path = path_in(folder, name)?;
            match std::fs::DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let owner = own_id(folder)?;
            if !is_private(folder, owner) {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its folder is open to others"));
            }
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = std::os::unix::net::UnixListener::bind(&path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(Self { listener, owner })
        }
    }

    /// Whether a running window has taken `link`.
    pub(super) fn hand_over(folder: &Path, name: &str, link: Option<&str>) -> bool {
        let attempt = || -> io::Result<bool> {
            let path = path_in(folder, name)?;
            // A folder that only its owner can enter, and who is owner is asked of what we can make in it.
            if !is_private(folder, own_id(folder)?) {
                return Ok(false);
            }
            let mut stream = Blocking::connect(path)?;
            stream.set_read_timeout(Some(GREETING_TIME * 2))?;
            stream.set_write_timeout(Some(GREETING_TIME))?;
            stream.write_all(&greeting(link.unwrap_or_default()))?;
            let mut answer = [0];
            stream.read_exact(&mut answer)?;
            Ok(answer == [TAKEN])
        };
        attempt().unwrap_or(false)
    }

    /// `conclave 1`, the length in two bytes (big endian), the link.
    pub(super) fn greeting(link: &str) -> Vec<u8> {
        let length = u16::try_from(link.len()).unwrap_or(u16::MAX);
        [GREETING.as_slice(), &length.to_be_bytes(), link.as_bytes()].concat()
    }

    /// Hears greetings one by one.
    pub(super) async fn serve(socket: &Socket, events: &Events) {
        let listener = match socket.listener.try_clone().and_then(UnixListener::from_std) {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!(%error, "further starts are not heard"),
        };
        loop {
            match listener.accept().await {
                Ok((mut stream, _)) => {
                    let ours = stream.peer_cred().is_ok_and(|peer| peer.uid() == socket.owner);
                    if ours && !matches!(timeout(GREETING_TIME, hear(&mut stream, events)).await, Ok(Ok(()))) {
                        // What it was is not said: there may be a link in it.
                        tracing::debug!("a further start was not understood");
                    }
                }
                Err(error) => tracing::debug!(%error, "a further start could not be heard"),
            }
            sleep(PACE).await;
        }
    }

    async fn hear(stream: &mut UnixStream, events: &Events) -> io::Result<()> {
        let mut head = [0; GREETING.len() + 2];
        stream.read_exact(&mut head).await?;
        let (greeting, length) = head.split_at(GREETING.len());
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if greeting != GREETING || length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut link = vec![0; length];
        stream.read_exact(&mut link).await?;
        let link = String::from_utf8(link).map_err(|_| io::ErrorKind::InvalidData)?;
        let taken = match events.started((!link.is_empty()).then_some(link)) {
            None => false,
            // A window that is covered looks later; one that was closed meanwhile has dropped it.
            Some(seen) => timeout(GREETING_TIME / 2, seen).await.map_or(true, |seen| seen.is_ok()),
        };
        stream.write_all(&[if taken { TAKEN } else { BUSY }]).await
    }

    #[cfg(test)]
    mod tests {
        use std::sync::Arc;

        use super::*;
        use crate::desktop::{Desktop, Event};

        fn folder(mode: u32) -> tempfile::TempDir {
            let folder = tempfile::tempdir().unwrap();
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            folder
        }

        /// Serves a socket in `folder` to a window that has all its events taken; each link goes to the channel.
        fn window(folder: &Path) -> std::sync::mpsc::Receiver<Option<String>> {
            let socket = Socket::open(folder, "s").unwrap();
            let (told, links) = std::sync::mpsc::channel();
            let (rung, bell) = std::sync::mpsc::channel();
            let rung = std::sync::Mutex::new(rung);
            let wake = Arc::new(move || {
                let _ = rung.lock().unwrap().send(());
            });
            let (desktop, _asked, events) = Desktop::ends(wake);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(&socket, &events));
            });
            std::thread::spawn(move || {
                while bell.recv().is_ok() {
                    while let Some(Event::Started(started)) = desktop.next_event() {
                        if told.send(started.take()).is_err() {
                            return;
                        }
                    }
                }
            });
            links
        }

        #[test]
        fn a_link_reaches_the_window_and_so_does_a_start_without_one() {
            let folder = folder(0o700);
            let links = window(folder.path());
            assert!(hand_over(folder.path(), "s", Some("conclave://there")));
            assert_eq!(links.recv().unwrap().as_deref(), Some("conclave://there"));
            assert!(hand_over(folder.path(), "s", None));
            assert_eq!(links.recv().unwrap(), None);
        }

        #[test]
        fn rubbish_too_much_and_silence_leave_the_socket_as_it_was() {
            let folder = folder(0o700);
            let links = window(folder.path());
            let say = |bytes: &[u8]| {
                let mut stream = Blocking::connect(folder.path().join("s")).unwrap();
                let _ = stream.write_all(bytes);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
                answer
            };
            assert_eq!(say(b""), b"");
            assert_eq!(say(b"GET / HTTP/1.1\r\n\r\n"), b"");
            assert_eq!(say(&greeting("conclave://cut")[..15]), b"");
            assert_eq!(say(&greeting(&"x".repeat(LONGEST + 1))), b"");
            assert_eq!(say(b"conclave 1\0\x02\xff\xff"), b"");
            assert!(hand_over(folder.path(), "s", Some("conclave://still-here")));
            assert_eq!(links.recv().unwrap().as_deref(), Some("conclave://still-here"));
        }

        #[test]
        fn a_window_that_is_gone_takes_nothing() {
            let folder = folder(0o700);
            let socket = Socket::open(folder.path(), "s").unwrap();
            let (desktop, _asked, events) = Desktop::ends(Arc::new(|| {}));
            drop(desktop);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(&socket, &events));
            });
            assert!(!hand_over(folder.path(), "s", Some("conclave://nobody")));
        }

        #[test]
        fn a_socket_is_neither_made_nor_used_where_others_may_look() {
            for mode in [0o755, 0o770, 0o701] {
                let folder = folder(mode);
                assert!(Socket::open(folder.path(), "s").is_err(), "{mode:o}");
                let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
                assert!(!hand_over(folder.path(), "s", Some("conclave://secret")), "{mode:o}");
            }
            let (real, around) = (folder(0o700), folder(0o700));
            let link = around.path().join("link");
            std::os::unix::fs::symlink(real.path(), &link).unwrap();
            assert!(Socket::open(&link, "s").is_err(), "a link to a folder is not that folder");
        }

        #[test]
        fn a_socket_left_over_is_replaced_and_the_new_one_is_for_its_owner_alone() {
            let folder = folder(0o700);
            drop(Socket::open(folder.path(), "s").unwrap());
            let path = folder.path().join("s");
            assert!(path.exists(), "a process that ends leaves its socket behind");
            let _socket = Socket::open(folder.path(), "s").unwrap();
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }

        #[test]
        fn a_path_that_fits_no_socket_is_refused() {
            let folder = folder(0o700);
            assert!(Socket::open(folder.path(), &"s".repeat(LONGEST_PATH)).is_err());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_start_is_not_the_first_and_takes_its_place_once_that_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let first = try_lock(folder.path()).unwrap().unwrap();
        assert!(try_lock(folder.path()).unwrap().is_none());
        drop(first);
        assert!(try_lock(folder.path()).unwrap().is_some());
    }

    #[test]
    fn each_folder_of_settings_has_a_window_of_its_own() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_ne!(name(one.path()), name(other.path()));
        assert_eq!(name(one.path()), name(&one.path().join(".")));
        let claims = [one.path(), other.path()].map(|folder| claim(folder, None, None).unwrap());
        assert!(claims.iter().all(|claim| matches!(claim, Claim::First(_))));
    }

    #[test]
    fn a_link_longer_than_any_invite_is_not_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(LONGEST + 1);
        assert!(matches!(claim(folder.path(), None, Some(&long)), Err(ClaimError::TooLong)));
    }
}
