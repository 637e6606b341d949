//! An upload whose content is short and complete from the start. It is stored in as few calls as possible.
//!
//! An [`Upload`] looks at its target when it begins and again when it is committed, and in between its content is in a
//! file that is locked or has no name. Here nothing can happen in between, so one look is enough. To replace a file, the
//! content gets its temporary name when its file is created instead of by a link. That file is not locked, because it
//! exists for three calls only. If the cleanup of another server removes it just then, the rename fails, and the content
//! is stored as an [`Upload`] after all. So is everything that is not the usual case.

use std::rc::Rc;

use rustix::io::Errno;

use super::directory::{ExistingEntry, Root, require_regular};
use super::new_directories::Ancestor;
use super::retry::{retry_on_intr, write_all};
use super::temporary_file::{TemporaryFile, lacks_hard_links};
use super::upload::{CHECKED_BYTES_MIN, lacks_unnamed_files};
use super::{Directory, FileSystem, Metadata, Published, RelativePath, StorageError, Upload, UploadMode};

impl<F: FileSystem> Directory<F> {
    /// Stores `content` at `path`. This has the effects and the errors of an upload that is not durable, and that has no
    /// condition: [`begin_upload`](Directory::begin_upload), [`Upload::write`], and [`Upload::commit`] with `unix_ns`.
    /// Short content takes fewer calls than those.
    pub fn store(
        &self,
        path: &RelativePath,
        mode: UploadMode,
        content: &[u8],
        unix_ns: u64,
    ) -> Result<Published, StorageError> {
        let bytes = content.len() as u64;
        if bytes < CHECKED_BYTES_MIN
            && bytes <= self.root.bytes_max()
            && let Some(published) = (ShortUpload { root: &self.root, path, mode, content, unix_ns }).store()?
        {
            return Ok(published);
        }
        let mut upload = Upload::begin(Rc::clone(&self.root), path.clone(), mode, Some(bytes), false)?;
        upload.write(content)?;
        upload.commit(unix_ns, |_| true)
    }
}

struct ShortUpload<'u, F: FileSystem> {
    root: &'u Root<F>,
    path: &'u RelativePath,
    mode: UploadMode,
    content: &'u [u8],
    unix_ns: u64,
}

impl<F: FileSystem> ShortUpload<'_, F> {
    /// Stores the content in the usual case. `None` in any other: nothing has been stored then.
    fn store(self) -> Result<Option<Published>, StorageError> {
        let ShortUpload { root, path, mode, .. } = self;
        let parent = Ancestor::open(root, path, false)?;
        let parent_id = root.directory_id(&parent.directory);
        root.clean_up(&parent, parent_id, path);
        if !parent.is_parent(path) || root.close_errors.may_occur_in(parent_id) {
            return Ok(None);
        }
        match (root.existing_entry(&parent.directory, path)?, mode) {
            (ExistingEntry::Absent, _) if root.unnamed_files() => self.create(&parent.directory),
            (ExistingEntry::Absent, _) => Ok(None),
            (_, UploadMode::CreateOnly) => Err(StorageError::AlreadyExists),
            (ExistingEntry::File(existing), UploadMode::Replace) => self.replace(&parent.directory, Some(&existing)),
            (ExistingEntry::Symlink(_), UploadMode::Replace) => self.replace(&parent.directory, None),
        }
    }

    fn create(self, parent: &F::File) -> Result<Option<Published>, StorageError> {
        let file_system = self.root.file_system();
        let file = match retry_on_intr(|| file_system.create_unnamed(parent)) {
            Err(errno) if lacks_unnamed_files(errno) => return Ok(None),
            created => created.map_err(StorageError::from_publication)?,
        };
        let modified_ns = self.fill(&file)?;
        match retry_on_intr(|| file_system.link_unnamed(&file, parent, self.path.name())) {
            // Another process has just created the name, or the file system has no hard links.
            Err(errno) if errno == Errno::EXIST || lacks_hard_links(errno) => Ok(None),
            linked => {
                linked.map_err(StorageError::from_publication)?;
                self.published(&file, modified_ns, true)
            }
        }
    }

    /// Replaces a file with this metadata, or a link.
    fn replace(self, parent: &Rc<F::File>, existing: Option<&Metadata>) -> Result<Option<Published>, StorageError> {
        let (file_system, names) = (self.root.file_system(), self.root.temporary_names());
        let (mut temporary, file) =
            TemporaryFile::create_unlocked(file_system, parent, names).map_err(StorageError::from_publication)?;
        let modified_ns = self.fill(&file)?;
        let _held = existing.and_then(|existing| self.root.hold(parent, self.path.name(), existing));
        match temporary.replace(parent, self.path.name()) {
            // The cleanup of another server has removed the temporary name, or another process the directory.
            Err(Errno::NOENT) => Ok(None),
            renamed => {
                renamed.map_err(StorageError::from_publication)?;
                self.published(&file, modified_ns, false)
            }
        }
    }

    /// Writes the content to a new file. Then sets its modification time, which is returned.
    fn fill(&self, file: &F::File) -> Result<u64, StorageError> {
        let file_system = self.root.file_system();
        write_all(|content| self.root.write(file, content), self.content).map_err(StorageError::from_errno)?;
        let modified_ns = self.root.unique_modified_ns(self.unix_ns);
        retry_on_intr(|| file_system.set_modified(file, modified_ns)).map_err(StorageError::from_errno)?;
        Ok(modified_ns)
    }

    fn published(&self, file: &F::File, modified_ns: u64, created: bool) -> Result<Option<Published>, StorageError> {
        let metadata = require_regular(&self.root.stat(file)?)?;
        Ok(Some(Published { created, metadata, modified_ns }))
    }
}
