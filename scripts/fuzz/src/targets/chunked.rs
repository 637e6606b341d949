//! The decoder of chunked content. The input is what follows a head, see [`expand`].
//!
//! 1. No input makes it panic.
//! 2. However the bytes are split, the content is the same, ends at the same byte, or is rejected for the same reason.
//! 3. A second, simpler decoder, which reads line by line instead of byte by byte, accepts the same content.
//! 4. `httparse` finds the same size in the first line of accepted content.

use spindle::http1::content::{ContentDecoder, Decoded};
use spindle::http1::framing::Framing;
use spindle::http1::limits::{CHUNK_OVERHEAD_BYTES_FREE, FIELD_LINES_MAX, FIELD_SECTION_BYTES_MAX};
use spindle::http1::protocol_error::ProtocolError;

use super::expand::expand;

/// More than twice every limit of the coding.
const STREAM_BYTES_MAX: usize = 160 * 1024;

/// The result of decoding.
#[derive(Clone, Debug, PartialEq)]
enum DecodeResult {
    /// More bytes are needed.
    Partial,
    /// The content, with its framing, has ended after so many bytes.
    Ended(usize),
    Rejected(ProtocolError),
}

/// Runs the target.
pub fn run(input: &[u8]) {
    let stream = expand(input, STREAM_BYTES_MAX);
    let (whole, content) = decode(&stream, [stream.len()]);

    let by_byte = decode(&stream, std::iter::repeat_n(1, stream.len()));
    assert_eq!(by_byte.0, whole, "content received byte by byte has the same result as content received at once");
    let uneven = input.iter().cycle().map(|byte| 1 + usize::from(byte & 0x1f));
    let in_pieces = decode(&stream, uneven);
    assert_eq!(in_pieces.0, whole, "content received in pieces has the same result as content received at once");
    assert!(by_byte.1 == content && in_pieces.1 == content, "the content is the same however it is split");

    assert_reference_decoder_agrees(&stream, &whole, &content);
    if let DecodeResult::Ended(bytes) = whole {
        assert_httparse_reads_the_same_size(&stream);
        let (at_once, _) = decode(&stream[..bytes], [bytes]);
        assert_eq!(at_once, whole, "bytes after the end have no effect");
        let (before, _) = decode(&stream[..bytes - 1], [bytes - 1]);
        assert_eq!(before, DecodeResult::Partial, "content ends with its last byte");
    }
}

/// Decodes `stream` in pieces of these sizes. Returns the result, and the content so far.
fn decode(stream: &[u8], sizes: impl IntoIterator<Item = usize>) -> (DecodeResult, Vec<u8>) {
    let mut decoder = ContentDecoder::new(Framing::Chunked);
    let (mut start, mut end) = (0, 0);
    let mut content = Vec::new();
    for size in sizes {
        end = (end + size).min(stream.len());
        loop {
            let decoded = match decoder.decode(&stream[start..end]) {
                Ok(decoded) => decoded,
                Err(error) => return (DecodeResult::Rejected(error), content),
            };
            if decoded == Decoded::default() {
                break;
            }
            let content_start = start + decoded.skip;
            start = content_start + decoded.content;
            content.extend_from_slice(&stream[content_start..start]);
            if decoded.end {
                return (DecodeResult::Ended(start), content);
            }
        }
        if end == stream.len() {
            break;
        }
    }
    assert_eq!(start, stream.len(), "a decoder that needs more bytes has consumed its input");
    (DecodeResult::Partial, content)
}

fn assert_httparse_reads_the_same_size(stream: &[u8]) {
    let digits = stream.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let text = str::from_utf8(&stream[..digits]).expect("digits");
    let size = u64::from_str_radix(text, 16).expect("an accepted size is a number of at most 64 bits");
    let theirs = httparse::parse_chunk_size(stream);
    assert!(
        matches!(theirs, Ok(httparse::Status::Complete((_, their_size))) if their_size == size),
        "httparse finds the same size: {theirs:?}"
    );
}

