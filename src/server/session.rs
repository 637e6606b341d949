//! One socket and one connection: what a drive does.

use std::net::SocketAddr;

use log::{debug, error, log_enabled};

use super::scheduler::DRIVE_NS;
use super::world::{Io, Readiness, SendFileError, Transport, World};
use crate::http1::{Connection, Shared, Step, Transmit};
use crate::semantics::Now;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::{Service, Source};

/// How many steps of the protocol a drive may take before others have their turn: a few rounds of pipelined requests.
const STEPS_PER_DRIVE: u32 = 256;

/// How many bytes a drive moves before others have their turn: at a gigabyte a second, a millisecond. One call more may go
/// past it, by as much again at most: a remainder of a few hundred bytes would cost a drive and a packet of its own.
const BYTES_PER_DRIVE: usize = 1024 * 1024;

/// A session that took longer than this, or moved more, asks for much: it waits behind those that ask for little.
const LIGHT_DRIVE_NS: u64 = DRIVE_NS / 4;
const LIGHT_DRIVE_BYTES: usize = BYTES_PER_DRIVE / 4;

/// What all drives of a loop use.
pub(super) struct Context<S: Service> {
    pub(super) service: S,
    pub(super) shared: Shared,
    /// The time, as it was read last: at the beginning of the turn, and behind each call that may have waited for the disk.
    pub(super) now: Now,
}

/// How a drive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// No progress can be made before an event or the deadline.
    Idle,
    /// The budget is spent.
    Again,
    /// The socket is to be closed.
    Closed,
}

/// Which queue the session's key is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    No,
    Ready,
    Busy,
}

/// One socket and one connection.
pub(super) struct Session<T, S: Service> {
    transport: T,
    pub(super) connection: Connection<S>,
    /// Kept where records are, for their readers.
    pub(super) client: Option<Box<SocketAddr>>,
    /// When the session's entry among the deadlines passes; `u64::MAX` where it has none.
    pub(super) armed_ns: u64,
    pub(super) queued: Queued,
    /// Whether the last drive took long, or moved much.
    pub(super) is_busy: bool,
    /// Whether a deadline has passed while the session waited for its turn. It is judged behind its next drive.
    pub(super) is_overdue: bool,
    may_read: bool,
    may_write: bool,
    short_reads_inconclusive: bool,
}

/// What a drive may still do.
struct Budget {
    steps: u32,
    bytes: usize,
    until_ns: u64,
}

impl Budget {
    fn is_spent(&self, now: &Now) -> bool {
        self.steps == 0 || self.bytes == 0 || now.monotonic_ns >= self.until_ns
    }
}

/// Why a drive ends the connection.
enum Lost {
    Client(std::io::Error),
    File,
}

impl From<std::io::Error> for Lost {
    fn from(error: std::io::Error) -> Lost {
        Lost::Client(error)
    }
}

