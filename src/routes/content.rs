//! Content that the driver sends piece by piece: of a file one range, or several as parts; or a folder's listing or archive.

use super::files::Parts;
use super::folder::{Archive, Listing};
use crate::semantics::service::{FilePiece, Piece, Source, SourceFailed};
use crate::storage::FileRange;

/// Content that is never in memory as a whole, however long it is. What is larger than a range is boxed, since it is rarer,
/// and each connection has room for one content.
pub enum FileContent {
    /// One range of a file.
    Range(FileRange),
    /// Several.
    Parts(Box<Parts>),
    /// What a directory holds.
    Listing(Box<Listing>),
    /// A directory with all that is in it.
    Archive(Box<Archive>),
}

impl Source for FileContent {
    type File = FileRange;

    fn bytes_left(&self) -> Option<u64> {
        match self {
            FileContent::Range(range) => Some(range.remaining()),
            FileContent::Parts(parts) => Some(parts.bytes_left()),
            FileContent::Listing(_) | FileContent::Archive(_) => None,
        }
    }

    fn piece(&mut self) -> Result<Option<Piece<'_, FileRange>>, SourceFailed> {
        Ok(match self {
            FileContent::Range(range) if range.is_empty() => None,
            FileContent::Range(range) => Some(Piece::File(range)),
            FileContent::Parts(parts) => Some(parts.piece()),
            FileContent::Listing(listing) => return listing.piece(),
            FileContent::Archive(archive) => return archive.piece(),
        })
    }

    fn advance(&mut self, bytes: u64) {
        match self {
            FileContent::Range(range) => range.advance(bytes),
            FileContent::Parts(parts) => parts.advance(bytes),
            FileContent::Listing(listing) => listing.advance(bytes),
            FileContent::Archive(archive) => archive.advance(bytes),
        }
    }
}

impl FilePiece for FileRange {
    fn bytes_left(&self) -> u64 {
        self.remaining()
    }
}
