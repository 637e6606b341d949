//! Which proxies are believed about their clients' addresses, and what they say in Forwarded (RFC 7239) and
//! X-Forwarded-For.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::client::{Client, ClientGroup};
use super::fields::{FieldName, Fields, trim_white_space};

/// A set of clients: a network, or those of Unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Addresses with a common prefix.
    Ip(IpNet),
    /// Every program that is connected through a Unix socket.
    Unix,
}

/// Parses an address, a network in CIDR notation, or `unix`. The error is one line without the value.
impl FromStr for Network {
    type Err = String;

    fn from_str(value: &str) -> Result<Network, String> {
        if value == "unix" {
            return Ok(Network::Unix);
        }
        let network = value.parse().ok().or_else(|| value.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(Network::Ip).ok_or("expected an IP address, a network as in 10.0.0.0/8, or unix".to_owned())
    }
}

impl Network {
    fn contains(&self, client: &Client) -> bool {
        match (self, client) {
            (Network::Ip(network), Client::Network { ip, .. }) => network.contains(ip),
            (Network::Unix, Client::Unix) => true,
            _ => false,
        }
    }
}

/// Whom a connection counts against where clients share something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sender {
    /// The connection belongs to one of these clients.
    Group(ClientGroup),
    /// It belongs to a trusted proxy, whose clients are named by each request.
    TrustedProxy,
    /// It belongs to a proxy that has not named its client: it is about to, or is checking whether the server lives.
    #[default]
    Unnamed,
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Those whose connections begin with a PROXY protocol header.
    pub protocol: Vec<Network>,
    /// Those whose Forwarded and X-Forwarded-For fields are believed.
    pub trusted: Vec<Network>,
}

impl Proxies {
    /// Whether a connection from `client` must begin with a PROXY protocol header.
    pub fn must_send_header(&self, client: &Client) -> bool {
        self.protocol.iter().any(|network| network.contains(client))
    }

    /// Whom a connection counts against that was accepted from `client`.
    pub fn sender(&self, client: &Client) -> Sender {
        match self.must_send_header(client) {
            true => Sender::Unnamed,
            false => self.named_sender(client),
        }
    }

    /// Whom a connection counts against whose proxy has named `client` in a PROXY protocol header.
    pub fn named_sender(&self, client: &Client) -> Sender {
        match self.is_trusted(client) {
            true => Sender::TrustedProxy,
            false => Sender::Group(ClientGroup::of(client)),
        }
    }

    /// Whom a request counts against that `sender` sent; `None` if it is unknown.
    pub fn group_of(&self, sender: Sender, fields: &Fields<'_>) -> Option<ClientGroup> {
        match sender {
            Sender::Group(group) => Some(group),
            Sender::TrustedProxy => self.stated_client(fields).map(|client| ClientGroup::of(&client)),
            Sender::Unnamed => None,
        }
    }

    fn is_trusted(&self, client: &Client) -> bool {
        self.trusted.iter().any(|network| network.contains(client))
    }

    /// The client of a request that `sender` sent: the last of the addresses in Forwarded or X-Forwarded-For that is
    /// not a trusted proxy. It is `sender` itself if that is not trusted, if the field is missing or malformed, or if
    /// the request has both fields and they name different clients.
    ///
    /// Most proxies set one of the fields and pass on the other as the client has sent it. So a client can always add
    /// the field that its proxy does not set, and only what both say can be believed.
    pub fn client_of(&self, sender: Client, fields: &Fields<'_>) -> Client {
        if self.trusted.is_empty() || !self.is_trusted(&sender) {
            return sender;
        }
        self.stated_client(fields).unwrap_or(sender)
    }

    /// The client that a trusted proxy's request states; `None` if it states none, or two different ones.
    fn stated_client(&self, fields: &Fields<'_>) -> Option<Client> {
        let forwarded = fields.contains(FieldName::Forwarded).then(|| self.forwarded(fields));
        let x_forwarded = fields.contains(FieldName::XForwardedFor).then(|| self.x_forwarded(fields));
        match (forwarded, x_forwarded) {
            (None, None) => None,
            (Some(client), None) | (None, Some(client)) => client,
            // One of them may have a port.
            (Some(Some(client)), Some(Some(other))) if client.ip() == other.ip() => Some(client),
            (Some(_), Some(_)) => None,
        }
    }

    fn forwarded(&self, fields: &Fields<'_>) -> Option<Client> {
        let mut chain = ProxyChain { proxies: self, client: None };
        for value in fields.values(FieldName::Forwarded) {
            forwarded_for(value, |node| chain.continue_to(node))?;
        }
        chain.client
    }

