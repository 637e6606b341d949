//! The clock. No other module reads the system's clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::semantics::Now;

/// How often the date is read from the system's clock, in nanoseconds. In between it advances with the monotonic clock.
const DATE_NS: u64 = 1_000_000;

/// A source of [`Now`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    /// The start in nanoseconds since 1970, by the system's clock when it was last read. It changes when that clock is
    /// set.
    start_unix_ns: u64,
    /// When the date is next read, on the monotonic clock.
    date_due_ns: u64,
}

impl Clock {
    /// Starts a clock whose monotonic time begins at 0.
    pub(super) fn start() -> Clock {
        Clock { start: Instant::now(), start_unix_ns: 0, date_due_ns: 0 }
    }

    /// The current time. The date is at most [`DATE_NS`] behind a change of the system's clock: to read it costs as much
    /// as to read the monotonic clock.
    pub(super) fn now(&mut self) -> Now {
        let monotonic_ns = nanoseconds(self.start.elapsed());
        if monotonic_ns >= self.date_due_ns {
            self.start_unix_ns = unix_ns().saturating_sub(monotonic_ns);
            self.date_due_ns = monotonic_ns.saturating_add(DATE_NS);
        }
        Now { monotonic_ns, unix_ns: self.start_unix_ns.saturating_add(monotonic_ns) }
    }
}

/// The date in nanoseconds since 1970, read from the system's clock. A date before 1970 becomes 1970.
pub fn unix_ns() -> u64 {
    nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
