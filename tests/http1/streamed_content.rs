//! RFC 9112 §6.1 and §7.1: response content of unknown length.

use spindle::http1::Settings;
use spindle::http1::limits::{OUTPUT_BYTES_FULL, WRITE_STALL_NS};

use crate::driver::{Driver, ReadMode};
use crate::script::get;
use crate::service::TestService;

fn run(request: &str, read_mode: ReadMode) -> Driver<TestService> {
    let mut driver = Driver::new(TestService, Settings { send_date: false, ..Settings::default() }, read_mode);
    driver.send(request.as_bytes());
    driver.read_all();
    driver
}

/// Decodes the chunked content of one response. Returns the content, and the bytes after it.
#[track_caller]
fn decode(mut coded: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut content = Vec::new();
    loop {
        let line_end = coded.windows(2).position(|pair| pair == b"\r\n").expect("a chunk's size");
        let size = std::str::from_utf8(&coded[..line_end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let (size, data) = (size.expect("hexadecimal digits"), &coded[line_end + 2..]);
        content.extend_from_slice(&data[..size]);
        assert_eq!(&data[size..size + 2], b"\r\n", "after a chunk's data");
        coded = &data[size + 2..];
        if size == 0 {
            return (content, coded);
        }
    }
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn content_of_unknown_length_is_sent_in_chunks_and_the_connection_is_kept() {
    for bytes in [0, 1, 1000, 1001, 3 * OUTPUT_BYTES_FULL] {
        for read_mode in [ReadMode::Immediate, ReadMode::ByteByByte, ReadMode::Deferred] {
            let request = get(&format!("/stream/{bytes}"), "") + &get("/next", "");
            let driver = run(&request, read_mode);
            let coded = driver.output.strip_prefix(CHUNKED).expect("a head that says chunked");
            let (content, rest) = decode(coded);
            assert!(content == vec![b'r'; bytes], "{bytes} {read_mode:?}");
            assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n") && rest.ends_with(b"/next"), "{}", rest.escape_ascii());
            assert!(!driver.eof_sent && !driver.aborted);
        }
    }
}

#[test]
fn the_response_to_head_says_chunked_and_has_no_content() {
    let driver = run("HEAD /stream/5 HTTP/1.1\r\nHost: h\r\n\r\n", ReadMode::Immediate);
    assert_eq!(driver.output.escape_ascii().to_string(), CHUNKED.escape_ascii().to_string());
    assert!(!driver.eof_sent);
}

#[test]
fn an_http_10_client_gets_content_of_unknown_length_delimited_by_close() {
    for lines in ["", "Connection: keep-alive\r\n"] {
        let request = format!("GET /stream/5000 HTTP/1.0\r\n{lines}\r\nGET /next HTTP/1.0\r\n\r\n");
        let driver = run(&request, ReadMode::Immediate);
        let content = driver.output.strip_prefix(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").expect("such a head");
        assert!(content == [b'r'; 5000], "the content is not encoded, and nothing follows it");
        assert!(driver.eof_sent && !driver.aborted);
    }
}

#[test]
fn content_that_fails_closes_the_connection_without_the_last_chunk() {
    for bytes in [0, 2500] {
        for version in ["1.1", "1.0"] {
            let driver = run(&format!("GET /broken/{bytes} HTTP/{version}\r\nHost: h\r\n\r\n"), ReadMode::Immediate);
            assert!(driver.aborted && !driver.eof_sent, "a client must not mistake the content for complete");
            assert!(driver.connection.is_closed());
            assert!(!driver.output.ends_with(b"0\r\n\r\n"), "{}", driver.output.escape_ascii());
        }
    }
}

#[test]
fn a_pending_source_is_polled_again_while_queued_bytes_are_sent() {
    for read_mode in [ReadMode::Immediate, ReadMode::ByteByByte] {
        let driver = run(&(get("/slow/2500", "") + &get("/next", "")), read_mode);
        let (content, rest) = decode(driver.output.strip_prefix(CHUNKED).expect("a head that says chunked"));
        assert!(content == [b'r'; 2500]);
        assert!(rest.ends_with(b"/next"), "{}", rest.escape_ascii());
    }
}

#[test]
fn a_slow_source_does_not_use_up_the_write_stall_timeout() {
    let mut driver = Driver::new(TestService, Settings { send_date: false, ..Settings::default() }, ReadMode::Deferred);
    driver.send(get("/slow/2500", "").as_bytes());
    // Much longer in total than the write-stall timeout.
    for _ in 0..8 {
        driver.read(usize::MAX);
        if driver.output.ends_with(b"\r\n0\r\n\r\n") {
            break;
        }
        driver.advance_clock(WRITE_STALL_NS * 3 / 4);
        assert!(!driver.connection.is_closed());
    }
    assert_eq!(decode(driver.output.strip_prefix(CHUNKED).expect("a head that says chunked")).0.len(), 2500);
}
