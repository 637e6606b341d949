//! The root directory: everything else in storage opens, stats and writes files through it.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;

use super::cleanup::{Cleanup, Expiry};
use super::close_errors::CloseErrors;
use super::metadata::FileId;
use super::modification_times::ModificationTimes;
use super::new_directories::Ancestor;
use super::path_resolution::{PathResolution, open_directory};
use super::pending_uploads::{PendingCounts, PendingPlace, PendingUploads};
use super::reservation::RESERVE_BYTES_MIN;
use super::retry::retry_on_intr;
use super::state_file::pending_state;
use super::temporary_file::{TemporaryName, TemporaryNames};
use super::{
    Access, EndedUpload, FileKind, FileSystem, FoundUpload, Listing, Metadata, Native, OpenedFile, PartialUpload,
    RelativePath, StorageError, SymlinkedDirectories, Symlinks, Upload, UploadId, UploadMode,
};

/// The open directory whose files are served. All operations stay beneath it, even if it is moved or replaced by
/// another one of the same name.
#[derive(Clone, Debug)]
pub struct Directory<F: FileSystem = Native> {
    pub(super) root: Rc<Root<F>>,
}

impl Directory {
    /// Opens the root. The error says which directory could not be opened.
    ///
    /// `seed` seeds the generator of the names of temporary files. Another process may use the same seed.
    pub fn open(path: &Path, seed: u64) -> Result<Directory, io::Error> {
        Self::open_in(Native, path, seed)
    }
}

impl<F: FileSystem> Directory<F> {
    /// As [`open`](Directory::open), on any [`FileSystem`].
    pub fn open_in(file_system: F, path: &Path, seed: u64) -> Result<Directory<F>, io::Error> {
        Self::open_root(file_system, path, seed).map_err(|errno| {
            let error = io::Error::from(errno);
            io::Error::new(error.kind(), format!("cannot open the directory {path:?}: {error}"))
        })
    }

    fn open_root(file_system: F, path: &Path, seed: u64) -> Result<Directory<F>, Errno> {
        let (directory, is_readable) =
            open_directory(|access| retry_on_intr(|| file_system.open_root(path, access)), false)?;
        let id = retry_on_intr(|| file_system.stat(&directory))?.file_id();
        let root = Root {
            close_errors: CloseErrors::detect(&file_system, &directory, id),
            id,
            path_resolution: PathResolution::detect(&file_system, &directory)?,
            unnamed_files: file_system.can_link_unnamed(&directory),
            bytes_max: file_system.file_size_max(),
            boot_id: file_system.boot_id(),
            directory: Rc::new(directory),
            file_system,
            is_readable,
            cleanup: Cleanup::default(),
            temporary_names: TemporaryNames::new(seed),
            modification_times: Cell::default(),
            pending_uploads: PendingUploads::default(),
            creates_directories: Cell::new(false),
            reserve_bytes_min: Cell::new(RESERVE_BYTES_MIN),
            has_warned: Cell::new(false),
        };
        Ok(Directory { root: Rc::new(root) })
    }

    /// Opens a regular file for reading. Links that stay beneath the root are followed, if the system has `openat2`;
    /// otherwise a path through a link is [`StorageError::NotFound`].
    ///
    /// A FIFO, a socket, a device or a directory is [`StorageError::NotRegularFile`]. The open never waits.
    pub fn open_file(&self, path: &RelativePath) -> Result<OpenedFile<F>, StorageError> {
        let file = self.root.open(path.as_bytes(), Access::Read).map_err(StorageError::from_lookup)?;
        let metadata = require_regular(&self.root.stat(&file)?)?;
        Ok(OpenedFile::new(self.root.file_system.clone(), file, path.clone(), metadata))
    }

    /// The metadata of the regular file that [`open_file`](Self::open_file) would open. Errors are the same, except
    /// that on systems with `O_PATH` no permission to read the file is needed.
    pub fn metadata(&self, path: &RelativePath) -> Result<Metadata, StorageError> {
        self.root.metadata(path)
    }

