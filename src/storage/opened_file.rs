//! A regular file that is open for reading.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use rustix::io::Errno;

use super::content_file::ContentFile;
use super::residency::Residency;
use super::retry::{read_exactly, retry_on_intr};
use super::{FileSystem, Metadata, Native, RelativePath, annotation};

/// An open file, and the name under which it was opened, for the log. Another file may have the name since.
#[derive(Debug)]
pub struct NamedFile<F: FileSystem = Native> {
    file_system: F,
    file: ContentFile<F>,
    name: RelativePath,
    pub(super) residency: Cell<Residency>,
}

impl<F: FileSystem> NamedFile<F> {
    /// The name under which it was opened.
    pub fn name(&self) -> &RelativePath {
        &self.name
    }

    /// Reads at `offset`, in one call. Returns the number of bytes: perhaps fewer than fit, and 0 at the end of the
    /// file.
    pub(super) fn read_at(&self, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        retry_on_intr(|| self.file_system.read_at(&self.file, &mut *space, offset))
    }

    /// As [`FileSystem::read_without_waiting`].
    pub(super) fn read_without_waiting(&self, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        retry_on_intr(|| self.file_system.read_without_waiting(&self.file, &mut *space, offset))
    }

    /// Asks the system to read the bytes from `offset` to `end` into memory.
    pub(super) fn read_ahead(&self, offset: u64, end: u64) -> Result<(), Errno> {
        retry_on_intr(|| self.file_system.read_ahead(&self.file, offset, end.saturating_sub(offset)))
    }

    /// Fills `space` from `offset` on, in one call, without waiting for the disk. `false` if not all of that is in memory.
    /// Where the system cannot tell, this waits.
    ///
    /// # Errors
    /// As `pread(2)`.
    pub(super) fn read_if_in_memory(&self, space: &mut [u8], offset: u64) -> Result<bool, Errno> {
        let mut known = self.residency.get();
        if !known.is_unknowable() {
            match self.read_without_waiting(space, offset) {
                Ok(bytes) => return Ok(bytes == space.len()),
                Err(Errno::AGAIN) => return Ok(false),
                Err(_) => {
                    known.set_unknowable();
                    self.residency.set(known);
                }
            }
        }
        Ok(read_exactly(|space, offset| self.read_at(space, offset), space, offset)?.is_some())
    }
}

impl<F: FileSystem<File: AsFd>> AsFd for NamedFile<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A regular file that is open for reading, and its metadata.
#[derive(Clone, Debug)]
pub struct OpenedFile<F: FileSystem = Native> {
    /// The file. Reading it only waits for the disk.
    pub file: Rc<NamedFile<F>>,
    /// The metadata of the open file.
    pub metadata: Metadata,
}

impl<F: FileSystem> OpenedFile<F> {
    pub(super) fn new(file_system: F, file: F::File, name: RelativePath, metadata: Metadata) -> OpenedFile<F> {
        // Another process, or a request, may remove the file while it is open here.
        let file = ContentFile::new(&file_system, file, metadata.size_bytes);
        OpenedFile { file: Rc::new(NamedFile { file_system, file, name, residency: Cell::default() }), metadata }
    }

    /// The annotation of the [upload](super::Upload::annotate) that became this version of the file. `None` if it had
    /// none, if the file was changed since, or if the file system does not support extended attributes. It takes one
    /// system call.
    pub fn annotation(&self) -> Option<Vec<u8>> {
        annotation::read(&self.file.file_system, &self.file.file, &self.metadata)
    }

    /// Whether the file still has the metadata that it had when it was opened.
    pub fn is_unchanged(&self) -> bool {
        retry_on_intr(|| self.file.file_system.stat(&self.file.file)).is_ok_and(|found| found == self.metadata)
    }
}
