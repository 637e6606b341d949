//! RFC 9112 §9.6: closing in stages. The server half-closes, then drains: the client has time to read the last response.

use spindle::http1::Settings;
use spindle::http1::limits::{
    DRAIN_BYTES_MAX, DRAIN_NS, DRAIN_SHORT_NS, DRAIN_SILENCE_NS, DRAIN_SILENCE_SHORT_NS, SECOND_NS, SHUTDOWN_IDLE_NS,
};
use spindle::semantics::exchange_record::Outcome;

use crate::driver::{Driver, ReadMode};
use crate::response_reader::parse_responses;
use crate::script::{assert_closes, get, post};
use crate::service::TestService;

const PIECE: &[u8] = &[b'x'; 65_536];

fn driver() -> Driver<TestService> {
    Driver::new(TestService, Settings::default(), ReadMode::Immediate)
}

const PROTOCOL_ERROR: &[u8] = b"GET /\0";

/// A connection that the server has half-closed after a protocol error. The client has not half-closed.
fn draining_connection() -> Driver<TestService> {
    let mut driver = driver();
    driver.send(PROTOCOL_ERROR);
    assert!(driver.eof_sent && !driver.connection.is_closed());
    driver
}

#[test]
fn the_server_half_closes_right_after_the_last_response() {
    let mut driver = driver();
    driver.send(get("/", "Connection: close\r\n").as_bytes());
    assert!(driver.eof_sent, "the server half-closes without waiting for the client");
    assert!(!driver.connection.is_closed(), "closing now would reset the connection, and the response could be lost");
    driver.half_close();
    assert!(driver.connection.is_closed());
}

#[test]
fn a_client_that_still_sends_ten_megabytes_is_drained() {
    let mut driver = draining_connection();
    for _ in 0..160 {
        driver.send(PIECE);
        assert!(driver.connection.wants_input() && !driver.connection.is_closed());
    }
    driver.half_close();
    assert!(driver.connection.is_closed());
    assert_eq!(parse_responses(&driver.output, &[]).len(), 1);
}

#[test]
fn draining_is_limited_in_bytes() {
    let mut driver = draining_connection();
    // The invalid head counts too.
    driver.send(&PIECE[PROTOCOL_ERROR.len()..]);
    for _ in 1..DRAIN_BYTES_MAX / PIECE.len() as u64 {
        driver.send(PIECE);
    }
    assert!(!driver.connection.is_closed(), "at the limit");
    driver.send(b"x");
    assert!(driver.connection.is_closed(), "one past the limit");
}

#[test]
fn draining_is_limited_in_bytes_while_the_last_response_is_unread() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    driver.send(PROTOCOL_ERROR);
    driver.send(&PIECE[PROTOCOL_ERROR.len()..]);
    for _ in 1..DRAIN_BYTES_MAX / PIECE.len() as u64 {
        driver.send(PIECE);
    }
    assert!(driver.connection.wants_input(), "at the limit");
    driver.send(b"x");
    assert!(!driver.connection.wants_input() && !driver.connection.is_closed(), "one past the limit");
    driver.read_all();
    assert!(driver.connection.is_closed());
    assert_eq!(parse_responses(&driver.output, &[]).len(), 1);
}

#[test]
fn draining_ends_after_a_silence() {
    let mut driver = draining_connection();
    assert_eq!(driver.time_to_deadline_ns(), Some(DRAIN_SILENCE_NS));
    driver.advance_clock(DRAIN_SILENCE_NS - 1);
    assert!(!driver.connection.is_closed());
    driver.send(b"x");
    assert_eq!(driver.time_to_deadline_ns(), Some(DRAIN_SILENCE_NS));
    driver.advance_clock(DRAIN_SILENCE_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn draining_ends_after_a_fixed_time_even_if_bytes_keep_coming() {
    let mut driver = draining_connection();
    for _ in 1..DRAIN_NS / SECOND_NS {
        driver.advance_clock(SECOND_NS);
        driver.send(b"x");
        assert!(!driver.connection.is_closed());
    }
    driver.advance_clock(SECOND_NS - 1);
    assert!(!driver.connection.is_closed());
    driver.advance_clock(1);
    assert!(driver.connection.is_closed());
}

#[test]
fn the_server_half_closes_only_after_all_output_has_been_sent() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::ByteByByte);
    driver.send(get("/source/2000", "Connection: close\r\n").as_bytes());
    assert!(driver.eof_sent);
    assert_eq!(parse_responses(&driver.output, &["GET"])[0].content.as_ref().map(Vec::len), Some(2000));
}

#[test]
fn requests_after_a_protocol_error_get_no_response() {
    let mut driver = draining_connection();
    let before = driver.output.len();
    driver.send(get("/", "").as_bytes());
    driver.send(b"\r\n\r\n");
    assert_eq!((driver.output.len(), driver.service.requests().len()), (before, 0));
}

#[test]
fn a_protocol_error_within_content_drops_the_upload() {
    let result = assert_closes(post("Transfer-Encoding: chunked\r\n", "5\r\nabcde\r\nx"), &[400]);
    assert!(!result.requests[0].is_complete);
}

#[test]
fn a_half_close_between_requests_closes_the_connection() {
    let mut driver = driver();
    driver.send(get("/", "").as_bytes());
    let before = driver.output.len();
    driver.advance_clock(40 * SECOND_NS);
    driver.half_close();
    assert_eq!(driver.output.len(), before);
    assert!(driver.eof_sent && driver.connection.is_closed());
}

