//! The resumable uploads that this run knows of and that have not ended, so that their number can be limited.
//!
//! An upload is known from the moment in which this run begins it, a request finds it, or a cleanup of its directory sees
//! it. The tree is never searched for uploads of earlier runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::cleanup::Expiry;
use super::temporary_file::{TemporaryName, number_of};

/// How many resumable uploads have neither ended nor expired, as far as this run knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingCounts {
    /// All of them.
    pub all: usize,
    /// Those that take the places of one holder.
    pub of_holder: usize,
}

impl PendingCounts {
    /// Whether the holder may begin another upload where there may be `max` in all. The holder must have fewer than there
    /// are places left: then one holder gets at most half of all places, two of them a third each, and there are always
    /// places left for another, unless there are nearly as many holders as places. No upload that has begun is given up
    /// for that.
    pub fn allow_another(&self, max: usize) -> bool {
        self.of_holder < max.saturating_sub(self.all)
    }
}

/// A known upload.
#[derive(Debug)]
struct Pending {
    /// The time of its last byte, in nanoseconds since 1970.
    written_ns: u64,
    /// Whose place it takes, if that is known. It is not known of the uploads of earlier runs.
    holder: Option<Rc<str>>,
}

/// The known uploads, and the clock by which they expire.
#[derive(Debug)]
pub(super) struct PendingUploads {
    /// The key is the number in the name of the state file, which takes less memory than the name.
    uploads: RefCell<HashMap<u64, Pending>>,
    /// The wall clock, in nanoseconds since 1970, as the caller has set it last.
    unix_ns: Cell<u64>,
    /// The time after its last byte until an upload expires, in nanoseconds.
    age_ns_max: Cell<u64>,
}

impl Default for PendingUploads {
    /// No uploads. They never expire.
    fn default() -> Self {
        PendingUploads { uploads: RefCell::default(), unix_ns: Cell::default(), age_ns_max: Cell::new(u64::MAX) }
    }
}

impl PendingUploads {
    pub(super) fn set_age_max(&self, age_ns: u64) {
        self.age_ns_max.set(age_ns);
    }

    pub(super) fn set_time(&self, unix_ns: u64) {
        self.unix_ns.set(unix_ns);
    }

    /// When uploads expire.
    pub(super) fn expiry(&self) -> Expiry {
        Expiry { unix_ns: self.unix_ns.get(), age_ns_max: self.age_ns_max.get() }
    }

    /// The number of uploads that have neither ended nor expired, and how many of them are this holder's. All of them are
    /// looked at: expired ones have to be forgotten.
    pub(super) fn counts(&self, holder: Option<&str>) -> PendingCounts {
        let expiry = self.expiry();
        let mut uploads = self.uploads.borrow_mut();
        let mut of_holder = 0;
        uploads.retain(|_, upload| {
            let is_pending = !expiry.has_passed(i128::from(upload.written_ns));
            of_holder += usize::from(is_pending && holder.is_some() && upload.holder.as_deref() == holder);
            is_pending
        });
        PendingCounts { all: uploads.len(), of_holder }
    }

    /// Notes whose place an upload takes.
    pub(super) fn set_holder(&self, state: &TemporaryName, holder: Rc<str>) {
        if let Some(upload) = self.uploads.borrow_mut().get_mut(&number_of(state)) {
            upload.holder = Some(holder);
        }
    }

    /// Counts an upload that has just received content.
    pub(super) fn insert(&self, state: &TemporaryName) {
        self.set_written(state, self.unix_ns.get());
    }

    /// Counts an upload that was found on the disk, and received its last byte at `written_ns`.
    pub(super) fn insert_found(&self, state: &TemporaryName, written_ns: i128) {
        let written_ns = u64::try_from(written_ns.max(0)).unwrap_or(u64::MAX);
        self.set_written(state, written_ns);
    }

    fn set_written(&self, state: &TemporaryName, written_ns: u64) {
        let mut uploads = self.uploads.borrow_mut();
        uploads.entry(number_of(state)).or_insert(Pending { written_ns, holder: None }).written_ns = written_ns;
    }

    /// No longer counts an upload.
    pub(super) fn remove(&self, state: &TemporaryName) {
        self.uploads.borrow_mut().remove(&number_of(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many uploads each holder has after each of them has begun as many as it may, in turns.
    fn taken(holders: usize, max: usize) -> Vec<usize> {
        let mut taken = vec![0; holders];
        // Nobody gets more than `max`.
        for holder in (0..=max).flat_map(|_| 0..holders) {
            let counts = PendingCounts { all: taken.iter().sum(), of_holder: taken[holder] };
            taken[holder] += usize::from(counts.allow_another(max));
        }
        taken
    }

    #[test]
    fn each_holder_gets_as_many_as_are_left() {
        assert_eq!(taken(1, 1000), [500]);
        assert_eq!(taken(2, 1000), [334, 333]);
        assert_eq!(taken(9, 1000), [100; 9]);
        assert_eq!((taken(1, 0), taken(1, 1), taken(1, 2), taken(1, 3)), (vec![0], vec![1], vec![1], vec![2]));
        for holders in 1..40 {
            let all: usize = taken(holders, 100).iter().sum();
            assert!(all < 100, "another holder gets in beside {holders}");
        }
    }
}
