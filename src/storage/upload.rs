//! Content on its way in. It is visible whole, or not at all.

use std::io;
use std::rc::Rc;

use rustix::io::Errno;

use super::directory::{ExistingEntry, Root, require_regular};
use super::retry::{retry_on_intr, write_all};
use super::temporary_file::{TemporaryFile, lacks_hard_links};
use super::{FileSystem, Metadata, Native, RelativePath, StorageError};

/// How often a commit looks again because another process created the name in the meantime.
const ATTEMPTS_MAX: u32 = 16;

/// How a file system says that it does not flush directories. Of a file it would be an error.
const DOES_NOT_FLUSH: [Errno; 4] = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS];

/// How an upload becomes visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// Only under a name where nothing stands: the kernel decides.
    CreateOnly,
    /// In the place of what stands there. A link is replaced itself, not what it leads to.
    Replace,
}

/// What a commit has made visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Whether nothing stood under the name. Exact when it says so; a file that another process removes in the moment
    /// before it is replaced still counts as replaced.
    pub created: bool,
    /// The metadata that opening the file reports from now on.
    pub metadata: Metadata,
    /// The modification time that the file was given, in nanoseconds since 1970: no other upload of this run has had
    /// it. The file system may have kept a coarser one, which others share; the metadata says which it kept.
    pub modified_ns: u64,
}

/// An upload in progress. Dropped without a commit, it never happened.
///
/// It holds one descriptor for the content, and one for the directory if that is not the root itself.
#[derive(Debug)]
pub struct Upload<F: FileSystem = Native> {
    // The fields are dropped in this order: the hidden name goes while its file is still locked.
    hidden: Option<TemporaryFile<F>>,
    /// The file that a durable upload has replaced, until the disk has the new name.
    replaced: Option<TemporaryFile<F>>,
    file: F::File,
    parent: Rc<F::File>,
    root: Rc<Root<F>>,
    path: RelativePath,
    mode: UploadMode,
    /// The file that a reader found under the name when the upload began.
    existing: Option<Metadata>,
    bytes_expected: Option<u64>,
    durable: bool,
    bytes_written: u64,
    /// Cleared when a write fails: part of its content may have arrived, and the rest is lost.
    intact: bool,
}

impl<F: FileSystem> Upload<F> {
    pub(super) fn begin(
        root: Rc<Root<F>>,
        path: RelativePath,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
    ) -> Result<Self, StorageError> {
        let parent = root.open_parent(&path, durable)?;
        root.clean_up(&parent, &path);
        let existing = root.existing_entry(&parent, &path)?;
        if mode == UploadMode::CreateOnly && !matches!(existing, ExistingEntry::Absent) {
            return Err(StorageError::AlreadyExists);
        }
        let bytes_free = || root.file_system().free_bytes(&parent).unwrap_or(u64::MAX);
        if bytes_expected.is_some_and(|bytes| bytes > root.bytes_max() || bytes > bytes_free()) {
            return Err(StorageError::DiskFull);
        }
        let (hidden, file) = create_content(&root, &parent).map_err(StorageError::from_publication)?;
        Ok(Upload {
            hidden,
            replaced: None,
            file,
            parent,
            root,
            path,
            mode,
            existing: existing.metadata().copied(),
            bytes_expected,
            durable,
            bytes_written: 0,
            intact: true,
        })
    }

    /// Adds content. After an error the upload cannot be committed any more: drop it.
    pub fn write(&mut self, content: &[u8]) -> Result<(), StorageError> {
        let written = self.write_whole(content);
        self.intact &= written.is_ok();
        written
    }

    fn write_whole(&mut self, content: &[u8]) -> Result<(), StorageError> {
        let bytes = u64::try_from(content.len()).ok().and_then(|bytes| self.bytes_written.checked_add(bytes));
        // Past the process's own limit a write is not only refused: a signal ends the process.
        let bytes = bytes.filter(|&bytes| bytes <= self.root.bytes_max()).ok_or(StorageError::DiskFull)?;
        let write = |content: &[u8]| self.root.file_system().write(&self.file, content);
        write_all(write, content).map_err(StorageError::from_anything)?;
        self.bytes_written = bytes;
        Ok(())
    }

