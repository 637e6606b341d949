//! A slow disk never makes a client look late.

use crate::network::{MICROSECOND, MILLISECOND, Network, SECOND, Settings};
use crate::server::{LAST, TestServer, get, put};

/// A request that takes the disk six seconds.
const SIX_SECONDS: &str = "/disk/6000000";

/// Two times at which a client may connect that sends its request at `requested_ns`: an existing connection is driven
/// before deadlines are judged, and a new one after that.
fn connect_times_ns(requested_ns: u64) -> [u64; 2] {
    [requested_ns - SECOND, requested_ns]
}

#[test]
fn a_head_completed_in_time_while_the_disk_is_busy_gets_a_response() {
    for connects_ns in connect_times_ns(5 * SECOND) {
        let network = Network::new(Settings::default());
        let (start, rest) = ("GET / HTTP/1.1\r\n", "Host: a\r\n\r\n");
        let in_time = network.client(0).send(0, start).send(9 * SECOND, rest);
        // The time that the disk takes, except one second, is added to the deadlines of clients that may have been
        // sending.
        let too_late = network.client(0).send(0, start).send(16 * SECOND, rest);
        let _busy = network.client(connects_ns).send(5 * SECOND, get(SIX_SECONDS));
        let mut server = TestServer::new(&network, 10);
        server.run_until(20 * SECOND);
        assert_eq!(in_time.statuses(), [200]);
        assert_eq!(too_late.statuses(), [408]);
    }
}

#[test]
fn heads_completed_in_time_that_take_several_polls_to_report_get_responses() {
    for connects_ns in connect_times_ns(5 * SECOND) {
        let network = Network::new(Settings::default());
        let (start, rest) = ("GET / HTTP/1.1\r\n", "Host: a\r\n\r\n");
        let in_time: Vec<_> = (0..30).map(|_| network.client(0).send(0, start).send(9 * SECOND, rest)).collect();
        let too_late = network.client(0).send(0, start);
        let _busy = network.client(connects_ns).send(5 * SECOND, get(SIX_SECONDS));
        let mut server = TestServer::<4>::with_events_max(&network, 100);
        server.run_until(20 * SECOND);
        assert!(in_time.iter().all(|client| client.statuses() == [200]));
        assert_eq!((too_late.statuses(), too_late.half_closed_ns()), (vec![408], Some(15 * SECOND)));
    }
}

/// The first polls report closed connections, so that the number of connections decreases meanwhile.
#[test]
fn a_request_sent_in_time_that_is_reported_after_many_resets_gets_a_response() {
    let network = Network::new(Settings::default());
    let _reset: Vec<_> = (0..30).map(|_| network.client(0).send(SECOND, get("/")).reset(58 * SECOND)).collect();
    let in_time = network.client(0).send(0, get("/")).send(59 * SECOND, get("/"));
    let _busy = network.client(56 * SECOND).send(57 * SECOND, get(SIX_SECONDS));
    let mut server = TestServer::<4>::with_events_max(&network, 100);
    server.run_until(70 * SECOND);
    assert_eq!(in_time.statuses(), [200, 200]);
}

/// The disk is busy between two of many full polls. The last of them does not report all bytes that arrived meanwhile.
#[test]
fn a_request_sent_in_time_between_two_of_many_full_polls_gets_a_response() {
    let network = Network::new(Settings { call_ns: MICROSECOND, ..Settings::default() });
    let in_time = network.client(0).send(0, get("/")).send(59 * SECOND, get("/"));
    // These clients send a request after each response, and are reported before the one above.
    let busy_client = |_| network.client(56 * SECOND).send(57 * SECOND, get("/")).repeats(0, get("/"));
    let _busy_clients: Vec<_> = (0..12).map(busy_client).collect();
    let _busy = network.client(56 * SECOND).send(57 * SECOND, get(SIX_SECONDS));
    let mut server = TestServer::<2>::with_events_max(&network, 100);
    server.run_until(63 * SECOND + 10 * MILLISECOND);
    assert_eq!(in_time.statuses(), [200, 200]);
}

