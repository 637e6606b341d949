//! The simulated network: clients that follow scripts, the socket buffers between them and the server, and the readiness
//! events for the server. There is one clock. Only scheduled actions and the server's calls change anything.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use crate::client::{Client, Connection, ReadMode, Segment};

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// How long a silent connection is held back.
pub(crate) const HELD_BACK_NS: u64 = SECOND;

/// The most turns in a row without any event, effective call, or time passed. An expired deadline may take one or two.
const TURNS_WITHOUT_PROGRESS_MAX: u32 = 8;

/// The most calls in one turn that would block. One for each connection and direction is normal.
const BLOCKED_CALLS_MAX: u32 = 10_000;

/// The settings of the simulation.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub listeners: usize,
    /// How many of them, the first ones, are for the administrator.
    pub admin_listeners: usize,
    /// How many of the others, the first ones, a service manager holds open as well.
    pub inherited_listeners: usize,
    /// Whether the system holds back connections whose clients have sent nothing. It does so for [`HELD_BACK_NS`].
    pub holds_back: bool,
    /// The sizes of the socket buffers at the server's end of a connection.
    pub receive_buffer_bytes: usize,
    pub send_buffer_bytes: u64,
    /// How many connections the server can have open before it runs out of descriptors.
    pub descriptors: usize,
    /// How long each call on a connection takes that has an effect.
    pub call_ns: u64,
    /// How long the disk takes to read a mebibyte of a file.
    pub file_mebibyte_ns: u64,
}

impl Settings {
    /// The numbers of the inherited listeners.
    pub(crate) fn inherited(&self) -> Range<usize> {
        self.admin_listeners..self.admin_listeners + self.inherited_listeners
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listeners: 1,
            admin_listeners: 0,
            inherited_listeners: 0,
            holds_back: false,
            receive_buffer_bytes: 128 * 1024,
            send_buffer_bytes: 256 * 1024,
            descriptors: usize::MAX,
            call_ns: 0,
            file_mebibyte_ns: 0,
        }
    }
}

/// A scheduled action.
pub(crate) enum Action {
    Connect,
    /// The system no longer holds the connection back.
    HandOver,
    Send(Vec<u8>),
    /// The byte sent last is urgent: a read stops before it.
    Urgent,
    ReadMode(ReadMode),
    /// A client that reads at intervals reads its next bytes.
    ReadStep,
    HalfClose,
    Close,
    Reset,
    /// The next sends, so many, would block although there is room: the system has no memory for them.
    RefuseSends(u32),
    /// The server is told that it may send again.
    SendsAgain,
    /// The server gets the signal to shut down. Belongs to no connection.
    Signal,
    /// A wait of the server ends, so that the test gets control. Belongs to no connection.
    Wake,
}

/// An event that a later wait returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PendingEvent {
    Connection(usize),
    Listener(usize),
    Signal,
}

#[derive(Clone)]
pub(crate) struct Network {
    pub clock: Rc<Cell<u64>>,
    pub inner: Rc<RefCell<Inner>>,
}

pub(crate) struct Inner {
    pub settings: Settings,
    clock: Rc<Cell<u64>>,
    actions: BTreeMap<(u64, u64), (usize, Action)>,
    actions_scheduled: u64,
    pub connections: Vec<Connection>,
    /// Connections whose buffers have changed since the last [`update_touched`](Inner::update_touched).
    pub touched: Vec<usize>,
    pub backlogs: Vec<VecDeque<usize>>,
    /// Whether the system held back connections at the start.
    pub holds_back_at_start: bool,
    /// The connections that are held back because their clients have sent nothing.
    held_back: BTreeSet<usize>,
    /// Whether the listeners for clients are open. Those for the administrator always are.
    pub listens: bool,
    /// The connections that wait for the service manager's next process; `None` while the server has the listeners.
    pub waiting: Option<Vec<usize>>,
    /// In the order in which they happened.
    pub pending: VecDeque<PendingEvent>,
    pub open: usize,
    pub waits: u64,
    /// Calls to receive and to send, whether or not they had an effect.
    pub calls: u64,
    /// Calls since the last wait that would have blocked.
    blocked_calls: u32,
    pub accept_failures: u32,
    /// Whether there was an event, an action, or an effective call since the last wait.
    pub is_active: bool,
    pub waited_ns: u64,
    turns_without_progress: u32,
}

impl Network {
    pub(crate) fn new(settings: Settings) -> Network {
        let clock = Rc::new(Cell::new(0));
        let inner = Inner {
            settings,
            clock: Rc::clone(&clock),
            actions: BTreeMap::new(),
            actions_scheduled: 0,
            connections: Vec::new(),
            touched: Vec::new(),
            backlogs: vec![VecDeque::new(); settings.listeners],
            holds_back_at_start: settings.holds_back,
            held_back: BTreeSet::new(),
            listens: true,
            waiting: None,
            pending: VecDeque::new(),
            open: 0,
            waits: 0,
            calls: 0,
            blocked_calls: 0,
            accept_failures: 0,
            is_active: false,
            waited_ns: 0,
            turns_without_progress: 0,
        };
        Network { clock, inner: Rc::new(RefCell::new(inner)) }
    }

