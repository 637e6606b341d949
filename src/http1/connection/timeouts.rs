//! When each timer runs, and what is done when it fires.

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

/// How readily a connection gives way to a newcomer when the server is at capacity: the least goes first. Of two of one
/// kind, the one that has waited for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evictable {
    /// It has been answered for the last time, and had its time to read that.
    Drained {
        /// When it gives up by itself, on the monotonic clock.
        at_ns: u64,
    },
    /// It is between requests.
    BetweenRequests {
        /// When it times out, on the monotonic clock.
        at_ns: u64,
    },
    /// It has never sent a byte.
    Silent {
        /// When it times out, on the monotonic clock.
        at_ns: u64,
    },
    /// It has begun a head and not completed it.
    WithinHead {
        /// When it times out, on the monotonic clock.
        at_ns: u64,
    },
}

impl<S: Service> Connection<S> {
    /// The monotonic time, in nanoseconds, at which [`expire`](Connection::expire) is to be called; `u64::MAX` for never. It
    /// may have moved when that time comes.
    pub fn deadline_ns(&self) -> u64 {
        self.timers.next_ns()
    }

    /// Whether nothing of a request has come, and nothing waits to be sent.
    pub fn waits_for_request(&self) -> bool {
        let no_head = matches!(&self.state, State::Head(head) if head.is_empty());
        no_head && self.input.is_empty() && !self.output.is_pending()
    }

