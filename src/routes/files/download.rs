//! GET and HEAD of a file: preconditions, then ranges, in the order of RFC 9110 §13.2.2.

use std::borrow::Cow;

use super::multipart::Parts;
use super::validators::FileVersion;
use super::{BUSY, FileContent, FileRoutes, not_found, path_of};
use crate::routes::{PRECONDITION_FAILED, RouteReply, refuse, violated};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Verdict};
use crate::semantics::date::ImfFixdate;
use crate::semantics::fields::FieldName;
use crate::semantics::method::Method;
use crate::semantics::range::{self, ByteRange, Selection};
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentRange, Response};
use crate::semantics::status::Status;
use crate::storage::{CachedContent, FileRange, FileSystem, StorageError};

/// A file that was found, and is to be given.
pub(in crate::routes) enum Found<F: FileSystem> {
    /// It is in the cache, as it is on the disk.
    Kept,
    /// It is open, and is not kept.
    Opened(FileRange<F>, FileVersion),
}

/// Finds the file of this name, as it stands in the target.
pub(super) fn find<F: FileSystem>(
    files: &mut FileRoutes<F>,
    request: &Request<'_>,
    name: &[u8],
    now: &Now,
) -> Result<Found<F>, StorageError> {
    if !asks_for_parts(request) && files.cache.revalidate(name, &files.directory) {
        return Ok(Found::Kept);
    }
    let path = path_of(name).map_err(|_| StorageError::NotFound)?;
    let opened = files.directory.open_file(&path)?;
    let version = FileVersion::of(&opened.metadata, &files.own_uploads.borrow(), now);
    let may_be_kept = !version.is_recent() && !asks_for_parts(request);
    if may_be_kept && files.cache.insert(name, path, &opened, || version.clone(), now.monotonic_ns) {
        return Ok(Found::Kept);
    }
    Ok(Found::Opened(FileRange::whole(opened), version))
}

/// The response of what was found under `name`, whose media type is this.
pub(super) fn give<'r, F: FileSystem>(
    files: &'r mut FileRoutes<F>,
    found: Found<F>,
    request: &Request<'_>,
    name: &[u8],
    media_type: Cow<'r, str>,
    now: &Now,
) -> Response<'r, FileContent<F>> {
    let boundary = files.next_boundary();
    if let Found::Opened(file, version) = found {
        let last_modified = version.last_modified(now);
        let response = respond(request, &version, Representation::File(file, boundary), media_type, now);
        return described(response, last_modified, Cow::Owned(version.etag));
    }
    let Some(cached) = files.cache.get(name) else {
        return violated("A file that was just found in the cache, or put there, is in it.");
    };
    let version = &cached.user_data;
    let content = match &cached.content {
        CachedContent::Memory(content) => Representation::Memory(content),
        CachedContent::Open(file) => Representation::File(file.clone(), boundary),
    };
    let response = respond(request, version, content, media_type, now);
    described(response, version.last_modified(now), Cow::Borrowed(&version.etag))
}

/// Whether several ranges are asked for. They are sent from the file itself.
pub(in crate::routes) fn asks_for_parts(request: &Request<'_>) -> bool {
    request.fields.first(FieldName::Range).is_some_and(|value| value.contains(&b','))
}

/// Where the content is.
enum Representation<'r, F: FileSystem> {
    Memory(&'r [u8]),
    /// The whole file, and a boundary in case it is to be sent in parts.
    File(FileRange<F>, u64),
}

impl<'r, F: FileSystem> Representation<'r, F> {
    fn bytes(&self) -> u64 {
        match self {
            Representation::Memory(content) => content.len() as u64,
            Representation::File(file, _) => file.remaining(),
        }
    }

    fn whole(self) -> Body<'r, FileContent<F>> {
        match self {
            Representation::Memory(content) => Body::Bytes(Cow::Borrowed(content)),
            Representation::File(file, _) => Body::Source(FileContent::Range(file)),
        }
    }

    /// One range; `None` if it does not lie within the content.
    fn part(self, range: ByteRange) -> Option<Body<'r, FileContent<F>>> {
        match self {
            // What is in memory is shorter than any `usize`.
            Representation::Memory(content) => {
                let part = content.get(range.first as usize..=range.last as usize)?;
                Some(Body::Bytes(Cow::Borrowed(part)))
            }
            Representation::File(file, _) => {
                let part = file.part(range.first, range.bytes())?;
                Some(Body::Source(FileContent::Range(part)))
            }
        }
    }

    /// Several ranges; `None` if one does not lie within the content, or the content is in memory.
    fn parts(self, ranges: &[ByteRange], media_type: &str) -> Option<Parts<F>> {
        match self {
            Representation::Memory(_) => None,
            Representation::File(file, boundary) => Parts::new(&file, ranges, boundary, media_type),
        }
    }
}

