//! The request that creates a resumable upload: POST or PUT of a file, with Upload-Complete.

use super::sink::{Creation, Origin, Part, ResumableSink};
use super::{Progress, Receiving, inconsistent_length, limits_of, location_of, too_large};
use crate::routes::FileContent;
use crate::routes::files::FileRoutes;
use crate::routes::files::upload::{bad_request, check_content, error_response, precondition_failed};
use crate::routes::files::verification::stated_digests;
use crate::semantics::Now;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::resumable_upload::UploadFields;
use crate::semantics::rights::{Grant, MayUpload};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, RelativePath};

type Refusal<F> = Box<Response<'static, FileContent<F>>>;

/// Begins a resumable upload. `Ok(None)` if the server cannot offer an upload resource and the request contains the
/// complete content, which can then be stored as a plain upload.
pub(in crate::routes::files) fn begin<F: FileSystem>(
    files: &FileRoutes<F>,
    request: &Request<'_>,
    path: &MayUpload<&RelativePath>,
    complete: bool,
    grant: &Grant,
    now: &Now,
) -> Result<Option<ResumableSink<F>>, Refusal<F>> {
    let length = length_of(request, complete)?;
    check_content(request, None)?;
    let bytes = length.or(request.content_bytes);
    if bytes.zip(grant.upload_bytes_max()).is_some_and(|(bytes, bytes_max)| bytes > bytes_max) {
        return Err(Box::new(too_large(limits_of(files.storing, grant))));
    }
    if files.directory.partial_uploads() >= files.storing.pending_max {
        // A request with the complete content needs no upload resource, and the draft does not require one.
        return if complete { Ok(None) } else { Err(Box::new(too_many())) };
    }
    let (content_digest, _) = stated_digests(request).map_err(bad_request)?;
    let creation = Creation::of(request, path, now);
    let conditions = &creation.conditions;
    let Some(id) = files.resumable.borrow_mut().new_id() else {
        // As above: a complete upload needs no upload resource.
        return if complete { Ok(None) } else { Err(Box::new(too_many())) };
    };
    let begun = files.directory.begin_partial_upload(
        id,
        path,
        conditions.mode(),
        length,
        files.storing.durable,
        creation.to_bytes(),
    );
    let upload = begun.map_err(|error| Box::new(error_response(&error, conditions.must_be_absent())))?;
    // The cleanup of the directory may have seen uploads of an earlier run.
    if files.directory.partial_uploads() > files.storing.pending_max {
        upload.discard();
        return if complete { Ok(None) } else { Err(Box::new(too_many())) };
    }
    if !conditions.hold(upload.existing(), &files.own_uploads.borrow(), now) {
        upload.discard();
        return Err(Box::new(precondition_failed()));
    }
    let progress = Progress { length, ..creation.first_progress() };
    let shared = files.resumable.borrow_mut().share(id, creation.owner().clone(), Receiving::new(upload, progress));
    let part = Part { origin: Origin::Created { location: location_of(id, path.path()) }, complete, content_digest };
    Ok(Some(ResumableSink::new(files, request, creation, shared, part, grant, now)))
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

fn too_many<'r, B>() -> Response<'r, B> {
    Response::with_reason(Status::ServiceUnavailable, "The server has too many unfinished uploads.")
}
