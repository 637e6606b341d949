//! The network: all links, and the one queue of all future events. Time passes only while the server sleeps, and when
//! one of its calls takes some.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use crate::simulation::accounts::RunAccounts;
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::coverage::Coverage;
use crate::simulation::event_queue::{Event, EventQueue};
use crate::simulation::keys::RunKeys;
use crate::simulation::link::{Link, Path, Stage};
use crate::simulation::network_settings::Settings;
use crate::simulation::proxies;
use crate::simulation::records::CLOCK_LAG_NS;
use crate::simulation::shares::Addresses;
use crate::simulation::timeouts::{Moment, Step};
use crate::simulation::trace::Trace;
use crate::simulation::turn_budget::TurnBudget;

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The wall clock's time at the start of a run.
pub(crate) const START_UNIX_NS: u64 = 1_784_111_777_000_000_000;

/// After so many flights on a link, its packets are no longer cut to a few bytes.
const FLIGHTS_CUT: u64 = 200;

/// More events than happen at one time.
const EVENTS_AT_ONCE_MAX: u32 = 1_000_000;

/// A readiness notification for the next wait. They are delivered in order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Link(usize),
    Listener(usize),
    Signal,
    Reload,
}

/// A handle to the network, for the run, for the server's world and for its sockets.
#[derive(Clone)]
pub(crate) struct Network {
    pub inner: Rc<RefCell<NetworkState>>,
}

pub(crate) struct NetworkState {
    pub settings: Settings,
    /// The seed of the links' random generators.
    seed: u64,
    /// The wall clock, in nanoseconds since 1970. The disk uses the same clock.
    clock: Rc<Cell<u64>>,
    events: EventQueue,
    pub links: Vec<Link>,
    clients: Vec<Option<Box<dyn Client>>>,
    /// Links whose client is to be called, because something has changed.
    calls: VecDeque<usize>,
    /// `None` once the listeners are closed.
    pub backlogs: Option<Vec<VecDeque<usize>>>,
    /// Whether connections are held back until their clients have sent something. Ends with the shutdown, and
    /// while the server makes room.
    pub holds_back: bool,
    /// When that ended; `None` while it has not.
    pub holding_back_ended_ns: Option<u64>,
    pub ready: VecDeque<Ready>,
    /// The number of connections that the server has open.
    pub open: usize,
    /// The connection that the server has accepted last.
    pub newest: Option<usize>,
    /// Whether the clients that are added have one address. See `Addresses::Swarm`.
    pub adds_swarm: bool,
    pub coverage: Coverage,
    pub trace: Trace,
    /// How long the server had worked before its last sleep, and when it woke up.
    worked_ns: u64,
    awake_ns: Option<u64>,
    /// When the shutdown signal was sent.
    pub signal_ns: Option<u64>,
    /// Whether the server has received the signal, and since when it must be shutting down: since its next wait.
    pub signal_was_delivered: bool,
    pub shutdown: Option<Moment>,
    /// The accounts of the run, if it has any.
    pub accounts: Option<RunAccounts>,
    /// The keys of signed links, if the server accepts any.
    pub keys: Option<RunKeys>,
    /// Whether the machine has lost power, which the run has not noticed yet. Nothing that the server sends leaves the
    /// machine.
    pub is_off: Box<dyn Fn() -> bool>,
    /// How long the server has waited for files that were not in memory.
    pub disk_wait_ns: Box<dyn Fn() -> u64>,
    /// When the server last crashed.
    pub crashed_ns: Option<u64>,
    /// When the listeners were closed.
    pub listeners_closed_ns: Option<u64>,
    /// The scheduled time of the current event.
    event_ns: Option<u64>,
    /// By how much the wall clock was moved.
    pub clock_offset_ns: Rc<Cell<i64>>,
    /// The same with the time of each move, in order.
    clock_offsets: Vec<(u64, i64)>,
    pub turn: TurnBudget,
    /// A buffer for bytes that are sent from files.
    pub space: Vec<u8>,
    /// The timeout of the last wait.
    pub sleeps_for: Option<Duration>,
    /// Whether the server sleeps without a timeout, and no event is left.
    pub is_quiescent: bool,
    /// The first connection that the server has kept for too long.
    pub exceeded: Option<String>,
}

