//! Streams of many requests, valid and mutated, split at random: a stream is parsed the same however it is split, and an
//! accepted head is parsed as `httparse` parses it. `PROPTEST_CASES` sets the number of cases.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use spindle::http1::Settings;

use crate::driver::{ReadMode, Transcript, run};
use crate::response_reader::{ParsedResponse, parse_responses};
use crate::service::{ReceivedRequest, TestService};

/// A well-formed request, and how a service must receive it.
#[derive(Clone, Debug)]
struct GeneratedRequest {
    bytes: Vec<u8>,
    expected: ReceivedRequest,
}

fn methods() -> impl Strategy<Value = &'static str> {
    select(vec!["GET", "GET", "HEAD", "POST", "POST", "PUT", "OPTIONS", "DELETE", "TRACE"])
}

fn targets() -> impl Strategy<Value = &'static str> {
    select(vec![
        "/",
        "/abc",
        "/a?b=c",
        "/%41",
        "/refuse",
        "/limited",
        "/byte-by-byte",
        "/deferred",
        "/arrived",
        "/source/1500",
        "/nothing",
        "http://a/b",
    ])
}

fn field_lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}".prop_filter("fields with a meaning are added elsewhere", |name| {
        !["host", "expect", "connection"].contains(&name.to_ascii_lowercase().as_str())
    });
    vec((name, "([!-~\u{e9}]([ \t!-~]{0,8}[!-~])?)?"), 0..4)
}

