//! Too many clients, and too few descriptors.

use log::Level;

use crate::client::Peer;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get, logged};

/// A client whose answer never ends.
fn unanswered(network: &Network, at_ns: u64) -> Peer {
    network.client(at_ns).send(at_ns, get("/file/1000000000")).never_reads()
}

#[test]
fn where_nobody_can_give_way_newcomers_wait_and_the_loop_rests() {
    let network = Network::new(Settings::default());
    let leaves = unanswered(&network, 0).reset(4 * SECOND + 123);
    let _stays = unanswered(&network, 0);
    let newcomers: Vec<_> = (0..3).map(|_| network.client(SECOND).send(SECOND, get("/")).close(9 * SECOND)).collect();
    let mut run = Run::new(&network, 2);
    run.until(2 * SECOND);
    let waits_before = network.waits();
    run.until(3 * SECOND);
    // One look at the sessions every ten milliseconds.
    assert!(network.waits() - waits_before <= 110, "{} turns in a second", network.waits() - waits_before);
    assert!(newcomers.iter().all(|peer| peer.statuses().is_empty()));

    run.until(5 * SECOND);
    assert_eq!(leaves.closed_ns(), Some(4 * SECOND + 123));
    assert_eq!(newcomers[0].answered_within(4 * SECOND), 123, "at once");
    // The first one is between requests then, and gives way to the next.
    assert!(newcomers.iter().all(|peer| peer.answered_within(SECOND) <= 3 * SECOND + 40 * MILLISECOND));
}

#[test]
fn a_flood_of_newcomers_takes_the_places_of_idle_connections() {
    let network = Network::new(Settings::default());
    let idle: Vec<_> = (0..300).map(|_| network.client(0).send(0, get("/"))).collect();
    let newcomers: Vec<_> = (0..200).map(|_| unanswered(&network, SECOND)).collect();
    let mut run = Run::new(&network, 300);
    run.until(SECOND);
    let waits_before = network.waits();
    run.until(SECOND + MILLISECOND);
    assert_eq!(idle.iter().filter(|peer| peer.closed_ns() == Some(SECOND)).count(), 200);
    assert!(newcomers.iter().all(|peer| peer.closed_ns().is_none()));
    assert!(network.waits() - waits_before < 20, "64 are accepted in a turn");
}

#[test]
fn out_of_descriptors_accepting_pauses_and_warns_once() {
    let network = Network::new(Settings { descriptors: 2, ..Settings::default() });
    let leaves = network.client(0).send(0, get("/")).close(10 * SECOND + 5);
    let _stays = network.client(0).send(0, get("/"));
    let waiting: Vec<_> = (0..2).map(|_| network.client(SECOND).send(SECOND, get("/"))).collect();
    let mut run = Run::new(&network, 100);
    run.until(9500 * MILLISECOND);
    assert!((9..=10).contains(&network.accept_failures()), "{} attempts in nine seconds", network.accept_failures());
    assert!(network.waits() < 30, "{} turns", network.waits());
    assert!(waiting.iter().all(|peer| peer.statuses().is_empty()));

    run.until(12_300 * MILLISECOND);
    assert_eq!(leaves.closed_ns(), Some(10 * SECOND + 5));
    assert_eq!(waiting[0].answered_within(10 * SECOND), 5, "at once when one closes");
    assert!(waiting[1].statuses().is_empty());

    // Somebody else has freed some, of which nothing tells.
    network.set_descriptors(100);
    run.until(14 * SECOND);
    assert!(waiting[1].answered_within(12_300 * MILLISECOND) <= SECOND, "a second later at the latest");
    assert_eq!(logged(Level::Warn).len(), 1, "{:?}", logged(Level::Warn));
}
