//! The head parser. The input is what a client sends, see [`expand`].
//!
//! 1. No input makes it panic.
//! 2. The same bytes have the same result however they are split, and the same byte decides it.
//! 3. `httparse` accepts each head that this parser accepts, and finds the same method, target and fields.
//! 4. The framing of an accepted head is the one that its fields define.
//! 5. Strict mode rejects all that is rejected without it. Besides, it rejects only a missing Host, and a target
//!    outside the URI grammar. Without strict mode, such a target contains only bytes that clients are known to send
//!    unencoded.

use spindle::http1::framing::Framing;
use spindle::http1::limits::{FIELD_LINES_MAX, RECEIVE_BUFFER_BYTES};
use spindle::http1::message_head::{HeadParser, RequestHead};
use spindle::http1::protocol_error::ProtocolError;
use spindle::http1::request_framing::RequestFraming;
use spindle::semantics::fields::{FieldName, FieldSpans};
use spindle::semantics::method::Method;
use spindle::semantics::request::{Target, Version};

use super::expand::expand;

/// The result of parsing.
#[derive(Debug, PartialEq)]
enum ParseResult {
    /// More bytes are needed.
    Partial,
    Complete(Head),
    Rejected(ProtocolError),
}

/// A copy of a head.
#[derive(Debug, PartialEq)]
struct Head {
    bytes: usize,
    method_and_target: Vec<u8>,
    /// Empty if the target has none.
    path_and_query: Vec<u8>,
    is_http10: bool,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    lenient: Result<FramingSummary, ProtocolError>,
    strict: Result<FramingSummary, ProtocolError>,
}

/// The parts of a [`RequestFraming`] that are compared: content, HEAD, and whether the client expects 100 Continue.
type FramingSummary = (Framing, bool, bool);

/// Runs the target.
pub fn run(input: &[u8]) {
    let stream = expand(input, RECEIVE_BUFFER_BYTES);
    let (whole, _) = parse(&stream, [stream.len()]);
    assert_same_when_split(&stream, &whole, input);
    if let ParseResult::Complete(head) = &whole {
        assert_httparse_agrees(&stream, head);
        assert_framing_matches_the_fields(head);
        assert_strict_adds_only_target_and_host_errors(head);
    }
}

/// Parses `stream` in pieces that end at the offsets `ends`. Returns the result, and the number of bytes that had been
/// received then.
fn parse(stream: &[u8], ends: impl IntoIterator<Item = usize>) -> (ParseResult, usize) {
    let mut spans = FieldSpans::with_capacity(FIELD_LINES_MAX);
    let mut parser = HeadParser::default();
    for end in ends {
        let input = &stream[..end];
        match parser.advance(input, &mut spans) {
            Ok(false) => {}
            Ok(true) => {
                let head = parser.complete(input, &spans);
                check_borrows(&head, input);
                return (ParseResult::Complete(copy(&head)), end);
            }
            Err(error) => return (ParseResult::Rejected(error), end),
        }
    }
    (ParseResult::Partial, stream.len())
}

fn assert_same_when_split(stream: &[u8], whole: &ParseResult, input: &[u8]) {
    let (by_byte, decided_at) = parse(stream, 1..=stream.len());
    assert_eq!(by_byte, *whole, "a head received byte by byte has the same result as one received at once");

    let mut end = 0;
    let uneven = input.iter().cycle().take(stream.len()).map(|byte| {
        end = (end + 1 + usize::from(byte & 0x1f)).min(stream.len());
        end
    });
    let (in_pieces, _) = parse(stream, uneven);
    assert_eq!(in_pieces, *whole, "a head received in pieces has the same result as one received at once");

    if by_byte != ParseResult::Partial {
        let (at_once, _) = parse(&stream[..decided_at], [decided_at]);
        assert_eq!(at_once, *whole, "bytes after the one that decides have no effect");
        let (before, _) = parse(&stream[..decided_at - 1], [decided_at - 1]);
        assert_eq!(before, ParseResult::Partial, "the result is open before the byte that decides");
    }
    if let ParseResult::Complete(head) = &by_byte {
        assert_eq!(head.bytes, decided_at, "a head is complete with its last byte");
    }
}

/// The parts that a head borrows must be at their positions in the input.
fn check_borrows(head: &RequestHead<'_>, input: &[u8]) {
    assert!(head.bytes <= input.len(), "a head ends within the input");
    assert!(input.starts_with(head.method_and_target), "method and target are borrowed unchanged");
    let target = head.method_and_target.splitn(2, |byte| *byte == b' ').nth(1).expect("a space before the target");
    match head.target {
        Target::Origin(path_and_query) => assert_eq!(path_and_query.as_bytes(), target),
        Target::Authority(authority) => assert_eq!(authority, target),
        Target::Absolute { authority, path_and_query } => {
            assert_eq!([&target[..b"http://".len()], authority, path_and_query.as_bytes()].concat(), target);
            assert!(!authority.is_empty(), "an absolute-form has an authority");
        }
        Target::Asterisk => assert_eq!(target, b"*"),
    }
}

