//! The host names under which a shared folder and the administrator's resources are served.
//!
//! This protects against DNS rebinding: an attacker's web site makes its name resolve to this machine. To the browser,
//! pages of that site and this server are then the same origin, so the attacker's scripts can read them. Only the
//! Host field shows the attacker's name. Requests to an IP address are always served, because nobody can make an
//! address resolve to another machine.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::origin::host_and_port;
use super::request::Request;

/// The host names that are served besides IP addresses and `localhost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Every name.
    Any,
    /// These names, compared without regard to case.
    Named(Vec<String>),
}

impl AllowedHosts {
    /// The `configured` names, and three forms of the machine's own name: the full name, the name without its domain,
    /// and that with `.local`, which mDNS resolves. If `*` is configured, every name is allowed.
    pub fn new(configured: &[String], machine: Option<&str>) -> AllowedHosts {
        if configured.iter().any(|name| name == "*") {
            return AllowedHosts::Any;
        }
        let mut names = configured.to_vec();
        if let Some(machine) = machine {
            let first = machine.split('.').next().unwrap_or(machine);
            names.extend([machine.to_owned(), first.to_owned(), format!("{first}.local")]);
        }
        names.retain(|name| !name.is_empty());
        AllowedHosts::Named(names)
    }

    /// Whether the request was sent to an allowed name. A request without Host is allowed, because every browser sends
    /// Host.
    pub fn allow(&self, request: &Request<'_>) -> bool {
        let AllowedHosts::Named(names) = self else { return true };
        let Some(authority) = request.authority() else { return true };
        let (host, _) = host_and_port(authority);
        // A dot at the end marks a name as fully qualified.
        let host = host.strip_suffix(b".").unwrap_or(host);
        is_address(host)
            || host.eq_ignore_ascii_case(b"localhost")
            || names.iter().any(|name| name.trim_end_matches('.').as_bytes().eq_ignore_ascii_case(host))
    }
}

fn is_address(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // A link-local address may have a zone after a percent sign, which may itself be encoded.
        Some(v6) => v6.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::fields::{FieldName, FieldSpan, FieldSpans, Fields};
    use crate::semantics::method::Method;
    use crate::semantics::request::{PathAndQuery, Target, Version};

    fn allows(hosts: &AllowedHosts, host: &str) -> bool {
        let mut spans = FieldSpans::default();
        let value_end = host.len() as u16;
        spans.push(FieldSpan { name: FieldName::Host, name_start: 0, name_end: 0, value_start: 0, value_end });
        hosts.allow(&Request {
            method: Method::Get,
            target: Target::Origin(PathAndQuery::new(b"/")),
            version: Version::Http11,
            fields: Fields::new(host.as_bytes(), &spans),
            content_bytes: Some(0),
            arrived: None,
            endpoint: Default::default(),
            sender: None,
        })
    }

    #[test]
    fn addresses_and_the_machines_names_are_allowed_and_no_other_names() {
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
            assert!(allows(&hosts, host), "{host}");
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
            assert!(!allows(&hosts, host), "{host}");
        }
    }

    #[test]
    fn a_star_allows_every_name() {
        assert!(allows(&AllowedHosts::new(&["*".to_owned()], None), "evil.example"));
        assert!(!allows(&AllowedHosts::new(&[], None), "evil.example"));
    }
}
