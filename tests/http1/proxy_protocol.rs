//! Connections from proxies that send a PROXY protocol header.

use spindle::http1::Settings;
use spindle::http1::limits::HEAD_TIMEOUT_NS;
use spindle::semantics::client::Client;
use spindle::semantics::exchange_record::Outcome;
use spindle::semantics::proxies::{Network, Proxies};

use crate::driver::{Driver, ReadMode};
use crate::service::TestService;

const HEADER: &str = "PROXY TCP4 192.0.2.1 10.0.0.1 56324 80\r\n";
const REQUEST: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection through a Unix socket, whose clients are proxies.
fn driver(read_mode: ReadMode) -> Driver<TestService> {
    let proxies = Proxies { protocol: vec![Network::Unix], trusted: vec![Network::Unix] };
    Driver::recording(TestService, Settings { proxies, ..Settings::default() }, read_mode)
}

/// The client and outcome of each record.
fn records(driver: &mut Driver<TestService>) -> Vec<(String, Outcome)> {
    let records = &mut driver.shared.records;
    std::iter::from_fn(|| records.take_ended()).map(|record| (record.client.to_string(), record.outcome)).collect()
}

#[test]
fn the_header_names_the_client_of_every_request_however_it_is_cut() {
    let stream = format!("{HEADER}{REQUEST}{REQUEST}");
    for cut in 0..stream.len() {
        let mut driver = driver(ReadMode::Immediate);
        driver.send(&stream.as_bytes()[..cut]);
        driver.send(&stream.as_bytes()[cut..]);
        assert_eq!(driver.service.requests().len(), 2);
        let client = "192.0.2.1:56324".to_owned();
        assert_eq!(records(&mut driver), [(client.clone(), Outcome::Complete), (client, Outcome::Complete)]);
    }
}

#[test]
fn a_connection_without_the_header_is_closed_without_a_response() {
    for start in [REQUEST, "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n", "\r\n\r\nGET"] {
        let mut driver = driver(ReadMode::Immediate);
        driver.send(start.as_bytes());
        assert!(driver.connection.is_closed(), "{start}");
        assert_eq!(driver.output, b"");
        assert!(driver.service.requests().is_empty());
        let records = records(&mut driver);
        assert!(matches!(records[..], [(_, Outcome::Refused(_))]), "{records:?}");
    }
}

#[test]
fn the_wait_for_the_header_is_bounded_and_its_bytes_do_not_extend_it() {
    let mut driver = driver(ReadMode::Immediate);
    assert_eq!(driver.time_to_deadline_ns(), Some(HEAD_TIMEOUT_NS));
    driver.send(b"PROXY ");
    driver.advance_clock(HEAD_TIMEOUT_NS - 1);
    driver.send(b"TCP4 ");
    assert!(!driver.connection.is_closed());
    driver.advance_clock(1);
    assert!(driver.connection.is_closed());
    assert_eq!(driver.output, b"");
}

#[test]
fn after_the_header_the_client_has_its_usual_time() {
    let mut driver = driver(ReadMode::Immediate);
    driver.send(HEADER.as_bytes());
    assert_eq!(driver.time_to_deadline_ns(), Some(Settings::default().idle_timeout_ns));
    driver.send(b"GET / HTTP/1.1\r\n");
    assert_eq!(driver.time_to_deadline_ns(), Some(HEAD_TIMEOUT_NS));
}

#[test]
fn a_proxy_that_checks_the_port_leaves_no_record() {
    let mut driver = driver(ReadMode::Immediate);
    driver.half_close();
    assert!(driver.connection.is_closed());
    assert!(records(&mut driver).is_empty());
    assert_eq!(driver.time_to_deadline_ns(), None);
}

#[test]
fn a_header_from_anybody_else_is_a_bad_request() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    driver.send(HEADER.as_bytes());
    assert!(driver.output.starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn forwarded_fields_are_believed_for_their_own_request_only() {
    let proxies = Proxies { protocol: Vec::new(), trusted: vec![Network::Unix] };
    let settings = Settings { proxies, ..Settings::default() };
    let mut driver = Driver::recording(TestService, settings, ReadMode::Immediate);
    driver.send(b"GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    driver.send(REQUEST.as_bytes());
    let clients: Vec<String> = records(&mut driver).into_iter().map(|(client, _)| client).collect();
    assert_eq!(clients, ["192.0.2.1", &Client::Unix.to_string()]);
}
