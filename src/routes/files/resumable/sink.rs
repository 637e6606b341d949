//! The content of a request that creates or continues a resumable upload.

use std::cell::RefCell;
use std::rc::Rc;

use super::end::End;
use super::{Progress, Receiving, Shared, inconsistent_length, limits, with_status};
use crate::routes::FileContent;
use crate::routes::files::upload::{content_too_large, error_response, hold, must_be_absent};
use crate::routes::files::validators::OwnUploads;
use crate::routes::files::verification::{CONTENT_DIFFERS, REPRESENTATION_DIFFERS};
use crate::routes::files::{FileRoutes, UploadPolicy, UploadSettings};
use crate::semantics::Now;
use crate::semantics::conditional::Preconditions;
use crate::semantics::digest::{Digests, Hasher, wanted};
use crate::semantics::fields::FieldName;
use crate::semantics::method::Method;
use crate::semantics::request::{Request, Target, Version};
use crate::semantics::response::{RareFields, Response, UploadStatus};
use crate::semantics::resumable_upload::understands_104;
use crate::semantics::service::Interim;
use crate::semantics::status::Status;
use crate::semantics::stored_fields::StoredFields;
use crate::storage::{FileSystem, UploadMode};

/// How often a client is told how far its upload has come, in nanoseconds.
const PROGRESS_NS: u64 = 1_000_000_000;

type Refusal<F> = Response<'static, FileContent<F>>;

/// What of the request that created an upload counts when it is published.
pub(super) struct Creation {
    method: Method,
    fields: StoredFields,
    pub(super) preconditions: Option<Preconditions>,
}

/// The fields that count. Those of preconditions are judged again; the digest covers the whole.
const KEPT: [FieldName; 6] = [
    FieldName::IfMatch,
    FieldName::IfModifiedSince,
    FieldName::IfNoneMatch,
    FieldName::IfUnmodifiedSince,
    FieldName::ReprDigest,
    FieldName::WantReprDigest,
];

impl Creation {
    pub(super) fn of(request: &Request<'_>, now: &Now) -> Creation {
        let fields = StoredFields::copy_of(&request.fields, &KEPT);
        Creation { method: request.method, fields, preconditions: Preconditions::of(request, now) }
    }

    /// The note that the upload is created with.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.method.as_str().as_bytes(), b"\r\n", self.fields.as_bytes()].concat()
    }

    /// Reads the note; `None` if it is damaged.
    pub(super) fn from_bytes(bytes: &[u8], now: &Now) -> Option<Creation> {
        let end = memchr::memmem::find(bytes, b"\r\n")?;
        let method = Method::from_token(&bytes[..end]);
        let fields = StoredFields::parse(bytes.get(end + 2..)?)?;
        let request = Request {
            method,
            target: Target::Origin(b"/"),
            version: Version::Http11,
            fields: fields.fields(),
            content_bytes: None,
        };
        let preconditions = Preconditions::of(&request, now);
        Some(Creation { method, fields, preconditions })
    }

    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// What is known of the upload before anything has been saved of it.
    pub(super) fn first_progress(&self) -> Progress {
        let mut progress = Progress::default();
        progress.hasher.add_all_of(&self.repr_digest());
        wanted(&self.fields.fields()).into_iter().for_each(|algorithm| progress.hasher.add(algorithm));
        progress
    }

    /// The digests that the client states of the whole. What was malformed has been refused at the creation.
    fn repr_digest(&self) -> Digests {
        Digests::of(&self.fields.fields(), FieldName::ReprDigest).unwrap_or_default()
    }
}

/// Which request it is.
pub(super) enum Origin {
    /// The one that created the upload, whose resource is here.
    Created { location: String },
    /// One that continues it.
    Continued,
}

/// What a request says of its content.
pub(super) struct Part {
    pub(super) origin: Origin,
    /// Whether the content is the end of the whole.
    pub(super) complete: bool,
    /// The digests of this content alone.
    pub(super) content_digest: Digests,
}

