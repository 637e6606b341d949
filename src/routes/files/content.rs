//! The content of a file, as the driver transmits it: one range of it, or several as parts.

use super::multipart::Parts;
use crate::semantics::service::{Piece, Source};
use crate::storage::FileRange;

/// Content that comes from a file. It is never in memory, however long it is.
#[derive(Debug)]
pub enum FileContent {
    /// One range.
    Range(FileRange),
    /// Several. Boxed, since that is rare, and each connection has room for one content.
    Parts(Box<Parts>),
}

impl Source for FileContent {
    type File = FileRange;

    fn octets_left(&self) -> u64 {
        match self {
            FileContent::Range(range) => range.remaining(),
            FileContent::Parts(parts) => parts.octets_left(),
        }
    }

    fn piece(&self) -> Piece<'_, FileRange> {
        match self {
            FileContent::Range(range) => Piece::File(range),
            FileContent::Parts(parts) => parts.piece(),
        }
    }

    fn advance(&mut self, octets: u64) {
        match self {
            FileContent::Range(range) => range.advance(octets),
            FileContent::Parts(parts) => parts.advance(octets),
        }
    }
}
