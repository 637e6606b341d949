//! RFC 9112 §6.2 and §6.3, RFC 9110 §8.6: Content-Length.

use spindle::http1::Settings;
use spindle::http1::limits::{CONTENT_BUFFER_BYTES, CONTENT_BUFFERS_MAX, RECEIVE_BUFFER_BYTES};
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, ReadMode};
use crate::script::{assert_closes, assert_incomplete, assert_rejected, assert_stays_open, get, post};
use crate::service::TestService;

fn length(value: &str, content: &str) -> String {
    post(&format!("Content-Length: {value}\r\n"), content)
}

#[test]
fn content_has_the_announced_length_and_the_next_request_follows_it() {
    for content in ["", "a", "abcde", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let result = assert_stays_open(length(&content.len().to_string(), content), &[201]);
        assert_eq!(result.content(), content.as_bytes());
    }
    assert_eq!(assert_stays_open(length("  5\t ", "abcde"), &[201]).content(), b"abcde");
}

#[test]
fn a_content_length_with_anything_but_digits_is_rejected() {
    assert_rejected(length("+5", "abcde"), ContentLengthInvalid);
    assert_rejected(length("-5", "abcde"), ContentLengthInvalid);
    assert_rejected(length("-0", ""), ContentLengthInvalid);
    assert_rejected(length("", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5 5", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5,5", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5, 5", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5,", "abcde"), ContentLengthInvalid);
    assert_rejected(length(",5", "abcde"), ContentLengthInvalid);
    assert_rejected(length("0x5", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5_0", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5.0", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5e0", "abcde"), ContentLengthInvalid);
    assert_rejected(length("five", "abcde"), ContentLengthInvalid);
    assert_rejected(length("a", "abcde"), ContentLengthInvalid);
    assert_rejected(length("\"5\"", "abcde"), ContentLengthInvalid);
    assert_rejected(length("5;a=b", "abcde"), ContentLengthInvalid);
    assert_rejected(length("\u{665}", "abcde"), ContentLengthInvalid);
}

/// A parser that reads a number with a leading zero as octal would find a different end of the content.
#[test]
fn leading_zeros_are_rejected() {
    assert_rejected(length("0200", "abcde"), ContentLengthInvalid);
    assert_rejected(length("05", "abcde"), ContentLengthInvalid);
    assert_rejected(length("00", ""), ContentLengthInvalid);
    assert_rejected(length("000000000000000005", "abcde"), ContentLengthInvalid);
    assert_rejected(get("/", "Content-Length: 00\r\n"), ContentLengthInvalid);
    assert_eq!(assert_stays_open(length("0", ""), &[201]).content(), b"");
    assert_stays_open(get("/", "Content-Length: 0\r\n"), &[200]);
}

#[test]
fn a_content_length_with_too_many_digits_is_rejected() {
    assert_rejected(length("0000000000000000005", "abcde"), ContentLengthInvalid);
    assert_rejected(length("99999999999999999999", "abcde"), ContentLengthInvalid);
    assert_rejected(length("18446744073709551621", "abcde"), ContentLengthInvalid);
    assert_rejected(length("4294967301000000000000000000000000000005", "abcde"), ContentLengthInvalid);
}

#[test]
fn a_repeated_content_length_is_rejected_even_if_the_values_are_equal() {
    assert_rejected(post("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde"), ContentLengthRepeated);
    assert_rejected(post("Content-Length: 5\r\ncontent-length: 6\r\n", "abcde"), ContentLengthRepeated);
    assert_rejected(post("Content-Length: 0\r\nA: b\r\nContent-Length: 5\r\n", "abcde"), ContentLengthRepeated);
}

#[test]
fn content_length_together_with_transfer_encoding_is_rejected() {
    assert_rejected(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), FramingAmbiguous);
    assert_rejected(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), FramingAmbiguous);
    assert_rejected(post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "abcde"), FramingAmbiguous);
    assert_rejected(post("Transfer-Encoding:\r\nContent-Length: 5\r\n", "abcde"), FramingAmbiguous);
    assert_rejected(post("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", "0\r\n\r\n"), FramingAmbiguous);
}

