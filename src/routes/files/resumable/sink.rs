//! The content of a request that creates or continues a resumable upload.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use super::end::End;
use super::{Progress, Receiving, Shared, inconsistent_length, limits_of, limits_of_found, too_large, with_status};
use crate::routes::FileContent;
use crate::routes::files::FileRoutes;
use crate::routes::files::conditions::UploadConditions;
use crate::routes::files::upload::error_response;
use crate::routes::files::validators::OwnUploads;
use crate::routes::files::verification::{CONTENT_DIFFERS, REPRESENTATION_DIFFERS};
use crate::semantics::Now;
use crate::semantics::conditional::Preconditions;
use crate::semantics::digest::{Digests, Hasher, wanted};
use crate::semantics::fields::FieldName;
use crate::semantics::method::Method;
use crate::semantics::request::{Endpoint, PathAndQuery, Request, Target, Version};
use crate::semantics::response::{RareFields, Response, UploadStatus};
use crate::semantics::resumable_upload::{UploadLimits, understands_104};
use crate::semantics::rights::{Grant, MayUpload};
use crate::semantics::service::Interim;
use crate::semantics::status::Status;
use crate::semantics::stored_fields::StoredFields;
use crate::storage::{FileSystem, PartialUpload, Uncommitted};

/// The interval between interim responses with the offset, in nanoseconds.
const PROGRESS_NS: u64 = 1_000_000_000;

type Refusal<F> = Response<'static, FileContent<F>>;

/// The parts of the creating request that are needed when the upload is published.
pub(super) struct Creation {
    method: Method,
    /// Who created the upload: see [`Identity::owner`](crate::semantics::rights::Identity::owner).
    owner: Cow<'static, str>,
    fields: StoredFields,
    pub(super) conditions: UploadConditions,
}

/// The fields that are saved. The preconditions are evaluated again, and the digest is that of the complete content.
const KEPT: [FieldName; 6] = [
    FieldName::IfMatch,
    FieldName::IfModifiedSince,
    FieldName::IfNoneMatch,
    FieldName::IfUnmodifiedSince,
    FieldName::ReprDigest,
    FieldName::WantReprDigest,
];

impl Creation {
    pub(super) fn of<P>(request: &Request<'_>, path: &MayUpload<P>, now: &Now) -> Creation {
        let fields = StoredFields::copy_of(&request.fields, &KEPT);
        let conditions = UploadConditions::new(path, Preconditions::of(request, now));
        Creation { method: request.method, owner: path.identity().owner(), fields, conditions }
    }

    /// The form in which this is saved with the upload.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let separator = if self.owner.is_empty() { "" } else { " " };
        let line = [self.method.as_str(), separator, &*self.owner, "\r\n"].concat();
        [line.as_bytes(), self.fields.as_bytes()].concat()
    }

    /// The owner in the saved form; `None` if it is damaged.
    pub(super) fn owner_in(bytes: &[u8]) -> Option<&str> {
        let line = &bytes[..memchr::memmem::find(bytes, b"\r\n")?];
        match memchr::memchr(b' ', line) {
            Some(space) => str::from_utf8(&line[space + 1..]).ok(),
            None => Some(""),
        }
    }

    /// Reads the saved form; `None` if it is damaged.
    pub(super) fn from_bytes<P>(bytes: &[u8], path: &MayUpload<P>, now: &Now) -> Option<Creation> {
        let end = memchr::memmem::find(bytes, b"\r\n")?;
        let owner = Cow::Owned(Creation::owner_in(bytes)?.to_owned());
        let method = Method::from_token(bytes[..end].split(|byte| *byte == b' ').next().unwrap_or_default());
        let fields = StoredFields::parse(bytes.get(end + 2..)?)?;
        let request = Request {
            method,
            target: Target::Origin(PathAndQuery::new(b"/")),
            version: Version::Http11,
            fields: fields.fields(),
            content_bytes: None,
            arrived: None,
            endpoint: Endpoint::Public,
            sender: None,
        };
        let conditions = UploadConditions::new(path, Preconditions::of(&request, now));
        Some(Creation { method, owner, fields, conditions })
    }

    pub(super) fn owner(&self) -> &Cow<'static, str> {
        &self.owner
    }

    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// The progress of an upload that has no content yet.
    pub(super) fn first_progress(&self) -> Progress {
        let mut progress = Progress::default();
        progress.hasher.add_all_of(&self.repr_digest());
        wanted(&self.fields.fields()).into_iter().for_each(|algorithm| progress.hasher.add(algorithm));
        progress
    }

    /// The digests of the complete content that the client states. A malformed field was refused when the upload was
    /// created.
    fn repr_digest(&self) -> Digests {
        Digests::of(&self.fields.fields(), FieldName::ReprDigest).unwrap_or_default()
    }
}

/// Which request a sink belongs to.
pub(super) enum Origin {
    /// The request that created the upload. `location` is the path of its resource.
    Created { location: String },
    /// A request that continues the upload.
    Continued,
}

