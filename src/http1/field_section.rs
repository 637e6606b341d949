//! A field section (RFC 9112 §5): field lines up to an empty one. Heads have one, and chunked content may end in one.
//!
//! The reader can stop and go on at any byte. A fault is reported as soon as the bytes
//! that make it are there, so that of two faults the one that ends first is the one that counts, however the bytes
//! were cut.

use super::grammar::{self, FIELD_CONTENT, TCHAR};
use super::limits::{FIELD_LINES_MAX, FIELD_SECTION_BYTES_MAX};
use super::protocol_error::ProtocolError;
use crate::semantics::fields::{FieldName, FieldSpan};

/// Where in a section the reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before a field line, or the empty line that ends the section.
    #[default]
    LineStart,
    Name,
    /// Behind the colon.
    BeforeValue,
    Value,
    /// Behind the CR of a field line.
    LineFeed,
    /// Behind the CR of the empty line.
    LastLineFeed,
}

/// Reads one section. Offsets are counted from the section's first byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldSectionParser {
    place: Place,
    lines: u8,
    bytes: u16,
    name_start: u16,
    name_end: u16,
    value_start: u16,
    value_end: u16,
}

/// How far one call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// How many of the given bytes belong to the section and have been read.
    pub bytes: usize,
    /// Whether the section ended with them.
    pub complete: bool,
}

const _: () = assert!(FIELD_LINES_MAX <= u8::MAX as usize);
const _: () = assert!(FIELD_SECTION_BYTES_MAX <= u16::MAX as usize);

impl FieldSectionParser {
    /// How many bytes have been read.
    pub fn bytes(&self) -> usize {
        usize::from(self.bytes)
    }

    /// Reads on in `bytes`, which follow the ones read before. Each line that ends is handed to `line`.
    ///
    /// # Errors
    /// The first protocol error in the order of the bytes; the reader is of no use afterwards.
    pub fn advance(&mut self, bytes: &[u8], mut line: impl FnMut(FieldSpan)) -> Result<Advance, ProtocolError> {
        let room = FIELD_SECTION_BYTES_MAX - usize::from(self.bytes);
        let window = &bytes[..bytes.len().min(room)];
        let mut reader = *self;
        let read = reader.read(window, &mut line);
        *self = reader;
        let complete = read?;
        let advanced = usize::from(self.bytes) + room - FIELD_SECTION_BYTES_MAX;
        if !complete && bytes.len() > room {
            return Err(ProtocolError::FieldSectionTooLarge);
        }
        Ok(Advance { bytes: advanced, complete })
    }

