//! Publishes uploads whose content is complete: each by itself, or several together, which then share their flushes.
//!
//! A durable upload gets a temporary name, is flushed, and is renamed; then its directory is flushed. Its link count on
//! the disk is therefore right from the first flush on. A file that gets its name by a link is flushed once more.
//!
//! A flush of one file takes as long as one of many: a file system with a journal writes all of it, and the disk empties
//! its whole cache. So several uploads are published step by step: each step is done for all of them before the next one
//! begins.

use std::io;
use std::rc::Rc;

use rustix::io::Errno;

use super::annotation;
use super::close_errors::check_close_errors;
use super::directory::{ExistingEntry, Root, require_regular};
use super::error::StorageError;
use super::file_system::{Access, FileSystem};
use super::metadata::Metadata;
use super::new_directories::{Ancestor, NewDirectories};
use super::relative_path::RelativePath;
use super::retry::retry_on_intr;
use super::temporary_file::{TemporaryFile, lacks_hard_links};
use super::upload::{Upload, UploadMode};

/// The number of attempts of a commit, if another process creates the name between the check and the link.
const ATTEMPTS_MAX: u32 = 16;

/// The errors with which a file system says that it cannot flush directories. For a file they are errors.
pub(super) const CANNOT_FLUSH: [Errno; 4] = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS];

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

/// An upload with its modification time. Its content need not be on the disk yet.
struct Ready<F: FileSystem> {
    upload: Upload<F>,
    modified_ns: u64,
}

/// An upload that has its name, which need not be on the disk yet.
struct Named<F: FileSystem> {
    upload: Upload<F>,
    modified_ns: u64,
    created: bool,
    metadata: Metadata,
    /// Whether the name is to be flushed.
    must_flush: bool,
}

/// Why a commit failed, and what has become of the content.
pub(super) enum CommitError<F: FileSystem> {
    /// The content could not be flushed, so that it is unknown which part of it the disk has.
    Unflushed(StorageError),
    /// The content did not get its name. It is as it was.
    Unnamed(StorageError, Box<Upload<F>>),
    /// The content has its name, so that others may be reading it.
    Named(StorageError),
}

impl<F: FileSystem> From<CommitError<F>> for StorageError {
    fn from(error: CommitError<F>) -> StorageError {
        match error {
            CommitError::Unflushed(error) | CommitError::Unnamed(error, _) | CommitError::Named(error) => error,
        }
    }
}

/// Commits several uploads to one directory tree together. Each gets the result that [`Upload::commit`] would have
/// given it; the conditions are called in the order of the uploads.
///
/// What is flushed is on the disk when this returns. The uploads are published one after the other in their order, but
/// none is on the disk much before the last one.
pub fn commit_together<F: FileSystem, C: Fn(Option<&Metadata>) -> bool>(
    uploads: Vec<(Upload<F>, C)>,
    unix_ns: u64,
) -> Vec<Result<Published, StorageError>> {
    let Some(root) = uploads.first().map(|(upload, _)| Rc::clone(&upload.root)) else { return Vec::new() };
    let (mut ready, mut conditions) = (Vec::new(), Vec::new());
    for (upload, condition) in uploads {
        ready.push(upload.set_modified(unix_ns).and_then(|modified_ns| upload.prepare(modified_ns)));
        conditions.push(condition);
    }
    flush_each(&root, &mut ready, Ready::file_to_flush);
    let publish = |(ready, condition): (Result<Ready<F>, _>, C)| Ok(ready?.publish(condition)?);
    let mut named: Vec<_> = ready.into_iter().zip(conditions).map(publish).collect();
    flush_each(&root, &mut named, Named::file_to_flush);
    flush_directories(&root, &mut named);
    named.into_iter().map(|named| named.map(Named::conclude)).collect()
}

/// Flushes a file of each upload, if it has one. An upload whose flush fails is replaced by the error, which drops it.
fn flush_each<F: FileSystem, T>(
    root: &Root<F>,
    uploads: &mut [Result<T, StorageError>],
    file: impl Fn(&T) -> Option<&F::File>,
) {
    let with_files =
        uploads.iter().enumerate().filter_map(|(index, upload)| Some((index, file(upload.as_ref().ok()?)?)));
    let (indices, files): (Vec<usize>, Vec<&F::File>) = with_files.unzip();
    for (index, flushed) in indices.into_iter().zip(sync_all(root.file_system(), &files)) {
        if let Err(errno) = flushed {
            uploads[index] = Err(StorageError::from_errno(errno));
        }
    }
}

