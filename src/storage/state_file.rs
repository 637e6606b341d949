//! The state file of a resumable upload: finding it, reading it, and appending [records](super::upload_state).

use std::rc::Rc;

use rustix::io::Errno;

use super::commit::{flush, flush_directory};
use super::directory::Root;
use super::file_system::{Access, FileKind};
use super::new_directories::Ancestor;
use super::retry::{read_exactly, retry_on_intr, write_all};
use super::temporary_file::{TemporaryFile, TemporaryName, lock};
use super::upload_state::{Event, NOTE_BYTES_MAX, Record, UploadState};
use super::{FileSystem, RelativePath, StorageError};

/// The length of all records but the first, in bytes, above which a state file is rewritten with only its first and last
/// record. Each request that continues the upload reads all of them.
const STATE_BYTES_REWRITE: usize = 4 * 1024;

/// The longest state file that is read, in bytes. A longer one was not written by this server.
const STATE_BYTES_MAX: usize = 5 * NOTE_BYTES_MAX;

/// The open state file.
#[derive(Debug)]
pub(super) struct StateFile<F: FileSystem> {
    pub(super) root: Rc<Root<F>>,
    pub(super) parent: Rc<F::File>,
    pub(super) name: TemporaryName,
    pub(super) file: F::File,
    /// The first record.
    pub(super) first: Record,
    /// The length of all complete records, in bytes.
    pub(super) bytes: usize,
    /// Whether the file may contain a part of a record after them, and is not positioned at their end: an append has failed,
    /// or the file was found and not appended to yet.
    pub(super) is_torn: bool,
    /// Whether a flush has failed, so that the disk may have lost records.
    pub(super) has_lost_records: bool,
    pub(super) durable: bool,
}

impl<F: FileSystem> StateFile<F> {
    /// Whether appending the record rewrites the file, and so removes the records before it.
    pub(super) fn is_rewritten_by(&self, record: &Record) -> bool {
        self.bytes + record.encoded_bytes() > self.first.encoded_bytes() + STATE_BYTES_REWRITE
    }

    /// Appends a record. If the upload is durable, the record is flushed, unless it says that its content was not.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), StorageError> {
        let encoded = record.encode().ok_or(StorageError::DiskFull)?;
        if self.is_rewritten_by(record) {
            match self.rewrite(record) {
                // A longer file than this one would not be read again.
                Err(error) if self.has_lost_records || self.bytes + encoded.len() > STATE_BYTES_MAX => {
                    return Err(error);
                }
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
        self.truncate_torn()?;
        let file_system = self.root.file_system();
        self.is_torn = true;
        write_all(|bytes| self.root.write(&self.file, bytes), &encoded).map_err(StorageError::from_errno)?;
        if self.durable && record.boot_id.is_none() {
            flush(file_system, &self.file).inspect_err(|_| self.has_lost_records = true)?;
        }
        self.is_torn = false;
        self.bytes += encoded.len();
        Ok(())
    }

    /// Removes the part of a record that a failed append may have left.
    pub(super) fn truncate_torn(&mut self) -> Result<(), StorageError> {
        if self.is_torn {
            truncate(self.root.file_system(), &self.file, self.bytes as u64)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Atomically replaces the file by one with only the first record and `last`, so that it does not grow with the
    /// upload. After a crash either file may exist.
    fn rewrite(&mut self, last: &Record) -> Result<(), StorageError> {
        let root = Rc::clone(&self.root);
        let file_system = root.file_system();
        let content = [&self.first, last].map(Record::encode).into_iter().collect::<Option<Vec<_>>>();
        let content = content.ok_or(StorageError::DiskFull)?.concat();
        let created = TemporaryFile::create(file_system, &self.parent, root.temporary_names());
        let (mut temporary, file) = created.map_err(StorageError::from_publication)?;
        write_all(|bytes| root.write(&file, bytes), &content).map_err(StorageError::from_errno)?;
        // Without a journal, the disk could free the old file before its directory points to the new one, and a file
        // system check would then remove the name.
        let mut replaced = None;
        if self.durable {
            flush(file_system, &file)?;
            let linked = TemporaryFile::link_existing(file_system, &self.parent, &self.name, root.temporary_names());
            replaced = linked.map_err(StorageError::from_publication)?;
        }
        temporary.replace(&self.parent, &self.name).map_err(StorageError::from_publication)?;
        (self.file, self.bytes, self.is_torn) = (file, content.len(), false);
        if self.durable {
            flush_directory(&root, &self.parent).inspect_err(|_| self.has_lost_records = true)?;
        }
        drop(replaced);
        Ok(())
    }
}

/// The note of the first record: the path of the file from the directory of the state file on, and what the caller keeps.
/// No path contains a NUL.
pub(super) fn creation_note(relative_path: &[u8], creation: &[u8]) -> Vec<u8> {
    [relative_path, b"\0", creation].concat()
}

/// A state file that was found and read.
pub(super) struct FoundState<F: FileSystem> {
    /// The directory that contains it.
    pub(super) ancestor: Ancestor<F>,
    pub(super) file: ReadState,
    /// What the caller keeps with the upload.
    pub(super) creation: Vec<u8>,
}

/// What was read from a state file.
pub(super) struct ReadState {
    pub(super) state: UploadState,
    /// Its modification time, in nanoseconds since 1970.
    pub(super) modified_ns: i128,
}

/// Looks for the state file `name` of an upload to `path`: in the directory of the file, and if uploads create directories
/// also in those above, since the directory may not have existed when the upload began. A directory that the server may not
/// look into is as if it did not exist: whoever guesses paths must not learn of it.
pub(super) fn find_state<F: FileSystem>(
    root: &Root<F>,
    path: &RelativePath,
    name: &TemporaryName,
    durable: bool,
) -> Result<Option<FoundState<F>>, StorageError> {
    let depth_max = if root.creates_directories() { usize::MAX } else { 1 };
    for ancestor_path in path.ancestors().take(depth_max) {
        let opened = root.open_directory_at(ancestor_path, durable);
        let read = opened.and_then(|directory| Ok(read_state(root, &directory, name)?.map(|file| (directory, file))));
        let (directory, file) = match read {
            Ok(Some(found)) => found,
            Ok(None) | Err(StorageError::ParentMissing | StorageError::PermissionDenied) => continue,
            Err(error) => return Err(error),
        };
        let ancestor = Ancestor { directory, path_bytes: ancestor_path.len() };
        // Another path with the same identifier would publish the content under a name for which it was not meant.
        let creation = file.state.creation.strip_prefix(ancestor.relative(path));
        let creation = creation.and_then(|rest| rest.strip_prefix(b"\0")).map(<[u8]>::to_vec);
        return Ok(creation.map(|creation| FoundState { ancestor, file, creation }));
    }
    Ok(None)
}

/// When the upload with the state file `name` received its last byte, in nanoseconds since 1970. `None` if the file is not a
/// valid state file, or if the upload has ended.
pub(super) fn pending_state<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    name: &TemporaryName,
) -> Result<Option<i128>, StorageError> {
    let read = read_state(root, parent, name)?;
    Ok(read.filter(|read| read.state.last.event != Event::Published).map(|read| read.modified_ns))
}

/// Reads the state file `name`; `None` if it does not exist, is not a valid state file, or has expired, or if the system
/// was started again before the upload was flushed.
pub(super) fn read_state<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    name: &TemporaryName,
) -> Result<Option<ReadState>, StorageError> {
    let read = read_content(root, parent, name)?;
    let read = read.filter(|(_, modified_ns)| !root.expiry().has_passed(*modified_ns));
    Ok(read.and_then(|(content, modified_ns)| {
        UploadState::decode(&content, root.boot_id()).map(|state| ReadState { state, modified_ns })
    }))
}

/// The last event that the state file `name` has recorded, even if the upload has expired, or if it is lost because the
/// system was started again. `None` if this is not a state file.
pub(super) fn last_event<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    name: &TemporaryName,
) -> Result<Option<Event>, StorageError> {
    Ok(read_content(root, parent, name)?.and_then(|(content, _)| UploadState::last_event(&content)))
}

