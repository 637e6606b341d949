//! Accepting: which listener is tried next, the pause when descriptors run out, and the sessions of new connections.

use log::{debug, warn};

use super::SHRINK_NS;
use super::Server;
use super::scheduler::DRIVE_NS;
use super::session::{Queued, Session};
use super::world::{AcceptError, Transport, World};
use crate::http1::Connection;
use crate::semantics::Now;
use crate::semantics::client::Client;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};
use crate::semantics::statistics::LoopStatistics;

/// The most connections that one turn accepts from one listener.
pub(super) const ACCEPTED_PER_TURN: usize = 64;

/// How long accepting pauses when descriptors run out, in nanoseconds. A connection that closes ends the pause.
const PAUSE_NS: u64 = 1_000_000_000;

/// The least time between two warnings, in nanoseconds. Without descriptors, each connection that closes leads to
/// another attempt that may fail.
const WARNING_NS: u64 = 60 * 1_000_000_000;

/// The state of the listeners.
pub(super) struct Acceptor {
    /// Whether each listener's backlog may contain a connection. Only readiness sets it, and only a call that would
    /// block clears it: connections left over from a bounded batch are not announced again.
    may_accept: Vec<bool>,
    /// The listener to try first: the one after the listener that accepted last. Otherwise, at the connection limit, a
    /// listener whose backlog is never empty would starve the others.
    first: usize,
    /// When the pause ends; `None` if there is none.
    resume_ns: Option<u64>,
    warned_ns: Option<u64>,
}

impl Acceptor {
    pub(super) fn new(listeners: usize) -> Acceptor {
        Acceptor { may_accept: vec![false; listeners], first: 0, resume_ns: None, warned_ns: None }
    }

    /// Records that a listener became ready.
    pub(super) fn set_ready(&mut self, listener: usize) {
        if let Some(may_accept) = self.may_accept.get_mut(listener) {
            *may_accept = true;
        }
    }

    /// Whether a backlog may contain a connection.
    pub(super) fn has_backlog(&self) -> bool {
        self.may_accept.contains(&true)
    }

    /// Whether to try to accept, if the connection limit allows it.
    pub(super) fn may_accept(&self, now: &Now) -> bool {
        !self.is_paused(now) && self.has_backlog()
    }

    fn is_paused(&self, now: &Now) -> bool {
        self.resume_ns.is_some_and(|resume_ns| resume_ns > now.monotonic_ns)
    }

    /// When a pause ends that keeps a connection waiting.
    pub(super) fn resume_ns(&self, now: &Now) -> Option<u64> {
        self.resume_ns.filter(|_| self.is_paused(now) && self.has_backlog())
    }

    /// Ends a pause: a descriptor has become free.
    pub(super) fn connection_closed(&mut self) {
        self.resume_ns = None;
    }

    /// The listeners in the order in which to try them.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.first, self.may_accept.len());
        (0..count).map(move |turn| (first + turn) % count)
    }

    /// Accepts a connection from a listener's backlog and registers it under `key`. Returns `None` if the backlog is
    /// empty or accepting is paused, and an error if this connection failed before it was accepted.
    pub(super) fn accept<W: World>(
        &mut self,
        listener: usize,
        key: usize,
        world: &mut W,
        now: &Now,
    ) -> Option<Result<(W::Transport, Client), std::io::Error>> {
        if !self.may_accept[listener] || self.is_paused(now) {
            return None;
        }
        self.resume_ns = None;
        match world.accept(listener, key) {
            Ok(accepted) => {
                self.first = listener + 1;
                Some(Ok(accepted))
            }
            Err(AcceptError::Connection(error)) => Some(Err(error)),
            Err(AcceptError::WouldBlock) => {
                self.may_accept[listener] = false;
                None
            }
            Err(AcceptError::Listener(error)) => {
                self.pause(&error, now);
                None
            }
        }
    }

    fn pause(&mut self, error: &std::io::Error, now: &Now) {
        let warning_due =
            self.warned_ns.is_none_or(|warned_ns| now.monotonic_ns.saturating_sub(warned_ns) >= WARNING_NS);
        if warning_due {
            self.warned_ns = Some(now.monotonic_ns);
            warn!("cannot accept connections: {error}; trying again when a connection closes, or in a second");
        }
        self.resume_ns = Some(now.monotonic_ns.saturating_add(PAUSE_NS));
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    pub(super) fn has_room(&self) -> bool {
        self.sessions.len() < self.connections_max
    }

    /// Accepts a bounded batch from each listener and drives each connection at once, since its request has often
    /// arrived already. Stops after the time that one drive may take; the backlog keeps the others for the next turn.
    pub(super) fn accept(&mut self) {
        // No time limit during shutdown: connections left in the backlog are reset when the listeners are closed.
        let share_ns = if self.shutdown.has_begun() { u64::MAX } else { DRIVE_NS };
        let until_ns = self.cx.now.monotonic_ns.saturating_add(share_ns);
        for listener in self.acceptor.order() {
            for _ in 0..ACCEPTED_PER_TURN {
                if !self.acceptor.may_accept(&self.cx.now) {
                    self.candidates.clear();
                    return;
                }
                if self.cx.now.monotonic_ns >= until_ns {
                    return;
                }
                let evicted = if self.has_room() { None } else { self.eviction_candidate() };
                if !self.has_room() && evicted.is_none() {
                    return;
                }
                let key = self.sessions.vacant_key();
                match self.acceptor.accept(listener, key, &mut self.world, &self.cx.now) {
                    None => break,
                    Some(Ok((transport, client))) => {
                        let connection = self.new_connection(client, listener);
                        self.start_session(key, Session::new(transport, connection), evicted);
                    }
                    Some(Err(error)) => {
                        LoopStatistics::count(&self.statistics.accept_errors);
                        debug!("cannot accept a connection: {error}");
                    }
                }
            }
        }
        if !self.acceptor.may_accept(&self.cx.now) {
            self.candidates.clear();
        }
    }

    fn new_connection(&mut self, client: Client, listener: usize) -> Connection<S> {
        let number = self.next_number;
        self.next_number += 1;
        debug!("connection {number}: accepted from {client}");
        LoopStatistics::count(&self.statistics.accepted);
        match self.world.endpoint(listener) {
            Endpoint::Public => Connection::new(client, number, &self.cx.shared, &self.cx.now),
            Endpoint::Admin => Connection::new_admin(number, &self.cx.shared, &self.cx.now),
        }
    }

    /// Adds an accepted connection and drives it. At the connection limit, closes the session `evicted`: only now,
    /// since accepting may have found an empty backlog.
    fn start_session(&mut self, key: usize, mut session: Session<W::Transport, S>, evicted: Option<usize>) {
        if self.shutdown.has_begun() {
            session.connection.begin_shutdown(&self.cx.now);
        }
        session.queued = Queued::Ready;
        let inserted = self.sessions.insert(session);
        debug_assert_eq!(inserted, key, "`vacant_key` announced this key");
        if let Some(evicted) = evicted {
            debug!("at the connection limit: an idle connection is closed to make room for a new one");
            LoopStatistics::count(&self.statistics.evicted);
            self.candidates.pop();
            self.remove(evicted, Outcome::ServerClosed);
        }
        self.shrink_ns.get_or_insert(self.cx.now.monotonic_ns.saturating_add(SHRINK_NS));
        self.drive(inserted, Queued::Ready);
    }
}
