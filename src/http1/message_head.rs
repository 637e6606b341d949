//! Parser of a request's head (RFC 9112 §3 and §5). It parses in place and copies nothing. However the head was cut
//! into reads, each byte is examined a bounded number of times.

use super::field_section::FieldSectionParser;
use super::grammar::{self, TARGET, TARGET_QUERY, TCHAR};
use super::limits::{METHOD_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use super::protocol_error::ProtocolError;
use crate::semantics::fields::{FieldName, FieldSpan, FieldSpans, Fields};
use crate::semantics::method::Method;
use crate::semantics::request::{PathAndQuery, Target, Version};

/// The part of the head that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Method,
    Target,
    Version,
    Fields,
}

/// Parses one head. Offsets are counted from the head's first byte.
///
/// The empty line that may precede a head (RFC 9112 §2.2) is not part of it; see [`leading_empty_line`].
#[derive(Clone, Copy, Debug)]
pub struct HeadParser {
    state: State,
    method: Method,
    form: TargetForm,
    version: Version,
    /// How many bytes of the request line have been parsed.
    bytes: u16,
    /// Offset of the space after the method.
    method_end: u16,
    /// Offset of the target's first question mark, or of the space after the target; 0 before either has been found.
    path_end: u16,
    /// Offset of the space after the target.
    target_end: u16,
    fields: FieldSectionParser,
}

/// A complete head.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: Method,
    /// The target. Its form is valid for the method.
    pub target: Target<'a>,
    /// The method, a space and the target, as received.
    pub method_and_target: &'a [u8],
    /// The version.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'a>,
    /// The length of the head in bytes.
    pub bytes: usize,
}

impl Default for HeadParser {
    fn default() -> HeadParser {
        HeadParser {
            state: State::Method,
            method: Method::Unknown,
            form: TargetForm::Origin,
            version: Version::Http11,
            bytes: 0,
            method_end: 0,
            path_end: 0,
            target_end: 0,
            fields: FieldSectionParser::default(),
        }
    }
}

/// Whether there is an empty line before the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyLine {
    /// There is none.
    None,
    /// The only byte so far is a CR.
    Partial,
    /// The first two bytes are CRLF.
    Complete,
}

/// Whether `bytes` begin with an empty line. A CR without LF is not one: the parser refuses it as a method.
pub fn leading_empty_line(bytes: &[u8]) -> EmptyLine {
    match bytes {
        [b'\r'] => EmptyLine::Partial,
        [b'\r', b'\n', ..] => EmptyLine::Complete,
        _ => EmptyLine::None,
    }
}

impl HeadParser {
    /// Whether no byte has been parsed.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && self.state == State::Method
    }

    /// The method; [`Method::Unknown`] before it is complete.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Parses the bytes that no earlier call has parsed. `head` starts at the head's first byte in every call, and
    /// contains at least what the previous call was given. `spans` must be the same in all calls for one head, and
    /// receives its field lines. Returns whether the head is complete; anything after it is ignored.
    ///
    /// # Errors
    /// The first protocol error in the head. The parser must not be used after an error.
    pub fn advance(&mut self, head: &[u8], spans: &mut FieldSpans) -> Result<bool, ProtocolError> {
        if self.state != State::Fields {
            if self.is_empty() {
                spans.clear();
            }
            if !self.read_request_line(head)? {
                return Ok(false);
            }
        }
        let section_start = usize::from(self.bytes);
        let section = head.get(section_start..).unwrap_or_default();
        let unread = section.get(self.fields.bytes()..).unwrap_or_default();
        let advance = self.fields.advance(unread, |span| {
            let name = &section[usize::from(span.name_start)..usize::from(span.name_end)];
            spans.push(FieldSpan { name: FieldName::from_bytes(name), ..span });
        })?;
        Ok(advance.complete)
    }

    /// Returns whether the request line is complete.
    fn read_request_line(&mut self, head: &[u8]) -> Result<bool, ProtocolError> {
        let line_bytes_max = REQUEST_LINE_BYTES_MAX + b"\r\n".len();
        let window = &head[..head.len().min(line_bytes_max)];
        let complete = (self.state != State::Method || self.read_method(window)?)
            && (self.state != State::Target || self.read_target(window)?)
            && (self.state != State::Version || self.read_version(window)?);
        if !complete && head.len() > line_bytes_max {
            return Err(ProtocolError::RequestLineTooLong);
        }
        Ok(complete)
    }

    /// Returns whether the method is complete.
    fn read_method(&mut self, window: &[u8]) -> Result<bool, ProtocolError> {
        // A shortcut for most requests.
        if window.starts_with(b"GET ") {
            self.end_method(Method::Get, b"GET".len());
            return Ok(true);
        }
        let start = usize::from(self.bytes);
        let end = start + grammar::run(&window[start..], TCHAR);
        if end > METHOD_BYTES_MAX {
            return Err(ProtocolError::MethodTooLong);
        }
        // The window ends within the request line's limit, so its offsets fit 16 bits.
        self.bytes = end as u16;
        match window.get(end) {
            None => Ok(false),
            Some(b' ') if end > 0 => {
                self.end_method(Method::from_token(&window[..end]), end);
                Ok(true)
            }
            Some(_) => Err(ProtocolError::MethodInvalid),
        }
    }

    fn end_method(&mut self, method: Method, end: usize) {
        self.method = method;
        self.method_end = end as u16;
        self.bytes = end as u16 + 1;
        self.state = State::Target;
    }

    /// Returns whether the target is complete.
    fn read_target(&mut self, window: &[u8]) -> Result<bool, ProtocolError> {
        let start = usize::from(self.method_end) + 1;
        let mut at = usize::from(self.bytes);
        loop {
            at += grammar::run(&window[at..], if self.path_end == 0 { TARGET } else { TARGET_QUERY });
            // A percent sign counts as parsed only together with its two digits.
            self.bytes = at as u16;
            match &window[at..] {
                [] => return Ok(false),
                [b'%', digits @ ..] => {
                    if digits.iter().take(2).any(|digit| grammar::hex_digit(*digit).is_none()) {
                        return Err(ProtocolError::TargetPercentInvalid);
                    }
                    if digits.len() < 2 {
                        return Ok(false);
                    }
                    at += 3;
                }
                [b'?', ..] => {
                    self.path_end = at as u16;
                    at += 1;
                }
                [b' ', ..] if at > start => break,
                [b'\r' | b'\n', ..] => return Err(ProtocolError::VersionMissing),
                [b'#', ..] => return Err(ProtocolError::TargetFragment),
                _ => return Err(ProtocolError::TargetByteInvalid),
            }
        }
        self.target_end = at as u16;
        if self.path_end == 0 {
            self.path_end = self.target_end;
        }
        self.bytes = at as u16 + 1;
        self.state = State::Version;
        self.form = TargetForm::of(self.method, self.target_bytes(window))?;
        Ok(true)
    }

    /// Returns whether the version and the line end are complete.
    fn read_version(&mut self, window: &[u8]) -> Result<bool, ProtocolError> {
        let version_start = usize::from(self.target_end) + 1;
        let line_end = &window[version_start..];
        if line_end.starts_with(b"HTTP/1.1\r\n") {
            self.version = Version::Http11;
        } else {
            let read = usize::from(self.bytes) - version_start;
            for (index, byte) in line_end.iter().enumerate().take(VERSION_BYTES).skip(read) {
                check_version_byte(index, *byte)?;
            }
            if line_end.len() < VERSION_BYTES {
                self.bytes = window.len() as u16;
                return Ok(false);
            }
            self.version = match (line_end[5], line_end[7]) {
                (b'1', b'0') => Version::Http10,
                (b'1', _) => Version::Http11,
                _ => return Err(ProtocolError::VersionNotSupported),
            };
        }
        self.bytes = (version_start + VERSION_BYTES) as u16;
        self.state = State::Fields;
        Ok(true)
    }

    fn target_bytes<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[usize::from(self.method_end) + 1..usize::from(self.target_end)]
    }

    /// The head, once [`advance`](HeadParser::advance) has returned that it is complete. `head` and `spans` are those
    /// of that call.
    pub fn complete<'a>(&self, head: &'a [u8], spans: &'a FieldSpans) -> RequestHead<'a> {
        let fields_start = usize::from(self.bytes);
        RequestHead {
            method: self.method,
            target: self.form.target(self.target_bytes(head), usize::from(self.path_end - self.method_end - 1)),
            method_and_target: &head[..usize::from(self.target_end)],
            version: self.version,
            fields: Fields::new(&head[fields_start..], spans),
            bytes: fields_start + self.fields.bytes(),
        }
    }
}

