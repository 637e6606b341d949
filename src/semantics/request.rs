//! A request as a route sees it (RFC 9110 §3.4): method, target, fields. It borrows the bytes as they were received.

use super::fields::{FieldName, Fields};
use super::method::Method;

/// The version that both sides act by (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and every later minor version, which is read as if it were 1.1.
    Http11,
}

/// What the request is for (RFC 9112 §3.2), not decoded. Percent signs are followed by two digits, and other bytes are of
/// the URI grammar or among those that clients send without encoding them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`.
    Origin(&'a [u8]),
    /// `http://authority/path?query`. The authority replaces the Host field.
    Absolute {
        /// Between the two slashes and the path.
        authority: &'a [u8],
        /// What follows; may be empty.
        path_and_query: &'a [u8],
    },
    /// `host:port`, of CONNECT alone.
    Authority(&'a [u8]),
    /// `*`, of OPTIONS alone: the server as a whole.
    Asterisk,
}

impl<'a> Target<'a> {
    /// What follows the first `?`, not decoded; `None` where there is none.
    pub fn query(&self) -> Option<&'a [u8]> {
        let path_and_query = match *self {
            Target::Origin(path_and_query) | Target::Absolute { path_and_query, .. } => path_and_query,
            Target::Authority(_) | Target::Asterisk => return None,
        };
        memchr::memchr(b'?', path_and_query).map(|query| &path_and_query[query + 1..])
    }

    /// The path, not decoded, without the query. An empty path is `/` (RFC 9110 §4.2.3); an asterisk and an authority
    /// have none.
    pub fn path(&self) -> Option<&'a [u8]> {
        let path_and_query = match *self {
            Target::Origin(path_and_query) | Target::Absolute { path_and_query, .. } => path_and_query,
            Target::Authority(_) | Target::Asterisk => return None,
        };
        let path = match memchr::memchr(b'?', path_and_query) {
            Some(query) => &path_and_query[..query],
            None => path_and_query,
        };
        Some(if path.is_empty() { b"/" } else { path })
    }
}

/// One request's head.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// With what.
    pub target: Target<'a>,
    /// By which version's rules.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'a>,
    /// Bytes of content that Content-Length announces; `None` where the content is chunked. 0 where there is none.
    pub content_bytes: Option<u64>,
}

impl<'a> Request<'a> {
    /// Whom the request was sent to: host and port. The authority of an absolute-form replaces Host (RFC 9112 §3.2.2).
    pub fn authority(&self) -> Option<&'a [u8]> {
        match self.target {
            Target::Absolute { authority, .. } => Some(authority),
            Target::Origin(_) | Target::Authority(_) | Target::Asterisk => self.fields.single(FieldName::Host),
        }
    }

    /// Whether the request is about the server as a whole: `OPTIONS *`, or what a proxy is sent for it, the absolute-form
    /// without a path and a query (RFC 9112 §3.2.4).
    pub fn is_about_server(&self) -> bool {
        match self.target {
            Target::Asterisk => true,
            Target::Absolute { path_and_query, .. } => self.method == Method::Options && path_and_query.is_empty(),
            Target::Origin(_) | Target::Authority(_) => false,
        }
    }
}
