//! GET and HEAD of a file.

use std::borrow::Cow;

use super::validators::Version;
use super::{FileRoutes, not_found};
use crate::routes::{Answer, FileContent, PRECONDITION_FAILED, refuse};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Verdict};
use crate::semantics::request::Request;
use crate::semantics::response::{Body, Response};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileRange, RelativePath, StorageError};

pub(super) fn answer<'r>(files: &FileRoutes, request: &Request<'_>, path: &RelativePath, now: &Now) -> Answer<'r> {
    let opened = match files.directory.open_file(path) {
        Ok(opened) => opened,
        Err(error) => return refusal(&error),
    };
    let version = Version::of(&opened.identity, &files.own_uploads.borrow(), now);
    let verdict = Preconditions::of(request, now)
        .map_or(Verdict::Proceed, |preconditions| preconditions.evaluate(Some(version.validators())));
    let (status, body) = match verdict {
        Verdict::Failed => return refuse(Status::PreconditionFailed, PRECONDITION_FAILED),
        Verdict::NotModified => (Status::NotModified, Body::Empty),
        Verdict::Proceed => (Status::Ok, Body::Source(FileContent::new(FileRange::whole(opened)))),
    };
    let last_modified = version.last_modified(now);
    Reply::Respond(Response {
        content_type: (status == Status::Ok).then_some("application/octet-stream"),
        accepts_ranges: status == Status::Ok,
        etag: Some(Cow::Owned(version.etag)),
        last_modified,
        body,
        ..Response::new(status)
    })
}

/// What cannot be read is not found, whatever else stands there: the difference is none of the peer's business.
fn refusal<'r>(error: &StorageError) -> Answer<'r> {
    match error {
        StorageError::Denied => refuse(Status::Forbidden, "The server may not read this file."),
        StorageError::OutOfDescriptors | StorageError::Busy => {
            refuse(Status::ServiceUnavailable, "The server has too many files open.")
        }
        StorageError::Io(error) => {
            log::warn!("a file cannot be opened: {error}");
            refuse(Status::InternalServerError, "The file cannot be opened.")
        }
        _ => not_found(),
    }
}
