//! A connection from accept to close. The input is a plan, a line feed, and the bytes that the client sends: see
//! [`plan`] and [`expand`](super::expand).
//!
//! While the connection is open, the driver checks that its memory and the number of steps are limited, that it always
//! has a deadline, and that it always waits for input or has output. Once it is closed, its output must satisfy these
//! invariants:
//!
//! 1. The output is a sequence of well-formed responses. The last one is truncated only if a deadline expired.
//! 2. The responses are those to requests 1, 2, 3 and so on: none is missing, repeated or out of order.
//! 3. The response to a protocol error is the last. Nothing after the error is parsed, whatever the client sends.
//! 4. During graceful shutdown at most one more request is begun, and its response says `Connection: close`.
//! 5. The connection half-closes after a response with `Connection: close`, without waiting for the client to
//!    half-close.
//! 6. The response to HEAD is that to GET without the content.
//! 7. The same bytes yield the same requests and final responses however they are split. Only a deadline or graceful
//!    shutdown may leave some out at the end.

mod response_reader;
mod service;

use std::ops::Deref;

use spindle::http1::protocol_error::ProtocolError;
use spindle::http1::{Settings, Shared};

use spindle::semantics::client::Client;

use self::response_reader::{ParsedResponse, ParsedResponses};
use self::service::{NumberingService, ReceivedRequest};
use super::driver;
use super::expand::expand;
use super::plan::{Event, Plan};

/// Longer than the limit of content that is discarded.
const STREAM_BYTES_MAX: usize = 320 * 1024;

/// Streams of up to this length are also received byte by byte.
const BY_BYTE_BYTES_MAX: usize = 1024;

/// Requests that must not be parsed after a protocol error.
const SMUGGLED: &[u8] =
    b"\r\n\r\n0\r\n\r\nGET /echo/smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/smuggled HTTP/1.1\r\n\r\n";

/// What happened on one connection.
struct Transcript {
    connection: driver::Transcript,
    /// The requests that reached the service.
    requests: Vec<ReceivedRequest>,
}

impl Deref for Transcript {
    type Target = driver::Transcript;

    fn deref(&self) -> &driver::Transcript {
        &self.connection
    }
}

fn run_connection(stream: &[u8], plan: &Plan, shared: &mut Shared) -> Transcript {
    let mut service = NumberingService::new();
    let connection = driver::run_connection(Client::Unix, stream, plan, &mut service, shared);
    assert!(!connection.aborted, "the sources of this service never fail");
    Transcript { connection, requests: service.requests }
}

/// Runs the target.
pub fn run(input: &[u8]) {
    let (plan, bytes) = Plan::split(input);
    let stream = expand(bytes, STREAM_BYTES_MAX);
    let settings = Settings { strict: plan.strict, send_date: !plan.without_date, ..Settings::default() };
    // All connections of the run share their buffers: bytes that one connection leaves must not affect the next.
    let mut shared = Shared::new(settings.clone());

    let planned = run_connection(&stream, &plan, &mut shared);
    let received = &stream[..planned.received];
    let whole = run_connection(received, &Plan::default(), &mut shared);
    let whole_responses = check(&whole, received, &settings);
    let planned_responses = check(&planned, received, &settings);
    assert_same_when_split_otherwise(&planned, &planned_responses, &whole, &whole_responses);

    if received.len() <= BY_BYTE_BYTES_MAX {
        let byte_by_byte = Plan { events: vec![Event::Receive(1), Event::Send(1)], ..Plan::default() };
        let by_byte = run_connection(received, &byte_by_byte, &mut shared);
        assert_same_when_split_otherwise(&by_byte, &check(&by_byte, received, &settings), &whole, &whole_responses);
    }
    assert_nothing_is_parsed_after_a_protocol_error(received, &whole, &whole_responses, &mut shared);
    assert_half_closes_after_connection_close(&whole, &whole_responses);
    assert_head_is_get_without_content(received, &whole_responses, &mut shared, &settings);
}

