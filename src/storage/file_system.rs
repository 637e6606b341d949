//! The system calls of storage, and what it expects of each. `linux.rs` and `portable.rs` implement them, and share
//! `posix.rs`. A test may implement a disk that fills up, fails and loses power.
//!
//! A call that returns [`Errno::INTR`] has had no effect, and storage repeats it.

use std::fmt::Debug;
use std::path::Path;

use rustix::io::Errno;

use super::Metadata;

/// A file system, as a process sees it.
pub trait FileSystem: Clone + Debug + 'static {
    /// An open file or directory. Dropping it closes it and releases its lock.
    type File: Debug;

    /// A directory that is being read.
    type Entries: Debug;

    /// Opens the directory that is served. [`Access::Traverse`] needs no permission to read it, on systems that support
    /// this.
    ///
    /// # Errors
    /// As `open(2)`.
    fn open_root(&self, path: &Path, access: Access) -> Result<Self::File, Errno>;

    /// Opens `path` relative to `root`. Links are followed, and no step of the resolution may leave `root`.
    ///
    /// # Errors
    /// `NOSYS` if the system has no such call; `AGAIN` if the tree was changed meanwhile; `XDEV` if the path leads out.
    fn open_beneath(&self, root: &Self::File, path: &[u8], access: Access) -> Result<Self::File, Errno>;

    /// Opens the entry `name` of `directory`. A link is not followed.
    ///
    /// # Errors
    /// As `openat(2)`; `LOOP` (or `MLINK`, depending on the system) if the entry is a link.
    fn open_entry(&self, directory: &Self::File, name: &[u8], access: Access) -> Result<Self::File, Errno>;

    /// The metadata of an open file.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn stat(&self, file: &Self::File) -> Result<Metadata, Errno>;

    /// The metadata of `path`, relative to `directory`. With [`Symlinks::Follow`] the lookup may leave `directory`.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    fn stat_at(&self, directory: &Self::File, path: &[u8], symlinks: Symlinks) -> Result<Metadata, Errno>;

    /// Creates a file without a name, for writing, that can be linked into `directory` later. It may succeed in a
    /// directory that has been removed; linking it then fails.
    ///
    /// # Errors
    /// Where there are no unnamed files: `OPNOTSUPP`, `ISDIR`, `INVAL`, `NOENT` or `NOSYS`. ext4 returns `PERM` in a
    /// directory that has been removed.
    fn create_unnamed(&self, directory: &Self::File) -> Result<Self::File, Errno>;

    /// Whether this process can give a name to an unnamed file. This may need `/proc`, which is missing in some
    /// containers.
    fn can_link_unnamed(&self, some_file: &Self::File) -> bool;

    /// Creates the empty file `name`, for writing.
    ///
    /// # Errors
    /// `EXIST` if the name exists; else as `openat(2)`.
    fn create(&self, directory: &Self::File, name: &[u8]) -> Result<Self::File, Errno>;

    /// Gives an unnamed file the name `name` in `directory`.
    ///
    /// # Errors
    /// `EXIST` if the name exists; else as `linkat(2)`.
    fn link_unnamed(&self, file: &Self::File, directory: &Self::File, name: &[u8]) -> Result<(), Errno>;

    /// Gives the file `from` in `from_directory` a second name, `to` in `to_directory`. A link is not followed: it gets the
    /// second name itself.
    ///
    /// # Errors
    /// `EXIST` if `to` exists; `PERM`, `OPNOTSUPP` or `NOSYS` where there are no hard links, and for a directory; `XDEV`
    /// if the directories are on different file systems.
    fn link(&self, from_directory: &Self::File, from: &[u8], to_directory: &Self::File, to: &[u8])
    -> Result<(), Errno>;

    /// Atomically renames `from` in `from_directory` to `to` in `to_directory`. A file or link replaces a file or link
    /// `to`, and a directory replaces an empty directory. If both are names of one file, nothing happens.
    ///
    /// # Errors
    /// As `renameat(2)`: `ISDIR` or `NOTDIR` if only one of the two is a directory; `NOTEMPTY` or `EXIST` if `to` is a
    /// directory that is not empty; `INVAL` if a directory would move into itself; `XDEV` if the directories are on
    /// different file systems.
    fn rename(
        &self,
        from_directory: &Self::File,
        from: &[u8],
        to_directory: &Self::File,
        to: &[u8],
    ) -> Result<(), Errno>;

    /// As [`rename`](FileSystem::rename), but never replaces anything.
    ///
    /// # Errors
    /// `EXIST` if `to` exists; `NOSYS` or `INVAL` if the system or the file system does not support this.
    fn rename_noreplace(
        &self,
        from_directory: &Self::File,
        from: &[u8],
        to_directory: &Self::File,
        to: &[u8],
    ) -> Result<(), Errno>;

    /// Creates the empty directory `name`.
    ///
    /// # Errors
    /// `EXIST` if the name exists; else as `mkdirat(2)`.
    fn create_directory(&self, directory: &Self::File, name: &[u8]) -> Result<(), Errno>;

    /// Removes the empty directory `name`.
    ///
    /// # Errors
    /// `NOTEMPTY` or `EXIST` if it is not empty; `NOTDIR` if it is not a directory; else as `unlinkat(2)`.
    fn remove_directory(&self, directory: &Self::File, name: &[u8]) -> Result<(), Errno>;

    /// Removes the entry `name`, which must not be a directory. The file itself remains while it is open or has another
    /// name.
    ///
    /// # Errors
    /// As `unlinkat(2)`; `ISDIR` or `PERM`, depending on the system, if it is a directory.
    fn unlink(&self, directory: &Self::File, name: &[u8]) -> Result<(), Errno>;

    /// Takes the exclusive lock of a file without waiting (`flock`). Closing the file releases it.
    ///
    /// # Errors
    /// `WOULDBLOCK` if another open file has the lock; `NOLCK`, `OPNOTSUPP` or `NOSYS` where there are no locks.
    fn lock(&self, file: &Self::File) -> Result<(), Errno>;

    /// Reads from `offset` on. Returns the number of bytes: perhaps fewer than fit, and 0 at the end of the file.
    ///
    /// # Errors
    /// As `pread(2)`.
    fn read_at(&self, file: &Self::File, space: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// As [`read_at`](FileSystem::read_at), but returns only what is in memory, and never waits for the disk.
    ///
    /// # Errors
    /// `AGAIN` if the first byte is not in memory. `OPNOTSUPP`, `NOSYS` or `INVAL` if the system or the file system cannot
    /// tell.
    fn read_without_waiting(&self, file: &Self::File, space: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// Asks the system to read `bytes` bytes from `offset` on into memory, and does not wait for them. It may read fewer, or
    /// none.
    ///
    /// # Errors
    /// As `posix_fadvise(2)`.
    fn read_ahead(&self, file: &Self::File, offset: u64, bytes: u64) -> Result<(), Errno>;

    /// Appends the start of `content` to what was written before. Returns the number of bytes that were written.
    ///
    /// # Errors
    /// As `write(2)`, in particular `NOSPC` and `DQUOT`.
    fn write(&self, file: &Self::File, content: &[u8]) -> Result<usize, Errno>;

    /// Reserves space on the disk for `bytes` bytes from `offset` on, which is where the file ends, if that makes writing
    /// them cheaper. The file's length does not change.
    ///
    /// # Errors
    /// As `fallocate(2)`. A part of the space may have been reserved, and the file can still be written.
    fn reserve(&self, file: &Self::File, offset: u64, bytes: u64) -> Result<(), Errno>;

    /// Sets the modification time, in nanoseconds since 1970. The file system may round it.
    ///
    /// # Errors
    /// As `futimens(2)`.
    fn set_modified(&self, file: &Self::File, modified_ns: u64) -> Result<(), Errno>;

    /// Truncates a file that is open for writing to its first `bytes` bytes, and frees space that was reserved after
    /// them. The next write appends to them.
    ///
    /// # Errors
    /// As `ftruncate(2)`.
    fn truncate(&self, file: &Self::File, bytes: u64) -> Result<(), Errno>;

    /// Stores `attribute` as an extended attribute of the file, and replaces an existing one.
    ///
    /// # Errors
    /// As `fsetxattr(2)`: `NOTSUP` if the file system does not support attributes, `NOSPC` or `DQUOT` if it has no
    /// space.
    fn set_attribute(&self, file: &Self::File, attribute: &[u8]) -> Result<(), Errno>;

    /// Reads the attribute of the file into `space`, and returns its length in bytes.
    ///
    /// # Errors
    /// As `fgetxattr(2)`: `NODATA` (or `NOATTR`, depending on the system) if the file has none, `RANGE` if it is longer
    /// than `space`, `NOTSUP` if the file system does not support attributes.
    fn attribute(&self, file: &Self::File, space: &mut [u8]) -> Result<usize, Errno>;

    /// Flushes a file's content and attributes, or a directory's entries, to the disk. After an error the data may be
    /// lost, even if a second call succeeds.
    ///
    /// # Errors
    /// As `fsync(2)`; `INVAL` if the file system cannot flush such a file.
    fn sync(&self, file: &Self::File) -> Result<(), Errno>;

    /// Flushes each of the files as [`sync`](FileSystem::sync) does, in any order or all at the same time. Returns their
    /// results, in the order of `files`.
    fn sync_all(&self, files: &[&Self::File]) -> Vec<Result<(), Errno>> {
        files.iter().map(|file| self.sync(file)).collect()
    }

    /// Whether the file system of `directory` may report an error of a write only when the file is closed, as those on a
    /// network and many in user space do.
    fn may_fail_at_close(&self, directory: &Self::File) -> bool;

    /// Returns the errors that the file system reports when a file is closed, and leaves the file open.
    ///
    /// # Errors
    /// As `close(2)`; `MFILE` if no descriptor is left for this; `INTR` if the result is lost. It must not be repeated
    /// then.
    fn close_errors(&self, file: &Self::File) -> Result<(), Errno>;

    /// The length of a file, in bytes, from which on it may take too long to free its content: everybody would wait
    /// meanwhile.
    fn long_file_bytes(&self) -> u64 {
        4 * 1024 * 1024
    }

    /// Closes a file. A file that has no name may be closed later, so that nobody waits until its content has been freed.
    fn close_in_background(&self, file: Self::File) {
        drop(file);
    }

    /// How many bytes will become free once the files have been closed that are being closed in the background.
    fn bytes_being_freed(&self) -> u64 {
        0
    }

    /// Waits until they have been closed.
    fn wait_until_freed(&self) {}

    /// The free space for this process in the file system of `directory`, in bytes. `None` if the file system does not
    /// report it.
    fn free_bytes(&self, directory: &Self::File) -> Option<u64>;

    /// The size limit of files that this process writes (`RLIMIT_FSIZE`), in bytes. To write more ends the process.
    fn file_size_max(&self) -> Option<u64>;

    /// A number that is another one after each start of the operating system; `None` if the system has none. Content
    /// that was not flushed may be lost when it changes.
    fn boot_id(&self) -> Option<u64>;

    /// Starts to read a directory that was opened with [`Access::ReadDirectory`]. On Btrfs, entries that are added
    /// after it was opened may be missing until it is [rewound](FileSystem::rewind).
    ///
    /// # Errors
    /// `NOTDIR` if it is not a directory.
    fn entries(&self, directory: Self::File) -> Result<Self::Entries, Errno>;

    /// Starts to read an open directory, through a descriptor of its own.
    ///
    /// # Errors
    /// As [`open_entry`](FileSystem::open_entry).
    fn reopen_directory(&self, directory: &Self::File) -> Result<Self::Entries, Errno>;

    /// Reads the next entry; `None` after the last one. `.` and `..` may be among them.
    ///
    /// # Errors
    /// As `getdents(2)`; `NOENT` if the directory has been removed.
    fn next_entry<'e>(&self, entries: &'e mut Self::Entries) -> Option<Result<DirectoryEntry<'e>, Errno>>;

    /// Goes back to the first entry, and reads the directory as it is now.
    fn rewind(&self, entries: &mut Self::Entries);

    /// The metadata of the directory itself.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn stat_directory(&self, entries: &Self::Entries) -> Result<Metadata, Errno>;

    /// The metadata of the entry `name` of the directory. A link is not followed.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    fn stat_entry(&self, entries: &Self::Entries, name: &[u8]) -> Result<Metadata, Errno>;
}

/// What a file is opened for. No open waits, and none makes a terminal the controlling one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read a file.
    Read,
    /// To lock a file and perhaps to remove it. It is opened for writing, which some file servers require for an
    /// exclusive lock.
    Lock,
    /// To stat any kind of file. This needs no permission to read it, on systems that support this (`O_PATH`).
    Stat,
    /// To read or flush a directory.
    ReadDirectory,
    /// To open files in a directory. This needs no permission to read it, on systems that support this (`O_PATH`).
    Traverse,
}

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// The link is followed.
    Follow,
    /// The link itself is used.
    NoFollow,
}

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO, a socket or a device.
    Other,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryEntry<'e> {
    /// The name.
    pub name: &'e [u8],
    /// The kind of the file, on file systems that store it in the directory.
    pub kind: Option<FileKind>,
}
