//! Full polls: a poll that returns as many events as fit may have left out a socket that is ready. A deadline must not
//! expire before the socket of its session was reported, since the bytes that would have moved it may have arrived.

/// Counts full polls in a row, and decides against which time deadlines are judged.
#[derive(Debug, Default)]
pub(super) struct FullPolls {
    /// The number of full polls in a row.
    count: usize,
    /// After more full polls than this, every session that was ready when the first one returned has been reported.
    count_max: usize,
    /// When the first one returned, on the monotonic clock.
    since_ns: u64,
}

impl FullPolls {
    /// Records a poll that returned `events` events of at most `events_max` at `polled_ns`, with this many sessions
    /// open.
    pub(super) fn record(&mut self, events: usize, events_max: usize, sessions: usize, polled_ns: u64) {
        if self.count == 0 {
            self.count_max = sessions / events_max + 1;
            self.since_ns = polled_ns;
        }
        self.count = if events < events_max { 0 } else { self.count + 1 };
    }

    /// The time against which deadlines are judged after the poll that returned at `polled_ns`; `None` if they must
    /// wait for the next poll. After enough full polls, everything that had arrived before the first of them returned
    /// has been reported. Later arrivals may not have been, so that is the time returned, and the count starts again.
    pub(super) fn judge_by_ns(&mut self, polled_ns: u64) -> Option<u64> {
        match self.count {
            0 => Some(polled_ns),
            count if count <= self.count_max => None,
            _ => {
                self.count = 0;
                Some(self.since_ns)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_judged_by_the_first_of_enough_full_polls() {
        let mut polls = FullPolls::default();
        let judge_by_ns = |polls: &mut FullPolls, events, polled_ns| {
            polls.record(events, 10, 25, polled_ns);
            polls.judge_by_ns(polled_ns)
        };
        assert_eq!(judge_by_ns(&mut polls, 9, 1), Some(1), "not full");
        for polled_ns in [2, 3, 4] {
            assert_eq!(judge_by_ns(&mut polls, 10, polled_ns), None, "25 sessions may take three polls");
        }
        assert_eq!(judge_by_ns(&mut polls, 10, 5), Some(2));
        assert_eq!(judge_by_ns(&mut polls, 10, 6), None, "the count starts again");
        assert_eq!(judge_by_ns(&mut polls, 0, 7), Some(7), "a poll that is not full reports everything");
    }
}
