//! A connection and a socket that does what a plan says. It keeps the connection's contract as the server's loop does, and
//! checks after each event what must hold at rest.

use std::mem::size_of;

use spindle::http1::limits::{FIELD_LINES_MAX, OUTPUT_BUFFER_BYTES, RECEIVE_BUFFER_BYTES};
use spindle::http1::{Connection, Shared, Step, Transmit};
use spindle::semantics::Now;
use spindle::semantics::fields::FieldSpan;

use super::plan::{Event, Plan};
use super::service::{Asked, Numbered};

/// What a connection's input may hold: the bytes, and where the lines of a head stand in them.
const INPUT_MEMORY_BYTES_MAX: usize = RECEIVE_BUFFER_BYTES + FIELD_LINES_MAX * size_of::<FieldSpan>();

/// A plan that goes round for so long is cut short: the rest moves at once.
const EVENTS_MAX: usize = 20_000;

/// What came of one connection.
pub(super) struct Outcome {
    /// All bytes that it sent.
    pub(super) sent: Vec<u8>,
    /// The requests that it asked about.
    pub(super) asked: Vec<Asked>,
    /// How many bytes of the stream it was given.
    pub(super) received: usize,
    /// Whether it ran into a deadline.
    pub(super) timed_out: bool,
    /// Whether the server's end was announced to it, and if so how many questions it had asked by then.
    pub(super) asked_when_finished: Option<usize>,
    /// Whether it told the socket to end the writing side.
    pub(super) ended: bool,
    /// Whether it did so before the peer ended its side.
    pub(super) ended_first: bool,
}

/// Lets a connection live from its start to its end: `plan` happens, over and over, until `stream` has been received,
/// and then whatever is left moves at once.
pub(super) fn live(stream: &[u8], plan: &Plan, shared: &mut Shared) -> Outcome {
    let mut driver = Driver::new(stream, shared);
    let mut events = plan.events.iter().cycle().take(EVENTS_MAX);
    // A plan in which nothing arrives would only go round in vain.
    let arrives = |event: &Event| matches!(event, Event::Receive(_) | Event::PeerEnds);
    let mut events_left = if plan.events.iter().any(arrives) { usize::MAX } else { plan.events.len() };
    while events_left > 0
        && !driver.is_done()
        && let Some(event) = events.next()
    {
        driver.happen(*event);
        events_left -= 1;
    }
    driver.move_the_rest();
    driver.outcome
}

struct Driver<'a> {
    connection: Connection<Numbered>,
    service: Numbered,
    shared: &'a mut Shared,
    now: Now,
    stream: &'a [u8],
    peer_has_ended: bool,
    steps: usize,
    outcome: Outcome,
}

