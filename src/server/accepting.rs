//! When to accept, and from which listener.

use log::warn;

use super::world::{AcceptError, World};
use crate::semantics::Now;

/// How many connections a turn accepts from one listener.
pub(super) const ACCEPTED_PER_TURN: usize = 64;

/// How long accepting pauses when there are no descriptors left, in nanoseconds, unless a connection closes before.
const PAUSE_NS: u64 = 1_000_000_000;

/// How long after a warning the next one is left out, in nanoseconds: without descriptors each connection that closes
/// makes room for an attempt that fails again.
const WARNING_NS: u64 = 60 * 1_000_000_000;

/// What is known of the listeners.
pub(super) struct Acceptor {
    /// Of each, whether a connection may wait. Set by readiness and cleared by a call that would block, and by nothing else:
    /// what waits behind a bounded batch is not announced again.
    may_accept: Vec<bool>,
    /// Whose turn is first: the listener after the one that had the last connection. Where one always has somebody waiting
    /// and room is scarce, the others would otherwise be passed over for good.
    first: usize,
    /// When to try again, after descriptors ran out.
    resume_ns: Option<u64>,
    warned_ns: Option<u64>,
}

impl Acceptor {
    pub(super) fn new(listeners: usize) -> Acceptor {
        Acceptor { may_accept: vec![false; listeners], first: 0, resume_ns: None, warned_ns: None }
    }

    /// Notes that a connection waits at a listener.
    pub(super) fn set_ready(&mut self, listener: usize) {
        if let Some(may_accept) = self.may_accept.get_mut(listener) {
            *may_accept = true;
        }
    }

    /// Whether a connection may wait.
    pub(super) fn may_wait(&self) -> bool {
        self.may_accept.contains(&true)
    }

    /// Whether a connection may wait that could be accepted, if there is room for it.
    pub(super) fn may_accept(&self, now: &Now) -> bool {
        !self.is_paused(now) && self.may_wait()
    }

    fn is_paused(&self, now: &Now) -> bool {
        self.resume_ns.is_some_and(|resume_ns| resume_ns > now.monotonic_ns)
    }

    /// When accepting goes on after a pause. A pause that is over is none, whether or not there was room to accept since.
    pub(super) fn resume_ns(&self, now: &Now) -> Option<u64> {
        self.resume_ns.filter(|_| self.is_paused(now) && self.may_wait())
    }

    /// A descriptor has become free.
    pub(super) fn connection_closed(&mut self) {
        self.resume_ns = None;
    }

    /// The listeners in the order in which they are to be tried.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, count) = (self.first, self.may_accept.len());
        (0..count).map(move |turn| (first + turn) % count)
    }

    /// Accepts a connection that waits at a listener, under `key`. `None` where none waits, or none can be accepted.
    pub(super) fn accept<W: World>(
        &mut self,
        listener: usize,
        key: usize,
        world: &mut W,
        now: &Now,
    ) -> Option<Result<(W::Transport, std::net::SocketAddr), std::io::Error>> {
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
        let is_news = self.warned_ns.is_none_or(|warned_ns| now.monotonic_ns.saturating_sub(warned_ns) >= WARNING_NS);
        if is_news {
            self.warned_ns = Some(now.monotonic_ns);
            warn!("cannot accept connections: {error}; trying again when one closes, or in a second");
        }
        self.resume_ns = Some(now.monotonic_ns.saturating_add(PAUSE_NS));
    }
}