    /// A client that connects to the first listener for clients at `at_ns`.
    pub(crate) fn client(&self, at_ns: u64) -> Client {
        let listener = self.inner.borrow().settings.admin_listeners;
        self.client_of(listener, at_ns)
    }

    /// An administrator who connects at `at_ns`.
    pub(crate) fn administrator(&self, at_ns: u64) -> Client {
        assert!(self.inner.borrow().settings.admin_listeners > 0);
        self.client_of(0, at_ns)
    }

    /// A client that connects to `listener` at `at_ns`.
    pub(crate) fn client_of(&self, listener: usize, at_ns: u64) -> Client {
        let mut inner = self.inner.borrow_mut();
        let connection = inner.connections.len();
        inner.connections.push(Connection::new(listener));
        inner.schedule(at_ns, connection, Action::Connect);
        drop(inner);
        Client { network: self.clone(), connection }
    }

    /// Sends the server the signal to shut down at `at_ns`.
    pub(crate) fn signal(&self, at_ns: u64) {
        self.inner.borrow_mut().schedule(at_ns, usize::MAX, Action::Signal);
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.get()
    }

    /// The number of the server's waits so far, which is the number of its turns.
    pub(crate) fn waits(&self) -> u64 {
        self.inner.borrow().waits
    }

    /// The number of the server's calls to receive and to send so far.
    pub(crate) fn calls(&self) -> u64 {
        self.inner.borrow().calls
    }

    /// How many connections wait for the service manager's next process.
    pub(crate) fn waiting(&self) -> usize {
        self.inner.borrow().waiting.as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn accept_failures(&self) -> u32 {
        self.inner.borrow().accept_failures
    }

    /// The number of connections that the server has open.
    pub(crate) fn open(&self) -> usize {
        self.inner.borrow().open
    }

    /// Changes the number of connections that the server can have open.
    pub(crate) fn set_descriptors(&self, descriptors: usize) {
        self.inner.borrow_mut().settings.descriptors = descriptors;
    }

    /// Whether the server's listeners are open.
    pub(crate) fn listens(&self) -> bool {
        self.inner.borrow().listens
    }
}

impl Inner {
    pub(crate) fn schedule(&mut self, at_ns: u64, connection: usize, action: Action) {
        self.actions_scheduled += 1;
        self.actions.insert((at_ns.max(self.clock.get()), self.actions_scheduled), (connection, action));
    }

    /// A call of the server had an effect, and took `took_ns`.
    pub(crate) fn record_call(&mut self, took_ns: u64) {
        self.is_active = true;
        self.clock.set(self.clock.get() + took_ns);
    }

    /// The time of the next action.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.actions.first_key_value().map(|((at_ns, _), _)| *at_ns)
    }

    /// Performs all actions that are due, in order of their times.
    pub(crate) fn run_due_actions(&mut self) {
        self.update_touched();
        while let Some(entry) = self.actions.first_entry().filter(|entry| entry.key().0 <= self.clock.get()) {
            let ((at_ns, _), (connection, action)) = entry.remove_entry();
            self.is_active = true;
            self.perform(at_ns, connection, action);
            self.update_touched();
        }
    }

    fn perform(&mut self, at_ns: u64, connection: usize, action: Action) {
        match action {
            Action::Wake => return,
            Action::Signal => return self.pending.push_back(PendingEvent::Signal),
            Action::Connect => return self.connect(connection),
            Action::HandOver => return self.hand_over(connection),
            Action::Reset => _ = self.held_back.remove(&connection),
            _ => self.hand_over(connection),
        }
        let client = &mut self.connections[connection];
        match action {
            Action::Send(bytes) => client.unsent.extend(bytes),
            Action::Urgent => client.mark_urgent(),
            Action::HalfClose => client.eof_unsent = true,
            Action::Close => client.close(),
            Action::Reset => client.reset(),
            Action::RefuseSends(count) => client.sends_refused = count,
            Action::SendsAgain => return self.notify(connection),
            Action::ReadMode(read_mode) => {
                client.read_mode = read_mode;
                self.schedule_read_step(connection, at_ns);
            }
            Action::ReadStep => {
                client.read_step(at_ns);
                self.schedule_read_step(connection, at_ns);
            }
            Action::Wake | Action::Signal | Action::Connect | Action::HandOver => {}
        }
        if self.connections[connection].is_reset {
            self.notify(connection);
        }
        self.touched.push(connection);
    }

