//! Listeners, and when to accept from them.

use std::io;

use log::warn;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;

use super::STOP;
use crate::semantics::Now;

/// How many connections a turn accepts from one listener.
const ACCEPTED_PER_TURN: usize = 64;

/// How long accepting pauses when there are no descriptors left, in nanoseconds, unless a connection closes before.
const PAUSE_NS: u64 = 1_000_000_000;

struct Listener {
    socket: TcpListener,
    /// Set by readiness and cleared by a call that would block, and by nothing else: what waits behind a bounded batch
    /// is not announced again.
    may_accept: bool,
}

/// All listeners of a loop.
pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    /// Whose turn is first: the listener after the one that had the last connection. Where one always has somebody
    /// waiting and room is scarce, the others would otherwise be passed over for good.
    first: usize,
    connections_max: usize,
    /// When to try again, after descriptors ran out.
    resume_ns: Option<u64>,
}

fn token(place: usize) -> Token {
    Token(STOP.0 - 1 - place)
}

impl Acceptor {
    pub(super) fn new(
        listeners: Vec<std::net::TcpListener>,
        connections_max: usize,
        registry: &Registry,
    ) -> io::Result<Acceptor> {
        let mut acceptor = Acceptor { listeners: Vec::new(), first: 0, connections_max, resume_ns: None };
        for (place, listener) in listeners.into_iter().enumerate() {
            listener.set_nonblocking(true)?;
            let mut socket = TcpListener::from_std(listener);
            registry.register(&mut socket, token(place), Interest::READABLE)?;
            acceptor.listeners.push(Listener { socket, may_accept: false });
        }
        Ok(acceptor)
    }

    /// Notes that a connection waits, if `of` is a listener's token. Says whether it is.
    pub(super) fn latch(&mut self, of: Token) -> bool {
        let place = (0..self.listeners.len()).find(|place| token(*place) == of);
        if let Some(place) = place {
            self.listeners[place].may_accept = true;
        }
        place.is_some()
    }

    /// Whether a connection may wait that could be accepted now.
    pub(super) fn is_eager(&self, connections: usize, now: &Now) -> bool {
        connections < self.connections_max
            && self.resume_ns.is_none_or(|resume_ns| resume_ns <= now.monotonic_ns)
            && self.listeners.iter().any(|listener| listener.may_accept)
    }

    /// Whether no further connection can be accepted before another one ends.
    pub(super) fn is_full(&self, connections: usize) -> bool {
        connections >= self.connections_max
    }

    /// When accepting goes on after a pause.
    pub(super) fn resume_ns(&self) -> Option<u64> {
        self.resume_ns
    }

    /// How many more connections there may be.
    pub(super) fn room(&self, connections: usize) -> usize {
        self.connections_max.saturating_sub(connections)
    }

    /// A descriptor has become free.
    pub(super) fn connection_closed(&mut self) {
        self.resume_ns = None;
    }

    /// Accepts what waits: at most `room` connections, and a bounded batch from each listener.
    pub(super) fn accept(&mut self, mut room: usize, now: &Now) -> Vec<TcpStream> {
        let mut accepted = Vec::new();
        if self.resume_ns.is_some_and(|resume_ns| resume_ns > now.monotonic_ns) {
            return accepted;
        }
        self.resume_ns = None;
        let (first, count) = (self.first, self.listeners.len());
        for place in (0..count).map(|turn| (first + turn) % count) {
            let listener = &mut self.listeners[place];
            if !listener.may_accept {
                continue;
            }
            for _ in 0..room.min(ACCEPTED_PER_TURN) {
                match listener.socket.accept() {
                    Ok((stream, _peer)) => {
                        accepted.push(stream);
                        self.first = place + 1;
                        room -= 1;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.may_accept = false;
                        break;
                    }
                    // The next one may be well.
                    Err(error) if is_about_the_peer(&error) => {}
                    Err(error) => {
                        warn!("cannot accept, and pauses for a second: {error}");
                        self.resume_ns = Some(now.monotonic_ns.saturating_add(PAUSE_NS));
                        return accepted;
                    }
                }
            }
        }
        accepted
    }

    /// Closes every listener.
    pub(super) fn close(&mut self, registry: &Registry) {
        for mut listener in self.listeners.drain(..) {
            // The descriptor is closed next, which deregisters it as well.
            let _ = registry.deregister(&mut listener.socket);
        }
        self.resume_ns = None;
    }
}

/// Whether the call was interrupted, or the peer was gone before its turn: accept(2) names what may have befallen it.
/// Any other error, a shortage of descriptors above all, would be there again at once.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::INTR
                | Errno::CONNABORTED
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::TIMEDOUT
        )
    )
}
