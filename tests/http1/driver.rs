//! A client without a socket: sends bytes to a [`Connection`] in given pieces and reads its output in given amounts.

use spindle::http1::{Connection, Settings, Shared, Step, Transmit};
use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::exchange_record::Outcome;
use spindle::semantics::service::{CommitOf, Service};

use crate::service::{ReceivedRequest, RecordingService};

/// Sun, 06 Nov 1994 08:49:37 GMT.
pub(crate) const NOW: Now = Now { monotonic_ns: 0, unix_ns: 784_111_777_000_000_000 };
pub(crate) const NOW_TEXT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// How the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// Everything, as soon as it is queued.
    Immediate,
    /// One byte at a time; the server processes its input in between.
    ByteByByte,
    /// Nothing before everything has been sent, unless the server stops receiving until its output is read.
    Deferred,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub output: Vec<u8>,
    pub requests: Vec<ReceivedRequest>,
    /// Whether the server has half-closed the connection.
    pub eof_sent: bool,
}

/// A connection, its service, and the bytes that the client has read.
pub(crate) struct Driver<S: Service> {
    pub connection: Connection<RecordingService<S>>,
    pub service: RecordingService<S>,
    pub shared: Shared,
    pub now: Now,
    pub output: Vec<u8>,
    pub eof_sent: bool,
    /// Whether the server aborted the connection, because the content of a response could not be completed.
    pub aborted: bool,
    /// The upload that the connection has handed out to be committed.
    deferred: Vec<((), CommitOf<S>)>,
    /// Whether only [`commit`](Driver::commit) commits it. Otherwise it is committed when the connection is idle.
    pub keeps_commits: bool,
    read_mode: ReadMode,
}

impl<S: Service> Driver<S> {
    pub(crate) fn new(service: S, settings: Settings, read_mode: ReadMode) -> Driver<S> {
        Driver::with_shared(service, Shared::new(settings), read_mode)
    }

    /// A driver whose exchanges are recorded.
    pub(crate) fn recording(service: S, settings: Settings, read_mode: ReadMode) -> Driver<S> {
        let mut shared = Shared::new(settings);
        shared.records.enabled = true;
        Driver::with_shared(service, shared, read_mode)
    }

    fn with_shared(service: S, shared: Shared, read_mode: ReadMode) -> Driver<S> {
        Driver {
            connection: Connection::new(Client::Unix, 0, &shared, &NOW),
            service: RecordingService::new(service),
            shared,
            now: NOW,
            output: Vec::new(),
            deferred: Vec::new(),
            keeps_commits: false,
            eof_sent: false,
            aborted: false,
            read_mode,
        }
    }