/// Flushes the directories of the uploads, each directory once.
fn flush_directories<F: FileSystem>(root: &Root<F>, uploads: &mut [Result<Named<F>, StorageError>]) {
    let mut directories: Vec<(Rc<F::File>, Option<Metadata>)> = Vec::new();
    // The position of an upload, and that of its directory.
    let mut positions: Vec<(usize, usize)> = Vec::new();
    for (index, upload) in uploads.iter().enumerate() {
        let Some(named) = upload.as_ref().ok().filter(|named| named.must_flush) else { continue };
        let directory = &named.upload.parent.directory;
        let metadata = root.stat(directory).ok();
        let is_same = |(other, of_other): &(Rc<F::File>, Option<Metadata>)| {
            Rc::ptr_eq(other, directory)
                || metadata.zip(*of_other).is_some_and(|(metadata, of_other)| metadata.is_same_file(&of_other))
        };
        let position = directories.iter().position(is_same).unwrap_or(directories.len());
        if position == directories.len() {
            directories.push((Rc::clone(directory), metadata));
        }
        positions.push((index, position));
    }
    let files: Vec<&F::File> = directories.iter().map(|(directory, _)| &**directory).collect();
    let flushed = sync_all(root.file_system(), &files);
    for (index, position) in positions {
        let concluded = uploads[index].as_ref().map(|named| named.after_flush(flushed[position]));
        if let Ok(Err(error)) = concluded {
            uploads[index] = Err(error);
        }
    }
}

/// Flushes files or directories, and returns a result for each.
fn sync_all<F: FileSystem>(file_system: &F, files: &[&F::File]) -> Vec<Result<(), Errno>> {
    let flushed = file_system.sync_all(files);
    debug_assert_eq!(flushed.len(), files.len(), "each file has a result");
    let retried = |(file, flushed): (&&F::File, Result<(), Errno>)| match flushed {
        Err(Errno::INTR) => retry_on_intr(|| file_system.sync(file)),
        flushed => flushed,
    };
    files.iter().zip(flushed).map(retried).collect()
}

impl<F: FileSystem> Ready<F> {
    /// The content, if the upload is durable.
    fn file_to_flush(&self) -> Option<&F::File> {
        self.upload.durable.then_some(&*self.upload.file)
    }

    /// Publishes the content, after it was flushed.
    fn publish(self, condition: impl Fn(Option<&Metadata>) -> bool) -> Result<Named<F>, CommitError<F>> {
        let Ready { mut upload, modified_ns } = self;
        let created = match upload.give_name(condition) {
            Ok(created) => created,
            Err(error) => return Err(CommitError::Unnamed(error, Box::new(upload))),
        };
        let keeps_saved_name = upload.durable && upload.is_resumable && upload.temporary.is_some();
        // Without a journal the disk could otherwise lose the old name before it has the new one, and with both the
        // content that was saved.
        let flushed = if keeps_saved_name { upload.flush_name() } else { Ok(()) };
        // Removes the temporary name now, since that changes the file's times once more.
        upload.temporary = None;
        flushed.map_err(CommitError::Named)?;
        let metadata = upload.published_metadata().map_err(CommitError::Named)?;
        let must_flush = upload.durable && !keeps_saved_name;
        Ok(Named { upload, modified_ns, created, metadata, must_flush })
    }
}

impl<F: FileSystem> Named<F> {
    /// The file, if its name is to be flushed, and its link count has changed since it was flushed. On a file system
    /// without a journal the disk may have it with a link count of 0, and a file system check would remove the name.
    fn file_to_flush(&self) -> Option<&F::File> {
        (self.must_flush && !self.upload.link_count_is_flushed).then_some(&*self.upload.file)
    }

    /// Flushes what must be flushed after the content has its name.
    fn flush(&self) -> Result<(), StorageError> {
        let Upload { root, parent, .. } = &self.upload;
        if let Some(file) = self.file_to_flush() {
            flush(root.file_system(), file)?;
        }
        match self.must_flush {
            true => self.after_flush(sync_directory(root, &parent.directory)),
            false => Ok(()),
        }
    }

    /// Acts on the result of flushing the directory. If the file system cannot do that, the next flush of the file may
    /// bring the new name to the disk. That is the flush which the temporary name had saved.
    fn after_flush(&self, flushed: Result<(), Errno>) -> Result<(), StorageError> {
        let Upload { root, file, link_count_is_flushed, .. } = &self.upload;
        match was_flushed(root, flushed)? {
            false if *link_count_is_flushed => flush(root.file_system(), file),
            _ => Ok(()),
        }
    }

