//! Graceful shutdown: connections in the backlog are still accepted, requests in progress get their responses, and
//! later requests are not begun. The backlog of an inherited listener is left to the service manager's next process.
//!
//! The system may hold back connections whose clients have sent nothing, and does not say whether it does. They would be
//! lost with their listener, so it stays open until they have been handed over. Until then it accepts new connections as
//! well, and each of them gets a response.

use std::fmt;

use log::{debug, info, warn};

use super::Server;
use super::session::Queued;
use super::world::{Transport, World};
use crate::http1::InProgress;
use crate::http1::limits::SHUTDOWN_IDLE_NS;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::observer::NOTICE;
use crate::semantics::request::Endpoint;
use crate::semantics::service::{Service, Source};

/// How long responses and uploads in progress may take after shutdown was requested, in nanoseconds.
const SHUTDOWN_NS: u64 = 10 * 1_000_000_000;

/// How long connections in the backlog are still accepted once the system holds back none, in nanoseconds. It is not zero
/// because the connection limit or a lack of descriptors may delay them.
const ACCEPT_NS: u64 = 1_000_000_000;

/// The progress of a shutdown. All times are `None` before it is requested.
#[derive(Debug, Default)]
pub(super) struct GracefulShutdown {
    /// How long after the request the shutdown begins, in nanoseconds.
    pub(super) delay_ns: u64,
    /// When the shutdown begins; `None` once it has.
    begin_ns: Option<u64>,
    /// When all connections that the system held back, because their clients had sent nothing, are in the backlog; `None`
    /// once that time has come.
    handed_over_ns: Option<u64>,
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
        self.begin_ns.or(self.handed_over_ns).or(self.close_listeners_ns).or(self.by_ns)
    }
}

/// How many connections are in the middle of something.
#[derive(Clone, Copy, Debug, Default)]
struct InProgressCounts {
    responses: usize,
    uploads: usize,
}

impl InProgressCounts {
    fn is_empty(&self) -> bool {
        self.responses == 0 && self.uploads == 0
    }
}

