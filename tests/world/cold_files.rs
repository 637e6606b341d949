//! Files that are not in memory: others are served while the disk reads them, and no timer takes the disk's time for the
//! client's.

use std::num::NonZeroU64;

use spindle::http1::{Rate, Settings as Http1Settings};
use spindle::semantics::exchange_record::Outcome;

use crate::client::Client;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};
use crate::world::COLD_PIECE_BYTES;

/// A file of that many pieces, each of which the disk reads ahead in `read_ns`.
fn cold(pieces: u64, read_ns: u64) -> String {
    get(&format!("/cold/{}/{}", pieces * COLD_PIECE_BYTES, read_ns / 1000))
}

/// The same, but the disk never reads ahead.
fn stuck(pieces: u64, read_ns: u64) -> String {
    get(&format!("/stuck/{}/{}", pieces * COLD_PIECE_BYTES, read_ns / 1000))
}

fn buffered(send_buffer_bytes: u64) -> Network {
    Network::new(Settings { send_buffer_bytes, ..Settings::default() })
}

/// The write-stall timeout with a send buffer of half a piece, which a client that reads at the lowest rate empties in
/// three seconds.
const STALL_S: f64 = 33.0;

#[test]
fn others_are_served_while_the_disk_reads_what_many_clients_have_asked_for() {
    let network = Network::new(Settings::default());
    let downloads: Vec<Client> = (0..16).map(|_| network.client(0).send(0, cold(3, SECOND))).collect();
    let others = network.client(0).send(MILLISECOND, get("/")).repeats(MILLISECOND, get("/"));
    TestServer::new(&network, 100).run_until(10 * SECOND);
    assert!(others.longest_gap_ns() <= 2 * MILLISECOND, "a response took {} ns", others.longest_gap_ns());
    assert!(downloads.iter().all(|download| download.file_bytes() == 3 * COLD_PIECE_BYTES));
}

#[test]
fn a_download_takes_at_most_a_quarter_longer_than_the_disk_and_the_loop_rarely_polls_for_it() {
    for read_ns in [3 * MILLISECOND, 100 * MILLISECOND, 5 * SECOND] {
        let network = Network::new(Settings::default());
        let download = network.client(0).send(0, cold(4, read_ns));
        let mut server = TestServer::new(&network, 100);
        let latest_ns = 4 * (read_ns + (read_ns / 4).clamp(MILLISECOND, 50 * MILLISECOND)) + 10 * MILLISECOND;
        server.run_until(latest_ns);
        assert_eq!(download.file_bytes(), 4 * COLD_PIECE_BYTES, "within {latest_ns} ns");
        assert!(network.waits() < 4 * 250, "the loop polls {} times", network.waits());
        assert_eq!(server.records().iter().map(|record| record.outcome).collect::<Vec<_>>(), [Outcome::Complete]);
    }
}

#[test]
fn what_the_disk_never_reads_ahead_is_read_after_a_wait_and_each_wait_in_a_row_is_shorter() {
    let network = Network::new(Settings::default());
    let download = network.client(0).send(0, stuck(20, MILLISECOND));
    let mut server = TestServer::new(&network, 100);
    server.run_until(9 * SECOND);
    assert_eq!(download.file_bytes(), 0);
    server.run_until(15 * SECOND);
    assert_eq!(download.file_bytes(), 20 * COLD_PIECE_BYTES);
    assert!(network.waits() < 1000, "the loop polls {} times", network.waits());
}

#[test]
fn a_response_that_waited_in_vain_does_not_shorten_the_waits_of_the_next_one() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, stuck(3, MILLISECOND)).send(20 * SECOND, cold(1, 5 * SECOND));
    let others = network.client(0).send(20 * SECOND, get("/")).repeats(MILLISECOND, get("/"));
    TestServer::new(&network, 100).run_until(30 * SECOND);
    assert_eq!(client.file_bytes(), 4 * COLD_PIECE_BYTES);
    assert!(others.longest_gap_ns() <= 2 * MILLISECOND, "a response took {} ns", others.longest_gap_ns());
}

