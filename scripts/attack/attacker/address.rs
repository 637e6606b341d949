//! The addresses that clients connect from. All of 127.0.0.0/8 is this machine, so that one program can be many clients.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// The address of honest clients. No hostile client has it.
pub(crate) const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// The address of a hostile client, if there are `addresses` of them. A single one is 127.0.0.1.
pub(crate) fn hostile(client: usize, addresses: usize) -> Ipv4Addr {
    match addresses {
        0 | 1 => Ipv4Addr::LOCALHOST,
        _ => Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + (client % addresses) as u32),
    }
}

/// Connects to the server at `port` from `source`, within `timeout`.
pub(crate) fn connect_from(source: Ipv4Addr, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // On Linux it is also the timeout of connecting.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket.into())
}

/// Begins to connect, without waiting for the server.
pub(crate) fn begin_to_connect(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrV4::new(source, 0))?;
    match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}
