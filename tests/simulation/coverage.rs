//! Counts of what happened in the runs. A fault that was never injected, or a timeout that never fired, was not tested.

use std::collections::BTreeMap;

/// How often each event occurred, by kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

impl Coverage {
    pub(crate) fn count(&mut self, kind: &'static str, what: &str) {
        self.count_times(kind, what, 1);
    }

    pub(crate) fn count_times(&mut self, kind: &'static str, what: &str, times: u64) {
        let counts = self.counts.entry(kind).or_default();
        match counts.get_mut(what) {
            Some(count) => *count += times,
            None => drop(counts.insert(what.to_owned(), times)),
        }
    }

    /// Adds the counts of another run.
    pub(crate) fn add(&mut self, other: &Coverage) {
        for (kind, what, count) in other.iter() {
            self.count_times(kind, what, count);
        }
    }

    pub(crate) fn of(&self, kind: &str, what: &str) -> u64 {
        self.counts.get(kind).and_then(|counts| counts.get(what)).copied().unwrap_or(0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        self.counts.iter().flat_map(|(kind, counts)| counts.iter().map(|(what, count)| (*kind, what.as_str(), *count)))
    }
}
