//! Keeps the statistics of the loop.

use super::Server;
use super::session::Session;
use super::world::{Transport, World};
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Notes the duration of a turn that began at `polled_ns`, and how many connections are open after it.
    pub(super) fn note_turn(&mut self, polled_ns: u64) {
        let now_ns = self.cx.now.monotonic_ns;
        self.statistics.turns.note(now_ns.saturating_sub(polled_ns), now_ns);
        self.statistics.disk_calls.note(std::mem::take(&mut self.cx.disk_call_longest_ns), now_ns);
        self.statistics.connections.set(self.public_sessions() as u64);
    }

    /// Counts whether the client's session has a request in progress. To be called after everything that may change
    /// that.
    pub(super) fn note_waiting(&mut self, key: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let is_waiting =
            session.connection.endpoint() == Endpoint::Public && session.connection.in_progress().is_none();
        if is_waiting != session.counts_as_waiting {
            session.counts_as_waiting = is_waiting;
            let waiting = &self.statistics.waiting_connections;
            let count = waiting.get();
            waiting.set(if is_waiting { count.saturating_add(1) } else { count.saturating_sub(1) });
        }
    }

    /// Takes a session that was removed out of the count.
    pub(super) fn forget_waiting(&self, session: &Session<W::Transport, S>) {
        if session.counts_as_waiting {
            let waiting = &self.statistics.waiting_connections;
            waiting.set(waiting.get().saturating_sub(1));
        }
    }
}
