//! GET and HEAD of a file: preconditions first, then ranges (RFC 9110 §13.2.2).

use std::borrow::Cow;
use std::rc::Rc;

use super::multipart::Parts;
use super::validators::FileVersion;
use super::{BUSY, FileContent, FileRoutes, path_of};
use crate::routes::{PRECONDITION_FAILED, RouteReply, denied_reply, error_reply, internal_error, not_found};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Verdict};
use crate::semantics::digest::{self, Digests};
use crate::semantics::fields::FieldName;
use crate::semantics::method::Method;
use crate::semantics::range::{self, ByteRange, Selection};
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentRange, RareFields, Response};
use crate::semantics::rights::{Denied, Grant};
use crate::semantics::status::Status;
use crate::storage::{CachedContent, CachedFile, FileRange, FileSystem, RelativePath, StorageError};

/// A file that [`find`] has found.
pub(in crate::routes) enum Found<F: FileSystem> {
    /// The cache has it.
    Cached(Rc<CachedFile<FileVersion, F>>),
    /// It is open, and not in the cache. The last member is the value of Repr-Digest, if the client wants that and the
    /// file was uploaded with a digest.
    Opened(FileRange<F>, FileVersion, Option<String>),
}

/// Why a file or directory cannot be read.
pub(in crate::routes) enum ReadError {
    /// The request may not read it.
    Denied(Denied),
    /// It cannot be opened.
    Storage(StorageError),
}

impl From<Denied> for ReadError {
    fn from(denied: Denied) -> ReadError {
        ReadError::Denied(denied)
    }
}

impl From<StorageError> for ReadError {
    fn from(error: StorageError) -> ReadError {
        ReadError::Storage(error)
    }
}

/// Finds the file that `name`, a part of the target's path, leads to.
pub(super) fn find<F: FileSystem>(
    files: &mut FileRoutes<F>,
    request: &Request<'_>,
    name: Cow<'_, [u8]>,
    grant: &Grant,
    now: &Now,
) -> Result<Found<F>, ReadError> {
    let digest = digest::wanted(&request.fields);
    let uses_cache = !asks_for_parts(request) && digest.is_none();
    let (key, path) = cache_key(name)?;
    if uses_cache && let Some(file) = files.directory.revalidate(&grant.read(&*key)?, &mut files.cache) {
        return Ok(Found::Cached(file));
    }
    let path = match path {
        Some(path) => path,
        None => checked_path(&key)?,
    };
    let opened = files.directory.open_file(&grant.read(&path)?)?;
    let version = FileVersion::of(&opened.metadata, &files.own_uploads.borrow(), now);
    let may_be_cached = uses_cache && !version.is_recent();
    if may_be_cached && let Some(file) = files.cache.insert(path, &opened, || version.clone(), now.monotonic_ns) {
        return Ok(Found::Cached(file));
    }
    let repr_digest = digest.and_then(|algorithm| Digests::from_text(&opened.annotation()?).field_value(algorithm));
    Ok(Found::Opened(FileRange::whole(opened), version, repr_digest))
}

/// The key of the file in the cache, which is its path. The checked path is returned as well if `name` had to be
/// decoded.
///
/// A name without a percent triple and without a segment `.` is its own path. It is used as it is, so that a request
/// for a cached file allocates nothing. It need not be checked first, because the cache contains only checked paths.
fn cache_key(name: Cow<'_, [u8]>) -> Result<(Cow<'_, [u8]>, Option<RelativePath>), StorageError> {
    let is_encoded = name.contains(&b'%') || name.windows(2).any(|pair| pair == b"./");
    if !is_encoded {
        return Ok((name, None));
    }
    let path = checked_path(&name)?;
    Ok((Cow::Owned(path.as_bytes().to_vec()), Some(path)))
}

fn checked_path(name: &[u8]) -> Result<RelativePath, StorageError> {
    path_of(name).map_err(|_| StorageError::NotFound)
}

/// The response with the file that [`find`] has found, or the part of it that the request selects.
pub(super) fn respond<'r, F: FileSystem>(
    files: &'r mut FileRoutes<F>,
    found: Found<F>,
    request: &Request<'_>,
    media_type: Cow<'r, str>,
    now: &Now,
) -> Response<'r, FileContent<F>> {
    let Representation { version, content, repr_digest } = representation_of(files, found);
    let verdict = Preconditions::of(request, now)
        .map_or(Verdict::Proceed, |preconditions| preconditions.evaluate(Some(version.validators())));
    match verdict {
        Verdict::Failed => return Response::with_reason(Status::PreconditionFailed, PRECONDITION_FAILED),
        Verdict::NotModified => return FileVersion::into_response(version, Status::NotModified, now),
        Verdict::Proceed => {}
    }
    let bytes_total = content.bytes();
    let selection = selection(request, bytes_total, &version, now);
    // Completed in place, because a response is large.
    let mut response = FileVersion::into_response(version, Status::PartialContent, now);
    response.accepts_ranges = true;
    // Anybody may have uploaded the file: a browser must not guess from its content that it is a page.
    response.nosniff = true;
    response.rare = repr_digest.map(RareFields::repr_digest);
    match selection {
        Selection::Whole => {
            response.status = Status::Ok;
            response.content_type = Some(media_type);
            response.body = content.whole();
        }
        Selection::One(range) => match content.part(range) {
            Some(body) => {
                response.content_type = Some(media_type);
                response.content_range = Some(ContentRange::Part(range, bytes_total));
                response.body = body;
            }
            None => return internal_error("A range that was selected lies within the file."),
        },
        Selection::Several(ranges) => match content.parts(&ranges, &media_type) {
            Some(parts) => {
                response.content_type = Some(Cow::Owned(parts.media_type()));
                response.body = Body::Source(FileContent::Parts(Box::new(parts)));
            }
            None => return internal_error("Ranges that were selected lie within the file, and it is open."),
        },
        Selection::Unsatisfiable => {
            return Response {
                content_range: Some(ContentRange::Unsatisfied(bytes_total)),
                ..Response::with_reason(Status::RangeNotSatisfiable, "The file has none of the ranges.")
            };
        }
    }
    response
}

