//! Random clients of all kinds, from a seed. Whatever they do, the loop does not spin, responds to well-behaved clients,
//! records each exchange once, and stops in time.

use crate::client::Client;
use crate::network::{MICROSECOND, MILLISECOND, Network, SECOND, Settings};
use crate::server::{TestServer, get, put};

/// A random number generator (xorshift): the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// When graceful shutdown begins.
const SIGNAL_NS: u64 = 100 * SECOND;

/// A random request, with its content.
fn request(random: &mut Random) -> Vec<u8> {
    let bytes = random.below(6000) as usize;
    match random.below(7) {
        0 => get("/disk/300").into_bytes(),
        1 => get("/disk/30000").into_bytes(),
        2 => get(&format!("/file/{}", random.below(2_000_000))).into_bytes(),
        3 => [put("/up/50", bytes).into_bytes(), vec![b'x'; bytes]].concat(),
        4 => {
            let head = "PUT /up/50 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
            (head + &"3\r\nabc\r\n".repeat(bytes / 3) + "0\r\n\r\n").into_bytes()
        }
        _ => get("/").into_bytes(),
    }
}

/// A client that sends complete requests, in pieces, and reads the responses. Returns the number of requests too.
fn well_behaved(network: &Network, random: &mut Random) -> (Client, usize) {
    let mut at_ns = random.below(20 * SECOND);
    let mut client = network.client(at_ns);
    if random.one_in(4) {
        client = client.reads_slowly(300_000, SECOND / 2);
    }
    let count = 1 + random.below(5) as usize;
    for _ in 0..count {
        let request = request(random);
        let mut rest = &request[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + random.below(rest.len() as u64)) as usize);
            client = client.send(at_ns, piece);
            rest = after;
            at_ns += [0, 50 * MICROSECOND, 10 * MILLISECOND, 150 * MILLISECOND][random.below(4) as usize];
        }
    }
    if random.one_in(3) { (client.half_close(at_ns), count) } else { (client, count) }
}

/// A client that does something else.
fn misbehaving(network: &Network, random: &mut Random) -> Client {
    let at_ns = random.below(90 * SECOND);
    let later_ns = at_ns + random.below(20 * SECOND);
    let client = network.client(at_ns);
    match random.below(8) {
        0 => client,
        1 => client.send(at_ns, get("/file/1000000000")).never_reads(),
        2 => client.send(at_ns, request(random)).reset(later_ns),
        3 => client.send(at_ns, get("/file/1000000000")).reset(later_ns),
        4 => client.send(at_ns, put("/up", 100_000)).send_each(at_ns, SECOND, random.below(60), [b'x'; 900]),
        5 => client.never_closes().send(at_ns, "nonsense\r\n\r\n").send_each(at_ns, SECOND, 50, "more"),
        6 => client.send(at_ns, "GET / HT").send_each(later_ns, SECOND, random.below(20), "TP/1.1\r\n"),
        _ => client.send(at_ns, get("/").repeat(100)).never_reads().close(later_ns),
    }
}

/// Runs the clients of one seed. Returns the well-behaved ones.
fn run_seed<const EVENTS: usize>(seed: u64, settings: Settings, connections_max: usize) -> Vec<(Client, usize)> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let network = Network::new(settings);
    let well_behaved: Vec<_> = (0..12).map(|_| well_behaved(&network, &mut random)).collect();
    let _rude: Vec<_> = (0..12).map(|_| misbehaving(&network, &mut random)).collect();
    network.signal(SIGNAL_NS);
    let mut server = TestServer::<EVENTS>::with_events_max(&network, connections_max);
    server.run_until(SIGNAL_NS + 30 * SECOND);

    let stopped_ns = server.stopped_ns.expect("the loop stops");
    assert!(stopped_ns <= SIGNAL_NS + 11 * SECOND, "seed {seed}: stopped at {stopped_ns} ns");
    let recorded = server.records().iter().filter(|record| !record.request.is_empty()).count();
    assert_eq!(recorded, server.request_count(), "seed {seed}: each request has one record");
    assert_eq!(network.open(), 0, "seed {seed}");
    assert!(network.waits() < 15_000, "seed {seed}: {} turns", network.waits());
    well_behaved
}

#[test]
fn well_behaved_clients_get_all_responses_whatever_others_do() {
    let settings = Settings { file_mebibyte_ns: MILLISECOND, call_ns: MICROSECOND, ..Settings::default() };
    for seed in 0..5 {
        let small = Settings { receive_buffer_bytes: 5000, send_buffer_bytes: 20_000, ..settings };
        for well_behaved in [run_seed::<64>(seed, settings, 1000), run_seed::<2>(seed, small, 1000)] {
            for (index, (client, request_count)) in well_behaved.iter().enumerate() {
                let statuses = client.statuses();
                assert_eq!(statuses.len(), *request_count, "seed {seed}, client {index}: {statuses:?}");
                assert!(statuses.iter().all(|status| [200, 201].contains(status)), "seed {seed}: {statuses:?}");
            }
        }
    }
}

#[test]
fn at_capacity_and_out_of_descriptors_the_loop_does_not_spin_and_stops_in_time() {
    let settings = Settings { file_mebibyte_ns: MILLISECOND, call_ns: MICROSECOND, ..Settings::default() };
    for seed in 0..6 {
        run_seed::<64>(seed, settings, 1 + seed as usize % 6);
        run_seed::<3>(seed, Settings { descriptors: 1 + seed as usize % 5, ..settings }, 1000);
        run_seed::<1>(seed, Settings { descriptors: 4, listeners: 2, ..settings }, 4 + seed as usize % 2);
    }
}
