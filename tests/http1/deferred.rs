//! Uploads whose response the service gives later, when it commits several together.

use spindle::http1::{InProgress, Settings};
use spindle::semantics::exchange_record::Outcome;

use crate::driver::{Driver, ReadMode};
use crate::response_reader::{ParsedResponse, parse_responses};
use crate::script::{assert_closes, assert_stays_open, get};
use crate::service::TestService;

const PUT: &str = "PUT /deferred HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
const PUT_CHUNKED: &str =
    "PUT /deferred HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

/// A connection that has received `bytes`, and has handed out an upload that was not committed yet.
fn waiting(bytes: &str) -> Driver<TestService> {
    let mut driver = Driver::recording(TestService, Settings::default(), ReadMode::Deferred);
    driver.keeps_commits = true;
    let space = driver.connection.input_space(&mut driver.shared, &driver.now);
    space[..bytes.len()].copy_from_slice(bytes.as_bytes());
    driver.connection.received(bytes.len(), &driver.now);
    driver.read_all();
    assert!(driver.connection.is_committing());
    driver
}

fn responses(driver: &mut Driver<TestService>) -> Vec<ParsedResponse> {
    assert!(driver.commit());
    driver.read_all();
    parse_responses(&driver.output, &["PUT", "GET"])
}

#[test]
fn responses_to_committed_uploads_are_sent_in_the_order_of_the_requests() {
    let stream = [PUT, &get("/1", ""), PUT_CHUNKED, PUT, &get("/2", "")].concat();
    let result = assert_stays_open(stream, &[201, 200, 201, 201, 200]);
    assert_eq!((result.responses[1].text(), result.responses[4].text()), ("/1", "/2"));
    assert_closes(PUT.replace("Host: h", "Host: h\r\nConnection: close"), &[201]);
    assert_closes([PUT, "GET /\0"].concat(), &[201, 400]);
}

#[test]
fn a_request_behind_an_upload_waits_until_it_is_committed() {
    let mut driver = waiting(&[PUT, &get("/1", "")].concat());
    assert_eq!((driver.service.requests().len(), driver.output.len()), (1, 0));
    assert!(!driver.process() && !driver.connection.wants_input());
    assert_eq!(driver.connection.in_progress(), Some(InProgress::Upload));
    assert_eq!(driver.connection.evictable(&driver.now), None);
    let statuses: Vec<u16> = responses(&mut driver).iter().map(|response| response.status).collect();
    assert_eq!(statuses, [201, 200]);
    assert!(!driver.connection.is_committing() && driver.connection.wants_input());
}

/// The loop ends the wait, so no timer may.
#[test]
fn no_timer_runs_while_an_upload_is_committed_and_then_the_client_has_its_time_to_read() {
    let mut driver = waiting(PUT);
    assert_eq!(driver.time_to_deadline_ns(), None);
    driver.advance_clock(3600 * 1_000_000_000);
    assert!(driver.connection.is_committing());
    assert!(driver.commit());
    assert_eq!(driver.time_to_deadline_ns(), Some(spindle::http1::limits::WRITE_STALL_NS));
}

#[test]
fn the_response_after_a_shutdown_has_begun_is_the_last() {
    let mut driver = waiting(&[PUT, &get("/1", "")].concat());
    driver.connection.begin_shutdown(&driver.now);
    let responses = responses(&mut driver);
    assert_eq!(responses.len(), 1);
    assert!(responses[0].says_close() && driver.eof_sent);
}

#[test]
fn a_client_that_has_half_closed_gets_the_response() {
    let mut driver = waiting(PUT);
    driver.connection.received_eof();
    assert!(!driver.process());
    assert_eq!(responses(&mut driver).len(), 1);
    assert!(driver.eof_sent && driver.connection.is_closed());
}

#[test]
fn a_connection_that_was_closed_meanwhile_sends_no_response_and_has_one_record() {
    let mut driver = waiting(PUT);
    driver.connection.close(Outcome::CutOff, &mut driver.shared, &driver.now);
    assert!(driver.commit());
    driver.read_all();
    assert!(driver.connection.is_closed() && driver.output.is_empty());
    let record = driver.shared.records.take_ended().unwrap();
    assert_eq!((record.outcome, record.status, record.content_received_bytes), (Outcome::CutOff, None, 3));
    assert!(driver.shared.records.take_ended().is_none());
}

#[test]
fn the_record_of_a_committed_upload_includes_the_wait() {
    let mut driver = waiting(PUT);
    driver.advance_clock(5);
    assert_eq!(responses(&mut driver).len(), 1);
    let record = driver.shared.records.take_ended().unwrap();
    assert_eq!((record.outcome, record.status, record.total_ns), (Outcome::Complete, Some(201), 5));
}
