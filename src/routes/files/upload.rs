//! POST and PUT of a file, which is stored completely or not at all.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use super::conditions::UploadConditions;
use super::resumable;
use super::validators::{FileVersion, OwnUploads};
use super::verification::Verification;
use super::{BUSY, FORM_DATA, FileRoutes, INVALID_NAME};
use crate::routes::{FileContent, FileSink, PRECONDITION_FAILED, RouteReply};
use crate::semantics::Now;
use crate::semantics::conditional::Preconditions;
use crate::semantics::fields::{FieldName, Fields};
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{RareFields, Response};
use crate::semantics::resumable_upload::UploadFields;
use crate::semantics::rights::{Grant, MayUpload};
use crate::semantics::service::{Finished, Reply};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Metadata, Published, RelativePath, StorageError, Upload, commit_together};

type UploadResponse<F> = Response<'static, FileContent<F>>;

/// A file that is being received, and that is stored when its content is complete.
pub(in crate::routes) struct FileUpload<F: FileSystem> {
    upload: Upload<F>,
    method: Method,
    conditions: UploadConditions,
    bytes_max: Option<u64>,
    /// `None` if the client neither states nor wants a digest. Boxed, since few do.
    verification: Option<Box<Verification>>,
    own_uploads: Rc<RefCell<OwnUploads>>,
}

pub(super) fn respond<'r, F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'r>,
    path: &MayUpload<&RelativePath>,
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    files.directory.set_time(now.unix_ns);
    if let Some(complete) = UploadFields::of(&request.fields).complete {
        match resumable::begin(files, request, path, complete, grant, now) {
            Ok(Some(sink)) => return Reply::Receive(FileSink::resumable(sink)),
            Ok(None) => {}
            Err(response) => return Reply::Respond(*response),
        }
    }
    match begin(files, request, path, grant, now) {
        Ok(reply) => reply,
        Err(response) => Reply::Respond(*response),
    }
}

/// Begins an upload. If its content is there already, also ends it.
///
/// # Errors
/// The response, if it is clear before the content arrives that nothing will be stored. Preconditions come last,
/// because they count only if the response without them would have been a success (RFC 9110 §13.2.1).
fn begin<'r, F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'r>,
    path: &MayUpload<&RelativePath>,
    grant: &Grant,
    now: &Now,
) -> Result<RouteReply<'r, F>, Box<UploadResponse<F>>> {
    check_content(request, grant.upload_bytes_max())?;
    let verification = Verification::of(request).map_err(bad_request)?;
    let conditions = UploadConditions::new(path, Preconditions::of(request, now));
    let is_plain = verification.is_none() && conditions.are_none() && !files.storing.durable;
    if let Some(content) = request.arrived.filter(|_| is_plain) {
        let published = files.directory.store(path, conditions.mode(), content.bytes(), now.unix_ns);
        let published = published.map_err(|error| Box::new(error_response(&error, false)))?;
        let response = stored(request.method, &published, None, &files.own_uploads, now);
        return Ok(Reply::RespondToContent(content, response));
    }
    let upload = files
        .directory
        .begin_upload(path, conditions.mode(), request.content_bytes, files.storing.durable)
        .map_err(|error| Box::new(error_response(&error, conditions.must_be_absent())))?;
    if !conditions.hold(upload.existing(), &files.own_uploads.borrow(), now) {
        return Err(Box::new(precondition_failed()));
    }
    Ok(Reply::Receive(FileSink::file(FileUpload {
        upload,
        method: request.method,
        conditions,
        bytes_max: grant.upload_bytes_max(),
        verification,
        own_uploads: Rc::clone(&files.own_uploads),
    })))
}

/// Refuses content with a content coding.
pub(in crate::routes) fn check_coding<F: FileSystem>(request: &Request<'_>) -> Result<(), Box<UploadResponse<F>>> {
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
    Ok(())
}

