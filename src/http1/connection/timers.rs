//! The named timers of a connection. Each wait has one; the next deadline is their minimum, and nothing else.
//!
//! A timer that fires is stopped before it is acted on, and a connection that closes stops them all. So a deadline that
//! has passed cannot come back without something having been done, and a closed connection has none.

/// What a connection may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The rest of a head whose first bytes have come.
    Head,
    /// The first byte of a request.
    Idle,
    /// Content, at no less than the least rate.
    ContentRate,
    /// A client that does not read.
    WriteStall,
    /// The client's end, after the server's.
    Drain,
}

impl Timer {
    const ALL: [Timer; 5] = [Timer::Head, Timer::Idle, Timer::ContentRate, Timer::WriteStall, Timer::Drain];

    /// Its name in the debug log.
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

/// A timer that is not running.
const STOPPED: u64 = u64::MAX;

/// When each timer fires, on the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    at_ns: [u64; Timer::ALL.len()],
}

impl Timers {
    /// No timer is running.
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
    pub(super) fn at_ns(&self, timer: Timer) -> Option<u64> {
        Some(self.at_ns[timer as usize]).filter(|at_ns| *at_ns != STOPPED)
    }

    pub(super) fn is_running(&self, timer: Timer) -> bool {
        self.at_ns[timer as usize] != STOPPED
    }

    /// Lets a timer that is running fire at `at_ns` at the latest.
    pub(super) fn shorten(&mut self, timer: Timer, at_ns: u64) {
        if self.is_running(timer) {
            self.set(timer, at_ns.min(self.at_ns[timer as usize]));
        }
    }

    /// Lets no timer fire before `at_ns`.
    pub(super) fn postpone(&mut self, at_ns: u64) {
        for timer_ns in &mut self.at_ns {
            *timer_ns = at_ns.max(*timer_ns);
        }
    }

    /// When the first timer fires; `u64::MAX` for never.
    pub(super) fn next_ns(&self) -> u64 {
        self.at_ns.iter().copied().fold(STOPPED, u64::min)
    }

    /// A timer whose time has come.
    pub(super) fn fired(&self, now_ns: u64) -> Option<Timer> {
        Timer::ALL.into_iter().find(|timer| self.is_running(*timer) && self.at_ns[*timer as usize] <= now_ns)
    }

    /// Stops a timer whose time has come, and names it.
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
    fn a_timer_fires_once_and_at_its_time() {
        let mut timers = Timers::stopped();
        timers.set(Timer::Idle, 10);
        timers.set(Timer::Drain, 20);
        assert_eq!((timers.next_ns(), timers.take_fired(9)), (10, None));
        assert_eq!(timers.take_fired(30), Some(Timer::Idle));
        assert_eq!((timers.next_ns(), timers.take_fired(30)), (20, Some(Timer::Drain)));
        assert_eq!((timers.next_ns(), timers.take_fired(u64::MAX)), (u64::MAX, None));
    }

    #[test]
    fn a_wait_that_is_shortened_is_never_extended_nor_begun() {
        let mut timers = Timers::stopped();
        timers.shorten(Timer::Head, 5);
        assert_eq!(timers.at_ns(Timer::Head), None);
        timers.set(Timer::Head, 7);
        timers.shorten(Timer::Head, 9);
        assert_eq!(timers.at_ns(Timer::Head), Some(7));
        timers.shorten(Timer::Head, 5);
        assert_eq!(timers.at_ns(Timer::Head), Some(5));
        timers.stop_all();
        assert_eq!(timers.next_ns(), u64::MAX);
    }
}
