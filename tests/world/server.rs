//! Runs the server's loop in the simulated world, one turn after the other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use log::{Level, LevelFilter, Log, Metadata};
use spindle::http1;
use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::exchange_record::{ExchangeRecord, Outcome};
use spindle::semantics::observer::Observer;
use spindle::semantics::proxies::Proxies;
use spindle::semantics::statistics::LoopStatistics;
use spindle::server::{Server, Usage};

use crate::network::{Action, Network};
use crate::service::TestService;
use crate::world::TestWorld;

/// More turns than any test needs.
const TURNS_MAX: u64 = 1_000_000;

/// A copy of an exchange record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub client: u16,
    pub connection: u64,
    pub request: String,
    pub status: Option<u16>,
    pub received: u64,
    pub sent: u64,
    pub first_byte_ns: Option<u64>,
    pub outcome: Outcome,
}

/// A server in the simulated world, with its records.
pub(crate) struct TestServer<const EVENTS: usize = 64> {
    network: Network,
    server: Server<TestWorld<EVENTS>, TestService>,
    records: Rc<RefCell<Vec<Record>>>,
    writes: Rc<RefCell<Vec<usize>>>,
    request_count: Rc<Cell<usize>>,
    committed: Rc<RefCell<Vec<usize>>>,
    observed: Rc<Observed>,
    /// What the loop counts.
    pub statistics: Rc<LoopStatistics>,
    /// When the loop stopped.
    pub stopped_ns: Option<u64>,
    /// Whether a test expects panics. The loop catches a panic, and would hide a failed assertion of the simulation.
    pub expects_panics: bool,
}

impl TestServer {
    pub(crate) fn new(network: &Network, connections_max: usize) -> TestServer {
        TestServer::with_events_max(network, connections_max)
    }
}

impl<const EVENTS: usize> TestServer<EVENTS> {
    /// A server whose waits return at most `EVENTS` events.
    pub(crate) fn with_events_max(network: &Network, connections_max: usize) -> TestServer<EVENTS> {
        TestServer::with_proxies(network, connections_max, Proxies::default())
    }

    /// A server that believes `proxies`.
    pub(crate) fn with_proxies(network: &Network, connections_max: usize, proxies: Proxies) -> TestServer<EVENTS> {
        let settings = http1::Settings { proxies, ..http1::Settings::default() };
        TestServer::with_settings(network, connections_max, settings)
    }

    /// A server with these settings of the protocol.
    pub(crate) fn with_settings(
        network: &Network,
        connections_max: usize,
        settings: http1::Settings,
    ) -> TestServer<EVENTS> {
        capture_log();
        let records: Rc<RefCell<Vec<Record>>> = Rc::default();
        let (writes, request_count, committed) = (Rc::default(), Rc::default(), Rc::default());
        let recorded = Rc::clone(&records);
        let recorder = Box::new(move |record: &ExchangeRecord| {
            let Client::Network { port: Some(port), .. } = record.client else { panic!("{:?}", record.client) };
            recorded.borrow_mut().push(Record {
                client: port,
                connection: record.connection,
                request: String::from_utf8_lossy(record.method_and_target()).into_owned(),
                status: record.status,
                received: record.content_received_bytes,
                sent: record.content_sent_bytes,
                first_byte_ns: record.first_byte_ns,
                outcome: record.outcome,
            });
        });
        let observed: Rc<Observed> = Rc::default();
        let observer: Box<dyn Observer> = Box::new(TestObserver { recorder, observed: Rc::clone(&observed) });
        let service = TestService::new(network, &writes, &request_count, &committed);
        let world = TestWorld::new(network);
        let statistics: Rc<LoopStatistics> = Rc::default();
        let server = Server::new(world, connections_max, settings, service, Some(observer))
            .with_statistics(Rc::clone(&statistics));
        TestServer {
            network: network.clone(),
            server,
            records,
            writes,
            request_count,
            committed,
            observed,
            statistics,
            stopped_ns: None,
            expects_panics: false,
        }
    }

    /// With a delay between the signal and the shutdown.
    pub(crate) fn with_shutdown_delay(mut self, delay_ns: u64) -> TestServer<EVENTS> {
        self.server = self.server.with_shutdown_delay(delay_ns);
        self
    }

