//! Graceful shutdown.

use log::Level;

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{LAST, TestServer, get, log_messages, put};

#[test]
fn connections_in_the_backlog_at_the_signal_get_their_last_response() {
    let network = Network::new(Settings { listeners: 2, ..Settings::default() });
    let download = network.client(0).send(0, get("/file/500000")).reads_slowly(100_000, SECOND);
    network.signal(SECOND);
    // Each wait returns one event: the first one only the signal.
    let waiting: Vec<_> = (0..150).map(|n| network.client_of(n % 2, SECOND).send(SECOND, get("/"))).collect();
    let late = network.client(SECOND + MILLISECOND).send(SECOND + MILLISECOND, get("/"));
    let mut server = TestServer::<1>::with_events_max(&network, 1000);
    server.run_until(SECOND + MILLISECOND / 2);
    assert!(waiting.iter().all(|client| client.responses().iter().all(|response| response.says_close)));
    assert!(waiting.iter().all(|client| client.statuses() == [200]));
    assert!(!network.listens());
    server.run_until(20 * SECOND);
    assert!(late.is_refused());
    assert!(
        server.stopped_ns.is_some() && server.stopped_ns == download.closed_ns(),
        "the server stops when the download is complete"
    );
}

#[test]
fn the_backlog_of_an_inherited_listener_is_left_to_the_next_process() {
    let network = Network::new(Settings { listeners: 2, inherited_listeners: 1, ..Settings::default() });
    let accepted = network.client_of(0, 0).send(1500 * MILLISECOND, get("/"));
    network.signal(SECOND);
    // Each wait returns one event: the first one only the signal.
    let inherited: Vec<_> = (0..10).map(|_| network.client_of(0, SECOND).send(SECOND, get("/"))).collect();
    let own: Vec<_> = (0..10).map(|_| network.client_of(1, SECOND).send(SECOND, get("/"))).collect();
    let late = network.client_of(0, 1200 * MILLISECOND);
    let mut server = TestServer::<1>::with_events_max(&network, 1000);
    server.run_until(10 * SECOND);
    assert!(own.iter().all(|client| client.statuses() == [200]), "closing their listener would reset them");
    assert_eq!(accepted.statuses(), [200]);
    assert!(server.stopped_ns.is_some());
    assert_eq!(network.waiting(), 11);
    assert!(inherited.iter().chain([&late]).all(|client| !client.is_refused() && client.closed_ns().is_none()));
}

#[test]
fn idle_connections_may_send_one_more_request_within_a_second() {
    let network = Network::new(Settings::default());
    let sends = network.client(0).send(0, get("/")).send(10_500 * MILLISECOND, get("/"));
    let silent_until_then = network.client(0).send(10_900 * MILLISECOND, get("/"));
    let sends_too_late = network.client(0).send(0, get("/")).send(11_500 * MILLISECOND, get("/"));
    let completes = network.client(0).send(9 * SECOND, "GET / HTTP/1.1\r\n").send(10_500 * MILLISECOND, "\r\n");
    let stays_incomplete = network.client(0).send(9 * SECOND, "GET / HTTP/1.1\r\n");
    network.signal(10 * SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(30 * SECOND);
    for client in [&sends, &silent_until_then, &completes] {
        let last = *client.responses().last().expect("a response");
        assert!(last.status == 200 && last.says_close && last.at_ns > 10 * SECOND, "{last:?}");
    }
    assert_eq!((sends_too_late.statuses(), sends_too_late.closed_s()), (vec![200], Some(11.0)));
    assert_eq!((stays_incomplete.statuses(), stays_incomplete.closed_s()), (vec![408], Some(11.0)));
    assert_eq!(server.stopped_ns, Some(11 * SECOND));
}

/// Otherwise a client that has sent its next request already would get a reset, and lose the response.
#[test]
fn at_the_connection_limit_too_a_client_has_time_to_read_its_last_response() {
    let network = Network::new(Settings::default());
    let last = network.client(0).never_closes().send(SECOND - 10 * MILLISECOND, LAST);
    let waiting = network.client(SECOND).send(SECOND, get("/"));
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 1);
    server.run_until(5 * SECOND);
    assert_eq!((last.statuses(), waiting.statuses()), (vec![200], vec![200]));
    let closed_ms = last.closed_ns().expect("it is evicted") / MILLISECOND;
    assert!((1240..=1280).contains(&closed_ms), "after {closed_ms} ms");
}

