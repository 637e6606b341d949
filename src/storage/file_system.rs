//! The calls that storage makes of the outside, and what each promises. `linux.rs` and `portable.rs` are the real ones,
//! and `posix.rs` is what they share; a test may bring a disk that fills up, fails and loses power.
//!
//! A call may be interrupted: it then says [`Errno::INTR`] and has done nothing. Storage makes it again.

use std::fmt::Debug;
use std::path::Path;

use rustix::io::Errno;

use super::Metadata;

/// A file system, as a process sees it.
pub trait FileSystem: Clone + Debug + 'static {
    /// An open file or directory. Dropped, it is closed, and its lock is released.
    type File: Debug;

    /// A directory that is being read.
    type Entries: Debug;

    /// Opens the directory that is served. With `Access::Traverse` no permission to read it is needed, where the system
    /// has that.
    ///
    /// # Errors
    /// As `open(2)`.
    fn open_root(&self, path: &Path, access: Access) -> Result<Self::File, Errno>;

    /// Opens `path`, and lets no step of its resolution leave `root`. Links are followed.
    ///
    /// # Errors
    /// `NOSYS` where the system has no such call; `AGAIN` where the tree was moved meanwhile; `XDEV` where the path
    /// leads out.
    fn open_beneath(&self, root: &Self::File, path: &[u8], access: Access) -> Result<Self::File, Errno>;

    /// Opens the entry `name` of `directory`, and follows no link.
    ///
    /// # Errors
    /// As `openat(2)`; `LOOP` (elsewhere `MLINK`) where the entry is a link.
    fn open_entry(&self, directory: &Self::File, name: &[u8], access: Access) -> Result<Self::File, Errno>;

    /// What an open file is.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn stat(&self, file: &Self::File) -> Result<Metadata, Errno>;

    /// What `path`, looked up from `directory`, is. With `Symlinks::Follow` nothing holds the lookup beneath anything.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    fn stat_at(&self, directory: &Self::File, path: &[u8], links: Symlinks) -> Result<Metadata, Errno>;

    /// Creates a file without a name that can be linked into `directory`, for writing. It may succeed in a directory
    /// that has been removed; then no link will.
    ///
    /// # Errors
    /// Systems and file systems that have none return `OPNOTSUPP`, `ISDIR`, `INVAL`, `NOENT` or `NOSYS`; ext4 returns
    /// `PERM` in a directory that has been removed.
    fn create_unnamed(&self, directory: &Self::File) -> Result<Self::File, Errno>;

    /// Whether an unnamed file could be given a name in this process: that may take `/proc`, which a jail lacks.
    fn can_link_unnamed(&self, some_file: &Self::File) -> bool;

    /// Creates the entry `name`, for writing: an empty file.
    ///
    /// # Errors
    /// `EXIST` where something has the name; else as `openat(2)`.
    fn create(&self, directory: &Self::File, name: &[u8]) -> Result<Self::File, Errno>;

    /// Gives an unnamed file the name `name` in `directory`.
    ///
    /// # Errors
    /// `EXIST` where something has the name; else as `linkat(2)`.
    fn link_unnamed(&self, file: &Self::File, directory: &Self::File, name: &[u8]) -> Result<(), Errno>;

    /// Gives the file that is called `from` a second name in the same directory.
    ///
    /// # Errors
    /// `EXIST` where something has the name; `PERM`, `OPNOTSUPP` or `NOSYS` where there are no hard links.
    fn link(&self, directory: &Self::File, from: &[u8], to: &[u8]) -> Result<(), Errno>;

    /// Renames within `directory`, in one step for whoever looks, and replaces what is called `to`. Where both are
    /// names of one file, nothing happens.
    ///
    /// # Errors
    /// As `renameat(2)`.
    fn rename(&self, directory: &Self::File, from: &[u8], to: &[u8]) -> Result<(), Errno>;

    /// As [`rename`](FileSystem::rename), and replaces nothing.
    ///
    /// # Errors
    /// `EXIST` where something has the name; `NOSYS` or `INVAL` where the system or the file system cannot tell.
    fn rename_noreplace(&self, directory: &Self::File, from: &[u8], to: &[u8]) -> Result<(), Errno>;

    /// Removes the entry `name`, which is no directory. The file lives on while it is open or has another name.
    ///
    /// # Errors
    /// As `unlinkat(2)`.
    fn unlink(&self, directory: &Self::File, name: &[u8]) -> Result<(), Errno>;

    /// Takes the exclusive lock of a file without waiting. It belongs to the open file, and goes when that is closed.
    ///
    /// # Errors
    /// `WOULDBLOCK` where another has it; `NOLCK`, `OPNOTSUPP` or `NOSYS` where there are no locks.
    fn lock(&self, file: &Self::File) -> Result<(), Errno>;

    /// Reads from `offset` on. Returns how many bytes were read: fewer than fit, perhaps, and 0 at the end of the file.
    ///
    /// # Errors
    /// As `pread(2)`.
    fn read_at(&self, file: &Self::File, space: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// Writes the start of `content` behind what was written before. Returns how many bytes were taken.
    ///
    /// # Errors
    /// As `write(2)`: `NOSPC` and `DQUOT` above all.
    fn write(&self, file: &Self::File, content: &[u8]) -> Result<usize, Errno>;

    /// Sets the modification time, in nanoseconds since 1970. The file system may keep a coarser one.
    ///
    /// # Errors
    /// As `futimens(2)`.
    fn set_modified(&self, file: &Self::File, modified_ns: u64) -> Result<(), Errno>;

    /// Writes a file's content and attributes, or a directory's entries, to the disk. Once this has failed, what was
    /// written before may be lost, although a second call succeeds.
    ///
    /// # Errors
    /// As `fsync(2)`; `INVAL` where the file system does not flush such a file.
    fn sync(&self, file: &Self::File) -> Result<(), Errno>;

    /// Asks for the errors that the file system reports when a file is closed, and leaves it open.
    ///
    /// # Errors
    /// As `close(2)`; `MFILE` where that takes a descriptor and none is left; `INTR` where the answer is lost.
    fn close_errors(&self, file: &Self::File) -> Result<(), Errno>;

    /// How many bytes are free where `directory` is, for this process; `None` where the file system does not say.
    fn free_bytes(&self, directory: &Self::File) -> Option<u64>;

    /// The longest file that this process may write, in bytes. To write more would end it.
    fn file_size_max(&self) -> Option<u64>;

    /// Begins to read a directory that was opened with `Access::ReadDirectory`. Entries that were added after it was
    /// opened may be missing until it is [rewound](FileSystem::rewind): so on Btrfs.
    ///
    /// # Errors
    /// `NOTDIR` where it is none.
    fn entries(&self, directory: Self::File) -> Result<Self::Entries, Errno>;

    /// Begins to read a directory that stays open beside it.
    ///
    /// # Errors
    /// As opening it anew.
    fn reopen_directory(&self, directory: &Self::File) -> Result<Self::Entries, Errno>;

    /// Reads the next entry; `None` behind the last one. `.` and `..` may be among them.
    ///
    /// # Errors
    /// As `getdents(2)`: `NOENT` once the directory has been removed.
    fn next_entry<'e>(&self, entries: &'e mut Self::Entries) -> Option<Result<DirectoryEntry<'e>, Errno>>;

    /// Goes back to the first entry, and shows what the directory then holds.
    fn rewind(&self, entries: &mut Self::Entries);

    /// What the directory itself is.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn stat_directory(&self, entries: &Self::Entries) -> Result<Metadata, Errno>;

    /// What the entry `name` of the directory is. Links are not followed.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    fn stat_entry(&self, entries: &Self::Entries, name: &[u8]) -> Result<Metadata, Errno>;
}

/// What something is opened for. No open waits, and none makes a terminal the process's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A file, to read it.
    Read,
    /// A file, to lock it and perhaps to remove it: for writing, which some file servers ask of an exclusive lock.
    Lock,
    /// Whatever it is, only to say what it is. It takes no permission to read, where the system has that.
    Stat,
    /// A directory, to read or to flush it.
    ReadDirectory,
    /// A directory, to reach what is in it. It takes no permission to read, where the system has that.
    Traverse,
}

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// It is.
    Follow,
    /// The link itself is meant.
    NoFollow,
}

/// What kind of file something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO, a socket, a device.
    Other,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryEntry<'e> {
    /// Its name.
    pub name: &'e [u8],
    /// What it is, where the directory says so.
    pub kind: Option<FileKind>,
}
