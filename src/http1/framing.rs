//! How long the content of a request is: RFC 9112 §6.3, as the numbered list that it is.
//!
//! Two readers of one message who disagree about its end are how requests are smuggled, so that every ambiguity is an
//! protocol error and none is repaired.

use super::grammar::{self, FIELD_CONTENT, QDTEXT, TCHAR};
use super::protocol_error::ProtocolError;
use crate::semantics::fields::{FieldName, Fields};
use crate::semantics::request::Version;

/// Where the content of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; 0 where the request has no content.
    Length(u64),
    /// At the last chunk and its trailers.
    Chunked,
}

/// The framing that the fields declare.
///
/// # Errors
/// Whatever leaves the end of the content open to interpretation.
pub fn framing(version: Version, fields: &Fields<'_>) -> Result<Framing, ProtocolError> {
    // Rules 1 and 2 are about responses.
    let has_transfer_encoding = fields.contains(FieldName::TransferEncoding);
    let has_content_length = fields.contains(FieldName::ContentLength);

    // Rule 3: both. The RFC lets a server repair this, or refuse.
    if has_transfer_encoding && has_content_length {
        return Err(ProtocolError::FramingAmbiguous);
    }
    // Rule 4: Transfer-Encoding, which must end in chunked for the content to have an end at all.
    if has_transfer_encoding {
        return transfer_encoding(version, fields);
    }
    // Rule 5: an invalid Content-Length, or several. The RFC lets equal ones be merged, or refused.
    // Rule 6: a valid one.
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

/// What the list of transfer codings, over all its lines, comes to.
#[derive(Default)]
struct Codings {
    count: usize,
    chunked_count: usize,
    ends_in_chunked: bool,
}

impl Codings {
    /// Reads one line's `#transfer-coding` (RFC 9112 §6.1); `None` where it is malformed. Unlike in other lists, empty
    /// elements are: readers that skip them and readers that do not could see another last coding.
    fn read(&mut self, value: &[u8]) -> Option<()> {
        let mut rest = value;
        loop {
            let coding_and_more = after_white_space(rest);
            let behind = after_transfer_coding(coding_and_more)?;
            let coding = &coding_and_more[..coding_and_more.len() - behind.len()];
            self.ends_in_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.chunked_count += usize::from(self.ends_in_chunked);
            self.count += 1;
            match after_white_space(behind) {
                [] => return Some(()),
                [b',', next @ ..] => rest = next,
                _ => return None,
            }
        }
    }
}

/// What follows a transfer-coding (RFC 9112 §7): `token *( OWS ";" OWS transfer-parameter )`.
fn after_transfer_coding(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = after_token(bytes)?;
    while let [b';', parameter @ ..] = after_white_space(rest) {
        rest = after_parameter(after_white_space(parameter))?;
    }
    Some(rest)
}

/// `token BWS "=" BWS ( token / quoted-string )`.
fn after_parameter(bytes: &[u8]) -> Option<&[u8]> {
    let value = after_white_space(after_white_space(after_token(bytes)?).strip_prefix(b"=")?);
    if value.starts_with(b"\"") { after_quoted_string(value) } else { after_token(value) }
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let token = grammar::run(bytes, TCHAR);
    (token > 0).then(|| &bytes[token..])
}

/// RFC 9110 §5.6.4. A comma in it parts no codings.
fn after_quoted_string(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        match &rest[grammar::run(rest, QDTEXT)..] {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', escaped, more @ ..] if grammar::is(*escaped, FIELD_CONTENT) => rest = more,
            _ => return None,
        }
    }
}

/// OWS and BWS (RFC 9110 §5.6.3).
fn after_white_space(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}