#[derive(Clone, Debug)]
enum Content {
    None,
    Length(Vec<u8>),
    Chunks { chunks: Vec<(Vec<u8>, &'static str)>, last: &'static str, trailers: &'static str },
}

fn contents() -> impl Strategy<Value = Content> {
    let bytes = || vec(select(b"abc\r\n 0;:5GET/".to_vec()), 0..40);
    // Some have escaped quotation marks and backslashes within a quoted string.
    let extensions =
        || select(vec!["", "", "", ";a", ";a=b", "\t;a=\"b;c\"", " ; a = \"b\\\"c\"", ";a=\"\\\\\";b=\"\\\"\""]);
    let chunk = (bytes().prop_filter("an empty chunk is the last", |bytes| !bytes.is_empty()), extensions());
    prop_oneof![
        2 => Just(Content::None),
        1 => bytes().prop_map(Content::Length),
        1 => (vec(chunk, 0..4), extensions(), select(vec!["", "", "A: b\r\n", "Content-Length: 5\r\nC:\r\n"]))
            .prop_map(|(chunks, last, trailers)| Content::Chunks { chunks, last, trailers }),
    ]
}

fn generated_requests() -> impl Strategy<Value = GeneratedRequest> {
    let ends = prop::bool::weighted(0.05);
    let parts = (methods(), targets(), field_lines(), contents(), ends, prop::bool::weighted(0.2));
    parts.prop_map(|(method, target, lines, content, ends, empty_line)| {
        let mut fields = vec![("Host".to_owned(), "h".to_owned())];
        fields.extend(lines);
        match &content {
            Content::None => {}
            Content::Length(bytes) => fields.push(("Content-Length".to_owned(), bytes.len().to_string())),
            Content::Chunks { .. } => fields.push(("transfer-encoding".to_owned(), "Chunked".to_owned())),
        }
        if ends {
            fields.push(("connection".to_owned(), "close".to_owned()));
        }
        let mut bytes = if empty_line { b"\r\n".to_vec() } else { Vec::new() };
        bytes.extend_from_slice(format!("{method} {target} HTTP/1.1\r\n").as_bytes());
        for (name, value) in &fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        let content = write_content(&mut bytes, &content);
        let is_accepted = matches!(method, "POST" | "PUT") && !matches!(target, "/refuse" | "/nothing");
        let is_accepted = is_accepted && (target != "/limited" || content.len() <= crate::service::LIMITED_BYTES_MAX);
        let expected = ReceivedRequest {
            method,
            target: target.as_bytes().to_vec(),
            fields: fields
                .iter()
                .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
                .collect(),
            hosts: vec![b"h".to_vec()],
            content: if is_accepted { content } else { Vec::new() },
            is_complete: is_accepted,
            ..ReceivedRequest::default()
        };
        GeneratedRequest { bytes, expected }
    })
}

/// Writes the content with its framing, and returns it without.
fn write_content(out: &mut Vec<u8>, content: &Content) -> Vec<u8> {
    match content {
        Content::None => Vec::new(),
        Content::Length(bytes) => {
            out.extend_from_slice(bytes);
            bytes.clone()
        }
        Content::Chunks { chunks, last, trailers } => {
            let mut decoded = Vec::new();
            for (bytes, extension) in chunks {
                out.extend_from_slice(format!("{:x}{extension}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
                decoded.extend_from_slice(bytes);
            }
            out.extend_from_slice(format!("0{last}\r\n{trailers}\r\n").as_bytes());
            decoded
        }
    }
}

/// One small change to a stream.
#[derive(Clone, Debug)]
enum Mutation {
    Remove(Index),
    Insert(Index, u8),
    Replace(Index, u8),
    Repeat(Index, Index),
    CutOff(Index),
    Splice(Index, &'static str),
}

fn mutations() -> impl Strategy<Value = Mutation> {
    let byte =
        || prop_oneof![3 => select(b"\r\n \t\0\x0b:;,=\"\\%#/+-_0159aAxXf\x7f\x80\xff".to_vec()), 1 => any::<u8>()];
    let pieces = [
        "\r\n",
        "\n",
        "\r\n\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Host: x\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        " HTTP/1.0",
        "0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "%zz",
        "0x",
    ];
    prop_oneof![
        any::<Index>().prop_map(Mutation::Remove),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        any::<Index>().prop_map(Mutation::CutOff),
        (any::<Index>(), select(pieces.to_vec())).prop_map(|(at, piece)| Mutation::Splice(at, piece)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Remove(at) => drop(bytes.remove(at.index(length))),
        Mutation::Insert(at, byte) => bytes.insert(at.index(length), *byte),
        Mutation::Replace(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(to..to, piece);
        }
        Mutation::CutOff(at) => bytes.truncate(at.index(length)),
        Mutation::Splice(at, piece) => {
            // At the beginning of a line, since most pieces are lines.
            let at = at.index(length);
            let at = bytes[at..].windows(2).position(|pair| pair == b"\r\n").map_or(at, |found| at + found + 2);
            bytes.splice(at..at, piece.bytes());
        }
    }
}

fn streams(mutation_count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    (vec(generated_requests(), 1..6), vec(mutations(), mutation_count)).prop_map(|(requests, mutations)| {
        let mut bytes: Vec<u8> = requests.into_iter().flat_map(|request| request.bytes).collect();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        bytes
    })
}

fn read_modes() -> impl Strategy<Value = ReadMode> {
    select(vec![ReadMode::Immediate, ReadMode::ByteByByte, ReadMode::Deferred])
}

fn splits_of(bytes: &[u8], split_points: &[Index]) -> Vec<usize> {
    let mut splits: Vec<usize> = split_points.iter().map(|point| point.index(bytes.len() + 1)).collect();
    splits.sort_unstable();
    splits
}

fn final_responses(transcript: &Transcript) -> Vec<ParsedResponse> {
    let methods: Vec<&str> = transcript.requests.iter().map(|request| request.method).collect();
    parse_responses(&transcript.output, &methods).into_iter().filter(|response| !response.is_interim()).collect()
}

/// The transcripts before and after the client's half-close.
fn run_and_half_close(bytes: &[u8], splits: &[usize], read_mode: ReadMode) -> (Transcript, Transcript) {
    let (before, mut driver) = run(TestService, Settings::default(), bytes, splits, read_mode, false);
    driver.half_close();
    assert!(driver.eof_sent && driver.connection.is_closed());
    (before, driver.transcript())
}

fn assert_parsed_the_same(bytes: &[u8], split_points: &[Index], read_mode: ReadMode) {
    let (whole, whole_closed) = run_and_half_close(bytes, &[], ReadMode::Immediate);
    let (split, split_closed) = run_and_half_close(bytes, &splits_of(bytes, split_points), read_mode);
    for (whole, split) in [(&whole, &split), (&whole_closed, &split_closed)] {
        assert_eq!(final_responses(whole), final_responses(split));
        assert_eq!(whole.requests, split.requests);
        assert_eq!(whole.eof_sent, split.eof_sent);
    }
    // One response to each request, and possibly one to a protocol error in none of them.
    let (responses, requests) = (final_responses(&whole_closed).len(), whole_closed.requests.len());
    assert!(responses == requests || responses == requests + 1, "{responses} responses to {requests} requests");
    assert!(whole.eof_sent || final_responses(&whole).iter().all(|response| !response.says_close()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_stream_is_parsed_as_it_was_generated(
        requests in vec(generated_requests(), 1..8), split_points in vec(any::<Index>(), 0..12), read_mode in read_modes(),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.bytes.iter().copied()).collect();
        let (transcript, _) = run_and_half_close(&bytes, &splits_of(&bytes, &split_points), read_mode);
        let has_field = |request: &GeneratedRequest, field: &[u8]| {
            request.expected.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(field))
        };
        let is_last = |request: &GeneratedRequest| {
            // After the sink rejects chunked content, the rest is not read.
            let is_rejected = request.expected.target == b"/limited" && !request.expected.is_complete;
            let is_upload = matches!(request.expected.method, "POST" | "PUT");
            has_field(request, b"connection") || is_rejected && is_upload && has_field(request, b"transfer-encoding")
        };
        let last = requests.iter().position(is_last);
        let processed = last.map_or(requests.len(), |last| last + 1);
        let expected: Vec<ReceivedRequest> = requests[..processed].iter().map(|request| request.expected.clone()).collect();
        prop_assert_eq!(&transcript.requests, &expected);
        prop_assert_eq!(final_responses(&transcript).len(), processed);
        prop_assert_eq!(transcript.eof_sent, last.is_some());
    }

    #[test]
    fn a_stream_is_parsed_the_same_however_it_is_split(
        bytes in streams(0..4), split_points in vec(any::<Index>(), 0..12), read_mode in read_modes(),
    ) {
        assert_parsed_the_same(&bytes, &split_points, read_mode);
    }

    #[test]
    fn noise_is_parsed_the_same_however_it_is_split(
        bytes in vec(select(b"GET POST/:;, \r\n\r\n\t019a\0\xff%HTTP/1.1".to_vec()), 0..200),
        split_points in vec(any::<Index>(), 0..12),
        read_mode in read_modes(),
    ) {
        assert_parsed_the_same(&bytes, &split_points, read_mode);
    }

    #[test]
    fn an_accepted_head_is_parsed_as_httparse_parses_it(bytes in streams(0..3)) {
        assert_parsed_as_by_httparse(&bytes);
    }
}

/// If the server accepts the first request, so does `httparse`, with the same method, target, version and fields. The
/// versions 1.2 to 1.9 are the exception: `httparse` rejects them.
fn assert_parsed_as_by_httparse(bytes: &[u8]) {
    let (transcript, _) = run_and_half_close(bytes, &[], ReadMode::Immediate);
    let Some(ours) = transcript.requests.first() else { return };
    let head = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let head = with_known_version(head);
    let mut lines = [httparse::EMPTY_HEADER; 200];
    let mut theirs = httparse::Request::new(&mut lines);
    let parsed = theirs.parse(&head).unwrap_or_else(|error| panic!("{error}: {}", head.escape_ascii()));
    assert!(parsed.is_complete(), "{}", head.escape_ascii());
    let (method, target) = (theirs.method.unwrap(), theirs.path.unwrap());
    match ours.method {
        "(unknown)" => assert!(!["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"].contains(&method)),
        known => assert_eq!(known, method),
    }
    assert!(
        ours.target.eq_ignore_ascii_case(target.as_bytes())
            && ours.target[7.min(target.len())..] == target.as_bytes()[7.min(target.len())..]
    );
    assert_eq!(ours.is_http_10, theirs.version == Some(0));
    let fields: Vec<(Vec<u8>, Vec<u8>)> =
        theirs.headers.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
    assert_eq!(ours.fields, fields);
}

/// `head` with HTTP/1.1 in place of a higher minor version, which RFC 9110 §2.5 has a server treat as 1.1.
fn with_known_version(head: &[u8]) -> Vec<u8> {
    let mut head = head.to_vec();
    let line_end = head.windows(2).position(|pair| pair == b"\r\n").unwrap_or(0);
    if head[..line_end].ends_with(b"HTTP/1.") {
        return head;
    }
    if let Some(minor) =
        line_end.checked_sub(1).filter(|_| line_end > 8 && &head[line_end - 8..line_end - 1] == b"HTTP/1.")
        && matches!(head[minor], b'2'..=b'9')
    {
        head[minor] = b'1';
    }
    head
}

#[test]
fn heads_that_httparse_rejects_are_rejected() {
    for line in [
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "G{T / HTTP/1.1\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "\r \r\n\r\n",
    ] {
        let mut lines = [httparse::EMPTY_HEADER; 8];
        assert!(httparse::Request::new(&mut lines).parse(line.as_bytes()).is_err(), "{line:?}");
        let (transcript, _) = run_and_half_close(line.as_bytes(), &[], ReadMode::Immediate);
        assert!(transcript.requests.is_empty() && transcript.eof_sent, "{line:?}");
    }
}
