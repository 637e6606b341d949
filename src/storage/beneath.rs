//! Opening a path beneath the root, and never anywhere else.
//!
//! Two ways, decided once when the root is opened. The kernel's way follows links that stay inside the root. The way
//! by segments follows none: a walk that resolved links itself would have to redo the kernel's work, against others
//! who change the tree meanwhile. So there, what is behind a link is not found.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::interrupted::retry;
use super::system;

/// How often a lookup is tried again because the tree was moved under it. Each failure needs a rename or a mount to
/// fall into the microseconds of one lookup that climbs, so a second one is rare already.
const ATTEMPTS_MAX: u32 = 16;

/// The way in which paths are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// `openat2` keeps the lookup beneath the root.
    ByKernel,
    /// One `openat` a segment, none of which follows a link.
    BySegment,
}

impl Opening {
    /// Tries the kernel's way, to see whether it is there.
    pub(super) fn choose(root: BorrowedFd<'_>) -> Result<Self, Errno> {
        // Without the permission to read, which the root need not give.
        Self::judge(open_by_kernel(root, b".", system::PASS_THROUGH | OFlags::DIRECTORY))
    }

    fn judge(attempt: Result<OwnedFd, Errno>) -> Result<Self, Errno> {
        match attempt {
            Ok(_) => Ok(Opening::ByKernel),
            // This says nothing about the call, and must not decide for the whole run.
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => Err(errno),
            // A kernel that is too old says ENOSYS; a sandbox that does not know the call says EPERM, or what it likes.
            Err(_) => Ok(Opening::BySegment),
        }
    }

    /// Opens `path`, which is a [`RelativePath`](super::RelativePath) or the parent of one. The descriptor is closed on exec.
    pub(super) fn open(self, root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        match self {
            Opening::ByKernel => open_by_kernel(root, path, flags),
            Opening::BySegment => open_by_segment(root, path, flags),
        }
    }
}

fn open_by_kernel(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    try_again_while_the_tree_moves(|| retry(|| system::open_beneath(root, path, flags)))
}

fn try_again_while_the_tree_moves<T>(mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut result = Err(Errno::AGAIN);
    for _ in 0..ATTEMPTS_MAX {
        result = open();
        // EAGAIN: a `..` in a link was resolved while something was renamed, and the kernel cannot vouch for it.
        if !matches!(result, Err(Errno::AGAIN)) {
            break;
        }
    }
    result
}

fn open_by_segment(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut directory: Option<OwnedFd> = None;
    let mut segments = path.split(|&octet| octet == b'/').peekable();
    while let Some(segment) = segments.next() {
        let flags = if segments.peek().is_some() { system::PASS_THROUGH | OFlags::DIRECTORY } else { flags };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let here = directory.as_ref().map_or(root, AsFd::as_fd);
        let opened = retry(|| rustix::fs::openat(here, segment, flags, Mode::empty()))?;
        if segments.peek().is_none() {
            return Ok(opened);
        }
        directory = Some(opened);
    }
    Err(Errno::NOENT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use super::*;

    #[test]
    fn a_moving_tree_is_tried_again_but_not_for_ever() {
        let mut calls = 0;
        let third_time = try_again_while_the_tree_moves(|| {
            calls += 1;
            if calls < 3 { Err(Errno::AGAIN) } else { Ok(calls) }
        });
        assert_eq!(third_time, Ok(3));

        calls = 0;
        let never: Result<(), _> = try_again_while_the_tree_moves(|| {
            calls += 1;
            Err(Errno::AGAIN)
        });
        assert_eq!((never, calls), (Err(Errno::AGAIN), ATTEMPTS_MAX));

        calls = 0;
        let absent: Result<(), _> = try_again_while_the_tree_moves(|| {
            calls += 1;
            Err(Errno::NOENT)
        });
        assert_eq!((absent, calls), (Err(Errno::NOENT), 1));
    }

    #[test]
    fn without_openat2_the_path_is_walked_by_segments() {
        for refusal in [Errno::NOSYS, Errno::PERM, Errno::INVAL] {
            assert_eq!(Opening::judge(Err(refusal)), Ok(Opening::BySegment));
        }
        assert_eq!(Opening::judge(Err(Errno::MFILE)), Err(Errno::MFILE));

        let root = tempfile::tempdir().unwrap();
        let root = rustix::fs::open(root.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        let flags = system::PASS_THROUGH | OFlags::DIRECTORY;
        let expected = match system::open_beneath(root.as_fd(), b".", flags) {
            Ok(_) => Opening::ByKernel,
            Err(_) => Opening::BySegment,
        };
        assert_eq!(Opening::choose(root.as_fd()), Ok(expected));
        assert!(!(cfg!(spindle_portable) && expected == Opening::ByKernel));
    }
}