impl<T, S> Session<T, S>
where
    T: Transport,
    S: Service,
    S::Source: Source<File = T::File>,
{
    pub(super) fn new(transport: T, client: SocketAddr, number: u64, cx: &Context<S>) -> Session<T, S> {
        debug!("connection {number}: accepted from {client}");
        Session {
            transport,
            connection: Connection::new(number, &cx.shared, &cx.now),
            client: cx.shared.records.enabled.then(|| Box::new(client)),
            armed_ns: u64::MAX,
            queued: Queued::No,
            is_busy: false,
            is_overdue: false,
            // Nothing is known of it yet. A client often sends its request along, and is answered at once then.
            may_read: true,
            may_write: true,
            short_reads_inconclusive: false,
        }
    }

    /// Notes what an event says. An error shows when the socket is used.
    pub(super) fn set_readiness(&mut self, readiness: Readiness) {
        self.may_read |= readiness.readable;
        self.may_write |= readiness.writable;
        self.short_reads_inconclusive |= readiness.short_reads_inconclusive;
    }

    /// Does what can be done, within a budget.
    pub(super) fn drive<W: World<Transport = T>>(&mut self, world: &mut W, cx: &mut Context<S>) -> Drive {
        let start_ns = cx.now.monotonic_ns;
        let until_ns = start_ns.saturating_add(DRIVE_NS);
        let mut budget = Budget { steps: STEPS_PER_DRIVE, bytes: BYTES_PER_DRIVE, until_ns };
        let drive = self.drive_within(world, cx, &mut budget);
        let took_ns = cx.now.monotonic_ns.saturating_sub(start_ns);
        let moved = BYTES_PER_DRIVE - budget.bytes;
        self.is_busy = drive == Drive::Again || took_ns > LIGHT_DRIVE_NS || moved > LIGHT_DRIVE_BYTES;
        drive
    }

    fn drive_within<W: World<Transport = T>>(
        &mut self,
        world: &mut W,
        cx: &mut Context<S>,
        budget: &mut Budget,
    ) -> Drive {
        // Each pass makes progress, and the budget bounds what progress there may be.
        loop {
            let processed = self.process(world, cx, budget);
            let moved = self.send(world, cx, budget).and_then(|sent| Ok(sent | self.receive(cx, budget)?));
            match moved {
                _ if self.connection.is_closed() => return Drive::Closed,
                Ok(moved) if processed || moved => {}
                Ok(_) => match self.connection.flush_content(&mut cx.shared, &cx.now) {
                    Step::Idle => break,
                    Step::Progress | Step::SlowProgress => cx.now = world.now(),
                },
                Err(lost) => {
                    // Content that failed may have waited for the disk before it did.
                    cx.now = world.now();
                    self.lose(lost, cx);
                    return Drive::Closed;
                }
            }
            if budget.is_spent(&cx.now) {
                return Drive::Again;
            }
        }
        self.connection.release_idle_memory(&mut cx.shared);
        Drive::Idle
    }

    /// Does what the timers ask for whose time had come at `at_ns`.
    pub(super) fn expire(&mut self, at_ns: u64, cx: &mut Context<S>) {
        let before = self.activity_to_log();
        if before.is_some()
            && let Some(timer) = self.connection.fired(at_ns)
        {
            debug!("connection {}: the {timer} timer has fired", self.connection.number());
        }
        self.connection.expire(at_ns, &mut cx.shared, &cx.now);
        self.log_activity(before);
    }

    fn lose(&mut self, lost: Lost, cx: &mut Context<S>) {
        if let Lost::Client(error) = lost {
            debug!("connection {}: ended: {error}", self.connection.number());
        }
        self.connection.close(Outcome::CutOff, &mut cx.shared, &cx.now);
    }

    /// The socket is about to be closed, for whatever reason. Content that the end of the connection would complete is not
    /// to pass for complete (RFC 9112 §8).
    pub(super) fn prepare_to_close(&mut self) {
        if self.connection.content_is_close_delimited() {
            self.transport.reset_on_close();
        }
    }

    /// Lets the connection interpret what was received. Returns whether it made progress.
    fn process<W: World>(&mut self, world: &mut W, cx: &mut Context<S>, budget: &mut Budget) -> bool {
        let mut progress = false;
        while !budget.is_spent(&cx.now) {
            let before = self.activity_to_log();
            match self.connection.process(&mut cx.service, &mut cx.shared, &cx.now) {
                Step::Idle => {
                    self.log_activity(before);
                    break;
                }
                Step::Progress => {}
                Step::SlowProgress => {
                    let began_ns = cx.now.monotonic_ns;
                    cx.now = world.now();
                    self.connection.responded_late(began_ns, &cx.now);
                }
            }
            self.log_activity(before);
            budget.steps -= 1;
            progress = true;
        }
        progress
    }

    /// Sends what is queued. Returns whether anything was sent.
    fn send<W: World>(&mut self, world: &mut W, cx: &mut Context<S>, budget: &mut Budget) -> Result<bool, Lost> {
        let mut progress = false;
        let mut is_slow = false;
        // Each round sends something, or ends the loop.
        while self.may_write && budget.bytes > 0 && !(is_slow && budget.is_spent(&cx.now)) {
            let from_source = self.connection.sends_from_source();
            let sent = match self.connection.transmit() {
                None => break,
                Some(Transmit::Bytes { bytes, more }) => self.transport.send(bytes, more)?,
                Some(Transmit::File { file, bytes_max }) => {
                    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(BYTES_PER_DRIVE);
                    send_file(&mut self.transport, file, bytes_max)?
                }
                Some(Transmit::Pending) => {
                    // As much as one drive may do has been done, for the disk or the processor.
                    cx.now = world.now();
                    budget.bytes = 0;
                    self.connection.transmitted(0, &mut cx.shared, &cx.now);
                    return Ok(true);
                }
                Some(Transmit::Abort) => return Err(Lost::File),
                Some(Transmit::End) => {
                    let before = self.activity_to_log();
                    self.transport.shut_down_sending()?;
                    self.connection.end_transmitted(&mut cx.shared, &cx.now);
                    self.log_activity(before);
                    return Ok(true);
                }
            };
            if from_source {
                cx.now = world.now();
                is_slow = true;
            }
            match sent {
                Io::Done(bytes) => {
                    let before = self.activity_to_log();
                    self.connection.transmitted(bytes as u64, &mut cx.shared, &cx.now);
                    self.log_activity(before);
                    budget.bytes = budget.bytes.saturating_sub(bytes);
                    progress = true;
                }
                Io::WouldBlock => {
                    self.may_write = false;
                    self.connection.write_blocked(self.transport.send_buffer_bytes());
                }
            }
        }
        Ok(progress)
    }

    /// Receives what there is, once. Returns whether anything was received.
    fn receive(&mut self, cx: &mut Context<S>, budget: &mut Budget) -> Result<bool, Lost> {
        if !self.may_read || !self.connection.wants_input() {
            return Ok(false);
        }
        let space = self.connection.input_space(&mut cx.shared);
        let space_bytes = space.len();
        match self.transport.receive(space)? {
            Io::Done(0) => {
                self.may_read = false;
                self.connection.received_eof();
            }
            Io::Done(bytes) => {
                self.connection.received(bytes);
                budget.bytes = budget.bytes.saturating_sub(bytes);
                // A short read has emptied the socket, and what comes later is announced. The end may be there already.
                if bytes < space_bytes && !self.short_reads_inconclusive {
                    self.may_read = false;
                }
            }
            Io::WouldBlock => {
                self.may_read = false;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the connection does, where the debug log wants to know.
    fn activity_to_log(&self) -> Option<&'static str> {
        log_enabled!(log::Level::Debug).then(|| self.connection.activity())
    }

    fn log_activity(&self, before: Option<&'static str>) {
        if let Some(before) = before
            && before != self.connection.activity()
        {
            debug!("connection {}: {}", self.connection.number(), self.connection.activity());
        }
    }
}

fn send_file<T: Transport>(transport: &mut T, file: &T::File, bytes_max: usize) -> Result<Io, Lost> {
    transport.send_file(file, bytes_max).map_err(|failure| match failure {
        SendFileError::Connection(error) => Lost::Client(error),
        SendFileError::File(error) => {
            error!("{file} cannot be sent: {error}");
            Lost::File
        }
    })
}
