//! What is left of a resumable upload that has ended: its state file, which is kept for a client that did not get the
//! response.

use super::commit::flush_published;
use super::directory::{ExistingEntry, Root};
use super::state_file::{FoundState, ReadState, StateFile, find_state, remove};
use super::temporary_file::TemporaryName;
use super::upload_id::UploadId;
use super::upload_state::{Event, Record};
use super::{FileSystem, FoundUpload, Native, RelativePath, StorageError};

/// The state file of an upload that has ended. It is kept for a client that did not get the response.
#[derive(Debug)]
pub struct EndedUpload<F: FileSystem = Native> {
    pub(super) state: StateFile<F>,
    /// The length of its content.
    pub(super) bytes: u64,
}

impl<F: FileSystem> EndedUpload<F> {
    pub(super) fn forget(root: &Root<F>, id: UploadId, path: &RelativePath) {
        let (_, state_name) = id.names();
        if let Ok(Some(found)) = find_state(root, path, &state_name, false) {
            remove(root, &found.ancestor.directory, &state_name);
        }
    }

    /// Records the response to the client, so that it can be sent again to a client that did not get it.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn save(mut self, note: &[u8]) -> Result<(), StorageError> {
        let boot_id = if self.state.durable { None } else { self.state.root.boot_id() };
        self.state.append(&Record { event: Event::Published, offset: self.bytes, boot_id, note: note.to_vec() })
    }
}

/// Handles a state file without a content file: the upload has ended, or another process has removed its content.
pub(super) fn ended<F: FileSystem>(
    root: &Root<F>,
    path: &RelativePath,
    state_name: &TemporaryName,
    found: FoundState<F>,
    durable: bool,
) -> Result<FoundUpload<F>, StorageError> {
    let FoundState { ancestor, file: ReadState { state, modified_ns }, creation } = found;
    let last = state.last;
    let bytes = last.offset;
    let existing = match root.existing_below(&ancestor, path)? {
        ExistingEntry::File(metadata) => Some(metadata),
        _ => None,
    };
    let (note, metadata) = match last.event {
        Event::Published => (Some(last.note), existing),
        // Inode numbers are used again, but no two uploads have the same modification time.
        Event::Publishing { inode, modified_ns } => {
            let metadata = existing.filter(|existing| {
                (existing.inode, existing.modified_ns, existing.size_bytes) == (inode, modified_ns, bytes)
            });
            if metadata.is_none() {
                return Err(StorageError::NotFound);
            }
            if durable {
                flush_published(root, path)?;
            }
            (None, metadata)
        }
        Event::Created | Event::Progress => return Err(StorageError::NotFound),
    };
    root.pending_uploads().remove(state_name);
    let lifetime_ns = root.expiry().left_ns(modified_ns);
    Ok(FoundUpload::Ended { creation, bytes, note, metadata, lifetime_ns })
}
