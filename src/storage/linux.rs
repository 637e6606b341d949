//! The system calls of Linux, including those that other systems lack.

use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, AtFlags, CWD, FallocateFlags, FsWord, Mode, OFlags, RenameFlags, ResolveFlags, XattrFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::posix::{NEW_FILE_MODE, Posix};

/// The name of the attribute. Attributes of the class `user` have the permissions of the file.
const ATTRIBUTE: &str = "user.spindle.digest";

/// The type that `statfs(2)` reports for ext4, and also for ext2 and ext3.
const EXT4: FsWord = 0xef53;

/// The types of file systems whose files do nothing when they are closed, so that closing one never fails: ext4, tmpfs,
/// XFS and Btrfs. (In terms of the kernel, their file operations have no `flush`.)
const NEVER_FAIL_AT_CLOSE: [FsWord; 4] = [EXT4, 0x0102_1994, 0x5846_5342, 0x9123_683e];

/// The system calls of Linux.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux;

impl Posix for Linux {
    const STAT: OFlags = OFlags::PATH;

    const TRAVERSE: OFlags = OFlags::PATH;

    fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
    }

    fn create_unnamed(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(directory, ".", OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, NEW_FILE_MODE)
    }

    /// Unprivileged processes on kernels before 6.10 can only link through `/proc`.
    fn can_link_unnamed(some_file: BorrowedFd<'_>) -> bool {
        let through_proc = rustix::fs::statat(CWD, descriptor_path(some_file), AtFlags::empty());
        let directly = rustix::fs::fstat(some_file);
        matches!((through_proc, directly), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    fn link_unnamed(file: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::linkat(file, "", directory, name, AtFlags::EMPTY_PATH) {
            // What unprivileged processes get on kernels before 6.10. Linking through /proc takes twice as long.
            Err(Errno::NOENT) => link_through_proc(file, directory, name),
            linked => linked,
        }
    }

    fn rename_noreplace(
        from_directory: BorrowedFd<'_>,
        from: &[u8],
        to_directory: BorrowedFd<'_>,
        to: &[u8],
    ) -> Result<(), Errno> {
        rustix::fs::renameat_with(from_directory, from, to_directory, to, RenameFlags::NOREPLACE)
    }

    fn set_attribute(file: BorrowedFd<'_>, attribute: &[u8]) -> Result<(), Errno> {
        rustix::fs::fsetxattr(file, ATTRIBUTE, attribute, XattrFlags::empty())
    }

    fn attribute(file: BorrowedFd<'_>, space: &mut [u8]) -> Result<usize, Errno> {
        rustix::fs::fgetxattr(file, ATTRIBUTE, space)
    }

    fn read_without_waiting(file: BorrowedFd<'_>, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
        rustix::io::preadv2(file, &mut [IoSliceMut::new(space)], offset, ReadWriteFlags::NOWAIT)
    }

    fn read_ahead(file: BorrowedFd<'_>, offset: u64, bytes: u64) -> Result<(), Errno> {
        // 0 would mean all bytes up to the end of the file.
        let Some(bytes) = NonZeroU64::new(bytes) else { return Ok(()) };
        rustix::fs::fadvise(file, offset, Some(bytes), Advice::WillNeed)
    }

    /// Only on ext4, where it was measured to help. On tmpfs it does not, and Btrfs does not compress reserved space.
    fn reserve(file: BorrowedFd<'_>, offset: u64, bytes: u64) -> Result<(), Errno> {
        if rustix::fs::fstatfs(file)?.f_type != EXT4 {
            return Ok(());
        }
        rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, bytes)
    }

    fn may_fail_at_close(directory: BorrowedFd<'_>) -> bool {
        !rustix::fs::fstatfs(directory).is_ok_and(|file_system| NEVER_FAIL_AT_CLOSE.contains(&file_system.f_type))
    }

    /// The first half of the UUID that the kernel draws when it starts. It needs `/proc`.
    fn boot_id() -> Option<u64> {
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(16).collect();
        u64::from_str_radix(&digits, 16).ok()
    }
}

fn link_through_proc(file: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, descriptor_path(file), directory, name, AtFlags::SYMLINK_FOLLOW)
}

fn descriptor_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::{File, read_dir};

    use super::*;

    #[test]
    fn closing_a_file_may_fail_except_on_known_file_systems() {
        let may_fail = |path| Linux::may_fail_at_close(File::open(path).unwrap().as_fd());
        assert!(may_fail("/proc"));
        let shared_memory = std::fs::read_to_string("/proc/mounts").unwrap();
        if shared_memory.lines().any(|mount| mount.split(' ').nth(1) == Some("/dev/shm") && mount.contains(" tmpfs ")) {
            assert!(!may_fail("/dev/shm"));
        }
    }

    /// A new kernel never links through /proc, so that nothing else tests it there.
    #[test]
    fn an_unnamed_file_is_linked_directly_and_through_proc_and_never_replaces() {
        let directory = tempfile::tempdir().unwrap();
        let parent = File::open(directory.path()).unwrap();
        let Ok(file) = Linux::create_unnamed(parent.as_fd()) else {
            return eprintln!("skipped: no unnamed files here");
        };
        type Link = fn(BorrowedFd<'_>, BorrowedFd<'_>, &[u8]) -> Result<(), Errno>;
        for (link, name) in [(Linux::link_unnamed as Link, b"one"), (link_through_proc, b"two")] {
            assert_eq!(link(file.as_fd(), parent.as_fd(), name), Ok(()));
            assert_eq!(link(file.as_fd(), parent.as_fd(), name), Err(Errno::EXIST));
        }
        assert_eq!(read_dir(directory.path()).unwrap().count(), 2);
    }
}
