//! What stands in, on other systems, for the system calls that Linux alone has. Each says that it is not there, and
//! its caller takes the portable way, as it would on an old kernel.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// How a file is opened of which only the identity is wanted. Without waiting: it may be a FIFO.
pub(super) const IDENTIFY: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// How a directory is opened that is only passed through.
pub(super) const PASS_THROUGH: OFlags = OFlags::RDONLY;

/// Whether [`PASS_THROUGH`] opens a directory that may not be read.
#[cfg(test)]
pub(super) const OPENS_UNREADABLE: bool = false;

pub(super) fn open_beneath(_root: BorrowedFd<'_>, _path: &[u8], _flags: OFlags) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

pub(super) fn create_unnamed(_parent: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    Err(Errno::OPNOTSUPP)
}

pub(super) fn link_unnamed(_file: BorrowedFd<'_>, _parent: BorrowedFd<'_>, _name: &[u8]) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

pub(super) fn can_link_unnamed(_some_file: BorrowedFd<'_>) -> bool {
    false
}

pub(super) fn rename_if_absent(_parent: BorrowedFd<'_>, _from: &[u8], _to: &[u8]) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}
