//! Several ranges of a file as one content: multipart/byteranges (RFC 9110 §14.6). Each part's head is made when its
//! turn comes, and the file is never in memory.

use std::collections::VecDeque;

use crate::semantics::range::ByteRange;
use crate::semantics::service::Piece;
use crate::storage::{FileRange, FileSystem, Native};

/// What is left of the parts of one answer.
#[derive(Debug)]
pub struct Parts<F: FileSystem = Native> {
    /// Bytes of the whole file.
    bytes_total: u64,
    boundary: u64,
    /// Of the file, and so of each part.
    media_type: Box<str>,
    /// Bytes that come next: a part's head, or the last boundary.
    text: Vec<u8>,
    text_sent: usize,
    /// The file's bytes behind the text.
    range: Option<FileRange<F>>,
    /// The parts that have not been begun.
    waiting: VecDeque<(ByteRange, FileRange<F>)>,
    bytes_left: u64,
}

impl<F: FileSystem> Parts<F> {
    /// These `ranges` of `file`; `None` if one of them does not lie within it. `boundary` is to differ from answer to answer,
    /// at random.
    pub(super) fn new(file: &FileRange<F>, ranges: &[ByteRange], boundary: u64, media_type: &str) -> Option<Parts<F>> {
        let of_file = |range: &ByteRange| Some((*range, file.part(range.first, range.bytes())?));
        let mut parts = Parts {
            bytes_total: file.remaining(),
            boundary,
            media_type: media_type.into(),
            text: Vec::new(),
            text_sent: 0,
            range: None,
            waiting: ranges.iter().map(of_file).collect::<Option<_>>()?,
            bytes_left: 0,
        };
        // The heads are short and few: making them twice is cheaper than keeping them.
        let heads: usize = ranges.iter().enumerate().map(|(place, range)| parts.head(range, place == 0).len()).sum();
        let contents = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.bytes()));
        let texts = (heads + parts.last_boundary().len()) as u64;
        parts.bytes_left = contents.saturating_add(texts);
        parts.begin_next(true);
        Some(parts)
    }

    pub(super) fn media_type(&self) -> String {
        format!("multipart/byteranges; boundary={:016x}", self.boundary)
    }

    pub(in crate::routes) fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    pub(in crate::routes) fn piece(&self) -> Piece<'_, FileRange<F>> {
        match &self.range {
            Some(range) if self.text_sent == self.text.len() => Piece::File(range),
            _ => Piece::Bytes(&self.text[self.text_sent..]),
        }
    }

    pub(in crate::routes) fn advance(&mut self, bytes: u64) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if self.text_sent < self.text.len() {
            // No more than the piece had, whose length was a `usize`.
            self.text_sent = self.text.len().min(self.text_sent + bytes as usize);
            return;
        }
        debug_assert!(self.range.is_some() || bytes == 0, "more is sent than there was");
        if let Some(range) = &mut self.range {
            range.advance(bytes);
            if range.is_empty() {
                self.begin_next(false);
            }
        }
    }

    fn begin_next(&mut self, is_first: bool) {
        self.text_sent = 0;
        (self.text, self.range) = match self.waiting.pop_front() {
            Some((range, of_file)) => (self.head(&range, is_first), Some(of_file)),
            None => (self.last_boundary(), None),
        };
    }

    /// RFC 2046 §5.1.1: the CRLF before a boundary belongs to the boundary, and the first one needs none.
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
