//! What breaks ends one connection, and no other.

use log::Level;
use spindle::semantics::exchange_record::Outcome;

use crate::client::Peer;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get, logged, put};

/// Somebody who asks ten times a second.
fn bystander(network: &Network) -> Peer {
    network.client(0).send(0, get("/")).asks_again(100 * MILLISECOND, get("/"))
}

#[test]
fn a_panic_ends_the_connection_that_it_befalls() {
    let network = Network::new(Settings::default());
    let bystander = bystander(&network);
    let befallen = [
        network.client(0).send(SECOND, get("/panic")),
        network.client(0).send(SECOND, get("/trap/10")),
        network.client(0).send(SECOND, put("/panic", 10)).send(SECOND, "x"),
        network.client(0).send(SECOND, put("/panic-end", 3)).send(SECOND, "xyz"),
    ];
    // One that is accepted and driven at once.
    let newcomer = network.client(SECOND).send(SECOND, get("/panic"));
    let mut run = Run::new(&network, 100);
    run.expects_panics = true;
    run.until(2 * SECOND);
    for peer in befallen.iter().chain([&newcomer]) {
        assert_eq!((peer.closed_s(), peer.is_cut_off()), (Some(1.0), true));
    }
    assert!(bystander.longest_gap_ns() <= 100 * MILLISECOND && bystander.statuses().len() >= 19);
    let cut_off = run.records().iter().filter(|record| record.outcome == Outcome::CutOff).count();
    assert_eq!(cut_off, 5, "each has its record");

    let later =
        network.client(3 * SECOND).send(3 * SECOND, get("/")).send(3 * SECOND, put("/up", 1)).send(3 * SECOND, "x");
    run.until(4 * SECOND);
    assert_eq!(later.statuses(), [200, 201]);
}

#[test]
fn so_does_a_panic_while_a_timer_fires() {
    let network = Network::new(Settings::default());
    let bystander = bystander(&network);
    // The content never comes, and giving it up panics.
    let befallen = network.client(0).send(SECOND, put("/panic-drop", 10));
    let mut run = Run::new(&network, 100);
    run.expects_panics = true;
    run.until(12 * SECOND);
    assert_eq!(befallen.closed_s(), Some(11.0));
    assert!(bystander.longest_gap_ns() <= 100 * MILLISECOND && bystander.statuses().len() >= 119);
}

#[test]
fn a_file_that_cannot_be_read_on_ends_its_download_short() {
    let network = Network::new(Settings::default());
    let bystander = bystander(&network);
    let download = network.client(SECOND).send(SECOND, get("/broken/700000"));
    let mut run = Run::new(&network, 100);
    run.until(2 * SECOND);
    assert_eq!((download.file_bytes(), download.is_cut_off()), (700_000, true));
    assert_eq!(download.closed_s(), Some(1.0));
    let record = run.records().into_iter().find(|record| record.request == "GET /broken/700000").expect("a record");
    assert_eq!((record.status, record.sent, record.outcome), (Some(200), 700_000, Outcome::CutOff));
    assert!(logged(Level::Error).iter().any(|text| text.contains("the test's file cannot be sent")));
    assert!(bystander.statuses().len() >= 19);
}

#[test]
fn content_that_cannot_be_completed_ends_its_connection_short() {
    let network = Network::new(Settings::default());
    let fails_late = network.client(0).send(0, get("/fails/200000"));
    let fails_at_once = network.client(0).send(0, get("/fails/0"));
    let mut run = Run::new(&network, 100);
    run.until(SECOND);
    for (peer, sent_min) in [(&fails_late, 100_000), (&fails_at_once, 0)] {
        assert_eq!((peer.closed_ns(), peer.is_cut_off()), (Some(0), true));
        let of_peer = run.records().into_iter().filter(|record| usize::from(record.client) == peer.line);
        let records: Vec<_> = of_peer.collect();
        assert!(records.len() == 1 && records[0].outcome == Outcome::CutOff, "{records:?}");
        assert!(records[0].sent >= sent_min, "{records:?}");
    }
}

/// Such content has no end but that of the connection: a plain end would make what there is the whole.
#[test]
fn content_that_only_the_end_completes_is_cut_off_by_a_reset() {
    let network = Network::new(Settings::default());
    let request = |path: &str| format!("GET {path} HTTP/1.0\r\n\r\n");
    let whole = network.client(0).send(0, request("/stream/100000"));
    let fails = network.client(0).send(0, request("/fails/100000"));
    let never_reads = network.client(0).send(0, request("/stream/100000000")).never_reads();
    // All of it is in the queue, and the end is not.
    let stops_reading = network.client(0).send(0, request("/stream/290000")).never_reads();
    let outlives = network.client(55 * SECOND).send(55 * SECOND, request("/stream/100000000")).never_reads();
    network.signal(60 * SECOND);
    let mut run = Run::new(&network, 100);
    run.until(80 * SECOND);
    assert!(run.ended_ns.is_some() && outlives.closed_s() == Some(70.0), "{:?}", outlives.closed_s());
    let reset = [&whole, &fails, &never_reads, &stops_reading, &outlives].map(Peer::is_reset);
    assert_eq!(reset, [false, true, true, true, true]);
}

#[test]
fn a_client_that_resets_is_let_go_at_once() {
    let network = Network::new(Settings::default());
    let reset = [
        network.client(0).reset(SECOND),
        network.client(0).send(0, "GET / HT").reset(SECOND),
        network.client(0).send(0, get("/file/1000000000")).never_reads().reset(SECOND),
        network.client(0).send(0, put("/up", 10)).send(0, "x").reset(SECOND),
        network.client(0).send(0, get("/file/1000000000")).never_reads().close(SECOND),
    ];
    let mut run = Run::new(&network, 100);
    run.until(3 * SECOND);
    let closed: Vec<_> = reset.iter().map(Peer::closed_s).collect();
    assert_eq!(closed, [Some(1.0); 5]);
    assert!(network.waits() < 20, "{} turns", network.waits());
}
