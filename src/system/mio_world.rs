//! The operating system's [`World`]: a `mio` poll, the listeners, the socket that a signal makes readable, and the
//! clock.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use log::error;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;

use super::clock::Clock;
use super::listen::{Listener, Owner, deferring};
use super::registered_listener::RegisteredListener;
use super::service_manager::{ServiceManager, Watchdog};
use super::signals::Signals;
use super::socket::Socket;
use super::terminal::Terminal;
use crate::semantics::Now;
use crate::semantics::client::Client;
use crate::semantics::request::Endpoint;
use crate::server::{AcceptError, Event, Readiness, World};

/// The most events that one poll returns. The next poll returns the others.
const EVENTS_MAX: usize = 1024;

/// The token of the socket that a signal to shut down makes readable. A connection's token is its key, and keys count
/// from 0.
const SHUTDOWN: Token = Token(usize::MAX);

/// The token of the socket that SIGHUP makes readable.
const RELOAD: Token = Token(SHUTDOWN.0 - 1);

/// The listeners' tokens are below this one.
const LISTENERS_END: usize = RELOAD.0;

/// How long to wait after a poll that failed for lack of memory.
const NO_MEMORY_PAUSE: Duration = Duration::from_millis(10);

/// The events for which a connection's socket is registered. Urgent data is included because reads stop short of it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
/// The events for which a connection's socket is registered.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A listener, until it is closed.
struct OpenListener {
    endpoint: Endpoint,
    owner: Owner,
    /// Whether the system held back connections until that was ended.
    has_deferred: bool,
    /// `None` once it is closed.
    registered: Option<RegisteredListener>,
}

/// The operating system's [`World`].
pub struct MioWorld {
    poll: Poll,
    events: Events,
    clock: Clock,
    listeners: Vec<OpenListener>,
    shutdown: mio::net::UnixStream,
    reload: mio::net::UnixStream,
    terminal: Option<Terminal>,
    /// Whether standard error, where the log goes, is a terminal.
    is_watched: bool,
    manager: ServiceManager,
    watchdog: Option<Watchdog>,
}

impl MioWorld {
    /// Creates a poll and registers the listeners with it. The signals become [`Event::Shutdown`] and
    /// [`Event::Reload`].
    ///
    /// # Errors
    /// Those of creating the poll and of registering sockets.
    pub fn new(
        listeners: Vec<(Endpoint, Listener)>,
        signals: Signals,
        manager: ServiceManager,
    ) -> io::Result<MioWorld> {
        let poll = Poll::new()?;
        let listeners = listeners.into_iter().enumerate().map(|(index, (endpoint, listener))| {
            let owner = listener.owner();
            let registered = RegisteredListener::new(listener, poll.registry(), listener_token(index))?;
            Ok(OpenListener { endpoint, owner, has_deferred: false, registered: Some(registered) })
        });
        let listeners = listeners.collect::<io::Result<_>>()?;
        let mut shutdown = mio::net::UnixStream::from_std(signals.shutdown);
        poll.registry().register(&mut shutdown, SHUTDOWN, Interest::READABLE)?;
        let mut reload = mio::net::UnixStream::from_std(signals.reload);
        poll.registry().register(&mut reload, RELOAD, Interest::READABLE)?;
        let events = Events::with_capacity(EVENTS_MAX);
        Ok(MioWorld {
            poll,
            events,
            clock: Clock::start(),
            listeners,
            shutdown,
            reload,
            terminal: signals.terminal,
            is_watched: io::stderr().is_terminal(),
            watchdog: Watchdog::from_environment(manager.clone()),
            manager,
        })
    }
}

impl MioWorld {
    /// Closes the listeners for everybody whose owner is to be closed.
    fn close_public(&mut self, is_closed: impl Fn(Owner) -> bool) {
        let public = self.listeners.iter_mut().filter(|listener| listener.endpoint == Endpoint::Public);
        for listener in public.filter(|listener| is_closed(listener.owner)) {
            if let Some(registered) = listener.registered.take() {
                registered.close(self.poll.registry());
            }
        }
    }
}

fn listener_token(index: usize) -> Token {
    Token(LISTENERS_END - 1 - index)
}

impl World for MioWorld {
    type Transport = Socket;

    const EVENTS_MAX: usize = EVENTS_MAX;