    fn schedule_read_step(&mut self, connection: usize, at_ns: u64) {
        let client = &self.connections[connection];
        if let ReadMode::Steps { every_ns, .. } = client.read_mode
            && !client.is_gone()
        {
            self.schedule(at_ns + every_ns, connection, Action::ReadStep);
        }
    }

    fn connect(&mut self, connection: usize) {
        let listener = self.connections[connection].listener;
        if let Some(waiting) = self.waiting.as_mut().filter(|_| self.settings.inherited().contains(&listener)) {
            waiting.push(connection);
        } else if !self.listens && listener >= self.settings.admin_listeners {
            self.connections[connection].reset();
        } else {
            self.held_back.insert(connection);
            match self.settings.holds_back && listener >= self.settings.admin_listeners {
                true => self.schedule(self.clock.get() + HELD_BACK_NS, connection, Action::HandOver),
                false => self.hand_over(connection),
            }
        }
    }

    /// Puts a connection into the backlog, if it was held back.
    fn hand_over(&mut self, connection: usize) {
        if self.held_back.remove(&connection) {
            let listener = self.connections[connection].listener;
            self.backlogs[listener].push_back(connection);
            self.push_pending(PendingEvent::Listener(listener));
        }
    }

    /// The listeners for clients are closed.
    pub(crate) fn close_listeners(&mut self) {
        self.listens = false;
        let backlogs = self.backlogs.iter_mut().skip(self.settings.admin_listeners);
        let waiting: Vec<usize> =
            backlogs.flat_map(std::mem::take).chain(std::mem::take(&mut self.held_back)).collect();
        for connection in waiting {
            self.connections[connection].reset();
        }
    }

    fn push_pending(&mut self, event: PendingEvent) {
        if !self.pending.contains(&event) {
            self.pending.push_back(event);
        }
    }

    /// Queues a readiness event for a connection, if the server has accepted it.
    pub(crate) fn notify(&mut self, connection: usize) {
        let client = &mut self.connections[connection];
        if client.key.is_some() && !client.is_pending {
            client.is_pending = true;
            self.pending.push_back(PendingEvent::Connection(connection));
        }
    }

    /// Transfers bytes between the buffers of connections that have changed.
    fn update_touched(&mut self) {
        // A client may send its next request: that is an action, so that no connection is touched meanwhile.
        for connection in std::mem::take(&mut self.touched) {
            let now_ns = self.clock.get();
            let client = &mut self.connections[connection];
            let has_input = client.deliver(self.settings.receive_buffer_bytes);
            let has_room = client.read(now_ns, self.settings.send_buffer_bytes);
            if let Some((at_ns, request)) = client.next_request(now_ns) {
                self.schedule(at_ns, connection, Action::Send(request));
            }
            if has_input || has_room {
                self.notify(connection);
            }
        }
    }

    /// The server waits. Fails the test if the loop spins.
    pub(crate) fn record_wait(&mut self) {
        self.waits += 1;
        let now_ns = self.clock.get();
        let is_idle = !self.is_active && self.pending.is_empty() && self.waited_ns == now_ns;
        self.turns_without_progress = if is_idle { self.turns_without_progress + 1 } else { 0 };
        assert!(
            self.turns_without_progress <= TURNS_WITHOUT_PROGRESS_MAX,
            "the loop spins at {} ms",
            now_ns / MILLISECOND
        );
        (self.is_active, self.waited_ns) = (false, now_ns);
        self.blocked_calls = 0;
    }

    /// A call would block. Fails the test if the server repeats such calls instead of waiting for readiness.
    pub(crate) fn record_blocked_call(&mut self) {
        self.blocked_calls += 1;
        assert!(self.blocked_calls < BLOCKED_CALLS_MAX, "the server repeats calls that would block");
    }

    /// The server has closed the connection.
    pub(crate) fn transport_dropped(&mut self, connection: usize) {
        self.open -= 1;
        self.is_active = true;
        let now_ns = self.clock.get();
        self.connections[connection].server_closed(now_ns);
        self.pending.retain(|event| *event != PendingEvent::Connection(connection));
        self.touched.push(connection);
    }

    /// The server sends the start of `segment`. Returns the number of bytes that fit; `None` if the send buffer is full.
    pub(crate) fn send(&mut self, connection: usize, segment: Segment) -> Option<u64> {
        let client = &mut self.connections[connection];
        let room = self.settings.send_buffer_bytes.saturating_sub(client.buffered);
        if room > 0 && client.sends_refused > 0 {
            client.sends_refused -= 1;
            self.schedule(self.clock.get() + MILLISECOND, connection, Action::SendsAgain);
            self.record_blocked_call();
            return None;
        }
        if room == 0 {
            client.wants_room = true;
            self.record_blocked_call();
            return None;
        }
        let bytes = segment.bytes().min(room);
        client.push(segment.start(bytes), self.clock.get());
        self.touched.push(connection);
        Some(bytes)
    }
}
