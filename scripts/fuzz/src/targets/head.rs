//! The head parser. The input is what a peer sends, see [`expand`].
//!
//! 1. No input makes it panic.
//! 2. The same bytes have the same reading in every cut, and it is decided at the same byte.
//! 3. A head that is accepted here is accepted by `httparse`, which reads the same method, target and fields in it.
//! 4. A head that is accepted has one framing, and it is what its fields say.
//! 5. `strict` refuses what is refused without it, and besides that only a missing Host and a target outside the URI
//!    grammar, which holds nothing but what clients are known to send raw.

use spindle::http1::framing::Framing;
use spindle::http1::limits::{FIELD_LINES_MAX, RECEIVE_BUFFER_BYTES};
use spindle::http1::message_head::{HeadParser, RequestHead};
use spindle::http1::protocol_error::ProtocolError;
use spindle::http1::request_framing::RequestFraming;
use spindle::semantics::fields::{FieldName, FieldSpans};
use spindle::semantics::method::Method;
use spindle::semantics::request::{Target, Version};

use super::expand::expand;

/// What became of the bytes.
#[derive(Debug, PartialEq)]
enum Reading {
    /// More are needed.
    Partial,
    Complete(Head),
    Refused(ProtocolError),
}

/// A head, copied out.
#[derive(Debug, PartialEq)]
struct Head {
    bytes: usize,
    method_and_target: Vec<u8>,
    /// Empty where the target has none.
    path_and_query: Vec<u8>,
    is_http10: bool,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    lenient: Result<Exchanged, ProtocolError>,
    strict: Result<Exchanged, ProtocolError>,
}

/// What of an framing can be compared.
type Exchanged = (Framing, bool, bool);

/// Runs the target.
pub fn run(input: &[u8]) {
    let stream = expand(input, RECEIVE_BUFFER_BYTES);
    let (whole, _) = read(&stream, [stream.len()]);
    agrees_with_itself(&stream, &whole, input);
    if let Reading::Complete(head) = &whole {
        httparse_agrees(&stream, head);
        framing_is_what_the_fields_say(head);
        strict_adds_only_the_target_and_the_missing_host(head);
    }
}

/// Reads `stream` in pieces that end where `ends` says. Returns the reading, and how many bytes had been given when it
/// was decided.
fn read(stream: &[u8], ends: impl IntoIterator<Item = usize>) -> (Reading, usize) {
    let mut spans = FieldSpans::with_capacity(FIELD_LINES_MAX);
    let mut parser = HeadParser::default();
    for end in ends {
        let given = &stream[..end];
        match parser.advance(given, &mut spans) {
            Ok(false) => {}
            Ok(true) => {
                let head = parser.complete(given, &spans);
                check_borrows(&head, given);
                return (Reading::Complete(copy(&head)), end);
            }
            Err(error) => return (Reading::Refused(error), end),
        }
    }
    (Reading::Partial, stream.len())
}

fn agrees_with_itself(stream: &[u8], whole: &Reading, input: &[u8]) {
    let (by_byte, decided_at) = read(stream, 1..=stream.len());
    assert_eq!(by_byte, *whole, "a head that comes byte by byte reads like one that comes whole");

    let mut end = 0;
    let uneven = input.iter().cycle().take(stream.len()).map(|byte| {
        end = (end + 1 + usize::from(byte & 0x1f)).min(stream.len());
        end
    });
    let (in_pieces, _) = read(stream, uneven);
    assert_eq!(in_pieces, *whole, "a head that comes in pieces reads like one that comes whole");

    if by_byte != Reading::Partial {
        let (at_once, _) = read(&stream[..decided_at], [decided_at]);
        assert_eq!(at_once, *whole, "bytes behind the one that decides change nothing");
        let (before, _) = read(&stream[..decided_at - 1], [decided_at - 1]);
        assert_eq!(before, Reading::Partial, "nothing is decided before the byte that decides");
    }
    if let Reading::Complete(head) = &by_byte {
        assert_eq!(head.bytes, decided_at, "a head is complete with its last byte");
    }
}

