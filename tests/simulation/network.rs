//! The network: connections, what is under way on them, and the one queue of everything that will happen. Time passes where
//! the server waits, and where one of its calls takes some.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::coverage::Coverage;
use crate::simulation::event_queue::{Event, EventQueue};
use crate::simulation::link::{Link, Path, Stage};
use crate::simulation::timeouts::{Moment, Step};
use crate::simulation::trace::Trace;
use crate::simulation::turn_budget::TurnBudget;

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
const EVENTS_AT_ONCE_MAX: u32 = 1_000_000;

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
pub(crate) enum Ready {
    Link(usize),
    Listener(usize),
    Signal,
}

/// The network, in the hands of the run, of the server's world and of its sockets.
#[derive(Clone)]
pub(crate) struct Network {
    pub inner: Rc<RefCell<NetworkState>>,
}

pub(crate) struct NetworkState {
    pub settings: Settings,
    /// From which the random numbers of the connections are made.
    seed: u64,
    /// The wall clock, in nanoseconds since 1970, which the disk has in common with the network.
    clock: Rc<Cell<u64>>,
    events: EventQueue,
    pub links: Vec<Link>,
    clients: Vec<Option<Box<dyn Client>>>,
    /// Lines whose client is to be called: something has come, or gone.
    calls: VecDeque<usize>,
    /// `None` once they are closed.
    pub backlogs: Option<Vec<VecDeque<usize>>>,
    pub ready: VecDeque<Ready>,
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
    pub signal_was_delivered: bool,
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
    pub turn: TurnBudget,
    /// Room for what is sent from files.
    pub space: Vec<u8>,
    /// How long the server was ready to sleep when it last waited.
    pub sleeps_for: Option<Duration>,
    /// Whether it sleeps without an end, and nothing will happen.
    pub is_quiescent: bool,
    /// A connection that the server has kept for too long.
    pub exceeded: Option<String>,
}

/// A seed for one of several, made from that of all.
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

impl Network {
    pub(crate) fn new(settings: Settings, seed: u64, clock: Rc<Cell<u64>>, trace: Trace) -> Network {
        let inner = NetworkState {
            backlogs: Some(vec![VecDeque::new(); settings.listeners]),
            settings,
            seed,
            clock,
            events: EventQueue::default(),
            links: Vec::new(),
            clients: Vec::new(),
            calls: VecDeque::new(),
            ready: VecDeque::new(),
            open: 0,
            coverage: Coverage::default(),
            trace,
            worked_ns: 0,
            awake_ns: Some(0),
            signal_ns: None,
            signal_was_delivered: false,
            shutdown: None,
            is_off: Box::new(|| false),
            stopped_ns: None,
            listeners_closed_ns: None,
            event_ns: None,
            clock_offset_ns: 0,
            turn: TurnBudget::default(),
            space: Vec::new(),
            sleeps_for: Some(Duration::ZERO),
            is_quiescent: false,
            exceeded: None,
        };
        Network { inner: Rc::new(RefCell::new(inner)) }
    }
}

impl NetworkState {
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
    pub(crate) fn note(&mut self, link: usize, step: Step) {
        let now = self.moment();
        let state = &mut self.links[link];
        if let Some(exceeded) = state.history.note(step, now, state.path.send_buffer_bytes, self.shutdown) {
            self.exceeded.get_or_insert(format!("connection {link} at {} ms: {exceeded}", now.at_ns / MILLISECOND));
        }
    }

    /// The server sleeps.
    pub(crate) fn begin_sleep(&mut self) {
        self.worked_ns = self.busy_ns();
        self.awake_ns = None;
    }

    /// The server goes on.
    pub(crate) fn end_sleep(&mut self) {
        self.awake_ns = Some(self.now_ns());
    }

    /// Lets something happen at a time, or now if that has passed.
    pub(crate) fn schedule(&mut self, at_ns: u64, event: Event) {
        let at_ns = at_ns.max(self.now_ns());
        self.events.push(at_ns, event);
    }

    /// A client that connects at a time. Returns its connection.
    pub(crate) fn add_client(&mut self, at_ns: u64, listener: usize, path: Path, client: Box<dyn Client>) -> usize {
        let link = self.links.len();
        let random = fastrand::Rng::with_seed(mix(self.seed, link as u64));
        self.links.push(Link::new(listener, path, random));
        self.coverage.count("client", client.name());
        if self.trace.is_printed() {
            self.trace.describe(at_ns, link, "will connect:", client.describe().as_bytes());
        }
        self.clients.push(Some(client));
        self.schedule(at_ns, Event::Connect { link, attempt: 0 });
        link
    }

    /// Keeps the number of a client that has no part in this run.
    pub(crate) fn leave_out_client(&mut self, listener: usize, path: Path) {
        self.links.push(Link::new(listener, path, fastrand::Rng::with_seed(0)));
        self.clients.push(None);
    }

