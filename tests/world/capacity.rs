//! The connection limit, and running out of descriptors.

use log::Level;

use crate::client::Client;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{LAST, TestServer, get, log_messages, put};

/// A client with a response that never ends.
fn downloading_client(network: &Network, at_ns: u64) -> Client {
    network.client(at_ns).send(at_ns, get("/file/1000000000")).never_reads()
}

#[test]
fn at_capacity_connections_without_a_response_in_progress_are_evicted_in_order() {
    let network = Network::new(Settings::default());
    let downloads = downloading_client(&network, 0);
    let uploads = network.client(0).send(0, put("/up", 100_000)).send_each(0, SECOND / 2, 200, [b'x'; 500]);
    let slow_head = network.client(0).send(3 * SECOND, "GET / HT");
    let slower_head = network.client(0).send(2 * SECOND, "GET / HT");
    let silent = network.client(SECOND / 2);
    let longer_silent = network.client(0);
    let kept = network.client(0).send(2 * SECOND, get("/"));
    let longer_kept = network.client(0).send(SECOND, get("/"));
    let drained = network.client(0).never_closes().send(3500 * MILLISECOND, LAST);
    let to_evict = [&drained, &longer_kept, &kept, &longer_silent, &silent, &slower_head, &slow_head];
    let connect_ns: Vec<u64> = (0..=7).map(|n| 4 * SECOND + n * 100 * MILLISECOND).collect();
    let new_clients: Vec<_> = connect_ns.iter().map(|at| downloading_client(&network, *at)).collect();

    let mut server = TestServer::new(&network, 9);
    server.run_until(6 * SECOND);
    for ((client, new_client), connected_ns) in to_evict.iter().zip(&new_clients).zip(&connect_ns) {
        assert_eq!(client.closed_ns(), Some(*connected_ns));
        assert!(!new_client.is_refused() && new_client.closed_ns().is_none());
    }
    assert_eq!((downloads.closed_ns(), uploads.closed_ns()), (None, None), "a response or an upload is in progress");
    assert_eq!(server.records().len(), 3, "the evicted connections had received complete responses");
}

#[test]
fn at_capacity_nothing_is_evicted_while_no_connection_waits() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send(0, get("/"));
    let last = network.client(SECOND).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 2);
    server.run_until(2 * SECOND);
    assert_eq!((kept.closed_ns(), last.closed_ns()), (None, None));
    assert!(network.waits() < 10, "the loop does not spin: {} turns", network.waits());
}

#[test]
fn a_draining_connection_is_evicted_only_after_the_short_drain_timeout() {
    let network = Network::new(Settings::default());
    let drained = network.client(0).never_closes().send(SECOND, LAST);
    let new_client = network.client(SECOND).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 1);
    server.run_until(3 * SECOND);
    let closed_ns = drained.closed_ns().expect("the draining connection is evicted");
    assert!((250..=270).contains(&((closed_ns - SECOND) / MILLISECOND)), "after {closed_ns} ns");
    assert_eq!(new_client.response_time_ns(closed_ns), 0);
}

/// The client's next request may already be on its way. Closing then resets the connection, and the response could be
/// lost.
#[test]
fn a_kept_connection_is_evicted_only_some_time_after_its_last_response() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send(SECOND, get("/"));
    let new_client = network.client(SECOND + 100 * MILLISECOND).send(SECOND + 100 * MILLISECOND, get("/"));
    let mut server = TestServer::new(&network, 1);
    server.run_until(SECOND + 200 * MILLISECOND);
    assert_eq!((kept.closed_ns(), new_client.statuses().len()), (None, 0));
    server.run_until(SECOND + 300 * MILLISECOND);
    assert!(kept.closed_ns().is_some() && new_client.statuses() == [200]);
}

/// Otherwise clients whose first request takes some time to arrive would evict each other, and none would be served.
#[test]
fn a_new_connection_is_evicted_only_after_the_time_for_its_first_request_to_arrive() {
    let network = Network::new(Settings::default());
    let head = get("/");
    let first = network.client(0).send(100 * MILLISECOND, &head[..10]).send(200 * MILLISECOND, &head[10..]);
    let second = network.client(50 * MILLISECOND).send(50 * MILLISECOND, get("/"));
    let silent = network.client(SECOND);
    let last = network.client(SECOND).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 1);
    server.run_until(3 * SECOND);
    assert_eq!((first.statuses(), second.statuses(), last.statuses()), (vec![200], vec![200], vec![200]));
    assert!(
        (250..=270).contains(&((silent.closed_ns().unwrap_or(0) - SECOND) / MILLISECOND)),
        "the connection was not idle for longer"
    );
}

/// An empty line may precede a head. Its CR alone does not start a request.
#[test]
fn a_connection_with_half_an_empty_line_is_evicted() {
    for received in ["\r".to_owned(), get("/") + "\r"] {
        let network = Network::new(Settings::default());
        let half_line = network.client(0).send(0, received);
        let new_client = network.client(SECOND).send(SECOND, get("/"));
        let mut server = TestServer::new(&network, 1);
        server.run_until(2 * SECOND);
        assert_eq!(half_line.closed_ns(), Some(SECOND));
        assert_eq!(new_client.response_time_ns(SECOND), 0);
    }
}

#[test]
fn a_connection_with_half_an_empty_line_is_evicted_after_silent_ones() {
    let network = Network::new(Settings::default());
    let half_line = network.client(0).send(0, "\r");
    let silent = network.client(SECOND);
    let _new_client = network.client(2 * SECOND).send(2 * SECOND, get("/"));
    let mut server = TestServer::new(&network, 2);
    server.run_until(2 * SECOND + MILLISECOND);
    assert_eq!((silent.closed_ns(), half_line.closed_ns()), (Some(2 * SECOND), None));
}

