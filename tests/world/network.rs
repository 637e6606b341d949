//! The network of the made-up world: clients that follow scripts, the buffers between them and the server, and what the
//! server is told of them. One clock rules it; nothing happens but by a scheduled action or by a call of the server.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::client::{Line, Peer, Reading, Segment};

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Turns in a row in which nothing happened and no time passed. A deadline that has passed may cost one or two.
const IDLE_TURNS_MAX: u32 = 8;

/// Calls in one turn that would block: one for each connection and direction are to be expected.
const BLOCKED_CALLS_MAX: u32 = 10_000;

/// What the world is made of.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub listeners: usize,
    /// What the server's end of a connection holds of what it has not read, and of what the client has not read.
    pub receive_buffer_bytes: usize,
    pub send_buffer_bytes: u64,
    /// Connections that the server may have open.
    pub descriptors: usize,
    /// How long each call for a connection takes that moves something.
    pub call_ns: u64,
    /// How long the disk takes for a mebibyte of a file.
    pub file_mebibyte_ns: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listeners: 1,
            receive_buffer_bytes: 128 * 1024,
            send_buffer_bytes: 256 * 1024,
            descriptors: usize::MAX,
            call_ns: 0,
            file_mebibyte_ns: 0,
        }
    }
}

/// What happens at a time.
pub(crate) enum Action {
    Connect,
    Send(Vec<u8>),
    /// The byte sent last is urgent: a read stops before it.
    Urgent,
    Reading(Reading),
    /// What a client takes that reads at intervals.
    ReadStep,
    HalfClose,
    Close,
    Reset,
    /// The server is asked to end; no client does it.
    Signal,
    /// The world stops for the test to look at it.
    Look,
}

/// What is to be told by the next wait, in the order in which it happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Line(usize),
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
    actions_begun: u64,
    pub lines: Vec<Line>,
    /// Lines that the server has used since they were looked at.
    pub touched: Vec<usize>,
    /// `None` once they are closed.
    pub backlogs: Option<Vec<VecDeque<usize>>>,
    pub told: VecDeque<Told>,
    pub open: usize,
    pub waits: u64,
    /// Calls to receive and to send, whether or not anything came of them.
    pub calls: u64,
    /// Calls since the last wait of which nothing came.
    blocked_calls: u32,
    pub accept_failures: u32,
    /// Whether anything has happened since the last wait.
    pub is_active: bool,
    pub waited_ns: u64,
    idle_turns: u32,
}

impl Network {
    pub(crate) fn new(settings: Settings) -> Network {
        let clock = Rc::new(Cell::new(0));
        let inner = Inner {
            settings,
            clock: Rc::clone(&clock),
            actions: BTreeMap::new(),
            actions_begun: 0,
            lines: Vec::new(),
            touched: Vec::new(),
            backlogs: Some(vec![VecDeque::new(); settings.listeners]),
            told: VecDeque::new(),
            open: 0,
            waits: 0,
            calls: 0,
            blocked_calls: 0,
            accept_failures: 0,
            is_active: false,
            waited_ns: 0,
            idle_turns: 0,
        };
        Network { clock, inner: Rc::new(RefCell::new(inner)) }
    }

    /// A client that connects to the first listener at `at_ns`.
    pub(crate) fn client(&self, at_ns: u64) -> Peer {
        self.client_of(0, at_ns)
    }

    pub(crate) fn client_of(&self, listener: usize, at_ns: u64) -> Peer {
        let mut inner = self.inner.borrow_mut();
        let line = inner.lines.len();
        inner.lines.push(Line::new(listener));
        inner.schedule(at_ns, line, Action::Connect);
        drop(inner);
        Peer { network: self.clone(), line }
    }

    pub(crate) fn signal(&self, at_ns: u64) {
        self.inner.borrow_mut().schedule(at_ns, usize::MAX, Action::Signal);
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.get()
    }

    /// How often the server has waited so far.
    pub(crate) fn waits(&self) -> u64 {
        self.inner.borrow().waits
    }

    /// How often the server has tried to receive or to send.
    pub(crate) fn calls(&self) -> u64 {
        self.inner.borrow().calls
    }

    pub(crate) fn accept_failures(&self) -> u32 {
        self.inner.borrow().accept_failures
    }

    /// How many connections the server has open.
    pub(crate) fn open(&self) -> usize {
        self.inner.borrow().open
    }

    /// From now on the server may have so many connections open.
    pub(crate) fn set_descriptors(&self, descriptors: usize) {
        self.inner.borrow_mut().settings.descriptors = descriptors;
    }

    pub(crate) fn listens(&self) -> bool {
        self.inner.borrow().backlogs.is_some()
    }
}

impl Inner {
    pub(crate) fn schedule(&mut self, at_ns: u64, line: usize, action: Action) {
        self.actions_begun += 1;
        self.actions.insert((at_ns.max(self.clock.get()), self.actions_begun), (line, action));
    }

