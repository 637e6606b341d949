//! Generates the hostile clients.

use fastrand::Rng;
use spindle::semantics::rights::UploadPolicy;

use spindle::http1::limits::{CONTENT_CREDIT_NS, CONTENT_GRACE_NS, DRAIN_SILENCE_NS, HEAD_TIMEOUT_NS, IDLE_TIMEOUT_NS};

use crate::simulation::clients::boundary::{Boundary, BoundaryClient, Piece};
use crate::simulation::clients::hostile::{Hostile, Script, Then};
use crate::simulation::clients::malformed::{OneShotClient, mutate, refused};
use crate::simulation::clients::readers::{NonReader, SlowReader};
use crate::simulation::clients::{Client, protocol_errors};
use crate::simulation::link::Path;
use crate::simulation::network::{MICROSECOND, MILLISECOND, NetworkState, SECOND};
use crate::simulation::scenario::{ClientBuilder, HOSTILE_UNTIL_NS, NewClient, Scenario, one_of, path, target_of};
use crate::simulation::shares::Addresses;

/// A request that needs no disk call. Its response is a 204.
const OPTIONS: &str = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";

/// When a client leaves that waits for the server to end the connection: after all timeouts.
const STAYS_UNTIL_NS: u64 = HOSTILE_UNTIL_NS + 480 * SECOND;

/// The distances from a limit, in milliseconds.
const BESIDE_NS: [i64; 8] = [-2_000, -300, -60, -20, 20, 60, 300, 2_000];

/// The least connection limit at which a surge makes sense.
const SURGE_CONNECTIONS_MIN: usize = 20;

/// Adds the hostile clients of a run.
pub(crate) fn add_clients(builder: &mut ClientBuilder<'_>) {
    let scenario = builder.scenario;
    for number in scenario.honest..scenario.honest + scenario.hostile {
        builder.add(number, |random| {
            let at_ns = random.u64(..90 * SECOND);
            let listener = random.usize(..scenario.network.listeners);
            let leaves_ns = if random.bool() { random.u64(at_ns..HOSTILE_UNTIL_NS) } else { STAYS_UNTIL_NS };
            let (path, client) = client(scenario, leaves_ns, random);
            NewClient { at_ns, listener, path, client }
        });
    }
    let mut random = builder.random(scenario.clients());
    if scenario.has_evictable_load && builder.config.includes(scenario.clients()) {
        return add_evictable_load(builder.inner, scenario, &mut random);
    }
    // With a disk that takes minutes and a backlog of two, no honest client could connect during a flood.
    let can_be_flooded = scenario.network.backlog_max > 2 || scenario.fault_plan.slow == 0;
    if scenario.fault_plan.is_slow_always() && takes_uploads(scenario) && builder.config.includes(scenario.clients()) {
        return add_slow_uploads(builder.inner, scenario, &mut random);
    }
    let has_many_connections = scenario.is_limited && (SURGE_CONNECTIONS_MIN..1000).contains(&scenario.connections_max);
    if has_many_connections && can_be_flooded && builder.config.includes(scenario.clients()) {
        return add_surge(builder.inner, scenario, &mut random);
    }
    if random.u8(..8) == 0 && can_be_flooded && builder.config.includes(scenario.clients()) {
        add_flood(builder.inner, scenario, &mut random);
    }
}

