//! The simulated world, as the loop sees it.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::rc::Rc;
use std::time::Duration;

use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::request::Endpoint;
use spindle::semantics::service::FilePiece;
use spindle::server::{AcceptError, Event, Io, Readiness, SendFileError, Transport, World};

use crate::client::{Connection, Segment};
use crate::network::{HELD_BACK_NS, Network, PendingEvent};

/// The clock's time at the start of the simulation. It is not 0, as no real clock starts at 0.
pub(crate) const START: Now = Now { monotonic_ns: 3_600_000_000_000, unix_ns: 784_111_777_000_000_000 };

const MEBIBYTE: u64 = 1024 * 1024;

/// A world whose waits return at most `EVENTS` events.
pub(crate) struct TestWorld<const EVENTS: usize> {
    network: Network,
    events: Vec<Event>,
}

impl<const EVENTS: usize> TestWorld<EVENTS> {
    pub(crate) fn new(network: &Network) -> TestWorld<EVENTS> {
        TestWorld { network: network.clone(), events: Vec::new() }
    }
}

impl<const EVENTS: usize> World for TestWorld<EVENTS> {
    type Transport = TestTransport;

    const EVENTS_MAX: usize = EVENTS;

    fn now(&mut self) -> Now {
        self.network.inner.borrow_mut().run_due_actions();
        let now_ns = self.network.now_ns();
        Now { monotonic_ns: START.monotonic_ns + now_ns, unix_ns: START.unix_ns + now_ns }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        inner.run_due_actions();
        inner.record_wait();
        if inner.pending.is_empty() && timeout != Some(Duration::ZERO) {
            let timeout_ns = timeout.map(|timeout| self.network.now_ns() + timeout.as_nanos() as u64);
            let wake_ns = timeout_ns.into_iter().chain(inner.next_ns()).min();
            let wake_ns = wake_ns.expect("the loop waits for ever although the test is not over");
            self.network.clock.set(wake_ns);
            inner.run_due_actions();
        }
        self.events.clear();
        let count = inner.pending.len().min(EVENTS);
        let events: Vec<PendingEvent> = inner.pending.drain(..count).collect();
        for event in events {
            self.events.push(match event {
                PendingEvent::Signal => Event::Shutdown,
                PendingEvent::Listener(listener) => Event::Listener(listener),
                PendingEvent::Connection(connection) => {
                    let send_buffer_bytes = inner.settings.send_buffer_bytes;
                    let connection = &mut inner.connections[connection];
                    connection.is_pending = false;
                    let Some(key) = connection.key else { continue };
                    Event::Connection { key, readiness: readiness(connection, send_buffer_bytes) }
                }
            });
        }
        inner.is_active |= !self.events.is_empty();
        Ok(())
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        self.events.iter().copied()
    }

    fn listener_count(&self) -> usize {
        self.network.inner.borrow().backlogs.len()
    }

    fn endpoint(&self, listener: usize) -> Endpoint {
        let is_admin = listener < self.network.inner.borrow().settings.admin_listeners;
        if is_admin { Endpoint::Admin } else { Endpoint::Public }
    }

    fn accept(&mut self, listener: usize) -> Result<(TestTransport, Client), AcceptError> {
        let mut inner = self.network.inner.borrow_mut();
        inner.run_due_actions();
        let (open, descriptors) = (inner.open, inner.settings.descriptors);
        if inner.backlogs[listener].is_empty() {
            return Err(AcceptError::WouldBlock);
        }
        if open >= descriptors {
            inner.accept_failures += 1;
            return Err(AcceptError::Listener(io::Error::other("too many open files")));
        }
        let connection = inner.backlogs[listener].pop_front().ok_or(AcceptError::WouldBlock)?;
        inner.open += 1;
        let call_ns = inner.settings.call_ns;
        inner.record_call(call_ns);
        let client = Client::at(inner.connections[connection].ip, connection as u16);
        Ok((TestTransport { network: self.network.clone(), connection }, client))
    }

