//! Streams of many requests, valid and mutated, cut at random: one stream has one meaning, and a head that is accepted
//! is read as `httparse` reads it. `PROPTEST_CASES` says how many are tried.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use spindle::http1::Settings;

use crate::driver::{Observed, Reading, run};
use crate::response_reader::{Answer, read_all};
use crate::service::{Probe, Seen};

/// A request that is well-formed, and what a service must see of it.
#[derive(Clone, Debug)]
struct Wanted {
    bytes: Vec<u8>,
    seen: Seen,
}

fn methods() -> impl Strategy<Value = &'static str> {
    select(vec!["GET", "GET", "HEAD", "POST", "POST", "PUT", "OPTIONS", "DELETE", "TRACE"])
}

fn targets() -> impl Strategy<Value = &'static str> {
    select(vec!["/", "/abc", "/a?b=c", "/%41", "/refuse", "/limited", "/source/1500", "/nothing", "http://a/b"])
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
    // With quotation marks and backslashes within quotation marks, where only an escape tells them from the end.
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

fn wanted() -> impl Strategy<Value = Wanted> {
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
        let is_taken = matches!(method, "POST" | "PUT") && !matches!(target, "/refuse" | "/nothing");
        let is_taken = is_taken && (target != "/limited" || content.len() <= crate::service::LIMITED_BYTES_MAX);
        let seen = Seen {
            method,
            target: target.as_bytes().to_vec(),
            fields: fields
                .iter()
                .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
                .collect(),
            hosts: vec![b"h".to_vec()],
            content: if is_taken { content } else { Vec::new() },
            is_complete: is_taken,
            ..Seen::default()
        };
        Wanted { bytes, seen }
    })
}

/// Writes the content as it is framed, and returns it as it is meant.
fn write_content(out: &mut Vec<u8>, content: &Content) -> Vec<u8> {
    match content {
        Content::None => Vec::new(),
        Content::Length(bytes) => {
            out.extend_from_slice(bytes);
            bytes.clone()
        }
        Content::Chunks { chunks, last, trailers } => {
            let mut meant = Vec::new();
            for (bytes, extension) in chunks {
                out.extend_from_slice(format!("{:x}{extension}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
                meant.extend_from_slice(bytes);
            }
            out.extend_from_slice(format!("0{last}\r\n{trailers}\r\n").as_bytes());
            meant
        }
    }
}

/// One small harm.
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
            // Where a line begins, for most pieces are lines.
            let at = at.index(length);
            let at = bytes[at..].windows(2).position(|pair| pair == b"\r\n").map_or(at, |found| at + found + 2);
            bytes.splice(at..at, piece.bytes());
        }
    }
}

fn streams(harms: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    (vec(wanted(), 1..6), vec(mutations(), harms)).prop_map(|(requests, mutations)| {
        let mut bytes: Vec<u8> = requests.into_iter().flat_map(|request| request.bytes).collect();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        bytes
    })
}

fn readings() -> impl Strategy<Value = Reading> {
    select(vec![Reading::Everything, Reading::ByteByByte, Reading::Late])
}

fn cuts_of(bytes: &[u8], places: &[Index]) -> Vec<usize> {
    let mut cuts: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts
}

fn finals(outcome: &Observed) -> Vec<Answer> {
    let methods: Vec<&str> = outcome.seen.iter().map(|seen| seen.method).collect();
    read_all(&outcome.output, &methods).into_iter().filter(|answer| !answer.is_interim()).collect()
}

/// What came of it before the peer's end, and after.
fn play(bytes: &[u8], cuts: &[usize], reading: Reading) -> (Observed, Observed) {
    let (before, mut driver) = run(Probe, Settings::default(), bytes, cuts, reading, false);
    driver.receive_end();
    assert!(driver.ended && driver.connection.is_closed());
    (before, driver.outcome())
}