pub(super) fn check_content<F: FileSystem>(
    request: &Request<'_>,
    bytes_max: Option<u64>,
) -> Result<(), Box<UploadResponse<F>>> {
    check_coding(request)?;
    // The server would store the form with its boundaries and fields, and the client would believe that it is the file.
    if request.fields.has_media_type(FORM_DATA) {
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

impl<F: FileSystem> FileUpload<F> {
    pub(in crate::routes) fn write(&mut self, content: &[u8]) -> Result<(), Box<UploadResponse<F>>> {
        let FileUpload { upload, bytes_max, verification, .. } = self;
        let bytes = upload.bytes_written().saturating_add(content.len() as u64);
        if bytes_max.is_some_and(|bytes_max| bytes > bytes_max) {
            return Err(Box::new(content_too_large()));
        }
        if let Some(verification) = verification {
            verification.update(content);
        }
        upload.write(content).map_err(|error| Box::new(error_response(&error, false)))
    }

    pub(in crate::routes) fn wants_trailers(&self) -> bool {
        self.verification.as_ref().is_some_and(|verification| verification.wants_trailers())
    }

    pub(in crate::routes) fn take_trailers(&mut self, trailers: &Fields<'_>) {
        if let Some(verification) = &mut self.verification {
            verification.take_trailers(trailers);
        }
    }

    /// Publishes the file; if it must be flushed, together with others. One that needs new directories is published by
    /// itself, since each of them is flushed too: a group of such uploads would keep everybody waiting for the flushes of
    /// thousands of directories.
    pub(in crate::routes) fn finish(self, now: &Now) -> Finished<FileContent<F>, FileCommit<F>> {
        let FileUpload { mut upload, method, conditions, own_uploads, verification, .. } = self;
        let verified = match verification.map(|verification| verification.verify()).transpose() {
            Ok(verified) => verified,
            Err(reason) => return Finished::Responded(Response::with_reason(Status::BadRequest, reason)),
        };
        if let Some(verified) = &verified {
            upload.annotate(verified.digests.to_text().into_bytes());
        }
        let commit = Commit { method, conditions, own_uploads, repr_digest: verified.and_then(|v| v.repr_digest) };
        if upload.is_durable() && !upload.needs_directories() {
            return Finished::Deferred(FileCommit { upload, commit });
        }
        let published = upload.commit(now.unix_ns, |existing| commit.holds(existing, now));
        Finished::Responded(commit.respond(published, now))
    }
}

/// A file whose content is complete, and that is to be published and flushed together with others.
pub struct FileCommit<F: FileSystem> {
    upload: Upload<F>,
    commit: Commit,
}

/// What decides whether a file is published, and what the response is.
struct Commit {
    method: Method,
    conditions: UploadConditions,
    own_uploads: Rc<RefCell<OwnUploads>>,
    /// The value of the Repr-Digest field that the client wants.
    repr_digest: Option<String>,
}

impl Commit {
    /// Whether the file may be published although `existing` has its name.
    fn holds(&self, existing: Option<&Metadata>, now: &Now) -> bool {
        self.conditions.hold(existing, &self.own_uploads.borrow(), now)
    }

    fn respond<F: FileSystem>(self, published: Result<Published, StorageError>, now: &Now) -> UploadResponse<F> {
        match published {
            Ok(published) => stored(self.method, &published, self.repr_digest, &self.own_uploads, now),
            Err(error) => error_response(&error, self.conditions.must_be_absent()),
        }
    }
}

/// The response to an upload that was stored.
fn stored<F: FileSystem>(
    method: Method,
    published: &Published,
    repr_digest: Option<String>,
    own_uploads: &RefCell<OwnUploads>,
    now: &Now,
) -> UploadResponse<F> {
    own_uploads.borrow_mut().remember(published);
    let version = FileVersion::of(&published.metadata, &own_uploads.borrow(), now);
    let status = status_of(method, published.created);
    Response {
        rare: repr_digest.map(RareFields::repr_digest),
        ..FileVersion::into_response(Cow::Owned(version), status, now)
    }
}

/// Publishes files together.
pub(in crate::routes) fn commit<K, F: FileSystem>(
    group: Vec<(K, FileCommit<F>)>,
    now: &Now,
) -> Vec<(K, UploadResponse<F>)> {
    let (mut keys, mut commits, mut uploads) = (Vec::new(), Vec::new(), Vec::new());
    for (key, FileCommit { upload, commit }) in group {
        keys.push(key);
        commits.push(commit);
        uploads.push(upload);
    }
    let conditions = commits.iter().map(|commit| |existing: Option<&Metadata>| commit.holds(existing, now));
    let published = commit_together(uploads.into_iter().zip(conditions).collect(), now.unix_ns);
    let responses = commits.into_iter().zip(published).map(|(commit, published)| commit.respond(published, now));
    keys.into_iter().zip(responses).collect()
}

/// The status of the response to an upload that was stored.
pub(super) fn status_of(method: Method, created: bool) -> Status {
    match method {
        Method::Put if !created => Status::NoContent,
        _ => Status::Created,
    }
}

pub(super) fn bad_request<F: FileSystem>(reason: &'static str) -> Box<UploadResponse<F>> {
    Box::new(Response::with_reason(Status::BadRequest, reason))
}

pub(super) fn precondition_failed<F: FileSystem>() -> UploadResponse<F> {
    Response::with_reason(Status::PreconditionFailed, PRECONDITION_FAILED)
}

/// Why a file is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::routes) struct Refusal {
    pub(in crate::routes) status: Status,
    /// One line.
    pub(in crate::routes) reason: &'static str,
}

pub(super) const TOO_LARGE: Refusal =
    Refusal { status: Status::ContentTooLarge, reason: "The content is longer than the server accepts." };

pub(super) fn content_too_large<F: FileSystem>() -> UploadResponse<F> {
    Response::with_reason(TOO_LARGE.status, TOO_LARGE.reason)
}

/// The response to an upload that failed. `must_be_absent`: the client demanded that nothing is replaced, so an
/// existing file fails its precondition.
pub(super) fn error_response<F: FileSystem>(error: &StorageError, must_be_absent: bool) -> UploadResponse<F> {
    let Refusal { status, reason } = Refusal::of(error, must_be_absent);
    Response::with_reason(status, reason)
}

impl Refusal {
    /// The reason why an upload failed. `must_be_absent` as in [`error_response`].
    pub(super) fn of(error: &StorageError, must_be_absent: bool) -> Refusal {
        let (status, reason) = match error {
            StorageError::AlreadyExists if must_be_absent => (Status::PreconditionFailed, PRECONDITION_FAILED),
            StorageError::ConditionFailed => (Status::PreconditionFailed, PRECONDITION_FAILED),
            StorageError::AlreadyExists => {
                (Status::Conflict, "There is a file of this name, and it may not be replaced.")
            }
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
        Refusal { status, reason }
    }
}
