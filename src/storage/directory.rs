//! The root: what is below it can be opened, identified and written; nothing else can.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;

use super::cleanup::Cleanup;
use super::modification_times::ModificationTimes;
use super::path_resolution::PathResolution;
use super::retry::retry_on_intr;
use super::temporary_file::TemporaryNames;
use super::{
    Access, FileKind, FileSystem, Listing, Metadata, Native, RelativePath, StorageError, SymlinkedDirectories,
    Symlinks, Upload, UploadMode,
};

/// A directory whose files are served, held open. All that is asked of it stays beneath it, even where it is moved or
/// its name is taken by another.
#[derive(Clone, Debug)]
pub struct Directory<F: FileSystem = Native> {
    root: Rc<Root<F>>,
}

/// An open file, and the name under which it was found, for the log. Another file may have the name by now.
#[derive(Debug)]
pub struct NamedFile<F: FileSystem = Native> {
    file_system: F,
    file: F::File,
    name: RelativePath,
}

impl<F: FileSystem> NamedFile<F> {
    /// The name under which it was found.
    pub fn name(&self) -> &RelativePath {
        &self.name
    }

    /// Reads at `offset`, at most once: less than what fits may be read, and 0 bytes at the end of the file.
    pub(super) fn read_at(&self, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        retry_on_intr(|| self.file_system.read_at(&self.file, &mut *space, offset))
    }
}

impl<F: FileSystem<File: AsFd>> AsFd for NamedFile<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A regular file, open for reading, and which one it is.
#[derive(Clone, Debug)]
pub struct OpenedFile<F: FileSystem = Native> {
    /// The file. Reading it does not wait for anybody but the disk.
    pub file: Rc<NamedFile<F>>,
    /// What the system reported of it once it was open.
    pub metadata: Metadata,
}

impl<F: FileSystem> OpenedFile<F> {
    /// Whether the system still reports what it did when the file was opened.
    pub fn is_unchanged(&self) -> bool {
        let stat = retry_on_intr(|| self.file.file_system.stat(&self.file.file));
        stat.is_ok_and(|stat| require_regular(&stat).is_ok_and(|metadata| metadata == self.metadata))
    }
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
    /// As [`open`](Directory::open), in any file system.
    pub fn open_in(file_system: F, path: &Path, seed: u64) -> Result<Directory<F>, io::Error> {
        Self::open_root(file_system, path, seed).map_err(|errno| {
            let error = io::Error::from(errno);
            io::Error::new(error.kind(), format!("cannot open the directory {path:?}: {error}"))
        })
    }

    fn open_root(file_system: F, path: &Path, seed: u64) -> Result<Directory<F>, Errno> {
        let (directory, is_readable) =
            open_directory(|access| retry_on_intr(|| file_system.open_root(path, access)), false)?;
        let root = Root {
            path_resolution: PathResolution::detect(&file_system, &directory)?,
            unnamed_files: file_system.can_link_unnamed(&directory),
            bytes_max: file_system.file_size_max(),
            directory: Rc::new(directory),
            file_system,
            is_readable,
            cleanup: Cleanup::default(),
            temporary_names: TemporaryNames::new(seed),
            modification_times: Cell::default(),
            has_warned: Cell::new(false),
        };
        Ok(Directory { root: Rc::new(root) })
    }

    /// Opens a regular file to read it. Links are followed as long as they stay beneath the root, where the system can
    /// see to that; elsewhere they are not found.
    ///
    /// A FIFO, a socket, a device or a directory is [`StorageError::NotRegularFile`], and is not waited for.
    pub fn open_file(&self, path: &RelativePath) -> Result<OpenedFile<F>, StorageError> {
        let file = self.root.open(path.as_bytes(), Access::Read).map_err(StorageError::from_lookup)?;
        let metadata = require_regular(&self.root.stat(&file)?)?;
        let file_system = self.root.file_system.clone();
        Ok(OpenedFile { file: Rc::new(NamedFile { file_system, file, name: path.clone() }), metadata })
    }

