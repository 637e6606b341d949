//! The world as the kernel makes it: one poll, the listeners, the socket that tells of a signal, and the clock.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use log::error;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;

use super::clock::Clock;
use super::tcp::TcpTransport;
use crate::semantics::Now;
use crate::server::{AcceptError, Event, Readiness, World};

/// How many events one poll may tell; more wait for the next turn.
const EVENTS_MAX: usize = 1024;

/// The token of the socket that tells of a signal. Listeners have the ones below it, connections count from 0.
const SHUTDOWN: Token = Token(usize::MAX);

/// How long a poll for which there was no memory is left alone.
const NO_MEMORY_PAUSE: Duration = Duration::from_millis(10);

/// What a socket is registered for. Urgent data matters in so far as reads stop at it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
/// What a socket is registered for.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// The kernel's world.
pub struct Kernel {
    poll: Poll,
    events: Events,
    clock: Clock,
    listeners: Vec<TcpListener>,
    shutdown: mio::net::UnixStream,
}

impl Kernel {
    /// A world with these listeners. The server is asked to end when `finish` becomes readable.
    ///
    /// # Errors
    /// Those of making a poll and of registering with it.
    pub fn new(listeners: Vec<std::net::TcpListener>, shutdown: UnixStream) -> io::Result<Kernel> {
        let poll = Poll::new()?;
        let mut sockets = Vec::new();
        for (place, listener) in listeners.into_iter().enumerate() {
            listener.set_nonblocking(true)?;
            let mut socket = TcpListener::from_std(listener);
            poll.registry().register(&mut socket, listener_token(place), Interest::READABLE)?;
            sockets.push(socket);
        }
        let mut shutdown = mio::net::UnixStream::from_std(shutdown);
        poll.registry().register(&mut shutdown, SHUTDOWN, Interest::READABLE)?;
        let events = Events::with_capacity(EVENTS_MAX);
        Ok(Kernel { poll, events, clock: Clock::start(), listeners: sockets, shutdown })
    }
}

fn listener_token(place: usize) -> Token {
    Token(SHUTDOWN.0 - 1 - place)
}

impl World for Kernel {
    type Transport = TcpTransport;

    const EVENTS_MAX: usize = EVENTS_MAX;

    fn now(&mut self) -> Now {
        self.clock.now()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let polled = self.poll.poll(&mut self.events, timeout);
        self.clock.follow_system();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOMEM) => {
                error!("cannot poll: {error}; trying again");
                self.events.clear();
                std::thread::sleep(NO_MEMORY_PAUSE);
            }
            polled => return polled,
        }
        Ok(())
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        let first_listener = SHUTDOWN.0 - self.listeners.len();
        self.events.iter().map(move |event| match event.token() {
            SHUTDOWN => Event::Shutdown,
            Token(token) if token >= first_listener => Event::Listener(SHUTDOWN.0 - 1 - token),
            Token(key) => Event::Connection { key, readiness: readiness(event) },
        })
    }

    fn listeners(&self) -> usize {
        self.listeners.len()
    }

    fn accept(&mut self, listener: usize, key: usize) -> Result<(TcpTransport, SocketAddr), AcceptError> {
        let Some(listener) = self.listeners.get(listener) else { return Err(AcceptError::WouldBlock) };
        let (mut stream, client) = listener.accept().map_err(accept_error)?;
        let registered = self.poll.registry().register(&mut stream, Token(key), INTEREST);
        registered.map_err(AcceptError::Connection)?;
        Ok((TcpTransport::new(stream), client))
    }

    fn close_listeners(&mut self) {
        for mut listener in self.listeners.drain(..) {
            // The descriptor is closed next, which deregisters it as well.
            let _ = self.poll.registry().deregister(&mut listener);
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.poll.registry().deregister(&mut self.shutdown);
    }
}

fn readiness(event: &mio::event::Event) -> Readiness {
    let has_error = event.is_error();
    let has_ended = event.is_read_closed() || has_error;
    Readiness {
        readable: event.is_readable() || has_ended,
        writable: event.is_writable() || has_error,
        short_reads_inconclusive: has_ended || event.is_priority(),
    }
}

/// accept(2) names what may have befallen a connection before its turn. Any other error, a shortage of descriptors above
/// all, would be there again at once.
fn accept_error(error: io::Error) -> AcceptError {
    match Errno::from_io_error(&error) {
        Some(Errno::AGAIN) => AcceptError::WouldBlock,
        Some(
            Errno::INTR
            | Errno::CONNABORTED
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::TIMEDOUT,
        ) => AcceptError::Connection(error),
        _ => AcceptError::Listener(error),
    }
}