    fn x_forwarded(&self, fields: &Fields<'_>) -> Option<Client> {
        let mut chain = ProxyChain { proxies: self, client: None };
        for node in fields.list(FieldName::XForwardedFor) {
            chain.continue_to(node_address(node));
        }
        chain.client
    }
}

/// The way of a request through proxies, from its start. Each of them has added the address from which it got the
/// request.
struct ProxyChain<'p> {
    proxies: &'p Proxies,
    /// The client, if all further nodes are trusted proxies: the last address that is not a trusted proxy, or else the
    /// first one. A node without an address begins anew: nothing before it can be known.
    client: Option<Client>,
}

impl ProxyChain<'_> {
    fn continue_to(&mut self, node: Option<Client>) {
        self.client = match node {
            Some(address) if self.proxies.is_trusted(&address) => Some(self.client.unwrap_or(address)),
            node => node,
        };
    }
}

/// Passes the address of each element's `for` parameter in one Forwarded line to `found`, `None` for an element that has
/// none. The result is `None` if the line is malformed.
fn forwarded_for(value: &[u8], mut found: impl FnMut(Option<Client>)) -> Option<()> {
    // `None` for an element without any pair: an empty one, which does not count (RFC 9110 §5.6.1.2).
    let mut element = None;
    let mut rest = trim_white_space(value);
    // Ends: each iteration consumes a pair or a delimiter.
    while !rest.is_empty() {
        let name_end = rest.iter().position(|byte| matches!(byte, b'=' | b';' | b','))?;
        let is_pair = rest[name_end] == b'=';
        if is_pair {
            let (parameter, after) = parameter_value(&rest[name_end + 1..])?;
            let node = element.get_or_insert(None);
            if rest[..name_end].eq_ignore_ascii_case(b"for") {
                *node = node_address(&parameter);
            }
            rest = trim_white_space(after);
        } else if name_end > 0 {
            return None;
        }
        match rest {
            [] => {}
            [b';', after @ ..] => rest = trim_white_space(after),
            [b',', after @ ..] => {
                element.take().into_iter().for_each(&mut found);
                rest = trim_white_space(after);
            }
            _ => return None,
        }
    }
    element.into_iter().for_each(found);
    Some(())
}

/// A token or a quoted string, without its quotes and escapes, and what follows it.
fn parameter_value(value: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let [b'"', quoted @ ..] = value else {
        let end = value.iter().position(|byte| matches!(byte, b';' | b',' | b' ' | b'\t')).unwrap_or(value.len());
        return Some((Cow::Borrowed(&value[..end]), &value[end..]));
    };
    // Nearly always there is no escape.
    let plain_bytes = quoted.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if quoted[plain_bytes] == b'"' {
        return Some((Cow::Borrowed(&quoted[..plain_bytes]), &quoted[plain_bytes + 1..]));
    }
    let mut text = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((Cow::Owned(text), &quoted[index + 1..])),
            b'\\' => text.push(*bytes.next()?.1),
            byte => text.push(*byte),
        }
    }
    None
}

