//! Under which names a shared folder is served.
//!
//! A page of any site can make its name lead to this machine, and its scripts may then read what they get from it: to
//! the browser it is all one site (DNS rebinding). Only the Host field tells such a request from an honest one.
//! Addresses are always honest, since nobody else can give them another meaning.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::semantics::origin::host_and_port;
use crate::semantics::request::Request;

/// The names that are served besides addresses and `localhost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// All names.
    Any,
    /// These, in any case.
    Named(Vec<String>),
}

impl AllowedHosts {
    /// The names that were asked for, of which `*` stands for all, and the machine's own: whole, without its domain,
    /// and as the local network resolves it.
    pub fn new(asked_for: &[String], machine: Option<&str>) -> AllowedHosts {
        if asked_for.iter().any(|name| name == "*") {
            return AllowedHosts::Any;
        }
        let mut names = asked_for.to_vec();
        if let Some(machine) = machine {
            let first = machine.split('.').next().unwrap_or(machine);
            names.extend([machine.to_owned(), first.to_owned(), format!("{first}.local")]);
        }
        names.retain(|name| !name.is_empty());
        AllowedHosts::Named(names)
    }

    /// Whether the request was sent to this machine. One without Host was: every browser sends it.
    pub(super) fn allow(&self, request: &Request<'_>) -> bool {
        let AllowedHosts::Named(names) = self else { return true };
        let Some(authority) = request.authority() else { return true };
        let (host, _) = host_and_port(authority);
        // A name that ends in a dot is the same name, in full.
        let host = host.strip_suffix(b".").unwrap_or(host);
        is_address(host)
            || host.eq_ignore_ascii_case(b"localhost")
            || names.iter().any(|name| name.trim_end_matches('.').as_bytes().eq_ignore_ascii_case(host))
    }
}

fn is_address(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // The interface of a link-local address is behind a percent sign, which is encoded or not.
        Some(v6) => v6.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::fields::{FieldName, FieldSpan, FieldSpans, Fields};
    use crate::semantics::method::Method;
    use crate::semantics::request::{Target, Version};

    fn includes(hosts: &AllowedHosts, host: &str) -> bool {
        let mut spans = FieldSpans::default();
        let value_end = host.len() as u16;
        spans.push(FieldSpan { name: FieldName::Host, name_start: 0, name_end: 0, value_start: 0, value_end });
        hosts.allow(&Request {
            method: Method::Get,
            target: Target::Origin(b"/"),
            version: Version::Http11,
            fields: Fields::new(host.as_bytes(), &spans),
            content_bytes: Some(0),
        })
    }

    #[test]
    fn addresses_and_the_own_names_are_served_and_nothing_else() {
        let hosts = AllowedHosts::new(&["Files.Example".to_owned()], Some("box.lan"));
        for host in [
            "127.0.0.1",
            "192.168.1.5:4221",
            "[::1]",
            "[fe80::1%25eth0]:80",
            "localhost",
            "LocalHost:4221",
            "localhost.",
            "box",
            "BOX.lan:80",
            "box.local",
            "box.local.:80",
            "files.example",
            "files.example.:8080",
        ] {
            assert!(includes(&hosts, host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io",
            "box.evil",
            "1.2.3",
            "0x7f000001",
            "[::1].evil",
            "[evil]",
            "a",
        ] {
            assert!(!includes(&hosts, host), "{host}");
        }
    }

    #[test]
    fn a_star_serves_all_names() {
        assert!(includes(&AllowedHosts::new(&["*".to_owned()], None), "evil.example"));
        assert!(!includes(&AllowedHosts::new(&[], None), "evil.example"));
    }
}
