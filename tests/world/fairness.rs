//! No client waits long for its response, whatever other clients request.

use std::net::Ipv4Addr;

use crate::client::Client;
use crate::network::{MICROSECOND, MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};

#[test]
fn a_request_that_arrives_with_its_connection_gets_its_response_in_the_turn_that_accepts_it() {
    let network = Network::new(Settings::default());
    let mut server = TestServer::new(&network, 1000);
    server.run_until(SECOND);
    let new_clients: Vec<_> = (0..60).map(|_| network.client(2 * SECOND).send(2 * SECOND, get("/"))).collect();
    server.turn();
    assert_eq!(network.now_ns(), 2 * SECOND);
    assert!(new_clients.iter().all(|client| client.statuses() == [200]));
}

#[test]
fn a_request_on_a_kept_connection_costs_one_call_to_receive_and_one_to_send() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send_each(SECOND, SECOND, 10, get("/"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND / 2);
    let (calls_before, waits_before) = (network.calls(), network.waits());
    server.run_until(20 * SECOND);
    assert_eq!(kept.statuses(), [200; 10]);
    assert_eq!(network.calls() - calls_before, 20);
    assert!(network.waits() - waits_before <= 12, "{} turns", network.waits() - waits_before);
}

/// Clients that each pipeline so many requests for `path`, all at once.
fn pipelining_clients(network: &Network, clients: usize, path: &str, times: usize) -> Vec<Client> {
    (0..clients).map(|_| network.client(0).send(0, get(path).repeat(times))).collect()
}

#[test]
fn clients_that_pipeline_disk_requests_do_not_delay_others() {
    let network = Network::new(Settings { call_ns: MICROSECOND, ..Settings::default() });
    let heavy = pipelining_clients(&network, 100, "/disk/200", 60);
    let kept = network.client(0).send(0, get("/")).repeats(10 * MILLISECOND, get("/"));
    let new_clients: Vec<_> = (0..20).map(|n| (300 + 37 * n) * MILLISECOND).collect();
    let new_clients: Vec<_> = new_clients.into_iter().map(|at| (at, network.client(at).send(at, get("/")))).collect();
    let mut server = TestServer::new(&network, 1000);

    server.run_until(1100 * MILLISECOND);
    assert!(heavy.iter().any(|client| client.statuses().len() < 60), "the heavy clients were active all the time");
    for (sent_ns, client) in &new_clients {
        let took_ns = client.response_time_ns(*sent_ns);
        assert!(took_ns <= 4 * MILLISECOND, "a new connection waited {took_ns} ns");
    }
    let longest_ns = kept.longest_gap_since_ns(200 * MILLISECOND);
    assert!(longest_ns <= 14 * MILLISECOND, "a kept connection waited {longest_ns} ns");

    server.run_until(2 * SECOND);
    assert!(heavy.iter().all(|client| client.statuses() == [200; 60]));
}

#[test]
fn clients_with_slow_disk_requests_delay_others_by_two_of_them_at_most() {
    let network = Network::new(Settings::default());
    let heavy = pipelining_clients(&network, 100, "/disk/20000", 8);
    let kept = network.client(0).send(0, get("/")).repeats(50 * MILLISECOND, get("/"));
    let new_clients: Vec<_> = (0..20).map(|n| (5000 + 137 * n) * MILLISECOND).collect();
    let new_clients: Vec<_> = new_clients.into_iter().map(|at| (at, network.client(at).send(at, get("/")))).collect();
    let mut server = TestServer::new(&network, 1000);

    server.run_until(8 * SECOND);
    assert!(heavy.iter().any(|client| client.statuses().len() < 8), "the heavy clients were active all the time");
    for (sent_ns, client) in &new_clients {
        let took_ns = client.response_time_ns(*sent_ns);
        assert!(took_ns <= 40 * MILLISECOND, "a new connection waited {took_ns} ns");
    }
    let longest_ns = kept.longest_gap_since_ns(5 * SECOND);
    assert!(longest_ns <= 90 * MILLISECOND, "a kept connection waited {longest_ns} ns");

    server.run_until(20 * SECOND);
    assert!(heavy.iter().all(|client| client.statuses() == [200; 8]));
}

