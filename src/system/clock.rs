//! The only place that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::semantics::Now;

/// Makes [`Now`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    /// The start in nanoseconds since 1970, as the system's clock has it at the moment: it may be set.
    start_unix_ns: u64,
}

impl Clock {
    /// A clock whose monotonic time starts here.
    pub(super) fn start() -> Clock {
        let mut clock = Clock { start: Instant::now(), start_unix_ns: 0 };
        clock.follow_system();
        clock
    }

    /// Asks the system's clock for the date. It costs as much again as the monotonic one, and so is asked once a turn. A
    /// clock set before 1970 reads as 1970.
    pub(super) fn follow_system(&mut self) {
        let unix_ns = nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        self.start_unix_ns = unix_ns.saturating_sub(self.monotonic_ns());
    }

    /// The time. The date goes on from when it was asked for last.
    pub(super) fn now(&self) -> Now {
        let monotonic_ns = self.monotonic_ns();
        Now { monotonic_ns, unix_ns: self.start_unix_ns.saturating_add(monotonic_ns) }
    }

    fn monotonic_ns(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
