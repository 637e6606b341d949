//! DELETE, MKCOL (RFC 4918 §9.3) and MOVE (§9.9) of files and directories.

use super::conditions::hold;
use super::upload::{error_response, precondition_failed};
use super::{FileRoutes, INVALID_NAME, path_of};
use crate::routes::{RouteReply, denied_reply, error_reply, method_not_allowed, not_found};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Validators, Verdict};
use crate::semantics::destination::{DestinationError, destination_path, may_overwrite};
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{RareFields, Response};
use crate::semantics::rights::{Grant, MayManage};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{ChangeError, EntryPath, FileKind, FileSystem, Metadata, PathError, StorageError};

/// The methods of a path that may be that of a file.
pub(super) const FILE_METHODS: &[Method] = &[
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Delete,
    Method::Mkcol,
    Method::Move,
    Method::Options,
];

/// The methods of the path of a directory, which ends in a slash. POST takes a form.
pub(in crate::routes) const DIRECTORY_METHODS: &[Method] =
    &[Method::Get, Method::Head, Method::Post, Method::Delete, Method::Mkcol, Method::Move, Method::Options];

/// The same without MKCOL, which creates nothing where something exists.
const EXISTING_FILE_METHODS: &[Method] =
    &[Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete, Method::Move, Method::Options];
const EXISTING_DIRECTORY_METHODS: &[Method] =
    &[Method::Get, Method::Head, Method::Post, Method::Delete, Method::Move, Method::Options];

const ROOT: &str = "The shared directory itself can be neither removed, created nor moved.";
const OUTSIDE: &str = "Nothing can be moved to this destination.";

impl<F: FileSystem> FileRoutes<F> {
    /// The reply to DELETE, MKCOL or MOVE of what `name` leads to. `destination_name` returns the name that a path leads
    /// to, if it is below these routes and may be seen.
    pub(in crate::routes) fn change<'r, 'd>(
        &self,
        request: &Request<'d>,
        name: &[u8],
        destination_name: impl FnOnce(&'d [u8]) -> Option<&'d [u8]>,
        grant: &Grant,
        now: &Now,
    ) -> RouteReply<'r, F> {
        if name.is_empty() {
            return error_reply(Status::Forbidden, ROOT);
        }
        let entry = match entry_of(name) {
            Ok(entry) => entry,
            Err(_) if request.method == Method::Mkcol => return error_reply(Status::BadRequest, INVALID_NAME),
            Err(_) => return not_found(request),
        };
        let entry = match grant.manage(&entry) {
            Ok(entry) => entry,
            Err(denied) => return denied_reply(denied),
        };
        self.directory.set_time(now.unix_ns);
        let change = Change { files: self, request, entry, preconditions: Preconditions::of(request, now), now };
        match request.method {
            Method::Delete => change.delete(),
            Method::Mkcol => change.create_directory(),
            _ => change.rename(destination_name, grant),
        }
    }
}

/// The entry that a name leads to. A slash at its end says that it is a directory.
fn entry_of(name: &[u8]) -> Result<EntryPath, PathError> {
    let (name, is_directory) = name.strip_suffix(b"/").map_or((name, false), |name| (name, true));
    Ok(EntryPath { path: path_of(name)?, is_directory })
}

/// A request that changes the tree.
struct Change<'a, 'd, F: FileSystem> {
    files: &'a FileRoutes<F>,
    request: &'a Request<'d>,
    entry: MayManage<&'a EntryPath>,
    preconditions: Option<Preconditions>,
    now: &'a Now,
}

