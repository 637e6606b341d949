//! The simulated world as the event loop sees it: epoll's readiness, sockets, and clocks.

use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::service::FilePiece;
use spindle::server::{AcceptError, Event, Io, Readiness, SendFileError, Transport, World};

use crate::simulation::link::{Link, Stage};
use crate::simulation::network::{MILLISECOND, Network, NetworkState, Ready, SECOND, START_UNIX_NS};
use crate::simulation::proxies;
use crate::simulation::shares::Addresses;
use crate::simulation::timeouts::Step;

/// The monotonic clock does not start at 0, as on a real system.
const START_MONOTONIC_NS: u64 = 3_600 * SECOND;

/// A file piece that the simulation can read, in place of sendfile.
pub(crate) trait SentFile: FilePiece {
    /// Reads the next bytes of the piece: 0 only if nothing is left.
    fn read(&self, space: &mut [u8]) -> io::Result<usize>;
}

/// A world whose waits return at most `EVENTS` events.
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
        inner.handle_due_events();
        let now_ns = inner.now_ns();
        let unix_ns = (START_UNIX_NS + now_ns).wrapping_add_signed(inner.clock_offset_ns.get());
        Now { monotonic_ns: START_MONOTONIC_NS + now_ns, unix_ns }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut inner = self.network.inner.borrow_mut();
        inner.handle_due_events();
        let (now_ns, ready) = (inner.now_ns(), inner.ready.len());
        inner.turn.begin(now_ns, ready);
        inner.check_limit_of_addresses();
        if inner.signal_was_delivered && inner.shutdown.is_none() {
            inner.shutdown = Some(inner.moment());
        }
        inner.sleeps_for = timeout;
        inner.begin_sleep();
        if inner.ready.is_empty() && timeout != Some(Duration::ZERO) {
            inner.check_sleep();
            // A poll sleeps for whole milliseconds, rounded up.
            let timeout_ns = timeout.map(|timeout| now_ns + (timeout.as_nanos() as u64).next_multiple_of(MILLISECOND));
            sleep(&mut inner, timeout_ns);
        }
        self.events.clear();
        // A connection that is no longer ready gets no event.
        while self.events.len() < EVENTS {
            let Some(ready) = inner.ready.pop_front() else { break };
            self.events.extend(match ready {
                Ready::Signal => {
                    inner.signal_was_delivered = true;
                    Some(Event::Shutdown)
                }
                Ready::Reload => Some(Event::Reload),
                Ready::Listener(listener) => Some(Event::Listener(listener)),
                Ready::Link(link) => {
                    let is_spurious = {
                        let one_in = inner.settings.faults.spurious_event;
                        inner.fault(link, one_in, "spurious event")
                    };
                    let link = &mut inner.links[link];
                    link.is_notified = false;
                    link.key().and_then(|key| event(link, key, is_spurious))
                }
            });
        }
        inner.end_sleep();
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, usize::MAX, "turn", self.events.len() as u64);
        Ok(())
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        self.events.iter().copied()
    }

    fn listener_count(&self) -> usize {
        self.network.inner.borrow().backlogs.as_ref().map_or(0, Vec::len)
    }

    fn accept(&mut self, listener: usize) -> Result<(SimulatedTransport<F>, Client), AcceptError> {
        let mut inner = self.network.inner.borrow_mut();
        inner.handle_due_events();
        let may_refuse = inner.settings.addresses != Addresses::Own;
        inner.turn.accepted(listener, may_refuse);
        let faults = inner.settings.faults;
        let is_short = inner.open >= inner.settings.descriptors;
        let backlog = inner.backlogs.as_mut().and_then(|backlogs| backlogs.get_mut(listener));
        let backlog = backlog.filter(|backlog| !backlog.is_empty()).ok_or(AcceptError::WouldBlock)?;
        if is_short {
            inner.coverage.count("network", "accept without a descriptor");
            return Err(AcceptError::Listener(io::Error::other("too many open files")));
        }
        let link = backlog.pop_front().ok_or(AcceptError::WouldBlock)?;
        if inner.fault(link, faults.stolen_descriptor, "descriptor taken by another process") {
            if let Some(backlogs) = &mut inner.backlogs {
                backlogs[listener].push_front(link);
            }
            return Err(AcceptError::Listener(io::Error::other("too many open files in the system")));
        }
        if inner.fault(link, faults.failed_accept, "connection lost before it is accepted") {
            inner.links[link].stage = Stage::Closed;
            inner.links[link].reset_client();
            inner.call_client_of(link);
            return Err(AcceptError::Connection(ErrorKind::ConnectionAborted.into()));
        }
        inner.open += 1;
        inner.spend_call_time(link);
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, link, "accepted by listener", listener as u64);
        inner.links[link].stage = Stage::Accepted(None);
        inner.links[link].accepted_ns = Some(now_ns);
        inner.newest = Some(link);
        inner.note(link, Step::Accepted);
        let client = proxies::accepted(link, &inner.links[link]);
        Ok((SimulatedTransport { network: self.network.clone(), link, file: std::marker::PhantomData }, client))
    }

    fn register(&mut self, transport: &mut SimulatedTransport<F>, key: usize) -> io::Result<()> {
        let (mut inner, link) = (self.network.inner.borrow_mut(), transport.link);
        inner.handle_due_events();
        let one_in = inner.settings.faults.failed_registration;
        if inner.fault(link, one_in, "socket cannot be registered") {
            inner.links[link].was_not_registered = true;
            return Err(io::Error::other("too many watched sockets"));
        }
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, link, "registered as", key as u64);
        inner.links[link].stage = Stage::Accepted(Some(key));
        // epoll reports a new socket once, with its current readiness.
        inner.notify(link);
        Ok(())
    }

    fn hand_over_silent_connections(&mut self) -> u64 {
        self.network.inner.borrow_mut().stop_holding_back()
    }

    fn hold_back_silent_connections(&mut self) {
        self.network.inner.borrow_mut().hold_back_again();
    }

    fn close_listeners(&mut self) {
        self.network.inner.borrow_mut().close_listeners();
    }
}