impl<'a> Driver<'a> {
    fn new(stream: &'a [u8], shared: &'a mut Shared) -> Driver<'a> {
        let now = Now { monotonic_ns: 1, unix_ns: 784_111_777_000_000_000 };
        Driver {
            connection: Connection::new(0, shared, &now),
            service: Numbered::new(),
            shared,
            now,
            stream,
            peer_has_ended: false,
            steps: 0,
            outcome: Outcome {
                sent: Vec::new(),
                asked: Vec::new(),
                received: 0,
                timed_out: false,
                asked_when_finished: None,
                ended: false,
                ended_first: false,
            },
        }
    }

    /// Whether the plan has nothing left to disturb.
    fn is_done(&self) -> bool {
        self.connection.is_closed() || self.peer_has_ended || self.outcome.received == self.stream.len()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Receive(bytes_max) => self.receive(bytes_max),
            Event::Send(bytes_max) => self.send(bytes_max),
            Event::Wait(ns) => self.wait(ns),
            Event::Blocked(send_buffer_bytes) => self.connection.write_blocked(send_buffer_bytes),
            Event::Park => self.go_idle(),
            Event::Shutdown => {
                self.outcome.asked_when_finished.get_or_insert(self.service.asked.len());
                self.connection.begin_shutdown(&self.now);
                self.wait(0);
            }
            Event::PeerEnds => self.peer_ends(),
        }
        self.settle();
    }

    fn receive(&mut self, bytes_max: usize) {
        if !self.connection.wants_input() {
            return;
        }
        let space = self.connection.input_space(self.shared);
        assert!(!space.is_empty(), "a connection that wants input has room for it");
        let bytes = bytes_max.min(space.len()).min(self.stream.len() - self.outcome.received);
        space[..bytes].copy_from_slice(&self.stream[self.outcome.received..][..bytes]);
        self.outcome.received += bytes;
        self.connection.received(bytes);
    }

    fn peer_ends(&mut self) {
        self.peer_has_ended = true;
        self.outcome.ended_first = self.outcome.ended;
        self.connection.received_eof();
    }

    fn send(&mut self, bytes_max: usize) {
        let sent = match self.connection.transmit() {
            None => return,
            Some(Transmit::Bytes { bytes, .. }) => bytes,
            Some(Transmit::File { file, .. }) => match *file {},
            Some(Transmit::Pending) => panic!("no source is at work here"),
            Some(Transmit::Abort) => panic!("no source fails here"),
            Some(Transmit::End) => {
                assert!(!self.outcome.ended, "the end is sent once");
                self.outcome.ended = true;
                self.connection.end_transmitted(self.shared, &self.now);
                return;
            }
        };
        assert!(!sent.is_empty(), "what is to be sent has bytes");
        assert!(!self.outcome.ended, "nothing is sent behind the end");
        let sent = &sent[..bytes_max.min(sent.len())];
        self.outcome.sent.extend_from_slice(sent);
        let bytes = sent.len() as u64;
        self.connection.transmitted(bytes, self.shared, &self.now);
    }

    /// Lets time pass; none of it after what makes a wait that has begun a shorter one.
    fn wait(&mut self, ns: u64) {
        self.now.monotonic_ns = self.now.monotonic_ns.saturating_add(ns);
        if self.connection.deadline_ns() > self.now.monotonic_ns {
            return;
        }
        self.outcome.timed_out = true;
        self.connection.expire(self.now.monotonic_ns, self.shared, &self.now);
        assert!(
            self.connection.deadline_ns() > self.now.monotonic_ns,
            "a deadline that has passed is dealt with, and does not pass again at once"
        );
    }

    /// What the loop does when the connection can make no progress.
    fn go_idle(&mut self) {
        while self.connection.flush_content(self.shared, &self.now) != Step::Idle {
            self.settle();
        }
        self.connection.release_idle_memory(self.shared);
    }

    /// Lets the connection think until nothing moves.
    fn settle(&mut self) {
        loop {
            let asked = self.service.asked.len();
            let step = self.connection.process(&mut self.service, self.shared, &self.now);
            assert!(self.service.asked.len() <= asked + 1, "a step asks at most one question");
            if step == Step::Idle {
                break;
            }
            self.steps += 1;
            assert!(
                self.steps <= 3 * self.outcome.received + 16,
                "a step that moves has used bytes, so that thinking comes to an end"
            );
        }
        self.check_at_rest();
    }

    fn check_at_rest(&mut self) {
        let memory_bytes = self.connection.memory_bytes();
        assert!(
            memory_bytes <= INPUT_MEMORY_BYTES_MAX + OUTPUT_BUFFER_BYTES,
            "a connection holds no more than its buffers: {memory_bytes} bytes"
        );
        if self.connection.is_closed() {
            assert!(self.connection.transmit().is_none(), "a closed connection sends nothing");
            assert_eq!(self.connection.deadline_ns(), u64::MAX, "a closed connection has no deadline");
            return;
        }
        assert!(
            self.connection.wants_input() || self.connection.transmit().is_some(),
            "a connection that is open waits for bytes or has some to send"
        );
        let deadline_ns = self.connection.deadline_ns();
        assert_ne!(deadline_ns, u64::MAX, "every wait has a deadline");
        assert!(deadline_ns > self.now.monotonic_ns, "no wait is over before it begins");
    }

    /// Moves what is left in either direction, and ends the peer's side.
    fn move_the_rest(&mut self) {
        self.settle();
        while !self.connection.is_closed() {
            let (received, had_ended) = (self.outcome.received, self.peer_has_ended);
            self.send_everything();
            if received < self.stream.len() && !had_ended {
                self.happen(Event::Receive(usize::MAX));
            } else if !had_ended {
                self.happen(Event::PeerEnds);
            }
            assert!(
                self.connection.is_closed() || self.outcome.received > received || self.peer_has_ended != had_ended,
                "a connection whose peer reads, writes and ends comes to its end"
            );
        }
        self.go_idle();
        self.outcome.asked = std::mem::take(&mut self.service.asked);
    }

    fn send_everything(&mut self) {
        while self.connection.transmit().is_some() {
            let (sent, ended) = (self.outcome.sent.len(), self.outcome.ended);
            self.happen(Event::Send(usize::MAX));
            assert!(self.outcome.sent.len() > sent || self.outcome.ended != ended, "what is to be sent can be sent");
        }
    }
}
