//! Connections with a limited rate: how fast they are, and that no timer takes the server's pauses for the client's.

use std::num::NonZeroU64;

use spindle::http1::{Rate, Settings as Http1Settings};
use spindle::semantics::exchange_record::Outcome;

use crate::client::Client;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};

const KIBIBYTE: u64 = 1024;

fn server(network: &Network, bytes_per_second: u64) -> TestServer {
    let rate = NonZeroU64::new(bytes_per_second).map(Rate::new);
    TestServer::with_settings(network, 100, Http1Settings { rate, ..Http1Settings::default() })
}

/// Whether `bytes` are what the rate allows within `duration_ns`, to ten percent.
fn is_exact(bytes: u64, bytes_per_second: u64, duration_ns: u64) -> bool {
    let expected = bytes_per_second as f64 * duration_ns as f64 / SECOND as f64;
    (expected * 0.95..expected * 1.1).contains(&(bytes as f64))
}

#[test]
fn downloads_are_exact_within_three_seconds() {
    for bytes_per_second in [2 * KIBIBYTE, 100_000, 1 << 20, 1 << 30] {
        for target in ["/file/100000000000", "/stream/1000000000000"] {
            let network = Network::new(Settings::default());
            let client = network.client(0).send(0, get(target));
            let mut server = server(&network, bytes_per_second);
            let is_slow = bytes_per_second <= 1 << 20;
            let duration_ns = if is_slow { 3 * SECOND } else { 300 * MILLISECOND };
            // Time passes in the simulation only while the loop waits.
            server.run_until(SECOND);
            let before = client.file_bytes() + client.received_bytes() as u64;
            server.run_until(SECOND + duration_ns);
            let bytes = client.file_bytes() + client.received_bytes() as u64;
            assert!(is_exact(bytes - before, bytes_per_second, duration_ns), "{bytes_per_second} {target}: {bytes}");
            if is_slow {
                assert!(is_exact(bytes, bytes_per_second, SECOND + duration_ns), "from the start on: {bytes}");
                assert!(network.waits() < 4 * 70, "the loop does not poll while it waits: {}", network.waits());
            }
        }
    }
}

#[test]
fn uploads_are_exact_within_three_seconds() {
    for bytes_per_second in [2 * KIBIBYTE, 100_000, 1 << 20] {
        for head in
            [put("/up", 1 << 30), "PUT /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()]
        {
            let network = Network::new(Settings::default());
            let chunk = b"1000\r\n".iter().copied().chain([b'x'; 4096]).chain(*b"\r\n").collect::<Vec<u8>>();
            let client = network.client(0).send(0, head).send(0, chunk.repeat(1200));
            let mut server = server(&network, bytes_per_second);
            server.run_until(3 * SECOND);
            let written: u64 = server.writes().iter().map(|bytes| *bytes as u64).sum();
            assert!(is_exact(written, bytes_per_second, 3 * SECOND), "{bytes_per_second}: {written}");
            assert!(network.waits() < 3 * 70, "the loop does not poll while it waits: {}", network.waits());
            assert_eq!(client.closed_ns(), None);
        }
    }
}

#[test]
fn the_limit_is_that_of_each_connection_and_direction() {
    let network = Network::new(Settings::default());
    let download = |network: &Network| network.client(0).send(0, get("/file/1000000000"));
    let downloads: Vec<Client> = (0..3).map(|_| download(&network)).collect();
    let _upload = network.client(0).send(0, put("/up", 1 << 30)).send(0, vec![b'x'; 400_000]);
    let mut server = server(&network, 100_000);
    server.run_until(3 * SECOND);
    assert!(downloads.iter().all(|client| is_exact(client.file_bytes(), 100_000, 3 * SECOND)));
    assert!(is_exact(server.writes().iter().map(|bytes| *bytes as u64).sum(), 100_000, 3 * SECOND));
}

/// The head, the content and the next request of a client that sends as fast as it may arrive much later than their
/// timeouts allow. So does everything that a client reads.
#[test]
fn a_client_is_not_slow_while_the_server_pauses() {
    let network = Network::new(Settings::default());
    let field = format!("A: {}\r\n", "x".repeat(1000));
    let head = format!("GET /late HTTP/1.1\r\nHost: a\r\n{}\r\n", field.repeat(20));
    let long_head = network.client(0).send(0, head);
    let upload = network.client(0).send(0, put("/up", 60_000)).send(0, vec![b'x'; 60_000]).send(0, get("/next"));
    let download = network.client(0).send(0, get("/file/60000")).send(0, get("/next"));
    let mut server = server(&network, KIBIBYTE);
    server.run_until(100 * SECOND);
    assert_eq!(long_head.statuses(), [200], "20 s, twice the timeout of a head");
    assert_eq!(upload.statuses(), [201, 200]);
    assert_eq!((download.statuses(), download.file_bytes()), (vec![200, 200], 60_000));
    let outcomes: Vec<_> = server.records().iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Complete; 5]);
}

#[test]
fn a_client_that_does_not_read_is_closed_as_without_a_limit() {
    let network = Network::new(Settings::default());
    let stuck = network.client(0).send(0, get("/file/1000000000")).never_reads();
    let mut server = server(&network, 1 << 20);
    server.run_until(60 * SECOND);
    // The buffer of 256 KiB is full after a quarter second; then 30 s, and 16 s for a slow reader.
    let closed_ns = stuck.closed_ns().expect("closed");
    assert!((46 * SECOND..=46_500 * MILLISECOND).contains(&closed_ns), "{closed_ns}");
}

