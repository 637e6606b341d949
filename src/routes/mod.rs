//! The routing table, and one file or folder a resource.
//!
//! # Laws
//!
//! 1. What holds for all resources is decided here: 404, 405 with Allow, 501, OPTIONS, and that a page of another site
//!    changes nothing.
//! 2. A route is a plain function from a request to a reply. It answers at once, and knows nothing of the connection.
//! 3. HEAD is a GET whose content the connection leaves out: no route tells them apart but to ignore a Range.
//! 4. A refusal is a status and one line of reason. A read that finds nothing says nothing.

mod content;
mod echo;
mod files;
mod folder;
mod root;
mod text;
mod user_agent;

pub use content::FileContent;
pub use files::{FileRoutes, FileSink, UploadPolicy, UploadSettings};
pub use folder::{AllowedHosts, FolderRoutes, FolderSettings};

use percent_encoding::percent_decode;

use self::text::Compressor;
use crate::semantics::Now;
use crate::semantics::method::Method;
use crate::semantics::origin;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::service::{Reply, Service};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Native};

/// What a route says.
pub type RouteReply<'r, F = Native> = Reply<'r, FileContent<F>, FileSink<F>>;

/// What paths a route serves.
enum Pattern {
    /// This one.
    Exactly(&'static [u8]),
    /// Those that begin so. The rest is handed to the route.
    Below(&'static [u8]),
}

impl Pattern {
    /// What of `path` is the route's to interpret; `None` where it is not the route's path.
    fn rest<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Pattern::Exactly(whole) => without_prefix(path, whole).filter(|rest| rest.is_empty()),
            Pattern::Below(prefix) => without_prefix(path, prefix),
        }
    }
}

/// What follows `prefix` in `path`. Its unreserved bytes may be percent-encoded and name the same resource (RFC 9110
/// §4.2.3); an encoded slash is another byte than a slash.
fn without_prefix<'a>(mut path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = path.strip_prefix(prefix) {
        return Some(rest);
    }
    for expected in prefix {
        let is_encoded = path.first() == Some(&b'%');
        let byte = percent_decode(path).next()?;
        if byte != *expected || is_encoded && byte == b'/' {
            return None;
        }
        path = path.get(if is_encoded { 3 } else { 1 }..)?;
    }
    Some(path)
}

/// One line of the table.
struct Route<F: FileSystem> {
    pattern: Pattern,
    /// What is offered at the resource that the rest of the path names; `None` where there is no such resource.
    methods: fn(&Routes<F>, &[u8]) -> Option<&'static [Method]>,
    respond: for<'r> fn(&'r mut Routes<F>, &'r Request<'r>, &'r [u8], &Now) -> RouteReply<'r, F>,
}

/// Why a request was not done whose preconditions do not hold.
const PRECONDITION_FAILED: &str = "A precondition of the request does not hold.";

/// Why a write was not done that a browser was made to send.
const OTHER_SITE: &str = "A browser says that this request comes from another site.";

/// Why a request was not done whose Host is none of this machine's names.
const OTHER_HOST: &str = "The folder is not shared under this host name. The server's option --host NAME adds one.";

/// What a resource offers that can only be read.
const READ_ONLY: &[Method] = &[Method::Get, Method::Head, Method::Options];

/// The routes, and what they work with.
pub struct Routes<F: FileSystem = Native> {
    files: Option<FileRoutes<F>>,
    /// In the place of the table, where a folder is shared.
    folder: Option<FolderRoutes<F>>,
    compressor: Compressor,
    /// Whether the last answer looked at the disk.
    used_disk: bool,
}

