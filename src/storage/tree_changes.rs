//! Changes of the tree besides uploads: removing and moving files and directories, and creating directories.
//!
//! A link is removed or moved itself, and never its target.

use std::rc::Rc;

use rustix::io::Errno;

use super::commit::flush_directory;
use super::content_file::ContentFile;
use super::directory::Root;
use super::file_system::{Access, FileKind, FileSystem};
use super::retry::retry_on_intr;
use super::temporary_file::{TemporaryFile, lacks_hard_links};
use super::upload_remains::remove_remains;
use super::{Directory, Metadata, RelativePath, StorageError};

/// The number of attempts, if other processes change the same names meanwhile.
const ATTEMPTS_MAX: u32 = 16;

/// The path of a file or directory that is to be removed, moved or created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPath {
    /// The path.
    pub path: RelativePath,
    /// Whether it was given as that of a directory. There is nothing under this path if it leads to a file.
    pub is_directory: bool,
}

/// Why a change failed.
#[derive(Debug)]
pub enum ChangeError {
    /// The directory is not empty. It may contain only temporary files, such as those of an unfinished upload.
    DirectoryNotEmpty,
    /// Both paths lead to the same file or directory.
    SameEntry,
    /// A directory cannot be moved into itself.
    IntoItself,
    /// A file cannot replace a directory, nor a directory a file.
    KindsDiffer,
    /// The other directory is on another file system.
    OtherFileSystem,
    /// The system can move the file only if it may replace another one.
    NotExclusive,
    /// An error that other operations have, too.
    Storage(StorageError),
}

impl From<StorageError> for ChangeError {
    fn from(error: StorageError) -> ChangeError {
        ChangeError::Storage(error)
    }
}

impl<F: FileSystem> Directory<F> {
    /// Removes a file, a link or an empty directory. What ended and expired uploads have left in the directory is removed
    /// as well. `condition` is called just before, with the file or directory that a reader finds under the path.
    ///
    /// If the change is `durable`, it is on the disk when this returns.
    ///
    /// # Errors
    /// After an error nothing has changed, unless the change could not be flushed.
    pub fn remove(
        &self,
        entry: &EntryPath,
        durable: bool,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<(), ChangeError> {
        let root = &*self.root;
        let parent = open_parent_of_existing(root, entry, durable)?;
        for _ in 0..ATTEMPTS_MAX {
            let found = find(root, &parent, entry)?.ok_or(StorageError::NotFound)?;
            if !condition(found.seen.as_ref()) {
                return Err(StorageError::ConditionFailed.into());
            }
            let _held = root.hold(&parent, entry.path.name(), &found.own);
            let removed = retry_on_intr(|| match found.kind {
                FileKind::Directory => root.file_system().remove_directory(&parent, entry.path.name()),
                _ => root.file_system().unlink(&parent, entry.path.name()),
            });
            match removed {
                Ok(()) if durable => return Ok(flush_directory(root, &parent)?),
                Ok(()) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    if !remove_remains(root, &parent, entry.path.name())? {
                        return Err(ChangeError::DirectoryNotEmpty);
                    }
                }
                // Another process has put a directory in the place of the file, or the other way round.
                Err(Errno::ISDIR | Errno::NOTDIR) => {}
                Err(errno) => return Err(from_existing(errno).into()),
            }
        }
        Err(StorageError::Busy.into())
    }

