//! The routing table and the routes in it, or one shared folder in place of the table.
//!
//! # Laws
//!
//! 1. Rules that hold for every resource are in this file: a method that the server does not know is a 501; a path
//!    without a resource is a 404; a write that a page of another site made a browser send is a 403; a method that
//!    the resource does not offer is a 405 with Allow; OPTIONS is a 204 with Allow.
//! 2. A route is a plain function from a request to a reply. It replies at once, so nothing has to be remembered
//!    between a request and its reply. It knows nothing of the connection.
//! 3. A route handles HEAD as it handles GET, and the connection leaves the content out, so both have the same
//!    fields. The exception is Range, which counts only for GET (RFC 9110 §14.2).
//! 4. An error is a status and one line of text that says why. A 404 has that line only for clients that name a text
//!    type in Accept, as browsers do. For all others it has no content.

mod content;
mod echo;
mod files;
mod folder;
mod links;
mod put_script;
mod root;
mod sink;
mod text;
mod user_agent;

pub use content::FileContent;
pub use files::{FileCommit, FileRoutes, UploadSettings};
pub use folder::{ARCHIVE_DESCRIPTORS, ARCHIVES_MAX, FORM_NAMES_BYTES_MAX, FolderKind, FolderRoutes, FolderSettings};
pub use links::{Links, decoded_path};
pub use sink::FileSink;

use std::rc::Rc;

use percent_encoding::percent_decode;

use self::text::Compressor;
use crate::semantics::Now;
use crate::semantics::accept;
use crate::semantics::access::{Access, WrongCredentials};
use crate::semantics::accounts::AccountSource;
use crate::semantics::fields::FieldName;
use crate::semantics::link;
use crate::semantics::method::Method;
use crate::semantics::origin;
use crate::semantics::request::Request;
use crate::semantics::response::{RareFields, Response, UploadStatus};
use crate::semantics::resumable_upload::UploadLimits;
use crate::semantics::rights::{Deed, Denied, Grant, Rights, UploadPolicy};
use crate::semantics::service::{Reply, Service};
use crate::semantics::statistics::RouteStatistics;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Native};

/// What a route returns.
pub type RouteReply<'r, F = Native> = Reply<'r, FileContent<F>, FileSink<F>>;

/// Which paths a route serves.
enum Pattern {
    /// Exactly this path.
    Exactly(&'static [u8]),
    /// Every path with this prefix. The route interprets the rest.
    Below(&'static [u8]),
}

impl Pattern {
    /// The part of `path` that the route interprets; `None` if the route does not serve the path.
    #[inline]
    fn rest<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let (Pattern::Exactly(prefix) | Pattern::Below(prefix)) = self;
        // A shortcut: after the first slash, each prefix of the table begins with another byte.
        if let (Some(byte), Some(expected)) = (path.get(1), prefix.get(1))
            && byte != expected
            && *byte != b'%'
        {
            return None;
        }
        let rest = without_prefix(path, prefix)?;
        (rest.is_empty() || matches!(self, Pattern::Below(_))).then_some(rest)
    }
}

/// What follows `prefix` in `path`. Unreserved bytes of the prefix may be percent-encoded, since both forms name the
/// same resource (RFC 9110 §4.2.3). An encoded slash does not match a slash.
fn without_prefix<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = path.strip_prefix(prefix) {
        return Some(rest);
    }
    let equal = path.iter().zip(prefix).take_while(|(byte, expected)| byte == expected).count();
    let (path, prefix) = (&path[equal..], &prefix[equal..]);
    match (prefix, path) {
        ([], _) => Some(path),
        ([expected, prefix @ ..], [b'%', ..])
            if *expected != b'/' && percent_decode(path).next() == Some(*expected) =>
        {
            without_prefix(path.get(3..)?, prefix)
        }
        _ => None,
    }
}

