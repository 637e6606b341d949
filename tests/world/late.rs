//! A disk that takes long makes no other connection's deadline look missed.

use crate::network::{MICROSECOND, MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get, put};

/// What takes the disk six seconds.
const SIX_SECONDS: &str = "/disk/6000000";

/// When a client connects that asks for that at `asks_ns`: a kept connection is driven before deadlines are looked at, and a
/// fresh one behind that.
fn connects_ns(asks_ns: u64) -> [u64; 2] {
    [asks_ns - SECOND, asks_ns]
}

#[test]
fn a_head_that_is_completed_in_time_while_the_disk_is_busy_is_answered() {
    for connects_ns in connects_ns(5 * SECOND) {
        let network = Network::new(Settings::default());
        let (start, rest) = ("GET / HTTP/1.1\r\n", "Host: a\r\n\r\n");
        let in_time = network.client(0).send(0, start).send(9 * SECOND, rest);
        // Of the time that the disk takes all but a second is given to those who may have been sending.
        let too_late = network.client(0).send(0, start).send(16 * SECOND, rest);
        let _busy = network.client(connects_ns).send(5 * SECOND, get(SIX_SECONDS));
        let mut run = Run::new(&network, 10);
        run.until(20 * SECOND);
        assert_eq!(in_time.statuses(), [200]);
        assert_eq!(too_late.statuses(), [408]);
    }
}

#[test]
fn so_are_those_whose_bytes_no_single_poll_can_tell() {
    for connects_ns in connects_ns(5 * SECOND) {
        let network = Network::new(Settings::default());
        let (start, rest) = ("GET / HTTP/1.1\r\n", "Host: a\r\n\r\n");
        let in_time: Vec<_> = (0..30).map(|_| network.client(0).send(0, start).send(9 * SECOND, rest)).collect();
        let too_late = network.client(0).send(0, start);
        let _busy = network.client(connects_ns).send(5 * SECOND, get(SIX_SECONDS));
        let mut run = Run::<4>::with_events_max(&network, 100);
        run.until(20 * SECOND);
        assert!(in_time.iter().all(|peer| peer.statuses() == [200]));
        assert_eq!((too_late.statuses(), too_late.end_ns()), (vec![408], Some(15 * SECOND)));
    }
}

/// Each of the first polls tells of some that have closed, and so there are ever fewer connections.
#[test]
fn so_are_those_that_are_told_of_behind_many_who_leave() {
    let network = Network::new(Settings::default());
    let _leave: Vec<_> = (0..30).map(|_| network.client(0).send(SECOND, get("/")).reset(58 * SECOND)).collect();
    let in_time = network.client(0).send(0, get("/")).send(59 * SECOND, get("/"));
    let _busy = network.client(56 * SECOND).send(57 * SECOND, get(SIX_SECONDS));
    let mut run = Run::<4>::with_events_max(&network, 100);
    run.until(70 * SECOND);
    assert_eq!(in_time.statuses(), [200, 200]);
}

/// The disk takes its time between two of many full polls, and the last of them has not told of all that came meanwhile.
#[test]
fn so_are_those_that_ask_between_two_of_many_full_polls() {
    let network = Network::new(Settings { call_ns: MICROSECOND, ..Settings::default() });
    let in_time = network.client(0).send(0, get("/")).send(59 * SECOND, get("/"));
    // Who has been answered asks again, and so is told of before the one above.
    let lively = |_| network.client(56 * SECOND).send(57 * SECOND, get("/")).asks_again(0, get("/"));
    let _lively: Vec<_> = (0..12).map(lively).collect();
    let _busy = network.client(56 * SECOND).send(57 * SECOND, get(SIX_SECONDS));
    let mut run = Run::<2>::with_events_max(&network, 100);
    run.until(63 * SECOND + 10 * MILLISECOND);
    assert_eq!(in_time.statuses(), [200, 200]);
}

