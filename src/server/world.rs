//! The loop's interface to the operating system: time, readiness and sockets. `system` implements it with `mio`; tests
//! implement it with a simulated network whose time and faults come from a seed.

use std::io;
use std::time::Duration;

use crate::semantics::Now;
use crate::semantics::client::Client;
use crate::semantics::request::Endpoint;
use crate::semantics::service::FilePiece;

/// Everything outside the loop: the clock, the poll and the listeners.
pub trait World {
    /// A connection's socket.
    type Transport: Transport;

    /// The current time. The loop calls this after the poll and after each call that may have taken long.
    fn now(&mut self) -> Now;

    /// Polls: sleeps until an event arrives, but no longer than `timeout` (`None`: without limit), and collects the
    /// events. Readiness is edge-triggered: a socket that stays ready is not reported again.
    ///
    /// # Errors
    /// Only those after which the loop cannot continue. A poll that was interrupted, or that lacked memory, succeeds
    /// without events.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// The events of the last [`wait`](World::wait), at most [`EVENTS_MAX`](World::EVENTS_MAX). If there were more, the
    /// next wait returns the rest.
    fn events(&self) -> impl Iterator<Item = Event>;

    /// The most events that one wait returns.
    const EVENTS_MAX: usize;

    /// The number of listeners. They are numbered from 0.
    fn listener_count(&self) -> usize;

    /// Whom the listener is for.
    fn endpoint(&self, _listener: usize) -> Endpoint {
        Endpoint::Public
    }

    /// Accepts a connection from a listener's backlog, and returns its socket and the client. The socket has no events
    /// before it is registered.
    ///
    /// # Errors
    /// See [`AcceptError`].
    fn accept(&mut self, listener: usize) -> Result<(Self::Transport, Client), AcceptError>;

    /// Registers a connection's socket, whose events from now on have this `key`. The next wait reports what the socket
    /// is ready for already.
    ///
    /// # Errors
    /// The system cannot watch another socket.
    fn register(&mut self, transport: &mut Self::Transport, key: usize) -> io::Result<()>;

    /// Reports to the service manager, if there is one, that a shutdown has begun. `status` is one line that says what it
    /// waits for.
    fn report_shutdown(&mut self, _status: &str) {}

    /// Whether somebody at a terminal reads the log, and so waits for the end of a shutdown.
    fn is_watched(&self) -> bool {
        false
    }

    /// Makes the system put new connections into the backlog at once, even if their clients have sent nothing. Returns how
    /// long it takes at most until those that the system holds back at present have got there, in nanoseconds; 0 if it holds
    /// back none.
    fn hand_over_silent_connections(&mut self) -> u64 {
        0
    }

    /// Lets the system hold back connections again whose clients have sent nothing, after
    /// [`hand_over_silent_connections`](World::hand_over_silent_connections), on the listeners where it did so before.
    fn hold_back_silent_connections(&mut self) {}

    /// Closes those listeners of [`Endpoint::Public`] that a service manager holds open as well. Connections in their
    /// backlogs wait for its next process.
    fn close_inherited_listeners(&mut self) {}

    /// Closes the listeners of [`Endpoint::Public`]. Connections in the backlogs of those that only this process holds
    /// are reset, and so are those that the system holds back. The listeners for the administrator stay open until the
    /// process ends, so that the shutdown can be watched.
    fn close_listeners(&mut self);
}

/// An event that [`World::wait`] collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection became ready.
    Connection {
        /// The key that it was registered under.
        key: usize,
        /// What it became ready for.
        readiness: Readiness,
    },
    /// The backlog of this listener contains a connection.
    Listener(usize),
    /// A graceful shutdown was requested.
    Shutdown,
    /// Files that may have been moved are to be opened anew.
    Reload,
}

/// What a socket became ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read may return bytes, the client's end, or an error.
    pub readable: bool,
    /// A write may succeed, or return an error.
    pub writable: bool,
    /// The client's end, an error, or urgent data was announced. A short read then does not mean that the receive
    /// buffer is empty.
    pub short_reads_inconclusive: bool,
    /// The connection is lost, for example because the client has reset it. Nothing that is sent arrives. What was
    /// received before may still be read. That both sides have ended their sending is not a failure.
    pub failed: bool,
}

/// Why no connection was accepted.
#[derive(Debug)]
pub enum AcceptError {
    /// The backlog is empty. An event announces the next connection.
    WouldBlock,
    /// This connection failed before it was accepted. The next one may succeed.
    Connection(io::Error),
    /// No connection can be accepted at present, for example because there are no descriptors left. Trying again at
    /// once would fail again.
    Listener(io::Error),
}

/// The result of a non-blocking call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// This many bytes were transferred. A receive of 0 bytes is the client's end.
    Done(usize),
    /// No byte can be transferred now. An event announces when one can.
    WouldBlock,
}

/// A connection's socket. No call blocks on the network. Dropping it closes the socket, after which it has no events.
pub trait Transport {
    /// A piece of a file that can be sent.
    type File: FilePiece;

    /// Receives into `space`, which must not be empty.
    ///
    /// # Errors
    /// The connection is lost.
    fn receive(&mut self, space: &mut [u8]) -> io::Result<Io>;

    /// Sends as many of `bytes` as fit into the send buffer. With `more`, the caller will send further bytes at once,
    /// which may share a packet.
    ///
    /// # Errors
    /// The connection is lost.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Io>;

    /// Sends the next bytes of `file`, at most `bytes_max`.
    ///
    /// # Errors
    /// See [`SendFileError`].
    fn send_file(&mut self, file: &Self::File, bytes_max: usize) -> Result<Io, SendFileError>;

    /// Shuts down the sending side, which tells the client that nothing more will be sent.
    ///
    /// # Errors
    /// The connection is lost.
    fn shut_down_sending(&mut self) -> io::Result<()>;

    /// Makes the close of the socket a reset, so that the client does not take incomplete content for complete.
    fn reset_on_close(&mut self);

    /// The size of the socket's send buffer in bytes; 0 if unknown.
    fn send_buffer_bytes(&self) -> u64;
}

/// Why a piece of a file was not sent.
#[derive(Debug)]
pub enum SendFileError {
    /// The connection is lost.
    Connection(io::Error),
    /// The file cannot be read or has become shorter. The client is not at fault.
    File(io::Error),
}