/// Responds to a request for what the rest of the path names.
type Respond<F> = for<'r> fn(&'r mut Routes<F>, &'r Request<'r>, &'r [u8], &Grant, &Now) -> RouteReply<'r, F>;

/// One entry of the routing table.
struct Route<F: FileSystem> {
    pattern: Pattern,
    /// What the resource that the rest of the path names offers under a grant; `None` if there is no such resource.
    offer: fn(&Routes<F>, &[u8], &Grant) -> Option<Offer>,
    respond: Respond<F>,
}

/// The methods that a resource offers.
#[derive(Clone, Copy)]
struct Offer {
    methods: &'static [Method],
    /// What clients may do with files, if the resource is a file or a directory.
    uploads: Option<UploadPolicy>,
    /// Whether POST takes a form that contains files. The response to OPTIONS says so in Accept-Post.
    takes_forms: bool,
    /// The limits of resumable uploads, which the response to OPTIONS contains, with Accept-Patch; `None` if there are none.
    upload_limits: Option<UploadLimits>,
}

impl Offer {
    const READ_ONLY: Offer = Offer {
        methods: &[Method::Get, Method::Head, Method::Options],
        uploads: None,
        takes_forms: false,
        upload_limits: None,
    };

    /// The reply to a request that its route need not see: 403, 405 or the reply to OPTIONS. `None` if the route has to
    /// respond.
    #[inline]
    fn reply<'r, F: FileSystem>(&self, request: &Request<'_>) -> Option<RouteReply<'r, F>> {
        if origin::is_cross_origin_write(request) {
            return Some(error_reply(Status::Forbidden, CROSS_ORIGIN));
        }
        if !self.methods.contains(&request.method) {
            return Some(method_not_allowed(self.methods, self.refusal(request.method)));
        }
        (request.method == Method::Options).then(|| self.description())
    }

    /// Why a method is not offered.
    fn refusal(&self, method: Method) -> &'static str {
        match (method, self.uploads) {
            (Method::Post | Method::Put, Some(UploadPolicy::Off)) => UPLOADS_ARE_OFF,
            (Method::Delete | Method::Mkcol | Method::Move, Some(policy)) if policy != UploadPolicy::Manage => {
                CHANGES_ARE_OFF
            }
            _ => METHOD_NOT_OFFERED,
        }
    }

    /// The reply to OPTIONS.
    fn description<'r, F: FileSystem>(&self) -> RouteReply<'r, F> {
        let limit = self.upload_limits.map(|limits| limits.field_value());
        let upload =
            limit.map(|limit| UploadStatus { limit: Some(limit), accepts_patch: true, ..UploadStatus::default() });
        let rare = RareFields { upload, accepts_forms: self.takes_forms, ..RareFields::default() };
        let rare = (rare != RareFields::default()).then(|| Box::new(rare));
        Reply::Respond(Response { allow: Some(self.methods), rare, ..Response::new(Status::NoContent) })
    }
}

/// The reply to a request that may not do what it asks for.
fn denied_reply<'r, F: FileSystem>(denied: Denied) -> RouteReply<'r, F> {
    match denied {
        Denied::Forbidden => error_reply(Status::Forbidden, DENIED),
        Denied::SignIn => challenge(UNAUTHENTICATED),
    }
}

/// A 401, after which a browser asks its user for name and secret.
fn challenge<'r, F: FileSystem>(reason: &'static str) -> RouteReply<'r, F> {
    Reply::Respond(Response {
        rare: Some(Box::new(RareFields { challenge: true, ..RareFields::default() })),
        ..Response::with_reason(Status::Unauthorized, reason)
    })
}

const WRONG_CREDENTIALS: &str = "No account has this name and this secret.";
const UNAUTHENTICATED: &str = "This needs the name and the secret of an account that may do it.";

