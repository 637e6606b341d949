//! A strict reader of responses, which shares nothing with the code that writes them.

use spindle::http1::protocol_error::ProtocolError;
use spindle::semantics::method::Method;

use super::service::{Asked, source_byte};

/// One response, as it was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) code: u16,
    fields: Vec<(String, String)>,
    content: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether the response says that it is the last.
    pub(super) fn says_close(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    /// Which request it answers. An answer without a number is a protocol error's.
    pub(super) fn number(&self) -> Option<usize> {
        self.field("ETag").map(|tag| tag.trim_matches('"').parse().expect("a tag is the number of its request"))
    }

    /// The same, if it were not the last.
    pub(super) fn without_connection(mut self) -> Answer {
        self.fields.retain(|(name, _)| name != "Connection");
        self
    }

    /// The same, if it were an answer to HEAD.
    pub(super) fn without_content(mut self) -> Answer {
        self.content.clear();
        self
    }

    /// Whether it tells of this protocol error, as far as can be seen: an answer to HEAD tells only how long the reason is.
    pub(super) fn tells_of(&self, error: ProtocolError) -> bool {
        let reason = format!("{}\n", error.reason());
        self.number().is_none()
            && self.code == error.status().code()
            && self.field("Content-Length") == Some(&reason.len().to_string())
            && (self.content.is_empty() || self.content == reason.as_bytes())
    }
}

/// What was sent: interim and final responses, in their order.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) finals: Vec<Answer>,
    /// How many `100 Continue` there were.
    pub(super) interims: usize,
    /// Whether the bytes end within a response.
    pub(super) is_cut_off: bool,
}

/// Reads `sent`, the whole output of a connection. Panics where it is no sequence of well-formed responses to `asked`.
///
/// `first_is_head`: whether the first head of the connection, well-formed or not, begins with HEAD, if that is known.
pub(super) fn read(sent: &[u8], asked: &[Asked], has_date: bool, first_is_head: Option<bool>) -> Answers {
    let mut answers = Answers::default();
    let mut rest = sent;
    let mut behind_interim = false;
    while !rest.is_empty() {
        assert!(
            answers.finals.last().is_none_or(|last| !last.says_close()),
            "nothing follows a response that says `Connection: close`"
        );
        let Some((mut answer, behind_head)) = read_head(rest) else {
            answers.is_cut_off = true;
            break;
        };
        rest = behind_head;
        if answer.code / 100 == 1 {
            assert!(answer.code == 100 && answer.fields.is_empty(), "the only interim response is a bare 100");
            assert!(!behind_interim, "a request is told once to continue");
            behind_interim = true;
            answers.interims += 1;
            continue;
        }
        behind_interim = false;
        let request = answer.number().map(|number| &asked[number - 1]);
        // A protocol error in the content of a request comes in the place of that request's answer. One in a head may have been
        // a HEAD's, and where that is not known, content that is missing is not missed.
        let head_only = match (request.or(asked.get(answers.finals.len())), first_is_head) {
            (Some(request), _) => request.method == Method::Head,
            (None, Some(is_head)) if answers.finals.is_empty() => is_head,
            (None, _) => rest.is_empty(),
        };
        check_fields(&answer, has_date);
        let Some((content, behind)) = rest.split_at_checked(content_bytes(&answer, head_only)) else {
            answers.is_cut_off = true;
            break;
        };
        rest = behind;
        answer.content = content.to_vec();
        check_content(&answer, request, head_only);
        answers.finals.push(answer);
    }
    answers
}

/// Status line and fields, and what follows them; `None` where they are cut off.
fn read_head(bytes: &[u8]) -> Option<(Answer, &[u8])> {
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
        assert!(value.is_empty() || value.starts_with(' '), "one space stands before a value: {line:?}");
        let value = value.strip_prefix(' ').unwrap_or_default();
        assert!(value == value.trim(), "a value has no white space around it: {line:?}");
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "a value holds no control byte: {line:?}");
        assert!(fields.iter().all(|(other, _)| !other.eq_ignore_ascii_case(name)), "no field is sent twice: {line:?}");
        fields.push((name.to_owned(), value.to_owned()));
    }
    let code = digits.parse().expect("three digits");
    Some((Answer { code, fields, content: Vec::new() }, &bytes[end + 4..]))
}

fn check_fields(answer: &Answer, has_date: bool) {
    assert_eq!(answer.field("Date").is_some(), has_date, "every final response has a Date where there is a clock");
    assert_eq!(answer.field("Transfer-Encoding"), None, "no response is chunked");
    assert!(
        matches!(answer.field("Connection"), None | Some("close" | "keep-alive")),
        "the Connection field says close, keep-alive, or nothing"
    );
    assert_eq!(
        answer.field("Content-Length").is_none(),
        matches!(answer.code, 204 | 304),
        "a response has a length unless it can have no content"
    );
    assert!(answer.code != 405 || answer.field("Allow").is_some(), "a 405 says what is allowed");
    if answer.number().is_none() {
        assert!(answer.says_close(), "an error ends the connection, and its answer says so");
    }
}

fn content_bytes(answer: &Answer, head_only: bool) -> usize {
    match answer.field("Content-Length") {
        Some(length) if !head_only => {
            assert!(length.bytes().all(|digit| digit.is_ascii_digit()), "a length is digits alone: {length:?}");
            length.parse().expect("a length is a number")
        }
        _ => 0,
    }
}

fn check_content(answer: &Answer, request: Option<&Asked>, head_only: bool) {
    match request {
        Some(_) if head_only => {}
        None => assert!(
            ProtocolError::ALL.iter().any(|error| answer.tells_of(*error)),
            "an answer that no route gave tells of an error: {answer:?}"
        ),
        Some(request) => {
            if let (200, Some(bytes)) = (answer.code, request.source_bytes) {
                assert_eq!(answer.content.len() as u64, bytes, "a source is sent whole");
                let is_patterned = |(at, byte): (u64, &u8)| *byte == source_byte(at);
                assert!((0..).zip(&answer.content).all(is_patterned), "a source is sent in its order");
            }
        }
    }
}