/// Opens and locks one of the two temporary files of an upload. `None` if it does not exist.
pub(super) fn open_locked<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    name: &TemporaryName,
) -> Result<Option<F::File>, StorageError> {
    let file_system = root.file_system();
    let file = match retry_on_intr(|| file_system.open_entry(parent, name, Access::Lock)) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(StorageError::from_lookup(errno)),
    };
    match lock(file_system, &file).map_err(StorageError::from_errno)? {
        true => Ok(Some(file)),
        false => Err(StorageError::Busy),
    }
}

/// The content of the file `name`, and its modification time in nanoseconds since 1970. `None` if the file does not exist,
/// or cannot be a state file.
fn read_content<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    name: &TemporaryName,
) -> Result<Option<(Vec<u8>, i128)>, StorageError> {
    let file_system = root.file_system();
    let file = match retry_on_intr(|| file_system.open_entry(parent, name, Access::Read)) {
        Ok(file) => file,
        Err(errno) => match StorageError::from_lookup(errno) {
            StorageError::NotFound => return Ok(None),
            error => return Err(error),
        },
    };
    let metadata = root.stat(&file)?;
    let bytes = usize::try_from(metadata.size_bytes).unwrap_or(usize::MAX);
    if metadata.kind != FileKind::Regular || bytes > STATE_BYTES_MAX {
        return Ok(None);
    }
    let mut content = vec![0; bytes];
    let read = |space: &mut [u8], offset| file_system.read_at(&file, space, offset);
    let read = read_exactly(read, &mut content, 0).map_err(StorageError::from_errno)?;
    Ok(read.map(|()| (content, metadata.modified_ns)))
}

pub(super) fn truncate<F: FileSystem>(file_system: &F, file: &F::File, bytes: u64) -> Result<(), StorageError> {
    retry_on_intr(|| file_system.truncate(file, bytes)).map_err(StorageError::from_errno)
}

/// Removes a temporary file. If that fails, a later cleanup removes it.
pub(super) fn remove<F: FileSystem>(root: &Root<F>, parent: &F::File, name: &TemporaryName) {
    let _ = retry_on_intr(|| root.file_system().unlink(parent, name));
}