const DENIED: &str = "You have no right to do this here.";
const CHANGES_ARE_OFF: &str = "Deleting, moving and creating directories are turned off on this server.";
const CROSS_ORIGIN: &str = "A browser says that this request comes from another site.";
const METHOD_NOT_OFFERED: &str = "The method is not offered at this target.";
const MISDIRECTED: &str = "The folder is not shared under this host name. The server's option --host NAME adds one.";
const NOT_FOUND: &str = "There is nothing at this address.";
const PRECONDITION_FAILED: &str = "A precondition of the request does not hold.";
const UPLOADS_ARE_OFF: &str = "Uploads are turned off on this server.";

/// The prefix of the paths of unfinished uploads.
const UPLOADS: &[u8] = files::resumable::PREFIX.as_bytes();

/// The routes, and the state that they share.
pub struct Routes<F: FileSystem = Native> {
    files: Option<FileRoutes<F>>,
    /// If a folder is shared, it is served in place of the table.
    folder: Option<FolderRoutes<F>>,
    access: Access,
    /// Where the accounts come from, if there are any.
    account_source: Option<Box<dyn AccountSource>>,
    /// The account of the last request.
    account: Option<Rc<str>>,
    /// `None` if no links are accepted.
    links: Option<Links>,
    compressor: Compressor,
    /// Whether the last call may have waited for the disk.
    used_disk: bool,
}

