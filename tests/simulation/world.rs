//! The simulated world as the loop sees it: epoll's readiness, sockets, and a clock.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;

use spindle::semantics::Now;
use spindle::semantics::service::FilePiece;
use spindle::server::{AcceptError, Event, Io, Readiness, SendFileError, Transport, World};

use crate::simulation::line::{Line, Stage};
use crate::simulation::network::{Inner, MILLISECOND, Network, SECOND, START_UNIX_NS, Told};
use crate::simulation::patience::Step;

/// The monotonic clock does not begin at 0, as none does.
const START_MONOTONIC_NS: u64 = 3_600 * SECOND;

/// What pieces of files are sent from.
pub(crate) trait SentFile: FilePiece {
    /// Reads what comes next of the piece: 0 bytes only where nothing is left.
    fn read(&self, space: &mut [u8]) -> io::Result<usize>;
}

/// A world whose waits tell at most so many events.
pub(crate) struct SimulatedWorld<F, const EVENTS: usize> {
    network: Network,
    events: Vec<Event>,
    file: std::marker::PhantomData<F>,
}

impl<F, const EVENTS: usize> SimulatedWorld<F, EVENTS> {
    pub(crate) fn new(network: &Network) -> SimulatedWorld<F, EVENTS> {
        SimulatedWorld { network: network.clone(), events: Vec::new(), file: std::marker::PhantomData }
    }
}

impl<F, const EVENTS: usize> Drop for SimulatedWorld<F, EVENTS> {
    fn drop(&mut self) {
        self.network.inner.borrow_mut().close_listeners();
    }
}

impl<F: SentFile, const EVENTS: usize> World for SimulatedWorld<F, EVENTS> {
    type Transport = SimulatedTransport<F>;

    const EVENTS_MAX: usize = EVENTS;

    fn now(&mut self) -> Now {
        let mut inner = self.network.inner.borrow_mut();
        inner.catch_up();
        let now_ns = inner.now_ns();
        let unix_ns = (START_UNIX_NS + now_ns).wrapping_add_signed(inner.clock_offset_ns);
        Now { monotonic_ns: START_MONOTONIC_NS + now_ns, unix_ns }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        inner.catch_up();
        let (now_ns, told) = (inner.now_ns(), inner.told.len());
        inner.turn.begin(now_ns, told);
        if inner.signal_was_told && inner.shutdown.is_none() {
            inner.shutdown = Some(inner.moment());
        }
        inner.sleeps_for = timeout;
        inner.falls_asleep();
        if inner.told.is_empty() && timeout != Some(Duration::ZERO) {
            inner.check_sleep();
            // Polls sleep for whole milliseconds, and no less than asked for.
            let timeout_ns = timeout.map(|timeout| now_ns + (timeout.as_nanos() as u64).next_multiple_of(MILLISECOND));
            sleep(&mut inner, timeout_ns);
        }
        self.events.clear();
        // What is not ready any more takes no event's place.
        while self.events.len() < EVENTS {
            let Some(told) = inner.told.pop_front() else { break };
            self.events.extend(match told {
                Told::Signal => {
                    inner.signal_was_told = true;
                    Some(Event::Shutdown)
                }
                Told::Listener(listener) => Some(Event::Listener(listener)),
                Told::Line(line) => {
                    let is_spurious = {
                        let one_in = inner.settings.faults.spurious_event;
                        inner.fault(line, one_in, "spurious event")
                    };
                    let line = &mut inner.lines[line];
                    line.is_announced = false;
                    line.key().and_then(|key| event(line, key, is_spurious))
                }
            });
        }
        inner.wakes_up();
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, usize::MAX, "turn", self.events.len() as u64);
        Ok(())
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        self.events.iter().copied()
    }

    fn listeners(&self) -> usize {
        self.network.inner.borrow().backlogs.as_ref().map_or(0, Vec::len)
    }

    fn accept(&mut self, listener: usize, key: usize) -> Result<(SimulatedTransport<F>, SocketAddr), AcceptError> {
        let mut inner = self.network.inner.borrow_mut();
        inner.catch_up();
        inner.turn.accepted(listener);
        let faults = inner.settings.faults;
        let is_short = inner.open >= inner.settings.descriptors;
        let backlog = inner.backlogs.as_mut().and_then(|backlogs| backlogs.get_mut(listener));
        let backlog = backlog.filter(|backlog| !backlog.is_empty()).ok_or(AcceptError::WouldBlock)?;
        if is_short {
            inner.coverage.count("network", "accept without a descriptor");
            return Err(AcceptError::Listener(io::Error::other("too many open files")));
        }
        let line = backlog.pop_front().ok_or(AcceptError::WouldBlock)?;
        if inner.fault(line, faults.stolen_descriptor, "descriptor taken by another process") {
            if let Some(backlogs) = &mut inner.backlogs {
                backlogs[listener].push_front(line);
            }
            return Err(AcceptError::Listener(io::Error::other("too many open files in the system")));
        }
        if inner.fault(line, faults.failed_accept, "connection lost before it is accepted") {
            inner.lines[line].stage = Stage::Closed;
            inner.lines[line].reset_client();
            inner.call_client_of(line);
            return Err(AcceptError::Connection(ErrorKind::ConnectionAborted.into()));
        }
        inner.open += 1;
        inner.worked(line);
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, line, "accepted as", key as u64);
        inner.lines[line].stage = Stage::Accepted(key);
        inner.lines[line].accepted_ns = Some(now_ns);
        inner.note(line, Step::Accepted);
        // What is registered is told once of what it is ready for.
        inner.announce(line);
        let client = SocketAddr::from(([127, 0, 0, 1], line as u16));
        Ok((SimulatedTransport { network: self.network.clone(), line, file: std::marker::PhantomData }, client))
    }

    fn close_listeners(&mut self) {
        self.network.inner.borrow_mut().close_listeners();
    }
}

