//! The end of the server: what already waits is accepted and answered, and nothing else is begun.

use log::{Level, debug, info, log};

use super::Server;
use super::session::Queued;
use super::world::{Transport, World};
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::{Service, Source};

/// How long responses may take once the server has been asked to end, in nanoseconds.
const SHUTDOWN_NS: u64 = 10 * 1_000_000_000;

/// How long connections that wait at a listener are still accepted, in nanoseconds: they may have to wait for a place, or
/// for a descriptor.
const ACCEPT_NS: u64 = 1_000_000_000;

/// How far the end has come.
#[derive(Debug, Default)]
pub(super) struct GracefulShutdown {
    /// When the loop ends at the latest, once it has been asked to.
    by_ns: Option<u64>,
    /// When the listeners are closed at the latest, while they are open.
    close_listeners_ns: Option<u64>,
}

impl GracefulShutdown {
    pub(super) fn has_begun(&self) -> bool {
        self.by_ns.is_some()
    }

    /// When there is something to do next.
    pub(super) fn by_ns(&self) -> Option<u64> {
        self.close_listeners_ns.or(self.by_ns)
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// The server is asked to end. Each connection is told, and gets no more than a second for a request that is on its
    /// way; what waits at the listeners is still accepted.
    pub(super) fn begin_shutdown(&mut self) {
        if self.shutdown.has_begun() {
            return;
        }
        let now = self.cx.now;
        self.shutdown.by_ns = Some(now.monotonic_ns.saturating_add(SHUTDOWN_NS));
        self.shutdown.close_listeners_ns = Some(now.monotonic_ns.saturating_add(ACCEPT_NS));
        // Connections wait there that no event has told of yet.
        for listener in 0..self.world.listeners() {
            self.acceptor.set_ready(listener);
        }
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key) {
                session.connection.begin_shutdown(&now);
            }
            self.arm(key);
        }
        let answering = self.sessions.iter().filter(|(_, session)| session.connection.is_responding()).count();
        let level = if answering > 0 { Level::Warn } else { Level::Info };
        log!(
            level,
            "asked to end: waiting for {answering} responses and uploads, 10 s at most; a second signal ends at once"
        );
    }

    /// Closes the listeners once nothing waits there any more. To be called at once behind accepting: a connection that
    /// comes in between is lost.
    pub(super) fn close_listeners_in_time(&mut self) {
        if let Some(close_ns) = self.shutdown.close_listeners_ns
            && (!self.acceptor.may_wait() || self.cx.now.monotonic_ns >= close_ns)
        {
            debug!("the listeners are closed");
            self.shutdown.close_listeners_ns = None;
            self.world.close_listeners();
            self.acceptor = super::Acceptor::new(0);
        }
    }

    /// Whether the loop is to end.
    pub(super) fn is_finished(&self) -> bool {
        let is_idle = self.sessions.is_empty() && self.shutdown.close_listeners_ns.is_none();
        self.shutdown.by_ns.is_some_and(|by_ns| is_idle || self.cx.now.monotonic_ns >= by_ns)
    }

    /// Says what was cut off, and closes it.
    pub(super) fn report_the_end(&mut self) {
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
            0 => info!("ended; every response was sent whole"),
            _ => log::warn!("ended; {cut_off} responses or uploads were cut off"),
        }
    }
}
