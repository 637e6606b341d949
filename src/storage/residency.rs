//! Which part of an open file is in memory. A reader asks before it reads, and serves others while the disk reads.
//!
//! The system is asked about single bytes, since no library has a safe function for the call that counts the pages of a
//! range (`cachestat`, since Linux 6.5): about the first and the last byte of a window, and one in each [`STEP_BYTES`]
//! between. To ask about each page would cost as much as to send it. In a file of which something was missing lately, gaps
//! are likely, and the disk is slower than the questions, so there the steps are [`CAREFUL_STEP_BYTES`]. Reading a gap that
//! this does not find waits for the disk.
//!
//! What was in memory a moment ago still is, because the system evicts what was not used for longest. So a part that was
//! found is not asked about again for [`FOUND_NS`], which makes files that are sent often cost next to nothing. All ranges
//! of an open file share what is known.
//!
//! Content that is not in memory is read ahead: the window, and the one after it. While such content is sent, the disk
//! stays a window ahead of the reader. Where everything is in memory nothing is read ahead, because the system would look
//! at every page.

use rustix::io::Errno;

use super::file_system::FileSystem;
use super::opened_file::NamedFile;

/// How much is asked about and read ahead at a time. Windows begin at multiples of this. Large enough for a disk to be
/// read at its full rate, small enough that a hundred slow clients do not fill the memory with what they will read later.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// The distance between the bytes that are asked about. Four calls for a window cost a hundredth of sending it.
const STEP_BYTES: u64 = 256 * 1024;

/// The same where something was missing lately: as much as the system reads or evicts together at least.
const CAREFUL_STEP_BYTES: u64 = 16 * 1024;

/// A page is in memory as a whole. Some systems have larger ones.
const PAGE_BYTES: u64 = 4096;

/// For how long after something was missing the smaller steps are used, in nanoseconds.
const CAREFUL_NS: u64 = 10_000_000_000;

/// For how long content that was found in memory is not asked about again, in nanoseconds.
const FOUND_NS: u64 = 100_000_000;

/// A part of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    fn contains(self, offset: u64) -> bool {
        (self.start..self.end).contains(&offset)
    }
}

/// What is known of an open file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Residency {
    /// Whether the system cannot tell what is in memory, or does not read ahead.
    is_unknowable: bool,
    /// What was found in memory, and until when that counts, on the monotonic clock.
    found: Span,
    found_until_ns: u64,
    /// What was last read ahead.
    ahead: Span,
    /// Until when the smaller steps are used.
    careful_until_ns: u64,
}

impl Residency {
    pub(super) fn is_unknowable(&self) -> bool {
        self.is_unknowable
    }

    pub(super) fn set_unknowable(&mut self) {
        self.is_unknowable = true;
    }

    /// Adds what has just been found. Only the time of the first part of a span counts, so that no part counts too long.
    fn add(&mut self, offset: u64, end: u64, now_ns: u64) {
        if self.found.end == offset && self.found_until_ns > now_ns {
            self.found.end = end;
        } else {
            self.found = Span { start: offset, end };
            self.found_until_ns = now_ns.saturating_add(FOUND_NS);
        }
    }
}

/// The first multiple of `step` after `offset`.
fn next_multiple(offset: u64, step: u64) -> u64 {
    (offset / step).saturating_add(1).saturating_mul(step)
}

impl<F: FileSystem> NamedFile<F> {
    /// How many of the `bytes` bytes from `offset` on can be read without waiting for the disk, as far as is known; all of
    /// them if the system cannot tell. If it is 0, the disk has been asked to read them. `now_ns` is the monotonic time.
    pub(super) fn bytes_in_memory(&self, offset: u64, bytes: u64, now_ns: u64) -> u64 {
        let mut known = self.residency.get();
        if known.is_unknowable || bytes == 0 {
            return bytes;
        }
        if known.found_until_ns <= now_ns {
            known.found = Span::default();
        }
        let end = offset.saturating_add(bytes);
        if known.found.contains(offset) {
            return known.found.end.min(end) - offset;
        }
        let in_memory = match self.find(&mut known, offset, end, now_ns) {
            Ok(found_end) => found_end - offset,
            Err(_) => {
                known.set_unknowable();
                bytes
            }
        };
        self.residency.set(known);
        in_memory
    }

    /// Asks about the window of `offset`, up to `end`, and reads ahead what is missing. Returns the end of what was found.
    ///
    /// # Errors
    /// The system cannot tell, or cannot read ahead.
    fn find(&self, known: &mut Residency, offset: u64, end: u64, now_ns: u64) -> Result<u64, Errno> {
        let window_end = end.min(next_multiple(offset, WINDOW_BYTES));
        let last = window_end - 1;
        let step_bytes = if now_ns < known.careful_until_ns { CAREFUL_STEP_BYTES } else { STEP_BYTES };
        // Saves a question: if the first byte after a part that was found is missing, the next one that is asked about
        // nearly always is as well.
        let is_next = known.found.end == offset && offset > 0;
        let mut at = if is_next { next_multiple(offset, step_bytes).min(last) } else { offset };
        let mut found_end = offset;
        // Ends: each round asks about a later byte, up to the last one.
        while self.is_in_memory(at)? {
            found_end = next_multiple(at, PAGE_BYTES).min(window_end);
            if at == last {
                break;
            }
            at = next_multiple(at, step_bytes).min(last);
        }
        if found_end > offset {
            known.add(offset, found_end, now_ns);
        }
        let is_missing = found_end < window_end;
        if is_missing {
            known.careful_until_ns = now_ns.saturating_add(CAREFUL_NS);
            self.read_ahead(found_end, window_end)?;
            if !known.ahead.contains(offset) {
                known.ahead = Span { start: offset, end: window_end };
            }
        }
        let next_end = end.min(window_end.saturating_add(WINDOW_BYTES));
        let from = known.ahead.end.max(window_end);
        if known.ahead.contains(offset) && from < next_end && (is_missing || !self.is_in_memory(from)?) {
            self.read_ahead(from, next_end)?;
            known.ahead.end = next_end;
        }
        Ok(found_end)
    }

    fn is_in_memory(&self, offset: u64) -> Result<bool, Errno> {
        match self.read_without_waiting(&mut [0], offset) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}
