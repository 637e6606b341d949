//! The decoder of chunked content. The input is what follows a head, see [`expand`].
//!
//! 1. No input makes it panic.
//! 2. The same octets have the same content in every cut, end at the same octet, and are refused for the same reason.
//! 3. What is accepted here is what a second, plainer decoder accepts, which reads line by line and not octet by octet.
//! 4. `httparse` reads the same size in the first line of all that is accepted.

use spindle::http1::content::{ContentDecoder, Decoded};
use spindle::http1::framing::Framing;
use spindle::http1::limits::{CHUNK_OVERHEAD_OCTETS_FREE, FIELD_LINES_MAX, FIELD_SECTION_OCTETS_MAX};
use spindle::http1::offence::Offence;

use super::expand::expand;

/// Enough to go past every limit of the coding twice.
const STREAM_OCTETS_MAX: usize = 160 * 1024;

/// What became of the octets.
#[derive(Clone, Debug, PartialEq)]
enum Reading {
    /// More are needed.
    Partial,
    /// The content has ended, and so many octets were its own.
    Ended(usize),
    Refused(Offence),
}

/// Runs the target.
pub fn run(input: &[u8]) {
    let stream = expand(input, STREAM_OCTETS_MAX);
    let (whole, content) = read(&stream, [stream.len()]);

    let by_octet = read(&stream, std::iter::repeat_n(1, stream.len()));
    assert_eq!(by_octet.0, whole, "content that comes octet by octet ends like content that comes whole");
    let uneven = input.iter().cycle().map(|octet| 1 + usize::from(octet & 0x1f));
    let in_pieces = read(&stream, uneven);
    assert_eq!(in_pieces.0, whole, "content that comes in pieces ends like content that comes whole");
    assert!(by_octet.1 == content && in_pieces.1 == content, "the content is the same in every cut");

    a_plainer_decoder_agrees(&stream, &whole, &content);
    if let Reading::Ended(octets) = whole {
        httparse_reads_the_same_size(&stream);
        let (at_once, _) = read(&stream[..octets], [octets]);
        assert_eq!(at_once, whole, "octets behind the end change nothing");
        let (before, _) = read(&stream[..octets - 1], [octets - 1]);
        assert_eq!(before, Reading::Partial, "content ends with its last octet and not before");
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
                Err(offence) => return (Reading::Refused(offence), content),
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
    let digits = stream.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    let text = str::from_utf8(&stream[..digits]).expect("digits");
    let size = u64::from_str_radix(text, 16).expect("an accepted size is a number of at most 64 bits");
    let theirs = httparse::parse_chunk_size(stream);
    assert!(
        matches!(theirs, Ok(httparse::Status::Complete((_, their_size))) if their_size == size),
        "httparse reads the same size: {theirs:?}"
    );
}

/// What the second decoder makes of the octets.
#[derive(Debug, PartialEq)]
enum Plain {
    Partial,
    Ended(usize, Vec<u8>),
    Malformed,
}

fn a_plainer_decoder_agrees(stream: &[u8], ours: &Reading, content: &[u8]) {
    let plain = decode_plainly(stream);
    match ours {
        Reading::Ended(octets) => {
            assert_eq!(plain, Plain::Ended(*octets, content.to_vec()), "what is accepted is what the grammar says");
        }
        Reading::Partial => assert_eq!(plain, Plain::Partial, "what may yet be well-formed is waited for"),
        Reading::Refused(Offence::ChunkOverheadTooLarge) => {
            let framing_octets = (stream.len() - content.len()) as u64;
            assert!(framing_octets > CHUNK_OVERHEAD_OCTETS_FREE, "a modest overhead is never too much");
        }
        Reading::Refused(Offence::FieldSectionTooLarge) => {
            assert!(stream.len() - content.len() > FIELD_SECTION_OCTETS_MAX, "modest trailers are never too large");
        }
        Reading::Refused(Offence::FieldLinesTooMany) => {
            let line_feeds = stream.iter().filter(|octet| **octet == b'\n').count();
            assert!(line_feeds > FIELD_LINES_MAX, "few trailers are never too many");
        }
        // A fault is found at the octet that makes it; the plainer decoder waits for the end of the line.
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

/// The octets before the first CRLF and those behind it.
fn split_line(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = octets.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&octets[..end], &octets[end + 2..]))
}

fn is_token_octet(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet)
}

fn is_text_octet(octet: &u8) -> bool {
    matches!(octet, b'\t' | b' '..=b'~' | 0x80..)
}

fn is_field_line(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|octet| *octet == b':') else { return false };
    colon > 0 && line[..colon].iter().all(is_token_octet) && line[colon + 1..].iter().all(is_text_octet)
}

/// The size in a line `1*HEXDIG chunk-ext`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
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

fn skip_white_space(octets: &[u8]) -> &[u8] {
    &octets[octets.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count()..]
}

fn skip_token(octets: &[u8]) -> Option<&[u8]> {
    let end = octets.iter().take_while(|octet| is_token_octet(octet)).count();
    (end > 0).then(|| &octets[end..])
}

fn skip_quoted_string(octets: &[u8]) -> Option<&[u8]> {
    let mut rest = octets.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', escaped, behind @ ..] if is_text_octet(escaped) => behind,
            [b'\\', ..] => return None,
            [octet, behind @ ..] if is_text_octet(octet) => behind,
            _ => return None,
        };
    }
}
