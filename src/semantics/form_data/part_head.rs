//! The header of a part: Content-Disposition with the name of the file, and Content-Transfer-Encoding.

use std::borrow::Cow;

use super::FormError;
use crate::semantics::fields::trim_white_space;

/// What the header of a part says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// The name of the file that the part contains.
    pub file_name: FileName,
    /// Whether the content is the file itself. Otherwise it is encoded, as `Content-Transfer-Encoding: base64` says, or
    /// has an unknown encoding. RFC 7578 §4.7 has deprecated that field.
    pub is_plain: bool,
}

/// The name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileName {
    /// There is none: the part is an ordinary field of the form, such as a text.
    Absent,
    /// The last segment of the stated name. It may be empty, and is not checked otherwise.
    Stated(Vec<u8>),
    /// The name is stated only in `filename*`, which forms must not use (RFC 7578 §4.2).
    Extended,
}

/// Parses the lines of a part's header, each with its CRLF. A line that begins with the boundary is an error.
pub(super) fn parse_part_head(mut lines: &[u8], boundary: &[u8]) -> Result<PartHead, FormError> {
    let mut file_name = None;
    let mut is_plain = true;
    while !lines.is_empty() {
        let end = memchr::memchr(b'\r', lines).ok_or(FormError::PartHeadMalformed)?;
        let line = &lines[..end];
        lines = lines[end..].strip_prefix(b"\r\n").ok_or(FormError::PartHeadMalformed)?;
        let (name, value) = field(line).ok_or(FormError::PartHeadMalformed)?;
        if line.starts_with(boundary) {
            return Err(FormError::PartHeadMalformed);
        }
        if name.eq_ignore_ascii_case(b"Content-Disposition") {
            let stated = file_name_of(value).ok_or(FormError::DispositionInvalid)?;
            if file_name.replace(stated).is_some() {
                return Err(FormError::DispositionInvalid);
            }
        } else if name.eq_ignore_ascii_case(b"Content-Transfer-Encoding") {
            let plain: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
            is_plain &= plain.iter().any(|encoding| value.eq_ignore_ascii_case(encoding));
        }
    }
    Ok(PartHead { file_name: file_name.ok_or(FormError::DispositionInvalid)?, is_plain })
}

/// The name of a field, and its value without the white space around it. `None` if the line is malformed; a folded line
/// is too.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], trim_white_space(&line[colon + 1..]));
    let is_valid = is_token(name) && value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
    is_valid.then_some((name, value))
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// The name of the file that a Content-Disposition states; `None` if the value is malformed.
fn file_name_of(disposition: &[u8]) -> Option<FileName> {
    let (kind, parameters) = parameters(disposition)?;
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let mut stated = None;
    let mut is_extended = false;
    for (name, value) in parameters {
        if name.eq_ignore_ascii_case(b"filename") {
            let value = last_segment(&without_browser_encoding(&value)).to_vec();
            // Of two names neither can be preferred.
            if stated.replace(value).is_some() {
                return None;
            }
        }
        is_extended |= name.eq_ignore_ascii_case(b"filename*");
    }
    Some(match stated {
        Some(name) => FileName::Stated(name),
        None if is_extended => FileName::Extended,
        None => FileName::Absent,
    })
}

/// Decodes what browsers encode in the name of a file, and nothing else (WHATWG HTML, "multipart/form-data encoding
/// algorithm"): line feed, carriage return and quotation mark. They do not encode the percent sign.
fn without_browser_encoding(name: &[u8]) -> Cow<'_, [u8]> {
    const ENCODED: [(&[u8], u8); 3] = [(b"%0A", b'\n'), (b"%0D", b'\r'), (b"%22", b'"')];
    if memchr::memchr(b'%', name).is_none() {
        return Cow::Borrowed(name);
    }
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        let encoded = ENCODED.iter().find(|(encoded, _)| rest.starts_with(encoded));
        decoded.push(encoded.map_or(*byte, |(_, byte)| *byte));
        rest = encoded.map_or(after, |(encoded, _)| &rest[encoded.len()..]);
    }
    Cow::Owned(decoded)
}

/// What follows the last slash or backslash: some clients send the path of the file (RFC 7578 §4.2).
fn last_segment(name: &[u8]) -> &[u8] {
    let start = memchr::memrchr2(b'/', b'\\', name).map_or(0, |at| at + 1);
    &name[start..]
}

/// A parameter's name and its value.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>);

/// Splits `value *( OWS ";" OWS [ name "=" value ] )` into the first value and the parameters (RFC 9110 §5.6.6);
/// `None` if it is malformed. A value that is not quoted may have any visible character but the semicolon and the
/// quotation mark.
pub(super) fn parameters(text: &[u8]) -> Option<(&[u8], Vec<Parameter<'_>>)> {
    let end = memchr::memchr(b';', text).unwrap_or(text.len());
    let first = trim_white_space(&text[..end]);
    let mut rest = &text[end..];
    let mut parameters = Vec::new();
    while let Some(after) = rest.strip_prefix(b";") {
        rest = trim_white_space(after);
        if rest.is_empty() || rest.starts_with(b";") {
            continue;
        }
        let equals = memchr::memchr(b'=', rest)?;
        let name = &rest[..equals];
        if !is_token(name) {
            return None;
        }
        let (value, after) = parameter_value(&rest[equals + 1..])?;
        parameters.push((name, value));
        rest = trim_white_space(after);
    }
    rest.is_empty().then_some((first, parameters))
}

/// The value at the beginning of `rest`, and what follows it.
fn parameter_value(rest: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        return quoted_value(quoted);
    }
    let end = rest.iter().position(|byte| b"; \t\"".contains(byte)).unwrap_or(rest.len());
    (end > 0).then(|| (Cow::Borrowed(&rest[..end]), &rest[end..]))
}

/// The value of a quoted string, whose first quotation mark has been removed, and what follows it.
///
/// A backslash is an escape only before a quotation mark or another backslash. Before anything else it is part of the
/// value, because browsers do not escape the backslashes in the name of a file.
fn quoted_value(rest: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    if rest[end] == b'"' {
        return Some((Cow::Borrowed(&rest[..end]), &rest[end + 1..]));
    }
    let mut value = Vec::with_capacity(rest.len());
    let mut rest = rest;
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] => return Some((Cow::Owned(value), after)),
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => (escaped, after),
            [byte, after @ ..] => (byte, after),
            [] => return None,
        };
        value.push(*byte);
        rest = after;
    }
}
