//! The head of a request (RFC 9112 §3 and §5), read where it was received: nothing is copied, and however the head is cut,
//! each byte is looked at a bounded number of times.

use super::field_section::FieldSectionParser;
use super::grammar::{self, TARGET, TARGET_QUERY, TCHAR};
use super::limits::{METHOD_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use super::protocol_error::ProtocolError;
use crate::semantics::fields::{FieldName, FieldSpan, FieldSpans, Fields};
use crate::semantics::method::Method;
use crate::semantics::request::{Target, Version};

/// Where in the head the reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Method,
    Target,
    Version,
    Fields,
}

/// Reads one head. Offsets are counted from the head's first byte.
///
/// The empty line that may precede a head (RFC 9112 §2.2) is not part of it; see [`leading_empty_line`].
#[derive(Clone, Copy, Debug)]
pub struct HeadParser {
    place: Place,
    /// The class of bytes that the target may hold where it is being read: another one in its query.
    target_class: u8,
    method: Method,
    form: TargetForm,
    version: Version,
    /// Bytes read of the request-line.
    bytes: u16,
    /// Where the space behind the method stands.
    method_end: u16,
    /// Where the space behind the target stands.
    target_end: u16,
    fields: FieldSectionParser,
}

/// A head that has been read to its end.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: Method,
    /// The target, in a form that the method may have.
    pub target: Target<'a>,
    /// The request-line up to the target's end, as received.
    pub method_and_target: &'a [u8],
    /// The version.
    pub version: Version,
    /// The field lines.
    pub fields: Fields<'a>,
    /// How many bytes the head has.
    pub bytes: usize,
}

impl Default for HeadParser {
    fn default() -> HeadParser {
        HeadParser {
            place: Place::Method,
            target_class: TARGET,
            method: Method::Unknown,
            form: TargetForm::Origin,
            version: Version::Http11,
            bytes: 0,
            method_end: 0,
            target_end: 0,
            fields: FieldSectionParser::default(),
        }
    }
}

/// An empty line before the request-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyLine {
    /// The bytes do not begin with one.
    None,
    /// A CR has come, and what follows it has not.
    Partial,
    /// The first two bytes are one.
    Complete,
}

/// Whether `bytes` begin with an empty line. A lone CR is none: it is left to be refused as a method.
pub fn leading_empty_line(bytes: &[u8]) -> EmptyLine {
    match bytes {
        [b'\r'] => EmptyLine::Partial,
        [b'\r', b'\n', ..] => EmptyLine::Complete,
        _ => EmptyLine::None,
    }
}

