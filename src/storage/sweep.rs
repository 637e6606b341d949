//! Removing what a crash left behind. A directory is swept when it is first written to, not at the start of the
//! server: a tree may be large, and is mostly only read.

use std::cell::RefCell;
use std::collections::HashSet;

use rustix::io::Errno;

use super::file_system::FileSystem;
use super::hidden_file::{as_hidden_name, remove_if_abandoned};
use super::interrupted::{next_entry, retry};

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
    pub(super) fn sweep_once<F: FileSystem>(&self, file_system: &F, directory: &F::File) -> Result<usize, Errno> {
        let number = retry(|| file_system.stat(directory))?.identity.file_number();
        if self.swept.borrow().contains(&number) {
            return Ok(0);
        }
        let removed = sweep(file_system, directory, ENTRIES_MAX)?;
        let mut swept = self.swept.borrow_mut();
        if swept.len() >= DIRECTORIES_MAX {
            swept.clear();
        }
        swept.insert(number);
        Ok(removed)
    }
}

fn sweep<F: FileSystem>(file_system: &F, directory: &F::File, entries_max: usize) -> Result<usize, Errno> {
    let mut removed = 0;
    let mut entries = retry(|| file_system.entries_of(directory))?;
    for _ in 0..entries_max {
        let Some(name) = next_entry(file_system, &mut entries, |entry| as_hidden_name(entry.name)) else { break };
        let Some(name) = name? else { continue };
        // One that cannot be opened or locked is somebody's, or is no upload, and is passed over.
        if remove_if_abandoned(file_system, directory, &name) == Ok(true) {
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::Native;

    #[test]
    fn the_work_of_a_sweep_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..10 {
            fs::write(root.path().join(format!(".spindle-{number:016x}")), b"").unwrap();
        }
        let directory = fs::File::open(root.path()).unwrap().into();
        // Two of the entries may be the directory itself and its parent.
        let removed = sweep(&Native, &directory, 5).unwrap();
        assert!((3..=5).contains(&removed), "{removed}");
        assert_eq!(sweep(&Native, &directory, ENTRIES_MAX), Ok(10 - removed));
    }

    #[test]
    fn the_memory_of_what_was_swept_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let sweeper = Sweeper::default();
        for number in 0..=DIRECTORIES_MAX {
            let path = root.path().join(number.to_string());
            fs::create_dir(&path).unwrap();
            let directory = fs::File::open(&path).unwrap().into();
            assert_eq!(sweeper.sweep_once(&Native, &directory), Ok(0));
            // The newest is always remembered.
            fs::write(path.join(".spindle-0123456789abcdef"), b"").unwrap();
            assert_eq!(sweeper.sweep_once(&Native, &directory), Ok(0));
        }
        assert!(sweeper.swept.borrow().len() <= DIRECTORIES_MAX);
    }
}
