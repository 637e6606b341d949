//! Uploads that end at about the same time are committed together, and a failure of a commit affects nobody else.

use std::net::Ipv4Addr;

use spindle::semantics::exchange_record::Outcome;

use crate::client::Client;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};

/// The most uploads of a group.
const GROUP_MAX: usize = 64;

/// Clients that send a whole upload at the same time.
fn uploading(network: &Network, count: usize, path: &str) -> Vec<Client> {
    (0..count).map(|_| network.client(0).send(SECOND, put(path, 3) + "abc")).collect()
}

fn at_once() -> Network {
    Network::new(Settings::default())
}

#[test]
fn uploads_that_end_in_one_turn_are_committed_in_one_call() {
    let network = at_once();
    // A commit takes ten milliseconds, however many uploads it has.
    let clients = uploading(&network, 40, "/deferred/10000");
    let mut server = TestServer::new(&network, 100);
    server.run_until(2 * SECOND);
    assert_eq!(server.committed(), [40]);
    for client in &clients {
        assert_eq!(client.statuses(), [201]);
        assert!(client.response_time_ns(SECOND) < 12 * MILLISECOND, "{}", client.response_time_ns(SECOND));
    }
}

#[test]
fn a_group_has_at_most_so_many_uploads_and_no_client_waits_for_a_later_turn() {
    let network = at_once();
    let clients = uploading(&network, 2 * GROUP_MAX + 1, "/deferred/1000");
    let mut server = TestServer::<1024>::with_events_max(&network, 1000);
    server.run_until(2 * SECOND);
    assert_eq!(server.committed(), [GROUP_MAX, GROUP_MAX, 1]);
    assert!(
        clients.iter().all(|client| client.statuses() == [201] && client.response_time_ns(SECOND) < 5 * MILLISECOND)
    );
}

/// A client behind the uploads of others waits for one commit.
#[test]
fn readers_beside_many_uploads_wait_for_one_commit() {
    let network = at_once();
    let reader = network.client(0).send(0, get("/")).repeats(MILLISECOND, get("/"));
    let uploads: Vec<Client> = (0..GROUP_MAX)
        .map(|_| {
            network.client(0).send(0, put("/deferred/10000", 3) + "abc").repeats(0, put("/deferred/10000", 3) + "abc")
        })
        .collect();
    let mut server = TestServer::<1024>::with_events_max(&network, 1000);
    server.run_until(2 * SECOND);
    assert!(reader.longest_gap_ns() < 15 * MILLISECOND, "{}", reader.longest_gap_ns());
    assert!(uploads.iter().all(|upload| upload.statuses().len() > 50));
}

/// A download that keeps the queue from being empty.
fn endless_download(network: &Network) -> Client {
    network.client(0).send(0, get("/file/1000000000000"))
}

fn slow_files() -> Network {
    Network::new(Settings { file_mebibyte_ns: MILLISECOND, ..Settings::default() })
}

#[test]
fn an_upload_waits_two_milliseconds_at_most_for_others_that_may_join_its_group() {
    let network = slow_files();
    let _download = endless_download(&network);
    let upload = network.client(SECOND / 2).send(SECOND, put("/deferred/1000", 3) + "abc");
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!(server.committed(), [1]);
    // The wait, its commit, and a mebibyte before and after.
    assert!(upload.response_time_ns(SECOND) <= 6 * MILLISECOND, "{}", upload.response_time_ns(SECOND));
}

/// The shutdown does not wait for the response, but the content was received completely.
#[test]
fn an_upload_whose_group_waits_when_the_time_of_a_shutdown_is_over_is_committed() {
    let network = slow_files();
    let _download = endless_download(&network);
    // The shutdown takes ten seconds at most.
    let end_ns = 11 * SECOND - MILLISECOND;
    let upload = network.client(SECOND / 2).send(SECOND / 2, put("/deferred/1000", 4_000_003));
    let _upload = upload.send_each(SECOND / 2, 2 * SECOND, 5, [b'x'; 800_000]).send(end_ns, "abc");
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 10);
    server.run_until(20 * SECOND);
    assert_eq!(server.committed(), [1]);
}

