//! GET and HEAD of a file: preconditions, then ranges, in the order of RFC 9110 §13.2.2.

use std::borrow::Cow;

use super::multipart::Parts;
use super::validators::FileVersion;
use super::{BUSY, FileContent, FileRoutes, not_found, path_of};
use crate::routes::{Answer, PRECONDITION_FAILED, refuse};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Verdict};
use crate::semantics::date::ImfFixdate;
use crate::semantics::fields::FieldName;
use crate::semantics::method::Method;
use crate::semantics::range::{self, ByteRange, Selection};
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentRange, Response};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{CachedContent, FileRange, StorageError};

pub(super) fn answer<'r>(files: &'r mut FileRoutes, request: &Request<'_>, name: &[u8], now: &Now) -> Answer<'r> {
    let boundary = files.next_boundary();
    let is_kept = !asks_for_parts(request) && files.cache.confirm(name, &files.directory);
    if !is_kept {
        let Ok(path) = path_of(name) else { return not_found() };
        let opened = match files.directory.open_file(&path) {
            Ok(opened) => opened,
            Err(error) => return refusal(&error),
        };
        let version = FileVersion::of(&opened.identity, &files.own_uploads.borrow(), now);
        let may_be_kept = !version.is_recent() && !asks_for_parts(request);
        if !may_be_kept || !files.cache.insert(name, path, &opened, || version.clone(), now.monotonic_ns) {
            let content = Representation::File(FileRange::whole(opened), boundary);
            let last_modified = version.last_modified(now);
            let response = respond(request, &version, content, now);
            return described(response, last_modified, Cow::Owned(version.etag));
        }
    }
    let Some(cached) = files.cache.get(name) else { return not_found() };
    let version = &cached.notes;
    let content = match &cached.content {
        CachedContent::Memory(content) => Representation::Memory(content),
        CachedContent::Open(file) => Representation::File(file.clone(), boundary),
    };
    let response = respond(request, version, content, now);
    described(response, version.last_modified(now), Cow::Borrowed(&version.etag))
}

/// Several ranges are sent from the file itself.
fn asks_for_parts(request: &Request<'_>) -> bool {
    request.fields.first(FieldName::Range).is_some_and(|value| value.contains(&b','))
}

/// Where the content is.
enum Representation<'r> {
    Memory(&'r [u8]),
    /// The whole file, and a boundary in case it is to be sent in parts.
    File(FileRange, u64),
}

impl<'r> Representation<'r> {
    fn octets(&self) -> u64 {
        match self {
            Representation::Memory(content) => content.len() as u64,
            Representation::File(file, _) => file.remaining(),
        }
    }

    fn whole(self) -> Body<'r, FileContent> {
        match self {
            Representation::Memory(content) => Body::Bytes(Cow::Borrowed(content)),
            Representation::File(file, _) => Body::Source(FileContent::Range(file)),
        }
    }

    /// One range, which lies within the content.
    fn part(self, range: ByteRange) -> Body<'r, FileContent> {
        match self {
            // What is in memory is shorter than any `usize`.
            Representation::Memory(content) => {
                let part = content.get(range.first as usize..=range.last as usize).unwrap_or_default();
                Body::Bytes(Cow::Borrowed(part))
            }
            Representation::File(file, _) => {
                let part = file.part(range.first, range.octets()).unwrap_or(file);
                Body::Source(FileContent::Range(part))
            }
        }
    }
}

/// The answer but for what describes the version: preconditions first, then ranges (§13.2.2).
fn respond<'r>(
    request: &Request<'_>,
    version: &FileVersion,
    content: Representation<'r>,
    now: &Now,
) -> Response<'r, FileContent> {
    let verdict = Preconditions::of(request, now)
        .map_or(Verdict::Proceed, |preconditions| preconditions.evaluate(Some(version.validators())));
    match verdict {
        Verdict::Failed => return Response::with_reason(Status::PreconditionFailed, PRECONDITION_FAILED),
        Verdict::NotModified => return Response::new(Status::NotModified),
        Verdict::Proceed => {}
    }
    let octets_total = content.octets();
    let (status, media_type, content_range, body) = match (selection(request, octets_total, version, now), content) {
        (Selection::Unsatisfiable, _) => {
            return Response {
                content_range: Some(ContentRange::Unsatisfied(octets_total)),
                ..Response::with_reason(Status::RangeNotSatisfiable, "The file has none of the ranges.")
            };
        }
        (Selection::Ranges(ranges), Representation::File(file, boundary)) if ranges.len() > 1 => {
            let parts = Box::new(Parts::new(file, ranges, boundary));
            let media_type = Cow::Owned(parts.media_type());
            (Status::PartialContent, media_type, None, Body::Source(FileContent::Parts(parts)))
        }
        (Selection::Ranges(ranges), content) if ranges.len() == 1 => {
            let range = ContentRange::Part(ranges[0], octets_total);
            (Status::PartialContent, OCTETS, Some(range), content.part(ranges[0]))
        }
        (Selection::Ranges(_) | Selection::Whole, content) => (Status::Ok, OCTETS, None, content.whole()),
    };
    Response {
        content_type: Some(media_type),
        accepts_ranges: true,
        // Anybody may have put the file there.
        nosniff: true,
        content_range,
        body,
        ..Response::new(status)
    }
}

const OCTETS: Cow<'static, str> = Cow::Borrowed("application/octet-stream");

/// Adds what describes the version, where the response is about it.
fn described<'r>(
    response: Response<'r, FileContent>,
    last_modified: Option<ImfFixdate>,
    etag: Cow<'r, str>,
) -> Answer<'r> {
    if response.status == Status::PreconditionFailed || response.status == Status::RangeNotSatisfiable {
        return Reply::Respond(response);
    }
    Reply::Respond(Response { last_modified, etag: Some(etag), ..response })
}

/// What of the file is asked for. Range counts for GET alone (§14.2), and only if If-Range, where there is one, names
/// this very version (§13.1.5).
fn selection(request: &Request<'_>, octets_total: u64, version: &FileVersion, now: &Now) -> Selection {
    let fields = &request.fields;
    let Some(value) = fields.single(FieldName::Range) else { return Selection::Whole };
    let is_this_version = !fields.contains(FieldName::IfRange)
        || fields.single(FieldName::IfRange).is_some_and(|validator| version.is_named_by(validator, now));
    if request.method != Method::Get || !is_this_version {
        return Selection::Whole;
    }
    range::select(value, octets_total)
}

/// What is no regular file is not found, whatever it is.
fn refusal<'r>(error: &StorageError) -> Answer<'r> {
    match error {
        StorageError::Denied => refuse(Status::Forbidden, "The server may not read this file."),
        StorageError::OutOfDescriptors => refuse(Status::ServiceUnavailable, "The server has too many files open."),
        StorageError::Busy => refuse(Status::ServiceUnavailable, BUSY),
        StorageError::Io(error) => {
            log::warn!("a file cannot be opened: {error}");
            refuse(Status::InternalServerError, "The file cannot be opened.")
        }
        _ => not_found(),
    }
}
