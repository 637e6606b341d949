//! Ranges (RFC 9110 §14): one, several, unsatisfiable and malformed ones, and If-Range.

use crate::harness::{Client, Response, Server, noise};
use crate::support::{NOV_1994, set_modified};

const BYTES: usize = 1000;

fn server_with_a_file() -> (Server, Vec<u8>, String) {
    let server = Server::with_directory();
    let content = noise(BYTES, 1);
    let tag = server.put("file", &content);
    (server, content, tag)
}

fn ask_for(client: &mut Client, target: &str, range: &str) -> Response {
    client.ask("GET", target, &[&format!("Range: {range}")])
}

/// One part of a multipart/byteranges.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    content_range: String,
    content: Vec<u8>,
}

/// Parses multipart/byteranges (§14.6, RFC 2046 §5.1.1), to the last byte.
fn parts_of(response: &Response) -> Vec<Part> {
    let media_type = response.field("Content-Type").expect("a media type");
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(response.field("Content-Range"), None, "each part has its own");
    let mut rest = &response.content[..];
    let mut parts = Vec::new();
    let opening = format!("--{boundary}\r\n");
    let mut delimiter = opening.clone();
    let last = format!("\r\n--{boundary}--\r\n");
    while rest != last.as_bytes() {
        rest = rest.strip_prefix(delimiter.as_bytes()).expect("a delimiter");
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of a part's head");
        let head = std::str::from_utf8(&rest[..end]).expect("text");
        let (content_type, content_range) = head.split_once("\r\n").expect("two fields");
        assert_eq!(content_type, "Content-Type: application/octet-stream");
        let content_range = content_range.strip_prefix("Content-Range: ").expect("a range").to_owned();
        let span = content_range.strip_prefix("bytes ").and_then(|range| range.split_once('/')).expect("a range").0;
        let (first, last) = span.split_once('-').expect("two positions");
        let bytes = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
        parts.push(Part { content_range, content: rest[end + 4..end + 4 + bytes].to_vec() });
        rest = &rest[end + 4 + bytes..];
        delimiter = format!("\r\n{opening}");
    }
    parts
}

#[test]
fn one_range_is_the_content() {
    let (server, content, tag) = server_with_a_file();
    let mut client = server.connect();
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=500-", 500, 999),
        ("bytes=-1", 999, 999),
        ("bytes=-1000", 0, 999),
        ("bytes=-5000", 0, 999),
        ("bytes=990-5000", 990, 999),
        ("bytes=999-18446744073709551615", 999, 999),
        ("bytes=999-18446744073709551616", 999, 999),
        ("bytes=-18446744073709551616", 0, 999),
        ("BYTES= 7-8 ,", 7, 8),
        // Only one of the two is satisfiable.
        ("bytes=5-6,1000-", 5, 6),
        ("bytes=-0,5-6", 5, 6),
    ] {
        let response = ask_for(&mut client, "/files/file", range);
        assert_eq!(response.status, 206, "{range}");
        assert_eq!(response.field("Content-Range"), Some(&*format!("bytes {first}-{last}/1000")), "{range}");
        assert_eq!(response.content, content[first..=last], "{range}");
        for (name, expected) in
            [("ETag", &*tag), ("Accept-Ranges", "bytes"), ("Content-Type", "application/octet-stream")]
        {
            assert_eq!(response.field(name), Some(expected), "{range}");
        }
        assert!(response.field("Last-Modified").is_some() && response.field("Date").is_some());
    }
}

#[test]
fn several_ranges_are_parts_in_the_requested_order() {
    let (server, content, tag) = server_with_a_file();
    let mut client = server.connect();
    let many: Vec<String> = (0..64).map(|at| format!("{}-{}", at * 10, at * 10 + at % 10)).collect();
    for set in ["0-0,-1", "500-599,0-99,200-", "0-1,1-2", "1-1,1-1,999-", " 0-4 ,, 5-9 ,", &many.join(",")] {
        let response = ask_for(&mut client, "/files/file", &format!("bytes={set}"));
        assert_eq!(response.status, 206, "{set}");
        assert_eq!((response.field("ETag"), response.field("Accept-Ranges")), (Some(&*tag), Some("bytes")));
        let expected: Vec<Part> = set
            .split(',')
            .filter(|spec| !spec.trim().is_empty())
            .map(|spec| {
                let (first, last) = match spec.trim().split_once('-').unwrap() {
                    ("", bytes) => (BYTES - bytes.parse::<usize>().unwrap(), BYTES - 1),
                    (first, "") => (first.parse().unwrap(), BYTES - 1),
                    (first, last) => (first.parse().unwrap(), last.parse().unwrap()),
                };
                Part { content_range: format!("bytes {first}-{last}/1000"), content: content[first..=last].to_vec() }
            })
            .collect();
        assert_eq!(parts_of(&response), expected, "{set}");
    }
    assert!(client.is_kept(), "Content-Length was exact");
}

