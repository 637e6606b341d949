//! What a run is made of, all from its seed: the server's limits, the network's faults, the clients and their habits.

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;

use crate::simulation::clients::ask::Ask;
use crate::simulation::clients::honest::{Farewell, Honest, Manners};
use crate::simulation::clients::hostile_choice::add_hostile_clients;
use crate::simulation::disk;
use crate::simulation::ledger::{Ledger, content};
use crate::simulation::line::Path;
use crate::simulation::network::{Faults, Happening, Inner, MICROSECOND, MILLISECOND, SECOND, Settings};
use crate::simulation::trouble::{self, Stop, Trouble};

/// When the last hostile client has left.
pub(crate) const HOSTILE_UNTIL_NS: u64 = 120 * SECOND;

/// What a run is made of besides its clients.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub network: Settings,
    pub connections_max: usize,
    /// Whether clients may have to wait for places or descriptors.
    pub is_scarce: bool,
    /// Whether places are scarce for many others, all of whom can give way: honest clients are answered in time then.
    pub is_crowded: bool,
    pub is_folder: bool,
    pub disk: disk::Settings,
    pub trouble: Trouble,
    /// Whether an upload is acknowledged only when it is on the disk.
    pub durable: bool,
    /// How many events a wait tells at most: few, some, or many.
    pub events: Events,
    /// When the server is asked to end; `None`: once everything has come to rest.
    pub signal_ns: Option<u64>,
    pub honest: usize,
    pub hostile: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Events {
    Few,
    Many,
}

/// Chooses one of some values.
pub(crate) fn one_of<T: Copy>(random: &mut Rng, values: &[T]) -> T {
    values[random.usize(..values.len())]
}

impl Setup {
    pub(crate) fn new(random: &mut Rng) -> Setup {
        let honest = random.usize(1..=8);
        let hostile = one_of(random, &[0, 3, 12]);
        let scarcity = random.u8(..6);
        let is_crowded = scarcity == 1 && random.bool();
        // Each honest client holds a place while it is answered.
        let few = if is_crowded { honest + random.usize(1..=3) } else { random.usize(1..=6) };
        let trouble = Trouble::new(random);
        let rarely = |random: &mut Rng| one_of(random, &[0, 0, 10, 100]);
        let faults = match random.bool() {
            true => Faults::default(),
            false => Faults {
                blocked_receive: rarely(random),
                blocked_send: rarely(random),
                short_send: rarely(random),
                filled_buffer: rarely(random),
                spurious_event: rarely(random),
                failed_accept: rarely(random),
                stolen_descriptor: if scarcity == 0 { rarely(random) } else { 0 },
            },
        };
        Setup {
            network: Settings {
                listeners: random.usize(1..=2),
                backlog_max: one_of(random, &[2, 128]),
                descriptors: if scarcity == 0 { few } else { usize::MAX },
                call_ns_max: one_of(random, &[0, 5 * MICROSECOND, 200 * MICROSECOND]),
                faults,
            },
            connections_max: if scarcity == 1 { few } else { 1000 },
            is_scarce: scarcity < 2,
            is_crowded,
            is_folder: random.bool(),
            disk: trouble::system(random),
            // Without it nothing is promised of a loss of power.
            durable: trouble.stops.iter().any(|stop| matches!(stop, Stop::PowerCut { .. })) || random.u8(..4) == 0,
            trouble,
            events: one_of(random, &[Events::Few, Events::Many]),
            signal_ns: random.bool().then(|| random.u64(..HOSTILE_UNTIL_NS)),
            honest,
            hostile,
        }
    }
}

/// How the packets of a client travel, who is in a hurry or not.
pub(crate) fn path(random: &mut Rng) -> Path {
    let (latency_ns, flight_bytes_max) = one_of(
        random,
        &[
            (0, 65_536),
            (20 * MICROSECOND, 65_536),
            (20 * MICROSECOND, 7),
            (MILLISECOND, 1448),
            (40 * MILLISECOND, 1448),
            (90 * MILLISECOND, 16_384),
        ],
    );
    Path {
        latency_ns,
        jitter_ns: latency_ns / 2,
        flight_bytes_max,
        receive_buffer_bytes: one_of(random, &[2_304, 16_384, 131_072]),
        send_buffer_bytes: one_of(random, &[4_608, 20_000, 262_144]),
        client_buffer_bytes: one_of(random, &[1_152, 65_536]),
    }
}

