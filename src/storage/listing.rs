//! Lists a directory, one entry after the other, in the order of the disk.

use std::rc::Rc;

use rustix::io::Errno;

use super::directory::Root;
use super::retry::{next_entry, retry_on_intr};
use super::{Access, DirectoryEntry, FileKind, FileSystem, Metadata, Native, RelativePath, StorageError};

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// An entry of a directory. A link counts as the file or directory to which it leads.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name, which need not be UTF-8.
    pub name: Box<[u8]>,
    /// The kind.
    pub kind: EntryKind,
    /// The length of a file, in bytes; 0 for a directory.
    pub size_bytes: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// An entry of a directory, for a caller that opens every file and so needs no stat of it.
#[derive(Clone, Debug)]
pub enum WalkEntry {
    /// The name of a regular file.
    File(Box<[u8]>),
    /// The name of a directory, and when it was last modified, in nanoseconds since 1970.
    Directory(Box<[u8]>, i128),
}

impl WalkEntry {
    /// The name, which need not be UTF-8.
    pub fn name(&self) -> &[u8] {
        let (WalkEntry::File(name) | WalkEntry::Directory(name, _)) = self;
        name
    }
}

/// Whether links that lead to a directory are listed as directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymlinkedDirectories {
    /// They are listed.
    Include,
    /// They are left out, so that a walk of the whole tree does not run in circles.
    Exclude,
}

/// A directory that is being read. It has one descriptor and one buffer, regardless of the number of entries.
#[derive(Debug)]
pub struct Listing<F: FileSystem = Native> {
    root: Rc<Root<F>>,
    entries: F::Entries,
    /// The path of the directory; empty for the root.
    path: Vec<u8>,
    symlinked_directories: SymlinkedDirectories,
}

impl<F: FileSystem> Listing<F> {
    pub(super) fn open(
        root: Rc<Root<F>>,
        path: Option<&RelativePath>,
        symlinked_directories: SymlinkedDirectories,
    ) -> Result<Listing<F>, StorageError> {
        let path = path.map(RelativePath::as_bytes).unwrap_or_default();
        let name = if path.is_empty() { b"." } else { path };
        let open =
            || root.open(name, Access::ReadDirectory).and_then(|directory| root.file_system().entries(directory));
        let mut entries = retry_on_intr(open).map_err(StorageError::from_lookup)?;
        // The root can be reopened even after it was removed. Only reading an entry fails then.
        if path.is_empty() {
            if let Some(Err(Errno::NOENT)) = next_entry(root.file_system(), &mut entries, |_| ()) {
                return Err(StorageError::NotFound);
            }
            root.file_system().rewind(&mut entries);
        }
        Ok(Listing { root, entries, path: path.to_vec(), symlinked_directories })
    }

    /// When the directory was last modified, in nanoseconds since 1970.
    pub fn modified_ns(&self) -> Result<i128, StorageError> {
        let stat = retry_on_intr(|| self.root.file_system().stat_directory(&self.entries))
            .map_err(StorageError::from_errno)?;
        Ok(stat.modified_ns)
    }

    /// Whether the directory may have more than `count` entries. This is an estimate by its size, which each file
    /// system counts differently: even after `false` there may be more.
    pub fn may_exceed(&self, count: u64) -> bool {
        // The smallest entry of ext4. Other file systems need more.
        const ENTRY_BYTES_MIN: u64 = 12;
        let stat = retry_on_intr(|| self.root.file_system().stat_directory(&self.entries));
        stat.is_ok_and(|stat| stat.size_bytes / ENTRY_BYTES_MIN > count)
    }

    /// Skips up to `most` entries without a stat. Returns how many of them may be listed and have a name for which
    /// `is_counted` returns `true`, and whether the end was reached.
    ///
    /// # Errors
    /// As [`Listing::next`].
    pub fn count(&mut self, most: usize, is_counted: impl Fn(&[u8]) -> bool) -> Result<(usize, bool), StorageError> {
        let mut count = 0;
        for _ in 0..most {
            let counts = |entry: &DirectoryEntry<'_>| is_listed(entry) && is_counted(entry.name);
            match next_entry(self.root.file_system(), &mut self.entries, counts) {
                None | Some(Err(Errno::NOENT)) => return Ok((count, true)),
                Some(Ok(counts)) => count += usize::from(counts),
                Some(Err(errno)) => return Err(StorageError::from_lookup(errno)),
            }
        }
        Ok((count, false))
    }

