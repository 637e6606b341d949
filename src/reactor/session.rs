//! One socket and one connection: what a visit does.

use std::io;
use std::net::Shutdown;

use log::debug;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::socket::{self, Moved};
use crate::http1::{Commons, Connection, Step, Transmit};
use crate::semantics::Now;
use crate::semantics::service::{Piece, Service, Source};
use crate::storage::FileRange;

/// How many steps of the protocol a visit may take before others have their turn: a few rounds of pipelined requests.
const STEPS_PER_VISIT: u32 = 256;

/// How many octets a visit moves before others have their turn: at a gigabyte a second, a millisecond. One call more may
/// go past it, by as much again at most: a remainder of a few hundred octets would cost a visit and a packet of its own.
const OCTETS_PER_VISIT: usize = 1024 * 1024;

/// What all visits of a loop use.
pub(super) struct Workplace<S: Service> {
    pub(super) service: S,
    pub(super) commons: Commons,
    /// Where files are copied through on systems that cannot send them directly.
    scratch: Vec<u8>,
}

impl<S: Service> Workplace<S> {
    pub(super) fn new(service: S, commons: Commons) -> Workplace<S> {
        Workplace { service, commons, scratch: Vec::new() }
    }
}

/// What a socket is registered for. Urgent data matters in so far as reads stop at it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
/// What a socket is registered for.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// Nothing more can move before an event or the deadline.
    Parked,
    /// The budget is spent.
    Again,
    /// The socket is to be closed.
    Closed,
}

/// One socket and one connection.
pub(super) struct Session<S: Service> {
    stream: TcpStream,
    pub(super) connection: Connection<S>,
    /// When the session's entry among the deadlines passes; `u64::MAX` where it has none.
    pub(super) armed_ns: u64,
    /// Whether the session is in the run queue.
    pub(super) is_queued: bool,
    may_read: bool,
    may_write: bool,
    /// Whether a short read does not mean that nothing more is there: the peer's end has been announced, or urgent data,
    /// at which a read stops short.
    short_reads_say_nothing: bool,
}

/// What a visit may still do.
struct Budget {
    steps: u32,
    octets: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.steps == 0 || self.octets == 0
    }
}

impl<S> Session<S>
where
    S: Service,
    S::Source: Source<File = FileRange>,
{
    pub(super) fn new(mut stream: TcpStream, key: usize, registry: &Registry, now: &Now) -> io::Result<Session<S>> {
        registry.register(&mut stream, Token(key), INTEREST)?;
        let number = u32::try_from(key).unwrap_or(u32::MAX);
        debug!("connection {number}: accepted");
        Ok(Session {
            stream,
            connection: Connection::new(number, now),
            armed_ns: u64::MAX,
            is_queued: false,
            may_read: false,
            may_write: false,
            short_reads_say_nothing: false,
        })
    }

    /// Notes what an event says. An error shows when the socket is used.
    pub(super) fn latch(&mut self, event: &Event) {
        self.may_read |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.may_write |= event.is_writable() || event.is_error();
        self.short_reads_say_nothing |= event.is_read_closed() || event.is_error() || event.is_priority();
    }

    /// Does what can be done, within a budget.
    pub(super) fn visit(&mut self, workplace: &mut Workplace<S>, now: &Now) -> Visit {
        let mut budget = Budget { steps: STEPS_PER_VISIT, octets: OCTETS_PER_VISIT };
        loop {
            let thought = self.think(workplace, now, &mut budget);
            let round = self
                .speak(workplace, now, &mut budget)
                .and_then(|spoke| Ok(spoke | self.listen(workplace, &mut budget)?));
            match round {
                _ if self.connection.is_closed() => return Visit::Closed,
                Ok(heard_or_spoke) if thought || heard_or_spoke => {}
                Ok(_) => break,
                Err(error) => {
                    debug!("connection ended: {error}");
                    return Visit::Closed;
                }
            }
            if budget.is_spent() {
                return Visit::Again;
            }
        }
        self.connection.release_idle_memory(&mut workplace.commons);
        Visit::Parked
    }

    /// Lets the connection make sense of what was received.
    fn think(&mut self, workplace: &mut Workplace<S>, now: &Now, budget: &mut Budget) -> bool {
        let mut moved = false;
        while budget.steps > 0
            && self.connection.step(&mut workplace.service, &mut workplace.commons, now) == Step::Moved
        {
            budget.steps -= 1;
            moved = true;
        }
        moved
    }

    /// Sends what is owed.
    fn speak(&mut self, workplace: &mut Workplace<S>, now: &Now, budget: &mut Budget) -> io::Result<bool> {
        let mut spoke = false;
        while self.may_write && budget.octets > 0 {
            let sent = match self.connection.transmit() {
                None => break,
                Some(Transmit::Octets { octets, more }) => socket::write(&self.stream, octets, more)?,
                Some(Transmit::Source(source)) => match source.piece() {
                    Piece::Octets(octets) => {
                        let more = source.octets_left() > octets.len() as u64;
                        socket::write(&self.stream, octets, more)?
                    }
                    Piece::File(range) => {
                        socket::send_file(&self.stream, range, OCTETS_PER_VISIT, &mut workplace.scratch)?
                    }
                },
                Some(Transmit::End) => {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.connection.end_transmitted(now);
                    return Ok(true);
                }
            };
            match sent {
                Moved::Octets(octets) => {
                    self.connection.transmitted(octets as u64, now);
                    budget.octets = budget.octets.saturating_sub(octets);
                    spoke = true;
                }
                Moved::WouldBlock => {
                    self.may_write = false;
                    self.connection.write_blocked(socket::send_buffer_octets(&self.stream));
                }
            }
        }
        Ok(spoke)
    }

    /// Receives what there is, once.
    fn listen(&mut self, workplace: &mut Workplace<S>, budget: &mut Budget) -> io::Result<bool> {
        if !self.may_read || !self.connection.wants_input() {
            return Ok(false);
        }
        let space = self.connection.input_space(&mut workplace.commons);
        let space_octets = space.len();
        match socket::read(&self.stream, space)? {
            Moved::Octets(0) => {
                self.may_read = false;
                self.connection.received_eof();
            }
            Moved::Octets(octets) => {
                self.connection.received(octets);
                budget.octets = budget.octets.saturating_sub(octets);
                // A short read has emptied the socket, and what comes later is announced. The end may be there already.
                if octets < space_octets && !self.short_reads_say_nothing {
                    self.may_read = false;
                }
            }
            Moved::WouldBlock => {
                self.may_read = false;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives memory back, and closes the socket. That deregisters it as well: epoll and kqueue forget a descriptor with its
    /// last copy, and there is but this one.
    pub(super) fn close(mut self, commons: &mut Commons) {
        self.connection.release_idle_memory(commons);
    }
}
