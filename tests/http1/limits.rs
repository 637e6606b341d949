//! Every limit of the protocol core: at the limit, and one past it. The times are in `timeouts` and `closing`.

use spindle::http1::Settings;
use spindle::http1::limits::*;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, ReadMode};
use crate::script::{
    assert_closes, assert_incomplete, assert_rejected, assert_stays_open, get, post, routes_script, script,
};
use crate::service::TestService;

/// A GET whose request-line has `bytes` bytes, without its CRLF.
fn request_line(bytes: usize) -> String {
    let around = "GET / HTTP/1.1".len();
    format!("GET /{} HTTP/1.1\r\n", "a".repeat(bytes - around))
}

/// A field section of `bytes` bytes, its CRLFs and the empty line included.
fn section(bytes: usize) -> String {
    let around = "A: \r\n\r\n".len();
    format!("A: {}\r\n\r\n", "a".repeat(bytes - around))
}

#[test]
fn request_line_bytes_max() {
    assert_stays_open(request_line(REQUEST_LINE_BYTES_MAX) + "\r\n", &[200]);
    assert_rejected(request_line(REQUEST_LINE_BYTES_MAX + 1) + "\r\n", RequestLineTooLong);
    assert_rejected(request_line(2 * REQUEST_LINE_BYTES_MAX) + "\r\n", RequestLineTooLong);
    assert_rejected(format!("GET /{}", "a".repeat(REQUEST_LINE_BYTES_MAX)), RequestLineTooLong);
    let percent = format!("GET /{} HTTP/1.1\r\n\r\n", "%41".repeat(REQUEST_LINE_BYTES_MAX / 3));
    assert_rejected(percent, RequestLineTooLong);
    // The limit is a position: a protocol error before it is reported instead.
    assert_rejected(request_line(REQUEST_LINE_BYTES_MAX + 1).replace('/', "#"), TargetFragment);
    const { assert!(REQUEST_LINE_BYTES_MAX >= 8000, "RFC 9112 §3 recommends at least 8000") };
}

#[test]
fn method_bytes_max() {
    let line = |bytes: usize| format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(bytes));
    assert_stays_open(line(METHOD_BYTES_MAX), &[501]);
    assert_rejected(line(METHOD_BYTES_MAX + 1), MethodTooLong);
    assert_rejected("A".repeat(METHOD_BYTES_MAX + 1), MethodTooLong);
    assert_incomplete("A".repeat(METHOD_BYTES_MAX), HeadIncomplete);
}

#[test]
fn field_section_bytes_max() {
    let request = |bytes: usize| format!("GET / HTTP/1.1\r\n{}", section(bytes));
    assert_stays_open(request(FIELD_SECTION_BYTES_MAX), &[200]);
    assert_rejected(request(FIELD_SECTION_BYTES_MAX + 1), FieldSectionTooLarge);
    assert_rejected(request(FIELD_SECTION_BYTES_MAX + 2), FieldSectionTooLarge);
    assert_rejected(request(2 * FIELD_SECTION_BYTES_MAX), FieldSectionTooLarge);
}

#[test]
fn field_section_bytes_max_of_trailers() {
    let request = |bytes: usize| post("Transfer-Encoding: chunked\r\n", "0\r\n") + &section(bytes);
    assert_stays_open(request(FIELD_SECTION_BYTES_MAX), &[201]);
    script(request(FIELD_SECTION_BYTES_MAX + 1)).assert_rejected(FieldSectionTooLarge);
}

#[test]
fn field_lines_max() {
    let lines = |count: usize| "A: b\r\n".repeat(count) + "\r\n";
    assert_stays_open(format!("GET / HTTP/1.1\r\n{}", lines(FIELD_LINES_MAX)), &[200]);
    assert_rejected(format!("GET / HTTP/1.1\r\n{}", lines(FIELD_LINES_MAX + 1)), FieldLinesTooMany);
    assert_rejected(format!("GET / HTTP/1.1\r\n{}", lines(10_000)), FieldLinesTooMany);
    let chunked = post("Transfer-Encoding: chunked\r\n", "0\r\n");
    assert_stays_open(chunked.clone() + &lines(FIELD_LINES_MAX), &[201]);
    script(chunked + &lines(FIELD_LINES_MAX + 1)).assert_rejected(FieldLinesTooMany);
}

#[test]
fn receive_buffer_bytes() {
    let longest = request_line(REQUEST_LINE_BYTES_MAX) + &section(FIELD_SECTION_BYTES_MAX);
    assert_stays_open(format!("\r\n{longest}"), &[200]);
    assert_stays_open(longest.repeat(3), &[200, 200, 200]);

    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    driver.send(get("/source/1", "").as_bytes());
    let mut waiting = 0;
    while driver.connection.wants_input() {
        driver.send(b"x");
        waiting += 1;
        assert!(waiting <= RECEIVE_BUFFER_BYTES);
    }
    assert_eq!(waiting, RECEIVE_BUFFER_BYTES, "nothing more is received from a client that does not read");
}

#[test]
fn interim_responses_to_a_client_that_does_not_read_are_limited() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    driver.send(b"POST /resumable HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    for _ in 0..10_000 {
        driver.send(b"x");
    }
    assert_eq!(driver.service.last_content().len(), 10_000);
    driver.read_all();
    assert!(driver.output.starts_with(b"HTTP/1.1 104 "));
    assert!((OUTPUT_BYTES_FULL..OUTPUT_BYTES_FULL + 200).contains(&driver.output.len()), "{}", driver.output.len());
}

#[test]
fn content_length_digits_max() {
    let length = |digits: usize| post(&format!("Content-Length: {}\r\n", "9".repeat(digits)), "");
    assert_incomplete(length(CONTENT_LENGTH_DIGITS_MAX), ContentIncomplete);
    assert_rejected(length(CONTENT_LENGTH_DIGITS_MAX + 1), ContentLengthInvalid);
}

