//! Each exchange yields one record, and that says what happened.

use std::collections::BTreeSet;

use spindle::semantics::exchange_record::Outcome;

use crate::client::Peer;
use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, Told, get, put};

/// The records of one client: request, status, bytes of content received and sent, ending.
fn of(run: &Run, peer: &Peer) -> Vec<(String, Option<u16>, u64, u64, Outcome)> {
    let of_client = |record: &Told| usize::from(record.client) == peer.line;
    let records = run.records().into_iter().filter(of_client);
    records.map(|told| (told.request, told.status, told.received, told.sent, told.outcome)).collect()
}

#[test]
fn each_exchange_has_one_record_and_it_is_true() {
    let network = Network::new(Settings::default());
    let pipelines = network.client(0).send(0, get("/a") + &get("/file/1000000") + &put("/up", 3) + "xyz" + &get("/b"));
    let leaves = network.client(0).send(0, get("/file/1000000000")).reads_slowly(50_000, SECOND).reset(10 * SECOND);
    let stuck = network.client(0).send(0, get("/file/1000000000")).never_reads();
    let refused = network.client(0).send(0, get("/a") + "nonsense\r\n\r\n");
    let too_slow = network.client(0).send(0, "GET / HTTP/1.1\r\n");
    let uploads_slowly = network.client(0).send(0, put("/up", 10)).send(0, "abc");
    let uploads_in_part = network.client(0).send(0, put("/up", 10)).send(0, "abcd").reset(SECOND);
    let asks_nothing = network.client(0);
    let last = network.client(60 * SECOND).send(60 * SECOND, get("/file/1000000000")).never_reads();
    network.signal(70 * SECOND);
    let mut run = Run::new(&network, 100);
    run.until(100 * SECOND);

    let (get_a, upload) = ("GET /a".to_owned(), "PUT /up".to_owned());
    let download = "GET /file/1000000000".to_owned();
    assert_eq!(
        of(&run, &pipelines),
        [
            (get_a.clone(), Some(200), 0, 2, Outcome::Complete),
            ("GET /file/1000000".to_owned(), Some(200), 0, 1_000_000, Outcome::Complete),
            (upload.clone(), Some(201), 3, 0, Outcome::Complete),
            ("GET /b".to_owned(), Some(200), 0, 2, Outcome::Complete),
        ]
    );
    let cut_off = of(&run, &leaves);
    assert_eq!((cut_off.len(), &cut_off[0].0, cut_off[0].1, cut_off[0].4), (1, &download, Some(200), Outcome::CutOff));
    assert!((500_000..900_000).contains(&cut_off[0].3), "{cut_off:?}");
    assert_eq!((of(&run, &stuck)[0].4, of(&run, &stuck).len()), (Outcome::TimedOut, 1));
    let refusal = &of(&run, &refused)[1];
    assert_eq!((refusal.1, of(&run, &refused).len()), (Some(400), 2));
    assert!(matches!(refusal.4, Outcome::Refused(_)), "{refusal:?}");
    let timed_out = of(&run, &too_slow);
    assert_eq!((timed_out.len(), timed_out[0].1, timed_out[0].4), (1, Some(408), Outcome::TimedOut));
    let timed_out = of(&run, &uploads_slowly);
    assert_eq!((timed_out.len(), timed_out[0].1, timed_out[0].2), (1, Some(408), 3));
    assert_eq!(timed_out[0].4, Outcome::TimedOut);
    assert_eq!(of(&run, &uploads_in_part), [(upload, None, 4, 0, Outcome::CutOff)]);
    assert_eq!(of(&run, &asks_nothing), []);
    assert_eq!((of(&run, &last).len(), of(&run, &last)[0].4), (1, Outcome::ServerClosed));
}

#[test]
fn a_connections_number_is_its_own_although_its_place_is_used_again() {
    let network = Network::new(Settings::default());
    for n in 0..50 {
        let _ = network.client(n * MILLISECOND).send(n * MILLISECOND, get("/").repeat(2)).close(n * MILLISECOND);
    }
    let mut run = Run::new(&network, 1);
    run.until(SECOND);
    let records = run.records();
    assert_eq!(records.len(), 100);
    let numbers: BTreeSet<_> = records.iter().map(|record| record.connection).collect();
    let pairs: BTreeSet<_> = records.iter().map(|record| (record.connection, record.client)).collect();
    assert_eq!((numbers.len(), pairs.len()), (50, 50));
}

/// A record holds what was asked for until its response has been read: long requests, of which nothing is read, are not taken
/// without bound.
#[test]
fn a_client_that_pipelines_long_requests_and_reads_nothing_costs_little_memory() {
    let network = Network::new(Settings { send_buffer_bytes: 600, ..Settings::default() });
    let long = get("/").replace("\r\n\r\n", &format!("\r\nUser-Agent: {}\r\n\r\n", "x".repeat(30_000)));
    let greedy = network.client(0).never_reads().send(0, long.repeat(200));
    let mut run = Run::new(&network, 10);
    run.until(SECOND);
    assert!(run.asked() <= 20, "{} requests are kept in memory", run.asked());
    let reads = network.client(SECOND).send(SECOND, long.repeat(200));
    run.until(2 * SECOND);
    assert_eq!(reads.statuses(), [200; 200]);
    assert!(greedy.closed_ns().is_none());
}

#[test]
fn a_response_of_unknown_length_that_has_to_wait_ends_before_the_next_one() {
    // In one of these buffers there is room for the head of the response alone.
    for send_buffer_bytes in 60..300 {
        let network = Network::new(Settings { send_buffer_bytes, ..Settings::default() });
        let asks = network.client(0).send(0, get("/stream/900") + &get("/a") + &get("/b")).reads_from(SECOND);
        let refused = network.client(0).send(0, get("/stream/900") + "nonsense\r\n\r\n").reads_from(SECOND);
        let mut run = Run::new(&network, 10);
        run.until(2 * SECOND);
        let (stream, framed_bytes) = ("GET /stream/900".to_owned(), 900 + 7 + 5);
        let streamed = (stream, Some(200), 0, framed_bytes, Outcome::Complete);
        let of_a = ("GET /a".to_owned(), Some(200), 0, 2, Outcome::Complete);
        let of_b = ("GET /b".to_owned(), Some(200), 0, 2, Outcome::Complete);
        assert_eq!(of(&run, &asks), [streamed.clone(), of_a, of_b], "{send_buffer_bytes}");
        assert_eq!(of(&run, &refused)[0], streamed, "{send_buffer_bytes}");
    }
}
