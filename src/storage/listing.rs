//! What a directory holds.

/// What kind an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name, as its bytes are on the disk.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: EntryKind,
    /// The length of a file's content.
    pub bytes: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub modified_ns: i128,
}
