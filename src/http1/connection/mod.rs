//! One connection, without its socket: what it is handed, and what it hands out. `process.rs` interprets what was received;
//! `timeouts.rs` says how long for, with the named timers of `timers.rs`; `record.rs` tells what happened.

mod process;
mod record;
mod state;
mod timeouts;
mod timers;

pub use self::process::Step;
use self::record::PendingRecords;
pub use self::record::Records;
use self::state::{Draining, State};
pub use self::timeouts::Evictable;
use self::timers::{Timer, Timers};
use super::framing::Framing;
use super::limits::{DRAIN_BYTES_MAX, RECEIVE_BUFFER_BYTES};
use super::message_head::HeadParser;
use super::receive_buffer::ReceiveBuffer;
use super::send_queue::{SendQueue, Transmit};
use super::shared::Shared;
use crate::semantics::Now;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::{Service, Source};

/// The state of one connection, without its socket.
pub struct Connection<S: Service> {
    state: State<S::Sink>,
    input: ReceiveBuffer,
    output: SendQueue<S::Source>,
    timers: Timers,
    /// When something was last sent, or was queued while nothing else was; before that, when the connection was accepted.
    send_progress_ns: u64,
    /// Each connection of a run has its own.
    number: u64,
    /// Exchanges that have not ended; `None` where nobody reads records.
    records: Option<Box<PendingRecords>>,
    peer_has_ended: bool,
    has_received: bool,
    empty_line_skipped: bool,
    /// Whether the server is ending: every further response is the connection's last.
    shutting_down: bool,
}

impl<S: Service> Connection<S> {
    /// A connection that has just been accepted. `number` names it in records and in the log.
    pub fn new(number: u64, shared: &Shared, now: &Now) -> Connection<S> {
        let mut timers = Timers::stopped();
        timers.set(Timer::Idle, now.monotonic_ns.saturating_add(shared.settings.idle_timeout_ns));
        Connection {
            state: State::Head(HeadParser::default()),
            input: ReceiveBuffer::default(),
            output: SendQueue::default(),
            timers,
            send_progress_ns: now.monotonic_ns,
            number,
            records: shared.records.enabled.then(Box::default),
            peer_has_ended: false,
            has_received: false,
            empty_line_skipped: false,
            shutting_down: false,
        }
    }

    // What is received.

    /// Whether received bytes are of use now.
    pub fn wants_input(&self) -> bool {
        let is_done = match &self.state {
            State::Draining(draining) => draining.bytes > DRAIN_BYTES_MAX,
            State::Closed => true,
            State::Head(_) | State::Content(_) => false,
        };
        !is_done && !self.peer_has_ended && self.input.spare_capacity() > 0
    }

    /// Room to receive into. Empty only if [`wants_input`](Connection::wants_input) is false.
    pub fn input_space(&mut self, shared: &mut Shared) -> &mut [u8] {
        let bytes_max = self.bytes_to_boundary();
        self.input.spare_capacity_mut(bytes_max, &mut shared.pool)
    }

    /// Content of announced length is received so that its pieces end where whole buffers of it would: written to a file,
    /// each then fills whole pages. A piece that begins in the middle of one costs a file system half as much again.
    fn bytes_to_boundary(&self) -> usize {
        match &self.state {
            State::Content(content) if self.input.is_empty() && content.framing.content != Framing::Chunked => {
                RECEIVE_BUFFER_BYTES - (content.bytes % RECEIVE_BUFFER_BYTES as u64) as usize
            }
            _ => usize::MAX,
        }
    }

    /// The first `bytes` of the space have been received.
    pub fn received(&mut self, bytes: usize) {
        self.has_received |= bytes > 0;
        self.input.received(bytes);
    }

    /// The client will send nothing more.
    pub fn received_eof(&mut self) {
        self.peer_has_ended = true;
    }

    // What is sent.

