//! Writes response heads (RFC 9112 §4), and the sizes of chunks. Nothing else writes the fields Content-Length,
//! Transfer-Encoding, Connection and Date.

use std::borrow::Cow;

use super::buffer_pool::OutputBuffer;
use crate::semantics::date::{IMF_FIXDATE_BYTES, ImfFixdate};
use crate::semantics::method::Method;
use crate::semantics::range::ByteRange;
use crate::semantics::response::{ContentRange, Response, UploadStatus};
use crate::semantics::resumable_upload::INTEROP_VERSION;
use crate::semantics::service::Interim;

/// Whether the connection persists after a response (RFC 9112 §9.3), and how the Connection field says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The connection persists, which is the default of HTTP/1.1, so the field is omitted.
    KeepAlive,
    /// The connection persists because an HTTP/1.0 client requested it: `Connection: keep-alive`.
    KeepAliveExplicit,
    /// The connection closes after this response: `Connection: close`.
    Close,
}

/// The response to a connection that is refused before it has sent a request.
pub const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n\
    Connection: close\r\n\r\n";

/// How the client finds the end of a response's content (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    /// Content-Length, in bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// The end of the connection, for HTTP/1.0 clients, which do not know the chunked coding.
    CloseDelimited,
}

pub(super) fn connection_line(persistence: Persistence) -> &'static [u8] {
    match persistence {
        Persistence::KeepAlive => b"",
        Persistence::KeepAliveExplicit => b"Connection: keep-alive\r\n",
        Persistence::Close => b"Connection: close\r\n",
    }
}

/// The challenge of HTTP Basic. Names and secrets are UTF-8 (RFC 7617 §2.1).
const CHALLENGE: &[u8] = b"WWW-Authenticate: Basic realm=\"Spindle\", charset=\"UTF-8\"\r\n";

/// Writes the status line and the fields, except the Connection field and the empty line, which follow.
pub(super) fn write_head<B>(
    out: &mut Vec<u8>,
    response: &Response<'_, B>,
    framing: ResponseFraming,
    date: Option<&DateLine>,
) {
    out.extend_from_slice(response.status.line());
    if let Some(content_encoding) = response.content_encoding {
        write_field(out, b"Content-Encoding: ", content_encoding.as_str().as_bytes());
    }
    if let Some(content_type) = &response.content_type {
        write_field(out, b"Content-Type: ", Cow::as_ref(content_type).as_bytes());
    }
    // RFC 9110 §8.6: a 204 must not have a Content-Length, and that of a 304 would have to be the length of the 200.
    if !response.status.forbids_content() {
        write_framing(out, framing);
    }
    write_vary(out, response);
    if let Some(allow) = response.allow {
        write_allow(out, allow);
    }
    if let Some(accept_encoding) = response.accept_encoding {
        write_field(out, b"Accept-Encoding: ", accept_encoding.as_bytes());
    }
    if response.accepts_ranges {
        out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    }
    if response.nosniff {
        out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    }
    write_rare_fields(out, response);
    if let Some(etag) = &response.etag {
        write_field(out, b"ETag: ", Cow::as_ref(etag).as_bytes());
    }
    if let Some(last_modified) = &response.last_modified {
        write_field(out, b"Last-Modified: ", last_modified.as_bytes());
    }
    if let Some(content_range) = &response.content_range {
        write_content_range(out, content_range);
    }
    if let Some(date) = date {
        out.extend_from_slice(&date.line);
    }
}