/// The response before fills the socket, so that nothing of the next one can be sent at once.
#[test]
fn a_client_has_its_time_to_read_from_when_the_disk_has_given_the_response() {
    let network = Network::new(Settings::default());
    let client = network.client(0).send(0, get("/"));
    Run::new(&network, 10).until(SECOND);
    let send_buffer_bytes = client.text_bytes() as u64;

    let network = Network::new(Settings { send_buffer_bytes, ..Settings::default() });
    let client = network.client(0).send(0, get("/")).send(SECOND, get("/disk/40000000")).reads_from(50 * SECOND);
    Run::new(&network, 10).until(60 * SECOND);
    assert_eq!(client.statuses(), [200, 200]);
}

#[test]
fn deadlines_pass_also_where_every_poll_is_full() {
    let network = Network::new(Settings { call_ns: 50 * MICROSECOND, ..Settings::default() });
    let stuck = network.client(0).send(0, "GET / HTTP/1.1\r\n");
    // More than one processor can do: somebody else is always ready.
    let from_ns = 9950 * MILLISECOND;
    let lively = |_| network.client(from_ns).send(from_ns, get("/")).asks_again(0, get("/"));
    let _lively: Vec<_> = (0..8).map(lively).collect();
    let mut run = Run::<2>::with_events_max(&network, 100);
    run.until(10_100 * MILLISECOND);
    let responses = stuck.responses();
    assert_eq!(responses.len(), 1);
    assert!((10 * SECOND..10 * SECOND + 20 * MILLISECOND).contains(&responses[0].at_ns), "{responses:?}");
}

#[test]
fn an_idle_connection_that_asks_in_time_while_the_disk_is_busy_is_answered() {
    for connects_ns in connects_ns(57 * SECOND) {
        let network = Network::new(Settings::default());
        let kept = network.client(0).send(0, get("/")).send(59 * SECOND, get("/"));
        let silent = network.client(0).send(59 * SECOND, get("/"));
        let _busy = network.client(connects_ns).send(57 * SECOND, get(SIX_SECONDS));
        let mut run = Run::new(&network, 10);
        run.until(70 * SECOND);
        assert_eq!((kept.statuses(), silent.statuses()), (vec![200, 200], vec![200]));
    }
}

#[test]
fn a_client_that_still_sends_when_it_has_been_answered_is_listened_to_although_the_disk_was_busy() {
    for connects_ns in connects_ns(SECOND) {
        let network = Network::new(Settings::default());
        let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let still_sends =
            network.client(0).never_closes().send(0, last).send(4 * SECOND, "more").half_close(10 * SECOND);
        let _busy = network.client(connects_ns).send(SECOND, get(SIX_SECONDS));
        let mut run = Run::new(&network, 10);
        run.until(20 * SECOND);
        assert_eq!(still_sends.closed_s(), Some(10.0));
        assert!(!still_sends.is_cut_off());
    }
}

#[test]
fn timers_that_are_started_behind_the_disk_start_from_the_time_that_it_is_then() {
    let network = Network::new(Settings::default());
    let last = get(SIX_SECONDS).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let drained = network.client(SECOND).never_closes().send(SECOND, last);
    let kept = network.client(20 * SECOND).send(20 * SECOND, get(SIX_SECONDS));
    let begun = network.client(22 * SECOND).send(22 * SECOND, "GET / HT");
    let mut run = Run::new(&network, 10);
    run.until(100 * SECOND);
    assert_eq!(drained.closed_s(), Some(7.0 + 5.0), "a response that has just come may be read for a while");
    assert_eq!(kept.closed_s(), Some(26.0 + 60.0));
    assert_eq!(begun.end_ns(), Some((26 + 10) * SECOND), "nothing was read of it before");
}

#[test]
fn an_upload_and_a_reader_that_go_on_in_time_while_the_disk_is_busy_are_not_given_up() {
    for connects_ns in connects_ns(41 * SECOND) {
        let network = Network::new(Settings::default());
        let head_ns = 36 * SECOND;
        let uploads = network.client(head_ns).send(head_ns, put("/up", 3)).send(head_ns + 9 * SECOND, "xyz");
        // Its time is over at 46 s.
        let reads = network.client(0).send(0, get("/file/1000000")).reads_from(45 * SECOND);
        let _busy = network.client(connects_ns).send(41 * SECOND, get(SIX_SECONDS));
        let mut run = Run::new(&network, 10);
        run.until(60 * SECOND);
        assert_eq!(uploads.statuses(), [201]);
        assert_eq!(reads.file_bytes(), 1_000_000);
    }
}