/// Clients without a request in progress, which can be evicted, or a swarm of all kinds of clients at one address. Most
/// connect to one listener.
fn add_evictable_load(inner: &mut NetworkState, scenario: &Scenario, random: &mut Rng) {
    let is_swarm = scenario.network.addresses == Addresses::Swarm;
    inner.adds_swarm = is_swarm;
    for _ in 0..random.usize(20..80) {
        let bytes = match random.u8(..4) {
            0 => "",
            1 => "GET / HT",
            2 => OPTIONS,
            _ => "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        };
        let listener = if random.u8(..8) == 0 { scenario.network.listeners - 1 } else { 0 };
        let idle = Script::new("holds a connection", bytes.into());
        let script = if is_swarm && random.bool() { script(scenario, random) } else { idle };
        let client = Hostile::new(script, STAYS_UNTIL_NS);
        let at_ns = scenario.connects_ns(random.u64(..60 * SECOND), random);
        inner.add_client(at_ns, listener, path(random), Box::new(client));
    }
    inner.adds_swarm = false;
}

/// Idle connections up to the connection limit, which send a second request just when many new clients connect. The
/// server takes several turns to accept these.
fn add_surge(inner: &mut NetworkState, scenario: &Scenario, random: &mut Rng) {
    let (at_ns, idle_ns) = (random.u64(..60 * SECOND), SECOND);
    let path = Path { latency_ns: 20 * MICROSECOND, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
    let idle = OPTIONS.repeat(3);
    let script = Script {
        piece_bytes: idle.len(),
        every_ns: idle_ns,
        ..Script::new(
            "sends a second request in a surge",
            [idle, put(scenario, 1000), "c".repeat(1000)].concat().into_bytes(),
        )
    };
    for _ in 0..scenario.connections_max {
        let client = Box::new(Hostile::new(script.clone(), HOSTILE_UNTIL_NS));
        inner.add_client(at_ns + random.u64(..20 * MILLISECOND), 0, path, client);
    }
    for _ in 0..random.usize(64..160) {
        let client = Box::new(Hostile::new(Script::new("connects in a surge", OPTIONS.into()), HOSTILE_UNTIL_NS));
        inner.add_client(at_ns + idle_ns + random.u64(..10 * MILLISECOND), 0, path, client);
    }
}

/// Uploads to a disk that takes seconds for nearly each call. Each waits for minutes to be driven again, and always has
/// more content in its socket.
fn add_slow_uploads(inner: &mut NetworkState, scenario: &Scenario, random: &mut Rng) {
    let at_ns = random.u64(..60 * SECOND);
    let content_bytes = 8 * 65_536;
    let bytes = [put(scenario, content_bytes).into_bytes(), vec![b'c'; content_bytes]].concat();
    for _ in 0..random.usize(50..80) {
        let path = Path { latency_ns: 0, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
        let path = Path { receive_buffer_bytes: 131_072, ..path };
        let client = OneShotClient::new(bytes.clone(), false, &[200, 201, 204], scenario.fault_plan.may_fail());
        inner.add_client(at_ns + random.u64(..SECOND), 0, path, Box::new(client));
    }
}

/// Many connections of one kind to one listener, within a second.
fn add_flood(inner: &mut NetworkState, scenario: &Scenario, random: &mut Rng) {
    let at_ns = random.u64(..60 * SECOND);
    let script = script(scenario, random);
    let leaves_ns = one_of(random, &[at_ns + SECOND, HOSTILE_UNTIL_NS, STAYS_UNTIL_NS]);
    for _ in 0..random.usize(10..100) {
        let client = Box::new(Hostile::new(script.clone(), leaves_ns));
        inner.add_client(at_ns + random.u64(..SECOND), 0, path(random), client);
    }
}

fn client(scenario: &Scenario, leaves_ns: u64, random: &mut Rng) -> (Path, Box<dyn Client>) {
    // Where turns take seconds, a long head that does not fit the socket can exceed its time.
    let may_be_ended = scenario.is_limited || scenario.fault_plan.may_fail() || scenario.fault_plan.slow > 0;
    // Where the rate is limited, the times of the others are not known so exactly.
    let kinds = if scenario.network.rate.is_some() { 10..13 } else { 0..13 };
    match random.u8(kinds) {
        0..=2 => (path(random), Box::new(boundary_client(scenario, random))),
        // It takes minutes, and other clients would have to wait for its connection. A drop box sends it nothing long.
        3 if !scenario.is_limited && !scenario.is_drop_box => {
            let beyond_ns = one_of(random, &[-3_000, -1_000, 1_000, 3_000]) * MILLISECOND as i64;
            let path = Path { latency_ns: 0, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
            let wanted = 4 * (path.send_buffer_bytes + path.client_buffer_bytes) / 150_000 + 1;
            let get = get(scenario, "large.bin");
            (path, Box::new(SlowReader::new(get.as_bytes(), wanted, 150_000, beyond_ns, may_be_ended)))
        }
        4 => {
            let every_ns = one_of(random, &[10, 100, 1000]) * MILLISECOND;
            let name = one_of(random, &["small.txt", "absent", "page.html"]);
            (path(random), Box::new(NonReader::new(get(scenario, name).into_bytes(), every_ns, leaves_ns)))
        }
        5 | 6 => {
            let path = Path { latency_ns: 20 * MICROSECOND, jitter_ns: 0, flight_bytes_max: 1448, ..path(random) };
            let (get, put) = (get(scenario, "small.txt"), put(scenario, 1000));
            let (bytes, statuses) = match random.bool() {
                true => refused(&get, &put, random),
                false => protocol_errors::one(&get, random),
            };
            // An upload may be refused for other reasons before it is found to be malformed: a 403 if it needs a link.
            let statuses = if takes_uploads(scenario) || statuses != [400, 408] {
                statuses
            } else {
                &[400, 401, 403, 405, 408, 409, 413]
            };
            (path, Box::new(OneShotClient::new(bytes, random.bool(), statuses, may_be_ended)))
        }
        7 | 8 => {
            let path = Path { latency_ns: 20 * MICROSECOND, jitter_ns: 0, flight_bytes_max: 1448, ..path(random) };
            let requests = [
                get(scenario, "small.txt"),
                put(scenario, 30) + &"c".repeat(30),
                chunked_put(scenario, 20),
                form(scenario),
                move_never(scenario),
                delete_never(scenario),
            ];
            // The target of a change is not mutated: no check knows of another file.
            let request = &requests[random.usize(..requests.len())];
            let kept = match request.split(' ').next() {
                Some("GET") => 0,
                Some("MOVE") => request.find("/never-again").unwrap_or(0) + 1,
                _ => request.find(" HTTP").unwrap_or(0),
            };
            let (name, rest) = request.split_at(kept);
            let first = [name.as_bytes(), &mutate(rest.as_bytes().to_vec(), random)].concat();
            let bytes = [first, requests[random.usize(..requests.len())].clone().into_bytes()].concat();
            (path, Box::new(OneShotClient::new(bytes, random.bool(), &[], may_be_ended)))
        }
        9 => {
            // It reads as fast as the server sends, and requests more than one turn may send.
            let path = Path { latency_ns: 0, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
            let path = Path { send_buffer_bytes: 262_144, client_buffer_bytes: 65_536, ..path };
            let bytes = get(scenario, "large.bin").repeat(30).into_bytes();
            (path, Box::new(Hostile::new(Script::new("reads all at once", bytes), leaves_ns)))
        }
        _ => (path(random), Box::new(Hostile::new(script(scenario, random), leaves_ns))),
    }
}

fn get(scenario: &Scenario, name: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target_of(scenario, name))
}

/// Whether uploads of each name and length are accepted.
fn takes_uploads(scenario: &Scenario) -> bool {
    matches!(scenario.policy, UploadPolicy::Replace | UploadPolicy::Manage) && scenario.upload_bytes_max.is_none()
}

/// The head of an upload of so many bytes.
fn put(scenario: &Scenario, bytes: usize) -> String {
    format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n", target_of(scenario, "up/never"))
}

/// An upload in chunks of one byte.
fn chunked_put(scenario: &Scenario, chunks: usize) -> String {
    let head = format!("PUT {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", target_of(scenario, "up/never"));
    head + "\r\n" + &"1\r\nx\r\n".repeat(chunks) + "0\r\n\r\n"
}

/// A form with two files.
fn form(scenario: &Scenario) -> String {
    let part = "--b\r\nContent-Disposition: form-data; name=f; filename=\"never\"\r\n\r\ncontent\r\n";
    let content = part.repeat(2) + "--b--\r\n";
    let fields = format!("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}", content.len());
    format!("POST {} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{content}", target_of(scenario, "up/"))
}

fn move_never(scenario: &Scenario) -> String {
    let (from, to) = (target_of(scenario, "up/never"), target_of(scenario, "up/never-again"));
    format!("MOVE {from} HTTP/1.1\r\nDestination: {to}\r\nHost: a\r\nOverwrite: F\r\nIf-Match: *\r\n\r\n")
}

fn delete_never(scenario: &Scenario) -> String {
    format!("DELETE {} HTTP/1.1\r\nHost: a\r\nIf-Match: *, \"tag\"\r\n\r\n", target_of(scenario, "up/never-again"))
}

fn beside(limit_ns: u64, random: &mut Rng) -> u64 {
    limit_ns.saturating_add_signed(one_of(random, &BESIDE_NS) * MILLISECOND as i64)
}

fn boundary_client(scenario: &Scenario, random: &mut Rng) -> BoundaryClient {
    let (boundary, stream, script) = match random.u8(..7) {
        6 => framing_boundary(scenario, random),
        0 | 1 => head_boundary(random),
        2 => {
            let piece = |wait_ns, awaits_response| Piece { wait_ns, awaits_response, bytes: OPTIONS.len() };
            let script = vec![piece(0, false), piece(beside(IDLE_TIMEOUT_NS, random), true)];
            (Boundary::Idle, OPTIONS.repeat(2).into_bytes(), script)
        }
        3 | 4 if takes_uploads(scenario) => content_boundary(scenario, random),
        3 | 4 => head_boundary(random),
        _ => {
            let wait_ns = beside(DRAIN_SILENCE_NS, random);
            let drip = Piece { wait_ns, awaits_response: true, bytes: 1 };
            let begin = Piece { wait_ns: 0, awaits_response: false, bytes: 12 };
            let mut script = vec![begin];
            script.extend([drip; 9]);
            (Boundary::Drain, b"nonsense\r\n\r\nmore of it".to_vec(), script)
        }
    };
    // Directly after a slow disk call, a receive that would block without a reason hides the bytes from the timeout.
    let may_be_hidden =
        scenario.network.faults.blocked_receive > 0 && (scenario.fault_plan.slow > 0 || scenario.fault_plan.may_fail());
    BoundaryClient::new(boundary, stream, script, scenario.is_limited || may_be_hidden)
}

/// A head that arrives byte by byte or stalls, possibly after a complete request that was sent together with its first
/// byte.
fn head_boundary(random: &mut Rng) -> (Boundary, Vec<u8>, Vec<Piece>) {
    let from = if random.bool() { 0 } else { OPTIONS.len() };
    let stream = OPTIONS.repeat(if from == 0 { 1 } else { 2 });
    let begun = random.usize(1..OPTIONS.len());
    let left = OPTIONS.len() - begun;
    let drips = if random.bool() { left } else { 1 };
    let every_ns = beside(HEAD_TIMEOUT_NS, random) / drips as u64;
    let mut script = vec![Piece { wait_ns: 0, awaits_response: false, bytes: from + begun }];
    let piece = Piece { wait_ns: every_ns, awaits_response: false, bytes: left / drips };
    script.extend(vec![piece; drips]);
    (Boundary::Head { from: from as u64 }, stream.into_bytes(), script)
}

/// An upload that ends with slow framing: a chunk extension, or trailers.
fn framing_boundary(scenario: &Scenario, random: &mut Rng) -> (Boundary, Vec<u8>, Vec<Piece>) {
    let head = chunked_put(scenario, 0);
    let head = &head[..head.len() - b"0\r\n\r\n".len()];
    let framing = one_of(random, &["0;name=value\r\n\r\n", "0\r\nTrailer: value\r\n\r\n", "0000000000\r\n\r\n"]);
    let piece = |wait_ns, bytes| Piece { wait_ns, awaits_response: false, bytes };
    let every_ns = beside(CONTENT_GRACE_NS, random) / framing.len() as u64;
    let mut script = vec![piece(0, head.len())];
    script.extend(vec![piece(every_ns, 1); framing.len()]);
    (Boundary::Framing { head_bytes: head.len() as u64 }, [head, framing].concat().into_bytes(), script)
}

/// Content that stalls for the grace period at its beginning, or for all the time that it has earned; or content at
/// nearly the minimum rate.
fn content_boundary(scenario: &Scenario, random: &mut Rng) -> (Boundary, Vec<u8>, Vec<Piece>) {
    let piece = |wait_ns, bytes| Piece { wait_ns, awaits_response: false, bytes };
    let (bytes, drips): (usize, Vec<Piece>) = match random.u8(..4) {
        0 => (3, vec![piece(beside(CONTENT_GRACE_NS, random), 3)]),
        1 => (100_001, vec![piece(0, 100_000), piece(beside(CONTENT_CREDIT_NS, random), 1)]),
        2 => {
            let rate = one_of(random, &[900, 1000, 1023, 1025, 1050, 1200]);
            (60 * rate, vec![piece(SECOND, rate); 60])
        }
        _ => (20_000, vec![piece(beside(CONTENT_GRACE_NS, random), 10_000), piece(beside(9 * SECOND, random), 10_000)]),
    };
    let mut head = put(scenario, bytes);
    if random.u8(..3) == 0 {
        // It ignores 100 (Continue) for a while.
        head = head.replacen("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1);
    }
    let head_bytes = head.len();
    let mut script = vec![piece(0, head_bytes)];
    script.extend(drips);
    (Boundary::Content { head_bytes: head_bytes as u64 }, [head.into_bytes(), vec![b'x'; bytes]].concat(), script)
}

fn script(scenario: &Scenario, random: &mut Rng) -> Script {
    let get = |name: &str| get(scenario, name);
    let never_reads = |name, bytes: String| Script { reads: false, ..Script::new(name, bytes.into_bytes()) };
    let drips = |name, bytes: String, piece_bytes, every_ns| Script {
        piece_bytes,
        every_ns,
        ..Script::new(name, bytes.into_bytes())
    };
    let list = if scenario.is_folder { "/" } else { "/files/" };
    match random.u8(..17) {
        0 => Script::new("silent", Vec::new()),
        1 => never_reads("never reads a large response", get("large.bin").repeat(30)),
        2 => never_reads("never reads small responses", get("small.txt").repeat(900)),
        3 => never_reads("never reads listings", format!("GET {list} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(50)),
        4 => {
            never_reads("never reads archives", format!("GET {list}?archive=tar HTTP/1.1\r\nHost: a\r\n\r\n").repeat(9))
        }
        5 => drips("drips a head", get("small.txt"), 1, SECOND / 2),
        6 => drips("drips content", put(scenario, 100_000) + &"x".repeat(60_000), 500, SECOND),
        7 => drips("drips chunks", chunked_put(scenario, 200), 1, SECOND / 5),
        8 => {
            let long = format!("1;{}\r\nx\r\n0\r\nTrailer: {}\r\n\r\n", "e".repeat(300), "t".repeat(300));
            drips("drips framing", chunked_put(scenario, 0).replacen("0\r\n\r\n", &long, 1), 7, SECOND / 4)
        }
        9 => Script::new("sends chunks of a byte", chunked_put(scenario, 9_000).into_bytes()),
        10 => {
            Script { is_urgent: true, ..drips("sends urgent bytes", get("small.txt").repeat(30), 3, 3 * MILLISECOND) }
        }
        11 => drips("sends malformed bytes for ever", format!("nonsense\r\n\r\n{}", "more".repeat(60)), 12, SECOND),
        12 => Script { then: Then::Ends, ..cut(Script::new("ends early", whole(scenario)), random) },
        13 => {
            let then = Then::Resets(one_of(random, &[0, 20 * MICROSECOND, MILLISECOND, SECOND, 10 * SECOND]));
            Script { then, ..cut(Script::new("resets", whole(scenario)), random) }
        }
        14 => {
            let then = Then::Vanishes(one_of(random, &[0, 20 * MICROSECOND, MILLISECOND, SECOND, 20 * SECOND]));
            Script { then, ..cut(Script::new("vanishes", whole(scenario)), random) }
        }
        15 => {
            let last = get("page.html").replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
            drips("sends after the last response", last.clone() + &"x".repeat(4_000), last.len().max(100), SECOND / 3)
        }
        _ => cut(Script::new("stalls", whole(scenario)), random),
    }
}

/// Requests that can be cut at any byte.
fn whole(scenario: &Scenario) -> Vec<u8> {
    [
        get(scenario, "large.bin"),
        put(scenario, 300) + &"c".repeat(300),
        chunked_put(scenario, 20),
        move_never(scenario),
        form(scenario),
        delete_never(scenario),
        get(scenario, "small.txt"),
    ]
    .concat()
    .into_bytes()
}

fn cut(mut script: Script, random: &mut Rng) -> Script {
    script.bytes.truncate(random.usize(..=script.bytes.len()));
    script.reads = random.bool();
    script
}