    /// The client sends `bytes` in one piece.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.connection.is_closed() {
            if self.connection.wants_input() {
                let space = self.connection.input_space(&mut self.shared, &self.now);
                assert!(!space.is_empty(), "the connection wants input but has no room for it");
                let taken = space.len().min(bytes.len());
                space[..taken].copy_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                self.connection.received(taken, &self.now);
                self.process();
            } else {
                let before = self.output.len();
                self.read_all();
                assert!(
                    self.connection.wants_input() || self.connection.is_closed() || self.output.len() > before,
                    "neither input nor output makes progress"
                );
            }
            if self.read_mode != ReadMode::Deferred {
                self.read_queued();
            }
        }
        // The loop does this when the connection goes idle, once the socket is empty.
        while self.flush_content() {
            if self.read_mode != ReadMode::Deferred {
                self.read_all();
            }
        }
        self.connection.release_idle_memory(&mut self.shared);
    }

    /// The client half-closes the connection, and reads the rest.
    pub(crate) fn half_close(&mut self) {
        self.connection.received_eof();
        self.read_all();
    }

    /// The server processes its input until it can make no progress. Returns whether it made any.
    pub(crate) fn process(&mut self) -> bool {
        let mut has_progressed = false;
        // Each step consumes a byte, ends a request, or ends the connection, so the number of steps is limited.
        for _ in 0..1_000_000 {
            match self.connection.process(&mut self.service, &mut self.shared, &self.now) {
                Step::Idle if self.keeps_commits || !self.commit() => return has_progressed,
                Step::Deferred(commit) => self.deferred.push(((), *commit)),
                Step::Idle | Step::Progress | Step::SlowProgress => {}
            }
            has_progressed = true;
        }
        panic!("the connection never stops making progress");
    }

    /// The service commits the deferred upload, if there is one, as the loop does a moment later.
    pub(crate) fn commit(&mut self) -> bool {
        let group = std::mem::take(&mut self.deferred);
        let responses = self.service.commit(group, &self.now);
        let any = !responses.is_empty();
        for ((), response) in responses {
            self.connection.committed(response, &mut self.shared, &self.now);
        }
        any
    }

    /// The client reads until there is nothing more to read, and the connection goes idle.
    pub(crate) fn read_all(&mut self) {
        self.read_queued();
        while self.flush_content() {
            self.read_queued();
        }
    }

    /// The client reads until there is nothing more to read. The connection does not go idle, because more input follows.
    fn read_queued(&mut self) {
        let bytes_max = if self.read_mode == ReadMode::ByteByByte { 1 } else { usize::MAX };
        while self.process() | self.read(bytes_max) {}
    }

    /// Writes the gathered content to its sink, as the loop does when the connection goes idle. Returns whether there was
    /// any.
    pub(crate) fn flush_content(&mut self) -> bool {
        self.connection.flush_content(&mut self.shared, &self.now) != Step::Idle
    }

    /// The client reads at most `bytes_max` bytes. Returns whether the server sent any, or half-closed.
    pub(crate) fn read(&mut self, bytes_max: usize) -> bool {
        let taken = match self.connection.transmit(&self.now) {
            None => return false,
            Some(Transmit::End) => {
                assert!(!self.eof_sent, "the server half-closes twice");
                self.eof_sent = true;
                self.connection.end_transmitted(&mut self.shared, &self.now);
                return true;
            }
            Some(Transmit::Bytes { bytes, .. }) => take(&mut self.output, bytes, bytes_max),
            Some(Transmit::File { .. } | Transmit::NotInMemory) => panic!("the test service serves no files"),
            Some(Transmit::Pending) => 0,
            Some(Transmit::Abort) => {
                self.aborted = true;
                self.connection.close(Outcome::CutOff, &mut self.shared, &self.now);
                return false;
            }
        };
        assert!(!self.eof_sent, "the server sends bytes after its half-close");
        self.connection.transmitted(taken as u64, &mut self.shared, &self.now);
        true
    }

    /// Advances the clock, and lets a deadline that has passed expire.
    pub(crate) fn advance_clock(&mut self, ns: u64) {
        self.now.monotonic_ns += ns;
        self.now.unix_ns += ns;
        self.connection.expire(self.now.monotonic_ns, &mut self.shared, &self.now);
    }

    /// The time until the connection's deadline; `None` if it has none.
    pub(crate) fn time_to_deadline_ns(&self) -> Option<u64> {
        match self.connection.deadline_ns() {
            u64::MAX => None,
            deadline => Some(deadline.saturating_sub(self.now.monotonic_ns)),
        }
    }

    pub(crate) fn transcript(&self) -> Transcript {
        Transcript { output: self.output.clone(), requests: self.service.requests(), eof_sent: self.eof_sent }
    }
}

fn take(output: &mut Vec<u8>, bytes: &[u8], bytes_max: usize) -> usize {
    assert!(!bytes.is_empty(), "the connection offers an empty slice for sending");
    let taken = bytes.len().min(bytes_max);
    output.extend_from_slice(&bytes[..taken]);
    taken
}

/// Sends `bytes`, split before each offset in `splits`. With `half_closed` the client's half-close arrives together
/// with the last byte.
pub(crate) fn run<S: Service>(
    service: S,
    settings: Settings,
    bytes: &[u8],
    splits: &[usize],
    read_mode: ReadMode,
    half_closed: bool,
) -> (Transcript, Driver<S>) {
    let mut driver = Driver::new(service, settings, read_mode);
    let mut start = 0;
    for end in splits.iter().copied().chain([bytes.len()]) {
        if end == bytes.len() && half_closed {
            let last = end.saturating_sub(1);
            driver.send(&bytes[start..last]);
            send_and_half_close(&mut driver, &bytes[last..]);
        } else {
            driver.send(&bytes[start..end]);
        }
        start = end;
    }
    driver.read_all();
    (driver.transcript(), driver)
}

/// The server processes the last bytes only when the half-close has arrived too.
fn send_and_half_close<S: Service>(driver: &mut Driver<S>, bytes: &[u8]) {
    if driver.connection.wants_input() {
        driver.connection.input_space(&mut driver.shared, &driver.now)[..bytes.len()].copy_from_slice(bytes);
        driver.connection.received(bytes.len(), &driver.now);
    }
    driver.connection.received_eof();
}
