//! Listening sockets that a service manager opened, and that the process inherits (`sd_listen_fds(3)`).

use std::io;
use std::os::fd::AsFd;
use std::str::FromStr;

use listenfd::ListenFd;
use rustix::net::sockopt;

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
        if self.sockets.len() == 0 {
            return Err(ListenError::new(at, "no service manager has passed a socket to this process (LISTEN_FDS)"));
        }
        if indexes.is_empty() {
            let count = self.sockets.len();
            return Err(ListenError::new(at, format!("none of the {count} inherited sockets has this name")));
        }
        let listeners = indexes.into_iter().map(|index| self.take_index(index));
        listeners.collect::<io::Result<_>>().map_err(|error| ListenError::new(at, error))
    }

    fn take_index(&mut self, index: usize) -> io::Result<Listener> {
        let not_listening = || io::Error::other("the descriptor is not a listening TCP or Unix socket");
        if let Ok(Some(listener)) = self.sockets.take_unix_listener(index) {
            return match is_listening(&listener) {
                true => Ok(Listener::Unix(UnixSocket::inherited(listener))),
                false => Err(not_listening()),
            };
        }
        match self.sockets.take_tcp_listener(index) {
            Ok(Some(listener)) if is_listening(&listener) => {
                // Accepted sockets inherit this option, see `listen_on`. Without it the server is only slower.
                let _ = sockopt::set_tcp_nodelay(&listener, true);
                Ok(Listener::Tcp(listener, Owner::ServiceManager))
            }
            Ok(None) => Err(io::Error::other("the process has not inherited this socket, or it is given twice")),
            Ok(Some(_)) | Err(_) => Err(not_listening()),
        }
    }
}

/// Whether connections can be accepted. A socket that is only bound would never become ready.
fn is_listening(socket: impl AsFd) -> bool {
    sockopt::socket_acceptconn(socket).unwrap_or(true)
}
