//! One connection, without its socket. This file has what the caller exchanges with it. `process.rs` and
//! `receive_content.rs` interpret received bytes in the states of `state.rs`, `timeouts.rs` decides how long to wait,
//! with the timers of `timers.rs`, `throttle.rs` how fast to receive and to send, `disk_wait.rs` when to send content that
//! is not in memory, and `record.rs` records the exchanges.

mod disk_wait;
mod process;
mod proxy_header;
mod receive_content;
mod record;
mod state;
mod throttle;
mod timeouts;
mod timers;

use self::disk_wait::Pauses;
pub use self::process::Step;
use self::record::PendingRecords;
pub use self::record::Records;
use self::state::{Destination, Draining, State};
pub use self::timeouts::{Activity, Evictable};
use self::timers::{Timer, Timers};
use super::framing::Framing;
use super::limits::{DRAIN_BYTES_MAX, IDLE_BUFFER_BYTES, RECEIVE_BUFFER_BYTES};
use super::message_head::HeadParser;
use super::receive_buffer::ReceiveBuffer;
use super::send_queue::{SendQueue, Transmit};
use super::shared::Shared;
use crate::semantics::Now;
use crate::semantics::client::Client;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};

/// The state of one connection, without its socket.
///
/// The owner of the socket drives it. In each pass it calls
///
/// 1. [`process`](Connection::process) until that returns [`Step::Idle`]; if it returns [`Step::Deferred`], the owner
///    passes the commit to the service later, and the response to [`committed`](Connection::committed),
/// 2. [`transmit`](Connection::transmit), sends what that returns, and reports it by
///    [`transmitted`](Connection::transmitted) or [`end_transmitted`](Connection::end_transmitted),
/// 3. if [`wants_input`](Connection::wants_input), [`input_space`](Connection::input_space), receives into that, and
///    reports it by [`received`](Connection::received) or [`received_eof`](Connection::received_eof).
///
/// After a pass without progress it calls [`flush_content`](Connection::flush_content) and, if that made no progress
/// either, [`release_idle_memory`](Connection::release_idle_memory). When the time of
/// [`deadline_ns`](Connection::deadline_ns) has come, it calls [`expire`](Connection::expire). Once
/// [`is_closed`](Connection::is_closed), it closes the socket.
///
/// It also reports delays that are not the client's fault, so that no timer fires because of them:
/// [`write_blocked`](Connection::write_blocked), [`responded_late`](Connection::responded_late),
/// [`postpone_deadlines`](Connection::postpone_deadlines) and [`extend_deadlines`](Connection::extend_deadlines).
pub struct Connection<S: Service> {
    state: State<S::Sink>,
    input: ReceiveBuffer,
    output: SendQueue<S::Source>,
    timers: Timers,
    /// On the monotonic clock: when bytes were last sent, or the first ones were queued while nothing else was,
    /// whichever was later. At first, when the connection was accepted.
    send_progress_ns: u64,
    /// Unique among the connections of a run.
    number: u64,
    /// The records of exchanges that have not ended; `None` if records are disabled.
    records: Option<Box<PendingRecords>>,
    /// `None` if the rate is not limited, and the connection does not wait for the disk.
    pauses: Option<Box<Pauses>>,
    /// The listener that accepted the connection.
    endpoint: Endpoint,
    input_ended: bool,
    /// Whether the client has ever sent anything. Decides the order of eviction at the connection limit.
    has_received: bool,
    /// Whether an empty line before the current head has been skipped.
    empty_line_skipped: bool,
    /// Whether a response has been queued after which the connection persisted.
    has_persisted: bool,
    /// Whether the server is shutting down: the next response is the connection's last.
    shutting_down: bool,
}

/// What a connection is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InProgress {
    /// A response is being sent, or is held back until the request's content has been read.
    Response,
    /// Content is being received that a route wants, or is being stored.
    Upload,
}