/// Short ranges are read, a few at a time, and longer ones are sent from the file.
#[test]
fn short_and_long_parts_follow_each_other_in_any_order() {
    let server = Server::with_directory();
    let content = noise(1_000_000, 2);
    server.put("file", &content);
    let mut client = server.connect();
    let short = [(0, 0), (7, 4102), (5000, 5001)];
    let long = [(20, 4116), (30_000, 99_999)];
    for order in [&[][..], &[1], &[9], &[0, 8, 16], &[7, 8, 9, 17], &[17]] {
        let ranges: Vec<(usize, usize)> = (0..18)
            .map(|index| if order.contains(&index) { long[index % long.len()] } else { short[index % short.len()] })
            .collect();
        let field: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let response = ask_for(&mut client, "/files/file", &format!("bytes={}", field.join(",")));
        assert_eq!(response.status, 206);
        let expected: Vec<Part> = ranges
            .iter()
            .map(|(first, last)| Part {
                content_range: format!("bytes {first}-{last}/1000000"),
                content: content[*first..=*last].to_vec(),
            })
            .collect();
        assert!(parts_of(&response) == expected, "{order:?}");
    }
}

#[test]
fn each_response_with_parts_has_its_own_boundary() {
    let (server, _, _) = server_with_a_file();
    let mut client = server.connect();
    let types: Vec<_> = (0..3).map(|_| ask_for(&mut client, "/files/file", "bytes=0-0,-1").head).collect();
    let boundary = |head: &str| head.split("boundary=").nth(1).unwrap()[..16].to_owned();
    assert_ne!(boundary(&types[0]), boundary(&types[1]));
    assert_ne!(boundary(&types[1]), boundary(&types[2]));
}

#[test]
fn a_slow_reader_gets_complete_parts_of_a_large_file() {
    let server = Server::with_directory();
    let content = noise(24 << 20, 2);
    server.write_file("large", &content);
    let mut client = server.connect();
    let range = format!("Range: bytes={}-,0-{},{}-{}", 16 << 20, (12 << 20) - 1, 13 << 20, 14 << 20);
    client.send(crate::support::head("GET", "/files/large", &[&range]));
    // Another client is served while the socket of the first is full.
    assert_eq!(ask_for(&mut server.connect(), "/files/large", "bytes=-1").content, content[content.len() - 1..]);
    let contents: Vec<Vec<u8>> = parts_of(&client.response()).into_iter().map(|part| part.content).collect();
    assert!(contents[0] == content[16 << 20..]);
    assert!(contents[1] == content[..12 << 20]);
    assert!(contents[2] == content[13 << 20..=14 << 20]);
    assert_eq!(contents.len(), 3);
}

#[test]
fn an_unsatisfiable_range_is_416_with_the_length() {
    let (server, _, _) = server_with_a_file();
    server.put("empty", b"");
    let mut client = server.connect();
    for (target, bytes, range) in [
        ("/files/file", 1000, "bytes=1000-"),
        ("/files/file", 1000, "bytes=1000-2000"),
        ("/files/file", 1000, "bytes=-0"),
        ("/files/file", 1000, "bytes=18446744073709551615-"),
        ("/files/file", 1000, "bytes=18446744073709551616-"),
        ("/files/file", 1000, "bytes=1000-,-0,2000-"),
        ("/files/empty", 0, "bytes=0-"),
        ("/files/empty", 0, "bytes=0-0"),
        ("/files/empty", 0, "bytes=-0"),
    ] {
        let response = ask_for(&mut client, target, range);
        assert_eq!(response.status, 416, "{target} {range}");
        assert_eq!(response.field("Content-Range"), Some(&*format!("bytes */{bytes}")), "{target} {range}");
    }
    assert!(client.is_kept());
}

