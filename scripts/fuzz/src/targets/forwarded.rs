//! The client that proxies name in Forwarded and X-Forwarded-For. Each line of the input is one value: of Forwarded if it
//! begins with `!`, otherwise of X-Forwarded-For; bytes that no field value may contain are removed.
//!
//! 1. No input makes it panic.
//! 2. A sender that is not a trusted proxy is the client itself.
//! 3. The client is the sender or one of the addresses in the fields.
//! 4. The result for X-Forwarded-For is that of a second, simpler implementation.
//! 5. Whatever a client has sent: if its proxy appends its address to one of the fields, then that, or the proxy's own, is
//!    the result. A client cannot choose another one.
//! 6. How X-Forwarded-For is split into lines has no effect.

use std::net::IpAddr;

use spindle::http1::limits::{FIELD_LINES_MAX, FIELD_SECTION_BYTES_MAX};
use spindle::http1::message_head::HeadParser;
use spindle::semantics::client::Client;
use spindle::semantics::fields::FieldSpans;
use spindle::semantics::proxies::Proxies;

type Lines = Vec<(&'static str, Vec<u8>)>;

const FORWARDED: &str = "Forwarded";
const X_FORWARDED_FOR: &str = "X-Forwarded-For";

/// Runs the target.
pub fn run(input: &[u8]) {
    let lines: Lines = input.split(|byte| *byte == b'\n').take(FIELD_LINES_MAX - 1).map(line).collect();
    let stranger = Client::at([192, 0, 2, 9].into(), 1);
    let Some(for_stranger) = client(stranger, &lines) else { return };
    assert_eq!(for_stranger, stranger, "a sender that is not trusted is the client itself");

    let sender = Client::at([10, 0, 0, 1].into(), 1);
    let Some(found) = client(sender, &lines) else { return };
    assert!(found == sender || is_named(&found, &lines), "{found} is the sender or named in a field");

    let plain: Lines = lines.iter().filter(|(name, _)| *name == X_FORWARDED_FOR).cloned().collect();
    let expected = expected(sender, &plain);
    assert_eq!(client(sender, &plain), Some(expected), "the result is that of the reference implementation");
    let values: Vec<&[u8]> = plain.iter().map(|(_, value)| &value[..]).collect();
    let joined = vec![(X_FORWARDED_FOR, values.join(&b','))];
    assert_eq!(client(sender, &joined), Some(expected), "how the list is split into lines has no effect");

    for (name, value) in [(FORWARDED, "for=203.0.113.7"), (X_FORWARDED_FOR, "203.0.113.7")] {
        let appended = append(&lines, name, value);
        let Some(found) = client(sender, &appended) else { continue };
        let own = "203.0.113.7".parse().ok();
        assert!(found == sender || found.ip() == own, "the client has chosen {found}");
        if lines.iter().all(|(other, _)| *other == name) && name == X_FORWARDED_FOR {
            assert_eq!(found.ip(), own, "the last address of X-Forwarded-For is found");
        }
    }
}

/// A line's field, and its value without the bytes that none may contain.
fn line(line: &[u8]) -> (&'static str, Vec<u8>) {
    let (name, value) = match line {
        [b'!', value @ ..] => (FORWARDED, value),
        value => (X_FORWARDED_FOR, value),
    };
    (name, value.iter().copied().filter(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)).collect())
}

/// Appends to the last value of that field, as proxies do, or adds the field.
fn append(lines: &Lines, name: &'static str, value: &str) -> Lines {
    let mut lines = lines.clone();
    match lines.iter_mut().rfind(|(other, _)| *other == name) {
        Some((_, list)) => list.extend_from_slice(format!(", {value}").as_bytes()),
        None => lines.push((name, value.as_bytes().to_vec())),
    }
    lines
}

/// The client of a request from `sender` with these fields; `None` if they exceed the limits of a head.
fn client(sender: Client, lines: &Lines) -> Option<Client> {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    for (name, value) in lines {
        head.extend_from_slice(&[name.as_bytes(), b":", value, b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    if head.len() > FIELD_SECTION_BYTES_MAX {
        return None;
    }
    let mut spans = FieldSpans::with_capacity(FIELD_LINES_MAX);
    let mut parser = HeadParser::default();
    assert_eq!(parser.advance(&head, &mut spans), Ok(true), "the head is accepted");
    let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
    Some(Proxies { trusted, protocol: Vec::new() }.client_of(sender, &parser.complete(&head, &spans).fields))
}

/// Whether the address is somewhere in the fields, with or without a port.
fn is_named(client: &Client, lines: &Lines) -> bool {
    let is_delimiter = |character: char| ",;=\"[] \t".contains(character);
    lines.iter().any(|(_, value)| {
        let text = String::from_utf8_lossy(value).replace('\\', "");
        let mut words = text.split(is_delimiter).flat_map(|word| [Some(word), word.rsplit_once(':').map(|(ip, _)| ip)]);
        words.any(|word| word.and_then(|word| word.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical()) == client.ip())
    })
}

/// The reference implementation for X-Forwarded-For: goes back through the list.
fn expected(sender: Client, lines: &Lines) -> Client {
    let mut client = sender;
    let nodes: Vec<&[u8]> = lines.iter().flat_map(|(_, value)| value.split(|byte| *byte == b',')).collect();
    let is_empty = |node: &&[u8]| node.iter().all(|byte| matches!(byte, b' ' | b'\t'));
    for node in nodes.into_iter().rev().filter(|node| !is_empty(node)) {
        let is_trusted = matches!(client.ip(), Some(IpAddr::V4(ip)) if ip.to_bits() >> 24 == 10);
        match std::str::from_utf8(node).ok().and_then(node_address) {
            Some(address) if is_trusted => client = address,
            _ => break,
        }
    }
    client
}

/// An address, or an address and a port; an IPv6 address with a port is in brackets.
fn node_address(node: &str) -> Option<Client> {
    let node = node.trim_matches([' ', '\t']);
    let unbracketed = node.strip_prefix('[').and_then(|node| node.split_once(']'));
    let (ip, port) = match (unbracketed, node.split_once(':')) {
        (Some((ip, "")), _) => (ip, None),
        (Some((ip, after)), _) => (ip, Some(after.strip_prefix(':')?)),
        (None, Some((ip, port))) if !port.contains(':') => (ip, Some(port)),
        _ => (node, None),
    };
    let is_number = |port: &&str| port.chars().all(|digit| digit.is_ascii_digit());
    let port = port.filter(is_number).and_then(|port| port.parse().ok());
    ip.parse::<IpAddr>().ok().map(|ip| Client::Network { ip: ip.to_canonical(), port })
}
