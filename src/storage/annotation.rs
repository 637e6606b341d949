//! Annotations: a few bytes that are stored with a version of a file, as an extended attribute.
//!
//! The attribute begins with the length and the modification time of the content that it describes. If another program
//! changes the file, the attribute remains, but these no longer match, so that it is ignored.

use super::Metadata;
use super::file_system::FileSystem;
use super::retry::retry_on_intr;

/// The longest attribute, in bytes. A longer one was not written by this server.
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// Stores `annotation` with `file`, whose metadata is `metadata`. An error is only logged: without an annotation the
/// file is complete, so that a file system without attributes, or without space for one, is no reason to refuse the
/// upload.
pub(super) fn write<F: FileSystem>(file_system: &F, file: &F::File, metadata: &Metadata, annotation: &[u8]) {
    let attribute = [version_of(metadata).as_bytes(), annotation].concat();
    if attribute.len() <= ATTRIBUTE_BYTES_MAX
        && let Err(errno) = retry_on_intr(|| file_system.set_attribute(file, &attribute))
    {
        log::debug!("the digest of an upload cannot be stored: {errno}");
    }
}

/// The annotation of `file`, whose metadata is `metadata`; `None` if it has none, or that of another version.
pub(super) fn read<F: FileSystem>(file_system: &F, file: &F::File, metadata: &Metadata) -> Option<Vec<u8>> {
    let mut attribute = [0; ATTRIBUTE_BYTES_MAX];
    let bytes = retry_on_intr(|| file_system.attribute(file, &mut attribute)).ok()?;
    let annotation = attribute.get(..bytes)?.strip_prefix(version_of(metadata).as_bytes())?;
    Some(annotation.to_vec())
}

fn version_of(metadata: &Metadata) -> String {
    format!("{} {}\n", metadata.size_bytes, metadata.modified_ns)
}