#[test]
fn a_malformed_range_is_ignored() {
    let (server, content, _) = server_with_a_file();
    let mut client = server.connect();
    let too_many: Vec<String> = (0..65).map(|at| format!("{at}-{at}")).collect();
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=,,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes=1-2-3",
        "bytes=0-1,x",
        "bytes=0-1;3-4",
        "bytes 0-1",
        "items=0-1",
        "none",
        // Abusive: together longer than the file, or too many.
        "bytes=0-,0-",
        "bytes=0-,0-,0-,0-,0-,0-,0-,0-",
        "bytes=0-999,-1",
        &format!("bytes={}", too_many.join(",")),
    ] {
        let response = ask_for(&mut client, "/files/file", range);
        assert_eq!(response.status, 200, "{range}");
        assert_eq!(response.field("Content-Range"), None, "{range}");
        assert_eq!(response.content, content, "{range}");
    }
    let twice = client.ask("GET", "/files/file", &["Range: bytes=0-0", "Range: bytes=1-1"]);
    assert_eq!(twice.status, 200, "two Range fields are ignored");
}

#[test]
fn a_suffix_range_of_an_empty_file_is_ignored() {
    let server = Server::with_directory();
    server.put("empty", b"");
    let mut client = server.connect();
    for fields in [&[][..], &["Range: bytes=-5"]] {
        let response = client.ask("GET", "/files/empty", fields);
        assert_eq!((response.status, response.field("Content-Length")), (200, Some("0")));
    }
}

#[test]
fn head_ignores_ranges() {
    let (server, _, _) = server_with_a_file();
    let mut client = server.connect();
    for range in ["bytes=0-0", "bytes=0-0,-1", "bytes=5000-"] {
        let response = client.ask("HEAD", "/files/file", &[&format!("Range: {range}")]);
        assert_eq!((response.status, response.field("Content-Length")), (200, Some("1000")));
        assert_eq!((response.field("Content-Range"), response.field("Accept-Ranges")), (None, Some("bytes")));
    }
    assert!(client.is_kept());
}

#[test]
fn if_range_must_be_a_strong_tag_or_exactly_the_old_date() {
    let (server, _, _) = server_with_a_file();
    set_modified(&server.directory().join("file"), NOV_1994);
    let mut client = server.connect();
    let weak = client.ask("HEAD", "/files/file", &[]).field("ETag").unwrap().to_owned();
    assert!(weak.starts_with("W/"), "another process has just changed the file");
    let condition = |validator: &str| format!("If-Range: {validator}");
    let status = |client: &mut Client, validator: &str| {
        client.ask("GET", "/files/file", &["Range: bytes=0-0", &condition(validator)]).status
    };
    assert_eq!(status(&mut client, &weak), 200, "a weak tag does not identify a version");
    assert_eq!(
        status(&mut client, "Sun, 06 Nov 1994 08:49:37 GMT"),
        200,
        "a recent date does not identify a version either"
    );
    let tag = server.strong_tag("file");
    for (validator, expected) in [
        (&*tag, 206),
        (&*format!("W/{tag}"), 200),
        ("\"other\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 206),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 206),
        ("Sun Nov  6 08:49:37 1994", 206),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("*", 200),
        ("", 200),
        ("no date", 200),
    ] {
        assert_eq!(status(&mut client, validator), expected, "{validator}");
    }
    let without_range = client.ask("GET", "/files/file", &[&condition(&tag)]);
    assert_eq!(without_range.status, 200);
    let twice = client.ask("GET", "/files/file", &["Range: bytes=0-0", &condition(&tag), &condition(&tag)]);
    assert_eq!(twice.status, 200);
}

#[test]
fn a_resumed_download_never_joins_two_versions() {
    let server = Server::with_directory();
    let mut client = server.connect();
    // In nearly every attempt, both uploads fall into the same second.
    for attempt in 0..20 {
        server.put("file", b"first first");
        let first = client.ask("GET", "/files/file", &[]);
        server.put("file", b"other other");
        let date = first.field("Last-Modified").unwrap();
        let resumed = client.ask("GET", "/files/file", &["Range: bytes=6-", &format!("If-Range: {date}")]);
        assert_eq!((resumed.status, resumed.text()), (200, "other other"), "attempt {attempt}");
    }
}

/// The generator is seeded at random when a server starts: a client cannot learn the boundaries of one server from
/// another.
#[test]
fn two_servers_use_different_boundaries() {
    let boundary = || {
        let (server, _, _) = server_with_a_file();
        let head = ask_for(&mut server.connect(), "/files/file", "bytes=0-0,-1").head;
        head.split("boundary=").nth(1).unwrap()[..16].to_owned()
    };
    assert_ne!(boundary(), boundary());
}
