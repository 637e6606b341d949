//! The clock. No other module reads the system's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::semantics::Now;

/// A source of [`Now`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    /// The start in nanoseconds since 1970, by the system's clock when it was last read. It changes when that clock is
    /// set.
    start_unix_ns: u64,
}

impl Clock {
    /// Starts a clock whose monotonic time begins at 0.
    pub(super) fn start() -> Clock {
        let mut clock = Clock { start: Instant::now(), start_unix_ns: 0 };
        clock.update_date();
        clock
    }

    /// Reads the date from the system's clock. Costs as much as reading the monotonic clock, so it is done once a turn.
    pub(super) fn update_date(&mut self) {
        self.start_unix_ns = unix_ns().saturating_sub(self.monotonic_ns());
    }

    /// The current time. The date advances from the last [`update_date`](Clock::update_date).
    pub(super) fn now(&self) -> Now {
        let monotonic_ns = self.monotonic_ns();
        Now { monotonic_ns, unix_ns: self.start_unix_ns.saturating_add(monotonic_ns) }
    }

    fn monotonic_ns(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }
}

/// The date in nanoseconds since 1970, read from the system's clock. A date before 1970 becomes 1970.
pub fn unix_ns() -> u64 {
    nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
