//! What the loop counts for the metrics.

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};
use crate::world::START;

/// The longest turn and the longest call of the disk at that time, in milliseconds.
fn longest_ms(server: &TestServer, at_ns: u64) -> (u64, u64) {
    let at_ns = START.monotonic_ns + at_ns;
    let statistics = &server.statistics;
    (statistics.turns.longest_ns(at_ns) / MILLISECOND, statistics.disk_calls.longest_ns(at_ns) / MILLISECOND)
}

#[test]
fn a_slow_call_of_the_disk_shows_until_two_minutes_later() {
    let network = Network::new(Settings::default());
    let _client = network.client(0).send(SECOND, get("/disk/700000")).send(30 * SECOND, get("/disk/5000"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND - 1);
    assert_eq!(longest_ms(&server, SECOND), (0, 0));
    for second in [2, 59, 119] {
        server.run_until(second * SECOND);
        assert_eq!(longest_ms(&server, second * SECOND), (700, 700), "after {second} s");
    }
    // Nothing happens any more. The time is that of the scrape.
    assert_eq!(longest_ms(&server, 121 * SECOND), (0, 0));
}

#[test]
fn many_short_calls_make_several_turns() {
    let network = Network::new(Settings::default());
    let _clients: Vec<_> = (0..10).map(|_| network.client(0).send(SECOND, get("/disk/3000"))).collect();
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!(longest_ms(&server, 2 * SECOND), (3, 3));
    assert!(server.statistics.turns.longest_ns(START.monotonic_ns + 2 * SECOND) < 4 * MILLISECOND);
}

#[test]
fn downloads_uploads_and_failed_downloads_from_a_slow_disk_show() {
    // The send buffer has room for the head and the file.
    let slow = Settings { file_mebibyte_ns: 400 * MILLISECOND, send_buffer_bytes: 300_000, ..Settings::default() };
    let upload = put("/begin/80000", 1) + "x";
    for (settings, request, expected_ms) in [
        (slow, get("/file/262144"), 100),
        (Settings::default(), upload, 80),
        (Settings::default(), put("/disk/60000", 1) + "x", 60),
        (Settings::default(), get("/stalls/90000"), 90),
    ] {
        let network = Network::new(settings);
        let _client = network.client(0).send(0, &request);
        let mut server = TestServer::new(&network, 10);
        server.run_until(SECOND);
        let (turn_ms, disk_ms) = longest_ms(&server, SECOND);
        assert!(turn_ms >= expected_ms && (expected_ms..=2 * expected_ms).contains(&disk_ms), "{request}: {disk_ms}");
    }
}

#[test]
fn connections_that_wait_are_counted_until_they_close() {
    let network = Network::new(Settings::default());
    let _kept = network.client(0).send(0, get("/")).close(10 * SECOND);
    let _silent = network.client(0).reset(11 * SECOND);
    let _downloads = network.client(0).send(2 * SECOND, get("/file/1000000000")).never_reads().reset(12 * SECOND);
    let _uploads = network.client(0).send(4 * SECOND, put("/up", 2)).send(5 * SECOND, "ab").close(13 * SECOND);
    let _times_out = network.client(0).send(0, "GET / HT");
    let _panics = network.client(3 * SECOND).send(3 * SECOND, get("/panic"));
    let mut server = TestServer::new(&network, 10);
    let mut counted = Vec::new();
    for second in [1, 3, 4, 5, 6, 12, 14] {
        server.expects_panics = second >= 4;
        server.run_until(second * SECOND - MILLISECOND);
        let (open, waiting) = (server.statistics.connections.get(), server.statistics.waiting_connections.get());
        assert_eq!(open, network.open() as u64);
        counted.push((second, open, waiting));
    }
    assert_eq!(counted, [(1, 5, 5), (3, 5, 4), (4, 5, 4), (5, 5, 3), (6, 5, 4), (12, 2, 1), (14, 0, 0)]);
}

#[test]
fn evicted_and_failed_connections_are_counted() {
    let network = Network::new(Settings { descriptors: 3, ..Settings::default() });
    let _kept: Vec<_> = (0..2).map(|_| network.client(0).send(0, get("/"))).collect();
    let _new: Vec<_> = (0..2).map(|_| network.client(SECOND).send(SECOND, get("/"))).collect();
    let mut server = TestServer::new(&network, 2);
    server.run_until(2 * SECOND);
    let counts = |server: &TestServer| {
        let statistics = &server.statistics;
        (statistics.accepted.get(), statistics.evicted(), statistics.accept_errors.get())
    };
    assert_eq!((counts(&server), server.statistics.connections_max.get()), ((4, 2, 0), 2));
    network.set_descriptors(2);
    let _waits = network.client(3 * SECOND).send(3 * SECOND, get("/"));
    server.run_until(3 * SECOND + MILLISECOND);
    assert_eq!(counts(&server), (4, 2, 1), "nothing is evicted for a connection that cannot be accepted");
}