impl<'d, F: FileSystem> Change<'_, 'd, F> {
    fn delete<'r>(&self) -> RouteReply<'r, F> {
        let removed =
            self.files.directory.remove(&self.entry, self.files.storing.durable, |seen| self.may_change(seen));
        match removed {
            Ok(()) => Reply::Respond(Response::new(Status::NoContent)),
            Err(error) => self.refusal(&error),
        }
    }

    fn create_directory<'r>(&self) -> RouteReply<'r, F> {
        // §9.3: the server does not know what the content of MKCOL means.
        if self.request.content_bytes != Some(0) {
            return error_reply(Status::UnsupportedMediaType, "MKCOL takes no content.");
        }
        let durable = self.files.storing.durable;
        let created = self.files.directory.create_directory(&self.entry, durable, |seen| self.may_change(seen));
        match created {
            Ok(()) => Reply::Respond(Response::new(Status::Created)),
            Err(ChangeError::Storage(StorageError::AlreadyExists)) => {
                let methods =
                    if self.entry.path().is_directory { EXISTING_DIRECTORY_METHODS } else { EXISTING_FILE_METHODS };
                method_not_allowed(methods, "A file or directory has this name.")
            }
            Err(error) => self.refusal(&error),
        }
    }

    fn rename<'r>(
        &self,
        destination_name: impl FnOnce(&'d [u8]) -> Option<&'d [u8]>,
        grant: &Grant,
    ) -> RouteReply<'r, F> {
        let path = match destination_path(self.request) {
            Ok(path) => path,
            Err(DestinationError::Malformed) => {
                return error_reply(Status::BadRequest, "MOVE needs one Destination, an absolute path or URI.");
            }
            Err(DestinationError::OtherServer) => {
                return error_reply(Status::BadGateway, "The destination is on another server.");
            }
        };
        let Some(replaces) = may_overwrite(self.request) else {
            return error_reply(Status::BadRequest, "Overwrite must be T or F.");
        };
        let to = match destination_name(path) {
            Some(b"") => return error_reply(Status::Forbidden, ROOT),
            Some(name) => entry_of(name),
            None => return error_reply(Status::Forbidden, OUTSIDE),
        };
        let Ok(to) = to else { return error_reply(Status::BadRequest, INVALID_NAME) };
        let to = match grant.manage(&to) {
            Ok(to) => to,
            Err(denied) => return denied_reply(denied),
        };
        let durable = self.files.storing.durable;
        let moved = self.files.directory.rename(&self.entry, &to, replaces, durable, |seen| self.may_change(seen));
        match moved {
            Ok(true) => {
                // All its bytes are ASCII: it is a part of a URI.
                let location = Some(String::from_utf8_lossy(path).into_owned());
                let rare = Some(Box::new(RareFields { location, ..RareFields::default() }));
                Reply::Respond(Response { rare, ..Response::new(Status::Created) })
            }
            Ok(false) => Reply::Respond(Response::new(Status::NoContent)),
            Err(ChangeError::Storage(StorageError::AlreadyExists)) => {
                error_reply(Status::PreconditionFailed, "The destination exists, and Overwrite is F.")
            }
            Err(error) => self.refusal(&error),
        }
    }

    /// Whether the preconditions hold for what a reader finds under the name. A directory has no validators.
    fn may_change(&self, seen: Option<&Metadata>) -> bool {
        let Some(preconditions) = &self.preconditions else { return true };
        match seen {
            Some(seen) if seen.kind == FileKind::Directory => {
                preconditions.evaluate(Some(Validators::default())) == Verdict::Proceed
            }
            seen => hold(preconditions, seen, &self.files.own_uploads.borrow(), self.now),
        }
    }

    fn refusal<'r>(&self, error: &ChangeError) -> RouteReply<'r, F> {
        let (status, reason) = match error {
            ChangeError::DirectoryNotEmpty => {
                (Status::Conflict, "The directory is not empty: it may contain hidden names or unfinished uploads.")
            }
            ChangeError::SameEntry => (Status::Forbidden, "Both names lead to the same file or directory."),
            ChangeError::IntoItself => (Status::Conflict, "A directory cannot be moved into itself."),
            ChangeError::KindsDiffer => {
                (Status::Conflict, "A file cannot replace a directory, nor a directory a file.")
            }
            ChangeError::OtherFileSystem => (Status::BadGateway, "The destination is on another file system."),
            ChangeError::NotExclusive => {
                (Status::NotImplemented, "This file system can only move a file that may replace another.")
            }
            ChangeError::Storage(StorageError::NotFound) => return not_found(self.request),
            ChangeError::Storage(StorageError::ParentMissing) => {
                (Status::Conflict, "The directory above this name does not exist.")
            }
            ChangeError::Storage(StorageError::ConditionFailed) => return Reply::Respond(precondition_failed()),
            ChangeError::Storage(error) => return Reply::Respond(error_response(error, false)),
        };
        error_reply(status, reason)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::routes::UploadSettings;
    use crate::semantics::access::Access;
    use crate::semantics::fields::{FieldSpans, Fields};
    use crate::semantics::request::{PathAndQuery, Target, Version};
    use crate::semantics::rights::{Rights, UploadPolicy};
    use crate::storage::{Directory, Native};

    /// The errors that only some file systems have cannot be brought about over a socket everywhere.
    #[test]
    fn each_refusal_has_the_status_of_rfc_4918() {
        let root = tempfile::tempdir().unwrap();
        let policy = UploadPolicy::Manage;
        let uploads = UploadSettings { policy, bytes_max: None, durable: false, age_s_max: 0, pending_max: 0 };
        let directory = Directory::open(root.path(), 0).unwrap();
        let files = FileRoutes::new(directory, uploads, 0, 0, Box::new(|| None));
        let spans = FieldSpans::default();
        let request = Request {
            method: Method::Move,
            target: Target::Origin(PathAndQuery::new(b"/files/a")),
            version: Version::Http11,
            fields: Fields::new(b"", &spans),
            content_bytes: Some(0),
            arrived: None,
            endpoint: Default::default(),
            sender: None,
        };
        let now = Now::default();
        let grant = Access::for_everybody(Rights::ALL, None).grant_of(&request).unwrap();
        let entry = entry_of(b"a").unwrap();
        let entry = grant.manage(&entry).unwrap();
        let change: Change<'_, '_, Native> =
            Change { files: &files, request: &request, entry, preconditions: None, now: &now };
        for (error, expected) in [
            (ChangeError::DirectoryNotEmpty, Status::Conflict),
            (ChangeError::SameEntry, Status::Forbidden),
            (ChangeError::IntoItself, Status::Conflict),
            (ChangeError::KindsDiffer, Status::Conflict),
            (ChangeError::OtherFileSystem, Status::BadGateway),
            (ChangeError::NotExclusive, Status::NotImplemented),
            (ChangeError::Storage(StorageError::NotFound), Status::NotFound),
            (ChangeError::Storage(StorageError::ParentMissing), Status::Conflict),
            (ChangeError::Storage(StorageError::ConditionFailed), Status::PreconditionFailed),
            (ChangeError::Storage(StorageError::PermissionDenied), Status::Forbidden),
            (ChangeError::Storage(StorageError::DiskFull), Status::InsufficientStorage),
        ] {
            let Reply::Respond(response) = change.refusal(&error) else { panic!("{error:?} is received") };
            assert_eq!(response.status, expected, "{error:?}");
        }
    }
}
