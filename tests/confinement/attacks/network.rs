//! Reaching others: neither layer lets the process connect, but Landlock knows only some kinds of sockets.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use rustix::net::{AddressFamily, SocketType, listen, socket};

use super::Refused::{Each, Seccomp};
use super::{Attack, attack, errno, number};

pub(super) const ATTACKS: &[Attack] = &[
    attack("connects to a TCP port", Each, |scene| {
        TcpStream::connect(("127.0.0.1", scene.tcp_port)).map(drop).map_err(number)
    }),
    attack("opens a TCP port", Each, |_| TcpListener::bind("127.0.0.1:0").map(drop).map_err(number)),
    attack("opens a TCP port that the kernel chooses", Seccomp, |_| {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).map_err(errno)?;
        listen(&socket, 1).map_err(errno)
    }),
    attack("sends a datagram", Seccomp, |scene| {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(number)?;
        socket.send_to(b"secret", ("127.0.0.1", scene.udp_port)).map(drop).map_err(number)
    }),
    attack("connects a socket that it has", Seccomp, |scene| {
        scene.udp.connect(("127.0.0.1", scene.udp_port)).map_err(number)
    }),
    attack("connects to a Unix socket", Seccomp, |scene| {
        UnixStream::connect(scene.outside("socket")).map(drop).map_err(number)
    }),
    attack("connects to an abstract Unix socket", Each, |scene| {
        UnixStream::connect_addr(&scene.abstract_address()).map(drop).map_err(number)
    }),
    attack("opens a socket of the kernel", Seccomp, |_| {
        socket(AddressFamily::NETLINK, SocketType::RAW, None).map(drop).map_err(errno)
    }),
    attack("sets an option of the network layer", Seccomp, |scene| scene.udp.set_ttl(9).map_err(number)),
];
