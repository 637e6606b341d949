//! What is owed to the peer: octets, then at most one source, then the end. This is the only writer of Content-Length,
//! Transfer-Encoding, Connection and Date.

use std::borrow::Cow;

use super::buffer_pool::BufferPool;
use super::limits::OUTPUT_OCTETS_FULL;
use crate::semantics::date::{IMF_FIXDATE_OCTETS, ImfFixdate};
use crate::semantics::method::Method;
use crate::semantics::range::ByteRange;
use crate::semantics::response::{Body, ContentRange, Response};
use crate::semantics::service::Source;

/// What the Connection field of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The connection is kept, as HTTP/1.1 has it; the field is left out.
    Keep,
    /// The connection is kept because an HTTP/1.0 peer asked for it, and the field says so.
    KeepAndSay,
    /// The connection ends after this response, and the field says so.
    Close,
}

/// What is to be sent next.
#[derive(Debug)]
pub enum Transmit<'a, B> {
    /// Octets. `more` says that a source follows them at once, so that both may share a packet.
    Octets {
        /// To be sent as they are.
        octets: &'a [u8],
        /// Whether content follows from a source.
        more: bool,
    },
    /// A piece of this source.
    Source(&'a B),
    /// Nothing more will ever be sent: the writing side is to be shut.
    End,
}

/// How far the end of all output has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Owed,
    Sent,
}

/// An answer that waits until the content of its request has been read: if that turns out to be malformed, the offence
/// is the answer, and this one is forgotten.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Where in the octets it begins.
    start: u32,
    /// Where its Connection field is to stand.
    connection_field: u32,
}

/// The queue. Its offsets have 32 bits, so that a session stays small: what it holds is bounded by a few hundred KiB.
#[derive(Debug)]
pub struct Output<B> {
    octets: Vec<u8>,
    sent: u32,
    held: Option<Held>,
    source: Option<B>,
    end: End,
}

impl<B> Default for Output<B> {
    /// A queue in which nothing waits.
    fn default() -> Output<B> {
        Output { octets: Vec::new(), sent: 0, held: None, source: None, end: End::Open }
    }
}

impl<B: Source> Output<B> {
    /// Whether anything may be sent now.
    pub fn is_pending(&self) -> bool {
        self.sendable_end() > self.sent as usize
            || self.held.is_none() && (self.source.is_some() || self.end == End::Owed)
    }

    /// Whether so much waits that no further request is to be begun.
    pub fn is_full(&self) -> bool {
        self.source.is_some() || self.octets.len() - self.sent as usize >= OUTPUT_OCTETS_FULL
    }

    /// Whether the end has been sent.
    pub fn has_ended(&self) -> bool {
        self.end == End::Sent
    }

    /// Adds octets that are no final response: `100 Continue`.
    pub fn push_interim(&mut self, octets: &[u8], pool: &mut BufferPool) {
        self.make_room(pool);
        self.octets.extend_from_slice(octets);
    }

    /// Adds an answer. Returns how many octets of content it has.
    ///
    /// With `head_only`, the answer to HEAD, the fields are those of the answer to GET and the content is left out. With
    /// no `persistence` the answer is held until [`release`](Output::release) says it.
    pub fn push(
        &mut self,
        response: Response<'_, B>,
        head_only: bool,
        persistence: Option<Persistence>,
        date: Option<&DateLine>,
        pool: &mut BufferPool,
    ) -> u64 {
        debug_assert!(self.end == End::Open && self.source.is_none() && self.held.is_none());
        self.make_room(pool);
        let start = self.octets.len();
        let content_octets = write_head(&mut self.octets, &response, date);
        match persistence {
            Some(persistence) => self.octets.extend_from_slice(connection_line(persistence)),
            None => self.held = Some(Held { start: start as u32, connection_field: self.octets.len() as u32 }),
        }
        self.octets.extend_from_slice(b"\r\n");
        if head_only || response.status.forbids_content() {
            return 0;
        }
        match response.body {
            Body::Empty => {}
            Body::Bytes(content) => self.octets.extend_from_slice(&content),
            Body::Source(source) if content_octets > 0 => self.source = Some(source),
            Body::Source(_) => {}
        }
        content_octets
    }

    /// Lets the held answer go, with this persistence.
    pub fn release(&mut self, persistence: Persistence) {
        if let Some(held) = self.held.take() {
            let at = held.connection_field as usize;
            self.octets.splice(at..at, connection_line(persistence).iter().copied());
        }
    }

    /// Forgets the held answer.
    pub fn drop_held(&mut self) {
        if let Some(held) = self.held.take() {
            self.octets.truncate(held.start as usize);
            self.source = None;
        }
    }

    /// Nothing will be added any more.
    pub fn end(&mut self) {
        if self.end == End::Open {
            self.end = End::Owed;
        }
    }