    fn register(&mut self, transport: &mut TestTransport, key: usize) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        inner.run_due_actions();
        let connection = &mut inner.connections[transport.connection];
        connection.key = Some(key);
        connection.was_registered = true;
        // As with epoll, a new registration reports its readiness once.
        inner.notify(transport.connection);
        Ok(())
    }

    fn close_inherited_listeners(&mut self) {
        let mut inner = self.network.inner.borrow_mut();
        let inherited = inner.settings.inherited();
        inner.waiting = Some(inner.backlogs[inherited].iter_mut().flat_map(std::mem::take).collect());
    }

    fn hand_over_silent_connections(&mut self) -> u64 {
        let settings = &mut self.network.inner.borrow_mut().settings;
        if std::mem::take(&mut settings.holds_back) { HELD_BACK_NS } else { 0 }
    }

    fn hold_back_silent_connections(&mut self) {
        let mut network = self.network.inner.borrow_mut();
        network.settings.holds_back = network.holds_back_at_start;
    }

    fn close_listeners(&mut self) {
        self.network.inner.borrow_mut().close_listeners();
    }
}

/// As with epoll, the readiness is that at the time of the wait, whichever event caused it.
fn readiness(connection: &Connection, send_buffer_bytes: u64) -> Readiness {
    let eof_arrived = connection.eof_arrived || connection.is_reset;
    Readiness {
        readable: !connection.arrived.is_empty() || eof_arrived,
        writable: send_buffer_bytes - connection.buffered >= send_buffer_bytes / 3 || connection.is_reset,
        short_reads_inconclusive: eof_arrived || connection.urgent_at.is_some(),
        failed: connection.is_reset,
    }
}

/// The server's end of a connection.
pub(crate) struct TestTransport {
    network: Network,
    connection: usize,
}

impl Drop for TestTransport {
    fn drop(&mut self) {
        self.network.inner.borrow_mut().transport_dropped(self.connection);
    }
}

impl TestTransport {
    fn send_segment(&self, segment: Segment, took_ns: impl Fn(u64) -> u64) -> io::Result<Io> {
        let mut inner = self.network.inner.borrow_mut();
        inner.calls += 1;
        if inner.connections[self.connection].is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let Some(bytes) = inner.send(self.connection, segment) else { return Ok(Io::WouldBlock) };
        let took_ns = took_ns(bytes) + inner.settings.call_ns;
        inner.record_call(took_ns);
        Ok(Io::Done(bytes as usize))
    }
}

impl Transport for TestTransport {
    type File = TestFile;

    fn receive(&mut self, space: &mut [u8]) -> io::Result<Io> {
        assert!(!space.is_empty(), "the loop never receives into an empty slice");
        let mut inner = self.network.inner.borrow_mut();
        inner.calls += 1;
        let call_ns = inner.settings.call_ns;
        let connection = &mut inner.connections[self.connection];
        if connection.is_reset && connection.arrived.is_empty() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let mut bytes = space.len().min(connection.arrived.len());
        match connection.urgent_at {
            Some(0) => connection.urgent_at = None,
            Some(before) if before <= bytes => {
                bytes = before;
                connection.urgent_at = Some(0);
            }
            Some(before) => connection.urgent_at = Some(before - bytes),
            None => {}
        }
        if bytes == 0 {
            if connection.eof_arrived {
                return Ok(Io::Done(0));
            }
            inner.record_blocked_call();
            return Ok(Io::WouldBlock);
        }
        connection.arrived.read_exact(&mut space[..bytes])?;
        inner.touched.push(self.connection);
        inner.record_call(call_ns);
        Ok(Io::Done(bytes))
    }

    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<Io> {
        assert!(!bytes.is_empty(), "the loop never sends an empty slice");
        self.send_segment(Segment::Bytes(bytes.to_vec()), |_| 0)
    }

