//! Where the content of a request ends: RFC 9112 §6.3, in the order of its numbered rules.
//!
//! If two recipients of a message disagree about its end, a request can be smuggled past one of them. Every ambiguity
//! is therefore a protocol error, and none is repaired.

use super::grammar::{self, FIELD_CONTENT, QDTEXT, TCHAR};
use super::protocol_error::ProtocolError;
use crate::semantics::fields::{FieldName, Fields};
use crate::semantics::request::Version;

/// Where the content of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes; 0 if the request has no content.
    Length(u64),
    /// After the last chunk and the trailer section.
    Chunked,
}

/// The framing of a request's content, according to its fields.
///
/// # Errors
/// If the fields are malformed, or leave the end of the content ambiguous.
pub fn framing(version: Version, fields: &Fields<'_>) -> Result<Framing, ProtocolError> {
    // Rules 1 and 2 are about responses.
    let has_transfer_encoding = fields.contains(FieldName::TransferEncoding);
    let has_content_length = fields.contains(FieldName::ContentLength);

    // Rule 3: both. The RFC lets a server ignore Content-Length, or refuse the request.
    if has_transfer_encoding && has_content_length {
        return Err(ProtocolError::FramingAmbiguous);
    }
    // Rule 4: Transfer-Encoding. It must end in chunked, or the content would have no end.
    if has_transfer_encoding {
        return transfer_encoding(version, fields);
    }
    // Rule 5: an invalid Content-Length, or several. The RFC lets a server merge equal ones, or refuse the request.
    // Rule 6: a valid Content-Length.
    if has_content_length {
        let value = fields.single(FieldName::ContentLength).ok_or(ProtocolError::ContentLengthRepeated)?;
        return grammar::decimal(value).map(Framing::Length).ok_or(ProtocolError::ContentLengthInvalid);
    }
    // Rule 7: a request with neither has no content. Rule 8 is about responses.
    Ok(Framing::Length(0))
}

fn transfer_encoding(version: Version, fields: &Fields<'_>) -> Result<Framing, ProtocolError> {
    if version == Version::Http10 {
        return Err(ProtocolError::TransferEncodingInHttp10);
    }
    let mut codings = Codings::default();
    for value in fields.values(FieldName::TransferEncoding) {
        codings.read(value).ok_or(ProtocolError::TransferEncodingInvalid)?;
    }
    if codings.chunked_count != 1 || !codings.ends_in_chunked {
        return Err(ProtocolError::TransferEncodingInvalid);
    }
    if codings.count > 1 { Err(ProtocolError::TransferCodingUnknown) } else { Ok(Framing::Chunked) }
}

/// What is known of the transfer codings, over all Transfer-Encoding lines.
#[derive(Default)]
struct Codings {
    count: usize,
    chunked_count: usize,
    ends_in_chunked: bool,
}

impl Codings {
    /// Reads the `#transfer-coding` of one line (RFC 9112 §6.1), or returns `None` if it is malformed. Unlike in other
    /// lists, an empty element is malformed: recipients that skip it and recipients that do not could see different
    /// last codings.
    fn read(&mut self, value: &[u8]) -> Option<()> {
        let mut rest = value;
        loop {
            let coding_and_more = after_white_space(rest);
            let after = after_transfer_coding(coding_and_more)?;
            let coding = &coding_and_more[..coding_and_more.len() - after.len()];
            self.ends_in_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.chunked_count += usize::from(self.ends_in_chunked);
            self.count += 1;
            match after_white_space(after) {
                [] => return Some(()),
                [b',', next @ ..] => rest = next,
                _ => return None,
            }
        }
    }
}

/// What follows a transfer coding (RFC 9112 §7): `token *( OWS ";" OWS transfer-parameter )`.
fn after_transfer_coding(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = after_token(bytes)?;
    while let [b';', parameter @ ..] = after_white_space(rest) {
        rest = after_parameter(after_white_space(parameter))?;
    }
    Some(rest)
}

/// What follows a transfer parameter: `token BWS "=" BWS ( token / quoted-string )`.
fn after_parameter(bytes: &[u8]) -> Option<&[u8]> {
    let value = after_white_space(after_white_space(after_token(bytes)?).strip_prefix(b"=")?);
    if value.starts_with(b"\"") { after_quoted_string(value) } else { after_token(value) }
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let token = grammar::run(bytes, TCHAR);
    (token > 0).then(|| &bytes[token..])
}

/// What follows a quoted string (RFC 9110 §5.6.4). A comma in it does not separate codings.
fn after_quoted_string(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        match &rest[grammar::run(rest, QDTEXT)..] {
            [b'"', after @ ..] => return Some(after),
            [b'\\', escaped, more @ ..] if grammar::is(*escaped, FIELD_CONTENT) => rest = more,
            _ => return None,
        }
    }
}

/// What follows OWS or BWS (RFC 9110 §5.6.3).
fn after_white_space(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}
