//! Decoders of content (RFC 9112 §6.2 and §7.1). They return counts of bytes, and copy nothing but a trailer section
//! that is needed.

use super::field_section::FieldSectionParser;
use super::framing::Framing;
use super::grammar::{self, FIELD_CONTENT};
use super::limits::{CHUNK_OVERHEAD_BYTES_FREE, CHUNK_SIZE_DIGITS_MAX};
use super::protocol_error::ProtocolError;
use crate::semantics::fields::{FieldName, FieldSpan, FieldSpans, Fields};

/// What the first bytes passed to [`ContentDecoder::decode`] are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes at the start are framing, to be skipped.
    pub skip: usize,
    /// How many bytes after those are content.
    pub content: usize,
    /// Whether the content ends after those.
    pub end: bool,
}

/// Decodes the content of one request.
#[derive(Clone, Debug)]
pub enum ContentDecoder {
    /// Content of known length: how many bytes of it are still to come.
    Length(u64),
    /// Content in the chunked transfer coding.
    Chunked(ChunkedDecoder),
}

impl ContentDecoder {
    /// A decoder at the start of content.
    pub fn new(framing: Framing) -> ContentDecoder {
        match framing {
            Framing::Length(bytes) => ContentDecoder::Length(bytes),
            Framing::Chunked => ContentDecoder::Chunked(ChunkedDecoder::default()),
        }
    }

    /// Decodes `bytes`, which follow the `skip + content` bytes that the previous call returned. Returns
    /// `Decoded::default()` if it needs more bytes.
    ///
    /// # Errors
    /// The first protocol error in `bytes`. The decoder must not be used after an error.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, ProtocolError> {
        match self {
            ContentDecoder::Length(left) => {
                let content = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= content as u64;
                Ok(Decoded { skip: 0, content, end: *left == 0 })
            }
            ContentDecoder::Chunked(chunked) => chunked.decode(bytes),
        }
    }

    /// Keeps the trailer section for [`trailers`](ContentDecoder::trailers); by default it is only validated. To be
    /// called before the first [`decode`](ContentDecoder::decode).
    pub fn keep_trailers(&mut self) {
        if let ContentDecoder::Chunked(chunked) = self {
            chunked.kept = Some(Box::default());
        }
    }

    /// The trailer section, once the content has ended; `None` if it was not kept.
    pub fn trailers(&mut self) -> Option<Fields<'_>> {
        match self {
            ContentDecoder::Chunked(ChunkedDecoder { kept: Some(kept), .. }) => Some(kept.fields()),
            ContentDecoder::Chunked(_) | ContentDecoder::Length(_) => None,
        }
    }
}

/// A copy of the trailer section, and the positions of its field lines.
#[derive(Clone, Debug, Default)]
struct KeptTrailers {
    bytes: Vec<u8>,
    lines: Vec<FieldSpan>,
    spans: FieldSpans,
}

impl KeptTrailers {
    fn fields(&mut self) -> Fields<'_> {
        for mut line in self.lines.drain(..) {
            line.name = FieldName::from_bytes(&self.bytes[usize::from(line.name_start)..usize::from(line.name_end)]);
            self.spans.push(line);
        }
        Fields::new(&self.bytes, &self.spans)
    }
}

/// What the next byte of the chunked coding is, in the order of the grammar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A digit of a chunk's size, or what ends the size.
    #[default]
    Size,
    /// White space after the size, or the semicolon that must follow it.
    AfterSize,
    /// A chunk extension, outside of a quoted string.
    Extension,
    /// A quoted string in a chunk extension.
    Quoted,
    /// The byte after a backslash in a quoted string.
    Escaped,
    /// The LF after the size and the extensions.
    SizeLineFeed,
    Data,
    /// The CR after a chunk's data.
    DataCarriageReturn,
    DataLineFeed,
    Trailers,
}

/// Decodes the chunked transfer coding.
#[derive(Clone, Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// How many digits of the size have been read.
    digits: u8,
    /// The size of the chunk; within its data, how many bytes of it are still to come.
    size: u64,
    /// Bytes of content so far.
    content: u64,
    /// Bytes of extensions and leading zeros so far.
    overhead: u64,
    trailers: FieldSectionParser,
    /// The trailer section, if it is to be kept. Boxed, because it rarely is.
    kept: Option<Box<KeptTrailers>>,
}