    /// Creates an empty directory. `condition` is called just before, with `None`.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`] if anything has the name, and [`StorageError::ParentMissing`].
    pub fn create_directory(
        &self,
        path: &RelativePath,
        durable: bool,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<(), ChangeError> {
        let root = &*self.root;
        let parent = root.open_parent(path, durable)?;
        if root.stat_entry(&parent, path.name()).map_err(StorageError::from_publication)?.is_some() {
            return Err(StorageError::AlreadyExists.into());
        }
        if !condition(None) {
            return Err(StorageError::ConditionFailed.into());
        }
        retry_on_intr(|| root.file_system().create_directory(&parent, path.name()))
            .map_err(StorageError::from_publication)?;
        if durable {
            let open = || root.file_system().open_entry(&parent, path.name(), Access::ReadDirectory);
            let directory = retry_on_intr(open).map_err(StorageError::from_parent)?;
            flush_new_directory(root, &parent, &directory)?;
        }
        Ok(())
    }

    /// Moves a file, a link or a directory. Returns whether nothing had the new name. With `replaces`, a file or link
    /// replaces a file or link, and a directory replaces one that [`remove`](Self::remove) would remove. Without it, the
    /// kernel makes sure that nothing is replaced. `condition` is called just before, with the file or directory that a
    /// reader finds under the old path.
    ///
    /// Where the system has no rename that never replaces, a file is linked to the new name and then removed from the old
    /// one, and a directory first takes the new name with an empty one.
    ///
    /// If the change is `durable`, it is on the disk when this returns. A power failure during the move may lose the name
    /// on a file system without a journal.
    ///
    /// # Errors
    /// [`StorageError::ParentMissing`] if the new path has no directory; [`StorageError::AlreadyExists`] without
    /// `replaces`. After an error nothing has changed, unless the change could not be flushed.
    pub fn rename(
        &self,
        from: &EntryPath,
        to: &EntryPath,
        replaces: bool,
        durable: bool,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<bool, ChangeError> {
        let root = &*self.root;
        let source = open_parent_of_existing(root, from, durable)?;
        // A missing source is reported before a missing directory at the other end.
        find(root, &source, from)?.ok_or(StorageError::NotFound)?;
        if from.path == to.path {
            return Err(ChangeError::SameEntry);
        }
        let target = root.open_parent(&to.path, durable)?;
        let rename = Rename { root, source: &source, from, target: &target, to, replaces };
        let (created, replaced) = rename.run(durable, condition)?;
        if durable {
            let flushed = rename.flush();
            if let (Err(_), Some(name)) = (&flushed, replaced.name) {
                // On the disk the name may lead to either file, so the old one stays until a later cleanup.
                name.leak();
            }
            flushed?;
        }
        Ok(created)
    }
}

/// A move, with the open directories at both ends.
struct Rename<'a, F: FileSystem> {
    root: &'a Root<F>,
    source: &'a Rc<F::File>,
    from: &'a EntryPath,
    target: &'a Rc<F::File>,
    to: &'a EntryPath,
    replaces: bool,
}

impl<F: FileSystem> Rename<'_, F> {
    /// Moves the entry. Returns whether nothing had the new name, and the file that had it.
    fn run(
        &self,
        durable: bool,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<(bool, Replaced<F>), ChangeError> {
        for _ in 0..ATTEMPTS_MAX {
            let found = find(self.root, self.source, self.from)?.ok_or(StorageError::NotFound)?;
            let existing = self.existing(&found)?;
            if !condition(found.seen.as_ref()) {
                return Err(StorageError::ConditionFailed.into());
            }
            let mut replaced = Replaced { name: None, file: None };
            let renamed = match &existing {
                None => self.to_free_name(found.kind),
                Some(existing) => {
                    replaced.file = self.root.hold(self.target, self.to.path.name(), existing);
                    if durable && existing.kind == FileKind::Regular && found.kind != FileKind::Directory {
                        replaced.name = self.keep_replaced()?;
                    }
                    self.rename()
                }
            };
            match renamed {
                Ok(()) => return Ok((existing.is_none(), replaced)),
                // Another process has just created the new name.
                Err(Failed::Call(Errno::EXIST)) if existing.is_none() && self.replaces => {}
                Err(Failed::Call(Errno::EXIST)) if existing.is_none() => return Err(StorageError::AlreadyExists.into()),
                Err(Failed::Call(Errno::NOTEMPTY | Errno::EXIST)) => {
                    if !remove_remains(self.root, self.target, self.to.path.name())? {
                        return Err(ChangeError::DirectoryNotEmpty);
                    }
                }
                Err(Failed::Call(errno)) => return Err(self.error(errno, found.kind)?),
                Err(Failed::NotExclusive) => return Err(ChangeError::NotExclusive),
            }
        }
        Err(StorageError::Busy.into())
    }

    /// What has the new name, if it may be replaced by what was found under the old one.
    fn existing(&self, found: &Found) -> Result<Option<Metadata>, ChangeError> {
        let is_directory = found.seen.is_some_and(|seen| seen.kind == FileKind::Directory);
        if self.to.is_directory && !is_directory {
            return Err(ChangeError::KindsDiffer);
        }
        let existing =
            self.root.stat_entry(self.target, self.to.path.name()).map_err(StorageError::from_publication)?;
        let Some(existing) = existing else { return Ok(None) };
        if !self.replaces {
            return Err(StorageError::AlreadyExists.into());
        }
        if existing.is_same_file(&found.own) {
            // The kernel would do nothing. Removing the old name could remove the only one, where case is ignored.
            return Err(ChangeError::SameEntry);
        }
        match existing.kind {
            FileKind::Other => Err(StorageError::NotRegularFile.into()),
            // The kernel refuses it too, but Linux with another error if the directory contains the file.
            kind if (kind == FileKind::Directory) != (found.kind == FileKind::Directory) => {
                Err(ChangeError::KindsDiffer)
            }
            _ => Ok(Some(existing)),
        }
    }

    fn rename(&self) -> Result<(), Failed> {
        let (from, to) = (self.from.path.name(), self.to.path.name());
        Ok(retry_on_intr(|| self.root.file_system().rename(self.source, from, self.target, to))?)
    }

    /// Renames to a name that nothing had just now. If something has it meanwhile, that is `EXIST`.
    fn to_free_name(&self, kind: FileKind) -> Result<(), Failed> {
        let file_system = self.root.file_system();
        let (from, to) = (self.from.path.name(), self.to.path.name());
        match retry_on_intr(|| file_system.rename_noreplace(self.source, from, self.target, to)) {
            // The calls below would return it again, but a power failure could leave the directory that they create.
            Err(Errno::NOSYS | Errno::INVAL) if kind == FileKind::Directory && self.leads_into_itself() => {
                return Err(Errno::INVAL.into());
            }
            // INVAL may also mean that a directory would be moved into itself by way of a link. The calls below return it
            // again then.
            Err(Errno::NOSYS | Errno::INVAL) => {}
            renamed => return Ok(renamed?),
        }
        if kind == FileKind::Directory {
            retry_on_intr(|| file_system.create_directory(self.target, to))?;
            return self.rename().inspect_err(|_| {
                let _ = retry_on_intr(|| file_system.remove_directory(self.target, to));
            });
        }
        match retry_on_intr(|| file_system.link(self.source, from, self.target, to)) {
            Ok(()) => {}
            // A plain rename may replace what another process creates at this moment.
            Err(errno) if lacks_hard_links(errno) && self.replaces => return self.rename(),
            Err(errno) if lacks_hard_links(errno) => return Err(Failed::NotExclusive),
            Err(errno) => return Err(errno.into()),
        }
        let removed = retry_on_intr(|| file_system.unlink(self.source, from));
        Ok(removed.inspect_err(|_| {
            let _ = retry_on_intr(|| file_system.unlink(self.target, to));
        })?)
    }

    /// Whether the new path is below the old one.
    fn leads_into_itself(&self) -> bool {
        let below = self.to.path.as_bytes().strip_prefix(self.from.path.as_bytes());
        below.is_some_and(|rest| rest.starts_with(b"/"))
    }

    /// Gives the file that is about to be replaced a temporary name. Without a journal, the disk could free it before its
    /// directory has the new entry, and a file system check would then remove the name.
    fn keep_replaced(&self) -> Result<Option<TemporaryFile<F>>, StorageError> {
        let names = self.root.temporary_names();
        TemporaryFile::link_existing(self.root.file_system(), self.target, self.to.path.name(), names)
            .map_err(StorageError::from_publication)
    }

    /// Flushes the new name first, so that the disk has one of the two at any time.
    fn flush(&self) -> Result<(), StorageError> {
        flush_directory(self.root, self.target)?;
        match self.from.path.parent() == self.to.path.parent() {
            true => Ok(()),
            false => flush_directory(self.root, self.source),
        }
    }

    /// The meaning of an error of the calls that rename an entry of this kind.
    fn error(&self, errno: Errno, kind: FileKind) -> Result<ChangeError, StorageError> {
        Ok(match errno {
            Errno::ISDIR | Errno::NOTDIR => ChangeError::KindsDiffer,
            Errno::INVAL if kind == FileKind::Directory => ChangeError::IntoItself,
            Errno::XDEV => ChangeError::OtherFileSystem,
            // Another process has removed the entry, or the directory at the other end.
            Errno::NOENT | Errno::STALE if find(self.root, self.source, self.from)?.is_none() => {
                StorageError::NotFound.into()
            }
            errno => StorageError::from_publication(errno).into(),
        })
    }
}

/// A file that another one has replaced.
struct Replaced<F: FileSystem> {
    // Fields are dropped in this order: to remove the last name does not free a file that is open.
    /// Its temporary name.
    name: Option<TemporaryFile<F>>,
    /// The file itself, if it is long.
    file: Option<ContentFile<F>>,
}

/// Why a rename did nothing.
enum Failed {
    Call(Errno),
    NotExclusive,
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Failed {
        Failed::Call(errno)
    }
}

/// What a path leads to.
struct Found {
    /// The kind of the entry itself.
    kind: FileKind,
    /// The metadata of the entry itself.
    own: Metadata,
    /// The file or directory that a reader finds. `None` for a link that leads to neither.
    seen: Option<Metadata>,
}

/// Looks up `entry` in its directory. `None` if there is nothing under this path.
///
/// # Errors
/// [`StorageError::NotRegularFile`] for a FIFO, a socket or a device.
fn find<F: FileSystem>(root: &Root<F>, parent: &F::File, entry: &EntryPath) -> Result<Option<Found>, StorageError> {
    let own = match root.stat_entry(parent, entry.path.name()).map_err(StorageError::from_lookup) {
        Ok(Some(own)) => own,
        Ok(None) | Err(StorageError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let seen = match own.kind {
        FileKind::Other => return Err(StorageError::NotRegularFile),
        FileKind::Symlink => seen_through_link(root, &entry.path)?,
        FileKind::Regular | FileKind::Directory => Some(own),
    };
    let is_directory = seen.is_some_and(|seen| seen.kind == FileKind::Directory);
    Ok((is_directory || !entry.is_directory).then_some(Found { kind: own.kind, own, seen }))
}

fn seen_through_link<F: FileSystem>(root: &Root<F>, path: &RelativePath) -> Result<Option<Metadata>, StorageError> {
    let opened = root.open(path.as_bytes(), Access::Stat).map_err(StorageError::from_lookup);
    match opened.and_then(|file| root.stat(&file)) {
        Ok(seen) => Ok(Some(seen).filter(|seen| matches!(seen.kind, FileKind::Regular | FileKind::Directory))),
        Err(StorageError::NotFound | StorageError::NotRegularFile | StorageError::PermissionDenied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens the directory of an entry that must exist.
fn open_parent_of_existing<F: FileSystem>(
    root: &Root<F>,
    entry: &EntryPath,
    durable: bool,
) -> Result<Rc<F::File>, StorageError> {
    root.open_parent(&entry.path, durable).map_err(|error| match error {
        StorageError::ParentMissing => StorageError::NotFound,
        error => error,
    })
}

/// Converts an error of removing an entry that existed just now.
fn from_existing(errno: Errno) -> StorageError {
    match errno {
        Errno::NOENT | Errno::STALE => StorageError::NotFound,
        // A mount point, or a directory that a process works in.
        Errno::BUSY => StorageError::PermissionDenied,
        errno => StorageError::from_errno(errno),
    }
}

/// Flushes a new directory, and the directory in which it was created. Without a journal, the disk could otherwise have
/// its name and not the directory itself, and a file system check would remove the name.
pub(super) fn flush_new_directory<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    directory: &F::File,
) -> Result<(), StorageError> {
    flush_directory(root, directory)?;
    flush_directory(root, parent)
}