impl<F: FileSystem> Routes<F> {
    const TABLE: &'static [Route<F>] = &[
        Route { pattern: Pattern::Exactly(b"/"), offer: |_, _, _| Some(Offer::READ_ONLY), respond: root::respond },
        Route { pattern: Pattern::Below(b"/echo/"), offer: |_, rest, _| echo::offer(rest), respond: echo::respond },
        Route {
            pattern: Pattern::Exactly(b"/user-agent"),
            offer: |_, _, _| Some(Offer::READ_ONLY),
            respond: user_agent::respond,
        },
        Route {
            pattern: Pattern::Below(b"/files/"),
            offer: |routes, _, grant| routes.files.as_ref().map(|files| files.offer(grant)),
            respond: files::respond,
        },
        Route {
            pattern: Pattern::Exactly(put_script::PATH),
            offer: |_, _, grant| put_script::offer(grant),
            respond: |_, _, _, _, _| put_script::respond(),
        },
        Route {
            pattern: Pattern::Below(UPLOADS),
            offer: |routes, _, _| routes.files.as_ref().map(|_| files::resumable::OFFER),
            respond: |routes, request, rest, grant, now| {
                routes.used_disk = true;
                respond_with_upload(routes.files.as_mut(), request, rest, grant, now)
            },
        },
    ];

    /// The routes of the table. `/files/` has resources only if there are `files`.
    pub fn new(files: Option<FileRoutes<F>>) -> Routes<F> {
        let offered = files.as_ref().map_or(Rights::NONE, FileRoutes::offered);
        let access = Access::for_everybody(offered, files.as_ref().and_then(FileRoutes::upload_bytes_max));
        Routes {
            files,
            folder: None,
            access,
            account_source: None,
            account: None,
            links: None,
            compressor: Compressor::new(),
            used_disk: false,
        }
    }

    /// Accepts links, if a folder is shared. If there are no accounts, only the uploads of `policy` are allowed without a
    /// link.
    pub fn with_links(self, links: Links, policy: UploadPolicy) -> Routes<F> {
        Routes { links: Some(links), access: self.access.with_uploads_for_everybody(policy), ..self }
    }

    /// A shared folder at `/`, and no other resource.
    pub fn shared_folder(folder: FolderRoutes<F>) -> Routes<F> {
        let access = Access::for_everybody(folder.offered(), folder.files().upload_bytes_max());
        Routes { folder: Some(folder), access, ..Routes::new(None) }
    }

    /// Lets nobody do more than the accounts say, which are read now and at each [`reload`](Service::reload).
    ///
    /// # Errors
    /// One line, if they cannot be read.
    pub fn with_accounts(mut self, mut source: Box<dyn AccountSource>) -> Result<Routes<F>, String> {
        self.access.set_accounts(source.read()?);
        Ok(Routes { account_source: Some(source), ..self })
    }

    fn respond_from_table<'r>(
        &'r mut self,
        request: &'r Request<'r>,
        path: &'r [u8],
        grant: &Grant,
        now: &Now,
    ) -> RouteReply<'r, F> {
        for route in Self::TABLE {
            let Some(rest) = route.pattern.rest(path) else { continue };
            let Some(offer) = (route.offer)(self, rest, grant) else { break };
            return match offer.reply(request) {
                Some(reply) => reply,
                None => (route.respond)(self, request, rest, grant, now),
            };
        }
        not_found(request)
    }

    fn respond_from_folder<'r>(
        &'r mut self,
        request: &'r Request<'r>,
        path: &'r [u8],
        grant: &Grant,
        now: &Now,
    ) -> RouteReply<'r, F> {
        if let Err(denied) = folder::check(request, path, grant) {
            // A browser would ask its user to sign in for the page of another site.
            let is_cross_origin = origin::is_cross_origin_write(request);
            return if is_cross_origin { error_reply(Status::Forbidden, CROSS_ORIGIN) } else { denied_reply(denied) };
        }
        self.used_disk = true;
        match &mut self.folder {
            Some(folder) => folder::respond(folder, request, path, grant, now),
            None => not_found(request),
        }
    }

    /// The reply to OPTIONS of the whole server. It says that resumable uploads are supported, if that is so of any target.
    fn describe_server<'r>(grant: &Grant) -> RouteReply<'r, F> {
        let rare = grant.rights().allow(Deed::Upload).then(|| {
            let upload = Some(UploadStatus { accepts_patch: true, ..UploadStatus::default() });
            Box::new(RareFields { upload, ..RareFields::default() })
        });
        Reply::Respond(Response { rare, ..Response::new(Status::NoContent) })
    }

    /// What the routes have counted.
    pub fn statistics(&self) -> RouteStatistics {
        self.files().map(FileRoutes::statistics).unwrap_or_default()
    }

    fn files(&self) -> Option<&FileRoutes<F>> {
        self.folder.as_ref().map(FolderRoutes::files).or(self.files.as_ref())
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
        // Returned as it is. A response is large, and moved once more if it may be changed.
        if !self.access.has_accounts() {
            return self.respond(request, now);
        }
        let mut reply = self.respond(request, now);
        if let Reply::Respond(response) = &mut reply {
            show_to_client_alone(response, request.fields.contains(FieldName::Authorization));
        }
        reply
    }

    fn may_have_blocked(&self) -> bool {
        self.used_disk || self.compressor.is_used()
    }

    fn account(&self) -> Option<&Rc<str>> {
        self.account.as_ref()
    }

    fn reload(&mut self) -> Vec<String> {
        let mut reloaded = Vec::new();
        if let Some(source) = &mut self.account_source {
            match source.read() {
                Ok(accounts) => {
                    reloaded.push(format!("accounts read again: {}", accounts.iter().len()));
                    self.access.set_accounts(accounts);
                }
                Err(problem) => log::warn!("{problem}; the old accounts stay in force"),
            }
        }
        reloaded.extend(self.links.as_mut().and_then(Links::reload));
        reloaded
    }

    fn deadline_ns(&self) -> Option<u64> {
        self.files().and_then(FileRoutes::deadline_ns)
    }

    fn deadline_passed(&mut self, now: &Now) {
        if let Some(files) = self.file_routes() {
            files.deadline_passed(now);
        }
    }

    fn commit<K>(&mut self, group: Vec<(K, FileCommit<F>)>, now: &Now) -> Vec<(K, Response<'static, FileContent<F>>)> {
        files::commit(group, now)
    }
}

