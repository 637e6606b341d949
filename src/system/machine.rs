//! What this machine is called, and under which addresses it can be reached.

use std::net::{IpAddr, SocketAddr};

use super::listen::url_of;

/// Its host name, where it is text.
pub fn host_name() -> Option<String> {
    let names = rustix::system::uname();
    names.nodename().to_str().ok().filter(|name| !name.is_empty() && *name != "(none)").map(str::to_owned)
}

/// The addresses of its interfaces that are in use. Empty where the system does not tell.
pub fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().filter(|interface| interface.is_oper_up()).map(if_addrs::Interface::ip).collect()
}

/// The URLs under which a listener on `bound` is reached, each with whether only this machine reaches it: those of other
/// machines first. A listener on every address is reached by those of the interfaces, and by the machine's name.
pub fn urls_of(bound: SocketAddr, interfaces: &[IpAddr], host_name: Option<&str>) -> Vec<(String, bool)> {
    let is_for_all = bound.ip().is_unspecified();
    if !is_for_all {
        return vec![(url_of(bound), bound.ip().is_loopback())];
    }
    // A listener on 0.0.0.0 has no IPv6. Link-local addresses would need an interface behind them, which browsers refuse.
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
    // Nobody can reach a machine by its name that has no other address.
    if !reached.is_empty() {
        reached.extend(name);
    }
    reached.extend(local);
    // Where the system does not tell, what was asked for is all that can be said.
    if reached.is_empty() { vec![(url_of(bound), false)] } else { reached }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_by_those_of_the_machine() {
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
    fn where_no_interface_is_known_the_address_is_all_that_can_be_said() {
        let bound = SocketAddr::from(([0, 0, 0, 0], 80));
        assert_eq!(urls_of(bound, &[], Some("box")), [("http://0.0.0.0:80".to_owned(), false)]);
        let loopback = [IpAddr::from([127, 0, 0, 1])];
        assert_eq!(urls_of(bound, &loopback, Some("box")), [("http://127.0.0.1:80".to_owned(), true)]);
    }
}
