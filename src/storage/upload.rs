//! An upload: its content is written to a file without a name, or with a temporary one, and then published in one step.

use std::io;
use std::rc::Rc;

use rustix::io::Errno;

use super::annotation;
use super::directory::{ExistingEntry, Root, require_regular};
use super::new_directories::{Ancestor, NewDirectories};
use super::reservation::Reservation;
use super::retry::{retry_on_intr, write_all};
use super::temporary_file::{TemporaryFile, TemporaryName, lacks_hard_links};
use super::{FileSystem, Metadata, Native, RelativePath, StorageError};

/// The number of attempts of a commit, if another process creates the name between the check and the link.
const ATTEMPTS_MAX: u32 = 16;

/// The errors with which a file system says that it cannot flush directories. For a file they are errors.
pub(super) const CANNOT_FLUSH: [Errno; 4] = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS];

/// What an upload does to an existing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// It fails if the name exists. The kernel decides, so that of several processes exactly one creates the file.
    CreateOnly,
    /// It replaces the file. A link itself is replaced, not its target.
    Replace,
}

/// The result of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Whether the name did not exist before. `false` also counts a file that another process removed just before it
    /// was replaced. `true` is exact, except on a file system with neither hard links nor `RENAME_NOREPLACE`.
    pub created: bool,
    /// The metadata that a reader of the file sees.
    pub metadata: Metadata,
    /// The modification time that was set, in nanoseconds since 1970. No other upload of this run has it. The file
    /// system may have rounded it to one that other files share; `metadata` contains the rounded time.
    pub modified_ns: u64,
}

/// An upload in progress. Dropping it without a commit removes its content.
///
/// It has one descriptor for the content, and one for the directory if that is not the root.
#[derive(Debug)]
pub struct Upload<F: FileSystem = Native> {
    // Fields are dropped in this order: the temporary name must be removed while the file is still locked.
    temporary: Option<TemporaryFile<F>>,
    /// The file that a durable upload has replaced, until the new name is on the disk.
    replaced: Option<TemporaryFile<F>>,
    file: F::File,
    /// Where the file is published, or the nearest directory above that exists.
    parent: Ancestor<F>,
    root: Rc<Root<F>>,
    path: RelativePath,
    mode: UploadMode,
    /// The file that a reader found under the name when the upload began.
    existing: Option<Metadata>,
    bytes_expected: Option<u64>,
    reservation: Reservation,
    durable: bool,
    /// Whether it is part of a resumable upload, whose saved content must survive a failed publication.
    is_resumable: bool,
    bytes_written: u64,
    /// The annotation that is stored with the published file.
    annotation: Option<Vec<u8>>,
    /// Set when a write fails, since a part of its content may be missing.
    has_failed: bool,
}

impl<F: FileSystem> Upload<F> {
    pub(super) fn begin(
        root: Rc<Root<F>>,
        path: RelativePath,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
    ) -> Result<Self, StorageError> {
        Self::begin_with(root, path, mode, bytes_expected, durable, create_content)
    }

    /// As [`begin`](Upload::begin), but the content has the temporary name `name` from the start, as that of a resumable
    /// upload must.
    pub(super) fn begin_named(
        root: Rc<Root<F>>,
        path: RelativePath,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
        name: &TemporaryName,
    ) -> Result<Self, StorageError> {
        let upload = Self::begin_with(root, path, mode, bytes_expected, durable, |root, parent| {
            let (temporary, file) = TemporaryFile::create_named(root.file_system(), parent, name)?;
            Ok((Some(temporary), file))
        })?;
        Ok(Upload { is_resumable: true, ..upload })
    }

    fn begin_with(
        root: Rc<Root<F>>,
        path: RelativePath,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
        create: impl FnOnce(&Root<F>, &Rc<F::File>) -> Result<(Option<TemporaryFile<F>>, F::File), Errno>,
    ) -> Result<Self, StorageError> {
        let parent = Ancestor::open(&root, &path, durable)?;
        root.clean_up(&parent.directory, &path);
        let existing = root.existing_below(&parent, &path)?;
        if mode == UploadMode::CreateOnly && !matches!(existing, ExistingEntry::Absent) {
            return Err(StorageError::AlreadyExists);
        }
        let bytes_free = || root.file_system().free_bytes(&parent.directory).unwrap_or(u64::MAX);
        if bytes_expected.is_some_and(|bytes| bytes > root.bytes_max() || bytes > bytes_free()) {
            return Err(StorageError::DiskFull);
        }
        let (temporary, file) = create(&root, &parent.directory).map_err(StorageError::from_publication)?;
        Ok(Upload {
            temporary,
            replaced: None,
            file,
            parent,
            root,
            path,
            mode,
            existing: existing.metadata().copied(),
            bytes_expected,
            reservation: Reservation::new(bytes_expected),
            durable,
            is_resumable: false,
            bytes_written: 0,
            annotation: None,
            has_failed: false,
        })
    }

