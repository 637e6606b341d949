//! Too many clients, and too few descriptors.

use log::Level;

use crate::client::Peer;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get, logged, put};

/// A client whose answer never ends.
fn unanswered(network: &Network, at_ns: u64) -> Peer {
    network.client(at_ns).send(at_ns, get("/file/1000000000")).never_reads()
}

#[test]
fn at_capacity_those_give_way_that_are_needed_least() {
    let network = Network::new(Settings::default());
    let answered = unanswered(&network, 0);
    let uploads = network.client(0).send(0, put("/up", 100_000)).send_each(0, SECOND / 2, 200, [b'x'; 500]);
    let slow_head = network.client(0).send(3 * SECOND, "GET / HT");
    let slower_head = network.client(0).send(2 * SECOND, "GET / HT");
    let silent = network.client(SECOND / 2);
    let longer_silent = network.client(0);
    let kept = network.client(0).send(2 * SECOND, get("/"));
    let longer_kept = network.client(0).send(SECOND, get("/"));
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let drained = network.client(0).never_closes().send(3500 * MILLISECOND, last);
    let leaves = [&drained, &longer_kept, &kept, &longer_silent, &silent, &slower_head, &slow_head];
    let come: Vec<u64> = (0..=7).map(|n| 4 * SECOND + n * 100 * MILLISECOND).collect();
    let newcomers: Vec<_> = come.iter().map(|at| unanswered(&network, *at)).collect();

    let mut run = Run::new(&network, 9);
    run.until(6 * SECOND);
    for ((peer, newcomer), come_ns) in leaves.iter().zip(&newcomers).zip(&come) {
        assert_eq!(peer.closed_ns(), Some(*come_ns));
        assert!(!newcomer.is_refused() && newcomer.closed_ns().is_none());
    }
    assert_eq!((answered.closed_ns(), uploads.closed_ns()), (None, None), "these are at work");
    assert_eq!(run.records().len(), 3, "those that gave way had been answered before");
}

#[test]
fn nobody_gives_way_when_the_last_place_is_taken_and_nobody_else_waits() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send(0, get("/"));
    let last = network.client(SECOND).send(SECOND, get("/"));
    let mut run = Run::new(&network, 2);
    run.until(2 * SECOND);
    assert_eq!((kept.closed_ns(), last.closed_ns()), (None, None));
    assert!(network.waits() < 10, "the loop rests, since nobody waits: {} turns", network.waits());
}

#[test]
fn a_client_that_has_just_been_answered_for_the_last_time_may_read_that() {
    let network = Network::new(Settings::default());
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let drained = network.client(0).never_closes().send(SECOND, last);
    let newcomer = network.client(SECOND).send(SECOND, get("/"));
    let mut run = Run::new(&network, 1);
    run.until(3 * SECOND);
    let closed_ns = drained.closed_ns().expect("it gives way");
    assert!((250..=270).contains(&((closed_ns - SECOND) / MILLISECOND)), "after {closed_ns} ns");
    assert_eq!(newcomer.answered_within(closed_ns), 0);
}

/// An empty line may precede a head. Its CR alone is no request, and nothing that is being answered.
/// Its next request may cross with the end, and the reset that follows takes away the response.
#[test]
fn a_client_that_has_just_been_answered_may_read_that_before_it_gives_way() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send(SECOND, get("/"));
    let newcomer = network.client(SECOND + 100 * MILLISECOND).send(SECOND + 100 * MILLISECOND, get("/"));
    let mut run = Run::new(&network, 1);
    run.until(SECOND + 200 * MILLISECOND);
    assert_eq!((kept.closed_ns(), newcomer.statuses().len()), (None, 0));
    run.until(SECOND + 300 * MILLISECOND);
    assert!(kept.closed_ns().is_some() && newcomer.statuses() == [200]);
}

#[test]
fn half_an_empty_line_keeps_no_newcomer_out() {
    for received in ["\r".to_owned(), get("/") + "\r"] {
        let network = Network::new(Settings::default());
        let holds = network.client(0).send(0, received);
        let newcomer = network.client(SECOND).send(SECOND, get("/"));
        let mut run = Run::new(&network, 1);
        run.until(2 * SECOND);
        assert_eq!(holds.closed_ns(), Some(SECOND));
        assert_eq!(newcomer.answered_within(SECOND), 0);
    }
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
    // The first one is between requests then, and gives way to the next once it has had its time to read.
    let latest_ns = 3 * SECOND + 2 * 260 * MILLISECOND;
    assert!(newcomers.iter().all(|peer| peer.answered_within(SECOND) <= latest_ns));
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

#[test]
fn a_pause_that_is_over_keeps_nobody_awake_where_there_is_no_place_either() {
    let network = Network::new(Settings { descriptors: 2, ..Settings::default() });
    let _answered = unanswered(&network, 0);
    // It could give way when the newcomer comes, whom there is no descriptor for; and no longer when the pause is over.
    let _kept = network
        .client(0)
        .never_reads()
        .send(0, "GET / HT")
        .send(1500 * MILLISECOND, "TP/1.1\r\n\r\n")
        .send(1500 * MILLISECOND, get("/file/1000000000"));
    let newcomer = network.client(SECOND).send(SECOND, get("/"));
    let mut run = Run::new(&network, 2);
    run.until(3 * SECOND);
    assert!(newcomer.statuses().is_empty());
    assert!(network.waits() < 140, "{} turns", network.waits());
}
