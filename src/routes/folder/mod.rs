//! A shared folder: the files and directories below a directory, and uploads to it if they are allowed.
//!
//! # Laws
//!
//! 1. A name that begins with a dot does not exist, for any method, unless `--hidden` is given. `/.spindle/` is
//!    reserved for the server: only the resources of unfinished uploads exist below it.
//! 2. A directory is listed at the path that ends in a slash. Without the slash the response is a redirect, because
//!    relative links in the listing would otherwise be resolved in the parent directory. The redirect is relative, so
//!    it never leads to another host.
//! 3. A listing is made in slices while it is sent, so that other connections are served in between. Its memory is
//!    bounded, however many entries the directory has.
//! 4. A file gives whoever put it here no power over its readers: a browser must not guess another media type, pages
//!    of other sites cannot embed the file, and scripts in it do not run. In a site, which only its owner writes to,
//!    scripts do run.
//! 5. In a drop box no request that reads can tell an existing name from a missing one, neither by its response nor by
//!    the time that it takes: see [`drop_box`].

mod archive;
mod disposition;
mod drop_box;
mod encode;
mod form;
mod json;
mod listing;
mod media_type;
mod names;
mod page;
mod query;
pub(super) mod sign_in;
mod site;
mod text;

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use percent_encoding::percent_decode;

pub(super) use self::archive::Archive;
pub use self::archive::{ARCHIVE_DESCRIPTORS, ARCHIVES_MAX};
pub(super) use self::drop_box::Page;
use self::drop_box::PageCache;
pub use self::form::FORM_NAMES_BYTES_MAX;
pub(super) use self::form::{FormSink, ReportContent};
pub(super) use self::listing::Listing;
use self::listing::ListingOptions;
use self::query::{Format, Query};
use super::files::{self, FileRoutes, ReadError};
use super::{FileContent, RouteReply, UPLOADS, denied_reply, error_reply, not_found, put_script};
use crate::semantics::Now;
use crate::semantics::accept;
use crate::semantics::allowed_hosts::AllowedHosts;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{Body, RareFields, Response};
use crate::semantics::rights::{Deed, Denied, Grant, Rights, UploadPolicy};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Native, RelativePath, StorageError, SymlinkedDirectories};

/// What others find at the address of a shared folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FolderKind {
    /// Listings of its directories, their files and their archives.
    #[default]
    Listed,
    /// A web site (`--site`).
    Site,
    /// A page that takes files, and nothing that can be read (`--no-list`).
    DropBox,
}

/// How a folder is shared.
#[derive(Clone, Debug)]
pub struct FolderSettings {
    /// The name of the folder. Its archive is saved under this name.
    pub name: Vec<u8>,
    /// Whether names that begin with a dot are served.
    pub shows_hidden: bool,
    /// What others find in it.
    pub kind: FolderKind,
    /// The host names that requests may be sent to.
    pub hosts: AllowedHosts,
}

/// The routes of a shared folder.
pub struct FolderRoutes<F: FileSystem = Native> {
    files: FileRoutes<F>,
    settings: FolderSettings,
    /// How many entries the listings in progress hold in memory.
    buffered_entries: Rc<Cell<usize>>,
    /// How many archives are being sent, and the most that may be.
    archives: Rc<Cell<usize>>,
    archives_max: usize,
    /// The page of a drop box that was made last.
    drop_box_page: PageCache,
}

/// A first segment that is reserved for the server.
const RESERVED: &[u8] = b".spindle";

impl<F: FileSystem> FolderRoutes<F> {
    /// Shares the directory of `files`.
    pub fn new(files: FileRoutes<F>, settings: FolderSettings) -> FolderRoutes<F> {
        files.create_missing_directories();
        FolderRoutes {
            files,
            settings,
            buffered_entries: Rc::default(),
            archives: Rc::default(),
            archives_max: ARCHIVES_MAX,
            drop_box_page: PageCache::default(),
        }
    }

    /// Sends at most `max` archives at the same time, and never more than [`ARCHIVES_MAX`].
    #[must_use]
    pub fn with_archives_max(self, max: usize) -> FolderRoutes<F> {
        FolderRoutes { archives_max: max.min(ARCHIVES_MAX), ..self }
    }

    /// What is offered to anybody at most.
    pub(super) fn offered(&self) -> Rights {
        match self.settings.kind {
            FolderKind::Listed => self.files.offered(),
            FolderKind::Site => Rights { uploads: UploadPolicy::Off, ..self.files.offered() },
            FolderKind::DropBox => Rights { reads: false, ..self.files.offered() },
        }
    }