/// Receives the content. Dropped, because the connection broke or the client was too slow, it saves what has arrived.
pub(in crate::routes::files) struct ResumableSink<F: FileSystem> {
    /// Empty once another request has taken the upload over.
    shared: Shared<F>,
    creation: Creation,
    origin: Origin,
    uploads: UploadSettings,
    own_uploads: Rc<RefCell<OwnUploads>>,
    /// Whether the content is the end of the whole.
    complete: bool,
    /// The digests of this request's content, if the client states them, and what the upload was before it.
    content: Option<ContentDigest>,
    understands_104: bool,
    /// Whether the client has been told the location of the upload.
    has_told_location: bool,
    /// When the client was told last how far the upload has come, and how far that was.
    told_ns: u64,
    told_offset: u64,
}

struct ContentDigest {
    stated: Digests,
    hasher: Hasher,
    offset_before: u64,
    hasher_before: Hasher,
}

impl<F: FileSystem> ResumableSink<F> {
    pub(super) fn new(
        files: &FileRoutes<F>,
        request: &Request<'_>,
        creation: Creation,
        shared: Shared<F>,
        part: Part,
        now: &Now,
    ) -> ResumableSink<F> {
        let Part { origin, complete, content_digest } = part;
        let (offset, hasher_before) = match &*shared.borrow() {
            Some(receiving) => (receiving.upload.bytes_written(), receiving.progress.hasher.clone()),
            None => (0, Hasher::new()),
        };
        let content = (!content_digest.is_empty()).then(|| {
            let mut hasher = Hasher::new();
            hasher.add_all_of(&content_digest);
            ContentDigest { stated: content_digest, hasher, offset_before: offset, hasher_before }
        });
        ResumableSink {
            shared,
            creation,
            origin,
            uploads: files.uploads,
            own_uploads: Rc::clone(&files.own_uploads),
            complete,
            content,
            understands_104: understands_104(&request.fields),
            has_told_location: false,
            told_ns: now.monotonic_ns,
            told_offset: offset,
        }
    }

    pub(in crate::routes::files) fn write(&mut self, content: &[u8]) -> Result<(), Box<Refusal<F>>> {
        let mut shared = self.shared.borrow_mut();
        let Some(receiving) = &mut *shared else { return Err(Box::new(superseded())) };
        let bytes = receiving.upload.bytes_written().saturating_add(content.len() as u64);
        if receiving.progress.length.is_some_and(|length| bytes > length) {
            // §4.4.2 of the draft: the upload is invalid from now on.
            discard(&mut shared);
            return Err(Box::new(inconsistent_length()));
        }
        if self.uploads.bytes_max.is_some_and(|bytes_max| bytes > bytes_max) {
            discard(&mut shared);
            let status = UploadStatus { limit: Some(limits(&self.uploads)), ..UploadStatus::default() };
            return Err(Box::new(with_status(content_too_large(), status)));
        }
        if let Err(error) = receiving.upload.write(content) {
            // It can be continued from what was saved last, when there is room again.
            *shared = None;
            return Err(Box::new(error_response(&error, false)));
        }
        receiving.progress.hasher.update(content);
        if let Some(digest) = &mut self.content {
            digest.hasher.update(content);
        }
        Ok(())
    }

    /// What the client is to be told now, before the response.
    pub(in crate::routes::files) fn interim(&mut self, now: &Now) -> Option<Interim> {
        if !self.understands_104 {
            return None;
        }
        if let Origin::Created { location } = &self.origin
            && !self.has_told_location
        {
            self.has_told_location = true;
            let upload = UploadStatus { limit: Some(limits(&self.uploads)), ..UploadStatus::default() };
            return Some(Interim { location: Some(location.clone()), upload });
        }
        // Content that may prove to be damaged is not acknowledged.
        if self.content.is_some() || now.monotonic_ns.saturating_sub(self.told_ns) < PROGRESS_NS {
            return None;
        }
        let mut shared = self.shared.borrow_mut();
        let receiving = shared.as_mut()?;
        let offset = receiving.upload.bytes_written();
        if offset == self.told_offset || receiving.save().is_err() {
            return None;
        }
        (self.told_ns, self.told_offset) = (now.monotonic_ns, offset);
        let upload = UploadStatus { offset: Some(offset), ..UploadStatus::default() };
        Some(Interim { location: None, upload })
    }

