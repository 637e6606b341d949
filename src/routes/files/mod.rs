//! `/files/{path}`: reads and writes the files below the served directory. A shared folder uses the same code.

mod changes;
mod conditions;
mod download;
mod form_files;
mod guarded;
mod multipart;
pub(super) mod resumable;
mod upload;
mod validators;
mod verification;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use percent_encoding::percent_decode;

pub(super) use self::changes::DIRECTORY_METHODS;
pub(super) use self::download::{Found, ReadError, asks_for_parts, read_error_reply};
pub(super) use self::form_files::{FormFile, FormFiles};
use self::guarded::GuardedDirectory;
pub(super) use self::guarded::Tree;
pub(super) use self::multipart::Parts;
use self::resumable::Resumable;
pub(super) use self::resumable::ResumableSink;
pub use self::upload::FileCommit;
pub(super) use self::upload::{FileUpload, Refusal, check_coding, commit};
use self::validators::{FileVersion, OwnUploads};
pub(super) use self::verification::announces_digest;
use super::{FileContent, Offer, RouteReply, Routes, denied_reply, error_reply, internal_error, without_prefix};
use crate::semantics::Now;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::rights::{Grant, Rights, UploadPolicy};
use crate::semantics::service::Reply;
use crate::semantics::statistics::RouteStatistics;
use crate::semantics::status::Status;
use crate::storage::{Directory, FileCache, FileSystem, Native, PathError, RelativePath};

/// The media type of a form that contains files (RFC 7578).
pub(super) const FORM_DATA: &[u8] = b"multipart/form-data";

const OCTET_STREAM: Cow<'static, str> = Cow::Borrowed("application/octet-stream");

/// The reason of a 503 to a read or an upload: other processes moved directories about at every attempt.
const BUSY: &str = "The directory is being changed by others at the moment.";

/// The reason of a 400 to an upload.
pub(super) const INVALID_NAME: &str = "No file can have this name here.";

/// How uploads are handled.
#[derive(Clone, Copy, Debug)]
pub struct UploadSettings {
    /// Which uploads are allowed to anybody at most.
    pub policy: UploadPolicy,
    /// The longest content, in bytes; `None` if only the disk sets a limit.
    pub bytes_max: Option<u64>,
    /// Whether an upload is flushed to the disk before its response is sent.
    pub durable: bool,
    /// For how long an unfinished resumable upload is kept after its last byte, in seconds.
    pub age_s_max: u64,
    /// How many unfinished resumable uploads the server keeps at most.
    pub pending_max: usize,
}

/// How uploads are stored, whoever sends them.
#[derive(Clone, Copy, Debug)]
pub(in crate::routes) struct Storing {
    durable: bool,
    age_s_max: u64,
    pending_max: usize,
}

/// The routes below `/files/`.
pub struct FileRoutes<F: FileSystem = Native> {
    directory: GuardedDirectory<F>,
    /// What is offered to anybody at most, and the longest upload.
    offered: Rights,
    upload_bytes_max: Option<u64>,
    storing: Storing,
    /// The latest uploads of this run. Shared with the sinks, which outlive the call that creates them.
    own_uploads: Rc<RefCell<OwnUploads>>,
    resumable: RefCell<Resumable<F>>,
    /// Resumable uploads that were refused because there were too many.
    uploads_refused: Cell<u64>,
    /// Files that are requested often, with the fields that describe them.
    cache: FileCache<FileVersion, F>,
    /// The source of the boundaries between parts.
    random: fastrand::Rng,
}

