//! What the system reports about a file.

use super::FileKind;

/// The device and the inode number of a file.
pub(super) type FileId = (u64, u64);

/// What `stat(2)` reported about a file. Equal values mean the same version of the same file, as far as a stat can
/// tell: on a file system with coarse timestamps, two writes within one tick may leave the same values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What kind of file it is.
    pub kind: FileKind,
    /// The device that contains the file (`st_dev`).
    pub device: u64,
    /// The file's number on its device (`st_ino`).
    pub inode: u64,
    /// The length of the content, in bytes (`st_size`).
    pub size_bytes: u64,
    /// When the content was last modified (`st_mtim`): nanoseconds since 1970, negative before.
    pub modified_ns: i128,
    /// When the content, the attributes or the names were last changed (`st_ctim`): nanoseconds since 1970, negative
    /// before.
    pub changed_ns: i128,
}

impl Metadata {
    /// The device and the inode number: they identify a file, whatever its names.
    pub(super) fn file_id(&self) -> FileId {
        (self.device, self.inode)
    }

    /// Whether both describe the same file, perhaps in different versions.
    pub(super) fn is_same_file(&self, other: &Metadata) -> bool {
        self.file_id() == other.file_id()
    }
}