    /// Ends the upload, after its name was flushed.
    fn conclude(self) -> Published {
        let Named { mut upload, modified_ns, created, metadata, .. } = self;
        if let Some(mut replaced) = upload.replaced.take() {
            replaced.keep_on_drop(false);
        }
        Published { created, metadata, modified_ns }
    }
}

impl<F: FileSystem> Upload<F> {
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
        Ok(self.commit_modified(modified_ns, condition)?)
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
        self,
        modified_ns: u64,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<Published, CommitError<F>> {
        let ready = self.prepare(modified_ns).map_err(CommitError::Unflushed)?;
        if let Some(file) = ready.file_to_flush() {
            flush(ready.upload.root.file_system(), file).map_err(CommitError::Unflushed)?;
        }
        let named = ready.publish(condition)?;
        named.flush().map_err(CommitError::Named)?;
        Ok(named.conclude())
    }

    /// Does what must be done before the content is flushed. An error is one of writing the content.
    fn prepare(mut self, modified_ns: u64) -> Result<Ready<F>, StorageError> {
        let file_system = self.root.file_system();
        // After the time was set: the file system may have rounded it. An annotation is no reason to refuse the content.
        if let Some(annotation) = &self.annotation
            && let Ok(metadata) = self.root.stat(&self.file)
        {
            annotation::write(file_system, &self.file, &metadata, annotation);
        }
        if self.may_fail_at_close {
            check_close_errors(file_system, &self.file)?;
        }
        self.name_before_flush();
        Ok(Ready { upload: self, modified_ns })
    }

    /// Gives the unnamed content of a durable upload a temporary name in the directory of its file. Its flush then
    /// includes the link count, which a rename does not change. If this fails, the content gets its name by a link, and
    /// is flushed once more.
    fn name_before_flush(&mut self) {
        if self.durable && self.temporary.is_none() && self.parent.is_parent(&self.path) {
            let (file_system, names) = (self.root.file_system(), self.root.temporary_names());
            self.temporary = TemporaryFile::link(file_system, &self.parent.directory, &self.file, names).ok();
        }
        self.link_count_is_flushed = self.temporary.is_some();
    }

    /// The metadata of the published file.
    fn published_metadata(&self) -> Result<Metadata, StorageError> {
        require_regular(&self.root.stat(&self.file)?)
    }

    /// Flushes the file and its directory.
    fn flush_name(&self) -> Result<(), StorageError> {
        flush(self.root.file_system(), &self.file)?;
        flush_directory(&self.root, &self.parent.directory)
    }

    /// Gives the content its name. Returns whether the name did not exist before.
    fn give_name(&mut self, condition: impl Fn(Option<&Metadata>) -> bool) -> Result<bool, StorageError> {
        if !self.root.is_directory_at(&self.parent.directory, self.parent.path(&self.path))? {
            return Err(StorageError::ParentMissing);
        }
        match self.parent.is_parent(&self.path) {
            true => self.publish(condition),
            false => self.publish_in_new_directory(condition),
        }
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
        let last = Ancestor { directory: last, path_bytes: self.path.parent().map_or(0, <[u8]>::len) };
        let ancestor = std::mem::replace(&mut self.parent, last);
        match self.publish(condition) {
            Ok(created) => {
                directories.keep();
                Ok(created)
            }
            Err(error) => {
                self.parent = ancestor;
                Err(error)
            }
        }
    }

