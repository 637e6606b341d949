//! The examples of "Resumable Uploads for HTTP", with the requests as the draft prints them. Only the targets, the
//! numbers of bytes (a thousandth) and the status of a stored file (201, where the draft has 200) differ.

use crate::harness::{Client, Response, Server, Start, noise};
use crate::resumable::INTEROP;

/// The lines that every final response has, and that no example prints.
const UNPRINTED: [&str; 2] = ["Date: ", "Content-Length: "];

/// The head of a response: its status line, and its fields in the order of the alphabet.
fn printed(response: &Response) -> Vec<String> {
    let lines = response.head.lines().filter(|line| !line.is_empty());
    let mut lines: Vec<String> =
        lines.filter(|line| !UNPRINTED.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect();
    lines[1..].sort();
    lines
}

fn assert_printed(response: &Response, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected[1..].sort_unstable();
    assert_eq!(printed(response), expected);
}

/// Sends the lines of a head, and content. Only the empty line is added, and the field that asks for interim responses.
fn send(client: &mut Client, lines: &[&str], content: &[u8]) {
    client.send(format!("{}\r\n{INTEROP}\r\n\r\n", lines.join("\r\n")));
    client.send(content);
}

fn location_of(response: &Response) -> String {
    response.field("Location").expect("a location").to_owned()
}

/// Creates an upload of `length` bytes and sends the first part of it. Returns its location.
fn create(client: &mut Client, length: usize, part: &[u8]) -> String {
    let length = format!("Upload-Length: {length}");
    let bytes = format!("Content-Length: {}", part.len());
    send(client, &["POST /files/upload HTTP/1.1", "Host: example.com", "Upload-Complete: ?0", &bytes, &length], part);
    assert_eq!(client.head().status, 104);
    let response = client.response();
    assert_eq!(response.status, 201);
    location_of(&response)
}

fn limited() -> Server {
    Start::new().directory().options(["--max-upload", "1234567890", "--upload-max-age", "3600"]).start()
}

const LIMITS: &str = "Upload-Limit: max-size=1234567890, max-age=3600";
const VERSION: &str = "Upload-Draft-Interop-Version: 8";

#[test]
fn example_1_an_upload_of_known_size_is_interrupted_and_resumed() {
    let server = Server::with_directory();
    let content = noise(100_000, 1);
    let mut interrupted = server.connect();
    let head = ["POST /files/123 HTTP/1.1", "Host: example.com", "Upload-Complete: ?1", "Content-Length: 100000"];
    send(&mut interrupted, &head, &content[..70_000]);
    let interim = interrupted.head();
    assert_eq!(interim.status, 104);
    let location = location_of(&interim);
    interrupted.half_close();
    assert_eq!(interrupted.response().status, 400, "the content is incomplete");

    let mut client = server.connect();
    send(&mut client, &[&format!("HEAD {location} HTTP/1.1"), "Host: example.com"], b"");
    let retrieved = client.head();
    assert_eq!((retrieved.status, retrieved.field("Upload-Offset")), (204, Some("70000")));
    assert_eq!(retrieved.field("Upload-Length"), Some("100000"), "the sum of the offset and Content-Length");

    let head = [
        &format!("PATCH {location} HTTP/1.1"),
        "Host: example.com",
        "Upload-Complete: ?1",
        "Upload-Offset: 70000",
        "Content-Type: application/partial-upload",
        "Content-Length: 30000",
    ];
    send(&mut client, &head, &content[70_000..]);
    assert_eq!(client.response().status, 201);
    assert!(server.content_of("123").unwrap() == content);

    send(&mut client, &[&format!("DELETE {location} HTTP/1.1"), "Host: example.com"], b"");
    assert_printed(&client.head(), &["HTTP/1.1 204 No Content"]);
    assert_eq!(server.file_names(), ["123"]);
}

#[test]
fn example_2_a_series_of_parts_becomes_one_file() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(90_000, 2);
    let head = ["POST /files/123 HTTP/1.1", "Host: example.com", "Upload-Complete: ?0", "Content-Length: 30000"];
    send(&mut client, &head, &content[..30_000]);
    assert_eq!(client.head().status, 104);
    let created = client.response();
    assert_eq!(created.status, 201);
    let location = location_of(&created);
    for (start, complete, status) in [(30_000, "?0", 204), (60_000, "?1", 201)] {
        send(&mut client, &[&format!("HEAD {location} HTTP/1.1"), "Host: example.com"], b"");
        let offset = format!("Upload-Offset: {}", client.head().field("Upload-Offset").expect("an offset"));
        assert_eq!(offset, format!("Upload-Offset: {start}"));
        let head = [
            &format!("PATCH {location} HTTP/1.1"),
            "Host: example.com",
            &format!("Upload-Complete: {complete}"),
            &offset,
            "Content-Type: application/partial-upload",
            "Content-Length: 30000",
        ];
        send(&mut client, &head, &content[start..start + 30_000]);
        assert_eq!(client.response().status, status);
    }
    assert!(server.content_of("123").unwrap() == content);
}

