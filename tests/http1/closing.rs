//! RFC 9112 §9.6: the gentle end of a connection, which leaves the peer the time to read the last answer.

use spindle::http1::limits::{
    DRAIN_BYTES_MAX, DRAIN_NS, DRAIN_SHORT_NS, DRAIN_SILENCE_NS, DRAIN_SILENCE_SHORT_NS, SECOND_NS, SHUTDOWN_IDLE_NS,
};
use spindle::http1::{Settings, Step};

use crate::driver::{Driver, Reading};
use crate::response_reader::read_all;
use crate::script::{assert_closes, get, post};
use crate::service::Probe;

const PIECE: &[u8] = &[b'x'; 65_536];

fn driver() -> Driver<Probe> {
    Driver::new(Probe, Settings::default(), Reading::Everything)
}

const PROTOCOL_ERROR: &[u8] = b"GET /\0";

/// A connection that has been ended by a protocol error; the peer has not ended its side.
fn draining_connection() -> Driver<Probe> {
    let mut driver = driver();
    driver.receive(PROTOCOL_ERROR);
    assert!(driver.ended && !driver.connection.is_closed());
    driver
}

#[test]
fn the_server_half_closes_right_after_the_last_response() {
    let mut driver = driver();
    driver.receive(get("/", "Connection: close\r\n").as_bytes());
    assert!(driver.ended, "the peer need not wait for the end");
    assert!(!driver.connection.is_closed(), "a socket that is closed too early destroys the answer");
    driver.receive_end();
    assert!(driver.connection.is_closed());
}

#[test]
fn a_client_that_still_sends_ten_megabytes_is_drained() {
    let mut driver = draining_connection();
    for _ in 0..160 {
        driver.receive(PIECE);
        assert!(driver.connection.wants_input() && !driver.connection.is_closed());
    }
    driver.receive_end();
    assert!(driver.connection.is_closed());
    assert_eq!(read_all(&driver.output, &[]).len(), 1);
}

#[test]
fn draining_is_limited_in_bytes() {
    let mut driver = draining_connection();
    // The head that offended is drained as well.
    driver.receive(&PIECE[PROTOCOL_ERROR.len()..]);
    for _ in 1..DRAIN_BYTES_MAX / PIECE.len() as u64 {
        driver.receive(PIECE);
    }
    assert!(!driver.connection.is_closed(), "at the limit");
    driver.receive(b"x");
    assert!(driver.connection.is_closed(), "one past the limit");
}

