//! Resumable uploads, which can be continued by another request, and after a restart of the server. The content is in a
//! temporary file in the directory of the target, and a second temporary file has the [records](super::upload_state) of
//! the upload's state.

use std::fmt;
use std::rc::Rc;

use rustix::io::Errno;

use super::directory::{ExistingEntry, Root};
use super::file_system::{Access, FileKind};
use super::retry::{read_exactly, retry_on_intr, write_all};
use super::temporary_file::{TemporaryFile, TemporaryName, lock, partial_name};
use super::upload::{flush, flush_directory};
use super::upload_state::{Event, NOTE_BYTES_MAX, Record, UploadState};
use super::{FileSystem, Metadata, Native, Published, RelativePath, StorageError, Upload, UploadMode};

/// The length, in bytes, above which a state file is rewritten with only its first and last record.
const STATE_BYTES_REWRITE: usize = 64 * 1024;

/// The longest state file that is read, in bytes. A longer one was not written by this server.
const STATE_BYTES_MAX: usize = STATE_BYTES_REWRITE + 4 * NOTE_BYTES_MAX;

/// The identifier of a resumable upload: 128 random bits. A client that knows it may continue the upload.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId(u128);

impl UploadId {
    /// The identifier with these random bits.
    pub fn new(random: u128) -> UploadId {
        UploadId(random)
    }

    /// Parses 32 lower-case hexadecimal digits.
    pub fn parse(digits: &[u8]) -> Option<UploadId> {
        if digits.len() != 32 || !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(str::from_utf8(digits).ok()?, 16).ok().map(UploadId)
    }

    /// The names of the content file and of the state file, each made from one half of the identifier. So both halves
    /// are needed to continue an upload.
    fn names(self) -> (TemporaryName, TemporaryName) {
        (partial_name((self.0 >> 64) as u64), partial_name(self.0 as u64))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Without the digits, which are the client's secret: others may read the log.
impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadId")
    }
}

/// An upload that can be continued. When it is dropped, the content that was [saved](PartialUpload::save) stays on the
/// disk.
///
/// It has two descriptors, and one for the directory if that is not the root. While it is open, no other process can
/// continue it.
#[derive(Debug)]
pub struct PartialUpload<F: FileSystem = Native> {
    upload: Upload<F>,
    state: StateFile<F>,
    creation: Vec<u8>,
    saved: Record,
}

/// The state file of an upload that has ended. It is kept for a client that did not get the response.
#[derive(Debug)]
pub struct EndedUpload<F: FileSystem = Native> {
    state: StateFile<F>,
    bytes: u64,
}

/// The result of [`find_partial_upload`](super::Directory::find_partial_upload).
#[derive(Debug)]
pub enum FoundUpload<F: FileSystem = Native> {
    /// The upload can be continued.
    Partial(Box<PartialUpload<F>>),
    /// The upload has ended.
    Ended {
        /// The bytes with which the caller created it.
        creation: Vec<u8>,
        /// The length of its content, in bytes.
        bytes: u64,
        /// The note of its end; `None` if the server stopped between publishing the file and saving that note.
        note: Option<Vec<u8>>,
        /// The regular file that now has the name, if there is one. Without a note it is the file that was uploaded.
        metadata: Option<Metadata>,
    },
}

/// The open state file.
#[derive(Debug)]
struct StateFile<F: FileSystem> {
    root: Rc<Root<F>>,
    parent: Rc<F::File>,
    name: TemporaryName,
    file: F::File,
    /// The length of all complete records, in bytes.
    bytes: usize,
    /// Whether an append has failed, so that the file may contain a part of a record after them.
    is_torn: bool,
    durable: bool,
}

