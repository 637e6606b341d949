//! A part of an open file that is still to be sent.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::directory::{NamedFile, OpenedFile};
use super::{FileSystem, Native};

/// Where to read next in an open file, and how many bytes remain. Ranges of one file share its descriptor; the file is
/// the one that was opened, whatever has taken its name since.
#[derive(Clone, Debug)]
pub struct FileRange<F: FileSystem = Native> {
    file: Rc<NamedFile<F>>,
    offset: u64,
    remaining: u64,
}

impl<F: FileSystem> FileRange<F> {
    /// The whole of a file, as long as it was when it was opened.
    pub fn whole(opened: OpenedFile<F>) -> Self {
        FileRange { file: opened.file, offset: 0, remaining: opened.metadata.size_bytes }
    }

    /// A part of this range: `bytes` bytes, after the first `skipped`. `None` if it would reach past the end.
    pub fn part(&self, skipped: u64, bytes: u64) -> Option<Self> {
        if skipped.checked_add(bytes)? > self.remaining {
            return None;
        }
        let offset = self.offset.checked_add(skipped)?;
        Some(FileRange { file: Rc::clone(&self.file), offset, remaining: bytes })
    }

    /// Where in the file the next byte is.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes are still to be sent.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// Reads what comes next, no more than fits and no more than remains, and leaves the range where it is.
    ///
    /// Returns how many bytes were read; 0 only if `space` or the range is empty. A file that has shrunk since it was
    /// opened is [`io::ErrorKind::UnexpectedEof`]: its length has been promised, and cannot be kept.
    pub fn read_at(&self, space: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(space.len());
        let Some(space) = space.get_mut(..wanted).filter(|space| !space.is_empty()) else {
            return Ok(0);
        };
        match self.file.read_at(space, self.offset)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => Ok(bytes),
        }
    }

    /// Takes `bytes` from the front: they have been sent. Never more than remain.
    pub fn advance(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.remaining);
        let bytes = bytes.min(self.remaining);
        self.offset += bytes;
        self.remaining -= bytes;
    }
}

/// The name of the file, for a log line: escaped, so that it cannot forge another line.
impl<F: FileSystem> fmt::Display for FileRange<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.file.name(), f)
    }
}

/// The descriptor, for a system call that sends from the file itself. Its file position is not to be relied on.
impl<F: FileSystem<File: AsFd>> AsFd for FileRange<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