/// Derives one of several seeds.
pub(crate) fn derive_seed(seed: u64, number: u64) -> u64 {
    (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

impl Network {
    pub(crate) fn new(settings: Settings, seed: u64, clock: Rc<Cell<u64>>, trace: Trace) -> Network {
        let inner = NetworkState {
            backlogs: Some(vec![VecDeque::new(); settings.listeners]),
            holds_back: settings.holds_back,
            holding_back_ended_ns: None,
            settings,
            seed,
            clock,
            events: EventQueue::default(),
            links: Vec::new(),
            clients: Vec::new(),
            calls: VecDeque::new(),
            ready: VecDeque::new(),
            open: 0,
            newest: None,
            adds_swarm: false,
            coverage: Coverage::default(),
            trace,
            worked_ns: 0,
            awake_ns: Some(0),
            signal_ns: None,
            signal_was_delivered: false,
            accounts: None,
            keys: None,
            shutdown: None,
            is_off: Box::new(|| false),
            disk_wait_ns: Box::new(|| 0),
            crashed_ns: None,
            listeners_closed_ns: None,
            event_ns: None,
            clock_offset_ns: Rc::default(),
            clock_offsets: vec![(0, 0)],
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
    /// The time since the start of the run, in nanoseconds. It is monotonic. While an event is handled late because the
    /// server was at work, this is the time at which the event was due.
    pub(crate) fn now_ns(&self) -> u64 {
        self.event_ns.unwrap_or(self.clock.get().wrapping_add_signed(-self.clock_offset_ns.get()) - START_UNIX_NS)
    }

    /// The first and the last time that the server's wall clock may have shown since then, in whole seconds.
    pub(crate) fn unix_s_since(&self, since_ns: u64) -> (u64, u64) {
        let from_ns = since_ns.saturating_sub(CLOCK_LAG_NS);
        let first = self.clock_offsets.iter().rposition(|(at_ns, _)| *at_ns <= from_ns).unwrap_or(0);
        let offsets = || self.clock_offsets[first..].iter().map(|(_, offset_ns)| *offset_ns);
        let unix_s = |ns: u64, offset_ns: i64| (START_UNIX_NS + ns).wrapping_add_signed(offset_ns) / SECOND;
        let firsts = offsets().map(|offset_ns| unix_s(from_ns, offset_ns));
        let lasts = offsets().map(|offset_ns| unix_s(self.now_ns(), offset_ns));
        (firsts.min().unwrap_or(0), lasts.max().unwrap_or(u64::MAX))
    }

    fn set_now(&self, now_ns: u64) {
        self.clock.set((START_UNIX_NS + now_ns).wrapping_add_signed(self.clock_offset_ns.get()));
    }

    /// Advances the time.
    pub(crate) fn advance_to(&self, now_ns: u64) {
        if now_ns > self.now_ns() {
            self.set_now(now_ns);
        }
    }

    /// How long the server has worked in total, without sleeping. While files are missing that it has asked the disk for,
    /// it counts as if it worked, and twice: it notices only a little later that they are there.
    pub(crate) fn busy_ns(&self) -> u64 {
        self.work_ns() + 2 * (self.disk_wait_ns)()
    }

    fn work_ns(&self) -> u64 {
        self.worked_ns + self.awake_ns.map_or(0, |awake_ns| self.now_ns() - awake_ns)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { at_ns: self.now_ns(), busy_ns: self.busy_ns() }
    }

    /// Notes what happened at the server's socket, and checks its timeouts.
    pub(crate) fn note(&mut self, link: usize, step: Step) {
        let now = self.moment();
        let state = &mut self.links[link];
        let exceeded = state.history.note(step, now, state.path.send_buffer_bytes, self.shutdown);
        let exceeded = exceeded.or_else(|| state.history.exceeds_rate(self.settings.rate?, now));
        if let Some(exceeded) = exceeded {
            self.exceeded.get_or_insert(format!("connection {link} at {} ms: {exceeded}", now.at_ns / MILLISECOND));
        }
    }

    /// The server starts to sleep.
    pub(crate) fn begin_sleep(&mut self) {
        self.worked_ns = self.work_ns();
        self.awake_ns = None;
    }

    /// The server continues.
    pub(crate) fn end_sleep(&mut self) {
        self.awake_ns = Some(self.now_ns());
    }

    /// Schedules an event, not earlier than now.
    pub(crate) fn schedule(&mut self, at_ns: u64, event: Event) {
        let at_ns = at_ns.max(self.now_ns());
        self.events.push(at_ns, event);
    }

    /// Adds a client that connects at a time. Returns its link.
    pub(crate) fn add_client(&mut self, at_ns: u64, listener: usize, path: Path, client: Box<dyn Client>) -> usize {
        let link = self.links.len();
        let random = fastrand::Rng::with_seed(derive_seed(self.seed, link as u64));
        let mut state = Link::new(listener, path, random);
        state.address = self.settings.addresses.of(link, self.adds_swarm);
        // Until it has sent its header, a connection counts against nobody, so a swarm would not be one.
        let may_have_proxies = self.settings.addresses != Addresses::Swarm;
        if let Some(header) = proxies::header(self.seed, link, state.address).filter(|_| may_have_proxies) {
            self.coverage.count("network", "connection with a PROXY header");
            state.begin_with(header);
        }
        self.links.push(state);
        self.coverage.count("client", client.name());
        if self.trace.is_printed() {
            self.trace.describe(at_ns, link, "will connect:", client.describe().as_bytes());
        }
        self.clients.push(Some(client));
        self.schedule(at_ns, Event::Connect { link, attempt: 0 });
        link
    }

    /// Keeps the number of a client that is left out.
    pub(crate) fn leave_out_client(&mut self, listener: usize, path: Path) {
        self.links.push(Link::new(listener, path, fastrand::Rng::with_seed(0)));
        self.clients.push(None);
    }

    /// The time of the next event.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.events.next().map(|(at_ns, _)| at_ns)
    }

    /// Decides whether a fault happens that happens once in `one_in` calls.
    pub(crate) fn fault(&mut self, link: usize, one_in: u64, name: &'static str) -> bool {
        let happens = one_in > 0 && self.links[link].random.u64(..one_in) == 0;
        if happens {
            self.coverage.count("fault", name);
        }
        happens
    }

    /// A call of the server has succeeded, and has taken some time.
    pub(crate) fn spend_call_time(&mut self, link: usize) {
        let took_ns = match self.settings.call_ns_max {
            0 => 0,
            max => self.links[link].random.u64(..=max),
        };
        self.turn.progressed();
        self.set_now(self.now_ns() + took_ns);
    }

    /// Handles all events that are due.
    pub(crate) fn handle_due_events(&mut self) {
        self.call_clients();
        let mut happened = 0;
        while self.next_ns().is_some_and(|at_ns| at_ns <= self.now_ns()) {
            happened += 1;
            assert!(
                happened < EVENTS_AT_ONCE_MAX,
                "the events of the simulated network never end: {:?}",
                self.events.next()
            );
            let Some((at_ns, event)) = self.events.pop() else { break };
            self.turn.progressed();
            // A change of the wall clock must not be undone when the event is over.
            self.event_ns = (!matches!(event, Event::ClockSet(_))).then_some(at_ns);
            self.handle(event);
            self.call_clients();
            self.event_ns = None;
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connect { link, attempt } => self.connect(link, attempt),
            Event::HandOver(link) => self.hand_over(link),
            Event::ToServer(link) => {
                let bytes_max = self.flight_bytes(link);
                let becomes_readable = self.links[link].arrive_at_server(bytes_max);
                if becomes_readable {
                    self.hand_over(link);
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
            Event::Accounts(version) => {
                self.coverage.count("run", if version.is_some() { "accounts changed" } else { "accounts broken" });
                if let Some(accounts) = &self.accounts {
                    accounts.write(version);
                }
                self.push_ready(Ready::Reload);
            }
            Event::Keys(version) => {
                self.coverage.count("run", if version.is_some() { "keys changed" } else { "keys broken" });
                if let Some(keys) = &self.keys {
                    keys.write(version);
                }
                self.push_ready(Ready::Reload);
            }
            Event::ClockSet(by_ns) => {
                self.coverage.count("fault", "wall clock set");
                let now_ns = self.now_ns();
                self.clock_offset_ns.set(self.clock_offset_ns.get() + by_ns);
                self.clock_offsets.push((now_ns, self.clock_offset_ns.get()));
                self.set_now(now_ns);
            }
            Event::Descriptors(descriptors) => self.settings.descriptors = descriptors,
        }
    }

    /// Starts the flights that can start.
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
        // After a while, short packets find nothing more and only take time.
        let max = if *flights < FLIGHTS_CUT { path.flight_bytes_max } else { path.flight_bytes_max.max(1448) };
        if random.bool() { max } else { random.usize(1..=max) }
    }

    /// Bytes have left the send buffer: notifies the server if it waits for room.
    pub(crate) fn made_room(&mut self, link: usize) {
        let state = &mut self.links[link];
        if state.wants_room && state.is_writable() || state.reset_has_arrived {
            state.wants_room = false;
            self.notify(link);
        }
    }

    pub(crate) fn push_ready(&mut self, ready: Ready) {
        if !self.ready.contains(&ready) {
            self.ready.push_back(ready);
        }
    }

    /// Notifies the server of a change on a connection, if it has accepted that.
    pub(crate) fn notify(&mut self, link: usize) {
        let state = &mut self.links[link];
        if state.key().is_some() && !state.is_notified {
            state.is_notified = true;
            self.ready.push_back(Ready::Link(link));
        }
    }

    fn call_clients(&mut self) {
        // A call may lead to further calls, even of the same client. This ends because a client schedules a call only if
        // it has done something.
        while let Some(link) = self.calls.pop_front() {
            let Some(mut client) = self.clients[link].take() else { continue };
            client.act(&mut ClientSocket { inner: self, link });
            self.clients[link] = Some(client);
        }
    }

    pub(crate) fn call_client_of(&mut self, link: usize) {
        self.calls.push_back(link);
    }

    /// The server has closed its socket. The bytes that it has sent still arrive, unless it left bytes unread or asked
    /// for a reset.
    pub(crate) fn server_closed(&mut self, link: usize) {
        self.open -= 1;
        self.turn.progressed();
        self.ready.retain(|ready| *ready != Ready::Link(link));
        let (now_ns, is_off) = (self.now_ns(), (self.is_off)());
        if !is_off {
            self.note(link, Step::Closed);
        }
        self.check_refusal(link);
        let state = &mut self.links[link];
        state.was_crashed |= is_off;
        if is_off {
            self.crashed_ns = Some(now_ns);
        }
        let state = &mut self.links[link];
        state.stage = Stage::Closed;
        state.is_notified = false;
        state.closed_ns = Some(now_ns);
        let leaves_unread = !state.arrived.is_empty();
        if is_off {
            // A machine without power does not even send an end.
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

    /// A fault delays a notification for a moment.
    pub(crate) fn delay_notification(&mut self, link: usize) {
        self.links[link].delayed_notifications += 1;
        let at_ns = self.now_ns() + self.links[link].random.u64(..MILLISECOND);
        self.schedule(at_ns, Event::Notify(link));
    }

    /// The loop is about to sleep. No connection may wait for it.
    pub(crate) fn check_sleep(&self) {
        for (number, link) in self.links.iter().enumerate() {
            // Where the rate is limited, it may wait for its next share; and while it waits for the disk, responses.
            assert!(
                !link.has_missed_input() || self.settings.rate.is_some() || (self.disk_wait_ns)() > 0,
                "the loop sleeps although connection {number} has {} bytes or an end to read",
                link.arrived.len()
            );
            assert!(!link.is_kept_after_reset(), "the loop sleeps although connection {number} has been reset");
        }
    }

    /// All clients, after the run.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (usize, &dyn Client)> {
        self.clients.iter().enumerate().filter_map(|(link, client)| Some((link, &**client.as_ref()?)))
    }

    /// Whether a crash may have ended a connection that is used now.
    pub(crate) fn may_have_crashed(&self) -> bool {
        self.crashed_ns.is_some_and(|at_ns| self.now_ns() < at_ns + 60 * SECOND)
    }
}
