//! Asking for a file without ever holding up the window.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc;

use egui::Context;

use super::strings;

/// What a file is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A YUV4MPEG2 file, in place of a camera.
    Video,
    /// A WAV file, in place of a microphone.
    Sound,
    /// The file that says which addresses belong to which country.
    Countries,
    /// A new file, for the signed log of a meeting.
    Log,
    /// A new file, for the report of a call.
    Report,
}

/// Asks the person for a file; the answer comes later through the receiver, `None` if they chose none.
pub type PickFile = Box<dyn Fn(&Context, FileKind) -> mpsc::Receiver<Option<PathBuf>>>;

/// What a dialog answers in the end.
type Answer = Pin<Box<dyn Future<Output = Option<rfd::FileHandle>> + Send>>;

/// The system's own dialog (on Linux through the desktop portal).
pub(crate) fn system_dialog() -> PickFile {
    Box::new(|ctx, kind| {
        let (answer, answered) = mpsc::channel();
        let (name, endings): (_, &[&str]) = match kind {
            FileKind::Video => (strings::VIDEO_FILES, &["y4m"]),
            FileKind::Sound => (strings::SOUND_FILES, &["wav"]),
            FileKind::Countries => (strings::TABLE_FILES, &["csv", "txt"]),
            FileKind::Log => (strings::LOG_FILES, &["log"]),
            FileKind::Report => (strings::REPORT_FILES, &["json"]),
        };
        // macOS wants the dialog made on the window's thread; waiting for it happens on another.
        let dialog = rfd::AsyncFileDialog::new().add_filter(name, endings);
        let dialog: Answer = match kind {
            FileKind::Video | FileKind::Sound | FileKind::Countries => Box::pin(dialog.pick_file()),
            FileKind::Log => Box::pin(dialog.set_file_name(strings::LOG_FILE_NAME).save_file()),
            FileKind::Report => Box::pin(dialog.set_file_name(strings::REPORT_FILE_NAME).save_file()),
        };
        let ctx = ctx.clone();
        let waiting = std::thread::Builder::new().name("file dialog".to_owned()).spawn(move || {
            let picked = tokio::runtime::Builder::new_current_thread()
                .build()
                .ok()
                .and_then(|runtime| runtime.block_on(dialog))
                .map(|file| file.path().to_owned());
            let _ = answer.send(picked);
            ctx.request_repaint();
        });
        if let Err(error) = waiting {
            tracing::warn!(%error, "no thread for the file dialog");
        }
        answered
    })
}
