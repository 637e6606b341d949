//! Whether the system holds back connections: not while the server makes room for others.

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get};

fn network() -> Network {
    Network::new(Settings { holds_back: true, ..Settings::default() })
}

#[test]
fn at_the_connection_limit_nothing_is_held_back_and_nothing_comes_in_a_burst() {
    let network = network();
    let mut server = TestServer::new(&network, 4);
    // One after the other, so that in the end each silent connection takes another's place.
    let silent: Vec<_> = (0..100).map(|n| network.client(n * 100 * MILLISECOND)).collect();
    server.run_until(SECOND / 2);
    assert_eq!(network.open(), 0, "connections are held back");
    server.run_until(9 * SECOND);
    let closed = silent.iter().filter(|client| client.closed_ns().is_some()).count();
    assert_eq!(closed, 91 - 4, "each is accepted as it connects, and the four last ones are open");
}

/// Whether a silent client that connects a second after `at_ns` is held back.
fn is_held_back(network: &Network, server: &mut TestServer, at_ns: u64) -> bool {
    // The holding back resumes with the next connection that is accepted.
    network.client(at_ns).send(at_ns, get("/")).close(at_ns + MILLISECOND);
    server.run_until(at_ns + SECOND);
    let open = network.open();
    network.client(at_ns + SECOND).close(at_ns + 3 * SECOND);
    server.run_until(at_ns + SECOND + MILLISECOND);
    network.open() == open
}

#[test]
fn connections_are_held_back_again_ten_seconds_after_the_last_eviction() {
    let network = network();
    let mut server = TestServer::new(&network, 2);
    (0..3).for_each(|n| _ = network.client(n * 400 * MILLISECOND).close(2 * SECOND));
    server.run_until(2 * SECOND);
    assert_eq!(server.statistics.evicted(), 1, "a second later, all three are there");
    assert!(!is_held_back(&network, &mut server, 10 * SECOND));
    assert!(is_held_back(&network, &mut server, 25 * SECOND));
}

/// The holding back has ended before the shutdown. What was held back until then is still waited for.
#[test]
fn a_shutdown_soon_after_an_eviction_loses_no_connection_that_is_held_back() {
    let network = network();
    let mut server = TestServer::new(&network, 2);
    let late = network.client(0).send(SECOND - 2 * MILLISECOND, get("/"));
    let _others: Vec<_> = (0..3).map(|_| network.client(MILLISECOND).send(MILLISECOND, get("/"))).collect();
    network.signal(2 * MILLISECOND);
    server.run_until(30 * SECOND);
    assert_eq!(late.statuses(), [200]);
}

/// The loop's clock is not read for each connection that is accepted. What the system holds back in the last moment is still
/// waited for.
#[test]
fn a_connection_that_is_held_back_while_others_are_accepted_is_not_lost_by_a_shutdown() {
    let network = Network::new(Settings { holds_back: true, call_ns: 10 * MILLISECOND, ..Settings::default() });
    let mut server = TestServer::new(&network, 2);
    // The third one ends the holding back, 70 ms after the loop has begun to accept.
    let _others: Vec<_> = (0..3).map(|_| network.client(MILLISECOND).send(MILLISECOND, get("/"))).collect();
    let late = network.client(40 * MILLISECOND).send(SECOND + 30 * MILLISECOND, get("/"));
    network.signal(100 * MILLISECOND);
    server.run_until(30 * SECOND);
    assert_eq!(late.statuses(), [200]);
}