    /// Gives the content its name, in a directory that exists. Returns whether the name did not exist before.
    fn publish(&mut self, condition: impl Fn(Option<&Metadata>) -> bool) -> Result<bool, StorageError> {
        for _ in 0..ATTEMPTS_MAX {
            let existing = self.root.existing_entry(&self.parent.directory, &self.path)?;
            if !condition(existing.metadata()) {
                return Err(StorageError::ConditionFailed);
            }
            let published = match (existing, self.mode) {
                (ExistingEntry::Absent, _) => self.publish_as_new().map(|()| true),
                (_, UploadMode::CreateOnly) => Err(Errno::EXIST),
                (ExistingEntry::File(existing), UploadMode::Replace) => self.replace(Some(&existing)).map(|()| false),
                (ExistingEntry::Symlink(_), UploadMode::Replace) => self.replace(None).map(|()| false),
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
        if self.durable
            && !self.is_resumable
            && let Some(temporary) = &mut self.temporary
        {
            match temporary.rename_as_new(&self.parent.directory, self.path.name()) {
                Err(Errno::NOSYS | Errno::INVAL) => {}
                renamed => return renamed,
            }
        }
        self.link_count_is_flushed = false;
        let linked = match &mut self.temporary {
            Some(temporary) => temporary.publish_as_new(&self.parent.directory, self.path.name()),
            None => retry_on_intr(|| {
                self.root.file_system().link_unnamed(&self.file, &self.parent.directory, self.path.name())
            }),
        };
        match linked {
            // Without hard links and RENAME_NOREPLACE a plain rename is safe for `Replace`; for `CreateOnly` it would
            // race with other processes, so that is an error.
            Err(no_links) if lacks_hard_links(no_links) && self.mode == UploadMode::Replace => self.replace(None),
            result => result,
        }
    }

    /// Replaces what has the name: a file with this metadata, or a link or nothing.
    fn replace(&mut self, existing: Option<&Metadata>) -> Result<(), Errno> {
        let (file_system, names) = (self.root.file_system(), self.root.temporary_names());
        let mut second = None;
        match &self.temporary {
            // The saved content keeps its name until the new one is on the disk, if it can have both.
            Some(saved) if self.durable && self.is_resumable => {
                second = TemporaryFile::link_existing(file_system, saved.parent(), saved.name(), names)?;
            }
            Some(_) => {}
            // Only a rename replaces a file, and an unnamed file needs a name to be renamed.
            None => {
                self.temporary = Some(TemporaryFile::link(file_system, &self.parent.directory, &self.file, names)?);
                // Without a journal, a power failure after the rename could leave the name pointing to a file whose
                // link count on the disk is still 0. A file system check would then remove the name, and the old file
                // would be lost too.
                if self.durable {
                    retry_on_intr(|| file_system.sync(&self.file))?;
                    self.link_count_is_flushed = true;
                }
            }
        }
        // Without a journal, the disk could free the old file before its directory points to the new one. A file system
        // check would then remove the name, and a version that was acknowledged long ago would be lost.
        let mut replaced = None;
        if self.durable && existing.is_some() {
            replaced = TemporaryFile::link_existing(file_system, &self.parent.directory, self.path.name(), names)?;
        }
        let held = existing.and_then(|existing| self.root.hold(&self.parent.directory, self.path.name(), existing));
        // If the rename fails, the content keeps its temporary name.
        let temporary = second.as_mut().or(self.temporary.as_mut()).ok_or(Errno::NOENT)?;
        temporary.replace(&self.parent.directory, self.path.name())?;
        self.replaced_file = held;
        if second.is_none() {
            self.temporary = None;
        }
        // Until the new name is flushed, the name on the disk may lead to either file. If the flush fails, the old one
        // stays until a later cleanup.
        if let Some(replaced) = &mut replaced {
            replaced.keep_on_drop(true);
        }
        self.replaced = replaced;
        Ok(())
    }
}

/// Flushes the entries of a directory, if the file system can.
pub(super) fn flush_directory<F: FileSystem>(root: &Root<F>, directory: &F::File) -> Result<(), StorageError> {
    was_flushed(root, sync_directory(root, directory)).map(drop)
}

fn sync_directory<F: FileSystem>(root: &Root<F>, directory: &F::File) -> Result<(), Errno> {
    retry_on_intr(|| root.file_system().sync(directory))
}

/// Flushes a file that was published, and its name. The server stopped while it published it, perhaps before it had flushed
/// the name.
pub(super) fn flush_published<F: FileSystem>(root: &Root<F>, path: &RelativePath) -> Result<(), StorageError> {
    let file = root.open(path.as_bytes(), Access::Read).map_err(StorageError::from_lookup)?;
    flush(root.file_system(), &file)?;
    let parent = root.open_parent(path, true)?;
    flush_directory(root, &parent)
}

/// Flushes the entries of several directories at the same time, as far as the file system can.
pub(super) fn flush_each_directory<F: FileSystem>(
    root: &Root<F>,
    directories: &[Rc<F::File>],
) -> Result<(), StorageError> {
    let files: Vec<&F::File> = directories.iter().map(|directory| &**directory).collect();
    let flushed = sync_all(root.file_system(), &files);
    flushed.into_iter().try_for_each(|flushed| was_flushed(root, flushed).map(drop))
}

/// Whether a directory was flushed: `false` if the file system cannot do that, which is no error.
fn was_flushed<F: FileSystem>(root: &Root<F>, flushed: Result<(), Errno>) -> Result<bool, StorageError> {
    match flushed {
        Err(errno) if CANNOT_FLUSH.contains(&errno) => {
            root.warn_that_directories_cannot_be_flushed(errno);
            Ok(false)
        }
        flushed => flushed.map(|()| true).map_err(StorageError::from_errno),
    }
}

pub(super) fn flush<F: FileSystem>(file_system: &F, file: &F::File) -> Result<(), StorageError> {
    retry_on_intr(|| file_system.sync(file)).map_err(StorageError::from_errno)
}
