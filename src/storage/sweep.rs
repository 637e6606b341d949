//! Removing what a crash left behind. A directory is swept when it is first written to, not at the start of the
//! server: a tree may be large, and is mostly only read.

use std::cell::RefCell;
use std::collections::HashSet;
use std::os::fd::BorrowedFd;

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::hidden_file::{is_hidden_name, remove_if_abandoned};
use super::identity::file_number;

/// How many entries of a directory are looked at: some tens of milliseconds of work while everything else waits. What
/// lies behind them in a larger directory stays where it is, hidden.
const ENTRIES_MAX: usize = 65_536;

/// How many directories are remembered. When it is full all are forgotten: sweeping one again is only work.
const DIRECTORIES_MAX: usize = 1024;

/// Which directories have been swept in this run.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    swept: RefCell<HashSet<(u64, u64)>>,
}

impl Sweeper {
    /// Sweeps `directory`, unless it has been swept before. Returns how many files were removed.
    ///
    /// A sweep that fails is tried again at the next occasion; it is no reason to refuse an upload.
    pub(super) fn sweep_once(&self, directory: BorrowedFd<'_>) -> Result<usize, Errno> {
        let number = file_number(&rustix::fs::fstat(directory)?);
        if self.swept.borrow().contains(&number) {
            return Ok(0);
        }
        let removed = sweep(directory)?;
        let mut swept = self.swept.borrow_mut();
        if swept.len() >= DIRECTORIES_MAX {
            swept.clear();
        }
        swept.insert(number);
        Ok(removed)
    }
}

fn sweep(directory: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut removed = 0;
    for entry in Dir::read_from(directory)?.take(ENTRIES_MAX) {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let may_be_regular = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
        // One that cannot be opened or locked is somebody's, and is passed over.
        if may_be_regular && is_hidden_name(name) && remove_if_abandoned(directory, name) == Ok(true) {
            removed += 1;
        }
    }
    Ok(removed)
}