impl<F: FileSystem> FileRoutes<F> {
    /// Serves `directory`, whoever may do what. At most `open_files_max` files stay open between requests.
    ///
    /// The boundaries between parts are made from `seed`. It must be unpredictable: whoever could foresee a boundary
    /// could upload a file that contains it, and a client would then split that file in the wrong place.
    ///
    /// `upload_ids` returns 128 random bits for each resumable upload, or `None` if the system has none. They
    /// must be unpredictable too: whoever could foresee them could write to the uploads of others.
    pub fn new(
        directory: Directory<F>,
        uploads: UploadSettings,
        open_files_max: usize,
        seed: u64,
        upload_ids: Box<dyn FnMut() -> Option<u128>>,
    ) -> FileRoutes<F> {
        let UploadSettings { policy, bytes_max, durable, age_s_max, pending_max } = uploads;
        let directory = GuardedDirectory::new(directory, age_s_max);
        FileRoutes {
            directory,
            offered: Rights { reads: true, uploads: policy },
            upload_bytes_max: bytes_max,
            storing: Storing { durable, age_s_max, pending_max },
            own_uploads: Rc::default(),
            resumable: RefCell::new(Resumable::new(upload_ids)),
            uploads_refused: Cell::new(0),
            cache: FileCache::new(open_files_max),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Makes uploads create the directories that they need.
    pub(super) fn create_missing_directories(&self) {
        self.directory.create_missing_directories();
    }

    pub(super) fn statistics(&self) -> RouteStatistics {
        let (cache_hits, cache_misses) = self.cache.hits_and_misses();
        RouteStatistics {
            uploads_pending: self.directory.partial_uploads() as u64,
            uploads_refused: self.uploads_refused.get(),
            cache_hits,
            cache_misses,
        }
    }

    pub(super) fn deadline_ns(&self) -> Option<u64> {
        self.cache.deadline_ns()
    }

    pub(super) fn deadline_passed(&mut self, now: &Now) {
        self.cache.evict_unused(now.monotonic_ns);
    }

    /// A new boundary for each response.
    fn next_boundary(&mut self) -> u64 {
        self.random.u64(..)
    }

    /// What is offered to anybody at most.
    pub(super) fn offered(&self) -> Rights {
        self.offered
    }

    /// The longest upload, in bytes.
    pub(super) fn upload_bytes_max(&self) -> Option<u64> {
        self.upload_bytes_max
    }

    pub(super) fn directory(&self) -> &GuardedDirectory<F> {
        &self.directory
    }

    /// Finds the file that a GET or HEAD asks for. `name` is the path below these routes, as it is in the target.
    pub(super) fn find(
        &mut self,
        request: &Request<'_>,
        name: Cow<'_, [u8]>,
        grant: &Grant,
        now: &Now,
    ) -> Result<Found<F>, ReadError> {
        download::find(self, request, name, grant, now)
    }

    /// The response to a GET or HEAD, with the file that [`find`](FileRoutes::find) has found.
    pub(super) fn download<'r>(
        &'r mut self,
        found: Found<F>,
        request: &Request<'_>,
        media_type: Cow<'r, str>,
        now: &Now,
    ) -> Response<'r, FileContent<F>> {
        download::respond(self, found, request, media_type, now)
    }

    /// What is needed to store the files of a form.
    pub(super) fn form_files(&self, grant: &Grant, now: &Now) -> FormFiles<F> {
        self.directory.set_time(now.unix_ns);
        FormFiles::new(self.directory.clone(), self.storing, grant.clone(), Rc::clone(&self.own_uploads))
    }

    /// The reply to a POST or PUT of the file that `name` leads to.
    pub(super) fn upload<'r>(&self, request: &Request<'r>, name: &[u8], grant: &Grant, now: &Now) -> RouteReply<'r, F> {
        let Ok(path) = path_of(name) else { return error_reply(Status::BadRequest, INVALID_NAME) };
        match grant.upload(&path) {
            Ok(path) => upload::respond(self, request, &path, grant, now),
            Err(denied) => denied_reply(denied),
        }
    }

    /// What the path of a file offers.
    pub(super) fn offer(&self, grant: &Grant) -> Offer {
        match grant.rights().uploads {
            UploadPolicy::Off => Offer { uploads: Some(UploadPolicy::Off), ..Offer::READ_ONLY },
            policy => Offer {
                methods: match policy {
                    UploadPolicy::Manage => changes::FILE_METHODS,
                    _ => &[Method::Get, Method::Head, Method::Post, Method::Put, Method::Options],
                },
                uploads: Some(policy),
                takes_forms: false,
                upload_limits: Some(resumable::limits_of(self.storing, grant)),
            },
        }
    }
}

pub(super) fn respond<'r, F: FileSystem>(
    routes: &'r mut Routes<F>,
    request: &'r Request<'r>,
    name: &'r [u8],
    grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    routes.used_disk = true;
    let Some(files) = &mut routes.files else {
        return Reply::Respond(internal_error("A file is requested only if a directory is served."));
    };
    match request.method {
        Method::Post | Method::Put => files.upload(request, name, grant, now),
        Method::Delete | Method::Mkcol | Method::Move => {
            files.change(request, name, |path| without_prefix(path, b"/files/"), grant, now)
        }
        _ => match files.find(request, Cow::Borrowed(name), grant, now) {
            Ok(found) => Reply::Respond(files.download(found, request, OCTET_STREAM, now)),
            Err(error) => read_error_reply(request, error),
        },
    }
}

/// The path that `name`, a part of the target's path, leads to.
///
/// The name is split at its slashes first, and then each segment is decoded once. So an encoded slash is a byte of a
/// segment, which no path may contain, and `%2e%2e` is judged like `..`.
///
/// A segment `.` is left out, because programs that join a base and a relative name send it. The last segment is not
/// left out: `.` at the end names a directory (RFC 3986 §5.2.4), so it is an error like a slash at the end.
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
