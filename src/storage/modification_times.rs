//! The modification times of this run's uploads: those of the clock, and no two alike.

/// How far behind the last upload's time the clock must be before it is followed back, in nanoseconds. A smaller step is
/// not worth one of the times that the clock may be followed: until the clock has caught up, uploads are dated a few
/// seconds late, in the order in which they came.
const SET_BACK_NS: u64 = 5_000_000_000;

/// The distance between the times of two uploads, in nanoseconds. What lies between is used to tell apart what was
/// uploaded before and after the clock was set back.
const STEP_NS: u64 = 1000;

/// No time is a multiple of so many steps: a millisecond. A file system that keeps coarser times would keep such a one exactly
/// by chance, and show other uploads with the same; the caller would take it for one that nobody shares.
const COARSE_STEPS: u64 = 1000;

/// How often the clock is followed back. After that, times only increase, as they do between two such events.
const SET_BACK_MAX: u64 = STEP_NS - 1;

/// Gives each upload its modification time.
///
/// The tag of an upload is strong at once, and holds this time; so a time must never be given twice in a run, also when
/// the clock passes through the same hours a second time. Remembering every time would take memory without bound.
/// Instead, the last three digits of a time say how often the clock had been set back before: times of one count
/// strictly increase by whole microseconds, and times of different counts differ in these digits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ModificationTimes {
    /// The last time, in steps.
    last: u64,
    /// How often the clock has been followed back.
    set_back: u64,
}

impl ModificationTimes {
    /// The time of an upload that is committed at `unix_ns`. It differs from the clock by a microsecond at most, unless
    /// another upload has had that time, or the clock has been set back by a few seconds.
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

    /// One that keeps whole seconds, say, would keep such a time exactly, and then give it to the next upload too.
    #[test]
    fn no_time_is_one_that_a_coarse_file_system_keeps_exactly() {
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
            // Each jump leads back to the very same moment, or to one nearby.
            let start = if jump % 2 == 0 { NOW + TEN_YEARS } else { NOW - jump % 7 };
            for upload in 0..10 {
                let clock = start + upload * 300;
                let time = times.next(clock);
                assert!(given.insert(time), "{time} after {jump} jumps");
                // As long as there is a count left the clock is followed.
                assert!(jump >= 2 * SET_BACK_MAX || time.abs_diff(clock) < 20 * STEP_NS, "{time} after {jump} jumps");
            }
        }
    }
}