/// The length of `HTTP/1.1` and CRLF.
const VERSION_BYTES: usize = 10;

fn check_version_byte(index: usize, byte: u8) -> Result<(), ProtocolError> {
    let valid = match index {
        0..=4 => byte == b"HTTP/"[index],
        5 | 7 => byte.is_ascii_digit(),
        6 => byte == b'.',
        8 => byte == b'\r',
        _ => byte == b'\n',
    };
    if valid { Ok(()) } else { Err(ProtocolError::VersionInvalid) }
}

/// The form of a target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug)]
enum TargetForm {
    Origin,
    /// With the length of the authority in bytes.
    Absolute(u16),
    Authority,
    Asterisk,
}

const SCHEME: &[u8] = b"http://";

impl TargetForm {
    /// The form of a target.
    ///
    /// # Errors
    /// If the target has no form that is valid for the method.
    fn of(method: Method, target: &[u8]) -> Result<TargetForm, ProtocolError> {
        match (method, target) {
            (Method::Connect, _) if grammar::is_authority_form(target) => Ok(TargetForm::Authority),
            (Method::Connect, _) => Err(ProtocolError::TargetFormInvalid),
            (_, [b'/', ..]) => Ok(TargetForm::Origin),
            (Method::Options, b"*") => Ok(TargetForm::Asterisk),
            _ => TargetForm::of_absolute(target),
        }
    }

    fn of_absolute(target: &[u8]) -> Result<TargetForm, ProtocolError> {
        let Some((scheme, rest)) = target.split_at_checked(SCHEME.len()) else {
            return Err(ProtocolError::TargetFormInvalid);
        };
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(ProtocolError::TargetFormInvalid);
        }
        let authority_end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        if !grammar::is_host_and_port(&rest[..authority_end]) {
            return Err(ProtocolError::TargetAuthorityInvalid);
        }
        // Shorter than the request line, so it fits 16 bits.
        Ok(TargetForm::Absolute(authority_end as u16))
    }

    /// `path_end` is the index of the first question mark, or the length.
    fn target(self, target: &[u8], path_end: usize) -> Target<'_> {
        match self {
            TargetForm::Origin => Target::Origin(PathAndQuery::split_at(target, path_end)),
            TargetForm::Authority => Target::Authority(target),
            TargetForm::Asterisk => Target::Asterisk,
            TargetForm::Absolute(authority_bytes) => {
                let authority_end = SCHEME.len() + usize::from(authority_bytes);
                let (start, path_and_query) = target.split_at(authority_end);
                let path_and_query = PathAndQuery::split_at(path_and_query, path_end - authority_end);
                Target::Absolute { authority: &start[SCHEME.len()..], path_and_query }
            }
        }
    }
}
