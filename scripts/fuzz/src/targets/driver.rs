//! Drives a connection as the server's loop does, with a simulated socket and clock that follow a plan. Checks the
//! connection's invariants after each event.

use std::mem::size_of;

use spindle::http1::limits::{FIELD_LINES_MAX, OUTPUT_BUFFER_BYTES, RECEIVE_BUFFER_BYTES};
use spindle::http1::{Connection, Shared, Step, Transmit};
use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::exchange_record::Outcome;
use spindle::semantics::fields::FieldSpan;
use spindle::semantics::service::{Service, Source};

use super::plan::{Event, Plan};

/// The most memory for a connection's input: the bytes, and the positions of the head's field lines in them.
const INPUT_MEMORY_BYTES_MAX: usize = RECEIVE_BUFFER_BYTES + FIELD_LINES_MAX * size_of::<FieldSpan>();

/// The time at which each connection begins, in nanoseconds since 1970.
pub(super) const UNIX_NS: u64 = 784_111_777_000_000_000;

/// More than the longest listing of a run needs.
const PENDING_MAX: usize = 10_000;

/// A plan stops after so many events, and the rest is transferred at once.
const EVENTS_MAX: usize = 20_000;

/// The most bytes of a file that are sent at once.
const FILE_BYTES_AT_ONCE: usize = 64 * 1024;

/// A service that counts its calls.
pub(super) trait CountingService: Service {
    /// How many requests have reached the service.
    fn calls(&self) -> usize;

    /// Reads the next bytes of a range of a file, at least one. `None` if the file has become shorter.
    fn read(file: &<Self::Source as Source>::File, space: &mut [u8]) -> Option<usize>;
}

/// What happened on one connection.
#[derive(Default)]
pub(super) struct Transcript {
    /// All bytes that the connection sent.
    pub(super) sent: Vec<u8>,
    /// How many requests reached the service.
    pub(super) requests: usize,
    /// How many bytes of the stream the connection received.
    pub(super) received: usize,
    /// Whether a deadline expired.
    pub(super) timed_out: bool,
    /// How many requests had reached the service when graceful shutdown began; `None` if it did not begin.
    pub(super) requests_at_shutdown: Option<usize>,
    /// Whether the connection half-closed.
    pub(super) eof_sent: bool,
    /// Whether it did so before the client half-closed.
    pub(super) eof_sent_before_clients: bool,
    /// Whether the connection was closed early, because the content of a response could not be completed.
    pub(super) aborted: bool,
}

/// Runs a connection of `client` until it is closed: repeats `plan` until `stream` has been received, then transfers
/// the rest at once.
pub(super) fn run_connection<S: CountingService>(
    client: Client,
    stream: &[u8],
    plan: &Plan,
    service: &mut S,
    shared: &mut Shared,
) -> Transcript {
    let mut driver = Driver::new(client, stream, service, shared);
    let mut events = plan.events.iter().cycle().take(EVENTS_MAX);
    // A plan without input makes no progress however often it is repeated.
    let arrives = |event: &Event| matches!(event, Event::Receive(_) | Event::HalfClose);
    let mut events_left = if plan.events.iter().any(arrives) { usize::MAX } else { plan.events.len() };
    while events_left > 0
        && !driver.is_done()
        && let Some(event) = events.next()
    {
        driver.apply(*event);
        events_left -= 1;
    }
    driver.finish();
    driver.transcript
}

struct Driver<'a, S: CountingService> {
    connection: Connection<S>,
    service: &'a mut S,
    /// How many requests had reached the service before this connection.
    calls_before: usize,
    shared: &'a mut Shared,
    now: Now,
    stream: &'a [u8],
    client_has_half_closed: bool,
    steps: usize,
    /// How often a source had no bytes yet.
    pending: usize,
    transcript: Transcript,
}

