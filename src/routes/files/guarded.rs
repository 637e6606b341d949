//! The served directory as routes reach it: each call needs the proof that its request may make it.

use std::rc::Rc;

use crate::semantics::rights::{Located, MayManage, MayRead, MayUpload};
use crate::storage::{
    CachedFile, ChangeError, Directory, EntryPath, FileCache, FileSystem, FoundUpload, Listing, Metadata, OpenedFile,
    PartialUpload, PendingCounts, Published, RelativePath, StorageError, SymlinkedDirectories, Upload, UploadId,
    UploadMode,
};

impl Located for &RelativePath {
    fn location(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// `None` is the served directory itself.
impl Located for Option<&RelativePath> {
    fn location(&self) -> &[u8] {
        self.map(RelativePath::as_bytes).unwrap_or_default()
    }
}

impl Located for &EntryPath {
    fn location(&self) -> &[u8] {
        self.path.as_bytes()
    }
}

/// The directory of [`FileRoutes`](super::FileRoutes). No other part of the routes has it.
#[derive(Clone, Debug)]
pub(in crate::routes) struct GuardedDirectory<F: FileSystem> {
    directory: Directory<F>,
}

/// What needs no proof: it concerns no file that a request names.
impl<F: FileSystem> GuardedDirectory<F> {
    pub(super) fn new(directory: Directory<F>, upload_age_s_max: u64) -> GuardedDirectory<F> {
        directory.set_partial_upload_age_max(upload_age_s_max.saturating_mul(1_000_000_000));
        GuardedDirectory { directory }
    }

    pub(super) fn create_missing_directories(&self) {
        self.directory.create_missing_directories();
    }

    pub(super) fn set_time(&self, unix_ns: u64) {
        self.directory.set_time(unix_ns);
    }

    pub(super) fn partial_uploads(&self) -> usize {
        self.directory.partial_uploads()
    }

    pub(super) fn partial_upload_counts(&self, holder: Option<&str>) -> PendingCounts {
        self.directory.partial_upload_counts(holder)
    }

    pub(super) fn look_at_partial_uploads(&self) {
        self.directory.look_at_partial_uploads();
    }
}

/// Reading: see the methods of [`Directory`] and [`FileCache`].
impl<F: FileSystem> GuardedDirectory<F> {
    pub(super) fn revalidate<T>(
        &self,
        path: &MayRead<&[u8]>,
        cache: &mut FileCache<T, F>,
    ) -> Option<Rc<CachedFile<T, F>>> {
        cache.revalidate(path.path(), &self.directory)
    }

    pub(in crate::routes) fn open_file(&self, path: &MayRead<&RelativePath>) -> Result<OpenedFile<F>, StorageError> {
        self.directory.open_file(path.path())
    }

    pub(in crate::routes) fn is_directory(&self, path: &MayRead<&RelativePath>) -> Result<bool, StorageError> {
        self.directory.is_directory(path.path())
    }

    pub(in crate::routes) fn list(
        &self,
        path: &MayRead<Option<&RelativePath>>,
        symlinked_directories: SymlinkedDirectories,
    ) -> Result<Listing<F>, StorageError> {
        self.directory.list(*path.path(), symlinked_directories)
    }

    /// The directory at `path` with everything below it, for an archive.
    pub(in crate::routes) fn tree<'a>(&'a self, path: &MayRead<Option<&'a RelativePath>>) -> Tree<'a, F> {
        Tree { directory: &self.directory, path: *path.path() }
    }
}

/// A directory that may be read with everything below it. The path comes along, so that no other one is read with this
/// proof.
pub(in crate::routes) struct Tree<'a, F: FileSystem> {
    pub(in crate::routes) directory: &'a Directory<F>,
    /// `None` is the served directory itself.
    pub(in crate::routes) path: Option<&'a RelativePath>,
}

/// Writing: see the methods of [`Directory`].
impl<F: FileSystem> GuardedDirectory<F> {
    pub(super) fn begin_upload(
        &self,
        path: &MayUpload<&RelativePath>,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
    ) -> Result<Upload<F>, StorageError> {
        self.directory.begin_upload(path.path(), allowed_mode(path, mode), bytes_expected, durable)
    }

    pub(super) fn store(
        &self,
        path: &MayUpload<&RelativePath>,
        mode: UploadMode,
        content: &[u8],
        unix_ns: u64,
    ) -> Result<Published, StorageError> {
        self.directory.store(path.path(), allowed_mode(path, mode), content, unix_ns)
    }

    pub(super) fn begin_partial_upload(
        &self,
        id: UploadId,
        path: &MayUpload<&RelativePath>,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
        creation: Vec<u8>,
    ) -> Result<PartialUpload<F>, StorageError> {
        let mode = allowed_mode(path, mode);
        self.directory.begin_partial_upload(id, path.path(), mode, bytes_expected, durable, creation)
    }

    pub(super) fn find_partial_upload(
        &self,
        id: UploadId,
        path: &MayUpload<&RelativePath>,
        durable: bool,
    ) -> Result<FoundUpload<F>, StorageError> {
        self.directory.find_partial_upload(id, path.path(), durable)
    }

    pub(super) fn forget_partial_upload(&self, id: UploadId, path: &MayUpload<&RelativePath>) {
        self.directory.forget_partial_upload(id, path.path());
    }

    pub(super) fn remove(
        &self,
        entry: &MayManage<&EntryPath>,
        durable: bool,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<(), ChangeError> {
        self.directory.remove(entry.path(), durable, condition)
    }

    pub(super) fn create_directory(
        &self,
        entry: &MayManage<&EntryPath>,
        durable: bool,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<(), ChangeError> {
        self.directory.create_directory(&entry.path().path, durable, condition)
    }

    pub(super) fn rename(
        &self,
        from: &MayManage<&EntryPath>,
        to: &MayManage<&EntryPath>,
        replaces: bool,
        durable: bool,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<bool, ChangeError> {
        self.directory.rename(from.path(), to.path(), replaces, durable, condition)
    }
}

/// The mode of an upload: never one that replaces a file where that is not allowed.
fn allowed_mode<P>(path: &MayUpload<P>, mode: UploadMode) -> UploadMode {
    if path.may_replace() { mode } else { UploadMode::CreateOnly }
}
