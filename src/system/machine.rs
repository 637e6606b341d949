//! This machine's host name, and the URLs at which other machines can reach a listener.

use std::net::{IpAddr, SocketAddr};

use super::listen::url_of;

/// The host name. `None` if it is not set or not UTF-8.
pub fn host_name() -> Option<String> {
    let names = rustix::system::uname();
    names.nodename().to_str().ok().filter(|name| !name.is_empty() && *name != "(none)").map(str::to_owned)
}

/// The addresses of the network interfaces that are up. Empty if the system cannot list them.
pub fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().filter(|interface| interface.is_oper_up()).map(if_addrs::Interface::ip).collect()
}

/// The URLs of a listener on `bound`, each with whether it works on this machine only. URLs that work on other machines
/// come first. For an unspecified address (`::`, `0.0.0.0`) they are those of the interfaces and of the host name.
pub fn urls_of(bound: SocketAddr, interfaces: &[IpAddr], host_name: Option<&str>) -> Vec<(String, bool)> {
    if !bound.ip().is_unspecified() {
        return vec![(url_of(bound), bound.ip().is_loopback())];
    }
    // A listener on 0.0.0.0 has no IPv6. The URL of a link-local address needs an interface, which browsers refuse.
    let is_reached = |address: &&IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => bound.is_ipv6() && !address.is_unicast_link_local(),
    };
    let urls = interfaces
        .iter()
        .filter(is_reached)
        .map(|address| (url_of(SocketAddr::new(*address, bound.port())), address.is_loopback()));
    let name = host_name.map(|name| (format!("http://{name}:{}", bound.port()), false));
    let (local, mut reached): (Vec<_>, Vec<_>) = urls.partition(|(_, is_local)| *is_local);
    // Without an address that others can reach, the name does not work either.
    if !reached.is_empty() {
        reached.extend(name);
    }
    reached.extend(local);
    // If the interfaces are unknown, only the address of the listener remains.
    if reached.is_empty() { vec![(url_of(bound), false)] } else { reached }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_becomes_the_addresses_of_the_interfaces() {
        let interfaces: Vec<IpAddr> = ["127.0.0.1", "::1", "192.168.1.5", "fe80::1", "2001:db8::5"]
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect();
        let urls = |bound: &str| -> Vec<String> {
            let Ok(bound) = bound.parse() else { return Vec::new() };
            urls_of(bound, &interfaces, Some("box")).into_iter().map(|(url, _)| url).collect()
        };
        assert_eq!(
            urls("[::]:80"),
            [
                "http://192.168.1.5:80",
                "http://[2001:db8::5]:80",
                "http://box:80",
                "http://127.0.0.1:80",
                "http://[::1]:80"
            ]
        );
        assert_eq!(urls("0.0.0.0:80"), ["http://192.168.1.5:80", "http://box:80", "http://127.0.0.1:80"]);
        assert_eq!(urls("10.0.0.1:80"), ["http://10.0.0.1:80"]);
        assert_eq!(urls("127.0.0.1:80"), ["http://127.0.0.1:80"]);
    }

    #[test]
    fn without_known_interfaces_the_url_is_the_listeners_address() {
        let bound = SocketAddr::from(([0, 0, 0, 0], 80));
        assert_eq!(urls_of(bound, &[], Some("box")), [("http://0.0.0.0:80".to_owned(), false)]);
        let loopback = [IpAddr::from([127, 0, 0, 1])];
        assert_eq!(urls_of(bound, &loopback, Some("box")), [("http://127.0.0.1:80".to_owned(), true)]);
    }
}
