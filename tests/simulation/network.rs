//! The network: connections, what is under way on them, and the one queue of everything that will happen. Time passes where
//! the server waits, and where one of its calls takes some.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::simulation::agenda::{Agenda, Happening};
use crate::simulation::clients::{Client, Reach};
use crate::simulation::coverage::Coverage;
use crate::simulation::line::{Line, Path, Stage};
use crate::simulation::patience::{Moment, Step};
use crate::simulation::trace::Trace;
use crate::simulation::turn::Turn;

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// How often a client tries to connect while the backlog is full, once a second.
const CONNECT_ATTEMPTS: u32 = 3000;

/// What the wall clock shows when a run begins.
pub(crate) const START_UNIX_NS: u64 = 1_784_111_777_000_000_000;

/// After so many flights on a connection packets are not much smaller than in life.
const FLIGHTS_CUT: u64 = 200;

/// More than happens at one time.
const HAPPENINGS_MAX: u32 = 1_000_000;

/// Faults of the network and of the kernel's calls: each as "once in so many calls"; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A call to receive that would block although something has arrived; an event follows later.
    pub blocked_receive: u64,
    /// The same of a call to send.
    pub blocked_send: u64,
    /// A call to send that takes only a part of what there is room for.
    pub short_send: u64,
    /// A send behind which the buffer is full, whatever it holds.
    pub filled_buffer: u64,
    /// An event that says more than is true.
    pub spurious_event: u64,
    /// A wait that ends before its time, with nothing to tell.
    pub interrupted_wait: u64,
    /// A connection that is lost before it is accepted.
    pub failed_accept: u64,
    /// An accept that finds no descriptor although there are some: another process has them.
    pub stolen_descriptor: u64,
}

/// What a run's network is made of.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub listeners: usize,
    /// How many connections wait at a listener at most.
    pub backlog_max: usize,
    /// How many connections the server may have open.
    pub descriptors: usize,
    /// How long each call of the server for a connection takes at most, in nanoseconds.
    pub call_ns_max: u64,
    pub faults: Faults,
}

/// What the next wait tells, in the order in which it happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Line(usize),
    Listener(usize),
    Signal,
}

/// The network, in the hands of the run, of the server's world and of its sockets.
#[derive(Clone)]
pub(crate) struct Network {
    pub inner: Rc<RefCell<Inner>>,
}

pub(crate) struct Inner {
    pub settings: Settings,
    /// From which the random numbers of the connections are made.
    seed: u64,
    /// The wall clock, in nanoseconds since 1970, which the disk has in common with the network.
    clock: Rc<Cell<u64>>,
    agenda: Agenda,
    pub lines: Vec<Line>,
    clients: Vec<Option<Box<dyn Client>>>,
    /// Lines whose client is to be called: something has come, or gone.
    calls: VecDeque<usize>,
    /// `None` once they are closed.
    pub backlogs: Option<Vec<VecDeque<usize>>>,
    pub told: VecDeque<Told>,
    /// Connections that the server has open.
    pub open: usize,
    pub coverage: Coverage,
    pub trace: Trace,
    /// How long the server has been at work before it slept last, and since when it is at work.
    worked_ns: u64,
    awake_ns: Option<u64>,
    /// When the server was asked to end.
    pub signal_ns: Option<u64>,
    /// Whether the server has been told of that, and since when it must be shutting down: it waits again after that.
    pub signal_was_told: bool,
    pub shutdown: Option<Moment>,
    /// Whether the machine has lost power, and has not been noticed to: nothing that it does then comes through.
    pub is_off: Box<dyn Fn() -> bool>,
    /// When the process was last stopped in the middle of its work.
    stopped_ns: Option<u64>,
    /// When its listeners were closed.
    pub listeners_closed_ns: Option<u64>,
    /// When what is happening just now was due.
    event_ns: Option<u64>,
    /// How far the wall clock is off.
    pub clock_offset_ns: i64,
    pub turn: Turn,
    /// Room for what is sent from files.
    pub space: Vec<u8>,
    /// How long the server was ready to sleep when it last waited.
    pub sleeps_for: Option<Duration>,
    /// Whether it sleeps without an end, and nothing will happen.
    pub rests: bool,
    /// A connection that the server has kept for too long.
    pub overstayed: Option<String>,
}

/// A seed for one of several, made from that of all.
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

