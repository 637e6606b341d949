//! RFC 9112 §9.5 and RFC 9110 §15.5.9: every wait has a timeout. The test sets the clock.

use spindle::http1::Settings;
use spindle::http1::limits::{
    CONTENT_BYTES_PER_SECOND_MIN, CONTENT_CREDIT_NS, CONTENT_GRACE_NS, HEAD_TIMEOUT_NS, IDLE_TIMEOUT_NS,
    OUTPUT_BYTES_FULL, READER_BYTES_PER_SECOND_MIN, SECOND_NS, WRITE_STALL_NS,
};
use spindle::http1::protocol_error::ProtocolError::{self, *};

use crate::driver::{Driver, ReadMode};
use crate::response_reader::parse_responses;
use crate::script::{get, post};
use crate::service::{HUGE_BYTES, TestService};

fn driver() -> Driver<TestService> {
    Driver::new(TestService, Settings::default(), ReadMode::Immediate)
}

/// The client sends, and reads only when the test calls `read`.
fn client_that_does_not_read() -> Driver<TestService> {
    Driver::new(TestService, Settings::default(), ReadMode::Deferred)
}

/// Asserts that the deadline is `expected_ns` away, and that nothing happens before it. Then lets it expire.
#[track_caller]
fn assert_times_out_after(driver: &mut Driver<TestService>, expected_ns: u64) {
    assert_eq!(driver.time_to_deadline_ns(), Some(expected_ns));
    driver.advance_clock(expected_ns - 1);
    driver.process();
    assert!(!driver.connection.is_closed() && !driver.eof_sent, "too early");
    assert_eq!(driver.time_to_deadline_ns(), Some(1));
    driver.advance_clock(1);
}

#[track_caller]
fn assert_closed_without_response(driver: &mut Driver<TestService>, bytes_before: usize) {
    driver.read_all();
    assert!(driver.connection.is_closed());
    assert_eq!(driver.output.len(), bytes_before, "an idle connection is closed without a response");
}

#[track_caller]
fn assert_error_response(driver: &mut Driver<TestService>, error: ProtocolError) {
    driver.read_all();
    let methods: Vec<_> = driver.service.requests().iter().map(|request| request.method).collect();
    let responses = parse_responses(&driver.output, &methods);
    let last = responses.last().expect("a response");
    assert_eq!((last.status, last.text().trim_end()), (error.status().code(), error.reason()));
    assert!(last.says_close() && driver.eof_sent);
}

// Waiting for the first byte of a request.

#[test]
fn a_silent_connection_is_closed_after_the_idle_timeout() {
    let mut driver = driver();
    assert_times_out_after(&mut driver, IDLE_TIMEOUT_NS);
    assert_closed_without_response(&mut driver, 0);
}

#[test]
fn a_kept_connection_is_closed_after_the_idle_timeout() {
    let mut driver = driver();
    driver.advance_clock(SECOND_NS);
    driver.send(get("/", "").as_bytes());
    let bytes = driver.output.len();
    assert_times_out_after(&mut driver, IDLE_TIMEOUT_NS);
    assert_closed_without_response(&mut driver, bytes);
}

#[test]
fn the_idle_timeout_can_be_set() {
    let settings = Settings { idle_timeout_ns: 7, ..Settings::default() };
    let mut driver = Driver::new(TestService, settings, ReadMode::Immediate);
    assert_times_out_after(&mut driver, 7);
    assert_closed_without_response(&mut driver, 0);
}

#[test]
fn an_empty_line_does_not_start_a_request() {
    for bytes in [&b"\r"[..], b"\r\n"] {
        let mut driver = driver();
        driver.advance_clock(SECOND_NS);
        driver.send(bytes);
        assert_times_out_after(&mut driver, IDLE_TIMEOUT_NS - SECOND_NS);
        assert_closed_without_response(&mut driver, 0);
    }
}

