//! Reserves space on the disk ahead of an upload's content. Without a reservation ext4 looks for space at each write.
//!
//! A reservation is only an attempt to save time: it changes neither what an upload stores nor which errors it has.

use super::retry::retry_on_intr;
use super::{Directory, FileSystem};

/// The length, in bytes, from which on space is reserved by default. For shorter content it costs more than it saves.
pub(super) const RESERVE_BYTES_MIN: u64 = 1024 * 1024;

/// The most space that is reserved ahead of the content, in bytes. More saves nothing.
pub(super) const RESERVED_BYTES_MAX: u64 = 8 * 1024 * 1024;

impl<F: FileSystem> Directory<F> {
    /// Sets the length, in bytes, from which on space is reserved ahead of an upload's content. By default it is 1 MiB;
    /// a test with short uploads needs less.
    pub fn set_reserve_bytes_min(&self, bytes: u64) {
        self.root.reserve_bytes_min.set(bytes);
    }
}

/// The space that is reserved for the file of an upload.
#[derive(Debug)]
pub(super) struct Reservation {
    /// The length of the file after the request that is being received, in bytes, if it is known.
    announced_bytes: Option<u64>,
    /// The end of the reserved space, from the start of the file; 0 if there is none.
    end_bytes: u64,
}

impl Reservation {
    /// Nothing is reserved yet for a file that will have this length.
    pub(super) fn new(announced_bytes: Option<u64>) -> Reservation {
        Reservation { announced_bytes, end_bytes: 0 }
    }

    /// Reserves space for content that has been announced, but never more than the `bytes` bytes that have already been
    /// written: a client that announces much and sends little must not occupy the disk. Nothing is reserved for a file
    /// that is shorter than `bytes_min`.
    pub(super) fn extend<F: FileSystem>(&mut self, file_system: &F, file: &F::File, bytes: u64, bytes_min: u64) {
        let left = self.announced_bytes.unwrap_or(0).saturating_sub(bytes);
        if left == 0 || bytes < bytes_min.max(self.end_bytes) {
            return;
        }
        let ahead = left.min(bytes).min(RESERVED_BYTES_MAX);
        // Also after an error, so that the part is freed that was reserved before a full disk stopped it.
        self.end_bytes = bytes.saturating_add(ahead);
        if retry_on_intr(|| file_system.reserve(file, bytes, ahead)).is_err() {
            // Whether the content fits, its writes will tell. Further attempts would only take time.
            self.announced_bytes = None;
        }
    }

    /// Frees the space after the `bytes` bytes that have been written. If that fails, it is freed when the upload is
    /// continued or removed.
    pub(super) fn free<F: FileSystem>(&mut self, file_system: &F, file: &F::File, bytes: u64) {
        if self.end_bytes > bytes {
            let _ = retry_on_intr(|| file_system.truncate(file, bytes));
        }
        self.forget();
    }

    /// Records that a truncation has freed the space.
    pub(super) fn forget(&mut self) {
        self.end_bytes = 0;
    }
}
