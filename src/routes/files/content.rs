//! The content of a file, as the driver transmits it: one range of it, or several as parts.

use super::multipart::Parts;
use crate::semantics::service::{FilePiece, Piece, Source, SourceFailed};
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

    fn bytes_left(&self) -> Option<u64> {
        Some(match self {
            FileContent::Range(range) => range.remaining(),
            FileContent::Parts(parts) => parts.bytes_left(),
        })
    }

    fn piece(&mut self) -> Result<Option<Piece<'_, FileRange>>, SourceFailed> {
        Ok(match self {
            FileContent::Range(range) if range.is_empty() => None,
            FileContent::Range(range) => Some(Piece::File(range)),
            FileContent::Parts(parts) => Some(parts.piece()),
        })
    }

    fn advance(&mut self, bytes: u64) {
        match self {
            FileContent::Range(range) => range.advance(bytes),
            FileContent::Parts(parts) => parts.advance(bytes),
        }
    }
}

impl FilePiece for FileRange {
    fn bytes_left(&self) -> u64 {
        self.remaining()
    }
}
