//! From what was asked for to sockets that listen.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use log::warn;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt};

/// Connections that may wait to be accepted. The system cuts it down to its own limit.
const BACKLOG: i32 = 4096;

/// How often a free port is looked for that all addresses have.
const FREE_PORT_ATTEMPTS: u32 = 16;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// 127.0.0.1 and ::1, whichever the machine has.
    Localhost,
    /// One address. `::` serves IPv4 too.
    Address(IpAddr),
}

/// Why no listener could be made.
#[derive(Debug)]
pub struct ListenError {
    address: SocketAddr,
    error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match Errno::from_io_error(&self.error) {
            Some(Errno::ADDRINUSE) => {
                write!(
                    f,
                    "cannot listen on {address}: the port is in use; stop what uses it, or choose another with --port"
                )
            }
            Some(Errno::ADDRNOTAVAIL) => write!(f, "cannot listen on {address}: the address is not this machine's"),
            Some(Errno::ACCESS) => write!(f, "cannot listen on {address}: no permission for this port"),
            _ => write!(f, "cannot listen on {address}: {}", self.error),
        }
    }
}

impl std::error::Error for ListenError {}

/// Listens on `port` of every address that `at` stands for. Port 0 takes one free port for all of them.
///
/// # Errors
/// Where an address is in use, or not this machine's. Of `localhost`'s two, one may be absent: that is a warning.
pub fn listeners(at: Bind, port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let addresses: &[IpAddr] = match &at {
        Bind::Localhost => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        Bind::Address(address) => &[*address],
    };
    let mut attempts = 1;
    loop {
        match listen_on_all(addresses, port) {
            // The port that was free on the first address is in use on another one.
            Err(failure) if port == 0 && attempts < FREE_PORT_ATTEMPTS && failure.is(Errno::ADDRINUSE) => attempts += 1,
            result => return result,
        }
    }
}

fn listen_on_all(addresses: &[IpAddr], mut port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    let mut absent = None;
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        match listen_on(address) {
            Ok(listener) => {
                // The port that the system chose, if it was to choose.
                port = listener.local_addr().map_or(port, |bound| bound.port());
                listeners.push(listener);
            }
            Err(error) => {
                let failure = ListenError { address, error };
                let is_absent = failure.is(Errno::ADDRNOTAVAIL) || failure.is(Errno::AFNOSUPPORT);
                if addresses.len() == 1 || !is_absent {
                    return Err(failure);
                }
                absent = Some(failure);
            }
        }
    }
    match absent {
        Some(failure) if listeners.is_empty() => Err(failure),
        Some(failure) => {
            warn!("this machine lacks {}: {}", failure.address.ip(), failure.error);
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    // Connections of a server that has just ended must not keep the next one from its port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if let IpAddr::V6(v6) = address.ip() {
        sockopt::set_ipv6_v6only(&socket, !v6.is_unspecified())?;
    }
    // Accepted sockets inherit it: an answer never waits for the acknowledgement of the one before.
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

impl ListenError {
    fn is(&self, errno: Errno) -> bool {
        Errno::from_io_error(&self.error) == Some(errno)
    }
}
