//! Which hostile clients there are, and what they send.

use fastrand::Rng;
use spindle::routes::UploadPolicy;

use spindle::http1::limits::{CONTENT_CREDIT_NS, CONTENT_GRACE_NS, DRAIN_SILENCE_NS, HEAD_TIMEOUT_NS, IDLE_TIMEOUT_NS};

use crate::simulation::clients::edges::{AtTheEdge, Edge, Piece};
use crate::simulation::clients::garbled::{Garbled, mutate, refused};
use crate::simulation::clients::hostile::{Habit, Hostile, Then};
use crate::simulation::clients::readers::{Insatiable, SlowReader};
use crate::simulation::clients::{Client, protocol_errors};
use crate::simulation::line::Path;
use crate::simulation::network::{Inner, MICROSECOND, MILLISECOND, SECOND};
use crate::simulation::setup::{Cast, Entrance, HOSTILE_UNTIL_NS, Setup, one_of, path, target_of};

/// A request that needs no disk, and is answered by 204.
const OPTIONS: &str = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";

/// When a client leaves that waits for the server to end it: behind all limits.
const STAYS_UNTIL_NS: u64 = HOSTILE_UNTIL_NS + 480 * SECOND;

/// How far from a limit a client keeps.
const BESIDE_NS: [i64; 8] = [-2_000, -300, -60, -20, 20, 60, 300, 2_000];

/// From how many places on there may be a surge.
const MANY_PLACES: usize = 20;

/// Adds the hostile clients of a run.
pub(crate) fn add_clients(cast: &mut Cast<'_>) {
    let setup = cast.setup;
    for number in setup.honest..setup.honest + setup.hostile {
        cast.add(number, |random| {
            let at_ns = random.u64(..90 * SECOND);
            let listener = random.usize(..setup.network.listeners);
            let leaves_ns = if random.bool() { random.u64(at_ns..HOSTILE_UNTIL_NS) } else { STAYS_UNTIL_NS };
            let (path, client) = client(setup, leaves_ns, random);
            Entrance { at_ns, listener, path, client }
        });
    }
    let mut random = cast.random(setup.clients());
    if setup.is_crowded && cast.case.includes(setup.clients()) {
        return add_crowd(cast.inner, setup, &mut random);
    }
    // With a disk that takes minutes and a backlog of two, nobody would come through behind a flood.
    let can_be_flooded = setup.network.backlog_max > 2 || setup.trouble.slow == 0;
    if setup.trouble.is_slow_always() && takes_uploads(setup) && cast.case.includes(setup.clients()) {
        return add_slow_uploads(cast.inner, setup, &mut random);
    }
    let has_many_places = setup.is_scarce && (MANY_PLACES..1000).contains(&setup.connections_max);
    if has_many_places && can_be_flooded && random.bool() && cast.case.includes(setup.clients()) {
        return add_surge(cast.inner, setup, &mut random);
    }
    if random.u8(..8) == 0 && can_be_flooded && cast.case.includes(setup.clients()) {
        add_flood(cast.inner, setup, &mut random);
    }
}

