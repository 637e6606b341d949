//! One connection, without its socket: what it is handed, and what it hands out. `step.rs` makes sense of what was
//! received, and `waiting.rs` knows for how long.

mod log_entry;
mod phase;
mod step;
mod waiting;

use log::debug;

use self::phase::{Draining, Phase};
pub use self::step::Step;
use super::commons::Commons;
use super::limits::{DRAIN_OCTETS_MAX, RECEIVE_BUFFER_OCTETS};
use super::message_head::MessageHead;
use super::output::{Output, Transmit};
use super::receive_buffer::ReceiveBuffer;
use crate::semantics::Now;
use crate::semantics::service::Service;

/// The state of one connection, without its socket.
pub struct Connection<S: Service> {
    phase: Phase<S::Sink>,
    input: ReceiveBuffer,
    output: Output<S::Source>,
    /// What the phase's waiting is counted from: the end of the last answer, the first octet of a head, the start of
    /// content, the last octet drained.
    since_ns: u64,
    /// When something was last sent, or last became owed.
    progress_ns: u64,
    /// How much longer than usual the peer may show no progress, because of what its send buffer holds.
    stall_allowance_ns: u64,
    /// What the log calls the connection.
    number: u32,
    peer_has_ended: bool,
    empty_line_skipped: bool,
    /// Whether the server is shutting down: every further answer is the connection's last.
    finishing: bool,
}

impl<S: Service> Connection<S> {
    /// A connection that has just been accepted. `number` names it in the log.
    pub fn new(number: u32, now: &Now) -> Connection<S> {
        Connection {
            phase: Phase::Head(MessageHead::default()),
            input: ReceiveBuffer::default(),
            output: Output::default(),
            since_ns: now.monotonic_ns,
            progress_ns: now.monotonic_ns,
            stall_allowance_ns: 0,
            number,
            peer_has_ended: false,
            empty_line_skipped: false,
            finishing: false,
        }
    }

    // What is received.

    /// Whether received octets are of use now.
    pub fn wants_input(&self) -> bool {
        let is_done = match &self.phase {
            Phase::Draining(draining) => draining.octets > DRAIN_OCTETS_MAX,
            Phase::Closed => true,
            Phase::Head(_) | Phase::Content(_) => false,
        };
        !is_done && !self.peer_has_ended && !self.input.is_full()
    }

    /// Room to receive into. Empty only if [`wants_input`](Connection::wants_input) is false.
    pub fn input_space(&mut self, commons: &mut Commons) -> &mut [u8] {
        let octets_max = self.octets_to_next_boundary();
        let space = self.input.space(&mut commons.pool);
        let octets = space.len().min(octets_max);
        &mut space[..octets]
    }

    /// Content is received so that its pieces end where whole buffers of it would: written to a file, each then fills whole
    /// pages. A piece that begins in the midst of one costs a file system half as much again.
    fn octets_to_next_boundary(&self) -> usize {
        match &self.phase {
            Phase::Content(receiving) if self.input.is_empty() => {
                RECEIVE_BUFFER_OCTETS - (receiving.octets % RECEIVE_BUFFER_OCTETS as u64) as usize
            }
            _ => usize::MAX,
        }
    }

    /// The first `octets` of the space have been received.
    pub fn received(&mut self, octets: usize) {
        self.input.received(octets);
    }

    /// The peer will send nothing more.
    pub fn received_eof(&mut self) {
        self.peer_has_ended = true;
    }

    // What is sent.

    /// What is to be sent next: octets, then one source, then the end.
    pub fn transmit(&self) -> Option<Transmit<'_, S::Source>> {
        match self.phase {
            Phase::Closed => None,
            _ => self.output.transmit(),
        }
    }

    /// The first `octets` of what [`transmit`](Connection::transmit) gave have been sent.
    pub fn transmitted(&mut self, octets: u64, now: &Now) {
        self.output.transmitted(octets);
        self.progress_ns = now.monotonic_ns;
        self.stall_allowance_ns = 0;
        // Whatever waits behind the answer, an empty line say, has not been looked at, and began no request.
        if !self.output.is_pending() && matches!(&self.phase, Phase::Head(head) if head.is_empty()) {
            self.since_ns = now.monotonic_ns;
            self.tell("kept alive");
        }
    }

    /// The writing side has been shut, as [`Transmit::End`] asked.
    pub fn end_transmitted(&mut self, now: &Now) {
        self.output.end_transmitted();
        self.since_ns = now.monotonic_ns;
        if let Phase::Draining(draining) = &mut self.phase {
            draining.ended_ns = now.monotonic_ns;
            self.tell("draining");
        }
    }

    // How it ends.

    /// The server is shutting down: a connection without work is closed, and any other after its next answer.
    pub fn finish(&mut self) {
        self.finishing = true;
        if self.is_between_requests() {
            if self.output.is_pending() {
                self.end();
            } else {
                self.close();
            }
        }
    }

    /// Nothing more will be answered: what is owed is sent, and what still comes is drained.
    fn end(&mut self) {
        self.output.end();
        self.phase = Phase::Draining(Draining::default());
    }

    fn close(&mut self) {
        self.tell("closed");
        self.phase = Phase::Closed;
    }

    /// Whether no octet of a further request has been received.
    fn is_between_requests(&self) -> bool {
        matches!(&self.phase, Phase::Head(head) if head.is_empty()) && self.input.is_empty()
    }

    /// Gives back memory in which nothing waits. To be called when the connection is left alone for a while.
    pub fn release_idle_memory(&mut self, commons: &mut Commons) {
        self.input.park(&mut commons.pool);
        self.output.release_if_empty(&mut commons.pool);
    }

    /// Octets of memory that the connection's buffers hold, used or not. [`limits`](super::limits) bounds them, whatever
    /// the peer does.
    pub fn memory_octets(&self) -> usize {
        self.input.memory_octets() + self.output.memory_octets()
    }

    /// Whether the socket may be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    fn tell(&self, state: &str) {
        debug!("connection {}: {state}", self.number);
    }
}