#[test]
fn a_client_that_sends_nothing_more_is_closed_as_without_a_limit() {
    let network = Network::new(Settings::default());
    let silent = network.client(0).send(0, put("/up", 1 << 20)).send(0, [b'x'; 2000]);
    let idle = network.client(0).send(0, get("/"));
    let mut server = server(&network, 2000);
    server.run_until(100 * SECOND);
    assert_eq!(silent.statuses(), [408]);
    let ended_ns = silent.half_closed_ns().expect("an end");
    assert!((10 * SECOND..15 * SECOND).contains(&ended_ns), "{ended_ns}");
    let closed_ns = idle.closed_ns().expect("an end");
    assert!((60 * SECOND..=60_100 * MILLISECOND).contains(&closed_ns), "{closed_ns}");
}

#[test]
fn pipelined_requests_are_answered_in_order_and_at_the_rate() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, get("/").repeat(500));
    let mut server = server(&network, 10_000);
    server.run_until(100 * SECOND);
    assert_eq!(client.statuses(), vec![200; 500]);
    let last_ns = client.responses().last().map_or(0, |response| response.at_ns);
    assert!(is_exact(client.received_bytes() as u64, 10_000, last_ns), "{last_ns}");
}

#[test]
fn a_response_after_expect_is_limited_like_any_other() {
    let network = Network::new(Settings::default());
    let head = "PUT /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6000\r\n\r\n";
    let client = network.client(0).send(0, head).send(SECOND, [b'x'; 6000]);
    let mut server = server(&network, 2000);
    server.run_until(10 * SECOND);
    assert_eq!(client.statuses(), [100, 201]);
    let done_ns = client.responses()[1].at_ns;
    assert!((3_700 * MILLISECOND..4_100 * MILLISECOND).contains(&done_ns), "{done_ns}");
}

#[test]
fn a_shutdown_waits_for_a_limited_response_as_for_a_slow_client() {
    let network = Network::new(Settings::default());
    let short = network.client(0).send(0, get("/file/10000"));
    let long = network.client(0).send(0, get("/file/1000000"));
    network.signal(SECOND);
    let mut server = server(&network, 2000);
    server.run_until(20 * SECOND);
    assert_eq!((short.file_bytes(), server.stopped_ns), (10_000, Some(11 * SECOND)));
    assert!(is_exact(long.file_bytes(), 2000, 11 * SECOND), "{}", long.file_bytes());
}

#[test]
fn the_administrator_is_not_limited() {
    let network = Network::new(Settings { listeners: 2, admin_listeners: 1, ..Settings::default() });
    let administrator = network.administrator(0).send(0, get("/file/1000000"));
    let mut server = server(&network, 2000);
    server.run_until(MILLISECOND);
    assert_eq!(administrator.file_bytes(), 1_000_000);
}

/// What the client has sent before stays readable, and would take a minute at this rate.
#[test]
fn an_upload_whose_client_resets_the_connection_ends_at_once() {
    for at_ns in [MILLISECOND, SECOND] {
        let network = Network::new(Settings::default());
        let upload = network.client(0).send(0, put("/up", 1 << 20)).send(0, vec![b'x'; 60_000]).reset(at_ns);
        let mut server = server(&network, KIBIBYTE);
        server.run_until(at_ns + MILLISECOND);
        assert_eq!(upload.closed_ns(), Some(at_ns));
        assert_eq!(network.open(), 0);
        let records = server.records();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].outcome, records[0].status), (Outcome::CutOff, None));
        assert!(records[0].received < 2 * KIBIBYTE, "what had arrived is not received any faster");
    }
}

#[test]
fn places_of_reset_uploads_are_free_at_once_for_their_address() {
    let network = Network::new(Settings::default());
    let upload = || network.client(0).send(0, put("/up", 1 << 20)).send(0, vec![b'x'; 100_000]);
    let uploads: Vec<Client> = (0..3).map(|_| upload().reset(SECOND)).collect();
    let refused = network.client(SECOND / 2).send(SECOND / 2, get("/"));
    let next = network.client(SECOND + MILLISECOND).send(SECOND + MILLISECOND, get("/"));
    let mut server = server(&network, KIBIBYTE).with_connections_per_group(3);
    server.run_until(2 * SECOND);
    assert_eq!((refused.statuses(), next.statuses()), (vec![503], vec![200]));
    assert!(uploads.iter().all(|upload| upload.closed_ns() == Some(SECOND)));
}

#[test]
fn a_download_whose_client_resets_the_connection_ends_at_once() {
    let network = Network::new(Settings::default());
    // Receiving pauses as well.
    let client = network.client(0).send(0, get("/file/1000000")).send(0, vec![b'x'; 3000]).reset(SECOND);
    let mut server = server(&network, KIBIBYTE);
    server.run_until(SECOND + MILLISECOND);
    assert_eq!(client.closed_ns(), Some(SECOND));
    assert_eq!(server.records()[0].outcome, Outcome::CutOff);
}

/// The client's end is not a failure: it has sent everything, and reads the response.
#[test]
fn an_upload_whose_client_ends_its_side_is_received_at_the_rate() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, put("/up", 20_000)).send(0, vec![b'x'; 20_000]).half_close(MILLISECOND);
    let mut server = server(&network, 10_000);
    server.run_until(10 * SECOND);
    assert_eq!(client.statuses(), [201]);
    assert!((1_800 * MILLISECOND..2_100 * MILLISECOND).contains(&client.responses()[0].at_ns));
}