#[test]
fn a_candidate_for_eviction_that_has_become_active_since_the_search_is_not_evicted() {
    let network = Network::new(Settings::default());
    let first = network.client(0).send(0, get("/"));
    let active = network.client(0).never_reads().send(SECOND / 4, get("/"));
    let active = active.send(2 * SECOND + MILLISECOND, get("/file/1000000000"));
    let last = network.client(0).send(SECOND / 2, get("/"));
    // The first new connection ends the turn, because its request takes long. The second one is accepted in the next
    // turn, in which a candidate has sent a request.
    let _slow = network.client(2 * SECOND).send(2 * SECOND, get("/disk/5000"));
    let _new_client = network.client(2 * SECOND).send(2 * SECOND, get("/"));
    let mut server = TestServer::new(&network, 3);
    server.run_until(2 * SECOND + 100 * MILLISECOND);
    assert_eq!(first.closed_ns(), Some(2 * SECOND));
    assert_eq!(active.closed_ns(), None, "its response is in progress");
    assert!(last.closed_ns().is_some());
}

#[test]
fn if_nothing_can_be_evicted_new_connections_wait_and_the_loop_does_not_spin() {
    let network = Network::new(Settings::default());
    let resets = downloading_client(&network, 0).reset(4 * SECOND + 123);
    // Each client has another address. Of an address that holds several connections, one would be closed.
    let _stays = downloading_client(&network, 0).from([192, 0, 2, 1]);
    let new_clients: Vec<_> = (0..3)
        .map(|n| network.client(SECOND).from([198, 51, 100, n]).send(SECOND, get("/")).close(9 * SECOND))
        .collect();
    let mut server = TestServer::new(&network, 2);
    server.run_until(2 * SECOND);
    let waits_before = network.waits();
    server.run_until(3 * SECOND);
    // The loop searches for candidates once every ten milliseconds.
    assert!(network.waits() - waits_before <= 110, "{} turns in a second", network.waits() - waits_before);
    assert!(new_clients.iter().all(|client| client.statuses().is_empty()));

    server.run_until(5 * SECOND);
    assert_eq!(resets.closed_ns(), Some(4 * SECOND + 123));
    assert_eq!(new_clients[0].response_time_ns(4 * SECOND), 123, "as soon as the other connection is closed");
    // Each new connection is between requests after its response, and is evicted for the next one after a quarter second.
    let latest_ns = 3 * SECOND + 2 * 260 * MILLISECOND;
    assert!(new_clients.iter().all(|client| client.response_time_ns(SECOND) <= latest_ns));
}

#[test]
fn a_flood_of_new_connections_evicts_idle_connections() {
    let network = Network::new(Settings::default());
    let idle: Vec<_> = (0..300).map(|_| network.client(0).send(0, get("/"))).collect();
    let new_clients: Vec<_> = (0..200).map(|_| downloading_client(&network, SECOND)).collect();
    let mut server = TestServer::new(&network, 300);
    server.run_until(SECOND);
    let waits_before = network.waits();
    server.run_until(SECOND + MILLISECOND);
    assert_eq!(idle.iter().filter(|client| client.closed_ns() == Some(SECOND)).count(), 200);
    assert!(new_clients.iter().all(|client| client.closed_ns().is_none()));
    assert!(network.waits() - waits_before < 20, "the loop accepts 64 connections in a turn");
}

#[test]
fn out_of_descriptors_accepting_pauses_and_logs_one_warning() {
    let network = Network::new(Settings { descriptors: 2, ..Settings::default() });
    let closes = network.client(0).send(0, get("/")).close(10 * SECOND + 5);
    let _stays = network.client(0).send(0, get("/"));
    let waiting: Vec<_> = (0..2).map(|_| network.client(SECOND).send(SECOND, get("/"))).collect();
    let mut server = TestServer::new(&network, 100);
    server.run_until(9500 * MILLISECOND);
    assert!((9..=10).contains(&network.accept_failures()), "{} attempts in nine seconds", network.accept_failures());
    assert!(network.waits() < 30, "{} turns", network.waits());
    assert!(waiting.iter().all(|client| client.statuses().is_empty()));

    server.run_until(12_300 * MILLISECOND);
    assert_eq!(closes.closed_ns(), Some(10 * SECOND + 5));
    assert_eq!(waiting[0].response_time_ns(10 * SECOND), 5, "accepting resumes at once when a connection closes");
    assert!(waiting[1].statuses().is_empty());

    // Another process has closed descriptors. The loop gets no event for that.
    network.set_descriptors(100);
    server.run_until(14 * SECOND);
    assert!(
        waiting[1].response_time_ns(12_300 * MILLISECOND) <= SECOND,
        "accepting resumes after a second at the latest"
    );
    assert_eq!(log_messages(Level::Warn).len(), 1, "{:?}", log_messages(Level::Warn));
}

#[test]
fn the_end_of_an_accept_pause_does_not_make_the_loop_spin_at_capacity() {
    let network = Network::new(Settings { descriptors: 2, ..Settings::default() });
    let _downloads = downloading_client(&network, 0);
    // Evictable when the new client connects, for which there is no descriptor; not any more when the pause is over.
    let _kept = network
        .client(0)
        .never_reads()
        .send(0, "GET / HT")
        .send(1500 * MILLISECOND, "TP/1.1\r\n\r\n")
        .send(1500 * MILLISECOND, get("/file/1000000000"));
    let new_client = network.client(SECOND).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 2);
    server.run_until(3 * SECOND);
    assert!(new_client.statuses().is_empty());
    assert!(network.waits() < 140, "{} turns", network.waits());
}