#[test]
fn a_connection_that_asked_for_much_before_and_asks_in_time_while_the_disk_is_busy_is_answered() {
    for connects_ns in connects_ns(57 * SECOND) {
        let network = Network::new(Settings::default());
        let kept = network.client(0).send(SECOND, get("/disk/500")).send(59 * SECOND, get("/"));
        let _busy = network.client(connects_ns).send(57 * SECOND, get(SIX_SECONDS));
        let mut run = Run::new(&network, 10);
        run.until(70 * SECOND);
        assert_eq!(kept.statuses(), [200, 200]);
    }
}

#[test]
fn uploads_that_wait_for_each_other_because_the_disk_is_slow_are_all_taken() {
    let network = Network::new(Settings::default());
    // Each has its turn every hundred seconds.
    let bytes = 3 * 64 * 1024;
    let uploads: Vec<_> =
        (0..100).map(|_| network.client(0).send(0, put("/up/1000000", bytes)).send(0, vec![b'x'; bytes])).collect();
    let mut run = Run::new(&network, 1000);
    run.until(1000 * SECOND);
    assert!(uploads.iter().all(|upload| upload.statuses() == [201]));
}

#[test]
fn downloads_that_wait_for_each_other_because_the_disk_is_slow_are_all_completed() {
    let network = Network::new(Settings { file_mebibyte_ns: 4 * SECOND, ..Settings::default() });
    let downloads: Vec<_> = (0..100).map(|_| network.client(0).send(0, get("/file/1000000"))).collect();
    let mut run = Run::new(&network, 1000);
    run.until(1000 * SECOND);
    assert!(downloads.iter().all(|download| download.file_bytes() == 1_000_000));
}

#[test]
fn a_client_that_never_reads_and_sends_without_end_is_closed_when_its_time_is_over() {
    let network = Network::new(Settings { call_ns: MILLISECOND, ..Settings::default() });
    let content = vec![b'x'; 10_000_000];
    let stuck = network.client(0).never_reads().send(0, get("/file/200000").repeat(2));
    let stuck = stuck.send(0, put("/up", content.len() * 100)).send_each(0, SECOND / 2, 100, content);
    let mut run = Run::new(&network, 10);
    run.until(60 * SECOND);
    assert!(stuck.closed_s().is_some_and(|closed_s| closed_s < 48.0), "closed at {:?} s", stuck.closed_s());
}

#[test]
fn an_upload_whose_beginning_waits_for_the_disk_is_not_ended_for_want_of_content() {
    let network = Network::new(Settings::default());
    let head = put("/begin/20000000", 3).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    // It sends its content as soon as it may, which a slow network lets it do five seconds after the word to go on.
    let upload = network.client(0).send(0, head).send(25 * SECOND, "xyz");
    let mut run = Run::new(&network, 10);
    run.until(40 * SECOND);
    assert_eq!(upload.statuses(), [100, 201]);
}

#[test]
fn a_head_whose_rest_had_no_room_while_the_disk_was_busy_is_answered() {
    let network = Network::new(Settings { receive_buffer_bytes: 2_000, ..Settings::default() });
    let head = get("/").replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(7_000)));
    let sends = network.client(0).send(0, head);
    let _busy = network.client(0).send(0, get("/disk/20000000"));
    let mut run = Run::new(&network, 10);
    run.until(40 * SECOND);
    assert_eq!(sends.statuses(), [200]);
}

#[test]
fn timers_that_are_started_behind_content_that_failed_slowly_start_from_the_time_that_it_is_then() {
    let network = Network::new(Settings::default());
    let _fails = network.client(0).send(0, get("/stalls/20000000"));
    let begun = network.client(0).send(0, "GET / HT");
    let mut run = Run::new(&network, 10);
    run.until(60 * SECOND);
    assert!(begun.end_ns().is_some_and(|end_ns| end_ns >= 30 * SECOND), "ended at {:?}", begun.end_ns());
}