impl<'a, S: CountingService> Driver<'a, S> {
    fn new(client: Client, stream: &'a [u8], service: &'a mut S, shared: &'a mut Shared) -> Driver<'a, S> {
        let now = Now { monotonic_ns: 1, unix_ns: UNIX_NS };
        Driver {
            connection: Connection::new(client, 0, shared, &now),
            calls_before: service.calls(),
            service,
            shared,
            now,
            stream,
            client_has_half_closed: false,
            steps: 0,
            pending: 0,
            transcript: Transcript::default(),
        }
    }

    fn requests(&self) -> usize {
        self.service.calls() - self.calls_before
    }

    /// Whether the rest of the plan can have no effect on the input.
    fn is_done(&self) -> bool {
        self.connection.is_closed() || self.client_has_half_closed || self.transcript.received == self.stream.len()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Receive(bytes_max) => self.receive(bytes_max),
            Event::Send(bytes_max) => self.send(bytes_max),
            Event::Wait(ns) => self.advance_clock(ns),
            Event::Blocked(send_buffer_bytes) => self.connection.write_blocked(send_buffer_bytes),
            Event::Idle => self.go_idle(),
            Event::Shutdown => {
                self.transcript.requests_at_shutdown.get_or_insert(self.service.calls() - self.calls_before);
                self.connection.begin_shutdown(&self.now);
                self.advance_clock(0);
            }
            Event::HalfClose => self.half_close(),
        }
        self.process_until_idle();
    }

    fn receive(&mut self, bytes_max: usize) {
        if !self.connection.wants_input() {
            return;
        }
        let space = self.connection.input_space(self.shared, &self.now);
        assert!(!space.is_empty(), "a connection that wants input has room for it");
        let bytes = bytes_max.min(space.len()).min(self.stream.len() - self.transcript.received);
        space[..bytes].copy_from_slice(&self.stream[self.transcript.received..][..bytes]);
        self.transcript.received += bytes;
        self.connection.received(bytes, &self.now);
    }

    fn half_close(&mut self) {
        self.client_has_half_closed = true;
        self.transcript.eof_sent_before_clients = self.transcript.eof_sent;
        self.connection.received_eof();
    }

    fn send(&mut self, bytes_max: usize) {
        let mut space = Vec::new();
        let sent = match self.connection.transmit(&self.now) {
            None => return,
            Some(Transmit::Bytes { bytes, .. }) => bytes,
            Some(Transmit::File { file, bytes_max: file_bytes_max }) => {
                let file_bytes_max = usize::try_from(file_bytes_max).unwrap_or(usize::MAX);
                space.resize(file_bytes_max.min(bytes_max).min(FILE_BYTES_AT_ONCE), 0);
                let Some(bytes) = S::read(file, &mut space) else { return self.abort() };
                &space[..bytes]
            }
            Some(Transmit::Pending) => {
                self.pending += 1;
                assert!(self.pending <= PENDING_MAX, "a source is pending a limited number of times");
                return self.connection.transmitted(0, self.shared, &self.now);
            }
            Some(Transmit::NotInMemory) => panic!("what was just written is in memory"),
            Some(Transmit::Abort) => return self.abort(),
            Some(Transmit::End) => {
                assert!(!self.transcript.eof_sent, "the connection half-closes once");
                self.transcript.eof_sent = true;
                self.connection.end_transmitted(self.shared, &self.now);
                return;
            }
        };
        assert!(!sent.is_empty(), "the connection offers bytes to send");
        assert!(!self.transcript.eof_sent, "nothing is sent after the half-close");
        let sent = &sent[..bytes_max.min(sent.len())];
        self.transcript.sent.extend_from_slice(sent);
        let bytes = sent.len() as u64;
        self.connection.transmitted(bytes, self.shared, &self.now);
    }

    /// Does what the loop does if a response cannot be completed.
    fn abort(&mut self) {
        self.transcript.aborted = true;
        self.connection.close(Outcome::CutOff, self.shared, &self.now);
    }

