//! The request that creates a resumable upload: POST or PUT of a file, with Upload-Complete.

use super::sink::{Creation, Origin, Part, ResumableSink};
use super::{Progress, Receiving, inconsistent_length, limits, location_of, with_status};
use crate::routes::FileContent;
use crate::routes::files::upload::{
    bad_request, check_content, content_too_large, error_response, hold, must_be_absent, precondition_failed,
};
use crate::routes::files::verification::Verification;
use crate::routes::files::{FileRoutes, UploadPolicy};
use crate::semantics::Now;
use crate::semantics::request::Request;
use crate::semantics::response::{Response, UploadStatus};
use crate::semantics::resumable_upload::UploadFields;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, RelativePath, UploadMode};

type Refusal<F> = Box<Response<'static, FileContent<F>>>;

/// Begins a resumable upload. `Ok(None)` if the server cannot offer an upload resource and the request contains the
/// complete content, which can then be stored as a plain upload.
pub(in crate::routes::files) fn begin<F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    path: &RelativePath,
    complete: bool,
    now: &Now,
) -> Result<Option<ResumableSink<F>>, Refusal<F>> {
    let length = length_of(request, complete)?;
    let too_large = |refusal: Refusal<F>| match refusal.status {
        Status::ContentTooLarge => Box::new(with_limit(*refusal, &limits(&files.uploads))),
        _ => refusal,
    };
    check_content(request, files.uploads.bytes_max).map_err(too_large)?;
    if length.zip(files.uploads.bytes_max).is_some_and(|(length, bytes_max)| length > bytes_max) {
        return Err(too_large(Box::new(content_too_large())));
    }
    if files.directory.partial_uploads() >= files.uploads.pending_max {
        // A request with the complete content needs no upload resource, and the draft does not require one.
        return if complete { Ok(None) } else { Err(Box::new(too_many())) };
    }
    let content_digest =
        Verification::of(request).map_err(bad_request)?.map(|stated| stated.content).unwrap_or_default();
    let creation = Creation::of(request, now);
    let only_creates = files.uploads.policy == UploadPolicy::Create;
    let must_be_absent = must_be_absent(creation.preconditions.as_ref(), only_creates);
    let mode = if only_creates || must_be_absent { UploadMode::CreateOnly } else { UploadMode::Replace };
    let Some(id) = files.resumable.borrow_mut().new_id() else {
        // As above: a complete upload needs no upload resource.
        return if complete { Ok(None) } else { Err(Box::new(too_many())) };
    };
    let begun =
        files.directory.begin_partial_upload(id, path, mode, length, files.uploads.durable, creation.to_bytes());
    let upload = begun.map_err(|error| Box::new(error_response(&error, must_be_absent)))?;
    if let Some(preconditions) = &creation.preconditions
        && !hold(preconditions, upload.existing(), &files.own_uploads.borrow(), now)
    {
        upload.discard();
        return Err(Box::new(precondition_failed()));
    }
    let progress = Progress { length, ..creation.first_progress() };
    let shared = files.resumable.borrow_mut().share(id, Receiving { upload, progress });
    let part = Part { origin: Origin::Created { location: location_of(id, path) }, complete, content_digest };
    Ok(Some(ResumableSink::new(files, request, creation, shared, part, now)))
}

/// The length of the complete content, if the client states it. It may do so in Upload-Length and in Content-Length,
/// which must agree (§4.1.3 of the draft).
fn length_of<F: FileSystem>(request: &Request<'_>, complete: bool) -> Result<Option<u64>, Refusal<F>> {
    let stated = UploadFields::of(&request.fields).length;
    let announced = request.content_bytes.filter(|_| complete);
    match (stated, announced) {
        (Some(stated), Some(announced)) if stated != announced => Err(Box::new(inconsistent_length())),
        // This request alone has more content than Upload-Length states.
        (Some(stated), None) if request.content_bytes.is_some_and(|bytes| bytes > stated) => {
            Err(Box::new(inconsistent_length()))
        }
        _ => Ok(stated.or(announced)),
    }
}

fn with_limit<'r, B>(response: Response<'r, B>, limit: &str) -> Response<'r, B> {
    with_status(response, UploadStatus { limit: Some(limit.to_owned()), ..UploadStatus::default() })
}

fn too_many<'r, B>() -> Response<'r, B> {
    Response::with_reason(Status::ServiceUnavailable, "The server has too many unfinished uploads.")
}
