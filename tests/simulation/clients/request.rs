//! The requests of honest clients, as bytes. `generate.rs` chooses them, and `expected.rs` checks the responses.

use std::fmt;

use spindle::http1::limits::DISCARDED_CONTENT_BYTES_MAX;
use spindle::semantics::request::Version;

use crate::simulation::clients::expected::{Expected, ReadCondition, WriteCondition};
use crate::simulation::clients::responses::Response;
use crate::simulation::file_model::{FileModel, VersionId, content};

/// A request.
#[derive(Clone)]
pub(crate) struct Request {
    pub method: &'static str,
    pub target: String,
    /// Whether the target is sent in absolute-form.
    pub is_absolute: bool,
    pub persistence: Persistence,
    /// Whether an empty line precedes the request.
    pub has_empty_line: bool,
    /// Further field lines.
    pub fields: Vec<String>,
    pub content: Option<Content>,
    pub expected: Expected,
}

/// The HTTP version, and the Connection field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// HTTP/1.1, whose connections are persistent.
    Kept,
    /// HTTP/1.1 with `Connection: close`.
    Closes,
    /// HTTP/1.0.
    Old,
    /// HTTP/1.0 with `Connection: keep-alive`.
    OldKept,
}

/// The content of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    /// The number that its bytes are generated from.
    pub number: u64,
    pub bytes: usize,
    pub coding: Coding,
    pub expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Length,
    Chunked,
    /// With chunk extensions and a trailer section.
    ChunkedWithMore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Nothing,
    /// `Expect: 100-continue`. The content is sent after 100 (Continue), or after so many nanoseconds without it;
    /// `None` for never without it.
    Continue {
        for_ns: Option<u64>,
    },
}

/// A request that was sent and has no response yet.
pub(crate) struct OutstandingRequest {
    pub request: Request,
    pub version: Option<VersionId>,
    /// The entity tag that the request names, if the server has given it before.
    pub tag: Option<String>,
    /// The content that is sent after 100 (Continue), and when it is sent without that.
    pub held_back: Vec<u8>,
    pub content_from_ns: u64,
    /// The positions in the stream where its head and the whole request end.
    pub head_end: u64,
    pub end: u64,
    /// When it was begun, and when its last byte was sent.
    pub at_ns: u64,
    pub sent: Option<SentAt>,
    pub was_continued: bool,
}

/// When a request was sent completely.
#[derive(Clone, Copy)]
pub(crate) struct SentAt {
    pub at_ns: u64,
    /// How long the server had worked by then, and the number of flights so far.
    pub busy_ns: u64,
    pub flights: u64,
}

/// A request as bytes.
pub(crate) struct Written {
    pub head: Vec<u8>,
    /// The content in its transfer coding.
    pub content: Vec<u8>,
    pub version: Option<VersionId>,
    pub tag: Option<String>,
}

/// For the trace, without the content's bytes.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {:?} {:?} {:?} {}",
            self.method, self.target, self.persistence, self.fields, self.content, self.expected
        )
    }
}

