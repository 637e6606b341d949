//! What can go wrong, one variant for each thing that a caller answers differently.
//!
//! One error number means different things at different steps: `ENOENT` is an absent file when a name is looked up, and
//! an absent parent when a file is created. So there is one translation for each kind of step.

use std::{fmt, io};

use rustix::io::Errno;

/// Why storage did not do what it was asked.
#[derive(Debug)]
pub enum StorageError {
    /// Nothing is there, or nothing that may be seen: a link that leads out counts as nothing.
    NotFound,
    /// The directory in which the name would stand is absent, or is not a directory.
    ParentMissing,
    /// Something is there that is not a regular file: a directory, a FIFO, a socket, a device.
    NotRegularFile,
    /// The system does not permit it, or the file system is read-only.
    PermissionDenied,
    /// The file system does not take this name: too long for it, or with bytes that it refuses.
    InvalidName,
    /// The name is taken, and creating was all that was asked.
    AlreadyExists,
    /// What stands under the name does not satisfy the caller's condition.
    ConditionFailed,
    /// The process or the system has no descriptor left. It may work later.
    TooManyOpenFiles,
    /// No space, no quota, or more than a file may hold.
    DiskFull,
    /// The tree was moved about by others at every attempt. It may work later.
    Busy,
    /// Anything else.
    Io(io::Error),
}

impl StorageError {
    /// A name was looked up in order to read it.
    pub(super) fn from_lookup(errno: Errno) -> Self {
        match errno {
            _ if is_nothing_there(errno) => StorageError::NotFound,
            // A socket; a device without its driver. EOPNOTSUPP is what the BSDs say of a socket.
            Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP => StorageError::NotRegularFile,
            _ => Self::from_anything(errno),
        }
    }

    /// The directory was looked up in which a name is to stand.
    pub(super) fn from_parent(errno: Errno) -> Self {
        match errno {
            _ if is_nothing_there(errno) => StorageError::ParentMissing,
            _ => Self::from_anything(errno),
        }
    }

    /// A file was created, linked or renamed in a directory that is held open.
    pub(super) fn from_publication(errno: Errno) -> Self {
        match errno {
            // The directory is open, and yet has no entries any more: it has been removed.
            Errno::NOENT | Errno::STALE => StorageError::ParentMissing,
            Errno::EXIST => StorageError::AlreadyExists,
            Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY => StorageError::NotRegularFile,
            Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL => StorageError::InvalidName,
            _ => Self::from_anything(errno),
        }
    }

    /// No name was involved: content was written, times were set, data was flushed.
    pub(super) fn from_anything(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS => StorageError::PermissionDenied,
            Errno::MFILE | Errno::NFILE => StorageError::TooManyOpenFiles,
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => StorageError::DiskFull,
            Errno::AGAIN => StorageError::Busy,
            _ => StorageError::Io(errno.into()),
        }
    }
}

/// What the system says when a path leads to nothing, or to a link that is not followed. `EXDEV` is a link out of the
/// root; `ESTALE` is how a file server says that a directory which is held open has been removed; `EMLINK` is how
/// FreeBSD says `ELOOP` of a link that was not to be followed.
fn is_nothing_there(errno: Errno) -> bool {
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
            StorageError::NotFound => "there is no such file",
            StorageError::ParentMissing => "the directory of this name does not exist",
            StorageError::NotRegularFile => "this name is taken by something that is not a regular file",
            StorageError::PermissionDenied => "the system does not permit it",
            StorageError::InvalidName => "the file system does not take this name",
            StorageError::AlreadyExists => "the file exists already",
            StorageError::ConditionFailed => "the file is not in the state that was asked for",
            StorageError::TooManyOpenFiles => "no file can be opened at the moment",
            StorageError::DiskFull => "there is not enough space",
            StorageError::Busy => "the directory is being changed by others at the moment",
            StorageError::Io(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for StorageError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_reads_an_error_number_in_its_own_way() {
        // Number; what it means when a name is looked up, when its parent is, and when it is written.
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
