//! The resumable uploads that this run knows of and that have not ended, so that their number can be limited.
//!
//! An upload is known from the moment in which this run begins it, a request finds it, or a cleanup of its directory sees
//! it. The tree is never searched for uploads of earlier runs.
//!
//! Another process may end an upload that this one has begun. That is noticed only when the uploads are
//! [looked at](PendingUploads::look).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::rc::Rc;

use super::cleanup::Expiry;
use super::metadata::FileId;
use super::temporary_file::{TemporaryName, number_of, partial_name};

/// How many uploads are looked at in one call. Each takes about six system calls, which are a hundredth of a millisecond.
const LOOKS_MAX: usize = 16;

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

/// The directory that contains the files of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PendingPlace {
    /// Its path; empty for the root.
    pub(super) path: Box<[u8]>,
    /// What it was when the upload was last seen there.
    pub(super) id: FileId,
}

/// A known upload.
#[derive(Debug)]
struct Pending {
    /// The time of its last byte, in nanoseconds since 1970.
    written_ns: u64,
    /// `None` if it could not be told.
    place: Option<Rc<PendingPlace>>,
    /// Whose place it takes, if that is known. It is not known of the uploads of earlier runs.
    holder: Option<Rc<str>>,
}

/// Uploads, in the orders in which they are looked up, so that neither counting nor forgetting looks at all of them.
#[derive(Debug, Default)]
struct Known {
    /// The key is the number in the name of the state file, which takes less memory than the name.
    uploads: HashMap<u64, Pending>,
    /// The time of the last byte, and the number, of each.
    by_time: BTreeSet<(u64, u64)>,
    /// How many each holder has, if any.
    by_holder: HashMap<Rc<str>, usize>,
    /// The upload of `by_time` that was looked at last.
    looked_at: (u64, u64),
}

impl Known {
    fn set_written(&mut self, number: u64, written_ns: u64, place: Option<&Rc<PendingPlace>>) {
        let new = || Pending { written_ns, place: None, holder: None };
        let upload = self.uploads.entry(number).or_insert_with(new);
        upload.place = place.cloned();
        self.by_time.remove(&(upload.written_ns, number));
        self.by_time.insert((written_ns, number));
        upload.written_ns = written_ns;
    }

    fn set_holder(&mut self, number: u64, holder: Rc<str>) {
        let Some(upload) = self.uploads.get_mut(&number) else { return };
        let previous = upload.holder.replace(Rc::clone(&holder));
        *self.by_holder.entry(holder).or_default() += 1;
        self.leave(previous);
    }

    fn remove(&mut self, number: u64) {
        let Some(upload) = self.uploads.remove(&number) else { return };
        self.by_time.remove(&(upload.written_ns, number));
        self.leave(upload.holder);
    }

    /// The holder has one upload less.
    fn leave(&mut self, holder: Option<Rc<str>>) {
        let Some(holder) = holder else { return };
        if let Some(count) = self.by_holder.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                self.by_holder.remove(&holder);
            }
        }
    }

    fn forget_expired(&mut self, expiry: Expiry) {
        // Ends: each iteration removes an upload.
        while let Some((written_ns, number)) = self.by_time.first().copied() {
            if !expiry.has_passed(i128::from(written_ns)) {
                return;
            }
            self.remove(number);
        }
    }

    /// The next uploads to look at, up to [`LOOKS_MAX`] of them: those that received content longest ago, and at the next
    /// call those after them.
    fn next_to_look_at(&mut self) -> Vec<(u64, Rc<PendingPlace>)> {
        let after = (Bound::Excluded(self.looked_at), Bound::Unbounded);
        let up_to = (Bound::Unbounded, Bound::Included(self.looked_at));
        let next: Vec<_> =
            self.by_time.range(after).chain(self.by_time.range(up_to)).take(LOOKS_MAX).copied().collect();
        self.looked_at = next.last().copied().unwrap_or_default();
        let place = |number| self.uploads.get(&number).and_then(|upload| upload.place.clone());
        next.into_iter().filter_map(|(_, number)| Some((number, place(number)?))).collect()
    }

    fn counts(&self, holder: Option<&str>) -> PendingCounts {
        let of_holder = holder.and_then(|holder| self.by_holder.get(holder)).copied().unwrap_or(0);
        PendingCounts { all: self.uploads.len(), of_holder }
    }
}

/// The known uploads, and the clock by which they expire.
#[derive(Debug)]
pub(super) struct PendingUploads {
    known: RefCell<Known>,
    /// The wall clock, in nanoseconds since 1970, as the caller has set it last.
    unix_ns: Cell<u64>,
    /// The time after its last byte until an upload expires, in nanoseconds.
    age_ns_max: Cell<u64>,
}

