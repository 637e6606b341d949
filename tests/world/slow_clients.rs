//! Clients that read or send slowly, or not at all.

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};

const GIGABYTE: &str = "/file/1000000000";

#[test]
fn a_client_that_never_reads_is_closed_after_its_timeout_and_does_not_affect_others() {
    let network = Network::new(Settings::default());
    let stuck = network.client(0).send(0, get(GIGABYTE)).never_reads();
    let others: Vec<_> = (0..6).map(|n| (n * 10 * SECOND, network.client(n * 10 * SECOND))).collect();
    let others: Vec<_> =
        others.into_iter().map(|(at, client)| (at, client.send(at, get("/")).close(at + SECOND))).collect();
    let mut server = TestServer::new(&network, 100);

    server.run_until(5 * SECOND);
    let waits_before = network.waits();
    server.run_until(9 * SECOND);
    assert!(network.waits() - waits_before <= 2, "{} turns without any event", network.waits() - waits_before);

    server.run_until(60 * SECOND);
    // The write-stall timeout of 30 s, extended by the time in which the slowest reader empties a buffer of 256 KiB:
    // 16 s.
    assert_eq!(stuck.closed_s(), Some(46.0));
    for (sent_ns, other) in &others {
        assert!(other.response_time_ns(*sent_ns) < MILLISECOND);
    }
    assert!(network.waits() < 60, "{} turns in a minute", network.waits());

    network.signal(61 * SECOND);
    server.run_until(70 * SECOND);
    assert_eq!(server.stopped_ns, Some(61 * SECOND), "no connection is left to wait for");
}

#[test]
fn a_slow_reader_with_a_large_send_buffer_gets_everything() {
    let network = Network::new(Settings { send_buffer_bytes: 4 * 1024 * 1024, ..Settings::default() });
    // The client reads a third of the buffer in 70 seconds, during which the server sees no progress.
    let slow = network.client(0).send(0, get("/file/10000000")).reads_slowly(20_000, SECOND);
    let mut server = TestServer::new(&network, 10);
    server.run_until(520 * SECOND);
    assert_eq!(slow.file_bytes(), 10_000_000);
    assert_eq!(server.records().len(), 1);
}

#[test]
fn fast_content_followed_by_single_bytes_times_out_within_a_minute() {
    let network = Network::new(Settings::default());
    let body = vec![b'x'; 100_000];
    let trickles = network
        .client(0)
        .send(0, put("/up", 1_000_000_000))
        .send_each(0, MILLISECOND, 100, &body)
        .send_each(SECOND, SECOND, 200, "y");
    let mut server = TestServer::new(&network, 10);
    server.run_until(200 * SECOND);
    assert_eq!(trickles.statuses(), [408]);
    let closed_ns = trickles.half_closed_ns().expect("a half-close");
    assert!((25 * SECOND..60 * SECOND).contains(&closed_ns), "closed after {} s", closed_ns / SECOND);
}

#[test]
fn content_at_the_minimum_rate_does_not_time_out() {
    let network = Network::new(Settings::default());
    let steady = network.client(0).send(0, put("/up", 120 * 1024)).send_each(0, SECOND, 120, [b'x'; 1024]);
    let mut server = TestServer::new(&network, 10);
    server.run_until(200 * SECOND);
    assert_eq!(steady.statuses(), [201]);
}

#[test]
fn a_slow_head_and_a_silent_client_each_have_their_own_timeout() {
    let network = Network::new(Settings::default());
    let trickles = network.client(0).send(0, "GET / HTTP/1.1\r\n").send_each(SECOND, SECOND, 60, "A: b\r\n");
    let silent = network.client(0);
    let mut server = TestServer::new(&network, 10);
    server.run_until(100 * SECOND);
    assert_eq!((trickles.statuses(), trickles.half_closed_ns()), (vec![408], Some(10 * SECOND)));
    assert_eq!((silent.statuses(), silent.closed_s()), (vec![], Some(60.0)));
}

#[test]
fn a_read_that_stops_at_urgent_data_is_followed_by_another() {
    let network = Network::new(Settings::default());
    let request = get("/");
    let (start, rest) = request.split_at(20);
    // The urgent byte and all bytes after it arrive before the server reads.
    let urgent = network.client(0).send(SECOND, start).mark_urgent(SECOND).send(SECOND, rest);
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!(urgent.statuses(), [200]);
    assert_eq!(urgent.response_time_ns(SECOND), 0);
}

#[test]
fn a_half_close_that_arrives_together_with_bytes_is_noticed() {
    let network = Network::new(Settings::default());
    let half_closed = network.client(0).send(SECOND, get("/")).half_close(SECOND);
    let cut_short = network.client(0).send(SECOND, "GET / HT").half_close(SECOND);
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!((half_closed.statuses(), half_closed.closed_s()), (vec![200], Some(1.0)));
    assert_eq!((cut_short.statuses(), cut_short.closed_s()), (vec![400], Some(1.0)));
}
