//! Uploads that a client can continue after its connection was lost ("Resumable Uploads for HTTP",
//! draft-ietf-httpbis-resumable-upload).
//!
//! # Laws
//!
//! 1. The path of an upload resource is `/.spindle/uploads/`, 128 random bits, and the path of the file. So the server
//!    finds the upload without a search or a table, and only a client that knows the path can reach it.
//! 2. The content is saved before its offset is sent to the client. So the offset never decreases, not even when the
//!    server restarts. After a power failure an upload that was not flushed is not found, if the system has a boot
//!    identifier (Linux): the offset would say more than the disk has.
//! 3. Only one request at a time continues an upload. A later request takes the upload over, because the earlier one
//!    has probably lost its connection without the server's knowledge (§4.6 of the draft).
//! 4. The content of a request with a Content-Digest is kept only once the digest is verified. If the request breaks off,
//!    the upload continues at the offset before it.
//! 5. An upload belongs to the account that created it. For everybody else it does not exist, even with its path. An
//!    upload that was created without an account belongs to whoever knows its path.
//! 6. The rights of each request are checked when it begins. The preconditions of the request that created the upload are
//!    checked when it begins, and again when the upload is published.
//! 7. No upload is given up because its file cannot be stored at the moment. To the client it is then not complete.

mod creation;
mod end;
mod resource;
mod sink;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

pub(super) use self::creation::begin;
pub(in crate::routes) use self::resource::{OFFER, respond};
pub(in crate::routes) use self::sink::ResumableSink;
use super::upload::content_too_large;
use super::{Storing, path_of};
use crate::routes::FileContent;
use crate::semantics::digest::Hasher;
use crate::semantics::link::LinkIssuer;
use crate::semantics::response::{Body, Response, UploadStatus};
use crate::semantics::resumable_upload::UploadLimits;
use crate::semantics::rights::{Grant, Identity};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, PartialUpload, RelativePath, StorageError, UploadId};

/// The prefix of the paths of upload resources.
pub(in crate::routes) const PREFIX: &str = "/.spindle/uploads/";

/// The bytes that are percent-encoded in a path: all but the slash and the unreserved characters (RFC 3986 §2.3).
const PATH_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The resumable uploads that are being received, and the source of new identifiers.
pub(super) struct Resumable<F: FileSystem> {
    receiving: HashMap<UploadId, Entry<F>>,
    /// Returns 128 unpredictable bits; `None` if the system has none.
    random: Box<dyn FnMut() -> Option<u128>>,
}

/// An upload in [`Resumable`], with its owner.
struct Entry<F: FileSystem> {
    owner: Cow<'static, str>,
    receiving: Weak<RefCell<Option<Receiving<F>>>>,
}

/// An upload that a request is creating or continuing.
pub(super) struct Receiving<F: FileSystem> {
    upload: PartialUpload<F>,
    progress: Progress,
    /// The state before the content of a request whose Content-Digest has not been verified yet.
    unverified: Option<Unverified>,
}

/// The state of an upload before unverified content.
struct Unverified {
    /// The number of bytes.
    offset: u64,
    hasher: Hasher,
}

/// Shared by the sink of a request and by [`Resumable`], so that a later request can take the upload over.
type Shared<F> = Rc<RefCell<Option<Receiving<F>>>>;

impl<F: FileSystem> Resumable<F> {
    pub(super) fn new(random: Box<dyn FnMut() -> Option<u128>>) -> Resumable<F> {
        Resumable { receiving: HashMap::new(), random }
    }

    fn new_id(&mut self) -> Option<UploadId> {
        (self.random)().map(UploadId::new)
    }

    /// Registers an upload that a request receives. Entries of requests that have ended are removed before the map
    /// grows.
    fn share(&mut self, id: UploadId, owner: Cow<'static, str>, receiving: Receiving<F>) -> Shared<F> {
        let shared = Rc::new(RefCell::new(Some(receiving)));
        if self.receiving.len() == self.receiving.capacity() {
            self.receiving.retain(|_, entry| entry.receiving.strong_count() > 0);
        }
        self.receiving.insert(id, Entry { owner, receiving: Rc::downgrade(&shared) });
        shared
    }