/// Lets time pass until a notification is pending, or until the timeout.
fn sleep(inner: &mut NetworkState, timeout_ns: Option<u64>) {
    let now_ns = inner.now_ns();
    let mut until_ns = timeout_ns;
    let one_in = inner.settings.faults.interrupted_wait;
    // This belongs to no link, so the time is the seed.
    let mut random = fastrand::Rng::with_seed(now_ns);
    let first_ns = timeout_ns.into_iter().chain(inner.next_ns()).min().filter(|first_ns| *first_ns > now_ns);
    if one_in > 0
        && random.u64(..one_in) == 0
        && let Some(first_ns) = first_ns
    {
        inner.coverage.count("fault", "wait is interrupted");
        until_ns = Some(random.u64(now_ns + 1..=first_ns));
    }
    // Each iteration handles an event, or is the last one.
    while inner.ready.is_empty() {
        let next_ns = until_ns.into_iter().chain(inner.next_ns()).min();
        let Some(next_ns) = next_ns else {
            // No event is left: the loop would sleep for ever. The run continues from here.
            inner.is_quiescent = true;
            return;
        };
        inner.advance_to(next_ns);
        inner.handle_due_events();
        if until_ns.is_some_and(|until_ns| until_ns <= next_ns) {
            return;
        }
    }
}

/// The readiness at the time of the wait, as epoll reports it, whatever the notification was for; `None` if there is
/// none.
fn event(link: &Link, key: usize, is_spurious: bool) -> Option<Event> {
    let has_ended = link.end_has_arrived || link.reset_has_arrived;
    let readable = !link.arrived.is_empty() || has_ended;
    let writable = link.is_writable();
    let readiness = Readiness {
        readable: readable || is_spurious,
        writable: writable || is_spurious,
        short_reads_inconclusive: has_ended || link.is_urgent(),
        failed: link.reset_has_arrived,
    };
    (readiness.readable || readiness.writable).then_some(Event::Connection { key, readiness })
}

/// The server's socket of a connection.
pub(crate) struct SimulatedTransport<F> {
    network: Network,
    link: usize,
    file: std::marker::PhantomData<F>,
}

impl<F> Drop for SimulatedTransport<F> {
    fn drop(&mut self) {
        self.network.inner.borrow_mut().server_closed(self.link);
    }
}

