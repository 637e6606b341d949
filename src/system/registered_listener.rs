//! A listener that is registered with the poll.

use std::io;

use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};

use super::listen::{CreatedPath, Listener, deferring};
use super::socket::Socket;
use crate::semantics::client::Client;

/// A listener that is registered with the poll, under one token.
pub(super) enum RegisteredListener {
    Tcp(TcpListener),
    /// With the path that is removed when the listener is dropped.
    Unix(UnixListener, #[expect(dead_code, reason = "only dropped")] Option<CreatedPath>),
}

impl RegisteredListener {
    /// Registers the listener.
    ///
    /// # Errors
    /// Those of making it non-blocking and of the registration.
    pub(super) fn new(listener: Listener, registry: &Registry, token: Token) -> io::Result<RegisteredListener> {
        match listener {
            Listener::Tcp(listener, _) => {
                listener.set_nonblocking(true)?;
                let mut listener = TcpListener::from_std(listener);
                registry.register(&mut listener, token, Interest::READABLE)?;
                Ok(RegisteredListener::Tcp(listener))
            }
            Listener::Unix(socket) => {
                let (listener, path) = socket.into_parts();
                listener.set_nonblocking(true)?;
                let mut listener = UnixListener::from_std(listener);
                registry.register(&mut listener, token, Interest::READABLE)?;
                Ok(RegisteredListener::Unix(listener, path))
            }
        }
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// Those of accepting.
    pub(super) fn accept(&self) -> io::Result<(Socket, Client)> {
        match self {
            RegisteredListener::Tcp(listener) => {
                let (stream, client) = listener.accept()?;
                Ok((stream.into(), Client::at(client.ip(), client.port())))
            }
            RegisteredListener::Unix(listener, _) => {
                let (stream, _) = listener.accept()?;
                Ok((stream.into(), Client::Unix))
            }
        }
    }

    /// Ends the holding back of silent connections. Returns whether some may be held back still.
    pub(super) fn end_deferring(&self) -> bool {
        match self {
            RegisteredListener::Tcp(listener) => deferring::end(listener),
            RegisteredListener::Unix(..) => false,
        }
    }

    /// Resumes the holding back that [`end_deferring`](RegisteredListener::end_deferring) has ended.
    pub(super) fn resume_deferring(&self) {
        match self {
            RegisteredListener::Tcp(listener) => deferring::resume(listener),
            RegisteredListener::Unix(..) => {}
        }
    }

    /// Closes the listener.
    pub(super) fn close(self, registry: &Registry) {
        // An error does not matter: closing the descriptor deregisters it as well.
        let _ = match self {
            RegisteredListener::Tcp(mut listener) => registry.deregister(&mut listener),
            RegisteredListener::Unix(mut listener, _) => registry.deregister(&mut listener),
        };
    }
}
