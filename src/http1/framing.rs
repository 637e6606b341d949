//! How long the content of a request is: RFC 9112 §6.3, as the numbered list that it is.
//!
//! Two readers of one message who disagree about its end are how requests are smuggled, so that every ambiguity is an
//! offence and none is repaired.

use super::grammar::{self, TCHAR};
use super::offence::Offence;
use crate::semantics::fields::{FieldName, Fields, trim_white_space};
use crate::semantics::request::Version;

/// Where the content of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many octets; 0 where the request has no content.
    Length(u64),
    /// At the last chunk and its trailers.
    Chunked,
}

/// The framing that the fields declare.
///
/// # Errors
/// Whatever leaves the end of the content open to interpretation.
pub fn framing(version: Version, fields: &Fields<'_>) -> Result<Framing, Offence> {
    // Rules 1 and 2 are about responses.
    let has_transfer_encoding = fields.contains(FieldName::TransferEncoding);
    let has_content_length = fields.contains(FieldName::ContentLength);

    // Rule 3: both. The RFC lets a server repair this, or refuse.
    if has_transfer_encoding && has_content_length {
        return Err(Offence::FramingAmbiguous);
    }
    // Rule 4: Transfer-Encoding, which must end in chunked for the content to have an end at all.
    if has_transfer_encoding {
        return transfer_encoding(version, fields);
    }
    // Rule 5: an invalid Content-Length, or several. The RFC lets equal ones be merged, or refused.
    // Rule 6: a valid one.
    if has_content_length {
        let value = fields.single(FieldName::ContentLength).ok_or(Offence::ContentLengthRepeated)?;
        return grammar::decimal(value).map(Framing::Length).ok_or(Offence::ContentLengthInvalid);
    }
    // Rule 7: a request with neither has no content. Rule 8 is about responses.
    Ok(Framing::Length(0))
}

fn transfer_encoding(version: Version, fields: &Fields<'_>) -> Result<Framing, Offence> {
    if version == Version::Http10 {
        return Err(Offence::TransferEncodingInVersion10);
    }
    // Not `list`, which leaves out empty members: here they are refused.
    let codings = || {
        fields
            .values(FieldName::TransferEncoding)
            .flat_map(|value| value.split(|octet| *octet == b','))
            .map(trim_white_space)
    };
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let chunked_count = codings().filter(|coding| is_chunked(coding)).count();
    let ends_in_chunked = codings().last().is_some_and(is_chunked);
    if chunked_count != 1 || !ends_in_chunked || !codings().all(is_transfer_coding) {
        return Err(Offence::TransferEncodingInvalid);
    }
    if codings().count() > 1 { Err(Offence::TransferCodingUnknown) } else { Ok(Framing::Chunked) }
}

/// transfer-coding (RFC 9112 §7) whose parameters hold tokens. A quoted string could hold a comma, which would read as
/// the end of the coding: such a list counts as malformed.
fn is_transfer_coding(coding: &[u8]) -> bool {
    let is_token = |octets: &[u8]| !octets.is_empty() && grammar::run(octets, TCHAR) == octets.len();
    let mut parts = coding.split(|octet| *octet == b';').map(trim_white_space);
    parts.next().is_some_and(is_token)
        && parts.all(|parameter| match memchr::memchr(b'=', parameter) {
            Some(equals) => {
                is_token(trim_white_space(&parameter[..equals])) && is_token(trim_white_space(&parameter[equals + 1..]))
            }
            None => false,
        })
}