    /// A call of the server has done something, and taken its time.
    pub(crate) fn acted(&mut self, took_ns: u64) {
        self.is_active = true;
        self.clock.set(self.clock.get() + took_ns);
    }

    /// When the next action is due.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.actions.first_key_value().map(|((at_ns, _), _)| *at_ns)
    }

    /// Does all that was due by now, in the order of the times.
    pub(crate) fn catch_up(&mut self) {
        self.look_at_touched();
        while let Some(entry) = self.actions.first_entry().filter(|entry| entry.key().0 <= self.clock.get()) {
            let ((at_ns, _), (line, action)) = entry.remove_entry();
            self.is_active = true;
            self.perform(at_ns, line, action);
            self.look_at_touched();
        }
    }

    fn perform(&mut self, at_ns: u64, line: usize, action: Action) {
        match action {
            Action::Look => return,
            Action::Signal => return self.told.push_back(Told::Signal),
            Action::Connect => return self.connect(line),
            _ => {}
        }
        let client = &mut self.lines[line];
        match action {
            Action::Send(bytes) => client.unsent.extend(bytes),
            Action::Urgent => client.mark_urgent(),
            Action::HalfClose => client.end_is_unsent = true,
            Action::Close => client.close(),
            Action::Reset => client.reset(),
            Action::Reading(reading) => {
                client.reading = reading;
                self.read_again(line, at_ns);
            }
            Action::ReadStep => {
                client.read_step(at_ns);
                self.read_again(line, at_ns);
            }
            Action::Look | Action::Signal | Action::Connect => {}
        }
        if self.lines[line].is_reset {
            self.tell(line);
        }
        self.touched.push(line);
    }

    fn read_again(&mut self, line: usize, at_ns: u64) {
        let client = &self.lines[line];
        if let Reading::Steps { every_ns, .. } = client.reading
            && !client.has_left()
        {
            self.schedule(at_ns + every_ns, line, Action::ReadStep);
        }
    }

    fn connect(&mut self, line: usize) {
        let listener = self.lines[line].listener;
        match &mut self.backlogs {
            Some(backlogs) => {
                backlogs[listener].push_back(line);
                self.push_told(Told::Listener(listener));
            }
            None => self.lines[line].reset(),
        }
    }

    fn push_told(&mut self, told: Told) {
        if !self.told.contains(&told) {
            self.told.push_back(told);
        }
    }

    /// Something has happened to a connection that the server is to be told, if it has it by now.
    pub(crate) fn tell(&mut self, line: usize) {
        let client = &mut self.lines[line];
        if client.key.is_some() && !client.is_told {
            client.is_told = true;
            self.told.push_back(Told::Line(line));
        }
    }

    /// Moves what can move between the buffers.
    fn look_at_touched(&mut self) {
        // What is looked at may ask for more, which is an action, and comes later.
        for line in std::mem::take(&mut self.touched) {
            let now_ns = self.clock.get();
            let client = &mut self.lines[line];
            let is_news = client.deliver(self.settings.receive_buffer_bytes);
            let has_room = client.read(now_ns, self.settings.send_buffer_bytes);
            if let Some((at_ns, request)) = client.next_question(now_ns) {
                self.schedule(at_ns, line, Action::Send(request));
            }
            if is_news || has_room {
                self.tell(line);
            }
        }
    }

    /// The server waits: counts what it does to no purpose.
    pub(crate) fn note_wait(&mut self) {
        self.waits += 1;
        let now_ns = self.clock.get();
        let is_idle = !self.is_active && self.told.is_empty() && self.waited_ns == now_ns;
        self.idle_turns = if is_idle { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= IDLE_TURNS_MAX, "the loop spins at {} ms", now_ns / MILLISECOND);
        (self.is_active, self.waited_ns) = (false, now_ns);
        self.blocked_calls = 0;
    }

    /// A call would block. Readiness tells when it would not; to call again and again until then has no end.
    pub(crate) fn note_blocked(&mut self) {
        self.blocked_calls += 1;
        assert!(self.blocked_calls < BLOCKED_CALLS_MAX, "calls that would block are made again and again");
    }

    /// The server has closed its end.
    pub(crate) fn transport_dropped(&mut self, line: usize) {
        self.open -= 1;
        self.is_active = true;
        let now_ns = self.clock.get();
        self.lines[line].server_closed(now_ns);
        self.told.retain(|told| *told != Told::Line(line));
        self.touched.push(line);
    }

    pub(crate) fn send(&mut self, line: usize, segment: Segment) -> Option<u64> {
        let client = &mut self.lines[line];
        let room = self.settings.send_buffer_bytes.saturating_sub(client.buffered);
        if room == 0 {
            client.wants_room = true;
            self.note_blocked();
            return None;
        }
        let bytes = segment.bytes().min(room);
        client.push(segment.start(bytes), self.clock.get());
        self.touched.push(line);
        Some(bytes)
    }
}
