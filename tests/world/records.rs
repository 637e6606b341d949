//! Each exchange has one record, which says what happened.

use std::collections::BTreeSet;

use spindle::semantics::exchange_record::Outcome;

use crate::client::Client;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{Record, TestServer, get, put};
use crate::world::START;

/// The records of one client: request, status, bytes of content received and sent, and outcome.
fn records_of(server: &TestServer, client: &Client) -> Vec<(String, Option<u16>, u64, u64, Outcome)> {
    let of_client = |record: &Record| usize::from(record.client) == client.connection;
    let records = server.records().into_iter().filter(of_client);
    records.map(|record| (record.request, record.status, record.received, record.sent, record.outcome)).collect()
}

#[test]
fn each_exchange_has_one_correct_record() {
    let network = Network::new(Settings::default());
    let pipelines = network.client(0).send(0, get("/a") + &get("/file/1000000") + &put("/up", 3) + "xyz" + &get("/b"));
    let resets = network.client(0).send(0, get("/file/1000000000")).reads_slowly(50_000, SECOND).reset(10 * SECOND);
    let stuck = network.client(0).send(0, get("/file/1000000000")).never_reads();
    let malformed = network.client(0).send(0, get("/a") + "nonsense\r\n\r\n");
    let too_slow = network.client(0).send(0, "GET / HTTP/1.1\r\n");
    let uploads_slowly = network.client(0).send(0, put("/up", 10)).send(0, "abc");
    let uploads_in_part = network.client(0).send(0, put("/up", 10)).send(0, "abcd").reset(SECOND);
    let sends_nothing = network.client(0);
    let ends_within_head = network.client(0).send(0, "GET / HTTP/1.1\r\n").half_close(SECOND);
    let ends_within_content = network.client(0).send(0, put("/up", 10)).send(0, "abcde").half_close(SECOND);
    let last = network.client(60 * SECOND).send(60 * SECOND, get("/file/1000000000")).never_reads();
    network.signal(70 * SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(100 * SECOND);

    let (get_a, upload) = ("GET /a".to_owned(), "PUT /up".to_owned());
    let download = "GET /file/1000000000".to_owned();
    assert_eq!(
        records_of(&server, &pipelines),
        [
            (get_a.clone(), Some(200), 0, 2, Outcome::Complete),
            ("GET /file/1000000".to_owned(), Some(200), 0, 1_000_000, Outcome::Complete),
            (upload.clone(), Some(201), 3, 0, Outcome::Complete),
            ("GET /b".to_owned(), Some(200), 0, 2, Outcome::Complete),
        ]
    );
    let aborted = records_of(&server, &resets);
    assert_eq!((aborted.len(), &aborted[0].0, aborted[0].1, aborted[0].4), (1, &download, Some(200), Outcome::CutOff));
    assert!((500_000..900_000).contains(&aborted[0].3), "{aborted:?}");
    assert_eq!((records_of(&server, &stuck)[0].4, records_of(&server, &stuck).len()), (Outcome::TimedOut, 1));
    let rejected = &records_of(&server, &malformed)[1];
    assert_eq!((rejected.1, records_of(&server, &malformed).len()), (Some(400), 2));
    assert!(matches!(rejected.4, Outcome::Refused(_)), "{rejected:?}");
    let timed_out = records_of(&server, &too_slow);
    assert_eq!((timed_out.len(), timed_out[0].1, timed_out[0].4), (1, Some(408), Outcome::TimedOut));
    let timed_out = records_of(&server, &uploads_slowly);
    assert_eq!((timed_out.len(), timed_out[0].1, timed_out[0].2), (1, Some(408), 3));
    assert_eq!(timed_out[0].4, Outcome::TimedOut);
    assert_eq!(records_of(&server, &uploads_in_part), [(upload, None, 4, 0, Outcome::CutOff)]);
    for client in [&ends_within_head, &ends_within_content] {
        let cut_off = records_of(&server, client);
        assert_eq!((cut_off.len(), cut_off[0].1, &cut_off[0].4), (1, Some(400), &Outcome::CutOff), "{cut_off:?}");
    }
    assert_eq!(records_of(&server, &sends_nothing), []);
    assert_eq!((records_of(&server, &last).len(), records_of(&server, &last)[0].4), (1, Outcome::ServerClosed));
}

#[test]
fn an_observer_writes_the_records_of_many_turns_together_when_its_deadline_has_passed() {
    let network = Network::new(Settings::default());
    let soon = 10 * MILLISECOND;
    let clients: Vec<_> = (0..20).map(|n| network.client(n * soon / 20).send(soon, get("/").repeat(3))).collect();
    let later = network.client(SECOND).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 100);
    server.observed().delay_ns.set(100 * MILLISECOND);
    server.run_until(4 * SECOND);
    assert!(clients.iter().all(|client| client.statuses() == [200; 3]) && later.statuses() == [200]);
    let first_ns = START.monotonic_ns + 100 * MILLISECOND;
    let writes = server.observed().writes.borrow();
    assert_eq!(writes.iter().map(|(_, records)| *records).collect::<Vec<_>>(), [60, 1]);
    assert!((first_ns..first_ns + 2 * soon).contains(&writes[0].0), "it is not called early, nor late: {writes:?}");
    assert!(
        (SECOND..SECOND + 2 * soon).contains(&(writes[1].0 - first_ns)),
        "although nothing else happens: {writes:?}"
    );
}