impl<F: FileSystem> Routes<F> {
    fn respond<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> RouteReply<'r, F> {
        self.used_disk = false;
        self.account = None;
        self.compressor.begin_request();
        if request.method == Method::Unknown {
            return error_reply(Status::NotImplemented, "The server does not know this method.");
        }
        if let Some(folder) = &self.folder
            && !folder.allows_host_of(request)
        {
            return error_reply(Status::MisdirectedRequest, MISDIRECTED);
        }
        if let Some(links) = &self.links
            && let Some((text, path)) = request.target.path().and_then(link::split)
        {
            return match links.grant(&self.access, text, path, now) {
                Ok(grant) => links::secretive(self.respond_from_folder(request, path, &grant, now)),
                Err(error) => links::refusal(error),
            };
        }
        let grant = match self.access.grant_of(request) {
            Ok(grant) => grant,
            Err(WrongCredentials) => return challenge(WRONG_CREDENTIALS),
        };
        if let Some(account) = grant.account() {
            self.account = Some(Rc::clone(account));
        }
        if request.is_about_server() {
            return Self::describe_server(&grant);
        }
        // CONNECT has an authority in place of a path.
        let Some(path) = request.target.path() else { return method_not_allowed(&[], METHOD_NOT_OFFERED) };
        // A `match` alone would borrow `self` for the reply's lifetime in both of its arms.
        if self.folder.is_none() {
            return self.respond_from_table(request, path, &grant, now);
        }
        if let Some(folder) = &self.folder
            && self.access.has_accounts()
            && let Some(reply) = folder::sign_in::respond(folder, request, path, &grant)
        {
            return reply;
        }
        self.respond_from_folder(request, path, &grant, now)
    }
}

/// Completes the response of a server with accounts: no cache may show it to another client, and not even the same browser
/// later without asking again, because rights may have changed.
fn show_to_client_alone<B>(response: &mut Response<'_, B>, is_authenticated: bool) {
    response.varies_by_credentials = true;
    response.is_private = is_authenticated;
    response.no_cache |= is_authenticated;
}

/// The reply to a request for the resource of an unfinished upload. `rest` follows [`UPLOADS`] in the path.
fn respond_with_upload<'r, F: FileSystem>(
    files: Option<&mut FileRoutes<F>>,
    request: &Request<'_>,
    rest: &[u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    match files {
        Some(files) => files::resumable::respond(files, request, rest, grant, now),
        None => not_found(request),
    }
}

/// A 404. It has content only for clients that name a text type in Accept, as browsers do: without content a browser
/// shows an error page of its own. The challenge expects no content.
fn not_found<'r, F: FileSystem>(request: &Request<'_>) -> RouteReply<'r, F> {
    let reads_text = ["text/html", "text/plain"].iter().any(|media_type| accept::names(&request.fields, media_type));
    if !reads_text {
        return Reply::Respond(Response::new(Status::NotFound));
    }
    Reply::Respond(Response { varies_by_media_type: true, ..Response::with_reason(Status::NotFound, NOT_FOUND) })
}

fn method_not_allowed<'r, F: FileSystem>(methods: &'static [Method], reason: &'static str) -> RouteReply<'r, F> {
    Reply::Respond(Response { allow: Some(methods), ..Response::with_reason(Status::MethodNotAllowed, reason) })
}

/// A response for a case that only a bug can cause. `invariant` says what should have been true. A debug build
/// panics. A release build logs the bug and responds with 500, so that it never sends content that was not requested.
fn internal_error<'r, F: FileSystem>(invariant: &'static str) -> Response<'r, FileContent<F>> {
    debug_assert!(false, "{invariant}");
    log::error!("the server breaks a rule of its own: {invariant}");
    Response::with_reason(Status::InternalServerError, invariant)
}

fn error_reply<'r, F: FileSystem>(status: Status, reason: &'static str) -> RouteReply<'r, F> {
    Reply::Respond(Response::with_reason(status, reason))
}