    /// What is to be sent next, if anything.
    pub fn transmit(&self) -> Option<Transmit<'_, B>> {
        let (sent, sendable_end) = (self.sent as usize, self.sendable_end());
        if sent < sendable_end {
            let more = self.source.is_some() && self.held.is_none();
            return Some(Transmit::Octets { octets: &self.octets[sent..sendable_end], more });
        }
        if self.held.is_some() {
            return None;
        }
        match (&self.source, self.end) {
            (Some(source), _) => Some(Transmit::Source(source)),
            (None, End::Owed) => Some(Transmit::End),
            (None, End::Open | End::Sent) => None,
        }
    }

    /// The first `octets` of what [`transmit`](Output::transmit) gave have been sent.
    pub fn transmitted(&mut self, octets: u64) {
        if (self.sent as usize) < self.sendable_end() {
            self.sent += octets as u32;
            if self.sent as usize == self.octets.len() {
                self.octets.clear();
                self.sent = 0;
            }
        } else if let Some(source) = &mut self.source {
            source.advance(octets);
            if source.octets_left() == 0 {
                self.source = None;
            }
        }
    }

    /// The writing side has been shut.
    pub fn end_transmitted(&mut self) {
        self.end = End::Sent;
    }

    /// Octets of memory that the queue holds, used or not.
    pub fn memory_octets(&self) -> usize {
        self.octets.capacity()
    }

    /// Gives the memory back if nothing waits in it.
    pub fn release_if_empty(&mut self, pool: &mut BufferPool) {
        if self.octets.is_empty() && self.octets.capacity() > 0 {
            pool.give_output(std::mem::take(&mut self.octets));
        }
    }

    fn sendable_end(&self) -> usize {
        self.held.map_or(self.octets.len(), |held| held.start as usize)
    }

    fn make_room(&mut self, pool: &mut BufferPool) {
        if self.octets.capacity() == 0 {
            self.octets = pool.take_output();
        }
        // A peer that always leaves a little unread would otherwise let the sent part grow without end.
        if self.sent as usize >= OUTPUT_OCTETS_FULL / 2 {
            self.octets.drain(..self.sent as usize);
            self.sent = 0;
        }
    }
}

fn connection_line(persistence: Persistence) -> &'static [u8] {
    match persistence {
        Persistence::Keep => b"",
        Persistence::KeepAndSay => b"Connection: keep-alive\r\n",
        Persistence::Close => b"Connection: close\r\n",
    }
}

/// Writes status line and fields, up to where the Connection field stands. Returns the octets of content.
fn write_head<B: Source>(out: &mut Vec<u8>, response: &Response<'_, B>, date: Option<&DateLine>) -> u64 {
    let content_octets = match &response.body {
        Body::Empty => 0,
        Body::Bytes(content) => content.len() as u64,
        Body::Source(source) => source.octets_left(),
    };
    out.extend_from_slice(response.status.line());
    if response.gzip {
        out.extend_from_slice(b"Content-Encoding: gzip\r\n");
    }
    if let Some(content_type) = &response.content_type {
        write_field(out, b"Content-Type: ", content_type.as_bytes());
    }
    // RFC 9110 §8.6: a 204 MUST NOT have it; a 304 would have to give the length that the 200 has.
    if !response.status.forbids_content() {
        out.extend_from_slice(b"Content-Length: ");
        write_decimal(out, content_octets);
        out.extend_from_slice(b"\r\n");
    }
    if response.varies_by_coding {
        out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
    if let Some(allow) = response.allow {
        write_allow(out, allow);
    }
    if let Some(accept_encoding) = response.accept_encoding {
        write_field(out, b"Accept-Encoding: ", accept_encoding.as_bytes());
    }
    if response.accepts_ranges {
        out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    }
    if response.nosniff {
        out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    }
    if let Some(etag) = &response.etag {
        write_field(out, b"ETag: ", Cow::as_ref(etag).as_bytes());
    }
    if let Some(last_modified) = &response.last_modified {
        write_field(out, b"Last-Modified: ", last_modified.as_bytes());
    }
    if let Some(content_range) = &response.content_range {
        write_content_range(out, content_range);
    }
    if let Some(date) = date {
        out.extend_from_slice(&date.line);
    }
    content_octets
}

fn write_field(out: &mut Vec<u8>, name_and_colon: &[u8], value: &[u8]) {
    out.extend_from_slice(name_and_colon);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_allow(out: &mut Vec<u8>, methods: &[Method]) {
    out.extend_from_slice(b"Allow:");
    for (place, method) in methods.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b" " } else { b", " });
        out.extend_from_slice(method.as_str().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_content_range(out: &mut Vec<u8>, content_range: &ContentRange) {
    out.extend_from_slice(b"Content-Range: bytes ");
    let octets_total = match content_range {
        ContentRange::Part(ByteRange { first, last }, octets_total) => {
            write_decimal(out, *first);
            out.push(b'-');
            write_decimal(out, *last);
            octets_total
        }
        ContentRange::Unsatisfied(octets_total) => {
            out.push(b'*');
            octets_total
        }
    };
    out.push(b'/');
    write_decimal(out, *octets_total);
    out.extend_from_slice(b"\r\n");
}

/// Digits of the longest 64-bit number.
const DIGITS_MAX: usize = 20;

fn write_decimal(out: &mut Vec<u8>, mut value: u64) {
    if value < 10 {
        return out.push(b'0' + value as u8);
    }
    let mut digits = [0; DIGITS_MAX];
    let mut at = DIGITS_MAX;
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

const DATE_LINE_OCTETS: usize = b"Date: \r\n".len() + IMF_FIXDATE_OCTETS;

/// A Date field line, made once a second for all connections.
#[derive(Debug)]
pub struct DateLine {
    unix_s: u64,
    line: [u8; DATE_LINE_OCTETS],
}

impl DateLine {
    /// The line for a second; `None` after the year 9999.
    pub fn new(unix_s: u64) -> Option<DateLine> {
        let date = ImfFixdate::new(unix_s)?;
        let mut line = [0; DATE_LINE_OCTETS];
        let (name, rest) = line.split_at_mut(b"Date: ".len());
        let (value, line_end) = rest.split_at_mut(IMF_FIXDATE_OCTETS);
        name.copy_from_slice(b"Date: ");
        value.copy_from_slice(date.as_bytes());
        line_end.copy_from_slice(b"\r\n");
        Some(DateLine { unix_s, line })
    }

    /// The second that the line names.
    pub fn unix_s(&self) -> u64 {
        self.unix_s
    }
}