#[test]
fn an_observer_that_is_full_writes_before_the_turn_ends() {
    let network = Network::new(Settings::default());
    let _clients: Vec<_> = (0..20).map(|_| network.client(0).send(0, get("/").repeat(3))).collect();
    let mut server = TestServer::new(&network, 100);
    server.observed().full.set(Some(10));
    server.observed().delay_ns.set(SECOND / 2);
    server.run_until(SECOND / 4);
    let writes = server.observed().writes.borrow();
    assert_eq!(
        writes.iter().map(|(_, records)| *records).collect::<Vec<_>>(),
        [12; 5],
        "after each session that fills it"
    );
}

#[test]
fn a_connections_number_is_unique_although_its_slab_key_is_reused() {
    let network = Network::new(Settings::default());
    for n in 0..50 {
        let _ = network.client(n * MILLISECOND).send(n * MILLISECOND, get("/").repeat(2)).close(n * MILLISECOND);
    }
    let mut server = TestServer::new(&network, 1);
    server.run_until(SECOND);
    let records = server.records();
    assert_eq!(records.len(), 100);
    let numbers: BTreeSet<_> = records.iter().map(|record| record.connection).collect();
    let pairs: BTreeSet<_> = records.iter().map(|record| (record.connection, record.client)).collect();
    assert_eq!((numbers.len(), pairs.len()), (50, 50));
}

/// A record contains the request until the response has been sent. Therefore the server stops reading requests from a
/// client that does not read responses.
#[test]
fn a_client_that_pipelines_long_requests_without_reading_uses_little_memory() {
    let network = Network::new(Settings { send_buffer_bytes: 600, ..Settings::default() });
    let long = get("/").replace("\r\n\r\n", &format!("\r\nUser-Agent: {}\r\n\r\n", "x".repeat(30_000)));
    let greedy = network.client(0).never_reads().send(0, long.repeat(200));
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND);
    assert!(server.request_count() <= 20, "{} requests are kept in memory", server.request_count());
    let reads = network.client(SECOND).send(SECOND, long.repeat(200));
    server.run_until(2 * SECOND);
    assert_eq!(reads.statuses(), [200; 200]);
    assert!(greedy.closed_ns().is_none());
}

#[test]
fn a_delayed_response_of_unknown_length_is_recorded_before_the_next_one() {
    // One of these sizes has room for exactly the head of the response.
    for send_buffer_bytes in 60..300 {
        let network = Network::new(Settings { send_buffer_bytes, ..Settings::default() });
        let pipelines = network.client(0).send(0, get("/stream/900") + &get("/a") + &get("/b")).reads_from(SECOND);
        let malformed = network.client(0).send(0, get("/stream/900") + "nonsense\r\n\r\n").reads_from(SECOND);
        let mut server = TestServer::new(&network, 10);
        server.run_until(2 * SECOND);
        let (stream, framed_bytes) = ("GET /stream/900".to_owned(), 900 + 7 + 5);
        let streamed = (stream, Some(200), 0, framed_bytes, Outcome::Complete);
        let record_of_a = ("GET /a".to_owned(), Some(200), 0, 2, Outcome::Complete);
        let record_of_b = ("GET /b".to_owned(), Some(200), 0, 2, Outcome::Complete);
        assert_eq!(
            records_of(&server, &pipelines),
            [streamed.clone(), record_of_a, record_of_b],
            "{send_buffer_bytes}"
        );
        assert_eq!(records_of(&server, &malformed)[0], streamed, "{send_buffer_bytes}");
    }
}

/// When the first byte of each response of a client was sent, in nanoseconds after the request.
fn first_byte_times_ns(server: &TestServer, client: &Client) -> Vec<Option<u64>> {
    let records = server.records().into_iter();
    records
        .filter(|record| usize::from(record.client) == client.connection)
        .map(|record| record.first_byte_ns)
        .collect()
}

#[test]
fn a_record_contains_the_time_of_the_first_byte_of_its_own_response() {
    let network = Network::new(Settings::default());
    let reads_slowly = network.client(0).send(0, get("/file/1000000")).reads_slowly(100_000, SECOND);
    // The response to the first request is sent before the content of the second one arrives.
    let uploads = network.client(0).send(0, get("/") + &put("/up", 1)).send(SECOND, "x");
    let mut server = TestServer::new(&network, 10);
    server.run_until(20 * SECOND);
    assert_eq!(first_byte_times_ns(&server, &reads_slowly), [Some(0)]);
    assert_eq!(first_byte_times_ns(&server, &uploads), [Some(0), Some(SECOND)]);

    // The first response fills the send buffer exactly.
    let response_bytes = {
        let network = Network::new(Settings::default());
        let client = network.client(0).send(0, get("/"));
        TestServer::new(&network, 10).run_until(SECOND);
        client.received_bytes() as u64
    };
    let network = Network::new(Settings { send_buffer_bytes: response_bytes, ..Settings::default() });
    let pipelines = network.client(0).send(0, get("/").repeat(2)).reads_from(SECOND);
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!(first_byte_times_ns(&server, &pipelines), [Some(0), Some(SECOND)]);
}
