//! The final response to a resumable upload. It is saved, so that a client that did not receive it can request it
//! again.

use std::borrow::Cow;
use std::cell::RefCell;

use super::with_status;
use crate::routes::FileContent;
use crate::routes::files::upload::{error_response, status_of};
use crate::routes::files::validators::{FileVersion, OwnUploads};
use crate::semantics::Now;
use crate::semantics::date::{self, ImfFixdate};
use crate::semantics::method::Method;
use crate::semantics::response::{Body, Response, UploadStatus};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, Metadata, Published, StorageError};

/// The status and fields of the response.
pub(super) struct End {
    status: Status,
    etag: String,
    last_modified: Option<ImfFixdate>,
    repr_digest: String,
    /// One line that says why the file was not stored; empty if it was stored.
    reason: Vec<u8>,
}

impl End {
    /// The end of an upload, from the result of its publication.
    pub(super) fn of<F: FileSystem>(
        published: Result<Published, StorageError>,
        method: Method,
        must_be_absent: bool,
        repr_digest: Option<String>,
        own_uploads: &RefCell<OwnUploads>,
        now: &Now,
    ) -> End {
        match published {
            Ok(published) => {
                own_uploads.borrow_mut().remember(&published);
                let status = status_of(method, published.created);
                End::stored(status, &published.metadata, repr_digest, own_uploads, now)
            }
            Err(error) => {
                let Response { status, body, .. } = error_response::<F>(&error, must_be_absent);
                let reason = match body {
                    Body::Bytes(reason) => reason.into_owned(),
                    Body::Empty | Body::Source(_) => Vec::new(),
                };
                End { status, etag: String::new(), last_modified: None, repr_digest: String::new(), reason }
            }
        }
    }

    /// The end of an upload that was published. `metadata` is that of its file.
    pub(super) fn stored(
        status: Status,
        metadata: &Metadata,
        repr_digest: Option<String>,
        own_uploads: &RefCell<OwnUploads>,
        now: &Now,
    ) -> End {
        let version = FileVersion::of(metadata, &own_uploads.borrow(), now);
        let response: Response<'_, FileContent> = FileVersion::into_response(Cow::Owned(version), status, now);
        let etag = response.etag.map(Cow::into_owned).unwrap_or_default();
        let last_modified = response.last_modified;
        End { status, etag, last_modified, repr_digest: repr_digest.unwrap_or_default(), reason: Vec::new() }
    }

    /// The saved form: the status and the values of three fields, a line each, and then the reason.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let last_modified = self.last_modified.as_ref().map_or(&b""[..], |date| date.as_bytes());
        let code = self.status.code().to_string();
        let lines = [code.as_bytes(), self.etag.as_bytes(), last_modified, self.repr_digest.as_bytes(), &self.reason];
        lines.join(&b'\n')
    }

    /// Reads the saved form; `None` if it is damaged.
    pub(super) fn from_bytes(bytes: &[u8], now: &Now) -> Option<End> {
        let mut lines = bytes.splitn(5, |byte| *byte == b'\n');
        let text = |line: Option<&[u8]>| Some(str::from_utf8(line?).ok()?.to_owned());
        let status = Status::from_code(text(lines.next())?.parse().ok()?)?;
        let etag = text(lines.next())?;
        let last_modified = date::parse(lines.next()?, now.unix_s()).and_then(ImfFixdate::new);
        let repr_digest = text(lines.next())?;
        Some(End { status, etag, last_modified, repr_digest, reason: lines.next()?.to_vec() })
    }

    /// The response of a plain upload, with Upload-Complete. `bytes` is the length of the upload. The draft does not
    /// require Upload-Offset here, but clients of earlier versions take a response without it for a failure.
    pub(super) fn into_response<F: FileSystem>(self, bytes: u64) -> Response<'static, FileContent<F>> {
        let End { status, etag, last_modified, repr_digest, reason } = self;
        let is_stored = reason.is_empty();
        let response = Response {
            etag: is_stored.then_some(Cow::Owned(etag)),
            last_modified,
            content_type: (!is_stored).then_some(Cow::Borrowed("text/plain")),
            body: if is_stored { Body::Empty } else { Body::Bytes(Cow::Owned(reason)) },
            ..Response::new(status)
        };
        let offset = is_stored.then_some(bytes);
        let upload = UploadStatus { complete: Some(true), offset, ..UploadStatus::default() };
        let mut response = with_status(response, upload);
        if let Some(rare) = &mut response.rare
            && !repr_digest.is_empty()
        {
            rare.repr_digest = Some(repr_digest);
        }
        response
    }
}
