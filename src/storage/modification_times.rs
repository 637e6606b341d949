//! Gives each upload of a run a modification time of its own, close to the clock.

/// How far the clock must be behind the last upload's time before times follow it back, in nanoseconds. Following is
/// possible only [`SET_BACK_MAX`] times, and a smaller step is not worth one of them: until the clock has caught up,
/// uploads are dated at most a few seconds late, in their order.
const SET_BACK_NS: u64 = 5_000_000_000;

/// The smallest difference between the times of two uploads, in nanoseconds. The digits below it count how often the
/// clock was set back.
const STEP_NS: u64 = 1000;

/// No time is a multiple of this many steps (a millisecond). A file system with coarser timestamps could keep such a
/// time exactly, and give the same one to other uploads; the caller would then take it for unique.
const COARSE_STEPS: u64 = 1000;

/// How often times follow the clock back. After that they only increase.
const SET_BACK_MAX: u64 = STEP_NS - 1;

/// Generates the modification times.
///
/// The entity tag of an upload contains this time and is strong from the start. So a run must never give one time
/// twice, even if the clock is set back and passes through the same hours again. Remembering every time would take
/// unbounded memory. Instead, the last three digits of a time count how often the clock had been set back before. Times
/// with the same count strictly increase by whole microseconds, and times with different counts differ in these digits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ModificationTimes {
    /// The last time, in steps.
    last: u64,
    /// How often times have followed the clock back.
    set_back: u64,
}

impl ModificationTimes {
    /// Returns a time for an upload that is committed at `unix_ns`, both in nanoseconds since 1970. They differ by more
    /// than a microsecond only if another upload already has that time, or if the clock was set back.
    pub(super) fn next(&mut self, unix_ns: u64) -> u64 {
        let now = unix_ns / STEP_NS;
        let is_set_back = now.saturating_add(SET_BACK_NS / STEP_NS) < self.last;
        if is_set_back && self.set_back < SET_BACK_MAX {
            self.set_back += 1;
            self.last = now;
        } else {
            self.last = now.max(self.last.saturating_add(1));
        }
        if self.last.is_multiple_of(COARSE_STEPS) {
            self.last = self.last.saturating_add(1);
        }
        self.last.saturating_mul(STEP_NS).saturating_add(self.set_back)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;
    const TEN_YEARS: u64 = 10 * 365 * 86_400 * 1_000_000_000;

    #[test]
    fn a_small_step_back_keeps_the_order_and_a_large_one_is_followed() {
        let mut times = ModificationTimes::default();
        assert_eq!(times.next(NOW + 1000), NOW + 1000);
        assert_eq!(times.next(NOW + 1000 - SET_BACK_NS), NOW + 2000);
        assert_eq!(times.next(NOW + 1000 - SET_BACK_NS), NOW + 1001 - SET_BACK_NS);
        assert_eq!(times.next(NOW + 1000 - SET_BACK_NS), NOW + 2001 - SET_BACK_NS);
    }

    /// A file system that keeps whole seconds, for example, would give a time on the second to several uploads.
    #[test]
    fn no_time_is_one_that_a_file_system_with_coarse_timestamps_keeps_exactly() {
        let mut given = HashSet::new();
        let mut times = ModificationTimes::default();
        for clock in [NOW, NOW, NOW + 998_000, NOW + 998_000, NOW + 999_999, NOW + 2_000_000, NOW - TEN_YEARS, NOW] {
            for _ in 0..1_500 {
                let time = times.next(clock);
                assert_ne!(time / 1_000 % 1_000, 0, "{time} is whole milliseconds");
                assert!(given.insert(time), "{time} is given twice");
            }
        }
    }

    /// Many small steps back must not add up to a date far in the future.
    #[test]
    fn steps_back_that_add_up_are_followed() {
        let mut times = ModificationTimes::default();
        for step in 0..600 {
            let clock = NOW - step * 1_000_000_000;
            assert!(times.next(clock) <= clock + SET_BACK_NS + 600 * STEP_NS, "{step}");
        }
    }

    #[test]
    fn no_time_is_given_twice_however_often_the_clock_jumps() {
        let mut times = ModificationTimes::default();
        let mut given = HashSet::new();
        for jump in 0..2 * SET_BACK_MAX + 10 {
            // Each jump leads to the same moment as before, or close to it.
            let start = if jump % 2 == 0 { NOW + TEN_YEARS } else { NOW - jump % 7 };
            for upload in 0..10 {
                let clock = start + upload * 300;
                let time = times.next(clock);
                assert!(given.insert(time), "{time} after {jump} jumps");
                // Times follow the clock as long as the counter allows.
                assert!(jump >= 2 * SET_BACK_MAX || time.abs_diff(clock) < 20 * STEP_NS, "{time} after {jump} jumps");
            }
        }
    }
}
