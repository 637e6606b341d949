//! The only place that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::semantics::Now;

/// Makes [`Now`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time starts here.
    pub(super) fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The time. A system clock that stands before 1970 reads as 1970.
    pub(super) fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic_ns: u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            unix_ns: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}