    /// When the next thing happens.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.events.next().map(|(at_ns, _)| at_ns)
    }

    /// Whether a fault happens to a connection that does so once in `one_in` times.
    pub(crate) fn fault(&mut self, link: usize, one_in: u64, name: &'static str) -> bool {
        let happens = one_in > 0 && self.links[link].random.u64(..one_in) == 0;
        if happens {
            self.coverage.count("fault", name);
        }
        happens
    }

    /// A call of the server for a connection has done something, and taken its time.
    pub(crate) fn worked(&mut self, link: usize) {
        let took_ns = match self.settings.call_ns_max {
            0 => 0,
            max => self.links[link].random.u64(..=max),
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
                happened < EVENTS_AT_ONCE_MAX,
                "the simulated network does not come to an end: {:?}",
                self.events.next()
            );
            let Some((at_ns, event)) = self.events.pop() else { break };
            self.turn.progressed();
            // What the clock set back or forth is no event: it would be set back when that is over.
            self.event_ns = (!matches!(event, Event::ClockSet(_))).then_some(at_ns);
            self.perform(event);
            self.call_clients();
            self.event_ns = None;
        }
    }

    fn perform(&mut self, event: Event) {
        match event {
            Event::Connect { link, attempt } => self.connect(link, attempt),
            Event::ToServer(link) => {
                let bytes_max = self.flight_bytes(link);
                if self.links[link].arrive_at_server(bytes_max) {
                    let (now_ns, bytes) = (self.now_ns(), self.links[link].arrived.len() as u64);
                    let (now, in_all) = (self.moment(), self.links[link].arrived_bytes);
                    self.links[link].history.arrived(now, in_all);
                    self.trace.note(now_ns, link, "arrives", bytes);
                    self.notify(link);
                }
                self.calls.push_back(link);
                self.start_flights(link);
            }
            Event::ToClient(link) => {
                let bytes_max = self.flight_bytes(link);
                if self.links[link].arrive_at_client(bytes_max) {
                    self.calls.push_back(link);
                }
                self.made_room(link);
                self.start_flights(link);
            }
            Event::Wake(link) => self.calls.push_back(link),
            Event::Notify(link) => {
                self.links[link].delayed_notifications -= 1;
                self.notify(link);
            }
            Event::Signal => {
                let now_ns = self.now_ns();
                self.trace.note(now_ns, usize::MAX, "signal", 0);
                if self.signal_ns.is_none() {
                    self.signal_ns = Some(now_ns);
                    for link in &mut self.links {
                        link.arrived_by_signal_bytes = Some(link.arrived_bytes);
                    }
                }
                self.push_ready(Ready::Signal);
            }
            Event::ClockSet(by_ns) => {
                self.coverage.count("fault", "wall clock set");
                let now_ns = self.now_ns();
                self.clock_offset_ns += by_ns;
                self.set_now(now_ns);
            }
            Event::Descriptors(descriptors) => self.settings.descriptors = descriptors,
        }
    }

    /// The kernel takes the connection into the backlog, and the server hears of it, if it still listens.
    fn connect(&mut self, link: usize, attempt: u32) {
        let listener = self.links[link].listener;
        let Some(backlogs) = &mut self.backlogs else {
            self.coverage.count("network", "connection refused");
            self.links[link].reset_client();
            self.calls.push_back(link);
            return;
        };
        if backlogs[listener].len() >= self.settings.backlog_max {
            self.coverage.count("network", "backlog full");
            if attempt < CONNECT_ATTEMPTS {
                self.schedule(self.now_ns() + SECOND, Event::Connect { link, attempt: attempt + 1 });
            }
            return;
        }
        backlogs[listener].push_back(link);
        self.links[link].stage = Stage::Backlog;
        self.push_ready(Ready::Listener(listener));
        self.calls.push_back(link);
        self.start_flights(link);
    }

    /// Lets flights begin that can.
    pub(crate) fn start_flights(&mut self, link: usize) {
        if self.links[link].can_start_flight_to_server() {
            self.links[link].in_flight_to_server = true;
            let at_ns = self.now_ns() + self.flight_ns(link);
            self.schedule(at_ns, Event::ToServer(link));
        }
        if self.links[link].can_start_flight_to_client() {
            self.links[link].in_flight_to_client = true;
            let at_ns = self.now_ns() + self.flight_ns(link);
            self.schedule(at_ns, Event::ToClient(link));
        }
    }

    fn flight_ns(&mut self, link: usize) -> u64 {
        let Path { latency_ns, jitter_ns, .. } = self.links[link].path;
        latency_ns + self.links[link].random.u64(..=jitter_ns)
    }

    fn flight_bytes(&mut self, link: usize) -> usize {
        let Link { path, random, flights, .. } = &mut self.links[link];
        // What is cut everywhere has been cut where it matters after a while, and would take a run's time.
        let max = if *flights < FLIGHTS_CUT { path.flight_bytes_max } else { path.flight_bytes_max.max(1448) };
        if random.bool() { max } else { random.usize(1..=max) }
    }

    /// The client's buffer or the network has taken something: the server is told if it waits for that.
    pub(crate) fn made_room(&mut self, link: usize) {
        let state = &mut self.links[link];
        if state.wants_room && state.is_writable() || state.reset_has_arrived {
            state.wants_room = false;
            self.notify(link);
        }
    }

    fn push_ready(&mut self, ready: Ready) {
        if !self.ready.contains(&ready) {
            self.ready.push_back(ready);
        }
    }

    /// Something has happened to a connection that the server is to be told of, if it has it by now.
    pub(crate) fn notify(&mut self, link: usize) {
        let state = &mut self.links[link];
        if state.key().is_some() && !state.is_notified {
            state.is_notified = true;
            self.ready.push_back(Ready::Link(link));
        }
    }

    fn call_clients(&mut self) {
        // A client that is called may lead to further calls, of itself too: each time it has done something, or it does not
        // call for another.
        while let Some(link) = self.calls.pop_front() {
            let Some(mut client) = self.clients[link].take() else { continue };
            client.act(&mut ClientSocket { inner: self, link });
            self.clients[link] = Some(client);
        }
    }

    pub(crate) fn call_client_of(&mut self, link: usize) {
        self.calls.push_back(link);
    }

    /// The server has closed its socket. What it has handed over is still sent, unless it left something unread, or wants a
    /// reset.
    pub(crate) fn server_closed(&mut self, link: usize) {
        self.open -= 1;
        self.turn.progressed();
        self.ready.retain(|ready| *ready != Ready::Link(link));
        let (now_ns, is_off) = (self.now_ns(), (self.is_off)());
        if !is_off {
            self.note(link, Step::Closed);
        }
        let state = &mut self.links[link];
        state.was_stopped |= is_off;
        if is_off {
            self.stopped_ns = Some(now_ns);
        }
        let state = &mut self.links[link];
        state.stage = Stage::Closed;
        state.is_notified = false;
        state.closed_ns = Some(now_ns);
        let leaves_unread = !state.arrived.is_empty();
        if is_off {
            // Not even an end comes from a machine without power.
            state.reset_client();
        } else if leaves_unread || state.resets_on_close {
            self.coverage.count("network", if leaves_unread { "reset: unread bytes" } else { "reset: wanted" });
            self.links[link].reset_client();
        } else {
            state.server_has_ended = true;
        }
        self.trace.note(now_ns, link, "closed", u64::from(leaves_unread));
        self.calls.push_back(link);
        self.start_flights(link);
    }

    /// The server no longer listens: what waits there is reset.
    pub(crate) fn close_listeners(&mut self) {
        let now_ns = self.now_ns();
        self.listeners_closed_ns.get_or_insert(now_ns);
        for link in self.backlogs.take().into_iter().flatten().flatten() {
            self.coverage.count("network", "lost in the backlog");
            self.links[link].reset_client();
            self.calls.push_back(link);
        }
    }

    /// A fault keeps an announcement back for a moment.
    pub(crate) fn delay_notification(&mut self, link: usize) {
        self.links[link].delayed_notifications += 1;
        let at_ns = self.now_ns() + self.links[link].random.u64(..MILLISECOND);
        self.schedule(at_ns, Event::Notify(link));
    }

    /// The loop is about to sleep: nobody is forgotten who waits for it.
    pub(crate) fn check_sleep(&self) {
        for (number, link) in self.links.iter().enumerate() {
            assert!(!link.is_forgotten(), "the loop sleeps although {} bytes wait on {number}", link.arrived.len());
        }
    }

    /// Looks at each client, when all is over.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (usize, &dyn Client)> {
        self.clients.iter().enumerate().filter_map(|(link, client)| Some((link, &**client.as_ref()?)))
    }

    /// The process is gone at once, and with it all connections. It does not listen before it is started again.
    pub(crate) fn stop_server(&mut self) {
        self.stopped_ns = Some(self.now_ns());
        for link in 0..self.links.len() {
            if self.links[link].stage != Stage::Before && self.links[link].stage != Stage::Closed {
                self.links[link].reset_client();
                self.links[link].was_stopped = true;
                self.calls.push_back(link);
            }
        }
        self.ready.clear();
        self.backlogs = None;
        (self.signal_was_delivered, self.shutdown) = (false, None);
    }

    /// It listens again.
    pub(crate) fn start_server(&mut self) {
        self.backlogs = Some(vec![VecDeque::new(); self.settings.listeners]);
        self.ready.clear();
        // A signal that came while nobody was there has ended nothing.
        if self.signal_ns.is_some() {
            self.push_ready(Ready::Signal);
        }
        self.end_sleep();
    }

    /// Whether the process may have been stopped while a connection of now was begun or used.
    pub(crate) fn may_be_stopped(&self) -> bool {
        self.stopped_ns.is_some_and(|at_ns| self.now_ns() < at_ns + 60 * SECOND)
    }
}
