//! A response as a route makes it (RFC 9110 §3.4): status, fields, content. How it is framed is not its business.

use std::borrow::Cow;

use super::date::ImfFixdate;
use super::method::Method;
use super::range::ByteRange;
use super::status::Status;

/// What follows the head.
#[derive(Debug)]
pub enum Body<'r, B> {
    /// Content of 0 bytes.
    Empty,
    /// Content in memory.
    Bytes(Cow<'r, [u8]>),
    /// Content that the driver transmits: an open file.
    Source(B),
}

/// What a Content-Range field says (RFC 9110 §14.4), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// The content is this range of a representation of so many bytes.
    Part(ByteRange, u64),
    /// The representation has so many bytes, and none of the ranges is among them.
    Unsatisfied(u64),
}

/// How content is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
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
    /// Content-Disposition (RFC 6266).
    pub content_disposition: Option<String>,
}

/// A response. Fields are members, so that none can be sent twice or under a wrong name. Content-Length,
/// Transfer-Encoding, Connection and Date are no members: the connection alone writes them.
#[derive(Debug)]
pub struct Response<'r, B> {
    /// The status.
    pub status: Status,
    /// Content-Encoding: how the content is compressed.
    pub content_encoding: Option<ContentEncoding>,
    /// Content-Type.
    pub content_type: Option<Cow<'r, str>>,
    /// Whether the answer depends on what codings were accepted: `Vary: Accept-Encoding`.
    pub varies_by_coding: bool,
    /// Whether the answer depends on what media types were accepted: `Vary: Accept`.
    pub varies_by_media_type: bool,
    /// Whether a cache must ask before each use: `Cache-Control: no-cache` (RFC 9111 §5.2.2.4).
    pub no_cache: bool,
    /// What few responses have. Boxed, since every response is moved a few times.
    pub rare: Option<Box<RareFields>>,
    /// Content-Security-Policy: what a browser may do with the content.
    pub content_security_policy: Option<&'static str>,
    /// Whether only pages of the same origin may embed the content: `Cross-Origin-Resource-Policy: same-origin`.
    pub same_origin_only: bool,
    /// Allow (RFC 9110 §10.2.1); empty where nothing is allowed.
    pub allow: Option<&'static [Method]>,
    /// Accept-Encoding (RFC 9110 §12.5.3): the content codings that a request's content may have.
    pub accept_encoding: Option<&'static str>,
    /// Whether ranges of the representation are served: `Accept-Ranges: bytes`.
    pub accepts_ranges: bool,
    /// Whether a browser must believe the Content-Type, and not guess from the content: `X-Content-Type-Options: nosniff`.
    pub nosniff: bool,
    /// ETag, in its quotes.
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
            no_cache: false,
            rare: None,
            content_security_policy: None,
            same_origin_only: false,
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

    /// A response whose content is `reason` in a line of its own: why the request was not done.
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