/// The properties of a request's content.
pub(super) struct Part {
    pub(super) origin: Origin,
    /// Whether the upload is complete after this content.
    pub(super) complete: bool,
    /// The digests of this request's content, as the client states them.
    pub(super) content_digest: Digests,
}

/// Receives the content of one request. It is dropped if the connection is lost or the client is too slow, and then
/// saves the content that has arrived, unless the client has stated a digest that could not be verified. If the client has
/// not been told the location of the upload that it creates, the upload is removed.
pub(in crate::routes) struct ResumableSink<F: FileSystem> {
    /// Empty if another request has taken the upload over.
    shared: Shared<F>,
    creation: Creation,
    origin: Origin,
    limits: UploadLimits,
    own_uploads: Rc<RefCell<OwnUploads>>,
    /// Whether the upload is complete after this content.
    complete: bool,
    /// The digest of this request's content, if the client states one.
    content: Option<ContentDigest>,
    understands_104: bool,
    /// Whether the location of the upload has been sent.
    has_sent_location: bool,
    /// When the last offset was sent, and that offset.
    sent_ns: u64,
    sent_offset: u64,
}

struct ContentDigest {
    stated: Digests,
    hasher: Hasher,
}

impl<F: FileSystem> ResumableSink<F> {
    pub(super) fn new(
        files: &FileRoutes<F>,
        request: &Request<'_>,
        creation: Creation,
        shared: Shared<F>,
        part: Part,
        grant: &Grant,
        now: &Now,
    ) -> ResumableSink<F> {
        let Part { origin, complete, content_digest } = part;
        let offset = match &mut *shared.borrow_mut() {
            Some(receiving) => {
                receiving.upload.announce(request.content_bytes);
                if !content_digest.is_empty() {
                    receiving.expect_digest();
                }
                receiving.upload.bytes_written()
            }
            None => 0,
        };
        let content = (!content_digest.is_empty()).then(|| {
            let mut hasher = Hasher::new();
            hasher.add_all_of(&content_digest);
            ContentDigest { stated: content_digest, hasher }
        });
        ResumableSink {
            shared,
            creation,
            origin,
            limits: limits_of(files.storing, grant),
            own_uploads: Rc::clone(&files.own_uploads),
            complete,
            content,
            understands_104: understands_104(&request.fields),
            has_sent_location: false,
            sent_ns: now.monotonic_ns,
            sent_offset: offset,
        }
    }

    pub(in crate::routes) fn write(&mut self, content: &[u8]) -> Result<(), Box<Refusal<F>>> {
        let mut shared = self.shared.borrow_mut();
        let Some(receiving) = &mut *shared else { return Err(Box::new(superseded())) };
        let bytes = receiving.upload.bytes_written().saturating_add(content.len() as u64);
        if receiving.progress.length.is_some_and(|length| bytes > length) {
            // §4.4.2 of the draft: the upload is invalid now.
            discard(&mut shared);
            return Err(Box::new(inconsistent_length()));
        }
        if self.limits.bytes_max.is_some_and(|bytes_max| bytes > bytes_max) {
            discard(&mut shared);
            return Err(Box::new(too_large(self.limits)));
        }
        if let Err(error) = receiving.upload.write(content) {
            let ended = shared.take();
            drop(shared);
            let response = error_response(&error, false);
            // The client can continue when the disk has space again.
            return Err(Box::new(match ended {
                Some(receiving) => self.keep(receiving, response),
                None => response,
            }));
        }
        receiving.progress.hasher.update(content);
        if let Some(digest) = &mut self.content {
            digest.hasher.update(content);
        }
        Ok(())
    }

    /// The interim response (104) that is due now, if any: first the location of the upload, later its offset.
    pub(in crate::routes) fn interim(&mut self, now: &Now) -> Option<Interim> {
        if !self.understands_104 {
            return None;
        }
        if let Origin::Created { location } = &self.origin
            && !self.has_sent_location
        {
            self.has_sent_location = true;
            let upload = UploadStatus { limit: Some(self.limits.field_value()), ..UploadStatus::default() };
            return Some(Interim { location: Some(location.clone()), upload });
        }
        // Content is not acknowledged before its digest is verified.
        if self.content.is_some() || now.monotonic_ns.saturating_sub(self.sent_ns) < PROGRESS_NS {
            return None;
        }
        let mut shared = self.shared.borrow_mut();
        let receiving = shared.as_mut()?;
        let offset = receiving.upload.bytes_written();
        if offset == self.sent_offset || receiving.save().is_err() {
            return None;
        }
        (self.sent_ns, self.sent_offset) = (now.monotonic_ns, offset);
        let upload = UploadStatus { offset: Some(offset), ..UploadStatus::default() };
        Some(Interim { location: None, upload })
    }