    /// With a limit on the connections of each address.
    pub(crate) fn with_connections_per_group(mut self, max: usize) -> TestServer<EVENTS> {
        self.server = self.server.with_connections_per_group(Some(max));
        self
    }

    /// The server's use of memory and queues.
    pub(crate) fn usage(&self) -> Usage {
        self.server.usage()
    }

    /// Runs turns until the time `until_ns`, or until the loop stops.
    pub(crate) fn run_until(&mut self, until_ns: u64) {
        self.network.inner.borrow_mut().schedule(until_ns, usize::MAX, Action::Wake);
        for _ in 0..TURNS_MAX {
            if self.stopped_ns.is_some() || self.network.now_ns() >= until_ns {
                let has_panicked = log_messages(Level::Error).iter().any(|text| text.contains("panic"));
                assert_eq!(has_panicked, self.expects_panics, "{:?}", log_messages(Level::Error));
                return;
            }
            self.turn();
        }
        panic!("the loop runs too many turns, at {} ns", self.network.now_ns());
    }

    /// Runs one turn.
    pub(crate) fn turn(&mut self) {
        if !self.server.turn().expect("the world's waits succeed") {
            self.stopped_ns = Some(self.network.now_ns());
        }
        self.network.inner.borrow_mut().run_due_actions();
    }

    /// The records so far.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.borrow().clone()
    }

    /// What the observer was asked to do.
    pub(crate) fn observed(&self) -> &Observed {
        &self.observed
    }

    /// How many uploads each commit had.
    pub(crate) fn committed(&self) -> Vec<usize> {
        self.committed.borrow().clone()
    }

    /// The number of requests that have reached the service.
    pub(crate) fn request_count(&self) -> usize {
        self.request_count.get()
    }

    /// The lengths of the pieces that were written to sinks.
    pub(crate) fn writes(&self) -> Vec<usize> {
        self.writes.borrow().clone()
    }
}

/// What an observer was asked to do, and what it answers.
#[derive(Default)]
pub(crate) struct Observed {
    /// How many records came since it last wrote.
    collected: Cell<usize>,
    /// How long the first of them waits until it writes.
    pub delay_ns: Cell<u64>,
    /// With so many records it is full.
    pub full: Cell<Option<usize>>,
    /// When it wants to write.
    pub deadline_ns: Cell<Option<u64>>,
    /// When it wrote, on the monotonic clock, and how many records.
    pub writes: RefCell<Vec<(u64, usize)>>,
}

struct TestObserver {
    recorder: Box<dyn FnMut(&ExchangeRecord)>,
    observed: Rc<Observed>,
}

impl Observer for TestObserver {
    fn exchange_ended(&mut self, record: &ExchangeRecord) {
        (self.recorder)(record);
        if self.observed.collected.get() == 0 && self.observed.deadline_ns.get().is_none() {
            let ended_ns = record.started.monotonic_ns + record.total_ns;
            self.observed.deadline_ns.set(Some(ended_ns + self.observed.delay_ns.get()));
        }
        self.observed.collected.set(self.observed.collected.get() + 1);
    }

    fn is_full(&self) -> bool {
        self.observed.full.get().is_some_and(|full| self.observed.collected.get() >= full)
    }

    fn flush(&mut self, now: &Now) {
        let collected = self.observed.collected.take();
        self.observed.deadline_ns.set(None);
        self.observed.writes.borrow_mut().push((now.monotonic_ns, collected));
    }

    fn deadline_ns(&self) -> Option<u64> {
        self.observed.deadline_ns.get()
    }
}

/// The last request of a connection that is drained after it, because the request has content.
pub(crate) const LAST: &str = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";

/// A GET request.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// The head of an upload of `bytes` bytes.
pub(crate) fn put(path: &str, bytes: usize) -> String {
    format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n")
}

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// A logger that keeps the messages of each thread, which are those of one test.
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

fn capture_log() {
    // Another test may have set it already.
    let _ = log::set_logger(&Capture);
    log::set_max_level(LevelFilter::Info);
}

/// The messages logged at that level so far.
pub(crate) fn log_messages(level: Level) -> Vec<String> {
    LOGGED.with_borrow(|logged| logged.iter().filter(|(of, _)| *of == level).map(|(_, text)| text.clone()).collect())
}
