//! A session: one socket with its HTTP connection, and what a drive of it does.

use std::io;

use log::{debug, error, log_enabled};

use super::committing::Group;
use super::scheduler::{DRIVE_NS, RunGroup};
use super::world::{Io, Readiness, SendFileError, Transport, World};
use crate::http1::{Activity, Connection, Shared, Step, Transmit};
use crate::semantics::Now;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::proxies::Sender;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};

/// How many protocol steps one drive may take: enough for a few batches of pipelined requests.
const STEPS_PER_DRIVE: u32 = 256;

/// How many bytes one drive may send and receive, if its time suffices: a millisecond's worth at a gigabyte per second.
/// The last call may exceed the rest of the budget, by this much at most: cut to size, it would leave a few hundred bytes
/// for another drive and another packet.
const BYTES_PER_DRIVE: usize = 1024 * 1024;

/// A session whose drive took longer or transferred more than this is busy: next time the light ones of its group go
/// first.
const LIGHT_DRIVE_NS: u64 = DRIVE_NS / 2;
const LIGHT_DRIVE_BYTES: usize = BYTES_PER_DRIVE / 4;

/// Estimates of what a drive costs, in nanoseconds: each drive, each step, and each 8 bytes that it transfers. Only a call
/// that may have waited for the disk is measured.
const DRIVE_ESTIMATE_NS: u64 = 4_000;
const STEP_ESTIMATE_NS: u64 = 400;
const BYTES_PER_NS: u64 = 8;

/// State that all drives share.
pub(super) struct Context<S: Service> {
    pub(super) service: S,
    pub(super) shared: Shared,
    /// The time as it was last read: after the poll, and after each call that may have waited for the disk.
    pub(super) now: Now,
    /// The uploads that the service completes together.
    pub(super) group: Group<S>,
    /// The longest call since the last turn that may have waited for the disk, in nanoseconds.
    pub(super) disk_call_longest_ns: u64,
}

impl<S: Service> Context<S> {
    /// Reads the clock after a call that may have waited for the disk, and notes how long that took. The clock was last
    /// read before it, at most a few short drives earlier.
    pub(super) fn disk_call_ended<W: World>(&mut self, world: &mut W) {
        let began_ns = self.now.monotonic_ns;
        self.now = world.now();
        let took_ns = self.now.monotonic_ns.saturating_sub(began_ns);
        self.disk_call_longest_ns = self.disk_call_longest_ns.max(took_ns);
    }
}

/// The result of a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// No progress is possible before the next event or deadline.
    Idle,
    /// The budget is spent; the session must be driven again.
    Again,
    /// The socket must be closed.
    Closed,
}

/// What a drive did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driven {
    pub(super) result: Drive,
    /// Whether there was any progress.
    pub(super) progressed: bool,
    /// An estimate of its cost, in nanoseconds. It counts if the clock was not read meanwhile.
    pub(super) estimate_ns: u64,
}

impl Driven {
    /// The drive of a connection that has to be closed because of a panic.
    pub(super) const PANICKED: Driven =
        Driven { result: Drive::Closed, progressed: false, estimate_ns: DRIVE_ESTIMATE_NS };
}

/// Which queue contains the session's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    No,
    /// In none: the session is driven because its connection was just accepted.
    Accepted,
    Ready,
    Busy,
}

/// A socket and its HTTP connection.
pub(super) struct Session<T, S: Service> {
    pub(super) transport: T,
    pub(super) connection: Connection<S>,
    /// The time of the session's entry in the deadlines; `u64::MAX` if it has none.
    pub(super) armed_ns: u64,
    pub(super) queued: Queued,
    /// Whether the socket has events.
    pub(super) is_registered: bool,
    /// Whether the last drive used much of its budget.
    pub(super) is_busy: bool,
    /// The group with which the session shares the server's time.
    pub(super) run_group: RunGroup,
    /// What the connection was doing when that was last noted.
    pub(super) activity: Activity,
    /// Whether the connection belongs to a proxy whose requests name their clients.
    pub(super) sender_is_trusted: bool,
    /// Whether a deadline passed while the session was queued. It is judged after the next drive.
    pub(super) is_overdue: bool,
    /// Whether a receive or a send may succeed: hints, see the second law of the [server](super).
    may_read: bool,
    may_write: bool,
    short_reads_inconclusive: bool,
    /// Whether the socket has failed, so that no response can arrive any more.
    has_failed: bool,
}