    pub(super) fn files(&self) -> &FileRoutes<F> {
        &self.files
    }

    pub(super) fn files_mut(&mut self) -> &mut FileRoutes<F> {
        &mut self.files
    }

    /// Whether the folder is shared under the host name that the request was sent to.
    pub(super) fn allows_host_of(&self, request: &Request<'_>) -> bool {
        self.settings.hosts.allow(request)
    }

    /// Whether no segment of `name` is hidden or reserved. Segments are decoded first, as they are when the file is
    /// opened.
    fn shows(&self, name: &[u8]) -> bool {
        let mut segments = name.split(|byte| *byte == b'/').map(|segment| Cow::<[u8]>::from(percent_decode(segment)));
        let first = segments.clone().find(|segment| **segment != *b".");
        let is_reserved = first.is_some_and(|first| *first == *RESERVED);
        let is_hidden = |segment: Cow<'_, [u8]>| segment.starts_with(b".") && *segment != *b".";
        !is_reserved && (self.settings.shows_hidden || !segments.any(is_hidden))
    }
}

/// The reply to a request for `path`, which begins with a slash.
pub(super) fn respond<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    path: &'r [u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    if path == put_script::PATH
        && let Some(offer) = put_script::offer(grant)
    {
        return offer.reply(request).unwrap_or_else(put_script::respond);
    }
    if let Some(rest) = path.strip_prefix(UPLOADS) {
        return respond_with_upload(folder, request, rest, grant, now);
    }
    let name = name_of(path);
    let kind = folder.settings.kind;
    let reads = grant.rights().reads;
    if !reads && matches!(request.method, Method::Get | Method::Head) {
        return match is_base(name, grant) && folder.shows(name) {
            true => drop_box::respond(folder, request, grant, now),
            false => not_found(request),
        };
    }
    if !folder.shows(name) {
        return match request.method {
            Method::Get | Method::Head if kind == FolderKind::Site => site::not_found(folder, request, grant),
            _ => not_found(request),
        };
    }
    let is_directory = name.is_empty() || name.ends_with(b"/");
    let offer = match folder.files.offer(grant) {
        offer if is_directory => form::offer(offer, grant.rights().allow(Deed::Manage) && !name.is_empty()),
        offer => offer,
    };
    let is_page = is_base(name, grant) && grant.allows(Deed::Upload).is_ok();
    let offer = if reads || is_page { offer } else { drop_box::offer(offer) };
    if let Some(reply) = offer.reply(request) {
        return reply;
    }
    match request.method {
        Method::Post if is_directory => form::respond(folder, request, name, grant, now),
        Method::Post | Method::Put => folder.files.upload(request, name, grant, now),
        Method::Delete | Method::Mkcol | Method::Move => {
            let destination_name = |path: &'r [u8]| path.strip_prefix(b"/").filter(|name| folder.shows(name));
            let reply = folder.files.change(request, name, destination_name, grant, now);
            if reads { reply } else { drop_box::reply_to_write(reply) }
        }
        _ if kind == FolderKind::Site => site::respond(folder, request, name, grant, now),
        _ if is_directory => respond_with_directory(folder, request, name, grant, now),
        _ => respond_with_file(folder, request, name, grant, now),
    }
}

/// What follows the first slash of a path.
fn name_of(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}

/// Whether `name` leads to the highest directory that the grant counts in. There is the page for whoever may only add files.
fn is_base(name: &[u8], grant: &Grant) -> bool {
    match (grant.base(), name.strip_suffix(b"/")) {
        (Some(b""), _) => name.is_empty(),
        (Some(base), Some(directory)) => files::path_of(directory).is_ok_and(|path| path.as_bytes() == base),
        _ => false,
    }
}

/// The reply to a request for the resource of an unfinished upload.
fn respond_with_upload<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    rest: &'r [u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    // The address of an upload contains its name. No upload has a hidden one, and the time of a search would tell
    // whether such a directory exists.
    let name = memchr::memchr(b'/', rest).map_or(&b""[..], |slash| &rest[slash + 1..]);
    match files::resumable::OFFER.reply(request) {
        Some(reply) => reply,
        None if !folder.shows(name) => not_found(request),
        None => files::resumable::respond(&mut folder.files, request, rest, grant, now),
    }
}

