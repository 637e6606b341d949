//! The administrator gets in whatever the clients do, and does not disturb them.

use spindle::server::ADMIN_CONNECTIONS_MAX;

use crate::client::Client;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get};

/// A listener for the administrator, and one for clients.
fn network() -> Network {
    Network::new(settings())
}

fn settings() -> Settings {
    Settings { listeners: 2, admin_listeners: 1, ..Settings::default() }
}

fn downloading_client(network: &Network, at_ns: u64) -> Client {
    network.client(at_ns).send(at_ns, get("/file/1000000000")).never_reads()
}

#[test]
fn at_the_connection_limit_the_administrator_is_served_at_once_and_no_client_is_evicted() {
    let network = network();
    let downloads = downloading_client(&network, 0);
    let kept = network.client(0).send(0, get("/"));
    let administrator = network.administrator(SECOND).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 2);
    server.run_until(2 * SECOND);
    assert_eq!(administrator.response_time_ns(SECOND), 0);
    assert_eq!((downloads.closed_ns(), kept.closed_ns()), (None, None));
    assert_eq!(server.statistics.evicted(), 0);
}

#[test]
fn if_no_client_can_be_evicted_the_administrator_is_served_before_those_that_wait_longer() {
    let network = network();
    let _downloads = downloading_client(&network, 0);
    let waiting = network.client(SECOND).send(SECOND, get("/"));
    let administrator = network.administrator(2 * SECOND).send(2 * SECOND, get("/"));
    let mut server = TestServer::new(&network, 1);
    server.run_until(3 * SECOND);
    assert!(waiting.statuses().is_empty());
    assert_eq!(administrator.response_time_ns(2 * SECOND), 0);
    assert!(network.waits() < 330, "the loop does not spin: {} turns", network.waits());
}

#[test]
fn without_descriptors_the_administrator_gets_the_first_one_that_becomes_free() {
    let network = Network::new(Settings { descriptors: 2, ..settings() });
    let _stays = network.client(0).send(0, get("/"));
    let _closes = network.client(0).send(0, get("/")).close(5 * SECOND);
    let waiting = network.client(SECOND).send(SECOND, get("/"));
    let administrator = network.administrator(2 * SECOND).send(2 * SECOND, get("/"));
    let mut server = TestServer::new(&network, 100);
    server.run_until(6 * SECOND);
    assert_eq!(administrator.response_time_ns(2 * SECOND), 3 * SECOND);
    assert!(waiting.statuses().is_empty());
    assert!(server.statistics.accept_errors.get() >= 4, "the failed attempts are counted");
}

/// Otherwise a monitor that forgets to close its connections would lock the administrator out.
#[test]
fn idle_connections_of_the_administrator_are_evicted_for_another_one_but_no_client_is() {
    let network = network();
    let client = network.client(0).send(0, get("/"));
    let idle: Vec<_> = (0..ADMIN_CONNECTIONS_MAX as u64).map(|n| network.administrator(n * MILLISECOND)).collect();
    let newcomer = network.administrator(SECOND).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 2);
    server.run_until(2 * SECOND);
    assert_eq!(newcomer.response_time_ns(SECOND), 0);
    assert_eq!(idle[0].closed_ns(), Some(SECOND));
    assert!(idle[1..].iter().all(|idle| idle.closed_ns().is_none()));
    assert_eq!((client.closed_ns(), server.statistics.evicted()), (None, 0));
}

#[test]
fn connections_of_the_administrator_take_no_room_from_clients() {
    let network = network();
    let _administrators: Vec<_> = (0..100).map(|n| network.administrator(n * MILLISECOND)).collect();
    let clients: Vec<_> = (0..3).map(|_| network.client(SECOND).send(SECOND, get("/"))).collect();
    let mut server = TestServer::new(&network, 3);
    server.run_until(2 * SECOND);
    assert!(clients.iter().all(|client| client.response_time_ns(SECOND) == 0 && client.closed_ns().is_none()));
    assert!(network.open() <= 3 + ADMIN_CONNECTIONS_MAX);
    assert_eq!(server.statistics.connections.get(), 3);
    assert_eq!(server.statistics.accepted.get(), 3);
    assert_eq!(server.statistics.waiting_connections.get(), 3);
}

#[test]
fn a_slow_administrator_times_out_like_a_client() {
    let network = network();
    let half_head = network.administrator(0).send(0, "GET / HTTP/1.1\r\n");
    let stuck = network.administrator(0).send(0, get("/file/1000000000")).never_reads();
    let mut server = TestServer::new(&network, 1);
    server.run_until(100 * SECOND);
    assert_eq!(half_head.statuses(), [408]);
    assert!(stuck.closed_ns().is_some());
}

#[test]
fn a_hundred_scrapes_a_second_do_not_delay_clients() {
    let network = network();
    let client = network.client(0).send(0, get("/")).repeats(MILLISECOND, get("/"));
    let mut scrapes = network.administrator(0);
    for n in 0..200 {
        scrapes = scrapes.send(n * 10 * MILLISECOND, get("/work/1000"));
    }
    let mut server = TestServer::new(&network, 1);
    server.run_until(2 * SECOND);
    assert_eq!(scrapes.statuses().len(), 200);
    assert!(client.longest_gap_ns() <= 3 * MILLISECOND, "{} ns", client.longest_gap_ns());
}

#[test]
fn whoever_watches_a_shutdown_does_not_prolong_it() {
    let network = network();
    let _client = network.client(0).send(0, get("/"));
    // One connection for all scrapes would end with its first response.
    let watching: Vec<_> =
        (0..1000).map(|n| network.administrator(n * 10 * MILLISECOND).send(n * 10 * MILLISECOND, get("/"))).collect();
    let _idle = network.administrator(0);
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 1);
    server.run_until(20 * SECOND);
    // The client that waits for a request gets a second more.
    let stopped_ns = server.stopped_ns.expect("the server stops");
    assert!((2 * SECOND..=2 * SECOND + 20 * MILLISECOND).contains(&stopped_ns), "after {stopped_ns} ns");
    assert!(watching[150].statuses() == [200], "during the shutdown");
}

#[test]
fn a_shutdown_waits_for_a_response_to_the_administrator_but_not_for_ever() {
    let network = network();
    let reads = network.administrator(0).send(SECOND, get("/file/1000000")).reads_from(3 * SECOND);
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 1);
    server.run_until(20 * SECOND);
    assert_eq!(reads.file_bytes(), 1_000_000);
    assert!(server.stopped_ns.is_some_and(|stopped_ns| stopped_ns < 4 * SECOND));

    let network = self::network();
    let _stuck = network.administrator(0).send(SECOND, get("/file/1000000000")).never_reads();
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 1);
    server.run_until(20 * SECOND);
    assert_eq!(server.stopped_ns, Some(11 * SECOND));
}

/// The administrator's connections that wait must not keep the listeners open, which would let clients connect.
#[test]
fn the_listeners_are_closed_although_administrators_keep_connecting() {
    let network = network();
    let _stuck: Vec<_> = (0..2 * ADMIN_CONNECTIONS_MAX)
        .map(|_| network.administrator(0).send(0, get("/file/1000000000")).never_reads())
        .collect();
    let _client = network.client(0).send(0, get("/file/1000000000")).never_reads();
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 2);
    server.run_until(SECOND + 10 * MILLISECOND);
    assert!(!network.listens());
}