impl Network {
    pub(crate) fn new(settings: Settings, seed: u64, clock: Rc<Cell<u64>>, trace: Trace) -> Network {
        let inner = Inner {
            backlogs: Some(vec![VecDeque::new(); settings.listeners]),
            settings,
            seed,
            clock,
            agenda: Agenda::default(),
            lines: Vec::new(),
            clients: Vec::new(),
            calls: VecDeque::new(),
            told: VecDeque::new(),
            open: 0,
            coverage: Coverage::default(),
            trace,
            worked_ns: 0,
            awake_ns: Some(0),
            signal_ns: None,
            signal_was_told: false,
            shutdown: None,
            is_off: Box::new(|| false),
            stopped_ns: None,
            listeners_closed_ns: None,
            event_ns: None,
            clock_offset_ns: 0,
            turn: Turn::default(),
            space: Vec::new(),
            sleeps_for: Some(Duration::ZERO),
            rests: false,
            overstayed: None,
        };
        Network { inner: Rc::new(RefCell::new(inner)) }
    }
}

impl Inner {
    /// The time since the run began, in nanoseconds. It only goes forward; while something happens that was due when the
    /// server was at work, it is the time at which that was due.
    pub(crate) fn now_ns(&self) -> u64 {
        self.event_ns.unwrap_or(self.clock.get().wrapping_add_signed(-self.clock_offset_ns) - START_UNIX_NS)
    }

    fn set_now(&self, now_ns: u64) {
        self.clock.set((START_UNIX_NS + now_ns).wrapping_add_signed(self.clock_offset_ns));
    }

    /// Lets time pass until then.
    pub(crate) fn pass_until(&self, now_ns: u64) {
        if now_ns > self.now_ns() {
            self.set_now(now_ns);
        }
    }

    /// How long the server has been at work in all, and did not sleep.
    pub(crate) fn busy_ns(&self) -> u64 {
        self.worked_ns + self.awake_ns.map_or(0, |awake_ns| self.now_ns() - awake_ns)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { at_ns: self.now_ns(), busy_ns: self.busy_ns() }
    }

    /// Something happens at the server's socket.
    pub(crate) fn note(&mut self, line: usize, step: Step) {
        let now = self.moment();
        let state = &mut self.lines[line];
        if let Some(overstayed) = state.history.note(step, now, state.path.send_buffer_bytes, self.shutdown) {
            self.overstayed.get_or_insert(format!("connection {line} at {} ms: {overstayed}", now.at_ns / MILLISECOND));
        }
    }

    /// The server sleeps.
    pub(crate) fn falls_asleep(&mut self) {
        self.worked_ns = self.busy_ns();
        self.awake_ns = None;
    }

    /// The server goes on.
    pub(crate) fn wakes_up(&mut self) {
        self.awake_ns = Some(self.now_ns());
    }

    /// Lets something happen at a time, or now if that has passed.
    pub(crate) fn schedule(&mut self, at_ns: u64, happening: Happening) {
        let at_ns = at_ns.max(self.now_ns());
        self.agenda.push(at_ns, happening);
    }

    /// A client that connects at a time. Returns its connection.
    pub(crate) fn add_client(&mut self, at_ns: u64, listener: usize, path: Path, client: Box<dyn Client>) -> usize {
        let line = self.lines.len();
        let random = fastrand::Rng::with_seed(mix(self.seed, line as u64));
        self.lines.push(Line::new(listener, path, random));
        self.coverage.count("client", client.name());
        if self.trace.is_printed() {
            self.trace.describe(at_ns, line, "will connect:", client.describe().as_bytes());
        }
        self.clients.push(Some(client));
        self.schedule(at_ns, Happening::Connect { line, attempt: 0 });
        line
    }

    /// Keeps the number of a client that has no part in this run.
    pub(crate) fn leave_out_client(&mut self, listener: usize, path: Path) {
        self.lines.push(Line::new(listener, path, fastrand::Rng::with_seed(0)));
        self.clients.push(None);
    }