/// Lets time pass until there is something to tell, or until that time.
fn sleep(inner: &mut Inner, timeout_ns: Option<u64>) {
    let now_ns = inner.now_ns();
    let mut until_ns = timeout_ns;
    let one_in = inner.settings.faults.interrupted_wait;
    // No connection's: made from the time.
    let mut random = fastrand::Rng::with_seed(now_ns);
    let first_ns = timeout_ns.into_iter().chain(inner.next_ns()).min().filter(|first_ns| *first_ns > now_ns);
    if one_in > 0
        && random.u64(..one_in) == 0
        && let Some(first_ns) = first_ns
    {
        inner.coverage.count("fault", "wait is interrupted");
        until_ns = Some(random.u64(now_ns + 1..=first_ns));
    }
    // Each round lets something happen, or is the last one.
    while inner.told.is_empty() {
        let next_ns = until_ns.into_iter().chain(inner.next_ns()).min();
        let Some(next_ns) = next_ns else {
            // Nothing will ever happen: the loop sleeps for good, and the run goes on from here.
            inner.rests = true;
            return;
        };
        inner.pass_until(next_ns);
        inner.catch_up();
        if until_ns.is_some_and(|until_ns| until_ns <= next_ns) {
            return;
        }
    }
}

/// As epoll tells it: all that is true when it is asked, whatever the event was; none if nothing is.
fn event(line: &Line, key: usize, is_spurious: bool) -> Option<Event> {
    let has_ended = line.end_has_arrived || line.reset_has_arrived;
    let readable = !line.arrived.is_empty() || has_ended;
    let writable = line.is_writable();
    let readiness = Readiness {
        readable: readable || is_spurious,
        writable: writable || is_spurious,
        short_reads_inconclusive: has_ended || line.is_urgent(),
    };
    (readiness.readable || readiness.writable).then_some(Event::Connection { key, readiness })
}

/// The server's end of a connection.
pub(crate) struct SimulatedTransport<F> {
    network: Network,
    line: usize,
    file: std::marker::PhantomData<F>,
}

impl<F> Drop for SimulatedTransport<F> {
    fn drop(&mut self) {
        self.network.inner.borrow_mut().server_closed(self.line);
    }
}

impl<F> SimulatedTransport<F> {
    /// How many bytes a call to send may take; `None` where it would block.
    fn room(&mut self) -> io::Result<Option<usize>> {
        let mut inner = self.network.inner.borrow_mut();
        let (line, faults) = (self.line, inner.settings.faults);
        inner.turn.called(line);
        if inner.lines[line].reset_has_arrived {
            return Err(ErrorKind::ConnectionReset.into());
        }
        assert!(!inner.lines[line].server_has_ended, "nothing is sent behind the end");
        let room = inner.lines[line].room();
        let is_blocked = room > 0 && inner.fault(line, faults.blocked_send, "send would block");
        if is_blocked {
            inner.keep_back(line);
        }
        if room == 0 || is_blocked {
            inner.lines[line].wants_room = true;
            inner.note(line, Step::Blocked);
            inner.turn.blocked(line);
            return Ok(None);
        }
        let is_short = room > 1 && inner.fault(line, faults.short_send, "send takes a part");
        Ok(Some(if is_short { inner.lines[line].random.usize(1..room) } else { room }))
    }

