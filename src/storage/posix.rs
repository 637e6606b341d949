//! The system calls that all Unix systems have. The calls of a single system are plugged in through [`Posix`].

use std::fmt::Debug;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, DirEntry, FileType, FlockOperation, Mode, OFlags, SeekFrom, Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::Errno;
use rustix::process::Resource;

use super::file_system::{Access, DirectoryEntry, FileKind, FileSystem, Symlinks};
use super::metadata::Metadata;
use super::{closer, flushers};

/// What differs between the systems. [`FileSystem`] is implemented for every type that has it.
pub(super) trait Posix: Clone + Debug + 'static {
    /// The flags of [`Access::Stat`]. The open must not wait, since the file may be a FIFO.
    const STAT: OFlags;

    /// The flags of [`Access::Traverse`].
    const TRAVERSE: OFlags;

    /// As [`FileSystem::open_beneath`].
    fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno>;

    /// As [`FileSystem::create_unnamed`].
    fn create_unnamed(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno>;

    /// As [`FileSystem::can_link_unnamed`].
    fn can_link_unnamed(some_file: BorrowedFd<'_>) -> bool;

    /// As [`FileSystem::link_unnamed`].
    fn link_unnamed(file: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno>;

    /// As [`FileSystem::rename_noreplace`].
    fn rename_noreplace(
        from_directory: BorrowedFd<'_>,
        from: &[u8],
        to_directory: BorrowedFd<'_>,
        to: &[u8],
    ) -> Result<(), Errno>;

    /// As [`FileSystem::set_attribute`].
    fn set_attribute(file: BorrowedFd<'_>, attribute: &[u8]) -> Result<(), Errno>;

    /// As [`FileSystem::attribute`].
    fn attribute(file: BorrowedFd<'_>, space: &mut [u8]) -> Result<usize, Errno>;

    /// As [`FileSystem::read_without_waiting`].
    fn read_without_waiting(file: BorrowedFd<'_>, space: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// As [`FileSystem::read_ahead`].
    fn read_ahead(file: BorrowedFd<'_>, offset: u64, bytes: u64) -> Result<(), Errno>;

    /// As [`FileSystem::reserve`].
    fn reserve(file: BorrowedFd<'_>, offset: u64, bytes: u64) -> Result<(), Errno>;

    /// As [`FileSystem::may_fail_at_close`].
    fn may_fail_at_close(directory: BorrowedFd<'_>) -> bool;

    /// As [`FileSystem::boot_id`].
    fn boot_id() -> Option<u64>;
}

/// The mode of a new file, before the umask is applied.
pub(super) const NEW_FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// The mode of a new directory, before the umask is applied.
const NEW_DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);

/// The unit in which `stat(2)` counts the blocks of a file, in bytes.
const BLOCK_BYTES: u64 = 512;

/// The open does not wait, and does not make a terminal the controlling one.
const NO_WAIT: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn flags<S: Posix>(access: Access) -> OFlags {
    match access {
        Access::Read => OFlags::RDONLY | NO_WAIT,
        Access::Lock => OFlags::WRONLY | NO_WAIT,
        Access::Stat => S::STAT | OFlags::CLOEXEC,
        Access::ReadDirectory => OFlags::RDONLY | OFlags::DIRECTORY | NO_WAIT,
        Access::Traverse => S::TRAVERSE | OFlags::DIRECTORY | OFlags::CLOEXEC,
    }
}

/// A directory that is being read, and the last entry.
#[derive(Debug)]
pub struct Entries {
    directory: Dir,
    last: Option<DirEntry>,
}

impl Entries {
    fn new(directory: Dir) -> Entries {
        Entries { directory, last: None }
    }
}

impl<S: Posix> FileSystem for S {
    type File = OwnedFd;
    type Entries = Entries;

    fn open_root(&self, path: &Path, access: Access) -> Result<OwnedFd, Errno> {
        rustix::fs::open(path, flags::<S>(access), Mode::empty())
    }

    fn open_beneath(&self, root: &OwnedFd, path: &[u8], access: Access) -> Result<OwnedFd, Errno> {
        <S as Posix>::open_beneath(root.as_fd(), path, flags::<S>(access))
    }

    fn open_entry(&self, directory: &OwnedFd, name: &[u8], access: Access) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(directory, name, flags::<S>(access) | OFlags::NOFOLLOW, Mode::empty())
    }

    fn stat(&self, file: &OwnedFd) -> Result<Metadata, Errno> {
        rustix::fs::fstat(file).map(|stat| Metadata::from_system(&stat))
    }

    fn stat_at(&self, directory: &OwnedFd, path: &[u8], symlinks: Symlinks) -> Result<Metadata, Errno> {
        let flags = match symlinks {
            Symlinks::Follow => AtFlags::empty(),
            Symlinks::NoFollow => AtFlags::SYMLINK_NOFOLLOW,
        };
        rustix::fs::statat(directory, path, flags).map(|stat| Metadata::from_system(&stat))
    }

    fn create_unnamed(&self, directory: &OwnedFd) -> Result<OwnedFd, Errno> {
        <S as Posix>::create_unnamed(directory.as_fd())
    }

    fn can_link_unnamed(&self, some_file: &OwnedFd) -> bool {
        <S as Posix>::can_link_unnamed(some_file.as_fd())
    }

    fn create(&self, directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, NEW_FILE_MODE)
    }

    fn link_unnamed(&self, file: &OwnedFd, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        <S as Posix>::link_unnamed(file.as_fd(), directory.as_fd(), name)
    }

    fn link(&self, from_directory: &OwnedFd, from: &[u8], to_directory: &OwnedFd, to: &[u8]) -> Result<(), Errno> {
        rustix::fs::linkat(from_directory, from, to_directory, to, AtFlags::empty())
    }

    fn rename(&self, from_directory: &OwnedFd, from: &[u8], to_directory: &OwnedFd, to: &[u8]) -> Result<(), Errno> {
        rustix::fs::renameat(from_directory, from, to_directory, to)
    }

    fn rename_noreplace(
        &self,
        from_directory: &OwnedFd,
        from: &[u8],
        to_directory: &OwnedFd,
        to: &[u8],
    ) -> Result<(), Errno> {
        <S as Posix>::rename_noreplace(from_directory.as_fd(), from, to_directory.as_fd(), to)
    }

    fn create_directory(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::mkdirat(directory, name, NEW_DIRECTORY_MODE)
    }

    fn remove_directory(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::unlinkat(directory, name, AtFlags::empty())
    }

    fn lock(&self, file: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
    }

    fn read_at(&self, file: &OwnedFd, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        rustix::io::pread(file, space, offset)
    }

    fn read_without_waiting(&self, file: &OwnedFd, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        <S as Posix>::read_without_waiting(file.as_fd(), space, offset)
    }

    fn read_ahead(&self, file: &OwnedFd, offset: u64, bytes: u64) -> Result<(), Errno> {
        <S as Posix>::read_ahead(file.as_fd(), offset, bytes)
    }

    fn write(&self, file: &OwnedFd, content: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(file, content)
    }

    fn reserve(&self, file: &OwnedFd, offset: u64, bytes: u64) -> Result<(), Errno> {
        <S as Posix>::reserve(file.as_fd(), offset, bytes)
    }

    fn set_modified(&self, file: &OwnedFd, modified_ns: u64) -> Result<(), Errno> {
        // Both parts fit: 2^64 nanoseconds are 585 years.
        let last_modification =
            Timespec { tv_sec: (modified_ns / 1_000_000_000) as i64, tv_nsec: (modified_ns % 1_000_000_000) as _ };
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        rustix::fs::futimens(file, &Timestamps { last_access, last_modification })
    }

    fn truncate(&self, file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
        rustix::fs::ftruncate(file, bytes)?;
        rustix::fs::seek(file, SeekFrom::Start(bytes)).map(|_| ())
    }

    fn set_attribute(&self, file: &OwnedFd, attribute: &[u8]) -> Result<(), Errno> {
        <S as Posix>::set_attribute(file.as_fd(), attribute)
    }

    fn attribute(&self, file: &OwnedFd, space: &mut [u8]) -> Result<usize, Errno> {
        <S as Posix>::attribute(file.as_fd(), space)
    }

    fn sync(&self, file: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::fsync(file)
    }

    fn sync_all(&self, files: &[&OwnedFd]) -> Vec<Result<(), Errno>> {
        flushers::sync_all(files)
    }

    fn may_fail_at_close(&self, directory: &OwnedFd) -> bool {
        <S as Posix>::may_fail_at_close(directory.as_fd())
    }

    /// File systems report these errors whenever any descriptor of the file is closed. So this closes a duplicate.
    fn close_errors(&self, file: &OwnedFd) -> Result<(), Errno> {
        let other = rustix::io::fcntl_dupfd_cloexec(file, 0)?;
        nix::unistd::close(other).map_err(|errno| Errno::from_raw_os_error(errno as i32))
    }

    fn close_in_background(&self, file: OwnedFd) {
        // While it has a name, only a descriptor is freed.
        if let Some(stat) = rustix::fs::fstat(&file).ok().filter(|stat| stat.st_nlink == 0) {
            closer::close(file, u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK_BYTES));
        }
    }

    fn bytes_being_freed(&self) -> u64 {
        closer::bytes_queued()
    }

    fn wait_until_freed(&self) {
        closer::wait();
    }

    fn free_bytes(&self, directory: &OwnedFd) -> Option<u64> {
        let space = rustix::fs::fstatvfs(directory).ok()?;
        // A file system without any blocks (such as procfs) does not limit the space.
        (space.f_blocks > 0).then(|| space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn file_size_max(&self) -> Option<u64> {
        rustix::process::getrlimit(Resource::Fsize).current
    }

    fn boot_id(&self) -> Option<u64> {
        <S as Posix>::boot_id()
    }

    fn entries(&self, directory: OwnedFd) -> Result<Entries, Errno> {
        Dir::new(directory).map(Entries::new)
    }

    fn reopen_directory(&self, directory: &OwnedFd) -> Result<Entries, Errno> {
        // Not with `Dir::read_from`, which reopens the directory with the flags of the descriptor: a directory that was
        // opened to be traversed could not be read.
        let again = rustix::fs::openat(directory, ".", flags::<S>(Access::ReadDirectory), Mode::empty())?;
        Dir::new(again).map(Entries::new)
    }

    fn next_entry<'e>(&self, entries: &'e mut Entries) -> Option<Result<DirectoryEntry<'e>, Errno>> {
        match entries.directory.read() {
            Some(Ok(entry)) => {
                let entry = entries.last.insert(entry);
                let kind = kind(entry.file_type());
                Some(Ok(DirectoryEntry { name: entry.file_name().to_bytes(), kind }))
            }
            Some(Err(errno)) => Some(Err(errno)),
            // `Dir::read` reports `ENOENT` as the end. Every existing directory has the entry `.`, so an end before the
            // first entry may mean that the directory has been removed.
            None if entries.last.is_none() && is_removed(&entries.directory) => Some(Err(Errno::NOENT)),
            None => None,
        }
    }

    fn rewind(&self, entries: &mut Entries) {
        entries.directory.rewind();
        entries.last = None;
    }

    fn stat_directory(&self, entries: &Entries) -> Result<Metadata, Errno> {
        let stat = rustix::fs::fstat(entries.directory.fd()?)?;
        Ok(Metadata::from_system(&stat))
    }

    fn stat_entry(&self, entries: &Entries, name: &[u8]) -> Result<Metadata, Errno> {
        let stat = rustix::fs::statat(entries.directory.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Metadata::from_system(&stat))
    }
}

fn is_removed(directory: &Dir) -> bool {
    directory.fd().and_then(rustix::fs::fstat).is_ok_and(|stat| stat.st_nlink == 0)
}

fn kind(file_type: FileType) -> Option<FileKind> {
    match file_type {
        FileType::RegularFile => Some(FileKind::Regular),
        FileType::Directory => Some(FileKind::Directory),
        FileType::Symlink => Some(FileKind::Symlink),
        FileType::Unknown => None,
        _ => Some(FileKind::Other),
    }
}

impl Metadata {
    #[allow(clippy::unnecessary_cast, reason = "the width and the sign of a device number differ between systems")]
    fn from_system(stat: &rustix::fs::Stat) -> Metadata {
        Metadata {
            kind: kind(FileType::from_raw_mode(stat.st_mode)).unwrap_or(FileKind::Other),
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            // Only a broken file system reports a negative size: the file then counts as empty.
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)),
            changed_ns: nanoseconds(i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec)),
        }
    }
}

fn nanoseconds(seconds: i128, rest: i128) -> i128 {
    // 64 bits of seconds times 10^9 fit in 128 bits.
    seconds * 1_000_000_000 + rest
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::storage::Native;

    #[test]
    fn metadata_is_what_the_system_reports() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("name");
        fs::write(&path, b"12345").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let quarter = Duration::from_millis(250);
        // A quarter of a second before and after 1970, and the far future.
        for (modified, expected) in [
            (UNIX_EPOCH - quarter, -250_000_000),
            (UNIX_EPOCH + quarter, 250_000_000),
            (UNIX_EPOCH + Duration::from_secs(8_000_000_000), 8_000_000_000_000_000_000),
        ] {
            file.set_modified(modified).unwrap();
            let metadata = Metadata::from_system(&rustix::fs::fstat(&file).unwrap());
            let from_std = fs::metadata(&path).unwrap();
            assert_eq!(metadata.size_bytes, 5);
            assert_eq!(metadata.modified_ns, expected);
            assert_eq!((metadata.device, metadata.inode), (from_std.dev(), from_std.ino()));
            let changed_ns = i128::from(from_std.ctime()) * 1_000_000_000 + i128::from(from_std.ctime_nsec());
            assert_eq!(metadata.changed_ns, changed_ns);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_without_blocks_reports_no_free_space() {
        assert_eq!(Native.free_bytes(&File::open("/proc").unwrap().into()), None);
    }

    /// Opening `.` relative to a directory makes it readable even if it was opened to be traversed.
    #[test]
    fn a_directory_can_be_read_however_it_was_opened() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("name"), b"").unwrap();
        for access in [Access::Traverse, Access::ReadDirectory] {
            let directory = Native.open_root(root.path(), access).unwrap();
            let mut entries = Native.reopen_directory(&directory).unwrap();
            let mut names = Vec::new();
            while let Some(entry) = Native.next_entry(&mut entries) {
                names.push(entry.unwrap().name.to_vec());
            }
            assert!(names.contains(&b"name".to_vec()), "{access:?}");
        }
    }
}
