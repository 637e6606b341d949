//! The request that creates a resumable upload: POST or PUT of a file, with Upload-Complete.

use std::rc::Rc;

use log::debug;

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
use crate::semantics::rights::{Grant, Identity, MayUpload};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, PendingCounts, RelativePath};

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
    let holder = holder_of(request, grant);
    let mut counts = files.directory.partial_upload_counts(holder.as_deref());
    if !counts.allow_another(files.storing.pending_max) {
        // Another server may have ended some of them.
        files.directory.look_at_partial_uploads();
        counts = files.directory.partial_upload_counts(holder.as_deref());
    }
    if !counts.allow_another(files.storing.pending_max) {
        return too_many(files, counts, complete);
    }
    let (content_digest, _) = stated_digests(request).map_err(bad_request)?;
    let creation = Creation::of(request, path, now);
    let conditions = &creation.conditions;
    let Some(id) = files.resumable.borrow_mut().new_id() else { return too_many(files, counts, complete) };
    let begun = files.directory.begin_partial_upload(
        id,
        path,
        conditions.mode(),
        length,
        files.storing.durable,
        creation.to_bytes(),
    );
    let upload = begun.map_err(|error| Box::new(error_response(&error, conditions.must_be_absent())))?;
    // The cleanup of the directory may have seen uploads of an earlier run. The new upload has no holder yet.
    let counts = files.directory.partial_upload_counts(holder.as_deref());
    let counts = PendingCounts { all: counts.all.saturating_sub(1), ..counts };
    if !counts.allow_another(files.storing.pending_max) {
        upload.discard();
        return too_many(files, counts, complete);
    }
    if let Some(holder) = holder {
        upload.set_holder(holder);
    }
    if !conditions.hold(upload.existing(), &files.own_uploads.borrow(), now) {
        upload.discard();
        return Err(Box::new(precondition_failed()));
    }
    let progress = Progress { length, ..creation.first_progress() };
    let shared = files.resumable.borrow_mut().share(id, creation.owner().clone(), Receiving::new(upload, progress));
    let part = Part {
        origin: Origin::Created { location: location_of(id, path.path(), grant.link()) },
        complete,
        content_digest,
    };
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

/// Whose place an upload takes: that of the account, or else of the client's address. `None` if a proxy has not named its
/// client. Not who may continue it, which is its owner: see [`Identity::owner`].
fn holder_of(request: &Request<'_>, grant: &Grant) -> Option<Rc<str>> {
    match grant.identity() {
        Identity::Account(name) => Some(format!("account {name}").into()),
        // Many clients may have the same link.
        Identity::Anybody | Identity::Link(_) => request.sender.map(|group| group.to_string().into()),
    }
}

/// There is no place for another upload resource. A request with the complete content needs none, and the draft does not
/// require one.
fn too_many<T, F: FileSystem>(
    files: &FileRoutes<F>,
    counts: PendingCounts,
    complete: bool,
) -> Result<Option<T>, Refusal<F>> {
    if complete {
        return Ok(None);
    }
    files.uploads_refused.set(files.uploads_refused.get().saturating_add(1));
    debug!("a resumable upload is refused: {} are unfinished, {} of them by this client", counts.all, counts.of_holder);
    Err(Box::new(Response::with_reason(
        Status::ServiceUnavailable,
        match counts.of_holder {
            0 => "The server has too many unfinished uploads.",
            _ => "There are too many unfinished uploads from your address or account.",
        },
    )))
}