    fn now(&mut self) -> Now {
        self.clock.now()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = match &self.watchdog {
            Some(watchdog) => watchdog.shorten(timeout, self.clock.now().monotonic_ns),
            None => timeout,
        };
        let polled = self.poll.poll(&mut self.events, timeout);
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.tick(self.clock.now().monotonic_ns);
        }
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOMEM) => {
                error!("cannot poll: {error}; trying again");
                self.events.clear();
                std::thread::sleep(NO_MEMORY_PAUSE);
            }
            polled => polled?,
        }
        if self.events.iter().any(|event| event.token() == RELOAD) {
            empty(&mut self.reload);
        }
        Ok(())
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        let first_listener = LISTENERS_END - self.listeners.len();
        self.events.iter().map(move |event| match event.token() {
            SHUTDOWN => Event::Shutdown,
            // A server that was started in a terminal ends with it: nobody is there to stop it later.
            RELOAD if self.terminal.as_ref().is_some_and(Terminal::has_hung_up) => Event::Shutdown,
            RELOAD => Event::Reload,
            Token(token) if token >= first_listener => Event::Listener(LISTENERS_END - 1 - token),
            Token(key) => Event::Connection { key, readiness: readiness(event) },
        })
    }

    fn listener_count(&self) -> usize {
        self.listeners.len()
    }

    fn endpoint(&self, listener: usize) -> Endpoint {
        self.listeners.get(listener).map_or(Endpoint::Public, |listener| listener.endpoint)
    }

    fn accept(&mut self, listener: usize) -> Result<(Socket, Client), AcceptError> {
        let listener = self.listeners.get(listener).and_then(|listener| listener.registered.as_ref());
        listener.ok_or(AcceptError::WouldBlock)?.accept().map_err(accept_error)
    }

    fn register(&mut self, socket: &mut Socket, key: usize) -> io::Result<()> {
        self.poll.registry().register(socket.source(), Token(key), INTEREST)
    }

    fn report_shutdown(&mut self, status: &str) {
        self.manager.report_stopping(status);
    }

    fn is_watched(&self) -> bool {
        self.is_watched
    }

    fn hand_over_silent_connections(&mut self) -> u64 {
        // An inherited listener stays as whoever opened it wants it.
        for listener in self.listeners.iter_mut().filter(|listener| listener.owner == Owner::Process) {
            listener.has_deferred = listener.registered.as_ref().is_some_and(RegisteredListener::end_deferring);
        }
        let has_deferred = self.listeners.iter().any(|listener| listener.has_deferred);
        if has_deferred { deferring::HELD_BACK_NS } else { 0 }
    }

    fn hold_back_silent_connections(&mut self) {
        let deferring = self.listeners.iter().filter(|listener| listener.has_deferred);
        deferring.filter_map(|listener| listener.registered.as_ref()).for_each(RegisteredListener::resume_deferring);
    }

    fn close_inherited_listeners(&mut self) {
        self.close_public(|owner| owner == Owner::ServiceManager);
    }

    fn close_listeners(&mut self) {
        self.close_public(|_| true);
    }
}

impl Drop for MioWorld {
    fn drop(&mut self) {
        // An error does not matter: closing the descriptor deregisters it as well.
        let _ = self.poll.registry().deregister(&mut self.shutdown);
        let _ = self.poll.registry().deregister(&mut self.reload);
    }
}

/// Reads what signals wrote into the socket. Otherwise it would be full after many signals, and later ones would not be
/// reported. One read is enough: a later signal writes again, and then the socket is read again.
fn empty(socket: &mut mio::net::UnixStream) {
    let _ = socket.read(&mut [0; 1024]);
}

fn readiness(event: &mio::event::Event) -> Readiness {
    let has_error = event.is_error();
    let has_ended = event.is_read_closed() || has_error;
    Readiness {
        readable: event.is_readable() || has_ended,
        writable: event.is_writable() || has_error,
        short_reads_inconclusive: has_ended || event.is_priority(),
        // EPOLLERR. EPOLLHUP proves nothing: it is also reported once both sides have ended their sending.
        failed: has_error,
    }
}

/// Distinguishes errors of one connection from errors that the next call would repeat, such as a lack of descriptors.
/// accept(2) lists the network errors that a connection may have had before it was accepted.
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