impl HeadParser {
    /// Whether no byte has been read.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && self.place == Place::Method
    }

    /// The method, as soon as it has been read to its end; unknown before.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Reads on. `head` is everything received from the head's first byte on: what earlier calls were given, and more.
    /// `spans` is the same for all calls of one head. Returns whether the head is complete.
    ///
    /// # Errors
    /// The first protocol error in the order of the bytes; the reader is of no use afterwards.
    pub fn advance(&mut self, head: &[u8], spans: &mut FieldSpans) -> Result<bool, ProtocolError> {
        if self.place != Place::Fields {
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

    /// Returns whether the request-line is complete.
    fn read_request_line(&mut self, head: &[u8]) -> Result<bool, ProtocolError> {
        let line_bytes_max = REQUEST_LINE_BYTES_MAX + b"\r\n".len();
        let window = &head[..head.len().min(line_bytes_max)];
        let mut complete = false;
        while !complete {
            let moved = match self.place {
                Place::Method => self.read_method(window)?,
                Place::Target => self.read_target(window)?,
                Place::Version => self.read_version(window)?,
                Place::Fields => true,
            };
            if !moved {
                break;
            }
            complete = self.place == Place::Fields;
        }
        if !complete && head.len() > line_bytes_max {
            return Err(ProtocolError::RequestLineTooLong);
        }
        Ok(complete)
    }

    fn read_method(&mut self, window: &[u8]) -> Result<bool, ProtocolError> {
        let start = usize::from(self.bytes);
        let end = start + grammar::run(&window[start..], TCHAR);
        if end > METHOD_BYTES_MAX {
            return Err(ProtocolError::MethodTooLong);
        }
        // The window ends within the request-line's limit, so that its offsets fit 16 bits.
        self.bytes = end as u16;
        match window.get(end) {
            None => Ok(false),
            Some(b' ') if end > 0 => {
                self.method = Method::from_token(&window[..end]);
                self.method_end = end as u16;
                self.bytes = end as u16 + 1;
                self.place = Place::Target;
                Ok(true)
            }
            Some(_) => Err(ProtocolError::MethodInvalid),
        }
    }

    fn read_target(&mut self, window: &[u8]) -> Result<bool, ProtocolError> {
        let start = usize::from(self.method_end) + 1;
        let mut at = usize::from(self.bytes);
        loop {
            at += grammar::run(&window[at..], self.target_class);
            // A percent sign stays unread until both of its digits have been seen.
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
                    self.target_class = TARGET_QUERY;
                    at += 1;
                }
                [b' ', ..] if at > start => break,
                [b'\r' | b'\n', ..] => return Err(ProtocolError::VersionMissing),
                [b'#', ..] => return Err(ProtocolError::TargetFragment),
                _ => return Err(ProtocolError::TargetByteInvalid),
            }
        }
        self.target_end = at as u16;
        self.bytes = at as u16 + 1;
        self.place = Place::Version;
        self.form = TargetForm::of(self.method, self.target_bytes(window))?;
        Ok(true)
    }

    fn read_version(&mut self, window: &[u8]) -> Result<bool, ProtocolError> {
        let version_start = usize::from(self.target_end) + 1;
        let line_end = &window[version_start..];
        if line_end.starts_with(b"HTTP/1.1\r\n") {
            self.version = Version::Http11;
        } else {
            let read = usize::from(self.bytes) - version_start;
            for (place, byte) in line_end.iter().enumerate().take(VERSION_BYTES).skip(read) {
                check_version_byte(place, *byte)?;
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
        self.place = Place::Fields;
        Ok(true)
    }

    fn target_bytes<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        &head[usize::from(self.method_end) + 1..usize::from(self.target_end)]
    }

    /// The head that [`advance`](HeadParser::advance) has called complete, in the bytes and spans that it was given.
    pub fn complete<'a>(&self, head: &'a [u8], spans: &'a FieldSpans) -> RequestHead<'a> {
        let fields_start = usize::from(self.bytes);
        RequestHead {
            method: self.method,
            target: self.form.target(self.target_bytes(head)),
            method_and_target: &head[..usize::from(self.target_end)],
            version: self.version,
            fields: Fields::new(&head[fields_start..], spans),
            bytes: fields_start + self.fields.bytes(),
        }
    }
}

/// `HTTP/1.1` and CRLF.
const VERSION_BYTES: usize = 10;

fn check_version_byte(place: usize, byte: u8) -> Result<(), ProtocolError> {
    let valid = match place {
        0..=4 => byte == b"HTTP/"[place],
        5 | 7 => byte.is_ascii_digit(),
        6 => byte == b'.',
        8 => byte == b'\r',
        _ => byte == b'\n',
    };
    if valid { Ok(()) } else { Err(ProtocolError::VersionInvalid) }
}

/// Which of the four forms (RFC 9112 §3.2) a target has.
#[derive(Clone, Copy, Debug)]
enum TargetForm {
    Origin,
    /// With this many bytes of authority behind the scheme.
    Absolute(u16),
    Authority,
    Asterisk,
}

const SCHEME: &[u8] = b"http://";

impl TargetForm {
    /// The form of a target; one that the method may not have is a protocol error.
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
        // No longer than the request-line, whose offsets fit.
        Ok(TargetForm::Absolute(authority_end as u16))
    }

    fn target(self, target: &[u8]) -> Target<'_> {
        match self {
            TargetForm::Origin => Target::Origin(target),
            TargetForm::Authority => Target::Authority(target),
            TargetForm::Asterisk => Target::Asterisk,
            TargetForm::Absolute(authority_bytes) => {
                let (authority, path_and_query) = target[SCHEME.len()..].split_at(usize::from(authority_bytes));
                Target::Absolute { authority, path_and_query }
            }
        }
    }
}
