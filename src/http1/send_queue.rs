//! The send queue: bytes, then at most one source, then the end.

use std::mem;

use super::buffer_pool::{BufferPool, OutputBuffer};
use super::limits::OUTPUT_BYTES_FULL;
use super::response_writer::{DateLine, Persistence, ResponseFraming, connection_line, write_chunk_size, write_head};
use crate::semantics::request::Version;
use crate::semantics::response::{Body, Response};
use crate::semantics::service::{FilePiece, Piece, Source, SourceFailed};

/// What is to be sent next.
#[derive(Debug)]
pub enum Transmit<'a, F> {
    /// Bytes. `more` says that content follows them at once, so that both may share a packet.
    Bytes {
        /// To be sent as they are.
        bytes: &'a [u8],
        /// Whether content follows from a source.
        more: bool,
    },
    /// The start of this range of a file, at most `bytes_max` bytes.
    File {
        /// Where to read.
        file: &'a F,
        /// What of it is to be sent.
        bytes_max: u64,
    },
    /// Nothing yet: the source is at work, and is to be asked again when others have had their turn.
    Pending,
    /// Nothing more will ever be sent: the writing side is to be shut.
    End,
    /// The content that was begun cannot be completed: the connection is to be closed at once, so that the client notices.
    Abort,
}

/// How far the end of all output has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Queued,
    Sent,
}

/// A response that waits until the content of its request has been read: if that turns out to be malformed, the protocol
/// error is the response, and this one is dropped.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Where in the bytes it begins.
    start: u32,
    /// Where its Connection field belongs.
    connection_field: u32,
}

/// How the content of the source is framed, and how far the framing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceFraming {
    /// Its length was announced.
    Length,
    /// Its length is not known: pieces are queued as they come, chunked, or as they are to an HTTP/1.0 client. Of a piece
    /// that is sent from a file so many bytes are left.
    Stream { chunked: bool, left: u64, is_first: bool },
}

/// What came of asking a source.
enum Queued {
    /// What can be sent, or that nothing follows.
    Pieces,
    /// Nothing: the source is at work.
    Pending,
}

/// The queue. Its offsets have 32 bits, so that a session stays small: what it holds is bounded by a few hundred KiB.
pub(super) struct SendQueue<B> {
    bytes: OutputBuffer,
    sent: u32,
    held: Option<Held>,
    source: Option<B>,
    framing: SourceFraming,
    end: End,
}

impl<B> Default for SendQueue<B> {
    /// A queue in which nothing waits.
    fn default() -> SendQueue<B> {
        SendQueue {
            bytes: OutputBuffer::default(),
            sent: 0,
            held: None,
            source: None,
            framing: SourceFraming::Length,
            end: End::Open,
        }
    }
}

