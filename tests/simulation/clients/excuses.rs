//! When a connection may end although its honest client has not been answered.

use spindle::http1::limits::IDLE_TIMEOUT_NS;

use crate::simulation::clients::Reach;
use crate::simulation::clients::honest::Honest;
use crate::simulation::network::SECOND;

/// How long the server gives responses when it has been asked to end.
const SHUTDOWN_NS: u64 = 10 * SECOND;

impl Honest {
    /// Whether the connection may have ended without an answer to what is asked.
    pub(super) fn may_end(&self, reach: &Reach<'_>) -> bool {
        let line = &reach.inner.lines[reach.line];
        let was_refused = reach.inner.settings.faults.failed_accept > 0 && line.accepted_ns.is_none();
        // Between two questions, or when it was idle for so long: the next question may have crossed with the end.
        let was_idle = line.closed_ns.is_some_and(|closed_ns| closed_ns >= line.output_ns + IDLE_TIMEOUT_NS);
        let is_between = self.asked.is_empty() || was_idle;
        let may_be_short =
            reach.inner.may_be_stopped() || self.manners.disk_may_fail || self.has_sent_behind_end(reach);
        let is_excused = self.manners.is_scarce || was_refused || is_between || may_be_short;
        self.told_to_go.is_some() || is_excused || self.may_have_been_ended(reach)
    }

    /// Whether the connection ended because the server was asked to, and rightly so: what had come by then is answered.
    fn may_have_been_ended(&self, reach: &Reach<'_>) -> bool {
        let line = &reach.inner.lines[reach.line];
        let Some(signal_ns) =
            reach.inner.signal_ns.filter(|at_ns| line.closed_ns.is_none_or(|closed| closed >= *at_ns))
        else {
            return false;
        };
        // What waits at a listener is accepted for a second, and a slow disk may take that.
        let accept_ns = reach.inner.listeners_closed_ns.map_or(0, |closed_ns| closed_ns.saturating_sub(signal_ns));
        if line.accepted_ns.is_none() && accept_ns >= SECOND {
            return true;
        }
        let arrived_bytes = line.arrived_by_signal_bytes.unwrap_or(0);
        let had_come = self.asked.front().is_some_and(|first| first.head_end + self.urgent_bytes <= arrived_bytes);
        let had_its_time = line.closed_ns.is_some_and(|closed_ns| closed_ns >= signal_ns + SHUTDOWN_NS);
        !had_come || had_its_time && !self.manners.is_fast
    }

    /// Whether the server had answered and ended, and waited no longer since it was asked to end, when a client that reads
    /// slowly sent more: then that resets the connection.
    fn has_sent_behind_end(&self, reach: &Reach<'_>) -> bool {
        let line = &reach.inner.lines[reach.line];
        let has_ended = line.server_has_ended && line.closed_ns.is_some() && reach.inner.signal_ns.is_some();
        has_ended && line.reset_was_received && !line.output.is_empty()
    }

    /// Whether part of an answer may be missing: only its client or the disk can be at fault.
    pub(super) fn may_be_cut_short(&self, reach: &mut Reach<'_>) -> bool {
        let line = &reach.inner.lines[reach.line];
        let had_its_time = reach.inner.signal_ns.is_some_and(|signal_ns| {
            line.closed_ns.is_some_and(|closed_ns| closed_ns >= signal_ns + SHUTDOWN_NS) && !self.manners.is_fast
        });
        // At capacity a connection gives way a quarter of a second after its last byte was sent; if the client has not read
        // everything by then, the reset discards the rest.
        let line = &reach.inner.lines[reach.line];
        let had_its_time_to_read = line.closed_ns.is_none_or(|closed_ns| closed_ns >= line.output_ns + SECOND / 4);
        let gave_way = self.manners.is_scarce && had_its_time_to_read && reach.is_lost();
        self.read.is_empty()
            || had_its_time
            || gave_way
            || self.has_sent_behind_end(reach)
            || reach.inner.may_be_stopped()
            || self.manners.disk_may_fail
    }
}