/// What a head lends must lie where the head says.
fn check_borrows(head: &RequestHead<'_>, given: &[u8]) {
    assert!(head.bytes <= given.len(), "a head ends within the bytes given");
    assert!(given.starts_with(head.method_and_target), "the request-line is lent as it came");
    let target = head.method_and_target.splitn(2, |byte| *byte == b' ').nth(1).expect("a space before the target");
    match head.target {
        Target::Origin(bytes) | Target::Authority(bytes) => assert_eq!(bytes, target),
        Target::Absolute { authority, path_and_query } => {
            assert_eq!([&target[..b"http://".len()], authority, path_and_query].concat(), target);
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
        Target::Origin(path_and_query) | Target::Absolute { path_and_query, .. } => path_and_query,
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

fn httparse_agrees(stream: &[u8], head: &Head) {
    let mut bytes = stream[..head.bytes].to_vec();
    // `HTTP/1.` and a digit: httparse knows only 0 and 1, and RFC 9110 §2.5 has the others read as 1.
    let digit_at = head.method_and_target.len() + b" HTTP/1.".len();
    if bytes[digit_at] != b'0' {
        bytes[digit_at] = b'1';
    }
    let mut lines = [httparse::EMPTY_HEADER; FIELD_LINES_MAX];
    let mut theirs = httparse::Request::new(&mut lines);
    let status = theirs.parse(&bytes);
    assert_eq!(status, Ok(httparse::Status::Complete(head.bytes)), "what is accepted here, httparse accepts");

    let (Some(method), Some(target)) = (theirs.method, theirs.path) else { panic!("httparse found no request-line") };
    assert_eq!(format!("{method} {target}").as_bytes(), head.method_and_target, "httparse reads the same target");
    assert_eq!(theirs.version == Some(0), head.is_http10, "httparse reads the same version");
    let their_fields: Vec<_> =
        theirs.headers.iter().map(|line| (line.name.as_bytes().to_vec(), line.value.to_vec())).collect();
    assert_eq!(their_fields, head.fields, "httparse reads the same fields");
}

/// RFC 9112 §6.3, told the other way round: from what was decided to what must have been sent.
fn framing_is_what_the_fields_say(head: &Head) {
    let values = |name: &str| -> Vec<&[u8]> {
        let lines = head.fields.iter().filter(|(line, _)| line.eq_ignore_ascii_case(name.as_bytes()));
        lines.map(|(_, value)| &value[..]).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match head.lenient {
        Ok((Framing::Chunked, ..)) => {
            assert!(!head.is_http10, "HTTP/1.0 has no chunked content");
            assert!(lengths.is_empty(), "chunked content announces no length");
            assert!(
                matches!(codings[..], [coding] if coding.eq_ignore_ascii_case(b"chunked")),
                "chunked content has exactly one Transfer-Encoding, and it says no more than that"
            );
        }
        Ok((Framing::Length(bytes), ..)) => {
            assert!(codings.is_empty(), "content of a length has no Transfer-Encoding");
            match lengths[..] {
                [] => assert_eq!(bytes, 0, "without either field there is no content"),
                [digits] => {
                    assert!(!digits.is_empty() && digits.iter().all(u8::is_ascii_digit), "a length is digits alone");
                    assert!(digits == b"0" || digits[0] != b'0', "a length has no zeros in front");
                    let text = str::from_utf8(digits).expect("digits");
                    assert_eq!(text.parse(), Ok(bytes), "the length is the number that was sent");
                }
                _ => panic!("content has one length"),
            }
        }
        Err(_) => {}
    }
    if let Ok((framing, _, true)) = head.lenient {
        assert_ne!(framing, Framing::Length(0), "a peer waits to continue only where content is to follow");
    }
}

/// RFC 3986 §2 and §3: what a path and a query are made of, percent signs included.
const URI_PUNCTUATION: &[u8] = b"-._~!$&'()*+,;=:@/?%";

/// What clients send without encoding it, in a path and in a query.
const SENT_RAW: &[u8] = b"[]|^{}`";

fn strict_adds_only_the_target_and_the_missing_host(head: &Head) {
    let host_lines = head.fields.iter().filter(|(name, _)| FieldName::from_bytes(name) == FieldName::Host).count();
    let is_of_the_grammar = head.path_and_query.iter().enumerate().all(|(at, byte)| {
        let is_query = head.path_and_query[..at].contains(&b'?');
        let is_raw = SENT_RAW.contains(byte) || *byte == b'\\' && is_query;
        let is_of_the_grammar = byte.is_ascii_alphanumeric() || URI_PUNCTUATION.contains(byte);
        assert!(is_raw || is_of_the_grammar, "a target holds no other bytes than clients send");
        is_of_the_grammar
    });
    match head.strict {
        Err(ProtocolError::TargetByteInvalid) => assert!(!is_of_the_grammar, "a target of the grammar is accepted"),
        Err(ProtocolError::HostMissing) => {
            assert!(host_lines == 0 && !head.is_http10, "only HTTP/1.1 without any Host lacks one");
        }
        _ => assert_eq!(head.strict, head.lenient, "strict is about the target and the Host alone"),
    }
    assert!(is_of_the_grammar || head.strict == Err(ProtocolError::TargetByteInvalid), "strict holds to the grammar");
    assert!(head.lenient.is_err() || host_lines <= 1, "two Hosts are never accepted");
    for error in [ProtocolError::HostMissing, ProtocolError::TargetByteInvalid] {
        assert_ne!(head.lenient, Err(error), "let pass unless strict");
    }
}