impl Request {
    /// A plain GET.
    pub(crate) fn get(target: String, expected: Expected) -> Request {
        Request {
            method: "GET",
            target,
            is_absolute: false,
            persistence: Persistence::Kept,
            has_empty_line: false,
            fields: Vec::new(),
            content: None,
            expected,
        }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub(crate) fn version(&self) -> Version {
        match self.persistence {
            Persistence::Kept | Persistence::Closes => Version::Http11,
            Persistence::Old | Persistence::OldKept => Version::Http10,
        }
    }

    fn expects_continue(&self) -> bool {
        self.content.is_some_and(|content| content.expect != Expect::Nothing)
    }

    /// Whether it may be pipelined.
    pub(crate) fn may_be_pipelined(&self) -> bool {
        !self.expects_continue()
    }

    /// Whether other requests may follow in the pipeline. None may follow `Connection: close` (RFC 9112 §9.6).
    pub(crate) fn may_be_followed(&self) -> bool {
        self.may_be_pipelined() && matches!(self.persistence, Persistence::Kept | Persistence::OldKept)
    }

    /// The target as sent.
    pub(crate) fn sent_target(&self) -> String {
        if self.is_absolute { format!("http://a{}", self.target) } else { self.target.clone() }
    }

    /// Encodes the request. An upload is noted in the model.
    pub(crate) fn write(&self, model: &mut FileModel, now_ns: u64) -> Written {
        let version = if self.version() == Version::Http11 { "HTTP/1.1" } else { "HTTP/1.0" };
        let empty_line = if self.has_empty_line { "\r\n" } else { "" };
        let mut head = format!("{empty_line}{} {} {version}\r\nHost: a\r\n", self.method, self.sent_target());
        match self.persistence {
            Persistence::Kept | Persistence::Old => {}
            Persistence::Closes => head.push_str("Connection: close\r\n"),
            Persistence::OldKept => head.push_str("Connection: keep-alive\r\n"),
        }
        for field in &self.fields {
            head.push_str(&format!("{field}\r\n"));
        }
        let tag = self.named_tag(model);
        if let Some(line) = self.condition_field(tag.as_deref()) {
            head.push_str(&line);
        }
        let (mut framed, mut noted) = (Vec::new(), None);
        if let Some(Content { number, bytes, coding, expect }) = self.content {
            let content = content(number, bytes);
            match coding {
                Coding::Length => head.push_str(&format!("Content-Length: {bytes}\r\n")),
                Coding::Chunked | Coding::ChunkedWithMore => head.push_str("Transfer-Encoding: chunked\r\n"),
            }
            if expect != Expect::Nothing {
                head.push_str("Expect: 100-continue\r\n");
            }
            framed = if coding == Coding::Length { content.to_vec() } else { chunked(&content, coding, number) };
            if let Expected::Stored { name, .. } = &self.expected {
                noted = Some(model.sends(name, content, now_ns));
            }
        }
        head.push_str("\r\n");
        Written { head: head.into_bytes(), content: framed, version: noted, tag }
    }

    /// The tag for its condition: the latest one that the server gave for the name.
    fn named_tag(&self, model: &FileModel) -> Option<String> {
        match &self.expected {
            Expected::File { name, condition: ReadCondition::NoneMatch | ReadCondition::IfRange }
            | Expected::Stored { name, condition: WriteCondition::Match, .. } => model.last_tag(name),
            _ => None,
        }
    }

    fn condition_field(&self, tag: Option<&str>) -> Option<String> {
        let tag = tag.unwrap_or("\"no-such-tag\"");
        match &self.expected {
            Expected::File { condition, .. } => match condition {
                ReadCondition::Nothing => None,
                ReadCondition::NoneMatch => Some(format!("If-None-Match: \"other\", {tag}\r\n")),
                ReadCondition::IfRange => Some(format!("Range: bytes=1-20\r\nIf-Range: {tag}\r\n")),
            },
            Expected::Stored { condition, .. } => match condition {
                WriteCondition::Nothing => None,
                WriteCondition::Absent => Some("If-None-Match: *\r\n".to_owned()),
                WriteCondition::AbsentByDate => {
                    Some("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned())
                }
                WriteCondition::Match => Some(format!("If-Match: {tag}\r\n")),
                WriteCondition::Present => Some("If-Match: *\r\n".to_owned()),
            },
            _ => None,
        }
    }

    /// Checks whether the response announces the right persistence. Not valid once the shutdown signal was sent.
    pub(crate) fn check_persistence(&self, response: &Response, is_held_back: bool) -> Result<(), String> {
        let closes = response.closes() || response.ends_with_connection;
        let is_stored = matches!(self.expected, Expected::Stored { .. }) && response.status < 300;
        let is_unread = self.content.is_some_and(|content| {
            let is_long = content.bytes as u64 > DISCARDED_CONTENT_BYTES_MAX;
            !is_stored && (content.expect != Expect::Nothing || is_long || response.status == 413)
        });
        let must = matches!(self.persistence, Persistence::Closes | Persistence::Old) || is_held_back;
        if must && !closes {
            return Err("the connection is kept".to_owned());
        }
        if closes && !must && !is_unread && !response.ends_with_connection {
            return Err("the connection is not kept".to_owned());
        }
        let says_kept = response.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("keep-alive"));
        if self.persistence == Persistence::OldKept && !closes && !says_kept {
            return Err("a kept connection is not announced to an HTTP/1.0 client".to_owned());
        }
        Ok(())
    }

    /// How many received bytes of content the server's record may report with that response.
    pub(crate) fn received_bytes(&self, response: &Response) -> std::ops::RangeInclusive<u64> {
        let bytes = self.content.map_or(0, |content| content.bytes as u64);
        let is_stored = matches!(self.expected, Expected::Stored { .. }) && response.status < 300;
        let is_read = is_stored || !response.closes() && !response.ends_with_connection;
        if is_read { bytes..=bytes } else { 0..=bytes }
    }
}

/// Content in the chunked coding, with chunks of random lengths.
fn chunked(content: &[u8], coding: Coding, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let has_more = coding == Coding::ChunkedWithMore;
    let (mut framed, mut rest) = (Vec::new(), content);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(random.usize(1..=rest.len()));
        let extension = match random.u8(..4) {
            0 if has_more => ";name=token",
            1 if has_more => " ; a ; b=\"quoted \\\" string\"",
            _ => "",
        };
        let zeros = if has_more && random.bool() { "00" } else { "" };
        framed.extend(format!("{zeros}{:x}{extension}\r\n", chunk.len()).into_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        rest = after;
    }
    framed.extend_from_slice(if has_more { b"0;last\r\nX-Trailer: one\r\nX-Other: two\r\n\r\n" } else { b"0\r\n\r\n" });
    framed
}
