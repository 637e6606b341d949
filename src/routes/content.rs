//! Content that the driver sends piece by piece: of a file one range, or several as parts; or a folder's listing or archive.

use super::files::Parts;
use super::folder::{Archive, Listing};
use crate::semantics::service::{FilePiece, Piece, Source, SourceFailed};
use crate::storage::{FileRange, FileSystem, Native};

/// Content that is never in memory as a whole, however long it is. What is larger than a range is boxed, since it is rarer,
/// and each connection has room for one content.
pub enum FileContent<F: FileSystem = Native> {
    /// One range of a file.
    Range(FileRange<F>),
    /// Several.
    Parts(Box<Parts<F>>),
    /// What a directory holds.
    Listing(Box<Listing<F>>),
    /// A directory with all that is in it.
    Archive(Box<Archive<F>>),
}

impl<F: FileSystem> Source for FileContent<F> {
    type File = FileRange<F>;

    fn bytes_left(&self) -> Option<u64> {
        match self {
            FileContent::Range(range) => Some(range.remaining()),
            FileContent::Parts(parts) => Some(parts.bytes_left()),
            FileContent::Listing(_) | FileContent::Archive(_) => None,
        }
    }

    fn piece(&mut self) -> Result<Option<Piece<'_, FileRange<F>>>, SourceFailed> {
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

impl<F: FileSystem> FilePiece for FileRange<F> {
    fn bytes_left(&self) -> u64 {
        self.remaining()
    }
}
