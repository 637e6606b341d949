//! The conditions under which an upload is stored. They are checked when it begins, and again when it is published.

use super::validators::{FileVersion, OwnUploads};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Validators, Verdict};
use crate::semantics::rights::MayUpload;
use crate::storage::{Metadata, UploadMode};

/// The right to replace a file, and the preconditions of a request.
pub(super) struct UploadConditions {
    /// Whether no file may be replaced. An existing file is then a conflict, whatever the preconditions are.
    only_creates: bool,
    preconditions: Option<Preconditions>,
}

impl UploadConditions {
    pub(super) fn new<P>(path: &MayUpload<P>, preconditions: Option<Preconditions>) -> UploadConditions {
        UploadConditions { only_creates: !path.may_replace(), preconditions }
    }

    /// Whether the client demands that nothing is replaced, and its rights do not demand that already.
    pub(super) fn must_be_absent(&self) -> bool {
        !self.only_creates && self.preconditions.as_ref().is_some_and(Preconditions::demand_absence)
    }

    /// Whether the request has no preconditions.
    pub(super) fn are_none(&self) -> bool {
        self.preconditions.is_none()
    }

    pub(super) fn mode(&self) -> UploadMode {
        if self.only_creates || self.must_be_absent() { UploadMode::CreateOnly } else { UploadMode::Replace }
    }

    /// Whether the preconditions hold for the existing file. A conflict with the rights takes precedence over them
    /// (RFC 9110 §13.2.1): this is `true` then, and storage reports the conflict.
    pub(super) fn hold(&self, existing: Option<&Metadata>, own_uploads: &OwnUploads, now: &Now) -> bool {
        let is_conflict = self.only_creates && existing.is_some();
        is_conflict
            || self.preconditions.as_ref().is_none_or(|preconditions| hold(preconditions, existing, own_uploads, now))
    }
}

/// Whether preconditions hold for the existing file.
pub(super) fn hold(
    preconditions: &Preconditions,
    existing: Option<&Metadata>,
    own_uploads: &OwnUploads,
    now: &Now,
) -> bool {
    let version = existing.map(|metadata| FileVersion::of(metadata, own_uploads, now));
    let validators: Option<Validators<'_>> = version.as_ref().map(FileVersion::validators);
    preconditions.evaluate(validators) == Verdict::Proceed
}
