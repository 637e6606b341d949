//! Exchange records: what happened to each request, told once its response has been sent or its connection is lost.

use std::ops::Range;

use super::Now;
use super::fields::{FieldName, Fields};
use super::request::Version;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The last byte of the response was handed to the system.
    Complete,
    /// The client closed or reset the connection, or sent its end, before all was done; or the content of the response
    /// could not be completed.
    CutOff,
    /// The client sent or read too slowly.
    TimedOut,
    /// The request broke the protocol or a limit, for this reason.
    Refused(&'static str),
    /// The server ended first.
    ServerClosed,
}

/// One request with its response (an exchange, RFC 9110 §3).
#[derive(Debug)]
pub struct ExchangeRecord {
    /// The number of the connection; each connection of a run has its own.
    pub connection: u64,
    /// By which version's rules; `None` where the head was not read to its end.
    pub version: Option<Version>,
    /// The status of the response; `None` where there was none.
    pub status: Option<u16>,
    /// Bytes of content that the client sent, its framing left out.
    pub content_received_bytes: u64,
    /// Bytes of content that were handed to the system, with their framing where they are chunked.
    pub content_sent_bytes: u64,
    /// When the head was complete, or what was received of it proved to be none.
    pub started: Now,
    /// From there to the first byte of the response, in nanoseconds.
    pub first_byte_ns: Option<u64>,
    /// From there to the end, in nanoseconds.
    pub total_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The method, a space and the target, as they were received; then the values of fields.
    text: Vec<u8>,
    request: Range<usize>,
    referer: Range<usize>,
    user_agent: Range<usize>,
}

impl Default for ExchangeRecord {
    fn default() -> ExchangeRecord {
        ExchangeRecord {
            connection: 0,
            version: None,
            status: None,
            content_received_bytes: 0,
            content_sent_bytes: 0,
            started: Now::default(),
            first_byte_ns: None,
            total_ns: 0,
            outcome: Outcome::Complete,
            text: Vec::new(),
            request: 0..0,
            referer: 0..0,
            user_agent: 0..0,
        }
    }
}

impl ExchangeRecord {
    /// The method, a space, and the target, as they were received. Empty where the head was not read to its end.
    pub fn method_and_target(&self) -> &[u8] {
        &self.text[self.request.clone()]
    }

    /// The value of the Referer field, as it was received; empty where there is none.
    pub fn referer(&self) -> &[u8] {
        &self.text[self.referer.clone()]
    }

    /// The value of the User-Agent field, as it was received; empty where there is none.
    pub fn user_agent(&self) -> &[u8] {
        &self.text[self.user_agent.clone()]
    }

    /// Becomes the record of another exchange, and keeps its memory.
    pub fn begin(&mut self, connection: u64, now: &Now) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = ExchangeRecord { connection, started: *now, text, ..ExchangeRecord::default() };
    }

    /// How many bytes of the request are kept.
    pub fn request_bytes(&self) -> usize {
        self.text.len()
    }

    /// Forgets the request, and keeps room for at most `bytes_kept` bytes of another one.
    pub fn forget_request(&mut self, bytes_kept: usize) {
        (self.request, self.referer, self.user_agent) = (0..0, 0..0, 0..0);
        self.text.clear();
        self.text.shrink_to(bytes_kept);
    }

    /// Notes what was asked for.
    pub fn note_request(&mut self, version: Version, method_and_target: &[u8], fields: &Fields<'_>) {
        self.version = Some(version);
        self.request = self.note(method_and_target);
        self.referer = self.note(fields.first(FieldName::Referer).unwrap_or_default());
        self.user_agent = self.note(fields.first(FieldName::UserAgent).unwrap_or_default());
    }

    fn note(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        start..self.text.len()
    }
}
