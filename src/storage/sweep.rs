//! Removing what a crash left behind. A directory is swept when it is first written to, not at the start of the
//! server: a tree may be large, and is mostly only read.
//!
//! No upload waits for more than one slice. The directory stays open between slices, and the next upload continues the
//! sweep, whichever directory that upload writes to. So there is one sweep at a time. One that fails is begun again by a
//! later upload to its directory.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use rustix::io::Errno;

use super::RelativePath;
use super::file_system::FileSystem;
use super::hidden_file::{as_hidden_name, remove_if_abandoned};
use super::interrupted::{next_entry, retry};

/// How many entries are looked at in one slice, and how many hidden names are tried: each takes a millisecond or so.
const SLICE_ENTRIES: usize = 1_024;
const SLICE_HIDDEN: usize = 64;

/// How many directories are remembered. When it is full all are forgotten: sweeping one again is only work.
const DIRECTORIES_MAX: usize = 1024;

/// The device and the number on it.
type FileId = (u64, u64);

/// Which directories have been swept in this run, and the sweep that has not come to its end.
#[derive(Debug)]
pub(super) struct Sweeper<F: FileSystem> {
    swept: RefCell<HashSet<FileId>>,
    unfinished: RefCell<Option<Sweep<F>>>,
}

impl<F: FileSystem> Default for Sweeper<F> {
    fn default() -> Self {
        Sweeper { swept: RefCell::default(), unfinished: RefCell::default() }
    }
}

impl<F: FileSystem> Sweeper<F> {
    /// Does a slice of the work: of the sweep that is unfinished, or else of `directory`, unless it has been swept before.
    /// `path` is the name of a file in it, for the log.
    ///
    /// A sweep that fails is tried again at the next occasion; it is no reason to refuse an upload.
    pub(super) fn sweep(&self, file_system: &F, directory: &Rc<F::File>, path: &RelativePath) {
        let unfinished = self.unfinished.borrow_mut().take();
        let sweep = match unfinished {
            Some(sweep) => Ok(Some(sweep)),
            None => self.begin(file_system, directory, path),
        };
        let result = match sweep {
            Ok(Some(sweep)) => self.go_on(file_system, sweep),
            Ok(None) => Ok(()),
            Err(errno) => Err((path.clone(), errno)),
        };
        match result {
            // It may be written to and not read. Whoever set that up wants nobody to see what is in it.
            Ok(()) | Err((_, Errno::ACCESS)) => {}
            Err((path, errno)) => log::warn!("cannot look for unfinished uploads beside {path:?}: {errno}"),
        }
    }

    fn begin(&self, file_system: &F, directory: &Rc<F::File>, path: &RelativePath) -> Result<Option<Sweep<F>>, Errno> {
        let id = retry(|| file_system.stat(directory))?.file_id();
        if self.swept.borrow().contains(&id) {
            return Ok(None);
        }
        let entries = retry(|| file_system.reopen_directory(directory))?;
        Ok(Some(Sweep { directory: Rc::clone(directory), id, entries, path: path.clone(), removed: 0 }))
    }

    fn go_on(&self, file_system: &F, mut sweep: Sweep<F>) -> Result<(), (RelativePath, Errno)> {
        match sweep.slice(file_system) {
            Ok(true) => {
                if sweep.removed > 0 {
                    log::info!("removed {} unfinished uploads beside {:?}", sweep.removed, sweep.path);
                }
                self.remember(sweep.id);
                Ok(())
            }
            Ok(false) => {
                self.unfinished.replace(Some(sweep));
                Ok(())
            }
            Err(errno) => Err((sweep.path, errno)),
        }
    }

    fn remember(&self, id: FileId) {
        let mut swept = self.swept.borrow_mut();
        if swept.len() >= DIRECTORIES_MAX {
            swept.clear();
        }
        swept.insert(id);
    }
}

/// A directory that is being swept.
#[derive(Debug)]
struct Sweep<F: FileSystem> {
    directory: Rc<F::File>,
    id: FileId,
    entries: F::Entries,
    /// Of a file in it.
    path: RelativePath,
    removed: usize,
}

impl<F: FileSystem> Sweep<F> {
    /// Goes on where it was left. Says whether it is complete.
    fn slice(&mut self, file_system: &F) -> Result<bool, Errno> {
        let mut tried = 0;
        for _ in 0..SLICE_ENTRIES {
            let name = match next_entry(file_system, &mut self.entries, |entry| as_hidden_name(entry.name)) {
                None | Some(Err(Errno::NOENT)) => return Ok(true),
                Some(name) => name?,
            };
            let Some(name) = name else { continue };
            // One that cannot be opened or locked is somebody's, or is no upload, and is passed over.
            if remove_if_abandoned(file_system, &self.directory, &name) == Ok(true) {
                self.removed += 1;
            }
            tried += 1;
            if tried == SLICE_HIDDEN {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::Native;

    #[test]
    fn the_memory_of_what_was_swept_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let sweeper = Sweeper::default();
        let name = RelativePath::from_segments(["name"]).unwrap();
        for number in 0..=DIRECTORIES_MAX {
            let path = root.path().join(number.to_string());
            fs::create_dir(&path).unwrap();
            let directory = Rc::new(fs::File::open(&path).unwrap().into());
            sweeper.sweep(&Native, &directory, &name);
            // The newest is always remembered.
            fs::write(path.join(".spindle-0123456789abcdef"), b"").unwrap();
            sweeper.sweep(&Native, &directory, &name);
            assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        }
        assert!(sweeper.swept.borrow().len() <= DIRECTORIES_MAX);
    }
}
