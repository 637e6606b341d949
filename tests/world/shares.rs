//! Who gives way at the connection limit, and at the limit for each address.

use std::net::Ipv4Addr;

use spindle::semantics::proxies::Proxies;

use crate::client::Client;
use crate::network::{MICROSECOND, MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};

/// An address of an attacker, and that of a client with few connections.
const SWARM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HONEST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(203, 0, 113, 0).to_bits() + number)
}

/// A client that does not read a response that never ends.
fn busy(network: &Network, ip: Ipv4Addr, at_ns: u64) -> Client {
    network.client(at_ns).from(ip).send(at_ns, get("/file/1000000000")).never_reads()
}

#[test]
fn a_newcomer_gets_in_at_once_while_a_swarm_at_one_address_keeps_every_connection_busy() {
    let network = Network::new(Settings::default());
    let mut swarm: Vec<_> = (0..10).map(|n| busy(&network, SWARM, n * MILLISECOND)).collect();
    // The backlog contains more of them before the newcomer connects.
    swarm.extend((0..300).map(|_| network.client(SECOND).from(SWARM).send(SECOND, get("/file/1000000000"))));
    let newcomer = network.client(SECOND).from(HONEST).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND + MILLISECOND);
    assert_eq!(newcomer.response_time_ns(SECOND), 0);
    let closed: Vec<usize> = (0..10).filter(|n| swarm[*n].closed_ns().is_some()).collect();
    assert_eq!(closed, [0], "one of the swarm gives way, the one without progress for longest");
    let refused = swarm[10..].iter().filter(|client| client.closed_ns() == Some(SECOND));
    assert_eq!(refused.count(), 300, "the others are refused, so that the backlog moves on");
    let told = swarm[10..].iter().filter(|client| client.statuses() == [503]).count();
    assert!((16..100).contains(&told), "only some of them get a response: {told}");
    let statistics = &server.statistics;
    assert_eq!((statistics.evicted_by_share.get(), statistics.refused_by_share.get()), (1, 300));
    assert!(network.waits() < 60, "{} turns", network.waits());
}

#[test]
fn of_a_flood_of_connections_that_are_refused_some_get_a_response_in_each_second() {
    let network = Network::new(Settings::default());
    let _held: Vec<_> = (0..2).map(|_| busy(&network, SWARM, 0)).collect();
    let refused: Vec<_> = (1..10_000)
        .map(|n| network.client(n * 100 * MICROSECOND).from(SWARM).send(n * 100 * MICROSECOND, get("/")))
        .collect();
    let mut server = TestServer::new(&network, 2);
    server.run_until(SECOND);
    assert_eq!(server.statistics.refused_by_share.get(), 9_999);
    let told = refused.iter().filter(|client| client.statuses() == [503]).count();
    assert!((1_000..=1_700).contains(&told), "{told}");
}

#[test]
fn newcomers_get_connections_until_nobody_holds_two_more_than_another() {
    let network = Network::new(Settings::default());
    let swarm: Vec<_> = (0..9).map(|n| busy(&network, SWARM, n * MILLISECOND)).collect();
    let honest: Vec<_> = (0..9).map(|n| busy(&network, HONEST, SECOND + n * MILLISECOND)).collect();
    let mut server = TestServer::new(&network, 9);
    server.run_until(2 * SECOND);
    let open = |clients: &[Client]| clients.iter().filter(|client| client.closed_ns().is_none()).count();
    assert_eq!((open(&swarm), open(&honest)), (5, 4));
    assert_eq!(server.statistics.refused_by_share.get(), 5, "it would hold more than the swarm");
}

#[test]
fn nobody_pushes_out_somebody_who_holds_no_more_than_he_does() {
    let network = Network::new(Settings::default());
    let small: Vec<_> = (0..4).map(|n| network.client(0).from(address(n)).send(0, get("/"))).collect();
    let _swarm: Vec<_> = (0..6).map(|_| busy(&network, SWARM, 0)).collect();
    let more: Vec<_> = (0..10).map(|_| network.client(SECOND).from(SWARM).send(SECOND, get("/"))).collect();
    let mut server = TestServer::new(&network, 10);
    server.run_until(2 * SECOND);
    assert!(small.iter().all(|client| client.closed_ns().is_none()), "they are idle, but hold less");
    assert!(more.iter().all(|client| client.statuses() == [503]));
}

