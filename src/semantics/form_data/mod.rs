//! A parser of forms that contain files: multipart/form-data (RFC 7578), whose syntax is that of RFC 2046 §5.1.
//!
//! It is a push parser: the caller passes bytes as they arrive, however they are split, and gets events. The content of
//! a part is returned as slices of the caller's bytes. If they end in what may be the beginning of a boundary, the
//! parser only counts those bytes, since they are the same as the first bytes of the boundary. So it never copies
//! content. It copies the header of a part, which is short.
//!
//! The parser repairs nothing. In particular, every line that begins with the boundary ends the content before it, as
//! RFC 2046 §5.1.1 requires, and such a line with anything after the boundary is an error: the content before it may be
//! incomplete.

mod part_head;

use std::ops::Range;

use memchr::memmem::Finder;

pub use self::part_head::{FileName, PartHead};
use self::part_head::{parameters, parse_part_head};

/// The longest boundary, in characters (RFC 2046 §5.1.1).
pub const BOUNDARY_BYTES_MAX: usize = 70;

/// The longest header of a part, in bytes, with its empty line. A browser sends three fields, of which the name of the
/// file is the longest: at most 255 bytes on most systems, and three times as many in encoded form.
pub const PART_HEAD_BYTES_MAX: usize = 8 * 1024;

/// The most parts of a form. Each may cost a file, and a line of the report, which is in memory until it has been sent.
pub const PARTS_MAX: usize = 1000;

/// The longest part without the name of a file, in bytes. Such fields are ignored here. A client that sends a longer one
/// probably means a file, and must not believe that it was stored.
pub const FIELD_BYTES_MAX: usize = 64 * 1024;

/// Why a form is malformed, or is not accepted. Parts whose end was reported before the error are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// The Content-Type has no boundary, an invalid one, or two.
    BoundaryInvalid,
    /// Something follows a boundary on its line.
    BoundaryLineMalformed,
    /// The header of a part is longer than [`PART_HEAD_BYTES_MAX`].
    PartHeadTooLarge,
    /// The header of a part is malformed.
    PartHeadMalformed,
    /// A part has no Content-Disposition, two, or another one than `form-data`.
    DispositionInvalid,
    /// A part without the name of a file is longer than [`FIELD_BYTES_MAX`].
    FieldTooLong,
    /// There are more than [`PARTS_MAX`] parts.
    PartsTooMany,
    /// The last boundary is missing.
    Incomplete,
}

impl FormError {
    /// One line that says what is wrong.
    pub fn reason(self) -> &'static str {
        match self {
            FormError::BoundaryInvalid => "The Content-Type of the form has no valid boundary.",
            FormError::BoundaryLineMalformed => "Something follows a boundary of the form on its line.",
            FormError::PartHeadTooLarge => "The header of a part of the form is too long.",
            FormError::PartHeadMalformed => "The header of a part of the form is malformed.",
            FormError::DispositionInvalid => "A part of the form has no valid Content-Disposition.",
            FormError::FieldTooLong => "A field of the form that is not a file is too long.",
            FormError::PartsTooMany => "The form has too many parts.",
            FormError::Incomplete => "The form ends before its last boundary.",
        }
    }
}

/// What the parser has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part begins.
    Part(PartHead),
    /// The next bytes of the part's content, at least one.
    Content(&'a [u8]),
    /// The part is complete.
    PartEnd,
}

/// Parses one form.
#[derive(Debug)]
pub struct FormParser {
    /// Searches for the delimiter: CRLF, two hyphens and the boundary.
    delimiter: Finder<'static>,
    state: State,
    /// The header of the current part so far, after the CRLF of the boundary's line.
    head: Vec<u8>,
    /// How many parts have begun. If none has, the content is the preamble.
    parts: usize,
    /// The length of the current part so far, if it has no name of a file.
    field_bytes: Option<usize>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The preamble or the content of a part. The last bytes before were the first `matched` of the delimiter. If no
    /// delimiter follows, they are content, except for the first `skipped` of them: the CRLF at the end of a part's
    /// header is not content, although the delimiter may begin with it.
    Content { matched: usize, skipped: usize },
    /// The rest of a line that begins with the boundary.
    BoundaryLine(BoundaryLine),
    /// The header of a part.
    Head,
    /// What follows the last boundary. It is ignored.
    Epilogue,
}

