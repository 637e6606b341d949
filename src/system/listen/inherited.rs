//! Listening sockets that a service manager opened, and that the process inherits (`sd_listen_fds(3)`).

use std::io;
use std::str::FromStr;

use listenfd::ListenFd;

use super::unix::UnixSocket;
use super::{ListenError, Listener, Owner};

/// The number of the first inherited descriptor. Those below are the standard streams.
const FIRST_DESCRIPTOR: usize = 3;

/// Which inherited sockets to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InheritedSocket {
    /// The one with this descriptor, from 3.
    Number(usize),
    /// All that have this name, which is that of their `FileDescriptorName` in systemd's socket unit.
    Name(String),
}

/// Parses what follows `fd:`. The error is one line without the value.
impl FromStr for InheritedSocket {
    type Err = String;

    fn from_str(value: &str) -> Result<InheritedSocket, String> {
        if value.is_empty() {
            return Err("expected a number or name after fd:".to_owned());
        }
        if !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(InheritedSocket::Name(value.to_owned()));
        }
        let number = value.parse().ok().filter(|number| *number >= FIRST_DESCRIPTOR);
        number.map(InheritedSocket::Number).ok_or("inherited descriptors are numbered from 3".to_owned())
    }
}

/// The sockets that the process inherited, and that have not been taken.
pub(super) struct InheritedSockets {
    sockets: ListenFd,
    /// The names in the order of the descriptors. May be shorter.
    names: Vec<String>,
}

impl InheritedSockets {
    /// Reads `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`.
    pub(super) fn from_environment() -> InheritedSockets {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).collect();
        InheritedSockets { sockets: ListenFd::from_env(), names }
    }

    /// Takes the socket, or all sockets of the name.
    ///
    /// # Errors
    /// If there is none, or it is not a listening stream socket, or it has been taken.
    pub(super) fn take(&mut self, socket: &InheritedSocket) -> Result<Vec<Listener>, ListenError> {
        let indexes: Vec<usize> = match socket {
            InheritedSocket::Number(number) => vec![*number - FIRST_DESCRIPTOR],
            InheritedSocket::Name(name) => {
                (0..self.sockets.len()).filter(|index| self.names.get(*index) == Some(name)).collect()
            }
        };
        let at = match socket {
            InheritedSocket::Number(number) => format!("fd:{number}"),
            InheritedSocket::Name(name) => format!("fd:{}", name.escape_debug()),
        };
        if indexes.is_empty() {
            let count = self.sockets.len();
            return Err(ListenError::new(at, format!("none of the {count} inherited sockets has this name")));
        }
        let listeners = indexes.into_iter().map(|index| self.take_index(index));
        listeners.collect::<io::Result<_>>().map_err(|error| ListenError::new(at, error))
    }

    fn take_index(&mut self, index: usize) -> io::Result<Listener> {
        if let Ok(Some(listener)) = self.sockets.take_unix_listener(index) {
            return Ok(Listener::Unix(UnixSocket::inherited(listener)));
        }
        match self.sockets.take_tcp_listener(index) {
            Ok(Some(listener)) => Ok(Listener::Tcp(prepared(listener), Owner::ServiceManager)),
            Ok(None) => Err(io::Error::other("the process has not inherited this socket, or it is given twice")),
            Err(_) => Err(io::Error::other("the descriptor is not a listening TCP or Unix socket")),
        }
    }
}

/// Sets the option that accepted sockets inherit, see [`listen_on`](super::tcp).
fn prepared(listener: std::net::TcpListener) -> std::net::TcpListener {
    // Without the option the server is only slower.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&listener, true);
    listener
}