/// Asserts that a client that sends a small request every 10 ms is not delayed by others, of which each turn may drive
/// only a few.
#[track_caller]
fn assert_a_light_client_is_served_within_milliseconds(network: &Network) {
    let light = network.client(0).send(0, get("/")).repeats(10 * MILLISECOND, get("/"));
    let mut server = TestServer::new(network, 1000);
    server.run_until(SECOND);
    let longest_ns = light.longest_gap_since_ns(200 * MILLISECOND);
    assert!(longest_ns <= 14 * MILLISECOND, "it waited {longest_ns} ns");
}

#[test]
fn clients_with_one_disk_request_at_a_time_do_not_delay_others() {
    let network = Network::new(Settings::default());
    let _heavy: Vec<_> =
        (0..100).map(|_| network.client(0).send(0, get("/disk/400")).repeats(0, get("/disk/400"))).collect();
    assert_a_light_client_is_served_within_milliseconds(&network);
}

#[test]
fn downloads_of_many_bytes_in_a_short_time_do_not_delay_others() {
    // The bytes that a client reads at a time take 200 µs: not long enough for a heavy drive, but too many.
    let settings = Settings { send_buffer_bytes: 350_000, file_mebibyte_ns: 600 * MICROSECOND, ..Settings::default() };
    let network = Network::new(settings);
    let download = |_| network.client(0).send(0, get("/file/1000000000")).reads_slowly(350_000, MILLISECOND);
    let _heavy: Vec<_> = (0..100).map(download).collect();
    assert_a_light_client_is_served_within_milliseconds(&network);
}

/// The clock is not read after each drive. A drive that began with an old time would end early, and the session would
/// wait for its next turn.
#[test]
fn a_drive_is_not_charged_with_the_time_of_the_drives_before_it() {
    let network = Network::new(Settings::default());
    let sends = |request: String| network.client(0).send(2 * SECOND, request);
    let _before: Vec<_> = (0..100).map(|_| sends(get("/work/50"))).collect();
    let client = sends(get("/disk/10").repeat(3));
    let _after = sends(get("/disk/50000"));
    let mut server = TestServer::new(&network, 1000);
    server.run_until(SECOND);
    server.run_until(3 * SECOND);
    let responses = client.responses();
    assert_eq!(responses.len(), 3);
    let longest_ns = responses[2].at_ns - 2 * SECOND;
    assert!(longest_ns <= 6 * MILLISECOND, "the last response came after {longest_ns} ns");
}

#[test]
fn downloads_and_light_requests_share_the_time() {
    let settings = Settings { call_ns: 20 * MICROSECOND, file_mebibyte_ns: MILLISECOND, ..Settings::default() };
    let network = Network::new(settings);
    let downloads: Vec<_> = (0..4).map(|_| network.client(0).send(0, get("/file/1000000000000"))).collect();
    // More requests than one processor can handle.
    let light: Vec<_> = (0..200).map(|_| network.client(0).send(0, get("/")).repeats(0, get("/"))).collect();
    let mut server = TestServer::new(&network, 1000);
    server.run_until(SECOND / 2);

    let mebibytes: Vec<u64> = downloads.iter().map(|client| client.file_bytes() >> 20).collect();
    let all: u64 = mebibytes.iter().sum();
    // Downloads get half of the time, and a mebibyte takes a millisecond.
    assert!((215..340).contains(&all), "{mebibytes:?} MiB in half a second");
    assert!(mebibytes.iter().all(|each| *each >= all / 5), "each download gets its share: {mebibytes:?}");
    for client in &light {
        assert!(client.longest_gap_ns() <= 30 * MILLISECOND, "{} ns between two responses", client.longest_gap_ns());
        assert!(client.statuses().len() >= 20);
    }
}

#[test]
fn a_client_that_pipelines_endlessly_does_not_starve_others() {
    let network = Network::new(Settings::default());
    let greedy = network.client(0).send(0, get("/work/10").repeat(20_000));
    let other = network.client(MILLISECOND / 10).send(MILLISECOND / 10, get("/"));
    let mut server = TestServer::new(&network, 10);
    server.run_until(SECOND);
    // The 256 steps of one drive, and perhaps those of another.
    assert!(other.response_time_ns(MILLISECOND / 10) < 6 * MILLISECOND);
    assert_eq!(greedy.statuses().len(), 20_000);
}

