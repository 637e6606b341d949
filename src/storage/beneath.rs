//! Opening a path beneath the root, and never anywhere else.
//!
//! Two ways, decided once when the root is opened. The kernel's way follows links that stay inside the root. The way
//! by segments follows none: a walk that resolved links itself would have to redo the kernel's work, against others
//! who change the tree meanwhile. So there, what is behind a link is not found.

use rustix::io::Errno;

use super::file_system::{Access, FileSystem};
use super::interrupted::retry;

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
    pub(super) fn choose<F: FileSystem>(file_system: &F, root: &F::File) -> Result<Self, Errno> {
        // Without the permission to read, which the root need not give.
        Self::judge(open_by_kernel(file_system, root, b".", Access::Traverse))
    }

    fn judge<T>(attempt: Result<T, Errno>) -> Result<Self, Errno> {
        match attempt {
            Ok(_) => Ok(Opening::ByKernel),
            // This says nothing about the call, and must not decide for the whole run.
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => Err(errno),
            // A kernel that is too old says ENOSYS; a sandbox that does not know the call says EPERM, or what it likes.
            Err(_) => Ok(Opening::BySegment),
        }
    }

    /// Opens `path`, which is a [`RelativePath`](super::RelativePath) or the parent of one.
    pub(super) fn open<F: FileSystem>(
        self,
        file_system: &F,
        root: &F::File,
        path: &[u8],
        access: Access,
    ) -> Result<F::File, Errno> {
        match self {
            Opening::ByKernel => open_by_kernel(file_system, root, path, access),
            Opening::BySegment => open_by_segment(file_system, root, path, access),
        }
    }
}

fn open_by_kernel<F: FileSystem>(
    file_system: &F,
    root: &F::File,
    path: &[u8],
    access: Access,
) -> Result<F::File, Errno> {
    try_again_while_the_tree_moves(|| retry(|| file_system.open_beneath(root, path, access)))
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

fn open_by_segment<F: FileSystem>(
    file_system: &F,
    root: &F::File,
    path: &[u8],
    access: Access,
) -> Result<F::File, Errno> {
    let mut directory: Option<F::File> = None;
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let access = if segments.peek().is_some() { Access::Traverse } else { access };
        let here = directory.as_ref().unwrap_or(root);
        let opened = retry(|| file_system.open_entry(here, segment, access))?;
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
    use crate::storage::{Native, Portable};

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
            assert_eq!(Opening::judge(Err::<(), _>(refusal)), Ok(Opening::BySegment));
        }
        assert_eq!(Opening::judge(Err::<(), _>(Errno::MFILE)), Err(Errno::MFILE));

        let path = tempfile::tempdir().unwrap();
        let root = Portable.open_root(path.path(), Access::Traverse).unwrap();
        assert_eq!(Opening::choose(&Portable, &root), Ok(Opening::BySegment));
        let expected = match Native.open_beneath(&root, b".", Access::Traverse) {
            Ok(_) => Opening::ByKernel,
            Err(_) => Opening::BySegment,
        };
        assert_eq!(Opening::choose(&Native, &root), Ok(expected));
    }
}