impl<F> SimulatedTransport<F> {
    /// How many bytes a send may take; `None` if it would block.
    fn room(&mut self) -> io::Result<Option<usize>> {
        let mut inner = self.network.inner.borrow_mut();
        let (link, faults) = (self.link, inner.settings.faults);
        inner.turn.called(link);
        if inner.links[link].reset_has_arrived {
            return Err(ErrorKind::ConnectionReset.into());
        }
        assert!(!inner.links[link].server_has_ended, "nothing is sent after the half-close");
        let room = inner.links[link].room();
        let is_blocked = room > 0 && inner.fault(link, faults.blocked_send, "send would block");
        if is_blocked {
            inner.delay_notification(link);
        }
        if room == 0 || is_blocked {
            let now_ns = inner.now_ns();
            inner.trace.note(now_ns, link, "cannot send, with room for", room as u64);
            inner.links[link].wants_room = true;
            inner.note(link, Step::Blocked);
            inner.turn.blocked(link);
            return Ok(None);
        }
        let is_short = room > 1 && inner.fault(link, faults.short_send, "send takes a part");
        Ok(Some(if is_short { inner.links[link].random.usize(1..room) } else { room }))
    }

    fn sent(&mut self, bytes: &[u8]) -> Io {
        let mut inner = self.network.inner.borrow_mut();
        if (inner.is_off)() {
            return Io::Done(bytes.len());
        }
        // Events that were due before this call happen without these bytes.
        inner.handle_due_events();
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, self.link, "sends", bytes.len() as u64);
        if bytes.starts_with(b"HTTP/1.1 ") {
            inner.trace.describe(now_ns, self.link, "sends", bytes);
        }
        let link = &mut inner.links[self.link];
        link.outgoing.extend(bytes);
        link.output.extend_from_slice(bytes);
        link.output_ns = now_ns;
        inner.note(self.link, Step::Sent(bytes.len() as u64));
        inner.turn.moved(self.link, bytes.len() as u64);
        let filled_buffer = inner.settings.faults.filled_buffer;
        inner.links[self.link].is_filled |= inner.fault(self.link, filled_buffer, "send fills the buffer");
        inner.start_flights(self.link);
        inner.spend_call_time(self.link);
        Io::Done(bytes.len())
    }
}

impl<F: SentFile> Transport for SimulatedTransport<F> {
    type File = F;

    fn receive(&mut self, space: &mut [u8]) -> io::Result<Io> {
        assert!(!space.is_empty(), "the receive buffer is not empty");
        let mut inner = self.network.inner.borrow_mut();
        let (index, faults) = (self.link, inner.settings.faults);
        inner.turn.called(index);
        let link = &mut inner.links[index];
        link.pass_urgent();
        if link.reset_has_arrived && link.arrived.is_empty() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let bytes = space.len().min(link.readable_bytes());
        if bytes == 0 && link.arrived.is_empty() && link.end_has_arrived {
            link.end_was_read = true;
            return Ok(Io::Done(0));
        }
        // The error of a socket that has failed is pending, so no call on it blocks.
        let may_block = bytes > 0 && !inner.links[index].reset_has_arrived;
        let is_blocked = may_block && inner.fault(index, faults.blocked_receive, "receive would block");
        if is_blocked {
            inner.delay_notification(index);
        }
        if bytes == 0 || is_blocked {
            inner.turn.blocked(index);
            return Ok(Io::WouldBlock);
        }
        let link = &mut inner.links[index];
        link.arrived.read_exact(&mut space[..bytes])?;
        let of_client = link.read(bytes as u64);
        let now_ns = inner.now_ns();
        inner.trace.note(now_ns, index, "receives", bytes as u64);
        inner.note(index, Step::Read(of_client));
        inner.turn.moved(index, bytes as u64);
        inner.start_flights(index);
        inner.spend_call_time(index);
        Ok(Io::Done(bytes))
    }

    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<Io> {
        assert!(!bytes.is_empty(), "a send has bytes");
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
        inner.handle_due_events();
        let (now_ns, link) = (inner.now_ns(), &mut inner.links[self.link]);
        if link.reset_has_arrived {
            return Err(ErrorKind::NotConnected.into());
        }
        assert!(!link.server_has_ended, "the server half-closes once");
        link.server_has_ended = true;
        inner.trace.note(now_ns, self.link, "ends", 0);
        inner.note(self.link, Step::Ended);
        inner.start_flights(self.link);
        inner.spend_call_time(self.link);
        Ok(())
    }

    fn reset_on_close(&mut self) {
        self.network.inner.borrow_mut().links[self.link].resets_on_close = true;
    }

    fn send_buffer_bytes(&self) -> u64 {
        self.network.inner.borrow().links[self.link].path.send_buffer_bytes as u64
    }
}