/// The last byte of a boundary's line.
#[derive(Clone, Copy, Debug)]
enum BoundaryLine {
    Boundary,
    Hyphen,
    Padding,
    CarriageReturn,
}

/// What the parser has found in the input. Unlike [`Event`], it does not borrow the parser.
enum Found<'a> {
    Nothing,
    Part(PartHead),
    Content(&'a [u8]),
    /// This part of the delimiter has proved to be content.
    DelimiterBytes(Range<usize>),
    PartEnd,
}

const CRLF: &[u8] = b"\r\n";

/// What ends the header of a part. The first CRLF may be that of the boundary's line.
const HEAD_END: &[u8] = b"\r\n\r\n";

impl FormParser {
    /// A parser of a form with this Content-Type.
    ///
    /// # Errors
    /// [`FormError::BoundaryInvalid`].
    pub fn new(content_type: &[u8]) -> Result<FormParser, FormError> {
        let boundary = boundary_of(content_type).ok_or(FormError::BoundaryInvalid)?;
        Ok(FormParser {
            delimiter: Finder::new(&[b"\r\n--", &*boundary].concat()).into_owned(),
            // The first boundary need not follow a line.
            state: State::Content { matched: CRLF.len(), skipped: CRLF.len() },
            head: Vec::new(),
            parts: 0,
            field_bytes: None,
        })
    }

