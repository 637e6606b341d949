//! Errors that some file systems (NFS, many in user space) report only when a file is closed, such as an exceeded quota.

use rustix::io::Errno;

use super::commit::flush;
use super::metadata::FileId;
use super::{FileSystem, StorageError};

/// Where such errors may occur.
#[derive(Debug)]
pub(super) struct CloseErrors {
    /// The device of the root.
    root_device: u64,
    /// As [`FileSystem::may_fail_at_close`], of the file system of the root.
    root_may_fail: bool,
}

impl CloseErrors {
    /// Of the root with this id.
    pub(super) fn detect<F: FileSystem>(file_system: &F, root: &F::File, (root_device, _): FileId) -> Self {
        CloseErrors { root_device, root_may_fail: file_system.may_fail_at_close(root) }
    }

    /// As [`FileSystem::may_fail_at_close`], of the directory with this id. Only the root's file system is known. It
    /// cannot be unmounted while the root is open, whereas the device number of another may become that of a third.
    pub(super) fn may_occur_in(&self, directory: Result<FileId, Errno>) -> bool {
        self.root_may_fail || !directory.is_ok_and(|(device, _)| device == self.root_device)
    }
}

/// Returns the errors that the file system reports when a file is closed. The file itself must stay open: without a name
/// it would be lost.
pub(super) fn check_close_errors<F: FileSystem>(file_system: &F, file: &F::File) -> Result<(), StorageError> {
    match file_system.close_errors(file) {
        // Without a free descriptor the check is not possible. After EINTR it cannot be repeated, since the descriptor
        // is closed and its error is lost. Flushing reports the same errors, but takes longer.
        Err(Errno::MFILE | Errno::NFILE | Errno::INTR) => flush(file_system, file),
        checked => checked.map_err(StorageError::from_errno),
    }
}
