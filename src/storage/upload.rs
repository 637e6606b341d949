//! An upload: its content is written to a file without a name, or with a temporary one, and then published in one step.

use std::rc::Rc;

use rustix::io::Errno;

use super::commit::flush;
use super::content_file::ContentFile;
use super::directory::{ExistingEntry, Root};
use super::new_directories::Ancestor;
use super::reservation::Reservation;
use super::retry::{retry_on_intr, write_all};
use super::temporary_file::{TemporaryFile, TemporaryName};
use super::{FileSystem, Metadata, Native, RelativePath, StorageError};

/// The length, in bytes, from which on an upload is refused at its beginning if the disk has too little space for it. To
/// ask costs as much as to write a page. The client of a shorter upload learns soon enough that it did not fit.
pub(super) const CHECKED_BYTES_MIN: u64 = 64 * 1024;

/// What an upload does to an existing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// It fails if the name exists. The kernel decides, so that of several processes exactly one creates the file.
    CreateOnly,
    /// It replaces the file. A link itself is replaced, not its target.
    Replace,
}

/// An upload in progress. Dropping it without a commit removes its content.
///
/// It has one descriptor for the content, and one for the directory if that is not the root.
#[derive(Debug)]
pub struct Upload<F: FileSystem = Native> {
    // Fields are dropped in this order: the temporary name must be removed while the file is still locked.
    pub(super) temporary: Option<TemporaryFile<F>>,
    /// The name of the file that a durable upload has replaced, until the new name is on the disk.
    pub(super) replaced: Option<TemporaryFile<F>>,
    /// That file itself, if it is long. It is closed after it has lost its last name.
    pub(super) replaced_file: Option<ContentFile<F>>,
    pub(super) file: ContentFile<F>,
    /// Where the file is published, or the nearest directory above that exists.
    pub(super) parent: Ancestor<F>,
    pub(super) root: Rc<Root<F>>,
    pub(super) path: RelativePath,
    pub(super) mode: UploadMode,
    /// The file that a reader found under the name when the upload began.
    existing: Option<Metadata>,
    pub(super) bytes_expected: Option<u64>,
    reservation: Reservation,
    pub(super) durable: bool,
    /// Whether the content was flushed with the link count that it has.
    pub(super) link_count_is_flushed: bool,
    /// Whether it is part of a resumable upload, whose saved content must survive a failed publication.
    pub(super) is_resumable: bool,
    /// Whether closing the content may report an error: see [`FileSystem::may_fail_at_close`].
    pub(super) may_fail_at_close: bool,
    pub(super) bytes_written: u64,
    /// The annotation that is stored with the published file.
    pub(super) annotation: Option<Vec<u8>>,
    /// Set when a write fails, since a part of its content may be missing.
    pub(super) has_failed: bool,
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
        let mut upload = Self::begin_with(root, path, mode, bytes_expected, durable, |root, parent| {
            let (temporary, file) = TemporaryFile::create_named(root.file_system(), parent, name)?;
            Ok((Some(temporary), file))
        })?;
        upload.is_resumable = true;
        Ok(upload)
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
        let parent_id = root.directory_id(&parent.directory);
        root.clean_up(&parent, parent_id, &path);
        let existing = root.existing_below(&parent, &path)?;
        if mode == UploadMode::CreateOnly && !matches!(existing, ExistingEntry::Absent) {
            return Err(StorageError::AlreadyExists);
        }
        if let Some(bytes) = bytes_expected {
            require_space(&root, &parent.directory, bytes)?;
        }
        let (temporary, file) = create(&root, &parent.directory).map_err(StorageError::from_publication)?;
        let file = ContentFile::new(root.file_system(), file, 0);
        let may_fail_at_close = root.close_errors.may_occur_in(parent_id);
        Ok(Upload {
            temporary,
            replaced: None,
            replaced_file: None,
            file,
            parent,
            root,
            path,
            mode,
            existing: existing.metadata().copied(),
            bytes_expected,
            reservation: Reservation::new(bytes_expected),
            durable,
            link_count_is_flushed: false,
            is_resumable: false,
            may_fail_at_close,
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
        file: ContentFile<F>,
        bytes_written: u64,
    ) -> Result<Self, StorageError> {
        temporary.keep_on_drop(true);
        let existing = root.existing_below(&parent, &path)?.metadata().copied();
        Ok(Upload {
            temporary: Some(temporary),
            replaced: None,
            replaced_file: None,
            file,
            parent,
            root,
            path,
            mode: UploadMode::Replace,
            existing,
            bytes_expected: None,
            reservation: Reservation::new(None),
            durable,
            link_count_is_flushed: false,
            is_resumable: true,
            may_fail_at_close: true,
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

    /// Whether the content has the name of the upload.
    pub(super) fn has_name(&self) -> Result<bool, StorageError> {
        has_name(&self.root, &self.parent, &self.path, &self.content_metadata()?)
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
        self.file.note_bytes(bytes);
        let write = |content: &[u8]| self.root.write(&self.file, content);
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

    /// Whether it is on the disk when its commit returns.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether the directory of the file did not exist when the upload began, so that its commit creates it.
    pub fn needs_directories(&self) -> bool {
        !self.parent.is_parent(&self.path)
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
}

/// Whether the file at `path`, of which `ancestor` is open, is the one with this metadata.
pub(super) fn has_name<F: FileSystem>(
    root: &Root<F>,
    ancestor: &Ancestor<F>,
    path: &RelativePath,
    file: &Metadata,
) -> Result<bool, StorageError> {
    let existing = root.existing_below(ancestor, path)?;
    Ok(matches!(existing, ExistingEntry::File(existing) if existing.is_same_file(file)))
}

/// Checks that content of `bytes` bytes fits. If it does only once the content of removed files has been freed, waits for
/// that, and never in vain: everybody waits.
fn require_space<F: FileSystem>(root: &Root<F>, directory: &F::File, bytes: u64) -> Result<(), StorageError> {
    if bytes > root.bytes_max() {
        return Err(StorageError::DiskFull);
    }
    let file_system = root.file_system();
    // Asked before the free space: what is freed in between may count twice, but it is not forgotten.
    let bytes_being_freed = file_system.bytes_being_freed();
    let bytes_free = || file_system.free_bytes(directory).unwrap_or(u64::MAX);
    if bytes < CHECKED_BYTES_MIN || bytes <= bytes_free() {
        return Ok(());
    }
    if bytes > bytes_free().saturating_add(bytes_being_freed) {
        return Err(StorageError::DiskFull);
    }
    file_system.wait_until_freed();
    if bytes <= bytes_free() { Ok(()) } else { Err(StorageError::DiskFull) }
}

/// Whether an unnamed file could not be created because the kernel or the file system has none: they return one of
/// several errors. `EPERM` also comes from ext4 in a removed directory.
pub(super) fn lacks_unnamed_files(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS)
}

/// Creates the file for the content, without a name where the system can do that.
fn create_content<F: FileSystem>(
    root: &Root<F>,
    parent: &Rc<F::File>,
) -> Result<(Option<TemporaryFile<F>>, F::File), Errno> {
    if root.unnamed_files() {
        match retry_on_intr(|| root.file_system().create_unnamed(parent)) {
            Ok(file) => return Ok((None, file)),
            // Creating a temporary file then returns the error that tells the cases apart.
            Err(errno) if lacks_unnamed_files(errno) => {}
            Err(errno) => return Err(errno),
        }
    }
    TemporaryFile::create(root.file_system(), parent, root.temporary_names())
        .map(|(temporary, file)| (Some(temporary), file))
}