    /// Returns whether the section is complete; otherwise all of `window` has been read.
    #[inline]
    fn read(&mut self, window: &[u8], line: &mut impl FnMut(FieldSpan)) -> Result<bool, ProtocolError> {
        let base = self.bytes;
        // The window ends within the section's limit, so that its offsets fit.
        let offset = |at: usize| base + at as u16;
        let mut at = 0;
        if self.place == Place::LineStart {
            at = self.read_plain_lines(window, line);
        }
        while let Some(&byte) = window.get(at) {
            match self.place {
                Place::LineStart => {
                    self.place = self.begin_line(byte)?;
                    self.name_start = offset(at);
                    at += usize::from(self.place == Place::LastLineFeed);
                }
                Place::Name => {
                    at += grammar::run(&window[at..], TCHAR);
                    let Some(&stop) = window.get(at) else { break };
                    self.name_end = offset(at);
                    check_name_end(stop, self.name_end == self.name_start)?;
                    self.place = Place::BeforeValue;
                    at += 1;
                }
                Place::BeforeValue if matches!(byte, b' ' | b'\t') => at += 1,
                Place::BeforeValue => {
                    self.value_start = offset(at);
                    self.value_end = offset(at);
                    self.place = Place::Value;
                }
                Place::Value => {
                    let run = &window[at..at + grammar::run(&window[at..], FIELD_CONTENT)];
                    if let Some(last) = run.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')) {
                        self.value_end = offset(at + last + 1);
                    }
                    at += run.len();
                    let Some(&stop) = window.get(at) else { break };
                    check_value_end(stop)?;
                    self.place = Place::LineFeed;
                    at += 1;
                }
                Place::LineFeed | Place::LastLineFeed if byte != b'\n' => return Err(ProtocolError::LineEndInvalid),
                Place::LineFeed => {
                    self.lines += 1;
                    line(self.span());
                    self.place = Place::LineStart;
                    at += 1;
                }
                Place::LastLineFeed => {
                    self.bytes = offset(at + 1);
                    return Ok(true);
                }
            }
        }
        self.bytes = offset(window.len());
        Ok(false)
    }

    /// What the first byte of a line makes of it.
    fn begin_line(&self, byte: u8) -> Result<Place, ProtocolError> {
        match byte {
            b'\r' => Ok(Place::LastLineFeed),
            b'\n' => Err(ProtocolError::LineEndInvalid),
            b' ' | b'\t' => Err(ProtocolError::FieldLineIndented),
            _ if usize::from(self.lines) == FIELD_LINES_MAX => Err(ProtocolError::FieldLinesTooMany),
            _ => Ok(Place::Name),
        }
    }

    /// Reads lines that are whole and as they usually are, without a stop between their parts. Returns how many bytes
    /// they have; what follows them is for the places to judge.
    #[inline]
    fn read_plain_lines(&mut self, window: &[u8], line: &mut impl FnMut(FieldSpan)) -> usize {
        let mut at = 0;
        while usize::from(self.lines) < FIELD_LINES_MAX
            && let Some(plain) = PlainLine::read(&window[at..])
        {
            let offset = |bytes: usize| self.bytes + (at + bytes) as u16;
            line(FieldSpan {
                name: FieldName::Other,
                name_start: offset(0),
                name_end: offset(plain.name_end),
                value_start: offset(plain.value_start),
                value_end: offset(plain.value_end),
            });
            self.lines += 1;
            at += plain.value_end + b"\r\n".len();
        }
        at
    }

    /// The line that has just ended, its name not yet looked at.
    fn span(&self) -> FieldSpan {
        FieldSpan {
            name: FieldName::Other,
            name_start: self.name_start,
            name_end: self.name_end,
            value_start: self.value_start,
            value_end: self.value_end,
        }
    }
}

/// A field line with at most one space around its value, in front: nearly every one is like that.
struct PlainLine {
    name_end: usize,
    value_start: usize,
    value_end: usize,
}

impl PlainLine {
    #[inline]
    fn read(bytes: &[u8]) -> Option<PlainLine> {
        let name_end = grammar::run(bytes, TCHAR);
        let [b':', behind_colon @ ..] = &bytes[name_end..] else { return None };
        let value_start = name_end + 1 + usize::from(behind_colon.first() == Some(&b' '));
        let value_and_more = &bytes[value_start..];
        let (value, behind_value) = value_and_more.split_at(grammar::run_of_value(value_and_more));
        let has_space = matches!(value, [b' ', ..] | [.., b' ']);
        let is_plain = name_end > 0 && !has_space && behind_value.starts_with(b"\r\n");
        is_plain.then(|| PlainLine { name_end, value_start, value_end: value_start + value.len() })
    }
}

fn check_name_end(stop: u8, name_is_empty: bool) -> Result<(), ProtocolError> {
    match stop {
        b':' if name_is_empty => Err(ProtocolError::FieldNameEmpty),
        b':' => Ok(()),
        b' ' | b'\t' => Err(ProtocolError::SpaceBeforeColon),
        b'\r' | b'\n' => Err(ProtocolError::FieldColonMissing),
        _ => Err(ProtocolError::FieldNameInvalid),
    }
}

fn check_value_end(stop: u8) -> Result<(), ProtocolError> {
    match stop {
        b'\r' => Ok(()),
        b'\n' => Err(ProtocolError::LineEndInvalid),
        _ => Err(ProtocolError::FieldValueInvalid),
    }
}