#[test]
fn an_upload_in_progress_is_completed() {
    let network = Network::new(Settings::default());
    let uploads = network.client(0).send(SECOND, put("/up", 10_000)).send_each(SECOND, SECOND / 2, 10, [b'x'; 1000]);
    network.signal(2 * SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(30 * SECOND);
    let responses = uploads.responses();
    assert!(responses.len() == 1 && responses[0].status == 201 && responses[0].says_close, "{responses:?}");
    assert_eq!(server.stopped_ns, Some(5500 * MILLISECOND));
    assert!(log_messages(Level::Info).iter().any(|text| text.contains("every response was sent completely")));
}

#[test]
fn the_loop_stops_after_ten_seconds_and_logs_what_it_aborted() {
    let network = Network::new(Settings::default());
    let stuck: Vec<_> = (0..3).map(|_| network.client(0).send(SECOND, get("/file/9999999")).never_reads()).collect();
    let _uploads = network.client(0).send(SECOND, put("/up", 100_000)).send_each(SECOND, SECOND, 20, [b'x'; 2000]);
    // Nobody waits for the rest of a head, and it is not counted.
    let _stays_incomplete = network.client(0).send(SECOND, "GET / HTTP/1.1\r\n");
    network.signal(2 * SECOND);
    // A second signal changes nothing.
    network.signal(3 * SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(30 * SECOND);
    assert_eq!(server.stopped_ns, Some(12 * SECOND));
    assert!(stuck.iter().all(|client| client.closed_s() == Some(12.0)));
    let warnings = log_messages(Level::Warn);
    assert!(
        warnings.iter().any(|text| text.contains("waiting at most 10 s for 3 responses and 1 upload; a second")),
        "{warnings:?}"
    );
    assert!(warnings.iter().any(|text| text.contains("stopped: cut off 3 responses and 1 upload")), "{warnings:?}");
    assert!(network.waits() < 60, "{} turns", network.waits());
}

#[test]
fn a_server_without_work_stops_within_a_second() {
    let network = Network::new(Settings::default());
    let _kept = network.client(0).send(0, get("/"));
    let _silent = network.client(0);
    let _drained = network.client(0).never_closes().send(2 * SECOND, LAST);
    network.signal(2 * SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(30 * SECOND);
    assert!(server.stopped_ns.is_some_and(|at_ns| at_ns <= 3 * SECOND), "{:?}", server.stopped_ns);
    let messages = log_messages(Level::Info);
    assert!(messages.iter().any(|text| text.contains("no response or upload is in progress")), "{messages:?}");

    let network = Network::new(Settings::default());
    network.signal(2 * SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(30 * SECOND);
    assert_eq!(server.stopped_ns, Some(2 * SECOND), "no client is connected");
}

#[test]
fn at_capacity_the_backlog_at_the_signal_is_served_as_connections_close() {
    let network = Network::new(Settings::default());
    let kept: Vec<_> = (0..4).map(|_| network.client(0).send(0, get("/"))).collect();
    let waiting: Vec<_> = (0..20).map(|_| network.client(SECOND).send(SECOND, get("/"))).collect();
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 4);
    server.run_until(30 * SECOND);
    assert!(waiting.iter().all(|client| client.statuses() == [200]), "all of them");
    assert!(kept.iter().all(|client| client.closed_ns().is_some()));
    assert!(server.stopped_ns.is_some_and(|at_ns| at_ns <= 2100 * MILLISECOND), "{:?}", server.stopped_ns);
}

#[test]
fn out_of_descriptors_the_backlog_at_the_signal_is_served_as_connections_close() {
    let network = Network::new(Settings { descriptors: 1, ..Settings::default() });
    let _closes = network.client(0).send(0, get("/")).close(1300 * MILLISECOND);
    let waiting = network.client(SECOND / 2).send(SECOND / 2, get("/"));
    network.signal(SECOND);
    let mut server = TestServer::new(&network, 100);
    server.run_until(30 * SECOND);
    assert_eq!(waiting.statuses(), [200]);
    assert_eq!(server.stopped_ns, Some(1300 * MILLISECOND));
}

#[test]
fn a_connection_that_is_held_back_at_the_signal_may_send_a_request_within_a_second() {
    let network = Network::new(Settings { holds_back: true, ..Settings::default() });
    let signal_ns = 10 * SECOND;
    network.signal(signal_ns);
    let connected_ns = signal_ns - MILLISECOND;
    let sends: Vec<_> = [0, 1, 10, 500, 990, 1500]
        .map(|ms| network.client(connected_ns).send(signal_ns + ms * MILLISECOND, get("/")))
        .into();
    let silent = network.client(connected_ns);
    let connects_later = network.client(signal_ns + SECOND / 2).send(signal_ns + SECOND, get("/"));
    let mut server = TestServer::new(&network, 100);
    server.run_until(30 * SECOND);
    for client in sends.iter().chain([&connects_later]) {
        assert!(matches!(client.responses()[..], [response] if response.status == 200 && response.says_close));
    }
    assert!(!silent.is_refused(), "its client gets an end and not a reset");
    let latest_ns = signal_ns + 2 * SECOND + MILLISECOND;
    assert!(server.stopped_ns.is_some_and(|at_ns| at_ns <= latest_ns), "{:?}", server.stopped_ns);
}

#[test]
fn listeners_that_hold_back_connections_close_when_all_have_been_handed_over() {
    let stopped_ns = |delay_ns| {
        let network = Network::new(Settings { holds_back: true, ..Settings::default() });
        network.signal(SECOND);
        let mut server = TestServer::<64>::new(&network, 100).with_shutdown_delay(delay_ns);
        server.run_until(30 * SECOND);
        assert!(network.waits() < 10, "{} turns", network.waits());
        server.stopped_ns.expect("it stops")
    };
    assert_eq!(stopped_ns(0), 2 * SECOND);
    assert_eq!(stopped_ns(SECOND / 2), 2 * SECOND, "the delay counts");
    assert_eq!(stopped_ns(3 * SECOND), 4 * SECOND);
}