#[test]
fn a_request_without_content_length_has_no_content() {
    assert_eq!(assert_stays_open(post("", ""), &[201]).content(), b"");
    assert_stays_open("PUT / HTTP/1.1\r\nHost: h\r\n\r\n", &[201]);
}

#[test]
fn ignored_content_is_discarded_and_the_next_request_starts_after_it() {
    let result = assert_stays_open(get("/a", "Content-Length: 16\r\n") + "GET /b HTTP/1.1\r", &[200]);
    assert_eq!((result.response().text(), result.requests.len()), ("/a", 1));
    assert_stays_open("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    assert_stays_open("OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    assert_stays_open("TRACE / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    assert_stays_open("DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    assert_stays_open("FOO / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[501]);
    assert_stays_open("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[403]);
    assert_stays_open("POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[204]);
    assert_stays_open("GET /source/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
}

#[test]
fn unfinished_content_is_rejected_when_the_client_half_closes() {
    assert_incomplete(length("5", ""), ContentIncomplete);
    assert_incomplete(length("5", "abcd"), ContentIncomplete);
    assert_incomplete(get("/", "Content-Length: 1\r\n"), ContentIncomplete);
}

#[test]
fn content_that_a_sink_rejects_is_discarded_to_its_end() {
    let limited = |bytes: usize| {
        format!("POST /limited HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n{}", "a".repeat(bytes))
    };
    assert_stays_open(limited(8), &[201]);
    assert_stays_open(limited(9), &[413]);
    assert_stays_open(limited(100), &[413]);
}

#[test]
fn a_sink_that_takes_a_byte_at_a_time_gets_all_content() {
    let request = |target: &str, coding: &str, content: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: h\r\n{coding}\r\n{content}")
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(
        assert_stays_open(request("/byte-by-byte", "Content-Length: 5\r\n", "abcde"), &[201]).content(),
        b"abcde"
    );
    let chunks = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(assert_stays_open(request("/byte-by-byte", chunked, chunks), &[201]).content(), b"abcde");
    assert_closes(request("/byte-by-byte", chunked, "3\r\nabc\r\nx"), &[400]);
    assert_incomplete(request("/byte-by-byte", "Content-Length: 6\r\n", "abcde"), ContentIncomplete);
    assert_stays_open(request("/limited-byte-by-byte", "Content-Length: 9\r\n", "abcdefghi"), &[413]);
    assert_closes(request("/limited-byte-by-byte", chunked, "9\r\nabcdefghi\r\nx"), &[413]);
}

#[test]
fn one_crlf_after_content_is_ignored() {
    assert_stays_open(length("5", "abcde\r\n"), &[201]);
    assert_stays_open(length("5", "abcde\r\n") + &length("1", "f\r\n"), &[201, 201]);
}

/// Such pieces fill whole pages when they are written to a file.
#[test]
fn content_is_received_in_pieces_that_end_at_buffer_boundaries() {
    for (piece_bytes, content_bytes) in [
        (RECEIVE_BUFFER_BYTES, RECEIVE_BUFFER_BYTES + 1),
        (CONTENT_BUFFER_BYTES, 4 * CONTENT_BUFFER_BYTES + 1),
        (CONTENT_BUFFER_BYTES, 4 * CONTENT_BUFFER_BYTES + RECEIVE_BUFFER_BYTES),
    ] {
        let stream = post(&format!("Content-Length: {content_bytes}\r\n"), &"x".repeat(content_bytes));
        let head_bytes = stream.len() - content_bytes;
        let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
        let ends: Vec<usize> = receive_all(&mut driver, &stream).into_iter().map(|end| end - head_bytes).collect();
        let whole_pieces: Vec<usize> = (1..=content_bytes / piece_bytes).map(|pieces| pieces * piece_bytes).collect();
        let expected = [&[RECEIVE_BUFFER_BYTES - head_bytes][..], &whole_pieces, &[content_bytes]].concat();
        assert_eq!(ends, expected);
    }
}

/// Receives as much as fits each time. Returns where each call ended.
fn receive_all(driver: &mut Driver<TestService>, stream: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut received = 0;
    while received < stream.len() {
        let space = driver.connection.input_space(&mut driver.shared, &driver.now);
        let bytes = space.len().min(stream.len() - received);
        space[..bytes].copy_from_slice(&stream.as_bytes()[received..received + bytes]);
        driver.connection.received(bytes, &driver.now);
        driver.process();
        received += bytes;
        ends.push(received);
    }
    ends
}

/// The next request may have been received in the same call. It must not keep the buffer.
#[test]
fn the_buffer_for_long_content_is_given_back_at_its_end() {
    for (content_bytes, next) in [
        (2 * RECEIVE_BUFFER_BYTES, String::new()),
        (2 * RECEIVE_BUFFER_BYTES, get("/next", "")),
        (CONTENT_BUFFER_BYTES, get("/next", "")[..9].to_owned()),
        (3 * CONTENT_BUFFER_BYTES, get(&format!("/{}", "x".repeat(10_000)), "")[..9_000].to_owned()),
    ] {
        let content: String = (0..content_bytes).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
        receive_all(&mut driver, &(post(&format!("Content-Length: {content_bytes}\r\n"), &content) + &next));
        assert!(driver.service.requests()[0].content == content.as_bytes());
        driver.connection.release_idle_memory(&mut driver.shared);
        assert_eq!(driver.shared.pool.content_buffers(), 1);
        assert!(driver.shared.pool.memory_bytes() >= CONTENT_BUFFER_BYTES, "the pool has it");
        assert!(driver.connection.memory_bytes() < CONTENT_BUFFER_BYTES);
        if next.len() > 9 && next.len() < 1_000 {
            assert_eq!(driver.service.requests()[1].target, b"/next");
        }
    }
}

/// It is bounded how many there are. Further connections receive into their usual buffer.
#[test]
fn few_connections_have_a_buffer_for_long_content_at_a_time() {
    let content_bytes = 4 * RECEIVE_BUFFER_BYTES;
    let stream = post(&format!("Content-Length: {content_bytes}\r\n"), &"x".repeat(content_bytes));
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    let mut connections = Vec::new();
    for _ in 0..=CONTENT_BUFFERS_MAX {
        receive_all(&mut driver, &stream[..3 * RECEIVE_BUFFER_BYTES]);
        let next = Driver::new(TestService, Settings::default(), ReadMode::Immediate).connection;
        connections.push(std::mem::replace(&mut driver.connection, next));
    }
    assert_eq!(driver.shared.pool.content_buffers(), CONTENT_BUFFERS_MAX);
    let last = connections.pop().unwrap();
    assert!(last.memory_bytes() < CONTENT_BUFFER_BYTES);
    assert!(connections.iter().all(|connection| connection.memory_bytes() >= CONTENT_BUFFER_BYTES));
}

/// Otherwise each later write to the file would begin and end within a page.
#[test]
fn after_content_was_passed_on_early_the_next_piece_ends_at_a_buffer_boundary() {
    const EARLY_BYTES: usize = 1000;
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    driver.send(post(&format!("Content-Length: {}\r\n", 4 * CONTENT_BUFFER_BYTES), "").as_bytes());
    driver.send(&[b'x'; EARLY_BYTES]);
    assert_eq!(driver.service.last_content().len(), EARLY_BYTES);
    assert_eq!(
        driver.connection.input_space(&mut driver.shared, &driver.now).len(),
        CONTENT_BUFFER_BYTES - EARLY_BYTES
    );
}

/// A partial head is moved to a small buffer while the connection is idle. Content that fills it moves to a larger one.
#[test]
fn content_after_a_head_received_in_pieces_is_complete() {
    for content_bytes in [3000, 4096, 5000, 20_000, RECEIVE_BUFFER_BYTES, 3 * CONTENT_BUFFER_BYTES + 1] {
        let content: String = (0..content_bytes).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let stream = post(&format!("Content-Length: {content_bytes}\r\n"), &content) + &get("/next", "");
        for split_at in [1, 30] {
            let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
            // Leaves bytes in the pooled buffer that the next request reuses.
            driver.send(get(&format!("/{}", "x".repeat(10_000)), "").as_bytes());
            driver.send(&stream.as_bytes()[..split_at]);
            driver.send(&stream.as_bytes()[split_at..]);
            driver.read_all();
            let requests = driver.service.requests();
            assert!(requests[1].content == content.as_bytes(), "{content_bytes} {split_at}");
            assert_eq!(requests[2].target, b"/next");
        }
    }
}
