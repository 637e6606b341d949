//! The decoder of chunked content. The input is what follows a head, see [`expand`].
//!
//! 1. No input makes it panic.
//! 2. The same bytes have the same content in every cut, end at the same byte, and are refused for the same reason.
//! 3. What is accepted here is what a second, plainer decoder accepts, which reads line by line and not byte by byte.
//! 4. `httparse` reads the same size in the first line of all that is accepted.

use spindle::http1::content::{ContentDecoder, Decoded};
use spindle::http1::framing::Framing;
use spindle::http1::limits::{CHUNK_OVERHEAD_BYTES_FREE, FIELD_LINES_MAX, FIELD_SECTION_BYTES_MAX};
use spindle::http1::protocol_error::ProtocolError;

use super::expand::expand;

/// Enough to go past every limit of the coding twice.
const STREAM_BYTES_MAX: usize = 160 * 1024;

/// What became of the bytes.
#[derive(Clone, Debug, PartialEq)]
enum Reading {
    /// More are needed.
    Partial,
    /// The content has ended, and so many bytes were its own.
    Ended(usize),
    Refused(ProtocolError),
}

/// Runs the target.
pub fn run(input: &[u8]) {
    let stream = expand(input, STREAM_BYTES_MAX);
    let (whole, content) = read(&stream, [stream.len()]);

    let by_byte = read(&stream, std::iter::repeat_n(1, stream.len()));
    assert_eq!(by_byte.0, whole, "content that comes byte by byte ends like content that comes whole");
    let uneven = input.iter().cycle().map(|byte| 1 + usize::from(byte & 0x1f));
    let in_pieces = read(&stream, uneven);
    assert_eq!(in_pieces.0, whole, "content that comes in pieces ends like content that comes whole");
    assert!(by_byte.1 == content && in_pieces.1 == content, "the content is the same in every cut");

    a_plainer_decoder_agrees(&stream, &whole, &content);
    if let Reading::Ended(bytes) = whole {
        httparse_reads_the_same_size(&stream);
        let (at_once, _) = read(&stream[..bytes], [bytes]);
        assert_eq!(at_once, whole, "bytes behind the end change nothing");
        let (before, _) = read(&stream[..bytes - 1], [bytes - 1]);
        assert_eq!(before, Reading::Partial, "content ends with its last byte and not before");
    }
}

/// Decodes `stream` as it comes in pieces of such sizes. Returns what became of it, and the content up to there.
fn read(stream: &[u8], sizes: impl IntoIterator<Item = usize>) -> (Reading, Vec<u8>) {
    let mut decoder = ContentDecoder::new(Framing::Chunked);
    let (mut start, mut end) = (0, 0);
    let mut content = Vec::new();
    for size in sizes {
        end = (end + size).min(stream.len());
        loop {
            let decoded = match decoder.decode(&stream[start..end]) {
                Ok(decoded) => decoded,
                Err(error) => return (Reading::Refused(error), content),
            };
            if decoded == Decoded::default() {
                break;
            }
            let content_start = start + decoded.skip;
            start = content_start + decoded.content;
            content.extend_from_slice(&stream[content_start..start]);
            if decoded.end {
                return (Reading::Ended(start), content);
            }
        }
        if end == stream.len() {
            break;
        }
    }
    assert_eq!(start, stream.len(), "a decoder that asks for more has used all it was given");
    (Reading::Partial, content)
}

fn httparse_reads_the_same_size(stream: &[u8]) {
    let digits = stream.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let text = str::from_utf8(&stream[..digits]).expect("digits");
    let size = u64::from_str_radix(text, 16).expect("an accepted size is a number of at most 64 bits");
    let theirs = httparse::parse_chunk_size(stream);
    assert!(
        matches!(theirs, Ok(httparse::Status::Complete((_, their_size))) if their_size == size),
        "httparse reads the same size: {theirs:?}"
    );
}

/// What the second decoder makes of the bytes.
#[derive(Debug, PartialEq)]
enum Plain {
    Partial,
    Ended(usize, Vec<u8>),
    Malformed,
}

fn a_plainer_decoder_agrees(stream: &[u8], ours: &Reading, content: &[u8]) {
    let plain = decode_plainly(stream);
    match ours {
        Reading::Ended(bytes) => {
            assert_eq!(plain, Plain::Ended(*bytes, content.to_vec()), "what is accepted is what the grammar says");
        }
        Reading::Partial => assert_eq!(plain, Plain::Partial, "what may yet be well-formed is waited for"),
        Reading::Refused(ProtocolError::ChunkOverheadTooLarge) => {
            let framing_bytes = (stream.len() - content.len()) as u64;
            assert!(framing_bytes > CHUNK_OVERHEAD_BYTES_FREE, "a modest overhead is never too much");
        }
        Reading::Refused(ProtocolError::FieldSectionTooLarge) => {
            assert!(stream.len() - content.len() > FIELD_SECTION_BYTES_MAX, "modest trailers are never too large");
        }
        Reading::Refused(ProtocolError::FieldLinesTooMany) => {
            let line_feeds = stream.iter().filter(|byte| **byte == b'\n').count();
            assert!(line_feeds > FIELD_LINES_MAX, "few trailers are never too many");
        }
        // A fault is found at the byte that makes it; the plainer decoder waits for the end of the line.
        Reading::Refused(_) => assert!(!matches!(plain, Plain::Ended(..)), "nothing well-formed is refused"),
    }
}

/// RFC 9112 §7.1, line by line, without any limit.
fn decode_plainly(stream: &[u8]) -> Plain {
    let mut content = Vec::new();
    let mut rest = stream;
    loop {
        let Some((line, behind)) = split_line(rest) else { return Plain::Partial };
        let Some(size) = chunk_size(line) else { return Plain::Malformed };
        rest = behind;
        if size == 0 {
            break;
        }
        let Some((data, behind)) = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size)) else {
            return Plain::Partial;
        };
        content.extend_from_slice(data);
        match behind {
            [] | [b'\r'] => return Plain::Partial,
            [b'\r', b'\n', behind @ ..] => rest = behind,
            _ => return Plain::Malformed,
        }
    }
    loop {
        let Some((line, behind)) = split_line(rest) else { return Plain::Partial };
        rest = behind;
        if line.is_empty() {
            return Plain::Ended(stream.len() - rest.len(), content);
        }
        if !is_field_line(line) {
            return Plain::Malformed;
        }
    }
}

/// The bytes before the first CRLF and those behind it.
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

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, from left to right.
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let [b';', behind @ ..] = skip_white_space(rest) else { return false };
        let Some(behind) = skip_token(skip_white_space(behind)) else { return false };
        rest = behind;
        if let [b'=', value @ ..] = skip_white_space(rest) {
            let value = skip_white_space(value);
            let behind = if value.starts_with(b"\"") { skip_quoted_string(value) } else { skip_token(value) };
            let Some(behind) = behind else { return false };
            rest = behind;
        }
    }
    true
}

fn skip_white_space(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..]
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take_while(|byte| is_token_byte(byte)).count();
    (end > 0).then(|| &bytes[end..])
}

fn skip_quoted_string(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', escaped, behind @ ..] if is_text_byte(escaped) => behind,
            [b'\\', ..] => return None,
            [byte, behind @ ..] if is_text_byte(byte) => behind,
            _ => return None,
        };
    }
}