#[test]
fn a_queued_half_close_gets_the_full_write_stall_timeout() {
    // The last byte was sent longer ago than the write-stall timeout, but the half-close has only just been queued.
    let mut driver = driver();
    driver.send(get("/", "").as_bytes());
    driver.advance_clock(40 * SECOND_NS);
    driver.connection.received_eof();
    assert!(driver.process());
    driver.advance_clock(SECOND_NS);
    assert!(!driver.connection.is_closed());
    driver.read_all();
    assert!(driver.eof_sent);
}

#[test]
fn graceful_shutdown_gives_connections_without_a_request_one_second() {
    let fresh = driver();
    let mut kept = driver();
    kept.send(get("/", "").as_bytes());
    let mut within_head = driver();
    within_head.send(b"GET / HT");
    for mut driver in [fresh, kept, within_head] {
        driver.advance_clock(SECOND_NS);
        driver.connection.begin_shutdown(&driver.now);
        driver.advance_clock(SHUTDOWN_IDLE_NS - 1);
        assert!(!driver.connection.is_closed());
        driver.advance_clock(1);
        driver.read_all();
        assert!(driver.connection.is_closed() || driver.eof_sent);
    }
}

#[test]
fn a_request_in_the_first_second_of_graceful_shutdown_gets_a_response() {
    let mut driver = driver();
    driver.send(get("/", "").as_bytes());
    driver.connection.begin_shutdown(&driver.now);
    driver.advance_clock(SHUTDOWN_IDLE_NS - 1);
    driver.send(get("/on-its-way", "").as_bytes());
    let responses = parse_responses(&driver.output, &["GET", "GET"]);
    assert!(responses.len() == 2 && !responses[0].says_close() && responses[1].says_close(), "{responses:?}");
    assert_eq!(responses[1].text(), "/on-its-way");
    assert!(driver.eof_sent);
}

#[test]
fn draining_is_shorter_during_graceful_shutdown() {
    let mut driver = draining_connection();
    assert_eq!(driver.time_to_deadline_ns(), Some(DRAIN_SILENCE_NS));
    driver.connection.begin_shutdown(&driver.now);
    assert_eq!(driver.time_to_deadline_ns(), Some(DRAIN_SILENCE_SHORT_NS));
    let started_ns = driver.now.monotonic_ns;
    while !driver.connection.is_closed() {
        driver.send(b"a");
        driver.advance_clock(DRAIN_SILENCE_SHORT_NS / 2);
    }
    assert!(driver.now.monotonic_ns - started_ns <= DRAIN_SHORT_NS, "single bytes do not prolong draining");
}

#[test]
fn responses_during_graceful_shutdown_say_connection_close() {
    for (first, rest) in [
        (get("/", "")[..20].to_owned(), get("/", "")[20..].to_owned()),
        (post("Content-Length: 2\r\n", "a"), "b".to_owned()),
        (get("/", "Content-Length: 2\r\n") + "a", "b".to_owned()),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n".to_owned(), "\r\n".to_owned()),
    ] {
        let mut driver = driver();
        driver.send(first.as_bytes());
        driver.connection.begin_shutdown(&driver.now);
        assert!(!driver.connection.is_closed(), "{first}");
        driver.send(rest.as_bytes());
        driver.send(get("/late", "").as_bytes());
        let responses = parse_responses(&driver.output, &["GET"]);
        assert!(responses.len() == 1 && responses[0].says_close() && driver.eof_sent, "{responses:?}");
    }
}

#[test]
fn graceful_shutdown_sends_queued_responses() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    driver.send(get("/source/2000", "").as_bytes());
    driver.connection.begin_shutdown(&driver.now);
    assert!(!driver.connection.is_closed());
    driver.read_all();
    assert_eq!(parse_responses(&driver.output, &["GET"])[0].content.as_ref().map(Vec::len), Some(2000));
    driver.advance_clock(SHUTDOWN_IDLE_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn a_closed_connection_sends_nothing_more() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Deferred);
    driver.send(get("/", "").as_bytes());
    assert!(driver.connection.transmit(&driver.now).is_some());
    driver.connection.close(Outcome::ServerClosed, &mut driver.shared, &driver.now);
    assert!(driver.connection.transmit(&driver.now).is_none());
}

/// The socket can fail before the connection goes idle and passes on what it has gathered.
#[test]
fn a_connection_that_closes_passes_gathered_content_only_to_the_sink_of_a_resumable_upload() {
    for (path, expected) in [("/resumable", &b"abc"[..]), ("/", b"")] {
        let mut driver = driver();
        driver.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n").as_bytes());
        driver.connection.input_space(&mut driver.shared, &driver.now)[..3].copy_from_slice(b"abc");
        driver.connection.received(3, &driver.now);
        driver.process();
        assert_eq!(driver.service.last_content(), b"", "the connection is not idle yet");
        driver.connection.close(Outcome::CutOff, &mut driver.shared, &driver.now);
        assert_eq!(driver.service.last_content(), expected);
    }
}

#[test]
fn a_closed_connection_does_nothing() {
    let mut driver = draining_connection();
    driver.half_close();
    assert!(!driver.connection.wants_input());
    assert!(driver.connection.transmit(&driver.now).is_none());
    assert_eq!(driver.time_to_deadline_ns(), None);
    assert!(driver.connection.process(&mut driver.service, &mut driver.shared, &driver.now).is_idle());
}
