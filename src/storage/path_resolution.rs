//! Opens a path beneath the root.
//!
//! There are two implementations, and the server chooses one when it opens the root. `openat2` follows links that stay
//! inside the root. The fallback opens one segment after the other and follows no link, so a path through a link is not
//! found. To follow links safely, it would have to repeat the kernel's work while other processes change the tree.

use rustix::io::Errno;

use super::file_system::{Access, FileSystem};
use super::retry::retry_on_intr;

/// The number of attempts while other processes change the tree. Each failure needs a rename or a mount within the
/// microseconds in which one lookup resolves `..`, so even a second failure is rare.
const ATTEMPTS_MAX: u32 = 16;

/// How paths are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathResolution {
    /// With `openat2`, which keeps the lookup beneath the root.
    Openat2,
    /// With one `openat` per segment, none of which follows a link.
    PerSegment,
}

impl PathResolution {
    /// Uses `openat2` if a first call succeeds.
    ///
    /// # Errors
    /// If no descriptor is left: then it is unknown whether `openat2` works.
    pub(super) fn detect<F: FileSystem>(file_system: &F, root: &F::File) -> Result<Self, Errno> {
        // Not for reading: the server may lack the permission to read the root.
        PathResolution::from_probe(open_with_openat2(file_system, root, b".", Access::Traverse))
    }

    fn from_probe<T>(attempt: Result<T, Errno>) -> Result<Self, Errno> {
        match attempt {
            Ok(_) => Ok(PathResolution::Openat2),
            // A temporary condition, which must not decide for the whole run.
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => Err(errno),
            // ENOSYS from a kernel that is too old; EPERM or any other error from a sandbox that does not know the
            // call.
            Err(_) => Ok(PathResolution::PerSegment),
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
            PathResolution::Openat2 => open_with_openat2(file_system, root, path, access),
            PathResolution::PerSegment => open_per_segment(file_system, root, path, access),
        }
    }
}

/// Opens a directory for uploads. Without `must_flush` no permission to read it is needed, since only a descriptor that
/// is open for reading can be flushed. Returns also whether it is open for reading.
pub(super) fn open_directory<T>(
    open: impl Fn(Access) -> Result<T, Errno>,
    must_flush: bool,
) -> Result<(T, bool), Errno> {
    match open(Access::ReadDirectory) {
        Err(Errno::ACCESS) if !must_flush => open(Access::Traverse).map(|directory| (directory, false)),
        opened => opened.map(|directory| (directory, true)),
    }
}

fn open_with_openat2<F: FileSystem>(
    file_system: &F,
    root: &F::File,
    path: &[u8],
    access: Access,
) -> Result<F::File, Errno> {
    retry_while_the_tree_changes(|| retry_on_intr(|| file_system.open_beneath(root, path, access)))
}

fn retry_while_the_tree_changes<T>(mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut result = Err(Errno::AGAIN);
    for _ in 0..ATTEMPTS_MAX {
        result = open();
        // EAGAIN: something was renamed while the kernel resolved a `..` in a link, so it could not check the result.
        if !matches!(result, Err(Errno::AGAIN)) {
            break;
        }
    }
    result
}

fn open_per_segment<F: FileSystem>(
    file_system: &F,
    root: &F::File,
    path: &[u8],
    access: Access,
) -> Result<F::File, Errno> {
    let mut directory: Option<F::File> = None;
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let access = if segments.peek().is_some() { Access::Traverse } else { access };
        let parent = directory.as_ref().unwrap_or(root);
        let opened = retry_on_intr(|| file_system.open_entry(parent, segment, access))?;
        if segments.peek().is_none() {
            return Ok(opened);
        }
        directory = Some(opened);
    }
    Err(Errno::NOENT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::storage::{Native, Portable};

    #[test]
    fn a_lookup_in_a_changing_tree_is_retried_a_bounded_number_of_times() {
        let mut calls = 0;
        let third_time = retry_while_the_tree_changes(|| {
            calls += 1;
            if calls < 3 { Err(Errno::AGAIN) } else { Ok(calls) }
        });
        assert_eq!(third_time, Ok(3));

        calls = 0;
        let never: Result<(), _> = retry_while_the_tree_changes(|| {
            calls += 1;
            Err(Errno::AGAIN)
        });
        assert_eq!((never, calls), (Err(Errno::AGAIN), ATTEMPTS_MAX));

        calls = 0;
        let absent: Result<(), _> = retry_while_the_tree_changes(|| {
            calls += 1;
            Err(Errno::NOENT)
        });
        assert_eq!((absent, calls), (Err(Errno::NOENT), 1));
    }

    #[test]
    fn without_openat2_a_path_is_opened_segment_by_segment() {
        for refusal in [Errno::NOSYS, Errno::PERM, Errno::INVAL] {
            assert_eq!(PathResolution::from_probe(Err::<(), _>(refusal)), Ok(PathResolution::PerSegment));
        }
        assert_eq!(PathResolution::from_probe(Err::<(), _>(Errno::MFILE)), Err(Errno::MFILE));

        let path = tempfile::tempdir().unwrap();
        let root = Portable.open_root(path.path(), Access::Traverse).unwrap();
        assert_eq!(PathResolution::detect(&Portable, &root), Ok(PathResolution::PerSegment));
        let expected = match Native.open_beneath(&root, b".", Access::Traverse) {
            Ok(_) => PathResolution::Openat2,
            Err(_) => PathResolution::PerSegment,
        };
        assert_eq!(PathResolution::detect(&Native, &root), Ok(expected));
    }
}
