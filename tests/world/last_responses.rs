//! How a connection ends that its client wants to end with its only response.

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{LAST, TestServer, get};

/// A request after which the client wants the connection to end.
fn last(path: &str) -> String {
    get(path).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
}

#[test]
fn a_connection_for_one_short_response_is_closed_at_once_and_never_registered() {
    let network = Network::new(Settings::default());
    let asks = network.client(SECOND).never_closes().send(SECOND, last("/"));
    let is_old = network.client(SECOND).never_closes().send(SECOND, "GET / HTTP/1.0\r\n\r\n");
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    for client in [&asks, &is_old] {
        assert_eq!((client.statuses(), client.closed_ns()), (vec![200], Some(SECOND)));
        assert!(client.unread_bytes() == 0 && !client.was_registered());
    }
    assert_eq!(network.calls(), 4, "one to receive and one to send for each");
    assert_eq!(server.records().len(), 2);
}

#[test]
fn a_connection_whose_request_comes_later_is_registered_and_closed_at_once_after_it() {
    let network = Network::new(Settings::default());
    let client = network.client(0).never_closes().send(SECOND, last("/"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert_eq!((client.statuses(), client.closed_ns()), (vec![200], Some(SECOND)));
    assert!(client.unread_bytes() == 0 && client.was_registered());
}

#[test]
fn a_client_that_may_still_send_is_drained() {
    let network = Network::new(Settings::default());
    // It has pipelined another request, against its promise. A close would reset the connection.
    let sends_more = network.client(SECOND).never_closes().send(SECOND, last("/") + &get("/"));
    let has_content = network.client(SECOND).never_closes().send(SECOND, LAST);
    // The responses before the last one may not have been read.
    let has_persisted = network.client(SECOND).never_closes().send(SECOND, get("/") + &last("/"));
    // The system would drop the rest of a long response some time after the close.
    let long = network.client(SECOND).never_closes().send(SECOND, last("/file/100"));
    let wrong = network.client(SECOND).never_closes().send(SECOND, "GET / HTTP/9.0\r\n\r\n");
    let mut server = TestServer::new(&network, 10);
    server.run_until(20 * SECOND);
    for client in [&sends_more, &has_content, &has_persisted, &long, &wrong] {
        assert_eq!((client.half_closed_ns(), client.closed_s()), (Some(SECOND), Some(6.0)));
        assert_eq!(client.unread_bytes(), 0);
    }
}

/// The response does not fit into the send buffer at first. What arrives until it has been sent shows that the client
/// is not done.
#[test]
fn a_client_that_sends_more_before_its_last_response_is_sent_is_drained() {
    let network = Network::new(Settings::default());
    let sends_more = network.client(0).never_closes().refuses_sends(0, 3).send(SECOND, last("/")).send(SECOND, "x");
    let is_silent = network.client(0).never_closes().refuses_sends(0, 3).send(SECOND, last("/"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(20 * SECOND);
    assert_eq!((sends_more.statuses(), is_silent.statuses()), (vec![200], vec![200]));
    assert_eq!(sends_more.closed_s(), Some(6.003));
    assert_eq!(is_silent.closed_ns(), Some(SECOND + 3 * MILLISECOND));
}

/// A read stops before urgent data, and a drive that has spent its time on the disk does not process the rest of what
/// it has received. In both cases a close would leave bytes unread, or has not looked at all of them.
#[test]
fn a_client_whose_bytes_have_not_all_been_looked_at_is_drained() {
    let network = Network::new(Settings::default());
    let urgent = network.client(0).never_closes().send(SECOND, last("/") + "x").mark_urgent(SECOND);
    let after_disk = network.client(0).never_closes().send(SECOND, last("/disk/2000") + &get("/"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(20 * SECOND);
    for client in [&urgent, &after_disk] {
        assert_eq!((client.statuses(), client.unread_bytes()), (vec![200], 0));
        assert!(client.closed_s().is_some_and(|at_s| (6.0..6.1).contains(&at_s)), "{:?}", client.closed_s());
    }
}
