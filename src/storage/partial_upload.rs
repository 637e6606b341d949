//! Resumable uploads, which can be continued by another request, and after a restart of the server. The content is in a
//! temporary file in the directory of the target, or in the nearest one above that exists, and a second temporary file
//! there has the [records](super::upload_state) of the upload's state.

use std::rc::Rc;

use rustix::io::Errno;

use super::commit::{CommitError, flush, flush_directory, flush_published};
use super::content_file::ContentFile;
use super::directory::Root;
use super::ended_upload::{EndedUpload, ended};
use super::file_system::FileKind;
use super::pending_uploads::PendingPlace;
use super::state_file::{FoundState, ReadState, StateFile, creation_note, find_state, open_locked, read_state, remove};
use super::temporary_file::TemporaryFile;
use super::upload::has_name;
use super::upload_id::UploadId;
use super::upload_state::{Event, Record};
use super::{FileSystem, Metadata, Native, Published, RelativePath, StorageError, Upload, UploadMode};

/// An upload that can be continued. When it is dropped, the content that was [saved](PartialUpload::save) stays on the
/// disk.
///
/// It has two descriptors, and one for the directory if that is not the root. No other process can continue it meanwhile.
#[derive(Debug)]
pub struct PartialUpload<F: FileSystem = Native> {
    upload: Upload<F>,
    state: StateFile<F>,
    /// The directory of both files, if it can be told.
    place: Option<Rc<PendingPlace>>,
    creation: Vec<u8>,
    saved: Record,
    /// If it was found on the disk: its length then in bytes, and the time of its last byte in nanoseconds since 1970.
    found: Option<(u64, i128)>,
    /// Whether the content file may have more content than was saved, and is not positioned at its end. That is so of an
    /// upload that was found, and that nothing was written to yet: truncating the file would make it expire later.
    is_torn: bool,
    /// Set when a flush fails. The upload is removed then, and cannot be used any more.
    is_removed: bool,
}