    /// What is to be sent next: bytes, then one source, then the end.
    pub fn transmit(&mut self) -> Option<Transmit<'_, <S::Source as Source>::File>> {
        match self.state {
            State::Closed => None,
            _ => self.output.transmit(),
        }
    }

    /// Whether what is sent next comes from a source, which may have to wait for the disk.
    pub fn sends_from_source(&self) -> bool {
        self.output.has_source()
    }

    /// Whether nothing but the end of the connection tells the client that the content is complete, so that a connection
    /// that is closed before would pass for that end (RFC 9112 §8).
    pub fn content_is_close_delimited(&self) -> bool {
        self.output.is_close_delimited()
    }

    /// The first `bytes` of what [`transmit`](Connection::transmit) gave have been sent.
    pub fn transmitted(&mut self, bytes: u64, shared: &mut Shared, now: &Now) {
        self.output.transmitted(bytes);
        if let Some(records) = &mut self.records {
            let (queued, has_source) = (self.output.queued_bytes(), self.output.has_source());
            records.sent(bytes, queued, has_source, &mut shared.records, now);
        }
        self.send_progressed(shared, now);
    }

    /// The writing side has been shut, as [`Transmit::End`] asked.
    pub fn end_transmitted(&mut self, shared: &mut Shared, now: &Now) {
        self.output.end_transmitted();
        // Content of unknown length that an HTTP/1.0 client was sent is complete with the end.
        if let Some(records) = &mut self.records {
            records.sent(0, 0, false, &mut shared.records, now);
        }
        self.timers.stop(Timer::WriteStall);
        self.drain(now);
    }

    // How it ends.

    /// The server is ending: the next response is the last one, and no request is waited for longer than a second.
    pub fn begin_shutdown(&mut self, now: &Now) {
        self.shutting_down = true;
        self.shorten_waits(now);
    }

    /// Whether a response is being made or sent, or an upload received: what an orderly end waits for.
    pub fn is_responding(&self) -> bool {
        match &self.state {
            State::Head(_) | State::Draining(_) => self.output.is_pending(),
            State::Content(_) => true,
            State::Closed => false,
        }
    }

    /// The socket is lost, or is to be closed as `ending` says. What has not been sent by now never will be.
    pub fn close(&mut self, outcome: Outcome, shared: &mut Shared, now: &Now) {
        if let Some(records) = &mut self.records {
            if let State::Content(content) = &self.state {
                records.content_received(content.bytes);
            }
            records.lose(outcome, &mut shared.records, now);
        }
        self.state = State::Closed;
        self.timers.stop_all();
        self.input.consume_content();
        self.input.consume_all();
    }

    /// Gives back memory in which nothing waits. To be called when the connection goes idle, behind
    /// [`flush_content`](Connection::flush_content).
    pub fn release_idle_memory(&mut self, shared: &mut Shared) {
        self.input.release(&mut shared.pool);
        self.output.release_if_empty(&mut shared.pool);
        if let Some(records) = &mut self.records {
            records.release_idle_memory();
        }
    }

    /// Bytes of memory that the connection's buffers hold, used or not. [`limits`](super::limits) bounds them, whatever the
    /// client does.
    pub fn memory_bytes(&self) -> usize {
        self.input.memory_bytes() + self.output.memory_bytes()
    }

    /// Bytes of memory that the receive buffer holds while content is received.
    pub fn content_buffer_bytes(&self) -> usize {
        match &self.state {
            State::Content(_) => self.input.memory_bytes(),
            State::Head(_) | State::Draining(_) | State::Closed => 0,
        }
    }

    /// Whether the socket may be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// The number that the connection was made with.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the connection is doing, in the words of the debug log.
    pub fn activity(&self) -> &'static str {
        match &self.state {
            State::Content(_) => "reading the content",
            State::Draining(_) if self.output.has_ended() => "draining",
            State::Draining(_) => "writing the response",
            State::Closed => "closed",
            State::Head(head) if !head.is_empty() => "reading the head",
            State::Head(_) if self.output.is_pending() => "writing the response",
            State::Head(_) => "waiting for a request",
        }
    }

    fn begin_draining(&mut self) -> State<S::Sink> {
        self.output.end();
        State::Draining(Draining::default())
    }
}