#[test]
fn the_idle_timeout_starts_when_the_response_has_been_sent() {
    for suffix in ["", "\r", "\r\n"] {
        let mut driver = client_that_does_not_read();
        driver.send((get("/source/10", "") + suffix).as_bytes());
        driver.read(usize::MAX);
        for _ in 0..10 {
            driver.advance_clock(20 * SECOND_NS);
            assert!(!driver.connection.is_closed(), "a client that reads slowly is not idle");
            driver.read(1);
        }
        driver.process();
        assert_eq!(driver.time_to_deadline_ns(), Some(IDLE_TIMEOUT_NS), "{suffix:?}");
    }
}

// Waiting for the rest of a head.

#[test]
fn a_slow_head_is_rejected_at_the_deadline() {
    let mut driver = driver();
    driver.advance_clock(5 * SECOND_NS);
    let request = get("/", "A: b\r\n");
    for byte in request.as_bytes()[..10].iter() {
        driver.send(&[*byte]);
        assert!(driver.time_to_deadline_ns().is_some_and(|left_ns| left_ns <= HEAD_TIMEOUT_NS));
        driver.advance_clock(SECOND_NS - 1);
        assert!(!driver.eof_sent);
    }
    driver.advance_clock(10);
    assert_error_response(&mut driver, HeadTooSlow);
    assert_eq!(driver.service.requests(), []);
}

#[test]
fn the_head_timeout_starts_with_the_first_byte() {
    let mut driver = driver();
    driver.send(b"\r\n");
    driver.advance_clock(30 * SECOND_NS);
    driver.send(b"G");
    assert_times_out_after(&mut driver, HEAD_TIMEOUT_NS);
    assert_error_response(&mut driver, HeadTooSlow);
}

#[test]
fn the_head_timeout_applies_to_a_pipelined_head() {
    let mut driver = driver();
    driver.send((get("/", "") + "GET").as_bytes());
    assert_times_out_after(&mut driver, HEAD_TIMEOUT_NS);
    assert_error_response(&mut driver, HeadTooSlow);
}

#[test]
fn the_head_timeout_can_be_set() {
    let settings = Settings { head_timeout_ns: 7, ..Settings::default() };
    let mut driver = Driver::new(TestService, settings, ReadMode::Immediate);
    driver.send(b"G");
    assert_times_out_after(&mut driver, 7);
    assert_error_response(&mut driver, HeadTooSlow);
}

#[test]
fn a_head_received_in_time_gets_a_response() {
    let mut driver = driver();
    driver.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r");
    driver.advance_clock(HEAD_TIMEOUT_NS - 1);
    driver.send(b"\n");
    assert_eq!(driver.service.requests().len(), 1);
    assert_eq!(driver.time_to_deadline_ns(), Some(IDLE_TIMEOUT_NS));
}

// Waiting for content.

#[test]
fn missing_content_times_out() {
    let mut driver = driver();
    driver.send(post("Content-Length: 5\r\n", "").as_bytes());
    assert_times_out_after(&mut driver, CONTENT_GRACE_NS);
    assert_error_response(&mut driver, ContentTooSlow);
    assert!(!driver.service.requests()[0].is_complete);
}

