//! Which version of which file it is.

/// One version of one file, as the system reported it. Two equal identities mean the same bytes, as far as a stat can
/// tell: a file whose times are coarse may be written twice within one tick of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device that holds the file.
    pub device: u64,
    /// The file's number on its device.
    pub inode: u64,
    /// The size of the content, in bytes.
    pub bytes: u64,
    /// When the content was last modified: nanoseconds since 1970, negative before.
    pub modified_ns: i128,
    /// When the file or its names were last changed: nanoseconds since 1970, negative before.
    pub changed_ns: i128,
}

impl Identity {
    /// The device and the number on it: what a file is called, whatever its name.
    pub(super) fn file_number(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether both are versions of one file.
    pub(super) fn is_of_same_file(&self, other: &Identity) -> bool {
        self.file_number() == other.file_number()
    }
}