#[test]
fn a_download_that_never_blocks_is_limited_in_each_turn() {
    let network = Network::new(Settings::default());
    let download = network.client(0).send(0, get("/file/100000000"));
    let mut server = TestServer::new(&network, 10);
    let mut before = 0;
    while before < 100_000_000 {
        server.turn();
        let transferred = download.file_bytes() - before;
        assert!(transferred <= 2 << 20, "{transferred} bytes in a turn");
        before += transferred;
    }
}

#[test]
fn listeners_take_turns_at_capacity() {
    let network = Network::new(Settings { listeners: 2, ..Settings::default() });
    // The limit is one connection, and each client needs it for a while.
    let of =
        |listener| move |network: &Network| network.client_of(listener, 0).send(0, get("/disk/1000")).half_close(0);
    let (first, second) = (of(0), of(1));
    let first: Vec<_> = (0..50).map(|_| first(&network)).collect();
    let second: Vec<_> = (0..5).map(|_| second(&network)).collect();
    let mut server = TestServer::new(&network, 1);
    server.run_until(20 * MILLISECOND);
    assert!(
        second.iter().all(|client| client.statuses() == [200]),
        "clients of one listener wait no longer than those of the other"
    );
    server.run_until(SECOND);
    assert!(first.iter().all(|client| client.statuses() == [200]));
}

#[test]
fn a_flood_of_new_connections_with_slow_requests_does_not_delay_open_connections() {
    let network = Network::new(Settings::default());
    let kept = network.client(0).send(0, get("/")).repeats(50 * MILLISECOND, get("/"));
    let flood = |n: u64| network.client(SECOND + n).send(SECOND + n, get("/disk/20000"));
    let flood: Vec<_> = (0..200).map(flood).collect();
    let mut server = TestServer::new(&network, 1000);
    server.run_until(10 * SECOND);
    assert!(flood.iter().all(|client| client.statuses() == [200]));
    // The pause, and a turn with two slow requests: that of a new connection, and that of an open one.
    assert!(kept.longest_gap_ns() <= 90 * MILLISECOND, "a kept connection waited {} ns", kept.longest_gap_ns());
}

/// An address of many clients, and that of a few.
const BUSY_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// Clients at an address, each of which sends its next request for `path` as soon as it has the response.
fn persistent_clients(network: &Network, clients: usize, ip: Ipv4Addr, path: &str) -> Vec<Client> {
    (0..clients).map(|_| network.client(0).from(ip).send(0, get(path)).repeats(0, get(path))).collect()
}

/// How many responses all of them have got.
fn response_count(clients: &[Client]) -> usize {
    clients.iter().map(|client| client.statuses().len()).sum()
}

#[test]
fn clients_at_one_address_do_not_delay_those_at_another() {
    for path in ["/work/50", "/disk/100", "/disk/400"] {
        let network = Network::new(Settings::default());
        let _others = persistent_clients(&network, 1000, BUSY_ADDRESS, path);
        let kept = network.client(0).from(CLIENT).send(0, get("/")).repeats(10 * MILLISECOND, get("/"));
        let sent_ns: Vec<_> = (0..20).map(|n| (600 + 17 * n) * MILLISECOND).collect();
        let new_client = |at| network.client(at).from(CLIENT).send(at, get("/"));
        let new_clients: Vec<_> = sent_ns.iter().map(|at| (*at, new_client(*at))).collect();
        let mut server = TestServer::new(&network, 2000);
        server.run_until(SECOND);

        let longest_ns = kept.longest_gap_since_ns(500 * MILLISECOND);
        assert!(longest_ns <= 12 * MILLISECOND, "{path}: a kept connection waited {longest_ns} ns");
        for (sent_ns, client) in &new_clients {
            let took_ns = client.response_time_ns(*sent_ns);
            assert!(took_ns <= 2 * MILLISECOND, "{path}: a new connection waited {took_ns} ns");
        }
        let first_ns = kept.responses()[0].at_ns;
        assert!(first_ns <= 30 * MILLISECOND, "{path}: it waited in the backlog behind the others: {first_ns} ns");
    }
}