/// What is left of a drive's budget.
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

/// Why a drive closes the connection.
enum DriveError {
    /// The socket failed.
    Transport(io::Error),
    /// The response's content could not be read to its end.
    Content,
}

impl From<io::Error> for DriveError {
    fn from(error: io::Error) -> DriveError {
        DriveError::Transport(error)
    }
}

impl<T, S> Session<T, S>
where
    T: Transport,
    S: Service,
    S::Source: Source<File = T::File>,
{
    pub(super) fn new(transport: T, connection: Connection<S>, sender: Sender) -> Session<T, S> {
        let run_group = match connection.endpoint() {
            Endpoint::Admin => RunGroup::ADMIN,
            Endpoint::Public => RunGroup::UNNAMED,
        };
        Session {
            transport,
            connection,
            armed_ns: u64::MAX,
            queued: Queued::No,
            is_registered: false,
            is_busy: false,
            run_group,
            activity: Activity::Active,
            sender_is_trusted: sender == Sender::TrustedProxy,
            is_overdue: false,
            // Readiness is unknown. Trying at once saves a poll: the request has often arrived with the connection.
            may_read: true,
            may_write: true,
            short_reads_inconclusive: false,
            has_failed: false,
        }
    }

    /// Records the readiness that an event reported.
    pub(super) fn set_readiness(&mut self, readiness: Readiness) {
        self.may_read |= readiness.readable;
        self.may_write |= readiness.writable;
        self.short_reads_inconclusive |= readiness.short_reads_inconclusive;
        self.has_failed |= readiness.failed;
    }

    /// Makes all progress that is possible within the budget of one drive. `key` is the session's.
    pub(super) fn drive<W: World<Transport = T>>(&mut self, key: usize, world: &mut W, cx: &mut Context<S>) -> Driven {
        let start_ns = cx.now.monotonic_ns;
        let until_ns = start_ns.saturating_add(DRIVE_NS);
        let mut budget = Budget { steps: STEPS_PER_DRIVE, bytes: BYTES_PER_DRIVE, until_ns };
        let result = self.drive_within(key, world, cx, &mut budget);
        let took_ns = cx.now.monotonic_ns.saturating_sub(start_ns);
        let transferred_bytes = BYTES_PER_DRIVE - budget.bytes;
        self.is_busy = result == Drive::Again || took_ns > LIGHT_DRIVE_NS || transferred_bytes > LIGHT_DRIVE_BYTES;
        let steps = STEPS_PER_DRIVE - budget.steps;
        Driven {
            result,
            progressed: transferred_bytes > 0 || steps > 0,
            estimate_ns: DRIVE_ESTIMATE_NS
                + u64::from(steps) * STEP_ESTIMATE_NS
                + transferred_bytes as u64 / BYTES_PER_NS,
        }
    }

    fn drive_within<W: World<Transport = T>>(
        &mut self,
        key: usize,
        world: &mut W,
        cx: &mut Context<S>,
        budget: &mut Budget,
    ) -> Drive {
        // Receiving comes last in a pass, so the first pass of a drive handles what the drive before left over.
        // Ends: each pass makes progress, and the budget bounds the progress of a drive.
        loop {
            let processed = self.process(key, world, cx, budget);
            let transferred = self.send(world, cx, budget).and_then(|sent| Ok(sent | self.receive(cx, budget)?));
            match transferred {
                _ if self.connection.is_closed() => return Drive::Closed,
                Ok(transferred) if processed || transferred => {}
                Ok(_) => match self.connection.flush_content(&mut cx.shared, &cx.now) {
                    Step::Idle => break,
                    Step::Progress | Step::SlowProgress => cx.disk_call_ended(world),
                },
                Err(error) => {
                    // Reading content may have waited for the disk before it failed.
                    cx.disk_call_ended(world);
                    self.fail(error, world, cx);
                    return Drive::Closed;
                }
            }
            // A shortcut for the end of nearly every drive, which saves a pass without progress.
            if !self.may_read && self.connection.needs_input() {
                break;
            }
            if budget.is_spent(&cx.now) {
                return Drive::Again;
            }
        }
        // An upload that is being committed is complete. Its response is queued soon, and sending it fails.
        if self.has_failed && !self.connection.is_committing() {
            // The error of the socket follows what can still be received, and a limited rate may receive that for
            // minutes. Until then the connection would have a place that others need, although no response can arrive.
            // What has been received is stored as after any other loss; the rest would arrive faster than the rate
            // allows.
            self.fail(DriveError::Transport(io::ErrorKind::ConnectionReset.into()), world, cx);
            return Drive::Closed;
        }
        self.connection.release_idle_memory(&mut cx.shared);
        Drive::Idle
    }

    /// Acts on the timers that had fired by `at_ns`, on the monotonic clock.
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

    fn fail<W: World>(&mut self, error: DriveError, world: &mut W, cx: &mut Context<S>) {
        if let DriveError::Transport(error) = error {
            debug!("connection {}: failed: {error}", self.connection.number());
        }
        self.connection.close(Outcome::CutOff, &mut cx.shared, &cx.now);
        // Closing may have saved an upload to the disk, or freed the space of one that was discarded. That belongs to the
        // cost of this drive: otherwise a turn would go on to the next of a thousand clients that fail at once.
        cx.disk_call_ended(world);
    }

    /// Must be called before the socket is closed. If the client would take the end of the connection for the end of
    /// unfinished content, the socket is closed by a reset instead (RFC 9112 §8).
    pub(super) fn prepare_to_close(&mut self) {
        if self.connection.content_is_close_delimited() {
            self.transport.reset_on_close();
        }
    }

    /// Processes what was received. Returns whether that made progress.
    fn process<W: World>(&mut self, key: usize, world: &mut W, cx: &mut Context<S>, budget: &mut Budget) -> bool {
        let mut progress = false;
        // The budget has just been made, or checked after the last pass. Ends: each iteration spends a step, or is the last.
        loop {
            let before = self.activity_to_log();
            match self.connection.process(&mut cx.service, &mut cx.shared, &cx.now) {
                Step::Idle => {
                    self.log_activity(before);
                    break;
                }
                Step::Progress => {}
                Step::Deferred(commit) => {
                    // The end of the content was written before.
                    cx.disk_call_ended(world);
                    cx.group.add(key, self.connection.number(), *commit, &cx.now);
                }
                Step::SlowProgress => {
                    let began_ns = cx.now.monotonic_ns;
                    cx.disk_call_ended(world);
                    self.connection.responded_late(began_ns, &cx.now);
                }
            }
            self.log_activity(before);
            budget.steps -= 1;
            progress = true;
            if cx.shared.named_client.is_some() {
                // The requests behind the header of the PROXY protocol are processed in the time of the client that it names.
                budget.until_ns = cx.now.monotonic_ns;
            }
            if budget.is_spent(&cx.now) {
                break;
            }
        }
        progress
    }

    /// Sends what is queued. Returns whether anything was sent.
    fn send<W: World>(&mut self, world: &mut W, cx: &mut Context<S>, budget: &mut Budget) -> Result<bool, DriveError> {
        let mut progress = false;
        let mut is_slow = false;
        // The budget of time is checked only after a call that may have read from the disk: others take little time.
        // Ends: each iteration sends something, or is the last.
        while self.may_write && budget.bytes > 0 && !(is_slow && budget.is_spent(&cx.now)) {
            let from_source = self.connection.sends_from_source();
            let sent = match self.connection.transmit(&cx.now) {
                None => break,
                Some(Transmit::Bytes { bytes, more }) => self.transport.send(bytes, more)?,
                Some(Transmit::File { file, bytes_max }) => {
                    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX).min(BYTES_PER_DRIVE);
                    send_file(&mut self.transport, file, bytes_max)?
                }
                Some(Transmit::Pending) => {
                    // The source did as much as one drive may, in disk or processor time, and has no bytes yet.
                    cx.disk_call_ended(world);
                    budget.bytes = 0;
                    self.connection.transmitted(0, &mut cx.shared, &cx.now);
                    return Ok(true);
                }
                Some(Transmit::NotInMemory) => {
                    // Asking for it may have waited for the disk: the system may have to read where the content is.
                    cx.disk_call_ended(world);
                    break;
                }
                Some(Transmit::Abort) => return Err(DriveError::Content),
                Some(Transmit::End) => {
                    self.end(cx)?;
                    return Ok(true);
                }
            };
            if from_source {
                cx.disk_call_ended(world);
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

    /// Ends the sending side. A socket in which nothing is unread, and whose client sends nothing more, is closed at once:
    /// that saves the wait for the client's end, and three system calls.
    fn end(&mut self, cx: &mut Context<S>) -> Result<(), DriveError> {
        let before = self.activity_to_log();
        if !self.may_read && self.connection.can_close_at_once() {
            self.connection.end_transmitted(&mut cx.shared, &cx.now);
            self.connection.close(Outcome::Complete, &mut cx.shared, &cx.now);
        } else {
            self.transport.shut_down_sending()?;
            self.connection.end_transmitted(&mut cx.shared, &cx.now);
        }
        self.log_activity(before);
        Ok(())
    }

    /// Receives once. Returns whether bytes or the client's end were received.
    fn receive(&mut self, cx: &mut Context<S>, budget: &mut Budget) -> Result<bool, DriveError> {
        if !self.may_read || !self.connection.wants_input() {
            return Ok(false);
        }
        let before = self.activity_to_log();
        let space = self.connection.input_space(&mut cx.shared, &cx.now);
        let space_bytes = space.len();
        match self.transport.receive(space)? {
            Io::Done(0) => {
                self.may_read = false;
                self.connection.received_eof();
            }
            Io::Done(bytes) => {
                self.connection.received(bytes, &cx.now);
                budget.bytes = budget.bytes.saturating_sub(bytes);
                // A short read emptied the socket, and an event will announce later bytes. That does not hold if an
                // end, an error or urgent data was announced: a read also stops short of those.
                if bytes < space_bytes && !self.short_reads_inconclusive {
                    self.may_read = false;
                }
            }
            Io::WouldBlock => {
                self.may_read = false;
                return Ok(false);
            }
        }
        self.log_activity(before);
        Ok(true)
    }

    /// What the connection is doing, if the debug log is enabled.
    fn activity_to_log(&self) -> Option<&'static str> {
        log_enabled!(log::Level::Debug).then(|| self.connection.activity())
    }

    fn log_activity(&self, before: Option<&'static str>) {
        if let Some(before) = before {
            self.log_change(before);
        }
    }

    #[cold]
    fn log_change(&self, before: &'static str) {
        if before != self.connection.activity() {
            debug!("connection {}: {}", self.connection.number(), self.connection.activity());
        }
    }
}

fn send_file<T: Transport>(transport: &mut T, file: &T::File, bytes_max: usize) -> Result<Io, DriveError> {
    transport.send_file(file, bytes_max).map_err(|failure| match failure {
        SendFileError::Connection(error) => DriveError::Transport(error),
        SendFileError::File(error) => {
            error!("{file} cannot be sent: {error}");
            DriveError::Content
        }
    })
}