/// Invariants 1, 2, the first half of 3, and 4.
fn check(transcript: &Transcript, received: &[u8], settings: &Settings) -> ParsedResponses {
    // After a timeout the server may have parsed less of the method than was received.
    let first_head = (!transcript.timed_out).then(|| received.strip_prefix(b"\r\n").unwrap_or(received));
    let first_is_head = first_head.map(|bytes| bytes.starts_with(b"HEAD "));
    let responses =
        response_reader::parse_responses(&transcript.sent, &transcript.requests, settings.send_date, first_is_head);
    assert!(!responses.is_truncated || transcript.timed_out, "a response is truncated only after a timeout");

    let numbers: Vec<usize> = responses.finals.iter().filter_map(ParsedResponse::request_number).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len()), "each request gets one response, in order: {numbers:?}");
    let errors = responses.finals.len() - numbers.len();
    assert!(errors <= 1, "a connection has at most one protocol error");
    if let (1, Some(last)) = (errors, responses.finals.last()) {
        assert_eq!(last.request_number(), None, "the response to a protocol error is the last");
    }
    // A request gets no response if the protocol error is in its content, or after a timeout.
    let missing = transcript.requests.len() - numbers.len();
    assert!(
        missing <= errors || transcript.timed_out,
        "every request has its response: {missing} have none, errors: {errors}"
    );
    if let Some(requests) = transcript.requests_at_shutdown {
        assert!(
            transcript.requests.len() <= requests + 1,
            "at most one more request is begun during graceful shutdown"
        );
        let says_more = numbers.len() > requests && responses.finals.last().is_some_and(|last| !last.says_close());
        assert!(!says_more, "the last response during graceful shutdown says `Connection: close`");
    }
    assert!(responses.interims <= transcript.requests.len(), "only a request with an accepted head gets 100 Continue");
    // Graceful shutdown closes a connection between two requests at once.
    let may_close_without_half_close =
        transcript.timed_out || transcript.requests_at_shutdown.is_some() || responses.finals.is_empty();
    assert!(transcript.eof_sent || may_close_without_half_close, "a connection that has responded half-closes");
    responses
}

/// Invariant 7.
fn assert_same_when_split_otherwise(
    one: &Transcript,
    one_responses: &ParsedResponses,
    whole: &Transcript,
    whole_responses: &ParsedResponses,
) {
    if !one.timed_out && one.requests_at_shutdown.is_none() {
        assert_eq!(one.requests, whole.requests, "the same bytes yield the same requests however they are split");
        assert_eq!(
            one_responses.finals, whole_responses.finals,
            "the same bytes get the same responses however they are split"
        );
        return;
    }
    assert!(
        whole.requests.starts_with(&one.requests),
        "a connection that is closed early has received the first of the same requests"
    );
    let is_too_late = |response: &ParsedResponse| {
        response.reports(ProtocolError::HeadTooSlow) || response.reports(ProtocolError::ContentTooSlow)
    };
    let mut early: Vec<ParsedResponse> =
        one_responses.finals.iter().filter(|response| !is_too_late(response)).cloned().collect();
    // If ignored content arrives too slowly, the response that was held back is sent, and nobody learns that the rest of the
    // content is malformed.
    let is_error = |response: &ParsedResponse| response.request_number().is_none();
    if one.timed_out
        && early.len() == one.requests.len()
        && early.len().checked_sub(1).and_then(|last| whole_responses.finals.get(last)).is_some_and(is_error)
    {
        early.pop();
    }
    let without_connection = |responses: &[ParsedResponse]| {
        responses.iter().cloned().map(ParsedResponse::without_connection).collect::<Vec<_>>()
    };
    assert!(
        without_connection(&whole_responses.finals).starts_with(&without_connection(&early)),
        "a connection that is closed early has sent the first of the same responses"
    );
}

/// Invariant 3, second half. An incomplete message is left out, since it is a different one with more bytes after it.
fn assert_nothing_is_parsed_after_a_protocol_error(
    received: &[u8],
    whole: &Transcript,
    whole_responses: &ParsedResponses,
    shared: &mut Shared,
) {
    let Some(last) = whole_responses.finals.last().filter(|last| last.request_number().is_none()) else { return };
    if last.reports(ProtocolError::HeadIncomplete) || last.reports(ProtocolError::ContentIncomplete) {
        return;
    }
    let longer = [received, SMUGGLED].concat();
    let again = run_connection(&longer, &Plan::default(), shared);
    assert_eq!(again.requests, whole.requests, "nothing after a protocol error reaches the service");
    assert_eq!(again.sent, whole.sent, "nothing after a protocol error gets a response");
}

/// Invariant 5.
fn assert_half_closes_after_connection_close(whole: &Transcript, whole_responses: &ParsedResponses) {
    let Some(last) = whole_responses.finals.last().filter(|last| last.says_close()) else { return };
    let is_after_clients_half_close =
        last.reports(ProtocolError::HeadIncomplete) || last.reports(ProtocolError::ContentIncomplete);
    assert!(
        whole.eof_sent_before_clients || is_after_clients_half_close,
        "the connection half-closes after a response with `Connection: close`"
    );
}

/// Invariant 6, for the first request.
fn assert_head_is_get_without_content(
    received: &[u8],
    responses: &ParsedResponses,
    shared: &mut Shared,
    settings: &Settings,
) {
    let Some(after_method) = received.strip_prefix(b"HEAD ") else { return };
    let Some(response) = responses.finals.first().filter(|response| response.request_number().is_some()) else {
        return;
    };
    let get = [b"GET ", after_method].concat();
    let as_get = check(&run_connection(&get, &Plan::default(), shared), &get, settings);
    let expected = as_get.finals.first().cloned().map(ParsedResponse::without_content);
    assert_eq!(Some(response), expected.as_ref(), "the response to HEAD is that to GET without the content");
}
