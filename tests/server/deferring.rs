//! Deferred accepting: the system holds back a connection until its client has sent something, or has been silent for a
//! second. No client may notice.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Client, PROMPTLY, Server, Start, wait_until};

/// How long a silent connection is held back at least: not at all where SYN cookies are off.
fn held_back_at_least() -> Duration {
    let are_cookies_off =
        fs::read_to_string("/proc/sys/net/ipv4/tcp_syncookies").is_ok_and(|value| value.trim() == "0");
    if are_cookies_off { Duration::ZERO } else { Duration::from_millis(900) }
}

#[test]
fn a_client_that_is_silent_at_first_is_handed_over_after_a_second_and_served() {
    let server = Server::plain();
    let descriptors = server.descriptors();
    let connected = Instant::now();
    let mut client = server.connect();
    wait_until("the connection to be accepted", || server.descriptors() > descriptors);
    assert!(connected.elapsed() >= held_back_at_least(), "accepted after {:?}", connected.elapsed());
    assert_eq!(client.get("/echo/here").text(), "here");
    assert_eq!(client.get("/echo/again").text(), "again");
}

#[test]
fn a_client_that_sends_a_byte_is_handed_over_at_once() {
    let server = Start::new().options(["--head-timeout", "1"]).start();
    let mut client = server.connect();
    let sent = Instant::now();
    client.send("G");
    assert_eq!(client.response().status, 408);
    assert!(sent.elapsed() < PROMPTLY, "the time for the head began late: {:?}", sent.elapsed());
}

/// A proxy may connect before its client has sent anything.
#[test]
fn a_proxy_that_sends_its_header_first_and_the_request_later_is_served() {
    let server = Start::new().options(["--proxy-protocol", "127.0.0.1"]).start();
    let mut client = server.connect();
    client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n");
    assert!(!client.is_readable_within(Duration::from_millis(50)));
    assert_eq!(client.get("/echo/here").text(), "here");
}

#[test]
fn connections_that_are_closed_or_reset_at_once_leave_nothing_behind() {
    let server = Server::plain();
    let descriptors = server.descriptors();
    for _ in 0..50 {
        drop(server.connect());
        server.connect().reset();
    }
    let mut last = server.connect();
    assert_eq!(last.get("/echo/here").text(), "here");
    drop(last);
    wait_until("the close of all connections", || server.descriptors() == descriptors);
    assert_eq!(server.stderr(), "");
}

/// Connections that the system holds back are lost if their listener closes, whatever their clients send then.
#[test]
fn a_request_that_follows_the_signal_on_a_silent_connection_is_served() {
    // The option of the socket is changed at the shutdown: the confinement must allow that.
    let mut server = Start::new().options(["--sandbox", "kill"]).start();
    let delays_ms = [0, 1, 50, 300];
    let mut clients: Vec<Client> = (0..10 * delays_ms.len()).map(|_| server.connect()).collect();
    let mut silent = server.connect();
    server.signal(Signal::TERM);
    let signalled = Instant::now();
    for (clients, delay_ms) in clients.chunks_mut(10).zip(delays_ms) {
        std::thread::sleep(Duration::from_millis(delay_ms).saturating_sub(signalled.elapsed()));
        for client in clients {
            assert_eq!(client.get("/echo/here").text(), "here", "after {delay_ms} ms");
            assert!(client.closes_cleanly());
        }
    }
    assert!(silent.closes_cleanly(), "a client that stays silent gets an end and not a reset");
    assert_eq!(server.wait(), Some(0));
    assert!(signalled.elapsed() < PROMPTLY, "it took {:?}", signalled.elapsed());
}
