//! The named timers of a connection. Each wait has one, and the next deadline is the earliest of them.
//!
//! A timer that fires is stopped before it is acted on, so a deadline that has passed never comes back. A connection
//! that closes stops them all, so it has no deadline.

/// What a connection waits for. Several timers may run at once. The times are in [`limits`](crate::http1::limits), and
/// `timeouts.rs` has the functions that start, extend and shorten timers. A protocol error stops Head, Idle and
/// ContentRate.
///
/// The timers of pauses are elsewhere: the rate timer in `throttle.rs`, and the disk timer in `disk_wait.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The rest of a head that has begun.
    ///
    /// Starts when the first bytes of a head have arrived, but not all of it, and stops when the head is complete.
    /// Further bytes do not extend it. When it fires, the response is a 408. It also runs while a proxy's header is
    /// awaited, from the moment in which the connection is accepted; the connection is then closed without a response.
    ///
    /// `--head-timeout`; at most `SHUTDOWN_IDLE_NS` during a graceful shutdown.
    Head,
    /// The first byte of a request.
    ///
    /// Starts when the connection is accepted, and whenever everything has been sent and no head has begun. Stops when
    /// a head begins, or the input ends. When it fires, the connection is closed.
    ///
    /// `--idle-timeout`; at most `SHUTDOWN_IDLE_NS` during a graceful shutdown.
    Idle,
    /// Content, at the lowest accepted rate or faster.
    ///
    /// Starts with the content, is extended by each byte, and stops at the end of the content. When it fires, the
    /// response is a 408, or the one that was held back, and the last.
    ///
    /// `CONTENT_GRACE_NS`, and a second for each `CONTENT_BYTES_PER_SECOND_MIN` bytes, but never more than
    /// `CONTENT_CREDIT_NS` from the present.
    ContentRate,
    /// The client to read queued responses.
    ///
    /// Starts when something is queued while nothing else is, restarts when bytes are sent, and stops when everything
    /// has been sent. It also restarts if the service took long to respond. When it fires, the connection is closed.
    ///
    /// `WRITE_STALL_NS`; more if the send buffer is full (`READER_BYTES_PER_SECOND_MIN`).
    WriteStall,
    /// The end of input, after the server has shut down its sending side.
    ///
    /// Starts with the shutdown of the sending side, and restarts when bytes are received, but not beyond the limit for
    /// all of it. When it fires, the connection is closed. At the connection limit, the connection may be evicted
    /// earlier.
    ///
    /// `DRAIN_SILENCE_NS` and `DRAIN_NS` in all; `DRAIN_SILENCE_SHORT_NS` and `DRAIN_SHORT_NS` during a graceful
    /// shutdown.
    Drain,
}

impl Timer {
    const ALL: [Timer; 5] = [Timer::Head, Timer::Idle, Timer::ContentRate, Timer::WriteStall, Timer::Drain];

    /// The name for the debug log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Timer::Head => "head",
            Timer::Idle => "idle",
            Timer::ContentRate => "content rate",
            Timer::WriteStall => "write stall",
            Timer::Drain => "drain",
        }
    }
}

/// The deadline of a timer that is not running.
const STOPPED: u64 = u64::MAX;

/// When each timer fires, on the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    at_ns: [u64; Timer::ALL.len()],
}

impl Timers {
    /// Timers that are not running.
    pub(super) fn stopped() -> Timers {
        Timers { at_ns: [STOPPED; Timer::ALL.len()] }
    }

    pub(super) fn set(&mut self, timer: Timer, at_ns: u64) {
        self.at_ns[timer as usize] = at_ns;
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        self.at_ns[timer as usize] = STOPPED;
    }

    pub(super) fn stop_all(&mut self) {
        *self = Timers::stopped();
    }

    /// When `timer` fires; `None` if it is not running.
    pub(super) fn deadline_ns(&self, timer: Timer) -> Option<u64> {
        Some(self.at_ns[timer as usize]).filter(|at_ns| *at_ns != STOPPED)
    }

    pub(super) fn is_running(&self, timer: Timer) -> bool {
        self.at_ns[timer as usize] != STOPPED
    }

    /// Makes `timer` fire no later than `at_ns`, if it is running.
    pub(super) fn shorten(&mut self, timer: Timer, at_ns: u64) {
        if self.is_running(timer) {
            self.set(timer, at_ns.min(self.at_ns[timer as usize]));
        }
    }

    /// Makes no timer fire before `at_ns`.
    pub(super) fn postpone(&mut self, at_ns: u64) {
        for timer_ns in &mut self.at_ns {
            *timer_ns = at_ns.max(*timer_ns);
        }
    }

    /// Makes each timer fire `by_ns` later.
    pub(super) fn delay(&mut self, by_ns: u64) {
        for timer_ns in &mut self.at_ns {
            *timer_ns = timer_ns.saturating_add(by_ns);
        }
    }

    /// When the next timer fires; `u64::MAX` if none is running.
    pub(super) fn next_deadline_ns(&self) -> u64 {
        self.at_ns.iter().copied().fold(STOPPED, u64::min)
    }

    /// A timer that has fired by `now_ns`.
    pub(super) fn fired(&self, now_ns: u64) -> Option<Timer> {
        Timer::ALL.into_iter().find(|timer| self.is_running(*timer) && self.at_ns[*timer as usize] <= now_ns)
    }

    /// Stops a timer that has fired by `now_ns`, and returns it.
    pub(super) fn take_fired(&mut self, now_ns: u64) -> Option<Timer> {
        let fired = self.fired(now_ns)?;
        self.stop(fired);
        Some(fired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_fires_once_at_its_deadline() {
        let mut timers = Timers::stopped();
        timers.set(Timer::Idle, 10);
        timers.set(Timer::Drain, 20);
        assert_eq!((timers.next_deadline_ns(), timers.take_fired(9)), (10, None));
        assert_eq!(timers.take_fired(30), Some(Timer::Idle));
        assert_eq!((timers.next_deadline_ns(), timers.take_fired(30)), (20, Some(Timer::Drain)));
        assert_eq!((timers.next_deadline_ns(), timers.take_fired(u64::MAX)), (u64::MAX, None));
    }

    #[test]
    fn shortening_neither_extends_nor_starts_a_timer() {
        let mut timers = Timers::stopped();
        timers.shorten(Timer::Head, 5);
        assert_eq!(timers.deadline_ns(Timer::Head), None);
        timers.set(Timer::Head, 7);
        timers.shorten(Timer::Head, 9);
        assert_eq!(timers.deadline_ns(Timer::Head), Some(7));
        timers.shorten(Timer::Head, 5);
        assert_eq!(timers.deadline_ns(Timer::Head), Some(5));
        timers.stop_all();
        assert_eq!(timers.next_deadline_ns(), u64::MAX);
    }
}