/// The address of a node (RFC 7239 §6): an IPv4 address, or an IPv6 address, in brackets or, in X-Forwarded-For, without.
/// A port may follow. `None` for `unknown` and for obfuscated identifiers.
fn node_address(node: &[u8]) -> Option<Client> {
    let node = std::str::from_utf8(node).ok()?;
    let (address, port) = match node.strip_prefix('[') {
        Some(bracketed) => {
            let (address, after) = bracketed.split_once(']')?;
            (address, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None if node.matches(':').count() == 1 => node.split_once(':').map(|(address, port)| (address, Some(port)))?,
        None => (node, None),
    };
    let ip: IpAddr = address.parse().ok()?;
    // A port may also be obfuscated.
    let port = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit())).and_then(|port| port.parse().ok());
    Some(Client::Network { ip: ip.to_canonical(), port })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::fields::{FieldSpan, FieldSpans};
    use super::*;

    fn proxies(trusted: &[&str]) -> Proxies {
        let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
        Proxies { trusted, protocol: Vec::new() }
    }

    /// The client of a request with these fields from 10.0.0.1, if 10.0.0.0/8 and Unix sockets are trusted.
    fn client(lines: &[(FieldName, &str)]) -> String {
        client_from(Client::at([10, 0, 0, 1].into(), 1), lines)
    }

    fn client_from(sender: Client, lines: &[(FieldName, &str)]) -> String {
        let (mut bytes, mut spans) = (Vec::new(), FieldSpans::default());
        for (name, value) in lines {
            let value_start = bytes.len() as u16;
            bytes.extend_from_slice(value.as_bytes());
            let value_end = bytes.len() as u16;
            spans.push(FieldSpan { name: *name, value_start, value_end, ..FieldSpan::default() });
        }
        proxies(&["10.0.0.0/8", "unix"]).client_of(sender, &Fields::new(&bytes, &spans)).to_string()
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        use FieldName::{Forwarded, XForwardedFor};
        for (lines, expected) in [
            (&[][..], "10.0.0.1:1"),
            (&[(XForwardedFor, "192.0.2.1")], "192.0.2.1"),
            (&[(XForwardedFor, "198.51.100.1, 192.0.2.1, 10.9.9.9")], "192.0.2.1"),
            (&[(XForwardedFor, "198.51.100.1"), (XForwardedFor, "192.0.2.1:80")], "192.0.2.1:80"),
            (&[(XForwardedFor, "2001:db8::1")], "2001:db8::1"),
            (&[(XForwardedFor, "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
            (&[(XForwardedFor, "192.0.2.1, unknown")], "10.0.0.1:1"),
            (&[(XForwardedFor, "192.0.2.1, 10.2.2.2, nonsense, 10.3.3.3")], "10.3.3.3"),
            (&[(XForwardedFor, "192.0.2.1,")], "192.0.2.1"),
            (&[(XForwardedFor, "192.0.2.1"), (XForwardedFor, "")], "192.0.2.1"),
            (&[(XForwardedFor, "[2001:db8::1]x")], "10.0.0.1:1"),
            (&[(Forwarded, "for=192.0.2.1")], "192.0.2.1"),
            (&[(Forwarded, ", for=192.0.2.1 ,, ")], "192.0.2.1"),
            (&[(Forwarded, "for=\"[2001:db8::1]x\"")], "10.0.0.1:1"),
            (&[(Forwarded, "For=\"[2001:db8::1]:4711\";proto=http;by=10.0.0.1")], "[2001:db8::1]:4711"),
            (&[(Forwarded, "for=198.51.100.1, for=192.0.2.1;host=\"a,b;c\" , for=10.2.2.2")], "192.0.2.1"),
            (&[(Forwarded, "for=\"192.0.2.1:_port\"")], "192.0.2.1"),
            (&[(Forwarded, "for=_hidden")], "10.0.0.1:1"),
            (&[(Forwarded, "proto=http, for=10.2.2.2")], "10.2.2.2"),
            (&[(Forwarded, "for=\"192.0.2.\\1\"")], "192.0.2.1"),
            (&[(Forwarded, "for=\"192.0.2.1:80\""), (XForwardedFor, "192.0.2.1")], "192.0.2.1:80"),
        ] {
            assert_eq!(client(lines), expected, "{lines:?}");
        }
    }

    /// nginx sets X-Forwarded-For and passes on Forwarded, so its clients could choose their address.
    #[test]
    fn a_client_cannot_choose_its_address_by_the_field_that_its_proxy_does_not_set() {
        use FieldName::{Forwarded, XForwardedFor};
        for lines in [
            [(Forwarded, "for=203.0.113.9"), (XForwardedFor, "192.0.2.1")],
            [(XForwardedFor, "203.0.113.9"), (Forwarded, "for=192.0.2.1")],
            [(Forwarded, "for=\""), (XForwardedFor, "192.0.2.1")],
        ] {
            assert_eq!(client(&lines), "10.0.0.1:1", "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_forwarded_field_is_ignored() {
        for value in ["for=\"192.0.2.1", "for", "for=192.0.2.1 x", "for=192.0.2.1, \"", "for=\"\\"] {
            assert_eq!(client(&[(FieldName::Forwarded, value)]), "10.0.0.1:1", "{value}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        let stranger = Client::at([192, 0, 2, 9].into(), 1);
        assert_eq!(client_from(stranger, &[(FieldName::XForwardedFor, "192.0.2.1")]), "192.0.2.9:1");
        assert_eq!(client_from(Client::Unix, &[(FieldName::XForwardedFor, "192.0.2.1")]), "192.0.2.1");
    }

    #[test]
    fn a_network_is_an_address_a_prefix_or_unix() {
        for value in ["10.0.0.0/8", "10.0.0.1", "::1", "2001:db8::/32", "unix", "0.0.0.0/0"] {
            assert!(value.parse::<Network>().is_ok(), "{value}");
        }
        for value in ["", "10.0.0.0/33", "10.0.0", "example.org", "10.0.0.0/", "*"] {
            assert!(value.parse::<Network>().is_err(), "{value}");
        }
    }
}