    /// When the next thing happens.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.agenda.next().map(|(at_ns, _)| at_ns)
    }

    /// Whether a fault happens to a connection that does so once in `one_in` times.
    pub(crate) fn fault(&mut self, line: usize, one_in: u64, name: &'static str) -> bool {
        let happens = one_in > 0 && self.lines[line].random.u64(..one_in) == 0;
        if happens {
            self.coverage.count("fault", name);
        }
        happens
    }

    /// A call of the server for a connection has done something, and taken its time.
    pub(crate) fn worked(&mut self, line: usize) {
        let took_ns = match self.settings.call_ns_max {
            0 => 0,
            max => self.lines[line].random.u64(..=max),
        };
        self.turn.progressed();
        self.set_now(self.now_ns() + took_ns);
    }

    /// Does all that is due by now, in the order of the times.
    pub(crate) fn catch_up(&mut self) {
        self.call_clients();
        let mut happened = 0;
        while self.next_ns().is_some_and(|at_ns| at_ns <= self.now_ns()) {
            happened += 1;
            assert!(
                happened < HAPPENINGS_MAX,
                "the simulated network does not come to an end: {:?}",
                self.agenda.next()
            );
            let Some((at_ns, happening)) = self.agenda.pop() else { break };
            self.turn.progressed();
            // What the clock set back or forth is no event: it would be set back when that is over.
            self.event_ns = (!matches!(happening, Happening::ClockSet(_))).then_some(at_ns);
            self.perform(happening);
            self.call_clients();
            self.event_ns = None;
        }
    }

    fn perform(&mut self, happening: Happening) {
        match happening {
            Happening::Connect { line, attempt } => self.connect(line, attempt),
            Happening::ToServer(line) => {
                let bytes_max = self.flight_bytes(line);
                if self.lines[line].arrive(bytes_max) {
                    let (now_ns, bytes) = (self.now_ns(), self.lines[line].arrived.len() as u64);
                    let (now, in_all) = (self.moment(), self.lines[line].arrived_bytes);
                    self.lines[line].history.arrived(now, in_all);
                    self.trace.note(now_ns, line, "arrives", bytes);
                    self.announce(line);
                }
                self.calls.push_back(line);
                self.set_off(line);
            }
            Happening::ToClient(line) => {
                let bytes_max = self.flight_bytes(line);
                if self.lines[line].come_back(bytes_max) {
                    self.calls.push_back(line);
                }
                self.made_room(line);
                self.set_off(line);
            }
            Happening::Wake(line) => self.calls.push_back(line),
            Happening::Announce(line) => {
                self.lines[line].kept_back -= 1;
                self.announce(line);
            }
            Happening::Signal => {
                let now_ns = self.now_ns();
                self.trace.note(now_ns, usize::MAX, "signal", 0);
                if self.signal_ns.is_none() {
                    self.signal_ns = Some(now_ns);
                    for line in &mut self.lines {
                        line.arrived_by_signal_bytes = Some(line.arrived_bytes);
                    }
                }
                self.push_told(Told::Signal);
            }
            Happening::ClockSet(by_ns) => {
                self.coverage.count("fault", "wall clock set");
                let now_ns = self.now_ns();
                self.clock_offset_ns += by_ns;
                self.set_now(now_ns);
            }
            Happening::Descriptors(descriptors) => self.settings.descriptors = descriptors,
        }
    }

    /// The kernel takes the connection into the backlog, and the server hears of it, if it still listens.
    fn connect(&mut self, line: usize, attempt: u32) {
        let listener = self.lines[line].listener;
        let Some(backlogs) = &mut self.backlogs else {
            self.coverage.count("network", "connection refused");
            self.lines[line].reset_client();
            self.calls.push_back(line);
            return;
        };
        if backlogs[listener].len() >= self.settings.backlog_max {
            self.coverage.count("network", "backlog full");
            if attempt < CONNECT_ATTEMPTS {
                self.schedule(self.now_ns() + SECOND, Happening::Connect { line, attempt: attempt + 1 });
            }
            return;
        }
        backlogs[listener].push_back(line);
        self.lines[line].stage = Stage::Backlog;
        self.push_told(Told::Listener(listener));
        self.calls.push_back(line);
        self.set_off(line);
    }

    /// Lets flights begin that can.
    pub(crate) fn set_off(&mut self, line: usize) {
        if self.lines[line].can_fly_to_server() {
            self.lines[line].flies_to_server = true;
            let at_ns = self.now_ns() + self.flight_ns(line);
            self.schedule(at_ns, Happening::ToServer(line));
        }
        if self.lines[line].can_fly_to_client() {
            self.lines[line].flies_to_client = true;
            let at_ns = self.now_ns() + self.flight_ns(line);
            self.schedule(at_ns, Happening::ToClient(line));
        }
    }

    fn flight_ns(&mut self, line: usize) -> u64 {
        let Path { latency_ns, jitter_ns, .. } = self.lines[line].path;
        latency_ns + self.lines[line].random.u64(..=jitter_ns)
    }

    fn flight_bytes(&mut self, line: usize) -> usize {
        let Line { path, random, flights, .. } = &mut self.lines[line];
        // What is cut everywhere has been cut where it matters after a while, and would take a run's time.
        let max = if *flights < FLIGHTS_CUT { path.flight_bytes_max } else { path.flight_bytes_max.max(1448) };
        if random.bool() { max } else { random.usize(1..=max) }
    }

    /// The client's buffer or the network has taken something: the server is told if it waits for that.
    pub(crate) fn made_room(&mut self, line: usize) {
        let state = &mut self.lines[line];
        if state.wants_room && state.is_writable() || state.reset_has_arrived {
            state.wants_room = false;
            self.announce(line);
        }
    }

    fn push_told(&mut self, told: Told) {
        if !self.told.contains(&told) {
            self.told.push_back(told);
        }
    }

    /// Something has happened to a connection that the server is to be told of, if it has it by now.
    pub(crate) fn announce(&mut self, line: usize) {
        let state = &mut self.lines[line];
        if state.key().is_some() && !state.is_announced {
            state.is_announced = true;
            self.told.push_back(Told::Line(line));
        }
    }

    fn call_clients(&mut self) {
        // A client that is called may lead to further calls, of itself too: each time it has done something, or it does not
        // call for another.
        while let Some(line) = self.calls.pop_front() {
            let Some(mut client) = self.clients[line].take() else { continue };
            client.act(&mut Reach { inner: self, line });
            self.clients[line] = Some(client);
        }
    }

    pub(crate) fn call_client_of(&mut self, line: usize) {
        self.calls.push_back(line);
    }

    /// The server has closed its socket. What it has handed over is still sent, unless it left something unread, or wants a
    /// reset.
    pub(crate) fn server_closed(&mut self, line: usize) {
        self.open -= 1;
        self.turn.progressed();
        self.told.retain(|told| *told != Told::Line(line));
        let (now_ns, is_off) = (self.now_ns(), (self.is_off)());
        if !is_off {
            self.note(line, Step::Closed);
        }
        let state = &mut self.lines[line];
        state.was_stopped |= is_off;
        if is_off {
            self.stopped_ns = Some(now_ns);
        }
        let state = &mut self.lines[line];
        state.stage = Stage::Closed;
        state.is_announced = false;
        state.closed_ns = Some(now_ns);
        let leaves_unread = !state.arrived.is_empty();
        if is_off {
            // Not even an end comes from a machine without power.
            state.reset_client();
        } else if leaves_unread || state.resets_on_close {
            self.coverage.count("network", if leaves_unread { "reset: unread bytes" } else { "reset: wanted" });
            self.lines[line].reset_client();
        } else {
            state.server_has_ended = true;
        }
        self.trace.note(now_ns, line, "closed", u64::from(leaves_unread));
        self.calls.push_back(line);
        self.set_off(line);
    }

    /// The server no longer listens: what waits there is reset.
    pub(crate) fn close_listeners(&mut self) {
        let now_ns = self.now_ns();
        self.listeners_closed_ns.get_or_insert(now_ns);
        for line in self.backlogs.take().into_iter().flatten().flatten() {
            self.coverage.count("network", "lost in the backlog");
            self.lines[line].reset_client();
            self.calls.push_back(line);
        }
    }

    /// A fault keeps an announcement back for a moment.
    pub(crate) fn keep_back(&mut self, line: usize) {
        self.lines[line].kept_back += 1;
        let at_ns = self.now_ns() + self.lines[line].random.u64(..MILLISECOND);
        self.schedule(at_ns, Happening::Announce(line));
    }

    /// The loop is about to sleep: nobody is forgotten who waits for it.
    pub(crate) fn check_sleep(&self) {
        for (number, line) in self.lines.iter().enumerate() {
            assert!(!line.is_forgotten(), "the loop sleeps although {} bytes wait on {number}", line.arrived.len());
        }
    }

    /// Looks at each client, when all is over.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (usize, &dyn Client)> {
        self.clients.iter().enumerate().filter_map(|(line, client)| Some((line, &**client.as_ref()?)))
    }

    /// The process is gone at once, and with it all connections. It does not listen before it is started again.
    pub(crate) fn stop_server(&mut self) {
        self.stopped_ns = Some(self.now_ns());
        for line in 0..self.lines.len() {
            if self.lines[line].stage != Stage::Before && self.lines[line].stage != Stage::Closed {
                self.lines[line].reset_client();
                self.lines[line].was_stopped = true;
                self.calls.push_back(line);
            }
        }
        self.told.clear();
        self.backlogs = None;
        (self.signal_was_told, self.shutdown) = (false, None);
    }

    /// It listens again.
    pub(crate) fn start_server(&mut self) {
        self.backlogs = Some(vec![VecDeque::new(); self.settings.listeners]);
        self.told.clear();
        // A signal that came while nobody was there has ended nothing.
        if self.signal_ns.is_some() {
            self.push_told(Told::Signal);
        }
        self.wakes_up();
    }

    /// Whether the process may have been stopped while a connection of now was begun or used.
    pub(crate) fn may_be_stopped(&self) -> bool {
        self.stopped_ns.is_some_and(|at_ns| self.now_ns() < at_ns + 60 * SECOND)
    }
}
