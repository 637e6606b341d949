//! The record of an exchange: what became of a request. It is complete once the response has been sent or the
//! connection is lost.

use std::ops::Range;
use std::rc::Rc;

use super::Now;
use super::client::Client;
use super::fields::{FieldName, Fields};
use super::link::redaction::push_redacted;
use super::method::Method;
use super::request::Version;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The last byte of the response was passed to the system.
    Complete,
    /// The client closed, reset or half-closed the connection too early, or the server could not complete the response:
    /// its content could not be read to its end, or there was a panic.
    CutOff,
    /// The client sent or read too slowly.
    TimedOut,
    /// The request violated the protocol or a limit, for this reason.
    Refused(&'static str),
    /// The server closed the connection first.
    ServerClosed,
}

/// A request with its response: an exchange (RFC 9110 §3).
#[derive(Debug)]
pub struct ExchangeRecord {
    /// Where the request comes from.
    pub client: Client,
    /// The number of the connection, unique within a run of the server.
    pub connection: u64,
    /// The number of the exchange on its connection, from 1.
    pub request: u64,
    /// The version of the request; `None` if its head was not complete.
    pub version: Option<Version>,
    /// The method of the request; [`Method::Unknown`] also if its head was not complete.
    pub method: Method,
    /// The account that the request was authenticated as.
    pub account: Option<Rc<str>>,
    /// The status of the response; `None` if there was none.
    pub status: Option<u16>,
    /// Bytes of content that the client sent, without framing.
    pub content_received_bytes: u64,
    /// Bytes of content that were passed to the system; with framing, if they are chunked.
    pub content_sent_bytes: u64,
    /// When the head was complete, or proved to be malformed.
    pub started: Now,
    /// The time from `started` to the first byte of the response, in nanoseconds.
    pub first_byte_ns: Option<u64>,
    /// The time from `started` to the end, in nanoseconds.
    pub total_ns: u64,
    /// How the exchange ended.
    pub outcome: Outcome,
    /// The method, a space and the target, and then the values of fields, as received.
    text: Vec<u8>,
    method_and_target: Range<usize>,
    referer: Range<usize>,
    user_agent: Range<usize>,
}

impl Default for ExchangeRecord {
    fn default() -> ExchangeRecord {
        ExchangeRecord {
            client: Client::Unix,
            connection: 0,
            request: 0,
            version: None,
            method: Method::Unknown,
            account: None,
            status: None,
            content_received_bytes: 0,
            content_sent_bytes: 0,
            started: Now::default(),
            first_byte_ns: None,
            total_ns: 0,
            outcome: Outcome::Complete,
            text: Vec::new(),
            method_and_target: 0..0,
            referer: 0..0,
            user_agent: 0..0,
        }
    }
}

impl ExchangeRecord {
    /// The method, a space and the target, as received; empty if the head was not complete, and if the observer does
    /// not [read requests](super::observer::Observer::reads_requests).
    pub fn method_and_target(&self) -> &[u8] {
        &self.text[self.method_and_target.clone()]
    }

    /// The value of the Referer field, as received; empty if there is none, or the observer does not read requests.
    pub fn referer(&self) -> &[u8] {
        &self.text[self.referer.clone()]
    }

    /// The value of the User-Agent field, as received; empty if there is none, or the observer does not read requests.
    pub fn user_agent(&self) -> &[u8] {
        &self.text[self.user_agent.clone()]
    }

    /// Resets the record for another exchange, and keeps its allocation.
    pub fn begin(&mut self, client: Client, connection: u64, request: u64, now: &Now) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = ExchangeRecord { client, connection, request, started: *now, text, ..ExchangeRecord::default() };
    }

    /// How many bytes of the request the record contains.
    pub fn request_bytes(&self) -> usize {
        self.text.len()
    }

    /// Removes the request and its account, and keeps capacity for at most `bytes_kept` bytes of another one.
    pub fn forget_request(&mut self, bytes_kept: usize) {
        (self.method_and_target, self.referer, self.user_agent) = (0..0, 0..0, 0..0);
        self.account = None;
        self.text.clear();
        self.text.shrink_to(bytes_kept);
    }

    /// Stores what the client has written, without the signatures of links.
    pub fn note_request(&mut self, method_and_target: &[u8], fields: &Fields<'_>) {
        self.method_and_target = self.note(method_and_target);
        self.referer = self.note(fields.first(FieldName::Referer).unwrap_or_default());
        self.user_agent = self.note(fields.first(FieldName::UserAgent).unwrap_or_default());
    }

    fn note(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.text.len();
        push_redacted(&mut self.text, text);
        start..self.text.len()
    }
}
