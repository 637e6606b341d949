//! The files of a form. Each is stored like the content of a PUT without preconditions.

use std::cell::RefCell;
use std::rc::Rc;

use super::Storing;
use super::guarded::GuardedDirectory;
use super::upload::{Refusal, TOO_LARGE};
use super::validators::OwnUploads;
use crate::routes::DENIED;
use crate::semantics::Now;
use crate::semantics::rights::Grant;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, RelativePath, Upload, UploadMode};

/// Stores the files of a form.
pub(in crate::routes) struct FormFiles<F: FileSystem> {
    directory: GuardedDirectory<F>,
    storing: Storing,
    /// What the request may do. Each name in the form is judged by it.
    grant: Grant,
    own_uploads: Rc<RefCell<OwnUploads>>,
}

/// A file that is being received.
pub(in crate::routes) struct FormFile<F: FileSystem>(Upload<F>);

impl<F: FileSystem> FormFiles<F> {
    pub(super) fn new(
        directory: GuardedDirectory<F>,
        storing: Storing,
        grant: Grant,
        own_uploads: Rc<RefCell<OwnUploads>>,
    ) -> FormFiles<F> {
        FormFiles { directory, storing, grant, own_uploads }
    }

    pub(in crate::routes) fn begin(&self, path: &RelativePath) -> Result<FormFile<F>, Refusal> {
        let path = self.grant.upload(path).map_err(|_| Refusal { status: Status::Forbidden, reason: DENIED })?;
        let mode = if path.may_replace() { UploadMode::Replace } else { UploadMode::CreateOnly };
        let upload = self.directory.begin_upload(&path, mode, None, self.storing.durable);
        upload.map(FormFile).map_err(|error| Refusal::of(&error, false))
    }

    pub(in crate::routes) fn write(&self, file: &mut FormFile<F>, content: &[u8]) -> Result<(), Refusal> {
        let bytes = file.0.bytes_written().saturating_add(content.len() as u64);
        if self.grant.upload_bytes_max().is_some_and(|bytes_max| bytes > bytes_max) {
            return Err(TOO_LARGE);
        }
        file.0.write(content).map_err(|error| Refusal::of(&error, false))
    }

    /// Publishes the file. Returns whether its name is new.
    pub(in crate::routes) fn publish(&self, file: FormFile<F>, now: &Now) -> Result<bool, Refusal> {
        let published = file.0.commit(now.unix_ns, |_| true).map_err(|error| Refusal::of(&error, false))?;
        self.own_uploads.borrow_mut().remember(&published);
        Ok(published.created)
    }
}
