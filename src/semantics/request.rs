//! A request as routes see it (RFC 9110 §3.4): method, target, fields. It borrows the received bytes.

use super::client::ClientGroup;
use super::fields::{FieldName, Fields};
use super::method::Method;

/// The protocol version of a request (RFC 9110 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and every higher minor version, which is treated as 1.1.
    Http11,
}

/// A request target (RFC 9112 §3.2), not percent-decoded. Each percent sign is followed by two hexadecimal digits. The
/// other bytes are those of the URI grammar, and a few that clients send without encoding them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`.
    Origin(PathAndQuery<'a>),
    /// `http://authority/path?query`. The authority replaces the Host field.
    Absolute {
        /// A host and an optional port.
        authority: &'a [u8],
        /// Everything after the authority. May be empty.
        path_and_query: PathAndQuery<'a>,
    },
    /// `host:port`, only with CONNECT.
    Authority(&'a [u8]),
    /// `*`, only with OPTIONS: the server as a whole.
    Asterisk,
}

/// The path of a target, and its query if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathAndQuery<'a> {
    bytes: &'a [u8],
    /// The length of the path. A question mark follows, or nothing.
    path_bytes: usize,
}

impl<'a> PathAndQuery<'a> {
    /// Finds the query in `bytes`.
    pub fn new(bytes: &'a [u8]) -> PathAndQuery<'a> {
        PathAndQuery { bytes, path_bytes: memchr::memchr(b'?', bytes).unwrap_or(bytes.len()) }
    }

    /// The same, if it is known that the path has `path_bytes` bytes.
    pub fn split_at(bytes: &'a [u8], path_bytes: usize) -> PathAndQuery<'a> {
        debug_assert_eq!(PathAndQuery::new(bytes).path_bytes, path_bytes);
        PathAndQuery { bytes, path_bytes }
    }

    /// Both, as received.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Target<'a> {
    /// The query, without the `?` and not decoded; `None` if there is none.
    pub fn query(&self) -> Option<&'a [u8]> {
        let PathAndQuery { bytes, path_bytes } = self.path_and_query()?;
        bytes.get(path_bytes + 1..)
    }

    /// The path, not decoded. An empty path is `/` (RFC 9110 §4.2.3). `None` for asterisk-form and authority-form.
    pub fn path(&self) -> Option<&'a [u8]> {
        let PathAndQuery { bytes, path_bytes } = self.path_and_query()?;
        Some(if path_bytes == 0 { b"/" } else { &bytes[..path_bytes] })
    }

    fn path_and_query(&self) -> Option<PathAndQuery<'a>> {
        match *self {
            Target::Origin(path_and_query) | Target::Absolute { path_and_query, .. } => Some(path_and_query),
            Target::Authority(_) | Target::Asterisk => None,
        }
    }
}

/// Which of the server's listeners a request came through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// One for everybody.
    #[default]
    Public,
    /// One for the administrator.
    Admin,
}

/// All content of a request.
#[derive(Clone, Copy, Debug)]
pub struct ArrivedContent<'a>(&'a [u8]);

impl<'a> ArrivedContent<'a> {
    /// Only the connection knows where content ends.
    pub(crate) fn new(bytes: &'a [u8]) -> ArrivedContent<'a> {
        ArrivedContent(bytes)
    }

    /// The bytes of the content.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The head of a request, and its content if that is there too.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The target.
    pub target: Target<'a>,
    /// The version.
    pub version: Version,
    /// The fields.
    pub fields: Fields<'a>,
    /// The length of the content in bytes, 0 if there is none; `None` if it is chunked.
    pub content_bytes: Option<u64>,
    /// The content, if its length is known and all of it has arrived with the head. Whether it has depends on how the
    /// bytes were cut into reads, so the response must not depend on it.
    pub arrived: Option<ArrivedContent<'a>>,
    /// The listener that the request came through.
    pub endpoint: Endpoint,
    /// Whom the request counts against where clients share something; `None` if a proxy has not named its client.
    pub sender: Option<ClientGroup>,
}

impl<'a> Request<'a> {
    /// The host and port that the request was sent to: the authority of an absolute-form, or else Host (RFC 9112
    /// §3.2.2).
    pub fn authority(&self) -> Option<&'a [u8]> {
        match self.target {
            Target::Absolute { authority, .. } => Some(authority),
            Target::Origin(_) | Target::Authority(_) | Target::Asterisk => self.fields.single(FieldName::Host),
        }
    }

    /// Whether the request is about the server as a whole: `OPTIONS *`, or its form for proxies, an absolute-form
    /// without path and query (RFC 9112 §3.2.4).
    pub fn is_about_server(&self) -> bool {
        match self.target {
            Target::Asterisk => true,
            Target::Absolute { path_and_query, .. } => {
                self.method == Method::Options && path_and_query.as_bytes().is_empty()
            }
            Target::Origin(_) | Target::Authority(_) => false,
        }
    }
}
