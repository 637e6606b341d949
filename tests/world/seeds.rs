//! Clients of all kinds, made up from a seed: whatever they do together, the loop sleeps when it can, answers those that are
//! polite, tells of each exchange once, and ends in time.

use crate::client::Peer;
use crate::network::{MICROSECOND, MILLISECOND, Network, SECOND, Settings};
use crate::run::{Run, get, put};

/// A random number generator (xorshift): the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// When the server is asked to end.
const SIGNAL_NS: u64 = 100 * SECOND;

/// A request, and whether it can be told apart from a lost connection that it was answered.
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

/// A client that sends whole requests, in pieces, and reads; and how many requests.
fn polite(network: &Network, random: &mut Random) -> (Peer, usize) {
    let mut at_ns = random.below(20 * SECOND);
    let mut peer = network.client(at_ns);
    if random.is(4) {
        peer = peer.reads_slowly(300_000, SECOND / 2);
    }
    let count = 1 + random.below(5) as usize;
    for _ in 0..count {
        let request = request(random);
        let mut rest = &request[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + random.below(rest.len() as u64)) as usize);
            peer = peer.send(at_ns, piece);
            rest = behind;
            at_ns += [0, 50 * MICROSECOND, 10 * MILLISECOND, 150 * MILLISECOND][random.below(4) as usize];
        }
    }
    if random.is(3) { (peer.half_close(at_ns), count) } else { (peer, count) }
}

/// A client that does something else.
fn rude(network: &Network, random: &mut Random) -> Peer {
    let at_ns = random.below(90 * SECOND);
    let later_ns = at_ns + random.below(20 * SECOND);
    let peer = network.client(at_ns);
    match random.below(8) {
        0 => peer,
        1 => peer.send(at_ns, get("/file/1000000000")).never_reads(),
        2 => peer.send(at_ns, request(random)).reset(later_ns),
        3 => peer.send(at_ns, get("/file/1000000000")).reset(later_ns),
        4 => peer.send(at_ns, put("/up", 100_000)).send_each(at_ns, SECOND, random.below(60), [b'x'; 900]),
        5 => peer.never_closes().send(at_ns, "nonsense\r\n\r\n").send_each(at_ns, SECOND, 50, "more"),
        6 => peer.send(at_ns, "GET / HT").send_each(later_ns, SECOND, random.below(20), "TP/1.1\r\n"),
        _ => peer.send(at_ns, get("/").repeat(100)).never_reads().close(later_ns),
    }
}

/// Runs the clients of one seed. Returns the polite ones.
fn run_seed<const EVENTS: usize>(seed: u64, settings: Settings, connections_max: usize) -> Vec<(Peer, usize)> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let network = Network::new(settings);
    let polite: Vec<_> = (0..12).map(|_| polite(&network, &mut random)).collect();
    let _rude: Vec<_> = (0..12).map(|_| rude(&network, &mut random)).collect();
    network.signal(SIGNAL_NS);
    let mut run = Run::<EVENTS>::with_events_max(&network, connections_max);
    run.until(SIGNAL_NS + 30 * SECOND);

    let ended_ns = run.ended_ns.expect("the loop ends");
    assert!(ended_ns <= SIGNAL_NS + 11 * SECOND, "seed {seed}: ended at {ended_ns} ns");
    let told = run.records().iter().filter(|record| !record.request.is_empty()).count();
    assert_eq!(told, run.asked(), "seed {seed}: each request that was answered has one record");
    assert_eq!(network.open(), 0, "seed {seed}");
    assert!(network.waits() < 15_000, "seed {seed}: {} turns", network.waits());
    polite
}

#[test]
fn polite_clients_are_answered_whatever_others_do() {
    let settings = Settings { file_mebibyte_ns: MILLISECOND, call_ns: MICROSECOND, ..Settings::default() };
    for seed in 0..5 {
        let small = Settings { receive_buffer_bytes: 5000, send_buffer_bytes: 20_000, ..settings };
        for polite in [run_seed::<64>(seed, settings, 1000), run_seed::<2>(seed, small, 1000)] {
            for (place, (peer, asked)) in polite.iter().enumerate() {
                let statuses = peer.statuses();
                assert_eq!(statuses.len(), *asked, "seed {seed}, client {place}: {statuses:?}");
                assert!(statuses.iter().all(|status| [200, 201].contains(status)), "seed {seed}: {statuses:?}");
            }
        }
    }
}

#[test]
fn where_places_and_descriptors_are_scarce_the_loop_still_rests_and_ends() {
    let settings = Settings { file_mebibyte_ns: MILLISECOND, call_ns: MICROSECOND, ..Settings::default() };
    for seed in 0..6 {
        run_seed::<64>(seed, settings, 1 + seed as usize % 6);
        run_seed::<3>(seed, Settings { descriptors: 1 + seed as usize % 5, ..settings }, 1000);
        run_seed::<1>(seed, Settings { descriptors: 4, listeners: 2, ..settings }, 4 + seed as usize % 2);
    }
}