impl<B: Source> SendQueue<B> {
    /// Whether anything may be sent now.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        self.sendable_end() > self.sent as usize
            || self.held.is_none() && (self.source.is_some() || self.end == End::Queued)
    }

    /// Whether so much waits that no further request is to be begun.
    pub(super) fn is_full(&self) -> bool {
        self.source.is_some() || self.queued_bytes() >= OUTPUT_BYTES_FULL
    }

    /// How many bytes wait, those from a source left out.
    pub(super) fn queued_bytes(&self) -> usize {
        self.bytes.len() - self.sent as usize
    }

    /// Whether content is to come from a source.
    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Whether content is being sent whose end is that of the connection, and the end has not been sent.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.framing, SourceFraming::Stream { chunked: false, .. }) && self.end != End::Sent
    }

    /// Whether the end has been sent.
    pub(super) fn has_ended(&self) -> bool {
        self.end == End::Sent
    }

    /// Adds bytes that are no final response: `100 Continue`.
    pub(super) fn push_interim(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        self.make_room(pool);
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds a response, of which the content is taken. Returns how many of the queued bytes are its content.
    ///
    /// With `head_only`, the response to HEAD, the fields are those of the response to GET and the content is left out.
    /// Without `persistence` the response is held until [`release`](SendQueue::release) says it.
    pub(super) fn push(
        &mut self,
        response: &mut Response<'_, B>,
        framing: ResponseFraming,
        head_only: bool,
        persistence: Option<Persistence>,
        date: Option<&DateLine>,
        pool: &mut BufferPool,
    ) -> usize {
        debug_assert!(self.end == End::Open && self.source.is_none() && self.held.is_none());
        self.make_room(pool);
        let start = self.bytes.len() as u32;
        let head = &mut pool.head;
        head.clear();
        write_head(head, response, framing, date);
        match persistence {
            Some(persistence) => head.extend_from_slice(connection_line(persistence)),
            None => self.held = Some(Held { start, connection_field: start + head.len() as u32 }),
        }
        head.extend_from_slice(b"\r\n");
        self.bytes.extend_from_slice(head);
        if head_only || response.status.forbids_content() {
            return 0;
        }
        match &response.body {
            Body::Empty => 0,
            Body::Bytes(content) => {
                self.bytes.extend_from_slice(content);
                content.len()
            }
            Body::Source(_) => {
                self.take_source(response, framing);
                0
            }
        }
    }

    /// The content is to come from a source, unless there is none.
    fn take_source(&mut self, response: &mut Response<'_, B>, framing: ResponseFraming) {
        let Body::Source(source) = mem::replace(&mut response.body, Body::Empty) else { return };
        self.framing = match framing {
            ResponseFraming::Length(0) => return,
            ResponseFraming::Length(_) => SourceFraming::Length,
            ResponseFraming::Chunked | ResponseFraming::UntilEnd => {
                SourceFraming::Stream { chunked: framing == ResponseFraming::Chunked, left: 0, is_first: true }
            }
        };
        self.source = Some(source);
    }

    /// Lets the held response go, with this persistence.
    pub(super) fn release(&mut self, persistence: Persistence) {
        if let Some(held) = self.held.take() {
            self.bytes.insert(held.connection_field as usize, connection_line(persistence));
        }
    }

    /// Drops the held response.
    pub(super) fn drop_held(&mut self) {
        if let Some(held) = self.held.take() {
            self.bytes.truncate(held.start as usize);
            self.source = None;
            self.framing = SourceFraming::Length;
        }
    }

    /// Nothing will be added any more.
    pub(super) fn end(&mut self) {
        if self.end == End::Open {
            self.end = End::Queued;
        }
    }

    /// What is to be sent next, if anything.
    pub(super) fn transmit(&mut self) -> Option<Transmit<'_, B::File>> {
        if self.sent as usize == self.sendable_end()
            && self.held.is_none()
            && let SourceFraming::Stream { chunked, left: 0, is_first } = self.framing
        {
            match self.queue_pieces(chunked, is_first) {
                Ok(Queued::Pieces) => {}
                Ok(Queued::Pending) => return Some(Transmit::Pending),
                Err(SourceFailed) => return Some(Transmit::Abort),
            }
        }
        let (sent, sendable_end) = (self.sent as usize, self.sendable_end());
        if sent < sendable_end {
            let more = self.source.is_some() && self.held.is_none();
            return Some(Transmit::Bytes { bytes: &self.bytes.as_slice()[sent..sendable_end], more });
        }
        if self.held.is_some() {
            return None;
        }
        match (&mut self.source, self.end) {
            (Some(source), _) => Some(next_of(source, self.framing)),
            (None, End::Queued) => Some(Transmit::End),
            (None, End::Open | End::Sent) => None,
        }
    }

    /// Queues what comes next of content of unknown length: pieces in memory, up to a full queue; the size of a chunk whose
    /// bytes are in a file; or the last chunk.
    fn queue_pieces(&mut self, chunked: bool, mut is_first: bool) -> Result<Queued, SourceFailed> {
        let Some(source) = &mut self.source else { return Ok(Queued::Pieces) };
        // Each round queues a piece, which is not empty: an empty chunk would be the last one (RFC 9112 §7.1), and what follows
        // it would be taken for another response.
        while self.bytes.len() < OUTPUT_BYTES_FULL {
            let (bytes, left) = match source.piece()? {
                Some(Piece::Bytes(piece)) => (piece, 0),
                Some(Piece::File(file)) => (&[][..], file.bytes_left()),
                Some(Piece::Pending) if self.bytes.is_empty() => return Ok(Queued::Pending),
                // What is queued is sent first.
                Some(Piece::Pending) => break,
                None => {
                    self.source = None;
                    // Otherwise the end is still to come that completes the content.
                    if chunked {
                        self.bytes.extend_from_slice(if is_first { b"0\r\n\r\n" } else { b"\r\n0\r\n\r\n" });
                        self.framing = SourceFraming::Length;
                    }
                    return Ok(Queued::Pieces);
                }
            };
            if bytes.is_empty() && left == 0 {
                debug_assert!(false, "a source gives no empty piece");
                return Err(SourceFailed);
            }
            if chunked {
                write_chunk_size(&mut self.bytes, bytes.len() as u64 + left, is_first);
            }
            is_first = false;
            self.framing = SourceFraming::Stream { chunked, left, is_first };
            if left > 0 {
                break;
            }
            let count = bytes.len() as u64;
            self.bytes.extend_from_slice(bytes);
            source.advance(count);
        }
        Ok(Queued::Pieces)
    }

    /// The first `bytes` of what [`transmit`](SendQueue::transmit) gave have been sent.
    pub(super) fn transmitted(&mut self, bytes: u64) {
        if (self.sent as usize) < self.sendable_end() {
            self.sent += bytes as u32;
            if self.sent as usize == self.bytes.len() {
                self.bytes.clear();
                self.sent = 0;
            }
            return;
        }
        let Some(source) = &mut self.source else {
            debug_assert!(false, "nothing was given to be sent");
            return;
        };
        source.advance(bytes);
        match &mut self.framing {
            SourceFraming::Stream { left, .. } => *left = left.saturating_sub(bytes),
            SourceFraming::Length if source.bytes_left() == Some(0) => self.source = None,
            SourceFraming::Length => {}
        }
    }

    /// The writing side has been shut.
    pub(super) fn end_transmitted(&mut self) {
        self.end = End::Sent;
    }

    /// Bytes of memory that the queue holds, used or not.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.memory_bytes()
    }

    /// Gives the memory back if nothing waits in it.
    pub(super) fn release_if_empty(&mut self, pool: &mut BufferPool) {
        if self.bytes.is_empty() && self.bytes.memory_bytes() > 0 {
            pool.give_output(mem::take(&mut self.bytes));
        }
    }

    #[inline]
    fn sendable_end(&self) -> usize {
        self.held.map_or(self.bytes.len(), |held| held.start as usize)
    }

    #[inline]
    fn make_room(&mut self, pool: &mut BufferPool) {
        if self.bytes.memory_bytes() == 0 {
            self.bytes = pool.take_output();
        }
        // A client that always leaves a little unread would otherwise let the sent part grow without end.
        if self.sent as usize >= OUTPUT_BYTES_FULL / 2 {
            self.bytes.drop_front(self.sent as usize);
            self.sent = 0;
        }
    }
}