    pub(in crate::routes::files) fn finish(mut self, now: &Now) -> Refusal<F> {
        let Some(mut receiving) = self.shared.borrow_mut().take() else { return superseded() };
        if let Some(digest) = self.content.take()
            && !digest.hasher.digests().agrees_with(&digest.stated)
        {
            receiving.progress.hasher = digest.hasher_before;
            let rewound = receiving.upload.rewind(digest.offset_before).and_then(|()| receiving.save());
            return match rewound {
                Ok(()) => self.incomplete(&receiving, Response::with_reason(Status::BadRequest, CONTENT_DIFFERS)),
                Err(error) => error_response(&error, false),
            };
        }
        if self.complete {
            return self.publish(receiving, now);
        }
        match receiving.save() {
            Ok(()) => {
                let status = match self.origin {
                    Origin::Created { .. } => Status::Created,
                    Origin::Continued => Status::NoContent,
                };
                self.incomplete(&receiving, Response::new(status))
            }
            Err(error) => error_response(&error, false),
        }
    }

    /// A response about an upload that goes on.
    fn incomplete(&self, receiving: &Receiving<F>, response: Refusal<F>) -> Refusal<F> {
        let upload = UploadStatus {
            complete: Some(false),
            offset: Some(receiving.upload.bytes_written()),
            limit: Some(limits(&self.uploads)),
            ..UploadStatus::default()
        };
        let location = match &self.origin {
            Origin::Created { location } => Some(location.clone()),
            Origin::Continued => None,
        };
        let rare = RareFields { location, upload: Some(upload), ..RareFields::default() };
        Response { rare: Some(Box::new(rare)), ..response }
    }

    /// The content is whole: the response is the one that a plain upload would have had.
    fn publish(&self, receiving: Receiving<F>, now: &Now) -> Refusal<F> {
        let Receiving { upload, progress } = receiving;
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
        let only_creates = self.uploads.policy == UploadPolicy::Create;
        let preconditions = self.creation.preconditions.as_ref();
        let must_be_absent = must_be_absent(preconditions, only_creates);
        let mode = if only_creates || must_be_absent { UploadMode::CreateOnly } else { UploadMode::Replace };
        let annotation = (!digests.is_empty()).then(|| digests.to_text().into_bytes());
        let committed = upload.commit(mode, now.unix_ns, annotation, |existing| {
            let is_conflict = only_creates && existing.is_some();
            is_conflict
                || preconditions
                    .is_none_or(|preconditions| hold(preconditions, existing, &self.own_uploads.borrow(), now))
        });
        let (published, ended) = match committed {
            Ok(committed) => committed,
            Err(error) => return error_response(&error, must_be_absent),
        };
        let repr_digest = wanted(&self.creation.fields.fields()).and_then(|algorithm| digests.field_value(algorithm));
        let end = End::of::<F>(published, self.creation.method, must_be_absent, repr_digest, &self.own_uploads, now);
        // Without the record, a client that loses this response cannot be told it again. The file is there all the same.
        let _ = ended.save(&end.to_bytes());
        end.into_response()
    }
}

impl<F: FileSystem> Drop for ResumableSink<F> {
    fn drop(&mut self) {
        if let Some(mut receiving) = self.shared.borrow_mut().take()
            && let Err(error) = receiving.save()
        {
            log::warn!("an upload that was interrupted can only be continued from where it was saved before: {error}");
        }
    }
}

fn discard<F: FileSystem>(shared: &mut Option<Receiving<F>>) {
    if let Some(receiving) = shared.take() {
        receiving.upload.discard();
    }
}

/// The response of a request whose upload another request has taken over. Its client has probably given it up.
fn superseded<'r, B>() -> Response<'r, B> {
    Response::with_reason(Status::Conflict, "Another request continues this upload.")
}
