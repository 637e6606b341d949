//! RFC 9112 §9.6: the gentle end of a connection, which leaves the peer the time to read the last answer.

use spindle::http1::limits::{
    DRAIN_BYTES_MAX, DRAIN_NS, DRAIN_SHORT_NS, DRAIN_SILENCE_NS, DRAIN_SILENCE_SHORT_NS, SECOND_NS, SHUTDOWN_IDLE_NS,
};
use spindle::http1::{Settings, Step};

use crate::driver::{Driver, Reading};
use crate::probe::Probe;
use crate::responses::read_all;
use crate::script::{ends, get, post};

const PIECE: &[u8] = &[b'x'; 65_536];

fn driver() -> Driver<Probe> {
    Driver::new(Probe, Settings::default(), Reading::Everything)
}

const PROTOCOL_ERROR: &[u8] = b"GET /\0";

/// A connection that has been ended by a protocol error; the peer has not ended its side.
fn offended() -> Driver<Probe> {
    let mut driver = driver();
    driver.receive(PROTOCOL_ERROR);
    assert!(driver.ended && !driver.connection.is_closed());
    driver
}

#[test]
fn the_end_follows_the_last_answer_at_once() {
    let mut driver = driver();
    driver.receive(get("/", "Connection: close\r\n").as_bytes());
    assert!(driver.ended, "the peer need not wait for the end");
    assert!(!driver.connection.is_closed(), "a socket that is closed too early destroys the answer");
    driver.receive_end();
    assert!(driver.connection.is_closed());
}

#[test]
fn a_peer_that_still_sends_ten_megabytes_is_listened_to() {
    let mut driver = offended();
    for _ in 0..160 {
        driver.receive(PIECE);
        assert!(driver.connection.wants_input() && !driver.connection.is_closed());
    }
    driver.receive_end();
    assert!(driver.connection.is_closed());
    assert_eq!(read_all(&driver.output, &[]).len(), 1);
}

#[test]
fn what_is_drained_is_bounded_in_bytes() {
    let mut driver = offended();
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
fn draining_ends_some_time_after_the_last_byte() {
    let mut driver = offended();
    assert_eq!(driver.patience_ns(), Some(DRAIN_SILENCE_NS));
    driver.wait_ns(DRAIN_SILENCE_NS - 1);
    assert!(!driver.connection.is_closed());
    driver.receive(b"x");
    assert_eq!(driver.patience_ns(), Some(DRAIN_SILENCE_NS));
    driver.wait_ns(DRAIN_SILENCE_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn draining_ends_some_time_after_the_end_whatever_comes() {
    let mut driver = offended();
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
fn the_writing_side_is_shut_only_when_all_is_sent() {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::ByteByByte);
    driver.receive(get("/source/2000", "Connection: close\r\n").as_bytes());
    assert!(driver.ended);
    assert_eq!(read_all(&driver.output, &["GET"])[0].content.as_ref().map(Vec::len), Some(2000));
}

#[test]
fn nothing_is_answered_behind_a_protocol_error() {
    let mut driver = offended();
    let before = driver.output.len();
    driver.receive(get("/", "").as_bytes());
    driver.receive(b"\r\n\r\n");
    assert_eq!((driver.output.len(), driver.service.seen().len()), (before, 0));
}

#[test]
fn a_protocol_error_within_content_drops_the_upload() {
    let told = ends(post("Transfer-Encoding: chunked\r\n", "5\r\nabcde\r\nx"), &[400]);
    assert!(!told.seen[0].is_complete);
}

#[test]
fn the_peers_end_between_requests_is_answered_with_one() {
    let mut driver = driver();
    driver.receive(get("/", "").as_bytes());
    let before = driver.output.len();
    driver.wait_ns(40 * SECOND_NS);
    driver.receive_end();
    assert_eq!(driver.output.len(), before);
    assert!(driver.ended && driver.connection.is_closed());
}

#[test]
fn an_end_that_is_owed_has_its_own_time_to_be_sent() {
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
fn a_server_that_ends_gives_connections_without_a_request_a_second() {
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
fn a_request_that_comes_within_that_second_is_answered() {
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
fn draining_is_shorter_when_the_server_ends() {
    let mut driver = offended();
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
fn a_server_that_shuts_down_says_so_in_the_answers_that_remain() {
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
fn a_server_that_ends_sends_what_is_queued() {
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
    let mut driver = offended();
    driver.receive_end();
    assert!(!driver.connection.wants_input());
    assert!(driver.connection.transmit().is_none());
    assert_eq!(driver.patience_ns(), None);
    assert_eq!(driver.connection.process(&mut driver.service, &mut driver.shared, &driver.now), Step::Idle);
}