    /// The file that a reader found under the name when the upload began; `None` if there was none. A caller can refuse
    /// the upload early by it; what decides is the condition of [`commit`](Upload::commit).
    pub fn existing(&self) -> Option<&Metadata> {
        self.existing.as_ref()
    }

    /// How many bytes have been written.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Makes the content visible, and returns what is then there.
    ///
    /// `unix_ns` is the time, in nanoseconds since 1970, that becomes the modification time, to the microsecond: a
    /// little later if another upload of this run has had it. `condition` is asked in the call that publishes, with
    /// what a reader would be given under the name (`None`: nothing); `false` is [`StorageError::ConditionFailed`]. It
    /// is asked again if another process creates the name meanwhile.
    ///
    /// If it was begun as durable, content and name are on the disk when this returns. If writing the *name* to the
    /// disk then fails, the error comes although the file is visible: whether it would outlast a power cut is not
    /// known. So it does if the system, which has just published the file, cannot say what it is: a file server may
    /// fail to.
    ///
    /// Any other error leaves what was there before. An upload that is shorter or longer than was expected, or one of
    /// whose writes has failed, is never published.
    pub fn commit(
        mut self,
        unix_ns: u64,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<Published, StorageError> {
        if !self.intact || self.bytes_expected.is_some_and(|expected| expected != self.bytes_written) {
            return Err(StorageError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        // Before the file has a name: nobody ever sees it with another time.
        let modified_ns = self.root.unique_modified_ns(unix_ns);
        let file_system = self.root.file_system();
        retry_on_intr(|| file_system.set_modified(&self.file, modified_ns)).map_err(StorageError::from_anything)?;
        see_errors_at_close(file_system, &self.file)?;
        if self.durable {
            flush(file_system, &self.file)?;
        }
        if !self.root.has_parent(&self.path, &self.parent)? {
            return Err(StorageError::ParentMissing);
        }
        let created = self.publish(condition)?;
        // The hidden name goes now, since removing it is the last thing that changes the file's times.
        self.hidden = None;
        let metadata = self.settle();
        match self.replaced.take() {
            // The disk may have the name with either file, so the old one stays until a later sweep.
            Some(replaced) if metadata.is_err() => replaced.leave(),
            replaced => drop(replaced),
        }
        Ok(Published { created, metadata: metadata?, modified_ns })
    }

    /// The metadata of the published file, once its name is on the disk if that was asked for.
    fn settle(&self) -> Result<Metadata, StorageError> {
        let metadata = require_regular(&self.root.stat(&self.file)?)?;
        if self.durable {
            self.flush_name()?;
        }
        Ok(metadata)
    }

    /// Brings the name to the disk. The file itself was flushed while it had none, or another one: without a journal,
    /// the disk may still have it as a file with no links, and its name would be removed when the disk is checked.
    fn flush_name(&self) -> Result<(), StorageError> {
        flush(self.root.file_system(), &self.file)?;
        match retry_on_intr(|| self.root.file_system().sync(&self.parent)) {
            Err(errno) if DOES_NOT_FLUSH.contains(&errno) => {
                self.root.warn_that_directories_are_not_flushed(errno);
                Ok(())
            }
            flushed => flushed.map_err(StorageError::from_anything),
        }
    }

    /// Gives the content its name. Says whether nothing stood there.
    fn publish(&mut self, condition: impl Fn(Option<&Metadata>) -> bool) -> Result<bool, StorageError> {
        for _ in 0..ATTEMPTS_MAX {
            let existing = self.root.existing_entry(&self.parent, &self.path)?;
            if !condition(existing.metadata()) {
                return Err(StorageError::ConditionFailed);
            }
            let published = match (existing, self.mode) {
                (ExistingEntry::Absent, _) => self.publish_as_new().map(|()| true),
                (_, UploadMode::CreateOnly) => Err(Errno::EXIST),
                (existing, UploadMode::Replace) => {
                    self.replace(matches!(existing, ExistingEntry::File(_))).map(|()| false)
                }
            };
            match published {
                // Another process has just created the name, and the condition has not been asked about that.
                Err(Errno::EXIST) if self.mode == UploadMode::Replace => {}
                result => return result.map_err(StorageError::from_publication),
            }
        }
        Err(StorageError::Busy)
    }

    fn publish_as_new(&mut self) -> Result<(), Errno> {
        let linked = match &mut self.hidden {
            Some(hidden) => hidden.publish_as_new(self.path.name()),
            None => retry_on_intr(|| self.root.file_system().link_unnamed(&self.file, &self.parent, self.path.name())),
        };
        match linked {
            // Without hard links and RENAME_NOREPLACE a plain rename is safe for `Replace`; for `CreateOnly` it would
            // race with other processes, so that is an error.
            Err(no_links) if lacks_hard_links(no_links) && self.mode == UploadMode::Replace => self.replace(false),
            result => result,
        }
    }

    fn replace(&mut self, is_file: bool) -> Result<(), Errno> {
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            // A link never takes a name that stands: an unnamed file needs one of its own to be renamed from.
            None => {
                let file_system = self.root.file_system();
                let hidden = TemporaryFile::link(file_system, &self.parent, &self.file, self.root.temporary_names())?;
                // Without a journal, a power cut after the rename could leave the name pointing to a file whose link
                // count on the disk is still 0. A file system check would then remove the name, and the old file would
                // be gone too.
                if self.durable {
                    retry_on_intr(|| file_system.sync(&self.file))?;
                }
                hidden
            }
        };
        // Without a journal, the disk could free the old file before its directory points to the new one. A file system
        // check would then remove the name, and a version that was acknowledged long ago would be lost.
        if self.durable && is_file {
            let names = self.root.temporary_names();
            self.replaced = TemporaryFile::keep(self.root.file_system(), &self.parent, self.path.name(), names)?;
        }
        hidden.replace(self.path.name())
    }
}

/// Creates the file that takes the content: unnamed where that is possible.
fn create_content<F: FileSystem>(
    root: &Root<F>,
    parent: &Rc<F::File>,
) -> Result<(Option<TemporaryFile<F>>, F::File), Errno> {
    if root.unnamed_files() {
        match retry_on_intr(|| root.file_system().create_unnamed(parent)) {
            Ok(file) => return Ok((None, file)),
            // Kernels and file systems that do not know unnamed files have several ways to say so. ext4 says EPERM in a
            // directory that has been removed: creating a name then tells whether it is that, or a lack of permission.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => {}
            Err(errno) => return Err(errno),
        }
    }
    TemporaryFile::create(root.file_system(), parent, root.temporary_names()).map(|(hidden, file)| (Some(hidden), file))
}

/// Asks for the errors that some file systems (NFS, many in user space) report only when a file is closed: that a quota
/// is exceeded, that the server could not write. The file has to stay open, since without a name it would be gone.
fn see_errors_at_close<F: FileSystem>(file_system: &F, file: &F::File) -> Result<(), StorageError> {
    match file_system.close_errors(file) {
        // Without a descriptor to spare the question cannot be put, and interrupted it cannot be put again, since the
        // descriptor is gone and the answer with it. Flushing tells the same and takes longer.
        Err(Errno::MFILE | Errno::NFILE | Errno::INTR) => flush(file_system, file),
        asked => asked.map_err(StorageError::from_anything),
    }
}

fn flush<F: FileSystem>(file_system: &F, file: &F::File) -> Result<(), StorageError> {
    retry_on_intr(|| file_system.sync(file)).map_err(StorageError::from_anything)
}