/// `1 response and 2 uploads`, without what there is none of.
impl fmt::Display for InProgressCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let InProgressCounts { responses, uploads } = *self;
        if responses > 0 {
            write!(f, "{responses} response{}", plural(responses))?;
        }
        if responses > 0 && uploads > 0 {
            f.write_str(" and ")?;
        }
        if uploads > 0 {
            write!(f, "{uploads} upload{}", plural(uploads))?;
        }
        Ok(())
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// A shutdown was requested. It begins after the delay, in which everything goes on, so that a load balancer has
    /// time to see that the server is not ready any longer. Further calls do nothing.
    ///
    /// From now on the system holds back no further connection, so that the delay is a part of the time that the listeners
    /// wait for those that are held back already.
    pub(super) fn request_shutdown(&mut self) {
        if self.shutdown.by_ns.is_some() || self.shutdown.begin_ns.is_some() {
            return;
        }
        let now_ns = self.cx.now.monotonic_ns;
        let delay_ns = self.shutdown.delay_ns;
        self.shutdown.begin_ns = Some(now_ns.saturating_add(delay_ns));
        self.shutdown.handed_over_ns = Some(self.end_holding_back_for_ever());
        self.statistics.is_shutting_down.set(true);
        if delay_ns > 0 {
            warn!(
                "shutting down in {} s; until then requests are served; a second signal exits at once",
                delay_ns / 1_000_000_000
            );
        }
    }

    /// Begins the shutdown if its time has come. Each open connection waits at most one more second for a request, and
    /// connections in the backlog are still accepted, because closing their listener resets them.
    ///
    /// Those of an inherited listener are not accepted any more. They wait for the next process, even if none runs yet,
    /// and it has more than this one's last seconds for their requests.
    pub(super) fn begin_shutdown_if_due(&mut self) {
        let now = self.cx.now;
        if self.shutdown.begin_ns.take_if(|begin_ns| *begin_ns <= now.monotonic_ns).is_none() {
            return;
        }
        self.shutdown.by_ns = Some(now.monotonic_ns.saturating_add(SHUTDOWN_NS));
        let handed_over_ns = self.shutdown.handed_over_ns.unwrap_or(0).max(now.monotonic_ns);
        self.shutdown.close_listeners_ns = Some(handed_over_ns.saturating_add(ACCEPT_NS));
        self.world.close_inherited_listeners();
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key) {
                session.connection.begin_shutdown(&now);
            }
            self.arm_deadline(key);
        }
        let in_progress = self.in_progress();
        if in_progress.is_empty() {
            self.world.report_shutdown("shutting down");
            self.log_idle_shutdown();
        } else {
            self.world.report_shutdown(&format!("shutting down: waiting for {in_progress}"));
            // A warning, so that it is shown by default: the process ends later than expected.
            warn!("shutting down: waiting at most 10 s for {in_progress}; a second signal exits at once");
        }
    }

    /// Logs a shutdown without responses and uploads. Whoever has pressed Ctrl-C is told by default why the process does
    /// not end at once, if it does not. Others would get a line at every restart.
    fn log_idle_shutdown(&self) {
        let open = self.public_sessions();
        let handed_over_ns = self.shutdown.handed_over_ns.unwrap_or(0).saturating_sub(self.cx.now.monotonic_ns);
        let wait_ns = if open > 0 { handed_over_ns.max(SHUTDOWN_IDLE_NS) } else { handed_over_ns };
        if wait_ns == 0 || !self.world.is_watched() {
            info!("shutting down: no response or upload is in progress");
            return;
        }
        let tenths = wait_ns.div_ceil(100_000_000);
        let connections = if open == 1 { "connection is" } else { "connections are" };
        info!(
            target: NOTICE,
            "shutting down: waiting {}.{} s for requests on their way; {open} {connections} open; \
             a second Ctrl-C exits at once",
            tenths / 10,
            tenths % 10
        );
    }

    /// Looks into every backlog a last time, once all connections that the system held back are there: it may contain
    /// connections that no event has reported yet. When they have been accepted, the listeners close.
    pub(super) fn look_into_backlogs_if_due(&mut self) {
        let now_ns = self.cx.now.monotonic_ns;
        let is_due = self.shutdown.has_begun()
            && self.shutdown.handed_over_ns.take_if(|handed_over_ns| *handed_over_ns <= now_ns).is_some();
        if is_due {
            for listener in 0..self.world.listener_count() {
                self.acceptor.set_ready(listener);
            }
        }
    }

    /// Counts what a shutdown waits for.
    fn in_progress(&self) -> InProgressCounts {
        let mut counts = InProgressCounts::default();
        for (_, session) in &self.sessions {
            match session.connection.in_progress() {
                Some(InProgress::Response) => counts.responses += 1,
                Some(InProgress::Upload) => counts.uploads += 1,
                None => {}
            }
        }
        counts
    }

    /// Closes the listeners once nothing is held back and their backlog is empty, or when the time for that is up. Must be
    /// called right after accepting: a connection that arrives in between is reset.
    pub(super) fn close_listeners_if_done(&mut self) {
        if let Some(close_ns) = self.shutdown.close_listeners_ns
            && self.shutdown.handed_over_ns.is_none()
            && (!self.acceptor.has_backlog(Endpoint::Public) || self.cx.now.monotonic_ns >= close_ns)
        {
            debug!("the listeners are closed");
            self.shutdown.close_listeners_ns = None;
            self.world.close_listeners();
        }
    }

    /// Whether the shutdown has completed, or its time is up.
    pub(super) fn is_finished(&self) -> bool {
        // Whoever watches the shutdown must not prolong it, but gets the response that has begun.
        let is_idle = || {
            self.public_sessions() == 0
                && self.shutdown.close_listeners_ns.is_none()
                && self.sessions.iter().all(|(_, session)| session.connection.in_progress().is_none())
        };
        self.shutdown.by_ns.is_some_and(|by_ns| is_idle() || self.cx.now.monotonic_ns >= by_ns)
    }

    /// Closes the remaining connections, and logs how many responses and uploads that cut off.
    pub(super) fn finish_shutdown(&mut self) {
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        let cut_off = self.in_progress();
        for key in keys {
            if let Some(session) = self.sessions.get_mut(key) {
                session.queued = Queued::No;
            }
            self.remove(key, Outcome::ServerClosed);
        }
        if let Some(observer) = &mut self.observer {
            observer.stop(&self.cx.now);
        }
        match cut_off.is_empty() {
            true => info!("stopped: every response was sent completely"),
            false => warn!("stopped: cut off {cut_off}"),
        }
    }
}
