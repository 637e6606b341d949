//! What of a request is needed behind its head: how its content is framed, and how its response is to be.

use super::framing::{Framing, framing};
use super::grammar;
use super::message_head::RequestHead;
use super::protocol_error::ProtocolError;
use super::response_writer::Persistence;
use crate::semantics::fields::{FieldName, Fields};
use crate::semantics::method::Method;
use crate::semantics::request::{Target, Version};

/// How a request and its response are framed, and what becomes of the connection.
#[derive(Clone, Copy, Debug)]
pub struct RequestFraming {
    /// How the content of the request is framed.
    pub content: Framing,
    /// The method: the response to HEAD has no content.
    pub method: Method,
    /// The version: an HTTP/1.0 client does not know the chunked coding.
    pub version: Version,
    /// What becomes of the connection afterwards, as far as the client's wish goes.
    pub persistence: Persistence,
    /// Whether the client waits for `100 Continue` before it sends its content.
    pub expects_continue: bool,
}

impl RequestFraming {
    /// Judges a head that is well-formed: its target, its Host, its framing, its Connection and its Expect.
    ///
    /// # Errors
    /// A protocol error in one of these fields.
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

    /// What a protocol error is answered by: nothing more is read, and nothing follows.
    pub(super) fn of_protocol_error(method: Method) -> RequestFraming {
        RequestFraming {
            content: Framing::Length(0),
            method,
            version: Version::Http11,
            persistence: Persistence::Close,
            expects_continue: false,
        }
    }

    /// Bytes of content, where their number has been announced.
    pub fn content_bytes(&self) -> Option<u64> {
        match self.content {
            Framing::Length(bytes) => Some(bytes),
            Framing::Chunked => None,
        }
    }

    /// Whether no content follows the head.
    pub fn has_no_content(&self) -> bool {
        self.content == Framing::Length(0)
    }
}

/// The URI grammar (RFC 3986). Unless `strict`, some bytes outside of it are let pass, which widespread clients do not
/// encode: they stand for themselves, and no reader takes them for an end of the target.
fn check_target(target: &Target<'_>, strict: bool) -> Result<(), ProtocolError> {
    let is_of_the_grammar = match target {
        Target::Origin(path_and_query) | Target::Absolute { path_and_query, .. } => {
            !strict || grammar::is_path_and_query(path_and_query)
        }
        // Checked when their form was told.
        Target::Authority(_) | Target::Asterisk => true,
    };
    if is_of_the_grammar { Ok(()) } else { Err(ProtocolError::TargetByteInvalid) }
}

/// RFC 9112 §3.2: exactly one valid Host. A missing one is let pass unless `strict`: clients made by hand leave it out,
/// and no target of this server depends on it.
fn check_host(head: &RequestHead<'_>, strict: bool) -> Result<(), ProtocolError> {
    let mut hosts = head.fields.values(FieldName::Host);
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(ProtocolError::HostRepeated),
        // An absolute-form's authority replaces the field's value, and yet a client MUST send a valid one.
        (Some(host), None) if !grammar::is_host_and_port(host) => Err(ProtocolError::HostInvalid),
        (Some(_), None) => Ok(()),
        (None, None) if strict && head.version == Version::Http11 => Err(ProtocolError::HostMissing),
        (None, None) => Ok(()),
    }
}

/// RFC 9112 §9.3.
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

/// RFC 9110 §10.1.1. HTTP/1.0 does not know the field. Where no content follows, `100-continue` means nothing, since
/// there is nothing to wait for; any other expectation may be about anything, and cannot be met.
fn expects_continue(version: Version, framing: Framing, fields: &Fields<'_>) -> Result<bool, ProtocolError> {
    // An absent field, the usual case, is not searched for.
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
