//! What moves through the media pipeline: pictures in I420 and blocks of sound.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Instant;

/// Samples a second of every sound inside Conclave (RFC 7587 §4.1).
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples in one block of sound: 20 ms of mono at [`SAMPLE_RATE`].
pub const BLOCK: usize = 960;

/// One picture in planar YUV 4:2:0, limited range, BT.709 at 720 lines and more, BT.601 below.
///
/// Width and height are even. `y` holds `width × height` bytes, `u` and `v` a quarter of that each, without row padding.
#[derive(Clone)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Luma plane.
    pub y: Vec<u8>,
    /// Blue-difference plane.
    pub u: Vec<u8>,
    /// Red-difference plane.
    pub v: Vec<u8>,
    /// When the device handed it over (for a decoded picture: when it was decoded).
    pub taken: Instant,
}

impl Picture {
    /// A black picture of `width × height`, each rounded down to an even number of at least 2.
    pub fn black(width: usize, height: usize, taken: Instant) -> Self {
        let (width, height) = ((width & !1).max(2), (height & !1).max(2));
        let (luma, chroma) = (width * height, width * height / 4);
        Self { width, height, y: vec![16; luma], u: vec![128; chroma], v: vec![128; chroma], taken }
    }
}

/// A place for one thing, where the newest wins and the reader never waits for the writer's next.
///
/// It carries pictures from a camera to the encoder and from a decoder to the window.
pub struct Latest<T> {
    slot: Mutex<Option<Arc<T>>>,
    serial: AtomicU64,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self { slot: Mutex::new(None), serial: AtomicU64::new(0) }
    }
}

/// Two are equal if they are the same place, whatever lies there.
impl<T> PartialEq for Latest<T> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl<T> Latest<T> {
    /// Puts `value` in place of whatever lay there. Returns true if an unread value was displaced by [`Latest::take`]'s measure.
    pub fn put(&self, value: Arc<T>) -> bool {
        let displaced = self.slot.lock().unwrap_or_else(PoisonError::into_inner).replace(value).is_some();
        self.serial.fetch_add(1, Ordering::Release);
        displaced
    }

    /// Removes and returns the value (for a single consumer).
    pub fn take(&self) -> Option<Arc<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The value, left in place (for a window that may draw it again).
    pub fn peek(&self) -> Option<Arc<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Empties the place and counts it as a change.
    pub fn clear(&self) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.serial.fetch_add(1, Ordering::Release);
    }

    /// Grows by one with each [`Latest::put`] or [`Latest::clear`]: a reader that saw this number has seen the newest.
    pub fn serial(&self) -> u64 {
        self.serial.load(Ordering::Acquire)
    }
}
