//! Parser of a field section (RFC 9112 §5): field lines up to an empty line. A head has one, and so does the end of
//! chunked content (the trailer section).
//!
//! The parser can stop and resume at any byte. It reports an error at the byte that causes it, so that the first error
//! in the stream is the one reported, however the bytes were cut into reads.

use super::grammar::{self, TCHAR};
use super::limits::{FIELD_LINES_MAX, FIELD_SECTION_BYTES_MAX};
use super::protocol_error::ProtocolError;
use crate::semantics::fields::FieldSpan;

/// What the next byte belongs to, in the order of the grammar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The first byte of a field line, or of the empty line that ends the section.
    #[default]
    LineStart,
    Name,
    /// White space between the colon and the value.
    BeforeValue,
    /// The value, and white space after it.
    Value,
    /// The LF of a field line.
    LineFeed,
    /// The LF of the empty line.
    LastLineFeed,
}

/// Parses one section. Offsets are counted from the section's first byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldSectionParser {
    state: State,
    lines: u8,
    bytes: u16,
    /// The current line, as far as it has been parsed. Its name is not looked up here.
    line: FieldSpan,
}

/// How far one call of [`FieldSectionParser::advance`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// How many of the given bytes belong to the section and have been parsed.
    pub bytes: usize,
    /// Whether the section ended with them.
    pub complete: bool,
}

const _: () = assert!(FIELD_LINES_MAX <= u8::MAX as usize);
const _: () = assert!(FIELD_SECTION_BYTES_MAX <= u16::MAX as usize);

impl FieldSectionParser {
    /// How many bytes have been parsed.
    pub fn bytes(&self) -> usize {
        usize::from(self.bytes)
    }

    /// Parses `bytes`, which continue where the previous call's ended. Passes each complete field line to `line`; the
    /// name of the span is [`FieldName::Other`](crate::semantics::fields::FieldName::Other) and has yet to be looked
    /// up.
    ///
    /// # Errors
    /// The first protocol error in `bytes`. The parser must not be used after an error.
    pub fn advance(&mut self, bytes: &[u8], mut line: impl FnMut(FieldSpan)) -> Result<Advance, ProtocolError> {
        let bytes_before = self.bytes();
        let bytes_left = FIELD_SECTION_BYTES_MAX - bytes_before;
        let complete = self.parse(&bytes[..bytes.len().min(bytes_left)], &mut line)?;
        if !complete && bytes.len() > bytes_left {
            return Err(ProtocolError::FieldSectionTooLarge);
        }
        Ok(Advance { bytes: self.bytes() - bytes_before, complete })
    }

    /// Returns whether the section is complete. If not, all of `window` has been parsed.
    #[inline]
    fn parse(&mut self, window: &[u8], line_complete: &mut impl FnMut(FieldSpan)) -> Result<bool, ProtocolError> {
        // The window ends within the section's limit, so that its offsets fit 16 bits.
        let bytes_before = self.bytes;
        let offset = |at: usize| bytes_before + at as u16;
        // Local copies, which the compiler keeps in registers.
        let FieldSectionParser { mut state, mut line, .. } = *self;
        let mut at = 0;
        // Each round parses a line, or what the window has of it.
        loop {
            if state == State::LineStart {
                let Some(&first) = window.get(at) else { break };
                state = self.begin_line(first)?;
                line.name_start = offset(at);
                at += usize::from(state == State::LastLineFeed);
            }
            if state == State::Name {
                at += grammar::run(&window[at..], TCHAR);
                let Some(&stop) = window.get(at) else { break };
                line.name_end = offset(at);
                check_name_end(stop, line.name_end == line.name_start)?;
                at += 1;
                state = State::BeforeValue;
            }
            if state == State::BeforeValue {
                while window.get(at).is_some_and(is_white_space) {
                    at += 1;
                }
                if at == window.len() {
                    break;
                }
                (line.value_start, line.value_end) = (offset(at), offset(at));
                state = State::Value;
            }
            if state == State::Value {
                let value = &window[at..at + grammar::run_of_field_content(&window[at..])];
                let trailing = value.iter().rev().take_while(|byte| is_white_space(byte)).count();
                // White space at the end of one window may be followed by more of the value in the next.
                if trailing < value.len() {
                    line.value_end = offset(at + value.len() - trailing);
                }
                at += value.len();
                let Some(&stop) = window.get(at) else { break };
                check_value_end(stop)?;
                at += 1;
                state = State::LineFeed;
            }
            let Some(&byte) = window.get(at) else { break };
            check_line_feed(byte)?;
            at += 1;
            if state == State::LastLineFeed {
                self.bytes = offset(at);
                return Ok(true);
            }
            self.lines += 1;
            line_complete(line);
            state = State::LineStart;
        }
        (self.state, self.line, self.bytes) = (state, line, offset(window.len()));
        Ok(false)
    }

    /// The state after the first byte of a line.
    fn begin_line(&self, byte: u8) -> Result<State, ProtocolError> {
        match byte {
            b'\r' => Ok(State::LastLineFeed),
            b'\n' => Err(ProtocolError::LineEndInvalid),
            // obs-fold (RFC 9112 §5.2), or white space before the first line (§2.2).
            b' ' | b'\t' => Err(ProtocolError::FieldLineIndented),
            _ if usize::from(self.lines) == FIELD_LINES_MAX => Err(ProtocolError::FieldLinesTooMany),
            _ => Ok(State::Name),
        }
    }
}

fn is_white_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
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

fn check_line_feed(byte: u8) -> Result<(), ProtocolError> {
    if byte == b'\n' { Ok(()) } else { Err(ProtocolError::LineEndInvalid) }
}