/// Clients that hold a place and are not being answered, so that they give way; most of them come to one listener.
fn add_crowd(inner: &mut Inner, setup: &Setup, random: &mut Rng) {
    for _ in 0..random.usize(20..80) {
        let bytes = match random.u8(..4) {
            0 => "",
            1 => "GET / HT",
            2 => OPTIONS,
            _ => "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        };
        let listener = if random.u8(..8) == 0 { setup.network.listeners - 1 } else { 0 };
        let client = Hostile::new(Habit::new("is one of a crowd", bytes.into()), STAYS_UNTIL_NS);
        inner.add_client(random.u64(..60 * SECOND), listener, path(random), Box::new(client));
    }
}

/// Connections that are idle, on all places that there are; and newcomers that come just when those ask for more, so many
/// that the server takes several turns to accept them.
fn add_surge(inner: &mut Inner, setup: &Setup, random: &mut Rng) {
    let (at_ns, idle_ns) = (random.u64(..60 * SECOND), SECOND);
    let path = Path { latency_ns: 20 * MICROSECOND, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
    let idle = OPTIONS.repeat(3);
    let habit = Habit {
        piece_bytes: idle.len(),
        every_ns: idle_ns,
        ..Habit::new("asks again in a surge", [idle, put(setup, 1000), "c".repeat(1000)].concat().into_bytes())
    };
    for _ in 0..setup.connections_max {
        let client = Box::new(Hostile::new(habit.clone(), HOSTILE_UNTIL_NS));
        inner.add_client(at_ns + random.u64(..20 * MILLISECOND), 0, path, client);
    }
    for _ in 0..random.usize(64..160) {
        let client = Box::new(Hostile::new(Habit::new("comes in a surge", OPTIONS.into()), HOSTILE_UNTIL_NS));
        inner.add_client(at_ns + idle_ns + random.u64(..10 * MILLISECOND), 0, path, client);
    }
}

/// Uploads to a disk that takes seconds for nearly every call: each waits for minutes for its turn, and more of its content
/// has arrived each time.
fn add_slow_uploads(inner: &mut Inner, setup: &Setup, random: &mut Rng) {
    let at_ns = random.u64(..60 * SECOND);
    let content_bytes = 8 * 65_536;
    let bytes = [put(setup, content_bytes).into_bytes(), vec![b'c'; content_bytes]].concat();
    for _ in 0..random.usize(50..80) {
        let path = Path { latency_ns: 0, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
        let path = Path { receive_buffer_bytes: 131_072, ..path };
        let client = Garbled::new(bytes.clone(), false, &[200, 201, 204], setup.trouble.may_fail());
        inner.add_client(at_ns + random.u64(..SECOND), 0, path, Box::new(client));
    }
}

/// Many connections to one listener, all of one kind, within a second.
fn add_flood(inner: &mut Inner, setup: &Setup, random: &mut Rng) {
    let at_ns = random.u64(..60 * SECOND);
    let habit = habit(setup, random);
    let leaves_ns = one_of(random, &[at_ns + SECOND, HOSTILE_UNTIL_NS, STAYS_UNTIL_NS]);
    for _ in 0..random.usize(10..100) {
        let client = Box::new(Hostile::new(habit.clone(), leaves_ns));
        inner.add_client(at_ns + random.u64(..SECOND), 0, path(random), client);
    }
}

fn client(setup: &Setup, leaves_ns: u64, random: &mut Rng) -> (Path, Box<dyn Client>) {
    let may_be_ended = setup.is_scarce || setup.trouble.may_fail();
    match random.u8(..13) {
        0..=2 => (path(random), Box::new(at_the_edge(setup, random))),
        // It takes minutes, in which others would wait for its place.
        3 if !setup.is_scarce => {
            let beyond_ns = one_of(random, &[-3_000, -1_000, 1_000, 3_000]) * MILLISECOND as i64;
            let path = Path { latency_ns: 0, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
            let wanted = 4 * (path.send_buffer_bytes + path.client_buffer_bytes) / 150_000 + 1;
            let get = get(setup, "large.bin");
            // A slow disk takes of the time that it needs to read on.
            let may_be_ended = may_be_ended || setup.trouble.slow > 0;
            (path, Box::new(SlowReader::new(get.as_bytes(), wanted, 150_000, beyond_ns, may_be_ended)))
        }
        4 => {
            let every_ns = one_of(random, &[10, 100, 1000]) * MILLISECOND;
            let name = one_of(random, &["small.txt", "absent", "page.html"]);
            (path(random), Box::new(Insatiable::new(get(setup, name).into_bytes(), every_ns, leaves_ns)))
        }
        5 | 6 => {
            let path = Path { latency_ns: 20 * MICROSECOND, jitter_ns: 0, flight_bytes_max: 1448, ..path(random) };
            let (get, put) = (get(setup, "small.txt"), put(setup, 1000));
            let (bytes, statuses) = match random.bool() {
                true => refused(&get, &put, random),
                false => protocol_errors::one(&get, random),
            };
            // An upload may be refused for what it is before it proves to be malformed.
            let statuses =
                if takes_uploads(setup) || statuses != [400, 408] { statuses } else { &[400, 405, 408, 409, 413] };
            (path, Box::new(Garbled::new(bytes, random.bool(), statuses, may_be_ended)))
        }
        7 | 8 => {
            let path = Path { latency_ns: 20 * MICROSECOND, jitter_ns: 0, flight_bytes_max: 1448, ..path(random) };
            let requests = [get(setup, "small.txt"), put(setup, 30) + &"c".repeat(30), chunked_put(setup, 20)];
            // An upload keeps its name: nobody else knows of another one.
            let request = &requests[random.usize(..requests.len())];
            let kept = if request.starts_with("PUT") { request.find(" HTTP").unwrap_or(0) } else { 0 };
            let (name, rest) = request.split_at(kept);
            let first = [name.as_bytes(), &mutate(rest.as_bytes().to_vec(), random)].concat();
            let bytes = [first, requests[random.usize(..requests.len())].clone().into_bytes()].concat();
            (path, Box::new(Garbled::new(bytes, random.bool(), &[], may_be_ended)))
        }
        9 => {
            // It reads as fast as the server sends, and asks for more than a turn may send.
            let path = Path { latency_ns: 0, jitter_ns: 0, flight_bytes_max: 65_536, ..path(random) };
            let path = Path { send_buffer_bytes: 262_144, client_buffer_bytes: 65_536, ..path };
            let bytes = get(setup, "large.bin").repeat(30).into_bytes();
            (path, Box::new(Hostile::new(Habit::new("reads all at once", bytes), leaves_ns)))
        }
        _ => (path(random), Box::new(Hostile::new(habit(setup, random), leaves_ns))),
    }
}

fn get(setup: &Setup, name: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", target_of(setup, name))
}

/// Whether uploads of any length are taken under any name.
fn takes_uploads(setup: &Setup) -> bool {
    setup.policy == UploadPolicy::Replace && setup.upload_bytes_max.is_none()
}

/// An upload that is not complete without so many bytes.
fn put(setup: &Setup, bytes: usize) -> String {
    format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n", target_of(setup, "up/never"))
}

/// An upload in chunks of one byte.
fn chunked_put(setup: &Setup, chunks: usize) -> String {
    let head = format!("PUT {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", target_of(setup, "up/never"));
    head + "\r\n" + &"1\r\nx\r\n".repeat(chunks) + "0\r\n\r\n"
}

fn beside(limit_ns: u64, random: &mut Rng) -> u64 {
    limit_ns.saturating_add_signed(one_of(random, &BESIDE_NS) * MILLISECOND as i64)
}

fn at_the_edge(setup: &Setup, random: &mut Rng) -> AtTheEdge {
    let (edge, stream, script) = match random.u8(..7) {
        6 => framing_edge(setup, random),
        0 | 1 => head_edge(random),
        2 => {
            let piece = |wait_ns, awaits_answer| Piece { wait_ns, awaits_answer, bytes: OPTIONS.len() };
            let script = vec![piece(0, false), piece(beside(IDLE_TIMEOUT_NS, random), true)];
            (Edge::Idle, OPTIONS.repeat(2).into_bytes(), script)
        }
        3 | 4 if takes_uploads(setup) => content_edge(setup, random),
        3 | 4 => head_edge(random),
        _ => {
            let wait_ns = beside(DRAIN_SILENCE_NS, random);
            let drip = Piece { wait_ns, awaits_answer: true, bytes: 1 };
            let begin = Piece { wait_ns: 0, awaits_answer: false, bytes: 12 };
            let mut script = vec![begin];
            script.extend([drip; 9]);
            (Edge::Drain, b"nonsense\r\n\r\nmore of it".to_vec(), script)
        }
    };
    // A call that would block although bytes wait, right behind a slow one of the disk, hides them from the timer.
    let may_be_hidden =
        setup.network.faults.blocked_receive > 0 && (setup.trouble.slow > 0 || setup.trouble.may_fail());
    AtTheEdge::new(edge, stream, script, setup.is_scarce || may_be_hidden)
}

/// A head that comes in drips, or stalls at some place; perhaps behind a request that came along with its first byte.
fn head_edge(random: &mut Rng) -> (Edge, Vec<u8>, Vec<Piece>) {
    let from = if random.bool() { 0 } else { OPTIONS.len() };
    let stream = OPTIONS.repeat(if from == 0 { 1 } else { 2 });
    let begun = random.usize(1..OPTIONS.len());
    let left = OPTIONS.len() - begun;
    let drips = if random.bool() { left } else { 1 };
    let every_ns = beside(HEAD_TIMEOUT_NS, random) / drips as u64;
    let mut script = vec![Piece { wait_ns: 0, awaits_answer: false, bytes: from + begun }];
    let piece = Piece { wait_ns: every_ns, awaits_answer: false, bytes: left / drips };
    script.extend(vec![piece; drips]);
    (Edge::Head { from: from as u64 }, stream.into_bytes(), script)
}

/// An upload of which all that drips is framing: an extension of its last chunk, and trailers.
fn framing_edge(setup: &Setup, random: &mut Rng) -> (Edge, Vec<u8>, Vec<Piece>) {
    let head = chunked_put(setup, 0);
    let head = &head[..head.len() - b"0\r\n\r\n".len()];
    let framing = one_of(random, &["0;name=value\r\n\r\n", "0\r\nTrailer: value\r\n\r\n", "0000000000\r\n\r\n"]);
    let piece = |wait_ns, bytes| Piece { wait_ns, awaits_answer: false, bytes };
    let every_ns = beside(CONTENT_GRACE_NS, random) / framing.len() as u64;
    let mut script = vec![piece(0, head.len())];
    script.extend(vec![piece(every_ns, 1); framing.len()]);
    (Edge::Framing { head_bytes: head.len() as u64 }, [head, framing].concat().into_bytes(), script)
}

/// Content that stalls for as long as it may at its beginning, or after it has earned all the time that there is; or that
/// comes at just the least rate; or of which no byte comes but of its framing.
fn content_edge(setup: &Setup, random: &mut Rng) -> (Edge, Vec<u8>, Vec<Piece>) {
    let piece = |wait_ns, bytes| Piece { wait_ns, awaits_answer: false, bytes };
    let (bytes, drips): (usize, Vec<Piece>) = match random.u8(..4) {
        0 => (3, vec![piece(beside(CONTENT_GRACE_NS, random), 3)]),
        1 => (100_001, vec![piece(0, 100_000), piece(beside(CONTENT_CREDIT_NS, random), 1)]),
        2 => {
            let rate = one_of(random, &[900, 1000, 1023, 1025, 1050, 1200]);
            (60 * rate, vec![piece(SECOND, rate); 60])
        }
        _ => (20_000, vec![piece(beside(CONTENT_GRACE_NS, random), 10_000), piece(beside(9 * SECOND, random), 10_000)]),
    };
    let mut head = put(setup, bytes);
    if random.u8(..3) == 0 {
        // It is told to go on, and does not for a while.
        head = head.replacen("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n", 1);
    }
    let head_bytes = head.len();
    let mut script = vec![piece(0, head_bytes)];
    script.extend(drips);
    (Edge::Content { head_bytes: head_bytes as u64 }, [head.into_bytes(), vec![b'x'; bytes]].concat(), script)
}

fn habit(setup: &Setup, random: &mut Rng) -> Habit {
    let get = |name: &str| get(setup, name);
    let never_reads = |name, bytes: String| Habit { reads: false, ..Habit::new(name, bytes.into_bytes()) };
    let drips = |name, bytes: String, piece_bytes, every_ns| Habit {
        piece_bytes,
        every_ns,
        ..Habit::new(name, bytes.into_bytes())
    };
    let list = if setup.is_folder { "/" } else { "/files/" };
    match random.u8(..17) {
        0 => Habit::new("silent", Vec::new()),
        1 => never_reads("reads no large answer", get("large.bin").repeat(30)),
        2 => never_reads("reads no small answers", get("small.txt").repeat(900)),
        3 => never_reads("reads no listing", format!("GET {list} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(50)),
        4 => never_reads("reads no archive", format!("GET {list}?archive=tar HTTP/1.1\r\nHost: a\r\n\r\n").repeat(9)),
        5 => drips("drips a head", get("small.txt"), 1, SECOND / 2),
        6 => drips("drips content", put(setup, 100_000) + &"x".repeat(60_000), 500, SECOND),
        7 => drips("drips chunks", chunked_put(setup, 200), 1, SECOND / 5),
        8 => {
            let long = format!("1;{}\r\nx\r\n0\r\nTrailer: {}\r\n\r\n", "e".repeat(300), "t".repeat(300));
            drips("drips framing", chunked_put(setup, 0).replacen("0\r\n\r\n", &long, 1), 7, SECOND / 4)
        }
        9 => Habit::new("sends chunks of a byte", chunked_put(setup, 9_000).into_bytes()),
        10 => Habit { is_urgent: true, ..drips("sends urgent bytes", get("small.txt").repeat(30), 3, 3 * MILLISECOND) },
        11 => drips("sends nonsense on and on", format!("nonsense\r\n\r\n{}", "more".repeat(60)), 12, SECOND),
        12 => Habit { then: Then::Ends, ..cut(Habit::new("ends early", whole(setup)), random) },
        13 => {
            let then = Then::Resets(one_of(random, &[0, 20 * MICROSECOND, MILLISECOND, SECOND, 10 * SECOND]));
            Habit { then, ..cut(Habit::new("resets", whole(setup)), random) }
        }
        14 => {
            let then = Then::Vanishes(one_of(random, &[0, 20 * MICROSECOND, MILLISECOND, SECOND, 20 * SECOND]));
            Habit { then, ..cut(Habit::new("vanishes", whole(setup)), random) }
        }
        15 => {
            let last = get("page.html").replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
            drips("sends behind the last answer", last.clone() + &"x".repeat(4_000), last.len().max(100), SECOND / 3)
        }
        _ => cut(Habit::new("stalls", whole(setup)), random),
    }
}

/// Requests of which any part may be the last that is sent.
fn whole(setup: &Setup) -> Vec<u8> {
    [get(setup, "large.bin"), put(setup, 300) + &"c".repeat(300), chunked_put(setup, 20), get(setup, "small.txt")]
        .concat()
        .into_bytes()
}

fn cut(mut habit: Habit, random: &mut Rng) -> Habit {
    habit.bytes.truncate(random.usize(..=habit.bytes.len()));
    habit.reads = random.bool();
    habit
}