/// The answer but for what describes the version: preconditions first, then ranges (§13.2.2).
fn respond<'r, F: FileSystem>(
    request: &Request<'_>,
    version: &FileVersion,
    content: Representation<'r, F>,
    media_type: Cow<'r, str>,
    now: &Now,
) -> Response<'r, FileContent<F>> {
    let verdict = Preconditions::of(request, now)
        .map_or(Verdict::Proceed, |preconditions| preconditions.evaluate(Some(version.validators())));
    match verdict {
        Verdict::Failed => return Response::with_reason(Status::PreconditionFailed, PRECONDITION_FAILED),
        Verdict::NotModified => return Response::new(Status::NotModified),
        Verdict::Proceed => {}
    }
    let bytes_total = content.bytes();
    let (status, media_type, content_range, body) = match selection(request, bytes_total, version, now) {
        Selection::Whole => (Status::Ok, media_type, None, content.whole()),
        Selection::One(range) => match content.part(range) {
            Some(part) => (Status::PartialContent, media_type, Some(ContentRange::Part(range, bytes_total)), part),
            None => return violated("A range that was selected lies within the file."),
        },
        Selection::Several(ranges) => match content.parts(&ranges, &media_type) {
            Some(parts) => {
                let media_type = Cow::Owned(parts.media_type());
                (Status::PartialContent, media_type, None, Body::Source(FileContent::Parts(Box::new(parts))))
            }
            None => return violated("Ranges that were selected lie within the file, and it is open."),
        },
        Selection::Unsatisfiable => {
            return Response {
                content_range: Some(ContentRange::Unsatisfied(bytes_total)),
                ..Response::with_reason(Status::RangeNotSatisfiable, "The file has none of the ranges.")
            };
        }
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

/// Adds what describes the version, where the response is about it.
fn described<'r, F: FileSystem>(
    response: Response<'r, FileContent<F>>,
    last_modified: Option<ImfFixdate>,
    etag: Cow<'r, str>,
) -> Response<'r, FileContent<F>> {
    match response.status {
        Status::Ok | Status::PartialContent | Status::NotModified => {
            Response { last_modified, etag: Some(etag), ..response }
        }
        _ => response,
    }
}

/// What of the file is asked for. Range counts for GET alone (§14.2), and only if If-Range, where there is one, names
/// this very version (§13.1.5).
fn selection(request: &Request<'_>, bytes_total: u64, version: &FileVersion, now: &Now) -> Selection {
    let fields = &request.fields;
    let Some(value) = fields.single(FieldName::Range) else { return Selection::Whole };
    let is_this_version = !fields.contains(FieldName::IfRange)
        || fields.single(FieldName::IfRange).is_some_and(|validator| version.is_named_by(validator, now));
    if request.method != Method::Get || !is_this_version {
        return Selection::Whole;
    }
    range::select(value, bytes_total)
}

/// What is no regular file is not found, whatever it is.
pub(in crate::routes) fn refusal<'r, F: FileSystem>(error: &StorageError) -> RouteReply<'r, F> {
    match error {
        StorageError::PermissionDenied => refuse(Status::Forbidden, "The server may not read this file."),
        StorageError::TooManyOpenFiles => refuse(Status::ServiceUnavailable, "The server has too many files open."),
        StorageError::Busy => refuse(Status::ServiceUnavailable, BUSY),
        StorageError::Io(error) => {
            log::warn!("a file cannot be opened: {error}");
            refuse(Status::InternalServerError, "The file cannot be opened.")
        }
        StorageError::NotFound
        | StorageError::ParentMissing
        | StorageError::NotRegularFile
        | StorageError::InvalidName => not_found(),
        // Errors of writing: no system should tell of them where a file is opened to be read.
        StorageError::AlreadyExists | StorageError::ConditionFailed | StorageError::DiskFull => {
            log::warn!("a file cannot be opened: {error}");
            refuse(Status::InternalServerError, "The file cannot be opened.")
        }
    }
}
