//! A simple request on a persistent connection allocates nothing: it reuses the buffers of the previous request.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../benches/support/mod.rs"]
mod support;

use std::io;
use std::path::Path;
use std::rc::Rc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use spindle::routes::{FileRoutes, Routes, UploadSettings};
use spindle::semantics::accounts::{AccountSource, Accounts, Secret, account_line};
use spindle::semantics::rights::{Rights, UploadPolicy};
use spindle::storage::Directory;
use spindle::telemetry::access_log::{AccessLog, LogOutput, Reopened};
use spindle::telemetry::metrics::Metrics;
use spindle::telemetry::{LogFormat, Telemetry};
use support::InMemoryConnection;
use support::corpus::{BROWSER_PICTURE, ECHO, SHORTEST};

/// How many allocations exchanges make after some exchanges to warm up, and the responses to the last `requests`.
fn allocations_of(mut connection: InMemoryConnection, requests: &[u8]) -> (u64, Vec<u8>) {
    const WARM_UP: usize = 3;
    const MEASURED: usize = 100;
    for _ in 0..WARM_UP {
        connection.exchange(requests, |_| {});
    }
    let mut responses = Vec::with_capacity(64 * 1024);
    let counted = allocation_counter::measure(|| {
        for _ in 0..MEASURED {
            responses.clear();
            connection.exchange(requests, |bytes| responses.extend_from_slice(bytes));
        }
    });
    (counted.count_total, responses)
}

#[track_caller]
fn assert_no_allocation(requests: &[u8], responses: usize, content: &[u8]) {
    assert_no_allocation_by(InMemoryConnection::new(Routes::new(None)), requests, responses, content);
}

#[track_caller]
fn assert_no_allocation_by(connection: InMemoryConnection, requests: &[u8], responses: usize, content: &[u8]) {
    let (allocations, sent) = allocations_of(connection, requests);
    assert_eq!(memchr::memmem::find_iter(&sent, "HTTP/1.1 200 OK\r\n").count(), responses, "{}", sent.escape_ascii());
    assert!(sent.ends_with(content), "{}", sent.escape_ascii());
    assert_eq!(allocations, 0);
}

#[test]
fn allocations_are_counted() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![0_u8; 16])));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn the_root_allocates_nothing() {
    assert_no_allocation(SHORTEST, 1, b"\r\n\r\n");
}

#[test]
fn pipelined_requests_allocate_nothing() {
    assert_no_allocation(&SHORTEST.repeat(16), 16, b"\r\n\r\n");
}

/// Takes whatever is written.
struct Sink;

impl LogOutput for Sink {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        Ok(lines.len())
    }

    fn reopen(&mut self) -> io::Result<Reopened> {
        Ok(Reopened::SameOutput)
    }
}

#[test]
fn the_access_log_and_the_metrics_allocate_nothing() {
    for format in [LogFormat::Combined, LogFormat::Json] {
        for (requests, responses, content) in [
            (SHORTEST.to_vec(), 1, &b"\r\n\r\n"[..]),
            (SHORTEST.repeat(16), 16, b"\r\n\r\n"),
            (BROWSER_PICTURE.to_vec(), 1, b"Safari/537.36"),
        ] {
            let log = AccessLog::new(Box::new(Sink), format);
            let telemetry = Telemetry::new(Some(log), Some(Rc::new(Metrics::default()))).unwrap();
            let connection = InMemoryConnection::new(Routes::new(None)).observed_by(Box::new(telemetry));
            assert_no_allocation_by(connection, &requests, responses, content);
        }
    }
}

#[test]
fn an_echo_allocates_nothing() {
    assert_no_allocation(ECHO, 1, b"\r\n\r\nabc");
}

#[test]
fn the_user_agent_of_a_browser_allocates_nothing() {
    assert_no_allocation(BROWSER_PICTURE, 1, b"Safari/537.36");
}

fn files(root: &Path) -> FileRoutes {
    let uploads = UploadSettings {
        policy: UploadPolicy::Off,
        bytes_max: None,
        durable: false,
        age_s_max: 86_400,
        pending_max: 1000,
    };
    FileRoutes::new(Directory::open(root, 1).unwrap(), uploads, 0, 1, Box::new(|| None))
}

#[test]
fn a_cached_small_file_allocates_nothing() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("page.html"), "a page").unwrap();
    // A file that has just been modified is not cached, so the clock says the year 2100.
    let connection = InMemoryConnection::new(Routes::new(Some(files(root.path())))).at(4_102_444_800_000_000_000);
    let request = b"GET /files/page.html HTTP/1.1\r\nHost: localhost:4221\r\n\r\n";
    assert_no_allocation_by(connection, request, 1, b"\r\n\r\na page");
}

/// Two accounts, of which the second is used.
struct TwoAccounts;

impl AccountSource for TwoAccounts {
    fn read(&mut self) -> Result<Accounts, String> {
        let line = |name, secret: &Secret| account_line(name, Rights::ALL, secret.hash());
        let text = line("alice", &Secret::from_random(1)) + &line("bob", &Secret::from_random(2));
        Accounts::parse(text.as_bytes()).map_err(|error| error.to_string())
    }
}

#[test]
fn a_request_with_credentials_allocates_nothing() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("page.html"), "a page").unwrap();
    let routes = Routes::new(Some(files(root.path()))).with_accounts(Box::new(TwoAccounts)).unwrap();
    let log = AccessLog::new(Box::new(Sink), LogFormat::Combined);
    let telemetry = Telemetry::new(Some(log), Some(Rc::new(Metrics::default()))).unwrap();
    let connection = InMemoryConnection::new(routes).at(4_102_444_800_000_000_000).observed_by(Box::new(telemetry));
    let credentials = BASE64_STANDARD.encode(format!("bob:{}", Secret::from_random(2).expose()));
    let request = format!("GET /files/page.html HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {credentials}\r\n\r\n");
    assert_no_allocation_by(connection, request.as_bytes(), 1, b"\r\n\r\na page");
}

#[test]
fn the_addresses_that_proxies_add_allocate_nothing() {
    for field in [
        "X-Forwarded-For: 203.0.113.1, 192.0.2.1:80, 10.2.2.2",
        "Forwarded: for=203.0.113.1, for=\"[2001:db8::1]:80\";proto=http, for=10.2.2.2",
    ] {
        let telemetry = Telemetry::new(None, Some(Rc::new(Metrics::default()))).unwrap();
        let trusted = ["10.0.0.0/8", "192.0.2.1"].map(|network| network.parse().unwrap()).to_vec();
        let connection =
            InMemoryConnection::new(Routes::new(None)).observed_by(Box::new(telemetry)).behind_proxies(trusted);
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        assert_no_allocation_by(connection, request.as_bytes(), 1, b"\r\n\r\n");
    }
}
