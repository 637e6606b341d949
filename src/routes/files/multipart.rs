//! Several ranges of a file as multipart/byteranges (RFC 9110 §14.6). The head of a part is made just before the part
//! is sent. A short range that can be read without waiting for the disk is sent together with the heads around it, which
//! saves two system calls and two packets. Others are sent from the file.

use std::collections::VecDeque;
use std::io;

use crate::semantics::range::ByteRange;
use crate::semantics::service::{Piece, SourceFailed};
use crate::storage::{FileRange, FileSystem, Native};

/// The longest range that is read, in bytes.
const SHORT_BYTES_MAX: u64 = 4 * 1024;

/// How many ranges are read for one piece, at most. It bounds the memory of a connection.
const READS_MAX: usize = 8;

/// The content of a response with several ranges, as far as it is still to be sent.
#[derive(Debug)]
pub struct Parts<F: FileSystem = Native> {
    /// The length of the whole file.
    bytes_total: u64,
    boundary: u64,
    /// The media type of the file, and so of each part.
    media_type: Box<str>,
    /// What is being sent from memory: heads of parts, ranges that were read, and the last boundary.
    text: Vec<u8>,
    text_sent: usize,
    /// The range that follows the text, sent from the file.
    range: Option<FileRange<F>>,
    /// The parts after that.
    remaining: VecDeque<(ByteRange, FileRange<F>)>,
    bytes_left: u64,
}

impl<F: FileSystem> Parts<F> {
    /// The `ranges` of `file`; `None` if one of them does not lie within it. `boundary` has to be a random number, a
    /// new one for each response.
    pub(super) fn new(file: &FileRange<F>, ranges: &[ByteRange], boundary: u64, media_type: &str) -> Option<Parts<F>> {
        let of_file = |range: &ByteRange| Some((*range, file.part(range.first, range.bytes())?));
        let mut parts = Parts {
            bytes_total: file.remaining(),
            boundary,
            media_type: media_type.into(),
            text: Vec::new(),
            text_sent: 0,
            range: None,
            remaining: ranges.iter().map(of_file).collect::<Option<_>>()?,
            bytes_left: 0,
        };
        // The heads are made only to add up their lengths. They are few and short, so it costs less to make them
        // again later than to keep them.
        let heads: usize = ranges.iter().enumerate().map(|(index, range)| parts.head(range, index == 0).len()).sum();
        let contents = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.bytes()));
        let texts = (heads + parts.last_boundary().len()) as u64;
        parts.bytes_left = contents.saturating_add(texts);
        Some(parts)
    }

    pub(super) fn media_type(&self) -> String {
        format!("multipart/byteranges; boundary={:016x}", self.boundary)
    }

    pub(in crate::routes) fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    /// As [`Source::piece`](crate::semantics::service::Source::piece).
    pub(in crate::routes) fn piece(&mut self) -> Result<Piece<'_, FileRange<F>>, SourceFailed> {
        if self.text_sent == self.text.len() && self.range.is_none() {
            self.prepare_next()?;
        }
        Ok(match &self.range {
            Some(range) if self.text_sent == self.text.len() => Piece::File(range),
            _ => Piece::Bytes(&self.text[self.text_sent..]),
        })
    }

    pub(in crate::routes) fn advance(&mut self, bytes: u64) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if self.text_sent < self.text.len() {
            // The cast is exact: `bytes` is at most the length of the piece in memory.
            self.text_sent = self.text.len().min(self.text_sent + bytes as usize);
            return;
        }
        debug_assert!(self.range.is_some() || bytes == 0, "more bytes were sent than remained");
        if let Some(range) = &mut self.range {
            range.advance(bytes);
            if range.is_empty() {
                self.range = None;
            }
        }
    }

    /// Makes the text that is sent next: parts up to a range that is sent from the file, or to the end.
    ///
    /// # Errors
    /// A range cannot be read. That is logged.
    fn prepare_next(&mut self) -> Result<(), SourceFailed> {
        // Only the first text of all follows none.
        let mut is_first = self.text.is_empty();
        self.text.clear();
        self.text_sent = 0;
        for _ in 0..READS_MAX {
            let Some((range, of_file)) = self.remaining.pop_front() else {
                let end = self.last_boundary();
                self.text.extend_from_slice(&end);
                return Ok(());
            };
            let head = self.head(&range, is_first);
            self.text.extend_from_slice(&head);
            is_first = false;
            let is_short = of_file.remaining() <= SHORT_BYTES_MAX;
            let is_read =
                is_short && of_file.append_if_in_memory(&mut self.text).map_err(|error| failed(&of_file, &error))?;
            if !is_read {
                self.range = Some(of_file);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The boundary before a part, and the fields of the part. The CRLF before a boundary belongs to the boundary,
    /// and the first boundary needs none (RFC 2046 §5.1.1).
    fn head(&self, range: &ByteRange, is_first: bool) -> Vec<u8> {
        let (line_end, boundary, total) = (if is_first { "" } else { "\r\n" }, self.boundary, self.bytes_total);
        let ByteRange { first, last } = range;
        let media_type = &self.media_type;
        format!(
            "{line_end}--{boundary:016x}\r\n\
             Content-Type: {media_type}\r\n\
             Content-Range: bytes {first}-{last}/{total}\r\n\r\n"
        )
        .into_bytes()
    }

    fn last_boundary(&self) -> Vec<u8> {
        format!("\r\n--{:016x}--\r\n", self.boundary).into_bytes()
    }
}

fn failed<F: FileSystem>(range: &FileRange<F>, error: &io::Error) -> SourceFailed {
    log::error!("{range} cannot be sent: {error}");
    SourceFailed
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::{Directory, RelativePath};

    /// The parts of a file of 100 KB with a short range, a long one, and many short ones.
    fn parts(root: &std::path::Path) -> Parts {
        fs::write(root.join("name"), vec![7; 100_000]).unwrap();
        let path = RelativePath::from_segments(["name"]).unwrap();
        let file = FileRange::whole(Directory::open(root, 1).unwrap().open_file(&path).unwrap());
        let short = [ByteRange { first: 99_000, last: 99_999 }; READS_MAX + 1];
        let ranges = [&[short[0], ByteRange { first: 0, last: 50_000 }][..], &short].concat();
        Parts::new(&file, &ranges, 1, "text/plain").unwrap()
    }

    /// Sends everything. Returns how many pieces in memory and in the file that took.
    fn send(mut parts: Parts) -> (usize, usize) {
        let (mut in_memory, mut in_file) = (0, 0);
        while parts.bytes_left() > 0 {
            let bytes = match parts.piece().unwrap() {
                Piece::Bytes(text) => {
                    in_memory += 1;
                    text.len() as u64
                }
                Piece::File(range) => {
                    in_file += 1;
                    range.remaining()
                }
                Piece::Pending => panic!("content of known length is never pending"),
            };
            parts.advance(bytes);
        }
        (in_memory, in_file)
    }

    #[test]
    fn a_piece_contains_several_short_ranges_but_not_all() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(send(parts(root.path())), (3, 1));
    }

    /// Sending it fails, as that of longer ranges does.
    #[test]
    fn a_short_range_of_a_file_that_has_become_shorter_is_sent_from_the_file() {
        let root = tempfile::tempdir().unwrap();
        let parts = parts(root.path());
        fs::File::options().write(true).open(root.path().join("name")).unwrap().set_len(99_500).unwrap();
        assert_eq!(send(parts), (READS_MAX + 4, READS_MAX + 3));
    }
}