impl ChunkedDecoder {
    fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, ProtocolError> {
        let mut skip = 0;
        while let Some(&byte) = bytes.get(skip) {
            self.state = match self.state {
                State::Size => self.read_size(byte)?,
                State::AfterSize | State::Extension | State::Quoted | State::Escaped => self.read_extension(byte)?,
                State::SizeLineFeed => {
                    let next = if self.size == 0 { State::Trailers } else { State::Data };
                    expect(byte, b'\n', next, ProtocolError::LineEndInvalid)?
                }
                State::Data => {
                    let content = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - skip);
                    self.size -= content as u64;
                    self.content = self.content.saturating_add(content as u64);
                    if self.size == 0 {
                        self.state = State::DataCarriageReturn;
                    }
                    return Ok(Decoded { skip, content, end: false });
                }
                State::DataCarriageReturn => expect(byte, b'\r', State::DataLineFeed, ProtocolError::ChunkEndInvalid)?,
                State::DataLineFeed => {
                    self.digits = 0;
                    expect(byte, b'\n', State::Size, ProtocolError::ChunkEndInvalid)?
                }
                State::Trailers => {
                    let kept = &mut self.kept;
                    let line = |line| kept.as_mut().map_or((), |kept| kept.lines.push(line));
                    let advance = self.trailers.advance(&bytes[skip..], line)?;
                    if let Some(kept) = &mut self.kept {
                        kept.bytes.extend_from_slice(&bytes[skip..skip + advance.bytes]);
                    }
                    return Ok(Decoded { skip: skip + advance.bytes, content: 0, end: advance.complete });
                }
            };
            skip += 1;
        }
        Ok(Decoded { skip, content: 0, end: false })
    }

    fn read_size(&mut self, byte: u8) -> Result<State, ProtocolError> {
        if let Some(digit) = grammar::hex_digit(byte) {
            if self.digits == CHUNK_SIZE_DIGITS_MAX {
                return Err(ProtocolError::ChunkSizeInvalid);
            }
            if self.digits > 0 && self.size == 0 {
                self.count_overhead()?;
            }
            // 16 digits of 4 bits fit the 64.
            self.size = self.size << 4 | u64::from(digit);
            self.digits += 1;
            return Ok(State::Size);
        }
        if self.digits == 0 {
            return Err(ProtocolError::ChunkSizeInvalid);
        }
        match byte {
            b'\r' => Ok(State::SizeLineFeed),
            b'\n' => Err(ProtocolError::LineEndInvalid),
            _ => self.read_after_size(byte),
        }
    }

    fn read_after_size(&mut self, byte: u8) -> Result<State, ProtocolError> {
        let state = match byte {
            b' ' | b'\t' => State::AfterSize,
            b';' => State::Extension,
            _ => return Err(ProtocolError::ChunkSizeInvalid),
        };
        self.count_overhead()?;
        Ok(state)
    }

    /// Skips the chunk extensions (RFC 9112 §7.1.1):
    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
    ///
    /// Since they are ignored, their grammar is checked only as far as it decides where the line ends: they contain no
    /// control character, and a quoted string ends before the line does. Readers that disagree about where a chunk
    /// begins could be used to smuggle a request.
    fn read_extension(&mut self, byte: u8) -> Result<State, ProtocolError> {
        let state = match (self.state, byte) {
            (State::AfterSize, _) => return self.read_after_size(byte),
            (State::Extension, b'\r') => State::SizeLineFeed,
            _ if !grammar::is(byte, FIELD_CONTENT) => return Err(ProtocolError::ChunkExtensionInvalid),
            (State::Extension, b'"') => State::Quoted,
            (State::Quoted, b'"') => State::Extension,
            (State::Quoted, b'\\') => State::Escaped,
            (State::Escaped, _) => State::Quoted,
            (state, _) => state,
        };
        self.count_overhead()?;
        Ok(state)
    }

    /// Counts a byte that is neither content nor necessary to frame it, and refuses too many of them (RFC 9112 §7.1.1).
    fn count_overhead(&mut self) -> Result<(), ProtocolError> {
        self.overhead += 1;
        if self.overhead > CHUNK_OVERHEAD_BYTES_FREE && self.overhead > self.content {
            return Err(ProtocolError::ChunkOverheadTooLarge);
        }
        Ok(())
    }
}

fn expect(byte: u8, expected: u8, next: State, error: ProtocolError) -> Result<State, ProtocolError> {
    if byte == expected { Ok(next) } else { Err(error) }
}