#[test]
fn creation_a_the_whole_content_is_in_the_first_request() {
    let server = limited();
    let mut client = server.connect();
    let content = noise(123_456, 3);
    let head = [
        "POST /files/file%20name.jpg HTTP/1.1",
        "Host: example.com",
        "Content-Disposition: inline; filename=\"file name.jpg\"; filename*=UTF-8''file%20name.jpg",
        "Content-Length: 123456",
        "Upload-Length: 123456",
        "Upload-Complete: ?1",
    ];
    send(&mut client, &head, &content);
    let interim = client.head();
    let location = format!("Location: {}", location_of(&interim));
    assert_printed(&interim, &["HTTP/1.1 104 Upload Resumption Supported", &location, LIMITS, VERSION]);
    let response = client.response();
    assert_eq!((response.status, response.field("Upload-Complete")), (201, Some("?1")));
    assert!(server.content_of("file name.jpg").unwrap() == content);
}

#[test]
fn creation_b_the_first_request_has_a_part() {
    let server = limited();
    let mut client = server.connect();
    let head = [
        "POST /files/upload HTTP/1.1",
        "Host: example.com",
        "Upload-Complete: ?0",
        "Content-Length: 23456",
        "Upload-Length: 123456",
    ];
    send(&mut client, &head, &noise(23_456, 4));
    let interim = client.head();
    let location = format!("Location: {}", location_of(&interim));
    assert_printed(&interim, &["HTTP/1.1 104 Upload Resumption Supported", &location, LIMITS, VERSION]);
    let created = ["HTTP/1.1 201 Created", &location, LIMITS, "Upload-Complete: ?0", "Upload-Offset: 23456"];
    assert_printed(&client.response(), &created);
}

/// The server's files may have at most 512 blocks, of 512 or 1024 bytes. It notices that when the content exceeds them,
/// because the length is not announced.
#[test]
fn creation_c_an_upload_is_resumed_after_an_error_of_the_server() {
    let limit = ["sh", "-c", "ulimit -f 512; exec \"$@\"", "sh"];
    let server = Start::new().directory().wrapped_by(limit).start();
    let mut client = server.connect();
    let content = noise(1_234_567, 5);
    let head =
        ["POST /files/upload HTTP/1.1", "Host: example.com", "Upload-Complete: ?1", "Transfer-Encoding: chunked"];
    send(&mut client, &head, &crate::support::chunked(&content, 10_000));
    let interim = client.head();
    assert_eq!(interim.status, 104);
    let response = client.response();
    assert_eq!((response.status, response.field("Upload-Complete")), (507, Some("?0")), "not the end of the upload");
    let mut client = server.connect();
    send(&mut client, &[&format!("HEAD {} HTTP/1.1", location_of(&interim)), "Host: example.com"], b"");
    let retrieved = client.head();
    assert_eq!((retrieved.status, retrieved.field("Upload-Complete")), (204, Some("?0")));
    let offset: usize = retrieved.field("Upload-Offset").unwrap().parse().unwrap();
    assert!((1..=524_288).contains(&offset), "{offset}");
}