impl Default for PendingUploads {
    /// No uploads. They never expire.
    fn default() -> Self {
        PendingUploads { known: RefCell::default(), unix_ns: Cell::default(), age_ns_max: Cell::new(u64::MAX) }
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

    /// The number of uploads that have neither ended nor expired, and how many of them are this holder's.
    pub(super) fn counts(&self, holder: Option<&str>) -> PendingCounts {
        let mut known = self.known.borrow_mut();
        known.forget_expired(self.expiry());
        known.counts(holder)
    }

    /// Notes whose place an upload takes.
    pub(super) fn set_holder(&self, state: &TemporaryName, holder: Rc<str>) {
        self.known.borrow_mut().set_holder(number_of(state), holder);
    }

    /// Counts an upload that has just received content.
    pub(super) fn insert(&self, state: &TemporaryName, place: Option<&Rc<PendingPlace>>) {
        self.known.borrow_mut().set_written(number_of(state), self.unix_ns.get(), place);
    }

    /// Counts an upload that was found on the disk, and received its last byte at `written_ns`.
    pub(super) fn insert_found(&self, state: &TemporaryName, written_ns: i128, place: Option<&Rc<PendingPlace>>) {
        let written_ns = u64::try_from(written_ns.max(0)).unwrap_or(u64::MAX);
        self.known.borrow_mut().set_written(number_of(state), written_ns, place);
    }

    /// Looks at a few of the uploads, at others each time, and no longer counts those that have ended. `has_ended` is told
    /// the directory and the name of the state file.
    pub(super) fn look(&self, has_ended: impl Fn(&PendingPlace, &TemporaryName) -> bool) {
        let next = self.known.borrow_mut().next_to_look_at();
        for (number, place) in next {
            if has_ended(&place, &partial_name(number)) {
                self.known.borrow_mut().remove(number);
            }
        }
    }

    /// No longer counts an upload.
    pub(super) fn remove(&self, state: &TemporaryName) {
        self.known.borrow_mut().remove(number_of(state));
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
    fn the_counts_are_those_of_the_uploads_that_neither_ended_nor_expired() {
        const AGE_NS_MAX: u64 = 20;
        let (mut known, mut expected) = (Known::default(), HashMap::<u64, (u64, Option<u8>)>::new());
        let mut random = fastrand::Rng::with_seed(1);
        let holders: [Rc<str>; 3] = ["one", "two", "three"].map(Rc::from);
        for unix_ns in 0..20_000 {
            let (number, holder) = (random.u64(..60), random.u8(..3));
            match random.u8(..4) {
                0 | 1 => {
                    // Of some, the last byte was received some time ago.
                    let written_ns = unix_ns - random.u64(..=5).min(unix_ns);
                    known.set_written(number, written_ns, None);
                    expected.entry(number).or_insert((0, None)).0 = written_ns;
                }
                2 => {
                    known.set_holder(number, Rc::clone(&holders[usize::from(holder)]));
                    expected.entry(number).and_modify(|upload| upload.1 = Some(holder));
                }
                _ => {
                    known.remove(number);
                    expected.remove(&number);
                }
            }
            known.forget_expired(Expiry { unix_ns, age_ns_max: AGE_NS_MAX });
            expected.retain(|_, (written_ns, _)| unix_ns - *written_ns <= AGE_NS_MAX);
            let of_holder = expected.values().filter(|(_, of)| *of == Some(holder)).count();
            let counts = PendingCounts { all: expected.len(), of_holder };
            assert_eq!(known.counts(Some(&holders[usize::from(holder)])), counts);
            assert_eq!(known.by_time.len(), expected.len());
            assert_eq!(
                known.by_holder.values().sum::<usize>(),
                expected.values().filter(|(_, of)| of.is_some()).count()
            );
        }
        assert_eq!(known.counts(None).of_holder, 0);
    }

    #[test]
    fn every_upload_is_looked_at_in_turn() {
        let place = Rc::new(PendingPlace { path: Box::default(), id: (1, 1) });
        let mut known = Known::default();
        // Five times as many as are looked at in one call. Some received content at the same time.
        let numbers = 0..5 * LOOKS_MAX as u64;
        numbers.clone().for_each(|number| known.set_written(number, 7 + number / 3, Some(&place)));
        for _ in 0..2 {
            let looked_at: Vec<_> = (0..5).flat_map(|_| known.next_to_look_at()).map(|(number, _)| number).collect();
            assert_eq!(looked_at, numbers.clone().collect::<Vec<_>>());
        }
        known.remove(0);
        assert_eq!(known.next_to_look_at()[0].0, 1, "after the last one the first is next");
        numbers.for_each(|number| known.remove(number));
        assert!(known.next_to_look_at().is_empty());
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