    /// Returns the next event in `input`, and removes the bytes up to it; `None` if all bytes have been removed.
    ///
    /// # Errors
    /// The form is malformed. The parser must not be used after an error.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, FormError> {
        while !input.is_empty() {
            let found = match self.state {
                State::Content { matched, skipped } => self.content(matched, skipped, input),
                State::BoundaryLine(last) => self.boundary_line(last, input)?,
                State::Head => self.part_head(input)?,
                State::Epilogue => {
                    *input = &[];
                    Found::Nothing
                }
            };
            let content_bytes = match &found {
                Found::Content(content) => content.len(),
                Found::DelimiterBytes(range) => range.len(),
                Found::Nothing | Found::Part(_) | Found::PartEnd => 0,
            };
            if let Some(bytes) = &mut self.field_bytes {
                *bytes += content_bytes;
                if *bytes > FIELD_BYTES_MAX {
                    return Err(FormError::FieldTooLong);
                }
            }
            return Ok(Some(match found {
                // The content of the preamble is ignored.
                Found::Content(_) | Found::DelimiterBytes(_) if self.parts == 0 => continue,
                Found::Nothing => continue,
                Found::Part(head) => Event::Part(head),
                Found::Content(content) => Event::Content(content),
                Found::DelimiterBytes(range) => Event::Content(&self.delimiter.needle()[range]),
                Found::PartEnd => Event::PartEnd,
            }));
        }
        Ok(None)
    }

    /// To be called when all bytes have been parsed.
    ///
    /// # Errors
    /// [`FormError::Incomplete`] if the last boundary has not been found.
    pub fn finish(&self) -> Result<(), FormError> {
        match self.state {
            State::Epilogue => Ok(()),
            State::Content { .. } | State::BoundaryLine(_) | State::Head => Err(FormError::Incomplete),
        }
    }

    /// Searches for the next delimiter. Its only CR is its first byte, so that no other beginning of the delimiter can
    /// be within bytes that match it.
    fn content<'a>(&mut self, matched: usize, skipped: usize, input: &mut &'a [u8]) -> Found<'a> {
        let delimiter = self.delimiter.needle();
        if matched > 0 {
            let rest = &delimiter[matched..];
            let bytes = rest.iter().zip(*input).take_while(|(expected, byte)| expected == byte).count();
            if bytes < rest.len() && bytes < input.len() {
                self.state = State::Content { matched: 0, skipped: 0 };
                return if skipped < matched { Found::DelimiterBytes(skipped..matched) } else { Found::Nothing };
            }
            *input = &input[bytes..];
            self.state = match bytes == rest.len() {
                true => State::BoundaryLine(BoundaryLine::Boundary),
                false => State::Content { matched: matched + bytes, skipped },
            };
            return Found::Nothing;
        }
        let (content, held_back, after) = match self.delimiter.find(input) {
            Some(at) => (&input[..at], delimiter.len(), &input[at + delimiter.len()..]),
            None => {
                let held_back = beginning_at_end(delimiter, input);
                (&input[..input.len() - held_back], held_back, &[][..])
            }
        };
        *input = after;
        self.state = match held_back == delimiter.len() {
            true => State::BoundaryLine(BoundaryLine::Boundary),
            false => State::Content { matched: held_back, skipped: 0 },
        };
        if content.is_empty() { Found::Nothing } else { Found::Content(content) }
    }

    /// Parses a byte after a boundary: two hyphens after the last one, otherwise white space and CRLF.
    fn boundary_line<'a>(&mut self, last: BoundaryLine, input: &mut &'a [u8]) -> Result<Found<'a>, FormError> {
        let Some((byte, rest)) = input.split_first() else { return Ok(Found::Nothing) };
        *input = rest;
        self.state = match (last, byte) {
            (BoundaryLine::Boundary, b'-') => State::BoundaryLine(BoundaryLine::Hyphen),
            (BoundaryLine::Hyphen, b'-') => State::Epilogue,
            (BoundaryLine::Boundary | BoundaryLine::Padding, b' ' | b'\t') => {
                State::BoundaryLine(BoundaryLine::Padding)
            }
            (BoundaryLine::Boundary | BoundaryLine::Padding, b'\r') => {
                State::BoundaryLine(BoundaryLine::CarriageReturn)
            }
            (BoundaryLine::CarriageReturn, b'\n') => State::Head,
            _ => return Err(FormError::BoundaryLineMalformed),
        };
        // Only now: before the line was complete, it could have been an error.
        Ok(match self.state {
            State::Head | State::Epilogue if self.parts > 0 => Found::PartEnd,
            _ => Found::Nothing,
        })
    }

    /// Copies the next line of a part's header, and parses the header after its last line.
    fn part_head<'a>(&mut self, input: &mut &'a [u8]) -> Result<Found<'a>, FormError> {
        if self.head.is_empty() {
            if self.parts == PARTS_MAX {
                return Err(FormError::PartsTooMany);
            }
            self.parts += 1;
            self.head.extend_from_slice(CRLF);
        }
        let line_bytes = memchr::memchr(b'\n', input).map_or(input.len(), |at| at + 1);
        if self.head.len() - CRLF.len() + line_bytes > PART_HEAD_BYTES_MAX {
            return Err(FormError::PartHeadTooLarge);
        }
        let (line, rest) = input.split_at(line_bytes);
        self.head.extend_from_slice(line);
        *input = rest;
        if !self.head.ends_with(HEAD_END) {
            return Ok(Found::Nothing);
        }
        // The boundary without the CRLF before it.
        let boundary = &self.delimiter.needle()[CRLF.len()..];
        let lines = &self.head[CRLF.len()..self.head.len() - CRLF.len()];
        let head = parse_part_head(lines, boundary)?;
        self.field_bytes = (head.file_name == FileName::Absent).then_some(0);
        self.head.clear();
        self.state = State::Content { matched: CRLF.len(), skipped: CRLF.len() };
        Ok(Found::Part(head))
    }
}

/// How many bytes at the end of `bytes` are a beginning of the delimiter, whose only CR is its first byte. `bytes` does
/// not contain the whole delimiter.
fn beginning_at_end(delimiter: &[u8], bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(delimiter.len() - 1)..];
    match memchr::memrchr(b'\r', end) {
        Some(at) if delimiter.starts_with(&end[at..]) => end.len() - at,
        Some(_) | None => 0,
    }
}

/// The boundary that a Content-Type states; `None` if it states none, an invalid one, or two.
///
/// A boundary that is not quoted may have any character of a boundary but a space. Many of them are not allowed in a
/// token, but clients send them, and they leave no doubt.
fn boundary_of(content_type: &[u8]) -> Option<Vec<u8>> {
    let (_, parameters) = parameters(content_type)?;
    let mut boundaries = parameters.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"boundary"));
    let (_, boundary) = boundaries.next()?;
    let is_valid = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && boundary.iter().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte))
        && !boundary.ends_with(b" ");
    (is_valid && boundaries.next().is_none()).then(|| boundary.into_owned())
}

#[cfg(test)]
mod tests;