    /// If a request is receiving the upload, saves the upload and takes it away from that request.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] if the upload belongs to somebody else, whose request then continues.
    fn take_over(&mut self, id: UploadId, identity: &Identity) -> Result<(), StorageError> {
        if self.receiving.get(&id).is_some_and(|entry| !identity.may_continue(&entry.owner)) {
            return Err(StorageError::NotFound);
        }
        let Some(shared) = self.receiving.remove(&id).and_then(|entry| entry.receiving.upgrade()) else {
            return Ok(());
        };
        let receiving = shared.borrow_mut().take();
        receiving.map_or(Ok(()), |mut receiving| receiving.save())
    }
}

impl<F: FileSystem> Receiving<F> {
    fn new(upload: PartialUpload<F>, progress: Progress) -> Receiving<F> {
        Receiving { upload, progress, unverified: None }
    }

    /// Makes [`save`](Receiving::save) remove the content that is written from here on, until its digest is verified.
    fn expect_digest(&mut self) {
        let (offset, hasher) = (self.upload.bytes_written(), self.progress.hasher.clone());
        self.unverified = Some(Unverified { offset, hasher });
    }

    /// Saves the upload without unverified content, which it removes. The client may be told the offset then.
    fn save(&mut self) -> Result<(), StorageError> {
        self.remove_unverified()?;
        self.upload.save(&self.progress.to_bytes())
    }

    /// The same for an upload that breaks off: the client is not told the offset before it asks for it.
    fn save_unreported(mut self) -> Result<(), StorageError> {
        self.remove_unverified()?;
        self.upload.save_unreported(&self.progress.to_bytes())
    }

    fn remove_unverified(&mut self) -> Result<(), StorageError> {
        if let Some(Unverified { offset, hasher }) = self.unverified.take()
            && offset != self.upload.bytes_written()
        {
            self.progress.hasher = hasher;
            self.upload.rewind(offset)?;
        }
        Ok(())
    }
}

/// The state of an upload besides its content.
#[derive(Clone, Default)]
struct Progress {
    /// The length of the complete content, if the client has stated it.
    length: Option<u64>,
    /// The digests of the content so far. The request that creates the upload decides which ones are computed.
    hasher: Hasher,
}

impl Progress {
    /// The note that is saved with the upload.
    fn to_bytes(&self) -> Vec<u8> {
        let (sha256, sha512) = self.hasher.save();
        let mut bytes = self.length.map_or(u64::MAX, |length| length.min(u64::MAX - 1)).to_be_bytes().to_vec();
        for state in [sha256, sha512] {
            let state = state.unwrap_or_default();
            bytes.extend_from_slice(&(state.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&state);
        }
        bytes
    }

    /// Reads a note; `None` if it is damaged.
    fn from_bytes(bytes: &[u8]) -> Option<Progress> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = Some(u64::from_be_bytes(*length)).filter(|length| *length != u64::MAX);
        let (sha256, rest) = hash_state(rest)?;
        let (sha512, rest) = hash_state(rest)?;
        rest.is_empty().then_some(())?;
        Some(Progress { length, hasher: Hasher::restore(sha256, sha512)? })
    }
}

/// The saved state of a hash, if there is one, and the bytes after it.
fn hash_state(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (state_bytes, rest) = bytes.split_first_chunk::<2>()?;
    let (state, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*state_bytes)))?;
    Some(((!state.is_empty()).then_some(state), rest))
}

/// The path of the upload resource `id` for the file at `path`. If the upload begins under a link, so does this path.
fn location_of(id: UploadId, path: &RelativePath, link: Option<&LinkIssuer>) -> String {
    let encoded = format!("{PREFIX}{id}/{}", percent_encode(path.as_bytes(), PATH_ENCODED));
    match link {
        None => encoded,
        Some(link) => {
            let decoded = [format!("{PREFIX}{id}/").as_bytes(), path.as_bytes()].concat();
            link.address_of_upload(&encoded, &decoded)
        }
    }
}