    /// The timer that [`expire`](Connection::expire) acts on first, in the words of the debug log.
    pub fn fired(&self, due_ns: u64) -> Option<&'static str> {
        self.timers.fired(due_ns).map(Timer::name)
    }

    /// The socket takes no more bytes for now, and holds at most `send_buffer_bytes`. A client that reads them slowly shows
    /// no progress until the buffer has room again, and is not to be taken for one that does not read.
    pub fn write_blocked(&mut self, send_buffer_bytes: u64) {
        if self.timers.is_running(Timer::WriteStall) {
            let allowance_ns = (send_buffer_bytes / READER_BYTES_PER_SECOND_MIN).saturating_mul(SECOND_NS);
            let stall_ns = WRITE_STALL_NS.saturating_add(allowance_ns);
            self.timers.set(Timer::WriteStall, self.send_progress_ns.saturating_add(stall_ns));
        }
    }

    /// The service was asked at `began_ns` and has taken long to answer. If that is when the write-stall timer was started,
    /// it starts again now: the client cannot read a response that did not exist yet.
    pub fn responded_late(&mut self, began_ns: u64, now: &Now) {
        let began_then = self.timers.at_ns(Timer::WriteStall) == Some(began_ns.saturating_add(WRITE_STALL_NS));
        if began_then && self.send_progress_ns == began_ns {
            self.send_progress_ns = now.monotonic_ns;
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(WRITE_STALL_NS));
        }
    }

    /// The server has let the connection wait: what has passed meanwhile passes now.
    pub fn postpone_deadlines(&mut self, now: &Now) {
        self.timers.postpone(now.monotonic_ns);
    }

    /// The server did not read for `late_ns`. A client that is sending a head or content gets that time in addition, since
    /// its socket may have been full, or it waited for `100 (Continue)`. Other timers need no correction: what those
    /// clients sent or read meanwhile is noticed before their deadlines are judged.
    pub fn extend_deadlines(&mut self, late_ns: u64) {
        for timer in [Timer::Head, Timer::ContentRate] {
            if let Some(at_ns) = self.timers.at_ns(timer) {
                self.timers.set(timer, at_ns.saturating_add(late_ns));
            }
        }
    }

    /// Does what the timers ask for whose time had come at `due_ns`, on the monotonic clock. What that starts begins `now`,
    /// which may be later.
    pub fn expire(&mut self, due_ns: u64, shared: &mut Shared, now: &Now) {
        // Each round stops a timer, and what is done then sets none in the past.
        while let Some(timer) = self.timers.take_fired(due_ns) {
            match (timer, std::mem::take(&mut self.state)) {
                (Timer::WriteStall, state) => {
                    self.state = state;
                    self.close(Outcome::TimedOut, shared, now);
                }
                (Timer::Head, State::Head(head)) => {
                    self.state = self.refuse(ProtocolError::HeadTooSlow, head.method(), shared, now);
                }
                (Timer::ContentRate, State::Content(content)) => {
                    self.state = self.content_timed_out(*content, shared, now);
                }
                (Timer::Idle | Timer::Drain, State::Head(_) | State::Draining(_)) => {
                    self.close(Outcome::Complete, shared, now);
                }
                (_, state) => {
                    debug_assert!(false, "{timer:?} runs in a state that does not wait for it");
                    self.state = state;
                }
            }
        }
    }

    /// A response that is held back for the sake of the content goes, since the content will not be waited for.
    fn content_timed_out(
        &mut self,
        content: ReceivingContent<S::Sink>,
        shared: &mut Shared,
        now: &Now,
    ) -> State<S::Sink> {
        match content.destination {
            Destination::Nowhere => self.release_early(content.bytes, now),
            Destination::Sink(_) => {
                self.note_content_received(content.bytes);
                self.refuse(ProtocolError::ContentTooSlow, content.framing.method, shared, now)
            }
        }
    }

    /// How readily the connection may be closed in favour of another; `None` while it is being answered, receives content,
    /// or has had too little time to read its last response.
    pub fn evictable(&self, now: &Now) -> Option<Evictable> {
        match &self.state {
            State::Draining(draining) => {
                let at_ns = self.timers.at_ns(Timer::Drain)?;
                let silent_for_ns = DRAIN_SILENCE_NS.saturating_sub(at_ns.saturating_sub(now.monotonic_ns));
                let ended_for_ns = DRAIN_NS.saturating_sub(draining.give_up_ns.saturating_sub(now.monotonic_ns));
                let has_had_its_time = silent_for_ns >= DRAIN_SILENCE_SHORT_NS || ended_for_ns >= DRAIN_SHORT_NS;
                has_had_its_time.then_some(Evictable::Drained { at_ns })
            }
            State::Head(_) if self.output.is_pending() || self.may_still_read(now) => None,
            State::Head(head) if !head.is_empty() => {
                self.timers.at_ns(Timer::Head).map(|at_ns| Evictable::WithinHead { at_ns })
            }
            // Half of the empty line that may precede a head: it is no request yet, and holds a place no more than one.
            State::Head(_) if !self.input.is_empty() => {
                self.timers.at_ns(Timer::Idle).map(|at_ns| Evictable::WithinHead { at_ns })
            }
            State::Head(_) => self.timers.at_ns(Timer::Idle).map(|at_ns| match self.has_received {
                true => Evictable::BetweenRequests { at_ns },
                false => Evictable::Silent { at_ns },
            }),
            State::Content(_) | State::Closed => None,
        }
    }

    /// Whether the last response, or the first request, may still be on its way. Closing now could destroy it: a request that arrives after the
    /// close is answered by a reset, which discards what the client has not read.
    fn may_still_read(&self, now: &Now) -> bool {
        now.monotonic_ns < self.send_progress_ns.saturating_add(DRAIN_SILENCE_SHORT_NS)
    }

    /// Bytes were sent: a client that reads has its time to read on, or to ask for more.
    pub(super) fn send_progressed(&mut self, shared: &Shared, now: &Now) {
        self.send_progress_ns = now.monotonic_ns;
        if self.output.is_pending() {
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(WRITE_STALL_NS));
            return;
        }
        self.timers.stop(Timer::WriteStall);
        // Whatever waits behind the response, an empty line say, has not been looked at, and began no request.
        if matches!(&self.state, State::Head(head) if head.is_empty()) {
            self.wait_for_request(shared, now);
        }
    }

    /// The time that the client has for its next request begins.
    pub(super) fn wait_for_request(&mut self, shared: &Shared, now: &Now) {
        let idle_ns = shared.settings.idle_timeout_ns;
        let idle_ns = if self.shutting_down { idle_ns.min(SHUTDOWN_IDLE_NS) } else { idle_ns };
        self.timers.set(Timer::Idle, now.monotonic_ns.saturating_add(idle_ns));
    }

    /// Something is about to be queued. Starts the write-stall timer if nothing was queued before. Later responses never
    /// restart it: a client that does not read must not gain time by asking for more.
    pub(super) fn begin_sending(&mut self, now: &Now) {
        if !self.output.is_pending() {
            self.send_progress_ns = now.monotonic_ns;
            self.timers.set(Timer::WriteStall, now.monotonic_ns.saturating_add(WRITE_STALL_NS));
        }
    }

    /// The first bytes of a head have come, and not all of it. Bytes do not extend its time.
    pub(super) fn wait_for_head(&mut self, shared: &Shared, now: &Now) {
        let head_ns = shared.settings.head_timeout_ns;
        let head_ns = if self.shutting_down { head_ns.min(SHUTDOWN_IDLE_NS) } else { head_ns };
        self.timers.stop(Timer::Idle);
        self.timers.set(Timer::Head, now.monotonic_ns.saturating_add(head_ns));
    }

    pub(super) fn wait_for_content(&mut self, now: &Now) {
        self.timers.set(Timer::ContentRate, now.monotonic_ns.saturating_add(CONTENT_GRACE_NS));
    }

    /// Content has come, and earns time by its bytes: not more ahead than the rate counts back.
    pub(super) fn content_came(&mut self, bytes: u64, now: &Now) {
        let earned_ns = u128::from(bytes) * u128::from(SECOND_NS) / u128::from(CONTENT_BYTES_PER_SECOND_MIN);
        let earned_ns = u64::try_from(earned_ns).unwrap_or(u64::MAX);
        if let Some(at_ns) = self.timers.at_ns(Timer::ContentRate) {
            let at_most_ns = now.monotonic_ns.saturating_add(CONTENT_CREDIT_NS);
            self.timers.set(Timer::ContentRate, at_ns.saturating_add(earned_ns).min(at_most_ns));
        }
    }

    /// The end has been sent: the client's end is waited for, for a while.
    pub(super) fn drain(&mut self, now: &Now) {
        if let State::Draining(draining) = &mut self.state {
            let drain_ns = if self.shutting_down { DRAIN_SHORT_NS } else { DRAIN_NS };
            draining.give_up_ns = now.monotonic_ns.saturating_add(drain_ns);
            let give_up_ns = draining.give_up_ns;
            self.drain_came(give_up_ns, now);
        }
    }

    /// The client still sends.
    pub(super) fn drain_came(&mut self, give_up_ns: u64, now: &Now) {
        let silence_ns = if self.shutting_down { DRAIN_SILENCE_SHORT_NS } else { DRAIN_SILENCE_NS };
        self.timers.set(Timer::Drain, now.monotonic_ns.saturating_add(silence_ns).min(give_up_ns));
    }

    /// The server is ending: no wait for a request is longer than a second from now, none for a client's end than a quarter.
    pub(super) fn shorten_waits(&mut self, now: &Now) {
        let request_ns = now.monotonic_ns.saturating_add(SHUTDOWN_IDLE_NS);
        self.timers.shorten(Timer::Idle, request_ns);
        self.timers.shorten(Timer::Head, request_ns);
        self.timers.shorten(Timer::Drain, now.monotonic_ns.saturating_add(DRAIN_SILENCE_SHORT_NS));
        if let State::Draining(draining) = &mut self.state {
            draining.give_up_ns = draining.give_up_ns.min(now.monotonic_ns.saturating_add(DRAIN_SHORT_NS));
        }
    }
}
