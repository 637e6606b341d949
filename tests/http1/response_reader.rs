//! A strict reader of responses, which shares no code with the server: what it does not accept, the server must not
//! send.

use std::fmt;

/// One response as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    /// `None` where no content was sent.
    pub content: Option<Vec<u8>>,
}

impl Answer {
    /// The value of the only field of that name.
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

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for (name, value) in &self.fields {
            write!(f, " | {name}: {}", value.escape_ascii())?;
        }
        let content = self.content.as_deref().unwrap_or_default();
        write!(f, " | {:?}", content[..content.len().min(200)].escape_ascii().to_string())
    }
}

/// Reads all of `bytes` as responses to requests with these methods, in their order; a response beyond them is one to
/// a request that no service has seen.
///
/// Panics, with the reason, at anything that RFC 9110 or RFC 9112 does not allow a server to send.
pub(crate) fn read_all(mut bytes: &[u8], methods: &[&str]) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut finals = 0;
    while !bytes.is_empty() {
        let answer;
        (answer, bytes) = read_one(bytes, methods.get(finals).copied());
        if let Some(last) = answers.last() {
            assert!(!last.says_close(), "a response behind Connection: close: {answer:?}");
        }
        finals += usize::from(!answer.is_interim());
        answers.push(answer);
    }
    answers
}

fn read_one<'a>(bytes: &'a [u8], method: Option<&str>) -> (Answer, &'a [u8]) {
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
    let mut answer = Answer { status, fields, content: None };
    check_fields(&answer);
    let length = answer.field("Content-Length").map(read_decimal);
    // RFC 9112 §6.3: rule 1 first.
    let has_content = status >= 200 && !matches!(status, 204 | 304) && method != Some("HEAD");
    if !has_content {
        return (answer, rest);
    }
    let length = length.expect("a Content-Length, since content may follow");
    if method.is_none() && rest.is_empty() {
        // To a request that no service has seen, which may have been a HEAD.
        answer.content = (length == 0).then(Vec::new);
        return (answer, rest);
    }
    assert!(length <= rest.len(), "{} bytes of content out of {length}", rest.len());
    answer.content = Some(rest[..length].to_vec());
    (answer, &rest[length..])
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a line that ends");
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

fn check_fields(answer: &Answer) {
    let mut names: Vec<String> = answer.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), answer.fields.len(), "a field is sent twice: {answer:?}");
    for never in ["Transfer-Encoding", "Server", "Trailer", "Upgrade"] {
        assert_eq!(answer.field(never), None);
    }
    let has_length = answer.field("Content-Length").is_some();
    match answer.status {
        100..200 => assert!(answer.fields.is_empty(), "{answer:?}"),
        // RFC 9110 §8.6 forbids it in a 204; in a 304 it would have to be the 200's.
        204 | 304 => assert!(!has_length, "{answer:?}"),
        405 => assert!(answer.field("Allow").is_some(), "§15.5.6 demands Allow: {answer:?}"),
        _ => assert!(has_length, "{answer:?}"),
    }
    if let Some(option) = answer.field("Connection") {
        assert!(matches!(option, "close" | "keep-alive"), "{answer:?}");
    }
}

fn read_decimal(digits: &str) -> usize {
    assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    assert!(digits == "0" || !digits.starts_with('0'), "{digits}");
    digits.parse().unwrap()
}
