//! Starts, extends and shortens the timers, and acts when one fires. [`Timer`] describes each of them.

use super::Connection;
use super::state::{Destination, ReceivingContent, State};
use super::timers::Timer;
use crate::http1::limits::{
    CONTENT_BYTES_PER_SECOND_MIN, CONTENT_CREDIT_NS, CONTENT_GRACE_NS, DRAIN_NS, DRAIN_SHORT_NS, DRAIN_SILENCE_NS,
    DRAIN_SILENCE_SHORT_NS, READER_BYTES_PER_SECOND_MIN, SECOND_NS, SHUTDOWN_IDLE_NS, WRITE_STALL_NS,
};
use crate::http1::protocol_error::ProtocolError;
use crate::http1::shared::Shared;
use crate::semantics::Now;
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::Service;

/// A connection that may be closed to make room for a new one at the connection limit. The smallest is evicted first;
/// of two of a kind, the one whose deadline comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evictable {
    /// Its last response has been sent, and the client has had time to read it.
    Drained {
        /// When the connection times out, on the monotonic clock.
        at_ns: u64,
    },
    /// It waits for another request.
    BetweenRequests {
        /// When the connection times out, on the monotonic clock.
        at_ns: u64,
    },
    /// The client has never sent a byte.
    Silent {
        /// When the connection times out, on the monotonic clock.
        at_ns: u64,
    },
    /// The client has sent a part of a head.
    WithinHead {
        /// When the connection times out, on the monotonic clock.
        at_ns: u64,
    },
}

/// What a connection is doing, in the order in which connections are closed to make room for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Its last response has been sent.
    Drained,
    /// It waits for another request.
    BetweenRequests,
    /// The client has never sent a byte.
    Silent,
    /// The client has sent a part of a head.
    WithinHead,
    /// A response is being sent, or content is being received.
    Active,
}

impl Activity {
    /// All of them, in order.
    pub const ALL: [Activity; 5] =
        [Activity::Drained, Activity::BetweenRequests, Activity::Silent, Activity::WithinHead, Activity::Active];

    /// Whether the time that counts is that of the last progress. Otherwise it is the time at which this activity began:
    /// a client must not gain time by sending its head slowly.
    pub fn begins_again(self) -> bool {
        matches!(self, Activity::BetweenRequests | Activity::Active)
    }
}

impl<S: Service> Connection<S> {
    /// What the connection is doing.
    pub fn activity_kind(&self) -> Activity {
        match &self.state {
            State::Content(_) | State::Committing(_) | State::Closed => Activity::Active,
            State::Draining(_) | State::Head(_) if self.output.is_pending() => Activity::Active,
            State::Draining(_) => Activity::Drained,
            State::Head(head) if !head.is_empty() || !self.input.is_empty() => Activity::WithinHead,
            State::Head(_) if self.has_received => Activity::BetweenRequests,
            State::ProxyHeader if self.has_received => Activity::WithinHead,
            State::Head(_) | State::ProxyHeader => Activity::Silent,
        }
    }

    /// When to call [`expire`](Connection::expire), in nanoseconds on the monotonic clock; `u64::MAX` for never. Any
    /// other call may change it.
    pub fn deadline_ns(&self) -> u64 {
        self.timers.next_deadline_ns().min(self.rate_deadline_ns()).min(self.disk_deadline_ns())
    }

    /// Whether no part of a request has been received, and nothing is to be sent.
    pub fn waits_for_request(&self) -> bool {
        let no_head = matches!(&self.state, State::Head(head) if head.is_empty());
        no_head && self.input.is_empty() && !self.output.is_pending()
    }

