//! Empties a directory of what uploads have left in it, so that the directory can be removed or replaced.
//!
//! To a client such a directory is empty. The record of an ended upload stays until it expires, and after that until a
//! cleanup, which an upload to the directory would start. Both can take longer than a client would wait.

use rustix::io::Errno;

use super::cleanup::flush_before_removal;
use super::directory::Root;
use super::file_system::{Access, FileKind, Symlinks};
use super::retry::{next_entry, retry_on_intr};
use super::state_file::last_event;
use super::temporary_file::{TemporaryName, as_temporary_name, is_partial_name, remove_if_abandoned};
use super::upload_state::Event;
use super::{FileSystem, StorageError};

/// The most entries that are read, to find out that there are others than temporary files.
const ENTRIES_MAX: usize = 4_096;

/// The most files that are removed at once. Each takes about ten system calls.
const REMOVALS_MAX: usize = 64;

/// Removes what abandoned, ended and expired uploads have left in the directory `name`, up to [`REMOVALS_MAX`] files.
/// Returns whether it did, so that it is worth trying again to remove the directory. Nothing is removed if the directory
/// is seen to contain anything else, because the client of an ended upload may still ask for its response.
///
/// # Errors
/// The directory cannot be opened, read or flushed.
pub(super) fn remove_remains<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    name: &[u8],
) -> Result<bool, StorageError> {
    let file_system = root.file_system();
    let directory = match retry_on_intr(|| file_system.open_entry(parent, name, Access::ReadDirectory)) {
        Ok(directory) => directory,
        // Its owner wants nobody to see its entries.
        Err(Errno::ACCESS) => return Ok(false),
        // Another process has removed it.
        Err(Errno::NOENT) => return Ok(true),
        Err(errno) => return Err(StorageError::from_lookup(errno)),
    };
    let names = temporary_names(file_system, &directory).map_err(StorageError::from_errno)?;
    let Some(names) = names.map(|names| removable(root, &directory, names)) else { return Ok(false) };
    if names.is_empty() {
        return Ok(false);
    }
    flush_before_removal(file_system, &directory).map_err(StorageError::from_errno)?;
    for name in &names {
        match remove_if_abandoned(file_system, &directory, name) {
            Ok(Some(_)) => root.pending_uploads().remove(name),
            Err(Errno::NOENT) => {}
            // Another server is using it, or it cannot be removed. The directory stays, and so do the records.
            Ok(None) | Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

/// The entries of a directory that contains only temporary files. `None` if there are others.
fn temporary_names<F: FileSystem>(file_system: &F, directory: &F::File) -> Result<Option<Vec<TemporaryName>>, Errno> {
    let mut entries = retry_on_intr(|| file_system.reopen_directory(directory))?;
    let mut names = Vec::new();
    for _ in 0..ENTRIES_MAX {
        let entry = next_entry(file_system, &mut entries, |entry| match entry.name {
            b"." | b".." => None,
            name => Some(as_temporary_name(name)),
        });
        match entry.transpose()? {
            None => break,
            Some(None) => {}
            Some(Some(Some(name))) => names.push(name),
            Some(Some(None)) => return Ok(None),
        }
    }
    // The files of a crash first: if another server has locked one, no record is removed.
    names.sort_unstable();
    Ok(Some(names))
}

/// The files to remove. None if one of the first files belongs to an upload that can be continued.
fn removable<F: FileSystem>(root: &Root<F>, directory: &F::File, mut names: Vec<TemporaryName>) -> Vec<TemporaryName> {
    let is_whole = names.len() <= REMOVALS_MAX;
    names.truncate(REMOVALS_MAX);
    let (mut removable, mut unrecorded) = (Vec::new(), Vec::new());
    for name in names {
        match remains(root, directory, &name) {
            Remains::Removable => removable.push(name),
            Remains::EndUnrecorded => unrecorded.push(name),
            Remains::InUse => return Vec::new(),
        }
    }
    // No file has the content of an unfinished upload. So where the end was not recorded, it was reached.
    if is_whole {
        removable.append(&mut unrecorded);
    }
    removable
}

/// What a temporary file is.
enum Remains {
    /// It belongs to no upload, or to one that has ended or expired.
    Removable,
    /// The record of an upload that was about to end. It has ended if its content has no temporary name any more.
    EndUnrecorded,
    /// It belongs to an upload that can be continued, or that is unknown.
    InUse,
}

fn remains<F: FileSystem>(root: &Root<F>, directory: &F::File, name: &TemporaryName) -> Remains {
    let file_system = root.file_system();
    match retry_on_intr(|| file_system.stat_at(directory, name, Symlinks::NoFollow)) {
        Ok(metadata) if metadata.kind != FileKind::Regular => Remains::InUse,
        Ok(metadata) if !is_partial_name(name) || root.expiry().has_passed(metadata.modified_ns) => Remains::Removable,
        Ok(_) => match last_event(root, directory, name) {
            Ok(Some(Event::Published)) => Remains::Removable,
            Ok(Some(Event::Publishing { .. })) => Remains::EndUnrecorded,
            Ok(Some(Event::Created | Event::Progress) | None) | Err(_) => Remains::InUse,
        },
        // Another server has just removed it.
        Err(Errno::NOENT) => Remains::Removable,
        Err(_) => Remains::InUse,
    }
}