/// A client that does not read, and whose upload ends in the turn in which it is disconnected for that. Returns it, and
/// that time.
fn disconnected_while_committing(network: &Network) -> (Client, u64) {
    let disconnected_ns = {
        let network = without_send_buffer();
        let client = network.client(0).never_reads().send(SECOND, get("/"));
        TestServer::new(&network, 10).run_until(100 * SECOND);
        client.closed_ns().unwrap()
    };
    let client = network.client(0).never_reads().send(SECOND, get("/"));
    (client.send(disconnected_ns, put("/deferred/0", 3) + "abc"), disconnected_ns)
}

fn without_send_buffer() -> Network {
    Network::new(Settings { send_buffer_bytes: 10, ..Settings::default() })
}

#[test]
fn an_upload_is_committed_although_its_connection_is_closed_in_the_same_turn() {
    let network = without_send_buffer();
    let (lost, at_ns) = disconnected_while_committing(&network);
    let mut server = TestServer::new(&network, 10);
    server.run_until(100 * SECOND);
    assert_eq!(lost.closed_ns(), Some(at_ns));
    assert_eq!(server.committed(), [1]);
}

#[test]
fn requests_behind_an_upload_are_served_after_its_commit() {
    let network = at_once();
    let client =
        network.client(0).send(SECOND, put("/deferred/10", 3) + "abc" + &get("/a") + &put("/deferred/10", 1) + "x");
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!(client.statuses(), [201, 200, 201]);
    assert_eq!(server.committed(), [1, 1]);
}

#[test]
fn a_panic_in_a_commit_closes_the_connections_of_its_uploads_and_no_other() {
    let network = at_once();
    let bystander = network.client(0).send(0, get("/")).repeats(100 * MILLISECOND, get("/"));
    let mut failing = uploading(&network, 3, "/deferred/0");
    failing.extend(uploading(&network, 1, "/panic-commit"));
    let mut server = TestServer::new(&network, 100);
    server.expects_panics = true;
    server.run_until(2 * SECOND);
    for client in &failing {
        assert_eq!((client.closed_s(), client.is_aborted()), (Some(1.0), true));
    }
    assert!(bystander.longest_gap_ns() <= 100 * MILLISECOND && bystander.statuses().len() >= 19);
    assert_eq!(server.records().iter().filter(|record| record.outcome == Outcome::CutOff).count(), 4);
    let later = network.client(3 * SECOND).send(3 * SECOND, put("/deferred/10", 1) + "x");
    server.run_until(4 * SECOND);
    assert_eq!(later.statuses(), [201]);
}

/// No timer ends the wait for a commit, so the loop must.
#[test]
fn a_connection_whose_response_is_lost_is_closed() {
    let network = at_once();
    let lost = network.client(0).send(SECOND, put("/lost", 3) + "abc");
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!((lost.closed_s(), lost.is_aborted()), (Some(1.0), true));
}

#[test]
fn an_upload_that_ends_while_a_shutdown_begins_is_committed_and_its_response_is_the_last() {
    let network = at_once();
    network.signal(SECOND);
    let clients = uploading(&network, 5, "/deferred/10");
    let mut server = TestServer::new(&network, 10);
    server.run_until(20 * SECOND);
    assert!(server.stopped_ns.is_some());
    assert!(clients.iter().all(|client| client.statuses() == [201]));
}

#[test]
fn a_commit_counts_as_time_of_the_addresses_whose_uploads_it_completes() {
    let network = at_once();
    let upload = put("/deferred/10000", 3) + "abc";
    let address = |number| Ipv4Addr::new(203, 0, 113, number);
    let _uploads: Vec<Client> =
        (1..=2).map(|n| network.client(0).from(address(n)).send(0, &upload).repeats(0, &upload)).collect();
    let request = get("/work/100");
    let busy: Vec<Client> =
        (0..5).map(|_| network.client(0).from(address(9)).send(0, &request).repeats(0, &request)).collect();
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND);
    let commits = server.committed().len();
    // A third of the second, and what the others do not need while their uploads wait for a commit.
    let responses = busy.iter().map(|client| client.statuses().len()).sum::<usize>();
    assert!((3_000..=5_000).contains(&responses), "{responses} responses and {commits} commits");
}