fn write_vary<B>(out: &mut Vec<u8>, response: &Response<'_, B>) {
    // A shortcut: most responses do not vary.
    if !(response.varies_by_media_type || response.varies_by_coding || response.varies_by_credentials) {
        return;
    }
    let names = [
        (response.varies_by_media_type, &b"Accept"[..]),
        (response.varies_by_coding, b"Accept-Encoding"),
        (response.varies_by_credentials, b"Authorization"),
    ];
    let mut separator = &b"Vary: "[..];
    for (_, name) in names.into_iter().filter(|(varies, _)| *varies) {
        out.extend_from_slice(separator);
        out.extend_from_slice(name);
        separator = b", ";
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the fields that few responses have.
fn write_rare_fields<B>(out: &mut Vec<u8>, response: &Response<'_, B>) {
    let rare = response.rare.as_deref();
    if let Some(location) = rare.and_then(|rare| rare.location.as_ref()) {
        write_field(out, b"Location: ", location.as_bytes());
    }
    if rare.is_some_and(|rare| rare.challenge) {
        out.extend_from_slice(CHALLENGE);
    }
    write_cache_control(out, response);
    if let Some(repr_digest) = rare.and_then(|rare| rare.repr_digest.as_ref()) {
        write_field(out, b"Repr-Digest: ", repr_digest.as_bytes());
    }
    if let Some(upload) = rare.and_then(|rare| rare.upload.as_ref()) {
        write_upload_status(out, upload);
    }
    if rare.is_some_and(|rare| rare.accepts_forms) {
        out.extend_from_slice(b"Accept-Post: multipart/form-data\r\n");
    }
    if let Some(content_disposition) = rare.and_then(|rare| rare.content_disposition.as_ref()) {
        write_field(out, b"Content-Disposition: ", content_disposition.as_bytes());
    }
    if let Some(content_security_policy) = response.content_security_policy {
        write_field(out, b"Content-Security-Policy: ", content_security_policy.as_bytes());
    }
    if response.same_origin_only {
        out.extend_from_slice(b"Cross-Origin-Resource-Policy: same-origin\r\n");
    }
    if response.no_referrer {
        out.extend_from_slice(b"Referrer-Policy: no-referrer\r\n");
    }
}

/// Writes one field with all directives: some caches use only the first of two fields.
fn write_cache_control<B>(out: &mut Vec<u8>, response: &Response<'_, B>) {
    let upload = response.rare.as_deref().and_then(|rare| rare.upload.as_ref());
    let value: &[u8] = match (response.is_private, response.no_cache) {
        // Includes the other two.
        _ if upload.is_some_and(|upload| upload.no_store) => b"no-store",
        (false, false) => return,
        (false, true) => b"no-cache",
        (true, false) => b"private",
        (true, true) => b"private, no-cache",
    };
    write_field(out, b"Cache-Control: ", value);
}

/// Writes an interim response with status 104.
pub(super) fn write_interim(out: &mut Vec<u8>, interim: &Interim) {
    out.extend_from_slice(b"HTTP/1.1 104 Upload Resumption Supported\r\n");
    // Without it, a client of a draft version ignores the response (appendix B of the draft).
    if let Some(version) = INTEROP_VERSION {
        out.extend_from_slice(b"Upload-Draft-Interop-Version: ");
        write_decimal(out, version);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(location) = &interim.location {
        write_field(out, b"Location: ", location.as_bytes());
    }
    write_upload_status(out, &interim.upload);
    out.extend_from_slice(b"\r\n");
}

/// The fields of resumable uploads, of a response or an interim response.
fn write_upload_status(out: &mut Vec<u8>, upload: &UploadStatus) {
    if let Some(complete) = upload.complete {
        write_field(out, b"Upload-Complete: ", if complete { b"?1" } else { b"?0" });
    }
    for (name_and_colon, bytes) in [(&b"Upload-Offset: "[..], upload.offset), (b"Upload-Length: ", upload.length)] {
        if let Some(bytes) = bytes {
            out.extend_from_slice(name_and_colon);
            write_decimal(out, bytes);
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some(limit) = &upload.limit {
        write_field(out, b"Upload-Limit: ", limit.as_bytes());
    }
    if upload.accepts_patch {
        out.extend_from_slice(b"Accept-Patch: application/partial-upload\r\n");
    }
}

fn write_framing(out: &mut Vec<u8>, framing: ResponseFraming) {
    match framing {
        ResponseFraming::Length(bytes) => {
            out.extend_from_slice(b"Content-Length: ");
            write_decimal(out, bytes);
            out.extend_from_slice(b"\r\n");
        }
        ResponseFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        ResponseFraming::CloseDelimited => {}
    }
}

/// Inlined, so that the name is copied by a few instructions and not by a call.
#[inline(always)]
fn write_field(out: &mut Vec<u8>, name_and_colon: &[u8], value: &[u8]) {
    out.extend_from_slice(name_and_colon);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_allow(out: &mut Vec<u8>, methods: &[Method]) {
    out.extend_from_slice(b"Allow:");
    for (index, method) in methods.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b" " } else { b", " });
        out.extend_from_slice(method.as_str().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_content_range(out: &mut Vec<u8>, content_range: &ContentRange) {
    out.extend_from_slice(b"Content-Range: bytes ");
    let bytes_total = match content_range {
        ContentRange::Part(ByteRange { first, last }, bytes_total) => {
            write_decimal(out, *first);
            out.push(b'-');
            write_decimal(out, *last);
            bytes_total
        }
        ContentRange::Unsatisfied(bytes_total) => {
            out.push(b'*');
            bytes_total
        }
    };
    out.push(b'/');
    write_decimal(out, *bytes_total);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn write_decimal(out: &mut Vec<u8>, value: u64) {
    // A shortcut for the length of empty content.
    if value < 10 {
        return out.push(b'0' + value as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

const DATE_LINE_BYTES: usize = b"Date: \r\n".len() + IMF_FIXDATE_BYTES;

/// A Date field line. One is formatted per second, for all connections.
#[derive(Debug)]
pub(super) struct DateLine {
    unix_s: u64,
    line: [u8; DATE_LINE_BYTES],
}

impl DateLine {
    /// The line for `unix_s`; `None` after the year 9999.
    pub(super) fn new(unix_s: u64) -> Option<DateLine> {
        let date = ImfFixdate::new(unix_s)?;
        let mut line = [0; DATE_LINE_BYTES];
        let (name, rest) = line.split_at_mut(b"Date: ".len());
        let (value, line_end) = rest.split_at_mut(IMF_FIXDATE_BYTES);
        name.copy_from_slice(b"Date: ");
        value.copy_from_slice(date.as_bytes());
        line_end.copy_from_slice(b"\r\n");
        Some(DateLine { unix_s, line })
    }

    /// The line's time, in seconds since 1970.
    pub(super) fn unix_s(&self) -> u64 {
        self.unix_s
    }
}

/// Writes the first line of a chunk of `bytes` bytes (RFC 9112 §7.1), after the line end of the previous chunk, if any.
pub(super) fn write_chunk_size(out: &mut OutputBuffer, bytes: u64, is_first: bool) {
    if !is_first {
        out.extend_from_slice(b"\r\n");
    }
    // The most hexadecimal digits of a 64-bit number.
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = bytes;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(rest % 16) as usize];
        rest /= 16;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}