    /// Continues an upload whose content has the name `temporary` and `bytes_written` bytes. The next write to `file`
    /// appends to them.
    pub(super) fn resume(
        root: Rc<Root<F>>,
        path: RelativePath,
        durable: bool,
        parent: Ancestor<F>,
        mut temporary: TemporaryFile<F>,
        file: F::File,
        bytes_written: u64,
    ) -> Result<Self, StorageError> {
        temporary.keep_on_drop(true);
        let existing = root.existing_below(&parent, &path)?.metadata().copied();
        Ok(Upload {
            temporary: Some(temporary),
            replaced: None,
            file,
            parent,
            root,
            path,
            mode: UploadMode::Replace,
            existing,
            bytes_expected: None,
            reservation: Reservation::new(None),
            durable,
            is_resumable: true,
            bytes_written,
            annotation: None,
            has_failed: false,
        })
    }

    /// The directory that contains the content if it has a name.
    pub(super) fn parent(&self) -> &Rc<F::File> {
        &self.parent.directory
    }

    /// The path of the file that the upload becomes, from that directory on.
    pub(super) fn relative_path(&self) -> &[u8] {
        self.parent.relative(&self.path)
    }

    pub(super) fn set_mode(&mut self, mode: UploadMode) {
        self.mode = mode;
    }

    /// Sets whether content that has a temporary name stays when the upload is dropped.
    pub(super) fn keep_on_drop(&mut self, keeps: bool) {
        if let Some(temporary) = &mut self.temporary {
            temporary.keep_on_drop(keeps);
        }
    }

    pub(super) fn content_metadata(&self) -> Result<Metadata, StorageError> {
        self.root.stat(&self.file)
    }

    /// Flushes the content, if the upload is durable.
    pub(super) fn flush_content(&self) -> Result<(), StorageError> {
        if self.durable { flush(self.root.file_system(), &self.file) } else { Ok(()) }
    }

    /// Removes content from the end, so that `bytes` bytes remain.
    pub(super) fn truncate(&mut self, bytes: u64) -> Result<(), StorageError> {
        retry_on_intr(|| self.root.file_system().truncate(&self.file, bytes)).map_err(StorageError::from_errno)?;
        self.bytes_written = bytes;
        self.reservation.forget();
        self.has_failed = false;
        Ok(())
    }

    /// Announces how many more bytes will be written, if that is known.
    pub(super) fn announce(&mut self, bytes: Option<u64>) {
        self.reservation = Reservation::new(bytes.and_then(|bytes| self.bytes_written.checked_add(bytes)));
    }

    /// Frees space that was reserved for content that has not arrived.
    pub(super) fn free_reserved(&mut self) {
        self.reservation.free(self.root.file_system(), &self.file, self.bytes_written);
    }

    /// Appends content.
    ///
    /// # Errors
    /// After an error the upload cannot be committed any more.
    pub fn write(&mut self, content: &[u8]) -> Result<(), StorageError> {
        let written = self.append(content);
        self.has_failed |= written.is_err();
        written
    }

    fn append(&mut self, content: &[u8]) -> Result<(), StorageError> {
        let bytes = u64::try_from(content.len()).ok().and_then(|bytes| self.bytes_written.checked_add(bytes));
        // A write beyond the process's limit (RLIMIT_FSIZE) would raise SIGXFSZ, which ends the process.
        let bytes = bytes.filter(|&bytes| bytes <= self.root.bytes_max()).ok_or(StorageError::DiskFull)?;
        self.reservation.extend(
            self.root.file_system(),
            &self.file,
            self.bytes_written,
            self.root.reserve_bytes_min.get(),
        );
        let write = |content: &[u8]| self.root.file_system().write(&self.file, content);
        write_all(write, content).map_err(StorageError::from_errno)?;
        self.bytes_written = bytes;
        Ok(())
    }

    /// The file that a reader found under the name when the upload began; `None` if there was none. The caller may
    /// refuse the upload because of it. Whether it is published depends on the condition of [`commit`](Upload::commit)
    /// alone.
    pub fn existing(&self) -> Option<&Metadata> {
        self.existing.as_ref()
    }

    /// How many bytes have been written.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Stores `annotation` with the published file, if the file system supports extended attributes: see
    /// [`OpenedFile::annotation`](super::OpenedFile::annotation).
    pub fn annotate(&mut self, annotation: Vec<u8>) {
        self.annotation = Some(annotation);
    }

