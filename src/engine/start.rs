//! Starting the engine: identity and people first, then its threads.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::engine::measure::Measurements;
use crate::engine::session::Session;
use crate::engine::store::contacts::{Contacts, ContactsError};
use crate::engine::store::identity::{self, IdentityError};
use crate::engine::{Handle, SystemEntropy};
use crate::media::source::VideoFormat;
use crate::settings::Settings;

/// How the engine is to run.
pub struct EngineOptions {
    /// Folder of settings, identity and contacts.
    pub config: PathBuf,
    /// Size and rate of the own picture.
    pub video: VideoFormat,
    /// Write changed settings back. A headless run leaves them alone.
    pub keep_settings: bool,
    /// A relay to use instead of the one in the settings.
    pub relay: Option<String>,
    /// Count and keep what a report needs.
    pub measure: Option<Arc<Measurements>>,
}

impl EngineOptions {
    /// As the app starts it: 720p at 30 pictures a second.
    pub fn for_window(config: PathBuf) -> Self {
        let video = VideoFormat { width: 1280, height: 720, fps: 30 };
        Self { config, video, keep_settings: true, relay: None, measure: None }
    }
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no identity to work with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The people met cannot be read.
    #[error(transparent)]
    Contacts(#[from] ContactsError),
    /// The system gave no threads.
    #[error("no threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// Called, from any thread, when there is something new to show.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Starts the engine on threads of its own. It stops on [`Command::Quit`](super::Command::Quit) or when the handle is dropped.
pub fn start(options: EngineOptions, wake: Wake) -> Result<Handle, StartError> {
    let identity = identity::load_or_create(&options.config, &mut SystemEntropy)?;
    let contacts = Contacts::load(&options.config)?;
    let (settings, complaint) = match Settings::load(&options.config) {
        Ok(settings) => (settings, None),
        Err(error) => (Settings::default(), Some(super::words::settings_error(&error))),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("engine").enable_all().build()?;
    let (commands, commanded) = mpsc::unbounded_channel();
    let (events_in, events) = mpsc::unbounded_channel();
    let mut session = Session::new(options, identity, contacts, settings, events_in, wake.clone());
    if let Some(sentence) = complaint {
        session.warn(sentence);
    }
    let (view_in, view) = watch::channel(Arc::new(session.view()));
    let thread = std::thread::Builder::new().name("session".into()).spawn(move || {
        runtime.block_on(session.run(commanded, view_in));
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        wake();
    })?;
    Ok(Handle::new(commands, events, view).with_thread(thread))
}
