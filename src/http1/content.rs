//! The decoders of content (RFC 9112 §6.2 and §7.1). They are handed bytes and hand back counts, and copy nothing.

use super::field_section::FieldSectionParser;
use super::framing::Framing;
use super::grammar::{self, QDTEXT, TCHAR};
use super::limits::{CHUNK_OVERHEAD_BYTES_FREE, CHUNK_SIZE_DIGITS_MAX};
use super::protocol_error::ProtocolError;

/// What the bytes handed to [`ContentDecoder::decode`] are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// So many bytes at the start are framing, to be skipped.
    pub skip: usize,
    /// So many behind them are content.
    pub content: usize,
    /// Whether the content has ended behind those.
    pub end: bool,
}

/// Decodes the content of one request.
#[derive(Clone, Debug)]
pub enum ContentDecoder {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
}

impl ContentDecoder {
    /// A decoder for content framed so.
    pub fn new(framing: Framing) -> ContentDecoder {
        match framing {
            Framing::Length(bytes) => ContentDecoder::Length(bytes),
            Framing::Chunked => ContentDecoder::Chunked(Chunked::default()),
        }
    }

    /// Reads on in `bytes`, which follow `skip + content` bytes of the call before. A result that skips nothing, has
    /// no content and no end asks for more bytes.
    ///
    /// # Errors
    /// The first protocol error in the order of the bytes; the decoder is of no use afterwards.
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
}

/// Where in the chunked coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Among the digits of a chunk's size.
    Size,
    /// In white space behind the size: an extension must follow.
    BehindSize,
    /// Behind an extension's semicolon.
    BeforeExtensionName,
    ExtensionName,
    BehindExtensionName,
    /// Behind an extension's equals sign.
    BeforeExtensionValue,
    ExtensionToken,
    ExtensionQuoted,
    /// Behind a backslash in a quoted string.
    ExtensionEscaped,
    /// In white space behind a value: another extension must follow. Behind a quoted string, also the end of the line.
    BehindExtensionValue,
    ExtensionQuotedEnd,
    /// Behind the CR that ends a chunk's size and extensions.
    SizeLineFeed,
    Data,
    /// Behind a chunk's data.
    DataCarriageReturn,
    DataLineFeed,
    Trailers,
}

/// The decoder of the chunked transfer coding.
#[derive(Clone, Debug)]
pub struct Chunked {
    place: Place,
    /// Digits read of the size.
    digits: u8,
    /// The size of the chunk; in its data, what is left of it.
    size: u64,
    /// Bytes of content so far.
    content: u64,
    /// Bytes of extensions and leading zeros so far.
    overhead: u64,
    trailers: FieldSectionParser,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked {
            place: Place::Size,
            digits: 0,
            size: 0,
            content: 0,
            overhead: 0,
            trailers: FieldSectionParser::default(),
        }
    }
}

