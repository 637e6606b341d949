//! The files of a form. Each is stored like the content of a PUT without preconditions.

use std::cell::RefCell;
use std::rc::Rc;

use super::upload::{Refusal, TOO_LARGE};
use super::validators::OwnUploads;
use super::{UploadPolicy, UploadSettings};
use crate::semantics::Now;
use crate::storage::{Directory, FileSystem, RelativePath, Upload, UploadMode};

/// Stores the files of a form.
pub(in crate::routes) struct FormFiles<F: FileSystem> {
    directory: Directory<F>,
    uploads: UploadSettings,
    own_uploads: Rc<RefCell<OwnUploads>>,
}

/// A file that is being received.
pub(in crate::routes) struct FormFile<F: FileSystem>(Upload<F>);

impl<F: FileSystem> FormFiles<F> {
    pub(super) fn new(
        directory: Directory<F>,
        uploads: UploadSettings,
        own_uploads: Rc<RefCell<OwnUploads>>,
    ) -> FormFiles<F> {
        FormFiles { directory, uploads, own_uploads }
    }

    pub(in crate::routes) fn begin(&self, path: &RelativePath) -> Result<FormFile<F>, Refusal> {
        let mode = match self.uploads.policy {
            UploadPolicy::Replace | UploadPolicy::Manage => UploadMode::Replace,
            UploadPolicy::Create | UploadPolicy::Off => UploadMode::CreateOnly,
        };
        let upload = self.directory.begin_upload(path, mode, None, self.uploads.durable);
        upload.map(FormFile).map_err(|error| Refusal::of(&error, false))
    }

    pub(in crate::routes) fn write(&self, file: &mut FormFile<F>, content: &[u8]) -> Result<(), Refusal> {
        let bytes = file.0.bytes_written().saturating_add(content.len() as u64);
        if self.uploads.bytes_max.is_some_and(|bytes_max| bytes > bytes_max) {
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