/// Asserts that the client is disconnected when the write-stall timeout is over, not counting the first wait for the disk.
#[track_caller]
fn assert_stalls_after_five_seconds(network: &Network, client: &Client) {
    let mut server = TestServer::new(network, 100);
    server.run_until(60 * SECOND);
    let closed_s = client.closed_s().unwrap();
    assert!((STALL_S + 5.0..STALL_S + 5.3).contains(&closed_s), "closed at {closed_s} s");
    assert_eq!(server.records()[0].outcome, Outcome::TimedOut);
}

/// The disk has read the content, but the system takes none of it.
#[test]
fn the_write_stall_timeout_runs_after_a_wait_for_the_disk() {
    let network = buffered(COLD_PIECE_BYTES / 2);
    let client = network.client(0).send(0, cold(1, 5 * SECOND)).refuses_sends(SECOND, u32::MAX);
    assert_stalls_after_five_seconds(&network, &client);
}

#[test]
fn a_client_that_stops_reading_after_a_wait_for_the_disk_is_disconnected() {
    let network = buffered(COLD_PIECE_BYTES / 2);
    let client = network.client(0).never_reads().send(0, cold(2, 5 * SECOND));
    assert_stalls_after_five_seconds(&network, &client);
}

#[test]
fn a_pipelined_request_is_answered_after_a_response_that_waited_for_the_disk() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, [cold(1, SECOND), get("/"), put("/up", 3), "xyz".to_owned()].concat());
    TestServer::new(&network, 100).run_until(2 * SECOND);
    assert_eq!(client.statuses(), [200, 200, 201]);
}

#[test]
fn the_idle_timeout_begins_after_a_response_that_waited_for_the_disk() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, cold(10, 7 * SECOND));
    TestServer::new(&network, 100).run_until(200 * SECOND);
    let closed_s = client.closed_s().unwrap();
    assert!((130.0..131.0).contains(&closed_s), "closed at {closed_s} s");
}

#[test]
fn a_connection_that_is_lost_during_the_wait_ends_at_once() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, cold(1, 5 * SECOND)).reset(SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(SECOND + MILLISECOND);
    assert_eq!(client.closed_ns(), Some(SECOND));
    assert_eq!(server.records()[0].outcome, Outcome::CutOff);
}

#[test]
fn a_client_that_has_ended_its_side_gets_what_the_disk_reads() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, cold(2, SECOND)).half_close(MILLISECOND);
    TestServer::new(&network, 100).run_until(3 * SECOND);
    assert_eq!(client.file_bytes(), 2 * COLD_PIECE_BYTES);
}

#[test]
fn a_shutdown_waits_for_content_that_the_disk_is_reading() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, cold(2, 2 * SECOND));
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(10 * SECOND);
    assert_eq!(client.file_bytes(), 2 * COLD_PIECE_BYTES);
    assert!(server.stopped_ns.is_some_and(|stopped_ns| stopped_ns < 7 * SECOND));
}

#[test]
fn a_limited_rate_and_a_slow_disk_do_not_add_up() {
    let network = Network::new(Settings::default());
    let rate = NonZeroU64::new(COLD_PIECE_BYTES).map(Rate::new);
    let download = network.client(0).send(0, cold(5, SECOND / 2));
    let settings = Http1Settings { rate, ..Http1Settings::default() };
    let mut server = TestServer::<64>::with_settings(&network, 100, settings);
    server.run_until(4 * SECOND);
    assert!(download.file_bytes() > COLD_PIECE_BYTES && download.file_bytes() < 4 * COLD_PIECE_BYTES);
    server.run_until(8 * SECOND);
    assert_eq!(download.file_bytes(), 5 * COLD_PIECE_BYTES);
}
