//! When a connection of an honest client may end without a response.

use spindle::http1::limits::IDLE_TIMEOUT_NS;

use crate::simulation::clients::ClientSocket;
use crate::simulation::clients::honest::Honest;
use crate::simulation::network::SECOND;
use crate::simulation::network_settings::HELD_BACK_NS;

/// How long the server gives responses during a shutdown.
const SHUTDOWN_NS: u64 = 10 * SECOND;

/// The longest time from the server's last look into a backlog to the end of its listener.
const LAST_LOOK_NS: u64 = SECOND / 10;

impl Honest {
    /// Whether the connection may have ended without a response to the first outstanding request.
    pub(super) fn may_end(&self, socket: &ClientSocket<'_>) -> bool {
        let link = &socket.inner.links[socket.link];
        let was_refused = socket.inner.settings.faults.failed_accept > 0 && link.accepted_ns.is_none();
        let was_refused = was_refused || link.was_not_registered;
        // The connection was idle, or timed out as idle: the next request may have been sent at the same time.
        let was_idle = link.closed_ns.is_some_and(|closed_ns| closed_ns >= link.output_ns + IDLE_TIMEOUT_NS);
        let is_between = self.outstanding.is_empty() || was_idle;
        let may_be_short =
            socket.inner.may_have_crashed() || self.behaviour.disk_may_fail || self.has_sent_after_end(socket);
        let is_excused = was_refused || may_be_short;
        if !is_excused && was_lost_with_listener(socket) {
            return false;
        }
        let may_be_ended = || self.last_response.is_some() || is_between || self.may_have_been_ended(socket);
        is_excused || self.behaviour.is_limited || may_be_ended()
    }

    /// Whether a shutdown may have ended the connection. Requests that had arrived before the signal get a response.
    fn may_have_been_ended(&self, socket: &ClientSocket<'_>) -> bool {
        let link = &socket.inner.links[socket.link];
        let Some(signal_ns) =
            socket.inner.signal_ns.filter(|at_ns| link.closed_ns.is_none_or(|closed| closed >= *at_ns))
        else {
            return false;
        };
        if link.accepted_ns.is_none() && socket.inner.listeners_closed_ns.is_some() {
            return true;
        }
        let arrived_bytes = link.arrived_by_signal_bytes.unwrap_or(0);
        let had_come =
            self.outstanding.front().is_some_and(|first| first.head_end + self.urgent_bytes <= arrived_bytes);
        let had_its_time = link.closed_ns.is_some_and(|closed_ns| closed_ns >= signal_ns + SHUTDOWN_NS);
        !had_come || had_its_time && !self.behaviour.is_fast
    }

    /// Whether the server had ended the connection after a response, and closed it early because of the shutdown. If
    /// the client then sends more, a reset destroys what it has not read.
    fn has_sent_after_end(&self, socket: &ClientSocket<'_>) -> bool {
        let link = &socket.inner.links[socket.link];
        let has_ended = link.server_has_ended && link.closed_ns.is_some() && socket.inner.signal_ns.is_some();
        has_ended && link.reset_was_received && !link.output.is_empty()
    }

    /// Whether a response may be incomplete: because of the client, the disk, or a crash.
    pub(super) fn may_be_cut_short(&self, socket: &mut ClientSocket<'_>) -> bool {
        let link = &socket.inner.links[socket.link];
        let had_its_time = socket.inner.signal_ns.is_some_and(|signal_ns| {
            link.closed_ns.is_some_and(|closed_ns| closed_ns >= signal_ns + SHUTDOWN_NS) && !self.behaviour.is_fast
        });
        // At the connection limit a connection can be evicted a quarter of a second after its last byte was sent. If
        // the client has not read everything by then, the reset discards the rest.
        let link = &socket.inner.links[socket.link];
        let had_its_time_to_read = link.closed_ns.is_none_or(|closed_ns| closed_ns >= link.output_ns + SECOND / 4);
        let gave_way = self.behaviour.is_limited && had_its_time_to_read && socket.is_lost();
        self.read.is_empty()
            || had_its_time
            || socket.inner.links[socket.link].gave_way
            || socket.inner.links[socket.link].was_refused
            || socket.inner.links[socket.link].was_not_registered
            || gave_way
            || self.has_sent_after_end(socket)
            || socket.inner.may_have_crashed()
            || self.behaviour.disk_may_fail
    }
}

/// Whether the end of a listener has reset the connection although the server had the time to accept it.
fn was_lost_with_listener(socket: &ClientSocket<'_>) -> bool {
    let link = &socket.inner.links[socket.link];
    let times = socket.inner.signal_ns.zip(socket.inner.listeners_closed_ns).zip(link.established_ns);
    let Some(((signal_ns, closed_ns), established_ns)) = times.filter(|_| link.accepted_ns.is_none()) else {
        return false;
    };
    // Connections in the backlog are accepted for one second once none is held back, which a slow disk or a limit may use
    // up. At the limit, the server may have ended the holding back before the signal.
    let handed_over_ns = match socket.inner.settings.holds_back {
        true => socket.inner.holding_back_ended_ns.map_or(signal_ns, |at_ns| at_ns.min(signal_ns)) + HELD_BACK_NS,
        false => signal_ns,
    };
    let had_time = closed_ns < handed_over_ns.max(signal_ns) + SECOND;
    had_time && closed_ns >= established_ns + LAST_LOOK_NS
}