#[test]
fn clients_at_many_addresses_do_not_delay_one_that_needs_less_than_its_share() {
    let network = Network::new(Settings::default());
    let other_ip = |n: u32| Ipv4Addr::from_bits(Ipv4Addr::new(203, 0, 113, 0).to_bits() + n);
    let _others: Vec<_> = (0..50).flat_map(|n| persistent_clients(&network, 20, other_ip(n), "/work/100")).collect();
    // It needs a hundredth of the time, and its share is a fiftieth.
    let kept = network.client(0).from(CLIENT).send(0, get("/work/100")).repeats(10 * MILLISECOND, get("/work/100"));
    let mut server = TestServer::new(&network, 2000);
    server.run_until(2 * SECOND);
    let longest_ns = kept.longest_gap_since_ns(SECOND);
    assert!(longest_ns <= 13 * MILLISECOND, "it waited {longest_ns} ns");
}

#[test]
fn addresses_get_equal_time_however_many_connections_they_hold() {
    let network = Network::new(Settings::default());
    let many = persistent_clients(&network, 200, BUSY_ADDRESS, "/work/100");
    let few = persistent_clients(&network, 5, CLIENT, "/work/100");
    let mut server = TestServer::new(&network, 1000);
    server.run_until(SECOND);
    let (many, few) = (response_count(&many), response_count(&few));
    assert!(many > 3000 && few * 5 >= many * 4 && few * 4 <= many * 5, "{many} and {few} responses");
}

#[test]
fn an_address_does_not_save_up_time_in_which_it_needed_none() {
    let network = Network::new(Settings::default());
    let steady = persistent_clients(&network, 5, CLIENT, "/work/100");
    let late: Vec<_> = (0..200)
        .map(|_| network.client(0).from(BUSY_ADDRESS).send(SECOND, get("/work/100")).repeats(0, get("/work/100")))
        .collect();
    let mut server = TestServer::new(&network, 1000);
    server.run_until(SECOND + 500 * MILLISECOND);
    assert!(late.iter().map(|client| client.statuses().len()).sum::<usize>() > 1500);
    for client in &steady {
        assert!(client.longest_gap_ns() <= 5 * MILLISECOND, "{} ns between two responses", client.longest_gap_ns());
    }
}

/// The number of an address may be that of another one once its last connection has ended, so what it has used is
/// forgotten.
#[test]
fn addresses_that_reconnect_for_each_request_do_not_delay_one_that_needs_less_than_its_share() {
    let network = Network::new(Settings::default());
    let request = "GET /work/200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_string();
    let other_ip = |n: u32| Ipv4Addr::from_bits(Ipv4Addr::new(203, 0, 113, 0).to_bits() + n);
    let connect = |n: u32, at_ns: u64| network.client(at_ns).from(other_ip(n)).send(at_ns, request.clone());
    let mut others: Vec<_> = (0..20).map(|n| connect(n, 0)).collect();
    // It needs a hundredth of the time, and its share is a twentieth.
    let kept = network.client(0).from(CLIENT).send(0, get("/work/100")).repeats(10 * MILLISECOND, get("/work/100"));
    let mut server = TestServer::new(&network, 2000);
    let mut reconnections = 0;
    for step in 1..=20_000 {
        let now_ns = step * 100 * MICROSECOND;
        server.run_until(now_ns);
        for (n, other) in (0..).zip(&mut others) {
            if other.closed_ns().is_some() {
                *other = connect(n, network.now_ns());
                reconnections += 1;
            }
        }
    }
    assert!(reconnections > 5_000, "the others kept the server busy: {reconnections}");
    let longest_ns = kept.longest_gap_since_ns(SECOND / 2);
    assert!(longest_ns <= 14 * MILLISECOND, "it waited {longest_ns} ns");
}

/// Accepting and refusing a connection takes time, too.
#[test]
fn an_address_that_connects_again_and_again_has_less_time_for_its_requests() {
    let network = Network::new(Settings { call_ns: 20 * MICROSECOND, ..Settings::default() });
    let busy = persistent_clients(&network, 5, BUSY_ADDRESS, "/work/100");
    let other = persistent_clients(&network, 5, CLIENT, "/work/100");
    // Its address may hold no more connections.
    let _refused: Vec<_> = (1..10_000).map(|n| network.client(n * 100 * MICROSECOND).from(BUSY_ADDRESS)).collect();
    let mut server = TestServer::new(&network, 100).with_connections_per_group(5);
    server.run_until(SECOND);
    let (busy, other) = (response_count(&busy), response_count(&other));
    let refused = server.statistics.refused_by_limit.get();
    assert!(refused > 9_000, "{refused}");
    assert!(busy + 2_500 < other, "{busy} and {other} responses");
}

