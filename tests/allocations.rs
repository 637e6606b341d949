//! A plain request on a kept connection takes no memory from the heap: all that it needs is there from the one before.

#[path = "../benches/support/mod.rs"]
mod support;

use spindle::routes::Routes;
use support::Peer;
use support::corpus::{BROWSER_PICTURE, ECHO, SHORTEST};

/// How many allocations the exchanges make that follow the first ones, and the answer to the last of them.
fn allocations_of(requests: &[u8]) -> (u64, Vec<u8>) {
    const WARM_UP: usize = 3;
    const MEASURED: usize = 100;
    let mut peer = Peer::new(Routes::new(None));
    for _ in 0..WARM_UP {
        peer.exchange(requests, |_| {});
    }
    let mut answer = Vec::with_capacity(64 * 1024);
    let counted = allocation_counter::measure(|| {
        for _ in 0..MEASURED {
            answer.clear();
            peer.exchange(requests, |octets| answer.extend_from_slice(octets));
        }
    });
    (counted.count_total, answer)
}

#[track_caller]
fn assert_no_allocation(requests: &[u8], answers: usize, content: &[u8]) {
    let (allocations, sent) = allocations_of(requests);
    assert_eq!(memchr::memmem::find_iter(&sent, "HTTP/1.1 200 OK\r\n").count(), answers, "{}", sent.escape_ascii());
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

#[test]
fn an_echo_allocates_nothing() {
    assert_no_allocation(ECHO, 1, b"\r\n\r\nabc");
}

#[test]
fn the_user_agent_of_a_browser_allocates_nothing() {
    assert_no_allocation(BROWSER_PICTURE, 1, b"Safari/537.36");
}
