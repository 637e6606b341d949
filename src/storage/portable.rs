//! The system calls of any Unix. Calls that only Linux has return that they are not supported, so that storage uses its
//! portable fallback, as it does on an old kernel.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::posix::Posix;

/// The system calls of any Unix.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Posix for Portable {
    const STAT: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

    const TRAVERSE: OFlags = OFlags::RDONLY;

    fn open_beneath(_root: BorrowedFd<'_>, _path: &[u8], _flags: OFlags) -> Result<OwnedFd, Errno> {
        Err(Errno::NOSYS)
    }

    fn create_unnamed(_directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn can_link_unnamed(_some_file: BorrowedFd<'_>) -> bool {
        false
    }

    fn link_unnamed(_file: BorrowedFd<'_>, _directory: BorrowedFd<'_>, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn rename_noreplace(
        _from_directory: BorrowedFd<'_>,
        _from: &[u8],
        _to_directory: BorrowedFd<'_>,
        _to: &[u8],
    ) -> Result<(), Errno> {
        Err(Errno::NOSYS)
    }

    fn set_attribute(_file: BorrowedFd<'_>, _attribute: &[u8]) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }

    fn attribute(_file: BorrowedFd<'_>, _space: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::NOTSUP)
    }

    fn read_without_waiting(_file: BorrowedFd<'_>, _space: &mut [u8], _offset: u64) -> Result<usize, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn read_ahead(_file: BorrowedFd<'_>, _offset: u64, _bytes: u64) -> Result<(), Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn reserve(_file: BorrowedFd<'_>, _offset: u64, _bytes: u64) -> Result<(), Errno> {
        Ok(())
    }

    fn may_fail_at_close(_: BorrowedFd<'_>) -> bool {
        true
    }

    fn boot_id() -> Option<u64> {
        None
    }
}