    /// Publishes the content under its name.
    ///
    /// The modification time becomes `unix_ns`, in nanoseconds since 1970: to the microsecond, and a little later if
    /// another upload of this run already has that time. `condition` is called just before the publication, with the
    /// file that a reader finds under the name (`None` if there is none), and once more if another process creates the
    /// name meanwhile.
    ///
    /// If the upload is durable, its content and its name are on the disk when this returns.
    ///
    /// # Errors
    /// [`StorageError::ConditionFailed`] if `condition` returns `false`. An unexpected end if the upload is shorter or
    /// longer than expected, or if one of its writes has failed.
    ///
    /// After an error the name is as it was before, with two exceptions: the new name of a durable upload could not be
    /// flushed, so that it may not survive a power failure, or the system could not stat the published file, as may
    /// happen on a network file system. In both cases the new file is visible.
    pub fn commit(
        self,
        unix_ns: u64,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<Published, StorageError> {
        let modified_ns = self.set_modified(unix_ns)?;
        self.commit_modified(modified_ns, condition)
    }

    /// Sets a modification time that no other upload of this run has, and returns it. It is set before the file gets its
    /// name, so that no reader sees it with another time.
    pub(super) fn set_modified(&self, unix_ns: u64) -> Result<u64, StorageError> {
        if self.has_failed || self.bytes_expected.is_some_and(|expected| expected != self.bytes_written) {
            return Err(StorageError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let modified_ns = self.root.unique_modified_ns(unix_ns);
        let file_system = self.root.file_system();
        retry_on_intr(|| file_system.set_modified(&self.file, modified_ns)).map_err(StorageError::from_errno)?;
        Ok(modified_ns)
    }

    /// The rest of a [`commit`](Upload::commit), after [`set_modified`](Upload::set_modified).
    pub(super) fn commit_modified(
        mut self,
        modified_ns: u64,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<Published, StorageError> {
        let file_system = self.root.file_system();
        if let Some(annotation) = &self.annotation {
            // After the time was set: the file system may have rounded it.
            annotation::write(file_system, &self.file, &self.root.stat(&self.file)?, annotation);
        }
        check_close_errors(file_system, &self.file)?;
        if self.durable {
            flush(file_system, &self.file)?;
        }
        if !self.root.is_directory_at(&self.parent.directory, self.parent.path(&self.path))? {
            return Err(StorageError::ParentMissing);
        }
        let created = match self.parent.is_parent(&self.path) {
            true => self.publish(condition)?,
            false => self.publish_in_new_directory(condition)?,
        };
        let keeps_saved_name = self.durable && self.is_resumable && self.temporary.is_some();
        // Without a journal the disk could otherwise lose the old name before it has the new one, and with both the
        // content that was saved.
        let flushed = if keeps_saved_name { self.flush_name() } else { Ok(()) };
        // Removes the temporary name now, since that changes the file's times once more.
        self.temporary = None;
        let metadata = flushed.and_then(|()| self.published_metadata(self.durable && !keeps_saved_name));
        match self.replaced.take() {
            // On the disk the name may lead to either file, so the old one stays until a later cleanup.
            Some(replaced) if metadata.is_err() => replaced.leak(),
            replaced => drop(replaced),
        }
        Ok(Published { created, metadata: metadata?, modified_ns })
    }

    /// The metadata of the published file. `must_flush`: the name is not on the disk yet.
    fn published_metadata(&self, must_flush: bool) -> Result<Metadata, StorageError> {
        let metadata = require_regular(&self.root.stat(&self.file)?)?;
        if must_flush {
            self.flush_name()?;
        }
        Ok(metadata)
    }

    /// Flushes the file and its directory. The file was flushed before, but without its name. On a file system without
    /// a journal the disk may therefore have it with a link count of 0, and a file system check would remove the name.
    fn flush_name(&self) -> Result<(), StorageError> {
        flush(self.root.file_system(), &self.file)?;
        flush_directory(&self.root, &self.parent.directory)
    }

    /// Creates the directories that are missing, and gives the content its name in the last one. If that fails, removes
    /// them again.
    fn publish_in_new_directory(
        &mut self,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<bool, StorageError> {
        // Before anything is created. The directory may exist by now, and the file too.
        if !condition(self.root.existing_below(&self.parent, &self.path)?.metadata()) {
            return Err(StorageError::ConditionFailed);
        }
        let (directories, last) = NewDirectories::create(&self.root, &self.parent, &self.path, self.durable)?;
        self.parent = Ancestor { directory: last, path_bytes: self.path.parent().map_or(0, <[u8]>::len) };
        let created = self.publish(condition)?;
        directories.keep();
        Ok(created)
    }

    /// Gives the content its name. Returns whether the name did not exist before.
    fn publish(&mut self, condition: impl Fn(Option<&Metadata>) -> bool) -> Result<bool, StorageError> {
        for _ in 0..ATTEMPTS_MAX {
            let existing = self.root.existing_entry(&self.parent.directory, &self.path)?;
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
                // Another process has just created the name: the condition must be checked against its file.
                Err(Errno::EXIST) if self.mode == UploadMode::Replace => {}
                result => return result.map_err(StorageError::from_publication),
            }
        }
        Err(StorageError::Busy)
    }

    fn publish_as_new(&mut self) -> Result<(), Errno> {
        let linked = match &mut self.temporary {
            Some(temporary) => temporary.publish_as_new(&self.parent.directory, self.path.name()),
            None => retry_on_intr(|| {
                self.root.file_system().link_unnamed(&self.file, &self.parent.directory, self.path.name())
            }),
        };
        match linked {
            // Without hard links and RENAME_NOREPLACE a plain rename is safe for `Replace`; for `CreateOnly` it would
            // race with other processes, so that is an error.
            Err(no_links) if lacks_hard_links(no_links) && self.mode == UploadMode::Replace => self.replace(false),
            result => result,
        }
    }

    fn replace(&mut self, existing_is_file: bool) -> Result<(), Errno> {
        let temporary = match self.temporary.take() {
            // The saved content keeps its name until the new one is on the disk, if it can have both.
            Some(saved) if self.durable && self.is_resumable => {
                let names = self.root.temporary_names();
                match TemporaryFile::link_existing(self.root.file_system(), saved.parent(), saved.name(), names)? {
                    Some(second) => {
                        self.temporary = Some(saved);
                        second
                    }
                    None => saved,
                }
            }
            Some(temporary) => temporary,
            // Only a rename replaces a file, and an unnamed file needs a name to be renamed.
            None => {
                let file_system = self.root.file_system();
                let temporary =
                    TemporaryFile::link(file_system, &self.parent.directory, &self.file, self.root.temporary_names())?;
                // Without a journal, a power failure after the rename could leave the name pointing to a file whose
                // link count on the disk is still 0. A file system check would then remove the name, and the old file
                // would be lost too.
                if self.durable {
                    retry_on_intr(|| file_system.sync(&self.file))?;
                }
                temporary
            }
        };
        // Without a journal, the disk could free the old file before its directory points to the new one. A file system
        // check would then remove the name, and a version that was acknowledged long ago would be lost.
        if self.durable && existing_is_file {
            let names = self.root.temporary_names();
            self.replaced =
                TemporaryFile::link_existing(self.root.file_system(), &self.parent.directory, self.path.name(), names)?;
        }
        temporary.replace(&self.parent.directory, self.path.name())
    }
}

/// Creates the file for the content, without a name where the system can do that.
fn create_content<F: FileSystem>(
    root: &Root<F>,
    parent: &Rc<F::File>,
) -> Result<(Option<TemporaryFile<F>>, F::File), Errno> {
    if root.unnamed_files() {
        match retry_on_intr(|| root.file_system().create_unnamed(parent)) {
            Ok(file) => return Ok((None, file)),
            // Kernels and file systems without unnamed files return one of several errors. EPERM also comes from ext4
            // in a removed directory. Creating a temporary file then returns the error that tells the cases apart.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => {}
            Err(errno) => return Err(errno),
        }
    }
    TemporaryFile::create(root.file_system(), parent, root.temporary_names())
        .map(|(temporary, file)| (Some(temporary), file))
}

/// Returns the errors that some file systems (NFS, many in user space) report only when a file is closed, such as an
/// exceeded quota. The file itself must stay open: without a name it would be lost.
fn check_close_errors<F: FileSystem>(file_system: &F, file: &F::File) -> Result<(), StorageError> {
    match file_system.close_errors(file) {
        // Without a free descriptor the check is not possible. After EINTR it cannot be repeated, since the descriptor
        // is closed and its error is lost. Flushing reports the same errors, but takes longer.
        Err(Errno::MFILE | Errno::NFILE | Errno::INTR) => flush(file_system, file),
        checked => checked.map_err(StorageError::from_errno),
    }
}

/// Flushes the entries of a directory, if the file system can.
pub(super) fn flush_directory<F: FileSystem>(root: &Root<F>, directory: &F::File) -> Result<(), StorageError> {
    match retry_on_intr(|| root.file_system().sync(directory)) {
        Err(errno) if CANNOT_FLUSH.contains(&errno) => {
            root.warn_that_directories_cannot_be_flushed(errno);
            Ok(())
        }
        flushed => flushed.map_err(StorageError::from_errno),
    }
}

pub(super) fn flush<F: FileSystem>(file_system: &F, file: &F::File) -> Result<(), StorageError> {
    retry_on_intr(|| file_system.sync(file)).map_err(StorageError::from_errno)
}
