//! The access log: a line for each exchange. Lines are collected for at most a tenth of a second and written together,
//! because a write costs more than a small response.
//!
//! A log that cannot be written, because its disk is full or nobody empties its pipe, never keeps the server from
//! responding. Lines wait in a bounded buffer; those that do not fit are lost, and how many is logged later.

mod buffer;
mod combined;
mod json;

use std::fmt;
use std::io::{self, ErrorKind};

use log::warn;

use self::buffer::LineBuffer;
use super::LogFormat;
use crate::semantics::Now;
use crate::semantics::exchange_record::ExchangeRecord;

/// Where an access log is written.
pub trait LogOutput {
    /// Writes the first bytes of `lines`, without waiting for a reader. Returns how many were written.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if a reader is slow; others if the output has failed, perhaps not for ever.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize>;

    /// Opens the output anew, because its file may have been moved.
    ///
    /// # Errors
    /// The old one stays in use then.
    fn reopen(&mut self) -> io::Result<Reopened>;
}

/// Where the next bytes go after an output was opened anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopened {
    /// After the previous ones, so that a line that was written in part can be completed.
    SameOutput,
    /// To another file, or to the start of one that was emptied.
    OtherOutput,
}

/// When this many bytes are waiting, they are written at once.
const FULL_BYTES: usize = 64 * 1024;

/// How long a line may wait for others, in nanoseconds. Who follows the log does not notice that, and a server that is
/// killed loses only so much of it.
const DELAY_NS: u64 = 100_000_000;

/// How long to wait before a slow reader is tried again, in nanoseconds: at first so long, then twice as long each time
/// until it reads. A pipe has room for 64 KiB, so with a long pause a reader that is only busy would lose lines.
const BLOCKED_PAUSE_NS: u64 = 1_000_000;
const BLOCKED_PAUSE_NS_MAX: u64 = 100_000_000;

/// How long to wait after a failure, in nanoseconds. On a full disk, an attempt can take long.
const FAILED_PAUSE_NS: u64 = 1_000_000_000;

/// The least time between two messages about lost lines, in nanoseconds.
const REPORT_PAUSE_NS: u64 = 10 * 1_000_000_000;

/// The least time between two messages about failures, in nanoseconds.
const FAILURE_PAUSE_NS: u64 = 60 * 1_000_000_000;

/// What happened to the last attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everything was written.
    Working,
    /// A reader is slow. To be tried again at this monotonic time, which is so long after the last attempt.
    Blocked { retry_ns: u64, pause_ns: u64 },
    /// The output has failed. To be tried again at this monotonic time.
    Failed { retry_ns: u64 },
}

/// The access log.
pub struct AccessLog {
    output: Box<dyn LogOutput>,
    format: LogFormat,
    combined: combined::Formatter,
    json: json::Formatter,
    buffer: LineBuffer,
    state: State,
    /// On the monotonic clock: when the first of the lines that wait is to be written. `None` if none waits.
    due_ns: Option<u64>,
    lost_lines: u64,
    /// How many of the lost lines no message has reported.
    unreported_lines: u64,
    /// When a message about lost lines, and about a failure, may be logged again.
    next_report_ns: u64,
    next_failure_ns: u64,
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("state", &self.state).finish_non_exhaustive()
    }
}

impl AccessLog {
    /// A log whose lines go to `output`.
    pub fn new(output: Box<dyn LogOutput>, format: LogFormat) -> AccessLog {
        AccessLog {
            output,
            format,
            combined: combined::Formatter::default(),
            json: json::Formatter::default(),
            buffer: LineBuffer::default(),
            state: State::Working,
            due_ns: None,
            lost_lines: 0,
            unreported_lines: 0,
            next_report_ns: 0,
            next_failure_ns: 0,
        }
    }

    /// How many lines were lost since the start, because they could not be written in time.
    pub fn lost_lines(&self) -> u64 {
        self.lost_lines
    }