/// The previous response fills the send buffer, so that nothing of the next one can be sent at once.
#[test]
fn the_write_stall_timeout_starts_when_the_disk_has_delivered_the_response() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, get("/"));
    TestServer::new(&network, 10).run_until(SECOND);
    let send_buffer_bytes = client.received_bytes() as u64;

    let network = Network::new(Settings { send_buffer_bytes, ..Settings::default() });
    let client = network.client(0).send(0, get("/")).send(SECOND, get("/disk/40000000")).reads_from(50 * SECOND);
    TestServer::new(&network, 10).run_until(60 * SECOND);
    assert_eq!(client.statuses(), [200, 200]);
}

#[test]
fn deadlines_expire_even_if_every_poll_is_full() {
    let network = Network::new(Settings { call_ns: 50 * MICROSECOND, ..Settings::default() });
    let stuck = network.client(0).send(0, "GET / HTTP/1.1\r\n");
    // More requests than one processor can handle: another client is always ready.
    let from_ns = 9950 * MILLISECOND;
    let busy_client = |_| network.client(from_ns).send(from_ns, get("/")).repeats(0, get("/"));
    let _busy_clients: Vec<_> = (0..8).map(busy_client).collect();
    let mut server = TestServer::<2>::with_events_max(&network, 100);
    server.run_until(10_100 * MILLISECOND);
    let responses = stuck.responses();
    assert_eq!(responses.len(), 1);
    assert!((10 * SECOND..10 * SECOND + 20 * MILLISECOND).contains(&responses[0].at_ns), "{responses:?}");
}

#[test]
fn an_idle_client_that_sends_in_time_while_the_disk_is_busy_gets_a_response() {
    for connects_ns in connect_times_ns(57 * SECOND) {
        let network = Network::new(Settings::default());
        let kept = network.client(0).send(0, get("/")).send(59 * SECOND, get("/"));
        let silent = network.client(0).send(59 * SECOND, get("/"));
        let _busy = network.client(connects_ns).send(57 * SECOND, get(SIX_SECONDS));
        let mut server = TestServer::new(&network, 10);
        server.run_until(70 * SECOND);
        assert_eq!((kept.statuses(), silent.statuses()), (vec![200, 200], vec![200]));
    }
}

#[test]
fn a_client_that_still_sends_is_drained_although_the_disk_was_busy() {
    for connects_ns in connect_times_ns(SECOND) {
        let network = Network::new(Settings::default());
        let still_sends =
            network.client(0).never_closes().send(0, LAST).send(4 * SECOND, "more").half_close(10 * SECOND);
        let _busy = network.client(connects_ns).send(SECOND, get(SIX_SECONDS));
        let mut server = TestServer::new(&network, 10);
        server.run_until(20 * SECOND);
        assert_eq!(still_sends.closed_s(), Some(10.0));
        assert!(!still_sends.is_aborted());
    }
}