fn check_one_meaning(bytes: &[u8], places: &[Index], reading: Reading) {
    let (whole, whole_ended) = play(bytes, &[], Reading::Everything);
    let (cut, cut_ended) = play(bytes, &cuts_of(bytes, places), reading);
    for (whole, cut) in [(&whole, &cut), (&whole_ended, &cut_ended)] {
        assert_eq!(finals(whole), finals(cut));
        assert_eq!(whole.seen, cut.seen);
        assert_eq!(whole.ended, cut.ended);
    }
    // One answer for each request, and one for a protocol error outside of them.
    let (answers, requests) = (finals(&whole_ended).len(), whole_ended.seen.len());
    assert!(answers == requests || answers == requests + 1, "{answers} answers to {requests} requests");
    assert!(whole.ended || finals(&whole).iter().all(|answer| !answer.says_close()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_stream_is_parsed_as_it_was_generated(
        requests in vec(wanted(), 1..8), places in vec(any::<Index>(), 0..12), reading in readings(),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.bytes.iter().copied()).collect();
        let (outcome, _) = play(&bytes, &cuts_of(&bytes, &places), reading);
        let has_field = |request: &Wanted, wanted: &[u8]| {
            request.seen.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        let is_last = |request: &Wanted| {
            // Chunked content that a sink refuses is not read on.
            let is_refused = request.seen.target == b"/limited" && !request.seen.is_complete;
            let is_upload = matches!(request.seen.method, "POST" | "PUT");
            has_field(request, b"connection") || is_refused && is_upload && has_field(request, b"transfer-encoding")
        };
        let last = requests.iter().position(is_last);
        let answered = last.map_or(requests.len(), |last| last + 1);
        let meant: Vec<Seen> = requests[..answered].iter().map(|request| request.seen.clone()).collect();
        prop_assert_eq!(&outcome.seen, &meant);
        prop_assert_eq!(finals(&outcome).len(), answered);
        prop_assert_eq!(outcome.ended, last.is_some());
    }

    #[test]
    fn a_stream_is_parsed_the_same_however_it_is_split(
        bytes in streams(0..4), places in vec(any::<Index>(), 0..12), reading in readings(),
    ) {
        check_one_meaning(&bytes, &places, reading);
    }

    #[test]
    fn noise_is_parsed_the_same_however_it_is_split(
        bytes in vec(select(b"GET POST/:;, \r\n\r\n\t019a\0\xff%HTTP/1.1".to_vec()), 0..200),
        places in vec(any::<Index>(), 0..12),
        reading in readings(),
    ) {
        check_one_meaning(&bytes, &places, reading);
    }

    #[test]
    fn an_accepted_head_is_parsed_as_httparse_parses_it(bytes in streams(0..3)) {
        compare_with_httparse(&bytes);
    }
}

/// A first request that is accepted here is one for `httparse`, with the same method, target, version and fields. So
/// what `httparse` refuses is refused here, but for the versions 1.2 to 1.9, which it does not know.
fn compare_with_httparse(bytes: &[u8]) {
    let (outcome, _) = play(bytes, &[], Reading::Everything);
    let Some(seen) = outcome.seen.first() else { return };
    let head = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let head = with_known_version(head);
    let mut lines = [httparse::EMPTY_HEADER; 200];
    let mut request = httparse::Request::new(&mut lines);
    let parsed = request.parse(&head).unwrap_or_else(|error| panic!("{error}: {}", head.escape_ascii()));
    assert!(parsed.is_complete(), "{}", head.escape_ascii());
    let (method, target) = (request.method.unwrap(), request.path.unwrap());
    match seen.method {
        "(unknown)" => assert!(!["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"].contains(&method)),
        known => assert_eq!(known, method),
    }
    assert!(
        seen.target.eq_ignore_ascii_case(target.as_bytes())
            && seen.target[7.min(target.len())..] == target.as_bytes()[7.min(target.len())..]
    );
    assert_eq!(seen.is_version_10, request.version == Some(0));
    let fields: Vec<(Vec<u8>, Vec<u8>)> =
        request.headers.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
    assert_eq!(seen.fields, fields);
}

/// `head` with HTTP/1.1 for any later version, as RFC 9110 §2.5 has it read.
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
        let (outcome, _) = play(line.as_bytes(), &[], Reading::Everything);
        assert!(outcome.seen.is_empty() && outcome.ended, "{line:?}");
    }
}
