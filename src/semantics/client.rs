//! Where a connection comes from.

use std::fmt;
use std::net::IpAddr;

/// The client of a connection, as far as the server can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A program that is reached over the network, this machine included.
    Network {
        /// Its address. An IPv4 client of an IPv6 socket has its IPv4 address.
        ip: IpAddr,
        /// Its port, if that is known.
        port: Option<u16>,
    },
    /// A program on this machine, connected through a Unix socket.
    Unix,
}

impl Client {
    /// The client at this address and port.
    pub fn at(ip: IpAddr, port: u16) -> Client {
        Client::Network { ip: ip.to_canonical(), port: Some(port) }
    }

    /// Its address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Client::Network { ip, .. } => Some(*ip),
            Client::Unix => None,
        }
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, an address without a port, or `unix`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Client::Network { ip: IpAddr::V6(ip), port: Some(port) } => write!(f, "[{ip}]:{port}"),
            Client::Network { ip, port: Some(port) } => write!(f, "{ip}:{port}"),
            Client::Network { ip, port: None } => write!(f, "{ip}"),
            Client::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_client_is_shown_as_an_address_and_port() {
        let shown = |ip: &str, port| ip.parse().map(|ip| Client::at(ip, port).to_string());
        assert_eq!(shown("192.0.2.1", 80), Ok("192.0.2.1:80".to_owned()));
        assert_eq!(shown("2001:db8::1", 80), Ok("[2001:db8::1]:80".to_owned()));
        assert_eq!(shown("::ffff:192.0.2.1", 80), Ok("192.0.2.1:80".to_owned()), "it is an IPv4 client");
        let without_port = Client::Network { ip: Ipv4Addr::LOCALHOST.into(), port: None };
        assert_eq!(without_port.to_string(), "127.0.0.1");
        assert_eq!(Client::Unix.to_string(), "unix");
    }
}