impl<F: FileSystem> PartialUpload<F> {
    pub(super) fn begin(
        root: Rc<Root<F>>,
        id: UploadId,
        path: RelativePath,
        mode: UploadMode,
        bytes_expected: Option<u64>,
        durable: bool,
        creation: Vec<u8>,
    ) -> Result<Self, StorageError> {
        let (content_name, state_name) = id.names();
        let upload = Upload::begin_named(Rc::clone(&root), path.clone(), mode, bytes_expected, durable, &content_name)?;
        let parent = Rc::clone(upload.parent());
        let created = TemporaryFile::create_named(root.file_system(), &parent, &state_name);
        let (temporary, file) = created.map_err(StorageError::from_publication)?;
        let mut state = StateFile { root, parent, name: state_name, file, bytes: 0, is_torn: false, durable };
        let first = Record { event: Event::Created, offset: 0, note: [path.name(), b"/", &creation].concat() };
        state.append(&first)?;
        if durable {
            flush_directory(&state.root, &state.parent)?;
        }
        temporary.leak();
        state.root.count_partial_uploads(1);
        Ok(PartialUpload { upload, state, creation, saved: first })
    }

    pub(super) fn find(
        root: Rc<Root<F>>,
        id: UploadId,
        path: RelativePath,
        durable: bool,
    ) -> Result<FoundUpload<F>, StorageError> {
        let (content_name, state_name) = id.names();
        let parent = root.open_parent(&path, durable).map_err(|error| match error {
            StorageError::ParentMissing => StorageError::NotFound,
            error => error,
        })?;
        let state = read_state(&root, &parent, &state_name)?.ok_or(StorageError::NotFound)?;
        // Another name with the same identifier would publish the content under a name for which it was not meant.
        let creation = state.creation.strip_prefix(path.name()).and_then(|rest| rest.strip_prefix(b"/"));
        let creation = creation.ok_or(StorageError::NotFound)?.to_vec();
        let file_system = root.file_system();
        let content = match retry_on_intr(|| file_system.open_entry(&parent, &content_name, Access::Lock)) {
            Ok(content) => content,
            Err(Errno::NOENT) => return ended(&root, &parent, &path, state.last, creation),
            Err(errno) => return Err(StorageError::from_lookup(errno)),
        };
        if !lock(file_system, &content).map_err(StorageError::from_errno)? {
            return Err(StorageError::Busy);
        }
        let metadata = root.stat(&content)?;
        if metadata.kind != FileKind::Regular || metadata.size_bytes < state.last.offset {
            // The disk has lost content that was saved, so that the client cannot continue from the offset.
            remove(&root, &parent, &content_name);
            remove(&root, &parent, &state_name);
            root.count_partial_uploads(-1);
            return Err(StorageError::NotFound);
        }
        let file = retry_on_intr(|| file_system.open_entry(&parent, &state_name, Access::Lock));
        let file = file.map_err(StorageError::from_lookup)?;
        truncate(file_system, &file, state.bytes as u64)?;
        truncate(file_system, &content, state.last.offset)?;
        let temporary = TemporaryFile::new(file_system, &parent, &content_name);
        let offset = state.last.offset;
        let content_parent = Rc::clone(&parent);
        let upload = Upload::resume(Rc::clone(&root), path, durable, content_parent, temporary, content, offset)?;
        Ok(FoundUpload::Partial(Box::new(PartialUpload {
            upload,
            state: StateFile { root, parent, name: state_name, file, bytes: state.bytes, is_torn: false, durable },
            creation,
            saved: state.last,
        })))
    }

    /// The bytes with which the caller created the upload.
    pub fn creation(&self) -> &[u8] {
        &self.creation
    }

    /// The note that was saved last; empty before the first [`save`](PartialUpload::save).
    pub fn note(&self) -> &[u8] {
        match self.saved.event {
            Event::Created => b"",
            _ => &self.saved.note,
        }
    }

    /// The file that a reader found under the name when the upload was begun or found; `None` if there was none.
    pub fn existing(&self) -> Option<&Metadata> {
        self.upload.existing()
    }

