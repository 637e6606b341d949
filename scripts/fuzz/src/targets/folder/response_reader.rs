//! A strict parser of responses, the chunked coding included. It shares no code with the server that writes them.

use spindle::semantics::method::Method;

/// A final response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ParsedResponse {
    pub(super) code: u16,
    fields: Vec<(String, String)>,
    content: Vec<u8>,
}

/// Why a response could not be parsed.
struct Truncated;

/// Parses `sent`, the whole output of a connection, and returns the final responses. Panics if it is not a sequence of
/// well-formed responses to requests with these methods, and perhaps one to a protocol error.
pub(super) fn parse_responses(sent: &[u8], methods: &[Method], may_be_truncated: bool) -> Vec<ParsedResponse> {
    let mut finals: Vec<ParsedResponse> = Vec::new();
    let mut rest = sent;
    while !rest.is_empty() {
        let says_close = finals.last().is_some_and(|last| last.field("Connection") == Some("close"));
        assert!(!says_close, "nothing follows a response that says `Connection: close`");
        let method = methods.get(finals.len());
        match parse_response(rest, method) {
            Ok((response, after)) => {
                rest = after;
                if response.code / 100 == 1 {
                    assert!(matches!(response.code, 100 | 104), "there is no interim response {}", response.code);
                } else {
                    finals.push(response);
                }
            }
            Err(Truncated) => {
                assert!(may_be_truncated, "a response is complete: {}", rest.escape_ascii());
                break;
            }
        }
    }
    finals
}

impl ParsedResponse {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn parse_response<'a>(bytes: &'a [u8], method: Option<&Method>) -> Result<(ParsedResponse, &'a [u8]), Truncated> {
    let (mut response, rest) = parse_head(bytes)?;
    let length = response.field("Content-Length").map(|digits| {
        assert!(digits.bytes().all(|digit| digit.is_ascii_digit()), "a length contains only digits: {digits:?}");
        digits.parse::<usize>().expect("a length is a number")
    });
    let is_chunked = match response.field("Transfer-Encoding") {
        None => false,
        Some(coding) => {
            assert_eq!(coding, "chunked");
            true
        }
    };
    assert!(length.is_none() || !is_chunked, "a response has one kind of framing");
    if response.code / 100 == 1 || matches!(response.code, 204 | 304) {
        assert!(!is_chunked && length.is_none_or(|_| response.code == 304), "this response has no content");
        return Ok((response, rest));
    }
    if method == Some(&Method::Head) {
        return Ok((response, rest));
    }
    let (content, rest) = match length {
        // The response to a protocol error is the last. It has no content if its request is HEAD.
        Some(_) if method.is_none() && rest.is_empty() => (Vec::new(), rest),
        Some(length) => {
            let (content, rest) = rest.split_at_checked(length).ok_or(Truncated)?;
            (content.to_vec(), rest)
        }
        None if is_chunked => dechunk(rest)?,
        None => (rest.to_vec(), &b""[..]),
    };
    response.content = content;
    Ok((response, rest))
}

/// The status line and fields, and the bytes after them.
fn parse_head(bytes: &[u8]) -> Result<(ParsedResponse, &[u8]), Truncated> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").ok_or(Truncated)?;
    let text = str::from_utf8(&bytes[..end]).expect("a response's head is ASCII");
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let code = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default();
    assert!(code.len() == 3 && code.bytes().all(|digit| digit.is_ascii_digit()), "malformed: {status_line:?}");
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field line has a colon and a space");
        let is_name = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
        assert!(!name.is_empty() && name.bytes().all(is_name), "a field has a name: {line:?}");
        assert!(!value.is_empty() && value == value.trim(), "a value has no white space around it: {line:?}");
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "a value contains no control byte: {line:?}");
        assert!(fields.iter().all(|(other, _)| !other.eq_ignore_ascii_case(name)), "no field is sent twice: {line:?}");
        fields.push((name.to_owned(), value.to_owned()));
    }
    let code = code.parse().expect("three digits");
    Ok((ParsedResponse { code, fields, content: Vec::new() }, &bytes[end + 4..]))
}

/// The content of the chunked coding, and the bytes after it. The server sends neither extensions nor trailers.
fn dechunk(mut bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), Truncated> {
    let mut content = Vec::new();
    loop {
        let end = memchr::memmem::find(bytes, b"\r\n").ok_or(Truncated)?;
        let digits = str::from_utf8(&bytes[..end]).expect("a chunk size is ASCII");
        assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "a chunk size is hexadecimal: {digits:?}");
        let size = usize::from_str_radix(digits, 16).expect("a chunk size is a number");
        let (chunk, rest) = bytes[end + 2..].split_at_checked(size).ok_or(Truncated)?;
        bytes = match rest.split_at_checked(2) {
            None => return Err(Truncated),
            Some((crlf, rest)) => {
                assert_eq!(crlf, b"\r\n", "CR LF follows a chunk");
                rest
            }
        };
        content.extend_from_slice(chunk);
        if size == 0 {
            return Ok((content, bytes));
        }
    }
}
