//! A strict parser of responses. It shares no code with the server that writes them.

use spindle::http1::protocol_error::ProtocolError;
use spindle::semantics::method::Method;

use super::service::{ReceivedRequest, source_byte};

/// A response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ParsedResponse {
    pub(super) code: u16,
    fields: Vec<(String, String)>,
    content: Vec<u8>,
}

impl ParsedResponse {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether the response has `Connection: close`.
    pub(super) fn says_close(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    /// The number of its request; `None` for the response to a protocol error.
    pub(super) fn request_number(&self) -> Option<usize> {
        self.field("ETag").map(|tag| tag.trim_matches('"').parse().expect("a tag is the number of its request"))
    }

    /// The response without its Connection field.
    pub(super) fn without_connection(mut self) -> ParsedResponse {
        self.fields.retain(|(name, _)| name != "Connection");
        self
    }

    /// The response without its content, as if it were to HEAD.
    pub(super) fn without_content(mut self) -> ParsedResponse {
        self.content.clear();
        self
    }

    /// Whether the response reports this protocol error. A response to HEAD contains only the length of the reason.
    pub(super) fn reports(&self, error: ProtocolError) -> bool {
        let reason = format!("{}\n", error.reason());
        self.request_number().is_none()
            && self.code == error.status().code()
            && self.field("Content-Length") == Some(&reason.len().to_string())
            && (self.content.is_empty() || self.content == reason.as_bytes())
    }
}

/// The output of a connection.
#[derive(Debug, Default)]
pub(super) struct ParsedResponses {
    /// The final responses, in order.
    pub(super) finals: Vec<ParsedResponse>,
    /// The number of `100 Continue` responses.
    pub(super) interims: usize,
    /// Whether the output ends within a response.
    pub(super) is_truncated: bool,
}

/// Parses `sent`, the whole output of a connection. Panics if it is not a sequence of well-formed responses to
/// `requests`.
///
/// `first_is_head`: whether the first head of the connection, well-formed or not, begins with HEAD; `None` if unknown.
pub(super) fn parse_responses(
    sent: &[u8],
    requests: &[ReceivedRequest],
    has_date: bool,
    first_is_head: Option<bool>,
) -> ParsedResponses {
    let mut responses = ParsedResponses::default();
    let mut rest = sent;
    let mut after_interim = false;
    while !rest.is_empty() {
        assert!(
            responses.finals.last().is_none_or(|last| !last.says_close()),
            "nothing follows a response that says `Connection: close`"
        );
        let Some((mut response, after_head)) = parse_head(rest) else {
            responses.is_truncated = true;
            break;
        };
        rest = after_head;
        if response.code / 100 == 1 {
            assert!(
                response.code == 100 && response.fields.is_empty(),
                "the only interim response is 100, without fields"
            );
            assert!(!after_interim, "a request gets at most one 100 Continue");
            after_interim = true;
            responses.interims += 1;
            continue;
        }
        after_interim = false;
        let request = response.request_number().map(|number| &requests[number - 1]);
        // The response to a protocol error in the content of a request takes the place of that request's response. A
        // protocol error in a head may be one of a HEAD request: if that is unknown, the content may be missing.
        let is_head = match (request.or(requests.get(responses.finals.len())), first_is_head) {
            (Some(request), _) => request.method == Method::Head,
            (None, Some(is_head)) if responses.finals.is_empty() => is_head,
            (None, _) => rest.is_empty(),
        };
        check_fields(&response, has_date);
        let Some((content, after)) = rest.split_at_checked(content_bytes(&response, is_head)) else {
            responses.is_truncated = true;
            break;
        };
        rest = after;
        response.content = content.to_vec();
        check_content(&response, request, is_head);
        responses.finals.push(response);
    }
    responses
}

/// The status line and fields, and the bytes after them; `None` if they are incomplete.
fn parse_head(bytes: &[u8]) -> Option<(ParsedResponse, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = str::from_utf8(&bytes[..end]).expect("a response's head is ASCII");
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let mut parts = status_line.splitn(3, ' ');
    assert_eq!(parts.next(), Some("HTTP/1.1"), "a status line begins with the version: {status_line:?}");
    let digits = parts.next().unwrap_or_default();
    assert!(digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit()), "a status has three digits");
    let reason = parts.next().unwrap_or_default();
    let is_reason = |byte: u8| byte.is_ascii_alphabetic() || byte == b' ' || byte == b'-';
    assert!(!reason.is_empty() && reason.bytes().all(is_reason), "a status has a reason phrase: {status_line:?}");
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a field line has a colon");
        let is_name = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
        assert!(!name.is_empty() && name.bytes().all(is_name), "a field has a name: {line:?}");
        assert!(value.is_empty() || value.starts_with(' '), "one space precedes a value: {line:?}");
        let value = value.strip_prefix(' ').unwrap_or_default();
        assert!(value == value.trim(), "a value has no white space around it: {line:?}");
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "a value contains no control byte: {line:?}");
        assert!(fields.iter().all(|(other, _)| !other.eq_ignore_ascii_case(name)), "no field is sent twice: {line:?}");
        fields.push((name.to_owned(), value.to_owned()));
    }
    let code = digits.parse().expect("three digits");
    Some((ParsedResponse { code, fields, content: Vec::new() }, &bytes[end + 4..]))
}

fn check_fields(response: &ParsedResponse, has_date: bool) {
    assert_eq!(
        response.field("Date").is_some(),
        has_date,
        "every final response has a Date, unless Date is turned off"
    );
    assert_eq!(
        response.field("Transfer-Encoding"),
        None,
        "no response is chunked, since every source has a known length"
    );
    assert!(
        matches!(response.field("Connection"), None | Some("close" | "keep-alive")),
        "the Connection field says close, keep-alive, or nothing"
    );
    assert_eq!(
        response.field("Content-Length").is_none(),
        matches!(response.code, 204 | 304),
        "a response has a Content-Length unless it is a 204 or 304"
    );
    assert!(response.code != 405 || response.field("Allow").is_some(), "a 405 has Allow");
    if response.request_number().is_none() {
        assert!(response.says_close(), "the response to a protocol error says `Connection: close`");
    }
}

fn content_bytes(response: &ParsedResponse, is_head: bool) -> usize {
    match response.field("Content-Length") {
        Some(length) if !is_head => {
            assert!(length.bytes().all(|digit| digit.is_ascii_digit()), "a length contains only digits: {length:?}");
            length.parse().expect("a length is a number")
        }
        _ => 0,
    }
}

fn check_content(response: &ParsedResponse, request: Option<&ReceivedRequest>, is_head: bool) {
    match request {
        Some(_) if is_head => {}
        None => assert!(
            ProtocolError::ALL.iter().any(|error| response.reports(*error)),
            "a response without a request number reports a protocol error: {response:?}"
        ),
        Some(request) => {
            if let (200, Some(bytes)) = (response.code, request.source_bytes) {
                assert_eq!(response.content.len() as u64, bytes, "a source is sent completely");
                let matches_pattern = |(at, byte): (u64, &u8)| *byte == source_byte(at);
                assert!((0..).zip(&response.content).all(matches_pattern), "the bytes of a source are sent in order");
            }
        }
    }
}
