//! GET and HEAD of a file: preconditions, then ranges, in the order of RFC 9110 §13.2.2.

use std::borrow::Cow;

use super::multipart::Parts;
use super::validators::Version;
use super::{FileContent, FileRoutes, not_found};
use crate::routes::{Answer, PRECONDITION_FAILED, refuse};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Verdict};
use crate::semantics::fields::FieldName;
use crate::semantics::method::Method;
use crate::semantics::range::{self, ByteRange, Selection};
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentRange, Response};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileRange, OpenedFile, RelativePath, StorageError};

pub(super) fn answer<'r>(files: &mut FileRoutes, request: &Request<'_>, path: &RelativePath, now: &Now) -> Answer<'r> {
    let opened = match files.directory.open_file(path) {
        Ok(opened) => opened,
        Err(error) => return refusal(&error),
    };
    let version = Version::of(&opened.identity, &files.own_uploads.borrow(), now);
    let verdict = Preconditions::of(request, now)
        .map_or(Verdict::Proceed, |preconditions| preconditions.evaluate(Some(version.validators())));
    let response = match verdict {
        Verdict::Failed => return refuse(Status::PreconditionFailed, PRECONDITION_FAILED),
        Verdict::NotModified => Response::new(Status::NotModified),
        Verdict::Proceed => match selection(request, &opened, &version, now) {
            Selection::Whole => whole(opened),
            Selection::Ranges(ranges) => partial(files, opened, ranges),
            Selection::Unsatisfiable => return unsatisfiable(&opened),
        },
    };
    Reply::Respond(Response {
        last_modified: version.last_modified(now),
        etag: Some(Cow::Owned(version.etag)),
        ..response
    })
}

/// What of the file is asked for. Range counts for GET alone (§14.2), and only if If-Range, where there is one, names
/// this very version (§13.1.5).
fn selection(request: &Request<'_>, opened: &OpenedFile, version: &Version, now: &Now) -> Selection {
    let fields = &request.fields;
    let Some(value) = fields.single(FieldName::Range) else { return Selection::Whole };
    let is_this_version = match fields.first(FieldName::IfRange) {
        None => true,
        Some(_) => fields.single(FieldName::IfRange).is_some_and(|validator| version.is_named_by(validator, now)),
    };
    if request.method != Method::Get || !is_this_version {
        return Selection::Whole;
    }
    range::select(value, opened.identity.octets)
}

fn whole(opened: OpenedFile) -> Response<'static, FileContent> {
    let content = FileContent::Range(FileRange::whole(opened));
    Response {
        content_type: Some(content.media_type()),
        accepts_ranges: true,
        body: Body::Source(content),
        ..Response::new(Status::Ok)
    }
}

/// One range is the content itself; several are parts of it.
fn partial(files: &mut FileRoutes, opened: OpenedFile, ranges: Vec<ByteRange>) -> Response<'static, FileContent> {
    let octets_total = opened.identity.octets;
    let file = FileRange::whole(opened);
    let (content, content_range) = match ranges[..] {
        [range] => {
            // A range that was selected lies within the file.
            let part = file.part(range.first, range.octets()).unwrap_or(file);
            (FileContent::Range(part), Some(ContentRange::Part(range, octets_total)))
        }
        _ => (FileContent::Parts(Box::new(Parts::new(file, ranges, files.next_boundary()))), None),
    };
    Response {
        content_type: Some(content.media_type()),
        accepts_ranges: true,
        content_range,
        body: Body::Source(content),
        ..Response::new(Status::PartialContent)
    }
}

fn unsatisfiable<'r>(opened: &OpenedFile) -> Answer<'r> {
    Reply::Respond(Response {
        content_range: Some(ContentRange::Unsatisfied(opened.identity.octets)),
        ..Response::with_reason(Status::RangeNotSatisfiable, "The file has none of the ranges.")
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