    /// Goes back to the first entry.
    pub fn rewind(&mut self) {
        self.root.file_system().rewind(&mut self.entries);
    }

    /// Reads the next entry, and its metadata. `None` after the last one.
    ///
    /// `Some(Ok(None))` is an entry that is not listed: `.` and `..`, a temporary file, something that is neither a
    /// file nor a directory, a link that leads nowhere or out of the root, or an entry that was removed meanwhile. It
    /// is returned so that each call reads one entry at most.
    ///
    /// # Errors
    /// The disk failed, or no descriptor was left. Further calls may return the same error for ever.
    #[allow(clippy::should_implement_trait, reason = "an iterator would continue after an error")]
    pub fn next(&mut self) -> Option<Result<Option<Entry>, StorageError>> {
        Some(match self.read()? {
            Ok(Some((name, _))) => self.stat(name),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// As [`Listing::next`], but without a stat of an entry that is a regular file according to the directory. The
    /// caller opens the file anyway, and may find that it was removed.
    ///
    /// # Errors
    /// As [`Listing::next`].
    pub fn next_walk_entry(&mut self) -> Option<Result<Option<WalkEntry>, StorageError>> {
        let to_walk_entry = |entry: Entry| match entry.kind {
            EntryKind::File => WalkEntry::File(entry.name),
            EntryKind::Directory => WalkEntry::Directory(entry.name, entry.modified_ns),
        };
        Some(match self.read()? {
            Ok(Some((name, Some(FileKind::Regular)))) => Ok(Some(WalkEntry::File(name))),
            Ok(Some((name, _))) => self.stat(name).map(|entry| entry.map(to_walk_entry)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// The name of the next entry, and its kind if the directory contains it; `Some(Ok(None))` if it is not listed.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn read(&mut self) -> Option<Result<Option<(Box<[u8]>, Option<FileKind>)>, StorageError>> {
        let take = |entry: &DirectoryEntry<'_>| is_listed(entry).then(|| (entry.name.into(), entry.kind));
        match next_entry(self.root.file_system(), &mut self.entries, take)? {
            Ok(entry) => Some(Ok(entry)),
            // The directory has been removed, so it has no more entries.
            Err(Errno::NOENT) => None,
            Err(errno) => Some(Err(StorageError::from_lookup(errno))),
        }
    }

    fn stat(&self, name: Box<[u8]>) -> Result<Option<Entry>, StorageError> {
        let stat = match retry_on_intr(|| self.root.file_system().stat_entry(&self.entries, &name)) {
            Ok(stat) => stat,
            Err(errno) => return ignore_unreadable(StorageError::from_lookup(errno)),
        };
        if stat.kind != FileKind::Symlink {
            return Ok(to_entry(name, &stat));
        }
        match self.stat_target(&name) {
            Ok(stat) => Ok(to_entry(name, &stat).filter(|entry| {
                entry.kind == EntryKind::File || self.symlinked_directories == SymlinkedDirectories::Include
            })),
            Err(error) => ignore_unreadable(error),
        }
    }

    /// The metadata of the file to which a link leads.
    fn stat_target(&self, name: &[u8]) -> Result<Metadata, StorageError> {
        let path = if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() };
        let target = self.root.open(&path, Access::Stat).map_err(StorageError::from_lookup)?;
        self.root.stat(&target)
    }
}

/// Whether the entry may be listed, by its name, and by its kind if the directory contains that.
fn is_listed(entry: &DirectoryEntry<'_>) -> bool {
    RelativePath::is_segment(entry.name) && entry.kind != Some(FileKind::Other)
}

fn to_entry(name: Box<[u8]>, stat: &Metadata) -> Option<Entry> {
    let kind = match stat.kind {
        FileKind::Regular => EntryKind::File,
        FileKind::Directory => EntryKind::Directory,
        FileKind::Symlink | FileKind::Other => return None,
    };
    let size_bytes = if kind == EntryKind::File { stat.size_bytes } else { 0 };
    Some(Entry { name, kind, size_bytes, modified_ns: stat.modified_ns })
}

/// Leaves out what does not exist or cannot be read. Other errors are returned: the entry may exist, but the server
/// cannot know at the moment.
fn ignore_unreadable(error: StorageError) -> Result<Option<Entry>, StorageError> {
    match error {
        StorageError::TooManyOpenFiles | StorageError::Io(_) | StorageError::Busy => Err(error),
        _ => Ok(None),
    }
}