    pub(in crate::routes) fn finish(mut self, now: &Now) -> Refusal<F> {
        let Some(mut receiving) = self.shared.borrow_mut().take() else { return superseded() };
        let stated = self.content.take();
        if stated.is_some_and(|digest| !digest.hasher.digests().agrees_with(&digest.stated)) {
            return self.keep(receiving, Response::with_reason(Status::BadRequest, CONTENT_DIFFERS));
        }
        receiving.unverified = None;
        if self.complete {
            return self.publish(receiving, now);
        }
        let status = match self.origin {
            Origin::Created { .. } => Status::Created,
            Origin::Continued => Status::NoContent,
        };
        self.keep(receiving, Response::new(status))
    }

    /// Saves the upload at the end of its request, and adds to the response how it can be continued.
    fn keep(&self, mut receiving: Receiving<F>, response: Refusal<F>) -> Refusal<F> {
        match receiving.save() {
            Ok(()) => self.incomplete(&receiving.upload, response),
            Err(error) => {
                self.give_up_unsaved(receiving.upload);
                error_response(&error, false)
            }
        }
    }

    /// What becomes of an upload that cannot be saved at the end of its request: it can be continued from the offset that
    /// was saved last, if the client knows where.
    fn give_up_unsaved(&self, mut upload: PartialUpload<F>) {
        if self.client_knows_location() {
            upload.remove_unsaved();
        } else {
            upload.discard();
        }
    }

    /// Whether the client can continue the upload. It has no other way to learn the location than this server's responses.
    fn client_knows_location(&self) -> bool {
        match self.origin {
            Origin::Created { .. } => self.has_sent_location,
            Origin::Continued => true,
        }
    }

    /// A response for an upload that is not complete.
    fn incomplete(&self, upload: &PartialUpload<F>, response: Refusal<F>) -> Refusal<F> {
        let upload = UploadStatus {
            complete: Some(false),
            offset: Some(upload.bytes_written()),
            limit: Some(limits_of_found(self.limits, upload.lifetime_ns())),
            ..UploadStatus::default()
        };
        let location = match &self.origin {
            Origin::Created { location } => Some(location.clone()),
            Origin::Continued => None,
        };
        let rare = RareFields { location, upload: Some(upload), ..RareFields::default() };
        Response { rare: Some(Box::new(rare)), ..response }
    }

    /// Publishes the complete upload. The response is that of a plain upload.
    fn publish(&self, receiving: Receiving<F>, now: &Now) -> Refusal<F> {
        let Receiving { upload, progress, .. } = receiving;
        let bytes = upload.bytes_written();
        if progress.length.is_some_and(|length| length != bytes) {
            upload.discard();
            return inconsistent_length();
        }
        let digests = progress.hasher.digests();
        if !digests.agrees_with(&self.creation.repr_digest()) {
            upload.discard();
            return with_status(
                Response::with_reason(Status::BadRequest, REPRESENTATION_DIFFERS),
                UploadStatus { complete: Some(true), ..UploadStatus::default() },
            );
        }
        let conditions = &self.creation.conditions;
        let annotation = (!digests.is_empty()).then(|| digests.to_text().into_bytes());
        let committed = upload.commit(conditions.mode(), now.unix_ns, &progress.to_bytes(), annotation, |existing| {
            conditions.hold(existing, &self.own_uploads.borrow(), now)
        });
        let (published, ended) = match committed {
            Ok(committed) => committed,
            Err(Uncommitted { error, upload, is_saved }) => {
                let response = error_response(&error, false);
                return match upload {
                    // For the client the upload is not complete: it sends the end again, without content.
                    Some(upload) if is_saved => self.incomplete(&upload, response),
                    Some(upload) => {
                        self.give_up_unsaved(*upload);
                        response
                    }
                    None => response,
                };
            }
        };
        let repr_digest = wanted(&self.creation.fields.fields()).and_then(|algorithm| digests.field_value(algorithm));
        let end = End::of::<F>(
            published,
            self.creation.method,
            conditions.must_be_absent(),
            repr_digest,
            &self.own_uploads,
            now,
        );
        // If this fails, a client that does not receive the response cannot request it again. The file is stored
        // anyway.
        let _ = ended.save(&end.to_bytes());
        end.into_response(bytes)
    }
}

impl<F: FileSystem> Drop for ResumableSink<F> {
    fn drop(&mut self) {
        let Some(receiving) = self.shared.borrow_mut().take() else { return };
        if !self.client_knows_location() {
            // Nobody can continue it. It would only take space and a place until it expires.
            return receiving.upload.discard();
        }
        if let Err(error) = receiving.save_unreported() {
            log::warn!(
                "an interrupted upload could not be saved, and can only be continued from an earlier offset: {error}"
            );
        }
    }
}

fn discard<F: FileSystem>(shared: &mut Option<Receiving<F>>) {
    if let Some(receiving) = shared.take() {
        receiving.upload.discard();
    }
}

/// The response to a request whose upload another request has taken over. Its client has probably given up.
fn superseded<'r, B>() -> Response<'r, B> {
    Response::with_reason(Status::Conflict, "Another request continues this upload.")
}
