//! POST and PUT of a file, which is stored completely or not at all.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use super::validators::{FileVersion, OwnUploads};
use super::{BUSY, FileRoutes, INVALID_NAME, UploadPolicy};
use crate::routes::{FileContent, PRECONDITION_FAILED, RouteReply};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Validators, Verdict};
use crate::semantics::fields::FieldName;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::service::{Reply, Sink};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Metadata, Native, RelativePath, StorageError, Upload, UploadMode};

type UploadResponse<F> = Response<'static, FileContent<F>>;

/// An upload in progress. Boxed, so that a reply without one stays small.
pub struct FileSink<F: FileSystem = Native>(Box<Receiving<F>>);

struct Receiving<F: FileSystem> {
    upload: Upload<F>,
    method: Method,
    preconditions: Option<Preconditions>,
    /// Whether the server never replaces a file. An existing file is then a conflict, whatever the preconditions are.
    only_creates: bool,
    bytes_max: Option<u64>,
    own_uploads: Rc<RefCell<OwnUploads>>,
}

pub(super) fn respond<'r, F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    path: &RelativePath,
    now: &Now,
) -> RouteReply<'r, F> {
    match begin(files, request, path, now) {
        Ok(sink) => Reply::Receive(sink),
        Err(response) => Reply::Respond(*response),
    }
}

/// Begins an upload.
///
/// # Errors
/// The response, if it is clear before the content arrives that nothing will be stored. Preconditions come last,
/// because they count only if the response without them would have been a success (RFC 9110 §13.2.1).
fn begin<F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    path: &RelativePath,
    now: &Now,
) -> Result<FileSink<F>, Box<UploadResponse<F>>> {
    check_content(request, files.uploads.bytes_max)?;
    let preconditions = Preconditions::of(request, now);
    let only_creates = files.uploads.policy == UploadPolicy::Create;
    let must_be_absent = must_be_absent(preconditions.as_ref(), only_creates);
    let mode = if only_creates || must_be_absent { UploadMode::CreateOnly } else { UploadMode::Replace };
    let upload = files
        .directory
        .begin_upload(path, mode, request.content_bytes, files.uploads.durable)
        .map_err(|error| Box::new(error_response(&error, must_be_absent)))?;
    if let Some(preconditions) = &preconditions
        && !hold(preconditions, upload.existing(), &files.own_uploads.borrow(), now)
    {
        return Err(Box::new(precondition_failed()));
    }
    Ok(FileSink(Box::new(Receiving {
        upload,
        method: request.method,
        preconditions,
        only_creates,
        bytes_max: files.uploads.bytes_max,
        own_uploads: Rc::clone(&files.own_uploads),
    })))
}

fn check_content<F: FileSystem>(request: &Request<'_>, bytes_max: Option<u64>) -> Result<(), Box<UploadResponse<F>>> {
    let mut codings = request.fields.list(FieldName::ContentEncoding);
    if codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Box::new(Response {
            accept_encoding: Some("identity"),
            ..Response::with_reason(
                Status::UnsupportedMediaType,
                "The server stores content as it is sent, so it must have no content coding.",
            )
        }));
    }
    // The server would store the form with its boundaries and fields, and the client would believe that it is the file.
    if request.fields.has_media_type(b"multipart/form-data") {
        return Err(Box::new(Response::with_reason(
            Status::UnsupportedMediaType,
            "A form is not a file: send the file itself, as curl -T does.",
        )));
    }
    // RFC 9110 §14.5: without support for partial PUT, the part would replace the whole file.
    if request.method == Method::Put && request.fields.contains(FieldName::ContentRange) {
        return Err(Box::new(Response::with_reason(Status::BadRequest, "A part of a file cannot be uploaded.")));
    }
    match (request.content_bytes, bytes_max) {
        (Some(bytes), Some(bytes_max)) if bytes > bytes_max => Err(Box::new(content_too_large())),
        _ => Ok(()),
    }
}