/// A commit that has published nothing, although nothing forbids it.
#[derive(Debug)]
pub struct Uncommitted<F: FileSystem = Native> {
    /// The reason.
    pub error: StorageError,
    /// The upload. `None` if a flush has failed: then it is removed, since it is unknown which part of it is on the disk.
    pub upload: Option<Box<PartialUpload<F>>>,
    /// Whether all of its content is saved, so that it can be committed later, also after it was dropped and found again.
    /// If not even that is possible, it can be continued from the last [`save`](PartialUpload::save).
    pub is_saved: bool,
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
        /// The time until the record of the upload expires, in nanoseconds.
        lifetime_ns: u64,
    },
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
        let mut upload =
            Upload::begin_named(Rc::clone(&root), path.clone(), mode, bytes_expected, durable, &content_name)?;
        let parent = Rc::clone(upload.parent());
        let created = TemporaryFile::create_named(root.file_system(), &parent, &state_name);
        let (temporary, file) = created.map_err(StorageError::from_publication)?;
        let first = Record {
            event: Event::Created,
            offset: 0,
            boot_id: if durable { None } else { root.boot_id() },
            note: creation_note(upload.relative_path(), &creation),
        };
        let mut state = StateFile {
            root,
            parent,
            name: state_name,
            file,
            first: first.clone(),
            bytes: 0,
            is_torn: false,
            has_lost_records: false,
            durable,
        };
        state.append(&first)?;
        if durable {
            flush_directory(&state.root, &state.parent)?;
        }
        temporary.leak();
        upload.keep_on_drop(true);
        let place = state.root.pending_place(&upload.parent, &upload.path);
        state.root.pending_uploads().insert(&state_name, place.as_ref());
        state.root.expect_partial_upload(&state.parent);
        Ok(PartialUpload {
            upload,
            state,
            place,
            creation,
            saved: first,
            found: None,
            is_torn: false,
            is_removed: false,
        })
    }

    pub(super) fn find(
        root: Rc<Root<F>>,
        id: UploadId,
        path: RelativePath,
        durable: bool,
    ) -> Result<FoundUpload<F>, StorageError> {
        let (content_name, state_name) = id.names();
        let mut found = find_state(&root, &path, &state_name, durable)?.ok_or(StorageError::NotFound)?;
        let parent = &Rc::clone(&found.ancestor.directory);
        let Some(content) = open_locked(&root, parent, &content_name)? else {
            return ended(&root, &path, &state_name, found, durable);
        };
        // Until the content was locked, another process may have continued the upload. To continue from the older state
        // would remove content whose offset that process has reported.
        found.file = read_state(&root, parent, &state_name)?.ok_or(StorageError::NotFound)?;
        let metadata = root.stat(&content)?;
        let content = ContentFile::new(root.file_system(), content, metadata.size_bytes);
        let last = &found.file.state.last;
        let has_ended = match last.event {
            Event::Published => true,
            // The server stopped while the content had both names. To continue the upload would change the file that
            // was published.
            Event::Publishing { .. } => has_name(&root, &found.ancestor, &path, &metadata)?,
            Event::Created | Event::Progress => false,
        };
        if has_ended {
            if durable {
                // Before the other name is removed, which the disk may do first.
                flush_published(&root, &path)?;
            }
            remove(&root, parent, &content_name);
            return ended(&root, &path, &state_name, found, durable);
        }
        if metadata.kind != FileKind::Regular || metadata.size_bytes < last.offset {
            // The disk has lost content that was saved, so that the client cannot continue from the offset.
            remove(&root, parent, &content_name);
            remove(&root, parent, &state_name);
            root.pending_uploads().remove(&state_name);
            return Err(StorageError::NotFound);
        }
        let partial = Self::resume(root, id, path, found, (content, metadata), durable)?;
        Ok(FoundUpload::Partial(Box::new(partial)))
    }

    /// Continues the upload whose content is a locked file with this metadata.
    fn resume(
        root: Rc<Root<F>>,
        id: UploadId,
        path: RelativePath,
        found: FoundState<F>,
        (content, metadata): (ContentFile<F>, Metadata),
        durable: bool,
    ) -> Result<Self, StorageError> {
        let (content_name, state_name) = id.names();
        let FoundState { ancestor, file: ReadState { state, modified_ns }, creation } = found;
        let parent = Rc::clone(&ancestor.directory);
        let place = root.pending_place(&ancestor, &path);
        // A cleanup removes an expired state file that is not locked, even if the upload is continued meanwhile.
        let file = open_locked(&root, &parent, &state_name)?.ok_or(StorageError::NotFound)?;
        let file_system = root.file_system();
        // A cleanup removes the one of the two files that expires first.
        let written_ns = modified_ns.min(metadata.modified_ns);
        let temporary = TemporaryFile::new(file_system, &parent, &content_name);
        let offset = state.last.offset;
        let upload = Upload::resume(Rc::clone(&root), path, durable, ancestor, temporary, content, offset)?;
        root.pending_uploads().insert_found(&state_name, written_ns, place.as_ref());
        let first = Record {
            event: Event::Created,
            offset: 0,
            boot_id: state.last.boot_id,
            note: creation_note(upload.relative_path(), &creation),
        };
        let state_file = StateFile {
            root,
            parent,
            name: state_name,
            file,
            first,
            bytes: state.bytes,
            is_torn: true,
            has_lost_records: false,
            durable,
        };
        let mut partial = PartialUpload {
            upload,
            state: state_file,
            place,
            creation,
            saved: state.last,
            found: Some((offset, written_ns)),
            // Truncating an empty file would make ext4 write all content to the disk, slowly, when the file is closed.
            is_torn: metadata.size_bytes > 0,
            is_removed: false,
        };
        if durable {
            partial.make_durable()?;
        }
        Ok(partial)
    }

    /// Flushes an upload that was found, before its offset is reported. An earlier run of the server may not have been
    /// durable, or may have been killed after it had written a record, and before it had flushed it.
    fn make_durable(&mut self) -> Result<(), StorageError> {
        if self.saved.boot_id.is_some() {
            let Record { event, note, .. } = self.saved.clone();
            self.state.first.boot_id = None;
            self.record(event, note, None)?;
        } else {
            self.upload.flush_content()?;
            flush(self.state.root.file_system(), &self.state.file)?;
        }
        flush_directory(&self.state.root, &self.state.parent)
    }

    /// Says whose place the upload takes, in the caller's words. That is known until the run ends.
    pub fn set_holder(&self, holder: Rc<str>) {
        self.state.root.pending_uploads().set_holder(&self.state.name, holder);
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

    /// The time until the upload expires, in nanoseconds, if it receives no more content.
    pub fn lifetime_ns(&self) -> u64 {
        let expiry = self.state.root.expiry();
        match self.found {
            Some((bytes, written_ns)) if bytes == self.bytes_written() => expiry.left_ns(written_ns),
            // Its last byte has just arrived.
            _ => expiry.age_ns_max,
        }
    }

    /// Announces how many more bytes will be written before the next [`save`](PartialUpload::save), if that is known. The
    /// space for them may then be reserved while they arrive.
    pub fn announce(&mut self, bytes: Option<u64>) {
        self.upload.announce(bytes);
    }

    /// Appends content.
    ///
    /// # Errors
    /// As [`Upload::write`]. The upload must then be dropped; it can be continued from the last
    /// [`save`](PartialUpload::save).
    pub fn write(&mut self, content: &[u8]) -> Result<(), StorageError> {
        self.require_not_removed()?;
        self.truncate_torn()?;
        self.upload.write(content)
    }

    /// Removes content that was not saved by the run that wrote it.
    fn truncate_torn(&mut self) -> Result<(), StorageError> {
        if self.is_torn {
            self.upload.truncate(self.upload.bytes_written())?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Saves the content that was written, with a note for the caller that continues the upload. The content up to here
    /// then survives a crash of the server, and if the upload is durable, a power failure.
    ///
    /// # Errors
    /// The record cannot be written; the upload can still be continued from the last save. Or a flush has failed: then
    /// the upload is removed, since it is unknown which part of it is on the disk.
    pub fn save(&mut self, note: &[u8]) -> Result<(), StorageError> {
        self.save_progress(note, self.flushed_boot_id())
    }

    /// As [`save`](PartialUpload::save), but flushes nothing if the system has a boot identifier: after a power failure the
    /// upload is continued from the last offset that was flushed. For an upload that breaks off, since its client has not
    /// been told the new offset. Many clients whose uploads break off would otherwise keep everybody waiting for flushes.
    /// Nothing can be appended before the upload is [found](super::Directory::find_partial_upload) again, which flushes it.
    ///
    /// # Errors
    /// As [`save`](PartialUpload::save). What cannot be saved is [removed](PartialUpload::remove_unsaved).
    pub fn save_unreported(mut self, note: &[u8]) -> Result<(), StorageError> {
        let saved = self.save_progress(note, self.state.root.boot_id());
        if saved.is_err() {
            self.remove_unsaved();
        }
        saved
    }

    fn save_progress(&mut self, note: &[u8], boot_id: Option<u64>) -> Result<(), StorageError> {
        self.require_not_removed()?;
        self.upload.free_reserved();
        let offset = self.bytes_written();
        if (offset, note) == (self.saved.offset, &self.saved.note[..]) && self.saved.event == Event::Progress {
            return Ok(());
        }
        self.record(Event::Progress, note.to_vec(), boot_id)
    }

    /// The boot identifier of a record that a durable upload flushes, and another one does not.
    fn flushed_boot_id(&self) -> Option<u64> {
        if self.state.durable { None } else { self.state.root.boot_id() }
    }

    fn record(&mut self, event: Event, note: Vec<u8>, boot_id: Option<u64>) -> Result<(), StorageError> {
        self.require_not_removed()?;
        let mut record = Record { event, offset: self.bytes_written(), boot_id, note };
        if self.state.durable && self.state.is_rewritten_by(&record) {
            // The last record that was flushed is not kept then.
            record.boot_id = None;
        }
        if record.boot_id.is_none() {
            let flushed = self.upload.flush_content();
            if flushed.is_err() {
                self.remove();
                return flushed;
            }
        }
        if let Err(error) = self.state.append(&record) {
            if self.state.has_lost_records {
                self.remove();
            }
            return Err(error);
        }
        self.state.root.pending_uploads().insert(&self.state.name, self.place.as_ref());
        self.saved = record;
        Ok(())
    }

    fn require_not_removed(&self) -> Result<(), StorageError> {
        if self.is_removed { Err(StorageError::Io(Errno::IO.into())) } else { Ok(()) }
    }

    /// Removes unsaved content from the end, so that `bytes` bytes remain.
    ///
    /// # Errors
    /// The file cannot be truncated.
    pub fn rewind(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.state.truncate_torn()?;
        self.upload.truncate(bytes)
    }

    /// Removes the content after the last [`save`](PartialUpload::save), when it cannot be saved: its client will send it
    /// again, and it would keep a full disk full until then. An error changes nothing for that client.
    pub fn remove_unsaved(&mut self) {
        if !self.is_removed && self.bytes_written() != self.saved.offset {
            let _ = self.rewind(self.saved.offset);
        }
    }

    /// Publishes the content as [`Upload::commit`] does, with `annotation`. The inner result is that of the commit. The
    /// upload has ended even if it is an error; [`EndedUpload::save`] then records the response to the client.
    ///
    /// `note` is as that of [`save`](PartialUpload::save), for a caller that continues the upload because the file was not
    /// published.
    ///
    /// # Errors
    /// Nothing was published, and the upload has not ended: see [`Uncommitted`].
    #[allow(clippy::type_complexity, reason = "two results, each with one meaning")]
    pub fn commit(
        mut self,
        mode: UploadMode,
        unix_ns: u64,
        note: &[u8],
        annotation: Option<Vec<u8>>,
        condition: impl Fn(Option<&Metadata>) -> bool,
    ) -> Result<(Result<Published, StorageError>, EndedUpload<F>), Uncommitted<F>> {
        let modified_ns = match self.record_publication(unix_ns, note) {
            Ok(modified_ns) => modified_ns,
            Err(error) => {
                let is_saved = self.save(note).is_ok();
                let upload = (!self.is_removed).then(|| Box::new(self));
                return Err(Uncommitted { error, upload, is_saved });
            }
        };
        let PartialUpload { mut upload, state, place, creation, saved, .. } = self;
        let bytes = upload.bytes_written();
        upload.set_mode(mode);
        if let Some(annotation) = annotation {
            upload.annotate(annotation);
        }
        upload.keep_on_drop(false);
        let published = match upload.commit_modified(modified_ns, condition) {
            Err(CommitError::Unflushed(error)) => {
                remove_state(&state);
                return Err(Uncommitted { error, upload: None, is_saved: false });
            }
            // A file server may report an error although it has done what it was asked for. If that is unknown now, `find`
            // will see it: the record of the publication stays the last one.
            Err(CommitError::Unnamed(error, mut upload)) if error.may_pass() && !upload.has_name().unwrap_or(false) => {
                upload.keep_on_drop(true);
                let upload = PartialUpload {
                    upload: *upload,
                    state,
                    place,
                    creation,
                    saved,
                    found: None,
                    is_torn: false,
                    is_removed: false,
                };
                return Err(Uncommitted { error, upload: Some(Box::new(upload)), is_saved: true });
            }
            published => published.map_err(StorageError::from),
        };
        state.root.pending_uploads().remove(&state.name);
        Ok((published, EndedUpload { state, bytes }))
    }

    /// Sets the modification time of the content, and records that it is about to be published.
    fn record_publication(&mut self, unix_ns: u64, note: &[u8]) -> Result<u64, StorageError> {
        self.truncate_torn()?;
        let modified_ns = self.upload.set_modified(unix_ns)?;
        let Metadata { inode, modified_ns: stored_ns, .. } = self.upload.content_metadata()?;
        self.record(Event::Publishing { inode, modified_ns: stored_ns }, note.to_vec(), self.flushed_boot_id())?;
        Ok(modified_ns)
    }

    /// Removes the upload and its state file.
    pub fn discard(mut self) {
        self.remove();
    }

    fn remove(&mut self) {
        self.is_removed = true;
        self.upload.keep_on_drop(false);
        remove_state(&self.state);
    }
}

fn remove_state<F: FileSystem>(state: &StateFile<F>) {
    remove(&state.root, &state.parent, &state.name);
    state.root.pending_uploads().remove(&state.name);
}