impl Chunked {
    fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, ProtocolError> {
        let mut skip = 0;
        while let Some(&byte) = bytes.get(skip) {
            match self.place {
                Place::Data => {
                    let content = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - skip);
                    self.size -= content as u64;
                    self.content = self.content.saturating_add(content as u64);
                    if self.size == 0 {
                        self.place = Place::DataCarriageReturn;
                    }
                    return Ok(Decoded { skip, content, end: false });
                }
                Place::Trailers => {
                    let advance = self.trailers.advance(&bytes[skip..], |_discarded| ())?;
                    skip += advance.bytes;
                    return Ok(Decoded { skip, content: 0, end: advance.complete });
                }
                Place::Size => self.read_size(byte)?,
                Place::SizeLineFeed => self.read_size_line_feed(byte)?,
                Place::DataCarriageReturn => {
                    self.place = expect(byte, b'\r', Place::DataLineFeed, ProtocolError::ChunkEndInvalid)?;
                }
                Place::DataLineFeed => {
                    self.place = expect(byte, b'\n', Place::Size, ProtocolError::ChunkEndInvalid)?;
                    self.digits = 0;
                }
                _ => self.read_extension(byte)?,
            }
            skip += 1;
        }
        Ok(Decoded { skip, content: 0, end: false })
    }

    fn read_size(&mut self, byte: u8) -> Result<(), ProtocolError> {
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
            return Ok(());
        }
        if self.digits == 0 {
            return Err(ProtocolError::ChunkSizeInvalid);
        }
        self.place = match byte {
            b'\r' => Place::SizeLineFeed,
            b';' => Place::BeforeExtensionName,
            b' ' | b'\t' => Place::BehindSize,
            b'\n' => return Err(ProtocolError::LineEndInvalid),
            _ => return Err(ProtocolError::ChunkSizeInvalid),
        };
        if byte == b'\r' { Ok(()) } else { self.count_overhead() }
    }

    fn read_size_line_feed(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let behind = if self.size == 0 { Place::Trailers } else { Place::Data };
        self.place = expect(byte, b'\n', behind, ProtocolError::LineEndInvalid)?;
        Ok(())
    }

    /// chunk-ext (RFC 9112 §7.1.1): `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
    fn read_extension(&mut self, byte: u8) -> Result<(), ProtocolError> {
        use Place as P;
        let is_white_space = matches!(byte, b' ' | b'\t');
        let is_token_byte = grammar::is(byte, TCHAR);
        self.place = match (self.place, byte) {
            (P::BehindSize, _) if is_white_space => P::BehindSize,
            (P::BehindSize, b';') => P::BeforeExtensionName,
            (P::BehindSize, _) => return Err(ProtocolError::ChunkSizeInvalid),

            (P::BeforeExtensionName, _) if is_white_space => P::BeforeExtensionName,
            (P::BeforeExtensionName | P::ExtensionName, _) if is_token_byte => P::ExtensionName,

            (P::ExtensionName | P::BehindExtensionName, _) if is_white_space => P::BehindExtensionName,
            (P::ExtensionName | P::BehindExtensionName, b'=') => P::BeforeExtensionValue,
            (P::ExtensionName | P::BehindExtensionName, b';') => P::BeforeExtensionName,
            (P::ExtensionName, b'\r') => P::SizeLineFeed,

            (P::BeforeExtensionValue, _) if is_white_space => P::BeforeExtensionValue,
            (P::BeforeExtensionValue, b'"') => P::ExtensionQuoted,
            (P::BeforeExtensionValue | P::ExtensionToken, _) if is_token_byte => P::ExtensionToken,

            (P::ExtensionQuoted, b'"') => P::ExtensionQuotedEnd,
            (P::ExtensionQuoted, b'\\') => P::ExtensionEscaped,
            (P::ExtensionQuoted, _) if grammar::is(byte, QDTEXT) => P::ExtensionQuoted,
            (P::ExtensionEscaped, _) if grammar::is(byte, grammar::FIELD_CONTENT) => P::ExtensionQuoted,

            (P::ExtensionToken | P::ExtensionQuotedEnd | P::BehindExtensionValue, b';') => P::BeforeExtensionName,
            (P::ExtensionToken | P::ExtensionQuotedEnd | P::BehindExtensionValue, _) if is_white_space => {
                P::BehindExtensionValue
            }
            (P::ExtensionToken | P::ExtensionQuotedEnd, b'\r') => P::SizeLineFeed,

            _ => return Err(ProtocolError::ChunkExtensionInvalid),
        };
        self.count_overhead()
    }

    /// One more byte that is neither content nor needed to frame it.
    fn count_overhead(&mut self) -> Result<(), ProtocolError> {
        self.overhead += 1;
        if self.overhead > CHUNK_OVERHEAD_BYTES_FREE && self.overhead > self.content {
            return Err(ProtocolError::ChunkOverheadTooLarge);
        }
        Ok(())
    }
}

fn expect(byte: u8, expected: u8, then: Place, error: ProtocolError) -> Result<Place, ProtocolError> {
    if byte == expected { Ok(then) } else { Err(error) }
}
