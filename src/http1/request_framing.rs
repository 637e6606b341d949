//! What the connection needs to know of a request after its head: how its content is framed, and how its response must
//! be.

use super::framing::{Framing, framing};
use super::grammar;
use super::message_head::RequestHead;
use super::protocol_error::ProtocolError;
use super::response_writer::Persistence;
use crate::semantics::fields::{FieldName, Fields};
use crate::semantics::method::Method;
use crate::semantics::request::{Target, Version};

/// How a request and its response are framed, and whether the connection persists.
#[derive(Clone, Copy, Debug)]
pub struct RequestFraming {
    /// How the content of the request is framed.
    pub content: Framing,
    /// The method. The response to HEAD has no content.
    pub method: Method,
    /// The version. An HTTP/1.0 client does not know the chunked coding.
    pub version: Version,
    /// Whether the connection persists after the response, as far as the client decides it.
    pub persistence: Persistence,
    /// Whether the client waits for `100 Continue` before it sends its content.
    pub expects_continue: bool,
}

impl RequestFraming {
    /// Checks a well-formed head: its target, and the fields Host, Content-Length, Transfer-Encoding, Connection and
    /// Expect. `strict` is [`Settings::strict`](super::Settings::strict).
    ///
    /// # Errors
    /// The first protocol error in this order.
    pub fn new(head: &RequestHead<'_>, strict: bool) -> Result<RequestFraming, ProtocolError> {
        check_target(&head.target, strict)?;
        check_host(head, strict)?;
        let content = framing(head.version, &head.fields)?;
        Ok(RequestFraming {
            content,
            method: head.method,
            version: head.version,
            persistence: persistence(head.version, &head.fields),
            expects_continue: expects_continue(head.version, content, &head.fields)?,
        })
    }

    /// The framing of the response to a protocol error: no content of the request is read, and the connection closes.
    pub(super) fn of_protocol_error(method: Method) -> RequestFraming {
        RequestFraming {
            content: Framing::Length(0),
            method,
            version: Version::Http11,
            persistence: Persistence::Close,
            expects_continue: false,
        }
    }

    /// The length of the content in bytes; `None` if it is chunked.
    pub fn content_bytes(&self) -> Option<u64> {
        match self.content {
            Framing::Length(bytes) => Some(bytes),
            Framing::Chunked => None,
        }
    }

    /// Whether the request has no content.
    pub fn has_no_content(&self) -> bool {
        self.content == Framing::Length(0)
    }
}

/// Checks the URI grammar (RFC 3986) if `strict`. Otherwise the parser of the head has already accepted a few bytes
/// outside of the grammar that widespread clients do not encode. They are unambiguous: no recipient takes them for the
/// target's end.
fn check_target(target: &Target<'_>, strict: bool) -> Result<(), ProtocolError> {
    let is_valid = match target {
        Target::Origin(path_and_query) | Target::Absolute { path_and_query, .. } => {
            !strict || grammar::is_path_and_query(path_and_query.as_bytes())
        }
        // Checked by the parser of the head.
        Target::Authority(_) | Target::Asterisk => true,
    };
    if is_valid { Ok(()) } else { Err(ProtocolError::TargetByteInvalid) }
}

/// RFC 9112 §3.2: there must be exactly one valid Host field. It may be missing unless `strict`: simple clients omit
/// it, and no resource of this server depends on it.
fn check_host(head: &RequestHead<'_>, strict: bool) -> Result<(), ProtocolError> {
    let mut hosts = head.fields.values(FieldName::Host);
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(ProtocolError::HostRepeated),
        // The field must be valid even if the target is in absolute-form, whose authority replaces it.
        (Some(host), None) if !grammar::is_host_and_port(host) => Err(ProtocolError::HostInvalid),
        (Some(_), None) => Ok(()),
        (None, None) if strict && head.version == Version::Http11 => Err(ProtocolError::HostMissing),
        (None, None) => Ok(()),
    }
}

/// Whether the client wants the connection to persist (RFC 9112 §9.3).
fn persistence(version: Version, fields: &Fields<'_>) -> Persistence {
    let has_option = |name: &[u8]| fields.list(FieldName::Connection).any(|option| option.eq_ignore_ascii_case(name));
    if has_option(b"close") {
        return Persistence::Close;
    }
    match version {
        Version::Http11 => Persistence::KeepAlive,
        Version::Http10 if has_option(b"keep-alive") => Persistence::KeepAliveExplicit,
        Version::Http10 => Persistence::Close,
    }
}

/// Whether the client waits for `100 Continue` (RFC 9110 §10.1.1). The field is ignored in HTTP/1.0, and `100-continue`
/// also if the request has no content. Any other expectation is a protocol error, since the server cannot meet it.
fn expects_continue(version: Version, framing: Framing, fields: &Fields<'_>) -> Result<bool, ProtocolError> {
    // A shortcut for the usual case.
    if version == Version::Http10 || !fields.contains(FieldName::Expect) {
        return Ok(false);
    }
    let mut expected = false;
    for expectation in fields.list(FieldName::Expect) {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(ProtocolError::ExpectationUnknown);
        }
        expected = true;
    }
    Ok(expected && framing != Framing::Length(0))
}