    /// Which file a reader would be given. Errors are those of [`open_file`](Self::open_file), except that no
    /// permission to read is needed where the system can identify a file without it.
    pub fn metadata(&self, path: &RelativePath) -> Result<Metadata, StorageError> {
        self.root.metadata(path)
    }

    /// Whether `path` still leads to the file of this metadata, unchanged. It costs one system call.
    ///
    /// It can only confirm what an [`open_file`](Self::open_file) of the same path has found before: the lookup is not
    /// held beneath the root, and `false` does not say that nothing is there.
    pub fn is_current(&self, path: &RelativePath, metadata: &Metadata) -> bool {
        self.root
            .stat_at(&self.root.directory, path.as_bytes(), Symlinks::Follow)
            .is_ok_and(|stat| require_regular(&stat).is_ok_and(|found| found == *metadata))
    }

    /// Opens a directory to list what is in it; `None` is the root. Links are followed as those to files are.
    ///
    /// What is no directory is [`StorageError::NotFound`].
    pub fn list(
        &self,
        path: Option<&RelativePath>,
        symlinked_directories: SymlinkedDirectories,
    ) -> Result<Listing<F>, StorageError> {
        Listing::open(Rc::clone(&self.root), path, symlinked_directories)
    }

    /// Whether a directory is at `path`, which a reader may list or not.
    ///
    /// # Errors
    /// The disk failed, or no descriptor was left: there may be one.
    pub fn is_directory(&self, path: &RelativePath) -> Result<bool, StorageError> {
        match self.root.open(path.as_bytes(), Access::Traverse).map_err(StorageError::from_lookup) {
            Ok(_) => Ok(true),
            Err(StorageError::NotFound | StorageError::NotRegularFile) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Begins an upload that is to become visible at `path`. Nothing is visible there until it is committed.
    ///
    /// `bytes_expected` is the length of the content where it is known. More than the file system has free is
    /// [`StorageError::DiskFull`] at once. That promises nothing: others write too, a quota may be smaller than the
    /// disk, and some file systems do not say what is free. The space is not reserved, since then a client that
    /// announces much and sends nothing would take it from the others.
    ///
    /// A `durable` upload is on the disk once it is committed. For that its directory must be one that can be read:
    /// another is [`StorageError::PermissionDenied`], since only a descriptor that was opened for reading can be
    /// flushed.
    ///
    /// Refused here, and again at the commit: a name that something else than a regular file or a link has
    /// ([`StorageError::NotRegularFile`]); a name that is taken, if only creating was asked
    /// ([`StorageError::AlreadyExists`]).
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

#[cfg(test)]
impl<F: FileSystem> Directory<F> {
    pub(super) fn follows_links(&self) -> bool {
        self.root.path_resolution == PathResolution::Openat2
    }
}

/// What an upload needs of the directory, for as long as it lasts.
#[derive(Debug)]
pub(super) struct Root<F: FileSystem> {
    file_system: F,
    directory: Rc<F::File>,
    /// Whether the root was opened for reading, so that it can be flushed.
    is_readable: bool,
    path_resolution: PathResolution,
    /// Whether a file may be created without a name, and be given one later.
    unnamed_files: bool,
    /// The most bytes that this process may write to a file. To write more is a signal that ends the process.
    bytes_max: Option<u64>,
    cleanup: Cleanup<F>,
    temporary_names: TemporaryNames,
    modification_times: Cell<ModificationTimes>,
    /// Whether it was said in this run that directories are not flushed.
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
        retry_on_intr(|| self.file_system.stat(file)).map_err(StorageError::from_anything)
    }

    fn stat_at(&self, directory: &F::File, path: &[u8], links: Symlinks) -> Result<Metadata, Errno> {
        retry_on_intr(|| self.file_system.stat_at(directory, path, links))
    }

    pub(super) fn metadata(&self, path: &RelativePath) -> Result<Metadata, StorageError> {
        let file = self.open(path.as_bytes(), Access::Stat).map_err(StorageError::from_lookup)?;
        require_regular(&self.stat(&file)?)
    }

    /// Opens the directory in which the last segment of `path` stands; with `must_flush`, in a way in which it can be
    /// flushed, or not at all.
    pub(super) fn open_parent(&self, path: &RelativePath, must_flush: bool) -> Result<Rc<F::File>, StorageError> {
        match path.parent() {
            None if must_flush && !self.is_readable => Err(StorageError::PermissionDenied),
            None => Ok(Rc::clone(&self.directory)),
            Some(parent) => match open_directory(|access| self.open(parent, access), must_flush) {
                Ok((directory, _)) => Ok(Rc::new(directory)),
                Err(errno) => Err(StorageError::from_parent(errno)),
            },
        }
    }

    /// Whether `parent`, which was opened as the directory of `path`, is still there, and not moved elsewhere with all
    /// that is in it. The root is always there.
    pub(super) fn has_parent(&self, path: &RelativePath, parent: &F::File) -> Result<bool, StorageError> {
        let Some(name) = path.parent() else { return Ok(true) };
        let found = match self.open(name, Access::Traverse) {
            Ok(directory) => self.stat(&directory)?,
            // What was begun is finished also without a descriptor to spare. The lookup is not held beneath the root
            // then; it still has to lead to this directory.
            Err(Errno::MFILE | Errno::NFILE) => {
                self.stat_at(&self.directory, name, Symlinks::Follow).map_err(StorageError::from_parent)?
            }
            Err(errno) => return Err(StorageError::from_parent(errno)),
        };
        Ok(found.is_same_file(&self.stat(parent)?))
    }

    /// Looks at what stands under the last segment of `path`, in the directory that was opened as its parent.
    pub(super) fn existing_entry(&self, parent: &F::File, path: &RelativePath) -> Result<ExistingEntry, StorageError> {
        let stat = match self.stat_at(parent, path.name(), Symlinks::NoFollow) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(ExistingEntry::Absent),
            Err(errno) => return Err(StorageError::from_publication(errno)),
        };
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

    /// Does a slice of what there is to sweep. `parent` is about to be written to.
    pub(super) fn clean_up(&self, parent: &Rc<F::File>, path: &RelativePath) {
        self.cleanup.run_slice(&self.file_system, parent, path);
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

    /// Says so once in a run: it holds for every upload to that file system.
    pub(super) fn warn_that_directories_are_not_flushed(&self, errno: Errno) {
        if !self.has_warned.replace(true) {
            log::warn!(
                "the file system does not flush directories: an uploaded file is on the disk, its name may not be: {errno}"
            );
        }
    }

    /// The modification time of an upload that is committed at `unix_ns`: one that no upload of this run has had.
    pub(super) fn unique_modified_ns(&self, unix_ns: u64) -> u64 {
        let mut times = self.modification_times.get();
        let next = times.next(unix_ns);
        self.modification_times.set(times);
        next
    }
}

/// Opens a directory that is to be written to. Writing needs no permission to read it, flushing does: a descriptor that
/// was opened without it cannot be flushed. Says whether it was opened for reading.
fn open_directory<T>(open: impl Fn(Access) -> Result<T, Errno>, must_flush: bool) -> Result<(T, bool), Errno> {
    match open(Access::ReadDirectory) {
        Err(Errno::ACCESS) if !must_flush => open(Access::Traverse).map(|directory| (directory, false)),
        opened => opened.map(|directory| (directory, true)),
    }
}

/// The metadata of a regular file. A link can only be met here where links are not followed: nothing is found then.
pub(super) fn require_regular(stat: &Metadata) -> Result<Metadata, StorageError> {
    match stat.kind {
        FileKind::Regular => Ok(*stat),
        FileKind::Symlink => Err(StorageError::NotFound),
        FileKind::Directory | FileKind::Other => Err(StorageError::NotRegularFile),
    }
}
