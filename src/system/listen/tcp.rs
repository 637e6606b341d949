//! TCP listeners: parses the addresses to listen on, and binds.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::str::FromStr;

use log::warn;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt};

use super::{BACKLOG, ListenError};

/// How often to try to find a port that is free on all addresses.
const FREE_PORT_ATTEMPTS: u32 = 16;

/// The addresses to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// 127.0.0.1 and ::1, as far as the machine has them.
    Localhost,
    /// One address. `::` includes IPv4.
    Address(IpAddr),
    /// A link-local address with the index of its interface: other interfaces may have the same address.
    LinkLocal(Ipv6Addr, u32),
}

/// Parses the value of `--bind`, and an address of `--listen`. An IPv6 address may be in brackets; a link-local address
/// is followed by a percent sign and its interface, by name or index. The error is one line without the value.
impl FromStr for Bind {
    type Err = String;

    fn from_str(value: &str) -> Result<Bind, String> {
        if value.eq_ignore_ascii_case("localhost") {
            return Ok(Bind::Localhost);
        }
        let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
        let no_address = "expected localhost or an IP address";
        let Some((address, interface)) = bare.split_once('%') else {
            return match bare.parse().map_err(|_| no_address)? {
                IpAddr::V6(address) if address.is_unicast_link_local() => {
                    Err(format!("a link-local address needs its interface, as in {address}%eth0"))
                }
                address => Ok(Bind::Address(address)),
            };
        };
        let address: Ipv6Addr = address.parse().map_err(|_| no_address)?;
        if !address.is_unicast_link_local() {
            return Err("only a link-local address (fe80::/10) belongs to an interface".to_owned());
        }
        match interface_index(address, interface) {
            Some(index) => Ok(Bind::LinkLocal(address, index)),
            None => Err(format!("there is no interface {}", interface.escape_debug())),
        }
    }
}

/// The index of the interface. The system's resolver parses it as a part of the address; it asks no name server, since
/// the address is numeric.
fn interface_index(address: Ipv6Addr, interface: &str) -> Option<u32> {
    let resolved = (format!("{address}%{interface}"), 0).to_socket_addrs().ok()?.next()?;
    match resolved {
        // Index 0 means no interface.
        SocketAddr::V6(resolved) if resolved.scope_id() != 0 => Some(resolved.scope_id()),
        _ => None,
    }
}

/// The URL of a listener's address. The percent sign before an interface is percent-encoded (RFC 6874).
pub fn url_of(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            format!("http://[{}%25{}]:{}", v6.ip(), v6.scope_id(), v6.port())
        }
        _ => format!("http://{address}"),
    }
}

/// Why the system refused a listener.
#[derive(Debug)]
struct Refused {
    address: SocketAddr,
    error: io::Error,
}

impl Refused {
    fn is(&self, errno: Errno) -> bool {
        Errno::from_io_error(&self.error) == Some(errno)
    }
}

impl From<Refused> for ListenError {
    fn from(refused: Refused) -> ListenError {
        let reason = match Errno::from_io_error(&refused.error) {
            Some(Errno::ADDRINUSE) => "the port is in use; stop the program that uses it, or choose another port",
            Some(Errno::ADDRNOTAVAIL) => "this machine does not have that address",
            Some(Errno::ACCESS) => "no permission for this port; ports from 1024 up usually need none",
            _ => return ListenError::new(refused.address, refused.error),
        };
        ListenError::new(refused.address, reason)
    }
}

/// Listens on `port` of every address that `at` means. Port 0 chooses a port that is free on all of them.
///
/// # Errors
/// If an address is in use or does not belong to this machine. If only one of the two addresses of `localhost` is
/// missing, that is a warning.
pub(super) fn listeners(at: Bind, port: u16, reuse_port: bool) -> Result<Vec<TcpListener>, ListenError> {
    let addresses: &[SocketAddr] = match at {
        Bind::Localhost => &[(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
        Bind::Address(address) => &[(address, port).into()],
        Bind::LinkLocal(address, interface) => &[SocketAddrV6::new(address, port, 0, interface).into()],
    };
    let mut attempts = 1;
    loop {
        match listen_on_all(addresses, reuse_port) {
            // The port chosen on the first address is in use on another one.
            Err(refused) if port == 0 && attempts < FREE_PORT_ATTEMPTS && refused.is(Errno::ADDRINUSE) => attempts += 1,
            result => return result.map_err(ListenError::from),
        }
    }
}

/// Listens on all addresses, on the port that the first one got.
fn listen_on_all(addresses: &[SocketAddr], reuse_port: bool) -> Result<Vec<TcpListener>, Refused> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut missing = None;
    for address in addresses {
        let mut address = *address;
        // With port 0, the system has chosen one for the first address.
        if let Some(bound) = listeners.first().and_then(|first| first.local_addr().ok()) {
            address.set_port(bound.port());
        }
        match listen_on(address, reuse_port) {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                let refused = Refused { address, error };
                let is_missing = refused.is(Errno::ADDRNOTAVAIL) || refused.is(Errno::AFNOSUPPORT);
                if addresses.len() == 1 || !is_missing {
                    return Err(refused);
                }
                missing = Some(refused);
            }
        }
    }
    match missing {
        Some(refused) if listeners.is_empty() => Err(refused),
        Some(refused) => {
            warn!("this machine does not have {}: {}", refused.address.ip(), refused.error);
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

fn listen_on(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    // Otherwise connections in TIME_WAIT would keep a restarted server from its port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if reuse_port {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    if let IpAddr::V6(v6) = address.ip() {
        sockopt::set_ipv6_v6only(&socket, !v6.is_unspecified())?;
    }
    // Accepted sockets inherit this option. Without it, a response could wait until the client acknowledges the one
    // before.
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_in_brackets_and_a_link_local_one_needs_its_interface() {
        let parsed = |value: &str| value.parse::<Bind>();
        assert_eq!(parsed("LocalHost"), Ok(Bind::Localhost));
        assert_eq!(parsed("[::1]"), Ok(Bind::Address(Ipv6Addr::LOCALHOST.into())));
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        assert_eq!(parsed("fe80::1%7"), Ok(Bind::LinkLocal(address, 7)));
        assert_eq!(parsed("[fe80::1%7]"), Ok(Bind::LinkLocal(address, 7)));
        for (value, named) in [
            ("fe80::1", "%eth0"),
            ("fe80::1%", "interface"),
            ("fe80::1%0", "interface 0"),
            ("fe80::1%-1", "interface -1"),
            ("fe80::1%no\n", "interface no\\n"),
            ("::1%7", "link-local"),
            ("127.0.0.1%7", "IP address"),
            ("example.org", "IP address"),
            ("", "IP address"),
        ] {
            let error = parsed(value).expect_err(value);
            assert!(error.contains(named), "{value}: {error}");
        }
    }

    #[test]
    fn a_url_names_the_interface() {
        let url = |address: &str| address.parse().map(url_of);
        assert_eq!(url("127.0.0.1:80"), Ok("http://127.0.0.1:80".to_owned()));
        assert_eq!(url("[::1]:80"), Ok("http://[::1]:80".to_owned()));
        assert_eq!(url("[fe80::1%25]:80"), Ok("http://[fe80::1%2525]:80".to_owned()));
    }
}