#[test]
fn a_held_back_response_is_sent_when_the_content_times_out() {
    let mut driver = driver();
    driver.send(b"POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    assert_times_out_after(&mut driver, CONTENT_GRACE_NS);
    driver.read_all();
    let responses = parse_responses(&driver.output, &["POST"]);
    assert!(responses[0].status == 403 && responses[0].says_close() && driver.eof_sent, "{responses:?}");
}

#[test]
fn chunked_content_is_rejected_as_soon_as_the_sink_rejects_it() {
    let mut driver = driver();
    driver.send(b"POST /limited HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n");
    driver.read_all();
    assert_eq!(driver.output, b"");
    driver.send(b"1\r\n9");
    driver.read_all();
    let responses = parse_responses(&driver.output, &["POST"]);
    assert!(responses[0].status == 413 && responses[0].says_close() && driver.eof_sent, "{responses:?}");
}

#[test]
fn received_content_extends_the_content_timeout() {
    let mut driver = driver();
    driver.send(post("Content-Length: 100000\r\n", "").as_bytes());
    driver.send(&vec![b'a'; CONTENT_BYTES_PER_SECOND_MIN as usize * 3]);
    assert_times_out_after(&mut driver, CONTENT_GRACE_NS + 3 * SECOND_NS);
    assert_error_response(&mut driver, ContentTooSlow);
}

#[test]
fn fast_content_extends_the_content_timeout_only_up_to_a_limit() {
    let mut driver = driver();
    driver.send(post("Content-Length: 10000000\r\n", "").as_bytes());
    for _ in 0..20 {
        driver.send(&[b'a'; 50_000]);
        driver.advance_clock(SECOND_NS);
    }
    driver.send(&[b'a'; 50_000]);
    assert_times_out_after(&mut driver, CONTENT_CREDIT_NS);
    assert_error_response(&mut driver, ContentTooSlow);
}

#[test]
fn fast_content_followed_by_single_bytes_times_out() {
    let mut driver = driver();
    driver.send(post("Content-Length: 100000000\r\n", "").as_bytes());
    driver.send(&[b'a'; 62_000_000]);
    let started_ns = driver.now.monotonic_ns;
    while !driver.eof_sent {
        driver.advance_clock(25 * SECOND_NS);
        driver.send(b"a");
        driver.read_all();
        assert!(
            driver.now.monotonic_ns - started_ns <= 2 * CONTENT_CREDIT_NS,
            "one byte every 25 s is below the minimum rate"
        );
    }
    assert_error_response(&mut driver, ContentTooSlow);
}

#[test]
fn an_upload_at_the_minimum_rate_does_not_time_out() {
    let seconds = 1000;
    let mut driver = driver();
    let bytes = CONTENT_BYTES_PER_SECOND_MIN * seconds;
    driver.send(post(&format!("Content-Length: {bytes}\r\n"), "").as_bytes());
    for _ in 0..seconds {
        driver.advance_clock(SECOND_NS);
        assert!(!driver.eof_sent);
        driver.send(&[b'a'; CONTENT_BYTES_PER_SECOND_MIN as usize]);
    }
    assert_eq!(driver.service.requests()[0].content.len() as u64, bytes);
}

#[test]
fn an_upload_below_the_minimum_rate_times_out() {
    let mut driver = driver();
    driver.send(post("Transfer-Encoding: chunked\r\n", "").as_bytes());
    let mut seconds = 0;
    while !driver.eof_sent {
        driver.send(b"1\r\na\r\n");
        driver.advance_clock(SECOND_NS);
        driver.read_all();
        seconds += 1;
        assert!(seconds < 100);
    }
    assert_error_response(&mut driver, ContentTooSlow);
}

#[test]
fn slow_trailers_time_out() {
    let mut driver = driver();
    driver.send(post("Transfer-Encoding: chunked\r\n", "0\r\nA: ").as_bytes());
    for _ in 1..CONTENT_GRACE_NS / SECOND_NS {
        driver.advance_clock(SECOND_NS);
        driver.send(b"b");
        assert!(!driver.eof_sent);
    }
    driver.advance_clock(SECOND_NS);
    assert_error_response(&mut driver, ContentTooSlow);
}

// Waiting for the client to read.

#[test]
fn a_client_that_never_reads_is_closed() {
    let mut driver = client_that_does_not_read();
    driver.send(get("/", "").as_bytes());
    assert_times_out_after(&mut driver, WRITE_STALL_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn each_byte_read_restarts_the_write_stall_timeout() {
    let mut driver = client_that_does_not_read();
    driver.send(get("/source/100", "").as_bytes());
    for _ in 0..100 {
        driver.advance_clock(WRITE_STALL_NS - 1);
        assert!(!driver.connection.is_closed());
        assert!(driver.read(1));
    }
    assert_times_out_after(&mut driver, WRITE_STALL_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn further_requests_do_not_restart_the_write_stall_timeout() {
    let mut driver = client_that_does_not_read();
    driver.send(get("/", "").as_bytes());
    for _ in 0..3 {
        driver.advance_clock(9 * SECOND_NS);
        driver.send(get("/", "").as_bytes());
        driver.send(post("Content-Length: 1\r\nExpect: 100-continue\r\n", "").as_bytes());
        driver.send(b"a");
        driver.send(get("/", "Content-Length: 1\r\n").as_bytes());
        driver.send(b"a");
    }
    assert_eq!(driver.time_to_deadline_ns(), Some(WRITE_STALL_NS - 27 * SECOND_NS));
    driver.advance_clock(WRITE_STALL_NS - 27 * SECOND_NS);
    assert!(driver.connection.is_closed());
}

#[test]
fn a_full_send_buffer_extends_the_write_stall_timeout_by_its_size() {
    let mut driver = client_that_does_not_read();
    driver.send(get("/source/100000", "").as_bytes());
    let send_buffer_bytes = 4 * 1024 * 1024;
    driver.connection.write_blocked(send_buffer_bytes);
    let allowance_ns = send_buffer_bytes / READER_BYTES_PER_SECOND_MIN * SECOND_NS;
    assert_eq!(driver.time_to_deadline_ns(), Some(WRITE_STALL_NS + allowance_ns));
    driver.read(1);
    assert_eq!(
        driver.time_to_deadline_ns(),
        Some(WRITE_STALL_NS),
        "after progress it is unknown how full the buffer is"
    );
    driver.connection.write_blocked(send_buffer_bytes);
    assert_times_out_after(&mut driver, WRITE_STALL_NS + allowance_ns);
    assert!(driver.connection.is_closed());
}

#[test]
fn a_slow_reader_with_a_full_send_buffer_gets_everything() {
    // 100 MB at 30 kB/s. The buffer becomes writable when a third of it is empty: once in 47 seconds.
    let (bytes, buffer_bytes) = (HUGE_BYTES, 4 * 1024 * 1024_u64);
    let mut driver = client_that_does_not_read();
    driver.send(get("/huge", "").as_bytes());
    let mut sent = 0;
    while sent < bytes {
        let burst = if sent == 0 { buffer_bytes } else { buffer_bytes / 3 };
        let before = sent;
        while sent < (before + burst).min(bytes) {
            assert!(driver.read(usize::MAX));
            sent = driver.output.len() as u64;
        }
        driver.connection.write_blocked(buffer_bytes);
        driver.advance_clock(buffer_bytes / 3 * SECOND_NS / 30_000);
        assert!(!driver.connection.is_closed(), "after {sent} bytes");
    }
}

#[test]
fn a_held_back_response_does_not_count_as_unread() {
    let mut driver = client_that_does_not_read();
    let bytes = CONTENT_BYTES_PER_SECOND_MIN * 60;
    driver.send(get("/", &format!("Content-Length: {bytes}\r\n")).as_bytes());
    for _ in 0..60 {
        driver.advance_clock(SECOND_NS);
        driver.send(&[b'a'; CONTENT_BYTES_PER_SECOND_MIN as usize]);
        assert!(!driver.connection.is_closed());
    }
    assert_eq!(driver.time_to_deadline_ns(), Some(WRITE_STALL_NS), "the timeout starts when the response is released");
}

#[test]
fn a_postponed_deadline_does_not_expire_at_its_old_time() {
    let mut driver = driver();
    driver.advance_clock(IDLE_TIMEOUT_NS / 2);
    driver.send(get("/", "").as_bytes());
    driver.advance_clock(IDLE_TIMEOUT_NS / 2);
    assert!(!driver.connection.is_closed());
}

#[test]
fn a_client_that_sends_without_reading_is_closed_when_the_output_is_full() {
    let mut driver = client_that_does_not_read();
    let request = get("/source/1000000", "");
    driver.send(request.repeat(OUTPUT_BYTES_FULL / request.len()).as_bytes());
    assert_times_out_after(&mut driver, WRITE_STALL_NS);
    assert!(driver.connection.is_closed());
}