#[test]
fn an_address_whose_connections_come_and_go_has_less_time_for_its_requests() {
    let network = Network::new(Settings { call_ns: 20 * MICROSECOND, ..Settings::default() });
    let busy = persistent_clients(&network, 5, BUSY_ADDRESS, "/disk/100");
    let other = persistent_clients(&network, 5, CLIENT, "/disk/100");
    // They send nothing, so a drive of theirs costs less than accepting them.
    let connect = |n: u64| network.client(n * 100 * MICROSECOND).from(BUSY_ADDRESS).close(n * 100 * MICROSECOND + 1);
    let _silent: Vec<_> = (1..10_000).map(connect).collect();
    let mut server = TestServer::new(&network, 10_000);
    server.run_until(SECOND);
    let (busy, other) = (response_count(&busy), response_count(&other));
    assert!(busy + 2_000 < other, "{busy} and {other} responses");
}

/// Clients whose uploads break off in the middle, which takes the disk two milliseconds for each.
fn unfinished_uploads(network: &Network, address: impl Fn(u32) -> Ipv4Addr) -> Vec<Client> {
    let begun = |n| network.client(0).from(address(n)).send(0, put("/save/2000", 100) + "a");
    (0..200).map(begun).collect()
}

/// Saving or discarding what an upload left behind is time of its client's group.
#[test]
fn uploads_whose_connections_are_reset_at_once_do_not_delay_others() {
    let network = Network::new(Settings::default());
    let uploads = unfinished_uploads(&network, |_| BUSY_ADDRESS);
    let uploads: Vec<_> = uploads.into_iter().map(|upload| upload.reset(SECOND)).collect();
    let light = network.client(0).send(0, get("/")).repeats(MILLISECOND, get("/"));
    let mut server = TestServer::<1024>::with_events_max(&network, 1000);
    server.run_until(2 * SECOND);
    assert!(uploads.iter().all(|upload| upload.closed_ns().is_some()));
    assert!(light.longest_gap_ns() < 6 * MILLISECOND, "{}", light.longest_gap_ns());
}

#[test]
fn uploads_that_time_out_at_once_do_not_delay_others() {
    let network = Network::new(Settings::default());
    let uploads = unfinished_uploads(&network, Ipv4Addr::from_bits);
    let light = network.client(0).send(0, get("/")).repeats(5 * MILLISECOND, get("/"));
    let mut server = TestServer::<1024>::with_events_max(&network, 1000);
    server.run_until(60 * SECOND);
    assert!(uploads.iter().all(|upload| upload.statuses() == [408]));
    assert!(light.longest_gap_ns() < 15 * MILLISECOND, "{}", light.longest_gap_ns());
}

/// Saving what an upload has left is time of its client's group, also if the connection makes room for another one.
#[test]
fn an_address_whose_uploads_make_room_for_newcomers_has_less_time_for_its_downloads() {
    let network = Network::new(Settings { file_mebibyte_ns: MILLISECOND, ..Settings::default() });
    let uploads = unfinished_uploads(&network, |_| BUSY_ADDRESS);
    let begin_ns = 100 * MILLISECOND;
    let download = |ip| network.client(begin_ns).from(ip).send(begin_ns, get("/file/1000000000000"));
    let (busy, other) = (download(BUSY_ADDRESS), download(CLIENT));
    let connect = |n: u32| {
        let at_ns = begin_ns + u64::from(n) * 5 * MILLISECOND;
        network.client(at_ns).from(Ipv4Addr::from_bits(n)).send(at_ns, get("/"))
    };
    let newcomers: Vec<_> = (1..180).map(connect).collect();
    let mut server = TestServer::new(&network, 202);
    server.run_until(begin_ns + SECOND);
    assert!(newcomers.iter().all(|newcomer| newcomer.statuses() == [200]));
    assert!(uploads.iter().filter(|upload| upload.closed_ns().is_some()).count() > 150, "they give way");
    assert!(busy.closed_ns().is_none(), "it makes progress");
    let (busy, other) = (busy.file_bytes() >> 20, other.file_bytes() >> 20);
    assert!(busy + 200 < other, "{busy} and {other} MiB");
}
