//! The content of a file, as the driver transmits it.

use crate::semantics::service::{Piece, Source};
use crate::storage::FileRange;

/// A range of a file, to be sent.
#[derive(Debug)]
pub struct FileContent {
    range: FileRange,
}

impl FileContent {
    /// What `range` holds.
    pub fn new(range: FileRange) -> FileContent {
        FileContent { range }
    }
}

impl Source for FileContent {
    type File = FileRange;

    fn octets_left(&self) -> u64 {
        self.range.remaining()
    }

    fn piece(&self) -> Piece<'_, FileRange> {
        Piece::File(&self.range)
    }

    fn advance(&mut self, octets: u64) {
        self.range.advance(octets);
    }
}
