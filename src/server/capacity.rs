//! Who gives way at capacity: when all places are taken and somebody waits for one, a connection that is not being answered
//! is closed. First those that have been answered for the last time, then the one that has been between requests for
//! longest, then silent ones that never sent a byte, then the slowest heads.

use crate::http1::Evictable;

/// How long the search for candidates rests after one that found too few, in nanoseconds: a look at every session each
/// turn would be a cost that grows with their number.
pub(super) const SEARCH_PAUSE_NS: u64 = 10_000_000;

/// The sessions that may give way, as they were at the last search: the first to go is the last.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    keys: Vec<(Evictable, usize)>,
    /// When to search again.
    search_ns: u64,
}

impl Candidates {
    /// Whether a search is due: there are no candidates, and the last search is long enough ago.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.keys.is_empty() && self.search_ns <= now_ns
    }

    /// When the next search is due, if somebody waits for a place.
    pub(super) fn search_ns(&self) -> u64 {
        self.search_ns
    }

    /// Replaces the candidates.
    pub(super) fn fill(&mut self, candidates: impl Iterator<Item = (Evictable, usize)>, now_ns: u64) {
        self.search_ns = now_ns.saturating_add(SEARCH_PAUSE_NS);
        self.keys.clear();
        self.keys.extend(candidates);
        self.keys.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// The candidate that is the first to go. It may have moved on since the search: the caller looks again.
    pub(super) fn first(&self) -> Option<(Evictable, usize)> {
        self.keys.last().copied()
    }

    /// Takes out the first candidate.
    pub(super) fn pop(&mut self) -> Option<(Evictable, usize)> {
        self.keys.pop()
    }

    /// Nobody waits any more.
    pub(super) fn forget(&mut self) {
        self.keys = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_needed_goes_first_and_of_a_kind_the_oldest() {
        let mut candidates = Candidates::default();
        assert!(candidates.is_due(0));
        let found = [
            (Evictable::WithinHead { at_ns: 1 }, 0),
            (Evictable::Silent { at_ns: 2 }, 1),
            (Evictable::BetweenRequests { at_ns: 9 }, 2),
            (Evictable::BetweenRequests { at_ns: 8 }, 3),
            (Evictable::Drained { at_ns: 99 }, 4),
        ];
        candidates.fill(found.into_iter(), 5);
        let order: Vec<usize> = std::iter::from_fn(|| candidates.pop()).map(|(_, key)| key).collect();
        assert_eq!(order, [4, 3, 2, 1, 0]);
        assert!(!candidates.is_due(5 + SEARCH_PAUSE_NS - 1) && candidates.is_due(5 + SEARCH_PAUSE_NS));
    }
}
