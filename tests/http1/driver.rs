//! Plays the socket: hands bytes to a [`Connection`] in given cuts, and takes its output in given amounts.

use spindle::http1::{Connection, Settings, Shared, Step, Transmit};
use spindle::semantics::Now;
use spindle::semantics::exchange_record::Outcome;
use spindle::semantics::service::Service;

use crate::service::{Recorder, Seen};

/// Sun, 06 Nov 1994 08:49:37 GMT.
pub(crate) const NOW: Now = Now { monotonic_ns: 0, unix_ns: 784_111_777_000_000_000 };
pub(crate) const NOW_TEXT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// How the peer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All at once.
    Everything,
    /// One byte, and the server may think between any two.
    ByteByByte,
    /// Nothing before all is sent, unless the server would hear no more otherwise.
    Late,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub output: Vec<u8>,
    pub seen: Vec<Seen>,
    /// Whether the server has shut its writing side.
    pub ended: bool,
}

/// A connection, its service, and what has been sent.
pub(crate) struct Driver<S: Service> {
    pub connection: Connection<Recorder<S>>,
    pub service: Recorder<S>,
    pub shared: Shared,
    pub now: Now,
    pub output: Vec<u8>,
    pub ended: bool,
    /// Whether the content of a response could not be completed.
    pub aborted: bool,
    reading: Reading,
}

impl<S: Service> Driver<S> {
    pub(crate) fn new(service: S, settings: Settings, reading: Reading) -> Driver<S> {
        let shared = Shared::new(settings);
        Driver {
            connection: Connection::new(0, &shared, &NOW),
            service: Recorder::new(service),
            shared,
            now: NOW,
            output: Vec::new(),
            ended: false,
            aborted: false,
            reading,
        }
    }

    /// The peer sends `bytes` in one piece.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.connection.is_closed() {
            if self.connection.wants_input() {
                let space = self.connection.input_space(&mut self.shared);
                assert!(!space.is_empty(), "input is wanted and there is no room for it");
                let taken = space.len().min(bytes.len());
                space[..taken].copy_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                self.connection.received(taken);
                self.think();
            } else {
                let before = self.output.len();
                self.read_all();
                assert!(
                    self.connection.wants_input() || self.connection.is_closed() || self.output.len() > before,
                    "neither input nor output moves"
                );
            }
            if self.reading != Reading::Late {
                self.read_on();
            }
        }
        // What the loop does when the connection goes idle, and not before the socket is empty.
        if self.flush() && self.reading != Reading::Late {
            self.read_all();
        }
        self.connection.release_idle_memory(&mut self.shared);
    }

    /// The peer shuts its writing side.
    pub(crate) fn receive_end(&mut self) {
        self.connection.received_eof();
        self.read_all();
    }

    /// The server makes what it can of what it has. Returns whether anything moved.
    pub(crate) fn think(&mut self) -> bool {
        let mut moved = false;
        // Each step uses up a byte, ends a request, or ends the connection.
        for _ in 0..1_000_000 {
            if self.connection.process(&mut self.service, &mut self.shared, &self.now) == Step::Idle {
                return moved;
            }
            moved = true;
        }
        panic!("steps without end");
    }

    /// The peer reads until there is nothing more to read, and the connection goes idle.
    pub(crate) fn read_all(&mut self) {
        self.read_on();
        while self.flush() {
            self.read_on();
        }
    }

    /// The peer reads until there is nothing more to read. The connection does not go idle: there is more to receive.
    fn read_on(&mut self) {
        let bytes_max = if self.reading == Reading::ByteByByte { 1 } else { usize::MAX };
        while self.think() | self.read(bytes_max) {}
    }

    /// The connection goes idle: content that was gathered is handed over. Returns whether there was any.
    pub(crate) fn flush(&mut self) -> bool {
        self.connection.flush_content(&mut self.shared, &self.now) != Step::Idle
    }

    /// The peer reads at most so many bytes. Returns whether there were any, or the end.
    pub(crate) fn read(&mut self, bytes_max: usize) -> bool {
        let taken = match self.connection.transmit() {
            None => return false,
            Some(Transmit::End) => {
                assert!(!self.ended, "one end");
                self.ended = true;
                self.connection.end_transmitted(&mut self.shared, &self.now);
                return true;
            }
            Some(Transmit::Bytes { bytes, .. }) => take(&mut self.output, bytes, bytes_max),
            Some(Transmit::File { .. }) => panic!("no files are served here"),
            Some(Transmit::Pending) => 0,
            Some(Transmit::Abort) => {
                self.aborted = true;
                self.connection.close(Outcome::CutOff, &mut self.shared, &self.now);
                return false;
            }
        };
        assert!(!self.ended, "bytes behind the end");
        self.connection.transmitted(taken as u64, &mut self.shared, &self.now);
        true
    }

    /// Time passes, and what is due is done.
    pub(crate) fn wait_ns(&mut self, ns: u64) {
        self.now.monotonic_ns += ns;
        self.now.unix_ns += ns;
        self.connection.expire(self.now.monotonic_ns, &mut self.shared, &self.now);
    }

    /// How long the connection is willing to wait from now; `None` for ever.
    pub(crate) fn patience_ns(&self) -> Option<u64> {
        match self.connection.deadline_ns() {
            u64::MAX => None,
            deadline => Some(deadline.saturating_sub(self.now.monotonic_ns)),
        }
    }

    pub(crate) fn outcome(&self) -> Observed {
        Observed { output: self.output.clone(), seen: self.service.seen(), ended: self.ended }
    }
}

fn take(output: &mut Vec<u8>, bytes: &[u8], bytes_max: usize) -> usize {
    assert!(!bytes.is_empty(), "nothing is offered for sending");
    let taken = bytes.len().min(bytes_max);
    output.extend_from_slice(&bytes[..taken]);
    taken
}

/// Runs `bytes`, cut before each offset in `cuts`. With `half_closed` the peer's end comes with the last piece.
pub(crate) fn run<S: Service>(
    service: S,
    settings: Settings,
    bytes: &[u8],
    cuts: &[usize],
    reading: Reading,
    half_closed: bool,
) -> (Observed, Driver<S>) {
    let mut driver = Driver::new(service, settings, reading);
    let mut start = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        if end == bytes.len() && half_closed {
            let last = end.saturating_sub(1);
            driver.receive(&bytes[start..last]);
            hand_over(&mut driver, &bytes[last..]);
        } else {
            driver.receive(&bytes[start..end]);
        }
        start = end;
    }
    driver.read_all();
    (driver.outcome(), driver)
}

/// The last bytes and the end in one: the server thinks only when both are there.
fn hand_over<S: Service>(driver: &mut Driver<S>, bytes: &[u8]) {
    if driver.connection.wants_input() {
        driver.connection.input_space(&mut driver.shared)[..bytes.len()].copy_from_slice(bytes);
        driver.connection.received(bytes.len());
    }
    driver.connection.received_eof();
}
