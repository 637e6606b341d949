//! A strict parser of responses. It shares no code with the server, and panics at anything that the server must not send.

use std::fmt;

/// A response.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ParsedResponse {
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    /// `None` if the response has no content.
    pub content: Option<Vec<u8>>,
}

impl ParsedResponse {
    /// The value of the field with that name. Panics if there are several.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        assert!(values.next().is_none(), "two fields {name}: {self:?}");
        Some(std::str::from_utf8(value).expect("a field value in ASCII"))
    }

    pub(crate) fn says_close(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    /// The content as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.content.as_deref().unwrap_or_default()).expect("content in UTF-8")
    }

    pub(crate) fn is_interim(&self) -> bool {
        self.status < 200
    }
}

impl fmt::Debug for ParsedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for (name, value) in &self.fields {
            write!(f, " | {name}: {}", value.escape_ascii())?;
        }
        let content = self.content.as_deref().unwrap_or_default();
        write!(f, " | {:?}", content[..content.len().min(200)].escape_ascii().to_string())
    }
}

/// Parses all of `bytes` as responses to requests with these methods, in their order. A further response is one to a
/// request that no service has received.
///
/// Panics, with the reason, at anything that RFC 9110 or RFC 9112 does not allow a server to send.
pub(crate) fn parse_responses(mut bytes: &[u8], methods: &[&str]) -> Vec<ParsedResponse> {
    let mut responses: Vec<ParsedResponse> = Vec::new();
    let mut finals = 0;
    while !bytes.is_empty() {
        let response;
        (response, bytes) = read_one(bytes, methods.get(finals).copied());
        if let Some(last) = responses.last() {
            assert!(!last.says_close(), "a response after Connection: close: {response:?}");
        }
        finals += usize::from(!response.is_interim());
        responses.push(response);
    }
    responses
}

fn read_one<'a>(bytes: &'a [u8], method: Option<&str>) -> (ParsedResponse, &'a [u8]) {
    let (line, mut rest) = split_line(bytes);
    let status = read_status_line(line);
    let mut fields = Vec::new();
    loop {
        let line;
        (line, rest) = split_line(rest);
        if line.is_empty() {
            break;
        }
        fields.push(read_field(line));
    }
    let mut response = ParsedResponse { status, fields, content: None };
    check_fields(&response);
    let length = response.field("Content-Length").map(read_decimal);
    // RFC 9112 §6.3, rule 1.
    let has_content = status >= 200 && !matches!(status, 204 | 304) && method != Some("HEAD");
    if !has_content {
        return (response, rest);
    }
    let length = length.expect("a Content-Length, since content may follow");
    if method.is_none() && rest.is_empty() {
        // The request reached no service, and may have been a HEAD.
        response.content = (length == 0).then(Vec::new);
        return (response, rest);
    }
    assert!(length <= rest.len(), "{} bytes of content out of {length}", rest.len());
    response.content = Some(rest[..length].to_vec());
    (response, &rest[length..])
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a complete line");
    let line = &bytes[..end];
    assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{}", line.escape_ascii());
    (line, &bytes[end + 2..])
}

fn read_status_line(line: &[u8]) -> u16 {
    let text = std::str::from_utf8(line).expect("a status line in ASCII");
    let rest = text.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no status line: {text}"));
    let (code, reason) = rest.split_once(' ').unwrap_or_else(|| panic!("no reason phrase: {text}"));
    assert!(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    let code: u16 = code.parse().unwrap();
    assert!((100..600).contains(&code), "{text}");
    assert!(reason.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{text}");
    code
}

fn read_field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a field line has a colon");
    let name = &line[..colon];
    assert!(
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'),
        "{}",
        line.escape_ascii()
    );
    let value = &line[colon + 1..];
    let value = value.strip_prefix(b" ").unwrap_or(value);
    assert!(value.iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic()), "{}", line.escape_ascii());
    assert!(!value.starts_with(b" ") && !value.ends_with(b" "), "{}", line.escape_ascii());
    (String::from_utf8(name.to_vec()).unwrap(), value.to_vec())
}

fn check_fields(response: &ParsedResponse) {
    let mut names: Vec<String> = response.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), response.fields.len(), "a field is sent twice: {response:?}");
    for never in ["Transfer-Encoding", "Server", "Trailer", "Upgrade"] {
        assert_eq!(response.field(never), None);
    }
    let has_length = response.field("Content-Length").is_some();
    match response.status {
        100..200 => assert!(response.fields.is_empty(), "{response:?}"),
        // RFC 9110 §8.6 forbids Content-Length in a 204; in a 304 it would have to be that of the 200.
        204 | 304 => assert!(!has_length, "{response:?}"),
        405 => assert!(response.field("Allow").is_some(), "RFC 9110 §15.5.6 requires Allow: {response:?}"),
        _ => assert!(has_length, "{response:?}"),
    }
    if let Some(option) = response.field("Connection") {
        assert!(matches!(option, "close" | "keep-alive"), "{response:?}");
    }
}

fn read_decimal(digits: &str) -> usize {
    assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    assert!(digits == "0" || !digits.starts_with('0'), "{digits}");
    digits.parse().unwrap()
}