/// Fills the ledger with the files that are there from the beginning.
pub(crate) fn fixed_files(ledger: &mut Ledger) {
    for (number, (name, bytes)) in
        [("empty", 0), ("small.txt", 180), ("page.html", 9_000), ("large.bin", 150_000), ("dir/inner", 40)]
            .into_iter()
            .enumerate()
    {
        ledger.fixed.insert(name, content(1_000_000 + number as u64, bytes));
    }
}

/// Adds all clients of a run.
pub(crate) fn add_clients(inner: &mut Inner, setup: &Setup, ledger: &Rc<RefCell<Ledger>>, random: &mut Rng) {
    for number in 0..setup.honest {
        let (mut path, at_ns) = (path(random), random.u64(..60 * SECOND));
        let listener = random.usize(..setup.network.listeners);
        let asks =
            (0..random.usize(1..=6)).map(|place| ask(setup, ledger, random, (number * 10 + place) as u64)).collect();
        let manners = manners(setup, random);
        if manners.reads_every_ns > 0 {
            // With less it would be slower than the server puts up with.
            path.client_buffer_bytes = 65_536;
        }
        inner.add_client(at_ns, listener, path, Box::new(Honest::new(asks, manners, ledger, path, listener)));
    }
    add_hostile_clients(inner, setup, random);
    if setup.network.descriptors < usize::MAX {
        // They run out for a while, and come back.
        for _ in 0..random.usize(..3) {
            let (at_ns, for_ns) = (random.u64(..90 * SECOND), random.u64(..20 * SECOND));
            inner.schedule(at_ns, Happening::Descriptors(0));
            inner.schedule(at_ns + for_ns, Happening::Descriptors(setup.network.descriptors));
        }
    }
    if let Some(signal_ns) = setup.signal_ns {
        inner.schedule(signal_ns, Happening::Signal);
    }
    if random.u8(..4) == 0 {
        let by_ns = one_of(random, &[-3600, -7, 5, 86_400]) * SECOND as i64;
        inner.schedule(random.u64(..HOSTILE_UNTIL_NS), Happening::ClockSet(by_ns));
    }
}

fn manners(setup: &Setup, random: &mut Rng) -> Manners {
    let (reads_bytes_max, reads_every_ns) =
        one_of(random, &[(usize::MAX, 0), (usize::MAX, 0), (30_000, SECOND), (4_000, 100 * MILLISECOND)]);
    Manners {
        pipelined: one_of(random, &[1, 1, 3, 8]),
        pause_ns_max: one_of(random, &[0, MILLISECOND, 20 * SECOND]),
        reads_bytes_max,
        reads_every_ns,
        farewell: one_of(random, &[Farewell::EndsEarly, Farewell::Closes, Farewell::Stays]),
        is_scarce: setup.is_scarce,
        others_give_way: setup.is_crowded,
        disk_may_fail: setup.trouble.may_fail(),
    }
}

/// The target of a file, by its path beneath the root.
pub(crate) fn target_of(setup: &Setup, name: &str) -> String {
    if setup.is_folder { format!("/{name}") } else { format!("/files/{name}") }
}

fn ask(setup: &Setup, ledger: &Rc<RefCell<Ledger>>, random: &mut Rng, number: u64) -> Ask {
    let ledger = ledger.borrow();
    match random.u8(..10) {
        0 if !setup.is_folder => {
            let expected: Rc<[u8]> = b"abc"[..].into();
            Ask::Get { target: "/echo/abc".to_owned(), is_head: random.bool(), expected }
        }
        0 | 1 => Ask::Nothing { target: target_of(setup, "absent") },
        2..=5 => {
            let names: Vec<_> = ledger.fixed.iter().collect();
            let (name, expected) = one_of(random, &names);
            Ask::Get { target: target_of(setup, name), is_head: random.u8(..4) == 0, expected: Rc::clone(expected) }
        }
        6 | 7 => {
            let name = format!("up/{}", random.u8(..3));
            Ask::File { target: target_of(setup, &name), name }
        }
        _ => {
            let name = format!("up/{}", random.u8(..3));
            let bytes = one_of(random, &[0, 1, 700, 70_000]);
            let (is_chunked, expects_continue) = (random.bool(), random.u8(..4) == 0);
            Ask::Upload { target: target_of(setup, &name), name, number, bytes, is_chunked, expects_continue }
        }
    }
}
