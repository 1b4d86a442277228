//! Files that a headless run leaves behind: what was seen, what was heard, what was encoded.
//!
//! The window offers none of this: a recording that others do not know of is not a feature.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::media::frame::{BLOCK, Picture};
use crate::media::scale::Scaler;
use crate::media::source::VideoFormat;
use crate::media::stamp;
use crate::media::wav::WavRecorder;
use crate::media::y4m::Y4mWriter;

/// Pictures that may wait for the disk; past that the decoder waits, so that none is missing.
const WAITING: usize = 60;

/// Writes every picture handed to it into a Y4M file, on a thread of its own.
pub(crate) struct PictureRecorder {
    pictures: Option<SyncSender<Arc<Picture>>>,
    thread: Option<JoinHandle<()>>,
}

impl PictureRecorder {
    /// Creates (or empties) the file at `path`. Pictures smaller than `format` are enlarged to it, as a window would show
    /// them: whoever sends less for a while does not shrink what comes later.
    pub(crate) fn create(path: &Path, format: VideoFormat) -> io::Result<Self> {
        let mut writer = Y4mWriter::create(path, format.fps).map_err(io::Error::other)?;
        let mut scaler = Scaler::new(format.width, format.height);
        let (pictures, queue) = sync_channel::<Arc<Picture>>(WAITING);
        let thread = std::thread::Builder::new().name("picture-recorder".into()).spawn(move || {
            while let Ok(picture) = queue.recv() {
                // Later pictures take the size of the first.
                let smaller = picture.width < format.width && picture.height < format.height;
                let written = match smaller && writer.pictures() == 0 {
                    true => {
                        let mut stretched = scaler.stretch(&picture);
                        stamp::carry(&picture, &mut stretched);
                        writer.write(&stretched)
                    }
                    false => writer.write(&picture),
                };
                if let Err(error) = written {
                    tracing::error!(%error, "the video recording stops here");
                    return;
                }
            }
            if let Err(error) = writer.finish() {
                tracing::error!(%error, "the video recording may lack its end");
            }
        })?;
        Ok(Self { pictures: Some(pictures), thread: Some(thread) })
    }

    pub(crate) fn write(&mut self, picture: &Arc<Picture>) {
        if let Some(pictures) = &self.pictures {
            let _ = pictures.send(picture.clone());
        }
    }
}

impl Drop for PictureRecorder {
    fn drop(&mut self) {
        self.pictures = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Keeps the encoded stream as it was before sealing: Annex B (H.264 annex B), one access unit after another.
pub(crate) struct EncodedRecorder(BufWriter<File>);

impl EncodedRecorder {
    /// Creates (or empties) the file at `path`.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::with_capacity(1 << 18, File::create(path)?)))
    }

    pub(crate) fn write(&mut self, access_unit: &[u8]) {
        if let Err(error) = self.0.write_all(access_unit) {
            tracing::error!(%error, "the encoded stream's recording has a hole");
        }
    }
}

/// Keeps everything that was played, as 16-bit mono WAV, and measures how loud it was.
#[derive(Clone)]
pub(crate) struct SoundRecorder(Arc<Mutex<SoundFile>>);

struct SoundFile {
    writer: Option<WavRecorder>,
    square_sum: f64,
    samples: u64,
}

impl SoundRecorder {
    /// Measures, and writes to `path` if there is one.
    pub(crate) fn create(path: Option<&Path>) -> io::Result<Self> {
        let writer = path.map(WavRecorder::create).transpose().map_err(io::Error::other)?;
        Ok(Self(Arc::new(Mutex::new(SoundFile { writer, square_sum: 0.0, samples: 0 }))))
    }

    pub(crate) fn write(&self, block: &[f32; BLOCK]) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.square_sum += block.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        file.samples += BLOCK as u64;
        if let Some(writer) = &mut file.writer
            && let Err(error) = writer.write(block)
        {
            tracing::error!(%error, "the sound recording stops here");
            file.writer = None;
        }
    }

    /// Root mean square of all that was played, in dB below full scale; `None` for silence.
    pub(crate) fn rms_dbfs(&self) -> Option<f64> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (file.samples > 0 && file.square_sum > 0.0).then(|| 10.0 * (file.square_sum / file.samples as f64).log10())
    }

    /// Completes the file.
    pub(crate) fn finish(&self) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = file.writer.take()
            && let Err(error) = writer.finish()
        {
            tracing::error!(%error, "the sound recording may lack its end");
        }
    }
}
