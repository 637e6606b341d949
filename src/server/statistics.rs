//! Keeps the statistics of the loop.

use super::Server;
use super::session::Session;
use super::world::{Transport, World};
use crate::http1::Activity;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Notes how long the turn took after its poll, and how many connections are open after it.
    pub(super) fn note_turn(&mut self) {
        let now_ns = self.cx.now.monotonic_ns;
        self.statistics.turns.note(now_ns.saturating_sub(self.polled_ns), now_ns);
        self.statistics.disk_calls.note(std::mem::take(&mut self.cx.disk_call_longest_ns), now_ns);
        self.statistics.connections.set(self.public_sessions() as u64);
    }

    /// Notes what the client's session is doing, and whether it has `progressed`. To be called after everything that may
    /// change that.
    pub(super) fn note_activity(&mut self, key: usize, progressed: bool) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let activity = session.connection.activity_kind();
        if activity != session.activity {
            let was_waiting = counts_as_waiting(session);
            session.activity = activity;
            let is_waiting = counts_as_waiting(session);
            if is_waiting != was_waiting {
                let waiting = &self.statistics.waiting_connections;
                let count = waiting.get();
                waiting.set(if is_waiting { count.saturating_add(1) } else { count.saturating_sub(1) });
            }
        }
        self.shares.note(key, activity, progressed);
    }

    /// Takes a session that was removed out of the count.
    pub(super) fn forget_waiting(&self, session: &Session<W::Transport, S>) {
        if counts_as_waiting(session) {
            let waiting = &self.statistics.waiting_connections;
            waiting.set(waiting.get().saturating_sub(1));
        }
    }
}

/// Whether the session is counted among those without a request in progress.
fn counts_as_waiting<T: Transport, S: Service>(session: &Session<T, S>) -> bool
where
    S::Source: Source<File = T::File>,
{
    session.activity != Activity::Active && session.connection.endpoint() == Endpoint::Public
}
