//! Removes the temporary files that a crash left behind.
//!
//! A directory is cleaned up when an upload first goes to it, not when the server starts: a tree may be large, and most
//! of it is only read. The work is done in slices, so that an upload waits for one slice at most. The directory stays
//! open between slices, and the next upload continues, whichever directory it goes to. So only one directory is scanned
//! at a time. A scan that fails is started again by a later upload to its directory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rustix::io::Errno;

use super::RelativePath;
use super::commit::CANNOT_FLUSH;
use super::file_system::{FileSystem, Symlinks};
use super::metadata::FileId;
use super::new_directories::Ancestor;
use super::pending_uploads::PendingPlace;
use super::retry::{next_entry, retry_on_intr};
use super::temporary_file::{TemporaryName, as_temporary_name, is_partial_name, remove_if_abandoned};

/// The most entries that a slice reads, the most temporary files that it tries to remove, and the most files of resumable
/// uploads that it finds. Each takes about a millisecond. A long file is the last one that a slice removes.
const ENTRIES_PER_SLICE: usize = 1_024;
const REMOVALS_PER_SLICE: usize = 64;
const PARTIAL_PER_SLICE: usize = 64;

/// The number of directories that are remembered as clean. When it is reached all are forgotten, which costs no more
/// than another scan of each.
const DIRECTORIES_MAX: usize = 1024;

/// The time after which a directory is scanned again if it contained resumable uploads, in nanoseconds.
const SCAN_AGAIN_NS: u64 = 3600 * 1_000_000_000;

/// When resumable uploads expire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    /// The current time, in nanoseconds since 1970.
    pub(super) unix_ns: u64,
    /// The time after its last byte until an upload expires, in nanoseconds.
    pub(super) age_ns_max: u64,
}

impl Expiry {
    /// Whether an upload has expired, if one of its files was modified last at this time, in nanoseconds since 1970.
    pub(super) fn has_passed(self, modified_ns: i128) -> bool {
        i128::from(self.unix_ns) - modified_ns > i128::from(self.age_ns_max)
    }

    /// The time until then, in nanoseconds.
    pub(super) fn left_ns(self, modified_ns: i128) -> u64 {
        let age_ns = (i128::from(self.unix_ns) - modified_ns).max(0);
        self.age_ns_max.saturating_sub(u64::try_from(age_ns).unwrap_or(u64::MAX))
    }
}

/// What is done with each file of a resumable upload that has not expired: its directory, closed and open, and its name.
type OnPartial<'a, F> = &'a dyn Fn(&Rc<PendingPlace>, &<F as FileSystem>::File, &TemporaryName);

/// The directories that are clean, and the one that is being scanned.
#[derive(Debug)]
pub(super) struct Cleanup<F: FileSystem> {
    /// The value is the time of the scan, in nanoseconds since 1970, if the directory contained resumable uploads.
    clean: RefCell<HashMap<FileId, Option<u64>>>,
    scan: RefCell<Option<Scan<F>>>,
}

impl<F: FileSystem> Default for Cleanup<F> {
    fn default() -> Self {
        Cleanup { clean: RefCell::default(), scan: RefCell::default() }
    }
}

impl<F: FileSystem> Cleanup<F> {
    /// Does one slice of the work. It continues the current scan; without one, it starts to scan `ancestor`, whose id is
    /// `id`, unless that is clean. It is a directory above the file at `path`. `on_partial` is called for each file of a
    /// resumable upload that has not expired.
    ///
    /// An error, also that of `id`, is only logged: it is no reason to refuse the upload.
    pub(super) fn run_slice(
        &self,
        file_system: &F,
        ancestor: &Ancestor<F>,
        id: Result<FileId, Errno>,
        path: &RelativePath,
        expiry: Expiry,
        on_partial: OnPartial<'_, F>,
    ) {
        let current = self.scan.borrow_mut().take();
        let scan = match current {
            Some(scan) => Ok(Some(scan)),
            None => id.and_then(|id| self.start_scan(file_system, ancestor, id, path, expiry)),
        };
        let result = match scan {
            Ok(Some(scan)) => self.continue_scan(file_system, scan, expiry, on_partial),
            Ok(None) => Ok(()),
            Err(errno) => Err((path.clone(), errno)),
        };
        match result {
            // EACCES: a directory that may be written to but not read. Its owner wants nobody to see its entries.
            Ok(()) | Err((_, Errno::ACCESS)) => {}
            Err((path, errno)) => {
                log::warn!("cannot look for unfinished uploads in the directory of {path:?}: {errno}")
            }
        }
    }

    /// Has `directory` scanned again after a while: a resumable upload has begun there, and may expire.
    pub(super) fn expect_partial(&self, file_system: &F, directory: &F::File, expiry: Expiry) {
        let Ok(metadata) = retry_on_intr(|| file_system.stat(directory)) else {
            // Scanning all directories again costs little.
            return self.clean.borrow_mut().clear();
        };
        match &mut *self.scan.borrow_mut() {
            Some(scan) if scan.place.id == metadata.file_id() => scan.has_partial = true,
            _ => self.remember(metadata.file_id(), Some(expiry.unix_ns)),
        }
    }