    fn sent(&mut self, bytes: &[u8]) -> Io {
        let mut inner = self.network.inner.borrow_mut();
        if (inner.is_off)() {
            return Io::Done(bytes.len());
        }
        // What was due before leaves without these bytes.
        inner.catch_up();
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, self.line, "sends", bytes.len() as u64);
        if bytes.starts_with(b"HTTP/1.1 ") {
            inner.trace.describe(now_ns, self.line, "sends", bytes);
        }
        let line = &mut inner.lines[self.line];
        line.outgoing.extend(bytes);
        line.output.extend_from_slice(bytes);
        line.output_ns = now_ns;
        inner.note(self.line, Step::Sent(bytes.len() as u64));
        inner.turn.moved(self.line, bytes.len() as u64);
        let filled_buffer = inner.settings.faults.filled_buffer;
        inner.lines[self.line].is_filled |= inner.fault(self.line, filled_buffer, "send fills the buffer");
        inner.set_off(self.line);
        inner.worked(self.line);
        Io::Done(bytes.len())
    }
}

impl<F: SentFile> Transport for SimulatedTransport<F> {
    type File = F;

    fn receive(&mut self, space: &mut [u8]) -> io::Result<Io> {
        assert!(!space.is_empty(), "there is room for what is asked for");
        let mut inner = self.network.inner.borrow_mut();
        let (index, faults) = (self.line, inner.settings.faults);
        inner.turn.called(index);
        let line = &mut inner.lines[index];
        if line.reset_has_arrived {
            return Err(ErrorKind::ConnectionReset.into());
        }
        line.pass_urgent();
        let bytes = space.len().min(line.readable_bytes());
        if bytes == 0 && line.arrived.is_empty() && line.end_has_arrived {
            line.end_was_read = true;
            return Ok(Io::Done(0));
        }
        let is_blocked = bytes > 0 && inner.fault(index, faults.blocked_receive, "receive would block");
        if is_blocked {
            inner.keep_back(index);
        }
        if bytes == 0 || is_blocked {
            inner.turn.blocked(index);
            return Ok(Io::WouldBlock);
        }
        let line = &mut inner.lines[index];
        line.arrived.read_exact(&mut space[..bytes])?;
        line.read_bytes += bytes as u64;
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, index, "receives", bytes as u64);
        inner.note(index, Step::Read(bytes as u64));
        inner.turn.moved(index, bytes as u64);
        inner.set_off(index);
        inner.worked(index);
        Ok(Io::Done(bytes))
    }

    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<Io> {
        assert!(!bytes.is_empty(), "nothing is not sent");
        let Some(room) = self.room()? else { return Ok(Io::WouldBlock) };
        Ok(self.sent(&bytes[..bytes.len().min(room)]))
    }

    fn send_file(&mut self, file: &F, bytes_max: usize) -> Result<Io, SendFileError> {
        let Some(room) = self.room().map_err(SendFileError::Connection)? else { return Ok(Io::WouldBlock) };
        let left = usize::try_from(file.bytes_left()).unwrap_or(usize::MAX);
        let bytes = room.min(bytes_max).min(left);
        let mut space = std::mem::take(&mut self.network.inner.borrow_mut().space);
        if space.len() < bytes {
            space.resize(bytes, 0);
        }
        let sent = match file.read(&mut space[..bytes]) {
            Ok(bytes) => Ok(self.sent(&space[..bytes])),
            Err(error) => Err(SendFileError::File(error)),
        };
        self.network.inner.borrow_mut().space = space;
        sent
    }

    fn shut_down_sending(&mut self) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        if (inner.is_off)() {
            return Ok(());
        }
        inner.catch_up();
        let (now_ns, line) = (inner.now_ns(), &mut inner.lines[self.line]);
        if line.reset_has_arrived {
            return Err(ErrorKind::NotConnected.into());
        }
        assert!(!line.server_has_ended, "the end is sent once");
        if (inner.is_off)() {
            return Ok(());
        }
        let line = &mut inner.lines[self.line];
        line.server_has_ended = true;
        inner.trace.note(now_ns, self.line, "ends", 0);
        inner.note(self.line, Step::Ended);
        inner.set_off(self.line);
        inner.worked(self.line);
        Ok(())
    }

    fn reset_on_close(&mut self) {
        self.network.inner.borrow_mut().lines[self.line].resets_on_close = true;
    }

    fn send_buffer_bytes(&self) -> u64 {
        self.network.inner.borrow().lines[self.line].path.send_buffer_bytes as u64
    }
}