#[test]
fn timeouts_that_start_after_a_disk_call_start_at_the_current_time() {
    let network = Network::new(Settings::default());
    let last = get(SIX_SECONDS).replace("\r\n\r\n", "\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
    let drained = network.client(SECOND).never_closes().send(SECOND, last);
    let kept = network.client(20 * SECOND).send(20 * SECOND, get(SIX_SECONDS));
    let started = network.client(22 * SECOND).send(22 * SECOND, "GET / HT");
    let mut server = TestServer::new(&network, 10);
    server.run_until(100 * SECOND);
    assert_eq!(drained.closed_s(), Some(7.0 + 5.0), "the drain timeout starts after the response");
    assert_eq!(kept.closed_s(), Some(26.0 + 60.0));
    assert_eq!(started.half_closed_ns(), Some((26 + 10) * SECOND), "the head timeout starts when the head is read");
}

#[test]
fn an_upload_and_a_download_that_continue_in_time_while_the_disk_is_busy_do_not_time_out() {
    for connects_ns in connect_times_ns(41 * SECOND) {
        let network = Network::new(Settings::default());
        let head_ns = 36 * SECOND;
        let uploads = network.client(head_ns).send(head_ns, put("/up", 3)).send(head_ns + 9 * SECOND, "xyz");
        // Its write-stall timeout expires at 46 s.
        let reads = network.client(0).send(0, get("/file/1000000")).reads_from(45 * SECOND);
        let _busy = network.client(connects_ns).send(41 * SECOND, get(SIX_SECONDS));
        let mut server = TestServer::new(&network, 10);
        server.run_until(60 * SECOND);
        assert_eq!(uploads.statuses(), [201]);
        assert_eq!(reads.file_bytes(), 1_000_000);
    }
}

/// Each of the slow turns begins with a send that the system refuses for lack of memory, although the client has read
/// everything that it was sent.
#[test]
fn a_client_that_reads_is_not_timed_out_because_sends_before_slow_turns_were_refused() {
    let network = Network::new(Settings::default());
    let reads = network.client(0).send(0, get("/file/1000000")).reads_from(10 * SECOND).refuses_sends(9 * SECOND, 3);
    let _busy = network.client(0).send(10 * SECOND, get("/disk/20000000")).send(20 * SECOND, get("/disk/20000000"));
    // Its write-stall timeout would expire at 46 s, when the server has tried to send twice.
    let never_reads = network.client(0).send(0, get("/file/1000000")).never_reads();
    let mut server = TestServer::new(&network, 10);
    server.run_until(100 * SECOND);
    assert_eq!(reads.file_bytes(), 1_000_000);
    // One second of each slow turn counts.
    assert_eq!(never_reads.closed_s(), Some(46.0 + 2.0 * 19.0));
}

#[test]
fn a_head_that_begins_after_the_slow_call_of_a_turn_gets_no_more_than_its_time() {
    let network = Network::new(Settings::default());
    let _busy = network.client(0).send(SECOND, get("/disk/20000000"));
    let begun = network.client(5 * SECOND).send(5 * SECOND, "GET / HT");
    TestServer::new(&network, 10).run_until(100 * SECOND);
    assert_eq!((begun.statuses(), begun.half_closed_ns()), (vec![408], Some((21 + 10) * SECOND)));
}

#[test]
fn the_part_of_a_slow_turn_before_the_first_send_is_not_added_to_the_write_stall_timeout() {
    let network = Network::new(Settings::default());
    let _busy = network.client(0).send(SECOND, get("/disk/20000000"));
    let never_reads = network.client(5 * SECOND).send(5 * SECOND, get("/file/1000000")).never_reads();
    TestServer::new(&network, 10).run_until(100 * SECOND);
    assert_eq!(never_reads.closed_s(), Some(21.0 + 46.0));
}

#[test]
fn a_client_with_an_earlier_heavy_request_that_sends_in_time_while_the_disk_is_busy_gets_a_response() {
    for connects_ns in connect_times_ns(57 * SECOND) {
        let network = Network::new(Settings::default());
        let kept = network.client(0).send(SECOND, get("/disk/500")).send(59 * SECOND, get("/"));
        let _busy = network.client(connects_ns).send(57 * SECOND, get(SIX_SECONDS));
        let mut server = TestServer::new(&network, 10);
        server.run_until(70 * SECOND);
        assert_eq!(kept.statuses(), [200, 200]);
    }
}

#[test]
fn uploads_that_wait_for_each_other_on_a_slow_disk_all_complete() {
    let network = Network::new(Settings::default());
    // Each upload is driven once every hundred seconds.
    let bytes = 3 * 64 * 1024;
    let uploads: Vec<_> =
        (0..100).map(|_| network.client(0).send(0, put("/up/1000000", bytes)).send(0, vec![b'x'; bytes])).collect();
    let mut server = TestServer::new(&network, 1000);
    server.run_until(1000 * SECOND);
    assert!(uploads.iter().all(|upload| upload.statuses() == [201]));
}

#[test]
fn downloads_that_wait_for_each_other_on_a_slow_disk_all_complete() {
    let network = Network::new(Settings { file_mebibyte_ns: 4 * SECOND, ..Settings::default() });
    let downloads: Vec<_> = (0..100).map(|_| network.client(0).send(0, get("/file/1000000"))).collect();
    let mut server = TestServer::new(&network, 1000);
    server.run_until(1000 * SECOND);
    assert!(downloads.iter().all(|download| download.file_bytes() == 1_000_000));
}

#[test]
fn a_client_that_sends_endlessly_without_reading_is_closed_after_its_timeout() {
    let network = Network::new(Settings { call_ns: MILLISECOND, ..Settings::default() });
    let content = vec![b'x'; 10_000_000];
    let stuck = network.client(0).never_reads().send(0, get("/file/200000").repeat(2));
    let stuck = stuck.send(0, put("/up", content.len() * 100)).send_each(0, SECOND / 2, 100, content);
    let mut server = TestServer::new(&network, 10);
    server.run_until(60 * SECOND);
    assert!(stuck.closed_s().is_some_and(|closed_s| closed_s < 48.0), "closed at {:?} s", stuck.closed_s());
}

#[test]
fn an_upload_that_the_disk_delays_at_its_start_does_not_time_out() {
    let network = Network::new(Settings::default());
    let head = put("/begin/20000000", 3).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    // On a slow network, the content arrives five seconds after 100 Continue was sent.
    let upload = network.client(0).send(0, head).send(25 * SECOND, "xyz");
    let mut server = TestServer::new(&network, 10);
    server.run_until(40 * SECOND);
    assert_eq!(upload.statuses(), [100, 201]);
}

#[test]
fn a_head_longer_than_the_receive_buffer_gets_a_response_although_the_disk_was_busy() {
    let network = Network::new(Settings { receive_buffer_bytes: 2_000, ..Settings::default() });
    let head = get("/").replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(7_000)));
    let sends = network.client(0).send(0, head);
    let _busy = network.client(0).send(0, get("/disk/20000000"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(40 * SECOND);
    assert_eq!(sends.statuses(), [200]);
}

/// No turn takes longer than the second that counts, but the rest of the head waits for thirty of them.
#[test]
fn a_head_longer_than_the_receive_buffer_gets_a_response_although_it_waits_for_many_others() {
    let network = Network::new(Settings { receive_buffer_bytes: 2_000, ..Settings::default() });
    let (start, rest) = ("GET / HTTP/1.1\r\nHost: a\r\n", format!("X: {}\r\n\r\n", "x".repeat(7_000)));
    let _busy: Vec<_> = (0..30).map(|_| network.client(0).send(2 * SECOND, get("/disk/1000000"))).collect();
    let sends = network.client(0).send(SECOND, start).send(3 * SECOND, rest);
    // What is missing of this one is not sent.
    let too_late = network.client(0).send(SECOND, start).send(3 * SECOND, "X: x");
    let mut server = TestServer::new(&network, 40);
    server.run_until(60 * SECOND);
    assert_eq!((sends.statuses(), too_late.statuses()), (vec![200], vec![408]));
}

#[test]
fn timeouts_that_start_after_a_slow_read_error_start_at_the_current_time() {
    let network = Network::new(Settings::default());
    let _fails = network.client(0).send(0, get("/stalls/20000000"));
    let started = network.client(0).send(0, "GET / HT");
    let mut server = TestServer::new(&network, 10);
    server.run_until(60 * SECOND);
    assert!(
        started.half_closed_ns().is_some_and(|half_closed_ns| half_closed_ns >= 30 * SECOND),
        "closed at {:?}",
        started.half_closed_ns()
    );
}

/// Each upload is driven once in 100 seconds, and the bytes that it receives then earn it only 30 of these.
#[test]
fn uploads_that_wait_longer_than_their_credit_because_the_disk_is_slow_succeed() {
    let network = Network::new(Settings::default());
    let bytes = 5 * 64 * 1024;
    let request = [put("/up/1000000", bytes).into_bytes(), vec![b'x'; bytes]].concat();
    // All have been accepted when they send, so that all are queued at once.
    let uploads: Vec<_> = (0..100).map(|_| network.client(0).send(SECOND, &request)).collect();
    let mut server = TestServer::new(&network, 1000);
    server.run_until(1000 * SECOND);
    assert!(uploads.iter().all(|upload| upload.statuses() == [201]));
}
