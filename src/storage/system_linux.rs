//! The system calls that Linux has and other systems lack.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::identity::same_file;
use super::interrupted::retry;

/// How a file is opened of which only the identity is wanted: nothing is read, and no permission to read is needed.
pub(super) const IDENTIFY: OFlags = OFlags::PATH;

/// How a directory is opened that is only passed through.
pub(super) const PASS_THROUGH: OFlags = OFlags::PATH;

/// Whether [`PASS_THROUGH`] opens a directory that may not be read.
#[cfg(test)]
pub(super) const OPENS_UNREADABLE: bool = true;

/// Opens `path`, and lets no step of its resolution leave `root`. `EAGAIN` says that the tree was moved meanwhile.
pub(super) fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let rule = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), rule)
}

/// Creates a file without a name in `parent`, for writing.
pub(super) fn create_unnamed(parent: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(parent, ".", flags, Mode::from_raw_mode(0o666))
}

/// Gives an unnamed file its name; `EEXIST` where that is taken.
pub(super) fn link_unnamed(file: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match retry(|| rustix::fs::linkat(file, "", parent, name, AtFlags::EMPTY_PATH)) {
        // Kernels before 6.10 say so to unprivileged processes. The way through /proc costs twice as much.
        Err(Errno::NOENT) => link_through_proc(file, parent, name),
        linked => linked,
    }
}

fn link_through_proc(file: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let path = descriptor_path(file);
    retry(|| rustix::fs::linkat(CWD, &path, parent, name, AtFlags::SYMLINK_FOLLOW))
}

/// Whether an unnamed file could be given a name: that goes through `/proc`, which a jail may lack.
pub(super) fn can_link_unnamed(some_file: BorrowedFd<'_>) -> bool {
    let through_proc = rustix::fs::statat(CWD, descriptor_path(some_file), AtFlags::empty());
    let directly = rustix::fs::fstat(some_file);
    matches!((through_proc, directly), (Ok(a), Ok(b)) if same_file(&a, &b))
}

/// Renames within `parent`; `EEXIST` where `to` is taken, `EINVAL` where the file system cannot tell.
pub(super) fn rename_if_absent(parent: BorrowedFd<'_>, from: &[u8], to: &[u8]) -> Result<(), Errno> {
    retry(|| rustix::fs::renameat_with(parent, from, parent, to, RenameFlags::NOREPLACE))
}

fn descriptor_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use std::fs::{File, read_dir};

    use super::*;

    /// A new kernel never needs the second way, which would otherwise go untried.
    #[test]
    fn both_ways_name_an_unnamed_file_and_take_no_name_that_stands() {
        let directory = tempfile::tempdir().unwrap();
        let parent = File::open(directory.path()).unwrap();
        let Ok(file) = create_unnamed(parent.as_fd()) else { return eprintln!("skipped: no unnamed files here") };
        type Way = fn(BorrowedFd<'_>, BorrowedFd<'_>, &[u8]) -> Result<(), Errno>;
        for (way, name) in [(link_unnamed as Way, b"one"), (link_through_proc, b"two")] {
            assert_eq!(way(file.as_fd(), parent.as_fd(), name), Ok(()));
            assert_eq!(way(file.as_fd(), parent.as_fd(), name), Err(Errno::EXIST));
        }
        assert_eq!(read_dir(directory.path()).unwrap().count(), 2);
    }
}
