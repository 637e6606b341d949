//! Where a connection comes from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// The clients that are counted as one where clients share something: a machine, as far as the server can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientGroup {
    /// The clients at an IPv4 address, also if a translator has written it as an IPv6 address.
    V4(Ipv4Addr),
    /// The clients in an IPv6 network with a prefix of 64 bits, which are these. The smallest network that a machine is
    /// given is such a one, and it may take every address in it.
    V6(u64),
    /// The clients at a link-local IPv6 address, with this interface identifier. All of them have the same prefix.
    LinkLocal(u64),
    /// The programs on this machine that are connected through Unix sockets.
    Unix,
}

/// The prefix of 96 bits with which translators write IPv4 addresses as IPv6 addresses (RFC 6052 §2.1), as where a server
/// without IPv4 gets the connections of IPv4 clients. Their last 32 bits are the IPv4 address.
const TRANSLATED: u128 = 0x0064_ff9b << 64;

impl ClientGroup {
    /// The group of a client.
    pub fn of(client: &Client) -> ClientGroup {
        match client {
            Client::Unix => ClientGroup::Unix,
            Client::Network { ip, .. } => match ip.to_canonical() {
                IpAddr::V4(ip) => ClientGroup::V4(ip),
                IpAddr::V6(ip) => ClientGroup::of_ipv6(ip),
            },
        }
    }

    fn of_ipv6(ip: Ipv6Addr) -> ClientGroup {
        let bits = ip.to_bits();
        match bits >> 32 {
            TRANSLATED => ClientGroup::V4(Ipv4Addr::from_bits(bits as u32)),
            _ if ip.is_unicast_link_local() => ClientGroup::LinkLocal(bits as u64),
            _ => ClientGroup::V6((bits >> 64) as u64),
        }
    }
}

/// `192.0.2.1`, `2001:db8::/64`, `fe80::1`, or `unix`.
impl fmt::Display for ClientGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ClientGroup::V4(ip) => write!(f, "{ip}"),
            ClientGroup::V6(prefix) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(prefix) << 64)),
            ClientGroup::LinkLocal(identifier) => {
                write!(f, "{}", Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(identifier)))
            }
            ClientGroup::Unix => f.write_str("unix"),
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

    #[test]
    fn clients_are_counted_by_ipv4_address_and_by_ipv6_network() {
        let group = |ip: &str| ip.parse().map(|ip| ClientGroup::of(&Client::Network { ip, port: Some(1) }).to_string());
        for (ip, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("64:ff9b::192.0.2.1", "192.0.2.1"),
            ("64:ff9b::1:192.0.2.1", "64:ff9b::/64"),
            ("::1", "::/64"),
            ("fe80::1:2", "fe80::1:2"),
        ] {
            assert_eq!(group(ip), Ok(expected.to_owned()), "{ip}");
        }
        assert_eq!(ClientGroup::of(&Client::Unix).to_string(), "unix");
    }
}