    fn send_file(&mut self, file: &TestFile, bytes_max: usize) -> Result<Io, SendFileError> {
        if file.bytes_until_error == 0 {
            return Err(SendFileError::File(io::Error::other("the disk is broken")));
        }
        let bytes = file.bytes_left.min(file.bytes_until_error).min(bytes_max as u64);
        let mebibyte_ns = self.network.inner.borrow().settings.file_mebibyte_ns;
        let (bytes, read_ns) = file.cold.as_ref().map_or((bytes, 0), |cold| cold.read(bytes));
        let took_ns = |bytes| u128::from(mebibyte_ns) * u128::from(bytes) / u128::from(MEBIBYTE);
        self.send_segment(Segment::File(bytes), |bytes| read_ns + took_ns(bytes) as u64)
            .map_err(SendFileError::Connection)
    }

    fn shut_down_sending(&mut self) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        let connection = &mut inner.connections[self.connection];
        if connection.is_reset {
            return Err(ErrorKind::NotConnected.into());
        }
        connection.server_half_closed = true;
        inner.touched.push(self.connection);
        inner.record_call(0);
        Ok(())
    }

    fn reset_on_close(&mut self) {
        self.network.inner.borrow_mut().connections[self.connection].reset();
    }

    fn send_buffer_bytes(&self) -> u64 {
        self.network.inner.borrow().settings.send_buffer_bytes
    }
}

/// The rest of a file, which has only a length.
#[derive(Debug)]
pub(crate) struct TestFile {
    pub bytes_left: u64,
    /// The number of bytes before a read error.
    pub bytes_until_error: u64,
    /// `None` if it is in memory.
    pub cold: Option<ColdFile>,
}

/// How many bytes of a file that is not in memory the disk reads ahead at a time.
pub(crate) const COLD_PIECE_BYTES: u64 = 100_000;

/// A file that is not in memory, piece by piece.
#[derive(Debug)]
pub(crate) struct ColdFile {
    clock: Rc<Cell<u64>>,
    /// How long the disk takes for a piece.
    read_ns: u64,
    /// Whether it is only read when somebody waits for it.
    is_stuck: bool,
    /// How much of the current piece is left, and when it is in memory, if that has been asked for.
    piece_left: Cell<u64>,
    ready_ns: Cell<Option<u64>>,
}

impl ColdFile {
    pub(crate) fn new(clock: &Rc<Cell<u64>>, read_ns: u64, is_stuck: bool) -> ColdFile {
        let (piece_left, ready_ns) = (Cell::new(COLD_PIECE_BYTES), Cell::new(None));
        ColdFile { clock: Rc::clone(clock), read_ns, is_stuck, piece_left, ready_ns }
    }

    fn is_in_memory(&self) -> bool {
        self.ready_ns.get().is_some_and(|ready_ns| ready_ns <= self.clock.get())
    }

    fn bytes_in_memory(&self) -> u64 {
        let after_ns = if self.is_stuck { u64::MAX } else { self.clock.get() + self.read_ns };
        self.ready_ns.set(self.ready_ns.get().or(Some(after_ns)));
        if self.is_in_memory() { self.piece_left.get() } else { 0 }
    }

    /// How many bytes are read instead of `bytes`, and how long the caller waits for the disk.
    fn read(&self, bytes: u64) -> (u64, u64) {
        let wait_ns = if self.is_in_memory() { 0 } else { self.read_ns };
        (bytes.min(self.piece_left.get()), wait_ns)
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.piece_left.set(self.piece_left.get() - bytes);
        if self.piece_left.get() == 0 {
            self.piece_left.set(COLD_PIECE_BYTES);
            self.ready_ns.set(None);
        }
    }
}

impl FilePiece for TestFile {
    fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    fn bytes_in_memory(&self, _: &Now) -> u64 {
        self.cold.as_ref().map_or(self.bytes_left, |cold| cold.bytes_in_memory().min(self.bytes_left))
    }
}

impl fmt::Display for TestFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the test's file")
    }
}
