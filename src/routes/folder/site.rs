//! A folder as a web site (`--site`).
//!
//! A directory is served as its `index.html`, and a path that does not exist as the folder's `404.html`. A file that is
//! stored compressed next to the original is sent in its place if the client accepts its coding. Nothing is listed or
//! archived. Scripts run, because only the owner of the folder writes to it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{FolderRoutes, last_segment, media_type, redirect_to_directory};
use crate::routes::files::{self, Found, ReadError};
use crate::routes::{self, FileContent, RouteReply};
use crate::semantics::Now;
use crate::semantics::content_coding;
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentEncoding, Response};
use crate::semantics::rights::Grant;
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileRange, FileSystem, RelativePath, StorageError};

const INDEX: &[u8] = b"index.html";
const NOT_FOUND: &[u8] = b"404.html";

/// The content codings of stored files, and the extensions of their names. If the client likes several equally, the
/// first of them is sent: the densest.
const CODINGS: [ContentEncoding; 3] = [ContentEncoding::Brotli, ContentEncoding::Zstd, ContentEncoding::Gzip];
const EXTENSIONS: [&[u8]; 3] = [b".br", b".zst", b".gz"];

/// The reply to GET and HEAD of `name`, the path without its first slash, as it is in the target.
pub(super) fn respond<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    name: &[u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    let is_directory = name.is_empty() || name.ends_with(b"/");
    let name = if is_directory { [name, INDEX].concat() } else { name.to_vec() };
    let found = match folder.files.find(request, Cow::Borrowed(&name), grant, now) {
        Ok(found) => found,
        Err(ReadError::Storage(StorageError::NotRegularFile)) if !is_directory => {
            return match redirect_to_directory(folder, request, &name, grant) {
                Reply::Respond(response) if response.status == Status::NotFound => not_found(folder, request, grant),
                redirect => redirect,
            };
        }
        Err(ReadError::Storage(StorageError::NotFound | StorageError::NotRegularFile | StorageError::InvalidName)) => {
            return not_found(folder, request, grant);
        }
        Err(error) => return files::read_error_reply(request, error),
    };
    let file_name: Cow<'_, [u8]> = percent_decode(last_segment(&name)).into();
    let media_type = media_type::of(&file_name);
    let (found, content_encoding) = match find_compressed(folder, request, &name, grant, now) {
        Some((compressed, coding)) => (compressed, Some(coding)),
        None => (found, None),
    };
    let response = folder.files.download(found, request, media_type, now);
    if response.status.code() >= 400 {
        return Reply::Respond(response);
    }
    Reply::Respond(Response {
        // RFC 9110 §15.4.5: a 304 has no content that the field could describe.
        content_encoding: content_encoding.filter(|_| !response.status.forbids_content()),
        varies_by_coding: true,
        same_origin_only: true,
        ..response
    })
}

/// The compressed file next to the file `name` whose coding the client likes best; `None` if it accepts no coding of
/// a file that exists.
fn find_compressed<F: FileSystem>(
    folder: &mut FolderRoutes<F>,
    request: &Request<'_>,
    name: &[u8],
    grant: &Grant,
    now: &Now,
) -> Option<(Found<F>, ContentEncoding)> {
    // Content-Encoding would apply to the multipart content as a whole, and the lines between its parts are not
    // compressed.
    if files::asks_for_parts(request) {
        return None;
    }
    content_coding::preferred(&request.fields, &CODINGS.map(ContentEncoding::as_str)).into_iter().find_map(|index| {
        let name = [name, EXTENSIONS[index]].concat();
        let found = folder.files.find(request, Cow::Owned(name), grant, now).ok()?;
        Some((found, CODINGS[index]))
    })
}

/// A 404, with the site's own page if it has one. The page is always sent whole and without validators, since they
/// would describe the resource that does not exist.
pub(super) fn not_found<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    grant: &Grant,
) -> RouteReply<'r, F> {
    let page = RelativePath::from_segments([NOT_FOUND]).ok();
    let opened = page.and_then(|page| folder.files.directory().open_file(&grant.read(&page).ok()?).ok());
    let Some(opened) = opened else { return routes::not_found(request) };
    Reply::Respond(Response {
        content_type: Some(media_type::of(NOT_FOUND)),
        nosniff: true,
        same_origin_only: true,
        body: Body::Source(FileContent::Range(FileRange::whole(opened))),
        ..Response::new(Status::NotFound)
    })
}
