//! RFC 9112 §6.2 and §6.3, RFC 9110 §8.6: content of an announced length.

use spindle::http1::Settings;
use spindle::http1::limits::RECEIVE_BUFFER_BYTES;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, Reading};
use crate::probe::Probe;
use crate::script::{get, keeps, post, refused, waits};

fn length(value: &str, content: &str) -> String {
    post(&format!("Content-Length: {value}\r\n"), content)
}

#[test]
fn so_many_bytes_are_content_and_the_next_is_the_next_request() {
    for content in ["", "a", "abcde", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let told = keeps(length(&content.len().to_string(), content), &[201]);
        assert_eq!(told.content(), content.as_bytes());
    }
    assert_eq!(keeps(length("  5\t ", "abcde"), &[201]).content(), b"abcde");
}

#[test]
fn what_is_not_digits_alone_is_refused() {
    refused(length("+5", "abcde"), ContentLengthInvalid);
    refused(length("-5", "abcde"), ContentLengthInvalid);
    refused(length("-0", ""), ContentLengthInvalid);
    refused(length("", "abcde"), ContentLengthInvalid);
    refused(length("5 5", "abcde"), ContentLengthInvalid);
    refused(length("5,5", "abcde"), ContentLengthInvalid);
    refused(length("5, 5", "abcde"), ContentLengthInvalid);
    refused(length("5,", "abcde"), ContentLengthInvalid);
    refused(length(",5", "abcde"), ContentLengthInvalid);
    refused(length("0x5", "abcde"), ContentLengthInvalid);
    refused(length("5_0", "abcde"), ContentLengthInvalid);
    refused(length("5.0", "abcde"), ContentLengthInvalid);
    refused(length("5e0", "abcde"), ContentLengthInvalid);
    refused(length("five", "abcde"), ContentLengthInvalid);
    refused(length("a", "abcde"), ContentLengthInvalid);
    refused(length("\"5\"", "abcde"), ContentLengthInvalid);
    refused(length("5;a=b", "abcde"), ContentLengthInvalid);
    refused(length("\u{665}", "abcde"), ContentLengthInvalid);
}

/// A reader that takes a number with a zero in front for an octal one would see another end.
#[test]
fn leading_zeros_are_refused() {
    refused(length("0200", "abcde"), ContentLengthInvalid);
    refused(length("05", "abcde"), ContentLengthInvalid);
    refused(length("00", ""), ContentLengthInvalid);
    refused(length("000000000000000005", "abcde"), ContentLengthInvalid);
    refused(get("/", "Content-Length: 00\r\n"), ContentLengthInvalid);
    assert_eq!(keeps(length("0", ""), &[201]).content(), b"");
    keeps(get("/", "Content-Length: 0\r\n"), &[200]);
}

#[test]
fn more_digits_than_any_length_has_are_refused() {
    refused(length("0000000000000000005", "abcde"), ContentLengthInvalid);
    refused(length("99999999999999999999", "abcde"), ContentLengthInvalid);
    refused(length("18446744073709551621", "abcde"), ContentLengthInvalid);
    refused(length("4294967301000000000000000000000000000005", "abcde"), ContentLengthInvalid);
}

#[test]
fn two_lengths_are_refused_even_if_they_are_equal() {
    refused(post("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde"), ContentLengthRepeated);
    refused(post("Content-Length: 5\r\ncontent-length: 6\r\n", "abcde"), ContentLengthRepeated);
    refused(post("Content-Length: 0\r\nA: b\r\nContent-Length: 5\r\n", "abcde"), ContentLengthRepeated);
}

#[test]
fn a_length_beside_a_transfer_encoding_is_refused() {
    refused(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), FramingAmbiguous);
    refused(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), FramingAmbiguous);
    refused(post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "abcde"), FramingAmbiguous);
    refused(post("Transfer-Encoding:\r\nContent-Length: 5\r\n", "abcde"), FramingAmbiguous);
    refused(post("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", "0\r\n\r\n"), FramingAmbiguous);
}