    /// Advances the clock, and expires a deadline that has passed. With 0, expires one that graceful shutdown has
    /// shortened.
    fn advance_clock(&mut self, ns: u64) {
        self.now.monotonic_ns = self.now.monotonic_ns.saturating_add(ns);
        if self.connection.deadline_ns() > self.now.monotonic_ns {
            return;
        }
        self.transcript.timed_out = true;
        self.connection.expire(self.now.monotonic_ns, self.shared, &self.now);
        assert!(self.connection.deadline_ns() > self.now.monotonic_ns, "expiring a deadline removes or postpones it");
    }

    /// Does what the loop does when a connection makes no progress.
    fn go_idle(&mut self) {
        while self.connection.flush_content(self.shared, &self.now) != Step::Idle {
            self.process_until_idle();
        }
        self.connection.release_idle_memory(self.shared);
    }

    /// Processes until the connection makes no progress.
    fn process_until_idle(&mut self) {
        loop {
            let requests = self.requests();
            let step = self.connection.process(self.service, self.shared, &self.now);
            assert!(self.requests() <= requests + 1, "a step calls the service at most once");
            match step {
                Step::Idle => break,
                Step::Progress | Step::SlowProgress => {}
                // The loop does this at the end of the turn, and the connection makes no progress before.
                Step::Deferred(commit) => {
                    assert!(self.connection.is_committing() && !self.connection.wants_input());
                    for ((), response) in self.service.commit(vec![((), *commit)], &self.now) {
                        self.connection.committed(response, self.shared, &self.now);
                    }
                }
            }
            self.steps += 1;
            assert!(
                self.steps <= 3 * self.transcript.received + 16,
                "each step with progress consumes input, so the number of steps is limited"
            );
        }
        self.check_invariants();
    }

    fn check_invariants(&mut self) {
        let memory_bytes = self.connection.memory_bytes();
        assert!(
            memory_bytes <= INPUT_MEMORY_BYTES_MAX + OUTPUT_BUFFER_BYTES,
            "a connection uses no more memory than its buffers: {memory_bytes} bytes"
        );
        if self.connection.is_closed() {
            assert!(self.connection.transmit(&self.now).is_none(), "a closed connection sends nothing");
            assert_eq!(self.connection.deadline_ns(), u64::MAX, "a closed connection has no deadline");
            return;
        }
        assert!(
            self.connection.wants_input() || self.connection.transmit(&self.now).is_some(),
            "an open connection waits for input or has output"
        );
        let deadline_ns = self.connection.deadline_ns();
        assert_ne!(deadline_ns, u64::MAX, "an open connection has a deadline");
        assert!(deadline_ns > self.now.monotonic_ns, "a deadline is in the future");
    }

    /// Transfers the rest in both directions, and half-closes the client's side.
    fn finish(&mut self) {
        self.process_until_idle();
        while !self.connection.is_closed() {
            let (received, had_half_closed) = (self.transcript.received, self.client_has_half_closed);
            self.send_everything();
            if received < self.stream.len() && !had_half_closed {
                self.apply(Event::Receive(usize::MAX));
            } else if !had_half_closed {
                // A connection that waits for its client goes idle, and then the sink gets what has arrived.
                self.go_idle();
                self.send_everything();
                self.apply(Event::HalfClose);
            }
            assert!(
                self.connection.is_closed()
                    || self.transcript.received > received
                    || self.client_has_half_closed != had_half_closed,
                "a connection closes once its client has read everything and half-closed"
            );
        }
        self.go_idle();
        self.transcript.requests = self.requests();
    }

    fn send_everything(&mut self) {
        while self.connection.transmit(&self.now).is_some() {
            let before = (self.transcript.sent.len(), self.transcript.eof_sent, self.pending);
            self.apply(Event::Send(usize::MAX));
            assert!(
                (self.transcript.sent.len(), self.transcript.eof_sent, self.pending) != before
                    || self.connection.is_closed(),
                "sending makes progress"
            );
        }
    }
}
