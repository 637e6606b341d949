//! What a directory holds, one entry after the other, as the disk has them.

use std::rc::Rc;

use rustix::io::Errno;

use super::directory::Root;
use super::retry::{next_entry, retry_on_intr};
use super::{Access, DirectoryEntry, FileKind, FileSystem, Metadata, Native, RelativePath, StorageError};

/// What kind an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name, as its bytes are on the disk.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: EntryKind,
    /// The length of a file's content.
    pub size_bytes: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// One entry of a directory, as far as one needs it who opens each.
#[derive(Clone, Debug)]
pub enum WalkEntry {
    /// A regular file, by this name. It has not been looked at where the disk says what it is by the name.
    File(Box<[u8]>),
    /// A directory, by this name, and when it was last modified, in nanoseconds since 1970.
    Directory(Box<[u8]>, i128),
}

impl WalkEntry {
    /// The name, as its bytes are on the disk.
    pub fn name(&self) -> &[u8] {
        let (WalkEntry::File(name) | WalkEntry::Directory(name, _)) = self;
        name
    }
}

/// Whether links that lead to a directory are listed as directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymlinkedDirectories {
    /// They are.
    Include,
    /// They are left out: who walks a whole tree would walk in circles.
    Exclude,
}

/// A directory that is being read. It holds one descriptor and one buffer, however many entries there are.
#[derive(Debug)]
pub struct Listing<F: FileSystem = Native> {
    root: Rc<Root<F>>,
    entries: F::Entries,
    /// Beneath the root; empty for the root itself.
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
        // The root can be reopened even after it has been removed. Only reading an entry shows that.
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
            .map_err(StorageError::from_anything)?;
        Ok(stat.modified_ns)
    }

    /// Whether there may be more than `count` entries, by the size of the directory. File systems count it in ways of
    /// their own: that there are not is no promise.
    pub fn may_exceed(&self, count: u64) -> bool {
        // What an entry takes at least on ext4; elsewhere it takes more.
        const ENTRY_BYTES_MIN: u64 = 12;
        let stat = retry_on_intr(|| self.root.file_system().stat_directory(&self.entries));
        stat.is_ok_and(|stat| stat.size_bytes / ENTRY_BYTES_MIN > count)
    }

    /// Reads past `most` entries without a look at each. Returns how many of them may be listed and have a name that
    /// `is_counted`, and whether they were the last ones.
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

    /// Looks at the next entry. `None` behind the last one; `Some(Ok(None))` for an entry that a reader cannot have,
    /// which is given all the same so that each call costs the same: `.` and `..`, an upload in progress, what is
    /// neither a file nor a directory, a link that leads out of the root or nowhere, and what has been removed
    /// meanwhile.
    ///
    /// # Errors
    /// The disk failed, or no descriptor was left. Another call may go on for ever with the same error.
    #[allow(clippy::should_implement_trait, reason = "an iterator would go on behind an error")]
    pub fn next(&mut self) -> Option<Result<Option<Entry>, StorageError>> {
        Some(match self.read()? {
            Ok(Some((name, _))) => self.look_at(name),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// As [`Listing::next`], without a look at what the disk says is a regular file: who opens it looks at it anyway,
    /// and may find that it is gone.
    ///
    /// # Errors
    /// As [`Listing::next`].
    pub fn next_walk_entry(&mut self) -> Option<Result<Option<WalkEntry>, StorageError>> {
        let walked = |entry: Entry| match entry.kind {
            EntryKind::File => WalkEntry::File(entry.name),
            EntryKind::Directory => WalkEntry::Directory(entry.name, entry.modified_ns),
        };
        Some(match self.read()? {
            Ok(Some((name, Some(FileKind::Regular)))) => Ok(Some(WalkEntry::File(name))),
            Ok(Some((name, _))) => self.look_at(name).map(|entry| entry.map(walked)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// The next entry's name, and what it is where the disk says so; `Some(Ok(None))` for one that may not be listed.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn read(&mut self) -> Option<Result<Option<(Box<[u8]>, Option<FileKind>)>, StorageError>> {
        let take = |entry: &DirectoryEntry<'_>| is_listed(entry).then(|| (entry.name.into(), entry.kind));
        match next_entry(self.root.file_system(), &mut self.entries, take)? {
            Ok(entry) => Some(Ok(entry)),
            // The directory has been removed: there is nothing more in it.
            Err(Errno::NOENT) => None,
            Err(errno) => Some(Err(StorageError::from_lookup(errno))),
        }
    }

    fn look_at(&self, name: Box<[u8]>) -> Result<Option<Entry>, StorageError> {
        let stat = match retry_on_intr(|| self.root.file_system().stat_entry(&self.entries, &name)) {
            Ok(stat) => stat,
            Err(errno) => return nothing_or_error(StorageError::from_lookup(errno)),
        };
        if stat.kind != FileKind::Symlink {
            return Ok(describe(name, &stat));
        }
        match self.behind_link(&name) {
            Ok(stat) => Ok(describe(name, &stat).filter(|entry| {
                entry.kind == EntryKind::File || self.symlinked_directories == SymlinkedDirectories::Include
            })),
            Err(error) => nothing_or_error(error),
        }
    }

    /// What a reader would be given who asks for a name that is a link.
    fn behind_link(&self, name: &[u8]) -> Result<Metadata, StorageError> {
        let path = if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() };
        let behind = self.root.open(&path, Access::Stat).map_err(StorageError::from_lookup)?;
        self.root.stat(&behind)
    }
}

/// Whether the entry may be listed, by its name, and where the disk says what it is by that: it saves looking at
/// devices and the like.
fn is_listed(entry: &DirectoryEntry<'_>) -> bool {
    RelativePath::is_segment(entry.name) && entry.kind != Some(FileKind::Other)
}

fn describe(name: Box<[u8]>, stat: &Metadata) -> Option<Entry> {
    let kind = match stat.kind {
        FileKind::Regular => EntryKind::File,
        FileKind::Directory => EntryKind::Directory,
        FileKind::Symlink | FileKind::Other => return None,
    };
    let size_bytes = if kind == EntryKind::File { stat.size_bytes } else { 0 };
    Some(Entry { name, kind, size_bytes, modified_ns: stat.modified_ns })
}

/// What cannot be found or looked at is left out; what may be there, and cannot be told at the moment, is an error.
fn nothing_or_error(error: StorageError) -> Result<Option<Entry>, StorageError> {
    match error {
        StorageError::TooManyOpenFiles | StorageError::Io(_) | StorageError::Busy => Err(error),
        _ => Ok(None),
    }
}
