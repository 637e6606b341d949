//! POST of a form to a directory: each file in it is stored there under its own name.
//!
//! The form may come from a browser without JavaScript, or from `curl -F`. The files are stored one after the other,
//! each whole or not at all. A file that is refused does not keep the others from being stored, so the response lists
//! what has become of each.

mod content;
mod page;
mod report;
mod sink;

pub(in crate::routes) use self::content::ReportContent;
pub(super) use self::page::UPLOAD_FORM;
pub use self::report::FORM_NAMES_BYTES_MAX;
pub(in crate::routes) use self::sink::FormSink;
use self::sink::FormTarget;
use super::query::{Format, Query};
use super::{FolderRoutes, segments};
use crate::routes::files::{self, FORM_DATA};
use crate::routes::text::failed_precondition;
use crate::routes::{FileSink, Offer, RouteReply, error_reply, not_found};
use crate::semantics::Now;
use crate::semantics::accept;
use crate::semantics::fields::FieldName;
use crate::semantics::form_data::FormParser;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{RareFields, Response};
use crate::semantics::rights::{Grant, UploadPolicy};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::FileSystem;

const NOT_A_FORM: &str =
    "A folder takes files only in a form, as curl -F sends them. To upload one file, name it in the address.";

/// Forms are stored file by file, and a file that has been stored cannot be taken back when the digest of the form
/// turns out to be wrong.
const HAS_DIGEST: &str =
    "The digest of a form cannot be verified before its files are stored. Send each file by itself, with its digest.";

/// What a directory offers, if its files offer `offer`. `is_managed`: it may also be removed, created and moved.
pub(super) fn offer(offer: Offer, is_managed: bool) -> Offer {
    let takes_forms = !matches!(offer.uploads, None | Some(UploadPolicy::Off));
    let methods = match (takes_forms, is_managed) {
        (false, _) => Offer::READ_ONLY.methods,
        (true, false) => &[Method::Get, Method::Head, Method::Post, Method::Options],
        (true, true) => files::DIRECTORY_METHODS,
    };
    Offer { methods, takes_forms, ..offer }
}

/// The reply to a POST to the directory `name`, which is empty or ends in a slash.
pub(super) fn respond<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    name: &[u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    if let Err(refusal) = files::check_coding(request) {
        return Reply::Respond(*refusal);
    }
    if !request.fields.has_media_type(FORM_DATA) {
        return Reply::Respond(Response {
            rare: Some(Box::new(RareFields { accepts_forms: true, ..RareFields::default() })),
            ..Response::with_reason(Status::UnsupportedMediaType, NOT_A_FORM)
        });
    }
    if has_digest(request) {
        return error_reply(Status::BadRequest, HAS_DIGEST);
    }
    let content_type = request.fields.single(FieldName::ContentType).unwrap_or_default();
    let parser = match FormParser::new(content_type) {
        Ok(parser) => parser,
        Err(error) => return error_reply(Status::BadRequest, error.reason()),
    };
    let format = match Query::parse(request.target.query()) {
        Ok(query) => query.format.unwrap_or_else(|| negotiated_format(request)),
        Err(reason) => return error_reply(Status::BadRequest, reason),
    };
    let directory = match name.strip_suffix(b"/").map(files::path_of).transpose() {
        Ok(directory) => directory,
        Err(_) => return not_found(request),
    };
    if let Some(failed) = failed_precondition(request, now) {
        return Reply::Respond(failed);
    }
    let target = FormTarget {
        directory,
        base_segments: segments(grant.base().unwrap_or_default()).count(),
        shows_hidden: folder.settings.shows_hidden,
        is_drop_box: !grant.rights().reads,
        format,
    };
    Reply::Receive(FileSink::form(FormSink::new(parser, folder.files.form_files(grant, now), target)))
}

/// Whether the client states a digest, or announces one in the trailer section.
fn has_digest(request: &Request<'_>) -> bool {
    request.fields.contains_any([FieldName::ContentDigest, FieldName::ReprDigest])
        || files::announces_digest(&request.fields)
}

/// In order of preference if the client likes several equally. A browser names HTML; curl accepts everything.
const FORMATS: [(Format, &str); 3] =
    [(Format::Text, "text/plain"), (Format::Html, "text/html"), (Format::Json, "application/json")];

fn negotiated_format(request: &Request<'_>) -> Format {
    let index = accept::negotiate(&request.fields, &FORMATS.map(|(_, media_type)| media_type));
    index.and_then(|index| FORMATS.get(index)).map_or(Format::Text, |(format, _)| *format)
}