/// The result of the reference decoder.
#[derive(Debug, PartialEq)]
enum ReferenceResult {
    Partial,
    Ended(usize, Vec<u8>),
    Malformed,
}

fn assert_reference_decoder_agrees(stream: &[u8], ours: &DecodeResult, content: &[u8]) {
    let reference = decode_reference(stream);
    match ours {
        DecodeResult::Ended(bytes) => {
            assert_eq!(
                reference,
                ReferenceResult::Ended(*bytes, content.to_vec()),
                "the reference decoder finds the same content"
            );
        }
        DecodeResult::Partial => {
            assert_eq!(reference, ReferenceResult::Partial, "the reference decoder needs more bytes too")
        }
        DecodeResult::Rejected(ProtocolError::ChunkOverheadTooLarge) => {
            let framing_bytes = (stream.len() - content.len()) as u64;
            assert!(framing_bytes > CHUNK_OVERHEAD_BYTES_FREE, "the overhead is rejected only above its limit");
        }
        DecodeResult::Rejected(ProtocolError::FieldSectionTooLarge) => {
            assert!(
                stream.len() - content.len() > FIELD_SECTION_BYTES_MAX,
                "trailers are rejected only above the limit of a field section"
            );
        }
        DecodeResult::Rejected(ProtocolError::FieldLinesTooMany) => {
            let line_feeds = stream.iter().filter(|byte| **byte == b'\n').count();
            assert!(line_feeds > FIELD_LINES_MAX, "trailers are rejected only above the limit of field lines");
        }
        // The decoder finds an error at its byte, the reference decoder only at the end of the line.
        DecodeResult::Rejected(_) => {
            assert!(!matches!(reference, ReferenceResult::Ended(..)), "no well-formed content is rejected")
        }
    }
}

/// The reference decoder: RFC 9112 §7.1, line by line, without limits.
fn decode_reference(stream: &[u8]) -> ReferenceResult {
    let mut content = Vec::new();
    let mut rest = stream;
    loop {
        let Some((line, after)) = split_line(rest) else { return ReferenceResult::Partial };
        let Some(size) = chunk_size(line) else { return ReferenceResult::Malformed };
        rest = after;
        if size == 0 {
            break;
        }
        let Some((data, after)) = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size)) else {
            return ReferenceResult::Partial;
        };
        content.extend_from_slice(data);
        match after {
            [] | [b'\r'] => return ReferenceResult::Partial,
            [b'\r', b'\n', after @ ..] => rest = after,
            _ => return ReferenceResult::Malformed,
        }
    }
    loop {
        let Some((line, after)) = split_line(rest) else { return ReferenceResult::Partial };
        rest = after;
        if line.is_empty() {
            return ReferenceResult::Ended(stream.len() - rest.len(), content);
        }
        if !is_field_line(line) {
            return ReferenceResult::Malformed;
        }
    }
}

/// The bytes before the first CRLF, and the bytes after it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn is_text_byte(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn is_field_line(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    colon > 0 && line[..colon].iter().all(is_token_byte) && line[colon + 1..].iter().all(is_text_byte)
}

/// The size in a line `1*HEXDIG chunk-ext`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > 16 {
        return None;
    }
    let size = u64::from_str_radix(str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
    are_extensions(&line[digits..]).then_some(size)
}

/// Nothing, or white space, a semicolon, and text whose quoted strings are complete. The decoder ignores extensions,
/// and does not check the rest of their grammar.
fn are_extensions(rest: &[u8]) -> bool {
    if rest.is_empty() {
        return true;
    }
    let [b';', text @ ..] = skip_white_space(rest) else { return false };
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'"' => match skip_quoted_string(rest) {
                Some(after) => rest = after,
                None => return false,
            },
            _ if is_text_byte(byte) => rest = after,
            _ => return false,
        }
    }
    true
}

fn skip_white_space(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..]
}

fn skip_quoted_string(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', escaped, after @ ..] if is_text_byte(escaped) => after,
            [b'\\', ..] => return None,
            [byte, after @ ..] if is_text_byte(byte) => after,
            _ => return None,
        };
    }
}
