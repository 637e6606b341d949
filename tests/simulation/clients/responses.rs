//! A strict parser of responses.

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub status: u16,
    /// The field lines.
    lines: String,
    pub content: Vec<u8>,
    /// The length of the content with its framing.
    pub framed_bytes: usize,
    /// The length of the whole response.
    pub bytes: usize,
    /// Whether the content is delimited only by the end of the connection.
    pub ends_with_connection: bool,
}

impl Response {
    /// The value of the first field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.lines, name)
    }

    /// Whether its fields or its content contain this text.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.lines.contains(text) || memchr::memmem::find(&self.content, text.as_bytes()).is_some()
    }

    /// Whether it announces the end of the connection.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.split(',').any(|option| option.trim() == "close"))
    }
}

fn field<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = split_lines(lines).filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The lines of a head. A line break other than CR LF leaves a malformed line. Splitting at one character is much
/// faster than at two.
fn split_lines(lines: &str) -> impl Iterator<Item = &str> {
    lines.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line))
}

/// The result of parsing a stream.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// An incomplete response, or nothing.
    Partial,
    Response(Response),
    /// Not a response, for this reason.
    Malformed(String),
}

/// Parses a response to a HEAD request or to another one. With `has_ended`, no more bytes will come.
pub(crate) fn parse(stream: &[u8], is_head: bool, has_ended: bool) -> Parsed {
    match try_parse(stream, is_head, has_ended) {
        Ok(Some(response)) => Parsed::Response(response),
        Ok(None) => Parsed::Partial,
        Err(reason) => Parsed::Malformed(reason),
    }
}

/// What the checks of records need of a response.
pub(crate) struct Measured {
    pub status: u16,
    /// See [`Response`].
    pub framed_bytes: usize,
    pub bytes: usize,
}

/// Measures a response in a stream that has ended; `None` if it is incomplete.
pub(crate) fn measure(stream: &[u8], is_head: bool) -> Result<Option<Measured>, String> {
    let Some(head) = head(stream)? else { return Ok(None) };
    let framed_bytes = match framing(&head, is_head)? {
        Framing::Length(bytes) if stream.len() - head.bytes >= bytes => bytes,
        Framing::Length(_) => return Ok(None),
        _ => match try_parse(stream, is_head, true)? {
            Some(response) => response.framed_bytes,
            None => return Ok(None),
        },
    };
    Ok(Some(Measured { status: head.status, framed_bytes, bytes: head.bytes + framed_bytes }))
}

fn try_parse(stream: &[u8], is_head: bool, has_ended: bool) -> Result<Option<Response>, String> {
    let Some(head) = head(stream)? else { return Ok(None) };
    let rest = &stream[head.bytes..];
    let framing = framing(&head, is_head)?;
    let (content, framed_bytes) = match framing {
        Framing::Chunked => match chunked(rest)? {
            Some(framed) => framed,
            None => return Ok(None),
        },
        Framing::Length(bytes) => match rest.get(..bytes) {
            Some(content) => (content.to_vec(), bytes),
            None => return Ok(None),
        },
        Framing::UntilEnd if has_ended => (rest.to_vec(), rest.len()),
        Framing::UntilEnd => return Ok(None),
    };
    Ok(Some(Response {
        status: head.status,
        lines: head.lines.to_owned(),
        content,
        framed_bytes,
        bytes: head.bytes + framed_bytes,
        ends_with_connection: framing == Framing::UntilEnd,
    }))
}

/// A lower bound of the length of the first response, to avoid attempts to parse it before that.
pub(crate) fn bytes_at_least(stream: &[u8], is_head: bool) -> usize {
    let Ok(Some(head)) = head(stream) else { return stream.len() };
    match framing(&head, is_head) {
        Ok(Framing::Length(bytes)) => head.bytes + bytes,
        _ => stream.len(),
    }
}

struct Head<'a> {
    status: u16,
    lines: &'a str,
    bytes: usize,
}

/// How content is delimited. No content is a length of 0.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilEnd,
}

fn head(stream: &[u8]) -> Result<Option<Head<'_>>, String> {
    let prefix = b"HTTP/1.1 ";
    if !stream.starts_with(&prefix[..prefix.len().min(stream.len())]) {
        return Err(format!("no response begins with {:?}", String::from_utf8_lossy(&stream[..stream.len().min(40)])));
    }
    let Some(bytes) = memchr::memmem::find(stream, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let head = std::str::from_utf8(&stream[..bytes - 4]).map_err(|_| "a head that is no UTF-8".to_owned())?;
    let (status_line, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    if !(100..600).contains(&status) || status_line.as_bytes().get(12) != Some(&b' ') {
        return Err(format!("a status-line of {status_line:?}"));
    }
    if let Some(line) = split_lines(lines).find(|line| !line.contains(':')).filter(|_| !lines.is_empty()) {
        return Err(format!("a field line of {line:?}"));
    }
    Ok(Some(Head { status, lines, bytes }))
}

fn framing(head: &Head<'_>, is_head: bool) -> Result<Framing, String> {
    let has_no_content = is_head || head.status < 200 || head.status == 204 || head.status == 304;
    if has_no_content {
        return Ok(Framing::Length(0));
    }
    match (field(head.lines, "transfer-encoding"), field(head.lines, "content-length")) {
        (Some("chunked"), None) => Ok(Framing::Chunked),
        (None, Some(length)) => {
            length.parse().map(Framing::Length).map_err(|_| format!("a Content-Length of {length:?}"))
        }
        (None, None) => Ok(Framing::UntilEnd),
        both => Err(format!("a framing of {both:?}")),
    }
}

/// Decodes chunked content. Returns it with its encoded length; `None` if it is incomplete.
fn chunked(stream: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut content, mut at) = (Vec::new(), 0);
    // Each iteration takes a chunk.
    while let Some(line) = memchr::memmem::find(&stream[at..], b"\r\n") {
        let digits = String::from_utf8_lossy(&stream[at..at + line]).into_owned();
        let bytes = usize::from_str_radix(&digits, 16).map_err(|_| format!("a chunk size of {digits:?}"))?;
        at += line + 2;
        let Some(chunk) = stream.get(at..at + bytes + 2) else { return Ok(None) };
        if &chunk[bytes..] != b"\r\n" {
            return Err("a chunk that does not end where it should".to_owned());
        }
        content.extend_from_slice(&chunk[..bytes]);
        at += bytes + 2;
        if bytes == 0 {
            return Ok(Some((content, at)));
        }
    }
    Ok(None)
}
