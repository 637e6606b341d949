//! A folder as a web site (`--site`): `index.html` is what a directory is, `404.html` what is not there, and a file that is
//! stored compressed beside another one is sent in its place. Nothing is listed, nothing is archived, and what is in the
//! files may run: nobody but the owner of the folder writes them.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{FolderRoutes, last_segment, media_type, redirect_to_directory};
use crate::routes::files::{self, Found};
use crate::routes::{FileContent, RouteReply};
use crate::semantics::Now;
use crate::semantics::content_coding;
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentEncoding, Response};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileRange, FileSystem, RelativePath, StorageError};

const INDEX: &[u8] = b"index.html";
const NOT_FOUND: &[u8] = b"404.html";

/// Content codings, each with what the names of files end in that have it, the densest first.
const CODINGS: [ContentEncoding; 3] = [ContentEncoding::Brotli, ContentEncoding::Zstd, ContentEncoding::Gzip];
const ENDINGS: [&[u8]; 3] = [b".br", b".zst", b".gz"];

/// The answer to GET and HEAD of `name`, as it stands in the target without the first slash.
pub(super) fn respond<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    name: &[u8],
    now: &Now,
) -> RouteReply<'r, F> {
    let is_directory = name.is_empty() || name.ends_with(b"/");
    let name = if is_directory { [name, INDEX].concat() } else { name.to_vec() };
    let found = match folder.files.find(request, Cow::Borrowed(&name), now) {
        Ok(found) => found,
        Err(StorageError::NotRegularFile) if !is_directory => {
            return match redirect_to_directory(folder, request, &name) {
                Reply::Respond(response) if response.status == Status::NotFound => not_found(folder),
                redirect => redirect,
            };
        }
        Err(StorageError::NotFound | StorageError::NotRegularFile | StorageError::InvalidName) => {
            return not_found(folder);
        }
        Err(error) => return files::read_error_reply(&error),
    };
    let last: Cow<'_, [u8]> = percent_decode(last_segment(&name)).into();
    let media_type = media_type::of(&last);
    let (found, content_encoding) = match find_compressed(folder, request, &name, now) {
        Some((compressed, coding)) => (compressed, Some(coding)),
        None => (found, None),
    };
    let response = folder.files.download(found, request, media_type, now);
    if response.status.code() >= 400 {
        return Reply::Respond(response);
    }
    Reply::Respond(Response {
        // RFC 9110 §15.4.5: not of a 304, which has no content.
        content_encoding: content_encoding.filter(|_| !response.status.forbids_content()),
        varies_by_coding: true,
        same_origin_only: true,
        ..response
    })
}

/// What is beside the file of this name and has the content coding that the client likes best.
fn find_compressed<F: FileSystem>(
    folder: &mut FolderRoutes<F>,
    request: &Request<'_>,
    name: &[u8],
    now: &Now,
) -> Option<(Found<'static, F>, ContentEncoding)> {
    // The coding would be said of the content as a whole, and so of the lines between the parts, which have none.
    if files::asks_for_parts(request) {
        return None;
    }
    content_coding::preferred(&request.fields, &CODINGS.map(ContentEncoding::as_str)).into_iter().find_map(|place| {
        let name = [name, ENDINGS[place]].concat();
        let found = folder.files.find(request, Cow::Owned(name), now).ok()?;
        Some((found, CODINGS[place]))
    })
}

/// The answer where nothing is: the site's own page, if it has one. It is of no version, and is not sent in parts.
pub(super) fn not_found<'r, F: FileSystem>(folder: &FolderRoutes<F>) -> RouteReply<'r, F> {
    let page = RelativePath::from_segments([NOT_FOUND]).ok();
    let opened = page.and_then(|page| folder.files.directory().open_file(&page).ok());
    let Some(opened) = opened else { return crate::routes::not_found() };
    Reply::Respond(Response {
        content_type: Some(media_type::of(NOT_FOUND)),
        nosniff: true,
        same_origin_only: true,
        body: Body::Source(FileContent::Range(FileRange::whole(opened))),
        ..Response::new(Status::NotFound)
    })
}
