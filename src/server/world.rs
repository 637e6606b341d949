//! What the loop needs of the outside: time, readiness, connections. `system` has the real one; tests make up others, whose
//! time, network and faults come from a seed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::semantics::Now;
use crate::semantics::service::FilePiece;

/// The outside of one loop.
pub trait World {
    /// A connection's socket.
    type Transport: Transport;

    /// The time. Reading it costs little, and the loop reads it again behind each call that may have taken long.
    fn now(&mut self) -> Now;

    /// Sleeps until something is ready, at most for `timeout` (`None`: for as long as nothing is), and notes what is.
    /// Readiness is edge-triggered: what was ready before and has not been used up is not told again.
    ///
    /// # Errors
    /// Those after which the loop cannot go on. A call that was interrupted, or for which there was no memory, is none: it
    /// notes nothing.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// What the last [`wait`](World::wait) has noted: at most [`EVENTS_MAX`](World::EVENTS_MAX) events, of which a further
    /// wait brings the rest.
    fn events(&self) -> impl Iterator<Item = Event>;

    /// How many events one wait notes at most.
    const EVENTS_MAX: usize;

    /// How many listeners there are. Each has a number below that.
    fn listeners(&self) -> usize;

    /// Takes a connection that waits at a listener, and the address of its client. From now on its readiness is told under
    /// `key`.
    ///
    /// # Errors
    /// See [`AcceptError`].
    fn accept(&mut self, listener: usize, key: usize) -> Result<(Self::Transport, SocketAddr), AcceptError>;

    /// Closes all listeners: connections that still wait there are lost.
    fn close_listeners(&mut self);
}

/// Something that [`World::wait`] has noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection may be used.
    Connection {
        /// As it was accepted under.
        key: usize,
        /// How.
        readiness: Readiness,
    },
    /// A connection waits at this listener.
    Listener(usize),
    /// The server is asked to end.
    Shutdown,
}

/// What may be done with a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// It may have bytes, its client's end, or an error to receive.
    pub readable: bool,
    /// It may take bytes, or has an error to tell.
    pub writable: bool,
    /// The client's end, an error, or urgent data was announced: a read that stops short then does not say that nothing more
    /// is there.
    pub short_reads_inconclusive: bool,
}

/// Why no connection was accepted.
#[derive(Debug)]
pub enum AcceptError {
    /// None waits. Readiness tells when one does.
    WouldBlock,
    /// This connection has failed; the next one may be well.
    Connection(io::Error),
    /// Nothing can be accepted at the moment: there are no descriptors left, say. It would fail again at once.
    Listener(io::Error),
}

/// What a call that would otherwise wait has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// So many bytes went through. Of a receive, 0 is the client's end.
    Done(usize),
    /// None can at the moment. Readiness tells when.
    WouldBlock,
}

/// A connection's socket. No call waits. Dropped, it is closed, and nothing is told of it any more.
pub trait Transport {
    /// What pieces of files are sent from.
    type File: FilePiece;

    /// Receives what there is, into `space`, which is not empty.
    ///
    /// # Errors
    /// The connection is lost.
    fn receive(&mut self, space: &mut [u8]) -> io::Result<Io>;

    /// Sends the start of `bytes`, as many as fit. With `more`, further bytes follow at once and may share a packet.
    ///
    /// # Errors
    /// The connection is lost.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<Io>;

    /// Sends the start of what is left of `file`, at most `bytes_max` bytes.
    ///
    /// # Errors
    /// See [`SendFileError`].
    fn send_file(&mut self, file: &Self::File, bytes_max: usize) -> Result<Io, SendFileError>;

    /// Tells the client that nothing more will be sent.
    ///
    /// # Errors
    /// The connection is lost.
    fn shut_down_sending(&mut self) -> io::Result<()>;

    /// From now on, closing the socket resets the connection: the client is not to take what it has for the whole.
    fn reset_on_close(&mut self);

    /// How many bytes the socket's send buffer holds at most; 0 where that is not known.
    fn send_buffer_bytes(&self) -> u64;
}

/// Why a piece of a file was not sent.
#[derive(Debug)]
pub enum SendFileError {
    /// The connection is lost.
    Connection(io::Error),
    /// The file cannot be read, or has become shorter: the server's fault, not the client's.
    File(io::Error),
}
