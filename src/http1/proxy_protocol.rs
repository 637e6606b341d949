//! Parses the header of HAProxy's PROXY protocol, in which a proxy states whose connection it forwards. Version 1 is a
//! line of text (proxy-protocol.txt, section 2.1), version 2 is binary (section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::limits::PROXY_HEADER_BYTES_MAX;
use crate::semantics::client::Client;

/// How version 1 begins.
const TEXT_START: &[u8] = b"PROXY ";

/// Longest header of version 1, with its CRLF: what the specification allows.
const TEXT_BYTES_MAX: usize = 107;

/// How version 2 begins.
const BINARY_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes of a version 2 header before its addresses: the start, the version and command, the family and protocol,
/// and the length of the rest.
const BINARY_FIXED_BYTES: usize = 16;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client; `None` if the header does not name one, and the proxy itself is the client (a health check, say).
    pub client: Option<Client>,
    /// The length of the header in bytes.
    pub bytes: usize,
}

/// The bytes do not begin with a valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAProxyHeader;

/// Parses the header at the start of `bytes`; `None` if it is incomplete.
///
/// # Errors
/// If the bytes cannot become a header, or it would be longer than [`PROXY_HEADER_BYTES_MAX`].
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, NotAProxyHeader> {
    if bytes.starts_with(BINARY_START) {
        parse_binary(bytes)
    } else if bytes.starts_with(TEXT_START) {
        parse_text(bytes)
    } else if BINARY_START.starts_with(bytes) || TEXT_START.starts_with(bytes) {
        Ok(None)
    } else {
        Err(NotAProxyHeader)
    }
}

fn parse_text(bytes: &[u8]) -> Result<Option<ProxyHeader>, NotAProxyHeader> {
    let line = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let Some(end) = memchr::memmem::find(line, b"\r\n") else {
        return if line.len() < TEXT_BYTES_MAX { Ok(None) } else { Err(NotAProxyHeader) };
    };
    let text = std::str::from_utf8(&line[TEXT_START.len()..end]).map_err(|_| NotAProxyHeader)?;
    let client = match *text.split(' ').collect::<Vec<_>>() {
        // Whatever follows is to be ignored.
        ["UNKNOWN", ..] => None,
        ["TCP4", source, destination, port, destination_port] => {
            let _: Ipv4Addr = destination.parse().map_err(|_| NotAProxyHeader)?;
            let source: Ipv4Addr = source.parse().map_err(|_| NotAProxyHeader)?;
            Some((IpAddr::V4(source), port, destination_port))
        }
        ["TCP6", source, destination, port, destination_port] => {
            let _: Ipv6Addr = destination.parse().map_err(|_| NotAProxyHeader)?;
            let source: Ipv6Addr = source.parse().map_err(|_| NotAProxyHeader)?;
            Some((IpAddr::V6(source), port, destination_port))
        }
        _ => return Err(NotAProxyHeader),
    };
    let client = match client {
        Some((source, port, destination_port)) => {
            parse_port(destination_port)?;
            Some(Client::at(source, parse_port(port)?))
        }
        None => None,
    };
    Ok(Some(ProxyHeader { client, bytes: end + b"\r\n".len() }))
}

/// Parses a port: digits, without a leading zero.
fn parse_port(text: &str) -> Result<u16, NotAProxyHeader> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_number).ok_or(NotAProxyHeader)
}

