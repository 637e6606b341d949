//! Time-outs, made short: who is ended, and who is not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use crate::harness::{Client, Server, Start, raise_descriptor_limit, wait_until};

/// What the time-outs are set to. The server counts from the start of the turn of its loop in which something came: it
/// may be through a little earlier than the client, whose clock starts later on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_AT_LEAST: Duration = Duration::from_millis(800);

/// When the time-outs must have passed even on a busy machine.
const TIMEOUT_ON_A_BUSY_MACHINE: Duration = Duration::from_secs(4);

fn server() -> Server {
    Start::new().directory().options(["--head-timeout", "1", "--idle-timeout", "1"]).start()
}

#[test]
fn a_slow_head_gets_408_at_its_deadline() {
    let server = server();
    let mut client = server.connect();
    let started = Instant::now();
    // A byte each tenth of a second, until an answer comes instead of silence.
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
    let content = "slow but honest, thrice as long as either time-out";
    // Half a second more than that, in all.
    const PAUSE: Duration = Duration::from_millis(70);
    client.send(format!("PUT /files/slow HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len()));
    let started = Instant::now();
    for byte in content.as_bytes() {
        assert!(!client.is_readable_within(PAUSE), "answered too early: {:?}", client.response());
        client.send([*byte]);
    }
    assert!(started.elapsed() >= 3 * TIMEOUT);
    assert_eq!(client.response().status, 201);
    assert_eq!(server.content_of("slow").as_deref(), Some(content.as_bytes()));
}

#[test]
fn an_idle_connection_is_closed_without_a_response() {
    let server = server();
    // Without any request; after one; and with an empty line, which begins none. All at once, since each takes its time.
    thread::scope(|scope| {
        for before in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            for behind in ["", "\r\n", "\r"] {
                scope.spawn(|| assert_closes_silently(&server, before, behind));
            }
        }
    });
    assert_eq!(server.stderr(), "");
}

/// Of a connection that says nothing more after `before`, whose answer is read, and `behind`.
fn assert_closes_silently(server: &Server, before: &str, behind: &str) {
    let mut client = server.connect();
    let started = Instant::now();
    client.send(before);
    if !before.is_empty() {
        assert_eq!(client.response().status, 200);
    }
    client.send(behind);
    assert_eq!(client.read_until_closed(), b"", "{before:?} {behind:?}");
    let took = started.elapsed();
    assert!((TIMEOUT_AT_LEAST..TIMEOUT_ON_A_BUSY_MACHINE).contains(&took), "{before:?} {behind:?}: {took:?}");
}

#[test]
fn a_busy_connection_is_not_idle() {
    let server = server();
    let mut client = server.connect();
    let started = Instant::now();
    while started.elapsed() < 2 * TIMEOUT {
        assert_eq!(client.get("/").status, 200);
        assert!(!client.is_readable_within(Duration::from_millis(200)), "ended between requests");
    }
}

/// Fewer where the descriptors of this process, or the server's share of them, do not suffice.
fn crowd_size() -> usize {
    raise_descriptor_limit();
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The server takes a connection for every three descriptors; other tests need some of this process's.
    let crowd = usize::try_from(descriptors / 3).unwrap_or(usize::MAX).saturating_sub(200).clamp(50, 5000);
    if crowd < 5000 {
        println!("only {crowd} connections: the limit on descriptors is {descriptors}");
    }
    crowd
}

/// What each of the crowd may cost, in KiB: what its half head is parked in, its bookkeeping, and the answer that it gets.
const HALF_HEAD_KIB_MAX: u64 = 10;

#[test]
fn thousands_of_unfinished_heads_time_out_and_delay_nobody() {
    let server = Start::new().options(["--head-timeout", "2"]).start();
    let descriptors = server.descriptors();
    assert_eq!(server.get("/").status, 200);
    let idle_kib = server.resident_kib();
    let crowd_size = crowd_size();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let honest = scope.spawn(|| slowest_answer(&server, &is_over));
        let mut crowd: Vec<Client> = Vec::new();
        for _ in 0..crowd_size {
            let mut client = server.connect();
            client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Half: ");
            crowd.push(client);
        }
        // Their side stays open, and nobody reads: the server has to end them by itself. One is the honest client's.
        wait_until("the end of all connections", || server.descriptors() <= descriptors + 1);
        is_over.store(true, Ordering::Relaxed);
        let slowest = honest.join().expect("an honest client");
        assert!(slowest < TIMEOUT_ON_A_BUSY_MACHINE, "an answer took {slowest:?}");
        for client in &mut crowd {
            assert_eq!(client.response().status, 408);
            assert_eq!(client.rest(), b"");
        }
    });
    let cost_kib = server.resident_peak_kib() - idle_kib;
    println!("{} bytes for each half head", cost_kib * 1024 / crowd_size as u64);
    assert!(cost_kib <= HALF_HEAD_KIB_MAX * crowd_size as u64, "{cost_kib} KiB for {crowd_size} connections");
}

/// Asks over and over, and says how long the slowest answer took.
fn slowest_answer(server: &Server, is_over: &AtomicBool) -> Duration {
    let mut client = server.connect();
    let mut slowest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        assert_eq!(client.get("/echo/honest").text(), "honest");
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}