#[test]
fn creation_d_uploads_to_the_target_are_not_allowed() {
    let server = Start::new().directory().options(["--uploads", "off"]).start();
    let head = [
        "POST /files/upload HTTP/1.1",
        "Host: example.com",
        "Upload-Complete: ?1",
        "Content-Length: 123456",
        "Upload-Length: 123456",
    ];
    let mut client = server.connect();
    send(&mut client, &head, &noise(123_456, 6));
    assert!(client.head().head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
}

#[test]
fn retrieval_a_of_an_upload_that_is_not_complete() {
    let server = Start::new().directory().options(["--upload-max-age", "3600"]).start();
    let mut client = server.connect();
    let location = create(&mut client, 100_000, &noise(25_000, 7));
    send(&mut client, &[&format!("HEAD {location} HTTP/1.1"), "Host: example.com"], b"");
    let response = client.head();
    // A part of the first second has passed.
    let limit = format!("Upload-Limit: {}", response.field("Upload-Limit").unwrap());
    assert!(["Upload-Limit: max-age=3600", "Upload-Limit: max-age=3599"].contains(&limit.as_str()), "{limit}");
    let fields = ["Upload-Complete: ?0", "Upload-Offset: 25000", "Upload-Length: 100000", "Cache-Control: no-store"];
    assert_printed(&response, &[&["HTTP/1.1 204 No Content", &limit], &fields[..]].concat());
}

#[test]
fn retrieval_b_of_a_completed_upload() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(100_000, 8);
    let location = create(&mut client, 100_000, &content);
    let head = [
        &format!("PATCH {location} HTTP/1.1"),
        "Host: example.com",
        "Upload-Complete: ?1",
        "Upload-Offset: 100000",
        "Content-Length: 0",
        "Content-Type: application/partial-upload",
    ];
    send(&mut client, &head, b"");
    assert_eq!(client.response().status, 201);
    send(&mut client, &[&format!("HEAD {location} HTTP/1.1"), "Host: example.com"], b"");
    let response = client.head();
    let limit = format!("Upload-Limit: {}", response.field("Upload-Limit").unwrap());
    let fields = ["Upload-Complete: ?1", "Upload-Offset: 100000", "Upload-Length: 100000", "Cache-Control: no-store"];
    assert_printed(&response, &[&["HTTP/1.1 204 No Content", &limit], &fields[..]].concat());
}

#[test]
fn append_a_an_intermediate_part() {
    let server = limited();
    let mut client = server.connect();
    let content = noise(46_912, 9);
    let location = create(&mut client, 123_456, &content[..23_456]);
    let head = [
        &format!("PATCH {location} HTTP/1.1"),
        "Host: example.com",
        "Upload-Complete: ?0",
        "Upload-Offset: 23456",
        "Content-Length: 23456",
        "Content-Type: application/partial-upload",
    ];
    send(&mut client, &head, &content[23_456..]);
    let acknowledged = ["HTTP/1.1 204 No Content", "Upload-Complete: ?0", "Upload-Offset: 46912", LIMITS];
    assert_printed(&client.response(), &acknowledged);
}

#[test]
fn append_b_the_last_part() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(1_234_567, 10);
    let location = create(&mut client, 1_234_567, &content[..1_230_000]);
    let head = [
        &format!("PATCH {location} HTTP/1.1"),
        "Host: example.com",
        "Upload-Complete: ?1",
        "Upload-Offset: 1230000",
        "Content-Length: 4567",
        "Content-Type: application/partial-upload",
    ];
    send(&mut client, &head, &content[1_230_000..]);
    let response = client.response();
    assert_eq!((response.status, response.field("Upload-Complete")), (201, Some("?1")));
    assert!(server.content_of("upload").unwrap() == content);
}

#[test]
fn a_cancellation() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, 1000, b"content");
    send(&mut client, &[&format!("DELETE {location} HTTP/1.1"), "Host: example.com"], b"");
    assert_printed(&client.response(), &["HTTP/1.1 204 No Content"]);
    assert!(server.file_names().is_empty());
}

#[test]
fn the_three_problems() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, 125_000, &noise(12_500, 11));
    let mut append = |complete: &str, offset: usize, length: &str, content: &[u8]| {
        let head = [
            &format!("PATCH {location} HTTP/1.1"),
            "Host: example.com",
            &format!("Upload-Complete: {complete}"),
            &format!("Upload-Offset: {offset}"),
            length,
            "Content-Type: application/partial-upload",
            &format!("Content-Length: {}", content.len()),
        ];
        send(&mut client, &head, content);
        client.response()
    };
    let problem = |response: &Response, status_line: &str, expected: serde_json::Value| {
        assert_eq!(response.head.lines().next(), Some(status_line));
        assert_eq!(response.field("Content-Type"), Some("application/problem+json"));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&response.content).unwrap(), expected);
    };
    problem(
        &append("?0", 25_000, "Upload-Length: 125000", b"content"),
        "HTTP/1.1 409 Conflict",
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
            "title": "offset from request does not match offset of resource",
            "expected-offset": 12_500,
            "provided-offset": 25_000
        }),
    );
    problem(
        &append("?0", 12_500, "Upload-Length: 125001", b"content"),
        "HTTP/1.1 400 Bad Request",
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#inconsistent-upload-length",
            "title": "inconsistent length values for upload"
        }),
    );
    assert_eq!(append("?1", 12_500, "Upload-Length: 125000", &noise(112_500, 12)).status, 201);
    problem(
        &append("?0", 125_000, "Upload-Length: 125000", b""),
        "HTTP/1.1 400 Bad Request",
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#completed-upload",
            "title": "upload is already completed"
        }),
    );
}