/// What a source gives next, within its chunk where it is sent in chunks.
fn next_of<B: Source>(source: &mut B, framing: SourceFraming) -> Transmit<'_, B::File> {
    let bytes_max = match framing {
        SourceFraming::Stream { left, .. } => left,
        SourceFraming::Length => u64::MAX,
    };
    // Asked before the piece is lent.
    let bytes_left = source.bytes_left();
    match source.piece() {
        Ok(Some(Piece::Bytes([]))) => {
            debug_assert!(false, "a source gives no empty piece");
            Transmit::Abort
        }
        Ok(Some(Piece::Bytes(bytes))) => {
            let more = bytes_left.is_some_and(|left| left > bytes.len() as u64);
            Transmit::Bytes { bytes, more }
        }
        Ok(Some(Piece::File(file))) => Transmit::File { file, bytes_max },
        Ok(Some(Piece::Pending)) => Transmit::Pending,
        // Its length was announced, and there is less of it.
        Ok(None) | Err(_) => Transmit::Abort,
    }
}

/// How a response of this version is framed.
pub(super) fn framing_of<B: Source>(response: &Response<'_, B>, version: Version) -> ResponseFraming {
    match &response.body {
        Body::Empty => ResponseFraming::Length(0),
        Body::Bytes(content) => ResponseFraming::Length(content.len() as u64),
        Body::Source(source) => match (source.bytes_left(), version) {
            (Some(bytes), _) => ResponseFraming::Length(bytes),
            (None, Version::Http11) => ResponseFraming::Chunked,
            (None, Version::Http10) => ResponseFraming::UntilEnd,
        },
    }
}