impl<S: Service> Connection<S> {
    /// A connection that has just been accepted from `client`. `number` identifies it in records and in the log.
    pub fn new(client: Client, number: u64, shared: &Shared, now: &Now) -> Connection<S> {
        let records = shared.records.enabled.then(|| Box::new(PendingRecords::new(client, number)));
        let is_from_proxy = shared.settings.proxies.must_send_header(&client);
        Connection::create(Endpoint::Public, number, is_from_proxy, records, shared, now)
    }

    /// A connection that has just been accepted from a listener for the administrator. Its exchanges are not recorded:
    /// regular scrapes would hide what the log is for. It never begins with a PROXY protocol header.
    pub fn new_admin(number: u64, shared: &Shared, now: &Now) -> Connection<S> {
        Connection::create(Endpoint::Admin, number, false, None, shared, now)
    }

    fn create(
        endpoint: Endpoint,
        number: u64,
        is_from_proxy: bool,
        records: Option<Box<PendingRecords>>,
        shared: &Shared,
        now: &Now,
    ) -> Connection<S> {
        let mut timers = Timers::stopped();
        let state = if is_from_proxy {
            timers.set(Timer::Head, now.monotonic_ns.saturating_add(shared.settings.head_timeout_ns));
            State::ProxyHeader
        } else {
            timers.set(Timer::Idle, now.monotonic_ns.saturating_add(shared.settings.idle_timeout_ns));
            State::Head(HeadParser::default())
        };
        Connection {
            state,
            input: ReceiveBuffer::default(),
            output: SendQueue::default(),
            timers,
            send_progress_ns: now.monotonic_ns,
            number,
            records,
            pauses: shared
                .settings
                .rate
                .filter(|_| endpoint == Endpoint::Public)
                .map(|rate| Box::new(Pauses::at(rate))),
            endpoint,
            input_ended: false,
            has_received: false,
            empty_line_skipped: false,
            has_persisted: false,
            shutting_down: false,
        }
    }

    // Receiving.

    /// Whether the connection can take received bytes now.
    pub fn wants_input(&self) -> bool {
        let is_done = match &self.state {
            State::Draining(draining) => draining.bytes > DRAIN_BYTES_MAX,
            State::Committing(_) | State::Closed => true,
            State::ProxyHeader | State::Head(_) | State::Content(_) => false,
        };
        !is_done && !self.input_ended && self.input.spare_capacity() > 0 && !self.receiving_is_paused()
    }

    /// Whether nothing can happen before more is received, or a timer fires: no part of a request has been received,
    /// more may follow, and nothing is to be sent.
    pub fn needs_input(&self) -> bool {
        self.waits_for_request() && !self.input_ended
    }

    /// The space to receive into. It is not empty if [`wants_input`](Connection::wants_input).
    pub fn input_space(&mut self, shared: &mut Shared, now: &Now) -> &mut [u8] {
        let receivable_bytes = usize::try_from(self.receivable_bytes(now)).unwrap_or(usize::MAX);
        match self.long_content_bytes_left() {
            Some(bytes) if bytes.min(receivable_bytes) >= RECEIVE_BUFFER_BYTES => {
                self.input.take_content_buffer(&mut shared.pool);
            }
            Some(_) => {}
            None => self.input.return_content_buffer(&mut shared.pool),
        }
        let bytes_max = self.bytes_to_boundary().min(receivable_bytes);
        self.input.spare_capacity_mut(bytes_max, &mut shared.pool)
    }

    /// How many bytes are missing from content of known length that a sink takes, and that is received with nothing
    /// unread before it.
    fn long_content_bytes_left(&self) -> Option<usize> {
        match &self.state {
            State::Content(content) if self.input.is_empty() && matches!(content.destination, Destination::Sink(_)) => {
                let bytes = content.framing.content_bytes()?;
                Some(usize::try_from(bytes.saturating_sub(content.bytes)).unwrap_or(usize::MAX))
            }
            _ => None,
        }
    }

