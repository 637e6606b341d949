//! Files that may have long content, and what frees it: the last close after the last name was removed.

use std::ops::Deref;
use std::rc::Rc;

use rustix::io::Errno;

use super::directory::Root;
use super::file_system::{Access, FileKind, FileSystem};
use super::metadata::Metadata;
use super::retry::retry_on_intr;

/// An open file. If it is long, it is closed [in the background](FileSystem::close_in_background).
#[derive(Debug)]
pub(super) struct ContentFile<F: FileSystem> {
    // Fields are dropped in this order, so that the second one has the last reference.
    file: Rc<F::File>,
    last: LastReference<F>,
}

/// The reference to a file with which it is closed.
#[derive(Debug)]
struct LastReference<F: FileSystem> {
    file_system: F,
    /// `None` only while it is dropped.
    file: Option<Rc<F::File>>,
    /// How long the file is, or was, at least.
    bytes: u64,
}

impl<F: FileSystem> ContentFile<F> {
    /// A file with this many bytes of content.
    pub(super) fn new(file_system: &F, file: F::File, bytes: u64) -> Self {
        let file = Rc::new(file);
        let last = LastReference { file_system: file_system.clone(), file: Some(Rc::clone(&file)), bytes };
        ContentFile { file, last }
    }

    /// The file will perhaps have this many bytes of content.
    pub(super) fn note_bytes(&mut self, bytes: u64) {
        self.last.bytes = self.last.bytes.max(bytes);
    }
}

impl<F: FileSystem> Deref for ContentFile<F> {
    type Target = F::File;

    fn deref(&self) -> &F::File {
        &self.file
    }
}

impl<F: FileSystem> Drop for LastReference<F> {
    fn drop(&mut self) {
        if let Some(file) = self.file.take().and_then(Rc::into_inner)
            && self.bytes >= self.file_system.long_file_bytes()
        {
            self.file_system.close_in_background(file);
        }
    }
}

impl<F: FileSystem> Root<F> {
    /// Opens the entry `name` of `parent`, which has this metadata and is about to lose that name, if it is a long file. The
    /// caller drops the result after that. Without it, the call that removes the name would free the content.
    ///
    /// Only where closing a file never fails. Elsewhere, as on NFS, the file could stay visible while it is open.
    pub(super) fn hold(&self, parent: &F::File, name: &[u8], entry: &Metadata) -> Option<ContentFile<F>> {
        let is_long = entry.kind == FileKind::Regular && entry.size_bytes >= self.file_system().long_file_bytes();
        if !is_long || self.close_errors.may_occur_in(Ok(entry.file_id())) {
            return None;
        }
        // After an error the content is freed by the call.
        let file = retry_on_intr(|| self.file_system().open_entry(parent, name, Access::Stat)).ok()?;
        Some(ContentFile::new(self.file_system(), file, entry.size_bytes))
    }

    /// Appends the start of `content` to a file. If there is no space, waits for what is being freed.
    pub(super) fn write(&self, file: &F::File, content: &[u8]) -> Result<usize, Errno> {
        let file_system = self.file_system();
        // Asked first: it may have been freed when the write has failed.
        let is_being_freed = file_system.bytes_being_freed() > 0;
        match file_system.write(file, content) {
            Err(Errno::NOSPC | Errno::DQUOT) if is_being_freed => {
                file_system.wait_until_freed();
                file_system.write(file, content)
            }
            written => written,
        }
    }
}
