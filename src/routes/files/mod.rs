//! `/files/{path}`: the files beneath the served directory.

mod download;
mod multipart;
mod upload;
mod validators;

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use percent_encoding::percent_decode;

pub(super) use self::download::{Found, asks_for_parts, read_error_reply};
pub(super) use self::multipart::Parts;
pub use self::upload::FileSink;
use self::validators::{FileVersion, OwnUploads};
use super::{FileContent, READ_ONLY, RouteReply, Routes, internal_error, refuse};
use crate::semantics::Now;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{Directory, FileCache, FileSystem, Native, PathError, RelativePath, StorageError};

const BYTES: Cow<'static, str> = Cow::Borrowed("application/octet-stream");

/// Why a file was neither read nor stored that others would not leave alone.
const BUSY: &str = "The directory is being changed by others at the moment.";

/// What may be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadPolicy {
    /// Any name; an existing file is replaced.
    Replace,
    /// Only names under which nothing stands.
    Create,
    /// Nothing.
    Off,
}

/// How uploads are taken.
#[derive(Clone, Copy, Debug)]
pub struct UploadSettings {
    /// What may be uploaded.
    pub policy: UploadPolicy,
    /// The longest content, in bytes; `None` for as much as the disk holds.
    pub bytes_max: Option<u64>,
    /// Whether an upload is acknowledged only when it is on the disk.
    pub durable: bool,
}

/// The routes below `/files/`.
pub struct FileRoutes<F: FileSystem = Native> {
    directory: Directory<F>,
    uploads: UploadSettings,
    /// What this run has published lately. Shared with the sinks, which outlive the call that makes them.
    own_uploads: Rc<RefCell<OwnUploads>>,
    /// Files that are requested often, with the fields that describe them.
    cache: FileCache<FileVersion, F>,
    /// Where the boundaries of parts come from.
    random: fastrand::Rng,
}

impl<F: FileSystem> FileRoutes<F> {
    /// Serves `directory`. At most `open_files_max` files stay open between requests. The boundaries between parts are made
    /// from `seed`, which nobody may be able to foresee: a file must not be able to hold them.
    pub fn new(directory: Directory<F>, uploads: UploadSettings, open_files_max: usize, seed: u64) -> FileRoutes<F> {
        FileRoutes {
            directory,
            uploads,
            own_uploads: Rc::default(),
            cache: FileCache::new(open_files_max),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    pub(super) fn deadline_ns(&self) -> Option<u64> {
        self.cache.deadline_ns()
    }

    pub(super) fn deadline_passed(&mut self, now: &Now) {
        self.cache.evict_unused(now.monotonic_ns);
    }

    /// A boundary that no answer before has had.
    fn next_boundary(&mut self) -> u64 {
        self.random.u64(..)
    }

    pub(super) fn directory(&self) -> &Directory<F> {
        &self.directory
    }

    pub(super) fn upload_policy(&self) -> UploadPolicy {
        self.uploads.policy
    }

    /// Finds the file that a GET or HEAD asks for. `name` is the path below these routes as the target has it.
    pub(super) fn find<'n>(
        &mut self,
        request: &Request<'_>,
        name: Cow<'n, [u8]>,
        now: &Now,
    ) -> Result<Found<'n, F>, StorageError> {
        download::find(self, request, name, now)
    }

    /// The response to a GET or HEAD, with the file that [`find`](FileRoutes::find) has found.
    pub(super) fn download<'r>(
        &'r mut self,
        found: Found<'_, F>,
        request: &Request<'_>,
        media_type: Cow<'r, str>,
        now: &Now,
    ) -> Response<'r, FileContent<F>> {
        download::respond(self, found, request, media_type, now)
    }

    /// The reply to a POST or PUT of the file that `name` leads to.
    pub(super) fn upload<'r>(&self, request: &Request<'_>, name: &[u8], now: &Now) -> RouteReply<'r, F> {
        match path_of(name) {
            Ok(path) => upload::respond(self, request, &path, now),
            Err(_) => refuse(Status::BadRequest, "No file can have this name here."),
        }
    }

    pub(super) fn methods(&self) -> &'static [Method] {
        match self.uploads.policy {
            UploadPolicy::Off => READ_ONLY,
            UploadPolicy::Replace | UploadPolicy::Create => {
                &[Method::Get, Method::Head, Method::Post, Method::Put, Method::Options]
            }
        }
    }
}

pub(super) fn respond<'r, F: FileSystem>(
    routes: &'r mut Routes<F>,
    request: &'r Request<'r>,
    name: &'r [u8],
    now: &Now,
) -> RouteReply<'r, F> {
    routes.used_disk = true;
    let Some(files) = &mut routes.files else {
        return Reply::Respond(internal_error("A file is asked for only where a directory is served."));
    };
    match request.method {
        Method::Post | Method::Put => files.upload(request, name, now),
        _ => match files.find(request, Cow::Borrowed(name), now) {
            Ok(found) => Reply::Respond(files.download(found, request, BYTES, now)),
            Err(error) => read_error_reply(&error),
        },
    }
}

/// The segments are split before they are decoded, and decoded once: an encoded slash or dot is judged as what it is.
///
/// A segment `.` is left out, since programs that join a base and a relative name send it. At the end it would name a
/// directory (RFC 3986 §5.2.4), and is refused like every name that ends in a slash.
pub(super) fn path_of(name: &[u8]) -> Result<RelativePath, PathError> {
    let (directories, last) = match memchr::memrchr(b'/', name) {
        Some(slash) => (Some(&name[..slash]), &name[slash + 1..]),
        None => (None, name),
    };
    let directories = directories.into_iter().flat_map(|names| names.split(|byte| *byte == b'/')).map(decoded);
    RelativePath::from_segments(directories.filter(|segment| **segment != *b".").chain([decoded(last)]))
}

fn decoded(segment: &[u8]) -> Cow<'_, [u8]> {
    Cow::from(percent_decode(segment))
}