/// Judges a request by its method and path alone, before anything else looks at it.
///
/// # Errors
/// If its grant does not allow what it does, though the server offers that to others.
pub(super) fn check(request: &Request<'_>, path: &[u8], grant: &Grant) -> Result<(), Denied> {
    match deed_of(request, path) {
        None => Ok(()),
        Some(Deed::Read) if is_base(name_of(path), grant) => check_page(grant),
        Some(deed) if grant.offered().allow(deed) => grant.allows(deed),
        Some(_) => Ok(()),
    }
}

/// Whether there is a page at the highest directory of the grant: whoever may only add files gets a page that takes them.
fn check_page(grant: &Grant) -> Result<(), Denied> {
    match (grant.allows(Deed::Read), grant.allows(Deed::Upload)) {
        (Ok(()), _) | (_, Ok(())) => Ok(()),
        (Err(Denied::Forbidden), Err(Denied::Forbidden)) => Err(Denied::Forbidden),
        (Err(_), Err(_)) => Err(Denied::SignIn),
    }
}

/// What a request for `path` does, as far as its method and path tell; `None` if it needs no right. What the server
/// offers to nobody is refused later, whoever asks.
fn deed_of(request: &Request<'_>, path: &[u8]) -> Option<Deed> {
    let is_upload = path.starts_with(UPLOADS);
    match request.method {
        Method::Get | Method::Head | Method::Patch | Method::Delete if is_upload => Some(Deed::Upload),
        Method::Get | Method::Head if path == put_script::PATH => None,
        Method::Get | Method::Head => Some(Deed::Read),
        Method::Post | Method::Put | Method::Patch => Some(Deed::Upload),
        Method::Delete | Method::Mkcol | Method::Move => Some(Deed::Manage),
        Method::Connect | Method::Options | Method::Trace | Method::Unknown => None,
    }
}

const LINK_LACKS_SLASH: &str = "This is a folder, and the link is for a file: a link for a folder ends in a slash.";

fn respond_with_file<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    name: &'r [u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    let found = match folder.files.find(request, Cow::Borrowed(name), grant, now) {
        Ok(found) => found,
        Err(ReadError::Storage(StorageError::NotRegularFile)) => {
            return redirect_to_directory(folder, request, name, grant);
        }
        Err(error) => return files::read_error_reply(request, error),
    };
    let file_name: Cow<'_, [u8]> = percent_decode(last_segment(name)).into();
    let media_type = media_type::of(&file_name);
    let is_active = media_type::is_active(&media_type);
    let is_download = query::asks_for_download(request.target.query());
    let response = folder.files.download(found, request, media_type, now);
    if response.status.code() >= 400 {
        return Reply::Respond(response);
    }
    Reply::Respond(Response {
        same_origin_only: true,
        content_security_policy: is_active.then_some("sandbox"),
        rare: if is_download { Some(saved_as(response.rare, &file_name)) } else { response.rare },
        ..response
    })
}

/// Adds the field that makes a browser save the content under this name.
fn saved_as(others: Option<Box<RareFields>>, name: &[u8]) -> Box<RareFields> {
    let mut rare = others.unwrap_or_default();
    rare.content_disposition = Some(disposition::attachment(name));
    rare
}

fn last_segment(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)
}

/// The reply to a request for a name that is no regular file: a redirect if it is a directory whose slash is missing,
/// and otherwise a 404.
fn redirect_to_directory<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    name: &[u8],
    grant: &Grant,
) -> RouteReply<'r, F> {
    let Ok(path) = files::path_of(name) else { return not_found(request) };
    let is_directory = grant.read(&path).map_err(ReadError::from).and_then(|path| {
        let is_directory = folder.files.directory().is_directory(&path)?;
        Ok(is_directory)
    });
    match is_directory {
        // The redirect would lead out of what the link allows.
        Ok(true) if grant.base().is_none() => return error_reply(Status::NotFound, LINK_LACKS_SLASH),
        Ok(true) => {}
        Ok(false) => return not_found(request),
        Err(error) => return files::read_error_reply(request, error),
    }
    // The encoded name has no colon and no slash, so a client can read it neither as a scheme nor as another host.
    let mut location = format!("./{}/", encode::segment(path.name()));
    if let Some(query) = request.target.query() {
        location.push('?');
        location.push_str(&String::from_utf8_lossy(query));
    }
    Reply::Respond(Response {
        rare: Some(Box::new(RareFields { location: Some(location), ..RareFields::default() })),
        // A file may replace the directory, so a cache has to revalidate the redirect.
        no_cache: true,
        ..Response::new(Status::MovedPermanently)
    })
}

