//! Connections that begin with a PROXY protocol header, or should.

use spindle::semantics::exchange_record::Outcome;
use spindle::semantics::proxies::Proxies;

use crate::network::{MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};

const HEADER: &str = "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n";

/// A server for which every client is a proxy. Clients are known by their ports.
fn server(network: &Network, connections_max: usize) -> TestServer {
    let proxies = Proxies { protocol: vec!["127.0.0.1".parse().unwrap()], trusted: Vec::new() };
    TestServer::with_proxies(network, connections_max, proxies)
}

#[test]
fn a_header_may_arrive_byte_by_byte_within_the_time_for_a_head() {
    let network = Network::new(Settings::default());
    let (mut in_time, mut too_slow) = (network.client(0), network.client(0));
    for (n, byte) in (0..).zip(HEADER.bytes()) {
        in_time = in_time.send(n * 200 * MILLISECOND, [byte]);
        too_slow = too_slow.send(n * 400 * MILLISECOND, [byte]);
    }
    let in_time = in_time.send(11 * SECOND, get("/"));
    let mut server = server(&network, 10);
    server.run_until(12 * SECOND);
    assert_eq!(in_time.statuses(), [200]);
    assert_eq!((too_slow.received_bytes(), too_slow.closed_s()), (0, Some(10.0)));
    let outcomes: Vec<_> = server.records().into_iter().map(|record| (record.client, record.outcome)).collect();
    assert_eq!(outcomes, [(1, Outcome::TimedOut), (4711, Outcome::Complete)]);
}

#[test]
fn a_connection_without_a_header_is_closed_after_the_time_for_a_head() {
    let network = Network::new(Settings::default());
    let silent = network.client(0);
    let mut server = server(&network, 10);
    server.run_until(20 * SECOND);
    assert_eq!((silent.closed_s(), silent.received_bytes()), (Some(10.0), 0));
    assert!(server.records().is_empty(), "a check of the port is not worth a line");
}

#[test]
fn whoever_waits_with_the_header_is_evicted_at_the_limit_but_not_before_it_may_have_arrived() {
    for sent in ["", "PROXY "] {
        let network = Network::new(Settings::default());
        let waits = network.client(SECOND).send(SECOND, sent);
        let newcomer = network.client(SECOND).send(SECOND, HEADER.to_owned() + &get("/"));
        let mut server = server(&network, 1);
        server.run_until(2 * SECOND);
        let closed_ns = waits.closed_ns().expect("it is evicted");
        assert!((250..=270).contains(&((closed_ns - SECOND) / MILLISECOND)), "{sent:?}: after {closed_ns} ns");
        assert_eq!(newcomer.response_time_ns(closed_ns), 0);
    }
}

#[test]
fn requests_in_the_same_packet_as_the_header_are_served() {
    let network = Network::new(Settings::default());
    let requests = get("/a") + &put("/up", 3) + "abc" + &get("/b");
    let client = network.client(0).send(0, HEADER.to_owned() + &requests);
    let mut server = server(&network, 10);
    server.run_until(SECOND);
    assert_eq!(client.statuses(), [200, 201, 200]);
    assert!(server.records().iter().all(|record| record.client == 4711));
}

#[test]
fn anything_else_is_closed_at_once_without_a_response() {
    let tls_hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 506]].concat();
    let longest = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"[..], &[0; 12]].concat();
    for start in [tls_hello, longest, get("/").into_bytes(), b"\0".to_vec()] {
        let network = Network::new(Settings::default());
        let client = network.client(0).send(SECOND, &start);
        let mut server = server(&network, 10);
        server.run_until(2 * SECOND);
        assert_eq!((client.received_bytes(), client.closed_ns()), (0, Some(SECOND)), "{start:?}");
        let records = server.records();
        assert!(matches!(records[..], [ref record] if matches!(record.outcome, Outcome::Refused(_))), "{records:?}");
        assert_eq!(server.request_count(), 0);
    }
}

#[test]
fn a_proxy_that_half_closes_after_the_header_or_its_request_is_not_waited_for() {
    for (sent, statuses) in [(HEADER.to_owned(), &[][..]), (HEADER.to_owned() + &get("/"), &[200])] {
        let network = Network::new(Settings::default());
        let client = network.client(0).send(0, &sent).half_close(SECOND);
        let mut server = server(&network, 10);
        server.run_until(2 * SECOND);
        assert_eq!((client.statuses(), client.half_closed_ns()), (statuses.to_vec(), Some(SECOND)));
        assert!(client.closed_ns().is_some());
    }
}

#[test]
fn a_shutdown_waits_for_a_header_as_long_as_for_a_request() {
    let network = Network::new(Settings::default());
    let silent = network.client(0);
    let within_header = network.client(0).send(0, "PROXY TCP4");
    let in_time = network.client(0).send(3500 * MILLISECOND, HEADER).send(3600 * MILLISECOND, get("/"));
    network.signal(3 * SECOND);
    let mut server = server(&network, 10);
    server.run_until(20 * SECOND);
    assert_eq!((silent.closed_s(), within_header.closed_s()), (Some(4.0), Some(4.0)));
    assert_eq!(in_time.statuses(), [200]);
    assert!(server.stopped_ns.is_some_and(|stopped_ns| stopped_ns <= 4 * SECOND));
}

/// Until its header has been read, a connection shares the time of all connections of proxies.
#[test]
fn short_connections_of_one_named_client_do_not_delay_those_of_another() {
    let network = Network::new(Settings::default());
    let request = "GET /work/200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let connect = |at_ns| network.client(at_ns).send(at_ns, HEADER.to_owned() + request);
    let mut others: Vec<_> = (0..200).map(|_| connect(0)).collect();
    let header = "PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n";
    let sent_ns: Vec<_> = (0..20).map(|n| (600 + 17 * n) * MILLISECOND).collect();
    let client = |at| network.client(at).send(at, header.to_owned() + request);
    let clients: Vec<_> = sent_ns.iter().map(|at| (*at, client(*at))).collect();
    let mut server = server(&network, 1000);
    for step in 1..=5000 {
        server.run_until(step * SECOND / 5000);
        for other in &mut others {
            if other.closed_ns().is_some() {
                *other = connect(network.now_ns());
            }
        }
    }
    for (sent_ns, client) in &clients {
        let took_ns = client.response_time_ns(*sent_ns);
        assert!(took_ns <= 4 * MILLISECOND, "it waited {took_ns} ns");
    }
}
