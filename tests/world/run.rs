//! Runs the loop in the made-up world, one turn after the other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use log::{Level, LevelFilter, Log, Metadata};
use spindle::http1;
use spindle::semantics::exchange_record::Outcome;
use spindle::server::{Observer, Server};

use crate::network::{Action, Network};
use crate::service::TestService;
use crate::world::TestWorld;

/// More turns than any test has use for.
const TURNS_MAX: u64 = 1_000_000;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub client: u16,
    pub connection: u64,
    pub request: String,
    pub status: Option<u16>,
    pub received: u64,
    pub sent: u64,
    pub outcome: Outcome,
}

/// The server, and what became of it.
pub(crate) struct Run<const EVENTS: usize = 64> {
    network: Network,
    server: Server<TestWorld<EVENTS>, TestService>,
    records: Rc<RefCell<Vec<Told>>>,
    writes: Rc<RefCell<Vec<usize>>>,
    asked: Rc<Cell<usize>>,
    /// When the loop ended.
    pub ended_ns: Option<u64>,
    /// A panic ends a connection, and would hide what a test's own world has found.
    pub expects_panics: bool,
}

impl Run {
    pub(crate) fn new(network: &Network, connections_max: usize) -> Run {
        Run::with_events_max(network, connections_max)
    }
}

impl<const EVENTS: usize> Run<EVENTS> {
    /// Waits tell at most `EVENTS` events.
    pub(crate) fn with_events_max(network: &Network, connections_max: usize) -> Run<EVENTS> {
        capture_the_log();
        let records: Rc<RefCell<Vec<Told>>> = Rc::default();
        let (writes, asked) = (Rc::default(), Rc::default());
        let told = Rc::clone(&records);
        let observer: Observer = Box::new(move |client, record| {
            told.borrow_mut().push(Told {
                client: client.port(),
                connection: record.connection,
                request: String::from_utf8_lossy(record.method_and_target()).into_owned(),
                status: record.status,
                received: record.content_received_bytes,
                sent: record.content_sent_bytes,
                outcome: record.outcome,
            });
        });
        let service = TestService::new(network, &writes, &asked);
        let world = TestWorld::new(network);
        let server = Server::new(world, connections_max, http1::Settings::default(), service, Some(observer));
        Run { network: network.clone(), server, records, writes, asked, ended_ns: None, expects_panics: false }
    }

    /// Takes turns until that time, or until the loop ends.
    pub(crate) fn until(&mut self, until_ns: u64) {
        self.network.inner.borrow_mut().schedule(until_ns, usize::MAX, Action::Look);
        for _ in 0..TURNS_MAX {
            if self.ended_ns.is_some() || self.network.now_ns() >= until_ns {
                let has_panicked = logged(Level::Error).iter().any(|text| text.contains("panic"));
                assert_eq!(has_panicked, self.expects_panics, "{:?}", logged(Level::Error));
                return;
            }
            self.turn();
        }
        panic!("turns without end, at {} ns", self.network.now_ns());
    }

    /// Takes one turn.
    pub(crate) fn turn(&mut self) {
        if !self.server.turn().expect("the world's waits succeed") {
            self.ended_ns = Some(self.network.now_ns());
        }
        self.network.inner.borrow_mut().catch_up();
    }

    /// The records so far.
    pub(crate) fn records(&self) -> Vec<Told> {
        self.records.borrow().clone()
    }

    /// How many requests have reached the service.
    pub(crate) fn asked(&self) -> usize {
        self.asked.get()
    }

    /// The lengths of what was written to sinks.
    pub(crate) fn writes(&self) -> Vec<usize> {
        self.writes.borrow().clone()
    }
}

/// A plain request.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// An upload's head.
pub(crate) fn put(path: &str, bytes: usize) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n")
}

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Each test has a thread of its own, and so a log.
struct Capture;

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LOGGED.with_borrow_mut(|logged| logged.push((record.level(), record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

fn capture_the_log() {
    // Another test has set it.
    let _ = log::set_logger(&Capture);
    log::set_max_level(LevelFilter::Info);
}

/// What was logged at that level so far.
pub(crate) fn logged(level: Level) -> Vec<String> {
    LOGGED.with_borrow(|logged| logged.iter().filter(|(of, _)| *of == level).map(|(_, text)| text.clone()).collect())
}
