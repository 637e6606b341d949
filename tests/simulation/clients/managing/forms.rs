//! Forms with several files: how they are encoded, malformed and cut, and what the response must say about each file.

use std::rc::Rc;

use fastrand::Rng;

use super::requests::content_bytes;
use crate::simulation::clients::ClientSocket;
use crate::simulation::clients::responses::Response;
use crate::simulation::managed::ManagedNames;
use crate::simulation::managed::tree::{Condition, Observed, Operation};
use crate::simulation::scenario::one_of;

const BOUNDARY: &str = "a boundary of 23 bytes";

/// The names under which files of forms are stored.
const NAMES: [&str; 3] = ["one", "two", "box"];

/// A part of a form.
#[derive(Clone, Debug)]
enum Part {
    /// A file, with its name and the name that is sent, which may contain a path.
    File { name: &'static str, sent_name: String, number: usize, content: Rc<[u8]> },
    /// A file that is refused with this status.
    Refused { head: &'static str, status: u16 },
    /// A field that is not a file, or a file that was not selected. It is ignored.
    Ignored { head: &'static str, content: &'static str },
}

/// Parts that are refused: a hidden name, two names that lead nowhere, encoded content, a name in another form, and content
/// without a name.
const REFUSED: [(&str, u16); 6] = [
    ("form-data; name=\"f\"; filename=\".hidden\"", 400),
    ("form-data; name=\"f\"; filename=\"..\"", 400),
    ("form-data; name=\"f\"; filename=\"a/..\"", 400),
    ("form-data; name=\"f\"; filename=\"one\"\r\nContent-Transfer-Encoding: base64", 415),
    ("form-data; name=\"f\"; filename*=UTF-8''one", 400),
    ("form-data; name=\"f\"; filename=\"\"", 400),
];

const IGNORED: [(&str, &str); 2] =
    [("form-data; name=\"text\"", "a text\r\nof two lines"), ("form-data; name=\"f\"; filename=\"\"", "")];

/// How a form is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    Nothing,
    /// The last boundary is missing.
    Unended,
    /// Something follows the boundary at the end of the last part.
    BoundaryLine,
    /// The last part has no valid header.
    Header(&'static str),
}

const HEADERS: [&str; 4] = [
    "X: no disposition",
    "no colon",
    "Content-Disposition: attachment; filename=\"one\"",
    "Content-Disposition: form-data\r\nContent-Disposition: form-data",
];

/// A form that will be sent.
pub(super) struct Form {
    parts: Vec<Part>,
    defect: Defect,
    chunk_bytes: Option<usize>,
}

/// The bytes of a request, and where its content begins.
pub(super) struct EncodedForm(pub Vec<u8>, Content);

struct Content {
    head_bytes: usize,
    /// For each part how many bytes of the content must have been received so that it is complete.
    ends: Vec<usize>,
}

/// A form that was sent.
pub(super) struct SentForm {
    form: Form,
    /// For each part the number of its operation. The server cannot have stored the others.
    operations: Vec<Option<usize>>,
    is_whole: bool,
}

pub(super) fn generate(names: &mut ManagedNames, sends_large: bool, random: &mut Rng) -> Form {
    let mut part = |random: &mut Rng| match random.u8(..8) {
        0 => {
            let (head, status) = one_of(random, &REFUSED);
            Part::Refused { head, status }
        }
        1 => {
            let (head, content) = one_of(random, &IGNORED);
            Part::Ignored { head, content }
        }
        _ => {
            let name = one_of(random, &NAMES);
            let before = one_of(random, &["", "", "", "../", "C:\\\\dir\\\\", "dir/"]);
            let (number, content) = names.new_content(content_bytes(sends_large, random));
            Part::File { name, sent_name: format!("{before}{name}"), number, content }
        }
    };
    let parts: Vec<Part> = (0..random.usize(1..=4)).map(|_| part(random)).collect();
    let defect = match random.u8(..12) {
        0 => Defect::Unended,
        1 => Defect::BoundaryLine,
        2 => Defect::Header(one_of(random, &HEADERS)),
        _ => Defect::Nothing,
    };
    let chunk_bytes = one_of(random, &[None, None, Some(7), Some(1_000), Some(30_000)]);
    Form { parts, defect, chunk_bytes }
}

impl Form {
    /// Whether the part ends, so that it can be stored.
    fn ends(&self, place: usize) -> bool {
        self.defect == Defect::Nothing || place + 1 < self.parts.len()
    }

    /// Encodes the form as a request to the directory.
    pub(super) fn encode(&self, target: &str) -> EncodedForm {
        let (mut content, mut ends) = (Vec::new(), Vec::new());
        for (place, part) in self.parts.iter().enumerate() {
            content.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
            // The line of this boundary ends the part before.
            ends.extend((place > 0).then_some(content.len()));
            let is_last = place + 1 == self.parts.len();
            let (head, bytes): (String, &[u8]) = match part {
                Part::File { sent_name, content, .. } => {
                    (format!("form-data; name=\"file\"; filename=\"{sent_name}\""), content)
                }
                Part::Refused { head, .. } => ((*head).to_owned(), b"refused"),
                Part::Ignored { head, content } => ((*head).to_owned(), content.as_bytes()),
            };
            let head = match self.defect {
                Defect::Header(head) if is_last => head.to_owned(),
                _ => format!("Content-Disposition: {head}\r\nContent-Type: text/plain"),
            };
            content.extend_from_slice(format!("{head}\r\n\r\n").as_bytes());
            content.extend_from_slice(bytes);
            content.extend_from_slice(b"\r\n");
        }
        match self.defect {
            Defect::Unended => {}
            Defect::BoundaryLine => content.extend_from_slice(format!("--{BOUNDARY}and more\r\n").as_bytes()),
            Defect::Nothing | Defect::Header(_) => content.extend_from_slice(format!("--{BOUNDARY}--").as_bytes()),
        }
        ends.push(content.len());
        if !content.ends_with(b"\n") {
            content.extend_from_slice(b"\r\n");
        }
        let framing = match self.chunk_bytes {
            None => format!("Content-Length: {}", content.len()),
            Some(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        let head = format!(
            "POST {target}?format=json HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; \
             boundary=\"{BOUNDARY}\"\r\n{framing}\r\n\r\n"
        );
        let mut bytes = head.into_bytes();
        let head_bytes = bytes.len();
        match self.chunk_bytes {
            None => bytes.extend(content),
            Some(chunk_bytes) => {
                for chunk in content.chunks(chunk_bytes) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        EncodedForm(bytes, Content { head_bytes, ends })
    }

    /// How many parts the server can have received completely if only the first `sent_bytes` were sent.
    pub(super) fn received_parts(&self, sent_bytes: usize, encoded: &EncodedForm) -> usize {
        let EncodedForm(bytes, Content { head_bytes, ends }) = encoded;
        let framed = sent_bytes.saturating_sub(*head_bytes);
        let content_bytes = match self.chunk_bytes {
            None => framed,
            Some(_) if sent_bytes == bytes.len() => usize::MAX,
            Some(_) => content_of_chunks(&bytes[(*head_bytes).min(sent_bytes)..sent_bytes]),
        };
        ends.iter().filter(|end| **end <= content_bytes).count()
    }

    /// Notes the operations that the server may carry out: those of the first parts, which it has received.
    pub(super) fn note(self, names: &mut ManagedNames, received: usize, link: usize, now_ns: u64) -> SentForm {
        let mut request = None;
        let mut operations = Vec::new();
        for (place, part) in self.parts.iter().enumerate() {
            let operation = match part {
                Part::File { name, number, content, .. } if place < received && self.ends(place) => {
                    let (path, bytes) = ((*name).to_owned(), content.len());
                    Some(Operation::Put { path, content: *number, bytes, condition: Condition::Nothing, in_form: true })
                }
                _ => None,
            };
            let number = operation.map(|operation| names.sent(operation, link, now_ns, request));
            request = request.or(number);
            operations.push(number);
        }
        let is_whole = received == self.parts.len();
        SentForm { form: self, operations, is_whole }
    }
}

/// How many bytes of content are in the first bytes of a chunked content. Each chunk has a line before it, and a line
/// break after it.
fn content_of_chunks(mut bytes: &[u8]) -> usize {
    let mut content_bytes = 0;
    // Each iteration takes a chunk.
    while let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("the client sends the sizes of its chunks");
        content_bytes += size.min(bytes.len() - line - 2);
        bytes = bytes.get(line + 2 + size + 2..).unwrap_or_default();
    }
    content_bytes
}

/// What a response says about a file.
struct Reported {
    name: String,
    status: u16,
}

impl SentForm {
    /// Notes what the response says about each file.
    pub(super) fn check(
        self,
        socket: &mut ClientSocket<'_>,
        names: &mut ManagedNames,
        response: &Response,
    ) -> Result<(), String> {
        socket.inner.coverage.count("form", &format!("status {}", response.status));
        if matches!(response.status, 408 | 503) {
            // The server has not received all of it, or not begun. What is complete may be stored.
            return Ok(());
        }
        let (reported, has_error) = reported(response)?;
        let is_malformed = self.form.defect != Defect::Nothing;
        let expected: Vec<(usize, &Part)> =
            self.form.parts.iter().enumerate().filter(|(place, part)| self.is_reported(*place, part)).collect();
        let is_empty = expected.is_empty();
        if has_error != (is_malformed || is_empty && self.is_whole) {
            return Err("a form is malformed, or it is not".to_owned());
        }
        if reported.len() != expected.len() {
            return Err(format!("a response about {} files and not {}", reported.len(), expected.len()));
        }
        let mut status = if has_error { Some(400) } else { None };
        for ((place, part), found) in expected.into_iter().zip(reported) {
            if found.status >= 400 {
                status = status.or(Some(found.status));
            }
            let may_fail = names.rules.disk_may_fail && found.status >= 500;
            match (part, self.operations[place]) {
                (Part::File { name, .. }, _) if found.name != *name => {
                    return Err(format!("a file is named {:?} and not {name:?}", found.name));
                }
                (Part::File { number: content, name, .. }, Some(number)) => {
                    names.responded(number, Observed { status: found.status, content: None }, socket.now_ns());
                    if found.status < 300 {
                        socket.inner.coverage.count("form", "stored");
                        let _ = (content, name);
                    }
                }
                // Its content may have been refused before it was found to be incomplete.
                (Part::File { .. }, None) if [400, 409, 413].contains(&found.status) || may_fail => {
                    socket.inner.coverage.count("form", "a file that is incomplete");
                }
                (Part::Refused { status, .. }, _) if found.status == *status => {
                    socket.inner.coverage.count("form", "a file that is refused");
                }
                _ => return Err(format!("the status of part {place} is {}", found.status)),
            }
        }
        match status.unwrap_or(201) == response.status {
            true => Ok(()),
            false => Err(format!("the status of the form is {} and not {status:?}", response.status)),
        }
    }

    /// Whether the response contains the part.
    fn is_reported(&self, place: usize, part: &Part) -> bool {
        let is_last = place + 1 == self.form.parts.len();
        let has_header = !(is_last && matches!(self.form.defect, Defect::Header(_)));
        has_header && !matches!(part, Part::Ignored { .. })
    }
}

/// What the response says about each file, and whether it says that the form itself is wrong.
fn reported(response: &Response) -> Result<(Vec<Reported>, bool), String> {
    let json: serde_json::Value =
        serde_json::from_slice(&response.content).map_err(|error| format!("the response to a form: {error}"))?;
    let files = json["files"].as_array().ok_or("a response without files")?;
    let file = |file: &serde_json::Value| {
        let name = file["name"].as_str().ok_or("a file without a name")?.to_owned();
        let status = file["status"].as_u64().ok_or("a file without a status")? as u16;
        if (status < 400) != file["reason"].is_null() {
            return Err("a file that is stored has a reason, or one that is refused has none".to_owned());
        }
        Ok(Reported { name, status })
    };
    Ok((files.iter().map(file).collect::<Result<_, String>>()?, !json["error"].is_null()))
}
