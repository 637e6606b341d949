//! The server is asked to end.

use log::Level;

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get, logged, put};

#[test]
fn connections_that_wait_at_the_signal_are_answered_as_the_last_ones() {
    let network = Network::new(Settings { listeners: 2, ..Settings::default() });
    let download = network.client(0).send(0, get("/file/500000")).reads_slowly(100_000, SECOND);
    network.signal(SECOND);
    // No more than the signal is told when it comes.
    let waiting: Vec<_> = (0..150).map(|n| network.client_of(n % 2, SECOND).send(SECOND, get("/"))).collect();
    let late = network.client(SECOND + MILLISECOND).send(SECOND + MILLISECOND, get("/"));
    let mut run = Run::<1>::with_events_max(&network, 1000);
    run.until(SECOND + MILLISECOND / 2);
    assert!(waiting.iter().all(|peer| peer.responses().iter().all(|response| response.says_close)));
    assert!(waiting.iter().all(|peer| peer.statuses() == [200]));
    assert!(!network.listens());
    run.until(20 * SECOND);
    assert!(late.is_refused());
    assert!(run.ended_ns.is_some() && run.ended_ns == download.closed_ns(), "the download is waited for");
}

#[test]
fn idle_connections_may_ask_for_a_second_and_no_longer() {
    let network = Network::new(Settings::default());
    let asks = network.client(0).send(0, get("/")).send(10_500 * MILLISECOND, get("/"));
    let silent_so_far = network.client(0).send(10_900 * MILLISECOND, get("/"));
    let asks_too_late = network.client(0).send(0, get("/")).send(11_500 * MILLISECOND, get("/"));
    let completes = network.client(0).send(9 * SECOND, "GET / HTTP/1.1\r\n").send(10_500 * MILLISECOND, "\r\n");
    let stays_half = network.client(0).send(9 * SECOND, "GET / HTTP/1.1\r\n");
    network.signal(10 * SECOND);
    let mut run = Run::new(&network, 100);
    run.until(30 * SECOND);
    for peer in [&asks, &silent_so_far, &completes] {
        let last = *peer.responses().last().expect("an answer");
        assert!(last.status == 200 && last.says_close && last.at_ns > 10 * SECOND, "{last:?}");
    }
    assert_eq!((asks_too_late.statuses(), asks_too_late.closed_s()), (vec![200], Some(11.0)));
    assert_eq!((stays_half.statuses(), stays_half.closed_s()), (vec![408], Some(11.0)));
    assert_eq!(run.ended_ns, Some(11 * SECOND));
}

#[test]
fn an_upload_that_is_under_way_is_taken_whole() {
    let network = Network::new(Settings::default());
    let uploads = network.client(0).send(SECOND, put("/up", 10_000)).send_each(SECOND, SECOND / 2, 10, [b'x'; 1000]);
    network.signal(2 * SECOND);
    let mut run = Run::new(&network, 100);
    run.until(30 * SECOND);
    let responses = uploads.responses();
    assert!(responses.len() == 1 && responses[0].status == 201 && responses[0].says_close, "{responses:?}");
    assert_eq!(run.ended_ns, Some(5500 * MILLISECOND));
    assert!(logged(Level::Info).iter().any(|text| text.contains("every response was sent completely")));
}

#[test]
fn the_loop_ends_after_ten_seconds_and_says_what_it_cut_off() {
    let network = Network::new(Settings::default());
    let stuck: Vec<_> = (0..3).map(|_| network.client(0).send(SECOND, get("/file/9999999")).never_reads()).collect();
    network.signal(2 * SECOND);
    // It is asked twice by one signal, and is in no more of a hurry for it.
    network.signal(3 * SECOND);
    let mut run = Run::new(&network, 100);
    run.until(30 * SECOND);
    assert_eq!(run.ended_ns, Some(12 * SECOND));
    assert!(stuck.iter().all(|peer| peer.closed_s() == Some(12.0)));
    assert!(logged(Level::Warn).iter().any(|text| text.contains("3 responses or uploads were cut off")));
    assert!(network.waits() < 40, "{} turns", network.waits());
}

#[test]
fn a_server_without_work_ends_within_a_second() {
    let network = Network::new(Settings::default());
    let _kept = network.client(0).send(0, get("/"));
    let _silent = network.client(0);
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let _drained = network.client(0).never_closes().send(2 * SECOND, last);
    network.signal(2 * SECOND);
    let mut run = Run::new(&network, 100);
    run.until(30 * SECOND);
    assert!(run.ended_ns <= Some(3 * SECOND), "{:?}", run.ended_ns);

    let network = Network::new(Settings::default());
    network.signal(2 * SECOND);
    let mut run = Run::new(&network, 100);
    run.until(30 * SECOND);
    assert_eq!(run.ended_ns, Some(2 * SECOND), "nobody is connected");
}

#[test]
fn at_capacity_those_that_wait_at_the_signal_are_answered_while_places_become_free() {
    let network = Network::new(Settings::default());
    let kept: Vec<_> = (0..4).map(|_| network.client(0).send(0, get("/"))).collect();
    let waiting: Vec<_> = (0..20).map(|_| network.client(SECOND).send(SECOND, get("/"))).collect();
    network.signal(SECOND);
    let mut run = Run::new(&network, 4);
    run.until(30 * SECOND);
    assert!(waiting.iter().all(|peer| peer.statuses() == [200]), "all of them");
    assert!(kept.iter().all(|peer| peer.closed_ns().is_some()));
    assert!(run.ended_ns <= Some(2100 * MILLISECOND), "{:?}", run.ended_ns);
}

#[test]
fn out_of_descriptors_those_that_wait_at_the_signal_are_answered_while_some_become_free() {
    let network = Network::new(Settings { descriptors: 1, ..Settings::default() });
    let _leaves = network.client(0).send(0, get("/")).close(1300 * MILLISECOND);
    let waiting = network.client(SECOND / 2).send(SECOND / 2, get("/"));
    network.signal(SECOND);
    let mut run = Run::new(&network, 100);
    run.until(30 * SECOND);
    assert_eq!(waiting.statuses(), [200]);
    assert_eq!(run.ended_ns, Some(1300 * MILLISECOND));
}