    /// Adds the line of an exchange that has ended. Does not write it yet.
    pub fn exchange_ended(&mut self, record: &ExchangeRecord) {
        let AccessLog { buffer, combined, json, .. } = self;
        let account = record.account.as_ref().map(|account| account.as_bytes());
        let fits = match self.format {
            LogFormat::Combined => buffer.push(|lines| combined.push_line(lines, record, account)),
            LogFormat::Json => buffer.push(|lines| json.push_line(lines, record, account)),
        };
        if self.due_ns.is_none() {
            let ended_ns = record.started.monotonic_ns.saturating_add(record.total_ns);
            self.due_ns = Some(ended_ns.saturating_add(DELAY_NS));
        }
        if !fits {
            self.lose(1);
        }
    }

    fn lose(&mut self, lines: u64) {
        self.lost_lines = self.lost_lines.saturating_add(lines);
        self.unreported_lines = self.unreported_lines.saturating_add(lines);
    }

    /// Whether so many lines are waiting that they should be written at once.
    pub fn is_full(&self) -> bool {
        self.state == State::Working && self.buffer.waiting().len() >= FULL_BYTES
    }

    /// When to call [`flush`](AccessLog::flush), on the monotonic clock.
    pub fn deadline_ns(&self) -> Option<u64> {
        match self.state {
            State::Blocked { retry_ns, .. } | State::Failed { retry_ns } => Some(retry_ns),
            State::Working => {
                let report_ns = (self.unreported_lines > 0).then_some(self.next_report_ns);
                [self.due_ns, report_ns].into_iter().flatten().min()
            }
        }
    }

    /// Writes what is waiting, if the output takes it.
    pub fn flush(&mut self, now: &Now) {
        if matches!(self.state, State::Failed { retry_ns } if now.monotonic_ns < retry_ns) {
            return;
        }
        let waiting_before = self.buffer.waiting().len();
        match self.write_waiting() {
            Ok(()) => {
                self.state = State::Working;
                self.due_ns = None;
                self.report_lost_lines(now);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                let pause_ns = match self.state {
                    State::Blocked { pause_ns, .. } if waiting_before == self.buffer.waiting().len() => {
                        pause_ns.saturating_mul(2).min(BLOCKED_PAUSE_NS_MAX)
                    }
                    _ => BLOCKED_PAUSE_NS,
                };
                self.state = State::Blocked { retry_ns: now.monotonic_ns.saturating_add(pause_ns), pause_ns };
            }
            Err(error) => {
                self.state = State::Failed { retry_ns: now.monotonic_ns.saturating_add(FAILED_PAUSE_NS) };
                if now.monotonic_ns >= self.next_failure_ns {
                    self.next_failure_ns = now.monotonic_ns.saturating_add(FAILURE_PAUSE_NS);
                    warn!("the access log cannot be written: {error}");
                }
            }
        }
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        // Ends: each iteration removes bytes, or is the last.
        while !self.buffer.is_empty() {
            match self.output.write(self.buffer.waiting())? {
                0 => return Err(ErrorKind::WouldBlock.into()),
                bytes => self.buffer.written(bytes),
            }
        }
        Ok(())
    }

    fn report_lost_lines(&mut self, now: &Now) {
        if self.unreported_lines > 0 && now.monotonic_ns >= self.next_report_ns {
            self.next_report_ns = now.monotonic_ns.saturating_add(REPORT_PAUSE_NS);
            let lines = std::mem::take(&mut self.unreported_lines);
            warn!("lines that the access log has lost because it could not be written: {lines}");
        }
    }

    /// Opens the output anew. The lines so far go to the old one, if it takes them. Returns whether that succeeded.
    pub fn reload(&mut self, now: &Now) -> bool {
        self.flush(now);
        match self.output.reopen() {
            Ok(reopened) => {
                if reopened == Reopened::OtherOutput && self.buffer.drop_begun_line() {
                    self.lose(1);
                }
                self.state = State::Working;
                self.due_ns = (!self.buffer.is_empty()).then_some(now.monotonic_ns);
                true
            }
            Err(error) => {
                warn!("the access log cannot be opened anew, so the old file stays in use: {error}");
                false
            }
        }
    }

    /// Writes what the output still takes. The other lines are lost, which is logged.
    pub fn stop(&mut self, now: &Now) {
        self.state = State::Working;
        self.flush(now);
        let lines = self.buffer.drop_all();
        self.lose(lines);
        self.next_report_ns = 0;
        self.report_lost_lines(now);
    }
}