    /// The number of bytes of content, whether they were saved or not.
    pub fn bytes_written(&self) -> u64 {
        self.upload.bytes_written()
    }

    /// Appends content.
    ///
    /// # Errors
    /// As [`Upload::write`]. The upload must then be dropped; it can be continued from the last
    /// [`save`](PartialUpload::save).
    pub fn write(&mut self, content: &[u8]) -> Result<(), StorageError> {
        self.upload.write(content)
    }

    /// Saves the content that was written, with a note for the caller that continues the upload. The content up to here
    /// then survives a crash of the server, and if the upload is durable, a power failure.
    ///
    /// # Errors
    /// The content or the record cannot be written. A durable upload is then removed, since it is unknown which part of
    /// it is on the disk.
    pub fn save(&mut self, note: &[u8]) -> Result<(), StorageError> {
        let offset = self.bytes_written();
        if (offset, note) == (self.saved.offset, &self.saved.note[..]) && self.saved.event == Event::Progress {
            return Ok(());
        }
        self.record(Record { event: Event::Progress, offset, note: note.to_vec() })
    }

    fn record(&mut self, record: Record) -> Result<(), StorageError> {
        if let Err(error) = self.upload.flush_content().and_then(|()| self.state.append(&record)) {
            if self.state.durable {
                self.remove();
            }
            return Err(error);
        }
        self.saved = record;
        if self.state.bytes > STATE_BYTES_REWRITE {
            let creation = [self.upload.name(), b"/", &self.creation].concat();
            self.state.rewrite(creation, &self.saved)?;
        }
        Ok(())
    }

    /// Removes unsaved content from the end, so that `bytes` bytes remain.
    ///
    /// # Errors
    /// The file cannot be truncated.
    pub fn rewind(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.upload.truncate(bytes)
    }

    /// Publishes the content as [`Upload::commit`] does, with `annotation`. The inner result is that of the commit. The
    /// upload has ended even if it is an error; [`EndedUpload::save`] then records the response to the client.
    ///
    /// # Errors
    /// The record of the attempt cannot be written. Nothing is published, and unless the upload is durable, it can
    /// still be continued.
    #[allow(clippy::type_complexity, reason = "two results, each with one meaning")]
    pub fn commit(
        mut self,
        mode: UploadMode,
        unix_ns: u64,
        annotation: Option<Vec<u8>>,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<(Result<Published, StorageError>, EndedUpload<F>), StorageError> {
        let (inode, bytes) = (self.upload.content_metadata()?.inode, self.upload.bytes_written());
        let note = self.note().to_vec();
        self.record(Record { event: Event::Publishing { inode }, offset: bytes, note })?;
        let PartialUpload { mut upload, state, .. } = self;
        upload.set_mode(mode);
        if let Some(annotation) = annotation {
            upload.annotate(annotation);
        }
        upload.remove_on_drop();
        let published = upload.commit(unix_ns, condition);
        state.root.count_partial_uploads(-1);
        Ok((published, EndedUpload { state, bytes }))
    }

    /// Removes the upload and its state file.
    pub fn discard(mut self) {
        self.remove();
    }

    fn remove(&mut self) {
        self.upload.remove_on_drop();
        remove(&self.state.root, &self.state.parent, &self.state.name);
        self.state.root.count_partial_uploads(-1);
    }
}

impl<F: FileSystem> EndedUpload<F> {
    pub(super) fn forget(root: &Root<F>, id: UploadId, path: &RelativePath) {
        if let Ok(parent) = root.open_parent(path, false) {
            remove(root, &parent, &id.names().1);
        }
    }

    /// Records the response to the client, so that it can be sent again to a client that did not get it.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn save(mut self, note: &[u8]) -> Result<(), StorageError> {
        self.state.append(&Record { event: Event::Published, offset: self.bytes, note: note.to_vec() })
    }
}