    fn start_scan(
        &self,
        file_system: &F,
        ancestor: &Ancestor<F>,
        id: FileId,
        path: &RelativePath,
        expiry: Expiry,
    ) -> Result<Option<Scan<F>>, Errno> {
        match self.clean.borrow().get(&id) {
            Some(None) => return Ok(None),
            Some(Some(scanned_ns)) if expiry.unix_ns.saturating_sub(*scanned_ns) < SCAN_AGAIN_NS => return Ok(None),
            Some(Some(_)) | None => {}
        }
        let entries = retry_on_intr(|| file_system.reopen_directory(&ancestor.directory))?;
        Ok(Some(Scan {
            directory: Rc::clone(&ancestor.directory),
            place: Rc::new(PendingPlace { path: ancestor.path(path).into(), id }),
            entries,
            path: path.clone(),
            removed: 0,
            has_partial: false,
        }))
    }

    fn continue_scan(
        &self,
        file_system: &F,
        mut scan: Scan<F>,
        expiry: Expiry,
        on_partial: OnPartial<'_, F>,
    ) -> Result<(), (RelativePath, Errno)> {
        match scan.run_slice(file_system, expiry, on_partial) {
            Ok(true) => {
                if scan.removed > 0 {
                    log::info!("removed {} unfinished uploads in the directory of {:?}", scan.removed, scan.path);
                }
                self.remember(scan.place.id, scan.has_partial.then_some(expiry.unix_ns));
                Ok(())
            }
            Ok(false) => {
                self.scan.replace(Some(scan));
                Ok(())
            }
            Err(errno) => Err((scan.path, errno)),
        }
    }

    fn remember(&self, id: FileId, scanned_ns: Option<u64>) {
        let mut clean = self.clean.borrow_mut();
        if clean.len() >= DIRECTORIES_MAX {
            clean.clear();
        }
        clean.insert(id, scanned_ns);
    }
}

/// The scan of a directory.
#[derive(Debug)]
struct Scan<F: FileSystem> {
    directory: Rc<F::File>,
    place: Rc<PendingPlace>,
    entries: F::Entries,
    /// A file in the directory, for the log.
    path: RelativePath,
    removed: usize,
    /// Whether the directory contains resumable uploads that have not expired.
    has_partial: bool,
}

impl<F: FileSystem> Scan<F> {
    /// Reads on from the last entry. Returns whether the scan is complete.
    fn run_slice(&mut self, file_system: &F, expiry: Expiry, on_partial: OnPartial<'_, F>) -> Result<bool, Errno> {
        let (mut tried, mut partial) = (0, 0);
        for _ in 0..ENTRIES_PER_SLICE {
            let name = match next_entry(file_system, &mut self.entries, |entry| as_temporary_name(entry.name)) {
                // ENOENT: the directory has been removed.
                None | Some(Err(Errno::NOENT)) => return Ok(true),
                Some(name) => name?,
            };
            let Some(name) = name else { continue };
            if is_partial_name(&name) {
                let metadata = retry_on_intr(|| file_system.stat_at(&self.directory, &name, Symlinks::NoFollow));
                // After an error it is unknown whether the upload has expired, so that a later scan decides.
                if !metadata.is_ok_and(|metadata| expiry.has_passed(metadata.modified_ns)) {
                    self.has_partial = true;
                    on_partial(&self.place, &self.directory, &name);
                    partial += 1;
                    if partial == PARTIAL_PER_SLICE {
                        return Ok(false);
                    }
                    continue;
                }
            }
            if tried == 0 {
                flush_before_removal(file_system, &self.directory)?;
            }
            // A file that cannot be opened or locked is skipped: another server is using it, or it is not an upload.
            let removed = remove_if_abandoned(file_system, &self.directory, &name);
            self.removed += usize::from(matches!(removed, Ok(Some(_))));
            tried += 1;
            // Many long files would wait in the queue of those that are closed in the background, or find it full.
            let is_long = matches!(removed, Ok(Some(bytes)) if bytes >= file_system.long_file_bytes());
            if is_long || tried == REMOVALS_PER_SLICE {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

/// Brings the directory to the disk. A file may be the old version that a durable upload has replaced just before its
/// server was killed. Without a journal, the name on the disk may still lead to that version: removing it would then lose
/// a file that was acknowledged, if the power fails.
pub(super) fn flush_before_removal<F: FileSystem>(file_system: &F, directory: &F::File) -> Result<(), Errno> {
    match retry_on_intr(|| file_system.sync(directory)) {
        Err(errno) if CANNOT_FLUSH.contains(&errno) => Ok(()),
        flushed => flushed,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::Native;

    #[test]
    fn the_number_of_remembered_directories_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let cleanup = Cleanup::default();
        let never = Expiry { unix_ns: 0, age_ns_max: u64::MAX };
        let name = RelativePath::from_segments(["name"]).unwrap();
        for number in 0..=DIRECTORIES_MAX {
            let path = root.path().join(number.to_string());
            fs::create_dir(&path).unwrap();
            let directory = Rc::new(fs::File::open(&path).unwrap().into());
            let id = Native.stat(&directory).map(|metadata| metadata.file_id());
            let directory = Ancestor { directory, path_bytes: 0 };
            cleanup.run_slice(&Native, &directory, id, &name, never, &|_, _, _| ());
            // The directory that was scanned last is always remembered.
            fs::write(path.join(".spindle-0123456789abcdef"), b"").unwrap();
            cleanup.run_slice(&Native, &directory, id, &name, never, &|_, _, _| ());
            assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        }
        assert!(cleanup.clean.borrow().len() <= DIRECTORIES_MAX);
    }
}
