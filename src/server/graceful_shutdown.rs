//! Graceful shutdown: connections in the backlog are still accepted, requests in progress get their responses, and
//! later requests are not begun.

use log::{Level, debug, info, log};

use super::Server;
use super::session::Queued;
use super::world::{Transport, World};
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::{Service, Source};

/// How long responses and uploads in progress may take after shutdown was requested, in nanoseconds.
const SHUTDOWN_NS: u64 = 10 * 1_000_000_000;

/// How long connections in the backlog are still accepted, in nanoseconds. It is not zero because the connection limit
/// or a lack of descriptors may delay them.
const ACCEPT_NS: u64 = 1_000_000_000;

/// The progress of a shutdown. Both times are `None` before it is requested.
#[derive(Debug, Default)]
pub(super) struct GracefulShutdown {
    /// When the loop ends even if connections are still open.
    by_ns: Option<u64>,
    /// When the listeners are closed even if their backlog is not empty; `None` once they are closed.
    close_listeners_ns: Option<u64>,
}

impl GracefulShutdown {
    pub(super) fn has_begun(&self) -> bool {
        self.by_ns.is_some()
    }

    /// When the shutdown next needs the loop to run.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.close_listeners_ns.or(self.by_ns)
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Begins the shutdown. Each open connection waits at most one more second for a request, and connections in the
    /// backlog are still accepted. Further calls do nothing.
    pub(super) fn begin_shutdown(&mut self) {
        if self.shutdown.has_begun() {
            return;
        }
        let now = self.cx.now;
        self.shutdown.by_ns = Some(now.monotonic_ns.saturating_add(SHUTDOWN_NS));
        self.shutdown.close_listeners_ns = Some(now.monotonic_ns.saturating_add(ACCEPT_NS));
        // The backlog may contain connections that no event has reported yet.
        for listener in 0..self.world.listener_count() {
            self.acceptor.set_ready(listener);
        }
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key) {
                session.connection.begin_shutdown(&now);
            }
            self.arm_deadline(key);
        }
        let in_progress = self.sessions.iter().filter(|(_, session)| session.connection.is_responding()).count();
        self.world.report_shutdown(in_progress);
        let level = if in_progress > 0 { Level::Warn } else { Level::Info };
        log!(
            level,
            "shutting down: waiting at most 10 s for {in_progress} responses and uploads; a second signal exits at once"
        );
    }

    /// Closes the listeners once their backlog is empty, or when the time for that is up. Must be called right after
    /// accepting: a connection that arrives in between is reset.
    pub(super) fn close_listeners_if_done(&mut self) {
        if let Some(close_ns) = self.shutdown.close_listeners_ns
            && (!self.acceptor.has_backlog() || self.cx.now.monotonic_ns >= close_ns)
        {
            debug!("the listeners are closed");
            self.shutdown.close_listeners_ns = None;
            self.world.close_listeners();
            self.acceptor = super::Acceptor::new(0);
        }
    }

    /// Whether the shutdown has completed, or its time is up.
    pub(super) fn is_finished(&self) -> bool {
        let is_idle = self.sessions.is_empty() && self.shutdown.close_listeners_ns.is_none();
        self.shutdown.by_ns.is_some_and(|by_ns| is_idle || self.cx.now.monotonic_ns >= by_ns)
    }

    /// Closes the remaining connections, and logs how many responses and uploads that cut off.
    pub(super) fn finish_shutdown(&mut self) {
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        let mut cut_off = 0;
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key) {
                cut_off += usize::from(session.connection.is_responding());
                session.queued = Queued::No;
            }
            self.remove(key, Outcome::ServerClosed);
        }
        match cut_off {
            0 => info!("stopped: every response was sent completely"),
            _ => log::warn!("stopped: {cut_off} responses or uploads were cut off"),
        }
    }
}
