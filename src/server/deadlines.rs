//! The deadlines of all sessions, ordered by time.

use std::collections::BTreeSet;

/// Pairs of a monotonic time in nanoseconds and a session's key, ordered by time.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    entries: BTreeSet<(u64, usize)>,
}

impl Deadlines {
    /// Adds an entry; `u64::MAX` means never, and adds none.
    pub(super) fn insert(&mut self, at_ns: u64, key: usize) {
        if at_ns != u64::MAX {
            self.entries.insert((at_ns, key));
        }
    }

    /// Removes an entry, if there is one.
    pub(super) fn remove(&mut self, at_ns: u64, key: usize) {
        self.entries.remove(&(at_ns, key));
    }

    /// The earliest time.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.entries.first().map(|(at_ns, _)| *at_ns)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the earliest entry if its time has come, and returns its key.
    pub(super) fn pop_passed(&mut self, now_ns: u64) -> Option<usize> {
        if self.next_ns()? > now_ns {
            return None;
        }
        self.entries.pop_first().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_pass_in_the_order_of_their_times() {
        let mut deadlines = Deadlines::default();
        deadlines.insert(30, 1);
        deadlines.insert(10, 2);
        deadlines.insert(20, 3);
        deadlines.insert(u64::MAX, 4);
        deadlines.remove(20, 3);
        assert_eq!(deadlines.next_ns(), Some(10));
        assert_eq!(deadlines.pop_passed(9), None);
        assert_eq!(deadlines.pop_passed(30), Some(2));
        assert_eq!(deadlines.pop_passed(30), Some(1));
        assert_eq!(deadlines.pop_passed(u64::MAX), None);
    }
}