impl<F: FileSystem> StateFile<F> {
    /// Appends a record. If the upload is durable, the record is flushed.
    fn append(&mut self, record: &Record) -> Result<(), StorageError> {
        let record = record.encode().ok_or(StorageError::DiskFull)?;
        let file_system = self.root.file_system();
        if self.is_torn {
            truncate(file_system, &self.file, self.bytes as u64)?;
        }
        self.is_torn = true;
        write_all(|bytes| file_system.write(&self.file, bytes), &record).map_err(StorageError::from_errno)?;
        if self.durable {
            flush(file_system, &self.file)?;
        }
        self.is_torn = false;
        self.bytes += record.len();
        Ok(())
    }

    /// Atomically replaces the file by one with only the first and the last record, so that it does not grow with the
    /// upload. After a crash either file may exist, and both have the same state.
    fn rewrite(&mut self, creation: Vec<u8>, last: &Record) -> Result<(), StorageError> {
        let first = Record { event: Event::Created, offset: 0, note: creation };
        let file_system = self.root.file_system();
        let created = TemporaryFile::create(file_system, &self.parent, self.root.temporary_names());
        let (temporary, file) = created.map_err(StorageError::from_publication)?;
        let mut state = StateFile {
            root: Rc::clone(&self.root),
            parent: Rc::clone(&self.parent),
            name: self.name,
            file,
            bytes: 0,
            is_torn: false,
            durable: false,
        };
        state.append(&first)?;
        state.append(last)?;
        if self.durable {
            flush(file_system, &state.file)?;
        }
        temporary.replace(&self.name).map_err(StorageError::from_publication)?;
        if self.durable {
            flush_directory(&self.root, &self.parent)?;
        }
        state.durable = self.durable;
        *self = state;
        Ok(())
    }
}

/// Reads the state file `name`; `None` if it does not exist, is not a valid state file, or has expired.
fn read_state<F: FileSystem>(
    root: &Rc<Root<F>>,
    parent: &F::File,
    name: &TemporaryName,
) -> Result<Option<UploadState>, StorageError> {
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
    if metadata.kind != FileKind::Regular || bytes > STATE_BYTES_MAX || root.expiry().has_passed(&metadata) {
        return Ok(None);
    }
    let mut content = vec![0; bytes];
    let read = |space: &mut [u8], offset| file_system.read_at(&file, space, offset);
    match read_exactly(read, &mut content, 0).map_err(StorageError::from_errno)? {
        Some(()) => Ok(UploadState::decode(&content)),
        None => Ok(None),
    }
}

/// Handles a state file without a content file: the upload has ended, or another process has removed its content.
fn ended<F: FileSystem>(
    root: &Root<F>,
    parent: &F::File,
    path: &RelativePath,
    last: Record,
    creation: Vec<u8>,
) -> Result<FoundUpload<F>, StorageError> {
    let bytes = last.offset;
    let existing = match root.existing_entry(parent, path)? {
        ExistingEntry::File(metadata) => Some(metadata),
        _ => None,
    };
    let (note, metadata) = match last.event {
        Event::Published => (Some(last.note), existing),
        Event::Publishing { inode } => {
            let metadata = existing.filter(|existing| existing.inode == inode && existing.size_bytes == bytes);
            if metadata.is_none() {
                return Err(StorageError::NotFound);
            }
            (None, metadata)
        }
        Event::Created | Event::Progress => return Err(StorageError::NotFound),
    };
    Ok(FoundUpload::Ended { creation, bytes, note, metadata })
}

fn truncate<F: FileSystem>(file_system: &F, file: &F::File, bytes: u64) -> Result<(), StorageError> {
    retry_on_intr(|| file_system.truncate(file, bytes)).map_err(StorageError::from_errno)
}

/// Removes a temporary file. If that fails, a later cleanup removes it.
fn remove<F: FileSystem>(root: &Root<F>, parent: &F::File, name: &TemporaryName) {
    let _ = retry_on_intr(|| root.file_system().unlink(parent, name));
}
