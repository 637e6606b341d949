//! Proxies between clients and the server: in some runs, on half of the links, a PROXY protocol header precedes the bytes
//! of the client. The network cuts it like all other bytes. The records must name the client of the header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;
use spindle::semantics::client::Client;
use spindle::semantics::proxies::Proxies;

use crate::simulation::link::Link;
use crate::simulation::network::derive_seed;

/// From where proxies connect.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Whom the server believes.
pub(crate) fn believed() -> Proxies {
    Proxies { protocol: vec!["127.0.0.2".parse().expect("an address")], trusted: Vec::new() }
}

/// Whether the log names a proxy as a connection's client.
pub(crate) fn is_proxy(client: &str) -> bool {
    client.parse().is_ok_and(|client: SocketAddr| client.ip() == PROXY)
}

/// A link's header, if it has one.
pub(crate) struct Header {
    pub bytes: Vec<u8>,
    /// The client that the records must name.
    pub names: Client,
}

/// Whom the server accepts on the link with this number, which is always the port.
pub(crate) fn accepted(number: usize, link: &Link) -> Client {
    let address = if link.named.is_some() { PROXY } else { address(link.address) };
    Client::at(address.into(), number as u16)
}

/// Whom the connection of a link counts against: nobody until the server has read which client its proxy names, and
/// nobody at all if it names none.
pub(crate) fn group(link: &Link) -> Option<Group> {
    match link.named {
        None => Some(Group::V4(link.address)),
        Some(_) if link.header_to_read > 0 => None,
        Some(names) => match names.ip()? {
            IpAddr::V4(ip) => (ip != PROXY).then_some(Group::V4(link.address)),
            IpAddr::V6(_) => Some(Group::V6(link.address)),
        },
    }
}

/// The connections that count as those of one client: of an IPv4 address, or of an IPv6 network with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    V4(usize),
    V6(usize),
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number as u32)
}

/// Chooses whether a link has a header, and which, if its client has the address with that number. This draws from a
/// generator of its own, so that the runs without proxies are not changed.
pub(crate) fn header(seed: u64, link: usize, number: usize) -> Option<Header> {
    let seed = seed ^ 0x7072_6f78_6965_7300;
    let mut random = Rng::with_seed(derive_seed(seed, link as u64));
    if !derive_seed(seed, u64::MAX).is_multiple_of(4) || random.bool() {
        return None;
    }
    let port = link as u16;
    let v4 = address(number);
    // Addresses that differ in their last bits alone count as one.
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, (number >> 16) as u16, number as u16, 0, 0, 0, random.u16(..));
    let text = |line: String, ip: IpAddr| (line.into_bytes(), Client::at(ip, port));
    let (bytes, names) = match random.u8(..6) {
        0 => text(format!("PROXY TCP4 {v4} 127.0.0.1 {port} 80\r\n"), v4.into()),
        1 => text(format!("PROXY TCP6 {v6} ::1 {port} 80\r\n"), v6.into()),
        2 => text("PROXY UNKNOWN\r\n".to_owned(), PROXY.into()),
        3 => (binary(0x21, 0x11, &v4.to_bits().to_be_bytes(), port, 0), Client::at(v4.into(), port)),
        4 => (binary(0x21, 0x21, &v6.to_bits().to_be_bytes(), port, random.usize(..3000)), Client::at(v6.into(), port)),
        _ => (binary(0x20, 0x11, &v4.to_bits().to_be_bytes(), port, 0), Client::at(PROXY.into(), port)),
    };
    Some(Header { bytes, names })
}

fn binary(version_and_command: u8, family: u8, address: &[u8], port: u16, more_bytes: usize) -> Vec<u8> {
    let rest = [address, address, &port.to_be_bytes(), &[0, 80], &vec![4; more_bytes]].concat();
    let length = (rest.len() as u16).to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[version_and_command, family], &length, &rest].concat()
}