impl<F: FileSystem> Routes<F> {
    const TABLE: &'static [Route<F>] = &[
        Route { pattern: Pattern::Exactly(b"/"), methods: |_, _| Some(READ_ONLY), respond: root::respond },
        Route { pattern: Pattern::Below(b"/echo/"), methods: |_, rest| echo::methods(rest), respond: echo::respond },
        Route {
            pattern: Pattern::Exactly(b"/user-agent"),
            methods: |_, _| Some(READ_ONLY),
            respond: user_agent::respond,
        },
        Route {
            pattern: Pattern::Below(b"/files/"),
            methods: |routes, _| routes.files.as_ref().map(FileRoutes::methods),
            respond: files::respond,
        },
    ];

    /// The routes; `/files/` is among them if there is a directory to serve.
    pub fn new(files: Option<FileRoutes<F>>) -> Routes<F> {
        Routes { files, folder: None, compressor: Compressor::new(), used_disk: false }
    }

    /// A shared folder, at `/`, and nothing else.
    pub fn shared_folder(folder: FolderRoutes<F>) -> Routes<F> {
        Routes { folder: Some(folder), ..Routes::new(None) }
    }

    fn respond_from_table<'r>(&'r mut self, request: &'r Request<'r>, path: &'r [u8], now: &Now) -> RouteReply<'r, F> {
        for route in Self::TABLE {
            let Some(rest) = route.pattern.rest(path) else { continue };
            let Some(methods) = (route.methods)(self, rest) else { break };
            if origin::is_cross_origin_write(request) {
                return refuse(Status::Forbidden, OTHER_SITE);
            }
            if !methods.contains(&request.method) {
                return method_not_allowed(methods);
            }
            if request.method == Method::Options {
                return Reply::Respond(Response { allow: Some(methods), ..Response::new(Status::NoContent) });
            }
            return (route.respond)(self, request, rest, now);
        }
        not_found()
    }

    fn file_routes(&mut self) -> Option<&mut FileRoutes<F>> {
        match &mut self.folder {
            Some(folder) => Some(folder.files_mut()),
            None => self.files.as_mut(),
        }
    }
}

impl<F: FileSystem> Service for Routes<F> {
    type Source = FileContent<F>;
    type Sink = FileSink<F>;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> RouteReply<'r, F> {
        self.used_disk = false;
        self.compressor.begin();
        if request.method == Method::Unknown {
            return refuse(Status::NotImplemented, "The method is not known here.");
        }
        if let Some(folder) = &self.folder
            && !folder.serves_host_of(request)
        {
            return refuse(Status::MisdirectedRequest, OTHER_HOST);
        }
        if request.is_about_server() {
            return Reply::Respond(Response::new(Status::NoContent));
        }
        // An authority-form, that of CONNECT: there is no path, and nothing is offered.
        let Some(path) = request.target.path() else { return method_not_allowed(&[]) };
        // Asked first, since a reply may borrow what it is made from.
        if self.folder.is_none() {
            return self.respond_from_table(request, path, now);
        }
        self.used_disk = true;
        match &mut self.folder {
            Some(folder) => folder::respond(folder, request, path, now),
            None => not_found(),
        }
    }

    fn may_have_blocked(&self) -> bool {
        self.used_disk || self.compressor.is_used()
    }

    fn deadline_ns(&self) -> Option<u64> {
        let files = self.folder.as_ref().map(FolderRoutes::files).or(self.files.as_ref());
        files.and_then(FileRoutes::deadline_ns)
    }

    fn deadline_passed(&mut self, now: &Now) {
        if let Some(files) = self.file_routes() {
            files.deadline_passed(now);
        }
    }
}

fn not_found<'r, F: FileSystem>() -> RouteReply<'r, F> {
    Reply::Respond(Response::new(Status::NotFound))
}

fn method_not_allowed<'r, F: FileSystem>(methods: &'static [Method]) -> RouteReply<'r, F> {
    Reply::Respond(Response {
        allow: Some(methods),
        ..Response::with_reason(Status::MethodNotAllowed, "The method is not offered at this target.")
    })
}

/// The response where the server breaks a rule of its own. It stops a debug build; a release one says so and goes on, and
/// never sends content that was not asked for.
fn internal_error<'r, F: FileSystem>(rule: &'static str) -> Response<'r, FileContent<F>> {
    debug_assert!(false, "{rule}");
    log::error!("the server breaks a rule of its own: {rule}");
    Response::with_reason(Status::InternalServerError, rule)
}

/// An answer that says why the request was not done.
fn refuse<'r, F: FileSystem>(status: Status, reason: &'static str) -> RouteReply<'r, F> {
    Reply::Respond(Response::with_reason(status, reason))
}
