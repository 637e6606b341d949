//! Timeouts, set to short values: which connections they close, and which they must not close.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use crate::harness::{Client, Server, Start, raise_descriptor_limit, wait_until};

/// The configured timeouts. A timeout starts at the time of the poll that reported the client's bytes. On a busy machine
/// the client may start its clock later than that, and so measure less than the timeout.
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_AT_LEAST: Duration = Duration::from_millis(800);

/// The longest that the server may take to notice a timeout, even on a busy machine.
const TIMEOUT_ON_A_BUSY_MACHINE: Duration = Duration::from_secs(4);

fn server() -> Server {
    Start::new().directory().options(["--head-timeout", "1", "--idle-timeout", "1"]).start()
}

#[test]
fn a_slow_head_gets_408_at_its_deadline() {
    let server = server();
    let mut client = server.connect();
    let started = Instant::now();
    // One byte every tenth of a second, until there is a response.
    for byte in b"GET / HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        let _ = client.try_send([*byte]);
        if client.is_readable_within(Duration::from_millis(100)) {
            break;
        }
        assert!(started.elapsed() < TIMEOUT_ON_A_BUSY_MACHINE, "bytes extend the deadline");
    }
    assert!(started.elapsed() >= TIMEOUT_AT_LEAST, "ended after {:?}", started.elapsed());
    let response = client.response();
    assert_eq!((response.status, response.field("Connection")), (408, Some("close")));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_slow_upload_is_not_ended_by_the_other_timeouts() {
    let server = server();
    let mut client = server.connect();
    let content = "slow content that takes thrice as long as a timeout";
    // 70 ms for each of its bytes are more than three seconds.
    const PAUSE: Duration = Duration::from_millis(70);
    client.send(format!("PUT /files/slow HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len()));
    let started = Instant::now();
    for byte in content.as_bytes() {
        assert!(!client.is_readable_within(PAUSE), "an early response: {:?}", client.response());
        client.send([*byte]);
    }
    assert!(started.elapsed() >= 3 * TIMEOUT);
    assert_eq!(client.response().status, 201);
    assert_eq!(server.content_of("slow").as_deref(), Some(content.as_bytes()));
}

#[test]
fn an_idle_connection_is_closed_without_a_response() {
    let server = server();
    // Before any request, and after one; each time also with an empty line, which does not begin a request. In parallel,
    // since each waits for the timeout.
    thread::scope(|scope| {
        for request in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            for rest in ["", "\r\n", "\r"] {
                scope.spawn(|| assert_closes_silently(&server, request, rest));
            }
        }
    });
    assert_eq!(server.stderr(), "");
}

/// Sends `request`, reads its response, sends `rest` and nothing more. Asserts that the server then closes the connection
/// without another response.
fn assert_closes_silently(server: &Server, request: &str, rest: &str) {
    let mut client = server.connect();
    let started = Instant::now();
    client.send(request);
    if !request.is_empty() {
        assert_eq!(client.response().status, 200);
    }
    client.send(rest);
    assert_eq!(client.read_until_closed(), b"", "{request:?} {rest:?}");
    let took = started.elapsed();
    assert!((TIMEOUT_AT_LEAST..TIMEOUT_ON_A_BUSY_MACHINE).contains(&took), "{request:?} {rest:?}: {took:?}");
}

#[test]
fn a_busy_connection_is_not_idle() {
    let server = server();
    let mut client = server.connect();
    let started = Instant::now();
    while started.elapsed() < 2 * TIMEOUT {
        assert_eq!(client.get("/").status, 200);
        assert!(!client.is_readable_within(Duration::from_millis(200)), "closed between requests");
    }
}

/// 5000 clients, or fewer if the descriptors of this process, or those of the server, do not suffice.
fn client_count() -> usize {
    raise_descriptor_limit();
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The server accepts one connection for every three descriptors. Other tests need some of this process's descriptors.
    let clients = usize::try_from(descriptors / 3).unwrap_or(usize::MAX).saturating_sub(200).clamp(50, 5000);
    if clients < 5000 {
        println!("only {clients} connections: the limit on descriptors is {descriptors}");
    }
    clients
}

/// The most memory that each client may cost, in KiB: a small buffer for its unfinished head, the session, and the response.
const UNFINISHED_HEAD_KIB_MAX: u64 = 10;

#[test]
fn thousands_of_unfinished_heads_time_out_and_do_not_delay_others() {
    let server = Start::new().options(["--head-timeout", "2"]).start();
    let descriptors = server.descriptors();
    assert_eq!(server.get("/").status, 200);
    let idle_kib = server.resident_kib();
    let client_count = client_count();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| slowest_response(&server, &is_over));
        let mut clients: Vec<Client> = Vec::new();
        for _ in 0..client_count {
            let mut client = server.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Half: ");
            clients.push(client);
        }
        // The clients neither read nor close, so the server has to close the connections itself. One more descriptor is the
        // other client's.
        wait_until("the close of all connections", || server.descriptors() <= descriptors + 1);
        is_over.store(true, Ordering::Relaxed);
        let slowest = other.join().expect("another client");
        assert!(slowest < TIMEOUT_ON_A_BUSY_MACHINE, "a response took {slowest:?}");
        for client in &mut clients {
            assert_eq!(client.response().status, 408);
            assert_eq!(client.rest(), b"");
        }
    });
    let cost_kib = server.resident_peak_kib() - idle_kib;
    println!("{} bytes for each unfinished head", cost_kib * 1024 / client_count as u64);
    assert!(cost_kib <= UNFINISHED_HEAD_KIB_MAX * client_count as u64, "{cost_kib} KiB for {client_count} connections");
}

/// Sends requests one after the other, and returns how long the slowest response took.
fn slowest_response(server: &Server, is_over: &AtomicBool) -> Duration {
    let mut client = server.connect();
    let mut slowest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let sent = Instant::now();
        assert_eq!(client.get("/echo/here").text(), "here");
        slowest = slowest.max(sent.elapsed());
    }
    slowest
}