#[test]
fn an_address_gives_up_idle_connections_before_active_ones_and_an_upload_that_progresses_last() {
    let network = Network::new(Settings::default());
    let upload = put("/up", 100_000);
    let upload = network.client(0).from(SWARM).send(0, upload).send_each(0, 10 * MILLISECOND, 190, [b'x'; 500]);
    let stalled = network.client(100 * MILLISECOND).from(SWARM).send(100 * MILLISECOND, put("/stalled", 1000));
    let unread = busy(&network, SWARM, 200 * MILLISECOND);
    let head = network.client(0).from(SWARM).send(0, "GET / HT");
    let silent = network.client(0).from(SWARM);
    let kept = network.client(0).from(SWARM).send(500 * MILLISECOND, get("/"));
    let to_evict = [&kept, &silent, &head, &stalled, &unread];
    let connect_ns: Vec<u64> = (0..5).map(|n| SECOND + n * 100 * MILLISECOND).collect();
    let newcomers: Vec<_> = (0..5).map(|n| busy(&network, address(n), connect_ns[n as usize])).collect();
    let mut server = TestServer::new(&network, 6);
    server.run_until(1900 * MILLISECOND);
    for (client, at_ns) in to_evict.iter().zip(&connect_ns) {
        assert_eq!(client.closed_ns(), Some(*at_ns));
    }
    assert_eq!(upload.closed_ns(), None);
    assert!(newcomers.iter().all(|client| client.closed_ns().is_none()));
}

#[test]
fn a_swarm_of_many_addresses_gives_way_to_an_address_without_connections() {
    let network = Network::new(Settings::default());
    let swarm: Vec<_> = (0..40).map(|n| busy(&network, address(n / 2), 0)).collect();
    let newcomers: Vec<_> =
        (0..20).map(|n| network.client(SECOND).from(address(100 + n)).send(SECOND, get("/"))).collect();
    let mut server = TestServer::new(&network, 40);
    server.run_until(SECOND + MILLISECOND);
    assert!(newcomers.iter().all(|client| client.statuses() == [200] && client.response_time_ns(SECOND) == 0));
    for pair in swarm.chunks(2) {
        assert_eq!(pair.iter().filter(|client| client.closed_ns().is_none()).count(), 1, "each keeps one");
    }
}

#[test]
fn an_ipv6_network_is_counted_as_one_address_and_a_mapped_ipv4_address_as_itself() {
    let network = Network::new(Settings::default());
    for n in 0..5_u128 {
        let ip = std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | n);
        let _busy = network.client(0).from(ip).send(0, get("/file/1000000000")).never_reads();
    }
    let mapped = busy(&network, HONEST, 0);
    let newcomer =
        network.client(SECOND).from(std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | 99)).send(SECOND, get("/"));
    let same = network.client(SECOND).from(HONEST.to_ipv6_mapped()).send(SECOND, get("/"));
    let mut server = TestServer::new(&network, 6);
    server.run_until(SECOND + MILLISECOND);
    assert_eq!(server.usage().groups, 2);
    assert_eq!((newcomer.statuses(), same.statuses()), (vec![503], vec![200]));
    assert_eq!(mapped.closed_ns(), None);
}

#[test]
fn the_connections_of_a_trusted_proxy_count_against_nobody() {
    let network = Network::new(Settings::default());
    let proxy: Vec<_> = (0..8).map(|_| busy(&network, SWARM, 0)).collect();
    let _direct: Vec<_> = (0..2).map(|_| busy(&network, HONEST, 0)).collect();
    let another = network.client(SECOND).from(SWARM).send(SECOND, get("/"));
    let proxies = Proxies { trusted: vec!["192.0.2.1".parse().unwrap()], protocol: Vec::new() };
    let mut server = TestServer::<64>::with_proxies(&network, 10, proxies);
    server.run_until(SECOND + MILLISECOND);
    assert_eq!(another.statuses(), [200], "in place of one of the address that holds two");
    assert!(proxy.iter().all(|client| client.closed_ns().is_none()));
}

#[test]
fn behind_a_proxy_the_client_that_the_header_names_is_counted() {
    let network = Network::new(Settings::default());
    let header = |ip: Ipv4Addr| format!("PROXY TCP4 {ip} 10.0.0.1 4711 80\r\n");
    let through = |at_ns, ip, request: &str| network.client(at_ns).send(at_ns, header(ip) + request);
    let swarm: Vec<_> = (0..5).map(|_| through(0, SWARM, &get("/file/1000000000")).never_reads()).collect();
    let honest: Vec<_> = (0..3).map(|n| through(SECOND + n, HONEST, &get("/file/1000000000")).never_reads()).collect();
    let proxies = Proxies { protocol: vec!["127.0.0.1".parse().unwrap()], trusted: Vec::new() };
    let mut server = TestServer::<64>::with_proxies(&network, 5, proxies);
    server.run_until(2 * SECOND);
    let open = |clients: &[Client]| clients.iter().filter(|client| client.closed_ns().is_none()).count();
    assert_eq!((open(&swarm), open(&honest)), (2, 3));
}

