//! The header of the PROXY protocol, and what follows it.
//!
//! 1. No input makes it panic.
//! 2. Each prefix of a header is incomplete. The header is complete at its last byte, and later bytes do not matter.
//! 3. Bytes that cannot become a header are refused for good, and so is a header beyond the limit.
//! 4. The client that a header names is the one that another header names in the other version.
//! 5. A header of version 1 is one line of at most 107 bytes.

use std::net::IpAddr;

use spindle::http1::limits::PROXY_HEADER_BYTES_MAX;
use spindle::http1::proxy_protocol::{NotAProxyHeader, ProxyHeader, parse};
use spindle::semantics::client::Client;

use super::expand::expand;

/// Runs the target.
pub fn run(input: &[u8]) {
    let input = expand(input, 2 * PROXY_HEADER_BYTES_MAX);
    let whole = parse(&input);
    let decided_at = (0..=input.len()).find(|end| parse(&input[..*end]) != Ok(None));
    match (whole, decided_at) {
        (Ok(Some(header)), Some(decided_at)) => {
            assert_eq!(decided_at, header.bytes, "the header is complete at its last byte");
            assert!(header.bytes <= PROXY_HEADER_BYTES_MAX, "the header keeps to the limit");
            assert_is_line_or_binary(&input[..header.bytes]);
            if let Some(Client::Network { ip, port: Some(port) }) = header.client {
                assert_named_in_both_versions(ip, port);
            }
        }
        (Err(NotAProxyHeader), Some(_)) => {}
        (Ok(None), None) => assert!(input.len() < PROXY_HEADER_BYTES_MAX, "the wait for a header is bounded"),
        different => panic!("a later byte has changed the result: {different:?}"),
    }
    for end in decided_at.unwrap_or(input.len())..=input.len() {
        assert_eq!(parse(&input[..end]), whole, "later bytes do not matter");
    }
}

fn assert_is_line_or_binary(header: &[u8]) {
    if header.starts_with(b"PROXY ") {
        assert!(header.len() <= 107, "a line is at most 107 bytes long");
        assert!(header.ends_with(b"\r\n"), "a line ends with CRLF");
        let line_ends = header.windows(2).filter(|bytes| *bytes == b"\r\n").count();
        assert_eq!(line_ends, 1, "a line has one end");
    } else {
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        assert_eq!(header.len(), 16 + length, "the length is that in the header");
    }
}

fn assert_named_in_both_versions(ip: IpAddr, port: u16) {
    let (text_family, binary_family, address) = match ip {
        IpAddr::V4(ip) => ("TCP4", 0x11, ip.to_bits().to_be_bytes().to_vec()),
        IpAddr::V6(ip) => ("TCP6", 0x21, ip.to_bits().to_be_bytes().to_vec()),
    };
    let text = format!("PROXY {text_family} {ip} {ip} {port} {port}\r\n").into_bytes();
    let length = (2 * address.len() + 4) as u16;
    let mut binary =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[binary_family], &length.to_be_bytes(), &address, &address].concat();
    binary.extend_from_slice(&[port.to_be_bytes(), port.to_be_bytes()].concat());
    for header in [text, binary] {
        let expected = ProxyHeader { client: Some(Client::Network { ip, port: Some(port) }), bytes: header.len() };
        assert_eq!(parse(&header), Ok(Some(expected)), "the client is the same in the other version");
    }
}