fn parse_binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, NotAProxyHeader> {
    let Some(fixed) = bytes.first_chunk::<BINARY_FIXED_BYTES>() else { return Ok(None) };
    let [.., version_and_command, family_and_protocol, high, low] = *fixed;
    let rest_bytes = usize::from(u16::from_be_bytes([high, low]));
    let header_bytes = BINARY_FIXED_BYTES + rest_bytes;
    if version_and_command >> 4 != 2 || header_bytes > PROXY_HEADER_BYTES_MAX {
        return Err(NotAProxyHeader);
    }
    let is_local = match version_and_command & 0xf {
        0 => true,
        1 => false,
        _ => return Err(NotAProxyHeader),
    };
    let Some(rest) = bytes.get(BINARY_FIXED_BYTES..header_bytes) else { return Ok(None) };
    let client = match family_and_protocol {
        _ if is_local => None,
        0x11 => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *rest.first_chunk::<12>().ok_or(NotAProxyHeader)?;
            Some(Client::at(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low])))
        }
        0x21 => {
            let addresses = rest.first_chunk::<36>().ok_or(NotAProxyHeader)?;
            let source = addresses.first_chunk::<16>().ok_or(NotAProxyHeader)?;
            Some(Client::at(Ipv6Addr::from(*source).into(), u16::from_be_bytes([addresses[32], addresses[33]])))
        }
        0x31 => Some(Client::Unix),
        // Datagrams and unspecified families: the specification lets the receiver ignore the addresses.
        0x00 | 0x12 | 0x22 | 0x32 => None,
        _ => return Err(NotAProxyHeader),
    };
    // What follows the addresses (TLVs) is skipped.
    Ok(Some(ProxyHeader { client, bytes: header_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = [BINARY_START, &[version_and_command, family]].concat();
        bytes.extend_from_slice(&(rest.len() as u16).to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    fn valid() -> Vec<(Vec<u8>, Option<Client>)> {
        let v4 = Client::at([192, 0, 2, 1].into(), 56_324);
        let v6: Ipv6Addr = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into();
        let v4_addresses = [&[192, 0, 2, 1, 10, 0, 0, 1][..], &56_324_u16.to_be_bytes(), &[0, 80]].concat();
        let v6_addresses = [&v6.to_bits().to_be_bytes()[..], &[0; 16], &[0, 1, 0, 80]].concat();
        let with_tlvs = [&v4_addresses[..], &[4, 0, 3, 1, 2, 3]].concat();
        vec![
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 80\r\n".to_vec(), Some(v4)),
            (b"PROXY TCP6 2001:db8::1 ::1 1 0\r\n".to_vec(), Some(Client::at(v6.into(), 1))),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:: what ever\r\n".to_vec(), None),
            (binary(0x21, 0x11, &v4_addresses), Some(v4)),
            (binary(0x21, 0x11, &with_tlvs), Some(v4)),
            (binary(0x21, 0x21, &v6_addresses), Some(Client::at(v6.into(), 1))),
            (binary(0x21, 0x31, &[b'a'; 216]), Some(Client::Unix)),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &v4_addresses), None),
            (binary(0x21, 0x00, b"ignored"), None),
        ]
    }

    #[test]
    fn a_header_is_complete_at_its_last_byte_and_not_before() {
        for (header, client) in valid() {
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Ok(None), "{end} of {header:?}");
            }
            let expected = Ok(Some(ProxyHeader { client, bytes: header.len() }));
            assert_eq!(parse(&header), expected);
            assert_eq!(parse(&[&header[..], b"GET / HTTP/1.1\r\n"].concat()), expected);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let too_long = [&b"PROXY UNKNOWN "[..], &[b'a'; 107]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PROXI".to_vec(),
            b"\r\n\r\nG".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 80 \r\n".to_vec(),
            b"PROXY TCP4  192.0.2.1 10.0.0.1 56324 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 ::1 56324 80\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 56324 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 +1 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 01 80\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 1 80\r\n".to_vec(),
            b"PROXY TCP4 \xff\r\n".to_vec(),
            too_long,
            binary(0x11, 0x11, &[0; 12]),
            binary(0x22, 0x11, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x21, &[0; 35]),
            binary(0x21, 0x41, &[0; 36]),
            binary(0x21, 0x11, &[0; PROXY_HEADER_BYTES_MAX]),
        ] {
            assert_eq!(parse(&bytes), Err(NotAProxyHeader), "{bytes:?}");
        }
    }
}