#[test]
fn chunk_size_digits_max() {
    let size = |digits: u8| {
        let zeros = "0".repeat(usize::from(digits) - 1);
        post("Transfer-Encoding: chunked\r\n", &format!("{zeros}1\r\na\r\n0\r\n\r\n"))
    };
    assert_stays_open(size(CHUNK_SIZE_DIGITS_MAX), &[201]);
    script(size(CHUNK_SIZE_DIGITS_MAX + 1)).assert_rejected(ChunkSizeInvalid);
}

#[test]
fn chunk_overhead_bytes_free() {
    // The semicolon and the CR after the extension count too.
    let extended = |bytes: u64| format!(";{}\r", "a".repeat(usize::try_from(bytes).unwrap() - 2));
    let request = |content: &str| post("Transfer-Encoding: chunked\r\n", content);
    let free = CHUNK_OVERHEAD_BYTES_FREE;
    assert_stays_open(request(&format!("0{}\n\r\n", extended(free))), &[201]);
    script(request(&format!("0{}\n\r\n", extended(free + 1)))).assert_rejected(ChunkOverheadTooLarge);
    // The overhead of all lines is added up.
    let line = format!("1{}\na\r\n", extended(free / 16));
    script(request(&(line.repeat(17) + "0\r\n\r\n"))).assert_rejected(ChunkOverheadTooLarge);
    // Beyond the free bytes, the overhead may be as long as the content.
    let content = format!("{:x}\r\n{}\r\n", free + 1, "c".repeat(usize::try_from(free).unwrap() + 1));
    assert_stays_open(request(&format!("{content}0{}\n\r\n", extended(free + 1))), &[201]);
    script(request(&format!("{content}0{}\n\r\n", extended(free + 2)))).assert_rejected(ChunkOverheadTooLarge);
}

#[test]
fn small_chunks_without_extensions_never_exceed_the_overhead_limit() {
    let chunks = usize::try_from(CHUNK_OVERHEAD_BYTES_FREE).unwrap() / 4;
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    driver.send(post("Transfer-Encoding: chunked\r\n", "").as_bytes());
    driver.send(("1\r\na\r\n".repeat(chunks) + "0\r\n\r\n").as_bytes());
    assert_eq!(driver.service.requests()[0].content.len(), chunks);
}

#[test]
fn leading_zeros_count_as_overhead() {
    let chunks = usize::try_from(CHUNK_OVERHEAD_BYTES_FREE).unwrap() / 15;
    let chunk = format!("{}1\r\na\r\n", "0".repeat(15));
    let request = |chunks: usize| post("Transfer-Encoding: chunked\r\n", "") + &chunk.repeat(chunks) + "0\r\n\r\n";
    let status_of = |chunks: usize| {
        let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
        driver.send(request(chunks).as_bytes());
        driver.output[9..12].to_vec()
    };
    assert_eq!(status_of(chunks), b"201");
    assert_eq!(status_of(chunks + 1), b"400");
}

#[test]
fn discarded_content_bytes_max_of_an_announced_length() {
    let request = |bytes: u64| get("/", &format!("Content-Length: {bytes}\r\n"));
    let content = "a".repeat(usize::try_from(DISCARDED_CONTENT_BYTES_MAX).unwrap());
    assert_stays_open(request(DISCARDED_CONTENT_BYTES_MAX) + &content, &[200]);
    // Longer content is not read at all: the connection closes.
    assert_closes(request(DISCARDED_CONTENT_BYTES_MAX + 1), &[200]);
    let too_long = DISCARDED_CONTENT_BYTES_MAX + 1;
    assert_closes(format!("POST /limited HTTP/1.1\r\nHost: h\r\nContent-Length: {too_long}\r\n\r\n123456789"), &[413]);
}

#[test]
fn discarded_content_bytes_max_of_chunks() {
    let request = |target: &str, bytes: u64| {
        let content = "a".repeat(usize::try_from(bytes).unwrap());
        format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{content}\r\n0\r\n\r\n"
        )
    };
    assert_stays_open(request("/refuse", DISCARDED_CONTENT_BYTES_MAX), &[403]);
    assert_closes(request("/refuse", DISCARDED_CONTENT_BYTES_MAX + 1), &[403]);
    assert_closes(request("/limited", DISCARDED_CONTENT_BYTES_MAX), &[413]);
}

#[test]
fn the_longest_text_that_fits_in_a_request_is_echoed_completely() {
    let target = format!("/echo/{}", "a".repeat(REQUEST_LINE_BYTES_MAX - "GET /echo/ HTTP/1.1".len()));
    let result = routes_script(format!("GET {target} HTTP/1.1\r\n\r\n")).assert_stays_open(&[200]);
    assert_eq!(result.response().text().len(), target.len() - "/echo/".len());
    let agent = "a".repeat(FIELD_SECTION_BYTES_MAX - "User-Agent: \r\n\r\n".len());
    let result =
        routes_script(format!("GET /user-agent HTTP/1.1\r\nUser-Agent: {agent}\r\n\r\n")).assert_stays_open(&[200]);
    assert_eq!(result.response().text(), agent);
}

#[test]
fn a_connection_with_empty_buffers_owns_no_memory() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    driver.send(get("/", "").as_bytes());
    assert_eq!(driver.connection.memory_bytes(), 0);
    driver.send(b"GET / HTTP/1.1\r\n");
    let bytes = driver.connection.memory_bytes();
    assert!((IDLE_BUFFER_BYTES..2 * IDLE_BUFFER_BYTES).contains(&bytes), "{bytes}");
}