#[test]
fn the_limit_of_an_address_refuses_what_it_cannot_replace_and_leaves_others_alone() {
    let network = Network::new(Settings::default());
    let _active: Vec<_> = (0..2).map(|_| busy(&network, SWARM, 0)).collect();
    let idle = network.client(0).from(SWARM).send(0, get("/"));
    let other = network.client(0).from(HONEST).send(0, get("/"));
    let replaces = busy(&network, SWARM, SECOND);
    let refused = network.client(2 * SECOND).from(SWARM).send(2 * SECOND, get("/"));
    let others: Vec<_> = (0..2).map(|_| network.client(2 * SECOND).from(HONEST).send(2 * SECOND, get("/"))).collect();
    let mut server = TestServer::new(&network, 100).with_connections_per_group(3);
    server.run_until(3 * SECOND);
    assert_eq!((idle.closed_ns(), replaces.closed_ns()), (Some(SECOND), None));
    assert_eq!((refused.statuses(), refused.closed_ns()), (vec![503], Some(2 * SECOND)));
    assert!(others.iter().all(|client| client.statuses() == [200]) && other.closed_ns().is_none());
    let statistics = &server.statistics;
    assert_eq!((statistics.evicted_by_limit.get(), statistics.refused_by_limit.get()), (1, 1));
}

#[test]
fn the_limit_of_an_address_applies_to_clients_that_a_proxy_names() {
    let network = Network::new(Settings::default());
    let header = format!("PROXY TCP4 {SWARM} 10.0.0.1 4711 80\r\n");
    let download = header.clone() + &get("/file/1000000000");
    let clients: Vec<_> =
        (0..4).map(|n| network.client(n * SECOND).send(n * SECOND, &download).never_reads()).collect();
    let proxies = Proxies { protocol: vec!["127.0.0.1".parse().unwrap()], trusted: Vec::new() };
    let mut server = TestServer::<64>::with_proxies(&network, 100, proxies).with_connections_per_group(3);
    server.run_until(5 * SECOND);
    let closed: Vec<_> = clients.iter().map(|client| client.closed_ns()).collect();
    assert_eq!(closed, [None, None, None, Some(3 * SECOND)]);
}

/// Otherwise the connection that gets its key would be driven twice as often as others.
#[test]
fn a_connection_that_gives_way_while_it_is_queued_leaves_no_entry_in_the_queue() {
    let network = Network::new(Settings { call_ns: MICROSECOND, ..Settings::default() });
    let download = get("/file/1000000000");
    let swarm: Vec<_> = (0..10).map(|_| network.client(0).from(SWARM).send(0, &download)).collect();
    // All in one turn, so that later ones get the keys of those that have given way.
    for n in 0..9 {
        let _newcomer = network.client(MILLISECOND).from(address(n)).send(MILLISECOND, &download);
    }
    let mut server = TestServer::new(&network, 10);
    for _ in 0..1_000 {
        server.turn();
        let usage = server.usage();
        assert_eq!(usage.queued, usage.ready_sessions, "{usage:?}");
    }
    assert_eq!(swarm.iter().filter(|client| client.closed_ns().is_some()).count(), 9);
}

#[test]
fn whoever_holds_how_many_is_known_while_connections_come_and_go() {
    let network = Network::new(Settings { call_ns: MICROSECOND, ..Settings::default() });
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..400 {
        let (at_ns, ip) = (random.u64(..4 * SECOND), address(random.u32(..8) * random.u32(..2)));
        let client = network.client(at_ns).from(ip).send(at_ns, get(["/", "/file/1000000000"][random.usize(..2)]));
        let client = if random.bool() { client.never_reads() } else { client };
        let _ = if random.bool() { client.close(at_ns + random.u64(..SECOND)) } else { client };
    }
    let mut server = TestServer::new(&network, 20);
    for at_ns in (0..50).map(|n| n * 100 * MILLISECOND) {
        server.run_until(at_ns + 1);
        let usage = server.usage();
        assert!(usage.groups <= usage.sessions && usage.sessions <= 20, "{usage:?}");
        assert_eq!(usage.counted_sessions, usage.sessions, "every connection counts once");
    }
    server.run_until(200 * SECOND);
    assert_eq!((server.usage().groups, server.usage().sessions), (0, 0));
}
