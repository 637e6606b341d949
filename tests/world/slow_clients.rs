//! Clients that read, or send, slowly or not at all.

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get, put};

const GIGABYTE: &str = "/file/1000000000";

#[test]
fn a_client_that_never_reads_is_closed_when_its_time_is_over_and_disturbs_nobody() {
    let network = Network::new(Settings::default());
    let stuck = network.client(0).send(0, get(GIGABYTE)).never_reads();
    let others: Vec<_> = (0..6).map(|n| (n * 10 * SECOND, network.client(n * 10 * SECOND))).collect();
    let others: Vec<_> =
        others.into_iter().map(|(at, peer)| (at, peer.send(at, get("/")).close(at + SECOND))).collect();
    let mut run = Run::new(&network, 100);

    run.until(5 * SECOND);
    let waits_before = network.waits();
    run.until(9 * SECOND);
    assert!(network.waits() - waits_before <= 2, "{} turns while nothing happens", network.waits() - waits_before);

    run.until(60 * SECOND);
    // 30 s without progress, and the time in which the slowest reader empties a buffer of 256 KiB: 16 s.
    assert_eq!(stuck.closed_s(), Some(46.0));
    for (asked_ns, other) in &others {
        assert!(other.answered_within(*asked_ns) < MILLISECOND);
    }
    assert!(network.waits() < 60, "{} turns in a minute", network.waits());

    network.signal(61 * SECOND);
    run.until(70 * SECOND);
    assert_eq!(run.ended_ns, Some(61 * SECOND), "nobody is waited for");
}

#[test]
fn a_slow_reader_behind_a_large_send_buffer_gets_everything() {
    let network = Network::new(Settings { send_buffer_bytes: 4 * 1024 * 1024, ..Settings::default() });
    // A third of the buffer takes 70 seconds: for so long the server sees no progress.
    let slow = network.client(0).send(0, get("/file/10000000")).reads_slowly(20_000, SECOND);
    let mut run = Run::new(&network, 10);
    run.until(520 * SECOND);
    assert_eq!(slow.file_bytes(), 10_000_000);
    assert_eq!(run.records().len(), 1);
}

#[test]
fn content_that_came_fast_and_then_drips_is_ended_within_a_minute() {
    let network = Network::new(Settings::default());
    let body = vec![b'x'; 100_000];
    let drips = network
        .client(0)
        .send(0, put("/up", 1_000_000_000))
        .send_each(0, MILLISECOND, 100, &body)
        .send_each(SECOND, SECOND, 200, "y");
    let mut run = Run::new(&network, 10);
    run.until(200 * SECOND);
    assert_eq!(drips.statuses(), [408]);
    let ended_ns = drips.end_ns().expect("an end");
    assert!((25 * SECOND..60 * SECOND).contains(&ended_ns), "ended at {} s", ended_ns / SECOND);
}

#[test]
fn content_that_keeps_to_the_rate_is_let_alone() {
    let network = Network::new(Settings::default());
    let steady = network.client(0).send(0, put("/up", 120 * 1024)).send_each(0, SECOND, 120, [b'x'; 1024]);
    let mut run = Run::new(&network, 10);
    run.until(200 * SECOND);
    assert_eq!(steady.statuses(), [201]);
}

#[test]
fn a_head_that_drips_is_refused_in_its_time_and_a_silent_client_closed_in_its() {
    let network = Network::new(Settings::default());
    let drips = network.client(0).send(0, "GET / HTTP/1.1\r\n").send_each(SECOND, SECOND, 60, "A: b\r\n");
    let silent = network.client(0);
    let mut run = Run::new(&network, 10);
    run.until(100 * SECOND);
    assert_eq!((drips.statuses(), drips.end_ns()), (vec![408], Some(10 * SECOND)));
    assert_eq!((silent.statuses(), silent.closed_s()), (vec![], Some(60.0)));
}

#[test]
fn a_read_that_stops_at_urgent_data_does_not_leave_the_rest_unread() {
    let network = Network::new(Settings::default());
    let request = get("/");
    let (start, rest) = request.split_at(20);
    // The mark and all that is behind it are there before the server looks.
    let urgent = network.client(0).send(SECOND, start).mark_urgent(SECOND).send(SECOND, rest);
    let mut run = Run::new(&network, 10);
    run.until(2 * SECOND);
    assert_eq!(urgent.statuses(), [200]);
    assert_eq!(urgent.answered_within(SECOND), 0);
}

#[test]
fn an_end_that_comes_along_with_bytes_is_seen() {
    let network = Network::new(Settings::default());
    let half_closed = network.client(0).send(SECOND, get("/")).half_close(SECOND);
    let cut_short = network.client(0).send(SECOND, "GET / HT").half_close(SECOND);
    let mut run = Run::new(&network, 10);
    run.until(2 * SECOND);
    assert_eq!((half_closed.statuses(), half_closed.closed_s()), (vec![200], Some(1.0)));
    assert_eq!((cut_short.statuses(), cut_short.closed_s()), (vec![400], Some(1.0)));
}
