//! Fair shares of the connections. In some runs with few connections several clients have the same address, and this
//! checks who gives way to whom: nobody loses a connection with a request in progress to an address that then holds more,
//! and nobody is refused while an address holds more than he would. Where the connections of an address are limited, none
//! holds more of them after any turn, and a request in progress is lost only if its proxy has named too late whose it is.

use std::collections::BTreeMap;

use spindle::http1::TOO_MANY_CONNECTIONS;

use crate::simulation::link::{Link, Stage};
use crate::simulation::network::NetworkState;
use crate::simulation::proxies::{self, Group};

/// Which clients have the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// None of them.
    Own,
    /// All of them have one of so many.
    Few(usize),
    /// Those that load the server.
    Swarm,
}

/// The number of the swarm's address.
const SWARM: usize = 0xff_ffff;

impl Addresses {
    /// The number of a link's address.
    pub(crate) fn of(self, link: usize, is_in_swarm: bool) -> usize {
        match self {
            Addresses::Few(count) => link % count,
            Addresses::Swarm if is_in_swarm => SWARM,
            Addresses::Own | Addresses::Swarm => link,
        }
    }
}

impl NetworkState {
    /// The connections that the server has open, besides the one that it has accepted last, by whom they count against.
    fn held_besides_newest(&self) -> BTreeMap<Group, usize> {
        let open = self.links.iter().enumerate();
        let open =
            open.filter(|(number, link)| Some(*number) != self.newest && matches!(link.stage, Stage::Accepted(_)));
        let mut held = BTreeMap::new();
        for group in open.filter_map(|(_, link)| proxies::group(link)) {
            *held.entry(group).or_default() += 1;
        }
        held
    }

    /// The server is about to close a connection with a request in progress, before any shutdown.
    pub(crate) fn gives_way(&mut self, link: usize) {
        self.links[link].gave_way = true;
        let newest = self.newest.unwrap_or(link);
        let held = self.held_besides_newest();
        let of = |link: &Link| proxies::group(link).and_then(|group| held.get(&group)).copied().unwrap_or(0);
        let (own, other) = (of(&self.links[link]), of(&self.links[newest]));
        self.coverage.count("network", "a request in progress gives way");
        // Its proxy has just named a client that holds as many as it may.
        let is_one_too_many = self.settings.connections_per_address.is_some_and(|max| own > max)
            || link == newest && self.settings.connections_per_address.is_some_and(|max| own >= max);
        if own < other + 2 && !is_one_too_many {
            self.exceeded.get_or_insert(format!(
                "connection {link} had a request in progress and gives way to connection {newest}, although its address \
                 holds {own} connections and the other one {other}"
            ));
        }
    }

    /// The server closes a connection. Checks whether it had to, if it does so because it has no place for it.
    pub(crate) fn check_refusal(&mut self, link: usize) {
        let output = &self.links[link].output;
        // The socket may have taken only a part.
        let is_refusal = !output.is_empty() && TOO_MANY_CONNECTIONS.starts_with(output);
        let is_new = self.newest == Some(link) && self.links[link].stage == Stage::Accepted(None);
        if !is_refusal || !is_new {
            return;
        }
        self.links[link].was_refused = true;
        let held = self.held_besides_newest();
        let own = proxies::group(&self.links[link]).and_then(|group| held.get(&group)).copied().unwrap_or(0);
        if self.settings.connections_per_address.is_some_and(|max| own >= max) {
            self.coverage.count("network", "refused: its address holds as many as it may");
            return;
        }
        let greatest = held.values().copied().max().unwrap_or(0);
        self.coverage.count("network", "refused: no address holds more");
        if greatest > own + 1 || self.open < self.settings.connections_max {
            self.exceeded.get_or_insert(format!(
                "connection {link} is refused, although {} are open and an address holds {greatest}, its own {own}",
                self.open
            ));
        }
    }

    /// The server has ended a turn: no address holds more connections than it may.
    pub(crate) fn check_limit_of_addresses(&mut self) {
        let Some(max) = self.settings.connections_per_address else { return };
        let newest = self.newest.take();
        let held = self.held_besides_newest();
        self.newest = newest;
        if let Some((group, count)) = held.into_iter().find(|(_, count)| *count > max) {
            self.exceeded.get_or_insert(format!("{group:?} holds {count} connections, and may hold {max}"));
        }
    }
}