#[test]
fn without_a_length_there_is_no_content() {
    assert_eq!(keeps(post("", ""), &[201]).content(), b"");
    keeps("PUT / HTTP/1.1\r\nHost: h\r\n\r\n", &[201]);
}

#[test]
fn content_of_a_read_is_discarded_and_the_next_request_starts_behind_it() {
    let told = keeps(get("/a", "Content-Length: 16\r\n") + "GET /b HTTP/1.1\r", &[200]);
    assert_eq!((told.answer().text(), told.seen.len()), ("/a", 1));
    keeps("HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    keeps("OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    keeps("TRACE / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    keeps("DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
    keeps("FOO / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[501]);
    keeps("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[403]);
    keeps("POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[204]);
    keeps("GET /source/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", &[200]);
}

#[test]
fn content_that_the_peer_does_not_finish_is_refused_at_its_end() {
    waits(length("5", ""), ContentIncomplete);
    waits(length("5", "abcd"), ContentIncomplete);
    waits(get("/", "Content-Length: 1\r\n"), ContentIncomplete);
}

#[test]
fn a_sink_that_has_enough_answers_and_the_rest_is_discarded() {
    let limited = |bytes: usize| {
        format!("POST /limited HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n{}", "a".repeat(bytes))
    };
    keeps(limited(8), &[201]);
    keeps(limited(9), &[413]);
    keeps(limited(100), &[413]);
}

#[test]
fn a_second_cr_lf_behind_content_is_ignored() {
    keeps(length("5", "abcde\r\n"), &[201]);
    keeps(length("5", "abcde\r\n") + &length("1", "f\r\n"), &[201, 201]);
}

/// Written to a file, such pieces fill whole pages.
#[test]
fn pieces_of_content_end_where_whole_buffers_of_it_do() {
    const CONTENT_BYTES: usize = 4 * RECEIVE_BUFFER_BYTES + 1;
    let stream = post(&format!("Content-Length: {CONTENT_BYTES}\r\n"), &"x".repeat(CONTENT_BYTES));
    let head_bytes = stream.len() - CONTENT_BYTES;
    let mut driver = Driver::new(Probe, Settings::default(), Reading::Everything);
    let mut ends = Vec::new();
    let mut received = 0;
    while received < stream.len() {
        let space = driver.connection.input_space(&mut driver.shared);
        let bytes = space.len().min(stream.len() - received);
        space[..bytes].copy_from_slice(&stream.as_bytes()[received..received + bytes]);
        driver.connection.received(bytes);
        driver.think();
        received += bytes;
        ends.push(received - head_bytes);
    }
    let whole = [1, 2, 3, 4].map(|buffers| buffers * RECEIVE_BUFFER_BYTES);
    let expected = [&[RECEIVE_BUFFER_BYTES - head_bytes][..], &whole, &[CONTENT_BYTES]].concat();
    assert_eq!(ends, expected);
}

/// The buffer of a head that was waited for is small: content that fills it moves to a larger one.
#[test]
fn content_behind_a_head_that_was_waited_for_arrives_whole() {
    for content_bytes in [3000, 4096, 5000, 20_000, RECEIVE_BUFFER_BYTES, 3 * RECEIVE_BUFFER_BYTES + 1] {
        let content: String = (0..content_bytes).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let stream = post(&format!("Content-Length: {content_bytes}\r\n"), &content) + &get("/next", "");
        for waits_at in [1, 30] {
            let mut driver = Driver::new(Probe, Settings::default(), Reading::Everything);
            // Memory that is lent again is not empty.
            driver.receive(get(&format!("/{}", "x".repeat(10_000)), "").as_bytes());
            driver.receive(&stream.as_bytes()[..waits_at]);
            driver.receive(&stream.as_bytes()[waits_at..]);
            driver.read_all();
            let seen = driver.service.seen();
            assert!(seen[1].content == content.as_bytes(), "{content_bytes} {waits_at}");
            assert_eq!(seen[2].target, b"/next");
        }
    }
}
