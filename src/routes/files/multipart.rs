//! Several ranges of a file as multipart/byteranges (RFC 9110 §14.6). The head of a part is made just before the part
//! is sent, and the file is never in memory.

use std::collections::VecDeque;

use crate::semantics::range::ByteRange;
use crate::semantics::service::Piece;
use crate::storage::{FileRange, FileSystem, Native};

/// The content of a response with several ranges, as far as it is still to be sent.
#[derive(Debug)]
pub struct Parts<F: FileSystem = Native> {
    /// The length of the whole file.
    bytes_total: u64,
    boundary: u64,
    /// The media type of the file, and so of each part.
    media_type: Box<str>,
    /// The text that is being sent: the head of a part, or the last boundary.
    text: Vec<u8>,
    text_sent: usize,
    /// The range of the file that follows the text.
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
            // The cast is exact: `bytes` is at most the length of the piece in memory.
            self.text_sent = self.text.len().min(self.text_sent + bytes as usize);
            return;
        }
        debug_assert!(self.range.is_some() || bytes == 0, "more bytes were sent than remained");
        if let Some(range) = &mut self.range {
            range.advance(bytes);
            if range.is_empty() {
                self.begin_next(false);
            }
        }
    }

    fn begin_next(&mut self, is_first: bool) {
        self.text_sent = 0;
        (self.text, self.range) = match self.remaining.pop_front() {
            Some((range, of_file)) => (self.head(&range, is_first), Some(of_file)),
            None => (self.last_boundary(), None),
        };
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