    /// Whether `path` still leads to the file with this metadata. It takes one system call.
    ///
    /// Only revalidates a cache entry, whose file was opened with [`open_file`](Self::open_file) under the same path.
    /// It does not confine the path to the root, so it must never decide a 404.
    pub fn is_current(&self, path: &RelativePath, metadata: &Metadata) -> bool {
        self.root.stat_at(&self.root.directory, path.as_bytes(), Symlinks::Follow).is_ok_and(|found| found == *metadata)
    }

    /// Opens a directory to list its entries; `None` is the root. Links are followed as in
    /// [`open_file`](Self::open_file).
    ///
    /// # Errors
    /// [`StorageError::NotFound`] also if the path does not lead to a directory.
    pub fn list(
        &self,
        path: Option<&RelativePath>,
        symlinked_directories: SymlinkedDirectories,
    ) -> Result<Listing<F>, StorageError> {
        Listing::open(Rc::clone(&self.root), path, symlinked_directories)
    }

    /// Whether `path` is a directory. No permission to read it is needed on systems with `O_PATH`.
    ///
    /// # Errors
    /// A permission is missing, the disk failed, or no descriptor was left: the directory may exist.
    pub fn is_directory(&self, path: &RelativePath) -> Result<bool, StorageError> {
        match self.root.open(path.as_bytes(), Access::Traverse).map_err(StorageError::from_lookup) {
            Ok(_) => Ok(true),
            Err(StorageError::NotFound | StorageError::NotRegularFile) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes uploads create the directories that they need, when they are published. Without this call, an upload to a
    /// directory that does not exist is [`StorageError::ParentMissing`].
    pub fn create_missing_directories(&self) {
        self.root.creates_directories.set(true);
    }

    /// Begins an upload to `path`. It becomes visible there when it is committed.
    ///
    /// `bytes_expected` is the length of the content, if it is known. A `durable` upload is on the disk when its commit
    /// returns. The server needs permission to read its directory, since it can only flush a directory that is open for
    /// reading.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`] if at least 64 KiB are expected, and more than are free on the disk. Without this
    /// error, the space may still run out: others write too, a quota may be smaller than the disk, and some file systems
    /// do not report the free space. It is not reserved at the beginning either, because then a client that announces
    /// much and sends nothing would take it from the others. While the content arrives, at most as much as has arrived
    /// is reserved.
    ///
    /// [`StorageError::PermissionDenied`] if the upload is durable and its directory cannot be read.
    ///
    /// [`StorageError::NotRegularFile`] if the name exists and is neither a regular file nor a link, and
    /// [`StorageError::AlreadyExists`] if it exists and the mode is [`UploadMode::CreateOnly`]. The commit checks both
    /// again.
    pub fn begin_upload(
        &self,
        path: &RelativePath,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
    ) -> Result<Upload<F>, StorageError> {
        Upload::begin(Rc::clone(&self.root), path.clone(), mode, bytes_expected, durable)
    }
}

/// Resumable uploads.
impl<F: FileSystem> Directory<F> {
    /// Sets the time after its last byte until a resumable upload expires, in nanoseconds. By default it never expires.
    pub fn set_partial_upload_age_max(&self, age_ns: u64) {
        self.root.pending_uploads.set_age_max(age_ns);
    }

    /// Sets the current time, in nanoseconds since 1970. Resumable uploads expire by it.
    pub fn set_time(&self, unix_ns: u64) {
        self.root.pending_uploads.set_time(unix_ns);
    }

    /// The number of resumable uploads that this run knows of, and that have neither ended nor expired. It knows those
    /// that it has begun or [found](Self::find_partial_upload), and those that a cleanup has seen.
    pub fn partial_uploads(&self) -> usize {
        self.root.pending_uploads.counts(None).all
    }

    /// The same, and how many of them have this holder; none if there is none.
    pub fn partial_upload_counts(&self, holder: Option<&str>) -> PendingCounts {
        self.root.pending_uploads.counts(holder)
    }

    /// Looks at a few of the uploads that are counted, at others each time, and no longer counts those that another process
    /// has ended. An upload whose directory has been moved is still counted.
    pub fn look_at_partial_uploads(&self) {
        self.root.pending_uploads.look(|place, name| self.root.has_ended(place, name));
    }

    /// Begins an upload to `path` that can be continued by its `id`. `creation` is stored with it for the caller.
    /// Otherwise as [`begin_upload`](Self::begin_upload).
    pub fn begin_partial_upload(
        &self,
        id: UploadId,
        path: &RelativePath,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
        creation: Vec<u8>,
    ) -> Result<PartialUpload<F>, StorageError> {
        PartialUpload::begin(Rc::clone(&self.root), id, path.clone(), mode, bytes_expected, durable, creation)
    }

    /// Finds the upload `id` to `path`, to continue it.
    ///
    /// # Errors
    /// [`StorageError::Busy`] if another process has it open. [`StorageError::NotFound`] if it does not exist, has
    /// expired, or the disk has lost a part of it.
    pub fn find_partial_upload(
        &self,
        id: UploadId,
        path: &RelativePath,
        durable: bool,
    ) -> Result<FoundUpload<F>, StorageError> {
        PartialUpload::find(Rc::clone(&self.root), id, path.clone(), durable)
    }

    /// Removes the record of an upload that has ended.
    pub fn forget_partial_upload(&self, id: UploadId, path: &RelativePath) {
        EndedUpload::forget(&self.root, id, path);
    }
}

#[cfg(test)]
impl<F: FileSystem> Directory<F> {
    pub(super) fn follows_links(&self) -> bool {
        self.root.path_resolution == PathResolution::Openat2
    }
}

/// The state of a [`Directory`], which its uploads and listings share.
#[derive(Debug)]
pub(super) struct Root<F: FileSystem> {
    file_system: F,
    pub(super) directory: Rc<F::File>,
    /// Its device and its inode number.
    pub(super) id: FileId,
    pub(super) close_errors: CloseErrors,
    /// Whether the root is open for reading, so that it can be flushed.
    is_readable: bool,
    path_resolution: PathResolution,
    /// Whether a file can be created without a name and get one later.
    unnamed_files: bool,
    /// The size limit of files that this process writes (`RLIMIT_FSIZE`), in bytes. To write more ends the process.
    bytes_max: Option<u64>,
    /// As [`FileSystem::boot_id`].
    boot_id: Option<u64>,
    cleanup: Cleanup<F>,
    temporary_names: TemporaryNames,
    modification_times: Cell<ModificationTimes>,
    /// The resumable uploads that this run knows of.
    pending_uploads: PendingUploads,
    /// Whether uploads create the directories that they need.
    creates_directories: Cell<bool>,
    /// The length from which on space is reserved for an upload, in bytes.
    pub(super) reserve_bytes_min: Cell<u64>,
    /// Whether this run has logged that directories cannot be flushed.
    has_warned: Cell<bool>,
}

/// What exists under the name of an upload.
pub(super) enum ExistingEntry {
    Absent,
    File(Metadata),
    /// A symbolic link, and the file that a reader finds through it.
    Symlink(Option<Metadata>),
}

impl ExistingEntry {
    /// The file that a reader finds under the name.
    pub(super) fn metadata(&self) -> Option<&Metadata> {
        match self {
            ExistingEntry::Absent => None,
            ExistingEntry::File(metadata) => Some(metadata),
            ExistingEntry::Symlink(metadata) => metadata.as_ref(),
        }
    }
}

impl<F: FileSystem> Root<F> {
    pub(super) fn file_system(&self) -> &F {
        &self.file_system
    }

    pub(super) fn open(&self, path: &[u8], access: Access) -> Result<F::File, Errno> {
        self.path_resolution.open(&self.file_system, &self.directory, path, access)
    }

    pub(super) fn stat(&self, file: &F::File) -> Result<Metadata, StorageError> {
        retry_on_intr(|| self.file_system.stat(file)).map_err(StorageError::from_errno)
    }

    fn stat_at(&self, directory: &F::File, path: &[u8], symlinks: Symlinks) -> Result<Metadata, Errno> {
        retry_on_intr(|| self.file_system.stat_at(directory, path, symlinks))
    }

    pub(super) fn metadata(&self, path: &RelativePath) -> Result<Metadata, StorageError> {
        let file = self.open(path.as_bytes(), Access::Stat).map_err(StorageError::from_lookup)?;
        require_regular(&self.stat(&file)?)
    }

    /// Opens the directory of `path`. With `must_flush` it is an error if the directory cannot be opened in a way that
    /// allows to flush it.
    pub(super) fn open_parent(&self, path: &RelativePath, must_flush: bool) -> Result<Rc<F::File>, StorageError> {
        self.open_directory_at(path.parent().unwrap_or_default(), must_flush)
    }

    /// Opens a directory of which `path` is the path, or the root if that is empty.
    pub(super) fn open_directory_at(&self, path: &[u8], must_flush: bool) -> Result<Rc<F::File>, StorageError> {
        if path.is_empty() {
            return match must_flush && !self.is_readable {
                true => Err(StorageError::PermissionDenied),
                false => Ok(Rc::clone(&self.directory)),
            };
        }
        match open_directory(|access| self.open(path, access), must_flush) {
            Ok((directory, _)) => Ok(Rc::new(directory)),
            Err(errno) => Err(StorageError::from_parent(errno)),
        }
    }

    /// Whether `directory` is still at `path`, and was not removed or moved since it was opened. Always true of the root,
    /// whose path is empty.
    pub(super) fn is_directory_at(&self, directory: &F::File, path: &[u8]) -> Result<bool, StorageError> {
        if path.is_empty() {
            return Ok(true);
        }
        let found = match self.open(path, Access::Traverse) {
            Ok(directory) => self.stat(&directory)?,
            // Without a free descriptor an upload in progress can still be committed. The lookup may leave the root
            // then, but it must lead to this directory all the same.
            Err(Errno::MFILE | Errno::NFILE) => {
                self.stat_at(&self.directory, path, Symlinks::Follow).map_err(StorageError::from_parent)?
            }
            Err(errno) => return Err(StorageError::from_parent(errno)),
        };
        Ok(found.is_same_file(&self.stat(directory)?))
    }

    /// The metadata of the entry `name` of `parent` itself. `None` if there is none.
    pub(super) fn stat_entry(&self, parent: &F::File, name: &[u8]) -> Result<Option<Metadata>, Errno> {
        match self.stat_at(parent, name, Symlinks::NoFollow) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// What exists under the name of `path` in `parent`, its directory.
    pub(super) fn existing_entry(&self, parent: &F::File, path: &RelativePath) -> Result<ExistingEntry, StorageError> {
        let stat = self.stat_entry(parent, path.name()).map_err(StorageError::from_publication)?;
        let Some(stat) = stat else { return Ok(ExistingEntry::Absent) };
        if stat.kind != FileKind::Symlink {
            return require_regular(&stat).map(ExistingEntry::File);
        }
        match self.metadata(path) {
            Ok(metadata) => Ok(ExistingEntry::Symlink(Some(metadata))),
            Err(StorageError::NotFound | StorageError::NotRegularFile | StorageError::PermissionDenied) => {
                Ok(ExistingEntry::Symlink(None))
            }
            Err(error) => Err(error),
        }
    }

    /// What exists under `path`, of which `ancestor` is open. Nothing, if its directory does not exist.
    pub(super) fn existing_below(
        &self,
        ancestor: &Ancestor<F>,
        path: &RelativePath,
    ) -> Result<ExistingEntry, StorageError> {
        if ancestor.is_parent(path) {
            return self.existing_entry(&ancestor.directory, path);
        }
        match self.open_parent(path, false) {
            Ok(parent) => self.existing_entry(&parent, path),
            Err(StorageError::ParentMissing) => Ok(ExistingEntry::Absent),
            Err(error) => Err(error),
        }
    }

    /// Whether uploads create the directories that they need.
    pub(super) fn creates_directories(&self) -> bool {
        self.creates_directories.get()
    }

    /// The device and the inode number of an open directory.
    pub(super) fn directory_id(&self, directory: &Rc<F::File>) -> Result<FileId, Errno> {
        if Rc::ptr_eq(directory, &self.directory) {
            return Ok(self.id);
        }
        retry_on_intr(|| self.file_system.stat(directory)).map(|metadata| metadata.file_id())
    }

    /// Does a slice of the cleanup, before an upload of `path` to its directory `parent` with this id.
    pub(super) fn clean_up(&self, parent: &Ancestor<F>, id: Result<FileId, Errno>, path: &RelativePath) {
        self.cleanup.run_slice(&self.file_system, parent, id, path, self.expiry(), &|place, directory, name| {
            // An error is no reason to refuse the upload. Without its state, an upload cannot be continued either.
            if let Ok(Some(written_ns)) = pending_state(self, directory, name) {
                self.pending_uploads.insert_found(name, written_ns, Some(place));
            }
        });
    }

    /// What is remembered of the directory that contains the files of an upload to `path`.
    pub(super) fn pending_place(&self, ancestor: &Ancestor<F>, path: &RelativePath) -> Option<Rc<PendingPlace>> {
        let id = self.directory_id(&ancestor.directory).ok()?;
        Some(Rc::new(PendingPlace { path: ancestor.path(path).into(), id }))
    }

    /// Whether the directory is where it was, and has no state file of this name any more, or one of an upload that has
    /// ended.
    fn has_ended(&self, place: &PendingPlace, name: &TemporaryName) -> bool {
        let directory = self.open_directory_at(&place.path, false);
        let Some(directory) = directory.ok().filter(|directory| self.directory_id(directory) == Ok(place.id)) else {
            return false;
        };
        matches!(pending_state(self, &directory, name), Ok(None))
    }

    /// Has the cleanup look at `parent` again, in which a resumable upload has begun.
    pub(super) fn expect_partial_upload(&self, parent: &F::File) {
        self.cleanup.expect_partial(&self.file_system, parent, self.expiry());
    }

    pub(super) fn unnamed_files(&self) -> bool {
        self.unnamed_files
    }

    pub(super) fn temporary_names(&self) -> &TemporaryNames {
        &self.temporary_names
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max.unwrap_or(u64::MAX)
    }

    /// Warns once per run, since the same is true of every upload.
    pub(super) fn warn_that_directories_cannot_be_flushed(&self, errno: Errno) {
        if !self.has_warned.replace(true) {
            log::warn!(
                "the file system cannot flush directories: an upload is on the disk, but its name may not be: {errno}"
            );
        }
    }

    pub(super) fn boot_id(&self) -> Option<u64> {
        self.boot_id
    }

    pub(super) fn pending_uploads(&self) -> &PendingUploads {
        &self.pending_uploads
    }

    /// When resumable uploads expire.
    pub(super) fn expiry(&self) -> Expiry {
        self.pending_uploads.expiry()
    }

    /// The modification time for an upload that is committed at `unix_ns`. No other upload of this run has it.
    pub(super) fn unique_modified_ns(&self, unix_ns: u64) -> u64 {
        let mut times = self.modification_times.get();
        let next = times.next(unix_ns);
        self.modification_times.set(times);
        next
    }
}

/// Returns the metadata if it is that of a regular file. A link occurs only where links are not followed, and counts as
/// not found.
pub(super) fn require_regular(metadata: &Metadata) -> Result<Metadata, StorageError> {
    match metadata.kind {
        FileKind::Regular => Ok(*metadata),
        FileKind::Symlink => Err(StorageError::NotFound),
        FileKind::Directory | FileKind::Other => Err(StorageError::NotRegularFile),
    }
}
