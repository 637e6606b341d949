//! The upload resource. HEAD and GET return the offset, PATCH appends content, and DELETE cancels the upload.

use super::end::End;
use super::sink::{Creation, Origin, Part, ResumableSink};
use super::{
    Progress, Receiving, inconsistent_length, limits_of, limits_of_found, named_by, problem, too_large, with_status,
};
use crate::routes::files::FileRoutes;
use crate::routes::files::download::read_error_reply;
use crate::routes::files::upload::{bad_request, check_coding, error_response, status_of};
use crate::routes::files::verification::stated_digests;
use crate::routes::{FileContent, FileSink, Offer, RouteReply, denied_reply, not_found};
use crate::semantics::Now;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{Response, UploadStatus};
use crate::semantics::resumable_upload::{PARTIAL_UPLOAD, UploadFields};
use crate::semantics::rights::{Deed, Grant, MayUpload};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, FoundUpload, RelativePath, StorageError, UploadId};

/// The methods of an upload resource.
pub(in crate::routes) const OFFER: Offer = Offer {
    methods: &[Method::Get, Method::Head, Method::Patch, Method::Delete, Method::Options],
    uploads: None,
    takes_forms: false,
    upload_limits: None,
};

type Refusal<F> = Box<Response<'static, FileContent<F>>>;

/// The reply to a request for an upload resource. `rest` is what follows the prefix in the path.
pub(in crate::routes) fn respond<'r, F: FileSystem>(
    files: &mut FileRoutes<F>,
    request: &Request<'_>,
    rest: &[u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    files.directory.set_time(now.unix_ns);
    let named = named_by(rest).filter(|_| grant.offered().allow(Deed::Upload));
    let Some((id, path)) = named else { return not_found(request) };
    let path = match grant.upload(&path) {
        Ok(path) => path,
        Err(denied) => return denied_reply(denied),
    };
    let reply = match request.method {
        Method::Patch => append(files, request, id, &path, grant, now),
        Method::Delete => cancel(files, request, id, &path).map(Reply::Respond),
        _ => describe(files, request, id, &path, grant, now).map(Reply::Respond),
    };
    reply.unwrap_or_else(|refusal| Reply::Respond(*refusal))
}

/// Finds the upload on the disk, if it belongs to whoever sends the request. If another request is receiving it, this one
/// takes it over.
fn take<F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    id: UploadId,
    path: &MayUpload<&RelativePath>,
) -> Result<FoundUpload<F>, Refusal<F>> {
    let taken = files.resumable.borrow_mut().take_over(id, path.identity());
    let found = taken.and_then(|()| files.directory.find_partial_upload(id, path, files.storing.durable));
    let found = found.and_then(|found| {
        let creation = match &found {
            FoundUpload::Partial(upload) => upload.creation(),
            FoundUpload::Ended { creation, .. } => creation,
        };
        // To all others it does not exist. It stays as it is.
        let is_theirs = Creation::owner_in(creation).is_none_or(|owner| path.identity().may_continue(owner));
        if is_theirs { Ok(found) } else { Err(StorageError::NotFound) }
    });
    found.map_err(|error| refuse(request, error))
}

/// Takes the upload, and reads what is saved with it.
fn find<F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    id: UploadId,
    path: &MayUpload<&RelativePath>,
    now: &Now,
) -> Result<Found<F>, Refusal<F>> {
    match take(files, request, id, path)? {
        FoundUpload::Partial(upload) => {
            let creation = Creation::from_bytes(upload.creation(), path, now);
            let progress = match upload.note() {
                b"" => creation.as_ref().map(Creation::first_progress),
                note => Progress::from_bytes(note),
            };
            match creation.zip(progress) {
                Some((creation, progress)) => {
                    Ok(Found::Partial(Box::new((creation, Receiving::new(*upload, progress)))))
                }
                None => {
                    // Another version of this server wrote it, or another program.
                    upload.discard();
                    Err(refuse(request, StorageError::NotFound))
                }
            }
        }
        FoundUpload::Ended { creation, bytes, note, metadata, lifetime_ns } => {
            let end = match (note, metadata) {
                (Some(note), _) => End::from_bytes(&note, now),
                (None, Some(metadata)) => Creation::from_bytes(&creation, path, now).map(|creation| {
                    let status = status_of(creation.method(), true);
                    End::stored(status, &metadata, None, &files.own_uploads, now)
                }),
                (None, None) => None,
            };
            end.map(|end| Found::Ended { end, bytes, lifetime_ns })
                .ok_or_else(|| refuse(request, StorageError::NotFound))
        }
    }
}

enum Found<F: FileSystem> {
    Partial(Box<(Creation, Receiving<F>)>),
    /// The final response, the length of the content in bytes, and how long the server will remember both.
    Ended {
        end: End,
        bytes: u64,
        lifetime_ns: u64,
    },
}

