//! The resumable uploads that this run knows of and that have not ended, so that their number can be limited.
//!
//! An upload is known from the moment in which this run begins it, a request finds it, or a cleanup of its directory sees
//! it. The tree is never searched for uploads of earlier runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::cleanup::Expiry;
use super::temporary_file::{TemporaryName, number_of};

/// The known uploads, and the clock by which they expire.
#[derive(Debug)]
pub(super) struct PendingUploads {
    /// The key is the number in the name of the state file, which takes less memory than the name, and the value is the
    /// time of the last byte, in nanoseconds since 1970.
    uploads: RefCell<HashMap<u64, u64>>,
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

    /// The number of uploads that have neither ended nor expired.
    pub(super) fn count(&self) -> usize {
        let expiry = self.expiry();
        let mut uploads = self.uploads.borrow_mut();
        uploads.retain(|_, written_ns| !expiry.has_passed(i128::from(*written_ns)));
        uploads.len()
    }

    /// Counts an upload that has just received content.
    pub(super) fn insert(&self, state: &TemporaryName) {
        self.uploads.borrow_mut().insert(number_of(state), self.unix_ns.get());
    }

    /// Counts an upload that was found on the disk, and received its last byte at `written_ns`.
    pub(super) fn insert_found(&self, state: &TemporaryName, written_ns: i128) {
        let written_ns = u64::try_from(written_ns.max(0)).unwrap_or(u64::MAX);
        self.uploads.borrow_mut().insert(number_of(state), written_ns);
    }

    /// No longer counts an upload.
    pub(super) fn remove(&self, state: &TemporaryName) {
        self.uploads.borrow_mut().remove(&number_of(state));
    }
}
