//! Failures close one connection and affect no other.

use log::Level;
use spindle::semantics::exchange_record::Outcome;

use crate::client::Client;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, log_messages, put};

/// A client that sends a request ten times a second.
fn bystander(network: &Network) -> Client {
    network.client(0).send(0, get("/")).repeats(100 * MILLISECOND, get("/"))
}

#[test]
fn a_panic_closes_only_its_connection() {
    let network = Network::new(Settings::default());
    let bystander = bystander(&network);
    let failing = [
        network.client(0).send(SECOND, get("/panic")),
        network.client(0).send(SECOND, get("/trap/10")),
        network.client(0).send(SECOND, put("/panic", 10)).send(SECOND, "x"),
        network.client(0).send(SECOND, put("/panic-end", 3)).send(SECOND, "xyz"),
    ];
    // Driven in the turn in which it is accepted.
    let new_client = network.client(SECOND).send(SECOND, get("/panic"));
    let mut server = TestServer::new(&network, 100);
    server.expects_panics = true;
    server.run_until(2 * SECOND);
    for client in failing.iter().chain([&new_client]) {
        assert_eq!((client.closed_s(), client.is_aborted()), (Some(1.0), true));
    }
    assert!(bystander.longest_gap_ns() <= 100 * MILLISECOND && bystander.statuses().len() >= 19);
    let aborted = server.records().iter().filter(|record| record.outcome == Outcome::CutOff).count();
    assert_eq!(aborted, 5, "each connection has its record");

    let later =
        network.client(3 * SECOND).send(3 * SECOND, get("/")).send(3 * SECOND, put("/up", 1)).send(3 * SECOND, "x");
    server.run_until(4 * SECOND);
    assert_eq!(later.statuses(), [200, 201]);
}

#[test]
fn a_panic_while_a_deadline_expires_closes_only_its_connection() {
    let network = Network::new(Settings::default());
    let bystander = bystander(&network);
    // The content times out, and dropping the sink panics.
    let failing = network.client(0).send(SECOND, put("/panic-drop", 10));
    let mut server = TestServer::new(&network, 100);
    server.expects_panics = true;
    server.run_until(12 * SECOND);
    assert_eq!(failing.closed_s(), Some(11.0));
    assert!(bystander.longest_gap_ns() <= 100 * MILLISECOND && bystander.statuses().len() >= 119);
}

#[test]
fn a_read_error_aborts_the_download() {
    let network = Network::new(Settings::default());
    let bystander = bystander(&network);
    let download = network.client(SECOND).send(SECOND, get("/broken/700000"));
    let mut server = TestServer::new(&network, 100);
    server.run_until(2 * SECOND);
    assert_eq!((download.file_bytes(), download.is_aborted()), (700_000, true));
    assert_eq!(download.closed_s(), Some(1.0));
    let record = server.records().into_iter().find(|record| record.request == "GET /broken/700000").expect("a record");
    assert_eq!((record.status, record.sent, record.outcome), (Some(200), 700_000, Outcome::CutOff));
    assert!(log_messages(Level::Error).iter().any(|text| text.contains("the test's file cannot be sent")));
    assert!(bystander.statuses().len() >= 19);
}

#[test]
fn a_source_that_fails_aborts_the_response() {
    let network = Network::new(Settings::default());
    let fails_late = network.client(0).send(0, get("/fails/200000"));
    let fails_at_once = network.client(0).send(0, get("/fails/0"));
    let mut server = TestServer::new(&network, 100);
    server.run_until(SECOND);
    for (client, sent_min) in [(&fails_late, 100_000), (&fails_at_once, 0)] {
        assert_eq!((client.closed_ns(), client.is_aborted()), (Some(0), true));
        let of_client = server.records().into_iter().filter(|record| usize::from(record.client) == client.connection);
        let records: Vec<_> = of_client.collect();
        assert!(records.len() == 1 && records[0].outcome == Outcome::CutOff, "{records:?}");
        assert!(records[0].sent >= sent_min, "{records:?}");
    }
}

/// The end of close-delimited content is the end of the connection. Without a reset, the client would take truncated
/// content for complete.
#[test]
fn close_delimited_content_that_is_incomplete_ends_with_a_reset() {
    let network = Network::new(Settings::default());
    let request = |path: &str| format!("GET {path} HTTP/1.0\r\n\r\n");
    let complete = network.client(0).send(0, request("/stream/100000"));
    let fails = network.client(0).send(0, request("/fails/100000"));
    let never_reads = network.client(0).send(0, request("/stream/100000000")).never_reads();
    // All content fits in the buffers, but the half-close does not follow.
    let stops_reading = network.client(0).send(0, request("/stream/290000")).never_reads();
    let outlives = network.client(55 * SECOND).send(55 * SECOND, request("/stream/100000000")).never_reads();
    network.signal(60 * SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(80 * SECOND);
    assert!(server.stopped_ns.is_some() && outlives.closed_s() == Some(70.0), "{:?}", outlives.closed_s());
    let reset = [&complete, &fails, &never_reads, &stops_reading, &outlives].map(Client::is_reset);
    assert_eq!(reset, [false, true, true, true, true]);
}

#[test]
fn a_connection_that_the_client_resets_is_closed_at_once() {
    let network = Network::new(Settings::default());
    let reset = [
        network.client(0).reset(SECOND),
        network.client(0).send(0, "GET / HT").reset(SECOND),
        network.client(0).send(0, get("/file/1000000000")).never_reads().reset(SECOND),
        network.client(0).send(0, put("/up", 10)).send(0, "x").reset(SECOND),
        network.client(0).send(0, get("/file/1000000000")).never_reads().close(SECOND),
    ];
    let mut server = TestServer::new(&network, 100);
    server.run_until(3 * SECOND);
    let closed: Vec<_> = reset.iter().map(Client::closed_s).collect();
    assert_eq!(closed, [Some(1.0); 5]);
    assert!(network.waits() < 20, "{} turns", network.waits());
}
