//! Responses, as a client reads them: strictly.

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub content: Vec<u8>,
    /// How many bytes the content took with its framing.
    pub framed_bytes: usize,
    /// How many bytes the whole response took.
    pub bytes: usize,
    /// Whether only the end of the connection says that the content is complete.
    pub ends_with_connection: bool,
}

impl Response {
    /// The value of the first field of that name, which is in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the connection ends behind it.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.split(',').any(|option| option.trim() == "close"))
    }
}

/// What a stream of bytes begins with.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// The start of a response, or nothing.
    Partial,
    Response(Response),
    /// No response, for this reason.
    Malformed(String),
}

/// Reads a response, to a request of a method that is HEAD or not. With `has_ended`, no more will come.
pub(crate) fn parse(stream: &[u8], is_head: bool, has_ended: bool) -> Parsed {
    match try_parse(stream, is_head, has_ended) {
        Ok(Some(response)) => Parsed::Response(response),
        Ok(None) => Parsed::Partial,
        Err(reason) => Parsed::Malformed(reason),
    }
}

fn try_parse(stream: &[u8], is_head: bool, has_ended: bool) -> Result<Option<Response>, String> {
    let prefix = b"HTTP/1.1 ";
    if !stream.starts_with(&prefix[..prefix.len().min(stream.len())]) {
        return Err(format!("no response begins with {:?}", String::from_utf8_lossy(&stream[..stream.len().min(40)])));
    }
    let Some(head_bytes) = memchr::memmem::find(stream, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let head = std::str::from_utf8(&stream[..head_bytes - 4]).map_err(|_| "a head that is no UTF-8".to_owned())?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    if !(100..600).contains(&status) || status_line.as_bytes().get(12) != Some(&b' ') {
        return Err(format!("a status-line of {status_line:?}"));
    }
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("a field line of {line:?}"))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response {
        status,
        fields,
        content: Vec::new(),
        framed_bytes: 0,
        bytes: head_bytes,
        ends_with_connection: false,
    };
    let rest = &stream[head_bytes..];
    let has_no_content = is_head || status < 200 || status == 204 || status == 304;
    if has_no_content {
        return Ok(Some(response));
    }
    let framed = match (response.field("transfer-encoding"), response.field("content-length")) {
        (Some("chunked"), None) => chunked(rest)?,
        (None, Some(length)) => {
            let bytes = length.parse::<usize>().map_err(|_| format!("a Content-Length of {length:?}"))?;
            rest.get(..bytes).map(|content| (content.to_vec(), bytes))
        }
        (None, None) => {
            response.ends_with_connection = true;
            has_ended.then(|| (rest.to_vec(), rest.len()))
        }
        both => return Err(format!("a framing of {both:?}")),
    };
    Ok(framed.map(|(content, bytes)| {
        (response.content, response.framed_bytes) = (content, bytes);
        response.bytes += bytes;
        response
    }))
}

/// Content in the chunked coding, and how many bytes that takes; `None` where it is not all there.
fn chunked(stream: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut content, mut at) = (Vec::new(), 0);
    // Each round takes a chunk.
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