/// The response to HEAD and GET (§4.3 of the draft).
fn describe<F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    id: UploadId,
    path: &MayUpload<&RelativePath>,
    grant: &Grant,
    now: &Now,
) -> Result<Response<'static, FileContent<F>>, Refusal<F>> {
    let (complete, offset, length, lifetime_ns) = match find(files, request, id, path, now)? {
        Found::Partial(found) => {
            let Receiving { upload, progress, .. } = &found.1;
            (false, upload.bytes_written(), progress.length, upload.lifetime_ns())
        }
        Found::Ended { bytes, lifetime_ns, .. } => (true, bytes, Some(bytes), lifetime_ns),
    };
    let status = UploadStatus {
        complete: Some(complete),
        offset: Some(offset),
        length,
        limit: Some(limits_of_found(limits_of(files.storing, grant), lifetime_ns)),
        no_store: true,
        ..UploadStatus::default()
    };
    Ok(with_status(Response::new(Status::NoContent), status))
}

/// The reply to PATCH (§4.4 of the draft).
fn append<'r, F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    id: UploadId,
    path: &MayUpload<&RelativePath>,
    grant: &Grant,
    now: &Now,
) -> Result<RouteReply<'r, F>, Refusal<F>> {
    if !request.fields.has_media_type(PARTIAL_UPLOAD) {
        let reason = "Content that is appended to an upload must have the type application/partial-upload.";
        let response = Response::with_reason(Status::UnsupportedMediaType, reason);
        return Err(Box::new(with_status(response, UploadStatus { accepts_patch: true, ..UploadStatus::default() })));
    }
    check_coding(request)?;
    let UploadFields { complete, offset, length } = UploadFields::of(&request.fields);
    let (Some(complete), Some(offset)) = (complete, offset) else {
        return Err(bad_request("A request that appends to an upload must have Upload-Complete and Upload-Offset."));
    };
    let (content_digest, _) = stated_digests(request).map_err(bad_request)?;
    let (creation, mut receiving) = match find(files, request, id, path, now)? {
        Found::Partial(found) => *found,
        Found::Ended { bytes, .. } if offset != bytes => return Err(Box::new(mismatching_offset(bytes, offset))),
        Found::Ended { end, bytes, .. } => {
            return match request.content_bytes {
                // The client has not received the final response, and requests it again.
                Some(0) if complete => Ok(Reply::Respond(end.into_response(bytes))),
                Some(0) | None => Err(Box::new(completed())),
                Some(_) => Err(Box::new(inconsistent_length())),
            };
        }
    };
    let written = receiving.upload.bytes_written();
    if offset != written {
        return Err(Box::new(mismatching_offset(written, offset)));
    }
    let end = request.content_bytes.map(|bytes| offset.saturating_add(bytes));
    if end.max(length).zip(grant.upload_bytes_max()).is_some_and(|(bytes, bytes_max)| bytes > bytes_max) {
        return Err(Box::new(too_large(limits_of(files.storing, grant))));
    }
    for stated in [length, end.filter(|_| complete)].into_iter().flatten() {
        if *receiving.progress.length.get_or_insert(stated) != stated || stated < written {
            return Err(Box::new(inconsistent_length()));
        }
    }
    let shared = files.resumable.borrow_mut().share(id, creation.owner().clone(), receiving);
    let part = Part { origin: Origin::Continued, complete, content_digest };
    let sink = ResumableSink::new(files, request, creation, shared, part, grant, now);
    Ok(Reply::Receive(FileSink::resumable(sink)))
}

/// The response to DELETE (§4.5 of the draft).
fn cancel<F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    id: UploadId,
    path: &MayUpload<&RelativePath>,
) -> Result<Response<'static, FileContent<F>>, Refusal<F>> {
    match take(files, request, id, path)? {
        FoundUpload::Partial(upload) => upload.discard(),
        FoundUpload::Ended { .. } => files.directory.forget_partial_upload(id, path),
    }
    Ok(Response::new(Status::NoContent))
}

/// The response to content for an upload that is already complete.
fn completed<'r, B>() -> Response<'r, B> {
    let response = problem(Status::BadRequest, "completed-upload", "upload is already completed", "");
    with_status(response, UploadStatus { complete: Some(false), ..UploadStatus::default() })
}

fn mismatching_offset<'r, B>(expected: u64, provided: u64) -> Response<'r, B> {
    let members = format!(",\"expected-offset\":{expected},\"provided-offset\":{provided}");
    let title = "offset from request does not match offset of resource";
    let response = problem(Status::Conflict, "mismatching-upload-offset", title, &members);
    let status = UploadStatus { complete: Some(false), offset: Some(expected), ..UploadStatus::default() };
    with_status(response, status)
}

/// The response to a request for an upload that cannot be opened. A client takes a 404 to mean that the upload is lost, so
/// one that exists must not get it because the disk is read-only or full.
fn refuse<F: FileSystem>(request: &Request<'_>, error: StorageError) -> Refusal<F> {
    if let StorageError::PermissionDenied | StorageError::DiskFull = error {
        return Box::new(error_response(&error, false));
    }
    match read_error_reply(request, error) {
        Reply::Respond(response) => Box::new(response),
        Reply::Receive(_) | Reply::RespondToContent(..) => Box::new(Response::new(Status::NotFound)),
    }
}
