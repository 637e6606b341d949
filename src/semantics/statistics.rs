//! What the event loop and the routes count, for the metrics.

use std::cell::Cell;

const NS_PER_MINUTE: u64 = 60 * 1_000_000_000;

/// What the event loop counts. It is shared by reference, since the loop and the metrics run in one thread.
#[derive(Debug, Default)]
pub struct LoopStatistics {
    /// When the loop began, in nanoseconds since 1970.
    pub started_unix_ns: Cell<u64>,
    /// Open connections of clients. Those of the administrator are in none of these numbers.
    pub connections: Cell<u64>,
    /// Open connections that have no request in progress.
    pub waiting_connections: Cell<u64>,
    /// The connection limit.
    pub connections_max: Cell<u64>,
    /// Connections accepted since the start.
    pub accepted: Cell<u64>,
    /// Idle connections that were closed at the connection limit to make room for others.
    pub evicted_idle: Cell<u64>,
    /// Connections of those who held most that were closed at the connection limit to make room for others.
    pub evicted_by_share: Cell<u64>,
    /// Idle connections that were closed at the limit for each address.
    pub evicted_by_limit: Cell<u64>,
    /// Connections that were refused at the connection limit, because nobody held more than their clients.
    pub refused_by_share: Cell<u64>,
    /// Connections that were refused at the limit for each address.
    pub refused_by_limit: Cell<u64>,
    /// Attempts to accept a connection that failed, for lack of descriptors for example.
    pub accept_errors: Cell<u64>,
    /// Whether the server has been told to stop.
    pub is_shutting_down: Cell<bool>,
    /// Turns of the loop, without the time in which it slept.
    pub turns: LongestRecently,
    /// Calls that may have waited for the disk.
    pub disk_calls: LongestRecently,
}

impl LoopStatistics {
    /// All connections that were closed to make room for others.
    pub fn evicted(&self) -> u64 {
        let counters = [&self.evicted_idle, &self.evicted_by_share, &self.evicted_by_limit];
        counters.iter().fold(0, |sum, counter| sum.saturating_add(counter.get()))
    }

    /// Adds one to a counter.
    pub fn count(counter: &Cell<u64>) {
        counter.set(counter.get().saturating_add(1));
    }
}

/// The longest of some durations within the last one to two minutes. A maximum since the start would show a single slow
/// moment for ever.
#[derive(Debug, Default)]
pub struct LongestRecently {
    minute: Cell<u64>,
    this_minute_ns: Cell<u64>,
    last_minute_ns: Cell<u64>,
}

impl LongestRecently {
    /// Notes a duration that ended at `now_ns`. Both are in nanoseconds, the latter on the monotonic clock.
    pub fn note(&self, duration_ns: u64, now_ns: u64) {
        self.forget(now_ns);
        self.this_minute_ns.set(self.this_minute_ns.get().max(duration_ns));
    }

    /// The longest duration, in nanoseconds; 0 if there was none.
    pub fn longest_ns(&self, now_ns: u64) -> u64 {
        self.forget(now_ns);
        self.this_minute_ns.get().max(self.last_minute_ns.get())
    }

    fn forget(&self, now_ns: u64) {
        let minute = now_ns / NS_PER_MINUTE;
        let elapsed = minute.saturating_sub(self.minute.get());
        if elapsed > 0 {
            self.minute.set(minute);
            self.last_minute_ns.set(if elapsed == 1 { self.this_minute_ns.get() } else { 0 });
            self.this_minute_ns.set(0);
        }
    }
}

/// What the routes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteStatistics {
    /// Unfinished resumable uploads, whether or not a client is sending.
    pub uploads_pending: u64,
    /// Resumable uploads that were not begun because there were too many unfinished ones.
    pub uploads_refused: u64,
    /// Downloads for which the cache of files was asked and had the file.
    pub cache_hits: u64,
    /// Downloads for which the cache of files was asked and did not have the file, or an outdated one.
    pub cache_misses: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_duration_is_forgotten_after_one_to_two_minutes() {
        let longest = LongestRecently::default();
        longest.note(7, NS_PER_MINUTE - 1);
        longest.note(5, NS_PER_MINUTE - 1);
        assert_eq!(longest.longest_ns(NS_PER_MINUTE - 1), 7);
        assert_eq!(longest.longest_ns(NS_PER_MINUTE), 7);
        longest.note(3, NS_PER_MINUTE);
        assert_eq!(longest.longest_ns(2 * NS_PER_MINUTE - 1), 7);
        assert_eq!(longest.longest_ns(2 * NS_PER_MINUTE), 3);
        assert_eq!(longest.longest_ns(4 * NS_PER_MINUTE), 0);
    }
}