/// The reply to a request for a directory. `name` is empty or ends in a slash.
fn respond_with_directory<'r, F: FileSystem>(
    folder: &'r mut FolderRoutes<F>,
    request: &'r Request<'r>,
    name: &'r [u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    let path = match name.strip_suffix(b"/").map(files::path_of) {
        None => None,
        Some(Ok(path)) => Some(path),
        Some(Err(_)) => return not_found(request),
    };
    match Query::parse(request.target.query()) {
        Ok(query) if query.is_archive => respond_with_archive(folder, request, path, grant, now),
        Ok(query) => respond_with_listing(folder, request, path.as_ref(), query, grant, now),
        Err(reason) => error_reply(Status::BadRequest, reason),
    }
}

fn respond_with_archive<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    path: Option<RelativePath>,
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    let Some(permit) = archive::Permit::new(&folder.archives, folder.archives_max) else {
        return error_reply(Status::ServiceUnavailable, "The server is sending too many archives.");
    };
    let name = path.as_ref().map_or(&*folder.settings.name, RelativePath::name).to_vec();
    let shows_hidden = folder.settings.shows_hidden;
    let tree = match grant.read(path.as_ref()) {
        Ok(path) => folder.files.directory().tree(&path),
        Err(denied) => return denied_reply(denied),
    };
    let archive = match Archive::new(&tree, &name, shows_hidden, permit) {
        Ok(archive) => archive,
        Err(error) => return files::read_error_reply(request, error),
    };
    if let Some(failed) = super::text::failed_precondition(request, now) {
        return Reply::Respond(Response { no_cache: true, ..failed });
    }
    Reply::Respond(Response {
        content_type: Some(Cow::Borrowed("application/x-tar")),
        no_cache: true,
        rare: Some(saved_as(None, &[&name, &b".tar"[..]].concat())),
        nosniff: true,
        same_origin_only: true,
        body: Body::Source(FileContent::Archive(Box::new(archive))),
        ..Response::new(Status::Ok)
    })
}

fn respond_with_listing<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    path: Option<&RelativePath>,
    query: Query,
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    let readable = match grant.read(path) {
        Ok(readable) => readable,
        Err(denied) => return denied_reply(denied),
    };
    let directory = match folder.files.directory().list(&readable, SymlinkedDirectories::Include) {
        Ok(directory) => directory,
        Err(error) => return files::read_error_reply(request, error),
    };
    if let Some(failed) = super::text::failed_precondition(request, now) {
        return Reply::Respond(Response { varies_by_media_type: true, no_cache: true, ..failed });
    }
    let format = query.format.unwrap_or_else(|| negotiated_format(request));
    let uploads = grant.rights().uploads;
    let options = ListingOptions {
        format,
        path: path.map_or(b"/".to_vec(), |path| [b"/", path.as_bytes(), b"/"].concat()),
        sort: query.sort,
        order: query.order,
        uploads,
        upload_bytes_max: grant.upload_bytes_max(),
        account: grant.account().cloned(),
        could_do_more: grant.could_do_more(),
        base_segments: segments(grant.base().unwrap_or_default()).count(),
        expires_unix_s: grant.expires_unix_s(),
        shows_hidden: folder.settings.shows_hidden,
        now_unix_s: now.unix_s(),
    };
    let listing = Listing::new(directory, options, &folder.buffered_entries);
    Reply::Respond(Response {
        content_type: Some(Cow::Borrowed(content_type_of(format))),
        varies_by_media_type: true,
        no_cache: true,
        nosniff: true,
        same_origin_only: true,
        content_security_policy: (format == Format::Html).then(|| page::content_security_policy(uploads)),
        body: Body::Source(FileContent::Listing(Box::new(listing))),
        ..Response::new(Status::Ok)
    })
}

/// The segments of a decoded path.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty())
}

/// In order of preference if the client likes several equally.
const FORMATS: [(Format, &str); 3] =
    [(Format::Html, "text/html"), (Format::Json, "application/json"), (Format::Text, "text/plain")];

/// The format that Accept asks for; HTML if it accepts none of the formats.
fn negotiated_format(request: &Request<'_>) -> Format {
    let index = accept::negotiate(&request.fields, &FORMATS.map(|(_, media_type)| media_type));
    index.and_then(|index| FORMATS.get(index)).map_or(Format::Html, |(format, _)| *format)
}

fn content_type_of(format: Format) -> &'static str {
    match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Json => "application/json",
        Format::Text => "text/plain; charset=utf-8",
    }
}
