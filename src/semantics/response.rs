//! A response as routes create it (RFC 9110 §3.4): status, fields, content. The protocol adds the framing.

use std::borrow::Cow;

use super::date::ImfFixdate;
use super::method::Method;
use super::range::ByteRange;
use super::status::Status;

/// The content of a response.
#[derive(Debug)]
pub enum Body<'r, B> {
    /// Content of 0 bytes.
    Empty,
    /// Content in memory.
    Bytes(Cow<'r, [u8]>),
    /// Content that is read while it is sent: a file, say.
    Source(B),
}

/// The value of a Content-Range field (RFC 9110 §14.4), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// The content is this range, of a representation of this length.
    Part(ByteRange, u64),
    /// None of the ranges is satisfiable, for a representation of this length.
    Unsatisfied(u64),
}

/// The content coding of a response, as in a Content-Encoding field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// gzip (RFC 1952).
    Gzip,
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl ContentEncoding {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            ContentEncoding::Gzip => "gzip",
            ContentEncoding::Brotli => "br",
            ContentEncoding::Zstd => "zstd",
        }
    }
}

/// Fields that few responses have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RareFields {
    /// Location (RFC 9110 §10.2.2).
    pub location: Option<String>,
    /// Whether the client should authenticate: WWW-Authenticate, with the challenge of HTTP Basic (RFC 7617 §2).
    pub challenge: bool,
    /// Content-Disposition (RFC 6266).
    pub content_disposition: Option<String>,
    /// Repr-Digest (RFC 9530 §3).
    pub repr_digest: Option<String>,
    /// What is said of a resumable upload.
    pub upload: Option<UploadStatus>,
    /// Whether the resource takes a form that contains files: `Accept-Post: multipart/form-data` (Linked Data Platform
    /// §7.1).
    pub accepts_forms: bool,
}

/// The fields of resumable uploads (draft-ietf-httpbis-resumable-upload). Each is left out where it is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadStatus {
    /// Upload-Complete: whether the response comes from the resource that was to be uploaded to.
    pub complete: Option<bool>,
    /// Upload-Offset, in bytes.
    pub offset: Option<u64>,
    /// Upload-Length, in bytes.
    pub length: Option<u64>,
    /// Upload-Limit.
    pub limit: Option<String>,
    /// Whether no cache may keep the response: `Cache-Control: no-store`.
    pub no_store: bool,
    /// Whether the resource takes PATCH: `Accept-Patch: application/partial-upload` (RFC 5789 §3.1).
    pub accepts_patch: bool,
}

impl RareFields {
    /// Repr-Digest alone.
    pub fn repr_digest(value: String) -> Box<RareFields> {
        Box::new(RareFields { repr_digest: Some(value), ..RareFields::default() })
    }
}

/// A response. Its fields are members, so that none can be sent twice or under a wrong name. Each one, here or in
/// [`RareFields`], is written by `write_head` in `http1/response_writer.rs`. Content-Length, Transfer-Encoding,
/// Connection and Date are not among them, because only the connection writes those.
#[derive(Debug)]
pub struct Response<'r, B> {
    /// The status.
    pub status: Status,
    /// Content-Encoding, if the content is compressed.
    pub content_encoding: Option<ContentEncoding>,
    /// Content-Type.
    pub content_type: Option<Cow<'r, str>>,
    /// Whether the response depends on the accepted content codings: `Vary: Accept-Encoding`.
    pub varies_by_coding: bool,
    /// Whether the response depends on the accepted media types: `Vary: Accept`.
    pub varies_by_media_type: bool,
    /// Whether the response depends on who sends the request: `Vary: Authorization`.
    pub varies_by_credentials: bool,
    /// Whether the response is for its client alone: `Cache-Control: private` (RFC 9111 §5.2.2.7).
    pub is_private: bool,
    /// Whether a cache must revalidate the response before each use: `Cache-Control: no-cache` (RFC 9111 §5.2.2.4).
    pub no_cache: bool,
    /// Fields that few responses have. Boxed, because every response is moved a few times.
    pub rare: Option<Box<RareFields>>,
    /// Content-Security-Policy: what a browser may do with the content.
    pub content_security_policy: Option<&'static str>,
    /// Whether only pages of the same origin may embed the content: `Cross-Origin-Resource-Policy: same-origin`.
    pub same_origin_only: bool,
    /// Whether the browser must not tell other pages the address of this content: `Referrer-Policy: no-referrer`.
    pub no_referrer: bool,
    /// Allow (RFC 9110 §10.2.1). An empty list means that no method is allowed.
    pub allow: Option<&'static [Method]>,
    /// Accept-Encoding (RFC 9110 §12.5.3): the content codings that are accepted in a request's content.
    pub accept_encoding: Option<&'static str>,
    /// Whether ranges of the representation are served: `Accept-Ranges: bytes`.
    pub accepts_ranges: bool,
    /// Whether browsers must use the Content-Type, and not guess from the content: `X-Content-Type-Options: nosniff`.
    pub nosniff: bool,
    /// ETag, including its quotation marks.
    pub etag: Option<Cow<'r, str>>,
    /// Last-Modified.
    pub last_modified: Option<ImfFixdate>,
    /// Content-Range.
    pub content_range: Option<ContentRange>,
    /// The content.
    pub body: Body<'r, B>,
}

impl<'r, B> Response<'r, B> {
    /// A response with no fields and no content.
    pub fn new(status: Status) -> Response<'r, B> {
        Response {
            status,
            content_encoding: None,
            content_type: None,
            varies_by_coding: false,
            varies_by_media_type: false,
            varies_by_credentials: false,
            is_private: false,
            no_cache: false,
            rare: None,
            content_security_policy: None,
            same_origin_only: false,
            no_referrer: false,
            allow: None,
            accept_encoding: None,
            accepts_ranges: false,
            nosniff: false,
            etag: None,
            last_modified: None,
            content_range: None,
            body: Body::Empty,
        }
    }

    /// An error response. Its content is one line of text, `reason`.
    pub fn with_reason(status: Status, reason: &'static str) -> Response<'r, B> {
        let mut line = Vec::with_capacity(reason.len() + 1);
        line.extend_from_slice(reason.as_bytes());
        line.push(b'\n');
        Response {
            content_type: Some(Cow::Borrowed("text/plain")),
            body: Body::Bytes(Cow::Owned(line)),
            ..Response::new(status)
        }
    }
}
