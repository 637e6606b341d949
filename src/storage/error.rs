//! The errors of storage: one variant for each case that callers treat differently.
//!
//! The meaning of an error number depends on the call: `ENOENT` is a missing file when a name is looked up, and a
//! missing directory when a file is created. So there is one conversion for each kind of call.

use std::{fmt, io};

use rustix::io::Errno;

/// Why an operation failed.
#[derive(Debug)]
pub enum StorageError {
    /// The file does not exist, or its path contains a link that leads out of the root.
    NotFound,
    /// The directory of the file does not exist, or is not a directory.
    ParentMissing,
    /// The path leads to something that is not a regular file: a directory, a FIFO, a socket or a device.
    NotRegularFile,
    /// The server lacks a permission, or the file system is read-only.
    PermissionDenied,
    /// The file system refuses the name: it is too long, or contains bytes that are not allowed.
    InvalidName,
    /// The file exists, and the upload is [`CreateOnly`](super::UploadMode::CreateOnly).
    AlreadyExists,
    /// The existing file does not satisfy the caller's condition.
    ConditionFailed,
    /// The process or the system has no descriptor left. A later attempt may succeed.
    TooManyOpenFiles,
    /// The disk is full, a quota is exceeded, or the file would be too large.
    DiskFull,
    /// Other processes changed the tree during every attempt. A later attempt may succeed.
    Busy,
    /// Any other error.
    Io(io::Error),
}

impl StorageError {
    /// Whether the same operation may succeed later, without a change to the names in the tree.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            StorageError::PermissionDenied
            | StorageError::TooManyOpenFiles
            | StorageError::DiskFull
            | StorageError::Busy
            | StorageError::Io(_) => true,
            StorageError::NotFound
            | StorageError::ParentMissing
            | StorageError::NotRegularFile
            | StorageError::InvalidName
            | StorageError::AlreadyExists
            | StorageError::ConditionFailed => false,
        }
    }

    /// Converts an error of a lookup of a file or directory that is to be read.
    pub(super) fn from_lookup(errno: Errno) -> Self {
        match errno {
            _ if is_not_found(errno) => StorageError::NotFound,
            // A socket (EOPNOTSUPP on the BSDs), or a device without a driver.
            Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP => StorageError::NotRegularFile,
            _ => Self::from_errno(errno),
        }
    }

    /// Converts an error of a lookup of the directory to which a file is to be uploaded.
    pub(super) fn from_parent(errno: Errno) -> Self {
        match errno {
            _ if is_not_found(errno) => StorageError::ParentMissing,
            _ => Self::from_errno(errno),
        }
    }

    /// Converts an error of creating, linking or renaming a file in an open directory.
    pub(super) fn from_publication(errno: Errno) -> Self {
        match errno {
            // The open directory has been removed, so that it cannot have entries any more.
            Errno::NOENT | Errno::STALE => StorageError::ParentMissing,
            Errno::EXIST => StorageError::AlreadyExists,
            Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY => StorageError::NotRegularFile,
            Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL => StorageError::InvalidName,
            _ => Self::from_errno(errno),
        }
    }

    /// Converts an error of a call without a name, such as writing content, setting times or flushing.
    pub(super) fn from_errno(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS => StorageError::PermissionDenied,
            Errno::MFILE | Errno::NFILE => StorageError::TooManyOpenFiles,
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => StorageError::DiskFull,
            Errno::AGAIN => StorageError::Busy,
            _ => StorageError::Io(errno.into()),
        }
    }
}

/// The errors for a path that does not exist, or that contains a link which is not followed. `EXDEV`: a link leads out
/// of the root. `ESTALE`: an open directory on a file server has been removed. `EMLINK`: what FreeBSD returns instead
/// of `ELOOP` for a link that is not followed.
fn is_not_found(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::STALE
            | Errno::LOOP
            | Errno::MLINK
            | Errno::XDEV
            | Errno::NAMETOOLONG
            | Errno::ILSEQ
    )
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageError::NotFound => "the file does not exist",
            StorageError::ParentMissing => "the directory of the file does not exist",
            StorageError::NotRegularFile => "there is something of this name that is not a regular file",
            StorageError::PermissionDenied => "permission denied",
            StorageError::InvalidName => "the file system refuses this name",
            StorageError::AlreadyExists => "the file already exists",
            StorageError::ConditionFailed => "the existing file does not satisfy the condition",
            StorageError::TooManyOpenFiles => "too many open files",
            StorageError::DiskFull => "no space left",
            StorageError::Busy => "other processes are changing the directory at the moment",
            StorageError::Io(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for StorageError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meaning_of_an_error_number_depends_on_the_call() {
        // The error number, and its meaning in a lookup, in a lookup of the directory, and in a publication.
        for (errno, lookup, parent, publication) in [
            (Errno::NOENT, "NotFound", "ParentMissing", "ParentMissing"),
            (Errno::STALE, "NotFound", "ParentMissing", "ParentMissing"),
            (Errno::NOTDIR, "NotFound", "ParentMissing", "NotRegularFile"),
            (Errno::ISDIR, "Io", "Io", "NotRegularFile"),
            (Errno::LOOP, "NotFound", "ParentMissing", "Io"),
            (Errno::MLINK, "NotFound", "ParentMissing", "Io"),
            (Errno::XDEV, "NotFound", "ParentMissing", "Io"),
            (Errno::NAMETOOLONG, "NotFound", "ParentMissing", "InvalidName"),
            (Errno::ILSEQ, "NotFound", "ParentMissing", "InvalidName"),
            (Errno::NXIO, "NotRegularFile", "Io", "Io"),
            (Errno::NODEV, "NotRegularFile", "Io", "Io"),
            (Errno::EXIST, "Io", "Io", "AlreadyExists"),
            (Errno::ACCESS, "PermissionDenied", "PermissionDenied", "PermissionDenied"),
            (Errno::PERM, "PermissionDenied", "PermissionDenied", "PermissionDenied"),
            (Errno::ROFS, "PermissionDenied", "PermissionDenied", "PermissionDenied"),
            (Errno::MFILE, "TooManyOpenFiles", "TooManyOpenFiles", "TooManyOpenFiles"),
            (Errno::NFILE, "TooManyOpenFiles", "TooManyOpenFiles", "TooManyOpenFiles"),
            (Errno::NOSPC, "DiskFull", "DiskFull", "DiskFull"),
            (Errno::DQUOT, "DiskFull", "DiskFull", "DiskFull"),
            (Errno::FBIG, "DiskFull", "DiskFull", "DiskFull"),
            (Errno::AGAIN, "Busy", "Busy", "Busy"),
            (Errno::IO, "Io", "Io", "Io"),
        ] {
            let starts = |error: StorageError, name: &str| {
                assert!(format!("{error:?}").starts_with(name), "{errno:?} {error:?}")
            };
            starts(StorageError::from_lookup(errno), lookup);
            starts(StorageError::from_parent(errno), parent);
            starts(StorageError::from_publication(errno), publication);
        }
    }
}
