//! Content that arrives with its head: a service may take it at once, without a sink.

use std::cell::RefCell;
use std::rc::Rc;

use spindle::http1::{InProgress, Settings};
use spindle::semantics::Now;
use spindle::semantics::exchange_record::Outcome;
use spindle::semantics::request::Request;
use spindle::semantics::response::Response;
use spindle::semantics::service::{CommitGroup, Reply, Service};
use spindle::semantics::status::Status;

use crate::driver::{Driver, ReadMode};
use crate::response_reader::parse_responses;
use crate::script::{assert_closes, assert_rejected, assert_stays_open, get};
use crate::service::{TestService, TestSink, TestSource};

fn put(fields: &str, content: &str) -> String {
    let bytes = content.len();
    format!("PUT /arrived HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n{fields}\r\n{content}")
}

/// Notes which content has arrived with its head, and calls another service.
struct Noting {
    inner: TestService,
    arrived: Rc<RefCell<Vec<Option<Vec<u8>>>>>,
}

impl Service for Noting {
    type Source = TestSource;
    type Sink = TestSink;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, TestSource, TestSink> {
        self.arrived.borrow_mut().push(request.arrived.map(|content| content.bytes().to_vec()));
        self.inner.call(request, now)
    }

    fn commit<K>(&mut self, group: CommitGroup<K, Self>, now: &Now) -> Vec<(K, Response<'static, TestSource>)> {
        self.inner.commit(group, now)
    }
}

/// Sends the pieces of a stream one after the other. Returns what has arrived with each head.
fn arrived_with_each_head(pieces: &[&str]) -> Vec<Option<Vec<u8>>> {
    let arrived = Rc::default();
    let service = Noting { inner: TestService, arrived: Rc::clone(&arrived) };
    let mut driver = Driver::new(service, Settings::default(), ReadMode::Immediate);
    for piece in pieces {
        driver.send(piece.as_bytes());
    }
    assert!(driver.output.starts_with(b"HTTP/1.1 20"), "no interim response precedes the final one");
    arrived.take()
}

#[test]
fn content_has_arrived_if_all_of_it_follows_its_head_in_the_same_read() {
    let whole = put("", "abcde");
    let (most, last) = whole.split_at(whole.len() - 1);
    let head = &whole[..whole.len() - 5];
    let abcde = Some(b"abcde".to_vec());
    assert_eq!(arrived_with_each_head(&[most, last]), [None]);
    assert_eq!(arrived_with_each_head(&[head, "abcde"]), [None]);
    let nothing = Some(Vec::new());
    assert_eq!(arrived_with_each_head(&[&(whole.clone() + &whole + &get("/", ""))]), [abcde.clone(), abcde, nothing]);
    let chunked = "PUT /arrived HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    assert_eq!(arrived_with_each_head(&[chunked]), [None]);
}

#[test]
fn content_that_is_taken_at_once_is_followed_by_the_next_request() {
    let stream =
        [put("", "abcde"), get("/1", ""), put("", ""), put("Expect: 100-continue\r\n", "GET /"), get("/2", "")];
    let result = assert_stays_open(stream.concat(), &[201, 200, 201, 201, 200]);
    assert_eq!((result.responses[1].text(), result.responses[4].text()), ("/1", "/2"));
    let contents: Vec<&[u8]> = result.requests.iter().map(|request| &request.content[..]).collect();
    assert_eq!(contents, [&b"abcde"[..], b"", b"", b"GET /", b""]);
}

#[test]
fn the_connection_ends_after_content_that_is_taken_at_once_if_the_client_wants_that() {
    assert_closes(put("Connection: close\r\n", "abcde") + &get("/", ""), &[201]);
    assert_closes(put("", "abcde").replace("HTTP/1.1", "HTTP/1.0"), &[201]);
    assert_closes(put("", "abcde") + "GET /\0", &[201, 400]);
}

#[test]
fn a_request_that_is_malformed_is_refused_although_its_content_has_arrived() {
    use spindle::http1::protocol_error::ProtocolError::HostRepeated;
    assert_rejected(put("Host: other\r\n", "abcde"), HostRepeated);
}

#[test]
fn content_that_is_taken_at_once_is_recorded_and_nothing_stays_in_progress() {
    let mut driver = Driver::recording(TestService, Settings::default(), ReadMode::Deferred);
    driver.send(put("", "abcde").as_bytes());
    assert_eq!(driver.connection.in_progress(), Some(InProgress::Response));
    assert_eq!(driver.time_to_deadline_ns(), Some(spindle::http1::limits::WRITE_STALL_NS));
    driver.read_all();
    assert_eq!(driver.connection.in_progress(), None);
    assert_eq!(parse_responses(&driver.output, &["PUT"])[0].status, Status::Created.code());
    let record = driver.shared.records.take_ended().unwrap();
    assert_eq!((record.outcome, record.status, record.content_received_bytes), (Outcome::Complete, Some(201), 5));
}

#[test]
fn the_response_to_content_that_is_taken_at_once_is_the_last_in_a_shutdown() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    driver.connection.begin_shutdown(&driver.now);
    driver.send((put("", "abcde") + &get("/", "")).as_bytes());
    let responses = parse_responses(&driver.output, &["PUT"]);
    assert!(responses.len() == 1 && responses[0].says_close() && driver.eof_sent);
}