    /// The name of the timer that [`expire`](Connection::expire) would act on first, for the debug log.
    pub fn fired(&self, due_ns: u64) -> Option<&'static str> {
        let rate = (self.rate_deadline_ns() <= due_ns).then_some("rate");
        let disk = (self.disk_deadline_ns() <= due_ns).then_some("disk");
        rate.or(disk).or_else(|| self.timers.fired(due_ns).map(Timer::name))
    }

    /// Reports that the socket takes no more bytes for now, and that its send buffer holds at most `send_buffer_bytes`.
    /// Until the buffer has room again, a client that reads slowly looks like one that does not read, so it gets more
    /// time.
    pub fn write_blocked(&mut self, send_buffer_bytes: u64) {
        if self.timers.is_running(Timer::WriteStall) {
            let allowance_ns = (send_buffer_bytes / READER_BYTES_PER_SECOND_MIN).saturating_mul(SECOND_NS);
            let stall_ns = WRITE_STALL_NS.saturating_add(allowance_ns);
            self.timers.set(Timer::WriteStall, self.send_progress_ns.saturating_add(stall_ns));
        }
    }

    /// Reports that the service was called at `called_ns` and took long to respond. If the write-stall timer was
    /// started at that time, it is restarted: the client could not read a response that did not exist.
    pub fn responded_late(&mut self, called_ns: u64, now: &Now) {
        let started_then = self.timers.deadline_ns(Timer::WriteStall) == Some(called_ns.saturating_add(WRITE_STALL_NS));
        if started_then && self.send_progress_ns == called_ns {
            self.send_progress_ns = now.monotonic_ns;
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(WRITE_STALL_NS));
        }
    }

    /// Postpones deadlines that have passed to `now`, because the server, not the client, has kept the connection
    /// waiting.
    pub fn postpone_deadlines(&mut self, now: &Now) {
        self.timers.postpone(now.monotonic_ns);
    }

    /// Reports that the connection gets its first drive, which may be long after it was accepted. The client gets that
    /// time in addition.
    pub fn begin(&mut self, now: &Now) {
        self.timers.delay(now.monotonic_ns.saturating_sub(self.send_progress_ns));
        self.send_progress_ns = now.monotonic_ns;
    }

    /// Reports that the server neither read nor sent for `late_ns`. A client that is sending a head or content gets that
    /// time in addition, because its socket may have been full, or it waited for `100 (Continue)`. So does a client that
    /// is receiving: the system may refuse the next send for lack of memory although the client has read everything, and
    /// while each turn is slow there are few sends. Other timers need no correction: what those clients sent meanwhile is
    /// processed before their deadlines are checked.
    pub fn extend_deadlines(&mut self, late_ns: u64, shared: &Shared, now: &Now) {
        // Nobody needs more time than a client whose wait begins now: it may have begun at the end of those `late_ns`.
        let longest_ns = [(Timer::Head, shared.settings.head_timeout_ns), (Timer::ContentRate, CONTENT_CREDIT_NS)];
        for (timer, longest_ns) in longest_ns {
            if let Some(at_ns) = self.timers.deadline_ns(timer) {
                let at_most_ns = now.monotonic_ns.saturating_add(longest_ns);
                self.timers.set(timer, at_ns.saturating_add(late_ns).min(at_most_ns));
            }
        }
        if let Some(at_ns) = self.timers.deadline_ns(Timer::WriteStall) {
            // If bytes were sent after the wait had begun, only the rest of it counts.
            let late_ns = late_ns.min(now.monotonic_ns.saturating_sub(self.send_progress_ns));
            self.timers.set(Timer::WriteStall, at_ns.saturating_add(late_ns));
            // A send that blocks later computes the deadline from this time again.
            self.send_progress_ns = self.send_progress_ns.saturating_add(late_ns);
        }
    }

    /// Acts on all timers that had fired by `due_ns`, on the monotonic clock. Timers that this starts run from `now`,
    /// which may be later.
    pub fn expire(&mut self, due_ns: u64, shared: &mut Shared, now: &Now) {
        self.expire_rate(due_ns, now);
        self.expire_disk_wait(due_ns, now);
        // Ends: each round stops a timer, and none is set to a time in the past.
        while let Some(timer) = self.timers.take_fired(due_ns) {
            match (timer, std::mem::take(&mut self.state)) {
                (Timer::WriteStall, state) => {
                    self.state = state;
                    self.close(Outcome::TimedOut, shared, now);
                }
                (Timer::Head, State::Head(head)) => {
                    self.state = self.respond_with_error(ProtocolError::HeadTooSlow, head.method(), shared, now);
                }
                (Timer::ContentRate, State::Content(content)) => {
                    self.state = self.content_timed_out(*content, shared, now);
                }
                (Timer::Head, State::ProxyHeader) => self.proxy_header_timed_out(shared, now),
                (Timer::Idle | Timer::Drain, State::Head(_) | State::Draining(_)) => {
                    self.close(Outcome::Complete, shared, now);
                }
                (_, state) => {
                    debug_assert!(false, "the timer {timer:?} runs in a state without it");
                    self.state = state;
                }
            }
        }
    }

    /// A response that was held back is sent, because the server does not wait for the content any longer. If a sink
    /// was taking the content, the response is a 408.
    fn content_timed_out(
        &mut self,
        content: ReceivingContent<S::Sink>,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        match content.destination {
            Destination::Discard => self.release_and_close(content.bytes, now),
            Destination::Sink(_) => {
                self.record_content_received(content.bytes);
                self.respond_with_error(ProtocolError::ContentTooSlow, content.framing.method, shared, now)
            }
        }
    }

    /// Whether, and how readily, the connection may be evicted at the connection limit. `None` while it is sending a
    /// response or receiving content, or if the client may still be reading its last response.
    pub fn evictable(&self, now: &Now) -> Option<Evictable> {
        match &self.state {
            // During a graceful shutdown the drain timer is so short that the times below are over at once.
            State::Draining(_) if self.may_be_in_flight(now) => None,
            State::Draining(draining) => {
                let at_ns = self.timers.deadline_ns(Timer::Drain)?;
                let silent_for_ns = DRAIN_SILENCE_NS.saturating_sub(at_ns.saturating_sub(now.monotonic_ns));
                let ended_for_ns = DRAIN_NS.saturating_sub(draining.deadline_ns.saturating_sub(now.monotonic_ns));
                let had_time_to_read = silent_for_ns >= DRAIN_SILENCE_SHORT_NS || ended_for_ns >= DRAIN_SHORT_NS;
                had_time_to_read.then_some(Evictable::Drained { at_ns })
            }
            State::Head(_) if self.output.is_pending() || self.may_be_in_flight(now) => None,
            State::Head(head) if !head.is_empty() => {
                self.timers.deadline_ns(Timer::Head).map(|at_ns| Evictable::WithinHead { at_ns })
            }
            // The CR of an empty line before a head. It is evicted like a partial head.
            State::Head(_) if !self.input.is_empty() => {
                self.timers.deadline_ns(Timer::Idle).map(|at_ns| Evictable::WithinHead { at_ns })
            }
            State::Head(_) => self.timers.deadline_ns(Timer::Idle).map(|at_ns| match self.has_received {
                true => Evictable::BetweenRequests { at_ns },
                false => Evictable::Silent { at_ns },
            }),
            State::ProxyHeader if self.may_be_in_flight(now) => None,
            State::ProxyHeader => self.timers.deadline_ns(Timer::Head).map(|at_ns| match self.has_received {
                true => Evictable::WithinHead { at_ns },
                false => Evictable::Silent { at_ns },
            }),
            State::Content(_) | State::Committing(_) | State::Closed => None,
        }
    }

    /// Whether the last response, or the first request, may still be in flight. Closing the socket could destroy it:
    /// the system responds to a request that arrives after the close by a reset, which makes the client discard what it
    /// has not read.
    fn may_be_in_flight(&self, now: &Now) -> bool {
        now.monotonic_ns < self.send_progress_ns.saturating_add(DRAIN_SILENCE_SHORT_NS)
    }

    /// Restarts the write-stall timer after bytes have been sent, or if everything has been, the idle timer.
    pub(super) fn send_progressed(&mut self, shared: &Shared, now: &Now) {
        self.send_progress_ns = now.monotonic_ns;
        if self.output.is_pending() {
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(WRITE_STALL_NS));
            return;
        }
        self.timers.stop(Timer::WriteStall);
        // Unread bytes may follow, but none has been parsed, so no request has begun.
        if matches!(&self.state, State::Head(head) if head.is_empty()) {
            self.start_idle_timer(shared, now);
        }
    }

    /// Starts the time that the client has for its next request.
    pub(super) fn start_idle_timer(&mut self, shared: &Shared, now: &Now) {
        let idle_ns = shared.settings.idle_timeout_ns;
        let idle_ns = if self.shutting_down { idle_ns.min(SHUTDOWN_IDLE_NS) } else { idle_ns };
        self.timers.set(Timer::Idle, now.monotonic_ns.saturating_add(idle_ns));
    }

    /// Starts the write-stall timer before something is queued, if nothing was queued before. Later responses never
    /// restart it: a client that does not read must not gain time by sending more requests.
    pub(super) fn start_write_stall_timer(&mut self, now: &Now) {
        if !self.output.is_pending() {
            self.send_progress_ns = now.monotonic_ns;
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(WRITE_STALL_NS));
        }
    }

    /// Starts the time that the head may take, after its first bytes. Further bytes do not extend it.
    pub(super) fn start_head_timer(&mut self, shared: &Shared, now: &Now) {
        let head_ns = shared.settings.head_timeout_ns;
        let head_ns = if self.shutting_down { head_ns.min(SHUTDOWN_IDLE_NS) } else { head_ns };
        self.timers.stop(Timer::Idle);
        self.timers.set(Timer::Head, now.monotonic_ns.saturating_add(head_ns));
    }

    /// Starts the time that the content may take. [`extend_content_timer`](Connection::extend_content_timer) extends
    /// it.
    pub(super) fn start_content_timer(&mut self, now: &Now) {
        self.timers.set(Timer::ContentRate, now.monotonic_ns.saturating_add(CONTENT_GRACE_NS));
    }

    /// Extends the time for content by what `bytes` bytes take at the lowest accepted rate, to at most
    /// [`CONTENT_CREDIT_NS`] from now.
    pub(super) fn extend_content_timer(&mut self, bytes: u64, now: &Now) {
        let earned_ns = u128::from(bytes) * u128::from(SECOND_NS) / u128::from(CONTENT_BYTES_PER_SECOND_MIN);
        let earned_ns = u64::try_from(earned_ns).unwrap_or(u64::MAX);
        if let Some(at_ns) = self.timers.deadline_ns(Timer::ContentRate) {
            let at_most_ns = now.monotonic_ns.saturating_add(CONTENT_CREDIT_NS);
            self.timers.set(Timer::ContentRate, at_ns.saturating_add(earned_ns).min(at_most_ns));
        }
    }

    /// Starts the time for which the connection is drained, after the sending side has been shut down.
    pub(super) fn start_drain_timer(&mut self, now: &Now) {
        if let State::Draining(draining) = &mut self.state {
            let drain_ns = if self.shutting_down { DRAIN_SHORT_NS } else { DRAIN_NS };
            draining.deadline_ns = now.monotonic_ns.saturating_add(drain_ns);
            let deadline_ns = draining.deadline_ns;
            self.restart_drain_timer(deadline_ns, now);
        }
    }

    /// Restarts the wait for the client's next byte, which ends at `deadline_ns` at the latest.
    pub(super) fn restart_drain_timer(&mut self, deadline_ns: u64, now: &Now) {
        let silence_ns = if self.shutting_down { DRAIN_SILENCE_SHORT_NS } else { DRAIN_SILENCE_NS };
        self.timers.set(Timer::Drain, now.monotonic_ns.saturating_add(silence_ns).min(deadline_ns));
    }

    /// Shortens the timers for a graceful shutdown: from now, [`SHUTDOWN_IDLE_NS`] for a request, and
    /// [`DRAIN_SILENCE_SHORT_NS`] for the end of input.
    pub(super) fn shorten_timers(&mut self, now: &Now) {
        let request_ns = now.monotonic_ns.saturating_add(SHUTDOWN_IDLE_NS);
        self.timers.shorten(Timer::Idle, request_ns);
        self.timers.shorten(Timer::Head, request_ns);
        self.timers.shorten(Timer::Drain, now.monotonic_ns.saturating_add(DRAIN_SILENCE_SHORT_NS));
        if let State::Draining(draining) = &mut self.state {
            draining.deadline_ns = draining.deadline_ns.min(now.monotonic_ns.saturating_add(DRAIN_SHORT_NS));
        }
    }
}
