//! Fair shares of the connections. In some runs with few connections several clients have the same address, and this
//! checks who gives way to whom: nobody loses a connection with a request in progress to an address that then holds more,
//! and nobody is refused while an address holds more than he would.

use spindle::http1::TOO_MANY_CONNECTIONS;

use crate::simulation::link::Stage;
use crate::simulation::network::NetworkState;

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
    /// How many connections with this address the server has open, besides the one that it has accepted last.
    fn held_besides_newest(&self, address: usize) -> usize {
        let is_counted = |number: usize| {
            let link = &self.links[number];
            Some(number) != self.newest && link.address == address && matches!(link.stage, Stage::Accepted(_))
        };
        (0..self.links.len()).filter(|number| is_counted(*number)).count()
    }

    /// The server is about to close a connection with a request in progress, before any shutdown.
    pub(crate) fn gives_way(&mut self, link: usize) {
        self.links[link].gave_way = true;
        let newest = self.newest.unwrap_or(link);
        let (own, other) = (self.links[link].address, self.links[newest].address);
        let (held, held_by_other) = (self.held_besides_newest(own), self.held_besides_newest(other));
        self.coverage.count("network", "a request in progress gives way");
        if held < held_by_other + 2 {
            self.exceeded.get_or_insert(format!(
                "connection {link} had a request in progress and gives way to connection {newest}, although its address \
                 holds {held} connections and the other one {held_by_other}"
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
        let own = self.held_besides_newest(self.links[link].address);
        let greatest = self.links.iter().map(|link| self.held_besides_newest(link.address)).max().unwrap_or(0);
        self.coverage.count("network", "refused: no address holds more");
        if greatest > own + 1 || self.open < self.settings.connections_max {
            self.exceeded.get_or_insert(format!(
                "connection {link} is refused, although {} are open and an address holds {greatest}, its own {own}",
                self.open
            ));
        }
    }
}
