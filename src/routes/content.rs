//! Content that the driver sends piece by piece: one range of a file, several ranges, a listing, an
//! archive, the page of a drop box, or the report about a form.

use super::files::Parts;
use super::folder::{Archive, Listing, Page, ReportContent};
use crate::semantics::Now;
use crate::semantics::service::{FilePiece, Piece, Source, SourceFailed};
use crate::storage::{FileRange, FileSystem, Native};

/// Content that is never in memory as a whole, however long it is.
///
/// Each connection has room for one such value, so the variants that are larger than a range are boxed. They are
/// rarer too.
pub enum FileContent<F: FileSystem = Native> {
    /// One range of a file.
    Range(FileRange<F>),
    /// Several ranges of a file, as multipart/byteranges.
    Parts(Box<Parts<F>>),
    /// The entries of a directory.
    Listing(Box<Listing<F>>),
    /// A directory with everything below it, as a tar archive.
    Archive(Box<Archive<F>>),
    /// The page of a drop box.
    Page(Page),
    /// What has become of the files of a form.
    Report(Box<ReportContent>),
}

impl<F: FileSystem> Source for FileContent<F> {
    type File = FileRange<F>;

    fn bytes_left(&self) -> Option<u64> {
        match self {
            FileContent::Range(range) => Some(range.remaining()),
            FileContent::Parts(parts) => Some(parts.bytes_left()),
            FileContent::Page(page) => Some(page.bytes_left()),
            FileContent::Listing(_) | FileContent::Archive(_) | FileContent::Report(_) => None,
        }
    }

    fn piece(&mut self) -> Result<Option<Piece<'_, FileRange<F>>>, SourceFailed> {
        Ok(match self {
            FileContent::Range(range) if range.is_empty() => None,
            FileContent::Range(range) => Some(Piece::File(range)),
            FileContent::Parts(parts) => Some(parts.piece()?),
            FileContent::Listing(listing) => return listing.piece(),
            FileContent::Archive(archive) => return archive.piece(),
            FileContent::Page(page) => page.piece().map(Piece::Bytes),
            FileContent::Report(report) => report.piece().map(Piece::Bytes),
        })
    }

    fn advance(&mut self, bytes: u64) {
        match self {
            FileContent::Range(range) => range.advance(bytes),
            FileContent::Parts(parts) => parts.advance(bytes),
            FileContent::Listing(listing) => listing.advance(bytes),
            FileContent::Archive(archive) => archive.advance(bytes),
            FileContent::Page(page) => page.advance(bytes),
            FileContent::Report(report) => report.advance(bytes),
        }
    }
}

impl<F: FileSystem> FilePiece for FileRange<F> {
    fn bytes_left(&self) -> u64 {
        self.remaining()
    }

    fn bytes_in_memory(&self, now: &Now) -> u64 {
        FileRange::bytes_in_memory(self, now.monotonic_ns)
    }
}
