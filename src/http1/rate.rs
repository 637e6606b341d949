//! The rate of one direction of a connection: a token bucket, whose arithmetic is in times.

use std::num::NonZeroU64;

use super::limits::{RATE_BURST_NS, RATE_PAUSE_NS, SECOND_NS};

/// What a connection may send and receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    bytes_per_second: NonZeroU64,
}

impl Rate {
    /// So many bytes per second.
    pub fn new(bytes_per_second: NonZeroU64) -> Rate {
        Rate { bytes_per_second }
    }

    /// How long so many bytes take, in nanoseconds, rounded up.
    fn duration_ns(self, bytes: u64) -> u64 {
        let ns = (u128::from(bytes) * u128::from(SECOND_NS)).div_ceil(u128::from(self.bytes_per_second.get()));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// How many bytes that time is enough for.
    fn bytes_in(self, duration_ns: u64) -> u64 {
        let bytes = u128::from(duration_ns) * u128::from(self.bytes_per_second.get()) / u128::from(SECOND_NS);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// The bucket of one direction. It holds at most what [`RATE_BURST_NS`] is enough for. When no whole byte is left, the
/// direction pauses until there is what [`RATE_PAUSE_NS`] is enough for, so that it does not wake the loop for a few
/// bytes.
///
/// So within any time, at most `RATE_BURST_NS` more than that time is enough for is transferred. A direction that always
/// has something to transfer is never slower than its rate, since the bucket is never full while it pauses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// When the bucket is full, on the monotonic clock. In the past if it has been full since then.
    full_ns: u64,
    is_paused: bool,
}

impl Bucket {
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// How many bytes may be transferred now: at least one, unless the direction pauses.
    pub(super) fn available_bytes(&self, rate: Rate, now_ns: u64) -> u64 {
        if self.is_paused {
            return 0;
        }
        // A rate of a few bytes a second may need more time than that for one byte.
        self.whole_bytes(rate, now_ns).max(1)
    }

    fn whole_bytes(&self, rate: Rate, now_ns: u64) -> u64 {
        rate.bytes_in(RATE_BURST_NS.saturating_sub(self.full_ns.saturating_sub(now_ns)))
    }

    /// Takes what has been transferred. Returns whether the direction pauses now.
    pub(super) fn take(&mut self, bytes: u64, rate: Rate, now_ns: u64) -> bool {
        self.full_ns = self.full_ns.max(now_ns).saturating_add(rate.duration_ns(bytes));
        self.is_paused = self.whole_bytes(rate, now_ns) == 0;
        self.is_paused
    }

    /// When the pause ends; `None` if there is none.
    pub(super) fn resume_ns(&self) -> Option<u64> {
        self.is_paused.then(|| self.full_ns.saturating_sub(RATE_BURST_NS - RATE_PAUSE_NS))
    }

    /// Ends the pause if its time has come. Returns whether it did.
    pub(super) fn resume(&mut self, now_ns: u64) -> bool {
        let ends = self.resume_ns().is_some_and(|resume_ns| resume_ns <= now_ns);
        self.is_paused &= !ends;
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_second: u64) -> Rate {
        Rate::new(NonZeroU64::new(bytes_per_second).unwrap())
    }

    /// How many bytes a direction transfers within three seconds that never waits for anything else.
    fn transferred(rate: Rate, piece_bytes_max: u64) -> (u64, u64) {
        let (start_ns, mut now_ns) = (7 * SECOND_NS + 13, 7 * SECOND_NS + 13);
        let (mut bucket, mut bytes, mut pauses) = (Bucket::default(), 0, 0);
        while now_ns < start_ns + 3 * SECOND_NS {
            let piece = bucket.available_bytes(rate, now_ns).min(piece_bytes_max);
            bytes += piece;
            if bucket.take(piece, rate, now_ns) {
                now_ns = bucket.resume_ns().unwrap();
                assert!(bucket.resume(now_ns));
                pauses += 1;
            }
        }
        (bytes, pauses)
    }

    #[test]
    fn a_rate_is_exact_within_ten_percent_in_three_seconds_and_pauses_some_twenty_times_a_second() {
        for bytes_per_second in [1024, 1025, 65_537, 1 << 20, 123_456_789, 10 << 30] {
            for piece_bytes_max in [bytes_per_second / 100 + 1, u64::MAX] {
                let (bytes, pauses) = transferred(rate(bytes_per_second), piece_bytes_max);
                let expected = 3 * bytes_per_second;
                assert!(bytes >= expected && bytes <= expected + expected / 20, "{bytes_per_second}: {bytes}");
                assert!(pauses <= 3 * 21, "{bytes_per_second}: {pauses}");
            }
        }
    }

    #[test]
    fn extreme_rates_and_lengths_do_not_overflow() {
        for bytes_per_second in [1, 19, u64::MAX] {
            for bytes in [0, 1, u64::MAX] {
                let mut bucket = Bucket::default();
                bucket.take(bytes, rate(bytes_per_second), u64::MAX - 5);
                bucket.take(bytes, rate(bytes_per_second), 5);
                bucket.resume(5);
                assert!(bucket.is_paused() || bucket.available_bytes(rate(bytes_per_second), 5) > 0);
            }
        }
    }

    #[test]
    fn a_full_bucket_holds_no_more_than_its_burst() {
        let (rate, mut bucket) = (rate(1000), Bucket::default());
        assert_eq!(bucket.available_bytes(rate, 100 * SECOND_NS), 100);
        assert!(!bucket.take(99, rate, 100 * SECOND_NS));
        assert!(bucket.take(1, rate, 100 * SECOND_NS));
        assert_eq!(bucket.available_bytes(rate, 100 * SECOND_NS), 0);
        assert_eq!(bucket.resume_ns(), Some(100 * SECOND_NS + SECOND_NS / 20));
        assert!(!bucket.resume(100 * SECOND_NS) && bucket.resume(101 * SECOND_NS));
        assert_eq!(bucket.available_bytes(rate, 102 * SECOND_NS), 100);
    }
}