fn copy(head: &RequestHead<'_>) -> Head {
    let framing = |strict| {
        RequestFraming::new(head, strict)
            .map(|framing| (framing.content, framing.method == Method::Head, framing.expects_continue))
    };
    let path_and_query = match head.target {
        Target::Origin(path_and_query) | Target::Absolute { path_and_query, .. } => path_and_query.as_bytes(),
        Target::Authority(_) | Target::Asterisk => b"",
    };
    Head {
        bytes: head.bytes,
        method_and_target: head.method_and_target.to_vec(),
        path_and_query: path_and_query.to_vec(),
        is_http10: head.version == Version::Http10,
        fields: head.fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        lenient: framing(false),
        strict: framing(true),
    }
}

fn assert_httparse_agrees(stream: &[u8], head: &Head) {
    let mut bytes = stream[..head.bytes].to_vec();
    // `HTTP/1.` and a digit: httparse accepts only 0 and 1. RFC 9110 §2.5 has higher minor versions treated as 1.
    let digit_at = head.method_and_target.len() + b" HTTP/1.".len();
    if bytes[digit_at] != b'0' {
        bytes[digit_at] = b'1';
    }
    let mut lines = [httparse::EMPTY_HEADER; FIELD_LINES_MAX];
    let mut theirs = httparse::Request::new(&mut lines);
    let status = theirs.parse(&bytes);
    assert_eq!(status, Ok(httparse::Status::Complete(head.bytes)), "httparse accepts the head too");

    let (Some(method), Some(target)) = (theirs.method, theirs.path) else { panic!("httparse found no request-line") };
    assert_eq!(format!("{method} {target}").as_bytes(), head.method_and_target, "httparse reads the same target");
    assert_eq!(theirs.version == Some(0), head.is_http10, "httparse reads the same version");
    let their_fields: Vec<_> =
        theirs.headers.iter().map(|line| (line.name.as_bytes().to_vec(), line.value.to_vec())).collect();
    assert_eq!(their_fields, head.fields, "httparse reads the same fields");
}

/// RFC 9112 §6.3 in reverse: from the framing to the fields that must have been sent.
fn assert_framing_matches_the_fields(head: &Head) {
    let values = |name: &str| -> Vec<&[u8]> {
        let lines = head.fields.iter().filter(|(line, _)| line.eq_ignore_ascii_case(name.as_bytes()));
        lines.map(|(_, value)| &value[..]).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match head.lenient {
        Ok((Framing::Chunked, ..)) => {
            assert!(!head.is_http10, "HTTP/1.0 has no chunked content");
            assert!(lengths.is_empty(), "chunked content has no Content-Length");
            assert!(
                matches!(codings[..], [coding] if coding.eq_ignore_ascii_case(b"chunked")),
                "chunked content has exactly one Transfer-Encoding, which is chunked"
            );
        }
        Ok((Framing::Length(bytes), ..)) => {
            assert!(codings.is_empty(), "content of known length has no Transfer-Encoding");
            match lengths[..] {
                [] => assert_eq!(bytes, 0, "without either field there is no content"),
                [digits] => {
                    assert!(
                        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
                        "a length contains only digits"
                    );
                    assert!(digits == b"0" || digits[0] != b'0', "a length has no leading zeros");
                    let text = str::from_utf8(digits).expect("digits");
                    assert_eq!(text.parse(), Ok(bytes), "the length is the number that was sent");
                }
                _ => panic!("content has one Content-Length"),
            }
        }
        Err(_) => {}
    }
    if let Ok((framing, _, true)) = head.lenient {
        assert_ne!(framing, Framing::Length(0), "a client waits for 100 Continue only before content");
    }
}

/// RFC 3986 §2 and §3: the bytes of a path and a query besides letters and digits.
const URI_PUNCTUATION: &[u8] = b"-._~!$&'()*+,;=:@/?%";

/// The bytes that clients send unencoded in a path and in a query.
const SENT_UNENCODED: &[u8] = b"[]|^{}`";

fn assert_strict_adds_only_target_and_host_errors(head: &Head) {
    let host_lines = head.fields.iter().filter(|(name, _)| FieldName::from_bytes(name) == FieldName::Host).count();
    let matches_grammar = head.path_and_query.iter().enumerate().all(|(at, byte)| {
        let is_query = head.path_and_query[..at].contains(&b'?');
        let is_sent_unencoded = SENT_UNENCODED.contains(byte) || *byte == b'\\' && is_query;
        let matches_grammar = byte.is_ascii_alphanumeric() || URI_PUNCTUATION.contains(byte);
        assert!(is_sent_unencoded || matches_grammar, "a target contains only bytes that clients send");
        matches_grammar
    });
    match head.strict {
        Err(ProtocolError::TargetByteInvalid) => {
            assert!(!matches_grammar, "strict mode rejects only a target outside the grammar")
        }
        Err(ProtocolError::HostMissing) => {
            assert!(host_lines == 0 && !head.is_http10, "Host is missing only in HTTP/1.1 without any Host");
        }
        _ => assert_eq!(head.strict, head.lenient, "strict mode affects only the target and Host"),
    }
    assert!(
        matches_grammar || head.strict == Err(ProtocolError::TargetByteInvalid),
        "strict mode rejects a target outside the grammar"
    );
    assert!(head.lenient.is_err() || host_lines <= 1, "two Host lines are never accepted");
    for error in [ProtocolError::HostMissing, ProtocolError::TargetByteInvalid] {
        assert_ne!(head.lenient, Err(error), "accepted without strict mode");
    }
}
