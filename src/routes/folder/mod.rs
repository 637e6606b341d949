//! A shared folder: what a directory and all beneath it are to readers, and to writers where there may be some.
//!
//! # Laws
//!
//! 1. A name that begins with a dot is not there, for all methods, unless it is asked to be. `/.spindle/` is the server's own.
//! 2. A directory is listed under a name that ends in a slash; without it, the answer is a redirect within the same host.
//! 3. A listing is made as it is sent, in slices. Its memory is bounded, whatever the directory holds.
//! 4. Whoever put a file here gains nothing over the readers: a browser believes the media type, lets no page of another
//!    site embed the file, and runs nothing that is in it, unless the folder is a site.

mod allowed_hosts;
mod archive;
mod disposition;
mod json;
mod listing;
mod media_type;
mod names;
mod page;
mod query;
mod site;
mod text;

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use percent_encoding::percent_decode;

pub use self::allowed_hosts::AllowedHosts;
pub(super) use self::archive::Archive;
use self::listing::Form;
pub(super) use self::listing::Listing;
use self::query::{Format, Query};
use super::files::{self, FileRoutes, UploadPolicy};
use super::{FileContent, OTHER_SITE, READ_ONLY, RouteReply, method_not_allowed, not_found, refuse};
use crate::semantics::Now;
use crate::semantics::accept;
use crate::semantics::method::Method;
use crate::semantics::origin;
use crate::semantics::request::Request;
use crate::semantics::response::{Body, RareFields, Response};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Native, RelativePath, StorageError, SymlinkedDirectories};

/// How a folder is shared.
#[derive(Clone, Debug)]
pub struct FolderSettings {
    /// What the folder is called.
    pub name: Vec<u8>,
    /// Whether names that begin with a dot are served.
    pub shows_hidden: bool,
    /// Whether it is served as a web site of its owner.
    pub is_site: bool,
    /// Under which names.
    pub hosts: AllowedHosts,
}

/// The routes of a shared folder.
pub struct FolderRoutes<F: FileSystem = Native> {
    files: FileRoutes<F>,
    sharing: FolderSettings,
    /// How many entries the listings hold that are being sent.
    held_entries: Rc<Cell<usize>>,
    /// How many archives are being sent.
    archives: Rc<Cell<usize>>,
}

/// The first segment of what is the server's own.
const OWN: &[u8] = b".spindle";

impl<F: FileSystem> FolderRoutes<F> {
    /// Shares the directory of `files`.
    pub fn new(files: FileRoutes<F>, sharing: FolderSettings) -> FolderRoutes<F> {
        FolderRoutes { files, sharing, held_entries: Rc::default(), archives: Rc::default() }
    }

    pub(super) fn files(&self) -> &FileRoutes<F> {
        &self.files
    }

    pub(super) fn files_mut(&mut self) -> &mut FileRoutes<F> {
        &mut self.files
    }

    /// Whether the request was sent to a name of this machine.
    pub(super) fn serves_host_of(&self, request: &Request<'_>) -> bool {
        self.sharing.hosts.allow(request)
    }

    /// Whether all segments may be seen. They are judged as they will be looked up: decoded.
    fn shows(&self, name: &[u8]) -> bool {
        let mut segments = name.split(|byte| *byte == b'/').map(|segment| Cow::<[u8]>::from(percent_decode(segment)));
        let is_own = segments.clone().find(|segment| **segment != *b".").is_some_and(|first| *first == *OWN);
        let is_hidden = |segment: Cow<'_, [u8]>| segment.starts_with(b".") && *segment != *b".";
        !is_own && (self.sharing.shows_hidden || !segments.any(is_hidden))
    }
}

/// The answer to a request for `path`, which begins with a slash.
pub(super) fn respond<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    path: &'r [u8],
    now: &Now,
) -> RouteReply<'r, F> {
    let name = path.strip_prefix(b"/").unwrap_or(path);
    if !folder.shows(name) {
        return not_found_here(folder, request);
    }
    let is_directory = name.is_empty() || name.ends_with(b"/");
    let methods = if is_directory { READ_ONLY } else { folder.files.methods() };
    if origin::is_cross_origin_write(request) {
        return refuse(Status::Forbidden, OTHER_SITE);
    }
    if !methods.contains(&request.method) {
        return method_not_allowed(methods);
    }
    match request.method {
        Method::Options => Reply::Respond(Response { allow: Some(methods), ..Response::new(Status::NoContent) }),
        Method::Post | Method::Put => folder.files.upload(request, name, now),
        _ if folder.sharing.is_site => site::respond(folder, request, name, now),
        _ if is_directory => directory(folder, request, name, now),
        _ => file(folder, request, name, now),
    }
}

fn not_found_here<'r, F: FileSystem>(folder: &FolderRoutes<F>, request: &Request<'_>) -> RouteReply<'r, F> {
    match request.method {
        Method::Get | Method::Head if folder.sharing.is_site => site::not_found(folder),
        _ => not_found(),
    }
}

fn file<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    name: &'r [u8],
    now: &Now,
) -> RouteReply<'r, F> {
    let found = match folder.files.find(request, Cow::Borrowed(name), now) {
        Ok(found) => found,
        Err(StorageError::NotRegularFile) => return redirect_to_directory(folder, request, name),
        Err(error) => return files::read_error_reply(&error),
    };
    let last: Cow<'_, [u8]> = percent_decode(last_segment(name)).into();
    let media_type = media_type::of(&last);
    let is_run = media_type::is_run_by_browsers(&media_type);
    let is_download = query::asks_for_download(request.target.query());
    let response = folder.files.download(found, request, media_type, now);
    if response.status.code() >= 400 {
        return Reply::Respond(response);
    }
    Reply::Respond(Response {
        same_origin_only: true,
        content_security_policy: is_run.then_some("sandbox"),
        rare: is_download.then(|| saved_as(&last)),
        ..response
    })
}