/// The version and the content of a file that was found.
fn representation_of<'r, F: FileSystem>(files: &'r mut FileRoutes<F>, found: Found<F>) -> Representation<'r, F> {
    let boundary = files.next_boundary();
    let cached = match found {
        Found::Cached(file) => files.cache.lend(file),
        Found::Opened(file, version, repr_digest) => {
            let content = Content::File(file, boundary);
            return Representation { version: Cow::Owned(version), content, repr_digest };
        }
    };
    let content = match &cached.content {
        CachedContent::Memory(content) => Content::Memory(content),
        CachedContent::Open(file) => Content::File(file.clone(), boundary),
    };
    Representation { version: Cow::Borrowed(&cached.user_data), content, repr_digest: None }
}

/// Whether the request asks for several ranges. They are sent from the open file, so such a request does not use the
/// cache.
pub(in crate::routes) fn asks_for_parts(request: &Request<'_>) -> bool {
    request.fields.first(FieldName::Range).is_some_and(|value| value.contains(&b','))
}

/// The file to send: its version, its content, and the value of Repr-Digest if the response has that field.
struct Representation<'r, F: FileSystem> {
    version: Cow<'r, FileVersion>,
    content: Content<'r, F>,
    repr_digest: Option<String>,
}

/// Where the content is.
enum Content<'r, F: FileSystem> {
    Memory(&'r [u8]),
    /// The whole file, and the boundary between parts if several are sent.
    File(FileRange<F>, u64),
}

impl<'r, F: FileSystem> Content<'r, F> {
    fn bytes(&self) -> u64 {
        match self {
            Content::Memory(content) => content.len() as u64,
            Content::File(file, _) => file.remaining(),
        }
    }

    fn whole(self) -> Body<'r, FileContent<F>> {
        match self {
            Content::Memory(content) => Body::Bytes(Cow::Borrowed(content)),
            Content::File(file, _) => Body::Source(FileContent::Range(file)),
        }
    }

    /// One range; `None` if it does not lie within the content.
    fn part(self, range: ByteRange) -> Option<Body<'r, FileContent<F>>> {
        match self {
            // Both casts are exact: a range of content in memory is shorter than any `usize`.
            Content::Memory(content) => {
                let part = content.get(range.first as usize..=range.last as usize)?;
                Some(Body::Bytes(Cow::Borrowed(part)))
            }
            Content::File(file, _) => {
                let part = file.part(range.first, range.bytes())?;
                Some(Body::Source(FileContent::Range(part)))
            }
        }
    }

    /// Several ranges; `None` if one of them does not lie within the content, or the content is in memory.
    fn parts(self, ranges: &[ByteRange], media_type: &str) -> Option<Parts<F>> {
        match self {
            Content::Memory(_) => None,
            Content::File(file, boundary) => Parts::new(&file, ranges, boundary, media_type),
        }
    }
}

/// What the request selects of the file. Range counts only for GET (§14.2), and only if the request has no If-Range or
/// one that names exactly this version (§13.1.5).
fn selection(request: &Request<'_>, bytes_total: u64, version: &FileVersion, now: &Now) -> Selection {
    let fields = &request.fields;
    let Some(value) = fields.single(FieldName::Range) else { return Selection::Whole };
    let is_this_version = !fields.contains(FieldName::IfRange)
        || fields.single(FieldName::IfRange).is_some_and(|validator| version.matches_if_range(validator, now));
    if request.method != Method::Get || !is_this_version {
        return Selection::Whole;
    }
    range::select(value, bytes_total)
}

/// The reply to a read that failed. A directory or a device is not found, like an absent file.
pub(in crate::routes) fn read_error_reply<'r, F: FileSystem>(
    request: &Request<'_>,
    error: impl Into<ReadError>,
) -> RouteReply<'r, F> {
    let error = match error.into() {
        ReadError::Denied(denied) => return denied_reply(denied),
        ReadError::Storage(error) => error,
    };
    match error {
        StorageError::PermissionDenied => {
            error_reply(Status::Forbidden, "The server may not read this file or directory.")
        }
        StorageError::TooManyOpenFiles => {
            error_reply(Status::ServiceUnavailable, "The server has too many files open.")
        }
        StorageError::Busy => error_reply(Status::ServiceUnavailable, BUSY),
        StorageError::Io(error) => {
            log::warn!("a file cannot be opened: {error}");
            error_reply(Status::InternalServerError, "The file cannot be opened.")
        }
        StorageError::NotFound
        | StorageError::ParentMissing
        | StorageError::NotRegularFile
        | StorageError::InvalidName => not_found(request),
        // Errors of writing. No system should report them when a file is opened for reading.
        StorageError::AlreadyExists | StorageError::ConditionFailed | StorageError::DiskFull => {
            log::warn!("a file cannot be opened: {error}");
            error_reply(Status::InternalServerError, "The file cannot be opened.")
        }
    }
}