#[test]
fn draining_ends_after_a_silence() {
    let mut driver = draining_connection();
    assert_eq!(driver.patience_ns(), Some(DRAIN_SILENCE_NS));
    driver.wait_ns(DRAIN_SILENCE_NS - 1);
    assert!(!driver.connection.is_closed());
    driver.receive(b"x");
    assert_eq!(driver.patience_ns(), Some(DRAIN_SILENCE_NS));
    driver.wait_ns(DRAIN_SILENCE_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn draining_ends_after_a_fixed_time_even_if_bytes_keep_coming() {
    let mut driver = draining_connection();
    for _ in 1..DRAIN_NS / SECOND_NS {
        driver.wait_ns(SECOND_NS);
        driver.receive(b"x");
        assert!(!driver.connection.is_closed());
    }
    driver.wait_ns(SECOND_NS - 1);
    assert!(!driver.connection.is_closed());
    driver.wait_ns(1);
    assert!(driver.connection.is_closed());
}

#[test]
fn the_server_half_closes_only_after_all_output_has_been_sent() {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::ByteByByte);
    driver.receive(get("/source/2000", "Connection: close\r\n").as_bytes());
    assert!(driver.ended);
    assert_eq!(read_all(&driver.output, &["GET"])[0].content.as_ref().map(Vec::len), Some(2000));
}

#[test]
fn requests_after_a_protocol_error_get_no_response() {
    let mut driver = draining_connection();
    let before = driver.output.len();
    driver.receive(get("/", "").as_bytes());
    driver.receive(b"\r\n\r\n");
    assert_eq!((driver.output.len(), driver.service.seen().len()), (before, 0));
}

#[test]
fn a_protocol_error_within_content_drops_the_upload() {
    let told = assert_closes(post("Transfer-Encoding: chunked\r\n", "5\r\nabcde\r\nx"), &[400]);
    assert!(!told.seen[0].is_complete);
}

#[test]
fn a_half_close_between_requests_closes_the_connection() {
    let mut driver = driver();
    driver.receive(get("/", "").as_bytes());
    let before = driver.output.len();
    driver.wait_ns(40 * SECOND_NS);
    driver.receive_end();
    assert_eq!(driver.output.len(), before);
    assert!(driver.ended && driver.connection.is_closed());
}

#[test]
fn a_queued_half_close_gets_the_full_write_stall_timeout() {
    // The last thing sent is older than any stall may be; what is owed now is not.
    let mut driver = driver();
    driver.receive(get("/", "").as_bytes());
    driver.wait_ns(40 * SECOND_NS);
    driver.connection.received_eof();
    assert!(driver.think());
    driver.wait_ns(SECOND_NS);
    assert!(!driver.connection.is_closed());
    driver.read_all();
    assert!(driver.ended);
}

#[test]
fn graceful_shutdown_gives_connections_without_a_request_one_second() {
    let fresh = driver();
    let mut kept = driver();
    kept.receive(get("/", "").as_bytes());
    let mut within_head = driver();
    within_head.receive(b"GET / HT");
    for mut driver in [fresh, kept, within_head] {
        driver.wait_ns(SECOND_NS);
        driver.connection.begin_shutdown(&driver.now);
        driver.wait_ns(SHUTDOWN_IDLE_NS - 1);
        assert!(!driver.connection.is_closed());
        driver.wait_ns(1);
        driver.read_all();
        assert!(driver.connection.is_closed() || driver.ended);
    }
}

#[test]
fn a_request_received_within_that_second_gets_a_response() {
    let mut driver = driver();
    driver.receive(get("/", "").as_bytes());
    driver.connection.begin_shutdown(&driver.now);
    driver.wait_ns(SHUTDOWN_IDLE_NS - 1);
    driver.receive(get("/on-its-way", "").as_bytes());
    let answers = read_all(&driver.output, &["GET", "GET"]);
    assert!(answers.len() == 2 && !answers[0].says_close() && answers[1].says_close(), "{answers:?}");
    assert_eq!(answers[1].text(), "/on-its-way");
    assert!(driver.ended);
}

#[test]
fn draining_is_shorter_during_graceful_shutdown() {
    let mut driver = draining_connection();
    assert_eq!(driver.patience_ns(), Some(DRAIN_SILENCE_NS));
    driver.connection.begin_shutdown(&driver.now);
    assert_eq!(driver.patience_ns(), Some(DRAIN_SILENCE_SHORT_NS));
    let started_ns = driver.now.monotonic_ns;
    while !driver.connection.is_closed() {
        driver.receive(b"a");
        driver.wait_ns(DRAIN_SILENCE_SHORT_NS / 2);
    }
    assert!(driver.now.monotonic_ns - started_ns <= DRAIN_SHORT_NS, "a client that drips is not drained for longer");
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
        driver.receive(first.as_bytes());
        driver.connection.begin_shutdown(&driver.now);
        assert!(!driver.connection.is_closed(), "{first}");
        driver.receive(rest.as_bytes());
        driver.receive(get("/late", "").as_bytes());
        let answers = read_all(&driver.output, &["GET"]);
        assert!(answers.len() == 1 && answers[0].says_close() && driver.ended, "{answers:?}");
    }
}

#[test]
fn graceful_shutdown_sends_queued_responses() {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::Late);
    driver.receive(get("/source/2000", "").as_bytes());
    driver.connection.begin_shutdown(&driver.now);
    assert!(!driver.connection.is_closed());
    driver.read_all();
    assert_eq!(read_all(&driver.output, &["GET"])[0].content.as_ref().map(Vec::len), Some(2000));
    driver.wait_ns(SHUTDOWN_IDLE_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn a_closed_connection_does_nothing() {
    let mut driver = draining_connection();
    driver.receive_end();
    assert!(!driver.connection.wants_input());
    assert!(driver.connection.transmit().is_none());
    assert_eq!(driver.patience_ns(), None);
    assert_eq!(driver.connection.process(&mut driver.service, &mut driver.shared, &driver.now), Step::Idle);
}