/// What has a browser save the content under this name.
fn saved_as(name: &[u8]) -> Box<RareFields> {
    Box::new(RareFields { content_disposition: Some(disposition::attachment(name)), ..RareFields::default() })
}

fn last_segment(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)
}

/// What is neither a file nor a directory is not found. The name of a directory without its slash leads to the one with it:
/// otherwise the references in a listing would lead beside it.
fn redirect_to_directory<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    name: &[u8],
) -> RouteReply<'r, F> {
    let Ok(path) = files::path_of(name) else { return not_found() };
    match folder.files.directory().is_directory(&path) {
        Ok(true) => {}
        Ok(false) => return not_found(),
        Err(error) => return files::read_error_reply(&error),
    }
    // Relative, and encoded anew: it holds neither a colon nor a slash but the last one, and so leads to no other host.
    let mut location = format!("./{}/", text::encoded(path.name()));
    if let Some(query) = request.target.query() {
        location.push('?');
        location.push_str(&String::from_utf8_lossy(query));
    }
    Reply::Respond(Response {
        rare: Some(Box::new(RareFields { location: Some(location), ..RareFields::default() })),
        // It is a directory for now.
        no_cache: true,
        ..Response::new(Status::MovedPermanently)
    })
}

/// `name` is empty, or ends with a slash.
fn directory<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    name: &'r [u8],
    now: &Now,
) -> RouteReply<'r, F> {
    let path = match name.strip_suffix(b"/").map(files::path_of) {
        None => None,
        Some(Ok(path)) => Some(path),
        Some(Err(_)) => return not_found(),
    };
    match Query::parse(request.target.query()) {
        Ok(query) if query.is_archive => archive(folder, request, path, now),
        Ok(query) => list(folder, request, path.as_ref(), query, now),
        Err(reason) => refuse(Status::BadRequest, reason),
    }
}

fn archive<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    path: Option<RelativePath>,
    now: &Now,
) -> RouteReply<'r, F> {
    let Some(permit) = archive::Permit::new(&folder.archives) else {
        return refuse(Status::ServiceUnavailable, "The server is sending too many archives.");
    };
    let name = path.as_ref().map_or(&*folder.sharing.name, RelativePath::name).to_vec();
    let shows_hidden = folder.sharing.shows_hidden;
    let archive = match Archive::new(folder.files.directory(), path, &name, shows_hidden, permit) {
        Ok(archive) => archive,
        Err(error) => return files::read_error_reply(&error),
    };
    if let Some(failed) = super::text::failed_precondition(request, now) {
        return Reply::Respond(Response { no_cache: true, ..failed });
    }
    Reply::Respond(Response {
        content_type: Some(Cow::Borrowed("application/x-tar")),
        no_cache: true,
        rare: Some(saved_as(&[&name, &b".tar"[..]].concat())),
        nosniff: true,
        same_origin_only: true,
        body: Body::Source(FileContent::Archive(Box::new(archive))),
        ..Response::new(Status::Ok)
    })
}

fn list<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    path: Option<&RelativePath>,
    query: Query,
    now: &Now,
) -> RouteReply<'r, F> {
    let directory = match folder.files.directory().list(path, SymlinkedDirectories::Include) {
        Ok(directory) => directory,
        Err(error) => return files::read_error_reply(&error),
    };
    let format = query.format.unwrap_or_else(|| negotiated_format(request));
    let described = Response {
        content_type: Some(Cow::Borrowed(content_type_of(format))),
        varies_by_media_type: true,
        no_cache: true,
        nosniff: true,
        same_origin_only: true,
        content_security_policy: (format == Format::Html).then_some(page::CONTENT_SECURITY_POLICY),
        ..Response::new(Status::Ok)
    };
    if let Some(failed) = super::text::failed_precondition(request, now) {
        return Reply::Respond(Response { varies_by_media_type: true, no_cache: true, ..failed });
    }
    let policy = folder.files.upload_policy();
    let form = Form {
        format,
        path: path.map_or(b"/".to_vec(), |path| [b"/", path.as_bytes(), b"/"].concat()),
        sort: query.sort,
        order: query.order,
        may_upload: policy != UploadPolicy::Off,
        may_replace: policy == UploadPolicy::Replace,
        shows_hidden: folder.sharing.shows_hidden,
        now_unix_s: now.unix_s(),
    };
    let listing = Listing::new(directory, form, &folder.held_entries);
    Reply::Respond(Response { body: Body::Source(FileContent::Listing(Box::new(listing))), ..described })
}

const FORMATS: [(Format, &str); 3] =
    [(Format::Html, "text/html"), (Format::Json, "application/json"), (Format::Text, "text/plain")];

fn negotiated_format(request: &Request<'_>) -> Format {
    let place = accept::negotiate(&request.fields, &FORMATS.map(|(_, media_type)| media_type));
    place.and_then(|place| FORMATS.get(place)).map_or(Format::Html, |(format, _)| *format)
}

fn content_type_of(format: Format) -> &'static str {
    match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Json => "application/json",
        Format::Text => "text/plain; charset=utf-8",
    }
}