    /// How many bytes to receive at most. Content of known length is received up to multiples of the buffer's size, so
    /// that each write to its file fills whole pages. A write that begins within a page costs a file system half as
    /// much again. A little more space than the rest of the content shows that nothing follows it, which saves a call.
    fn bytes_to_boundary(&self) -> usize {
        match &self.state {
            State::Content(content) if self.input.is_empty() && content.framing.content != Framing::Chunked => {
                let piece_bytes = self.input.capacity();
                let bytes = piece_bytes - (content.bytes % piece_bytes as u64) as usize;
                match self.long_content_bytes_left() {
                    Some(left) if self.input.has_content_buffer() && left <= bytes => left + IDLE_BUFFER_BYTES,
                    _ => bytes,
                }
            }
            _ => usize::MAX,
        }
    }

    /// Reports that the first `bytes` bytes of the [`input_space`](Connection::input_space) have been received.
    pub fn received(&mut self, bytes: usize, now: &Now) {
        self.has_received |= bytes > 0;
        self.input.received(bytes);
        self.throttle_receiving(bytes as u64, now);
    }

    /// Reports the end of input: the client has shut down its sending side.
    pub fn received_eof(&mut self) {
        self.input_ended = true;
    }

    // Sending.

    /// What is to be sent next; `None` if there is nothing to send now.
    pub fn transmit(&mut self, now: &Now) -> Option<Transmit<'_, <S::Source as Source>::File>> {
        // A shortcut for the end of nearly every pass.
        if self.output.is_done() {
            return None;
        }
        let sendable_bytes = self.sendable_bytes(now);
        if sendable_bytes == 0 || self.is_closed() || self.waits_for_disk() {
            return None;
        }
        let transmit = self.output.transmit()?.at_most(sendable_bytes);
        let Transmit::File { file, bytes_max } = transmit else { return Some(transmit) };
        match disk_wait::bytes_to_send(&mut self.pauses, &mut self.timers, file, now) {
            0 => Some(Transmit::NotInMemory),
            bytes => Some(Transmit::File { file, bytes_max: bytes_max.min(bytes) }),
        }
    }

    /// Whether [`transmit`](Connection::transmit) reads from a source. That may block on the disk, and so may sending what
    /// it returns.
    pub fn sends_from_source(&self) -> bool {
        self.output.sends_from_source()
    }

    /// Whether close-delimited content is being sent (RFC 9112 §6.3). If the connection were closed in the usual way
    /// now, the client could not tell that the content is incomplete (§8).
    pub fn content_is_close_delimited(&self) -> bool {
        self.output.is_close_delimited()
    }

    /// Reports that the first `bytes` bytes of what [`transmit`](Connection::transmit) returned have been sent; 0 after
    /// [`Transmit::Pending`], which restarts the write-stall timer, since the client is not what sending waits for.
    pub fn transmitted(&mut self, bytes: u64, shared: &mut Shared, now: &Now) {
        self.output.transmitted(bytes);
        self.note_sent();
        if let Some(records) = &mut self.records {
            let (queued, has_source) = (self.output.queued_bytes(), self.output.has_source());
            records.sent(bytes, queued, has_source, &mut shared.records, now);
        }
        self.send_progressed(shared, now);
        self.throttle_sending(bytes, now);
    }

    /// Whether, instead of the shutdown that [`Transmit::End`] asks for, the socket may be closed if nothing in it is
    /// unread. Closing a socket with unread bytes, or one that receives some later, sends a reset, which can destroy the
    /// response.
    pub fn can_close_at_once(&self) -> bool {
        let client_is_silent = |draining: &Draining| draining.is_unnecessary && draining.bytes == 0;
        matches!(&self.state, State::Draining(draining) if client_is_silent(draining)) && self.input.is_empty()
    }

    /// Reports that the sending side of the socket has been shut down, as [`Transmit::End`] requires, or that the socket
    /// is about to be closed.
    pub fn end_transmitted(&mut self, shared: &mut Shared, now: &Now) {
        self.output.end_transmitted();
        // The end completes a close-delimited response.
        if let Some(records) = &mut self.records {
            records.sent(0, 0, false, &mut shared.records, now);
        }
        self.timers.stop(Timer::WriteStall);
        self.start_drain_timer(now);
    }

    // Ending.

    /// Begins a graceful shutdown: the next response is the last one, and timeouts are shortened.
    pub fn begin_shutdown(&mut self, now: &Now) {
        self.shutting_down = true;
        self.shorten_timers(now);
    }

    /// What a graceful shutdown waits for. It does not wait for a head that is incomplete: what is missing may never
    /// come.
    pub fn in_progress(&self) -> Option<InProgress> {
        match &self.state {
            State::Content(content) => Some(match content.destination {
                Destination::Sink(_) => InProgress::Upload,
                Destination::Discard => InProgress::Response,
            }),
            State::Committing(_) => Some(InProgress::Upload),
            State::Head(_) | State::Draining(_) => self.output.is_pending().then_some(InProgress::Response),
            State::ProxyHeader | State::Closed => None,
        }
    }

    /// Ends the connection: its owner wants to close it or its socket failed, draining is complete, or a timer fired
    /// after which no response is sent. What is queued is not sent any more. Exchanges that have not ended are recorded
    /// with `outcome`.
    pub fn close(&mut self, outcome: Outcome, shared: &mut Shared, now: &Now) {
        if let Some(records) = &mut self.records {
            if let State::Content(content) = &self.state {
                records.content_received(content.bytes);
            }
            records.end_all(outcome, &mut shared.records, now);
        }
        self.save_content(now);
        self.state = State::Closed;
        self.timers.stop_all();
        self.pauses = None;
        self.input.consume_all_content();
        self.input.consume_all();
    }

    /// Gives unused memory back to the pool. To be called when the connection goes idle, after
    /// [`flush_content`](Connection::flush_content).
    pub fn release_idle_memory(&mut self, shared: &mut Shared) {
        self.input.release(&mut shared.pool);
        self.output.release_if_empty(&mut shared.pool);
        if let Some(records) = &mut self.records {
            records.release_idle_memory(&mut shared.records);
        }
    }

    /// How many bytes of memory the connection's buffers own, used or not. [`limits`](super::limits) bounds them,
    /// whatever the client does.
    pub fn memory_bytes(&self) -> usize {
        self.input.memory_bytes() + self.output.memory_bytes()
    }

    /// How many bytes of memory the receive buffer owns, if content is being received; otherwise 0.
    pub fn content_buffer_bytes(&self) -> usize {
        match &self.state {
            State::Content(_) => self.input.memory_bytes(),
            State::ProxyHeader | State::Head(_) | State::Committing(_) | State::Draining(_) | State::Closed => 0,
        }
    }

    /// Whether the service has the upload of the last request, and [`committed`](Connection::committed) must follow.
    pub fn is_committing(&self) -> bool {
        matches!(self.state, State::Committing(_))
    }

    /// Whether the connection has ended, so that the socket is to be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whom the connection is for: clients, or the administrator.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The number given to [`new`](Connection::new).
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the connection is doing, for the debug log.
    pub fn activity(&self) -> &'static str {
        match &self.state {
            State::ProxyHeader => "waiting for the proxy's header",
            State::Content(_) => "reading the content",
            State::Committing(_) => "storing the content",
            State::Draining(_) if self.output.queued_bytes() > 0 || self.output.has_source() => "writing the response",
            State::Draining(_) => "draining",
            State::Closed => "closed",
            State::Head(head) if !head.is_empty() => "reading the head",
            State::Head(_) if self.output.is_pending() => "writing the response",
            State::Head(_) => "waiting for a request",
        }
    }

    /// The state after the last response. The sending side is shut down once everything has been sent.
    fn begin_draining(&mut self) -> State<S::Sink> {
        self.output.end();
        State::Draining(Draining::default())
    }
}