/// The upload and the file that a path names. `rest` is what follows [`PREFIX`].
fn named_by(rest: &[u8]) -> Option<(UploadId, RelativePath)> {
    let slash = memchr::memchr(b'/', rest)?;
    let (id, path) = (rest.get(..slash)?, rest.get(slash + 1..)?);
    Some((UploadId::parse(id)?, path_of(path).ok()?))
}

/// The limits of uploads, as they are sent to clients.
pub(super) fn limits_of(storing: Storing, grant: &Grant) -> UploadLimits {
    UploadLimits { bytes_max: grant.upload_bytes_max(), age_s_max: Some(storing.age_s_max) }
}

/// The limits of an upload that expires in `lifetime_ns` nanoseconds, as the value of the Upload-Limit field.
fn limits_of_found(limits: UploadLimits, lifetime_ns: u64) -> String {
    let lifetime_s = lifetime_ns / 1_000_000_000;
    let age_s_max = Some(limits.age_s_max.map_or(lifetime_s, |age_s_max| age_s_max.min(lifetime_s)));
    UploadLimits { age_s_max, ..limits }.field_value()
}

/// The response to an upload that is longer than the server accepts.
fn too_large<F: FileSystem>(limits: UploadLimits) -> Response<'static, FileContent<F>> {
    let status = UploadStatus { limit: Some(limits.field_value()), ..UploadStatus::default() };
    with_status(content_too_large(), status)
}

/// Adds the fields that describe the upload.
fn with_status<'r, B>(response: Response<'r, B>, upload: UploadStatus) -> Response<'r, B> {
    let mut rare = response.rare.unwrap_or_default();
    rare.upload = Some(upload);
    Response { rare: Some(rare), ..response }
}

/// A response with problem details (RFC 9457) of a type that the draft defines.
fn problem<'r, B>(status: Status, problem_type: &str, title: &str, members: &str) -> Response<'r, B> {
    let content = format!(
        "{{\"type\":\"https://iana.org/assignments/http-problem-types#{problem_type}\",\"title\":\"{title}\"{members}}}\n"
    );
    Response {
        content_type: Some(Cow::Borrowed("application/problem+json")),
        body: Body::Bytes(Cow::Owned(content.into_bytes())),
        ..Response::new(status)
    }
}

/// The response to a request that states another length than before.
fn inconsistent_length<'r, B>() -> Response<'r, B> {
    let title = "inconsistent length values for upload";
    let response = problem(Status::BadRequest, "inconsistent-upload-length", title, "");
    with_status(response, UploadStatus { complete: Some(false), ..UploadStatus::default() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::semantics::digest::Algorithm;

    #[test]
    fn the_progress_of_an_upload_is_read_as_it_was_saved() {
        for (length, algorithms) in [(None, &[][..]), (Some(0), &[Algorithm::Sha512]), (Some(7), &Algorithm::ALL)] {
            let mut progress = Progress { length, hasher: Hasher::new() };
            algorithms.iter().for_each(|algorithm| progress.hasher.add(*algorithm));
            progress.hasher.update(b"content");
            let saved = progress.to_bytes();
            let read = Progress::from_bytes(&saved).unwrap();
            assert_eq!((read.length, read.hasher.digests()), (length, progress.hasher.digests()));
            for cut in 0..saved.len() {
                assert!(Progress::from_bytes(&saved[..cut]).is_none(), "{cut}");
            }
        }
    }

    #[test]
    fn a_location_names_the_upload_and_its_file() {
        let path = RelativePath::from_segments(["a b", "\u{e4}%?"]).unwrap();
        let location = location_of(UploadId::new(1), &path, None);
        assert_eq!(location, "/.spindle/uploads/00000000000000000000000000000001/a%20b/%C3%A4%25%3F");
        assert_eq!(named_by(location.strip_prefix(PREFIX).unwrap().as_bytes()), Some((UploadId::new(1), path)));
        for rest in ["", "1/name", "0000000000000000000000000000000A/name", "00000000000000000000000000000001/"] {
            assert_eq!(named_by(rest.as_bytes()), None, "{rest}");
        }
    }
}
