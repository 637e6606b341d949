//! The made-up world, as the loop sees it.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;

use spindle::semantics::Now;
use spindle::semantics::service::FilePiece;
use spindle::server::{AcceptError, Event, Io, Readiness, SendFileError, Transport, World};

use crate::client::{Line, Segment};
use crate::network::{Network, Told};

/// The loop's clock does not begin at 0, as no clock does.
pub(crate) const START: Now = Now { monotonic_ns: 3_600_000_000_000, unix_ns: 784_111_777_000_000_000 };

const MEBIBYTE: u64 = 1024 * 1024;

/// A world whose waits tell at most so many events.
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
        self.network.inner.borrow_mut().catch_up();
        let now_ns = self.network.now_ns();
        Now { monotonic_ns: START.monotonic_ns + now_ns, unix_ns: START.unix_ns + now_ns }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        inner.catch_up();
        inner.note_wait();
        if inner.told.is_empty() && timeout != Some(Duration::ZERO) {
            let timeout_ns = timeout.map(|timeout| self.network.now_ns() + timeout.as_nanos() as u64);
            let wake_ns = timeout_ns.into_iter().chain(inner.next_ns()).min();
            let wake_ns = wake_ns.expect("the loop sleeps for ever, and the test wants something of it");
            self.network.clock.set(wake_ns);
            inner.catch_up();
        }
        self.events.clear();
        let count = inner.told.len().min(EVENTS);
        let told: Vec<Told> = inner.told.drain(..count).collect();
        for told in told {
            self.events.push(match told {
                Told::Signal => Event::Shutdown,
                Told::Listener(listener) => Event::Listener(listener),
                Told::Line(line) => {
                    let send_buffer_bytes = inner.settings.send_buffer_bytes;
                    let line = &mut inner.lines[line];
                    line.is_told = false;
                    let Some(key) = line.key else { continue };
                    Event::Connection { key, readiness: readiness(line, send_buffer_bytes) }
                }
            });
        }
        inner.is_active |= !self.events.is_empty();
        Ok(())
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        self.events.iter().copied()
    }

    fn listeners(&self) -> usize {
        self.network.inner.borrow().backlogs.as_ref().map_or(0, Vec::len)
    }

    fn accept(&mut self, listener: usize, key: usize) -> Result<(TestTransport, SocketAddr), AcceptError> {
        let mut inner = self.network.inner.borrow_mut();
        inner.catch_up();
        let (open, descriptors) = (inner.open, inner.settings.descriptors);
        let backlog = inner.backlogs.as_mut().and_then(|backlogs| backlogs.get_mut(listener));
        let backlog = backlog.ok_or(AcceptError::WouldBlock)?;
        if backlog.is_empty() {
            return Err(AcceptError::WouldBlock);
        }
        if open >= descriptors {
            inner.accept_failures += 1;
            return Err(AcceptError::Listener(io::Error::other("too many open files")));
        }
        let line = backlog.pop_front().ok_or(AcceptError::WouldBlock)?;
        inner.open += 1;
        let call_ns = inner.settings.call_ns;
        inner.acted(call_ns);
        inner.lines[line].key = Some(key);
        // What is registered is told once of what it is ready for.
        inner.tell(line);
        let client = SocketAddr::from(([127, 0, 0, 1], line as u16));
        Ok((TestTransport { network: self.network.clone(), line }, client))
    }

    fn close_listeners(&mut self) {
        let mut inner = self.network.inner.borrow_mut();
        for line in inner.backlogs.take().into_iter().flatten().flatten() {
            inner.lines[line].reset();
        }
    }
}

/// As epoll tells it: all that is true when it is asked, whatever the event was.
fn readiness(line: &Line, send_buffer_bytes: u64) -> Readiness {
    let has_ended = line.has_ended || line.is_reset;
    Readiness {
        readable: !line.arrived.is_empty() || has_ended,
        writable: send_buffer_bytes - line.buffered >= send_buffer_bytes / 3 || line.is_reset,
        short_reads_inconclusive: has_ended || line.urgent_at.is_some(),
    }
}

/// The server's end of a connection.
pub(crate) struct TestTransport {
    network: Network,
    line: usize,
}

impl Drop for TestTransport {
    fn drop(&mut self) {
        self.network.inner.borrow_mut().transport_dropped(self.line);
    }
}

impl TestTransport {
    fn send_segment(&self, segment: Segment, took_ns: impl Fn(u64) -> u64) -> io::Result<Io> {
        let mut inner = self.network.inner.borrow_mut();
        inner.calls += 1;
        if inner.lines[self.line].is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let Some(bytes) = inner.send(self.line, segment) else { return Ok(Io::WouldBlock) };
        let took_ns = took_ns(bytes) + inner.settings.call_ns;
        inner.acted(took_ns);
        Ok(Io::Done(bytes as usize))
    }
}

impl Transport for TestTransport {
    type File = TestFile;

    fn receive(&mut self, space: &mut [u8]) -> io::Result<Io> {
        assert!(!space.is_empty(), "there is room for what is asked for");
        let mut inner = self.network.inner.borrow_mut();
        inner.calls += 1;
        let call_ns = inner.settings.call_ns;
        let line = &mut inner.lines[self.line];
        if line.is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let mut bytes = space.len().min(line.arrived.len());
        match line.urgent_at {
            Some(0) => line.urgent_at = None,
            Some(before) if before <= bytes => {
                bytes = before;
                line.urgent_at = Some(0);
            }
            Some(before) => line.urgent_at = Some(before - bytes),
            None => {}
        }
        if bytes == 0 {
            if line.has_ended {
                return Ok(Io::Done(0));
            }
            inner.note_blocked();
            return Ok(Io::WouldBlock);
        }
        line.arrived.read_exact(&mut space[..bytes])?;
        inner.touched.push(self.line);
        inner.acted(call_ns);
        Ok(Io::Done(bytes))
    }

    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<Io> {
        assert!(!bytes.is_empty(), "nothing is not sent");
        self.send_segment(Segment::Text(bytes.to_vec()), |_| 0)
    }

    fn send_file(&mut self, file: &TestFile, bytes_max: usize) -> Result<Io, SendFileError> {
        if file.fails_behind == 0 {
            return Err(SendFileError::File(io::Error::other("the disk is broken")));
        }
        let bytes = file.bytes_left.min(file.fails_behind).min(bytes_max as u64);
        let mebibyte_ns = self.network.inner.borrow().settings.file_mebibyte_ns;
        let took_ns = |bytes| u128::from(mebibyte_ns) * u128::from(bytes) / u128::from(MEBIBYTE);
        self.send_segment(Segment::File(bytes), |bytes| took_ns(bytes) as u64).map_err(SendFileError::Connection)
    }

    fn shut_down_sending(&mut self) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        let line = &mut inner.lines[self.line];
        if line.is_reset {
            return Err(ErrorKind::NotConnected.into());
        }
        line.server_has_ended = true;
        inner.touched.push(self.line);
        inner.acted(0);
        Ok(())
    }

    fn reset_on_close(&mut self) {
        self.network.inner.borrow_mut().lines[self.line].reset();
    }

    fn send_buffer_bytes(&self) -> u64 {
        self.network.inner.borrow().settings.send_buffer_bytes
    }
}

/// What is left of a file. Only its length exists.
#[derive(Debug)]
pub(crate) struct TestFile {
    pub bytes_left: u64,
    /// How many bytes can be read before the disk fails.
    pub fails_behind: u64,
}

impl FilePiece for TestFile {
    fn bytes_left(&self) -> u64 {
        self.bytes_left
    }
}

impl fmt::Display for TestFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the test's file")
    }
}