/// Whether the client demands that nothing is replaced, and the server does not do so anyway.
fn must_be_absent(preconditions: Option<&Preconditions>, only_creates: bool) -> bool {
    !only_creates && preconditions.is_some_and(Preconditions::demand_absence)
}

/// Whether the preconditions hold for the existing file.
fn hold(preconditions: &Preconditions, existing: Option<&Metadata>, own_uploads: &OwnUploads, now: &Now) -> bool {
    let version = existing.map(|metadata| FileVersion::of(metadata, own_uploads, now));
    let validators: Option<Validators<'_>> = version.as_ref().map(FileVersion::validators);
    preconditions.evaluate(validators) == Verdict::Proceed
}

impl<F: FileSystem> Sink for FileSink<F> {
    type Source = FileContent<F>;

    fn write(&mut self, content: &[u8]) -> Result<(), Box<UploadResponse<F>>> {
        let Receiving { upload, bytes_max, .. } = &mut *self.0;
        let bytes = upload.bytes_written().saturating_add(content.len() as u64);
        if bytes_max.is_some_and(|bytes_max| bytes > bytes_max) {
            return Err(Box::new(content_too_large()));
        }
        upload.write(content).map_err(|error| Box::new(error_response(&error, false)))
    }

    fn finish(self, now: &Now) -> UploadResponse<F> {
        let Receiving { upload, method, preconditions, only_creates, own_uploads, .. } = *self.0;
        let must_be_absent = must_be_absent(preconditions.as_ref(), only_creates);
        let published = upload.commit(now.unix_ns, |existing| {
            // A conflict comes before the preconditions, as it does in `begin`. The commit reports it if this returns
            // `true`.
            let is_conflict = only_creates && existing.is_some();
            is_conflict
                || preconditions
                    .as_ref()
                    .is_none_or(|preconditions| hold(preconditions, existing, &own_uploads.borrow(), now))
        });
        let published = match published {
            Ok(published) => published,
            Err(error) => return error_response(&error, must_be_absent),
        };
        own_uploads.borrow_mut().remember(&published);
        let version = FileVersion::of(&published.metadata, &own_uploads.borrow(), now);
        let status = match method {
            Method::Put if !published.created => Status::NoContent,
            _ => Status::Created,
        };
        FileVersion::into_response(Cow::Owned(version), status, now)
    }
}

fn precondition_failed<F: FileSystem>() -> UploadResponse<F> {
    Response::with_reason(Status::PreconditionFailed, PRECONDITION_FAILED)
}

fn content_too_large<F: FileSystem>() -> UploadResponse<F> {
    Response::with_reason(Status::ContentTooLarge, "The content is longer than the server accepts.")
}

/// The response to an upload that failed. `must_be_absent`: the client demanded that nothing is replaced, so an
/// existing file fails its precondition.
fn error_response<F: FileSystem>(error: &StorageError, must_be_absent: bool) -> UploadResponse<F> {
    let (status, reason) = match error {
        StorageError::AlreadyExists if must_be_absent => (Status::PreconditionFailed, PRECONDITION_FAILED),
        StorageError::ConditionFailed => (Status::PreconditionFailed, PRECONDITION_FAILED),
        StorageError::AlreadyExists => (Status::Conflict, "There is a file of this name, and it may not be replaced."),
        StorageError::NotRegularFile => (Status::Conflict, "Something that is not a file has this name."),
        StorageError::NotFound | StorageError::ParentMissing => {
            (Status::NotFound, "There is no directory to put the file in.")
        }
        StorageError::InvalidName => (Status::BadRequest, INVALID_NAME),
        StorageError::PermissionDenied => (Status::Forbidden, "The server may not write there."),
        StorageError::TooManyOpenFiles => (Status::ServiceUnavailable, "The server has too many files open."),
        StorageError::Busy => (Status::ServiceUnavailable, BUSY),
        StorageError::DiskFull => (Status::InsufficientStorage, "There is not enough space for the content."),
        StorageError::Io(error) => {
            log::warn!("an upload failed: {error}");
            (Status::InternalServerError, "The content could not be stored.")
        }
    };
    Response::with_reason(status, reason)
}
