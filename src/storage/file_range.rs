//! A range of an open file that is being sent.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::opened_file::{NamedFile, OpenedFile};
use super::{FileSystem, Native};

/// The offset of the next byte in an open file, and the number of bytes that remain. Ranges of one file share its
/// descriptor. They read the file that was opened, even if another one has its name since.
#[derive(Clone, Debug)]
pub struct FileRange<F: FileSystem = Native> {
    file: Rc<NamedFile<F>>,
    offset: u64,
    remaining: u64,
}

impl<F: FileSystem> FileRange<F> {
    /// The whole file, with the length that it had when it was opened.
    pub fn whole(opened: OpenedFile<F>) -> Self {
        FileRange { file: opened.file, offset: 0, remaining: opened.metadata.size_bytes }
    }

    /// A part of this range: `bytes` bytes after the first `skipped` ones. `None` if it would end after this range.
    pub fn part(&self, skipped: u64, bytes: u64) -> Option<Self> {
        if skipped.checked_add(bytes)? > self.remaining {
            return None;
        }
        let offset = self.offset.checked_add(skipped)?;
        Some(FileRange { file: Rc::clone(&self.file), offset, remaining: bytes })
    }

    /// The offset of the next byte in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of bytes that remain.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether no bytes remain.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// Reads the next bytes into `space`, without advancing the range. Returns the number of bytes; 0 only if `space`
    /// or the range is empty.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file has become shorter since it was opened.
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

    /// Appends the range, which must be short, to `out`. Returns `false`, and appends nothing, if not all of it can be read
    /// without waiting for the disk, as far as the system can tell, or if the file has become shorter.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn append_if_in_memory(&self, out: &mut Vec<u8>) -> io::Result<bool> {
        let end = out.len();
        // The cast is exact: the range is short.
        out.resize(end + self.remaining as usize, 0);
        let is_read = self.is_empty() || self.file.read_if_in_memory(&mut out[end..], self.offset)?;
        if !is_read {
            out.truncate(end);
        }
        Ok(is_read)
    }

    /// How many of the next bytes can be read without waiting for the disk, as far as the system can tell; all that
    /// remain if it cannot. If it is 0, the disk has been asked to read them, so ask again later. `now_ns` is the
    /// monotonic time.
    pub fn bytes_in_memory(&self, now_ns: u64) -> u64 {
        self.file.bytes_in_memory(self.offset, self.remaining, now_ns)
    }

    /// Removes the first `bytes` bytes from the range, after they were sent. Must not be more than remain.
    pub fn advance(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.remaining);
        let bytes = bytes.min(self.remaining);
        self.offset += bytes;
        self.remaining -= bytes;
    }
}

/// The name of the file, for the log: escaped, so that it cannot forge a line.
impl<F: FileSystem> fmt::Display for FileRange<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.file.name(), f)
    }
}

/// The descriptor, for `sendfile` and the like. Its file position is undefined.
impl<F: FileSystem<File: AsFd>> AsFd for FileRange<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
